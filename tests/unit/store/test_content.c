/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
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

#define WRITE_BYTES (128 * 1024)

struct fixture {
	struct test_store t;
	struct store *store;
	struct content empty;
	struct buf bytes;
	uint64_t seed;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	test_store_open(&f->t);
	f->store = f->t.store;
	f->seed = 17;
	content_empty(&f->empty);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	buf_release(&f->bytes);
	test_store_close(&f->t);
	free(f);
	return 0;
}

/* Writes a file as a program would, piece after piece, and cuts it once. */
static uint8_t *make_file(struct fixture *f, uint64_t size,
			  struct content *ret)
{
	uint8_t *data = malloc(size);
	size_t count = (size + WRITE_BYTES - 1) / WRITE_BYTES;
	struct content_extent *x = calloc(count, sizeof(*x));

	random_fill(&f->seed, data, size);
	for (size_t i = 0; i < count; i++) {
		uint64_t at = i * WRITE_BYTES;

		x[i] = (struct content_extent){
			.offset = at,
			.len = MIN_OF(size - at, (uint64_t)WRITE_BYTES),
			.kind = EXTENT_DATA,
		};
		assert_int_equal(data_append(f->store,
					     SLICE(data + at, x[i].len),
					     &x[i].loc), 0);
	}
	build_and_commit(f->store, &f->empty, 0, size, x, count, &f->bytes,
			 ret);
	free(x);
	return data;
}

static int build_error(struct fixture *f, const struct content *base,
		       uint64_t size, const struct content_extent *x,
		       size_t count)
{
	struct content_build *build = NULL;
	struct content made;
	int r = content_build(f->store, base, size, size, x, count, &f->bytes,
			      &made, &build);

	content_build_free(build);
	return r;
}

static void test_values(void **state)
{
	struct fixture *f = *state;
	struct content a, b;
	struct hash none;
	uint8_t byte;

	hash_bytes(NULL, 0, &none);
	assert_int_equal(f->empty.size, 0);
	assert_int_equal(f->empty.depth, 0);
	assert_true(hash_equal(&f->empty.root, &none));
	content_inline(SLICE("abc", 3), &a);
	content_inline(SLICE("abc", 3), &b);
	assert_true(content_equal(&a, &b));
	content_inline(SLICE("abd", 3), &b);
	assert_false(content_equal(&a, &b));
	assert_int_equal(content_compare(&a, &b) < 0,
			 content_compare(&b, &a) > 0);
	b.depth = 1;
	assert_true(content_compare(&a, &b) < 0);
	a.depth = 1;
	a.size = 2;
	assert_true(content_compare(&a, &b) < 0);
	assert_int_equal(content_read(f->store, &f->empty, 0, &byte, 1), 0);
}

static void test_sequential_file_is_not_copied(void **state)
{
	struct fixture *f = *state;
	uint64_t size = 8 << 20, before = test_store_bytes(f->store), added;
	struct content c;
	uint8_t *data = make_file(f, size, &c);

	added = test_store_bytes(f->store) - before - size;
	assert_in_range(added, 1, 16 * 1024);
	assert_content(f->store, &c, data, size);
	free(data);
}

static void test_edit_costs_little(void **state)
{
	struct fixture *f = *state;
	uint64_t size = 48 << 20, before;
	struct content base, made, whole;
	uint8_t *data = make_file(f, size, &base);
	struct content_extent x = { .offset = 20 << 20, .len = 4096,
				    .kind = EXTENT_BYTES };
	struct buf bytes = BUF_INIT;

	random_fill(&f->seed, data + x.offset, x.len);
	x.bytes = data + x.offset;
	before = test_store_bytes(f->store);
	build_and_commit(f->store, &base, size, size, &x, 1, &bytes, &made);
	assert_in_range(test_store_bytes(f->store) - before, 1,
			3 * CHUNK_BYTES_MAX + 64 * 1024);
	assert_content(f->store, &made, data, size);
	/* The same bytes again: nothing is stored twice. */
	x = (struct content_extent){ .len = size, .kind = EXTENT_BYTES,
				     .bytes = data };
	before = test_store_bytes(f->store);
	build_and_commit(f->store, &f->empty, 0, size, &x, 1, &bytes, &whole);
	assert_int_equal(test_store_bytes(f->store), before);
	assert_true(content_equal(&made, &whole));
	buf_release(&bytes);
	free(data);
}

