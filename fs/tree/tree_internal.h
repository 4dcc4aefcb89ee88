/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of fs/tree share. Everything here wants the store's lock
 * held, and, where it writes, an operation open.
 *
 * Layers inside this folder, lower ones first:
 *	know, object, info	pure values
 *	row, claim		a row with its local part, stored and indexed
 *	names, place, group	the view: who is shown where under which name
 *	cycle, settle		keep the view's indexes after rows changed
 *	inode, data		numbers, open files, unsent writes
 *	branch			content versions: cuts, settlements, removals
 *	saves			temporaries and backups of editors (saves.h)
 *	op			the operations of the file system
 *	conflict, replica	what tools and the replication core see
 */
#ifndef KINFS_TREE_INTERNAL_H
#define KINFS_TREE_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>
#include <uthash.h>

#include "fs/tree/bucket.h"
#include "fs/tree/chain.h"
#include "fs/tree/info.h"
#include "fs/tree/replica.h"
#include "fs/tree/tree.h"

/* A growing array of object ids. */
struct idlist {
	struct objid *ids;
	size_t count, alloc;
};

void idlist_release(struct idlist *);
must_check int idlist_add(struct idlist *, struct objid);
bool idlist_has(const struct idlist *, struct objid);

/* Where a name stands: a directory (as LINKs name it) and a plain name. */
struct spot {
	struct objid parent;
	uint64_t hash;		/* name_hash(name) */
	uint8_t name[NAME_BYTES_MAX];
	uint8_t name_len;
};

struct spotlist {
	struct spot *spots;
	size_t count, alloc;
};

/* What the operation in hand must settle before it ends. */
struct worklist {
	struct spotlist spots;	/* places whose claims changed */
	struct idlist dirs;	/* directories whose LINK winner changed */
	struct idlist died;	/* rows that lost their last LINK */
	struct idlist live;	/* rows stored that are live */
	struct spotlist views;	/* places whose names of view changed */
	struct idlist contents;	/* rows stored with several contents */
	bool rules;		/* policies changed, or what lies below them */
};

/* An inode that is open or has unsent writes. */
struct inode {
	uint64_t ino;
	uint32_t opens, writers;
	bool dirty;		/* has a header in DIRTY */
	bool appended;
	bool fresh;		/* born or emptied by a handle still open */
	bool born;		/* here, and no cut was made of it yet */
	bool cutting;		/* a cut is being made: writes wait */
	bool detached;		/* it may be: a content of its own */
	bool nameless;		/* made without a name, and has none yet */
	bool accessed;		/* read since it was opened or written */
	bool held;		/* removed, and known to the kernel: orphan.c */
	uint64_t first_write_ns, last_write_ns;	/* monotonic */
	UT_hash_handle hh;
};

/* As displayed, in a directory. */
enum shown_type { SHOWN_DIR, SHOWN_FILE, SHOWN_SUFFIXED, SHOWN_SIBLING };

struct shown {
	enum shown_type type;
	struct objid id;	/* canonical, for a directory */
	uint64_t slot;
	enum kind kind;
	struct dot tag;		/* SHOWN_SIBLING: of its branch */
	struct spot link;	/* the LINK's own place */
	uint8_t name[NAME_BYTES_MAX]; /* as displayed */
	uint8_t name_len;
};

/* alias.c: names that were shown a moment ago. */
#define ALIASES_MAX 128
struct alias {
	struct objid dir;
	struct shown shown;
	uint64_t until_ns;	/* monotonic */
};

/* unsettled.c: what a cut should wait for. */
#define UNSETTLED_MAX 64
struct unsettled {
	struct objid id;
	uint64_t ino;		/* 0: no handle of it matters */
	uint64_t until_ns;	/* monotonic */
};

/* backup.c: a file that left its name a moment ago. */
#define LEFTS_MAX 8
struct left {
	bool used;
	struct objid id;
	struct spot from;	/* the name it left */
	uint64_t at_ns;		/* monotonic */
	uint64_t lseq;		/* of its row since then */
	struct dot dot;		/* of the move */
	struct dot content;	/* of main since then */
	struct object links;	/* its LINKs before the move */
	bool taken;
	struct objid taker;	/* ... by a file that may replace it */
	bool late;		/* that was complete, and could not */
};

/* deep.c: a new sum of the rows below `at`. */
struct recount {
	struct objid at;
	struct sum sum;
};

/* Hashes that readers wait for: of many at once the newest are asked for
 * first; and of one read, 4 MiB of largest chunks. */
#define URGENT_MAX 64
#define URGENT_AT_ONCE 16

/* hist.c: what is in the history, and its clock (META "history"). */
struct hist_totals {
	uint64_t clock;		/* ms that it has counted */
	uint64_t seen_ms;	/* the wall clock when it was looked at last */
	uint64_t entries, gone;	/* contents; objects whose row is gone */
	uint64_t bytes;		/* that they count for */
	uint64_t settled;	/* settlements that can be taken back */
};

