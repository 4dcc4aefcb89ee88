/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The thread. It sleeps until it is poked, a run ends or a turn comes; then
 * it looks at all conflicts (they are found by their marks, so that none
 * costs nothing), and starts what is due.
 *
 * Locks: h->mutex is taken inside the store's (a poke comes from an
 * observer), never the other way round. The plan is changed by the thread
 * only, and under the mutex; so the thread reads it without.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "fs/base/log.h"
#include "fs/base/thread.h"
#include "fs/tree/policy.h"
#include "replication/net/handlers_internal.h"
#include "replication/net/sys.h"

/* A look takes at most one part in this and one more of the time, however many
 * conflicts there are. */
#define LOOK_PAUSE_FACTOR 4
/* After so many of them a look lets others have the store for a moment. */
#define LOOK_BREATH 64
#define LOOK_BREATH_NS 500000
/* To look again whether bytes have come, or a hook was installed. */
#define BYTES_MS 5000
#define INSTALL_MS 60000

/* ---- configuration */

/* If it was written since; then all conflicts are looked at again. */
static void read_conf(struct handlers *h)
{
	cleanup(buf_release) struct buf why = BUF_INIT;
	struct handler_conf_stamp now;
	struct handler_conf c;
	const struct handler_rule *lag;
	int r;

	handler_conf_look(h->conf_path, &now);
	if (handler_conf_same(&h->conf_stamp, &now))
		return;
	h->conf_stamp = now;
	r = handler_conf_read(h->conf_path, &why, &c);
	pthread_mutex_lock(&h->mutex);
	h->poked = true;
	if (r && strncmp(h->trouble, (const char *)why.data, why.len))
		log_warn("%.*s; until then none of it holds", (int)why.len,
			 (const char *)why.data);
	snprintf(h->trouble, sizeof(h->trouble), "%.*s",
		 r ? (int)why.len : 0, r ? (const char *)why.data : "");
	lag = handler_conf_find(&c, HANDLER_LAG, NULL);
	h->lag_seconds = lag ? lag->seconds : 0;
	pthread_mutex_unlock(&h->mutex);
	handler_conf_release(&h->conf);
	h->conf = c;
}

/* ---- what handles a conflict */

/* 1: what the policy says. 0: it says nothing, -EEXIST: to leave it. */
static int policy_rule(struct handlers *h, uint64_t ino,
		       char ret[PLAN_RULE_BYTES])
{
	struct policy_found p;
	int r = tree_policy(h->tree, ino, &p);

	if (r < 0 || !p.set)
		return r;
	switch (p.policy.rule) {
	case POLICY_MERGE:
		snprintf(ret, PLAN_RULE_BYTES, "merge");
		return 1;
	case POLICY_UNION:
		snprintf(ret, PLAN_RULE_BYTES, "union");
		return 1;
	case POLICY_HOOK:
		snprintf(ret, PLAN_RULE_BYTES, "hook:%s%s%s", p.policy.hook,
			 *p.policy.hook_node ? "@" : "", p.policy.hook_node);
		return 1;
	default:
		return -EEXIST;
	}
}

static bool conf_rule(struct handlers *h, enum handler_event event,
		      const char *path, char ret[PLAN_RULE_BYTES])
{
	const struct handler_rule *rule =
		handler_conf_find(&h->conf, event, path);

	if (rule)
		snprintf(ret, PLAN_RULE_BYTES, "hook:%s", rule->hook);
	return rule != NULL;
}

struct look {
	struct handlers *h;
	uint64_t now_ms;
	struct device *members;
	size_t member_count;
	struct objid opened[EVENTS_MAX];
	size_t opened_count;
	size_t seen;
};

static bool was_opened(const struct look *l, const struct objid *id)
{
	for (size_t i = 0; i < l->opened_count; i++)
		if (objid_equal(l->opened[i], *id))
			return true;
	return false;
}

