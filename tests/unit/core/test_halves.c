/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two halves of a volume that gave each other up. What one of them purged
 * comes back to it from the other as re-stamps only, of which it knows none:
 * it says a word of its own, for in its own half somebody may hold more.
 */
#include "tests/unit/core/core_support.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/tree/repair.h"
#include "fs/tree/replica.h"
#include "replication/core/merge.h"
#include "tests/pairs/bare.h"

static struct bare a, b;
static char dir[] = "/tmp/kinfs-halves-XXXXXX";
static struct object row;
static struct buf bytes = BUF_INIT;

static int setup(void **state)
{
	(void)state;
	snprintf(dir, sizeof(dir), "/tmp/kinfs-halves-XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	bare_open(&a, 0, dir, 1, true);
	bare_open(&b, 1, dir, 1, false);
	bare_pull(&b, &a);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	object_release(&row);
	buf_reset(&bytes);
	bare_close(&a);
	bare_close(&b);
	return rmdir(dir);
}

static int take_id(void *arg, const struct replica_view_entry *e)
{
	if (e->path.len)
		*(struct objid *)arg = e->id;
	return 0;
}

/* A file of a's, as b will hear of it. */
static void make_file(bool renewed)
{
	struct tree_new new = {
		.kind = KIND_FILE,
		.perm = 0644,
		.user = SLICE_STR("user"),
		.group = SLICE_STR("user"),
	};
	struct object nothing;
	struct objid id;
	struct entry e;

	assert_int_equal(tree_create(a.tree, TREE_ROOT_INO, SLICE_STR("f"),
				     &new, false, &e), 0);
	assert_int_equal(replica_view(a.tree, take_id, &id), 0);
	store_lock(a.store);
	object_init(&row, id);
	assert_int_equal(replica_row_load(a.tree, id, &row), 0);
	if (renewed) {
		object_init(&nothing, row.id);
		assert_true(replica_union(a.tree, &nothing) > 0);
		object_release(&nothing);
		object_release(&row);
		object_init(&row, id);
		assert_int_equal(replica_row_load(a.tree, id, &row), 0);
	}
	store_unlock(a.store);
	assert_int_equal(object_encode(&row, &bytes), 0);
}

/* Returns how many versions b writes again. */
static int merge_into_b(bool halves)
{
	struct merge m;
	struct object now;
	int r, other = 0;

	store_lock(b.store);
	assert_int_equal(merge_init(&m, b.tree, replica_know(a.tree), 1), 0);
	m.halves = halves;
	assert_int_equal(replica_begin(b.tree), 0);
	r = merge_row(&m, row.id, buf_slice(&bytes));
	assert_true(r >= 0);
	if (r > 0)
		assert_int_equal(merge_restamp(&m, row.id, buf_slice(&bytes)),
				 0);
	assert_int_equal(replica_end(b.tree, 0), 0);
	object_init(&now, row.id);
	assert_int_equal(replica_row_load(b.tree, row.id, &now), 0);
	store_unlock(b.store);
	assert_int_equal(now.count, row.count);
	for (size_t k = 0; k < now.count; k++)
		if (object_find(&row, &now.versions[k]) < 0) {
			assert_int_equal(now.versions[k].reg, REG_KIND);
			assert_true(now.versions[k].flags & VERSION_RENEWED);
			other++;
		}
	object_release(&now);
	merge_release(&m);
	return other;
}

static void test_marked(void **state)
{
	(void)state;
	make_file(true);
	assert_int_equal(merge_into_b(true), 1);
}

/* It never was here. */
static void test_new_there(void **state)
{
	(void)state;
	make_file(false);
	assert_int_equal(merge_into_b(true), 0);
}

/* The sender knows all that was purged here. */
static void test_no_halves(void **state)
{
	(void)state;
	make_file(true);
	assert_int_equal(merge_into_b(false), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_marked, setup, teardown),
		cmocka_unit_test_setup_teardown(test_new_there, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_no_halves, setup,
						teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
