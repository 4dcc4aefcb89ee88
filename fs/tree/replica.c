/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the replication core needs: rows, in the order of their change. The
 * knowledge vector and the cut table are in cut_table.c, what a merge itself
 * writes in revive.c.
 */
#include "fs/tree/replica.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/tree/base.h"
#include "fs/tree/ruled.h"
#include "fs/tree/xattr_local.h"

int replica_begin(struct tree *t)
{
	int r = op_begin_locked(t);

	t->remote = true;
	return r;
}

int replica_end(struct tree *t, int r)
{
	bool changed = t->lseq != t->saved.lseq;

	r = op_end_locked(t, r);
	if (!r && changed)
		tell_applied(t);
	return r;
}

void tell_applied(struct tree *t)
{
	t->applied = t->lseq;
	if (t->observer.applied)
		t->observer.applied(t->observer.arg, t->lseq);
}

uint64_t tree_tell_shown(struct tree *t)
{
	uint64_t lseq;

	store_lock(t->store);
	tell_applied(t);
	lseq = t->applied;
	store_unlock(t->store);
	return lseq;
}

uint64_t replica_applied(struct tree *t)
{
	return t->applied;
}

uint64_t replica_origin(struct tree *t)
{
	return t->origin;
}

const struct know *replica_know(struct tree *t)
{
	return &t->know;
}

uint64_t replica_lseq(struct tree *t)
{
	return t->lseq;
}

/* ---- rows */

int replica_row(struct tree *t, struct objid id, struct slice *ret)
{
	struct slice v;
	uint64_t from;
	int r = store_get(t->store, TABLE_OBJ, SLICE(id.b, 16), &v);

	return r ? r : versions_of(v, ret, &from);
}

int replica_row_load(struct tree *t, struct objid id, struct object *ret)
{
	struct slice row;
	int r;

	object_init(ret, id);
	r = replica_row(t, id, &row);
	if (r == -ENOENT)
		return 0;
	if (!r)
		r = object_decode(row, ret);
	return r == -EBADMSG ? -EUCLEAN : r;
}

static bool same_shown(const struct version *a, const struct version *b)
{
	if (!a || !b)
		return a == b;
	if (a->flags & VERSION_VOID || b->flags & VERSION_VOID)
		return false;
	return version_same(a, b) ||
	       (a->content.content.depth == b->content.content.depth &&
		a->content.content.size == b->content.content.size &&
		version_entry_name(a).hash64 == version_entry_name(b).hash64);
}

/* Open handles of siblings that go or change keep what they show. */
static int detach_siblings(struct tree *t, const struct row *row,
			   const struct info *old, const struct info *new)
{
	for (size_t k = 1; k < old->branch_count; k++) {
		const struct branch *was = &old->branches[k];
		const struct branch *is = info_branch(new, was->tag);
		uint64_t ino;
		int r;

		if (was->is_void || (is && same_shown(was->top, is->top)))
			continue;
		r = ino_of_sibling(t, row->o.id, was->tag, &ino);
		if (r)
			return r;
		event_inode(t, ino);
		r = ino_detach(t, ino, row->o.id, was->top);
		if (r)
			return r;
	}
	return 0;
}

/* The sibling that this version is of now, or NULL. */
static const struct branch *sibling_of(const struct info *i,
				       const struct version *v)
{
	for (size_t g = 1; g < i->branch_count; g++)
		for (size_t k = 0; k < i->branches[g].count; k++)
			if (version_same(i->branches[g].versions[k], v))
				return &i->branches[g];
	return NULL;
}

int siblings_renamed(struct tree *t, const struct row *row,
		     const struct info *now)
{
	struct object before;
	struct info old;
	int r = 0;

	object_init(&before, row->o.id);
	before.rule = row->o.rule;
	for (size_t k = 0; !r && k < row->had_count; k++)
		if (!object_add(&before, &row->had[k]))
			r = -ENOMEM;
	if (!r)
		r = info_init(&old, &before);
	if (r) {
		object_release(&before);
		return r;
	}
	for (size_t k = 1; !r && k < old.branch_count; k++) {
		const struct branch *was = &old.branches[k];
		const struct branch *is = sibling_of(now, was->top);
		uint64_t ino;

		if (was->is_void || !is || dot_equal(is->tag, was->tag))
			continue;
		r = ino_of_sibling(t, row->o.id, was->tag, &ino);
		if (!r)
			r = ino_detach(t, ino, row->o.id, was->top);
	}
	info_release(&old);
	object_release(&before);
	return r;
}

