/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The whole state, for tests, the simulator and `kin check`: the view in a
 * defined order, the rows, and what must always hold between them.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/tree/base.h"
#include "fs/tree/contest.h"
#include "fs/tree/hist.h"
#include "fs/tree/list.h"
#include "fs/tree/ruled.h"

/* ---- the view */

struct seen_entry {
	struct shown shown;
	struct buf path;
};

struct seen_list {
	struct seen_entry *e;
	size_t count;
};

static void seen_release(struct seen_list *l)
{
	for (size_t k = 0; k < l->count; k++)
		buf_release(&l->e[k].path);
	free(l->e);
	*l = (struct seen_list){ 0 };
}

static int seen_add(struct seen_list *l, const struct shown *s,
		    struct slice dir)
{
	struct seen_entry *p = realloc(l->e, (l->count + 1) * sizeof(*p));

	if (!p)
		return -ENOMEM;
	l->e = p;
	p += l->count++;
	p->shown = *s;
	p->path = BUF_INIT;
	buf_put_slice(&p->path, dir);
	if (dir.len)
		buf_put_u8(&p->path, '/');
	buf_put_slice(&p->path, shown_name(s));
	return buf_error(&p->path);
}

static int seen_order(const void *pa, const void *pb)
{
	const struct seen_entry *a = pa, *b = pb;

	return slice_compare(buf_slice(&a->path), buf_slice(&b->path));
}

/* All entries, by path. [locked] */
static int view_all(struct tree *t, struct seen_list *ret)
{
	/* (each directory is shown once, unless the tables contradict each
	 * other) */
	uint64_t left = store_count(t->store, TABLE_OBJ) + 1;
	size_t next = 0;
	int r = 0;

	for (bool root = true; !r && (root || next < ret->count);) {
		struct lister l = { 0 };
		struct shown s;
		struct objid dir = ROOT_ID;
		struct slice path = SLICE(NULL, 0);

		if (!root && ret->e[next].shown.type != SHOWN_DIR) {
			next++;
			continue;
		}
		if (!root)
			dir = ret->e[next].shown.id;
		r = left-- ? lister_init(t, dir, 0, &l) : -EUCLEAN;
		while (!r && !(r = lister_next(t, &l, &s))) {
			if (!root)
				path = buf_slice(&ret->e[next].path);
			r = seen_add(ret, &s, path);
		}
		lister_release(&l);
		if (r == -ENOENT)
			r = 0;
		next += !root;
		root = false;
	}
	if (!r && ret->count > 1)
		qsort(ret->e, ret->count, sizeof(*ret->e), seen_order);
	return r;
}

static int give_entry(struct tree *t, const struct seen_entry *e,
		      int (*fn)(void *arg, const struct replica_view_entry *),
		      void *arg)
{
	struct replica_view_entry v = { .path = buf_slice(&e->path),
					.id = e->shown.id,
					.kind = e->shown.kind,
					.complete = true };
	const struct version *c = NULL;
	struct row row;
	struct info i;
	int r;

	store_lock(t->store);
	r = row_load(t, e->shown.id, &row);
	if (!r)
		r = info_init(&i, &row.o);
	store_unlock(t->store);
	if (r)
		return r;
	v.is_sibling = e->shown.type == SHOWN_SIBLING;
	v.perm = i.mode ? i.mode->mode.perm : 0;
	if (i.times)
		v.mtime = i.times->times.mtime;
	if (v.is_sibling) {
		const struct branch *b = info_branch(&i, e->shown.tag);

		c = b ? b->top : NULL;
	} else if (v.kind != KIND_DIR) {
		c = row_shown_content(&row, &i);
		v.complete = !row.has_prior && !row.absent;
	}
	if (c) {
		v.version = c->dot;
		v.content = c->content.content;
		if (!v.content.depth)
			content_inline(c->content.content.inline_bytes,
				       &v.content);
		if (v.is_sibling || row.has_prior || i.times_of_hidden)
			v.mtime = c->content.mtime;
	}
	r = fn(arg, &v);
	info_release(&i);
	row_release(&row);
	return r;
}

int replica_view(struct tree *t,
		 int (*fn)(void *arg, const struct replica_view_entry *),
		 void *arg)
{
	struct seen_list l = { 0 };
	int r;

	store_lock(t->store);
	r = view_all(t, &l);
	store_unlock(t->store);
	for (size_t k = 0; !r && k < l.count; k++)
		r = give_entry(t, &l.e[k], fn, arg);
	seen_release(&l);
	return r;
}

/* ---- the rows */

struct rows_arg {
	int (*fn)(void *arg, struct objid, struct slice);
	void *arg;
};

