/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Content values, reading them, and what of them is here.
 *
 * A read checks each chunk and block the first time, and again when that
 * is long ago (chunk.c): what is damaged is never given out. The walks hash
 * blocks each time, because what they say is believed for longer than one
 * read.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/base/hash.h"
#include "fs/store/content_cursor.h"
#include "fs/store/io.h"

/* Bytes copied at a time: a few chunks. */
#define COPY_BYTES ((size_t)256 * 1024)
/*
 * A read of so much is one of many, as a rule (the kernel reads ahead in such
 * pieces, several at once and not in order, of which the disk below makes
 * nothing); and how much is fetched behind it.
 */
#define AHEAD_MIN ((size_t)64 * 1024)
#define AHEAD_BYTES ((size_t)1024 * 1024)
/* From how far behind it, in a long file, how much leaves memory. */
#define BEHIND_FROM (UINT64_C(16) << 20)
#define BEHIND_BYTES (UINT64_C(8) << 20)

void content_empty(struct content *ret)
{
	content_inline(SLICE(NULL, 0), ret);
}

void content_inline(struct slice bytes, struct content *ret)
{
	kin_assert(bytes.len <= INLINE_BYTES_MAX);
	*ret = (struct content){ .size = bytes.len, .inline_bytes = bytes };
	hash_bytes(bytes.data, bytes.len, &ret->root);
}

bool content_equal(const struct content *a, const struct content *b)
{
	return !content_compare(a, b);
}

bool content_has_same_bytes(const struct content *a, const struct content *b)
{
	if (a->depth || b->depth)
		return content_equal(a, b);
	return slice_equal(a->inline_bytes, b->inline_bytes);
}

int content_compare(const struct content *a, const struct content *b)
{
	if (a->depth != b->depth)
		return a->depth < b->depth ? -1 : 1;
	if (a->size != b->size)
		return a->size < b->size ? -1 : 1;
	return hash_compare(&a->root, &b->root);
}

void content_put(struct buf *b, const struct content *c)
{
	buf_put_u8(b, c->depth);
	buf_put_varint(b, c->size);
	if (c->depth)
		buf_put(b, c->root.b, sizeof(c->root.b));
	else
		buf_put_slice(b, c->inline_bytes);
}

void content_get(struct reader *r, struct content *ret)
{
	*ret = (struct content){.depth = reader_u8(r)};
	ret->size = reader_varint(r);
	if (ret->depth > MANIFEST_DEPTH_MAX || ret->size > FILE_BYTES_MAX ||
	    (!ret->depth) != (ret->size <= INLINE_BYTES_MAX)) {
		reader_fail(r);
		return;
	}
	if (ret->depth)
		reader_copy(r, ret->root.b, sizeof(ret->root.b));
	else
		ret->inline_bytes = reader_bytes(r, (size_t)ret->size);
}

/*
 * Reads from one chunk or hole; returns the number of bytes, and where in a
 * segment they ended.
 */
static int64_t read_entry(struct content_cursor *c, uint64_t offset,
			  uint8_t *ret, size_t len, struct data_loc *ret_end)
{
	struct manifest_entry e;
	struct chunk_place p;
	uint64_t start, skip;
	int r;

	r = content_cursor_seek(c, 1, offset, &e, &start);
	if (r < 0)
		return r;
	skip = offset - start;
	len = MIN_OF((uint64_t)len, e.len - skip);
	if (e.hole) {
		memset(ret, 0, len);
		return (int64_t)len;
	}
	r = content_cursor_locate(c, &e, &p);
	if (r < 0)
		return r;
	r = chunk_read_at(c->store, &e.hash, &p, skip, ret, len);
	if (r)
		return r;
	*ret_end = (struct data_loc){p.loc.segment, p.loc.offset + skip + len};
	return (int64_t)len;
}

/*
 * Of a read that ended there, one of many. What comes next mostly lies behind
 * it, and what came before before it: files are cut where they were written.
 */
static void advise_around(struct store *s, uint64_t offset,
			  struct data_loc end, bool more)
{
	struct data_loc behind = end;

