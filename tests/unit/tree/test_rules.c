/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Three nodes that were apart, and take each other's changes in several
 * orders. Whatever the order, all end with one tree; so does a node that
 * takes everything at once, which shows that what each derived step by step
 * is what the rows say.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "tree_support.h"

#define ROOT TREE_ROOT_INO
#define ORDERS 4

static struct fixture n[3], *a = &n[0], *b = &n[1], *c = &n[2];
static int order;

/* ---- all take all */

static int digest_entry(void *arg, const struct replica_view_entry *e)
{
	char hex[65];

	hex_encode(e->content.root.b, 32, hex);
	buf_printf(arg, "%.*s %d %o %ld %lu %s\n", (int)e->path.len,
		   (const char *)e->path.data, e->kind, e->perm,
		   (long)e->mtime.tv_sec, (unsigned long)e->content.size,
		   e->kind == KIND_DIR ? "" : hex);
	return 0;
}

static void expect_same(struct fixture *x, struct fixture *y)
{
	struct buf dx = BUF_INIT, dy = BUF_INIT;

	assert_int_equal(replica_view(x->tree, digest_entry, &dx), 0);
	assert_int_equal(replica_view(y->tree, digest_entry, &dy), 0);
	buf_put_u8(&dx, 0);
	buf_put_u8(&dy, 0);
	assert_string_equal((char *)dx.data, (char *)dy.data);
	buf_release(&dx);
	buf_release(&dy);
}

static void pass(struct fixture *to, struct fixture *from)
{
	merge_from(to, from);
	check_tree(to);
}

static void sync(void)
{
	static const int ways[ORDERS][4] = {
		{ 0, 1, 1, 2 }, { 2, 1, 0, 2 }, { 1, 0, 2, 0 }, { 0, 2, 2, 1 },
	};
	const int *w = ways[order];
	struct fixture fresh;

	for (int k = 0; k < 3; k++) {
		pass(&n[w[1]], &n[w[0]]);
		pass(&n[w[3]], &n[w[2]]);
		pass(&n[w[0]], &n[w[1]]);
		pass(&n[w[2]], &n[w[3]]);
	}
	for (int k = 0; k < 3; k++)
		pass(&n[(k + 1) % 3], &n[k]);
	pass(&n[1], &n[0]);
	expect_same(a, b);
	expect_same(a, c);
	fixture_open(&fresh, "fresh", false);
	pass(&fresh, a);
	expect_same(a, &fresh);
	fixture_close(&fresh);
}

static void later(struct fixture *f, const struct fixture *than)
{
	f->now_ns = than->now_ns + 2000000000;
}

static void mv(struct fixture *f, uint64_t dir, const char *name, uint64_t to,
	       const char *new)
{
	assert_int_equal(tree_rename(f->tree, dir, SLICE_STR(name), to,
				     SLICE_STR(new), 0), 0);
}

static void rm(struct fixture *f, uint64_t dir, const char *name)
{
	assert_int_equal(tree_unlink(f->tree, dir, SLICE_STR(name)), 0);
}

static void write_name(struct fixture *f, const char *name, const char *bytes)
{
	write_file(f, look(f, ROOT, name), bytes);
}

static void expect_file(struct fixture *f, const char *name,
			const char *bytes)
{
	expect_bytes(f, look(f, ROOT, name), bytes);
}

/* Entries of the root. */
static size_t entries(struct fixture *f)
{
	return list(f, ROOT, NULL, 0);
}

/* Does some entry of the root that contains `text` hold these bytes? */
static void expect_like(struct fixture *f, const char *text,
			const char *bytes)
{
	char name[256];

	name_with(f, ROOT, text, name);
	expect_file(f, name, bytes);
}

/* ---- contents */

/* alice's and bob's edits, as both see them; main is bob's. */
static void make_conflict(const char *file)
{
	make_file(a, ROOT, file, "base");
	sync();
	write_name(a, file, "alice's");
	later(b, a);
	write_name(b, file, "bob's");
}

static void test_three_edits_partly_settled(void)
{
	make_conflict("f");
	later(c, b);
	write_name(c, "f", "carol's");
	pass(a, b);
	pass(b, a);
	assert_int_equal(tree_resolve(a->tree, ROOT, SLICE_STR("f"),
				      SLICE_STR("alice")), 0);
	sync();
	assert_int_equal(entries(a), 2);
	expect_file(b, "f", "carol's");
	expect_like(b, "conflict", "alice's");
	assert_int_equal(tree_resolve(c->tree, ROOT, SLICE_STR("f"),
				      SLICE_STR("main")), 0);
	sync();
	assert_int_equal(entries(a), 1);
	expect_file(a, "f", "carol's");
}

