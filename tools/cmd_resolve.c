/* SPDX-License-Identifier: Apache-2.0 */
/* kin resolve */
#include <stdio.h>
#include <string.h>

#include "tools/control_client.h"

static const char help[] =
"usage: kin resolve FILE --take main|SIBLING-NAME|NODE-LABEL\n"
"Settles the conflict of a file, everywhere: the version taken becomes\n"
"its content, the others go. FILE is its main name or a sibling's.\n"
"\n"
"  --take main            the version that has the plain name\n"
"  --take SIBLING-NAME    the version that stands under this name\n"
"  --take NODE-LABEL      the version that this node wrote\n"
"\n"
"It beats only what it has seen: a version that arrives later from a node\n"
"that did not know of it is a conflict again.\n";

enum { OPTION_TAKE = OPTION_FIRST };

static const struct option options[] = {
	{ "take", required_argument, NULL, OPTION_TAKE },
	{ NULL, 0, NULL, 0 },
};

int cmd_resolve(int argc, char **argv)
{
	struct cmdline line = { argc, argv, help, options };
	const char *take = NULL, *slash;
	struct subject subject;
	json_t *request, *answer = NULL;
	int c, r;

	while ((c = cmdline_next(&line)) == OPTION_TAKE)
		take = optarg;
	if (c != CMDLINE_END)
		return cmdline_exit(c);
	if (cmdline_operands(&line, 1, 1) != EXIT_OK)
		return EXIT_USAGE;
	if (!take || !*take)
		return complain(argv[0], EXIT_USAGE, "which version? say "
				"--take main, a sibling's name or a node's "
				"label; `kin conflicts` lists them");
	/* A path, as the shell completes it, means its last component. */
	slash = strrchr(take, '/');
	if (slash && slash[1])
		take = slash + 1;
	r = subject_init(&subject, argv[0], argv[optind]);
	if (r != EXIT_OK)
		return r;
	request = json_pack("{s:s, s:s}", "cmd", "resolve", "take", take);
	if (!request) {
		subject_release(&subject);
		return complain(argv[0], EXIT_FAILED, "--take: the name is "
				"not UTF-8; take the version by its node's "
				"label");
	}
	subject_put_path(&subject, request);
	r = control_call(&subject, request, &answer);
	json_decref(answer);
	subject_release(&subject);
	return r;
}
