/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Listing what was decided without asking. Rows are found by their marks
 * (contest.c) and by the overrides of cycle.c, never by a scan; what is
 * said of each is read from the row when it is asked for. Settlements are in
 * the history (hist_settled.c).
 *
 * The id of a decision is a hash of what it is about and of the version that
 * lost. So it is the same on all nodes and whatever else happens, and a word
 * that somebody copied from a list can mean no other decision.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/base/hash.h"
#include "fs/tree/contest.h"
#include "fs/tree/hist.h"
#include "fs/tree/list.h"

/* ---- finding */

static void name_decision(struct tree *t, const struct row *row,
			  const struct contest *c,
			  char ret[DECISION_ID_CHARS + 1])
{
	struct dot lost = contest_lost_dot(c);
	struct slice name = SLICE(NULL, 0);
	uint8_t bytes[1 + 16 + 16 + 8 + 8 + 8] = { (uint8_t)c->kind };
	struct slice parts[2];
	struct hash hash;

	if (c->kind == DECISION_XATTR)
		name = c->chosen->xattr.name;
	memcpy(bytes + 1, t->volume.b, 16);
	memcpy(bytes + 17, row->o.id.b, 16);
	put_le64(bytes + 33, lost.origin);
	put_le64(bytes + 41, lost.seq);
	if (c->chosen->reg == REG_LINK)
		put_le64(bytes + 49, c->chosen->link.slot);
	parts[0] = SLICE(bytes, sizeof(bytes));
	parts[1] = name;
	hash_slices(parts, 2, &hash);
	hex_encode(hash.b, DECISION_ID_CHARS / 2, ret);
	ret[DECISION_ID_CHARS] = 0;
}

struct each {
	struct tree *t;
	const struct row *row;
	const struct info *info;
	char mark;
	int (*fn)(struct tree *, void *arg, const struct decided *);
	void *arg;
};

static int give_contest(void *arg, const struct contest *c)
{
	struct each *e = arg;
	struct decided d = { e->row, e->info, c, "" };

	if ((c->kind == DECISION_RENAME) != (e->mark == 'p'))
		return 0;
	name_decision(e->t, e->row, c, d.id);
	return e->fn(e->t, e->arg, &d);
}

/* Nobody sees what lost in a row that is not shown, nor the attributes of a
 * directory that is merged into another. */
static int row_shows(struct tree *t, const struct row *row,
		     const struct info *i, bool *ret)
{
	*ret = row->claim_count;
	if (*ret && i->kind == KIND_DIR)
		return dir_is_live(t, row->o.id, ret);
	return 0;
}

static int each_of_row(struct each *e, struct objid id)
{
	struct contest cycle = { .kind = DECISION_CYCLE };
	struct row row;
	struct info i;
	bool shows = objid_is_root(id);
	int r = row_load(e->t, id, &row);

	if (r)
		return r;
	r = info_init(&i, &row.o);
	if (!r && !shows)
		r = row_shows(e->t, &row, &i, &shows);
	e->row = &row;
	e->info = &i;
	if (!r && shows && e->mark == 'o' && i.link_count) {
		struct decided d = { &row, &i, &cycle, "" };

		cycle.chosen = cycle.lost = i.links[0].link;
		name_decision(e->t, &row, &cycle, d.id);
		r = e->fn(e->t, e->arg, &d);
	} else if (!r && shows && e->mark != 'o') {
		r = row_contests(&i, give_contest, e);
	}
	info_release(&i);
	row_release(&row);
	return r;
}

/* The first that is not shown any more. */
static const struct version *first_lost(const struct info *was,
					const struct branch *main)
{
	for (size_t k = 0; k < was->branch_count; k++) {
		const struct branch *b = &was->branches[k];

		if (!b->is_void &&
		    !branch_has_content(main, &b->top->content.content))
			return b->top;
	}
	return NULL;
}

