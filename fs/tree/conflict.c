/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Listing conflicts. They are found by the marks (place.c), never by a scan.
 *
 *	content	a file with siblings
 *	name	several objects claim one name
 *	place	one file renamed to two places
 *
 * A conflict has a token, made of what names its versions and of where they
 * stand. Whoever settles gives it back, and it is compared in the operation
 * that settles: what came between the look and the word, of this kind or of
 * another, is not decided unseen.
 */
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "fs/base/hash.h"
#include "fs/tree/base.h"
#include "fs/tree/list.h"

/* ---- collecting */

struct found_version {
	struct buf path;
	struct slice label;
	char label_bytes[LABEL_BYTES_MAX];
	struct dot dot;
	struct timespec time;
	uint64_t size;
	bool main, automatic;
};

struct found {
	struct buf path;
	enum conflict_kind kind;
	bool files, base_known, main_removed;
	struct objid id;
	uint64_t slot;		/* CONFLICT_PLACE: the one contested */
	struct found_version *v;
	size_t count;
};

struct foundlist {
	struct found *f;
	size_t count;
};

static void foundlist_release(struct foundlist *l)
{
	for (size_t k = 0; k < l->count; k++) {
		for (size_t n = 0; n < l->f[k].count; n++)
			buf_release(&l->f[k].v[n].path);
		free(l->f[k].v);
		buf_release(&l->f[k].path);
	}
	free(l->f);
	*l = (struct foundlist){ 0 };
}

static struct found *found_add(struct foundlist *l, enum conflict_kind kind)
{
	struct found *p = realloc(l->f, (l->count + 1) * sizeof(*p));

	if (!p)
		return NULL;
	l->f = p;
	p += l->count++;
	*p = (struct found){ .kind = kind, .path = BUF_INIT };
	return p;
}

static struct found_version *found_version(struct found *f)
{
	struct found_version *p;

	p = realloc(f->v, (f->count + 1) * sizeof(*p));
	if (!p)
		return NULL;
	f->v = p;
	p += f->count++;
	*p = (struct found_version){ .path = BUF_INIT };
	return p;
}

static struct timespec hlc_time(uint64_t hlc)
{
	uint64_t ms = hlc >> 16;

	return (struct timespec){ (time_t)(ms / 1000),
				  (long)(ms % 1000 * 1000000) };
}

static void describe(struct found_version *v, const struct version *content)
{
	const struct content_value *c = &content->content;

	memcpy(v->label_bytes, c->author.data, c->author.len);
	v->label.len = c->author.len;
	v->dot = content->dot;
	v->time = hlc_time(content->hlc);
	v->size = c->content.size;
	v->automatic = content->flags & VERSION_AUTO;
}

static int why_content(struct tree *t, struct row *row, const struct info *i,
		       struct found *f)
{
	struct content base;
	struct dot dot;
	int r;

	/* (what the index says is a live file has contents) */
	if (!i->branch_count)
		return -EUCLEAN;
	r = base_of_branches(t, &row->o, i, &base, &dot);
	f->files = i->kind == KIND_FILE;
	f->main_removed = i->branches[0].is_void;
	f->base_known = !r;
	return r == -ENOENT ? 0 : r;
}

/* A file's main and its siblings, as shown in `dir`. */
static int collect_content(struct tree *t, struct objid dir,
			   const struct shownlist *virtuals,
			   const struct claimant *c, struct foundlist *l)
{
	struct found *f = found_add(l, CONFLICT_CONTENT);
	struct row row;
	struct info i;
	struct shown at;
	int r;

	if (!f)
		return -ENOMEM;
	r = row_load(t, c->id, &row);
	if (r)
		return r;
	r = info_init(&i, &row.o);
	if (!r)
		r = path_join(t, dir, spot_name(&c->claim.at), &f->path);
	if (!r)
		r = why_content(t, &row, &i, f);
	f->id = c->id;
	for (size_t k = 0; !r && k < i.branch_count; k++) {
		struct found_version *v;
		const struct shown *s = NULL;

		for (size_t n = 0; n < virtuals->count && !s; n++) {
			const struct shown *x = &virtuals->shown[n];

			if (!objid_equal(x->id, c->id))
				continue;
			if (k ? x->type == SHOWN_SIBLING &&
					dot_equal(x->tag, i.branches[k].tag)
			      : x->type == SHOWN_SUFFIXED &&
					x->slot == c->claim.slot)
				s = x;
		}
		if (i.branches[k].is_void || (k && !s))
			continue;
		v = found_version(f);
		if (!v)
			r = -ENOMEM;
		if (r)
			break;
		describe(v, i.branches[k].top);
		v->main = !k;
		if (!s && view_find(t, dir, spot_name(&c->claim.at), &at))
			continue;
		r = path_join(t, dir,
			      s ? shown_name(s) : spot_name(&c->claim.at),
			      &v->path);
	}
	info_release(&i);
	row_release(&row);
	return r;
}

