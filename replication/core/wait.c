/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `kin wait`. The asker puts a nonce into its STATUS row; it is a beat of
 * that row, so a later question has a greater nonce, even after a restart.
 * Each member that hears of it makes its unsent writes into versions, and
 * puts (asker, nonce, its K) into its own row. The point in time waited for
 * is the join of all these K and the asker's; it is reached when V of every
 * one of them, and of the asker, covers it. All of this travels as STATUS
 * rows do, so a member need not be linked to the asker.
 *
 * `--fresh N` asks in the same way, and takes the first N answers for its
 * point in time, which only the asker's own V must reach: with writes that
 * wait for W acknowledgements, and W + N greater than the number of members,
 * it sees the last of them. A token is such a point in time that was taken
 * before, perhaps elsewhere: nobody need be asked.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "replication/core/core_internal.h"

static struct wait *wait_find(struct core *c, int id)
{
	for (size_t i = 0; i < WAITS_MAX; i++)
		if (c->waits[i].id == id && id > 0)
			return &c->waits[i];
	return NULL;
}

static void wait_release(struct wait *w)
{
	know_release(&w->target);
	free(w->members);
	*w = (struct wait){0};
}

void waits_release(struct core *c)
{
	for (size_t i = 0; i < WAITS_MAX; i++)
		wait_release(&c->waits[i]);
}

/* ---- asking */

static int wait_members(struct core *c, struct wait *w)
{
	w->members = calloc(c->members.count, sizeof(*w->members));
	if (!w->members)
		return -ENOMEM;
	for (size_t i = 0; i < c->members.count; i++) {
		struct device *d = &c->members.list[i]->member.device;

		if (device_equal(d, &c->self) ||
		    !members_has(&c->members, d) ||
		    (w->kind == CORE_WAIT_LINKED && !peer_of(c, d)))
			continue;
		w->members[w->member_count++].device = *d;
	}
	w->fresh = MIN_OF(w->fresh, w->member_count);
	return 0;
}

static int wait_prepare(struct core *c, struct wait *w,
			const struct core_wait_options *o)
{
	int r;

	w->kind = o->kind;
	if (o->kind == CORE_WAIT_TOKEN)
		return know_copy(&w->target, o->token);
	w->fresh = o->kind == CORE_WAIT_FRESH ? o->fresh : SIZE_MAX;
	r = know_copy(&w->target, &c->own.k);
	return r < 0 ? r : wait_members(c, w);
}

static void wait_ask(struct core *c, struct wait *w)
{
	/* The beat under which the next row will go out. */
	w->nonce = c->own.beat + 1;
	c->own.ask = w->nonce;
	c->publish = true;
	gossip_publish(c);
}

int core_wait_begin(struct core *c, uint64_t now_ms,
		    const struct core_wait_options *o)
{
	struct wait *w = NULL;
	int r;

	c->now_ms = now_ms;
	for (size_t i = 0; !w && i < WAITS_MAX; i++)
		if (!c->waits[i].id)
			w = &c->waits[i];
	if (!w)
		return -E2BIG;
	instant_now(c);
	if (c->failure)
		return c->failure;
	r = wait_prepare(c, w, o);
	if (r < 0) {
		wait_release(w);
		return r;
	}
	if (c->wait_id == INT32_MAX)
		c->wait_id = 0;
	w->id = ++c->wait_id;
	if (o->kind != CORE_WAIT_TOKEN)
		wait_ask(c, w);
	return w->id;
}

int core_knowledge(struct core *c, uint64_t now_ms, struct know *ret)
{
	c->now_ms = now_ms;
	instant_now(c);
	return c->failure ? c->failure : know_copy(ret, &c->own.k);
}

void wait_heard(struct core *c, const struct status *s)
{
	const struct status_answer *a = status_answer_to(s, &c->self);

	for (size_t i = 0; a && i < WAITS_MAX; i++) {
		struct wait *w = &c->waits[i];

		if (!w->id || a->nonce < w->nonce)
			continue;
		for (size_t k = 0; k < w->member_count; k++) {
			struct wait_member *m = &w->members[k];

			if (m->answered ||
			    !device_equal(&m->device, &s->device))
				continue;
			/* A point in time is taken once it is whole. */
			if (w->answers >= w->fresh)
				continue;
			if (know_join(&w->target, &a->k) < 0)
				return; /* asked again at the next row */
			m->answered = true;
			w->answers++;
		}
	}
}

