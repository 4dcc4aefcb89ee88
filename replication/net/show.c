/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers that wait until the kernel was told. A request that changes what
 * a name or a file shows is answered only when the front has dropped what
 * the kernel remembers of it: who runs `kin resolve FILE` and then reads the
 * file gets what he asked for. A front that is held up (the kernel waits for
 * a page, say) holds the answer up for a moment only.
 */
#include <stdlib.h>

#include "replication/net/agent_internal.h"
#include "replication/net/sys.h"

/* The front needs less than a millisecond, mostly. */
#define SHOW_MS 5000

struct agent_show {
	struct agent *agent;
	struct control_client *client;
	json_t *answer;
	uint64_t lseq;
	uint64_t deadline_ms;
	struct loop_timer timer;	/* so that there is a turn then */
	LIST_ENTRY(agent_show) entry;
};

static void show_free(struct agent_show *s)
{
	loop_timer_set(&s->agent->loop, &s->timer, LOOP_NEVER);
	LIST_REMOVE(s, entry);
	json_decref(s->answer);
	free(s);
}

static void show_answer(struct agent_show *s)
{
	struct control_client *client = s->client;
	json_t *answer = json_incref(s->answer);

	show_free(s);
	control_set_data(client, NULL);
	control_answer(client, answer);
}

static void show_timer(struct loop_timer *t, uint64_t now_ms)
{
	(void)t;
	(void)now_ms;
}

json_t *agent_answer_shown(struct agent *a, struct control_client *client,
			   json_t *answer)
{
	uint64_t lseq = tree_tell_shown(a->tree);
	struct agent_show *s;

	if (!a->has_mount || atomic_load(&a->shown) >= lseq)
		return answer;
	s = calloc(1, sizeof(*s));
	if (!s)
		return answer;
	*s = (struct agent_show){
		.agent = a,
		.client = client,
		.answer = answer,
		.lseq = lseq,
		.deadline_ms = sys_now_ms() + SHOW_MS,
		.timer.fn = show_timer,
	};
	LIST_INSERT_HEAD(&a->shows, s, entry);
	loop_timer_set(&a->loop, &s->timer, s->deadline_ms);
	control_set_data(client, s);
	return json_null();
}

bool agent_show_gone(struct agent *a, void *data)
{
	struct agent_show *s;

	LIST_FOREACH(s, &a->shows, entry) {
		if (s != data)
			continue;
		show_free(s);
		return true;
	}
	return false;
}

void agent_shows_poll(struct agent *a, uint64_t now_ms)
{
	uint64_t shown = atomic_load(&a->shown);
	struct agent_show *s, *next;

	for (s = LIST_FIRST(&a->shows); s; s = next) {
		next = LIST_NEXT(s, entry);
		if (shown >= s->lseq || now_ms >= s->deadline_ms)
			show_answer(s);
	}
}

void agent_shows_release(struct agent *a)
{
	while (!LIST_EMPTY(&a->shows))
		show_answer(LIST_FIRST(&a->shows));
}
