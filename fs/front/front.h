/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The front end: serves the tree through FUSE (low-level API, multi-threaded
 * loop) and tells the kernel of changes from elsewhere.
 *
 * The daemon is the only mutator and invalidates explicitly, so the kernel
 * may cache names, attributes, pages, listings and links for a day: warm
 * stat, lookup and read never come here. Names that are pure view (siblings,
 * suffixed names) are never cached.
 *
 * One notifier thread makes all invalidations, with no lock held: libfuse
 * forbids them inside a request, and the kernel may wait for a request of
 * the same inode.
 */
#ifndef KINFS_FRONT_FRONT_H
#define KINFS_FRONT_FRONT_H

#include "fs/tree/acks.h"
#include "fs/tree/tree.h"

struct front;

/*
 * Waiting for acknowledgements of other nodes, below directories that ask
 * for them; the front end knows of no other node.
 */
struct front_acks {
	void *arg;
	/* Calls done(done_arg, result) once, from any thread, when all up to
	 * the operation number seq is acknowledged (0), or not (negative).
	 * gone(done_arg) says that nobody waits any more. Or returns a
	 * negative errno, and calls nothing. NULL: nothing is waited for. */
	int (*wait)(void *arg, const struct acks *, uint64_t seq,
		    void (*done)(void *, int), bool (*gone)(void *),
		    void *done_arg);
	/* Ends all waits; none is being answered on return. */
	void (*cancel)(void *arg);
};

struct handover;

struct front_options {
	struct tree *tree;		/* borrowed */
	const char *mountpoint;		/* absolute */
	const char *source;		/* mount source, "kinfs@<control path>" */
	bool allow_other;
	bool suid, dev;			/* root only: set-id bits, devices */
	bool no_resend;			/* as with a Linux before 6.9 */
	bool io_uring;			/* as of rings_check(); no handover */
	/* See awake.h. NULL: processors sleep as they like. */
	const char *awake_device;
	/* Told when everything up to an applied number is shown; from the
	 * notifier thread. */
	void (*shown)(void *arg, uint64_t lseq);
	void *shown_arg;
	struct front_acks acks;
	/*
	 * Another process holds the mount: its device, its memory
	 * (handover.h), and who unmounts. NULL: it is mounted here, and ends
	 * with this process. Borrowed, until front_close().
	 */
	struct handover *handover;
	int device;
	void (*unmount)(void *arg);
	void *unmount_arg;
};

/*
 * Mounts without serving; *ret_device (CLOEXEC) is for a front_options.device.
 * Errors as of front_open().
 */
must_check int front_mount(const struct front_options *, struct buf *why,
			   int *ret_device);

/*
 * Mounts. Errors: -ENODEV no /dev/fuse, -EPERM, -ENOTDIR, -EBUSY; `why`
 * receives a sentence that says what to do.
 */
must_check int front_open(const struct front_options *, struct buf *why,
			  struct front **ret);
/* Is it still mounted anywhere? (Else who unmounts by the name of the place
 * takes away what was below.) */
bool front_is_mounted(int device);
/* Serves until unmounted or front_exit(); blocks. */
must_check int front_run(struct front *);
/* Ends front_run() and unmounts; any thread. */
void front_exit(struct front *);
/* Ends front_run(), but not the mount: what is asked for from then on is for
 * the next process. Only with a handover. */
void front_leave(struct front *);
void front_close(struct front *);

/* Observer calls of the tree, to be passed on by whoever wires them. */
void front_note_inode(struct front *, uint64_t ino);
void front_note_entry(struct front *, uint64_t parent, struct slice name);
void front_note_applied(struct front *, uint64_t lseq);
void front_note_removed(struct front *, uint64_t ino);
/* Content came, or cannot come: reads that wait for it look again. */
void front_note_content(struct front *);

/* Users and groups by name, for tree_env: cached, thread safe. */
uint32_t idmap_uid(void *unused, struct slice user);
uint32_t idmap_gid(void *unused, struct slice group);
/* Names of numbers; a number without a name is "#N". ret_name has
 * PRINCIPAL_BYTES_MAX bytes. */
struct slice idmap_user(uint32_t uid, char *ret_name);
struct slice idmap_group(uint32_t gid, char *ret_name);
/* Is it a user or a group of this system, or a number that is nobody's? Else
 * idmap_uid() gives the owner of the mount. */
bool idmap_user_is_known(struct slice user);
bool idmap_group_is_known(struct slice group);
/* Who owns what belongs to a name unknown here. */
void idmap_set_default(uint32_t uid, uint32_t gid);

#endif
