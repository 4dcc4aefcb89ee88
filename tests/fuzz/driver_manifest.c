/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Blocks of manifests: u8 level, then the block; or (a level above 5) a list
 * of entries that a builder is to make a tree of. A block that is accepted is
 * walked: its entries must be as FORMAT.md says, and give its bytes again.
 * Of a tree every block must be accepted, and none be other when the same
 * entries come a second time.
 */
#include <errno.h>
#include <string.h>

#include "fs/base/hash.h"
#include "fs/store/content.h"
#include "fs/store/manifest.h"
#include "tests/fuzz/fuzz.h"

static void put_entry(struct buf *b, uint8_t level,
		      const struct manifest_entry *e)
{
	if (level == 1)
		buf_put_u8(b, e->hole);
	buf_put_varint(b, e->len);
	if (!e->hole)
		buf_put(b, e->hash.b, sizeof(e->hash.b));
}

/* The sum of the lengths that a block says, however wrong the rest is. */
static uint64_t span_of(struct slice block, uint8_t level)
{
	struct reader r = READER(block.data, block.len);
	uint64_t span = 0, count;

	(void)reader_u16(&r);
	count = reader_varint(&r);
	while (!r.failed && count--) {
		uint8_t kind = level == 1 ? reader_u8(&r) : 0;

		span += reader_varint(&r);
		if (!kind)
			(void)reader_bytes(&r, sizeof(struct hash));
	}
	return span;
}

static void check_block(struct slice block, uint8_t level, uint64_t span)
{
	cleanup(buf_release) struct buf again = BUF_INIT;
	struct manifest_iter it;
	struct manifest_entry e;
	uint64_t sum = 0;
	bool hole = false;

	manifest_iter_init(&it, block);
	kin_assert(it.level == level);
	kin_assert(it.left >= 1 && it.left <= MANIFEST_ENTRIES_MAX);
	buf_put_u8(&again, block.data[0]);
	buf_put_u8(&again, level);
	buf_put_varint(&again, it.left);
	while (manifest_next(&it, &e)) {
		kin_assert(e.len && !(e.hole && hole));
		kin_assert(level > 1 || e.hole || e.len <= CHUNK_BYTES_MAX);
		kin_assert(level == 1 || !e.hole);
		hole = e.hole;
		sum += e.len;
		put_entry(&again, level, &e);
	}
	kin_assert(sum == span && span <= FILE_BYTES_MAX);
	kin_assert(slice_equal(buf_slice(&again), block));
}

/* ---- building */

struct built {
	struct hash hashes; /* over all hashes of blocks */
	uint64_t blocks;
};

static int put_block(void *arg, const struct hash *hash, struct slice block)
{
	struct built *b = arg;
	uint64_t span = span_of(block, block.data[1]);
	struct hash both[2] = { b->hashes, *hash }, real;

	hash_bytes(block.data, block.len, &real);
	kin_assert(hash_equal(&real, hash));
	kin_assert(!manifest_check(block, block.data[1], span));
	check_block(block, block.data[1], span);
	hash_bytes(both, sizeof(both), &b->hashes);
	b->blocks++;
	return 0;
}

/* Entries: u8 first byte of the hash, u8 kind, varint length, varint how
 * many of it. */
static int build(struct slice in, struct built *ret)
{
	/* (entries of one input: a few levels, in milliseconds) */
	static const unsigned int entries_max = 20000;
	struct reader r = READER(in.data, in.len);
	struct manifest_builder b;
	unsigned int n = 0;
	struct hash root;
	uint8_t depth;
	int e = 0;

	manifest_builder_init(&b, put_block, ret);
	while (!e && reader_left(&r)) {
		struct manifest_entry entry = { .hash.b[0] = reader_u8(&r) };
		uint64_t times;

		entry.hole = reader_u8(&r) & 1;
		if (entry.hole)
			entry.hash.b[0] = 0;
		entry.len = reader_varint(&r) % CHUNK_BYTES_MAX + 1;
		times = reader_varint(&r) % 1000;
		for (uint64_t k = 0; !e && k <= times && n < entries_max; k++) {
			entry.hash.b[31] = (uint8_t)k;
			if (entry.hole)
				entry.hash.b[31] = 0;
			e = manifest_builder_add(&b, &entry);
			n++;
		}
	}
	if (!e && n) {
		e = manifest_builder_finish(&b, &depth, &root);
		kin_assert(e || (depth >= 1 && depth <= MANIFEST_DEPTH_MAX));
	}
	manifest_builder_release(&b);
	kin_assert(!e || e == -EFBIG);
	return e;
}

void fuzz_manifest(struct slice in)
{
	struct built one = { .blocks = 0 }, two = { .blocks = 0 };
	struct slice rest = SLICE(in.data + 1, in.len ? in.len - 1 : 0);
	uint64_t span;
	uint8_t level;

	if (!in.len)
		return;
	level = in.data[0];
	if (level > MANIFEST_DEPTH_MAX) {
		kin_assert(build(rest, &one) == build(rest, &two));
		kin_assert(one.blocks == two.blocks &&
			   hash_equal(&one.hashes, &two.hashes));
		return;
	}
	span = span_of(rest, level);
	if (!manifest_check(rest, level, span))
		check_block(rest, level, span);
	kin_assert(manifest_check(rest, level, span + 1));
}

/* ---- seeds */

static void (*put_seed)(const char *, struct slice);

static int seed_block(void *arg, const struct hash *hash, struct slice block)
{
	cleanup(buf_release) struct buf b = BUF_INIT;
	int *n = arg;
	char name[32] = "block-0";

	(void)hash;
	name[6] = (char)('0' + *n);
	buf_put_u8(&b, block.data[1]);
	buf_put_slice(&b, block);
	if (*n < 4)
		put_seed(name, buf_slice(&b));
	++*n;
	return 0;
}

void fuzz_manifest_seeds(void (*put)(const char *, struct slice))
{
	static const uint8_t list[] = { 9, 7, 0, 0xff, 0x7f, 20,  8, 0, 5, 3,
					0, 1, 9, 2,    0,    0,	  9, 1, 7, 0 };
	struct manifest_builder b;
	struct hash root;
	uint8_t depth;
	int n = 0;

	put_seed = put;
	put("list", SLICE(list, sizeof(list)));
	manifest_builder_init(&b, seed_block, &n);
	for (int i = 0; i < 40; i++) {
		struct manifest_entry e = { .len = 20000 + (uint64_t)i,
					    .hole = i % 9 == 3 };

		if (!e.hole)
			memset(e.hash.b, i % 10 == 9 ? 0 : i + 1, 32);
		fuzz_must(manifest_builder_add(&b, &e));
	}
	fuzz_must(manifest_builder_finish(&b, &depth, &root));
	manifest_builder_release(&b);
}
