/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a repair takes out of the store is not thrown away: it goes into
 * files below `lost` in the store's directory, for people.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/store/store_internal.h"

int store_put_aside(struct store *s, const char *name, struct slice bytes)
{
	autoclose int dir = -1, fd = -1;
	int r;

	if (mkdirat(s->dirfd, "lost", 0700) < 0 && errno != EEXIST)
		return -errno;
	dir = openat(s->dirfd, "lost",
		     O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (dir < 0)
		return -errno;
	fd = openat(dir, name,
		    O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW,
		    0600);
	if (fd < 0)
		return -errno;
	r = io_write_at(fd, bytes.data, bytes.len, 0);
	if (!r)
		r = io_sync(fd);
	return r ? r : io_sync(dir);
}
