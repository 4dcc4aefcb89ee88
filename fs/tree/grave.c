/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table DEAD: what the purge (purge.c) looks for, so that it never
 * searches, and what it must know before it takes a row away. It follows
 * from the rows and is kept by row_store(), in the same operation; but not
 * what a merge notes for later. By first byte of the key:
 *
 *	'd' local sequence -> id	dead rows, oldest change first
 *	'w' local sequence -> id	directories with weak LINKs only
 *	'l' parent, id -> nothing	a LINK of the row names the parent,
 *					and is none of its claims
 *	't' parent, id -> nothing	a row without LINK, or a directory
 *					with weak ones only, by where its
 *					TOMB says that it was
 *	'q' directory -> hlc, entry	it came back, see returned.c
 *	'u' directory -> nothing	something is in it, see lost.c
 *
 * "Does any LINK name this directory?" is asked of every directory before it
 * is purged. Nearly all LINKs are claims, and stand in DIR under the parent;
 * so only those that are not have a record here: losers of a slot, weak ones
 * beside strong ones, the LINK of a directory that is shown elsewhere because
 * of a cycle, and those of a file without content. Usual rows leave nothing
 * in this table.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/tree/tree_internal.h"

void remains_release(struct remains *r)
{
	idlist_release(&r->strays);
	*r = (struct remains){ 0 };
}

bool row_is_dead(struct objid id, const struct info *i)
{
	if (objid_is_root(id))
		return false;
	return i->kind == KIND_DIR ? !i->link_count : !info_live_file(i);
}

static bool claims_name(const struct row *row, struct objid parent)
{
	for (size_t k = 0; k < row->claim_count; k++)
		if (objid_equal(row->claims[k].at.parent, parent))
			return true;
	return false;
}

/* row->claims are those that belong to the info. */
int remains_of(struct tree *t, const struct row *row, const struct info *i,
	       struct remains *ret)
{
	int r = 0;

	(void)t;
	*ret = (struct remains){ .lseq = row->lseq };
	if (row_is_dead(row->o.id, i))
		ret->grave = GRAVE_DEAD;
	else if (i->kind == KIND_DIR && i->link_count && !i->strong)
		ret->grave = GRAVE_WEAK;
	if (i->tomb && (ret->grave == GRAVE_WEAK ||
			(ret->grave == GRAVE_DEAD && !i->link_count))) {
		ret->fell = true;
		ret->from = i->tomb->tomb.link.at.parent;
	}
	for (size_t k = 0; !r && k < row->o.count; k++) {
		const struct version *v = &row->o.versions[k];

		if (v->reg == REG_LINK && !claims_name(row, v->link.at.parent) &&
		    !idlist_has(&ret->strays, v->link.at.parent))
			r = idlist_add(&ret->strays, v->link.at.parent);
	}
	if (r)
		remains_release(ret);
	return r;
}

/* ---- the table */

static int dead_number(struct tree *t, enum grave grave, uint64_t lseq,
		       struct objid id, bool put)
{
	uint8_t key[9] = { grave == GRAVE_DEAD ? 'd' : 'w' };
	struct slice k = SLICE(key, sizeof(key));

	put_be64(key + 1, lseq);
	if (!put)
		return store_del(t->store, TABLE_DEAD, k);
	return store_put(t->store, TABLE_DEAD, k, SLICE(id.b, 16));
}

static int dead_pair(struct tree *t, char sort, struct objid parent,
		     struct objid id, bool put)
{
	uint8_t key[33] = { (uint8_t)sort };
	struct slice k = SLICE(key, sizeof(key));

	memcpy(key + 1, parent.b, 16);
	memcpy(key + 17, id.b, 16);
	if (!put)
		return store_del(t->store, TABLE_DEAD, k);
	return store_put(t->store, TABLE_DEAD, k, SLICE("", 0));
}

static int remains_write(struct tree *t, struct objid id,
			 const struct remains *old, const struct remains *new)
{
	bool moved = old->grave != new->grave || old->lseq != new->lseq;
	bool stays = old->fell && new->fell &&
		     objid_equal(old->from, new->from);
	int r = 0;

	if (old->grave && moved)
		r = dead_number(t, old->grave, old->lseq, id, false);
	if (!r && new->grave && moved)
		r = dead_number(t, new->grave, new->lseq, id, true);
	if (!r && old->fell && !stays)
		r = dead_pair(t, 't', old->from, id, false);
	if (!r && new->fell && !stays)
		r = dead_pair(t, 't', new->from, id, true);
	for (size_t k = 0; !r && k < old->strays.count; k++)
		if (!idlist_has(&new->strays, old->strays.ids[k]))
			r = dead_pair(t, 'l', old->strays.ids[k], id, false);
	for (size_t k = 0; !r && k < new->strays.count; k++)
		if (!idlist_has(&old->strays, new->strays.ids[k]))
			r = dead_pair(t, 'l', new->strays.ids[k], id, true);
	return r;
}

int remains_update(struct tree *t, struct row *row, const struct info *i)
{
	struct remains now = { 0 };
	int r = i ? remains_of(t, row, i, &now) : 0;

	if (!r)
		r = remains_write(t, row->o.id, &row->remains, &now);
	remains_release(&row->remains);
	row->remains = now;
	return r;
}

