/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Manifest blocks: lists of entries, and the tree of blocks above them.
 * Pure: bytes in, bytes out. FORMAT.md gives the bytes of a block;
 * manifest_check() in content.h says whether one is well formed.
 */
#ifndef KINFS_STORE_MANIFEST_H
#define KINFS_STORE_MANIFEST_H

#include <stdbool.h>
#include <stdint.h>

#include "fs/base/bytes.h"
#include "fs/base/id.h"
#include "fs/base/limits.h"

#define MANIFEST_VERSION 1
/* One in so many hashes ends a block; and a block's most entries. */
#define MANIFEST_ENTRIES_AVG 256
#define MANIFEST_ENTRIES_MAX 512

/* A chunk or hole (in a block of level 1), or a block of the level below. */
struct manifest_entry {
	uint64_t len;		/* bytes of content it stands for */
	struct hash hash;	/* zeros for a hole */
	bool hole;
};

struct manifest_iter {
	struct reader reader;
	uint8_t level;
	uint32_t left;
};

/* The root of a content that is one hole. Errors: -ENOMEM. */
must_check int manifest_hole_root(uint64_t len, struct hash *ret);

/* How long the well-formed block is that begins here; 0: there is none. */
size_t manifest_block_bytes(struct slice);

/* Begins to read a block that manifest_check() accepted; borrows it. */
void manifest_iter_init(struct manifest_iter *, struct slice block);
/* False at the end. */
bool manifest_next(struct manifest_iter *, struct manifest_entry *ret);

/*
 * Makes blocks of entries that come in the order of the content, and blocks
 * of these, up to the root. Each block goes to put() once it is full; a
 * negative errno from put() goes to the caller.
 */
struct manifest_builder {
	int (*put)(void *arg, const struct hash *, struct slice block);
	void *arg;
	uint64_t hole;		/* bytes of hole that may still grow */
	struct buf block;	/* scratch */
	/* Index: the level of the block. The last only ever has one entry. */
	struct manifest_level {
		struct buf entries;	/* of the block in hand */
		uint64_t span;
		uint32_t count;
		uint64_t total;		/* entries so far, in all blocks */
		struct hash last;	/* hash of the last entry */
	} level[MANIFEST_DEPTH_MAX + 2];
};

void manifest_builder_init(struct manifest_builder *,
			   int (*put)(void *arg, const struct hash *,
				      struct slice block),
			   void *arg);
void manifest_builder_release(struct manifest_builder *);
/*
 * The next chunk or hole; holes that follow each other become one.
 * Errors: -EFBIG more than MANIFEST_DEPTH_MAX levels, -ENOMEM, put()'s.
 */
must_check int manifest_builder_add(struct manifest_builder *,
				    const struct manifest_entry *);
/*
 * Whether a finished block of this level may come next: no block of it or
 * below is in hand.
 */
bool manifest_builder_takes_block(const struct manifest_builder *,
				  uint8_t level);
/*
 * The next entries are those of this block of `level`, made earlier, that
 * is here; its last entry must not be a hole that will grow.
 * Errors: as manifest_builder_add().
 */
must_check int manifest_builder_add_block(struct manifest_builder *,
					  uint8_t level,
					  const struct manifest_entry *);
/* Closes all levels; at least one entry must have come. */
must_check int manifest_builder_finish(struct manifest_builder *,
				       uint8_t *ret_depth,
				       struct hash *ret_root);

#endif
