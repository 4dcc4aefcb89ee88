/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The leader store: a crash-safe, transactional key-value store (LMDB) with
 * an intent log in front of it and append-only data segments beside it. It
 * knows nothing of files, names or peers. FORMAT.md gives the bytes.
 *
 * How it works (as ZFS does it with transaction groups and the ZIL): all
 * mutations go into one open LMDB write transaction, the *group*, which is
 * committed with full sync when it holds many operations or is old. Each
 * completed *operation* is first appended to the intent log as one record:
 * its puts and deletes. After a crash the records newer than the last commit
 * are applied again, whatever they mean. The append is one pwrite, so an
 * operation survives kill -9 of the process once store_op_end() returned;
 * it survives a power cut once store_sync() returned, or the group that
 * holds it was committed (this begins at most group_max_ms later, and ends
 * within 1 s by default, unless the disk is very slow). After a power cut
 * (the store was last opened in another boot of the machine) operations are
 * replayed only as far as their data is known to be on disk: what is lost
 * is the end of the history, never a piece of its middle.
 *
 * Locking: store_lock() is the one big mutex. Everything marked [locked]
 * needs it held by the caller; everything else must be called without it,
 * except where it says "any". With `threads`, LMDB begin and commit run on a
 * thread of the store's own (LMDB wants one thread for both), groups are
 * closed in the background, and store_sync() coalesces its callers. Without
 * (tests, the simulator), all runs in the caller's thread and groups are
 * closed by store_op_end() and store_sync() only.
 *
 * Failure: after a commit or a sync that failed, the store is *failed*:
 * store_op_begin() and data_append() return -EROFS from then on, store_sync()
 * and store_commit() the first error, reads go on, and the next store_open()
 * recovers from the log. A page may be marked clean although it is not on
 * disk, so trying again would lie.
 *
 * A full disk is no failure: what would make the store grow is refused, what
 * makes room goes on, and all goes on by itself when there is room.
 */
#ifndef KINFS_STORE_STORE_H
#define KINFS_STORE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fs/base/bytes.h"
#include "fs/base/macro.h"

/* Tables; the names in LMDB and what is in them are in FORMAT.md. */
enum store_table {
	TABLE_META,	/* names -> small values */
	TABLE_OBJ,	/* object id -> row */
	TABLE_SEQ,	/* local sequence -> object id: the change stream */
	TABLE_CUT,	/* local sequence -> knowledge vector */
	TABLE_DIR,	/* directory, name hash, object, slot -> name */
	TABLE_INO,	/* inode number -> what it shows */
	TABLE_CHUNK,	/* hash -> where the bytes lie */
	TABLE_DIRTY,	/* inode, offset -> extent not yet in a version */
	TABLE_HIST,	/* old contents, and files that were removed */
	TABLE_STAGE,	/* rows of cuts on their way in */
	TABLE_MEMBER,	/* device -> member record */
	TABLE_BUCKET,	/* end of object ids -> sum of their rows */
	TABLE_MARK,	/* directory, name hash: has names that are view */
	TABLE_GROUP,	/* merged directories */
	TABLE_PENDING,	/* local sequence, object: content not all here */
	TABLE_DEAD,	/* what is to be purged, and what holds it back */
	TABLE_CHAIN,	/* origin, number / 16 -> marks of operations */
	TABLE_BASE,	/* object, version -> content that was replaced */
	TABLE_SUBDIRS,	/* directory -> how many directories stand in it */
	TABLE_COUNT,
};

/* Bytes of the longest key (LMDB's own limit is 511). */
#define STORE_KEY_BYTES_MAX 320
/*
 * Puts and deletes after which a group is closed. A page that one of them
 * changes is in memory until then: in a large store up to one page each, as a
 * rule one for six. All wait while these pages are written.
 */
#define STORE_GROUP_CHANGES_MAX 10000

struct store;

struct store_options {
	const char *path;	/* directory, made with mode 0700 if missing */
	bool must_exist;	/* else a missing store is created */
	/*
	 * Only to look at it: nothing on the disk is changed. What the log
	 * has that the tables have not is in them while it is open.
	 * Operations are refused (-EROFS); end it by store_abandon().
	 */
	bool inspect;
	/*
	 * To repair it, or to see what that would have to do: of what META
	 * says of the store itself `damaged` is called for each value that
	 * cannot be read, or is missing. If it may be changed, these are mended
	 * then: a log whose boot is not known counts as after a power cut,
	 * one that is not known itself has nothing. Else -EUCLEAN.
	 */
	void (*damaged)(void *arg, const char *name);
	void *damaged_arg;
	/* With inspect: another file that has the tables. */
	int tables_fd;		/* 0: none */
	bool threads;		/* false: tests and the simulator */
	bool no_sync;		/* the simulator: never sync to disk */
	uint64_t map_bytes;	/* LMDB address space; 0: 1 TiB */
	uint32_t log_bytes;	/* of one log segment; 0: 8 MiB */
	uint32_t group_max_ops;	/* 0: 10,000 */
	uint32_t group_max_ms;	/* 0: 600 */
	uint64_t segment_bytes;	/* of one data segment; 0: 256 MiB */
	const char *boot_id;	/* 1..64 bytes; NULL: the kernel's */
	const char *distrust;	/* a file (distrust.h), or NULL */
};

