/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `kin wait` and `kin token`: first the local files are cut (settle.c), then
 * the core takes its point in time. That is all of a token; a wait's state
 * is looked at after every turn of the loop, because only events of the loop
 * can change it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "replication/net/agent_internal.h"
#include "replication/net/sys.h"
#include "replication/net/token.h"

#define TIMEOUT_S_DEFAULT 60.0
/* A year: what is longer is a slip, and would not fit everywhere. */
#define TIMEOUT_S_MAX (366.0 * 24 * 3600)

struct agent_wait {
	struct agent *agent;
	struct control_client *client;
	bool give_token;		/* the answer is a token */
	struct core_wait_options options;
	struct know token;		/* of options */
	bool settling;
	uint64_t ticket;		/* of settling */
	int id;				/* the core's; 0: not begun */
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
	know_release(&w->token);
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

static json_t *token_error(int r)
{
	switch (r) {
	case -EBADMSG:
		return control_error(r, CONTROL_USAGE, "the token is "
				     "mistyped or cut short; `kin token` "
				     "prints it");
	case -EXDEV:
		return control_error(r, CONTROL_USAGE, "the token is of "
				     "another volume");
	case -EPROTONOSUPPORT:
		return control_error(r, CONTROL_USAGE, "the token is of a "
				     "newer kinfs; upgrade this one");
	}
	return control_error(r, CONTROL_FAILED, "cannot read the token: %s",
			     strerror(-r));
}

/* What is to be waited for. NULL, or the complaint. */
static json_t *parse_options(const json_t *request, struct agent_wait *w)
{
	const json_t *peers = json_object_get(request, "peers");
	const json_t *fresh = json_object_get(request, "fresh");
	const json_t *token = json_object_get(request, "token");
	const char *text = peers ? json_string_value(peers) : "all";
	int r;

	if (!text || (strcmp(text, "all") && strcmp(text, "connected")))
		return control_error(-EINVAL, CONTROL_USAGE,
				     "peers is \"all\" or \"connected\"");
	w->options.kind = strcmp(text, "all") ? CORE_WAIT_LINKED :
						CORE_WAIT_ALL;
	if (fresh) {
		if (!json_is_integer(fresh) || json_integer_value(fresh) < 1)
			return control_error(-EINVAL, CONTROL_USAGE,
					     "fresh is a number of nodes");
		w->options.kind = CORE_WAIT_FRESH;
		w->options.fresh = (size_t)json_integer_value(fresh);
	}
	if (!token)
		return NULL;
	w->options.kind = CORE_WAIT_TOKEN;
	w->options.token = &w->token;
	r = json_is_string(token) ?
		    token_decode(SLICE(json_string_value(token),
				       json_string_length(token)),
				 tree_volume(w->agent->tree), &w->token) :
		    -EBADMSG;
	return r ? token_error(r) : NULL;
}

/* NULL, or the complaint. */
static json_t *parse(const json_t *request, struct agent_wait *w)
{
	const json_t *timeout = json_object_get(request, "timeout");
	double timeout_s = timeout ? json_number_value(timeout) :
				     TIMEOUT_S_DEFAULT;

	if ((timeout && !json_is_number(timeout)) ||
	    !(timeout_s >= 0 && timeout_s <= TIMEOUT_S_MAX))
		return control_error(-EINVAL, CONTROL_USAGE,
				     "timeout is a number of seconds");
	w->deadline_ms = sys_now_ms() + (uint64_t)(timeout_s * 1000);
	return w->give_token ? NULL : parse_options(request, w);
}

/* A token that was already reached needs no peer. */
static bool needs_peers(const struct agent_wait *w)
{
	return !w->give_token && w->options.kind != CORE_WAIT_TOKEN;
}

void agent_wait_start(struct agent *a, struct control_client *client,
		      const json_t *request, bool give_token)
{
	struct agent_wait *w = calloc(1, sizeof(*w));
	json_t *error;

	if (!w) {
		control_answer(client, control_error(-ENOMEM, CONTROL_FAILED,
						     "out of memory"));
		return;
	}
	*w = (struct agent_wait){
		.agent = a,
		.client = client,
		.give_token = give_token,
		.timer.fn = wait_timer,
	};
	error = parse(request, w);
	if (!error && a->paused && needs_peers(w))
		error = paused_error();
	if (error) {
		control_answer(client, error);
		know_release(&w->token);
		free(w);
		return;
	}
	/* Whoever waits for what others wrote need not settle what is
	 * written here. */
	w->settling = w->options.kind != CORE_WAIT_TOKEN;
	if (w->settling)
		w->ticket = settle_ask(&a->settle);
	LIST_INSERT_HEAD(&a->waits, w, entry);
	loop_timer_set(&a->loop, &w->timer, w->deadline_ms);
	control_set_data(client, w);
	/* It may be reached already: there is a turn of the loop for it. */
	loop_poke(&a->loop);
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
		     size_t n, bool everywhere, struct buf *ret)
{
	buf_printf(ret, "not %s in time: ", everywhere ? "everywhere" : "here");
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
	describe(a, m, n, needs_peers(w) && w->options.kind != CORE_WAIT_FRESH,
		 &text);
	answer = control_error(exit_code == CONTROL_UNREACHED ? -EHOSTUNREACH :
							     -ETIMEDOUT,
			       exit_code, "%s", buf_error(&text) ?
			       "not everywhere in time" : (char *)text.data);
	json_object_set_new(answer, "missing", missing_json(m, n));
	wait_answer(w, answer);
}

/* ---- polling */

static json_t *token_answer(struct agent *a, uint64_t now_ms)
{
	cleanup(know_release) struct know k = KNOW_INIT;
	cleanup(buf_release) struct buf text = BUF_INIT;
	int r = core_knowledge(a->core, now_ms, &k);

	if (!r)
		r = token_encode(tree_volume(a->tree), &k, &text);
	if (r)
		return control_error(r, CONTROL_FAILED, "cannot make a token: "
				     "%s", strerror(-r));
	return json_pack("{s:b, s:s%}", "ok", 1, "token", text.data,
			 text.len);
}

/* What is written here is cut: take the point in time. True: answered. */
static bool wait_begin(struct agent_wait *w, uint64_t now_ms)
{
	struct agent *a = w->agent;
	int r = w->settling ? settle_done(&a->settle, w->ticket) : 1;

	if (r > 0 && w->give_token) {
		wait_answer(w, token_answer(a, now_ms));
		return true;
	}
	if (r > 0) {
		r = core_wait_begin(a->core, now_ms, &w->options);
		w->id = MAX_OF(r, 0);
		/* What the core queued by that goes out now. */
		loop_poke(&a->loop);
	}
	if (r < 0)
		wait_answer(w, control_error(r, CONTROL_FAILED,
					     "cannot wait: %s", strerror(-r)));
	return r < 0;
}

static void wait_poll(struct agent_wait *w, uint64_t now_ms)
{
	struct agent *a = w->agent;

	if (a->paused && needs_peers(w)) {
		wait_answer(w, paused_error());
		return;
	}
	if (!w->id && wait_begin(w, now_ms))
		return;
	if (w->id && core_wait_state(a->core, w->id) == CORE_WAIT_DONE)
		wait_answer(w, json_pack("{s:b}", "ok", 1));
	else if (now_ms >= w->deadline_ms && !w->id)
		wait_answer(w, control_error(-ETIMEDOUT, CONTROL_FAILED,
			"the files written here were not cut in time"));
	else if (now_ms >= w->deadline_ms && a->paused)
		wait_answer(w, paused_error());
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
