/* SPDX-License-Identifier: Apache-2.0 */
/* kin invite */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tools/control_client.h"
#include "tools/output.h"

static const char help[] =
"usage: kin invite [--json] MOUNTPOINT\n"
"       kin invite --list [--json] MOUNTPOINT\n"
"       kin invite --revoke [ID|all] MOUNTPOINT\n"
"Prints a code that lets one machine join this volume, once, within 24\n"
"hours: there, `kin join CODE DIR`. Whoever has the code can join with it.\n"
"\n"
"  --list     the invitations given out here, and what became of them\n"
"  --revoke   end one of them, by its id in the list, or all (the default)\n"
"  --json     {code, expires}, or with --list\n"
"             {invites: [{id, created, expires, state}]}\n";

enum { OPTION_LIST = OPTION_FIRST, OPTION_REVOKE, OPTION_JSON };

static const struct option options[] = {
	{ "list", no_argument, NULL, OPTION_LIST },
	{ "revoke", optional_argument, NULL, OPTION_REVOKE },
	{ "json", no_argument, NULL, OPTION_JSON },
	{ NULL, 0, NULL, 0 },
};

struct invite_args {
	bool list, revoke, json;
	const char *id;
};

static int invite(const struct subject *subject, bool as_json)
{
	char when[TEXT_BYTES];
	json_t *answer;
	int r = control_call(subject, json_pack("{s:s}", "cmd", "invite"),
			     &answer);

	if (r != EXIT_OK)
		return r;
	if (as_json) {
		r = output_json(subject->command, answer);
	} else {
		puts(json_text(answer, "code"));
		r = output_done(subject->command);
		if (isatty(STDERR_FILENO))
			fprintf(stderr, "Good once, until %s. On the other "
				"machine: kin join CODE DIR\n",
				text_time((int64_t)json_number(answer,
							       "expires"),
					  when));
	}
	json_decref(answer);
	return r;
}

static void print_list(const json_t *invites)
{
	char created[TEXT_BYTES], expires[TEXT_BYTES];
	const json_t *one;
	size_t i;

	if (!json_array_size(invites)) {
		puts("no invitations");
		return;
	}
	printf("%-16s %-20s %-20s %s\n", "id", "created", "expires", "state");
	json_array_foreach(invites, i, one) {
		int64_t from = (int64_t)json_number(one, "created");
		int64_t to = (int64_t)json_number(one, "expires");

		printf("%-16s %-20s %-20s %s\n", json_text(one, "id"),
		       text_time(from, created), text_time(to, expires),
		       json_text(one, "state"));
	}
}

static int list(const struct subject *subject, bool as_json)
{
	json_t *answer;
	int r = control_call(subject, json_pack("{s:s}", "cmd", "invites"),
			     &answer);

	if (r != EXIT_OK)
		return r;
	if (as_json) {
		r = output_json(subject->command, answer);
	} else {
		print_list(json_object_get(answer, "invites"));
		r = output_done(subject->command);
	}
	json_decref(answer);
	return r;
}

static int revoke_one(const struct subject *subject, const char *id,
		      bool as_json)
{
	char text[TEXT_BYTES];
	json_t *answer;
	uint64_t revoked;
	int r = control_call(subject, json_pack("{s:s, s:s}", "cmd", "revoke",
					       "id", id), &answer);

	if (r != EXIT_OK)
		return r;
	revoked = json_number(answer, "revoked");
	if (as_json)
		r = output_json(subject->command, answer);
	else if (!revoked && strcmp(id, "all"))
		r = complain(subject->command, EXIT_FAILED, "%s: no such open "
			     "invitation; `kin invite --list` lists them",
			     id);
	else
		printf("%s revoked\n", text_count(revoked, "invitation",
						  text));
	json_decref(answer);
	return r;
}

int cmd_invite(int argc, char **argv)
{
	struct cmdline line = { argc, argv, help, options };
	struct invite_args args = { .id = "all" };
	struct subject subject;
	int c, r;

	while ((c = cmdline_next(&line)) >= 0) {
		args.list |= c == OPTION_LIST;
		args.revoke |= c == OPTION_REVOKE;
		args.json |= c == OPTION_JSON;
		if (c == OPTION_REVOKE && optarg)
			args.id = optarg;
	}
	if (c != CMDLINE_END)
		return cmdline_exit(c);
	if (args.list && args.revoke)
		return complain(argv[0], EXIT_USAGE, "--list and --revoke "
				"do not go together");
	if (cmdline_operands(&line, 1, args.revoke ? 2 : 1) != EXIT_OK)
		return EXIT_USAGE;
	if (argc - optind == 2)
		args.id = argv[optind++];
	r = subject_init(&subject, argv[0], argv[optind]);
	if (r != EXIT_OK)
		return r;
	if (args.list)
		r = list(&subject, args.json);
	else if (args.revoke)
		r = revoke_one(&subject, args.id, args.json);
	else
		r = invite(&subject, args.json);
	subject_release(&subject);
	return r;
}
