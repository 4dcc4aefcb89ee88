/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Life, clock and events of the cluster. The next event is found by looking
 * at everything: five nodes and ten wires are fewer than a heap would be
 * worth. At one time nodes come before wires, in order of number, so a seed
 * gives one history.
 */
#include "tests/sim/backup.h"
#include "tests/sim/wires.h"

#include <errno.h>
#include <ftw.h>
#include <openssl/evp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/base/hash.h"
#include "fs/store/reclaim.h"
#include "fs/tree/bucket.h"
#include "fs/tree/chain.h"

/* 2025-11-21, in ms: any time will do, but not the machine's. */
#define EPOCH_MS 1763683200000ll

void cluster_fail(struct cluster *c, const char *fmt, ...)
{
	va_list ap;

	if (c->failure[0])
		return;
	va_start(ap, fmt);
	vsnprintf(c->failure, sizeof(c->failure), fmt, ap);
	va_end(ap);
	cluster_say(c, "FAILED %s", c->failure);
}

bool cluster_failed(const struct cluster *c)
{
	return c->failure[0];
}

void cluster_say(struct cluster *c, const char *fmt, ...)
{
	char line[1024];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	n = MIN_OF(n, (int)sizeof(line) - 1);
	c->trace_hash = checksum64(line, (size_t)n, c->trace_hash ^ c->now_ms);
	if (c->options.trace)
		printf("%8llu %s\n", (unsigned long long)c->now_ms, line);
}

/* ---- what a node is given */

static int64_t env_now(void *arg)
{
	struct node *n = arg;

	return (EPOCH_MS + (int64_t)n->cluster->now_ms + n->skew_ms) * 1000000;
}

static uint64_t env_monotonic(void *arg)
{
	struct node *n = arg;

	return (n->cluster->now_ms + 1) * 1000000;
}

static void env_random(void *arg, void *ret, size_t len)
{
	rng_fill(&((struct node *)arg)->rng, ret, len);
}

static int env_sign(void *arg, struct slice message, uint8_t ret[64])
{
	struct node *n = arg;
	EVP_PKEY *key = EVP_PKEY_new_raw_private_key(
		EVP_PKEY_ED25519, NULL, n->secret, sizeof(n->secret));
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	size_t len = 64;
	int ok = key && ctx &&
		 EVP_DigestSignInit(ctx, NULL, NULL, NULL, key) == 1 &&
		 EVP_DigestSign(ctx, ret, &len, message.data, message.len) == 1;

	EVP_MD_CTX_free(ctx);
	EVP_PKEY_free(key);
	return ok ? 0 : -EIO;
}

static void env_members_changed(void *arg)
{
	(void)arg;
}

/* ---- nodes */

static void seen_changed(void *arg)
{
	((struct node *)arg)->changed = true;
}

/* The housekeeper's alarm. */
static void seen_cut(void *arg)
{
	struct node *n = arg;

	n->cut_ms = n->cluster->now_ms;
}

/* (What the oracle reads is not wanted by anybody.) */
static void seen_wanted(void *arg)
{
	struct node *n = arg;

	if (n->core && !n->watched)
		core_wanted(n->core, n->cluster->now_ms);
}

static void seen_applied(void *arg, uint64_t lseq)
{
	struct node *n = arg;

	n->show_lseq = lseq;
	if (n->show_ms == NEVER)
		n->show_ms = n->cluster->now_ms +
			     rng_between(&n->cluster->rng, 0, 30);
}

static int node_open_store(struct node *n)
{
	struct store_options o = {
		.path = n->dir,
		.no_sync = !n->cluster->options.disks,
		.boot_id = n->boot,
		.map_bytes = 1ull << 30,
		.log_bytes = 65536,
		.segment_bytes = 16 << 20,
		.group_max_ops = n->cluster->options.group_ops,
	};

	return store_open(&o, NULL, &n->store);
}

