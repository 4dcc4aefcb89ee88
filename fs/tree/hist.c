/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table HIST (FORMAT.md, "History"): its records, and the totals.
 *
 * By first byte of the key:
 *
 *	'v' id, hlc, origin, seq, hash64	a content that left the object's
 *					row, by what names it for ever, so
 *					that a fork renames nothing here
 *	'o' id				how many of these there are; and what
 *					the object was, when its row is gone
 *	't' end, id, hlc, ... hash64	the order in which they expire; of an
 *					object that is gone: zeros behind id
 *	'p' parent, id			objects that are gone, by where they were
 *	's' id				the last settlement of its contents
 *					(hist_settled.c)
 *
 * (The hash: one operation may write contents of two files, which have one dot
 * then, and one of them may become history of the other.)
 *
 * Bases (base.c) are kept apart from this. Both name a content by the same
 * dot, but a base stays exactly as long as a merge may ask for it, on every
 * node alike, and must not depend on what this node's user wants to spend on
 * history; an entry of history comes and goes by age and size. One record
 * for both would have two lives, and all of base.c's rules as exceptions to
 * the limits.
 *
 * `end` counts by a clock of the history's own, which goes on with the wall
 * clock but by at most HIST_STEP_MS from one look to the next: a clock that
 * is set wrong for a moment does not make all of the history too old.
 */
#include "fs/tree/hist.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#define META_HISTORY "history"
#define HIST_FORMAT 1
#define FLAG_AUTOMATIC 1

/* ---- keys */

static void put_names(uint8_t *ret, struct objid id,
		      const struct entry_name *e)
{
	memcpy(ret, id.b, 16);
	put_be64(ret + 16, e->hlc);
	put_be64(ret + 24, e->dot.origin);
	put_be64(ret + 32, e->dot.seq);
	put_be64(ret + 40, e->hash64);
}

static struct slice entry_key(uint8_t key[1 + HIST_NAME_BYTES],
			      struct objid id, const struct entry_name *e)
{
	key[0] = 'v';
	put_names(key + 1, id, e);
	return SLICE(key, 1 + HIST_NAME_BYTES);
}

struct slice hist_time_key(uint8_t key[9 + HIST_NAME_BYTES], uint64_t ended,
			     struct objid id, const struct entry_name *e)
{
	key[0] = 't';
	put_be64(key + 1, ended);
	put_names(key + 9, id, e);
	return SLICE(key, 9 + HIST_NAME_BYTES);
}

static struct slice object_key(uint8_t key[17], struct objid id)
{
	key[0] = 'o';
	memcpy(key + 1, id.b, 16);
	return SLICE(key, 17);
}

struct slice hist_place_key(uint8_t key[33], struct objid parent,
			      struct objid id)
{
	key[0] = 'p';
	memcpy(key + 1, parent.b, 16);
	memcpy(key + 17, id.b, 16);
	return SLICE(key, 33);
}

static int put_time(struct tree *t, uint64_t ended, struct objid id,
		    const struct entry_name *e, bool put)
{
	uint8_t key[9 + HIST_NAME_BYTES];
	struct slice k = hist_time_key(key, ended, id, e);

	return put ? store_put(t->store, TABLE_HIST, k, SLICE("", 0)) :
		     store_del(t->store, TABLE_HIST, k);
}

/* ---- the clock and the totals */

void hist_clock(struct tree *t, int64_t now_ns)
{
	uint64_t now = (uint64_t)MAX_OF(now_ns, (int64_t)0) / 1000000;

	if (t->hist.seen_ms && now > t->hist.seen_ms)
		t->hist.clock += MIN_OF(now - t->hist.seen_ms,
					(uint64_t)HIST_STEP_MS);
	t->hist.seen_ms = now;
}

int hist_load(struct tree *t)
{
	struct slice v;
	struct reader in;
	int r = store_get(t->store, TABLE_META, SLICE_STR(META_HISTORY), &v);

	t->hist = (struct hist_totals){ 0 };
	if (r)
		return r == -ENOENT ? 0 : r;
	in = READER(v.data, v.len);
	t->hist.clock = reader_u64(&in);
	t->hist.seen_ms = reader_u64(&in);
	t->hist.entries = reader_u64(&in);
	t->hist.gone = reader_u64(&in);
	t->hist.bytes = reader_u64(&in);
	t->hist.settled = reader_u64(&in);
	return reader_done(&in) ? -EUCLEAN : 0;
}

