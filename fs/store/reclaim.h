/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Giving back space: what no table names any more is taken out of the data
 * segments, in rounds of mark and sweep. Nothing of a round is on disk, so
 * that it is exact after any crash: it simply begins anew. No counts are
 * kept that could be wrong.
 *
 * What is in use is what the tables' *roots* name: contents, with all blocks
 * and chunks below them, and bare ranges of bytes. Only the owner of the
 * tables knows what a value of his names: struct store_roots.
 *
 * A round:
 *  1. Opening. Appending goes on in a new segment; all before it are the
 *     *candidates*. From now on two barriers hold: (a) of a value that is
 *     replaced or deleted the roots count as in use, so whatever was named
 *     at the opening, or at any time since, stays (Yuasa's snapshot at the
 *     beginning); (b) whatever is found in the chunk table, or put there, is
 *     in use: who makes a content out of chunks that he finds here names
 *     them only later. Then all are waited for who hold() since before: what
 *     they looked up or appended before the barriers is named by now.
 *  2. Marking: all tables with roots are walked in slices, and each content
 *     that they name, block by block. A block that cannot be read ends the
 *     round: what is below it is not known, and must stay.
 *  3. Sweeping: entries of the chunk table in candidates that are not marked
 *     are deleted, in slices, each an operation. From here on every entry
 *     that is left stays good, so the barriers end.
 *  4. Moving: of segments with little alive in them that is copied to the
 *     end, and its entries changed.
 *  5. A commit makes all of that durable; then all are waited for who hold()
 *     since before it, for they may read where something lay. Then blocks
 *     that are not marked are given back, and segments with none removed.
 *
 * Rounds are driven from outside: reclaim_begin(), then reclaim_step() until
 * it says that it is done. Each step holds the store's lock for about a
 * millisecond at most, and never while it reads or writes data. One thread
 * at a time may call these; the rest of the header is for any.
 */
#ifndef KINFS_STORE_RECLAIM_H
#define KINFS_STORE_RECLAIM_H

#include "fs/store/content.h"

/* What a value names: a content (of depth 1 at least), or bare bytes. */
struct store_root {
	const struct content *content; /* NULL: a chunk, or bytes */
	const struct hash *chunk;      /* NULL: bytes, at */
	struct data_loc loc;
	uint64_t len;
};
typedef int store_root_fn(void *arg, const struct store_root *);

struct store_roots {
	uint32_t tables; /* bits, 1 << table: may have roots */
	/*
	 * Calls fn for each root of an entry. Stops at, and returns, its
	 * first non-zero. [locked] Errors: -EUCLEAN the value is damaged.
	 */
	int (*each)(enum store_table, struct slice key, struct slice value,
		    store_root_fn *fn, void *arg);
};

/* Before the tables are used. Without it there are no rounds. [locked] */
void store_set_roots(struct store *, const struct store_roots *);

struct reclaim_options {
	int64_t now_s;	    /* since 1970, for the record only */
	unsigned int slice; /* entries looked at in one step; 0: as many as
			     * the lock may be held for */
};
/*
 * Begins a round. Errors: -EALREADY there is one, -EOPNOTSUPP nobody said
 * what roots are, -ENOMEM.
 */
must_check int reclaim_begin(struct store *, const struct reclaim_options *);
/*
 * Goes on with it: some milliseconds of work. 1: the round is over; 0: there
 * is more to do; -EAGAIN: somebody holds, try again after some milliseconds.
 * All other errors end the round, and nothing is lost: -EIO, -EUCLEAN
 * something in the store is damaged, -EOVERFLOW more was replaced meanwhile
 * than it could follow, -ENOSPC, -ENOMEM, of the store. Not locked.
 */
must_check int reclaim_step(struct store *);
/* Ends it in the middle. */
void reclaim_stop(struct store *);
bool reclaim_is_running(struct store *);

/* ---- when */
/*
 * More than a tenth of what is in use, and RECLAIM_SLACK_BYTES, may be
 * garbage: an estimate from the last round, what was appended since, and how
 * much less or more the tables name. Where the disk is full nearly any is
 * too much; and never is it due for less than RECLAIM_STEP_BYTES more than
 * the last round left. Costs nothing. Not locked.
 */
#define RECLAIM_SLACK_BYTES (48 << 20)
#define RECLAIM_STEP_BYTES (8 << 20)
bool reclaim_is_due(struct store *);
/* By the same estimate: bytes that a round might give back now. */
uint64_t reclaim_garbage(struct store *);
/*
 * Called once [locked] when a round becomes due, and again only after
 * another round. It may only wake a thread. NULL: nobody.
 */
void reclaim_on_due(struct store *, void (*fn)(void *arg), void *arg);

/* ---- facts, for status [any] */
struct reclaim_facts {
	uint64_t allocated_bytes; /* of the segments, now: an estimate */
	uint64_t live_bytes;	  /* at the end of the last round */
	uint64_t freed_bytes;	  /* by it: of the disk */
	uint64_t moved_bytes;	  /* by it: copied to the end */
	int64_t last_s;		  /* when it began; 0: never */
	uint64_t rounds;	  /* ended well since open */
	int error;		  /* of the newest, or 0 */
	bool running;
	uint64_t held_ms;	  /* it waits so long for somebody who holds */
};
void reclaim_facts(struct store *, struct reclaim_facts *ret);

#endif
