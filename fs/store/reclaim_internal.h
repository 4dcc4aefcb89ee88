/* SPDX-License-Identifier: Apache-2.0 */
/* What the files reclaim*.c share; op.c and chunk.c call the barriers. */
#ifndef KINFS_STORE_RECLAIM_INTERNAL_H
#define KINFS_STORE_RECLAIM_INTERNAL_H

#include "fs/store/used.h"
#include "fs/store/reclaim.h"

/* Blocks that wait to be walked: 6 MiB of memory. Of one content at most
 * 512 a level wait; the rest are contents that were replaced meanwhile. */
#define GREY_MAX 131072u
/* Blocks remembered as walked: 2 MiB. What is forgotten is walked again. */
#define SEEN_SLOTS 65536u
/* Entries moved in one round, 7 MiB of memory; what is left waits for the
 * next one. */
#define MOVES_MAX 131072u

/* Entries of a table looked at in one hold of the lock: some hundred
 * microseconds. */
#define SLICE_MAX 128u

enum reclaim_state {
	RECLAIM_IDLE,
	RECLAIM_OPENING,
	RECLAIM_DRAINING, /* waits for who came before the barriers */
	RECLAIM_MARKING,
	RECLAIM_SWEEPING,
	RECLAIM_COLLECTING, /* entries to be moved */
	RECLAIM_MOVING,
	RECLAIM_COMMITTING,
	RECLAIM_SETTLING, /* waits for who may read what will go */
	RECLAIM_PUNCHING,
	RECLAIM_ENDING,
};

/* A block of a manifest, and all that is below it. */
struct grey_block {
	struct hash hash;
	uint64_t span; /* bytes of content */
	uint8_t level;
};

struct move {
	struct hash hash;
	struct chunk_place from;
};

/* What the tables name; signed: they are sums of changes. */
struct named {
	int64_t content, raw;
};

struct reclaim {
	/* The driving thread's. */
	enum reclaim_state state;
	unsigned int table;	    /* that is walked */
	uint8_t key[STORE_KEY_BYTES_MAX + 1]; /* where the next slice begins */
	size_t key_len;
	struct buf block;
	struct move *moves;
	size_t move_count, move_at;
	uint64_t new_live;	/* bytes alive that are in no candidate */
	size_t punch_segment;
	uint64_t punch_at;
	bool no_punch;		/* the disk cannot do that */
	int64_t now_s;
	unsigned int slice;
	uint64_t moved;
	uint32_t end;		/* candidates are below */
	uint64_t held_ms;	/* atomic: when it began to wait; 0: it does not */

	/* The store's lock. */
	bool touching;		/* barrier (b) */
	bool greying;		/* barrier (a) */
	int error;		/* of a barrier: the round has to end */
	struct used_map used;
	struct grey_block *grey; /* a stack: what was replaced goes first */
	size_t grey_count, grey_alloc;
	struct hash *seen;
};

/* In struct store, guarded by its lock. */
struct reclaim_state_of_store {
	struct store_roots roots;
	struct reclaim *round; /* NULL: none */
	struct reclaim_facts facts;
	/* Since the last round ended. */
	struct named named;
	uint64_t chunk_bytes;	 /* put into the chunk table */
	uint64_t appended_then;	 /* store_stats.data_bytes */
	int64_t left;		 /* garbage, when the last round ended */
	bool told;		 /* on_due was called */
	bool no_punch;		 /* the disk cannot do that */
	void (*on_due)(void *arg);
	void *on_due_arg;
};

/* ---- barriers [locked] */
/* A value of this table goes that cannot be read: the round ends. */
void reclaim_unknown(struct store *, enum store_table);
/* In an operation: the value at this key was `old`, and will be `now`; empty
 * for none. */
void reclaim_changes(struct store *, enum store_table, struct slice key,
		     struct slice old, struct slice now);
/* A chunk was looked up, or named. */
void reclaim_touch(struct store *, struct data_loc, uint32_t len);
/* An operation ended well: what it changed counts. */
void reclaim_op_ended(struct store *);

/* The store is closed. */
void reclaim_release(struct store *);

/* ---- reclaim_mark.c */
/* One slice; 1: all is marked. */
must_check int reclaim_mark(struct store *, struct reclaim *);
/* [locked] */
void reclaim_grey(struct reclaim *, const struct content *);
/* Bytes that no hash names. [locked] */
void reclaim_mark_raw(struct reclaim *, struct data_loc, uint64_t len);

/* ---- reclaim_sweep.c: one slice each; 1: done */
must_check int reclaim_sweep(struct store *, struct reclaim *);
must_check int reclaim_collect(struct store *, struct reclaim *);
must_check int reclaim_move(struct store *, struct reclaim *);
must_check int reclaim_punch(struct store *, struct reclaim *);
/* Which segments are to be emptied. 1: some. */
must_check int reclaim_choose(struct store *, struct reclaim *);

/* ---- chunk.c */
must_check int chunk_decode(struct slice value, struct chunk_place *ret);
/* The chunk lies elsewhere from now on. In an operation. */
must_check int chunk_put(struct store *, const struct hash *,
			 const struct chunk_place *);

/* The next key after the one in hand: nothing is between. */
void reclaim_key_after(struct reclaim *, struct slice key);
/* The walk of another table begins. */
void reclaim_key_first(struct reclaim *);

#endif
