/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Local history: contents that left a row, and objects whose row is gone
 * (FORMAT.md, "History"). Never replicated: each node keeps what it had, as
 * long as its limits allow.
 *
 * All are [locked]; those that change something, in an operation.
 */
#ifndef KINFS_TREE_HIST_H
#define KINFS_TREE_HIST_H

#include "fs/tree/tree_internal.h"

/* Entries of one object. At this many the older ones are thinned. */
#define HIST_OBJECT_MAX 256
/* ... down to this many, of which the newest half stays whole. */
#define HIST_OBJECT_THINNED 192
/* Of a key: id, hlc, origin, seq, hash64. */
#define HIST_NAME_BYTES 48
/* What an entry costs beside the bytes that it names. */
#define HIST_ENTRY_BYTES 256

enum hist_why {
	HIST_REPLACED = 1,	/* by an operation here */
	HIST_MERGED = 2,	/* by what came from elsewhere */
	HIST_REMOVED = 3,	/* with its object */
};

/* A content that left a row. */
struct hist_entry {
	struct objid id;
	struct entry_name name;	/* what names the version for ever */
	enum hist_why why;
	uint64_t ended;		/* by the clock of the history, ms */
	uint64_t ended_ms;	/* wall clock */
	bool automatic;
	struct content content;	/* borrows from the store's value */
	struct timespec mtime;
	struct slice author;	/* so does this */
};

/* An object that history knows of. */
struct hist_object {
	struct objid id;
	uint64_t entries;
	bool gone;		/* its row is; this is what it was: */
	uint64_t ended, removed_ms;
	uint64_t removed_hlc, run_hlc;	/* of the TOMB, 0: none */
	uint8_t kind;
	uint32_t perm;
	struct entry_name main;	/* its content, if it had one; its entry may be
				 * gone, or never have been */
	uint64_t size;		/* of that */
	struct objid parent;
	struct slice name, user, group, label;	/* borrow, like above */
};

/* The last settlement of a file that is there: what can be taken back. */
struct hist_settled {
	struct entry_name after;	/* main since then */
	struct object before;	/* CONTENTs that were shown until then */
};

/* META "history". */
must_check int hist_load(struct tree *);
must_check int hist_save(struct tree *);
/* Brings the history's clock up to the wall clock. */
void hist_clock(struct tree *, int64_t now_ns);

/* ---- what leaves */
/* Does the object have these bytes, or the version by its name for ever? */
bool hist_still_has(const struct object *, const struct version *);
/* The row is about to be stored: contents that it had and has no more. */
must_check int hist_row_changes(struct tree *, const struct row *);
/* The row is about to go. */
must_check int hist_row_goes(struct tree *, const struct row *);
/* It came again, from elsewhere. */
must_check int hist_row_returns(struct tree *, struct objid);

/* ---- the table */
/* Notes one entry; the same again only ends later. */
must_check int hist_put(struct tree *, const struct hist_entry *);
must_check int hist_del(struct tree *, const struct hist_entry *);
/* The object has too many entries: some between the newest and the oldest
 * go. */
must_check int hist_thin(struct tree *, struct objid);
must_check int hist_get(struct tree *, struct objid,
			const struct entry_name *, struct hist_entry *ret);
/* The first entry of the object behind `after` (NULL: the first). -ENOENT. */
must_check int hist_next(struct tree *, struct objid,
			 const struct entry_name *after,
			 struct hist_entry *ret);
/* -ENOENT: nothing is known of it. */
must_check int hist_object(struct tree *, struct objid,
			   struct hist_object *ret);
/* Writes it with its index; one without entries that is not gone, goes. */
must_check int hist_object_put(struct tree *, const struct hist_object *was,
			       const struct hist_object *now);
/* The record alone. */
must_check int hist_object_write(struct tree *, const struct hist_object *);
/* Makes the index and the totals again (mend.h); what cannot be read is put
 * aside. [not locked, no operation] */
must_check int hist_index_anew(struct tree *);
/* All that is known of it goes. */
must_check int hist_forget(struct tree *, struct objid);
/* It is another object's from now on, which has no row yet. */
must_check int hist_move(struct tree *, struct objid from, struct objid to);
/* Objects that are gone, and were in this directory: the first behind
 * `after` (NULL: the first). -ENOENT. */
must_check int hist_gone_in(struct tree *, struct objid parent,
			    const struct objid *after, struct objid *ret);
/* Of a key and value of the table: 1 if it names a content, which borrows
 * from the value; 0 if not. */
must_check int hist_content(struct slice key, struct slice value,
			    struct content *ret);

/* ---- hist_settled.c */
/* The row is about to be stored, and had other contents. */
must_check int hist_settled_note(struct tree *, const struct row *);
/* The row is read by another rule now (ruled.c). */
must_check int hist_settled_reread(struct tree *, const struct row *);
/* -ENOENT. Released by hist_settled_release(), also on errors. */
must_check int hist_settled_get(struct tree *, struct objid,
				struct hist_settled *ret);
void hist_settled_release(struct hist_settled *);
/* Where there is none. Sorts the versions. */
must_check int hist_settled_put(struct tree *, struct object *before,
				const struct entry_name *after);
must_check int hist_settled_del(struct tree *, struct objid);
/* This entry goes: so does a settlement that needs it. */
must_check int hist_settled_without(struct tree *, struct objid,
				    const struct entry_name *);
/* The first object behind `after` (NULL: the first) that has one. -ENOENT. */
must_check int hist_settled_next(struct tree *, const struct objid *after,
				 struct objid *ret);
/* Is all there that the row's record would put back? -ENOENT: no. */
must_check int hist_settled_check(struct tree *, const struct object *row,
				  struct slice value);
/* -EUCLEAN. */
must_check int hist_settled_decode(struct objid, struct slice value,
				   struct hist_settled *ret);

/* Records, taken apart; what they borrow is the value's. -EUCLEAN. */
must_check int hist_entry_decode(struct slice key, struct slice value,
				 struct hist_entry *ret);
must_check int hist_object_decode(struct objid, struct slice value,
				  struct hist_object *ret);
struct slice hist_time_key(uint8_t key[9 + HIST_NAME_BYTES], uint64_t ended,
			   struct objid, const struct entry_name *);
struct slice hist_place_key(uint8_t key[33], struct objid parent,
			    struct objid);
/* What it counts for. */
uint64_t hist_cost(const struct content *);

/* Is the table sound, and do the totals say what is in it? -EUCLEAN. */
must_check int hist_check(struct tree *, const char **why);

#endif