static bool is_deterministic(struct handlers *h, const struct policy *p)
{
	cleanup(buf_release) struct buf why = BUF_INIT;
	cleanup(hook_close) struct hook hook = HOOK_INIT;

	if (p->rule == POLICY_MERGE)
		return hook_text_is_deterministic(SLICE_STR(script_merge_text));
	if (p->rule == POLICY_UNION)
		return hook_text_is_deterministic(
			SLICE_STR(script_union_lines));
	return !hook_open(h->folder, p->hook, &why, &hook) &&
	       hook_is_deterministic(&hook);
}

/* Who opened it wants it now; else each waits for his turn. */
static void plan_when(const struct look *l, bool opened, struct plan_entry *e)
{
	struct handlers *h = l->h;
	struct policy p = { .rule = POLICY_KEEP };
	char own[LABEL_BYTES_MAX + 1];
	size_t turn = 0;

	tree_label(h->tree, own);
	kin_assert(!policy_parse(SLICE_STR(e->rule), &p));
	if (*p.hook_node && strcmp(p.hook_node, own)) {
		e->due_ms = PLAN_NEVER;
		snprintf(e->reason, sizeof(e->reason), "%s alone runs it",
			 p.hook_node);
		return;
	}
	if (!*p.hook_node && !opened)
		turn = plan_turn(&e->token, &h->self, l->members,
				 l->member_count);
	e->due_ms = l->now_ms;
	if (turn)
		e->due_ms += turn * (is_deterministic(h, &p) ?
				     HANDLER_TURN_SOON_MS : HANDLER_TURN_MS);
}

static int plan_one(struct look *l, const struct variants *v, uint64_t ino,
		    const char *rule, bool opened)
{
	struct handlers *h = l->h;
	struct plan_entry seen = { .id = v->id, .ino = ino,
				   .token = v->token };
	struct plan_entry *e;
	int r;

	snprintf(seen.rule, sizeof(seen.rule), "%s", rule);
	if (v->reopened) {
		seen.state = PLAN_LEFT;
		snprintf(seen.reason, sizeof(seen.reason),
			 "opened again by kin undo");
	} else if (!plan_knows(&h->plan, &seen))
		plan_when(l, opened, &seen);
	pthread_mutex_lock(&h->mutex);
	e = plan_find(&h->plan, &v->id);
	if (e && opened && e->due_ms != PLAN_NEVER)
		e->due_ms = l->now_ms;
	r = plan_see(&h->plan, &seen);
	pthread_mutex_unlock(&h->mutex);
	return r;
}

/* 1: what the configuration says; 0: nothing. */
static int conf_says(struct look *l, struct objid id, uint64_t ino,
		     char ret[PLAN_RULE_BYTES], bool *opened)
{
	cleanup(buf_release) struct buf path = BUF_INIT;
	const struct plan_entry *e;
	struct handlers *h = l->h;
	autofree char *text = NULL;

	if (!h->conf.count)
		return 0;
	if (!tree_path(h->tree, ino, &path))
		text = strndup((const char *)path.data, path.len);
	if (!text)
		return 0;
	if (conf_rule(h, HANDLER_CONFLICT, text, ret))
		return 1;
	/* (opened before, and not done with) */
	e = plan_find(&h->plan, &id);
	*opened |= e && e->state != PLAN_WAITING;
	return *opened && conf_rule(h, HANDLER_OPEN, text, ret);
}

static int look_at(void *arg, struct objid id, uint64_t ino)
{
	const struct timespec breath = { .tv_nsec = LOOK_BREATH_NS };
	struct look *l = arg;
	struct variants v = { .list = NULL };
	char rule[PLAN_RULE_BYTES];
	bool opened = was_opened(l, &id);
	int r = policy_rule(l->h, ino, rule);

	if (!(++l->seen % LOOK_BREATH))
		nanosleep(&breath, NULL);
	if (!r)
		r = conf_says(l, id, ino, rule, &opened);
	if (r <= 0)
		return 0;
	r = tree_variants_of(l->h->tree, id, &v);
	if (r)
		return 0; /* settled meanwhile, or not yet */
	r = plan_one(l, &v, ino, rule, opened);
	variants_release(&v);
	return r;
}

