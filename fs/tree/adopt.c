/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A temporary renamed over its target. Editors save so: they write another
 * file and rename it over the one that people know. To take that literally
 * would be to remove a file and make another at each save: whoever edits it
 * elsewhere meanwhile would edit a removed file, and it would lose its
 * identity and its base for merging. So the target
 * *adopts*: it gets the content of the temporary as a new version of its
 * own, and the temporary's row goes without a trace, if nobody but this
 * store's open group holds it. If somebody may (a peer was sent it, or a
 * commit has it, and a copy of the store may be put back one day), it is
 * removed as any file, with a TOMB: a row that vanished would be there for
 * ever at whoever holds it, at equal knowledge.
 *
 * What is saved is what the name shows: main, or a sibling. All else fares as
 * with a write in place: other siblings, what a policy hides, what is still
 * on its way. So a file in conflict stays in conflict, and the conflict can
 * be settled by the file's name. (To move the temporary there as any file
 * would take main for removed, and leave the siblings beside a stranger; over
 * a sibling it would settle the conflict for main, unasked.) Mode, owner and
 * extended attributes are the file's, and come with main only: then all of
 * them, since a program that asks is to find what it renamed.
 *
 * It is the writer who decides, and rows carry only the result: nodes cannot
 * differ in what they take for a save.
 *
 * Numbers: the kernel moves the temporary's inode to the target's name, and
 * programs expect stat(2) to show it there, so the number goes to the target
 * object. Handles of the temporary write to the file now named so; handles
 * of the target keep the old content and attributes, which have no name, as
 * POSIX says (orphan.c).
 *
 * Unsent writes of the temporary (it is renamed before its close, or the
 * close is still on its way) become unsent writes of the target, based on
 * the version that is shown there: no half-written version is made. That
 * works only while nothing of the temporary's own base is left in them; else
 * a version of them is made first (begin_adopting).
 */
#include <errno.h>

#include "fs/base/log.h"
#include "fs/tree/dirty.h"
#include "fs/tree/op.h"
#include "fs/tree/saves.h"
#include "fs/tree/xattr_local.h"

/* ---- what may be adopted by what */

bool row_is_here_only(const struct tree *t, const struct row *row)
{
	/* (its dots do not tell: what was written again has new ones) */
	if (!row->born)
		return false;
	for (size_t k = 0; k < row->o.count; k++) {
		struct dot dot = row->o.versions[k].dot;

		if (dot.origin != t->origin || dot.seq <= t->held_seq)
			return false;
	}
	return row->o.count;
}

/* (Not here is what would have to be shown until it comes: nobody who saves
 * it has seen it.) */
bool row_may_be_saved(const struct row *row, const struct info *i)
{
	return row->exists && i->kind == KIND_FILE && i->link_count == 1 &&
	       i->shown_count == 1 && info_holds_name(i) && !row->absent;
}

/* (What a policy hides would have to go where the content goes.) */
bool row_is_simple(const struct row *row, const struct info *i)
{
	return row_may_be_saved(row, i) && i->branch_count == 1 &&
	       !i->hidden_count && !row->pending && !row->has_prior;
}

static const struct version *birth_of(const struct row *row)
{
	for (size_t k = 0; k < row->o.count; k++)
		if (row->o.versions[k].reg == REG_KIND)
			return &row->o.versions[k];
	return NULL;
}

/* (ages are of clocks that may jump: it is a guess, made here only) */
bool row_is_temporary(struct tree *t, const struct row *row,
		      const struct info *i, uint64_t young_ms)
{
	uint64_t now_ms = replica_hlc(t) >> 16;
	const struct version *v = birth_of(row);

	return row_is_simple(row, i) && v && v->dot.origin == t->origin &&
	       now_ms - MIN_OF(v->hlc >> 16, now_ms) < young_ms;
}

/* A temporary is made for what is there already. A file that is moved over a
 * younger one makes it its backup, as each save of some editors does. (What
 * was born in the future, by a clock that was wrong, is old.) */
static bool is_born_after(struct tree *t, const struct row *from,
			  const struct row *to)
{
	const struct version *a = birth_of(from), *b = birth_of(to);

	return !a || !b || b->hlc <= a->hlc || b->hlc > replica_hlc(t);
}

