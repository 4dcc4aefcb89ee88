/* SPDX-License-Identifier: Apache-2.0 */
/* Taking back what was decided without asking; the other of two names. */
#include "tests/sim/op.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "fs/tree/decided.h"

/* One of the list by chance, or one that is looked for. */
struct choice {
	struct rng *rng;
	uint64_t seen;
	const char *id; /* NULL: any */
	bool found, is_dir;
	char found_id[DECISION_ID_CHARS + 1];
	enum decision_kind kind;
	char path[PATH_BYTES], lost[PATH_BYTES];
};

static void copy(char ret[PATH_BYTES], struct slice s)
{
	snprintf(ret, PATH_BYTES, "%.*s", (int)s.len, (const char *)s.data);
}

static int look(void *arg, const struct decision *d)
{
	struct choice *p = arg;

	if (p->id ? strcmp(d->id, p->id) != 0
		  : !rng_one_in(p->rng, ++p->seen))
		return 0;
	p->found = true;
	p->is_dir = d->is_dir;
	p->kind = d->kind;
	memcpy(p->found_id, d->id, sizeof(p->found_id));
	copy(p->path, d->path);
	copy(p->lost, d->lost.value);
	return 0;
}

static bool find(struct op *op, const char *id, struct choice *ret)
{
	int r;

	*ret = (struct choice){.rng = &op->ops->rng, .id = id};
	r = tree_decided(op->node->tree, TREE_ROOT_INO, look, ret);
	if (r < 0 && !node_is_sick(op->node))
		cluster_fail(op->ops->cluster, "node %d: decisions: %d",
			     op->node->index, r);
	return r == 0 && ret->found;
}

/* Beside what every operation may meet. */
static void expect(struct op *op, int r)
{
	if (r == -EBUSY || r == -ENOTUNIQ)
		op->r = r;
	else
		op_expect(op, r);
}

/* All that is at the path, also by other claims, may change. */
static void about(struct op *op, const struct choice *p)
{
	const struct item *i = items_at(&op->before, p->path);

	if (i)
		op_subject(op, i->id);
	op->takes = true;
}

/* Lists change as they should: what was taken back is off it. */
static void check_off(struct op *op, const char *id)
{
	struct choice again;

	if (op->r >= 0 && !node_is_sick(op->node) && find(op, id, &again))
		cluster_fail(op->ops->cluster,
			     "node %d %s '%s': it is still on the list",
			     op->node->index, op->what, op->about[0]);
}

void op_undo(struct op *op)
{
	struct choice p;

	if (!find(op, NULL, &p))
		return;
	op_say(op, "undoes", p.path,
	       p.kind == DECISION_RENAME || p.kind == DECISION_CYCLE ? p.lost
								      : "");
	about(op, &p);
	expect(op, tree_undo(op->node->tree, SLICE_STR(p.found_id)));
	check_off(op, p.found_id);
	if (op->r >= 0 && op->about[1][0])
		snprintf(op->shown_path, sizeof(op->shown_path), "%s", p.lost);
}

void op_swap(struct op *op)
{
	struct choice p;
	struct spot s;

	if (!find(op, NULL, &p) || p.kind != DECISION_RENAME ||
	    !spot_find(op->node, p.path, &s))
		return;
	op_say(op, "swaps", p.path, p.lost);
	about(op, &p);
	expect(op,
	       tree_swap(op->node->tree, s.parent, SLICE_STR(s.name)));
	check_off(op, p.found_id);
	if (op->r >= 0 && op->about[1][0])
		snprintf(op->shown_path, sizeof(op->shown_path), "%s", p.lost);
}
