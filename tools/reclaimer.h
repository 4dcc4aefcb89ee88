/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The thread that gives back space (fs/store/reclaim.h) when that is due;
 * and who makes room when somebody waits for it on a full disk
 * (fs/store/headroom.h): old history goes, the oldest first, until there is
 * room or no history.
 */
#ifndef KINFS_TOOLS_RECLAIMER_H
#define KINFS_TOOLS_RECLAIMER_H

#include <pthread.h>

#include "fs/store/reclaim.h"
#include "fs/tree/tree.h"

struct reclaimer {
	pthread_t thread;
	bool started;
	struct store *store;
	struct tree *tree;
	pthread_mutex_t lock;	/* taken after the store's, guards: */
	pthread_cond_t wake;	/* on CLOCK_MONOTONIC */
	bool due, wanted, stop;
};

/* Store and tree are borrowed until the stop. Errors: of the system. */
must_check int reclaimer_start(struct reclaimer *, struct store *,
			       struct tree *);
/* Ends a round in the middle. Does nothing if it was not started. */
void reclaimer_stop(struct reclaimer *);

#endif
