/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keeps what is derived from claims up to date, once for each operation or
 * applied cut, for the places that it touched:
 *
 *  1. Cycles of directories are cut: cycle.c.
 *  2. Merged directories. When the members of a group change, what their
 *     children's names mean changes too: those places are settled next.
 *  3. Marks of places that show names which are view.
 *  4. By which policy the contents of a file are read: when all directories
 *     are in their places. It changes the marks of files, and no more.
 *  5. Events for the kernel's caches.
 *
 * All of it is a pure function of the rows: nodes with equal rows end with
 * equal overrides, groups and marks, in whatever order changes came.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/tree/ruled.h"

static int spotlist_add(struct spotlist *l, const struct spot *s)
{
	if (l->count == l->alloc) {
		size_t alloc = MAX_OF(l->alloc * 2, (size_t)4);
		struct spot *p = realloc(l->spots, alloc * sizeof(*p));

		if (!p)
			return -ENOMEM;
		l->spots = p;
		l->alloc = alloc;
	}
	l->spots[l->count++] = *s;
	return 0;
}

int work_spot(struct tree *t, const struct spot *s)
{
	return spotlist_add(&t->work.spots, s);
}

/* The directory's children mean something else now. */
int work_dir(struct tree *t, struct objid dir)
{
	return idlist_add(&t->work.dirs, dir);
}

void work_clear(struct tree *t)
{
	t->work.spots.count = 0;
	t->work.dirs.count = 0;
	t->work.died.count = 0;
	t->work.live.count = 0;
	t->work.views.count = 0;
	t->work.contents.count = 0;
	t->work.rules = false;
}

/* ---- groups and marks */

int work_children(struct tree *t, struct objid dir)
{
	uint8_t key[25] = { 'n' };
	struct claim c;
	struct objid id;
	int r = claim_seek(t, dir, 0, ROOT_ID, 0, &c, &id);

	while (!r) {
		r = work_spot(t, &c.at);
		if (!r)
			r = claim_next(t, &c, &id);
	}
	memcpy(key + 1, dir.b, 16);
	while (r == -ENOENT) {
		struct slice k, v;
		struct spot s;

		if (store_seek(t->store, TABLE_MARK, SLICE(key, sizeof(key)),
			       &k, &v) ||
		    k.len != sizeof(key) || memcmp(k.data, key, 17))
			return 0;
		memcpy(key, k.data, sizeof(key));
		put_be64(key + 17, get_be64(key + 17) + 1);
		if (!name_is_valid(v))
			return -EUCLEAN;
		s = spot_at(dir, v);
		if (work_spot(t, &s))
			return -ENOMEM;
	}
	return r;
}

static int group_change(struct tree *t, struct objid dir)
{
	struct idlist old = { 0 };
	int r = group_clear(t, dir, &old);

	for (size_t k = 0; !r && k < old.count; k++)
		r = work_children(t, old.ids[k]);
	idlist_release(&old);
	return r;
}

/* All directories that claim the place, live or not. */
static int dirs_at(struct tree *t, const struct idlist *members,
		   const struct spot *s, struct idlist *ret)
{
	int r = 0;

	for (size_t k = 0; !r && k < members->count; k++) {
		struct claim c;
		struct objid id;

		r = claim_seek(t, members->ids[k], s->hash, ROOT_ID, 0, &c,
			       &id);
		while (!r && c.at.hash == s->hash) {
			if ((c.flags & CLAIM_KIND) == KIND_DIR &&
			    slice_equal(spot_name(&c.at), spot_name(s)))
				r = idlist_add(ret, id);
			if (!r)
				r = claim_next(t, &c, &id);
		}
		if (r == -ENOENT)
			r = 0;
	}
	return r;
}

static bool same_set(const struct idlist *a, const struct idlist *b)
{
	if (a->count != b->count)
		return false;
	for (size_t k = 0; k < a->count; k++)
		if (!idlist_has(b, a->ids[k]))
			return false;
	return true;
}

static int settle_group(struct tree *t, const struct idlist *members,
			const struct spot *s, const struct idlist *live)
{
	struct idlist all = { 0 }, now = { 0 };
	int r = dirs_at(t, members, s, &all);

	for (size_t k = 0; !r && k < all.count; k++) {
		bool is_live = idlist_has(live, all.ids[k]);

		r = group_members(t, all.ids[k], &now);
		if (r || now.count < 2)
			continue;
		if (!is_live || !same_set(&now, live))
			r = group_change(t, all.ids[k]);
	}
	if (!r && live->count > 1) {
		r = group_members(t, live->ids[0], &now);
		if (!r && now.count < 2) {
			r = group_set(t, live);
			for (size_t k = 0; !r && k < live->count; k++)
				r = work_children(t, live->ids[k]);
		}
	}
	idlist_release(&all);
	idlist_release(&now);
	return r;
}