static int collect_name_version(struct tree *t, struct objid dir,
				const struct claimant *c, struct slice name,
				bool main, struct found *f)
{
	struct found_version *v = found_version(f);
	struct row row;
	struct info i;
	int r;

	if (!v)
		return -ENOMEM;
	v->main = main;
	r = path_join(t, dir, name, &v->path);
	if (r || !c)
		return r;
	r = row_load(t, c->id, &row);
	if (r)
		return r;
	r = info_init(&i, &row.o);
	if (!r && i.branch_count)
		describe(v, i.branches[0].top);
	/* (who placed it there, whoever wrote it since) */
	memcpy(v->label_bytes, c->label_bytes, c->label.len);
	v->label.len = c->label.len;
	info_release(&i);
	row_release(&row);
	return r;
}

static int collect_name(struct tree *t, struct objid dir,
			const struct shownlist *virtuals, struct slice name,
			const struct place_view *p, struct foundlist *l)
{
	struct found *f = found_add(l, CONFLICT_NAME);
	int r;

	if (!f)
		return -ENOMEM;
	f->files = !p->dirs.count;
	for (size_t k = 0; k < p->holder_count; k++)
		f->files &= p->files[k].kind == KIND_FILE;
	r = path_join(t, dir, name, &f->path);
	if (!r)
		r = collect_name_version(t, dir,
					 p->dirs.count ? NULL : &p->files[0],
					 name, true, f);
	for (size_t k = 0; !r && k < virtuals->count; k++) {
		const struct shown *s = &virtuals->shown[k];

		if (s->type != SHOWN_SUFFIXED ||
		    !slice_equal(spot_name(&s->link), name))
			continue;
		for (size_t n = 0; !r && n < p->holder_count; n++)
			if (objid_equal(p->files[n].id, s->id) &&
			    p->files[n].claim.slot == s->slot)
				r = collect_name_version(t, dir, &p->files[n],
							 shown_name(s), false,
							 f);
	}
	return r;
}

static int collect_place(struct tree *t, struct objid parent,
			 struct slice name, struct foundlist *l)
{
	struct objid dir = group_canonical(t, parent);
	struct shownlist virtuals = { 0 };
	struct place_view p;
	int r = place_view_at(t, dir, name, &p);

	if (!r)
		r = view_virtuals_at(t, dir, name, &virtuals);
	if (!r && place_heads(&p) > 1)
		r = collect_name(t, dir, &virtuals, name, &p, l);
	for (size_t k = 0; !r && k < p.file_count; k++)
		if (p.files[k].claim.flags & CLAIM_SIBLINGS)
			r = collect_content(t, dir, &virtuals, &p.files[k],
					    l);
	place_view_release(&p);
	shownlist_release(&virtuals);
	return r;
}

/* One name, moved to several places: the winner's is where it is. */
static int collect_moves(struct tree *t, const struct info *i,
			 const struct shown_link *l, struct foundlist *list)
{
	struct found *f = found_add(list, CONFLICT_PLACE);
	int r = 0;

	if (!f)
		return -ENOMEM;
	f->id = i->object->id;
	f->slot = l->slot;
	for (size_t k = 0; !r && k < i->object->count; k++) {
		const struct version *v = &i->object->versions[k];
		struct found_version *fv;

		if (v->reg != REG_LINK || v->flags & VERSION_WEAK ||
		    v->link.slot != l->slot)
			continue;
		fv = found_version(f);
		if (!fv)
			return -ENOMEM;
		if (i->branch_count)
			describe(fv, i->branches[0].top);
		fv->dot = v->dot;
		fv->time = hlc_time(v->hlc);
		fv->main = v == l->link;
		r = path_join(t, v->link.at.parent, v->link.at.name,
			      &fv->path);
		if (r == -ENOENT) /* that directory is gone */
			r = 0;
		if (!r && fv->main)
			r = path_join(t, v->link.at.parent, v->link.at.name,
				      &f->path);
	}
	return r;
}

