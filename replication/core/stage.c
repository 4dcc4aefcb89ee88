/* SPDX-License-Identifier: Apache-2.0 */
/*
 * In memory: an array of rows in the order of their first record, and an
 * index of open addressing over it. Object ids are of the peer's choosing,
 * but so is the number of rows, and a probe costs nothing beside the
 * decoding of a row.
 *
 * In the table every staged cut has a number of its own, so that those of
 * two peers, or of two attempts of one, never mix, and one that is of no use
 * any more can be swept by and by. The greatest dot of each origin is kept
 * on the way: when CUT comes, one comparison tells whether K covers all
 * rows, before anything of them was merged.
 */
#include "replication/core/stage.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/base/hash.h"
#include "fs/store/store.h"

/* Bytes counted for a row beside its own. */
#define STAGE_ROW_OVERHEAD (sizeof(struct stage_row) + 16)
#define HEADER_FORMAT 1
#define KIND_HEADER 'h'

/* ---- in memory */

int stage_new(struct store *store, uint64_t number, struct stage **ret)
{
	struct stage *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->store = store;
	s->number = number;
	s->state = STAGE_OPEN;
	*ret = s;
	return 0;
}

static void stage_clear(struct stage *s)
{
	for (size_t i = 0; i < s->count; i++)
		free(s->rows[i].row);
	free(s->rows);
	free(s->index);
	s->rows = NULL;
	s->index = NULL;
	s->count = s->alloc = s->index_size = 0;
	s->memory_bytes = 0;
}

void stage_free(struct stage *s)
{
	if (!s)
		return;
	stage_clear(s);
	know_release(&s->dots);
	buf_release(&s->cut);
	buf_release(&s->runs);
	free(s);
}

static size_t stage_slot(const struct stage *s, struct objid id)
{
	size_t at = (size_t)checksum64(id.b, sizeof(id.b), 0);

	for (at &= s->index_size - 1; s->index[at];
	     at = (at + 1) & (s->index_size - 1))
		if (objid_equal(s->rows[s->index[at] - 1].id, id))
			break;
	return at;
}

/* Keeps the index at most half full. */
static int stage_reserve(struct stage *s)
{
	if (s->count == s->alloc) {
		size_t alloc = MAX_OF(s->alloc * 2, (size_t)16);
		struct stage_row *rows =
			realloc(s->rows, alloc * sizeof(*rows));

		if (!rows)
			return -ENOMEM;
		s->rows = rows;
		s->alloc = alloc;
	}
	if ((s->count + 1) * 2 > s->index_size) {
		size_t size = MAX_OF(s->index_size * 2, (size_t)32);
		uint32_t *index = calloc(size, sizeof(*index));

		if (!index)
			return -ENOMEM;
		free(s->index);
		s->index = index;
		s->index_size = size;
		for (size_t i = 0; i < s->count; i++)
			index[stage_slot(s, s->rows[i].id)] = (uint32_t)i + 1;
	}
	return 0;
}

/* What decoding alone does not see: one kind, and slots that fit it. */
static int row_check(const struct object *o)
{
	uint8_t kind = 0;

	for (size_t i = 0; i < o->count; i++) {
		if (o->versions[i].reg != REG_KIND)
			continue;
		if (kind && kind != o->versions[i].kind.kind)
			return -EBADMSG;
		kind = o->versions[i].kind.kind;
	}
	if (objid_is_root(o->id) && kind && kind != KIND_DIR)
		return -EBADMSG;
	for (size_t i = 0; i < o->count; i++) {
		const struct version *v = &o->versions[i];

		if (v->reg != REG_LINK)
			continue;
		if (objid_is_root(o->id))
			return -EBADMSG;
		/* (A row that lost its KIND to a purge comes without.) */
		if (kind && (kind == KIND_DIR) != (v->link.slot == SLOT_DIR))
			return -EBADMSG;
	}
	return 0;
}

static int stage_note_dots(struct stage *s, const struct object *o)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < o->count; i++) {
		struct dot d = o->versions[i].dot;

		if (!know_covers(&s->dots, d))
			r = know_set(&s->dots, d.origin, d.seq);
	}
	return r;
}

