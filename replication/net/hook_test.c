/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `kin hooks test`: one run of a hook, from which nothing comes
 * (handler_test.h). What was written here shortly before is made a version
 * first, so that a conflict is what it looks like. A line a second says that
 * it still runs; who does not read to the end has it ended.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "replication/net/agent_internal.h"
#include "replication/net/handler_test.h"
#include "replication/net/sys.h"

/* At once: a person, and scripts. */
#define TESTS_MAX 4
#define PROGRESS_MS 1000

enum test_state { TEST_SETTLING, TEST_RUNNING };

struct agent_hook_test {
	struct agent *agent;
	struct control_client *client;	/* NULL: gone */
	struct buf hook, path;		/* hook: ends with a zero */
	unsigned int made_up;
	uint32_t time_s;
	bool keep;
	int dir;
	uint64_t ticket;		/* of the cut before */
	enum test_state state;
	struct handlers_test *run;
	uint64_t began_ms, progress_ms;
	LIST_ENTRY(agent_hook_test) entry;
};

static void test_free(struct agent_hook_test *t)
{
	LIST_REMOVE(t, entry);
	handlers_test_free(t->run);
	buf_release(&t->hook);
	buf_release(&t->path);
	if (t->dir >= 0)
		close(t->dir);
	free(t);
}

/* Takes ownership of both. */
static void test_answer(struct agent_hook_test *t, json_t *answer)
{
	struct control_client *client = t->client;

	test_free(t);
	if (!client) {
		json_decref(answer);
		return;
	}
	control_set_data(client, NULL);
	control_answer(client, answer);
}

/* ---- answers */

static json_t *number(uint64_t n)
{
	return json_integer((json_int_t)MIN_OF(n, (uint64_t)INT64_MAX));
}

static json_t *test_error(const struct agent_hook_test *t, int r,
			  const struct buf *why)
{
	int len = (int)t->path.len;
	const char *p = len ? (const char *)t->path.data : "";

	switch (r) {
	case -ENODATA:
		return control_error(r, CONTROL_FAILED, "%.*s: is not in "
				     "conflict", len, p);
	case -EAGAIN:
		return control_error(r, CONTROL_FAILED, "%.*s: a version is "
				     "not here yet with all its bytes; try "
				     "again after `kin wait`", len, p);
	}
	if (!why->len)
		return agent_path_error(r, &t->path);
	return control_error(r, CONTROL_FAILED, "%.*s", (int)why->len,
			     (const char *)why->data);
}

static json_t *versions_json(const struct agent_hook_test *t)
{
	const struct variants *s = &t->run->variants;
	json_t *list = json_array();

	for (size_t k = 0; k < s->count; k++) {
		const struct variant *v = &s->list[k];
		json_t *o = json_object();

		agent_put_author(t->agent->core, o, v->dot, v->label);
		json_object_set_new(o, "time", json_integer(v->time.tv_sec));
		json_object_set_new(o, "size", number(v->content.size));
		json_object_set_new(o, "main", json_boolean(v->main));
		json_object_set_new(o, "automatic",
				    json_boolean(v->automatic));
		json_array_append_new(list, o);
	}
	return list;
}

static json_t *limits_json(const struct hook_limits *l)
{
	return json_pack("{s:f, s:o, s:o}", "seconds",
			 (double)l->time_ms / 1000, "memory",
			 number(l->memory_bytes), "output",
			 number(l->file_bytes));
}

/* What it was kept in; the rest the kernel does not allow here. */
static json_t *spaces_json(unsigned int spaces)
{
	return json_pack("{s:b, s:b, s:b, s:b}", "processes",
			 !!(spaces & SPACE_PID), "store_hidden",
			 !!(spaces & SPACE_HIDDEN), "proc",
			 !!(spaces & SPACE_PROC), "counted",
			 !!(spaces & SPACE_COUNT));
}

static void put_said(json_t *o, const struct hook_outcome *outcome)
{
	agent_put_text(o, "stdout", "stdout_hex", buf_slice(&outcome->out));
	json_object_set_new(o, "stdout_cut", json_boolean(outcome->out_cut));
	agent_put_text(o, "stderr", "stderr_hex", buf_slice(&outcome->err));
	json_object_set_new(o, "stderr_cut", json_boolean(outcome->err_cut));
}

static json_t *result_json(const struct agent_hook_test *t)
{
	static const char *const results[] = {
		[HOOK_SETTLED] = "settled", [HOOK_LEFT] = "left",
		[HOOK_FAILED] = "failed", [HOOK_CANCELED] = "canceled" };
	const struct handlers_test *run = t->run;
	const struct hook_outcome *o = run->outcome;
	bool output = o->result == HOOK_SETTLED;
	json_t *answer = json_pack("{s:b, s:b, s:o, s:b, s:b, s:s}",
		"ok", 1, "made_up", t->made_up > 0, "versions",
		versions_json(t), "base", run->has_base, "settles",
		run->settles, "result", results[o->result]);

	json_object_set_new(answer, "status", o->status < 0 ? json_null() :
			    json_integer(o->status));
	json_object_set_new(answer, "reason", json_string(run->reason));
	json_object_set_new(answer, "seconds",
			    json_real((double)o->took_ms / 1000));
	json_object_set_new(answer, "limits", limits_json(&run->limits));
	json_object_set_new(answer, "output_bytes", output ?
			    number(o->output_bytes) : json_null());
	json_object_set_new(answer, "output", json_boolean(run->has_output));
	json_object_set_new(answer, "main", json_boolean(run->has_main));
	put_said(answer, o);
	json_object_set_new(answer, "kept_in", spaces_json(o->spaces));
	if (run->trouble.len)
		agent_put_text(answer, "configuration", "configuration_hex",
			       buf_slice(&run->trouble));
	else
		json_object_set_new(answer, "configuration", json_null());
	return answer;
}

