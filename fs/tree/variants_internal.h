/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of variants.h share. [locked] */
#ifndef KINFS_TREE_VARIANTS_INTERNAL_H
#define KINFS_TREE_VARIANTS_INTERNAL_H

#include "fs/tree/variants.h"

/* Of the CONTENT versions of a row: equal sets, equal tokens. */
must_check int contents_token(const struct object *, struct hash *ret);

#endif
