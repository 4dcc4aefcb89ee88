/* SPDX-License-Identifier: Apache-2.0 */
/* The check of a store that is not mounted. */
#ifndef KINFS_TOOLS_CHECK_STORE_H
#define KINFS_TOOLS_CHECK_STORE_H

#include <jansson.h>

#include "fs/base/id.h"
#include "tools/command.h"

struct check_args {
	const char *path;
	const struct device *device; /* the node's; NULL: the store has its key */
	bool data, repair, json;
};

/*
 * Complains about what prevents it; *ret_answer is NULL then. Returns an
 * exit_code. `progress` (or NULL) is called about every second.
 */
int check_store(const struct check_args *,
		void (*progress)(void *arg, const json_t *event),
		json_t **ret_answer);

#endif
