/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The calls, one function each. All of them take what they need of the same
 * drawn arguments, so that a new one changes no other. A file that is opened
 * takes the place of another one in the side's table.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "tests/twins/twins.h"

/* Linux keeps it for experiments: opening such a device does nothing. */
#define NO_DRIVER 120
#define UNUSED __attribute__((unused))
#define CALL(name) \
	static long do_##name(const struct twins *t UNUSED, struct side *s, \
			      const struct args *a)

static long answer(long r)
{
	return r < 0 ? -errno : r;
}

/* A path for calls without an *at() form, which xattr calls are. */
static const char *whole(const struct side *s, const char *path)
{
	static char text[PATH_BYTES + 32];

	snprintf(text, sizeof(text), "/proc/self/fd/%d/%s", s->root, path);
	return path[0] ? text : path;
}

/* ---- files */

static long keep(struct side *s, unsigned int at, int fd)
{
	if (fd < 0)
		return -errno;
	if (s->fd[at] >= 0)
		close(s->fd[at]);
	s->fd[at] = fd;
	return 0;
}

CALL(open)
{
	static const int access[] = { O_RDONLY, O_WRONLY, O_RDWR, O_RDWR };
	/* (nobody is there to read a pipe) */
	int flags = access[a->flags & 3] | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;

	flags |= a->flags & 4 ? O_CREAT : 0;
	flags |= (a->flags & 0x18) == 0x18 ? O_EXCL : 0;
	flags |= (a->flags & 0x60) == 0x60 ? O_TRUNC : 0;
	flags |= (a->flags & 0x180) == 0x180 ? O_APPEND : 0;
	flags |= (a->flags & 0xe00) == 0xe00 ? O_DIRECTORY : 0;
	flags |= (a->flags & 0x7000) == 0x7000 ? O_NOFOLLOW : 0;
	flags |= (a->flags & 0x78000) == 0x78000 ? O_PATH : 0;
	/* (which is EINVAL since Linux 6.4, and did what it said before) */
	if ((flags & (O_CREAT | O_DIRECTORY)) == (O_CREAT | O_DIRECTORY))
		flags &= ~O_CREAT;
	return keep(s, a->fd[0], openat(s->root, a->path[0], flags, a->mode));
}

CALL(tmpfile)
{
	return keep(s, a->fd[0], openat(s->root, a->path[0],
					O_TMPFILE | O_RDWR | O_CLOEXEC |
						(a->flags & 1 ? O_EXCL : 0),
					a->mode));
}

CALL(close)
{
	int fd = s->fd[a->fd[0]];

	s->fd[a->fd[0]] = -1;
	return answer(close(fd));
}

CALL(write)
{
	return answer(write(s->fd[a->fd[0]], t->bytes + a->at % 1000,
			    a->len));
}

CALL(pwrite)
{
	return answer(pwrite(s->fd[a->fd[0]], t->bytes + a->at % 1000, a->len,
			     a->at));
}

static long have_read(struct side *s, ssize_t n)
{
	s->out_len = n > 0 ? (size_t)n : 0;
	return answer(n);
}

CALL(read)
{
	return have_read(s, read(s->fd[a->fd[0]], s->out, a->len));
}

CALL(pread)
{
	return have_read(s, pread(s->fd[a->fd[0]], s->out, a->len, a->at));
}

CALL(lseek)
{
	static const int whence[] = { SEEK_SET, SEEK_CUR, SEEK_END };
	struct stat st;

	/* (where the end of a directory is, is its file system's affair) */
	if (!fstat(s->fd[a->fd[0]], &st) && S_ISDIR(st.st_mode))
		return 0;
	return answer(lseek(s->fd[a->fd[0]], a->at - a->to,
			    whence[a->flags % 3]));
}

CALL(ftruncate)
{
	return answer(ftruncate(s->fd[a->fd[0]], a->at));
}

CALL(truncate)
{
	return answer(truncate(whole(s, a->path[0]), a->at));
}

