/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tree as a replica: what the replication core needs of it. All
 * functions are [locked] unless they say otherwise; those that change
 * something run inside one store operation of the caller, so that a cut
 * becomes visible as one transaction:
 *
 *	store_lock(); replica_begin();
 *	replica_row_load() ... merge ... replica_row_store() for each row;
 *	replica_know_join(); replica_restamp(); replica_finish();
 *	replica_end(); store_unlock();
 */
#ifndef KINFS_TREE_REPLICA_H
#define KINFS_TREE_REPLICA_H

#include "fs/tree/info.h"
#include "fs/tree/tree.h"

/* Begins a store operation. Errors: as store_op_begin(). */
must_check int replica_begin(struct tree *);
/*
 * Brings the view up to date (cycles, merged directories, names) and ends
 * the operation; or, when r < 0, undoes all of it. Returns r or an error of
 * the end, after which nothing has changed either.
 */
must_check int replica_end(struct tree *, int r);

/* This store's incarnation: the origin of its dots. */
uint64_t replica_origin(struct tree *);
/* Everything merged here. Borrowed until the lock is released. */
const struct know *replica_know(struct tree *);
/* The newest local sequence number: rows change, it grows. */
uint64_t replica_lseq(struct tree *);
/* What tree_observer.applied was told last; 0: nothing since the start. */
uint64_t replica_applied(struct tree *);
/* Hybrid logical clock: now, and after hearing of a remote one (which is
 * clamped to ten minutes ahead of the wall clock). */
uint64_t replica_hlc(struct tree *);
void replica_hlc_heard(struct tree *, uint64_t hlc);

/* ---- rows */
/* The encoded versions; -ENOENT: absent. Borrowed as store_get says. */
must_check int replica_row(struct tree *, struct objid, struct slice *ret);
/* Loads into *ret (initialised by this call), empty when absent. */
must_check int replica_row_load(struct tree *, struct objid,
				struct object *ret);
/*
 * Stores the row as merged from elsewhere: a new lseq, the directory index,
 * inode numbers, the marks of names in conflict, observers' events. An
 * object without versions is deleted. Call only if the set changed.
 * from: see replica_row_from. `o` is sorted by this.
 */
must_check int replica_row_store(struct tree *, struct object *o,
				 uint64_t from);
/*
 * Rows changed after lseq `after`, oldest first, up to max of them. fn gets
 * the encoded row (borrowed for the call) and the row's `from` (0: changed
 * here). Returns the number of rows given, or the first negative of fn.
 * What is given so counts as sent: from then on it does not go without a
 * trace. replica_rows_look() is for who only looks.
 */
struct replica_row {
	struct objid id;
	struct slice row;
	uint64_t lseq;
	uint64_t from;
};
must_check int replica_rows_after(struct tree *, uint64_t after, size_t max,
				  int (*fn)(void *arg,
					    const struct replica_row *),
				  void *arg);
must_check int replica_rows_look(struct tree *, uint64_t after, size_t max,
				 int (*fn)(void *arg,
					   const struct replica_row *),
				 void *arg);

/*
 * Bytes that a node with this knowledge still lacks of the rows after lseq
 * `after`: the rows, and the contents it does not know. Looks at no more
 * than max rows. [not locked: takes the lock in slices]
 */
must_check int replica_bytes_after(struct tree *, uint64_t after,
				   const struct know *, size_t max,
				   uint64_t *ret);

/* ---- knowledge and cuts */
/* K := K joined with this. In an operation. */
must_check int replica_know_join(struct tree *, const struct know *);
/* Notes (lseq, K, now) in the cut table, thinned. In an operation. */
must_check int replica_cut_note(struct tree *);
/*
 * The newest lseq L such that everything a row with lseq <= L says is
 * covered by `peer`: a stream to that peer starts after L.
 */
must_check int replica_cut_start(struct tree *, const struct know *peer,
				 uint64_t *ret_lseq);
/*
 * For how long it is too early for a cut: nanoseconds until all changes are
 * settled, 0: they are, UINT64_MAX: for as long as a new file is written.
 * Only a hint for the choice of the instant. Costs nothing that grows.
 */
uint64_t replica_unsettled_ns(struct tree *);
/*
 * When the oldest entry was noted that says more than `peer` knows: wall
 * clock, ms. Now, if all of that is not noted yet.
 */
must_check int replica_cut_since(struct tree *, const struct know *peer,
				 uint64_t *ret_ms);
