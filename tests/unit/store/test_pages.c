/* SPDX-License-Identifier: Apache-2.0 */
/* The walk over LMDB's pages: sound files, and each bit of one flipped. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "fs/base/hash.h"
#include "fs/store/format.h"
#include "fs/store/pages.h"
#include "scratch_support.h"
#include "store_support.h"

/* ---- a store with branches, long values, and free pages */

static void put_random(struct store *s, uint64_t *rng, enum store_table t,
		       uint32_t keys, uint32_t bytes_max)
{
	uint8_t value[20000], key[32];
	size_t len = scratch_random(rng, bytes_max), key_len;
	uint32_t n = scratch_random(rng, keys);

	for (size_t k = 0; k < len; k++)
		value[k] = (uint8_t)(n * 31 + k * 7);
	memset(key, 'k', sizeof(key));
	put_be32(key, n * 2654435761u);
	key_len = 4 + n % 20;
	store_lock(s);
	assert_int_equal(store_op_begin(s), 0);
	if (scratch_random(rng, 4))
		assert_int_equal(store_put(s, t, SLICE(key, key_len),
					   SLICE(value, len)), 0);
	else
		assert_int_equal(store_del(s, t, SLICE(key, key_len)), 0);
	assert_int_equal(store_op_end(s), 0);
	store_unlock(s);
}

static void make_store(const char *path, uint64_t seed, unsigned int ops)
{
	struct store_options o = options_sim(path);
	struct store *s;

	o.group_max_ops = 37;
	s = store_make(&o);
	for (unsigned int n = 0; n < ops; n++) {
		put_random(s, &seed, TABLE_OBJ, 300, 700);
		put_random(s, &seed, TABLE_DIR, 200, 80);
		if (n % 8 == 0)
			put_random(s, &seed, TABLE_STAGE, 8, 20000);
	}
	assert_int_equal(store_close(s), 0);
}

/* ---- walking */

struct seen {
	uint64_t entries, damaged, digest;
	char first[200];
};

static int note_entry(void *arg, enum store_table t, struct slice key,
		      struct slice stored)
{
	struct seen *s = arg;
	struct slice v;

	s->entries++;
	s->damaged += value_open(t, key, stored, &v) != 0;
	s->digest = checksum64(&t, sizeof(t), s->digest);
	s->digest = checksum64(key.data, key.len, s->digest);
	s->digest = checksum64(stored.data, stored.len, s->digest);
	return 0;
}

static void note_fault(void *arg, const struct pages_fault *f)
{
	struct seen *s = arg;

	if (!s->first[0])
		snprintf(s->first, sizeof(s->first), "page %llu of %s %s",
			 (unsigned long long)f->page, f->table, f->what);
}

static uint64_t walk(int fd, struct seen *ret)
{
	struct pages_ops ops = {note_fault, note_entry, ret};
	struct pages_result found;

	*ret = (struct seen){0};
	assert_int_equal(pages_walk(fd, -1, &ops, &found), 0);
	return found.faults;
}

static int db_open(const char *path)
{
	char *db = scratch_path(path, "db");
	int fd = open(db, O_RDWR);

	assert_true(fd >= 0);
	free(db);
	return fd;
}

static void test_sound(void **state)
{
	(void)state;
	for (unsigned int n = 0; n < 12; n++) {
		char *path = scratch_make();
		struct seen seen;
		int fd;

		make_store(path, n + 1, n * 90);
		fd = db_open(path);
		if (walk(fd, &seen))
			print_error("%s\n", seen.first);
		assert_int_equal(walk(fd, &seen), 0);
		assert_int_equal(seen.damaged, 0);
		assert_true(seen.entries > n * 10);
		close(fd);
		scratch_remove(path);
	}
}

/* After each commit of a life with much removed. */
static void test_each_commit(void **state)
{
	char *path = scratch_make();
	struct store_options o = options_sim(path);
	struct store *s = store_make(&o);
	uint64_t seed = 5;
	int fd = db_open(path);

	(void)state;
	for (unsigned int n = 0; n < 400; n++) {
		struct seen seen;

		for (uint32_t k = scratch_random(&seed, 9); k; k--)
			put_random(s, &seed, k % 2 ? TABLE_OBJ : TABLE_STAGE,
				   n % 100 + 1, n % 50 ? 600 : 20000);
		assert_int_equal(store_commit(s), 0);
		if (walk(fd, &seen))
			print_error("%u: %s\n", n, seen.first);
		assert_int_equal(walk(fd, &seen), 0);
	}
	close(fd);
	assert_int_equal(store_close(s), 0);
	scratch_remove(path);
}

/* Of each byte one bit (all with KINFS_ALL_BITS): it is found, or nothing of
 * what the tables hold is another. */
