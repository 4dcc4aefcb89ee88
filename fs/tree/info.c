/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a row is read. Contents are few (nearly always one), so the pairwise
 * comparisons below cost nothing that matters; a row with very many, which
 * only a hostile or a very busy volume can make, is quadratic in them.
 */
#include "fs/tree/info.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/tree/policy.h"

/* ---- order of contents */

static bool is_void(const struct version *v)
{
	return v->flags & VERSION_VOID;
}

static bool is_auto(const struct version *v)
{
	return v->flags & VERSION_AUTO;
}

static bool same_value(const struct version *a, const struct version *b)
{
	if (is_void(a) || is_void(b))
		return is_void(a) && is_void(b);
	return content_equal(&a->content.content, &b->content.content);
}

/* (rank, a content above a void, key). */
static int order_compare(const struct version *a, const struct version *b)
{
	int r = stamp_compare(&a->content.rank, &b->content.rank);

	if (!r)
		r = (int)!is_void(a) - (int)!is_void(b);
	return r ? r : version_key_compare(a, b);
}

/* Is any of the line of v (v itself and its ancestors), less the ancestors
 * of `less`, among what the writer of `less` saw? */
static bool line_was_seen(const struct version *v, const struct version *less)
{
	const struct content_value *l = &less->content;
	struct entry_name own = version_entry_name(v);

	if (!entry_names_have(l->anc, l->anc_count, &own) &&
	    entry_names_have(l->seen, l->seen_count, &own))
		return true;
	for (size_t i = 0; i < v->content.anc_count; i++) {
		const struct entry_name *e = &v->content.anc[i];

		if (!entry_names_have(l->anc, l->anc_count, e) &&
		    entry_names_have(l->seen, l->seen_count, e))
			return true;
	}
	return false;
}

/* x is an ancestor of y once more, and no edit of it: y goes on. */
static bool is_again(const struct version *x, const struct version *y)
{
	return x->flags & VERSION_AGAIN && x->content.anc_count &&
	       !is_void(y) && !same_value(x, y) &&
	       entry_names_have(y->content.anc, y->content.anc_count,
			    &x->content.anc[0]);
}

/*
 * x was changed back to what both were made from, and neither writer knew the
 * other's line: y goes on, and x is no conflict.
 */
static bool reverted(const struct version *x, const struct version *y)
{
	const struct entry_name *base = NULL;

	if (is_void(y) || same_value(x, y))
		return false;
	for (size_t i = 0; i < x->content.anc_count; i++) {
		const struct entry_name *e = &x->content.anc[i];

		if (entry_names_have(y->content.anc, y->content.anc_count, e) &&
		    (!base || entry_name_compare(e, base) > 0))
			base = e;
	}
	if (!base || base->hash64 != version_entry_name(x).hash64)
		return false;
	return !line_was_seen(x, y) && !line_was_seen(y, x);
}

static bool leaves_within(const struct version *a, const struct version *b)
{
	const struct content_value *x = &a->content, *y = &b->content;

	for (size_t i = 0; i < x->leaves_count; i++) {
		size_t k = 0;

		while (k < y->leaves_count &&
		       !dot_equal(x->leaves[i], y->leaves[k]))
			k++;
		if (k == y->leaves_count)
			return false;
	}
	return true;
}

/* An automatic x is redundant beside an automatic y that settles more. */
static bool subsumed(const struct version *x, const struct version *y)
{
	uint64_t a, b;

	if (!leaves_within(x, y))
		return false;
	if (x->content.leaves_count < y->content.leaves_count)
		return true;
	a = version_entry_name(x).hash64;
	b = version_entry_name(y).hash64;
	return b > a || (a == b && version_key_compare(y, x) > 0);
}

/* ---- grouping */

struct scratch {
	const struct version **v;	/* all CONTENT versions */
	size_t *under;			/* index of what hides it, or NONE */
	size_t *group;			/* index of its group */
	size_t count;
};

#define NONE SIZE_MAX

static int descending(const void *pa, const void *pb)
{
	return -order_compare(*(const struct version *const *)pa,
			      *(const struct version *const *)pb);
}

/* Is x hidden under `top`, or under what is? */
static bool is_below(const struct scratch *s, size_t x, size_t top)
{
	while (x != top && s->under[x] != NONE)
		x = s->under[x];
	return x == top;
}

/* s->v is sorted, greatest first. */
static void hide_replaced(struct scratch *s)
{
	for (size_t x = 0; x < s->count; x++) {
		s->under[x] = NONE;
		for (size_t y = 0; is_auto(s->v[x]) && y < s->count; y++)
			if (y != x && is_auto(s->v[y]) &&
			    subsumed(s->v[x], s->v[y]))
				s->under[x] = y;
	}
	/* (what goes on may itself be hidden: then it went on from there) */
	for (size_t x = s->count; x-- > 0;)
		for (size_t y = 0; s->under[x] == NONE && y < s->count; y++)
			if (y != x && is_again(s->v[x], s->v[y]) &&
			    !is_below(s, y, x))
				s->under[x] = y;
}

