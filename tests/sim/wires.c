/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cables, and connections over them, as TCP gives them: frames arrive in
 * order, after a delay and as fast as the bandwidth allows, or the connection
 * breaks and all that was on its way is lost.
 */
#include "tests/sim/wires.h"

#include <stdlib.h>
#include <string.h>

#include "replication/core/wire.h"

/* How often a node hears that a long frame is still coming in. */
#define COMING_MS 5000

struct wire *cluster_wire(struct cluster *c, int a, int b)
{
	return a < b ? &c->wires[a][b] : &c->wires[b][a];
}

static struct wire *wire_of_link(struct cluster *c, link_id link)
{
	for (int a = 0; a < c->node_count; a++)
		for (int b = a + 1; b < c->node_count; b++)
			if (c->wires[a][b].up && c->wires[a][b].link == link)
				return &c->wires[a][b];
	return NULL;
}

static void pipe_clear(struct pipe *p)
{
	while (p->first) {
		struct packet *next = p->first->next;

		free(p->first);
		p->first = next;
	}
	p->last = &p->first;
	p->sent_ms = p->arrive_ms = p->told_ms = 0;
	p->lost = false;
	p->lose_after = NEVER;
}

void wire_clear(struct wire *w)
{
	pipe_clear(&w->pipe[0]);
	pipe_clear(&w->pipe[1]);
	w->fall_ms = NEVER;
}

static size_t pipe_queued(const struct pipe *p, uint64_t now_ms)
{
	size_t bytes = 0;

	for (const struct packet *k = p->first; k; k = k->next)
		if (k->sent_ms > now_ms)
			bytes += k->len;
	return bytes;
}

/* Does it get lost? Then so does all that follows, and at last somebody
 * notices, or the system gives up. */
static bool pipe_loses(struct cluster *c, struct wire *w, struct pipe *p,
		       size_t len)
{
	if (p->deaf || len > p->lose_after)
		p->lost = true;
	if (p->lose_after != NEVER)
		p->lose_after -= MIN_OF(p->lose_after, len);
	if (p->lost && w->fall_ms == NEVER)
		w->fall_ms = c->now_ms + rng_between(&c->rng, 0, 90000);
	return p->lost;
}

void wire_send(void *arg, link_id link, struct slice frame)
{
	struct node *n = arg;
	struct cluster *c = n->cluster;
	struct wire *w = wire_of_link(c, link);
	struct pipe *p;
	struct packet *k;

	/* (Who is dead and does not know it sends nothing.) */
	if (!w || w->closing || n->disk.frozen)
		return;
	p = &w->pipe[n->index == w->b];
	if (pipe_loses(c, w, p, frame.len)) {
		cluster_say(c, "%d>%d lost", n->index,
			    n->index == w->a ? w->b : w->a);
		return;
	}
	k = malloc(sizeof(*k) + frame.len);
	kin_assert(k);
	k->next = NULL;
	k->len = frame.len;
	memcpy(k->bytes, frame.data, frame.len);
	k->begin_ms = MAX_OF(p->sent_ms, c->now_ms);
	p->sent_ms = k->begin_ms + frame.len / w->bandwidth;
	k->sent_ms = p->sent_ms;
	p->arrive_ms = MAX_OF(p->arrive_ms, k->sent_ms + w->delay_ms);
	k->arrive_ms = p->arrive_ms;
	*p->last = k;
	p->last = &k->next;
	c->frames++;
	/* (the last of a slow line is busy until it is there) */
	if (frame.data[4] != FRAME_PING && frame.data[4] != FRAME_PONG &&
	    frame.data[4] != FRAME_HEAD)
		c->last_busy_ms = MAX_OF(c->last_busy_ms, p->arrive_ms);
	cluster_say(c, "%d>%d %d %zu", n->index, n->index == w->a ? w->b : w->a,
		    frame.data[4], frame.len);
	core_link_queued(n->core, link, pipe_queued(p, c->now_ms));
}

static void wire_tell(struct cluster *c, struct wire *w, int side)
{
	struct node *n = &c->nodes[side ? w->b : w->a];

	w->hear_ms[side] = NEVER;
	if (!n->running)
		return;
	cluster_say(c, "node %d hears of it", n->index);
	core_link_down(n->core, c->now_ms, w->old_link);
	n->tick_ms = c->now_ms;
}

