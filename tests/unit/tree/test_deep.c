/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The deep check: finds what is missing and what is damaged, in which file;
 * counts right while everything changes; and notices rows that were changed
 * behind the back of the sums.
 */
#include "tree_support.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "fs/tree/deep.h"
#include "fs/tree/replica.h"
#include "fs/tree/tree_internal.h"

static uint64_t make_large(struct fixture *f, const char *name, size_t size,
			   uint8_t seed)
{
	uint8_t *bytes = malloc(size);
	uint64_t ino = make_file(f, TREE_ROOT_INO, name, "");
	uint64_t state = seed;

	/* (nothing repeats: each chunk is named once) */
	for (size_t k = 0; k < size; k++) {
		state = state * 6364136223846793005u + 1442695040888963407u;
		bytes[k] = (uint8_t)(state >> 56);
	}
	assert_int_equal(tree_open_file(f->tree, ino, true), 0);
	assert_int_equal(tree_write(f->tree, ino, 0, SLICE(bytes, size),
				    false), 0);
	tree_release_file(f->tree, ino, true);
	free(bytes);
	return ino;
}

static struct deep *run(struct fixture *f)
{
	struct deep *d;
	int r;

	assert_int_equal(deep_begin(f->tree, &d), 0);
	do
		r = deep_step(d);
	while (!r);
	assert_int_equal(r, 1);
	return d;
}

static struct hash hashes[1000];
static size_t hash_count;

static int note_hash(void *arg, const struct hash *h, uint32_t len)
{
	(void)arg;
	(void)len;
	assert_true(hash_count < ARRAY_SIZE(hashes));
	hashes[hash_count++] = *h;
	return 0;
}

/* Blocks first, then chunks. */
static void hashes_of(struct fixture *f, uint64_t ino)
{
	struct target t;

	hash_count = 0;
	store_lock(f->store);
	assert_int_equal(target_load(f->tree, ino, &t), 0);
	assert_int_equal(content_walk(f->store, &t.content->content.content,
				      note_hash, NULL), 0);
	target_release(&t);
	store_unlock(f->store);
}

/* The chunk is lost, or its record points elsewhere. */
static void harm(struct fixture *f, const struct hash *h, bool lose)
{
	struct slice key = SLICE(h->b, sizeof(h->b)), v;
	uint8_t value[20];

	store_lock(f->store);
	assert_int_equal(store_get(f->store, TABLE_CHUNK, key, &v), 0);
	memcpy(value, v.data, sizeof(value));
	value[4] ^= 1; /* the offset: other bytes */
	assert_int_equal(store_op_begin(f->store), 0);
	assert_int_equal(lose ? store_del(f->store, TABLE_CHUNK, key) :
			 store_put(f->store, TABLE_CHUNK, key,
				   SLICE(value, sizeof(value))), 0);
	assert_int_equal(store_op_end(f->store), 0);
	store_unlock(f->store);
}

static void assert_fault(struct fixture *f, const char *path, uint64_t missing,
			 uint64_t damaged)
{
	struct deep *d = run(f);
	const struct deep_result *r = deep_result(d);
	struct buf b = BUF_INIT;

	assert_true(r->sums_right);
	assert_int_equal(r->faults, 1);
	assert_int_equal(r->fault[0].missing, missing);
	assert_int_equal(r->fault[0].damaged, damaged);
	assert_int_equal(tree_path_of(f->tree, r->fault[0].id, &b), 0);
	assert_true(slice_equal(buf_slice(&b), SLICE_STR(path)));
	buf_release(&b);
	deep_end(d);
}

