/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names are bytes. Two that differ by case or by Unicode normalisation are
 * two names on every node, whatever they look like; bytes that are no UTF-8
 * are names as well. And names that kinfs makes up itself: cut at a
 * character; beside a user's own file of that very name, which wins.
 */
#include "nodes_support.h"

#include <errno.h>
#include <stdio.h>

static struct fixture *const a = &nodes[0], *const b = &nodes[1],
		       *const c = &nodes[2];

/* Pairs of names that are the same to some people, or file systems. */
static const char *const alike[][2] = {
	{ "README", "readme" },
	{ "\xc3\xa9t\xc3\xa9", "e\xcc\x81te\xcc\x81" },	/* NFC, NFD */
	{ "\xc3\x84.txt", "\xc3\xa4.txt" },	/* A and a with two dots */
	{ "stra\xc3\x9f" "e", "strasse" },
	{ "\xe2\x84\xab", "\xc3\x85" },		/* Angstrom sign, A ring */
	{ "\xef\xac\x81le", "file" },		/* a ligature */
	{ "I", "\xc4\xb1" },			/* dotless i */
	{ "\xff", "\xfe" },
	{ "caf\xe9", "caf\xc3\xa9" },		/* Latin 1, UTF-8 */
	{ "\xed\xa0\x80", "\xef\xbf\xbd" },	/* a surrogate, its stand-in */
	{ "\xc0\xaf", "%2f" },			/* a slash, too long */
	{ "x ", "x" },
	{ "x.", "X." },
	{ "con", "CON" },
	{ "new\nline", "new line" },
	{ "a\xe2\x80\x8b", "a" },		/* a space of no width */
};
#define ALIKE (sizeof(alike) / sizeof(*alike))

/* Made apart, one on each node: nothing of it is a conflict, or a decision
 * of any kind. */
static void test_names_that_look_alike(void)
{
	make_dir(a, ROOT, "-");
	sync_all();
	for (size_t k = 0; k < ALIKE; k++) {
		make_file(a, ROOT, alike[k][0], "alice's");
		make_file(b, ROOT, alike[k][1], "bob's");
	}
	sync_all();
	assert_int_equal(entries(c), 2 * ALIKE + 1);
	assert_int_equal(tree_conflict_count(c->tree), 0);
	for (size_t k = 0; k < ALIKE; k++) {
		expect_file(c, alike[k][0], "alice's");
		expect_file(c, alike[k][1], "bob's");
	}
	/* Renamed from one to the other way of writing, elsewhere edited. */
	for (size_t k = 0; k < ALIKE; k++) {
		rm(a, ROOT, alike[k][1]);
		mv(a, ROOT, alike[k][0], ROOT, alike[k][1]);
		write_name(b, alike[k][0], "edited");
	}
	sync_all();
	assert_int_equal(entries(c), ALIKE + 1);
	assert_int_equal(tree_conflict_count(c->tree), 0);
	for (size_t k = 0; k < ALIKE; k++)
		expect_file(c, alike[k][1], "edited");
}

/* Directories of such names are two, with what each holds. */
static void test_directories_that_look_alike(void)
{
	make_dir(a, ROOT, "-");
	sync_all();
	for (size_t k = 0; k < ALIKE; k++) {
		make_file(a, make_dir(a, ROOT, alike[k][0]), "in", "alice's");
		make_file(b, make_dir(b, ROOT, alike[k][1]), "in", "bob's");
	}
	sync_all();
	assert_int_equal(entries(c), 2 * ALIKE + 1);
	for (size_t k = 0; k < ALIKE; k++) {
		expect_bytes(c, look(c, look(c, ROOT, alike[k][0]), "in"),
			     "alice's");
		expect_bytes(c, look(c, look(c, ROOT, alike[k][1]), "in"),
			     "bob's");
	}
}

/* A conflict of one of them is none of the other, and its sibling is named
 * by the very bytes. */
static void test_conflicts_of_look_alikes(void)
{
	static char names[8][256];

	for (size_t k = 0; k < 2; k++)
		make_file(a, ROOT, alike[1][k], "base");
	sync_all();
	write_name(a, alike[1][0], "alice's");
	later(b, a);
	write_name(b, alike[1][0], "bob's");
	sync_all();
	assert_int_equal(list(c, ROOT, names, 8), 3);
	assert_int_equal(tree_conflict_count(c->tree), 1);
	expect_file(c, alike[1][1], "base");
	expect_like(c, "\xc3\xa9t\xc3\xa9 (conflict alice", "alice's");
}

/* Is it whole UTF-8 up to there? */
static bool is_utf8(const char *s, size_t len)
{
	for (size_t k = 0; k < len;) {
		uint8_t lead = (uint8_t)s[k];
		size_t n = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3
									 : 4;

		if ((lead & 0xc0) == 0x80 || k + n > len)
			return false;
		for (size_t i = 1; i < n; i++)
			if (((uint8_t)s[k + i] & 0xc0) != 0x80)
				return false;
		k += n;
	}
	return true;
}