/* ---- for replica_check() */

static bool dead_has(struct tree *t, char sort, struct slice a, struct slice b)
{
	uint8_t key[40] = { (uint8_t)sort };
	struct slice v;

	memcpy(key + 1, a.data, a.len);
	memcpy(key + 1 + a.len, b.data, b.len);
	return !store_get(t->store, TABLE_DEAD,
			  SLICE(key, 1 + a.len + b.len), &v);
}

int remains_check(struct tree *t, const struct row *row, uint64_t *entries)
{
	const struct remains *want = &row->remains;
	struct slice id = SLICE(row->o.id.b, 16);
	uint8_t lseq[8];
	bool ok = true;

	put_be64(lseq, row->lseq);
	if (want->grave)
		ok = dead_has(t, want->grave == GRAVE_DEAD ? 'd' : 'w',
			      SLICE(lseq, 8), SLICE(lseq, 0));
	if (want->fell)
		ok = ok && dead_has(t, 't', SLICE(want->from.b, 16), id);
	for (size_t k = 0; k < want->strays.count; k++)
		ok = ok && dead_has(t, 'l', SLICE(want->strays.ids[k].b, 16),
				    id);
	*entries += !!want->grave + want->fell + want->strays.count;
	return ok ? 0 : -EUCLEAN;
}

int dead_seek(struct tree *t, char sort, struct slice from,
	      struct slice *ret_key, struct slice *ret_value)
{
	uint8_t key[40] = { (uint8_t)sort };
	int r;

	kin_assert(from.len < sizeof(key));
	if (from.len)
		memcpy(key + 1, from.data, from.len);
	r = store_seek(t->store, TABLE_DEAD, SLICE(key, 1 + from.len), ret_key,
		       ret_value);
	if (!r && ret_key->data[0] != (uint8_t)sort)
		r = -ENOENT;
	return r;
}

static int count_sort(struct tree *t, char sort, size_t len, uint64_t *add)
{
	uint8_t from[17] = { 0 };
	size_t from_len = 0;

	for (;;) {
		struct slice k, v;
		int r = dead_seek(t, sort, SLICE(from, from_len), &k, &v);

		if (r)
			return r == -ENOENT ? 0 : r;
		if (k.len != 17 || v.len != len)
			return -EUCLEAN;
		++*add;
		memcpy(from, k.data + 1, 16);
		from[16] = 0; /* just behind it */
		from_len = 17;
	}
}

int notes_count(struct tree *t, uint64_t *add)
{
	int r = count_sort(t, 'q', 32, add);

	return r ? r : count_sort(t, 'u', 0, add);
}

int dir_is_named(struct tree *t, struct objid dir, bool *ret)
{
	struct claim c;
	struct objid id;
	struct slice k, v;
	int r = claim_seek(t, dir, 0, ROOT_ID, 0, &c, &id);

	*ret = !r;
	if (r != -ENOENT)
		return r;
	r = dead_seek(t, 'l', SLICE(dir.b, 16), &k, &v);
	*ret = !r && k.len == 33 && !memcmp(k.data + 1, dir.b, 16);
	return r == -ENOENT ? 0 : r;
}

/* ---- how much is kept */

/* Rows looked at in one hold of the lock, some milliseconds; and in all. */
#define DEAD_SLICE 128
#define DEAD_LOOK_MAX 4096

/* [locked] */
static int dead_add(struct tree *t, struct slice id, struct replica_dead *d)
{
	struct object o;
	struct objid of;
	uint64_t before = d->bytes;
	int r;

	if (id.len != sizeof(of.b))
		return -EUCLEAN;
	memcpy(of.b, id.data, sizeof(of.b));
	r = replica_row_load(t, of, &o);
	for (size_t k = 0; !r && k < o.count; k++)
		if (o.versions[k].reg == REG_CONTENT &&
		    !(o.versions[k].flags & VERSION_VOID))
			d->bytes += o.versions[k].content.content.size;
	d->files += d->bytes > before;
	object_release(&o);
	return r;
}

/* A slice: from the row behind this change. -ENOENT: that was the last.
 * [locked] */
static int dead_slice(struct tree *t, uint64_t *after, struct replica_dead *d)
{
	for (size_t n = 0; n < DEAD_SLICE; n++) {
		struct slice k, v;
		uint8_t from[8];
		int r;

		put_be64(from, *after + 1);
		r = dead_seek(t, 'd', SLICE(from, sizeof(from)), &k, &v);
		if (r)
			return r;
		if (k.len != 1 + sizeof(from))
			return -EUCLEAN;
		*after = get_be64(k.data + 1);
		r = dead_add(t, v, d);
		if (r)
			return r;
	}
	return 0;
}

int replica_dead(struct tree *t, struct replica_dead *ret)
{
	uint64_t after = 0;
	int r = 0;

	*ret = (struct replica_dead){ .more = false };
	for (size_t n = 0; !r && n < DEAD_LOOK_MAX; n += DEAD_SLICE) {
		store_lock(t->store);
		r = dead_slice(t, &after, ret);
		store_unlock(t->store);
	}
	ret->more = !r;
	return r == -ENOENT ? 0 : r;
}