static int collect_renames(struct tree *t, struct objid id,
			   struct foundlist *l)
{
	struct row row;
	struct info i;
	int r = row_load(t, id, &row);

	if (r)
		return r;
	r = info_init(&i, &row.o);
	for (size_t k = 0; !r && row.claim_count && k < i.shown_count; k++)
		if (info_link_contested(&i, &i.links[k]))
			r = collect_moves(t, &i, &i.links[k], l);
	info_release(&i);
	row_release(&row);
	return r;
}

static int collect_mark(struct tree *t, void *arg, char what, struct objid id,
			struct slice name)
{
	return what == 'n' ? collect_place(t, id, name, arg)
			   : collect_renames(t, id, arg);
}

/* ---- marks */

int marks_walk(struct tree *t, struct marks_at *at,
	       int (*fn)(struct tree *, void *arg, char what, struct objid id,
			 struct slice name),
	       void *arg)
{
	for (size_t n = 0; n < MARKS_SLICE; n++) {
		struct slice k, v;
		struct objid id;
		uint8_t name[NAME_BYTES_MAX];
		size_t name_len;
		int r = store_seek(t->store, TABLE_MARK,
				   SLICE(at->key, at->len), &k, &v);

		if (r == -ENOENT)
			return 0;
		if (r)
			return r;
		if (k.len < 17 || k.len > 25 || v.len > sizeof(name) ||
		    (k.data[0] == 'n' && k.len != 25))
			return -EUCLEAN;
		memcpy(at->key, k.data, k.len);
		at->len = k.len;
		at->key[at->len++] = 0;
		memcpy(id.b, at->key + 1, 16);
		name_len = v.len;
		memcpy(name, v.data, v.len);
		r = fn(t, arg, (char)at->key[0], id, SLICE(name, name_len));
		if (r && r != -ENOENT)
			return r;
	}
	return 1;
}

/* ---- what was looked at */

static int found_token(const struct found *f, struct hash *ret)
{
	cleanup(buf_release) struct buf b = BUF_INIT;
	int r;

	buf_put_u8(&b, (uint8_t)f->kind);
	buf_put_u64(&b, f->count);
	for (size_t i = 0; i < f->count; i++) {
		buf_put_u64(&b, f->v[i].dot.origin);
		buf_put_u64(&b, f->v[i].dot.seq);
		buf_put_u8(&b, f->v[i].main);
		/* (of places, and of files of one name, too) */
		buf_put_string(&b, buf_slice(&f->v[i].path));
	}
	r = buf_error(&b);
	if (!r)
		hash_bytes(b.data, b.len, ret);
	return r;
}

/* Those of the object's contents, wherever its siblings stand. */
static int collect_siblings(struct tree *t, struct objid id,
			    struct foundlist *l)
{
	struct row row;
	int r = row_load(t, id, &row);

	if (r)
		return r;
	for (size_t k = 0; !r && k < row.claim_count; k++)
		if (row.claims[k].flags & CLAIM_SIBLINGS)
			r = collect_place(t, row.claims[k].at.parent,
					  spot_name(&row.claims[k].at), l);
	row_release(&row);
	return r;
}

static bool found_is(const struct found *f, enum conflict_kind kind,
		     const struct shown *s)
{
	if (f->kind != kind)
		return false;
	if (kind == CONFLICT_NAME)
		return true;
	return objid_equal(f->id, s->id) &&
	       (kind == CONFLICT_CONTENT || f->slot == s->slot);
}

int conflict_check(struct tree *t, enum conflict_kind kind,
		   const struct shown *s, const struct spot *place,
		   const struct hash *token)
{
	struct foundlist l = { 0 };
	bool seen = false;
	int r;

	switch (kind) {
	case CONFLICT_CONTENT:
		r = collect_siblings(t, s->id, &l);
		break;
	case CONFLICT_NAME:
		r = collect_place(t, place->parent, spot_name(place), &l);
		break;
	default:
		r = collect_renames(t, s->id, &l);
	}
	for (size_t k = 0; !r && k < l.count; k++) {
		struct hash h;

		if (!found_is(&l.f[k], kind, s))
			continue;
		r = found_token(&l.f[k], &h);
		seen |= !r && hash_equal(&h, token);
	}
	foundlist_release(&l);
	return r ? r : seen ? 0 : -ESTALE;
}

