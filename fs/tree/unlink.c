/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Removing: of a name, of a sibling, of main beside siblings.
 *
 *  - It always writes: a TOMB, a void, or main asserted again. What only took
 *    versions away would be lost on its way through a relay.
 *  - Removing one of several names says nothing of contents: the file is gone
 *    when each of its names was removed, be it at different nodes, also with
 *    a sibling that only one of them had seen. (A keep-stamp that moved on to
 *    the names left would bring back what two who saw all had removed.)
 *  - A rename or a link of a file in conflict asserts main, too: else rm of
 *    main elsewhere would take from the name what it was given for.
 */
#include <errno.h>

#include "fs/tree/saves.h"

/* Removals with less between them belong to one rm -r. */
#define REMOVAL_GAP_MS 3000

/* hlc of the first of the unbroken run of removals that goes on now. */
static uint64_t removal_run(struct tree *t)
{
	if ((t->op_hlc >> 16) - (t->removed_hlc >> 16) > REMOVAL_GAP_MS)
		t->removal_run_hlc = t->op_hlc;
	t->removed_hlc = t->op_hlc;
	return t->removal_run_hlc;
}

/* Drops the LINKs of one slot, or all, and leaves a TOMB for `last`. */
static int unlink_slots(struct tree *t, struct row *row, bool all,
			uint64_t slot, const struct link_value *last)
{
	struct version tomb;

	op_tick(t);
	tomb = op_version(t, REG_TOMB);
	tomb.tomb.link = *last;
	tomb.tomb.run = removal_run(t);
	for (size_t k = row->o.count; k-- > 0;) {
		const struct version *v = &row->o.versions[k];

		if (v->reg == REG_TOMB ||
		    (v->reg == REG_LINK && (all || v->link.slot == slot)))
			object_remove(&row->o, k);
	}
	return row_add(row, &tomb);
}

int row_unlink_slot(struct tree *t, struct row *row, const struct info *i,
		    uint64_t slot)
{
	const struct version *link = NULL;
	bool last = true;

	for (size_t k = 0; k < i->link_count; k++) {
		if (i->links[k].slot == slot)
			link = i->links[k].link;
		else if (k < i->shown_count)
			last = false;
	}
	if (!link)
		return -EUCLEAN;
	return unlink_slots(t, row, last, slot, &link->link);
}

static int row_unlink_all(struct tree *t, struct row *row,
			  const struct info *i)
{
	return unlink_slots(t, row, true, 0, &i->links[0].link->link);
}

/* ---- rm of an entry */

/* Main's content once more: a removal of a sibling is a dotted version. */
static int reassert_main(struct tree *t, struct row *row,
			 const struct info *i, const struct branch *without)
{
	const struct branch *main = &i->branches[0];
	struct content_write w = {
		.content = main->is_void ? NULL : &main->top->content.content,
		.mtime = main->top->content.mtime, .again = !main->is_void,
		.over = &without, .over_count = without ? 1 : 0 };

	return branch_write(t, row, i, main, NULL, &w);
}

/* Does the policy here show another than main of all? By the name that is
 * given no other policy may hold, and it is to show the same. */
static bool is_chosen_only(const struct info *i)
{
	for (size_t k = 0; k < i->hidden_count; k++)
		if (stamp_compare(
			    &i->branches[i->branch_count + k].top->content.rank,
			    &i->branches[0].top->content.rank) >= 0)
			return true;
	return false;
}

int row_repeat_main(struct tree *t, struct row *row)
{
	struct info i;
	int r = info_init(&i, &row->o);

	if (r)
		return r;
	/* (one that is on its way is not what is named here) */
	if (!i.branch_count || i.branches[0].is_void || row->has_prior) {
		info_release(&i);
		return 0;
	}
	if (i.branch_count > 1 || is_chosen_only(&i))
		r = reassert_main(t, row, &i, NULL);
	info_release(&i);
	return r;
}

/* With one content left its time is the file's: of the others' nothing is
 * left to be chosen from. */
static int settle_times(struct tree *t, struct row *row, const struct info *i)
{
	struct timespec mtime = i->branches[0].top->content.mtime;
	size_t n = 0;

	for (size_t k = 0; k < row->o.count; k++)
		n += row->o.versions[k].reg == REG_TIMES;
	if (n < 2 || i->real_count > 1 || i->branches[0].is_void)
		return 0;
	return row_set_times(t, row, mtime, i->times->times.btime);
}

static int remove_sibling(struct tree *t, struct row *row,
			  const struct info *i, struct dot tag)
{
	const struct branch *b = info_branch(i, tag);
	struct info now;
	int r;

	if (!b)
		return -ENOENT;
	if (i->real_count < 2)
		return row_unlink_all(t, row, i); /* its last content */
	r = reassert_main(t, row, i, b);
	if (r)
		return r;
	r = info_init(&now, &row->o);
	if (!r)
		r = settle_times(t, row, &now);
	info_release(&now);
	return r;
}

