/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What was removed in a directory: listed, and put back.
 *
 * Whoever says rm -r removes many objects, each by an event of its own, and
 * wants them back as one. What was in a removed directory and was removed in
 * the same run (TOMB `run`: removals of one node without a pause) comes with
 * it; not what had been removed from it long before.
 *
 * First all that comes is listed in memory, parents before what was in them,
 * a directory at a time; then it is put back in operations of BATCH objects,
 * so that nobody waits for long. A crash between two of them leaves a part of
 * it back; the rest is where it was, and the directory too, if its row was
 * gone: to put it back once more brings the rest.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/tree/history_internal.h"
#include "fs/tree/list.h"

/* Objects put back in one operation: a few ms. */
#define BATCH 64
/* Objects at once: what that takes in memory is some 200 MB. */
#define OBJECTS_MAX 1000000
/* What was removed from a directory so long before its own removal began
 * belongs to it: the machine may have paused. 60 s, as an hlc. */
#define RUN_SLACK (UINT64_C(60000) << 16)

struct item {
	struct removed r;	/* its name is the plan's */
	size_t parent;		/* index, or SIZE_MAX: it was in the
				 * directory itself */
	struct objid made;	/* of what is back */
	int result;		/* -EINPROGRESS: not yet */
};

struct plan {
	struct tree *t;
	struct objid dir;
	const struct history_wanted *wanted;
	struct item *list;
	size_t count, alloc;
	struct object names;	/* an arena */
	/* of the directory that is listed */
	size_t parent;
	uint64_t from_hlc, to_hlc;
};

static int plan_add(void *arg, const struct removed *d)
{
	struct plan *p = arg;
	struct item *i;

	/* (nobody removed it, and nothing of it was kept) */
	if (!d->bytes && name_is_nameless(d->name))
		return 0;
	if (p->parent == SIZE_MAX) {
		if (d->removed_ms < p->wanted->since_ms ||
		    (p->wanted->name.len &&
		     !slice_equal(p->wanted->name, d->name)))
			return 0;
	} else if (d->hlc && (d->hlc < p->from_hlc || d->hlc > p->to_hlc)) {
		return 0;
	}
	if (p->count == OBJECTS_MAX)
		return -E2BIG;
	if (p->count == p->alloc) {
		p->alloc = MAX_OF(p->alloc * 2, (size_t)64);
		i = reallocarray(p->list, p->alloc, sizeof(*i));
		if (!i)
			return -ENOMEM;
		p->list = i;
	}
	i = &p->list[p->count];
	*i = (struct item){ .r = *d, .parent = p->parent,
			    .result = -EINPROGRESS };
	i->r.name = object_dup(&p->names, d->name);
	if (!i->r.name.data)
		return -ENOMEM;
	p->count++;
	return 0;
}

static int by_name(const void *pa, const void *pb)
{
	const struct item *a = pa, *b = pb;
	int r = slice_compare(a->r.name, b->r.name);

	return r ? r : removed_before(&a->r, &b->r) ? 1 : -1;
}

static int newest_first(const void *pa, const void *pb)
{
	const struct item *a = pa, *b = pb;

	return removed_before(&a->r, &b->r) ? 1 : -1;
}

/* Of one name the last stays, of the items from `first` on. */
static void drop_older(struct plan *p, size_t first)
{
	size_t n = first;

	qsort(p->list + first, p->count - first, sizeof(*p->list), by_name);
	for (size_t k = first; k < p->count; k++)
		if (n == first ||
		    !slice_equal(p->list[n - 1].r.name, p->list[k].r.name))
			p->list[n++] = p->list[k];
	p->count = n;
}

/* What was removed in the directory `parent` of the plan. Takes the lock. */
static int plan_list(struct plan *p, struct objid dir, size_t parent)
{
	size_t first = p->count;
	int r;

	p->parent = parent;
	store_lock(p->t->store);
	r = removed_each(p->t, dir, plan_add, p);
	store_unlock(p->t->store);
	if (!r && parent != SIZE_MAX)
		drop_older(p, first);
	return r;
}

/* All that is below the item, behind it. */
static int plan_below(struct plan *p, size_t top)
{
	size_t first = p->count;
	int r = 0;

	if (p->list[top].r.kind != KIND_DIR)
		return 0;
	p->from_hlc = p->list[top].r.run_hlc;
	p->from_hlc -= MIN_OF(p->from_hlc, RUN_SLACK);
	p->to_hlc = p->list[top].r.hlc ?: UINT64_MAX;
	r = plan_list(p, p->list[top].r.id, top);
	for (size_t k = first; !r && k < p->count; k++)
		if (p->list[k].r.kind == KIND_DIR)
			r = plan_list(p, p->list[k].r.id, k);
	return r;
}

static int plan_init(struct plan *p, struct tree *t, struct slice dir,
		     const struct history_wanted *wanted)
{
	int r;

	*p = (struct plan){ .t = t, .wanted = wanted };
	object_init(&p->names, ROOT_ID);
	store_lock(t->store);
	r = history_dir(t, dir, &p->dir);
	store_unlock(t->store);
	if (!r)
		r = plan_list(p, p->dir, SIZE_MAX);
	if (!r && p->count)
		qsort(p->list, p->count, sizeof(*p->list), newest_first);
	return r;
}

static void plan_release(struct plan *p)
{
	free(p->list);
	object_release(&p->names);
}

