/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sums of bucket.h, kept as rows change: what the row gave before is
 * taken from its leaf, what it gives now is added. Only row.c writes rows,
 * and it calls bucket_row_changed() for each; the row's local part says
 * whether it counts, so that the old row needs no decoding. Where only the
 * local part changed (content came, a number was given) nothing is hashed.
 *
 * A member of a leaf is not found by an index, which would cost every create
 * a put for something that is needed only if a proof fails: then all ids are
 * gone through, in slices.
 */
#include "fs/tree/bucket.h"

#include <errno.h>
#include <string.h>

#include "fs/base/hash.h"
#include "fs/tree/tree_internal.h"

/* ---- sums */

bool sum_equal(const struct sum *a, const struct sum *b)
{
	return !memcmp(a->word, b->word, sizeof(a->word)) &&
	       a->count == b->count;
}

static void words_add(uint64_t a[4], const uint64_t b[4])
{
	unsigned __int128 carry = 0;

	for (size_t k = 0; k < 4; k++) {
		carry += (unsigned __int128)a[k] + b[k];
		a[k] = (uint64_t)carry;
		carry >>= 64;
	}
}

static void words_subtract(uint64_t a[4], const uint64_t b[4])
{
	uint64_t borrow = 0;

	for (size_t k = 0; k < 4; k++) {
		unsigned __int128 take = (unsigned __int128)b[k] + borrow;

		borrow = a[k] < take;
		a[k] -= (uint64_t)take;
	}
}

void sum_add(struct sum *s, const struct sum *more)
{
	words_add(s->word, more->word);
	s->count += more->count;
}

static void sum_subtract(struct sum *s, const struct sum *less)
{
	words_subtract(s->word, less->word);
	s->count -= less->count;
}

void sum_encode(const struct sum *s, struct buf *b)
{
	for (size_t k = 0; k < 4; k++)
		buf_put_u64(b, s->word[k]);
	buf_put_u64(b, s->count);
}

void sum_decode(struct reader *r, struct sum *ret)
{
	for (size_t k = 0; k < 4; k++)
		ret->word[k] = reader_u64(r);
	ret->count = reader_u64(r);
}

/* ---- leaves */

uint16_t leaf_of(struct objid id)
{
	return (uint16_t)(id.b[14] << 8 | id.b[15]);
}

static int leaf_read(struct slice value, struct sum *ret)
{
	struct reader r = READER(value.data, value.len);

	sum_decode(&r, ret);
	return reader_done(&r) ? -EUCLEAN : 0;
}

static int leaf_get(struct tree *t, const uint8_t key[2], struct sum *ret)
{
	struct slice v;
	int r = store_get(t->store, TABLE_BUCKET, SLICE(key, 2), &v);

	*ret = (struct sum){ 0 };
	if (r == -ENOENT)
		return 0;
	return r ? r : leaf_read(v, ret);
}

static int leaf_put(struct tree *t, const uint8_t key[2], const struct sum *s)
{
	uint8_t value[SUM_BYTES];

	if (!s->count)
		return store_del(t->store, TABLE_BUCKET, SLICE(key, 2));
	for (size_t k = 0; k < 4; k++)
		put_le64(value + 8 * k, s->word[k]);
	put_le64(value + 32, s->count);
	return store_put(t->store, TABLE_BUCKET, SLICE(key, 2),
			 SLICE(value, sizeof(value)));
}

static struct sum row_sum(struct tree *t, struct objid id,
			  struct slice versions)
{
	struct slice parts[] = { SLICE(id.b, sizeof(id.b)), versions };
	struct sum s = { .count = 1 };
	struct hash h;

	mac_slices(t->mac, parts, ARRAY_SIZE(parts), &h);
	for (size_t k = 0; k < 4; k++)
		s.word[k] = get_le64(h.b + 8 * k);
	return s;
}

struct sum bucket_row(struct tree *t, struct objid id, struct slice versions)
{
	struct summed *m = &t->summed[id.b[15] % SUMMED_ROWS];

	if (versions.len > sizeof(m->versions))
		return row_sum(t, id, versions);
	/* (no sum counts nothing: there is one) */
	if (!m->sum.count || !objid_equal(m->id, id) ||
	    !slice_equal(SLICE(m->versions, m->len), versions)) {
		m->sum = row_sum(t, id, versions);
		m->id = id;
		m->len = versions.len;
		memcpy(m->versions, versions.data, versions.len);
	}
	return m->sum;
}

int bucket_row_changed(struct tree *t, struct objid id, struct sum gone,
		       struct sum come)
{
	struct sum leaf;
	int r;

	if (sum_equal(&gone, &come))
		return 0;
	r = leaf_get(t, id.b + 14, &leaf);
	if (r)
		return r;
	sum_subtract(&leaf, &gone);
	sum_add(&leaf, &come);
	sum_subtract(&t->sum, &gone);
	sum_add(&t->sum, &come);
	if (t->recount && objid_compare(id, t->recount->at) < 0) {
		sum_subtract(&t->recount->sum, &gone);
		sum_add(&t->recount->sum, &come);
	}
	return leaf_put(t, id.b + 14, &leaf);
}

struct sum bucket_root(struct tree *t)
{
	store_assert_locked(t->store);
	return t->sum;
}