static void test_repeats_are_stored_once(void **state)
{
	struct fixture *f = *state;
	uint64_t size = 16 << 20, before = test_store_bytes(f->store);
	uint8_t *data = malloc(size);
	struct content_extent x = { .len = size, .kind = EXTENT_BYTES,
				    .bytes = data };
	struct content c;

	random_fill(&f->seed, data, 1 << 20);
	for (uint64_t at = 1 << 20; at < size; at += 1 << 20)
		memcpy(data + at, data, 1 << 20);
	build_and_commit(f->store, &f->empty, 0, size, &x, 1, &f->bytes, &c);
	assert_in_range(test_store_bytes(f->store) - before, 1, 3 << 20);
	assert_content(f->store, &c, data, size);
	free(data);
}

/* Sizes around the line, reached from both sides, are inline or not. */
static void test_inline_line(void **state)
{
	struct fixture *f = *state;
	uint8_t data[INLINE_BYTES_MAX + 8];
	struct content at = f->empty, want;
	struct buf bytes[2] = { BUF_INIT, BUF_INIT };
	int which = 0;

	random_fill(&f->seed, data, sizeof(data));
	for (int i = 0; i < 60; i++) {
		uint64_t size = INLINE_BYTES_MAX - 8 +
				random_below(&f->seed, 16);
		uint64_t from = MIN_OF(at.size, size);
		struct content_extent x = { .offset = from,
					    .len = size - from,
					    .kind = EXTENT_BYTES,
					    .bytes = data + from };

		which = !which;
		build_and_commit(f->store, &at, size, size, &x,
				 size > from ? 1 : 0, &bytes[which], &at);
		assert_int_equal(at.depth, size > INLINE_BYTES_MAX ? 1 : 0);
		assert_content(f->store, &at, data, size);
		if (!at.depth) {
			content_inline(SLICE(data, size), &want);
			assert_true(content_equal(&at, &want));
		}
	}
	buf_release(&bytes[0]);
	buf_release(&bytes[1]);
}

static void test_huge_hole(void **state)
{
	struct fixture *f = *state;
	uint64_t size = UINT64_C(1) << 40, before;
	uint8_t island[4096], read[8192];
	struct content_extent x[3];
	struct content c, hole, grown;
	struct timespec a, b;
	struct buf bytes = BUF_INIT;

	random_fill(&f->seed, island, sizeof(island));
	for (int i = 0; i < 3; i++)
		x[i] = (struct content_extent){
			.offset = size / 3 * (uint64_t)i + 12345,
			.len = sizeof(island),
			.kind = EXTENT_BYTES,
			.bytes = island,
		};
	before = test_store_bytes(f->store);
	clock_gettime(CLOCK_MONOTONIC, &a);
	build_and_commit(f->store, &f->empty, 0, size, x, 3, &bytes, &c);
	clock_gettime(CLOCK_MONOTONIC, &b);
	assert_in_range((b.tv_sec - a.tv_sec) * 1000 +
				(b.tv_nsec - a.tv_nsec) / 1000000, 0, 500);
	assert_in_range(test_store_bytes(f->store) - before, 1, 1 << 20);
	assert_int_equal(c.depth, 1);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(content_read(f->store, &c,
					      x[i].offset - 2048, read, 8192),
				 8192);
		assert_true(bytes_are_zero(read, 2048));
		assert_memory_equal(read + 2048, island, 4096);
		assert_true(bytes_are_zero(read + 6144, 2048));
	}
	/* Wiped and cut down: the same as if it had never been written. */
	build_and_commit(f->store, &f->empty, 0, size / 2 + 1, NULL, 0, &bytes,
			 &hole);
	build_and_commit(f->store, &c, 0, size / 2 + 1, NULL, 0, &bytes, &c);
	assert_true(content_equal(&c, &hole));
	build_and_commit(f->store, &hole, UINT64_MAX, FILE_BYTES_MAX, NULL, 0,
			 &bytes, &grown);
	build_and_commit(f->store, &f->empty, 0, FILE_BYTES_MAX, NULL, 0,
			 &bytes, &hole);
	assert_true(content_equal(&grown, &hole));
	assert_int_equal(content_read(f->store, &grown, FILE_BYTES_MAX - 5,
				      read, 100), 5);
	buf_release(&bytes);
}

