/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Listings that are resumed after every entry, while names come and go:
 * what nobody touches is given exactly once. In a plain directory, in one
 * with conflicts, and in a merged one with both.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "tree_support.h"

#define ROOT TREE_ROOT_INO
#define KEPT 60
#define CONTESTED 15

struct seen {
	char name[256];
	uint64_t cookie, ino;
	bool any;
};

static int take_one(void *arg, const struct tree_dirent *d)
{
	struct seen *s = arg;

	if (s->any)
		return 1;
	s->any = true;
	memcpy(s->name, d->name.data, d->name.len);
	s->name[d->name.len] = '\0';
	s->cookie = d->cookie;
	s->ino = d->ino;
	return 0;
}

static uint64_t draw(uint64_t *seed)
{
	*seed = *seed * 6364136223846793005u + 1442695040888963407u;
	return *seed >> 33;
}

static void come_and_go(struct fixture *f, uint64_t d, uint64_t *seed)
{
	char name[32];

	snprintf(name, sizeof(name), "other-%d", (int)(draw(seed) % 40));
	if (look_error(f, d, name))
		make_file(f, d, name, name);
	else
		assert_int_equal(tree_unlink(f->tree, d, SLICE_STR(name)), 0);
}

/* Returns how many of the names that stay were given. */
static size_t list_slowly(struct fixture *f, uint64_t d, uint64_t *seed)
{
	uint64_t cookie = 0;
	size_t n = 0;

	for (;;) {
		struct seen s = { .any = false };

		assert_int_equal(tree_readdir(f->tree, d, cookie, take_one,
					      &s), 0);
		if (!s.any)
			return n;
		assert_true(s.cookie > cookie);
		cookie = s.cookie;
		assert_int_equal(look(f, d, s.name), s.ino);
		n += !!strncmp(s.name, "other-", 6);
		come_and_go(f, d, seed);
	}
}

static void fill(struct fixture *f, uint64_t d, const char *prefix, int n)
{
	char name[64];

	for (int k = 0; k < n; k++) {
		snprintf(name, sizeof(name), "%s-%d", prefix, k);
		make_file(f, d, name, f->label);
	}
}

static void test_plain(void **state)
{
	struct fixture f;
	uint64_t seed = 1, d;

	(void)state;
	fixture_open(&f, "alice", true);
	d = make_dir(&f, ROOT, "d");
	fill(&f, d, "kept", KEPT);
	for (int k = 0; k < 20; k++)
		assert_int_equal(list_slowly(&f, d, &seed), KEPT);
	check_tree(&f);
	fixture_close(&f);
}

static void test_conflicts(void **state)
{
	struct fixture a, b;
	uint64_t seed = 2, d;
	char name[64];

	(void)state;
	fixture_open(&a, "alice", true);
	fixture_open(&b, "bob", false);
	d = make_dir(&a, ROOT, "d");
	fill(&a, d, "kept", KEPT);
	merge_from(&b, &a);
	for (int k = 0; k < CONTESTED; k++) {
		snprintf(name, sizeof(name), "kept-%d", k);
		write_file(&a, look(&a, d, name), "1");
		write_file(&b, look(&b, look(&b, ROOT, "d"), name), "2");
	}
	merge_from(&b, &a);
	d = look(&b, ROOT, "d");
	for (int k = 0; k < 20; k++)
		assert_int_equal(list_slowly(&b, d, &seed),
				 KEPT + CONTESTED);
	check_tree(&b);
	fixture_close(&a);
	fixture_close(&b);
}

struct all {
	char names[400][256];
	size_t count;
};

static int take_all(void *arg, const struct tree_dirent *d)
{
	struct all *a = arg;

	assert_true(a->count < 400 && d->name.len < 256);
	memcpy(a->names[a->count], d->name.data, d->name.len);
	a->names[a->count++][d->name.len] = '\0';
	return 0;
}

/*
 * Two listings at once, resumed after each entry, give what one gives that
 * is not; and a name that comes or goes between is seen by the rest of them.
 */
