/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Turns the process into a daemon whose parent waits for one report: ready,
 * or what went wrong. In the foreground there is no parent, and a report
 * goes to standard error.
 */
#ifndef KINFS_TOOLS_DAEMONIZE_H
#define KINFS_TOOLS_DAEMONIZE_H

#include <stdbool.h>

#include "fs/base/macro.h"

struct daemon {
	int report_fd;	/* -1: in the foreground, or reported already */
	bool has_log;	/* standard error is the log file */
};

enum daemon_side { DAEMON_PARENT, DAEMON_CHILD };

/*
 * Forks. The child has a session of its own, works in /, and has nothing
 * open but standard error (until daemon_log()) and the pipe. No thread may
 * run yet. In the parent ret->report_fd is the end to read from.
 */
must_check int daemon_fork(struct daemon *ret, enum daemon_side *ret_side);
/*
 * In the parent: waits for the report. Returns its exit code and, in
 * ret_text (size bytes), its text; a child that died without one is
 * EXIT_FAILED with an empty text.
 */
int daemon_await(struct daemon *, char *ret_text, size_t size);
/*
 * In the child, once. Errors: -EPIPE the parent is gone, and so is whoever
 * asked for this daemon.
 */
int daemon_report(struct daemon *, int exit_code, const char *text);

/* Bytes of kin.log before it becomes kin.log.1: two of them are kept. */
#define DAEMON_LOG_BYTES_MAX (4 * 1024 * 1024)
/* Sends standard output and error to STORE/kin.log, mode 0600. */
must_check int daemon_log(struct daemon *, const char *store);
/* Starts a new file if this one is too long. Any thread, one at a time. */
void daemon_log_trim(const char *store);

#endif