/* ---- what is here and what is not */

struct list {
	struct hash hashes[4096];
	uint32_t lens[4096];
	size_t count;
	int stop_after;
};

static int list_len(void *arg, const struct hash *hash, uint32_t len)
{
	struct list *l = arg;

	if (l->stop_after && (int)l->count == l->stop_after)
		return 42;
	l->lens[l->count] = len;
	l->hashes[l->count++] = *hash;
	return 0;
}

static int list_hash(void *arg, const struct hash *hash)
{
	return list_len(arg, hash, 0);
}

static int64_t missing(struct fixture *f, const struct content *c,
		       uint64_t max, struct list *l)
{
	int64_t n;

	memset(l, 0, sizeof(*l));
	store_lock(f->store);
	n = content_missing(f->store, c, max, list_hash, l);
	store_unlock(f->store);
	return n;
}

static int walk(struct fixture *f, const struct content *c, struct list *l)
{
	int r;

	store_lock(f->store);
	r = content_walk(f->store, c, list_len, l);
	store_unlock(f->store);
	return r;
}

/* Removes a name, or gives it the bytes at another place. */
static void rename_chunk(struct fixture *f, const struct hash *hash,
			 const struct chunk_place *place)
{
	store_lock(f->store);
	assert_int_equal(store_op_begin(f->store), 0);
	assert_int_equal(store_del(f->store, TABLE_CHUNK,
				   SLICE(hash->b, sizeof(hash->b))), 0);
	if (place)
		assert_int_equal(chunk_add(f->store, hash, place), 0);
	assert_int_equal(store_op_end(f->store), 0);
	store_unlock(f->store);
}

static void find(struct fixture *f, const struct hash *hash,
		 struct chunk_place *ret)
{
	store_lock(f->store);
	assert_int_equal(chunk_find(f->store, hash, ret), 0);
	store_unlock(f->store);
}

static void test_walk_and_missing(void **state)
{
	struct fixture *f = *state;
	uint64_t size = 40 << 20, sum = 0;
	struct content c;
	uint8_t *data = make_file(f, size, &c), *read = malloc(size);
	struct list *all = calloc(1, sizeof(*all));
	struct list *some = calloc(1, sizeof(*some));
	struct chunk_place places[4096];
	size_t blocks = 0;

	assert_true(c.depth >= 2);
	assert_int_equal(walk(f, &c, all), 0);
	assert_true(hash_equal(&all->hashes[0], &c.root));
	for (size_t i = 0; i < all->count; i++) {
		find(f, &all->hashes[i], &places[i]);
		all->lens[i] = places[i].len;
		sum += all->lens[i];
	}
	for (uint64_t got = sum; got > size; blocks++)
		got -= all->lens[blocks];
	assert_true(blocks >= 3);
	some->stop_after = 7;
	assert_int_equal(walk(f, &c, some), 42);
	assert_int_equal(missing(f, &c, 100, some), 0);

	/* All at once: only the root can be known. */
	for (size_t i = 0; i < all->count; i++)
		rename_chunk(f, &all->hashes[i], NULL);
	assert_int_equal(missing(f, &c, 100, some), 1);
	assert_true(hash_equal(&some->hashes[0], &c.root));
	assert_int_equal(content_read(f->store, &c, 0, read, 1), -ENOENT);
	some->count = 0;
	assert_int_equal(walk(f, &c, some), -ENOENT);

	/* One after the other as they are asked for, the last first. */
	for (size_t came = 0; came < all->count; came++) {
		const struct hash *last;
		size_t i = 0;

		assert_in_range(missing(f, &c, 5, some), 1, 5);
		last = &some->hashes[some->count - 1];
		while (!hash_equal(&all->hashes[i], last))
			i++;
		rename_chunk(f, last, &places[i]);
	}
	assert_int_equal(missing(f, &c, 5, some), 0);
	assert_content(f->store, &c, data, size);

	/* A block in the middle: the rest is read, and known. */
	rename_chunk(f, &all->hashes[1], NULL);
	assert_int_equal(missing(f, &c, 5, some), 1);
	assert_int_equal(content_read(f->store, &c, 0, read, 100), -ENOENT);
	assert_int_equal(content_read(f->store, &c, size - 100, read, 100),
			 100);
	assert_int_equal(missing(f, &f->empty, 5, some), 0);
	free(data);
	free(read);
	free(all);
	free(some);
}

