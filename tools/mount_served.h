/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KINFS_TOOLS_MOUNT_SERVED_H
#define KINFS_TOOLS_MOUNT_SERVED_H

#include <sys/types.h>

#include "fs/base/macro.h"

/*
 * control_connect() to the daemon of a mount. Nobody listens for a moment
 * while a daemon is replaced, but the mount waits for the next one: so does
 * this. Errors as control_connect(); -ECONNREFUSED and -ENOENT: the mount is
 * dead, or nobody came in time.
 */
must_check int mount_connect(const char *mountpoint, const char *socket_path,
			     double timeout_s, int *ret_fd, pid_t *ret_pid);

#endif
