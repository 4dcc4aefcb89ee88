/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is read from a row that nothing writes yet, or seldom: contents that
 * were settled automatically, homes, ties. As other nodes read it, from its
 * bytes, and with its versions in any order.
 */
#include "tree_support.h"

#include "fs/tree/info.h"

/* origins 1 and 2 are people, 8 and 9 settle by themselves */
static struct version content(uint64_t origin, uint64_t seq, const char *text)
{
	struct dot d = { origin, seq };
	struct version v = { .dot = d, .hlc = seq << 16, .reg = REG_CONTENT };

	content_inline(SLICE_STR(text), &v.content.content);
	v.content.rank = (struct stamp){ seq << 16, d, 0 };
	v.content.branch = d;
	v.content.branch_hlc = v.hlc;
	v.content.label = v.content.author = SLICE_STR("anna");
	return v;
}

static struct version automatic(uint64_t origin, uint64_t seq,
				const char *text, struct dot *leaves,
				size_t count)
{
	struct version v = content(origin, seq, text);

	v.flags = VERSION_AUTO;
	v.content.leaves = leaves;
	v.content.leaves_count = count;
	return v;
}

struct reading {
	struct object o;
	struct info i;
};

static void reading_end(struct reading *r)
{
	info_release(&r->i);
	object_release(&r->o);
}

/* The row of these versions, rotated by `turn`, through its bytes. */
static void read_row(struct reading *r, const struct version *v, size_t count,
		     size_t turn)
{
	struct version kind = { .dot = { 1, 1 }, .reg = REG_KIND };
	struct buf bytes = BUF_INIT, again = BUF_INIT;
	struct object o;

	object_init(&o, (struct objid){ { 1 } });
	kind.kind.kind = KIND_FILE;
	assert_int_equal(object_add_copy(&o, &kind), 0);
	for (size_t k = 0; k < count; k++)
		assert_int_equal(object_add_copy(&o, &v[(k + turn) % count]),
				 0);
	assert_int_equal(object_encode(&o, &bytes), 0);
	object_init(&r->o, o.id);
	assert_int_equal(object_decode(buf_slice(&bytes), &r->o), 0);
	assert_int_equal(object_encode(&r->o, &again), 0);
	assert_true(slice_equal(buf_slice(&bytes), buf_slice(&again)));
	assert_int_equal(info_init(&r->i, &r->o), 0);
	object_release(&o);
	buf_release(&bytes);
	buf_release(&again);
}

/* The branches that are shown, main first. */
static void expect_branches(const struct version *v, size_t count,
			    const char *first, const char *second)
{
	for (size_t turn = 0; turn < count; turn++) {
		const char *want[] = { first, second };
		struct reading r;

		read_row(&r, v, count, turn);
		assert_int_equal(r.i.branch_count, second ? 2 : 1);
		for (size_t k = 0; k < r.i.branch_count; k++)
			assert_true(slice_equal(
				r.i.branches[k].top->content.content
					.inline_bytes, SLICE_STR(want[k])));
		reading_end(&r);
	}
}

/* What settles more people's versions hides what settles fewer of them, and
 * who writes over it writes over both. */
static void test_automatic_hides_automatic(void **state)
{
	struct dot leaves[] = { { 1, 5 }, { 2, 5 }, { 3, 5 } };
	struct version v[] = {
		automatic(8, 9, "of two", leaves, 2),
		automatic(9, 7, "of three", leaves, 3),
	};
	struct reading r;

	(void)state;
	expect_branches(v, 2, "of three", NULL);
	read_row(&r, v, 2, 0);
	assert_int_equal(r.i.branches[0].count, 2);
	reading_end(&r);
	/* ... though it is the older one, and whichever is first. */
	v[0].content.rank.hlc = v[1].content.rank.hlc + 1;
	expect_branches(v, 2, "of three", NULL);
	/* Three in a row: the last one is shown. */
	{
		struct version w[] = { v[0], v[1],
				       automatic(1, 8, "of one", leaves, 1) };

		expect_branches(w, 3, "of three", NULL);
		read_row(&r, w, 3, 0);
		assert_int_equal(r.i.branches[0].count, 3);
		reading_end(&r);
	}
}

/* Two nodes that settled the same differently agree on one of them, by its
 * bytes; with equal bytes there is one. */
