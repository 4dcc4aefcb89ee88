/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The system calls by which a store writes, for this whole program: the
 * linker finds these before those of the C library, for the store's code and
 * for LMDB's. Each has two names, since LMDB was built for the old one.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "fs/base/macro.h"
#include "tests/sim/disk.h"

#define NS_PER_MS 1000000

static int fail(int r)
{
	errno = -r;
	return -1;
}

/* Disks note nothing of what they do themselves (disk.c). */
static struct disk *noting(int fd, struct disk_file **f, struct stat *st)
{
	struct disk *d = disk_of_fd(fd, f, st);

	return d && d->used ? d : NULL;
}

ssize_t sim_pwrite(int fd, const void *data, size_t len,
		   off_t offset) __asm__("pwrite");
ssize_t sim_pwrite64(int fd, const void *data, size_t len,
		     off_t offset) __asm__("pwrite64");

ssize_t sim_pwrite(int fd, const void *data, size_t len, off_t offset)
{
	struct disk_file *f;
	struct stat st;
	struct disk *d = noting(fd, &f, &st);
	int r = 0;

	if (d)
		r = disk_before_write(d, f, fd, &st, data, (uint64_t)offset,
				      len);
	return r ? fail(r) : syscall(SYS_pwrite64, fd, data, len, offset);
}

ssize_t sim_pwrite64(int fd, const void *data, size_t len, off_t offset)
{
	return sim_pwrite(fd, data, len, offset);
}

ssize_t sim_pwritev2(int fd, const struct iovec *v, int count, off_t offset,
		     int flags) __asm__("pwritev2");
ssize_t sim_pwritev64v2(int fd, const struct iovec *v, int count, off_t offset,
			int flags) __asm__("pwritev64v2");

/* (the flags are for a kernel with a disk of its own) */
ssize_t sim_pwritev2(int fd, const struct iovec *v, int count, off_t offset,
		     int flags)
{
	kin_assert(count == 1);
	(void)flags;
	return sim_pwrite(fd, v->iov_base, v->iov_len, offset);
}

ssize_t sim_pwritev64v2(int fd, const struct iovec *v, int count, off_t offset,
			int flags)
{
	return sim_pwritev2(fd, v, count, offset, flags);
}

/* (LMDB writes neighbouring pages by this, and not with O_DSYNC.) */
ssize_t writev(int fd, const struct iovec *v, int count)
{
	struct disk_file *f;
	struct stat st;
	struct disk *d = noting(fd, &f, &st);
	size_t len = 0;
	int r = 0;

	for (int i = 0; i < count; i++)
		len += v[i].iov_len;
	if (d)
		r = disk_before_write(d, f, fd, &st, v[0].iov_base,
				      (uint64_t)lseek(fd, 0, SEEK_CUR), len);
	return r ? fail(r) : syscall(SYS_writev, fd, v, count);
}

int sim_ftruncate(int fd, off_t len) __asm__("ftruncate");
int sim_ftruncate64(int fd, off_t len) __asm__("ftruncate64");

int sim_ftruncate(int fd, off_t len)
{
	struct disk_file *f;
	struct stat st;
	struct disk *d = noting(fd, &f, &st);
	int r = 0;

	if (d)
		r = disk_before_write(d, f, fd, &st, NULL, (uint64_t)len, 0);
	return r ? fail(r) : (int)syscall(SYS_ftruncate, fd, len);
}

int sim_ftruncate64(int fd, off_t len)
{
	return sim_ftruncate(fd, len);
}

/* Holes: zeros are written, and the file is as long as before. */
int sim_punch(int fd, int mode, off_t offset, off_t len) __asm__("fallocate");
int sim_punch64(int fd, int mode, off_t offset,
		off_t len) __asm__("fallocate64");

int sim_punch(int fd, int mode, off_t offset, off_t len)
{
	struct disk_file *f;
	struct stat st;
	struct disk *d = noting(fd, &f, &st);
	int r = 0;

	if (d && offset < st.st_size)
		r = disk_before_write(d, f, fd, &st, NULL, (uint64_t)offset,
				      (uint64_t)MIN_OF(len, st.st_size -
							       offset));
	return r ? fail(r) : (int)syscall(SYS_fallocate, fd, mode, offset, len);
}

int sim_punch64(int fd, int mode, off_t offset, off_t len)
{
	return sim_punch(fd, mode, offset, len);
}

/* Of segments. (The reserve is nothing here.) */
int unlinkat(int fd, const char *name, int flags)
{
	char link[64], path[4096];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof(path) / 2);
	n = MAX_OF(n, (ssize_t)0);
	snprintf(path + n, sizeof(path) - (size_t)n, "/%s", name);
	if (strstr(path, "/seg/") && !disk_before_remove(path))
		return 0;
	return (int)syscall(SYS_unlinkat, fd, name, flags);
}

int fdatasync(int fd)
{
	struct disk_file *f;
	struct stat st;
	struct disk *d = noting(fd, &f, &st);
	int r = 0;

	if (!d)
		return 0;
	r = disk_before_sync(d);
	if (r)
		return fail(r);
	/* (disk_before_sync() may have moved the files) */
	d = noting(fd, &f, &st);
	if (d)
		disk_synced(d, f);
	return 0;
}

/* Of directories: names. The simulator's own files need no sync. */
int fsync(int fd)
{
	char link[64], path[4096];
	struct stat st;
	ssize_t n;

	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
		return fdatasync(fd);
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof(path) - 1);
	path[n < 0 ? 0 : n] = '\0';
	disk_synced_dir(path);
	return 0;
}

/* The reserve takes no room here. */
int sim_fallocate(int fd, off_t offset, off_t len) __asm__("posix_fallocate");
int sim_fallocate64(int fd, off_t offset,
		    off_t len) __asm__("posix_fallocate64");

int sim_fallocate(int fd, off_t offset, off_t len)
{
	return sim_ftruncate(fd, offset + len) < 0 ? errno : 0;
}

int sim_fallocate64(int fd, off_t offset, off_t len)
{
	return sim_fallocate(fd, offset, len);
}

int sim_fstatvfs(int fd, struct statvfs *ret) __asm__("fstatvfs64");

int sim_fstatvfs(int fd, struct statvfs *ret)
{
	char link[64], path[4096];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof(path) - 1);
	path[n < 0 ? 0 : n] = '\0';
	memset(ret, 0, sizeof(*ret));
	ret->f_frsize = ret->f_bsize = 4096;
	ret->f_bavail = disk_path_full(path) ? 0 : 1u << 30;
	return 0;
}

/* One seed is one history: the store's clock is the simulated one. */
int clock_gettime(clockid_t which, struct timespec *ret)
{
	uint64_t ms = disk_now_ms();

	if (which != CLOCK_MONOTONIC || !ms)
		return (int)syscall(SYS_clock_gettime, which, ret);
	ret->tv_sec = (time_t)(ms / 1000);
	ret->tv_nsec = (long)(ms % 1000) * NS_PER_MS;
	return 0;
}
