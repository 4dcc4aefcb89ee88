/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Saves of a file in conflict. However a program saves it, it is a write of
 * main as any: the siblings stay, and the conflict stays and is settled by
 * the file's name. So each way of saving is compared with a write in place,
 * by itself and beside what others do at the same time, in several orders of
 * delivery.
 */
#include "ways_support.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static struct fixture *const a = &nodes[0], *const b = &nodes[1],
		       *const c = &nodes[2];

static int take_conflict(void *arg, const struct conflict *x)
{
	struct buf *out = arg;

	buf_printf(out, "%.*s%s", (int)x->path.len, (const char *)x->path.data,
		   x->main_removed ? " and removed" : "");
	for (size_t k = 0; k < x->count; k++)
		buf_printf(out, " %.*s", (int)x->versions[k].label.len,
			   (const char *)x->versions[k].label.data);
	buf_printf(out, "\n");
	return 0;
}

/* What `kin conflicts` says of it. */
static void expect_conflict(struct fixture *f, const char *dir,
			    const char *want)
{
	cleanup(buf_release) struct buf got = BUF_INIT;

	assert_int_equal(tree_conflicts(f->tree, look(f, ROOT, dir),
					take_conflict, &got), 0);
	buf_put_u8(&got, '\0');
	assert_string_equal((char *)got.data, want);
}

/* ---- a save by itself */

/* It is the same file, its sibling has the same name, and the conflict is
 * settled by the file's name. */
static void test_conflict_stays(void)
{
	static char dirs[WAYS][8];

	ways_begin(dirs);
	for (size_t k = 0; k < WAYS; k++) {
		char before[256], after[256], path[100], want[120];
		uint64_t dir = look(c, ROOT, dirs[k]);
		struct objid id;

		snprintf(path, sizeof(path), "%s/doc", dirs[k]);
		snprintf(want, sizeof(want), "%s/doc bob alice\n",
			 dirs[k]);
		name_with(c, dir, "(conflict", before);
		expect_conflict(c, dirs[k], want);
		id = ways_id(c, path);
		later(c, b);
		ways_save(&ways[k], c, dir, "carol's");
		check_tree(c);
		name_with(c, dir, "(conflict", after);
		assert_string_equal(before, after);
		ways_expect(c, dirs[k], &ways[k],
		       "doc: carol's\ndoc (conflict alice: alice's\n");
		assert_true(objid_equal(ways_id(c, path), id));
		snprintf(want, sizeof(want), "%s/doc carol alice\n",
			 dirs[k]);
		expect_conflict(c, dirs[k], want);
		if (ways[k].kept)
			expect_bytes(c, look(c, dir, "doc~"), "bob's");
	}
	sync_all();
	for (size_t k = 0; k < WAYS; k++)
		ways_expect(a, dirs[k], &ways[k],
		       "doc: carol's\ndoc (conflict alice: alice's\n");
	for (size_t k = 0; k < WAYS; k++) {
		uint64_t dir = look(a, ROOT, dirs[k]);
		char name[256];

		name_with(a, dir, "(conflict", name);
		rm(a, dir, name);
		ways_expect(a, dirs[k], &ways[k], "doc: carol's\n");
		expect_conflict(a, dirs[k], "");
	}
	sync_all();
	for (size_t k = 0; k < WAYS; k++)
		ways_expect(b, dirs[k], &ways[k], "doc: carol's\n");
}

