/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Extents over a base, as one run of bytes.
 *
 * What is at an offset is answered by piece_at(): an extent, the base, or
 * zeros, and how far. Bytes of the base are only taken from whole chunks
 * whose hash was checked: a damaged chunk must not get a new, valid name.
 */
#include "fs/store/content_overlay.h"

#include <errno.h>
#include <string.h>

static int check_extents(const struct content_extent *x, size_t count,
			 uint64_t size)
{
	uint64_t end = 0;

	for (; count--; x++) {
		if (x->offset < end || x->offset > size || !x->len ||
		    x->len > size - x->offset)
			return -EINVAL;
		end = x->offset + x->len;
	}
	return 0;
}

int overlay_init(struct overlay *o, struct store *s,
		 const struct content *base, uint64_t kept, uint64_t size,
		 const struct content_extent *extents, size_t count)
{
	*o = (struct overlay){
		.store = s,
		.base = base,
		.base_end = MIN_OF(MIN_OF(base->size, kept), size),
		.size = size,
		.extents = extents,
		.count = count,
	};
	if (size > FILE_BYTES_MAX)
		return -EFBIG;
	if (base->depth) {
		int r = content_cursor_init(&o->cursor, s, base,
					    CURSOR_VERIFY);

		if (r < 0)
			return r;
	} else if (base->inline_bytes.len != base->size) {
		return -EIO;
	}
	return check_extents(extents, count, size);
}

void overlay_release(struct overlay *o)
{
	content_cursor_release(&o->cursor);
	buf_release(&o->chunk);
}