void wire_down(struct cluster *c, struct wire *w)
{
	bool closing = w->closing;

	/* Who was killed hears of nothing any more. */
	for (int side = 0; side < 2; side++)
		if (!c->nodes[side ? w->b : w->a].running)
			w->hear_ms[side] = NEVER;
	if (!w->up)
		return;
	w->up = w->closing = false;
	wire_clear(w);
	w->old_link = w->link;
	w->connect_ms = c->now_ms + rng_between(&c->rng, 20, 500);
	cluster_say(c, "link %d-%d down", w->a, w->b);
	/* Not quiet yet: it comes back. */
	c->last_busy_ms = MAX_OF(c->last_busy_ms, c->now_ms);
	for (int side = 0; side < 2; side++) {
		if (closing || !rng_one_in(&c->rng, 3))
			wire_tell(c, w, side);
		else if (c->nodes[side ? w->b : w->a].running)
			/* It still believes in it for a while. */
			w->hear_ms[side] = c->now_ms + rng_below(&c->rng, 3000);
	}
}

void wire_close(void *arg, link_id link, const char *why)
{
	struct node *n = arg;
	struct wire *w = wire_of_link(n->cluster, link);

	cluster_say(n->cluster, "%d closes %d-%d: %s", n->index, w ? w->a : -1,
		    w ? w->b : -1, why);
	/* Shipped cores find no fault in each other. */
	if (!strncmp(why, "bad ", 4) && !n->cluster->options.bad_frames)
		cluster_fail(n->cluster, "node %d closes a link: %s", n->index,
			     why);
	if (w)
		w->closing = true;
}

static void wire_up(struct cluster *c, struct wire *w)
{
	struct node *a = &c->nodes[w->a], *b = &c->nodes[w->b];
	int r;

	/* Who has not heard of the other refuses it, in TLS. */
	if (!core_is_member(a->core, &b->device) ||
	    !core_is_member(b->core, &a->device)) {
		w->connect_ms = c->now_ms + 500;
		return;
	}
	w->up = true;
	w->closing = false;
	w->link = ++c->last_link;
	w->delay_ms = (uint32_t)rng_between(&c->rng, 1, c->options.delay_max);
	cluster_say(c, "link %d-%d up", w->a, w->b);
	r = core_link_up(a->core, c->now_ms, w->link, &b->device);
	if (r == 0)
		r = core_link_up(b->core, c->now_ms, w->link, &a->device);
	if (r < 0 && !node_is_sick(a) && !node_is_sick(b))
		cluster_fail(c, "link up: %d", r);
	if (r < 0)
		wire_down(c, w);
	a->tick_ms = b->tick_ms = c->now_ms;
}

void cluster_connect(struct cluster *c, int a, int b)
{
	struct wire *w = cluster_wire(c, a, b);

	w->exists = true;
}

void cluster_disconnect(struct cluster *c, int a, int b)
{
	struct wire *w = cluster_wire(c, a, b);

	w->exists = false;
	wire_down(c, w);
}

void cluster_cut(struct cluster *c, int a, int b)
{
	struct wire *w = cluster_wire(c, a, b);

	w->cut = true;
	wire_down(c, w);
}

void cluster_mend(struct cluster *c, int a, int b)
{
	struct wire *w = cluster_wire(c, a, b);

	w->cut = false;
	for (int i = 0; i < 2; i++) {
		w->pipe[i].deaf = false;
		/* (What was lost stays so, until the connection falls.) */
		w->pipe[i].lose_after = NEVER;
	}
}

void cluster_deafen(struct cluster *c, int from, int to)
{
	struct wire *w = cluster_wire(c, from, to);

	w->pipe[from == w->b].deaf = true;
}

void cluster_lose_after(struct cluster *c, int from, int to, uint64_t bytes)
{
	struct wire *w = cluster_wire(c, from, to);

	if (w->up)
		w->pipe[from == w->b].lose_after = bytes;
}

