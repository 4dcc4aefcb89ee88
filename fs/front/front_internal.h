/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the front end share. Requests are answered by libfuse's
 * worker threads; nothing here is locked but what says so, since all state
 * is in the tree.
 */
#ifndef KINFS_FRONT_FRONT_INTERNAL_H
#define KINFS_FRONT_FRONT_INTERNAL_H

#define FUSE_USE_VERSION 314

#include <fuse_lowlevel.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "fs/front/awake.h"
#include "fs/front/front.h"
#include "fs/front/handover.h"
#include "fs/front/notes.h"
#include "fs/front/ring.h"
#include "fs/front/rings.h"
#include "fs/front/teller.h"

/* How long the kernel may believe us: a day. It is told of all changes. */
#define CACHE_SECONDS 86400.0

/*
 * Directories whose listing the kernel may hold with a name in it that is
 * pure view. Guarded by its mutex. See dir.c.
 */
#define TAINTED_MAX 65536
struct tainted_dir;
struct tainted {
	pthread_mutex_t mutex;
	struct tainted_dir *dirs;
	bool all;		/* there were too many: every directory */
	/* All because of the process before this one, until the kernel was
	 * told to forget everything; dirs has those since. */
	bool taken;
};

/* Bytes of one write request: the most that Linux sends. */
#define WRITE_BYTES_MAX (1024 * 1024)

/* Requests answered at a time. Most wait for the store's one lock: more
 * threads would only wait. */
#define WORKERS_MAX 10

struct worker {
	struct front *front;
	unsigned int slot;		/* its place among the workers */
	pthread_t thread;
	struct source *source;		/* what it reads, or read last */
	void *memory;			/* for what the device asks */
	struct fuse_buf request;	/* in hand */
	_Atomic bool reading;
	_Atomic uint32_t steps;		/* odd while it answers */
};

/* Who reads somewhere, and how far it is. */
struct watched {
	struct worker *reader;
	uint32_t steps;
};

/* Where requests come from: the device, or a ring (rings.h). */
struct source {
	struct ring *ring;		/* NULL: the device */
	/* Who reads, or answers what it read; NULL: nobody. */
	_Atomic(struct worker *) reader;
	/* Who asked last, and for so many requests there were several. */
	_Atomic uint32_t last_pid, several;
	_Atomic uint32_t requests;	/* since the watcher looked */
	struct watched seen;		/* by the watcher */
};

/* See loop.c. Under the mutex, but what is atomic. */
struct loop {
	pthread_mutex_t mutex;
	pthread_cond_t wake;		/* of front_loop_run() */
	pthread_cond_t turn;		/* of workers that want to read */
	pthread_cond_t watch;		/* of the watcher */
	struct source *sources;
	size_t source_count;
	struct worker *workers;
	size_t max, count, spare;
	size_t gone;			/* that ended */
	_Atomic bool ended;		/* (also looked at without it) */
	int error;
	pthread_t watcher;
	_Atomic bool watching;		/* the watcher looks, now and then */
	struct awake awake;		/* the watcher's */
};

/* See waiting.c. All under the mutex. */
struct waiting_read;
struct waiting {
	pthread_mutex_t mutex;
	pthread_cond_t wake;
	struct waiting_read *first;
	size_t count;		/* of all that wait, also while looked at */
	bool looking;		/* some are not in the list now */
	bool poked, arrived, stopping;
	pthread_t thread;
	bool started;
};

struct front {
	struct tree *tree;
	struct fuse_session *session;
	char *mountpoint;
	void (*shown)(void *arg, uint64_t lseq);
	void *shown_arg;
	struct front_acks acks;

	/* Counts notes: a reply about a name that was prepared while it
	 * moved must not be cached. */
	_Atomic uint64_t note_count;
	/* The kernel can expire a name instead of dropping it. */
	_Atomic bool can_expire;

	/* The notifier: notify.c; who it talks through is its own. */
	pthread_t notifier;
	struct teller teller;
	bool notifier_started;
	pthread_mutex_t notify_mutex;
	pthread_cond_t notify_wake;
	struct notes notes;		/* under notify_mutex */
	_Atomic bool stopping;		/* set under notify_mutex */

	/* See handover.h; NULL: the mount ends with this process. */
	struct handover *handover;
	bool no_resend;
	/* INIT, not answered yet, and what it offers: raw.c. */
	uint64_t init_number;
	bool asked, may_kill, may_ring;
	struct rings *rings;	/* rings.h; or NULL */
	void (*unmount)(void *arg);
	void *unmount_arg;
	bool serves;	/* (who never did so does not end the mount) */
	/* The request in hand, while libfuse answers it: session_want(). */
	struct slice init;
	/* Others will serve: nothing is unmounted, and what was not answered
	 * stays so. */
	_Atomic bool leaving;

