/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The last steps of a hook's process: nothing of the daemon is to be left in
 * it when the hook begins.
 *
 * System calls that change ids are made directly: those of the C library
 * tell all threads, and would wait here for ones that do not exist.
 */
#include "replication/net/hook_child.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Exit status of a process that never became the hook; the report is what
 * is looked at. */
#define NEVER_RAN 127

/* 32-bit machines have two of each, for 16 and for 32 bits of id. */
#ifdef SYS_setresuid32
#define SET_UID SYS_setresuid32
#define SET_GID SYS_setresgid32
#define SET_GROUPS SYS_setgroups32
#else
#define SET_UID SYS_setresuid
#define SET_GID SYS_setresgid
#define SET_GROUPS SYS_setgroups
#endif

static noreturn_fn void fail(const struct hook_child *c,
			     enum hook_stage stage, int error)
{
	hook_report(c, REPORT_FAILED, stage, error);
	_exit(NEVER_RAN);
}

static void reset_signals(void)
{
	struct sigaction action = { .sa_handler = SIG_DFL };
	sigset_t none;

	for (int signal = 1; signal < NSIG; signal++)
		/* (Not for SIGKILL, and the library's own.) */
		(void)sigaction(signal, &action, NULL);
	sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
}

static int set_limit(__rlimit_resource_t what, rlim_t value)
{
	struct rlimit limit;

	if (getrlimit(what, &limit) < 0)
		return -1;
	/* One that is lower already stays. The hard limit of CPU seconds
	 * kills without a name; the one before it is SIGXCPU. */
	limit.rlim_cur = MIN_OF(limit.rlim_max, value);
	limit.rlim_max = MIN_OF(limit.rlim_max,
				value + (what == RLIMIT_CPU));
	return setrlimit(what, &limit);
}

static int set_limits(const struct hook_child *c)
{
	if (set_limit(RLIMIT_CORE, 0) < 0 ||
	    set_limit(RLIMIT_FSIZE, c->file_bytes) < 0 ||
	    set_limit(RLIMIT_AS, c->memory_bytes) < 0 ||
	    set_limit(RLIMIT_NOFILE, c->files) < 0 ||
	    set_limit(RLIMIT_CPU, c->cpu_s) < 0 ||
	    /* A limit on memory that is locked or queued: none is needed. */
	    set_limit(RLIMIT_MEMLOCK, 0) < 0 ||
	    set_limit(RLIMIT_MSGQUEUE, 0) < 0)
		return -1;
	return 0;
}

static int set_user(const struct hook_child *c)
{
	if (!c->switch_user)
		return 0;
	if (syscall(SET_GROUPS, c->group_count, c->groups) < 0 ||
	    syscall(SET_GID, c->gid, c->gid, c->gid) < 0 ||
	    syscall(SET_UID, c->uid, c->uid, c->uid) < 0)
		return -1;
	return 0;
}

/*
 * No capabilities are left. With no_new_privs no exec gives any that were
 * not there before: not one of a setuid program, and not one by root, who
 * else has all of them again.
 */
static int drop_privileges(void)
{
	struct __user_cap_header_struct header = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {
		{ .effective = 0 },
	};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -1;
	return (int)syscall(SYS_capset, &header, none);
}

static int set_stdio(const struct hook_child *c)
{
	if (dup2(c->null_fd, STDIN_FILENO) < 0 ||
	    dup2(c->out_fd, STDOUT_FILENO) < 0 ||
	    dup2(c->err_fd, STDERR_FILENO) < 0)
		return -1;
	/* All that are open close themselves; this is a second look. (Not
	 * known before Linux 5.11.) */
	(void)close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);
	return 0;
}

/* Is the path still the file that was judged? */
static bool is_same(const struct hook_child *c)
{
	struct stat st;

	return lstat(c->path, &st) == 0 && st.st_dev == c->dev &&
	       st.st_ino == c->ino;
}

noreturn_fn void hook_exec(const struct hook_child *c, unsigned int spaces)
{
	rlim_t processes = spaces & SPACE_COUNT ? c->processes :
						  c->processes_outside;

	reset_signals();
	umask(077);
	/* A session of its own: no terminal, and a group to be signalled. */
	if (setsid() < 0 || set_stdio(c) < 0)
		fail(c, STAGE_STDIO, errno);
	if (set_limits(c) < 0)
		fail(c, STAGE_LIMITS, errno);
	if (set_user(c) < 0)
		fail(c, STAGE_USER, errno);
	/* After it: who has too many processes already could not exec. */
	if (!c->unbounded_processes && set_limit(RLIMIT_NPROC, processes) < 0)
		fail(c, STAGE_LIMITS, errno);
	/* After it too: a change of ids forgets the signal. */
	if (drop_privileges() < 0 ||
	    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
		fail(c, STAGE_PRIVILEGES, errno);
	if (chdir(c->home) < 0)
		fail(c, STAGE_ROOM, errno);
	if (!c->script) {
		(void)syscall(SYS_execveat, c->exec_fd, "", c->argv, c->envp,
			      AT_EMPTY_PATH);
		fail(c, STAGE_EXEC, errno);
	}
	if (!is_same(c))
		fail(c, STAGE_CHANGED, errno);
	execve(c->path, c->argv, c->envp);
	fail(c, STAGE_EXEC, errno);
}
