/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names that last no longer than POSIX promises. When a new file is synced,
 * ext4 and XFS make its name durable, too: there a store that never syncs
 * the directory of its data segments loses nothing. With
 * KIN_POWER_NAMES=strict a new segment has no name on the disk before its
 * directory is synced: it is made without one, and gets it then. If the
 * power goes before, the file is gone.
 *
 * Until then this process finds it by its name, but no directory lists it.
 */
#undef _FILE_OFFSET_BITS

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/base/macro.h"
#include "preload.h"

/* Segments that wait for a sync; with a fault that leaves it out, all. */
#define NEW_MAX 512
#define NAME_BYTES_MAX 16
#define LINK_BYTES 64

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct fresh {
	int fd; /* of the library's own */
	char name[NAME_BYTES_MAX + 1];
} fresh[NEW_MAX];
static unsigned int fresh_count;

static bool is_strict(void)
{
	const char *names = getenv("KIN_POWER_NAMES");

	return names && !strcmp(names, "strict");
}

static bool is_segments(int dirfd)
{
	char link[LINK_BYTES], path[4096];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", dirfd);
	n = readlink(link, path, sizeof(path) - 1);
	if (n < 0)
		return false;
	path[n] = '\0';
	return strstr(path, "/store") && n > 4 && !strcmp(path + n - 4, "/seg");
}

/* With the mutex. */
static struct fresh *fresh_find(const char *name)
{
	for (unsigned int i = 0; i < fresh_count; i++) {
		if (!strcmp(fresh[i].name, name))
			return &fresh[i];
	}
	return NULL;
}

static int fresh_open(const struct fresh *f, int flags)
{
	char link[LINK_BYTES];

	snprintf(link, sizeof(link), "/proc/self/fd/%d", f->fd);
	return REAL(open)(link, flags & ~(O_CREAT | O_EXCL | O_NOFOLLOW));
}

static int fresh_make(int dirfd, const char *name, int flags, mode_t mode)
{
	int fd;

	if (strlen(name) > NAME_BYTES_MAX || fresh_count == NEW_MAX) {
		errno = ENFILE;
		return -1;
	}
	fd = REAL(openat)(
		dirfd, ".",
		(flags & ~(O_CREAT | O_EXCL | O_NOFOLLOW)) | O_TMPFILE, mode);
	if (fd < 0)
		return -1;
	fresh[fresh_count].fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	strcpy(fresh[fresh_count++].name, name);
	return fd;
}

static int openat_strict(int dirfd, const char *name, int flags, mode_t mode)
{
	struct stat st;
	struct fresh *f;
	int fd;

	pthread_mutex_lock(&mutex);
	f = fresh_find(name);
	if (f && (flags & O_EXCL)) {
		errno = EEXIST;
		fd = -1;
	} else if (f) {
		fd = fresh_open(f, flags);
	} else if ((flags & O_CREAT) &&
		   fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW)) {
		fd = fresh_make(dirfd, name, flags, mode);
	} else {
		fd = REAL(openat)(dirfd, name, flags, mode);
	}
	pthread_mutex_unlock(&mutex);
	return fd;
}

static bool has_mode(int flags)
{
	return (flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE;
}

int openat(int dirfd, const char *name, int flags, ...)
{
	mode_t mode = 0;
	va_list args;

	va_start(args, flags);
	if (has_mode(flags))
		mode = va_arg(args, mode_t);
	va_end(args);
	if (is_strict() && strcmp(name, ".") && is_segments(dirfd))
		return openat_strict(dirfd, name, flags, mode);
	return REAL(openat)(dirfd, name, flags, mode);
}

int openat64(int dirfd, const char *name, int flags, ...)
{
	mode_t mode = 0;
	va_list args;

	va_start(args, flags);
	if (has_mode(flags))
		mode = va_arg(args, mode_t);
	va_end(args);
	return openat(dirfd, name, flags | O_LARGEFILE, mode);
}

void names_sync(int dirfd)
{
	char link[LINK_BYTES];

	if (!is_strict() || !is_segments(dirfd))
		return;
	pthread_mutex_lock(&mutex);
	while (fresh_count) {
		const struct fresh *f = &fresh[--fresh_count];

		snprintf(link, sizeof(link), "/proc/self/fd/%d", f->fd);
		if (linkat(AT_FDCWD, link, dirfd, f->name, AT_SYMLINK_FOLLOW))
			abort(); /* the store would believe it */
		close(f->fd);
	}
	pthread_mutex_unlock(&mutex);
}
