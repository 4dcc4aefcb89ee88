/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The variants of a file in conflict, as a copy that needs no lock: made from
 * one row, at one instant. The token is of all CONTENT versions of the row,
 * hidden ones and voids included, by the names that they keep for ever: who
 * comes with it has seen them all, so what he makes may replace them all.
 */
#include "fs/tree/variants.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/base/hash.h"
#include "fs/tree/base.h"
#include "fs/tree/list.h"
#include "fs/tree/reopen.h"
#include "fs/tree/tree_internal.h"
#include "fs/tree/variants_internal.h"

/* ---- leaves */

static int dot_order(const void *a, const void *b)
{
	return dot_compare(*(const struct dot *)a, *(const struct dot *)b);
}

static int leaf_add(struct dot leaf, struct dot *ret, size_t *count)
{
	for (size_t k = 0; k < *count; k++)
		if (dot_equal(ret[k], leaf))
			return 0;
	if (*count == LEAVES_MAX)
		return -E2BIG;
	ret[(*count)++] = leaf;
	return 0;
}

/* What is only there again is the version that it repeats. */
int leaves_add(const struct version *v, struct dot *ret, size_t *count)
{
	const struct content_value *c = &v->content;
	int r = 0;

	if (v->flags & VERSION_AUTO) {
		for (size_t k = 0; !r && k < c->leaves_count; k++)
			r = leaf_add(c->leaves[k], ret, count);
		return r;
	}
	if (v->flags & VERSION_AGAIN && c->anc_count)
		return leaf_add(c->anc[0].dot, ret, count);
	return leaf_add(version_first_dot(v), ret, count);
}

void leaves_sort(struct dot *leaves, size_t count)
{
	if (count > 1)
		qsort(leaves, count, sizeof(*leaves), dot_order);
}

static int collect_leaves(struct variants *s)
{
	size_t n = 0;
	int r = 0;

	s->leaves = object_alloc(&s->row, LEAVES_MAX * sizeof(*s->leaves));
	if (!s->leaves)
		return -ENOMEM;
	for (size_t k = 0; !r && k < s->row.count; k++)
		if (s->row.versions[k].reg == REG_CONTENT)
			r = leaves_add(&s->row.versions[k], s->leaves, &n);
	if (r)
		return r == -E2BIG ? 0 : r;
	leaves_sort(s->leaves, n);
	s->leaves_count = n;
	return 0;
}

/* ---- the token */

static int entry_order(const void *a, const void *b)
{
	return entry_name_compare(a, b);
}

int contents_token(const struct object *o, struct hash *ret)
{
	autofree struct entry_name *all = NULL;
	cleanup(buf_release) struct buf b = BUF_INIT;
	size_t n = 0;
	int r;

	all = calloc(o->count + 1, sizeof(*all));
	if (!all)
		return -ENOMEM;
	for (size_t k = 0; k < o->count; k++)
		if (o->versions[k].reg == REG_CONTENT)
			all[n++] = version_entry_name(&o->versions[k]);
	qsort(all, n, sizeof(*all), entry_order);
	buf_put(&b, o->id.b, sizeof(o->id.b));
	for (size_t k = 0; k < n; k++) {
		buf_put_u64(&b, all[k].hlc);
		buf_put_u64(&b, all[k].dot.origin);
		buf_put_u64(&b, all[k].dot.seq);
		buf_put_u64(&b, all[k].hash64);
	}
	r = buf_error(&b);
	if (!r)
		hash_bytes(b.data, b.len, ret);
	return r;
}

/* ---- names */

/* What is shown beside main, at the first of its names. */
struct names {
	struct spot at;
	struct shownlist virtuals;
	struct shown main;	/* with its name, if it is shown */
	bool has_main;
};

static void names_release(struct names *n)
{
	shownlist_release(&n->virtuals);
}

static int names_find(struct tree *t, const struct row *row, struct names *n)
{
	struct objid dir;
	int r;

	*n = (struct names){ 0 };
	if (!row->claim_count)
		return 0;
	n->at = row->claims[0].at;
	dir = group_canonical(t, n->at.parent);
	r = view_virtuals_at(t, dir, spot_name(&n->at), &n->virtuals);
	if (!r)
		r = view_find(t, dir, spot_name(&n->at), &n->main);
	if (!r)
		n->has_main = objid_equal(n->main.id, row->o.id);
	return r == -ENOENT ? 0 : r;
}

static const struct shown *names_of(const struct names *n, struct objid id,
				    const struct branch *b, bool main)
{
	if (main && n->has_main)
		return &n->main;
	for (size_t k = 0; k < n->virtuals.count; k++) {
		const struct shown *s = &n->virtuals.shown[k];

		if (objid_equal(s->id, id) &&
		    (main ? s->type == SHOWN_SUFFIXED
			  : s->type == SHOWN_SIBLING &&
				    dot_equal(s->tag, b->tag)))
			return s;
	}
	return NULL;
}

/* ---- the list */

static struct timespec hlc_time(uint64_t hlc)
{
	uint64_t ms = hlc >> 16;

	return (struct timespec){ (time_t)(ms / 1000),
				  (long)(ms % 1000 * 1000000) };
}

static int variant_order(const void *pa, const void *pb)
{
	const struct variant *a = pa, *b = pb;
	int r = dot_compare(a->first, b->first);

	return r ? r : dot_compare(a->dot, b->dot);
}

struct variant variant_of(struct tree *t, const struct version *top)
{
	const struct content_value *c = &top->content;

