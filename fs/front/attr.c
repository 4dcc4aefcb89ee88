/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Attributes: of inodes, and of the file system as a whole.
 *
 * The kernel checks permissions (default_permissions). Set-id bits are taken
 * away here (HANDLE_KILLPRIV_V2), on chown, on truncation by who may not keep
 * them, and where nothing at all is to be set: so the kernel says that a file
 * with such bits is going to be written by who may not keep them. (Without
 * this, it asks for the capabilities of a file before each write.)
 */
#include <errno.h>
#include <linux/capability.h>
#include <sys/statvfs.h>
#include <time.h>

#include "fs/front/front_internal.h"
#include "fs/store/store.h"

/* The unit of st_blksize and of statfs; a page, as the kernel wants it. */
#define BLOCK_BYTES 4096

struct stat attr_to_stat(const struct attr *attr)
{
	return (struct stat){
		.st_ino = attr->ino,
		.st_mode = attr->mode,
		.st_nlink = attr->nlink,
		.st_uid = attr->uid,
		.st_gid = attr->gid,
		.st_rdev = attr->rdev,
		.st_size = (off_t)attr->size,
		.st_blocks = (blkcnt_t)attr->blocks,
		.st_blksize = BLOCK_BYTES,
		.st_atim = attr->atime,
		.st_mtim = attr->mtime,
		.st_ctim = attr->ctime,
	};
}

struct fuse_entry_param entry_to_param(const struct entry *entry,
				       double seconds)
{
	/* A name that is pure view may change without notice. */
	double timeout = entry->is_view ? 0 : seconds;

	return (struct fuse_entry_param){
		.ino = entry->attr.ino,
		.attr = attr_to_stat(&entry->attr),
		.attr_timeout = timeout,
		.entry_timeout = timeout,
	};
}

static void reply_attr(fuse_req_t req, const struct attr *attr)
{
	struct stat st = attr_to_stat(attr);

	fuse_reply_attr(req, &st, CACHE_SECONDS);
}

void front_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct attr attr;
	int r;

	(void)fi;
	r = tree_getattr(front_of(req)->tree, ino, &attr);
	if (r < 0)
		fuse_reply_err(req, -r);
	else
		reply_attr(req, &attr);
}

static bool kills_set_ids(int to_set)
{
	if (to_set & FUSE_SET_ATTR_MODE)
		return false;
	return !to_set || to_set & (FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID) ||
	       (to_set & FUSE_SET_ATTR_SIZE && request_kills_set_ids());
}

/* Who writes may; but chown() to nobody looks the same, and for that he has
 * to be the owner. */
static bool may_take_set_ids(fuse_req_t req, fuse_ino_t ino,
			     const struct attr *attr)
{
	return fuse_req_ctx(req)->uid == attr->uid ||
	       tree_is_written(front_of(req)->tree, ino) ||
	       caller_can(req, CAP_FOWNER);
}

static int take_set_ids(fuse_req_t req, fuse_ino_t ino,
			struct tree_setattr *set)
{
	struct attr attr;
	uint32_t bits;
	int r = tree_getattr(front_of(req)->tree, ino, &attr);

	if (r < 0)
		return r;
	bits = S_ISDIR(attr.mode) ? 0 : caller_set_ids(req, &attr);
	if (bits && !set->set && !may_take_set_ids(req, ino, &attr))
		return -EPERM;
	if (bits) {
		set->set |= TREE_SET_MODE;
		set->perm = attr.mode & 07777 & ~bits;
	}
	return 0;
}

void front_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *st, int to_set,
		   struct fuse_file_info *fi)
{
	char user[PRINCIPAL_BYTES_MAX], group[PRINCIPAL_BYTES_MAX];
	struct tree *tree = front_of(req)->tree;
	struct tree_setattr set = { 0 };
	struct attr attr;
	int r = 0;

	(void)fi;
	if (to_set & FUSE_SET_ATTR_MODE) {
		set.set |= TREE_SET_MODE;
		set.perm = st->st_mode & 07777;
	}
	if (to_set & FUSE_SET_ATTR_UID) {
		set.set |= TREE_SET_USER | TREE_SET_AS_SHOWN;
		set.user = idmap_user(st->st_uid, user);
	}
	if (to_set & FUSE_SET_ATTR_GID) {
		set.set |= TREE_SET_GROUP | TREE_SET_AS_SHOWN;
		set.group = idmap_group(st->st_gid, group);
	}
	if (to_set & FUSE_SET_ATTR_SIZE) {
		set.set |= TREE_SET_SIZE;
		set.size = (uint64_t)st->st_size;
	}
	if (to_set & FUSE_SET_ATTR_MTIME) {
		set.set |= TREE_SET_MTIME;
		set.mtime = st->st_mtim;
		if (to_set & FUSE_SET_ATTR_MTIME_NOW)
			set.mtime.tv_nsec = UTIME_NOW;
	}
	if (to_set & FUSE_SET_ATTR_ATIME) {
		set.set |= TREE_SET_ATIME;
		set.atime = st->st_atim;
		if (to_set & FUSE_SET_ATTR_ATIME_NOW)
			set.atime.tv_nsec = UTIME_NOW;
	}
	if (kills_set_ids(to_set))
		r = take_set_ids(req, ino, &set);
	/* (nothing at all: chown() to nobody moves ctime as well) */
	if (r == 0)
		r = tree_setattr(tree, ino, &set, &attr);
	if (r < 0)
		fuse_reply_err(req, -r);
	else
		reply_attr(req, &attr);
}

/* Space is that of the file system that holds the store. */
void front_statfs(fuse_req_t req, fuse_ino_t ino)
{
	struct tree *tree = front_of(req)->tree;
	struct tree_statfs facts;
	struct statvfs st;

	(void)ino;
	if (statvfs(store_path(tree_store(tree)), &st) < 0) {
		fuse_reply_err(req, errno);
		return;
	}
	tree_statfs(tree, &facts);
	/* Inodes are limited by space alone; ext4's count says nothing. */
	st.f_ffree = st.f_favail = st.f_bavail;
	st.f_files = facts.objects + st.f_ffree;
	st.f_namemax = NAME_BYTES_MAX;
	fuse_reply_statfs(req, &st);
}
