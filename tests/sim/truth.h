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

/* One CONTENT version. */
struct text {
	struct dot dot;
	uint64_t hash64;	/* 0: void */
	bool lost;		/* with the power; nobody was told of it */
	/* Replaced, or removed with its file, by somebody who had it. */
	struct ending *endings;
	size_t ending_count;
	/* Written without KEEP: it repeats these, and goes with them. */
	bool soft;
	size_t *repeats; /* indexes of texts of the same object */
	size_t repeat_count;
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
};

struct thing {
	struct objid id;
	struct text *texts;
	size_t text_count;
	struct removal *removals;
	size_t removal_count;
	struct dot *touched; /* LINKs written: somebody cared */
	size_t touched_count;
	struct holding held[CLUSTER_NODES_MAX];
};

struct truth {
	struct cluster *cluster;
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

#endif
