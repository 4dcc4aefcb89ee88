/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Nodes without a network: store, tree and the shipping merge, and between
 * them cuts that are taken and applied by hand. A cut is what the core would
 * send: the rows above the newest entry of the cut table that the taker
 * covers, less those that it sent itself, K, and the marks of operations.
 *
 * Everything here ends the program on an error that no test expects.
 */
#ifndef KINFS_PAIRS_BARE_H
#define KINFS_PAIRS_BARE_H

#include "fs/tree/tree.h"
#include "replication/core/stage.h"
#include "replication/core/wire.h"
#include "tests/sim/rng.h"

struct bare {
	int index;
	char path[300], label[16];
	struct store *store;
	struct tree *tree;
	struct tree_env env;
	struct rng rng;
	int64_t now_ns; /* goes on by 1 ms whenever it is asked */
	uint64_t noted_lseq;
	struct know noted_k;
};

struct cut_in_hand {
	struct stage *stage;
	struct cut cut;
	uint64_t from;
};

/* A store in a new directory below dir. The first makes the volume. */
void bare_open(struct bare *, int index, const char *dir, uint64_t seed,
	       bool first);
void bare_close(struct bare *);

/* What `from` would send to `to` now, and nothing if that is nothing. */
void bare_take(struct bare *from, struct bare *to, struct cut_in_hand *ret);
void bare_drop(struct cut_in_hand *);
/* Applies it, and what follows from it, and drops it. */
void bare_apply(struct bare *to, struct cut_in_hand *);
void bare_pull(struct bare *to, struct bare *from);
/* Grows with each row that changes. */
uint64_t bare_lseq(struct bare *);
/* The same rows, dead ones too, the same K? Else a word on what differs. */
bool bare_equal(struct bare *, struct bare *, struct buf *ret_why);

#endif
