/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Unsent writes of an inode, as the store keeps them until a content cut
 * makes a version: a header, the version that they are based on, and
 * extents. DIRTY, keys: inode number and, big endian, the offset of an
 * extent; 2^64-1 for the header, 2^64-2 for the base, 2^64-3 for what a
 * policy hid under it, if anything.
 *
 * These are written once, with the first write; header and extents with
 * each.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/tree/dirty.h"

#define DIRTY_FORMAT 1
#define OFFSET_HEADER DIRTY_OFFSET_HEADER
#define OFFSET_BASE DIRTY_OFFSET_BASE
#define DIRTY_UNLINKED 1
#define DIRTY_BORN 2
#define DIRTY_KNOWN 4

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
	ret->written = reader_u64(&in);
	ret->covered = reader_u64(&in);
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
	uint8_t key[16], value[96];
	struct buf b = { value, 0, sizeof(value), false };

	buf_put_u8(&b, DIRTY_FORMAT);
	buf_put_u8(&b, (d->unlinked ? DIRTY_UNLINKED : 0) |
			       (d->born ? DIRTY_BORN : 0) |
			       (d->known.count ? DIRTY_KNOWN : 0));
	buf_put(&b, d->id.b, sizeof(d->id.b));
	buf_put_u64(&b, d->size);
	buf_put_u64(&b, d->kept);
	buf_put_u64(&b, d->written);
	buf_put_u64(&b, d->covered);
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

/* Makes the content of `o` with the bytes of the base, if there is one, the
 * base: others may write over it, and name it as what they were made from. */
static int base_again(struct tree *t, uint64_t ino, struct dirty *d,
		      const struct object *o)
{
	const struct content *was =
		d->base.count ? &d->base.versions[0].content.content : NULL;
	const struct version *v = NULL;
	int r;

	for (size_t k = 0; was && !v && k < o->count; k++) {
		const struct version *w = &o->versions[k];

		if (w->reg == REG_CONTENT &&
		    content_has_same_bytes(&w->content.content, was))
			v = w;
	}
	if (!v)
		return 0;
	object_release(&d->base);
	object_init(&d->base, d->id);
	r = object_add_copy(&d->base, v);
	return r ? r : base_put(t, ino, d);
}

int dirty_move(struct tree *t, uint64_t ino, const struct object *to)
{
	struct dirty d;
	int r = dirty_get(t, ino, &d);

	if (r)
		return r == -ENOENT ? 0 : r;
	if (!objid_equal(d.id, to->id)) {
		d.id = to->id;
		r = base_again(t, ino, &d, to);
	}
	if (!r)
		r = dirty_put(t, ino, &d);
	dirty_release(&d);
	return r;
}

int dirty_rebase(struct tree *t, uint64_t ino, const struct row *to,
		 const struct info *i, const struct version *base)
{
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

/* After a restart nothing is open: what is dirty is due at once. (What is
 * damaged is told of by who uses it.) */
int dirty_load_all(struct tree *t)
{
	uint8_t from[STORE_KEY_BYTES_MAX + 1];
	size_t len = 0;

	for (;;) {
		struct slice k, v;
		struct inode *i;
		struct dirty d;
		uint64_t ino;
		bool sound;
		int r = store_peek(t->store, TABLE_DIRTY, SLICE(from, len), &k,
				   &v, &sound);

		if (r)
			return r == -ENOENT ? 0 : r;
		memcpy(from, k.data, k.len);
		from[k.len] = 0; /* just behind it */
		len = k.len + 1;
		if (k.len != 16)
			continue;
		ino = get_be64(from);
		i = inode_get(t, ino);
		if (!i)
			return -ENOMEM;
		i->dirty = true;
		if (!dirty_get(t, ino, &d)) {
			i->born = d.born;
			dirty_release(&d);
		}
		dirty_key(from, ino + 1, 0);
		len = 16;
	}
}