/* With the bytes of main, and with those of the sibling: that ends it. */
static void test_bytes_that_are_there(void)
{
	static char dirs[WAYS][8];

	ways_begin(dirs);
	for (size_t k = 0; k < WAYS; k++) {
		ways_save(&ways[k], c, look(c, ROOT, dirs[k]), "bob's");
		check_tree(c);
		ways_expect(c, dirs[k], &ways[k],
		       "doc: bob's\ndoc (conflict alice: alice's\n");
	}
	sync_all();
	for (size_t k = 0; k < WAYS; k++) {
		if (ways[k].kept)
			rm(c, look(c, ROOT, dirs[k]), "doc~");
		ways_save(&ways[k], c, look(c, ROOT, dirs[k]), "alice's");
		check_tree(c);
		ways_expect(c, dirs[k], &ways[k], "doc: alice's\n");
		expect_conflict(c, dirs[k], "");
	}
	sync_all();
	for (size_t k = 0; k < WAYS; k++)
		ways_expect(a, dirs[k], &ways[k], "doc: alice's\n");
}

/* ---- beside what others do */

/* carol saves while bob does that: the same comes of it as of a write in
 * place, the first of the ways. */
static void beside(void (*act)(struct fixture *, uint64_t), const char *want)
{
	static char dirs[WAYS][8];

	ways_begin(dirs);
	for (size_t k = 0; k < WAYS; k++)
		act(b, look(b, ROOT, dirs[k]));
	later(c, b);
	for (size_t k = 0; k < WAYS; k++)
		ways_save(&ways[k], c, look(c, ROOT, dirs[k]), "carol's");
	sync_all();
	for (size_t k = 0; k < WAYS; k++)
		ways_expect(a, dirs[k], &ways[k], want);
}

static void test_beside_edit_of_sibling(void)
{
	beside(bob_edits_sibling,
	       "doc: carol's\ndoc (conflict alice: alice's again\n");
}

static void test_beside_edit_of_main(void)
{
	beside(bob_edits_main, "doc: carol's\n"
			   "doc (conflict alice: alice's\n"
			   "doc (conflict bob: bob's again\n");
}

static void test_beside_save_of_main(void)
{
	beside(bob_saves_main, "doc: carol's\n"
			   "doc (conflict alice: alice's\n"
			   "doc (conflict bob: bob's again\n");
}

static void test_beside_rm_of_sibling(void)
{
	beside(bob_removes_sibling, "doc: carol's\n");
}

static void test_beside_mv_of_sibling(void)
{
	beside(bob_takes_sibling,
	       "doc: carol's\ndoc (conflict bob: alice's\n");
}

static void test_beside_rm_of_main(void)
{
	beside(bob_removes_main,
	       "doc: carol's\ndoc (conflict alice: alice's\n");
}

static void test_beside_rm_of_all(void)
{
	beside(bob_removes_all, "doc: carol's\n");
}

static void test_beside_rename(void)
{
	beside(bob_renames, "paper: carol's\npaper (conflict alice: alice's\n");
}

/* ---- what is not here */

/* Chunks do not come in these tests: what is larger than fits into a row is
 * on its way, for ever. */
static void write_large(struct fixture *f, uint64_t ino, char byte)
{
	static char text[20000];

	memset(text, byte, sizeof(text) - 1);
	assert_int_equal(tree_open_file(f->tree, ino, true), 0);
	ways_put(f, ino, text);
	tree_release_file(f->tree, ino, true);
}

/* Main's next content is on its way, and the one before is shown: that is
 * what is saved, and stays under the name; what comes is a sibling more. */
static void test_main_on_its_way(void)
{
	static char dirs[WAYS][8];
	uint64_t dir;

	ways_begin(dirs);
	later(a, b);
	for (size_t k = 0; k < RENAMES_OVER; k++) {
		dir = look(a, ROOT, dirs[k]);
		write_large(a, look(a, dir, "doc"), 'x');
	}
	pass(c, a);
	for (size_t k = 0; k < RENAMES_OVER; k++) {
		dir = look(c, ROOT, dirs[k]);
		ways_expect(c, dirs[k], &ways[0],
		       "doc: bob's\ndoc (conflict alice: alice's\n");
		ways_save(&ways[k], c, dir, "carol's");
		check_tree(c);
		expect_bytes(c, look(c, dir, "doc"), "carol's");
	}
	pass(a, c);
	for (size_t k = 0; k < RENAMES_OVER; k++) {
		cleanup(buf_release) struct buf got = BUF_INIT;

		dir = look(a, ROOT, dirs[k]);
		ways_describe(a, dir, false, &got);
		assert_non_null(strstr((char *)got.data, "doc: carol's\n"));
		assert_non_null(strstr((char *)got.data, ": xxxxxxxx"));
		assert_non_null(strstr((char *)got.data,
				       "(conflict alice: alice's\n"));
		assert_int_equal(list(a, dir, NULL, 0), 3);
	}
}

