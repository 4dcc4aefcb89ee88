/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One worker for all askers, with tickets: a run serves everybody who asked
 * before it began.
 */
#include <errno.h>
#include <time.h>

#include "replication/net/agent_internal.h"
#include "fs/base/thread.h"
#include "replication/net/sys.h"

/* A file written in the last 20 ms is left alone: its RELEASE is coming. */
#define IDLE_MS 20
#define STEP_MS 5
#define SETTLE_MS 200
/* A large file that was closed is cut by another thread: its end is waited
 * for, but not if files are cut without end. */
#define CUTTING_MS 60000

static int settle_run(struct tree *tree)
{
	const struct timespec step = { .tv_nsec = STEP_MS * 1000000 };
	uint64_t begin_ms = sys_now_ms(), passed_ms;
	int left;

	for (;;) {
		/* (asked first: what it ends with meanwhile is not left) */
		bool cutting = tree_is_cutting(tree);

		left = tree_cut_settled(tree, IDLE_MS);
		passed_ms = sys_now_ms() - begin_ms;
		if (left <= 0 ||
		    passed_ms >= (cutting ? CUTTING_MS : SETTLE_MS))
			break;
		nanosleep(&step, NULL);
	}
	/* Who writes without a pause is not waited for. */
	return left < 0 ? left : 0;
}

static void *settle_thread(void *arg)
{
	struct settle *s = arg;

	pthread_mutex_lock(&s->mutex);
	while (!s->stop) {
		uint64_t ticket = s->asked;
		int r;

		if (s->done == ticket) {
			pthread_cond_wait(&s->cond, &s->mutex);
			continue;
		}
		pthread_mutex_unlock(&s->mutex);
		r = settle_run(s->tree);
		pthread_mutex_lock(&s->mutex);
		s->result = r;
		s->done = ticket;
		loop_wake(s->loop);
	}
	pthread_mutex_unlock(&s->mutex);
	return NULL;
}

int settle_start(struct settle *s, struct tree *tree, struct loop *loop)
{
	int r;

	*s = (struct settle){ .tree = tree, .loop = loop };
	pthread_mutex_init(&s->mutex, NULL);
	pthread_cond_init(&s->cond, NULL);
	r = thread_start(&s->thread, settle_thread, s);
	s->running = !r;
	return r;
}

void settle_stop(struct settle *s)
{
	if (!s->running)
		return;
	pthread_mutex_lock(&s->mutex);
	s->stop = true;
	pthread_cond_signal(&s->cond);
	pthread_mutex_unlock(&s->mutex);
	pthread_join(s->thread, NULL);
	pthread_cond_destroy(&s->cond);
	pthread_mutex_destroy(&s->mutex);
	s->running = false;
}

uint64_t settle_ask(struct settle *s)
{
	uint64_t ticket;

	pthread_mutex_lock(&s->mutex);
	ticket = ++s->asked;
	pthread_cond_signal(&s->cond);
	pthread_mutex_unlock(&s->mutex);
	return ticket;
}

int settle_done(struct settle *s, uint64_t ticket)
{
	int r = 0;

	pthread_mutex_lock(&s->mutex);
	if (s->done >= ticket)
		r = s->result < 0 ? s->result : 1;
	pthread_mutex_unlock(&s->mutex);
	return r;
}
