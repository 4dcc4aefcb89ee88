/* SPDX-License-Identifier: Apache-2.0 */
/* Taking a settlement back: a conflict is open again. [locked] */
#ifndef KINFS_TREE_REOPEN_H
#define KINFS_TREE_REOPEN_H

#include "fs/tree/tree_internal.h"

/*
 * In an operation: what the last settlement of this file replaced is there
 * again, main as main. Errors: -ENOENT there is none any more; -ENODATA some
 * of its bytes are not here; -EAGAIN a newer main is on its way.
 */
must_check int settlement_reopen(struct tree *, struct objid);
/* Are these contents there for that, or beside what is, and was none written
 * since? */
bool is_reopened(const struct info *);

#endif
