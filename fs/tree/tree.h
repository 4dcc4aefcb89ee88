/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The replicated tree of one volume, as this node has it: objects with
 * dotted versions in the store, the view that people see of them, and the
 * operations on it. Every operation is one store operation, has one dot,
 * and writes at least one dotted version of each object that it changes.
 *
 * The front end (FUSE) uses this header; the replication core uses it and
 * replica.h. Neither the tree nor anything below it knows the time or draws
 * a random number by itself: both come from `struct tree_env`, so that one
 * seed reproduces a run.
 *
 * Inode numbers are local, persistent, never used twice, 1 is the root. A
 * number stands for what is *shown*: a file, a sibling of it, a (merged)
 * directory.
 *
 * Locking: functions marked [locked] want store_lock() held; all others
 * take it themselves and must be called without it. All are thread safe.
 */
#ifndef KINFS_TREE_TREE_H
#define KINFS_TREE_TREE_H

#include <sys/types.h>

#include "fs/tree/know.h"
#include "fs/tree/object.h"

struct tree;

/* Where time and chance come from. Called with the lock held or not. */
struct tree_env {
	void *arg;
	/* Wall clock, nanoseconds since 1970. */
	int64_t (*now_ns)(void *arg);
	/* Monotonic clock, nanoseconds. */
	uint64_t (*monotonic_ns)(void *arg);
	void (*random)(void *arg, void *ret, size_t len);
	/* Principals: names travel, numbers are local. NULL: always 0. */
	uint32_t (*uid_of)(void *arg, struct slice user);
	uint32_t (*gid_of)(void *arg, struct slice group);
};

/*
 * Who wants to hear of changes. All are called with the lock held: they may
 * only note what happened and wake a thread. Any may be NULL.
 */
struct tree_observer {
	void *arg;
	/* A local operation ended: there is something to send. */
	void (*changed)(void *arg);
	/* Something shown changed in a way the kernel did not ask for:
	 * attributes or bytes of an inode; */
	void (*inode)(void *arg, uint64_t ino);
	/* an entry (a name that appeared, went, or now is another inode); */
	void (*entry)(void *arg, uint64_t parent, struct slice name);
	/* all such calls for one applied cut were made; its number. */
	void (*applied)(void *arg, uint64_t lseq);
	/* Somebody waits for content that is not here (tree_read), or unsent
	 * writes do, or a version that was made of it does; */
	void (*wanted)(void *arg);
	/* some came, or there is nobody left to ask: try again. */
	void (*content)(void *arg);
	/* A program opened a file that has siblings. */
	void (*opened)(void *arg, struct objid file);
	/* The last name went here of what may be in use still, in ways that
	 * nobody tells of: it counts as open until tree_forgotten(). (Without
	 * this one it does not.) */
	void (*removed)(void *arg, uint64_t ino);
};

/* What the mending of META came to. */
struct tree_mended {
	bool incarnation;	/* this node goes on as a new one of its name */
	bool own_volume;	/* the store is a volume of its own now: what
				 * tells of the others was lost */
};

struct tree_options {
	struct store *store;		/* borrowed */
	const struct tree_env *env;	/* borrowed for the tree's life */
	/* For a volume that this call creates: */
	struct volid volume;
	struct slice user, group;	/* owner of the root directory */
	uint32_t root_perm;
	struct slice label;		/* of this node, 1..32 bytes */
	/* Of the volume that is joined (bucket.h); NULL: a new volume's, drawn
	 * here. */
	const uint8_t *secret;
	/* The store is a copy, or was restored from one: it goes on as a new
	 * incarnation. Of an existing volume only. */
	bool is_copy;
	/*
	 * It is opened to be repaired (mend.h), also where that was broken
	 * off. What META says of the tree itself comes first: `damaged` is
	 * called for each value that cannot be read, or is missing, and what
	 * was is mended, if `mended` is not NULL, by the volume's id (if it is
	 * not zero) and the label above, if these are what was lost. Else
	 * -EUCLEAN.
	 */
	bool mending;
	void (*damaged)(void *arg, const char *name);
	void *damaged_arg;
	struct tree_mended *mended;
	/* Files may be open from before (tree_open_again). Else what only an
	 * open handle kept is given up. */
	bool goes_on;
};

