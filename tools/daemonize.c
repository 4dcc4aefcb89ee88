/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The report is one byte of exit code and a text, up to the pipe's end.
 * The ready report is sent when all is open but the mount does not answer
 * yet; the parent then asks the mount itself, which blocks until it does.
 */
#include "tools/daemonize.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools/command.h"

#define LOG_NAME "kin.log"
#define LOG_NAME_OLD "kin.log.1"

/* The child's side of the fork: keeps nothing of who called it. */
static int become_daemon(int *report_fd)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (null < 0)
		return -errno;
	/* Standard error stays until there is a log. */
	if (dup2(null, STDIN_FILENO) < 0 || dup2(null, STDOUT_FILENO) < 0)
		return -errno;
	/* Inherited descriptors would keep pipes of others open for ever. */
	if (*report_fd != 3) {
		if (dup3(*report_fd, 3, O_CLOEXEC) < 0)
			return -errno;
		*report_fd = 3;
	}
	if (close_range(4, ~0U, 0) < 0)
		return -errno;
	if (setsid() < 0 || chdir("/") < 0)
		return -errno;
	return 0;
}

int daemon_fork(struct daemon *ret, enum daemon_side *ret_side)
{
	int ends[2], r;
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	fflush(NULL);
	pid = fork();
	if (pid < 0) {
		r = -errno;
		close(ends[0]);
		close(ends[1]);
		return r;
	}
	*ret_side = pid ? DAEMON_PARENT : DAEMON_CHILD;
	ret->report_fd = ends[pid ? 0 : 1];
	if (pid) {
		close(ends[1]);
		return 0;
	}
	return become_daemon(&ret->report_fd);
}

int daemon_await(struct daemon *d, char *ret_text, size_t size)
{
	uint8_t code = EXIT_FAILED;
	size_t len = 0;
	ssize_t n;

	do
		n = read(d->report_fd, &code, 1);
	while (n < 0 && errno == EINTR);
	while (n > 0 && len + 1 < size) {
		n = read(d->report_fd, ret_text + len, size - 1 - len);
		if (n < 0 && errno == EINTR)
			n = 1;
		else if (n > 0)
			len += (size_t)n;
	}
	ret_text[len] = '\0';
	close(d->report_fd);
	d->report_fd = -1;
	return code;
}

int daemon_report(struct daemon *d, int exit_code, const char *text)
{
	char line[4096];
	int n, r = 0;

	if (d->report_fd < 0)
		return 0;
	n = snprintf(line, sizeof(line), "%c%s", exit_code, text);
	/* An exit code of 0 ends no string here: it is the first byte. */
	if (write(d->report_fd, line, (size_t)MIN_OF(n, 4095)) < 0)
		r = -errno;
	close(d->report_fd);
	d->report_fd = -1;
	return r;
}

static int log_open(int dir)
{
	int fd = openat(dir, LOG_NAME, O_WRONLY | O_CREAT | O_APPEND |
			O_NOFOLLOW | O_CLOEXEC, 0600);

	return fd < 0 ? -errno : fd;
}

static int log_redirect(int dir)
{
	autoclose int fd = log_open(dir);

	if (fd < 0)
		return fd;
	if (dup2(fd, STDOUT_FILENO) < 0 || dup2(fd, STDERR_FILENO) < 0)
		return -errno;
	return 0;
}

int daemon_log(struct daemon *d, const char *store)
{
	autoclose int dir = open(store, O_PATH | O_DIRECTORY | O_CLOEXEC);
	int r = dir < 0 ? -errno : log_redirect(dir);

	setvbuf(stderr, NULL, _IOLBF, 0);
	d->has_log = r == 0;
	return r;
}

void daemon_log_trim(const char *store)
{
	autoclose int dir = -1;
	struct stat st;

	if (fstat(STDERR_FILENO, &st) < 0 || !S_ISREG(st.st_mode) ||
	    st.st_size < DAEMON_LOG_BYTES_MAX)
		return;
	dir = open(store, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return;
	/* If it cannot be renamed, the log just goes on growing. */
	if (renameat(dir, LOG_NAME, dir, LOG_NAME_OLD) == 0 &&
	    log_redirect(dir) < 0)
		(void)renameat(dir, LOG_NAME_OLD, dir, LOG_NAME);
}
