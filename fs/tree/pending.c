/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Content that is not here yet. A row is merged whole when its cut comes;
 * the chunks of larger files follow. Until they are all here the object is
 * *pending*: PENDING holds (local sequence at which it became so, id) -> its
 * size; what it showed before stays shown (row->prior). A new file is shown
 * with its name and size, and who reads what is not here yet waits for it
 * (tree_read says -EAGAIN): those hashes are *urgent*, and asked for first.
 *
 * The hashes to ask for are kept in memory, a batch at a time, so that each
 * chunk that comes is found at once, and a manifest is not walked again for
 * each of its chunks.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/base/hash.h"
#include "fs/store/headroom.h"
#include "fs/tree/tree_internal.h"

/* Hashes remembered at once: bounds memory, and the walks over manifests. */
#define WANTS_MAX 2048

struct wanted {
	struct hash hash;
	struct objid id;
	struct dot dot;		/* of the object's content that it is for */
	bool came;
};

struct wants {
	struct wanted list[WANTS_MAX];
	size_t count;
	bool stale;		/* there may be more than is listed */
};

void pending_release(struct tree *t)
{
	free(t->wants);
	t->wants = NULL;
}

static int stop_at_first(void *arg, const struct hash *h)
{
	(void)arg;
	(void)h;
	return 0;
}

bool content_complete(struct tree *t, const struct content *c)
{
	if (!c->depth)
		return true;
	return content_missing(t->store, c, 1, stop_at_first, NULL) == 0;
}

static struct slice pending_key(uint8_t key[24], uint64_t lseq,
				struct objid id)
{
	put_be64(key, lseq);
	memcpy(key + 8, id.b, 16);
	return SLICE(key, 24);
}

static bool was_complete(const struct row *row, const struct version *v)
{
	return row->before && !row->pending && object_find(row->before, v) >= 0;
}

/* Bytes of content that is not all here; 0 when it is. */
static uint64_t incomplete_bytes(struct tree *t, const struct row *row)
{
	uint64_t bytes = 0;

	for (size_t k = 0; k < row->o.count; k++) {
		const struct version *v = &row->o.versions[k];

		if (v->reg != REG_CONTENT || !v->content.content.depth ||
		    was_complete(row, v) ||
		    content_complete(t, &v->content.content))
			continue;
		bytes += v->content.content.size;
	}
	return bytes;
}

int pending_check(struct tree *t, struct row *row)
{
	uint8_t key[24], value[8];
	uint64_t bytes;
	int r;

	/* What is written here is here, but for what it has of a base that
	 * was not. */
	if (!t->remote && !row->pending && !row->borrows)
		return 0;
	bytes = incomplete_bytes(t, row);
	if (!bytes && !row->pending)
		return 0;
	/* It came a moment ago, and nobody has looked yet: what is shown until
	 * then is changed by who tells of that (recheck_row()), not by an
	 * operation that is about something else. */
	if (!bytes && !t->remote && row->has_prior) {
		if (t->wants)
			t->wants->stale = true;
		if (t->observer.wanted)
			t->observer.wanted(t->observer.arg);
		return 0;
	}
	if (!bytes) {
		r = store_del(t->store, TABLE_PENDING,
			      pending_key(key, row->pending, row->o.id));
		row->pending = 0;
		row->has_prior = false;
		return r;
	}
	if (!row->pending)
		row->pending = row->lseq;
	if (t->wants)
		t->wants->stale = true;
	/* (of what a merge brings the core knows) */
	if (!t->remote && t->observer.wanted)
		t->observer.wanted(t->observer.arg);
	put_le64(value, bytes);
	return store_put(t->store, TABLE_PENDING,
			 pending_key(key, row->pending, row->o.id),
			 SLICE(value, sizeof(value)));
}

/* ---- which hashes */

struct collect {
	struct wants *wants;
	struct objid id;
	struct dot dot;
};

static int collect_hash(void *arg, const struct hash *h)
{
	struct collect *c = arg;

	if (c->wants->count < WANTS_MAX)
		c->wants->list[c->wants->count++] =
			(struct wanted){ *h, c->id, c->dot, false };
	return 0;
}

static int collect_row(struct tree *t, struct objid id, struct wants *w)
{
	struct collect c = { .wants = w, .id = id };
	struct row row;
	int r = row_load(t, id, &row);

	for (size_t k = 0; !r && k < row.o.count && w->count < WANTS_MAX;
	     k++) {
		const struct version *v = &row.o.versions[k];
		int64_t n;

		if (v->reg != REG_CONTENT || !v->content.content.depth)
			continue;
		c.dot = v->dot;
		n = content_missing(t->store, &v->content.content,
				    WANTS_MAX - w->count, collect_hash, &c);
		if (n < 0)
			r = (int)n;
	}
	row_release(&row);
	return r;
}

/* Who has it open goes on with what it shows. */
static int prior_ends(struct tree *t, struct row *row)
{
	struct info i;
	int r = info_init(&i, &row->o);

	if (r)
		return r;
	r = data_changed(t, row, &row->prior.versions[0],
			 row_shown_content(row, &i));
	info_release(&i);
	return r;
}

