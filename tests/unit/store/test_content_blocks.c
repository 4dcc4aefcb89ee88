/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Manifests of many blocks. The file is a grid of cells of CHUNK_BYTES_MAX:
 * zeros, or one of a few chunks that begin with a number and go on with
 * zeros. Each cell is a chunk by itself, whatever is around it; so the
 * entries of a huge file are known without cutting it, and edits that keep
 * to cells try every way in which blocks and merged holes can end.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "fs/base/hash.h"
#include "fs/store/chunker.h"
#include "fs/store/content.h"
#include "fs/store/manifest.h"
#include "tests/unit/store/content_support.h"

#define CELL ((uint64_t)CHUNK_BYTES_MAX)
#define KINDS 64	/* 0: zeros */
#define LUCKY 4		/* the first kinds of data end a block */

struct grid {
	struct store *store;
	uint64_t seed;
	struct kind {
		uint8_t id[8];
		struct hash hash;
	} kinds[KINDS];
	uint8_t *cells;
	uint64_t count, alloc;
	struct content base;
	uint64_t ends[4096];	/* of blocks of level 1, in cells */
	size_t end_count;
	bool store_blocks;
};

static void make_kinds(struct grid *g)
{
	uint8_t *cell = calloc(1, CELL);
	uint64_t number = 1;

	for (int k = 1; k < KINDS; number++) {
		struct kind *kind = &g->kinds[k];
		struct chunk_place p;
	struct data_loc loc;

		put_le64(cell, number);
		hash_bytes(cell, CELL, &kind->hash);
		if ((kind->hash.b[0] == 0) != (k <= LUCKY))
			continue;
		memcpy(kind->id, cell, sizeof(kind->id));
		assert_int_equal(chunker_cut(cell, CELL), CELL);
		assert_int_equal(data_append(g->store, SLICE(cell, CELL), &loc),
				 0);
		p = chunk_place(loc, SLICE(cell, CELL));
		store_lock(g->store);
		assert_int_equal(store_op_begin(g->store), 0);
		assert_int_equal(chunk_add(g->store, &kind->hash, &p), 0);
		assert_int_equal(store_op_end(g->store), 0);
		store_unlock(g->store);
		k++;
	}
	free(cell);
}

static int put_block(void *arg, const struct hash *hash, struct slice block)
{
	struct grid *g = arg;
	struct manifest_iter it;
	struct manifest_entry e;
	struct chunk_place p;
	struct data_loc loc;
	uint64_t span = 0;

	manifest_iter_init(&it, block);
	while (manifest_next(&it, &e))
		span += e.len;
	if (it.level == 1) {
		uint64_t before = g->end_count ? g->ends[g->end_count - 1] : 0;

		assert_true(g->end_count < ARRAY_SIZE(g->ends));
		g->ends[g->end_count++] = before + span / CELL;
	}
	if (!g->store_blocks)
		return 0;
	assert_int_equal(data_append(g->store, block, &loc), 0);
	p = chunk_place(loc, block);
	store_lock(g->store);
	assert_int_equal(store_op_begin(g->store), 0);
	assert_int_equal(chunk_add(g->store, hash, &p), 0);
	assert_int_equal(store_op_end(g->store), 0);
	store_unlock(g->store);
	return 0;
}

static void reference(struct grid *g, struct content *ret)
{
	struct manifest_builder b;

	*ret = (struct content){ .size = g->count * CELL };
	g->end_count = 0;
	manifest_builder_init(&b, put_block, g);
	for (uint64_t i = 0; i < g->count; i++) {
		struct manifest_entry e = {
			.len = CELL,
			.hole = !g->cells[i],
			.hash = g->kinds[g->cells[i]].hash,
		};

		assert_int_equal(manifest_builder_add(&b, &e), 0);
	}
	assert_int_equal(manifest_builder_finish(&b, &ret->depth, &ret->root),
			 0);
	manifest_builder_release(&b);
}

static void fill_cells(struct grid *g, uint64_t at, uint64_t n)
{
	uint64_t how = random_below(&g->seed, 6);

	for (uint64_t i = at; i < at + n; i++) {
		uint64_t unlucky = 1 + LUCKY +
				   random_below(&g->seed, KINDS - 1 - LUCKY);
		uint64_t any = random_below(&g->seed, KINDS);

		if (how == 0)
			g->cells[i] = 0;
		else if (how == 1)
			g->cells[i] = (uint8_t)any;
		else if (how == 2)
			g->cells[i] = (uint8_t)unlucky;
		else
			g->cells[i] = (i + how) % 2 ? (uint8_t)unlucky : 0;
	}
}

/* Extents that write the cells: zeros, and the number at the front. */
static size_t cell_extents(struct grid *g, uint64_t at, uint64_t n,
			   struct content_extent *ret)
{
	size_t count = 0;

	for (uint64_t i = at; i < at + n; i++) {
		uint64_t front = g->cells[i] ? 8 : 0;

		if (front)
			ret[count++] = (struct content_extent){
				.offset = i * CELL,
				.len = front,
				.kind = EXTENT_BYTES,
				.bytes = g->kinds[g->cells[i]].id,
			};
		ret[count++] = (struct content_extent){
			.offset = i * CELL + front,
			.len = CELL - front,
			.kind = EXTENT_ZERO,
		};
	}
	return count;
}

/* A place near the end of a block, more often than not. */
static uint64_t some_cell(struct grid *g)
{
	uint64_t at = random_below(&g->seed, g->count);

	if (random_below(&g->seed, 4) && g->end_count) {
		at = g->ends[random_below(&g->seed, g->end_count)] + 2;
		at -= MIN_OF(at, random_below(&g->seed, 5));
	}
	return MIN_OF(at, g->count - 1);
}

