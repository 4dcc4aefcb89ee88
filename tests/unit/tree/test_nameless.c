/* SPDX-License-Identifier: Apache-2.0 */
/* Files without a name, and access times: what is of this node only. */
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "fs/store/store_internal.h"
#include "fs/tree/history.h"
#include "tree_support.h"

#define ROOT TREE_ROOT_INO

static uint64_t make_nameless(struct fixture *f, uint64_t dir)
{
	struct tree_new n = { .kind = KIND_FILE, .perm = 0640,
			      .user = SLICE_STR("root"),
			      .group = SLICE_STR("root") };
	struct entry e;

	assert_int_equal(tree_create_nameless(f->tree, dir, &n, &e), 0);
	assert_int_equal(e.attr.nlink, 0);
	assert_int_equal(e.attr.mode, S_IFREG | 0640);
	assert_int_equal(e.attr.size, 0);
	return e.attr.ino;
}

static struct attr attr_at(struct fixture *f, uint64_t ino)
{
	struct attr a;

	assert_int_equal(tree_getattr(f->tree, ino, &a), 0);
	return a;
}

static void put(struct fixture *f, uint64_t ino, uint64_t at, const char *text)
{
	assert_int_equal(tree_write(f->tree, ino, at, SLICE_STR(text), false),
			 0);
}

static uint64_t unsent(struct fixture *f)
{
	uint64_t n;

	store_lock(f->store);
	n = store_count(f->store, TABLE_DIRTY);
	store_unlock(f->store);
	return n;
}

/* It is nowhere, and goes with its handle. */
static void test_goes_with_handle(void **state)
{
	struct fixture a, b;
	struct attr attr;
	uint64_t ino;

	(void)state;
	fixture_open(&a, "alice", true);
	fixture_open(&b, "bob", false);
	ino = make_nameless(&a, ROOT);
	put(&a, ino, 0, "secret");
	expect_bytes(&a, ino, "secret");
	assert_int_equal(list(&a, ROOT, NULL, 0), 0);
	assert_int_equal(tree_cut_settled(a.tree, 0), 0);
	merge_from(&b, &a);
	assert_int_equal(list(&b, ROOT, NULL, 0), 0);
	check_tree(&a);
	tree_release_file(a.tree, ino, true);
	assert_int_equal(unsent(&a), 0);
	(void)!tree_getattr(a.tree, ino, &attr);
	assert_int_equal(list(&a, ROOT, NULL, 0), 0);
	merge_from(&b, &a);
	check_tree(&a);
	check_tree(&b);
	fixture_close(&a);
	fixture_close(&b);
}

static void test_gets_a_name(void **state)
{
	struct fixture a, b;
	struct entry e;
	uint64_t ino, dir;

	(void)state;
	fixture_open(&a, "alice", true);
	fixture_open(&b, "bob", false);
	dir = make_dir(&a, ROOT, "dir");
	ino = make_nameless(&a, ROOT);
	put(&a, ino, 0, "before");
	assert_int_equal(tree_link(a.tree, ino, dir, SLICE_STR("f"), &e), 0);
	assert_int_equal(e.attr.ino, ino);
	assert_int_equal(e.attr.nlink, 1);
	assert_int_equal(look(&a, dir, "f"), ino);
	put(&a, ino, 6, " and after");
	expect_bytes(&a, ino, "before and after");
	/* Another one is a link like any. */
	assert_int_equal(tree_link(a.tree, ino, ROOT, SLICE_STR("g"), &e), 0);
	assert_int_equal(e.attr.nlink, 2);
	tree_release_file(a.tree, ino, true);
	expect_bytes(&a, ino, "before and after");
	merge_from(&b, &a);
	expect_bytes(&b, look(&b, look(&b, ROOT, "dir"), "f"),
		     "before and after");
	expect_bytes(&b, look(&b, ROOT, "g"), "before and after");
	check_tree(&a);
	check_tree(&b);
	fixture_close(&a);
	fixture_close(&b);
}

