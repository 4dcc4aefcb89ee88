/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The index of the history, and its totals, made again from its entries:
 * first a count for each object, then what orders them.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "fs/tree/hist.h"
#include "fs/tree/mend.h"

/* Entries of one operation. */
#define OP_ENTRIES 256
#define ENTRY_KEY_BYTES (1 + HIST_NAME_BYTES)

struct anew {
	struct tree *tree;
	struct hist_totals totals;
	uint8_t from[STORE_KEY_BYTES_MAX + 1];
	size_t len;
};

static int index_put(struct tree *t, struct slice key)
{
	return store_put(t->store, TABLE_HIST, key, SLICE("", 0));
}

/* Entries of the object, those that can be read. */
static int count(struct tree *t, struct objid id, uint64_t *ret)
{
	uint8_t key[ENTRY_KEY_BYTES + 1] = { 'v' };
	size_t len = 17;
	struct slice k, v;
	bool sound;
	int r;

	*ret = 0;
	memcpy(key + 1, id.b, 16);
	while (!(r = store_peek(t->store, TABLE_HIST, SLICE(key, len), &k, &v,
				&sound)) &&
	       k.len == ENTRY_KEY_BYTES && !memcmp(k.data, key, 17)) {
		struct hist_entry e;

		*ret += sound && !hist_entry_decode(k, v, &e);
		memcpy(key, k.data, k.len);
		key[k.len] = 0;
		len = k.len + 1;
	}
	return r == -ENOENT ? 0 : r;
}

static int one_object(struct anew *a, struct slice key, struct slice value)
{
	static const struct entry_name none;
	uint8_t index[9 + HIST_NAME_BYTES];
	struct tree *t = a->tree;
	struct hist_object o;
	struct objid id;
	uint64_t n;
	int r;

	if (key.len != 17)
		return mend_put_aside(t, TABLE_HIST, key, value);
	memcpy(id.b, key.data + 1, 16);
	if (hist_object_decode(id, value, &o))
		return mend_put_aside(t, TABLE_HIST, key, value);
	r = count(t, id, &n);
	if (r)
		return r;
	a->totals.gone += o.gone;
	a->totals.bytes += o.gone ? HIST_ENTRY_BYTES : 0;
	if (o.gone) {
		/* (what `o` borrows may move) */
		struct slice time = hist_time_key(index, o.ended, id, &none);
		struct objid parent = o.parent;

		if (o.entries != n) {
			o.entries = n;
			r = hist_object_write(t, &o);
		}
		if (!r)
			r = index_put(t, time);
		return r ? r : index_put(t, hist_place_key(index, parent, id));
	}
	if (!n)
		return store_del(t->store, TABLE_HIST, key);
	if (o.entries == n)
		return 0;
	o.entries = n;
	return hist_object_write(t, &o);
}

static int one_entry(struct anew *a, struct slice key, struct slice value)
{
	uint8_t index[9 + HIST_NAME_BYTES];
	struct tree *t = a->tree;
	struct hist_object o;
	struct hist_entry e;
	int r;

	if (hist_entry_decode(key, value, &e))
		return mend_put_aside(t, TABLE_HIST, key, value);
	a->totals.entries++;
	a->totals.bytes += hist_cost(&e.content);
	r = index_put(t, hist_time_key(index, e.ended, e.id, &e.name));
	if (r)
		return r;
	r = hist_object(t, e.id, &o);
	if (r != -ENOENT)
		return r;
	o = (struct hist_object){ .id = e.id };
	r = count(t, e.id, &o.entries);
	return r ? r : hist_object_write(t, &o);
}

/* One that cannot be taken back any more goes. */
static int one_settled(struct anew *a, struct slice key, struct slice value)
{
	struct objid id;
	struct row row;
	int r;

	if (key.len != 17)
		return mend_put_aside(a->tree, TABLE_HIST, key, value);
	memcpy(id.b, key.data + 1, 16);
	r = row_read(a->tree, id, &row);
	if (!r) {
		r = hist_settled_check(a->tree, &row.o, value);
		row_release(&row);
	}
	if (r == -ENOENT || r == -EUCLEAN)
		return mend_put_aside(a->tree, TABLE_HIST, key, value);
	a->totals.settled += !r;
	a->totals.bytes += r ? 0 : value.len;
	return r;
}

/* 1: the end. In an operation. */
static int some(struct anew *a, char sort)
{
	int r = 0;

	for (int n = 0; !r && n < OP_ENTRIES; n++) {
		struct slice k, v;

		r = store_seek(a->tree->store, TABLE_HIST,
			       SLICE(a->from, a->len), &k, &v);
		if (r == -ENOENT || (!r && k.data[0] != (uint8_t)sort))
			return 1;
		if (r)
			break;
		memcpy(a->from, k.data, k.len);
		a->from[k.len] = 0; /* just behind it */
		a->len = k.len + 1;
		k = SLICE(a->from, k.len);
		if (sort == 'o')
			r = one_object(a, k, v);
		else if (sort == 's')
			r = one_settled(a, k, v);
		else
			r = one_entry(a, k, v);
	}
	return r;
}

static int all_of(struct anew *a, char sort)
{
	int done = 0;

	a->from[0] = (uint8_t)sort;
	a->len = 1;
	while (!done) {
		int r = op_begin(a->tree);

		if (r)
			return r;
		done = some(a, sort);
		r = op_end(a->tree, MIN_OF(done, 0));
		if (r)
			return r;
	}
	return 0;
}

int hist_index_anew(struct tree *t)
{
	struct anew a = { .tree = t };
	int r = all_of(&a, 'o');

	if (!r)
		r = all_of(&a, 'v');
	if (!r)
		r = all_of(&a, 's');
	if (!r)
		r = op_begin(t);
	if (r)
		return r;
	a.totals.clock = t->hist.clock;
	a.totals.seen_ms = t->hist.seen_ms;
	t->hist = a.totals;
	t->hist_changed = true;
	return op_end(t, 0);
}
