/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mistakes planted into a daemon by LD_PRELOAD, to see that power cuts find
 * them. KIN_POWER_FAULT names one:
 *
 *	no-data-sync	fdatasync of a data segment does nothing
 *	data-late	it is done after the next sync of log or tables:
 *			the order of a commit is turned round
 *	no-log-sync	fdatasync of a log segment does nothing
 *	no-table-sync	fdatasync of the tables does nothing
 *	no-dir-sync	fsync of a directory does nothing
 *
 * A file is known by its path. What is put off is kept as a descriptor of
 * the library's own, so that the daemon may close its one.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/base/macro.h"

/* More than the store ever has open. */
#define LATE_MAX 64

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static int late[LATE_MAX]; /* data segments whose sync is put off */
static unsigned int late_count;

static bool fault_is(const char *name)
{
	const char *fault = getenv("KIN_POWER_FAULT");

	return fault && !strcmp(fault, name);
}

/* s data, l log, t tables, 0 another file. */
static char kind_of(int fd)
{
	char link[64], path[4096];
	const char *name;
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof(path) - 1);
	if (n < 0)
		return 0;
	path[n] = '\0';
	if (strstr(path, "/seg/"))
		return 's';
	if (strstr(path, "/log/"))
		return 'l';
	name = strrchr(path, '/');
	return name && !strcmp(name, "/db") ? 't' : 0;
}

static int real_sync(const char *name, int fd)
{
	int (*fn)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);

	return fn(fd);
}

static int put_off(int fd)
{
	int own = fcntl(fd, F_DUPFD_CLOEXEC, 0), r = 0;

	pthread_mutex_lock(&mutex);
	if (own >= 0 && late_count < LATE_MAX)
		late[late_count++] = own;
	else
		r = -1;
	pthread_mutex_unlock(&mutex);
	return r;
}

static void make_up(void)
{
	pthread_mutex_lock(&mutex);
	while (late_count) {
		int fd = late[--late_count];

		real_sync("fdatasync", fd);
		close(fd);
	}
	pthread_mutex_unlock(&mutex);
}

int fdatasync(int fd)
{
	char kind = kind_of(fd);
	int r;

	if ((kind == 's' && fault_is("no-data-sync")) ||
	    (kind == 'l' && fault_is("no-log-sync")) ||
	    (kind == 't' && fault_is("no-table-sync")))
		return 0;
	if (kind == 's' && fault_is("data-late"))
		return put_off(fd);
	r = real_sync("fdatasync", fd);
	if (kind == 'l' || kind == 't')
		make_up();
	return r;
}

int fsync(int fd)
{
	struct stat st;

	if (fault_is("no-dir-sync") && !fstat(fd, &st) && S_ISDIR(st.st_mode))
		return 0;
	return real_sync("fsync", fd);
}
