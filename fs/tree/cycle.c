/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Concurrent moves may make directories each other's parents. Of each cycle
 * the edge placed last (greatest LINK key, then id) loses: the cycle whose
 * greatest edge is smallest is cut first; the directory goes back to the
 * first of its earlier places that is rooted without it, else to
 * "lost+found-<id>" in the root. That is an *override*: it stands in GROUP,
 * the LINK is not touched. A new cycle contains a changed edge, so walking
 * up from changed directories and from those of known cycles finds all.
 *
 * A pure function of the rows, as all of the view: equal rows, equal cuts.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/tree/tree_internal.h"

/* ---- overrides */

static struct slice group_key(uint8_t key[17], char what, struct objid id)
{
	key[0] = (uint8_t)what;
	memcpy(key + 1, id.b, 16);
	return SLICE(key, 17);
}

int override_get(struct tree *t, struct objid id, struct spot *ret)
{
	uint8_t key[17];
	struct slice v;
	struct objid parent;
	int r;

	if (!t->group_records)
		return -ENOENT;
	r = store_get(t->store, TABLE_GROUP, group_key(key, 'o', id), &v);
	if (r)
		return r;
	if (v.len < 17 || v.len > 16 + NAME_BYTES_MAX)
		return -EUCLEAN;
	memcpy(parent.b, v.data, 16);
	*ret = spot_at(parent, SLICE(v.data + 16, v.len - 16));
	return 0;
}

bool dir_in_cycle(struct tree *t, struct objid id)
{
	uint8_t key[17];
	struct slice v;

	return t->group_records &&
	       store_get(t->store, TABLE_GROUP, group_key(key, 'y', id),
			 &v) == 0;
}

static int override_put(struct tree *t, struct objid id, const struct spot *s)
{
	uint8_t key[17], value[16 + NAME_BYTES_MAX];
	int r;

	if (!s)
		return store_del(t->store, TABLE_GROUP,
				 group_key(key, 'o', id));
	memcpy(value, s->parent.b, 16);
	memcpy(value + 16, s->name, s->name_len);
	r = store_put(t->store, TABLE_GROUP, group_key(key, 'o', id),
		      SLICE(value, 16 + (size_t)s->name_len));
	return r;
}

/* All ids of records of one sort. */
static int group_list(struct tree *t, char what, struct idlist *ret)
{
	uint8_t key[18] = { (uint8_t)what };
	size_t len = 1;

	while (t->group_records) {
		struct slice k, v;
		struct objid id;
		int r = store_seek(t->store, TABLE_GROUP, SLICE(key, len), &k,
				   &v);

		if (r == -ENOENT || (!r && k.data[0] != (uint8_t)what))
			return 0;
		if (r)
			return r;
		if (k.len != 17)
			return -EUCLEAN;
		memcpy(id.b, k.data + 1, 16);
		r = idlist_add(ret, id);
		if (r)
			return r;
		memcpy(key, k.data, 17);
		key[17] = 0; /* just behind it */
		len = 18;
	}
	return 0;
}

/* ---- cycles */

/* A directory in the graph of LINKs, with what the cut needs of it. */
struct edge {
	struct objid id;
	struct version link;	/* names owned by `bytes` */
	uint8_t bytes[(1 + LINK_PREV_MAX) * NAME_BYTES_MAX];
};

static int edge_load(struct tree *t, struct objid id, struct edge *ret)
{
	struct row row;
	struct info i;
	uint8_t *at = ret->bytes;
	int r = row_load(t, id, &row);

	if (r)
		return r;
	r = info_init(&i, &row.o);
	if (!r && (i.kind != KIND_DIR || !i.link_count))
		r = -ENOENT;
	if (!r) {
		ret->id = id;
		ret->link = *i.links[0].link;
		for (int k = -1; k < ret->link.link.prev_count; k++) {
			struct place *p = k < 0 ? &ret->link.link.at
						: &ret->link.link.prev[k];

			memcpy(at, p->name.data, p->name.len);
			p->name.data = at;
			at += p->name.len;
		}
	}
	info_release(&i);
	row_release(&row);
	return r;
}

