/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/history.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/damage.h"
#include "tests/sim/faults.h"
#include "tests/sim/record.h"

/* Less than a stream may stall (PROGRESS_TIMEOUT_MS): where a wire loses
 * nothing, nothing may wait for that. */
/* Longest time to become quiet, simulated: several PING and retry times. */
#define QUIET_LIMIT_MS (20 * 60 * 1000)
#define QUIET_MS 20000
/* Bytes a ms: some rows take as long as a few operations. */
#define NARROW_BANDWIDTH 4
#define WIDE_BANDWIDTH 5000

struct history {
	const struct history_options *options;
	struct history_result *result;
	struct cluster cluster;
	struct truth truth;
	struct oracle oracle;
	struct ops ops;
	struct faults faults;
};

static void look(void *arg, struct node *n, bool local)
{
	struct history *h = arg;

	if (n->running && !n->disk.frozen && !cluster_failed(&h->cluster)) {
		truth_look(&h->truth, n, local);
		record_look(n);
	}
}

static void forget_handles(void *arg, struct node *n)
{
	ops_forget(&((struct history *)arg)->ops, n->index);
}

static void returned(void *arg, struct node *n, uint64_t old_origin)
{
	struct history *h = arg;

	truth_returned(&h->truth, n, old_origin);
	n->interrupted = false;
}

static void lost_power(void *arg, struct node *n)
{
	oracle_lost_power(&((struct history *)arg)->oracle, n);
}

static void make_topology(struct cluster *c)
{
	int n = c->node_count;
	uint64_t kind = rng_below(&c->rng, 5);
	static const char *const names[] = {"chain", "ring", "star",
					    "all to all", "random"};

	cluster_say(c, "%d nodes, %s", n, names[kind]);
	for (int i = 1; i < n; i++) {
		switch (kind) {
		case 0:
		case 1:
			cluster_connect(c, i - 1, i);
			break;
		case 2:
			cluster_connect(c, 0, i);
			break;
		case 3:
			for (int k = 0; k < i; k++)
				cluster_connect(c, k, i);
			break;
		default:
			/* A tree, and some more. */
			cluster_connect(c, (int)rng_below(&c->rng, (uint64_t)i),
					i);
			if (rng_one_in(&c->rng, 2))
				cluster_connect(
					c, (int)rng_below(&c->rng, (uint64_t)i),
					i);
		}
	}
	if (kind == 1 && n > 2)
		cluster_connect(c, 0, n - 1);
}

/* Chance for one action, whatever happened before it. */
static void draw_for(const struct history *h, uint64_t action, struct rng *ret)
{
	rng_init(ret, h->options->seed * 0xd1342543de82ef95 +
			      (action + 1) * 0xaef17502108ef2d9);
}

static bool take_action(struct history *h, uint64_t action)
{
	if (h->options->skip[action])
		return false;
	h->result->did[action] = true;
	return true;
}

static void live(struct history *h)
{
	struct cluster *c = &h->cluster;
	const struct profile *p = h->ops.profile;
	uint64_t steps = rng_between(&c->rng, 40, HISTORY_STEPS_MAX);
	uint64_t pace = rng_one_in(&c->rng, 3) ? 20 : 300;
	uint64_t calm = rng_one_in(&c->rng, 4) ? 1000 : 12;

	if (p->calm)
		calm = p->calm;
	for (uint64_t i = 0; i < steps && !cluster_failed(c); i++) {
		struct rng *rng = &h->faults.rng;
		uint64_t wait_ms;

		draw_for(h, 2 * i, &h->ops.rng);
		h->ops.token = 10000 * (i + 1);
		if (take_action(h, 2 * i))
			ops_step(&h->ops);
		draw_for(h, 2 * i + 1, rng);
		wait_ms = rng_below(rng, pace);
		if (rng_one_in(rng, calm) && take_action(h, 2 * i + 1))
			faults_step(&h->faults);
		cluster_run(c, c->now_ms + wait_ms);
		if (i % 25 == 0) {
			cluster_check_equal(c, false);
			cluster_check_nodes(c);
		}
	}
}