/* The number of extents that end at or before the offset. */
static size_t extents_before(const struct overlay *o, uint64_t offset)
{
	size_t low = 0, high = o->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const struct content_extent *x = &o->extents[middle];

		if (x->offset + x->len <= offset)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

struct piece {
	enum {
		PIECE_ZERO,
		PIECE_BASE,
		PIECE_EXTENT,	/* data or bytes, of this extent: */
	} kind;
	const struct content_extent *extent;
	uint64_t end;
};

static struct piece piece_at(const struct overlay *o, uint64_t offset)
{
	size_t i = extents_before(o, offset);
	const struct content_extent *x = i < o->count ? o->extents + i : NULL;
	struct piece p = { PIECE_ZERO, NULL, o->size };

	if (x && x->offset <= offset) {
		p.end = x->offset + x->len;
		if (x->kind != EXTENT_ZERO) {
			p.kind = PIECE_EXTENT;
			p.extent = x;
		}
		return p;
	}
	if (x)
		p.end = x->offset;
	if (offset < o->base_end) {
		p.kind = PIECE_BASE;
		p.end = MIN_OF(p.end, o->base_end);
	}
	return p;
}

/* Bytes of a chunk, of which the last one read is at hand. */
static int read_chunk(struct overlay *o, const struct hash *hash,
		      uint64_t chunk_len, uint64_t skip, uint8_t *ret,
		      size_t len)
{
	int r;

	if (!o->chunk.len || !hash_equal(&o->chunk_hash, hash)) {
		r = chunk_read(o->store, hash, &o->chunk);
		if (r < 0) {
			buf_reset(&o->chunk);
			return r;
		}
		o->chunk_hash = *hash;
	}
	if (o->chunk.len != chunk_len)
		return -EIO;
	memcpy(ret, o->chunk.data + skip, len);
	return 0;
}

/* Reads from one chunk or hole of the base; ret_done gets how much. */
static int read_base(struct overlay *o, uint64_t offset, uint8_t *ret,
		     size_t len, size_t *ret_done)
{
	struct manifest_entry e;
	uint64_t start;
	int r;

	if (!o->base->depth) {
		memcpy(ret, o->base->inline_bytes.data + offset, len);
		*ret_done = len;
		return 0;
	}
	r = content_cursor_seek(&o->cursor, 1, offset, &e, &start);
	if (r < 0)
		return r;
	len = MIN_OF((uint64_t)len, e.len - (offset - start));
	*ret_done = len;
	if (e.hole) {
		memset(ret, 0, len);
		return 0;
	}
	return read_chunk(o, &e.hash, e.len, offset - start, ret, len);
}

static int read_extent(struct overlay *o, const struct content_extent *x,
		       uint64_t offset, uint8_t *ret, size_t len)
{
	struct data_loc loc = x->loc;

	if (x->kind == EXTENT_BYTES) {
		memcpy(ret, x->bytes + (offset - x->offset), len);
		return 0;
	}
	if (x->kind == EXTENT_CHUNK)
		return read_chunk(o, &x->hash, x->chunk_len,
				  x->skip + (offset - x->offset), ret, len);
	loc.offset += offset - x->offset;
	return data_read(o->store, loc, ret, len) < 0 ? -EIO : 0;
}

int overlay_read(struct overlay *o, uint64_t offset, uint8_t *ret, size_t len)
{
	kin_assert(offset <= o->size && len <= o->size - offset);
	while (len) {
		struct piece p = piece_at(o, offset);
		size_t n = (size_t)MIN_OF((uint64_t)len, p.end - offset);
		int r = 0;

		if (p.kind == PIECE_ZERO)
			memset(ret, 0, n);
		else if (p.kind == PIECE_EXTENT)
			r = read_extent(o, p.extent, offset, ret, n);
		else
			r = read_base(o, offset, ret, n, &n);
		if (r < 0)
			return r;
		offset += n;
		ret += n;
		len -= n;
	}
	return 0;
}

int overlay_zeros(struct overlay *o, uint64_t offset, uint64_t *ret_end)
{
	while (offset < o->size) {
		struct piece p = piece_at(o, offset);
		struct manifest_entry e;
		uint64_t start;
		int r;

		if (p.kind == PIECE_EXTENT)
			break;
		if (p.kind == PIECE_BASE) {
			if (!o->base->depth)
				break;
			r = content_cursor_seek(&o->cursor, 1, offset, &e,
						&start);
			if (r < 0)
				return r;
			if (!e.hole)
				break;
			p.end = MIN_OF(p.end, start + e.len);
		}
		offset = p.end;
	}
	*ret_end = offset;
	return 0;
}

/* Of the base. */
static int base_piece(struct overlay *o, uint64_t offset, uint64_t len,
		      struct content_extent *ret)
{
	struct manifest_entry e;
	uint64_t start;
	int r;

	if (!o->base->depth) {
		ret->kind = EXTENT_BYTES;
		ret->len = len;
		ret->bytes = o->base->inline_bytes.data + offset;
		return 0;
	}
	r = content_cursor_seek(&o->cursor, 1, offset, &e, &start);
	if (r < 0)
		return r;
	ret->len = MIN_OF(len, e.len - (offset - start));
	if (e.hole)
		return 0;
	ret->kind = EXTENT_CHUNK;
	ret->hash = e.hash;
	ret->chunk_len = (uint32_t)e.len;
	ret->skip = (uint32_t)(offset - start);
	ret->chunk_last = start + e.len == o->base->size;
	return 0;
}

int overlay_piece(struct overlay *o, uint64_t offset, uint64_t len,
		  struct content_extent *ret)
{
	struct piece p = piece_at(o, offset);

	kin_assert(offset < o->size && len);
	*ret = (struct content_extent){ .offset = offset };
	len = MIN_OF(len, p.end - offset);
	if (p.kind == PIECE_BASE)
		return base_piece(o, offset, len, ret);
	if (p.kind == PIECE_EXTENT) {
		uint64_t skip = offset - p.extent->offset;

		*ret = *p.extent;
		ret->offset = offset;
		if (ret->kind == EXTENT_BYTES)
			ret->bytes += skip;
		else if (ret->kind == EXTENT_CHUNK)
			ret->skip += (uint32_t)skip;
		else
			ret->loc.offset += skip;
	}
	ret->len = len;
	return 0;
}

const struct content_extent *overlay_chunk(const struct overlay *o,
					   uint64_t offset)
{
	size_t i = extents_before(o, offset);
	const struct content_extent *x = i < o->count ? o->extents + i : NULL;

	return x && x->offset == offset && x->kind == EXTENT_CHUNK &&
			       !x->skip && x->len == x->chunk_len
		       ? x
		       : NULL;
}

bool overlay_clean(const struct overlay *o, uint64_t start, uint64_t end)
{
	size_t i = extents_before(o, start);

	return i == o->count || o->extents[i].offset >= end;
}

bool overlay_locate(const struct overlay *o, uint64_t offset, uint64_t len,
		    struct data_loc *ret)
{
	uint64_t end = offset + len;
	struct data_loc first = { 0 }, next = { 0 };

	for (uint64_t at = offset; at < end;) {
		struct piece p = piece_at(o, at);
		struct data_loc loc;

		if (p.kind != PIECE_EXTENT || p.extent->kind != EXTENT_DATA)
			return false;
		loc = p.extent->loc;
		loc.offset += at - p.extent->offset;
		if (at == offset)
			first = loc;
		else if (loc.segment != next.segment ||
			 loc.offset != next.offset)
			return false;
		next = loc;
		next.offset += p.end - at;
		at = p.end;
	}
	*ret = first;
	return true;
}
