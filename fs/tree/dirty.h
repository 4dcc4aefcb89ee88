/* SPDX-License-Identifier: Apache-2.0 */
/* Unsent writes in the store: header, base, extents. All [locked]. */
#ifndef KINFS_TREE_DIRTY_H
#define KINFS_TREE_DIRTY_H

#include "fs/store/reclaim.h"
#include "fs/tree/roots.h"
#include "fs/tree/tree_internal.h"

/* DIRTY, inode number and this: the header; */
#define DIRTY_OFFSET_HEADER UINT64_MAX
/* ... and this: the version that the writes are based on. */
#define DIRTY_OFFSET_BASE (UINT64_MAX - 1)
/* ... and this: versions that a policy hid under that one. */
#define DIRTY_OFFSET_KNOWN (UINT64_MAX - 2)

/* Loads the header, or starts one for the first write; the caller puts it
 * with dirty_put() and marks the inode. In an operation. */
must_check int dirty_begin(struct tree *, uint64_t ino, struct dirty *ret);

/* Extents with their own copies of bytes. */
struct extents {
	struct content_extent *list;
	size_t count, alloc;
	uint64_t end;		/* there are no others below this */
};
/* Those that touch [from, to), whole; at most max. */
must_check int extents_load(struct tree *, uint64_t ino, uint64_t from,
			    uint64_t to, size_t max, struct extents *ret);
void extents_release(struct extents *);
/* From a stored value of DIRTY: what it names, by hash or by place. As
 * store_roots.each(). */
must_check int dirty_roots_each(struct slice key, struct slice value,
				store_root_fn *fn, void *arg);
/* One as it is stored; its bytes are borrowed. Errors: -EUCLEAN. */
must_check int extent_decode(struct slice value, uint64_t offset,
			     struct content_extent *ret);
must_check int extent_seek(struct tree *, uint64_t ino, uint64_t offset,
			   struct content_extent *ret);
/* These count in the header, to be put by the caller. In an operation. */
must_check int extent_clear(struct tree *, uint64_t ino, struct dirty *,
			    uint64_t from, uint64_t to);
must_check int extent_add(struct tree *, uint64_t ino, struct dirty *,
			  const struct content_extent *);

static inline struct slice dirty_key(uint8_t key[16], uint64_t ino,
				     uint64_t offset)
{
	put_be64(key, ino);
	put_be64(key + 8, offset);
	return SLICE(key, 16);
}

/* ---- data.c: what a reader needs, copied out from under the lock */
struct snapshot {
	struct content base;
	uint8_t bytes[INLINE_BYTES_MAX];
	uint64_t size, kept;
	struct extents extents;
};
/* Of what touches [from, to), with at most max extents. The caller holds,
 * since before; he releases the extents. */
must_check int snapshot_take(struct tree *, uint64_t ino, uint64_t from,
			     uint64_t to, size_t max, struct snapshot *);

#endif
