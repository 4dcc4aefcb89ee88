/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guard and the supervisor of one hook (hook_child.h).
 *
 * The guard is forked from the daemon and holds a copy of its memory, and at
 * first of its descriptors: those of the store's lock too. So it closes them
 * before anything else, and makes itself unreadable to processes of the same
 * user (it is not "dumpable"). It knows that the daemon is gone, or wants the
 * end, by a pipe whose other end only the daemon has.
 *
 * At the end it kills what is left. In a pid namespace nothing is: the kernel
 * did it. Elsewhere all orphans below it have become its children, since it
 * is their subreaper; it kills its children until it has none. (A hook of the
 * same user can kill the guard there, if it looks for it: this is protection
 * from hooks that go wrong. The pid namespace is protection from more.)
 */
#include "replication/net/hook_child.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* How long the guard tries to kill what is left of a hook; each try kills
 * all that it sees. */
#define SWEEP_MS 10000
/* Between two counts of the processes of root, whom the kernel gives as many
 * as it has: not so many come in this time that the machine stands still. */
#define COUNT_NS 50000000
/* Between two tries when nothing has died. */
#define SWEEP_PAUSE_NS 1000000

void hook_report(const struct hook_child *c, enum hook_report_kind kind,
		 enum hook_stage stage, int value)
{
	struct hook_report report = { kind, (int32_t)stage, value };
	ssize_t n;

	/* A daemon that is gone reads no reports. */
	do
		n = write(c->report_fd, &report, sizeof(report));
	while (n < 0 && errno == EINTR);
}

/* Not while the machine sleeps: a hook does not run then. */
static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* ---- what a fork of the daemon has too much */

static void sort(int *fds, size_t n)
{
	for (size_t i = 1; i < n; i++)
		for (size_t j = i; j && fds[j - 1] > fds[j]; j--) {
			int fd = fds[j];

			fds[j] = fds[j - 1];
			fds[j - 1] = fd;
		}
}

static void close_others(const struct hook_child *c)
{
	int keep[] = { c->exec_fd, c->null_fd, c->out_fd, c->err_fd,
		       c->report_fd, c->lifeline_fd };
	unsigned int from = 0;

	sort(keep, ARRAY_SIZE(keep));
	for (size_t i = 0; i < ARRAY_SIZE(keep); i++) {
		unsigned int fd = (unsigned int)keep[i];

		if (fd > from)
			(void)close_range(from, fd - 1, 0);
		from = fd + 1;
	}
	(void)close_range(from, ~0U, 0);
}

/* All signals but a few are blocked since before the fork. The daemon may
 * ignore the end of children; who waits for them must not. */
static void take_signals(void)
{
	struct sigaction action = { .sa_handler = SIG_DFL };
	sigset_t all;

	sigfillset(&all);
	(void)sigprocmask(SIG_SETMASK, &all, NULL);
	(void)sigaction(SIGCHLD, &action, NULL);
}

/* ---- the supervisor */

static void reap(const struct hook_child *c, pid_t hook)
{
	int status = 0;

	for (;;) {
		siginfo_t info = { .si_pid = 0 };

		/* It is left a zombie, so that its group is still its own
		 * when that is killed. (In a namespace all are, and at
		 * once.) */
		if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) < 0 ||
		    !info.si_pid)
			return;
		if (info.si_pid == hook)
			(void)kill(-hook, SIGKILL);
		if (waitpid(info.si_pid, &status, 0) != hook)
			continue;
		hook_report(c, REPORT_EXIT, 0, status);
		_exit(0);
	}
}

/* Those that a /proc of its own shows, this one not counted. */
static rlim_t count_processes(void)
{
	struct entry {		/* struct linux_dirent64 */
		uint64_t ino;
		int64_t off;
		uint16_t len;
		uint8_t type;
		char name[];
	};
	char bytes[16384] __attribute__((aligned(8)));
	int fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	rlim_t count = 0;
	long n;

	if (fd < 0)
		return 0;
	while ((n = syscall(SYS_getdents64, fd, bytes, sizeof(bytes))) > 0)
		for (long at = 0; at < n;) {
			const struct entry *e = (void *)(bytes + at);

			count += e->name[0] >= '0' && e->name[0] <= '9';
			at += e->len;
		}
	close(fd);
	return count ? count - 1 : 0;
}

/* SIGCHLD or SIGTERM, or -1 when it is time to count. */
static int next_signal(bool counts)
{
	struct timespec tick = { .tv_nsec = COUNT_NS };
	sigset_t wanted;

	sigemptyset(&wanted);
	sigaddset(&wanted, SIGCHLD);
	sigaddset(&wanted, SIGTERM);
	return counts ? sigtimedwait(&wanted, NULL, &tick) :
			sigwaitinfo(&wanted, NULL);
}