	struct loop loop;
	struct tainted tainted;
	struct waiting waiting;
	/* The inode whose pages the notifier is dropping, or 0. */
	_Atomic uint64_t dropping;
};

static inline struct front *front_of(fuse_req_t req)
{
	return fuse_req_userdata(req);
}

/* ---- readahead.c */
/* The kernel has the answer to its first request: only then it takes what is
 * said of that. */
void front_read_ahead(const struct front *);

/* ---- loop.c */
/* See front_options.awake_device. */
void front_loop_init(struct loop *, const char *awake_device);
void front_loop_release(struct loop *);
/* Answers requests until unmounted (0), front_loop_end() or an error. */
must_check int front_loop_run(struct front *);
/* The kernel asks by the rings, too, from now on. For a worker. */
void front_loop_add_rings(struct front *);
/* Makes front_loop_run() return `error` (0 or negative) soon; any thread. */
void front_loop_end(struct loop *, int error);

/* ---- raw.c: requests that libfuse does not know */
/* Answers the request, or makes it one that libfuse knows. True: it is
 * answered. */
bool front_raw(struct front *, const struct fuse_buf *request);
/* Its number: not in the headers of older kernels. */
#define OPCODE_TMPFILE 51
/* Answers a request without libfuse: an error (negative), or with what is
 * sent behind the header. Returns what the kernel said: -ENOENT interrupted,
 * -ENODEV unmounted, others of write(2), which are logged. */
int raw_reply(struct front *, uint64_t unique, int error, void *out,
	      size_t len);
/* A notification without a body, by its number. Errors: of write(2); -EINVAL
 * the kernel does not know it. */
must_check int raw_notify(struct front *, int code);
/* So that the kernel leaves set-id bits to us, and asks by the rings; once
 * the session has its device. Without it, it goes on taking them away itself,
 * and asking by the device. */
must_check int session_asks(struct front *);
/* Is who asks for this SETATTR one who may not keep them? */
bool request_kills_set_ids(void);
/* The name under which libfuse hands on an O_TMPFILE: none can be so. */
#define TMPFILE_NAME "/"

/* ---- again.c: requests, and what an earlier process made of them */
/* Begins a request: it may have been performed already, and is answered then
 * (true). */
bool request_begin(struct worker *);
void request_end(void);
/* What is asked of the kernel in answer to its first request: what it was
 * asked for then; else `want`, which is noted. */
uint32_t session_want(struct front *, uint32_t want);
/* The kernel's first request again, if there was one. */
must_check int session_replay(struct front *);
/* Has the kernel give us what the process before did not answer. */
void session_resend(struct front *);
/* Files that the processes before have open for the kernel. */
must_check int opens_take(struct front *);
/* tree_open_file() and tree_release_file(), and notes of that. */
must_check int opens_add(struct front *, fuse_ino_t, bool write);
void opens_note(struct front *, fuse_ino_t, bool write);
void opens_remove(struct front *, fuse_ino_t, bool write);
/* An inode that the kernel lets go: it comes when nothing uses it. */
void front_forget(fuse_req_t, fuse_ino_t, uint64_t count);
void front_forget_multi(fuse_req_t, size_t count, struct fuse_forget_data *);
/* Ends a request that nobody answers here. */
bool reply_left(struct front *, fuse_req_t);

/* ---- caller.c */
/* Has who made the request this capability (CAP_... of capabilities(7))? It
 * costs some reads of /proc. */
bool caller_can(fuse_req_t, unsigned int capability);
/* Is he of this group, or may he set its bit anyway? */
bool caller_keeps_group(fuse_req_t, gid_t);
/* The set-id bits that a file loses when he changes it. */
uint32_t caller_set_ids(fuse_req_t, const struct attr *);

/* ---- attr.c */
struct stat attr_to_stat(const struct attr *);
struct fuse_entry_param entry_to_param(const struct entry *, double seconds);
void front_getattr(fuse_req_t, fuse_ino_t, struct fuse_file_info *);
void front_setattr(fuse_req_t, fuse_ino_t, struct stat *, int to_set,
		   struct fuse_file_info *);
void front_statfs(fuse_req_t, fuse_ino_t);

/* ---- name.c: operations on names */
void front_lookup(fuse_req_t, fuse_ino_t parent, const char *name);
void front_create(fuse_req_t, fuse_ino_t parent, const char *name, mode_t,
		  struct fuse_file_info *);
