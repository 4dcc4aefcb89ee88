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
 *	late-group	a wait with a deadline takes a second longer: groups
 *			are closed too late
 *
 * or what the N-th call (KIN_POWER_AT=N) of the process that changes or syncs
 * a file of a store gets:
 *
 *	kill		SIGKILL before it is done
 *	kill-behind	SIGKILL when it is done
 *	torn		a write does one half of its bytes, then SIGKILL
 *	eio, enospc, edquot	that error, and nothing is done
 *	eio-on, enospc-on	the same, and so for all calls behind it
 *
 * The number of such calls so far is in the file KIN_POWER_CALLS (u64).
 *
 * Besides, what syncs took is noted, and names may be less durable than
 * ext4 and XFS make them: notes.c, names.c.
 *
 * A file is known by its path. What is put off is kept as a descriptor of
 * the library's own, so that the daemon may close its one.
 */
/* Functions are replaced by the names that they have. */
#undef _FILE_OFFSET_BITS

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "fs/base/macro.h"
#include "preload.h"

/* More than the store ever has open. */
#define LATE_MAX 64

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static int late[LATE_MAX]; /* data segments whose sync is put off */
static unsigned int late_count;

bool fault_is(const char *name)
{
	const char *fault = getenv("KIN_POWER_FAULT");

	return fault && !strcmp(fault, name);
}

char kind_of(int fd)
{
	char link[64], path[4096];
	const char *name;
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof(path) - 1);
	if (n < 0)
		return 0;
	path[n] = '\0';
	if (!strstr(path, "/store"))
		return 0;
	if (strstr(path, "/seg/"))
		return 's';
	if (strstr(path, "/log/"))
		return 'l';
	name = strrchr(path, '/');
	if (!strcmp(name, "/kin.log"))
		return 0;
	return strcmp(name, "/db") ? 'o' : 't';
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

		REAL(fdatasync)(fd);
		close(fd);
	}
	pthread_mutex_unlock(&mutex);
}

/* ---- the N-th call */

static uint64_t private_count, *count = &private_count;
static uint64_t fatal; /* 0: none */

__attribute__((constructor)) static void count_open(void)
{
	const char *path = getenv("KIN_POWER_CALLS");
	const char *at = getenv("KIN_POWER_AT");
	int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
	void *map;

	if (at)
		fatal = strtoull(at, NULL, 10);
	if (fd < 0)
		return;
	map = mmap(NULL, sizeof(*count), PROT_READ | PROT_WRITE, MAP_SHARED, fd,
		   0);
	if (map != MAP_FAILED)
		count = map;
	close(fd);
}

enum what {
	DO_IT,
	DO_HALF,    /* then end */
	DO_AND_END, /* the same, whole */
	FAIL,	    /* errno is set */
};

/* 0: the fault is no error. */
static int error_of(void)
{
	return fault_is("eio") || fault_is("eio-on")	     ? EIO
	       : fault_is("enospc") || fault_is("enospc-on") ? ENOSPC
	       : fault_is("edquot")			     ? EDQUOT
							     : 0;
}

static bool error_lasts(void)
{
	return fault_is("eio-on") || fault_is("enospc-on");
}

/* What becomes of a call that changes or syncs this file. */
static enum what next_call(int fd)
{
	uint64_t n;

	if (!kind_of(fd))
		return DO_IT;
	n = __atomic_add_fetch(count, 1, __ATOMIC_RELAXED);
	if (n == fatal || (fatal && n > fatal && error_lasts()))
		errno = error_of();
	else
		return DO_IT;
	if (fault_is("kill"))
		raise(SIGKILL);
	if (fault_is("kill-behind"))
		return DO_AND_END;
	if (fault_is("torn"))
		return DO_HALF;
	return errno ? FAIL : DO_IT;
}

static void end_if(enum what what)
{
	if (what == DO_HALF || what == DO_AND_END)
		raise(SIGKILL);
}

static size_t part(enum what what, size_t len)
{
	return what == DO_HALF ? len / 2 : len;
}

/* ---- calls */