/* By so much at most the history's clock follows a jump of the wall clock:
 * 7 days, so that a node that was off over a holiday counts them, and one
 * whose clock said 2099 for a moment loses a week of history, not all. */
#define HIST_STEP_MS (7 * UINT64_C(86400000))

/* atime.c: what is told of a number on this node alone, as far as it was
 * asked for or changed; 400 kB. */
#define ATIME_SLOTS 8192
struct atime {
	uint64_t ino;		/* 0: a free slot */
	struct timespec time;
	bool known;		/* else there is none */
	/* So many bytes of a content (stored.c) are on the disk; 0: none. */
	uint64_t root, bytes;
};

/* stored.c: bytes on disk of contents that were asked for; 200 kB. */
#define STORED_SLOTS 4096
struct stored {
	struct hash root;
	uint64_t size, bytes;
};

/* What a row was last seen with, and the sum of that. */
#define SUMMED_ROWS 8
#define SUMMED_BYTES_MAX 1024	/* of its versions; few have more */
struct summed {
	struct objid id;
	struct sum sum;		/* of none, if it counts none */
	size_t len;
	uint8_t versions[SUMMED_BYTES_MAX];
};

struct tree {
	struct store *store;
	const struct tree_env *env;
	struct tree_observer observer;
	uint64_t applied;	/* what it was told last, a number */
	struct volid volume;
	uint64_t origin;
	char label[LABEL_BYTES_MAX + 1];

	/* Persisted as META "clock" with every operation. */
	struct know know;
	uint64_t hlc, lseq, next_ino;
	struct sum sum;		/* over all rows: bucket.h */
	struct recount *recount; /* a check goes on, or NULL */
	uint8_t secret[SECRET_BYTES];
	struct mac *mac;	/* under the secret */
	struct summed summed[SUMMED_ROWS];	/* by id: bucket.c */
	struct know horizon;	/* G: META "horizon" */
	struct {
		bool weak;	/* where the next slice begins: in which ... */
		uint64_t after;	/* ... index, behind which number */
	} purge;
	/* base.c: there is no other member; own numbers that a peer may have
	 * been sent; what all were known to have when the table was last gone
	 * through, and the walk in hand. */
	bool alone;
	_Atomic bool local_attrs; /* some row may have any: xattr_local.c */
	uint64_t sent_seq;
	struct know base_acked, base_walk;
	struct hist_totals hist;
	struct replica_history_limits hist_limits;
	struct objid base_next;	/* ROOT_ID: it is to begin */
	/* META "applying": K of the large cut in hand. */
	struct know applying;
	bool is_applying;
	struct hash chain_head;	/* of the last own operation */
	/* Own numbers up to this may have been used, and lost: the next is
	 * greater than both this and K. */
	uint64_t ceiling, skip_to;
	bool chain_begun;	/* this run of the store has a number */
	struct birth *births;	/* by alias */
	size_t birth_count;

	/* Of the operation in hand. */
	bool ticked;		/* a local dot was drawn */
	struct dot op_dot;
	uint64_t op_hlc;
	/* The last removal here, and the first of its unbroken run. */
	uint64_t removed_hlc, removal_run_hlc;
	uint64_t op_first;	/* the first number that it drew */
	struct hash op_digest;	/* of the rows written since */
	int64_t op_now_ns;	/* one operation happens at one time */
	uint64_t op_removed;	/* the number whose last name it takes, or 0 */
	bool remote;		/* it applies changes from elsewhere */
	bool know_changed, horizon_changed, births_changed, applying_changed;
	bool hist_changed;
	struct worklist work;
	struct {
		uint64_t origin, seq, lseq, next_ino, ceiling, skip_to;
		struct sum sum, recount;
		struct hist_totals hist;
		struct hash chain_head;
		bool chain_begun;
	} saved;

	uint64_t group_records;	/* entries in GROUP: 0 is the usual case */
	struct inode *inodes;	/* by number */
	/* Writers wait for a cut to end: cuts_ended changes under both the
	 * store's lock and cut_mutex. */
	pthread_mutex_t cut_mutex;
	pthread_cond_t cut_cond;
	uint64_t cuts_ended;
	void (*cut_wake)(void *arg);
	void *cut_wake_arg;
	uint64_t cut_next_ns;	/* when tree_cut_due() was last told */
	struct wants *wants;	/* pending.c */
	struct hash urgent[URGENT_MAX];	/* readers wait for these */
	size_t urgent_count;
	bool reachable;		/* a peer that may have them is linked */
	uint64_t reads_failed;
	struct listing *listing;	/* list.c; NULL: none is going on */
	struct alias aliases[ALIASES_MAX];	/* a ring */
	size_t alias_next;

