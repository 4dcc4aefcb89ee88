/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is compared. Of each file: its type, mode, owner and group, number of
 * names and size (directories have any), device, target, extended attributes,
 * ACLs among them, and bytes; of a tree: which names there are, and which are
 * one file. A time that was set is compared as it is; of others only whether
 * they are of this run, and of an operation whether it moved them: ctime and
 * mtime of what it names, of the directories of that, and of open files.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "tests/twins/twins.h"

#define XATTR_LIST_BYTES 4096
#define XATTR_BYTES 4096
#define NAMES_MAX 4096
/* A file system may have its times from the tick before the run began. */
#define TIME_SLACK_S 1

/* ---- one file */

static bool is_now(const struct twins *t, const struct timespec *time)
{
	return time->tv_sec >= t->begin.tv_sec - TIME_SLACK_S;
}

static void compare_stat(const struct twins *t, const struct stat st[SIDES],
			 const char *what)
{
	const struct stat *a = &st[0], *b = &st[1];

	if (a->st_mode != b->st_mode)
		twins_fail(t, "%s: mode %o, and %o", what, a->st_mode,
			   b->st_mode);
	if (a->st_uid != b->st_uid || a->st_gid != b->st_gid)
		twins_fail(t, "%s: owner %u:%u, and %u:%u", what, a->st_uid,
			   a->st_gid, b->st_uid, b->st_gid);
	if (a->st_nlink != b->st_nlink)
		twins_fail(t, "%s: %lu names, and %lu", what,
			   (unsigned long)a->st_nlink,
			   (unsigned long)b->st_nlink);
	if (!S_ISDIR(a->st_mode) && a->st_size != b->st_size)
		twins_fail(t, "%s: size %lld, and %lld", what,
			   (long long)a->st_size, (long long)b->st_size);
	if (a->st_rdev != b->st_rdev)
		twins_fail(t, "%s: device %lx, and %lx", what,
			   (unsigned long)a->st_rdev,
			   (unsigned long)b->st_rdev);
	/* (the kernel does not tell FUSE what passes through a pipe) */
	if (S_ISFIFO(a->st_mode))
		return;
	if (is_now(t, &a->st_mtim) != is_now(t, &b->st_mtim) ||
	    (!is_now(t, &a->st_mtim) &&
	     (a->st_mtim.tv_sec != b->st_mtim.tv_sec ||
	      a->st_mtim.tv_nsec != b->st_mtim.tv_nsec)))
		twins_fail(t, "%s: mtime %lld.%09ld, and %lld.%09ld", what,
			   (long long)a->st_mtim.tv_sec, a->st_mtim.tv_nsec,
			   (long long)b->st_mtim.tv_sec, b->st_mtim.tv_nsec);
	if (!is_now(t, &a->st_ctim) || !is_now(t, &b->st_ctim))
		twins_fail(t, "%s: ctime %lld, and %lld", what,
			   (long long)a->st_ctim.tv_sec,
			   (long long)b->st_ctim.tv_sec);
}

