/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Taking back what was decided without asking: an ordinary operation that
 * has seen both sides, and writes the one that lost. Other nodes need no
 * rule for it.
 *
 * The kernel did not ask for these changes, so it is told of them as of
 * those that come from other nodes.
 *
 * A cycle is the one decision that no single move can turn round: the place
 * where the directory was to go lies in the directory itself now. What is in
 * the way is the directory directly below it on the way there, which was
 * moved into it by the other node; that one goes back to where it was
 * before, and then there is no cycle.
 */
#include <errno.h>
#include <string.h>

#include "fs/tree/contest.h"
#include "fs/tree/op.h"
#include "fs/tree/reopen.h"

/* ---- one decision, taken out of its row */

struct taken {
	struct slice id;	/* looked for, ... */
	const struct shown *of;	/* ... or the RENAMEs of this one */
	size_t count;		/* found */
	enum decision_kind kind;
	bool is_dir;
	struct object o;	/* copies: chosen, then (but for a directory
				 * that was revived) lost */
};

static const struct version *taken_lost(const struct taken *k)
{
	return &k->o.versions[k->o.count - 1];
}

static bool is_sought(const struct taken *k, const struct decided *d)
{
	const struct contest *c = d->contest;

	if (!k->of)
		return slice_equal(k->id, SLICE_STR(d->id));
	return c->kind == DECISION_RENAME &&
	       objid_equal(d->row->o.id, k->of->id) &&
	       c->chosen->link.slot == k->of->slot;
}

static int take(struct tree *t, void *arg, const struct decided *d)
{
	const struct contest *c = d->contest;
	struct taken *k = arg;
	int r;

	(void)t;
	if (!is_sought(k, d) || k->count++)
		return 0;
	k->kind = c->kind;
	k->is_dir = d->info->kind == KIND_DIR;
	object_release(&k->o);
	object_init(&k->o, d->row->o.id);
	r = object_add_copy(&k->o, c->chosen);
	if (!r && c->lost)
		r = object_add_copy(&k->o, c->lost);
	return r;
}

/* ---- moving */

/* -ENOENT the directory is gone; -EEXIST the name is taken. */
static int check_free(struct tree *t, struct place to)
{
	struct shown there;
	bool live = objid_is_root(to.parent);
	int r = live ? 0 : dir_is_live(t, to.parent, &live);

	if (r)
		return r;
	if (!live)
		return -ENOENT;
	r = view_find(t, to.parent, to.name, &there);
	return r == -ENOENT ? 0 : r ? r : -EEXIST;
}

/* The directory in which it stands, and its name there. */
static int shown_of(struct tree *t, struct objid id, uint64_t slot,
		    struct shown *ret)
{
	struct row row;
	int r = row_load(t, id, &row);

	if (r)
		return r;
	r = -ENOENT;
	for (size_t k = 0; r && k < row.claim_count; k++) {
		const struct claim *c = &row.claims[k];

		if (c->slot != slot)
			continue;
		*ret = (struct shown){ .type = SHOWN_FILE, .id = id,
				       .slot = slot, .link = c->at,
				       .kind = c->flags & CLAIM_KIND };
		r = 0;
	}
	row_release(&row);
	if (!r && ret->kind == KIND_DIR) {
		ret->type = SHOWN_DIR;
		ret->id = group_canonical(t, id);
	}
	return r;
}

static int move_to(struct tree *t, const struct shown *s, struct place to)
{
	struct objid from = group_canonical(t, s->link.parent);
	int r = check_free(t, to);

	if (!r)
		r = check_within(t, s, to.parent);
	if (!r)
		r = entry_move(t, s, to);
	if (!r)
		r = touch_dir(t, from);
	if (!r && !objid_equal(from, to.parent))
		r = touch_dir(t, to.parent);
	return r;
}

static struct place place_of(struct tree *t, const struct place *at)
{
	return (struct place){ group_canonical(t, at->parent), at->name };
}

static int undo_rename(struct tree *t, const struct taken *k)
{
	const struct link_value *l = &taken_lost(k)->link;
	struct shown s;
	int r = shown_of(t, k->o.id, l->slot, &s);

	return r ? r : move_to(t, &s, place_of(t, &l->at));
}

/* ---- cycles */

/* On the way from `below` up to `top`: the directory directly in `top`.
 * -ENOENT: the way does not lead there. */
static int child_on_way(struct tree *t, struct objid below, struct objid top,
			struct objid *ret)
{
	struct objid at = group_canonical(t, below);