	/* Own numbers up to this one may be held by somebody else: by a peer
	 * that was sent rows, or by a commit of the store, and so by a copy
	 * of it. */
	uint64_t held_seq;
	uint64_t held_group;	/* the store's group when that was known */
	struct unsettled unsettled[UNSETTLED_MAX]; /* oldest first */
	size_t unsettled_count;
	struct left lefts[LEFTS_MAX];	/* a ring */
	size_t left_next;
	struct stored stored[STORED_SLOTS];	/* by root */
	struct atime atimes[ATIME_SLOTS];	/* by number */
	uint64_t saves_wrote;	/* inode with new unsent writes, or 0 */
};

/* ---- tree.c: operations */
/*
 * Before an operation that makes the tables grow: waits for room if there is
 * none and some may be made. Whether there is, the operation finds. Without
 * the lock, and without a hold.
 */
void room_wait(struct tree *);
must_check int op_begin(struct tree *);	/* takes the lock */
/* Ends or, when r < 0, undoes it; releases the lock; returns r or an error
 * of the end. */
must_check int op_end(struct tree *, int r);
must_check int op_begin_locked(struct tree *);
must_check int op_end_locked(struct tree *, int r);
/* The dot of the operation in hand: drawn once. */
void op_tick(struct tree *);
/* A dot of its own for an event within an operation. */
void op_tick_again(struct tree *);
uint64_t tree_now_hlc(struct tree *);
struct timespec tree_now(struct tree *);
struct slice tree_label_slice(struct tree *);
struct stamp op_stamp(struct tree *);
/* Is it of the operation in hand? */
bool op_drew(const struct tree *, struct dot);
/* A version of this operation, without its value. */
struct version op_version(struct tree *, uint8_t reg);

/* ---- row.c */
enum claim_flags {
	CLAIM_KIND = 7,		/* mask: enum kind */
	CLAIM_WEAK = 8,
	CLAIM_HOLDS = 16,	/* a file whose main holds the name */
	CLAIM_SIBLINGS = 32,	/* its siblings stand here */
};

struct claim {
	struct spot at;
	uint64_t slot;
	uint8_t flags;
};

/*
 * What a row leaves in DEAD: grave.c. As stored, so that only changes are
 * written.
 */
enum grave { GRAVE_NONE, GRAVE_DEAD, GRAVE_WEAK };

struct remains {
	enum grave grave;
	uint64_t lseq;		/* it stands in DEAD under this */
	bool fell;		/* removed, and its TOMB says from where: */
	struct objid from;
	struct idlist strays;	/* parents of LINKs that are no claims */
};

struct row {
	struct object o;
	bool exists;
	/* Local part. */
	uint64_t lseq, ino, from;
	uint64_t ino_before;	/* the number when it was loaded */
	int64_t ctime_ns;
	uint64_t pending;	/* lseq under which it is in PENDING, or 0 */
	bool born;		/* by an operation here, and by no merge since */
	bool absent;		/* main is not complete, nor is a prior here */
	bool borrows;		/* while it is stored: what was written here
				 * may have parts that are not here */
	bool has_prior;		/* shown while main is not complete: */
	struct object prior;	/* one CONTENT version */
	struct buf attrs;	/* that stay here: xattr_local.c */
	uint64_t orphan;	/* no object's, but this number's: orphan.c */
	/* Its contents as stored, for the history: hist_leave.c. */
	struct version *had;	/* in the arena of `o` as it was loaded */
	size_t had_count;
	/* It goes, and is what this file has from now on; or NULL. */
	const struct row *passed_to;
	/* Its claims as stored. */
	struct claim *claims;
	size_t claim_count;
	struct remains remains;
	/* What it was before a merge, or NULL: spares looking again for
	 * content that is known to be here. */
	const struct object *before;
};

/* Loads, or starts an empty one when there is none. */
must_check int row_load(struct tree *, struct objid, struct row *);
/* The same without its claims: to look at, not to be stored. */
must_check int row_read(struct tree *, struct objid, struct row *);
/* The inode number in a row, or 0 where there is none. */
must_check int row_ino(struct tree *, struct objid, uint64_t *ret);
/* As it is stored: from a value, and into one, whose first *ret_local bytes
 * are the local part. */
must_check int row_of_value(struct slice value, struct objid, struct row *ret);
must_check int row_to_value(struct row *, bool counts, struct buf *ret,
			    size_t *ret_local);
void row_release(struct row *);
/* The directory in which an object is shown first. -ENOENT: nowhere. */
must_check int claimed_parent(struct tree *, struct objid,
			      struct objid *ret);
/* Stores, numbers, indexes, notes what is to be settled. The row's ctime
 * becomes now, or `ctime_ns` where the change was made before. */
must_check int row_store(struct tree *, struct row *, uint64_t from);
must_check int row_store_at(struct tree *, struct row *, uint64_t from,
			    int64_t ctime_ns);
/* Erases it, with its place in the change stream and its claims. */
must_check int row_delete(struct tree *, struct row *);
/* Only the local part changed. */
must_check int row_store_local(struct tree *, struct row *);
/* The same where its contents are read in another way than before. */
must_check int row_store_view(struct tree *, struct row *);
/* Main content as shown: prior when main is not complete; NULL: none. */
const struct version *row_shown_content(const struct row *,
					const struct info *);
