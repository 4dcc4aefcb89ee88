/* SPDX-License-Identifier: Apache-2.0 */
/* What no entry of the chunk table names any more is found in the segments. */
#include "fs/store/salvage.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "content_support.h"
#include "fs/base/hash.h"
#include "fs/store/manifest.h"

#define FILES 4

struct file {
	uint8_t *bytes;
	size_t len;
	struct content content;
};

static struct test_store t;
static uint64_t rng;
static struct file files[FILES];

/* ---- contents */

/* As programs write: all that is written lies one behind the other. */
static void make_file(struct file *f, size_t len, uint64_t lucky)
{
	struct content_extent e = { .kind = EXTENT_DATA };
	cleanup(buf_release) struct buf inline_bytes = BUF_INIT;
	struct content empty;

	f->bytes = malloc(len + CHUNK_BYTES_MAX);
	assert_non_null(f->bytes);
	for (f->len = 0; lucky && f->len < len;)
		f->len += short_chunk(&rng, lucky, f->bytes + f->len);
	if (!lucky) {
		f->len = len;
		random_fill(&rng, f->bytes, len);
	}
	e.len = f->len;
	assert_int_equal(data_append(t.store, SLICE(f->bytes, f->len),
				     &e.loc), 0);
	content_empty(&empty);
	build_and_commit(t.store, &empty, 0, f->len, &e, 1, &inline_bytes,
			 &f->content);
}

static int set_up_with(uint64_t segment_bytes)
{
	rng = 1;
	test_store_open_small(&t, segment_bytes);
	make_file(&files[0], 5000, 0);
	make_file(&files[1], 700000, 0);
	make_file(&files[2], 1 << 20, 4); /* blocks of blocks */
	make_file(&files[3], 100000, 0);
	assert_int_equal(files[2].content.depth, 2);
	return 0;
}

static int set_up(void **state)
{
	(void)state;
	return set_up_with(0);
}

static int set_up_small(void **state)
{
	(void)state;
	return set_up_with(30000);
}

static int tear_down(void **state)
{
	(void)state;
	for (int k = 0; k < FILES; k++)
		free(files[k].bytes);
	test_store_close(&t);
	return 0;
}

static void expect_all(void)
{
	for (int k = 0; k < FILES; k++)
		assert_content(t.store, &files[k].content, files[k].bytes,
			       files[k].len);
}

/* ---- entries */

struct entry {
	struct hash hash;
	uint32_t len;
	bool block;
};

struct entries {
	struct entry list[1000];
	size_t count;
};

static int note_entry(void *arg, const struct hash *h, uint32_t len)
{
	struct entries *e = arg;
	autofree uint8_t *bytes = malloc(len);
	struct chunk_place p;

	assert_true(e->count < ARRAY_SIZE(e->list));
	assert_int_equal(chunk_find(t.store, h, &p), 0);
	assert_int_equal(data_read(t.store, p.loc, bytes, len), 0);
	e->list[e->count++] = (struct entry){
		*h, len, manifest_block_bytes(SLICE(bytes, len)) == len };
	return 0;
}

static void list_entries(const struct content *c, struct entries *ret)
{
	ret->count = 0;
	store_lock(t.store);
	assert_int_equal(content_walk(t.store, c, note_entry, ret), 0);
	store_unlock(t.store);
}

static void lose(const struct hash *h)
{
	store_lock(t.store);
	assert_int_equal(store_op_begin(t.store), 0);
	assert_int_equal(store_del(t.store, TABLE_CHUNK,
				   SLICE(h->b, sizeof(h->b))), 0);
	assert_int_equal(store_op_end(t.store), 0);
	store_unlock(t.store);
}

static void lose_all(const struct content *c)
{
	static struct entries e;

	list_entries(c, &e);
	for (size_t k = 0; k < e.count; k++)
		lose(&e.list[k].hash);
}

/* ---- the search */

static int put_found(void *arg, const struct hash *h, struct slice bytes)
{
	struct data_loc loc;
	struct chunk_place p;

	assert_true(hash_is(h, bytes.data, bytes.len));
	++*(size_t *)arg;
	assert_int_equal(data_append(t.store, bytes, &loc), 0);
	p = chunk_place(loc, bytes);
	store_lock(t.store);
	assert_int_equal(store_op_begin(t.store), 0);
	assert_int_equal(chunk_add(t.store, h, &p), 0);
	assert_int_equal(store_op_end(t.store), 0);
	store_unlock(t.store);
	return 0;
}

