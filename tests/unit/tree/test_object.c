/* SPDX-License-Identifier: Apache-2.0 */
/* Rows: the bytes, and what is no row. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "tree_support.h"

static struct dot dot_of(uint64_t origin, uint64_t seq)
{
	return (struct dot){ origin, seq };
}

static void add(struct object *o, const struct version *v)
{
	assert_int_equal(object_add_copy(o, v), 0);
}

/* One file with every register, and one that this version does not know. */
static void make_object(struct object *o)
{
	struct dot d1 = dot_of(0x1111, 5), d2 = dot_of(0x2222, 300);
	struct entry_name anc = { 7, { 0x1111, 4 }, 99 };
	struct entry_name seen = { 8, { 0x3333, 1 }, 98 };
	struct dot leaves[] = { { 0x1111, 4 }, { 0x3333, 1 } };
	struct dot far = { 0x1111, 3 };
	struct version v;

	object_init(o, (struct objid){ { 1 } });
	v = (struct version){ .dot = d1, .hlc = 0x10000, .reg = REG_KIND };
	v.kind.kind = KIND_FILE;
	add(o, &v);
	v = (struct version){ .dot = d1, .hlc = 0x10000, .reg = REG_LINK };
	v.link.slot = 42;
	v.link.at = (struct place){ { { 2 } }, SLICE_STR("name") };
	v.link.since = (struct stamp){ 0x10000, d1, 0 };
	v.link.label = SLICE_STR("anna");
	v.link.prev[0] = (struct place){ { { 3 } }, SLICE_STR("old") };
	v.link.prev_count = 1;
	add(o, &v);
	v.dot = d2;
	v.hlc = 0x20000;
	v.flags = VERSION_WEAK;
	add(o, &v);
	v = (struct version){ .dot = d1, .hlc = 0x10000, .reg = REG_MODE };
	v.mode.perm = 0644;
	add(o, &v);
	v = (struct version){ .dot = d1, .hlc = 0x10000, .reg = REG_OWNER };
	v.owner.user = SLICE_STR("u");
	v.owner.group = SLICE_STR("g");
	add(o, &v);
	v = (struct version){ .dot = d1, .hlc = 0x10000, .reg = REG_TIMES };
	v.times.mtime = (struct timespec){ -1, 5 };
	v.times.btime = (struct timespec){ 2, 999999999 };
	add(o, &v);
	v = (struct version){ .dot = d2, .hlc = 0x20000, .reg = REG_CONTENT };
	content_inline(SLICE_STR("hi"), &v.content.content);
	v.content.mtime = (struct timespec){ 3, 4 };
	v.content.rank = (struct stamp){ 0x10000, d1, -1 };
	v.content.branch = d1;
	v.content.branch_hlc = 0x10000;
	v.content.label = SLICE_STR("anna");
	v.content.author = SLICE_STR("ben");
	v.content.anc = &anc;
	v.content.anc_count = 1;
	v.content.seen = &seen;
	v.content.seen_count = 1;
	v.flags = VERSION_AUTO;
	v.content.leaves = leaves;
	v.content.leaves_count = 2;
	v.content.far = &far;
	v.content.far_count = 1;
	v.first_origin = 0x1234;
	add(o, &v);
	v = (struct version){ .dot = d2, .hlc = 0x20000, .reg = REG_TOMB };
	v.tomb.link = (struct link_value){
		.slot = 7,
		.at = { { { 4 } }, SLICE_STR("t") },
		.prev = { { { { 6 } }, SLICE_STR("was") } },
		.prev_count = 1,
		.since = { 0x10000, d1, -1 },
		.label = SLICE_STR("anna"),
	};
	v.tomb.run = 0x1fff0;
	add(o, &v);
	v = (struct version){ .dot = d2, .hlc = 0x20000, .reg = REG_XATTR };
	v.xattr.name = SLICE_STR("user.b");
	v.xattr.value = SLICE_STR("beta");
	add(o, &v);
	v.xattr.name = SLICE_STR("user.a");
	v.xattr.value = SLICE_STR("");
	v.xattr.removed = true;
	add(o, &v);
	v = (struct version){ .dot = d2, .hlc = 0x20000, .reg = REG_HOME };
	v.home.device = (struct device){ { 5 } };
	v.home.epoch = 300;
	v.home.mode = HOME_SOFT;
	add(o, &v);
	v = (struct version){ .dot = d2, .hlc = 0x20000, .reg = 200,
			      .flags = 9 };
	v.opaque = SLICE_STR("later");
	add(o, &v);
}