/* `by` lets it in, or it is itself the first; NULL: it has a volume. */
static int node_open_tree(struct node *n, struct node *by)
{
	bool first = n == by;
	uint8_t secret[SECRET_BYTES];
	struct tree_options o = {
		.store = n->store,
		.env = &n->env,
		.volume = n->cluster->volume,
		.user = first ? SLICE_STR("user") : SLICE(NULL, 0),
		.group = first ? SLICE_STR("user") : SLICE(NULL, 0),
		.root_perm = 0755,
		.label = SLICE_STR(n->label),
		.is_copy = n->is_copy,
	};
	struct tree_observer observer = {
		.arg = n,
		.changed = seen_changed,
		.applied = seen_applied,
		.wanted = seen_wanted,
	};
	int r;

	/* What JOINED brings. */
	if (by && !first) {
		store_lock(by->store);
		bucket_secret(by->tree, secret);
		store_unlock(by->store);
		o.secret = secret;
	}
	r = tree_open(&o, &n->tree);
	if (r == 0) {
		tree_observe(n->tree, &observer);
		if (n->cluster->options.history.age_ms)
			replica_set_history(n->tree,
					    &n->cluster->options.history);
		tree_on_cut_wake(n->tree, seen_cut, n);
	}
	return r;
}

static int node_open_core(struct node *n)
{
	struct core_options o = {
		.tree = n->tree,
		.env =
			{
				.arg = n,
				.send = wire_send,
				.close = wire_close,
				.members_changed = env_members_changed,
				.random = env_random,
				.sign = env_sign,
			},
		.device = n->device,
		.has_mount = n->cluster->options.mounts,
		.heartbeat_ms = n->cluster->options.heartbeat_ms,
		.lapse_after_ms = n->cluster->options.lapse_after_ms,
		.purge_settle_ms = n->cluster->options.purge_settle_ms,
		.small_rows = n->cluster->options.small_rows,
		.slice_rows = n->cluster->options.slice_rows,
	};

	return core_new(&o, n->cluster->now_ms, &n->core);
}

/* What it knew, though a branch may have another name now. */
static bool knows_still(struct node *n)
{
	const struct know *k = replica_know(n->tree);
	bool all = true;

	for (size_t i = 0; i < n->durable.count; i++) {
		struct dot d = n->durable.entries[i];
		bool found = know_covers(k, d);
		const struct birth *b;
		size_t births;

		b = chain_births(n->tree, &births);
		for (size_t j = 0; !found && j < births; j++)
			found = b[j].root == chain_root(n->tree, d.origin) &&
				know_get(k, b[j].alias) >= d.seq;
		all &= found;
	}
	return all;
}

static void node_check_durable(struct node *n)
{
	store_lock(n->store);
	if (n->restored)
		kin_assert(!know_copy(&n->durable, replica_know(n->tree)));
	if (!knows_still(n))
		cluster_fail(n->cluster, "node %d forgot what was durable",
			     n->index);
	store_unlock(n->store);
}

void node_note_durable(struct node *n)
{
	store_lock(n->store);
	kin_assert(!know_join(&n->durable, replica_know(n->tree)));
	store_unlock(n->store);
}

bool node_is_sick(const struct node *n)
{
	return n->disk.state != DISK_WELL || n->disk.hurt || n->disk.frozen ||
	       (n->store && store_failure(n->store));
}

static void node_started(struct node *n)
{
	n->origin = replica_origin(n->tree);
	n->disk.hurt = false;
	n->running = true;
	n->tick_ms = n->cut_ms = n->cluster->now_ms;
	n->show_ms = n->start_ms = NEVER;
	n->lives++;
}

/* The store opens while its disk is well: it would only be started again. */
static void node_start(struct node *n)
{
	enum disk_state state = n->disk.state;
	uint64_t old_origin = n->origin;
	int r;

	n->disk.state = DISK_WELL;
	r = node_open_store(n);

	if (r == 0)
		r = node_open_tree(n, NULL);
	if (r == 0)
		r = node_open_core(n);
	if (r < 0) {
		cluster_fail(n->cluster, "node %d does not start: %d", n->index,
			     r);
		n->start_ms = NEVER;
		return;
	}
	n->disk.state = state;
	node_started(n);
	cluster_say(n->cluster, "node %d starts", n->index);
	n->changed = false;
	node_check_durable(n);
	n->restored = n->is_copy = false;
	if (n->cluster->on_return)
		n->cluster->on_return(n->cluster->on_change_arg, n, old_origin);
	if (n->cluster->on_change)
		n->cluster->on_change(n->cluster->on_change_arg, n, true);
}

