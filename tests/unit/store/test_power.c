/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Power cuts: what was synced is there, whole; what was not is gone with all
 * that came after it, and stays away.
 *
 * A cut is played on the files of an abandoned store: data that no sync or
 * commit has reached is zeroed or cut off, and each sector of the log is the
 * one of the last sync or of the end, as chance has it. Then the store is
 * opened with another boot id. fdatasync() and fsync() are replaced here: a
 * test may look, or do something, at the very moment of a sync.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/store/format.h"
#include "fs/store/segment.h"
#include "fs/store/store.h"
#include "history_support.h"
#include "scratch_support.h"
#include "store_support.h"

/* A log of which a sync copies at most so much data. */
#define ROOMY_LOG 16384
#define COPIED_MAX (ROOMY_LOG / 8)
/* A mark with 100 bytes of data (in the first bytes of a segment). */
#define MARK_BYTES (LOG_HEADER_BYTES + 4 + 100)

/* ---- syncs */

/* Of each thread: what an owner thread syncs is no part of a test's sync. */
static __thread struct {
	char trace[64]; /* s data, l log, d tables, for each fdatasync() */
	size_t count;
	char file; /* the hook is called once, at the next sync of this */
	void (*hook)(void *arg);
	void *arg;
} syncs;

static void sync_hook(char file, void (*hook)(void *arg), void *arg)
{
	syncs.hook = hook;
	syncs.arg = arg;
	syncs.file = file;
}

static char file_kind(int fd)
{
	char link[64], name[4096];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, name, sizeof(name) - 1);
	name[n < 0 ? 0 : n] = '\0';
	if (strstr(name, "/seg/"))
		return 's';
	return strstr(name, "/log/") ? 'l' : 'd';
}

/* Nothing has to get to a disk here. */
int fdatasync(int fd)
{
	char file;

	if (!syncs.file)
		return 0;
	file = file_kind(fd);
	if (syncs.count < sizeof(syncs.trace) - 1)
		syncs.trace[syncs.count++] = file;
	if (file == syncs.file && syncs.hook) {
		void (*hook)(void *arg) = syncs.hook;

		syncs.hook = NULL;
		hook(syncs.arg);
	}
	return 0;
}

int fsync(int fd)
{
	(void)fd;
	return 0;
}

static void trace_start(void)
{
	memset(&syncs, 0, sizeof(syncs));
	sync_hook('-', NULL, NULL);
}

static void hook_op(void *arg)
{
	history_op_any(arg);
}

/* ---- tests */

static void cut_once(bool threads, enum loss data, enum loss log)
{
	struct history h;

	history_init(&h, 1);
	h.options.threads = threads;
	history_open(&h, 0);
	history_op(&h, 0, 1000);
	history_op(&h, 1, 0);
	history_sync(&h);
	/* What names no data must go too: it may build on what does. */
	history_op(&h, 2, 2000);
	history_op(&h, 0, 0);
	history_op(&h, 1, 50);
	assert_int_equal(history_cut(&h, data, log), 2);
	history_open(&h, 2);
	/* In the new boot nothing of it comes back, over any number of lives */
	store_abandon(steal(&h.store));
	history_open(&h, 2);
	history_op(&h, 3, 700);
	store_abandon(steal(&h.store));
	history_open(&h, 3);
	history_op(&h, 4, 700);
	assert_int_equal(history_cut(&h, data, log), 3);
	history_open(&h, 3);
	assert_int_equal(store_close(h.store), 0);
	/* Nor in the old one. */
	snprintf(h.boot, sizeof(h.boot), "boot-0");
	history_open(&h, 3);
	assert_int_equal(store_close(h.store), 0);
	history_release(&h);
}

static void test_cut(void **state)
{
	(void)state;
	for (enum loss data = LOSS_NONE; data <= LOSS_ALL; data++) {
		for (enum loss log = LOSS_NONE; log <= LOSS_ALL; log++) {
			cut_once(false, data, log);
			cut_once(true, data, log);
		}
	}
}

/* Nothing was ever synced: nothing is left, or what a commit holds. */
static void test_never_synced(void **state)
{
	struct history h;

	(void)state;
	history_init(&h, 2);
	history_open(&h, 0);
	history_op(&h, 0, 100);
	history_op(&h, 1, 0);
	assert_int_equal(history_cut(&h, LOSS_ALL, LOSS_NONE), 0);
	history_open(&h, 0);
	history_op(&h, 0, 100);
	assert_int_equal(store_commit(h.store), 0);
	history_op(&h, 1, 100);
	assert_int_equal(history_cut(&h, LOSS_ALL, LOSS_NONE), 1);
	history_open(&h, 1);
	assert_int_equal(store_close(h.store), 0);
	history_release(&h);
}

