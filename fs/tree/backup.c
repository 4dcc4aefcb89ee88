/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Saves that move the old file aside. vim renames doc to doc~, writes a new
 * doc and unlinks doc~; others leave doc~ as a backup, which the next save
 * is renamed over, or write the new file elsewhere and rename it into the
 * free place. Taken literally, the object that people know would end as a
 * backup, or be removed, and a new one would bear its name: an edit made
 * elsewhere meanwhile would follow the backup.
 *
 * So a file that left its name within its directory is remembered for a
 * moment (in memory: a restart in the middle of a save only costs the
 * identity), and so is the new file that took the name:
 *
 *	the new file is complete	the two change content and name: the old
 *	(closed, or moved there)	object is doc again, with the new
 *					content, and the new one is the backup
 *	the backup is unlinked before	the old object gets what the new file
 *	that (closes arrive late)	has, as by a rename over it (adopt.c),
 *					and its name back
 *
 * A third way is to give the old file a second name, the backup's, and to
 * rename a temporary over the first. That needs no memory: the young link is
 * on record. The two change alike, and what others know by two names since
 * then loses the second.
 *
 * Of a file in conflict it is main that is saved, and main's old content is
 * the backup's; its siblings follow it to the backup's name and back. What a
 * policy hides goes with what is saved over it, but not for a backup that is
 * kept: that might be just a file that was moved, with all that is in it,
 * and a new one where it was. It stays where it is.
 *
 * Programs see nothing of it: each name keeps its bytes, attributes and
 * inode number. If nobody has heard of the move yet, it is as if it had
 * never been: the LINK that it replaced is put back, so that somebody's
 * rename elsewhere meanwhile does not lose against a save. Else the name
 * returns by a new LINK.
 */
#include <errno.h>
#include <string.h>

#include "fs/base/log.h"
#include "fs/tree/op.h"
#include "fs/tree/saves.h"

/* From the first rename of a save to its end. */
#define LEFT_NS (10 * UINT64_C(1000000000))
/* A file that is moved into the place was made for that. */
#define TAKER_YOUNG_MS (10 * 1000)

/* ---- what left its name */

void left_release(struct left *l)
{
	object_release(&l->links);
	*l = (struct left){ 0 };
}

void lefts_release(struct tree *t)
{
	for (size_t k = 0; k < LEFTS_MAX; k++)
		left_release(&t->lefts[k]);
}

/* What a backup gets is main: it must be what is shown. */
static bool row_may_be_left(const struct row *row, const struct info *i)
{
	return row_may_be_saved(row, i) && !row->has_prior;
}

int left_prepare(struct tree *t, const struct shown *s, struct objid dir,
		 struct left *ret)
{
	struct row row;
	struct info i;
	int r;

	*ret = (struct left){ 0 };
	object_init(&ret->links, s->id);
	if (s->type != SHOWN_FILE || s->kind != KIND_FILE)
		return 0;
	r = row_read(t, s->id, &row);
	if (r)
		return r;
	r = info_init(&i, &row.o);
	if (!r && row_may_be_left(&row, &i)) {
		ret->used = true;
		ret->id = s->id;
		ret->from = spot_at(dir, spot_name(&s->link));
		for (size_t k = 0; !r && k < row.o.count; k++)
			if (row.o.versions[k].reg == REG_LINK)
				r = object_add_copy(&ret->links,
						    &row.o.versions[k]);
	}
	info_release(&i);
	row_release(&row);
	return r;
}

static struct left *left_of(struct tree *t, struct objid id, bool taker)
{
	uint64_t now = t->env->monotonic_ns(t->env->arg);

	for (size_t k = 0; k < LEFTS_MAX; k++) {
		struct left *l = &t->lefts[k];

		if (!l->used || now - l->at_ns > LEFT_NS)
			continue;
		if (taker ? l->taken && objid_equal(l->taker, id)
			  : objid_equal(l->id, id))
			return l;
	}
	return NULL;
}

