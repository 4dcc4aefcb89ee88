/* SPDX-License-Identifier: Apache-2.0 */
/* Programs that a command runs. Never through a shell. */
#ifndef KINFS_TOOLS_CHILD_H
#define KINFS_TOOLS_CHILD_H

#include <stdbool.h>

#include "fs/base/macro.h"

struct child {
	const char *const *argv;	/* found by PATH; NULL-ended */
	char *const *env;		/* NULL: ours */
	const char *dir;		/* working directory, or NULL */
	/* Its standard output goes to the file or is thrown away with its
	 * errors; else both are ours. */
	const char *output;
	bool quiet;
};

/*
 * Runs it and waits. Returns what it exits with, 128 + N when signal N ended
 * it. Errors: -ENOENT there is no such program, of the system.
 */
must_check int child_run(const struct child *);

/* From here on SIGINT, SIGTERM and SIGHUP end nothing at once, so that what
 * was made can be removed; programs that run get them as ever. */
void interrupts_catch(void);
bool interrupted(void);

#endif
