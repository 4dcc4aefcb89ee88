/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a full stream does not mention, and all of which is news to its
 * sender. If its KIND is a re-stamp, the sender may have known the object,
 * and have given up versions of it that others still hold: they hear so by a
 * dot of this node's. What was made here, and never was there, stays as it
 * is.
 */
#include "fs/tree/repair.h"
#include "nodes_support.h"

static struct fixture *const a = &nodes[0], *const b = &nodes[1];

static int not_mentioned(void *arg, struct objid id)
{
	(void)arg;
	(void)id;
	return 0;
}

/* A full stream of somebody who knows nothing, in slices of one row. */
static void absence(void)
{
	static const struct know nothing = {NULL, 0, 0};
	struct replica_absence s = {.theirs = &nothing,
				    .mentioned = not_mentioned};
	int slices = 0, r = 0;

	store_lock(a->store);
	while (r == 0) {
		size_t looked;

		assert_true(slices++ < 100);
		assert_int_equal(replica_begin(a->tree), 0);
		if (slices == 1)
			assert_int_equal(replica_absence_begin(a->tree, &s), 0);
		r = replica_absence(a->tree, &s, 1, &looked);
		assert_int_equal(replica_end(a->tree, MIN_OF(r, 0)), 0);
	}
	store_unlock(a->store);
	assert_int_equal(r, 1);
}

/* All versions go on under new dots. */
static void renew_at(struct fixture *f, const char *path)
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

static void renew_all(const char *path)
{
	renew_at(a, path);
}

static size_t kept(const char *path, const struct object *before,
		   enum reg *ret_other)
{
	struct object now;
	size_t n = 0;

	row_at(a, path, &now);
	assert_int_equal(now.count, before->count);
	for (size_t k = 0; k < before->count; k++) {
		if (object_find(&now, &before->versions[k]) >= 0)
			n++;
		else
			*ret_other = before->versions[k].reg;
	}
	object_release(&now);
	return n;
}

static void test_all_news(void)
{
	struct object old, new;
	enum reg other = 0;

	make_file(a, ROOT, "old", "x");
	make_file(a, ROOT, "new", "y");
	renew_all("old");
	for (int k = 0; k < 2; k++) {
		row_at(a, "old", &old);
		row_at(a, "new", &new);
		absence();
		assert_int_equal(kept("old", &old, &other), old.count - 1);
		assert_int_equal(other, REG_KIND);
		assert_int_equal(kept("new", &new, &other), new.count);
		object_release(&old);
		object_release(&new);
	}
	expect_file(a, "old", "x");
	expect_file(a, "new", "y");
}

/* So it is if it is dead. */
static void test_dead(void)
{
	struct object old, now;
	struct replica_graves g;

	make_file(a, ROOT, "old", "x");
	renew_all("old");
	row_at(a, "old", &old);
	rm(a, ROOT, "old");
	absence();
	object_init(&now, old.id);
	store_lock(a->store);
	assert_int_equal(replica_row_load(a->tree, old.id, &now), 0);
	assert_int_equal(replica_graves(a->tree, &g), 0);
	store_unlock(a->store);
	assert_int_equal(g.dead, 1);
	assert_true(object_has(&now, REG_TOMB));
	for (size_t k = 0; k < old.count; k++)
		if (old.versions[k].reg == REG_KIND)
			assert_true(object_find(&now, &old.versions[k]) < 0);
	object_release(&now);
	object_release(&old);
}

static size_t kinds(const char *path)
{
	struct object row;
	size_t n = 0;

	row_at(a, path, &row);
	for (size_t k = 0; k < row.count; k++)
		n += row.versions[k].reg == REG_KIND;
	object_release(&row);
	return n;
}

/* Two wrote it again at the same time: that does not add up. */
static void test_two_kinds(void)
{
	make_file(a, ROOT, "old", "x");
	sync_all();
	renew_at(a, "old");
	renew_at(b, "old");
	sync_all();
	assert_int_equal(kinds("old"), 2);
	absence();
	assert_int_equal(kinds("old"), 1);
	sync_all();
	assert_int_equal(kinds("old"), 1);
}

int main(void)
{
	static const struct scenario all[] = {
		SCENARIO(test_all_news), SCENARIO(test_dead),
		SCENARIO(test_two_kinds),
	};

	return scenarios_run(all, ARRAY_SIZE(all));
}