/* (nearly never, and then a look would find nothing to do) */
static bool handles_conflicts(struct handlers *h)
{
	return handler_conf_has(&h->conf, HANDLER_CONFLICT) ||
	       handler_conf_has(&h->conf, HANDLER_OPEN) ||
	       tree_has_policies(h->tree);
}

static void look(struct handlers *h, uint64_t now_ms)
{
	struct look l = { .h = h, .now_ms = now_ms };
	int r;

	pthread_mutex_lock(&h->mutex);
	h->poked = false;
	memcpy(l.opened, h->opened, sizeof(l.opened));
	l.opened_count = h->opened_count;
	h->opened_count = 0;
	l.members = calloc(h->member_count + 1, sizeof(*l.members));
	if (l.members && h->member_count) {
		memcpy(l.members, h->members,
		       h->member_count * sizeof(*l.members));
		l.member_count = h->member_count;
	}
	plan_begin(&h->plan);
	pthread_mutex_unlock(&h->mutex);
	r = handles_conflicts(h) ?
		    tree_each_conflict(h->tree, look_at, &l) : 0;
	if (r && r != -E2BIG)
		log_warn("cannot look for conflicts to handle: %s",
			 strerror(-r));
	pthread_mutex_lock(&h->mutex);
	plan_end(&h->plan);
	pthread_mutex_unlock(&h->mutex);
	free(l.members);
}

/* ---- what is due */

static void postpone(struct handlers *h, struct plan_entry *e,
		     uint64_t until_ms, const char *reason)
{
	pthread_mutex_lock(&h->mutex);
	e->due_ms = until_ms;
	snprintf(e->reason, sizeof(e->reason), "%s", reason);
	pthread_mutex_unlock(&h->mutex);
}

static void give_up(struct handlers *h, struct plan_entry *e,
		    const struct buf *why)
{
	pthread_mutex_lock(&h->mutex);
	e->state = PLAN_FAILED;
	snprintf(e->reason, sizeof(e->reason), "%.*s", (int)why->len,
		 (const char *)why->data);
	pthread_mutex_unlock(&h->mutex);
}

static bool all_here(const struct variants *v)
{
	for (size_t k = 0; k < v->count; k++)
		if (!v->list[k].here)
			return false;
	return true;
}

static void start_due(struct handlers *h, struct plan_entry *e,
		      uint64_t now_ms)
{
	cleanup(buf_release) struct buf path = BUF_INIT, why = BUF_INIT;
	struct variants v = { .list = NULL };
	int r = tree_variants_of(h->tree, e->id, &v);

	if (!r)
		r = tree_path(h->tree, e->ino, &path);
	if (r || !hash_equal(&v.token, &e->token)) {
		/* The next look tells. */
		postpone(h, e, now_ms + HANDLERS_LOOK_MS, "");
		handlers_poke(h);
		variants_release(&v);
		return;
	}
	if (!all_here(&v)) {
		postpone(h, e, now_ms + BYTES_MS,
			 "not all versions are here yet");
		variants_release(&v);
		return;
	}
	r = job_start_conflict(h, HANDLER_CONFLICT, e->rule, buf_slice(&path),
			       &v, &why);
	if (r == -ENOENT) {
		postpone(h, e, now_ms + INSTALL_MS, "not installed here");
	} else if (r) {
		log_warn("'%.*s': %s: %.*s", (int)path.len,
			 (const char *)path.data, e->rule, (int)why.len,
			 (const char *)why.data);
		give_up(h, e, &why);
	} else {
		h->conflict_jobs++;
		pthread_mutex_lock(&h->mutex);
		e->state = PLAN_RUNNING;
		*e->reason = '\0';
		pthread_mutex_unlock(&h->mutex);
	}
}

/* Returns when there is something to do again. */
static uint64_t start_conflicts(struct handlers *h, uint64_t now_ms)
{
	uint64_t next_ms = UINT64_MAX;
	struct plan_entry *e;

	while (h->conflict_jobs < JOBS_MAX &&
	       (e = plan_due(&h->plan, now_ms, &next_ms)))
		start_due(h, e, now_ms);
	return next_ms;
}

