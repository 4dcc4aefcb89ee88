/* SPDX-License-Identifier: Apache-2.0 */
/* `kin conflicts --watch`. */
#ifndef KINFS_TOOLS_CONFLICT_WATCH_H
#define KINFS_TOOLS_CONFLICT_WATCH_H

#include "tools/control_client.h"

struct watch_options {
	bool json;
	const char *notify;	/* program to run, or NULL */
};

/*
 * Prints a line for each conflict there is, and then for each that comes,
 * changes or goes, until SIGINT or SIGTERM. Returns an exit_code.
 */
int conflicts_watch(const struct subject *, const struct watch_options *);

#endif
