/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Saves by rename over a sibling's name: the sibling has that content then,
 * as if it had been written in place. Main, and the names of both, are what
 * they were.
 */
#include "ways_support.h"

#include <errno.h>
#include <stdio.h>

static struct fixture *const a = &nodes[0], *const b = &nodes[1],
		       *const c = &nodes[2];

/* Each way to rename over the sibling of doc is compared with a write in
 * place, while bob does that. */
static void sibling_beside(void (*act)(struct fixture *, uint64_t),
			   const char *want)
{
	static char dirs[WAYS][8];

	ways_begin(dirs);
	for (size_t k = 0; k < RENAMES_OVER; k++) {
		uint64_t dir = look(c, ROOT, dirs[k]);
		char path[100], before[256], after[256];
		struct objid id;

		snprintf(path, sizeof(path), "%s/doc", dirs[k]);
		id = ways_id(c, path);
		name_with(c, dir, "(conflict", before);
		ways[k].save_as(c, dir, before, "carol's");
		check_tree(c);
		ways_expect(c, dirs[k], &ways[0],
		       "doc: bob's\ndoc (conflict alice: carol's\n");
		name_with(c, dir, "(conflict", after);
		assert_string_equal(before, after);
		assert_true(objid_equal(ways_id(c, path), id));
		if (act)
			act(b, look(b, ROOT, dirs[k]));
	}
	sync_all();
	for (size_t k = 0; k < RENAMES_OVER; k++)
		ways_expect(a, dirs[k], &ways[0], want);
}

static void test_sibling(void)
{
	sibling_beside(NULL,
		       "doc: bob's\ndoc (conflict alice: carol's\n");
}

static void test_sibling_beside_edit_of_main(void)
{
	sibling_beside(bob_edits_main,
		       "doc: bob's again\ndoc (conflict alice: carol's\n");
}

static void test_sibling_beside_edit_of_it(void)
{
	sibling_beside(bob_edits_sibling, "doc: bob's\n"
				      "doc (conflict alice: alice's again\n"
				      "doc (conflict carol: carol's\n");
}

static void test_sibling_beside_rm_of_it(void)
{
	sibling_beside(bob_removes_sibling,
		       "doc: bob's\ndoc (conflict alice: carol's\n");
}

static void test_sibling_beside_rm_of_all(void)
{
	sibling_beside(bob_removes_all,
		       "doc: bob's\ndoc (conflict alice: carol's\n");
}

static void test_sibling_beside_rename(void)
{
	sibling_beside(bob_renames,
		       "paper: bob's\npaper (conflict alice: carol's\n");
}

/* Bytes that it has, and those of main: that ends it. */
static void test_sibling_the_same(void)
{
	char name[256];

	make_conflict("doc");
	sync_all();
	name_with(c, ROOT, "(conflict alice", name);
	make_file(c, ROOT, "tmp", "alice's");
	mv(c, ROOT, "tmp", ROOT, name);
	check_tree(c);
	assert_int_equal(entries(c), 2);
	expect_file(c, name, "alice's");
	rm(b, ROOT, name);
	sync_all();
	/* (nothing new was written that b had not seen) */
	assert_int_equal(entries(c), 1);
	write_name(a, "doc", "alice's");
	later(b, a);
	write_name(b, "doc", "bob's again");
	sync_all();
	name_with(c, ROOT, "(conflict alice", name);
	make_file(c, ROOT, "tmp", "bob's again");
	mv(c, ROOT, "tmp", ROOT, name);
	check_tree(c);
	assert_int_equal(entries(c), 1);
	expect_file(c, "doc", "bob's again");
	sync_all();
	assert_int_equal(entries(a), 1);
}

/* Its mode is the file's; the handle of the temporary goes on with it; who
 * has it open keeps what that showed, without a name. */
static void test_sibling_handles(void)
{
	struct tree_setattr s = { .set = TREE_SET_MODE, .perm = 0600 };
	uint64_t old, new;
	struct attr at;
	char name[256];

	make_conflict("doc");
	sync_all();
	name_with(c, ROOT, "(conflict alice", name);
	old = look(c, ROOT, name);
	assert_int_equal(tree_open_file(c->tree, old, true), 0);
	new = ways_new_open(c, ROOT, "tmp");
	assert_int_equal(tree_setattr(c->tree, new, &s, &at), 0);
	ways_put(c, new, "carol's");
	mv(c, ROOT, "tmp", ROOT, name);
	assert_int_equal(look(c, ROOT, name), new);
	assert_int_equal(tree_getattr(c->tree, new, &at), 0);
	assert_int_equal(at.mode & 07777, 0644);
	assert_int_equal(at.nlink, 1);
	ways_put(c, old, "ALICE");
	expect_bytes(c, old, "ALICE's");
	ways_put(c, new, "CAROL");
	expect_file(c, name, "CAROL's");
	tree_release_file(c->tree, old, true);
	assert_int_equal(tree_getattr(c->tree, old, &at), -ESTALE);
	fixture_crash(c);
	tree_cut_due(c->tree);
	check_tree(c);
	expect_file(c, name, "CAROL's");
	sync_all();
	assert_int_equal(entries(b), 2);
	expect_file(b, "doc", "bob's");
	expect_file(b, name, "CAROL's");
}

/* Beside a main that was removed it stays the sibling that it was. */
static void test_sibling_of_removed(void)
{
	char name[256];

	make_conflict("doc");
	sync_all();
	name_with(c, ROOT, "(conflict alice", name);
	rm(c, ROOT, "doc");
	make_file(c, ROOT, "tmp", "carol's");
	mv(c, ROOT, "tmp", ROOT, name);
	check_tree(c);
	assert_int_equal(entries(c), 1);
	expect_file(c, name, "carol's");
	make_file(c, ROOT, "doc", "another");
	sync_all();
	assert_int_equal(entries(a), 2);
	expect_file(a, "doc", "another");
	expect_file(a, name, "carol's");
}

static const struct scenario scenarios[] = {
	SCENARIO(test_sibling),
	SCENARIO(test_sibling_beside_edit_of_main),
	SCENARIO(test_sibling_beside_edit_of_it),
	SCENARIO(test_sibling_beside_rm_of_it),
	SCENARIO(test_sibling_beside_rm_of_all),
	SCENARIO(test_sibling_beside_rename),
	SCENARIO(test_sibling_the_same),
	SCENARIO(test_sibling_handles),
	SCENARIO(test_sibling_of_removed),
};

int main(void)
{
	return scenarios_run(scenarios,
			     sizeof(scenarios) / sizeof(*scenarios));
}
