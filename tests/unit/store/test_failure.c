/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the system may answer to a write or a sync, and what becomes of the
 * store then: EIO of any sync and any write ends all writing, for good, and
 * nothing that was promised is gone; no room, of the disk or of a quota, is
 * told to who asked, and passes by itself.
 *
 * pwrite() and fdatasync() are replaced here, as they are called by our own
 * files (pwrite64) and by LMDB (pwrite, fdatasync).
 */
#undef _FILE_OFFSET_BITS
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "fs/store/headroom.h"
#include "fs/store/store.h"
#include "scratch_support.h"
#include "store_support.h"

#define VALUE_BYTES 600
#define DATA_BYTES (64 << 10)
#define MANY 5000
/* Longer than the store waits between two tries; ms. */
#define PATIENCE_MS 20000

enum where {
	ON_LOG,
	ON_DATA,
	ON_TABLES,
	ON_RESERVE,
};

static struct {
	enum where where;
	bool sync;  /* a sync fails, else a write */
	int error;  /* 0: all is well */
	int times;  /* so often */
	int hits;   /* so often it did */
} fault;

static bool is_there(int fd)
{
	static const char *const parts[] = {"/log/", "/seg/", "/db",
					    "/reserve"};
	char link[64], path[PATH_MAX];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof(path) - 1);
	if (n < 0)
		return false;
	path[n] = '\0';
	return strstr(path, parts[fault.where]);
}

static bool is_hit(int fd, bool sync)
{
	int left;

	if (!__atomic_load_n(&fault.error, __ATOMIC_ACQUIRE) ||
	    fault.sync != sync || !is_there(fd))
		return false;
	left = __atomic_sub_fetch(&fault.times, 1, __ATOMIC_ACQ_REL);
	if (left < 0)
		return false;
	__atomic_add_fetch(&fault.hits, 1, __ATOMIC_RELAXED);
	errno = fault.error;
	return true;
}

static void fault_set(enum where where, bool sync, int error, int times)
{
	__atomic_store_n(&fault.error, 0, __ATOMIC_RELEASE);
	fault.where = where;
	fault.sync = sync;
	fault.times = times;
	fault.hits = 0;
	__atomic_store_n(&fault.error, error, __ATOMIC_RELEASE);
}

static void fault_clear(void)
{
	__atomic_store_n(&fault.error, 0, __ATOMIC_RELEASE);
}

ssize_t pwrite(int fd, const void *bytes, size_t len, off_t offset)
{
	if (is_hit(fd, false))
		return -1;
	return syscall(SYS_pwrite64, fd, bytes, len, offset);
}

ssize_t pwrite64(int fd, const void *bytes, size_t len, off64_t offset)
{
	return pwrite(fd, bytes, len, offset);
}

ssize_t writev(int fd, const struct iovec *v, int n)
{
	if (is_hit(fd, false))
		return -1;
	return syscall(SYS_writev, fd, v, n);
}

int posix_fallocate(int fd, off_t offset, off_t len)
{
	if (is_hit(fd, false))
		return errno;
	return syscall(SYS_fallocate, fd, 0, offset, len) < 0 ? errno : 0;
}

int posix_fallocate64(int fd, off64_t offset, off64_t len)
{
	return posix_fallocate(fd, offset, len);
}

int fdatasync(int fd)
{
	if (is_hit(fd, true))
		return -1;
	return (int)syscall(SYS_fdatasync, fd);
}

/* ---- doing */

static struct store_options options_of(const char *path, bool threads)
{
	return (struct store_options){.path = path,
				      .threads = threads,
				      .map_bytes = 1u << 30,
				      .log_bytes = 65536,
				      /* groups are closed when we say so */
				      .group_max_ms = 3600000,
				      .group_max_ops = 1000000};
}

static struct slice key_of(int i, char buf[16])
{
	return SLICE(buf, (size_t)snprintf(buf, 16, "key-%d", i));
}

/* One operation; value: of VALUE_BYTES such bytes, or 0: it is removed. */
static int change_as(struct store *s, int i, char value, bool makes_room)
{
	char buf[16], bytes[VALUE_BYTES];
	int r;

	memset(bytes, value, sizeof(bytes));
	store_lock(s);
	r = store_op_begin(s);
	if (!r) {
		if (makes_room)
			store_op_makes_room(s);
		r = value ? store_put(s, TABLE_OBJ, key_of(i, buf),
				      SLICE(bytes, sizeof(bytes)))
			  : store_del(s, TABLE_OBJ, key_of(i, buf));
		if (r)
			store_op_abort(s);
		else
			r = store_op_end(s);
	}
	store_unlock(s);
	return r;
}

