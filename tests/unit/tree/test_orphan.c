/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is open and has lost its last name, by each way in which that can
 * happen here: its attributes are its own from then on, whatever becomes of
 * the object. And what was displaced from elsewhere, which is not that.
 */
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

#include "fs/store/store.h"
#include "ways_support.h"

static struct fixture *const a = &nodes[0], *const b = &nodes[1],
		       *const c = &nodes[2];

#define XATTR SLICE_STR("user.a")
#define LOCAL SLICE_STR("trusted.a")

static void set_mode(struct fixture *f, uint64_t ino, uint32_t perm)
{
	struct tree_setattr s = { .set = TREE_SET_MODE, .perm = perm };
	struct attr at;

	assert_int_equal(tree_setattr(f->tree, ino, &s, &at), 0);
}

static void set_xattr(struct fixture *f, uint64_t ino, struct slice name,
		      const char *value)
{
	assert_int_equal(tree_setxattr(f->tree, ino, name, SLICE_STR(value),
				       0), 0);
}

static void expect_xattr(struct fixture *f, uint64_t ino, struct slice name,
			 const char *want)
{
	cleanup(buf_release) struct buf got = BUF_INIT;
	int r = tree_getxattr(f->tree, ino, name, &got);

	assert_int_equal(r, want ? 0 : -ENODATA);
	buf_put_u8(&got, '\0');
	if (want)
		assert_string_equal((char *)got.data, want);
}

static struct attr attr_at(struct fixture *f, uint64_t ino)
{
	struct attr at;

	assert_int_equal(tree_getattr(f->tree, ino, &at), 0);
	return at;
}

static uint32_t number(void *arg, struct slice principal)
{
	(void)arg;
	return principal.len ? principal.data[0] : 0;
}

static uint64_t numbers(struct fixture *f)
{
	uint64_t n;

	store_lock(f->store);
	n = store_count(f->store, TABLE_INO);
	store_unlock(f->store);
	return n;
}

/* What every file here has before its name goes. */
static void dress(struct fixture *f, uint64_t ino)
{
	struct tree_setattr s = { .set = TREE_SET_MTIME, .mtime = { 3000, 3 } };
	struct attr at;

	f->env.uid_of = f->env.gid_of = number;
	set_mode(f, ino, 0751);
	set_xattr(f, ino, XATTR, "old");
	set_xattr(f, ino, LOCAL, "old");
	assert_int_equal(tree_setattr(f->tree, ino, &s, &at), 0);
}

/* ... and behind it. */
static void expect_dressed(struct fixture *f, uint64_t ino)
{
	struct attr at = attr_at(f, ino);

	assert_int_equal(at.mode, S_IFREG | 0751);
	assert_int_equal(at.nlink, 0);
	assert_int_equal(at.uid, 'r');
	expect_xattr(f, ino, XATTR, "old");
	expect_xattr(f, ino, LOCAL, "old");
}

/* All that can be set is its own. */
static void change(struct fixture *f, uint64_t ino)
{
	struct tree_setattr s = {
		.set = TREE_SET_USER | TREE_SET_GROUP | TREE_SET_MTIME |
		       TREE_SET_ATIME,
		.user = SLICE_STR("alice"), .group = SLICE_STR("bob"),
		.mtime = { 1000, 1 }, .atime = { 2000, 2 } };
	struct attr at, before = attr_at(f, ino);
	struct entry e;

	f->now_ns += 1000000;
	set_mode(f, ino, 04640);
	assert_int_equal(tree_setattr(f->tree, ino, &s, &at), 0);
	set_xattr(f, ino, XATTR, "new");
	set_xattr(f, ino, LOCAL, "new");
	set_xattr(f, ino, SLICE_STR("user.b"), "more");
	assert_int_equal(tree_removexattr(f->tree, ino, SLICE_STR("user.b")),
			 0);
	at = attr_at(f, ino);
	assert_true(at.ctime.tv_sec > before.ctime.tv_sec ||
		    at.ctime.tv_nsec > before.ctime.tv_nsec);
	assert_int_equal(tree_link(f->tree, ino, ROOT, SLICE_STR("x"), &e),
			 -ENOENT);
}

static void expect_changed(struct fixture *f, uint64_t ino)
{
	struct attr at = attr_at(f, ino);

	assert_int_equal(at.mode, S_IFREG | 04640);
	assert_int_equal(at.uid, 'a');
	assert_int_equal(at.gid, 'b');
	assert_int_equal(at.nlink, 0);
	assert_int_equal(at.mtime.tv_sec, 1000);
	assert_int_equal(at.atime.tv_sec, 2000);
	expect_xattr(f, ino, XATTR, "new");
	expect_xattr(f, ino, LOCAL, "new");
	expect_xattr(f, ino, SLICE_STR("user.b"), NULL);
}

/* ---- each way */

/* `ino` is open at f, and has a name. The name goes by `act`; `name` is a
 * file that stays, or NULL. */
