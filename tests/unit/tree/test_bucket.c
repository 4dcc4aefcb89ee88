/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sums: what operations keep is what a count from the rows gives, also
 * after crashes and failed operations; equal states have equal sums,
 * whatever way they came about; what does not travel does not count.
 */
#include "tree_support.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "fs/tree/bucket.h"
#include "fs/tree/tree_internal.h"

static struct sum root_of(struct fixture *f)
{
	struct sum s;

	store_lock(f->store);
	s = bucket_root(f->tree);
	store_unlock(f->store);
	return s;
}

static void assert_sum(struct fixture *f, const struct sum *want, bool equal)
{
	struct sum s = root_of(f);

	assert_int_equal(sum_equal(&s, want), equal);
}

/* ---- arithmetic */

static void test_arithmetic(void **state)
{
	struct sum max = { { UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX },
			   1 };
	struct sum two = { { 2, 0, 0, 0 }, 1 }, s = max, back;
	struct buf b = BUF_INIT;
	struct reader r;

	(void)state;
	sum_add(&s, &two); /* over the end: 2^256 - 1 + 2 */
	assert_true(sum_equal(&s, &(struct sum){ { 1, 0, 0, 0 }, 2 }));
	s = (struct sum){ { UINT64_MAX, 5, 0, 0 }, 0 };
	sum_add(&s, &two);
	assert_true(sum_equal(&s, &(struct sum){ { 1, 6, 0, 0 }, 1 }));
	sum_encode(&s, &b);
	assert_int_equal(b.len, SUM_BYTES);
	r = READER(b.data, b.len);
	sum_decode(&r, &back);
	assert_int_equal(reader_done(&r), 0);
	assert_true(sum_equal(&s, &back));
	buf_release(&b);
}

/* ---- random operations */

struct names {
	uint64_t dirs[8];
	size_t dir_count;
};

static uint32_t draw(struct fixture *f, uint32_t below)
{
	f->random = f->random * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(f->random >> 33) % below;
}

static void random_op(struct fixture *f, struct names *n)
{
	uint64_t dir = n->dirs[draw(f, (uint32_t)n->dir_count)];
	uint64_t to = n->dirs[draw(f, (uint32_t)n->dir_count)];
	struct tree_setattr chmod = { .set = TREE_SET_MODE };
	char name[16], other[16], bytes[16];
	struct entry e;
	struct attr a;
	int r;

	snprintf(name, sizeof(name), "f%u", draw(f, 12));
	snprintf(other, sizeof(other), "f%u", draw(f, 12));
	snprintf(bytes, sizeof(bytes), "%u", draw(f, 5));
	chmod.perm = 0600 + draw(f, 4);
	r = tree_lookup(f->tree, dir, SLICE_STR(name), &e);
	if (r == -ENOENT) {
		make_file(f, dir, name, bytes);
		return;
	}
	assert_int_equal(r, 0);
	switch (draw(f, 5)) {
	case 0:
		assert_int_equal(tree_unlink(f->tree, dir, SLICE_STR(name)),
				 0);
		break;
	case 1:
		assert_int_equal(tree_setattr(f->tree, e.attr.ino, &chmod, &a),
				 0);
		break;
	case 2:
		r = tree_rename(f->tree, dir, SLICE_STR(name), to,
				SLICE_STR(other), 0);
		assert_true(r == 0 || r == -EINVAL);
		break;
	case 3:
		r = tree_rmdir(f->tree, dir, SLICE_STR(name));
		assert_int_equal(r, -ENOTDIR); /* undone */
		break;
	default:
		write_file(f, e.attr.ino, bytes);
	}
}

static void names_init(struct fixture *f, struct names *n)
{
	char name[16];

	n->dirs[0] = TREE_ROOT_INO;
	for (n->dir_count = 1; n->dir_count < 8; n->dir_count++) {
		snprintf(name, sizeof(name), "d%zu", n->dir_count);
		n->dirs[n->dir_count] = make_dir(f, TREE_ROOT_INO, name);
	}
}