	return (struct variant){
		.dot = top->dot,
		.first = version_first_dot(top),
		.label = c->author,
		.time = hlc_time(top->hlc),
		.mtime = c->mtime,
		.content = c->content,
		.automatic = top->flags & VERSION_AUTO,
		.here = content_complete(t, &c->content),
	};
}

static int describe(struct tree *t, struct variants *s,
		    const struct names *names, const struct branch *b,
		    bool main, struct variant *v)
{
	const struct shown *shown = names_of(names, s->id, b, main);

	*v = variant_of(t, b->top);
	v->main = main;
	if (!shown)
		return 0;
	v->name = object_dup(&s->row, shown_name(shown));
	return v->name.data ? 0 : -ENOMEM;
}

static int list_branches(struct tree *t, struct variants *s,
			 const struct names *names, const struct info *i)
{
	int r = 0;

	s->list = object_alloc(&s->row, i->real_count * sizeof(*s->list));
	if (!s->list)
		return -ENOMEM;
	for (size_t k = 0; !r && k < i->branch_count; k++)
		if (!i->branches[k].is_void)
			r = describe(t, s, names, &i->branches[k], !k,
				     &s->list[s->count++]);
	qsort(s->list, s->count, sizeof(*s->list), variant_order);
	return r;
}

static int find_base(struct tree *t, struct variants *s, const struct info *i)
{
	struct variant *b = &s->base;
	int r = base_of_branches(t, &s->row, i, &b->content, &b->dot);

	if (r)
		return r == -ENOENT ? 0 : r;
	s->base_known = true;
	b->first = b->dot;
	b->here = content_complete(t, &b->content);
	return 0;
}

/* [locked] */
static int variants_read(struct tree *t, struct objid id,
			 struct variants *s)
{
	struct names names = { 0 };
	struct row row;
	struct info i = { 0 };
	int r = row_load(t, id, &row);

	if (r)
		return r;
	if (!row.exists)
		r = -ENOENT;
	if (!r)
		r = info_init(&i, &row.o);
	if (!r && (i.kind != KIND_FILE || i.real_count < 2 || !i.link_count))
		r = -ENODATA;
	if (!r)
		r = names_find(t, &row, &names);
	info_release(&i);
	/* (what is listed borrows from the row that stays with it) */
	s->id = id;
	s->row = row.o;
	object_init(&row.o, id);
	if (!r)
		r = info_init(&i, &s->row);
	if (!r)
		r = list_branches(t, s, &names, &i);
	s->reopened = !r && is_reopened(&i);
	if (!r)
		r = contents_token(&s->row, &s->token);
	if (!r)
		r = collect_leaves(s);
	if (!r)
		r = find_base(t, s, &i);
	info_release(&i);
	names_release(&names);
	row_release(&row);
	return r;
}

static int variants_finish(struct tree *t, struct variants *s, int r)
{
	store_unlock(t->store);
	if (r)
		variants_release(s);
	return r;
}

int tree_variants_of(struct tree *t, struct objid id, struct variants *ret)
{
	*ret = (struct variants){ .hold = store_hold(t->store) };
	store_lock(t->store);
	return variants_finish(t, ret, variants_read(t, id, ret));
}

int tree_variants(struct tree *t, uint64_t ino, struct variants *ret)
{
	struct inoref ref;
	int r;

	*ret = (struct variants){ .hold = store_hold(t->store) };
	store_lock(t->store);
	r = ino_get(t, ino, &ref);
	if (!r) {
		inoref_release(&ref);
		r = variants_read(t, ref.id, ret);
	}
	return variants_finish(t, ret, r);
}

void variants_release(struct variants *s)
{
	object_release(&s->row);
	store_hold_end(&s->hold);
	*s = (struct variants){ 0 };
}

/* ---- which files */

struct in_conflict {
	struct objid id;
	uint64_t ino;
};

struct conflicts {
	struct in_conflict *list;
	size_t count;
};

static int conflict_add(struct tree *t, struct objid id, struct conflicts *l)
{
	struct in_conflict *p;
	struct row row;
	struct info i;
	bool yes;
	int r = row_read(t, id, &row);

	if (r)
		return r;
	r = info_init(&i, &row.o);
	yes = !r && i.kind == KIND_FILE && i.real_count > 1;
	info_release(&i);
	row_release(&row);
	if (r || !yes)
		return r;
	p = realloc(l->list, (l->count + 1) * sizeof(*p));
	if (!p)
		return -ENOMEM;
	l->list = p;
	p[l->count++] = (struct in_conflict){ id, row.ino };
	return 0;
}

/* Of one place with names that are view. */
static int conflicts_at(struct tree *t, void *arg, char what,
			struct objid parent, struct slice name)
{
	struct conflicts *l = arg;
	struct place_view p;
	int r;

	if (what != 'n')
		return 0; /* a name of its own */
	r = place_view_at(t, group_canonical(t, parent), name, &p);
	for (size_t k = 0; !r && k < p.file_count; k++)
		if (p.files[k].claim.flags & CLAIM_SIBLINGS)
			r = conflict_add(t, p.files[k].id, l);
	place_view_release(&p);
	return r;
}

int tree_each_conflict(struct tree *t,
		       int (*fn)(void *arg, struct objid id, uint64_t ino),
		       void *arg)
{
	struct marks_at at = MARKS_BEGIN;
	struct conflicts l = { 0 };
	int r, more;

	do {
		l.count = 0;
		store_lock(t->store);
		more = marks_walk(t, &at, conflicts_at, &l);
		store_unlock(t->store);
		r = MIN_OF(more, 0);
		for (size_t k = 0; !r && k < l.count; k++)
			r = fn(arg, l.list[k].id, l.list[k].ino);
	} while (!r && more);
	free(l.list);
	return r;
}
