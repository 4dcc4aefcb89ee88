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

#endif