/* A sibling that is not here yet is nothing to the save of main. */
static void test_sibling_on_its_way(void)
{
	static char dirs[WAYS][8];

	ways_begin(dirs);
	for (size_t k = 0; k < WAYS; k++) {
		uint64_t dir = look(a, ROOT, dirs[k]);
		char name[256];

		name_with(a, dir, "(conflict", name);
		write_large(a, look(a, dir, name), 'x');
	}
	pass(c, a);
	later(c, a);
	for (size_t k = 0; k < WAYS; k++) {
		char path[100];
		struct objid id;

		snprintf(path, sizeof(path), "%s/doc", dirs[k]);
		id = ways_id(c, path);
		ways_save(&ways[k], c, look(c, ROOT, dirs[k]), "carol's");
		check_tree(c);
		assert_true(objid_equal(ways_id(c, path), id));
	}
	pass(a, c);
	for (size_t k = 0; k < WAYS; k++) {
		uint64_t dir = look(a, ROOT, dirs[k]);

		expect_bytes(a, look(a, dir, "doc"), "carol's");
		assert_int_equal(list(a, dir, NULL, 0), 2 + ways[k].kept);
		if (ways[k].kept)
			expect_bytes(a, look(a, dir, "doc~"), "bob's");
	}
}

/* ---- policies */

/* What is saved is what the policy shows, and what it hides goes with that,
 * as with a write in place: without the policy no conflict is left. A backup
 * that is kept is the file that it was, with what is hidden in it. */
static void test_under_policy(void)
{
	static char dirs[WAYS][8];

	for (size_t k = 0; k < WAYS; k++) {
		snprintf(dirs[k], 8, "d%zu", k);
		make_file(a, make_dir(a, ROOT, dirs[k]), "doc", "base");
	}
	set_policy(a, ROOT, "latest");
	sync_all();
	for (size_t k = 0; k < WAYS; k++)
		ways_save(&ways[0], a, look(a, ROOT, dirs[k]),
			  "alice's");
	later(b, a);
	for (size_t k = 0; k < WAYS; k++)
		ways_save(&ways[0], b, look(b, ROOT, dirs[k]),
			  "bob's");
	sync_all();
	for (size_t k = 0; k < WAYS; k++)
		ways_expect(c, dirs[k], &ways[0], "doc: bob's\n");
	later(c, b);
	for (size_t k = 0; k < WAYS; k++) {
		uint64_t dir = look(c, ROOT, dirs[k]);

		ways_save(&ways[k], c, dir, "carol's");
		check_tree(c);
		ways_expect(c, dirs[k], &ways[k], "doc: carol's\n");
		if (ways[k].kept)
			expect_bytes(c, look(c, dir, "doc~"), "bob's");
	}
	sync_all();
	set_policy(a, ROOT, NULL);
	sync_all();
	for (size_t k = 0; k < WAYS; k++)
		ways_expect(b, dirs[k], &ways[k],
		       ways[k].kept ? "doc: carol's\n"
				      "doc~ (conflict alice: alice's\n"
				    : "doc: carol's\n");
}

/* ---- open handles */

/*
 * Who has main open keeps it, without a name, as of any file that was renamed
 * over; who has the sibling open writes the sibling; the handle of the
 * temporary goes on with main.
 */
