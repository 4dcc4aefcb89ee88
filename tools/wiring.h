/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The calls between tree, front end and agent, which do not know of each
 * other. A lock guards the pointers while one side is opened or closed and
 * the other runs already; what is noted before there is an agent is given
 * to it when there is one.
 */
#ifndef KINFS_TOOLS_WIRING_H
#define KINFS_TOOLS_WIRING_H

#include <pthread.h>

#include "fs/front/front.h"
#include "replication/net/agent.h"

struct wiring {
	pthread_mutex_t lock;	/* taken after the store's, guards: */
	struct front *front;
	struct agent *agent;
	bool changed_early;	/* before there was an agent */
	uint64_t shown_early;
	/* Held while the front is told to end, which may take a while, and
	 * then guards a pointer of its own. Not with the lock above. */
	pthread_mutex_t exit_lock;
	struct front *exit_front;
	bool leaves;
};

void wiring_init(struct wiring *);
void wiring_release(struct wiring *);
/* NULL takes it out; no call to it is made or under way on return. */
void wiring_set_agent(struct wiring *, struct agent *);
void wiring_set_front(struct wiring *, struct front *);

/* To be given to the tree, the front end (shown) and the agent (stop). */
struct tree_observer wiring_observer(struct wiring *);
void wiring_shown(void *wiring, uint64_t lseq);
struct front_acks wiring_acks(struct wiring *);
/* Any thread. */
void wiring_stop(void *wiring);
/* The same, but the mount goes on with another daemon. */
void wiring_leave(void *wiring);
bool wiring_leaves(struct wiring *);

#endif
