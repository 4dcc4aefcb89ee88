/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Making content: from a base and extents over it to a new root.
 *
 * One place moves from 0 to the end; there, at what is always a boundary of
 * the new content, the first of these that applies is done:
 *  1. a block of the base begins here, all it stands for is unchanged, and
 *     no block of the new manifest is half full: take it over unread;
 *  2. a chunk of the base begins here and is unchanged, or one that was
 *     copied from elsewhere begins here and is whole: take it over;
 *  3. zeros for at least the longest chunk, or up to the end: a hole, cut by
 *     arithmetic (a chunk of zeros is as long as can be, see chunker.c);
 *  4. read, cut and hash one chunk.
 * Each does what cutting everything from 0 would do, since a chunk and a
 * block end where they do because of what is in them. So the result is the
 * same for every history. After a change, step 4 goes on until it meets a
 * boundary of the base, as a rule within a chunk or two.
 *
 * Two ends depend on what is *not* in the chunk or block: the end of the
 * content, and the hole that may still grow. So a last chunk is taken over
 * only if the new content ends there too, and a block only if what follows
 * it is unchanged for the length of a chunk as well: then the entry behind
 * it will be the same, and that is never a hole after a hole.
 *
 * Cost: of an edit, the blocks from the root to its place and about a
 * hundred neighbouring entries; nothing is O(all entries) unless a change
 * is everywhere.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/base/hash.h"
#include "fs/store/chunker.h"
#include "fs/store/content_overlay.h"

/* Bytes read ahead of the cut: the longer, the less is moved to the front. */
#define WINDOW_BYTES (4 * CHUNK_BYTES_MAX)
/*
 * What was cut of a long file leaves memory in such runs; as the kernel keeps
 * what lies in a run in part only (a page may be of 2 MiB), they overlap.
 */
#define RUN_BYTES (UINT64_C(8) << 20)
#define RUN_OVERLAP (UINT64_C(2) << 20)
/*
 * So much is appended even where little space is left: the writes were taken
 * in, a truncation makes room, and without a version no peer gets either.
 */
#define LITTLE_BYTES (4u << 20)

/* What is to be named, and a hash table over it, for repeats in one file. */
struct content_build {
	struct build_item {
		struct hash hash;
		struct chunk_place place;
	} *items;
	struct store_hold hold;	/* what was found here stays until then */
	size_t count, alloc;
	size_t *slots;		/* index + 1, or 0; slot_count is 2^n */
	size_t slot_count;
};

struct builder {
	struct store *store;
	struct overlay over;
	struct content_cursor base;	/* where the base may be taken over */
	struct manifest_builder manifest;
	struct content_build *build;
	uint64_t at;
	/* Bytes window_start.. of the new content, window_len of them. */
	uint8_t *window;
	size_t window_alloc, window_len;
	uint64_t window_start;
	uint64_t appended;
	/* Bytes cut where they lie, of a long file, one behind the other. */
	struct data_loc run;
	uint64_t run_len;
};

/* ---- the list of new names */

/* The slot of the hash, or the empty one where it belongs. */
static size_t *build_slot(struct content_build *b, const struct hash *hash)
{
	size_t i = (size_t)get_le64(hash->b);

	for (;; i++) {
		size_t *slot = &b->slots[i & (b->slot_count - 1)];

		if (!*slot || hash_equal(&b->items[*slot - 1].hash, hash))
			return slot;
	}
}

/* Makes room for one more item, in a table at most half full. */
static int build_grow(struct content_build *b)
{
	size_t alloc = b->alloc ? 2 * b->alloc : 16;
	void *items;
	size_t *slots;

	if (b->count < b->alloc)
		return 0;
	items = reallocarray(b->items, alloc, sizeof(*b->items));
	if (!items)
		return -ENOMEM;
	b->items = items;
	slots = calloc(2 * alloc, sizeof(*slots));
	if (!slots)
		return -ENOMEM;
	free(b->slots);
	b->slots = slots;
	b->slot_count = 2 * alloc;
	b->alloc = alloc;
	for (size_t i = 0; i < b->count; i++)
		*build_slot(b, &b->items[i].hash) = i + 1;
	return 0;
}

static int build_append(struct builder *b, struct slice bytes,
			struct data_loc *ret)
{
	b->appended += bytes.len;
	return b->appended <= LITTLE_BYTES ?
		       data_append_little(b->store, bytes, ret) :
		       data_append(b->store, bytes, ret);
}

/*
 * Sees to it that the bytes will have their name. `at`: where they lie, or
 * NULL: they are appended if they are not here yet.
 */