/* The process dies, the page cache lives: all of it is there. */
static void test_same_boot(void **state)
{
	struct history h;

	(void)state;
	history_init(&h, 3);
	h.options.boot_id = NULL; /* the kernel's, which is this one's */
	history_open(&h, 0);
	history_op(&h, 0, 100);
	history_sync(&h);
	history_op(&h, 1, 100);
	history_op(&h, 2, 0);
	store_abandon(h.store);
	trace_start();
	history_open(&h, 3);
	/* The commit of what was replayed names data that nobody had synced. */
	assert_non_null(strchr(syncs.trace, 's'));
	assert_true(strchr(syncs.trace, 's') < strchr(syncs.trace, 'd'));
	store_abandon(h.store);
	h.options.boot_id = "of the next";
	history_open(&h, 3);
	assert_int_equal(store_close(h.store), 0);
	memset(&syncs, 0, sizeof(syncs));
	history_release(&h);
}

static void remove_boot(const char *path)
{
	char *db = scratch_path(path, "db");
	MDB_val k = {strlen(META_BOOT), (void *)META_BOOT};
	MDB_env *env;
	MDB_txn *txn;
	MDB_dbi dbi;

	assert_int_equal(mdb_env_create(&env), 0);
	assert_int_equal(mdb_env_set_maxdbs(env, 1), 0);
	assert_int_equal(mdb_env_open(env, db, MDB_NOSUBDIR, 0600), 0);
	assert_int_equal(mdb_txn_begin(env, NULL, 0, &txn), 0);
	assert_int_equal(mdb_dbi_open(txn, "meta", 0, &dbi), 0);
	assert_int_equal(mdb_del(txn, dbi, &k, NULL), 0);
	assert_int_equal(mdb_txn_commit(txn), 0);
	mdb_env_close(env);
	free(db);
}

static void test_boot_ids(void **state)
{
	static const char *const bad[] = {
		"",
		"12345678901234567890123456789012"
		"123456789012345678901234567890123",
	};
	struct store *s = NULL;
	struct history h;

	(void)state;
	history_init(&h, 4);
	history_open(&h, 0);
	history_op(&h, 0, 100);
	history_sync(&h);
	history_op(&h, 1, 100);
	store_abandon(h.store);
	remove_boot(h.path);
	history_open(&h, 1);
	history_op(&h, 1, 100);
	store_abandon(h.store);
	/* Refused before anything is changed. */
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		h.options.boot_id = bad[i];
		assert_int_equal(store_open(&h.options, NULL, &s), -EINVAL);
	}
	h.options.boot_id = h.boot;
	history_open(&h, 2);
	assert_int_equal(store_close(h.store), 0);
	history_release(&h);
}

/* A mark torn or lost: the one before counts. */
static void test_torn_mark(void **state)
{
	(void)state;
	for (int torn = 0; torn < 2; torn++) {
		struct store_stats st;
		struct history h;
		uint8_t bytes[LOG_HEADER_BYTES] = {0};
		off_t at;
		char *name;
		int fd;

		history_init(&h, 5);
		name = history_log(&h, 0);
		history_open(&h, 0);
		history_op(&h, 0, 100);
		history_sync(&h);
		history_op(&h, 1, 100);
		assert_int_equal(store_sync(h.store), 0);
		store_stats(h.store, &st);
		assert_int_equal(history_cut(&h, LOSS_ALL, LOSS_NONE), 1);
		fd = open(name, O_RDWR);
		at = (off_t)st.log_bytes - MARK_BYTES;
		/* (a byte of a checksum, which may be any) */
		if (torn)
			assert_int_equal(pread(fd, bytes, 1, at), 1);
		bytes[0] = (uint8_t)~bytes[0];
		assert_int_equal(pwrite(fd, bytes, torn ? 1 : sizeof(bytes),
					at), torn ? 1 : sizeof(bytes));
		close(fd);
		history_open(&h, 1);
		assert_int_equal(store_close(h.store), 0);
		free(name);
		history_release(&h);
	}
}

