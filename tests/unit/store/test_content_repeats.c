/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Blocks that name each other again and again: five of them are a content of
 * 32 TiB. A peer can send those; to look for what of it is missing, which
 * the store's lock is held for, must not take the time of 32 TiB.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fs/base/hash.h"
#include "fs/store/content.h"
#include "fs/store/manifest.h"
#include "tests/unit/store/content_support.h"

#define ENTRIES MANIFEST_ENTRIES_MAX

static void put_chunk(struct store *s, struct slice bytes, struct hash *ret)
{
	struct chunk_place p;
	struct data_loc loc;

	hash_bytes(bytes.data, bytes.len, ret);
	assert_int_equal(data_append(s, bytes, &loc), 0);
	p = chunk_place(loc, bytes);
	store_lock(s);
	assert_int_equal(store_op_begin(s), 0);
	assert_int_equal(chunk_add(s, ret, &p), 0);
	assert_int_equal(store_op_end(s), 0);
	store_unlock(s);
}

/* A block of the same entry all over; its hash ends no block. */
static void put_block(struct store *s, uint8_t level, uint64_t *len,
		      struct hash *hash)
{
	do {
		struct buf b = BUF_INIT;

		buf_put_u8(&b, 1);
		buf_put_u8(&b, level);
		buf_put_varint(&b, ENTRIES);
		for (int i = 0; i < ENTRIES; i++) {
			if (level == 1)
				buf_put_u8(&b, 0);
			buf_put_varint(&b, *len);
			buf_put(&b, hash->b, sizeof(hash->b));
		}
		*len *= ENTRIES;
		assert_int_equal(buf_error(&b), 0);
		assert_int_equal(manifest_check(buf_slice(&b), level, *len),
				 0);
		put_chunk(s, buf_slice(&b), hash);
		buf_release(&b);
	} while (!hash->b[0]);
}

static int count_hash(void *arg, const struct hash *h)
{
	(void)h;
	++*(uint64_t *)arg;
	return 0;
}

static int count_chunk(void *arg, const struct hash *h, uint32_t len)
{
	(void)len;
	return count_hash(arg, h);
}

static void make(struct store *s, bool here, struct content *ret)
{
	struct hash hash = { { 1 } };
	uint64_t len = 1;

	if (here)
		put_chunk(s, SLICE("x", 1), &hash);
	assert_true(hash.b[0]);
	for (uint8_t level = 1; level <= MANIFEST_DEPTH_MAX; level++)
		put_block(s, level, &len, &hash);
	*ret = (struct content){ .size = len, .depth = MANIFEST_DEPTH_MAX,
				 .root = hash };
}

static void test_missing(void **state)
{
	struct test_store t;
	struct content c;
	uint64_t n = 0;

	(void)state;
	test_store_open(&t);
	make(t.store, true, &c);
	assert_true(c.size >> 45 == 1);
	store_lock(t.store);
	assert_int_equal(content_missing(t.store, &c, 1, count_hash, &n), 0);
	assert_int_equal(content_walk(t.store, &c, count_chunk, &n), 0);
	assert_int_equal(n, 1 + MANIFEST_DEPTH_MAX * ENTRIES);
	store_unlock(t.store);
	test_store_close(&t);
}

/* What is not here is found behind what is. */
static void test_something_is_missing(void **state)
{
	struct test_store t;
	struct content c;
	uint64_t n = 0;

	(void)state;
	test_store_open(&t);
	make(t.store, false, &c);
	store_lock(t.store);
	assert_int_equal(content_missing(t.store, &c, 1, count_hash, &n), 1);
	n = 0;
	assert_int_equal(content_missing(t.store, &c, 1000, count_hash, &n),
			 ENTRIES);
	/* A part that begins and ends in the middle of blocks: what is looked
	 * at in part does not stand for the rest. */
	n = 0;
	assert_int_equal(content_missing_in(t.store, &c, 1000, 3 * ENTRIES,
					    100000, count_hash, &n),
			 2 * ENTRIES - 1000 + ENTRIES +
				 (1000 + 3 * ENTRIES) % ENTRIES);
	store_unlock(t.store);
	test_store_close(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_missing),
		cmocka_unit_test(test_something_is_missing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
