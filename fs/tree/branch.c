/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing versions. The rules are those of the merge (FORMAT.md, "Rows", and
 * PROTOCOL.md, "Merge"):
 *
 *  - a content write replaces its own branch and what is hidden under it
 *    (and the branches that it settles), never another;
 *  - where a policy hides some of them (info.h), it replaces of these what
 *    the writer's node knew of when he wrote;
 *  - with no other branch known, rank and branch are the write's own; else
 *    the rank is the greatest of those replaced and the branch the displayed
 *    tag, with a level that keeps the order: a save never changes who is
 *    main, nor a name, not even with a slow clock;
 *  - KEEP: an edit adds a weak LINK for each shown name, so that it survives
 *    a removal that had not seen it;
 *  - main asserted again is no edit: who edits it at the same time, not
 *    knowing that, goes on with it. The line is main's; of what was removed
 *    beside it it says that it was seen.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/tree/base.h"

void row_drop(struct row *row, uint8_t reg, uint64_t slot)
{
	for (size_t k = row->o.count; k-- > 0;) {
		const struct version *v = &row->o.versions[k];

		if (v->reg == reg &&
		    (reg != REG_LINK || v->link.slot == slot))
			object_remove(&row->o, k);
	}
}

/* A TOMB goes when somebody who has it names the object; a directory's only
 * when he places it: it tells who did so without having seen the removal
 * (returned.c). */
int row_add(struct row *row, const struct version *v)
{
	if (v->reg == REG_LINK &&
	    (!(v->flags & VERSION_WEAK) || v->link.slot != SLOT_DIR))
		row_drop(row, REG_TOMB, 0);
	return object_add(&row->o, v) ? 0 : -ENOMEM;
}

int row_set_times(struct tree *t, struct row *row, struct timespec mtime,
		  struct timespec btime)
{
	struct version v;

	op_tick(t);
	v = op_version(t, REG_TIMES);
	v.times.mtime = mtime;
	v.times.btime = btime;
	row_drop(row, REG_TIMES, 0);
	return row_add(row, &v);
}

/* ---- content */

static int entry_descending(const void *a, const void *b)
{
	return -entry_name_compare(a, b);
}

struct entry_name version_repeated(const struct version *v)
{
	return v->flags & VERSION_AGAIN && v->content.anc_count
		       ? v->content.anc[0]
		       : version_entry_name(v);
}

/* What is older than the newest ancestors, all[0..n), and those of what was
 * older than theirs: base.c chooses. */
static int make_far(struct tree *t, struct row *row,
		    const struct version *const *line, size_t count,
		    const struct entry_name *all, size_t n,
		    struct content_value *c)
{
	struct dot *old;
	size_t out = 0;

	old = object_alloc(&row->o, (n + count * FAR_MAX + 1) * sizeof(*old));
	c->far = object_alloc(&row->o, FAR_MAX * sizeof(*c->far));
	if (!old || !c->far)
		return -ENOMEM;
	for (size_t k = 0; k < n; k++)
		if (!entry_names_have(c->anc, c->anc_count, &all[k]))
			old[out++] = all[k].dot;
	for (size_t k = 0; k < count; k++)
		for (size_t a = 0; a < line[k]->content.far_count; a++)
			old[out++] = line[k]->content.far[a];
	c->far_count = base_choose_far(t, old, out, c->far);
	return 0;
}

/*
 * Newest ancestors: what is replaced, and what that had replaced. A version
 * that stands alone names fewer, which keeps rows short: ancestors only tell
 * that of two versions one undoes, and two lines that are longer are then
 * both shown. The newest without a gap: with one, the base found could be an
 * older one than there is, and what undoes that would be taken for what was
 * left unchanged, and hidden.
 */
static int make_trail(struct tree *t, struct row *row,
		      const struct version *const *line, size_t count,
		      bool alone, const struct version *again,
		      struct content_value *c)
{
	const size_t max = !alone  ? ANCESTORS_MAX
			   : again ? ANCESTORS_AGAIN
				   : ANCESTORS_ALONE;
	struct entry_name *all, *anc;
	size_t n = 0, out = 0;

