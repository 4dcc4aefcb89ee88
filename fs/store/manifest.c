/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Manifest blocks: encoding, checking, and building of the tree.
 *
 * A block:	u8 version (1), u8 level, varint count, count entries.
 * An entry:	level 1: u8 kind, varint length, and the chunk's hash if it
 *		is data; above: varint length, hash of the block below.
 *
 * Where a block ends depends on its entries only, as it is with chunks, so
 * that an edit changes the blocks on its path and no others. A block above
 * level 1 has two entries at least (the last of its level excepted): else
 * an unlucky hash on each level in turn could make any number of levels.
 *
 * The builder keeps one block in hand for each level. A hole is held back
 * until a chunk follows, because it may still grow; it counts as an entry
 * only then.
 */
#include "fs/store/manifest.h"

#include <errno.h>

#include "fs/base/hash.h"
#include "fs/store/content.h"

enum entry_kind {
	KIND_DATA = 0,
	KIND_HOLE = 1,
};

/* Whether a block ends after its entry number `count`, from 1. */
static bool ends_block(uint8_t level, uint32_t count,
		       const struct manifest_entry *e)
{
	if (count >= MANIFEST_ENTRIES_MAX)
		return true;
	if (e->hole || (level > 1 && count < 2))
		return false;
	return get_le64(e->hash.b) % MANIFEST_ENTRIES_AVG == 0;
}

static void entry_read(struct reader *r, uint8_t level,
		       struct manifest_entry *ret)
{
	uint8_t kind = level == 1 ? reader_u8(r) : KIND_DATA;

	*ret = (struct manifest_entry){
		.len = reader_varint(r),
		.hole = kind == KIND_HOLE,
	};
	if (kind > KIND_HOLE)
		reader_fail(r);
	if (!ret->hole)
		reader_copy(r, ret->hash.b, sizeof(ret->hash.b));
}

static void entry_write(struct buf *b, uint8_t level,
			const struct manifest_entry *e)
{
	if (level == 1)
		buf_put_u8(b, e->hole ? KIND_HOLE : KIND_DATA);
	buf_put_varint(b, e->len);
	if (!e->hole)
		buf_put(b, e->hash.b, sizeof(e->hash.b));
}

int manifest_hole_root(uint64_t len, struct hash *ret)
{
	const struct manifest_entry hole = {.len = len, .hole = true};
	cleanup(buf_release) struct buf b = BUF_INIT;
	int r;

	buf_put_u8(&b, MANIFEST_VERSION);
	buf_put_u8(&b, 1);
	buf_put_varint(&b, 1);
	entry_write(&b, 1, &hole);
	r = buf_error(&b);
	if (!r)
		hash_bytes(b.data, b.len, ret);
	return r;
}

/* The bytes of content that it stands for; 0: it is none. */
static uint64_t block_read(struct reader *r, uint8_t *ret_level)
{
	bool after_hole = false;
	uint64_t count, span = 0;

	if (reader_u8(r) != MANIFEST_VERSION)
		return 0;
	*ret_level = reader_u8(r);
	count = reader_varint(r);
	if (*ret_level < 1 || *ret_level > MANIFEST_DEPTH_MAX || count < 1 ||
	    count > MANIFEST_ENTRIES_MAX)
		return 0;
	for (uint32_t i = 1; i <= count; i++) {
		struct manifest_entry e;

		entry_read(r, *ret_level, &e);
		if (reader_ok(r) < 0 || !e.len || e.len > FILE_BYTES_MAX - span)
			return 0;
		if (*ret_level == 1 && !e.hole && e.len > CHUNK_BYTES_MAX)
			return 0;
		if (e.hole && after_hole)
			return 0;
		if (i < count && ends_block(*ret_level, i, &e))
			return 0;
		after_hole = e.hole;
		span += e.len;
	}
	return span;
}

int manifest_check(struct slice block, uint8_t level, uint64_t span)
{
	struct reader r = READER(block.data, block.len);
	uint8_t found_level;
	uint64_t found;

	if (block.len > MANIFEST_BYTES_MAX)
		return -EBADMSG;
	found = block_read(&r, &found_level);
	if (!found || found != span || found_level != level)
		return -EBADMSG;
	return reader_done(&r);
}

size_t manifest_block_bytes(struct slice bytes)
{
	struct reader r = READER(bytes.data, MIN_OF(bytes.len,
						    (size_t)MANIFEST_BYTES_MAX));
	uint8_t level;

	return block_read(&r, &level) ? (size_t)(r.at - bytes.data) : 0;
}