/* Why a node goes on under another origin than before. */
enum tree_cause {
	CAUSE_NONE = 0,
	CAUSE_COPY = 1,	  /* its store was restored, or copied; at open */
	CAUSE_LOST = 2,	  /* peers know changes that it has lost */
	CAUSE_TWIN = 3,	  /* another copy of its store is, or was, in use */
	CAUSE_BRANCH = 4, /* of two histories, its own got another name */
	CAUSE_MENDED = 5, /* what its store said of it was damaged */
};

struct tree_incarnation {
	enum tree_cause cause; /* of the last one */
	int64_t time;	       /* of that; s since 1970 */
	uint32_t count;	       /* so far */
};

/* Is there a volume in the store? [not locked] */
bool tree_exists(struct store *);
/*
 * Opens the volume, or creates it in an empty store. A node that joins a
 * volume creates it here too, with the volume's id: the root's registers
 * come with the first cut.
 * Errors: -EUCLEAN, of the store.
 */
must_check int tree_open(const struct tree_options *, struct tree **ret);
/*
 * A clean end, before tree_close(): the numbers that are reserved and not
 * used are given back. Without it (a crash) they are skipped.
 */
must_check int tree_stop(struct tree *);
void tree_close(struct tree *);
void tree_observe(struct tree *, const struct tree_observer *);
struct store *tree_store(struct tree *);
struct volid tree_volume(struct tree *);
/* CAUSE_NONE: it is the first one. Errors: of the store. */
must_check int tree_incarnation(struct tree *, struct tree_incarnation *ret);
/* This node's label. */
void tree_label(struct tree *, char ret[LABEL_BYTES_MAX + 1]);

/* ---- what programs see */
#define TREE_ROOT_INO 1

struct attr {
	uint64_t ino;
	uint32_t mode;		/* S_IFMT and 07777 */
	uint32_t nlink;
	uint32_t uid, gid;
	dev_t rdev;		/* of a device node */
	uint64_t size;
	uint64_t blocks;	/* of 512 bytes */
	struct timespec atime, mtime, ctime, btime;
};

struct entry {
	struct attr attr;
	/* The name is pure view (a sibling, a suffixed name): not to be
	 * cached by the kernel. */
	bool is_view;
};

/*
 * Errors of all below, besides those named: -ENOENT, -ENOTDIR, -EISDIR,
 * -ESTALE (the inode is gone), -ENAMETOOLONG, -EINVAL (a bad name),
 * -EIO, -EUCLEAN, -ENOSPC, -EROFS, -ENOMEM, as in the system calls.
 */
must_check int tree_lookup(struct tree *, uint64_t parent, struct slice name,
			   struct entry *ret);
must_check int tree_getattr(struct tree *, uint64_t ino, struct attr *ret);
/* The directory that holds `ino`, itself a directory; root: root. */
must_check int tree_parent(struct tree *, uint64_t ino, uint64_t *ret);

enum tree_set {
	TREE_SET_MODE = 1,
	TREE_SET_USER = 2,
	TREE_SET_GROUP = 4,
	TREE_SET_SIZE = 8,
	TREE_SET_MTIME = 16,
	TREE_SET_ATIME = 32,	/* here only: it is never replicated */
	TREE_SET_ACL = 64,	/* with MODE; else that keeps the ACL */
	/* User and group are names of numbers that a program was shown: a
	 * name unknown here is shown as the mount's owner, and who gives the
	 * file to that owner leaves it to whom it belongs. */
	TREE_SET_AS_SHOWN = 128,
};

struct tree_setattr {
	uint32_t set;		/* enum tree_set */
	uint32_t perm;		/* 07777 */
	struct slice acl;	/* acl.h; empty: none */
	struct slice user, group;
	uint64_t size;
	struct timespec mtime, atime;	/* ns UTIME_NOW: ctime's time */
};
/* Has anybody a handle on it that may write? */
bool tree_is_written(struct tree *, uint64_t ino);
/* Nothing set moves ctime. Errors: -EINVAL a time before 1901-12-13 20:45:52
 * or after 2446-05-10 22:38:55 UTC, as far as ext4's reach. */
