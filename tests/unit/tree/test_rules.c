/* SPDX-License-Identifier: Apache-2.0 */
/* Histories by the rules of the merge: see nodes_support.h. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "nodes_support.h"

static struct fixture *const a = &nodes[0], *const b = &nodes[1],
		       *const c = &nodes[2];

/* ---- contents */

static void test_three_edits_partly_settled(void)
{
	make_conflict("f");
	later(c, b);
	write_name(c, "f", "carol's");
	pass(a, b);
	pass(b, a);
	assert_int_equal(tree_resolve(a->tree, ROOT, SLICE_STR("f"),
				      SLICE_STR("alice")), 0);
	sync_all();
	assert_int_equal(entries(a), 2);
	expect_file(b, "f", "carol's");
	expect_like(b, "conflict", "alice's");
	assert_int_equal(tree_resolve(c->tree, ROOT, SLICE_STR("f"),
				      SLICE_STR("main")), 0);
	sync_all();
	assert_int_equal(entries(a), 1);
	expect_file(a, "f", "carol's");
}

static void test_siblings_edited_apart(void)
{
	char name[256];

	make_conflict("f");
	sync_all();
	name_with(a, ROOT, "conflict", name);
	write_name(a, name, "sibling by alice");
	write_name(b, "f", "main by bob");
	write_name(c, name, "sibling by carol");
	sync_all();
	assert_int_equal(entries(a), 3);
	expect_file(a, "f", "main by bob");
	assert_int_equal(tree_resolve(b->tree, ROOT, SLICE_STR("f"),
				      SLICE_STR("main")), 0);
	sync_all();
	assert_int_equal(entries(c), 1);
	expect_file(c, "f", "main by bob");
}

static struct timespec mtime_of(struct fixture *f, const char *name)
{
	struct attr at;

	assert_int_equal(tree_getattr(f->tree, look(f, ROOT, name), &at), 0);
	return at.mtime;
}

/* A content that is taken brings its time along. */
static void test_mtime_of_what_is_taken(void)
{
	struct timespec alices, bobs;
	char name[256];

	for (int k = 0; k < 2; k++) {
		const char *file = k ? "f" : "g";

		make_conflict(file);
		alices = mtime_of(a, file);
		bobs = mtime_of(b, file);
		sync_all();
		assert_true(mtime_of(c, file).tv_sec == bobs.tv_sec);
		if (k) {
			name_with(c, ROOT, "f (conflict", name);
			mv(c, ROOT, name, ROOT, file);
		} else {
			assert_int_equal(tree_resolve(c->tree, ROOT,
						      SLICE_STR(file),
						      SLICE_STR("alice")), 0);
		}
		sync_all();
		assert_int_equal(mtime_of(a, file).tv_sec, alices.tv_sec);
		assert_int_equal(mtime_of(a, file).tv_nsec, alices.tv_nsec);
		assert_true(alices.tv_sec != bobs.tv_sec);
	}
}

static size_t contents_at(struct fixture *f, const char *path)
{
	struct object row;
	size_t n = 0;

	row_at(f, path, &row);
	for (size_t k = 0; k < row.count; k++)
		n += row.versions[k].reg == REG_CONTENT;
	object_release(&row);
	return n;
}

/* Main was removed by one and edited by another: the void is below it then,
 * and shown by nothing. A settlement replaces that, too. */
static void test_settlement_takes_the_void(void)
{
	make_conflict("f");
	sync_all();
	rm(a, ROOT, "f");
	later(b, a);
	write_name(b, "f", "more of bob");
	sync_all();
	expect_file(c, "f", "more of bob");
	assert_int_equal(contents_at(c, "f"), 3);
	assert_int_equal(tree_resolve(c->tree, ROOT, SLICE_STR("f"),
				      SLICE_STR("main")), 0);
	sync_all();
	for (int k = 0; k < 3; k++) {
		expect_file(&nodes[k], "f", "more of bob");
		assert_int_equal(contents_at(&nodes[k], "f"), 1);
		assert_int_equal(entries(&nodes[k]), 1);
	}
}

static void test_rm_main_against_edit(void)
{
	char name[256];

	make_conflict("f");
	sync_all();
	name_with(a, ROOT, "conflict", name);
	rm(a, ROOT, "f");
	later(b, a);
	write_name(b, "f", "bob's, more");
	sync_all();
	/* the edit was not seen by who removed: it lives, with its name */
	expect_file(a, "f", "bob's, more");
	expect_file(a, name, "alice's");
	assert_int_equal(entries(a), 2);
}

