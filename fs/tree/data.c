/* SPDX-License-Identifier: Apache-2.0 */
/*
 * File data: handles, reads, writes.
 *
 * Writes go to the data segments (larger files) or into their extents (files
 * that stay inline), and are on record when the call returns; what others
 * see of them, a version, is made by a content cut (cut.c). A read overlays
 * the extents on the version they are based on.
 *
 * A file that gets another content from elsewhere while it is open is
 * detached: the name gets a new inode number, the open handles keep the old
 * one, with what they saw and with their branch. But where the new content
 * is the old one and something behind it, and nothing is unsent, they see it
 * grow: `tail -f` of a log that is written on another node.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/store/headroom.h"
#include "fs/tree/dirty.h"
#include "fs/tree/op.h"
#include "fs/tree/saves.h"

/* Times that a write waits for room. */
#define ROOM_TRIES 3
/* A write larger than this never stands in an extent. */
#define SMALL_WRITE_MAX INLINE_BYTES_MAX
/* A smaller one does not leave memory at once (DATA_LONG_OFFSET): the disk
 * gets better pieces later. */
#define LONG_PIECE_MIN ((size_t)64 * 1024)

/* ---- handles */

int tree_open_file(struct tree *t, uint64_t ino, bool write)
{
	struct target f;
	struct inode *i;
	int r;

	store_lock(t->store);
	r = target_load(t, ino, &f);
	if (!r) {
		if (f.info.kind == KIND_DIR || objid_is_root(f.ref.id))
			r = -EISDIR;
		else if (f.info.real_count > 1 && t->observer.opened)
			t->observer.opened(t->observer.arg, f.ref.id);
		target_release(&f);
	}
	i = r ? NULL : inode_get(t, ino);
	if (!r && !i)
		r = -ENOMEM;
	if (i) {
		i->opens++;
		i->accessed = false;
		i->writers += write;
	}
	store_unlock(t->store);
	return r;
}

int tree_open_again(struct tree *t, uint64_t ino, bool write)
{
	struct target f;
	struct inode *i;

	store_lock(t->store);
	i = inode_get(t, ino);
	if (i) {
		i->opens++;
		i->writers += write;
	}
	if (i && !target_load(t, ino, &f)) {
		i->detached = f.ref.type == INO_DETACHED;
		i->nameless = target_is_nameless(&f);
		/* (if it is not, the last handle ends both) */
		i->held = i->detached || (!f.info.link_count &&
					  !objid_is_root(f.ref.id));
		target_release(&f);
	}
	store_unlock(t->store);
	return i ? 0 : -ENOMEM;
}

/* The last handle of a detached content takes it along; unsent writes that
 * could not be made a version yet keep it until they are. */
static int forget_detached(struct tree *t, uint64_t ino)
{
	const struct inode *i;
	struct inoref ref;
	int r;

	store_lock(t->store);
	i = inode_find(t, ino);
	r = ino_get(t, ino, &ref);
	if (!r)
		inoref_release(&ref);
	if (r || ref.type != INO_DETACHED || (i && (i->opens || i->dirty))) {
		store_unlock(t->store);
		return r;
	}
	r = op_begin_locked(t);
	if (!r) {
		store_op_makes_room(t->store);
		r = dirty_drop(t, ino);
		if (!r)
			r = ino_forget_detached(t, ino);
		r = op_end_locked(t, r);
	}
	store_unlock(t->store);
	return r;
}

void tree_release_file(struct tree *t, uint64_t ino, bool write)
{
	struct inode *i;
	bool cut, last, detached;

	store_lock(t->store);
	i = inode_find(t, ino);
	if (!i || !i->opens) {
		store_unlock(t->store);
		return;
	}
	if (write && i->writers)
		i->writers--;
	cut = i->dirty && !i->writers;
	if (!i->writers)
		i->fresh = false;
	last = --i->opens == 0;
	detached = i->detached;
	store_unlock(t->store);
	/* On failure the writes stay on record, and the housekeeping tries
	 * again: tree_cut_due(). */
	if (cut && data_cut(t, ino)) {
		store_lock(t->store);
		cut_alarm(t, 0);
		store_unlock(t->store);
	}
	if (cut)
		backup_closed(t, ino);
	if (!last)
		return;
	if (cut || detached)
		(void)!forget_detached(t, ino);
	store_lock(t->store);
	i = inode_find(t, ino);
	if (i)
		inode_drop(t, i);
	store_unlock(t->store);
}

bool tree_is_written(struct tree *t, uint64_t ino)
{
	const struct inode *i;
	bool yes;

	store_lock(t->store);
	i = inode_find(t, ino);
	yes = i && i->writers;
	store_unlock(t->store);
	return yes;
}

/* ---- detaching */

