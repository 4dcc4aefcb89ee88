/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KINFS_TOOLS_MOUNT_REMOVE_H
#define KINFS_TOOLS_MOUNT_REMOVE_H

#include <stdbool.h>

#include "fs/base/macro.h"

/*
 * Takes a mount away: by the system call as root, else by fusermount3.
 * Lazily: whatever holds it. Errors: -EBUSY in use, -ENOENT there is no
 * fusermount3, others of umount2(2).
 */
must_check int mount_remove(const char *mountpoint, bool lazily);
/*
 * Takes it away lazily if what is seen there is the mount of that source;
 * what somebody else mounted over it, or in its place, stays. Errors are
 * logged.
 */
void mount_remove_ours(const char *mountpoint, const char *source);

#endif
