/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tables and operations.
 *
 * Puts and deletes go into the group's transaction at once. An operation
 * keeps two lists meanwhile: what it did, in the form of the log record
 * (redo), and what was there before (undo, in memory only). Ending it
 * appends the first to the log; aborting it applies the second backwards.
 *
 * Each table has one cursor for all uses, because LMDB looks first at the
 * page where a cursor stands, and neighbouring keys are the common case.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/store/store_internal.h"

/* Buffers of an operation keep at most this much memory between two. */
#define OP_KEEP_BYTES (1u << 20)
/*
 * On a full disk an operation may make the store grow by this much: room
 * for changed attributes, not for a new file. One that makes room may leave
 * traces of what it removes: of many names, or of the versions of a conflict.
 * (The reserve that was given up has room for a hundred thousand of them.)
 */
#define FULL_GROWTH_BYTES 128
#define FULL_TRACES_BYTES (64 << 10)

static MDB_val val_of(struct slice s)
{
	return (MDB_val){.mv_size = s.len, .mv_data = (void *)s.data};
}

static struct slice slice_of(MDB_val v)
{
	return SLICE(v.mv_data, v.mv_size);
}

static int table_cursor(struct store *s, enum store_table t, MDB_cursor **ret)
{
	int rc;

	kin_assert(t < TABLE_COUNT);
	if (!s->cursors[t]) {
		if (!s->txn)
			return -EIO; /* the store has failed badly */
		rc = mdb_cursor_open(s->txn, s->dbi[t], &s->cursors[t]);
		if (rc) {
			s->cursors[t] = NULL;
			return lmdb_errno(rc);
		}
	}
	*ret = s->cursors[t];
	return 0;
}

static int cursor_get(struct store *s, enum store_table t, MDB_cursor_op how,
		      MDB_val *key, MDB_val *value)
{
	MDB_cursor *mc = NULL;
	int r = table_cursor(s, t, &mc);

	return r ? r : lmdb_errno(mdb_cursor_get(mc, key, value, how));
}

static int table_get(struct store *s, enum store_table t, struct slice key,
		     struct slice *ret_value)
{
	MDB_val k = val_of(key), v;
	int r = key.len ? cursor_get(s, t, MDB_SET, &k, &v) : -ENOENT;

	return r ? r : value_open(t, key, slice_of(v), ret_value);
}

int table_put(struct store *s, enum store_table t, struct slice key,
	      struct slice value)
{
	MDB_val k = val_of(key), v = { value.len + VALUE_CHECK_BYTES, NULL };
	uint8_t check[VALUE_CHECK_BYTES];
	MDB_cursor *mc = NULL;
	int r = table_cursor(s, t, &mc);

	if (r)
		return r;
	value_seal(t, key, value, check);
	r = lmdb_errno(mdb_cursor_put(mc, &k, &v, MDB_RESERVE));
	if (r) {
		s->txn_broken = true;
		return r;
	}
	if (value.len)
		memcpy(v.mv_data, value.data, value.len);
	memcpy((uint8_t *)v.mv_data + value.len, check, sizeof(check));
	return 0;
}

static int table_del(struct store *s, enum store_table t, struct slice key)
{
	MDB_val k = val_of(key), v;
	MDB_cursor *mc = NULL;
	int r = table_cursor(s, t, &mc);

	if (r)
		return r;
	r = lmdb_errno(mdb_cursor_get(mc, &k, &v, MDB_SET));
	if (r == -ENOENT)
		return 0;
	if (!r)
		r = lmdb_errno(mdb_cursor_del(mc, 0));
	if (r)
		s->txn_broken = true;
	return r;
}

int table_apply(void *arg, struct slice entries)
{
	struct store *s = arg;
	struct reader rd = READER(entries.data, entries.len);

	while (reader_left(&rd)) {
		struct log_entry e;
		int r = log_entry_decode(&rd, &e);

		if (r) /* the checksum was right, the entry is not */
			return -EUCLEAN;
		if (e.kind == LOG_DATA) /* only marks have it */
			return -EUCLEAN;
		r = e.kind == LOG_DELETE
			    ? table_del(s, e.table, e.key)
			    : table_put(s, e.table, e.key, e.value);
		if (r)
			return r;
	}
	return 0;
}

/* ---- reading */

int store_get(struct store *s, enum store_table t, struct slice key,
	      struct slice *ret_value)
{
	store_assert_locked(s);
	return table_get(s, t, key, ret_value);
}

int store_seek(struct store *s, enum store_table t, struct slice key,
	       struct slice *ret_key, struct slice *ret_value)
{
	MDB_val k = val_of(key), v;
	int r;

