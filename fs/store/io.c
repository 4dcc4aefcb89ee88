/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/store/io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

/* (headers may be older than the kernel) */
#ifndef RWF_DONTCACHE
#define RWF_DONTCACHE 0x80
#endif

/*
 * Before Linux 6.16 a page could be dropped that was written to once more while
 * it was on its way to the disk, as the one where two appends meet ("mm/filemap:
 * gate dropbehind invalidate on folio !dirty && !writeback").
 */
static bool may_drop(void)
{
	unsigned int major, minor;
	struct utsname u;

	return !uname(&u) && sscanf(u.release, "%u.%u", &major, &minor) == 2 &&
	       (major > 6 || (major == 6 && minor >= 16));
}

/* Flags that the file system does not know are done without. */
static int write_at(int fd, const void *data, size_t len, uint64_t offset,
		    int flags)
{
	const uint8_t *p = data;

	while (len) {
		struct iovec v = {(void *)p, len};
		ssize_t n = flags ? pwritev2(fd, &v, 1, (off_t)offset, flags) :
				    pwrite(fd, p, len, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && flags && errno == EOPNOTSUPP) {
			flags = 0;
			continue;
		}
		if (n < 0)
			return -errno;
		p += n;
		len -= (size_t)n;
		offset += (uint64_t)n;
	}
	return 0;
}

int io_write_at(int fd, const void *data, size_t len, uint64_t offset)
{
	return write_at(fd, data, len, offset, 0);
}

int io_write_once_at(int fd, const void *data, size_t len, uint64_t offset)
{
	return write_at(fd, data, len, offset, may_drop() ? RWF_DONTCACHE : 0);
}

int io_read_at(int fd, void *ret, size_t len, uint64_t offset)
{
	uint8_t *p = ret;

	while (len) {
		ssize_t n = pread(fd, p, len, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (!n)
			return -ENODATA;
		p += n;
		len -= (size_t)n;
		offset += (uint64_t)n;
	}
	return 0;
}

int io_size(int fd, uint64_t *ret)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	*ret = (uint64_t)st.st_size;
	return 0;
}

int io_free_bytes(int fd, uint64_t *ret)
{
	struct statvfs st;

	if (fstatvfs(fd, &st) < 0)
		return -errno;
	*ret = (uint64_t)st.f_bavail * st.f_frsize;
	return 0;
}

int io_datasync(int fd)
{
	return fdatasync(fd) < 0 ? -errno : 0;
}

int io_sync(int fd)
{
	return fsync(fd) < 0 ? -errno : 0;
}

int io_boot_id(char ret[BOOT_ID_BYTES_MAX + 1])
{
	autoclose int fd =
		open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = read(fd, ret, BOOT_ID_BYTES_MAX);
	if (n < 0)
		return -errno;
	ret[n] = '\0';
	ret[strcspn(ret, "\n")] = '\0';
	return *ret ? 0 : -EIO;
}

uint64_t io_now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}