/* The branch of the prior, if nobody replaced it: the row has it as a
 * sibling, and the name shows it until main is here. NULL: none. */
const struct branch *row_prior_branch(const struct row *,
				      const struct info *);

/* From a stored value: the versions, behind the local part. */
must_check int versions_of(struct slice value, struct slice *ret,
			   uint64_t *from);
/* From a stored value: the versions, and whether they are in the sums. */
must_check int row_counts(struct slice value, struct slice *ret_versions,
			  bool *ret);

/* From a stored value: what it names by hash, prior included. As
 * object_contents_each(). */
must_check int row_contents_each(struct slice value,
				 int (*fn)(void *arg, const struct content *),
				 void *arg);

/* All that is derived from the row, of which nothing is in the tables, and
 * the row itself. */
must_check int row_index_anew(struct tree *, struct row *);
/* META: indexes are being made again, or that was broken off. */
#define META_MEND "mend"

/* ---- claim.c: the names under which objects may be shown */
uint64_t name_hash(struct slice name);
struct slice spot_name(const struct spot *);
struct spot spot_at(struct objid parent, struct slice name);
bool spot_equal(const struct spot *, const struct spot *);
/* Effective place of a directory: its override, or its LINK's. */
must_check int dir_place(struct tree *, const struct info *, struct objid,
			 struct spot *ret);
/* Those of a row as it is now; to be freed. */
must_check int claims_of(struct tree *, const struct row *,
			 const struct info *, struct claim **ret,
			 size_t *ret_count);
/* Brings DIR from the row's claims to these, which it takes; the places
 * that change are looked at again. */
/* As many, the first at the same place: of a directory, where it was. */
bool claims_same_place(const struct row *, const struct claim *now, size_t n);
must_check int claims_update(struct tree *, struct row *, struct claim *now,
			     size_t n);

/* ---- grave.c: what is dead, and what names a directory as its parent */
bool row_is_dead(struct objid, const struct info *);
must_check int remains_of(struct tree *, const struct row *,
			  const struct info *, struct remains *ret);
/* Brings DEAD from row->remains to what the row is now (NULL: gone). */
must_check int remains_update(struct tree *, struct row *,
			      const struct info *);
void remains_release(struct remains *);
/* Is all of it in the table? Adds the number of its entries. -EUCLEAN. */
must_check int remains_check(struct tree *, const struct row *,
			     uint64_t *entries);
/* Adds the number of its entries that follow from no row: directories that
 * returned.c and lost.c have noted. */
must_check int notes_count(struct tree *, uint64_t *add);
/* Does a LINK of any row, shown or not, name it as parent? */
must_check int dir_is_named(struct tree *, struct objid dir, bool *ret);
/* The first entry of DEAD of one sort with at least this behind its first
 * byte. -ENOENT at the end of the sort. */
must_check int dead_seek(struct tree *, char sort, struct slice from,
			 struct slice *ret_key, struct slice *ret_value);

/* ---- bucket.c */
/* What a row that counts adds to its leaf. */
struct sum bucket_row(struct tree *, struct objid, struct slice versions);
/* The row gave this (zeros: it did not count), and gives that now. */
must_check int bucket_row_changed(struct tree *, struct objid,
				  struct sum gone, struct sum come);
/* The id after this one; false after the last. */
bool objid_next(struct objid *);
/* Compares with sums over all rows; *why: what is wrong, at -EUCLEAN. */
must_check int bucket_check(struct tree *, const struct sum *leaves,
			    const char **why);
/* Prepares the key. Not stored by this. */
must_check int secret_set(struct tree *, const uint8_t secret[SECRET_BYTES]);

/* ---- chain.c */
/* A row of the operation in hand was written, or (empty) deleted. */
void chain_row(struct tree *, struct objid, struct slice versions);
/* Marks for the numbers that the operation drew. */
must_check int chain_end_op(struct tree *);
mark_t chain_mark(const struct hash *);
must_check int chain_load(struct tree *);
/* Marks above a number become another origin's; 0: go. */
must_check int chain_move(struct tree *, uint64_t from, uint64_t above,
			  uint64_t to);

/* ---- fork.c */
/* A new incarnation, in an operation of its own, durable. [locked] */
must_check int copy_reincarnate(struct tree *);

/* ---- acks.c */
/* Notes whether the directory may have a policy of acknowledgements. */
must_check int acks_note(struct tree *, const struct row *);
/* Does the index have it? -EUCLEAN. */
must_check int acks_check(struct tree *, const struct row *);

/* ---- names.c */
/* "stem (conflict LABEL DATE TAG).ext" with tag_len characters of tag. */
size_t conflict_name(struct slice name,
		     struct slice label, uint64_t hlc, const struct hash *tag,
		     size_t tag_len, uint8_t ret[NAME_BYTES_MAX]);
