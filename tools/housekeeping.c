/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sleeps until the tree says that something is due, and no longer than
 * HOUSEKEEPING_NS: peers can make the log grow while nobody writes.
 */
#include "tools/housekeeping.h"

#include <errno.h>
#include <time.h>

#include "fs/base/thread.h"
#include "tools/daemonize.h"

#define HOUSEKEEPING_NS (600ull * 1000000000ull)

/* The tree's alarm clock; the store is locked. */
static void housekeeping_wake(void *arg)
{
	struct housekeeping *h = arg;

	pthread_mutex_lock(&h->lock);
	h->due_earlier = true;
	pthread_cond_signal(&h->wake);
	pthread_mutex_unlock(&h->lock);
}

static void *housekeeping_run(void *arg)
{
	struct housekeeping *h = arg;

	pthread_mutex_lock(&h->lock);
	while (!h->stop) {
		uint64_t due, limit;
		struct timespec until;

		h->due_earlier = false;
		pthread_mutex_unlock(&h->lock);
		due = tree_cut_due(h->tree);
		daemon_log_trim(h->store_path);
		limit = h->env->monotonic_ns(h->env->arg) + HOUSEKEEPING_NS;
		due = MIN_OF(due, limit);
		until.tv_sec = (time_t)(due / 1000000000);
		until.tv_nsec = (long)(due % 1000000000);
		pthread_mutex_lock(&h->lock);
		while (!h->stop && !h->due_earlier &&
		       pthread_cond_timedwait(&h->wake, &h->lock, &until) !=
			       ETIMEDOUT)
			;
	}
	pthread_mutex_unlock(&h->lock);
	return NULL;
}

int housekeeping_start(struct housekeeping *h, struct tree *tree,
		       const char *store_path, const struct tree_env *env)
{
	int r;

	*h = (struct housekeeping){ .tree = tree, .store_path = store_path,
				    .env = env };
	pthread_mutex_init(&h->lock, NULL);
	cond_init_monotonic(&h->wake);
	tree_on_cut_wake(tree, housekeeping_wake, h);
	r = pthread_create(&h->thread, NULL, housekeeping_run, h);
	h->started = r == 0;
	if (r)
		tree_on_cut_wake(tree, NULL, NULL);
	return -r;
}

void housekeeping_stop(struct housekeeping *h)
{
	if (!h->started)
		return;
	tree_on_cut_wake(h->tree, NULL, NULL);
	pthread_mutex_lock(&h->lock);
	h->stop = true;
	pthread_cond_signal(&h->wake);
	pthread_mutex_unlock(&h->lock);
	pthread_join(h->thread, NULL);
	pthread_cond_destroy(&h->wake);
	pthread_mutex_destroy(&h->lock);
	h->started = false;
}