static int change(struct store *s, int i, char value)
{
	return change_as(s, i, value, false);
}

static void expect(struct store *s, int i, char value)
{
	char buf[16], bytes[VALUE_BYTES];
	struct slice v;
	int r;

	memset(bytes, value, sizeof(bytes));
	store_lock(s);
	r = store_get(s, TABLE_OBJ, key_of(i, buf), &v);
	assert_int_equal(r, value ? 0 : -ENOENT);
	if (value)
		assert_true(slice_equal(v, SLICE(bytes, sizeof(bytes))));
	store_unlock(s);
}

static enum store_state state_of(struct store *s)
{
	struct store_health h;

	store_health(s, &h);
	return h.state;
}

/* ---- errors that end all writing */

/* More than a sync copies into the log. */
static void append(struct store *s, struct data_loc *ret)
{
	static uint8_t bytes[DATA_BYTES];

	memcpy(bytes, "bytes", 5);
	assert_int_equal(data_append(s, SLICE(bytes, sizeof(bytes)), ret), 0);
}

static void sync_fails(bool threads, enum where where)
{
	char *path = scratch_make();
	struct store_options o = options_of(path, threads);
	struct store *s = store_make(&o);
	struct data_loc loc;
	struct store_health h;
	char bytes[5];
	bool commit = where == ON_TABLES;

	append(s, &loc);
	assert_int_equal(change(s, 0, 'a'), 0);
	assert_int_equal(store_sync(s), 0);
	append(s, &loc);
	assert_int_equal(change(s, 1, 'b'), 0);
	fault_set(where, true, EIO, 1);
	assert_int_equal(commit ? store_commit(s) : store_sync(s), -EIO);
	assert_int_equal(fault.hits, 1);
	/* The system would say yes the next time. It is not asked. */
	assert_int_equal(store_sync(s), -EIO);
	assert_int_equal(store_commit(s), -EIO);
	assert_int_equal(change(s, 2, 'c'), -EROFS);
	assert_int_equal(change_as(s, 0, 0, true), -EROFS);
	assert_int_equal(data_append(s, SLICE("x", 1), &loc), -EROFS);
	assert_int_equal(store_room(s, 1), -EROFS);
	/* It can be read. */
	expect(s, 0, 'a');
	expect(s, 1, 'b');
	expect(s, 2, 0);
	assert_int_equal(data_read(s, loc, bytes, sizeof(bytes)), 0);
	assert_memory_equal(bytes, "bytes", 5);
	store_health(s, &h);
	assert_int_equal(h.state, STORE_FAILED);
	assert_int_equal(h.error, -EIO);
	assert_non_null(strstr(h.what, "synced") ? h.what
						 : strstr(h.what, "committed"));
	assert_int_equal(store_close(s), -EIO);
	fault_clear();

	s = store_make(&o);
	expect(s, 0, 'a');
	expect(s, 2, 0);
	assert_int_equal(change(s, 2, 'd'), 0);
	assert_int_equal(store_sync(s), 0);
	assert_int_equal(state_of(s), STORE_WELL);
	assert_int_equal(store_close(s), 0);
	scratch_remove(path);
}

static void test_failed_syncs(void **state)
{
	(void)state;
	for (int threads = 0; threads < 2; threads++)
		for (int where = ON_LOG; where <= ON_TABLES; where++)
			sync_fails(threads, where);
}

/*
 * Behind a failure the page cache is not believed, in the same boot: what was
 * promised is there, of the rest only what rests on nothing else. The data
 * of what was not synced is lost here, as if its pages had been dropped.
 */
