/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Extents of unsent writes: what stands over the version that they are based
 * on. DIRTY, keys: inode number and, big endian, the offset of the extent.
 *
 * Small files keep their bytes in the extents themselves (they will be
 * inline in a row anyway), larger ones in data segments. What was copied
 * from a version is the names of its chunks (range.c): no byte of them is
 * read or stored again. The header counts the bytes of extents, so that the
 * size on disk is known without a walk.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/tree/dirty.h"

/* Neighbouring small writes are one extent up to this many bytes. */
#define EXTENT_MERGE_MAX INLINE_BYTES_MAX
#define EXTENT_CHUNK_LAST 1

static struct slice extent_value(const struct content_extent *e,
				 struct buf *b)
{
	buf_reset(b);
	buf_put_u8(b, (uint8_t)e->kind);
	buf_put_varint(b, e->len);
	if (e->kind == EXTENT_DATA) {
		buf_put_u32(b, e->loc.segment);
		buf_put_u64(b, e->loc.offset);
	} else if (e->kind == EXTENT_BYTES) {
		buf_put(b, e->bytes, (size_t)e->len);
	} else if (e->kind == EXTENT_CHUNK) {
		buf_put(b, e->hash.b, sizeof(e->hash.b));
		buf_put_u32(b, e->chunk_len);
		buf_put_u32(b, e->skip);
		buf_put_u8(b, e->chunk_last ? EXTENT_CHUNK_LAST : 0);
	}
	return buf_slice(b);
}

static void decode_chunk(struct reader *in, struct content_extent *ret)
{
	uint8_t flags;

	reader_copy(in, ret->hash.b, sizeof(ret->hash.b));
	ret->chunk_len = reader_u32(in);
	ret->skip = reader_u32(in);
	flags = reader_u8(in);
	ret->chunk_last = flags & EXTENT_CHUNK_LAST;
	if (flags > EXTENT_CHUNK_LAST || ret->chunk_len > CHUNK_BYTES_MAX ||
	    ret->skip > ret->chunk_len ||
	    ret->len > ret->chunk_len - ret->skip)
		reader_fail(in);
}

int extent_decode(struct slice v, uint64_t offset,
		  struct content_extent *ret)
{
	struct reader in = READER(v.data, v.len);

	*ret = (struct content_extent){ .offset = offset };
	ret->kind = reader_u8(&in);
	ret->len = reader_varint(&in);
	if (ret->kind == EXTENT_DATA) {
		ret->loc.segment = reader_u32(&in);
		ret->loc.offset = reader_u64(&in);
	} else if (ret->kind == EXTENT_BYTES) {
		ret->bytes = reader_bytes(&in, (size_t)ret->len).data;
	} else if (ret->kind == EXTENT_CHUNK) {
		decode_chunk(&in, ret);
	} else if (ret->kind != EXTENT_ZERO) {
		reader_fail(&in);
	}
	if (!ret->len || offset + ret->len < offset)
		reader_fail(&in);
	return reader_done(&in) ? -EUCLEAN : 0;
}

/* In the header, which the caller puts. */
static void extent_count(struct dirty *d, const struct content_extent *e,
			 bool there)
{
	uint64_t covers = e->offset < d->kept
				  ? MIN_OF(e->len, d->kept - e->offset)
				  : 0;
	uint64_t bytes = e->kind == EXTENT_ZERO ? 0 : e->len;

	d->written += there ? bytes : -bytes;
	d->covered += there ? covers : -covers;
}

static int extent_del(struct tree *t, uint64_t ino, struct dirty *d,
		      const struct content_extent *e)
{
	uint8_t key[16];

	extent_count(d, e, false);
	return store_del(t->store, TABLE_DIRTY,
			 dirty_key(key, ino, e->offset));
}

static int extent_put(struct tree *t, uint64_t ino, struct dirty *d,
		      const struct content_extent *e)
{
	struct buf b = BUF_INIT;
	autofree uint8_t *bytes = NULL;
	uint8_t key[16];
	struct slice v = extent_value(e, &b);

	bytes = b.data;
	if (b.failed)
		return -ENOMEM;
	extent_count(d, e, true);
	return store_put(t->store, TABLE_DIRTY,
			 dirty_key(key, ino, e->offset), v);
}

/* The first extent that ends behind `offset`. */
int extent_seek(struct tree *t, uint64_t ino, uint64_t offset,
		struct content_extent *ret)
{
	uint8_t key[16];
	struct slice k, v;
	int r;

	r = store_seek_before(t->store, TABLE_DIRTY,
			      dirty_key(key, ino, offset), &k, &v);
	if (!r && k.len == 16 && get_be64(k.data) == ino) {
		r = extent_decode(v, get_be64(k.data + 8), ret);
		if (r || ret->offset + ret->len > offset)
			return r;
	} else if (r && r != -ENOENT) {
		return r;
	}
	r = store_seek(t->store, TABLE_DIRTY, dirty_key(key, ino, offset), &k,
		       &v);
	if (r)
		return r;
	if (k.len != 16 || get_be64(k.data) != ino ||
	    get_be64(k.data + 8) >= DIRTY_OFFSET_KNOWN)
		return -ENOENT;
	return extent_decode(v, get_be64(k.data + 8), ret);
}

static void extent_trim_front(struct content_extent *e, uint64_t n)
{
	e->offset += n;
	e->len -= n;
	e->loc.offset += n;
	if (e->kind == EXTENT_CHUNK)
		e->skip += (uint32_t)n;
	if (e->bytes)
		e->bytes += n;
}