	all = object_alloc(&row->o, (count * (ANCESTORS_RESTAMPED_MAX + 1) +
				     1) * sizeof(*all));
	anc = object_alloc(&row->o, ANCESTORS_MAX * sizeof(*anc));
	if (!all || !anc)
		return -ENOMEM;
	for (size_t k = 0; k < count; k++) {
		const struct content_value *v = &line[k]->content;

		if (!again || !(line[k]->flags & VERSION_AGAIN))
			all[n++] = version_entry_name(line[k]);
		for (size_t a = 0; a < v->anc_count; a++)
			all[n++] = v->anc[a];
	}
	if (n > 1)
		qsort(all, n, sizeof(*all), entry_descending);
	if (again)
		anc[out++] = version_repeated(again);
	for (size_t k = 0; k < n && out < max; k++)
		if (!entry_names_have(anc, out, &all[k]))
			anc[out++] = all[k];
	c->anc = anc;
	c->anc_count = out;
	return make_far(t, row, line, count, all, n, c);
}

static bool among(const struct version *const *list, size_t n,
		  const struct version *v)
{
	for (size_t k = 0; k < n; k++)
		if (list[k] == v)
			return true;
	return false;
}

static void add_seen(struct content_value *c, struct entry_name e)
{
	if (c->seen_count < SEEN_MAX &&
	    !entry_names_have(c->anc, c->anc_count, &e))
		c->seen[c->seen_count++] = e;
}

/*
 * What the writer saw beside the line that he goes on with. (Of what he may
 * not have seen this only says: it is no mere undoing, show both.) With what
 * he replaced all the same, here what that was made from: to have chosen
 * against it is to have chosen against all of it.
 */
static int make_seen(struct row *row, const struct info *i,
		     const struct version *const *gone, size_t line,
		     size_t count, struct content_value *c)
{
	size_t n = 0;

	for (size_t g = 0; g < i->branch_count; g++)
		n += i->branches[g].count * (SEEN_BEHIND + 1);
	c->seen = object_alloc(&row->o, (n + 1) * sizeof(*c->seen));
	if (!c->seen)
		return -ENOMEM;
	for (size_t g = 0; g < i->branch_count; g++)
		for (size_t k = 0; k < i->branches[g].count; k++) {
			const struct version *v = i->branches[g].versions[k];

			if (!among(gone, line, v))
				add_seen(c, version_entry_name(v));
		}
	for (size_t k = line; k < count; k++)
		for (size_t a = 0; a < gone[k]->content.anc_count &&
				   a < SEEN_BEHIND; a++)
			add_seen(c, gone[k]->content.anc[a]);
	return 0;
}

static bool branch_replaced(const struct branch *x, const struct branch *b,
			    const struct content_write *w)
{
	if (x == b)
		return true;
	for (size_t k = 0; k < w->over_count; k++)
		if (w->over[k] == x)
			return true;
	return false;
}

/*
 * Another branch may stay with this very rank. Main goes above it; a sibling
 * too, but below what is above it: halfway, or main might be another.
 */
static void untie(const struct info *i, const struct branch *b,
		  const struct content_write *w, struct stamp *rank)
{
	const struct stamp *above = NULL;
	int64_t room = LEVEL_STEP;
	bool tied = false;

	for (size_t k = 0; k < i->branch_count; k++) {
		const struct stamp *x = &i->branches[k].top->content.rank;
		int order = stamp_compare(x, rank);

		if (branch_replaced(&i->branches[k], b, w))
			continue;
		tied |= !order;
		if (order > 0 && (!above || stamp_compare(x, above) < 0))
			above = x;
	}
	if (above && above->hlc == rank->hlc &&
	    dot_equal(above->dot, rank->dot))
		room = above->level - rank->level;
	if (tied && branch_replaced(&i->branches[0], b, w))
		rank->level += LEVEL_STEP;
	else if (tied)
		rank->level += room / 2;
}

void rank_above(struct stamp *rank, const struct stamp *other)
{
	if (stamp_compare(other, rank) < 0)
		return;
	*rank = *other;
	rank->level += LEVEL_STEP;
}

static void make_rank(struct tree *t, const struct info *i,
		      const struct branch *b, const struct content_write *w,
		      struct content_value *c)
{
	bool is_main = b == &i->branches[0];
	struct stamp rank;

