/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compression. Records of one direction of a link go through one zstd
 * stream for the life of the link, flushed at each frame: rows repeat the
 * rows before them. Chunks are compressed each by itself: they are large,
 * and contents of different files must not share a context (sizes would
 * tell one about the other).
 */
#ifndef KINFS_CORE_PACK_H
#define KINFS_CORE_PACK_H

#include "fs/base/bytes.h"

/* Of both; small enough for a phone, no gain from more for records. */
#define PACK_LEVEL 3
/* log2 of the window in bytes (1 MiB): bounds the receiver's memory. */
#define PACK_WINDOW_LOG 20

struct packer {
	void *context; /* made at the first use */
};

struct unpacker {
	void *context;
};

void packer_release(struct packer *);
/* Appends the stream's next bytes. Errors: -ENOMEM. */
must_check int packer_put(struct packer *, struct slice raw, struct buf *);
void unpacker_release(struct unpacker *);
/*
 * Replaces *ret's bytes by what the next bytes of the stream stand for.
 * Errors: -EBADMSG not zstd, or not exactly raw_len bytes; -ENOMEM.
 */
must_check int unpacker_get(struct unpacker *, struct slice packed,
			    size_t raw_len, struct buf *ret);

/* One piece by itself; the context is kept for the next. 0: it does not
 * get smaller. Appends. Errors: -ENOMEM. */
must_check int64_t pack_one(struct packer *, struct slice raw, struct buf *);
must_check int unpack_one(struct unpacker *, struct slice packed,
			  size_t raw_len, struct buf *ret);

#endif