static void test_settled_differently(void)
{
	make_conflict("f");
	sync_all();
	assert_int_equal(tree_resolve(a->tree, ROOT, SLICE_STR("f"),
				      SLICE_STR("alice")), 0);
	later(b, a);
	assert_int_equal(tree_resolve(b->tree, ROOT, SLICE_STR("f"),
				      SLICE_STR("bob")), 0);
	sync_all();
	/* who keeps main changes nothing: the other's choice holds */
	assert_int_equal(entries(a), 1);
	expect_file(c, "f", "alice's");
}

static void test_both_remove_another_sibling(void)
{
	char one[256], two[256];

	make_conflict("f");
	later(c, b);
	write_name(c, "f", "carol's");
	sync_all();
	assert_int_equal(entries(a), 3);
	name_with(a, ROOT, "conflict alice", one);
	name_with(a, ROOT, "conflict bob", two);
	rm(a, ROOT, one);
	rm(b, ROOT, two);
	sync_all();
	assert_int_equal(entries(a), 1);
	expect_file(a, "f", "carol's");
}

static void test_rm_each_to_the_last(void)
{
	char name[256];

	make_conflict("f");
	sync_all();
	name_with(a, ROOT, "conflict", name);
	rm(a, ROOT, "f");
	rm(b, ROOT, name);
	sync_all();
	/* alice kept the sibling, bob kept main: both had seen all */
	assert_true(entries(a) <= 1);
	if (entries(a)) {
		char left[1][256];

		list(a, ROOT, left, 1);
		rm(c, ROOT, left[0]);
		sync_all();
	}
	assert_int_equal(entries(b), 0);
}

static void test_edit_of_sibling_against_settlement(void)
{
	char name[256];

	make_conflict("f");
	sync_all();
	name_with(b, ROOT, "conflict", name);
	write_name(b, name, "alice's, by bob");
	assert_int_equal(tree_resolve(a->tree, ROOT, SLICE_STR("f"),
				      SLICE_STR("main")), 0);
	sync_all();
	assert_int_equal(entries(a), 2);
	expect_file(a, "f", "bob's");
	expect_like(a, "conflict", "alice's, by bob");
}

static void test_undo_against_edit(void)
{
	make_file(a, ROOT, "f", "base");
	sync_all();
	write_name(a, "f", "changed");
	write_name(a, "f", "base"); /* undone */
	later(b, a);
	write_name(b, "f", "bob's");
	sync_all();
	assert_int_equal(entries(a), 1);
	expect_file(a, "f", "bob's");
}

/* ---- names */

static void test_real_file_of_the_siblings_name(void)
{
	char name[256], other[256];

	make_conflict("f");
	pass(a, b);
	name_with(a, ROOT, "conflict", name);
	make_file(c, ROOT, name, "real"); /* it knows of no conflict */
	sync_all();
	assert_int_equal(entries(a), 3);
	expect_file(a, name, "real");
	expect_file(a, "f", "bob's");
	rm(b, ROOT, name);
	sync_all();
	assert_int_equal(entries(a), 2);
	expect_file(c, name, "alice's");
	name_with(c, ROOT, "conflict", other);
	assert_string_equal(name, other);
}

static void test_sibling_of_contested_name(void)
{
	char names[8][256];

	make_conflict("f");
	make_file(c, ROOT, "g", "carol's g");
	mv(c, ROOT, "f", ROOT, "h");
	later(b, c);
	make_file(b, ROOT, "h", "bob's h");
	sync_all();
	/* h of carol's rename, its sibling, and bob's h; g */
	assert_int_equal(list(a, ROOT, names, 8), 4);
	assert_int_equal(tree_conflict_count(a->tree), 2);
	expect_file(a, "g", "carol's g");
	/* rm -r of all, in any order, leaves nothing */
	for (int k = 0; k < 4; k++)
		(void)!tree_unlink(b->tree, ROOT, SLICE_STR(names[k]));
	for (int k = 0; k < 4 && entries(b); k++) {
		list(b, ROOT, names, 8);
		rm(b, ROOT, names[0]);
	}
	sync_all();
	assert_int_equal(entries(c), 0);
}