static int give_settled(struct each *e, const struct row *row,
			const struct info *i, const struct hist_settled *s)
{
	struct contest c = { .kind = DECISION_SETTLED };
	struct decided d = { row, i, &c, "" };
	struct entry_name after;
	struct info was;
	int r;

	if (!i->branch_count || !row->claim_count)
		return 0;
	c.chosen = i->branches[0].top;
	after = version_entry_name(c.chosen);
	if (entry_name_compare(&after, &s->after))
		return 0;
	r = info_init(&was, &s->before);
	c.lost = r ? NULL : first_lost(&was, &i->branches[0]);
	if (c.lost) {
		name_decision(e->t, row, &c, d.id);
		r = e->fn(e->t, e->arg, &d);
	}
	info_release(&was);
	return r;
}

static int settled_of(struct each *e, struct objid id)
{
	struct hist_settled s;
	struct row row;
	struct info i;
	int r = row_load(e->t, id, &row);

	if (r)
		return r;
	r = info_init(&i, &row.o);
	if (!r) {
		r = hist_settled_get(e->t, id, &s);
		if (!r)
			r = give_settled(e, &row, &i, &s);
		hist_settled_release(&s);
	}
	info_release(&i);
	row_release(&row);
	return r;
}

static int settled_each(struct each *e)
{
	struct objid id;
	int r = hist_settled_next(e->t, NULL, &id);

	while (!r) {
		r = settled_of(e, id);
		if (!r)
			r = hist_settled_next(e->t, &id, &id);
	}
	return r == -ENOENT ? 0 : r;
}

int decided_each(struct tree *t,
		 int (*fn)(struct tree *, void *arg, const struct decided *),
		 void *arg)
{
	struct each e = { .t = t, .fn = fn, .arg = arg };
	struct idlist over = { 0 };
	int r = 0;

	for (const char *mark = "pd"; !r && *mark; mark++) {
		struct objid id;

		e.mark = *mark;
		r = marks_next(t, e.mark, NULL, &id);
		while (!r) {
			r = each_of_row(&e, id);
			if (!r)
				r = marks_next(t, e.mark, &id, &id);
		}
		if (r == -ENOENT)
			r = 0;
	}
	e.mark = 'o';
	if (!r)
		r = overrides_list(t, &over);
	for (size_t k = 0; !r && k < over.count; k++)
		r = each_of_row(&e, over.ids[k]);
	idlist_release(&over);
	return r ? r : settled_each(&e);
}

/* ---- saying what it is */

struct side {
	struct buf value;
	bool none;
	char label[LABEL_BYTES_MAX];
	size_t label_len;
	struct dot dot;
	uint64_t hlc;
};

struct listed {
	char id[DECISION_ID_CHARS + 1];
	enum decision_kind kind;
	bool is_dir, asked;
	struct buf path, xattr;
	struct side chosen, lost;
};

struct listing {
	struct listed *d;
	size_t count, alloc;
};

static void listing_release(struct listing *l)
{
	for (size_t k = 0; k < l->count; k++) {
		buf_release(&l->d[k].path);
		buf_release(&l->d[k].xattr);
		buf_release(&l->d[k].chosen.value);
		buf_release(&l->d[k].lost.value);
	}
	free(l->d);
	*l = (struct listing){ 0 };
}

static struct listed *listing_add(struct listing *l)
{
	if (l->count == l->alloc) {
		size_t alloc = MAX_OF(l->alloc * 2, (size_t)4);
		struct listed *p = realloc(l->d, alloc * sizeof(*p));

		if (!p)
			return NULL;
		l->d = p;
		l->alloc = alloc;
	}
	l->d[l->count] = (struct listed){
		.path = BUF_INIT, .xattr = BUF_INIT,
		.chosen.value = BUF_INIT, .lost.value = BUF_INIT };
	return &l->d[l->count++];
}

/* The name that the file shows for its first claim: if none, of a sibling
 * that is all that shows of it. */