/*
 * Opens the store, replays the intent log, begins the first group. `why`
 * (may be NULL) receives a sentence for the user on failure.
 * Errors: -EBUSY another process has it open, -EPROTONOSUPPORT made by a
 * newer kinfs, -EUCLEAN damaged, -ENOENT must_exist and is not there,
 * -EPERM owned by another user or open to others, others of the system.
 */
must_check int store_open(const struct store_options *, struct buf *why,
			  struct store **ret);
/* Commits and closes. Errors: the first failure of the store, if any. */
int store_close(struct store *);
/* Closes as kill -9 would: the open group is lost, the log is kept. */
void store_abandon(struct store *);

/* ---- the lock */
void store_lock(struct store *);
void store_unlock(struct store *);
/* Asserts that the calling thread holds the lock. */
void store_assert_locked(const struct store *);

/* ---- operations [locked] */
/*
 * Between begin and end, puts and deletes belong to one operation: all of
 * them survive or none. Operations do not nest, and the lock is held from
 * begin to end. Every begin must be followed by exactly one end or abort.
 * Errors of begin: -EROFS the store has failed.
 */
must_check int store_op_begin(struct store *);
/*
 * Appends the log record. An operation too large for the log is made
 * durable by closing its group before this returns. On error the operation
 * is undone, as by abort. Errors: -ENOSPC, -EDQUOT, the store's first
 * failure.
 */
must_check int store_op_end(struct store *);
/* Undoes the puts and deletes since begin. */
void store_op_abort(struct store *);
bool store_in_op(const struct store *);
/* Operations that ended well since open: while it stays the same, and none is
 * in hand, so do all tables. [locked] */
uint64_t store_op_count(const struct store *);
/*
 * [in an operation] It removes something, or others can only go on with it:
 * on a full disk it may leave traces, where else nothing may grow.
 */
void store_op_makes_room(struct store *);
/*
 * What a request of a program came to, kept with the operation that performed
 * it: who goes on with the mount after this process was killed knows by it
 * what was done and never answered. One is kept in each slot, until the next.
 */
struct store_answer {
	uint64_t mount;		/* whose requests have these numbers */
	uint64_t request;	/* 0: none */
	uint64_t result;	/* the caller's */
};
#define STORE_ANSWERS 64
/* [in an operation] Of no effect if the operation changes nothing. */
void store_op_answers(struct store *, unsigned int slot,
		      const struct store_answer *);
/* What the slot has: -ENOENT, -EUCLEAN. [locked] */
must_check int store_answer(struct store *, unsigned int slot,
			    struct store_answer *ret);
/*
 * Number of the open group. While it stays the same, no commit, and so no
 * copy of the tables, has any of the group's operations. [locked]
 */
uint64_t store_group(const struct store *);

/*
 * Values returned are borrowed, and valid until the next put or delete, or
 * until the lock is released, whichever is first.
 * Errors: -ENOENT no such key; -EUCLEAN the value is damaged, or the tables
 * are; -EIO.
 */
must_check int store_get(struct store *, enum store_table, struct slice key,
			 struct slice *ret_value);
/* First entry with key >= `key`. Errors: as store_get. */
must_check int store_seek(struct store *, enum store_table, struct slice key,
			  struct slice *ret_key, struct slice *ret_value);
/*
 * The same for who looks for damage: what is damaged is given out, too, with
 * ret_sound false.
 */
must_check int store_peek(struct store *, enum store_table, struct slice key,
			  struct slice *ret_key, struct slice *ret_value,
			  bool *ret_sound);
/* Last entry with key < `key`; an empty key means the last of all. */
must_check int store_seek_before(struct store *, enum store_table,
				 struct slice key, struct slice *ret_key,
				 struct slice *ret_value);
/*
 * Only inside an operation. Errors: -ENOSPC map or disk full, -EIO. After
 * an error the operation must be aborted. The value may not point into the
 * store unless it was copied first.
 */
must_check int store_put(struct store *, enum store_table, struct slice key,
			 struct slice value);
/* Deleting what is not there is no error. */
must_check int store_del(struct store *, enum store_table, struct slice key);
/* Entries in a table. */
uint64_t store_count(struct store *, enum store_table);

/* ---- durability */
/*
 * Makes every operation that ended before the call durable, with the data
 * it names: fdatasync of the data segments written since the last sync, or,
 * of little data, a copy of it in the log, then fdatasync of the log, with a
 * mark. Callers that wait at the same time share one sync.
 */
must_check int store_sync(struct store *);
/* As store_sync, and closes the group too. Errors: -ENOSPC, -EDQUOT as well:
 * there is no room for it now. */