static void test_incremental_is_recount(void **state)
{
	struct fixture f;
	struct names n;

	(void)state;
	fixture_open(&f, "alice", true);
	names_init(&f, &n);
	for (int i = 0; i < 1500; i++) {
		random_op(&f, &n);
		if (draw(&f, 60) == 0) {
			struct sum before = root_of(&f);

			fixture_crash(&f);
			assert_sum(&f, &before, true);
		}
		if (draw(&f, 20) == 0)
			check_tree(&f);
	}
	check_tree(&f);
	fixture_close(&f);
}

/* Both ways to the same knowledge, with conflicts, deletions, revivals. */
static void test_equal_states(void **state)
{
	struct fixture a, b, c;
	struct names n;
	uint64_t d1;
	struct sum s;

	(void)state;
	fixture_open(&a, "alice", true);
	fixture_open(&b, "bob", false);
	fixture_open(&c, "carol", false);
	names_init(&a, &n);
	merge_from(&b, &a);
	for (int i = 0; i < 60; i++) {
		for (int k = 0; k < 5; k++)
			random_op(&a, &n);
		/* Beside them: a birth, an edit and a removal elsewhere. */
		d1 = look(&b, TREE_ROOT_INO, "d1");
		write_file(&b, make_file(&b, d1, "other", "x"), "b");
		assert_int_equal(tree_unlink(b.tree, d1, SLICE_STR("other")),
				 0);
		merge_from(&a, &b);
		merge_from(&b, &a);
		merge_from(&a, &b);
		merge_from(&c, &b);
		merge_from(&a, &c);
		merge_from(&b, &c);
		merge_from(&c, &a);
		s = root_of(&a);
		assert_sum(&b, &s, true);
		assert_sum(&c, &s, true);
	}
	check_tree(&a);
	check_tree(&b);
	check_tree(&c);
	fixture_close(&a);
	fixture_close(&b);
	fixture_close(&c);
}

/* ---- what counts */

static void test_what_counts(void **state)
{
	struct fixture f;
	struct sum before, with;
	uint64_t ino;

	(void)state;
	fixture_open(&f, "alice", true);
	assert_int_equal(root_of(&f).count, 1); /* the root */
	ino = make_dir(&f, TREE_ROOT_INO, "d");
	before = root_of(&f);
	assert_int_equal(before.count, 2);
	make_file(&f, ino, "x", "1");
	with = root_of(&f);
	assert_int_equal(with.count, 3);
	write_file(&f, look(&f, ino, "x"), "2");
	assert_sum(&f, &with, false);
	assert_int_equal(root_of(&f).count, 3);
	/* A dead row is there, and does not count. */
	assert_int_equal(tree_unlink(f.tree, ino, SLICE_STR("x")), 0);
	assert_int_equal(root_of(&f).count, 2);
	check_tree(&f);
	fixture_close(&f);
}

/* ---- parents, leaves, objects */

struct found {
	struct objid ids[64];
	uint64_t h64[64];
	size_t count;
};

static int found_one(void *arg, struct objid id, uint64_t h64)
{
	struct found *found = arg;

	assert_true(found->count < ARRAY_SIZE(found->ids));
	found->ids[found->count] = id;
	found->h64[found->count++] = h64;
	return 0;
}

static void find_all(struct fixture *f, const struct leaf_set *set,
		     size_t slice, struct found *ret)
{
	struct objid at = ROOT_ID;
	int r = 0;

	ret->count = 0;
	store_lock(f->store);
	while (!r)
		r = bucket_objects(f->tree, &at, slice, set, found_one, ret);
	store_unlock(f->store);
	assert_int_equal(r, 1);
}

