/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of variants.h share. [locked] */
#ifndef KINFS_TREE_VARIANTS_INTERNAL_H
#define KINFS_TREE_VARIANTS_INTERNAL_H

#include "fs/tree/variants.h"

/* The attribute by which a file shows that it is in conflict: read only. */
#define XATTR_CONFLICT "user.kin.conflict"

bool conflict_is_shown(struct tree *, uint64_t ino);
/* Its value. -ENODATA: it is in none. */
must_check int conflict_describe(struct tree *, uint64_t ino,
				 struct buf *ret);

/* Of the CONTENT versions of a row: equal sets, equal tokens. */
must_check int contents_token(const struct object *, struct hash *ret);

#endif