void node_kill(struct node *n, uint64_t away_ms)
{
	struct cluster *c = n->cluster;

	cluster_say(c, "node %d killed", n->index);
	n->running = false;
	/* What it did last may be done, or half done, or not. */
	n->interrupted |= store_failure(n->store) != 0;
	if (c->on_kill)
		c->on_kill(c->on_change_arg, n);
	core_free(n->core);
	tree_close(n->tree);
	store_abandon(n->store);
	n->core = NULL;
	n->tree = NULL;
	n->store = NULL;
	disk_thaw(&n->disk);
	n->start_ms = c->now_ms + away_ms;
	for (int i = 0; i < c->node_count; i++)
		if (i != n->index)
			wire_down(c, cluster_wire(c, i, n->index));
}

void node_cut_power(struct node *n, uint64_t away_ms)
{
	cluster_say(n->cluster, "node %d loses power", n->index);
	node_kill(n, away_ms);
	disk_cut_power(&n->disk);
	if (n->cluster->on_power_cut)
		n->cluster->on_power_cut(n->cluster->on_change_arg, n);
	snprintf(n->boot, sizeof(n->boot), "boot-%u", ++n->boots);
}

bool node_reap(struct node *n)
{
	if (!n->running || !n->disk.frozen || n->busy)
		return false;
	cluster_say(n->cluster, "node %d was killed in it", n->index);
	if (rng_one_in(&n->disk.rng, 2))
		node_cut_power(n, rng_below(&n->disk.rng, 3000));
	else
		node_kill(n, rng_below(&n->disk.rng, 3000));
	return true;
}

static void node_keys(struct node *n)
{
	size_t len = sizeof(n->device.b);
	EVP_PKEY *key;

	rng_fill(&n->rng, n->secret, sizeof(n->secret));
	key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, n->secret,
					   sizeof(n->secret));
	kin_assert(key &&
		   EVP_PKEY_get_raw_public_key(key, n->device.b, &len) == 1);
	EVP_PKEY_free(key);
}

static void node_init(struct cluster *c, int index)
{
	struct node *n = &c->nodes[index];

	n->cluster = c;
	n->index = index;
	n->show_ms = n->start_ms = NEVER;
	rng_init(&n->rng, c->options.seed * 16 + (uint64_t)index + 1);
	rng_init(&n->space_rng, ~(c->options.seed * 16 + (uint64_t)index));
	snprintf(n->dir, sizeof(n->dir), "%s/n%d", c->options.dir, index);
	snprintf(n->label, sizeof(n->label), "node%d", index);
	snprintf(n->boot, sizeof(n->boot), "boot-0");
	n->durable = (struct know)KNOW_INIT;
	if (c->options.disks)
		disk_init(&n->disk, n->dir,
			  c->options.seed * 16 + 8 + (uint64_t)index);
	n->env = (struct tree_env){
		.arg = n,
		.now_ns = env_now,
		.monotonic_ns = env_monotonic,
		.random = env_random,
	};
	node_keys(n);
}

static void node_joined(struct node *n, struct node *by)
{
	struct cluster *c = n->cluster;

	n->joined = true;
	n->join_ms = c->now_ms;
	node_started(n);
	if (n == by)
		return;
	cluster_say(c, "node %d joins by node %d", n->index, by->index);
	by->tick_ms = c->now_ms;
	if (c->on_change)
		c->on_change(c->on_change_arg, n, true);
}