static void test_automatic_tie(void **state)
{
	struct dot leaves[] = { { 1, 5 }, { 2, 5 } };
	struct version x = automatic(8, 9, "x", leaves, 2);
	struct version y = automatic(9, 7, "y", leaves, 2);
	struct version v[] = { x, y };
	bool x_wins = content_compare(&x.content.content,
				      &y.content.content) > 0;

	(void)state;
	expect_branches(v, 2, x_wins ? "x" : "y", NULL);
	v[1] = automatic(9, 7, "x", leaves, 2);
	expect_branches(v, 2, "x", NULL);
}

/* Each settled what the other did not have: people decide, or the next
 * round; and a person's version is under nobody's. */
static void test_automatic_beside_others(void **state)
{
	struct dot left[] = { { 1, 5 }, { 2, 5 } };
	struct dot right[] = { { 2, 5 }, { 3, 5 } };
	struct version v[] = { automatic(8, 9, "x", left, 2),
			       automatic(9, 7, "y", right, 2) };
	struct version w[] = { automatic(8, 9, "x", left, 2),
			       content(1, 5, "by hand") };

	(void)state;
	expect_branches(v, 2, "x", "y");
	expect_branches(w, 2, "x", "by hand");
	w[0].content.rank.hlc = 1;
	expect_branches(w, 2, "by hand", "x");
}

/* Several groups with one branch: the first has its name, the others their
 * own, and no two the same. */
static void test_one_branch_many_groups(void **state)
{
	struct version v[] = { content(1, 5, "a"), content(2, 6, "b"),
			       content(2, 7, "c"), content(2, 8, "d") };

	(void)state;
	for (size_t k = 0; k < 4; k++) {
		v[k].content.branch = (struct dot){ 2, 6 };
		v[k].content.rank = (struct stamp){ 9, { 1, 1 }, 0 };
	}
	for (size_t turn = 0; turn < 4; turn++) {
		struct reading r;

		read_row(&r, v, 4, turn);
		assert_int_equal(r.i.branch_count, 4);
		assert_int_equal(r.i.branches[0].tag.origin, 2);
		assert_int_equal(r.i.branches[0].tag.seq, 6);
		for (size_t k = 0; k < 4; k++)
			for (size_t n = 0; n < k; n++)
				assert_false(dot_equal(r.i.branches[k].tag,
						       r.i.branches[n].tag));
		reading_end(&r);
	}
}

/* A removal has no name: what is shown beside it keeps its own, also if it
 * follows the removal. */
static void test_void_takes_no_name(void **state)
{
	struct version v[] = { content(1, 5, "main"), content(1, 6, ""),
			       content(2, 7, "saved") };

	(void)state;
	v[1].flags = VERSION_VOID;
	v[1].content.content = (struct content){ 0 };
	for (int32_t k = 0; k < 3; k++)
		v[k].content.rank = (struct stamp){ 9, { 1, 1 }, -k };
	v[2].content.branch = v[1].content.branch;
	for (size_t turn = 0; turn < 3; turn++) {
		struct reading r;

		read_row(&r, v, 3, turn);
		assert_int_equal(r.i.branch_count, 3);
		assert_true(r.i.branches[1].is_void);
		assert_true(dot_equal(r.i.branches[2].tag,
				      v[2].content.branch));
		assert_false(dot_equal(r.i.branches[1].tag,
				       r.i.branches[2].tag));
		reading_end(&r);
	}
}

/* The greatest epoch, whatever the clocks say; of one epoch the greatest
 * key. */
static void test_home(void **state)
{
	struct version v[3];

	(void)state;
	for (uint8_t k = 0; k < 3; k++) {
		v[k] = (struct version){ .dot = { 1 + k, 5 }, .reg = REG_HOME };
		v[k].hlc = (uint64_t)(9 - k) << 16;
		v[k].home.device = (struct device){ { k } };
		v[k].home.mode = HOME_SOFT;
		v[k].home.epoch = k ? 8 : 7;
	}
	for (size_t turn = 0; turn < 3; turn++) {
		struct reading r;

		read_row(&r, v, 3, turn);
		assert_non_null(r.i.home);
		assert_int_equal(r.i.home->home.device.b[0], 1);
		reading_end(&r);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_automatic_hides_automatic),
		cmocka_unit_test(test_automatic_tie),
		cmocka_unit_test(test_automatic_beside_others),
		cmocka_unit_test(test_one_branch_many_groups),
		cmocka_unit_test(test_void_takes_no_name),
		cmocka_unit_test(test_home),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