/* The overrides being computed, while edges are cut one by one. */
struct cuts {
	struct objid *ids;
	struct spot *spots;
	size_t count;
};

static int cuts_add(struct cuts *c, struct objid id, const struct spot *s)
{
	struct objid *ids = realloc(c->ids, (c->count + 1) * sizeof(*ids));
	struct spot *spots;

	if (!ids)
		return -ENOMEM;
	c->ids = ids;
	spots = realloc(c->spots, (c->count + 1) * sizeof(*spots));
	if (!spots)
		return -ENOMEM;
	c->spots = spots;
	c->ids[c->count] = id;
	c->spots[c->count++] = *s;
	return 0;
}

static const struct spot *cuts_find(const struct cuts *c, struct objid id)
{
	for (size_t k = 0; k < c->count; k++)
		if (objid_equal(c->ids[k], id))
			return &c->spots[k];
	return NULL;
}

/* Parent by LINK, or by the cuts made so far (NULL: by LINK only). */
static int parent_of(struct tree *t, const struct cuts *c, struct objid id,
		     struct objid *ret)
{
	const struct spot *s = c ? cuts_find(c, id) : NULL;
	struct edge e;
	int r;

	if (s) {
		*ret = s->parent;
		return 0;
	}
	r = edge_load(t, id, &e);
	if (!r)
		*ret = e.link.link.at.parent;
	return r;
}

/*
 * Walks up from `from` to the root. Returns 1 if it gets there, 0 if it runs
 * into a cycle, past a missing directory, or meets `avoid`. On a cycle,
 * ret_on_cycle (may be NULL) receives a directory on it. (Brent's method.)
 */
static int walk_up(struct tree *t, const struct cuts *c, struct objid from,
		   const struct objid *avoid, struct objid *ret_on_cycle)
{
	struct objid slow = from, fast = from;
	uint64_t power = 1, steps = 0;

	for (;;) {
		int r;

		if (objid_is_root(fast))
			return 1;
		if (avoid && objid_equal(fast, *avoid))
			return 0;
		r = parent_of(t, c, fast, &fast);
		if (r)
			return r == -ENOENT ? 0 : r;
		if (objid_equal(fast, slow)) {
			if (ret_on_cycle)
				*ret_on_cycle = fast;
			return 0;
		}
		if (++steps == power) {
			slow = fast;
			power *= 2;
			steps = 0;
		}
	}
}

struct cycle {
	struct edge **edges;	/* the greatest one is first */
	size_t count;
};

struct cycles {
	struct cycle *list;
	size_t count;
};

static void cycles_release(struct cycles *c)
{
	for (size_t k = 0; k < c->count; k++) {
		for (size_t n = 0; n < c->list[k].count; n++)
			free(c->list[k].edges[n]);
		free(c->list[k].edges);
	}
	free(c->list);
}

static bool cycles_have(const struct cycles *c, struct objid id)
{
	for (size_t k = 0; k < c->count; k++)
		for (size_t n = 0; n < c->list[k].count; n++)
			if (objid_equal(c->list[k].edges[n]->id, id))
				return true;
	return false;
}

static int edge_compare(const struct edge *a, const struct edge *b)
{
	int r = version_key_compare(&a->link, &b->link);

	return r ? r : objid_compare(a->id, b->id);
}

static int cycle_add_edge(struct tree *t, struct cycle *y, struct objid id)
{
	struct edge **edges = realloc(y->edges,
				      (y->count + 1) * sizeof(*edges));
	struct edge *e;
	int r;

	if (!edges)
		return -ENOMEM;
	y->edges = edges;
	e = malloc(sizeof(*e));
	if (!e)
		return -ENOMEM;
	edges[y->count++] = e;
	r = edge_load(t, id, e);
	if (!r && edge_compare(e, edges[0]) > 0) {
		edges[y->count - 1] = edges[0];
		edges[0] = e;
	}
	return r == -ENOENT ? -EUCLEAN : r;
}

