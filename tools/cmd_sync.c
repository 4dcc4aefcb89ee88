/* SPDX-License-Identifier: Apache-2.0 */
/* kin sync */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tools/control_client.h"
#include "tools/output.h"

static const char help[] =
"usage: kin sync [--json] MOUNTPOINT\n"
"Everything that was completed in the mount before this call is on this\n"
"machine's disk when it returns, as after fsync of each file and directory.\n"
"\n"
"  --json    {durable}\n"
"\n"
"sync(1) and syncfs(2) return before that: the kernel does not tell a file\n"
"system that runs as a program. What they would make durable is so within a\n"
"second by itself. Other nodes have nothing to do with it: `kin wait` waits\n"
"until they hold everything durably, too.\n";

enum { OPTION_JSON = OPTION_FIRST };

static const struct option options[] = {
	{ "json", no_argument, NULL, OPTION_JSON },
	{ NULL, 0, NULL, 0 },
};

/*
 * Pages of mappings that the daemon has not been given yet: the kernel does
 * that much for a syncfs. Without an answer by the mount the daemon says what
 * is wrong.
 */
static int write_back(const struct subject *subject)
{
	autoclose int fd = open(subject->mountpoint,
				O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd >= 0 && syncfs(fd) < 0)
		return complain(subject->command, EXIT_FAILED,
				"%s: pages could not be written: %s",
				subject->mountpoint, strerror(errno));
	return EXIT_OK;
}

int cmd_sync(int argc, char **argv)
{
	struct cmdline line = { argc, argv, help, options };
	struct subject subject;
	json_t *answer = NULL;
	bool as_json = false;
	int c, r;

	while ((c = cmdline_next(&line)) == OPTION_JSON)
		as_json = true;
	if (c != CMDLINE_END)
		return cmdline_exit(c);
	if (cmdline_operands(&line, 1, 1) != EXIT_OK)
		return EXIT_USAGE;
	r = subject_init(&subject, argv[0], argv[optind]);
	if (r != EXIT_OK)
		return r;
	r = write_back(&subject);
	if (r == EXIT_OK)
		r = control_call(&subject, json_pack("{s:s}", "cmd", "sync"),
				 &answer);
	if (r == EXIT_OK && as_json)
		r = output_json(argv[0], answer);
	json_decref(answer);
	subject_release(&subject);
	return r;
}
