/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bytes that a content is about to have: extents over a base. For
 * content_build.c only. Not locked: takes the lock for each look-up.
 */
#ifndef KINFS_STORE_CONTENT_OVERLAY_H
#define KINFS_STORE_CONTENT_OVERLAY_H

#include "fs/store/content_cursor.h"

struct overlay {
	struct store *store;
	const struct content *base;
	uint64_t base_end;	/* bytes of the base count below this only */
	uint64_t size;
	const struct content_extent *extents;
	size_t count;
	struct content_cursor cursor;	/* if the base is not inline */
	struct buf chunk;		/* the last chunk read ... */
	struct hash chunk_hash;		/* ... and its hash */
};

/*
 * Borrows base and extents. Release it in any case.
 * Errors: -EINVAL extents not sorted, overlapping, empty or beyond size,
 * -EFBIG, -EIO the base cannot be.
 */
must_check int overlay_init(struct overlay *, struct store *,
			    const struct content *base, uint64_t kept,
			    uint64_t size,
			    const struct content_extent *extents,
			    size_t count);
void overlay_release(struct overlay *);
/* Reads exactly len bytes, within size. Errors: -ENOENT, -EIO, -ENOMEM. */
must_check int overlay_read(struct overlay *, uint64_t offset, uint8_t *ret,
			    size_t len);
/*
 * Where the zeros that begin at offset end, as far as that is known without
 * a look at data; offset itself if there are none. Errors: as overlay_read.
 */
must_check int overlay_zeros(struct overlay *, uint64_t offset,
			     uint64_t *ret_end);
/* What stands at the offset, below size: one extent, of at most len bytes.
 * Errors: -ENOENT, -EIO, -ENOMEM. */
must_check int overlay_piece(struct overlay *, uint64_t offset, uint64_t len,
			     struct content_extent *ret);
/* The chunk that begins here, whole, as an extent; NULL: none. */
const struct content_extent *overlay_chunk(const struct overlay *,
					   uint64_t offset);
/* No extent touches start..end. */
bool overlay_clean(const struct overlay *, uint64_t start, uint64_t end);
/* Whether the bytes lie in one piece in a segment, as extents; and where. */
bool overlay_locate(const struct overlay *, uint64_t offset, uint64_t len,
		    struct data_loc *ret);

#endif
