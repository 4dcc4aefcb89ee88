/* SPDX-License-Identifier: Apache-2.0 */
/* FILE@VERSION, as `kin cat` and `kin restore` take it. */
#ifndef KINFS_TOOLS_VERSION_SPEC_H
#define KINFS_TOOLS_VERSION_SPEC_H

#include <jansson.h>

#include "tools/command.h"

/* For --help texts. */
#define VERSION_SPEC_HELP \
"VERSION is one of\n" \
"  ID            as `kin log FILE` prints it, or how it begins (5 digits)\n" \
"  TIME          2026-11-20T10:15:03, 2026-11-20T10:15, 2026-11-20: what the\n" \
"                file was then, at the end of that second, minute or day\n" \
"  AGE           30s, 10m, 2h, 3d, 1w: what it was so long ago\n"

struct version_spec {
	char *path;		/* of the file */
	char id[16];		/* "": by time */
	int64_t at_ms;		/* since 1970 */
};

void version_spec_release(struct version_spec *);
/* Complains. Returns an exit_code. */
int version_spec_parse(const char *command, const char *text,
		       struct version_spec *ret);
void version_spec_put(const struct version_spec *, json_t *request);

/* A TIME or an AGE alone: milliseconds since 1970, the end of a TIME. -1: it
 * is none. */
int64_t moment_parse(const char *text);

#endif