static void test_rename_over_contested(void)
{
	make_file(a, ROOT, "x", "alice's x");
	later(b, a);
	make_file(b, ROOT, "x", "bob's x");
	sync_all();
	expect_file(c, "x", "alice's x");
	make_file(c, ROOT, "new", "carol's");
	mv(c, ROOT, "new", ROOT, "x");
	expect_file(c, "x", "carol's");
	assert_int_equal(entries(c), 2);
	sync_all();
	expect_file(a, "x", "carol's");
	expect_like(a, "conflict bob", "bob's x");
	/* and the loser takes the name */
	char name[256];
	name_with(a, ROOT, "conflict bob", name);
	mv(a, ROOT, name, ROOT, "x");
	sync_all();
	assert_int_equal(entries(b), 1);
	expect_file(b, "x", "bob's x");
}

static void make_link(struct fixture *f, const char *name, const char *target)
{
	struct tree_new what = { .kind = KIND_SYMLINK, .perm = 0777,
				 .user = SLICE_STR("root"),
				 .group = SLICE_STR("root"),
				 .target = SLICE_STR(target) };
	struct entry e;

	assert_int_equal(tree_create(f->tree, ROOT, SLICE_STR(name), &what,
				     false, &e), 0);
}

static void test_twins_and_not(void)
{
	struct tree_setattr s = { .set = TREE_SET_MODE, .perm = 0600 };
	struct attr at;

	make_link(a, "l", "there");
	make_link(b, "l", "there");
	make_link(a, "m", "same");
	make_file(b, ROOT, "m", "same");
	make_file(a, ROOT, "p", "same");
	assert_int_equal(tree_setattr(b->tree, make_file(b, ROOT, "p", "same"),
				      &s, &at), 0);
	make_file(a, ROOT, "t", "twin");
	make_file(b, ROOT, "t", "twin");
	make_file(c, ROOT, "t", "twin");
	sync_all();
	assert_int_equal(entries(c), 1 + 2 + 2 + 1);
	/* one entry to every operation */
	write_name(c, "t", "edited");
	sync_all();
	assert_int_equal(entries(c), 1 + 2 + 2 + 1);
	expect_file(a, "t", "edited");
	rm(b, ROOT, "l");
	sync_all();
	assert_int_equal(entries(c), 2 + 2 + 1);
}

/* What two nodes wrote alike, or one changed back while the other went on,
 * is one content. */
static void test_twins_of_one_content(void)
{
	make_file(a, ROOT, "u", "first");
	make_file(a, ROOT, "v", "first");
	sync_all();
	write_name(a, "u", "same");
	write_name(b, "u", "same");
	write_name(a, "v", "other");
	write_name(a, "v", "first");
	write_name(b, "v", "same");
	sync_all();
	mv(a, ROOT, "u", ROOT, "t");
	make_file(b, ROOT, "t", "same");
	mv(c, ROOT, "v", ROOT, "t");
	sync_all();
	assert_int_equal(entries(c), 1);
	expect_file(a, "t", "same");
	rm(b, ROOT, "t");
	sync_all();
	assert_int_equal(entries(a), 0);
}

static void test_twin_edited_elsewhere(void)
{
	make_file(a, ROOT, "t", "twin");
	make_file(b, ROOT, "t", "twin");
	sync_all();
	later(c, a);
	write_name(c, "t", "carol's");
	rm(a, ROOT, "t");
	sync_all();
	assert_int_equal(entries(b), 1);
	expect_file(b, "t", "carol's");
}

static void test_dir_and_file(void)
{
	make_file(a, ROOT, "x", "file");
	make_dir(b, ROOT, "x");
	make_dir(c, ROOT, "x");
	make_file(c, look(c, ROOT, "x"), "in", "c");
	sync_all();
	assert_int_equal(entries(a), 2);
	expect_like(a, "conflict alice", "file");
	assert_int_equal(tree_unlink(b->tree, ROOT, SLICE_STR("x")),
			 -EISDIR);
	rm(b, look(b, ROOT, "x"), "in");
	assert_int_equal(tree_rmdir(b->tree, ROOT, SLICE_STR("x")), 0);
	/* the file gets its name, at once and everywhere */
	assert_int_equal(entries(b), 1);
	expect_file(b, "x", "file");
	sync_all();
	expect_file(c, "x", "file");
	make_dir(a, ROOT, "y");
	make_file(b, ROOT, "y", "file");
	sync_all();
	char name[256];
	name_with(c, ROOT, "y (conflict", name);
	rm(c, ROOT, name);
	sync_all();
	assert_int_equal(entries(a), 2);
	assert_int_equal(list(a, look(a, ROOT, "y"), NULL, 0), 0);
}

