/* SPDX-License-Identifier: Apache-2.0 */
/* Extended attributes: on one node, and against what others did. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "fs/tree/info.h"
#include "nodes_support.h"

static struct fixture *const a = &nodes[0], *const b = &nodes[1],
		      *const c = &nodes[2];

static int set_error(struct fixture *f, const char *file, const char *name,
		     const char *value, uint32_t flags)
{
	return tree_setxattr(f->tree, look(f, ROOT, file), SLICE_STR(name),
			     SLICE_STR(value), flags);
}

static void set(struct fixture *f, const char *file, const char *name,
		const char *value)
{
	assert_int_equal(set_error(f, file, name, value, 0), 0);
}

static int unset_error(struct fixture *f, const char *file, const char *name)
{
	return tree_removexattr(f->tree, look(f, ROOT, file),
				SLICE_STR(name));
}

static void expect(struct fixture *f, const char *file, const char *name,
		   const char *value)
{
	struct buf got = BUF_INIT;
	int r = tree_getxattr(f->tree, look(f, ROOT, file), SLICE_STR(name),
			      &got);

	assert_int_equal(r, value ? 0 : -ENODATA);
	if (value)
		assert_true(slice_equal(buf_slice(&got), SLICE_STR(value)));
	buf_release(&got);
}

/* Names with ':' for NUL. */
static void expect_names(struct fixture *f, const char *file,
			 const char *names)
{
	struct buf got = BUF_INIT;

	assert_int_equal(tree_listxattr(f->tree, look(f, ROOT, file), &got),
			 0);
	for (size_t k = 0; k < got.len; k++)
		if (!got.data[k])
			got.data[k] = ':';
	assert_true(slice_equal(buf_slice(&got), SLICE_STR(names)));
	buf_release(&got);
}

/* Versions of XATTR in the row. */
static size_t versions(struct fixture *f, const char *file)
{
	struct object o;
	size_t n = 0;

	row_at(f, file, &o);
	for (size_t k = 0; k < o.count; k++)
		n += o.versions[k].reg == REG_XATTR;
	object_release(&o);
	return n;
}

static void test_one_node(void)
{
	struct tree_new n = { .kind = KIND_SYMLINK,
			      .target = SLICE_STR("to") };
	struct entry e;
	char *big = malloc(XATTR_BYTES_MAX + 2), name[300];

	make_file(a, ROOT, "f", "f");
	make_dir(a, ROOT, "d");
	assert_int_equal(tree_create(a->tree, ROOT, SLICE_STR("s"), &n, false,
				     &e), 0);
	expect(a, "f", "user.x", NULL);
	expect_names(a, "f", "");
	assert_int_equal(set_error(a, "f", "user.x", "1",
				   TREE_XATTR_REPLACE), -ENODATA);
	set(a, "f", "user.x", "1");
	assert_int_equal(set_error(a, "f", "user.x", "2",
				   TREE_XATTR_CREATE), -EEXIST);
	assert_int_equal(set_error(a, "f", "user.x", "2",
				   TREE_XATTR_REPLACE), 0);
	set(a, "f", "user.a", "");
	set(a, "d", "user.dir", "yes");
	expect(a, "f", "user.x", "2");
	expect(a, "f", "user.a", "");
	expect_names(a, "f", "user.a:user.x:");
	expect(a, "d", "user.dir", "yes");
	assert_int_equal(tree_setxattr(a->tree, ROOT, SLICE_STR("user.r"),
				       SLICE_STR("root"), 0), 0);
	/* names */
	assert_int_equal(set_error(a, "f", "system.x", "", 0), -ENOTSUP);
	assert_int_equal(set_error(a, "f", "x", "", 0), -ENOTSUP);
	assert_int_equal(set_error(a, "f", "user.", "", 0), -EINVAL);
	assert_int_equal(set_error(a, "f", "trusted.", "", 0), -EINVAL);
	assert_int_equal(set_error(a, "f", "", "", 0), -EINVAL);
	assert_int_equal(set_error(a, "f", "user.x", "", 4), -EINVAL);
	assert_int_equal(tree_setxattr(a->tree, ROOT, SLICE("user.\0x", 7),
				       SLICE_STR(""), 0), -EINVAL);
	memset(name, 'n', sizeof(name));
	memcpy(name, "user.", 5);
	name[256] = '\0';
	assert_int_equal(set_error(a, "f", name, "", 0), -ERANGE);
	name[255] = '\0';
	set(a, "f", name, "long");
	expect(a, "f", name, "long");
	/* reserved */
	assert_int_equal(set_error(a, "d", "user.kin.asks", "1", 0), -EINVAL);
	expect(a, "d", "user.kin.asks", NULL);
	assert_int_equal(unset_error(a, "d", "user.kin.asks"), -ENODATA);
	/* symlinks have none */
	assert_int_equal(set_error(a, "s", "user.x", "1", 0), -EPERM);
	expect(a, "s", "user.x", NULL);
	/* sizes */
	memset(big, 'b', XATTR_BYTES_MAX + 1);
	big[XATTR_BYTES_MAX + 1] = '\0';
	assert_int_equal(set_error(a, "f", "user.big", big, 0), -E2BIG);
	big[XATTR_BYTES_MAX] = '\0';
	set(a, "f", "user.big", big);
	expect(a, "f", "user.big", big);
	assert_int_equal(set_error(a, "f", "user.big2", big, 0), -ENOSPC);
	expect(a, "f", "user.big2", NULL);
	assert_int_equal(unset_error(a, "f", "user.big"), 0);
	set(a, "f", "user.big2", big);
	free(big);
	/* after a crash too */
	fixture_crash(a);
	expect(a, "f", "user.x", "2");
	expect(a, "f", "user.big", NULL);
	sync_all();
	expect(c, "f", "user.x", "2");
	expect(c, "d", "user.dir", "yes");
	expect(c, "f", "user.big", NULL);
}

