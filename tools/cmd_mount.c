/* SPDX-License-Identifier: Apache-2.0 */
/* kin mount */
#include <stddef.h>

#include "tools/mounting.h"

static const char help[] =
"usage: kin mount [OPTION]... MOUNTPOINT\n"
"Mounts the volume of MOUNTPOINT, an empty directory, and exchanges with\n"
"its other members in the background; the first time it makes a new volume.\n"
"Returns when the mount answers. `kin unmount` ends it.\n"
"\n"
MOUNTING_HELP;

int cmd_mount(int argc, char **argv)
{
	struct cmdline line = { argc, argv, help, mounting_options };
	struct mounting m;
	int r = mounting_parse(&m, &line);

	if (r >= 0)
		return r;
	if (cmdline_operands(&line, 1, 1) != EXIT_OK)
		return EXIT_USAGE;
	return mounting_run(&m, argv[optind], NULL);
}
