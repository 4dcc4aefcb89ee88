/* SPDX-License-Identifier: Apache-2.0 */
/* Listing a directory as it is shown. [locked] */
#ifndef KINFS_TREE_LIST_H
#define KINFS_TREE_LIST_H

#include "fs/tree/tree_internal.h"

struct lister_virtual {
	uint64_t hash;		/* of the displayed name */
	size_t at;		/* in `virtuals` */
};

struct lister {
	struct idlist members;
	struct shownlist virtuals;
	struct lister_virtual *order;	/* of these, by hash */
	uint64_t at;		/* next hash to look at */
	uint64_t cookie;	/* of the entry just given */
	struct spot *names;	/* names at one hash, still to give */
	size_t name_count;
	uint64_t names_at;	/* that hash, until all there was given */
	bool single;		/* one claim there: */
	struct claim claim;
	struct objid claim_id;
};

/* Lists what comes after the cookie. */
must_check int lister_init(struct tree *, struct objid dir, uint64_t cookie,
			   struct lister *);
void lister_release(struct lister *);
/* tree_close(): what is kept of a listing that goes on is not needed. */
void listing_forget(struct tree *);
/* -ENOENT at the end. */
must_check int lister_next(struct tree *, struct lister *, struct shown *ret);

must_check int path_of_dir(struct tree *, struct objid dir, struct buf *ret);
must_check int path_join(struct tree *, struct objid dir, struct slice name,
			 struct buf *ret);

/* ---- conflict.c */
/* Where a walk of the marks goes on. */
struct marks_at {
	uint8_t key[26];
	size_t len;
};
/* ('d', before these, are no conflicts: decided.c) */
#define MARKS_BEGIN ((struct marks_at){ .key = { 'n' }, .len = 1 })
/* Looked at while the lock is held: some milliseconds. */
#define MARKS_SLICE 256

/*
 * Calls fn for each mark of a conflict: 'n', with the directory and the name
 * at which something is shown that nobody named so, and those of a file that
 * was renamed to several places. -ENOENT of fn is nothing; another error of
 * it ends the walk. Ends after MARKS_SLICE of them, too: returns 1, and is to
 * be called again. [locked, and between these not]
 */
must_check int marks_walk(struct tree *, struct marks_at *,
			  int (*fn)(struct tree *, void *arg, char what,
				    struct objid, struct slice name),
			  void *arg);
/*
 * Is what would be settled of `s`, and for NAME what stands at that place,
 * the conflict with this token? 0, or -ESTALE. [locked]
 */
must_check int conflict_check(struct tree *, enum conflict_kind,
			      const struct shown *s, const struct spot *place,
			      const struct hash *token);
/* The token of the NAME conflict at a place. -ENODATA: there is none. */
must_check int conflict_name_token(struct tree *, const struct spot *place,
				   struct hash *ret);

#endif