static void test_concurrent(void)
{
	make_file(a, ROOT, "f", "f");
	set(a, "f", "user.both", "old");
	sync_all();
	set(a, "f", "user.both", "alice's");
	set(a, "f", "user.a", "a");
	later(b, a);
	set(b, "f", "user.both", "bob's");
	set(b, "f", "user.b", "b");
	write_name(c, "f", "written");
	sync_all();
	expect(c, "f", "user.both", "bob's");
	expect_names(c, "f", "user.a:user.b:user.both:");
	expect_file(a, "f", "written");
	/* the loser stays until the next write of that name */
	assert_int_equal(versions(a, "f"), 4);
	set(a, "f", "user.a", "more");
	assert_int_equal(versions(a, "f"), 4);
	set(a, "f", "user.both", "settled");
	assert_int_equal(versions(a, "f"), 3);
	sync_all();
	assert_int_equal(versions(c, "f"), 3);
	expect(c, "f", "user.both", "settled");
}

/* Setting and removing: the later one, as between two values. */
static void test_remove_against_set(void)
{
	make_file(a, ROOT, "f", "f");
	make_file(a, ROOT, "g", "g");
	set(a, "f", "user.x", "1");
	set(a, "g", "user.x", "1");
	sync_all();
	assert_int_equal(unset_error(a, "f", "user.x"), 0);
	set(a, "g", "user.x", "2");
	later(b, a);
	set(b, "f", "user.x", "2");
	assert_int_equal(unset_error(b, "g", "user.x"), 0);
	sync_all();
	expect(c, "f", "user.x", "2");
	expect(c, "g", "user.x", NULL);
	expect_names(c, "g", "");
	/* what lost is no value to be removed */
	assert_int_equal(unset_error(c, "g", "user.x"), -ENODATA);
	assert_int_equal(set_error(c, "g", "user.x", "3",
				   TREE_XATTR_CREATE), 0);
	assert_int_equal(versions(c, "g"), 1);
	sync_all();
	expect(a, "g", "user.x", "3");
}

/* Attributes alone bring nothing back. */
static void test_set_against_unlink(void)
{
	make_file(a, ROOT, "f", "f");
	make_dir(a, ROOT, "d");
	sync_all();
	rm(a, ROOT, "f");
	assert_int_equal(tree_rmdir(a->tree, ROOT, SLICE_STR("d")), 0);
	later(b, a);
	set(b, "f", "user.x", "1");
	set(b, "d", "user.x", "1");
	sync_all();
	assert_int_equal(entries(c), 0);
}

static void test_value_comes_back_with_the_file(void)
{
	make_file(a, ROOT, "f", "f");
	set(a, "f", "user.old", "1");
	sync_all();
	rm(a, ROOT, "f");
	set(b, "f", "user.new", "2");
	write_name(c, "f", "edited");
	sync_all();
	expect_names(a, "f", "user.new:user.old:");
	expect(a, "f", "user.new", "2");
}

/* A sibling has those of its file. */
static void test_sibling(void)
{
	char name[256];

	make_conflict("f");
	sync_all();
	set(a, "f", "user.x", "1");
	name_with(a, ROOT, "conflict", name);
	expect(a, name, "user.x", "1");
	set(a, name, "user.y", "2");
	expect(a, "f", "user.y", "2");
	assert_int_equal(entries(a), 2);
	sync_all();
	expect_names(c, name, "user.kin.conflict:user.x:user.y:");
	set(a, "f", "user.a", "3");
	expect_names(a, "f",
		     "user.a:user.kin.conflict:user.x:user.y:");
}

/* The value at a file; `author` and `base` must be in it. */
static void expect_conflict(struct fixture *f, const char *file,
			    const char *author, const char *base)
{
	struct buf got = BUF_INIT;
	struct object row;
	char object[64] = "{\"object\":\"", text[64];

	assert_int_equal(tree_getxattr(f->tree, look(f, ROOT, file),
				       SLICE_STR("user.kin.conflict"), &got),
			 0);
	buf_put_u8(&got, 0);
	row_at(f, file, &row);
	hex_encode(row.id.b, sizeof(row.id.b), object + strlen(object));
	object_release(&row);
	assert_ptr_equal(strstr((char *)got.data, object), got.data);
	snprintf(text, sizeof(text), "\"author\":\"%s\"", author);
	assert_non_null(strstr((char *)got.data, text));
	snprintf(text, sizeof(text), "\"base\":%s}", base);
	assert_string_equal((char *)got.data + got.len - 1 - strlen(text),
			    text);
	assert_non_null(strstr((char *)got.data, "Z\",\"hlc\":"));
	buf_release(&got);
}