static noreturn_fn void supervise(const struct hook_child *c,
				  unsigned int spaces)
{
	bool counts;
	pid_t hook;

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	(void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	close(c->lifeline_fd);
	spaces |= hook_space_mounts(c, spaces);
	hook_report(c, REPORT_SPACES, 0, (int)spaces);
	hook = _Fork();
	if (hook == 0)
		hook_exec(c, spaces);
	if (hook < 0) {
		hook_report(c, REPORT_FAILED, STAGE_FORK, errno);
		_exit(1);
	}
	/* Only the hook's own copies are to hold them open. */
	close(c->out_fd);
	close(c->err_fd);
	counts = c->unbounded_processes && (spaces & SPACE_PROC);
	for (;;) {
		/* Only the guard sends SIGTERM: the time is over. */
		if (next_signal(counts) == SIGTERM)
			(void)kill(-hook, SIGTERM);
		reap(c, hook);
		if (!counts || count_processes() < c->processes)
			continue;
		/* All end with process 1. */
		hook_report(c, REPORT_PROCESSES, 0, 0);
		_exit(1);
	}
}

/* ---- the guard */

/* Waits for the supervisor; ends it when the time is over, or the daemon
 * wants it. */
static void guard(const struct hook_child *c, pid_t supervisor, int signals)
{
	struct pollfd fds[] = { { signals, POLLIN, 0 },
				{ c->lifeline_fd, POLLIN, 0 } };
	uint64_t due_ms = now_ms() + c->time_ms;
	struct signalfd_siginfo info;
	bool asked = false;
	pid_t pid;

	for (;;) {
		uint64_t at_ms = now_ms();
		int wait_ms = at_ms >= due_ms ? 0 :
			(int)MIN_OF(due_ms - at_ms, INT_MAX);

		(void)poll(fds, ARRAY_SIZE(fds), wait_ms);
		while (read(signals, &info, sizeof(info)) > 0)
			;
		while ((pid = waitpid(-1, NULL, WNOHANG)) > 0)
			if (pid == supervisor)
				return;
		if (fds[1].revents) {
			(void)kill(supervisor, SIGKILL);
			fds[1].fd = -1;
			fds[1].revents = 0;
		}
		if (now_ms() < due_ms)
			continue;
		if (!asked)
			hook_report(c, REPORT_TIME, 0, 0);
		(void)kill(supervisor, asked ? SIGKILL : SIGTERM);
		asked = true;
		due_ms = now_ms() + c->grace_ms;
	}
}

/* Kills the children that there are now. The list is decimal numbers with
 * spaces between; a number that is cut in two is for the next time. */
static void kill_children(void)
{
	int fd = open("/proc/thread-self/children", O_RDONLY | O_CLOEXEC);
	char text[4096];
	ssize_t n;
	pid_t pid = 0;

	if (fd < 0)
		return;
	n = read(fd, text, sizeof(text));
	close(fd);
	for (ssize_t i = 0; i < n; i++) {
		if (text[i] >= '0' && text[i] <= '9') {
			pid = pid * 10 + (text[i] - '0');
		} else {
			if (pid > 1)
				(void)kill(pid, SIGKILL);
			pid = 0;
		}
	}
}

static void sweep(const struct hook_child *c)
{
	struct timespec pause = { .tv_nsec = SWEEP_PAUSE_NS };
	uint64_t until_ms = now_ms() + SWEEP_MS;

	for (;;) {
		pid_t pid;

		kill_children();
		pid = waitpid(-1, NULL, WNOHANG);
		if (pid < 0)
			return;
		if (pid == 0)
			nanosleep(&pause, NULL);
		if (now_ms() >= until_ms)
			break;
	}
	hook_report(c, REPORT_SURVIVORS, 0, 0);
}

noreturn_fn void hook_guard(const struct hook_child *c)
{
	unsigned int spaces = 0;
	sigset_t child;
	pid_t pid;
	int signals;

	take_signals();
	close_others(c);
	/* A signal for the daemon's group is not for this one, and its
	 * working directory may be in a mount. */
	(void)setsid();
	(void)prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	signals = signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
	pid = signals < 0 || chdir("/") < 0 ? -1 :
	      hook_space_fork(c, &spaces);
	if (pid < 0) {
		hook_report(c, REPORT_FAILED, STAGE_FORK, errno);
		_exit(1);
	}
	if (pid == 0)
		supervise(c, spaces);
	(void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	close(c->out_fd);
	close(c->err_fd);
	guard(c, pid, signals);
	sweep(c);
	_exit(0);
}
