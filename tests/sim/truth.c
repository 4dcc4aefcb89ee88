/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The oracle. A content may be missing at the end only if some local
 * operation replaced it, or removed the last name of its file, at a node
 * that had it. A re-assertion (a sibling was removed: main is written again,
 * without KEEP) stands and falls with what it repeats. And what was removed
 * is away, unless somebody who had not heard of it wrote or moved it.
 */
#include "tests/sim/truth.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

void truth_init(struct truth *t, struct cluster *c)
{
	*t = (struct truth){.cluster = c};
}

static void thing_free(struct thing *o)
{
	names_free(o);
	for (size_t i = 0; i < o->text_count; i++) {
		free(o->texts[i].repeats);
		free(o->texts[i].again);
		free(o->texts[i].endings);
	}
	for (size_t i = 0; i < o->removal_count; i++)
		know_release(&o->removals[i].k);
	for (int i = 0; i < CLUSTER_NODES_MAX; i++)
		free(o->held[i].dots);
	free(o->texts);
	free(o->removals);
	free(o->touched);
	free(o);
}

void truth_release(struct truth *t)
{
	for (size_t i = 0; i < t->count; i++)
		thing_free(t->things[i]);
	free(t->things);
	for (int i = 0; i < CLUSTER_NODES_MAX; i++)
		know_release(&t->k[i]);
}

/* Grows by one; the simulator may run out of memory and die. */
void *truth_grow(void *array, size_t count, size_t size)
{
	/* Powers of two only. */
	if (count & (count - 1))
		return array;
	array = realloc(array, (count ? 2 * count : 1) * size);
	kin_assert(array);
	return array;
}

static struct thing *thing_of(struct truth *t, struct objid id)
{
	struct thing *o;

	for (size_t i = t->count; i-- > 0;)
		if (objid_equal(t->things[i]->id, id))
			return t->things[i];
	o = calloc(1, sizeof(*o));
	kin_assert(o);
	o->id = id;
	t->things = truth_grow(t->things, t->count, sizeof(*t->things));
	t->things[t->count++] = o;
	return o;
}

static bool text_is(const struct text *x, struct dot dot)
{
	for (size_t i = 0; i < x->again_count; i++)
		if (dot_equal(x->again[i], dot))
			return true;
	return dot_equal(x->dot, dot);
}

struct text *truth_text(struct thing *o, struct dot dot)
{
	for (size_t i = 0; i < o->text_count; i++)
		if (text_is(&o->texts[i], dot))
			return &o->texts[i];
	return NULL;
}

bool truth_has_link(const struct object *o, const struct dot *dot)
{
	for (size_t i = 0; i < o->count; i++)
		if (o->versions[i].reg == REG_LINK &&
		    (!dot || dot_equal(o->versions[i].dot, *dot)))
			return true;
	return false;
}

static bool object_has_content(const struct object *o, struct dot dot)
{
	for (size_t i = 0; i < o->count; i++)
		if (o->versions[i].reg == REG_CONTENT &&
		    dot_equal(o->versions[i].dot, dot))
			return true;
	return false;
}

/* In whatever version. */
bool truth_has_text(const struct object *o, const struct text *x)
{
	for (size_t i = 0; i < o->count; i++)
		if (o->versions[i].reg == REG_CONTENT &&
		    text_is(x, o->versions[i].dot))
			return true;
	return false;
}

/* This content, which the node had once. */
static struct text *text_had(struct thing *o, uint64_t hash64, int node)
{
	for (size_t i = 0; i < o->text_count; i++)
		if (o->texts[i].hash64 == hash64 && o->texts[i].had[node])
			return &o->texts[i];
	return NULL;
}

/* A known content under a dot of the node that had purged it; or, where its
 * bytes had not come before others dropped them, what was shown until then. */
