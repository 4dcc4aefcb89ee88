/* SPDX-License-Identifier: Apache-2.0 */
/* Three nodes at once, longer cycles, swapped names, odd names. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "nodes_support.h"

static struct fixture *const a = &nodes[0], *const b = &nodes[1],
		      *const c = &nodes[2];

/* ---- three ways */

/* C's name, A's content: rename and edit hold, the removal had seen neither. */
static void test_edit_delete_rename(void)
{
	make_file(a, ROOT, "f", "base");
	sync_all();
	write_name(a, "f", "edited");
	rm(b, ROOT, "f");
	mv(c, ROOT, "f", ROOT, "g");
	sync_all();
	assert_int_equal(entries(a), 1);
	expect_file(b, "g", "edited");
}

/* Who moves a sibling over another file has its name, as with any file: who
 * gave that file the same name once more, a little before, has it beside. */
static void test_sibling_over_a_file(void)
{
	char name[256];

	make_file(a, ROOT, "t", "target");
	make_conflict("f");
	sync_all();
	name_with(a, ROOT, "conflict", name);
	mv(b, ROOT, "t", ROOT, "x");
	mv(b, ROOT, "x", ROOT, "t");
	later(a, b);
	mv(a, ROOT, name, ROOT, "t");
	sync_all();
	assert_int_equal(entries(c), 3);
	expect_file(c, "f", "bob's");
	expect_file(c, "t", "alice's");
	expect_like(c, "conflict", "target");
}

/* Two nodes may order twins differently: one saw a strong name removed that
 * the other did not. Each folds the other's, and the file stays. */
static void test_twins_folded_both_ways(void)
{
	static const struct tree_setattr modes[2] = {
		{ .set = TREE_SET_MODE, .perm = 0600 },
		{ .set = TREE_SET_MODE, .perm = 0640 },
	};
	struct attr attr;

	make_file(a, ROOT, "doc", "y");
	pass(c, a);
	write_name(c, "doc", "x");	/* a KEEP of the name */
	rm(a, ROOT, "doc");		/* has not seen it */
	later(b, a);
	make_file(b, ROOT, "doc", "x"); /* has seen nothing of it */
	pass(b, c);
	pass(a, b);
	assert_int_equal(entries(a), 1);
	assert_int_equal(entries(b), 1);
	assert_int_equal(tree_setattr(a->tree, look(a, ROOT, "doc"), &modes[0],
				      &attr), 0);
	assert_int_equal(tree_setattr(b->tree, look(b, ROOT, "doc"), &modes[1],
				      &attr), 0);
	sync_all();
	assert_true(entries(c) >= 1);
	expect_file(c, "doc", "x");
}

static void test_two_alike_one_not(void)
{
	make_file(a, ROOT, "f", "base");
	sync_all();
	write_name(a, "f", "same");
	later(b, a);
	write_name(b, "f", "same");
	later(c, b);
	write_name(c, "f", "other");
	sync_all();
	assert_int_equal(entries(a), 2);
	expect_file(a, "f", "other");
	expect_like(a, "conflict", "same");
}

/* Who settles a and b does not settle c; a and b do not return. */
static void test_settled_beside_a_third(void)
{
	make_file(a, ROOT, "f", "base");
	sync_all();
	write_name(a, "f", "a");
	later(b, a);
	write_name(b, "f", "b");
	pass(a, b);
	assert_int_equal(entries(a), 2);
	assert_int_equal(tree_resolve(a->tree, ROOT, SLICE_STR("f"),
				      SLICE_STR("alice")), 0);
	later(c, b);
	write_name(c, "f", "c");
	sync_all();
	assert_int_equal(entries(b), 2);
	expect_file(b, "f", "c");
	expect_like(b, "conflict", "a");
	assert_int_equal(tree_resolve(b->tree, ROOT, SLICE_STR("f"),
				      SLICE_STR("main")), 0);
	sync_all();
	assert_int_equal(entries(c), 1);
	expect_file(c, "f", "c");
}

