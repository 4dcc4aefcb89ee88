/* SPDX-License-Identifier: Apache-2.0 */
/* One node: names, data, attributes, and what survives a crash. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "tree_support.h"

#define ROOT TREE_ROOT_INO

static void test_names(void **state)
{
	struct fixture f;
	char names[8][256];
	uint64_t d, a;

	(void)state;
	fixture_open(&f, "alice", true);
	d = make_dir(&f, ROOT, "d");
	a = make_file(&f, d, "a", "hello");
	make_file(&f, d, "b", "world");
	assert_int_equal(look(&f, d, "a"), a);
	assert_int_equal(list(&f, d, names, 8), 2);
	assert_string_equal(names[0], "a");
	assert_string_equal(names[1], "b");
	assert_int_equal(tree_rmdir(f.tree, ROOT, SLICE_STR("d")), -ENOTEMPTY);
	assert_int_equal(tree_unlink(f.tree, ROOT, SLICE_STR("d")), -EISDIR);
	assert_int_equal(tree_rename(f.tree, d, SLICE_STR("a"), ROOT,
				     SLICE_STR("c"), 0), 0);
	assert_int_equal(look(&f, ROOT, "c"), a);
	assert_int_equal(look_error(&f, d, "a"), -ENOENT);
	assert_int_equal(tree_rename(f.tree, ROOT, SLICE_STR("c"), d,
				     SLICE_STR("b"),
				     TREE_RENAME_NOREPLACE), -EEXIST);
	assert_int_equal(tree_rename(f.tree, ROOT, SLICE_STR("c"), d,
				     SLICE_STR("b"), 0), 0);
	assert_int_equal(look(&f, d, "b"), a);
	expect_bytes(&f, a, "hello");
	check_tree(&f);
	assert_int_equal(tree_rename(f.tree, ROOT, SLICE_STR("d"), d,
				     SLICE_STR("x"), 0), -EINVAL);
	assert_int_equal(tree_unlink(f.tree, d, SLICE_STR("b")), 0);
	assert_int_equal(tree_unlink(f.tree, d, SLICE_STR("b")), -ENOENT);
	assert_int_equal(tree_rmdir(f.tree, ROOT, SLICE_STR("d")), 0);
	assert_int_equal(list(&f, ROOT, NULL, 0), 0);
	check_tree(&f);
	fixture_close(&f);
}

static void test_bad_names(void **state)
{
	struct fixture f;
	char longname[300];

	(void)state;
	fixture_open(&f, "alice", true);
	memset(longname, 'x', sizeof(longname));
	longname[256] = '\0';
	assert_int_equal(look_error(&f, ROOT, longname), -ENAMETOOLONG);
	longname[255] = '\0';
	make_file(&f, ROOT, longname, "x");
	assert_int_equal(look_error(&f, ROOT, "."), -EINVAL);
	fixture_close(&f);
}

static void test_data(void **state)
{
	struct fixture f;
	struct attr a;
	struct tree_setattr s = { .set = TREE_SET_SIZE };
	size_t big = 3 << 20;
	uint8_t *bytes = malloc(big), *got = malloc(big + 10);
	uint64_t ino;

	(void)state;
	for (size_t k = 0; k < big; k++)
		bytes[k] = (uint8_t)(k * 2654435761u >> 13);
	fixture_open(&f, "alice", true);
	ino = make_file(&f, ROOT, "f", "0123456789");
	assert_int_equal(tree_open_file(f.tree, ino, true), 0);
	assert_int_equal(tree_write(f.tree, ino, 4, SLICE_STR("XY"), false),
			 0);
	expect_bytes(&f, ino, "0123XY6789");
	assert_int_equal(tree_write(f.tree, ino, 0, SLICE_STR("end"), true),
			 0);
	expect_bytes(&f, ino, "0123XY6789end");
	s.size = 6;
	assert_int_equal(tree_setattr(f.tree, ino, &s, &a), 0);
	assert_int_equal(a.size, 6);
	s.size = 8;
	assert_int_equal(tree_setattr(f.tree, ino, &s, &a), 0);
	assert_int_equal(tree_read(f.tree, ino, 0, got, 20), 8);
	assert_memory_equal(got, "0123XY\0\0", 8);
	for (size_t at = 0; at < big; at += 100000)
		assert_int_equal(tree_write(f.tree, ino, at,
					    SLICE(bytes + at,
						  big - at < 100000
							  ? big - at
							  : 100000),
					    false), 0);
	assert_int_equal(tree_read(f.tree, ino, 0, got, big + 10), big);
	assert_memory_equal(got, bytes, big);
	tree_release_file(f.tree, ino, true);
	assert_int_equal(tree_read(f.tree, ino, 0, got, big + 10), big);
	assert_memory_equal(got, bytes, big);
	assert_int_equal(tree_read(f.tree, ino, 1234567, got, 1000), 1000);
	assert_memory_equal(got, bytes + 1234567, 1000);
	s.size = 2000000;
	assert_int_equal(tree_setattr(f.tree, ino, &s, &a), 0);
	assert_int_equal(tree_read(f.tree, ino, 0, got, big), 2000000);
	assert_memory_equal(got, bytes, 2000000);
	fixture_crash(&f);
	assert_int_equal(tree_read(f.tree, ino, 0, got, big), 2000000);
	assert_memory_equal(got, bytes, 2000000);
	check_tree(&f);
	fixture_close(&f);
	free(bytes);
	free(got);
}

static void test_crash_keeps_unsent(void **state)
{
	struct fixture f;
	uint64_t ino;

	(void)state;
	fixture_open(&f, "alice", true);
	ino = make_file(&f, ROOT, "f", "one");
	assert_int_equal(tree_open_file(f.tree, ino, true), 0);
	assert_int_equal(tree_write(f.tree, ino, 3, SLICE_STR(" two"), false),
			 0);
	fixture_crash(&f);
	expect_bytes(&f, look(&f, ROOT, "f"), "one two");
	tree_cut_due(f.tree); /* nobody has it open: due at once */
	assert_int_equal(tree_cut_settled(f.tree, 0), 0);
	expect_bytes(&f, look(&f, ROOT, "f"), "one two");
	check_tree(&f);
	fixture_close(&f);
}