/* An idle store's log does not grow, however often it is synced. */
static void test_idle(void **state)
{
	struct store_stats before, after;
	struct data_loc loc;
	struct history h;

	(void)state;
	history_init(&h, 6);
	history_open(&h, 0);
	history_sync(&h);
	store_stats(h.store, &after);
	assert_int_equal(after.log_bytes, 0);
	history_op(&h, 0, 100);
	store_stats(h.store, &before);
	history_sync(&h);
	store_stats(h.store, &after);
	/* (the mark has the data, and where it belongs) */
	assert_int_equal(after.log_bytes,
			 before.log_bytes + LOG_HEADER_BYTES + 4 + 100);
	for (int i = 0; i < 3; i++)
		history_sync(&h);
	/* Data that no operation names is nobody's. */
	assert_int_equal(data_append(h.store, SLICE_STR("x"), &loc), 0);
	history_sync(&h);
	store_stats(h.store, &before);
	assert_int_equal(after.log_bytes, before.log_bytes);
	/* A commit needs no mark. */
	history_op(&h, 1, 100);
	assert_int_equal(store_commit(h.store), 0);
	store_stats(h.store, &before);
	history_sync(&h);
	store_stats(h.store, &after);
	assert_int_equal(after.log_bytes, before.log_bytes);
	assert_int_equal(store_close(h.store), 0);
	history_release(&h);
}

/* ---- the order of a sync */

struct moment {
	struct history *history;
	char *path; /* a copy of the store as it was then */
};

static void hook_copy(void *arg)
{
	struct moment *m = arg;
	char command[512];

	assert_true(snprintf(command, sizeof(command),
			     "cp -a --sparse=always '%s' '%s'",
			     m->history->path, m->path) < (int)sizeof(command));
	assert_int_equal(system(command), 0);
}

/*
 * The power is cut within a sync, at the moment when a file of this kind is
 * about to be synced, and the data that no sync has reached is lost; the
 * log is all there, as the kernel may have written it.
 */
static void cut_within(char file, uint32_t len, uint32_t left)
{
	char *outer = scratch_make();
	struct moment m = {.path = scratch_path(outer, "copy")};
	struct store_options o;
	struct history h;
	struct store *s;

	history_init(&h, 7);
	h.options.log_bytes = ROOMY_LOG;
	m.history = &h;
	history_open(&h, 0);
	history_op(&h, 0, len);
	history_sync(&h);
	history_op(&h, 1, len);
	history_op(&h, 2, 0);
	sync_hook(file, hook_copy, &m);
	assert_int_equal(store_sync(h.store), 0);
	assert_null(syncs.hook);
	history_cut_data(&h, m.path,
			 len > COPIED_MAX ? left : h.data_synced, LOSS_ALL);
	o = h.options;
	o.path = m.path;
	o.boot_id = "another";
	s = store_make(&o);
	history_compare(&h, s, left);
	assert_int_equal(store_close(s), 0);
	assert_int_equal(store_close(h.store), 0);
	memset(&syncs, 0, sizeof(syncs));
	free(m.path);
	history_release(&h);
	scratch_remove(outer);
}

static void test_order(void **state)
{
	(void)state;
	/* No mark before the data is on disk. */
	cut_within('s', COPIED_MAX + 1, 1);
	/* What syncs the log syncs the mark, and the data with it. */
	cut_within('l', COPIED_MAX + 1, 3);
	cut_within('l', 100, 3);
}

/* Operations until one is the first of a new lap. */
static void hook_lap(void *arg)
{
	struct moment *m = arg;
	char *name = history_log(m->history, 1);
	uint8_t record[LOG_HEADER_BYTES] = {0};
	int fd = open(name, O_RDONLY);

	assert_true(fd >= 0);
	while (!memcmp(record, (uint8_t[LOG_HEADER_BYTES]){0},
		       sizeof(record))) {
		history_op(m->history, 5, 0);
		assert_int_equal(pread(fd, record, sizeof(record), 0),
				 sizeof(record));
	}
	close(fd);
	free(name);
	hook_copy(m);
}

/*
 * While the log is synced that has the copy, further operations go to another
 * of its segments, which reaches the disk first: they must not say yet that
 * the data is safe.
 */
