/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs one hook (hook_dir.h) once, with limits, in a room (hook_room.h), and
 * tells what came of it. Nothing is known here of trees and conflicts, nor
 * when and how often a hook is to run.
 *
 * What a hook gets
 *	argv	its path, by which it finds what stands beside it, and the
 *		arguments given
 *	stdin	/dev/null; stdout and stderr are collected; no other
 *		descriptors
 *	cwd	an empty directory of its own
 *	env	PATH=/usr/local/bin:/usr/bin:/bin, LANG=C.UTF-8, HOME=the
 *		working directory, the KIN_ variables given, and nothing
 *		else but, where it is to make an output,
 *		KIN_VARIANTS_DIR	holds `1-LABEL`, `2-LABEL`, ...
 *		KIN_BASE		the ancestor; unset if not known
 *		KIN_OUTPUT		the file to make; it does not exist
 *	umask	077; signals as a new process has them; a session of its
 *		own without a terminal
 * Never through a shell: arguments and values may hold any byte but NUL.
 *
 * What it may
 *	time	then SIGTERM to its group, and SIGKILL to all 5 s later
 *	memory, open files, CPU seconds, size of a file: for each process
 *	processes: all of it together. (The kernel does not count root's. A
 *		hook that runs as root is killed when it is seen to have
 *		more, where it has a /proc of its own; else it is not
 *		limited.)
 *	What it writes into all its files together is not limited, but by the
 *		time and the disk.
 *	output	64 KiB of stdout and of stderr are kept, the last of each
 *	No process of it gets more privileges than it began with (no setuid
 *	programs), and it begins without capabilities, as root too.
 *
 * When it ends, is canceled or the time is over, everything that it started
 * is killed, in whatever session or group; only then the run is done. A
 * daemon that is killed takes its hooks with it.
 *
 * Where the kernel allows it to this user (hook_space.c) the hook is also
 * alone in a pid namespace, and cannot see the directories that are hidden
 * from it. Where it does not, it is an ordinary process of its user, who may
 * read what the user may, and kill what the user may: protection from hooks
 * that go wrong, not from ones that are out for harm. outcome.spaces tells.
 *
 * Outcome
 *	HOOK_SETTLED	exit status 0, and if an output was to be made: it
 *			is there, a regular file of the hook's user, within
 *			the size; opened for reading
 *	HOOK_LEFT	exit status 1: it leaves the matter alone
 *	HOOK_FAILED	all else; `reason` says what in one line of ours
 *	HOOK_CANCELED	by hook_run_cancel(), whatever it did
 *
 * Each run has a thread of its own, which makes the room, calls `fill`,
 * waits, calls `finish`, and removes the room. So both may take long.
 */
#ifndef KINFS_NET_HOOK_RUN_H
#define KINFS_NET_HOOK_RUN_H

#include <stdbool.h>
#include <sys/types.h>

#include "replication/net/hook_dir.h"
#include "replication/net/hook_room.h"
#include "replication/net/loop.h"

/* Bytes kept of stdout and of stderr, the last ones: what a person may read
 * through. */
#define HOOK_TEXT_BYTES_MAX (64 * 1024)
/* Between SIGTERM and SIGKILL, ms. */
#define HOOK_GRACE_MS 5000
/* Arguments, variables and hidden directories: far above any honest use. */
#define HOOK_WORDS_MAX 64

struct hook_limits {
	uint64_t time_ms;
	uint64_t grace_ms;
	uint64_t file_bytes;	/* of each file it writes; of the output */
	uint64_t memory_bytes;	/* address space of a process */
	uint64_t processes;
	uint64_t files;		/* open in a process */
	uint64_t cpu_s;		/* of a process */
};

#define HOOK_LIMITS_DEFAULT ((struct hook_limits){ \
	.time_ms = 60000, .grace_ms = HOOK_GRACE_MS, \
	.file_bytes = 1024 * 1024 * 1024, \
	.memory_bytes = 1024 * 1024 * 1024, \
	.processes = 64, .files = 256, .cpu_s = 60 })

/* NEVER: as if the kernel allowed no namespaces. */
enum hook_spaces_use { HOOK_SPACES_TRY, HOOK_SPACES_NEVER };

struct hook_var {
	const char *name;	/* KIN_[A-Z0-9_]+ */
	const char *value;
};

/* What a hook was kept in: bits. */
enum hook_spaces {
	SPACE_PID = 1,		/* it cannot see or signal what is outside */
	SPACE_HIDDEN = 2,	/* what is to be hidden, is */
	SPACE_PROC = 4,		/* /proc shows its own processes only */
	SPACE_COUNT = 8,	/* its processes are counted by themselves */
};

enum hook_result { HOOK_SETTLED, HOOK_LEFT, HOOK_FAILED, HOOK_CANCELED };

struct hook_outcome {
	enum hook_result result;
	char reason[160];	/* HOOK_FAILED; printable ASCII, one line */
	int status;		/* that it exited with; -1: it did not */
	uint64_t took_ms;	/* until all of it had ended */
	int output_fd;		/* HOOK_SETTLED with an output; else -1 */
	uint64_t output_bytes;
	struct buf out, err;	/* any bytes */
	bool out_cut, err_cut;	/* more came before */
	unsigned int spaces;	/* enum hook_spaces */
};

struct hook_run_options {
	const struct hook *hook;	/* borrowed for the call */
	const char *const *args;	/* argv[1]...; NULL-ended, or NULL */
	const struct hook_var *vars;
	size_t var_count;
	const char *rooms;		/* directory for its room */
	/* As whom; only root may name somebody else. The groups are those
	 * besides gid. */
	uid_t uid;
	gid_t gid;
	const gid_t *groups;
	size_t group_count;
	bool wants_output;
	struct hook_limits limits;
	/* Directories that it is not to see, absolute and without links;
	 * NULL-ended, or NULL. The room may be below one, a script may
	 * not. */
	const char *const *hide;
	enum hook_spaces_use spaces;
	/*
	 * Called on the run's thread: `fill` adds the variants and the
	 * ancestor; a negative errno of it fails the run. `finish` looks at
	 * the outcome before the run is done (output_fd may be read, and
	 * taken by setting it to -1). Either may be NULL. They are to return
	 * soon when the caller wants the end (hook_run_cancel() is not
	 * known to them).
	 */
	int (*fill)(void *arg, struct hook_room *);
	void (*finish)(void *arg, struct hook_outcome *);
	void *arg;
	/* Woken when it is done, or NULL; outlives the run. */
	struct loop *loop;
};

struct hook_run;

/*
 * All is copied. Errors: -EINVAL a variable or an argument that cannot be,
 * -E2BIG too many, -EPERM another user and we are not root, of the system.
 */
must_check int hook_run_start(const struct hook_run_options *,
			      struct hook_run **ret);
/* Wants it to end; soon it is done. Any thread. */
void hook_run_cancel(struct hook_run *);
/* Any thread. */
bool hook_run_done(const struct hook_run *);
/* When it is done. Of the run; output_fd may be taken, as by finish. */
struct hook_outcome *hook_run_outcome(struct hook_run *);
/* Cancels it if it is not done, and waits for it. NULL is fine. */
void hook_run_free(struct hook_run *);

#endif