must_check int tree_setattr(struct tree *, uint64_t ino,
			    const struct tree_setattr *, struct attr *ret);

/* What a new object is made of. */
struct tree_new {
	enum kind kind;
	uint32_t perm;
	/* tree_create(): taken from perm, unless the directory has a default
	 * ACL, which holds instead. */
	uint32_t umask;
	struct slice acl;	/* acl.h; tree_create(): as inherited */
	struct slice user, group;
	struct slice target;	/* symlinks */
	dev_t rdev;		/* device nodes */
};
/*
 * In a directory with the set-group-ID bit the group is the directory's, and
 * a directory gets the bit; default ACLs are inherited. Errors: -EEXIST.
 * With `open`, the inode is opened for writing too.
 */
must_check int tree_create(struct tree *, uint64_t parent, struct slice name,
			   const struct tree_new *, bool open,
			   struct entry *ret);
/*
 * A file without a name, open for writing (O_TMPFILE): it goes with its last
 * handle, and no byte of it is sent, unless tree_link() gives it a name.
 */
must_check int tree_create_nameless(struct tree *, uint64_t parent,
				    const struct tree_new *,
				    struct entry *ret);
must_check int tree_unlink(struct tree *, uint64_t parent, struct slice name);
/* Errors: -ENOTEMPTY, -EBUSY the root. */
must_check int tree_rmdir(struct tree *, uint64_t parent, struct slice name);

/*
 * One more name for a file or symlink. Errors: -EEXIST, -EMLINK, -EPERM it
 * is a directory or a sibling (which has no name of its own).
 */
must_check int tree_link(struct tree *, uint64_t ino, uint64_t parent,
			 struct slice name, struct entry *ret);

enum tree_rename_flags {
	TREE_RENAME_NOREPLACE = 1,
	TREE_RENAME_EXCHANGE = 2,	/* both must exist, of any kind */
};
/*
 * Between two names of one file it does nothing, as in POSIX. Errors:
 * -EEXIST, -ENOTEMPTY, -EINVAL into itself, or both flags; -ENOTSUP other
 * flags, or the exchange of a sibling, which has no name of its own.
 */
must_check int tree_rename(struct tree *, uint64_t parent, struct slice name,
			   uint64_t new_parent, struct slice new_name,
			   uint32_t flags);
/* The same, and in one with it something new is made at the old name (a
 * whiteout). Errors: -EINVAL with EXCHANGE; -ENOTSUP a sibling. */
must_check int tree_rename_leaving(struct tree *, uint64_t parent,
				   struct slice name, uint64_t new_parent,
				   struct slice new_name, uint32_t flags,
				   const struct tree_new *);
must_check int tree_readlink(struct tree *, uint64_t ino, struct buf *ret);

/*
 * Extended attributes, of names that begin with "user.", and, never
 * replicated, "security." or "trusted."; others are -ENOTSUP (ACLs: acl.h, by
 * functions of their own, but their names are listed). They are the file's:
 * at a sibling they are its file's too.
 * Errors: -ENODATA there is none of that name; -EEXIST with CREATE; -EPERM a
 * symlink; -E2BIG the value, -ENOSPC all of them are too large; -EINVAL the
 * name, or it begins with "user.kin.": kinfs knows no such setting, or not
 * of this form, or not of a file. user.kin.conflict is there on a file in
 * conflict and on its siblings, to be read only (-ENOTSUP): one line of JSON,
 * the object, what is shown (dot, author, time, hlc), and whether it is known
 * what the versions were made from.
 */
enum tree_xattr_flags { TREE_XATTR_CREATE = 1, TREE_XATTR_REPLACE = 2 };
must_check int tree_setxattr(struct tree *, uint64_t ino, struct slice name,
			     struct slice value, uint32_t flags);
must_check int tree_getxattr(struct tree *, uint64_t ino, struct slice name,
			     struct buf *ret);
/* The names, a NUL behind each: those that stay here, ACLs, and the others,
 * each kind in order. */
