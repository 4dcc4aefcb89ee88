/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Purge: the end of what was removed. A dead row is kept until every active
 * member has acknowledged it as it is, and this node knows all that they
 * knew when they did; then nobody can still make a change that needs it, and
 * it goes without leaving anything but the horizon.
 *
 * The horizon G is the join of the knowledge at which purged rows were last
 * changed. Whoever knows less than G may hold an object of which there is no
 * trace here: before it gives anything it takes a full stream (absence.c).
 *
 * Which rows may go follows from local numbers alone. A row changed last at
 * number n is covered by K of the first entry of the cut table at or behind
 * n; K grows with the numbers; so the rows that all have acknowledged are
 * those up to the newest entry that the common knowledge of all covers, a
 * prefix of the index that grave.c keeps. It is the row's last change that
 * counts, not its first death: deleted, revived, deleted again.
 *
 * A directory that only keep-stamps and revivals hold, and that is empty, is
 * not dead but not shown either. Taking such a row away directly would leave
 * nodes different after a lapse; it is removed by an event under the same
 * conditions, and is purged later as any dead row.
 */
#include <errno.h>
#include <string.h>

#include "fs/tree/tree_internal.h"

/* ---- the horizon */

static const char horizon_key[] = "horizon";

int horizon_load(struct tree *t)
{
	struct slice v;
	struct reader in;
	int r = store_get(t->store, TABLE_META, SLICE_STR(horizon_key), &v);

	know_clear(&t->horizon);
	if (r)
		return r == -ENOENT ? 0 : r;
	in = READER(v.data, v.len);
	r = know_decode(&in, &t->horizon);
	if (!r)
		r = reader_done(&in);
	return r == -EBADMSG || r == -E2BIG ? -EUCLEAN : r;
}

const struct know *replica_horizon(struct tree *t)
{
	return &t->horizon;
}

int replica_horizon_join(struct tree *t, const struct know *k)
{
	struct buf b = BUF_INIT;
	autofree uint8_t *bytes = NULL;
	int r;

	if (know_leq(k, &t->horizon))
		return 0;
	t->horizon_changed = true;
	r = know_join(&t->horizon, k);
	if (r)
		return r;
	know_encode(&t->horizon, &b);
	bytes = b.data;
	r = buf_error(&b);
	if (r)
		return r;
	return store_put(t->store, TABLE_META, SLICE_STR(horizon_key),
			 buf_slice(&b));
}

/* ---- one row */

/* The object, and what it is in, or would be put back into. */
static int use_upward(struct tree *t, struct objid id, struct idlist *ret)
{
	for (int depth = 0; depth < TREE_DEPTH_MAX; depth++) {
		struct row row;
		struct info i;
		bool more = false;
		int r = idlist_add(ret, id);

		if (!r)
			r = row_read(t, id, &row);
		if (r)
			return r;
		r = info_init(&i, &row.o);
		if (!r && i.link_count)
			id = i.links[0].link->link.at.parent;
		else if (!r && i.tomb)
			id = i.tomb->tomb.link.at.parent;
		more = !r && (i.link_count || i.tomb) && !objid_is_root(id);
		info_release(&i);
		row_release(&row);
		if (r || !more)
			return r;
	}
	return 0;
}

/*
 * Objects that somebody has open, or that have unsent writes here, be it in
 * a content that is no longer the file's: they go when that is over. A write
 * to a removed file that is still open makes it live again.
 */
int objects_in_use(struct tree *t, struct idlist *ret)
{
	struct inode *i, *next;

	HASH_ITER(hh, t->inodes, i, next) {
		struct inoref ref;
		int r = ino_get(t, i->ino, &ref);

		if (r == -ESTALE)
			continue;
		if (r)
			return r;
		r = use_upward(t, ref.id, ret);
		inoref_release(&ref);
		if (r)
			return r;
	}
	return 0;
}

