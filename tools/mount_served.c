/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A mount whose daemon died says so at once (ENOTCONN). One whose daemon is
 * being replaced says nothing until the next serves it, which may be never:
 * so a thread asks, which ends with the process if it must. The control socket
 * is there before the mount is served (node.c).
 */
#include "tools/mount_served.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <time.h>

#include "fs/base/thread.h"
#include "tools/control_client.h"

/* A daemon that takes over may have a log to replay. */
#define SERVED_TIMEOUT_S 20

struct asking {
	pthread_mutex_t mutex;
	pthread_cond_t answered;
	bool done, served;
	bool alone;		/* nobody waits: the thread frees it */
	char mountpoint[];
};

static void *ask_main(void *arg)
{
	struct asking *a = arg;
	struct statvfs st;
	bool served = statvfs(a->mountpoint, &st) == 0, alone;

	pthread_mutex_lock(&a->mutex);
	a->done = true;
	a->served = served;
	alone = a->alone;
	pthread_cond_signal(&a->answered);
	pthread_mutex_unlock(&a->mutex);
	if (alone)
		free(a);
	return NULL;
}

static bool mount_is_served(const char *mountpoint)
{
	struct asking *a = calloc(1, sizeof(*a) + strlen(mountpoint) + 1);
	struct timespec end;
	pthread_t thread;
	bool served, done;

	if (!a)
		return false;
	strcpy(a->mountpoint, mountpoint);
	pthread_mutex_init(&a->mutex, NULL);
	cond_init_monotonic(&a->answered);
	clock_gettime(CLOCK_MONOTONIC, &end);
	end.tv_sec += SERVED_TIMEOUT_S;
	if (thread_start(&thread, ask_main, a)) {
		free(a);
		return false;
	}
	pthread_detach(thread);
	pthread_mutex_lock(&a->mutex);
	while (!a->done && pthread_cond_timedwait(&a->answered, &a->mutex,
						  &end) == 0)
		;
	served = a->served;
	done = a->done;
	a->alone = !done;
	pthread_mutex_unlock(&a->mutex);
	if (done)
		free(a);
	return served;
}

int mount_connect(const char *mountpoint, const char *socket_path,
		  double timeout_s, int *ret_fd, pid_t *ret_pid)
{
	int r = control_connect(socket_path, timeout_s, ret_fd, ret_pid);

	if ((r == -ECONNREFUSED || r == -ENOENT) &&
	    mount_is_served(mountpoint))
		r = control_connect(socket_path, timeout_s, ret_fd, ret_pid);
	return r;
}
