/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A directory that this node removed, with all that was in it, comes back:
 * somebody moved it before hearing of the removal. A move says "I want
 * this", and the likelier mistake is the removal; so what was removed below
 * it by the same rm comes back too, an event for each entry. Only the node
 * that removed an entry brings it back, so there is no storm.
 *
 * By the same rm: dead here, its last place is in the directory, the trace
 * of its removal is this node's own, and it is of the unbroken run of
 * removals at whose end the directory went. What somebody deleted on its own
 * before stays deleted, and so does what another node removed too, without
 * having heard of this.
 *
 * A merge only notes the directory, in DEAD under 'q', with the time of its
 * removal and of the first of that run. It is due when a directory that was
 * dead, or lived by what is in it only, is placed by somebody who had not
 * seen the removal; whoever has seen it takes the TOMB away (row_add()). The
 * entries are found by the index 't' of grave.c, and brought back in slices,
 * operations of their own; a directory among them is noted in its turn, and
 * so is one that was revived before, for something in it: else it would
 * depend on what is heard first how much comes back. How far the search came
 * is noted with each slice.
 */
#include <errno.h>
#include <string.h>

#include "fs/tree/op.h"

/* What came back with a directory: removed in this time, both included. */
struct span {
	uint64_t first, last;	/* hlc */
};

static struct span span_of(const struct version *tomb)
{
	return (struct span){ tomb->tomb.run, tomb->hlc };
}

static const struct version *own_tomb(struct tree *t, const struct object *o)
{
	const struct version *newest = NULL;

	for (size_t k = 0; k < o->count; k++) {
		const struct version *v = &o->versions[k];

		if (v->reg == REG_TOMB && v->dot.origin == t->origin &&
		    (!newest || version_key_compare(v, newest) > 0))
			newest = v;
	}
	return newest;
}

/* after: its last entry that was looked at; ROOT_ID: none. */
static int returned_put(struct tree *t, struct objid dir, struct span rm,
			struct objid after)
{
	uint8_t key[17] = { 'q' }, value[32];

	memcpy(key + 1, dir.b, 16);
	put_le64(value, rm.first);
	put_le64(value + 8, rm.last);
	memcpy(value + 16, after.b, 16);
	return store_put(t->store, TABLE_DEAD, SLICE(key, sizeof(key)),
			 SLICE(value, sizeof(value)));
}

int returned_note(struct tree *t, const struct info *old,
		  const struct info *new)
{
	const struct version *tomb;

	/* (a revival, for something in it, may have come before) */
	if (old->kind != KIND_DIR || old->strong || !new->strong)
		return 0;
	/* Still there: who placed it had not seen the removal. */
	tomb = own_tomb(t, new->object);
	return tomb ? returned_put(t, new->object->id,
				   span_of(tomb), ROOT_ID)
		    : 0;
}

/* ---- bringing back */

static bool removed_by_others_too(struct tree *t, const struct object *o)
{
	for (size_t k = 0; k < o->count; k++)
		if (o->versions[k].reg == REG_TOMB &&
		    o->versions[k].dot.origin != t->origin)
			return true;
	return false;
}

/* Was it removed from there by this node, and together with it? It may have
 * been revived since, but not placed. */
static const struct version *same_removal(struct tree *t,
					  const struct row *row,
					  const struct info *i,
					  struct objid dir, struct span rm)
{
	const struct version *v = own_tomb(t, &row->o);

	if (!v || !objid_equal(v->tomb.link.at.parent, dir) ||
	    v->hlc < rm.first || v->hlc > rm.last || i->strong ||
	    (i->link_count && i->kind != KIND_DIR) ||
	    removed_by_others_too(t, &row->o))
		return NULL;
	return i->kind == KIND_DIR || i->real_count ? v : NULL;
}

static int bring_back(struct tree *t, struct objid id, struct objid dir,
		      struct span rm, bool *ret_done)
{
	const struct version *tomb;
	struct version v;
	struct row row;
	struct info i;
	int r = row_load(t, id, &row);

	*ret_done = false;
	if (r)
		return r;
	r = info_init(&i, &row.o);
	if (r) {
		row_release(&row);
		return r;
	}
	tomb = same_removal(t, &row, &i, dir, rm);
	if (tomb && i.kind == KIND_DIR)
		r = returned_put(t, id, span_of(tomb), ROOT_ID);
	if (!r && tomb && !i.link_count) {
		op_tick_again(t);
		if (!r)
			r = link_returned(t, tomb, &v);
		/* (the TOMB stays: it tells that this was brought back) */
		if (!r && !object_add(&row.o, &v))
			r = -ENOMEM;
		if (!r)
			r = row_store(t, &row, 0);
		*ret_done = true;
	}
	info_release(&i);
	row_release(&row);
	return r;
}

static int is_back(struct tree *t, struct objid dir, bool *ret)
{
	struct row row;
	struct info i;
	int r = row_read(t, dir, &row);

	*ret = false;
	if (r)
		return r;
	r = info_init(&i, &row.o);
	*ret = !r && i.kind == KIND_DIR && i.link_count;
	info_release(&i);
	row_release(&row);
	return r;
}

/* Entries of one directory, behind `after`. Returns 1 at its end. */
static int bring_back_some(struct tree *t, struct objid dir, struct span rm,
			   struct objid after, size_t max, size_t *count)
{
	uint8_t from[33];
	size_t len = 16;

	memcpy(from, dir.b, 16);
	for (size_t looked = 0; looked < max; looked++) {
		struct slice k, v;
		struct objid id;
		bool done;
		int r;

		if (!objid_is_root(after)) {
			memcpy(from + 16, after.b, 16);
			from[32] = 0; /* just behind it */
			len = 33;
		}
		r = dead_seek(t, 't', SLICE(from, len), &k, &v);
		if (r == -ENOENT ||
		    (!r && (k.len != 33 || memcmp(k.data + 1, dir.b, 16))))
			return 1;
		if (r)
			return r;
		memcpy(id.b, k.data + 17, 16);
		after = id;
		r = bring_back(t, id, dir, rm, &done);
		if (r)
			return r;
		*count += done;
	}
	return returned_put(t, dir, rm, after);
}

static int returned_slice(struct tree *t, size_t max, size_t *count)
{
	struct slice k, v;
	struct objid dir, after;
	uint8_t key[17];
	struct span rm;
	bool back;
	int r = dead_seek(t, 'q', SLICE(NULL, 0), &k, &v);

	if (r)
		return r;
	if (k.len != sizeof(key) || v.len != 32)
		return -EUCLEAN;
	memcpy(key, k.data, sizeof(key));
	memcpy(dir.b, key + 1, 16);
	rm = (struct span){ get_le64(v.data), get_le64(v.data + 8) };
	memcpy(after.b, v.data + 16, 16);
	r = is_back(t, dir, &back);
	if (!r)
		r = back ? bring_back_some(t, dir, rm, after, max, count) : 1;
	if (r != 1)
		return r;
	return store_del(t->store, TABLE_DEAD, SLICE(key, sizeof(key)));
}

int replica_bring_back(struct tree *t, size_t max, size_t *ret_count)
{
	struct slice k, v;
	int r = dead_seek(t, 'q', SLICE(NULL, 0), &k, &v);

	*ret_count = 0;
	if (r)
		return r == -ENOENT ? 0 : r;
	r = replica_begin(t);
	if (r)
		return r;
	r = returned_slice(t, max, ret_count);
	if (!r)
		r = replica_finish(t);
	r = replica_end(t, r);
	return r ? r : 1;
}
