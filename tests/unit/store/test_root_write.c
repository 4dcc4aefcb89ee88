/* SPDX-License-Identifier: Apache-2.0 */
/*
 * LMDB cannot write its root page: after that it lets nobody in. What was
 * done is there to be read, and if room was what lacked, the store goes on.
 *
 * pwrite() is replaced here, as LMDB knows it: a root is the only thing that
 * LMDB writes by it in less than a page. (Our own files are written by
 * pwrite64(), which is another name.)
 */
#undef _FILE_OFFSET_BITS
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fs/store/store.h"
#include "scratch_support.h"
#include "store_support.h"

#define PAGE_BYTES 4096

static struct {
	int error;	   /* 0: none to come */
	bool behind;	   /* the bytes get to the file all the same */
	unsigned int hits; /* so far */
} failing;

ssize_t pwrite(int fd, const void *bytes, size_t len, off_t offset)
{
	int error = failing.error;

	if (!error || len >= PAGE_BYTES)
		return syscall(SYS_pwrite64, fd, bytes, len, offset);
	failing.error = 0;
	failing.hits++;
	if (failing.behind)
		(void)!syscall(SYS_pwrite64, fd, bytes, len, offset);
	errno = error;
	return -1;
}

static void expect_all(struct store *s)
{
	assert_holds(s, "first", "1");
	assert_holds(s, "second", "2");
	assert_holds(s, "again", "b");
	assert_holds(s, "gone", NULL);
}

static void work(struct store *s)
{
	put_one(s, "first", "1");
	put_one(s, "gone", "3");
	assert_int_equal(store_commit(s), 0);
	put_one(s, "again", "a");
	put_one(s, "second", "2");
	put_one(s, "again", "b");
	store_lock(s);
	assert_int_equal(store_op_begin(s), 0);
	assert_int_equal(store_del(s, TABLE_OBJ, SLICE_STR("gone")), 0);
	assert_int_equal(store_op_end(s), 0);
	store_unlock(s);
}

static void root_fails(bool threads, bool behind)
{
	char *path = scratch_make();
	struct store_options o = options_sim(path);
	struct store *s;

	o.threads = threads;
	s = store_make(&o);
	work(s);
	memset(&failing, 0, sizeof(failing));
	failing.behind = behind;
	failing.error = EIO;
	assert_int_equal(store_commit(s), -EIO);
	assert_int_equal(failing.hits, 1);
	assert_int_equal(store_failure(s), -EIO);
	/* It can be read, and not written. */
	expect_all(s);
	store_lock(s);
	assert_int_equal(store_op_begin(s), -EROFS);
	store_unlock(s);
	assert_int_equal(store_close(s), -EIO);
	s = store_make(&o);
	expect_all(s);
	put_one(s, "second", "22");
	assert_int_equal(store_close(s), 0);
	s = store_make(&o);
	assert_holds(s, "second", "22");
	assert_int_equal(store_close(s), 0);
	scratch_remove(path);
}

static void test_error(void **state)
{
	(void)state;
	for (int how = 0; how < 4; how++)
		root_fails(how & 1, how & 2);
}

/* With the reserve given up the same group is committed. */
static void no_room(bool threads)
{
	char *path = scratch_make();
	struct store_options o = options_sim(path);
	struct store *s;

	o.threads = threads;
	o.no_sync = false; /* else there is no reserve */
	s = store_make(&o);
	work(s);
	memset(&failing, 0, sizeof(failing));
	failing.error = ENOSPC;
	assert_int_equal(store_commit(s), 0);
	assert_int_equal(failing.hits, 1);
	assert_int_equal(store_failure(s), 0);
	expect_all(s);
	/* What makes room may go on. */
	store_lock(s);
	assert_int_equal(store_op_begin(s), 0);
	assert_int_equal(store_del(s, TABLE_OBJ, SLICE_STR("first")), 0);
	assert_int_equal(store_op_end(s), 0);
	store_unlock(s);
	assert_int_equal(store_commit(s), 0);
	assert_int_equal(store_close(s), 0);
	s = store_make(&o);
	assert_holds(s, "first", NULL);
	assert_holds(s, "second", "2");
	assert_int_equal(store_close(s), 0);
	scratch_remove(path);
}

static void test_no_room(void **state)
{
	(void)state;
	no_room(false);
	no_room(true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_error),
		cmocka_unit_test(test_no_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
