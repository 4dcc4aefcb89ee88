/* SPDX-License-Identifier: Apache-2.0 */
/* Crashes, damaged logs and failures: what ended survives, all of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fs/store/store.h"
#include "scratch_support.h"
#include "store_support.h"

/* ---- random operations against a model */

#define MODEL_KEYS 40
#define MODEL_TABLES 3

struct model {
	/* 0: absent; else what the value is made from. */
	uint32_t value[MODEL_TABLES][MODEL_KEYS];
};

static const enum store_table model_table[MODEL_TABLES] = {
	TABLE_OBJ,
	TABLE_DIR,
	TABLE_PENDING,
};

static struct slice model_key(unsigned int i, char buf[16])
{
	return SLICE(buf, (size_t)snprintf(buf, 16, "key-%u", i * i));
}

static struct slice model_value(uint32_t value, uint8_t buf[1024])
{
	size_t len = value % 7 ? value % 100 : value % 1000;

	for (size_t i = 0; i < len; i++)
		buf[i] = (uint8_t)(value >> (i % 4 * 8));
	return SLICE(buf, len);
}

static void model_compare(struct store *s, const struct model *m)
{
	char key[16];
	uint8_t buf[1024];

	store_lock(s);
	for (unsigned int t = 0; t < MODEL_TABLES; t++) {
		uint64_t count = 0;

		for (unsigned int i = 0; i < MODEL_KEYS; i++) {
			struct slice v;
			int r = store_get(s, model_table[t], model_key(i, key),
					  &v);

			count += m->value[t][i] != 0;
			assert_int_equal(r, m->value[t][i] ? 0 : -ENOENT);
			if (!r)
				assert_true(slice_equal(
					v, model_value(m->value[t][i], buf)));
		}
		assert_int_equal(store_count(s, model_table[t]), count);
	}
	store_unlock(s);
}

/* One operation of random puts and deletes, ended or aborted. */
static void model_step(struct store *s, struct model *m, uint64_t *rng)
{
	struct model next = *m;
	uint32_t n = scratch_random(rng, 6);
	char key[16];
	uint8_t buf[1024];

	store_lock(s);
	assert_int_equal(store_op_begin(s), 0);
	for (uint32_t i = 0; i < n; i++) {
		uint32_t t = scratch_random(rng, MODEL_TABLES);
		uint32_t k = scratch_random(rng, MODEL_KEYS);
		uint32_t v = scratch_random(rng, 3)
				     ? 1 + scratch_random(rng, 1u << 30)
				     : 0;
		struct slice sk = model_key(k, key);

		next.value[t][k] = v;
		assert_int_equal(v ? store_put(s, model_table[t], sk,
					       model_value(v, buf))
				   : store_del(s, model_table[t], sk),
				 0);
	}
	if (scratch_random(rng, 5)) {
		assert_int_equal(store_op_end(s), 0);
		*m = next;
	} else {
		store_op_abort(s);
	}
	store_unlock(s);
}

static void model_run(uint64_t seed, bool threads)
{
	char *path = scratch_make();
	uint64_t rng = seed * 7919 + 1;
	struct store_options o = options_sim(path);
	struct model m = {0};
	struct store *s;

	o.threads = threads;
	o.log_bytes = SMALL_LOG;
	o.group_max_ms = 1 + scratch_random(&rng, 1000);
	for (int life = 0; life < 6; life++) {
		uint32_t steps = scratch_random(&rng, 250);

		o.group_max_ops = scratch_random(&rng, 2)
					  ? 1 + scratch_random(&rng, 40)
					  : 100000;
		s = store_make(&o);
		model_compare(s, &m);
		for (uint32_t i = 0; i < steps; i++) {
			model_step(s, &m, &rng);
			if (!scratch_random(&rng, 60))
				assert_int_equal(store_commit(s), 0);
			if (!scratch_random(&rng, 60))
				assert_int_equal(store_sync(s), 0);
		}
		model_compare(s, &m);
		if (scratch_random(&rng, 4))
			store_abandon(s);
		else
			assert_int_equal(store_close(s), 0);
	}
	s = store_make(&o);
	model_compare(s, &m);
	assert_int_equal(store_close(s), 0);
	scratch_remove(path);
}

static void test_crashes(void **state)
{
	(void)state;
	for (uint64_t seed = 0; seed < 120; seed++)
		model_run(seed, false);
}

static void test_crashes_with_threads(void **state)
{
	(void)state;
	for (uint64_t seed = 1000; seed < 1030; seed++)
		model_run(seed, true);
}

/* ---- a process that is really killed */

