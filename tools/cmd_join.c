/* SPDX-License-Identifier: Apache-2.0 */
/* kin join */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "tools/mounting.h"

static const char help[] =
"usage: kin join [OPTION]... CODE MOUNTPOINT\n"
"Joins the volume that CODE invites to (`kin invite`, on the other\n"
"machine), mounts it on MOUNTPOINT, an empty directory, and begins to fetch\n"
"what is in it. A CODE of - is read from standard input. From then on\n"
"`kin mount MOUNTPOINT` is all that is needed.\n"
"\n"
MOUNTING_HELP;

/* Characters of a code, with room for what is pasted along with it. */
#define CODE_BYTES_MAX 4096

/* The code, from the argument or standard input, without white space. */
static int read_code(const char *argument, char ret[CODE_BYTES_MAX])
{
	size_t len;

	if (strcmp(argument, "-")) {
		if (strlen(argument) >= CODE_BYTES_MAX)
			return -EBADMSG;
		strcpy(ret, argument);
	} else if (!fgets(ret, CODE_BYTES_MAX, stdin)) {
		return -EBADMSG;
	}
	memmove(ret, ret + strspn(ret, " \t"), strlen(ret) + 1 -
		strspn(ret, " \t"));
	len = strcspn(ret, " \t\r\n");
	ret[len] = '\0';
	return 0;
}

int cmd_join(int argc, char **argv)
{
	struct cmdline line = { argc, argv, help, mounting_options };
	char text[CODE_BYTES_MAX];
	struct invite_code code;
	struct mounting m;
	int r = mounting_parse(&m, &line);

	if (r >= 0)
		return r;
	if (cmdline_operands(&line, 2, 2) != EXIT_OK)
		return EXIT_USAGE;
	r = read_code(argv[optind], text);
	if (r == 0)
		r = invite_decode(text, &code);
	if (r == -EPROTONOSUPPORT)
		return complain(argv[0], EXIT_FAILED, "the code is of a newer "
				"kin; install that version here too");
	if (r < 0)
		return complain(argv[0], EXIT_FAILED, "the code is mistyped or "
				"not complete; copy it again, the whole line");
	return mounting_run(&m, argv[optind + 1], &code);
}