static struct chunk_place append(struct fixture *f, struct slice bytes)
{
	struct data_loc loc;

	assert_int_equal(data_append(f->store, bytes, &loc), 0);
	return chunk_place(loc, bytes);
}

static void test_chunk_table(void **state)
{
	struct fixture *f = *state;
	struct chunk_place hello = append(f, SLICE("hello", 5)), got;
	struct chunk_place world = append(f, SLICE("world", 5));
	struct hash hash;
	struct buf bytes = BUF_INIT;

	hash_bytes("hello", 5, &hash);
	assert_int_equal(chunk_read(f->store, &hash, &bytes), -ENOENT);
	store_lock(f->store);
	assert_false(chunk_exists(f->store, &hash));
	assert_int_equal(chunk_find(f->store, &hash, &got), -ENOENT);
	assert_int_equal(store_op_begin(f->store), 0);
	assert_int_equal(chunk_add(f->store, &hash, &hello), 0);
	assert_int_equal(chunk_add(f->store, &hash, &world), 0);
	assert_int_equal(store_op_end(f->store), 0);
	assert_true(chunk_exists(f->store, &hash));
	store_unlock(f->store);
	find(f, &hash, &got);
	assert_int_equal(got.len, 5);
	assert_int_equal(got.check, hello.check);
	assert_int_equal(got.loc.segment, hello.loc.segment);
	assert_int_equal(got.loc.offset, hello.loc.offset);
	assert_int_equal(chunk_read(f->store, &hash, &bytes), 0);
	assert_true(slice_equal(buf_slice(&bytes), SLICE("hello", 5)));
	rename_chunk(f, &hash, &world);
	assert_int_equal(chunk_read(f->store, &hash, &bytes), -EIO);
	world.loc.segment += 1000;
	rename_chunk(f, &hash, &world);
	assert_int_equal(chunk_read(f->store, &hash, &bytes), -EIO);

	/* A value that is no value. */
	store_lock(f->store);
	assert_int_equal(store_op_begin(f->store), 0);
	assert_int_equal(store_put(f->store, TABLE_CHUNK,
				   SLICE(hash.b, sizeof(hash.b)),
				   SLICE("short", 5)), 0);
	assert_int_equal(store_op_end(f->store), 0);
	assert_int_equal(chunk_find(f->store, &hash, &got), -EIO);
	store_unlock(f->store);
	buf_release(&bytes);
}

static int read_at(struct fixture *f, const struct hash *hash,
		   const struct chunk_place *p, uint64_t skip, size_t len)
{
	char bytes[6] = "";
	int r = chunk_read_at(f->store, hash, p, skip, bytes, len);

	if (!r)
		assert_memory_equal(bytes, &"right"[skip], len);
	return r;
}

/* Bytes that are read are known by their check; without one, or with a wrong
 * one, by their hash. */