/* Does operations for ever, and tells the number of each that ended. */
static void victim_main(const struct store_options *o, uint32_t first, int fd)
{
	struct store *s;
	char key[32];

	if (store_open(o, NULL, &s))
		_exit(1);
	for (uint32_t i = first;; i++) {
		snprintf(key, sizeof(key), "key-%u", i);
		store_lock(s);
		if (store_op_begin(s) ||
		    store_put(s, TABLE_OBJ, SLICE_STR(key), SLICE_STR(key)) ||
		    store_put(s, TABLE_DIR, SLICE_STR(key), SLICE_STR(key)) ||
		    store_op_end(s))
			_exit(2);
		store_unlock(s);
		if (write(fd, &i, sizeof(i)) != sizeof(i))
			_exit(3);
	}
}

static void test_killed(void **state)
{
	char *path = scratch_make();
	struct store_options o = options_sim(path);
	uint64_t rng = 5;
	uint32_t next = 0;

	(void)state;
	o.threads = true;
	o.log_bytes = SMALL_LOG;
	o.group_max_ops = 100;
	for (int life = 0; life < 10; life++) {
		uint32_t stop = next + 1 + scratch_random(&rng, 2000), i;
		struct store *s;
		int fds[2], status;
		char key[32];
		pid_t pid;

		assert_int_equal(pipe(fds), 0);
		pid = fork();
		assert_true(pid >= 0);
		if (!pid)
			victim_main(&o, next, fds[1]);
		close(fds[1]);
		while (read(fds[0], &i, sizeof(i)) == sizeof(i)) {
			next = i + 1;
			if (i == stop)
				kill(pid, SIGKILL);
		}
		close(fds[0]);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFSIGNALED(status));
		s = store_make(&o);
		for (i = 0; i < next; i++) {
			snprintf(key, sizeof(key), "key-%u", i);
			assert_holds(s, key, key);
		}
		store_lock(s);
		/* One more may have ended and not been told. */
		assert_in_range(store_count(s, TABLE_OBJ), next, next + 1);
		assert_int_equal(store_count(s, TABLE_OBJ),
				 store_count(s, TABLE_DIR));
		next = (uint32_t)store_count(s, TABLE_OBJ);
		store_unlock(s);
		store_abandon(s);
	}
	scratch_remove(path);
}

/* ---- damaged logs */

/* The end of the log is cut or garbled: only the last operation is lost. */
static void test_torn_tail(void **state)
{
	(void)state;
	for (int garble = 0; garble < 2; garble++) {
		char *path = scratch_make();
		char *log = scratch_path(path, "log/0");
		struct store_options o = options_sim(path);
		struct store *s = store_make(&o);
		struct stat st;

		put_one(s, "first", "1");
		put_one(s, "last", "2");
		store_abandon(s);
		assert_int_equal(stat(log, &st), 0);
		if (garble) {
			int fd = open(log, O_RDWR);

			assert_int_equal(pwrite(fd, "x", 1, st.st_size - 1), 1);
			close(fd);
		} else {
			assert_int_equal(truncate(log, st.st_size - 1), 0);
		}
		s = store_make(&o);
		assert_holds(s, "first", "1");
		assert_holds(s, "last", NULL);
		put_one(s, "next", "3");
		store_abandon(s);
		s = store_make(&o);
		assert_holds(s, "first", "1");
		assert_holds(s, "last", NULL);
		assert_holds(s, "next", "3");
		assert_int_equal(store_close(s), 0);
		free(log);
		scratch_remove(path);
	}
}

/*
 * A hole in the log: what is behind it is dropped, once and for all, and
 * the log goes on.
 */
static void test_hole(void **state)
{
	char *path = scratch_make();
	char *log = scratch_path(path, "log/1");
	struct store_options o = options_sim(path);
	struct store *s;
	int fd, kept = 0, old;
	char key[16];

	(void)state;
	o.log_bytes = SMALL_LOG;
	s = store_make(&o);
	for (int i = 0; i < 300; i++) {
		snprintf(key, sizeof(key), "key-%03d", i);
		put_one(s, key, "value");
	}
	store_abandon(s);
	fd = open(log, O_RDWR);
	assert_int_equal(pwrite(fd, "x", 1, 20), 1);
	close(fd);
	for (int life = 0; life < 4; life++) {
		s = store_make(&o);
		store_lock(s);
		old = kept;
		kept = (int)store_count(s, TABLE_OBJ);
		store_unlock(s);
		assert_true(kept > 0 && kept < 100);
		assert_int_equal(kept, life ? old + 1 : kept);
		assert_holds(s, "key-000", "value");
		assert_holds(s, "key-299", NULL);
		snprintf(key, sizeof(key), "new-%d", life);
		put_one(s, key, "value");
		store_abandon(s);
	}
	free(log);
	scratch_remove(path);
}

