/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The room of one run of a hook: a private directory (mode 0700, owned by
 * the user that the hook runs as) with
 *
 *	variants/	every version as a file, `1-LABEL`, `2-LABEL`, ... in
 *			the order in which they are added
 *	base		the common ancestor, if it is known
 *	home/		empty: the working directory, and $HOME
 *	output		what the hook makes, if it makes something
 *
 * All of it are copies and the hook's own: it may change and remove what it
 * likes there.
 *
 * Rooms stand in one directory that belongs to the daemon alone (the `tmp`
 * of a store), named "hook-" and 16 hexadecimal digits. One that a daemon
 * left that was killed is removed by the next one.
 *
 * A room belongs to one thread at a time. Making files in it, and removing
 * it, may take as long as a disk takes.
 */
#ifndef KINFS_NET_HOOK_ROOM_H
#define KINFS_NET_HOOK_ROOM_H

#include <stdbool.h>
#include <sys/types.h>

#include "fs/base/bytes.h"
#include "fs/base/limits.h"
#include "fs/base/macro.h"

/* Variants of one conflict: what a version may name as replaced. */
#define HOOK_VARIANTS_MAX LEAVES_MAX

/* Bytes of one copy in a room: of no more can a hook make a result. */
#define HOOK_COPY_BYTES_MAX (UINT64_C(1) << 30)

struct hook_room {
	int parent, fd, variants_fd;
	char *path;		/* absolute */
	const char *name;	/* the end of path */
	uid_t uid;
	gid_t gid;
	unsigned int variants;
	bool has_base;
};

#define HOOK_ROOM_INIT \
	((struct hook_room){ .parent = -1, .fd = -1, .variants_fd = -1 })

/*
 * Makes a room in the directory, which is made (mode 0711) if it is missing.
 * Only root can make one for another user. Errors: -EPERM the directory is
 * not ours alone, of the system.
 */
must_check int hook_room_make(const char *parent, uid_t uid, gid_t gid,
			      struct hook_room *ret);
/*
 * A new file for the next variant, to be written, closed, and before that
 * given its time (futimens(2)) by the caller. A label may have any bytes
 * that a file's name may have. Errors: -EINVAL the label cannot be part of
 * a name, -E2BIG too many, of the system.
 */
must_check int hook_room_variant(struct hook_room *, struct slice label,
				 int *ret_fd);
/* The same for the ancestor. Errors: -EEXIST, of the system. */
must_check int hook_room_base(struct hook_room *, int *ret_fd);
/*
 * May copies of so many bytes be made in it? Not if the disk had little left
 * then: a store that stands there too would take no write. Errors: -ENOSPC,
 * of the system.
 */
must_check int hook_room_has_space(const struct hook_room *, uint64_t bytes);
/*
 * Opens what the hook made, when all its processes are gone: a regular file
 * (not through a link) of the hook's user and of size_max bytes at most.
 * `why` receives what is wrong, as part of a sentence. Errors: -ENOENT there
 * is none, -EINVAL it is no regular file, -EPERM it is somebody else's,
 * -EFBIG, of the system.
 */
must_check int hook_room_output(const struct hook_room *, uint64_t size_max,
				struct buf *why, int *ret_fd,
				uint64_t *ret_size);
/* Removes it with all that is in it; what cannot be removed is logged. */
void hook_room_remove(struct hook_room *);

/*
 * Removes the rooms that a daemon that was killed left. To be called before
 * the first room is made, by the only daemon of the directory. No directory
 * is none to clean. Errors: as hook_room_make(), -ENOTEMPTY something cannot
 * be removed.
 */
must_check int hook_rooms_sweep(const char *parent);

#endif
