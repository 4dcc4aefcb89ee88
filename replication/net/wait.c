/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `kin wait`: first the local files are cut (settle.c), then the core takes
 * its point in time, and its state is looked at after every turn of the
 * loop, because only events of the loop can change it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "replication/net/agent_internal.h"
#include "replication/net/sys.h"

#define TIMEOUT_S_DEFAULT 60.0
/* A year: what is longer is a slip, and would not fit everywhere. */
#define TIMEOUT_S_MAX (366.0 * 24 * 3600)

struct agent_wait {
	struct agent *agent;
	struct control_client *client;
	uint64_t ticket;		/* of settling */
	int id;				/* the core's; 0: still settling */
	bool connected_only;
	uint64_t deadline_ms;
	struct loop_timer timer;	/* so that there is a turn then */
	LIST_ENTRY(agent_wait) entry;
};

static void wait_free(struct agent_wait *w)
{
	if (w->id)
		core_wait_end(w->agent->core, w->id);
	loop_timer_set(&w->agent->loop, &w->timer, LOOP_NEVER);
	LIST_REMOVE(w, entry);
	free(w);
}

/* Takes ownership of the answer. */
static void wait_answer(struct agent_wait *w, json_t *answer)
{
	struct control_client *client = w->client;

	wait_free(w);
	control_set_data(client, NULL);
	control_answer(client, answer);
}

void agent_wait_gone(void *data)
{
	wait_free(data);
}

void agent_waits_release(struct agent *a)
{
	while (!LIST_EMPTY(&a->waits))
		wait_answer(LIST_FIRST(&a->waits),
			    control_error(-ECANCELED, CONTROL_FAILED,
					  "the daemon ends"));
}

static void wait_timer(struct loop_timer *t, uint64_t now_ms)
{
	(void)t;
	(void)now_ms;
}

static json_t *paused_error(void)
{
	return control_error(-EHOSTUNREACH, CONTROL_UNREACHED, "this node is "
			     "paused; `kin resume` restarts the exchange");
}

static int parse(const json_t *request, double *ret_timeout_s,
		 bool *ret_connected_only)
{
	const json_t *timeout = json_object_get(request, "timeout");
	const json_t *peers = json_object_get(request, "peers");
	const char *text = peers ? json_string_value(peers) : "all";

	*ret_timeout_s = timeout ? json_number_value(timeout) :
				   TIMEOUT_S_DEFAULT;
	if ((timeout && !json_is_number(timeout)) || !text ||
	    !(*ret_timeout_s >= 0 && *ret_timeout_s <= TIMEOUT_S_MAX))
		return -EINVAL;
	*ret_connected_only = !strcmp(text, "connected");
	return *ret_connected_only || !strcmp(text, "all") ? 0 : -EINVAL;
}

void agent_wait_start(struct agent *a, struct control_client *client,
		      const json_t *request)
{
	struct agent_wait *w;
	bool connected_only;
	double timeout_s;

	if (parse(request, &timeout_s, &connected_only)) {
		control_answer(client, control_error(-EINVAL, CONTROL_USAGE,
			"timeout is a number of seconds, peers is \"all\" or "
			"\"connected\""));
		return;
	}
	if (a->paused) {
		control_answer(client, paused_error());
		return;
	}
	w = calloc(1, sizeof(*w));
	if (!w) {
		control_answer(client, control_error(-ENOMEM, CONTROL_FAILED,
						     "out of memory"));
		return;
	}
	*w = (struct agent_wait){
		.agent = a,
		.client = client,
		.ticket = settle_ask(&a->settle),
		.connected_only = connected_only,
		.deadline_ms = sys_now_ms() + (uint64_t)(timeout_s * 1000),
		.timer.fn = wait_timer,
	};
	LIST_INSERT_HEAD(&a->waits, w, entry);
	loop_timer_set(&a->loop, &w->timer, w->deadline_ms);
	control_set_data(client, w);
}

/* ---- what is missing */

static bool is_reachable(struct agent *a, const struct core_wait_missing *m)
{
	return m->self || m->answered || link_to(a, &m->device);
}

