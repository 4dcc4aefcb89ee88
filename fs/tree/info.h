/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is read from a row: which LINK of a slot wins, which slots are shown,
 * which content is main and which are siblings. Pure functions of the set
 * of live versions; every node that has the same set reads the same.
 *
 *  - LINK of one slot: strong beats weak, then the greatest key. Shown are
 *    the slots with a strong version; if there is none, all of them.
 *  - CONTENT: versions with equal content are one group. Order of groups:
 *    greatest (rank, a content above a void, key) first; the first is main,
 *    the others are siblings. Before that, redundant versions are hidden
 *    under others: an automatic one whose human leaves another covers; one
 *    that is another's ancestor *again* (a rename, or the removal of a
 *    sibling, asserts main without editing it); and a *reverted* one, which
 *    was changed back to what both were made from while neither writer knew
 *    the other's line. What is left is read by the policy that holds where
 *    the file is (object.rule; policy.h): where that chooses one of several
 *    contents, the others are *hidden*, and the file is read as one that has
 *    the chosen one only. A main that was removed (void) stays so: then the
 *    chosen one is its sibling.
 *  - MODE, OWNER, TIMES, TOMB, and XATTR of each name: greatest key.
 *  - HOME: greatest epoch, then key.
 */
#ifndef KINFS_TREE_INFO_H
#define KINFS_TREE_INFO_H

#include "fs/tree/object.h"

struct shown_link {
	uint64_t slot;
	const struct version *link;	/* the winner */
	bool strong;
};

struct branch {
	const struct version *top;	/* greatest of the group */
	/* What names it: its branch, or its own dot when that is taken. */
	struct dot tag;
	uint64_t tag_hlc;
	struct slice label;
	bool is_void;
	/* The group's versions and what is hidden under them. */
	const struct version **versions;
	size_t count;
};

/* Borrows from the object, which must stay as it is meanwhile. */
struct info {
	const struct object *object;
	uint8_t kind;			/* 0: no KIND version */
	const struct version *mode, *owner, *times, *tomb; /* or NULL */
	const struct version *home;	/* or NULL */
	struct shown_link *links;	/* all slots, by slot; shown first */
	size_t link_count;
	size_t shown_count;		/* links[0..shown_count) are shown */
	bool strong;			/* some slot is strong */
	struct branch *branches;	/* main first */
	size_t branch_count;
	size_t real_count;		/* branches that are not void */
	/* branches[branch_count...]: hidden by the policy */
	size_t hidden_count;
	/* `times` came with one of these: the mtime is the content's own */
	bool times_of_hidden;
};

/* Errors: -ENOMEM. */
must_check int info_init(struct info *, const struct object *);
void info_release(struct info *);

/* No directory, with a name and a content that is not void. */
bool info_live_file(const struct info *);
/*
 * Takes part in the view, in the sums and in the life of directories: the
 * root, a directory with any LINK, a live file. All else is dead.
 */
bool info_is_live(const struct info *);
/* Main content is there and not void: the file holds its plain name. */
bool info_holds_name(const struct info *);
/* The value of an extended attribute; NULL: none, or removed. */
const struct version *info_xattr(const struct info *, struct slice name);
/* Several strong LINKs of the slot name different places: the name was moved
 * to all of them, and stands where the winner says. */
bool info_link_contested(const struct info *, const struct shown_link *);
/* The branch that the policy has chosen, or NULL: it hides nothing. */
const struct branch *info_chosen(const struct info *);
/* The branch with this tag, or NULL; no hidden one. */
const struct branch *info_branch(const struct info *, struct dot tag);
/* The first branch that is not void, or NULL. */
const struct branch *info_first_real(const struct info *);

#endif