/*
 * Knowledge up to which all content is here too: K, or what K was before
 * the oldest row whose content is still pending.
 */
must_check int replica_know_complete(struct tree *, struct know *ret);

/* ---- purge */
/*
 * What was removed and is kept, with its contents, until all members have
 * said that they know of it. Looks at some thousand rows at most. Errors: of
 * the store. (Takes the lock, and lets go of it now and then.)
 */
struct replica_dead {
	uint64_t files, bytes;
	bool more;	/* there are, and were not looked at */
};
must_check int replica_dead(struct tree *, struct replica_dead *ret);
/*
 * The horizon G: a node whose K does not cover it may hold what was purged
 * here, and takes a full stream before it gives anything. Borrowed until the
 * lock is released.
 */
const struct know *replica_horizon(struct tree *);
/* G := G joined with this. In an operation. */
must_check int replica_horizon_join(struct tree *, const struct know *);
/*
 * One slice, an operation of its own: looks at no more than max dead rows
 * and purges those that may go; removes empty directories that nobody placed.
 * `acked`: what every active member is known to have merged, this node
 * included; the caller has made sure that this node's K covers all that any
 * of them knew then. Goes on where the last slice ended, until *ret.done.
 */
struct replica_purged {
	size_t looked, purged, removed;
	size_t in_use;	/* open, or with unsent writes: try again */
	bool done;	/* that was the last slice: begin again some time */
};
must_check int replica_purge(struct tree *, const struct know *acked,
			     size_t max, struct replica_purged *ret);

/*
 * Nobody but this node is a member: what is replaced need not be remembered
 * for those who make something of it elsewhere. False until it is said.
 */
void replica_set_alone(struct tree *, bool alone);
/*
 * One slice, an operation of its own: looks at no more than max objects that
 * have bases (base.h), and forgets those of what all have as it is. `acked`
 * as for replica_purge(). Goes on where the last slice ended, until done.
 */
must_check int replica_base_prune(struct tree *, const struct know *acked,
				  size_t max, bool *ret_done);

/* ---- local history: history.h */
/* How long contents stay that were replaced or removed: not at all if age_ms
 * is 0. Both have no bound until it is said. */
struct replica_history_limits {
	uint64_t age_ms;
	uint64_t bytes;		/* sizes of what is named, and 256 each */
};
void replica_set_history(struct tree *,
			 const struct replica_history_limits *);
/* What is in it. */
struct replica_history {
	uint64_t entries, gone, bytes; /* contents, objects removed */
	struct replica_history_limits limits;
};
void replica_history(struct tree *, struct replica_history *ret);
/* One slice, an operation of its own: forgets the `max` oldest, if they are
 * beyond the limits. Fewer than max: there is nothing more to do. */
must_check int replica_history_expire(struct tree *, size_t max,
				      size_t *ret_count);

/* Dead rows here, and empty directories that nobody placed; how many of them
 * something still names as its parent. Looks at each of them. */
struct replica_graves {
	uint64_t dead, held;
};
must_check int replica_graves(struct tree *, struct replica_graves *ret);

/* ---- events written by a merge: ordinary local versions */
/* A new local dot for this operation. In an operation; errors -EROFS. */
must_check int replica_tick(struct tree *, struct dot *ret_dot,
			    uint64_t *ret_hlc);
/*
 * Re-stamp: the same version under a new local dot (each its own). Keeps
 * hlc, rank, branch, since; the old dot becomes an ancestor. Adds it to the
 * object's row and stores that.
 */
must_check int replica_restamp(struct tree *, struct objid,
			       const struct version *);
/* Adds a TOMB to a row without LINKs: it was there, where that LINK says. */
must_check int replica_bury(struct tree *, struct objid,
			    const struct version *link);
/*
 * After the last row of a cut: for every live file and strong directory
 * stored since the operation began, and for every row that died in it,
 * walks up the parents; a dead one gets a weak LINK where its latest TOMB
 * says.
 */
must_check int replica_finish(struct tree *);

/*
 * One slice, an operation of its own, of bringing back what this node
 * removed below directories that somebody moved meanwhile: at most max
 * entries are looked at. Returns 1 if there is more to do, 0 when done.
 */
must_check int replica_bring_back(struct tree *, size_t max,
				  size_t *ret_count);

/*
 * The same, of what is live in a directory that no node knows: it comes to
 * the root (lost.c). Not while a cut or a repair is in hand, which may bring
 * that directory.
 */