static struct salvage *search(size_t *found)
{
	struct salvage *v;

	*found = 0;
	assert_int_equal(salvage_new(t.store, put_found, found, &v), 0);
	return v;
}

static void run(struct salvage *v)
{
	int r;

	while (!(r = salvage_step(v)))
		;
	assert_int_equal(r, 1);
	salvage_free(v);
}

/* ---- */

/* Only the names of the contents are left. */
static void test_all_are_lost(void **state)
{
	static struct entries e;
	size_t found, want = 0;
	struct salvage *v;

	(void)state;
	for (int k = 0; k < FILES; k++) {
		list_entries(&files[k].content, &e);
		want += e.count;
	}
	for (int k = 0; k < FILES; k++)
		lose_all(&files[k].content);
	v = search(&found);
	for (int k = 0; k < FILES; k++)
		assert_int_equal(salvage_want(v, &files[k].content.root, 0),
				 0);
	run(v);
	assert_int_equal(found, want);
	expect_all();
}

static size_t entries_of(int file)
{
	static struct entries e;

	list_entries(&files[file].content, &e);
	return e.count;
}

static void find_one(int file, size_t number)
{
	static struct entries e;
	const struct entry *lost = &e.list[number];
	size_t found;
	struct salvage *v = search(&found);

	list_entries(&files[file].content, &e);
	lose(&lost->hash);
	assert_int_equal(salvage_want(v, &lost->hash,
				      lost->block ? 0 : lost->len), 0);
	run(v);
	assert_int_equal(found, 1);
	expect_all();
}

/* One at a time. (What was found before would lie elsewhere, and be garbage
 * where it was.) */
static void test_each(void **state)
{
	for (int file = 0; file < FILES; file++) {
		size_t count, step = 1;

		for (size_t k = 0; k == 0 || k < count; k += step) {
			set_up(state);
			count = entries_of(file);
			step = 1 + count / 12;
			find_one(file, k);
			tear_down(state);
		}
	}
}

/* Others that are not here lie before it: they are not looked for. */
static void test_behind_garbage(void **state)
{
	static struct entries e;
	size_t found;
	struct salvage *v = search(&found);

	(void)state;
	lose_all(&files[0].content);
	list_entries(&files[1].content, &e);
	/* (the root comes first, but is written last) */
	assert_true(e.list[0].block && !e.list[1].block);
	lose(&e.list[1].hash);
	assert_int_equal(salvage_want(v, &e.list[1].hash, e.list[1].len), 0);
	run(v);
	assert_int_equal(found, 1);
	assert_content(t.store, &files[1].content, files[1].bytes,
		       files[1].len);
}

/* A block is found wherever it is, and says how long a chunk is. */
static void test_amid_garbage(void **state)
{
	size_t found;
	struct salvage *v = search(&found);

	(void)state;
	lose_all(&files[2].content);
	lose_all(&files[3].content);
	assert_int_equal(salvage_want(v, &files[3].content.root, 0), 0);
	run(v);
	assert_true(found >= 1);
	store_lock(t.store);
	assert_true(chunk_exists(t.store, &files[3].content.root));
	store_unlock(t.store);
}

/* Bytes that are gone end the search, not the test. */
static void test_nothing_is_found(void **state)
{
	const struct hash nowhere = { { 1 } };
	size_t found;
	struct salvage *v = search(&found);

	(void)state;
	run(v);
	v = search(&found);
	for (uint32_t len = 0; len < 100; len++)
		assert_int_equal(salvage_want(v, &nowhere, len), 0);
	run(v);
	assert_int_equal(found, 0);
	expect_all();
}

static int refuse(void *arg, const struct hash *h, struct slice bytes)
{
	(void)arg;
	(void)h;
	(void)bytes;
	return -ENOSPC;
}

static void test_an_error_ends_it(void **state)
{
	struct salvage *v;
	int r;

	(void)state;
	lose_all(&files[0].content);
	assert_int_equal(salvage_new(t.store, refuse, NULL, &v), 0);
	assert_int_equal(salvage_want(v, &files[0].content.root, 0), 0);
	while (!(r = salvage_step(v)))
		;
	assert_int_equal(r, -ENOSPC);
	salvage_free(v);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_all_are_lost, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_all_are_lost,
						set_up_small, tear_down),
		cmocka_unit_test(test_each),
		cmocka_unit_test_setup_teardown(test_behind_garbage, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_amid_garbage, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_nothing_is_found, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_an_error_ends_it, set_up,
						tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
