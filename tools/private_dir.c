/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/private_dir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Descriptors that the removal of a directory may use. */
#define REMOVE_FDS 16

int dir_is_empty(int fd)
{
	/* A description of its own: the position is not to be shared. */
	int own = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	const struct dirent *e;
	DIR *dir;
	int r;

	if (own < 0)
		return -errno;
	dir = fdopendir(own);
	if (!dir) {
		r = -errno;
		close(own);
		return r;
	}
	do {
		errno = 0;
		e = readdir(dir);
	} while (e && (!strcmp(e->d_name, ".") || !strcmp(e->d_name, "..")));
	r = e ? 0 : errno ? -errno : 1;
	closedir(dir);
	return r;
}

static int system_error(struct buf *why, const char *path)
{
	int r = -errno;

	buf_printf(why, "%s: %s", path, strerror(-r));
	return r;
}

static int check(int fd, const char *path, struct buf *why)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return system_error(why, path);
	if (st.st_uid != geteuid()) {
		buf_printf(why, "%s: belongs to uid %u, not to you; run kin "
			   "as its owner, or name another place", path,
			   (unsigned)st.st_uid);
		return -EPERM;
	}
	if (!(st.st_mode & 077))
		return 0;
	if (dir_is_empty(fd) == 1 && fchmod(fd, 0700) == 0)
		return 0;
	buf_printf(why, "%s: is open to other users; run `chmod go= '%s'`",
		   path, path);
	return -EPERM;
}

int private_dir_open_at(int parent, const char *name, const char *path,
			struct buf *why, bool *ret_made, int *ret_fd)
{
	bool made = mkdirat(parent, name, 0700) == 0;
	autoclose int fd = -1;
	int r;

	if (!made && errno != EEXIST)
		return system_error(why, path);
	fd = openat(parent, name,
		    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return system_error(why, path);
	r = check(fd, path, why);
	if (r < 0)
		return r;
	if (ret_made)
		*ret_made = made;
	*ret_fd = fd;
	fd = -1;
	return 0;
}

/* Opens the directory that holds the last component, making parents. */
static int open_parent(char *path, struct buf *why, const char **ret_name,
		       int *ret_fd)
{
	autoclose int fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	char *name = path, *end;

	for (;;) {
		int next;

		while (*name == '/')
			name++;
		end = strchr(name, '/');
		if (!end || !end[strspn(end, "/")])
			break;
		*end = '\0';
		/* Symlinks are the user's own business up to here. */
		if (mkdirat(fd, name, 0700) < 0 && errno != EEXIST)
			return system_error(why, path);
		next = openat(fd, name, O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (next < 0)
			return system_error(why, path);
		close(fd);
		fd = next;
		*end = '/';
		name = end + 1;
	}
	if (end)
		*end = '\0';
	if (!*name) {
		buf_printf(why, "/: cannot be used for this");
		return -EINVAL;
	}
	*ret_name = name;
	*ret_fd = fd;
	fd = -1;
	return 0;
}

int private_dir_open(const char *path, struct buf *why, bool *ret_made,
		     int *ret_fd)
{
	char copy[PATH_MAX];
	autoclose int parent = -1;
	const char *name = NULL;
	int r;

	if (strlen(path) >= sizeof(copy)) {
		buf_printf(why, "%s: the path is too long", path);
		return -ENAMETOOLONG;
	}
	strcpy(copy, path);
	r = open_parent(copy, why, &name, &parent);
	if (r < 0)
		return r;
	return private_dir_open_at(parent, name, path, why, ret_made, ret_fd);
}

static int remove_one(const char *path, const struct stat *st, int type,
		      struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

void private_dir_remove(const char *path)
{
	/* Nothing can be done about what stays. */
	(void)nftw(path, remove_one, REMOVE_FDS,
		   FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
}