static void note_restamp(struct thing *o, const struct version *v,
			 const struct node *n)
{
	const struct content_value *c = &v->content;
	const uint64_t hash64 = version_entry_name(v).hash64;
	const struct entry_name *old;
	struct text *x;

	if (v->dot.origin != replica_origin(n->tree) || !c->anc_count ||
	    truth_text(o, v->dot))
		return;
	/* (the first of what is there again is what it repeats) */
	old = &c->anc[v->flags & VERSION_AGAIN && c->anc_count > 1];
	x = truth_text(o, old->dot);
	if (x && old->hash64 != hash64)
		x = text_had(o, hash64, n->index);
	if (!x || old->hlc != v->hlc)
		return;
	x->again = truth_grow(x->again, x->again_count, sizeof(*x->again));
	x->again[x->again_count++] = v->dot;
}

static void text_add(struct thing *o, const struct object *row,
		     const struct version *v, const struct holding *had)
{
	const bool is_auto = v->flags & VERSION_AUTO;
	struct text x = {
		.dot = v->dot,
		.hash64 = v->flags & VERSION_VOID
				  ? 0
				  : version_entry_name(v).hash64,
		.soft = !truth_has_link(row, &v->dot),
	};

	for (size_t i = 0; x.soft && i < had->count; i++) {
		struct text *old = truth_text(o, had->dots[i]);

		/* (a rule's answer is soft beside all that it replaces) */
		if (!old || (old->hash64 != x.hash64 && !is_auto))
			continue;
		x.repeats = truth_grow(x.repeats, x.repeat_count, sizeof(*x.repeats));
		x.repeats[x.repeat_count++] = (size_t)(old - o->texts);
	}
	/* Something new must never go without having been seen. */
	x.soft = x.repeat_count > 0;
	names_of(row, &v->dot, &x.slots);
	o->texts = truth_grow(o->texts, o->text_count, sizeof(*o->texts));
	o->texts[o->text_count++] = x;
}

void truth_end(struct text *x, struct dot by, bool replaced)
{
	x->endings = truth_grow(x->endings, x->ending_count, sizeof(*x->endings));
	x->endings[x->ending_count++] = (struct ending){by, replaced};
}

static bool text_is_replaced(const struct text *x)
{
	for (size_t i = 0; i < x->ending_count; i++)
		if (x->endings[i].replaced)
			return true;
	return false;
}

static void note_removal(struct thing *o, struct node *n, struct dot by)
{
	struct removal r = {.by = by, .k = KNOW_INIT};
	struct holding *had = &o->held[n->index];

	for (size_t i = 0; i < had->count; i++) {
		struct text *x = truth_text(o, had->dots[i]);

		if (x)
			truth_end(x, by, false);
	}
	kin_assert(!know_copy(&r.k, replica_know(n->tree)));
	o->removals = truth_grow(o->removals, o->removal_count, sizeof(*o->removals));
	o->removals[o->removal_count++] = r;
}

/* The newest operation of this node that wrote the row. */
static struct dot own_dot(const struct object *row, uint64_t self)
{
	struct dot d = {.origin = self};

	for (size_t i = 0; i < row->count; i++)
		if (row->versions[i].dot.origin == self)
			d.seq = MAX_OF(d.seq, row->versions[i].dot.seq);
	return d;
}

static void look_local(struct truth *t, struct thing *o, struct node *n,
		       const struct object *row)
{
	struct holding *had = &o->held[n->index];
	uint64_t self = replica_origin(n->tree);
	uint64_t before = know_get(&t->k[n->index], self);
	struct dot by = own_dot(row, self);

	for (size_t i = 0; i < row->count; i++) {
		const struct version *v = &row->versions[i];

		if (v->dot.origin != self || v->dot.seq <= before)
			continue;
		if (v->reg == REG_CONTENT && !truth_text(o, v->dot))
			text_add(o, row, v, had);
		if (v->reg == REG_LINK) {
			o->touched = truth_grow(o->touched, o->touched_count,
					  sizeof(*o->touched));
			o->touched[o->touched_count++] = v->dot;
			names_touch(o, v);
		}
	}
	names_local(o, n, row, by);
	for (size_t i = 0; i < had->count; i++) {
		struct text *x = truth_text(o, had->dots[i]);

		if (x && !truth_has_text(row, x))
			truth_end(x, by, true);
	}
	if (!had->named || truth_has_link(row, NULL))
		return;
	note_removal(o, n, by);
	/* What it wrote in the same breath goes too. */
	for (size_t i = 0; i < row->count; i++) {
		const struct version *v = &row->versions[i];
		struct text *x = v->reg == REG_CONTENT ? truth_text(o, v->dot)
						       : NULL;

		if (x && v->dot.origin == self && v->dot.seq > before)
			truth_end(x, by, false);
	}
}

