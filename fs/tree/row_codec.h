/* SPDX-License-Identifier: Apache-2.0 */
/* What the two halves of the row's codec share: row_encode.c, row_decode.c. */
#ifndef KINFS_TREE_ROW_CODEC_H
#define KINFS_TREE_ROW_CODEC_H

#include "fs/tree/object.h"

#define ROW_FORMAT 2
/* In the flags of a CONTENT as encoded: its first origin follows. */
#define ENCODED_RENAMED 8

/* The origins that a row names, ascending. */
struct origins {
	uint64_t *list;
	size_t count, alloc;
	bool *used;		/* decoding: each must be */
};

/* Is it the version's own hlc and dot? Then it costs a byte. */
bool stamp_is_own(const struct stamp *, const struct version *);
/* The last LINK of the slot among the first n versions, or NULL. */
const struct link_value *link_before(const struct object *, size_t n,
				     uint64_t slot);
/* Do they say the same? The slot is not compared. */
bool link_same(const struct link_value *, const struct link_value *);

#endif
