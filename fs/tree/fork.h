/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What becomes of an origin with two histories. Both branches agree up to a
 * number n0; the one that *goes* gets an origin of its own, an alias
 * (chain.h), wherever it is met: every node that holds it renames its
 * versions in one operation, so that all do the same without asking each
 * other. [locked]
 */
#ifndef KINFS_TREE_FORK_H
#define KINFS_TREE_FORK_H

#include "fs/tree/chain.h"
#include "fs/tree/tree.h"

/* One of two branches above the last number in which they agree. */
struct fork_branch {
	uint64_t first;	/* its first number, > 0 */
	mark_t mark;	/* of that */
};

/*
 * Which of the two goes? A total order of branches by what they are, so that
 * any two nodes that meet, on whichever branch, say the same. Two different
 * branches never compare as equal.
 */
bool fork_goes(const struct fork_branch *it, const struct fork_branch *other);

/*
 * This node holds the branch of `origin` that goes: numbers above n0. In an
 * operation of the caller: renames them, in rows, in what open files are
 * based on, and in knowledge; if the origin is this node's own, it takes a
 * new incarnation first. The cut table is emptied, and the horizon says that
 * every peer wants a full stream. K of the origin falls to n0; nowhere else
 * does a K fall. Holds the lock for as long as all rows take.
 * ret_alias may be NULL. Errors: -ENOENT no such branch here; of the store.
 */
must_check int replica_fork(struct tree *, uint64_t origin, uint64_t n0,
			    uint64_t *ret_alias);

/*
 * Copies of stores. What was removed without ever having been sent goes
 * without a trace, if no commit of the store had it (adopt.c): a copy of a
 * store that is in use must be of a moment right after a commit, or be made
 * after a clean end or a crash. Else a file that came and went within the
 * open group may be in the copy, and come back with it, at that node alone,
 * until the proof of equality finds and spreads it. Nothing is ever lost.
 */
/*
 * A new incarnation, in an operation of the caller: the next local dot has
 * a new origin; what was written is from now on another's. For a store that
 * was copied, or that peers know more of than it does itself.
 */
must_check int replica_reincarnate(struct tree *, enum tree_cause);
/* Can META's value be read? -EUCLEAN. */
must_check int incarnation_check(struct tree *);

#endif
