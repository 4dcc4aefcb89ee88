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

int cmd_token(int argc, char **argv)
{
	struct subject subject;
	json_t *answer = NULL;
	bool as_json;
	int r;

	if (!subject_of_command(argc, argv, help, 1, &as_json, &subject, &r))
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