/* Who is let in by himself makes the volume. */
void node_join(struct node *n, struct node *by)
{
	cleanup(buf_release) struct buf records = BUF_INIT;
	struct cluster *c = n->cluster;
	char label[LABEL_BYTES_MAX + 1];
	int r = node_open_store(n);

	if (r == 0)
		r = node_open_tree(n, by);
	if (r == 0 && n != by)
		r = core_admit(by->core, c->now_ms, &n->device,
			       SLICE_STR(n->label), label, &records);
	if (r == 0 && n != by)
		r = core_adopt_members(n->tree, buf_slice(&records), &n->device,
				       &by->device);
	if (r == 0)
		r = node_open_core(n);
	if (r < 0) {
		cluster_fail(c, "node %d cannot join: %d", n->index, r);
		return;
	}
	node_joined(n, by);
}

void node_join_by_copy(struct node *n, struct node *by)
{
	cleanup(buf_release) struct buf records = BUF_INIT;
	struct cluster *c = n->cluster;
	char label[LABEL_BYTES_MAX + 1];
	int r = core_admit(by->core, c->now_ms, &n->device, SLICE_STR(n->label),
			   label, &records);

	if (r == 0)
		r = store_commit(by->store);
	if (r == 0 && !node_copy_store(by, n))
		r = -EIO;
	if (r == 0)
		r = node_open_store(n);
	if (r == 0)
		r = node_open_tree(n, NULL);
	if (r == 0)
		r = node_open_core(n);
	if (r < 0) {
		cluster_fail(c, "node %d cannot join by a copy: %d", n->index,
			     r);
		return;
	}
	n->is_copy = false;
	c->restores++;
	node_joined(n, by);
}

void node_duplicate(struct node *n, struct node *of)
{
	struct cluster *c = n->cluster;
	int r = store_commit(of->store);

	n->device = of->device;
	memcpy(n->secret, of->secret, sizeof(n->secret));
	if (r == 0 && !node_copy_store(of, n))
		r = -EIO;
	if (r == 0)
		r = node_open_store(n);
	if (r == 0)
		r = node_open_tree(n, NULL);
	if (r == 0)
		r = node_open_core(n);
	if (r < 0) {
		cluster_fail(c, "node %d cannot be duplicated: %d", of->index,
			     r);
		return;
	}
	c->restores++;
	n->joined = true;
	n->join_ms = c->now_ms;
	node_started(n);
	cluster_say(c, "node %d is node %d once more", n->index, of->index);
}

/* ---- life */

