/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file that was removed here while a program had it open, and that comes
 * back because somebody renamed it meanwhile. What the program writes goes
 * with its last handle; what is written to the name is a save as any other.
 */
#include <errno.h>

#include "tests/unit/tree/tree_support.h"

#define ROOT TREE_ROOT_INO

/* What happens to the handle, before and after the removal. */
struct unlinked {
	bool written;	/* it has unsent writes */
	bool closed;	/* it is closed before the name comes back */
	bool crashed;	/* ... by the end of the process */
};

static void open_and_remove(struct fixture *f, uint64_t ino,
			    const struct unlinked *u)
{
	assert_int_equal(tree_open_file(f->tree, ino, u->written), 0);
	if (u->written)
		assert_int_equal(tree_write(f->tree, ino, 0,
					    SLICE_STR("BOB"), false), 0);
	assert_int_equal(tree_unlink(f->tree, ROOT, SLICE_STR("f")), 0);
	assert_int_equal(look_error(f, ROOT, "f"), -ENOENT);
	expect_bytes(f, ino, u->written ? "BOBe" : "base");
	if (u->crashed)
		fixture_crash(f);
	else if (u->closed)
		tree_release_file(f->tree, ino, u->written);
}

static void returned(const struct unlinked *u)
{
	struct fixture a, b;
	struct attr at;
	uint64_t old, now;

	fixture_open(&a, "alice", true);
	fixture_open(&b, "bob", false);
	make_file(&a, ROOT, "f", "base");
	merge_from(&b, &a);
	old = look(&b, ROOT, "f");
	open_and_remove(&b, old, u);
	assert_int_equal(tree_rename(a.tree, ROOT, SLICE_STR("f"), ROOT,
				     SLICE_STR("g"), 0), 0);
	merge_from(&b, &a);
	now = look(&b, ROOT, "g");
	expect_bytes(&b, now, "base");
	write_file(&b, now, "saved");
	expect_bytes(&b, look(&b, ROOT, "g"), "saved");
	if (!u->closed && !u->crashed) {
		if (u->written) {
			assert_int_not_equal(now, old);
			expect_bytes(&b, old, "BOBe");
			assert_int_equal(tree_getattr(b.tree, old, &at), 0);
			assert_int_equal(at.nlink, 0);
			assert_int_equal(tree_write(b.tree, old, 4,
						    SLICE_STR("!"), false), 0);
		}
		tree_release_file(b.tree, old, u->written);
	}
	b.now_ns += 60000000000;
	tree_cut_due(b.tree);
	assert_int_equal(tree_cut_settled(b.tree, 0), 0);
	merge_from(&a, &b);
	assert_int_equal(list(&b, ROOT, NULL, 0), 1);
	assert_int_equal(list(&a, ROOT, NULL, 0), 1);
	expect_bytes(&b, look(&b, ROOT, "g"), "saved");
	expect_bytes(&a, look(&a, ROOT, "g"), "saved");
	check_tree(&a);
	check_tree(&b);
	fixture_close(&a);
	fixture_close(&b);
}

/* What only a handle kept goes with the process, if that did not close it. */
static void test_kept_by_a_crash(void **state)
{
	struct fixture a, b;
	struct attr at;
	uint64_t ino;

	(void)state;
	fixture_open(&a, "alice", true);
	fixture_open(&b, "bob", false);
	make_file(&a, ROOT, "f", "base");
	merge_from(&b, &a);
	ino = look(&b, ROOT, "f");
	assert_int_equal(tree_open_file(b.tree, ino, false), 0);
	write_file(&a, look(&a, ROOT, "f"), "another");
	merge_from(&b, &a);
	expect_bytes(&b, look(&b, ROOT, "f"), "another");
	expect_bytes(&b, ino, "base");
	check_tree(&b);
	fixture_crash(&b);
	assert_int_equal(tree_getattr(b.tree, ino, &at), -ESTALE);
	expect_bytes(&b, look(&b, ROOT, "f"), "another");
	check_tree(&b);
	fixture_close(&a);
	fixture_close(&b);
}

static void test_returns_while_open(void **state)
{
	(void)state;
	returned(&(struct unlinked){ .written = false });
	returned(&(struct unlinked){ .written = true });
}

static void test_returns_after_close(void **state)
{
	(void)state;
	returned(&(struct unlinked){ .closed = true });
	returned(&(struct unlinked){ .closed = true, .written = true });
}

static void test_returns_after_crash(void **state)
{
	(void)state;
	returned(&(struct unlinked){ .crashed = true });
	returned(&(struct unlinked){ .crashed = true, .written = true });
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kept_by_a_crash),
		cmocka_unit_test(test_returns_while_open),
		cmocka_unit_test(test_returns_after_close),
		cmocka_unit_test(test_returns_after_crash),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