void manifest_iter_init(struct manifest_iter *it, struct slice block)
{
	it->reader = READER(block.data, block.len);
	reader_u8(&it->reader);
	it->level = reader_u8(&it->reader);
	it->left = (uint32_t)reader_varint(&it->reader);
}

bool manifest_next(struct manifest_iter *it, struct manifest_entry *ret)
{
	if (!it->left)
		return false;
	it->left--;
	entry_read(&it->reader, it->level, ret);
	kin_assert(!it->reader.failed);
	return true;
}

void manifest_builder_init(struct manifest_builder *b,
			   int (*put)(void *arg, const struct hash *,
				      struct slice block),
			   void *arg)
{
	*b = (struct manifest_builder){ .put = put, .arg = arg };
}

void manifest_builder_release(struct manifest_builder *b)
{
	for (size_t l = 0; l < ARRAY_SIZE(b->level); l++)
		buf_release(&b->level[l].entries);
	buf_release(&b->block);
}

/* Puts the block in hand and makes the entry for it. */
static int level_close(struct manifest_builder *b, uint8_t level,
		       struct manifest_entry *ret)
{
	struct manifest_level *l = &b->level[level];
	struct manifest_entry e = { .len = l->span };
	int r;

	buf_reset(&b->block);
	buf_put_u8(&b->block, MANIFEST_VERSION);
	buf_put_u8(&b->block, level);
	buf_put_varint(&b->block, l->count);
	buf_put_slice(&b->block, buf_slice(&l->entries));
	r = buf_error(&b->block);
	if (r < 0)
		return r;
	kin_assert(b->block.len <= MANIFEST_BYTES_MAX);
	hash_bytes(b->block.data, b->block.len, &e.hash);
	r = b->put(b->arg, &e.hash, buf_slice(&b->block));
	if (r < 0)
		return r;
	buf_reset(&l->entries);
	l->span = 0;
	l->count = 0;
	*ret = e;
	return 0;
}

/* Adds an entry to a level, and the blocks that it fills to those above. */
static int level_add(struct manifest_builder *b, uint8_t level,
		     const struct manifest_entry *entry)
{
	struct manifest_entry e = *entry;

	for (;; level++) {
		struct manifest_level *l = &b->level[level];
		int r;

		l->total++;
		l->last = e.hash;
		if (level > MANIFEST_DEPTH_MAX)
			return l->total > 1 ? -EFBIG : 0;
		entry_write(&l->entries, level, &e);
		r = buf_error(&l->entries);
		if (r < 0)
			return r;
		l->span += e.len;
		l->count++;
		if (!ends_block(level, l->count, &e))
			return 0;
		r = level_close(b, level, &e);
		if (r < 0)
			return r;
	}
}

static int flush_hole(struct manifest_builder *b)
{
	struct manifest_entry e = { .len = b->hole, .hole = true };

	if (!b->hole)
		return 0;
	b->hole = 0;
	return level_add(b, 1, &e);
}

int manifest_builder_add(struct manifest_builder *b,
			 const struct manifest_entry *e)
{
	int r;

	kin_assert(e->len);
	if (e->hole) {
		b->hole += e->len;
		return 0;
	}
	r = flush_hole(b);
	return r < 0 ? r : level_add(b, 1, e);
}

bool manifest_builder_takes_block(const struct manifest_builder *b,
				  uint8_t level)
{
	if (b->hole)
		return false;
	for (uint8_t l = 1; l <= level; l++)
		if (b->level[l].count)
			return false;
	return true;
}

int manifest_builder_add_block(struct manifest_builder *b, uint8_t level,
			       const struct manifest_entry *e)
{
	kin_assert(manifest_builder_takes_block(b, level));
	return level_add(b, level + 1, e);
}

/* Whether the only block below this level is the root. */
static bool is_above_root(const struct manifest_builder *b, uint8_t level)
{
	if (b->level[level].total != 1)
		return false;
	for (size_t l = level + 1U; l < ARRAY_SIZE(b->level); l++)
		if (b->level[l].total)
			return false;
	return true;
}

int manifest_builder_finish(struct manifest_builder *b, uint8_t *ret_depth,
			    struct hash *ret_root)
{
	int r = flush_hole(b);

	for (uint8_t level = 1; r >= 0; level++) {
		struct manifest_entry e;

		kin_assert(level <= MANIFEST_DEPTH_MAX);
		if (b->level[level].count) {
			r = level_close(b, level, &e);
			if (r >= 0)
				r = level_add(b, level + 1, &e);
		}
		if (r >= 0 && is_above_root(b, level + 1)) {
			*ret_depth = level;
			*ret_root = b->level[level + 1].last;
			return 0;
		}
	}
	return r;
}