must_check int replica_find_lost(struct tree *, size_t max,
				 size_t *ret_count);

/* ---- a large cut, in slices */
/*
 * Notes that the rows are on their way to K joined with this, slice by
 * slice; a restart finds it again. Until the end nothing may be noted in the
 * cut table, streamed out or purged, and no other cut applied; local
 * operations go on. In an operation.
 */
must_check int replica_applying_begin(struct tree *, const struct know *);
/* The last slice of a cut: joins its K. That ends it once K covers all that
 * was begun. In an operation. */
must_check int replica_applying_end(struct tree *, const struct know *);
/* K of the cut in hand, borrowed; NULL: none. */
const struct know *replica_applying(struct tree *);
/*
 * At the end of a slice, in place of replica_finish(): calls fn for each
 * directory that may have to be revived once all slices are in. It may be
 * one that is not here yet. Errors: those of fn.
 */
must_check int replica_defer(struct tree *,
			     int (*fn)(void *arg, struct objid dir), void *arg);
/* After the rows: revives such a directory if something lives in it. */
must_check int replica_revive(struct tree *, struct objid dir);

/*
 * After the last row of a full stream, before K is joined: the objects that
 * were not in it (absence.c). Begin sets where to begin; each call is one
 * slice, in an operation, that looks at up to max rows (an object kept may
 * bring some more). Returns 1 when done. The first three are the caller's,
 * in each call; the rest is kept between them.
 */
struct replica_absence {
	const struct know *theirs;	/* K of the stream */
	/* Was it in the stream? 0, 1, or an error. */
	int (*mentioned)(void *arg, struct objid);
	void *arg;
	uint64_t lseq, end;
	uint64_t own;		/* operations of this node before it */
	struct objid id;
	uint64_t kept;		/* rows that stay by news from here */
	uint64_t purged;	/* that were shown here */
};
must_check int replica_absence_begin(struct tree *, struct replica_absence *);
must_check int replica_absence(struct tree *, struct replica_absence *,
			       size_t max, size_t *ret_looked);
/*
 * A directory that was purged here, as another has it, comes back if a LINK
 * of any row names it as parent: weak, all under new dots. Returns 1 if it
 * did. In an operation.
 */
must_check int replica_readopt(struct tree *, struct objid, struct slice row);

/* ---- content that is not here yet */
/*
 * After a cut or a restart: hashes wanted for pending objects, oldest
 * first, at most max. Returns how many. [locked]
 */
must_check int64_t replica_wants(struct tree *, uint64_t max,
				 int (*fn)(void *arg, const struct hash *),
				 void *arg);
/* Hashes that somebody waits for, newest last; returns how many. [locked] */
size_t replica_urgent(struct tree *, size_t max, struct hash *ret);
/* Is there anybody to ask for content? [locked] */
void replica_set_reachable(struct tree *, bool);
/* Bytes and objects still to come, for status. */
struct replica_debt {
	uint64_t reads_failed;	/* since the start: tree_read_failed() */
	uint64_t objects, bytes;
};
must_check int replica_debt(struct tree *, struct replica_debt *ret);
/*
 * A chunk or block from a peer: checks the hash, stores it, and shows the
 * objects that are complete with it. [not locked]
 * Errors: -EPROTO the bytes are not what the hash names.
 */
must_check int replica_chunk_received(struct tree *, const struct hash *,
				      struct slice bytes);

/* ---- the whole state, for tests, the simulator and proofs */
/*
 * Calls fn for every entry of the view, in a defined order: path as shown,
 * kind, content identity, mode, mtime, inode. [not locked]
 */
struct replica_view_entry {
	struct slice path;
	struct objid id;
	enum kind kind;
	bool is_sibling;
	uint32_t perm;
	struct timespec mtime;
	struct content content;	/* inline bytes borrowed for the call */
	struct dot version;
	bool complete;		/* main, and all of it is here */
};
must_check int replica_view(struct tree *,
			    int (*fn)(void *arg,
				      const struct replica_view_entry *),
			    void *arg);
/* Calls fn for every row that is not dead, in order of id. [not locked] */
must_check int replica_rows(struct tree *,
			    int (*fn)(void *arg, struct objid, struct slice),
			    void *arg);
/*
 * Checks what must always hold: indexes agree with rows, every shown name
 * is a live group and the other way round, the tree is a tree. `why`
 * receives what does not. [not locked] Errors: -EUCLEAN.
 */
must_check int replica_check(struct tree *, struct buf *why);

#endif
