/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the store share; nobody else includes this. */
#ifndef KINFS_STORE_INTERNAL_H
#define KINFS_STORE_INTERNAL_H

#include <lmdb.h>
#include <pthread.h>

#include "fs/store/format.h"
#include "fs/store/hold.h"
#include "fs/store/io.h"
#include "fs/store/journal.h"
#include "fs/store/reclaim_internal.h"
#include "fs/store/headroom.h"
#include "fs/store/segment.h"
#include "fs/store/space.h"
#include "fs/store/store.h"

/* Chunks that are known to be sound: as many as 512 MiB of data have. */
#define VERIFIED_SLOTS 8192u

/* What the thread that owns the LMDB transaction can be asked to do. */
enum txg_job {
	TXG_IDLE,
	TXG_BEGIN,   /* begin the first group */
	TXG_CLOSE,   /* close the group, begin the next */
	TXG_REBUILD, /* the transaction is broken: make it again */
	TXG_FINISH,  /* close the last group */
	TXG_ABANDON, /* drop the group */
};

/* The operation in hand. Its buffers live as long as the store. */
struct op {
	bool active;
	bool unlogged;	   /* complete, in the transaction, not in the log */
	bool makes_room;   /* store_op_makes_room() */
	int error;	   /* of a put or delete: it cannot end well */
	int64_t growth;	   /* bytes of keys and values */
	struct named named; /* what the tables name: changed by so much */
	uint64_t chunk_bytes; /* put into the chunk table */
	bool answers;	   /* store_op_answers() */
	unsigned int slot;
	struct store_answer answer;
	struct buf record; /* redo: the log record, not yet sealed */
	struct buf old;	   /* keys and values of the undo list */
	struct undo {
		size_t at; /* in old: the key, then the value */
		uint32_t key_len, value_len;
		enum store_table table;
		bool existed, damaged;
	} * undo;
	size_t undo_count, undo_alloc;
};

struct store {
	/* Never change while the store is open. */
	char *path;
	int dirfd, lock_fd;
	bool threads; /* the owner thread runs */
	bool no_sync;
	bool inspect; /* it is only looked at */
	void (*damaged)(void *arg, const char *name);
	void *damaged_arg;
	int tables_fd; /* borrowed: the tables' file then; 0: `db` */
	uint64_t log_lost;
	uint32_t group_max_ops, group_max_ms;
	uint64_t map_bytes;
	MDB_env *env; /* only the owner thread opens it again */
	MDB_dbi dbi[TABLE_COUNT];
	uint64_t log_id;
	char boot_id[BOOT_ID_BYTES_MAX + 1]; /* of this boot */
	char *distrust; /* where a failure is noted, or NULL */

	/* Guarded by themselves. */
	struct segments *segments;
	struct space space;
	struct headroom headroom;
	int failure; /* atomic: the first one */
	const char *failed_in; /* set before it: what could not be done */
	int64_t failed_s;      /* likewise: when, since 1970 */
	struct holds holds;
	uint64_t verified[VERIFIED_SLOTS]; /* atomic each: chunk.c */
	int damage_told;		   /* atomic: once a run */

	/* The lock. The rest is guarded by it. */
	pthread_mutex_t mutex;
	pthread_t holder; /* atomic: who called store_lock() */
	bool held;	  /* atomic */
	/*
	 * Closed while the holder lends the lock to the owner thread, which
	 * takes the mutex alone. Others wait, so that for the callers of
	 * the holder the lock was never released.
	 */
	bool gate_closed;
	pthread_cond_t gate_opened;

