/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One run. The copies are made and the result is taken over on the run's own
 * thread: either may be a gigabyte.
 *
 * The scripts that are part of this program are given to sh as text, with the
 * path as an argument: nothing of the volume is ever read as a command.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/base/log.h"
#include "fs/store/content.h"
#include "replication/net/handlers_internal.h"

/* ---- copies */

static int copy_variant(struct handlers *h, const struct variant *v, int fd)
{
	const struct timespec times[2] = { v->time, v->time };
	int r = content_copy(tree_store(h->tree), &v->content, fd);

	if (!r && futimens(fd, times) < 0)
		r = -errno;
	return r;
}

/* A file of holes may be larger than any disk, and its copy has none. */
static int check_sizes(const struct variants *s, const struct hook_room *room)
{
	bool base = s->base_known && s->base.here;
	uint64_t all = base ? s->base.content.size : 0;
	bool fits = all <= HOOK_COPY_BYTES_MAX;

	for (size_t k = 0; fits && k < s->count; k++) {
		fits = s->list[k].content.size <= HOOK_COPY_BYTES_MAX;
		all += s->list[k].content.size;
	}
	return fits ? hook_room_has_space(room, all) : -EFBIG;
}

int handlers_fill(struct handlers *h, const struct variants *s,
		  struct hook_room *room)
{
	int r = check_sizes(s, room);

	for (size_t k = 0; !r && k < s->count; k++) {
		const struct variant *v = &s->list[k];
		autoclose int fd = -1;

		r = hook_room_variant(room, v->label, &fd);
		if (!r)
			r = copy_variant(h, v, fd);
	}
	if (!r && s->base_known && s->base.here) {
		autoclose int fd = -1;

		r = hook_room_base(room, &fd);
		if (!r)
			r = copy_variant(h, &s->base, fd);
	}
	return r;
}

static int fill_room(void *arg, struct hook_room *room)
{
	struct job *j = arg;
	int r = handlers_fill(j->h, &j->variants, room);

	/* (the hook may take its time) */
	store_hold_end(&j->variants.hold);
	return r;
}

/* ---- results */

/* The last line that it said, to follow a reason. */
static void last_line(const struct buf *err, char *ret, size_t room)
{
	size_t end = err->len, from, n;

	while (end && (err->data[end - 1] == '\n' || err->data[end - 1] == ' '))
		end--;
	from = end;
	while (from && err->data[from - 1] != '\n')
		from--;
	n = MIN_OF(end - from, room - 1);
	for (size_t i = 0; i < n; i++) {
		uint8_t c = err->data[from + i];

		ret[i] = c < ' ' || c > '~' ? '?' : (char)c;
	}
	ret[n] = '\0';
}

const char too_many_merges[] =
	"merged too many times by handlers alone; settle it by hand";

void handlers_reason(const struct hook_outcome *o, size_t room, char *ret)
{
	char said[100];

	*ret = '\0';
	last_line(&o->err, said, sizeof(said));
	if (o->result == HOOK_LEFT)
		snprintf(ret, room, "%s", said);
	else if (o->result == HOOK_FAILED)
		snprintf(ret, room, "%.100s%s%.57s", o->reason,
			 *said ? ": " : "", said);
}

static void note_outcome(struct job *j, const struct hook_outcome *o)
{
	struct plan_entry *e = j->outcome;
	int r;

	handlers_reason(o, sizeof(e->reason), e->reason);
	switch (o->result) {
	case HOOK_SETTLED:
		r = tree_settle(j->h->tree, &j->variants, o->output_fd,
				SETTLE_AUTO);
		e->state = r && r != -ESTALE ? PLAN_FAILED : PLAN_WAITING;
		if (r == -E2BIG)
			snprintf(e->reason, sizeof(e->reason), "%s",
				 too_many_merges);
		else if (r && r != -ESTALE)
			snprintf(e->reason, sizeof(e->reason),
				 "its result cannot be stored: %s",
				 strerror(-r));
		break;
	case HOOK_LEFT:
		e->state = PLAN_LEFT;
		break;
	case HOOK_FAILED:
		e->state = PLAN_FAILED;
		break;
	case HOOK_CANCELED:
		e->state = PLAN_WAITING;
		break;
	}
}

static void job_finish(void *arg, struct hook_outcome *o)
{
	struct job *j = arg;
	struct handlers *h = j->h;

	if (j->outcome)
		note_outcome(j, o);
	else if (o->result == HOOK_FAILED)
		log_warn("the handler of '%s' failed: %s",
			 handler_event_name(j->event), o->reason);
	pthread_mutex_lock(&h->mutex);
	j->finished = true;
	handlers_wake(h);
	pthread_mutex_unlock(&h->mutex);
}

/* ---- start */

/* sh itself, wherever /bin/sh leads to. */
static int open_shell(struct buf *why, struct hook *ret)
{
	char path[PATH_MAX], *name;

	if (!realpath("/bin/sh", path) || !(name = strrchr(path, '/'))) {
		buf_printf(why, "there is no /bin/sh");
		return -ENOSYS;
	}
	*name++ = '\0';
	return hook_open(*path ? path : "/", name, why, ret);
}