int dirty_is_whole(struct tree *t, uint64_t ino, bool *ret)
{
	const struct inode *i = inode_find(t, ino);
	struct dirty d;
	int r;

	*ret = true;
	if (!i || !i->dirty)
		return 0;
	r = dirty_get(t, ino, &d);
	if (r)
		return r;
	*ret = !d.kept && !d.unlinked && !i->cutting;
	dirty_release(&d);
	return 0;
}

/* ---- handing over */

/* It is an operation, though no row may be left that tells of it (the root
 * of who has just joined has none): the number that others know must not be
 * durable without it. */
int row_erase(struct tree *t, struct row *row)
{
	int r;

	op_tick(t);
	while (row->o.count)
		object_remove(&row->o, row->o.count - 1);
	r = row_store(t, row, 0);
	row->exists = false;
	if (!r)
		unsettled_drop(t, row->o.id);
	return r;
}

static struct timespec mtime_of(const struct info *i)
{
	return i->times ? i->times->times.mtime
			: i->branches[0].top->content.mtime;
}

/* Open for its first write, and nothing written yet: what is to come is
 * unsent writes, or the target would be empty for a moment, everywhere. */
static int start_empty(struct tree *t, const struct row *from,
		       const struct info *fi)
{
	const struct inode *i = inode_find(t, from->ino);
	struct dirty d;
	int r;

	if (!i || !i->fresh || !i->writers || i->dirty ||
	    fi->branches[0].top->content.content.size)
		return 0;
	r = dirty_begin(t, from->ino, &d);
	if (r)
		return r;
	d.mtime = mtime_of(fi); /* (nothing was written) */
	d.ctime_ns = from->ctime_ns;
	d.kept = d.size = 0;
	r = dirty_put(t, from->ino, &d);
	dirty_release(&d);
	t->saves_wrote = from->ino;
	return r ? r : 1;
}

static int hand_content(struct tree *t, struct row *to, const struct info *ti,
			const struct row *from, const struct info *fi)
{
	const struct inode *i = inode_find(t, from->ino);
	struct content_write w = { .keep = true };
	struct timespec btime = ti->times ? ti->times->times.btime
					  : tree_now(t);
	const struct version *base = row_shown_content(to, ti);
	int r = start_empty(t, from, fi);

	if (r < 0)
		return r;
	if (r || (i && i->dirty))
		return dirty_rebase(t, from->ino, to, ti, base);
	/* (while main is on its way, what is shown is all that was known) */
	w.known = to->has_prior ? NULL : &to->o;
	w.leads = to->has_prior;
	w.content = &fi->branches[0].top->content.content;
	w.mtime = mtime_of(fi);
	if (to->has_prior)
		r = branch_write(t, to, ti, NULL, base, &w);
	else if (branch_has_content(&ti->branches[0], w.content))
		/* Who saves what the file holds wants it to stay, too. */
		r = row_keep(t, to, ti);
	else
		r = branch_write(t, to, ti, &ti->branches[0], NULL, &w);
	return r ? r : row_set_times(t, to, w.mtime, btime);
}

/* What is handed over was not made when the target was. */
static int hand_atime(struct tree *t, const struct row *from,
		      const struct info *fi)
{
	struct atime own;
	int r = atime_load(t, from->ino, &own);

	if (r || own.known || !fi->times)
		return r;
	return atime_set(t, from->ino, fi->times->times.btime);
}

/* The same for a sibling, whose number it is from now on. */
static int sibling_hand_over(struct tree *t, struct row *to,
			     const struct info *ti, const struct branch *b,
			     const struct row *from, const struct info *fi)
{
	const struct inode *i = inode_find(t, from->ino);
	struct content_write w = {
		.keep = true, .known = &to->o, .mtime = mtime_of(fi),
		.content = &fi->branches[0].top->content.content };
	struct dot tag = b->tag;
	int r = start_empty(t, from, fi);

	if (r < 0)
		return r;
	if (r || (i && i->dirty))
		r = dirty_rebase(t, from->ino, to, ti, b->top);
	else if (branch_has_content(b, w.content))
		r = row_keep(t, to, ti);
	else
		r = branch_write(t, to, ti, b, NULL, &w);
	if (!r)
		r = hand_atime(t, from, fi);
	return r ? r : ino_put_sibling(t, from->ino, to->o.id, tag);
}

