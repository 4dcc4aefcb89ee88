/* SPDX-License-Identifier: Apache-2.0 */
/* Choosing operations. */
#include "tests/sim/op.h"

#define OP_ENTRY(name) op_##name,
static void (*const operations[OP_COUNT])(struct op *) = {OPS(OP_ENTRY)};

void ops_init(struct ops *o, struct cluster *c, struct truth *t,
	      struct oracle *oracle, const struct profile *p)
{
	*o = (struct ops){.cluster = c,
			  .truth = t,
			  .oracle = oracle,
			  .profile = p};
}

void ops_step(struct ops *o)
{
	int at = (int)rng_below(&o->rng, (uint64_t)o->cluster->node_count);
	struct op op = {.ops = o, .node = &o->cluster->nodes[at]};

	if (!op.node->running || !items_take(op.node, &op.before))
		return;
	oracle_before(o->oracle, op.node);
	op.node->busy = true;
	operations[profile_op(o->profile, rng_next(&o->rng))](&op);
	op.node->busy = false;
	if (op.what)
		op_done(&op);
	else
		items_release(&op.before);
	node_reap(op.node);
}
