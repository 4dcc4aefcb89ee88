/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Unsent writes of an inode, as the store keeps them until a content cut
 * makes a version: a header, the version that they are based on, and
 * extents. DIRTY, keys: inode number and, big endian, the offset of an
 * extent; 2^64-1 for the header, 2^64-2 for the base, 2^64-3 for what a
 * policy hid under it, if anything.
 *
 * These are written once, with the first write; header and extents with
 * each. Small files keep their bytes in the extents themselves (they will be
 * inline in a row anyway), larger ones in data segments.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/tree/dirty.h"

#define DIRTY_FORMAT 1
#define OFFSET_HEADER UINT64_MAX
#define OFFSET_BASE DIRTY_OFFSET_BASE
#define DIRTY_UNLINKED 1
#define DIRTY_BORN 2
#define DIRTY_KNOWN 4
/* Neighbouring small writes are one extent up to this many bytes. */
#define EXTENT_MERGE_MAX INLINE_BYTES_MAX

static struct slice dirty_key(uint8_t key[16], uint64_t ino, uint64_t offset)
{
	put_be64(key, ino);
	put_be64(key + 8, offset);
	return SLICE(key, 16);
}

/* ---- header */

void dirty_release(struct dirty *d)
{
	object_release(&d->base);
	object_release(&d->known);
}

/* CONTENT versions, at most max. */
static int versions_get(struct tree *t, uint64_t ino, uint64_t offset,
			size_t max, struct object *ret)
{
	uint8_t key[16];
	struct slice v;
	int r = store_get(t->store, TABLE_DIRTY, dirty_key(key, ino, offset),
			  &v);

	if (!r)
		r = object_decode(v, ret);
	if (!r && (ret->count > max || object_contents(ret) != ret->count))
		r = -EUCLEAN;
	return r;
}

int dirty_get(struct tree *t, uint64_t ino, struct dirty *ret)
{
	uint8_t key[16];
	struct slice v;
	struct reader in;
	uint8_t flags;
	bool known;
	int r;

	*ret = (struct dirty){ 0 };
	r = store_get(t->store, TABLE_DIRTY,
		      dirty_key(key, ino, OFFSET_HEADER), &v);
	if (r)
		return r;
	in = READER(v.data, v.len);
	if (reader_u8(&in) != DIRTY_FORMAT)
		reader_fail(&in);
	flags = reader_u8(&in);
	ret->unlinked = flags & DIRTY_UNLINKED;
	ret->born = flags & DIRTY_BORN;
	known = flags & DIRTY_KNOWN;
	reader_copy(&in, ret->id.b, sizeof(ret->id.b));
	ret->size = reader_u64(&in);
	ret->kept = reader_u64(&in);
	ret->mtime.tv_sec = (time_t)reader_u64(&in);
	ret->mtime.tv_nsec = (long)reader_u32(&in);
	ret->ctime_ns = (int64_t)reader_u64(&in);
	if (reader_done(&in))
		return -EUCLEAN;
	object_init(&ret->base, ret->id);
	object_init(&ret->known, ret->id);
	r = versions_get(t, ino, OFFSET_BASE, 1, &ret->base);
	if (!r && known)
		r = versions_get(t, ino, DIRTY_OFFSET_KNOWN, ROW_VERSIONS_MAX,
				 &ret->known);
	if (r)
		dirty_release(ret);
	return r == -EBADMSG || r == -ENOENT ? -EUCLEAN : r;
}

int dirty_put(struct tree *t, uint64_t ino, const struct dirty *d)
{
	uint8_t key[16], value[72];
	struct buf b = { value, 0, sizeof(value), false };

	buf_put_u8(&b, DIRTY_FORMAT);
	buf_put_u8(&b, (d->unlinked ? DIRTY_UNLINKED : 0) |
			       (d->born ? DIRTY_BORN : 0) |
			       (d->known.count ? DIRTY_KNOWN : 0));
	buf_put(&b, d->id.b, sizeof(d->id.b));
	buf_put_u64(&b, d->size);
	buf_put_u64(&b, d->kept);
	buf_put_u64(&b, (uint64_t)d->mtime.tv_sec);
	buf_put_u32(&b, (uint32_t)d->mtime.tv_nsec);
	buf_put_u64(&b, (uint64_t)d->ctime_ns);
	return store_put(t->store, TABLE_DIRTY,
			 dirty_key(key, ino, OFFSET_HEADER), buf_slice(&b));
}

static int versions_put(struct tree *t, uint64_t ino, uint64_t offset,
			struct object *o)
{
	struct buf b = BUF_INIT;
	autofree uint8_t *bytes = NULL;
	uint8_t key[16];
	int r = object_encode(o, &b);

	bytes = b.data;
	if (r)
		return r;
	return store_put(t->store, TABLE_DIRTY, dirty_key(key, ino, offset),
			 buf_slice(&b));
}

