/* SPDX-License-Identifier: Apache-2.0 */
/* kin hooks */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/base/id.h"
#include "tools/control_client.h"
#include "tools/hook_test.h"
#include "tools/output.h"

static const char help[] =
"usage: kin hooks dir MOUNTPOINT\n"
"       kin hooks list [--json] [MOUNTPOINT]\n"
"       kin hooks test [OPTION...] HOOK FILE\n"
"Programs of this node that may settle conflicts, or be told of changes: the\n"
"executables in one folder. `dir` prints that folder, and makes it if it is\n"
"missing; to install a hook, copy it there. `list` tells which are there,\n"
"why one would not be run, and what uses each: policies of the volume, rules\n"
"of this node. `test` runs one for a conflict of FILE, as the\n"
"node would, and shows what it makes of it; nothing comes of that. If FILE is\n"
"not in conflict, two versions of it are made up.\n"
"\n"
"A hook is named by 1 to 64 of A-Z a-z 0-9 . _ -, not beginning with a dot.\n"
"It and the folder belong to the user that kin runs as, or to root; nobody\n"
"else may be able to write them, or anything above them. A symbolic link is\n"
"no hook.\n"
"\n"
"A policy names a hook (kin policy DIR hook:NAME[@NODE]); so does FOLDER.conf, a\n"
"text file beside the folder, with lines\n"
"\n"
"  conflict PATTERN HOOK    when a file that matches is in conflict\n"
"  open PATTERN HOOK        the same, when a program opens it\n"
"  applied HOOK             changes came from elsewhere\n"
"  peer HOOK                a member was connected, or is gone\n"
"  lag SECONDS HOOK         a member lacks changes for so long\n"
"  limit time SECONDS [HOOK]  how long it may take, 60 else\n"
"  limit memory SIZE [HOOK]   what each of its processes may have, 1G else\n"
"  limit output SIZE [HOOK]   what each file it writes may have, 1G else\n"
"\n"
"A limit without a HOOK holds for all that no other names. What is written in\n"
"it holds within a minute; at once, after `kin hooks list`.\n"
"\n"
"With test:\n"
"  --time SECONDS  ends it after that, if it may take longer\n"
"  --output FILE   keeps its result there\n"
"  --version FILE  makes up a conflict of these, given two to 64 times\n"
"  --base FILE     what these were made from; else that is not known\n"
"  --json    {made_up, versions: [{label, node, time, size, main, automatic}],\n"
"            base: it is known, settles: its result would be taken, result:\n"
"            settled, left or failed, status: that it exited with, or null,\n"
"            reason, seconds, limits: {seconds, memory, output},\n"
"            output_bytes, stdout, stdout_cut, stderr, stderr_cut, kept_in:\n"
"            {processes, store_hidden, proc, counted}, configuration: null,\n"
"            or what is wrong with FOLDER.conf}\n"
"Exit status: 0 it would settle it, 1 it would not, or cannot be run; else as\n"
"everywhere.\n"
"\n"
"With list:\n"
"  --json    {folder, policies_cut, configuration, hooks: [{name, refused,\n"
"            uses}], refused, missing: [{name, uses}]}; refused: null, or why\n"
"            that is not run; missing: what is used and not there; uses:\n"
"            [{policy: a directory, node: that alone runs it, or null}, {line,\n"
"            event, pattern, seconds}], the latter of FOLDER.conf;\n"
"            configuration: null, or what is wrong with that; policies_cut:\n"
"            there are more policies than were looked at; what is not UTF-8 is\n"
"            given as name_hex, policy_hex, pattern_hex and so on\n";

enum { OPTION_JSON = OPTION_FIRST, OPTION_TIME, OPTION_OUTPUT, OPTION_VERSION,
       OPTION_BASE };

static const struct option options[] = {
	{ "json", no_argument, NULL, OPTION_JSON },
	{ "time", required_argument, NULL, OPTION_TIME },
	{ "output", required_argument, NULL, OPTION_OUTPUT },
	{ "version", required_argument, NULL, OPTION_VERSION },
	{ "base", required_argument, NULL, OPTION_BASE },
	{ NULL, 0, NULL, 0 },
};