/* May it be such a name? Then of which plain one, unless it was cut. */
bool conflict_name_guess(struct slice name, uint8_t ret[NAME_BYTES_MAX],
			 size_t *ret_len);
#define CONFLICT_TAG_MIN 4
#define CONFLICT_TAG_MAX 52

/* ---- place.c, virtual.c: the view of one directory */
struct shownlist {
	struct shown *shown;
	size_t count, alloc;
};

/* A file that claims a name, with what orders it. */
struct claimant {
	struct objid id;
	struct claim claim;
	struct stamp since;
	bool weak;
	/* Twins: same kind, content and mode, one content, one name. */
	bool single;
	uint32_t perm;
	uint64_t acl;		/* its hash */
	uint8_t kind;
	struct content content;	/* no inline bytes: by hash */
	size_t head;		/* index of the twin it is folded into */
	struct slice label;	/* in `labels` */
	char label_bytes[LABEL_BYTES_MAX];
};

struct place_view {
	struct idlist dirs;	/* live directories here */
	struct claimant *files;	/* in order; voids last */
	size_t file_count;
	size_t holder_count;	/* files[0..) that hold the name */
};

must_check int place_view(struct tree *, const struct idlist *members,
			  struct slice name, struct place_view *ret);
/* The same for all members of the directory's group. */
must_check int place_view_at(struct tree *, struct objid dir,
			     struct slice name, struct place_view *ret);
void place_view_release(struct place_view *);
/* Entries that want the name: the directory, and each file that no other
 * stands for. */
size_t place_heads(const struct place_view *);
/* Does the place show names that are view? */
bool place_has_virtuals(const struct place_view *);
/* Index of the file that shows this claim (itself, or the twin it is folded
 * into); SIZE_MAX if it holds no name here. */
size_t place_head(const struct place_view *, struct objid, uint64_t slot);
must_check int view_find(struct tree *, struct objid dir, struct slice name,
			 struct shown *ret);
/* Of plain names only. */
must_check int view_find_plain(struct tree *, const struct idlist *members,
			       struct slice name, struct shown *ret);
/* All names of the directory that are pure view, in a defined order. */
must_check int view_virtuals(struct tree *, struct objid dir,
			     struct shownlist *ret);
/* Those of one place only, whatever else the directory holds. (A name that
 * one of another place has too, by a tag of equal beginning, is not seen.) */
must_check int view_virtuals_at(struct tree *, struct objid dir,
				struct slice name, struct shownlist *ret);
void shownlist_release(struct shownlist *);
/* Is anything shown in the directory? */
must_check int view_is_empty(struct tree *, struct objid dir, bool *ret);
struct slice shown_name(const struct shown *);
/* An entry that shows this claimant, under this name. */
void shown_file(const struct claimant *, enum shown_type, struct slice name,
		struct shown *ret);
/* Does the directory have names that are view? Cheap. */
must_check int view_has_virtuals(struct tree *, struct objid dir, bool *ret);
/* The shown entry's inode number. */
must_check int shown_ino(struct tree *, const struct shown *, uint64_t *ret);
/* subdirs.c: claims of directories in a directory; of its group. One more, or
 * one fewer. */
must_check int subdirs_count(struct tree *, struct objid dir, uint32_t *ret);
must_check int subdirs_change(struct tree *, struct objid dir, bool more);
/* Claims of one directory (not its group) from a hash on. */
must_check int claim_seek(struct tree *, struct objid parent, uint64_t hash,
			  struct objid id, uint64_t slot,
			  struct claim *ret, struct objid *ret_id);
/* The next after this one, in the same directory. -ENOENT at the end. */
must_check int claim_next(struct tree *, struct claim *, struct objid *id);

/* ---- alias.c */
/* An entry of the directory is about to go. */
must_check int alias_note(struct tree *, struct objid dir,
			  const struct shown *);
must_check int alias_find(struct tree *, struct objid dir, struct slice name,
			  struct shown *ret);

/* ---- group.c: merged directories and liveness */
struct objid group_canonical(struct tree *, struct objid dir);
must_check int group_members(struct tree *, struct objid dir,
			     struct idlist *ret);
/* Strong, or with a live descendant. */
must_check int dir_is_live(struct tree *, struct objid dir, bool *ret);
must_check int dir_has_live_child(struct tree *, struct objid dir,
				  bool *ret);
must_check int group_set(struct tree *, const struct idlist *members);
must_check int group_clear(struct tree *, struct objid dir,
			   struct idlist *ret_members);

/* ---- cycle.c */
/* Cuts cycles that the directories of the worklist closed. */
must_check int settle_cycles(struct tree *);