static int base_put(struct tree *t, uint64_t ino, struct dirty *d)
{
	uint8_t key[16];
	int r = versions_put(t, ino, OFFSET_BASE, &d->base);

	if (r)
		return r;
	return d->known.count
		       ? versions_put(t, ino, DIRTY_OFFSET_KNOWN, &d->known)
		       : store_del(t->store, TABLE_DIRTY,
				   dirty_key(key, ino, DIRTY_OFFSET_KNOWN));
}

/* What the policy hides under what is shown there. Of a content that is shown
 * while a newer one is on its way it hides nothing. */
static int note_known(struct dirty *d, const struct row *row,
		      const struct info *i)
{
	int r = 0;

	if (row->has_prior)
		return 0;
	for (size_t g = 0; g < i->hidden_count; g++) {
		const struct branch *b = &i->branches[i->branch_count + g];

		for (size_t k = 0; !r && k < b->count; k++)
			r = object_add_copy(&d->known, b->versions[k]);
	}
	return r;
}

int dirty_set_mtime(struct tree *t, uint64_t ino, struct timespec mtime)
{
	struct dirty d;
	int r = dirty_get(t, ino, &d);

	if (r)
		return r == -ENOENT ? 0 : r;
	d.mtime = mtime;
	d.ctime_ns = t->op_now_ns;
	r = dirty_put(t, ino, &d);
	dirty_release(&d);
	return r ? r : 1;
}

int dirty_move(struct tree *t, uint64_t ino, struct objid to)
{
	struct dirty d;
	int r = dirty_get(t, ino, &d);

	if (r)
		return r == -ENOENT ? 0 : r;
	d.id = to;
	r = dirty_put(t, ino, &d);
	dirty_release(&d);
	return r;
}

int dirty_rebase(struct tree *t, uint64_t ino, const struct row *to,
		 const struct info *i)
{
	const struct version *base = row_shown_content(to, i);
	struct dirty d;
	int r = dirty_get(t, ino, &d);

	if (r)
		return r;
	if (d.kept)
		r = -EUCLEAN;
	object_release(&d.base);
	object_release(&d.known);
	d.id = to->o.id;
	d.born = false;
	if (inode_find(t, ino))
		inode_find(t, ino)->born = false;
	object_init(&d.base, d.id);
	object_init(&d.known, d.id);
	if (!r && base)
		r = object_add_copy(&d.base, base);
	if (!r)
		r = note_known(&d, to, i);
	if (!r)
		r = base_put(t, ino, &d);
	if (!r)
		r = dirty_put(t, ino, &d);
	dirty_release(&d);
	return r;
}

/* The first write since the last cut: what it is based on is kept. */
static int dirty_start(struct tree *t, uint64_t ino, struct dirty *ret)
{
	const struct inode *i = inode_find(t, ino);
	struct target f;
	int r = target_load(t, ino, &f);

	if (r)
		return r;
	*ret = (struct dirty){ .id = f.ref.id, .born = i && i->born };
	object_init(&ret->base, ret->id);
	object_init(&ret->known, ret->id);
	if (f.info.kind == KIND_DIR || objid_is_root(f.ref.id))
		r = -EISDIR;
	else if (f.info.kind != KIND_FILE)
		r = -EINVAL;
	if (!r && f.content) {
		r = object_add_copy(&ret->base, f.content);
		ret->size = ret->kept = f.content->content.content.size;
	}
	if (!r && f.content && f.info.hidden_count &&
	    f.content == info_chosen(&f.info)->top)
		r = note_known(ret, &f.row, &f.info);
	/* Its last name went while it was open: POSIX, not a removal that
	 * the writer had not seen. */
	ret->unlinked = !f.info.shown_count;
	target_release(&f);
	if (!r)
		r = base_put(t, ino, ret);
	if (r)
		dirty_release(ret);
	return r;
}

int dirty_begin(struct tree *t, uint64_t ino, struct dirty *ret)
{
	struct inode *i = inode_get(t, ino);
	int r;

	if (!i)
		return -ENOMEM;
	r = dirty_get(t, ino, ret);
	if (r == -ENOENT)
		r = dirty_start(t, ino, ret);
	if (r)
		inode_drop(t, i);
	return r;
}

int dirty_unlink(struct tree *t, uint64_t ino)
{
	struct inode *i = inode_find(t, ino);
	struct inoref ref;
	struct dirty d;
	int r;

	if (!i || (!i->opens && !i->dirty))
		return 0;
	r = dirty_get(t, ino, &d);
	if (r == -ENOENT) {
		r = ino_get(t, ino, &ref);
		if (r)
			return r;
		inoref_release(&ref);
		/* (of another one it shows, when it is written) */
		if (ref.type != INO_DETACHED)
			return 0;
		r = dirty_start(t, ino, &d);
	}
	if (r)
		return r;
	d.unlinked = true;
	r = dirty_put(t, ino, &d);
	dirty_release(&d);
	return r;
}

/* ---- extents */

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
	}
	return buf_slice(b);
}

