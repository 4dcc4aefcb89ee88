/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one fault that no history explains: a node lost something that it
 * knows. Which object, which loss and which node are drawn; every node asks
 * for the comparison, as `kin verify` would.
 */
#include "tests/sim/damage.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "fs/base/hash.h"
#include "tests/sim/plant.h"

/* To be found, repaired, spread and compared again. */
#define REPAIR_QUIET_MS 10000
#define REPAIR_LIMIT_MS (5 * 60 * 1000)

struct seen {
	uint64_t hash; /* of path, kind and content */
	struct objid id;
	bool sibling;
	char path[300];
};

struct sight {
	struct seen *list;
	size_t count;
};

static int see_entry(void *arg, const struct replica_view_entry *e)
{
	struct sight *s = arg;
	struct seen *list =
		realloc(s->list, (s->count + 1) * sizeof(*s->list));
	struct seen *seen;

	kin_assert(list);
	s->list = list;
	seen = &list[s->count++];
	*seen = (struct seen){.id = e->id, .sibling = e->is_sibling};
	seen->hash = checksum64(e->path.data, e->path.len, e->kind);
	if (e->kind != KIND_DIR && e->content.depth)
		seen->hash = checksum64(e->content.root.b, 32, seen->hash);
	else if (e->kind != KIND_DIR)
		seen->hash = checksum64(e->content.inline_bytes.data,
					e->content.inline_bytes.len,
					seen->hash);
	snprintf(seen->path, sizeof(seen->path), "%.*s", (int)e->path.len,
		 (const char *)e->path.data);
	return 0;
}

static void see(struct node *n, struct sight *ret)
{
	*ret = (struct sight){0};
	if (replica_view(n->tree, see_entry, ret) < 0)
		cluster_fail(n->cluster, "cannot look at node %d", n->index);
}

static bool has(const struct sight *s, uint64_t hash)
{
	for (size_t i = 0; i < s->count; i++)
		if (s->list[i].hash == hash)
			return true;
	return false;
}

static uint64_t divergences(struct cluster *c)
{
	uint64_t sum = 0;

	for (int i = 0; i < c->node_count; i++) {
		struct core_counters n;

		if (!c->nodes[i].running)
			continue;
		core_counters(c->nodes[i].core, &n);
		sum += n.divergences;
	}
	return sum;
}

static bool is_linked(struct cluster *c, int index)
{
	for (int i = 0; i < c->node_count; i++)
		if (i != index && cluster_wire(c, i, index)->up)
			return true;
	return false;
}

static void compare_all(struct cluster *c)
{
	for (int i = 0; i < c->node_count; i++) {
		struct node *n = &c->nodes[i];

		if (!n->running)
			continue;
		core_verify_begin(n->core, c->now_ms);
		core_verify_end(n->core);
		node_poke(n);
	}
	if (!cluster_run_quiet(c, REPAIR_QUIET_MS, REPAIR_LIMIT_MS))
		cluster_fail(c, "does not become quiet after a repair");
}

static void check_sight(struct cluster *c, const struct sight *before)
{
	for (int i = 0; i < c->node_count && !cluster_failed(c); i++) {
		struct sight after;

		if (!c->nodes[i].running)
			continue;
		see(&c->nodes[i], &after);
		for (size_t k = 0; k < before->count; k++)
			if (!has(&after, before->list[k].hash))
				cluster_fail(c, "node %d does not show '%s' "
					     "any more after a repair",
					     i, before->list[k].path);
		free(after.list);
	}
}

void cluster_damage(struct cluster *c)
{
	int index = (int)rng_below(&c->rng, (uint64_t)c->node_count);
	enum plant kind = (enum plant)rng_below(&c->rng, PLANT_KINDS);
	struct node *n = &c->nodes[index];
	uint64_t noticed = divergences(c);
	struct sight before;
	struct seen *what;
	int r;

	if (!n->running || !is_linked(c, index))
		return;
	see(n, &before);
	if (before.count && !cluster_failed(c)) {
		what = &before.list[rng_below(&c->rng, before.count)];
		c->damaged = true;
		r = plant(n->tree, what->id, kind);
		cluster_say(c, "node %d loses of '%s': kind %d, %d", index,
			    what->path, (int)kind, r);
		if (r < 0 && r != -ENODATA)
			cluster_fail(c, "cannot plant: %d", r);
		if (r == 0)
			compare_all(c);
		if (r == 0 && divergences(c) == noticed)
			cluster_fail(c, "nobody noticed what was lost");
		if (r == 0)
			check_sight(c, &before);
		cluster_check_equal(c, true);
		cluster_check_nodes(c);
	}
	free(before.list);
}