int ino_detach(struct tree *t, uint64_t ino, struct objid id,
	       const struct version *shown)
{
	struct inode *i = inode_find(t, ino);
	struct inoref was, ref = { .type = INO_DETACHED, .id = id };
	uint8_t key[9];
	struct attr a;
	int r;

	if (!i || (!i->opens && !i->dirty) || !shown)
		return 0;
	r = ino_get(t, ino, &was);
	if (r)
		return r;
	inoref_release(&was);
	/* The sibling, if it is still shown, gets another number. */
	i->detached = true;
	if (was.type == INO_SIBLING)
		r = ino_forget_sibling(t, was.id, was.tag);
	object_init(&ref.version, id);
	if (!r)
		r = object_add_copy(&ref.version, shown);
	/* (it may have been set) */
	if (!r)
		r = attr_of(t, ino, &a);
	if (!r) {
		ref.version.versions[0].content.mtime = a.mtime;
		r = ino_put(t, ino, &ref);
	}
	if (!r)
		r = store_put(t->store, TABLE_INO, ino_key(key, 'd', ino),
			      SLICE("", 0));
	inoref_release(&ref);
	return r;
}

int data_detach(struct tree *t, struct row *row, const struct version *shown)
{
	struct inoref ref = { .type = INO_OBJECT, .id = row->o.id };
	struct inode *i = inode_find(t, row->ino);
	int r;

	if (!i || (!i->opens && !i->dirty) || !shown)
		return 0;
	r = ino_detach(t, row->ino, row->o.id, shown);
	if (r)
		return r;
	row->ino = ino_new(t);
	return ino_put(t, row->ino, &ref);
}

/*
 * Else whoever opens the name would write to what is already given up, and
 * that would go with it.
 */
int data_returns(struct tree *t, struct row *row)
{
	uint64_t ino = row->ino;
	const struct inode *i = inode_find(t, ino);
	struct dirty d;
	int r;

	if (!i || !i->dirty)
		return 0;
	r = dirty_get(t, ino, &d);
	if (r)
		return r == -ENOENT ? 0 : r;
	if (d.unlinked && d.base.count) {
		r = data_detach(t, row, &d.base.versions[0]);
		if (!r)
			r = orphan_detached(t, ino, row);
	}
	dirty_release(&d);
	return r;
}

/*
 * Whoever has it open without unsent writes may go on with the new content
 * as with a local file that somebody appends to: nothing that was read is
 * another now.
 */
static bool goes_on(struct tree *t, const struct row *row,
		    const struct version *shown, const struct version *new)
{
	const struct inode *i = inode_find(t, row->ino);

	return i && !i->dirty && shown && new && !(shown->flags & VERSION_VOID) &&
	       !(new->flags & VERSION_VOID) &&
	       content_grows(t->store, &shown->content.content,
			     &new->content.content) == 1;
}

int data_changed(struct tree *t, struct row *row, const struct version *shown,
		 const struct version *new)
{
	return goes_on(t, row, shown, new) ? 0 : data_detach(t, row, shown);
}

/* ---- reading */

static void snapshot_base(struct snapshot *s, const struct version *v)
{
	if (!v || v->flags & VERSION_VOID) {
		content_empty(&s->base);
		return;
	}
	s->base = v->content.content;
	if (!s->base.depth) {
		memcpy(s->bytes, s->base.inline_bytes.data,
		       s->base.inline_bytes.len);
		s->base.inline_bytes.data = s->bytes;
	}
}

static int snapshot_dirty(struct tree *t, uint64_t ino, uint64_t from,
			  uint64_t to, size_t max, struct snapshot *s)
{
	struct dirty d;
	int r = dirty_get(t, ino, &d);

	if (r)
		return r;
	snapshot_base(s, d.base.count ? &d.base.versions[0] : NULL);
	s->size = d.size;
	s->kept = d.kept;
	dirty_release(&d);
	return extents_load(t, ino, from, to, max, &s->extents);
}

int snapshot_take(struct tree *t, uint64_t ino, uint64_t from, uint64_t to,
		  size_t max, struct snapshot *s)
{
	struct inode *i = inode_find(t, ino);
	struct target f;
	int r;

	if (i && i->dirty)
		return snapshot_dirty(t, ino, from, to, max, s);
	r = target_load(t, ino, &f);
	if (r)
		return r;
	if (f.info.kind == KIND_DIR || objid_is_root(f.ref.id))
		r = -EISDIR;
	snapshot_base(s, f.content);
	s->size = s->kept = s->base.size;
	s->extents.end = to;
	target_release(&f);
	return r;
}