static int each_row(struct tree *t,
		    int (*fn)(struct tree *t, void *arg, struct row *),
		    void *arg)
{
	uint8_t key[17] = { 0 };
	size_t len = 0;

	for (;;) {
		struct slice k, v;
		struct row row;
		struct objid id;
		int r;

		store_lock(t->store);
		r = store_seek(t->store, TABLE_OBJ, SLICE(key, len), &k, &v);
		if (!r && k.len != 16)
			r = -EUCLEAN;
		if (!r) {
			memcpy(key, k.data, 16);
			key[16] = 0;
			len = 17;
			memcpy(id.b, key, 16);
			r = row_load(t, id, &row);
		}
		if (!r) {
			r = fn(t, arg, &row);
			row_release(&row);
		} else if (r == -ENOENT) {
			store_unlock(t->store);
			return 0;
		}
		store_unlock(t->store);
		if (r)
			return r;
	}
}

static int give_row(struct tree *t, void *arg, struct row *row)
{
	struct rows_arg *a = arg;
	struct buf b = BUF_INIT;
	struct info i;
	bool live;
	int r = info_init(&i, &row->o);

	(void)t;
	if (r)
		return r;
	live = info_is_live(&i);
	info_release(&i);
	if (live)
		r = object_encode(&row->o, &b);
	if (live && !r)
		r = a->fn(a->arg, row->o.id, buf_slice(&b));
	buf_release(&b);
	return r;
}

int replica_rows(struct tree *t,
		 int (*fn)(void *arg, struct objid, struct slice), void *arg)
{
	struct rows_arg a = { fn, arg };

	return each_row(t, give_row, &a);
}

/* ---- what must hold */

struct check {
	struct seen_list seen;
	struct buf *why;
	uint64_t rows, claims, remains, marks, bases;
	struct sum *leaves;	/* LEAVES, counted again */
};

static int complain(struct check *c, struct objid id, const char *what)
{
	char hex[2 * sizeof(id.b) + 1];

	hex_encode(id.b, sizeof(id.b), hex);
	if (c->why)
		buf_printf(c->why, "object %s: %s", hex, what);
	return -EUCLEAN;
}

static int check_claims(struct tree *t, struct check *c, struct row *row)
{
	for (size_t k = 0; k < row->claim_count; k++) {
		const struct claim *want = &row->claims[k];
		struct claim have;
		struct objid id;
		int r = claim_seek(t, want->at.parent, want->at.hash,
				   row->o.id, want->slot, &have, &id);

		if (r || !objid_equal(id, row->o.id) ||
		    have.slot != want->slot || have.flags != want->flags ||
		    !slice_equal(spot_name(&have.at), spot_name(&want->at)))
			return complain(c, row->o.id, "its claim of a name "
						      "is not in the index");
	}
	c->claims += row->claim_count;
	return 0;
}

static size_t count_shown(const struct check *c, struct objid id,
			  bool siblings)
{
	size_t n = 0;

	for (size_t k = 0; k < c->seen.count; k++) {
		const struct shown *s = &c->seen.e[k].shown;

		if (objid_equal(s->id, id))
			n += (s->type == SHOWN_SIBLING) == siblings;
	}
	return n;
}

/* Is it shown itself: 1, or folded into a twin: 0? -EUCLEAN: neither. */
static int claim_is_head(struct tree *t, const struct row *row,
			 const struct claim *claim)
{
	struct place_view p;
	int r = place_view_at(t, claim->at.parent, spot_name(&claim->at), &p);

	if (!r) {
		r = -EUCLEAN;
		for (size_t k = 0; k < p.holder_count; k++)
			if (objid_equal(p.files[k].id, row->o.id) &&
			    p.files[k].claim.slot == claim->slot)
				r = p.files[k].head == k;
	}
	place_view_release(&p);
	return r;
}

/* Every live content group is shown, and nothing else. */
static int check_file(struct tree *t, struct check *c, struct row *row,
		      const struct info *i)
{
	size_t mains = count_shown(c, row->o.id, false);
	size_t siblings = count_shown(c, row->o.id, true);
	size_t want = i->real_count - (info_holds_name(i) ? 1 : 0);
	size_t heads = 0;

	if (row->pending)
		return 0;
	want = MIN_OF(want, (size_t)SIBLINGS_SHOWN_MAX);
	if (siblings != want)
		return complain(c, row->o.id, "its siblings are not shown");
	if (!info_holds_name(i))
		return mains ? complain(c, row->o.id, "a void is shown") : 0;
	for (size_t k = 0; mains != i->shown_count && k < row->claim_count;
	     k++) {
		int r = claim_is_head(t, row, &row->claims[k]);

		if (r < 0)
			return r;
		heads += (size_t)r;
	}
	if (mains != i->shown_count && mains != heads)
		return complain(c, row->o.id, "a live file is not shown");
	return 0;
}

static int check_dir(struct tree *t, struct check *c, struct row *row)
{
	struct objid canonical = group_canonical(t, row->o.id);
	bool live;
	int r;

	if (!row->claim_count)
		return 0;
	r = dir_is_live(t, row->o.id, &live);
	if (r)
		return r;
	if (live && count_shown(c, canonical, false) != 1)
		return complain(c, row->o.id, "a live directory is not shown "
					      "exactly once");
	if (!live && count_shown(c, row->o.id, false))
		return complain(c, row->o.id, "an empty revived directory is "
					      "shown");
	return 0;
}

