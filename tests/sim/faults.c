/* SPDX-License-Identifier: Apache-2.0 */
/* One function for each kind of fault; all is drawn from faults.rng. */
#include "tests/sim/faults.h"

#include "tests/sim/backup.h"

/* A wall clock jumps this far at most, both ways. */
#define YEAR_MS (365ll * 24 * 3600 * 1000)
#define JUMP_YEARS_MAX 10

void faults_init(struct faults *f, struct cluster *c, struct ops *o,
		 const struct profile *p)
{
	*f = (struct faults){.cluster = c, .ops = o, .profile = p};
}

static struct node *random_node(struct faults *f)
{
	return &f->cluster->nodes[rng_below(&f->rng,
					    (uint64_t)f->cluster->node_count)];
}

/* Two nodes; false if they are one. */
static bool random_pair(struct faults *f, int *ret_a, int *ret_b)
{
	*ret_a = random_node(f)->index;
	*ret_b = random_node(f)->index;
	return *ret_a != *ret_b;
}

/* ---- nodes */

static void fault_kill(struct faults *f)
{
	struct node *n = random_node(f);
	uint64_t away_ms = rng_below(&f->rng, 3000);

	if (!n->running)
		return;
	node_kill(n, away_ms);
}

static void fault_power(struct faults *f)
{
	struct node *n = random_node(f);
	uint64_t away_ms = rng_below(&f->rng, 3000);

	if (n->running && f->cluster->options.disks)
		node_cut_power(n, away_ms);
}

/* It is killed at one of the next writes or syncs, whatever it does then. */
static void fault_kill_inside(struct faults *f)
{
	struct node *n = random_node(f);

	if (n->running)
		disk_freeze_in(&n->disk, rng_between(&f->rng, 1, 40));
}

static void disk_becomes(struct faults *f, enum disk_state state,
			 const char *what)
{
	struct node *n = random_node(f);

	if (!n->disk.used || !n->running || n->disk.state == state)
		return;
	n->disk.state = state;
	n->was_full |= state == DISK_FULL;
	cluster_say(f->cluster, "disk of node %d is %s", n->index, what);
}

static void fault_full(struct faults *f)
{
	disk_becomes(f, DISK_FULL, "full");
}

static void fault_broken(struct faults *f)
{
	disk_becomes(f, DISK_BROKEN, "failing");
}

/* The disk is well again. If the store has failed, somebody restarts it. */
static void fault_room(struct faults *f)
{
	disk_becomes(f, DISK_WELL, "well");
}

/* A wall clock is set: by seconds, or by years. The monotonic one goes on. */
static void fault_clock(struct faults *f)
{
	struct node *n = random_node(f);
	int64_t range = rng_one_in(&f->rng, 2) ? JUMP_YEARS_MAX * YEAR_MS
					       : 20 * 60 * 1000;
	int64_t skew = (int64_t)rng_below(&f->rng, (uint64_t)range * 2) - range;

	n->skew_ms = rng_one_in(&f->rng, 4) ? 0 : skew;
	cluster_say(f->cluster, "clock of node %d is %lld s off", n->index,
		    (long long)n->skew_ms / 1000);
}

static bool node_let_in(struct faults *f, struct node *n)
{
	uint64_t from = rng_below(&f->rng, (uint64_t)f->cluster->node_count);

	for (int i = 0; i < f->cluster->node_count; i++) {
		struct node *by =
			&f->cluster->nodes[(from + (uint64_t)i) %
					   (uint64_t)f->cluster->node_count];

		/* (Who is about to die lets in nobody who would know.) */
		if (!by->running || node_is_sick(by) || by->disk.freeze_in)
			continue;
		cluster_connect(f->cluster, by->index, n->index);
		node_join(n, by);
		return true;
	}
	return false;
}

/* A node comes that was not there from the start. */
static void fault_join(struct faults *f)
{
	for (int i = 0; i < f->cluster->node_count; i++) {
		struct node *n = &f->cluster->nodes[i];

		if (!n->joined) {
			node_let_in(f, n);
			return;
		}
	}
}

/* ---- copies of stores */

/* While it runs, as a snapshot does, or after a clean end. */
static void fault_backup(struct faults *f)
{
	struct node *n = random_node(f);
	bool stop = rng_one_in(&f->rng, 2);
	uint64_t away_ms = rng_below(&f->rng, 2000);

	if (!n->running || node_is_sick(n) || n->disk.freeze_in)
		return;
	if (stop)
		node_stop(n, away_ms);
	node_back_up(n);
}

/*
 * Not everything is a fault of ours: content that others only know of is lost
 * with the disk, and who was let in since the backup was made is a stranger
 * to the restored store, until a third one tells it of him.
 */
static bool may_lose_disk(struct cluster *c, const struct node *n)
{
	for (int i = 0; i < c->node_count; i++) {
		const struct node *m = &c->nodes[i];
		struct replica_debt debt;
		int r;

		if (!m->joined || m == n)
			continue;
		if (!m->running || m->join_ms >= n->backup_ms ||
		    core_is_applying(m->core))
			return false;
		store_lock(m->store);
		r = replica_debt(m->tree, &debt);
		store_unlock(m->store);
		if (r < 0 || debt.objects)
			return false;
	}
	return true;
}

static void fault_restore(struct faults *f)
{
	struct node *n = random_node(f);
	uint64_t away_ms = rng_below(&f->rng, 3000);
	bool shows = rng_one_in(&f->rng, 3);

	if (!n->running || !node_has_backup(n) ||
	    !may_lose_disk(f->cluster, n))
		return;
	node_kill(n, away_ms);
	node_bring_back(n);
	n->is_copy = shows;
	oracle_restored(f->ops->oracle, n, n->backup_ms);
}

