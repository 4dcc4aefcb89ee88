/* SPDX-License-Identifier: Apache-2.0 */
/* A store that is only looked at; and one whose tables are damaged. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/store/suspect.h"
#include "scratch_support.h"
#include "store_support.h"

/* All names, times and bytes, by the tools of the system. */
static void fingerprint(const char *path, char ret[65])
{
	char command[512];
	FILE *f;

	snprintf(command, sizeof(command),
		 "cd %s && { find . -printf '%%p %%T@ %%s\\n' | sort; "
		 "find . -type f | sort | xargs sha256sum; } | sha256sum",
		 path);
	f = popen(command, "r");
	assert_non_null(f);
	assert_int_equal(fread(ret, 1, 64, f), 64);
	ret[64] = '\0';
	pclose(f);
}

static void test_looks_only(void **state)
{
	char *path = scratch_make(), before[65], after[65];
	struct store_options o = options_sim(path);
	struct data_loc loc;
	uint8_t byte;
	struct store *s;

	(void)state;
	s = store_make(&o);
	put_one(s, "committed", "1");
	assert_int_equal(store_commit(s), 0);
	assert_int_equal(data_append(s, SLICE("x", 1), &loc), 0);
	put_one(s, "logged", "2");
	store_abandon(s);
	fingerprint(path, before);
	o.inspect = true;
	for (int real = 0; real < 2; real++) {
		o.no_sync = !real;
		o.threads = real;
		s = store_make(&o);
		assert_holds(s, "committed", "1");
		assert_holds(s, "logged", "2");
		assert_int_equal(data_read(s, loc, &byte, 1), 0);
		store_lock(s);
		assert_int_equal(store_op_begin(s), -EROFS);
		store_unlock(s);
		assert_int_equal(store_log_lost(s), 0);
		store_abandon(s);
		fingerprint(path, after);
		assert_string_equal(before, after);
	}
	o.inspect = false;
	s = store_make(&o);
	assert_holds(s, "logged", "2");
	assert_int_equal(store_close(s), 0);
	scratch_remove(path);
}

static void test_refuses(void **state)
{
	char *path = scratch_make();
	struct store_options o = options_sim(path);
	struct store *s = NULL, *other;

	(void)state;
	o.inspect = true;
	assert_int_equal(store_open(&o, NULL, &s), -ENOENT);
	o.inspect = false;
	other = store_make(&o);
	o.inspect = true;
	assert_int_equal(store_open(&o, NULL, &s), -EBUSY);
	assert_int_equal(store_close(other), 0);
	scratch_remove(path);
}

/* Flips a byte of a file in the store. */
static void flip(const char *path, const char *name, off_t at)
{
	char *file = scratch_path(path, name);
	int fd = open(file, O_RDWR);
	uint8_t b;

	assert_true(fd >= 0);
	assert_int_equal(pread(fd, &b, 1, at), 1);
	b ^= 4;
	assert_int_equal(pwrite(fd, &b, 1, at), 1);
	close(fd);
	free(file);
}

/* A record in the middle of the log: what is behind it is lost, and told. */
static void test_log_lost(void **state)
{
	char *path = scratch_make();
	struct store_options o = options_sim(path);
	struct store *s;

	(void)state;
	s = store_make(&o);
	put_one(s, "a", "one");
	assert_int_equal(store_commit(s), 0);
	put_one(s, "b", "two");
	put_one(s, "c", "three");
	put_one(s, "d", "four");
	store_abandon(s);
	/* (the record of "c": its value is looked for) */
	for (off_t at = 0;; at++) {
		char *file = scratch_path(path, "log/0"), five[5];
		int fd = open(file, O_RDONLY);

		assert_int_equal(pread(fd, five, 5, at), 5);
		close(fd);
		free(file);
		if (memcmp(five, "three", 5))
			continue;
		flip(path, "log/0", at);
		break;
	}
	o.inspect = true;
	s = store_make(&o);
	assert_holds(s, "b", "two");
	assert_holds(s, "c", NULL);
	assert_holds(s, "d", NULL);
	assert_int_equal(store_log_lost(s), 4);
	store_abandon(s);
	scratch_remove(path);
}

/* LMDB is not let loose on a damaged file; the mark of a crash goes when the
 * file is sound. */
static void test_suspect(void **state)
{
	cleanup(buf_release) struct buf why = BUF_INIT;
	char *path = scratch_make();
	char *mark = scratch_path(path, SUSPECT_NAME);
	struct store_options o = options_sim(path);
	struct store *s = NULL;

	(void)state;
	o.no_sync = false;
	s = store_make(&o);
	put_one(s, "a", "one");
	assert_int_equal(store_close(s), 0);
	close(open(mark, O_CREAT | O_WRONLY, 0600));
	s = store_make(&o);
	assert_int_equal(access(mark, F_OK), -1);
	assert_int_equal(store_close(s), 0);
	/* the flags of the page that the newest root begins with */
	for (off_t page = 2; page < 8; page++)
		flip(path, "db", page * 4096 + 10);
	assert_int_equal(store_open(&o, &why, &s), -EUCLEAN);
	buf_put_u8(&why, 0);
	assert_non_null(strstr((char *)why.data, "kin check"));
	free(mark);
	scratch_remove(path);
}

/* A value that was damaged is not given out, and may be replaced. */
static void test_damaged_value(void **state)
{
	char *path = scratch_make();
	char *db = scratch_path(path, "db");
	struct store_options o = options_sim(path);
	struct slice k, v;
	struct store *s;
	char command[256];

	(void)state;
	s = store_make(&o);
	put_one(s, "a", "first");
	put_one(s, "b", "needle");
	put_one(s, "c", "third");
	assert_int_equal(store_close(s), 0);
	snprintf(command, sizeof(command), "sed -i s/needle/beetle/g %s", db);
	assert_int_equal(system(command), 0);
	s = store_make(&o);
	assert_holds(s, "a", "first");
	assert_holds(s, "c", "third");
	store_lock(s);
	assert_int_equal(store_get(s, TABLE_OBJ, SLICE_STR("b"), &v),
			 -EUCLEAN);
	assert_int_equal(store_seek(s, TABLE_OBJ, SLICE_STR("aa"), &k, &v),
			 -EUCLEAN);
	assert_int_equal(store_seek_before(s, TABLE_OBJ, SLICE_STR("c"), &k,
					   &v), -EUCLEAN);
	/* An operation that is undone does not make it whole. */
	assert_int_equal(store_op_begin(s), 0);
	assert_int_equal(store_put(s, TABLE_OBJ, SLICE_STR("b"),
				   SLICE_STR("new")), 0);
	assert_int_equal(store_put(s, TABLE_OBJ, SLICE_STR("a"),
				   SLICE_STR("new")), 0);
	store_op_abort(s);
	assert_int_equal(store_get(s, TABLE_OBJ, SLICE_STR("b"), &v),
			 -EUCLEAN);
	store_unlock(s);
	assert_holds(s, "a", "first");
	put_one(s, "b", "again");
	assert_int_equal(store_close(s), 0);
	s = store_make(&o);
	assert_holds(s, "b", "again");
	assert_int_equal(store_close(s), 0);
	free(db);
	scratch_remove(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_looks_only),
		cmocka_unit_test(test_refuses),
		cmocka_unit_test(test_log_lost),
		cmocka_unit_test(test_suspect),
		cmocka_unit_test(test_damaged_value),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
