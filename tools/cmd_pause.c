/* SPDX-License-Identifier: Apache-2.0 */
/* kin pause, kin resume */
#include <stdio.h>
#include <string.h>

#include "tools/control_client.h"

static const char pause_help[] =
"usage: kin pause MOUNTPOINT\n"
"Stops the exchange with peers. The mount stays fully usable; the pause\n"
"survives a restart of the daemon. `kin resume` ends it.\n";

static const char resume_help[] =
"usage: kin resume MOUNTPOINT\n"
"Starts the exchange with peers again, after `kin pause`.\n";

static int run(int argc, char **argv, const char *help)
{
	struct cmdline line = { argc, argv, help, NULL };
	int c = cmdline_next(&line);
	struct subject subject;
	json_t *answer = NULL;
	int r;

	if (c != CMDLINE_END)
		return cmdline_exit(c);
	if (cmdline_operands(&line, 1, 1) != EXIT_OK)
		return EXIT_USAGE;
	r = subject_init(&subject, argv[0], argv[optind]);
	if (r != EXIT_OK)
		return r;
	r = control_call(&subject, json_pack("{s:s}", "cmd", argv[0]),
			 &answer);
	json_decref(answer);
	subject_release(&subject);
	return r;
}

int cmd_pause(int argc, char **argv)
{
	return run(argc, argv, pause_help);
}

int cmd_resume(int argc, char **argv)
{
	return run(argc, argv, resume_help);
}
