/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Extended attributes: those of users. The other namespaces (security,
 * system with its ACLs, trusted) are ENOTSUP, which programs ask about once.
 *
 * A price: since there is a getxattr at all, the kernel asks before each
 * write for "security.capability", to take it away; only KILLPRIV_V2 would
 * spare it that, and libfuse 3.14 does not know it. So that question is
 * answered here, without the tree.
 */
#include <errno.h>
#include <string.h>
#include <sys/xattr.h>

#include "fs/front/front_internal.h"

static bool is_users(const char *name)
{
	return strncmp(name, "user.", strlen("user.")) == 0;
}

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
	uint32_t tree_flags = 0;
	int r;

	if (flags & XATTR_CREATE)
		tree_flags |= TREE_XATTR_CREATE;
	if (flags & XATTR_REPLACE)
		tree_flags |= TREE_XATTR_REPLACE;
	r = is_users(name) ? tree_setxattr(front_of(req)->tree, ino,
					   SLICE_STR(name),
					   SLICE(value, size), tree_flags)
			   : -ENOTSUP;
	fuse_reply_err(req, -r);
}

void front_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name,
		    size_t room)
{
	cleanup(buf_release) struct buf value = BUF_INIT;
	int r;

	r = is_users(name) ? tree_getxattr(front_of(req)->tree, ino,
					   SLICE_STR(name), &value)
			   : -ENOTSUP;
	if (r < 0)
		fuse_reply_err(req, -r);
	else
		reply_bytes(req, &value, room);
}

void front_listxattr(fuse_req_t req, fuse_ino_t ino, size_t room)
{
	cleanup(buf_release) struct buf names = BUF_INIT;
	int r;

	r = tree_listxattr(front_of(req)->tree, ino, &names);
	if (r < 0)
		fuse_reply_err(req, -r);
	else
		reply_bytes(req, &names, room);
}

void front_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name)
{
	int r;

	r = is_users(name) ? tree_removexattr(front_of(req)->tree, ino,
					      SLICE_STR(name))
			   : -ENOTSUP;
	fuse_reply_err(req, -r);
}
