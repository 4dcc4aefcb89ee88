/* SPDX-License-Identifier: Apache-2.0 */
/* The store: tables, operations, refusals, threads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <lmdb.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/store/format.h"
#include "fs/store/store.h"
#include "scratch_support.h"
#include "store_support.h"

static void put(struct store *s, enum store_table t, const char *key,
		const char *value)
{
	assert_int_equal(store_put(s, t, SLICE_STR(key), SLICE_STR(value)), 0);
}

static void assert_found(int r, struct slice key, const char *expected)
{
	if (!expected) {
		assert_int_equal(r, -ENOENT);
		return;
	}
	assert_int_equal(r, 0);
	assert_true(slice_equal(key, SLICE_STR(expected)));
}

static void test_seek(void **state)
{
	char *path = scratch_make();
	struct store_options o = options_sim(path);
	struct store *s = store_make(&o);
	static const struct {
		const char *key, *at, *before;
	} cases[] = {
		{"", "b", "f"},	 {"a", "b", NULL}, {"b", "b", NULL},
		{"c", "d", "b"}, {"d", "d", "b"},  {"dd", "f", "d"},
		{"f", "f", "d"}, {"g", NULL, "f"},
	};
	struct slice k, v;

	(void)state;
	store_lock(s);
	assert_found(store_seek(s, TABLE_DIR, SLICE_STR(""), &k, &v), k, NULL);
	assert_found(store_seek_before(s, TABLE_DIR, SLICE_STR(""), &k, &v), k,
		     NULL);
	assert_found(store_seek_before(s, TABLE_DIR, SLICE_STR("x"), &k, &v), k,
		     NULL);
	assert_int_equal(store_op_begin(s), 0);
	put(s, TABLE_DIR, "d", "2");
	put(s, TABLE_DIR, "b", "1");
	put(s, TABLE_DIR, "f", "3");
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct slice key = SLICE_STR(cases[i].key);

		assert_found(store_seek(s, TABLE_DIR, key, &k, &v), k,
			     cases[i].at);
		assert_found(store_seek_before(s, TABLE_DIR, key, &k, &v), k,
			     cases[i].before);
	}
	/* A key that came out of the store may be given back to it. */
	assert_int_equal(store_seek(s, TABLE_DIR, SLICE_STR("c"), &k, &v), 0);
	assert_int_equal(store_del(s, TABLE_DIR, k), 0);
	assert_int_equal(store_del(s, TABLE_DIR, SLICE_STR("none")), 0);
	assert_int_equal(store_op_end(s), 0);
	assert_found(store_seek(s, TABLE_DIR, SLICE_STR("c"), &k, &v), k, "f");
	assert_int_equal(store_count(s, TABLE_DIR), 2);
	store_unlock(s);
	assert_int_equal(store_close(s), 0);
	scratch_remove(path);
}

static void test_abort(void **state)
{
	char *path = scratch_make();
	struct store_options o = options_sim(path);
	struct store *s = store_make(&o);

	(void)state;
	put_one(s, "kept", "old");
	store_lock(s);
	assert_int_equal(store_op_begin(s), 0);
	assert_true(store_in_op(s));
	put(s, TABLE_OBJ, "kept", "new");
	put(s, TABLE_OBJ, "kept", "newer and longer");
	assert_int_equal(store_del(s, TABLE_OBJ, SLICE_STR("kept")), 0);
	put(s, TABLE_OBJ, "other", "x");
	store_op_abort(s);
	assert_false(store_in_op(s));
	store_unlock(s);
	assert_holds(s, "kept", "old");
	assert_holds(s, "other", NULL);
	store_abandon(s);
	s = store_make(&o);
	assert_holds(s, "kept", "old");
	assert_holds(s, "other", NULL);
	assert_int_equal(store_close(s), 0);
	scratch_remove(path);
}

