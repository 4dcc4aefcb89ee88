/* SPDX-License-Identifier: Apache-2.0 */
/* kin swap */
#include <stdio.h>

#include "tools/control_client.h"
#include "tools/output.h"

static const char help[] =
"usage: kin swap FILE\n"
"A file or directory that was renamed in two places has one of the names;\n"
"this gives it the other one, on all nodes. `kin conflicts` and `kin\n"
"conflicts --decided` list such files.\n";

static const struct option options[] = {
	{ NULL, 0, NULL, 0 },
};

int cmd_swap(int argc, char **argv)
{
	struct cmdline line = { argc, argv, help, options };
	struct buf path = BUF_INIT;
	struct subject subject;
	json_t *request, *answer = NULL;
	int c = cmdline_next(&line), r;

	if (c != CMDLINE_END)
		return cmdline_exit(c);
	if (cmdline_operands(&line, 1, 1) != EXIT_OK)
		return EXIT_USAGE;
	r = subject_init(&subject, argv[0], argv[optind]);
	if (r != EXIT_OK)
		return r;
	request = json_pack("{s:s}", "cmd", "swap");
	subject_put_path(&subject, request);
	r = control_call(&subject, request, &answer);
	if (r == EXIT_OK) {
		buf_printf(&path, "%s/", subject.mountpoint);
		output_path_of(answer, &path);
		output_name(buf_slice(&path));
		putchar('\n');
		r = output_done(argv[0]);
	}
	buf_release(&path);
	json_decref(answer);
	subject_release(&subject);
	return r;
}
