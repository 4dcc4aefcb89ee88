/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A place in the manifest of a content: the path of blocks from the root to
 * an entry. Moving forth within the blocks in hand reads nothing. For the
 * files content*.c only.
 */
#ifndef KINFS_STORE_CONTENT_CURSOR_H
#define KINFS_STORE_CONTENT_CURSOR_H

#include "fs/store/content.h"
#include "fs/store/manifest.h"

enum cursor_flags {
	CURSOR_VERIFY = 1,	/* check the hash of every block read */
	CURSOR_LOCKED = 2,	/* the caller holds the store's lock */
};

struct content_cursor {
	struct store *store;
	unsigned int flags;
	uint64_t size;
	uint8_t depth;
	uint64_t absent_end;	/* see content_cursor_seek() */
	struct hash wanted;	/* the block that was loaded last, or not */
	/* Index: the level of the block. */
	struct cursor_level {
		struct buf block;
		struct hash hash;	/* the name of the block */
		uint64_t start, end;	/* of the block; equal: none */
		struct manifest_iter iter;
		struct manifest_entry entry;
		uint64_t entry_start;
	} level[MANIFEST_DEPTH_MAX + 2];
};

/* Reads nothing yet. Errors: -EIO no content can be like this. */
must_check int content_cursor_init(struct content_cursor *, struct store *,
				   const struct content *,
				   unsigned int flags);
void content_cursor_release(struct content_cursor *);
/*
 * Finds the entry that contains the offset, which must be below the size,
 * in the blocks of this level (1: chunks and holes; at most depth + 1: the
 * root itself). Errors: -ENOENT a block is not here (absent_end says where
 * its bytes end), -EIO, -ENOMEM.
 */
must_check int content_cursor_seek(struct content_cursor *, uint8_t level,
				   uint64_t offset,
				   struct manifest_entry *ret_entry,
				   uint64_t *ret_start);
/*
 * Where the chunk of a level 1 entry lies, that the last seek found. Says
 * -EIO instead of -ENOENT where it is the block that is damaged.
 */
must_check int content_cursor_locate(struct content_cursor *,
				     const struct manifest_entry *,
				     struct chunk_place *ret);

#endif
