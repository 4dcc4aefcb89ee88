/* SPDX-License-Identifier: Apache-2.0 */
/* Hard links and exchanges: on one node, and against what others did. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "nodes_support.h"

static struct fixture *const a = &nodes[0], *const b = &nodes[1],
		      *const c = &nodes[2];

static int ln_error(struct fixture *f, const char *name, const char *new)
{
	struct entry e;
	int r = tree_link(f->tree, look(f, ROOT, name), ROOT, SLICE_STR(new),
			  &e);

	if (!r)
		assert_int_equal(e.attr.ino, look(f, ROOT, name));
	return r;
}

static void ln_into(struct fixture *f, const char *name, uint64_t dir,
		    const char *new)
{
	struct entry e;

	assert_int_equal(tree_link(f->tree, look(f, ROOT, name), dir,
				   SLICE_STR(new), &e), 0);
}

static void ln(struct fixture *f, const char *name, const char *new)
{
	assert_int_equal(ln_error(f, name, new), 0);
}

static int swap_error(struct fixture *f, uint64_t d1, const char *one,
		      uint64_t d2, const char *two)
{
	return tree_rename(f->tree, d1, SLICE_STR(one), d2, SLICE_STR(two),
			   TREE_RENAME_EXCHANGE);
}

static void swap(struct fixture *f, const char *one, const char *two)
{
	assert_int_equal(swap_error(f, ROOT, one, ROOT, two), 0);
}

static struct attr stat_of(struct fixture *f, const char *name)
{
	struct attr at;

	assert_int_equal(tree_getattr(f->tree, look(f, ROOT, name), &at), 0);
	return at;
}

static void expect_links(struct fixture *f, const char *name, uint32_t n)
{
	assert_int_equal(stat_of(f, name).nlink, n);
}

static void gone(struct fixture *f, const char *name)
{
	assert_int_equal(look_error(f, ROOT, name), -ENOENT);
}

static size_t shared_with(struct fixture *f, const char *text)
{
	static char names[100][256];
	size_t n = list(f, ROOT, names, 100), found = 0;

	for (size_t k = 0; k < n; k++)
		found += strstr(names[k], text) != NULL;
	return found;
}

/* ---- hard links */

static void test_two_names(void)
{
	uint64_t d = make_dir(a, ROOT, "d");
	struct attr before, after;
	struct buf path = BUF_INIT;
	struct entry e;

	make_file(a, ROOT, "x", "one");
	before = stat_of(a, "x");
	ln(a, "x", "y");
	after = stat_of(a, "x");
	assert_int_equal(look(a, ROOT, "x"), look(a, ROOT, "y"));
	expect_links(a, "y", 2);
	/* ctime moves, mtime does not */
	assert_memory_equal(&before.mtime, &after.mtime,
			    sizeof(before.mtime));
	assert_true(after.ctime.tv_nsec != before.ctime.tv_nsec);
	write_name(a, "y", "two");
	expect_file(a, "x", "two");
	assert_int_equal(ln_error(a, "x", "y"), -EEXIST);
	assert_int_equal(ln_error(a, "d", "z"), -EPERM);
	assert_int_equal(tree_link(a->tree, ROOT, d, SLICE_STR("z"), &e),
			 -EPERM);
	assert_int_equal(tree_link(a->tree, look(a, ROOT, "x"),
				   look(a, ROOT, "y"), SLICE_STR("z"), &e),
			 -ENOTDIR);
	assert_int_equal(tree_link(a->tree, 9999, d, SLICE_STR("z"), &e),
			 -ESTALE);
	/* a rename between them does nothing */
	mv(a, ROOT, "x", ROOT, "y");
	swap(a, "x", "y");
	expect_links(a, "x", 2);
	expect_links(a, "y", 2);
	rm(a, ROOT, "x");
	gone(a, "x");
	expect_links(a, "y", 1);
	mv(a, ROOT, "y", d, "z");
	assert_int_equal(tree_path(a->tree, look(a, d, "z"), &path), 0);
	assert_memory_equal(path.data, "d/z", 3);
	buf_release(&path);
	sync_all();
	expect_bytes(c, look(c, look(c, ROOT, "d"), "z"), "two");
}