/* Removes what [from, to) covers of the extents there. */
int extent_clear(struct tree *t, uint64_t ino, struct dirty *d, uint64_t from,
		 uint64_t to)
{
	while (from < to) {
		autofree uint8_t *copy = NULL;
		struct content_extent e, part;
		int r = extent_seek(t, ino, from, &e);

		if (r == -ENOENT || (!r && e.offset >= to))
			return 0;
		if (r)
			return r;
		if (e.bytes) { /* borrowed from the store: about to change */
			copy = malloc((size_t)e.len);
			if (!copy)
				return -ENOMEM;
			memcpy(copy, e.bytes, (size_t)e.len);
			e.bytes = copy;
		}
		r = extent_del(t, ino, d, &e);
		if (!r && e.offset < from) {
			part = e;
			part.len = from - e.offset;
			r = extent_put(t, ino, d, &part);
		}
		if (!r && e.offset + e.len > to) {
			part = e;
			extent_trim_front(&part, to - e.offset);
			r = extent_put(t, ino, d, &part);
		}
		if (r)
			return r;
		from = e.offset + e.len;
	}
	return 0;
}

/* Does the one continue the other, so that both are one? Bytes are joined by
 * who knows that they are few. */
static bool extent_follows(const struct content_extent *left,
			   const struct content_extent *e)
{
	if (left->offset + left->len != e->offset || left->kind != e->kind)
		return false;
	switch (e->kind) {
	case EXTENT_DATA:
		return left->loc.segment == e->loc.segment &&
		       left->loc.offset + left->len == e->loc.offset;
	case EXTENT_BYTES:
		return left->len + e->len <= EXTENT_MERGE_MAX;
	case EXTENT_CHUNK:
		return left->skip + left->len == e->skip &&
		       left->chunk_len == e->chunk_len &&
		       left->chunk_last == e->chunk_last &&
		       hash_equal(&left->hash, &e->hash);
	default:
		return true;
	}
}

/* Sequential writes make one extent, not one each. */
static int extent_merge(struct tree *t, uint64_t ino, struct dirty *d,
			struct content_extent *e, struct buf *joined)
{
	struct content_extent left;
	int r;

	if (!e->offset)
		return 0;
	r = extent_seek(t, ino, e->offset - 1, &left);
	if (r)
		return r == -ENOENT ? 0 : r;
	if (!extent_follows(&left, e))
		return 0;
	if (e->kind == EXTENT_BYTES) {
		buf_put(joined, left.bytes, (size_t)left.len);
		buf_put(joined, e->bytes, (size_t)e->len);
		if (joined->failed)
			return -ENOMEM;
		e->bytes = joined->data;
	}
	e->loc = left.loc;
	e->skip = left.skip;
	r = extent_del(t, ino, d, &left);
	e->offset = left.offset;
	e->len += left.len;
	return r;
}

int extent_add(struct tree *t, uint64_t ino, struct dirty *d,
	       const struct content_extent *new)
{
	struct content_extent e = *new;
	struct buf joined = BUF_INIT;
	autofree uint8_t *bytes = NULL;
	int r = extent_clear(t, ino, d, e.offset, e.offset + e.len);

	if (!r)
		r = extent_merge(t, ino, d, &e, &joined);
	bytes = joined.data;
	return r ? r : extent_put(t, ino, d, &e);
}

int extents_load(struct tree *t, uint64_t ino, uint64_t from, uint64_t to,
		 size_t max, struct extents *ret)
{
	*ret = (struct extents){ .end = to };
	while (from < to) {
		struct content_extent e;
		int r = extent_seek(t, ino, from, &e);

		if (r == -ENOENT || (!r && e.offset >= to))
			break;
		if (!r && ret->count == max) {
			ret->end = e.offset;
			break;
		}
		if (!r && ret->count == ret->alloc) {
			size_t alloc = MAX_OF(ret->alloc * 2, (size_t)8);
			struct content_extent *p;

			p = realloc(ret->list, alloc * sizeof(*p));
			if (!p)
				r = -ENOMEM;
			else
				ret->list = p;
			ret->alloc = p ? alloc : ret->alloc;
		}
		if (!r && e.bytes) {
			uint8_t *p = malloc((size_t)e.len);

			if (p)
				memcpy(p, e.bytes, (size_t)e.len);
			else
				r = -ENOMEM;
			e.bytes = p;
		}
		if (r) {
			extents_release(ret);
			return r;
		}
		ret->list[ret->count++] = e;
		from = e.offset + e.len;
	}
	return 0;
}

void extents_release(struct extents *e)
{
	for (size_t k = 0; k < e->count; k++)
		free((void *)e->list[k].bytes);
	free(e->list);
	*e = (struct extents){ 0 };
}

int dirty_roots_each(struct slice key, struct slice value,
		     store_root_fn *fn, void *arg)
{
	struct content_extent e;
	uint64_t offset;
	int r;

	if (key.len != 16)
		return -EUCLEAN;
	offset = get_be64(key.data + 8);
	if (offset == DIRTY_OFFSET_HEADER)
		return 0;
	if (offset >= DIRTY_OFFSET_KNOWN)
		return roots_of_versions(value, fn, arg);
	r = extent_decode(value, offset, &e);
	if (!r && e.kind == EXTENT_CHUNK)
		return fn(arg, &(struct store_root){ .chunk = &e.hash });
	if (r || e.kind != EXTENT_DATA)
		return r;
	return fn(arg, &(struct store_root){ .loc = e.loc, .len = e.len });
}