int hist_save(struct tree *t)
{
	uint8_t value[48];

	put_le64(value, t->hist.clock);
	put_le64(value + 8, t->hist.seen_ms);
	put_le64(value + 16, t->hist.entries);
	put_le64(value + 24, t->hist.gone);
	put_le64(value + 32, t->hist.bytes);
	put_le64(value + 40, t->hist.settled);
	return store_put(t->store, TABLE_META, SLICE_STR(META_HISTORY),
			 SLICE(value, sizeof(value)));
}

uint64_t hist_cost(const struct content *c)
{
	return c->size + HIST_ENTRY_BYTES;
}

/* ---- an object's record */

int hist_object_decode(struct objid id, struct slice v,
				struct hist_object *ret)
{
	struct reader in = READER(v.data, v.len);

	*ret = (struct hist_object){ .id = id };
	if (reader_u8(&in) != HIST_FORMAT)
		return -EUCLEAN;
	ret->entries = reader_varint(&in);
	ret->gone = reader_u8(&in) != 0;
	if (ret->gone) {
		ret->ended = reader_u64(&in);
		ret->removed_ms = reader_u64(&in);
		ret->removed_hlc = reader_u64(&in);
		ret->run_hlc = reader_u64(&in);
		ret->kind = reader_u8(&in);
		ret->perm = reader_u32(&in);
		ret->main.hlc = reader_u64(&in);
		ret->main.dot.origin = reader_u64(&in);
		ret->main.dot.seq = reader_u64(&in);
		ret->main.hash64 = reader_u64(&in);
		ret->size = reader_varint(&in);
		reader_copy(&in, ret->parent.b, sizeof(ret->parent.b));
		ret->name = reader_string(&in, NAME_BYTES_MAX);
		ret->user = reader_string(&in, PRINCIPAL_BYTES_MAX);
		ret->group = reader_string(&in, PRINCIPAL_BYTES_MAX);
		ret->label = reader_string(&in, LABEL_BYTES_MAX);
	}
	return reader_done(&in) ? -EUCLEAN : 0;
}

int hist_object(struct tree *t, struct objid id, struct hist_object *ret)
{
	uint8_t key[17];
	struct slice v;
	int r = store_get(t->store, TABLE_HIST, object_key(key, id), &v);

	return r ? r : hist_object_decode(id, v, ret);
}

int hist_object_write(struct tree *t, const struct hist_object *o)
{
	cleanup(buf_release) struct buf b = BUF_INIT;
	uint8_t key[17];
	int r;

	buf_put_u8(&b, HIST_FORMAT);
	buf_put_varint(&b, o->entries);
	buf_put_u8(&b, o->gone);
	if (o->gone) {
		buf_put_u64(&b, o->ended);
		buf_put_u64(&b, o->removed_ms);
		buf_put_u64(&b, o->removed_hlc);
		buf_put_u64(&b, o->run_hlc);
		buf_put_u8(&b, o->kind);
		buf_put_u32(&b, o->perm);
		buf_put_u64(&b, o->main.hlc);
		buf_put_u64(&b, o->main.dot.origin);
		buf_put_u64(&b, o->main.dot.seq);
		buf_put_u64(&b, o->main.hash64);
		buf_put_varint(&b, o->size);
		buf_put(&b, o->parent.b, sizeof(o->parent.b));
		buf_put_string(&b, o->name);
		buf_put_string(&b, o->user);
		buf_put_string(&b, o->group);
		buf_put_string(&b, o->label);
	}
	r = buf_error(&b);
	return r ? r : store_put(t->store, TABLE_HIST,
				 object_key(key, o->id), buf_slice(&b));
}

static int object_unindex(struct tree *t, const struct hist_object *was)
{
	static const struct entry_name none;
	uint8_t key[33];
	int r = put_time(t, was->ended, was->id, &none, false);

	if (!r)
		r = store_del(t->store, TABLE_HIST,
			      hist_place_key(key, was->parent, was->id));
	return r;
}

