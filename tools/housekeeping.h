/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The thread that makes versions of written files when they are due, and
 * keeps the log file short.
 */
#ifndef KINFS_TOOLS_HOUSEKEEPING_H
#define KINFS_TOOLS_HOUSEKEEPING_H

#include <pthread.h>

#include "fs/tree/tree.h"

struct housekeeping {
	pthread_t thread;
	bool started;
	struct tree *tree;
	const struct tree_env *env;
	const char *store_path;
	pthread_mutex_t lock;	/* taken after the store's, guards: */
	pthread_cond_t wake;	/* on CLOCK_MONOTONIC */
	bool due_earlier, stop;
};

/* What is passed is borrowed until the stop. */
must_check int housekeeping_start(struct housekeeping *, struct tree *,
				  const char *store_path,
				  const struct tree_env *);
/* Does nothing if it was not started. */
void housekeeping_stop(struct housekeeping *);

#endif
