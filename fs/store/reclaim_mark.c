/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Marking: a walk of the tables that have roots, and of the blocks below
 * what they name.
 *
 * Blocks that wait to be walked are a stack; what is replaced meanwhile is
 * put on it by the barrier, so it is walked next, and the stack stays as
 * short as the contents are high. A slice of the tables is looked at only
 * when the stack is empty. Blocks that were walked in this round are
 * remembered as far as memory allows, by hash: versions of one file share
 * most of them.
 *
 * A block that is not here has not come yet; when it comes, what is found
 * below it is touched by who looks whether the content is complete.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/base/hash.h"
#include "fs/base/log.h"
#include "fs/store/manifest.h"
#include "fs/store/store_internal.h"

/* Looked at in one hold of the lock: bytes of values, chunks of a block. */
#define SCAN_BYTES (256u << 10)
#define LOOKUPS 64
/* Blocks walked in one step. */
#define STEP_BLOCKS 16

void reclaim_key_first(struct reclaim *g)
{
	g->table = 0;
	g->key_len = 0;
}

void reclaim_key_after(struct reclaim *g, struct slice key)
{
	kin_assert(key.len <= STORE_KEY_BYTES_MAX);
	memcpy(g->key, key.data, key.len);
	g->key[key.len] = 0;
	g->key_len = key.len + 1;
}

/* ---- the stack [locked] */

static bool is_seen(const struct reclaim *g, const struct hash *hash)
{
	return hash_equal(&g->seen[get_le64(hash->b) % SEEN_SLOTS], hash);
}

static void note_seen(struct reclaim *g, const struct hash *hash)
{
	g->seen[get_le64(hash->b) % SEEN_SLOTS] = *hash;
}

static void grey_push(struct reclaim *g, const struct grey_block *b)
{
	if (is_seen(g, &b->hash))
		return;
	if (g->grey_count == g->grey_alloc) {
		size_t alloc = MAX_OF(2 * g->grey_alloc, (size_t)1024);
		void *p = alloc > GREY_MAX
				  ? NULL
				  : reallocarray(g->grey, alloc,
						 sizeof(*g->grey));

		if (!p) {
			g->error = alloc > GREY_MAX ? -EOVERFLOW : -ENOMEM;
			return;
		}
		g->grey = p;
		g->grey_alloc = alloc;
	}
	g->grey[g->grey_count++] = *b;
}

void reclaim_grey(struct reclaim *g, const struct content *c)
{
	struct grey_block b = {
		.hash = c->root, .span = c->size, .level = c->depth};

	if (c->depth)
		grey_push(g, &b);
}

void reclaim_mark_raw(struct reclaim *g, struct data_loc loc, uint64_t len)
{
	struct used_segment *m = used_find(&g->used, loc.segment);

	if (!m)
		return;
	m->raw = true;
	if (!used_set(&g->used, loc, len))
		g->error = -EUCLEAN;
}

/* ---- blocks */

/* Its bytes, where they are here. -ENOENT. */
static int block_load(struct store *s, struct reclaim *g,
		      const struct grey_block *b)
{
	struct chunk_place p;
	int r;

	store_lock(s);
	r = chunk_find(s, &b->hash, &p);
	store_unlock(s);
	if (r)
		return r;
	if (p.len > MANIFEST_BYTES_MAX)
		return -EBADMSG;
	buf_reset(&g->block);
	if (!buf_extend(&g->block, p.len))
		return -ENOMEM;
	r = data_read(s, p.loc, g->block.data, p.len);
	if (r)
		return r;
	return hash_is(&b->hash, g->block.data, p.len) ? 0 : -EIO;
}

/* What is found is marked by the finding. */
static void mark_chunks(struct store *s, struct manifest_iter *iter)
{
	struct manifest_entry e;
	bool more = true;

	while (more) {
		store_lock(s);
		for (int n = 0; n < LOOKUPS; n++) {
			more = manifest_next(iter, &e);
			if (!more)
				break;
			if (!e.hole)
				(void)chunk_exists(s, &e.hash);
		}
		store_unlock(s);
	}
}