static int build_name(struct builder *b, const struct hash *hash,
		      struct slice bytes, const struct data_loc *at)
{
	struct content_build *build = b->build;
	struct data_loc loc;
	size_t *slot;
	bool exists;
	int r;

	r = build_grow(build);
	if (r < 0)
		return r;
	slot = build_slot(build, hash);
	if (*slot)
		return 0;
	store_lock(b->store);
	exists = chunk_exists(b->store, hash);
	store_unlock(b->store);
	if (exists)
		return 0;
	if (at)
		loc = *at;
	else if ((r = build_append(b, bytes, &loc)) < 0)
		return r;
	build->items[build->count++] = (struct build_item){
		.hash = *hash,
		.place = chunk_place(loc, bytes),
	};
	*slot = build->count;
	return 0;
}

static int put_block(void *arg, const struct hash *hash, struct slice block)
{
	return build_name(arg, hash, block, NULL);
}

/* ---- the steps: 1 done, 0 does not apply, or a negative errno */

/* Whether the base's bytes are unchanged and would be cut in the same way. */
static bool unchanged(const struct builder *b, uint64_t start, uint64_t end,
		      uint64_t margin)
{
	const struct overlay *o = &b->over;

	/* The end of the content must be the same, or be elsewhere. */
	if (end == o->base->size)
		return o->base_end == end && o->size == end &&
		       overlay_clean(o, start, end);
	return end + margin <= o->base_end &&
	       overlay_clean(o, start, end + margin);
}

static int take_over(struct builder *b)
{
	const struct overlay *o = &b->over;
	struct manifest_entry e;
	uint64_t start;
	int r;

	if (!o->base->depth || b->at >= o->base_end ||
	    !overlay_clean(o, b->at, b->at + 1))
		return 0;
	for (uint8_t level = o->base->depth; level >= 1; level--) {
		bool is_block = level > 1;

		if (is_block && !manifest_builder_takes_block(&b->manifest,
							      level - 1))
			continue;
		r = content_cursor_seek(&b->base, level, b->at, &e, &start);
		if (r < 0)
			return r;
		if (start != b->at || e.hole ||
		    !unchanged(b, start, start + e.len,
			       is_block ? CHUNK_BYTES_MAX : 0))
			continue;
		r = is_block ? manifest_builder_add_block(&b->manifest,
							  level - 1, &e) :
			       manifest_builder_add(&b->manifest, &e);
		b->at += e.len;
		return r < 0 ? r : 1;
	}
	return 0;
}

/* A chunk of another content, or of another place, that stands here whole. */
static int take_chunk(struct builder *b)
{
	const struct content_extent *x = overlay_chunk(&b->over, b->at);
	struct manifest_entry e = { 0 };
	bool here;
	int r;

	if (!x || (x->chunk_last && b->at + x->len < b->over.size))
		return 0;
	/* (what is missing is told of by who reads it) */
	store_lock(b->store);
	here = chunk_exists(b->store, &x->hash);
	store_unlock(b->store);
	if (!here)
		return 0;
	e.len = x->len;
	e.hash = x->hash;
	r = manifest_builder_add(&b->manifest, &e);
	b->at += e.len;
	return r < 0 ? r : 1;
}

static int add_hole(struct builder *b, uint64_t len)
{
	struct manifest_entry e = { .len = len, .hole = true };
	int r = manifest_builder_add(&b->manifest, &e);

	b->at += len;
	return r < 0 ? r : 1;
}

static int skip_zeros(struct builder *b)
{
	uint64_t end, len;
	int r = overlay_zeros(&b->over, b->at, &end);

	if (r < 0)
		return r;
	len = end - b->at;
	if (end < b->over.size)
		len -= len % CHUNK_BYTES_MAX;
	return len ? add_hole(b, len) : 0;
}

/* Has `len` bytes from the present place on in the window. */
static int fill_window(struct builder *b, size_t len, const uint8_t **ret)
{
	size_t skip, have;
	int r;

	if (b->at < b->window_start ||
	    b->at > b->window_start + b->window_len) {
		b->window_start = b->at;
		b->window_len = 0;
	}
	skip = (size_t)(b->at - b->window_start);
	if (skip + len > b->window_alloc) {
		memmove(b->window, b->window + skip, b->window_len - skip);
		b->window_start = b->at;
		b->window_len -= skip;
		skip = 0;
	}
	have = b->window_len - skip;
	if (have < len) {
		r = overlay_read(&b->over, b->at + have,
				 b->window + b->window_len, len - have);
		if (r < 0)
			return r;
		b->window_len += len - have;
	}
	*ret = b->window + skip;
	return 0;
}