bool wires_losing(const struct cluster *c)
{
	for (int a = 0; a < c->node_count; a++) {
		for (int b = a + 1; b < c->node_count; b++) {
			const struct wire *w = &c->wires[a][b];

			if (w->up ? w->pipe[0].lost || w->pipe[1].lost
				  : w->hear_ms[0] != NEVER ||
					    w->hear_ms[1] != NEVER)
				return true;
		}
	}
	return false;
}

/* ---- events */

/* When the receiver hears next of a packet that is coming in; NEVER: it is
 * whole before. */
static uint64_t pipe_coming(const struct wire *w, const struct pipe *p)
{
	const struct packet *k = p->first;
	uint64_t at;

	if (!k)
		return NEVER;
	at = MAX_OF(k->begin_ms + w->delay_ms, p->told_ms) + COMING_MS;
	return at < k->arrive_ms ? at : NEVER;
}

static uint64_t pipe_due(const struct wire *w, const struct pipe *p,
			 uint64_t now_ms)
{
	uint64_t due = p->first ? p->first->arrive_ms : NEVER;

	due = MIN_OF(due, pipe_coming(w, p));

	/* The sender hears when its queue falls. */
	for (const struct packet *k = p->first; k; k = k->next)
		if (k->sent_ms > now_ms)
			return MIN_OF(due, k->sent_ms);
	return due;
}

static bool wire_may_connect(const struct cluster *c, const struct wire *w)
{
	return w->exists && !w->cut && !w->up && !w->pipe[0].deaf &&
	       !w->pipe[1].deaf && w->hear_ms[0] == NEVER &&
	       w->hear_ms[1] == NEVER && c->nodes[w->a].running &&
	       c->nodes[w->b].running;
}

uint64_t wire_due(const struct cluster *c, const struct wire *w)
{
	if (wire_may_connect(c, w))
		return w->connect_ms;
	if (!w->up)
		return MIN_OF(w->hear_ms[0], w->hear_ms[1]);
	if (w->closing && !w->pipe[0].first && !w->pipe[1].first)
		return c->now_ms;
	return MIN_OF(w->fall_ms,
		      MIN_OF(pipe_due(w, &w->pipe[0], c->now_ms),
			     pipe_due(w, &w->pipe[1], c->now_ms)));
}

static void pipe_deliver(struct cluster *c, struct wire *w, int direction)
{
	struct pipe *p = &w->pipe[direction];
	struct node *to = &c->nodes[direction ? w->a : w->b];
	struct packet *k = p->first;

	p->first = k->next;
	if (!p->first)
		p->last = &p->first;
	cluster_say(c, "%d<%d %d %zu", to->index, direction ? w->b : w->a,
		    k->bytes[4], k->len);
	/* (what its own tick wrote is not the sender's) */
	node_poke(to);
	core_receive(to->core, c->now_ms, w->link,
		     SLICE(k->bytes + 4, k->len - 4));
	free(k);
	if (node_reap(to))
		return;
	if (c->on_change)
		c->on_change(c->on_change_arg, to, false);
	to->changed = false;
	to->tick_ms = c->now_ms;
}

void wire_run(struct cluster *c, struct wire *w)
{
	if (wire_may_connect(c, w)) {
		if (w->connect_ms <= c->now_ms)
			wire_up(c, w);
		return;
	}
	for (int side = 0; side < 2; side++)
		if (w->hear_ms[side] <= c->now_ms)
			wire_tell(c, w, side);
	if (w->up && w->fall_ms <= c->now_ms)
		wire_down(c, w);
	for (int i = 0; w->up && i < 2; i++) {
		struct node *from = &c->nodes[i ? w->b : w->a];
		struct node *to = &c->nodes[i ? w->a : w->b];
		struct pipe *p = &w->pipe[i];

		if (pipe_coming(w, p) <= c->now_ms) {
			p->told_ms = c->now_ms;
			core_link_coming(to->core, c->now_ms, w->link);
		}

		if (p->first && p->first->arrive_ms <= c->now_ms) {
			pipe_deliver(c, w, i);
			/* (its last event: the sender hears that, too) */
			if (!w->up || p->first)
				continue;
		}
		core_link_queued(from->core, w->link,
				 pipe_queued(p, c->now_ms));
		from->tick_ms = c->now_ms;
	}
	if (w->up && w->closing && !w->pipe[0].first && !w->pipe[1].first)
		wire_down(c, w);
}
