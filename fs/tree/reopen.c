/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A settlement is taken back: the conflict is open again, as it was.
 *
 * What was shown is in the record of hist_settled.c, whole versions. Each
 * comes again as a re-stamped one: under a new dot, for the old one is known
 * to be replaced, but with its rank, ancestors and the branch by which it was
 * named, so that main is main, siblings have their names, and a merge of them
 * has the base that it had. What the settlement made goes (it is in the
 * history now), unless it is main's content that stayed: then main is
 * asserted again, above all that comes.
 *
 * All that comes again has *seen* the settlement, and what that repeats:
 * somebody who goes on from there at the same time has made one more content,
 * and neither is taken for an undoing of the other. So it repeats nothing
 * itself any more, nor is it automatic, even if it was: somebody wants to see
 * it. And it
 * is marked as reopened, until somebody writes beside it what it has not
 * seen: a policy or a hook that settled it would do so again.
 */
#include "fs/tree/reopen.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/tree/base.h"
#include "fs/tree/hist.h"
#include "fs/tree/op.h"

struct reopen {
	struct tree *t;
	struct row *row;
	struct hist_settled s;
	bool stays;		/* main has the content that it had */
	/* Made before the row is changed, which moves what infos borrow. */
	struct version *come, *gone;
	size_t come_count, gone_count;
};

/* ---- what comes again */

static void see_one(struct content_value *c, struct entry_name e)
{
	if (c->seen_count < SEEN_MAX &&
	    !entry_names_have(c->seen, c->seen_count, &e))
		c->seen[c->seen_count++] = e;
}

/* The settlement was seen, and all that is beside it. */
static int see(struct reopen *x, const struct info *now,
	       struct content_value *c)
{
	const struct content_value old = *c;

	c->seen = object_alloc(&x->row->o, SEEN_MAX * sizeof(*c->seen));
	c->seen_count = 0;
	if (!c->seen)
		return -ENOMEM;
	for (size_t g = 0; g < now->branch_count; g++)
		for (size_t k = 0; k < now->branches[g].count; k++) {
			const struct version *v = now->branches[g].versions[k];

			see_one(c, version_entry_name(v));
			see_one(c, version_repeated(v));
		}
	for (size_t k = 0; k < old.seen_count; k++)
		see_one(c, old.seen[k]);
	return 0;
}

/* Of what is beside main; NULL: nothing is. */
static const struct stamp *highest(const struct info *now)
{
	return now->branch_count > 1 ? &now->branches[1].top->content.rank
				     : NULL;
}

static int put_back(struct reopen *x, const struct info *now,
		    const struct branch *of, const struct version *old,
		    bool leads)
{
	struct version v = *old;
	int r;

	if (!content_complete(x->t, &v.content.content))
		return -ENODATA;
	v.flags &= ~(VERSION_AGAIN | VERSION_AUTO);
	v.flags |= VERSION_REOPENED;
	v.content.leaves_count = 0;
	r = base_note(x->t, x->row->o.id, old);
	if (!r)
		r = restamp_trail(&x->row->o, &v);
	if (!r)
		r = see(x, now, &v.content);
	if (leads && highest(now))
		rank_above(&v.content.rank, highest(now));
	/* (a name made of its dot would be another now) */
	if (old == of->top) {
		v.content.branch = of->tag;
		v.content.branch_hlc = of->tag_hlc;
		v.content.label = of->label;
	}
	x->come[x->come_count++] = v;
	return r;
}

static bool comes(const struct reopen *x, const struct info *now,
		  const struct version *v)
{
	return !(v->flags & VERSION_VOID) && object_find(&x->row->o, v) < 0 &&
	       !(x->stays && branch_has_content(&now->branches[0],
						&v->content.content));
}

static int choose_come(struct reopen *x, const struct info *was,
		       const struct info *now)
{
	int r = 0;

	x->come = object_alloc(&x->row->o,
			       (x->s.before.count + 1) * sizeof(*x->come));
	if (!x->come)
		return -ENOMEM;
	/* (of one rank the later dot goes first) */
	for (size_t g = was->branch_count; g-- > 0;) {
		const struct branch *b = &was->branches[g];

		for (size_t k = b->count; !r && k-- > 0;)
			if (comes(x, now, b->versions[k]))
				r = put_back(x, now, b, b->versions[k],
					     !g && b->versions[k] == b->top);
	}
	return r || x->come_count ? r : -ENOENT;
}

/* ---- what goes */

