/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Namespaces for a hook. Each is a protection that the kernel may refuse
 * (containers, sysctls); then there is less of it, and the report says so.
 *
 * pid: the supervisor is process 1 in it. When it ends, by itself or by
 * SIGKILL from outside, the kernel kills everything in the namespace before
 * the end is told; signals from inside that it does not want do not reach
 * it, SIGKILL included. No fork and no new session leads out.
 *
 * user: lets an ordinary user make the others. Their only id is mapped to
 * itself, so files look as before, but that those of others belong to
 * nobody. Root maps all ids to themselves. The number of processes is counted
 * for each user in each user namespace: a limit for the hook alone.
 *
 * mount: over each directory that is to be hidden stands an empty one; if
 * the hook's room is below, only the room is there. A fresh /proc shows the
 * namespace's own processes: not the daemon, its memory and descriptors.
 * The mounts of others still come and go here as outside (they are slaves):
 * where the system shares its mounts, as systemd does, a run delays no
 * unmount.
 */
#include "replication/net/hook_child.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* clone(2) without a function and without a stack, which goes on as fork(2)
 * does; glibc has no name for it. Its caller has one thread, and the child
 * calls nothing that knows threads. */
static pid_t fork_into(unsigned long flags)
{
	return (pid_t)syscall(SYS_clone, flags | SIGCHLD, NULL, NULL, NULL,
			      NULL);
}

/* Decimal digits; returns the end. */
static char *put_number(char *at, uint64_t n)
{
	char digits[20];
	int count = 0;

	do
		digits[count++] = (char)('0' + n % 10);
	while (n /= 10);
	while (count)
		*at++ = digits[--count];
	return at;
}

static char *put_text(char *at, const char *text)
{
	size_t len = strlen(text);

	memcpy(at, text, len);
	return at + len;
}

static int write_proc(pid_t pid, const char *file, const char *text,
		      size_t len)
{
	char path[64], *at = put_text(path, "/proc/");
	int fd, r = 0;

	at = put_number(at, (uint64_t)pid);
	*put_text(at, file) = '\0';
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (write(fd, text, len) != (ssize_t)len)
		r = -EPERM;
	close(fd);
	return r;
}

/* "ID ID COUNT": ids are what they are outside. */
static int write_map(pid_t pid, const char *file, uint32_t id, uint32_t count)
{
	char text[64], *at = put_number(text, id);

	*at++ = ' ';
	at = put_number(at, id);
	*at++ = ' ';
	at = put_number(at, count);
	return write_proc(pid, file, text, (size_t)(at - text));
}

static int map_ids(pid_t pid)
{
	bool root = geteuid() == 0;
	int r = 0;

	/* Without this an ordinary user could leave groups that keep it out
	 * of something; so the kernel asks for it. */
	if (!root)
		r = write_proc(pid, "/setgroups", "deny", 4);
	if (r == 0)
		r = write_map(pid, "/uid_map", root ? 0 : geteuid(),
			      root ? UINT32_MAX : 1);
	if (r == 0)
		r = write_map(pid, "/gid_map", root ? 0 : getegid(),
			      root ? UINT32_MAX : 1);
	return r;
}

/* As fork(2); -1 too where its ids cannot be mapped: then the child, which
 * waits for that, is gone. */
static pid_t fork_user(int *ends)
{
	char byte = 0;
	pid_t pid = fork_into(CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS);

	if (pid == 0) {
		close(ends[1]);
		/* Nothing is read if the maps could not be made. */
		if (read(ends[0], &byte, 1) != 1)
			_exit(0);
		close(ends[0]);
		return 0;
	}
	close(ends[0]);
	if (pid > 0 && map_ids(pid) == 0 && write(ends[1], &byte, 1) == 1) {
		close(ends[1]);
		return pid;
	}
	close(ends[1]);
	if (pid > 0)
		while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
			;
	return -1;
}

pid_t hook_space_fork(const struct hook_child *c, unsigned int *ret_spaces)
{
	int ends[2];
	pid_t pid = -1;

	*ret_spaces = SPACE_PID | SPACE_COUNT;
	if (c->spaces && pipe2(ends, O_CLOEXEC) == 0)
		pid = fork_user(ends);
	if (pid >= 0)
		return pid;
	/* Root may still have them where user namespaces are forbidden. */
	*ret_spaces = SPACE_PID;
	if (c->spaces && geteuid() == 0)
		pid = fork_into(CLONE_NEWPID | CLONE_NEWNS);
	if (pid >= 0)
		return pid;
	*ret_spaces = 0;
	return _Fork();
}

/* Makes the directories of path below its first `from` bytes. */
static int make_below(const char *path, size_t from)
{
	char copy[PATH_MAX];
	size_t len = strlen(path);

	if (len >= sizeof(copy))
		return -ENAMETOOLONG;
	memcpy(copy, path, len + 1);
	for (size_t i = from + 1; i <= len; i++) {
		if (copy[i] != '/' && copy[i] != '\0')
			continue;
		copy[i] = '\0';
		/* (the daemon's umask would keep another user out) */
		if (mkdir(copy, 0711) < 0 ? errno != EEXIST :
					    chmod(copy, 0711) < 0)
			return -errno;
		/* (whatever the daemon's umask: somebody else goes through) */
		if (chmod(copy, 0711) < 0)
			return -errno;
		copy[i] = path[i];
	}
	return 0;
}

static bool is_below(const char *path, const char *dir)
{
	size_t len = strlen(dir);

	return !strncmp(path, dir, len) && (path[len] == '/' || !path[len]);
}

#define COVER_FLAGS (MS_NOSUID | MS_NODEV | MS_NOEXEC)

static int bind_room(int room, const char *to, size_t from)
{
	char self[64];
	int r = make_below(to, from);

	if (r < 0)
		return r;
	*put_number(put_text(self, "/proc/self/fd/"), (uint64_t)room) = '\0';
	return mount(self, to, NULL, MS_BIND, NULL) < 0 ? -errno : 0;
}

static int hide(const struct hook_child *c, const char *path)
{
	bool above = is_below(c->room, path);
	int room = -1, r = 0;

	if (above) {
		room = open(c->room, O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (room < 0)
			return -errno;
	}
	if (mount("none", path, "tmpfs", COVER_FLAGS,
		  "size=64k,nr_inodes=64,mode=0711") < 0)
		/* What is not there cannot be seen. */
		return errno == ENOENT && !above ? 0 : -errno;
	if (above)
		r = bind_room(room, c->room, strlen(path));
	if (r == 0 && mount(NULL, path, NULL, MS_REMOUNT | MS_BIND |
			    MS_RDONLY | COVER_FLAGS, NULL) < 0)
		r = -errno;
	if (room >= 0)
		close(room);
	return r;
}

unsigned int hook_space_mounts(const struct hook_child *c,
			       unsigned int spaces)
{
	unsigned int more = 0;
	int r = 0;

	if (!(spaces & SPACE_PID))
		return 0;
	if (mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0)
		return 0;
	for (char *const *path = c->hide; r == 0 && *path; path++)
		r = hide(c, *path);
	if (r == 0)
		more |= SPACE_HIDDEN;
	if (mount("proc", "/proc", "proc", COVER_FLAGS, NULL) == 0)
		more |= SPACE_PROC;
	return more;
}
