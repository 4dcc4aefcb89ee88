/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Settling a conflict in favour of one version, as `kin resolve` asks:
 *
 *	content	one version replaces all branches seen
 *	name	those that are not taken are removed; the one that is taken is
 *		kept, so that it outlives a removal by who has not seen this:
 *		else of two nodes that take different ones neither has any
 *	place	a LINK replaces all
 *
 * Of several of these at one file the first of the list is settled.
 */
#include <errno.h>
#include <string.h>

#include "fs/tree/list.h"
#include "fs/tree/op.h"

static bool slice_is(struct slice s, const char *text)
{
	return slice_equal(s, SLICE_STR(text));
}

/* The branch that `take` names. */
static int choose_branch(struct tree *t, struct objid dir,
			 const struct info *i, struct slice take,
			 struct dot *ret)
{
	struct shown s;
	size_t n = 0;

	if (slice_is(take, "main")) {
		*ret = i->branches[0].tag;
		return i->branches[0].is_void ? -ENOENT : 0;
	}
	if (!view_find(t, dir, take, &s) &&
	    objid_equal(s.id, i->object->id)) {
		*ret = s.type == SHOWN_SIBLING ? s.tag : i->branches[0].tag;
		return 0;
	}
	for (size_t k = 0; k < i->branch_count; k++) {
		if (i->branches[k].is_void ||
		    !slice_equal(i->branches[k].top->content.author, take))
			continue;
		*ret = i->branches[k].tag;
		n++;
	}
	return n == 1 ? 0 : n ? -EEXIST : -ENOENT;
}

static int resolve_content(struct tree *t, struct objid dir,
			   const struct shown *s, struct slice take)
{
	struct dot tag;
	struct row row;
	struct info i;
	int r = row_load(t, s->id, &row);

	if (r)
		return r;
	r = info_init(&i, &row.o);
	if (!r)
		r = choose_branch(t, dir, &i, take, &tag);
	info_release(&i);
	row_release(&row);
	return r ? r : sibling_take_main(t, s->id, tag, true);
}

/* Which head of the place does `take` name? dirs: SIZE_MAX. */
static int choose_claimant(struct tree *t, struct objid dir,
			   const struct place_view *p, struct slice take,
			   size_t *ret)
{
	struct shown s;
	size_t n = 0;

	if (slice_is(take, "main")) {
		*ret = p->dirs.count ? SIZE_MAX : 0;
		return 0;
	}
	if (!view_find(t, dir, take, &s)) {
		*ret = SIZE_MAX;
		for (size_t k = 0; k < p->holder_count; k++)
			if (objid_equal(p->files[k].id, s.id) &&
			    p->files[k].claim.slot == s.slot)
				*ret = k;
		if (*ret != SIZE_MAX || s.type == SHOWN_DIR)
			return 0;
	}
	for (size_t k = 0; k < p->holder_count; k++) {
		if (p->files[k].head != k ||
		    !slice_equal(SLICE(p->files[k].label_bytes,
				       p->files[k].label.len), take))
			continue;
		*ret = k;
		n++;
	}
	return n == 1 ? 0 : n ? -EEXIST : -ENOENT;
}

static int keep_file(struct tree *t, struct objid id)
{
	struct row row;
	struct info i;
	int r = row_load(t, id, &row);

	if (r)
		return r;
	r = info_init(&i, &row.o);
	if (!r)
		r = row_keep(t, &row, &i);
	info_release(&i);
	if (!r)
		r = row_store(t, &row, 0);
	row_release(&row);
	return r;
}

static int resolve_name(struct tree *t, struct objid dir,
			const struct place_view *p, struct slice take)
{
	size_t keep;
	int r = choose_claimant(t, dir, p, take, &keep);

	if (!r && keep != SIZE_MAX && p->dirs.count)
		r = -EISDIR; /* a directory keeps its name */
	for (size_t k = 0; !r && k < p->holder_count; k++) {
		const struct claimant *f = &p->files[k];
		struct shown s = { .type = SHOWN_FILE, .id = f->id,
				   .slot = f->claim.slot, .kind = f->kind,
				   .link = f->claim.at };

		if (f->head == k && k != keep)
			r = entry_remove(t, &s);
	}
	return r || keep == SIZE_MAX ? r : keep_file(t, p->files[keep].id);
}

/* The places of the slot that `take` names; -ENOENT: none. */
static int choose_place(const struct info *i, const struct shown_link *l,
			struct slice take, struct place *ret)
{
	int r = -ENOENT;

	for (size_t k = 0; k < i->object->count; k++) {
		const struct version *v = &i->object->versions[k];

		if (v->reg != REG_LINK || v->flags & VERSION_WEAK ||
		    v->link.slot != l->slot)
			continue;
		if (slice_is(take, "main") ? v == l->link
					   : slice_equal(v->link.at.name,
							 take)) {
			*ret = v->link.at;
			r = 0;
		}
	}
	return r;
}

static const struct shown_link *link_of_slot(const struct info *i,
					     uint64_t slot)
{
	for (size_t k = 0; k < i->link_count; k++)
		if (i->links[k].slot == slot)
			return &i->links[k];
	return NULL;
}

static int find_place(struct tree *t, const struct shown *s,
		      struct slice take, struct spot *ret)
{
	const struct shown_link *l;
	struct place to;
	struct row row;
	struct info i;
	int r = row_read(t, s->id, &row);

	if (r)
		return r;
	r = info_init(&i, &row.o);
	l = r ? NULL : link_of_slot(&i, s->slot);
	if (!r && (!l || !info_link_contested(&i, l)))
		r = -ENODATA; /* (another name of the file is) */
	if (!r)
		r = choose_place(&i, l, take, &to);
	if (!r)
		*ret = spot_at(to.parent, to.name);
	info_release(&i);
	row_release(&row);
	return r;
}

