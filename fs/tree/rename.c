/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rename(2), which means more here than moving a LINK:
 *
 *	a file or directory		a strong LINK at the new place
 *	... over a file or a sibling	a save, if the file is a temporary: the
 *					old one gets its content (adopt.c);
 *					else the old one loses its name first
 *	... to a free name beside	it may be a backup (backup.c)
 *	a sibling over its main		settles the conflict in its favour
 *	a sibling elsewhere		a new file with its content, and main is
 *					asserted without it
 *	twins				the oldest moves, the others are removed
 *	an exchange			two LINKs with one dot
 *
 * A newcomer on a name that others claim too is one level more senior than
 * the oldest of them: it holds the plain name on every node.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/tree/op.h"
#include "fs/tree/saves.h"

static bool same_entry(const struct shown *a, const struct shown *b)
{
	return a->type == b->type && objid_equal(a->id, b->id) &&
	       a->slot == b->slot && dot_equal(a->tag, b->tag);
}

/* Is directory `dir` at or below `top`? By effective places. */
static int is_within(struct tree *t, struct objid dir, struct objid top,
		     bool *ret)
{
	*ret = false;
	for (int depth = 0; depth <= TREE_DEPTH_MAX; depth++) {
		struct row row;
		int r;

		dir = group_canonical(t, dir);
		if (objid_equal(dir, top)) {
			*ret = true;
			return 0;
		}
		if (objid_is_root(dir))
			return 0;
		r = row_load(t, dir, &row);
		if (r)
			return r;
		if (!row.claim_count) {
			row_release(&row);
			return -ENOENT;
		}
		dir = row.claims[0].at.parent;
		row_release(&row);
	}
	return -ENAMETOOLONG;
}

/* One level more senior than the oldest that claims the place. */
static int seniority(struct tree *t, struct place to, struct stamp *ret,
		     bool *ret_any)
{
	struct place_view p;
	int r = place_view_at(t, to.parent, to.name, &p);

	*ret_any = false;
	if (r)
		return r;
	for (size_t k = 0; k < p.holder_count; k++) {
		struct row row;
		struct info i;

		r = row_load(t, p.files[k].id, &row);
		if (r)
			break;
		r = info_init(&i, &row.o);
		for (size_t n = 0; !r && n < i.shown_count; n++) {
			const struct stamp *since =
				&i.links[n].link->link.since;

			if (i.links[n].slot != p.files[k].claim.slot)
				continue;
			if (!*ret_any || stamp_compare(since, ret) < 0)
				*ret = *since;
			*ret_any = true;
		}
		info_release(&i);
		row_release(&row);
	}
	place_view_release(&p);
	if (*ret_any)
		ret->level--;
	return r;
}

static int move_row(struct tree *t, struct objid id, uint64_t slot,
		    struct place to, const struct stamp *since)
{
	struct row row;
	struct info i;
	int r = row_load(t, id, &row);

	if (r)
		return r;
	r = info_init(&i, &row.o);
	if (!r)
		r = row_place(t, &row, &i, slot, to, true, since);
	info_release(&i);
	if (!r)
		r = row_repeat_main(t, &row);
	if (!r)
		r = row_store(t, &row, 0);
	row_release(&row);
	return r;
}

/* All members of the group; overrides are pinned. */
static int move_group(struct tree *t, const struct shown *s, struct place to)
{
	struct idlist members = { 0 };
	int r = group_members(t, s->id, &members);

	for (size_t k = 0; !r && k < members.count; k++)
		r = move_row(t, members.ids[k], SLOT_DIR, to, NULL);
	idlist_release(&members);
	return r;
}

static int move_dir(struct tree *t, const struct shown *s, struct place to)
{
	const struct objid about[] = { s->id, to.parent };
	int r = pin_overrides(t, about, 2);

	return r ? r : move_group(t, s, to);
}

/* (equal content, so nothing is lost; one edited elsewhere survives by its
 * keep-stamp) */