/* When all have acknowledged all, nothing that is dead is left. */
static void check_purged(struct cluster *c)
{
	for (int i = 0; i < c->node_count; i++) {
		struct node *n = &c->nodes[i];
		struct replica_graves g;
		int r;

		if (!n->running)
			continue;
		store_lock(n->store);
		r = replica_graves(n->tree, &g);
		store_unlock(n->store);
		if (r < 0)
			cluster_fail(c, "cannot count the dead: %d", r);
		else if (g.dead > g.held)
			cluster_fail(c, "node %d keeps %llu dead rows", i,
				     (unsigned long long)(g.dead - g.held));
	}
}

/*
 * Members lapse within a history. On a narrow line they would do so in less
 * time than a row takes from one to the other, though all hear of each other,
 * and what is dead need not come to rest then: who has purged it re-stamps
 * what comes of it, for somebody who has purged that meanwhile, for he waits
 * for nobody. So lines are wide in the end; what is on its way takes its time.
 */
static void widen(struct cluster *c)
{
	for (int a = 0; a < c->node_count; a++)
		for (int b = a + 1; b < c->node_count; b++)
			cluster_wire(c, a, b)->bandwidth = WIDE_BANDWIDTH;
}

static void settle(struct history *h)
{
	struct cluster *c = &h->cluster;
	uint64_t quiet_since;

	ops_close_all(&h->ops);
	faults_heal(&h->faults);
	if (h->ops.profile->narrow)
		widen(c);
	if (!cluster_run_quiet(c, QUIET_MS, QUIET_LIMIT_MS))
		cluster_fail(c, "does not become quiet");
	if (c->options.space)
		cluster_give_back(c);
	if (cluster_failed(c))
		return;
	cluster_check_equal(c, true);
	cluster_check_nodes(c);
	oracle_check(&h->oracle);
	truth_check(&h->truth);
	check_purged(c);
	if (!cluster_wait(c, (int)rng_below(&c->rng, (uint64_t)c->node_count),
			  30000) && !cluster_waits_in_vain(c))
		cluster_fail(c, "a wait does not end");
	cluster_run(c, c->now_ms + 2000);
	quiet_since = c->last_busy_ms;
	cluster_run(c, c->now_ms + 60000);
	if (c->last_busy_ms != quiet_since)
		cluster_fail(c, "not quiet when idle");
	cluster_check_equal(c, true);
	/* What repair writes again is no content that somebody wrote. */
	c->on_change = NULL;
	if (!cluster_failed(c) && h->options->seed % 3 == 1 &&
	    !h->options->record)
		cluster_damage(c);
}

/* How many nodes, and how good the network is. */
static void draw_cluster(struct rng *rng, struct cluster_options *o)
{
	o->nodes = rng_one_in(rng, 3) ? 2 : (int)rng_between(rng, 3, 5);
	o->late = rng_one_in(rng, 3) ? (int)rng_below(rng, (uint64_t)o->nodes)
				     : 0;
	o->disks = rng_one_in(rng, 2);
	o->mounts = rng_one_in(rng, 2);
	o->delay_max = rng_one_in(rng, 3) ? 300 : 20;
	o->bandwidth = rng_one_in(rng, 3) ? 20 : WIDE_BANDWIDTH;
}

/* Purge at once, and members that lapse within the history. */
static void draw_purge(uint64_t seed, const struct profile *p,
		       struct cluster_options *o)
{
	struct rng rng;

	rng_init(&rng, seed * 16 + 12);
	if (rng_one_in(&rng, 2) || p->lapse)
		o->purge_settle_ms = rng_between(&rng, 1, 500);
	if (rng_one_in(&rng, 2) || p->lapse)
		o->lapse_after_ms = rng_between(&rng, 200, 5000);
}

