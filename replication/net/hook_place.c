/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Is a directory in a volume of kinfs? What other nodes can write is no place
 * for what this one executes, whoever the files belong to.
 *
 * The mounts of this process say which devices are such volumes. They are
 * read only where a directory is on FUSE at all.
 */
#include "replication/net/hook_place.h"

#include <errno.h>
#include <linux/magic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>

/* "36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw": the
 * third field, and the one after the dash. (A space in a path is written as
 * \040.) */
static bool line_is(const char *line, dev_t dev, const char *type)
{
	const char *dash = strstr(line, " - ");
	unsigned int major, minor;

	return dash && sscanf(line, "%*u %*u %u:%u", &major, &minor) == 2 &&
	       makedev(major, minor) == dev &&
	       !strncmp(dash + 3, type, strlen(type)) &&
	       dash[3 + strlen(type)] == ' ';
}

int hook_place_is_volume(int dir)
{
	autofree char *line = NULL;
	struct statfs fs;
	struct stat st;
	size_t room = 0;
	FILE *mounts;
	int yes = 0;

	if (fstatfs(dir, &fs) < 0 || fstat(dir, &st) < 0)
		return -errno;
	if (fs.f_type != FUSE_SUPER_MAGIC)
		return 0;
	mounts = fopen("/proc/self/mountinfo", "re");
	if (!mounts)
		return -errno;
	while (!yes && getline(&line, &room, mounts) > 0)
		yes = line_is(line, st.st_dev, "fuse.kinfs");
	fclose(mounts);
	return yes;
}