static int twins_go(struct tree *t, const struct shown *s, size_t *ret_count)
{
	struct place_view p;
	size_t head;
	int r = place_view_at(t, s->link.parent, spot_name(&s->link), &p);

	*ret_count = 0;
	if (r)
		return r;
	head = place_head(&p, s->id, s->slot);
	for (size_t k = 0; !r && k < p.holder_count; k++) {
		struct row row;
		struct info i;

		if (p.files[k].head != head ||
		    (objid_equal(p.files[k].id, s->id) &&
		     p.files[k].claim.slot == s->slot))
			continue;
		r = row_load(t, p.files[k].id, &row);
		if (r)
			break;
		r = info_init(&i, &row.o);
		if (!r)
			r = row_unlink_slot(t, &row, &i,
					    p.files[k].claim.slot);
		info_release(&i);
		if (!r)
			r = row_store(t, &row, 0);
		row_release(&row);
		++*ret_count;
	}
	place_view_release(&p);
	return r;
}

int remove_twins(struct tree *t, const struct shown *s)
{
	size_t count;

	return twins_go(t, s, &count);
}

/* With KEEP: another node may order them differently, and remove this one
 * for the other. (Who moves it places it anyway.) */
int remove_twins_of(struct tree *t, struct row *row, struct info *i)
{
	const struct claim *c = row->claims;
	struct shown s;
	size_t count;
	int r;

	if (row->claim_count != 1 || !(c->flags & CLAIM_HOLDS) ||
	    c->flags & CLAIM_SIBLINGS)
		return 0;
	s = (struct shown){ .type = SHOWN_FILE, .id = row->o.id,
			    .slot = c->slot, .link = c->at };
	r = twins_go(t, &s, &count);
	if (!r && count)
		r = row_keep(t, row, i);
	if (r || !count)
		return r;
	info_release(i);
	*i = (struct info){ 0 };
	return info_init(i, &row->o);
}

int entry_move(struct tree *t, const struct shown *s, struct place to)
{
	struct stamp since;
	bool contested;
	int r;

	if (s->type == SHOWN_DIR)
		return move_dir(t, s, to);
	r = remove_twins(t, s);
	if (!r)
		r = seniority(t, to, &since, &contested);
	return r ? r : move_row(t, s->id, s->slot, to,
				contested ? &since : NULL);
}

/* ---- siblings */

/* Does who sees the file see this branch, or that main was removed? To be
 * asked of each sibling in order: of very many not all are shown, and what
 * nobody was shown nobody settles. */
static bool is_seen(struct tree *t, const struct row *row,
		    const struct info *i, const struct branch *b,
		    size_t *shown)
{
	if (b->is_void)
		return true;
	return sibling_is_shown(t, row, i, b) &&
	       (*shown)++ < SIBLINGS_SHOWN_MAX;
}

int sibling_take_main(struct tree *t, struct objid file, struct dot tag,
		      bool over_all)
{
	struct content_write w = { .keep = true };
	const struct branch **over, *b, *main, *prior;
	struct timespec mtime = tree_now(t), btime = mtime;
	struct row row;
	struct info i;
	size_t shown = 0;
	bool coming;
	int r = row_load(t, file, &row);

	if (r)
		return r;
	r = info_init(&i, &row.o);
	over = r ? NULL : calloc(i.branch_count + 1, sizeof(*over));
	b = r ? NULL : info_branch(&i, tag);
	if (!r && !over)
		r = -ENOMEM;
	if (!r && (!b || b->is_void))
		r = -ENOENT;
	if (!r) {
		main = &i.branches[0];
		/* Main is what the name shows. */
		prior = row_prior_branch(&row, &i);
		if (b == main && prior)
			b = prior;
		for (size_t k = 1; k < i.branch_count; k++) {
			bool seen = is_seen(t, &row, &i, &i.branches[k],
					    &shown);

			if (&i.branches[k] == b || (over_all && seen))
				over[w.over_count++] = &i.branches[k];
		}
		w.over = over;
		w.content = &b->top->content.content;
		w.mtime = b->top->content.mtime;
		w.again = b == main;
		/* Another content with the time of the one before would not
		 * be seen by what compares times. */
		mtime = b == main && i.times ? i.times->times.mtime : w.mtime;
		if (i.times)
			btime = i.times->times.btime;
		if (b != main && b != prior)
			r = data_detach(t, &row,
					row_shown_content(&row, &i));
		/* (mv takes the sibling's number along) */
		for (size_t k = 0; !r && over_all && k < w.over_count; k++)
			if (sibling_is_shown(t, &row, &i, over[k]))
				r = sibling_detach(t, file, over[k]);
		/* Over what is shown: main's next content, on its way, was
		 * not seen. */
		w.leads = coming = row.has_prior && b != main;
		if (!r)
			r = branch_write(t, &row, &i, coming ? NULL : main,
					 coming ? &row.prior.versions[0] :
						  NULL, &w);
		if (!r)
			r = row_set_times(t, &row, mtime, btime);
		if (coming)
			row.has_prior = false;
	}
	free(over);
	info_release(&i);
	/* (a prior stays shown if what was taken is not here yet) */
	if (!r)
		r = row_store(t, &row, 0);
	row_release(&row);
	return r;
}

