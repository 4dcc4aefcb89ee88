/* SPDX-License-Identifier: Apache-2.0 */
/* kin version */
#include <stdio.h>

#include "tools/command.h"
#include "tools/output.h"

static const char help[] =
"usage: kin version [--json]\n"
"Prints the version of kin.\n"
"\n"
"  --json    {\"version\"}\n";

enum { OPTION_JSON = OPTION_FIRST };

static const struct option options[] = {
	{ "json", no_argument, NULL, OPTION_JSON },
	{ NULL, 0, NULL, 0 },
};

int cmd_version(int argc, char **argv)
{
	struct cmdline line = { argc, argv, help, options };
	bool as_json = false;
	json_t *value;
	int c, r;

	while ((c = cmdline_next(&line)) == OPTION_JSON)
		as_json = true;
	if (c != CMDLINE_END)
		return cmdline_exit(c);
	if (cmdline_operands(&line, 0, 0) != EXIT_OK)
		return EXIT_USAGE;
	if (!as_json) {
		printf("kin %s\n", KINFS_VERSION);
		return output_done(argv[0]);
	}
	value = json_pack("{s:s}", "version", KINFS_VERSION);
	r = output_json(argv[0], value);
	json_decref(value);
	return r;
}
