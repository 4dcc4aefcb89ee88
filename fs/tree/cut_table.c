/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The knowledge vector, and the cut table: what it was when, by the local
 * sequence number, so that a stream begins where the peer's knowledge ends.
 */
#include <errno.h>

#include "fs/tree/tree_internal.h"

/* Entries of the cut table before the older half is thinned: a peer that
 * was away long streams a little more than it must. */
#define CUTS_MAX 15000
#define CUTS_THIN 5000
/* Entries looked at one by one from the end, before halves are taken. */
#define CUT_STEPS_BACK 8

int replica_know_join(struct tree *t, const struct know *k)
{
	int r;

	t->know_changed = true;
	r = know_join(&t->know, k);
	/* The own entry must always find room: op_tick_again(). */
	if (!r && t->know.count == ORIGINS_MAX &&
	    !know_get(&t->know, t->origin))
		r = -E2BIG;
	return r ? r : applying_check(t);
}

/* Every other one of the oldest goes; repeated, their spacing grows. */
static int cuts_thin(struct tree *t)
{
	uint8_t key[8] = { 0 };
	int r = 0;

	for (int n = 0; !r && n < CUTS_THIN; n++) {
		struct slice k, v;

		r = store_seek(t->store, TABLE_CUT, SLICE(key, 8), &k, &v);
		if (r || k.len != 8)
			return r == -ENOENT ? 0 : r ? r : -EUCLEAN;
		memcpy(key, k.data, 8);
		if (n & 1)
			r = store_del(t->store, TABLE_CUT, SLICE(key, 8));
		put_be64(key, get_be64(key) + 1);
	}
	return r;
}

int replica_cut_note(struct tree *t)
{
	struct buf b = BUF_INIT;
	autofree uint8_t *bytes = NULL;
	uint8_t key[8];
	int r;

	/* What the rows say has no K now. */
	kin_assert(!t->is_applying);
	put_be64(key, t->lseq);
	know_encode(&t->know, &b);
	buf_put_u64(&b, tree_now_hlc(t) >> 16);
	bytes = b.data;
	if (b.failed)
		return -ENOMEM;
	r = store_put(t->store, TABLE_CUT, SLICE(key, 8), buf_slice(&b));
	if (!r && store_count(t->store, TABLE_CUT) > CUTS_MAX)
		r = cuts_thin(t);
	return r;
}

/* Goes back through the cut table from lseq `below`; -ENOENT at its end. */
static int cut_before(struct tree *t, uint64_t below, uint64_t *ret_lseq,
		      struct know *ret, uint64_t *ret_ms)
{
	struct slice k, v;
	struct reader in;
	uint8_t key[8];
	int r;

	put_be64(key, below);
	r = store_seek_before(t->store, TABLE_CUT,
			      SLICE(key, below == UINT64_MAX ? 0 : 8), &k, &v);
	if (r)
		return r;
	if (k.len != 8)
		return -EUCLEAN;
	*ret_lseq = get_be64(k.data);
	in = READER(v.data, v.len);
	r = know_decode(&in, ret);
	*ret_ms = reader_u64(&in);
	if (!r)
		r = reader_done(&in);
	return r == -EBADMSG ? -EUCLEAN : r;
}

/*
 * K grows with the numbers. Most peers are near the end; for one that is not
 * the entry is found by halves, not by going back through all.
 */
static int cut_search(struct tree *t, const struct know *peer,
		      uint64_t *ret_lseq, uint64_t *ret_since_ms)
{
	cleanup(know_release) struct know k = KNOW_INIT;
	/* Above low, entries below high are still to be judged. */
	uint64_t low = 0, high = UINT64_MAX, best = 0;
	uint64_t since_ms = tree_now_hlc(t) >> 16;
	int r = 0;

	for (int n = 0; high - low > 1; n++) {
		uint64_t below = high, at, at_ms;

		if (n >= CUT_STEPS_BACK)
			below = low + (high - low) / 2 + 1;
		r = cut_before(t, below, &at, &k, &at_ms);
		if (r && r != -ENOENT)
			return r;
		if (!r && at > low && !know_leq(&k, peer)) {
			high = at;
			since_ms = at_ms;
			continue;
		}
		if (!r && at > low)
			best = at;
		low = below - 1;
	}
	*ret_lseq = best;
	*ret_since_ms = since_ms;
	return 0;
}

int replica_cut_start(struct tree *t, const struct know *peer,
		      uint64_t *ret_lseq)
{
	uint64_t since_ms;

	return cut_search(t, peer, ret_lseq, &since_ms);
}

int replica_cut_since(struct tree *t, const struct know *peer,
		      uint64_t *ret_ms)
{
	uint64_t lseq;

	return cut_search(t, peer, &lseq, ret_ms);
}

int replica_know_complete(struct tree *t, struct know *ret)
{
	struct slice k, v;
	uint64_t lseq, at_ms;
	int r = store_seek(t->store, TABLE_PENDING, SLICE("", 0), &k, &v);

	if (r == -ENOENT)
		return know_copy(ret, &t->know);
	if (r)
		return r;
	r = cut_before(t, get_be64(k.data), &lseq, ret, &at_ms);
	if (r == -ENOENT) {
		know_clear(ret);
		return 0;
	}
	return r;
}