/* Died while LMDB made its file: two pages, not all of them written. */
static void unborn(size_t bytes, bool has_log, bool is_store)
{
	char *path = scratch_make();
	char *db = scratch_path(path, "db");
	char *log = scratch_path(path, "log");
	struct store_options o = options_sim(path);
	struct store *s;
	FILE *f = fopen(db, "w");

	assert_non_null(f);
	for (size_t i = 0; i < bytes; i++)
		fputc(i % 4096 == 18, f);
	assert_int_equal(fclose(f), 0);
	if (has_log)
		assert_int_equal(mkdir(log, 0700), 0);
	if (is_store) {
		s = store_make(&o);
		put_one(s, "a", "1");
		assert_int_equal(store_close(s), 0);
		s = store_make(&o);
		assert_holds(s, "a", "1");
		assert_int_equal(store_close(s), 0);
	} else {
		assert_int_equal(store_open(&o, NULL, &s), -EUCLEAN);
	}
	free(log);
	free(db);
	scratch_remove(path);
}

static void test_unborn(void **state)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	(void)state;
	unborn(0, false, true);
	unborn(page, false, true);
	unborn(2 * page, false, true);
	/* That was a store. */
	unborn(3 * page, false, false);
	unborn(2 * page, true, false);
}

/* ---- failures */

/* Less than one log segment holds, so that no group is closed early. */
#define FAILED_OPS 50

/* A commit that cannot be written: the store stops, and nothing is lost. */
static void failed_commit(bool threads)
{
	char *path = scratch_make();
	char *db = scratch_path(path, "db");
	struct store_options o = options_sim(path);
	struct rlimit old, small;
	char key[32], value[1024], *large;
	struct store *s;
	struct stat st;

	o.threads = threads;
	memset(value, 'v', sizeof(value));
	value[sizeof(value) - 1] = '\0';
	s = store_make(&o);
	put_one(s, "early", "0");
	large = calloc(1, o.log_bytes);
	memset(large, 'l', o.log_bytes - 1);
	put_one(s, "large", large);
	assert_int_equal(store_commit(s), 0);
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	/* Room for the log, but not for one more page of LMDB. */
	assert_int_equal(stat(db, &st), 0);
	assert_true((uint64_t)st.st_size >= o.log_bytes);
	small = (struct rlimit){.rlim_cur = (rlim_t)st.st_size,
				.rlim_max = old.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	for (int i = 0; i < FAILED_OPS; i++) {
		snprintf(key, sizeof(key), "key-%d", i);
		put_one(s, key, value);
	}
	assert_true(store_commit(s) < 0);
	assert_true(store_failure(s) < 0);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);

	assert_holds(s, "early", "0");
	assert_holds(s, "key-49", value);
	store_lock(s);
	assert_int_equal(store_op_begin(s), -EROFS);
	store_unlock(s);
	assert_int_equal(store_sync(s), store_failure(s));
	assert_int_equal(store_commit(s), store_failure(s));
	assert_true(store_close(s) < 0);

	s = store_make(&o);
	for (int i = 0; i < FAILED_OPS; i++) {
		snprintf(key, sizeof(key), "key-%d", i);
		assert_holds(s, key, value);
	}
	assert_int_equal(store_close(s), 0);
	free(large);
	free(db);
	scratch_remove(path);
}

static void test_failed_commit(void **state)
{
	(void)state;
	failed_commit(false);
	failed_commit(true);
}

/* LMDB drops a transaction whose put failed: it is made again. */
static void map_full(bool threads)
{
	char *path = scratch_make();
	struct store_options o = options_sim(path);
	char value[4096];
	struct store *s;
	int r = 0;

	o.threads = threads;
	o.map_bytes = 1u << 20;
	s = store_make(&o);
	put_one(s, "a", "1");
	assert_int_equal(store_commit(s), 0);
	put_one(s, "b", "2");
	memset(value, 'x', sizeof(value));
	store_lock(s);
	assert_int_equal(store_op_begin(s), 0);
	for (int i = 0; !r && i < 1000; i++) {
		char key[32];

		snprintf(key, sizeof(key), "key-%d", i);
		r = store_put(s, TABLE_OBJ, SLICE_STR(key),
			      SLICE(value, sizeof(value)));
	}
	assert_int_equal(r, -ENOSPC);
	assert_int_equal(store_op_end(s), -ENOSPC);
	store_unlock(s);
	assert_holds(s, "a", "1");
	assert_holds(s, "b", "2");
	assert_holds(s, "key-0", NULL);
	put_one(s, "c", "3");
	assert_int_equal(store_close(s), 0);
	s = store_make(&o);
	assert_holds(s, "b", "2");
	assert_holds(s, "c", "3");
	assert_int_equal(store_close(s), 0);
	scratch_remove(path);
}

static void test_map_full(void **state)
{
	(void)state;
	map_full(false);
	map_full(true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_crashes),
		cmocka_unit_test(test_crashes_with_threads),
		cmocka_unit_test(test_killed),
		cmocka_unit_test(test_torn_tail),
		cmocka_unit_test(test_hole),
		cmocka_unit_test(test_unborn),
		cmocka_unit_test(test_failed_commit),
		cmocka_unit_test(test_map_full),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