	if (more)
		data_will_read(s, end, AHEAD_BYTES);
	if (offset < DATA_LONG_OFFSET + BEHIND_FROM || end.offset < BEHIND_FROM)
		return;
	behind.offset -= BEHIND_FROM;
	data_were_read(s, behind, BEHIND_BYTES);
}

int64_t content_read(struct store *s, const struct content *content,
		     uint64_t offset, void *ret, size_t len)
{
	cleanup(store_hold_end) struct store_hold hold = {NULL, 0};
	struct data_loc end = {0, 0};
	struct content_cursor c;
	size_t done = 0;
	int64_t r;

	if (offset >= content->size)
		return 0;
	len = MIN_OF((uint64_t)len, content->size - offset);
	if (!len)
		return 0;
	if (!content->depth) {
		if (content->inline_bytes.len != content->size)
			return -EIO;
		memcpy(ret, content->inline_bytes.data + offset, len);
		return (int64_t)len;
	}
	hold = store_hold(s);
	r = content_cursor_init(&c, s, content, 0);
	while (r >= 0 && done < len) {
		r = read_entry(&c, offset + done, (uint8_t *)ret + done,
			       len - done, &end);
		if (r > 0)
			done += (size_t)r;
	}
	content_cursor_release(&c);
	if (len >= AHEAD_MIN && end.offset)
		advise_around(s, offset, end, offset + len < content->size);
	return r < 0 ? r : (int64_t)done;
}

int content_copy(struct store *s, const struct content *content, int fd)
{
	cleanup(store_hold_end) struct store_hold hold = store_hold(s);
	autofree uint8_t *bytes = malloc(COPY_BYTES);
	uint64_t at = 0;
	int r = bytes ? 0 : -ENOMEM;

	while (!r && at < content->size) {
		int64_t n = content_read(s, content, at, bytes, COPY_BYTES);

		if (n <= 0)
			return n < 0 ? (int)n : -EIO;
		r = io_write_at(fd, bytes, (size_t)n, at);
		at += (uint64_t)n;
	}
	return r;
}

/*
 * Blocks that a walk over one level has begun: what stands in them does not
 * say more when they come again. A few blocks that name each other many
 * times are a content of any size, and who made them may mean no good.
 */
struct walked {
	struct hash *slots; /* open addressing; no_hash: free */
	size_t count, size; /* size: a power of two, or 0 */
};

static const struct hash no_hash;

static struct hash *walked_slot(const struct walked *w, const struct hash *h)
{
	size_t at = (size_t)get_le64(h->b + 8);

	for (;; at++) {
		struct hash *slot = &w->slots[at & (w->size - 1)];

		if (hash_equal(slot, h) || hash_equal(slot, &no_hash))
			return slot;
	}
}

static int walked_grow(struct walked *w)
{
	struct walked more = {.size = w->size ? 2 * w->size : 64};

	more.slots = calloc(more.size, sizeof(*more.slots));
	if (!more.slots)
		return -ENOMEM;
	for (size_t i = 0; i < w->size; i++)
		if (!hash_equal(&w->slots[i], &no_hash))
			*walked_slot(&more, &w->slots[i]) = w->slots[i];
	more.count = w->count;
	free(w->slots);
	*w = more;
	return 0;
}

/* 1: it was there; 0: now it is. */
static int walked_add(struct walked *w, const struct hash *h)
{
	struct hash *slot;
	int r = 4 * w->count >= 3 * w->size ? walked_grow(w) : 0;

	/* (a block may name anything) */
	if (r < 0 || hash_equal(h, &no_hash))
		return r;
	slot = walked_slot(w, h);
	if (hash_equal(slot, h))
		return 1;
	*slot = *h;
	w->count++;
	return 0;
}

static void walked_release(struct walked *w)
{
	free(w->slots);
}

/*
 * Blocks begin at *at. Is one of them, from the highest down to those of the
 * level, to be passed over? Then *at is behind it, and 1 is returned.
 */