static void test_unlinked_open(void **state)
{
	struct fixture f;
	struct attr a;
	uint64_t ino;

	(void)state;
	fixture_open(&f, "alice", true);
	ino = make_file(&f, ROOT, "f", "bytes");
	assert_int_equal(tree_open_file(f.tree, ino, true), 0);
	assert_int_equal(tree_unlink(f.tree, ROOT, SLICE_STR("f")), 0);
	expect_bytes(&f, ino, "bytes");
	assert_int_equal(tree_write(f.tree, ino, 5, SLICE_STR("+"), false), 0);
	expect_bytes(&f, ino, "bytes+");
	assert_int_equal(tree_getattr(f.tree, ino, &a), 0);
	assert_int_equal(a.nlink, 0);
	tree_release_file(f.tree, ino, true);
	assert_int_equal(list(&f, ROOT, NULL, 0), 0);
	assert_int_equal(tree_cut_settled(f.tree, 0), 0);
	check_tree(&f);
	fixture_close(&f);
}

static void test_attributes(void **state)
{
	struct fixture f;
	struct tree_setattr s = { .set = TREE_SET_MODE | TREE_SET_MTIME,
				  .perm = 0751,
				  .mtime = { 123456789, 987654321 } };
	struct attr a;
	uint64_t ino;

	(void)state;
	fixture_open(&f, "alice", true);
	ino = make_file(&f, ROOT, "f", "x");
	assert_int_equal(tree_setattr(f.tree, ino, &s, &a), 0);
	assert_int_equal(a.mode, S_IFREG | 0751);
	assert_int_equal(a.mtime.tv_sec, 123456789);
	assert_int_equal(a.mtime.tv_nsec, 987654321);
	/* cp -p: write, utimens, close */
	assert_int_equal(tree_open_file(f.tree, ino, true), 0);
	assert_int_equal(tree_write(f.tree, ino, 0, SLICE_STR("yy"), false),
			 0);
	s.mtime.tv_sec = 77;
	assert_int_equal(tree_setattr(f.tree, ino, &s, &a), 0);
	tree_release_file(f.tree, ino, true);
	assert_int_equal(tree_getattr(f.tree, ino, &a), 0);
	assert_int_equal(a.mtime.tv_sec, 77);
	assert_int_equal(a.size, 2);
	fixture_crash(&f);
	assert_int_equal(tree_getattr(f.tree, ino, &a), 0);
	assert_int_equal(a.mtime.tv_sec, 77);
	fixture_close(&f);
}