static int shown_name_of(struct tree *t, const struct row *row,
			 struct objid dir, struct shown *ret)
{
	const struct claim *c = &row->claims[0];
	struct shownlist virtuals = { 0 };
	int r = view_find(t, dir, spot_name(&c->at), ret);

	if (r && r != -ENOENT)
		return r;
	if (!r && objid_equal(ret->id, row->o.id))
		return 0;
	r = view_virtuals_at(t, dir, spot_name(&c->at), &virtuals);
	if (!r)
		r = -ENOENT;
	for (int sibling = 0; r == -ENOENT && sibling < 2; sibling++)
		for (size_t k = 0; r == -ENOENT && k < virtuals.count; k++) {
			const struct shown *s = &virtuals.shown[k];

			if (!objid_equal(s->id, row->o.id) ||
			    (s->type == SHOWN_SIBLING) != sibling)
				continue;
			*ret = *s;
			r = 0;
		}
	shownlist_release(&virtuals);
	return r;
}

int decided_path(struct tree *t, const struct row *row, struct buf *ret)
{
	struct objid dir;
	struct shown s;
	int r;

	if (objid_is_root(row->o.id))
		return 0;
	if (!row->claim_count)
		return -ENOENT;
	dir = group_canonical(t, row->claims[0].at.parent);
	r = shown_name_of(t, row, dir, &s);
	if (!r)
		return path_join(t, dir, shown_name(&s), ret);
	/* (folded into its twin) */
	return r == -ENOENT ? path_join(t, dir, spot_name(&row->claims[0].at),
					ret) : r;
}

static void put_time(struct buf *b, struct timespec at)
{
	char text[32];
	struct tm tm;

	if (gmtime_r(&at.tv_sec, &tm) &&
	    strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &tm))
		buf_printf(b, "%s.%09ld UTC", text, at.tv_nsec);
}

/* A place whose directory is gone has no path. */
static int put_place(struct tree *t, const struct place *at, struct buf *b)
{
	struct buf path = BUF_INIT;
	int r = path_join(t, group_canonical(t, at->parent), at->name, &path);

	if (!r)
		buf_put_slice(b, buf_slice(&path));
	buf_release(&path);
	return r == -ENOENT ? buf_error(b) : r;
}

static int put_value(struct tree *t, const struct version *v, struct side *s)
{
	struct buf *b = &s->value;

	switch (v->reg) {
	case REG_LINK:
		return put_place(t, &v->link.at, b);
	case REG_MODE:
		buf_printf(b, "%04o%s", v->mode.perm,
			   v->mode.acl.len ? "+" : "");
		break;
	case REG_OWNER:
		buf_put_slice(b, v->owner.user);
		buf_put_u8(b, ':');
		buf_put_slice(b, v->owner.group);
		break;
	case REG_TIMES:
		put_time(b, v->times.mtime);
		break;
	case REG_XATTR:
		s->none = v->xattr.removed;
		buf_put_slice(b, v->xattr.value);
		break;
	}
	return buf_error(b);
}

static void put_author(const struct version *v, struct side *s)
{
	struct slice label = SLICE(NULL, 0);

	s->dot = v->dot;
	s->hlc = v->hlc;
	if (v->reg == REG_LINK)
		label = v->link.label;
	if (v->reg == REG_CONTENT)
		label = v->content.author;
	s->label_len = MIN_OF(label.len, sizeof(s->label));
	if (s->label_len)
		memcpy(s->label, label.data, s->label_len);
}

/* Who wrote what kept it alive, not who once placed it. */
static void put_keeper(const struct info *i, struct side *s)
{
	s->label_len = 0;
	for (size_t k = 0; k < i->branch_count; k++)
		if (dot_equal(i->branches[k].top->dot, s->dot))
			put_author(i->branches[k].top, s);
}

static int describe(struct tree *t, const struct decided *d,
		    struct listed *ret)
{
	const struct contest *c = d->contest;
	int r = 0;

