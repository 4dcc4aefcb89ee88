/* SPDX-License-Identifier: Apache-2.0 */
/* Choosing operations, and reading all files at the end. */
#include <stdlib.h>

#include "fs/base/hash.h"
#include "tests/sim/op.h"

#define OP_ENTRY(name) op_##name,
static void (*const operations[OP_COUNT])(struct op *) = {OPS(OP_ENTRY)};

void ops_init(struct ops *o, struct cluster *c, struct truth *t,
	      const struct profile *p)
{
	*o = (struct ops){.cluster = c, .truth = t, .profile = p};
}

void ops_step(struct ops *o)
{
	int at = (int)rng_below(&o->rng, (uint64_t)o->cluster->node_count);
	struct op op = {.ops = o, .node = &o->cluster->nodes[at]};

	if (!op.node->running || !items_take(op.node, &op.before))
		return;
	op.node->busy = true;
	operations[profile_op(o->profile, rng_next(&o->rng))](&op);
	op.node->busy = false;
	if (op.what)
		op_done(&op);
	else
		items_release(&op.before);
	node_reap(op.node);
}

/* ---- the end */

static void check_file(struct ops *o, const struct item *i, uint64_t *hash)
{
	for (int k = 0; k < o->cluster->node_count; k++) {
		struct node *n = &o->cluster->nodes[k];
		struct attr a;
		uint8_t *bytes;
		uint64_t ino, h;
		int64_t len;
		int r = tree_resolve_path(n->tree, SLICE_STR(i->path), &ino);

		if (r == 0)
			r = tree_getattr(n->tree, ino, &a);
		if (r < 0) {
			cluster_fail(o->cluster,
				     "node %d cannot look at "
				     "'%s': %d",
				     k, i->path, r);
			return;
		}
		bytes = malloc(a.size + 1);
		kin_assert(bytes);
		len = tree_read(n->tree, ino, 0, bytes, a.size);
		h = checksum64(bytes, a.size, 1);
		free(bytes);
		if (len != (int64_t)a.size)
			cluster_fail(o->cluster,
				     "node %d reads %lld of "
				     "'%s'",
				     k, (long long)len, i->path);
		else if (k && h != *hash)
			cluster_fail(o->cluster,
				     "node %d reads other bytes "
				     "of '%s'",
				     k, i->path);
		*hash = h;
	}
}

void ops_check_bytes(struct ops *o)
{
	struct items v = {0};
	uint64_t hash = 0;

	if (!items_take(&o->cluster->nodes[0], &v))
		return;
	for (size_t i = 0; i < v.count; i++)
		if (v.list[i].kind == KIND_FILE && !cluster_failed(o->cluster))
			check_file(o, &v.list[i], &hash);
	items_release(&v);
}
