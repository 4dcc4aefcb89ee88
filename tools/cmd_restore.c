/* SPDX-License-Identifier: Apache-2.0 */
/* kin restore */
#include <stdio.h>
#include <string.h>

#include "fs/base/id.h"
#include "tools/control_client.h"
#include "tools/output.h"
#include "tools/version_spec.h"

static const char help[] =
"usage: kin restore [--to PATH] [--json] FILE@VERSION\n"
"Makes the file what it was: that content becomes its newest version, on all\n"
"nodes; what it is now goes into its history. A file that was removed is there\n"
"again. Of one in conflict only what FILE names is replaced.\n"
"\n"
VERSION_SPEC_HELP
"\n"
"  --to PATH   puts it there, as a new file, and leaves FILE as it is\n"
"  --json      {path: relative to the root of the volume}\n";

enum { OPTION_TO = OPTION_FIRST, OPTION_JSON };

static const struct option options[] = {
	{ "to", required_argument, NULL, OPTION_TO },
	{ "json", no_argument, NULL, OPTION_JSON },
	{ NULL, 0, NULL, 0 },
};

static int print(const struct subject *subject, json_t *answer, bool as_json)
{
	struct buf path = BUF_INIT;

	if (as_json) {
		json_object_del(answer, "ok");
		return output_json(subject->command, answer);
	}
	buf_printf(&path, "%s/", subject->mountpoint);
	output_path_of(answer, &path);
	fputs("restored: ", stdout);
	output_name(buf_slice(&path));
	putchar('\n');
	buf_release(&path);
	return output_done(subject->command);
}

/* Both must lie in the same volume. */
static int put_to(const struct subject *subject, const char *to,
		  json_t *request)
{
	struct subject target;
	json_t *path = json_object();
	const char *key;
	json_t *value;
	int r = subject_init(&target, subject->command, to);

	if (r == EXIT_OK && strcmp(target.socket, subject->socket))
		r = complain(subject->command, EXIT_USAGE, "%s: is in another "
			     "volume; `kin cat FILE@VERSION` prints it", to);
	if (r == EXIT_OK)
		subject_put_path(&target, path);
	json_object_foreach(path, key, value)
		json_object_set(request, strcmp(key, "path") ? "to_hex" : "to",
				value);
	json_decref(path);
	if (r == EXIT_OK || target.socket)
		subject_release(&target);
	return r;
}

static int restore(const struct version_spec *spec, const char *command,
		   const char *to, bool as_json)
{
	struct subject subject;
	json_t *request, *answer = NULL;
	int r = subject_init(&subject, command, spec->path);

	if (r != EXIT_OK)
		return r;
	request = json_pack("{s:s}", "cmd", "restore");
	subject_put_path(&subject, request);
	version_spec_put(spec, request);
	r = to ? put_to(&subject, to, request) : EXIT_OK;
	if (r == EXIT_OK)
		r = control_call(&subject, request, &answer);
	else
		json_decref(request);
	if (r == EXIT_OK)
		r = print(&subject, answer, as_json);
	json_decref(answer);
	subject_release(&subject);
	return r;
}

int cmd_restore(int argc, char **argv)
{
	struct cmdline line = { argc, argv, help, options };
	struct version_spec spec;
	const char *to = NULL;
	bool as_json = false;
	int c, r;

	while ((c = cmdline_next(&line)) >= OPTION_FIRST) {
		as_json = as_json || c == OPTION_JSON;
		if (c == OPTION_TO)
			to = optarg;
	}
	if (c != CMDLINE_END)
		return cmdline_exit(c);
	if (cmdline_operands(&line, 1, 1) != EXIT_OK)
		return EXIT_USAGE;
	r = version_spec_parse(argv[0], argv[optind], &spec);
	if (r != EXIT_OK)
		return r;
	r = restore(&spec, argv[0], to, as_json);
	version_spec_release(&spec);
	return r;
}
