/* SPDX-License-Identifier: Apache-2.0 */
/* kin member */
#include <stdio.h>
#include <string.h>

#include "tools/control_client.h"
#include "tools/output.h"

static const char help[] =
"usage: kin member list [--json] [MOUNTPOINT]\n"
"       kin member remove [--json] LABEL [MOUNTPOINT]\n"
"Lists the members of the volume, or removes one for ever: a machine that\n"
"was lost, stolen or given away. All others refuse its key from then on, and\n"
"nothing waits for it any more. What it shared stays; changes that it never\n"
"sent to anybody are gone. It keeps the files that it has. To take part\n"
"again it joins by a new invitation, with a new store.\n"
"\n"
"A member is \"lapsed\" when it was not heard of for very long: what is\n"
"removed no longer waits for it. When it returns it catches up, and its own\n"
"changes are kept.\n"
"\n"
"  --json    {members: [{label, id, state, self, added, last_change,\n"
"            last_change_kept}]}, with remove {member: {...}}; the last two\n"
"            are the numbers of its newest change that anybody has heard of,\n"
"            and of the newest that another member has\n";

enum { OPTION_JSON = OPTION_FIRST };

static const struct option options[] = {
	{ "json", no_argument, NULL, OPTION_JSON },
	{ NULL, 0, NULL, 0 },
};

/* Digits of an id that tell the few nodes of a volume apart. */
#define ID_SHOWN 12
#define LABEL_SHOWN 20

static void print_members(const json_t *members)
{
	char added[TEXT_BYTES];
	const json_t *m;
	size_t i;

	printf("%-*s %-*s %-10s %s\n", LABEL_SHOWN, "label", ID_SHOWN, "id",
	       "state", "since");
	json_array_foreach(members, i, m) {
		bool self = json_is_true(json_object_get(m, "self"));
		const char *since = json_object_get(m, "removed_at") ?
					    "removed_at" : "added";

		printf("%-*s %-*.*s %-10s %s%s\n", LABEL_SHOWN,
		       json_text(m, "label"), ID_SHOWN, ID_SHOWN,
		       json_text(m, "id"), json_text(m, "state"),
		       text_time((int64_t)json_number(m, since), added),
		       self ? "  (this node)" : "");
	}
}

static int list(const struct subject *subject, bool as_json)
{
	json_t *answer;
	int r = control_call(subject, json_pack("{s:s}", "cmd", "members"),
			     &answer);

	if (r != EXIT_OK)
		return r;
	if (as_json) {
		r = output_json(subject->command, answer);
	} else {
		print_members(json_object_get(answer, "members"));
		r = output_done(subject->command);
	}
	json_decref(answer);
	return r;
}

static void print_removed(const json_t *m)
{
	uint64_t told = json_number(m, "last_change");
	uint64_t kept = json_number(m, "last_change_kept");
	const char *label = json_text(m, "label");
	char text[TEXT_BYTES];

	printf("%s is removed from this volume, for ever: the other members "
	       "refuse its key\nas soon as they hear of it.\n", label);
	if (!told)
		printf("Nothing was ever heard of it here. ");
	else if (told > kept)
		printf("Its newest known change is number %llu, and nobody "
		       "else is known to have more\nthan %llu: %s gone. ",
		       (unsigned long long)told, (unsigned long long)kept,
		       text_count(told - kept, "change", text));
	else
		printf("Its newest known change, number %llu, is kept by "
		       "others. ", (unsigned long long)told);
	puts("What it never sent to anybody is gone\nunless it is read from "
	     "that machine.");
}

static int remove_member(const struct subject *subject, const char *label,
			 bool as_json)
{
	json_t *answer;
	int r = control_call(subject, json_pack("{s:s, s:s}", "cmd", "remove",
						"label", label), &answer);

	if (r != EXIT_OK)
		return r;
	if (as_json) {
		r = output_json(subject->command, answer);
	} else {
		print_removed(json_object_get(answer, "member"));
		r = output_done(subject->command);
	}
	json_decref(answer);
	return r;
}

int cmd_member(int argc, char **argv)
{
	struct cmdline line = { argc, argv, help, options };
	const char *verb, *label = NULL;
	bool as_json = false, removes;
	struct subject subject;
	int c, r;

	while ((c = cmdline_next(&line)) == OPTION_JSON)
		as_json = true;
	if (c != CMDLINE_END)
		return cmdline_exit(c);
	verb = optind < argc ? argv[optind] : "";
	removes = !strcmp(verb, "remove");
	if (!removes && strcmp(verb, "list"))
		return complain(argv[0], EXIT_USAGE, "list or remove? "
				"`kin member --help` tells more");
	if (cmdline_operands(&line, removes ? 2 : 1, removes ? 3 : 2) !=
	    EXIT_OK)
		return EXIT_USAGE;
	optind++;
	if (removes)
		label = argv[optind++];
	r = subject_init(&subject, argv[0],
			 optind < argc ? argv[optind] : NULL);
	if (r != EXIT_OK)
		return r;
	r = removes ? remove_member(&subject, label, as_json) :
		      list(&subject, as_json);
	subject_release(&subject);
	return r;
}