static int choose_gone(struct reopen *x, const struct branch *main)
{
	int r = 0;

	x->gone = object_alloc(&x->row->o, main->count * sizeof(*x->gone));
	if (!x->gone)
		return -ENOMEM;
	for (size_t k = 0; !r && !x->stays && k < main->count; k++) {
		const struct version *v = main->versions[k];

		if (object_find(&x->s.before, v) >= 0)
			continue;
		r = base_note(x->t, x->row->o.id, v);
		x->gone[x->gone_count++] = *v;
	}
	return r;
}

/* ---- the operation */

/* Main's content stays; it is asserted again, to bear the mark. */
static int mark_main(struct reopen *x, const struct info *now)
{
	const struct branch *main = &now->branches[0];
	struct content_write w = { .content = &main->top->content.content,
				   .mtime = main->top->content.mtime,
				   .again = true, .keep = true };

	w.reopened = highest(now);
	for (size_t k = 0; k < x->come_count; k++) {
		const struct stamp *r = &x->come[k].content.rank;

		if (!w.reopened || stamp_compare(r, w.reopened) > 0)
			w.reopened = r;
	}
	return branch_write(x->t, x->row, now, main, NULL, &w);
}

static int write_row(struct reopen *x, const struct info *now)
{
	int r = x->stays ? mark_main(x, now) : row_keep(x->t, x->row, now);

	for (size_t k = 0; !r && k < x->gone_count; k++) {
		int at = object_find(&x->row->o, &x->gone[k]);

		if (at < 0)
			return -EUCLEAN;
		object_remove(&x->row->o, (size_t)at);
	}
	for (size_t k = 0; !r && k < x->come_count; k++) {
		op_tick_again(x->t);
		x->come[k].dot = x->t->op_dot;
		r = row_add(x->row, &x->come[k]);
	}
	return r;
}

static int reopen_row(struct reopen *x, const struct info *was,
		      const struct info *now)
{
	struct timespec mtime, btime;
	int r;

	if (!was->branch_count || !now->branch_count)
		return -ENOENT;
	/* (not seen: not to be replaced) */
	if (x->row->has_prior)
		return -EAGAIN;
	mtime = btime = was->branches[0].top->content.mtime;
	if (now->times)
		btime = now->times->times.btime;
	x->stays = branch_has_content(&now->branches[0],
				      &was->branches[0].top->content.content);
	r = choose_come(x, was, now);
	if (!r)
		r = choose_gone(x, &now->branches[0]);
	/* Handles keep what they show. */
	if (!r && !x->stays)
		r = data_detach(x->t, x->row,
				row_shown_content(x->row, now));
	if (!r)
		r = write_row(x, now);
	if (!r && !x->stays)
		r = row_set_times(x->t, x->row, mtime, btime);
	if (!r)
		r = base_trim(x->t, &x->row->o);
	return r ? r : hist_settled_del(x->t, x->row->o.id);
}

/* By one that came again. */
static bool was_seen(const struct info *i, const struct version *v)
{
	struct entry_name name = version_entry_name(v);

	for (size_t g = 0; g < i->branch_count; g++)
		for (size_t k = 0; k < i->branches[g].count; k++) {
			const struct version *x = i->branches[g].versions[k];

			if (x->flags & VERSION_REOPENED &&
			    entry_names_have(x->content.seen,
					     x->content.seen_count, &name))
				return true;
		}
	return false;
}

bool is_reopened(const struct info *i)
{
	for (size_t k = 0; k < i->branch_count; k++) {
		const struct version *v = i->branches[k].top;

		if (!i->branches[k].is_void &&
		    !(v->flags & VERSION_REOPENED) && !was_seen(i, v))
			return false;
	}
	return true;
}

int settlement_reopen(struct tree *t, struct objid id)
{
	struct reopen x = { .t = t };
	struct info was = { 0 }, now = { 0 };
	struct row row;
	int r = row_load(t, id, &row);

	if (r)
		return r;
	x.row = &row;
	r = info_init(&now, &row.o);
	if (!r)
		r = remove_twins_of(t, &row, &now);
	if (!r) {
		r = hist_settled_get(t, id, &x.s);
		if (!r)
			r = info_init(&was, &x.s.before);
		if (!r)
			r = reopen_row(&x, &was, &now);
		info_release(&was);
		if (!r)
			r = row_store(t, &row, 0);
		hist_settled_release(&x.s);
	}
	info_release(&now);
	row_release(&row);
	return r;
}
