/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Listing directories, and paths.
 *
 * A listing is in order of the hash of the displayed name, which is also the
 * cookie: stable, and an entry that nobody touches between two calls is
 * given exactly once. Nearly every name has one claim, in one directory;
 * only where a name is claimed twice is its place looked at as a whole.
 *
 * Names that are view can be named only all together. The kernel asks for a
 * page of entries at a time, so between two of its calls they are kept, as
 * long as nothing at all has changed.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fs/tree/deep.h"
#include "fs/tree/list.h"

/* ---- one name after the other */

static int by_hash(const void *pa, const void *pb)
{
	const struct lister_virtual *a = pa, *b = pb;

	if (a->hash != b->hash)
		return a->hash > b->hash ? 1 : -1;
	return (a->at > b->at) - (a->at < b->at);
}

static int lister_order(struct lister *l)
{
	if (!l->virtuals.count)
		return 0;
	l->order = calloc(l->virtuals.count, sizeof(*l->order));
	if (!l->order)
		return -ENOMEM;
	for (size_t k = 0; k < l->virtuals.count; k++)
		l->order[k] = (struct lister_virtual){
			name_hash(shown_name(&l->virtuals.shown[k])), k };
	qsort(l->order, l->virtuals.count, sizeof(*l->order), by_hash);
	return 0;
}

int lister_init(struct tree *t, struct objid dir, uint64_t cookie,
		struct lister *l)
{
	int r;

	*l = (struct lister){ .at = cookie + 1 };
	r = group_members(t, dir, &l->members);
	if (!r)
		r = view_virtuals(t, dir, &l->virtuals);
	if (!r)
		r = lister_order(l);
	if (r)
		lister_release(l);
	return r;
}

void lister_release(struct lister *l)
{
	idlist_release(&l->members);
	shownlist_release(&l->virtuals);
	free(l->order);
	free(l->names);
	*l = (struct lister){ 0 };
}

static int lister_add_name(struct lister *l, const struct spot *s)
{
	struct spot *p;

	for (size_t k = 0; k < l->name_count; k++)
		if (slice_equal(spot_name(&l->names[k]), spot_name(s)))
			return 0;
	p = realloc(l->names, (l->name_count + 1) * sizeof(*p));
	if (!p)
		return -ENOMEM;
	l->names = p;
	p[l->name_count++] = *s;
	return 0;
}

/* The distinct names at the smallest hash >= l->at; -ENOENT: no more. */
static int lister_gather(struct tree *t, struct lister *l)
{
	uint64_t smallest = UINT64_MAX;
	struct claim c;
	struct objid id;
	int r;

	l->name_count = 0;
	l->single = true;
	for (size_t k = 0; k < l->members.count; k++) {
		r = claim_seek(t, l->members.ids[k], l->at, ROOT_ID, 0, &c,
			       &id);
		if (r && r != -ENOENT)
			return r;
		if (!r && c.at.hash < smallest)
			smallest = c.at.hash;
	}
	if (smallest == UINT64_MAX)
		return -ENOENT;
	l->at = smallest;
	for (size_t k = 0; k < l->members.count; k++) {
		r = claim_seek(t, l->members.ids[k], smallest, ROOT_ID, 0, &c,
			       &id);
		while (!r && c.at.hash == smallest) {
			if (l->name_count)
				l->single = false;
			l->claim = c;
			l->claim_id = id;
			r = lister_add_name(l, &c.at);
			if (!r)
				r = claim_next(t, &c, &id);
		}
		if (r && r != -ENOENT)
			return r;
	}
	return 0;
}

/* The usual case, without reading the place again. */
static bool lister_plain(const struct lister *l, struct shown *ret)
{
	const struct claim *c = &l->claim;
	bool dir = (c->flags & CLAIM_KIND) == KIND_DIR;

	if (!l->single || l->members.count > 1 ||
	    (dir && c->flags & CLAIM_WEAK) ||
	    (!dir && !(c->flags & CLAIM_HOLDS)))
		return false;
	*ret = (struct shown){ .type = dir ? SHOWN_DIR : SHOWN_FILE,
			       .id = l->claim_id, .slot = c->slot,
			       .kind = c->flags & CLAIM_KIND, .link = c->at,
			       .name_len = c->at.name_len };
	memcpy(ret->name, c->at.name, c->at.name_len);
	return true;
}

/* The first at l->at or behind it. */
static size_t lister_seek(const struct lister *l)
{
	size_t from = 0, to = l->virtuals.count;

	while (from < to) {
		size_t mid = from + (to - from) / 2;

		if (l->order[mid].hash < l->at)
			from = mid + 1;
		else
			to = mid;
	}
	return from;
}

static int lister_virtual(struct lister *l, uint64_t before,
			  struct shown *ret)
{
	size_t k = lister_seek(l);