must_check int tree_listxattr(struct tree *, uint64_t ino, struct buf *ret);
must_check int tree_removexattr(struct tree *, uint64_t ino,
				struct slice name);

/*
 * Calls fn for each entry after `cookie` (0: from the start), in order of
 * cookie, until it returns non-zero (which is no error: the entry is not
 * consumed). fn runs with the lock held. "." and ".." are not among them.
 * An entry that nobody touches between two calls is given exactly once.
 */
struct tree_dirent {
	struct slice name;
	uint64_t ino;
	uint32_t type;		/* S_IFMT bits */
	uint64_t cookie;	/* 1..2^63-1, stable */
	bool is_view;
};
must_check int tree_readdir(struct tree *, uint64_t dir, uint64_t cookie,
			    int (*fn)(void *arg, const struct tree_dirent *),
			    void *arg);
/* As tree_readdir, for the entry just given. [locked, inside fn] */
must_check int tree_entry_locked(struct tree *, const struct tree_dirent *,
				 struct entry *ret);
/* Does the directory show any name that is pure view? */
bool tree_has_view_names(struct tree *, uint64_t dir);

/*
 * ---- requests
 * A front end that can be replaced says before a call which request of a
 * program it is for; what that came to is then kept with what it did, in the
 * slot (a worker's own: its next request says that this one was answered).
 */
struct tree_request {
	uint64_t mount, number;	/* number 0: none */
	unsigned int slot;	/* below STORE_ANSWERS */
};
/* For what this thread calls from now on. NULL: no request. */
void tree_request(const struct tree_request *);
/* Was the request performed? 1: then *ret_result is the inode number that it
 * gave out, or what the operation says; 0: not that is known of. */
must_check int tree_performed(struct tree *, uint64_t mount, uint64_t number,
			      uint64_t *ret_result);

/* ---- file data */
must_check int tree_open_file(struct tree *, uint64_t ino, bool write);
/* A handle that an earlier process gave out; fails for nobody. */
must_check int tree_open_again(struct tree *, uint64_t ino, bool write);
/* The kernel knows the number no more. True: it was told by
 * tree_observer.removed, and is let go. */
bool tree_forgotten(struct tree *, uint64_t ino);
/* Balances tree_open_file. The last writer's release makes the version. */
void tree_release_file(struct tree *, uint64_t ino, bool write);
/*
 * Bytes read, fewer only at the end. Errors: -EIO damaged; -EAGAIN not here
 * yet: it is asked for before all else now, see tree_observer.content.
 */
must_check int64_t tree_read(struct tree *, uint64_t ino, uint64_t offset,
			     void *ret, size_t len);
/* A program read some of it, or of the directory: its access time may
 * change. */
void tree_accessed(struct tree *, uint64_t ino);
/* May content that is not here come at all? */
bool tree_is_reachable(struct tree *);
/* Somebody gave up waiting: for status. */
void tree_read_failed(struct tree *);
/* Writes all, at the end if append. Errors: -EFBIG, -ENOSPC. */
must_check int tree_write(struct tree *, uint64_t ino, uint64_t offset,
			  struct slice bytes, bool append);
/*
 * Room and holes: fallocate(2). Nothing set asks for room, which makes
 * the file longer, or moves its times only. Errors: -EINVAL no length,
 * -EFBIG, -ENODEV it is no regular file, -EOPNOTSUPP PUNCH without KEEP_SIZE
 * or with ZERO.
 */
struct tree_range {
	uint64_t offset, len;
};
enum tree_range_flags {
	TREE_RANGE_KEEP_SIZE = 1,
	TREE_RANGE_PUNCH = 2,
	TREE_RANGE_ZERO = 4,
};
must_check int tree_allocate(struct tree *, uint64_t ino,
			     const struct tree_range *, uint32_t flags);
/*
 * SEEK_HOLE and SEEK_DATA of lseek(2). A hole is a block of 4 KiB of zeros,
 * however they came there; what is not here, or would be much to read, is
 * data. Errors: -ENXIO.
 */
must_check int tree_seek(struct tree *, uint64_t ino, uint64_t offset,
			 bool hole, uint64_t *ret);