int left_note(struct tree *t, struct left *l)
{
	struct left *slot;
	struct row row;
	struct info i;
	int r;

	if (!l->used)
		return 0;
	r = row_read(t, l->id, &row);
	if (r)
		return r;
	r = info_init(&i, &row.o);
	l->lseq = row.lseq;
	/* (who moves a file in conflict asserts main again) */
	if (!r && i.branch_count)
		l->content = i.branches[0].top->dot;
	info_release(&i);
	row_release(&row);
	if (r)
		return r;
	l->dot = t->op_dot;
	l->at_ns = t->env->monotonic_ns(t->env->arg);
	/* Who took the name since an older one left it has left it too. */
	for (size_t k = 0; k < LEFTS_MAX; k++)
		if (t->lefts[k].used && spot_equal(&t->lefts[k].from, &l->from))
			t->lefts[k].used = false;
	slot = left_of(t, l->id, false);
	if (!slot)
		slot = &t->lefts[t->left_next++ % LEFTS_MAX];
	left_release(slot);
	*slot = *l;
	*l = (struct left){ 0 };
	unsettled_left(t, slot->id);
	return 0;
}

void left_taken(struct tree *t, struct objid dir, struct slice name,
		struct objid taker)
{
	uint64_t now;

	if (!t->left_next)
		return;
	now = t->env->monotonic_ns(t->env->arg);
	for (size_t k = 0; k < LEFTS_MAX; k++) {
		struct left *l = &t->lefts[k];

		if (!l->used || l->taken || now - l->at_ns > LEFT_NS ||
		    !objid_equal(l->from.parent, dir) ||
		    !slice_equal(spot_name(&l->from), name) ||
		    objid_equal(l->id, taker))
			continue;
		l->taken = true;
		l->taker = taker;
		return;
	}
}

/* ---- is it still so? */

struct pair {
	struct row old, new;
	struct info oi, ni;
	struct spot aside;	/* where the old one is now */
};

static void pair_release(struct pair *p)
{
	info_release(&p->oi);
	info_release(&p->ni);
	row_release(&p->old);
	row_release(&p->new);
}

/* The only one that has the name. */
static int holds_alone(struct tree *t, const struct spot *s, struct objid id,
		       bool *ret)
{
	struct place_view p;
	int r = place_view_at(t, s->parent, spot_name(s), &p);

	*ret = false;
	if (r)
		return r;
	*ret = !p.dirs.count && p.holder_count == 1 &&
	       objid_equal(p.files[0].id, id);
	place_view_release(&p);
	return 0;
}

static bool has_unsent(struct tree *t, uint64_t ino)
{
	const struct inode *i = inode_find(t, ino);

	return i && (i->dirty || i->cutting);
}

static bool is_written(struct tree *t, uint64_t ino)
{
	const struct inode *i = inode_find(t, ino);

	return i && (i->writers || i->dirty || i->cutting);
}

static bool pair_fits(struct tree *t, const struct left *l,
		      const struct pair *p)
{
	const struct version *link;

	if (!row_may_be_left(&p->old, &p->oi) || !p->oi.strong ||
	    !row_is_temporary(t, &p->new, &p->ni, TEMP_YOUNG_MS))
		return false;
	link = p->oi.links[0].link;
	return dot_equal(link->dot, l->dot) &&
	       dot_equal(p->oi.branches[0].top->dot, l->content) &&
	       xattrs_fit(&p->old.o, &p->new.o);
}