static void test_two_dirs_and_a_file(void)
{
	uint64_t d = make_dir(a, ROOT, "x");

	sync_all();
	d = make_dir(a, ROOT, "d");
	make_file(a, d, "1", "1");
	make_file(b, ROOT, "d", "file");
	d = make_dir(c, ROOT, "d");
	make_file(c, d, "2", "2");
	sync_all();
	assert_int_equal(entries(a), 3);
	assert_int_equal(list(a, look(a, ROOT, "d"), NULL, 0), 2);
	expect_like(b, "d (conflict bob", "file");
}

/* ---- cycles */

/* dir[k] goes into dir[k + 1], each by another node, the later the larger k.
 * All are reachable, and only the last mover's is where it was. */
static void move_in_a_ring(int n)
{
	char name[8], next[8];

	for (int k = 0; k < n; k++) {
		snprintf(name, sizeof(name), "d%d", k);
		make_file(a, make_dir(a, ROOT, name), "f", name);
	}
	sync_all();
	for (int k = 0; k < n; k++) {
		struct fixture *f = &nodes[k % 3];

		snprintf(name, sizeof(name), "d%d", k);
		snprintf(next, sizeof(next), "d%d", (k + 1) % n);
		for (int x = 0; x < 3; x++)
			later(f, &nodes[x]);
		/* (a node that moved dK already has it elsewhere) */
		mv(f, ROOT, name, look(f, ROOT, next), name);
		if (n > 3)
			assert_int_equal(look_error(f, ROOT, name), -ENOENT);
	}
	sync_all();
}

static void expect_ring(int n)
{
	uint64_t dir = ROOT;
	char name[8];

	assert_int_equal(entries(b), 1);
	for (int k = n - 1; k >= 0; k--) {
		snprintf(name, sizeof(name), "d%d", k);
		dir = look(b, dir, name);
		expect_bytes(b, look(b, dir, "f"), name);
		assert_int_equal(list(b, dir, NULL, 0), k ? 2 : 1);
	}
}

static void test_ring_of_two(void)
{
	move_in_a_ring(2);
	expect_ring(2);
}

static void test_ring_of_three(void)
{
	move_in_a_ring(3);
	expect_ring(3);
}

/* Nodes 0 and 1 each move two: those are no cycle by themselves. */
static void test_ring_of_five(void)
{
	move_in_a_ring(5);
	expect_ring(5);
}

/* ---- names that change places */

/* (what is younger may be part of a save: backup.c) */
static void grow_old(void)
{
	sync_all();
	for (int k = 0; k < 3; k++)
		nodes[k].now_ns += 60 * INT64_C(1000000000);
}

/* x and y change places by three renames, at two nodes. */
static void swap_by_hand(struct fixture *f, const char *tmp)
{
	mv(f, ROOT, "x", ROOT, tmp);
	mv(f, ROOT, "y", ROOT, "x");
	mv(f, ROOT, tmp, ROOT, "y");
}

static void test_swapped_at_two(void)
{
	make_file(a, ROOT, "x", "x");
	make_file(a, ROOT, "y", "y");
	grow_old();
	swap_by_hand(a, "tmp.a");
	later(b, a);
	swap_by_hand(b, "tmp.b");
	sync_all();
	assert_int_equal(entries(c), 2);
	expect_file(c, "x", "y");
	expect_file(c, "y", "x");
	assert_int_equal(tree_conflict_count(c->tree), 0);
}

/* Three names change places in a ring, at each of three nodes, or in the
 * other direction at one of them. */
static void rotate_three(struct fixture *f, const char *x, const char *y,
			 const char *z)
{
	mv(f, ROOT, x, ROOT, "tmp");
	mv(f, ROOT, y, ROOT, x);
	mv(f, ROOT, z, ROOT, y);
	mv(f, ROOT, "tmp", ROOT, z);
}

