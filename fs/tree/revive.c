/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The versions that a merge itself writes: re-stamps, removals of what is
 * purged elsewhere, and the names of directories that are dead though
 * something in them lives.
 */
#include <errno.h>

#include "fs/tree/base.h"
#include "fs/tree/tree_internal.h"

int replica_tick(struct tree *t, struct dot *ret_dot, uint64_t *ret_hlc)
{
	op_tick_again(t);
	*ret_dot = t->op_dot;
	*ret_hlc = t->op_hlc;
	return 0;
}

int restamp_trail(struct object *o, struct version *v)
{
	struct content_value *c = &v->content;
	struct entry_name *anc;
	size_t first = v->flags & VERSION_AGAIN && c->anc_count ? 1 : 0, n;

	/* None is dropped: what hides it, or is hidden under it, may follow
	 * it into the row, and then what both were made from must still be
	 * known; and so must what somebody saw of its line. */
	anc = object_alloc(o, ANCESTORS_RESTAMPED_MAX * sizeof(*anc));
	if (!anc)
		return -ENOMEM;
	if (first)
		anc[0] = c->anc[0]; /* what it repeats */
	anc[first] = version_entry_name(v);
	n = first + 1;
	for (size_t k = first;
	     k < c->anc_count && n < ANCESTORS_RESTAMPED_MAX; k++)
		anc[n++] = c->anc[k];
	c->anc = anc;
	c->anc_count = n;
	v->first_origin = 0; /* (fork.c; from now on it is an ancestor's) */
	return 0;
}

void version_renew(struct tree *t, struct version *v)
{
	op_tick_again(t);
	v->dot = t->op_dot;
	if (v->reg == REG_KIND)
		v->flags |= VERSION_RENEWED;
}

int replica_restamp(struct tree *t, struct objid id, const struct version *old)
{
	struct version v = *old;
	struct row row;
	int r = row_load(t, id, &row), at;

	if (r)
		return r;
	at = object_find(&row.o, old);
	if (at >= 0)
		object_remove(&row.o, (size_t)at);
	/* (others may go on from the old one) */
	if (v.reg == REG_CONTENT)
		r = base_note(t, id, old);
	if (!r && v.reg == REG_CONTENT)
		r = restamp_trail(&row.o, &v);
	version_renew(t, &v);
	if (!r)
		r = row_add(&row, &v);
	if (!r && v.reg == REG_CONTENT)
		r = base_trim(t, &row.o);
	if (!r)
		r = row_store(t, &row, 0);
	row_release(&row);
	return r;
}

int replica_bury(struct tree *t, struct objid id, const struct version *link)
{
	struct version v;
	struct row row;
	int r = row_load(t, id, &row);

	if (r)
		return r;
	op_tick_again(t);
	v = op_version(t, REG_TOMB);
	v.tomb.link = link->link;
	v.tomb.run = t->op_hlc; /* (no part of any rm -r here) */
	r = row_add(&row, &v);
	if (!r)
		r = row_store(t, &row, 0);
	row_release(&row);
	return r;
}

/*
 * The LINK that went is back, in its slot and with its seniority: whoever
 * gives it back, and whoever kept it, has the same. A directory that is not
 * even known any more was purged and does not return, nor does one of which
 * only attributes are left (nobody knows where it was): what was in it comes
 * to the root.
 */
int link_returned(struct tree *t, const struct version *tomb,
		  struct version *ret)
{
	struct objid parent = tomb->tomb.link.at.parent;
	struct row row;
	int r = row_read(t, parent, &row);

	if (r)
		return r;
	*ret = op_version(t, REG_LINK);
	ret->flags = VERSION_WEAK;
	ret->link = tomb->tomb.link;
	if (!dir_is_known(&row.o))
		ret->link.at.parent = ROOT_ID;
	row_release(&row);
	return 0;
}

/* One dead directory on the way up: a weak LINK where its TOMB says. */
static int revive_one(struct tree *t, struct row *row, const struct info *i)
{
	struct version v;
	int r;

	op_tick_again(t);
	r = link_returned(t, i->tomb, &v);
	if (!r)
		r = row_add(row, &v);
	return r ? r : row_store(t, row, 0);
}

int revive_up(struct tree *t, struct objid dir)
{
	int r = 0;

	/* (bounded: weak LINKs may close a cycle) */
	for (int depth = 0; !r && depth < TREE_DEPTH_MAX; depth++) {
		struct row row;
		struct info i;
		bool more = false;

		if (objid_is_root(dir))
			return 0;
		r = row_load(t, dir, &row);
		if (r)
			return r;
		r = info_init(&i, &row.o);
		if (!r && !dir_is_known(&row.o)) {
			r = lost_note(t, dir);
		} else if (!r && !i.link_count && i.tomb &&
			   i.kind == KIND_DIR) {
			dir = i.tomb->tomb.link.at.parent;
			r = revive_one(t, &row, &i);
			more = true;
		} else if (!r && i.link_count && !i.strong &&
			   i.kind == KIND_DIR) {
			/* The parents of a strong one live, or are in the
			 * list of those that died; of a weak one they may
			 * be gone. */
			dir = i.links[0].link->link.at.parent;
			more = true;
		}
		info_release(&i);
		row_release(&row);
		if (!more)
			return r;
	}
	return r;
}

static int revive_parents(struct tree *t, struct objid id)
{
	struct idlist parents = { 0 };
	struct row row;
	struct info i;
	int r = row_load(t, id, &row);

	if (r)
		return r;
	r = info_init(&i, &row.o);
	if (!r && (info_live_file(&i) || (i.kind == KIND_DIR && i.strong)))
		for (size_t k = 0; !r && k < i.shown_count; k++)
			r = idlist_add(&parents,
				       i.links[k].link->link.at.parent);
	info_release(&i);
	row_release(&row);
	for (size_t k = 0; !r && k < parents.count; k++)
		r = revive_up(t, parents.ids[k]);
	idlist_release(&parents);
	return r;
}

int replica_finish(struct tree *t)
{
	int r = 0;

	/* (both lists grow while directories return) */
	for (size_t k = 0; !r && k < t->work.live.count; k++)
		r = revive_parents(t, t->work.live.ids[k]);
	for (size_t k = 0; !r && k < t->work.died.count; k++) {
		struct objid id = t->work.died.ids[k];
		bool live;

		r = dir_has_live_child(t, id, &live);
		if (!r && live)
			r = revive_up(t, id);
	}
	if (!r)
		r = revive_overridden(t);
	return r;
}
