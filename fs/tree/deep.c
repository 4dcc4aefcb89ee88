/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goes through all rows by id. Each is hashed from its bytes into a new sum;
 * what operations change meanwhile in rows that are behind, they put into
 * that sum too (bucket_row_changed()), so that at the end it must be the sum
 * that the tree keeps, whatever happened during the hours that this may
 * take.
 *
 * The contents of a live row are then read without the lock. A version that
 * is replaced meanwhile loses nothing by that: content is not given back
 * while it is read, and what is missing counts only if the row is still
 * there with that version and is complete by its own account.
 */
#include "fs/tree/deep.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/tree/tree_internal.h"

/* Rows looked at in one hold of the lock, and bytes read in one step. */
#define STEP_ROWS 64
#define STEP_BYTES (4u << 20)

struct deep {
	struct tree *tree;
	struct object o;	/* in hand: its contents are read */
	size_t version;
	uint64_t at;		/* offset in that version */
	struct content_faults found;
	bool rows_ended;
	struct recount recount;
	struct deep_result result;
};

int deep_begin(struct tree *t, struct deep **ret)
{
	struct deep *d = calloc(1, sizeof(*d));
	int r = 0;

	if (!d)
		return -ENOMEM;
	d->tree = t;
	object_init(&d->o, ROOT_ID);
	store_lock(t->store);
	if (t->recount)
		r = -EBUSY;
	else
		t->recount = &d->recount;
	store_unlock(t->store);
	if (r)
		free(d);
	else
		*ret = d;
	return r;
}

void deep_end(struct deep *d)
{
	if (!d)
		return;
	store_lock(d->tree->store);
	d->tree->recount = NULL;
	store_unlock(d->tree->store);
	object_release(&d->o);
	free(d);
}

const struct deep_result *deep_result(const struct deep *d)
{
	return &d->result;
}

/* ---- rows [locked] */

static bool has_content(const struct object *o)
{
	for (size_t k = 0; k < o->count; k++)
		if (o->versions[k].reg == REG_CONTENT &&
		    o->versions[k].content.content.depth)
			return true;
	return false;
}

static void fault_add(struct deep *d, struct objid id,
		      const struct content_faults *f)
{
	struct deep_result *r = &d->result;

	if (r->faults < DEEP_FAULTS_MAX)
		r->fault[r->faults] = (struct deep_fault){
			.id = id,
			.missing = f->missing,
			.damaged = f->damaged,
		};
	r->faults++;
}

/* One row; returns 1 if its contents are to be read. */
static int deep_row(struct deep *d, struct objid id, struct slice value)
{
	struct content_faults broken = { .damaged = 1 };
	struct slice versions;
	struct row row;
	struct sum s;
	bool counts;
	int r = row_counts(value, &versions, &counts);

	d->result.objects++;
	if (!r && counts) {
		s = bucket_row(d->tree, id, versions);
		sum_add(&d->recount.sum, &s);
	}
	if (!r && counts)
		r = row_read(d->tree, id, &row);
	if (r == -EUCLEAN) {
		fault_add(d, id, &broken);
		return 0;
	}
	if (r || !counts)
		return r;
	d->result.pending += row.pending != 0;
	if (!row.pending && has_content(&row.o)) {
		object_release(&d->o);
		d->o = row.o;
		object_init(&row.o, id);
		d->version = 0;
		d->at = 0;
		d->found = (struct content_faults){ 0 };
		r = 1;
	}
	row_release(&row);
	return r;
}

static int deep_rows(struct deep *d)
{
	struct tree *t = d->tree;
	int r = 0;

	store_lock(t->store);
	for (int n = 0; !r && n < STEP_ROWS; n++) {
		struct slice k, v;
		struct objid id;

		r = store_seek(t->store, TABLE_OBJ,
			       SLICE(d->recount.at.b, 16), &k, &v);
		if (r == -ENOENT) {
			d->rows_ended = true;
			break;
		}
		if (!r && k.len != 16)
			r = -EUCLEAN;
		if (r)
			break;
		memcpy(id.b, k.data, 16);
		r = deep_row(d, id, v);
		d->recount.at = id;
		if (!objid_next(&d->recount.at)) {
			d->rows_ended = true;
			break;
		}
	}
	if (d->rows_ended) {
		/* From here on all rows are behind. */
		memset(d->recount.at.b, 0xff, 16);
		d->result.sums_right = sum_equal(&d->recount.sum, &t->sum);
		r = 1;
	}
	store_unlock(t->store);
	return MIN_OF(r, 0);
}

/* ---- contents */

/* What was not found counts if the version is still there. */
static int deep_judge(struct deep *d, const struct version *v)
{
	struct tree *t = d->tree;
	struct row row;
	int r;

	if (!d->found.missing && !d->found.damaged)
		return 0;
	store_lock(t->store);
	r = row_read(t, d->o.id, &row);
	if (!r) {
		if (!row.pending && object_find(&row.o, v) >= 0)
			fault_add(d, d->o.id, &d->found);
		row_release(&row);
	}
	store_unlock(t->store);
	d->found = (struct content_faults){ 0 };
	return r;
}

static int deep_content(struct deep *d)
{
	const struct version *v = &d->o.versions[d->version];
	const struct content *c = &v->content.content;
	uint64_t from = d->at;
	int r = 0;

	if (v->reg == REG_CONTENT && c->depth) {
		r = content_check(d->tree->store, c, &d->at, STEP_BYTES,
				  &d->found);
		d->result.bytes += d->at - from;
		if (r || d->at < c->size)
			return r;
		r = deep_judge(d, v);
	}
	d->version++;
	d->at = 0;
	return r;
}

int deep_step(struct deep *d)
{
	int r;

	if (d->version < d->o.count)
		r = deep_content(d);
	else if (!d->rows_ended)
		r = deep_rows(d);
	else
		return 1;
	return r;
}
