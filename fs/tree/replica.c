/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the replication core needs: rows in the order of their change, the
 * knowledge vector and the cut table, and the versions that a merge itself
 * writes (re-stamps, revivals).
 */
#include "fs/tree/replica.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/tree/base.h"
#include "fs/tree/tree_internal.h"

/* Entries of the cut table before the older half is thinned: a peer that
 * was away long streams a little more than it must. */
#define CUTS_MAX 15000
#define CUTS_THIN 5000
/* Entries looked at one by one from the end, before halves are taken. */
#define CUT_STEPS_BACK 8

int replica_begin(struct tree *t)
{
	int r = op_begin_locked(t);

	t->remote = true;
	return r;
}

int replica_end(struct tree *t, int r)
{
	bool changed = t->lseq != t->saved.lseq;

	r = op_end_locked(t, r);
	if (!r && changed)
		tell_applied(t);
	return r;
}

void tell_applied(struct tree *t)
{
	t->applied = t->lseq;
	if (t->observer.applied)
		t->observer.applied(t->observer.arg, t->lseq);
}

uint64_t tree_tell_shown(struct tree *t)
{
	uint64_t lseq;

	store_lock(t->store);
	tell_applied(t);
	lseq = t->applied;
	store_unlock(t->store);
	return lseq;
}

uint64_t replica_applied(struct tree *t)
{
	return t->applied;
}

uint64_t replica_origin(struct tree *t)
{
	return t->origin;
}

const struct know *replica_know(struct tree *t)
{
	return &t->know;
}

uint64_t replica_lseq(struct tree *t)
{
	return t->lseq;
}

/* ---- rows */

int replica_row(struct tree *t, struct objid id, struct slice *ret)
{
	struct slice v;
	uint64_t from;
	int r = store_get(t->store, TABLE_OBJ, SLICE(id.b, 16), &v);

	return r ? r : versions_of(v, ret, &from);
}

int replica_row_load(struct tree *t, struct objid id, struct object *ret)
{
	struct slice row;
	int r;

	object_init(ret, id);
	r = replica_row(t, id, &row);
	if (r == -ENOENT)
		return 0;
	if (!r)
		r = object_decode(row, ret);
	return r == -EBADMSG ? -EUCLEAN : r;
}

static bool same_shown(const struct version *a, const struct version *b)
{
	if (!a || !b)
		return a == b;
	if (a->flags & VERSION_VOID || b->flags & VERSION_VOID)
		return false;
	return version_same(a, b) ||
	       (a->content.content.depth == b->content.content.depth &&
		a->content.content.size == b->content.content.size &&
		version_entry_name(a).hash64 == version_entry_name(b).hash64);
}

/* Open handles of siblings that go or change keep what they show. */
static int detach_siblings(struct tree *t, const struct row *row,
			   const struct info *old, const struct info *new)
{
	for (size_t k = 1; k < old->branch_count; k++) {
		const struct branch *was = &old->branches[k];
		const struct branch *is = info_branch(new, was->tag);
		uint64_t ino;
		int r;

		if (was->is_void || (is && same_shown(was->top, is->top)))
			continue;
		r = ino_of_sibling(t, row->o.id, was->tag, &ino);
		if (r)
			return r;
		event_inode(t, ino);
		r = ino_detach(t, ino, row->o.id, was->top);
		if (r)
			return r;
	}
	return 0;
}

/* Main that is not all here: what was shown stays shown. */
static int keep_prior(struct tree *t, struct row *row,
		      const struct version *shown, const struct info *new)
{
	const struct version *main = row_shown_content(
		&(struct row){ .o = row->o }, new);
	int r = 0;

	if (!main || content_complete(t, &main->content.content)) {
		row->has_prior = false;
	} else if (!row->has_prior && shown && !row->absent) {
		object_release(&row->prior);
		object_init(&row->prior, row->o.id);
		r = object_add_copy(&row->prior, shown);
		row->has_prior = !r;
	}
	return r;
}

static int row_merged(struct tree *t, struct row *row, struct object *o)
{
	struct info old, new;
	const struct version *shown;
	int r = info_init(&old, &row->o);

	if (r)
		return r;
	r = info_init(&new, o);
	if (r) {
		info_release(&old);
		return r;
	}
	shown = row_shown_content(row, &old);
	r = keep_prior(t, row, shown, &new);
	if (!r && row->exists && old.kind == KIND_FILE && !row->has_prior &&
	    !same_shown(shown, row_shown_content(row, &new)) &&
	    new.shown_count)
		r = data_changed(t, row, shown, row_shown_content(row, &new));
	if (!r && old.branch_count > 1)
		r = detach_siblings(t, row, &old, &new);
	if (!r)
		r = returned_note(t, &old, &new);
	info_release(&old);
	info_release(&new);
	return r;
}