/*
 * copy_file_range(2): no byte is read or stored again. Gives the number of
 * bytes copied, which may be fewer than asked for, and 0 at the end.
 * Errors: -EINVAL within one file and overlapping, -EFBIG; -EXDEV what is
 * to be copied is not here: to be done by reading.
 */
struct tree_copy {
	uint64_t from, from_offset, to, to_offset, len;
};
must_check int tree_copy(struct tree *, const struct tree_copy *,
			 uint64_t *ret);
/* Makes everything written so far durable (fsync, of file or directory). */
must_check int tree_sync(struct tree *);

/*
 * Content cuts by time: makes versions of files whose unsent writes are due
 * (5 s after the last write while open, 1 s after the first append, every
 * 10 min when never idle). Returns when to call again: monotonic ns, or
 * UINT64_MAX. To be called by a housekeeping thread; tree_cut_wake is its
 * alarm clock: called [locked] when an earlier time becomes due.
 */
uint64_t tree_cut_due(struct tree *);
void tree_on_cut_wake(struct tree *, void (*fn)(void *arg), void *arg);
/*
 * Cuts every file with unsent writes and none in the last idle_ms. Returns
 * the number of files left, which were written too recently.
 */
must_check int tree_cut_settled(struct tree *, uint64_t idle_ms);
/* Does some thread make a version of a file just now? */
bool tree_is_cutting(struct tree *);

struct tree_statfs {
	uint64_t objects;	/* rows, dead ones included */
};
void tree_statfs(struct tree *, struct tree_statfs *ret);

/* ---- conflicts */
enum conflict_kind { CONFLICT_CONTENT, CONFLICT_NAME, CONFLICT_PLACE };

struct conflict_version {
	struct slice path;	/* relative to the root, as shown now */
	struct slice label;	/* author */
	struct dot dot;		/* what names the version; its node */
	struct timespec time;
	uint64_t size;
	bool main;
	bool automatic;		/* made by a policy or a hook */
};

struct conflict {
	struct slice path;	/* of main, or where main was */
	enum conflict_kind kind;
	/* All versions are regular files: their bytes may be merged. */
	bool files;
	/* CONTENT: what they were made from is known here. */
	bool base_known;
	/* ... and main was removed, while a sibling was there or was made. */
	bool main_removed;
	struct objid id;	/* CONTENT, PLACE: of the file */
	const struct conflict_version *versions;
	size_t count;
	/* Names its kind, its versions and where each stands. */
	struct hash token;
};
/*
 * Lists conflicts at or below ino (a directory, a file or a sibling), in
 * order of path. fn runs without the lock; its argument is good until it
 * returns. Stops at and returns the first non-zero of fn. Each is of one
 * instant; where they are thousands, not all of the same.
 */
must_check int tree_conflicts(struct tree *, uint64_t ino,
			      int (*fn)(void *arg, const struct conflict *),
			      void *arg);
/* Objects or names in conflict, for status: cheap. */
uint64_t tree_conflict_count(struct tree *);
/*
 * Settles a content or name conflict of the file shown at (parent, name),
 * main or sibling, in favour of `take`: "main", the name of a sibling, or a
 * label. Errors: -ENOENT no such version, -EEXIST several versions have
 * that label, -ENODATA not in conflict.
 */
must_check int tree_resolve(struct tree *, uint64_t parent, struct slice name,
			    struct slice take);
/*
 * The same for who has looked: only if what would be settled has this token;
 * compared in the same operation. Errors: -ESTALE it has not; -EBUSY one of
 * several files of one name has unsent writes.
 */
must_check int tree_resolve_seen(struct tree *, uint64_t parent,
				 struct slice name, struct slice take,
				 const struct hash *token);
/*
 * Notes for the kernel what operations that it did not ask for have changed,
 * under a number that the observer's applied() gets; returns it.
 */
uint64_t tree_tell_shown(struct tree *);
/* Path of an inode, relative to the root, without a leading '/'. */
must_check int tree_path(struct tree *, uint64_t ino, struct buf *ret);
/* Inode at a path relative to the root ("" is the root). */
must_check int tree_resolve_path(struct tree *, struct slice path,
				 uint64_t *ret_ino);

#endif