#define NAME_SHOWN 24

/* Text, or what key_hex has of it. */
static void text_of(const json_t *object, const char *key,
		    const char *key_hex, struct buf *ret)
{
	const json_t *text = json_object_get(object, key);
	const char *hex = json_text(object, key_hex);
	uint8_t *to;

	if (json_is_string(text)) {
		buf_put(ret, json_string_value(text),
			json_string_length(text));
		return;
	}
	to = *hex ? buf_extend(ret, strlen(hex) / 2) : NULL;
	if (to && hex_decode(hex, to, strlen(hex) / 2) < 0)
		buf_reset(ret);
}

static void print_text(const json_t *object, const char *key,
		       const char *key_hex)
{
	struct buf text = BUF_INIT;

	text_of(object, key, key_hex, &text);
	output_name(buf_slice(&text));
	buf_release(&text);
}

static void print_use(const json_t *use)
{
	const char *node = json_text(use, "node");

	if (json_object_get(use, "line")) {
		printf("    configuration, line %llu: %s",
		       (unsigned long long)json_number(use, "line"),
		       json_text(use, "event"));
		if (json_object_get(use, "seconds"))
			printf(" %llu", (unsigned long long)
			       json_number(use, "seconds"));
		if (json_object_get(use, "pattern") ||
		    json_object_get(use, "pattern_hex")) {
			putchar(' ');
			print_text(use, "pattern", "pattern_hex");
		}
	} else {
		fputs("    policy of /", stdout);
		print_text(use, "policy", "policy_hex");
		if (*node)
			printf(", run by %s alone", node);
	}
	putchar('\n');
}

static void print_uses(const json_t *hook)
{
	const json_t *uses = json_object_get(hook, "uses"), *use;
	size_t i;

	json_array_foreach(uses, i, use)
		print_use(use);
}

static void print_hook(const json_t *hook)
{
	struct buf name = BUF_INIT;

	text_of(hook, "name", "name_hex", &name);
	output_name(buf_slice(&name));
	printf("%*s ", (int)(NAME_SHOWN - MIN_OF(name.len, NAME_SHOWN)), "");
	if (json_is_null(json_object_get(hook, "refused")))
		fputs("ready", stdout);
	else
		print_text(hook, "refused", "refused_hex");
	putchar('\n');
	buf_release(&name);
	print_uses(hook);
}

static void print_missing(const json_t *hook)
{
	const char *name = json_text(hook, "name");

	printf("%-*s not installed here\n", NAME_SHOWN, name);
	print_uses(hook);
}

static int print_list(const char *command, const json_t *answer)
{
	const json_t *hooks = json_object_get(answer, "hooks"), *hook;
	const json_t *missing = json_object_get(answer, "missing");
	size_t i;

	if (!json_is_null(json_object_get(answer, "refused"))) {
		struct buf why = BUF_INIT;
		int r;

		text_of(answer, "refused", "refused_hex", &why);
		r = complain(command, EXIT_FAILED, "no hook is run: %.*s",
			     (int)why.len, why.data ? (char *)why.data : "");
		buf_release(&why);
		return r;
	}
	json_array_foreach(hooks, i, hook)
		print_hook(hook);
	json_array_foreach(missing, i, hook)
		print_missing(hook);
	if (json_is_true(json_object_get(answer, "policies_cut")))
		puts("... and more policies than were looked at");
	if (!json_array_size(hooks)) {
		fputs("no hooks in ", stdout);
		print_text(answer, "folder", "folder_hex");
		putchar('\n');
	}
	if (json_is_string(json_object_get(answer, "configuration")) ||
	    *json_text(answer, "configuration_hex")) {
		fputs("none of the configuration holds: ", stdout);
		print_text(answer, "configuration", "configuration_hex");
		putchar('\n');
	}
	return output_done(command);
}

/* As it is, for $(kin hooks dir MOUNTPOINT). */
static int print_folder(const char *command, const json_t *answer)
{
	struct buf folder = BUF_INIT;

	text_of(answer, "folder", "folder_hex", &folder);
	buf_put_u8(&folder, '\n');
	if (!buf_error(&folder))
		fwrite(folder.data, 1, folder.len, stdout);
	buf_release(&folder);
	return output_done(command);
}

