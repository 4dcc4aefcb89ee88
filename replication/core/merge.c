/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For each object
 *
 *	new = { v in mine: v in theirs or v.dot not in theirs' K }
 *	    u { v in theirs: v in mine or v.dot not in my K }
 *
 * What one side knows and does not hold was replaced or removed there,
 * knowingly. A row is stored, and gets a new local sequence number, only if
 * the set changed: so echoes die at once, and an idle system is silent.
 *
 * K is joined after the last row (all rows are merged against the K from
 * before), then come the events of our own:
 *
 * Re-stamps. A node that has purged a dead object has neither the row nor
 * its registers, yet its K covers them. When somebody revives that object,
 * the merge above would drop all that K covers, and the row would live on
 * without KIND, MODE or content, here and, since ours is then the newer
 * knowledge, everywhere. So such versions are written again under new dots,
 * but for LINKs, which really were removed.
 *
 * Revivals are the tree's: replica_finish().
 */
#include "replication/core/merge.h"

#include <errno.h>
#include <stdlib.h>

static bool has_kind(const struct object *o)
{
	for (size_t i = 0; i < o->count; i++)
		if (o->versions[i].reg == REG_KIND)
			return true;
	return false;
}

int merge_object(const struct object *mine, const struct object *theirs,
		 const struct know *my_k, const struct know *their_k,
		 struct object *ret, bool *ret_same_as_theirs)
{
	size_t from_mine, kept = 0;

	for (size_t i = 0; i < mine->count; i++) {
		const struct version *v = &mine->versions[i];
		bool both = object_find(theirs, v) >= 0;

		if (!both && know_covers(their_k, v->dot))
			continue;
		kept += both;
		if (!object_add(ret, v))
			return -ENOMEM;
	}
	from_mine = ret->count;
	for (size_t i = 0; i < theirs->count; i++) {
		const struct version *v = &theirs->versions[i];

		if (know_covers(my_k, v->dot) || object_find(mine, v) >= 0)
			continue;
		if (!object_add(ret, v))
			return -ENOMEM;
	}
	*ret_same_as_theirs = ret->count == theirs->count && kept == from_mine;
	return from_mine < mine->count || ret->count > from_mine;
}

/* ---- versions to be written again */

struct restamp {
	struct objid id;
	size_t row; /* in the stage: where the bytes are */
};

struct merge {
	struct tree *tree;
	const struct stage *stage;
	const struct know *theirs;
	uint64_t from;
	struct know mine; /* K before the cut */
	struct restamp *restamps;
	size_t restamp_count, restamp_alloc;
	struct merge_result result;
};

static int merge_note_restamp(struct merge *m, size_t row)
{
	if (m->restamp_count == m->restamp_alloc) {
		size_t alloc = MAX_OF(m->restamp_alloc * 2, (size_t)16);
		struct restamp *p = realloc(m->restamps, alloc * sizeof(*p));

		if (!p)
			return -ENOMEM;
		m->restamps = p;
		m->restamp_alloc = alloc;
	}
	m->restamps[m->restamp_count++] =
		(struct restamp){m->stage->rows[row].id, row};
	return 0;
}

static bool wants_restamp(const struct object *row, const struct version *v)
{
	if (v->reg == REG_LINK || object_find(row, v) >= 0)
		return false;
	for (size_t i = 0; v->reg != REG_CONTENT && i < row->count; i++)
		if (version_same_register(&row->versions[i], v))
			return false;
	return true;
}

static int stage_load(const struct stage *s, size_t row, struct object *ret)
{
	const struct stage_row *at = &s->rows[row];

	object_init(ret, at->id);
	return object_decode(SLICE(at->row, at->len), ret);
}

/* After the whole cut: what is still absent, each under a dot of its own. */
static int merge_restamp(struct merge *m, const struct restamp *todo)
{
	cleanup(object_release) struct object theirs;
	int r = stage_load(m->stage, todo->row, &theirs);

	for (size_t i = 0; r == 0 && i < theirs.count; i++) {
		cleanup(object_release) struct object row;
		const struct version *v = &theirs.versions[i];

		if (!know_covers(&m->mine, v->dot)) {
			object_init(&row, todo->id);
			continue; /* it was new, and was merged */
		}
		r = replica_row_load(m->tree, todo->id, &row);
		if (r == 0 && row.count && wants_restamp(&row, v))
			r = replica_restamp(m->tree, todo->id, v);
	}
	return r;
}

/* ---- the cut */

static int merge_row(struct merge *m, size_t row)
{
	cleanup(object_release) struct object theirs, mine, merged;
	struct objid id = m->stage->rows[row].id;
	bool same_as_theirs, stub;
	int r;

	object_init(&mine, id);
	object_init(&merged, id);
	r = stage_load(m->stage, row, &theirs);
	if (r == 0)
		r = replica_row_load(m->tree, id, &mine);
	if (r < 0)
		return r;
	stub = !has_kind(&mine);
	r = merge_object(&mine, &theirs, &m->mine, m->theirs, &merged,
			 &same_as_theirs);
	if (r < 0)
		return r;
	if (!r)
		m->result.rows_known++;
	if (stub && merged.count && !same_as_theirs) {
		int e = merge_note_restamp(m, row);

		if (e < 0)
			return e;
	}
	if (!r)
		return 0;
	return replica_row_store(m->tree, &merged,
				 same_as_theirs ? m->from : 0);
}

/* Nothing that the sender says it does not know. [not locked] */
static int merge_check(const struct stage *stage, const struct know *theirs)
{
	for (size_t i = 0; i < stage->count; i++) {
		cleanup(object_release) struct object o;
		int r = stage_load(stage, i, &o);

		if (r < 0)
			return r;
		for (size_t k = 0; k < o.count; k++)
			if (!know_covers(theirs, o.versions[k].dot))
				return -EPROTO;
	}
	return 0;
}

static int merge_apply(struct merge *m, uint64_t hlc)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < m->stage->count; i++)
		r = merge_row(m, i);
	if (r == 0)
		r = replica_know_join(m->tree, m->theirs);
	if (r < 0)
		return r;
	replica_hlc_heard(m->tree, hlc);
	for (size_t i = 0; r == 0 && i < m->restamp_count; i++)
		r = merge_restamp(m, &m->restamps[i]);
	return r < 0 ? r : replica_finish(m->tree);
}

static int merge_locked(struct merge *m, uint64_t hlc)
{
	uint64_t self = replica_origin(m->tree);
	int r = know_copy(&m->mine, replica_know(m->tree));

	/* Nobody can know more of this node than it does itself. */
	if (r == 0 && know_get(m->theirs, self) > know_get(&m->mine, self))
		r = -EPROTO;
	if (r == 0)
		r = replica_begin(m->tree);
	if (r < 0)
		return r;
	m->result.changes = know_lag(m->theirs, &m->mine);
	return replica_end(m->tree, merge_apply(m, hlc));
}

int merge_cut(struct tree *tree, const struct stage *stage,
	      const struct know *theirs, uint64_t hlc, uint64_t from,
	      struct merge_result *ret)
{
	struct merge m = {
		.tree = tree,
		.stage = stage,
		.theirs = theirs,
		.from = from,
		.mine = KNOW_INIT,
	};
	int r = merge_check(stage, theirs);

	if (r < 0)
		return r;
	store_lock(tree_store(tree));
	r = merge_locked(&m, hlc);
	store_unlock(tree_store(tree));
	if (r == 0)
		*ret = m.result;
	know_release(&m.mine);
	free(m.restamps);
	return r;
}
