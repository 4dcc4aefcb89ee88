/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files without a name (O_TMPFILE). Such a file is what a file is whose last
 * name was removed while it was open: a dead row, and unsent writes that go
 * with the last handle. So nothing else need know of it. A peer gets the
 * dead row, with an empty content and under a name that it never had, and
 * purges it like any other.
 *
 * Its first name is given by tree_link(), as long as the handle that it was
 * made with is open: what was written until then is unsent still.
 */
#include <errno.h>

#include "fs/tree/heritage.h"
#include "fs/tree/op.h"

/* Of the tombstone: where it was removed from, which it never was in. */
#define NAMELESS_NAME ".kin-nameless"

static int nameless_row(struct tree *t, struct objid dir,
			const struct tree_new *wanted, uint64_t *ret_ino)
{
	cleanup(heritage_release) struct heritage h = { 0 };
	struct tree_new n = *wanted;
	struct content content;
	struct row row;
	struct info i;
	int r;

	content_empty(&content);
	r = heritage_of(t, dir, &h, &n);
	if (!r)
		r = object_make(t, (struct place){ dir,
						   SLICE_STR(NAMELESS_NAME) },
				&n, &content, tree_now(t), &row);
	if (r)
		return r;
	r = info_init(&i, &row.o);
	if (!r)
		r = row_unlink_slot(t, &row, &i, first_slot(row.o.id));
	info_release(&i);
	if (!r)
		r = row_store(t, &row, 0);
	*ret_ino = row.ino;
	row_release(&row);
	return r;
}

static int nameless_locked(struct tree *t, uint64_t parent,
			   const struct tree_new *n, struct entry *ret)
{
	struct objid dir;
	struct inode *i;
	uint64_t ino;
	int r = ino_dir(t, parent, &dir);

	if (!r)
		r = nameless_row(t, dir, n, &ino);
	if (!r)
		r = attr_of(t, ino, &ret->attr);
	if (r)
		return r;
	i = inode_get(t, ino);
	if (!i)
		return -ENOMEM;
	i->opens = i->writers = 1;
	i->fresh = i->born = i->nameless = true;
	ret->is_view = false;
	return 0;
}

bool name_is_nameless(struct slice name)
{
	return slice_equal(name, SLICE_STR(NAMELESS_NAME));
}

bool target_is_nameless(const struct target *f)
{
	const struct version *tomb = f->info.tomb;

	return f->ref.type == INO_OBJECT && !f->info.link_count && tomb &&
	       name_is_nameless(tomb->tomb.link.at.name);
}

int tree_create_nameless(struct tree *t, uint64_t parent,
			 const struct tree_new *n, struct entry *ret)
{
	struct inode *i;
	int r;

	if (n->kind != KIND_FILE)
		return -EINVAL;
	room_wait(t);
	r = op_begin(t);
	if (r)
		return r;
	ret->attr.ino = 0;
	r = nameless_locked(t, parent, n, ret);
	r = op_end_locked(t, op_answers(t, r, ret->attr.ino));
	i = r && ret->attr.ino ? inode_find(t, ret->attr.ino) : NULL;
	if (i) {
		i->opens = i->writers = 0;
		inode_drop(t, i);
	}
	store_unlock(t->store);
	return r;
}