/* Another branch may have got the tag: it needs a number of its own. */
static int number_remaining(struct tree *t, struct objid id, struct dot tag)
{
	const struct branch *b;
	struct row row;
	struct info i;
	uint64_t ino;
	int r = row_load(t, id, &row);

	if (r)
		return r;
	r = info_init(&i, &row.o);
	b = r ? NULL : info_branch(&i, tag);
	if (b && b != &i.branches[0] && !b->is_void)
		r = ino_of_sibling(t, id, tag, &ino);
	info_release(&i);
	row_release(&row);
	return r;
}

/*
 * The kernel thinks that the sibling's inode has moved to main's name; so
 * that number is the object's from now on.
 */
static int number_moves(struct tree *t, struct objid from, struct dot tag,
			struct objid to)
{
	struct inoref ref = { .type = INO_OBJECT, .id = to };
	struct row row;
	uint64_t ino;
	int r = ino_of_sibling(t, from, tag, &ino);

	if (!r)
		r = ino_forget_sibling(t, from, tag);
	if (!r)
		r = ino_put(t, ino, &ref);
	if (!r)
		r = row_load(t, to, &row);
	if (r)
		return r;
	row.ino = ino;
	r = dirty_move(t, ino, &row.o);
	if (!r)
		r = row_store_local(t, &row);
	row_release(&row);
	return r ? r : number_remaining(t, from, tag);
}

static int sibling_over_main(struct tree *t, const struct shown *s)
{
	int r = sibling_take_main(t, s->id, s->tag, false);

	return r ? r : number_moves(t, s->id, s->tag, s->id);
}

/* A new file with the sibling's content; then as rm of the sibling. */
static int sibling_out(struct tree *t, const struct shown *s, struct place to,
		       const struct stamp *since)
{
	struct tree_new n = { .kind = s->kind, .perm = 0600 };
	struct row row, made;
	struct info i;
	const struct branch *b;
	int r = row_load(t, s->id, &row);

	if (r)
		return r;
	r = info_init(&i, &row.o);
	b = r ? NULL : info_branch(&i, s->tag);
	if (!r && !b)
		r = -ENOENT;
	if (!r) {
		if (i.mode) {
			n.perm = i.mode->mode.perm;
			n.acl = i.mode->mode.acl;
		}
		if (i.owner) {
			n.user = i.owner->owner.user;
			n.group = i.owner->owner.group;
		}
		r = object_make(t, to, &n, &b->top->content.content,
				b->top->content.mtime, &made);
	}
	if (!r) {
		for (size_t k = 0; k < made.o.count; k++) {
			struct version *v = &made.o.versions[k];

			if (v->reg == REG_TIMES)
				v->times.mtime = b->top->content.mtime;
			if (v->reg == REG_LINK && since)
				v->link.since = *since;
		}
		r = row_store(t, &made, 0);
		if (!r)
			r = number_moves(t, s->id, s->tag, made.o.id);
		row_release(&made);
	}
	info_release(&i);
	row_release(&row);
	return r ? r : entry_remove(t, s);
}

/* ---- the call */

/* Is `to` where the sibling's own main stands, or stood? */
static bool is_own_main(const struct shown *s, struct objid to_dir,
			struct slice to_name, const struct shown *there,
			struct tree *t)
{
	if (there)
		return there->type != SHOWN_SIBLING &&
		       objid_equal(there->id, s->id);
	return objid_equal(group_canonical(t, s->link.parent), to_dir) &&
	       slice_equal(spot_name(&s->link), to_name);
}

static int check_over(const struct shown *s, const struct shown *there)
{
	if (s->type == SHOWN_DIR && there->type != SHOWN_DIR)
		return -ENOTDIR;
	if (s->type != SHOWN_DIR && there->type == SHOWN_DIR)
		return -EISDIR;
	return 0;
}