static void test_rotated_at_three(void)
{
	for (int against = 0; against < 2; against++) {
		make_file(a, ROOT, "x", "x");
		make_file(a, ROOT, "y", "y");
		make_file(a, ROOT, "z", "z");
		grow_old();
		rotate_three(a, "x", "y", "z");
		later(b, a);
		rotate_three(b, "x", "y", "z");
		later(c, b);
		if (against) /* the last one's holds, for each of the names */
			rotate_three(c, "z", "y", "x");
		else
			rotate_three(c, "x", "y", "z");
		sync_all();
		assert_int_equal(entries(a), 3);
		expect_file(a, "x", against ? "z" : "y");
		expect_file(a, "y", against ? "x" : "z");
		expect_file(a, "z", against ? "y" : "x");
		rm(a, ROOT, "x");
		rm(a, ROOT, "y");
		rm(a, ROOT, "z");
	}
}

/* Logs are rotated: f.1 to f.2, f to f.1, a new f, at two nodes. That is
 * what saving with a backup looks like: the new bytes are f's. */
static void rotate(struct fixture *f, const char *text)
{
	mv(f, ROOT, "f.1", ROOT, "f.2");
	mv(f, ROOT, "f", ROOT, "f.1");
	make_file(f, ROOT, "f", text);
}

static void test_rotated_logs(void)
{
	make_file(a, ROOT, "f", "zero");
	make_file(a, ROOT, "f.1", "one");
	grow_old();
	rotate(a, "alice's");
	later(b, a);
	rotate(b, "bob's");
	sync_all();
	assert_int_equal(entries(c), 4);
	expect_file(c, "f.2", "one");
	expect_file(c, "f.1", "zero");
	expect_file(c, "f", "bob's");
	expect_like(c, "f (conflict alice", "alice's");
}

/* ---- a cycle whose last mover has no way back */

/* y/d/x and x/y: what moved last was always in what it is in now. It is
 * found at the top, whole, and goes where somebody moves it. */
static void test_cycle_without_a_way_back(void)
{
	static char names[4][256];
	uint64_t y = make_dir(a, ROOT, "y"), x = make_dir(a, y, "x");

	make_dir(a, y, "d");
	make_file(a, x, "in", "x");
	sync_all();
	mv(a, y, "x", ROOT, "x");
	mv(a, ROOT, "y", look(a, ROOT, "x"), "y");
	later(b, a);
	mv(b, look(b, ROOT, "y"), "x", look(b, look(b, ROOT, "y"), "d"), "x");
	sync_all();
	assert_int_equal(list(c, ROOT, names, 4), 1);
	assert_memory_equal(names[0], "lost+found-", 11);
	x = look(c, ROOT, names[0]);
	expect_bytes(c, look(c, x, "in"), "x");
	look(c, look(c, x, "y"), "d");
	mv(c, ROOT, names[0], ROOT, "back");
	sync_all();
	assert_int_equal(entries(b), 1);
	x = look(b, ROOT, "back");
	expect_bytes(b, look(b, x, "in"), "x");
	look(b, look(b, x, "y"), "d");
}

/* ---- siblings of equal rank */

/* Main is written at two nodes beside an open conflict: two contents of one
 * rank, and a third. Whoever saves one of them, it stays where it is. */
static void test_edits_of_equal_rank(void)
{
	char alices[256], tied[256];

	make_conflict("f");
	sync_all();
	name_with(c, ROOT, "conflict alice", alices);
	write_name(a, "f", "main by alice");
	later(b, a);
	write_name(b, "f", "main by bob");
	sync_all();
	assert_int_equal(entries(c), 3);
	expect_file(c, "f", "main by bob");
	expect_file(c, alices, "alice's");
	for (int k = 0; k < 3; k++) {
		static char names[4][256];

		list(&nodes[k], ROOT, names, 4);
		for (int i = 0; i < 3; i++)
			if (strcmp(names[i], "f") && strcmp(names[i], alices))
				strcpy(tied, names[i]);
	}
	expect_file(c, tied, "main by alice");
	later(c, b);
	write_name(c, tied, "by carol, last");
	sync_all();
	assert_int_equal(entries(a), 3);
	expect_file(a, "f", "main by bob");
	expect_file(a, tied, "by carol, last");
	expect_file(a, alices, "alice's");
	/* ... twice, and main itself by who is behind */
	write_name(c, tied, "once more");
	a->now_ns -= 3600000000000;
	write_name(a, "f", "main again");
	sync_all();
	expect_file(b, "f", "main again");
	expect_file(b, tied, "once more");
}