static void test_link_of_symlink(void)
{
	struct tree_new n = { .kind = KIND_SYMLINK,
			      .target = SLICE_STR("to") };
	struct entry e;
	struct buf to = BUF_INIT;

	assert_int_equal(tree_create(a->tree, ROOT, SLICE_STR("s"), &n, false,
				     &e), 0);
	ln(a, "s", "t");
	sync_all();
	assert_int_equal(tree_readlink(b->tree, look(b, ROOT, "t"), &to), 0);
	assert_memory_equal(to.data, "to", 2);
	buf_release(&to);
	expect_links(b, "s", 2);
}

static void test_most_links(void)
{
	char name[16];

	make_file(a, ROOT, "x", "x");
	for (int k = 1; k < LINKS_MAX; k++) {
		snprintf(name, sizeof(name), "x%d", k);
		ln(a, "x", name);
	}
	assert_int_equal(ln_error(a, "x", "more"), -EMLINK);
	expect_links(a, "x", LINKS_MAX);
	write_name(a, "x7", "edited"); /* twice as many LINKs */
	merge_from(b, a);
	expect_links(b, "x", LINKS_MAX);
	expect_file(b, "x1023", "edited");
	rm(b, ROOT, "x3");
	ln(b, "x", "again");
	merge_from(a, b);
	expect_links(a, "again", LINKS_MAX);
	check_tree(a);
}

/* With the longest names there are fewer; the row has room for what others
 * link meanwhile. */
static void test_longest_links(void)
{
	char name[NAME_BYTES_MAX + 1];
	int count = 1, r = 0;

	make_file(a, ROOT, "x", "x");
	for (int k = 0; !r && k < LINKS_MAX; k++) {
		snprintf(name, sizeof(name), "%0*d", NAME_BYTES_MAX, k);
		r = ln_error(a, "x", name);
		count += !r;
	}
	assert_int_equal(r, -EMLINK);
	assert_in_range(count, 500, LINKS_MAX - 1);
	merge_from(b, a);
	expect_links(b, "x", (uint64_t)count);
	rm(b, ROOT, "x");
	snprintf(name, sizeof(name), "%0*d", NAME_BYTES_MAX, 0);
	ln(b, name, "short");
	merge_from(a, b);
	expect_links(a, "short", (uint64_t)count);
	check_tree(a);
}

static void test_link_against_unlink(void)
{
	make_file(a, ROOT, "x", "x");
	sync_all();
	ln(a, "x", "y");
	rm(b, ROOT, "x");
	sync_all();
	gone(c, "x");
	expect_file(c, "y", "x");
	expect_links(c, "y", 1);
}

static void test_each_removes_one_of_two(void)
{
	make_file(a, ROOT, "x", "x");
	ln(a, "x", "y");
	sync_all();
	rm(a, ROOT, "x");
	rm(b, ROOT, "y");
	sync_all();
	assert_int_equal(entries(a), 0);
}

/* KEEP gives back what was removed, but never one name of several. */
static void test_edit_against_unlink_of_one(void)
{
	make_file(a, ROOT, "x", "x");
	ln(a, "x", "y");
	sync_all();
	rm(a, ROOT, "x");
	write_name(b, "x", "edited");
	sync_all();
	gone(c, "x");
	expect_file(c, "y", "edited");
	expect_links(c, "y", 1);
	/* and the name does not return by what is written next */
	write_name(c, "y", "edited again");
	sync_all();
	gone(a, "x");
	assert_int_equal(entries(a), 1);
}

