/* SPDX-License-Identifier: Apache-2.0 */
/* Extended attributes that are never replicated: security.*, trusted.*. */
#ifndef KINFS_TREE_XATTR_LOCAL_H
#define KINFS_TREE_XATTR_LOCAL_H

#include "fs/tree/tree_internal.h"

bool xattr_is_local(struct slice name);

/* At open: has any row some? [in tree_open()] */
/* META: some row may have any. */
#define META_LOCAL "attrs"

must_check int local_attrs_load(struct tree *);
/* Some has from now on. In an operation. */
must_check int local_attrs_exist(struct tree *);
/* Does META say so if the row has some? -EUCLEAN. */
must_check int local_attrs_check(struct tree *, const struct row *);
/* As tree_getxattr() and so on. value NULL: removes. [not locked] */
must_check int local_getxattr(struct tree *, uint64_t ino, struct slice name,
			      struct buf *ret);
must_check int local_writexattr(struct tree *, uint64_t ino,
				struct slice name, const struct slice *value,
				uint32_t flags);

/* [locked] The names, a NUL behind each; a value, -ENODATA. */
must_check int row_local_list(const struct row *, struct buf *ret);
must_check int row_local_get(const struct row *, struct slice name,
			     struct buf *ret);
/* It takes the other's place, or content: not yet stored. */
must_check int row_local_take(struct row *to, const struct row *from);
/* Another node's content came: it has no capabilities. */
must_check int row_content_came(struct row *);

#endif