static int forget_number(struct tree *t, uint64_t ino, struct objid id)
{
	struct inoref ref;
	int r = ino_get(t, ino, &ref);
	bool its;

	if (r)
		return r == -ESTALE ? 0 : r;
	/* (what handles kept has a number of its own) */
	its = ref.type != INO_DETACHED && objid_equal(ref.id, id);
	inoref_release(&ref);
	return its ? ino_forget(t, ino) : 0;
}

static int forget_siblings(struct tree *t, struct objid id)
{
	uint8_t key[33] = { 's' }, found[33];

	memcpy(key + 1, id.b, 16);
	for (;;) {
		struct slice k, v;
		uint64_t ino;
		int r = store_seek(t->store, TABLE_INO, SLICE(key, 17), &k, &v);

		if (r == -ENOENT || (!r && (k.len != sizeof(found) ||
					    memcmp(k.data, key, 17))))
			return 0;
		if (!r && v.len != 8)
			r = -EUCLEAN;
		if (r)
			return r;
		memcpy(found, k.data, sizeof(found));
		ino = get_be64(v.data);
		r = store_del(t->store, TABLE_INO, SLICE(found, sizeof(found)));
		if (!r)
			r = forget_number(t, ino, id);
		if (r)
			return r;
	}
}

/* The row, and all that is kept for it beside what row_store() indexes. */
int row_purge(struct tree *t, struct row *row)
{
	uint8_t pending[24], back[17] = { 'q' };
	int r = forget_siblings(t, row->o.id);

	if (!r && row->pending) {
		put_be64(pending, row->pending);
		memcpy(pending + 8, row->o.id.b, 16);
		r = store_del(t->store, TABLE_PENDING,
			      SLICE(pending, sizeof(pending)));
	}
	memcpy(back + 1, row->o.id.b, 16);
	if (!r)
		r = store_del(t->store, TABLE_DEAD, SLICE(back, sizeof(back)));
	if (!r)
		r = row_delete(t, row);
	/* (a merged directory may have passed its number on) */
	return r ? r : forget_number(t, row->ino, row->o.id);
}

/* ---- a slice */

struct slice_of_dead {
	struct idlist dead, weak, in_use;
	uint64_t last;		/* number of the newest in `dead` */
	size_t looked, kept;
	bool done;
};

static int may_go(struct tree *t, struct slice_of_dead *s, struct objid id,
		  enum grave grave, bool *ret)
{
	bool held = idlist_has(&s->in_use, id);
	int r = 0;

	s->kept += held && grave == GRAVE_DEAD;
	if (!held && grave == GRAVE_WEAK)
		r = dir_has_live_child(t, id, &held);
	if (!r && !held)
		r = dir_is_named(t, id, &held);
	*ret = !r && !held;
	return r;
}

/* From the cursor to the frontier, at most max rows; nothing is changed. */
static int slice_collect(struct tree *t, uint64_t frontier, size_t max,
			 struct slice_of_dead *s)
{
	static const char sorts[] = { 'd', 'w' };
	int r = 0;

	while (!r && s->looked < max) {
		bool weak = t->purge.weak, may = false;
		uint8_t from[8];
		struct slice k, v;
		struct objid id;
		uint64_t lseq = UINT64_MAX;

		put_be64(from, t->purge.after + 1);
		r = dead_seek(t, sorts[weak], SLICE(from, 8), &k, &v);
		if (!r && (k.len != 9 || v.len != 16))
			return -EUCLEAN;
		if (!r)
			lseq = get_be64(k.data + 1);
		if (r == -ENOENT || lseq > frontier) {
			t->purge.after = 0;
			t->purge.weak = !weak;
			s->done = weak;
			r = 0;
			if (weak)
				break;
			continue;
		}
		if (r)
			break;
		memcpy(id.b, v.data, 16);
		t->purge.after = lseq;
		s->looked++;
		r = may_go(t, s, id, weak ? GRAVE_WEAK : GRAVE_DEAD, &may);
		if (!r && may)
			r = idlist_add(weak ? &s->weak : &s->dead, id);
		if (may && !weak)
			s->last = lseq;
	}
	return r;
}

