/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The oracle that knows nothing of versions: it looks at a node as a program
 * does, by paths and bytes (tree.h). Every content that was ever shown as a
 * finished file must be shown at the end, unless an operation took it from a
 * place where the node that did it was showing it. It shares no code with
 * the core, and none with truth.c.
 */
#ifndef KINFS_SIM_ORACLE_H
#define KINFS_SIM_ORACLE_H

#include "tests/sim/cluster.h"

/* One file as a node shows it. */
struct sight {
	char *path;
	uint64_t ino;
	uint64_t hash; /* of its bytes; 0: empty, or cannot be read now */
	uint64_t size;
	bool blind;    /* its name and size are here, its bytes are not */
	bool unsent;   /* no version was made of it yet */
};

struct sights {
	struct sight *list;
	size_t count;
};

struct content_fact {
	uint64_t hash, size;
	char *path; /* where it was first shown */
	char *last; /* ... and last */
	int node;
	uint64_t ms;
	bool elsewhere; /* shown by another node too */
	/* Since when a node shows it, and did not lose it with its disk. */
	uint64_t since_ms[CLUSTER_NODES_MAX];
	/* It was a version there, and no disk was lost since. */
	bool had[CLUSTER_NODES_MAX];
	bool durable;	/* fsync returned after it */
	bool excused;	/* somebody who saw it took it away */
	bool name_gone;	/* its file's name was taken away somewhere ... */
	bool link_gone; /* ... and another one, where it was seen */
};

struct oracle {
	struct cluster *cluster;
	struct content_fact *facts;
	size_t count;
	struct sights before; /* of the operation in hand */
	size_t first_count;   /* of these, before any time had passed in it */
	struct coming *coming; /* what was taken by its name alone */
	size_t coming_count;
	uint64_t reads;
};

void oracle_init(struct oracle *, struct cluster *);
void oracle_release(struct oracle *);
/*
 * Around an operation: what is shown before it, and after it. is_open says
 * which inodes a program still writes to: what they show is not finished.
 */
struct oracle_op {
	struct node *node;
	/* What it is about: the files at these paths with their siblings,
	 * and at this inode. NULL, 0: none. */
	const char *path, *to;
	const char *now; /* `path`, when time had passed; or NULL */
	uint64_t ino;
	/* What `path` shows is replaced, or removed, whatever is shown there
	 * afterwards (until a newer content is here, that may be the same);
	 * what `to` shows always is. */
	bool takes;
	uint64_t saw; /* what a handle showed, which has no name; 0: none */
	bool (*is_open)(void *arg, uint64_t ino);
	void *arg;
};
/* A hash of what an inode shows; 0: nothing. */
uint64_t oracle_read(struct oracle *, struct node *, uint64_t ino);
/* A handle that showed this was written to: it goes with what that makes,
 * also where no name shows it (but what another handle left unsent). */
void oracle_overwritten(struct oracle *, struct node *, uint64_t hash);
void oracle_before(struct oracle *, struct node *);
/* Time passed in the operation: more may be shown that it is about. */
void oracle_meanwhile(struct oracle *, struct node *);
void oracle_after(struct oracle *, const struct oracle_op *);
/* The node was killed in the operation: it is done, or it is not. */
void oracle_interrupted(struct oracle *, const struct oracle_op *);
void oracle_synced(struct oracle *, struct node *);
void oracle_lost_power(struct oracle *, struct node *);
/* It has a store of that time again: who else has what came since? */
void oracle_restored(struct oracle *, struct node *, uint64_t backup_ms);
/* All nodes are equal and complete: the same bytes everywhere, and nothing
 * is lost. */
void oracle_check(struct oracle *);

/* ---- oracle_history.c */
/* Has the node a content still, in a row or in its history? */
bool oracle_remembers(struct node *, uint64_t hash, uint64_t size);
/* Has the inode writes of which no version was made? */
bool oracle_is_unsent(struct node *, uint64_t ino);
void oracle_check_history(struct oracle *, const struct content_fact *);

#endif