static int hand_attributes(struct tree *t, struct row *to,
			   const struct info *fi, bool mode, bool owner)
{
	struct version v;
	int r = 0;

	op_tick(t);
	if (mode) {
		v = op_version(t, REG_MODE);
		v.mode = fi->mode->mode;
		row_drop(to, REG_MODE, 0);
		r = row_add(to, &v);
	}
	if (!r && owner) {
		v = op_version(t, REG_OWNER);
		v.owner = fi->owner->owner;
		row_drop(to, REG_OWNER, 0);
		r = row_add(to, &v);
	}
	return r;
}

static bool mode_differs(const struct info *a, const struct info *b)
{
	return b->mode && (!a->mode ||
			   a->mode->mode.perm != b->mode->mode.perm ||
			   !slice_equal(a->mode->mode.acl, b->mode->mode.acl));
}

static bool owner_differs(const struct info *a, const struct info *b)
{
	return b->owner &&
	       (!a->owner ||
		!slice_equal(a->owner->owner.user, b->owner->owner.user) ||
		!slice_equal(a->owner->owner.group, b->owner->owner.group));
}

int file_hand_over(struct tree *t, struct row *to, const struct info *ti,
		   const struct row *from, const struct info *fi)
{
	struct inoref ref = { .type = INO_OBJECT, .id = to->o.id };
	/* (what the info points to moves with each write) */
	bool mode = mode_differs(ti, fi), owner = owner_differs(ti, fi);
	int r = hand_content(t, to, ti, from, fi);

	if (!r && (mode || owner))
		r = hand_attributes(t, to, fi, mode, owner);
	if (!r)
		r = xattrs_hand_over(t, to, fi);
	/* (a tag of what was there says nothing of what is there now: who
	 * wants it kept writes it, as on any file system) */
	if (!r)
		r = xattrs_drop_beyond(t, to, fi);
	if (!r)
		r = row_local_take(to, from);
	if (!r)
		r = hand_atime(t, from, fi);
	to->ino = from->ino;
	return r ? r : ino_put(t, to->ino, &ref);
}

int temporary_remove(struct tree *t, struct row *row, const struct info *i,
		     const struct row *to)
{
	int r;

	if (row_is_here_only(t, row)) {
		row->passed_to = to;
		return row_erase(t, row);
	}
	r = row_unlink_slot(t, row, i, i->links[0].slot);
	/* Its number is the target's now: should somebody's edit bring it
	 * back, it gets another. */
	row->ino = 0;
	if (!r)
		r = row_store(t, row, 0);
	if (!r)
		unsettled_drop(t, row->o.id);
	return r;
}

int file_leave_number(struct tree *t, const struct row *row,
		      const struct info *i)
{
	int r = orphan_make(t, row->ino, row, row_shown_content(row, i));

	return r ? MIN_OF(r, 0) : ino_forget(t, row->ino);
}

/* ... of a sibling. */
static int sibling_leave_number(struct tree *t, const struct row *row,
				const struct branch *b)
{
	uint64_t ino;
	int r = ino_of_sibling(t, row->o.id, b->tag, &ino);

	if (r)
		return r;
	r = orphan_make(t, ino, row, b->top);
	if (r)
		return MIN_OF(r, 0);
	r = ino_forget_sibling(t, row->o.id, b->tag);
	return r ? r : ino_forget(t, ino);
}

/* ---- rename over */

/* What is saved; NULL: nothing that could be. */
static const struct branch *saved_branch(struct tree *t, const struct row *to,
					 const struct info *ti,
					 const struct shown *target)
{
	const struct branch *b;

	if (target->type != SHOWN_SIBLING)
		return row_may_be_saved(to, ti) ? &ti->branches[0] : NULL;
	b = info_branch(ti, target->tag);
	if (!b || b == &ti->branches[0] || !sibling_is_shown(t, to, ti, b))
		return NULL;
	return b;
}

