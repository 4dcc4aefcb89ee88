/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Does a content begin with all of another? Cut the same way, the two have
 * the same blocks and chunks up to the other's last one, which ends where
 * that file ended and not where its bytes say. So names are compared, the
 * highest block first, and bytes for that last chunk only.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/store/content_cursor.h"

struct pair {
	struct content_cursor old, new;
	uint8_t depth;	/* of the lower one */
};

/*
 * Bytes from `at` on that are equal by name: of the highest level at which
 * both have an entry there. 0: none, and ret_old is the old chunk.
 */
static int64_t equal_by_name(struct pair *p, uint64_t at,
			     struct manifest_entry *ret_old,
			     struct manifest_entry *ret_new)
{
	for (uint8_t level = p->depth; level > 0; level--) {
		uint64_t x, y;
		int r = content_cursor_seek(&p->old, level, at, ret_old, &x);

		if (!r)
			r = content_cursor_seek(&p->new, level, at, ret_new,
						&y);
		if (r)
			return r;
		ret_old->len -= at - x;
		ret_new->len -= at - y;
		/* (what is already equal is no part of a hole's name) */
		if (ret_old->hole && ret_new->hole)
			return (int64_t)MIN_OF(ret_old->len, ret_new->len);
		if (x == at && y == at && ret_old->len == ret_new->len &&
		    !ret_old->hole && !ret_new->hole &&
		    hash_equal(&ret_old->hash, &ret_new->hash))
			return (int64_t)ret_old->len;
	}
	return 0;
}

static int read_entry(struct content_cursor *c, const struct manifest_entry *e,
		      uint8_t *ret, size_t len)
{
	struct chunk_place p;
	int r;

	memset(ret, 0, len);
	if (e->hole)
		return 0;
	r = content_cursor_locate(c, e, &p);
	return r ? r : data_read(c->store, p.loc, ret, len);
}

/* The last chunk of the old content, against the new one's. */
static int equal_by_bytes(struct pair *p, const struct manifest_entry *old,
			  const struct manifest_entry *new)
{
	uint8_t *x, *y;
	int r = -ENOMEM;

	if (old->len > CHUNK_BYTES_MAX || new->len < old->len)
		return 0;
	x = malloc(2 * old->len);
	if (!x)
		return r;
	y = x + old->len;
	r = read_entry(&p->old, old, x, old->len);
	if (!r)
		r = read_entry(&p->new, new, y, old->len);
	if (!r)
		r = !memcmp(x, y, old->len);
	free(x);
	return r;
}

static int grows(struct pair *p)
{
	uint64_t at = 0;

	while (at < p->old.size) {
		struct manifest_entry old, new;
		int64_t n = equal_by_name(p, at, &old, &new);

		if (n < 0)
			return (int)n;
		if (!n)
			return at + old.len < p->old.size ?
				       0 : equal_by_bytes(p, &old, &new);
		at += (uint64_t)n;
	}
	return 1;
}

/* The new one is inline or its first chunk is longer than any inline one. */
static int grows_from_inline(struct store *s, const struct content *old,
			     const struct content *new)
{
	struct slice was = old->inline_bytes;
	struct content_cursor c;
	struct manifest_entry e;
	uint8_t bytes[INLINE_BYTES_MAX];
	uint64_t start;
	int r;

	if (!new->depth)
		return !memcmp(new->inline_bytes.data, was.data, was.len);
	r = content_cursor_init(&c, s, new, CURSOR_LOCKED);
	if (!r)
		r = content_cursor_seek(&c, 1, 0, &e, &start);
	if (!r)
		r = read_entry(&c, &e, bytes, was.len);
	content_cursor_release(&c);
	return r ? r : !memcmp(bytes, was.data, was.len);
}

int content_grows(struct store *s, const struct content *old,
		  const struct content *new)
{
	struct pair p;
	int r;

	if (new->size < old->size)
		return 0;
	if (!old->size)
		return 1;
	if (!old->depth)
		return grows_from_inline(s, old, new);
	r = content_cursor_init(&p.old, s, old, CURSOR_LOCKED);
	if (r)
		return r;
	r = content_cursor_init(&p.new, s, new, CURSOR_LOCKED);
	p.depth = MIN_OF(old->depth, new->depth);
	if (!r)
		r = grows(&p);
	content_cursor_release(&p.new);
	content_cursor_release(&p.old);
	return r;
}
