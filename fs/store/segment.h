/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Data segments: append-only files of bytes, seg/%08x. What the bytes are,
 * and which of them are alive, only the tables know. Functions may be
 * called from any thread, with or without the store's lock.
 */
#ifndef KINFS_STORE_SEGMENT_H
#define KINFS_STORE_SEGMENT_H

#include "fs/base/bytes.h"
#include "fs/store/store.h"

/* Files that the store keeps open for data. */
#define SEGMENT_FDS_MAX 16
/* Segments that wait for a sync; the next one is synced at once. */
#define SEGMENT_DIRTY_MAX 8

struct segments;

/*
 * Opens the segments in a directory. Takes ownership of dirfd, also on
 * error. Appending goes on at the end of the last segment, or in a new one
 * if `fresh`.
 */
must_check int segments_open(int dirfd, uint64_t segment_bytes, bool fresh,
			     bool no_sync, struct segments **ret);
void segments_close(struct segments *);
must_check int segments_append(struct segments *, struct slice bytes,
			       struct data_loc *ret);
/* The same for bytes that nobody reads soon (io_write_once_at()). */
must_check int segments_append_once(struct segments *, struct slice bytes,
				    struct data_loc *ret);
/* Errors: -EUCLEAN there are no such bytes. */
must_check int segments_read(struct segments *, struct data_loc, void *ret,
			     size_t len);
/* Bytes that will be read soon: the kernel may fetch them meanwhile. */
void segments_will_read(struct segments *, struct data_loc, uint64_t len);
/* ... that were, and will not be soon: they need not stay in memory. */
void segments_were_read(struct segments *, struct data_loc, uint64_t len);
/*
 * Makes all bytes durable whose append returned before the call. After an
 * error the store has failed.
 */
must_check int segments_sync(struct segments *);
/*
 * Copies into a log record (format.h) all bytes whose append returned before
 * the call and that neither a sync nor an earlier call has made durable; 1:
 * all of them. The record must become durable before the next call, or the
 * store fail. 0: they are more than max_bytes, or in too many pieces, and
 * nothing was copied. Errors: -EUCLEAN, -EIO, -ENOMEM.
 */
must_check int segments_copy_unsynced(struct segments *, size_t max_bytes,
				      struct buf *record);
/* That record is not in the log: the next time all is to be synced. */
void segments_copy_lost(struct segments *);
/* Puts such bytes in their place, in the file that may be missing. */
must_check int segment_restore(int dirfd, struct data_loc,
			       struct slice bytes);
/*
 * Makes all segments in a directory durable, whoever wrote them. Errors:
 * those of the system.
 */
must_check int segments_sync_all(int dirfd);
/*
 * ---- giving back: for who gives back space only (segment_space.c)
 *
 * From now on segments below *ret_end are appended to only by who took a
 * place in them before. Errors: -ENOSPC no more numbers, of a sync.
 */
must_check int segments_seal(struct segments *, uint32_t *ret_end);
/* A segment is appended to up to this length. */
uint64_t segments_bytes(const struct segments *);
struct segment_facts {
	uint32_t number;
	uint64_t bytes;	    /* length of the file */
	uint64_t allocated; /* on the disk */
};
/* In no order. Stops at the first non-zero of fn, and returns it. */
must_check int segments_list(struct segments *,
			     int (*fn)(void *arg,
				       const struct segment_facts *),
			     void *arg);
/*
 * Gives bytes of a segment below the end back to the disk: zeros are read
 * there from now on. 1: there was something. Errors: -EOPNOTSUPP the disk
 * cannot do that, of the system.
 */
must_check int segments_punch(struct segments *, uint32_t number,
			      uint64_t from, uint64_t to);
/* Removes one below the end. Errors: -EBUSY it has to stay for now. */
must_check int segments_remove(struct segments *, uint32_t number);

/* Bytes that segments_sync() would have to write. */
uint64_t segments_dirty_bytes(struct segments *);
/* Bytes appended since open. */
uint64_t segments_appended_bytes(struct segments *);

#endif
