/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Orphans: files that are open and have no name any more. As a rule the
 * object has none either, and its dead row says what it is. But a save takes
 * the file's object over (adopt.c), and of a file in conflict one content
 * goes while others stay (unlink.c). Then the handles have something that is
 * nobody else's: a detached content, unsent writes that go with the last
 * handle, and, in this file, mode, owner, times, ACLs and extended
 * attributes, as they were when the name went, or as who has it open changed
 * them since.
 *
 * They stand with the mark of the detached number (INO, 'd'), as a row of
 * what is said of a file: neither names nor contents. It is read and changed
 * as any row, and stored here. What was detached because another content
 * came from elsewhere is no orphan: it is a content of its file still, and
 * shows the attributes of that.
 *
 * Not all that is open is known to be: the kernel tells FUSE neither of open
 * FIFOs and devices, nor of O_PATH, nor of a working directory. But it tells
 * when it drops an inode. So what loses its last name by an operation here
 * counts as open until then, for who has found a name may be about to open
 * it; and so does what a save replaces, and a file that leaves no trace.
 */
#include <errno.h>

#include "fs/tree/tree_internal.h"

static bool is_said_of_file(uint8_t reg)
{
	return reg == REG_KIND || reg == REG_MODE || reg == REG_OWNER ||
	       reg == REG_TIMES || reg == REG_XATTR;
}

int orphan_detached(struct tree *t, uint64_t ino, const struct row *row)
{
	struct row own = { .orphan = ino };
	uint8_t key[9];
	struct slice v;
	int r = store_get(t->store, TABLE_INO, ino_key(key, 'd', ino), &v);

	if (r)
		return r == -ENOENT ? 0 : r;
	object_init(&own.o, row->o.id);
	for (size_t k = 0; !r && k < row->o.count; k++)
		if (is_said_of_file(row->o.versions[k].reg))
			r = object_add_copy(&own.o, &row->o.versions[k]);
	buf_put_slice(&own.attrs, buf_slice(&row->attrs));
	if (!r)
		r = orphan_store(t, &own, t->op_now_ns);
	row_release(&own);
	return r;
}

int orphan_make(struct tree *t, uint64_t ino, const struct row *row,
		const struct version *shown)
{
	struct inode *i = inode_find(t, ino);
	int r;

	if (!t->observer.removed && (!i || (!i->opens && !i->dirty)))
		return 0;
	i = inode_get(t, ino);
	if (!i)
		return -ENOMEM;
	/* (it is held when the operation ends) */
	t->op_removed = ino;
	i->opens++;
	r = ino_detach(t, ino, row->o.id, shown);
	if (!r)
		r = orphan_detached(t, ino, row);
	if (!r && object_kind(&row->o) == KIND_FILE)
		r = dirty_unlink(t, ino);
	i->opens--;
	return r ? r : 1;
}

int orphan_read(struct tree *t, uint64_t ino, struct objid id,
		struct row *ret)
{
	uint8_t key[9];
	struct slice v;
	int r = store_get(t->store, TABLE_INO, ino_key(key, 'd', ino), &v);

	if (r)
		return r == -ENOENT ? 0 : r;
	if (!v.len)
		return 0;
	r = row_of_value(v, id, ret);
	if (r)
		return r;
	ret->orphan = ino;
	return 1;
}

int orphan_store(struct tree *t, struct row *row, int64_t ctime_ns)
{
	struct buf b = BUF_INIT;
	autofree uint8_t *bytes = NULL;
	uint8_t key[9];
	size_t local;
	int r = buf_error(&row->attrs);

	row->ctime_ns = ctime_ns;
	if (!r)
		r = row_to_value(row, false, &b, &local);
	bytes = b.data;
	return r ? r : store_put(t->store, TABLE_INO,
				 ino_key(key, 'd', row->orphan),
				 buf_slice(&b));
}

/* ---- until the kernel forgets it */

void orphan_hold(struct tree *t)
{
	uint64_t ino = t->op_removed;
	struct inoref ref;
	struct inode *i;

	if (!t->observer.removed || ino_get(t, ino, &ref))
		return;
	inoref_release(&ref);
	i = inode_get(t, ino);
	if (!i || i->held)
		return;
	i->held = true;
	i->opens++;
	t->observer.removed(t->observer.arg, ino);
}

bool tree_forgotten(struct tree *t, uint64_t ino)
{
	struct inode *i;
	bool held;

	store_lock(t->store);
	i = inode_find(t, ino);
	held = i && i->held;
	if (held)
		i->held = false;
	store_unlock(t->store);
	if (held)
		tree_release_file(t, ino, false);
	return held;
}
