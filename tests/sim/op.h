/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One operation in hand: what it is about, and what must and must not have
 * changed when it is done. Shared by the files of operations.
 */
#ifndef KINFS_SIM_OP_H
#define KINFS_SIM_OP_H

#include "tests/sim/items.h"
#include "tests/sim/ops.h"

struct op {
	struct ops *ops;
	struct node *node;
	struct items before;
	const char *what;
	/* Contents of these objects may change as the operation says. */
	struct objid subject[2];
	size_t subject_count;
	int r;
	/* What must be shown (with: so) or not shown after it. */
	const struct item *gone;
	const struct item *removed; /* no name of it comes up instead */
	const struct item *kept_main; /* main of an edited sibling */
	const struct item *kept_all;  /* all but this of its object stay */
	bool rereads; /* a policy: main may be another content */
	/* For the oracle: where it may take content away. */
	char about[2][PATH_BYTES];
	char about_now[PATH_BYTES]; /* the first, after time has passed */
	uint64_t about_ino;
	bool takes;
	uint64_t saw;
	char shown_path[PATH_BYTES];
	uint64_t shown_content;
};

void op_subject(struct op *, struct objid);
void op_say(struct op *, const char *what, const char *path, const char *more);
/* Notes the result: an error that a program may get by rights; */
void op_expect(struct op *, int r);
/* none at all, for the name is shown. */
void op_must(struct op *, int r);
/* The other contents of this one's object stay; main stays main. */
void op_keep_others(struct op *, const struct item *);
/* A step of several is done: what it did may be committed, and lost with the
 * power is what follows. Nothing happens by this. */
void op_step(struct op *);
/* Looks at what changed. */
void op_done(struct op *);

/* ---- places and bytes */
struct spot {
	uint64_t parent;
	char path[PATH_BYTES];
	const char *name; /* in path */
};

bool spot_find(struct node *, const char *path, struct spot *ret);
/* A name out of few, in a random directory: contests are what is wanted. */
void new_path(struct ops *, const struct items *, char *ret);

/* Of a recorded history: what is written at once, and a file that gets no
 * longer. All that stays inline. */
#define PLAIN_BYTES 1000
#define PLAIN_FILE_BYTES 2000

struct text_bytes {
	uint8_t *data;
	size_t len;
	bool unique;
};

/* To be freed. */
struct text_bytes new_bytes(struct ops *);
extern const struct slice sim_user;
struct tree_new new_of(enum kind);

/* ---- handles */
struct handle *handle_pick(struct op *);
void handle_close(struct node *, struct handle *);
/* Some stay open: what is written is sent when they close, or by time.
 * Returns whether there is a version of it now. */
bool op_close(struct op *, uint64_t ino);
/* Does a handle write to what is shown there? */
bool op_is_written(struct op *, const char *path);

/* ---- operations: ops_files.c, ops_names.c, ops_links.c, ops_saves.c,
 * ops_decided.c, ops_answers.c */
#define OP_DECLARE(name) void op_##name(struct op *);
OPS(OP_DECLARE)

#endif