static void test_golden(void **state)
{
	struct buf golden = BUF_INIT, bytes = BUF_INIT, again = BUF_INIT;
	struct object o, back;

	(void)state;
	read_golden("row-file.hex", &golden);
	make_object(&o);
	assert_int_equal(object_encode(&o, &bytes), 0);
	assert_int_equal(bytes.len, golden.len);
	assert_memory_equal(bytes.data, golden.data, golden.len);
	object_init(&back, o.id);
	assert_int_equal(object_decode(buf_slice(&golden), &back), 0);
	assert_int_equal(back.count, o.count);
	assert_int_equal(object_encode(&back, &again), 0);
	assert_true(slice_equal(buf_slice(&again), buf_slice(&golden)));
	object_release(&o);
	object_release(&back);
	buf_release(&golden);
	buf_release(&bytes);
	buf_release(&again);
}

/* A first origin that says nothing is refused: one set, one encoding. */
static void test_first_origin(void **state)
{
	struct version v = { .dot = { 0x1122334455667788, 7 }, .hlc = 9,
			     .reg = REG_CONTENT, .flags = VERSION_VOID,
			     .first_origin = 0x99aabbccddeeff01 };
	uint8_t origin[8];
	struct buf b = BUF_INIT;
	struct object o, back;
	uint8_t *at;

	(void)state;
	v.content.rank = (struct stamp){ v.hlc, v.dot, 0 };
	v.content.branch = v.dot;
	v.content.branch_hlc = v.hlc;
	v.content.label = v.content.author = SLICE_STR("anna");
	object_init(&o, (struct objid){ { 1 } });
	object_init(&back, o.id);
	add(&o, &v);
	assert_int_equal(object_encode(&o, &b), 0);
	assert_int_equal(object_decode(buf_slice(&b), &back), 0);
	assert_int_equal(back.versions[0].first_origin, v.first_origin);
	assert_int_equal(back.versions[0].flags, VERSION_VOID);
	assert_int_equal(version_entry_name(&back.versions[0]).dot.origin,
			 v.first_origin);
	put_le64(origin, v.first_origin);
	at = memmem(b.data, b.len, origin, 8);
	assert_non_null(at);
	put_le64(at, 0);
	assert_int_equal(object_decode(buf_slice(&b), &back), -EBADMSG);
	put_le64(at, v.dot.origin);
	assert_int_equal(object_decode(buf_slice(&b), &back), -EBADMSG);
	put_le64(at, 1);
	assert_int_equal(object_decode(buf_slice(&b), &back), 0);
	object_release(&o);
	object_release(&back);
	buf_release(&b);
}

/* What is not known is kept; what is no register is not. */
static void test_registers(void **state)
{
	struct version v = { .dot = { 5, 7 }, .hlc = 9, .reg = 11 };
	struct buf b = BUF_INIT;
	struct object o, back;
	uint8_t *at;

	(void)state;
	object_init(&o, (struct objid){ { 1 } });
	object_init(&back, o.id);
	v.opaque = SLICE_STR("later");
	add(&o, &v);
	assert_int_equal(object_encode(&o, &b), 0);
	assert_int_equal(object_decode(buf_slice(&b), &back), 0);
	at = memmem(b.data, b.len, "\x0b\0\x05later", 8);
	assert_non_null(at);
	*at = 9;
	assert_int_equal(object_decode(buf_slice(&b), &back), -EBADMSG);
	*at = 0;
	assert_int_equal(object_decode(buf_slice(&b), &back), -EBADMSG);
	object_release(&o);
	object_release(&back);
	buf_release(&b);
}

static void test_order_does_not_matter(void **state)
{
	struct buf one = BUF_INIT, two = BUF_INIT;
	struct object o;

	(void)state;
	make_object(&o);
	assert_int_equal(object_encode(&o, &one), 0);
	for (size_t k = 0; k < o.count / 2; k++) {
		struct version v = o.versions[k];

		o.versions[k] = o.versions[o.count - 1 - k];
		o.versions[o.count - 1 - k] = v;
	}
	assert_int_equal(object_encode(&o, &two), 0);
	assert_true(slice_equal(buf_slice(&one), buf_slice(&two)));
	object_release(&o);
	buf_release(&one);
	buf_release(&two);
}