int hist_object_put(struct tree *t, const struct hist_object *was,
		    const struct hist_object *now)
{
	static const struct entry_name none;
	uint8_t key[33];
	bool moves = was->gone != now->gone || was->ended != now->ended ||
		     !objid_equal(was->parent, now->parent);
	int r;

	/* (what they borrow may be the very value that is replaced) */
	if (now->gone || now->entries)
		r = hist_object_write(t, now);
	else
		r = store_del(t->store, TABLE_HIST, object_key(key, now->id));
	if (!r && was->gone && moves)
		r = object_unindex(t, was);
	if (!r && now->gone && moves)
		r = put_time(t, now->ended, now->id, &none, true);
	if (!r && now->gone && moves)
		r = store_put(t->store, TABLE_HIST,
			      hist_place_key(key, now->parent, now->id),
			      SLICE("", 0));
	t->hist.gone += now->gone - was->gone;
	t->hist.bytes += (uint64_t)(now->gone - was->gone) * HIST_ENTRY_BYTES;
	t->hist_changed = true;
	return r;
}

/* One more entry, or one less. Returns how many there are. */
static int object_count(struct tree *t, struct objid id, int add)
{
	struct hist_object was, now;
	int r = hist_object(t, id, &was);

	if (r == -ENOENT && add > 0) {
		was = (struct hist_object){ .id = id };
		r = 0;
	}
	if (r)
		return r == -ENOENT ? -EUCLEAN : r;
	now = was;
	now.entries += (uint64_t)(int64_t)add;
	r = hist_object_put(t, &was, &now);
	return r ? r : (int)MIN_OF(now.entries, (uint64_t)INT_MAX);
}

/* ---- entries */

int hist_entry_decode(struct slice k, struct slice v, struct hist_entry *ret)
{
	struct reader in = READER(v.data, v.len);

	*ret = (struct hist_entry){ 0 };
	if (k.len != 1 + HIST_NAME_BYTES || k.data[0] != 'v' ||
	    reader_u8(&in) != HIST_FORMAT)
		return -EUCLEAN;
	memcpy(ret->id.b, k.data + 1, 16);
	ret->name.hlc = get_be64(k.data + 17);
	ret->name.dot.origin = get_be64(k.data + 25);
	ret->name.dot.seq = get_be64(k.data + 33);
	ret->name.hash64 = get_be64(k.data + 41);
	content_get(&in, &ret->content);
	ret->why = reader_u8(&in);
	ret->automatic = reader_u8(&in) & FLAG_AUTOMATIC;
	ret->ended = reader_u64(&in);
	ret->ended_ms = reader_u64(&in);
	ret->mtime.tv_sec = (time_t)reader_u64(&in);
	ret->mtime.tv_nsec = (long)reader_u32(&in);
	ret->author = reader_string(&in, LABEL_BYTES_MAX);
	return reader_done(&in) ? -EUCLEAN : 0;
}

static int entry_write(struct tree *t, const struct hist_entry *e)
{
	cleanup(buf_release) struct buf b = BUF_INIT;
	uint8_t key[1 + HIST_NAME_BYTES];
	int r;

	buf_put_u8(&b, HIST_FORMAT);
	content_put(&b, &e->content);
	buf_put_u8(&b, (uint8_t)e->why);
	buf_put_u8(&b, e->automatic ? FLAG_AUTOMATIC : 0);
	buf_put_u64(&b, e->ended);
	buf_put_u64(&b, e->ended_ms);
	buf_put_u64(&b, (uint64_t)e->mtime.tv_sec);
	buf_put_u32(&b, (uint32_t)e->mtime.tv_nsec);
	buf_put_string(&b, e->author);
	r = buf_error(&b);
	return r ? r : store_put(t->store, TABLE_HIST,
				 entry_key(key, e->id, &e->name),
				 buf_slice(&b));
}

int hist_get(struct tree *t, struct objid id,
		     const struct entry_name *name, struct hist_entry *ret)
{
	uint8_t key[1 + HIST_NAME_BYTES];
	struct slice k = entry_key(key, id, name), v;
	int r = store_get(t->store, TABLE_HIST, k, &v);

	return r ? r : hist_entry_decode(k, v, ret);
}