/* A machine is set up with a copy of another one's store. */
static void fault_clone(struct faults *f)
{
	struct node *by = random_node(f), *n = NULL;
	int to = random_node(f)->index;
	bool shows = rng_one_in(&f->rng, 3);

	for (int i = 0; i < f->cluster->node_count; i++)
		if (!f->cluster->nodes[i].joined)
			n = &f->cluster->nodes[i];
	if (!n || !by->running || node_is_sick(by) || by->disk.freeze_in)
		return;
	n->is_copy = shows;
	cluster_connect(f->cluster, by->index, n->index);
	if (to != n->index)
		cluster_connect(f->cluster, to, n->index);
	node_join_by_copy(n, by);
}

/* ---- the network */

static void fault_cut(struct faults *f)
{
	int a, b;

	if (random_pair(f, &a, &b))
		cluster_cut(f->cluster, a, b);
}

static void fault_mend(struct faults *f)
{
	int a, b;

	if (random_pair(f, &a, &b))
		cluster_mend(f->cluster, a, b);
}

/* A partition: the first so many on one side. */
static void fault_partition(struct faults *f)
{
	int a = random_node(f)->index;

	for (int i = 0; i < a; i++)
		for (int k = a; k < f->cluster->node_count; k++)
			cluster_cut(f->cluster, i, k);
}

/* A laptop far from all others, and at work. */
static void fault_away(struct faults *f)
{
	int a = random_node(f)->index;

	for (int i = 0; i < f->cluster->node_count; i++)
		if (i != a)
			cluster_cut(f->cluster, i, a);
}

/* A link that only stumbles. */
static void fault_stumble(struct faults *f)
{
	int a, b;

	if (!random_pair(f, &a, &b))
		return;
	cluster_cut(f->cluster, a, b);
	cluster_mend(f->cluster, a, b);
}

/* From now on nothing arrives in one direction; a new connection cannot be
 * made either, until it is mended. */
static void fault_one_way(struct faults *f)
{
	int a, b;

	if (random_pair(f, &a, &b))
		cluster_deafen(f->cluster, a, b);
}

/* After so many bytes more the connection loses all, and later falls. */
static void fault_lose_rest(struct faults *f)
{
	uint64_t bytes =
		rng_below(&f->rng, rng_one_in(&f->rng, 2) ? 500 : 100000);
	int a, b;

	if (random_pair(f, &a, &b))
		cluster_lose_after(f->cluster, a, b, bytes);
}

/* The topology changes: a cable more, or one less that is not needed. */
static void fault_reshape(struct faults *f)
{
	int a, b;

	if (!random_pair(f, &a, &b))
		return;
	cluster_say(f->cluster, "cable %d-%d", a, b);
	if (cluster_wire(f->cluster, a, b)->exists)
		cluster_disconnect(f->cluster, a, b);
	else
		cluster_connect(f->cluster, a, b);
}

/* ---- all together */

#define FAULT_ENTRY(name) fault_##name,
static void (*const functions[FAULT_COUNT])(struct faults *) = {
	FAULTS(FAULT_ENTRY)};

void faults_step(struct faults *f)
{
	enum fault_kind kind = profile_fault(f->profile, rng_next(&f->rng));

	f->count[kind]++;
	functions[kind](f);
}

/* Members that have heard of each other: else they refuse to connect. */
static bool are_acquainted(struct cluster *c, int a, int b)
{
	struct node *x = &c->nodes[a], *y = &c->nodes[b];

	return x->running && y->running &&
	       core_is_member(x->core, &y->device) &&
	       core_is_member(y->core, &x->device);
}

/* One that is reached by a node that is; by cables that are there, or that
 * are put up. */
static bool reach_one(struct cluster *c, bool *reached, bool put_up)
{
	for (int a = 0; a < c->node_count; a++) {
		for (int b = 0; b < c->node_count; b++) {
			if (!reached[a] || reached[b] ||
			    !are_acquainted(c, a, b) ||
			    (!put_up && !cluster_wire(c, a, b)->exists))
				continue;
			cluster_connect(c, a, b);
			reached[b] = true;
			return true;
		}
	}
	return false;
}

/* Cables went: what is left must hang together. */
static void make_whole(struct cluster *c)
{
	bool reached[CLUSTER_NODES_MAX] = {true};

	while (reach_one(c, reached, false) || reach_one(c, reached, true))
		;
}

/* (One may have been killed in something only now.) */
static bool all_run(const struct cluster *c)
{
	for (int i = 0; i < c->node_count; i++)
		if (c->nodes[i].joined && !c->nodes[i].running)
			return false;
	return true;
}

void faults_heal(struct faults *f)
{
	struct cluster *c = f->cluster;

	for (int a = 0; a < c->node_count; a++) {
		struct node *n = &c->nodes[a];

		n->disk.state = DISK_WELL;
		disk_freeze_in(&n->disk, 0);
		/* (in the closing of its handles) */
		node_reap(n);
		/* A store that has failed stays so until a restart. */
		if (n->running && n->disk.hurt)
			node_kill(n, 0);
		if (n->joined && !n->running)
			n->start_ms = MIN_OF(n->start_ms, c->now_ms + 10);
		for (int b = a + 1; b < c->node_count; b++)
			cluster_mend(c, a, b);
	}
	while (!cluster_failed(c) && !all_run(c))
		cluster_run(c, c->now_ms + 20);
	for (int a = 0; a < c->node_count && !cluster_failed(c); a++)
		if (!c->nodes[a].joined && !node_let_in(f, &c->nodes[a]))
			cluster_fail(c, "nobody lets node %d in", a);
	make_whole(c);
	cluster_say(c, "healed");
}
