/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Contents over blocks that say anything: u8 depth, varint size, u8 number
 * of blocks, each as varint length and bytes; the first is the root. In a
 * block a hash that begins with 0xfe n stands for that of the n-th block or,
 * beyond the blocks, of a chunk of n bytes; so that a fuzzer can make
 * trees, and blocks that name themselves twice. Then the content is read,
 * walked, checked and compared, and a new one made of it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/base/hash.h"
#include "fs/store/content.h"
#include "fs/tree/tree_internal.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/node.h"

#define BLOCKS_MAX 16
/* Entries looked at in one walk: some levels of some blocks. */
#define WALK_MAX 5000

struct made {
	struct store *store;
	struct hash hashes[BLOCKS_MAX];
	size_t count, walked;
};

static void put_chunk(struct made *m, struct slice bytes, struct hash *ret)
{
	struct chunk_place p;
	struct data_loc loc;

	hash_bytes(bytes.data, bytes.len, ret);
	fuzz_must(data_append(m->store, bytes, &loc));
	p = chunk_place(loc, bytes);
	store_lock(m->store);
	fuzz_must(store_op_begin(m->store));
	fuzz_must(chunk_add(m->store, ret, &p));
	fuzz_must(store_op_end(m->store));
	store_unlock(m->store);
}

/* Puts real hashes for those that stand for others. */
static void link_blocks(struct made *m, uint8_t *block, size_t len)
{
	static const uint8_t fill[256];

	for (size_t i = 0; i + sizeof(struct hash) <= len; i++) {
		struct hash h;

		if (block[i] != 0xfe)
			continue;
		if (block[i + 1] < m->count)
			h = m->hashes[block[i + 1]];
		else if (block[i + 1])
			put_chunk(m, SLICE(fill, block[i + 1]), &h);
		else
			continue;
		memcpy(block + i, h.b, sizeof(h.b));
		i += sizeof(struct hash) - 1;
	}
}

static int count_missing(void *arg, const struct hash *h)
{
	(void)h;
	++*(size_t *)arg;
	return 0;
}

static int count_walked(void *arg, const struct hash *h, uint32_t len)
{
	struct made *m = arg;

	(void)h;
	kin_assert(len && len <= CHUNK_BYTES_MAX);
	return ++m->walked > WALK_MAX;
}

static bool is_error_of_contents(int64_t r)
{
	return r >= 0 || r == -ENOENT || r == -EIO;
}

static void look(struct made *m, const struct content *c)
{
	static const struct content_extent over = {
		.offset = 3, .len = 2, .kind = EXTENT_BYTES,
		.bytes = (const uint8_t *)"xy" };
	cleanup(buf_release) struct buf bytes = BUF_INIT;
	struct content_faults faults = { 0 };
	struct content_build *build;
	struct content new;
	size_t missing = 0;
	uint64_t at = 0;
	uint8_t page[512];
	int64_t n;
	int r;

	store_lock(m->store);
	n = content_missing(m->store, c, 64, count_missing, &missing);
	kin_assert(is_error_of_contents(n));
	kin_assert(n < 0 || (size_t)n == missing);
	r = content_walk(m->store, c, count_walked, m);
	kin_assert(is_error_of_contents(r));
	kin_assert(is_error_of_contents(content_grows(m->store, c, c)));
	store_unlock(m->store);
	for (int i = 0; i < 4; i++) {
		uint64_t from = c->size / 4 * (uint64_t)i;

		n = content_read(m->store, c, from, page, sizeof(page));
		kin_assert(is_error_of_contents(n) &&
			   n <= (int64_t)sizeof(page));
	}
	for (int i = 0; i < 100 && at < c->size; i++) {
		uint64_t was = at;

		r = content_check(m->store, c, &at, CHUNK_BYTES_MAX, &faults);
		kin_assert(is_error_of_contents(r));
		if (r)
			break;
		kin_assert(at > was);
	}
	/* (of a base that is mostly kept: what is changed is near the start) */
	r = content_build(m->store, c, c->size, MIN_OF(c->size, 1u << 20),
			  &over, 1, &bytes, &new, &build);
	kin_assert(is_error_of_contents(r));
	if (!r)
		content_build_free(build);
}

void fuzz_content(struct slice in)
{
	static const char *dir;
	struct reader r = READER(in.data, in.len);
	struct content c = { .depth = reader_u8(&r) };
	struct made m = { .count = 0 };
	struct slice blocks[BLOCKS_MAX] = { { 0 } };
	size_t n;

	c.depth = c.depth % MANIFEST_DEPTH_MAX + 1;
	c.size = reader_varint(&r) % FILE_BYTES_MAX;
	if (c.size <= INLINE_BYTES_MAX)
		c.size += INLINE_BYTES_MAX + 1;
	n = reader_u8(&r) % BLOCKS_MAX;
	for (size_t i = 0; i < n; i++)
		blocks[i] = reader_string(&r, MANIFEST_BYTES_MAX);
	if (r.failed || !n)
		return;
	if (!dir)
		dir = fuzz_dir("content");
	m.store = fuzz_store_open(dir);
	/* The last first: a block can name those behind it. */
	for (size_t i = n; i-- > 0;) {
		autofree uint8_t *copy = malloc(blocks[i].len + 1);

		fuzz_must(copy ? 0 : -ENOMEM);
		if (!blocks[i].len)
			continue;
		memcpy(copy, blocks[i].data, blocks[i].len);
		link_blocks(&m, copy, blocks[i].len);
		put_chunk(&m, SLICE(copy, blocks[i].len), &m.hashes[m.count++]);
	}
	if (m.count) {
		c.root = m.hashes[m.count - 1];
		look(&m, &c);
	}
	store_abandon(m.store);
	fuzz_dir_clear(dir);
}
