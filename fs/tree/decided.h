/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What was decided without asking anybody, and taking it back.
 *
 * Nearly all of it is a fact of the rows: the version that lost stays live
 * until the next write of its register, on every node. So all nodes list the
 * same decisions under the same ids, nothing is noted when one is made, and
 * a decision is off the list once somebody has gone on from it: renamed the
 * file again, set its mode again, edited it again.
 *
 * All but one: what made one of several contents, be it a policy, a hook or
 * a person, leaves none of them in the row. It is listed by the nodes that
 * showed the conflict, as long as their history has what was replaced.
 *
 * What people settle themselves (siblings, names with a suffix) is in
 * tree_conflicts(); a file renamed to two places is in both lists.
 */
#ifndef KINFS_TREE_DECIDED_H
#define KINFS_TREE_DECIDED_H

#include "fs/tree/tree.h"

enum decision_kind {
	DECISION_RENAME = 1,	/* one name was moved to several places */
	DECISION_MODE,		/* set to several values; one holds */
	DECISION_OWNER,
	DECISION_TIMES,		/* mtime, of a file without siblings */
	DECISION_XATTR,
	DECISION_CYCLE,		/* a directory is not where it was moved */
	DECISION_REVIVED,	/* removed, and something in it was not seen */
	DECISION_REVERTED,	/* a content that only undid an older one */
	DECISION_POLICY,	/* a content that the directory's policy hides */
	DECISION_SETTLED,	/* one was made of several contents */
};

/* Digits of an id, without a NUL. */
#define DECISION_ID_CHARS 10

/* One of the two things that could not both be. */
struct decision_side {
	struct slice value;	/* a path, "0644", "user:group", a time, the
				 * bytes of an attribute, the policy that
				 * chose; "" if it has none */
	bool none;		/* XATTR: it was removed */
	struct slice label;	/* of its author; empty: by the dot only */
	struct dot dot;
	struct timespec time;
};

struct decision {
	char id[DECISION_ID_CHARS + 1];	/* equal on all nodes */
	enum decision_kind kind;
	bool is_dir;
	bool asked;		/* SETTLED: by a person */
	struct slice path;	/* relative to the root, as shown now */
	struct slice xattr;	/* XATTR: its name */
	struct decision_side chosen, lost;
};

/*
 * Lists decisions at or below ino, in order of path. As tree_conflicts():
 * fn runs without the lock, and its first non-zero result ends it. Costs
 * what there is to list, not what the tree holds.
 */
must_check int tree_decided(struct tree *, uint64_t ino,
			    int (*fn)(void *arg, const struct decision *),
			    void *arg);
/*
 * Takes one back: what lost is written now, as an ordinary operation that
 * saw both; so it is right on all nodes, and the decision is off the list.
 * What held until now is no longer anywhere.
 *
 *	RENAME		moved to the other place
 *	CYCLE		moved where it was to go; what lies in its way there,
 *			the directory that holds it meanwhile, goes back to
 *			where that was before
 *	REVIVED		a file is removed again. A directory is not: what is
 *			in it was never seen by who removed it
 *	REVERTED	the content that was hidden replaces the other
 *	POLICY		it replaces the other, and all else that is hidden
 *	SETTLED		the conflict is open again, as it was; no policy or
 *			hook settles it until one of its contents is written
 *	others		the other value is set
 *
 * Errors: -ENOENT no such decision (any more), or the other place's
 * directory is gone; -EEXIST the other name is taken; -ENOTEMPTY a revived
 * directory; -EBUSY a revived file has siblings, settle those first; -EINVAL
 * the other place lies in the directory itself; -ENODATA the content is not
 * here (any more); -EAGAIN a newer one is on its way; and of the system.
 */
must_check int tree_undo(struct tree *, struct slice id);
/*
 * The file or directory shown there takes the other of its two names.
 * Errors: -ENOENT; -ENODATA it has only one; -ENOTUNIQ it has more than two,
 * tree_undo() or tree_resolve() takes one; -EEXIST, -EINVAL.
 */
must_check int tree_swap(struct tree *, uint64_t parent, struct slice name);

#endif
