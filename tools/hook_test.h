/* SPDX-License-Identifier: Apache-2.0 */
/* `kin hooks test`: runs a hook as a node would, and shows what it makes. */
#ifndef KINFS_TOOLS_HOOK_TEST_H
#define KINFS_TOOLS_HOOK_TEST_H

#include <stdbool.h>
#include <stdint.h>

/* Versions that can be given: what one conflict may have. */
#define TEST_VERSIONS_MAX 64
/* s: what a hook may be configured to take. */
#define TEST_TIME_S_MAX 3600

struct hook_test_args {
	const char *hook, *file;
	const char *versions[TEST_VERSIONS_MAX];	/* files, or none */
	unsigned int version_count;
	const char *base;	/* a file, or NULL */
	const char *output;	/* where its result goes, or NULL */
	unsigned int time_s;	/* or 0 */
	bool json;
};

/* Complains. Returns an exit_code. */
int hook_test(const char *command, const struct hook_test_args *);

#endif