CALL(fallocate)
{
	static const int modes[] = {
		0, FALLOC_FL_KEEP_SIZE, FALLOC_FL_ZERO_RANGE,
		FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE,
		FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
		FALLOC_FL_PUNCH_HOLE,
	};

	return answer(fallocate(s->fd[a->fd[0]], modes[a->flags % 6], a->at,
				(off_t)a->len));
}

CALL(copy_file_range)
{
	off_t from = a->at, to = a->to;

	return answer(copy_file_range(s->fd[a->fd[0]], &from, s->fd[a->fd[1]],
				      &to, a->len, 0));
}

CALL(fsync)
{
	return answer(a->flags & 1 ? fsync(s->fd[a->fd[0]])
				   : fdatasync(s->fd[a->fd[0]]));
}

/* ---- names */

CALL(mkdir)
{
	return answer(mkdirat(s->root, a->path[0], a->mode));
}

CALL(rmdir)
{
	return answer(unlinkat(s->root, a->path[0], AT_REMOVEDIR));
}

CALL(unlink)
{
	return answer(unlinkat(s->root, a->path[0], 0));
}

CALL(rename)
{
	return answer(renameat(s->root, a->path[0], s->root, a->path[1]));
}

CALL(rename_noreplace)
{
	return answer(renameat2(s->root, a->path[0], s->root, a->path[1],
				RENAME_NOREPLACE));
}

CALL(rename_exchange)
{
	return answer(renameat2(s->root, a->path[0], s->root, a->path[1],
				RENAME_EXCHANGE));
}

/* (over a directory that is not empty it moves times on ext4, too, though it
 * does nothing) */
CALL(rename_whiteout)
{
	struct stat st;

	if (!fstatat(s->root, a->path[1], &st, AT_SYMLINK_NOFOLLOW) &&
	    S_ISDIR(st.st_mode))
		return 0;
	return answer(renameat2(s->root, a->path[0], s->root, a->path[1],
				RENAME_WHITEOUT));
}

CALL(link)
{
	return answer(linkat(s->root, a->path[0], s->root, a->path[1],
			     a->flags & 1 ? AT_SYMLINK_FOLLOW : 0));
}

/* Gives a name to a file that may have none. */
CALL(link_file)
{
	char text[32];

	snprintf(text, sizeof(text), "/proc/self/fd/%d", s->fd[a->fd[0]]);
	return answer(linkat(AT_FDCWD, text, s->root, a->path[0],
			     AT_SYMLINK_FOLLOW));
}

CALL(symlink)
{
	return answer(symlinkat(a->path[1], s->root, a->path[0]));
}

CALL(readlink)
{
	return have_read(s, readlinkat(s->root, a->path[0], (char *)s->out,
				       SIZE_MAX_BYTES));
}

CALL(mknod)
{
	static const mode_t types[] = { S_IFIFO, S_IFSOCK, S_IFREG, S_IFCHR,
					S_IFBLK };
	mode_t type = types[a->flags % 5];

	return answer(mknodat(s->root, a->path[0], type | a->mode,
			      type == S_IFCHR ? makedev(1, 3) :
			      type == S_IFBLK ? makedev(NO_DRIVER, 5) : 0));
}

CALL(access)
{
	return answer(faccessat(s->root, a->path[0], (int)(a->flags % 8),
				a->flags & 8 ? AT_EACCESS : 0));
}

/* ---- attributes */

CALL(chmod)
{
	return answer(fchmodat(s->root, a->path[0], a->mode, 0));
}

CALL(fchmod)
{
	return answer(fchmod(s->fd[a->fd[0]], a->mode));
}

/* (to nobody: of a file with set-id bits that somebody may write, README.md) */
static bool is_to_nobody(const struct twins *t, const struct args *a)
{
	return t->who && !(a->flags & 7);
}

CALL(chown)
{
	if (is_to_nobody(t, a))
		return 0;
	return answer(fchownat(s->root, a->path[0],
			       a->flags & 1 ? a->uid : (uid_t)-1,
			       a->flags & 6 ? a->gid : (gid_t)-1,
			       a->flags & 8 ? AT_SYMLINK_NOFOLLOW : 0));
}

