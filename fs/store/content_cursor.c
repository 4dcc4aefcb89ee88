/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Walking down and along a manifest.
 *
 * The root is treated as the only entry of a block one level above it, so
 * that there is one case and not two. A seek climbs to the lowest block in
 * hand that contains the offset, and descends from there; so reading on
 * from where one was costs a look at the next entry.
 *
 * Every block is checked for form when it is read: lengths that add up to
 * what the entry above says. Its hash is checked each time if asked for,
 * else as that of a chunk that is read (chunk_read_at()).
 */
#include "fs/store/content_cursor.h"

#include <errno.h>

#include "fs/base/hash.h"

int content_cursor_init(struct content_cursor *c, struct store *s,
			const struct content *content, unsigned int flags)
{
	struct cursor_level *top;

	*c = (struct content_cursor){
		.store = s,
		.flags = flags,
		.size = content->size,
		.depth = content->depth,
	};
	if (c->depth < 1 || c->depth > MANIFEST_DEPTH_MAX || c->size < 1 ||
	    c->size > FILE_BYTES_MAX)
		return -EIO;
	top = &c->level[c->depth + 1];
	top->end = c->size;
	top->entry = (struct manifest_entry){
		.len = content->size,
		.hash = content->root,
	};
	return 0;
}

void content_cursor_release(struct content_cursor *c)
{
	for (size_t l = 0; l < ARRAY_SIZE(c->level); l++)
		buf_release(&c->level[l].block);
}

static int find_chunk(struct content_cursor *c, const struct hash *hash,
		      struct chunk_place *ret)
{
	int r;

	if (c->flags & CURSOR_LOCKED)
		return chunk_find(c->store, hash, ret);
	store_lock(c->store);
	r = chunk_find(c->store, hash, ret);
	store_unlock(c->store);
	return r;
}

/*
 * A hash that stands in a block of this level is not here: is it perhaps
 * the block that is wrong?
 */
static int not_here(struct content_cursor *c, uint8_t level)
{
	const struct cursor_level *l = &c->level[level];

	if (level > c->depth || (c->flags & CURSOR_VERIFY))
		return -ENOENT;
	return hash_is(&l->hash, l->block.data, l->block.len) ? -ENOENT : -EIO;
}

/* Reads the block that the entry in hand of the level above names. */
static int load(struct content_cursor *c, uint8_t level)
{
	const struct cursor_level *above = &c->level[level + 1];
	struct cursor_level *l = &c->level[level];
	struct chunk_place p;
	int r;

	l->start = l->end = 0;
	c->wanted = above->entry.hash;
	r = find_chunk(c, &above->entry.hash, &p);
	if (r < 0) {
		c->absent_end = above->entry_start + above->entry.len;
		return r == -ENOENT ? not_here(c, level + 1) : r;
	}
	if (p.len > MANIFEST_BYTES_MAX)
		return -EIO;
	buf_reset(&l->block);
	if (!buf_extend(&l->block, p.len))
		return -ENOMEM;
	l->hash = above->entry.hash;
	if (c->flags & CURSOR_VERIFY) {
		if (data_read(c->store, p.loc, l->block.data, p.len) < 0 ||
		    !hash_is(&l->hash, l->block.data, p.len))
			return -EIO;
	} else {
		r = chunk_read_at(c->store, &l->hash, &p, 0, l->block.data,
				  p.len);
		if (r)
			return r;
	}
	if (manifest_check(buf_slice(&l->block), level, above->entry.len) < 0)
		return -EIO;
	l->start = above->entry_start;
	l->end = l->start + above->entry.len;
	l->entry.len = 0;
	l->entry_start = l->start;
	manifest_iter_init(&l->iter, buf_slice(&l->block));
	return 0;
}

/* Moves within a block to the entry that contains the offset. */
static void scan(struct cursor_level *l, uint64_t offset)
{
	if (offset < l->entry_start) {
		manifest_iter_init(&l->iter, buf_slice(&l->block));
		l->entry.len = 0;
		l->entry_start = l->start;
	}
	while (offset - l->entry_start >= l->entry.len) {
		l->entry_start += l->entry.len;
		kin_assert(manifest_next(&l->iter, &l->entry));
	}
}

int content_cursor_seek(struct content_cursor *c, uint8_t level,
			uint64_t offset, struct manifest_entry *ret_entry,
			uint64_t *ret_start)
{
	uint8_t at = level;

	kin_assert(offset < c->size && level >= 1 && level <= c->depth + 1);
	while (offset < c->level[at].start || offset >= c->level[at].end)
		at++;
	for (;; at--) {
		if (at <= c->depth)
			scan(&c->level[at], offset);
		if (at == level)
			break;
		int r = load(c, at - 1);

		if (r < 0)
			return r;
	}
	*ret_entry = c->level[level].entry;
	*ret_start = c->level[level].entry_start;
	return 0;
}

int content_cursor_locate(struct content_cursor *c,
			  const struct manifest_entry *e,
			  struct chunk_place *ret)
{
	int r = find_chunk(c, &e->hash, ret);

	if (r < 0)
		return r == -ENOENT ? not_here(c, 1) : r;
	return ret->len == e->len ? 0 : -EIO;
}