/* ---- directories */

/* Each path exists. */
static uint64_t walk(struct fixture *f, const char *path)
{
	uint64_t ino;
	int r = tree_resolve_path(f->tree, SLICE_STR(path), &ino);

	if (r)
		print_error("%s has no '%s'\n", f->label, path);
	assert_int_equal(r, 0);
	return ino;
}

static void make_three_dirs(void)
{
	make_file(a, make_dir(a, ROOT, "x"), "fx", "x");
	make_file(a, make_dir(a, ROOT, "y"), "fy", "y");
	make_file(a, make_dir(a, ROOT, "z"), "fz", "z");
	sync_all();
}

static void test_cycle_of_three(void)
{
	make_three_dirs();
	mv(a, ROOT, "x", walk(a, "y"), "x");
	later(b, a);
	mv(b, ROOT, "y", walk(b, "z"), "y");
	later(c, b);
	mv(c, ROOT, "z", walk(c, "x"), "z");
	sync_all();
	assert_int_equal(entries(a), 1);
	walk(a, "z/y/x/fx");
	/* a rename of it pins all that was seen */
	mv(b, ROOT, "z", ROOT, "w");
	sync_all();
	walk(c, "w/y/x/fx");
}

static void test_two_cycles(void)
{
	make_three_dirs();
	make_file(a, make_dir(a, ROOT, "v"), "fv", "v");
	sync_all();
	mv(a, ROOT, "x", walk(a, "y"), "x");
	mv(a, ROOT, "z", walk(a, "v"), "z");
	later(b, a);
	mv(b, ROOT, "y", walk(b, "x"), "y");
	mv(b, ROOT, "v", walk(b, "z"), "v");
	sync_all();
	assert_int_equal(entries(c), 2);
	walk(c, "y/x/fx");
	walk(c, "v/z/fz");
	rm(c, walk(c, "y/x"), "fx");
	assert_int_equal(tree_rmdir(c->tree, walk(c, "y"), SLICE_STR("x")),
			 0);
	sync_all();
	assert_int_equal(list(a, walk(a, "y"), NULL, 0), 1);
	walk(a, "v/z/fz");
}

/* An edge of a known cycle gets a newer LINK to the same place: now it is
 * the latest, and the one that is cut. */
static void test_cycle_cut_moves(void)
{
	make_three_dirs();
	mv(a, ROOT, "x", walk(a, "y"), "x");
	pass(c, a);
	mv(b, ROOT, "y", walk(b, "z"), "y");
	later(a, b);
	mv(a, ROOT, "z", walk(a, "y/x"), "z");
	/* alice sees the cycle, and cuts z's edge; carol knows of none */
	pass(a, b);
	walk(a, "z/y/x/fx");
	later(c, a);
	mv(c, walk(c, "y"), "x", ROOT, "q");
	mv(c, ROOT, "q", walk(c, "y"), "x");
	pass(a, c);
	walk(a, "q/z/y/fy");
	sync_all();
	walk(b, "q/fx");
}

static void test_cycle_and_removal(void)
{
	make_three_dirs();
	mv(a, ROOT, "x", walk(a, "y"), "x");
	later(b, a);
	mv(b, ROOT, "y", walk(b, "x"), "y");
	later(c, b);
	rm(c, walk(c, "x"), "fx");
	assert_int_equal(tree_rmdir(c->tree, ROOT, SLICE_STR("x")), 0);
	sync_all();
	walk(a, "y/fy");
}

static void test_merged_then_split(void)
{
	for (int late = 0; late < 2; late++) {
		const char *d = late ? "e" : "d";

		make_file(a, make_dir(a, make_dir(a, ROOT, d), "sub"), "fa",
			  "1");
		make_file(b, make_dir(b, make_dir(b, ROOT, d), "sub"), "fb",
			  "2");
		make_file(a, walk(a, d), "n", "alice's");
		make_file(b, walk(b, d), "n", "bob's");
		if (late)
			sync_all();
		pass(c, a);
		/* bob's is moved by one who knows only his, or the merged */
		mv(b, ROOT, d, ROOT, late ? "e2" : "d2");
		pass(c, b);
		sync_all();
	}
	walk(c, "d/sub/fa");
	walk(c, "d2/sub/fb");
	assert_int_equal(list(c, walk(c, "d"), NULL, 0), 2);
	assert_int_equal(list(c, walk(c, "d2"), NULL, 0), 2);
	walk(c, "e2/sub/fa");
	walk(c, "e2/sub/fb");
	assert_int_equal(list(c, walk(c, "e2"), NULL, 0), 3);
}

