/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All that is derived from rows is made again: the tables that hold nothing
 * else are emptied, and each row is indexed as if it had just come. What is
 * derived is a pure function of the rows, in whatever order they come
 * (settle.c); a test compares.
 *
 * In operations of bounded size, so half of it may be done when the process
 * ends: META "mend" says so, and the next repair begins anew.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/tree/acks.h"
#include "fs/tree/check_internal.h"
#include "fs/tree/contest.h"
#include "fs/tree/derived.h"
#include "fs/tree/hist.h"
#include "fs/tree/mend.h"
#include "fs/tree/ruled.h"
#include "fs/tree/xattr_local.h"

/* Entries, or rows, of one operation. */
#define OP_ENTRIES 512
#define OP_ROWS 64

static int meta_mark(struct tree *t, const char *name, bool put)
{
	struct slice key = SLICE_STR(name);
	int r = op_begin(t);

	if (r)
		return r;
	r = put ? store_put(t->store, TABLE_META, key, SLICE("\1", 1)) :
		  store_del(t->store, TABLE_META, key);
	r = op_end(t, r);
	return r ? r : store_commit(t->store);
}

int mend_self(struct tree *t)
{
	return meta_mark(t, META_MEMBERS_LOST, true);
}

/* ---- what goes */

/* (what a sibling's leads to comes before it) */
static bool ino_can_be(struct tree *t, struct slice key, struct slice value)
{
	return key.data[0] == 's' ? check_sibling_number(t, key, value) :
				    key.len == 9;
}

/* (what a merge asks for goes with the row: who brings that back has it) */
static bool base_can_be(struct tree *t, struct slice key)
{
	struct slice v;

	return !store_get(t->store, TABLE_OBJ, SLICE(key.data, 16), &v);
}

static bool goes(struct tree *t, enum store_table table, struct slice key,
		 struct slice value, bool sound)
{
	enum entry_sort sort = entry_sort(table, key);

	if (table == TABLE_INO && sort == ENTRY_SPARE)
		sound = sound && ino_can_be(t, key, value);
	if (table == TABLE_BASE && sort == ENTRY_ASIDE)
		sound = sound && base_can_be(t, key);
	return sort == ENTRY_DERIVED || sort == ENTRY_ODD ||
	       (sort != ENTRY_OWN && !sound);
}

/* Some entries behind *from; 1: the table ends. In an operation. */
static int clear_some(struct tree *t, enum store_table table, uint8_t *from,
		      size_t *len)
{
	int r = 0;

	for (int n = 0; !r && n < OP_ENTRIES; n++) {
		struct slice key, value;
		enum entry_sort sort;
		bool sound;

		r = store_peek(t->store, table, SLICE(from, *len), &key, &value,
			       &sound);
		if (r)
			return r == -ENOENT ? 1 : r;
		memcpy(from, key.data, key.len);
		from[key.len] = 0; /* just behind it */
		*len = key.len + 1;
		if (!goes(t, table, key, value, sound))
			continue;
		key = SLICE(from, *len - 1);
		sort = entry_sort(table, key);
		if (sort == ENTRY_LOST)
			r = chain_lose(t, key);
		else if (sort == ENTRY_ASIDE || sort == ENTRY_ODD)
			r = mend_put_aside(t, table, key, value);
		else
			r = store_del(t->store, table, key);
	}
	return r;
}

static int clear_table(struct tree *t, enum store_table table)
{
	uint8_t from[STORE_KEY_BYTES_MAX + 1];
	size_t len = 0;
	int done = 0;

	while (!done) {
		int r = op_begin(t);

		if (r)
			return r;
		done = clear_some(t, table, from, &len);
		t->group_records = store_count(t->store, TABLE_GROUP);
		r = op_end(t, MIN_OF(done, 0));
		if (r)
			return r;
	}
	return 0;
}

static int clear_all(struct tree *t)
{
	uint64_t members;
	int r = 0;

	store_lock(t->store);
	members = store_count(t->store, TABLE_MEMBER);
	store_unlock(t->store);
	for (enum store_table k = 0; !r && k < TABLE_COUNT; k++)
		r = clear_table(t, k);
	if (!r)
		r = op_begin(t);
	if (r)
		return r;
	t->sum = (struct sum){ 0 };
	r = chain_check_heads(t, true);
	if (!r && store_count(t->store, TABLE_MEMBER) < members)
		r = store_put(t->store, TABLE_META,
			      SLICE_STR(META_MEMBERS_LOST), SLICE("\1", 1));
	return op_end(t, r);
}

/* ---- rows */

/* A place in the change stream that nobody else has. */
static int stream_put(struct tree *t, struct row *row)
{
	uint8_t key[8];
	struct slice v;
	int r;

	put_be64(key, row->lseq);
	r = store_get(t->store, TABLE_SEQ, SLICE(key, 8), &v);
	if (r && r != -ENOENT)
		return r;
	if (!r || !row->lseq || row->lseq > t->lseq) {
		row->lseq = ++t->lseq;
		put_be64(key, row->lseq);
	}
	return store_put(t->store, TABLE_SEQ, SLICE(key, 8),
			 SLICE(row->o.id.b, 16));
}

