/* SPDX-License-Identifier: Apache-2.0 */
/* kin log */
#include <stdio.h>
#include <string.h>

#include "tools/control_client.h"
#include "tools/output.h"

static const char help[] =
"usage: kin log [--json] FILE\n"
"Lists the versions of a file that are on this node, the newest first: what it\n"
"is, what stands beside it in conflict, and what it was before; and those of\n"
"files that had its name before it. FILE may have been removed. `kin cat FILE@ID` prints a version, `kin restore FILE@ID` takes\n"
"it back.\n"
"\n"
"Each node keeps what it had itself, for 30 days, in up to 5 % of its disk,\n"
"unless `kin mount` was told otherwise; so another node may know other ones.\n"
"\n"
"  --json   {removed, removed_at, versions: [{id, state, label, node, time,\n"
"           time_ms, ended, size, automatic, here, name}]}\n"
"           state: current; sibling (in conflict, name: what it shows as);\n"
"           hidden (it lost by a rule: kin undo); removed; replaced; replaced\n"
"           elsewhere. time: written, ended: since when it is no more; seconds\n"
"           since 1970. label, node: who wrote it. automatic: a policy or a\n"
"           hook did. here: false if not all of its bytes are on this node\n";

enum { OPTION_JSON = OPTION_FIRST };

static const struct option options[] = {
	{ "json", no_argument, NULL, OPTION_JSON },
	{ NULL, 0, NULL, 0 },
};

static void print_state(const json_t *v)
{
	const char *state = json_text(v, "state");
	uint64_t ended = json_number(v, "ended");
	struct buf name = BUF_INIT;
	char text[TEXT_BYTES];

	fputs(state, stdout);
	if (ended)
		printf(" %s", text_time((int64_t)ended, text));
	if (!strcmp(state, "sibling")) {
		output_bytes_of(v, "name", "name_hex", &name);
		fputs(": ", stdout);
		output_name(buf_slice(&name));
	}
	buf_release(&name);
	if (json_is_true(json_object_get(v, "automatic")))
		fputs(", made by a policy or a hook", stdout);
	if (json_is_false(json_object_get(v, "here")))
		fputs(", not all here", stdout);
}

static int print(const char *command, const json_t *answer)
{
	char text[TEXT_BYTES];
	const json_t *v;
	size_t k;

	printf("%-10s  %-19s  %12s  %-12s  %s\n", "ID", "WRITTEN", "BYTES",
	       "BY", "STATE");
	json_array_foreach(json_object_get(answer, "versions"), k, v) {
		printf("%-10s  %-19s  %12llu  %-12s  ", json_text(v, "id"),
		       text_time((int64_t)json_number(v, "time"), text),
		       (unsigned long long)json_number(v, "size"),
		       json_text(v, "label"));
		print_state(v);
		putchar('\n');
	}
	return output_done(command);
}

int cmd_log(int argc, char **argv)
{
	struct cmdline line = { argc, argv, help, options };
	struct subject subject;
	json_t *request, *answer = NULL;
	bool as_json = false;
	int c, r;

	while ((c = cmdline_next(&line)) >= OPTION_FIRST)
		as_json = true;
	if (c != CMDLINE_END)
		return cmdline_exit(c);
	if (cmdline_operands(&line, 1, 1) != EXIT_OK)
		return EXIT_USAGE;
	r = subject_init(&subject, argv[0], argv[optind]);
	if (r != EXIT_OK)
		return r;
	request = json_pack("{s:s}", "cmd", "log");
	subject_put_path(&subject, request);
	r = control_call(&subject, request, &answer);
	if (r == EXIT_OK && as_json)
		json_object_del(answer, "ok");
	if (r == EXIT_OK)
		r = as_json ? output_json(argv[0], answer) :
			      print(argv[0], answer);
	json_decref(answer);
	subject_release(&subject);
	return r;
}
