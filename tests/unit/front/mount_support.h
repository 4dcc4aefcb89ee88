/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A mounted volume for tests: a store and a mountpoint in a directory of
 * their own in memory, served by threads of the test program itself.
 */
#ifndef KINFS_TESTS_FRONT_MOUNT_SUPPORT_H
#define KINFS_TESTS_FRONT_MOUNT_SUPPORT_H

#include <pthread.h>

#include "fs/front/front.h"

#define MOUNT_PATH_MAX 512

struct mount {
	char dir[64];			/* holds store/ and mnt/ */
	char mountpoint[128];
	char awake[128];		/* a file for awake.h */
	struct store *store;
	struct tree *tree;
	struct front *front;
	pthread_t thread;		/* in front_run() */
	int run_result;
	pthread_mutex_t mutex;
	pthread_cond_t shown_wake;
	uint64_t shown;			/* under mutex */
	bool hold;			/* under mutex: see mount_hold() */
};

/* Can this machine mount at all? Says why not. */
bool mount_possible(void);
/* cmocka group set-up and tear-down; *state is the struct mount. */
int mount_setup(void **state);
int mount_teardown(void **state);
/* Ends the mount and the store, and starts both again. */
void mount_restart(struct mount *);
/* Waits until somebody else has unmounted it, and mounts it again. */
void mount_restart_after_end(struct mount *);
/* Path below the mountpoint; static, the last 16 stay good. */
const char *mount_path(struct mount *, const char *fmt, ...)
	printf_like(2, 3);
/* Notes an applied number and waits until all before it is shown. */
void mount_wait_shown(struct mount *);

/* Keeps the notifier from its work, or lets it go on. */
void mount_hold(struct mount *, bool hold);

/* Whole files, by system calls; they fail the test on any error. */
void file_write(const char *path, const char *text);
void file_assert(const char *path, const char *text);

#endif