int replica_row_store(struct tree *t, struct object *o, uint64_t from)
{
	struct object before;
	struct row row;
	uint64_t ino;
	int r = row_load(t, o->id, &row);

	if (r)
		return r;
	ino = row.ino;
	r = row_merged(t, &row, o);
	before = row.o;
	row.o = *o;
	row.before = row.exists ? &before : NULL;
	if (!r && row.exists)
		r = base_merged(t, &before, &row.o);
	if (!r)
		r = row_store(t, &row, from);
	*o = row.o;
	row.o = before;
	event_inode(t, row.ino);
	if (ino != row.ino) {
		/* detached: the names are another inode now */
		for (size_t k = 0; !r && k < row.claim_count; k++)
			r = work_spot(t, &row.claims[k].at);
	}
	row_release(&row);
	return r;
}

int replica_rows_after(struct tree *t, uint64_t after, size_t max,
		       int (*fn)(void *arg, const struct replica_row *),
		       void *arg)
{
	t->held_seq = t->sent_seq = know_get(&t->know, t->origin);
	return replica_rows_look(t, after, max, fn, arg);
}

int replica_rows_look(struct tree *t, uint64_t after, size_t max,
		      int (*fn)(void *arg, const struct replica_row *),
		      void *arg)
{
	int n = 0;

	while ((size_t)n < max && after < UINT64_MAX) {
		struct replica_row row;
		struct slice k, v;
		uint8_t key[8];
		int r;

		put_be64(key, after + 1);
		r = store_seek(t->store, TABLE_SEQ, SLICE(key, 8), &k, &v);
		if (r == -ENOENT)
			break;
		if (r)
			return r;
		if (k.len != 8 || v.len != 16)
			return -EUCLEAN;
		row.lseq = after = get_be64(k.data);
		memcpy(row.id.b, v.data, 16);
		r = store_get(t->store, TABLE_OBJ, SLICE(row.id.b, 16), &v);
		if (!r)
			r = versions_of(v, &row.row, &row.from);
		if (r)
			return r == -ENOENT ? -EUCLEAN : r;
		r = fn(arg, &row);
		if (r < 0)
			return r;
		n++;
	}
	return n;
}

struct bytes_arg {
	const struct know *know;
	uint64_t bytes, last;
};

static int add_bytes(void *arg, const struct replica_row *row)
{
	struct bytes_arg *a = arg;
	struct object o;
	int r;

	object_init(&o, row->id);
	r = object_decode(row->row, &o);
	for (size_t k = 0; !r && k < o.count; k++)
		if (o.versions[k].reg == REG_CONTENT &&
		    !know_covers(a->know, o.versions[k].dot))
			a->bytes += o.versions[k].content.content.size;
	a->bytes += row->row.len;
	a->last = row->lseq;
	object_release(&o);
	return r;
}

int replica_bytes_after(struct tree *t, uint64_t after,
			const struct know *know, size_t max, uint64_t *ret)
{
	struct bytes_arg a = { .know = know, .last = after };
	int r;

	do {
		size_t n = MIN_OF(max, (size_t)512);

		store_lock(t->store);
		r = replica_rows_look(t, a.last, n, add_bytes, &a);
		store_unlock(t->store);
		max -= n;
	} while (r > 0 && max);
	*ret = a.bytes;
	return MIN_OF(r, 0);
}

/* ---- knowledge and cuts */

int replica_know_join(struct tree *t, const struct know *k)
{
	int r;

	t->know_changed = true;
	r = know_join(&t->know, k);
	/* The own entry must always find room: op_tick_again(). */
	if (!r && t->know.count == ORIGINS_MAX &&
	    !know_get(&t->know, t->origin))
		r = -E2BIG;
	return r;
}

/* Every other one of the oldest goes; repeated, their spacing grows. */
static int cuts_thin(struct tree *t)
{
	uint8_t key[8] = { 0 };
	int r = 0;

	for (int n = 0; !r && n < CUTS_THIN; n++) {
		struct slice k, v;

		r = store_seek(t->store, TABLE_CUT, SLICE(key, 8), &k, &v);
		if (r || k.len != 8)
			return r == -ENOENT ? 0 : r ? r : -EUCLEAN;
		memcpy(key, k.data, 8);
		if (n & 1)
			r = store_del(t->store, TABLE_CUT, SLICE(key, 8));
		put_be64(key, get_be64(key) + 1);
	}
	return r;
}