static void test_siblings_edited_apart(void)
{
	char name[256];

	make_conflict("f");
	sync();
	name_with(a, ROOT, "conflict", name);
	write_name(a, name, "sibling by alice");
	write_name(b, "f", "main by bob");
	write_name(c, name, "sibling by carol");
	sync();
	assert_int_equal(entries(a), 3);
	expect_file(a, "f", "main by bob");
	assert_int_equal(tree_resolve(b->tree, ROOT, SLICE_STR("f"),
				      SLICE_STR("main")), 0);
	sync();
	assert_int_equal(entries(c), 1);
	expect_file(c, "f", "main by bob");
}

static void test_rm_main_against_edit(void)
{
	char name[256];

	make_conflict("f");
	sync();
	name_with(a, ROOT, "conflict", name);
	rm(a, ROOT, "f");
	later(b, a);
	write_name(b, "f", "bob's, more");
	sync();
	/* the edit was not seen by who removed: it lives, with its name */
	expect_file(a, "f", "bob's, more");
	expect_file(a, name, "alice's");
	assert_int_equal(entries(a), 2);
}

static void test_settled_differently(void)
{
	make_conflict("f");
	sync();
	assert_int_equal(tree_resolve(a->tree, ROOT, SLICE_STR("f"),
				      SLICE_STR("alice")), 0);
	later(b, a);
	assert_int_equal(tree_resolve(b->tree, ROOT, SLICE_STR("f"),
				      SLICE_STR("bob")), 0);
	sync();
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
	sync();
	assert_int_equal(entries(a), 3);
	name_with(a, ROOT, "conflict alice", one);
	name_with(a, ROOT, "conflict bob", two);
	rm(a, ROOT, one);
	rm(b, ROOT, two);
	sync();
	assert_int_equal(entries(a), 1);
	expect_file(a, "f", "carol's");
}

static void test_rm_each_to_the_last(void)
{
	char name[256];

	make_conflict("f");
	sync();
	name_with(a, ROOT, "conflict", name);
	rm(a, ROOT, "f");
	rm(b, ROOT, name);
	sync();
	/* alice kept the sibling, bob kept main: both had seen all */
	assert_true(entries(a) <= 1);
	if (entries(a)) {
		char left[1][256];

		list(a, ROOT, left, 1);
		rm(c, ROOT, left[0]);
		sync();
	}
	assert_int_equal(entries(b), 0);
}

static void test_edit_of_sibling_against_settlement(void)
{
	char name[256];

	make_conflict("f");
	sync();
	name_with(b, ROOT, "conflict", name);
	write_name(b, name, "alice's, by bob");
	assert_int_equal(tree_resolve(a->tree, ROOT, SLICE_STR("f"),
				      SLICE_STR("main")), 0);
	sync();
	assert_int_equal(entries(a), 2);
	expect_file(a, "f", "bob's");
	expect_like(a, "conflict", "alice's, by bob");
}

static void test_undo_against_edit(void)
{
	make_file(a, ROOT, "f", "base");
	sync();
	write_name(a, "f", "changed");
	write_name(a, "f", "base"); /* undone */
	later(b, a);
	write_name(b, "f", "bob's");
	sync();
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
	sync();
	assert_int_equal(entries(a), 3);
	expect_file(a, name, "real");
	expect_file(a, "f", "bob's");
	rm(b, ROOT, name);
	sync();
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
	sync();
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
	sync();
	assert_int_equal(entries(c), 0);
}

static void test_rename_over_contested(void)
{
	make_file(a, ROOT, "x", "alice's x");
	later(b, a);
	make_file(b, ROOT, "x", "bob's x");
	sync();
	expect_file(c, "x", "alice's x");
	make_file(c, ROOT, "new", "carol's");
	mv(c, ROOT, "new", ROOT, "x");
	expect_file(c, "x", "carol's");
	assert_int_equal(entries(c), 2);
	sync();
	expect_file(a, "x", "carol's");
	expect_like(a, "conflict bob", "bob's x");
	/* and the loser takes the name */
	char name[256];
	name_with(a, ROOT, "conflict bob", name);
	mv(a, ROOT, name, ROOT, "x");
	sync();
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
	sync();
	assert_int_equal(entries(c), 1 + 2 + 2 + 1);
	/* one entry to every operation */
	write_name(c, "t", "edited");
	sync();
	assert_int_equal(entries(c), 1 + 2 + 2 + 1);
	expect_file(a, "t", "edited");
	rm(b, ROOT, "l");
	sync();
	assert_int_equal(entries(c), 2 + 2 + 1);
}