/* A LINK at the place taken replaces all of the slot. */
static int resolve_place(struct tree *t, const struct shown *s,
			 struct slice take)
{
	struct shown there;
	struct spot to;
	struct row row;
	struct info i;
	int r = find_place(t, s, take, &to);

	if (!r && !slice_is(take, "main") &&
	    !view_find(t, group_canonical(t, to.parent), spot_name(&to),
		       &there) &&
	    !objid_equal(there.id, s->id))
		r = -EEXIST;
	/* (this may write the very row) */
	if (!r && s->type == SHOWN_DIR)
		r = pin_overrides(t, (struct objid[]){ s->id, to.parent }, 2);
	if (!r)
		r = row_load(t, s->id, &row);
	if (r)
		return r;
	r = info_init(&i, &row.o);
	if (!r)
		r = row_place(t, &row, &i, s->slot,
			      (struct place){ to.parent, spot_name(&to) },
			      true, NULL);
	info_release(&i);
	if (!r)
		r = row_repeat_main(t, &row);
	if (!r)
		r = row_store(t, &row, 0);
	row_release(&row);
	return r;
}

/* ---- which of them */

/* What there is to be settled, of what is shown under a name. */
struct dispute {
	enum conflict_kind kind;
	struct objid dir;
	struct shown shown;
	/* CONFLICT_NAME: */
	struct spot place;
	struct place_view view;
};

static void dispute_release(struct dispute *d)
{
	place_view_release(&d->view);
}

static int count_contents(struct tree *t, const struct shown *s,
			  size_t *ret)
{
	struct row row;
	struct info i;
	int r;

	*ret = 0;
	if (s->type == SHOWN_DIR)
		return 0;
	r = row_read(t, s->id, &row);
	if (r)
		return r;
	r = info_init(&i, &row.o);
	if (!r)
		*ret = i.branch_count;
	info_release(&i);
	row_release(&row);
	return r;
}

static int count_heads(struct tree *t, struct dispute *d, size_t *ret)
{
	int r = place_view_at(t, d->dir, spot_name(&d->place), &d->view);

	*ret = 0;
	if (r)
		return r;
	*ret = place_heads(&d->view);
	return 0;
}

static bool is_moved(struct tree *t, struct objid id)
{
	uint8_t key[17] = { 'p' };
	struct slice v;

	memcpy(key + 1, id.b, 16);
	return !store_get(t->store, TABLE_MARK, SLICE(key, sizeof(key)), &v);
}

/* -ENODATA: nothing. */
static int dispute_find(struct tree *t, uint64_t parent, struct slice name,
			struct dispute *d)
{
	const struct shown *s = &d->shown;
	size_t n;
	int r = ino_dir(t, parent, &d->dir);

	if (!r)
		r = view_find(t, d->dir, name, &d->shown);
	if (!r)
		r = count_contents(t, s, &n);
	if (r)
		return r;
	d->kind = CONFLICT_CONTENT;
	if (n > 1)
		return 0;
	d->place = spot_at(d->dir, s->type == SHOWN_DIR ? name
							: spot_name(&s->link));
	r = count_heads(t, d, &n);
	if (r)
		return r;
	d->kind = n > 1 ? CONFLICT_NAME : CONFLICT_PLACE;
	return n > 1 || is_moved(t, s->id) ? 0 : -ENODATA;
}

/* Of files of one name some are to go: not what somebody just writes into
 * them, which nobody has looked at. */
int claimants_unsent(struct tree *t, const struct place_view *p)
{
	struct row row;
	int r = 0;

	for (size_t k = 0; !r && k < p->holder_count; k++) {
		const struct inode *n;

		r = row_read(t, p->files[k].id, &row);
		if (r)
			return r;
		n = inode_find(t, row.ino);
		if (n && n->dirty)
			r = -EBUSY;
		row_release(&row);
	}
	return r;
}

static int check_seen(struct tree *t, const struct dispute *d,
		      const struct hash *token)
{
	int r = conflict_check(t, d->kind, &d->shown, &d->place, token);

	return r || d->kind != CONFLICT_NAME ? r : claimants_unsent(t, &d->view);
}

static int dispute_settle(struct tree *t, const struct dispute *d,
			  struct slice take)
{
	switch (d->kind) {
	case CONFLICT_CONTENT:
		return resolve_content(t, d->dir, &d->shown, take);
	case CONFLICT_NAME:
		return resolve_name(t, d->dir, &d->view, take);
	default:
		return resolve_place(t, &d->shown, take);
	}
}

static int resolve(struct tree *t, uint64_t parent, struct slice name,
		   struct slice take, const struct hash *token)
{
	struct dispute d = { 0 };
	int r = op_begin(t);

	if (r)
		return r;
	store_op_makes_room(t->store);
	r = dispute_find(t, parent, name, &d);
	/* (there was one when it was looked at) */
	if (r == -ENODATA && token)
		r = -ESTALE;
	if (!r && token)
		r = check_seen(t, &d, token);
	if (!r)
		r = dispute_settle(t, &d, take);
	dispute_release(&d);
	return op_end(t, r);
}

int tree_resolve(struct tree *t, uint64_t parent, struct slice name,
		 struct slice take)
{
	return resolve(t, parent, name, take, NULL);
}

int tree_resolve_seen(struct tree *t, uint64_t parent, struct slice name,
		      struct slice take, const struct hash *token)
{
	return resolve(t, parent, name, take, token);
}
