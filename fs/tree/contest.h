/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What lost in a row: live versions that do not show, because another one
 * of their register does. A pure function of the row. [locked]
 */
#ifndef KINFS_TREE_CONTEST_H
#define KINFS_TREE_CONTEST_H

#include "fs/tree/decided.h"
#include "fs/tree/tree_internal.h"

struct contest {
	enum decision_kind kind;
	/* Of the row; lost is NULL for a directory that was revived: then the
	 * `since` of chosen tells of its removal. */
	const struct version *chosen, *lost;
};

/*
 * Calls fn for each value that lost, once however many versions have it.
 * CYCLE is not among them: that is no fact of one row. Returns the first
 * non-zero of fn.
 */
must_check int row_contests(const struct info *,
			    int (*fn)(void *arg, const struct contest *),
			    void *arg);
struct dot contest_lost_dot(const struct contest *);

/*
 * MARK has 'p' for a row with a contested name, which `kin conflicts` lists
 * too, 'd' for one with anything else above, 'c' for a live file with several
 * contents, whether they show or not. Brings them up to date; NULL:
 * the row goes.
 */
must_check int marks_update(struct tree *, struct objid, const struct info *);
/* Are the row's marks right? Adds their number. -EUCLEAN. */
must_check int marks_check(struct tree *, struct objid, const struct info *,
			   uint64_t *marks);
/* All such marks there are. */
must_check int marks_count(struct tree *, uint64_t *ret);
/* The first object with this mark and a greater id. -ENOENT at the end. */
must_check int marks_next(struct tree *, char what, const struct objid *after,
			  struct objid *ret);

/* ---- decided.c */
/* One decision, with the row it is about. For CYCLE both versions are the
 * LINK, and what was chosen is the override. */
struct decided {
	const struct row *row;
	const struct info *info;
	const struct contest *contest;
	char id[DECISION_ID_CHARS + 1];
};

/* All there are that show, whatever the order. fn must not write. Stops at
 * and returns its first non-zero. */
must_check int decided_each(struct tree *,
			    int (*fn)(struct tree *, void *arg,
				      const struct decided *),
			    void *arg);
/* Where the object is shown first. */
must_check int decided_path(struct tree *, const struct row *, struct buf *ret);

#endif