static void cache_is_lost(bool noted)
{
	char *path = scratch_make(), *note = scratch_path(path, "note");
	char *dir = scratch_path(path, "store"), *seg;
	struct store_options o = options_of(dir, true);
	uint8_t bytes[5], zeros[DATA_BYTES] = {0};
	struct data_loc kept, lost;
	struct store *s;
	int fd;

	o.distrust = noted ? note : NULL;
	s = store_make(&o);
	/* Of the first its data is in the log, by the sync, and nowhere else. */
	assert_int_equal(data_append(s, SLICE("bytes", 5), &kept), 0);
	assert_int_equal(change(s, 0, 'a'), 0);
	assert_int_equal(store_sync(s), 0);
	append(s, &lost);
	assert_int_equal(change(s, 1, 'b'), 0);
	fault_set(ON_DATA, true, EIO, 1);
	assert_int_equal(store_sync(s), -EIO);
	assert_int_equal(access(note, F_OK), noted ? 0 : -1);
	store_abandon(s);
	fault_clear();
	seg = scratch_path(dir, "seg/00000000");
	fd = open(seg, O_WRONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, zeros, sizeof(zeros), 0), sizeof(zeros));
	close(fd);
	for (int life = 0; life < 2; life++) {
		s = store_make(&o);
		expect(s, 0, 'a');
		expect(s, 1, noted ? 0 : 'b');
		assert_int_equal(data_read(s, kept, bytes, sizeof(bytes)), 0);
		if (noted)
			assert_memory_equal(bytes, "bytes", sizeof(bytes));
		/* From here on kills lose nothing, as ever. */
		expect(s, 2, life ? 'c' : 0);
		assert_int_equal(change(s, 2, 'c'), 0);
		store_abandon(s);
	}
	free(seg);
	free(dir);
	free(note);
	scratch_remove(path);
}

static void test_cache_is_lost(void **state)
{
	(void)state;
	cache_is_lost(false); /* (to see that it can be told) */
	cache_is_lost(true);
}

/* A record that cannot be written: the operation did not happen. */
static void log_write_fails(bool threads)
{
	char *path = scratch_make();
	struct store_options o = options_of(path, threads);
	struct store *s = store_make(&o);

	assert_int_equal(change(s, 0, 'a'), 0);
	fault_set(ON_LOG, false, EIO, 1);
	assert_int_equal(change(s, 0, 'b'), -EIO);
	assert_int_equal(fault.hits, 1);
	assert_int_equal(change(s, 0, 'c'), -EROFS);
	expect(s, 0, 'a');
	assert_int_equal(store_close(s), -EIO);
	s = store_make(&o);
	expect(s, 0, 'a');
	assert_int_equal(store_close(s), 0);
	fault_clear();
	scratch_remove(path);
}

/* Data that cannot be written is the writer's matter alone. */
static void data_write_fails(bool threads, int error)
{
	char *path = scratch_make();
	struct store_options o = options_of(path, threads);
	struct store *s = store_make(&o);
	struct data_loc loc;

	fault_set(ON_DATA, false, error, 1);
	assert_int_equal(data_append(s, SLICE("x", 1), &loc), -error);
	assert_int_equal(fault.hits, 1);
	assert_int_equal(store_failure(s), 0);
	append(s, &loc);
	assert_int_equal(change(s, 0, 'a'), 0);
	assert_int_equal(store_close(s), 0);
	fault_clear();
	scratch_remove(path);
}

static void test_failed_writes(void **state)
{
	(void)state;
	for (int threads = 0; threads < 2; threads++) {
		log_write_fails(threads);
		data_write_fails(threads, EIO);
		data_write_fails(threads, ENOSPC);
		data_write_fails(threads, EDQUOT);
	}
}

/* ---- no room */

/* Until it is well again: ms it took. */
static void expect_well(struct store *s)
{
	for (int ms = 0; state_of(s) != STORE_WELL; ms += 10) {
		assert_true(ms < PATIENCE_MS);
		(void)!store_commit(s);
		usleep(10000);
	}
}

/*
 * Not even what was given up is enough for a commit: operations go on in the
 * log, nothing is lost if the process dies, and all is well when there is
 * room.
 */
static void commit_refused(bool threads, int error, bool dies)
{
	char *path = scratch_make();
	struct store_options o = options_of(path, threads);
	struct store *s = store_make(&o);

	assert_int_equal(change(s, 0, 'a'), 0);
	assert_int_equal(store_commit(s), 0);
	assert_int_equal(change(s, 1, 'b'), 0);
	fault_set(ON_TABLES, false, error, INT_MAX);
	assert_int_equal(store_commit(s), -error);
	assert_true(fault.hits >= 2);
	assert_int_equal(store_failure(s), 0);
	assert_int_equal(state_of(s), STORE_REFUSED);
	/* Nothing grows; what makes room goes on, and is durable. */
	expect(s, 1, 'b');
	assert_int_equal(change(s, 2, 'c'), -error);
	expect(s, 2, 0);
	assert_int_equal(change(s, 1, 'd'), 0);
	assert_int_equal(change(s, 0, 0), 0);
	assert_int_equal(change_as(s, 3, 'e', true), 0);
	assert_int_equal(store_sync(s), 0);
	if (dies) {
		store_abandon(s);
		fault_clear();
		s = store_make(&o);
	} else {
		fault_clear();
		expect_well(s);
	}
	expect(s, 0, 0);
	expect(s, 1, 'd');
	expect(s, 2, 0);
	expect(s, 3, 'e');
	assert_int_equal(change(s, 2, 'f'), 0);
	assert_int_equal(store_close(s), 0);
	s = store_make(&o);
	expect(s, 1, 'd');
	expect(s, 2, 'f');
	expect(s, 3, 'e');
	assert_int_equal(store_close(s), 0);
	scratch_remove(path);
}

