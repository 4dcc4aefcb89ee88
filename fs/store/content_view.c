/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Looking at bytes that may be no content yet (extents over a base): what
 * they are made of, piece by piece; where there is data, where a hole; and
 * how much of a content is no hole.
 *
 * A hole is a block of zeros, however it came about: chunks do not end where
 * holes begin, so what the entries of a manifest call a hole is less than
 * what a program left out, and depends on when a version was made. So zeros
 * are looked for, in what the entries do not say: up to a bound, so that a
 * search in a large file without holes does not read all of it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/store/chunker.h"
#include "fs/store/content_overlay.h"

/* The unit of holes: a page, as programs that look for holes expect. */
#define HOLE_BYTES UINT64_C(4096)
/* Read in one search, for zeros: some 10 ms. */
#define SEEK_READ_BYTES (UINT64_C(16) << 20)
/* Passed over, when that is used up; after these all is data. */
#define SEEK_PIECES_MAX 65536
/* Read at a time. */
#define SEEK_STEP_BYTES (64 * 1024)
/* Blocks of entries looked at to find how much of a content is no hole:
 * about 4 GiB of data, and some ms. */
#define STORED_BLOCKS_MAX 256

struct content_view {
	struct overlay over;
	uint8_t bytes[SEEK_STEP_BYTES];
};

int content_view_new(struct store *s, const struct content_over *o,
		     struct content_view **ret)
{
	struct content_view *v = malloc(sizeof(*v));
	int r;

	if (!v)
		return -ENOMEM;
	r = overlay_init(&v->over, s, o->base, o->kept, o->size, o->extents,
			 o->count);
	if (r < 0)
		content_view_free(v);
	else
		*ret = v;
	return r;
}

void content_view_free(struct content_view *v)
{
	if (!v)
		return;
	overlay_release(&v->over);
	free(v);
}

int content_view_piece(struct content_view *v, uint64_t offset, uint64_t len,
		       struct content_extent *ret)
{
	return overlay_piece(&v->over, offset, len, ret);
}

static uint64_t next_block(uint64_t offset)
{
	return offset / HOLE_BYTES * HOLE_BYTES + HOLE_BYTES;
}

/* The first block of those that were read that is a hole, or is none; len if
 * there is no such. */
static size_t find_block(const uint8_t *bytes, size_t len, bool hole)
{
	size_t at = 0;

	while (at < len) {
		size_t n = MIN_OF(len - at, (size_t)HOLE_BYTES);

		if (bytes_are_zero(bytes + at, n) == hole)
			break;
		at += n;
	}
	return at;
}

struct seek {
	uint64_t at;		/* the beginning of a block */
	bool hole;		/* is looked for */
	uint64_t left;		/* may be read still */
	unsigned int pieces;	/* may be passed over unread still */
};

/*
 * One step from s->at on; 1: what is there is what is looked for.
 * A piece that cannot be looked into is data.
 */
static int seek_step(struct content_view *v, struct seek *s)
{
	uint64_t size = v->over.size, end;
	struct content_extent x;
	size_t len, n;
	int r = overlay_zeros(&v->over, s->at, &end);

	if (!r && end < size)
		end -= end % HOLE_BYTES;
	if (!r && end > s->at) {
		if (!s->hole)
			s->at = end;
		return s->hole;
	}
	len = (size_t)MIN_OF((uint64_t)SEEK_STEP_BYTES, size - s->at);
	if (!r && s->left >= len) {
		r = overlay_read(&v->over, s->at, v->bytes, len);
		if (!r) {
			n = find_block(v->bytes, len, s->hole);
			s->at += n;
			s->left -= len;
			return n < len;
		}
	}
	if (r == -ENOMEM)
		return r;
	if (!s->hole)
		return 1;
	if (!s->pieces-- ||
	    overlay_piece(&v->over, s->at, size - s->at, &x) < 0)
		s->at = size;
	else
		s->at = MIN_OF(next_block(s->at + x.len - 1), size);
	return 0;
}

int content_view_seek(struct content_view *v, uint64_t offset, bool hole,
		      uint64_t *ret)
{
	struct seek s = { offset / HOLE_BYTES * HOLE_BYTES, hole,
			  SEEK_READ_BYTES, SEEK_PIECES_MAX };
	int r = 0;

	if (offset >= v->over.size)
		return -ENXIO;
	while (!r && s.at < v->over.size)
		r = seek_step(v, &s);
	if (r < 0)
		return r;
	if (!r && !hole)
		return -ENXIO;
	*ret = MAX_OF(offset, s.at);
	return 0;
}

/* ---- how much is no hole */

int content_stored(struct store *s, const struct content *content,
		   uint64_t *ret)
{
	uint64_t at = 0, block_end = 0, stored = 0;
	struct content_cursor c;
	unsigned int blocks = 0;
	int r;

	store_assert_locked(s);
	if (!content->depth) {
		*ret = bytes_are_zero(content->inline_bytes.data,
				      content->inline_bytes.len)
			       ? 0
			       : content->size;
		return 0;
	}
	if (content->size <= CHUNK_BYTES_MIN) {
		/* One chunk or one hole: nothing is to be read for that. */
		struct hash hole;

		r = manifest_hole_root(content->size, &hole);
		*ret = hash_equal(&content->root, &hole) ? 0 : content->size;
		return r;
	}
	r = content_cursor_init(&c, s, content, CURSOR_LOCKED);
	while (!r && at < content->size) {
		struct manifest_entry e;
		uint64_t start;

		if (at >= block_end && blocks++ == STORED_BLOCKS_MAX)
			break;
		r = content_cursor_seek(&c, 1, at, &e, &start);
		if (r)
			break;
		block_end = c.level[1].end;
		stored += e.hole ? 0 : e.len;
		at = start + e.len;
	}
	content_cursor_release(&c);
	if (r == -ENOMEM)
		return r;
	*ret = stored + (content->size - at);
	return r < 0;
}