static void test_levels(void **state)
{
	struct sum *parents = calloc(PARENTS, sizeof(*parents));
	struct sum *leaves = calloc(PARENT_LEAVES, sizeof(*leaves));
	struct sum all = { 0 }, root;
	struct leaf_set set, none = { { 0 } };
	struct found found, again;
	struct fixture f;
	char name[16];

	(void)state;
	fixture_open(&f, "alice", true);
	for (int i = 0; i < 40; i++) {
		snprintf(name, sizeof(name), "n%d", i);
		make_file(&f, TREE_ROOT_INO, name, name);
	}
	for (int i = 0; i < 10; i++) {
		snprintf(name, sizeof(name), "n%d", i);
		assert_int_equal(tree_unlink(f.tree, TREE_ROOT_INO,
					     SLICE_STR(name)), 0);
	}
	root = root_of(&f);
	assert_int_equal(root.count, 31);
	store_lock(f.store);
	assert_int_equal(bucket_parents(f.tree, parents), 0);
	for (size_t k = 0; k < PARENTS; k++) {
		struct sum s = { 0 };

		sum_add(&all, &parents[k]);
		assert_int_equal(bucket_leaves(f.tree, (uint8_t)k, leaves),
				 0);
		for (size_t n = 0; n < PARENT_LEAVES; n++)
			sum_add(&s, &leaves[n]);
		assert_true(sum_equal(&s, &parents[k]));
	}
	store_unlock(f.store);
	assert_true(sum_equal(&all, &root));

	memset(&set, 0xff, sizeof(set));
	find_all(&f, &set, 1000, &found);
	assert_int_equal(found.count, 31);
	find_all(&f, &set, 3, &again);
	assert_int_equal(again.count, 31);
	assert_memory_equal(found.ids, again.ids, 31 * sizeof(struct objid));
	assert_memory_equal(found.h64, again.h64, 31 * sizeof(uint64_t));
	leaf_set_add(&none, leaf_of(found.ids[7]));
	assert_true(leaf_set_has(&none, leaf_of(found.ids[7])));
	find_all(&f, &none, 3, &again);
	assert_true(again.count >= 1 && again.count < 5);
	fixture_close(&f);
	free(parents);
	free(leaves);
}

/* ---- the recount itself notices */

static void spoil(struct fixture *f, enum store_table table, struct slice key,
		  size_t at)
{
	struct slice v;
	uint8_t copy[4096];
	size_t len;

	store_lock(f->store);
	assert_int_equal(store_get(f->store, table, key, &v), 0);
	assert_true(v.len <= sizeof(copy) && at < v.len);
	len = v.len;
	memcpy(copy, v.data, len);
	copy[at] ^= 1;
	assert_int_equal(store_op_begin(f->store), 0);
	assert_int_equal(store_put(f->store, table, key, SLICE(copy, len)), 0);
	assert_int_equal(store_op_end(f->store), 0);
	store_unlock(f->store);
}

static void test_check_notices(void **state)
{
	struct fixture f;
	struct slice k, v;
	uint8_t key[2];

	(void)state;
	fixture_open(&f, "alice", true);
	make_file(&f, TREE_ROOT_INO, "x", "1");
	check_tree(&f);
	store_lock(f.store);
	assert_int_equal(store_seek(f.store, TABLE_BUCKET, SLICE("", 0), &k,
				    &v), 0);
	memcpy(key, k.data, 2);
	store_unlock(f.store);
	spoil(&f, TABLE_BUCKET, SLICE(key, 2), 3);
	assert_int_equal(replica_check(f.tree, NULL), -EUCLEAN);
	spoil(&f, TABLE_BUCKET, SLICE(key, 2), 3);
	check_tree(&f);
	spoil(&f, TABLE_META, SLICE_STR("clock"), 35); /* the root's sum */
	fixture_crash(&f);
	assert_int_equal(replica_check(f.tree, NULL), -EUCLEAN);
	fixture_close(&f);
}

/* Another secret, other sums of the same rows. */
static void test_keyed(void **state)
{
	uint8_t secret[SECRET_BYTES], other[SECRET_BYTES] = "not that of all";
	struct fixture f;
	struct sum a, b;
	struct slice row = SLICE_STR("a row");

	(void)state;
	fixture_open(&f, "alice", true);
	store_lock(f.store);
	bucket_secret(f.tree, secret);
	store_unlock(f.store);
	a = bucket_row(f.tree, ROOT_ID, row);
	assert_int_equal(secret_set(f.tree, other), 0);
	b = bucket_row(f.tree, ROOT_ID, row);
	assert_false(sum_equal(&a, &b));
	assert_int_equal(secret_set(f.tree, secret), 0);
	b = bucket_row(f.tree, ROOT_ID, row);
	assert_true(sum_equal(&a, &b));
	fixture_close(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_arithmetic),
		cmocka_unit_test(test_incremental_is_recount),
		cmocka_unit_test(test_equal_states),
		cmocka_unit_test(test_what_counts),
		cmocka_unit_test(test_levels),
		cmocka_unit_test(test_check_notices),
		cmocka_unit_test(test_keyed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
