/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ranges of a file: holes made and looked for, room asked for, and copies
 * that share what they copy.
 *
 * All but the search are unsent writes like any other, so a peer sees what
 * the next version is made of. A hole is an extent of zeros, and only where
 * the base has something to hide. Room is never set aside: every write goes
 * to a new place anyway.
 *
 * A copy reads no byte. Of what is in a version it takes the names of the
 * chunks, of what is unsent the place in its segment; the version that is
 * made of it has the same chunks, so that nothing is stored or sent again
 * but what the two ends of the range cut off. The places of unsent writes
 * stay good because whoever holds since he saw them delays any round that
 * gives back space (reclaim.h).
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "fs/tree/dirty.h"
#include "fs/tree/op.h"

/* Pieces copied by one call, which may copy less than asked for: about
 * 64 MiB, a record of the log of 70 kB. */
#define COPY_PIECES_MAX 1024

/* Looked through at once for a hole; and the unit of holes (tree_seek). */
#define SEEK_EXTENTS 512
#define SEEK_BLOCK_BYTES UINT64_C(4096)

/* ---- holes and room */

/* Zeros in [from, to), which lies within the size. */
static int punch(struct tree *t, uint64_t ino, struct dirty *d, uint64_t from,
		 uint64_t to)
{
	struct content_extent e = { .kind = EXTENT_ZERO, .offset = from };
	int r;

	if (from >= to)
		return 0;
	store_op_makes_room(t->store);
	r = extent_clear(t, ino, d, from, to);
	/* (behind that there are zeros below the extents) */
	if (r || from >= d->kept)
		return r;
	e.len = MIN_OF(to, d->kept) - from;
	return extent_add(t, ino, d, &e);
}

static int allocate_locked(struct tree *t, uint64_t ino,
			   const struct tree_range *range, uint32_t flags)
{
	uint64_t end = range->offset + range->len;
	struct dirty d;
	int r = dirty_begin(t, ino, &d);

	if (r)
		return r;
	if (flags & (TREE_RANGE_PUNCH | TREE_RANGE_ZERO))
		r = punch(t, ino, &d, range->offset, MIN_OF(end, d.size));
	if (!(flags & TREE_RANGE_KEEP_SIZE))
		d.size = MAX_OF(d.size, end);
	d.mtime = tree_now(t);
	d.ctime_ns = t->op_now_ns;
	if (!r)
		r = dirty_put(t, ino, &d);
	dirty_release(&d);
	return r;
}

static int check_is_file(struct tree *t, uint64_t ino)
{
	struct attr a;
	int r;

	store_lock(t->store);
	r = attr_of(t, ino, &a);
	store_unlock(t->store);
	if (r)
		return r;
	if ((a.mode & S_IFMT) != S_IFREG)
		return (a.mode & S_IFMT) == S_IFDIR ? -EISDIR : -ENODEV;
	return 0;
}

int tree_allocate(struct tree *t, uint64_t ino, const struct tree_range *range,
		  uint32_t flags)
{
	int r;

	if (!range->len)
		return -EINVAL;
	if (range->offset > FILE_BYTES_MAX ||
	    range->len > FILE_BYTES_MAX - range->offset)
		return -EFBIG;
	if (flags & TREE_RANGE_PUNCH &&
	    (!(flags & TREE_RANGE_KEEP_SIZE) || flags & TREE_RANGE_ZERO))
		return -EOPNOTSUPP;
	r = check_is_file(t, ino);
	if (!r)
		r = begin_uncut(t, ino);
	if (r)
		return r;
	r = op_answers(t, allocate_locked(t, ino, range, flags), 0);
	r = op_end_locked(t, r);
	inode_wrote(t, ino, false, r);
	store_unlock(t->store);
	return r;
}

/* ---- looking for data */

/* What the snapshot shows, to be looked at. */
static int snapshot_view(struct tree *t, const struct snapshot *s,
			 struct content_view **ret)
{
	struct content_over over = { &s->base, s->kept, s->size,
				     s->extents.list, s->extents.count };

	return content_view_new(t->store, &over, ret);
}

/*
 * One stretch, as far as so many extents reach; at least to the end of the
 * block. 1: found; 0: go on at *at, unless that is the end.
 */
static int seek_stretch(struct tree *t, uint64_t ino, uint64_t *at, bool hole,
			struct snapshot *s)
{
	uint64_t block = *at / SEEK_BLOCK_BYTES * SEEK_BLOCK_BYTES, size;
	struct content_view *view = NULL;
	uint64_t found;
	int r;