static void test_edit_against_unlink_of_all(void)
{
	make_file(a, ROOT, "x", "x");
	ln(a, "x", "y");
	sync_all();
	rm(a, ROOT, "x");
	rm(a, ROOT, "y");
	write_name(b, "x", "edited");
	sync_all();
	/* shown by weak slots only: all of them */
	expect_file(c, "x", "edited");
	expect_links(c, "y", 2);
	/* one more is strong: the others must not vanish */
	ln(c, "x", "z");
	expect_links(c, "y", 3);
	sync_all();
	expect_file(a, "x", "edited");
	expect_links(a, "y", 3);
	expect_links(b, "z", 3);
}

static void test_rename_of_weak_one(void)
{
	make_file(a, ROOT, "x", "x");
	ln(a, "x", "y");
	sync_all();
	rm(a, ROOT, "x");
	rm(a, ROOT, "y");
	write_name(b, "y", "edited");
	sync_all();
	mv(a, ROOT, "x", ROOT, "z");
	sync_all();
	gone(c, "x");
	expect_links(c, "y", 2);
	expect_file(c, "z", "edited");
}

static void test_siblings_stand_once(void)
{
	char name[256], again[256];

	make_conflict("f");
	sync_all();
	name_with(a, ROOT, "conflict", name);
	assert_int_equal(ln_error(a, name, "z"), -EPERM);
	/* several links: the siblings stay where they are */
	for (int k = 0; k < 8; k++) {
		char link[16];

		snprintf(link, sizeof(link), "l%d", k);
		ln(a, "f", link);
		assert_int_equal(look_error(a, ROOT, name), 0);
	}
	sync_all();
	assert_int_equal(entries(b), 10);
	expect_links(b, "f", 9);
	expect_links(b, name, 9);
	/* rm of one of several names removes that name; the siblings go
	 * beside another */
	rm(b, ROOT, "f");
	gone(b, "f");
	sync_all();
	assert_int_equal(entries(c), 9);
	expect_file(c, "l3", "bob's");
	name_with(c, ROOT, "conflict", again);
	assert_int_equal(again[0], 'l');
	expect_file(c, again, "alice's");
	/* with one name left it is a void, and the sibling keeps its */
	for (int k = 0; k < 8; k++) {
		char link[16];

		snprintf(link, sizeof(link), "l%d", k);
		if (!strncmp(link, again, 2))
			continue;
		rm(c, ROOT, link);
	}
	again[2] = '\0';
	rm(c, ROOT, again);
	sync_all();
	assert_int_equal(entries(a), 1);
	expect_like(a, "conflict", "alice's");
}

/* An unlink of one name takes nothing from handles, nor unsent writes. */
static void test_open_while_one_goes(void)
{
	uint64_t ino = make_file(a, ROOT, "x", "x");

	ln(a, "x", "y");
	assert_int_equal(tree_open_file(a->tree, ino, true), 0);
	assert_int_equal(tree_write(a->tree, ino, 0, SLICE_STR("unsent"),
				    false), 0);
	rm(a, ROOT, "x");
	assert_int_equal(tree_write(a->tree, ino, 6, SLICE_STR("!"), false),
			 0);
	assert_int_equal(look(a, ROOT, "y"), ino);
	tree_release_file(a->tree, ino, true);
	expect_file(a, "y", "unsent!");
	sync_all();
	expect_file(b, "y", "unsent!");
	/* of the last one it does */
	assert_int_equal(tree_open_file(a->tree, ino, true), 0);
	assert_int_equal(tree_write(a->tree, ino, 0, SLICE_STR("gone"),
				    false), 0);
	rm(a, ROOT, "y");
	tree_release_file(a->tree, ino, true);
	sync_all();
	assert_int_equal(entries(b), 0);
}

static void test_open_while_one_goes_in_conflict(void)
{
	uint64_t ino;

	make_conflict("f");
	sync_all();
	ln(a, "f", "g");
	ino = look(a, ROOT, "g");
	assert_int_equal(tree_open_file(a->tree, ino, true), 0);
	rm(a, ROOT, "f");
	assert_int_equal(look(a, ROOT, "g"), ino);
	assert_int_equal(tree_write(a->tree, ino, 0, SLICE_STR("BOB"), false),
			 0);
	tree_release_file(a->tree, ino, true);
	sync_all();
	expect_file(c, "g", "BOB's");
	expect_like(c, "conflict", "alice's");
	assert_int_equal(entries(c), 2);
}