static void compare_bytes(const struct twins *t, int fd[SIDES],
			  const char *what)
{
	static uint8_t bytes[SIDES][SIZE_MAX_BYTES];
	off_t at = 0;
	ssize_t n, m;

	do {
		n = pread(fd[0], bytes[0], SIZE_MAX_BYTES, at);
		m = pread(fd[1], bytes[1], SIZE_MAX_BYTES, at);
		if (n < 0 || m != n)
			twins_fail(t, "%s: read %zd, and %zd (%s)", what, n,
				   m, strerror(errno));
		for (ssize_t k = 0; k < n; k++)
			if (bytes[0][k] != bytes[1][k])
				twins_fail(t, "%s: byte %lld is %d, and %d",
					   what, (long long)at + k,
					   bytes[0][k], bytes[1][k]);
		at += n;
	} while (n > 0);
	close(fd[0]);
	close(fd[1]);
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

struct list {
	size_t count;
	char *names[NAMES_MAX];
};

static void list_sort(struct list *l)
{
	qsort(l->names, l->count, sizeof(l->names[0]), by_text);
}

static void compare_lists(const struct twins *t, const struct list l[SIDES],
			  const char *what)
{
	for (size_t k = 0; k < l[0].count || k < l[1].count; k++) {
		const char *a = k < l[0].count ? l[0].names[k] : "nothing";
		const char *b = k < l[1].count ? l[1].names[k] : "nothing";

		if (strcmp(a, b) != 0)
			twins_fail(t, "%s: %.100s, and %.100s", what, a, b);
	}
}

/* ... or, of an open file, its path in /proc. */
static void compare_xattrs(const struct twins *t, char *path[SIDES],
			   bool open, const char *what)
{
	ssize_t (*list_of)(const char *, char *, size_t) =
		open ? listxattr : llistxattr;
	ssize_t (*get)(const char *, const char *, void *, size_t) =
		open ? getxattr : lgetxattr;
	static char text[SIDES][XATTR_LIST_BYTES];
	static uint8_t value[SIDES][XATTR_BYTES];
	struct list list[SIDES] = { 0 };
	ssize_t n[SIDES];

	for (int s = 0; s < SIDES; s++) {
		n[s] = list_of(path[s], text[s], XATTR_LIST_BYTES);
		for (ssize_t at = 0; at < n[s];
		     at += (ssize_t)strlen(text[s] + at) + 1)
			list[s].names[list[s].count++] = text[s] + at;
		list_sort(&list[s]);
	}
	if (n[0] < 0 || n[1] < 0)
		twins_fail(t, "%s: cannot list attributes: %zd, and %zd (%s)",
			   what, n[0], n[1], strerror(errno));
	compare_lists(t, list, what);
	for (size_t k = 0; k < list[0].count; k++) {
		for (int s = 0; s < SIDES; s++)
			n[s] = get(path[s], list[s].names[k], value[s],
				   XATTR_BYTES);
		if (n[0] < 0 || n[0] != n[1] ||
		    memcmp(value[0], value[1], (size_t)n[0]) != 0)
			twins_fail(t, "%s: attribute %s, %zd and %zd bytes, "
				   "is another", what, list[0].names[k], n[0],
				   n[1]);
	}
}

/* Both are there, at `name` of the directories; an empty name: the open
 * files dir themselves. */
static void compare_file(const struct twins *t, const int dir[SIDES],
			 const char *name, const struct stat st[SIDES],
			 const char *what)
{
	static char text[SIDES][PATH_BYTES + 32];
	char *path[SIDES] = { text[0], text[1] };
	char target[SIDES][PATH_BYTES];
	ssize_t n[SIDES];
	int fd[SIDES];

	compare_stat(t, st, what);
	for (int s = 0; s < SIDES; s++)
		snprintf(text[s], sizeof(text[s]), "/proc/self/fd/%d%s%s",
			 dir[s], name[0] ? "/" : "", name);
	if (S_ISLNK(st[0].st_mode) && name[0]) {
		for (int s = 0; s < SIDES; s++)
			n[s] = readlink(path[s], target[s], PATH_BYTES);
		if (n[0] < 0 || n[0] != n[1] ||
		    memcmp(target[0], target[1], (size_t)n[0]) != 0)
			twins_fail(t, "%s: another target", what);
	}
	compare_xattrs(t, path, !name[0], what);
	if (S_ISREG(st[0].st_mode) && st[0].st_size) {
		for (int s = 0; s < SIDES; s++)
			fd[s] = open(path[s], O_RDONLY | O_CLOEXEC);
		if (fd[0] < 0 || fd[1] < 0)
			twins_fail(t, "%s: cannot be opened: %d, and %d (%s)",
				   what, fd[0], fd[1], strerror(errno));
		compare_bytes(t, fd, what);
	}
}

/* ---- around an operation */

/* "a/b/c", "a/b/": "a/b", "a"; "a": "." */
static const char *parent_of(const char *path)
{
	static char text[PATH_BYTES];
	size_t len = strlen(path);

	while (len && path[len - 1] == '/')
		len--;
	while (len && path[len - 1] != '/')
		len--;
	while (len && path[len - 1] == '/')
		len--;
	memcpy(text, path, len);
	text[len] = '\0';
	return len ? text : ".";
}

static bool see(const struct side *s, const struct args *a, int place,
		struct stat *ret)
{
	if (place < PATHS)
		return !fstatat(s->root, a->path[place], ret,
				AT_SYMLINK_NOFOLLOW);
	if (place < 2 * PATHS)
		return !fstatat(s->root, parent_of(a->path[place - PATHS]),
				ret, 0);
	return !fstat(s->fd[a->fd[place - 2 * PATHS]], ret);
}

static const char *place_name(const struct args *a, int place)
{
	static char text[PATH_BYTES + 40];
	const char *path = place < 2 * PATHS ? a->path[place % PATHS] : "";

	if (place < PATHS)
		snprintf(text, sizeof(text), "'%.100s'", path);
	else if (place < 2 * PATHS)
		snprintf(text, sizeof(text), "directory of '%.100s'", path);
	else
		snprintf(text, sizeof(text), "file #%u",
			 a->fd[place - 2 * PATHS]);
	return text;
}

/*
 * A pipe, a device, or what O_PATH opened, whose last name is removed: a file
 * system that learns of open files by FUSE knows nothing of it any more.
 */
static bool is_lost(const struct twins *t, unsigned int at)
{
	int fd = t->side[0].fd[at];
	struct stat st;

	return fd >= 0 && !fstat(fd, &st) && !st.st_nlink &&
	       ((!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode)) ||
		fcntl(fd, F_GETFL) & O_PATH);
}