must_check int store_commit(struct store *);
/* First failure since open, or 0. Any. */
int store_failure(struct store *);

/* ---- data segments (any: with or without the lock) */
/* Where bytes lie. Immutable once written. */
struct data_loc {
	uint32_t segment;
	uint64_t offset;
};

/*
 * Appends to a segment and returns where. Calls one after another that fit
 * lie one behind the other, so that a file written sequentially is
 * contiguous. The caller must name the bytes in an operation that it ends,
 * and hold from before this call until then, else nobody will ever read them.
 * Errors: -ENOSPC (also when little space is left, so that the group in
 * hand can still be committed), -EDQUOT, -EIO; -EROFS the store has failed.
 */
must_check int data_append(struct store *, struct slice bytes,
			   struct data_loc *ret);
/* The same for bytes that nobody reads soon: they need not stay in memory. */
must_check int data_append_once(struct store *, struct slice bytes,
				struct data_loc *ret);
/*
 * The same, where little space is left, too: for the little that it takes to
 * go on with what is here already, as the list of a file's chunks.
 */
must_check int data_append_little(struct store *, struct slice bytes,
				  struct data_loc *ret);
/* Calls fn for each segment, in no order (fs/store/segment.h). Stops at the
 * first non-zero of fn, and returns it. */
struct segment_facts;
must_check int store_segments(struct store *,
			      int (*fn)(void *arg,
					const struct segment_facts *),
			      void *arg);
/* Reads exactly len bytes. Errors: -EIO, -EUCLEAN beyond the end. */
must_check int data_read(struct store *, struct data_loc, void *ret,
			 size_t len);

/* Hints: this is likely to be read next; or was, and need not stay in memory. */
void data_will_read(struct store *, struct data_loc, uint64_t len);
void data_were_read(struct store *, struct data_loc, uint64_t len);

/*
 * What lies so far behind in a file, a long one, does not stay in memory when
 * it was written, cut or read. The kernel has it as the file's own pages; a
 * second time it would only push out others, and take the time that memory
 * takes that was not touched for long (measured: two thirds of a copy of
 * 2 GiB). Who needs it again reads the disk.
 */
#define DATA_LONG_OFFSET (UINT64_C(16) << 20)

/*
 * ---- holds (any: with or without the lock)
 *
 * While somebody holds, bytes stay that were in use when he began: what the
 * tables named then, what he appends, and what he found in the chunk table.
 * Whoever looks up under the lock what he reads without it, or appends what
 * he names only later, holds from before the look-up, or the append, to the
 * end of his reading, or of the operation. Holds may nest.
 */
struct store_hold {
	struct store *store;
	unsigned int epoch;
};
struct store_hold store_hold(struct store *);
/* Does nothing if the store is NULL, as it is afterwards. */
void store_hold_end(struct store_hold *);

/*
 * Walks the pages of the tables as the last commit left them (pages.h),
 * while the store is in use; a commit may have to wait for it, as long as it
 * takes in memory. Errors: as pages_walk(), of LMDB. [not locked]
 */
struct pages_ops;
struct pages_result;
must_check int store_walk_pages(struct store *, const struct pages_ops *,
				struct pages_result *ret);
/*
 * Writes a file of that name, over one that is there, into the directory
 * `lost` of the store, durably: what a repair takes out. Any.
 */
must_check int store_put_aside(struct store *, const char *name,
			       struct slice bytes);

/* ---- facts */
struct store_stats {
	uint64_t ops, commits, syncs, replayed;	/* since open */
	uint64_t copies; /* syncs that put the data into the log */
	uint64_t log_bytes, data_bytes;		/* appended since open */
};
void store_stats(struct store *, struct store_stats *ret);
/*
 * What the log had when the store was opened: records that can never be
 * applied because one before them is damaged, up to this number (0: none).
 */
uint64_t store_log_lost(const struct store *);
/* Bytes that are free on the store's disk. Any. */
must_check int store_free_bytes(struct store *, uint64_t *ret);
/* The disk is full, and operations that make the tables grow are refused:
 * what can be left out of one should be. Any. */
bool store_is_full(const struct store *);

enum store_state {
	STORE_WELL,
	STORE_LOW,	/* new data is refused */
	STORE_FULL,	/* all that grows the tables is refused, too */
	STORE_REFUSED,	/* not even a commit has room: the log fills */
	STORE_FAILED,	/* nothing is written any more */
};

struct store_health {
	enum store_state state;
	int error;	    /* 0: it is well */
	const char *what;   /* failed: what could not be done */
	int64_t since_s;    /* failed: since 1970 */
	bool free_known;
	uint64_t free_bytes; /* of the disk */
	/* Data needs so much more than itself; the tables so much besides,
	 * to go on after the disk was full. */
	uint64_t low_bytes, reserve_bytes;
};
/* Looks at the disk: when room was made, it is found. */
void store_health(struct store *, struct store_health *ret);
const char *store_path(const struct store *);

#endif