static int extent_decode(struct slice v, uint64_t offset,
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
	} else if (ret->kind != EXTENT_ZERO) {
		reader_fail(&in);
	}
	if (!ret->len || offset + ret->len < offset)
		reader_fail(&in);
	return reader_done(&in) ? -EUCLEAN : 0;
}

static int extent_put(struct tree *t, uint64_t ino,
		      const struct content_extent *e)
{
	struct buf b = BUF_INIT;
	autofree uint8_t *bytes = NULL;
	uint8_t key[16];
	struct slice v = extent_value(e, &b);

	bytes = b.data;
	if (b.failed)
		return -ENOMEM;
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
	if (e->bytes)
		e->bytes += n;
}

/* Removes what [from, to) covers of the extents there. */
int extent_clear(struct tree *t, uint64_t ino, uint64_t from, uint64_t to)
{
	uint8_t key[16];

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
		r = store_del(t->store, TABLE_DIRTY,
			      dirty_key(key, ino, e.offset));
		if (!r && e.offset < from) {
			part = e;
			part.len = from - e.offset;
			r = extent_put(t, ino, &part);
		}
		if (!r && e.offset + e.len > to) {
			part = e;
			extent_trim_front(&part, to - e.offset);
			r = extent_put(t, ino, &part);
		}
		if (r)
			return r;
		from = e.offset + e.len;
	}
	return 0;
}

/* Sequential writes make one extent, not one each. */
static int extent_merge(struct tree *t, uint64_t ino,
			struct content_extent *e, struct buf *joined)
{
	struct content_extent left;
	uint8_t key[16];
	int r;

	if (!e->offset)
		return 0;
	r = extent_seek(t, ino, e->offset - 1, &left);
	if (r)
		return r == -ENOENT ? 0 : r;
	if (left.offset + left.len != e->offset || left.kind != e->kind)
		return 0;
	if (e->kind == EXTENT_DATA) {
		if (left.loc.segment != e->loc.segment ||
		    left.loc.offset + left.len != e->loc.offset)
			return 0;
		e->loc = left.loc;
	} else {
		if (left.len + e->len > EXTENT_MERGE_MAX)
			return 0;
		buf_put(joined, left.bytes, (size_t)left.len);
		buf_put(joined, e->bytes, (size_t)e->len);
		if (joined->failed)
			return -ENOMEM;
		e->bytes = joined->data;
	}
	r = store_del(t->store, TABLE_DIRTY, dirty_key(key, ino, left.offset));
	e->offset = left.offset;
	e->len += left.len;
	return r;
}

int extent_add(struct tree *t, uint64_t ino, const struct content_extent *new)
{
	struct content_extent e = *new;
	struct buf joined = BUF_INIT;
	autofree uint8_t *bytes = NULL;
	int r = extent_clear(t, ino, e.offset, e.offset + e.len);

	if (!r)
		r = extent_merge(t, ino, &e, &joined);
	bytes = joined.data;
	return r ? r : extent_put(t, ino, &e);
}

int extents_load(struct tree *t, uint64_t ino, uint64_t from, uint64_t to,
		 struct extents *ret)
{
	*ret = (struct extents){ 0 };
	while (from < to) {
		struct content_extent e;
		int r = extent_seek(t, ino, from, &e);

		if (r == -ENOENT || (!r && e.offset >= to))
			break;
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

int dirty_drop(struct tree *t, uint64_t ino)
{
	for (;;) {
		uint8_t key[16];
		struct slice k, v;
		int r = store_seek(t->store, TABLE_DIRTY,
				   dirty_key(key, ino, 0), &k, &v);

		if (r == -ENOENT ||
		    (!r && (k.len != 16 || get_be64(k.data) != ino)))
			return 0;
		if (!r) {
			memcpy(key, k.data, sizeof(key));
			r = store_del(t->store, TABLE_DIRTY, SLICE(key, 16));
		}
		if (r)
			return r;
	}
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
	if (offset == OFFSET_HEADER)
		return 0;
	if (offset >= DIRTY_OFFSET_KNOWN)
		return roots_of_versions(value, fn, arg);
	r = extent_decode(value, offset, &e);
	if (r || e.kind != EXTENT_DATA)
		return r;
	return fn(arg, &(struct store_root){ .loc = e.loc, .len = e.len });
}

/* After a restart nothing is open: what is dirty is due at once. */
int dirty_load_all(struct tree *t)
{
	uint64_t ino = 0;

	for (;;) {
		uint8_t key[16];
		struct slice k, v;
		struct inode *i;
		struct dirty d;
		int r = store_seek(t->store, TABLE_DIRTY,
				   dirty_key(key, ino, 0), &k, &v);

		if (r == -ENOENT)
			return 0;
		if (r)
			return r;
		if (k.len != 16)
			return -EUCLEAN;
		ino = get_be64(k.data);
		i = inode_get(t, ino);
		if (!i)
			return -ENOMEM;
		i->dirty = true;
		/* (damaged ones are told of by who uses them) */
		if (!dirty_get(t, ino, &d)) {
			i->born = d.born;
			dirty_release(&d);
		}
		ino++;
	}
}
