/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ranges of files: fallocate, lseek for holes and data, copy_file_range.
 *
 * The kernel has checked the handles and dropped or written back its own
 * pages of the range. What it does by itself: collapsing and inserting
 * ranges are EOPNOTSUPP, overlapping copies EINVAL, and a copy that is
 * refused with EXDEV goes through reads and writes.
 */
#include <errno.h>
#include <linux/falloc.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "fs/front/front_internal.h"
#include "fs/store/store.h"

/* Bytes copied by one call: what the reply can tell is less than 4 GiB. */
#define COPY_BYTES_MAX (UINT64_C(1) << 30)

/* Would so much still fit on the disk? Nothing is set aside: each write goes
 * to a new place, so a promise could not be kept anyway. */
static int check_room(struct tree *tree, fuse_ino_t ino, uint64_t end)
{
	struct statvfs st;
	struct attr attr;
	uint64_t have;
	int r = tree_getattr(tree, ino, &attr);

	if (r < 0)
		return r;
	if (statvfs(store_path(tree_store(tree)), &st) < 0)
		return -errno;
	have = attr.blocks * 512;
	if (end > have && end - have > (uint64_t)st.f_bavail * st.f_frsize)
		return -ENOSPC;
	return 0;
}

void front_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t offset,
		     off_t length, struct fuse_file_info *fi)
{
	struct tree *tree = front_of(req)->tree;
	struct tree_range range = { (uint64_t)offset, (uint64_t)length };
	uint32_t flags = 0;
	int r = 0;

	(void)fi;
	if (mode & ~(FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE |
		     FALLOC_FL_ZERO_RANGE)) {
		fuse_reply_err(req, EOPNOTSUPP);
		return;
	}
	if (mode & FALLOC_FL_KEEP_SIZE)
		flags |= TREE_RANGE_KEEP_SIZE;
	if (mode & FALLOC_FL_PUNCH_HOLE)
		flags |= TREE_RANGE_PUNCH;
	else if (length > 0 && offset <= INT64_MAX - length)
		r = check_room(tree, ino, range.offset + range.len);
	if (mode & FALLOC_FL_ZERO_RANGE)
		flags |= TREE_RANGE_ZERO;
	if (!r)
		r = tree_allocate(tree, ino, &range, flags);
	fuse_reply_err(req, -r);
}

void front_lseek(fuse_req_t req, fuse_ino_t ino, off_t offset, int whence,
		 struct fuse_file_info *fi)
{
	uint64_t found;
	int r = -EINVAL;

	(void)fi;
	if (whence == SEEK_DATA || whence == SEEK_HOLE)
		r = offset < 0 ? -ENXIO :
				 tree_seek(front_of(req)->tree, ino,
					   (uint64_t)offset,
					   whence == SEEK_HOLE, &found);
	if (r < 0)
		fuse_reply_err(req, -r);
	else
		fuse_reply_lseek(req, (off_t)found);
}

void front_copy_file_range(fuse_req_t req, fuse_ino_t from, off_t from_offset,
			   struct fuse_file_info *from_fi, fuse_ino_t to,
			   off_t to_offset, struct fuse_file_info *to_fi,
			   size_t len, int flags)
{
	struct tree_copy copy = {
		.from = from,
		.from_offset = (uint64_t)from_offset,
		.to = to,
		.to_offset = (uint64_t)to_offset,
		.len = MIN_OF((uint64_t)len, COPY_BYTES_MAX),
	};
	uint64_t done;
	int r;

	(void)from_fi;
	(void)to_fi;
	r = flags ? -EINVAL : tree_copy(front_of(req)->tree, &copy, &done);
	if (r < 0)
		fuse_reply_err(req, -r);
	else
		fuse_reply_write(req, (size_t)done);
}