static int remove_target(struct tree *t, const struct shown *there)
{
	if (there->type == SHOWN_DIR)
		return dir_remove(t, there->id);
	return entry_remove(t, there);
}

static int rename_found(struct tree *t, const struct shown *s,
			struct place to, const struct shown *there)
{
	struct stamp since;
	bool contested = false;
	int r = 0;

	if (s->type == SHOWN_SIBLING &&
	    is_own_main(s, to.parent, to.name, there, t))
		return sibling_over_main(t, s);
	/* Seniority counts who claims the name before any of them goes. */
	if (s->type != SHOWN_DIR)
		r = seniority(t, to, &since, &contested);
	if (!r && (s->type == SHOWN_FILE || s->type == SHOWN_SUFFIXED))
		r = remove_twins(t, s);
	if (!r && there)
		r = remove_target(t, there);
	if (r)
		return r;
	if (s->type == SHOWN_DIR)
		return move_dir(t, s, to);
	if (s->type == SHOWN_SIBLING)
		return sibling_out(t, s, to, contested ? &since : NULL);
	return move_row(t, s->id, s->slot, to, contested ? &since : NULL);
}

/* The two names of a rename, as shown. */
struct names {
	struct place from, to;
	struct shown s, there;
	bool exists;		/* `there` is shown */
};

static int names_find(struct tree *t, uint64_t parent, struct slice name,
		      uint64_t new_parent, struct slice new_name,
		      struct names *n)
{
	int r = ino_dir(t, parent, &n->from.parent);

	n->from.name = name;
	n->to.name = new_name;
	if (!r)
		r = ino_dir(t, new_parent, &n->to.parent);
	if (!r)
		r = view_find(t, n->from.parent, name, &n->s);
	if (r)
		return r;
	r = view_find(t, n->to.parent, new_name, &n->there);
	n->exists = !r;
	return r == -ENOENT ? 0 : r;
}

/* -EINVAL if a directory would come to lie in itself. */
int check_within(struct tree *t, const struct shown *s,
			struct objid to)
{
	bool within;
	int r;

	if (s->type != SHOWN_DIR)
		return 0;
	r = is_within(t, to, s->id, &within);
	if (!r && within)
		return -EINVAL;
	return r == -ENOENT ? 0 : r;
}

/* Names of one file, of which either may be renamed to the other: nothing
 * happens. */
static bool same_file(const struct shown *a, const struct shown *b)
{
	return same_entry(a, b) ||
	       (a->type != SHOWN_SIBLING && b->type != SHOWN_SIBLING &&
		objid_equal(a->id, b->id));
}

static int touch_both(struct tree *t, const struct names *n)
{
	int r = touch_dir(t, n->from.parent);

	if (!r && !objid_equal(n->from.parent, n->to.parent))
		r = touch_dir(t, n->to.parent);
	return r;
}

/* Where one half of an exchange goes, found before anything has moved. */
struct half {
	const struct shown *s;
	struct place to;
	struct stamp since;
	bool contested;
};

static int half_move(struct tree *t, const struct half *h)
{
	if (h->s->type == SHOWN_DIR)
		return move_group(t, h->s, h->to);
	return move_row(t, h->s->id, h->s->slot, h->to,
			h->contested ? &h->since : NULL);
}

static int exchange(struct tree *t, const struct names *n)
{
	struct half halves[2] = { { .s = &n->s, .to = n->to },
				  { .s = &n->there, .to = n->from } };
	const struct objid parents[] = { n->from.parent, n->to.parent };
	int r = 0;

	if (n->s.type == SHOWN_SIBLING || n->there.type == SHOWN_SIBLING)
		return -ENOTSUP;
	for (int k = 0; !r && k < 2; k++)
		r = check_within(t, halves[k].s, halves[k].to.parent);
	for (int k = 0; !r && k < 2; k++)
		if (halves[k].s->type != SHOWN_DIR)
			r = seniority(t, halves[k].to, &halves[k].since,
				      &halves[k].contested);
	for (int k = 0; !r && k < 2; k++)
		if (halves[k].s->type != SHOWN_DIR)
			r = remove_twins(t, halves[k].s);
	if (!r && n->s.type == SHOWN_DIR)
		r = pin_overrides(t, &n->s.id, 1);
	if (!r && n->there.type == SHOWN_DIR)
		r = pin_overrides(t, &n->there.id, 1);
	if (!r && (n->s.type == SHOWN_DIR || n->there.type == SHOWN_DIR))
		r = pin_overrides(t, parents, 2);
	for (int k = 0; !r && k < 2; k++)
		r = half_move(t, &halves[k]);
	return r;
}

