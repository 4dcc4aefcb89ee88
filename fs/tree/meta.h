/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What META says of the tree: read when it is opened, and mended by who
 * repairs a store. What each value is: fs/store/FORMAT.md, "META keys of the
 * tree".
 */
#ifndef KINFS_TREE_META_H
#define KINFS_TREE_META_H

#include "fs/tree/tree_internal.h"

/* In the order in which they are read: some need those before them. */
enum meta_key {
	META_VOLUME,
	META_LABEL,
	META_ORIGIN,
	META_SECRET,
	META_KNOW,
	META_CLOCK,
	META_ACKED,
	META_HISTORY,
	META_APPLYING,
	META_BIRTHS,
	META_HORIZON,
	META_INCARNATION,
	META_KEYS,
};

/* A set of them: a bit each. */
#define META_BIT(key) (1u << (key))

/* ---- [locked] */
/* Is there any of those that each volume has, whatever its state? */
bool meta_exists(struct store *);
must_check int meta_set(struct tree *, const char *name, struct slice value);
must_check int meta_set_clock(struct tree *);
must_check int meta_set_know(struct tree *);
/* ret_damaged NULL: fails at the first that is. Errors: -EUCLEAN. */
must_check int meta_load(struct tree *, unsigned int *ret_damaged);
const char *meta_name(enum meta_key);
/*
 * Values that are damaged are made again of what else the store has, or are
 * drawn anew (struct tree_mended says which); then all is as meta_load()
 * leaves it. What is derived from rows is still to be made again: META "mend"
 * says so.
 */
must_check int meta_mend(struct tree *, unsigned int damaged,
			 const struct tree_options *);

#endif