static void test_commit_refused(void **state)
{
	(void)state;
	for (int how = 0; how < 8; how++)
		commit_refused(how & 1, how & 2 ? ENOSPC : EDQUOT, how & 4);
}

/* The log has an end, too: then what makes room is refused as well, and
 * nothing that was acknowledged is gone. */
static void log_fills(bool threads)
{
	char *path = scratch_make();
	struct store_options o = options_of(path, threads);
	struct store *s = store_make(&o);
	int n, r = 0;

	assert_int_equal(change(s, 0, 'a'), 0);
	fault_set(ON_TABLES, false, ENOSPC, INT_MAX);
	assert_int_equal(store_commit(s), -ENOSPC);
	for (n = 0; !r && n < MANY; n++)
		r = change_as(s, 0, (char)('b' + n % 20), true);
	n--;
	assert_int_equal(r, -ENOSPC);
	assert_true(n > 100);
	expect(s, 0, (char)('b' + (n - 1) % 20));
	assert_int_equal(store_failure(s), 0);
	/* At the end of it all it is closed, and opened with room. */
	assert_int_equal(store_close(s), 0);
	fault_clear();
	s = store_make(&o);
	expect(s, 0, (char)('b' + (n - 1) % 20));
	assert_int_equal(change(s, 0, 0), 0);
	assert_int_equal(store_close(s), 0);
	scratch_remove(path);
}

static void test_log_fills(void **state)
{
	(void)state;
	log_fills(false);
	log_fills(true);
}

/* A sync that finds no room for its mark, and none to commit. */
static void test_sync_without_room(void **state)
{
	char *path = scratch_make();
	struct store_options o = options_of(path, true);
	struct store *s = store_make(&o);
	int r = 0;

	(void)state;
	assert_int_equal(change(s, 0, 'a'), 0);
	fault_set(ON_TABLES, false, ENOSPC, INT_MAX);
	assert_int_equal(store_commit(s), -ENOSPC);
	/* (a mark is shorter than a record: more than once it may fit) */
	for (int n = 0; r >= 0 && n < MANY; n++) {
		if (change_as(s, 0, 'b', true) == 0)
			continue;
		for (int k = 0; !r && k < MANY; k++) {
			char key[16];

			store_lock(s);
			assert_int_equal(store_op_begin(s), 0);
			assert_int_equal(store_del(s, TABLE_DIR,
						   key_of(k, key)), 0);
			r = store_op_end(s);
			store_unlock(s);
		}
		break;
	}
	assert_int_equal(r, -ENOSPC);
	assert_int_equal(store_failure(s), 0);
	assert_int_equal(store_sync(s), -ENOSPC);
	assert_int_equal(store_failure(s), 0);
	fault_clear();
	expect_well(s);
	assert_int_equal(store_sync(s), 0);
	assert_int_equal(store_close(s), 0);
	scratch_remove(path);
}

/* ---- who waits for room */

struct maker {
	struct store *store;
	int woken;
	bool helps;
};

static void maker_wake(void *arg)
{
	__atomic_add_fetch(&((struct maker *)arg)->woken, 1, __ATOMIC_ACQ_REL);
}

static void *maker_run(void *arg)
{
	struct maker *m = arg;

	while (!__atomic_load_n(&m->woken, __ATOMIC_ACQUIRE))
		usleep(1000);
	if (m->helps) {
		fault_clear();
		expect_well(m->store);
	}
	store_room_made(m->store, !m->helps);
	return NULL;
}

/* A store that cannot commit, and a maker that is awaited. */
static int wait_for(struct store *s, struct maker *m)
{
	pthread_t thread;
	int r;

	m->woken = 0;
	assert_int_equal(pthread_create(&thread, NULL, maker_run, m), 0);
	r = store_room(s, 0);
	if (!m->woken)
		maker_wake(m);
	assert_int_equal(pthread_join(thread, NULL), 0);
	return r;
}

