/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The union of two rows shows what was shown. One side has lost the object:
 * each version of the other is re-stamped.
 */
#include "fs/tree/repair.h"
#include "nodes_support.h"

static struct fixture *const a = &nodes[0], *const b = &nodes[1],
		      *const c = &nodes[2];

/* As one that knows the object, and has nothing of it any more. */
static void union_with_nothing(struct fixture *f, const char *path)
{
	struct object row, nothing;

	row_at(f, path, &row);
	object_init(&nothing, row.id);
	store_lock(f->store);
	assert_true(replica_union(f->tree, &nothing) > 0);
	store_unlock(f->store);
	object_release(&nothing);
	object_release(&row);
}

/*
 * One node undoes all it wrote, step by step, so that what it started from
 * is the oldest ancestor that a content which stands alone remembers; the
 * other node goes on from there. The undone content is hidden, and stays so
 * when both are re-stamped, whichever is the first.
 */
static void undone_stays_hidden(struct fixture *undoes, struct fixture *goes_on)
{
	static const char *const texts[] = {"one", "two", "three", "base"};

	make_file(a, ROOT, "f", "base");
	sync_all();
	for (size_t k = 0; k < ARRAY_SIZE(texts); k++)
		write_name(undoes, "f", texts[k]);
	write_name(goes_on, "f", "more");
	sync_all();
	expect_file(c, "f", "more");
	assert_int_equal(entries(c), 1);
	union_with_nothing(c, "f");
	sync_all();
	for (int k = 0; k < 3; k++) {
		expect_file(&nodes[k], "f", "more");
		assert_int_equal(entries(&nodes[k]), 1);
	}
}

static void test_undone_by_first(void)
{
	undone_stays_hidden(a, b);
}

static void test_undone_by_second(void)
{
	undone_stays_hidden(b, a);
}

/*
 * alice takes bob's sibling for main, writes on, and ends with main's text
 * as it was; bob, who had seen his sibling, edits main. Both are shown, for
 * what alice wrote comes from what bob saw and left beside: her oldest
 * ancestor, which she still knows when she is re-stamped.
 */
static void settled_stays_shown(int saves)
{
	char name[256], names[3][256];

	make_file(a, ROOT, "f", "base");
	sync_all();
	write_name(b, "f", "bob's");
	later(c, b);
	write_name(c, "f", "carol's");
	later(a, c);
	write_name(a, "f", "alice's");
	sync_all();
	write_name(a, "f", "main");
	sync_all();
	assert_int_equal(entries(a), 3);
	name_with(a, ROOT, "conflict bob", name);
	mv(a, ROOT, name, ROOT, "f");
	for (int k = 0; k < saves; k++)
		write_name(a, "f", k % 2 ? "odd" : "even");
	write_name(a, "f", "main");
	later(b, a);
	write_name(b, "f", "more");
	sync_all();
	assert_int_equal(entries(a), 3);
	/* (twice: it is re-stamped anew) */
	for (int k = 0; k < 2; k++) {
		union_with_nothing(c, "f");
		sync_all();
		assert_int_equal(entries(a), 3);
	}
	assert_int_equal(list(a, ROOT, names, 3), 3);
	for (int k = 0; k < 3; k++)
		rm(a, ROOT, names[k]);
	sync_all();
}

static void test_settled_stays_shown(void)
{
	/* One more, and she forgets by herself. */
	for (int saves = 0; saves <= 4; saves++)
		settled_stays_shown(saves);
}

/*
 * Each version of a file is alice's own, and newer than what anybody was
 * sent: she wrote them again. She has not made it, and what removes it leaves
 * a trace.
 */
static void test_written_again_is_not_new(void)
{
	make_file(b, ROOT, "f", "text");
	sync_all();
	union_with_nothing(a, "f");
	rm(a, ROOT, "f");
	sync_all();
	for (int k = 0; k < 3; k++)
		assert_int_equal(entries(&nodes[k]), 0);
}

int main(void)
{
	static const struct scenario all[] = {
		SCENARIO(test_undone_by_first),
		SCENARIO(test_undone_by_second),
		SCENARIO(test_settled_stays_shown),
		SCENARIO(test_written_again_is_not_new),
	};

	return scenarios_run(all, ARRAY_SIZE(all));
}