struct paths {
	int count;
	char path[4][256];
};

static int note_conflict(void *arg, const struct conflict *f)
{
	struct paths *p = arg;

	snprintf(p->path[p->count++], 256, "%.*s", (int)f->path.len,
		 (const char *)f->path.data);
	return 0;
}

static void expect_listed(struct fixture *f, uint64_t ino, int count,
			  const char *first)
{
	struct paths p = { 0 };

	assert_int_equal(tree_conflicts(f->tree, ino, note_conflict, &p), 0);
	assert_int_equal(p.count, count);
	if (count)
		assert_string_equal(p.path[0], first);
}

/* Below a directory, not below one whose name begins alike; of a file; of a
 * sibling. */
static void test_listed_below_a_path(void)
{
	static const char *const dirs[] = { "d", "d1", "d-" };
	char name[256];
	uint64_t d;

	for (int k = 0; k < 3; k++)
		make_file(a, make_dir(a, ROOT, dirs[k]), "f", "base");
	sync_all();
	for (int k = 0; k < 2; k++) {
		write_file(a, look(a, look(a, ROOT, dirs[k]), "f"), "alice's");
		later(b, a);
		write_file(b, look(b, look(b, ROOT, dirs[k]), "f"), "bob's");
	}
	sync_all();
	d = look(c, ROOT, "d");
	expect_listed(c, ROOT, 2, "d/f");
	expect_listed(c, d, 1, "d/f");
	expect_listed(c, look(c, ROOT, "d1"), 1, "d1/f");
	expect_listed(c, look(c, ROOT, "d-"), 0, NULL);
	expect_listed(c, look(c, d, "f"), 1, "d/f");
	name_with(c, d, "conflict", name);
	expect_listed(c, look(c, d, name), 1, "d/f");
	expect_listed(c, look(c, look(c, ROOT, "d-"), "f"), 0, NULL);
}

/* ---- odd names */

/* Two files of one name; the one that loses it is called ... */
static void contest(const char *name, char ret[256])
{
	struct fixture *first = a;

	make_dir(a, ROOT, "-");
	sync_all();
	make_file(first, ROOT, name, "alice's");
	later(b, a);
	make_file(b, ROOT, name, "bob's");
	sync_all();
	assert_int_equal(entries(c), 3);
	expect_file(c, name, "alice's");
	name_with(c, ROOT, "(conflict bob 20", ret);
	expect_file(c, ret, "bob's");
	expect_file(a, ret, "bob's");
}

static void expect_ends(const char *name, const char *start, const char *end)
{
	size_t len = strlen(name);

	assert_true(len <= NAME_BYTES_MAX);
	assert_memory_equal(name, start, strlen(start));
	assert_string_equal(name + len - strlen(end), end);
}

static void test_extension(void)
{
	char name[256];

	contest("report.final.txt", name);
	expect_ends(name, "report.final (conflict bob ", ").txt");
}

static void test_tar_gz(void)
{
	char name[256];

	contest("all.tar.gz", name);
	expect_ends(name, "all (conflict bob ", ").tar.gz");
}

static void test_leading_dot(void)
{
	char name[256];

	contest(".profile", name);
	expect_ends(name, ".profile (conflict bob ", ")");
}

static void test_leading_dot_and_extension(void)
{
	char name[256];

	contest(".config.yml", name);
	expect_ends(name, ".config (conflict bob ", ").yml");
}

static void test_leading_dot_tar(void)
{
	char name[256];

	contest(".tar.gz", name);
	expect_ends(name, ".tar (conflict bob ", ").gz");
}

static void test_trailing_dot(void)
{
	char name[256];

	contest("ends.", name);
	expect_ends(name, "ends. (conflict bob ", ")");
}

static void test_extension_too_long(void)
{
	char name[256];

	contest("f.an-extension-of-31-bytes-is-on", name);
	expect_ends(name, "f (conflict bob ",
		    ").an-extension-of-31-bytes-is-on");
}