/* G := G joined with K of the first cut entry at or behind this number. */
static int horizon_raise(struct tree *t, uint64_t lseq)
{
	struct know c = KNOW_INIT;
	struct reader in;
	struct slice k, v;
	uint8_t key[8];
	int r;

	put_be64(key, lseq);
	r = store_seek(t->store, TABLE_CUT, SLICE(key, 8), &k, &v);
	if (r)
		return r == -ENOENT ? -EUCLEAN : r;
	in = READER(v.data, v.len);
	r = know_decode(&in, &c);
	if (!r)
		r = replica_horizon_join(t, &c);
	know_release(&c);
	return r == -EBADMSG ? -EUCLEAN : r;
}

static int purge_dead(struct tree *t, struct objid id)
{
	struct row row;
	int r = row_load(t, id, &row);

	if (r)
		return r;
	r = row_purge(t, &row);
	row_release(&row);
	return r;
}

/* An event of its own: others must hear of it. */
static int remove_weak(struct tree *t, struct objid id)
{
	struct row row;
	struct info i;
	int r = row_load(t, id, &row);

	if (r)
		return r;
	r = info_init(&i, &row.o);
	if (!r)
		r = row_unlink_slot(t, &row, &i, SLOT_DIR);
	info_release(&i);
	if (!r)
		r = row_store(t, &row, 0);
	row_release(&row);
	return r;
}

static int slice_apply(struct tree *t, const struct slice_of_dead *s)
{
	int r = 0;

	if (s->dead.count)
		r = horizon_raise(t, s->last);
	for (size_t k = 0; !r && k < s->dead.count; k++)
		r = purge_dead(t, s->dead.ids[k]);
	for (size_t k = 0; !r && k < s->weak.count; k++)
		r = remove_weak(t, s->weak.ids[k]);
	return r;
}

/* ---- facts */

static int graves_add(struct tree *t, char sort, struct replica_graves *ret)
{
	uint8_t from[8] = { 0 };

	for (;;) {
		struct objid id;
		struct slice k, v;
		bool held = false;
		int r = dead_seek(t, sort, SLICE(from, 8), &k, &v);

		if (r)
			return r == -ENOENT ? 0 : r;
		if (k.len != 9 || v.len != 16)
			return -EUCLEAN;
		memcpy(id.b, v.data, 16);
		put_be64(from, get_be64(k.data + 1) + 1);
		if (sort == 'w')
			r = dir_has_live_child(t, id, &held);
		if (!r && held)
			continue; /* it is shown */
		if (!r)
			r = dir_is_named(t, id, &held);
		if (r)
			return r;
		ret->dead++;
		ret->held += held;
	}
}

int replica_graves(struct tree *t, struct replica_graves *ret)
{
	int r;

	*ret = (struct replica_graves){ 0 };
	r = graves_add(t, 'd', ret);
	return r ? r : graves_add(t, 'w', ret);
}

/* ---- a slice, all of it */

int replica_purge(struct tree *t, const struct know *acked, size_t max,
		  struct replica_purged *ret)
{
	struct slice_of_dead s = { 0 };
	uint64_t frontier;
	int r = replica_cut_start(t, acked, &frontier);

	*ret = (struct replica_purged){ 0 };
	if (!r)
		r = objects_in_use(t, &s.in_use);
	if (!r)
		r = slice_collect(t, frontier, max, &s);
	if (!r && (s.dead.count || s.weak.count)) {
		r = replica_begin(t);
		if (!r)
			store_op_makes_room(t->store);
		if (!r)
			r = replica_end(t, slice_apply(t, &s));
	}
	if (!r)
		*ret = (struct replica_purged){ .looked = s.looked,
						.purged = s.dead.count,
						.removed = s.weak.count,
						.in_use = s.kept,
						.done = s.done };
	idlist_release(&s.dead);
	idlist_release(&s.weak);
	idlist_release(&s.in_use);
	return r;
}
