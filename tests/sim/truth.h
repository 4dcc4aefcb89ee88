/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the users did, for the checks at the end: each content that was
 * written, who replaced or removed it having it, and what was removed.
 * Learned from the rows that change at each node, at once after each local
 * operation and each merge; what an operation *meant* is not asked here, but
 * in ops.c.
 */
#ifndef KINFS_SIM_TRUTH_H
#define KINFS_SIM_TRUTH_H

#include "tests/sim/cluster.h"

struct ending {
	struct dot by; /* an operation, which may be lost with the power */
	bool replaced;
};

struct slots {
	uint64_t *list;
	size_t count;
};

/* A LINK that was written, or a removal of a name. */
struct named {
	struct dot dot; /* 0: lost with the power */
	uint64_t slot;
};

struct name_removal {
	struct dot by;
	uint64_t slot;
	struct know k; /* of who removed it */
};

/* One CONTENT version. */
struct text {
	struct dot dot;
	uint64_t hash64;	/* 0: void */
	bool lost;		/* with the power; nobody was told of it */
	bool had[CLUSTER_NODES_MAX]; /* which nodes, now or once */
	/* Replaced, or removed with its file, by somebody who had it. */
	struct ending *endings;
	size_t ending_count;
	/* Written without KEEP: it repeats these, and goes with them. */
	bool soft;
	size_t *repeats; /* indexes of texts of the same object */
	size_t repeat_count;
	/* With several names: where it stands, and where that was removed by
	 * somebody who had it. truth_names.c */
	struct slots slots;
	struct named *unnamed;
	size_t unnamed_count;
	/* Re-stamps of it: where its object was purged and came back. */
	struct dot *again;
	size_t again_count;
};

struct removal {
	struct dot by;
	bool lost; /* with the power */
	struct node *erased; /* who removed it without a trace, or NULL */
	struct know k; /* of who removed it */
};

/* What one node holds of an object. */
struct holding {
	bool named;
	struct dot *dots; /* CONTENT versions */
	size_t count;
	struct slots slots;
};

struct thing {
	struct objid id;
	struct text *texts;
	size_t text_count;
	struct removal *removals;
	size_t removal_count;
	struct dot *touched; /* LINKs written: somebody cared */
	size_t touched_count;
	struct named *named; /* the same, with their slots */
	size_t named_count;
	struct name_removal *unnamed;
	size_t unnamed_count;
	struct holding held[CLUSTER_NODES_MAX];
};

struct truth {
	struct cluster *cluster;
	bool blind; /* stores are copied: nothing is looked at */
	struct thing **things;
	size_t count;
	uint64_t lseq[CLUSTER_NODES_MAX];
	struct know k[CLUSTER_NODES_MAX];
};

void truth_init(struct truth *, struct cluster *);
void truth_release(struct truth *);
/* Looks at what changed at the node since the last look. */
void truth_look(struct truth *, struct node *, bool local);
/* The node is back after a kill, or after its machine lost power: what was
 * not durable may never have been. Follow it by truth_look(). */
void truth_returned(struct truth *, struct node *, uint64_t old_origin);
/* A local operation erased these: rows that were never sent. */
void truth_erased(struct truth *, struct node *, struct objid);
/* The same for whatever only this node ever held. */
void truth_find_erased(struct truth *, struct node *);
/* Prints a row as a node has it. */
void truth_print(struct node *, struct objid);
/* When all nodes are equal: nothing lost, nothing back. */
void truth_check(struct truth *);

/* ---- for the files of truth */
/* Grows an array by one. */
void *truth_grow(void *array, size_t count, size_t size);
struct text *truth_text(struct thing *, struct dot);
/* This operation replaced it, or removed the last name of its file. */
void truth_end(struct text *, struct dot by, bool replaced);
/* Has the row a LINK (of this dot)? */
bool truth_has_link(const struct object *, const struct dot *);
/* Has it the content, in whatever version? */
bool truth_has_text(const struct object *, const struct text *);
/* This is what the node has now. */
void truth_hold(struct thing *, struct node *, const struct object *row);
/* All rows of a node anew, where operations of this origin may have been
 * left half done. */
void truth_look_half(struct truth *, struct node *, uint64_t origin);

/* ---- truth_names.c: files with several names */
/* Slots with a LINK (of this dot). */
void names_of(const struct object *row, const struct dot *by,
	      struct slots *ret);
void names_touch(struct thing *, const struct version *link);
/* A local operation left this row: which names went? */
void names_local(struct thing *, struct node *, const struct object *row,
		 struct dot by);
/* All names that it had were removed, by whom it concerns. */
bool names_gone(const struct thing *, const struct text *);
/* Is a name shown that was removed, and not written again? */
bool names_back(const struct thing *, const struct info *);
void names_forget(struct thing *, uint64_t origin, uint64_t kept);
void names_free(struct thing *);

#endif