	if (k == l->virtuals.count || l->order[k].hash >= before)
		return -ENOENT;
	*ret = l->virtuals.shown[l->order[k].at];
	l->cookie = l->order[k].hash;
	l->at = l->order[k].hash + 1;
	return 0;
}

int lister_next(struct tree *t, struct lister *l, struct shown *ret)
{
	for (;;) {
		uint64_t from = l->at, hash;
		int r;

		while (l->name_count) {
			struct spot *s = &l->names[--l->name_count];

			r = view_find_plain(t, &l->members, spot_name(s), ret);
			if (!r) {
				l->cookie = s->hash;
				return 0;
			}
			if (r != -ENOENT)
				return r;
		}
		/* A name that nobody holds (its main is void) may be given to
		 * a virtual entry: it comes at the same place. */
		if (l->names_at) {
			l->at = l->names_at;
			l->names_at = 0;
			if (!lister_virtual(l, l->at + 1, ret))
				return 0;
			l->at++;
		}
		if (l->at > INT64_MAX)
			return -ENOENT;
		r = lister_gather(t, l);
		if (r && r != -ENOENT)
			return r;
		hash = r ? UINT64_MAX : l->at;
		l->at = from;
		if (l->virtuals.count && !lister_virtual(l, hash, ret)) {
			l->name_count = 0;
			return 0;
		}
		if (r)
			return r;
		l->at = hash + 1;
		if (lister_plain(l, ret)) {
			l->name_count = 0;
			l->cookie = hash;
			return 0;
		}
		l->names_at = hash;
	}
}

/* ---- readdir */

/* Names that are view, from which on a listing is kept: they take longer to
 * make than a page of entries; and up to which: 30 MB. */
#define LISTING_MIN 32
#define LISTING_MAX 50000

struct listing {
	struct lister lister;
	struct objid dir;
	uint64_t ops;		/* of the store, when it was made */
};

void listing_forget(struct tree *t)
{
	if (!t->listing)
		return;
	lister_release(&t->listing->lister);
	free(steal(&t->listing));
}

/* Goes on with the listing that is kept, if it is of this directory. */
static int listing_take(struct tree *t, struct objid dir, uint64_t cookie,
			struct lister *ret)
{
	struct listing *kept = t->listing;

	if (!kept || !objid_equal(kept->dir, dir) ||
	    kept->ops != store_op_count(t->store)) {
		listing_forget(t);
		return lister_init(t, dir, cookie, ret);
	}
	*ret = kept->lister;
	free(steal(&t->listing));
	ret->at = cookie + 1;
	ret->name_count = 0;
	ret->names_at = 0;
	return 0;
}

/* Takes the lister. */
static void listing_keep(struct tree *t, struct objid dir, struct lister *l)
{
	struct listing *kept = NULL;

	if (l->virtuals.count >= LISTING_MIN &&
	    l->virtuals.count <= LISTING_MAX && !t->listing)
		kept = malloc(sizeof(*kept));
	if (!kept) {
		lister_release(l);
		return;
	}
	*kept = (struct listing){ *l, dir, store_op_count(t->store) };
	t->listing = kept;
}

int tree_readdir(struct tree *t, uint64_t ino, uint64_t cookie,
		 int (*fn)(void *arg, const struct tree_dirent *), void *arg)
{
	struct lister l = { 0 };
	struct shown s;
	struct objid dir;
	int r;

	store_lock(t->store);
	r = ino_dir(t, ino, &dir);
	if (!r)
		r = listing_take(t, dir, cookie, &l);
	while (!r && !(r = lister_next(t, &l, &s))) {
		struct tree_dirent d = { .name = shown_name(&s),
					 .type = kind_type(s.kind),
					 .cookie = l.cookie,
					 .is_view = s.type >= SHOWN_SUFFIXED };

		r = shown_ino(t, &s, &d.ino);
		if (!r && fn(arg, &d))
			break;
	}
	if (r) /* the end, mostly */
		lister_release(&l);
	else
		listing_keep(t, dir, &l);
	store_unlock(t->store);
	return r == -ENOENT ? 0 : r;
}

int tree_entry_locked(struct tree *t, const struct tree_dirent *d,
		      struct entry *ret)
{
	ret->is_view = d->is_view;
	return attr_of(t, d->ino, &ret->attr);
}

/* ---- paths */

