/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The repair of what a check has found (check.h). Nothing that somebody
 * wrote is thrown away: what is taken out is put aside, below `lost` in the
 * store's directory (store_put_aside()).
 */
#ifndef KINFS_TREE_MEND_H
#define KINFS_TREE_MEND_H

#include <stdatomic.h>

#include "fs/tree/check.h"

struct mend_result {
	struct tree_mended meta; /* by tree_open() */
	uint64_t chunks;	/* put aside */
	uint64_t found;		/* chunks whose entry was lost, not the bytes */
	uint64_t contents;	/* objects that wait for content now */
	uint64_t rows;		/* put aside: peers may bring them back */
	uint64_t unsent;	/* files whose unsent writes were put aside */
	uint64_t indexed;	/* rows of which all that is derived was made
				 * again */
};

/*
 * After the last step of a check: damaged chunks of which a row's content is
 * made, or unsent writes, count as not here from now on. What is not here is
 * looked for in the segments. Content that is not whole then waits for peers,
 * as that of a row that has just come (of unsent writes who reads them, or
 * makes a version of them). Beside normal work. [not locked]
 * stop: set by another thread when this is to end; or NULL. Errors: -ECANCELED.
 */
must_check int mend_contents(struct check *, const atomic_bool *stop,
			     struct mend_result *);
/*
 * Unsent writes that cannot be read go, and staged cuts, which peers send
 * again. Rows that cannot be read go; as long as a peer knows as much as this node,
 * the proof of equality notices, and he brings them back. Then all that is
 * derived from rows is made again. Nobody else uses the tree meanwhile. When
 * it is broken off, the tree opens only to be mended (struct tree_options).
 * [not locked]
 */
must_check int mend_rows(struct check *, struct mend_result *);

/* What contents lack is looked for here. [not locked] */
must_check int mend_lost(struct check *, const atomic_bool *stop,
			 struct mend_result *);
/* The node's own member record is not there: others give it back. [not
 * locked] */
must_check int mend_self(struct tree *);
/* All unsent writes of the inode are put aside. [not locked] */
must_check int mend_unsent(struct tree *, uint64_t ino);

/* The entry goes; its value, damaged or not, is put aside. In an operation. */
must_check int mend_put_aside(struct tree *, enum store_table,
			      struct slice key, struct slice value);

#endif