static int cycles_add(struct tree *t, struct cycles *c, struct objid on)
{
	struct cycle *list = realloc(c->list, (c->count + 1) * sizeof(*list));
	struct objid id = on;
	int r;

	if (!list)
		return -ENOMEM;
	c->list = list;
	list += c->count++;
	*list = (struct cycle){ 0 };
	do {
		r = cycle_add_edge(t, list, id);
		if (!r)
			r = parent_of(t, NULL, id, &id);
	} while (!r && !objid_equal(id, on));
	return r;
}

static int cycle_order(const void *pa, const void *pb)
{
	const struct cycle *a = pa, *b = pb;

	return edge_compare(a->edges[0], b->edges[0]);
}

static int cycles_find(struct tree *t, struct cycles *ret)
{
	struct idlist known = { 0 };
	int r = group_list(t, 'y', &known);

	for (size_t k = 0; !r && k < t->work.dirs.count; k++)
		r = idlist_add(&known, t->work.dirs.ids[k]);
	for (size_t k = 0; !r && k < known.count; k++) {
		struct objid on;
		struct claim c;
		struct objid child;

		/* Nobody's parent is on no cycle. */
		r = claim_seek(t, known.ids[k], 0, ROOT_ID, 0, &c, &child);
		if (r == -ENOENT && !t->group_records) {
			r = 0;
			continue;
		}
		if (r && r != -ENOENT)
			break;
		on = ROOT_ID;
		r = walk_up(t, NULL, known.ids[k], NULL, &on);
		if (r < 0)
			break;
		r = 0;
		if (!objid_is_root(on) && !cycles_have(ret, on))
			r = cycles_add(t, ret, on);
	}
	idlist_release(&known);
	if (!r && ret->count > 1)
		qsort(ret->list, ret->count, sizeof(*ret->list), cycle_order);
	return r;
}

static int cycle_cut(struct tree *t, struct cycle *y, struct cuts *cuts)
{
	const struct edge *e = y->edges[0];
	char name[16 + 2 * sizeof(e->id.b)] = "lost+found-";
	struct spot s;

	for (int k = 0; k < e->link.link.prev_count; k++) {
		const struct place *p = &e->link.link.prev[k];
		int r = walk_up(t, cuts, p->parent, &e->id, NULL);

		if (r < 0)
			return r;
		if (!r)
			continue;
		s = spot_at(p->parent, p->name);
		return cuts_add(cuts, e->id, &s);
	}
	hex_encode(e->id.b, sizeof(e->id.b), name + strlen(name));
	s = spot_at(ROOT_ID, SLICE_STR(name));
	return cuts_add(cuts, e->id, &s);
}

/* Moves a directory's claim to where the new override (or none) says. */
static int override_apply(struct tree *t, struct objid id,
			  const struct spot *s)
{
	struct row row;
	int r = row_load(t, id, &row);

	if (r)
		return r;
	r = override_put(t, id, s);
	t->group_records = store_count(t->store, TABLE_GROUP);
	if (!r && row.exists)
		r = row_store_local(t, &row);
	row_release(&row);
	return r;
}

static int cycles_record(struct tree *t, const struct cycles *cycles,
			 const struct cuts *cuts)
{
	struct idlist old = { 0 }, marked = { 0 };
	uint8_t key[17];
	int r = group_list(t, 'o', &old);

	for (size_t k = 0; !r && k < old.count; k++)
		if (!cuts_find(cuts, old.ids[k]))
			r = override_apply(t, old.ids[k], NULL);
	for (size_t k = 0; !r && k < cuts->count; k++) {
		struct spot s;

		r = override_get(t, cuts->ids[k], &s);
		if (!r && objid_equal(s.parent, cuts->spots[k].parent) &&
		    slice_equal(spot_name(&s), spot_name(&cuts->spots[k])))
			continue;
		if (!r || r == -ENOENT)
			r = override_apply(t, cuts->ids[k], &cuts->spots[k]);
	}
	if (!r)
		r = group_list(t, 'y', &marked);
	for (size_t k = 0; !r && k < marked.count; k++)
		r = store_del(t->store, TABLE_GROUP,
			      group_key(key, 'y', marked.ids[k]));
	for (size_t k = 0; !r && k < cycles->count; k++)
		for (size_t n = 0; !r && n < cycles->list[k].count; n++)
			r = store_put(t->store, TABLE_GROUP,
				      group_key(key, 'y',
						cycles->list[k].edges[n]->id),
				      SLICE("", 0));
	t->group_records = store_count(t->store, TABLE_GROUP);
	idlist_release(&old);
	idlist_release(&marked);
	return r;
}

