/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The event loop of one thread: file descriptors by epoll (level
 * triggered), timers, and jobs that are done between two rounds of events.
 *
 * Jobs are how an object frees itself: an event of the same round may still
 * point to its watch, so memory goes away only when the round is over.
 *
 * All of it belongs to the thread that turns the loop, but loop_wake().
 */
#ifndef KINFS_NET_LOOP_H
#define KINFS_NET_LOOP_H

#include <stdbool.h>
#include <sys/queue.h>

#include "fs/base/macro.h"

#define LOOP_NEVER UINT64_MAX

struct loop_watch {
	int fd;			/* -1: not watched */
	uint32_t events;
	void (*fn)(struct loop_watch *, uint32_t events);
};

struct loop_timer {
	uint64_t at_ms;
	bool set;
	void (*fn)(struct loop_timer *, uint64_t now_ms);
	LIST_ENTRY(loop_timer) entry;
};

struct loop_job {
	bool queued;
	uint64_t round;		/* in which it was asked for */
	void (*fn)(struct loop_job *);
	TAILQ_ENTRY(loop_job) entry;
};

struct loop {
	int epoll;
	struct loop_watch wake;	/* an eventfd */
	bool poked;
	LIST_HEAD(, loop_timer) timers;
	TAILQ_HEAD(, loop_job) jobs;
	uint64_t round;
};

must_check int loop_init(struct loop *);
/* Does the jobs that are left. */
void loop_release(struct loop *);

/* Errors: of epoll_ctl(2). The descriptor stays the caller's. */
must_check int loop_watch(struct loop *, struct loop_watch *, int fd,
			  uint32_t events);
void loop_watch_events(struct loop *, struct loop_watch *, uint32_t events);
void loop_unwatch(struct loop *, struct loop_watch *);

/* Once, at or after at_ms; LOOP_NEVER: not. */
void loop_timer_set(struct loop *, struct loop_timer *, uint64_t at_ms);
/* Before the next wait, once however often it is asked for. */
void loop_job(struct loop *, struct loop_job *);
void loop_job_cancel(struct loop *, struct loop_job *);

/* Ends the wait that goes on, or the next one. Any thread. */
void loop_wake(struct loop *);
/* The wait of this turn is not to sleep. */
void loop_poke(struct loop *);
/* Does jobs, waits for events until until_ms at most, serves them. */
void loop_turn(struct loop *, uint64_t until_ms);

#endif
