/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Operations on names: lookup, create, remove, rename.
 *
 * A new object belongs to the calling user, by name. What it has of its
 * directory (a group, an ACL in the place of the umask) the tree gives it;
 * where the kernel knows no ACLs of ours it has applied the umask, and once
 * more does no harm.
 *
 * Lookup and what may be cached: names are cached for a day, absent ones
 * too, except names that are pure view, and absent names of a directory that
 * shows such names (the next sibling may take any of them). A lookup that
 * was overtaken by a note is not cached either: its answer may be from
 * before the change and reach the kernel after the invalidation. (What is
 * left of that race is closed by the kernel: inval_entry waits for lookups
 * in the same directory, and attributes carry versions.)
 *
 * "." and ".." are looked up for open_by_handle_at() alone, of numbers that
 * the kernel has forgotten.
 */
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

#include "fs/front/front_internal.h"

/* An absent name: cached as such. */
static void reply_absent(fuse_req_t req, double seconds)
{
	struct fuse_entry_param param = { .entry_timeout = seconds };

	fuse_reply_entry(req, &param);
}

/*
 * Of a number that anybody may name: it may be of something long gone. What
 * has no name, and the kernel does not know, nobody has open: it is only not
 * heard yet that it was forgotten.
 */
static void lookup_dot(fuse_req_t req, fuse_ino_t ino, bool up)
{
	struct tree *tree = front_of(req)->tree;
	struct fuse_entry_param param;
	struct entry entry = { 0 };
	uint64_t at = ino;
	int r = 0;

	if (up)
		r = tree_parent(tree, ino, &at);
	if (!r)
		r = tree_getattr(tree, at, &entry.attr);
	if (!r && !entry.attr.nlink)
		r = -ENOENT;
	if (r < 0) {
		fuse_reply_err(req, r == -ENOENT ? ESTALE : -r);
		return;
	}
	param = entry_to_param(&entry, 0);
	fuse_reply_entry(req, &param);
}

void front_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct front *front = front_of(req);
	uint64_t before = atomic_load(&front->note_count);
	struct entry entry;
	bool is_view_dir = false;
	double seconds;
	int r;

	if (!strcmp(name, ".") || !strcmp(name, "..")) {
		lookup_dot(req, parent, name[1]);
		return;
	}
	r = tree_lookup(front->tree, parent, SLICE_STR(name), &entry);
	if (r == -ENOENT)
		is_view_dir = tree_has_view_names(front->tree, parent);
	seconds = atomic_load(&front->note_count) == before && !is_view_dir ?
			  CACHE_SECONDS : 0;
	if (r == -ENOENT) {
		reply_absent(req, seconds);
	} else if (r < 0) {
		fuse_reply_err(req, -r);
	} else {
		struct fuse_entry_param param = entry_to_param(&entry, seconds);

		fuse_reply_entry(req, &param);
	}
}

struct creation {
	fuse_ino_t parent;
	struct slice name;
	enum kind kind;
	mode_t mode;
	struct slice target;
	dev_t rdev;
	bool open;
	bool nameless;	/* O_TMPFILE; open, too */
};

static int create(fuse_req_t req, const struct creation *c,
		  struct fuse_entry_param *ret)
{
	const struct fuse_ctx *ctx = fuse_req_ctx(req);
	char user[PRINCIPAL_BYTES_MAX], group[PRINCIPAL_BYTES_MAX];
	struct tree *tree = front_of(req)->tree;
	struct tree_new what = {
		.kind = c->kind,
		.perm = c->mode & 07777,
		.umask = c->kind == KIND_SYMLINK ? 0 : ctx->umask & 0777,
		.target = c->target,
		.rdev = c->rdev,
	};
	struct entry entry;
	int r;

	what.user = idmap_user(ctx->uid, user);
	what.group = idmap_group(ctx->gid, group);
	r = c->nameless ? tree_create_nameless(tree, c->parent, &what, &entry) :
			  tree_create(tree, c->parent, c->name, &what, c->open,
				      &entry);
	if (r < 0)
		return r;
	*ret = entry_to_param(&entry, CACHE_SECONDS);
	return 0;
}

static void reply_created(fuse_req_t req, const struct creation *c)
{
	struct fuse_entry_param param;
	int r;

	r = create(req, c, &param);
	if (r < 0)
		fuse_reply_err(req, -r);
	else
		fuse_reply_entry(req, &param);
}