static void test_clean_reopen(void **state)
{
	char *path = scratch_make();
	struct store_options o = {.path = path,
				  .map_bytes = 1u << 30,
				  .log_bytes = 65536,
				  .threads = true};
	struct store *s = store_make(&o);
	struct store_stats st;

	(void)state;
	put_one(s, "a", "1");
	assert_int_equal(store_sync(s), 0);
	assert_int_equal(store_commit(s), 0);
	assert_int_equal(store_commit(s), 0);
	store_stats(s, &st);
	assert_int_equal(st.commits, 1);
	put_one(s, "b", "2");
	assert_int_equal(store_close(s), 0);
	s = store_make(&o);
	store_stats(s, &st);
	assert_int_equal(st.replayed, 0);
	assert_holds(s, "b", "2");
	put_one(s, "c", "3");
	store_abandon(s);
	s = store_make(&o);
	store_stats(s, &st);
	assert_int_equal(st.replayed, 1);
	assert_holds(s, "c", "3");
	assert_int_equal(store_close(s), 0);
	scratch_remove(path);
}

/* ---- the log's limits */

static void big_operation(bool threads)
{
	char *path = scratch_make();
	struct store_options o = options_sim(path);
	uint8_t *value = calloc(1, 3 * SMALL_LOG);
	struct store_stats st;
	struct store *s;
	struct slice v;

	o.threads = threads;
	o.log_bytes = SMALL_LOG;
	s = store_make(&o);
	put_one(s, "before", "1");
	store_lock(s);
	assert_int_equal(store_op_begin(s), 0);
	value[7] = 7;
	assert_int_equal(store_put(s, TABLE_OBJ, SLICE_STR("big"),
				   SLICE(value, 3 * SMALL_LOG)),
			 0);
	assert_int_equal(store_op_end(s), 0);
	store_unlock(s);
	put_one(s, "after", "2");
	store_abandon(s);
	s = store_make(&o);
	store_stats(s, &st);
	assert_int_equal(st.replayed, 1);
	assert_holds(s, "before", "1");
	assert_holds(s, "after", "2");
	store_lock(s);
	assert_int_equal(store_get(s, TABLE_OBJ, SLICE_STR("big"), &v), 0);
	assert_true(slice_equal(v, SLICE(value, 3 * SMALL_LOG)));
	store_unlock(s);
	assert_int_equal(store_close(s), 0);
	free(value);
	scratch_remove(path);
}

/* Few operations may change many rows: their group is closed, too. */
static void test_many_changes(void **state)
{
	char *path = scratch_make();
	struct store_options o = options_sim(path);
	struct store_stats st;
	struct store *s;

	(void)state;
	o.log_bytes = 8u << 20;
	s = store_make(&o);
	for (uint32_t n = 0; n < 3; n++) {
		store_stats(s, &st);
		assert_int_equal(st.commits, n / 2);
		store_lock(s);
		assert_int_equal(store_op_begin(s), 0);
		for (uint32_t i = 0; i < STORE_GROUP_CHANGES_MAX / 2; i++) {
			uint8_t key[8];

			put_be64(key, (uint64_t)n << 32 | i);
			assert_int_equal(store_put(s, TABLE_OBJ, SLICE(key, 8),
						   SLICE(key, 8)),
					 0);
		}
		assert_int_equal(store_op_end(s), 0);
		store_unlock(s);
	}
	store_stats(s, &st);
	assert_int_equal(st.commits, 1);
	assert_int_equal(store_close(s), 0);
	scratch_remove(path);
}

static void test_big_operation(void **state)
{
	(void)state;
	big_operation(false);
	big_operation(true);
}

/* ---- refusals */

static int try_open(const struct store_options *o, const char *say)
{
	cleanup(buf_release) struct buf why = BUF_INIT;
	struct store *s = NULL;
	int r = store_open(o, &why, &s);

	assert_true(r < 0);
	assert_null(s);
	buf_put_u8(&why, 0);
	if (!strstr((char *)why.data, say))
		print_error("why: %s\n", (char *)why.data);
	assert_non_null(strstr((char *)why.data, say));
	return r;
}