static int pass_over(struct content_cursor *c, struct walked *w, uint8_t level,
		     uint64_t to, uint64_t *at)
{
	for (uint8_t l = c->depth + 1; l > level; l--) {
		struct manifest_entry e;
		uint64_t start;
		int r = content_cursor_seek(c, l, *at, &e, &start);

		if (r < 0)
			return r;
		/* Of one that is looked at in part, another part may come. */
		if (start != *at || e.len > to - *at)
			continue;
		r = walked_add(w, &e.hash);
		if (r < 0)
			return r;
		if (r) {
			*at = start + e.len;
			return 1;
		}
	}
	return 0;
}

/* One level of each_entry(). */
static int each_of_level(struct content_cursor *c, uint8_t level,
			 uint64_t at, uint64_t to, bool partial,
			 int (*fn)(void *arg, const struct hash *), void *arg)
{
	cleanup(walked_release) struct walked walked = {0};
	uint64_t block_end = at;
	int r = 0;

	while (!r && at < to) {
		struct manifest_entry e;
		uint64_t start;

		if (at >= block_end)
			r = pass_over(c, &walked, level, to, &at);
		if (r > 0) {
			r = 0;
			block_end = at;
			continue;
		}
		if (!r)
			r = content_cursor_seek(c, level, at, &e, &start);
		if (r == -ENOENT && partial) {
			at = block_end = c->absent_end;
			r = 0;
			continue;
		}
		if (r)
			break;
		block_end = c->level[level].end;
		if (!e.hole)
			r = fn(arg, &e.hash);
		at = start + e.len;
	}
	return r;
}

/*
 * Calls fn for each entry that has a hash and bytes in from..to, level after
 * level from the root, so that blocks come first. Of a block that comes again
 * only its name does. What stands in blocks that are not here is left out if
 * `partial`, else -ENOENT. Stops at the first non-zero of fn.
 */
static int each_entry(struct store *s, const struct content *content,
		      uint64_t from, uint64_t to, bool partial,
		      int (*fn)(void *arg, const struct hash *), void *arg)
{
	struct content_cursor c;
	int r;

	if (!content->depth)
		return 0;
	r = content_cursor_init(&c, s, content, CURSOR_VERIFY | CURSOR_LOCKED);
	to = MIN_OF(to, content->size);
	for (uint8_t level = c.depth + 1; !r && level >= 1; level--)
		r = each_of_level(&c, level, from, to, partial, fn, arg);
	content_cursor_release(&c);
	return r;
}

struct missing {
	struct store *store;
	uint64_t max, count;
	int (*fn)(void *arg, const struct hash *);
	void *arg;
};

static int missing_entry(void *arg, const struct hash *hash)
{
	struct missing *m = arg;
	int r;

	if (chunk_exists(m->store, hash))
		return 0;
	r = m->fn(m->arg, hash);
	if (r < 0)
		return r;
	return ++m->count >= m->max ? 1 : 0;
}

int64_t content_missing_in(struct store *s, const struct content *content,
			   uint64_t offset, uint64_t len, uint64_t max,
			   int (*fn)(void *arg, const struct hash *), void *arg)
{
	struct missing m = { s, max, 0, fn, arg };
	int r;

	store_assert_locked(s);
	if (!max || offset >= content->size)
		return 0;
	len = MIN_OF(len, content->size - offset);
	r = each_entry(s, content, offset, offset + len, true, missing_entry,
		       &m);
	return r < 0 ? r : (int64_t)m.count;
}

int64_t content_missing(struct store *s, const struct content *content,
			uint64_t max,
			int (*fn)(void *arg, const struct hash *), void *arg)
{
	return content_missing_in(s, content, 0, content->size, max, fn, arg);
}

struct walk {
	struct store *store;
	int (*fn)(void *arg, const struct hash *, uint32_t len);
	void *arg;
};

static int walk_entry(void *arg, const struct hash *hash)
{
	struct walk *w = arg;
	struct chunk_place p;
	int r = chunk_find(w->store, hash, &p);

	return r < 0 ? r : w->fn(w->arg, hash, p.len);
}

int content_walk(struct store *s, const struct content *content,
		 int (*fn)(void *arg, const struct hash *, uint32_t len),
		 void *arg)
{
	struct walk w = { s, fn, arg };

	store_assert_locked(s);
	return each_entry(s, content, 0, content->size, false, walk_entry,
			  &w);
}
