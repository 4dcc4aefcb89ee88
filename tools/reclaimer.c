/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sleeps until the store says that a round is due, and drives it. After each
 * step it rests as long as that took, so that it never takes more than half
 * of a processor, or of a disk. It does not run at a lower priority: then it
 * would keep the store's lock from others whenever somebody else is busy.
 */
#include "tools/reclaimer.h"

#include <errno.h>
#include <time.h>

#include "fs/base/log.h"
#include "fs/base/thread.h"

#define NS_PER_MS 1000000ull
#define NS_PER_S 1000000000ull
/* Somebody reads what the round must wait for. */
#define HELD_NS (10 * NS_PER_MS)
/* Between two rounds; and after one that gave nothing back. */
#define PAUSE_NS (2 * NS_PER_S)
#define VAIN_NS (60 * NS_PER_S)

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

static void reclaimer_wake(void *arg)
{
	struct reclaimer *r = arg;

	pthread_mutex_lock(&r->lock);
	r->due = true;
	pthread_cond_signal(&r->wake);
	pthread_mutex_unlock(&r->lock);
}

/* False: it is to stop. */
static bool rest(struct reclaimer *r, uint64_t ns)
{
	uint64_t end = now_ns() + ns;
	struct timespec until = {
		.tv_sec = (time_t)(end / NS_PER_S),
		.tv_nsec = (long)(end % NS_PER_S),
	};
	bool stop;

	pthread_mutex_lock(&r->lock);
	while (!r->stop && pthread_cond_timedwait(&r->wake, &r->lock,
						  &until) != ETIMEDOUT)
		;
	stop = r->stop;
	pthread_mutex_unlock(&r->lock);
	return !stop;
}

static bool wait_until_due(struct reclaimer *r)
{
	bool stop;

	pthread_mutex_lock(&r->lock);
	while (!r->stop && !r->due)
		pthread_cond_wait(&r->wake, &r->lock);
	r->due = false;
	stop = r->stop;
	pthread_mutex_unlock(&r->lock);
	return !stop;
}

/* 1: it was to stop. Else what the last step said. */
static int run_round(struct reclaimer *r)
{
	const struct reclaim_options o = { .now_s = time(NULL) };
	int e = reclaim_begin(r->store, &o);

	while (!e || e == -EAGAIN) {
		uint64_t start = now_ns();

		e = reclaim_step(r->store);
		if (e == 1)
			return 0;
		if (!rest(r, e == -EAGAIN ? HELD_NS : now_ns() - start)) {
			reclaim_stop(r->store);
			return 1;
		}
	}
	return e;
}

static void *reclaimer_run(void *arg)
{
	struct reclaimer *r = arg;

	while (wait_until_due(r)) {
		struct reclaim_facts facts;
		int e = run_round(r);

		if (e == 1)
			break;
		reclaim_facts(r->store, &facts);
		if (e)
			log_errno(e, "'%s': no space was given back",
				  store_path(r->store));
		else
			log_debug("'%s': %llu bytes given back",
				  store_path(r->store),
				  (unsigned long long)facts.freed_bytes);
		if (!rest(r, e || !facts.freed_bytes ? VAIN_NS : PAUSE_NS))
			break;
	}
	return NULL;
}

int reclaimer_start(struct reclaimer *r, struct store *store)
{
	pthread_condattr_t attr;
	int e;

	*r = (struct reclaimer){ .store = store };
	pthread_mutex_init(&r->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&r->wake, &attr);
	pthread_condattr_destroy(&attr);
	e = thread_start(&r->thread, reclaimer_run, r);
	if (e)
		return e;
	r->started = true;
	reclaim_on_due(store, reclaimer_wake, r);
	return 0;
}

void reclaimer_stop(struct reclaimer *r)
{
	if (!r->started)
		return;
	reclaim_on_due(r->store, NULL, NULL);
	pthread_mutex_lock(&r->lock);
	r->stop = true;
	pthread_cond_signal(&r->wake);
	pthread_mutex_unlock(&r->lock);
	pthread_join(r->thread, NULL);
	pthread_cond_destroy(&r->wake);
	pthread_mutex_destroy(&r->lock);
	r->started = false;
}