/* A node sees two merged directories; the one who made one of them, and
 * knows of no other, moves it away. */
static void test_split_after_merge(void)
{
	make_file(a, make_dir(a, make_dir(a, ROOT, "d"), "sub"), "fa", "1");
	make_file(b, make_dir(b, make_dir(b, ROOT, "d"), "sub"), "fb", "2");
	make_file(a, walk(a, "d"), "n", "alice's");
	make_file(b, walk(b, "d"), "n", "bob's");
	pass(c, a);
	pass(c, b);
	assert_int_equal(list(c, walk(c, "d"), NULL, 0), 3);
	assert_int_equal(list(c, walk(c, "d/sub"), NULL, 0), 2);
	make_file(c, walk(c, "d/sub"), "fc", "3");
	mv(b, ROOT, "d", ROOT, "b");
	pass(c, b);
	walk(c, "d/sub/fa");
	walk(c, "b/sub/fb");
	assert_int_equal(list(c, walk(c, "d"), NULL, 0), 2);
	assert_int_equal(list(c, walk(c, "b"), NULL, 0), 2);
	sync_all();
	/* merged again, by a move onto its name */
	mv(a, ROOT, "b", ROOT, "b2");
	make_dir(b, ROOT, "b2");
	sync_all();
	assert_int_equal(list(c, walk(c, "b2"), NULL, 0), 2);
}

static void test_rmdir_of_merged_against_create(void)
{
	make_dir(a, ROOT, "d");
	make_dir(b, ROOT, "d");
	sync_all();
	assert_int_equal(tree_rmdir(a->tree, ROOT, SLICE_STR("d")), 0);
	make_file(c, walk(c, "d"), "new", "1");
	sync_all();
	walk(b, "d/new");
	rm(b, walk(b, "d"), "new");
	assert_int_equal(entries(b), 0);
	sync_all();
	assert_int_equal(entries(a), 0);
}

static void test_revive_chain(void)
{
	uint64_t d = make_dir(a, make_dir(a, make_dir(a, ROOT, "1"), "2"),
			      "3");

	make_file(a, d, "f", "base");
	sync_all();
	write_file(b, walk(b, "1/2/3/f"), "bob's");
	mv(c, walk(c, "1/2"), "3", ROOT, "3");
	rm(a, d, "f");
	assert_int_equal(tree_rmdir(a->tree, walk(a, "1/2"), SLICE_STR("3")),
			 0);
	assert_int_equal(tree_rmdir(a->tree, walk(a, "1"), SLICE_STR("2")),
			 0);
	assert_int_equal(tree_rmdir(a->tree, ROOT, SLICE_STR("1")), 0);
	sync_all();
	expect_bytes(a, walk(a, "3/f"), "bob's");
	assert_int_equal(entries(b), 1);
	/* removed again by one, written by another: 3 returns where it was */
	rm(a, walk(a, "3"), "f");
	assert_int_equal(tree_rmdir(a->tree, ROOT, SLICE_STR("3")), 0);
	write_file(c, walk(c, "3/f"), "carol's");
	sync_all();
	expect_bytes(b, walk(b, "3/f"), "carol's");
}

static void test_move_into_removed(void)
{
	make_three_dirs();
	rm(a, walk(a, "x"), "fx");
	assert_int_equal(tree_rmdir(a->tree, ROOT, SLICE_STR("x")), 0);
	mv(b, ROOT, "y", walk(b, "x"), "y");
	mv(c, walk(c, "z"), "fz", walk(c, "x"), "fz");
	sync_all();
	walk(a, "x/y/fy");
	walk(a, "x/fz");
	/* a weak directory moves with all, and becomes strong */
	mv(b, ROOT, "x", walk(b, "z"), "x");
	rm(c, walk(c, "x"), "fz");
	sync_all();
	walk(c, "z/x/y/fy");
}

/* ---- inode numbers */