	store_assert_locked(s);
	r = cursor_get(s, t, key.len ? MDB_SET_RANGE : MDB_FIRST, &k, &v);
	if (r)
		return r;
	*ret_key = slice_of(k);
	return value_open(t, *ret_key, slice_of(v), ret_value);
}

int store_peek(struct store *s, enum store_table t, struct slice key,
	       struct slice *ret_key, struct slice *ret_value, bool *ret_sound)
{
	MDB_val k = val_of(key), v;
	int r;

	store_assert_locked(s);
	r = cursor_get(s, t, key.len ? MDB_SET_RANGE : MDB_FIRST, &k, &v);
	if (r)
		return r;
	*ret_key = slice_of(k);
	*ret_value = slice_of(v);
	*ret_sound = !value_open(t, *ret_key, *ret_value, ret_value);
	return 0;
}

int store_seek_before(struct store *s, enum store_table t, struct slice key,
		      struct slice *ret_key, struct slice *ret_value)
{
	MDB_val k = val_of(key), v;
	int r = -ENOENT;

	store_assert_locked(s);
	if (key.len) {
		r = cursor_get(s, t, MDB_SET_RANGE, &k, &v);
		if (!r)
			r = cursor_get(s, t, MDB_PREV, &k, &v);
		else if (r == -ENOENT) /* all keys are less */
			r = cursor_get(s, t, MDB_LAST, &k, &v);
	} else {
		r = cursor_get(s, t, MDB_LAST, &k, &v);
	}
	if (r)
		return r;
	*ret_key = slice_of(k);
	return value_open(t, *ret_key, slice_of(v), ret_value);
}

uint64_t store_count(struct store *s, enum store_table t)
{
	MDB_stat st;

	store_assert_locked(s);
	kin_assert(t < TABLE_COUNT);
	if (!s->txn || mdb_stat(s->txn, s->dbi[t], &st))
		return 0;
	return st.ms_entries;
}

/* ---- operations */

void op_release(struct op *op)
{
	buf_release(&op->record);
	buf_release(&op->old);
	free(op->undo);
	*op = (struct op){0};
}

static void op_finish(struct op *op)
{
	op->active = false;
	if (op->record.alloc > OP_KEEP_BYTES)
		buf_release(&op->record);
	if (op->old.alloc > OP_KEEP_BYTES)
		buf_release(&op->old);
	if (op->undo_alloc * sizeof(*op->undo) > OP_KEEP_BYTES) {
		free(steal(&op->undo));
		op->undo_alloc = 0;
	}
}

int store_op_begin(struct store *s)
{
	struct op *op = &s->op;

	store_assert_locked(s);
	kin_assert(!op->active);
	if (store_failure(s))
		return -EROFS;
	op->active = true;
	op->makes_room = op->answers = false;
	op->error = 0;
	op->growth = 0;
	op->named = (struct named){0};
	op->chunk_bytes = 0;
	op->undo_count = 0;
	buf_reset(&op->old);
	log_record_begin(&op->record);
	return 0;
}

uint64_t store_group(const struct store *s)
{
	store_assert_locked(s);
	return s->group;
}

void store_op_makes_room(struct store *s)
{
	store_assert_locked(s);
	kin_assert(s->op.active);
	s->op.makes_room = true;
}

uint64_t store_op_count(const struct store *s)
{
	store_assert_locked(s);
	return s->stats.ops;
}

bool store_in_op(const struct store *s)
{
	return s->op.active;
}

/* Remembers what the key holds now, before it holds `value`. */
static int op_note(struct store *s, enum store_table t, struct slice key,
		   struct slice value)
{
	struct op *op = &s->op;
	struct slice old = SLICE(NULL, 0);
	struct undo *u;
	int r = table_get(s, t, key, &old);

	/* (a damaged one may be replaced, but nobody makes it whole again) */
	if (r && r != -ENOENT && r != -EUCLEAN)
		return r;
	if (op->undo_count == op->undo_alloc) {
		size_t alloc = MAX_OF((size_t)64, op->undo_alloc * 2);

		u = realloc(op->undo, alloc * sizeof(*u));
		if (!u)
			return -ENOMEM;
		op->undo = u;
		op->undo_alloc = alloc;
	}
	u = &op->undo[op->undo_count];
	*u = (struct undo){.at = op->old.len,
			   .table = t,
			   .existed = r != -ENOENT,
			   .damaged = r == -EUCLEAN,
			   .key_len = (uint32_t)key.len,
			   .value_len = (uint32_t)old.len};
	buf_put_slice(&op->old, key);
	buf_put_slice(&op->old, old);
	if (buf_error(&op->old))
		return -ENOMEM;
	op->undo_count++;
	if (r == -EUCLEAN)
		reclaim_unknown(s, t);
	reclaim_changes(s, t, key, old, value);
	if (u->existed)
		op->growth -= (int64_t)(key.len + old.len);
	return 0;
}