void front_mknod(fuse_req_t, fuse_ino_t parent, const char *name, mode_t,
		 dev_t);
void front_mkdir(fuse_req_t, fuse_ino_t parent, const char *name, mode_t);
void front_symlink(fuse_req_t, const char *target, fuse_ino_t parent,
		   const char *name);
void front_link(fuse_req_t, fuse_ino_t, fuse_ino_t parent, const char *name);
void front_unlink(fuse_req_t, fuse_ino_t parent, const char *name);
void front_rmdir(fuse_req_t, fuse_ino_t parent, const char *name);
void front_rename(fuse_req_t, fuse_ino_t parent, const char *name,
		  fuse_ino_t new_parent, const char *new_name,
		  unsigned int flags);
void front_readlink(fuse_req_t, fuse_ino_t);

/* ---- xattr.c */
void front_setxattr(fuse_req_t, fuse_ino_t, const char *name,
		    const char *value, size_t size, int flags);
void front_getxattr(fuse_req_t, fuse_ino_t, const char *name, size_t room);
void front_listxattr(fuse_req_t, fuse_ino_t, size_t room);
void front_removexattr(fuse_req_t, fuse_ino_t, const char *name);

/* ---- acl.c: ACLs in the kernel's form */
/* The type that an attribute's name stands for; -1: none. */
int acl_type_of(const char *name);
must_check int front_getacl(struct tree *, fuse_ino_t, int type,
			    struct buf *ret);
must_check int front_setacl(fuse_req_t, fuse_ino_t, int type, struct slice);
must_check int front_removeacl(struct tree *, fuse_ino_t, int type);

/* ---- dir.c: listings */
void tainted_init(struct tainted *);
void tainted_release(struct tainted *);
/* The kernel may hold anything. / It holds nothing of before. */
void tainted_take_over(struct tainted *);
void tainted_told(struct tainted *);
void front_opendir(fuse_req_t, fuse_ino_t, struct fuse_file_info *);
void front_readdir(fuse_req_t, fuse_ino_t, size_t, off_t,
		   struct fuse_file_info *);
void front_readdirplus(fuse_req_t, fuse_ino_t, size_t, off_t,
		       struct fuse_file_info *);
void front_releasedir(fuse_req_t, fuse_ino_t, struct fuse_file_info *);

/* ---- file.c: open files */
void front_open_file(fuse_req_t, fuse_ino_t, struct fuse_file_info *);
void front_read(fuse_req_t, fuse_ino_t, size_t, off_t,
		struct fuse_file_info *);
void front_write(fuse_req_t, fuse_ino_t, const char *, size_t, off_t,
		 struct fuse_file_info *);
void front_release(fuse_req_t, fuse_ino_t, struct fuse_file_info *);
void front_fsync(fuse_req_t, fuse_ino_t, int datasync,
		 struct fuse_file_info *);

/* ---- range.c: holes and copies */
void front_fallocate(fuse_req_t, fuse_ino_t, int mode, off_t offset,
		     off_t length, struct fuse_file_info *);
void front_lseek(fuse_req_t, fuse_ino_t, off_t offset, int whence,
		 struct fuse_file_info *);
void front_copy_file_range(fuse_req_t, fuse_ino_t from, off_t from_offset,
			   struct fuse_file_info *, fuse_ino_t to,
			   off_t to_offset, struct fuse_file_info *,
			   size_t len, int flags);

/* ---- waiting.c: reads of what is not here yet */
void waiting_init(struct waiting *);
void waiting_release(struct waiting *);
/* Takes the request over, and answers it when the content came, or never
 * will. */
void waiting_add(struct front *, fuse_req_t, fuse_ino_t, size_t, off_t);
/* Does any read wait for bytes of this inode? */
bool waiting_has(struct front *, fuse_ino_t);
/* Answers all that wait (EIO), and takes no more. */
void waiting_stop(struct front *);

/* ---- notify.c */
/* Starts the thread. Errors: of pthread_create. */
must_check int notifier_start(struct front *);
/*
 * Asks the notifier to stop and, as its last act, to end the loop. Any
 * thread; does not wait.
 */
void notifier_ask_stop(struct front *);
/* Waits for its end, after a notifier_ask_stop(). */
void notifier_join(struct front *);
/* ---- notify_all.c */
/* Makes the kernel ask again about everything it knows. */
void notify_everything(struct front *);
/* Drops or expires one name, which has a NUL behind it (libfuse sends that
 * too); the kernel need not know it. */
void notify_name(struct front *, uint64_t parent, struct slice name);
void notify_inode(struct front *, uint64_t ino);

#endif
