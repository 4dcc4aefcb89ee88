/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is mounted where, from /proc/self/mountinfo, and paths looked at
 * without touching a kinfs mount: one whose daemon died answers ENOTCONN,
 * one whose daemon is stopped does not answer at all.
 *
 * The source of a kinfs mount is "kinfs@" and the absolute path of its
 * control socket, bytes other than [A-Za-z0-9/._-] written %HH: so nothing
 * in it means anything to mount options or to mountinfo. (A source with a
 * colon is a remote one for df -l, and for du.)
 */
#ifndef KINFS_TOOLS_MOUNTS_H
#define KINFS_TOOLS_MOUNTS_H

#include <stdbool.h>

#include "fs/base/bytes.h"
#include "fs/base/macro.h"

struct mount_entry {
	char *root;	/* what of the file system is mounted, "/" for all */
	char *at;	/* the mountpoint */
	char *type;
	char *source;
};

struct mounts {
	struct mount_entry *entries;
	size_t count;
};

/* Errors: -ENOMEM, of the system. */
must_check int mounts_load(struct mounts *);
void mounts_release(struct mounts *);
/* The mount that an absolute, resolved path lies in; never NULL but in an
 * odd chroot. */
const struct mount_entry *mounts_find(const struct mounts *, const char *path);
bool mount_is_kinfs(const struct mount_entry *);

/* Source of a mount by its socket, and back. NULL: no memory, or not ours. */
char *mount_source_of(const char *socket_path);
char *mount_socket_of(const struct mount_entry *);

/*
 * The absolute path without ".", ".." and symlinks, as realpath(3), but
 * inside a kinfs mount only the text is looked at, links there are not
 * followed. What does not exist is no error.
 * Errors: -ELOOP, -ENAMETOOLONG, of the system.
 */
must_check int path_resolve(const struct mounts *, const char *path,
			    char **ret);
/* What follows the prefix in the path, without a slash before it: "" when
 * they are equal. NULL when it is no prefix. */
const char *path_below(const char *path, const char *prefix);

#endif