static void test_numbers_stay(void)
{
	uint64_t d, sub, f, sibling;
	char name[256];

	make_conflict("f");
	sync_all();
	d = make_dir(a, ROOT, "d");
	sub = make_dir(a, d, "sub");
	f = look(a, ROOT, "f");
	name_with(a, ROOT, "conflict", name);
	sibling = look(a, ROOT, name);
	make_dir(b, make_dir(b, ROOT, "d"), "sub");
	write_name(b, name, "sibling, more");
	write_name(c, "f", "main, more");
	sync_all();
	assert_int_equal(look(a, ROOT, "d"), d);
	assert_int_equal(look(a, d, "sub"), sub);
	assert_int_equal(look(a, ROOT, "f"), f);
	assert_int_equal(look(a, ROOT, name), sibling);
	fixture_crash(a);
	assert_int_equal(look(a, ROOT, "d"), d);
	assert_int_equal(look(a, ROOT, "f"), f);
	assert_int_equal(look(a, ROOT, name), sibling);
	check_tree(a);
}

/* One of two merged directories is removed by somebody who knew only that
 * one: who is in the merged one stays in it. */
static void test_number_of_a_merged_directory_stays(void)
{
	uint64_t d = make_dir(a, ROOT, "d"), inner;

	inner = make_dir(a, d, "inner");
	pass(c, a);
	make_dir(b, make_dir(b, ROOT, "d"), "inner");
	pass(a, b);
	assert_int_equal(look(a, ROOT, "d"), d);
	assert_int_equal(tree_rmdir(c->tree, look(c, ROOT, "d"),
				    SLICE_STR("inner")), 0);
	assert_int_equal(tree_rmdir(c->tree, ROOT, SLICE_STR("d")), 0);
	pass(a, c);
	assert_int_equal(look(a, ROOT, "d"), d);
	assert_int_equal(look(a, d, "inner"), inner);
	make_file(a, inner, "f", "bytes");
	check_tree(a);
	fixture_crash(a);
	expect_bytes(a, look(a, inner, "f"), "bytes");
	sync_all();
	assert_int_equal(look(a, ROOT, "d"), d);
	expect_bytes(b, look(b, look(b, look(b, ROOT, "d"), "inner"), "f"),
		     "bytes");
}

static void test_detach_again_and_again(void)
{
	uint64_t handles[5];
	char text[16];

	make_file(a, ROOT, "f", "0");
	sync_all();
	for (int k = 0; k < 5; k++) {
		handles[k] = look(b, ROOT, "f");
		assert_int_equal(tree_open_file(b->tree, handles[k], false),
				 0);
		snprintf(text, sizeof(text), "%d", k + 1);
		write_name(a, "f", text);
		pass(b, a);
	}
	for (int k = 0; k < 5; k++) {
		snprintf(text, sizeof(text), "%d", k);
		expect_bytes(b, handles[k], text);
		for (int x = 0; x < k; x++)
			assert_int_not_equal(handles[x], handles[k]);
		tree_release_file(b->tree, handles[k], false);
	}
	expect_file(b, "f", "5");
	sync_all();
	assert_int_equal(entries(c), 1);
}

/* Two that see one pair of twins in another order each take the other's for
 * the one that goes: neither does. */
static void test_twins_folded_both_ways(void)
{
	struct tree_setattr touch = { .set = TREE_SET_MTIME,
				      .mtime = { 1000, 0 } };
	struct attr attr;

	make_file(a, ROOT, "doc", "y");
	pass(b, a);
	write_name(b, "doc", "x"); /* which keeps the name */
	rm(a, ROOT, "doc");
	later(c, b);
	make_file(c, ROOT, "doc", "x");
	pass(a, b);
	pass(a, c);
	pass(b, c);
	assert_int_equal(entries(a), 1);
	assert_int_equal(entries(b), 1);
	assert_int_equal(tree_setattr(a->tree, look(a, ROOT, "doc"), &touch,
				      &attr), 0);
	assert_int_equal(tree_setattr(b->tree, look(b, ROOT, "doc"), &touch,
				      &attr), 0);
	sync_all();
	expect_file(c, "doc", "x");
}

/* A name that comes back is the one that went, by whatever way: not a second
 * one beside what somebody kept. */
static void test_second_name_comes_back(void)
{
	struct entry e;
	struct attr attr;
	uint64_t ino;

	make_file(a, ROOT, "first", "base");
	assert_int_equal(tree_link(a->tree, look(a, ROOT, "first"), ROOT,
				   SLICE_STR("second"), &e), 0);
	rm(a, ROOT, "first");
	sync_all();
	ino = look(a, ROOT, "second");
	assert_int_equal(tree_open_file(a->tree, ino, true), 0);
	assert_int_equal(tree_write(a->tree, ino, 0, SLICE_STR("late"), false),
			 0);
	rm(b, ROOT, "second");
	pass(a, b);
	tree_release_file(a->tree, ino, true);
	later(c, a);
	write_name(c, "second", "edited");
	sync_all();
	assert_int_equal(entries(a), 2);
	assert_int_equal(tree_getattr(a->tree, look(a, ROOT, "second"), &attr),
			 0);
	assert_int_equal(attr.nlink, 1);
	expect_file(a, "second", "edited");
}