/* ---- options */

static int parse_time(const char *text, unsigned int *ret)
{
	char *end;
	unsigned long n = *text >= '0' && *text <= '9' ?
				  strtoul(text, &end, 10) : 0;

	if (!n || n > TEST_TIME_S_MAX || *end)
		return complain("hooks", EXIT_USAGE, "--time %s: a number of "
				"seconds, 1 to %d", text, TEST_TIME_S_MAX);
	*ret = (unsigned int)n;
	return EXIT_OK;
}

static int take_option(int c, struct hook_test_args *a, const char **ret_test)
{
	switch (c) {
	case OPTION_JSON:
		a->json = true;
		return EXIT_OK;
	case OPTION_TIME:
		*ret_test = "--time";
		return parse_time(optarg, &a->time_s);
	case OPTION_OUTPUT:
		*ret_test = "--output";
		a->output = optarg;
		return EXIT_OK;
	case OPTION_BASE:
		*ret_test = "--base";
		a->base = optarg;
		return EXIT_OK;
	}
	*ret_test = "--version";
	if (a->version_count == TEST_VERSIONS_MAX)
		return complain("hooks", EXIT_USAGE, "--version: at most %d",
				TEST_VERSIONS_MAX);
	a->versions[a->version_count++] = optarg;
	return EXIT_OK;
}

static int test(const struct cmdline *line, struct hook_test_args *a)
{
	if (cmdline_operands(line, 3, 3) != EXIT_OK)
		return EXIT_USAGE;
	if (a->version_count == 1 || (a->base && !a->version_count))
		return complain("hooks", EXIT_USAGE, "give --version two to "
				"%d times, or neither it nor --base",
				TEST_VERSIONS_MAX);
	a->hook = line->argv[optind + 1];
	a->file = line->argv[optind + 2];
	return hook_test("hooks", a);
}

static int dir_or_list(const char *command, const char *path, bool dir,
		       bool as_json)
{
	struct subject subject;
	json_t *answer = NULL;
	int r = subject_init(&subject, command, path);

	if (r != EXIT_OK)
		return r;
	r = control_call(&subject, json_pack("{s:s, s:b}", "cmd", "hooks",
					     "make", dir), &answer);
	if (r == EXIT_OK && as_json) {
		json_object_del(answer, "ok");
		r = output_json(command, answer);
	} else if (r == EXIT_OK) {
		r = dir ? print_folder(command, answer) :
			  print_list(command, answer);
	}
	json_decref(answer);
	subject_release(&subject);
	return r;
}

int cmd_hooks(int argc, char **argv)
{
	struct cmdline line = { argc, argv, help, options };
	struct hook_test_args args = { .hook = NULL };
	const char *of_test = NULL;	/* an option */
	bool dir;
	int c;

	while ((c = cmdline_next(&line)) >= OPTION_FIRST)
		if (take_option(c, &args, &of_test) != EXIT_OK)
			return EXIT_USAGE;
	if (c != CMDLINE_END)
		return cmdline_exit(c);
	if (cmdline_operands(&line, 1, 3) != EXIT_OK)
		return EXIT_USAGE;
	if (!strcmp(argv[optind], "test"))
		return test(&line, &args);
	dir = !strcmp(argv[optind], "dir");
	if (!dir && strcmp(argv[optind], "list"))
		return complain(argv[0], EXIT_USAGE, "%s: say dir, list or "
				"test", argv[optind]);
	if (of_test)
		return complain(argv[0], EXIT_USAGE, "%s: is only for test",
				of_test);
	if (cmdline_operands(&line, 1, 2) != EXIT_OK)
		return EXIT_USAGE;
	if (dir && (args.json || !argv[optind + 1]))
		return complain(argv[0], EXIT_USAGE, "dir: give a MOUNTPOINT, "
				"and no --json");
	return dir_or_list(argv[0], argv[optind + 1], dir, args.json);
}