static void set_format(const char *path, uint32_t format)
{
	char *db = scratch_path(path, "db");
	MDB_val k = {strlen(META_FORMAT), (void *)META_FORMAT}, v;
	uint8_t le[4 + VALUE_CHECK_BYTES];
	MDB_env *env;
	MDB_txn *txn;
	MDB_dbi dbi;

	put_le32(le, format);
	value_seal(TABLE_META, SLICE_STR(META_FORMAT), SLICE(le, 4), le + 4);
	v = (MDB_val){sizeof(le), le};
	assert_int_equal(mdb_env_create(&env), 0);
	assert_int_equal(mdb_env_set_maxdbs(env, 1), 0);
	assert_int_equal(mdb_env_open(env, db, MDB_NOSUBDIR, 0600), 0);
	assert_int_equal(mdb_txn_begin(env, NULL, 0, &txn), 0);
	assert_int_equal(mdb_dbi_open(txn, "meta", 0, &dbi), 0);
	assert_int_equal(mdb_put(txn, dbi, &k, &v, 0), 0);
	assert_int_equal(mdb_txn_commit(txn), 0);
	mdb_env_close(env);
	free(db);
}

static void test_refusals(void **state)
{
	char *path = scratch_make();
	char *inner = scratch_path(path, "store");
	char *deep = scratch_path(path, "no/such");
	char *db = scratch_path(inner, "db");
	struct store_options o = options_sim(inner);
	struct store *s;

	(void)state;
	o.must_exist = true;
	assert_int_equal(try_open(&o, "cannot be opened"), -ENOENT);
	assert_int_equal(mkdir(inner, 0700), 0);
	assert_int_equal(try_open(&o, "no store here"), -ENOENT);
	o.must_exist = false;
	o.path = deep;
	assert_int_equal(try_open(&o, "cannot be made"), -ENOENT);
	o.path = inner;

	s = store_make(&o);
	assert_int_equal(try_open(&o, "another process"), -EBUSY);
	put_one(s, "a", "1");
	assert_string_equal(store_path(s), inner);
	store_abandon(s);

	assert_int_equal(chmod(inner, 0750), 0);
	assert_int_equal(try_open(&o, "chmod 700"), -EPERM);
	assert_int_equal(chmod(inner, 0700), 0);
	if (!geteuid()) {
		assert_int_equal(chown(inner, 1, (gid_t)-1), 0);
		assert_int_equal(try_open(&o, "belongs to user 1"), -EPERM);
		assert_int_equal(chown(inner, 0, (gid_t)-1), 0);
	}

	set_format(inner, STORE_FORMAT + 1);
	assert_int_equal(try_open(&o, "upgrade kinfs"), -EPROTONOSUPPORT);
	set_format(inner, STORE_FORMAT - 1);
	assert_int_equal(try_open(&o, "join again"), -EPROTONOSUPPORT);
	set_format(inner, STORE_FORMAT);
	s = store_make(&o);
	assert_holds(s, "a", "1");
	assert_int_equal(store_close(s), 0);

	assert_int_equal(truncate(db, 0), 0);
	assert_int_equal(truncate(db, 100000), 0);
	assert_int_equal(try_open(&o, "tables"), -EUCLEAN);
	free(db);
	free(deep);
	free(inner);
	scratch_remove(path);
}

/* ---- threads */

#define WRITERS 4
#define WRITER_OPS 1500

struct writer {
	struct store *store;
	unsigned int number;
	int failed;
};