	memcpy(ret->id, d->id, sizeof(ret->id));
	ret->kind = c->kind;
	ret->is_dir = d->info->kind == KIND_DIR;
	ret->asked = c->kind == DECISION_SETTLED &&
		     !(c->chosen->flags & VERSION_AUTO);
	put_author(c->chosen, &ret->chosen);
	if (c->lost) {
		put_author(c->lost, &ret->lost);
	} else {
		ret->lost.dot = c->chosen->link.since.dot;
		ret->lost.hlc = c->chosen->link.since.hlc;
	}
	if (c->kind == DECISION_REVIVED)
		put_keeper(d->info, &ret->chosen);
	if (c->kind == DECISION_XATTR)
		buf_put_slice(&ret->xattr, c->chosen->xattr.name);
	r = decided_path(t, d->row, &ret->path);
	if (!r && c->kind == DECISION_CYCLE)
		r = path_of_dir(t, d->row->o.id, &ret->chosen.value);
	else if (!r && c->kind == DECISION_POLICY)
		buf_put_slice(&ret->chosen.value, d->row->o.rule);
	else if (!r && c->kind != DECISION_REVIVED)
		r = put_value(t, c->chosen, &ret->chosen);
	if (!r && c->lost && c->kind != DECISION_REVIVED)
		r = put_value(t, c->lost, &ret->lost);
	return r ? r : buf_error(&ret->xattr);
}

static int collect(struct tree *t, void *arg, const struct decided *d)
{
	struct listing *l = arg;
	struct listed *add;

	/* Attributes of a merged directory are its canonical one's. */
	if (d->info->kind == KIND_DIR && d->contest->chosen->reg != REG_LINK &&
	    !objid_equal(group_canonical(t, d->row->o.id), d->row->o.id))
		return 0;
	add = listing_add(l);
	return add ? describe(t, d, add) : -ENOMEM;
}

/* ---- listing */

static int listed_order(const void *pa, const void *pb)
{
	const struct listed *a = pa, *b = pb;
	int r = slice_compare(buf_slice(&a->path), buf_slice(&b->path));

	if (!r)
		r = (int)a->kind - (int)b->kind;
	return r ? r : strcmp(a->id, b->id);
}

static bool is_within(struct slice path, struct slice top)
{
	if (!top.len)
		return true;
	if (path.len < top.len || memcmp(path.data, top.data, top.len))
		return false;
	return path.len == top.len || path.data[top.len] == '/';
}

static struct decision_side side_of(const struct side *s)
{
	uint64_t ms = s->hlc >> 16;

	return (struct decision_side){
		.value = buf_slice(&s->value), .none = s->none,
		.label = SLICE(s->label, s->label_len), .dot = s->dot,
		.time = { (time_t)(ms / 1000),
			  (long)(ms % 1000 * 1000000) } };
}

static int give(const struct listed *d,
		int (*fn)(void *arg, const struct decision *), void *arg)
{
	struct decision out = { .kind = d->kind, .is_dir = d->is_dir,
				.asked = d->asked,
				.path = buf_slice(&d->path),
				.xattr = buf_slice(&d->xattr),
				.chosen = side_of(&d->chosen),
				.lost = side_of(&d->lost) };

	memcpy(out.id, d->id, sizeof(out.id));
	return fn(arg, &out);
}

int tree_decided(struct tree *t, uint64_t ino,
		 int (*fn)(void *arg, const struct decision *), void *arg)
{
	cleanup(buf_release) struct buf top = BUF_INIT;
	struct listing l = { 0 };
	int r = tree_path(t, ino, &top);

	if (!r) {
		store_lock(t->store);
		r = decided_each(t, collect, &l);
		store_unlock(t->store);
	}
	if (!r && l.count > 1)
		qsort(l.d, l.count, sizeof(*l.d), listed_order);
	for (size_t k = 0; !r && k < l.count; k++)
		if (is_within(buf_slice(&l.d[k].path), buf_slice(&top)))
			r = give(&l.d[k], fn, arg);
	listing_release(&l);
	return r;
}
