/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A large cut is merged in slices, one operation each, with local operations
 * between them. Until its last slice the rows say more than K does: some of
 * the cut's versions are here, and K covers none of them. META "applying"
 * says so, with the K that the rows are on their way to; then there is no
 * state that this node could name to a peer, or return to. It says so until
 * K covers that: what was staged may be lost to damage half-way, and then
 * some other cut, of whoever knows as much, brings the rest.
 *
 * Revivals belong to the cut's end. A parent that is dead, or not here,
 * after a slice may come alive with a later one, so each slice only names
 * the directories that are to be looked at again. That is exact: whatever
 * lives at the end was stored by some slice, and then its parent was strong,
 * in which case it can die only in a later slice, which names it; or it was
 * not, and was named. (Local operations remove no directory that shows
 * something.)
 */
#include <errno.h>
#include <string.h>

#include "fs/tree/tree_internal.h"

static const char applying_key[] = "applying";
/* State of a staged cut (FORMAT.md, "Staged cuts"). */
#define STAGED_APPLYING 3

/* Has a staged cut a header that says so? */
static bool is_staged(struct tree *t)
{
	uint8_t key[8];
	struct slice k, v;
	bool sound;

	for (uint64_t n = 0;; n++) {
		put_be64(key, n);
		if (store_peek(t->store, TABLE_STAGE, SLICE(key, 8), &k, &v,
			       &sound) || k.len < 9)
			return false;
		n = get_be64(k.data);
		if (sound && k.data[8] == 'h' && v.len > 1 &&
		    v.data[1] == STAGED_APPLYING)
			return true;
	}
}

int applying_load(struct tree *t)
{
	struct slice v;
	struct reader in;
	int r = store_get(t->store, TABLE_META, SLICE_STR(applying_key), &v);

	know_clear(&t->applying);
	t->is_applying = r != -ENOENT;
	if (r == -ENOENT)
		return is_staged(t) ? -EUCLEAN : 0;
	if (r)
		return r;
	in = READER(v.data, v.len);
	r = know_decode(&in, &t->applying);
	if (!r)
		r = reader_done(&in);
	return r == -EBADMSG || r == -E2BIG ? -EUCLEAN : r;
}

const struct know *replica_applying(struct tree *t)
{
	return t->is_applying ? &t->applying : NULL;
}

static int applying_save(struct tree *t)
{
	struct buf b = BUF_INIT;
	autofree uint8_t *bytes = NULL;

	t->applying_changed = true;
	if (!t->is_applying)
		return store_del(t->store, TABLE_META,
				 SLICE_STR(applying_key));
	know_encode(&t->applying, &b);
	bytes = b.data;
	if (b.failed)
		return -ENOMEM;
	return store_put(t->store, TABLE_META, SLICE_STR(applying_key),
			 buf_slice(&b));
}

int replica_applying_begin(struct tree *t, const struct know *k)
{
	int r;

	if (!t->is_applying)
		know_clear(&t->applying);
	t->is_applying = true;
	t->applying_changed = true;
	r = know_join(&t->applying, k);
	return r ? r : applying_save(t);
}

int replica_applying_end(struct tree *t, const struct know *k)
{
	kin_assert(t->is_applying);
	return replica_know_join(t, k);
}

int applying_check(struct tree *t)
{
	if (!t->is_applying || !know_leq(&t->applying, &t->know))
		return 0;
	t->is_applying = false;
	return applying_save(t);
}

/* ---- revivals, put off */

struct defer {
	int (*fn)(void *arg, struct objid dir);
	void *arg;
	struct objid last; /* named, or strong: children come together */
	bool has_last;
};

static int defer_dir(struct tree *t, struct defer *d, struct objid dir)
{
	struct row row;
	struct info i;
	int r;

	if (objid_is_root(dir) || (d->has_last && objid_equal(d->last, dir)))
		return 0;
	r = row_read(t, dir, &row);
	if (r)
		return r;
	r = info_init(&i, &row.o);
	if (!r) {
		if (!i.strong)
			r = d->fn(d->arg, dir);
		info_release(&i);
	}
	row_release(&row);
	d->last = dir;
	d->has_last = true;
	return r;
}

/* The parents of what is live. */
static int defer_parents(struct tree *t, struct defer *d, struct objid id)
{
	struct row row;
	struct info i;
	int r = row_read(t, id, &row);

	if (r)
		return r;
	r = info_init(&i, &row.o);
	if (!r) {
		if (info_live_file(&i) || (i.kind == KIND_DIR && i.strong))
			for (size_t k = 0; !r && k < i.shown_count; k++)
				r = defer_dir(t, d,
					      i.links[k].link->link.at.parent);
		info_release(&i);
	}
	row_release(&row);
	return r;
}

int replica_defer(struct tree *t, int (*fn)(void *arg, struct objid dir),
		  void *arg)
{
	struct defer d = { .fn = fn, .arg = arg };
	int r = 0;

	for (size_t k = 0; !r && k < t->work.live.count; k++)
		r = defer_parents(t, &d, t->work.live.ids[k]);
	for (size_t k = 0; !r && k < t->work.died.count; k++)
		r = fn(arg, t->work.died.ids[k]);
	return r;
}

int replica_revive(struct tree *t, struct objid dir)
{
	bool live;
	int r = dir_has_live_child(t, dir, &live);

	return r || !live ? r : revive_up(t, dir);
}
