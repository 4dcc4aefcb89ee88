/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bounds of the history: its age, its bytes, and the entries of one
 * object.
 *
 * What is too old goes oldest first, by the index 't' of the table, in
 * slices that somebody above drives; and as long as there is more than may
 * be, whatever is oldest goes. Bytes are counted as the sizes of what is
 * named. Chunks are shared, so that is more than they take: an upper bound,
 * which needs no walk of any content when a file is saved.
 *
 * An object that is saved all day long would push out all others. Of its
 * entries the newest stay; of those before every other one goes each time
 * there are too many, so that they stand the further apart the older they
 * are; and the very first stay.
 */
#include "fs/tree/hist.h"
#include "fs/tree/history.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Entries given up in one operation: some ms. */
#define SHED_ENTRIES 256

/* ---- what is too old, or too much */

static bool is_due(const struct tree *t, uint64_t ended)
{
	const struct replica_history_limits *l = &t->hist_limits;

	return t->hist.bytes > l->bytes ||
	       (t->hist.clock > ended && t->hist.clock - ended >= l->age_ms);
}

/* The oldest, if it is to go, or `any`. -ENOENT: none. */
static int oldest_due(struct tree *t, bool any, struct objid *ret_id,
		      struct entry_name *ret)
{
	struct slice k, v;
	int r = store_seek(t->store, TABLE_HIST, SLICE("t", 1), &k, &v);

	if (r)
		return r;
	if (k.data[0] != 't')
		return -ENOENT;
	if (k.len != 9 + HIST_NAME_BYTES)
		return -EUCLEAN;
	if (!any && !is_due(t, get_be64(k.data + 1)))
		return -ENOENT;
	memcpy(ret_id->b, k.data + 9, 16);
	*ret = (struct entry_name){ .hlc = get_be64(k.data + 25),
				    .dot = { get_be64(k.data + 33),
					     get_be64(k.data + 41) },
				    .hash64 = get_be64(k.data + 49) };
	return 0;
}

static int expire_one(struct tree *t, struct objid id,
		      const struct entry_name *name)
{
	struct hist_entry e;
	int r;

	/* What remembers an object that is gone: nobody finds the rest of it
	 * without. */
	if (dot_is_none(name->dot))
		return hist_forget(t, id);
	r = hist_get(t, id, name, &e);
	return r == -ENOENT ? -EUCLEAN : r ? r : hist_del(t, &e);
}

int replica_history_expire(struct tree *t, size_t max, size_t *ret_count)
{
	struct entry_name name;
	struct objid id;
	size_t n = 0;
	int r;

	*ret_count = 0;
	hist_clock(t, t->env->now_ns(t->env->arg));
	r = oldest_due(t, false, &id, &name);
	if (r)
		return r == -ENOENT ? 0 : r;
	r = replica_begin(t);
	if (r)
		return r;
	store_op_makes_room(t->store);
	while (!r && n < max) {
		r = expire_one(t, id, &name);
		n++;
		if (!r)
			r = oldest_due(t, false, &id, &name);
	}
	r = replica_end(t, r == -ENOENT ? 0 : r);
	if (!r)
		*ret_count = n;
	return r;
}

int tree_shed_history(struct tree *t, uint64_t bytes, uint64_t *ret_bytes)
{
	struct entry_name name;
	struct objid id;
	uint64_t before;
	int r = op_begin(t);

	if (r)
		return r;
	store_op_makes_room(t->store);
	before = t->hist.bytes;
	for (size_t n = 0; !r && n < SHED_ENTRIES; n++) {
		if (before - MIN_OF(t->hist.bytes, before) >= bytes)
			break;
		r = oldest_due(t, true, &id, &name);
		if (!r)
			r = expire_one(t, id, &name);
	}
	r = op_end_locked(t, r == -ENOENT ? 0 : r);
	if (!r)
		*ret_bytes = before - MIN_OF(t->hist.bytes, before);
	store_unlock(t->store);
	return r;
}

void replica_set_history(struct tree *t,
			 const struct replica_history_limits *l)
{
	t->hist_limits = *l;
}

void replica_history(struct tree *t, struct replica_history *ret)
{
	*ret = (struct replica_history){ .entries = t->hist.entries,
					 .gone = t->hist.gone,
					 .bytes = t->hist.bytes,
					 .limits = t->hist_limits };
}

/* ---- the entries of one object */

static int names_of(struct tree *t, struct objid id, struct entry_name *ret,
		    size_t max, size_t *ret_count)
{
	struct hist_entry e;
	size_t n = 0;
	int r;

	while (!(r = hist_next(t, id, n ? &ret[n - 1] : NULL, &e))) {
		if (n == max)
			return -EUCLEAN;
		ret[n++] = e.name;
	}
	*ret_count = n;
	return r == -ENOENT ? 0 : r;
}

int hist_thin(struct tree *t, struct objid id)
{
	autofree struct entry_name *names = NULL;
	size_t n = 0, goes, at;
	struct hist_entry e;
	int r;

	names = calloc(HIST_OBJECT_MAX, sizeof(*names));
	if (!names)
		return -ENOMEM;
	r = names_of(t, id, names, HIST_OBJECT_MAX, &n);
	if (r || n <= HIST_OBJECT_THINNED)
		return r;
	/* Oldest first: from behind the newest that stay, every other one. */
	goes = n - HIST_OBJECT_THINNED;
	at = n - HIST_OBJECT_THINNED / 2;
	for (; !r && goes && at >= 2; goes--) {
		at -= 2;
		r = hist_get(t, id, &names[at], &e);
		if (!r)
			r = hist_del(t, &e);
	}
	return r;
}