static void test_mark_of_a_copy(void **state)
{
	char *outer = scratch_make();
	struct moment m = {.path = scratch_path(outer, "copy")};
	char *first = scratch_path(m.path, "log/0");
	static const uint8_t zeros[LOG_HEADER_BYTES];
	struct store_options o;
	struct store_stats st;
	struct history h;
	struct store *s;
	int fd;

	(void)state;
	history_init(&h, 9);
	h.options.log_bytes = ROOMY_LOG;
	m.history = &h;
	history_open(&h, 0);
	history_op(&h, 0, 100);
	history_sync(&h);
	history_op(&h, 1, 100);
	store_stats(h.store, &st);
	sync_hook('l', hook_lap, &m);
	assert_int_equal(store_sync(h.store), 0);
	assert_null(syncs.hook);
	history_cut_data(&h, m.path, h.data_synced, LOSS_ALL);
	/* The operation is there, and the mark with its data is not. */
	fd = open(first, O_RDWR);
	assert_int_equal(pwrite(fd, zeros, sizeof(zeros),
				(off_t)st.log_bytes),
			 sizeof(zeros));
	close(fd);
	o = h.options;
	o.path = m.path;
	o.boot_id = "another";
	s = store_make(&o);
	history_compare(&h, s, 1);
	assert_int_equal(store_close(s), 0);
	assert_int_equal(store_close(h.store), 0);
	memset(&syncs, 0, sizeof(syncs));
	free(first);
	free(m.path);
	history_release(&h);
	scratch_remove(outer);
}

struct copying {
	struct segments *segments;
	struct buf record;
};

static void hook_copying(void *arg)
{
	struct copying *c = arg;

	log_record_begin(&c->record);
	assert_int_equal(segments_copy_unsynced(c->segments, 100, &c->record),
			 1);
}

/* While a sync is on its way nobody may take its data for durable. */
static void test_copy_beside_a_sync(void **state)
{
	char *path = scratch_make(), *seg = scratch_path(path, "seg");
	struct copying c = {.record = BUF_INIT};
	struct data_loc loc;

	(void)state;
	assert_int_equal(mkdir(seg, 0700), 0);
	assert_int_equal(segments_open(open(seg, O_RDONLY | O_DIRECTORY), 1000,
				       false, false, &c.segments),
			 0);
	assert_int_equal(segments_append(c.segments, SLICE_STR("data"), &loc),
			 0);
	sync_hook('s', hook_copying, &c);
	assert_int_equal(segments_sync(c.segments), 0);
	assert_null(syncs.hook);
	assert_int_equal(c.record.len, LOG_HEADER_BYTES + 4 + 4);
	assert_memory_equal(c.record.data + c.record.len - 4, "data", 4);
	/* And then it is. */
	hook_copying(&c);
	assert_int_equal(c.record.len, LOG_HEADER_BYTES);
	/* Too much is not copied, and not forgotten either. */
	for (int i = 0; i < 30; i++)
		assert_int_equal(
			segments_append(c.segments, SLICE_STR("data"), &loc),
			0);
	assert_int_equal(segments_copy_unsynced(c.segments, 119, &c.record),
			 0);
	assert_int_equal(segments_copy_unsynced(c.segments, 120, &c.record),
			 1);
	/* A copy that did not get into the log: only a sync helps. */
	segments_copy_lost(c.segments);
	for (int i = 0; i < 2; i++)
		assert_int_equal(segments_copy_unsynced(c.segments, 120,
							&c.record),
				 0);
	assert_int_equal(segments_sync(c.segments), 0);
	assert_int_equal(segments_copy_unsynced(c.segments, 120, &c.record),
			 1);
	memset(&syncs, 0, sizeof(syncs));
	segments_close(c.segments);
	buf_release(&c.record);
	free(seg);
	scratch_remove(path);
}

/* What a sync copied is in no segment until the next commit, or recovery. */
static void test_copies(void **state)
{
	struct store_stats st;
	struct history h;

	(void)state;
	history_init(&h, 10);
	h.options.log_bytes = ROOMY_LOG;
	history_open(&h, 0);
	for (uint32_t i = 1; i <= 4; i++) {
		history_op(&h, i, 100);
		trace_start();
		history_sync(&h);
		assert_string_equal(syncs.trace, "l");
	}
	store_stats(h.store, &st);
	assert_int_equal(st.copies, 4);
	assert_int_equal(h.data_synced, 0);
	/* More than may be copied: all is synced, also what was copied. */
	history_op(&h, 5, COPIED_MAX + 1);
	trace_start();
	history_sync(&h);
	assert_string_equal(syncs.trace, "sl");
	history_op(&h, 6, 200);
	history_sync(&h);
	store_stats(h.store, &st);
	assert_int_equal(st.copies, 5);
	assert_int_equal(h.data_synced, 5);
	assert_int_equal(history_cut(&h, LOSS_ALL, LOSS_ALL), 6);
	/* Data is in its place before a commit forgets the copies. */
	trace_start();
	history_open(&h, 6);
	assert_non_null(strchr(syncs.trace, 's'));
	assert_true(strchr(syncs.trace, 's') < strchr(syncs.trace, 'd'));
	memset(&syncs, 0, sizeof(syncs));
	assert_int_equal(store_close(h.store), 0);
	history_release(&h);
}