int hist_put(struct tree *t, const struct hist_entry *e)
{
	struct hist_entry was;
	int r = hist_get(t, e->id, &e->name, &was);
	bool is_new = r == -ENOENT;

	if (r && !is_new)
		return r;
	r = is_new ? 0 : put_time(t, was.ended, e->id, &e->name, false);
	if (!r)
		r = entry_write(t, e);
	if (!r)
		r = put_time(t, e->ended, e->id, &e->name, true);
	t->hist_changed = true;
	if (r || !is_new)
		return r;
	t->hist.entries++;
	t->hist.bytes += hist_cost(&e->content);
	r = object_count(t, e->id, 1);
	return r < HIST_OBJECT_MAX ? MIN_OF(r, 0) : hist_thin(t, e->id);
}

int hist_del(struct tree *t, const struct hist_entry *e)
{
	uint8_t key[1 + HIST_NAME_BYTES];
	struct entry_name name = e->name;
	struct objid id = e->id;
	uint64_t cost = hist_cost(&e->content);
	int r = put_time(t, e->ended, id, &name, false);

	if (!r)
		r = store_del(t->store, TABLE_HIST, entry_key(key, id, &name));
	if (!r)
		r = hist_settled_without(t, id, &name);
	t->hist.entries--;
	t->hist.bytes -= cost;
	t->hist_changed = true;
	return r ? r : MIN_OF(object_count(t, id, -1), 0);
}

int hist_next(struct tree *t, struct objid id, const struct entry_name *after,
	      struct hist_entry *ret)
{
	static const struct entry_name none;
	uint8_t key[2 + HIST_NAME_BYTES];
	struct slice k = entry_key(key, id, after ? after : &none), v;
	int r;

	if (after) {
		key[k.len] = 0;
		k.len++;
	}
	r = store_seek(t->store, TABLE_HIST, k, &k, &v);
	if (!r && (k.data[0] != 'v' || k.len < 17 ||
		   memcmp(k.data + 1, id.b, 16)))
		r = -ENOENT;
	return r ? r : hist_entry_decode(k, v, ret);
}

int hist_forget(struct tree *t, struct objid id)
{
	struct hist_object was, now;
	struct hist_entry e;
	int r;

	while (!(r = hist_next(t, id, NULL, &e))) {
		r = hist_del(t, &e);
		if (r)
			return r;
	}
	if (r == -ENOENT)
		r = hist_object(t, id, &was);
	if (r)
		return r == -ENOENT ? 0 : r;
	now = (struct hist_object){ .id = id };
	return hist_object_put(t, &was, &now);
}

int hist_move(struct tree *t, struct objid from, struct objid to)
{
	struct hist_entry e;
	int r;

	if (!t->hist.entries && !t->hist.gone)
		return 0;
	while (!(r = hist_next(t, from, NULL, &e))) {
		uint8_t bytes[INLINE_BYTES_MAX], author[LABEL_BYTES_MAX];
		struct hist_entry copy = e;

		memcpy(bytes, e.content.inline_bytes.data ?: bytes,
		       e.content.inline_bytes.len);
		memcpy(author, e.author.data ?: author, e.author.len);
		copy.id = to;
		copy.content.inline_bytes.data = bytes;
		copy.author.data = author;
		r = hist_del(t, &e);
		if (!r)
			r = hist_put(t, &copy);
		if (r)
			return r;
	}
	return r == -ENOENT ? hist_forget(t, from) : r;
}

int hist_gone_in(struct tree *t, struct objid parent,
		 const struct objid *after, struct objid *ret)
{
	uint8_t key[34];
	struct slice k = hist_place_key(key, parent, after ? *after : ROOT_ID), v;
	int r;

	if (after) {
		key[k.len] = 0;
		k.len++;
	}
	r = store_seek(t->store, TABLE_HIST, k, &k, &v);
	if (!r && (k.data[0] != 'p' || k.len < 17 ||
		   memcmp(k.data + 1, parent.b, 16)))
		r = -ENOENT;
	if (r)
		return r;
	if (k.len != 33)
		return -EUCLEAN;
	memcpy(ret->b, k.data + 17, 16);
	return 0;
}

int hist_content(struct slice key, struct slice value, struct content *ret)
{
	struct hist_entry e;
	int r;

	if (!key.len || key.data[0] != 'v')
		return 0;
	r = hist_entry_decode(key, value, &e);
	*ret = e.content;
	return r ? r : 1;
}