int stage_put(struct stage *s, struct objid id, struct slice row)
{
	cleanup(object_release) struct object o;
	struct stage_row *at;
	uint8_t *copy;
	size_t slot;
	int r;

	object_init(&o, id);
	r = object_decode(row, &o);
	if (r == 0)
		r = row_check(&o);
	if (r == 0)
		r = stage_note_dots(s, &o);
	if (r == 0)
		r = stage_reserve(s);
	if (r < 0)
		return r;
	copy = malloc(MAX_OF(row.len, (size_t)1));
	if (!copy)
		return -ENOMEM;
	memcpy(copy, row.data, row.len);
	slot = stage_slot(s, id);
	if (!s->index[slot]) {
		s->rows[s->count] = (struct stage_row){.id = id};
		s->index[slot] = (uint32_t)++s->count;
		s->memory_bytes += STAGE_ROW_OVERHEAD;
	}
	at = &s->rows[s->index[slot] - 1];
	free(at->row);
	s->memory_bytes += row.len - at->len;
	at->row = copy;
	at->len = (uint32_t)row.len;
	return 0;
}

/* ---- in the table */

struct stage_key {
	uint8_t b[26];
};

static struct slice stage_key(const struct stage *s, uint8_t kind,
			      const struct objid *id, struct stage_key *key)
{
	put_be64(key->b, s->number);
	key->b[8] = kind;
	if (id)
		memcpy(key->b + 9, id->b, sizeof(id->b));
	return SLICE(key->b, id ? 25 : 9);
}

int stage_put_header(struct stage *s, enum stage_state state)
{
	cleanup(buf_release) struct buf b = BUF_INIT;
	struct stage_key key;

	buf_put_u8(&b, HEADER_FORMAT);
	buf_put_u8(&b, (uint8_t)state);
	buf_put_u64(&b, s->tag);
	buf_put_u64(&b, s->life);
	buf_put_u64(&b, s->saved_position);
	buf_put_varint(&b, s->bytes);
	buf_put_varint(&b, s->objects);
	know_encode(&s->dots, &b);
	buf_put_string(&b, buf_slice(&s->cut));
	if (buf_error(&b) < 0)
		return -ENOMEM;
	return store_put(s->store, TABLE_STAGE,
			 stage_key(s, KIND_HEADER, NULL, &key), buf_slice(&b));
}

static int op_end(struct store *store, int r)
{
	if (r == 0)
		return store_op_end(store);
	store_op_abort(store);
	return r;
}

int stage_set_state(struct stage *s, enum stage_state state)
{
	int r;

	store_lock(s->store);
	r = store_op_begin(s->store);
	if (r == 0)
		r = op_end(s->store, stage_put_header(s, state));
	store_unlock(s->store);
	if (r == 0)
		s->state = state;
	return r;
}

/* Rows from *at on, as many as one operation takes. [in an operation] */
static int flush_slice(struct stage *s, size_t *at, size_t max)
{
	size_t end = *at + MIN_OF(max, s->count - *at);
	uint64_t bytes = 0, before = store_count(s->store, TABLE_STAGE);
	int r = 0;

	for (; r == 0 && *at < end && bytes < STAGE_SLICE_BYTES; ++*at) {
		const struct stage_row *row = &s->rows[*at];

		bytes += row->len;
		r = stage_entry_put(s, STAGE_ROW, row->id,
				    SLICE(row->row, row->len));
	}
	s->bytes += bytes;
	/* Records of one object take one entry. */
	s->objects += store_count(s->store, TABLE_STAGE) - before;
	/* Only with the last of them it is true. */
	if (*at == s->count)
		s->saved_position = s->position;
	return r == 0 ? stage_put_header(s, s->state) : r;
}

/* [locked] */
static int flush_op(struct stage *s, size_t *at, size_t max)
{
	uint64_t bytes = s->bytes, position = s->saved_position;
	uint64_t objects = s->objects;
	int r = store_op_begin(s->store);

	if (r == 0)
		r = op_end(s->store, flush_slice(s, at, max));
	if (r < 0) {
		s->bytes = bytes;
		s->objects = objects;
		s->saved_position = position;
	}
	return r;
}

