/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ACLs of objects: read, and set by an operation. The access ACL and the
 * mode are one version, so that whichever of two concurrent changes wins, no
 * permission comes out that nobody chose.
 */
#include <errno.h>
#include <stdlib.h>

#include "fs/tree/acl.h"
#include "fs/tree/op.h"

static int read_acl(const struct info *i, enum acl_type type,
		    struct buf *names, struct acl *ret)
{
	const struct version *v;

	if (i->kind == KIND_SYMLINK)
		return -ENOTSUP;
	if (type == ACL_TYPE_ACCESS) {
		if (!i->mode || !i->mode->mode.acl.len)
			return -ENODATA;
		buf_put_slice(names, i->mode->mode.acl);
		if (buf_error(names))
			return -ENOMEM;
		return acl_decode_access(buf_slice(names), i->mode->mode.perm,
					 ret);
	}
	v = info_xattr(i, SLICE_STR(ACL_DEFAULT_NAME));
	if (!v)
		return -ENODATA;
	buf_put_slice(names, v->xattr.value);
	if (buf_error(names))
		return -ENOMEM;
	/* (what somebody else may have made of it is none) */
	return acl_decode_default(buf_slice(names), ret) ? -ENODATA : 0;
}

int tree_getacl(struct tree *t, uint64_t ino, enum acl_type type,
		struct buf *names, struct acl *ret)
{
	struct row row;
	struct info i;
	int r;

	store_lock(t->store);
	r = carrier_load(t, ino, false, &row);
	if (!r) {
		r = info_init(&i, &row.o);
		if (!r)
			r = read_acl(&i, type, names, ret);
		info_release(&i);
		row_release(&row);
	}
	store_unlock(t->store);
	return r == -EBADMSG ? -EUCLEAN : r;
}

static int set_access(struct tree *t, struct row *row, struct info *i,
		      const struct acl *acl, uint32_t drop_perm)
{
	cleanup(buf_release) struct buf bytes = BUF_INIT;
	uint32_t perm = i->mode ? i->mode->mode.perm : 0600;
	int r = 0;

	if (acl->count)
		r = acl_encode_access(acl, &perm, &bytes);
	/* (there was none, and none it is) */
	if (!r && i->mode && !i->mode->mode.acl.len && !bytes.len &&
	    perm == i->mode->mode.perm && !(perm & drop_perm))
		return 0;
	if (!r && i->kind != KIND_DIR)
		r = remove_twins_of(t, row, i);
	if (!r)
		r = row_set_mode(t, row, perm & ~drop_perm,
				 buf_slice(&bytes));
	return r ? r : row_store(t, row, 0);
}

static int set_default(struct tree *t, struct row *row, const struct info *i,
		       const struct acl *acl)
{
	cleanup(buf_release) struct buf bytes = BUF_INIT;
	struct slice name = SLICE_STR(ACL_DEFAULT_NAME), value;
	int r = 0;

	if (i->kind != KIND_DIR && !objid_is_root(row->o.id))
		return acl->count ? -EACCES : 0;
	if (!acl->count)
		return info_xattr(i, name) ?
			       row_put_xattr(t, row, name, NULL) : 0;
	r = acl_encode_default(acl, &bytes);
	value = buf_slice(&bytes);
	return r ? r : row_put_xattr(t, row, name, &value);
}

static int setacl_locked(struct tree *t, uint64_t ino, enum acl_type type,
			 const struct acl *acl, uint32_t drop_perm)
{
	struct row row;
	struct info i;
	int r = carrier_load(t, ino, true, &row);

	if (r)
		return r;
	r = info_init(&i, &row.o);
	if (!r && i.kind == KIND_SYMLINK)
		r = -ENOTSUP;
	if (!r && type == ACL_TYPE_ACCESS)
		r = set_access(t, &row, &i, acl, drop_perm);
	else if (!r)
		r = set_default(t, &row, &i, acl);
	info_release(&i);
	row_release(&row);
	return r;
}

int tree_setacl(struct tree *t, uint64_t ino, enum acl_type type,
		struct acl *acl, uint32_t drop_perm)
{
	int r = acl->count ? acl_check(acl) : 0;

	if (r)
		return r;
	room_wait(t);
	r = op_begin(t);
	if (r)
		return r;
	r = setacl_locked(t, ino, type, acl, drop_perm);
	return op_end(t, op_answers(t, r, 0));
}