static void test_many_conflicts(void **state)
{
	struct all *all = calloc(1, sizeof(*all));
	struct fixture a, b;
	uint64_t dirs[2], cookies[2] = { 0, 0 };
	size_t given = 0, conflicts = 0;

	(void)state;
	fixture_open(&a, "alice", true);
	fixture_open(&b, "bob", false);
	for (int k = 0; k < 2; k++)
		fill(&a, make_dir(&a, ROOT, k ? "e" : "d"), "kept", 100);
	merge_from(&b, &a);
	for (int k = 0; k < 200; k++) {
		char name[64];

		snprintf(name, sizeof(name), "kept-%d", k / 2);
		write_file(&a, look(&a, look(&a, ROOT, k % 2 ? "e" : "d"),
				    name), "1");
		write_file(&b, look(&b, look(&b, ROOT, k % 2 ? "e" : "d"),
				    name), "2");
	}
	merge_from(&b, &a);
	for (int k = 0; k < 2; k++)
		dirs[k] = look(&b, ROOT, k ? "e" : "d");
	assert_int_equal(tree_readdir(b.tree, dirs[0], 0, take_all, all), 0);
	assert_int_equal(all->count, 200);
	for (bool more = true; more;) {
		struct seen s = { .any = false }, other = { .any = false };

		assert_int_equal(tree_readdir(b.tree, dirs[0], cookies[0],
					      take_one, &s), 0);
		if (given % 3 == 0)
			assert_int_equal(tree_readdir(b.tree, dirs[1],
						      cookies[1], take_one,
						      &other), 0);
		more = s.any;
		if (!more)
			break;
		cookies[0] = s.cookie;
		cookies[1] = other.any ? other.cookie : cookies[1];
		assert_string_equal(s.name, all->names[given++]);
	}
	assert_int_equal(given, 200);
	/* Settled between two pages: the rest has no trace of it. */
	cookies[0] = 0;
	for (given = 0;; given++) {
		struct seen s = { .any = false };

		assert_int_equal(tree_readdir(b.tree, dirs[0], cookies[0],
					      take_one, &s), 0);
		if (!s.any)
			break;
		cookies[0] = s.cookie;
		conflicts += !!strstr(s.name, "(conflict");
		for (size_t k = 0; given == 9 && k < all->count; k++)
			if (strstr(all->names[k], "(conflict"))
				assert_int_equal(
					tree_unlink(b.tree, dirs[0],
						    SLICE_STR(all->names[k])),
					0);
	}
	assert_true(conflicts <= 10 && given <= 110 && given >= 100);
	check_tree(&b);
	fixture_close(&a);
	fixture_close(&b);
	free(all);
}

static void test_merged(void **state)
{
	struct fixture a, b;
	uint64_t seed = 3, d;

	(void)state;
	fixture_open(&a, "alice", true);
	fixture_open(&b, "bob", false);
	d = make_dir(&a, ROOT, "d");
	fill(&a, d, "alice", KEPT);
	fill(&a, d, "both", CONTESTED);
	d = make_dir(&b, ROOT, "d");
	fill(&b, d, "bob", KEPT);
	fill(&b, d, "both", CONTESTED);
	merge_from(&b, &a);
	d = look(&b, ROOT, "d");
	for (int k = 0; k < 20; k++)
		assert_int_equal(list_slowly(&b, d, &seed),
				 2 * (KEPT + CONTESTED));
	check_tree(&b);
	fixture_close(&a);
	fixture_close(&b);
}

/* Names that are cut, and names that look like names of conflicts. */
static void test_odd_names(void **state)
{
	static const char *const odd[] = {
		".hidden", "a.tar.gz", "x (conflict", "(conflict a b c)",
		"f (conflict alice 2023-11-14 abcd).txt", " (conflict ",
		"n.b (conflict z)", "trailing.", "..two", "\xff\xfe",
	};
	struct fixture a, b;
	char names[80][256], longname[256];
	size_t n = sizeof(odd) / sizeof(*odd);

	(void)state;
	fixture_open(&a, "alice", true);
	fixture_open(&b, "bob", false);
	memset(longname, 'l', 255);
	longname[255] = '\0';
	for (size_t k = 0; k < n; k++)
		make_file(&a, ROOT, odd[k], "base");
	make_file(&a, ROOT, longname, "base");
	memcpy(longname + 250, ".txtx", 5);
	make_file(&a, ROOT, longname, "base");
	n += 2;
	merge_from(&b, &a);
	list(&a, ROOT, names, 80);
	for (size_t k = 0; k < n; k++) {
		write_file(&a, look(&a, ROOT, names[k]), "1");
		write_file(&b, look(&b, ROOT, names[k]), "2");
	}
	merge_from(&b, &a);
	assert_int_equal(list(&b, ROOT, names, 80), 2 * n);
	for (size_t k = 0; k < 2 * n; k++) {
		look(&b, ROOT, names[k]);
		assert_true(!k || strcmp(names[k - 1], names[k]));
	}
	assert_int_equal(tree_conflict_count(b.tree), n);
	check_tree(&b);
	fixture_close(&a);
	fixture_close(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plain),
		cmocka_unit_test(test_conflicts),
		cmocka_unit_test(test_many_conflicts),
		cmocka_unit_test(test_merged),
		cmocka_unit_test(test_odd_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
