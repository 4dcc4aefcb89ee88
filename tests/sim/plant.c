/* SPDX-License-Identifier: Apache-2.0 */
/*
 * row_store() does all that must follow from a row; afterwards the row goes
 * back to where it stood in the change stream, for a row that has moved
 * there would go out with the next cut, and the merge would take its loss
 * for a removal that was meant.
 */
#include "tests/sim/plant.h"

#include <errno.h>
#include <stdlib.h>

#include "fs/tree/tree_internal.h"

static bool goes(const struct object *o, size_t at, enum plant kind)
{
	const struct version *v = &o->versions[at];

	switch (kind) {
	case PLANT_ROW_LOST:
		return true;
	case PLANT_NAMES_LOST:
		return v->reg == REG_LINK;
	case PLANT_CONTENT_LOST:
		return v->reg == REG_CONTENT;
	default:
		break;
	}
	if (v->reg == REG_KIND)
		return false;
	for (size_t i = 0; i < o->count; i++)
		if (o->versions[i].reg != REG_KIND &&
		    version_key_compare(&o->versions[i], v) > 0)
			return false;
	return true;
}

static int back_to(struct tree *t, struct row *row, uint64_t lseq)
{
	uint8_t key[8];
	int r;

	put_be64(key, row->lseq);
	r = store_del(t->store, TABLE_SEQ, SLICE(key, 8));
	row->lseq = lseq;
	put_be64(key, lseq);
	if (!r)
		r = store_put(t->store, TABLE_SEQ, SLICE(key, 8),
			      SLICE(row->o.id.b, 16));
	return r ? r : row_store_local(t, row);
}

static int plant_in_op(struct tree *t, struct row *row)
{
	uint64_t lseq = row->lseq;
	int r = 0;

	if (row->o.count)
		r = row_store(t, row, row->from);
	else
		r = replica_row_store(t, &row->o, 0);
	if (!r && row->o.count)
		r = back_to(t, row, lseq);
	return r;
}

int plant(struct tree *t, struct objid id, enum plant kind)
{
	struct row row;
	autofree bool *gone = NULL;
	size_t before;
	int r;

	store_lock(t->store);
	r = row_load(t, id, &row);
	if (!r && (!row.exists || row.pending))
		r = -ENODATA;
	before = row.o.count;
	gone = calloc(before + 1, sizeof(*gone));
	kin_assert(gone);
	for (size_t i = 0; i < before; i++)
		gone[i] = goes(&row.o, i, kind);
	for (size_t i = before; !r && i-- > 0;)
		if (gone[i])
			object_remove(&row.o, i);
	if (!r && row.o.count == before)
		r = -ENODATA;
	if (!r)
		r = replica_begin(t);
	if (!r)
		r = replica_end(t, plant_in_op(t, &row));
	row_release(&row);
	store_unlock(t->store);
	return r;
}