void look_lost(struct twins *t)
{
	for (unsigned int k = 0; k < FDS; k++)
		if (is_lost(t, k))
			for (int s = 0; s < SIDES; s++) {
				close(t->side[s].fd[k]);
				t->side[s].fd[k] = -1;
			}
}

void look_before(const struct twins *t, const struct args *a,
		 struct before *ret)
{
	for (int s = 0; s < SIDES; s++)
		for (int k = 0; k < 2 * PATHS + 2; k++)
			ret->is[s][k] = see(&t->side[s], a, k,
					    &ret->place[s][k]);
}

static bool moved(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec != b->tv_sec || a->tv_nsec != b->tv_nsec;
}

static void compare_times(const struct twins *t, const struct stat *was[SIDES],
			  const struct stat now[SIDES], const char *what)
{
	bool c[SIDES], m[SIDES];

	for (int s = 0; s < SIDES; s++) {
		if (was[s]->st_ino != now[s].st_ino)
			return;
		c[s] = moved(&was[s]->st_ctim, &now[s].st_ctim);
		m[s] = moved(&was[s]->st_mtim, &now[s].st_mtim);
	}
	if ((c[0] != c[1] || m[0] != m[1]) && !S_ISFIFO(now[0].st_mode))
		twins_fail(t, "%s: the change moved its %s%s%s in one only "
			   "(in the first: %s)", what, c[0] != c[1] ? "ctime"
			   : "", c[0] != c[1] && m[0] != m[1] ? " and " : "",
			   m[0] != m[1] ? "mtime" : "",
			   c[0] > c[1] || m[0] > m[1] ? "yes" : "no");
}

void look_behind(const struct twins *t, const struct args *a,
		 const struct before *before)
{
	struct stat st[SIDES];
	bool is[SIDES];

	for (int k = 0; k < 2 * PATHS + 2; k++) {
		const char *what = place_name(a, k);
		const struct stat *was[SIDES];
		int dir[SIDES];

		for (int s = 0; s < SIDES; s++) {
			is[s] = see(&t->side[s], a, k, &st[s]);
			was[s] = &before->place[s][k];
			dir[s] = k < 2 * PATHS
					 ? t->side[s].root
					 : t->side[s].fd[a->fd[k - 2 * PATHS]];
		}
		if (is[0] != is[1] && k >= 2 * PATHS &&
		    is_lost(t, a->fd[k - 2 * PATHS]))
			continue;
		if (is[0] != is[1])
			twins_fail(t, "%s: is %sthere, and is %sthere",
				   what, is[0] ? "" : "not ",
				   is[1] ? "" : "not ");
		if (!is[0])
			continue;
		if (t->fine && before->is[0][k] && before->is[1][k])
			compare_times(t, was, st, what);
		if (k < PATHS)
			compare_file(t, dir, a->path[k], st, what);
		else if (k >= 2 * PATHS && S_ISREG(st[0].st_mode))
			compare_file(t, dir, "", st, what);
		else
			compare_stat(t, st, what);
	}
}