/* This is what the node has now. */
void truth_hold(struct thing *o, struct node *n, const struct object *row)
{
	struct holding *had = &o->held[n->index];

	free(had->dots);
	had->named = truth_has_link(row, NULL);
	had->dots = NULL;
	had->count = 0;
	names_of(row, NULL, &had->slots);
	for (size_t i = 0; i < row->count; i++) {
		const struct version *v = &row->versions[i];

		struct text *x;

		if (v->reg != REG_CONTENT)
			continue;
		x = truth_text(o, v->dot);
		if (x)
			x->had[n->index] = true;
		else
			cluster_fail(n->cluster,
				     "node %d has a "
				     "content that nobody wrote",
				     n->index);
		had->dots = truth_grow(had->dots, had->count, sizeof(*had->dots));
		had->dots[had->count++] = v->dot;
	}
}

struct look {
	struct truth *truth;
	struct node *node;
	bool local;
	uint64_t half; /* what operations of this origin left half done */
};

static bool was_written(const struct truth *t, uint64_t hash64)
{
	for (size_t i = 0; i < t->count; i++)
		for (size_t k = 0; k < t->things[i]->text_count; k++)
			if (t->things[i]->texts[k].hash64 == hash64)
				return true;
	return false;
}

static bool is_named(const struct thing *o, struct dot dot)
{
	for (size_t i = 0; i < o->named_count; i++)
		if (dot_equal(o->named[i].dot, dot))
			return true;
	return false;
}

/* What a program does in one call may be two operations, and the power goes
 * between them: a save was cut, and not yet the file that it is a save of.
 * The bytes are those that somebody wrote. */
static void look_half(struct truth *t, struct thing *o, struct node *n,
		      const struct object *row, uint64_t origin)
{
	for (size_t i = 0; i < row->count; i++) {
		const struct version *v = &row->versions[i];

		if (v->dot.origin != origin)
			continue;
		if (v->reg == REG_CONTENT && !truth_text(o, v->dot) &&
		    was_written(t, version_entry_name(v).hash64))
			text_add(o, row, v, &o->held[n->index]);
		if (v->reg == REG_LINK && !is_named(o, v->dot)) {
			o->touched = truth_grow(o->touched, o->touched_count,
						sizeof(*o->touched));
			o->touched[o->touched_count++] = v->dot;
			names_touch(o, v);
		}
	}
}

static int look_row(void *arg, const struct replica_row *r)
{
	struct look *l = arg;
	struct thing *o = thing_of(l->truth, r->id);
	cleanup(object_release) struct object row;
	int e;

	object_init(&row, r->id);
	e = object_decode(r->row, &row);
	if (e < 0)
		return e;
	l->truth->lseq[l->node->index] = r->lseq;
	for (size_t i = 0; i < row.count; i++)
		if (row.versions[i].reg == REG_CONTENT)
			note_restamp(o, &row.versions[i], l->node);
	if (l->local)
		look_local(l->truth, o, l->node, &row);
	if (l->half)
		look_half(l->truth, o, l->node, &row, l->half);
	truth_hold(o, l->node, &row);
	return 0;
}

static void check_grows(struct truth *t, struct node *n)
{
	if (!know_leq(&t->k[n->index], replica_know(n->tree)))
		cluster_fail(t->cluster, "node %d knows less than it did",
			     n->index);
}