static int number_put(struct tree *t, struct row *row)
{
	struct inoref ref = { 0 };
	int r;

	if (!row->ino)
		row->ino = objid_is_root(row->o.id) ? TREE_ROOT_INO :
						      ino_new(t);
	r = ino_get(t, row->ino, &ref);
	if (!r && ref.type == INO_OBJECT && objid_equal(ref.id, row->o.id))
		return 0;
	/* (another's: it keeps it) */
	if (!r && !objid_is_root(row->o.id))
		row->ino = ino_new(t);
	inoref_release(&ref);
	ref = (struct inoref){ .type = INO_OBJECT, .id = row->o.id };
	return ino_put(t, row->ino, &ref);
}

/* The sums have nothing of it yet, whatever the stored row says. */
static int sum_put(struct tree *t, struct objid id)
{
	struct sum none = { 0 };
	struct slice value, versions;
	bool counts;
	int r = store_get(t->store, TABLE_OBJ, SLICE(id.b, 16), &value);

	if (!r)
		r = row_counts(value, &versions, &counts);
	if (r || !counts)
		return r;
	return bucket_row_changed(t, id, none, bucket_row(t, id, versions));
}

static int index_row(struct tree *t, struct objid id)
{
	struct row row;
	int r = row_load(t, id, &row);

	if (r)
		return r;
	free(row.claims);
	row.claims = NULL;
	row.claim_count = 0;
	remains_release(&row.remains);
	r = sum_put(t, id);
	if (!r)
		r = stream_put(t, &row);
	if (!r)
		r = number_put(t, &row);
	if (!r)
		r = pending_check(t, &row);
	if (!r)
		r = row_index_anew(t, &row);
	if (!r && row.attrs.len)
		r = local_attrs_exist(t);
	row_release(&row);
	return r;
}

static int index_rows(struct tree *t, struct mend_result *result)
{
	uint8_t key[17] = { 0 };
	size_t len = 0;
	bool end = false;

	while (!end) {
		int r = op_begin(t);

		if (r)
			return r;
		t->remote = true;
		for (int n = 0; !r && n < OP_ROWS; n++) {
			struct slice k, v;
			struct objid id;

			r = store_seek(t->store, TABLE_OBJ, SLICE(key, len),
				       &k, &v);
			if (r == -ENOENT) {
				end = true;
				r = 0;
				break;
			}
			if (!r && k.len != 16)
				r = -EUCLEAN;
			if (r)
				break;
			memcpy(key, k.data, 16);
			len = 17;
			memcpy(id.b, key, 16);
			r = index_row(t, id);
			result->indexed += !r;
		}
		r = op_end(t, r);
		if (r)
			return r;
	}
	return 0;
}

/* ---- rows that cannot be read */

static int put_row_aside(struct tree *t, struct objid id)
{
	char name[8 + 2 * sizeof(id.b)] = "object-";
	struct slice k, v;
	bool sound;
	int r;

	hex_encode(id.b, sizeof(id.b), name + strlen(name));
	store_lock(t->store);
	r = store_peek(t->store, TABLE_OBJ, SLICE(id.b, 16), &k, &v, &sound);
	if (!r)
		r = store_put_aside(t->store, name, v);
	store_unlock(t->store);
	return r;
}

static int row_goes(struct tree *t, struct objid id)
{
	int r = put_row_aside(t, id);

	if (!r)
		r = op_begin(t);
	if (r)
		return r;
	return op_end(t, store_del(t->store, TABLE_OBJ, SLICE(id.b, 16)));
}

/* 1: none is left. In an operation. */
static int staged_some_go(struct tree *t, uint64_t number)
{
	uint8_t key[STORE_KEY_BYTES_MAX];
	struct slice k, v;
	bool sound;
	int r = 0;

	for (int n = 0; !r && n < OP_ENTRIES; n++) {
		put_be64(key, number);
		r = store_peek(t->store, TABLE_STAGE, SLICE(key, 8), &k, &v,
			       &sound);
		if (r == -ENOENT ||
		    (!r && (k.len < 8 || memcmp(k.data, key, 8))))
			return 1;
		if (r)
			return r;
		memcpy(key, k.data, k.len);
		r = store_del(t->store, TABLE_STAGE, SLICE(key, k.len));
	}
	return r;
}

/* A peer sends it again. What it was to bring of rows that are merged already
 * META "applying" goes on to tell. */
static int staged_goes(struct tree *t, uint64_t number)
{
	int done = 0;

	while (!done) {
		int r = op_begin(t);

		if (r)
			return r;
		done = staged_some_go(t, number);
		r = op_end(t, MIN_OF(done, 0));
		if (r)
			return r;
	}
	return 0;
}

int mend_rows(struct check *c, struct mend_result *result)
{
	struct tree *t = c->tree;
	int r;

	store_lock(t->store);
	t->recount = NULL; /* it follows no emptied sums */
	store_unlock(t->store);
	r = meta_mark(t, META_MEND, true);
	for (size_t k = 0; !r && k < c->unsent.count; k++) {
		r = mend_unsent(t, c->unsent.list[k]);
		result->unsent += !r;
	}
	for (size_t k = 0; !r && k < c->staged.count; k++)
		r = staged_goes(t, c->staged.list[k]);
	for (size_t k = 0; !r && k < c->unreadable.count; k++) {
		r = row_goes(t, c->unreadable.ids[k]);
		result->rows += !r;
	}
	if (!r)
		r = clear_all(t);
	if (!r)
		r = index_rows(t, result);
	if (!r)
		r = hist_index_anew(t);
	return r ? r : meta_mark(t, META_MEND, false);
}
