/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Options of one command, by getopt_long(3) with messages of our own: they
 * name the command, and what to do next.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "tools/command.h"

/* Long options of one command, --help and the end included. */
#define OPTIONS_MAX 24
#define OPTION_HELP 'h'

static int bad_option(const struct cmdline *line, int c)
{
	/* getopt has stepped over the word at fault; in a cluster of short
	 * options, which no command has, it may still be in it. */
	const char *word = line->argv[optind - 1];

	if (c == ':')
		complain(line->argv[0], 0, "%s: wants an argument; see "
			 "`kin %s --help`", word, line->argv[0]);
	else
		complain(line->argv[0], 0, "%s: no such option; see "
			 "`kin %s --help`", word, line->argv[0]);
	return CMDLINE_BAD;
}

int cmdline_next(struct cmdline *line)
{
	struct option all[OPTIONS_MAX] = { { "help", no_argument, NULL,
					     OPTION_HELP } };
	int c;

	for (size_t i = 0; line->options && line->options[i].name; i++) {
		kin_assert(i + 2 < OPTIONS_MAX);
		all[i + 1] = line->options[i];
	}
	opterr = 0;
	c = getopt_long(line->argc, line->argv, ":h", all, NULL);
	switch (c) {
	case -1:
		return CMDLINE_END;
	case OPTION_HELP:
		fputs(line->help, stdout);
		return CMDLINE_HELP;
	case '?':
	case ':':
		return bad_option(line, c);
	default:
		return c;
	}
}

int cmdline_exit(int next)
{
	return next == CMDLINE_BAD ? EXIT_USAGE : EXIT_OK;
}

int cmdline_operands(const struct cmdline *line, int min, int max)
{
	int given = line->argc - optind;

	if (given < min)
		return complain(line->argv[0], EXIT_USAGE,
				"an argument is missing; see `kin %s --help`",
				line->argv[0]);
	if (given > max)
		return complain(line->argv[0], EXIT_USAGE,
				"\"%s\": one argument too many; see `kin %s "
				"--help`", line->argv[optind + max],
				line->argv[0]);
	return EXIT_OK;
}

int complain(const char *command, int exit_code, const char *fmt, ...)
{
	va_list ap;

	fflush(stdout);
	fprintf(stderr, "kin %s: ", command);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	return exit_code;
}