/* Its share of the sums, from its versions alone. */
static int check_add_sum(struct tree *t, struct check *c, struct row *row)
{
	struct buf b = BUF_INIT;
	int r = object_encode(&row->o, &b);
	struct sum s;

	if (!r) {
		s = bucket_row(t, row->o.id, buf_slice(&b));
		sum_add(&c->leaves[leaf_of(row->o.id)], &s);
	}
	buf_release(&b);
	return r;
}

static int check_row(struct tree *t, void *arg, struct row *row)
{
	struct check *c = arg;
	struct inoref ref;
	struct info i;
	uint8_t key[8];
	struct slice v;
	int r;

	c->rows++;
	put_be64(key, row->lseq);
	r = store_get(t->store, TABLE_SEQ, SLICE(key, 8), &v);
	if (r || v.len != 16 || memcmp(v.data, row->o.id.b, 16))
		return complain(c, row->o.id, "it is not in the change "
					      "stream where it says");
	r = ino_get(t, row->ino, &ref);
	if (r || !objid_equal(ref.id, row->o.id) || ref.type != INO_OBJECT)
		return complain(c, row->o.id, "its inode number is not its");
	for (size_t k = 0; k < row->o.count; k++)
		if (!know_covers(&t->know, row->o.versions[k].dot) &&
		    !(t->is_applying &&
		      know_covers(&t->applying, row->o.versions[k].dot)))
			return complain(c, row->o.id, "it has a version that "
						      "is not known");
	r = check_claims(t, c, row);
	if (!r && remains_check(t, row, &c->remains))
		r = complain(c, row->o.id, "what it leaves in the index of "
					   "the dead is not there");
	if (!r && !t->is_applying && rule_check(t, &row->o))
		r = complain(c, row->o.id, "its contents are not read by the "
					   "policy that holds");
	if (!r)
		r = info_init(&i, &row->o);
	if (r)
		return r;
	if (info_is_live(&i))
		r = check_add_sum(t, c, row);
	if (!r && base_check(t, row->o.id, &c->bases))
		r = complain(c, row->o.id, "what it was before is damaged");
	if (!r && policy_check(t, &i))
		r = complain(c, row->o.id, "its policy is not in the index");
	if (!r && marks_check(t, row->o.id, &i, &c->marks))
		r = complain(c, row->o.id, "something lost in it, and it is "
					   "not marked");
	/* Between slices of a cut a parent may be dead, or not here yet. */
	if (r || objid_is_root(row->o.id) || t->is_applying)
		;
	else if (i.link_count && !i.kind)
		r = complain(c, row->o.id, "it has a name and no kind");
	else if (i.kind == KIND_DIR)
		r = check_dir(t, c, row);
	else if (info_live_file(&i))
		r = check_file(t, c, row, &i);
	info_release(&i);
	return r;
}

static int check_unique(struct check *c)
{
	for (size_t k = 1; k < c->seen.count; k++)
		if (!seen_order(&c->seen.e[k - 1], &c->seen.e[k]))
			return complain(c, c->seen.e[k].shown.id,
					"its path is another's too");
	return 0;
}

int replica_check(struct tree *t, struct buf *why)
{
	struct check c = { .why = why };
	uint64_t rows, claims, seqs, remains, bases, marks = 0;
	const char *what;
	int r;

	c.leaves = calloc(LEAVES, sizeof(*c.leaves));
	if (!c.leaves)
		return -ENOMEM;
	store_lock(t->store);
	r = view_all(t, &c.seen);
	store_unlock(t->store);
	if (!r)
		r = check_unique(&c);
	if (!r)
		r = each_row(t, check_row, &c);
	store_lock(t->store);
	rows = store_count(t->store, TABLE_OBJ);
	seqs = store_count(t->store, TABLE_SEQ);
	claims = store_count(t->store, TABLE_DIR);
	if (!r) {
		r = bucket_check(t, c.leaves, &what);
		if (r == -EUCLEAN && why)
			buf_printf(why, "%s", what);
	}
	if (!r) {
		r = hist_check(t, &what);
		if (r == -EUCLEAN && why)
			buf_printf(why, "%s", what);
	}
	bases = store_count(t->store, TABLE_BASE);
	remains = store_count(t->store, TABLE_DEAD);
	if (!r)
		r = notes_count(t, &c.remains);
	if (!r)
		r = marks_count(t, &marks);
	store_unlock(t->store);
	if (!r && (rows != c.rows || seqs != c.rows || claims != c.claims ||
		   remains != c.remains || marks != c.marks ||
		   bases != c.bases)) {
		r = -EUCLEAN;
		if (why)
			buf_printf(why, "the indexes have entries of no row");
	}
	free(c.leaves);
	seen_release(&c.seen);
	return r;
}