/* Hidden for nothing else: not an automatic one, nor one that is again. */
static bool is_hidden_as_reverted(const struct scratch *s, size_t x)
{
	const struct version *v = s->v[x], *y;

	if (s->under[x] == NONE)
		return false;
	y = s->v[s->under[x]];
	return !is_again(v, y) &&
	       !(is_auto(v) && is_auto(y) && subsumed(v, y));
}

static bool is_shown_by_another(const struct scratch *s, size_t x)
{
	for (size_t z = 0; z < s->count; z++)
		if (s->under[z] == NONE && same_value(s->v[z], s->v[x]) &&
		    stamp_compare(&s->v[z]->content.rank,
				  &s->v[x]->content.rank) >= 0)
			return true;
	return false;
}

static void hide_reverted(struct scratch *s)
{
	/* Lowest first; only something shown hides. */
	for (size_t x = s->count; x-- > 0;) {
		if (s->under[x] != NONE)
			continue;
		for (size_t y = 0; y < s->count; y++) {
			if (y == x || s->under[y] != NONE ||
			    !reverted(s->v[x], s->v[y]))
				continue;
			s->under[x] = y;
			break;
		}
	}
	/* The same is shown, with as high a rank: it is that. */
	for (size_t x = 0; x < s->count; x++)
		if (is_hidden_as_reverted(s, x) && is_shown_by_another(s, x))
			s->under[x] = NONE;
}

static void make_groups(struct info *i, struct scratch *s)
{
	for (size_t x = 0; x < s->count; x++) {
		size_t g = 0;

		s->group[x] = NONE;
		if (s->under[x] != NONE)
			continue;
		while (g < i->branch_count &&
		       !same_value(i->branches[g].top, s->v[x]))
			g++;
		s->group[x] = g;
		if (g == i->branch_count) {
			i->branches[g] = (struct branch){
				.top = s->v[x], .is_void = is_void(s->v[x]) };
			i->branch_count++;
			i->real_count += !is_void(s->v[x]);
		}
	}
	for (size_t x = 0; x < s->count; x++) {
		size_t y = x;

		/* Auto chains end: leaves only grow. */
		while (s->under[y] != NONE)
			y = s->under[y];
		s->group[x] = s->group[y];
	}
}

/* A tag that is nobody's dot. */
#define TAG_MIX 0x9e3779b97f4a7c15u

/* One tag, one name: a tag taken by a higher group gives way to the dot. A
 * void one is not shown, and takes nobody's. */
static bool is_named_before(const struct branch *a, const struct branch *b)
{
	return a->is_void == b->is_void ? a < b : b->is_void;
}

static void name_group(const struct info *i, struct branch *b)
{
	const struct content_value *c = &b->top->content;
	bool own_dot = false, mixed = false;

	b->tag = c->branch;
	b->tag_hlc = c->branch_hlc;
	b->label = c->label;
	for (size_t k = 0; k < i->branch_count; k++) {
		const struct branch *other = &i->branches[k];

		if (!is_named_before(other, b) ||
		    !dot_equal(other->tag, b->tag))
			continue;
		/* (and so on: only in a row that was made for it) */
		if (mixed)
			b->tag.seq++;
		else if (own_dot || dot_equal(b->tag, b->top->dot))
			b->tag.origin ^= TAG_MIX;
		else
			b->tag = b->top->dot;
		mixed = own_dot || !dot_equal(b->tag, b->top->dot);
		own_dot = true;
		b->tag_hlc = b->top->hlc;
		b->label = c->author;
		k = NONE; /* look again from the first */
	}
}

static void name_groups(struct info *i)
{
	for (size_t g = 0; g < i->branch_count; g++)
		if (!i->branches[g].is_void)
			name_group(i, &i->branches[g]);
	for (size_t g = 0; g < i->branch_count; g++)
		if (i->branches[g].is_void)
			name_group(i, &i->branches[g]);
}

