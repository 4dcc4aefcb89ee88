/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Contents that were replaced, as long as somebody may still make something
 * of them: what two versions were both made from is wanted when they are to
 * be merged, and a row holds only what is live. FORMAT.md, "Bases".
 *
 * All are [locked]; those that change something, in an operation.
 */
#ifndef KINFS_TREE_BASE_H
#define KINFS_TREE_BASE_H

#include "fs/tree/tree_internal.h"

/* Entries of one object: its versions name fewer, but for a conflict of
 * many. Then the oldest stays, and the newest. */
#define BASES_MAX 16

/* Reads META "acked". */
must_check int base_load(struct tree *);

/* A CONTENT version leaves the row: it is remembered. (A void is not.) */
must_check int base_note(struct tree *, struct objid,
			 const struct version *);
/* The row is as it will be: what none of its contents names as an ancestor
 * can be nobody's base any more, and goes. */
must_check int base_trim(struct tree *, const struct object *);
/* The object goes. */
must_check int base_forget(struct tree *, struct objid);
/* A merge replaces the row's versions: notes what goes, and trims. */
must_check int base_merged(struct tree *, const struct object *before,
			   const struct object *after);

/*
 * The newest common ancestor of all shown contents that are not void; what it
 * borrows is put into the object's arena. ret_dot: the one that names it for
 * ever. -ENOENT: none, or not known here, or several that are as new as each
 * other.
 */
must_check int base_of_branches(struct tree *, struct object *,
				const struct info *, struct content *ret,
				struct dot *ret_dot);
/* What of a line is remembered behind its newest ancestors (`far`): of
 * `count` candidates, newest first. Returns how many were put into ret. */
size_t base_choose_far(struct tree *, const struct dot *candidates,
		       size_t count, struct dot ret[FAR_MAX]);

/* Are the row's entries sound? Adds their number. -EUCLEAN. */
must_check int base_check(struct tree *, struct objid, uint64_t *entries);

/* From a stored value: its content, if that is named by hash. Returns what
 * fn does. Errors: -EUCLEAN. */
must_check int base_contents_each(struct slice value,
				  int (*fn)(void *arg, const struct content *),
				  void *arg);

#endif