/* Both halves of a save: a file leaves its name, another takes it, if that
 * is free. The former may go over the backup of the save before. */
static int rename_file(struct tree *t, const struct names *n)
{
	cleanup(left_release) struct left left = { 0 };
	int r = n->exists ? adopt(t, &n->s, &n->there) : 0;

	if (!r && n->exists)
		r = backup_of_link(t, &n->s, &n->there);
	if (r)
		return MIN_OF(r, 0);
	if (objid_equal(n->from.parent, n->to.parent))
		r = left_prepare(t, &n->s, n->from.parent, &left);
	if (!r)
		r = rename_found(t, &n->s, n->to, n->exists ? &n->there : NULL);
	if (!r && !n->exists && n->s.type == SHOWN_FILE &&
	    n->s.kind == KIND_FILE)
		r = left_moved(t, n->s.id, n->to);
	return r ? r : left_note(t, &left);
}

static int rename_locked(struct tree *t, struct names *n, uint32_t flags)
{
	int r = 0;

	if (flags & TREE_RENAME_EXCHANGE && !n->exists)
		return -ENOENT;
	if (n->exists && flags & TREE_RENAME_NOREPLACE)
		return -EEXIST;
	if (n->exists && same_file(&n->s, &n->there))
		return 0;
	if (flags & TREE_RENAME_EXCHANGE) {
		r = alias_note(t, n->from.parent, &n->s);
		if (!r)
			r = alias_note(t, n->to.parent, &n->there);
		if (!r)
			r = exchange(t, n);
		return r ? r : touch_both(t, n);
	}
	r = check_within(t, &n->s, n->to.parent);
	if (!r && n->exists)
		r = check_over(&n->s, &n->there);
	if (!r)
		r = alias_note(t, n->from.parent, &n->s);
	if (!r)
		r = rename_file(t, n);
	return r ? r : touch_both(t, n);
}

/* At the name that became free; it may be that of somebody else now, who
 * waited for it: then there is something at it, as there should be. */
static int leave_behind(struct tree *t, uint64_t parent, struct slice name,
			const struct tree_new *what)
{
	struct entry entry;
	uint64_t ino;
	int r = create_locked(t, parent, name, what, &entry, &ino);

	return r == -EEXIST ? 0 : r;
}

static int rename_leaving(struct tree *t, struct names *n, uint64_t parent,
			  uint32_t flags, const struct tree_new *behind)
{
	bool nothing = n->exists && same_file(&n->s, &n->there);
	int r;

	/* (it has no name that could be left to another) */
	if (behind && n->s.type == SHOWN_SIBLING)
		return -ENOTSUP;
	r = rename_locked(t, n, flags);
	if (r || !behind || nothing)
		return r;
	return leave_behind(t, parent, n->from.name, behind);
}

int tree_rename(struct tree *t, uint64_t parent, struct slice name,
		uint64_t new_parent, struct slice new_name, uint32_t flags)
{
	return tree_rename_leaving(t, parent, name, new_parent, new_name,
				   flags, NULL);
}

int tree_rename_leaving(struct tree *t, uint64_t parent, struct slice name,
			uint64_t new_parent, struct slice new_name,
			uint32_t flags, const struct tree_new *behind)
{
	const uint32_t both = TREE_RENAME_NOREPLACE | TREE_RENAME_EXCHANGE;
	struct names n;
	int r = check_name(name);

	if (!r)
		r = check_name(new_name);
	if (!r && flags & ~both)
		r = -ENOTSUP;
	if (!r && (flags == both ||
		   (behind && flags & TREE_RENAME_EXCHANGE)))
		r = -EINVAL;
	if (r)
		return r;
	room_wait(t);
	r = begin_adopting(t, flags & TREE_RENAME_EXCHANGE
				      ? 0
				      : adopt_number(t, parent, name,
						     new_parent, new_name));
	if (r)
		return r;
	r = names_find(t, parent, name, new_parent, new_name, &n);
	r = r ? r : rename_leaving(t, &n, parent, flags, behind);
	r = op_end_locked(t, op_answers(t, r, 0));
	saves_ended(t, r);
	store_unlock(t->store);
	return r;
}