/* ---- settle.c */
must_check int settle(struct tree *);
must_check int work_spot(struct tree *, const struct spot *);
must_check int work_dir(struct tree *, struct objid);
/* So do the names in it: all of them are settled again. */
must_check int work_children(struct tree *, struct objid dir);
void work_clear(struct tree *);
/*
 * To be called before any of these directories, or something in it, is placed
 * or removed: if that has to do with a cycle, directories that are not where
 * their LINK says are pinned there.
 */
must_check int pin_overrides(struct tree *, const struct objid *about,
			     size_t count);
/* Such directories. */
must_check int overrides_list(struct tree *, struct idlist *ret);
must_check int override_get(struct tree *, struct objid, struct spot *ret);
/* Is its LINK an edge of a known cycle? Then its key matters, not only its
 * place: which edge is cut depends on it. */
bool dir_in_cycle(struct tree *, struct objid);

/* ---- inode.c */
enum inoref_type { INO_OBJECT = 1, INO_SIBLING = 2, INO_DETACHED = 3 };

struct inoref {
	enum inoref_type type;
	struct objid id;
	struct dot tag;		/* sibling: its branch */
	struct object version;	/* detached: one CONTENT version */
};

must_check int ino_get(struct tree *, uint64_t ino, struct inoref *ret);
void inoref_release(struct inoref *);
/* INO, what there is of a number: see inode.c. */
struct slice ino_key(uint8_t key[9], char what, uint64_t ino);
must_check int ino_put(struct tree *, uint64_t ino, const struct inoref *);
uint64_t ino_new(struct tree *);
/* The number of a sibling, given out at first use. */
must_check int ino_of_sibling(struct tree *, struct objid, struct dot tag,
			      uint64_t *ret);
/* The sibling has this number from now on. */
must_check int ino_put_sibling(struct tree *, uint64_t ino, struct objid,
			       struct dot tag);
must_check int ino_forget_sibling(struct tree *, struct objid,
				  struct dot tag);
/* The number shows nothing any more. */
must_check int ino_forget(struct tree *, uint64_t ino);
/* Gives a number up that is a detached content's; others are left alone. */
must_check int ino_forget_detached(struct tree *, uint64_t ino);
/* The directory behind a number. -ENOTDIR, -ESTALE. */
must_check int ino_dir(struct tree *, uint64_t ino, struct objid *ret);
/* Number shown for a directory (group): the first that this node gave. */
must_check int dir_ino(struct tree *, struct objid dir, uint64_t *ret);
struct inode *inode_find(struct tree *, uint64_t ino);
struct inode *inode_get(struct tree *, uint64_t ino);
/* It is written for the first time: that its row is empty is nothing that
 * anybody wrote. */
/* What only open handles kept, when there are none any more. [locked] */
must_check int ino_forget_kept(struct tree *);
bool inode_is_unborn(const struct tree *, uint64_t ino);
void inode_drop(struct tree *, struct inode *);
must_check int attr_of(struct tree *, uint64_t ino, struct attr *ret);
/* The file at `ino` and the version that is shown there. */
struct target {
	struct inoref ref;
	struct row row;
	struct info info;
	const struct version *content;	/* NULL: none */
	bool is_main;
};
must_check int target_load(struct tree *, uint64_t ino, struct target *);
void target_release(struct target *);
/* nameless.c: was it made without a name, and has it none yet? */
bool target_is_nameless(const struct target *);
/* Of a TOMB: that of a file which never had a name. */
bool name_is_nameless(struct slice name);

/* ---- orphan.c: what lost its last name here, and is open */
/*
 * What is shown at the number goes with its last name, and its object goes
 * on: if the number is open, it keeps that content (`shown`), and all that the
 * row says of it now. 1: it does; 0: nobody has it open.
 */
must_check int orphan_make(struct tree *, uint64_t ino, const struct row *,
			   const struct version *shown);
/* The same of what was detached just now; nothing if it was not. */
must_check int orphan_detached(struct tree *, uint64_t ino,
			       const struct row *);
/* 1: the attributes that the number has of its own; 0: it has none. */
must_check int orphan_read(struct tree *, uint64_t ino, struct objid,
			   struct row *ret);
/* What row_store() does for one. */
must_check int orphan_store(struct tree *, struct row *, int64_t ctime_ns);
/* The operation has ended well: what it removed is held. */
void orphan_hold(struct tree *);

/* ---- atime.c: access times */
must_check int atime_load(struct tree *, uint64_t ino, struct atime *ret);
/* In an operation. */
must_check int atime_store(struct tree *, const struct atime *);
must_check int atime_set(struct tree *, uint64_t ino, struct timespec);
must_check int atime_forget(struct tree *, uint64_t ino);
/* (not the number) */
must_check int atime_decode(struct slice value, struct atime *ret);

/* ---- request.c */
/* In an operation that performs the request of this thread, at its end: what
 * that came to. Returns r, its result so far. */
int op_answers(struct tree *, int r, uint64_t result);