static json_t *missing_json(const struct core_wait_missing *m, size_t n)
{
	json_t *list = json_array();

	for (size_t i = 0; i < n; i++) {
		char id[DEVICE_TEXT_BYTES];

		device_format(&m[i].device, id);
		json_array_append_new(list, json_pack(
			"{s:s, s:s, s:b, s:I}", "label", m[i].label, "id", id,
			"answered", m[i].answered, "changes",
			(json_int_t)m[i].changes));
	}
	return list;
}

static void describe(struct agent *a, const struct core_wait_missing *m,
		     size_t n, struct buf *ret)
{
	buf_printf(ret, "not everywhere in time: ");
	for (size_t i = 0; i < n; i++) {
		buf_printf(ret, "%s", i ? "; " : "");
		if (m[i].self)
			buf_printf(ret, "this node has not shown %llu "
				   "changes yet",
				   (unsigned long long)m[i].changes);
		else if (!is_reachable(a, &m[i]))
			buf_printf(ret, "%s was not reachable", m[i].label);
		else if (!m[i].answered)
			buf_printf(ret, "%s did not answer", m[i].label);
		else
			buf_printf(ret, "%s lacks %llu changes", m[i].label,
				   (unsigned long long)m[i].changes);
	}
	if (!n)
		buf_printf(ret, "the last answers came too late");
	buf_put_u8(ret, 0);
}

static void wait_late(struct agent_wait *w)
{
	struct agent *a = w->agent;
	autofree struct core_wait_missing *m = calloc(MEMBERS_MAX + 1,
						      sizeof(*m));
	cleanup(buf_release) struct buf text = BUF_INIT;
	enum control_exit exit_code = CONTROL_FAILED;
	json_t *answer;
	size_t n;

	if (!m) {
		wait_answer(w, control_error(-ETIMEDOUT, CONTROL_FAILED,
					     "not everywhere in time"));
		return;
	}
	n = core_wait_missing(a->core, w->id, m, MEMBERS_MAX + 1);
	for (size_t i = 0; i < n; i++)
		if (!is_reachable(a, &m[i]))
			exit_code = CONTROL_UNREACHED;
	describe(a, m, n, &text);
	answer = control_error(exit_code == CONTROL_UNREACHED ? -EHOSTUNREACH :
							     -ETIMEDOUT,
			       exit_code, "%s", buf_error(&text) ?
			       "not everywhere in time" : (char *)text.data);
	json_object_set_new(answer, "missing", missing_json(m, n));
	wait_answer(w, answer);
}

/* ---- polling */

static void wait_poll(struct agent_wait *w, uint64_t now_ms)
{
	struct agent *a = w->agent;
	int r;

	if (a->paused) {
		wait_answer(w, paused_error());
		return;
	}
	if (!w->id) {
		r = settle_done(&a->settle, w->ticket);
		if (r > 0) {
			r = core_wait_begin(a->core, now_ms,
					    w->connected_only);
			w->id = MAX_OF(r, 0);
			/* What the core queued by that goes out now. */
			loop_poke(&a->loop);
		}
		if (r < 0) {
			wait_answer(w, control_error(r, CONTROL_FAILED,
				"cannot wait: %s", strerror(-r)));
			return;
		}
	}
	if (w->id && core_wait_state(a->core, w->id) == CORE_WAIT_DONE)
		wait_answer(w, json_pack("{s:b}", "ok", 1));
	else if (now_ms >= w->deadline_ms && !w->id)
		wait_answer(w, control_error(-ETIMEDOUT, CONTROL_FAILED,
			"the files written here were not cut in time"));
	else if (now_ms >= w->deadline_ms)
		wait_late(w);
}

void agent_waits_poll(struct agent *a, uint64_t now_ms)
{
	struct agent_wait *w, *next;

	for (w = LIST_FIRST(&a->waits); w; w = next) {
		next = LIST_NEXT(w, entry);
		wait_poll(w, now_ms);
	}
}