static void push_blocks(struct store *s, struct reclaim *g, uint8_t level,
			struct manifest_iter *iter)
{
	struct manifest_entry e;

	store_lock(s);
	while (manifest_next(iter, &e)) {
		struct grey_block b = {
			.hash = e.hash, .span = e.len, .level = level};

		grey_push(g, &b);
	}
	store_unlock(s);
}

static int mark_block(struct store *s, struct reclaim *g,
		      const struct grey_block *b)
{
	struct manifest_iter iter;
	int r = block_load(s, g, b);

	/*
	 * Of the right hash, but not what the one above it says: a row that
	 * never was right, whose content nobody can read by it.
	 */
	if (!r && manifest_check(buf_slice(&g->block), b->level, b->span))
		r = -EBADMSG;
	if (r == -ENOENT || r == -EBADMSG)
		return 0;
	if (r)
		return log_errno(r, "a block of a content is damaged: no "
				 "space is given back until that is mended");
	manifest_iter_init(&iter, buf_slice(&g->block));
	if (b->level > 1)
		push_blocks(s, g, b->level - 1, &iter);
	else
		mark_chunks(s, &iter);
	store_lock(s);
	note_seen(g, &b->hash);
	store_unlock(s);
	return 0;
}

/* ---- tables */

struct scan {
	struct store *store;
	struct reclaim *round;
};

static int scan_root(void *arg, const struct store_root *root)
{
	struct scan *scan = arg;
	struct reclaim *g = scan->round;
	struct used_segment *m;

	/* (to look for it is to mark it) */
	if (root->chunk) {
		(void)chunk_exists(scan->store, root->chunk);
		return 0;
	}
	if (root->content) {
		reclaim_grey(g, root->content);
		return 0;
	}
	reclaim_mark_raw(g, root->loc, root->len);
	m = used_find(&g->used, root->loc.segment);
	if (m)
		m->raw_bytes += root->len;
	else
		g->new_live += root->len;
	return 0;
}

static bool table_next(const struct store *s, struct reclaim *g)
{
	while (g->table < TABLE_COUNT &&
	       !(s->reclaim.roots.tables >> g->table & 1))
		g->table++;
	return g->table < TABLE_COUNT;
}

/* Some entries of one table; 1: that was the last table. [locked] */
static int scan_slice(struct store *s, struct reclaim *g)
{
	size_t bytes = 0;

	if (!table_next(s, g))
		return 1;
	for (unsigned int n = 0; n < g->slice && bytes < SCAN_BYTES; n++) {
		struct slice k, v;
		int r = store_seek(s, g->table, SLICE(g->key, g->key_len), &k,
				   &v);

		if (r == -ENOENT) {
			g->table++;
			g->key_len = 0;
			return 0;
		}
		if (!r)
			r = s->reclaim.roots.each(g->table, k, v, scan_root,
						  &(struct scan){ s, g });
		if (r)
			return r;
		bytes += v.len;
		reclaim_key_after(g, k);
	}
	return 0;
}

/* [locked] */
static int mark_next(struct store *s, struct reclaim *g,
		     struct grey_block *ret)
{
	int r = 0;

	if (!g->error && !g->grey_count)
		r = scan_slice(s, g);
	if (g->error)
		r = g->error;
	if (r < 0 || !g->grey_count) {
		/* All is marked: what is replaced now was. */
		g->greying = r != 1;
		return r;
	}
	*ret = g->grey[--g->grey_count];
	return 2;
}

int reclaim_mark(struct store *s, struct reclaim *g)
{
	for (int n = 0; n < STEP_BLOCKS; n++) {
		struct grey_block b;
		int r;

		store_lock(s);
		r = mark_next(s, g, &b);
		store_unlock(s);
		if (r != 2)
			return r;
		r = mark_block(s, g, &b);
		if (r)
			return r;
	}
	return 0;
}