/* ---- data.c: unsent writes */
struct dirty {
	struct objid id;
	uint64_t size, kept;
	/* Of the extents: bytes that are no holes, and that hide the base. */
	uint64_t written, covered;
	struct timespec mtime;
	int64_t ctime_ns;	/* of the last change, whatever mtime says */
	bool unlinked;
	bool born;		/* struct inode's */
	struct object base;	/* no version, or one CONTENT version */
	/* Those that a policy hid under it when it was first written. */
	struct object known;
};
must_check int dirty_get(struct tree *, uint64_t ino, struct dirty *ret);
void dirty_release(struct dirty *);
must_check int dirty_put(struct tree *, uint64_t ino, const struct dirty *);
/* Unlinked here: unsent writes, and those that its handles still make, go
 * with the last handle. */
must_check int dirty_unlink(struct tree *, uint64_t ino);
/* Forgets the unsent writes of an inode. */
must_check int dirty_drop(struct tree *, uint64_t ino);
/* Sets the size of a file as ftruncate does. In an operation. */
must_check int data_truncate(struct tree *, uint64_t ino, uint64_t size);
/* After the end of an operation that wrote or truncated, with its result:
 * the inode has unsent writes (and the housekeeping is woken), or, when it
 * failed, is what it was. */
void inode_wrote(struct tree *, uint64_t ino, bool append, int r);
/* Returns 1 if there are unsent writes, which now have that mtime, or 0. */
must_check int dirty_set_mtime(struct tree *, uint64_t ino,
			       struct timespec);
/* Unsent writes of the inode belong to that object from now on; they were made
 * from its content, if that has the bytes of what they were made from. */
must_check int dirty_move(struct tree *, uint64_t ino, const struct object *to);
/* The same where they replace `base`, which that object shows under some name
 * (NULL: nothing), and not the version that they began on, of which nothing
 * may be left in them. */
must_check int dirty_rebase(struct tree *, uint64_t ino, const struct row *to,
			    const struct info *, const struct version *base);
/* When unsent writes become a version: see cut.c. */
#define CUT_IDLE_NS (5 * UINT64_C(1000000000))
#define CUT_APPEND_NS UINT64_C(1000000000)
/* Something is due then: wakes the housekeeping if that is sooner. */
void cut_alarm(struct tree *, uint64_t when_ns);
/* Makes a version of the unsent writes. [not locked] */
must_check int data_cut(struct tree *, uint64_t ino);
must_check int dirty_load_all(struct tree *);
/* The content of an inode changes from elsewhere: its open handles keep
 * what they show under a number of their own. */
must_check int data_detach(struct tree *, struct row *,
			   const struct version *shown);
/* The same, unless the new content only adds to what is shown, and nothing
 * is unsent: then the handles go on with the file. */
must_check int data_changed(struct tree *, struct row *,
			    const struct version *shown,
			    const struct version *new);
/* The file gets a name again: unsent writes that went with the last one
 * stay with their handles, or go, and the name has another number. */
must_check int data_returns(struct tree *, struct row *);
/* A local operation on the row: a sibling that it left has another name, for
 * its tag was another's before, or is now. Handles keep what they have, and
 * the old name, should it come back, is not theirs. */
must_check int siblings_renamed(struct tree *, const struct row *,
				const struct info *now);
/* If the number is open or dirty, it goes on as this content. */
must_check int ino_detach(struct tree *, uint64_t ino, struct objid,
			  const struct version *shown);

/* ---- stored.c: sizes on disk, in bytes */
/* ... in units of 512 bytes, in whole blocks of 4 KiB. */
uint64_t blocks_of(uint64_t bytes);
/* Of a content that is shown at the number. */
must_check int stored_bytes(struct tree *, uint64_t ino,
			    const struct content *, uint64_t *ret);
/* ... of the number's unsent writes, with what they are based on; 1: as far
 * as can be told. */
must_check int stored_dirty(struct tree *, uint64_t ino, const struct dirty *,
			    uint64_t *ret);
/* In an operation: the writes became that content. */
must_check int stored_keep(struct tree *, uint64_t ino, const struct dirty *,
			   const struct content *);

/* ---- branch.c: content versions */
struct content_write {
	const struct content *content;	/* NULL: void */
	struct timespec mtime;
	bool keep;		/* KEEP: the edit survives a removal */
	bool leads;		/* a new branch that is main at once */
	bool again;		/* the branch once more: VERSION_AGAIN */
	/* VERSION_REOPENED: main once more, above this. */
	const struct stamp *reopened;
	/* Made by a policy or a hook, of these human versions. */
	const struct dot *leaves;
	size_t leaves_count;
	/* Branches replaced besides the one written. */
	const struct branch **over;
	size_t over_count;
	/* ... and of what the policy hides, that which the writer's node knew
	 * of when he wrote. NULL: none. */
	const struct object *known;
};
/*
 * Writes a CONTENT version on branch b (NULL: a new branch beside the
 * others, made from `base`). In row->o; invalidates the info.
 */
must_check int branch_write(struct tree *, struct row *,
			    const struct info *, const struct branch *b,
			    const struct version *base,
			    const struct content_write *);