	store_lock(t->store);
	r = snapshot_take(t, ino, block, FILE_BYTES_MAX, SEEK_EXTENTS, s);
	if (!r && s->extents.end < block + SEEK_BLOCK_BYTES) {
		extents_release(&s->extents);
		r = snapshot_take(t, ino, block, block + SEEK_BLOCK_BYTES,
				  SIZE_MAX, s);
	}
	store_unlock(t->store);
	if (r)
		return r;
	size = s->size;
	if (*at >= size)
		return -ENXIO;
	if (s->extents.end < size)
		s->size = s->extents.end / SEEK_BLOCK_BYTES * SEEK_BLOCK_BYTES;
	r = snapshot_view(t, s, &view);
	if (!r)
		r = content_view_seek(view, *at, hole, &found);
	content_view_free(view);
	if (r && r != -ENXIO)
		return r;
	/* (its end is the end of the file, which is a hole, or none) */
	if (r || (hole && found >= s->size))
		found = s->size;
	*at = found;
	return found < s->size || (hole && found == size);
}

int tree_seek(struct tree *t, uint64_t ino, uint64_t offset, bool hole,
	      uint64_t *ret)
{
	cleanup(store_hold_end) struct store_hold hold = store_hold(t->store);
	autofree struct snapshot *s = calloc(1, sizeof(*s));
	uint64_t at = offset;
	int r = s ? 0 : -ENOMEM;

	while (!r) {
		r = seek_stretch(t, ino, &at, hole, s);
		extents_release(&s->extents);
	}
	if (r < 0)
		return r;
	*ret = at;
	return 0;
}

/* ---- copies */

struct copy {
	struct content_extent *list;	/* where it is copied from */
	size_t count;
	uint64_t len;
};

/* What stands in [offset, offset + len) of the snapshot, or the first part
 * of that. */
static int copy_gather(struct tree *t, const struct snapshot *s,
		       uint64_t offset, uint64_t len, struct copy *ret)
{
	struct content_view *view;
	int r = snapshot_view(t, s, &view);

	if (r)
		return r;
	ret->list = calloc(COPY_PIECES_MAX, sizeof(*ret->list));
	if (!ret->list)
		r = -ENOMEM;
	while (!r && ret->len < len && ret->count < COPY_PIECES_MAX) {
		struct content_extent *e = &ret->list[ret->count];

		r = content_view_piece(view, offset + ret->len, len - ret->len,
				       e);
		if (r)
			break;
		ret->len += e->len;
		ret->count++;
	}
	content_view_free(view);
	return r;
}

static int copy_locked(struct tree *t, const struct copy *c, uint64_t from,
		       uint64_t ino, uint64_t to)
{
	struct dirty d;
	int r = dirty_begin(t, ino, &d);

	if (r)
		return r;
	for (size_t k = 0; !r && k < c->count; k++) {
		struct content_extent e = c->list[k];

		e.offset = e.offset - from + to;
		/* (a version is made of what is here: whoever reads waits) */
		if (e.kind == EXTENT_CHUNK && !chunk_exists(t->store, &e.hash))
			r = -EXDEV;
		else
			r = extent_add(t, ino, &d, &e);
	}
	d.size = MAX_OF(d.size, to + c->len);
	d.mtime = tree_now(t);
	d.ctime_ns = t->op_now_ns;
	if (!r)
		r = dirty_put(t, ino, &d);
	dirty_release(&d);
	return r;
}

static int copy_range(struct tree *t, const struct snapshot *s, uint64_t from,
		      uint64_t ino, uint64_t to, uint64_t len, uint64_t *ret)
{
	struct copy copy = { 0 };
	int r = copy_gather(t, s, from, len, &copy);

	if (!r)
		r = begin_uncut(t, ino);
	if (!r) {
		r = op_answers(t, copy_locked(t, &copy, from, ino, to),
			       copy.len);
		r = op_end_locked(t, r);
		inode_wrote(t, ino, false, r);
		store_unlock(t->store);
	}
	free(copy.list);
	if (!r)
		*ret = copy.len;
	return r == -ENOENT ? -EXDEV : r;
}

int tree_copy(struct tree *t, const struct tree_copy *c, uint64_t *ret)
{
	cleanup(store_hold_end) struct store_hold hold = { NULL, 0 };
	autofree struct snapshot *s = calloc(1, sizeof(*s));
	uint64_t len = c->len;
	int r;

	if (!s)
		return -ENOMEM;
	if (c->from_offset > FILE_BYTES_MAX || c->to_offset > FILE_BYTES_MAX ||
	    len > FILE_BYTES_MAX - c->to_offset)
		return -EFBIG;
	room_wait(t);
	hold = store_hold(t->store);
	store_lock(t->store);
	r = snapshot_take(t, c->from, c->from_offset,
			  MIN_OF(c->from_offset + len,
				 (uint64_t)FILE_BYTES_MAX),
			  COPY_PIECES_MAX, s);
	store_unlock(t->store);
	if (r)
		return r;
	len = c->from_offset < s->size ? MIN_OF(len, s->size - c->from_offset)
				       : 0;
	len = MIN_OF(len, s->extents.end - c->from_offset);
	if (!len)
		*ret = 0;
	else if (c->from == c->to && c->from_offset < c->to_offset + len &&
		 c->to_offset < c->from_offset + len)
		r = -EINVAL;
	else
		r = copy_range(t, s, c->from_offset, c->to, c->to_offset, len,
			       ret);
	extents_release(&s->extents);
	return r;
}