/* The longest names of characters of 1 to 4 bytes, at each offset, in a
 * conflict of contents and in one of names: cut between two characters, as
 * late as can be, and taken back by that name. */
static void test_cut_at_a_character(void)
{
	static const char *const chars[] = { "x", "\xc3\xa4", "\xe2\x82\xac",
					     "\xf0\x9f\x90\x98" };
	char name[256], shown[256];

	make_dir(a, ROOT, "-");
	sync_all();
	for (size_t k = 0; k < 4; k++)
		for (size_t shift = 0; shift <= k; shift++) {
			size_t bytes = k + 1, n = shift, stem;

			memset(name, 'y', sizeof(name));
			for (; n + bytes <= 255 - 4; n += bytes)
				memcpy(name + n, chars[k], bytes);
			memset(name + n, 'z', 255 - n);
			memcpy(name + 251, ".odt", 5);
			make_file(a, ROOT, name, "alice's");
			later(b, a);
			make_file(b, ROOT, name, "bob's");
			sync_all();
			name_with(c, ROOT, "(conflict bob 20", shown);
			stem = (size_t)(strstr(shown, " (conflict") - shown);
			assert_in_range(strlen(shown), 255 - k, 255);
			assert_true(is_utf8(shown, strlen(shown)));
			assert_memory_equal(shown, name, stem);
			assert_string_equal(shown + strlen(shown) - 4, ".odt");
			expect_file(c, shown, "bob's");
			rm(c, ROOT, shown);
			sync_all();
			write_name(a, name, "alice's again");
			later(b, a);
			write_name(b, name, "bob's again");
			sync_all();
			name_with(c, ROOT, "(conflict alice 20", shown);
			assert_in_range(strlen(shown), 255 - k - 2, 255);
			assert_true(is_utf8(shown, strlen(shown)));
			rm(c, ROOT, shown);
			rm(c, ROOT, name);
			sync_all();
			assert_int_equal(entries(a), 1);
		}
}

/* No character ends anywhere: cut all the same, and found. */
static void test_cut_without_characters(void)
{
	char name[256], shown[256];

	make_dir(a, ROOT, "-");
	sync_all();
	memset(name, 0x80, 255);
	name[255] = '\0';
	make_file(a, ROOT, name, "alice's");
	later(b, a);
	make_file(b, ROOT, name, "bob's");
	sync_all();
	name_with(c, ROOT, "(conflict bob 20", shown);
	assert_int_equal(strlen(shown), 255);
	expect_file(c, shown, "bob's");
	mv(c, ROOT, shown, ROOT, "free");
	sync_all();
	expect_file(a, "free", "bob's");
	expect_file(b, name, "alice's");
	assert_int_equal(tree_conflict_count(a->tree), 0);
}

/* ---- a user's file with a sibling's name */

/* A conflict of "f", with carol's own file that was there before. */
static void conflict_beside(const char *own)
{
	make_file(c, ROOT, own, "carol's own");
	sync_all();
	make_conflict("f");
	sync_all();
}

static void start_again(void)
{
	for (int k = 0; k < 3; k++)
		fixture_close(&nodes[k]);
	fixture_open(a, "alice", true);
	fixture_open(b, "bob", false);
	fixture_open(c, "carol", false);
	sync_all();
}

/* The same history twice: in the second the file that carol made before it
 * has the name that the sibling got in the first. It keeps it, on all nodes;
 * the sibling has a longer tag, until the name is free. */
static void test_own_file_before_the_sibling(void)
{
	char name[256], longer[256];

	start_again();
	conflict_beside("another");
	name_with(a, ROOT, "f (conflict alice", name);
	start_again();
	conflict_beside(name);
	assert_int_equal(entries(a), 3);
	assert_int_equal(tree_conflict_count(a->tree), 1);
	expect_file(a, name, "carol's own");
	expect_file(b, "f", "bob's");
	/* The same but for its tag, which begins alike. */
	longer[0] = '\0';
	for (int k = 0; k < 3; k++) {
		static char names[4][256];

		assert_int_equal(list(&nodes[k], ROOT, names, 4), 3);
		for (int i = 0; i < 3; i++)
			if (strcmp(names[i], "f") && strcmp(names[i], name)) {
				assert_true(!k || !strcmp(names[i], longer));
				memcpy(longer, names[i], sizeof(longer));
			}
	}
	assert_true(strlen(longer) > strlen(name));
	assert_memory_equal(longer, name, strlen(name) - 1);
	expect_file(b, longer, "alice's");
	/* It is an ordinary file: edited, it is in no conflict. */
	write_name(a, name, "edited");
	sync_all();
	expect_file(c, name, "edited");
	assert_int_equal(entries(c), 3);
	mv(b, ROOT, name, ROOT, "another");
	sync_all();
	expect_file(a, name, "alice's");
	assert_int_equal(look_error(a, ROOT, longer), -ENOENT);
	expect_file(a, "another", "edited");
}

