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
 * but for LINKs, which really were removed. A TOMB says where the last one
 * was, if nothing else names the object now: with attributes alone it stays
 * dead, but something made in it meanwhile may bring it back.
 *
 * Revivals are the tree's: replica_finish().
 */
#include "replication/core/merge.h"

#include <errno.h>
#include <stdlib.h>

#include "replication/core/history.h"

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

/* Of several values of a register that shows one, that one. */
static bool wants_restamp(const struct object *row, const struct object *theirs,
			  const struct version *v)
{
	if (v->reg == REG_LINK || object_find(row, v) >= 0)
		return false;
	if (v->reg == REG_CONTENT)
		return true;
	for (size_t i = 0; i < row->count; i++)
		if (version_same_register(&row->versions[i], v))
			return false;
	for (size_t i = 0; i < theirs->count; i++)
		if (version_same_register(&theirs->versions[i], v) &&
		    version_key_compare(&theirs->versions[i], v) > 0)
			return false;
	return true;
}

/* The LINK that is shown, of those that went; NULL: none did. */
static const struct version *removed_link(const struct merge *m,
					  const struct object *theirs)
{
	const struct version *last = NULL;

	for (size_t i = 0; i < theirs->count; i++) {
		const struct version *v = &theirs->versions[i];
		int weak;

		if (v->reg != REG_LINK || !know_covers(&m->mine, v->dot))
			continue;
		weak = last ? (v->flags & VERSION_WEAK) -
			      (last->flags & VERSION_WEAK) : -1;
		if (weak < 0 ||
		    (!weak && version_key_compare(v, last) > 0))
			last = v;
	}
	return last;
}

static int bury(struct merge *m, const struct object *theirs)
{
	cleanup(object_release) struct object row;
	const struct version *link = removed_link(m, theirs);
	int r;

	object_init(&row, theirs->id);
	r = link ? replica_row_load(m->tree, theirs->id, &row) : 0;
	if (r < 0 || !row.count || object_has(&row, REG_LINK) ||
	    object_has(&row, REG_TOMB))
		return r;
	return replica_bury(m->tree, theirs->id, link);
}

/*
 * A row that is all new may yet be of an object that was purged here: its
 * KIND is a re-stamp then. Somebody who knows what we know may hold versions
 * of it that we gave up with it: a dot of our own tells him.
 */
static bool is_mark(const struct merge *m, const struct version *v)
{
	return m->halves && v->reg == REG_KIND && v->flags & VERSION_RENEWED;
}

int merge_restamp(struct merge *m, struct objid id, struct slice bytes)
{
	cleanup(object_release) struct object theirs;
	int r;

	object_init(&theirs, id);
	r = object_decode(bytes, &theirs);
	for (size_t i = 0; r == 0 && i < theirs.count; i++) {
		cleanup(object_release) struct object row;
		const struct version *v = &theirs.versions[i];
		bool is_new = !know_covers(&m->mine, v->dot);

		object_init(&row, id);
		if (is_new && !is_mark(m, v))
			continue; /* it was merged */
		r = replica_row_load(m->tree, id, &row);
		if (r == 0 && (is_new ? object_find(&row, v) >= 0
				      : row.count &&
					wants_restamp(&row, &theirs, v)))
			r = replica_restamp(m->tree, id, v);
	}
	return r < 0 ? r : bury(m, &theirs);
}

/* ---- rows */

int merge_init(struct merge *m, struct tree *tree, const struct know *theirs,
	       uint64_t from)
{
	*m = (struct merge){.tree = tree, .theirs = theirs, .from = from};
	return know_copy(&m->mine, replica_know(tree));
}

void merge_release(struct merge *m)
{
	know_release(&m->mine);
}

/* What is written beside an automatic content, the times, has its dot. */
static bool is_automatic(const struct object *o, struct dot dot)
{
	for (size_t i = 0; i < o->count; i++)
		if (o->versions[i].reg == REG_CONTENT &&
		    o->versions[i].flags & VERSION_AUTO &&
		    dot_equal(o->versions[i].dot, dot))
			return true;
	return false;
}

