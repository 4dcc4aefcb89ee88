/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kin unmount: the kernel is asked first, since only it knows whether the
 * mount is in use; what is still open is not cut off. Then the daemon, which
 * ends by itself when its mount goes, is waited for: when this returns the
 * store is closed and may be moved or mounted again.
 *
 * A mount whose daemon died serves nobody: it is detached whatever holds it.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tools/control_client.h"
#include "tools/mount_remove.h"
#include "tools/mount_served.h"

static const char help[] =
"usage: kin unmount MOUNTPOINT\n"
"Unmounts the volume and ends its daemon, after it stored the last writes\n"
"and sent what it could; returns when the store is closed. A mount that is\n"
"in use is left alone. A mount whose daemon died is cleaned up.\n";

/* To store the last writes of large files and to say good-bye to peers. */
#define END_TIMEOUT_S 120
/* For the daemon to see that its mount is gone. */
#define NOTICE_MS 2000
/* Processes named in a message. */
#define USERS_SHOWN 5

extern char **environ;

/* ---- who uses it */

static bool link_is_below(int dir, const char *name, const char *mountpoint)
{
	char target[PATH_MAX];
	ssize_t n = readlinkat(dir, name, target, sizeof(target) - 1);

	if (n < 0)
		return false;
	target[n] = '\0';
	return path_below(target, mountpoint) != NULL;
}

static bool any_fd_below(int dir, const char *mountpoint)
{
	int fd = openat(dir, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *fds = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *e;
	bool found = false;

	if (!fds) {
		if (fd >= 0)
			close(fd);
		return false;
	}
	while (!found && (e = readdir(fds)))
		found = link_is_below(fd, e->d_name, mountpoint);
	closedir(fds);
	return found;
}

static bool process_uses(const char *pid, const char *mountpoint)
{
	static const char *const links[] = { "cwd", "root", "exe" };
	autoclose int dir = -1;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%.20s", pid);
	dir = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(links); i++)
		if (link_is_below(dir, links[i], mountpoint))
			return true;
	return any_fd_below(dir, mountpoint);
}

static void describe_process(const char *pid, struct buf *ret)
{
	char path[64], name[32] = "";
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%.20s/comm", pid);
	f = fopen(path, "re");
	if (f && fgets(name, sizeof(name), f))
		name[strcspn(name, "\n")] = '\0';
	if (f)
		fclose(f);
	buf_printf(ret, "%s%s (%s)", ret->len ? ", " : "", pid, name);
}

/* Among the processes that we may look into. */
static void find_users(const char *mountpoint, struct buf *ret)
{
	DIR *proc = opendir("/proc");
	const struct dirent *e;
	int found = 0;

	while (proc && (e = readdir(proc)) && found < USERS_SHOWN)
		if (isdigit((unsigned char)e->d_name[0]) &&
		    process_uses(e->d_name, mountpoint)) {
			describe_process(e->d_name, ret);
			found++;
		}
	if (proc)
		closedir(proc);
	buf_put_u8(ret, 0);
}

static int complain_busy(const struct subject *t)
{
	struct buf users cleanup(buf_release) = BUF_INIT;

	find_users(t->mountpoint, &users);
	return complain(t->command, EXIT_FAILED, "%s: in use by %s; end that, "
			"or leave the directory, and try again",
			t->mountpoint, users.data && users.data[0] ?
			(const char *)users.data : "some process");
}

/* ---- unmounting */

static int complain_unmount(const struct subject *t, int r)
{
	if (r == -EBUSY)
		return complain_busy(t);
	if (r == -ENOENT)
		return complain(t->command, EXIT_FAILED, "fusermount3: is not "
				"installed; `apt-get install fuse3`");
	return complain(t->command, EXIT_FAILED, "%s: %s", t->mountpoint,
			strerror(-r));
}

static int clean_up_dead(const struct subject *t)
{
	int r = mount_remove(t->mountpoint, true);

	if (r < 0)
		return complain_unmount(t, r);
	/* What is left of a daemon that was killed. */
	unlink(t->socket);
	fprintf(stderr, "kin %s: %s: its daemon had died; cleaned up\n",
		t->command, t->mountpoint);
	return EXIT_OK;
}

/* ---- the daemon */

/* The daemon holds this connection's other end; it goes when it exits. */
static int await_end(const struct subject *t, int pidfd)
{
	struct pollfd p = { .fd = pidfd, .events = POLLIN };
	int r;

	do
		r = poll(&p, 1, END_TIMEOUT_S * 1000);
	while (r < 0 && errno == EINTR);
	if (r <= 0)
		return complain(t->command, EXIT_FAILED, "%s: unmounted, but "
				"its daemon does not end; see kin.log in its "
				"store", t->mountpoint);
	if (subject_is_mounted(t))
		return complain(t->command, EXIT_FAILED, "%s: is mounted "
				"still, without a daemon; `kin unmount` again",
				t->mountpoint);
	return EXIT_OK;
}

static int end_daemon(const struct subject *t, int pidfd)
{
	struct pollfd p = { .fd = pidfd, .events = POLLIN };
	int r = mount_remove(t->mountpoint, false);

	if (r < 0)
		return complain_unmount(t, r);
	/* It notices by itself, unless it is mounted elsewhere too: a bind
	 * mount, another namespace. */
	if (poll(&p, 1, NOTICE_MS) == 0 &&
	    syscall(SYS_pidfd_send_signal, pidfd, SIGTERM, NULL, 0) < 0)
		return complain(t->command, EXIT_FAILED, "%s: unmounted, but "
				"its daemon cannot be ended: %s",
				t->mountpoint, strerror(errno));
	return await_end(t, pidfd);
}

static int run(const struct subject *t)
{
	autoclose int fd = -1, pidfd = -1;
	pid_t pid = 0;
	int r = mount_connect(t->socket, END_TIMEOUT_S, &fd,
			      &pid);

	/* Our own working directory must not be what keeps it busy. */
	if (chdir("/") < 0)
		return complain(t->command, EXIT_FAILED, "/: %s",
				strerror(errno));
	if (r == -ECONNREFUSED || r == -ENOENT)
		return clean_up_dead(t);
	if (r == -EAGAIN)
		return complain(t->command, EXIT_FAILED, "%s: its daemon is "
				"being replaced, and the next one is not there "
				"yet; try again", t->mountpoint);
	if (r < 0)
		return complain(t->command, EXIT_NOT_MOUNTED, "%s: is not "
				"yours to unmount: %s", t->mountpoint,
				strerror(-r));
	/* Connected, so the process lives and its number is its own. */
	pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (pidfd < 0)
		return complain(t->command, EXIT_FAILED, "process %d: %s",
				(int)pid, strerror(errno));
	return end_daemon(t, pidfd);
}

int cmd_unmount(int argc, char **argv)
{
	struct cmdline line = { argc, argv, help, NULL };
	int c = cmdline_next(&line);
	struct subject subject;
	int r;

	if (c != CMDLINE_END)
		return cmdline_exit(c);
	if (cmdline_operands(&line, 1, 1) != EXIT_OK)
		return EXIT_USAGE;
	r = subject_init(&subject, argv[0], argv[optind]);
	if (r != EXIT_OK)
		return r;
	r = run(&subject);
	subject_release(&subject);
	return r;
}