int stage_flush(struct stage *s, size_t slice_rows)
{
	size_t at = 0;
	int r = 0;

	while (r == 0 && at < s->count) {
		store_lock(s->store);
		r = flush_op(s, &at, slice_rows);
		store_unlock(s->store);
		s->stored |= r == 0;
	}
	if (r == 0)
		stage_clear(s);
	return r;
}

/* ---- marks */

static int put_run(struct stage *s, const struct mark_run *m,
		   struct slice bytes)
{
	struct objid id;

	put_be64(id.b, m->origin);
	put_be64(id.b + 8, m->after);
	s->bytes += bytes.len;
	return stage_entry_put(s, STAGE_MARKS, id, bytes);
}

/* As many as one operation takes. [in an operation] */
static int flush_runs(struct stage *s, struct reader *in)
{
	const uint8_t *start = in->at;
	struct mark_run m;
	int r = 0;

	while (r == 0 && reader_left(in) &&
	       (uint64_t)(in->at - start) < STAGE_SLICE_BYTES) {
		const uint8_t *at = in->at;

		r = run_decode(in, &m);
		if (r == 0)
			r = put_run(s, &m, SLICE(at, in->at - at));
	}
	return r == 0 ? stage_put_header(s, s->state) : r;
}

int stage_flush_runs(struct stage *s)
{
	struct reader in = READER(s->runs.data, s->runs.len);
	int r = 0;

	while (r == 0 && reader_left(&in)) {
		store_lock(s->store);
		r = store_op_begin(s->store);
		if (r == 0)
			r = op_end(s->store, flush_runs(s, &in));
		store_unlock(s->store);
		s->stored |= r == 0;
	}
	if (r == 0)
		buf_reset(&s->runs);
	return r;
}

/* [in an operation] */
static int forget_runs(struct stage *s)
{
	struct slice v;
	struct objid id;
	int r;

	while ((r = stage_seek(s, STAGE_MARKS, NULL, &id, &v)) == 0) {
		r = stage_entry_del(s, STAGE_MARKS, id);
		if (r < 0)
			return r;
	}
	return r == -ENOENT ? 0 : r;
}

int stage_reopen(struct stage *s)
{
	int r;

	buf_reset(&s->runs);
	buf_reset(&s->cut);
	if (!s->stored)
		return 0;
	store_lock(s->store);
	r = store_op_begin(s->store);
	if (r == 0) {
		r = forget_runs(s);
		if (r == 0)
			r = stage_put_header(s, s->state);
		r = op_end(s->store, r);
	}
	store_unlock(s->store);
	return r;
}

/* In the table. [locked] */
static int stored_runs(struct stage *s,
		       int (*fn)(void *arg, const struct mark_run *),
		       void *arg)
{
	struct objid at = {{0}};
	struct mark_run m;
	struct slice v;
	int r;

	for (;;) {
		struct reader in;
		struct objid id;

		r = stage_seek(s, STAGE_MARKS, &at, &id, &v);
		if (r < 0)
			return r == -ENOENT ? 0 : r;
		in = READER(v.data, v.len);
		r = run_decode(&in, &m);
		if (r == -EBADMSG)
			r = -EUCLEAN;
		if (r == 0)
			r = fn(arg, &m);
		if (r < 0)
			return r;
		/* (an origin has no number 2^64 - 1) */
		put_be64(at.b, m.origin);
		put_be64(at.b + 8, m.after + 1);
	}
}

int stage_runs(struct stage *s,
	       int (*fn)(void *arg, const struct mark_run *), void *arg)
{
	struct reader in = READER(s->runs.data, s->runs.len);
	struct mark_run m;
	int r = 0;

	if (s->stored && !s->runs.len)
		return stored_runs(s, fn, arg);
	while (r == 0 && reader_left(&in)) {
		r = run_decode(&in, &m);
		if (r == 0)
			r = fn(arg, &m);
	}
	return r;
}

int stage_seek(struct stage *s, enum stage_kind kind, const struct objid *from,
	       struct objid *ret_id, struct slice *ret_value)
{
	static const struct objid first;
	struct stage_key key;
	struct slice k;
	int r = store_seek(s->store, TABLE_STAGE,
			   stage_key(s, (uint8_t)kind, from ? from : &first,
				     &key),
			   &k, ret_value);

