/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The oracle, of nodes that were killed or lost power. What they did and what
 * no sync had made last may never have been: contents that were written so
 * are no loss, and what was replaced or removed so is there again. Which of
 * it is gone is told by the number that the node goes on from. Others must
 * have been told of nothing above it.
 */
#include "tests/sim/truth.h"

#include "fs/tree/replica.h"

static bool is_lost(struct dot dot, uint64_t origin, uint64_t kept)
{
	return dot.origin == origin && dot.seq > kept;
}

static void text_forget(struct text *x, uint64_t origin, uint64_t kept)
{
	size_t left = 0;

	x->lost |= is_lost(x->dot, origin, kept);
	if (x->lost)
		x->dot = (struct dot){0};
	for (size_t i = 0; i < x->again_count; i++)
		if (is_lost(x->again[i], origin, kept))
			x->again[i] = (struct dot){0};
	for (size_t i = 0; i < x->ending_count; i++)
		if (!is_lost(x->endings[i].by, origin, kept))
			x->endings[left++] = x->endings[i];
	x->ending_count = left;
}

static bool has_erased(const struct thing *o, const struct node *n)
{
	for (size_t i = 0; i < o->removal_count; i++)
		if (o->removals[i].erased == n && !o->removals[i].lost)
			return true;
	return false;
}

/* What operations of this origin above that number did, is undone. */
static void thing_forget(struct thing *o, uint64_t origin, uint64_t kept)
{
	for (size_t i = 0; i < o->text_count; i++)
		text_forget(&o->texts[i], origin, kept);
	for (size_t i = 0; i < o->removal_count; i++)
		o->removals[i].lost |=
			is_lost(o->removals[i].by, origin, kept);
	for (size_t i = 0; i < o->touched_count; i++)
		if (is_lost(o->touched[i], origin, kept))
			o->touched[i] = (struct dot){0};
	names_forget(o, origin, kept);
}

/* A peer is told of nothing that may be forgotten. */
static void check_told(struct truth *t, struct node *n, uint64_t origin,
		       uint64_t kept)
{
	for (int i = 0; i < t->cluster->node_count; i++) {
		struct node *m = &t->cluster->nodes[i];

		if (m == n || !m->running)
			continue;
		store_lock(m->store);
		if (know_get(replica_know(m->tree), origin) > kept)
			cluster_fail(t->cluster,
				     "node %d forgot what node %d "
				     "was told",
				     n->index, i);
		store_unlock(m->store);
	}
}

/* That removal did not end it. (What others did, they did.) */
static void text_unend(struct text *x, struct dot by)
{
	size_t n = 0;

	for (size_t i = 0; i < x->ending_count; i++)
		if (!dot_equal(x->endings[i].by, by))
			x->endings[n++] = x->endings[i];
	x->ending_count = n;
}

/* Was it removed without a trace, and is back? Then that was lost too. */
static void look_again(struct truth *t, struct node *n, struct thing *o)
{
	cleanup(object_release) struct object row;
	int r;

	store_lock(n->store);
	r = replica_row_load(n->tree, o->id, &row);
	store_unlock(n->store);
	if (r < 0)
		cluster_fail(t->cluster, "cannot read a row: %d", r);
	if (r < 0 || !truth_has_link(&row, NULL))
		return;
	for (size_t i = 0; i < o->removal_count; i++) {
		if (o->removals[i].erased != n)
			continue;
		o->removals[i].lost = true;
		for (size_t k = 0; k < o->text_count; k++)
			if (truth_has_text(&row, &o->texts[k]))
				text_unend(&o->texts[k], o->removals[i].by);
	}
	truth_hold(o, n, &row);
}

/* What was removed without a trace has no number of its own: that of what
 * came later is noted for it. If it is not back, it is from before. */