static void test_many_names(void **state)
{
	struct fixture f;
	char name[32];
	uint64_t d;

	(void)state;
	fixture_open(&f, "alice", true);
	d = make_dir(&f, ROOT, "d");
	for (int k = 0; k < 3000; k++) {
		snprintf(name, sizeof(name), "file-%d", k);
		make_file(&f, d, name, name);
	}
	assert_int_equal(list(&f, d, NULL, 0), 3000);
	for (int k = 0; k < 3000; k++) {
		snprintf(name, sizeof(name), "file-%d", k);
		expect_bytes(&f, look(&f, d, name), name);
	}
	fixture_close(&f);
}

static int count_dir(void *arg, const struct tree_dirent *d)
{
	*(uint32_t *)arg += S_ISDIR(d->type);
	return 0;
}

/* A directory has a link for each that stands in it. */
static void expect_dir_links(struct fixture *f, uint64_t dir)
{
	uint32_t dirs = 0;
	struct attr at;

	assert_int_equal(tree_getattr(f->tree, dir, &at), 0);
	assert_int_equal(tree_readdir(f->tree, dir, 0, count_dir, &dirs), 0);
	assert_int_equal(at.nlink, 2 + dirs);
}

#define LINK_STEPS 2000
#define LINK_NAMES 12

static void link_step(struct fixture *f, const uint64_t parents[3],
		      uint64_t *random)
{
	char from[8], to[8];
	uint64_t at[2], now;

	*random = *random * 6364136223846793005u + 1442695040888963407u;
	now = *random >> 20;
	snprintf(from, sizeof(from), "n%d", (int)(now % LINK_NAMES));
	now /= LINK_NAMES;
	snprintf(to, sizeof(to), "n%d", (int)(now % LINK_NAMES));
	now /= LINK_NAMES;
	at[0] = parents[now % 3];
	at[1] = parents[now / 3 % 3];
	now /= 9;
	/* (each may fail: what is there counts) */
	switch (now % 6) {
	case 0:
	case 1: {
		struct tree_new n = { .kind = now % 2 ? KIND_DIR : KIND_FILE,
				      .perm = 0755 };
		struct entry e;

		(void)!tree_create(f->tree, at[0], SLICE_STR(from), &n, false,
				   &e);
		break;
	}
	case 2:
		(void)!tree_rmdir(f->tree, at[0], SLICE_STR(from));
		break;
	case 3:
		(void)!tree_unlink(f->tree, at[0], SLICE_STR(from));
		break;
	default:
		(void)!tree_rename(f->tree, at[0], SLICE_STR(from), at[1],
				   SLICE_STR(to), now % 6 == 4 ? 0 :
				   TREE_RENAME_EXCHANGE);
	}
}

static void test_dir_links(void **state)
{
	uint64_t parents[3], random = 7;
	struct fixture f;

	(void)state;
	fixture_open(&f, "alice", true);
	parents[0] = ROOT;
	parents[1] = make_dir(&f, ROOT, "first");
	parents[2] = make_dir(&f, parents[1], "second");
	for (int k = 0; k < LINK_STEPS; k++) {
		link_step(&f, parents, &random);
		for (int n = 0; n < 3; n++)
			expect_dir_links(&f, parents[n]);
	}
	fixture_crash(&f);
	for (int n = 0; n < 3; n++)
		expect_dir_links(&f, parents[n]);
	check_tree(&f);
	fixture_close(&f);
}

/* Numbers of a node that does not know "stranger", or does by now. */
static bool stranger_known;

static uint32_t number_of(void *arg, struct slice name)
{
	(void)arg;
	if (slice_equal(name, SLICE_STR("other")))
		return 8;
	return stranger_known && slice_equal(name, SLICE_STR("stranger")) ?
		       9 : 7;
}