	if (r < 0)
		return r;
	if (k.len < 9 || memcmp(k.data, key.b, 9))
		return -ENOENT;
	if (k.len != 25)
		return -EUCLEAN;
	memcpy(ret_id->b, k.data + 9, sizeof(ret_id->b));
	return 0;
}

int stage_get(struct stage *s, enum stage_kind kind, struct objid id,
	      struct slice *ret_value)
{
	struct stage_key key;

	return store_get(s->store, TABLE_STAGE,
			 stage_key(s, (uint8_t)kind, &id, &key), ret_value);
}

int stage_entry_put(struct stage *s, enum stage_kind kind, struct objid id,
		    struct slice value)
{
	struct stage_key key;

	return store_put(s->store, TABLE_STAGE,
			 stage_key(s, (uint8_t)kind, &id, &key), value);
}

int stage_entry_del(struct stage *s, enum stage_kind kind, struct objid id)
{
	struct stage_key key;

	return store_del(s->store, TABLE_STAGE,
			 stage_key(s, (uint8_t)kind, &id, &key));
}

int stage_sweep(struct stage *s, size_t max)
{
	struct stage_key from, header;
	struct slice h = stage_key(s, KIND_HEADER, NULL, &header);
	size_t n = 0;
	int r = 0;

	/* Behind the header: its byte is the least. */
	memcpy(from.b, header.b, 8);
	from.b[8] = KIND_HEADER + 1;
	while (r == 0 && n < max) {
		struct slice k, v;

		r = store_seek(s->store, TABLE_STAGE, SLICE(from.b, 9), &k, &v);
		if (r < 0 || k.len < 8 || memcmp(k.data, from.b, 8))
			break;
		r = store_del(s->store, TABLE_STAGE, k);
		n++;
	}
	if (r == -ENOENT)
		r = 0;
	if (r == 0 && n < max)
		r = store_del(s->store, TABLE_STAGE, h);
	return r < 0 ? r : (int)n;
}

/* ---- after a restart */

static int header_decode(struct slice value, struct stage *s)
{
	struct reader r = READER(value.data, value.len);
	uint8_t format = reader_u8(&r), state = reader_u8(&r);
	int e;

	s->tag = reader_u64(&r);
	s->life = reader_u64(&r);
	s->position = s->saved_position = reader_u64(&r);
	s->bytes = reader_varint(&r);
	s->objects = reader_varint(&r);
	e = know_decode(&r, &s->dots);
	if (e == 0) {
		buf_put_slice(&s->cut, reader_string(&r, FRAME_BYTES_MAX));
		e = reader_done(&r);
	}
	if (e == -EBADMSG || format != HEADER_FORMAT || state < STAGE_OPEN ||
	    state > STAGE_DROPPED)
		return -EUCLEAN;
	s->state = (enum stage_state)state;
	s->stored = true;
	return e == 0 ? buf_error(&s->cut) : e;
}

int stage_check(struct slice key, struct slice value)
{
	struct stage s = { .number = 0 };
	int r;

	if (key.len < 9 || key.data[8] != KIND_HEADER)
		return 0;
	r = key.len == 9 ? header_decode(value, &s) : -EUCLEAN;
	know_release(&s.dots);
	buf_release(&s.cut);
	return r;
}

static int stages_load_next(struct store *store, uint64_t from,
			    struct stage **ret)
{
	uint8_t key[8];
	struct slice k, v;
	int r;

	put_be64(key, from);
	r = store_seek(store, TABLE_STAGE, SLICE(key, sizeof(key)), &k, &v);
	if (r < 0)
		return r;
	/* Whatever has entries has a header, and that is the first. */
	if (k.len != 9 || k.data[8] != KIND_HEADER)
		return -EUCLEAN;
	r = stage_new(store, get_be64(k.data), ret);
	if (r == 0)
		r = header_decode(v, *ret);
	return r;
}

int stages_load(struct store *store, struct stage **ret)
{
	struct stage **last = ret;
	uint64_t number = 0;
	int r = 0;

	store_lock(store);
	while (r == 0 && number < UINT64_MAX) {
		r = stages_load_next(store, number + 1, last);
		if (*last) {
			number = (*last)->number;
			last = &(*last)->next;
		}
	}
	store_unlock(store);
	return r == -ENOENT ? 0 : r;
}