static void test_finds_faults(void **state)
{
	struct fixture f;
	struct deep *d, *other;
	uint64_t ino;
	size_t n;

	(void)state;
	fixture_open(&f, "alice", true);
	make_file(&f, TREE_ROOT_INO, "small", "inline");
	make_large(&f, "good", 700000, 1);
	ino = make_large(&f, "bad", 30000000, 2);
	d = run(&f);
	assert_int_equal(deep_result(d)->faults, 0);
	assert_int_equal(deep_result(d)->objects, 4);
	assert_int_equal(deep_result(d)->bytes, 30700000);
	assert_true(deep_result(d)->sums_right);
	assert_int_equal(deep_begin(f.tree, &other), -EBUSY);
	deep_end(d);

	hashes_of(&f, ino);
	n = hash_count;
	assert_true(n > 100);
	harm(&f, &hashes[n - 1], true);
	assert_fault(&f, "bad", 1, 0);
	harm(&f, &hashes[n - 5], false);
	harm(&f, &hashes[n - 9], false);
	assert_fault(&f, "bad", 1, 2);
	harm(&f, &hashes[0], true); /* the root: nothing below is found */
	assert_fault(&f, "bad", 1, 0);
	fixture_close(&f);
}

/* A block of the middle is damaged: the rest is still read. */
static void test_damaged_block(void **state)
{
	struct fixture f;
	uint64_t ino;

	(void)state;
	fixture_open(&f, "alice", true);
	ino = make_large(&f, "bad", 60000000, 3);
	hashes_of(&f, ino);
	/* Root, then blocks; with several, the second of all is one. */
	harm(&f, &hashes[1], false);
	harm(&f, &hashes[hash_count - 1], true);
	assert_fault(&f, "bad", 1, 1);
	fixture_close(&f);
}

/* While it runs, rows before and behind it change, come and go. */
static void test_beside_work(void **state)
{
	struct fixture f;
	struct deep *d;
	char name[16];
	int r, n = 0;

	(void)state;
	fixture_open(&f, "alice", true);
	for (int i = 0; i < 1000; i++) {
		snprintf(name, sizeof(name), "f%d", i);
		make_file(&f, TREE_ROOT_INO, name, name);
	}
	make_large(&f, "large", 9000000, 1);
	assert_int_equal(deep_begin(f.tree, &d), 0);
	do {
		r = deep_step(d);
		snprintf(name, sizeof(name), "f%d", n * 37 % 1000);
		if (n % 3)
			write_file(&f, look(&f, TREE_ROOT_INO, name), "new");
		else
			assert_int_equal(tree_unlink(f.tree, TREE_ROOT_INO,
						     SLICE_STR(name)), 0);
		if (n % 3 == 0)
			make_file(&f, TREE_ROOT_INO, name, "again");
		/* One that is undone. */
		assert_int_equal(tree_rmdir(f.tree, TREE_ROOT_INO,
					    SLICE_STR(name)), -ENOTDIR);
		n++;
	} while (!r);
	assert_int_equal(r, 1);
	assert_true(n > 16);
	assert_true(deep_result(d)->sums_right);
	assert_int_equal(deep_result(d)->faults, 0);
	deep_end(d);
	check_tree(&f);
	fixture_close(&f);
}

static void test_notices_changed_rows(void **state)
{
	struct fixture f;
	struct deep *d;
	struct slice k, v;
	uint8_t key[16], value[4096];
	size_t len;

	(void)state;
	fixture_open(&f, "alice", true);
	make_file(&f, TREE_ROOT_INO, "x", "text");
	store_lock(f.store);
	assert_int_equal(store_seek_before(f.store, TABLE_OBJ, SLICE("", 0),
					   &k, &v), 0);
	memcpy(key, k.data, 16);
	len = v.len;
	memcpy(value, v.data, len);
	value[len - 3] ^= 1;
	assert_int_equal(store_op_begin(f.store), 0);
	assert_int_equal(store_put(f.store, TABLE_OBJ, SLICE(key, 16),
				   SLICE(value, len)), 0);
	assert_int_equal(store_op_end(f.store), 0);
	store_unlock(f.store);
	d = run(&f);
	assert_false(deep_result(d)->sums_right);
	deep_end(d);
	fixture_close(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_finds_faults),
		cmocka_unit_test(test_damaged_block),
		cmocka_unit_test(test_beside_work),
		cmocka_unit_test(test_notices_changed_rows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