/* Where the sibling is shown, its name is taken; who puts a file of theirs
 * there takes the sibling away, as rename(2) says. (One that was made not long
 * ago is a save of the sibling: test_saves_sibling.c.) */
static void test_own_file_after_the_sibling(void)
{
	for (int k = 0; k < 2; k++) {
		struct fixture *f = k ? b : a;
		struct tree_new n = { .kind = KIND_FILE, .perm = 0644,
				      .user = SLICE_STR("u"),
				      .group = SLICE_STR("g") };
		struct entry e;
		char name[256];

		if (k)
			start_again();
		make_conflict("f");
		make_file(f, ROOT, "mine", "mine");
		sync_all();
		f->now_ns += 3601 * INT64_C(1000000000);
		name_with(f, ROOT, "f (conflict", name);
		assert_int_equal(tree_create(f->tree, ROOT, SLICE_STR(name),
					     &n, false, &e), -EEXIST);
		assert_int_equal(tree_link(f->tree, look(f, ROOT, "mine"),
					   ROOT, SLICE_STR(name), &e), -EEXIST);
		assert_int_equal(tree_rename(f->tree, ROOT, SLICE_STR("mine"),
					     ROOT, SLICE_STR(name),
					     TREE_RENAME_NOREPLACE), -EEXIST);
		mv(f, ROOT, "mine", ROOT, name);
		sync_all();
		assert_int_equal(entries(c), 2);
		assert_int_equal(tree_conflict_count(c->tree), 0);
		expect_file(c, "f", "bob's");
		expect_file(c, name, "mine");
	}
}

/* On the node that does not know of it, with each of what makes a name. */
static void test_own_name_meanwhile(void)
{
	for (int way = 0; way < 4; way++) {
		struct entry e;
		char name[256];

		start_again();
		make_file(c, ROOT, "mine", "mine");
		make_conflict("f");
		pass(a, b);
		name_with(a, ROOT, "f (conflict", name);
		if (way == 0)
			mv(c, ROOT, "mine", ROOT, name);
		else if (way == 1)
			assert_int_equal(tree_link(c->tree,
						   look(c, ROOT, "mine"), ROOT,
						   SLICE_STR(name), &e), 0);
		else if (way == 2)
			make_file(c, make_dir(c, ROOT, name), "in", "mine");
		else
			make_file(c, ROOT, name, "alice's"); /* the very bytes */
		sync_all();
		/* f, its sibling, and what carol has: mine, or both */
		assert_int_equal(entries(a), way == 0 ? 3 : 4);
		expect_file(a, "f", "bob's");
		if (way == 2)
			expect_bytes(a, look(a, look(a, ROOT, name), "in"),
				     "mine");
		else
			expect_file(a, name, way == 3 ? "alice's" : "mine");
		assert_int_equal(tree_conflict_count(a->tree), 1);
		if (way == 2)
			mv(a, ROOT, name, ROOT, "away");
		else
			rm(a, ROOT, name);
		sync_all();
		expect_file(b, name, "alice's");
	}
}

/* A name like a sibling's, in a conflict: it has a sibling as any. */
static void test_conflict_of_such_a_name(void)
{
	static const char own[] = "f (conflict alice 2026-01-01 abcd).txt";
	char name[256];

	make_conflict(own);
	sync_all();
	assert_int_equal(entries(c), 2);
	expect_file(c, own, "bob's");
	name_with(c, ROOT, "abcd) (conflict alice", name);
	expect_file(c, name, "alice's");
	/* No file is taken for what it is not: f.txt is another. */
	make_file(c, ROOT, "f.txt", "f");
	rm(c, ROOT, "f.txt");
	mv(c, ROOT, name, ROOT, own);
	sync_all();
	assert_int_equal(entries(a), 1);
	expect_file(a, own, "alice's");
}

static const struct scenario scenarios[] = {
	SCENARIO(test_names_that_look_alike),
	SCENARIO(test_directories_that_look_alike),
	SCENARIO(test_conflicts_of_look_alikes),
	SCENARIO(test_cut_at_a_character),
	SCENARIO(test_cut_without_characters),
	SCENARIO(test_own_file_before_the_sibling),
	SCENARIO(test_own_file_after_the_sibling),
	SCENARIO(test_own_name_meanwhile),
	SCENARIO(test_conflict_of_such_a_name),
};

int main(void)
{
	return scenarios_run(scenarios,
			     sizeof(scenarios) / sizeof(*scenarios));
}