/* 1: the pair stands as it was left; 0: not, and nothing is loaded. */
static int pair_load(struct tree *t, const struct left *l, struct pair *p)
{
	bool alone = false;
	int r;

	*p = (struct pair){ 0 };
	r = row_load(t, l->id, &p->old);
	if (r)
		return r;
	r = row_load(t, l->taker, &p->new);
	if (!r)
		r = info_init(&p->oi, &p->old.o);
	if (!r)
		r = info_init(&p->ni, &p->new.o);
	if (!r && pair_fits(t, l, p)) {
		p->aside = p->old.claims[0].at;
		r = holds_alone(t, &l->from, l->taker, &alone);
		if (!r && alone)
			r = holds_alone(t, &p->aside, l->id, &alone);
	}
	if (!r && alone)
		return 1;
	pair_release(p);
	return r;
}

/* ---- going back */

/*
 * Are the directories that its LINKs named shown where it left its name?
 * Several may be one there, and that one may be gone, or elsewhere, by now:
 * a LINK that was put back would have the file vanish, or follow it.
 */
static int links_stand(struct tree *t, const struct left *l, bool *ret)
{
	struct idlist members = { 0 };
	int r = group_members(t, l->from.parent, &members);

	*ret = true;
	for (size_t k = 0; !r && k < l->links.count; k++)
		if (!idlist_has(&members, l->links.versions[k].link.at.parent))
			*ret = false;
	idlist_release(&members);
	return r;
}

/* The old object's name is what it was. */
static int return_place(struct tree *t, const struct left *l, struct row *old,
			const struct info *i)
{
	struct stamp since = i->links[0].link->link.since;
	bool stand;
	int r = links_stand(t, l, &stand);

	if (r)
		return r;
	if (!stand || old->lseq != l->lseq || l->dot.seq <= t->held_seq) {
		for (size_t k = 0; k < l->links.count; k++)
			if (!(l->links.versions[k].flags & VERSION_WEAK))
				since = l->links.versions[k].link.since;
		return row_place(t, old, i, i->links[0].slot,
				 (struct place){ l->from.parent,
						 spot_name(&l->from) },
				 true, &since);
	}
	row_drop(old, REG_LINK, i->links[0].slot);
	for (size_t k = 0; !r && k < l->links.count; k++)
		r = object_add_copy(&old->o, &l->links.versions[k]);
	return r;
}

/* To the name that it left, or to its first one, if a second was a backup's.
 * (Writing a place moves what the info points to.) */
static int return_and_look(struct tree *t, const struct left *l,
			   uint64_t second, struct row *row, struct info *i)
{
	int r = l ? return_place(t, l, row, i)
		  : row_unlink_slot(t, row, i, second);

	info_release(i);
	*i = (struct info){ 0 };
	return r ? r : info_init(i, &row->o);
}

int backup_fold(struct tree *t, const struct shown *s)
{
	struct left *l = left_of(t, s->id, false);
	struct pair p;
	int64_t ctime_ns;
	bool whole;
	int r;

	if (!l || !l->taken || s->type != SHOWN_FILE)
		return 0;
	r = pair_load(t, l, &p);
	if (r <= 0)
		return r;
	r = dirty_is_whole(t, p.new.ino, &whole);
	/* (to who sees it nothing of it changes) */
	ctime_ns = p.new.ctime_ns;
	if (!r && whole) {
		r = file_leave_number(t, &p.old, &p.oi);
		if (!r)
			r = return_and_look(t, l, 0, &p.old, &p.oi);
		if (!r)
			r = file_hand_over(t, &p.old, &p.oi, &p.new, &p.ni);
		if (!r)
			r = temporary_remove(t, &p.new, &p.ni, &p.old);
		if (!r)
			r = row_store_at(t, &p.old, 0, ctime_ns);
		if (!r)
			unsettled_drop(t, l->id);
		l->used = false;
		r = r ? r : 1;
	}
	pair_release(&p);
	return r;
}