static void test_twin_edited_elsewhere(void)
{
	make_file(a, ROOT, "t", "twin");
	make_file(b, ROOT, "t", "twin");
	sync();
	later(c, a);
	write_name(c, "t", "carol's");
	rm(a, ROOT, "t");
	sync();
	assert_int_equal(entries(b), 1);
	expect_file(b, "t", "carol's");
}

static void test_dir_and_file(void)
{
	make_file(a, ROOT, "x", "file");
	make_dir(b, ROOT, "x");
	make_dir(c, ROOT, "x");
	make_file(c, look(c, ROOT, "x"), "in", "c");
	sync();
	assert_int_equal(entries(a), 2);
	expect_like(a, "conflict alice", "file");
	assert_int_equal(tree_unlink(b->tree, ROOT, SLICE_STR("x")),
			 -EISDIR);
	rm(b, look(b, ROOT, "x"), "in");
	assert_int_equal(tree_rmdir(b->tree, ROOT, SLICE_STR("x")), 0);
	/* the file gets its name, at once and everywhere */
	assert_int_equal(entries(b), 1);
	expect_file(b, "x", "file");
	sync();
	expect_file(c, "x", "file");
	make_dir(a, ROOT, "y");
	make_file(b, ROOT, "y", "file");
	sync();
	char name[256];
	name_with(c, ROOT, "y (conflict", name);
	rm(c, ROOT, name);
	sync();
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
	sync();
}

static void test_cycle_of_three(void)
{
	make_three_dirs();
	mv(a, ROOT, "x", walk(a, "y"), "x");
	later(b, a);
	mv(b, ROOT, "y", walk(b, "z"), "y");
	later(c, b);
	mv(c, ROOT, "z", walk(c, "x"), "z");
	sync();
	assert_int_equal(entries(a), 1);
	walk(a, "z/y/x/fx");
	/* a rename of it pins all that was seen */
	mv(b, ROOT, "z", ROOT, "w");
	sync();
	walk(c, "w/y/x/fx");
}

static void test_two_cycles(void)
{
	make_three_dirs();
	make_file(a, make_dir(a, ROOT, "v"), "fv", "v");
	sync();
	mv(a, ROOT, "x", walk(a, "y"), "x");
	mv(a, ROOT, "z", walk(a, "v"), "z");
	later(b, a);
	mv(b, ROOT, "y", walk(b, "x"), "y");
	mv(b, ROOT, "v", walk(b, "z"), "v");
	sync();
	assert_int_equal(entries(c), 2);
	walk(c, "y/x/fx");
	walk(c, "v/z/fz");
	rm(c, walk(c, "y/x"), "fx");
	assert_int_equal(tree_rmdir(c->tree, walk(c, "y"), SLICE_STR("x")),
			 0);
	sync();
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
	sync();
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
	sync();
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
			sync();
		pass(c, a);
		/* bob's is moved by one who knows only his, or the merged */
		mv(b, ROOT, d, ROOT, late ? "e2" : "d2");
		pass(c, b);
		sync();
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
	sync();
	/* merged again, by a move onto its name */
	mv(a, ROOT, "b", ROOT, "b2");
	make_dir(b, ROOT, "b2");
	sync();
	assert_int_equal(list(c, walk(c, "b2"), NULL, 0), 2);
}

static void test_rmdir_of_merged_against_create(void)
{
	make_dir(a, ROOT, "d");
	make_dir(b, ROOT, "d");
	sync();
	assert_int_equal(tree_rmdir(a->tree, ROOT, SLICE_STR("d")), 0);
	make_file(c, walk(c, "d"), "new", "1");
	sync();
	walk(b, "d/new");
	rm(b, walk(b, "d"), "new");
	assert_int_equal(entries(b), 0);
	sync();
	assert_int_equal(entries(a), 0);
}