static int read_contents(struct info *i, const struct object *o, size_t n)
{
	autofree void *memory = NULL;
	struct scratch s = { .count = n };
	const struct version **slots;

	if (!n)
		return 0;
	memory = calloc(n, sizeof(*s.v) + 2 * sizeof(size_t));
	i->branches = calloc(n, sizeof(*i->branches) + sizeof(*slots));
	if (!memory || !i->branches)
		return -ENOMEM;
	slots = (const struct version **)(i->branches + n);
	s.v = memory;
	s.under = (size_t *)(s.v + n);
	s.group = s.under + n;
	for (size_t k = 0, at = 0; k < o->count; k++)
		if (o->versions[k].reg == REG_CONTENT)
			s.v[at++] = &o->versions[k];
	if (n > 1)
		qsort(s.v, n, sizeof(*s.v), descending);
	hide_replaced(&s);
	hide_reverted(&s);
	make_groups(i, &s);
	name_groups(i);
	for (size_t g = 0; g < i->branch_count; g++) {
		i->branches[g].versions = slots;
		for (size_t x = 0; x < n; x++)
			if (s.group[x] == g)
				slots[i->branches[g].count++] = s.v[x];
		slots += i->branches[g].count;
	}
	return 0;
}

/* ---- the policy */

/* Of the versions that have the branch's content (and, if label is not NULL,
 * this author) the one of the greatest key; NULL: none. */
static const struct version *newest_of(const struct branch *b,
				       const char *label)
{
	const struct version *best = NULL;

	for (size_t k = 0; k < b->count; k++) {
		const struct version *v = b->versions[k];

		if (same_value(v, b->top) &&
		    (!label || slice_equal(v->content.author,
					   SLICE_STR(label))) &&
		    (!best || version_key_compare(v, best) > 0))
			best = v;
	}
	return best;
}

/* Index of the branch that has the newest version; NONE: there is none. */
static size_t newest_branch(const struct info *i, const char *label)
{
	const struct version *best = NULL;
	size_t found = NONE;

	for (size_t g = 0; g < i->branch_count; g++) {
		const struct version *v;

		if (i->branches[g].is_void)
			continue;
		v = newest_of(&i->branches[g], label);
		if (v && (!best || version_key_compare(v, best) > 0)) {
			best = v;
			found = g;
		}
	}
	return found;
}

static size_t policy_chooses(const struct info *i, const struct policy *p)
{
	size_t found = NONE;

	if (p->rule == POLICY_LATEST)
		return newest_branch(i, NULL);
	for (size_t k = 0; p->rule == POLICY_NODE && found == NONE &&
			   k < p->label_count;
	     k++)
		found = newest_branch(i, p->labels[k]);
	return found;
}

/* The chosen one comes first, but for a removed main; the others stand
 * behind what is shown. */
static void hide_others(struct info *i, size_t chosen)
{
	struct branch b = i->branches[chosen];
	size_t at = i->branches[0].is_void ? 1 : 0;

	memmove(&i->branches[at + 1], &i->branches[at],
		(chosen - at) * sizeof(b));
	i->branches[at] = b;
	i->hidden_count = i->branch_count - (at + 1);
	i->branch_count = at + 1;
	i->real_count = 1;
}

static void apply_rule(struct info *i)
{
	struct policy p;
	size_t chosen;

	if (i->real_count < 2 || !i->object->rule.len ||
	    policy_parse(i->object->rule, &p))
		return;
	chosen = policy_chooses(i, &p);
	if (chosen != NONE)
		hide_others(i, chosen);
}

const struct branch *info_chosen(const struct info *i)
{
	return i->hidden_count ? &i->branches[i->branch_count - 1] : NULL;
}

/* Was it written with a content that is hidden? Then it is not main's. */
static bool is_of_hidden(const struct info *i, const struct version *times)
{
	const struct branch *b = i->branches + i->branch_count;

	for (size_t g = 0; g < i->hidden_count; g++)
		for (size_t k = 0; k < b[g].count; k++)
			if (dot_equal(b[g].versions[k]->dot, times->dot))
				return true;
	return false;
}

static void read_times(struct info *i)
{
	const struct version *best = NULL;

	for (size_t k = 0; i->hidden_count && k < i->object->count; k++) {
		const struct version *v = &i->object->versions[k];

		if (v->reg == REG_TIMES && !is_of_hidden(i, v) &&
		    (!best || version_key_compare(v, best) > 0))
			best = v;
	}
	i->times_of_hidden = i->hidden_count && i->times && !best;
	if (best)
		i->times = best;
}

/* ---- links and the rest */

static bool link_wins(const struct version *a, const struct version *b)
{
	bool a_strong = !(a->flags & VERSION_WEAK);
	bool b_strong = !(b->flags & VERSION_WEAK);

	if (a_strong != b_strong)
		return a_strong;
	return version_key_compare(a, b) > 0;
}

static int by_shown_and_slot(const void *pa, const void *pb)
{
	const struct shown_link *a = pa, *b = pb;

	if (a->strong != b->strong)
		return a->strong ? -1 : 1;
	return (a->slot > b->slot) - (a->slot < b->slot);
}

static int by_slot(const void *pa, const void *pb)
{
	const struct shown_link *a = pa, *b = pb;

	return (a->slot > b->slot) - (a->slot < b->slot);
}