void front_create(fuse_req_t req, fuse_ino_t parent, const char *name,
		  mode_t mode, struct fuse_file_info *fi)
{
	struct creation c = {
		.parent = parent,
		.name = SLICE_STR(name),
		.kind = KIND_FILE,
		.mode = mode,
		.open = true,
	};
	struct fuse_entry_param param;
	int r;

	c.nameless = strcmp(name, TMPFILE_NAME) == 0;
	r = create(req, &c, &param);
	if (r < 0) {
		fuse_reply_err(req, -r);
		return;
	}
	fi->fh = true;	/* opened for writing, whatever the flags say */
	fi->keep_cache = 1;
	opens_note(front_of(req), param.ino, true);
	/* Interrupted: nobody will release it. */
	if (fuse_reply_create(req, &param, fi) == -ENOENT)
		opens_remove(front_of(req), param.ino, true);
}

void front_mknod(fuse_req_t req, fuse_ino_t parent, const char *name,
		 mode_t mode, dev_t rdev)
{
	struct creation c = {
		.parent = parent,
		.name = SLICE_STR(name),
		.kind = kind_of_type(mode & S_IFMT),
		.mode = mode,
		.rdev = rdev,
	};

	if (c.kind == KIND_FILE || kind_is_special(c.kind))
		reply_created(req, &c);
	else
		fuse_reply_err(req, EINVAL);
}

void front_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name,
		 mode_t mode)
{
	struct creation c = {
		.parent = parent,
		.name = SLICE_STR(name),
		.kind = KIND_DIR,
		.mode = mode,
	};

	reply_created(req, &c);
}

void front_symlink(fuse_req_t req, const char *target, fuse_ino_t parent,
		   const char *name)
{
	struct creation c = {
		.parent = parent,
		.name = SLICE_STR(name),
		.kind = KIND_SYMLINK,
		.mode = 0777,
		.target = SLICE_STR(target),
	};

	reply_created(req, &c);
}

void front_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent,
		const char *name)
{
	struct fuse_entry_param param;
	struct entry entry;
	int r;

	r = tree_link(front_of(req)->tree, ino, parent, SLICE_STR(name),
		      &entry);
	if (r < 0) {
		fuse_reply_err(req, -r);
		return;
	}
	param = entry_to_param(&entry, CACHE_SECONDS);
	fuse_reply_entry(req, &param);
}

void front_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	fuse_reply_err(req, -tree_unlink(front_of(req)->tree, parent,
					 SLICE_STR(name)));
}

void front_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	fuse_reply_err(req, -tree_rmdir(front_of(req)->tree, parent,
					SLICE_STR(name)));
}

void front_rename(fuse_req_t req, fuse_ino_t parent, const char *name,
		  fuse_ino_t new_parent, const char *new_name,
		  unsigned int flags)
{
	const unsigned int known = RENAME_NOREPLACE | RENAME_EXCHANGE |
				   RENAME_WHITEOUT;
	const struct fuse_ctx *ctx = fuse_req_ctx(req);
	char user[PRINCIPAL_BYTES_MAX], group[PRINCIPAL_BYTES_MAX];
	/* A whiteout is a device that is none: 0, 0. */
	struct tree_new whiteout = { .kind = KIND_CHAR };
	uint32_t tree_flags = 0;

	if (flags & ~known) {
		fuse_reply_err(req, EINVAL);
		return;
	}
	if (flags & RENAME_WHITEOUT) {
		whiteout.user = idmap_user(ctx->uid, user);
		whiteout.group = idmap_group(ctx->gid, group);
	}
	if (flags & RENAME_NOREPLACE)
		tree_flags |= TREE_RENAME_NOREPLACE;
	if (flags & RENAME_EXCHANGE)
		tree_flags |= TREE_RENAME_EXCHANGE;
	fuse_reply_err(req, -tree_rename_leaving(
				front_of(req)->tree, parent, SLICE_STR(name),
				new_parent, SLICE_STR(new_name), tree_flags,
				flags & RENAME_WHITEOUT ? &whiteout : NULL));
}

void front_readlink(fuse_req_t req, fuse_ino_t ino)
{
	cleanup(buf_release) struct buf target = BUF_INIT;
	int r;

	r = tree_readlink(front_of(req)->tree, ino, &target);
	if (r < 0) {
		fuse_reply_err(req, -r);
		return;
	}
	tree_accessed(front_of(req)->tree, ino);
	buf_put_u8(&target, '\0');
	r = buf_error(&target);
	if (r < 0)
		fuse_reply_err(req, -r);
	else
		fuse_reply_readlink(req, (const char *)target.data);
}