/* ---- rows as they come from elsewhere */

static void store_row(struct fixture *f, struct object *o, uint64_t seq)
{
	struct know k = KNOW_INIT;

	assert_int_equal(know_set(&k, 77, seq), 0);
	store_lock(f->store);
	assert_int_equal(replica_begin(f->tree), 0);
	assert_int_equal(replica_row_store(f->tree, o, 0), 0);
	assert_int_equal(replica_know_join(f->tree, &k), 0);
	assert_int_equal(replica_finish(f->tree), 0);
	assert_int_equal(replica_end(f->tree, 0), 0);
	store_unlock(f->store);
	know_release(&k);
}

static void put(struct object *o, struct version v, uint64_t seq, uint8_t reg)
{
	v.dot = (struct dot){ 77, seq };
	v.hlc = seq;
	v.reg = reg;
	assert_non_null(object_add(o, &v));
}

static struct version content_of(const char *text, int64_t level,
				 uint64_t branch)
{
	struct version v = { .flags = 0 };

	content_inline(SLICE_STR(text), &v.content.content);
	v.content.rank = (struct stamp){ 1, { 77, 1 }, level };
	v.content.branch = (struct dot){ 77, branch };
	v.content.branch_hlc = branch;
	v.content.label = v.content.author = SLICE_STR("dora");
	return v;
}

/* Two siblings of one rank, and main just above: a save of the first leaves
 * main main. */
static void test_level_between(void)
{
	struct version link = { .flags = 0 }, kind = { .flags = 0 };
	struct object o;
	char first[256];

	object_init(&o, (struct objid){ { 1, 2, 3 } });
	kind.kind.kind = KIND_FILE;
	put(&o, kind, 1, REG_KIND);
	link.link.slot = 1;
	link.link.at.name = SLICE_STR("f");
	link.link.since = (struct stamp){ 1, { 77, 1 }, 0 };
	link.link.label = SLICE_STR("dora");
	put(&o, link, 1, REG_LINK);
	put(&o, content_of("low", 0, 2), 2, REG_CONTENT);
	put(&o, content_of("first", 0, 3), 3, REG_CONTENT);
	put(&o, content_of("main", 1, 4), 4, REG_CONTENT);
	store_row(a, &o, 4);
	object_release(&o);
	expect_file(a, "f", "main");
	for (int k = 0; k < 2; k++) {
		char names[3][256];

		assert_int_equal(list(a, ROOT, names, 3), 3);
		for (int n = 0; n < 3; n++) {
			char got[8] = "";

			assert_true(tree_read(a->tree,
					      look(a, ROOT, names[n]), 0, got,
					      5) >= 0);
			if (!strcmp(got, "first"))
				strcpy(first, names[n]);
		}
		write_name(a, first, "saved");
		expect_file(a, "f", "main");
		expect_file(a, first, "saved");
		write_name(a, first, "first");
	}
	sync_all();
}

/* What is brought back to where nothing is known any more comes to the
 * root. */
static void test_back_to_the_root(void)
{
	struct version v = { .flags = 0 };
	struct object o;

	object_init(&o, (struct objid){ { 1 } });
	v.kind.kind = KIND_DIR;
	put(&o, v, 1, REG_KIND);
	v = (struct version){ .flags = 0 };
	v.tomb.link.at = (struct place){ { { 9, 9, 9 } }, SLICE_STR("sub") };
	v.tomb.link.since = (struct stamp){ 1, { 77, 1 }, 0 };
	v.tomb.run = 2;
	put(&o, v, 2, REG_TOMB);
	store_row(a, &o, 2);
	object_release(&o);
	assert_int_equal(entries(a), 0);
	object_init(&o, (struct objid){ { 2 } });
	v = (struct version){ .flags = 0 };
	v.kind.kind = KIND_FILE;
	put(&o, v, 3, REG_KIND);
	v = (struct version){ .flags = 0 };
	v.link.slot = 1;
	v.link.at = (struct place){ { { 1 } }, SLICE_STR("f") };
	v.link.since = (struct stamp){ 3, { 77, 3 }, 0 };
	put(&o, v, 3, REG_LINK);
	put(&o, content_of("bytes", 0, 3), 3, REG_CONTENT);
	store_row(a, &o, 3);
	object_release(&o);
	expect_bytes(a, look(a, look(a, ROOT, "sub"), "f"), "bytes");
	sync_all();
}