/* Prepends the path of a directory to ret. */
int path_of_dir(struct tree *t, struct objid dir, struct buf *ret)
{
	struct spot *way = NULL;
	size_t n = 0;
	int r = 0;

	while (!r && !objid_is_root(dir)) {
		struct row row;
		struct spot *p;

		if (n == TREE_DEPTH_MAX) {
			r = -ENAMETOOLONG;
			break;
		}
		r = row_load(t, dir, &row);
		if (r)
			break;
		p = realloc(way, (n + 1) * sizeof(*way));
		if (!p)
			r = -ENOMEM;
		else
			way = p;
		if (!r && !row.claim_count)
			r = -ENOENT;
		if (!r) {
			way[n++] = row.claims[0].at;
			dir = row.claims[0].at.parent;
		}
		row_release(&row);
	}
	while (!r && n--) {
		if (ret->len)
			buf_put_u8(ret, '/');
		buf_put_slice(ret, spot_name(&way[n]));
	}
	free(way);
	return r ? r : buf_error(ret);
}

int path_join(struct tree *t, struct objid dir, struct slice name,
	      struct buf *ret)
{
	int r = path_of_dir(t, dir, ret);

	if (r)
		return r;
	if (ret->len)
		buf_put_u8(ret, '/');
	buf_put_slice(ret, name);
	return buf_error(ret);
}

/* Is this what a lookup of the name finds? */
static int path_try(struct tree *t, uint64_t ino, struct objid dir,
		    struct slice name, struct buf *ret)
{
	struct shown s;
	uint64_t found;
	int r = view_find(t, dir, name, &s);

	if (!r)
		r = shown_ino(t, &s, &found);
	if (r || found != ino)
		return r ? r : -ENOENT;
	return path_join(t, dir, name, ret);
}

/* At the place that the file claims, and beside it: a directory may have
 * thousands of conflicts. */
static int path_by_claim(struct tree *t, uint64_t ino, const struct spot *at,
			 struct buf *ret)
{
	struct objid dir = group_canonical(t, at->parent);
	struct shownlist names = { 0 };
	int r = path_try(t, ino, dir, spot_name(at), ret);

	if (r != -ENOENT)
		return r;
	r = view_virtuals_at(t, dir, spot_name(at), &names);
	if (!r)
		r = -ENOENT;
	for (size_t k = 0; r == -ENOENT && k < names.count; k++)
		r = path_try(t, ino, dir, shown_name(&names.shown[k]), ret);
	shownlist_release(&names);
	return r;
}

/* Wherever in the directory its number is shown. */
static int path_by_list(struct tree *t, uint64_t ino, struct objid dir,
			struct buf *ret)
{
	struct lister l;
	struct shown s;
	int r = lister_init(t, dir, 0, &l);

	while (!r && !(r = lister_next(t, &l, &s))) {
		uint64_t at;

		r = shown_ino(t, &s, &at);
		if (!r && at == ino) {
			r = path_join(t, dir, shown_name(&s), ret);
			break;
		}
	}
	lister_release(&l);
	return r;
}

/* The name under which a file's number is shown in its directory. */
static int path_of_file(struct tree *t, uint64_t ino, struct objid id,
			struct buf *ret)
{
	struct row row;
	int r = row_load(t, id, &row);

	if (r)
		return r;
	r = -ENOENT;
	if (row.claim_count)
		r = path_by_claim(t, ino, &row.claims[0].at, ret);
	if (r == -ENOENT && row.claim_count)
		r = path_by_list(t, ino, row.claims[0].at.parent, ret);
	row_release(&row);
	return r;
}

int tree_path(struct tree *t, uint64_t ino, struct buf *ret)
{
	struct target f;
	struct objid dir;
	int r;

	store_lock(t->store);
	r = target_load(t, ino, &f);
	if (!r) {
		dir = f.ref.id;
		if (f.info.kind == KIND_DIR || objid_is_root(dir)) {
			r = path_of_dir(t, dir, ret);
		} else {
			r = path_of_file(t, ino, dir, ret);
		}
		target_release(&f);
	}
	store_unlock(t->store);
	return r;
}

int tree_path_of(struct tree *t, struct objid id, struct buf *ret)
{
	struct row row;
	uint64_t ino = 0;
	int r;

	store_lock(t->store);
	r = row_load(t, id, &row);
	if (!r) {
		ino = row.claim_count || objid_is_root(id) ? row.ino : 0;
		row_release(&row);
	}
	store_unlock(t->store);
	if (!r && !ino)
		r = -ENOENT;
	return r ? r : tree_path(t, ino, ret);
}

int tree_resolve_path(struct tree *t, struct slice path, uint64_t *ret_ino)
{
	uint64_t ino = TREE_ROOT_INO;

	while (path.len) {
		const uint8_t *slash = memchr(path.data, '/', path.len);
		size_t len = slash ? (size_t)(slash - path.data) : path.len;
		struct entry e;
		int r = 0;

		if (len)
			r = tree_lookup(t, ino, SLICE(path.data, len), &e);
		if (r)
			return r;
		if (len)
			ino = e.attr.ino;
		len += slash != NULL;
		path = SLICE(path.data + len, path.len - len);
	}
	*ret_ino = ino;
	return 0;
}