	for (int depth = 0; depth < TREE_DEPTH_MAX; depth++) {
		struct objid up;
		int r;

		if (objid_is_root(at))
			return -ENOENT;
		r = claimed_parent(t, at, &up);
		if (r)
			return r;
		up = group_canonical(t, up);
		if (objid_equal(up, top)) {
			*ret = at;
			return 0;
		}
		at = up;
	}
	return -ENAMETOOLONG;
}

/* Back to the first of its earlier places that can be had; -EINVAL: none. */
static int move_back(struct tree *t, struct objid dir, const struct shown *out)
{
	struct shown s;
	struct row row;
	struct info i;
	int r = shown_of(t, dir, SLOT_DIR, &s);

	if (!r)
		r = row_load(t, dir, &row);
	if (r)
		return r;
	r = info_init(&i, &row.o);
	if (!r && !i.link_count)
		r = -ENOENT;
	if (!r) {
		const struct link_value *l = &i.links[0].link->link;
		int tried = -EINVAL;

		for (int p = 0; tried && p < l->prev_count; p++) {
			struct place to = place_of(t, &l->prev[p]);

			tried = check_free(t, to);
			if (!tried)
				tried = check_within(t, out, to.parent);
			if (!tried)
				r = move_to(t, &s, to);
		}
		if (tried)
			r = -EINVAL;
	}
	info_release(&i);
	row_release(&row);
	return r;
}

static int undo_cycle(struct tree *t, const struct taken *k)
{
	struct place to;
	struct objid in_the_way;
	struct shown s;
	/* From here on LINKs say where directories are. */
	int r = pin_overrides(t, &k->o.id, 1);

	if (!r)
		r = shown_of(t, k->o.id, SLOT_DIR, &s);
	if (r)
		return r;
	to = place_of(t, &taken_lost(k)->link.at);
	r = child_on_way(t, to.parent, s.id, &in_the_way);
	if (!r)
		r = move_back(t, in_the_way, &s);
	else if (r == -ENOENT)
		r = 0;
	return r ? r : move_to(t, &s, to);
}

/* ---- attributes */

static int undo_attribute(struct tree *t, const struct taken *k)
{
	const struct version *v = taken_lost(k);
	struct tree_setattr s = { 0 };

	switch (v->reg) {
	case REG_MODE:
		s.set = TREE_SET_MODE | TREE_SET_ACL;
		s.perm = v->mode.perm;
		s.acl = v->mode.acl;
		break;
	case REG_OWNER:
		s.set = TREE_SET_USER | TREE_SET_GROUP;
		s.user = v->owner.user;
		s.group = v->owner.group;
		break;
	case REG_TIMES:
		s.set = TREE_SET_MTIME;
		s.mtime = v->times.mtime;
		break;
	default:
		return object_setxattr(t, k->o.id, v->xattr.name,
				       v->xattr.removed ? NULL
							: &v->xattr.value);
	}
	return object_setattr(t, k->o.id, &s);
}

/* ---- removed, and there again */

static int remove_names(struct tree *t, struct objid id)
{
	int r = 0;

	for (int n = 0; !r && n < LINKS_MAX; n++) {
		struct shown s = { .type = SHOWN_FILE, .id = id };
		struct row row;

		r = row_load(t, id, &row);
		if (r)
			return r;
		if (!row.claim_count) {
			row_release(&row);
			return 0;
		}
		s.slot = row.claims[0].slot;
		s.kind = row.claims[0].flags & CLAIM_KIND;
		s.link = row.claims[0].at;
		row_release(&row);
		r = entry_remove(t, &s);
		if (!r)
			r = touch_dir(t, s.link.parent);
	}
	return r;
}

static int undo_revival(struct tree *t, const struct taken *k)
{
	struct row row;
	struct info i;
	int r;

	if (k->is_dir)
		return -ENOTEMPTY;
	r = row_read(t, k->o.id, &row);
	if (r)
		return r;
	r = info_init(&i, &row.o);
	if (!r && i.branch_count > 1)
		r = -EBUSY;
	/* (not seen: not to be removed) */
	if (!r && row.has_prior)
		r = -EAGAIN;
	info_release(&i);
	row_release(&row);
	return r ? r : remove_names(t, k->o.id);
}

/* ---- a content that was hidden */

static const struct branch *branch_over(const struct info *i,
					const struct version *hidden,
					const struct version **ret)
{
	for (size_t k = 0; k < i->branch_count; k++)
		for (size_t n = 0; n < i->branches[k].count; n++) {
			*ret = i->branches[k].versions[n];
			if (version_same(*ret, hidden))
				return &i->branches[k];
		}
	return NULL;
}