/* A file that gets another number gets it under all its names. */
struct told {
	char names[8][16];
	size_t count;
};

static void tell(void *arg, uint64_t parent, struct slice name)
{
	struct told *t = arg;

	assert_int_equal(parent, ROOT);
	if (t->count < 8)
		snprintf(t->names[t->count++], sizeof(t->names[0]), "%.*s",
			 (int)name.len, (const char *)name.data);
}

static size_t told(const struct told *t, const char *name)
{
	size_t n = 0;

	for (size_t k = 0; k < t->count; k++)
		n += !strcmp(t->names[k], name);
	return n;
}

static void test_names_are_told(void)
{
	struct told t = { .count = 0 };
	struct tree_observer o = { .arg = &t, .entry = tell };
	char sibling[256];
	uint64_t ino;

	make_conflict("f");
	sync_all();
	ln(a, "f", "g");
	name_with(a, ROOT, "conflict", sibling);
	/* mv of the sibling over one name: the other is that inode too */
	ino = look(a, ROOT, sibling);
	tree_observe(a->tree, &o);
	mv(a, ROOT, sibling, ROOT, "f");
	assert_int_equal(look(a, ROOT, "f"), ino);
	assert_int_equal(look(a, ROOT, "g"), ino);
	assert_true(told(&t, "g") > 0);
	/* open here, written elsewhere */
	o.entry = NULL;
	tree_observe(a->tree, &o);
	sync_all();
	write_name(b, "g", "more");
	assert_int_equal(tree_open_file(a->tree, ino, false), 0);
	t.count = 0;
	o.entry = tell;
	tree_observe(a->tree, &o);
	pass(a, b);
	assert_int_not_equal(look(a, ROOT, "f"), ino);
	assert_int_equal(look(a, ROOT, "g"), look(a, ROOT, "f"));
	assert_true(told(&t, "f") > 0 && told(&t, "g") > 0);
	o.entry = NULL;
	tree_observe(a->tree, &o);
	tree_release_file(a->tree, ino, false);
}

/* The same link made at two nodes is one entry. */
static void test_same_link_twice(void)
{
	make_file(a, ROOT, "x", "x");
	sync_all();
	ln(a, "x", "y");
	ln(b, "x", "y");
	sync_all();
	assert_int_equal(entries(c), 2);
	assert_int_equal(tree_conflict_count(c->tree), 0);
	expect_links(c, "x", 2);
	mv(c, ROOT, "y", ROOT, "z");
	assert_int_equal(entries(c), 2);
	sync_all();
	expect_links(a, "z", 2);
	assert_int_equal(entries(a), 2);
}

/* The same in directories that are one. */
static void test_same_link_in_merged(void)
{
	make_file(a, ROOT, "x", "x");
	sync_all();
	ln_into(a, "x", make_dir(a, ROOT, "d"), "y");
	ln_into(b, "x", make_dir(b, ROOT, "d"), "y");
	sync_all();
	assert_int_equal(entries(c), 2);
	expect_links(c, "x", 2);
	ln_into(c, "x", look(c, ROOT, "d"), "z");
	sync_all();
	expect_links(a, "x", 3);
}

static void test_same_link_twice_removed(void)
{
	make_file(a, ROOT, "x", "x");
	sync_all();
	ln(a, "x", "y");
	ln(b, "x", "y");
	sync_all();
	rm(c, ROOT, "y");
	assert_int_equal(entries(c), 1);
	sync_all();
	expect_links(b, "x", 1);
	assert_int_equal(entries(a), 1);
}