int conflict_name_token(struct tree *t, const struct spot *place,
			struct hash *ret)
{
	struct foundlist l = { 0 };
	int r = collect_place(t, place->parent, spot_name(place), &l);
	bool found = false;

	for (size_t k = 0; !r && !found && k < l.count; k++) {
		found = l.f[k].kind == CONFLICT_NAME;
		if (found)
			r = found_token(&l.f[k], ret);
	}
	foundlist_release(&l);
	return r ? r : found ? 0 : -ENODATA;
}

/* ---- listing */

static int found_order(const void *pa, const void *pb)
{
	const struct found *a = pa, *b = pb;
	int r = slice_compare(buf_slice(&a->path), buf_slice(&b->path));

	return r ? r : (int)a->kind - (int)b->kind;
}

static bool path_within(struct slice path, struct slice top)
{
	if (!top.len)
		return true;
	if (path.len < top.len || memcmp(path.data, top.data, top.len))
		return false;
	return path.len == top.len || path.data[top.len] == '/';
}

static bool found_within(const struct found *f, struct slice top)
{
	if (path_within(buf_slice(&f->path), top))
		return true;
	for (size_t k = 0; k < f->count; k++)
		if (path_within(buf_slice(&f->v[k].path), top))
			return true;
	return false;
}

static int give(const struct found *f,
		int (*fn)(void *arg, const struct conflict *), void *arg)
{
	struct conflict_version *v = calloc(f->count + 1, sizeof(*v));
	struct conflict c = { .path = buf_slice(&f->path), .kind = f->kind,
			      .files = f->files,
			      .base_known = f->base_known,
			      .main_removed = f->main_removed,
			      .id = f->id,
			      .versions = v, .count = f->count };
	int r;

	if (!v)
		return -ENOMEM;
	r = found_token(f, &c.token);
	for (size_t k = 0; k < f->count; k++)
		v[k] = (struct conflict_version){
			.path = buf_slice(&f->v[k].path),
			.label = SLICE(f->v[k].label_bytes,
				       f->v[k].label.len),
			.dot = f->v[k].dot, .time = f->v[k].time,
			.size = f->v[k].size, .main = f->v[k].main,
			.automatic = f->v[k].automatic };
	if (!r)
		r = fn(arg, &c);
	free(v);
	return r;
}

/* (what is renamed meanwhile may be found twice, or not) */
static int collect_all(struct tree *t, struct foundlist *l)
{
	struct marks_at at = MARKS_BEGIN;
	int r;

	do {
		store_lock(t->store);
		r = marks_walk(t, &at, collect_mark, l);
		store_unlock(t->store);
		/* Who waits for the lock has it first. */
		sched_yield();
	} while (r > 0);
	return r;
}

int tree_conflicts(struct tree *t, uint64_t ino,
		   int (*fn)(void *arg, const struct conflict *), void *arg)
{
	struct foundlist l = { 0 };
	struct buf top = BUF_INIT;
	int r = tree_path(t, ino, &top);

	if (!r)
		r = collect_all(t, &l);
	if (!r && l.count > 1)
		qsort(l.f, l.count, sizeof(*l.f), found_order);
	for (size_t k = 0; !r && k < l.count; k++)
		if (l.f[k].count > 1 ||
		    (l.f[k].kind == CONFLICT_CONTENT && l.f[k].count))
			if (found_within(&l.f[k], buf_slice(&top)))
				r = give(&l.f[k], fn, arg);
	foundlist_release(&l);
	buf_release(&top);
	return r;
}

static int count_one(void *arg, const struct conflict *c)
{
	(void)c;
	++*(uint64_t *)arg;
	return 0;
}

uint64_t tree_conflict_count(struct tree *t)
{
	uint64_t n = 0, marks;

	store_lock(t->store);
	marks = store_count(t->store, TABLE_MARK);
	store_unlock(t->store);
	if (marks && tree_conflicts(t, TREE_ROOT_INO, count_one, &n))
		n = marks;
	return n;
}