static int read_chunk(struct tree *t, const struct content_extent *e,
		      uint64_t skip, uint8_t *ret, size_t len)
{
	struct chunk_place p;
	int r;

	store_lock(t->store);
	r = chunk_find(t->store, &e->hash, &p);
	if (r == -ENOENT && pending_wait_chunk(t, &e->hash))
		r = -EAGAIN;
	store_unlock(t->store);
	if (r == -EAGAIN)
		return r;
	if (r || p.len != e->chunk_len)
		return -EIO;
	return chunk_read_at(t->store, &e->hash, &p, e->skip + skip, ret, len);
}

static int read_extent(struct tree *t, const struct content_extent *e,
		       uint64_t offset, uint8_t *ret, size_t len)
{
	uint64_t from = MAX_OF(e->offset, offset);
	uint64_t to = MIN_OF(e->offset + e->len, offset + len);
	uint64_t skip = from - e->offset;
	struct data_loc loc = { e->loc.segment, e->loc.offset + skip };

	ret += from - offset;
	switch (e->kind) {
	case EXTENT_DATA:
		return data_read(t->store, loc, ret, (size_t)(to - from));
	case EXTENT_BYTES:
		memcpy(ret, e->bytes + skip, (size_t)(to - from));
		return 0;
	case EXTENT_CHUNK:
		return read_chunk(t, e, skip, ret, (size_t)(to - from));
	default:
		memset(ret, 0, (size_t)(to - from));
		return 0;
	}
}

/* Something of it is not here; or came meanwhile, then once more. */
static int64_t read_absent(struct tree *t, const struct content *base,
			   uint64_t offset, uint8_t *ret, size_t len)
{
	int64_t n;

	store_lock(t->store);
	n = pending_wait(t, base, offset, len);
	store_unlock(t->store);
	if (n)
		return n < 0 ? n : -EAGAIN;
	n = content_read(t->store, base, offset, ret, len);
	return n == -ENOENT ? -EIO : n;
}

/* Do the extents hide all of it? They are sorted. */
static bool is_overwritten(const struct extents *x, uint64_t offset,
			   uint64_t len)
{
	uint64_t end = offset + len;

	for (size_t k = 0; k < x->count && offset < end; k++) {
		const struct content_extent *e = &x->list[k];

		if (e->offset > offset)
			break;
		offset = MAX_OF(offset, e->offset + e->len);
	}
	return offset >= end;
}

static int64_t read_base(struct tree *t, const struct snapshot *s,
			 uint64_t offset, uint8_t *ret, size_t len)
{
	int64_t n = content_read(t->store, &s->base, offset, ret, len);

	if (n != -ENOENT)
		return n;
	if (is_overwritten(&s->extents, offset, len))
		return 0;
	return read_absent(t, &s->base, offset, ret, len);
}

int64_t tree_read(struct tree *t, uint64_t ino, uint64_t offset, void *ret,
		  size_t len)
{
	cleanup(store_hold_end) struct store_hold hold = store_hold(t->store);
	autofree struct snapshot *s = calloc(1, sizeof(*s));
	uint8_t *out = ret;
	int64_t n = 0;
	int r;

	if (!s)
		return -ENOMEM;
	if (offset > FILE_BYTES_MAX)
		return -EINVAL;
	len = MIN_OF(len, (size_t)(FILE_BYTES_MAX - offset));
	store_lock(t->store);
	r = snapshot_take(t, ino, offset, offset + len, SIZE_MAX, s);
	store_unlock(t->store);
	if (r)
		return r;
	if (offset < s->size)
		len = (size_t)MIN_OF((uint64_t)len, s->size - offset);
	else
		len = 0;
	if (offset < s->kept && len)
		n = read_base(t, s, offset, out,
			      (size_t)MIN_OF((uint64_t)len,
					     s->kept - offset));
	if (n >= 0) {
		memset(out + n, 0, len - (size_t)n);
		for (size_t k = 0; !r && k < s->extents.count; k++)
			if (s->extents.list[k].offset < offset + len)
				r = read_extent(t, &s->extents.list[k], offset,
						out, len);
	}
	extents_release(&s->extents);
	if (n < 0)
		return n;
	return r ? r : (int64_t)len;
}

int tree_readlink(struct tree *t, uint64_t ino, struct buf *ret)
{
	struct target f;
	int r;

	store_lock(t->store);
	r = target_load(t, ino, &f);
	if (!r) {
		if (f.info.kind != KIND_SYMLINK)
			r = -EINVAL;
		else if (f.content)
			buf_put_slice(ret,
				      f.content->content.content.inline_bytes);
		else
			r = -EIO;
		target_release(&f);
	}
	store_unlock(t->store);
	return r ? r : buf_error(ret);
}

/* ---- writing */

