/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the tree's tables name, for who gives back space (fs/store/reclaim.h).
 * Every table with values that name contents is among these: a content that
 * only another one names is taken away.
 */
#ifndef KINFS_TREE_ROOTS_H
#define KINFS_TREE_ROOTS_H

#include "fs/store/reclaim.h"

extern const struct store_roots tree_roots;

/*
 * Calls fn for what an entry of a table names. Stops at, and returns, its
 * first non-zero. Errors: -EUCLEAN.
 */
must_check int roots_of(enum store_table, struct slice key,
			struct slice value, store_root_fn *fn, void *arg);
/* The same of encoded versions (object_encode). */
must_check int roots_of_versions(struct slice versions, store_root_fn *fn,
				 void *arg);

#endif