bool place_has_virtuals(const struct place_view *p)
{
	for (size_t k = 0; k < p->file_count; k++)
		if (p->files[k].claim.flags & CLAIM_SIBLINGS)
			return true;
	return place_heads(p) > 1;
}

static int settle_mark(struct tree *t, const struct idlist *members,
		       const struct spot *s, bool want, bool *ret_had)
{
	bool had = false;
	int r = 0;

	if (want || store_count(t->store, TABLE_MARK)) {
		for (size_t k = 0; !r && k < members->count; k++) {
			uint8_t key[25] = { 'n' };
			struct slice kk = SLICE(key, sizeof(key)), v;

			memcpy(key + 1, members->ids[k].b, 16);
			put_be64(key + 17, s->hash);
			r = store_get(t->store, TABLE_MARK, kk, &v);
			if (!r) {
				had = true;
				if (!want || k)
					r = store_del(t->store, TABLE_MARK,
						      kk);
			} else if (r == -ENOENT) {
				r = 0;
				if (want && !k)
					r = store_put(t->store, TABLE_MARK, kk,
						      spot_name(s));
			}
		}
	}
	*ret_had = had;
	return r;
}

/* A weak-only directory lives by what is in it: look at its place again. */
static int settle_upward(struct tree *t, const struct idlist *members)
{
	int r = 0;

	for (size_t k = 0; !r && k < members->count; k++) {
		struct row row;

		if (objid_is_root(members->ids[k]))
			continue;
		r = row_load(t, members->ids[k], &row);
		if (r)
			break;
		if (row.claim_count && row.claims[0].flags & CLAIM_WEAK) {
			/* (with its last entry it goes itself, which nobody
			 * asked the kernel for) */
			event_entry(t, row.claims[0].at.parent,
				    spot_name(&row.claims[0].at));
			r = work_spot(t, &row.claims[0].at);
		}
		row_release(&row);
	}
	return r;
}

static int settle_spot(struct tree *t, const struct spot *s)
{
	struct idlist members = { 0 };
	struct place_view p = { 0 };
	bool want, had = false;
	int r = group_members(t, s->parent, &members);

	if (!r)
		r = place_view(t, &members, spot_name(s), &p);
	if (!r && (p.dirs.count || t->group_records))
		r = settle_group(t, &members, s, &p.dirs);
	want = !r && place_has_virtuals(&p);
	if (!r)
		r = settle_mark(t, &members, s, want, &had);
	if (!r)
		r = settle_upward(t, &members);
	if (!r && (t->remote || want || had))
		event_entry(t, s->parent, spot_name(s));
	if (!r && (want || had) && t->observer.entry)
		r = spotlist_add(&t->work.views, s);
	place_view_release(&p);
	idlist_release(&members);
	return r;
}

static bool spot_pending(const struct spotlist *l, size_t from,
			 const struct spot *s)
{
	/* Neighbours repeat (a name's old and new claim); far ones may be
	 * settled twice, which is harmless. */
	size_t end = MIN_OF(l->count, from + 8);

	for (size_t k = from; k < end; k++)
		if (l->spots[k].hash == s->hash &&
		    objid_equal(l->spots[k].parent, s->parent) &&
		    slice_equal(spot_name(&l->spots[k]), spot_name(s)))
			return true;
	return false;
}

/* Names that are view are not cached; that they are absent may be. */
static int settle_views(struct tree *t)
{
	int r = 0;

	for (size_t k = 0; !r && k < t->work.views.count; k++) {
		const struct spot *s = &t->work.views.spots[k];
		struct shownlist names = { 0 };

		r = view_virtuals_at(t, s->parent, spot_name(s), &names);
		for (size_t n = 0; !r && n < names.count; n++)
			event_entry(t, s->parent,
				    shown_name(&names.shown[n]));
		shownlist_release(&names);
	}
	t->work.views.count = 0;
	return r;
}

static int settle_places(struct tree *t)
{
	size_t done_dirs;
	int r;

	do {
		done_dirs = t->work.dirs.count;
		r = settle_cycles(t);
		t->work.dirs.count = 0;
		for (size_t k = 0; !r && k < t->work.spots.count; k++) {
			/* (the list grows and moves meanwhile) */
			struct spot s = t->work.spots.spots[k];

			if (spot_pending(&t->work.spots, k + 1, &s))
				continue;
			r = settle_spot(t, &s);
		}
		t->work.spots.count = 0;
	} while (!r && done_dirs && t->work.dirs.count);
	return r;
}

int settle(struct tree *t)
{
	int r = settle_places(t);

	if (!r)
		r = rules_settle(t);
	if (!r)
		r = settle_places(t);
	return r ? r : settle_views(t);
}