static void test_waiting(void **state)
{
	char *path = scratch_make();
	struct store_options o = options_of(path, true);
	struct store *s = store_make(&o);
	struct maker m = {.store = s};

	(void)state;
	assert_int_equal(store_room(s, 100), 0);
	assert_int_equal(change(s, 0, 'a'), 0);
	fault_set(ON_TABLES, false, ENOSPC, INT_MAX);
	assert_int_equal(store_commit(s), -ENOSPC);
	/* Without a maker nobody waits. */
	assert_int_equal(store_room(s, 0), -ENOSPC);
	store_room_maker(s, maker_wake, &m);
	assert_int_equal(store_room_now(s, 0), -ENOSPC);
	assert_int_equal(m.woken, 1);
	m.helps = true;
	assert_int_equal(wait_for(s, &m), 0);
	assert_int_equal(m.woken, 1);
	/* In vain: the next one does not wait. */
	m.helps = false;
	assert_int_equal(change(s, 0, 'b'), 0);
	fault_set(ON_TABLES, false, EDQUOT, INT_MAX);
	assert_int_equal(store_commit(s), -EDQUOT);
	assert_int_equal(wait_for(s, &m), -EDQUOT);
	assert_int_equal(m.woken, 1);
	m.woken = 0;
	assert_int_equal(store_room(s, 0), -EDQUOT);
	assert_int_equal(store_room_now(s, 0), -EDQUOT);
	assert_int_equal(m.woken, 0);
	fault_clear();
	store_room_maker(s, NULL, NULL);
	assert_int_equal(store_close(s), 0);
	scratch_remove(path);
}

/* A store that is opened where a quota is used up says so. */
static void test_opened_at_quota(void **state)
{
	char *path = scratch_make(), *reserve;
	struct store_options o = options_of(path, false);
	struct store_health health;
	struct store *s;

	(void)state;
	assert_int_equal(store_open(&o, NULL, &s), 0);
	assert_int_equal(store_close(s), 0);
	assert_true(asprintf(&reserve, "%s/reserve", o.path) > 0);
	assert_int_equal(unlink(reserve), 0);
	fault_set(ON_RESERVE, false, EDQUOT, INT_MAX);
	assert_int_equal(store_open(&o, NULL, &s), 0);
	assert_int_equal(fault.hits, 1);
	assert_int_equal(change(s, 0, 'a'), -EDQUOT);
	store_health(s, &health);
	assert_int_equal(health.state, STORE_FULL);
	assert_int_equal(health.error, -EDQUOT);
	fault_clear();
	store_room_made(s, false); /* (else it looks once a second) */
	store_health(s, &health);
	assert_int_equal(health.state, STORE_WELL);
	assert_int_equal(change(s, 0, 'b'), 0);
	assert_int_equal(store_close(s), 0);
	free(reserve);
	scratch_remove(path);
}

static void *wait_run(void *arg)
{
	return (void *)(intptr_t)store_room(arg, 0);
}

/* A few wait; more are refused at once, and all are when the maker goes. */
static void test_many_wait(void **state)
{
	char *path = scratch_make();
	struct store_options o = options_of(path, true);
	struct store *s = store_make(&o);
	struct maker m = {.store = s};
	pthread_t threads[ROOM_WAITERS_MAX];
	void *r;

	(void)state;
	assert_int_equal(change(s, 0, 'a'), 0);
	fault_set(ON_TABLES, false, ENOSPC, INT_MAX);
	assert_int_equal(store_commit(s), -ENOSPC);
	store_room_maker(s, maker_wake, &m);
	for (int i = 0; i < ROOM_WAITERS_MAX; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, wait_run,
						s), 0);
	while (__atomic_load_n(&m.woken, __ATOMIC_ACQUIRE) < ROOM_WAITERS_MAX)
		usleep(1000);
	assert_int_equal(store_room(s, 0), -ENOSPC);
	store_room_maker(s, NULL, NULL);
	for (int i = 0; i < ROOM_WAITERS_MAX; i++) {
		assert_int_equal(pthread_join(threads[i], &r), 0);
		assert_int_equal((intptr_t)r, -ENOSPC);
	}
	fault_clear();
	assert_int_equal(store_close(s), 0);
	scratch_remove(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_failed_syncs),
		cmocka_unit_test(test_cache_is_lost),
		cmocka_unit_test(test_failed_writes),
		cmocka_unit_test(test_commit_refused),
		cmocka_unit_test(test_log_fills),
		cmocka_unit_test(test_sync_without_room),
		cmocka_unit_test(test_waiting),
		cmocka_unit_test(test_opened_at_quota),
		cmocka_unit_test(test_many_wait),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