static void loses_its_name(struct fixture *f, uint64_t ino,
			   void (*act)(struct fixture *), const char *name)
{
	struct attr other = { 0 };
	uint64_t before;

	dress(f, ino);
	assert_int_equal(tree_open_file(f->tree, ino, true), 0);
	act(f);
	before = numbers(f);
	expect_dressed(f, ino);
	assert_int_equal(attr_at(f, ino).mtime.tv_sec, 3000);
	if (name) {
		assert_int_not_equal(look(f, ROOT, name), ino);
		set_mode(f, look(f, ROOT, name), 0604);
		set_xattr(f, look(f, ROOT, name), XATTR, "other");
		other = attr_at(f, look(f, ROOT, name));
		expect_dressed(f, ino);
	}
	change(f, ino);
	expect_changed(f, ino);
	check_tree(f);
	f->goes_on = true;
	fixture_crash(f);
	assert_int_equal(tree_open_again(f->tree, ino, true), 0);
	expect_changed(f, ino);
	set_mode(f, ino, 04640);
	expect_changed(f, ino);
	if (name) {
		struct attr now = attr_at(f, look(f, ROOT, name));

		assert_int_equal(now.mode, other.mode);
		assert_int_equal(now.uid, other.uid);
		assert_int_equal(now.ctime.tv_nsec, other.ctime.tv_nsec);
		expect_xattr(f, look(f, ROOT, name), XATTR, "other");
	}
	tree_release_file(f->tree, ino, true);
	/* (of an object that is gone it is kept until that is purged) */
	assert_true(!name || numbers(f) < before);
	check_tree(f);
	f->goes_on = false;
}

static void by_unlink(struct fixture *f)
{
	rm(f, ROOT, "doc");
}

static void test_unlinked(void)
{
	make_file(a, ROOT, "doc", "old");
	loses_its_name(a, look(a, ROOT, "doc"), by_unlink, NULL);
	sync_all();
	assert_int_equal(entries(b), 0);
}

static const struct way *way;

static void by_way(struct fixture *f)
{
	ways_save(way, f, ROOT, "saved");
}

/* (by a way that keeps the old file under another name it keeps its name) */
static void test_saved_over(void)
{
	char name[16];

	for (size_t k = 1; k < WAYS; k++) {
		if (ways[k].kept)
			continue;
		way = &ways[k];
		make_file(a, ROOT, "doc", "old");
		loses_its_name(a, look(a, ROOT, "doc"), by_way, "doc");
		sync_all();
		expect_file(b, "doc", "saved");
		snprintf(name, sizeof(name), "saved%zu", k);
		mv(a, ROOT, "doc", ROOT, name);
	}
	sync_all();
}

static void conflict_seen_by_c(void)
{
	make_conflict("doc");
	sync_all();
	later(c, b);
}

static void test_main_removed(void)
{
	conflict_seen_by_c();
	loses_its_name(c, look(c, ROOT, "doc"), by_unlink, NULL);
	sync_all();
}

static char sibling[256];

static void by_unlink_of_sibling(struct fixture *f)
{
	rm(f, ROOT, sibling);
}

static void test_sibling_removed(void)
{
	conflict_seen_by_c();
	name_with(c, ROOT, "(conflict", sibling);
	loses_its_name(c, look(c, ROOT, sibling), by_unlink_of_sibling,
		       "doc");
	sync_all();
}

static void by_save_over_sibling(struct fixture *f)
{
	make_file(f, ROOT, "tmp", "saved");
	mv(f, ROOT, "tmp", ROOT, sibling);
}

static void test_sibling_saved_over(void)
{
	conflict_seen_by_c();
	name_with(c, ROOT, "(conflict", sibling);
	loses_its_name(c, look(c, ROOT, sibling), by_save_over_sibling,
		       "doc");
	sync_all();
}

/* ---- what is none */

static void test_displaced_from_elsewhere(void)
{
	uint64_t ino;

	make_file(a, ROOT, "doc", "old");
	sync_all();
	ino = look(a, ROOT, "doc");
	assert_int_equal(tree_open_file(a->tree, ino, false), 0);
	later(b, a);
	write_name(b, "doc", "of bob");
	set_mode(b, look(b, ROOT, "doc"), 0640);
	pass(a, b);
	assert_int_not_equal(look(a, ROOT, "doc"), ino);
	assert_int_equal(attr_at(a, ino).mode, S_IFREG | 0640);
	set_mode(a, ino, 0600);
	set_xattr(a, ino, XATTR, "1");
	assert_int_equal(attr_at(a, look(a, ROOT, "doc")).mode,
			 S_IFREG | 0600);
	expect_xattr(a, look(a, ROOT, "doc"), XATTR, "1");
	expect_bytes(a, ino, "old");
	tree_release_file(a->tree, ino, false);
	sync_all();
}

int main(void)
{
	static const struct scenario scenarios[] = {
		SCENARIO(test_unlinked),
		SCENARIO(test_saved_over),
		SCENARIO(test_main_removed),
		SCENARIO(test_sibling_removed),
		SCENARIO(test_sibling_saved_over),
		SCENARIO(test_displaced_from_elsewhere),
	};

	return scenarios_run(scenarios, ARRAY_SIZE(scenarios));
}