/* Of each slot the version that wins. */
static void merge_slots(struct info *i, size_t n)
{
	for (size_t k = 0; k < n; k++) {
		const struct shown_link *from = &i->links[k];
		struct shown_link *to = &i->links[MAX_OF(i->link_count,
							 (size_t)1) - 1];

		if (!i->link_count || to->slot != from->slot) {
			i->links[i->link_count++] = *from;
			continue;
		}
		if (link_wins(from->link, to->link))
			to->link = from->link;
		to->strong |= from->strong;
	}
}

/* (a file may have very many) */
static int read_links(struct info *i, const struct object *o, size_t n)
{
	size_t at = 0;

	if (!n)
		return 0;
	i->links = calloc(n, sizeof(*i->links));
	if (!i->links)
		return -ENOMEM;
	for (size_t k = 0; k < o->count; k++) {
		const struct version *v = &o->versions[k];
		struct shown_link *l = &i->links[at];

		if (v->reg != REG_LINK)
			continue;
		l->slot = v->link.slot;
		l->link = v;
		l->strong = !(v->flags & VERSION_WEAK);
		i->strong |= l->strong;
		at++;
	}
	if (n > 1)
		qsort(i->links, n, sizeof(*i->links), by_slot);
	merge_slots(i, n);
	for (size_t k = 0; k < i->link_count; k++)
		if (!i->strong || i->links[k].strong)
			i->shown_count++;
	/* (all shown: they are in order) */
	if (i->shown_count < i->link_count)
		qsort(i->links, i->link_count, sizeof(*i->links),
		      by_shown_and_slot);
	return 0;
}

static void keep_max(const struct version **best, const struct version *v)
{
	if (!*best || version_key_compare(v, *best) > 0)
		*best = v;
}

int info_init(struct info *i, const struct object *o)
{
	size_t links = 0, contents = 0;
	int r;

	*i = (struct info){ .object = o };
	for (size_t k = 0; k < o->count; k++) {
		const struct version *v = &o->versions[k];

		switch (v->reg) {
		case REG_KIND:
			i->kind = v->kind.kind;
			break;
		case REG_LINK:
			links++;
			break;
		case REG_CONTENT:
			contents++;
			break;
		case REG_MODE:
			keep_max(&i->mode, v);
			break;
		case REG_OWNER:
			keep_max(&i->owner, v);
			break;
		case REG_TIMES:
			keep_max(&i->times, v);
			break;
		case REG_TOMB:
			keep_max(&i->tomb, v);
			break;
		case REG_HOME:
			if (!i->home || i->home->home.epoch < v->home.epoch)
				i->home = v;
			else if (i->home->home.epoch == v->home.epoch)
				keep_max(&i->home, v);
			break;
		}
	}
	r = read_links(i, o, links);
	if (!r)
		r = read_contents(i, o, contents);
	if (r) {
		info_release(i);
		return r;
	}
	apply_rule(i);
	read_times(i);
	return 0;
}

void info_release(struct info *i)
{
	free(i->links);
	free(i->branches);
	*i = (struct info){ 0 };
}

bool info_live_file(const struct info *i)
{
	return i->kind && i->kind != KIND_DIR &&
	       i->link_count && i->real_count;
}

bool info_is_live(const struct info *i)
{
	if (objid_is_root(i->object->id))
		return true;
	return i->kind == KIND_DIR ? i->link_count > 0 : info_live_file(i);
}

bool info_holds_name(const struct info *i)
{
	return info_live_file(i) && !i->branches[0].is_void;
}

const struct version *info_xattr(const struct info *i, struct slice name)
{
	const struct version *best = NULL;

	for (size_t k = 0; k < i->object->count; k++) {
		const struct version *v = &i->object->versions[k];

		if (v->reg == REG_XATTR && slice_equal(v->xattr.name, name))
			keep_max(&best, v);
	}
	return best && !best->xattr.removed ? best : NULL;
}

bool info_link_contested(const struct info *i, const struct shown_link *l)
{
	const struct place *at = &l->link->link.at;

	for (size_t k = 0; k < i->object->count; k++) {
		const struct version *v = &i->object->versions[k];

		if (v->reg != REG_LINK || v->flags & VERSION_WEAK ||
		    v->link.slot != l->slot)
			continue;
		if (!objid_equal(v->link.at.parent, at->parent) ||
		    !slice_equal(v->link.at.name, at->name))
			return true;
	}
	return false;
}

const struct branch *info_first_real(const struct info *i)
{
	for (size_t k = 0; k < i->branch_count; k++)
		if (!i->branches[k].is_void)
			return &i->branches[k];
	return NULL;
}

const struct branch *info_branch(const struct info *i, struct dot tag)
{
	for (size_t k = 0; k < i->branch_count; k++)
		if (dot_equal(i->branches[k].tag, tag))
			return &i->branches[k];
	return NULL;
}