static void test_check(void **state)
{
	struct fixture *f = *state;
	struct hash hash, other;
	struct chunk_place p;

	hash_bytes("right", 5, &hash);
	hash_bytes("of another", 10, &other);
	/* (each place is asked about once: what was sound is remembered) */
	p = append(f, SLICE("right", 5));
	assert_int_equal(read_at(f, &hash, &p, 0, 5), 0);
	p = append(f, SLICE("right", 5));
	assert_int_equal(read_at(f, &hash, &p, 2, 3), 0);
	assert_int_equal(read_at(f, &hash, &p, 0, 3), 0);
	p = append(f, SLICE("right", 5));
	assert_int_equal(read_at(f, &other, &p, 0, 5), 0);
	p = append(f, SLICE("right", 5));
	p.check = 0;
	assert_int_equal(read_at(f, &other, &p, 0, 5), -EIO);
	assert_int_equal(read_at(f, &hash, &p, 0, 5), 0);
	p = append(f, SLICE("right", 5));
	p.check ^= 1;
	assert_int_equal(read_at(f, &other, &p, 0, 5), -EIO);
	assert_int_equal(read_at(f, &hash, &p, 0, 5), 0);
	for (int whole = 0; whole < 2; whole++) {
		struct chunk_place damaged = append(f, SLICE("rigth", 5));

		damaged.check = p.check ^ 1;
		assert_int_equal(read_at(f, &hash, &damaged, 0, whole ? 5 : 2),
				 -EIO);
	}
}

static uint64_t stored(struct fixture *f, const struct content *c,
		       int expected)
{
	uint64_t bytes = 0;

	store_lock(f->store);
	assert_int_equal(content_stored(f->store, c, &bytes), expected);
	store_unlock(f->store);
	return bytes;
}

/* What is one chunk or one hole needs no block to tell; a longer one does. */
static void test_stored(void **state)
{
	static const uint64_t sizes[] = {
		INLINE_BYTES_MAX + 1, 10000, CHUNK_BYTES_MIN,
		CHUNK_BYTES_MIN + 1,
	};
	struct fixture *f = *state;
	struct content zeros, data;

	for (size_t k = 0; k < ARRAY_SIZE(sizes); k++) {
		bool is_long = sizes[k] > CHUNK_BYTES_MIN;

		build_and_commit(f->store, &f->empty, 0, sizes[k], NULL, 0,
				 &f->bytes, &zeros);
		free(make_file(f, sizes[k], &data));
		assert_int_equal(stored(f, &zeros, 0), 0);
		assert_int_equal(stored(f, &data, 0), sizes[k]);
		rename_chunk(f, &zeros.root, NULL);
		rename_chunk(f, &data.root, NULL);
		assert_int_equal(stored(f, &zeros, is_long),
				 is_long ? sizes[k] : 0);
		assert_int_equal(stored(f, &data, is_long), sizes[k]);
	}
}

/* ---- damage */

/* Puts changed bytes in the place of a block or chunk. */
static void damage(struct fixture *f, const struct hash *hash, size_t at)
{
	struct buf bytes = BUF_INIT;
	struct chunk_place sound, damaged;

	find(f, hash, &sound);
	assert_int_equal(chunk_read(f->store, hash, &bytes), 0);
	bytes.data[at % bytes.len] ^= 0x10;
	damaged = append(f, buf_slice(&bytes));
	damaged.check = sound.check;
	rename_chunk(f, hash, &damaged);
	buf_release(&bytes);
}

static void test_damage(void **state)
{
	struct fixture *f = *state;
	uint64_t size = 2 << 20;
	struct content c;
	uint8_t *data = make_file(f, size, &c);
	struct list *all = calloc(1, sizeof(*all));
	struct chunk_place p;
	struct content_extent x = { .offset = 50, .len = 10,
				    .kind = EXTENT_ZERO };

	assert_int_equal(walk(f, &c, all), 0);
	find(f, &c.root, &p);
	/* Version, level, count, kind, length, hash of the first entry. */
	for (size_t at = 0; at < 12; at++) {
		damage(f, &c.root, at);
		assert_int_equal(content_read(f->store, &c, 0, data, 100),
				 -EIO);
		assert_int_equal(missing(f, &c, 5, all), -EIO);
		assert_int_equal(build_error(f, &c, size, &x, 1), -EIO);
		rename_chunk(f, &c.root, &p);
	}
	assert_int_equal(content_read(f->store, &c, 0, data, 100), 100);

	/* No new content from a damaged chunk; away from it, all is well. */
	memset(all, 0, sizeof(*all));
	assert_int_equal(walk(f, &c, all), 0);
	damage(f, &all->hashes[1], 77);
	assert_int_equal(build_error(f, &c, size, &x, 1), -EIO);
	x.offset = size - 100;
	assert_int_equal(build_error(f, &c, size, &x, 1), 0);
	/* A chunk of another length. */
	find(f, &all->hashes[1], &p);
	p.len--;
	rename_chunk(f, &all->hashes[1], &p);
	assert_int_equal(content_read(f->store, &c, 0, data, 100), -EIO);
	free(data);
	free(all);
}

