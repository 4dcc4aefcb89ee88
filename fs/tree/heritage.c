/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a new object has of its directory. Taken in the operation that makes
 * it, and by name: through a number, a group that is unknown here would
 * become another.
 */
#include "fs/tree/heritage.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "fs/tree/acl.h"

void heritage_release(struct heritage *h)
{
	buf_release(&h->access);
	buf_release(&h->defaults);
}

/* The group of a directory with the set-group-ID bit, by name, and the bit
 * for a directory; a default ACL in the place of the umask. */
static int inherit_from(const struct info *dir, struct heritage *h,
			struct tree_new *n)
{
	const struct version *v = info_xattr(dir,
					     SLICE_STR(ACL_DEFAULT_NAME));
	int r = 0;

	if (dir->mode && dir->owner && dir->mode->mode.perm & S_ISGID) {
		n->group = dir->owner->owner.group;
		memcpy(h->group, n->group.data, n->group.len);
		n->group.data = (const uint8_t *)h->group;
		if (n->kind == KIND_DIR)
			n->perm |= S_ISGID;
	}
	if (n->kind == KIND_SYMLINK)
		return 0;
	if (v)
		r = acl_inherit(v->xattr.value, &n->perm, &h->access);
	if (!v || r == -EBADMSG) {
		n->perm &= ~n->umask;
		return 0;
	}
	n->acl = buf_slice(&h->access);
	if (n->kind == KIND_DIR)
		buf_put_slice(&h->defaults, v->xattr.value);
	return r ? r : buf_error(&h->defaults);
}

int heritage_of(struct tree *t, struct objid dir, struct heritage *h,
		struct tree_new *n)
{
	struct row row;
	struct info i;
	int r = row_read(t, group_canonical(t, dir), &row);

	if (r)
		return r;
	r = info_init(&i, &row.o);
	if (!r)
		r = inherit_from(&i, h, n);
	info_release(&i);
	row_release(&row);
	return r;
}

int heritage_add(struct tree *t, struct row *row, const struct heritage *h)
{
	struct version v = op_version(t, REG_XATTR);

	if (!h->defaults.len)
		return 0;
	v.xattr.name = SLICE_STR(ACL_DEFAULT_NAME);
	v.xattr.value = buf_slice(&h->defaults);
	return row_add(row, &v);
}