uint64_t bucket_count(struct tree *t)
{
	uint64_t n;

	store_lock(t->store);
	n = t->sum.count;
	store_unlock(t->store);
	return n;
}

/* Calls for each leaf from `first` to `last` that is not empty. */
static int each_leaf(struct tree *t, uint32_t first, uint32_t last,
		     void (*fn)(struct sum *into, uint32_t leaf,
				const struct sum *),
		     struct sum *into)
{
	for (uint32_t at = first; at <= last;) {
		uint8_t key[2] = { (uint8_t)(at >> 8), (uint8_t)at };
		struct slice k, v;
		struct sum s;
		int r = store_seek(t->store, TABLE_BUCKET, SLICE(key, 2), &k,
				   &v);

		if (r == -ENOENT)
			return 0;
		if (!r && k.len != 2)
			r = -EUCLEAN;
		if (!r)
			r = leaf_read(v, &s);
		if (r)
			return r;
		at = (uint32_t)(k.data[0] << 8 | k.data[1]);
		if (at <= last)
			fn(into, at, &s);
		at++;
	}
	return 0;
}

static void add_to_parent(struct sum *parents, uint32_t leaf,
			  const struct sum *s)
{
	sum_add(&parents[leaf / PARENT_LEAVES], s);
}

static void set_leaf(struct sum *leaves, uint32_t leaf, const struct sum *s)
{
	leaves[leaf % PARENT_LEAVES] = *s;
}

int bucket_parents(struct tree *t, struct sum ret[PARENTS])
{
	memset(ret, 0, PARENTS * sizeof(*ret));
	return each_leaf(t, 0, LEAVES - 1, add_to_parent, ret);
}

int bucket_leaves(struct tree *t, uint8_t parent,
		  struct sum ret[PARENT_LEAVES])
{
	uint32_t first = parent * PARENT_LEAVES;

	memset(ret, 0, PARENT_LEAVES * sizeof(*ret));
	return each_leaf(t, first, first + PARENT_LEAVES - 1, set_leaf, ret);
}

/* ---- objects of a leaf */

void leaf_set_add(struct leaf_set *s, uint16_t leaf)
{
	s->bits[leaf / 8] |= (uint8_t)(1 << leaf % 8);
}

bool leaf_set_has(const struct leaf_set *s, uint16_t leaf)
{
	return s->bits[leaf / 8] >> leaf % 8 & 1;
}

bool objid_next(struct objid *id)
{
	for (size_t k = sizeof(id->b); k-- > 0;)
		if (++id->b[k])
			return true;
	return false;
}

int bucket_objects(struct tree *t, struct objid *at, size_t max,
		   const struct leaf_set *wanted,
		   int (*fn)(void *arg, struct objid, uint64_t h64), void *arg)
{
	while (max--) {
		struct slice k, v, versions;
		struct sum s;
		bool counts;
		int r = store_seek(t->store, TABLE_OBJ,
				   SLICE(at->b, sizeof(at->b)), &k, &v);

		if (r == -ENOENT)
			return 1;
		if (!r && k.len != sizeof(at->b))
			r = -EUCLEAN;
		if (r)
			return r;
		memcpy(at->b, k.data, sizeof(at->b));
		if (leaf_set_has(wanted, leaf_of(*at))) {
			r = row_counts(v, &versions, &counts);
			if (!r && counts) {
				s = bucket_row(t, *at, versions);
				r = fn(arg, *at, s.word[0]);
			}
			if (r < 0)
				return r;
		}
		if (!objid_next(at))
			return 1;
	}
	return 0;
}

/* ---- checking */

int bucket_check(struct tree *t, const struct sum *leaves, const char **why)
{
	struct sum root = { 0 };
	uint64_t used = 0;

	for (uint32_t leaf = 0; leaf < LEAVES; leaf++) {
		uint8_t key[2] = { (uint8_t)(leaf >> 8), (uint8_t)leaf };
		struct sum have;
		int r;

		if (!leaves[leaf].count)
			continue; /* (counted below) */
		r = leaf_get(t, key, &have);
		if (r)
			return r;
		used++;
		sum_add(&root, &leaves[leaf]);
		*why = "the sum of a bucket is not that of its rows";
		if (!sum_equal(&have, &leaves[leaf]))
			return -EUCLEAN;
	}
	*why = "the root of the sums is not that of the rows";
	if (!sum_equal(&root, &t->sum))
		return -EUCLEAN;
	*why = "there are sums of empty buckets";
	return used == store_count(t->store, TABLE_BUCKET) ? 0 : -EUCLEAN;
}

/* ---- the secret */

int secret_set(struct tree *t, const uint8_t secret[SECRET_BYTES])
{
	struct mac *m = mac_new(SLICE(secret, SECRET_BYTES));

	if (!m)
		return -ENOMEM;
	mac_free(t->mac);
	t->mac = m;
	memset(t->summed, 0, sizeof(t->summed));
	memcpy(t->secret, secret, SECRET_BYTES);
	return 0;
}

void bucket_secret(struct tree *t, uint8_t ret[SECRET_BYTES])
{
	store_assert_locked(t->store);
	memcpy(ret, t->secret, SECRET_BYTES);
}
