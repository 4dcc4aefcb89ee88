/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The versions of a file: those in its row, and those that left it; and of
 * all that had its name in its directory before it and was removed. To who
 * asks for a path these are one file: many programs replace a file by another
 * of its name, and what is put back after its row was gone has another id.
 *
 * A version is known by (hlc, first dot, hash64) for ever, on every node, whatever a
 * fork or the end of its object made of it since; its id is made of that.
 */
#include "fs/tree/history_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/base/hash.h"

/* Files of one name that were removed one after another, of which the versions
 * are listed: a list for people. */
#define EARLIER_MAX 256

struct listing {
	struct tree *t;
	struct history_file *file;
	size_t alloc;
	/* of the object that is listed: */
	struct objid id;
	bool removed;
	uint64_t removed_ms;
	size_t first;
};

static void name_version(struct tree *t, struct history_version *v)
{
	uint8_t bytes[16 + 4 * 8];
	struct hash hash;

	memcpy(bytes, t->volume.b, 16);
	put_le64(bytes + 16, v->hlc);
	put_le64(bytes + 24, v->first.origin);
	put_le64(bytes + 32, v->first.seq);
	put_le64(bytes + 40, v->hash64);
	hash_bytes(bytes, sizeof(bytes), &hash);
	hex_encode(hash.b, HISTORY_ID_CHARS / 2, v->id);
}

static int copy_slice(struct history_file *f, struct slice *s)
{
	if (!s->len)
		return 0;
	*s = object_dup(&f->arena, *s);
	return s->data ? 0 : -ENOMEM;
}

/* Copies it, with all that it borrows. */
static int add(struct listing *l, const struct history_version *v)
{
	struct history_file *f = l->file;
	struct history_version *new;
	int r;

	if (f->count == l->alloc) {
		l->alloc = MAX_OF(l->alloc * 2, (size_t)16);
		new = reallocarray(f->list, l->alloc, sizeof(*new));
		if (!new)
			return -ENOMEM;
		f->list = new;
	}
	new = &f->list[f->count];
	*new = *v;
	new->written_ms = v->hlc >> 16;
	new->here = content_complete(l->t, &v->content);
	name_version(l->t, new);
	r = copy_slice(f, &new->author);
	if (!r)
		r = copy_slice(f, &new->name);
	if (!r)
		r = copy_slice(f, &new->content.inline_bytes);
	f->count += !r;
	return r;
}

/* ---- those in the row */

static int add_live(struct listing *l, const struct version *v,
		    enum history_state state, struct slice name)
{
	const struct content_value *c = &v->content;
	struct entry_name e = version_entry_name(v);
	bool ended = state == HISTORY_REMOVED;

	return add(l, &(struct history_version){
		.state = state, .first = e.dot, .hlc = e.hlc,
		.hash64 = e.hash64,
		.ended_ms = ended ? l->removed_ms : 0,
		.mtime = c->mtime, .name = name, .content = c->content,
		.author = c->author.len ? c->author : c->label,
		.automatic = v->flags & VERSION_AUTO });
}

/* Under what name is the branch shown beside main? */
static struct slice name_of(const struct shownlist *l, struct objid id,
			    struct dot tag)
{
	for (size_t k = 0; k < l->count; k++) {
		const struct shown *s = &l->shown[k];

		if (s->type == SHOWN_SIBLING && objid_equal(s->id, id) &&
		    dot_equal(s->tag, tag))
			return shown_name(s);
	}
	return SLICE(NULL, 0);
}

static enum history_state state_of(const struct listing *l,
				   const struct info *i, size_t branch)
{
	if (branch >= i->branch_count)
		return HISTORY_HIDDEN;
	if (l->removed)
		return HISTORY_REMOVED;
	return branch ? HISTORY_SIBLING : HISTORY_MAIN;
}

static int add_branch(struct listing *l, const struct info *i, size_t g,
		      struct slice name)
{
	const struct branch *b = &i->branches[g];
	const struct content *top = &b->top->content.content;
	int r = 0;

	if (!b->is_void)
		r = add_live(l, b->top, state_of(l, i, g), name);
	/* (what has the same bytes is the same to whoever looks) */
	for (size_t k = 0; !r && k < b->count; k++) {
		const struct version *v = b->versions[k];

		if (v != b->top && !(v->flags & VERSION_VOID) &&
		    !content_equal(&v->content.content, top))
			r = add_live(l, v, HISTORY_HIDDEN, SLICE(NULL, 0));
	}
	return r;
}

static int add_row(struct listing *l, const struct row *row,
		   const struct info *i)
{
	struct shownlist virtuals = { 0 };
	int r = 0;

	if (row->claim_count)
		r = view_virtuals_at(l->t, group_canonical(
						l->t,
						row->claims[0].at.parent),
				     spot_name(&row->claims[0].at),
				     &virtuals);
	for (size_t g = 0; !r && g < i->branch_count + i->hidden_count; g++)
		r = add_branch(l, i, g, name_of(&virtuals, row->o.id,
						i->branches[g].tag));
	shownlist_release(&virtuals);
	return r;
}

/* ---- those that left it */

