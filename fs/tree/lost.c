/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is in a directory that no node knows comes to the root, as what was in
 * a purged one does. Causes arrive before effects, so no honest peer names a
 * directory that it did not send before; but what a broken one sends is kept,
 * and what is kept must be shown.
 *
 * A merge only notes the directory, in DEAD under 'u': the rest of a large
 * cut, or of a repair, may bring it. Afterwards, if it is still none, its
 * entries are moved in slices, operations of their own: each LINK under a new
 * dot, with its time and seniority, so that a move by somebody wins.
 */
#include <errno.h>
#include <string.h>

#include "fs/tree/op.h"

bool dir_is_known(const struct object *o)
{
	return objid_is_root(o->id) ||
	       (object_kind(o) == KIND_DIR &&
		(object_has(o, REG_LINK) || object_has(o, REG_TOMB)));
}

int lost_note(struct tree *t, struct objid dir)
{
	uint8_t key[17] = { 'u' };

	memcpy(key + 1, dir.b, 16);
	return store_put(t->store, TABLE_DEAD, SLICE(key, sizeof(key)),
			 SLICE(NULL, 0));
}

static int move_to_root(struct tree *t, struct objid id, struct objid dir)
{
	struct row row;
	int r = row_load(t, id, &row);

	if (r)
		return r;
	for (size_t k = row.o.count; !r && k-- > 0;) {
		struct version v = row.o.versions[k];

		if (v.reg != REG_LINK || !objid_equal(v.link.at.parent, dir))
			continue;
		object_remove(&row.o, k);
		version_renew(t, &v);
		v.link.at.parent = ROOT_ID;
		r = object_add(&row.o, &v) ? 0 : -ENOMEM;
	}
	if (!r)
		r = row_store(t, &row, 0);
	row_release(&row);
	return r;
}

/* Returns 1 when the directory has no entry any more. */
static int move_some(struct tree *t, struct objid dir, size_t max,
		     size_t *count)
{
	while (*count < max) {
		struct claim c;
		struct objid id;
		int r = claim_seek(t, dir, 0, ROOT_ID, 0, &c, &id);

		if (r)
			return r == -ENOENT ? 1 : r;
		r = move_to_root(t, id, dir);
		if (r)
			return r;
		++*count;
	}
	return 0;
}

static int lost_slice(struct tree *t, size_t max, size_t *count)
{
	struct slice k, v;
	struct objid dir;
	uint8_t key[17];
	struct row row;
	bool known;
	int r = dead_seek(t, 'u', SLICE(NULL, 0), &k, &v);

	if (r)
		return r;
	if (k.len != sizeof(key))
		return -EUCLEAN;
	memcpy(key, k.data, sizeof(key));
	memcpy(dir.b, key + 1, 16);
	r = row_read(t, dir, &row);
	if (r)
		return r;
	known = dir_is_known(&row.o);
	row_release(&row);
	r = known ? 1 : move_some(t, dir, max, count);
	if (r != 1)
		return r;
	return store_del(t->store, TABLE_DEAD, SLICE(key, sizeof(key)));
}

int replica_find_lost(struct tree *t, size_t max, size_t *ret_count)
{
	struct slice k, v;
	int r = dead_seek(t, 'u', SLICE(NULL, 0), &k, &v);

	*ret_count = 0;
	if (r)
		return r == -ENOENT ? 0 : r;
	r = replica_begin(t);
	if (r)
		return r;
	r = lost_slice(t, max, ret_count);
	if (!r)
		r = replica_finish(t);
	r = replica_end(t, r);
	return r ? r : 1;
}