static void test_links_to_one_name(void)
{
	make_file(a, ROOT, "x", "x");
	make_file(a, ROOT, "y", "y");
	sync_all();
	ln(a, "x", "z");
	later(b, a);
	ln(b, "y", "z");
	sync_all();
	assert_int_equal(entries(c), 4);
	expect_file(c, "z", "x");
	expect_like(c, "z (conflict bob", "y");
	expect_links(c, "x", 2);
	expect_links(c, "y", 2);
}

static void test_link_of_twin(void)
{
	make_dir(a, ROOT, "d");
	sync_all();
	make_file(a, ROOT, "x", "same");
	make_file(b, ROOT, "x", "same");
	sync_all();
	assert_int_equal(entries(c), 2);
	ln(c, "x", "y");
	assert_int_equal(entries(c), 3);
	sync_all();
	assert_int_equal(entries(a), 3);
	expect_links(a, "x", 2);
	rm(a, ROOT, "x");
	sync_all();
	assert_int_equal(entries(b), 2);
	expect_links(b, "y", 1);
}

static int count_places(void *arg, const struct conflict *f)
{
	*(size_t *)arg += f->kind == CONFLICT_PLACE ? f->count : 100;
	return 0;
}

/* Only the name that was moved twice is in conflict. */
static void test_one_name_moved_twice(void)
{
	size_t n = 0;

	make_file(a, ROOT, "x", "x");
	ln(a, "x", "y");
	sync_all();
	mv(a, ROOT, "y", ROOT, "y1");
	later(b, a);
	mv(b, ROOT, "y", ROOT, "y2");
	sync_all();
	gone(c, "y1");
	expect_links(c, "y2", 2);
	assert_int_equal(tree_conflicts(c->tree, ROOT, count_places, &n), 0);
	assert_int_equal(n, 2);
	assert_int_equal(tree_resolve(c->tree, ROOT, SLICE_STR("x"),
				      SLICE_STR("y1")), -ENODATA);
	assert_int_equal(tree_resolve(c->tree, ROOT, SLICE_STR("y2"),
				      SLICE_STR("y1")), 0);
	sync_all();
	gone(a, "y2");
	expect_links(a, "y1", 2);
	assert_int_equal(tree_conflict_count(a->tree), 0);
}

/* Who makes a link asks for what the file shows: that outlives rm of main. */
static void test_void_against_link(void)
{
	char name[256];

	make_conflict("f");
	sync_all();
	name_with(a, ROOT, "conflict", name);
	rm(a, ROOT, "f");
	ln(b, "f", "g");
	sync_all();
	expect_file(c, "f", "bob's");
	expect_file(c, "g", "bob's");
	expect_links(c, "g", 2);
	expect_like(c, "conflict", "alice's");
	assert_int_equal(entries(c), 3);
	name_with(c, ROOT, "conflict", name);
	mv(c, ROOT, name, ROOT, "f");
	sync_all();
	expect_file(b, "f", "alice's");
	expect_file(b, "g", "alice's");
}

/* So does who renames it. */
static void test_void_against_rename(void)
{
	make_conflict("f");
	sync_all();
	rm(a, ROOT, "f");
	mv(b, ROOT, "f", ROOT, "g");
	sync_all();
	gone(c, "f");
	expect_file(c, "g", "bob's");
	expect_like(c, "g (conflict", "alice's");
	assert_int_equal(entries(c), 2);
}

/* That settles nothing: who did wins, and so does an edit. */
static void test_rename_against_settlement(void)
{
	char name[256];

	make_conflict("f");
	sync_all();
	name_with(a, ROOT, "conflict", name);
	mv(a, ROOT, name, ROOT, "f");
	mv(b, ROOT, "f", ROOT, "g");
	sync_all();
	expect_file(c, "g", "alice's");
	assert_int_equal(entries(c), 1);
}

static void test_rename_against_edit_in_conflict(void)
{
	make_conflict("f");
	sync_all();
	write_name(a, "f", "edited");
	mv(b, ROOT, "f", ROOT, "g");
	mv(b, ROOT, "g", ROOT, "h");
	sync_all();
	expect_file(c, "h", "edited");
	assert_int_equal(entries(c), 2);
}