/* ---- the request */

static bool get_number(const json_t *request, const char *key, uint64_t max,
		       uint64_t *ret)
{
	const json_t *n = json_object_get(request, key);

	*ret = 0;
	if (!n)
		return true;
	if (!json_is_integer(n) || json_integer_value(n) < 0 ||
	    (uint64_t)json_integer_value(n) > max)
		return false;
	*ret = (uint64_t)json_integer_value(n);
	return true;
}

static int test_parse(struct agent_hook_test *t, const json_t *request)
{
	uint64_t made_up, time_s;
	struct stat st;
	int r = agent_get_path(request, &t->path);

	if (!r)
		r = agent_get_bytes(request, "hook", "hook_hex", &t->hook);
	if (r)
		return r;
	if (!t->hook.len || memchr(t->hook.data, '\0', t->hook.len) ||
	    t->dir < 0 || fstat(t->dir, &st) || !S_ISDIR(st.st_mode) ||
	    !get_number(request, "made_up", HOOK_VARIANTS_MAX, &made_up) ||
	    !get_number(request, "time", LIMIT_TIME_S_MAX, &time_s))
		return -EINVAL;
	t->made_up = (unsigned int)made_up;
	t->time_s = (uint32_t)time_s;
	t->keep = json_is_true(json_object_get(request, "keep"));
	buf_put_u8(&t->hook, '\0');
	return buf_error(&t->hook);
}

json_t *agent_hook_test(struct agent *a, struct control_client *client,
			const json_t *request)
{
	struct agent_hook_test *t, *other;
	size_t n = 0;
	int r;

	if (!a->handlers)
		return control_error(-ENOENT, CONTROL_FAILED,
				     "this node has no folder of hooks");
	LIST_FOREACH(other, &a->hook_tests, entry)
		n++;
	if (n >= TESTS_MAX)
		return control_error(-EBUSY, CONTROL_FAILED, "%d hooks are "
				     "being tested already; try again",
				     TESTS_MAX);
	t = calloc(1, sizeof(*t));
	if (!t)
		return control_error(-ENOMEM, CONTROL_FAILED, "out of memory");
	*t = (struct agent_hook_test){
		.agent = a, .client = client, .hook = BUF_INIT,
		.path = BUF_INIT, .dir = control_take_fd(client) };
	LIST_INSERT_HEAD(&a->hook_tests, t, entry);
	r = test_parse(t, request);
	if (r) {
		test_free(t);
		return control_error(r, CONTROL_USAGE, "a test wants a hook, "
				     "a path and a directory");
	}
	t->ticket = settle_ask(&a->settle);
	control_set_data(client, t);
	loop_poke(&a->loop);
	return json_null();
}

bool agent_hook_test_gone(struct agent *a, void *data)
{
	struct agent_hook_test *t;

	LIST_FOREACH(t, &a->hook_tests, entry) {
		if (t != data)
			continue;
		t->client = NULL;
		if (t->run)
			handlers_test_cancel(t->run);
		return true;
	}
	return false;
}

/* ---- as it goes on */

static int test_start(struct agent_hook_test *t, struct buf *why)
{
	const struct handlers_test_options o = {
		.hook = (const char *)t->hook.data,
		.path = buf_slice(&t->path),
		.made_up = t->made_up,
		.dir = t->dir,
		.time_s = t->time_s,
		.keep = t->keep,
		.loop = &t->agent->loop,
	};

	t->state = TEST_RUNNING;
	return handlers_test_start(t->agent->handlers, &o, why, &t->run);
}

static uint64_t tell_progress(struct agent_hook_test *t, uint64_t now_ms)
{
	if (now_ms >= t->progress_ms) {
		t->progress_ms = now_ms + PROGRESS_MS;
		if (t->client)
			control_event(t->client, json_pack("{s:s, s:o}",
				"event", "running", "seconds",
				number((now_ms - t->began_ms) / 1000)));
	}
	return t->progress_ms;
}

/* Returns when to be called again. */
static uint64_t test_poll(struct agent_hook_test *t, uint64_t now_ms)
{
	cleanup(buf_release) struct buf why = BUF_INIT;
	int r;

	if (t->state == TEST_SETTLING) {
		r = settle_done(&t->agent->settle, t->ticket);
		if (!r)
			return UINT64_MAX;
		if (r > 0 && !t->client)
			r = -ECANCELED;
		r = r < 0 ? r : test_start(t, &why);
		if (r) {
			test_answer(t, test_error(t, r, &why));
			return UINT64_MAX;
		}
		t->began_ms = now_ms;
		t->progress_ms = now_ms + PROGRESS_MS;
	}
	if (!handlers_test_done(t->run))
		return tell_progress(t, now_ms);
	test_answer(t, result_json(t));
	return UINT64_MAX;
}

uint64_t agent_hook_tests_poll(struct agent *a, uint64_t now_ms)
{
	struct agent_hook_test *t, *next;
	uint64_t next_ms = UINT64_MAX;

	for (t = LIST_FIRST(&a->hook_tests); t; t = next) {
		next = LIST_NEXT(t, entry);
		next_ms = min_u64(next_ms, test_poll(t, now_ms));
	}
	return next_ms;
}

void agent_hook_tests_release(struct agent *a)
{
	while (!LIST_EMPTY(&a->hook_tests))
		test_answer(LIST_FIRST(&a->hook_tests),
			    control_error(-ECANCELED, CONTROL_FAILED,
					  "the daemon ends"));
}