static int remove_entry(const char *path, const struct stat *st, int type,
			struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

bool cluster_open(struct cluster *c, const struct cluster_options *o)
{
	memset(c, 0, sizeof(*c));
	c->options = *o;
	c->node_count = o->nodes;
	c->now_ms = 1000;
	disk_clock(c->now_ms);
	rng_init(&c->rng, o->seed * 16);
	rng_fill(&c->rng, c->volume.b, sizeof(c->volume.b));
	/* A process that had this one's number may have been killed. */
	nftw(o->dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
	if (mkdir(o->dir, 0700) < 0)
		cluster_fail(c, "cannot make '%s'", o->dir);
	for (int a = 0; a < c->node_count; a++) {
		node_init(c, a);
		for (int b = a + 1; b < c->node_count; b++) {
			struct wire *w = &c->wires[a][b];

			w->a = a;
			w->b = b;
			w->bandwidth = o->bandwidth;
			w->hear_ms[0] = w->hear_ms[1] = NEVER;
			wire_clear(w);
		}
	}
	for (int i = 0; !cluster_failed(c) && i < c->node_count - o->late; i++)
		node_join(&c->nodes[i], &c->nodes[0]);
	return !cluster_failed(c);
}

void cluster_close(struct cluster *c)
{
	for (int i = 0; i < c->node_count; i++) {
		struct node *n = &c->nodes[i];

		core_free(n->core);
		if (n->tree)
			tree_close(n->tree);
		if (n->store)
			store_abandon(n->store);
		disk_release(&n->disk);
		know_release(&n->durable);
		for (int k = i + 1; k < c->node_count; k++) {
			wire_clear(&c->wires[i][k]);
		}
	}
	nftw(c->options.dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

/* ---- events */

static uint64_t node_due(const struct node *n)
{
	if (!n->running)
		return n->start_ms;
	return MIN_OF(MIN_OF(n->tick_ms, n->cut_ms), n->show_ms);
}

static uint64_t cluster_due(struct cluster *c)
{
	uint64_t due = NEVER;

	for (int a = 0; a < c->node_count; a++) {
		due = MIN_OF(due, node_due(&c->nodes[a]));
		for (int b = a + 1; b < c->node_count; b++)
			due = MIN_OF(due, wire_due(c, &c->wires[a][b]));
	}
	return MAX_OF(due, c->now_ms);
}

void node_poke(struct node *n)
{
	struct cluster *c = n->cluster;

	if (n->running && n->changed) {
		n->changed = false;
		core_local_change(n->core, c->now_ms);
		if (c->on_change)
			c->on_change(c->on_change_arg, n, true);
		/* Handles and their cuts may be due earlier now. */
		n->cut_ms = c->now_ms;
	}
	n->tick_ms = MIN_OF(n->tick_ms, c->now_ms);
}

/*
 * What is purged was acknowledged by all that are not lapsed: where nobody
 * lapses, nobody is behind a horizon. (Who purges too early does no other
 * harm that would be seen here: others come back by full streams.)
 */
static void check_horizon(struct node *n)
{
	struct cluster *c = n->cluster;
	const struct know *g = replica_horizon(n->tree);

	if (c->options.late || c->options.lapse_after_ms || c->restores)
		return;
	for (int i = 0; i < c->node_count; i++) {
		struct node *m = &c->nodes[i];

		if (m->running && !node_is_sick(m) &&
		    !know_leq(g, replica_know(m->tree)))
			cluster_fail(c, "node %d purged what node %d has not "
				     "acknowledged", n->index, i);
	}
}

/* A slice of a large cut may have been merged: before anything local. */
static void node_tick(struct node *n)
{
	struct cluster *c = n->cluster;
	struct core_counters before, after;
	bool applying = core_is_applying(n->core);

	core_counters(n->core, &before);
	n->tick_ms = core_tick(n->core, c->now_ms);
	core_counters(n->core, &after);
	if (before.fulls_received != after.fulls_received)
		cluster_say(c, "node %d took a full stream", n->index);
	if (before.rows_purged != after.rows_purged)
		check_horizon(n);
	if (applying || before.cuts_received != after.cuts_received) {
		n->changed = false;
		if (c->on_change)
			c->on_change(c->on_change_arg, n, false);
	}
	/* Programs and faults come between the slices. */
	if (core_is_applying(n->core))
		n->tick_ms = MAX_OF(n->tick_ms,
				    c->now_ms + rng_between(&c->rng, 1, 60));
}

/* One step of a round. False: it is over. */
static bool space_step(struct node *n)
{
	int r = reclaim_step(n->store);

	if (r == 1)
		cluster_say(n->cluster, "node %d gave back space", n->index);
	else if (r && r != -EAGAIN && !node_is_sick(n))
		cluster_fail(n->cluster, "node %d cannot give back space: %d",
			     n->index, r);
	return r == 0;
}

/* What a thread of the daemon does when a round is due: at any time here, and
 * a little of it. */
static void space_run(struct node *n)
{
	struct rng *rng = &n->space_rng;
	struct reclaim_options o = {.now_s = 1};

	if (!n->cluster->options.space)
		return;
	o.slice = (unsigned int)rng_between(rng, 1, 6);
	if (!reclaim_is_running(n->store) &&
	    (!rng_one_in(rng, 30) || reclaim_begin(n->store, &o)))
		return;
	for (uint64_t k = rng_below(rng, 4); k && space_step(n); k--)
		;
}

void cluster_give_back(struct cluster *c)
{
	const struct reclaim_options whole = {.now_s = 1};

	for (int i = 0; !cluster_failed(c) && i < c->node_count; i++) {
		struct node *n = &c->nodes[i];

		if (!n->running || node_is_sick(n))
			continue;
		reclaim_stop(n->store);
		if (reclaim_begin(n->store, &whole))
			cluster_fail(c, "node %d begins no round", i);
		while (space_step(n))
			;
		if (reclaim_is_running(n->store))
			cluster_fail(c, "node %d holds something", i);
	}
}

static void node_run(struct node *n)
{
	struct cluster *c = n->cluster;

	if (!n->running) {
		node_start(n);
		return;
	}
	if (n->cut_ms <= c->now_ms) {
		uint64_t due = tree_cut_due(n->tree);

		n->cut_ms = due == UINT64_MAX
				    ? NEVER
				    : MAX_OF(due / 1000000, c->now_ms + 1);
		node_poke(n);
		n->cut_ms = MAX_OF(n->cut_ms, c->now_ms + 1);
	}
	if (n->show_ms <= c->now_ms) {
		n->show_ms = NEVER;
		core_shown(n->core, c->now_ms, n->show_lseq);
	}
	node_tick(n);
	/* A `wait` of another node may have made versions. */
	if (n->changed)
		node_poke(n);
	if (n->tick_ms < c->now_ms + 1 && !n->changed)
		node_tick(n);
	space_run(n);
}

/* One round of what is due now. */
static void cluster_step(struct cluster *c)
{
	for (int a = 0; a < c->node_count; a++)
		if (node_due(&c->nodes[a]) <= c->now_ms) {
			node_run(&c->nodes[a]);
			node_reap(&c->nodes[a]);
		}
	for (int a = 0; a < c->node_count; a++)
		for (int b = a + 1; b < c->node_count; b++)
			if (wire_due(c, &c->wires[a][b]) <= c->now_ms)
				wire_run(c, &c->wires[a][b]);
}

void cluster_run(struct cluster *c, uint64_t until_ms)
{
	/* Rounds at one instant: a loop of two nodes would be a bug. */
	uint32_t rounds = 0;

	while (!cluster_failed(c)) {
		uint64_t due = cluster_due(c);

		if (due > until_ms)
			break;
		rounds = due == c->now_ms ? rounds + 1 : 0;
		if (rounds > 100000) {
			cluster_fail(c, "time stands still");
			break;
		}
		c->now_ms = due;
		disk_clock(due);
		cluster_step(c);
	}
	c->now_ms = MAX_OF(c->now_ms, until_ms);
	disk_clock(c->now_ms);
}

bool cluster_run_quiet(struct cluster *c, uint64_t quiet_ms, uint64_t limit_ms)
{
	uint64_t limit = c->now_ms + limit_ms;

	/* (later yet: a slow line has something on its way) */
	c->last_busy_ms = MAX_OF(c->last_busy_ms, c->now_ms);
	while (!cluster_failed(c) && c->now_ms < limit) {
		cluster_run(c, MIN_OF(c->last_busy_ms + quiet_ms, limit));
		if (wires_losing(c))
			c->last_busy_ms = c->now_ms;
		if (c->now_ms >= c->last_busy_ms + quiet_ms)
			return true;
	}
	return false;
}

bool cluster_wait(struct cluster *c, int index, uint64_t limit_ms)
{
	struct node *n = &c->nodes[index];
	uint64_t limit = c->now_ms + limit_ms;
	bool done = false;
	int id;

	while (tree_cut_settled(n->tree, 20) > 0 && c->now_ms < limit)
		cluster_run(c, c->now_ms + 5);
	node_poke(n);
	id = core_wait_begin(n->core, c->now_ms,
			     &(struct core_wait_options){.kind = CORE_WAIT_ALL});
	if (id < 0) {
		cluster_fail(c, "wait: %d", id);
		return false;
	}
	while (!cluster_failed(c) && !done && c->now_ms < limit) {
		n->tick_ms = c->now_ms;
		cluster_run(c, c->now_ms + 10);
		if (!n->running)
			return false;
		done = core_wait_state(n->core, id) == CORE_WAIT_DONE;
	}
	core_wait_end(n->core, id);
	return done;
}
