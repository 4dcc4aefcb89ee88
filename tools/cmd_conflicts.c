/* SPDX-License-Identifier: Apache-2.0 */
/* kin conflicts */
#include <stdio.h>
#include <string.h>

#include "tools/decisions.h"
#include "tools/output.h"

static const char help[] =
"usage: kin conflicts [--decided] [--json] [PATH]\n"
"Lists what several nodes changed without knowing of each other, at or\n"
"below PATH: the working directory, else the only mounted volume.\n"
"\n"
"  --json    [{path, kind: content|name|place, versions: [{path, label,\n"
"            node, time, size, main}]}]; paths are relative to the volume's\n"
"            root; a path that is not UTF-8 is given as path_hex\n"
"  --decided lists instead what was decided without asking: which of two\n"
"            names, modes, owners, times or attributes holds, removals that\n"
"            lost against edits, moves that closed a circle; what lost, why,\n"
"            and the id by which `kin undo` takes the other; as JSON:\n"
DECISION_FIELDS "\n"
"\n"
"Versions stand beside each other as files. `kin resolve` settles a\n"
"conflict; so does removing a version, or moving one over the main name.\n";

enum { OPTION_JSON = OPTION_FIRST, OPTION_DECIDED };

static const struct option options[] = {
	{ "json", no_argument, NULL, OPTION_JSON },
	{ "decided", no_argument, NULL, OPTION_DECIDED },
	{ NULL, 0, NULL, 0 },
};

static const char *kind_sentence(const char *kind)
{
	if (!strcmp(kind, "content"))
		return "edited in several places";
	if (!strcmp(kind, "name"))
		return "different files of one name";
	return "moved to several places";
}

/* The last component: versions stand in one directory, mostly. */
static struct slice last_component(struct slice path)
{
	const uint8_t *slash = memrchr(path.data, '/', path.len);
	size_t skip = slash ? (size_t)(slash - path.data) + 1 : 0;

	return SLICE(path.data + skip, path.len - skip);
}

static void print_version(const json_t *version)
{
	struct buf path = BUF_INIT;
	char when[TEXT_BYTES], size[TEXT_BYTES];
	bool is_main = json_is_true(json_object_get(version, "main"));

	printf("  %-4s  %-12s  %-19s  %10s  ", is_main ? "main" : "",
	       json_text(version, "label"),
	       text_time((int64_t)json_number(version, "time"), when),
	       text_bytes(json_number(version, "size"), size));
	output_path_of(version, &path);
	if (path.len)
		output_name(last_component(buf_slice(&path)));
	putchar('\n');
	buf_release(&path);
}

static void print_conflict(const char *mountpoint, const json_t *conflict)
{
	const json_t *version;
	struct buf path = BUF_INIT;
	size_t i;

	buf_printf(&path, "%s/", mountpoint);
	output_path_of(conflict, &path);
	output_name(buf_slice(&path));
	printf(": %s\n", kind_sentence(json_text(conflict, "kind")));
	json_array_foreach(json_object_get(conflict, "versions"), i, version)
		print_version(version);
	buf_release(&path);
}

static int print_conflicts(const struct subject *subject,
			   const json_t *conflicts)
{
	const json_t *conflict;
	size_t i;

	json_array_foreach(conflicts, i, conflict)
		print_conflict(subject->mountpoint, conflict);
	if (json_array_size(conflicts))
		puts("settle one: kin resolve FILE --take "
		     "main|SIBLING-NAME|NODE-LABEL");
	else
		puts("no conflicts");
	return output_done(subject->command);
}

int cmd_conflicts(int argc, char **argv)
{
	struct cmdline line = { argc, argv, help, options };
	struct subject subject;
	const json_t *conflicts;
	json_t *answer = NULL, *request;
	bool as_json = false, as_decided = false;
	int c, r;

	while ((c = cmdline_next(&line)) >= OPTION_FIRST) {
		as_json = as_json || c == OPTION_JSON;
		as_decided = as_decided || c == OPTION_DECIDED;
	}
	if (c != CMDLINE_END)
		return cmdline_exit(c);
	if (cmdline_operands(&line, 0, 1) != EXIT_OK)
		return EXIT_USAGE;
	r = subject_init(&subject, argv[0], argv[optind]);
	if (r != EXIT_OK)
		return r;
	if (as_decided) {
		r = decisions_list(&subject, as_json);
		subject_release(&subject);
		return r;
	}
	request = json_pack("{s:s}", "cmd", "conflicts");
	subject_put_path(&subject, request);
	r = control_call(&subject, request, &answer);
	conflicts = json_object_get(answer, "conflicts");
	if (r == EXIT_OK && as_json)
		r = output_json(argv[0], conflicts);
	else if (r == EXIT_OK)
		r = print_conflicts(&subject, conflicts);
	json_decref(answer);
	subject_release(&subject);
	return r;
}