/* Named without a byte written, and when a crash took the handle. */
static void test_crashes(void **state)
{
	struct fixture f;
	struct entry e;
	uint64_t ino, lost;

	(void)state;
	fixture_open(&f, "alice", true);
	lost = make_nameless(&f, ROOT);
	put(&f, lost, 0, "lost");
	ino = make_nameless(&f, ROOT);
	assert_int_equal(tree_link(f.tree, ino, ROOT, SLICE_STR("f"), &e), 0);
	fixture_crash(&f);
	expect_bytes(&f, look(&f, ROOT, "f"), "");
	assert_int_equal(tree_link(f.tree, lost, ROOT, SLICE_STR("l"), &e),
			 -ENOENT);
	assert_int_equal(tree_cut_settled(f.tree, 0), 0);
	assert_int_equal(unsent(&f), 0);
	ino = make_nameless(&f, ROOT);
	put(&f, ino, 0, "kept");
	assert_int_equal(tree_link(f.tree, ino, ROOT, SLICE_STR("k"), &e), 0);
	fixture_crash(&f);
	expect_bytes(&f, look(&f, ROOT, "k"), "kept");
	check_tree(&f);
	fixture_close(&f);
}

static int count_removed(void *arg, const struct history_removed *r)
{
	size_t *n = arg;

	assert_true(slice_equal(r->name, SLICE_STR("gone")));
	++*n;
	return 0;
}

/* Nobody removed it, so it is not among what was removed, here or there. */
static void test_is_not_removed(void **state)
{
	struct history_wanted all = { 0 };
	struct fixture a, b;
	size_t n = 0;
	uint64_t ino;

	(void)state;
	fixture_open(&a, "alice", true);
	fixture_open(&b, "bob", false);
	make_file(&a, ROOT, "gone", "");
	merge_from(&b, &a);
	ino = make_nameless(&a, ROOT);
	put(&a, ino, 0, "secret");
	tree_release_file(a.tree, ino, true);
	assert_int_equal(tree_unlink(a.tree, ROOT, SLICE_STR("gone")), 0);
	merge_from(&b, &a);
	assert_int_equal(tree_removed(a.tree, SLICE_STR(""), &all,
				      count_removed, &n), 0);
	assert_int_equal(n, 1);
	assert_int_equal(tree_removed(b.tree, SLICE_STR(""), &all,
				      count_removed, &n), 0);
	assert_int_equal(n, 2);
	fixture_close(&a);
	fixture_close(&b);
}

static void test_errors(void **state)
{
	struct tree_new n = { .kind = KIND_FILE, .perm = 0640,
			      .user = SLICE_STR("root"),
			      .group = SLICE_STR("root") };
	struct fixture f;
	struct entry e;
	uint64_t ino, file;

	(void)state;
	fixture_open(&f, "alice", true);
	file = make_file(&f, ROOT, "file", "");
	assert_int_equal(tree_create_nameless(f.tree, file, &n, &e), -ENOTDIR);
	ino = make_nameless(&f, ROOT);
	assert_int_equal(tree_link(f.tree, ino, ROOT, SLICE_STR("file"), &e),
			 -EEXIST);
	f.store->space.full = -ENOSPC;
	assert_int_equal(tree_create_nameless(f.tree, ROOT, &n, &e), -ENOSPC);
	f.store->space.full = 0;
	assert_int_equal(tree_link(f.tree, ino, ROOT, SLICE_STR("ok"), &e), 0);
	tree_release_file(f.tree, ino, true);
	check_tree(&f);
	fixture_close(&f);
}

/* ---- access times */

static struct timespec atime_at(struct fixture *f, uint64_t ino)
{
	return attr_at(f, ino).atime;
}

static void expect_atime(struct fixture *f, uint64_t ino, struct timespec time)
{
	assert_int_equal(atime_at(f, ino).tv_sec, time.tv_sec);
	assert_int_equal(atime_at(f, ino).tv_nsec, time.tv_nsec);
}

static int set_atime(struct fixture *f, uint64_t ino, struct timespec time)
{
	struct tree_setattr s = { .set = TREE_SET_ATIME, .atime = time };
	struct attr a;

	return tree_setattr(f->tree, ino, &s, &a);
}