static void look_rows(struct truth *t, struct node *n, bool local,
		      uint64_t half)
{
	struct look l = {t, n, local, half};
	int r;

	store_lock(n->store);
	check_grows(t, n);
	if (replica_lseq(n->tree) == t->lseq[n->index]) {
		r = know_copy(&t->k[n->index], replica_know(n->tree));
		store_unlock(n->store);
		kin_assert(!r);
		return;
	}
	r = replica_rows_look(n->tree, t->lseq[n->index], SIZE_MAX / 2,
			       look_row, &l);
	if (r >= 0) {
		t->lseq[n->index] = replica_lseq(n->tree);
		r = know_copy(&t->k[n->index], replica_know(n->tree));
	}
	store_unlock(n->store);
	/* (A failed store may not be able to read what it has in hand. The
	 * rest is looked at when the node is back.) */
	if (r < 0 && !node_is_sick(n))
		cluster_fail(t->cluster, "cannot read rows: %d", r);
}

void truth_look_half(struct truth *t, struct node *n, uint64_t origin)
{
	look_rows(t, n, false, origin);
}

void truth_look(struct truth *t, struct node *n, bool local)
{
	if (!t->blind)
		look_rows(t, n, local, 0);
}

void truth_erased(struct truth *t, struct node *n, struct objid id)
{
	cleanup(object_release) struct object row;
	struct thing *o;
	int r;

	object_init(&row, id);
	if (t->blind)
		return;
	o = thing_of(t, id);
	store_lock(n->store);
	r = replica_row_load(n->tree, o->id, &row);
	store_unlock(n->store);
	if (r < 0 || row.count)
		return;
	note_removal(o, n,
		     (struct dot){replica_origin(n->tree),
				  know_get(&t->k[n->index],
					   replica_origin(n->tree))});
	o->removals[o->removal_count - 1].erased = n;
	o->held[n->index].named = false;
	o->held[n->index].count = 0;
	o->held[n->index].slots.count = 0;
}

void truth_find_erased(struct truth *t, struct node *n)
{
	for (size_t i = 0; i < t->count; i++) {
		struct thing *o = t->things[i];
		bool here_only = o->held[n->index].count;

		for (int k = 0; k < CLUSTER_NODES_MAX; k++)
			here_only &= k == n->index ||
				     (!o->held[k].count && !o->held[k].named);
		if (here_only)
			truth_erased(t, n, o->id);
	}
}

static void print_version(const struct version *v)
{
	char parent[33];

	if (v->reg == REG_LINK)
		hex_encode(v->link.at.parent.b, sizeof(v->link.at.parent.b),
			   parent);
	printf("    %llx.%llu hlc %llx", (unsigned long long)v->dot.origin,
	       (unsigned long long)v->dot.seq, (unsigned long long)v->hlc);
	if (v->reg == REG_LINK)
		printf(" LINK%s slot %llx '%.*s' in %s",
		       v->flags & VERSION_WEAK ? " weak" : "",
		       (unsigned long long)v->link.slot,
		       (int)v->link.at.name.len, v->link.at.name.data,
		       parent);
	else if (v->reg == REG_TOMB)
		printf(" TOMB '%.*s'", (int)v->tomb.link.at.name.len,
		       v->tomb.link.at.name.data);
	else if (v->reg == REG_CONTENT)
		printf(" CONTENT%s %016llx rank %llx.%llx.%llu%+lld branch "
		       "%llx.%llu",
		       v->flags & VERSION_VOID ? " void" : "",
		       (unsigned long long)version_entry_name(v).hash64,
		       (unsigned long long)v->content.rank.hlc,
		       (unsigned long long)v->content.rank.dot.origin,
		       (unsigned long long)v->content.rank.dot.seq,
		       (long long)v->content.rank.level,
		       (unsigned long long)v->content.branch.origin,
		       (unsigned long long)v->content.branch.seq);
	else
		printf(" register %d", v->reg);
	for (size_t i = 0; v->reg == REG_CONTENT && i < v->content.anc_count;
	     i++)
		printf("%s%llx.%llu=%016llx", i ? " " : " anc ",
		       (unsigned long long)v->content.anc[i].dot.origin,
		       (unsigned long long)v->content.anc[i].dot.seq,
		       (unsigned long long)v->content.anc[i].hash64);
	for (size_t i = 0; v->reg == REG_CONTENT && i < v->content.seen_count;
	     i++)
		printf("%s%llx.%llu", i ? " " : " seen ",
		       (unsigned long long)v->content.seen[i].dot.origin,
		       (unsigned long long)v->content.seen[i].dot.seq);
	printf("\n");
}