static bool is_listed(const struct listing *l, size_t live,
		      const struct entry_name *e)
{
	const struct history_file *f = l->file;

	for (size_t k = l->first; k < live; k++)
		if (f->list[k].hlc == e->hlc &&
		    f->list[k].hash64 == e->hash64 &&
		    dot_equal(f->list[k].first, e->dot))
			return true;
	return false;
}

static enum history_state state_why(enum hist_why why)
{
	return why == HIST_REMOVED ? HISTORY_REMOVED :
	       why == HIST_MERGED  ? HISTORY_MERGED :
				     HISTORY_REPLACED;
}

static int add_old(struct listing *l)
{
	size_t live = l->file->count;
	struct entry_name after;
	struct hist_entry e;
	bool any = false;
	int r;

	while (!(r = hist_next(l->t, l->id, any ? &after : NULL, &e))) {
		any = true;
		after = e.name;
		if (is_listed(l, live, &e.name))
			continue;
		r = add(l, &(struct history_version){
			.state = state_why(e.why), .first = e.name.dot,
			.hlc = e.name.hlc, .hash64 = e.name.hash64,
			.ended_ms = e.ended_ms,
			.mtime = e.mtime, .author = e.author,
			.content = e.content, .automatic = e.automatic });
		if (r)
			return r;
	}
	return r == -ENOENT ? 0 : r;
}

/* ---- all of them */

static int newest_first(const void *pa, const void *pb)
{
	const struct history_version *a = pa, *b = pb;

	if (a->hlc != b->hlc)
		return a->hlc < b->hlc ? 1 : -1;
	return dot_compare(b->first, a->first);
}

static int add_object(struct listing *l, struct objid id, bool removed,
		      uint64_t removed_ms)
{
	struct row row;
	struct info i;
	int r = row_load(l->t, id, &row);

	if (r)
		return r;
	l->id = id;
	l->removed = removed;
	l->removed_ms = removed_ms;
	l->first = l->file->count;
	r = info_init(&i, &row.o);
	if (!r && row.exists)
		r = add_row(l, &row, &i);
	if (!r)
		r = add_old(l);
	info_release(&i);
	row_release(&row);
	return r;
}

/* Files that had the name before, in no order. */
struct earlier {
	const struct found *found;
	struct idlist ids;
	uint64_t ms[EARLIER_MAX];
};

static int note_earlier(void *arg, const struct removed *d)
{
	struct earlier *e = arg;
	const struct found *f = e->found;

	if (d->kind == KIND_DIR || objid_equal(d->id, f->id) ||
	    !slice_equal(d->name, SLICE(f->name, f->name_len)) ||
	    e->ids.count == EARLIER_MAX)
		return 0;
	e->ms[e->ids.count] = d->removed_ms;
	return idlist_add(&e->ids, d->id);
}

static int add_earlier(struct listing *l, const struct found *f)
{
	struct earlier e = { .found = f };
	int r = 0;

	if (f->name_len)
		r = removed_each(l->t, f->parent, note_earlier, &e);
	for (size_t k = 0; !r && k < e.ids.count; k++)
		r = add_object(l, e.ids.ids[k], true, e.ms[k]);
	idlist_release(&e.ids);
	return r;
}

int history_read(struct tree *t, const struct found *f,
		 struct history_file *ret)
{
	struct listing l = { .t = t, .file = ret };
	int r;

	*ret = (struct history_file){ .id = f->id, .kind = f->kind,
				      .removed = f->as != FOUND_SHOWN,
				      .removed_ms = f->removed_ms };
	object_init(&ret->arena, f->id);
	r = add_object(&l, f->id, ret->removed, f->removed_ms);
	if (!r)
		r = add_earlier(&l, f);
	if (!r && ret->count)
		qsort(ret->list, ret->count, sizeof(*ret->list),
		      newest_first);
	return r;
}

int tree_history(struct tree *t, struct slice path, struct history_file *ret)
{
	struct found f;
	int r;

	*ret = (struct history_file){ 0 };
	store_lock(t->store);
	r = history_find(t, path, &f);
	if (!r && f.kind == KIND_DIR)
		r = -EISDIR;
	if (!r)
		r = history_read(t, &f, ret);
	store_unlock(t->store);
	if (r)
		history_file_release(ret);
	return r;
}

void history_file_release(struct history_file *f)
{
	free(f->list);
	object_release(&f->arena);
	*f = (struct history_file){ 0 };
}

static bool begins(const char *id, struct slice prefix)
{
	return prefix.len && prefix.len <= HISTORY_ID_CHARS &&
	       !memcmp(id, prefix.data, prefix.len);
}

/* (what stood beside main, or lost, was never what the file was) */
static bool was_main(const struct history_version *v)
{
	return v->state != HISTORY_SIBLING && v->state != HISTORY_HIDDEN;
}

int history_choose(const struct history_file *f,
		   const struct history_which *w,
		   const struct history_version **ret)
{
	size_t found = 0;

	for (size_t k = 0; k < f->count; k++) {
		const struct history_version *v = &f->list[k];

		if (w->id.len ? !begins(v->id, w->id) :
				!was_main(v) || v->written_ms > w->at_ms)
			continue;
		if (!found++)
			*ret = v;
		if (!w->id.len)
			break;
	}
	return !found ? -ESRCH : found > 1 ? -ENOTUNIQ : 0;
}