static void assert_key(enum store_table t, struct slice key)
{
	kin_assert(key.len && key.len <= STORE_KEY_BYTES_MAX);
	kin_assert(t != TABLE_META ||
		   (!slice_equal(key, SLICE_STR(META_FORMAT)) &&
		    !slice_equal(key, SLICE_STR(META_LOG)) &&
		    !slice_equal(key, SLICE_STR(META_BOOT))));
}

int store_put(struct store *s, enum store_table t, struct slice key,
	      struct slice value)
{
	struct op *op = &s->op;
	struct slice k, v;
	int r;

	store_assert_locked(s);
	kin_assert(op->active);
	assert_key(t, key);
	if (op->error)
		return op->error;
	/*
	 * First the copy in the record, which then is what LMDB is given:
	 * a key that came out of the store may move when a page changes.
	 */
	log_record_put(&op->record, t, key, value, &k, &v);
	r = buf_error(&op->record);
	if (!r)
		r = op_note(s, t, k, v);
	if (!r)
		r = table_put(s, t, k, v);
	if (!r)
		op->growth += (int64_t)(k.len + v.len);
	op->error = r;
	return r;
}

int store_del(struct store *s, enum store_table t, struct slice key)
{
	struct op *op = &s->op;
	struct slice k;
	int r;

	store_assert_locked(s);
	kin_assert(op->active);
	assert_key(t, key);
	if (op->error)
		return op->error;
	log_record_del(&op->record, t, key, &k);
	r = buf_error(&op->record);
	if (!r)
		r = op_note(s, t, k, SLICE(NULL, 0));
	if (!r)
		r = table_del(s, t, k);
	op->error = r;
	return r;
}

static void op_undo(struct store *s)
{
	struct op *op = &s->op;

	while (op->undo_count && !s->txn_broken) {
		const struct undo *u = &op->undo[--op->undo_count];
		const uint8_t *at = op->old.data + u->at;
		struct slice key = SLICE(at, u->key_len);
		int r;

		if (u->damaged)
			r = -EUCLEAN;
		else if (u->existed)
			r = table_put(s, u->table, key,
				      SLICE(at + u->key_len, u->value_len));
		else
			r = table_del(s, u->table, key);
		s->txn_broken |= r < 0;
	}
	op->undo_count = 0;
	/* The log has all operations of the group but this one. */
	if (s->txn_broken)
		txg_run(s, TXG_REBUILD);
}

void store_op_abort(struct store *s)
{
	store_assert_locked(s);
	kin_assert(s->op.active);
	op_undo(s);
	op_finish(&s->op);
}

/* On a full disk, what makes the store grow must wait. */
static int op_check_room(struct store *s)
{
	int64_t most = s->op.makes_room ? FULL_TRACES_BYTES : FULL_GROWTH_BYTES;

	if (s->op.growth <= most || !space_is_full(&s->space))
		return 0;
	space_refill(&s->space);
	return space_is_full(&s->space);
}

/* In the log, or by closing its group. */
static int op_log(struct store *s)
{
	struct op *op = &s->op;
	int r = journal_append(&s->journal, &op->record);

	if (r && space_is_cause(&s->space, r) && space_give_up(&s->space, r))
		r = journal_append(&s->journal, &op->record);
	if (!r) {
		s->op_lsn = s->journal.last_lsn;
		s->stats.log_bytes += op->record.len;
		return 0;
	}
	if (r == -ENOSPC || r == -EDQUOT)
		return r;
	if (r != -EFBIG && r != -EAGAIN)
		return store_fail(s, r, "the log cannot be written");
	s->group_ops++;
	op->unlogged = true;
	r = txg_run(s, TXG_CLOSE);
	op->unlogged = false;
	if (r && s->group_ops)
		s->group_ops--;
	return r;
}

/* Makes the operation survive, with the answer that it has. */
static int op_keep(struct store *s)
{
	struct store_answer was;
	int r;

	if (!s->op.answers)
		return op_log(s);
	was = answer_note(s);
	r = op_log(s);
	if (r)
		answer_undo(s, &was);
	return r;
}

int store_op_end(struct store *s)
{
	struct op *op = &s->op;
	uint64_t group = s->group;
	int r;

	store_assert_locked(s);
	kin_assert(op->active);
	r = op->error ? op->error : store_failure(s);
	if (!r)
		r = op_check_room(s);
	if (!r && op->undo_count)
		r = op_keep(s);
	if (r) {
		store_op_abort(s);
		return r;
	}
	s->stats.ops++;
	if (op->undo_count && s->group == group)
		txg_note_op(s);
	reclaim_op_ended(s);
	op_finish(op);
	return 0;
}
