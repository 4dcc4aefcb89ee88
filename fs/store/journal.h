/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The intent log: records in a few files of fixed length, used in turn.
 * FORMAT.md gives the bytes and the recovery algorithm.
 *
 * The caller serialises all calls (the store's lock), but for
 * log_sync_run().
 */
#ifndef KINFS_STORE_JOURNAL_H
#define KINFS_STORE_JOURNAL_H

#include "fs/base/bytes.h"
#include "fs/store/store.h"

/* Segments that exist from the start, and that may exist at most. */
#define LOG_SEGMENTS_MIN 2
#define LOG_SEGMENTS_MAX 16
/* Bytes of one segment: bounds what recovery reads into memory. */
#define LOG_SEGMENT_BYTES_MIN 4096
#define LOG_SEGMENT_BYTES_MAX (256u << 20)

struct log_segment {
	unsigned int number; /* the file's name */
	int fd;
	uint64_t used;	    /* bytes of this lap */
	uint64_t first_lsn; /* of this lap; 0: none */
	uint64_t last_lsn;  /* of this lap, or of an earlier one */
	bool dirty;	    /* written since the last sync */
};

struct journal {
	int dirfd;
	bool no_sync;
	uint32_t bytes; /* of one segment */
	uint64_t id;	/* seeds the checksums */
	struct log_segment segments[LOG_SEGMENTS_MAX];
	unsigned int count;
	struct log_segment *current; /* NULL: none begun */
	uint64_t last_lsn;	     /* of the last record appended */
	uint64_t committed_lsn;	     /* contained in a durable commit */
	uint64_t mark;		     /* data named up to here is on disk */
};

/* Which records a replay takes. */
enum log_reach {
	LOG_ALL,    /* the page cache has all that they name */
	LOG_MARKED, /* up to the greatest mark: the others may name nothing */
};

/* Where a replay ended. */
struct log_scan {
	uint64_t applied;  /* operations */
	uint64_t dropped;  /* operations behind the greatest mark */
	uint64_t last_lsn; /* of the last record taken, or `after` */
	uint64_t max_lsn;  /* of any valid record, also behind a hole */
};

/* A journal with no files: releasing it is allowed. */
void journal_init(struct journal *);
/*
 * Opens the files that exist in the directory. Takes ownership of dirfd,
 * also on error. Then come journal_replay() and journal_start().
 */
must_check int journal_open(struct journal *, int dirfd, uint32_t bytes,
			    uint64_t id, bool no_sync);
void journal_release(struct journal *);
/*
 * Calls apply with the entries of each operation after `after`, in order of
 * lsn, up to the first gap or the reach. Stops at its first error.
 * Errors: those of apply and of the system.
 */
must_check int journal_replay(struct journal *, uint64_t after, enum log_reach,
			      int (*apply)(void *arg, struct slice entries),
			      void *arg, struct log_scan *ret);
/*
 * Calls restore with each entry of data in a record after `after`, in no
 * order, behind gaps as well: what a record says of data holds wherever it
 * is found. Stops at its first error.
 * Errors: those of restore and of the system, -EUCLEAN.
 */
must_check int journal_restore(struct journal *, uint64_t after,
			       int (*restore)(void *arg, struct data_loc,
					      struct slice bytes),
			       void *arg);
/*
 * Begins to append after lsn, which a durable commit contains, and which is
 * not less than that of any valid record in the files.
 */
must_check int journal_start(struct journal *, uint64_t lsn);
/*
 * Seals the record and appends it: one pwrite. Errors: -EFBIG longer than a
 * segment, -EAGAIN no segment is free until a commit; others of the system.
 * After an error the log is as it was before.
 */
must_check int journal_append(struct journal *, struct buf *record);
/*
 * As journal_append(), of a record without an operation, which says that the
 * data that records up to lsn name is on disk, or in this record. Call it
 * only with an lsn taken before that data was synced or copied.
 */
must_check int journal_append_mark(struct journal *, struct buf *record,
				   uint64_t lsn);
/*
 * The same, from now on said by every record: now that record is on disk.
 * (Before, one of them might reach the disk without it.)
 */
void journal_mark(struct journal *, uint64_t lsn);
/* A commit that contains all records up to lsn is durable. Marks it too. */
void journal_committed(struct journal *, uint64_t lsn);
/* No segment is free to go on in when the current one is full. */
bool journal_is_short(const struct journal *);

/* What must be synced to make the records appended so far durable. */
struct log_sync {
	int fds[LOG_SEGMENTS_MAX];
	unsigned int count;
};

/* Takes what was written since the last call. */
void journal_sync_begin(struct journal *, struct log_sync *ret);
/* Syncs it. Needs no lock. */
must_check int log_sync_run(const struct log_sync *);

#endif