/* The sibling goes and main is asserted again; the other edits main, the
 * sibling before his eyes: one file, as edited. */
static void test_sibling_gone_against_edit(void)
{
	char name[256];

	make_conflict("f");
	sync_all();
	name_with(a, ROOT, "conflict", name);
	rm(a, ROOT, name);
	write_name(b, "f", "edited");
	sync_all();
	expect_file(c, "f", "edited");
	assert_int_equal(entries(c), 1);
}

/* ---- exchange */

static void test_exchange(void)
{
	uint64_t d = make_dir(a, ROOT, "d"), deep = make_dir(a, d, "deep");
	struct buf path = BUF_INIT;

	make_file(a, ROOT, "x", "x");
	make_file(a, deep, "y", "y");
	assert_int_equal(swap_error(a, ROOT, "x", ROOT, "none"), -ENOENT);
	assert_int_equal(swap_error(a, ROOT, "none", ROOT, "x"), -ENOENT);
	assert_int_equal(swap_error(a, ROOT, "d", d, "deep"), -EINVAL);
	assert_int_equal(swap_error(a, d, "deep", ROOT, "d"), -EINVAL);
	assert_int_equal(swap_error(a, deep, "y", ROOT, "d"), -EINVAL);
	assert_int_equal(tree_rename(a->tree, ROOT, SLICE_STR("x"), deep,
				     SLICE_STR("y"),
				     TREE_RENAME_EXCHANGE |
					     TREE_RENAME_NOREPLACE), -EINVAL);
	assert_int_equal(tree_rename(a->tree, ROOT, SLICE_STR("x"), deep,
				     SLICE_STR("y"), 4), -ENOTSUP);
	assert_int_equal(swap_error(a, ROOT, "x", deep, "y"), 0);
	expect_file(a, "x", "y");
	expect_bytes(a, look(a, deep, "y"), "x");
	/* a file and a directory */
	assert_int_equal(swap_error(a, ROOT, "x", d, "deep"), 0);
	expect_bytes(a, look(a, d, "deep"), "y");
	expect_bytes(a, look(a, look(a, ROOT, "x"), "y"), "x");
	assert_int_equal(tree_path(a->tree, deep, &path), 0);
	assert_memory_equal(path.data, "x", 1);
	buf_release(&path);
	sync_all();
	expect_bytes(c, look(c, look(c, ROOT, "d"), "deep"), "y");
	expect_bytes(c, look(c, look(c, ROOT, "x"), "y"), "x");
	assert_int_equal(tree_conflict_count(c->tree), 0);
}

static void test_same_exchange_twice(void)
{
	make_file(a, ROOT, "x", "x");
	make_file(a, ROOT, "y", "y");
	sync_all();
	swap(a, "x", "y");
	swap(b, "y", "x");
	sync_all();
	expect_file(c, "x", "y");
	expect_file(c, "y", "x");
	assert_int_equal(entries(c), 2);
	assert_int_equal(tree_conflict_count(c->tree), 0);
}

/* The half that was renamed goes by key, the other holds. */
static void test_exchange_against_rename(void)
{
	make_file(a, ROOT, "x", "x");
	make_file(a, ROOT, "y", "y");
	sync_all();
	swap(a, "x", "y");
	later(b, a);
	mv(b, ROOT, "x", ROOT, "z");
	sync_all();
	expect_file(c, "z", "x");
	expect_file(c, "x", "y");
	gone(c, "y");
}

static void test_rename_against_exchange(void)
{
	make_file(a, ROOT, "x", "x");
	make_file(a, ROOT, "y", "y");
	sync_all();
	mv(a, ROOT, "x", ROOT, "z");
	later(b, a);
	swap(b, "x", "y");
	sync_all();
	expect_file(c, "x", "y");
	expect_file(c, "y", "x");
	gone(c, "z");
}