/* What the item is, with those from `first` on, which are below it. */
static struct history_removed told(const struct plan *p, size_t top,
				   size_t first)
{
	const struct removed *d = &p->list[top].r;
	struct history_removed h = { .name = d->name, .kind = d->kind,
				     .removed_ms = d->removed_ms,
				     .files = d->kind != KIND_DIR,
				     .bytes = d->bytes };

	for (size_t k = first; k < p->count; k++) {
		h.files += p->list[k].r.kind != KIND_DIR;
		h.bytes += p->list[k].r.bytes;
		h.failed += p->list[k].result < 0 &&
			    p->list[k].result != -EINPROGRESS;
	}
	return h;
}

int tree_removed(struct tree *t, struct slice dir,
		 const struct history_wanted *wanted,
		 int (*fn)(void *arg, const struct history_removed *),
		 void *arg)
{
	struct plan p;
	int r = plan_init(&p, t, dir, wanted);
	size_t tops = p.count;

	for (size_t k = 0; !r && k < tops; k++) {
		p.count = tops;
		r = plan_below(&p, k);
		if (!r) {
			struct history_removed h = told(&p, k, tops);

			r = fn(arg, &h);
		}
	}
	plan_release(&p);
	return r;
}

/* ---- putting back */

struct undelete {
	struct plan plan;
	uint8_t name[NAME_BYTES_MAX];	/* of the one at the top, now */
	size_t name_len;
};

static int put_back(struct undelete *u, struct item *i)
{
	struct plan *p = &u->plan;
	struct place at = { p->dir, i->r.name };
	int r = 0;

	if (i->parent == SIZE_MAX) {
		r = free_name(p->t, p->dir, i->r.name, u->name, &u->name_len);
		at.name = SLICE(u->name, u->name_len);
	} else if (p->list[i->parent].result) {
		return -ENOENT;
	} else {
		at.parent = p->list[i->parent].made;
	}
	return r ? r : undelete_object(p->t, i->r.id, i->r.gone, at, &i->made);
}

/* What can be skipped: the object, not the operation, is at fault. */
static bool is_its_own(int r)
{
	return r == -ENODATA || r == -ENOENT || r == -EEXIST;
}

/* Looks again: somebody may have been faster, or the row was purged since it
 * was listed. Returns 1 if it can be put back. */
static int still_removed(struct tree *t, struct item *i)
{
	struct hist_object o;
	struct row row;
	struct info info;
	int r = row_read(t, i->r.id, &row);

	if (r)
		return r;
	i->r.gone = !row.exists;
	if (row.exists) {
		r = info_init(&info, &row.o);
		if (!r)
			r = info.tomb && !info.strong;
		info_release(&info);
	} else {
		r = hist_object(t, i->r.id, &o);
		r = r ? r : o.gone;
	}
	row_release(&row);
	return r;
}

static int put_batch(struct undelete *u, const size_t *items, size_t count)
{
	struct plan *p = &u->plan;
	int r;

	store_lock(p->t->store);
	r = replica_begin(p->t);
	if (r) {
		store_unlock(p->t->store);
		return r;
	}
	for (size_t k = 0; !r && k < count; k++) {
		struct item *i = &p->list[items[k]];

		r = still_removed(p->t, i);
		if (r >= 0)
			r = r ? put_back(u, i) : -ENOENT;
		i->result = r;
		if (is_its_own(r))
			r = 0;
	}
	r = replica_end(p->t, r);
	store_unlock(p->t->store);
	return r;
}

/* Directories whose row was gone are not wanted any more. */
static int forget_gone(struct undelete *u, const size_t *items, size_t count)
{
	struct plan *p = &u->plan;
	int r = 0;

	for (size_t k = 0; !r && k < count;) {
		store_lock(p->t->store);
		r = replica_begin(p->t);
		for (size_t n = 0; !r && k < count && n < BATCH; n++, k++) {
			const struct item *i = &p->list[items[k]];

			if (i->r.gone && i->r.kind == KIND_DIR && !i->result)
				r = hist_forget(p->t, i->r.id);
		}
		if (store_in_op(p->t->store))
			r = replica_end(p->t, r);
		store_unlock(p->t->store);
	}
	return r;
}

/* The item, and those from `first` on, which are below it. */
static int put_all(struct undelete *u, size_t top, size_t first)
{
	size_t n = u->plan.count - first + 1, done = 0;
	autofree size_t *items = calloc(n, sizeof(*items));
	int r = 0;

	if (!items)
		return -ENOMEM;
	items[0] = top;
	for (size_t k = 1; k < n; k++)
		items[k] = first + k - 1;
	while (!r && done < n) {
		size_t some = MIN_OF(n - done, (size_t)BATCH);

		r = put_batch(u, items + done, some);
		done += some;
	}
	return r ? r : forget_gone(u, items, n);
}

int tree_undelete(struct tree *t, struct slice dir,
		  const struct history_wanted *wanted,
		  int (*fn)(void *arg, const struct history_removed *),
		  void *arg)
{
	struct undelete u = { .name_len = 0 };
	struct plan *p = &u.plan;
	int r = plan_init(p, t, dir, wanted);
	size_t tops;

	if (!r && p->count) {
		drop_older(p, 0);
		qsort(p->list, p->count, sizeof(*p->list), newest_first);
	}
	tops = p->count;
	for (size_t k = 0; !r && k < tops; k++) {
		p->count = tops;
		r = plan_below(p, k);
		if (!r)
			r = put_all(&u, k, tops);
		if (!r) {
			struct history_removed h = told(p, k, tops);

			h.error = p->list[k].result;
			h.restored = SLICE(u.name, u.name_len);
			r = fn(arg, &h);
		}
	}
	plan_release(p);
	return r;
}
