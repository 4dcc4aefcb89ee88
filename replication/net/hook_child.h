/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What of hook_run.h happens in child processes. Between fork(2) and exec
 * of a process with threads only async-signal-safe calls are allowed: no
 * memory, no stdio, no locks. So all that is needed is prepared before and
 * handed over in one struct, and these files call the kernel, nothing else.
 *
 *	daemon ── guard ── supervisor ── hook ── whatever it starts
 *
 * The guard (hook_guard.c) keeps the time, is killed or notices when the
 * daemon goes, and is the subreaper of all below it. The supervisor starts
 * the hook (hook_exec.c) and waits for it. It is a process of its own to be
 * process 1 of a pid namespace (hook_space.c), where there may be one: then
 * nothing below can signal it, and nothing outlives it.
 */
#ifndef KINFS_NET_HOOK_CHILD_H
#define KINFS_NET_HOOK_CHILD_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

#include "fs/base/macro.h"
#include "replication/net/hook_run.h"

struct hook_child {
	/* The hook: by descriptor, or by path if script. */
	int exec_fd;
	bool script;
	const char *path;
	dev_t dev;
	ino_t ino;
	char *const *argv, *const *envp;
	const char *room, *home;
	/* As whom; switch_user: it is not who we are. */
	bool switch_user;
	uid_t uid;
	gid_t gid;
	const gid_t *groups;
	size_t group_count;
	/* Limits. Of processes with the supervisor; processes_outside: where
	 * the user's other ones count too. */
	uint64_t time_ms, grace_ms;
	rlim_t file_bytes, memory_bytes, files, cpu_s;
	rlim_t processes, processes_outside;
	bool unbounded_processes;	/* by the kernel: it is root */
	/* Namespaces are to be tried; what is hidden in them, NULL-ended. */
	bool spaces;
	char *const *hide;
	/* Descriptors: its standard ones; where reports go; which ends when
	 * the daemon does, or wants the end. */
	int null_fd, out_fd, err_fd, report_fd, lifeline_fd;
};

/* One write of one of these each, which is not torn: < PIPE_BUF. */
enum hook_report_kind {
	REPORT_SPACES = 1,	/* value: enum hook_spaces bits */
	REPORT_FAILED,		/* stage, value: errno; the hook never ran */
	REPORT_TIME,		/* the time limit was over */
	REPORT_EXIT,		/* value: of the hook, as wait(2) says */
	REPORT_PROCESSES,	/* it had too many, and is killed */
	REPORT_SURVIVORS,	/* not everything could be killed */
};

enum hook_stage {
	STAGE_FORK, STAGE_SPACES, STAGE_STDIO, STAGE_LIMITS, STAGE_USER,
	STAGE_PRIVILEGES, STAGE_ROOM, STAGE_CHANGED, STAGE_EXEC,
};

struct hook_report {
	int32_t kind, stage, value;
};

/* The guard: never returns. */
noreturn_fn void hook_guard(const struct hook_child *);

/* ---- for each other */
void hook_report(const struct hook_child *, enum hook_report_kind,
		 enum hook_stage, int value);
/* The hook: never returns. spaces: enum hook_spaces bits. */
noreturn_fn void hook_exec(const struct hook_child *, unsigned int spaces);
/*
 * The supervisor's process, in namespaces if that can be: as fork(2). In
 * the child *ret_spaces is what is in force, as far as the parent knows.
 * The child waits there until the parent has made its maps of ids.
 */
pid_t hook_space_fork(const struct hook_child *, unsigned int *ret_spaces);
/* In the child: mounts. Returns more enum hook_spaces bits. */
unsigned int hook_space_mounts(const struct hook_child *,
			       unsigned int spaces);

#endif