int settle_cycles(struct tree *t)
{
	struct cycles cycles = { 0 };
	struct cuts cuts = { 0 };
	int r;

	if (!t->work.dirs.count)
		return 0;
	r = cycles_find(t, &cycles);
	for (size_t k = 0; !r && k < cycles.count; k++)
		r = cycle_cut(t, &cycles.list[k], &cuts);
	if (!r && (cycles.count || t->group_records))
		r = cycles_record(t, &cycles, &cuts);
	cycles_release(&cycles);
	free(cuts.ids);
	free(cuts.spots);
	return r;
}

int overrides_list(struct tree *t, struct idlist *ret)
{
	return group_list(t, 'o', ret);
}

/* Is a directory in a cycle of LINKs, or below one? 1 or 0. */
static int hangs_from_cycle(struct tree *t, struct objid id)
{
	while (!objid_is_root(id)) {
		struct idlist members = { 0 };
		int r = group_members(t, id, &members);
		bool in_cycle = dir_in_cycle(t, id);

		for (size_t k = 0; !r && k < members.count; k++)
			in_cycle |= dir_in_cycle(t, members.ids[k]);
		idlist_release(&members);
		if (r || in_cycle)
			return r ? r : 1;
		r = parent_of(t, NULL, id, &id);
		if (r)
			return r == -ENOENT ? 0 : r;
	}
	return 0;
}

/* To be shown there is no new placement: the time stays, so that who moved
 * it elsewhere meanwhile wins. */
static int pin(struct tree *t, struct objid id)
{
	struct row row;
	struct info i;
	struct spot s;
	struct version v;
	int r = override_get(t, id, &s);

	if (!r)
		r = row_load(t, id, &row);
	if (r)
		return r;
	r = info_init(&i, &row.o);
	if (!r) {
		op_tick(t);
		v = op_version(t, REG_LINK);
		v.hlc = i.links[0].link->hlc;
		v.link = i.links[0].link->link;
		v.link.at = (struct place){ s.parent, spot_name(&s) };
		info_release(&i);
		row_drop(&row, REG_LINK, SLOT_DIR);
		r = row_add(&row, &v);
	}
	if (!r)
		r = row_store(t, &row, 0);
	row_release(&row);
	return r;
}

int pin_overrides(struct tree *t, const struct objid *about, size_t count)
{
	struct idlist over = { 0 };
	int r = 0;

	if (!t->group_records)
		return 0;
	for (size_t k = 0; !r && k < count; k++)
		r = hangs_from_cycle(t, about[k]);
	if (r <= 0)
		return r;
	r = group_list(t, 'o', &over);
	for (size_t k = 0; !r && k < over.count; k++) {
		bool live;

		r = dir_is_live(t, over.ids[k], &live);
		if (!r && live)
			r = pin(t, over.ids[k]);
	}
	idlist_release(&over);
	/* What follows in this operation must see them where they are. */
	return r ? r : settle_cycles(t);
}

/* A directory shown elsewhere still names its LINK's parent. */
int revive_overridden(struct tree *t)
{
	struct idlist over = { 0 };
	int r = group_list(t, 'o', &over);

	for (size_t k = 0; !r && k < over.count; k++) {
		struct objid parent;

		r = parent_of(t, NULL, over.ids[k], &parent);
		if (!r)
			r = revive_up(t, parent);
		else if (r == -ENOENT)
			r = 0;
	}
	idlist_release(&over);
	return r;
}
