/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a content leaves a row, and comes into the history.
 *
 * There is one place where all ways meet, a save, a merge, a settlement, a
 * removal, a purge: where the row is stored, or taken out of the table. What
 * it had when it was loaded and has no more, has left. So nobody who changes
 * a row has to think of the history.
 *
 * Left out is what loses nothing:
 *  - a void, which has no bytes; an empty content that was replaced (each
 *    new file begins as one);
 *  - a content that the row still has in another version: it was repeated,
 *    re-stamped or renamed by a fork (by the dot that names it for ever, it
 *    is the same one);
 *  - one that came and went in one operation: nobody ever saw it;
 *  - one whose bytes never all came here;
 *  - all, while the disk is full: who removes or truncates something to make
 *    room is not refused for what that would add here;
 *  - a temporary that became the content of another file (row.passed_to).
 *    Only that: what an editor's temporary is, is not guessed by its name.
 *    What it was before is history of that file.
 *
 * A dead row keeps its contents until it is purged, so what was removed is
 * in the history from then on only; together with what the object was, so
 * that it can be made again where it was, with what was in it. That holds
 * for a file, a symlink and a directory.
 */
#include "fs/tree/hist.h"

#include <errno.h>
#include <string.h>

#include "fs/tree/acl.h"

bool hist_still_has(const struct object *o, const struct version *v)
{
	struct entry_name own, name;

	for (size_t k = 0; k < o->count; k++) {
		const struct version *w = &o->versions[k];

		if (w->reg != REG_CONTENT || w->flags & VERSION_VOID)
			continue;
		/* (mostly this, and a name may have to be hashed) */
		if (content_has_same_bytes(&w->content.content,
					   &v->content.content))
			return true;
		own = version_entry_name(w);
		name = version_entry_name(v);
		if (!entry_name_compare(&own, &name))
			return true;
	}
	return false;
}

static bool is_kept(struct tree *t, const struct version *v, bool pending)
{
	const struct content *c = &v->content.content;

	/* One that takes up most of what may be would only push out all
	 * others, and go itself next. */
	if (v->flags & VERSION_VOID || !c->size || !t->hist_limits.age_ms ||
	    c->size > t->hist_limits.bytes / 2 || store_is_full(t->store))
		return false;
	return !pending || content_complete(t, c);
}

static int note(struct tree *t, struct objid id, const struct version *v,
		enum hist_why why)
{
	const struct content_value *c = &v->content;
	struct hist_entry e = {
		.id = id, .name = version_entry_name(v), .why = why,
		.automatic = v->flags & VERSION_AUTO, .content = c->content,
		.mtime = c->mtime,
		.author = c->author.len ? c->author : c->label,
	};

	hist_clock(t, t->op_now_ns);
	e.ended = t->hist.clock;
	e.ended_ms = t->hist.seen_ms;
	return hist_put(t, &e);
}

/* Did that write one of its contents itself? */
static bool is_written_here(const struct tree *t, const struct object *o)
{
	for (size_t k = 0; k < o->count; k++)
		if (o->versions[k].reg == REG_CONTENT &&
		    op_drew(t, o->versions[k].dot))
			return true;
	return false;
}

int hist_row_changes(struct tree *t, const struct row *row)
{
	enum hist_why why = !t->remote || is_written_here(t, &row->o) ?
				    HIST_REPLACED : HIST_MERGED;
	int r = 0;

	for (size_t k = 0; !r && k < row->had_count; k++)
		if (!op_drew(t, row->had[k].dot) &&
		    !hist_still_has(&row->o, &row->had[k]) &&
		    is_kept(t, &row->had[k], row->pending))
			r = note(t, row->o.id, &row->had[k], why);
	return r ? r : hist_settled_note(t, row);
}

/* ---- objects that go */

static void was_at(const struct info *i, struct hist_object *ret)
{
	const struct link_value *l = NULL;

	if (i->link_count) {
		l = &i->links[0].link->link;
		ret->label = l->label;
	} else if (i->tomb) {
		l = &i->tomb->tomb.link;
		ret->removed_hlc = i->tomb->hlc;
		ret->run_hlc = i->tomb->tomb.run;
	}
	if (l) {
		ret->parent = l->at.parent;
		ret->name = l->at.name;
	}
}

static void was_this(const struct info *i, struct hist_object *ret)
{
	const struct branch *b = info_first_real(i);

	if (!b)
		return;
	ret->main = version_entry_name(b->top);
	ret->size = b->top->content.content.size;
}

/* ACLs are not kept: what comes back is to allow nobody more. */
static uint32_t plain_perm(const struct info *i)
{
	return acl_plain_perm(i->mode->mode.perm, i->mode->mode.acl);
}

static int note_object(struct tree *t, struct objid id, const struct info *i)
{
	struct hist_object was, now = { .id = id };
	int r = hist_object(t, id, &was);

	if (r == -ENOENT)
		was = (struct hist_object){ .id = id };
	else if (r)
		return r;
	now = (struct hist_object){ .id = id, .entries = was.entries,
				    .kind = i->kind,
				    .perm = i->mode ? plain_perm(i) : 0 };
	if (i->owner) {
		now.user = i->owner->owner.user;
		now.group = i->owner->owner.group;
	}
	was_at(i, &now);
	was_this(i, &now);
	if (!now.name.len || store_is_full(t->store))
		return 0; /* (nobody knows where it was) */
	hist_clock(t, t->op_now_ns);
	now.gone = true;
	now.ended = t->hist.clock;
	now.removed_ms = now.removed_hlc ? now.removed_hlc >> 16 :
					   t->hist.seen_ms;
	return hist_object_put(t, &was, &now);
}

/* (its last content may have been under unsent writes, which alone are what
 * the other has now) */
static int pass_on(struct tree *t, const struct row *row)
{
	const struct row *to = row->passed_to;
	int r = hist_move(t, row->o.id, to->o.id);

	for (size_t k = 0; !r && k < row->had_count; k++)
		if (!hist_still_has(&to->o, &row->had[k]) &&
		    is_kept(t, &row->had[k], row->pending))
			r = note(t, to->o.id, &row->had[k], HIST_REPLACED);
	return r;
}

int hist_row_goes(struct tree *t, const struct row *row)
{
	struct row had;
	struct info i;
	int r;

	if (!row->exists)
		return 0;
	r = hist_settled_del(t, row->o.id);
	if (r || !t->hist_limits.age_ms)
		return r;
	if (row->passed_to)
		return pass_on(t, row);
	r = row_read(t, row->o.id, &had);
	if (r)
		return r;
	r = info_init(&i, &had.o);
	for (size_t k = 0; !r && k < had.o.count; k++)
		if (had.o.versions[k].reg == REG_CONTENT &&
		    is_kept(t, &had.o.versions[k], had.pending))
			r = note(t, had.o.id, &had.o.versions[k],
				 HIST_REMOVED);
	if (!r && i.kind)
		r = note_object(t, had.o.id, &i);
	info_release(&i);
	row_release(&had);
	return r;
}

int hist_row_returns(struct tree *t, struct objid id)
{
	struct hist_object was, now;
	int r;

	if (!t->hist.gone)
		return 0;
	r = hist_object(t, id, &was);
	if (r)
		return r == -ENOENT ? 0 : r;
	if (!was.gone)
		return 0;
	now = (struct hist_object){ .id = id, .entries = was.entries };
	return hist_object_put(t, &was, &now);
}
