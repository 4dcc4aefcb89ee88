/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Heads out, heads in, and what they tell: how stale this node is towards
 * each other one.
 *
 * Of each member the heads are kept that are ahead of what is shown here, a
 * few at most: when V covers the oldest, this node was complete as of its
 * moment, and it is dropped. A member never heard of is unknown, not zero.
 * Heads decide nothing; a restart forgets them.
 *
 * A new head of a member is passed on once, to all links but the one it came
 * from; an older or equal one dies. A forged one dies too, for the cost of
 * a signature check, and only a member's link can bring it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "replication/core/core_internal.h"

/* Heads waiting to be covered. With more the middle ones are dropped, so
 * that the oldest still tells when it is reached. */
#define HEADS_WAITING_MAX 16

struct pulse {
	struct head newest;
	struct head waiting[HEADS_WAITING_MAX]; /* oldest first */
	size_t waiting_count;
	uint64_t complete_hlc; /* shown here: all up to then; 0: unknown */
};

static struct pulse *pulse_of(struct core *c, const struct device *d)
{
	for (size_t i = 0; i < c->pulse_count; i++)
		if (device_equal(&c->pulses[i].newest.device, d))
			return &c->pulses[i];
	return NULL;
}

static struct pulse *pulse_add(struct core *c, const struct device *d)
{
	struct pulse *p = realloc(c->pulses,
				  (c->pulse_count + 1) * sizeof(*p));

	if (!p)
		return NULL;
	c->pulses = p;
	p += c->pulse_count++;
	*p = (struct pulse){.newest.device = *d};
	return p;
}

static void pulse_put(struct pulse *p, const struct head *h)
{
	p->newest = *h;
	if (p->waiting_count == HEADS_WAITING_MAX)
		p->waiting_count--;
	p->waiting[p->waiting_count++] = *h;
}

/* ---- out */

static void head_send(struct core *c, struct peer *p, const struct head *h)
{
	frame_begin(&c->frame, FRAME_HEAD);
	head_encode(h, &c->frame);
	peer_send(c, p);
}

static void head_send_to_all(struct core *c, const struct head *h,
			     const struct peer *but)
{
	for (size_t i = 0; i < c->peer_count; i++) {
		struct peer *p = c->peers[i];

		if (p != but && !p->dead && p->phase == PEER_READY)
			head_send(c, p, h);
	}
}

void heartbeat_greet(struct core *c, struct peer *p)
{
	for (size_t i = 0; i < c->pulse_count; i++)
		if (c->pulses[i].newest.hlc)
			head_send(c, p, &c->pulses[i].newest);
	/* Our own is due now, for it. */
	if (c->heartbeat_ms)
		c->beat_due_ms = c->now_ms;
}

static int head_make(struct core *c, struct head *ret)
{
	cleanup(buf_release) struct buf message = BUF_INIT;
	struct head h = {
		.device = c->self,
		.origin = c->origin,
		/* Durable, and both of one instant. */
		.seq = know_get(&c->own.k, c->origin),
		.hlc = c->synced_hlc,
	};
	int r;

	head_encode_signed(&h, c->members.volume, &message);
	r = buf_error(&message);
	if (r == 0)
		r = c->env.sign(c->env.arg, buf_slice(&message), h.signature);
	*ret = h;
	return r;
}

static bool has_link(const struct core *c)
{
	for (size_t i = 0; i < c->peer_count; i++)
		if (!c->peers[i]->dead && c->peers[i]->phase == PEER_READY)
			return true;
	return false;
}

void heartbeat_tick(struct core *c)
{
	struct head h;
	int r;

	if (!c->heartbeat_ms || !has_link(c))
		return;
	if (c->now_ms >= c->beat_due_ms) {
		core_sync(c);
		if (c->failure)
			return;
		r = head_make(c, &h);
		if (r < 0) {
			core_fail(c, r, "cannot sign a heartbeat");
			return;
		}
		head_send_to_all(c, &h, NULL);
		c->beat_due_ms = c->now_ms + c->heartbeat_ms;
	}
	core_due(c, c->beat_due_ms);
}

/* ---- in */

int heartbeat_frame(struct core *c, struct peer *from, struct reader *r)
{
	struct pulse *p;
	struct head h;
	int e = head_decode(r, &h);

	if (e < 0)
		return e;
	p = pulse_of(c, &h.device);
	if (device_equal(&h.device, &c->self) ||
	    !members_has(&c->members, &h.device) ||
	    (p && h.hlc <= p->newest.hlc))
		return 0;
	e = head_verify(&h, c->members.volume);
	if (e < 0)
		return e;
	if (!p)
		p = pulse_add(c, &h.device);
	if (!p)
		return -ENOMEM;
	pulse_put(p, &h);
	heard_of_head(c, &h.device, h.hlc);
	head_send_to_all(c, &h, from);
	return 0;
}

bool heartbeat_stale(struct core *c, const struct device *device,
		     uint64_t *ret_ms)
{
	struct pulse *p = pulse_of(c, device);
	uint64_t now_ms, then_ms;
	size_t done = 0;

	if (!p)
		return false;
	while (done < p->waiting_count &&
	       know_get(&c->own.v, p->waiting[done].origin) >=
		       p->waiting[done].seq)
		p->complete_hlc = p->waiting[done++].hlc;
	p->waiting_count -= done;
	memmove(p->waiting, p->waiting + done,
		p->waiting_count * sizeof(*p->waiting));
	if (!p->complete_hlc)
		return false;
	store_lock(c->store);
	now_ms = replica_hlc(c->tree) >> 16;
	store_unlock(c->store);
	then_ms = p->complete_hlc >> 16;
	*ret_ms = now_ms > then_ms ? now_ms - then_ms : 0;
	return true;
}
