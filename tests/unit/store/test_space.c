/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A full disk: data is refused early, the group in hand is committed all
 * the same, nothing acknowledged is lost, and room made brings it back.
 * Needs root for a small disk of its own (tmpfs), else it is skipped.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/store/space.h"
#include "fs/store/store.h"
#include "scratch_support.h"

#define DISK_OPTIONS "size=176m,mode=700"
#define MIB (1u << 20)

struct disk {
	char *path, *store, *ballast;
};

static bool disk_make(struct disk *d)
{
	d->path = scratch_make();
	/* Of this process alone: gone with it, however it ends. */
	if (unshare(CLONE_NEWNS) < 0 ||
	    mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("kinfs-test", d->path, "tmpfs", 0, DISK_OPTIONS) < 0) {
		print_message("skipped: no tmpfs can be mounted: %s\n",
			      strerror(errno));
		scratch_remove(d->path);
		return false;
	}
	d->store = scratch_path(d->path, "store");
	d->ballast = scratch_path(d->path, "ballast");
	return true;
}

static void disk_remove(struct disk *d)
{
	umount2(d->path, MNT_DETACH);
	free(d->store);
	free(d->ballast);
	scratch_remove(d->path);
}

/* Fills the disk to the last block from outside. */
static void disk_fill(const struct disk *d)
{
	int fd = open(d->ballast, O_WRONLY | O_CREAT | O_APPEND, 0600);
	size_t len = MIB;
	char *block = calloc(1, len);

	assert_true(fd >= 0);
	while (len >= 4096) {
		if (write(fd, block, len) < 0)
			len /= 2;
	}
	free(block);
	close(fd);
}

static bool reserve_exists(const struct disk *d)
{
	char *name = scratch_path(d->store, "reserve");
	bool exists = !access(name, F_OK);

	free(name);
	return exists;
}

static struct store *disk_open(const struct disk *d, bool threads)
{
	struct store_options o = {.path = d->store,
				  .threads = threads,
				  .map_bytes = 1u << 30,
				  .group_max_ops = 500,
				  .log_bytes = 256 * 1024};
	struct store *s = NULL;

	assert_int_equal(store_open(&o, NULL, &s), 0);
	return s;
}

static struct slice key_of(int i, char buf[16])
{
	return SLICE(buf, (size_t)snprintf(buf, 16, "key-%d", i));
}

/* One operation: puts a value of 1,000 bytes, or deletes. */
static int change(struct store *s, int i, bool remove)
{
	static const uint8_t value[1000] = {7};
	char buf[16];
	int r;

	store_lock(s);
	r = store_op_begin(s);
	if (!r) {
		r = remove ? store_del(s, TABLE_OBJ, key_of(i, buf))
			   : store_put(s, TABLE_OBJ, key_of(i, buf),
				       SLICE(value, sizeof(value)));
		if (r)
			store_op_abort(s);
		else
			r = store_op_end(s);
	}
	store_unlock(s);
	return r;
}

static void assert_keys(struct store *s, int first, int end)
{
	struct slice v;
	char buf[16];

	store_lock(s);
	for (int i = 0; i < end; i++)
		assert_int_equal(store_get(s, TABLE_OBJ, key_of(i, buf), &v),
				 i < first ? -ENOENT : 0);
	assert_int_equal(store_count(s, TABLE_OBJ), end - first);
	store_unlock(s);
}

/* Puts until it is refused; returns how many were taken. */
static int fill_tables(struct store *s)
{
	int r = 0, n = 0;

	while (n < 100000) {
		r = change(s, n, false);
		if (r)
			break;
		n++;
	}
	assert_int_equal(r, -ENOSPC);
	assert_int_equal(store_failure(s), 0);
	return n;
}

static void full_disk(bool threads)
{
	struct disk d;
	struct data_loc loc;
	struct store *s;
	uint8_t *data;
	int n, r = 0, removed = 50;

	if (!disk_make(&d)) {
		skip();
		return;
	}
	s = disk_open(&d, threads);
	assert_true(reserve_exists(&d));
	data = calloc(1, MIB);
	for (n = 0; !r && n < 1000; n++)
		r = data_append(s, SLICE(data, MIB), &loc);
	free(data);
	assert_int_equal(r, -ENOSPC);
	assert_true(n > 20);

	disk_fill(&d);
	n = fill_tables(s);
	assert_true(n > 200);
	assert_false(reserve_exists(&d));
	for (int i = 0; i < removed; i++)
		assert_int_equal(change(s, i, true), 0);
	assert_int_equal(store_commit(s), 0);
	assert_int_equal(data_append(s, SLICE("x", 1), &loc), -ENOSPC);
	assert_keys(s, removed, n);
	store_abandon(s);

	s = disk_open(&d, threads); /* still full */
	assert_keys(s, removed, n);
	assert_int_equal(change(s, n, false), -ENOSPC);
	assert_int_equal(change(s, removed, true), 0);
	store_abandon(s);

	assert_int_equal(unlink(d.ballast), 0);
	s = disk_open(&d, threads);
	assert_keys(s, removed + 1, n);
	assert_int_equal(store_close(s), 0);
	disk_remove(&d);
}

static void test_full_disk(void **state)
{
	(void)state;
	full_disk(false);
}

static void test_full_disk_with_threads(void **state)
{
	(void)state;
	full_disk(true);
}

/* Room that is made is found without opening the store again. */
static void test_refill(void **state)
{
	struct store *s;
	struct disk d;
	int n, r = -ENOSPC;

	(void)state;
	if (!disk_make(&d)) {
		skip();
		return;
	}
	s = disk_open(&d, true);
	disk_fill(&d);
	n = fill_tables(s);
	assert_false(reserve_exists(&d));
	assert_int_equal(unlink(d.ballast), 0);
	for (int i = 0; r && i < 5000; i++) {
		r = change(s, n, false);
		usleep(1000);
	}
	assert_int_equal(r, 0);
	assert_true(reserve_exists(&d));
	assert_keys(s, 0, n + 1);
	assert_int_equal(store_close(s), 0);
	disk_remove(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_full_disk),
		cmocka_unit_test(test_full_disk_with_threads),
		cmocka_unit_test(test_refill),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
