/* SPDX-License-Identifier: Apache-2.0 */
/*
 * epoll with timers in a list: there are a few per connection and at most
 * some hundred connections, so the nearest one is found by looking at all.
 */
#include "replication/net/loop.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "replication/net/sys.h"

/* Events taken from the kernel at once. */
#define EVENTS_MAX 64
/* Longest sleep: the kernel's clock for it stops while the machine does. */
#define SLEEP_MS_MAX 10000

static void wake_event(struct loop_watch *w, uint32_t events)
{
	uint64_t count;

	(void)events;
	if (read(w->fd, &count, sizeof(count)) < 0)
		kin_assert(errno == EAGAIN || errno == EINTR);
}

int loop_init(struct loop *l)
{
	autoclose int wake = -1;
	int r;

	*l = (struct loop){ .wake = { .fd = -1, .fn = wake_event } };
	LIST_INIT(&l->timers);
	TAILQ_INIT(&l->jobs);
	l->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (l->epoll < 0)
		return -errno;
	wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	r = wake < 0 ? -errno : loop_watch(l, &l->wake, wake, EPOLLIN);
	if (r) {
		close(l->epoll);
		l->epoll = -1;
		return r;
	}
	wake = -1; /* now the watch's, closed by release */
	return 0;
}

/* What jobs ask for again is for the next turn: no endless round. */
static void run_jobs(struct loop *l)
{
	struct loop_job *job;

	l->round++;
	while ((job = TAILQ_FIRST(&l->jobs)) && job->round < l->round) {
		loop_job_cancel(l, job);
		job->fn(job);
	}
}

void loop_release(struct loop *l)
{
	if (l->epoll < 0)
		return;
	while (!TAILQ_EMPTY(&l->jobs))
		run_jobs(l);
	close(l->wake.fd);
	close(l->epoll);
	l->epoll = -1;
}

int loop_watch(struct loop *l, struct loop_watch *w, int fd, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.ptr = w };

	if (epoll_ctl(l->epoll, EPOLL_CTL_ADD, fd, &ev))
		return -errno;
	w->fd = fd;
	w->events = events;
	return 0;
}

void loop_watch_events(struct loop *l, struct loop_watch *w, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.ptr = w };

	if (w->events == events)
		return;
	/* Only our own bug can make it fail: the descriptor is in it. */
	kin_assert(!epoll_ctl(l->epoll, EPOLL_CTL_MOD, w->fd, &ev));
	w->events = events;
}

void loop_unwatch(struct loop *l, struct loop_watch *w)
{
	if (w->fd < 0)
		return;
	kin_assert(!epoll_ctl(l->epoll, EPOLL_CTL_DEL, w->fd, NULL));
	w->fd = -1;
}

void loop_timer_set(struct loop *l, struct loop_timer *t, uint64_t at_ms)
{
	bool set = at_ms != LOOP_NEVER;

	t->at_ms = at_ms;
	if (set && !t->set)
		LIST_INSERT_HEAD(&l->timers, t, entry);
	else if (!set && t->set)
		LIST_REMOVE(t, entry);
	t->set = set;
}

void loop_job(struct loop *l, struct loop_job *job)
{
	if (job->queued)
		return;
	job->queued = true;
	job->round = l->round;
	TAILQ_INSERT_TAIL(&l->jobs, job, entry);
}

void loop_job_cancel(struct loop *l, struct loop_job *job)
{
	if (!job->queued)
		return;
	job->queued = false;
	TAILQ_REMOVE(&l->jobs, job, entry);
}

void loop_wake(struct loop *l)
{
	uint64_t one = 1;

	if (write(l->wake.fd, &one, sizeof(one)) < 0)
		kin_assert(errno == EAGAIN || errno == EINTR);
}

void loop_poke(struct loop *l)
{
	l->poked = true;
}

static int sleep_ms(struct loop *l, uint64_t until_ms)
{
	uint64_t now_ms = sys_now_ms();
	struct loop_timer *t;

	if (l->poked || !TAILQ_EMPTY(&l->jobs))
		return 0;
	LIST_FOREACH (t, &l->timers, entry)
		until_ms = MIN_OF(until_ms, t->at_ms);
	if (until_ms <= now_ms)
		return 0;
	return (int)MIN_OF(until_ms - now_ms, SLEEP_MS_MAX);
}

/* A timer's function may set or end any timer: start over after each. */
static void run_timers(struct loop *l, uint64_t now_ms)
{
	struct loop_timer *t;

again:
	LIST_FOREACH (t, &l->timers, entry) {
		if (t->at_ms > now_ms)
			continue;
		loop_timer_set(l, t, LOOP_NEVER);
		t->fn(t, now_ms);
		goto again;
	}
}

void loop_turn(struct loop *l, uint64_t until_ms)
{
	struct epoll_event events[EVENTS_MAX];
	int n;

	run_jobs(l);
	n = epoll_wait(l->epoll, events, EVENTS_MAX, sleep_ms(l, until_ms));
	l->poked = false;
	for (int i = 0; i < n; i++) {
		struct loop_watch *w = events[i].data.ptr;

		/* An earlier event of this round may have ended it. */
		if (w->fd >= 0)
			w->fn(w, events[i].events);
	}
	run_timers(l, sys_now_ms());
}
