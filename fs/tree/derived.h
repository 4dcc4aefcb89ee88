/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What becomes of an entry of each table when a store is repaired: the one
 * list of it, for check.h, which says so, and mend.h, which does it. A table
 * that is added without its place here does not compile.
 */
#ifndef KINFS_TREE_DERIVED_H
#define KINFS_TREE_DERIVED_H

#include "fs/store/store.h"

/* META: records of members were put aside, the own one maybe. */
#define META_MEMBERS_LOST "members-lost"

enum entry_sort {
	/* Nothing else says it. */
	ENTRY_OWN,
	/* As that; what says that it was lost takes the place of a damaged
	 * one. */
	ENTRY_LOST,
	/* As that; but if it is damaged the store is better without it. */
	ENTRY_ASIDE,
	/* May be missing; it goes when it is damaged. */
	ENTRY_SPARE,
	/* Follows from others: it goes, and all are made again. */
	ENTRY_DERIVED,
	/* Its key cannot be: it goes, as one that is damaged. */
	ENTRY_ODD,
};

/* One whose key cannot be, of a table with others that are derived, is. */
enum entry_sort entry_sort(enum store_table, struct slice key);

#endif
