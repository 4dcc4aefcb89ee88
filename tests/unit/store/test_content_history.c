/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Canonicity: random histories of writes, holes and truncations, each cut
 * into contents now and then, against a model of plain bytes that is cut in
 * the simplest way from 0. Equal bytes must have an equal root, and reads
 * must return the model's bytes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "fs/base/hash.h"
#include "fs/store/chunker.h"
#include "fs/store/content.h"
#include "fs/store/manifest.h"
#include "tests/unit/store/content_support.h"

#define MODEL_BYTES (UINT64_C(512) << 20)
#define EXTENTS_MAX 4096
#define BYTES_EXTENT_MAX (64 * 1024)

struct history {
	struct store *store;
	uint64_t seed;
	uint64_t write_max, size_max, hole_max;
	uint8_t *model;		/* zeros beyond size */
	uint64_t size, kept;
	struct content_extent extents[EXTENTS_MAX];
	size_t count;
	void *owned[EXTENTS_MAX];
	size_t owned_count;
	struct content base;
	struct buf bytes[2];
	int which;
};

static int put_nothing(void *arg, const struct hash *hash, struct slice block)
{
	(void)arg;
	(void)hash;
	(void)block;
	return 0;
}

/* What the root must be, by the definition. */
static void reference(const uint8_t *data, uint64_t size, struct content *ret)
{
	struct manifest_builder b;

	if (size <= INLINE_BYTES_MAX) {
		content_inline(SLICE(data, size), ret);
		return;
	}
	*ret = (struct content){ .size = size };
	manifest_builder_init(&b, put_nothing, NULL);
	for (uint64_t at = 0; at < size;) {
		struct manifest_entry e = { 0 };

		e.len = chunker_cut(data + at, size - at);
		e.hole = bytes_are_zero(data + at, e.len);
		if (!e.hole)
			hash_bytes(data + at, e.len, &e.hash);
		assert_int_equal(manifest_builder_add(&b, &e), 0);
		at += e.len;
	}
	assert_int_equal(manifest_builder_finish(&b, &ret->depth, &ret->root),
			 0);
	manifest_builder_release(&b);
}

/* ---- the list of extents, as a file system would keep it */

static void extent_insert(struct history *h, size_t at,
			  struct content_extent x)
{
	assert_true(h->count < EXTENTS_MAX);
	memmove(h->extents + at + 1, h->extents + at,
		(h->count - at) * sizeof(x));
	h->extents[at] = x;
	h->count++;
}

static struct content_extent extent_part(struct content_extent x,
					 uint64_t start, uint64_t end)
{
	uint64_t skip = start - x.offset;

	x.offset = start;
	x.len = end - start;
	x.loc.offset += skip;
	if (x.kind == EXTENT_BYTES)
		x.bytes += skip;
	return x;
}

static void extents_clear(struct history *h, uint64_t start, uint64_t end)
{
	for (size_t i = 0; i < h->count; i++) {
		struct content_extent x = h->extents[i];
		uint64_t x_end = x.offset + x.len;

		if (x_end <= start || x.offset >= end)
			continue;
		h->count--;
		memmove(h->extents + i, h->extents + i + 1,
			(h->count - i) * sizeof(x));
		if (x_end > end)
			extent_insert(h, i, extent_part(x, end, x_end));
		if (x.offset < start)
			extent_insert(h, i, extent_part(x, x.offset, start));
		i--;
		if (x.offset < start)
			i++;
		if (x_end > end)
			break;
	}
}

static void extent_add(struct history *h, struct content_extent x)
{
	size_t i = 0;

	extents_clear(h, x.offset, x.offset + x.len);
	while (i < h->count && h->extents[i].offset < x.offset)
		i++;
	extent_insert(h, i, x);
}

/* ---- operations */

static void record_piece(struct history *h, uint64_t offset, uint64_t len,
			 enum content_extent_kind kind)
{
	struct content_extent x = { .offset = offset, .len = len,
				    .kind = kind };