static void keep_erased(struct truth *t, struct node *n, struct thing *o,
			uint64_t kept)
{
	cleanup(object_release) struct object row;
	int r;

	store_lock(n->store);
	r = replica_row_load(n->tree, o->id, &row);
	store_unlock(n->store);
	if (r < 0)
		cluster_fail(t->cluster, "cannot read a row: %d", r);
	for (size_t i = 0; !row.count && i < o->removal_count; i++) {
		struct dot by = o->removals[i].by;

		if (o->removals[i].erased != n || by.seq <= kept)
			continue;
		o->removals[i].by.seq = kept;
		for (size_t k = 0; k < o->text_count; k++)
			for (size_t e = 0; e < o->texts[k].ending_count; e++)
				if (dot_equal(o->texts[k].endings[e].by, by))
					o->texts[k].endings[e].by.seq = kept;
	}
}

static bool is_made_from(const struct version *v, const struct text *x)
{
	for (size_t i = 0; i < v->content.anc_count; i++)
		if (dot_equal(v->content.anc[i].dot, x->dot))
			return true;
	return false;
}

/* The node had it when it was looked at last, or replaced it later. */
static bool was_had(const struct thing *o, const struct node *n,
		    const struct text *x, uint64_t origin)
{
	const struct holding *had = &o->held[n->index];

	for (size_t i = 0; i < had->count; i++)
		if (dot_equal(had->dots[i], x->dot))
			return true;
	for (size_t i = 0; i < x->ending_count; i++)
		if (x->endings[i].replaced && x->endings[i].by.origin == origin)
			return true;
	return false;
}

/* Two operations followed each other, and what the first one wrote was never
 * looked at. The second is lost; so it is the first that replaced what its
 * content names as what it was made from. */
static void end_replaced(struct node *n, struct thing *o, uint64_t origin)
{
	cleanup(object_release) struct object row;
	int r;

	store_lock(n->store);
	r = replica_row_load(n->tree, o->id, &row);
	store_unlock(n->store);
	if (r < 0)
		cluster_fail(n->cluster, "cannot read a row: %d", r);
	for (size_t i = 0; i < row.count; i++) {
		const struct version *v = &row.versions[i];

		if (v->reg != REG_CONTENT || v->dot.origin != origin ||
		    truth_text(o, v->dot))
			continue;
		for (size_t k = 0; k < o->text_count; k++) {
			struct text *x = &o->texts[k];

			if (is_made_from(v, x) && !truth_has_text(&row, x) &&
			    was_had(o, n, x, origin))
				truth_end(x, v->dot, true);
		}
	}
}

static void look_from_start(struct truth *t, struct node *n,
			    uint64_t old_origin, uint64_t kept)
{
	int at = n->index;

	cluster_say(t->cluster, "node %d is back at %llu", at,
		    (unsigned long long)kept);
	t->lseq[at] = 0;
	for (size_t i = 0; i < t->count; i++) {
		if (has_erased(t->things[i], n))
			keep_erased(t, n, t->things[i], kept);
		end_replaced(n, t->things[i], old_origin);
		thing_forget(t->things[i], old_origin, kept);
		t->things[i]->held[at].named = false;
		t->things[i]->held[at].count = 0;
		t->things[i]->held[at].slots.count = 0;
	}
	truth_look_half(t, n, old_origin);
}

void truth_returned(struct truth *t, struct node *n, uint64_t old_origin)
{
	int at = n->index;
	uint64_t kept;
	bool lost;

	if (t->blind)
		return;
	store_lock(n->store);
	kept = know_get(replica_know(n->tree), old_origin);
	lost = replica_lseq(n->tree) < t->lseq[at] ||
	       !know_leq(&t->k[at], replica_know(n->tree));
	if (lost)
		kin_assert(!know_copy(&t->k[at], replica_know(n->tree)));
	store_unlock(n->store);
	check_told(t, n, old_origin, kept);
	/* (A save that ended in the middle may have erased its temporary.) */
	if (n->interrupted)
		truth_find_erased(t, n);
	if (lost)
		look_from_start(t, n, old_origin, kept);
	for (size_t i = 0; i < t->count; i++)
		if (has_erased(t->things[i], n))
			look_again(t, n, t->things[i]);
}