static void edit(struct grid *g, uint64_t max)
{
	struct content_extent *extents;
	uint64_t at = some_cell(g), n, kept = UINT64_MAX;
	struct content made, want;
	struct buf bytes = BUF_INIT;
	/* The hole must not be lost before the block that is taken over. */
	bool zero_block = g->end_count > 1 && !random_below(&g->seed, 6);
	size_t count;

	n = 1 + random_below(&g->seed, random_next(&g->seed) % 2 ? 3 : max);
	n = MIN_OF(n, g->alloc - at);
	if (zero_block) {
		size_t i = random_below(&g->seed, g->end_count - 1);

		at = g->ends[i];
		n = g->ends[i + 1] - at;
	}
	switch (zero_block ? 6 : random_below(&g->seed, 6)) {
	case 0: /* cut off behind */
		g->count = at + n;
		break;
	case 1: /* cut off, and grown again by zeros */
		kept = at * CELL + random_below(&g->seed, CELL);
		memset(g->cells + at + 1, 0, g->alloc - at - 1);
		if (kept % CELL < 8)
			g->cells[at] = 0, kept = at * CELL;
		break;
	}
	g->count = MAX_OF(g->count, at + n);
	fill_cells(g, at, n);
	if (zero_block)
		memset(g->cells + at, 0, n);
	extents = calloc(2 * n, sizeof(*extents));
	count = cell_extents(g, at, n, extents);
	memset(g->cells + g->count, 0, g->alloc - g->count);
	build_and_commit(g->store, &g->base, kept, g->count * CELL, extents,
			 count, &bytes, &made);
	reference(g, &want);
	assert_int_equal(made.depth, want.depth);
	assert_true(content_equal(&made, &want));
	g->base = made;
	free(extents);
	buf_release(&bytes);
}

static int no_hash(void *arg, const struct hash *hash)
{
	(void)arg;
	(void)hash;
	return 0;
}

static void run_grid(uint64_t seed, uint64_t count, int edits, uint64_t max)
{
	struct grid *g = calloc(1, sizeof(*g));
	struct test_store t;
	uint8_t read[8];

	test_store_open(&t);
	g->store = t.store;
	g->seed = seed;
	g->count = count;
	g->alloc = count + 2000;
	g->cells = calloc(1, g->alloc);
	make_kinds(g);
	for (uint64_t at = 0, n; at < count; at += n) {
		n = MIN_OF(1 + random_below(&g->seed, 1500), count - at);
		fill_cells(g, at, n);
	}
	g->store_blocks = true;
	reference(g, &g->base);
	g->store_blocks = false;
	for (int i = 0; i < edits; i++)
		edit(g, max);
	store_lock(g->store);
	assert_int_equal(content_missing(g->store, &g->base, 10, no_hash,
					 NULL), 0);
	store_unlock(g->store);
	for (int i = 0; i < 200; i++) {
		uint64_t at = some_cell(g);

		assert_int_equal(content_read(g->store, &g->base, at * CELL,
					      read, 8), 8);
		assert_memory_equal(read, g->kinds[g->cells[at]].id, 8);
	}
	free(g->cells);
	free(g);
	test_store_close(&t);
}

static void test_two_levels(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 6; seed++)
		run_grid(seed, 3000, 60, 100);
}

static void test_three_levels(void **state)
{
	(void)state;
	run_grid(1, 250000, 12, 30);
}

/* One cell of many: the blocks on its path are stored, no others. */
static void test_cost_of_an_edit(void **state)
{
	struct grid *g = calloc(1, sizeof(*g));
	struct test_store t;
	struct content made;
	struct content_extent x[2];
	struct buf bytes = BUF_INIT;
	struct timespec a, b;
	uint64_t before;

	(void)state;
	test_store_open(&t);
	g->store = t.store;
	g->seed = 3;
	g->count = g->alloc = 300000;
	g->cells = calloc(1, g->count);
	make_kinds(g);
	for (uint64_t i = 0; i < g->count; i++)
		g->cells[i] = 1 + (uint8_t)random_below(&g->seed, KINDS - 1);
	/* Few lucky ones: blocks of some hundreds. */
	for (uint64_t i = 0; i < g->count; i++)
		if (g->cells[i] <= LUCKY && random_below(&g->seed, 16))
			g->cells[i] += LUCKY;
	g->store_blocks = true;
	reference(g, &g->base);
	assert_int_equal(g->base.depth, 3);
	before = test_store_bytes(g->store);
	g->cells[123456] = g->cells[123456] == 9 ? 10 : 9;
	clock_gettime(CLOCK_MONOTONIC, &a);
	build_and_commit(g->store, &g->base, UINT64_MAX, g->base.size, x,
			 cell_extents(g, 123456, 1, x), &bytes, &made);
	clock_gettime(CLOCK_MONOTONIC, &b);
	print_message("%.2f ms, %lu bytes\n",
		      (double)(b.tv_sec - a.tv_sec) * 1e3 +
			      1e-6 * (double)(b.tv_nsec - a.tv_nsec),
		      test_store_bytes(g->store) - before);
	assert_in_range(test_store_bytes(g->store) - before, 1, 64 * 1024);
	free(g->cells);
	free(g);
	buf_release(&bytes);
	test_store_close(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_two_levels),
		cmocka_unit_test(test_three_levels),
		cmocka_unit_test(test_cost_of_an_edit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