static int remove_file(struct tree *t, struct row *row, const struct info *i,
		       uint64_t slot)
{
	struct content_write w = { .content = NULL };

	if (i->real_count > 1 && i->shown_count == 1) {
		w.mtime = tree_now(t);
		return branch_write(t, row, i, &i->branches[0], NULL, &w);
	}
	return row_unlink_slot(t, row, i, slot);
}

/* Its number is the handles' now: should the branch come back, by somebody
 * who wrote it meanwhile, it gets another. */
int sibling_detach(struct tree *t, struct objid id, const struct branch *b)
{
	uint64_t ino;
	int r = ino_of_sibling(t, id, b->tag, &ino);

	if (!r)
		r = ino_detach(t, ino, id, b->top);
	if (!r && inode_find(t, ino))
		r = ino_forget_sibling(t, id, b->tag);
	return r;
}

/*
 * Another content is on its way, and this is what is shown until then: that
 * goes, and nothing else; who removes it has not seen the other.
 */
static int remove_prior(struct tree *t, struct row *row, const struct info *i)
{
	const struct branch *b = row_prior_branch(row, i);
	uint64_t ino = row->ino;
	int r = data_detach(t, row, row_shown_content(row, i));

	if (!r)
		r = orphan_detached(t, ino, row);
	if (!r && b)
		r = reassert_main(t, row, i, b);
	row->has_prior = false;
	if (!r)
		r = row_store(t, row, 0);
	return r ? r : dirty_unlink(t, ino);
}

/* A file that only this store's open group holds, and nobody has open,
 * leaves no trace: an editor's probe or lock. (Nobody is told that a FIFO is
 * open; who has it asks for its attributes still.) */
static int remove_traceless(struct tree *t, const struct shown *s,
			    struct row *row, const struct info *i)
{
	int r;

	if (s->type == SHOWN_SIBLING || i->link_count != 1 ||
	    i->branch_count != 1 || inode_find(t, row->ino) ||
	    kind_is_special(i->kind) || !row_is_here_only(t, row))
		return 0;
	r = file_leave_number(t, row, i);
	if (!r)
		r = row_erase(t, row);
	return r ? r : 1;
}

static int remove_one(struct tree *t, const struct shown *s, struct objid id,
		      uint64_t slot)
{
	uint64_t ino;
	struct row row;
	struct info i;
	bool last;
	int r = row_load(t, id, &row);

	if (r)
		return r;
	r = info_init(&i, &row.o);
	if (r) {
		row_release(&row);
		return r;
	}
	r = remove_traceless(t, s, &row, &i);
	if (r) {
		info_release(&i);
		row_release(&row);
		return MIN_OF(r, 0);
	}
	ino = row.ino;
	/* With other names left nothing goes but the name. */
	last = s->type == SHOWN_SIBLING || i.shown_count == 1;
	if (row.has_prior && last && s->type != SHOWN_SIBLING) {
		r = remove_prior(t, &row, &i);
		info_release(&i);
		row_release(&row);
		return r;
	}
	if (s->type == SHOWN_SIBLING)
		r = ino_of_sibling(t, id, s->tag, &ino);
	/* Handles go on with what they have, whatever main is from now on. */
	if (!r && s->type == SHOWN_SIBLING && info_branch(&i, s->tag))
		r = sibling_detach(t, id, info_branch(&i, s->tag));
	else if (!r && i.real_count > 1 && last)
		r = data_detach(t, &row, row_shown_content(&row, &i));
	if (!r && last)
		r = orphan_detached(t, ino, &row);
	if (!r && s->type == SHOWN_SIBLING)
		r = remove_sibling(t, &row, &i, s->tag);
	else if (!r)
		r = remove_file(t, &row, &i, slot);
	info_release(&i);
	if (!r)
		r = row_store(t, &row, 0);
	if (last && ino == row.ino && objid_equal(id, s->id))
		t->op_removed = ino;
	row_release(&row);
	return r || !last ? r : dirty_unlink(t, ino);
}

/* Twins are one entry: removing it removes each. */
int entry_remove(struct tree *t, const struct shown *s)
{
	struct place_view p;
	size_t head;
	int r;

	if (s->type == SHOWN_SIBLING)
		return remove_one(t, s, s->id, s->slot);
	r = place_view_at(t, s->link.parent, spot_name(&s->link), &p);
	if (r)
		return r;
	head = place_head(&p, s->id, s->slot);
	if (head == SIZE_MAX)
		r = -ENOENT;
	for (size_t k = 0; !r && k < p.holder_count; k++)
		if (p.files[k].head == head)
			r = remove_one(t, s, p.files[k].id,
				       p.files[k].claim.slot);
	place_view_release(&p);
	return r;
}
