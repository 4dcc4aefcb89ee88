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

/* A sibling that is named by its own dot keeps that name. */
static void keep_name(const struct info *i, const struct version *of,
		      struct version *v)
{
	for (size_t k = 0; k < i->branch_count; k++) {
		const struct branch *b = &i->branches[k];

		if (b->top != of || dot_equal(b->tag, v->content.branch))
			continue;
		v->content.branch = b->tag;
		v->content.branch_hlc = b->tag_hlc;
		v->content.label = b->label;
	}
}

/* Adds to `into` what `from` holds and `other` does not. */
static int add_alone(struct tree *t, struct object *into,
		     const struct info *i, const struct object *other)
{
	const struct object *from = i->object;
	int n = 0;

	for (size_t k = 0; k < from->count; k++) {
		struct version v = from->versions[k];
		int r = 0;

		if (object_find(other, &v) >= 0)
			continue;
		/* Equal by construction: one is enough. */
		if (v.reg == REG_KIND && object_kind(into))
			continue;
		if (v.reg == REG_CONTENT) {
			keep_name(i, &from->versions[k], &v);
			r = restamp_trail(into, &v);
		}
		if (r < 0)
			return r;
		version_renew(t, &v);
		if (!object_add(into, &v))
			return -ENOMEM;
		n++;
	}
	return n;
}

static int make_union(struct tree *t, const struct object *mine,
		      const struct object *theirs, struct object *ret)
{
	struct info here, there;
	int a, b;

	for (size_t k = 0; k < mine->count; k++)
		if (object_find(theirs, &mine->versions[k]) >= 0 &&
		    !object_add(ret, &mine->versions[k]))
			return -ENOMEM;
	if (info_init(&here, mine))
		return -ENOMEM;
	if (info_init(&there, theirs)) {
		info_release(&here);
		return -ENOMEM;
	}
	a = add_alone(t, ret, &here, theirs);
	b = a < 0 ? a : add_alone(t, ret, &there, mine);
	info_release(&here);
	info_release(&there);
	if (b < 0)
		return b;
	return ret->count > ROW_VERSIONS_MAX ? -E2BIG : a + b;
}

int replica_union(struct tree *t, const struct object *theirs)
{
	struct object mine, both;
	int n = 0, r = replica_row_load(t, theirs->id, &mine);

	object_init(&both, theirs->id);
	if (!r && object_kind(&mine) && object_kind(theirs) &&
	    object_kind(&mine) != object_kind(theirs))
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
