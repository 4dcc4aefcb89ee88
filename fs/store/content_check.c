/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checking that a content is here whole: every block and every chunk is
 * read, and hashed. A part at a time, without the lock but for each look at
 * where a chunk lies, since a file may be as large as the disk.
 */
#include <errno.h>

#include "fs/store/content_cursor.h"

/* Over a part whose block cannot be read: to its end, if that is known. */
static uint64_t skip_to(const struct content_cursor *c, uint64_t at, int r)
{
	if (r == -ENOENT && c->absent_end > at)
		return c->absent_end;
	/* A damaged block hides what it named: the level above knows. */
	for (size_t l = 2; l <= (size_t)c->depth + 1; l++)
		if (c->level[l].entry_start <= at &&
		    at < c->level[l].entry_start + c->level[l].entry.len)
			return c->level[l].entry_start + c->level[l].entry.len;
	return c->size;
}

static int find_chunk(struct store *s, const struct content_judge *judge,
		      const struct manifest_entry *e)
{
	struct chunk_place p = {.len = 0};
	int r;

	store_lock(s);
	r = chunk_find(s, &e->hash, &p);
	store_unlock(s);
	if (r != -ENOENT &&
	    (judge->is_bad(judge->arg, &e->hash, false) || p.len != e->len))
		r = -EIO;
	return r;
}

static int check_chunk(struct store *s, const struct content_judge *judge,
		       const struct manifest_entry *e,
		       struct content_faults *f)
{
	struct buf bytes = BUF_INIT;
	int r = judge ? find_chunk(s, judge, e) :
			chunk_read(s, &e->hash, &bytes);

	if (!r && !judge && bytes.len != e->len)
		r = -EIO;
	buf_release(&bytes);
	if (r == -ENOENT)
		f->missing++;
	else if (r == -EIO)
		f->damaged++;
	else
		return r;
	if (judge)
		judge->lost(judge->arg, &e->hash, (uint32_t)e->len);
	return 0;
}

static int check(struct store *s, const struct content *content, uint64_t *at,
		 uint64_t max_bytes, const struct content_judge *judge,
		 struct content_faults *ret)
{
	cleanup(store_hold_end) struct store_hold hold = store_hold(s);
	struct content_cursor c;
	uint64_t end;
	int r;

	if (!content->depth) {
		*at = content->size;
		return 0;
	}
	end = content->size - *at > max_bytes ? *at + max_bytes :
						content->size;
	r = content_cursor_init(&c, s, content, CURSOR_VERIFY);
	while (!r && *at < end) {
		struct manifest_entry e;
		uint64_t start;

		r = content_cursor_seek(&c, 1, *at, &e, &start);
		if (!r) {
			*at = start + e.len;
			if (!e.hole)
				r = check_chunk(s, judge, &e, ret);
			continue;
		}
		if (r == -ENOENT)
			ret->missing++;
		else if (r == -EIO)
			ret->damaged++;
		else
			break;
		if (r == -EIO && judge)
			(void)judge->is_bad(judge->arg, &c.wanted, true);
		if (judge)
			judge->lost(judge->arg, &c.wanted, 0);
		*at = skip_to(&c, *at, r);
		r = 0;
	}
	content_cursor_release(&c);
	return r;
}

int content_check(struct store *s, const struct content *content,
		  uint64_t *at, uint64_t max_bytes, struct content_faults *ret)
{
	return check(s, content, at, max_bytes, NULL, ret);
}

int content_check_names(struct store *s, const struct content *content,
			uint64_t *at, uint64_t max_bytes,
			const struct content_judge *judge,
			struct content_faults *ret)
{
	return check(s, content, at, max_bytes, judge, ret);
}
