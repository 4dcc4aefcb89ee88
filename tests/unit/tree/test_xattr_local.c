/* SPDX-License-Identifier: Apache-2.0 */
/* Extended attributes that stay on their node. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "fs/store/store_internal.h"
#include "nodes_support.h"

static struct fixture *const a = &nodes[0], *const b = &nodes[1];

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

/* value NULL: there is none. */
static void expect(struct fixture *f, const char *file, const char *name,
		   const char *value)
{
	cleanup(buf_release) struct buf got = BUF_INIT;
	int r = tree_getxattr(f->tree, look(f, ROOT, file), SLICE_STR(name),
			      &got);

	assert_int_equal(r, value ? 0 : -ENODATA);
	if (value)
		assert_true(slice_equal(buf_slice(&got), SLICE_STR(value)));
}

/* Names with ':' for NUL. */
static void expect_names(struct fixture *f, const char *file,
			 const char *names)
{
	cleanup(buf_release) struct buf got = BUF_INIT;

	assert_int_equal(tree_listxattr(f->tree, look(f, ROOT, file), &got),
			 0);
	for (size_t k = 0; k < got.len; k++)
		if (!got.data[k])
			got.data[k] = ':';
	assert_true(slice_equal(buf_slice(&got), SLICE_STR(names)));
}

static void test_one_node(void)
{
	struct fixture *f = a;

	make_file(f, ROOT, "f", "f");
	expect(f, "f", "trusted.x", NULL);
	set(f, "f", "trusted.x", "1");
	set(f, "f", "security.b", "2");
	set(f, "f", "security.a", "");
	set(f, "f", "user.u", "3");
	expect(f, "f", "trusted.x", "1");
	expect(f, "f", "security.a", "");
	expect(f, "f", "security.c", NULL);
	expect_names(f, "f", "security.a:security.b:trusted.x:user.u:");
	assert_int_equal(set_error(f, "f", "trusted.x", "", 1), -EEXIST);
	assert_int_equal(set_error(f, "f", "trusted.y", "", 2), -ENODATA);
	set(f, "f", "trusted.x", "another");
	fixture_crash(f);
	expect(f, "f", "trusted.x", "another");
	expect(f, "f", "security.b", "2");
	assert_int_equal(tree_removexattr(f->tree, look(f, ROOT, "f"),
					  SLICE_STR("security.a")), 0);
	assert_int_equal(tree_removexattr(f->tree, look(f, ROOT, "f"),
					  SLICE_STR("security.a")), -ENODATA);
	mv(f, ROOT, "f", ROOT, "g");
	expect_names(f, "g", "security.b:trusted.x:user.u:");
	write_name(f, "g", "more");
	expect(f, "g", "trusted.x", "another");
	check_tree(f);
}

/* The first one of a node is refused; the next is not forgotten for it. */
static void test_first_refused(void)
{
	char big[1024];

	memset(big, 'b', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	make_file(a, ROOT, "f", "f");
	a->store->space.full = -ENOSPC;
	assert_int_equal(set_error(a, "f", "trusted.x", big, 0), -ENOSPC);
	a->store->space.full = 0;
	set(a, "f", "trusted.x", "1");
	fixture_crash(a);
	expect(a, "f", "trusted.x", "1");
	expect_names(a, "f", "trusted.x:");
}

static void test_limits(void)
{
	char *big = malloc(XATTR_BYTES_MAX + 2), name[32];
	int n = 0, r;

	make_file(a, ROOT, "f", "f");
	memset(big, 'b', XATTR_BYTES_MAX + 1);
	big[XATTR_BYTES_MAX + 1] = '\0';
	assert_int_equal(set_error(a, "f", "trusted.big", big, 0), -E2BIG);
	big[XATTR_BYTES_MAX / 2] = '\0';
	do {
		snprintf(name, sizeof(name), "trusted.%d", n++);
		r = set_error(a, "f", name, big, 0);
	} while (!r && n < 10);
	assert_int_equal(r, -ENOSPC);
	assert_int_equal(n, 4);
	free(big);
	check_tree(a);
}

static void test_stay(void)
{
	make_file(a, ROOT, "f", "f");
	set(a, "f", "trusted.x", "a's");
	sync_all();
	expect(b, "f", "trusted.x", NULL);
	set(b, "f", "trusted.x", "b's");
	write_name(b, "f", "edited");
	mv(b, ROOT, "f", ROOT, "g");
	sync_all();
	expect(a, "g", "trusted.x", "a's");
	expect(b, "g", "trusted.x", "b's");
	expect_file(a, "g", "edited");
	/* Nothing of it is a change to anybody. */
	set(a, "g", "trusted.y", "more");
	sync_all();
	expect_same(a, b);
	check_tree(a);
}

/* What was judged of one content says nothing of another's. */
static void test_capability(void)
{
	make_file(a, ROOT, "f", "f");
	sync_all();
	set(a, "f", "security.capability", "all");
	set(a, "f", "security.label", "x");
	write_name(b, "f", "other program");
	sync_all();
	expect_file(a, "f", "other program");
	expect(a, "f", "security.capability", NULL);
	expect(a, "f", "security.label", "x");
	/* A mode from elsewhere changes nothing of it. */
	set(a, "f", "security.capability", "all");
	assert_int_equal(set_error(b, "f", "user.u", "x", 0), 0);
	sync_all();
	expect(a, "f", "security.capability", "all");
}

/* A temporary that takes a file's place is that file now. */
static void test_saved_over(void)
{
	make_file(a, ROOT, "f", "old");
	sync_all();
	set(a, "f", "security.capability", "all");
	make_file(a, ROOT, "temp", "new");
	set(a, "temp", "trusted.x", "temp's");
	mv(a, ROOT, "temp", ROOT, "f");
	expect_file(a, "f", "new");
	expect_names(a, "f", "trusted.x:");
	sync_all();
	check_tree(a);
}

static const struct scenario scenarios[] = {
	SCENARIO(test_one_node),
	SCENARIO(test_first_refused),
	SCENARIO(test_limits),
	SCENARIO(test_stay),
	SCENARIO(test_capability),
	SCENARIO(test_saved_over),
};

int main(void)
{
	return scenarios_run(scenarios, ARRAY_SIZE(scenarios));
}