	c->rank = op_stamp(t);
	c->branch = t->op_dot;
	c->branch_hlc = t->op_hlc;
	c->label = c->author = tree_label_slice(t);
	/* (nor does it become a sibling of what is hidden, should that show) */
	for (size_t k = 0; k < i->hidden_count; k++)
		rank_above(&c->rank,
			   &i->branches[i->branch_count + k].top->content.rank);
	if (!b && w->leads) {
		/* Over what is shown until main's next content is here: the
		 * name goes on to show what its user made of it. */
		rank = i->branches[0].top->content.rank;
		rank.level += LEVEL_STEP;
		if (stamp_compare(&rank, &c->rank) > 0)
			c->rank = rank;
		return;
	}
	if (i->branch_count < 2 && !w->reopened)
		return;
	if (!b) {
		/* Made from what others replaced, beside an open conflict:
		 * one more sibling, whatever the clock says. */
		c->rank = i->branches[0].top->content.rank;
		c->rank.level -= LEVEL_STEP;
		return;
	}
	rank = b->top->content.rank;
	for (size_t k = 0; k < w->over_count; k++)
		if (stamp_compare(&w->over[k]->top->content.rank, &rank) > 0)
			rank = w->over[k]->top->content.rank;
	if (!is_main && !w->over_count &&
	    !stamp_compare(&rank, &i->branches[0].top->content.rank)) {
		rank.level -= LEVEL_STEP;
	} else if (w->reopened) {
		rank_above(&rank, w->reopened);
	} else {
		untie(i, b, w, &rank);
	}
	c->rank = rank;
	c->branch = b->tag;
	c->branch_hlc = b->tag_hlc;
	c->label = b->label;
}

int row_keep(struct tree *t, struct row *row, const struct info *i)
{
	struct version *keep;
	size_t n = 0;
	int r = 0;

	op_tick(t);
	keep = calloc(i->shown_count + 1, sizeof(*keep));
	if (!keep)
		return -ENOMEM;
	for (size_t k = 0; k < i->shown_count; k++) {
		const struct version *link = i->links[k].link;

		if (dot_equal(link->dot, t->op_dot))
			continue;
		keep[n] = op_version(t, REG_LINK);
		keep[n].flags = VERSION_WEAK;
		keep[n++].link = link->link;
	}
	for (size_t x = row->o.count; x-- > 0;) {
		const struct version *v = &row->o.versions[x];

		for (size_t k = 0; k < n && v->reg == REG_LINK; k++)
			if (v->flags & VERSION_WEAK &&
			    v->link.slot == keep[k].link.slot) {
				object_remove(&row->o, x);
				break;
			}
	}
	for (size_t k = 0; !r && k < n; k++)
		r = row_add(row, &keep[k]);
	free(keep);
	return r;
}

/* Adds the base itself to the n versions that go, if it is still there,
 * hidden under another content. */
static size_t live_base(const struct info *i, const struct version *base,
			const struct version **gone, size_t n)
{
	for (size_t g = 0; g < i->branch_count + i->hidden_count; g++)
		for (size_t k = 0; k < i->branches[g].count; k++) {
			const struct version *v = i->branches[g].versions[k];

			if (version_same(v, base) && !among(gone, n, v)) {
				gone[n] = v;
				return 1;
			}
		}
	return 0;
}

static int drop_versions(struct row *row, struct version *const copies,
			 size_t count)
{
	for (size_t k = 0; k < count; k++) {
		int at = object_find(&row->o, &copies[k]);

		if (at < 0)
			return -EUCLEAN;
		object_remove(&row->o, (size_t)at);
	}
	return 0;
}

/* What a write replaces: its own branch, then the others. */
static size_t branches_gone(const struct info *i, const struct branch *b,
			    const struct content_write *w,
			    const struct version **gone)
{
	size_t n = 0;

	for (size_t k = 0; b && k < b->count; k++)
		gone[n++] = b->versions[k];
	for (size_t g = 0; g < i->branch_count; g++)
		if (&i->branches[g] != b &&
		    branch_replaced(&i->branches[g], b, w))
			for (size_t k = 0; k < i->branches[g].count; k++)
				gone[n++] = i->branches[g].versions[k];
	for (size_t g = 0; w->known && g < i->hidden_count; g++) {
		const struct branch *x = &i->branches[i->branch_count + g];

		for (size_t k = 0; k < x->count; k++)
			if (object_find(w->known, x->versions[k]) >= 0)
				gone[n++] = x->versions[k];
	}
	return n;
}

/* Is the branch that is written the only one, or settles all? */
static bool stands_alone(const struct info *i, const struct branch *b,
			 const struct content_write *w)
{
	for (size_t g = 0; g < i->branch_count; g++)
		if (!branch_replaced(&i->branches[g], b, w))
			return false;
	return !i->hidden_count || w->known;
}

/* What is replaced may be what others go on from; so may what this was made
 * from, though it was replaced before. */