static void test_exchange_against_unlink(void)
{
	make_file(a, ROOT, "x", "x");
	make_file(a, ROOT, "y", "y");
	sync_all();
	swap(a, "x", "y");
	rm(b, ROOT, "x");
	rm(b, ROOT, "y");
	sync_all();
	expect_file(c, "x", "y");
	expect_file(c, "y", "x");
}

/* Three in a ring: x to y, y to z, z to x, each pair at another node. */
static void test_rotated(void)
{
	make_file(a, ROOT, "x", "x");
	make_file(a, ROOT, "y", "y");
	make_file(a, ROOT, "z", "z");
	sync_all();
	swap(a, "x", "y");		/* x: y, y: x */
	later(b, a);
	swap(b, "y", "z");		/* y: z, z: y */
	later(c, b);
	swap(c, "z", "x");		/* z: x, x: z */
	sync_all();
	/* each file is where its last mover put it: y by bob at z, x and z by
	 * carol at z and x. y came to z by the older exchange. */
	assert_int_equal(entries(a), 3);
	expect_file(b, "x", "z");
	assert_int_equal(shared_with(b, "z"), 2);
	gone(b, "y");
}

/* The newcomer has the plain name, whoever else claims it. */
static void test_exchange_onto_contested(void)
{
	char name[256];

	make_dir(a, ROOT, "d");
	sync_all();
	make_file(a, ROOT, "f", "alice's");
	later(b, a);
	make_file(b, ROOT, "f", "bob's");
	make_file(b, ROOT, "g", "g");
	sync_all();
	expect_file(c, "f", "alice's");
	name_with(c, ROOT, "f (conflict", name);
	swap(c, "f", "g");
	expect_file(c, "f", "g");
	expect_file(c, "g", "alice's");
	expect_file(c, name, "bob's");
	sync_all();
	expect_file(a, "f", "g");
	expect_file(a, name, "bob's");
	/* and the suffixed one takes the plain name */
	swap(a, name, "g");
	expect_file(a, "g", "bob's");
	expect_file(a, name, "alice's");
	sync_all();
	expect_file(b, name, "alice's");
	assert_int_equal(tree_conflict_count(b->tree), 0);
}

static void test_exchange_of_sibling(void)
{
	char name[256];

	make_conflict("f");
	make_file(a, ROOT, "g", "g");
	sync_all();
	name_with(a, ROOT, "conflict", name);
	assert_int_equal(swap_error(a, ROOT, name, ROOT, "g"), -ENOTSUP);
	assert_int_equal(swap_error(a, ROOT, "f", ROOT, name), -ENOTSUP);
	/* main moves, with its siblings */
	swap(a, "f", "g");
	sync_all();
	expect_file(c, "g", "bob's");
	expect_file(c, "f", "g");
	expect_like(c, "g (conflict", "alice's");
}

static void test_exchange_of_twins(void)
{
	make_dir(a, ROOT, "d");
	sync_all();
	make_file(a, ROOT, "x", "same");
	make_file(b, ROOT, "x", "same");
	make_file(a, ROOT, "y", "y");
	sync_all();
	swap(c, "x", "y");
	expect_file(c, "x", "y");
	sync_all();
	expect_file(a, "y", "same");
	assert_int_equal(entries(a), 3);
	rm(a, ROOT, "y");
	sync_all();
	assert_int_equal(entries(b), 2);
}

/* Merged directories go with all their members. */
static void test_exchange_of_merged(void)
{
	uint64_t d;

	make_file(a, ROOT, "f", "f");
	sync_all();
	d = make_dir(a, ROOT, "m");
	make_file(a, d, "1", "1");
	d = make_dir(b, ROOT, "m");
	make_file(b, d, "2", "2");
	sync_all();
	swap(c, "m", "f");
	sync_all();
	assert_int_equal(list(a, look(a, ROOT, "f"), NULL, 0), 2);
	expect_file(a, "m", "f");
}

