/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The oracle, of files with several names. A content stands at the names
 * that its writer saw (KEEP writes a LINK for each). It may be missing at
 * the end if each of these was removed by somebody who had it, be that two
 * people who removed one each. A re-assertion has no names of its own: its
 * are those of what it repeats, and who removed one of them having all that
 * it repeats has removed that of the re-assertion too.
 *
 * And a name that was removed is away, unless somebody who had not heard of
 * it wrote a LINK for it.
 */
#include "tests/sim/truth.h"

#include <stdlib.h>

static bool has(const struct slots *s, uint64_t slot)
{
	for (size_t i = 0; i < s->count; i++)
		if (s->list[i] == slot)
			return true;
	return false;
}

static void add(struct slots *s, uint64_t slot)
{
	if (has(s, slot))
		return;
	s->list = truth_grow(s->list, s->count, sizeof(*s->list));
	s->list[s->count++] = slot;
}

void names_of(const struct object *row, const struct dot *by,
	      struct slots *ret)
{
	ret->count = 0;
	free(ret->list);
	ret->list = NULL;
	for (size_t i = 0; i < row->count; i++) {
		const struct version *v = &row->versions[i];

		if (v->reg == REG_LINK && (!by || dot_equal(v->dot, *by)))
			add(ret, v->link.slot);
	}
}

void names_touch(struct thing *o, const struct version *link)
{
	struct named n = {link->dot, link->link.slot};

	o->named = truth_grow(o->named, o->named_count, sizeof(*o->named));
	o->named[o->named_count++] = n;
}

static void name_removed(struct thing *o, struct node *n, uint64_t slot,
			 struct dot by)
{
	struct name_removal r = {.by = by, .slot = slot, .k = KNOW_INIT};
	struct holding *had = &o->held[n->index];

	for (size_t i = 0; i < had->count; i++) {
		struct text *x = truth_text(o, had->dots[i]);

		if (!x)
			continue;
		x->unnamed = truth_grow(x->unnamed, x->unnamed_count,
					sizeof(*x->unnamed));
		x->unnamed[x->unnamed_count++] = (struct named){by, slot};
	}
	kin_assert(!know_copy(&r.k, replica_know(n->tree)));
	o->unnamed = truth_grow(o->unnamed, o->unnamed_count,
				sizeof(*o->unnamed));
	o->unnamed[o->unnamed_count++] = r;
}

void names_local(struct thing *o, struct node *n, const struct object *row,
		 struct dot by)
{
	const struct slots *had = &o->held[n->index].slots;
	struct slots now = {0};

	names_of(row, NULL, &now);
	/* (the removal of all is note_removal()'s) */
	for (size_t i = 0; now.count && i < had->count; i++)
		if (!has(&now, had->list[i]))
			name_removed(o, n, had->list[i], by);
	free(now.list);
}

/* Is the slot one of those that the content stands at? */
static bool stands_at(const struct thing *o, const struct text *x,
		      uint64_t slot)
{
	if (!x->soft)
		return has(&x->slots, slot);
	for (size_t i = 0; i < x->repeat_count; i++)
		if (stands_at(o, &o->texts[x->repeats[i]], slot))
			return true;
	return false;
}

static bool was_removed_at(const struct thing *o, const struct text *x,
			   uint64_t slot)
{
	bool all = x->soft;

	for (size_t i = 0; i < x->unnamed_count; i++)
		if (x->unnamed[i].slot == slot && x->unnamed[i].dot.seq)
			return true;
	for (size_t i = 0; all && i < x->repeat_count; i++)
		all = was_removed_at(o, &o->texts[x->repeats[i]], slot);
	return all;
}

bool names_gone(const struct thing *o, const struct text *x)
{
	bool any = false;

	for (size_t i = 0; i < o->named_count; i++) {
		uint64_t slot = o->named[i].slot;

		if (!stands_at(o, x, slot))
			continue;
		any = true;
		if (!was_removed_at(o, x, slot))
			return false;
	}
	return any;
}

static void forget(struct dot *d, uint64_t origin, uint64_t kept)
{
	if (d->origin == origin && d->seq > kept)
		*d = (struct dot){0};
}

void names_forget(struct thing *o, uint64_t origin, uint64_t kept)
{
	for (size_t i = 0; i < o->named_count; i++)
		forget(&o->named[i].dot, origin, kept);
	for (size_t i = 0; i < o->unnamed_count; i++)
		forget(&o->unnamed[i].by, origin, kept);
	for (size_t i = 0; i < o->text_count; i++)
		for (size_t k = 0; k < o->texts[i].unnamed_count; k++)
			forget(&o->texts[i].unnamed[k].dot, origin, kept);
}

static bool is_named_unseen(const struct thing *o,
			    const struct name_removal *r)
{
	for (size_t i = 0; i < o->named_count; i++)
		if (o->named[i].slot == r->slot && o->named[i].dot.seq &&
		    !know_covers(&r->k, o->named[i].dot))
			return true;
	return false;
}

bool names_back(const struct thing *o, const struct info *info)
{
	for (size_t k = 0; k < info->shown_count; k++)
		for (size_t i = 0; i < o->unnamed_count; i++)
			if (o->unnamed[i].slot == info->links[k].slot &&
			    o->unnamed[i].by.seq &&
			    !is_named_unseen(o, &o->unnamed[i]))
				return true;
	return false;
}

void names_free(struct thing *o)
{
	for (size_t i = 0; i < o->text_count; i++) {
		free(o->texts[i].slots.list);
		free(o->texts[i].unnamed);
	}
	for (size_t i = 0; i < o->unnamed_count; i++)
		know_release(&o->unnamed[i].k);
	for (int i = 0; i < CLUSTER_NODES_MAX; i++)
		free(o->held[i].slots.list);
	free(o->named);
	free(o->unnamed);
}