CALL(fchown)
{
	if (is_to_nobody(t, a))
		return 0;
	return answer(fchown(s->fd[a->fd[0]],
			     a->flags & 1 ? a->uid : (uid_t)-1,
			     a->flags & 6 ? a->gid : (gid_t)-1));
}

CALL(utimens)
{
	return answer(utimensat(s->root, a->path[0],
				a->flags % 7 ? a->times : NULL,
				a->flags & 8 ? AT_SYMLINK_NOFOLLOW : 0));
}

CALL(futimens)
{
	return answer(futimens(s->fd[a->fd[0]],
			       a->flags % 7 ? a->times : NULL));
}

CALL(xattr_set)
{
	int flags = (int)(a->flags % 4 == 1 ? XATTR_CREATE :
			  a->flags % 4 == 2 ? XATTR_REPLACE : 0);

	return answer((a->flags & 16 ? setxattr : lsetxattr)(
		whole(s, a->path[0]), a->name, a->value, a->value_len,
		flags));
}

CALL(xattr_fset)
{
	return answer(fsetxattr(s->fd[a->fd[0]], a->name, a->value,
				a->value_len, 0));
}

CALL(xattr_get)
{
	/* (too little room, and the question how much there is) */
	return have_read(s, (a->flags & 16 ? getxattr : lgetxattr)(
		whole(s, a->path[0]), a->name, s->out,
		a->flags % 4 ? SIZE_MAX_BYTES : a->flags % 5));
}

CALL(xattr_remove)
{
	return answer((a->flags & 16 ? removexattr : lremovexattr)(
		whole(s, a->path[0]), a->name));
}

const struct call calls[] = {
	{ "open", 12, do_open, "pf" },
	{ "open(O_TMPFILE)", 2, do_tmpfile, "pf" },
	{ "close", 2, do_close, "f" },
	{ "write", 4, do_write, "f" },
	{ "pwrite", 5, do_pwrite, "f" },
	{ "read", 2, do_read, "f" },
	{ "pread", 3, do_pread, "f" },
	{ "lseek", 1, do_lseek, "f" },
	{ "ftruncate", 3, do_ftruncate, "f" },
	{ "truncate", 2, do_truncate, "p" },
	{ "fallocate", 3, do_fallocate, "f" },
	{ "copy_file_range", 3, do_copy_file_range, "fg" },
	{ "fsync", 1, do_fsync, "f" },
	{ "mkdir", 8, do_mkdir, "p" },
	{ "rmdir", 4, do_rmdir, "p" },
	{ "unlink", 6, do_unlink, "p" },
	{ "rename", 9, do_rename, "pq" },
	{ "rename(NOREPLACE)", 2, do_rename_noreplace, "pq" },
	{ "rename(EXCHANGE)", 3, do_rename_exchange, "pq" },
	{ "rename(WHITEOUT)", 2, do_rename_whiteout, "pq" },
	{ "link", 6, do_link, "pq" },
	{ "link(file)", 2, do_link_file, "pf" },
	{ "symlink", 4, do_symlink, "pq" },
	{ "readlink", 1, do_readlink, "p" },
	{ "mknod", 4, do_mknod, "p" },
	{ "access", 2, do_access, "p" },
	{ "chmod", 5, do_chmod, "p" },
	{ "fchmod", 2, do_fchmod, "f" },
	{ "chown", 4, do_chown, "p" },
	{ "fchown", 1, do_fchown, "f" },
	{ "utimens", 3, do_utimens, "p" },
	{ "futimens", 1, do_futimens, "f" },
	{ "setxattr", 6, do_xattr_set, "p" },
	{ "fsetxattr", 2, do_xattr_fset, "f" },
	{ "getxattr", 2, do_xattr_get, "p" },
	{ "removexattr", 3, do_xattr_remove, "p" },
};
const size_t calls_count = sizeof(calls) / sizeof(calls[0]);
