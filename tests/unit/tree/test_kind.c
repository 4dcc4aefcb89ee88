/* SPDX-License-Identifier: Apache-2.0 */
/* FIFOs, sockets and device nodes: on one node, and on others. */
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "fs/tree/info.h"
#include "nodes_support.h"

static struct fixture *const a = &nodes[0], *const b = &nodes[1];

static const struct {
	const char *name;
	enum kind kind;
	uint32_t type;
	unsigned int major, minor;
} specials[] = {
	{ "block", KIND_BLOCK, S_IFBLK, 259, 70000 },
	{ "char", KIND_CHAR, S_IFCHR, 4095, 1048575 },
	{ "fifo", KIND_FIFO, S_IFIFO, 0, 0 },
	{ "socket", KIND_SOCKET, S_IFSOCK, 0, 0 },
};

static dev_t number_of(size_t k)
{
	return makedev(specials[k].major, specials[k].minor);
}

static uint64_t make(struct fixture *f, const char *name, enum kind kind,
		     dev_t rdev)
{
	struct tree_new n = { .kind = kind, .perm = 0640, .rdev = rdev };
	struct entry e;

	assert_int_equal(tree_create(f->tree, ROOT, SLICE_STR(name), &n,
				     false, &e), 0);
	return e.attr.ino;
}

static int see(void *arg, const struct tree_dirent *d)
{
	size_t *n = arg;

	for (size_t k = 0; k < ARRAY_SIZE(specials); k++)
		if (slice_equal(d->name, SLICE_STR(specials[k].name))) {
			assert_int_equal(d->type, specials[k].type);
			++*n;
		}
	return 0;
}

static void expect_all(struct fixture *f)
{
	struct attr attr;
	size_t n = 0;

	for (size_t k = 0; k < ARRAY_SIZE(specials); k++) {
		assert_int_equal(tree_getattr(f->tree,
					      look(f, ROOT, specials[k].name),
					      &attr), 0);
		assert_int_equal(attr.mode, specials[k].type | 0640);
		assert_int_equal(attr.rdev, number_of(k));
		assert_int_equal(attr.size, 0);
		assert_int_equal(attr.blocks, 0);
		assert_int_equal(attr.nlink, 1);
	}
	assert_int_equal(tree_readdir(f->tree, ROOT, 0, see, &n), 0);
	assert_int_equal(n, ARRAY_SIZE(specials));
	check_tree(f);
}

static void test_all(void)
{
	for (size_t k = 0; k < ARRAY_SIZE(specials); k++)
		make(a, specials[k].name, specials[k].kind, number_of(k));
	expect_all(a);
	fixture_crash(a);
	expect_all(a);
	sync_all();
	expect_all(b);
	/* A mode and a name change as those of files do. */
	assert_int_equal(tree_rename(b->tree, ROOT, SLICE_STR("fifo"), ROOT,
				     SLICE_STR("pipe"), 0), 0);
	sync_all();
	assert_int_equal(look_error(a, ROOT, "fifo"), -ENOENT);
	look(a, ROOT, "pipe");
	check_tree(a);
}

static void test_no_data(void)
{
	struct tree_setattr cut = { .set = TREE_SET_SIZE, .size = 1 };
	uint64_t ino = make(a, "fifo", KIND_FIFO, 0);
	cleanup(buf_release) struct buf target = BUF_INIT;
	struct attr attr;

	assert_int_equal(tree_write(a->tree, ino, 0, SLICE_STR("x"), false),
			 -EINVAL);
	assert_int_equal(tree_setattr(a->tree, ino, &cut, &attr), -EINVAL);
	assert_int_equal(tree_readlink(a->tree, ino, &target), -EINVAL);
	check_tree(a);
}

/* The same device made on two nodes is one name; another one is not. */
static void test_made_on_both(void)
{
	sync_all();
	make(a, "null", KIND_CHAR, makedev(1, 3));
	make(b, "null", KIND_CHAR, makedev(1, 3));
	make(a, "x", KIND_CHAR, makedev(1, 3));
	make(b, "x", KIND_BLOCK, makedev(1, 3));
	make(a, "y", KIND_CHAR, makedev(1, 3));
	make(b, "y", KIND_CHAR, makedev(1, 5));
	sync_all();
	assert_int_equal(entries(a), 5);
	check_tree(a);
	check_tree(b);
}

static void test_removed(void)
{
	make(a, "char", KIND_CHAR, makedev(1, 3));
	sync_all();
	rm(a, ROOT, "char");
	sync_all();
	assert_int_equal(look_error(b, ROOT, "char"), -ENOENT);
	check_tree(b);
}

static void test_types(void)
{
	uint8_t bytes[DEVICE_CONTENT_BYTES];
	struct content c;

	for (enum kind k = KIND_FILE; k <= KIND_LAST; k++)
		assert_int_equal(kind_of_type(kind_type(k)), k);
	assert_int_equal(kind_of_type(0), 0);
	device_content(makedev(0x123, 0x45678), bytes);
	content_inline(SLICE(bytes, sizeof(bytes)), &c);
	assert_int_equal(device_number(&c), makedev(0x123, 0x45678));
	/* From elsewhere a device may come with anything. */
	content_inline(SLICE(bytes, 7), &c);
	assert_int_equal(device_number(&c), 0);
	content_empty(&c);
	assert_int_equal(device_number(&c), 0);
}

static const struct scenario scenarios[] = {
	SCENARIO(test_all), SCENARIO(test_no_data),
	SCENARIO(test_made_on_both), SCENARIO(test_removed),
	SCENARIO(test_types),
};

int main(void)
{
	return scenarios_run(scenarios, ARRAY_SIZE(scenarios));
}