	/* The group. begin, commit and abort are the owner thread's. */
	MDB_txn *txn;			  /* NULL: none could be begun */
	MDB_cursor *cursors[TABLE_COUNT]; /* made when needed */
	bool txn_broken;
	/*
	 * Who reads what a commit left, and how many commits there were since
	 * the first of them began. LMDB does not know of them (tables.c): its
	 * third commit after one writes over pages of that.
	 */
	unsigned int page_readers;
	unsigned int commits_beside;
	pthread_cond_t readers_done;
	uint64_t group; /* its number */
	uint32_t group_ops;
	uint64_t group_changes; /* puts and deletes */
	uint64_t group_due_ms;
	/*
	 * There was no room to commit it: -ENOSPC or -EDQUOT, until when it is
	 * not tried again, and how often that was so. The log has it.
	 */
	int refused;
	uint64_t refused_until_ms, refusals;

	pthread_t owner;
	pthread_cond_t owner_wake; /* work for the owner thread */
	pthread_cond_t group_done; /* a group or a job is done */
	enum txg_job job;
	int job_result;
	uint64_t close_through; /* groups up to this are wanted closed */
	bool owner_exits;

	struct op op;
	/* Those whose slots are in `answered` are in the log, not in META. */
	struct store_answer answers[STORE_ANSWERS];
	uint64_t answered;
	struct journal journal;
	bool syncing; /* a leader syncs the log */
	pthread_cond_t sync_done;
	uint64_t op_lsn;     /* of the last operation in the log */
	uint64_t synced_lsn; /* operations up to here are durable */
	struct store_stats stats;
	struct reclaim_state_of_store reclaim;
};

/*
 * Waits for a condition of the store's; the lock is free meanwhile. Not for
 * the owner thread, and not within an operation.
 */
void store_wait(struct store *, pthread_cond_t *);
/* Maps an LMDB result to a negative errno. */
int lmdb_errno(int rc);
/* The store has failed, if it had not before. Returns the first failure.
 * With the lock; `what` is kept. */
int store_fail(struct store *, int r, const char *what);

/* What the tables say of the store's life so far. */
struct store_past {
	bool fresh; /* there was none */
	bool format_lost; /* it is this one, and is to be written again */
	struct log_state log;
	enum log_reach reach; /* LOG_MARKED: the power may have been cut */
};
/* tables.c: opens LMDB's file, unless it is damaged or not for us; `why` says
 * more of some errors. */
must_check int store_open_tables(struct store *, struct buf *why,
				 struct store_past *ret);
/*
 * LMDB lets nobody in any more after it could not write its root, so it is
 * opened anew. Whether that write has reached the file does not matter: the
 * log has all since the commit before, and may be applied twice. No
 * transaction is open; only for the owner thread, with the lock. On error
 * there may be no env.
 */
must_check int store_open_again(struct store *);

/* ---- op.c: tables and operations */
/* Applies the entries of a log record to the group. arg: the store. */
must_check int table_apply(void *arg, struct slice entries);
must_check int table_put(struct store *, enum store_table, struct slice key,
			 struct slice value);
void op_release(struct op *);

/* ---- answer.c: what requests came to */
/* Into the record of the operation in hand, which ends, and into the slot;
 * returns what the slot had. */
struct store_answer answer_note(struct store *);
/* It did not end. */
void answer_undo(struct store *, const struct store_answer *was);
/* Those that no commit had yet go into the group, which is about to be. */
must_check int answers_put(struct store *);

/* ---- txg.c: groups */
/*
 * Does a job of the owner thread: there if the store has threads, else
 * here. The caller holds the lock, lends it meanwhile, and has it again.
 */
int txg_run(struct store *, enum txg_job);
/* Begins the first group, on a thread of the store's own if `threads`. */
must_check int txg_start(struct store *, bool threads);
/* The group has one operation more. */
void txg_note_op(struct store *);
/*
 * Before any group: replays the log after an lsn into a transaction that
 * stays, and is never committed.
 */
must_check int txg_inspect(struct store *, uint64_t after, enum log_reach,
			   struct log_scan *ret);
/*
 * Before any group: replays the log after an lsn, and commits that with the
 * lsn after which the log goes on (ret->max_lsn). LOG_MARKED: the log is of
 * another boot, and this one's id is committed with it.
 */
must_check int txg_recover(struct store *, uint64_t after, enum log_reach,
			   struct log_scan *ret);

#endif