	if (kind == EXTENT_DATA) {
		assert_int_equal(data_append(h->store,
					     SLICE(h->model + offset, len),
					     &x.loc), 0);
	} else if (kind == EXTENT_BYTES) {
		void *copy = malloc(len);

		memcpy(copy, h->model + offset, len);
		assert_true(h->owned_count < EXTENTS_MAX);
		h->owned[h->owned_count++] = copy;
		x.bytes = copy;
	}
	extent_add(h, x);
}

/* The model has the bytes; makes extents for them. */
static void record(struct history *h, uint64_t offset, uint64_t len)
{
	uint64_t how = random_below(&h->seed, 3), end = offset + len;

	h->size = MAX_OF(h->size, end);
	while (offset < end) {
		bool data = how == 0 || (how == 1 && random_next(&h->seed) % 2);
		uint64_t n = 1 + random_below(&h->seed, data ? 400000 :
						       BYTES_EXTENT_MAX);

		n = MIN_OF(n, end - offset);
		record_piece(h, offset, n, data ? EXTENT_DATA : EXTENT_BYTES);
		offset += n;
	}
}

static void fill(struct history *h, uint8_t *at, uint64_t len)
{
	uint64_t how = random_below(&h->seed, 8);

	if (how < 3) {
		random_fill(&h->seed, at, len);
	} else if (how == 3) {
		memset(at, 0, len);
	} else if (how == 4) {
		memset(at, (int)random_below(&h->seed, 256), len);
	} else if (how == 5 && h->size > len) {
		memmove(at, h->model + random_below(&h->seed, h->size - len),
			len);
	} else {
		uint8_t *chunk = malloc(CHUNK_BYTES_MAX);

		for (uint64_t done = 0; done < len;) {
			uint64_t n = short_chunk(&h->seed, 8, chunk);

			n = MIN_OF(n, len - done);
			memcpy(at + done, chunk, n);
			done += n;
		}
		free(chunk);
	}
}

static uint64_t some_offset(struct history *h)
{
	uint64_t offset = random_below(&h->seed, h->size + 1);

	switch (random_below(&h->seed, 6)) {
	case 0:
		return offset & ~UINT64_C(4095);
	case 1:
		return h->size;
	case 2:
		return 0;
	case 3:
		return offset / CHUNK_BYTES_MAX * CHUNK_BYTES_MAX;
	default:
		return offset;
	}
}

static uint64_t some_len(struct history *h)
{
	static const uint64_t max[] = { 10, 4096, 70000, 300000 };
	uint64_t i = random_below(&h->seed, 5);

	return 1 + random_below(&h->seed, i < 4 ? max[i] : h->write_max);
}

static void op_write(struct history *h)
{
	uint64_t offset = some_offset(h), len = some_len(h);

	if (!random_below(&h->seed, 4))
		offset += random_below(&h->seed, h->hole_max);
	if (offset + len > h->size_max)
		return;
	fill(h, h->model + offset, len);
	record(h, offset, len);
}

static void op_punch(struct history *h)
{
	uint64_t offset = some_offset(h), len = some_len(h);

	if (random_next(&h->seed) % 2)
		len *= 4;
	len = MIN_OF(len, h->size - offset);
	if (!len)
		return;
	memset(h->model + offset, 0, len);
	record_piece(h, offset, len, EXTENT_ZERO);
}

static void op_truncate(struct history *h)
{
	uint64_t size = some_offset(h);

	switch (random_below(&h->seed, 8)) {
	case 0:
		size = INLINE_BYTES_MAX - 3 + random_below(&h->seed, 6);
		break;
	case 1:
	case 2:
	case 3:
		size = h->size + random_below(&h->seed, h->hole_max);
		break;
	case 4:
		size = h->size - MIN_OF(h->size, some_len(h));
		break;
	}
	size = MIN_OF(size, h->size_max);
	if (size < h->size) {
		memset(h->model + size, 0, h->size - size);
		extents_clear(h, size, UINT64_MAX);
		h->kept = MIN_OF(h->kept, size);
	}
	h->size = size;
}

/* ---- cutting and checking */

