/* SPDX-License-Identifier: Apache-2.0 */
/* kin token */
#include <stdio.h>

#include "tools/control_client.h"
#include "tools/output.h"

static const char help[] =
"usage: kin token [--json] MOUNTPOINT\n"
"Prints a token that stands for everything this mount shows now. On another\n"
"node of the volume (or later on this one) `kin wait --token TOKEN` waits\n"
"until that node shows all of it too: who writes, takes a token and hands it\n"
"on can be sure to be read.\n"
"\n"
"  --json    {token}\n"
"\n"
"A token is no secret. It does not expire.\n";

enum { OPTION_JSON = OPTION_FIRST };

static const struct option options[] = {
	{ "json", no_argument, NULL, OPTION_JSON },
	{ NULL, 0, NULL, 0 },
};

int cmd_token(int argc, char **argv)
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
	r = control_call(&subject, json_pack("{s:s}", "cmd", "token"),
			 &answer);
	if (r == EXIT_OK && as_json) {
		r = output_json(argv[0], answer);
	} else if (r == EXIT_OK) {
		puts(json_text(answer, "token"));
		r = output_done(argv[0]);
	}
	json_decref(answer);
	subject_release(&subject);
	return r;
}