/* ---- growth */

static int grows(struct fixture *f, const struct content *old,
		 const struct content *new)
{
	int r;

	store_lock(f->store);
	r = content_grows(f->store, old, new);
	store_unlock(f->store);
	return r;
}

/* The first len bytes, built by themselves. Inline bytes are copied. */
static struct content part(struct fixture *f, const uint8_t *data, size_t len,
			   uint8_t inline_bytes[INLINE_BYTES_MAX])
{
	struct content_extent x = { .len = len, .kind = EXTENT_BYTES,
				    .bytes = data };
	struct content c;

	build_and_commit(f->store, &f->empty, 0, len, &x, len > 0, &f->bytes,
			 &c);
	if (!c.depth && c.size) {
		memcpy(inline_bytes, c.inline_bytes.data, c.size);
		c.inline_bytes = SLICE(inline_bytes, c.size);
	}
	return c;
}

/* Lengths about every line: inline, one chunk, many, blocks of blocks. And
 * one byte of the old one that is another is no growth. */
static void test_growth(void **state)
{
	static const size_t sizes[] = {
		0, 1, 4095, 4096, 4097, 16384, 20000, 262144, 700001,
		3 << 20, 9000001, 24 << 20,
	};
	static uint8_t inlines[2][INLINE_BYTES_MAX];
	struct fixture *f = *state;
	size_t all = 24 << 20;
	uint8_t *data = malloc(all), *zeros = calloc(1, all);

	random_fill(&f->seed, data, all);
	/* Holes that begin and end within chunks. */
	memset(data + 400000, 0, 1000000);
	memset(data + (8 << 20), 0, 2 << 20);
	for (size_t a = 0; a < ARRAY_SIZE(sizes); a++) {
		struct content old = part(f, data, sizes[a], inlines[0]), new;

		for (size_t b = 0; b < ARRAY_SIZE(sizes); b++) {
			new = part(f, data, sizes[b], inlines[1]);
			assert_int_equal(grows(f, &old, &new), a <= b);
		}
		for (int k = 0; k < 8 && sizes[a]; k++) {
			size_t at = k ? random_below(&f->seed, sizes[a]) :
					sizes[a] - 1;
			size_t len = MIN_OF(sizes[a] + 100000, all);

			data[at] ^= 1;
			new = part(f, data, len, inlines[1]);
			data[at] ^= 1;
			assert_int_equal(grows(f, &old, &new), 0);
		}
		/* Nothing but zeros, and then something. */
		old = part(f, zeros, sizes[a], inlines[0]);
		new = part(f, zeros, all, inlines[1]);
		assert_int_equal(grows(f, &old, &new), 1);
		if (sizes[a] < all) {
			zeros[sizes[a]] = 1;
			new = part(f, zeros, all, inlines[1]);
			assert_int_equal(grows(f, &old, &new), 1);
			zeros[sizes[a]] = 0;
		}
	}
	free(data);
	free(zeros);
}

