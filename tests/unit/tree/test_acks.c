/* SPDX-License-Identifier: Apache-2.0 */
/* Which nodes a fsync waits for: the value, and which directory's it is. */
#include "nodes_support.h"

#include <errno.h>
#include <stdio.h>

#include "fs/tree/acks.h"

static struct fixture *const a = &nodes[0], *const b = &nodes[1],
		       *const c = &nodes[2];

static void test_values(void)
{
	static const struct {
		const char *text;
		uint32_t count, timeout_s;
		size_t labels;
		bool fail;
	} good[] = {
		{ "1", 1, 30, 0, false },
		{ "0", 0, 30, 0, false },
		{ "65535", 65535, 30, 0, false },
		{ "2;timeout=0", 2, 0, 0, false },
		{ "2;timeout=3600;on-timeout=eio", 2, 3600, 0, true },
		{ "2;on-timeout=eio;on-timeout=ok", 2, 30, 0, false },
		{ "anna,b.2,c-d_e;on-timeout=ok", 0, 30, 3, false },
		{ "1a", 0, 30, 1, false },
	};
	static const char *const bad[] = {
		"", ";", ",", "1;", "65536", "99999999999999999999",
		" 1", "1,", ",1", "a,,b", "a b", "a;timeout", "1;timeout=",
		"1;timeout=3601", "1;timeout=-1", "1;timeout=1s",
		"1;on-timeout=", "1;on-timeout=EIO", "1;other=1", "1;timeout=1;",
		"a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q",
		"a-label-that-is-longer-than-32-bytes",
	};
	struct acks p;

	for (size_t k = 0; k < sizeof(good) / sizeof(*good); k++) {
		assert_int_equal(acks_parse(SLICE_STR(good[k].text), &p), 0);
		assert_int_equal(p.count, good[k].count);
		assert_int_equal(p.timeout_ms, 1000 * good[k].timeout_s);
		assert_int_equal(p.label_count, good[k].labels);
		assert_int_equal(p.fail, good[k].fail);
	}
	for (size_t k = 0; k < sizeof(bad) / sizeof(*bad); k++)
		if (acks_parse(SLICE_STR(bad[k]), &p) != -EINVAL)
			fail_msg("'%s' is a policy", bad[k]);
	assert_int_equal(acks_parse(SLICE_STR("anna,b.2"), &p), 0);
	assert_string_equal(p.labels[0], "anna");
	assert_string_equal(p.labels[1], "b.2");
}

static void set(struct fixture *f, uint64_t ino, const char *value)
{
	assert_int_equal(tree_setxattr(f->tree, ino, SLICE_STR(XATTR_ACKS),
				       SLICE_STR(value), 0), 0);
}

/* How many are asked for; -1: there is no policy. */
static int asks(struct fixture *f, uint64_t ino)
{
	struct acks p;
	int r = tree_acks(f->tree, ino, &p);

	assert_true(r >= 0);
	return r ? (int)p.count : -1;
}

/* The nearest directory above, where it is shown now, on all nodes. */
static void test_nearest(void)
{
	uint64_t d = make_dir(a, ROOT, "d"), e = make_dir(a, d, "e");
	uint64_t out = make_dir(a, ROOT, "out"), f = make_file(a, e, "f", "x");

	assert_int_equal(asks(a, f), -1);
	set(a, d, "3");
	assert_int_equal(asks(a, f), 3);
	assert_int_equal(asks(a, d), 3);
	assert_int_equal(asks(a, out), -1);
	set(a, e, "2");
	assert_int_equal(asks(a, f), 2);
	assert_int_equal(asks(a, d), 3);
	set(a, ROOT, "1");
	assert_int_equal(asks(a, out), 1);
	sync_all();
	assert_int_equal(asks(c, look(c, look(c, look(c, ROOT, "d"), "e"),
				      "f")), 2);
	/* It goes with the directory, and is another's below another. */
	mv(b, look(b, ROOT, "d"), "e", look(b, ROOT, "out"), "e");
	assert_int_equal(tree_removexattr(b->tree,
					  look(b, look(b, ROOT, "out"), "e"),
					  SLICE_STR(XATTR_ACKS)), 0);
	sync_all();
	assert_int_equal(asks(a, f), 1);
	set(c, ROOT, "0");
	sync_all();
	assert_int_equal(asks(a, f), -1);
	assert_int_equal(asks(a, d), 3);
	assert_int_equal(tree_removexattr(a->tree, ROOT,
					  SLICE_STR(XATTR_ACKS)), 0);
	assert_int_equal(asks(a, f), -1);
	assert_int_equal(asks(a, d), 3);
	fixture_crash(a);
	assert_int_equal(asks(a, d), 3);
}

/* Merged directories have one policy, the shown one's. */
static void test_of_merged(void)
{
	make_dir(a, ROOT, "-");
	sync_all();
	make_file(a, make_dir(a, ROOT, "d"), "of-a", "x");
	make_file(b, make_dir(b, ROOT, "d"), "of-b", "x");
	set(b, look(b, ROOT, "d"), "2");
	sync_all();
	for (int k = 0; k < 2; k++) {
		uint64_t d = look(c, ROOT, "d");

		if (k) {
			set(c, d, "4");
			sync_all();
		}
		assert_int_equal(asks(c, look(c, d, "of-a")), asks(c, d));
		assert_int_equal(asks(c, look(c, d, "of-b")), asks(c, d));
		d = look(a, ROOT, "d");
		assert_int_equal(asks(a, look(a, d, "of-b")),
				 asks(c, look(c, ROOT, "d")));
	}
	assert_int_equal(asks(c, look(c, ROOT, "d")), 4);
}

static const struct scenario scenarios[] = {
	SCENARIO(test_values),
	SCENARIO(test_nearest),
	SCENARIO(test_of_merged),
};

int main(void)
{
	return scenarios_run(scenarios,
			     sizeof(scenarios) / sizeof(*scenarios));
}