static bool is_by_people(const struct merge *m, const struct object *theirs)
{
	for (size_t i = 0; i < theirs->count; i++)
		if (!know_covers(&m->mine, theirs->versions[i].dot) &&
		    !is_automatic(theirs, theirs->versions[i].dot))
			return true;
	return false;
}

int merge_row(struct merge *m, struct objid id, struct slice bytes)
{
	cleanup(object_release) struct object theirs, mine, merged;
	bool same_as_theirs, stub;
	int r;

	object_init(&mine, id);
	object_init(&merged, id);
	object_init(&theirs, id);
	r = object_decode(bytes, &theirs);
	if (r == 0)
		r = replica_row_load(m->tree, id, &mine);
	if (r < 0)
		return r;
	stub = !object_has(&mine, REG_KIND);
	r = merge_object(&mine, &theirs, &m->mine, m->theirs, &merged,
			 &same_as_theirs);
	if (r < 0)
		return r;
	stub = stub && merged.count && (!same_as_theirs || m->halves);
	m->gone = !mine.count && !object_has(&merged, REG_LINK) &&
		  object_has(&theirs, REG_LINK);
	m->rows_by_people += r && is_by_people(m, &theirs);
	if (r == 0)
		m->rows_known++;
	else
		r = replica_row_store(m->tree, &merged,
				      same_as_theirs ? m->from : 0);
	return r < 0 ? r : stub;
}

/* ---- a small cut */

/* Rows that ask for re-stamps, by number; few cuts have any. */
struct restamps {
	size_t *rows;
	size_t count;
};

static int restamps_add(struct restamps *l, size_t row)
{
	/* (a cut in memory has few rows: growing by one is no matter) */
	size_t *p = realloc(l->rows, (l->count + 1) * sizeof(*p));

	if (!p)
		return -ENOMEM;
	l->rows = p;
	l->rows[l->count++] = row;
	return 0;
}

static int merge_write_run(void *arg, const struct mark_run *run)
{
	return fork_write_run(arg, run);
}

static int merge_apply(struct merge *m, struct stage *s, const struct cut *cut,
		       struct restamps *restamps)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < s->count; i++) {
		r = merge_row(m, s->rows[i].id,
			      SLICE(s->rows[i].row, s->rows[i].len));
		if (r > 0)
			r = restamps_add(restamps, i);
	}
	if (r == 0)
		r = stage_runs(s, merge_write_run, m->tree);
	if (r == 0)
		r = fork_write_births(m->tree, &cut->heads);
	if (r == 0)
		r = replica_know_join(m->tree, m->theirs);
	if (r < 0)
		return r;
	replica_hlc_heard(m->tree, cut->hlc);
	for (size_t i = 0; r == 0 && i < restamps->count; i++) {
		const struct stage_row *row = &s->rows[restamps->rows[i]];

		r = merge_restamp(m, row->id, SLICE(row->row, row->len));
	}
	return r < 0 ? r : replica_finish(m->tree);
}

int merge_cut(struct tree *tree, struct stage *stage, const struct cut *cut,
	      uint64_t from, struct merge_result *ret)
{
	struct restamps restamps = {NULL, 0};
	struct merge m = {.mine = KNOW_INIT};
	int r;

	kin_assert(!stage->stored);
	store_lock(tree_store(tree));
	r = merge_init(&m, tree, &cut->k, from);
	if (r == 0)
		r = replica_begin(tree);
	if (r == 0)
		r = replica_end(tree, merge_apply(&m, stage, cut, &restamps));
	store_unlock(tree_store(tree));
	if (r == 0)
		*ret = (struct merge_result){know_lag(&cut->k, &m.mine),
					     m.rows_known, m.rows_by_people};
	merge_release(&m);
	free(restamps.rows);
	return r;
}
