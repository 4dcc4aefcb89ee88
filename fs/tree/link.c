/* SPDX-License-Identifier: Apache-2.0 */
/*
 * link(2): one more slot of the object, with a strong LINK of its own. Slots
 * are independent registers, so a new name and the removal of another one
 * elsewhere both hold; nlink is the number of shown slots.
 *
 * What a hard link cannot be made to:
 *
 *  - a directory (EPERM, as everywhere);
 *  - a sibling (EPERM): it has no name of its own, its file has. Giving it
 *    one would make a copy that says it is a link. cp and mv do as asked.
 *
 * The slot is random, so that two nodes that link at once make two slots;
 * it is drawn above the smallest shown one, because siblings stand beside
 * that, and must not move away because a file was linked.
 */
#include <errno.h>
#include <string.h>

#include "fs/tree/op.h"

/* Draws until the slot is as wanted; the odds against are a half at worst,
 * but for a first slot at the very end of all numbers. */
#define SLOT_DRAWS_MAX 64

static bool slot_is_free(const struct info *i, uint64_t slot)
{
	for (size_t k = 0; k < i->link_count; k++)
		if (i->links[k].slot == slot)
			return false;
	return slot != SLOT_DIR;
}

static uint64_t new_slot(struct tree *t, const struct info *i)
{
	uint64_t slot;

	for (int n = 0;; n++) {
		t->env->random(t->env->arg, &slot, sizeof(slot));
		if (slot_is_free(i, slot) &&
		    (n >= SLOT_DRAWS_MAX || slot > i->links[0].slot))
			return slot;
	}
}

/*
 * The first name of what was made without one: what was written to it so far
 * goes with the name now, and not with the handle.
 */
static int name_first(struct tree *t, struct row *row, struct info *i,
		      struct place at)
{
	struct dirty d;
	int r = dirty_get(t, row->ino, &d);

	if (!r) {
		d.unlinked = false;
		r = dirty_put(t, row->ino, &d);
		dirty_release(&d);
	}
	if (r && r != -ENOENT)
		return r;
	r = row_place(t, row, i, first_slot(row->o.id), at, false, NULL);
	return r ? r : row_store(t, row, 0);
}

static bool has_room_for(const struct info *i, struct slice name)
{
	size_t bytes = name.len + LINK_BYTES;

	for (size_t k = 0; k < i->link_count; k++)
		bytes += i->links[k].link->link.at.name.len + LINK_BYTES;
	return i->link_count < LINKS_MAX && bytes <= LINKS_BYTES_MAX;
}

static int link_row(struct tree *t, struct row *row, struct place at)
{
	const struct inode *open = inode_find(t, row->ino);
	struct info i;
	int r = info_init(&i, &row->o);

	if (r)
		return r;
	if (open && open->nameless && !i.link_count) {
		r = name_first(t, row, &i, at);
		info_release(&i);
		return r;
	}
	if (i.kind == KIND_DIR || objid_is_root(row->o.id))
		r = -EPERM;
	else if (!i.shown_count || !info_holds_name(&i))
		r = -ENOENT; /* open, but nowhere in the tree */
	else if (!has_room_for(&i, at.name))
		r = -EMLINK;
	if (!r)
		r = remove_twins_of(t, row, &i);
	if (!r)
		r = row_place(t, row, &i, new_slot(t, &i), at, false, NULL);
	info_release(&i);
	if (!r)
		r = row_repeat_main(t, row);
	return r ? r : row_store(t, row, 0);
}

static int link_locked(struct tree *t, uint64_t ino, uint64_t parent,
		       struct slice name, struct entry *ret)
{
	struct inoref ref;
	struct objid dir;
	struct shown there;
	struct row row;
	int r = ino_get(t, ino, &ref);

	if (r)
		return r;
	inoref_release(&ref);
	if (ref.type == INO_DETACHED) {
		r = orphan_read(t, ino, ref.id, &row);
		if (r > 0)
			row_release(&row);
		/* (its name is another inode by now: the caller looks again) */
		return r > 0 ? -ENOENT : r ? r : -ESTALE;
	}
	if (ref.type == INO_SIBLING)
		return -EPERM;
	r = ino_dir(t, parent, &dir);
	if (!r)
		r = view_find(t, dir, name, &there);
	if (!r)
		return -EEXIST;
	if (r != -ENOENT || (r = ino_dir(t, parent, &dir)))
		return r;
	r = row_load(t, ref.id, &row);
	if (r)
		return r;
	r = link_row(t, &row, (struct place){ dir, name });
	row_release(&row);
	if (!r)
		r = touch_dir(t, dir);
	if (!r)
		r = attr_of(t, ino, &ret->attr);
	ret->is_view = false;
	return r;
}

int tree_link(struct tree *t, uint64_t ino, uint64_t parent,
	      struct slice name, struct entry *ret)
{
	struct inode *i;
	int r = check_name(name);

	if (r)
		return r;
	room_wait(t);
	/* (no version is made of a file without a name meanwhile) */
	r = begin_uncut(t, ino);
	if (r)
		return r;
	r = op_answers(t, link_locked(t, ino, parent, name, ret), ino);
	r = op_end_locked(t, r);
	i = inode_find(t, ino);
	if (!r && i)
		i->nameless = false;
	store_unlock(t->store);
	return r;
}
