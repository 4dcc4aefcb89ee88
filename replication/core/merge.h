/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The merge of a cut into this node: rows, knowledge, re-stamps, revivals,
 * in one store operation. SEMANTICS: the join of causal CRDTs.
 */
#ifndef KINFS_CORE_MERGE_H
#define KINFS_CORE_MERGE_H

#include "fs/tree/replica.h"
#include "replication/core/stage.h"
#include "replication/core/wire.h"

/* ---- a cut that is in memory, in one operation */
struct merge_result {
	uint64_t changes;    /* operations new here */
	uint64_t rows_known; /* rows that changed nothing */
	uint64_t rows_by_people; /* with more than automatic contents */
};

/*
 * Merges all staged rows or none. The caller has checked them, and the
 * marks, against the sender's knowledge. from: the sender's tag. Takes the
 * store's lock. Errors: of the store and the tree.
 */
must_check int merge_cut(struct tree *, struct stage *, const struct cut *,
			 uint64_t from, struct merge_result *ret);

/* ---- its steps, for a cut that is merged in slices [locked] */
struct merge {
	struct tree *tree;
	const struct know *theirs; /* borrowed */
	uint64_t from;
	struct know mine; /* K: none of the cut is joined before its end */
	uint64_t rows_known;
	uint64_t rows_by_people;
	/* Of two halves that gave each other up: the sender does not know
	 * all that was purged here either. Set after merge_init(). */
	bool halves;
	bool gone; /* the last row is of what was purged here, and stays dead */
};

must_check int merge_init(struct merge *, struct tree *,
			  const struct know *theirs, uint64_t from);
void merge_release(struct merge *);
/*
 * Merges one row, in an operation. Returns 1 if the row is to be given to
 * merge_restamp() once all rows are merged, else 0. `row` may not point into
 * the store. Errors: -EBADMSG, of the tree.
 */
must_check int merge_row(struct merge *, struct objid, struct slice row);
/* Writes again what of it is still absent, each under a dot of its own. */
must_check int merge_restamp(struct merge *, struct objid, struct slice row);

/*
 * The merge of one object, pure: ret (empty, with the id) borrows from both.
 * Returns 1 if it differs from `mine`, else 0. same_as_theirs: the result
 * is exactly what was sent. Errors: -ENOMEM.
 */
must_check int merge_object(const struct object *mine,
			    const struct object *theirs,
			    const struct know *my_k, const struct know *their_k,
			    struct object *ret, bool *ret_same_as_theirs);

#endif