/* tail -f of a log that is written elsewhere: growth is no other file. */
static void test_growth_is_followed(void)
{
	uint64_t ino, other;
	struct attr attr;

	make_file(a, ROOT, "log", "one\n");
	sync_all();
	ino = look(b, ROOT, "log");
	assert_int_equal(tree_open_file(b->tree, ino, false), 0);
	write_name(a, "log", "one\ntwo\n");
	pass(b, a);
	assert_int_equal(look(b, ROOT, "log"), ino);
	expect_bytes(b, ino, "one\ntwo\n");
	assert_int_equal(tree_getattr(b->tree, ino, &attr), 0);
	assert_int_equal(attr.size, 8);
	/* A writer with nothing unsent: what it appends is based on that. */
	assert_int_equal(tree_open_file(b->tree, ino, true), 0);
	write_name(a, "log", "one\ntwo\nthree\n");
	pass(b, a);
	assert_int_equal(tree_write(b->tree, ino, 14, SLICE_STR("four\n"),
				    false), 0);
	tree_release_file(b->tree, ino, true);
	sync_all();
	assert_int_equal(entries(c), 1);
	expect_file(c, "log", "one\ntwo\nthree\nfour\n");
	/* Anything else is, and so is growth under unsent writes. */
	write_name(a, "log", "ONE\ntwo\nthree\nfour\n");
	pass(b, a);
	other = look(b, ROOT, "log");
	assert_int_not_equal(other, ino);
	expect_bytes(b, ino, "one\ntwo\nthree\nfour\n");
	tree_release_file(b->tree, ino, false);
	assert_int_equal(tree_open_file(b->tree, other, true), 0);
	assert_int_equal(tree_write(b->tree, other, 19, SLICE_STR("five\n"),
				    false), 0);
	write_name(a, "log", "ONE\ntwo\nthree\nfour\nsix\n");
	pass(b, a);
	assert_int_not_equal(look(b, ROOT, "log"), other);
	tree_release_file(b->tree, other, true);
	sync_all();
	assert_int_equal(entries(c), 2);
	check_tree(b);
}

static const struct scenario scenarios[] = {
	SCENARIO(test_growth_is_followed),
	SCENARIO(test_twins_folded_both_ways),
	SCENARIO(test_second_name_comes_back),
	SCENARIO(test_level_between),
	SCENARIO(test_back_to_the_root),
	SCENARIO(test_three_edits_partly_settled),
	SCENARIO(test_siblings_edited_apart),
	SCENARIO(test_mtime_of_what_is_taken),
	SCENARIO(test_rm_main_against_edit),
	SCENARIO(test_settlement_takes_the_void),
	SCENARIO(test_settled_differently),
	SCENARIO(test_both_remove_another_sibling),
	SCENARIO(test_rm_each_to_the_last),
	SCENARIO(test_edit_of_sibling_against_settlement),
	SCENARIO(test_undo_against_edit),
	SCENARIO(test_real_file_of_the_siblings_name),
	SCENARIO(test_sibling_of_contested_name),
	SCENARIO(test_rename_over_contested),
	SCENARIO(test_twins_and_not),
	SCENARIO(test_twins_of_one_content),
	SCENARIO(test_twin_edited_elsewhere),
	SCENARIO(test_dir_and_file),
	SCENARIO(test_cycle_of_three),
	SCENARIO(test_two_cycles),
	SCENARIO(test_cycle_cut_moves),
	SCENARIO(test_cycle_and_removal),
	SCENARIO(test_merged_then_split),
	SCENARIO(test_split_after_merge),
	SCENARIO(test_rmdir_of_merged_against_create),
	SCENARIO(test_revive_chain),
	SCENARIO(test_move_into_removed),
	SCENARIO(test_numbers_stay),
	SCENARIO(test_number_of_a_merged_directory_stays),
	SCENARIO(test_detach_again_and_again),
};

int main(void)
{
	return scenarios_run(scenarios,
			     sizeof(scenarios) / sizeof(*scenarios));
}