static void test_bad_arguments(void **state)
{
	struct fixture *f = *state;
	struct content bad = { .size = 10000, .depth = 1 };
	struct content_extent x[2] = {
		{ .offset = 100, .len = 100, .kind = EXTENT_ZERO },
		{ .offset = 199, .len = 100, .kind = EXTENT_ZERO },
	};
	uint8_t byte;

	assert_int_equal(build_error(f, &f->empty, 1000, x, 2), -EINVAL);
	x[1].offset = 50;
	assert_int_equal(build_error(f, &f->empty, 1000, x, 2), -EINVAL);
	x[1].offset = 950;
	assert_int_equal(build_error(f, &f->empty, 1000, x, 2), -EINVAL);
	x[1].len = UINT64_MAX;
	assert_int_equal(build_error(f, &f->empty, 1000, x, 2), -EINVAL);
	x[1].len = 0;
	assert_int_equal(build_error(f, &f->empty, 1000, x, 2), -EINVAL);
	assert_int_equal(build_error(f, &f->empty, UINT64_C(1) << 63, x, 1),
			 -EFBIG);
	/* Contents that cannot be, as a damaged row could have them. */
	assert_int_equal(build_error(f, &bad, 10000, x, 1), -ENOENT);
	assert_int_equal(content_read(f->store, &bad, 0, &byte, 1), -ENOENT);
	bad.depth = MANIFEST_DEPTH_MAX + 1;
	assert_int_equal(build_error(f, &bad, 10000, x, 1), -EIO);
	assert_int_equal(content_read(f->store, &bad, 0, &byte, 1), -EIO);
	bad.depth = 0;
	assert_int_equal(build_error(f, &bad, 10000, x, 1), -EIO);
	assert_int_equal(content_read(f->store, &bad, 0, &byte, 1), -EIO);
}

static void test_golden_root(void **state)
{
	struct fixture *f = *state;
	FILE *file = golden_open("content-root.txt");
	uint64_t size, depth;
	char want[80], hex[80];
	struct content c;
	size_t len;
	uint8_t *data = golden_input(&len);
	struct content_extent x = { .len = len, .kind = EXTENT_BYTES,
				    .bytes = data };

	assert_int_equal(fscanf(file, "%" SCNu64 " %" SCNu64 " %79s", &size,
				&depth, want), 3);
	build_and_commit(f->store, &f->empty, 0, len, &x, 1, &f->bytes, &c);
	hex_encode(c.root.b, sizeof(c.root.b), hex);
	assert_int_equal(c.size, size);
	assert_int_equal(c.depth, depth);
	assert_string_equal(hex, want);
	free(data);
	fclose(file);
}

/* Says how fast it is; asserts nothing but the bytes. */
static void test_speed(void **state)
{
	struct fixture *f = *state;
	uint64_t size = 64 << 20;
	struct timespec t[3];
	struct content c;
	uint8_t *data, read[WRITE_BYTES];
	double made, got;

	clock_gettime(CLOCK_MONOTONIC, &t[0]);
	data = make_file(f, size, &c);
	clock_gettime(CLOCK_MONOTONIC, &t[1]);
	for (int i = 0; i < 2000; i++) {
		uint64_t at = random_below(&f->seed, size - sizeof(read));

		assert_int_equal(content_read(f->store, &c, at, read,
					      sizeof(read)), sizeof(read));
		if (i % 16 == 0)
			assert_int_equal(memcmp(read, data + at,
						sizeof(read)), 0);
	}
	clock_gettime(CLOCK_MONOTONIC, &t[2]);
	made = (double)(t[1].tv_sec - t[0].tv_sec) +
	       1e-9 * (double)(t[1].tv_nsec - t[0].tv_nsec);
	got = (double)(t[2].tv_sec - t[1].tv_sec) +
	      1e-9 * (double)(t[2].tv_nsec - t[1].tv_nsec);
	print_message("fill, append and cut: %.2f GB/s; "
		      "a random read of 128 KiB: %.1f us\n",
		      (double)size / made / 1e9, got / 2000 * 1e6);
	free(data);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_values),
		TEST(test_sequential_file_is_not_copied),
		TEST(test_edit_costs_little),
		TEST(test_repeats_are_stored_once),
		TEST(test_inline_line),
		TEST(test_huge_hole),
		TEST(test_walk_and_missing),
		TEST(test_chunk_table),
		TEST(test_check),
		TEST(test_stored),
		TEST(test_damage),
		TEST(test_growth),
		TEST(test_bad_arguments),
		TEST(test_golden_root),
		TEST(test_speed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
