/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Contents: the entry of a damaged chunk goes, and its rows are looked at as
 * if a cut had just brought them, so that they are pending, unless it was
 * found again; the rest is the work of who fetches content.
 *
 * Rows and indexes: see mend_index.c.
 */
#include "fs/tree/mend.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/store/format.h"
#include "fs/tree/check_internal.h"

/* Of a key, in the name of a file: no right one is longer. */
#define NAME_KEY_BYTES 64

int mend_put_aside(struct tree *t, enum store_table table, struct slice key,
		   struct slice value)
{
	char name[16 + 2 * NAME_KEY_BYTES];
	int len = snprintf(name, sizeof(name), "%s-", table_name(table)), r;

	hex_encode(key.data, MIN_OF(key.len, (size_t)NAME_KEY_BYTES),
		   name + len);
	r = store_put_aside(t->store, name, value);
	return r ? r : store_del(t->store, table, key);
}

static int put_chunk_aside(struct tree *t, const struct hash *h,
			   struct data_loc loc, uint32_t len)
{
	autofree uint8_t *bytes = malloc(len);
	char name[8 + 2 * sizeof(h->b)] = "chunk-";

	if (!bytes)
		return -ENOMEM;
	/* (what the disk does not give cannot be kept) */
	if (data_read(t->store, loc, bytes, len))
		return 0;
	hex_encode(h->b, sizeof(h->b), name + strlen(name));
	return store_put_aside(t->store, name, SLICE(bytes, len));
}

static int mend_chunk(struct tree *t, const struct hash *h,
		      struct mend_result *result)
{
	cleanup(buf_release) struct buf bytes = BUF_INIT;
	cleanup(store_hold_end) struct store_hold hold = store_hold(t->store);
	struct chunk_place p;
	int r = chunk_read(t->store, h, &bytes);

	/* Somebody brought it meanwhile, or it is gone. */
	if (!r || r == -ENOENT)
		return 0;
	if (r != -EIO)
		return r;
	store_lock(t->store);
	r = chunk_find(t->store, h, &p);
	store_unlock(t->store);
	if (!r)
		r = put_chunk_aside(t, h, p.loc, p.len);
	if (r && r != -EIO)
		return r;
	r = op_begin(t);
	if (r)
		return r;
	r = op_end(t, store_del(t->store, TABLE_CHUNK,
				SLICE(h->b, sizeof(h->b))));
	result->chunks += !r;
	return r;
}

static int mend_content(struct tree *t, struct objid id,
			struct mend_result *result)
{
	struct row row;
	int r = op_begin(t);

	if (r)
		return r;
	t->remote = true;
	r = row_load(t, id, &row);
	if (!r && row.exists) {
		r = pending_check(t, &row);
		if (!r)
			r = row_store_local(t, &row);
		result->contents += !r && row.pending;
	}
	row_release(&row);
	r = op_end(t, r);
	store_lock(t->store);
	if (!r && t->observer.wanted)
		t->observer.wanted(t->observer.arg);
	store_unlock(t->store);
	/* (one that is damaged itself is told, and stays) */
	return r == -EUCLEAN ? 0 : r;
}

int mend_contents(struct check *c, const atomic_bool *stop,
		  struct mend_result *result)
{
	static const struct hash none;
	int r = 0;

	for (size_t k = 0; !r && c->bad && k < 2 * CHECK_BAD_MAX; k++)
		if (!hash_equal(&c->bad[k], &none) && c->bad_needed[k])
			r = mend_chunk(c->tree, &c->bad[k], result);
	if (!r)
		r = mend_lost(c, stop, result);
	for (size_t k = 0; !r && k < c->incomplete.count; k++)
		r = mend_content(c->tree, c->incomplete.ids[k], result);
	return r;
}