/* Bytes that its entry says are to come; 0: it has none. */
static int pending_bytes(struct tree *t, const struct row *row, uint64_t *ret)
{
	uint8_t key[24];
	struct slice v;
	int r = -ENOENT;

	*ret = 0;
	if (row->pending)
		r = store_get(t->store, TABLE_PENDING,
			      pending_key(key, row->pending, row->o.id), &v);
	if (r)
		return r == -ENOENT ? 0 : r;
	if (v.len != 8)
		return -EUCLEAN;
	*ret = get_le64(v.data);
	return 0;
}

/* Shows what is complete: main need not wait for a sibling, nor a sibling for
 * main or another. */
static int recheck_row(struct tree *t, struct row *row)
{
	bool prior = row->has_prior, absent = row->absent;
	uint64_t ino = row->ino, before, left;
	int r = pending_bytes(t, row, &before);

	if (!r)
		r = pending_check(t, row);
	if (!r)
		r = pending_bytes(t, row, &left);
	if (!r)
		r = row_store_local(t, row);
	if (!r && prior && !row->has_prior)
		r = prior_ends(t, row);
	if (!r && row->ino != ino)
		r = row_store_local(t, row);
	if (r || (row->pending && left == before && row->has_prior == prior &&
		  row->absent == absent))
		return r;
	event_inode(t, row->ino);
	for (size_t k = 0; !r && k < row->claim_count; k++)
		r = work_spot(t, &row->claims[k].at);
	return r;
}

/* [locked] */
static int pending_recheck(struct tree *t, struct objid id)
{
	struct row row;
	bool pending;
	int r = op_begin_locked(t);

	if (r)
		return r;
	t->remote = true;
	r = row_load(t, id, &row);
	pending = !r && row.pending;
	if (pending)
		r = recheck_row(t, &row);
	row_release(&row);
	r = op_end_locked(t, r);
	if (!r && pending)
		tell_applied(t);
	return r;
}

static int wants_fill(struct tree *t, struct wants *w)
{
	struct idlist complete = { 0 };
	uint8_t key[25] = { 0 };
	size_t len = 8;
	int r = 0;

	w->count = 0;
	w->stale = false;
	while (!r && w->count < WANTS_MAX) {
		struct slice k, v;
		struct objid id;
		size_t had = w->count;

		r = store_seek(t->store, TABLE_PENDING, SLICE(key, len), &k,
			       &v);
		if (r == -ENOENT)
			break;
		if (!r && k.len != 24)
			r = -EUCLEAN;
		if (r)
			break;
		memcpy(key, k.data, 24);
		key[24] = 0;
		len = 25;
		memcpy(id.b, key + 8, 16);
		r = collect_row(t, id, w);
		if (!r && w->count == had)
			r = idlist_add(&complete, id);
	}
	w->stale = w->count == WANTS_MAX;
	if (r == -ENOENT)
		r = 0;
	for (size_t k = 0; !r && k < complete.count; k++)
		r = pending_recheck(t, complete.ids[k]);
	idlist_release(&complete);
	return r;
}

/* Is anything else of that content listed? */
static bool wants_have(const struct wants *w, const struct wanted *of)
{
	for (size_t k = 0; k < w->count; k++)
		if (!w->list[k].came && objid_equal(w->list[k].id, of->id) &&
		    dot_equal(w->list[k].dot, of->dot))
			return true;
	return false;
}

/* Takes it off the list; adds the objects of which some content has nothing
 * on it any more. */
static int wants_take(struct wants *w, const struct hash *h,
		      struct idlist *ret)
{
	size_t out = 0;
	int r = 0;

	for (size_t k = 0; k < w->count; k++)
		w->list[k].came = hash_equal(&w->list[k].hash, h);
	for (size_t k = 0; !r && k < w->count; k++)
		if (w->list[k].came && !idlist_has(ret, w->list[k].id) &&
		    !wants_have(w, &w->list[k]))
			r = idlist_add(ret, w->list[k].id);
	for (size_t k = 0; k < w->count; k++)
		if (!w->list[k].came)
			w->list[out++] = w->list[k];
	w->count = out;
	return r;
}

/* [locked] */
static int wants_arrived(struct tree *t, const struct hash *h)
{
	struct wants *w = t->wants;
	struct idlist ids = { 0 };
	int r;

	if (!w)
		return 0;
	r = wants_take(w, h, &ids);
	for (size_t k = 0; !r && k < ids.count; k++) {
		r = pending_recheck(t, ids.ids[k]);
		w->stale = true; /* a block names chunks to ask for next */
	}
	idlist_release(&ids);
	return r;
}

/* [locked] What was written here meanwhile, too, need not come; nobody else
 * may have it. */