/* The new object gets what the old one had, and its place and number. */
static int become_backup(struct tree *t, struct pair *p,
			 const struct object *was, uint64_t number,
			 const struct buf *attrs)
{
	struct row had = { .o = *was, .ino = number, .attrs = *attrs };
	struct info hi;
	int r = info_init(&hi, was);

	if (r)
		return r;
	r = row_place(t, &p->new, &p->ni, p->ni.links[0].slot,
		      (struct place){ p->aside.parent, spot_name(&p->aside) },
		      false, NULL);
	info_release(&p->ni);
	p->ni = (struct info){ 0 };
	if (!r)
		r = info_init(&p->ni, &p->new.o);
	if (!r)
		r = file_hand_over(t, &p->new, &p->ni, &had, &hi);
	info_release(&hi);
	return r;
}

static int swap_rows(struct tree *t, const struct left *l, uint64_t second,
		     struct pair *p)
{
	struct object was, made;
	uint64_t number = p->old.ino;
	int64_t old_ctime_ns = p->old.ctime_ns;
	int64_t new_ctime_ns = p->new.ctime_ns;
	cleanup(buf_release) struct buf attrs = BUF_INIT;
	struct row from = p->new;
	struct info fi;
	int r = 0;

	/* Both as they were: each gets what the other had. */
	object_init(&was, p->old.o.id);
	object_init(&made, p->new.o.id);
	for (size_t k = 0; !r && k < p->old.o.count; k++)
		r = object_add_copy(&was, &p->old.o.versions[k]);
	for (size_t k = 0; !r && k < p->new.o.count; k++)
		r = object_add_copy(&made, &p->new.o.versions[k]);
	from.o = made;
	buf_put_slice(&attrs, buf_slice(&p->old.attrs));
	if (!r)
		r = buf_error(&attrs);
	fi = (struct info){ 0 };
	if (!r)
		r = info_init(&fi, &made);
	if (!r)
		r = return_and_look(t, l, second, &p->old, &p->oi);
	if (!r)
		r = file_hand_over(t, &p->old, &p->oi, &from, &fi);
	if (!r)
		r = become_backup(t, p, &was, number, &attrs);
	/* (to who sees them nothing of either changes; but by a rename, which
	 * takes a name from one, and moves the other) */
	if (second)
		old_ctime_ns = new_ctime_ns = t->op_now_ns;
	if (!r)
		r = row_store_at(t, &p->new, 0, old_ctime_ns);
	if (!r)
		r = row_store_at(t, &p->old, 0, new_ctime_ns);
	info_release(&fi);
	object_release(&was);
	object_release(&made);
	return r;
}

int backup_swap(struct tree *t, struct objid taker)
{
	struct left *l = left_of(t, taker, true);
	struct pair p;
	int r;

	if (!l || l->late)
		return 0;
	r = pair_load(t, l, &p);
	if (r <= 0)
		return r;
	if (p.oi.hidden_count) {
		pair_release(&p);
		return 0;
	}
	if (is_written(t, p.old.ino) || is_written(t, p.new.ino)) {
		/* Others know the new one as the file from now on: a later
		 * save of it does not make it the backup. */
		l->late = !is_written(t, p.new.ino);
		pair_release(&p);
		return 0;
	}
	r = swap_rows(t, l, 0, &p);
	pair_release(&p);
	l->used = false;
	if (r)
		return r;
	unsettled_drop(t, l->id);
	/* (most editors unlink it now) */
	unsettled_left(t, l->taker);
	return 1;
}

/* ---- a second name for the backup */

/* Two names, one of them not the target's and made here a moment ago. */
static const struct shown_link *young_link(struct tree *t,
					   const struct row *old,
					   const struct info *i,
					   const struct shown *target)
{
	const struct shown_link *l = i->links;
	uint64_t now_ms = replica_hlc(t) >> 16, made_ms;

	if (!old->exists || i->kind != KIND_FILE || !i->strong ||
	    i->link_count != 2 || i->shown_count != 2 ||
	    !info_holds_name(i) || i->hidden_count || old->has_prior ||
	    old->absent)
		return NULL;
	if (l->slot == target->slot)
		l++;
	made_ms = l->link->hlc >> 16;
	return l->link->dot.origin == t->origin && made_ms <= now_ms &&
	       now_ms - made_ms < LEFT_NS / 1000000 ? l : NULL;
}

