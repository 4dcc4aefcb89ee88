/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Open files. A handle is one bit, whether it may write, so that a restarted
 * daemon needs to know nothing of it. The page cache is kept over open: the
 * notifier drops what changes.
 */
#include <errno.h>
#include <linux/capability.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "fs/front/front_internal.h"

/*
 * open(O_TRUNC). The kernel leaves the truncation to us and, other than for
 * truncate(), the removal of set-id bits as well.
 */
static int truncate_opened(fuse_req_t req, fuse_ino_t ino)
{
	struct tree *tree = front_of(req)->tree;
	struct tree_setattr set = { .set = TREE_SET_SIZE };
	struct attr attr;
	uint32_t bits;
	int r;

	r = tree_getattr(tree, ino, &attr);
	if (r < 0)
		return r;
	bits = caller_set_ids(req, &attr);
	/* (one operation: it is done, or not) */
	if (bits && !caller_can(req, CAP_FSETID)) {
		set.set |= TREE_SET_MODE;
		set.perm = attr.mode & 07777 & ~bits;
	}
	return tree_setattr(tree, ino, &set, &attr);
}

void front_open_file(fuse_req_t req, fuse_ino_t ino,
		     struct fuse_file_info *fi)
{
	struct front *front = front_of(req);
	bool truncate = fi->flags & O_TRUNC;
	bool write = (fi->flags & O_ACCMODE) != O_RDONLY || truncate;
	int r;

	r = opens_add(front, ino, write);
	if (r < 0) {
		fuse_reply_err(req, -r);
		return;
	}
	r = truncate ? truncate_opened(req, ino) : 0;
	if (r < 0) {
		opens_remove(front, ino, write);
		fuse_reply_err(req, -r);
		return;
	}
	fi->fh = write;
	fi->keep_cache = 1;
	/* Interrupted: nobody will release it. */
	if (fuse_reply_open(req, fi) == -ENOENT)
		opens_remove(front, ino, write);
}

void front_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
		struct fuse_file_info *fi)
{
	autofree char *data = malloc(size);
	int64_t r;

	if (!data) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	r = tree_read(front_of(req)->tree, ino, (uint64_t)offset, data, size);
	/* (what the kernel has in its pages is read without our knowing) */
	if (r > 0 && !(fi->flags & O_NOATIME))
		tree_accessed(front_of(req)->tree, ino);
	if (r == -EAGAIN)
		waiting_add(front_of(req), req, ino, size, offset);
	else if (r < 0)
		fuse_reply_err(req, (int)-r);
	else
		fuse_reply_buf(req, data, (size_t)r);
}

/*
 * An append goes to the end as the tree knows it. The kernel has put the
 * bytes into its page cache at the end as it knows it; when the two differ
 * (the file changed elsewhere meanwhile) its pages are wrong.
 */
static void check_appended(struct front *front, fuse_ino_t ino, uint64_t end)
{
	struct attr attr;

	if (tree_getattr(front->tree, ino, &attr) < 0 || attr.size != end)
		front_note_inode(front, ino);
}

void front_write(fuse_req_t req, fuse_ino_t ino, const char *data, size_t size,
		 off_t offset, struct fuse_file_info *fi)
{
	struct front *front = front_of(req);
	/* Pages of a mapping go where they belong, whatever the flags. */
	bool append = (fi->flags & O_APPEND) && !fi->writepage;
	int r;

	r = tree_write(front->tree, ino, (uint64_t)offset, SLICE(data, size),
		       append);
	if (r < 0) {
		fuse_reply_err(req, -r);
		return;
	}
	/* Noted first, so that whoever waits for the notes after the write
	 * finds this one; the notifier waits for the page until the reply. */
	if (append)
		check_appended(front, ino, (uint64_t)offset + size);
	fuse_reply_write(req, size);
}

void front_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	opens_remove(front_of(req), ino, fi->fh);
	fuse_reply_err(req, 0);
}

/* ---- fsync */

/* One fsync that waits for other nodes; no worker does. */
struct sync_wait {
	fuse_req_t req;
	bool fail;		/* late is EIO */
};

static void sync_done(void *arg, int result)
{
	struct sync_wait *w = arg;

	/* Durable here it is in any case. Late, or the daemon ends: the
	 * policy says what that means. */
	if (result == -EINTR && reply_left(front_of(w->req), w->req))
		;
	else if (result == -EINTR)
		fuse_reply_err(w->req, EINTR);
	else
		fuse_reply_err(w->req, result < 0 && w->fail ? EIO : 0);
	free(w);
}

static bool sync_gone(void *arg)
{
	struct sync_wait *w = arg;

	return fuse_req_interrupted(w->req);
}

/* Leaves the reply to sync_done(), or returns what is to be replied. */
static int sync_elsewhere(fuse_req_t req, fuse_ino_t ino,
			  const struct acks *acks)
{
	struct front *front = front_of(req);
	struct sync_wait *w;
	uint64_t seq;
	int r;

	r = tree_cut_file(front->tree, ino, &seq);
	if (r < 0)
		return r;
	w = malloc(sizeof(*w));
	if (!w)
		return -ENOMEM;
	*w = (struct sync_wait){ req, acks->fail };
	r = front->acks.wait(front->acks.arg, acks, seq, sync_done, sync_gone,
			     w);
	if (r < 0) {
		free(w);
		return acks->fail ? -EIO : 0;
	}
	return 1;
}

void front_fsync(fuse_req_t req, fuse_ino_t ino, int datasync,
		 struct fuse_file_info *fi)
{
	struct front *front = front_of(req);
	struct acks acks;
	int r = tree_sync(front->tree);

	(void)datasync;
	(void)fi;
	if (!r && front->acks.wait)
		r = tree_acks(front->tree, ino, &acks);
	if (r > 0)
		r = sync_elsewhere(req, ino, &acks);
	if (r <= 0)
		fuse_reply_err(req, -r);
}
