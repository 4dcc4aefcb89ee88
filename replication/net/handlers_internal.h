/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parts of handlers.h:
 *
 *	handlers.c	the thread: what is to be done, and when
 *	handlers_tell.c	what other threads tell it, and ask
 *	handler_job.c	one run of a hook, from its copies to its result
 *	handler_test.c	one from which nothing comes
 *	handler_plan.c	turns, and what became of each conflict
 *	handler_conf.c	the configuration
 */
#ifndef KINFS_NET_HANDLERS_INTERNAL_H
#define KINFS_NET_HANDLERS_INTERNAL_H

#include <pthread.h>
#include <sys/queue.h>

#include "replication/net/handler_conf.h"
#include "replication/net/handlers.h"
#include "replication/net/hook_run.h"

/* Conflicts handled at a time: the second does not wait for a slow first. */
#define JOBS_MAX 2
/* Events that wait for their handler; older ones are forgotten. */
#define EVENTS_MAX 64

struct job {
	struct handlers *h;
	struct hook_run *run;
	enum handler_event event;
	/* A conflict's. */
	struct objid id;
	struct variants variants;
	struct plan_entry *outcome;	/* rule, state and reason, as it ends */
	bool finished;			/* by h->mutex */
	LIST_ENTRY(job) entry;
};

struct event {
	enum handler_event event;
	char label[LABEL_BYTES_MAX + 1];
	bool connected;
	uint64_t changes, seconds;
};

struct handlers {
	struct tree *tree;
	struct device self;
	char *folder, *conf_path, *store, *rooms, *volume, *mountpoint;
	const char *hide[2];		/* from hooks; NULL-ended */
	uid_t uid;
	gid_t gid;
	pthread_t thread;

	/* The thread's own. */
	struct handler_conf conf;
	struct handler_conf_stamp conf_stamp;	/* as it was read */
	LIST_HEAD(, job) jobs;
	size_t conflict_jobs;
	bool event_job;
	uint64_t applied_ms;		/* when that was last handled */
	uint64_t looked_ms;
	uint64_t look_pause_ms;		/* before the next look */

	pthread_mutex_t mutex;		/* guards: */
	pthread_cond_t cond;
	bool stop, poked, applied;
	bool woken;			/* since the thread went round last */
	struct plan plan;
	struct device *members;
	size_t member_count;
	struct event events[EVENTS_MAX];
	size_t event_first, event_count;
	struct objid opened[EVENTS_MAX];
	size_t opened_count;
	uint32_t lag_seconds;
	char trouble[256];		/* of the configuration */
};

/* ---- handler_job.c: on the handlers' thread */
/*
 * Starts the handler of a conflict: rule is "merge", "union" or "hook:..." as
 * a policy says it.
 * Takes over what `v` holds, whatever it returns. 0; or a reason is in
 * ret_why: -ENOENT the hook is not installed here, others.
 */
must_check int job_start_conflict(struct handlers *, enum handler_event,
				  const char *rule, struct slice path,
				  struct variants *v, struct buf *ret_why);
must_check int job_start_event(struct handlers *, const char *hook,
			       const struct event *, struct buf *ret_why);
/* When it has finished, or is to end. */
void job_free(struct job *);
/*
 * Copies of all versions and, if it is known, of what they were made from.
 * Errors: -EFBIG one has more bytes than a result may have, -ENOSPC they
 * would fill the disk, of reading and writing.
 */
must_check int handlers_fill(struct handlers *, const struct variants *,
			     struct hook_room *);
/* There is something to do: the thread goes round once more, also if it is
 * not asleep just now. With the mutex. */
void handlers_wake(struct handlers *);
/* What is alike for all hooks of this node; the limits are the default. */
struct hook_run_options handlers_run_options(const struct handlers *);
/* What a person reads of it: why it failed, and the last line that it said.
 * Of one that settled it: nothing. */
void handlers_reason(const struct hook_outcome *, size_t room, char *ret);
extern const char too_many_merges[];

/* Texts of the scripts that are part of this program: scripts.c, which is
 * made from packaging/hooks. */
extern const char script_merge_text[], script_union_lines[];

#endif
