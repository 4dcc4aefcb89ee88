/* SPDX-License-Identifier: Apache-2.0 */
/* kin hooks */
#include <stdio.h>
#include <string.h>

#include "fs/base/id.h"
#include "tools/control_client.h"
#include "tools/output.h"

static const char help[] =
"usage: kin hooks dir MOUNTPOINT\n"
"       kin hooks list [--json] [MOUNTPOINT]\n"
"Programs of this node that may settle conflicts, or be told of changes: the\n"
"executables in one folder. `dir` prints that folder, and makes it if it is\n"
"missing; to install a hook, copy it there. `list` tells which are there,\n"
"and why one would not be run.\n"
"\n"
"A hook is named by 1 to 64 of A-Z a-z 0-9 . _ -, not beginning with a dot.\n"
"It and the folder belong to the user that kin runs as, or to root; nobody\n"
"else may be able to write them, or anything above them. A symbolic link is\n"
"no hook.\n"
"\n"
"A policy names a hook (kin policy DIR hook:NAME); so does FOLDER.conf, a\n"
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
"  --json    {folder, refused, hooks: [{name, refused}], configuration};\n"
"            refused: null, or why that is not run; configuration: null, or\n"
"            what is wrong with FOLDER.conf; what is not UTF-8 is given as\n"
"            folder_hex, name_hex, refused_hex or configuration_hex\n";

enum { OPTION_JSON = OPTION_FIRST };

static const struct option options[] = {
	{ "json", no_argument, NULL, OPTION_JSON },
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
}

static int print_list(const char *command, const json_t *answer)
{
	const json_t *hooks = json_object_get(answer, "hooks"), *hook;
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

int cmd_hooks(int argc, char **argv)
{
	struct cmdline line = { argc, argv, help, options };
	struct subject subject;
	bool as_json = false, dir;
	json_t *answer = NULL;
	int c, r;

	while ((c = cmdline_next(&line)) == OPTION_JSON)
		as_json = true;
	if (c != CMDLINE_END)
		return cmdline_exit(c);
	if (cmdline_operands(&line, 1, 2) != EXIT_OK)
		return EXIT_USAGE;
	dir = !strcmp(argv[optind], "dir");
	if (!dir && strcmp(argv[optind], "list"))
		return complain(argv[0], EXIT_USAGE, "%s: say dir or list",
				argv[optind]);
	if (dir && (as_json || !argv[optind + 1]))
		return complain(argv[0], EXIT_USAGE, "dir: give a MOUNTPOINT, "
				"and no --json");
	r = subject_init(&subject, argv[0], argv[optind + 1]);
	if (r != EXIT_OK)
		return r;
	r = control_call(&subject, json_pack("{s:s, s:b}", "cmd", "hooks",
					     "make", dir), &answer);
	if (r == EXIT_OK && as_json) {
		json_object_del(answer, "ok");
		r = output_json(argv[0], answer);
	} else if (r == EXIT_OK) {
		r = dir ? print_folder(argv[0], answer) :
			  print_list(argv[0], answer);
	}
	json_decref(answer);
	subject_release(&subject);
	return r;
}