static int adopt_rows(struct tree *t, const struct shown *temp,
		      struct row *from, const struct info *fi,
		      struct row *to, struct info *ti,
		      const struct branch *sibling)
{
	int r = remove_twins(t, temp);

	if (!r && !sibling)
		r = remove_twins_of(t, to, ti);
	if (!r)
		r = sibling ? sibling_leave_number(t, to, sibling)
			    : file_leave_number(t, to, ti);
	if (!r)
		r = sibling ? sibling_hand_over(t, to, ti, sibling, from, fi)
			    : file_hand_over(t, to, ti, from, fi);
	/* (first: two files may not show one number) */
	if (!r)
		r = temporary_remove(t, from, fi, to);
	return r ? r : row_store(t, to, 0);
}

static bool is_file(const struct shown *s)
{
	return (s->type == SHOWN_FILE || s->type == SHOWN_SUFFIXED) &&
	       s->kind == KIND_FILE;
}

/* A file, or a sibling of one. */
static bool is_content(const struct shown *s)
{
	return s->type != SHOWN_DIR && s->kind == KIND_FILE;
}

int adopt(struct tree *t, const struct shown *temp,
	  const struct shown *target)
{
	const struct branch *b = NULL;
	struct row from, to;
	struct info fi, ti;
	bool whole = false;
	int r;

	if (!is_file(temp) || !is_content(target) ||
	    objid_equal(temp->id, target->id))
		return 0;
	/* Both claim one name, and the target would get it if the other went:
	 * but it is to have the name by which it is shown now. */
	if (target->type == SHOWN_SUFFIXED &&
	    objid_equal(temp->link.parent, target->link.parent) &&
	    slice_equal(spot_name(&temp->link), spot_name(&target->link)))
		return 0;
	r = row_load(t, temp->id, &from);
	if (r)
		return r;
	r = row_load(t, target->id, &to);
	if (r) {
		row_release(&from);
		return r;
	}
	r = info_init(&fi, &from.o);
	if (!r)
		r = info_init(&ti, &to.o);
	else
		ti = (struct info){ 0 };
	if (!r)
		r = dirty_is_whole(t, from.ino, &whole);
	if (!r)
		b = saved_branch(t, &to, &ti, target);
	if (!r && whole && b && is_born_after(t, &from, &to) &&
	    (row_is_here_only(t, &from) ||
	     row_is_temporary(t, &from, &fi, TEMP_YOUNG_MS)) &&
	    row_is_simple(&from, &fi) && xattrs_fit(&from.o, &to.o)) {
		r = adopt_rows(t, temp, &from, &fi, &to, &ti,
			       target->type == SHOWN_SIBLING ? b : NULL);
		r = r ? r : 1;
	}
	info_release(&ti);
	info_release(&fi);
	row_release(&to);
	row_release(&from);
	return r;
}

/* ---- around the operation */

static bool finds_file(struct tree *t, uint64_t parent, struct slice name,
		       struct shown *ret)
{
	struct objid dir;

	return !ino_dir(t, parent, &dir) && !view_find(t, dir, name, ret) &&
	       is_content(ret);
}

uint64_t adopt_number(struct tree *t, uint64_t parent, struct slice name,
		      uint64_t new_parent, struct slice new_name)
{
	struct shown s, there;
	uint64_t ino = 0;

	store_lock(t->store);
	if (HASH_COUNT(t->inodes) && finds_file(t, parent, name, &s) &&
	    finds_file(t, new_parent, new_name, &there) &&
	    shown_ino(t, &s, &ino))
		ino = 0;
	store_unlock(t->store);
	return ino;
}

int begin_adopting(struct tree *t, uint64_t ino)
{
	struct dirty d;
	bool parts = false;
	int r;

	store_lock(t->store);
	if (ino && inode_find(t, ino) && !dirty_get(t, ino, &d)) {
		parts = d.kept && !d.unlinked;
		dirty_release(&d);
	}
	store_unlock(t->store);
	/* (if it fails, the file is moved with what it has) */
	if (parts && data_cut(t, ino))
		log_debug("a temporary is renamed with unsent writes");
	r = begin_uncut(t, ino);
	t->saves_wrote = r ? t->saves_wrote : 0;
	return r;
}

void saves_ended(struct tree *t, int r)
{
	if (t->saves_wrote)
		inode_wrote(t, t->saves_wrote, false, r);
	t->saves_wrote = 0;
}