static int linked_pair_fits(struct tree *t, const struct shown *target,
			    struct pair *p, uint64_t *ret_second)
{
	const struct shown_link *l = young_link(t, &p->old, &p->oi, target);
	bool fits = false;
	int r = 0;

	if (l && row_is_temporary(t, &p->new, &p->ni, TEMP_YOUNG_MS) &&
	    !has_unsent(t, p->old.ino) && xattrs_fit(&p->old.o, &p->new.o)) {
		p->aside = spot_at(group_canonical(t, l->link->link.at.parent),
				   l->link->link.at.name);
		*ret_second = l->slot;
		r = dirty_is_whole(t, p->new.ino, &fits);
	}
	if (!r && fits)
		r = holds_alone(t, &p->aside, target->id, &fits);
	return r ? r : fits;
}

int backup_of_link(struct tree *t, const struct shown *temp,
		   const struct shown *target)
{
	struct pair p = { 0 };
	uint64_t second = 0;
	int r;

	if (temp->type != SHOWN_FILE || temp->kind != KIND_FILE ||
	    target->type != SHOWN_FILE || target->kind != KIND_FILE)
		return 0;
	r = row_load(t, target->id, &p.old);
	if (r)
		return r;
	r = row_load(t, temp->id, &p.new);
	if (!r)
		r = info_init(&p.oi, &p.old.o);
	if (!r)
		r = info_init(&p.ni, &p.new.o);
	if (!r)
		r = linked_pair_fits(t, target, &p, &second);
	if (r > 0) {
		r = remove_twins(t, temp);
		if (!r)
			r = swap_rows(t, NULL, second, &p);
		if (!r)
			unsettled_left(t, temp->id);
		r = r ? r : 1;
	}
	pair_release(&p);
	return r;
}

/* ---- around operations */

int left_moved(struct tree *t, struct objid id, struct place to)
{
	struct row row;
	struct info i;
	bool taker;
	int r;

	if (!t->left_next)
		return 0;
	r = row_read(t, id, &row);
	if (r)
		return r;
	r = info_init(&i, &row.o);
	taker = !r && row_is_temporary(t, &row, &i, TAKER_YOUNG_MS);
	info_release(&i);
	row_release(&row);
	if (r || !taker)
		return r;
	left_taken(t, to.parent, to.name, id);
	r = backup_swap(t, id);
	return MIN_OF(r, 0);
}

uint64_t backup_number(struct tree *t, uint64_t parent, struct slice name)
{
	struct objid dir;
	struct shown s;
	struct row row;
	uint64_t ino = 0;

	store_lock(t->store);
	if (t->left_next && !ino_dir(t, parent, &dir) &&
	    !view_find(t, dir, name, &s) && s.type == SHOWN_FILE) {
		const struct left *l = left_of(t, s.id, false);

		if (l && l->taken && !row_read(t, l->taker, &row)) {
			ino = row.ino;
			row_release(&row);
		}
	}
	store_unlock(t->store);
	return ino;
}

void backup_closed(struct tree *t, uint64_t ino)
{
	struct inoref ref;
	int r;

	store_lock(t->store);
	if (!t->left_next || ino_get(t, ino, &ref)) {
		store_unlock(t->store);
		return;
	}
	inoref_release(&ref);
	if (ref.type == INO_OBJECT && left_of(t, ref.id, true)) {
		/* (if it fails, they stay what they are) */
		r = op_begin_locked(t);
		if (!r)
			r = backup_swap(t, ref.id);
		if (store_in_op(t->store))
			r = op_end_locked(t, MIN_OF(r, 0));
		if (r < 0)
			log_debug("a backup stays the file that it was");
	}
	store_unlock(t->store);
}
