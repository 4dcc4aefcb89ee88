/* SPDX-License-Identifier: Apache-2.0 */
/* kin policy */
#include <stdio.h>
#include <string.h>

#include "tools/control_client.h"
#include "tools/output.h"

static const char help[] =
"usage: kin policy [--json] [PATH]\n"
"       kin policy DIR RULE\n"
"       kin policy DIR --clear\n"
"Says what becomes of files that several nodes wrote without knowing of each\n"
"other, and where that is set; sets it for a directory and all that is in it,\n"
"on all nodes; or ends what was set there. The nearest directory above a file\n"
"decides. It is the attribute user.kin.policy, too.\n"
"\n"
"  keep              all contents show, for a person to settle: what holds\n"
"                    where nothing is set\n"
"  latest            the newest shows, the others are hidden\n"
"  node:LABEL,...    the newest that the first of these nodes wrote shows, the\n"
"                    others are hidden; as keep, if none of them wrote any\n"
"  merge             texts are merged line by line where that is possible\n"
"  union             the lines of all\n"
"  hook:NAME[@NODE]  a program in the hooks folder of a node decides; all nodes\n"
"                    that have it take turns, or NODE alone runs it\n"
"\n"
"What is hidden is not lost: `kin conflicts --decided` lists it, `kin undo`\n"
"takes it instead, and it shows again when the policy ends. The next write to\n"
"the file replaces all of it.\n"
"\n"
"  --clear   ends the policy of DIR: what is set above it holds again\n"
"  --json    {rule, from: the directory where it is set, or null, own: that is\n"
"            this one, understood: false for a rule of a newer kinfs, which is\n"
"            as keep here}\n";

enum { OPTION_JSON = OPTION_FIRST, OPTION_CLEAR };

static const struct option options[] = {
	{ "json", no_argument, NULL, OPTION_JSON },
	{ "clear", no_argument, NULL, OPTION_CLEAR },
	{ NULL, 0, NULL, 0 },
};

/* "node:a,b" and "hook:x" by their beginning. */
static const char *meaning_of(const char *rule)
{
	static const struct {
		const char *word, *meaning;
	} all[] = {
		{ "keep", "all contents show, for a person to settle" },
		{ "latest", "the newest content shows" },
		{ "node:", "the newest content that the first of these nodes "
			   "wrote shows" },
		{ "merge", "texts are merged where that is possible" },
		{ "union", "the lines of all are kept" },
		{ "hook:", "a program decides; `kin hooks list` tells whether "
			   "it is here" },
	};

	for (size_t k = 0; k < ARRAY_SIZE(all); k++)
		if (!strncmp(rule, all[k].word, strlen(all[k].word)))
			return all[k].meaning;
	return "";
}

static void print_from(const struct subject *subject, const json_t *answer)
{
	const json_t *from = json_object_get(answer, "from");

	if (json_is_null(from)) {
		fputs("no policy is set here or above\n", stdout);
		return;
	}
	fputs("set for ", stdout);
	output_name(SLICE_STR(subject->mountpoint));
	if (json_is_string(from) && json_string_length(from)) {
		putchar('/');
		output_name(SLICE(json_string_value(from),
				  json_string_length(from)));
	} else if (!from) {
		printf("/0x%s", json_text(answer, "from_hex"));
	}
	putchar('\n');
}

static int print(const char *command, const struct subject *subject,
		 json_t *answer, bool as_json)
{
	const json_t *rule = json_object_get(answer, "rule");

	if (as_json) {
		json_object_del(answer, "ok");
		return output_json(command, answer);
	}
	if (json_is_string(rule))
		output_name(SLICE(json_string_value(rule),
				  json_string_length(rule)));
	else
		printf("0x%s", json_text(answer, "rule_hex"));
	if (json_is_true(json_object_get(answer, "understood")))
		printf(": %s\n", meaning_of(json_text(answer, "rule")));
	else
		fputs(": not known to this kinfs, so as keep\n", stdout);
	print_from(subject, answer);
	return output_done(command);
}

int cmd_policy(int argc, char **argv)
{
	struct cmdline line = { argc, argv, help, options };
	bool as_json = false, clear = false;
	struct subject subject;
	json_t *request, *answer = NULL;
	const char *rule;
	int c, r;

	while ((c = cmdline_next(&line)) >= OPTION_FIRST) {
		as_json = as_json || c == OPTION_JSON;
		clear = clear || c == OPTION_CLEAR;
	}
	if (c != CMDLINE_END)
		return cmdline_exit(c);
	if (cmdline_operands(&line, clear ? 1 : 0, clear ? 1 : 2) != EXIT_OK)
		return EXIT_USAGE;
	rule = argc - optind == 2 ? argv[optind + 1] : NULL;
	r = subject_init(&subject, argv[0], argv[optind]);
	if (r != EXIT_OK)
		return r;
	request = json_pack("{s:s}", "cmd", "policy");
	subject_put_path(&subject, request);
	if (rule)
		json_object_set_new(request, "rule", json_string(rule));
	if (clear)
		json_object_set_new(request, "clear", json_true());
	r = control_call(&subject, request, &answer);
	if (r == EXIT_OK)
		r = print(argv[0], &subject, answer, as_json);
	json_decref(answer);
	subject_release(&subject);
	return r;
}
