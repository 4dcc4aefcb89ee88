/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/mount_remove.h"

#include <errno.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fs/base/log.h"
#include "tools/mounts.h"

/* fusermount3 may unmount what its caller mounted. */
static int run_fusermount(const char *mountpoint, bool lazily)
{
	char name[] = "fusermount3", u[] = "-u", z[] = "-z", q[] = "-q";
	char end[] = "--";
	char *path = strdup(mountpoint);
	char *argv[] = { name, u, q, end, path, NULL, NULL };
	int status, r;
	pid_t pid;

	if (!path)
		return -ENOMEM;
	if (lazily) {
		argv[3] = z;
		argv[4] = end;
		argv[5] = path;
	}
	r = -posix_spawnp(&pid, name, NULL, NULL, argv, environ);
	if (r == 0 && waitpid(pid, &status, 0) < 0)
		r = -errno;
	else if (r == 0 && status)
		r = -EBUSY;	/* it does not tell why in its status */
	free(path);
	return r;
}

int mount_remove(const char *mountpoint, bool lazily)
{
	if (geteuid() != 0)
		return run_fusermount(mountpoint, lazily);
	return umount2(mountpoint, UMOUNT_NOFOLLOW |
		       (lazily ? MNT_DETACH : 0)) < 0 ? -errno : 0;
}

static bool is_ours(const char *mountpoint, const char *source)
{
	const struct mount_entry *e;
	struct mounts m;
	bool ours;

	if (mounts_load(&m) < 0)
		return false;
	e = mounts_find(&m, mountpoint);
	ours = e && !strcmp(e->at, mountpoint) && !strcmp(e->source, source);
	mounts_release(&m);
	return ours;
}

void mount_remove_ours(const char *mountpoint, const char *source)
{
	int r = is_ours(mountpoint, source) ? mount_remove(mountpoint, true) :
					      0;

	if (r < 0)
		log_errno(r, "\"%s\" cannot be unmounted", mountpoint);
}