static void test_atime_is_kept_here(void **state)
{
	const struct timespec old = { -2000000000, 123456789 };
	struct fixture a, b;
	struct attr was;
	uint64_t ino, lseq;

	(void)state;
	fixture_open(&a, "alice", true);
	fixture_open(&b, "bob", false);
	ino = make_file(&a, ROOT, "f", "text");
	was = attr_at(&a, ino);
	store_lock(a.store);
	lseq = replica_lseq(a.tree);
	store_unlock(a.store);
	a.now_ns += 5000000000;
	assert_int_equal(set_atime(&a, ino, old), 0);
	expect_atime(&a, ino, old);
	assert_int_equal(attr_at(&a, ino).mtime.tv_sec, was.mtime.tv_sec);
	assert_true(attr_at(&a, ino).ctime.tv_sec > was.ctime.tv_sec);
	/* Nothing to send came of it. */
	store_lock(a.store);
	assert_int_equal(replica_lseq(a.tree), lseq);
	store_unlock(a.store);
	fixture_crash(&a);
	expect_atime(&a, ino, old);
	merge_from(&b, &a);
	assert_int_equal(atime_at(&b, look(&b, ROOT, "f")).tv_sec,
			 was.mtime.tv_sec);
	check_tree(&a);
	fixture_close(&a);
	fixture_close(&b);
}

static void test_relatime(void **state)
{
	struct fixture f;
	struct timespec first;
	uint64_t ino;

	(void)state;
	fixture_open(&f, "alice", true);
	ino = make_file(&f, ROOT, "f", "text");
	f.now_ns += 10000000000;
	tree_accessed(f.tree, ino);
	first = atime_at(&f, ino);
	assert_int_equal(first.tv_sec, f.now_ns / 1000000000);
	/* Read since it changed: not before a day has gone. */
	f.now_ns += 10000000000;
	tree_accessed(f.tree, ino);
	assert_int_equal(atime_at(&f, ino).tv_sec, first.tv_sec);
	f.now_ns += INT64_C(86400) * 1000000000;
	tree_accessed(f.tree, ino);
	assert_true(atime_at(&f, ino).tv_sec > first.tv_sec);
	/* A write makes it unread. */
	first = atime_at(&f, ino);
	f.now_ns += 10000000000;
	write_file(&f, ino, "other");
	assert_int_equal(atime_at(&f, ino).tv_sec, first.tv_sec);
	f.now_ns += 10000000000;
	tree_accessed(f.tree, ino);
	assert_true(atime_at(&f, ino).tv_sec > first.tv_sec);
	check_tree(&f);
	fixture_close(&f);
}

static void test_range_of_times(void **state)
{
	struct tree_setattr s = { .set = TREE_SET_MTIME };
	struct fixture f;
	struct attr a;
	uint64_t ino;

	(void)state;
	fixture_open(&f, "alice", true);
	ino = make_file(&f, ROOT, "f", "text");
	assert_int_equal(set_atime(&f, ino, (struct timespec){
		TIME_SECONDS_MIN, 0 }), 0);
	assert_int_equal(set_atime(&f, ino, (struct timespec){
		TIME_SECONDS_MAX, 999999999 }), 0);
	assert_int_equal(set_atime(&f, ino, (struct timespec){
		TIME_SECONDS_MIN - 1, 0 }), -EINVAL);
	assert_int_equal(set_atime(&f, ino, (struct timespec){
		TIME_SECONDS_MAX + 1, 0 }), -EINVAL);
	assert_int_equal(atime_at(&f, ino).tv_sec, TIME_SECONDS_MAX);
	s.mtime.tv_sec = TIME_SECONDS_MAX + 1;
	assert_int_equal(tree_setattr(f.tree, ino, &s, &a), -EINVAL);
	s.mtime.tv_sec = TIME_SECONDS_MIN;
	assert_int_equal(tree_setattr(f.tree, ino, &s, &a), 0);
	assert_int_equal(a.mtime.tv_sec, TIME_SECONDS_MIN);
	check_tree(&f);
	fixture_close(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_goes_with_handle),
		cmocka_unit_test(test_gets_a_name),
		cmocka_unit_test(test_crashes),
		cmocka_unit_test(test_is_not_removed),
		cmocka_unit_test(test_errors),
		cmocka_unit_test(test_atime_is_kept_here),
		cmocka_unit_test(test_relatime),
		cmocka_unit_test(test_range_of_times),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
