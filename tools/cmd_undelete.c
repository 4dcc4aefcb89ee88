/* SPDX-License-Identifier: Apache-2.0 */
/* kin undelete */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/base/id.h"
#include "tools/control_client.h"
#include "tools/output.h"
#include "tools/version_spec.h"

static const char help[] =
"usage: kin undelete [--list] [--since WHEN] [--json] DIR\n"
"       kin undelete --all [--json] DIR\n"
"       kin undelete --since WHEN [--json] DIR\n"
"       kin undelete [--json] DIR NAME...\n"
"Lists what was removed in a directory, on any node, or puts it back, on all.\n"
"A directory comes back with all that was removed with it, as `rm -r` does.\n"
"Under a name that is taken it comes as \"NAME (restored)\". Of several that\n"
"had one name the last that was removed comes first.\n"
"\n"
"DIR must be there; what was removed with it comes with it: undelete it from\n"
"the directory that it was in.\n"
"\n"
"  --list         only lists; so does DIR alone\n"
"  --all          puts back all of it\n"
"  --since WHEN   what was removed since then: an age (30s, 10m, 2h, 3d, 1w) or\n"
"                 a time (2026-11-20T10:15, 2026-11-20)\n"
"  --json         [{name, kind (file, directory, symlink, fifo, socket,\n"
"                 character device, block device), removed (seconds\n"
"                 since 1970), files (in it), size}], and of what is put back\n"
"                 also {restored: its name now, failed: how many in it could\n"
"                 not be, error: null, or why it is not back}\n"
"\n"
"Exits with 1 if something that was asked for could not be put back.\n";

enum { OPTION_LIST = OPTION_FIRST, OPTION_ALL, OPTION_SINCE, OPTION_JSON };

static const struct option options[] = {
	{ "list", no_argument, NULL, OPTION_LIST },
	{ "all", no_argument, NULL, OPTION_ALL },
	{ "since", required_argument, NULL, OPTION_SINCE },
	{ "json", no_argument, NULL, OPTION_JSON },
	{ NULL, 0, NULL, 0 },
};

struct undelete {
	struct subject subject;
	bool list, all, as_json;
	int64_t since_ms;
	json_t *done;		/* what all answers say */
};

static void put_name(json_t *request, const char *name)
{
	json_t *text = json_string(name);
	autofree char *hex = NULL;

	if (text) {
		json_object_set_new(request, "name", text);
		return;
	}
	hex = malloc(2 * strlen(name) + 1);
	if (!hex)
		return;
	hex_encode(name, strlen(name), hex);
	json_object_set_new(request, "name_hex", json_string(hex));
}

/* One request; name NULL: all. */
static int ask(struct undelete *u, const char *name)
{
	json_t *request = json_pack("{s:s}", "cmd",
				    u->list ? "removed" : "undelete");
	json_t *answer = NULL, *list;
	int r;

	subject_put_path(&u->subject, request);
	if (name)
		put_name(request, name);
	if (u->since_ms > 0)
		json_object_set_new(request, "since_ms",
				    json_integer(u->since_ms));
	r = control_call(&u->subject, request, &answer);
	list = json_object_get(answer, u->list ? "removed" : "restored");
	if (r == EXIT_OK && name && !json_array_size(list))
		r = complain(u->subject.command, EXIT_FAILED, "%s: nothing of "
			     "that name was removed there that is still "
			     "known; `kin undelete DIR` lists what was", name);
	if (r == EXIT_OK)
		json_array_extend(u->done, list);
	json_decref(answer);
	return r;
}

static void print_one(const json_t *o, bool list)
{
	bool dir = !strcmp(json_text(o, "kind"), "directory");
	struct buf name = BUF_INIT, now = BUF_INIT;
	char text[TEXT_BYTES];

	output_bytes_of(o, "name", "name_hex", &name);
	output_bytes_of(o, "restored", "restored_hex", &now);
	if (list)
		printf("%s  ", text_time((int64_t)json_number(o, "removed"),
					 text));
	output_name(buf_slice(&name));
	if (dir)
		printf("/ (%s, %s)", text_count(json_number(o, "files"),
						"file", text),
		       text_bytes(json_number(o, "size"),
				  (char[TEXT_BYTES]){ 0 }));
	else if (list)
		printf(" (%s)", text_bytes(json_number(o, "size"), text));
	if (json_is_string(json_object_get(o, "error"))) {
		printf(": not restored: %s", json_text(o, "error"));
	} else if (now.len && !slice_equal(buf_slice(&name),
					   buf_slice(&now))) {
		fputs(": as ", stdout);
		output_name(buf_slice(&now));
	}
	if (json_number(o, "failed"))
		printf(" (%s not restored)",
		       text_count(json_number(o, "failed"), "object", text));
	putchar('\n');
	buf_release(&name);
	buf_release(&now);
}

static int print(const struct undelete *u)
{
	const json_t *o;
	int failed = 0;
	size_t k;

	json_array_foreach(u->done, k, o) {
		failed |= json_is_string(json_object_get(o, "error")) ||
			  json_number(o, "failed");
		if (!u->as_json)
			print_one(o, u->list);
	}
	if (!u->as_json && !json_array_size(u->done))
		puts(u->list ? "nothing that is still known was removed here" :
			       "nothing to put back");
	k = (size_t)(u->as_json ? output_json(u->subject.command, u->done) :
				  output_done(u->subject.command));
	return k ? (int)k : failed ? EXIT_FAILED : EXIT_OK;
}

static int run(struct undelete *u, char **names, int count)
{
	int r = EXIT_OK, printed;

	u->done = json_array();
	if (!count)
		r = ask(u, NULL);
	for (int k = 0; k < count; k++) {
		int one = ask(u, names[k]);

		r = r == EXIT_OK ? one : r;
	}
	if (r != EXIT_OK && !json_array_size(u->done))
		return r;
	printed = print(u);
	return r == EXIT_OK ? printed : r;
}

static int parse(struct undelete *u, struct cmdline *line, bool *since)
{
	int c;

	while ((c = cmdline_next(line)) >= OPTION_FIRST) {
		u->list = u->list || c == OPTION_LIST;
		u->all = u->all || c == OPTION_ALL;
		u->as_json = u->as_json || c == OPTION_JSON;
		if (c != OPTION_SINCE)
			continue;
		*since = true;
		u->since_ms = moment_parse(optarg);
		if (u->since_ms < 0) {
			complain(line->argv[0], EXIT_USAGE, "--since \"%s\": "
				 "is no age or time; for example 2h, or "
				 "2026-11-20T10:15", optarg);
			return CMDLINE_BAD;
		}
	}
	return c;
}

int cmd_undelete(int argc, char **argv)
{
	struct cmdline line = { argc, argv, help, options };
	struct undelete u = { .list = false };
	bool since = false;
	int c = parse(&u, &line, &since), names, r;

	if (c != CMDLINE_END)
		return cmdline_exit(c);
	if (cmdline_operands(&line, 1, argc) != EXIT_OK)
		return EXIT_USAGE;
	names = argc - optind - 1;
	if ((u.all || u.list || since) && names)
		return complain(argv[0], EXIT_USAGE, "names, or --all, --list "
				"or --since: give one of them");
	if (u.all && u.list)
		return complain(argv[0], EXIT_USAGE, "--all and --list: give "
				"one of them");
	if (!names && !u.all && !since)
		u.list = true;
	r = subject_init(&u.subject, argv[0], argv[optind]);
	if (r != EXIT_OK)
		return r;
	r = run(&u, argv + optind + 1, names);
	json_decref(u.done);
	subject_release(&u.subject);
	return r;
}
