/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A check of all that is stored, for `kin verify --deep`: the rows still add
 * up to the sums, and all content that live objects name is here and is what
 * its hash says. In steps, beside normal work.
 */
#ifndef KINFS_TREE_DEEP_H
#define KINFS_TREE_DEEP_H

#include "fs/tree/tree.h"

/* Objects remembered that have faults; more are only counted. */
#define DEEP_FAULTS_MAX 1000

struct deep_fault {
	struct objid id;
	uint64_t missing, damaged;	/* chunks and blocks */
};

struct deep_result {
	uint64_t objects, bytes;	/* looked at so far */
	uint64_t pending;		/* objects whose content still comes */
	uint64_t faults;		/* objects */
	struct deep_fault fault[DEEP_FAULTS_MAX];
	bool sums_right;		/* at the end */
};

struct deep;

/* One at a time in a tree. [not locked, as all here] Errors: -EBUSY. */
must_check int deep_begin(struct tree *, struct deep **ret);
/* Some milliseconds of work. Returns 1 at the end, 0 if there is more. */
must_check int deep_step(struct deep *);
const struct deep_result *deep_result(const struct deep *);
void deep_end(struct deep *);

/* Where an object is shown first, relative to the root. Errors: -ENOENT
 * nowhere. */
must_check int tree_path_of(struct tree *, struct objid, struct buf *ret);

#endif