int replica_cut_note(struct tree *t)
{
	struct buf b = BUF_INIT;
	autofree uint8_t *bytes = NULL;
	uint8_t key[8];
	int r;

	/* What the rows say has no K now. */
	kin_assert(!t->is_applying);
	put_be64(key, t->lseq);
	know_encode(&t->know, &b);
	buf_put_u64(&b, tree_now_hlc(t) >> 16);
	bytes = b.data;
	if (b.failed)
		return -ENOMEM;
	r = store_put(t->store, TABLE_CUT, SLICE(key, 8), buf_slice(&b));
	if (!r && store_count(t->store, TABLE_CUT) > CUTS_MAX)
		r = cuts_thin(t);
	return r;
}

/* Goes back through the cut table from lseq `below`; -ENOENT at its end. */
static int cut_before(struct tree *t, uint64_t below, uint64_t *ret_lseq,
		      struct know *ret, uint64_t *ret_ms)
{
	struct slice k, v;
	struct reader in;
	uint8_t key[8];
	int r;

	put_be64(key, below);
	r = store_seek_before(t->store, TABLE_CUT,
			      SLICE(key, below == UINT64_MAX ? 0 : 8), &k, &v);
	if (r)
		return r;
	if (k.len != 8)
		return -EUCLEAN;
	*ret_lseq = get_be64(k.data);
	in = READER(v.data, v.len);
	r = know_decode(&in, ret);
	*ret_ms = reader_u64(&in);
	if (!r)
		r = reader_done(&in);
	return r == -EBADMSG ? -EUCLEAN : r;
}

/*
 * K grows with the numbers. Most peers are near the end; for one that is not
 * the entry is found by halves, not by going back through all.
 */
static int cut_search(struct tree *t, const struct know *peer,
		      uint64_t *ret_lseq, uint64_t *ret_since_ms)
{
	cleanup(know_release) struct know k = KNOW_INIT;
	/* Above low, entries below high are still to be judged. */
	uint64_t low = 0, high = UINT64_MAX, best = 0;
	uint64_t since_ms = tree_now_hlc(t) >> 16;
	int r = 0;

	for (int n = 0; high - low > 1; n++) {
		uint64_t below = high, at, at_ms;

		if (n >= CUT_STEPS_BACK)
			below = low + (high - low) / 2 + 1;
		r = cut_before(t, below, &at, &k, &at_ms);
		if (r && r != -ENOENT)
			return r;
		if (!r && at > low && !know_leq(&k, peer)) {
			high = at;
			since_ms = at_ms;
			continue;
		}
		if (!r && at > low)
			best = at;
		low = below - 1;
	}
	*ret_lseq = best;
	*ret_since_ms = since_ms;
	return 0;
}

int replica_cut_start(struct tree *t, const struct know *peer,
		      uint64_t *ret_lseq)
{
	uint64_t since_ms;

	return cut_search(t, peer, ret_lseq, &since_ms);
}

int replica_cut_since(struct tree *t, const struct know *peer,
		      uint64_t *ret_ms)
{
	uint64_t lseq;

	return cut_search(t, peer, &lseq, ret_ms);
}

int replica_know_complete(struct tree *t, struct know *ret)
{
	struct slice k, v;
	uint64_t lseq, at_ms;
	int r = store_seek(t->store, TABLE_PENDING, SLICE("", 0), &k, &v);

	if (r == -ENOENT)
		return know_copy(ret, &t->know);
	if (r)
		return r;
	r = cut_before(t, get_be64(k.data), &lseq, ret, &at_ms);
	if (r == -ENOENT) {
		know_clear(ret);
		return 0;
	}
	return r;
}

/* ---- versions that a merge writes */

int replica_tick(struct tree *t, struct dot *ret_dot, uint64_t *ret_hlc)
{
	op_tick_again(t);
	*ret_dot = t->op_dot;
	*ret_hlc = t->op_hlc;
	return 0;
}

int restamp_trail(struct object *o, struct version *v)
{
	struct content_value *c = &v->content;
	struct entry_name *anc;
	size_t first = v->flags & VERSION_AGAIN && c->anc_count ? 1 : 0, n;

	/* None is dropped: what hides it, or is hidden under it, may follow
	 * it into the row, and then what both were made from must still be
	 * known; and so must what somebody saw of its line. */
	anc = object_alloc(o, ANCESTORS_RESTAMPED_MAX * sizeof(*anc));
	if (!anc)
		return -ENOMEM;
	if (first)
		anc[0] = c->anc[0]; /* what it repeats */
	anc[first] = version_entry_name(v);
	n = first + 1;
	for (size_t k = first;
	     k < c->anc_count && n < ANCESTORS_RESTAMPED_MAX; k++)
		anc[n++] = c->anc[k];
	c->anc = anc;
	c->anc_count = n;
	v->first_origin = 0; /* (fork.c; from now on it is an ancestor's) */
	return 0;
}

