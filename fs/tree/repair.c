/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The union of two rows. What both hold stays as it is. What one holds is
 * *re-stamped*: a new dot of this node, hlc and value as they were, so that
 * order between versions, seniority of names and ranks stay; of a CONTENT
 * the old dot becomes its newest ancestor. So a stale content that only one
 * side held is seen to be an ancestor of the one that replaced it, and makes
 * no conflict (info.h: a reverted branch).
 *
 * Each version gets a dot of its own: two CONTENT versions under one dot
 * would be one.
 */
#include "fs/tree/repair.h"

#include <errno.h>

#include "fs/tree/tree_internal.h"

static uint8_t kind_of(const struct object *o)
{
	for (size_t k = 0; k < o->count; k++)
		if (o->versions[k].reg == REG_KIND)
			return o->versions[k].kind.kind;
	return 0;
}

/* Adds to `into` what `from` holds and `other` does not. */
static int add_alone(struct tree *t, struct object *into,
		     const struct object *from, const struct object *other)
{
	int n = 0;

	for (size_t k = 0; k < from->count; k++) {
		struct version v = from->versions[k];
		int r = 0;

		if (object_find(other, &v) >= 0)
			continue;
		/* Equal by construction: one is enough. */
		if (v.reg == REG_KIND && kind_of(into))
			continue;
		if (v.reg == REG_CONTENT)
			r = restamp_trail(into, &v);
		if (r < 0)
			return r;
		op_tick_again(t);
		v.dot = t->op_dot;
		if (!object_add(into, &v))
			return -ENOMEM;
		n++;
	}
	return n;
}

static int make_union(struct tree *t, const struct object *mine,
		      const struct object *theirs, struct object *ret)
{
	int a, b;

	for (size_t k = 0; k < mine->count; k++)
		if (object_find(theirs, &mine->versions[k]) >= 0 &&
		    !object_add(ret, &mine->versions[k]))
			return -ENOMEM;
	a = add_alone(t, ret, mine, theirs);
	if (a < 0)
		return a;
	b = add_alone(t, ret, theirs, mine);
	if (b < 0)
		return b;
	return ret->count > ROW_VERSIONS_MAX ? -E2BIG : a + b;
}

int replica_union(struct tree *t, const struct object *theirs)
{
	struct object mine, both;
	int n = 0, r = replica_row_load(t, theirs->id, &mine);

	object_init(&both, theirs->id);
	if (!r && kind_of(&mine) && kind_of(theirs) &&
	    kind_of(&mine) != kind_of(theirs))
		r = -EUCLEAN;
	if (!r)
		r = replica_begin(t);
	if (!r) {
		n = make_union(t, &mine, theirs, &both);
		r = MIN_OF(n, 0);
		if (n > 0)
			r = replica_row_store(t, &both, 0);
		if (!r)
			r = replica_finish(t);
		r = replica_end(t, r);
	}
	object_release(&both);
	object_release(&mine);
	return r ? r : n;
}
