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
	struct subject subject;
	json_t *answer = NULL;
	bool as_json;
	int r;

	if (!subject_of_command(argc, argv, help, 1, &as_json, &subject, &r))
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