static int wants_prune(struct tree *t, struct wants *w, uint64_t max)
{
	int r = 0;

	for (size_t k = 0; !r && k < w->count && k < max;) {
		struct hash h = w->list[k].hash;

		if (chunk_exists(t->store, &h))
			r = wants_arrived(t, &h);
		else
			k++;
	}
	return r;
}

int64_t replica_wants(struct tree *t, uint64_t max,
		      int (*fn)(void *arg, const struct hash *), void *arg)
{
	struct wants *w = t->wants;
	int64_t n = 0;
	int r = 0;

	if (!store_count(t->store, TABLE_PENDING)) {
		pending_release(t);
		return 0;
	}
	if (!w) {
		w = t->wants = calloc(1, sizeof(*w));
		if (!w)
			return -ENOMEM;
		w->stale = true;
	}
	r = wants_prune(t, w, max);
	if (!r && w->stale &&
	    w->count < MIN_OF(max, (uint64_t)WANTS_MAX / 2))
		r = wants_fill(t, w);
	for (size_t k = 0; !r && k < w->count && (uint64_t)n < max; k++) {
		r = fn(arg, &w->list[k].hash);
		n++;
	}
	return r < 0 ? r : n;
}

int replica_debt(struct tree *t, struct replica_debt *ret)
{
	uint8_t key[25] = { 0 };
	size_t len = 8;

	*ret = (struct replica_debt){ .reads_failed = t->reads_failed };
	for (;;) {
		struct slice k, v;
		int r = store_seek(t->store, TABLE_PENDING, SLICE(key, len),
				   &k, &v);

		if (r == -ENOENT)
			return 0;
		if (r)
			return r;
		if (k.len != 24 || v.len != 8)
			return -EUCLEAN;
		ret->objects++;
		ret->bytes += get_le64(v.data);
		memcpy(key, k.data, 24);
		key[24] = 0;
		len = 25;
	}
}

/* ---- somebody waits */

static int urgent_add(void *arg, const struct hash *h)
{
	struct tree *t = arg;

	for (size_t k = 0; k < t->urgent_count; k++)
		if (hash_equal(&t->urgent[k], h))
			return 0;
	/* The oldest goes: who still waits for it asks again. */
	if (t->urgent_count == URGENT_MAX)
		memmove(t->urgent, t->urgent + 1,
			--t->urgent_count * sizeof(*t->urgent));
	t->urgent[t->urgent_count++] = *h;
	return 0;
}

int64_t pending_wait(struct tree *t, const struct content *c, uint64_t offset,
		     uint64_t len)
{
	int64_t n = content_missing_in(t->store, c, offset, len, URGENT_AT_ONCE,
				       urgent_add, t);

	if (n > 0 && t->observer.wanted)
		t->observer.wanted(t->observer.arg);
	return n;
}

bool pending_wait_chunk(struct tree *t, const struct hash *h)
{
	if (chunk_exists(t->store, h))
		return false;
	(void)urgent_add(t, h);
	if (t->observer.wanted)
		t->observer.wanted(t->observer.arg);
	return true;
}

size_t replica_urgent(struct tree *t, size_t max, struct hash *ret)
{
	size_t kept = 0;

	for (size_t k = 0; k < t->urgent_count; k++)
		if (!chunk_exists(t->store, &t->urgent[k]))
			t->urgent[kept++] = t->urgent[k];
	t->urgent_count = kept;
	max = MIN_OF(max, kept);
	memcpy(ret, t->urgent, max * sizeof(*ret));
	return max;
}

void replica_set_reachable(struct tree *t, bool reachable)
{
	t->reachable = reachable;
	if (!reachable && t->observer.content)
		t->observer.content(t->observer.arg);
}

bool tree_is_reachable(struct tree *t)
{
	bool yes;

	store_lock(t->store);
	yes = t->reachable;
	store_unlock(t->store);
	return yes;
}

void tree_read_failed(struct tree *t)
{
	store_lock(t->store);
	t->reads_failed++;
	store_unlock(t->store);
}

/* ---- a chunk comes */

int replica_chunk_received(struct tree *t, const struct hash *h,
			   struct slice bytes)
{
	cleanup(store_hold_end) struct store_hold hold = store_hold(t->store);
	struct chunk_place place;
	struct data_loc loc;
	bool here;
	int r;

	if (!hash_is(h, bytes.data, bytes.len) || !bytes.len ||
	    bytes.len > CHUNK_BYTES_MAX)
		return -EPROTO;
	store_lock(t->store);
	here = chunk_exists(t->store, h);
	store_unlock(t->store);
	if (!here) {
		/* (nobody waits in here, but room may be made) */
		r = store_room_now(t->store, bytes.len);
		if (!r)
			r = data_append(t->store, bytes, &loc);
		if (!r)
			place = chunk_place(loc, bytes);
		if (!r)
			r = op_begin(t);
		if (!r)
			r = op_end(t, chunk_add(t->store, h, &place));
		if (r)
			return r;
	}
	store_lock(t->store);
	r = wants_arrived(t, h);
	if (t->observer.content)
		t->observer.content(t->observer.arg);
	store_unlock(t->store);
	return r;
}