static void test_handles(void)
{
	uint64_t old, new, sibling;
	struct attr at;
	char name[256];

	make_conflict("doc");
	sync_all();
	name_with(c, ROOT, "(conflict alice", name);
	old = look(c, ROOT, "doc");
	sibling = look(c, ROOT, name);
	assert_int_equal(tree_open_file(c->tree, old, true), 0);
	assert_int_equal(tree_open_file(c->tree, sibling, true), 0);
	new = ways_new_open(c, ROOT, "tmp");
	ways_put(c, new, "carol's");
	mv(c, ROOT, "tmp", ROOT, "doc");
	assert_int_equal(look(c, ROOT, "doc"), new);
	assert_int_equal(look(c, ROOT, name), sibling);
	expect_bytes(c, old, "bob's");
	assert_int_equal(tree_getattr(c->tree, old, &at), 0);
	assert_int_equal(at.nlink, 0);
	ways_put(c, old, "BOB");
	ways_put(c, sibling, "ALICE");
	ways_put(c, new, "CAROL");
	expect_bytes(c, old, "BOB's");
	tree_release_file(c->tree, old, true);
	tree_release_file(c->tree, sibling, true);
	tree_release_file(c->tree, new, true);
	assert_int_equal(tree_getattr(c->tree, old, &at), -ESTALE);
	sync_all();
	assert_int_equal(entries(b), 2);
	expect_file(b, "doc", "CAROL's");
	expect_file(b, name, "ALICE's");
}

/* The edit that makes it a conflict comes between the rename and the close:
 * what is saved is what was shown then. */
static void test_conflict_before_close(void)
{
	uint64_t ino;

	make_file(a, ROOT, "doc", "base");
	sync_all();
	ino = ways_new_open(c, ROOT, "tmp");
	ways_put(c, ino, "carol's");
	mv(c, ROOT, "tmp", ROOT, "doc");
	write_name(a, "doc", "alice's");
	later(b, a);
	write_name(b, "doc", "bob's");
	pass(c, a);
	pass(c, b);
	tree_release_file(c->tree, ino, true);
	check_tree(c);
	sync_all();
	assert_int_equal(entries(a), 3);
	expect_file(a, "doc", "bob's");
	expect_like(a, "(conflict alice", "alice's");
	expect_like(a, "(conflict carol", "carol's");
}

/* ---- what is no save */

static void test_no_save(void)
{
	char name[256];

	make_conflict("doc");
	sync_all();
	/* Main was removed: nothing is there to be saved. */
	rm(c, ROOT, "doc");
	ways[1].save_as(c, ROOT, "doc", "carol's");
	name_with(c, ROOT, "(conflict alice", name);
	expect_file(c, name, "alice's");
	sync_all();
	assert_int_equal(entries(a), 2);
	expect_file(a, "doc", "carol's");
	expect_file(a, name, "alice's");
	rm(a, ROOT, "doc");
	sync_all();
	assert_int_equal(entries(c), 1);
	expect_file(c, name, "alice's");
}

static const struct scenario scenarios[] = {
	SCENARIO(test_conflict_stays),
	SCENARIO(test_bytes_that_are_there),
	SCENARIO(test_beside_edit_of_sibling),
	SCENARIO(test_beside_edit_of_main),
	SCENARIO(test_beside_save_of_main),
	SCENARIO(test_beside_rm_of_sibling),
	SCENARIO(test_beside_mv_of_sibling),
	SCENARIO(test_beside_rm_of_main),
	SCENARIO(test_beside_rm_of_all),
	SCENARIO(test_beside_rename),
	SCENARIO(test_main_on_its_way),
	SCENARIO(test_sibling_on_its_way),
	SCENARIO(test_under_policy),
	SCENARIO(test_handles),
	SCENARIO(test_conflict_before_close),
	SCENARIO(test_no_save),
};

int main(void)
{
	return scenarios_run(scenarios,
			     sizeof(scenarios) / sizeof(*scenarios));
}