/* Now and then little is kept, and not for long: things expire all the time.
 * (What is drawn besides stays as it was without.) */
static void draw_limits(uint64_t seed, struct cluster_options *o)
{
	if (seed % 5 != 4)
		return;
	o->history.age_ms = 500 + seed % 7 * 1500;
	o->history.bytes = 1000 + seed % 11 * 20000;
}

/* Large cuts, in slices, must be ordinary here. */
static void draw_slices(uint64_t seed, const struct profile *p,
			struct cluster_options *o)
{
	struct rng rng;

	rng_init(&rng, seed * 16 + 13);
	if (!rng_one_in(&rng, 2) && !p->slices)
		return;
	o->small_rows = (size_t)rng_between(&rng, 1, 6);
	o->slice_rows = (size_t)rng_between(&rng, 1, 3);
}

/* (Of others it would change what their seeds play.) */
static bool draws_space(uint64_t seed)
{
	return seed % 8 >= 6;
}

/* Groups of few operations: power is lost between and within commits. */
static void draw_groups(uint64_t seed, struct cluster_options *o)
{
	struct rng rng;

	rng_init(&rng, seed * 16 + 15);
	o->group_ops = (unsigned int)rng_between(&rng, 1, 40);
}

void history_run(const struct history_options *options,
		 struct history_result *ret)
{
	struct cluster_options o = {.seed = options->seed,
				    .dir = options->dir,
				    .trace = options->trace};
	const struct profile *p = options->profile;
	struct profile plain;
	struct history *h = calloc(1, sizeof(*h));
	struct cluster *c = &h->cluster;
	struct rng rng;

	kin_assert(h);
	memset(ret, 0, sizeof(*ret));
	h->options = options;
	h->result = ret;
	if (!p)
		p = profile_draw(options->seed);
	if (options->record)
		p = profile_plain(p, &plain);
	rng_init(&rng, options->seed);
	draw_cluster(&rng, &o);
	draw_slices(options->seed, p, &o);
	o.disks = !p->plain && (o.disks || p->disks);
	/* (Only who is not there yet can come with a copy.) */
	if (p->forks && !o.late && o.nodes > 2)
		o.late = (int)(options->seed % 2);
	if (p->narrow)
		o.bandwidth = NARROW_BANDWIDTH;
	if (p->groups)
		draw_groups(options->seed, &o);
	draw_purge(options->seed, p, &o);
	o.space = !options->record &&
		  (p->space || (!options->profile && draws_space(o.seed)));
	draw_limits(options->seed, &o);
	/* (full streams cannot be told) */
	if (p->plain)
		o.lapse_after_ms = 0;
	truth_init(&h->truth, c);
	h->truth.blind = p->forks;
	oracle_init(&h->oracle, c);
	if (cluster_open(c, &o)) {
		c->on_change = look;
		c->on_kill = forget_handles;
		c->on_return = returned;
		c->on_power_cut = lost_power;
		c->on_change_arg = h;
		cluster_say(c, "profile %s", p->name);
		if (options->record)
			record_begin(c, options->record);
		ops_init(&h->ops, c, &h->truth, &h->oracle, p);
		faults_init(&h->faults, c, &h->ops, p);
		for (int i = 0; i < c->node_count; i++) {
			c->nodes[i].skew_ms =
				rng_one_in(&rng, 4)
					? (int64_t)rng_below(&rng, 600000) -
						  300000
					: 0;
			look(h, &c->nodes[i], true);
		}
		make_topology(c);
		live(h);
		if (!cluster_failed(c))
			settle(h);
		if (options->record)
			record_end();
	}
	ret->ops = h->ops.done;
	ret->hash = c->trace_hash;
	ret->frames = c->frames;
	for (int i = 0; i < FAULT_COUNT; i++)
		ret->faults += h->faults.count[i];
	memcpy(ret->failure, c->failure, sizeof(ret->failure));
	truth_release(&h->truth);
	oracle_release(&h->oracle);
	cluster_close(c);
	free(h);
}