/* ... or by the policy: then it is taken in place of what that chose. */
static const struct branch *hidden_by_policy(const struct info *i,
					     const struct version *hidden,
					     const struct version **ret)
{
	for (size_t k = 0; k < i->hidden_count; k++) {
		*ret = i->branches[i->branch_count + k].top;
		if (version_same(*ret, hidden))
			return info_chosen(i);
	}
	return NULL;
}

static int take_hidden(struct tree *t, struct row *row, const struct info *i,
		       const struct version *lost)
{
	struct content_write w = { .keep = true };
	const struct version *hidden;
	const struct branch *b = branch_over(i, lost, &hidden);
	struct timespec mtime, btime;
	bool main;
	int r = 0;

	if (!b) {
		b = hidden_by_policy(i, lost, &hidden);
		w.known = &row->o;
	}
	main = b && b == &i->branches[0];
	if (!b)
		return -ENOENT;
	/* (not seen: not to be replaced) */
	if (main && row->has_prior)
		return -EAGAIN;
	if (!content_complete(t, &hidden->content.content))
		return -ENODATA;
	w.content = &hidden->content.content;
	w.mtime = mtime = btime = hidden->content.mtime;
	if (i->times)
		btime = i->times->times.btime;
	if (main)
		r = data_detach(t, row, row_shown_content(row, i));
	else
		r = sibling_detach(t, row->o.id, b);
	if (!r)
		r = branch_write(t, row, i, b, NULL, &w);
	if (!r && main)
		r = row_set_times(t, row, mtime, btime);
	return r;
}

static int undo_reverted(struct tree *t, const struct taken *k)
{
	struct row row;
	struct info i;
	int r = row_load(t, k->o.id, &row);

	if (r)
		return r;
	r = info_init(&i, &row.o);
	if (!r)
		r = take_hidden(t, &row, &i, taken_lost(k));
	info_release(&i);
	if (!r)
		r = row_store(t, &row, 0);
	row_release(&row);
	return r;
}

/* ---- the calls */

static int tell_inode(struct tree *t, struct objid id)
{
	struct row row;
	int r = row_read(t, id, &row);

	if (r)
		return r;
	if (row.ino)
		event_inode(t, row.ino);
	row_release(&row);
	return 0;
}

static int undo_taken(struct tree *t, const struct taken *k)
{
	int r = 0;

	switch (k->kind) {
	case DECISION_RENAME:
		r = undo_rename(t, k);
		break;
	case DECISION_CYCLE:
		r = undo_cycle(t, k);
		break;
	case DECISION_REVIVED:
		r = undo_revival(t, k);
		break;
	case DECISION_REVERTED:
	case DECISION_POLICY:
		r = undo_reverted(t, k);
		break;
	case DECISION_SETTLED:
		r = settlement_reopen(t, k->o.id);
		break;
	case DECISION_MODE:
	case DECISION_OWNER:
	case DECISION_TIMES:
	case DECISION_XATTR:
		r = undo_attribute(t, k);
		break;
	}
	return r ? r : tell_inode(t, k->o.id);
}

static int undo_begin(struct tree *t)
{
	int r;

	store_lock(t->store);
	r = replica_begin(t);
	if (r)
		store_unlock(t->store);
	return r;
}

static int undo_end(struct tree *t, int r)
{
	r = replica_end(t, r);
	store_unlock(t->store);
	return r;
}

int tree_undo(struct tree *t, struct slice id)
{
	struct taken k = { .id = id };
	int r = undo_begin(t);

	if (r)
		return r;
	object_init(&k.o, ROOT_ID);
	r = decided_each(t, take, &k);
	if (!r)
		r = k.count ? undo_taken(t, &k) : -ENOENT;
	r = undo_end(t, r);
	object_release(&k.o);
	return r;
}

int tree_swap(struct tree *t, uint64_t parent, struct slice name)
{
	struct shown s;
	struct taken k = { .of = &s };
	struct objid dir;
	int r = undo_begin(t);

	if (r)
		return r;
	object_init(&k.o, ROOT_ID);
	r = ino_dir(t, parent, &dir);
	if (!r)
		r = view_find(t, dir, name, &s);
	if (!r)
		r = decided_each(t, take, &k);
	if (!r && k.count != 1)
		r = k.count ? -ENOTUNIQ : -ENODATA;
	if (!r)
		r = undo_taken(t, &k);
	r = undo_end(t, r);
	object_release(&k.o);
	return r;
}
