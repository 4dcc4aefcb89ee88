/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Chunks that contents lack although they were here: where the bytes still
 * are, and only the entry that says so is lost, they are found again
 * (fs/store/salvage.h), and stored once more as if a peer had sent them.
 */
#include <errno.h>

#include "fs/store/salvage.h"
#include "fs/tree/check_internal.h"
#include "fs/tree/mend.h"

struct found {
	struct tree *tree;
	struct mend_result *result;
};

static int put_found(void *arg, const struct hash *hash, struct slice bytes)
{
	struct found *f = arg;
	struct tree *t = f->tree;
	cleanup(store_hold_end) struct store_hold hold = store_hold(t->store);
	struct chunk_place p;
	struct data_loc loc;
	int r = data_append(t->store, bytes, &loc);

	if (!r)
		r = op_begin(t);
	if (r)
		return r;
	p = chunk_place(loc, bytes);
	/* (there may be one that leads to damaged bytes) */
	r = store_del(t->store, TABLE_CHUNK, SLICE(hash->b, sizeof(hash->b)));
	if (!r)
		r = chunk_add(t->store, hash, &p);
	r = op_end(t, r);
	f->result->found += !r;
	return r;
}

int mend_lost(struct check *c, const atomic_bool *stop,
	      struct mend_result *result)
{
	struct found f = { c->tree, result };
	struct salvage *v;
	int r = 0;

	if (!c->lost_count)
		return 0;
	r = salvage_new(c->tree->store, put_found, &f, &v);
	if (r)
		return r;
	for (size_t k = 0; !r && k < c->lost_count; k++)
		r = salvage_want(v, &c->lost[k].hash, c->lost[k].len);
	while (!r)
		r = stop && atomic_load(stop) ? -ECANCELED : salvage_step(v);
	salvage_free(v);
	return MIN_OF(r, 0);
}
