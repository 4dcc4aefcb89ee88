/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fsync below a directory with a policy of acknowledgements (fs/tree/acks.h):
 * the caller's thread leaves the wait here and goes its way; the network
 * thread looks at all waits after every turn of the loop, since only its
 * events bring acknowledgements.
 *
 * One lock guards the list; whoever takes a wait out of it under the lock
 * answers it, still under the lock. So after agent_acks_cancel() nobody is
 * being answered.
 */
#include <errno.h>
#include <stdlib.h>

#include "fs/base/log.h"
#include "replication/net/agent_internal.h"
#include "replication/net/sys.h"

/* Waits at once: a program that syncs many files from many threads. */
#define ACKS_WAITS_MAX 1024
/* Whoever gave up waiting is noticed after so long at most. */
#define ACKS_LOOK_MS 200

struct acks_wait {
	struct acks acks;
	uint64_t seq;
	uint64_t deadline_ms;
	struct agent_acks_done done;
	LIST_ENTRY(acks_wait) entry;
};

void acks_init(struct agent *a)
{
	pthread_mutex_init(&a->acks.mutex, NULL);
	LIST_INIT(&a->acks.waits);
}

void acks_release(struct agent *a)
{
	agent_acks_cancel(a);
	pthread_mutex_destroy(&a->acks.mutex);
}

/* [a->acks.mutex] */
static void wait_end(struct agent *a, struct acks_wait *w, int r)
{
	LIST_REMOVE(w, entry);
	a->acks.count--;
	w->done.fn(w->done.arg, r);
	free(w);
}

int agent_acks_wait(struct agent *a, const struct acks *acks, uint64_t seq,
		    struct agent_acks_done done)
{
	struct acks_wait *w = malloc(sizeof(*w));
	int r = 0;

	if (!w)
		return -ENOMEM;
	*w = (struct acks_wait){
		.acks = *acks,
		.seq = seq,
		.deadline_ms = sys_now_ms() + acks->timeout_ms,
		.done = done,
	};
	pthread_mutex_lock(&a->acks.mutex);
	if (a->acks.count == ACKS_WAITS_MAX || a->acks.closed) {
		r = a->acks.closed ? -ECANCELED : -EAGAIN;
	} else {
		LIST_INSERT_HEAD(&a->acks.waits, w, entry);
		a->acks.count++;
		a->acks.fresh = true;
	}
	pthread_mutex_unlock(&a->acks.mutex);
	if (r)
		free(w);
	else
		loop_wake(&a->loop);
	return r;
}

void agent_acks_cancel(struct agent *a)
{
	pthread_mutex_lock(&a->acks.mutex);
	a->acks.closed = true;
	while (!LIST_EMPTY(&a->acks.waits))
		wait_end(a, LIST_FIRST(&a->acks.waits), -ECANCELED);
	pthread_mutex_unlock(&a->acks.mutex);
}

static void wait_late(struct agent *a, struct acks_wait *w)
{
	a->acks.late++;
	if (ratelimit_allow(&a->log_limit, "fsync", sys_now_ms()))
		log_warn("an fsync was not acknowledged by other nodes in "
			 "%llu s; it is durable here",
			 (unsigned long long)w->acks.timeout_ms / 1000);
	wait_end(a, w, -ETIMEDOUT);
}

uint64_t acks_poll(struct agent *a, uint64_t now_ms)
{
	uint64_t next_ms = LOOP_NEVER;
	struct acks_wait *w, *next;
	bool hurry;

	pthread_mutex_lock(&a->acks.mutex);
	hurry = a->acks.fresh;
	a->acks.fresh = false;
	pthread_mutex_unlock(&a->acks.mutex);
	if (hurry) {
		core_hurry(a->core, now_ms);
		next_ms = min_u64(next_ms, core_tick(a->core, now_ms));
	}
	pthread_mutex_lock(&a->acks.mutex);
	for (w = LIST_FIRST(&a->acks.waits); w; w = next) {
		next = LIST_NEXT(w, entry);
		if (core_acked(a->core, w->seq, &w->acks))
			wait_end(a, w, 0);
		else if (w->done.gone && w->done.gone(w->done.arg))
			wait_end(a, w, -EINTR);
		else if (now_ms >= w->deadline_ms)
			wait_late(a, w);
		else
			next_ms = MIN_OF(next_ms,
					 MIN_OF(w->deadline_ms,
						now_ms + ACKS_LOOK_MS));
	}
	pthread_mutex_unlock(&a->acks.mutex);
	return next_ms;
}

uint64_t acks_late(struct agent *a)
{
	uint64_t late;

	pthread_mutex_lock(&a->acks.mutex);
	late = a->acks.late;
	pthread_mutex_unlock(&a->acks.mutex);
	return late;
}
