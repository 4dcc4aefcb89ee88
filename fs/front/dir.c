/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Listings. The kernel caches the whole listing of a directory until it
 * changes it itself or is told of a change.
 *
 * OPENDIR is answered, although ENOSYS would save the request: the kernel
 * would then cache every listing, and names that are pure view come and go
 * without notice. So each opendir says whether the listing may be cached: it
 * may not while the directory shows such a name. Nor may a listing be kept
 * that was filled while it showed one (by somebody who opened the directory
 * before): a directory that gave such a name to the kernel is *tainted*, and
 * its next opendir drops what the kernel holds.
 *
 * Offsets: 1 is behind ".", 2 behind "..", and an entry of the tree has its
 * cookie + 2. "." and ".." are always there, so that a cached listing is
 * never empty: only its pages can be dropped by a notification.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "fs/front/front_internal.h"

#define DOT_OFFSET 1
#define DOTDOT_OFFSET 2

struct tainted_dir {
	UT_hash_handle hh;
	uint64_t ino;
};

void tainted_init(struct tainted *tainted)
{
	pthread_mutex_init(&tainted->mutex, NULL);
	tainted->dirs = NULL;
	tainted->all = tainted->taken = false;
}

static void tainted_forget_all(struct tainted *tainted)
{
	struct tainted_dir *dir, *next;

	HASH_ITER(hh, tainted->dirs, dir, next) {
		HASH_DEL(tainted->dirs, dir);
		free(dir);
	}
}

void tainted_release(struct tainted *tainted)
{
	tainted_forget_all(tainted);
	pthread_mutex_destroy(&tainted->mutex);
}

static void tainted_add_locked(struct tainted *tainted, uint64_t ino)
{
	struct tainted_dir *dir;

	if (tainted->all && !tainted->taken)
		return;
	HASH_FIND(hh, tainted->dirs, &ino, sizeof(ino), dir);
	if (dir)
		return;
	dir = HASH_COUNT(tainted->dirs) < TAINTED_MAX ? malloc(sizeof(*dir)) :
							NULL;
	if (dir) {
		dir->ino = ino;
		HASH_ADD(hh, tainted->dirs, ino, sizeof(ino), dir);
	}
	if (!dir || !dir->hh.tbl) {
		free(dir);
		tainted_forget_all(tainted);
		tainted->all = true;
		tainted->taken = false;
	}
}

void tainted_take_over(struct tainted *tainted)
{
	tainted->all = tainted->taken = true;
}

void tainted_told(struct tainted *tainted)
{
	pthread_mutex_lock(&tainted->mutex);
	if (tainted->taken)
		tainted->all = tainted->taken = false;
	pthread_mutex_unlock(&tainted->mutex);
}

static void tainted_add(struct tainted *tainted, uint64_t ino)
{
	pthread_mutex_lock(&tainted->mutex);
	tainted_add_locked(tainted, ino);
	pthread_mutex_unlock(&tainted->mutex);
}

/* Was it tainted? It is not any more. */
static bool tainted_take(struct tainted *tainted, uint64_t ino)
{
	struct tainted_dir *dir;
	bool found;

	pthread_mutex_lock(&tainted->mutex);
	HASH_FIND(hh, tainted->dirs, &ino, sizeof(ino), dir);
	if (dir) {
		HASH_DEL(tainted->dirs, dir);
		free(dir);
	}
	found = dir || tainted->all;
	pthread_mutex_unlock(&tainted->mutex);
	return found;
}

void front_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct front *front = front_of(req);

	if (!tree_has_view_names(front->tree, ino)) {
		fi->cache_readdir = 1;
		fi->keep_cache = !tainted_take(&front->tainted, ino);
	}
	fuse_reply_open(req, fi);
}

void front_releasedir(fuse_req_t req, fuse_ino_t ino,
		      struct fuse_file_info *fi)
{
	(void)ino;
	(void)fi;
	fuse_reply_err(req, 0);
}

/* The reply to one READDIR or READDIRPLUS while it is filled. */
struct listing {
	fuse_req_t req;
	struct tree *tree;
	bool plus;
	char *data;
	size_t size, len;
	bool has_view;
};

/* Returns whether there was room. */
static bool listing_put(struct listing *l, const char *name,
			const struct fuse_entry_param *param, uint64_t offset)
{
	size_t left = l->size - l->len, want;

	want = l->plus ? fuse_add_direntry_plus(l->req, l->data + l->len, left,
						name, param, (off_t)offset) :
			 fuse_add_direntry(l->req, l->data + l->len, left,
					   name, &param->attr, (off_t)offset);
	if (want > left)
		return false;
	l->len += want;
	return true;
}

static int listing_entry(void *arg, const struct tree_dirent *dirent)
{
	struct listing *l = arg;
	char name[NAME_BYTES_MAX + 1];
	struct fuse_entry_param param = { 0 };
	struct entry entry;

	kin_assert(dirent->name.len <= NAME_BYTES_MAX);
	memcpy(name, dirent->name.data, dirent->name.len);
	name[dirent->name.len] = '\0';
	/* Without attributes (plain, or they cannot be read) the kernel gets
	 * name, number and type, and looks the name up when it needs it. */
	if (l->plus && tree_entry_locked(l->tree, dirent, &entry) == 0) {
		param = entry_to_param(&entry, CACHE_SECONDS);
	} else {
		param.attr.st_ino = dirent->ino;
		param.attr.st_mode = dirent->type;
	}
	if (!listing_put(l, name, &param, dirent->cookie + DOTDOT_OFFSET))
		return 1;
	l->has_view |= dirent->is_view;
	return 0;
}

static int listing_fill(struct listing *l, fuse_ino_t ino, uint64_t offset)
{
	struct fuse_entry_param param = { .attr.st_mode = S_IFDIR };
	uint64_t parent;
	int r;

	if (offset < DOT_OFFSET) {
		param.attr.st_ino = ino;
		if (!listing_put(l, ".", &param, DOT_OFFSET))
			return 0;
	}
	if (offset < DOTDOT_OFFSET) {
		r = tree_parent(l->tree, ino, &parent);
		if (r < 0)
			return r;
		param.attr.st_ino = parent;
		if (!listing_put(l, "..", &param, DOTDOT_OFFSET))
			return 0;
		offset = DOTDOT_OFFSET;
	}
	return tree_readdir(l->tree, ino, offset - DOTDOT_OFFSET,
			    listing_entry, l);
}

static void list(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
		 bool plus)
{
	struct front *front = front_of(req);
	autofree char *data = malloc(size);
	struct listing listing = {
		.req = req,
		.tree = front->tree,
		.plus = plus,
		.data = data,
		.size = size,
	};
	int r;

	if (!data) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	r = listing_fill(&listing, ino, (uint64_t)offset);
	if (!offset)
		tree_accessed(front->tree, ino);
	/* Before the reply: after it, the kernel may open it again. */
	if (listing.has_view)
		tainted_add(&front->tainted, ino);
	/* What was given comes first; the error will be met again. */
	if (r < 0 && listing.len == 0)
		fuse_reply_err(req, -r);
	else
		fuse_reply_buf(req, data, listing.len);
}

void front_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
		   struct fuse_file_info *fi)
{
	(void)fi;
	list(req, ino, size, offset, false);
}

void front_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size,
		       off_t offset, struct fuse_file_info *fi)
{
	(void)fi;
	list(req, ino, size, offset, true);
}
