/* SPDX-License-Identifier: Apache-2.0 */
/* What the two files of the recorder share: see record.h. */
#ifndef KINFS_SIM_RECORD_INTERNAL_H
#define KINFS_SIM_RECORD_INTERNAL_H

#include "fs/tree/tree_internal.h"
#include "tests/sim/record.h"

/* What a program has asked for, by which call. */
enum call {
	CALL_NONE,
	CALL_CREATE,
	CALL_UNLINK,
	CALL_RMDIR,
	CALL_RENAME,
	CALL_EXCHANGE,
	CALL_LINK,
	CALL_SETATTR,
	CALL_RESOLVE,
	CALL_SETTLE,
	CALL_UNDO,
};

struct record_call {
	enum call what;
	struct node *node;
	struct buf path, to;
	struct shown entry;  /* at path, before it */
	struct shown there;  /* at `to` */
	bool is_there;
	bool coming; /* not all content of what it is about is here */
	uint32_t set;	     /* CALL_SETATTR */
	bool take_main, symlink, open;
	struct objid object; /* CALL_SETTLE */
	bool by_person;
	struct objid to_dir;
};

/* A version that a merge wrote again. */
struct record_restamp {
	struct objid id;
	struct dot of, dot;
	uint8_t reg;
	uint64_t slot;
};

/* Of the store's operation in hand. */
struct record_op {
	struct idlist rows;   /* merged, of a large cut */
	struct idlist gone;   /* without a trace */
	struct record_restamp *restamps;
	size_t restamp_count;
	bool reads;	      /* unsent writes were read */
	bool commits;	      /* ... and become a version */
	struct objid written; /* ... of this object */
	struct dot base;      /* ... made from this one */
	char base_hash[20];
	bool begins, ends;    /* a large cut */
};

enum record_doing { DOING_NOTHING, DOING_PURGE, DOING_RETURN };

struct record_node {
	bool started;
	uint64_t lseq, seq;   /* told up to here */
	uint64_t events;      /* since its last view */
	struct record_op op;
	enum record_doing doing;
	char small[20];	      /* the small cut that is merged; or empty */
	char large[20];	      /* the large one, while it is applied */
};

struct recorder {
	struct cluster *cluster; /* NULL: nothing is recorded */
	FILE *out;
	struct record_node nodes[CLUSTER_NODES_MAX];
	struct record_call call;
};

struct recorder *recorder(void);
struct record_node *record_node(const struct node *);
/* What cannot be told has happened: the file ends here. */
void record_stop(const char *why);
/* A content as the file names it. */
void content_name(const struct content *, char ret[20]);
/* The store's operation has ended well. [locked] */
void record_op_ended(struct node *);
/* The sender has taken the K of a cut with this name. */
void record_cut(struct node *, const char *name);

#endif
