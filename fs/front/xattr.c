/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Extended attributes: of users, of root (trusted.*), of the system
 * (security.*), and ACLs, which are attributes to the kernel. Others are
 * ENOTSUP. Who may do what the kernel checks, but for what is only listed:
 * names of trusted.* are of who has CAP_SYS_ADMIN.
 *
 * A price: since there is a getxattr at all, the kernel asks for
 * "security.capability", to take it away: before the first write to a file,
 * and before each where it has no KILLPRIV_V2 (raw.c). Where no file has any
 * such attribute the tree answers that without its lock.
 */
#include <errno.h>
#include <linux/capability.h>
#include <string.h>
#include <sys/xattr.h>

#include "fs/front/front_internal.h"

#define PREFIX_TRUSTED "trusted."

/* The value, or its size to a caller who has no room yet. */
static void reply_bytes(fuse_req_t req, const struct buf *bytes, size_t room)
{
	if (!room)
		fuse_reply_xattr(req, bytes->len);
	else if (bytes->len > room)
		fuse_reply_err(req, ERANGE);
	else
		fuse_reply_buf(req, (const char *)bytes->data, bytes->len);
}

void front_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name,
		    const char *value, size_t size, int flags)
{
	int type = acl_type_of(name), r;
	uint32_t tree_flags = 0;

	if (flags & XATTR_CREATE)
		tree_flags |= TREE_XATTR_CREATE;
	if (flags & XATTR_REPLACE)
		tree_flags |= TREE_XATTR_REPLACE;
	r = type >= 0 ? front_setacl(req, ino, type, SLICE(value, size)) :
			tree_setxattr(front_of(req)->tree, ino,
				      SLICE_STR(name), SLICE(value, size),
				      tree_flags);
	fuse_reply_err(req, -r);
}

void front_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name,
		    size_t room)
{
	cleanup(buf_release) struct buf value = BUF_INIT;
	int type = acl_type_of(name), r;

	r = type >= 0 ? front_getacl(front_of(req)->tree, ino, type, &value) :
			tree_getxattr(front_of(req)->tree, ino,
				      SLICE_STR(name), &value);
	if (r < 0)
		fuse_reply_err(req, -r);
	else
		reply_bytes(req, &value, room);
}

static void drop_trusted(fuse_req_t req, struct buf *names)
{
	size_t to = 0, len;
	int may = -1;	/* not known yet */

	for (size_t at = 0; at < names->len; at += len) {
		const char *name = (const char *)names->data + at;

		len = strlen(name) + 1;
		if (!strncmp(name, PREFIX_TRUSTED, strlen(PREFIX_TRUSTED))) {
			if (may < 0)
				may = caller_can(req, CAP_SYS_ADMIN);
			if (!may)
				continue;
		}
		memmove(names->data + to, name, len);
		to += len;
	}
	names->len = to;
}

void front_listxattr(fuse_req_t req, fuse_ino_t ino, size_t room)
{
	cleanup(buf_release) struct buf names = BUF_INIT;
	int r;

	r = tree_listxattr(front_of(req)->tree, ino, &names);
	if (!r)
		drop_trusted(req, &names);
	if (r < 0)
		fuse_reply_err(req, -r);
	else
		reply_bytes(req, &names, room);
}

void front_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name)
{
	int type = acl_type_of(name), r;

	r = type >= 0 ? front_removeacl(front_of(req)->tree, ino, type) :
			tree_removexattr(front_of(req)->tree, ino,
					 SLICE_STR(name));
	fuse_reply_err(req, -r);
}