static void test_extension_far_too_long(void)
{
	char name[256];

	contest("f.what-is-longer-than-32-bytes-isnt", name);
	expect_ends(name, "f.what-is-longer-than-32-bytes-isnt (conflict bob ",
		    ")");
}

static void test_not_utf8(void)
{
	char name[256];

	contest("\xff\xfe.txt", name);
	expect_ends(name, "\xff\xfe (conflict bob ", ").txt");
}

/* The longest name: the stem is cut, never within a character. */
static void test_longest_name(void)
{
	char longest[256], name[256];
	size_t n;

	for (n = 0; n < 249; n += 3)
		memcpy(longest + n, "\xe2\x82\xac", 3); /* a Euro sign */
	strcpy(longest + n, "xy.txt");
	assert_int_equal(strlen(longest), 255);
	contest(longest, name);
	expect_ends(name, "\xe2\x82\xac\xe2\x82\xac", ").txt");
	n = (size_t)(strstr(name, " (conflict") - name);
	assert_int_equal(n % 3, 0);
	assert_memory_equal(name, longest, n);
	/* as much as there is room for */
	assert_in_range(strlen(name), 253, 255);
}

/* Names that are equal as far as they are shown: the tags tell them apart. */
static void test_longest_names_are_unique(void)
{
	static char names[100][256];
	char longest[256];
	size_t n;

	make_dir(a, ROOT, "-");
	sync_all();
	memset(longest, 'n', 255);
	longest[255] = '\0';
	for (char k = '0'; k <= '9'; k++) {
		longest[254] = k;
		make_file(a, ROOT, longest, "alice's");
	}
	later(b, a);
	for (char k = '0'; k <= '9'; k++) {
		longest[254] = k;
		make_file(b, ROOT, longest, "bob's");
	}
	sync_all();
	n = list(c, ROOT, names, 100);
	assert_int_equal(n, 21);
	for (size_t k = 0; k < n; k++) {
		struct entry e;

		assert_true(strlen(names[k]) <= 255);
		assert_int_equal(tree_lookup(c->tree, ROOT,
					     SLICE_STR(names[k]), &e), 0);
		if (k)
			assert_string_not_equal(names[k - 1], names[k]);
	}
}

/* A sibling of the longest name, and what happens to it, work as any. */
static void test_sibling_of_longest_name(void)
{
	char longest[256], name[256];

	memset(longest, 's', 255);
	longest[255] = '\0';
	make_conflict(longest);
	sync_all();
	name_with(c, ROOT, "(conflict alice", name);
	expect_file(c, name, "alice's");
	mv(c, ROOT, name, ROOT, longest);
	sync_all();
	assert_int_equal(entries(a), 1);
	expect_file(a, longest, "alice's");
}

static const struct scenario scenarios[] = {
	SCENARIO(test_edit_delete_rename),
	SCENARIO(test_sibling_over_a_file),
	SCENARIO(test_twins_folded_both_ways),
	SCENARIO(test_two_alike_one_not),
	SCENARIO(test_settled_beside_a_third),
	SCENARIO(test_two_dirs_and_a_file),
	SCENARIO(test_ring_of_two),
	SCENARIO(test_ring_of_three),
	SCENARIO(test_ring_of_five),
	SCENARIO(test_swapped_at_two),
	SCENARIO(test_rotated_at_three),
	SCENARIO(test_rotated_logs),
	SCENARIO(test_cycle_without_a_way_back),
	SCENARIO(test_edits_of_equal_rank),
	SCENARIO(test_listed_below_a_path),
	SCENARIO(test_extension),
	SCENARIO(test_tar_gz),
	SCENARIO(test_leading_dot),
	SCENARIO(test_leading_dot_and_extension),
	SCENARIO(test_leading_dot_tar),
	SCENARIO(test_trailing_dot),
	SCENARIO(test_extension_too_long),
	SCENARIO(test_extension_far_too_long),
	SCENARIO(test_not_utf8),
	SCENARIO(test_longest_name),
	SCENARIO(test_longest_names_are_unique),
	SCENARIO(test_sibling_of_longest_name),
};

int main(void)
{
	return scenarios_run(scenarios,
			     sizeof(scenarios) / sizeof(*scenarios));
}