/* Operations that end while data is being synced are not marked. */
static void test_meanwhile(void **state)
{
	(void)state;
	for (int threads = 0; threads < 2; threads++) {
		for (int file = 0; file < 2; file++) {
			struct history h;

			history_init(&h, 8);
			h.options.threads = threads;
			h.options.log_bytes = ROOMY_LOG;
			history_open(&h, 0);
			history_op(&h, 0, file ? COPIED_MAX + 1 : 100);
			sync_hook(file ? 's' : 'l', hook_op, &h);
			history_sync(&h);
			assert_int_equal(h.count, 2);
			assert_int_equal(h.synced, 1);
			assert_int_equal(history_cut(&h, LOSS_ALL, LOSS_NONE),
					 1);
			history_open(&h, 1);
			/* The next sync has it all. */
			history_op(&h, 3, file ? COPIED_MAX + 1 : 100);
			sync_hook(file ? 's' : 'l', hook_op, &h);
			history_sync(&h);
			assert_null(syncs.hook);
			history_sync(&h);
			assert_int_equal(h.synced, 3);
			assert_int_equal(history_cut(&h, LOSS_ALL, LOSS_ALL),
					 3);
			history_open(&h, 3);
			assert_int_equal(store_close(h.store), 0);
			memset(&syncs, 0, sizeof(syncs));
			history_release(&h);
		}
	}
}

/* ---- many histories */

static void random_options(struct history *h, bool roomy)
{
	struct store_options *o = &h->options;

	if (roomy)
		return;
	o->log_bytes = SMALL_LOG;
	o->segment_bytes = 5000 + scratch_random(&h->rng, 40000);
	o->group_max_ms = 1 + scratch_random(&h->rng, 1000);
	o->group_max_ops = scratch_random(&h->rng, 2)
				   ? 1 + scratch_random(&h->rng, 40)
				   : 100000;
}

static uint32_t random_end(struct history *h)
{
	switch (scratch_random(&h->rng, 5)) {
	case 0:
		assert_int_equal(store_close(steal(&h->store)), 0);
		if (scratch_random(&h->rng, 2))
			snprintf(h->boot, sizeof(h->boot), "boot-%u",
				 ++h->boots);
		return h->count;
	case 1:
		store_abandon(steal(&h->store));
		return h->count;
	}
	return history_cut(h, scratch_random(&h->rng, 3),
			   scratch_random(&h->rng, 3));
}

/*
 * With room enough no group is closed but by the test, and operations may
 * end in the middle of a sync; else all is small and recycled soon.
 */
static void random_run(uint64_t seed, bool threads, bool roomy)
{
	struct history h;
	uint32_t n = 0;

	history_init(&h, seed);
	h.options.threads = threads;
	for (int life = 0; life < 8; life++) {
		uint32_t steps = scratch_random(&h.rng, 120);

		random_options(&h, roomy);
		history_open(&h, n);
		for (uint32_t i = 0; i < steps; i++) {
			history_op_any(&h);
			if (!scratch_random(&h.rng, 100))
				assert_int_equal(store_commit(h.store), 0);
			if (scratch_random(&h.rng, 12))
				continue;
			if (roomy && scratch_random(&h.rng, 2))
				sync_hook('s', hook_op, &h);
			history_sync(&h);
			memset(&syncs, 0, sizeof(syncs));
		}
		n = random_end(&h);
	}
	history_open(&h, n);
	assert_int_equal(store_close(h.store), 0);
	history_release(&h);
}

static void test_random(void **state)
{
	(void)state;
	for (uint64_t seed = 0; seed < 100; seed++)
		random_run(seed, false, seed % 2);
}

static void test_random_with_threads(void **state)
{
	(void)state;
	for (uint64_t seed = 1000; seed < 1050; seed++)
		random_run(seed, true, seed % 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_never_synced),
		cmocka_unit_test(test_same_boot),
		cmocka_unit_test(test_boot_ids),
		cmocka_unit_test(test_torn_mark),
		cmocka_unit_test(test_idle),
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_mark_of_a_copy),
		cmocka_unit_test(test_copy_beside_a_sync),
		cmocka_unit_test(test_copies),
		cmocka_unit_test(test_meanwhile),
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_random_with_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