static void *writer_main(void *arg)
{
	struct writer *w = arg;

	for (unsigned int i = 0; i < WRITER_OPS; i++) {
		uint8_t bytes[300];
		char key[32], value[32];
		struct data_loc loc;
		int r;

		memset(bytes, (int)(w->number + i), sizeof(bytes));
		r = data_append(w->store, SLICE(bytes, sizeof(bytes)), &loc);
		snprintf(key, sizeof(key), "w%u-%u", w->number, i);
		snprintf(value, sizeof(value), "%u %llu", loc.segment,
			 (unsigned long long)loc.offset);
		store_lock(w->store);
		if (!r)
			r = store_op_begin(w->store);
		if (!r) {
			r = store_put(w->store, TABLE_OBJ, SLICE_STR(key),
				      SLICE_STR(value));
			r |= store_op_end(w->store);
		}
		store_unlock(w->store);
		if (i % 100 == 50)
			r |= store_sync(w->store);
		if (i % 500 == 250)
			r |= store_commit(w->store);
		w->failed |= r;
	}
	return NULL;
}

static void writers_check(struct store *s)
{
	for (unsigned int n = 0; n < WRITERS; n++) {
		for (unsigned int i = 0; i < WRITER_OPS; i++) {
			uint8_t bytes[300], expected[300];
			unsigned long long offset;
			char key[32], value[32] = "";
			struct data_loc loc;
			struct slice v;

			snprintf(key, sizeof(key), "w%u-%u", n, i);
			store_lock(s);
			assert_int_equal(
				store_get(s, TABLE_OBJ, SLICE_STR(key), &v), 0);
			memcpy(value, v.data, MIN_OF(v.len, 31ul));
			store_unlock(s);
			assert_int_equal(
				sscanf(value, "%u %llu", &loc.segment, &offset),
				2);
			loc.offset = offset;
			memset(expected, (int)(n + i), sizeof(expected));
			assert_int_equal(
				data_read(s, loc, bytes, sizeof(bytes)), 0);
			assert_memory_equal(bytes, expected, sizeof(bytes));
		}
	}
}

static void writers_run(bool no_sync, uint32_t group_max_ops)
{
	char *path = scratch_make();
	struct store_options o = options_sim(path);
	struct writer writers[WRITERS];
	pthread_t threads[WRITERS];
	struct store_stats st;
	struct store *s;

	o.threads = true;
	o.no_sync = no_sync;
	o.log_bytes = SMALL_LOG;
	o.group_max_ops = group_max_ops;
	o.segment_bytes = 20000; /* many segments: slots are reused */
	s = store_make(&o);
	for (unsigned int i = 0; i < WRITERS; i++) {
		writers[i] = (struct writer){.store = s, .number = i};
		assert_int_equal(pthread_create(&threads[i], NULL, writer_main,
						&writers[i]),
				 0);
	}
	for (unsigned int i = 0; i < WRITERS; i++) {
		pthread_join(threads[i], NULL);
		assert_int_equal(writers[i].failed, 0);
	}
	store_stats(s, &st);
	assert_int_equal(st.ops, WRITERS * WRITER_OPS);
	assert_int_equal(st.data_bytes, WRITERS * WRITER_OPS * 300);
	assert_true(st.commits > 0);
	store_abandon(s);
	s = store_make(&o);
	writers_check(s);
	assert_int_equal(store_close(s), 0);
	scratch_remove(path);
}

static void test_writers(void **state)
{
	(void)state;
	writers_run(true, 100000);
	writers_run(true, 20);
	writers_run(false, 1000);
}

/* The owner thread commits an old group by itself. */
static void test_group_age(void **state)
{
	char *path = scratch_make();
	struct store_options o = options_sim(path);
	struct store_stats st = {0};
	struct store *s;

	(void)state;
	o.threads = true;
	o.group_max_ms = 20;
	s = store_make(&o);
	put_one(s, "a", "1");
	for (int i = 0; i < 5000 && !st.commits; i++) {
		usleep(1000);
		store_stats(s, &st);
	}
	assert_int_equal(st.commits, 1);
	assert_int_equal(store_close(s), 0);
	scratch_remove(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_seek),
		cmocka_unit_test(test_abort),
		cmocka_unit_test(test_clean_reopen),
		cmocka_unit_test(test_many_changes),
		cmocka_unit_test(test_big_operation),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_writers),
		cmocka_unit_test(test_group_age),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