/* The next event, or `applied` if it is due. */
static bool next_event(struct handlers *h, uint64_t now_ms, struct event *ret,
		       uint64_t *next_ms)
{
	bool some = true;

	pthread_mutex_lock(&h->mutex);
	if (h->event_count) {
		*ret = h->events[h->event_first];
		h->event_first = (h->event_first + 1) % EVENTS_MAX;
		h->event_count--;
	} else if (h->applied && now_ms >= h->applied_ms + APPLIED_MS) {
		*ret = (struct event){ .event = HANDLER_APPLIED };
		h->applied = false;
		h->applied_ms = now_ms;
	} else {
		if (h->applied)
			*next_ms = MIN_OF(*next_ms,
					  h->applied_ms + APPLIED_MS);
		some = false;
	}
	pthread_mutex_unlock(&h->mutex);
	return some;
}

static uint64_t start_events(struct handlers *h, uint64_t now_ms)
{
	uint64_t next_ms = UINT64_MAX;
	struct event e;

	while (!h->event_job && next_event(h, now_ms, &e, &next_ms)) {
		cleanup(buf_release) struct buf why = BUF_INIT;
		const struct handler_rule *rule =
			handler_conf_find(&h->conf, e.event, NULL);
		int r = rule ? job_start_event(h, rule->hook, &e, &why) : 0;

		if (r)
			log_warn("the handler of '%s' cannot be run: %.*s",
				 handler_event_name(e.event), (int)why.len,
				 (const char *)why.data);
		h->event_job = rule && !r;
	}
	return next_ms;
}

/* ---- what has ended */

/* Is it still what the job was begun for, and to be done so? */
static bool is_of(const struct plan_entry *e, const struct job *j)
{
	return e && hash_equal(&e->token, &j->outcome->token) &&
	       !strcmp(e->rule, j->outcome->rule);
}

static void take_outcome(struct handlers *h, struct job *j)
{
	struct plan_entry *e;

	if (!j->outcome) {
		h->event_job = false;
		return;
	}
	h->conflict_jobs--;
	pthread_mutex_lock(&h->mutex);
	e = plan_find(&h->plan, &j->id);
	if (is_of(e, j)) {
		e->state = j->outcome->state;
		memcpy(e->reason, j->outcome->reason, sizeof(e->reason));
		/* (settled: the next look does not find it) */
		e->due_ms = sys_now_ms() + HANDLER_TURN_MS;
	}
	h->poked = true;
	pthread_mutex_unlock(&h->mutex);
	if (j->outcome->state == PLAN_FAILED)
		log_warn("the handler of a conflict failed: %s",
			 j->outcome->reason);
}

static bool job_has_finished(struct handlers *h, const struct job *j)
{
	bool yes;

	pthread_mutex_lock(&h->mutex);
	yes = j->finished;
	pthread_mutex_unlock(&h->mutex);
	return yes;
}

static void take_finished(struct handlers *h)
{
	struct job *j = LIST_FIRST(&h->jobs), *next;

	for (; j; j = next) {
		next = LIST_NEXT(j, entry);
		if (!job_has_finished(h, j))
			continue;
		LIST_REMOVE(j, entry);
		take_outcome(h, j);
		job_free(j);
	}
}

/* What it works on is no more what is there: a person was faster. Or it is
 * to be handled by something else now. */
static void cancel_outdated(struct handlers *h)
{
	struct job *j;

	LIST_FOREACH(j, &h->jobs, entry) {
		if (j->outcome && !is_of(plan_find(&h->plan, &j->id), j))
			hook_run_cancel(j->run);
	}
}

/* ---- the thread */

/* A burst of changes is one look; where there is much to look at, it is a
 * longer burst. */
static uint64_t look_due(struct handlers *h)
{
	return h->poked ? h->looked_ms + h->look_pause_ms : UINT64_MAX;
}