static int note_bases(struct tree *t, struct row *row, const struct info *i,
		      const struct version *gone, size_t n,
		      const struct version *base)
{
	int r = 0;

	if (t->alone && i->branch_count + i->hidden_count < 2)
		return 0;
	for (size_t k = 0; !r && k < n; k++)
		r = base_note(t, row->o.id, &gone[k]);
	return r || !base ? r : base_note(t, row->o.id, base);
}

int branch_write(struct tree *t, struct row *row, const struct info *i,
		 const struct branch *b, const struct version *base,
		 const struct content_write *w)
{
	const struct version **gone;
	autofree struct version *copies = NULL;
	struct version v;
	size_t n, line;
	int r;

	op_tick(t);
	gone = object_alloc(&row->o, (row->o.count + 2) * sizeof(*gone));
	copies = calloc(row->o.count + 1, sizeof(*copies));
	if (!gone || !copies)
		return -ENOMEM;
	n = branches_gone(i, b, w, gone);
	if (!b && base)
		n += live_base(i, base, gone, n);
	v = op_version(t, REG_CONTENT);
	if (w->content)
		v.content.content = *w->content;
	else
		v.flags = VERSION_VOID;
	v.content.mtime = w->mtime;
	if (w->leaves_count) {
		v.flags |= VERSION_AUTO;
		v.content.leaves = (struct dot *)w->leaves;
		v.content.leaves_count = w->leaves_count;
	}
	make_rank(t, i, b, w, &v.content);
	line = w->again ? b->count : n;
	/* Made from a version that others replaced meanwhile: its line goes
	 * on, and what is here now was not seen by the writer. */
	if (!b && base)
		gone[line++] = base;
	r = make_trail(t, row, gone, line, stands_alone(i, b, w),
		       w->again ? b->top : NULL, &v.content);
	if (!r)
		r = make_seen(row, i, gone, line, n, &v.content);
	if (w->again) {
		/* (whose decision it was, it stays) */
		v.flags = VERSION_AGAIN;
		if (!w->over_count && b->top->flags & VERSION_AUTO) {
			v.flags |= VERSION_AUTO;
			v.content.leaves = b->top->content.leaves;
			v.content.leaves_count = b->top->content.leaves_count;
		}
	}
	if (w->reopened)
		v.flags |= VERSION_REOPENED;
	for (size_t k = 0; k < n; k++)
		copies[k] = *gone[k];
	if (!r)
		r = note_bases(t, row, i, copies, n, b ? NULL : base);
	if (!r && w->keep)
		r = row_keep(t, row, i);
	if (!r)
		r = drop_versions(row, copies, n);
	if (!r)
		r = row_add(row, &v);
	return r ? r : base_trim(t, &row->o);
}

/* ---- names */

int row_place(struct tree *t, struct row *row, const struct info *i,
	      uint64_t slot, struct place at, bool remember,
	      const struct stamp *since)
{
	struct version v, *others;
	size_t n = 0;
	int r = 0;

	others = object_alloc(&row->o, (i ? i->link_count + 1 : 1) *
					       sizeof(*others));
	if (!others)
		return -ENOMEM;
	op_tick(t);
	v = op_version(t, REG_LINK);
	v.link.slot = slot;
	v.link.at = at;
	v.link.since = since ? *since : op_stamp(t);
	v.link.label = tree_label_slice(t);
	for (size_t k = 0; i && k < i->link_count; k++) {
		const struct link_value *old = &i->links[k].link->link;

		/* (only directories are put back, from cycles) */
		if (i->links[k].slot == slot) {
			if (!remember || i->kind != KIND_DIR)
				continue;
			v.link.prev[0] = old->at;
			v.link.prev_count = 1;
			for (int p = 0; p < old->prev_count &&
					v.link.prev_count < LINK_PREV_MAX; p++)
				v.link.prev[v.link.prev_count++] =
					old->prev[p];
		} else if (!i->strong && k < i->shown_count) {
			/* Shown by weak slots only: a strong one beside them
			 * would hide them, so they are asserted too. */
			others[n] = op_version(t, REG_LINK);
			others[n++].link = *old;
		}
	}
	row_drop(row, REG_LINK, slot);
	for (size_t k = 0; k < n; k++)
		row_drop(row, REG_LINK, others[k].link.slot);
	for (size_t k = 0; !r && k < n; k++)
		r = row_add(row, &others[k]);
	return r ? r : row_add(row, &v);
}
