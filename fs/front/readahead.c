/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How far the kernel reads ahead. It offers a FUSE file system 128 KiB, which
 * can only ask for less; but root may say more of each mount (sysfs, class
 * bdi). A cold read in order took two thirds of the time with as much as a
 * request may have.
 */
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/base/log.h"
#include "fs/front/front_internal.h"

#define READ_AHEAD_KIB (WRITE_BYTES_MAX / 1024)
#define NUMBER_BYTES_MAX 16

static int setting_open(const char *mountpoint)
{
	char path[PATH_MAX];
	struct statx st;

	/* (nothing is wanted but the device, so the mount is not asked) */
	if (statx(AT_FDCWD, mountpoint, AT_STATX_DONT_SYNC, 0, &st) < 0)
		return -1;
	snprintf(path, sizeof(path), "/sys/class/bdi/%u:%u/read_ahead_kb",
		 st.stx_dev_major, st.stx_dev_minor);
	return open(path, O_RDWR | O_CLOEXEC);
}

void front_read_ahead(const struct front *front)
{
	char number[NUMBER_BYTES_MAX] = "";
	autoclose int fd = setting_open(front->mountpoint);
	int len;

	if (fd < 0 || pread(fd, number, sizeof(number) - 1, 0) <= 0 ||
	    strtoul(number, NULL, 10) >= READ_AHEAD_KIB)
		return;
	len = snprintf(number, sizeof(number), "%d", READ_AHEAD_KIB);
	if (pwrite(fd, number, (size_t)len, 0) < 0)
		log_debug("'%s': the kernel reads ahead as it likes",
			  front->mountpoint);
}
