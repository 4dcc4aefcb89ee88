/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The check of a store, for `kin check`: every entry of every table is taken
 * apart, what is derived from something else is compared with it, all that
 * is named is looked for, and with `data` every chunk is read and hashed. In
 * steps, so that it may go on beside normal work: each step holds the
 * store's lock for about a millisecond, and no longer. Memory: some
 * megabytes, whatever the store holds.
 *
 * What needs a still store, since it is about a table as a whole (totals, and
 * whether an index has entries too many), is looked at only with `still`.
 *
 * The pages below the tables are not looked at: fs/store/pages.h.
 */
#ifndef KINFS_TREE_CHECK_H
#define KINFS_TREE_CHECK_H

#include "fs/tree/tree.h"

/* What a fault is a fault of. */
enum check_part {
	CHECK_PAGE,	/* a page below the tables (fs/store/pages.h) */
	CHECK_ENTRY,	/* an entry of a table that is no object's */
	CHECK_ROW,	/* an object: all of it that is not content */
	CHECK_INDEX,	/* what is derived from rows, and can be again */
	CHECK_MAIN,	/* contents: of what is shown, */
	CHECK_SIBLING,	/* of another version of the file, */
	CHECK_HIDDEN,	/* of one that a policy hides, or that was reverted, */
	CHECK_BEFORE,	/* of what is shown until the newest is here, */
	CHECK_HISTORY,	/* of an old version, */
	CHECK_BASE,	/* of what versions in conflict were made from, */
	CHECK_OPEN,	/* of what was open when another content came, */
	CHECK_UNSENT,	/* of what was written and is no version yet */
};

struct check_fault {
	enum check_part part;
	int table;		/* enum store_table; -1: of no one */
	const char *what;	/* "cannot be read", ... */
	bool has_id;
	struct objid id;	/* of the object */
	char version[11];	/* id of a version as `kin log` has it, or "" */
	uint64_t missing, damaged; /* chunks and blocks of a content */
	uint64_t page;		/* of PAGE */
	struct slice key;	/* of ENTRY; for the call */
};

struct check_options {
	bool data;	/* read and hash all chunks */
	bool still;	/* nobody changes the store meanwhile */
	/* Of an entry that the tree only keeps for others; or NULL.
	 * Errors: -EUCLEAN. */
	int (*foreign)(enum store_table, struct slice key,
		       struct slice value);
	/* [not locked] */
	void (*fault)(void *arg, const struct check_fault *);
	void *arg;
};

struct check_result {
	uint64_t entries, objects, chunks; /* looked at */
	uint64_t bytes;			   /* of chunks read */
	uint64_t pending;		   /* objects whose content comes */
	uint64_t faults;
	uint64_t total;		/* entries that there were at the start */
	/* What repair has to do. */
	bool indexes_wrong;
	uint64_t rows_damaged, chunks_damaged;
};

struct check;

/* One at a time in a tree, and none beside deep.h. [not locked, as all here]
 * Errors: -EBUSY, -ENOMEM. */
must_check int check_begin(struct tree *, const struct check_options *,
			   struct check **ret);
/* Some milliseconds of work. 1: it is over. */
must_check int check_step(struct check *);
const struct check_result *check_result(const struct check *);
void check_end(struct check *);

#endif