static void test_revive_chain(void)
{
	uint64_t d = make_dir(a, make_dir(a, make_dir(a, ROOT, "1"), "2"),
			      "3");

	make_file(a, d, "f", "base");
	sync();
	write_file(b, walk(b, "1/2/3/f"), "bob's");
	mv(c, walk(c, "1/2"), "3", ROOT, "3");
	rm(a, d, "f");
	assert_int_equal(tree_rmdir(a->tree, walk(a, "1/2"), SLICE_STR("3")),
			 0);
	assert_int_equal(tree_rmdir(a->tree, walk(a, "1"), SLICE_STR("2")),
			 0);
	assert_int_equal(tree_rmdir(a->tree, ROOT, SLICE_STR("1")), 0);
	sync();
	expect_bytes(a, walk(a, "3/f"), "bob's");
	assert_int_equal(entries(b), 1);
	/* removed again by one, written by another: 3 returns where it was */
	rm(a, walk(a, "3"), "f");
	assert_int_equal(tree_rmdir(a->tree, ROOT, SLICE_STR("3")), 0);
	write_file(c, walk(c, "3/f"), "carol's");
	sync();
	expect_bytes(b, walk(b, "3/f"), "carol's");
}

static void test_move_into_removed(void)
{
	make_three_dirs();
	rm(a, walk(a, "x"), "fx");
	assert_int_equal(tree_rmdir(a->tree, ROOT, SLICE_STR("x")), 0);
	mv(b, ROOT, "y", walk(b, "x"), "y");
	mv(c, walk(c, "z"), "fz", walk(c, "x"), "fz");
	sync();
	walk(a, "x/y/fy");
	walk(a, "x/fz");
	/* a weak directory moves with all, and becomes strong */
	mv(b, ROOT, "x", walk(b, "z"), "x");
	rm(c, walk(c, "x"), "fz");
	sync();
	walk(c, "z/x/y/fy");
}

/* ---- inode numbers */

static void test_numbers_stay(void)
{
	uint64_t d, sub, f, sibling;
	char name[256];

	make_conflict("f");
	sync();
	d = make_dir(a, ROOT, "d");
	sub = make_dir(a, d, "sub");
	f = look(a, ROOT, "f");
	name_with(a, ROOT, "conflict", name);
	sibling = look(a, ROOT, name);
	make_dir(b, make_dir(b, ROOT, "d"), "sub");
	write_name(b, name, "sibling, more");
	write_name(c, "f", "main, more");
	sync();
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

static void test_detach_again_and_again(void)
{
	uint64_t handles[5];
	char text[16];

	make_file(a, ROOT, "f", "0");
	sync();
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
	sync();
	assert_int_equal(entries(c), 1);
}

/* ---- running each in every order */

#define T(f) { #f, f }
static const struct {
	const char *name;
	void (*run)(void);
} scenarios[] = {
	T(test_three_edits_partly_settled), T(test_siblings_edited_apart),
	T(test_rm_main_against_edit), T(test_settled_differently),
	T(test_both_remove_another_sibling), T(test_rm_each_to_the_last),
	T(test_edit_of_sibling_against_settlement), T(test_undo_against_edit),
	T(test_real_file_of_the_siblings_name),
	T(test_sibling_of_contested_name), T(test_rename_over_contested),
	T(test_twins_and_not), T(test_twin_edited_elsewhere),
	T(test_dir_and_file), T(test_cycle_of_three), T(test_two_cycles),
	T(test_cycle_cut_moves), T(test_cycle_and_removal),
	T(test_merged_then_split), T(test_split_after_merge),
	T(test_rmdir_of_merged_against_create), T(test_revive_chain),
	T(test_move_into_removed), T(test_numbers_stay),
	T(test_detach_again_and_again),
};
#undef T

static void run_scenario(void **state)
{
	const size_t *which = *state;

	for (order = 0; order < ORDERS; order++) {
		fixture_open(a, "alice", true);
		fixture_open(b, "bob", false);
		fixture_open(c, "carol", false);
		scenarios[*which].run();
		for (int k = 0; k < 3; k++)
			fixture_close(&n[k]);
	}
}

int main(void)
{
	static struct CMUnitTest tests[sizeof(scenarios) /
				       sizeof(*scenarios)];
	static size_t which[sizeof(scenarios) / sizeof(*scenarios)];

	for (size_t k = 0; k < sizeof(scenarios) / sizeof(*scenarios); k++) {
		which[k] = k;
		tests[k] = (struct CMUnitTest){
			.name = scenarios[k].name, .test_func = run_scenario,
			.initial_state = &which[k] };
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