/* Main that is not all here: what was shown stays shown. */
static int keep_prior(struct tree *t, struct row *row,
		      const struct version *shown, const struct info *new)
{
	const struct version *main = row_shown_content(
		&(struct row){ .o = row->o }, new);
	int r = 0;

	if (!main || content_complete(t, &main->content.content)) {
		row->has_prior = false;
	} else if (!row->has_prior && shown && !row->absent) {
		object_release(&row->prior);
		object_init(&row->prior, row->o.id);
		r = object_add_copy(&row->prior, shown);
		row->has_prior = !r;
	}
	return r;
}

int row_becomes(struct tree *t, struct row *row, const struct object *o)
{
	struct info old, new;
	const struct version *shown;
	int r = info_init(&old, &row->o);

	if (r)
		return r;
	r = info_init(&new, o);
	if (r) {
		info_release(&old);
		return r;
	}
	shown = row_shown_content(row, &old);
	r = keep_prior(t, row, shown, &new);
	if (!r && row->exists && old.kind == KIND_FILE && !row->has_prior &&
	    !same_shown(shown, row_shown_content(row, &new)) &&
	    new.shown_count) {
		r = data_changed(t, row, shown, row_shown_content(row, &new));
		if (!r)
			r = row_content_came(row);
	}
	if (!r && old.branch_count > 1)
		r = detach_siblings(t, row, &old, &new);
	if (!r)
		r = returned_note(t, &old, &new);
	info_release(&old);
	info_release(&new);
	return r;
}

int replica_row_store(struct tree *t, struct object *o, uint64_t from)
{
	struct object before;
	struct row row;
	uint64_t ino;
	int r = row_load(t, o->id, &row);

	if (r)
		return r;
	ino = row.ino;
	o->rule = row.o.rule;
	r = rule_find(t, o);
	if (!r)
		r = row_becomes(t, &row, o);
	before = row.o;
	row.o = *o;
	row.before = row.exists ? &before : NULL;
	if (!r && row.exists)
		r = base_merged(t, &before, &row.o);
	if (!r)
		r = row_store(t, &row, from);
	*o = row.o;
	row.o = before;
	event_inode(t, row.ino);
	if (ino != row.ino) {
		/* detached: the names are another inode now */
		for (size_t k = 0; !r && k < row.claim_count; k++)
			r = work_spot(t, &row.claims[k].at);
	}
	row_release(&row);
	return r;
}

int replica_rows_after(struct tree *t, uint64_t after, size_t max,
		       int (*fn)(void *arg, const struct replica_row *),
		       void *arg)
{
	t->held_seq = t->sent_seq = know_get(&t->know, t->origin);
	return replica_rows_look(t, after, max, fn, arg);
}

int replica_rows_look(struct tree *t, uint64_t after, size_t max,
		      int (*fn)(void *arg, const struct replica_row *),
		      void *arg)
{
	int n = 0;

	while ((size_t)n < max && after < UINT64_MAX) {
		struct replica_row row;
		struct slice k, v;
		uint8_t key[8];
		int r;

		put_be64(key, after + 1);
		r = store_seek(t->store, TABLE_SEQ, SLICE(key, 8), &k, &v);
		if (r == -ENOENT)
			break;
		if (r)
			return r;
		if (k.len != 8 || v.len != 16)
			return -EUCLEAN;
		row.lseq = after = get_be64(k.data);
		memcpy(row.id.b, v.data, 16);
		r = store_get(t->store, TABLE_OBJ, SLICE(row.id.b, 16), &v);
		if (!r)
			r = versions_of(v, &row.row, &row.from);
		if (r)
			return r == -ENOENT ? -EUCLEAN : r;
		r = fn(arg, &row);
		if (r < 0)
			return r;
		n++;
	}
	return n;
}

struct bytes_arg {
	const struct know *know;
	uint64_t bytes, last;
};

static int add_bytes(void *arg, const struct replica_row *row)
{
	struct bytes_arg *a = arg;
	struct object o;
	int r;

	object_init(&o, row->id);
	r = object_decode(row->row, &o);
	for (size_t k = 0; !r && k < o.count; k++)
		if (o.versions[k].reg == REG_CONTENT &&
		    !know_covers(a->know, o.versions[k].dot))
			a->bytes += o.versions[k].content.content.size;
	a->bytes += row->row.len;
	a->last = row->lseq;
	object_release(&o);
	return r;
}

int replica_bytes_after(struct tree *t, uint64_t after,
			const struct know *know, size_t max, uint64_t *ret)
{
	struct bytes_arg a = { .know = know, .last = after };
	int r;

	do {
		size_t n = MIN_OF(max, (size_t)512);

		store_lock(t->store);
		r = replica_rows_look(t, a.last, n, add_bytes, &a);
		store_unlock(t->store);
		max -= n;
	} while (r > 0 && max);
	*ret = a.bytes;
	return MIN_OF(r, 0);
}