/* len_ stands for how much of the length is done. */
#define REPLACED(fd, len, call)                                                \
	({                                                                     \
		enum what what_ = next_call(fd);                               \
		size_t len_ __attribute__((unused)) = part(what_, len);        \
		__typeof__(call) r_ = -1;                                      \
		if (what_ != FAIL)                                             \
			r_ = (call);                                           \
		end_if(what_);                                                 \
		r_;                                                            \
	})

ssize_t pwrite(int fd, const void *bytes, size_t len, off_t offset)
{
	struct note note = note_begin_write(fd);
	ssize_t n = REPLACED(fd, len, REAL(pwrite)(fd, bytes, len_, offset));

	note_end(&note);
	return n;
}

ssize_t pwrite64(int fd, const void *bytes, size_t len, off64_t offset)
{
	return pwrite(fd, bytes, len, offset);
}

ssize_t pwritev2(int fd, const struct iovec *v, int n, off_t offset, int flags)
{
	/* (one piece is all that the store gives it) */
	struct note note = note_begin_write(fd);
	struct iovec one = v[0];
	ssize_t r = REPLACED(fd, one.iov_len,
			     (one.iov_len = len_,
			      REAL(pwritev2)(fd, &one, n, offset, flags)));

	note_end(&note);
	return r;
}

ssize_t pwritev64v2(int fd, const struct iovec *v, int n, off64_t offset,
		    int flags)
{
	return pwritev2(fd, v, n, offset, flags);
}

ssize_t write(int fd, const void *bytes, size_t len)
{
	return REPLACED(fd, len, REAL(write)(fd, bytes, len_));
}

ssize_t writev(int fd, const struct iovec *v, int n)
{
	return REPLACED(fd, (size_t)n, REAL(writev)(fd, v, (int)len_));
}

int ftruncate(int fd, off_t size)
{
	return REPLACED(fd, 0, REAL(ftruncate)(fd, size));
}

int ftruncate64(int fd, off64_t size)
{
	return ftruncate(fd, size);
}

int fallocate(int fd, int mode, off_t offset, off_t len)
{
	return REPLACED(fd, 0, REAL(fallocate)(fd, mode, offset, len));
}

int fallocate64(int fd, int mode, off64_t offset, off64_t len)
{
	return fallocate(fd, mode, offset, len);
}

int posix_fallocate(int fd, off_t offset, off_t len)
{
	enum what what = next_call(fd);
	int r = what == FAIL ? errno : REAL(posix_fallocate)(fd, offset, len);

	end_if(what);
	return r;
}

int posix_fallocate64(int fd, off64_t offset, off64_t len)
{
	return posix_fallocate(fd, offset, len);
}

int unlinkat(int dirfd, const char *name, int flags)
{
	return REPLACED(dirfd, 0, REAL(unlinkat)(dirfd, name, flags));
}

int fdatasync(int fd)
{
	enum what what = next_call(fd);
	char kind = kind_of(fd);
	struct note note;
	int r;

	if (what == FAIL)
		return -1;
	if ((kind == 's' && fault_is("no-data-sync")) ||
	    (kind == 'l' && fault_is("no-log-sync")) ||
	    (kind == 't' && fault_is("no-table-sync")))
		return 0;
	if (kind == 's' && fault_is("data-late"))
		return put_off(fd);
	note = note_begin(fd);
	r = REAL(fdatasync)(fd);
	note_end(&note);
	if (kind == 'l' || kind == 't')
		make_up();
	end_if(what);
	return r;
}

static int fsync_noted(int fd)
{
	struct note note = note_begin(fd);
	int r = REAL(fsync)(fd);

	note_end(&note);
	return r;
}

int fsync(int fd)
{
	struct stat st;

	if (!fstat(fd, &st) && S_ISDIR(st.st_mode)) {
		if (fault_is("no-dir-sync"))
			return 0;
		names_sync(fd);
	}
	return REPLACED(fd, 0, fsync_noted(fd));
}

int pthread_cond_timedwait(pthread_cond_t *cond, pthread_mutex_t *m,
			   const struct timespec *until)
{
	struct timespec late_until = *until;

	late_until.tv_sec += fault_is("late-group");
	return REAL(pthread_cond_timedwait)(cond, m, &late_until);
}