/* Whatever the bytes: an error, or a row that encodes to those very bytes. */
static void try_bytes(struct slice bytes)
{
	struct buf again = BUF_INIT;
	struct object o;

	object_init(&o, ROOT_ID);
	if (!object_decode(bytes, &o)) {
		struct info i;

		assert_int_equal(object_encode(&o, &again), 0);
		assert_true(slice_equal(buf_slice(&again), bytes));
		assert_int_equal(info_init(&i, &o), 0);
		info_release(&i);
	}
	object_release(&o);
	buf_release(&again);
}

static void test_garbage(void **state)
{
	struct buf golden = BUF_INIT;
	uint8_t bytes[512];
	uint64_t seed = 1;

	(void)state;
	read_golden("row-file.hex", &golden);
	assert_true(golden.len < sizeof(bytes));
	for (size_t n = 0; n < golden.len; n++) {
		struct object o;

		object_init(&o, ROOT_ID);
		assert_int_equal(object_decode(SLICE(golden.data, n), &o),
				 -EBADMSG);
		object_release(&o);
	}
	for (int k = 0; k < 100000; k++) {
		memcpy(bytes, golden.data, golden.len);
		for (int m = 0; m <= k % 3; m++) {
			seed = seed * 6364136223846793005u + 1;
			bytes[(seed >> 33) % golden.len] =
				(uint8_t)(seed >> 20);
		}
		try_bytes(SLICE(bytes, golden.len));
	}
	buf_release(&golden);
}

/* A set of leaves has one encoding; there are no more far ones than two. */
static void test_leaves_and_far(void **state)
{
	struct dot dots[] = { { 5, 1 }, { 5, 2 }, { 6, 1 } };
	struct version v = { .dot = { 9, 7 }, .hlc = 9, .reg = REG_CONTENT,
			     .flags = VERSION_VOID | VERSION_AUTO };

	(void)state;
	v.content.rank = (struct stamp){ v.hlc, v.dot, 0 };
	v.content.branch = v.dot;
	v.content.branch_hlc = v.hlc;
	v.content.label = v.content.author = SLICE_STR("anna");
	for (int bad = 0; bad < 4; bad++) {
		struct buf b = BUF_INIT;
		struct object o, back;

		v.content.leaves = v.content.far = dots;
		v.content.leaves_count = 3;
		v.content.far_count = bad == 1 ? 3 : 2;
		dots[1].seq = bad == 2 ? 1 : 2;	/* twice */
		dots[2].origin = bad == 3 ? 4 : 6; /* out of order */
		object_init(&o, (struct objid){ { 1 } });
		object_init(&back, o.id);
		add(&o, &v);
		assert_int_equal(object_encode(&o, &b), 0);
		assert_int_equal(object_decode(buf_slice(&b), &back),
				 bad ? -EBADMSG : 0);
		if (!bad) {
			const struct content_value *c =
				&back.versions[0].content;

			assert_int_equal(c->leaves_count, 3);
			assert_int_equal(c->far_count, 2);
			assert_true(dot_equal(c->far[1], dots[1]));
		}
		object_release(&o);
		object_release(&back);
		buf_release(&b);
	}
}

static void test_names(void **state)
{
	(void)state;
	assert_true(name_is_valid(SLICE_STR("a")));
	assert_true(name_is_valid(SLICE_STR("...")));
	assert_false(name_is_valid(SLICE_STR("")));
	assert_false(name_is_valid(SLICE_STR(".")));
	assert_false(name_is_valid(SLICE_STR("..")));
	assert_false(name_is_valid(SLICE_STR("a/b")));
	assert_false(name_is_valid(SLICE("a\0b", 3)));
	assert_true(label_is_valid(SLICE_STR("a-B_9.x")));
	assert_false(label_is_valid(SLICE_STR("a b")));
	assert_false(label_is_valid(SLICE_STR("")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_golden),
		cmocka_unit_test(test_registers),
		cmocka_unit_test(test_first_origin),
		cmocka_unit_test(test_order_does_not_matter),
		cmocka_unit_test(test_leaves_and_far),
		cmocka_unit_test(test_garbage),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
