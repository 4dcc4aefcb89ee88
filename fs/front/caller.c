/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who makes a request, beyond what FUSE tells (user, group, thread): his
 * capabilities. The kernel checks nearly all rights itself; these are asked
 * for what it leaves to us: whether set-id bits stay, and which names of
 * attributes are listed. Each is rare, since it is asked only where there is
 * something to take away.
 *
 * They stand in /proc/PID/status, and hold for this file system only if the
 * caller is in our namespace of users. The caller waits for us meanwhile, so
 * his number is his; who cannot be looked at has none of them, but root's
 * number counts then, as it does where a system has no such thing.
 */
#include <fcntl.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/front/front_internal.h"

#define PROC_PATH_MAX 64
/* Bytes of a status: lists of groups come after what we look for. */
#define STATUS_BYTES_MAX 65536
/* Groups of one caller that are looked at: what Linux allows. */
#define GROUPS_MAX 65536
#define STATUS_CAPS "\nCapEff:\t"

static bool is_in_our_namespace(pid_t pid)
{
	char path[PROC_PATH_MAX];
	struct stat his, ours;

	snprintf(path, sizeof(path), "/proc/%d/ns/user", (int)pid);
	return stat("/proc/self/ns/user", &ours) == 0 &&
	       stat(path, &his) == 0 && his.st_dev == ours.st_dev &&
	       his.st_ino == ours.st_ino;
}

static int open_status(pid_t pid)
{
	char path[PROC_PATH_MAX];

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	return open(path, O_RDONLY | O_CLOEXEC);
}

/* Returns whether they could be read. */
static bool read_caps(pid_t pid, uint64_t *ret)
{
	autofree char *text = malloc(STATUS_BYTES_MAX);
	autoclose int fd = open_status(pid);
	const char *at;
	size_t len = 0;
	ssize_t n;

	if (!text || fd < 0)
		return false;
	while ((n = read(fd, text + len, STATUS_BYTES_MAX - 1 - len)) > 0)
		len += (size_t)n;
	text[len] = '\0';
	at = strstr(text, STATUS_CAPS);
	if (!at)
		return false;
	*ret = strtoull(at + strlen(STATUS_CAPS), NULL, 16);
	return true;
}

bool caller_can(fuse_req_t req, unsigned int capability)
{
	const struct fuse_ctx *ctx = fuse_req_ctx(req);
	uint64_t caps;

	/* (0: he is of another namespace of processes) */
	if (ctx->pid <= 0 || !read_caps(ctx->pid, &caps))
		return ctx->uid == 0;
	return caps >> capability & 1 && is_in_our_namespace(ctx->pid);
}

bool caller_keeps_group(fuse_req_t req, gid_t gid)
{
	const struct fuse_ctx *ctx = fuse_req_ctx(req);
	autofree gid_t *groups = NULL;
	int n;

	if (ctx->gid == gid)
		return true;
	groups = calloc(GROUPS_MAX, sizeof(*groups));
	n = groups ? fuse_req_getgroups(req, GROUPS_MAX, groups) : 0;
	for (int k = 0; k < n && k < GROUPS_MAX; k++)
		if (groups[k] == gid)
			return true;
	return caller_can(req, CAP_FSETID);
}

uint32_t caller_set_ids(fuse_req_t req, const struct attr *attr)
{
	uint32_t bits = attr->mode & S_ISUID;

	if (attr->mode & S_ISGID && (attr->mode & S_IXGRP ||
				     !caller_keeps_group(req, attr->gid)))
		bits |= S_ISGID;
	return bits;
}
