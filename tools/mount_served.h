/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KINFS_TOOLS_MOUNT_SERVED_H
#define KINFS_TOOLS_MOUNT_SERVED_H

#include <sys/types.h>

#include "fs/base/macro.h"

/*
 * control_connect(), which waits while nobody listens but a supervisor lives:
 * its daemon is being replaced. Errors as of that; -EAGAIN: no daemon came in
 * time, though one is to come. -ECONNREFUSED and -ENOENT: none will.
 */
must_check int mount_connect(const char *socket_path, double timeout_s,
			     int *ret_fd, pid_t *ret_pid);

#endif
