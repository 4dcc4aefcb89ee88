/* SPDX-License-Identifier: Apache-2.0 */
/* kin undo */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tools/decisions.h"
#include "tools/output.h"

static const char help[] =
"usage: kin undo [--dry-run] [--json] ID|FILE\n"
"       kin undo --list [--json] [PATH]\n"
"Takes back what was decided without asking: the value, the name or the\n"
"content that lost is taken, on all nodes. And takes back how a conflict was\n"
"settled, by a policy, a hook, `kin resolve` or by hand: it is open again, with\n"
"all its contents. ID is from the list; FILE does if only one thing was decided\n"
"about it.\n"
"\n"
"  --list      lists decisions at or below PATH, as `kin conflicts --decided`,\n"
"              and what people settled\n"
"  --dry-run   only says which decision is meant\n"
"  --json      the decision, or the list of them:\n"
DECISION_FIELDS "\n"
"\n"
"A decision is off the list once somebody has gone on from it: given the\n"
"file another name or mode, edited it again; and once it is undone. A settled\n"
"conflict is on the list of the nodes that showed it, as long as their history\n"
"has what was replaced; once it is open again no policy or hook settles it\n"
"before one of its contents is written. Earlier contents of any file: `kin log\n"
"FILE`, and `kin restore FILE@ID` takes one of them.\n";

enum { OPTION_LIST = OPTION_FIRST, OPTION_DRY_RUN, OPTION_JSON };

static const struct option options[] = {
	{ "list", no_argument, NULL, OPTION_LIST },
	{ "dry-run", no_argument, NULL, OPTION_DRY_RUN },
	{ "json", no_argument, NULL, OPTION_JSON },
	{ NULL, 0, NULL, 0 },
};

/* Hexadecimal digits of an id. */
#define ID_CHARS 10

static bool is_id(const char *word)
{
	return strlen(word) == ID_CHARS &&
	       strspn(word, "0123456789abcdef") == ID_CHARS &&
	       access(word, F_OK);
}

static int undo(const char *command, const char *what, bool dry_run,
		bool as_json)
{
	bool id = is_id(what);
	struct subject subject;
	json_t *answer = NULL, *request;
	const json_t *decision;
	int r = subject_init(&subject, command, id ? NULL : what);

	if (r != EXIT_OK)
		return r;
	request = json_pack("{s:s, s:b}", "cmd", "undo", "dry_run", dry_run);
	if (id)
		json_object_set_new(request, "id", json_string(what));
	else
		subject_put_path(&subject, request);
	r = control_call(&subject, request, &answer);
	decision = json_object_get(answer, "decision");
	if (r == EXIT_OK && as_json) {
		r = output_json(command, decision);
	} else if (r == EXIT_OK) {
		puts(dry_run ? "would take back:" : "taken back:");
		decision_print(&subject, decision);
		r = output_done(command);
	}
	json_decref(answer);
	subject_release(&subject);
	return r;
}

static int list(const char *command, const char *path, bool as_json)
{
	struct subject subject;
	int r = subject_init(&subject, command, path);

	if (r != EXIT_OK)
		return r;
	r = decisions_list(&subject, true, as_json);
	subject_release(&subject);
	return r;
}

int cmd_undo(int argc, char **argv)
{
	struct cmdline line = { argc, argv, help, options };
	bool as_json = false, dry_run = false, as_list = false;
	int c;

	while ((c = cmdline_next(&line)) >= OPTION_FIRST) {
		as_json = as_json || c == OPTION_JSON;
		dry_run = dry_run || c == OPTION_DRY_RUN;
		as_list = as_list || c == OPTION_LIST;
	}
	if (c != CMDLINE_END)
		return cmdline_exit(c);
	if (cmdline_operands(&line, as_list ? 0 : 1, 1) != EXIT_OK)
		return EXIT_USAGE;
	if (as_list && dry_run)
		return complain(argv[0], EXIT_USAGE, "--list and --dry-run: "
				"give one of them");
	return as_list ? list(argv[0], argv[optind], as_json) :
			 undo(argv[0], argv[optind], dry_run, as_json);
}