static int conflict_error(struct fixture *f, const char *file)
{
	struct buf got = BUF_INIT;
	int r = tree_getxattr(f->tree, look(f, ROOT, file),
			      SLICE_STR("user.kin.conflict"), &got);

	buf_release(&got);
	return r;
}

static void test_conflict(void)
{
	const struct slice own = SLICE_STR("user.kin.conflict");
	char name[256];

	make_file(a, ROOT, "g", "x");
	make_conflict("f");
	assert_int_equal(conflict_error(a, "f"), -ENODATA);
	sync_all();
	for (int k = 0; k < 3; k++) {
		name_with(&nodes[k], ROOT, "conflict", name);
		expect_conflict(&nodes[k], "f", "bob", "true");
		expect_conflict(&nodes[k], name, "alice", "true");
		assert_int_equal(conflict_error(&nodes[k], "g"), -ENODATA);
	}
	expect_names(a, "g", "");
	/* It is read only, at every file. */
	assert_int_equal(tree_setxattr(a->tree, look(a, ROOT, "f"), own,
				       SLICE_STR("x"), 0), -ENOTSUP);
	assert_int_equal(tree_setxattr(a->tree, look(a, ROOT, "g"), own,
				       SLICE_STR("x"), 0), -ENOTSUP);
	assert_int_equal(tree_removexattr(a->tree, look(a, ROOT, "f"), own),
			 -ENOTSUP);
	/* With main removed what is left is in conflict still. */
	rm(a, ROOT, "f");
	expect_conflict(a, name, "alice", "false");
	mv(a, ROOT, name, ROOT, "f");
	assert_int_equal(conflict_error(a, "f"), -ENODATA);
	expect_names(a, "f", "");
}

static void test_merged_directory(void)
{
	uint64_t d;

	make_dir(a, ROOT, "x");
	sync_all();
	d = make_dir(a, ROOT, "d");
	make_file(a, d, "1", "1");
	d = make_dir(b, ROOT, "d");
	make_file(b, d, "2", "2");
	sync_all();
	set(c, "d", "user.x", "1");
	set(b, "d", "user.y", "2");
	sync_all();
	expect_names(a, "d", "user.x:user.y:");
	expect(a, "d", "user.x", "1");
}

static void test_twins(void)
{
	make_dir(a, ROOT, "x");
	sync_all();
	make_file(a, ROOT, "t", "same");
	make_file(b, ROOT, "t", "same");
	sync_all();
	assert_int_equal(entries(c), 2);
	set(c, "t", "user.x", "1");
	sync_all();
	assert_int_equal(entries(a), 2);
	expect(a, "t", "user.x", "1");
	rm(a, ROOT, "t");
	sync_all();
	assert_int_equal(entries(a), 1);
}

static void test_hard_link(void)
{
	struct entry e;

	make_file(a, ROOT, "f", "f");
	assert_int_equal(tree_link(a->tree, look(a, ROOT, "f"), ROOT,
				   SLICE_STR("g"), &e), 0);
	set(a, "f", "user.x", "1");
	sync_all();
	expect(b, "g", "user.x", "1");
}

/* Names that came and went leave only so much behind. */
static void test_traces_are_bounded(void)
{
	char name[32];

	make_file(a, ROOT, "f", "f");
	for (int k = 0; k < 100; k++) {
		snprintf(name, sizeof(name), "user.%d", k);
		set(a, "f", name, "x");
		if (k != 50)
			assert_int_equal(unset_error(a, "f", name), 0);
	}
	assert_int_equal(versions(a, "f"), 17);
	expect_names(a, "f", "user.50:");
	sync_all();
	assert_int_equal(versions(c, "f"), 17);
	/* the most that there may be */
	for (int k = 0; k < XATTRS_MAX - 17; k++) {
		snprintf(name, sizeof(name), "user.more%d", k);
		set(a, "f", name, "x");
	}
	assert_int_equal(set_error(a, "f", "user.last", "x", 0), -ENOSPC);
	sync_all();
	assert_int_equal(versions(b, "f"), XATTRS_MAX);
}

static const struct scenario scenarios[] = {
	SCENARIO(test_one_node),
	SCENARIO(test_concurrent),
	SCENARIO(test_remove_against_set),
	SCENARIO(test_set_against_unlink),
	SCENARIO(test_value_comes_back_with_the_file),
	SCENARIO(test_sibling),
	SCENARIO(test_conflict),
	SCENARIO(test_merged_directory),
	SCENARIO(test_twins),
	SCENARIO(test_hard_link),
	SCENARIO(test_traces_are_bounded),
};

int main(void)
{
	return scenarios_run(scenarios,
			     sizeof(scenarios) / sizeof(*scenarios));
}