/* Must the others have it too? */
static bool wait_is_for_all(const struct wait *w)
{
	return w->kind == CORE_WAIT_ALL || w->kind == CORE_WAIT_LINKED;
}

enum core_wait_state core_wait_state(struct core *c, int id)
{
	struct wait *w = wait_find(c, id);

	if (!w)
		return CORE_WAIT_PENDING;
	if (w->done)
		return CORE_WAIT_DONE;
	if (w->answers < MIN_OF(w->fresh, w->member_count))
		return CORE_WAIT_PENDING;
	/* Only now is the target whole. */
	for (size_t i = 0; wait_is_for_all(w) && i < w->member_count; i++) {
		struct status *s = status_of(c, &w->members[i].device);

		if (!s || !know_leq(&w->target, &s->v))
			return CORE_WAIT_PENDING;
	}
	if (!know_leq(&w->target, &c->own.v))
		return CORE_WAIT_PENDING;
	w->done = true;
	return CORE_WAIT_DONE;
}

size_t core_wait_missing(struct core *c, int id, struct core_wait_missing *ret,
			 size_t max)
{
	struct wait *w = wait_find(c, id);
	struct know none = KNOW_INIT;
	size_t count = 0;

	for (size_t i = 0; w && i <= w->member_count && count < max; i++) {
		bool self = i == w->member_count;
		const struct device *d =
			self ? &c->self : &w->members[i].device;
		struct status *s = self ? &c->own : status_of(c, d);
		struct member_entry *e = members_find(&c->members, d);
		struct core_wait_missing *m = &ret[count];

		*m = (struct core_wait_missing){
			.device = *d,
			.answered = self || w->members[i].answered,
			.changes = know_lag(&w->target, s ? &s->v : &none),
			.self = self,
		};
		snprintf(m->label, sizeof(m->label), "%s", e ? e->label : "");
		if (!m->answered ||
		    (m->changes && (self || wait_is_for_all(w))))
			count++;
	}
	return count;
}

void core_wait_end(struct core *c, int id)
{
	struct wait *w = wait_find(c, id);

	if (w)
		wait_release(w);
	for (size_t i = 0; i < WAITS_MAX; i++)
		if (c->waits[i].id)
			return;
	/* Said with the next row; nobody needs to hear it now. */
	c->own.ask = 0;
}

/* Who was removed meanwhile is not waited for. */
void waits_forget_removed(struct core *c)
{
	for (size_t i = 0; i < WAITS_MAX; i++) {
		struct wait *w = &c->waits[i];
		size_t kept = 0;

		for (size_t k = 0; k < w->member_count; k++) {
			if (members_has(&c->members, &w->members[k].device))
				w->members[kept++] = w->members[k];
			else if (w->members[k].answered && w->answers)
				w->answers--;
		}
		w->member_count = kept;
	}
}

/* ---- answering */

static bool is_asked(const struct core *c, const struct status *s)
{
	const struct status_answer *a = status_answer_to(&c->own, &s->device);

	return s->ask && (!a || a->nonce < s->ask);
}

static void wait_answer(struct core *c)
{
	instant_now(c);
	for (size_t i = 0; !c->failure && i < c->other_count; i++) {
		const struct status *s = c->others[i];
		int r;

		if (!s->ask) {
			status_drop_answer(&c->own, &s->device);
			continue;
		}
		if (!is_asked(c, s))
			continue;
		r = status_set_answer(&c->own, &s->device, s->ask, &c->own.k);
		if (r < 0)
			core_fail(c, r, "cannot answer a wait");
		c->publish = true;
	}
}

bool wait_tick(struct core *c)
{
	bool asked = false;
	int left;

	for (size_t i = 0; !asked && i < c->other_count; i++)
		asked = is_asked(c, c->others[i]);
	if (!asked)
		return false;
	if (!c->ask_limit_ms) {
		c->ask_limit_ms = c->now_ms + ASK_LIMIT_MS;
		c->ask_next_ms = c->now_ms;
	}
	if (c->now_ms < c->ask_next_ms) {
		core_due(c, c->ask_next_ms);
		return false;
	}
	left = tree_cut_settled(c->tree, ASK_IDLE_MS);
	if (left > 0 && c->now_ms < c->ask_limit_ms) {
		c->ask_next_ms = c->now_ms + ASK_STEP_MS;
		core_due(c, c->ask_next_ms);
		return true;
	}
	/* A file that cannot be cut now must not stop everybody's wait: the
	 * answer is what this node has. */
	c->ask_limit_ms = 0;
	wait_answer(c);
	return true;
}
