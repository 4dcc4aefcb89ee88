/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/mount_served.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <time.h>

#include "tools/control_client.h"
#include "tools/supervisor.h"

/* A daemon that takes over may have a log to replay. */
#define SERVED_TIMEOUT_MS 20000
#define LOOK_MS 50

static bool is_supervised(const char *socket_path)
{
	autofree char *path = NULL;
	autoclose int fd = -1;

	if (asprintf(&path, "%s" SUPERVISOR_LOCK, socket_path) < 0) {
		path = NULL;
		return false;
	}
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	return fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) < 0 &&
	       errno == EWOULDBLOCK;
}

int mount_connect(const char *socket_path, double timeout_s, int *ret_fd,
		  pid_t *ret_pid)
{
	struct timespec pause = { .tv_nsec = LOOK_MS * 1000000L };

	for (int ms = 0;; ms += LOOK_MS) {
		int r = control_connect(socket_path, timeout_s, ret_fd,
					ret_pid);

		if ((r != -ECONNREFUSED && r != -ENOENT) ||
		    !is_supervised(socket_path))
			return r;
		if (ms >= SERVED_TIMEOUT_MS)
			return -EAGAIN;
		nanosleep(&pause, NULL);
	}
}