void inode_wrote(struct tree *t, uint64_t ino, bool append, int r)
{
	struct inode *i = inode_find(t, ino);
	uint64_t now = t->env->monotonic_ns(t->env->arg);

	if (!i)
		return;
	if (r) {
		inode_drop(t, i);
		return;
	}
	if (!i->dirty) {
		i->first_write_ns = now;
		i->appended = append;
	}
	i->dirty = true;
	i->accessed = false;
	i->last_write_ns = now;
	cut_alarm(t, i->appended ? now + CUT_APPEND_NS : now + CUT_IDLE_NS);
}

static int write_locked(struct tree *t, uint64_t ino, uint64_t offset,
			bool append, struct content_extent *e)
{
	struct dirty d;
	int r = dirty_begin(t, ino, &d);

	if (r)
		return r;
	e->offset = append ? d.size : offset;
	if (e->offset > FILE_BYTES_MAX - e->len)
		r = -EFBIG;
	else
		r = extent_add(t, ino, &d, e);
	d.size = MAX_OF(d.size, e->offset + e->len);
	d.mtime = tree_now(t);
	d.ctime_ns = t->op_now_ns;
	if (!r)
		r = dirty_put(t, ino, &d);
	dirty_release(&d);
	return r;
}

/* In an operation, so that none begins between the check and the write. */
int begin_uncut(struct tree *t, uint64_t ino)
{
	for (;;) {
		struct inode *i;
		uint64_t seen;
		int r = op_begin(t);

		if (r)
			return r;
		i = inode_find(t, ino);
		if (!i || !i->cutting)
			return 0;
		seen = t->cuts_ended;
		store_op_abort(t->store);
		store_unlock(t->store);
		pthread_mutex_lock(&t->cut_mutex);
		while (seen == t->cuts_ended)
			pthread_cond_wait(&t->cut_cond, &t->cut_mutex);
		pthread_mutex_unlock(&t->cut_mutex);
	}
}

static bool stays_inline(struct tree *t, uint64_t ino, uint64_t end,
			 bool append)
{
	struct attr a;
	int r;

	if (end > SMALL_WRITE_MAX)
		return false;
	store_lock(t->store);
	r = attr_of(t, ino, &a);
	store_unlock(t->store);
	return !r && a.size + (append ? end : 0) <= INLINE_BYTES_MAX;
}

static int write_extent(struct tree *t, uint64_t ino, uint64_t offset,
			bool append, struct content_extent *e)
{
	int r = begin_uncut(t, ino);

	if (r)
		return r;
	r = write_locked(t, ino, offset, append, e);
	r = op_end_locked(t, op_answers(t, r, 0));
	inode_wrote(t, ino, append, r);
	store_unlock(t->store);
	return r;
}

/* From before they lie there until they are named. */
static int write_data(struct tree *t, uint64_t ino, uint64_t offset,
		      struct slice bytes, bool append)
{
	cleanup(store_hold_end) struct store_hold hold = store_hold(t->store);
	struct content_extent e = { .kind = EXTENT_DATA, .len = bytes.len };
	bool is_long = bytes.len >= LONG_PIECE_MIN && offset >= DATA_LONG_OFFSET;
	int r = is_long ? data_append_once(t->store, bytes, &e.loc) :
			  data_append(t->store, bytes, &e.loc);

	return r ? r : write_extent(t, ino, offset, append, &e);
}

int tree_write(struct tree *t, uint64_t ino, uint64_t offset,
	       struct slice bytes, bool append)
{
	struct content_extent e = { .kind = EXTENT_BYTES,
				    .len = bytes.len,
				    .bytes = bytes.data };
	bool small;
	int r;

	if (!bytes.len)
		return 0;
	if (!append && (offset > FILE_BYTES_MAX ||
			bytes.len > FILE_BYTES_MAX - offset))
		return -EFBIG;
	small = stays_inline(t, ino, (append ? 0 : offset) + bytes.len, append);
	for (int n = 0;; n++) {
		r = small ? write_extent(t, ino, offset, append, &e) :
			    write_data(t, ino, offset, bytes, append);
		if ((r != -ENOSPC && r != -EDQUOT) || n == ROOM_TRIES)
			return r;
		/* (others may be faster to take what is made) */
		if (store_room(t->store, small ? 0 : bytes.len))
			return r;
	}
}

int data_truncate(struct tree *t, uint64_t ino, uint64_t size)
{
	struct dirty d;
	int r;

	if (size > FILE_BYTES_MAX)
		return -EFBIG;
	r = dirty_begin(t, ino, &d);
	if (r)
		return r;
	if (size < d.size) {
		store_op_makes_room(t->store);
		r = extent_clear(t, ino, &d, size, FILE_BYTES_MAX);
	}
	d.kept = MIN_OF(d.kept, size);
	d.size = size;
	d.mtime = tree_now(t);
	d.ctime_ns = t->op_now_ns;
	if (!r)
		r = dirty_put(t, ino, &d);
	dirty_release(&d);
	return r;
}