void truth_print(struct node *n, struct objid id)
{
	cleanup(object_release) struct object row;
	char hex[33];
	int r;

	store_lock(n->store);
	r = replica_row_load(n->tree, id, &row);
	store_unlock(n->store);
	hex_encode(id.b, sizeof(id.b), hex);
	printf("  row %s at node %d%s\n", hex, n->index,
	       core_is_applying(n->core) ? ", which applies a large cut" : "");
	for (size_t i = 0; r == 0 && i < row.count; i++)
		print_version(&row.versions[i]);
}

/* ---- the end */

static bool text_gone(const struct thing *o, const struct text *x)
{
	if (x->lost || x->ending_count || names_gone(o, x))
		return true;
	if (!x->soft)
		return false;
	for (size_t i = 0; i < o->removal_count; i++)
		if (!o->removals[i].lost)
			return true;
	for (size_t i = 0; i < x->repeat_count; i++)
		if (!text_gone(o, &o->texts[x->repeats[i]]))
			return false;
	return true;
}

static bool is_touched_unseen(const struct thing *o, const struct removal *r)
{
	for (size_t i = 0; i < o->touched_count; i++)
		if (!know_covers(&r->k, o->touched[i]))
			return true;
	return false;
}

static void check_thing(struct truth *t, struct thing *o)
{
	struct node *n = &t->cluster->nodes[0];
	cleanup(object_release) struct object row;
	struct info info;
	bool live;
	char id[33];
	int r;

	hex_encode(o->id.b, sizeof(o->id.b), id);
	store_lock(n->store);
	r = replica_row_load(n->tree, o->id, &row);
	store_unlock(n->store);
	if (r == 0)
		r = info_init(&info, &row);
	if (r < 0) {
		cluster_fail(t->cluster, "cannot read a row: %d", r);
		return;
	}
	live = info_live_file(&info);
	for (size_t i = 0; i < o->text_count; i++) {
		struct text *x = &o->texts[i];
		bool here = live && truth_has_text(&row, x);

		if (x->hash64 && !here && !text_gone(o, x))
			cluster_fail(t->cluster,
				     "silent loss of %s, "
				     "version %llx.%llu",
				     id, (unsigned long long)x->dot.origin,
				     (unsigned long long)x->dot.seq);
		/* (Who replaced it had not seen it written again.) */
		if (here && text_is_replaced(x) && object_has_content(&row, x->dot))
			cluster_fail(t->cluster,
				     "replaced content came "
				     "back: %s",
				     id);
	}
	if (live && names_back(o, &info))
		cluster_fail(t->cluster, "a removed name came back: %s", id);
	live |= info.kind == KIND_DIR && info.strong;
	for (size_t i = 0; live && i < o->removal_count; i++)
		if (!o->removals[i].lost &&
		    !is_touched_unseen(o, &o->removals[i]))
			cluster_fail(t->cluster,
				     "what was removed came "
				     "back: %s",
				     id);
	info_release(&info);
	if (cluster_failed(t->cluster) && t->cluster->options.trace)
		truth_print(n, o->id);
}

void truth_check(struct truth *t)
{
	for (size_t i = 0; i < t->count && !cluster_failed(t->cluster); i++)
		check_thing(t, t->things[i]);
}