/* Until something happens, or then; false: it is the end. */
static bool sleep_until(struct handlers *h, uint64_t until_ms)
{
	struct timespec at;
	uint64_t now_ms;
	bool go_on;

	pthread_mutex_lock(&h->mutex);
	now_ms = sys_now_ms();
	until_ms = min_u64(until_ms, look_due(h));
	/* (what is installed meanwhile tells nobody) */
	until_ms = MIN_OF(until_ms, now_ms + INSTALL_MS);
	if (!h->stop && !h->woken && until_ms > now_ms) {
		at = monotonic_in_ms(until_ms - now_ms);
		pthread_cond_timedwait(&h->cond, &h->mutex, &at);
	}
	h->woken = false;
	go_on = !h->stop;
	pthread_mutex_unlock(&h->mutex);
	return go_on;
}

static bool wants_look(struct handlers *h, uint64_t now_ms)
{
	bool yes;

	pthread_mutex_lock(&h->mutex);
	yes = look_due(h) <= now_ms;
	pthread_mutex_unlock(&h->mutex);
	return yes;
}

static void *handlers_run(void *arg)
{
	struct handlers *h = arg;
	uint64_t next_ms = 0;

	while (sleep_until(h, next_ms)) {
		uint64_t now_ms = sys_now_ms();

		take_finished(h);
		read_conf(h);
		if (wants_look(h, now_ms)) {
			look(h, now_ms);
			cancel_outdated(h);
			h->looked_ms = sys_now_ms();
			h->look_pause_ms = MAX_OF(
				(uint64_t)HANDLERS_LOOK_MS,
				LOOK_PAUSE_FACTOR * (h->looked_ms - now_ms));
		}
		next_ms = start_conflicts(h, now_ms);
		next_ms = min_u64(next_ms, start_events(h, now_ms));
	}
	return NULL;
}

/* ---- life */

static void handlers_free(struct handlers *h)
{
	struct job *j;

	while ((j = LIST_FIRST(&h->jobs))) {
		LIST_REMOVE(j, entry);
		job_free(j);
	}
	plan_release(&h->plan);
	handler_conf_release(&h->conf);
	pthread_cond_destroy(&h->cond);
	pthread_mutex_destroy(&h->mutex);
	free(h->members);
	free(h->folder);
	free(h->conf_path);
	free(h->store);
	free(h->rooms);
	free(h->volume);
	free(h->mountpoint);
	free(h);
}

static int copy_options(struct handlers *h, const struct handlers_options *o)
{
	h->tree = o->tree;
	h->self = o->self;
	h->uid = o->uid;
	h->gid = o->gid;
	h->folder = strdup(o->folder);
	h->store = strdup(o->store);
	h->hide[0] = h->store;
	h->volume = strdup(o->volume);
	h->mountpoint = strdup(o->mountpoint);
	if (asprintf(&h->conf_path, "%s.conf", o->folder) < 0)
		h->conf_path = NULL;
	if (asprintf(&h->rooms, "%s/tmp", o->store) < 0)
		h->rooms = NULL;
	return h->folder && h->store && h->volume && h->mountpoint &&
			       h->conf_path && h->rooms
		       ? 0
		       : -ENOMEM;
}

int handlers_start(const struct handlers_options *o, struct buf *why,
		   struct handlers **ret)
{
	struct handlers *h = calloc(1, sizeof(*h));
	int r;

	if (!h)
		return -ENOMEM;
	h->look_pause_ms = HANDLERS_LOOK_MS;
	LIST_INIT(&h->jobs);
	plan_init(&h->plan);
	pthread_mutex_init(&h->mutex, NULL);
	cond_init_monotonic(&h->cond);
	h->poked = true; /* what was there before */
	r = copy_options(h, o);
	if (!r)
		r = hook_rooms_sweep(h->rooms);
	if (!r)
		r = thread_start(&h->thread, handlers_run, h);
	if (r) {
		buf_printf(why, "cannot start the handlers of conflicts: %s",
			   strerror(-r));
		handlers_free(h);
		return r;
	}
	*ret = h;
	return 0;
}

void handlers_stop(struct handlers *h)
{
	if (!h)
		return;
	pthread_mutex_lock(&h->mutex);
	h->stop = true;
	pthread_cond_signal(&h->cond);
	pthread_mutex_unlock(&h->mutex);
	pthread_join(h->thread, NULL);
	handlers_free(h);
}