/*
 * KEEP: a weak copy of each shown LINK, in place of older weak ones, so that
 * the object outlives a removal by who has not seen this operation. A LINK
 * that the operation wrote is as new, and has that dot already.
 */
must_check int row_keep(struct tree *, struct row *, const struct info *);
/* A rank goes above another, if it is not. */
void rank_above(struct stamp *, const struct stamp *other);
/* What the version is there again for, and again: the first of it. */
struct entry_name version_repeated(const struct version *);
/* Adds to `ret` (LEAVES_MAX) the human versions that this one is made of.
 * -E2BIG. */
must_check int leaves_add(const struct version *, struct dot *ret,
			  size_t *count);
void leaves_sort(struct dot *, size_t count);
/* Are these the branch's bytes? */
bool branch_has_content(const struct branch *, const struct content *);
/* A strong LINK for the slot. since: NULL for the operation's own. */
must_check int row_place(struct tree *, struct row *, const struct info *,
			 uint64_t slot, struct place at, bool remember,
			 const struct stamp *since);
/* Drops all versions of a register (of a slot, for LINK) but CONTENT. */
void row_drop(struct row *, uint8_t reg, uint64_t slot);
must_check int row_add(struct row *, const struct version *);
/* TIMES, in place of all. */
must_check int row_set_times(struct tree *, struct row *,
			     struct timespec mtime, struct timespec btime);

/* A settlement lowers or raises the level of a rank by this. */
#define LEVEL_STEP 65536

/* ---- unlink.c */
/* Drops LINKs of the slot (all, when it is the last shown) and leaves a
 * TOMB. */
must_check int row_unlink_slot(struct tree *, struct row *,
			       const struct info *, uint64_t slot);
/* rm of an entry: a sibling, a main with siblings, or a name. */
must_check int entry_remove(struct tree *, const struct shown *);
/* A branch that goes: open handles of the sibling keep what they show. */
must_check int sibling_detach(struct tree *, struct objid,
			      const struct branch *);
/*
 * Who gives a file in conflict a name asks for what it shows: main once more,
 * so that it outlives a removal by who has not seen this.
 */
must_check int row_repeat_main(struct tree *, struct row *);

/* ---- replica.c */
/* The row is about to be read as this object says: what is open of what it
 * shows now goes on with that. */
must_check int row_becomes(struct tree *, struct row *,
			   const struct object *);
/* All events of an applied change were made: tells the observer so. */
void tell_applied(struct tree *);

/* ---- apply.c */
/* Reads META "applying". */
must_check int applying_load(struct tree *);
/* K has grown: is that what the rows are on their way to? In an operation. */
must_check int applying_check(struct tree *);

/* ---- pending.c */
/* Notes in the row and in PENDING whether all its content is here. */
must_check int pending_check(struct tree *, struct row *);
bool content_complete(struct tree *, const struct content *);
bool sibling_is_here(struct tree *, const struct row *,
		     const struct branch *);
/* ... and it is not what the main name shows until main is here. */
bool sibling_is_shown(struct tree *, const struct row *,
		      const struct info *, const struct branch *);
/* Somebody waits for these bytes. Returns how many hashes are missing. */
must_check int64_t pending_wait(struct tree *, const struct content *,
				uint64_t offset, uint64_t len);
/* The same of one chunk, which no row may name. True: it is not here. */
bool pending_wait_chunk(struct tree *, const struct hash *);
void pending_release(struct tree *);

/* ---- revive.c */
/* A CONTENT version gets a new dot: the old one becomes its newest ancestor.
 * The trail is allocated in the object. */
must_check int restamp_trail(struct object *, struct version *);
/* The same version under a new dot of this operation. */
void version_renew(struct tree *, struct version *);
must_check int revive_up(struct tree *, struct objid dir);
/* A weak LINK of this operation: the one of which the TOMB tells. Borrows
 * what the TOMB borrows. */
must_check int link_returned(struct tree *, const struct version *tomb,
			     struct version *ret);
must_check int revive_overridden(struct tree *);

/* ---- purge.c */
must_check int horizon_load(struct tree *);
/* What is open or has unsent writes, and the directories above. */
must_check int objects_in_use(struct tree *, struct idlist *ret);
/* Takes the row away with all that is kept for it; the horizon is the
 * caller's. */
must_check int row_purge(struct tree *, struct row *);

/* ---- returned.c */
/* A merge made `new` of a row: did a directory removed here come back? */
must_check int returned_note(struct tree *, const struct info *old,
			     const struct info *new);

/* ---- lost.c */
/* Is it, or was it, a directory at a place? */
bool dir_is_known(const struct object *);
/* Something in this directory is live: it is looked at later. */
must_check int lost_note(struct tree *, struct objid dir);

/* ---- events */
void event_inode(struct tree *, uint64_t ino);
void event_entry(struct tree *, struct objid dir, struct slice name);

#endif
