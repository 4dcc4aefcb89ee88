/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rows of a cut on its way in, checked as they come; the last record of
 * each object wins. Few rows stay in memory, so that a small cut never
 * touches the disk before it is merged. What is more goes to table `stage`
 * in operations of bounded size (FORMAT.md, "Staged cuts"), and is there
 * after a restart: to be gone on with, to be applied, or to be swept.
 *
 * Functions marked [locked] want the store's lock, and those that write an
 * operation of the caller too; the others take both themselves.
 */
#ifndef KINFS_CORE_STAGE_H
#define KINFS_CORE_STAGE_H

#include "fs/tree/know.h"
#include "fs/tree/object.h"
#include "replication/core/marks.h"

struct store;

/* Rows of a small cut: one transaction of about 50 ms at most. */
#define STAGE_SMALL_ROWS 2048
/* ... and bytes: what a peer can make this node keep in memory, a link. */
#define STAGE_SMALL_BYTES (4u * 1024 * 1024)
/* Bytes of marks of one cut: of sixteen million operations. */
#define MARKS_BYTES_MAX (64u * 1024 * 1024)
/* Rows taken at once to be sent; of an operation that stages, merges or
 * sweeps: about 5 ms. */
#define STAGE_SLICE_ROWS 256
/* ... and bytes, where rows are large. */
#define STAGE_SLICE_BYTES (1024u * 1024)

/* As in the table. */
enum stage_state {
	STAGE_OPEN = 1,     /* rows come */
	STAGE_COMPLETE = 2, /* CUT came; waits for its turn */
	STAGE_APPLYING = 3, /* some of its rows may be merged */
	STAGE_DROPPED = 4,  /* to be swept */
};

/* What the table holds of a staged cut, besides its header. */
enum stage_kind {
	STAGE_MARKS = 'k',     /* a run of marks; by origin and number */
	STAGE_MENTIONED = 'm', /* an object that was in the cut, merged */
	STAGE_ROW = 'r',       /* to be merged */
	STAGE_GONE = 'p',      /* a row of what was purged here */
	STAGE_RESTAMP = 's',   /* a row: re-stamp of it what is needed */
	STAGE_REVIVE = 'v',    /* a directory to be looked at, at the end */
};

struct stage_row {
	struct objid id;
	uint32_t len;
	uint8_t *row;
};

struct stage {
	struct stage *next;
	struct store *store;
	uint64_t number; /* in the table; never 0 */
	bool stored;     /* has entries there */
	enum stage_state state;
	uint64_t tag;	   /* of the peer that sends it */
	uint64_t life;	   /* of its stream: see STREAM in PROTOCOL.md */
	uint64_t position; /* in its stream: rows up to here are staged */
	uint64_t bytes;	   /* of rows put into the table */
	uint64_t objects;  /* in the table */
	struct know dots;  /* the greatest of each origin, of all rows */
	struct buf cut;	   /* once it came: the body of CUT */
	/* Runs of marks, one behind the other, until they are in the table. */
	struct buf runs;
	uint64_t idle_ms;  /* since when nobody sends it */

	/* In memory. */
	struct stage_row *rows;
	size_t count, alloc;
	uint32_t *index;   /* hash of id -> row number + 1; 0: free */
	size_t index_size; /* a power of two */
	uint64_t memory_bytes;
	uint64_t saved_position; /* that of the header in the table */
};

/* Errors: -ENOMEM. */
must_check int stage_new(struct store *, uint64_t number, struct stage **ret);
/* Of memory only. NULL is fine. */
void stage_free(struct stage *);
/*
 * Adds a record, after checking that it is a well-formed row.
 * Errors: -EBADMSG, -E2BIG too many origins, -ENOMEM.
 */
must_check int stage_put(struct stage *, struct objid, struct slice row);
/* Moves the rows in memory to the table, at most so many an operation. */
must_check int stage_flush(struct stage *, size_t slice_rows);
/* The same for the marks; all rows are in the table. */
must_check int stage_flush_runs(struct stage *);
/* Forgets the end of a cut that was cut off: marks, CUT. */
must_check int stage_reopen(struct stage *);
/* Calls for each run, in order of origin and number. [locked] */
must_check int stage_runs(struct stage *,
			  int (*fn)(void *arg, const struct mark_run *),
			  void *arg);
/* Changes the state of one that is stored. Errors: of the store. */
must_check int stage_set_state(struct stage *, enum stage_state);
/* The same. [locked, in an operation] */
must_check int stage_put_header(struct stage *, enum stage_state);

/* ---- entries in the table [locked] */
/* Those of one kind, in order of id, from `from` on (NULL: the first). The
 * value is borrowed as store_get says. -ENOENT: no more. */
must_check int stage_seek(struct stage *, enum stage_kind,
			  const struct objid *from, struct objid *ret_id,
			  struct slice *ret_value);
/* -ENOENT: there is none. */
must_check int stage_get(struct stage *, enum stage_kind, struct objid,
			 struct slice *ret_value);
must_check int stage_entry_put(struct stage *, enum stage_kind, struct objid,
			       struct slice value);
must_check int stage_entry_del(struct stage *, enum stage_kind, struct objid);
/* Deletes up to max entries of it, the header last. Returns how many: fewer
 * than max when nothing is left. [in an operation] */
must_check int stage_sweep(struct stage *, size_t max);

/* Of an entry of the table: if it is a header, is it one? -EUCLEAN. */
must_check int stage_check(struct slice key, struct slice value);
/* All that are in the table, by number, with what memory needs of them. */
must_check int stages_load(struct store *, struct stage **ret);

#endif