/* Who exchanges keeps what is seen: a directory that a cycle moved back. */
static void test_exchange_pins(void)
{
	make_dir(a, ROOT, "p");
	make_dir(a, ROOT, "q");
	make_dir(a, ROOT, "r");
	sync_all();
	mv(a, ROOT, "p", look(a, ROOT, "q"), "p");
	later(b, a);
	mv(b, ROOT, "q", look(b, ROOT, "p"), "q");
	sync_all();
	/* the later mover's is back: q in the root, p in q */
	assert_int_equal(look_error(c, ROOT, "q"), 0);
	swap(c, "q", "r");
	assert_int_equal(look_error(c, look(c, ROOT, "r"), "p"), 0);
	sync_all();
	assert_int_equal(look_error(a, look(a, ROOT, "r"), "p"), 0);
	assert_int_equal(look_error(a, ROOT, "q"), 0);
	assert_int_equal(entries(a), 2);
	/* with the cycle gone for good nothing jumps */
	mv(a, look(a, ROOT, "r"), "p", ROOT, "p");
	sync_all();
	assert_int_equal(entries(b), 3);
}

/* The same, where what is exchanged is another one of the cycle: without
 * it the LINK that had lost would come to hold. */
static void test_exchange_pins_others(void)
{
	make_dir(a, ROOT, "p");
	make_dir(a, ROOT, "q");
	make_dir(a, ROOT, "r");
	sync_all();
	mv(a, ROOT, "p", look(a, ROOT, "q"), "p");
	later(b, a);
	mv(b, ROOT, "q", look(b, ROOT, "p"), "q");
	sync_all();
	assert_int_equal(swap_error(c, look(c, ROOT, "q"), "p", ROOT, "r"),
			 0);
	assert_int_equal(look_error(c, look(c, ROOT, "q"), "p"), 0);
	assert_int_equal(list(c, look(c, ROOT, "r"), NULL, 0), 0);
	sync_all();
	assert_int_equal(look_error(a, look(a, ROOT, "q"), "p"), 0);
	assert_int_equal(list(a, look(a, ROOT, "r"), NULL, 0), 0);
	assert_int_equal(entries(a), 2);
}

static const struct scenario scenarios[] = {
	SCENARIO(test_two_names),
	SCENARIO(test_link_of_symlink),
	SCENARIO(test_most_links),
	SCENARIO(test_longest_links),
	SCENARIO(test_link_against_unlink),
	SCENARIO(test_each_removes_one_of_two),
	SCENARIO(test_edit_against_unlink_of_one),
	SCENARIO(test_edit_against_unlink_of_all),
	SCENARIO(test_rename_of_weak_one),
	SCENARIO(test_siblings_stand_once),
	SCENARIO(test_open_while_one_goes),
	SCENARIO(test_open_while_one_goes_in_conflict),
	SCENARIO(test_names_are_told),
	SCENARIO(test_same_link_twice),
	SCENARIO(test_same_link_in_merged),
	SCENARIO(test_same_link_twice_removed),
	SCENARIO(test_links_to_one_name),
	SCENARIO(test_link_of_twin),
	SCENARIO(test_one_name_moved_twice),
	SCENARIO(test_void_against_link),
	SCENARIO(test_void_against_rename),
	SCENARIO(test_rename_against_settlement),
	SCENARIO(test_rename_against_edit_in_conflict),
	SCENARIO(test_sibling_gone_against_edit),
	SCENARIO(test_exchange),
	SCENARIO(test_same_exchange_twice),
	SCENARIO(test_exchange_against_rename),
	SCENARIO(test_rename_against_exchange),
	SCENARIO(test_exchange_against_unlink),
	SCENARIO(test_rotated),
	SCENARIO(test_exchange_onto_contested),
	SCENARIO(test_exchange_of_sibling),
	SCENARIO(test_exchange_of_twins),
	SCENARIO(test_exchange_of_merged),
	SCENARIO(test_exchange_pins),
	SCENARIO(test_exchange_pins_others),
};

int main(void)
{
	return scenarios_run(scenarios,
			     sizeof(scenarios) / sizeof(*scenarios));
}