/* ---- all of it */

/* Which inode of one side is which of the other, in this walk. */
struct walk {
	const struct twins *t;
	size_t count;
	ino_t inodes[NAMES_MAX][SIDES];
};

static void walk_inode(struct walk *w, const struct stat st[SIDES],
		       const char *what)
{
	for (size_t k = 0; k < w->count; k++) {
		bool a = w->inodes[k][0] == st[0].st_ino;
		bool b = w->inodes[k][1] == st[1].st_ino;

		if (a != b)
			twins_fail(w->t, "%s: is another name of a file in "
				   "one only", what);
		if (a)
			return;
	}
	if (w->count < NAMES_MAX) {
		w->inodes[w->count][0] = st[0].st_ino;
		w->inodes[w->count++][1] = st[1].st_ino;
	}
}

/* The first character of each is its type. */
static void list_directory(const struct twins *t, int dir, struct list *ret)
{
	DIR *d = fdopendir(openat(dir, ".", O_RDONLY | O_CLOEXEC));
	struct dirent *e;

	ret->count = 0;
	if (!d)
		twins_fail(t, "cannot list: %s", strerror(errno));
	while ((errno = 0, e = readdir(d)) && ret->count < NAMES_MAX) {
		char *text;

		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
			continue;
		if (asprintf(&text, "%c%s", 'a' + e->d_type, e->d_name) < 0)
			twins_fail(t, "no memory");
		ret->names[ret->count++] = text;
	}
	if (errno)
		twins_fail(t, "cannot list: %s", strerror(errno));
	closedir(d);
	list_sort(ret);
}

static void list_clear(struct list *l)
{
	while (l->count)
		free(l->names[--l->count]);
}

/* (recursion: of DEPTH_MAX and what one rename adds) */
static size_t walk(struct walk *w, const int dir[SIDES], const char *path)
{
	struct list *list = calloc(SIDES, sizeof(*list));
	size_t count = 0;

	if (!list)
		twins_fail(w->t, "no memory");
	for (int s = 0; s < SIDES; s++)
		list_directory(w->t, dir[s], &list[s]);
	compare_lists(w->t, list, path);
	for (size_t k = 0; k < list[0].count; k++) {
		const char *name = list[0].names[k] + 1;
		struct stat st[SIDES];
		int sub[SIDES];
		char *below;

		if (asprintf(&below, "%s/%s", path, name) < 0)
			twins_fail(w->t, "no memory");
		for (int s = 0; s < SIDES; s++)
			if (fstatat(dir[s], name, &st[s], AT_SYMLINK_NOFOLLOW))
				twins_fail(w->t, "%s: %s", below,
					   strerror(errno));
		walk_inode(w, st, below);
		compare_file(w->t, dir, name, st, below);
		count++;
		if (S_ISDIR(st[0].st_mode)) {
			for (int s = 0; s < SIDES; s++)
				sub[s] = openat(dir[s], name,
						O_RDONLY | O_CLOEXEC);
			count += walk(w, sub, below);
			close(sub[0]);
			close(sub[1]);
		}
		free(below);
	}
	list_clear(&list[0]);
	list_clear(&list[1]);
	free(list);
	return count;
}

size_t look_whole(const struct twins *t)
{
	const int dir[SIDES] = { t->side[0].root, t->side[1].root };
	struct walk *w = calloc(1, sizeof(*w));
	size_t count;

	if (!w)
		twins_fail(t, "no memory");
	w->t = t;
	count = walk(w, dir, ".");
	free(w);
	return count;
}
