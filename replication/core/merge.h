/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The merge of a cut into this node: rows, knowledge, re-stamps, revivals,
 * in one store operation. SEMANTICS: the join of causal CRDTs.
 */
#ifndef KINFS_CORE_MERGE_H
#define KINFS_CORE_MERGE_H

#include "fs/tree/replica.h"
#include "replication/core/stage.h"

struct merge_result {
	uint64_t changes;    /* operations new here */
	uint64_t rows_known; /* rows that changed nothing */
};

/*
 * Checks the staged rows against the sender's knowledge, then merges all or
 * nothing. from: the sender's tag. hlc: the sender's clock. Takes the
 * store's lock. Errors: -EPROTO a version that the sender cannot know, or
 * knowledge of this node's own future; of the store and the tree.
 */
must_check int merge_cut(struct tree *, const struct stage *,
			 const struct know *theirs, uint64_t hlc, uint64_t from,
			 struct merge_result *ret);

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