static void check_reads(struct history *h)
{
	uint8_t *read = malloc(400001);

	for (int i = 0; i < 6 && h->size; i++) {
		uint64_t offset = random_below(&h->seed, h->size + 2);
		uint64_t len = random_below(&h->seed, 400000);
		uint64_t want = offset < h->size ?
					MIN_OF(len, h->size - offset) : 0;

		assert_int_equal(content_read(h->store, &h->base, offset, read,
					      len), want);
		assert_int_equal(memcmp(read, h->model + offset, want), 0);
	}
	free(read);
}

static int no_hash(void *arg, const struct hash *hash)
{
	(void)arg;
	(void)hash;
	return 0;
}

/* The same bytes in one go over nothing. */
static void check_from_empty(struct history *h)
{
	struct content empty, made;
	struct buf bytes = BUF_INIT;
	struct content_extent x = { .len = h->size, .kind = EXTENT_BYTES,
				    .bytes = h->model };

	content_empty(&empty);
	build_and_commit(h->store, &empty, 0, h->size, &x, h->size ? 1 : 0,
			 &bytes, &made);
	assert_true(content_equal(&made, &h->base));
	buf_release(&bytes);
}

static void cut(struct history *h)
{
	struct content made, want;

	h->which = !h->which;
	build_and_commit(h->store, &h->base, h->kept, h->size, h->extents,
			 h->count, &h->bytes[h->which], &made);
	reference(h->model, h->size, &want);
	assert_int_equal(made.size, want.size);
	assert_int_equal(made.depth, want.depth);
	assert_true(content_equal(&made, &want));
	h->base = made;
	h->kept = h->size;
	h->count = 0;
	while (h->owned_count)
		free(h->owned[--h->owned_count]);
	store_lock(h->store);
	assert_int_equal(content_missing(h->store, &h->base, 10, no_hash,
					 NULL), 0);
	store_unlock(h->store);
	check_reads(h);
}

static void run_history(struct history *h, int steps)
{
	h->model = mmap(NULL, MODEL_BYTES, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	assert_true(h->model != MAP_FAILED);
	content_empty(&h->base);
	for (int step = 0; step < steps; step++) {
		for (uint64_t n = 1 + random_below(&h->seed, 4); n; n--) {
			uint64_t op = random_below(&h->seed, 10);

			if (op < 6)
				op_write(h);
			else if (op < 8)
				op_punch(h);
			else
				op_truncate(h);
		}
		cut(h);
		if (step == steps - 1)
			check_from_empty(h);
	}
	munmap(h->model, MODEL_BYTES);
	buf_release(&h->bytes[0]);
	buf_release(&h->bytes[1]);
}

/* KINFS_TEST_ROUNDS and KINFS_TEST_SEED look further. */
static uint64_t setting(const char *name, uint64_t fallback)
{
	const char *text = getenv(name);

	return text ? strtoull(text, NULL, 10) : fallback;
}

static void run_many(int histories, int steps, uint64_t write_max,
		     uint64_t size_max, uint64_t hole_max)
{
	uint64_t rounds = setting("KINFS_TEST_ROUNDS", 1);
	uint64_t first = setting("KINFS_TEST_SEED", 1);

	for (uint64_t i = 0; i < rounds * (uint64_t)histories; i++) {
		struct history *h = calloc(1, sizeof(*h));
		struct test_store t;

		test_store_open(&t);
		h->store = t.store;
		h->seed = first + i;
		h->write_max = write_max;
		h->size_max = size_max;
		h->hole_max = hole_max;
		run_history(h, steps);
		free(h);
		test_store_close(&t);
	}
}

static void test_around_inline(void **state)
{
	(void)state;
	run_many(20, 40, 5000, 30000, 6000);
}

static void test_small_files(void **state)
{
	(void)state;
	run_many(12, 25, 400000, 2 << 20, 300000);
}

static void test_files(void **state)
{
	(void)state;
	run_many(4, 20, 3 << 20, 8 << 20, 2 << 20);
}

static void test_sparse_files(void **state)
{
	(void)state;
	run_many(2, 10, 1 << 20, MODEL_BYTES - 1, 150 << 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_around_inline),
		cmocka_unit_test(test_small_files),
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_sparse_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