static void test_flips(void **state)
{
	bool all = getenv("KINFS_ALL_BITS");
	char *path = scratch_make();
	struct seen sound, seen;
	struct stat st;
	uint64_t found = 0, harmless = 0;
	uint8_t *map;
	int fd;

	(void)state;
	make_store(path, 77, 250);
	fd = db_open(path);
	assert_int_equal(walk(fd, &sound), 0);
	assert_int_equal(fstat(fd, &st), 0);
	map = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE,
		   MAP_SHARED, fd, 0);
	assert_true(map != MAP_FAILED);
	for (size_t at = 0; at < (size_t)st.st_size; at++) {
		/* (of what is behind a page's header a part) */
		if (!all && at % 4096 > 200 && at % 13)
			continue;
		for (int bit = 0; bit < 8; bit++) {
			uint64_t faults;

			if (!all && bit != (int)(at / 3 % 8))
				continue;
			map[at] ^= (uint8_t)(1 << bit);
			faults = walk(fd, &seen);
			if (!faults && !seen.damaged) {
				harmless++;
				if (seen.digest != sound.digest)
					print_error("byte %zu bit %d\n", at,
						    bit);
				assert_int_equal(seen.digest, sound.digest);
			} else {
				found++;
			}
			map[at] ^= (uint8_t)(1 << bit);
		}
	}
	assert_int_equal(walk(fd, &seen), 0);
	assert_true(found > harmless / 4);
	munmap(map, (size_t)st.st_size);
	close(fd);
	scratch_remove(path);
}

/* ---- beside commits */

struct beside {
	struct store *store;
	atomic_uint commits;
	atomic_bool stop;
	struct seen seen;
};

static void *commits_main(void *arg)
{
	struct beside *b = arg;
	uint64_t seed = 9;

	while (!atomic_load(&b->stop)) {
		for (int k = 0; k < 20; k++)
			put_random(b->store, &seed, TABLE_OBJ, 300, 700);
		assert_int_equal(store_commit(b->store), 0);
		atomic_fetch_add(&b->commits, 1);
	}
	return NULL;
}

/* At the first entry: as many commits as are made now, but no end of them. */
static int note_slowly(void *arg, enum store_table t, struct slice key,
		       struct slice stored)
{
	const struct timespec moment = { .tv_nsec = 1000000 };
	struct beside *b = arg;
	unsigned int before = atomic_load(&b->commits);

	for (int ms = 0; !b->seen.entries && ms < 30 &&
	     atomic_load(&b->commits) - before < 8; ms++)
		nanosleep(&moment, NULL);
	return note_entry(&b->seen, t, key, stored);
}

static void note_fault_beside(void *arg, const struct pages_fault *f)
{
	struct beside *b = arg;

	note_fault(&b->seen, f);
}

/* What a walk reads stays as long as it does, and then all goes on. */
static void test_beside_commits(void **state)
{
	char *path = scratch_make();
	struct store_options o = options_sim(path);
	struct beside b = { 0 };
	struct pages_ops ops = { note_fault_beside, note_slowly, &b };
	struct pages_result found;
	pthread_t thread;

	(void)state;
	make_store(path, 3, 500);
	o.threads = true;
	b.store = store_make(&o);
	assert_int_equal(pthread_create(&thread, NULL, commits_main, &b), 0);
	for (int n = 0; n < 30; n++) {
		unsigned int before = atomic_load(&b.commits);

		b.seen = (struct seen){ 0 };
		assert_int_equal(store_walk_pages(b.store, &ops, &found), 0);
		if (found.faults)
			print_error("%d: %s\n", n, b.seen.first);
		assert_int_equal(found.faults, 0);
		assert_int_equal(b.seen.damaged, 0);
		while (atomic_load(&b.commits) < before + 4)
			sched_yield();
	}
	atomic_store(&b.stop, true);
	pthread_join(thread, NULL);
	assert_int_equal(store_close(b.store), 0);
	scratch_remove(path);
}

/* On a disk that is full a page of it may be SIGBUS. */
static void test_no_file_of_locks(void **state)
{
	char *path = scratch_make(), *locks = scratch_path(path, "db-lock");
	struct store_options o = options_sim(path);
	struct store *s = store_make(&o);

	(void)state;
	put_one(s, "a", "b");
	assert_int_equal(store_commit(s), 0);
	assert_int_equal(access(locks, F_OK), -1);
	assert_int_equal(store_close(s), 0);
	free(locks);
	scratch_remove(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sound),
		cmocka_unit_test(test_each_commit),
		cmocka_unit_test(test_flips),
		cmocka_unit_test(test_beside_commits),
		cmocka_unit_test(test_no_file_of_locks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
