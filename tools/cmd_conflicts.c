/* SPDX-License-Identifier: Apache-2.0 */
/* kin conflicts */
#include <stdio.h>
#include <string.h>

#include "tools/conflict_watch.h"
#include "tools/conflicts.h"
#include "tools/decisions.h"
#include "tools/output.h"

static const char help[] =
"usage: kin conflicts [--decided | --watch [--notify[=PROGRAM]]] [--json]\n"
"                     [PATH]\n"
"Lists what several nodes changed without knowing of each other, at or\n"
"below PATH: the working directory, else the only mounted volume.\n"
"\n"
"  --json    [{path, kind: content|name|place, token, files, base_known,\n"
"            main_removed, versions: [{path, label, node, time, time_ms,\n"
"            size, main, automatic}]}]; paths are relative to the volume's\n"
"            root; a path that is not UTF-8 is given as path_hex; token is\n"
"            another one when any version is; files: all are regular files;\n"
"            base_known: what the contents were made from; automatic: made\n"
"            by a rule or a hook\n"
"  --watch   a line for each there is, and for each that comes, changes or is\n"
"            settled, until ^C; with --json a line of JSON each, the fields\n"
"            above and change: new|changed|settled, seen: its time\n"
"  --notify[=PROGRAM]  at each new one runs PROGRAM, or notify-send, with a\n"
"            title and a text as its two arguments\n"
"  --decided lists instead what was decided without asking: which of two\n"
"            names, modes, owners, times or attributes holds, removals that\n"
"            lost against edits, moves that closed a circle; what lost, why,\n"
"            and the id by which `kin undo` takes the other; as JSON:\n"
DECISION_FIELDS "\n"
"\n"
"Versions stand beside each other as files. `kin resolve` settles a\n"
"conflict; so does removing a version, or moving one over the main name.\n";

enum { OPTION_JSON = OPTION_FIRST, OPTION_DECIDED, OPTION_WATCH,
       OPTION_NOTIFY };

static const struct option options[] = {
	{ "json", no_argument, NULL, OPTION_JSON },
	{ "decided", no_argument, NULL, OPTION_DECIDED },
	{ "watch", no_argument, NULL, OPTION_WATCH },
	{ "notify", optional_argument, NULL, OPTION_NOTIFY },
	{ NULL, 0, NULL, 0 },
};

static int print_conflicts(const struct subject *subject,
			   const json_t *conflicts)
{
	const json_t *conflict;
	size_t i;

	json_array_foreach(conflicts, i, conflict)
		conflict_print(subject, conflict);
	if (json_array_size(conflicts))
		puts("settle one: kin resolve FILE");
	else
		puts("no conflicts");
	return output_done(subject->command);
}

struct conflicts_args {
	bool decided, watch;
	struct watch_options o;
};

/* Negative: go on; else the exit code. */
static int parse(struct cmdline *line, struct conflicts_args *args)
{
	int c;

	while ((c = cmdline_next(line)) >= OPTION_FIRST) {
		switch (c) {
		case OPTION_JSON:
			args->o.json = true;
			break;
		case OPTION_DECIDED:
			args->decided = true;
			break;
		case OPTION_WATCH:
			args->watch = true;
			break;
		case OPTION_NOTIFY:
			args->o.notify = optarg ? optarg : "notify-send";
			break;
		}
	}
	if (c != CMDLINE_END)
		return cmdline_exit(c);
	if (cmdline_operands(line, 0, 1) != EXIT_OK)
		return EXIT_USAGE;
	if (args->decided && args->watch)
		return complain(line->argv[0], EXIT_USAGE, "--decided and "
				"--watch: give one of them");
	if (args->o.notify && !args->watch)
		return complain(line->argv[0], EXIT_USAGE, "--notify is for "
				"--watch");
	return -1;
}

static int list(const struct subject *subject, bool as_json)
{
	json_t *conflicts;
	int r = conflicts_ask(subject, &conflicts);

	if (r == EXIT_OK && as_json)
		r = output_json(subject->command, conflicts);
	else if (r == EXIT_OK)
		r = print_conflicts(subject, conflicts);
	json_decref(conflicts);
	return r;
}

int cmd_conflicts(int argc, char **argv)
{
	struct cmdline line = { argc, argv, help, options };
	struct conflicts_args args = { .decided = false };
	struct subject subject;
	int r = parse(&line, &args);

	if (r >= 0)
		return r;
	r = subject_init(&subject, argv[0], argv[optind]);
	if (r != EXIT_OK)
		return r;
	r = args.decided ? decisions_list(&subject, false, args.o.json) :
	    args.watch	 ? conflicts_watch(&subject, &args.o) :
			   list(&subject, args.o.json);
	subject_release(&subject);
	return r;
}