static void leave_behind(struct builder *b, struct data_loc loc, size_t len)
{
	if (b->at < DATA_LONG_OFFSET)
		return;
	if (b->run.segment != loc.segment ||
	    b->run.offset + b->run_len != loc.offset) {
		b->run = loc;
		b->run_len = 0;
	}
	b->run_len += len;
	if (b->run_len < RUN_BYTES)
		return;
	data_were_read(b->store, b->run, b->run_len);
	b->run.offset += b->run_len - RUN_OVERLAP;
	b->run_len = RUN_OVERLAP;
}

static int cut_chunk(struct builder *b)
{
	uint64_t left = b->over.size - b->at;
	size_t len = (size_t)MIN_OF(left, (uint64_t)CHUNK_BYTES_MAX);
	struct manifest_entry e = { 0 };
	struct data_loc loc;
	const uint8_t *bytes;
	bool in_place;
	int r;

	r = fill_window(b, len, &bytes);
	if (r < 0)
		return r;
	len = chunker_cut(bytes, len);
	if (bytes_are_zero(bytes, len))
		return add_hole(b, len);
	e.len = len;
	hash_bytes(bytes, len, &e.hash);
	in_place = overlay_locate(&b->over, b->at, len, &loc);
	if (in_place)
		leave_behind(b, loc, len);
	r = build_name(b, &e.hash, SLICE(bytes, len), in_place ? &loc : NULL);
	if (r < 0)
		return r;
	r = manifest_builder_add(&b->manifest, &e);
	b->at += len;
	return r < 0 ? r : 1;
}

static int build_all(struct builder *b, struct content *ret)
{
	struct content made = { .size = b->over.size };
	int r = 0;

	while (b->at < b->over.size) {
		r = take_over(b);
		if (!r)
			r = take_chunk(b);
		if (!r)
			r = skip_zeros(b);
		if (!r)
			r = cut_chunk(b);
		if (r < 0)
			return r;
	}
	r = manifest_builder_finish(&b->manifest, &made.depth, &made.root);
	if (r < 0)
		return r;
	*ret = made;
	return 0;
}

static int build_blocks(struct builder *b, struct content *ret)
{
	int r;

	b->window_alloc = (size_t)MIN_OF(b->over.size,
					 (uint64_t)WINDOW_BYTES);
	b->window = malloc(b->window_alloc);
	if (!b->window)
		return -ENOMEM;
	if (b->over.base->depth) {
		r = content_cursor_init(&b->base, b->store, b->over.base,
					CURSOR_VERIFY);
		if (r < 0)
			return r;
	}
	manifest_builder_init(&b->manifest, put_block, b);
	return build_all(b, ret);
}

static int build_inline(struct builder *b, struct buf *ret_bytes,
			struct content *ret)
{
	uint8_t bytes[INLINE_BYTES_MAX];
	size_t len = (size_t)b->over.size;
	int r = overlay_read(&b->over, 0, bytes, len);

	if (r < 0)
		return r;
	/* Not before: the base or an extent may lie in it. */
	buf_reset(ret_bytes);
	buf_put(ret_bytes, bytes, len);
	r = buf_error(ret_bytes);
	if (r < 0)
		return r;
	content_inline(buf_slice(ret_bytes), ret);
	return 0;
}

int content_build(struct store *s, const struct content *base, uint64_t kept,
		  uint64_t size, const struct content_extent *extents,
		  size_t count, struct buf *ret_bytes, struct content *ret,
		  struct content_build **ret_build)
{
	struct builder b = { .store = s };
	int r;

	b.build = calloc(1, sizeof(*b.build));
	if (!b.build)
		return -ENOMEM;
	b.build->hold = store_hold(s);
	r = overlay_init(&b.over, s, base, kept, size, extents, count);
	if (r >= 0 && size <= INLINE_BYTES_MAX)
		r = build_inline(&b, ret_bytes, ret);
	else if (r >= 0 && !count && size == base->size && kept >= size)
		*ret = *base;
	else if (r >= 0)
		r = build_blocks(&b, ret);
	if (r >= 0)
		*ret_build = steal(&b.build);
	content_build_free(b.build);
	overlay_release(&b.over);
	content_cursor_release(&b.base);
	manifest_builder_release(&b.manifest);
	free(b.window);
	return r < 0 ? r : 0;
}

int content_commit(struct store *s, struct content_build *b)
{
	kin_assert(store_in_op(s));
	for (size_t i = 0; i < b->count; i++) {
		const struct build_item *item = &b->items[i];
		int r = chunk_add(s, &item->hash, &item->place);

		if (r < 0)
			return r;
	}
	return 0;
}

void content_build_free(struct content_build *b)
{
	if (!b)
		return;
	store_hold_end(&b->hold);
	free(b->items);
	free(b->slots);
	free(b);
}