int replica_restamp(struct tree *t, struct objid id, const struct version *old)
{
	struct version v = *old;
	struct row row;
	int r = row_load(t, id, &row), at;

	if (r)
		return r;
	at = object_find(&row.o, old);
	if (at >= 0)
		object_remove(&row.o, (size_t)at);
	/* (others may go on from the old one) */
	if (v.reg == REG_CONTENT)
		r = base_note(t, id, old);
	if (!r && v.reg == REG_CONTENT)
		r = restamp_trail(&row.o, &v);
	op_tick_again(t);
	v.dot = t->op_dot;
	if (!r)
		r = row_add(&row, &v);
	if (!r && v.reg == REG_CONTENT)
		r = base_trim(t, &row.o);
	if (!r)
		r = row_store(t, &row, 0);
	row_release(&row);
	return r;
}

int replica_bury(struct tree *t, struct objid id, const struct version *link)
{
	struct version v;
	struct row row;
	int r = row_load(t, id, &row);

	if (r)
		return r;
	op_tick_again(t);
	v = op_version(t, REG_TOMB);
	v.tomb.link = link->link;
	v.tomb.run = t->op_hlc; /* (no part of any rm -r here) */
	r = row_add(&row, &v);
	if (!r)
		r = row_store(t, &row, 0);
	row_release(&row);
	return r;
}

/*
 * The LINK that went is back, in its slot and with its seniority: whoever
 * gives it back, and whoever kept it, has the same. A directory that is not
 * even known any more was purged and does not return, nor does one of which
 * only attributes are left (nobody knows where it was): what was in it comes
 * to the root.
 */
int link_returned(struct tree *t, const struct version *tomb,
		  struct version *ret)
{
	struct objid parent = tomb->tomb.link.at.parent;
	struct row row;
	int r = row_read(t, parent, &row);

	if (r)
		return r;
	*ret = op_version(t, REG_LINK);
	ret->flags = VERSION_WEAK;
	ret->link = tomb->tomb.link;
	if (!objid_is_root(parent) &&
	    (!object_has(&row.o, REG_KIND) ||
	     (!object_has(&row.o, REG_LINK) && !object_has(&row.o, REG_TOMB))))
		ret->link.at.parent = ROOT_ID;
	row_release(&row);
	return 0;
}

/* One dead directory on the way up: a weak LINK where its TOMB says. */
static int revive_one(struct tree *t, struct row *row, const struct info *i)
{
	struct version v;
	int r;

	op_tick_again(t);
	r = link_returned(t, i->tomb, &v);
	if (!r)
		r = row_add(row, &v);
	return r ? r : row_store(t, row, 0);
}

int revive_up(struct tree *t, struct objid dir)
{
	int r = 0;

	/* (bounded: weak LINKs may close a cycle) */
	for (int depth = 0; !r && depth < TREE_DEPTH_MAX; depth++) {
		struct row row;
		struct info i;
		bool more = false;

		if (objid_is_root(dir))
			return 0;
		r = row_load(t, dir, &row);
		if (r)
			return r;
		r = info_init(&i, &row.o);
		if (!r && !i.link_count && i.tomb && i.kind == KIND_DIR) {
			dir = i.tomb->tomb.link.at.parent;
			r = revive_one(t, &row, &i);
			more = true;
		} else if (!r && i.link_count && !i.strong &&
			   i.kind == KIND_DIR) {
			/* The parents of a strong one live, or are in the
			 * list of those that died; of a weak one they may
			 * be gone. */
			dir = i.links[0].link->link.at.parent;
			more = true;
		}
		info_release(&i);
		row_release(&row);
		if (!more)
			return r;
	}
	return r;
}

static int revive_parents(struct tree *t, struct objid id)
{
	struct idlist parents = { 0 };
	struct row row;
	struct info i;
	int r = row_load(t, id, &row);

	if (r)
		return r;
	r = info_init(&i, &row.o);
	if (!r && (info_live_file(&i) || (i.kind == KIND_DIR && i.strong)))
		for (size_t k = 0; !r && k < i.shown_count; k++)
			r = idlist_add(&parents,
				       i.links[k].link->link.at.parent);
	info_release(&i);
	row_release(&row);
	for (size_t k = 0; !r && k < parents.count; k++)
		r = revive_up(t, parents.ids[k]);
	idlist_release(&parents);
	return r;
}

int replica_finish(struct tree *t)
{
	int r = 0;

	/* (both lists grow while directories return) */
	for (size_t k = 0; !r && k < t->work.live.count; k++)
		r = revive_parents(t, t->work.live.ids[k]);
	for (size_t k = 0; !r && k < t->work.died.count; k++) {
		struct objid id = t->work.died.ids[k];
		bool live;

		r = dir_has_live_child(t, id, &live);
		if (!r && live)
			r = revive_up(t, id);
	}
	if (!r)
		r = revive_overridden(t);
	return r;
}