static void own(struct fixture *f, uint64_t ino, const char *user,
		uint32_t flags, uint32_t expected)
{
	struct tree_setattr s = { .set = TREE_SET_USER | TREE_SET_GROUP | flags,
				  .user = SLICE_STR(user),
				  .group = SLICE_STR(user) };
	struct attr at;

	assert_int_equal(tree_setattr(f->tree, ino, &s, &at), 0);
	assert_int_equal(at.uid, expected);
	assert_int_equal(at.gid, expected);
}

/* A name unknown here is shown as the mount's owner; who gives the file to
 * that owner leaves it to the other. */
static void test_owner_as_shown(void **state)
{
	struct fixture f;
	struct attr at;
	uint64_t ino;

	(void)state;
	fixture_open(&f, "alice", true);
	f.env.uid_of = f.env.gid_of = number_of;
	stranger_known = false;
	ino = make_file(&f, ROOT, "f", "x");
	own(&f, ino, "stranger", 0, 7);
	own(&f, ino, "me", TREE_SET_AS_SHOWN, 7);
	stranger_known = true;
	assert_int_equal(tree_getattr(f.tree, ino, &at), 0);
	assert_int_equal(at.uid, 9);
	assert_int_equal(at.gid, 9);
	/* Another number is a change, and so is a name as such. */
	own(&f, ino, "me", TREE_SET_AS_SHOWN, 7);
	own(&f, ino, "stranger", 0, 9);
	stranger_known = false;
	own(&f, ino, "other", TREE_SET_AS_SHOWN, 8);
	own(&f, ino, "stranger", 0, 7);
	own(&f, ino, "me", 0, 7);
	stranger_known = true;
	own(&f, ino, "me", TREE_SET_AS_SHOWN, 7);
	fixture_close(&f);
}

static int rename_leaving(struct fixture *f, const char *from, const char *to,
			  uint32_t flags)
{
	const struct tree_new whiteout = { .kind = KIND_CHAR,
					   .user = SLICE_STR("u"),
					   .group = SLICE_STR("g") };

	return tree_rename_leaving(f->tree, ROOT, SLICE_STR(from), ROOT,
				   SLICE_STR(to), flags, &whiteout);
}

/* The name that moves away leaves something behind, or nothing happens. */
static void test_rename_leaving(void **state)
{
	struct fixture f;
	struct attr at;
	uint64_t ino;

	(void)state;
	fixture_open(&f, "alice", true);
	ino = make_file(&f, ROOT, "f", "old");
	make_file(&f, ROOT, "g", "other");
	assert_int_equal(rename_leaving(&f, "f", "h", 0), 0);
	assert_int_equal(look(&f, ROOT, "h"), ino);
	assert_int_equal(tree_getattr(f.tree, look(&f, ROOT, "f"), &at), 0);
	assert_int_equal(at.mode, S_IFCHR);
	assert_int_equal(at.rdev, 0);
	assert_int_equal(rename_leaving(&f, "h", "g", 0), 0);
	assert_true(look(&f, ROOT, "h") != look(&f, ROOT, "f"));
	expect_bytes(&f, look(&f, ROOT, "g"), "old");
	assert_int_equal(rename_leaving(&f, "g", "f", TREE_RENAME_NOREPLACE),
			 -EEXIST);
	assert_int_equal(rename_leaving(&f, "g", "f", TREE_RENAME_EXCHANGE),
			 -EINVAL);
	assert_int_equal(rename_leaving(&f, "none", "x", 0), -ENOENT);
	/* Between two names of one file nothing happens. */
	assert_int_equal(rename_leaving(&f, "g", "g", 0), 0);
	expect_bytes(&f, look(&f, ROOT, "g"), "old");
	assert_int_equal(list(&f, ROOT, NULL, 0), 3);
	fixture_crash(&f);
	assert_int_equal(list(&f, ROOT, NULL, 0), 3);
	expect_bytes(&f, look(&f, ROOT, "g"), "old");
	check_tree(&f);
	fixture_close(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_bad_names),
		cmocka_unit_test(test_data),
		cmocka_unit_test(test_crash_keeps_unsent),
		cmocka_unit_test(test_unlinked_open),
		cmocka_unit_test(test_attributes),
		cmocka_unit_test(test_many_names),
		cmocka_unit_test(test_dir_links),
		cmocka_unit_test(test_owner_as_shown),
		cmocka_unit_test(test_rename_leaving),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