static struct job *job_new(struct handlers *h, enum handler_event event)
{
	struct job *j = calloc(1, sizeof(*j));

	if (!j)
		return NULL;
	j->h = h;
	j->event = event;
	return j;
}

void job_free(struct job *j)
{
	if (!j)
		return;
	hook_run_free(j->run);
	variants_release(&j->variants);
	free(j->outcome);
	free(j);
}

struct hook_run_options handlers_run_options(const struct handlers *h)
{
	return (struct hook_run_options){
		.rooms = h->rooms, .uid = h->uid, .gid = h->gid,
		.limits = HOOK_LIMITS_DEFAULT, .hide = h->hide,
	};
}

/* named: not what is built in. */
static int job_run(struct job *j, const struct hook *hook, bool named,
		   const char *const *args, const struct hook_var *vars,
		   size_t var_count, struct buf *why)
{
	struct handlers *h = j->h;
	struct hook_run_options o = handlers_run_options(h);
	int r;

	o.hook = hook;
	o.args = args;
	o.vars = vars;
	o.var_count = var_count;
	o.wants_output = j->outcome != NULL;
	o.fill = j->outcome ? fill_room : NULL;
	o.finish = job_finish;
	o.arg = j;
	handler_conf_limits(&h->conf, named ? hook->name : NULL, &o.limits);
	r = hook_run_start(&o, &j->run);
	if (r) {
		buf_printf(why, "it cannot be run: %s", strerror(-r));
		return r;
	}
	LIST_INSERT_HEAD(&h->jobs, j, entry);
	return 0;
}

static int open_rule(struct handlers *h, const char *rule, struct buf *why,
		     struct hook *ret)
{
	struct policy p;

	if (policy_parse(SLICE_STR(rule), &p) || p.rule != POLICY_HOOK)
		return open_shell(why, ret);
	return hook_open(h->folder, p.hook, why, ret);
}

int job_start_conflict(struct handlers *h, enum handler_event event,
		       const char *rule, struct slice path,
		       struct variants *v, struct buf *ret_why)
{
	struct job *j = job_new(h, event);
	autofree char *path_text = strndup((const char *)path.data, path.len);
	const struct hook_var vars[] = {
		{ "KIN_EVENT", handler_event_name(event) },
		{ "KIN_PATH", path_text },
		{ "KIN_VOLUME", h->volume },
	};
	const char *script = !strcmp(rule, "merge") ? script_merge_text
						    : script_union_lines;
	const char *of_hook[] = { path_text, NULL };
	const char *of_shell[] = { "-c", script, rule, path_text, NULL };
	bool named = !strncmp(rule, "hook:", 5);
	struct hook hook = HOOK_INIT;
	int r;

	if (j)
		j->outcome = calloc(1, sizeof(*j->outcome));
	if (!j || !j->outcome || !path_text) {
		variants_release(v);
		job_free(j);
		return -ENOMEM;
	}
	j->variants = *v;
	*v = (struct variants){ .list = NULL };
	j->id = j->variants.id;
	j->outcome->token = j->variants.token;
	snprintf(j->outcome->rule, sizeof(j->outcome->rule), "%s", rule);
	r = open_rule(h, rule, ret_why, &hook);
	if (!r)
		r = job_run(j, &hook, named, named ? of_hook : of_shell,
			    vars, ARRAY_SIZE(vars), ret_why);
	hook_close(&hook);
	if (r)
		job_free(j);
	return r;
}

int job_start_event(struct handlers *h, const char *name,
		    const struct event *e, struct buf *ret_why)
{
	struct job *j = job_new(h, e->event);
	char changes[24], seconds[24];
	struct hook_var vars[6] = {
		{ "KIN_EVENT", handler_event_name(e->event) },
		{ "KIN_VOLUME", h->volume },
		{ "KIN_MOUNTPOINT", h->mountpoint },
	};
	size_t n = 3;
	struct hook hook = HOOK_INIT;
	int r;

	if (!j)
		return -ENOMEM;
	snprintf(changes, sizeof(changes), "%llu",
		 (unsigned long long)e->changes);
	snprintf(seconds, sizeof(seconds), "%llu",
		 (unsigned long long)e->seconds);
	if (e->event == HANDLER_PEER || e->event == HANDLER_LAG)
		vars[n++] = (struct hook_var){ "KIN_PEER", e->label };
	if (e->event == HANDLER_PEER)
		vars[n++] = (struct hook_var){
			"KIN_STATE", e->connected ? "connected" : "gone" };
	if (e->event == HANDLER_LAG) {
		vars[n++] = (struct hook_var){ "KIN_BEHIND", changes };
		vars[n++] = (struct hook_var){ "KIN_SECONDS", seconds };
	}
	r = hook_open(h->folder, name, ret_why, &hook);
	if (!r)
		r = job_run(j, &hook, true, NULL, vars, n, ret_why);
	hook_close(&hook);
	if (r)
		job_free(j);
	return r;
}
