/* SPDX-License-Identifier: Apache-2.0 */
/* kin resolve */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tools/child.h"
#include "tools/output.h"
#include "tools/resolve.h"

static const char help[] =
"usage: kin resolve FILE\n"
"       kin resolve [--dry-run] FILE --take VERSION | --merge | --tool PROGRAM\n"
"       kin resolve [--dry-run] --all DIRECTORY --take VERSION | --merge\n"
"       kin resolve --wait [--timeout SECONDS] FILE\n"
"Settles the conflict of a file, everywhere: what is taken becomes its\n"
"content, the others go. FILE is its main name or a sibling's. So are\n"
"different files that were made under one name: what is taken, or made of\n"
"them, has the name, and the others are removed. Without\n"
"options, on a terminal, shows the versions, how they differ, and asks.\n"
"\n"
"  --take main            the version that has the plain name\n"
"  --take SIBLING-NAME    the version that stands under this name\n"
"  --take NODE-LABEL      the version that this node wrote\n"
"  --take newest|largest  the one written last, by its author's clock; the\n"
"                         one with most bytes; main, if it is one of several\n"
"  --merge    a text by lines, from what all versions were made of; by git or\n"
"             diff3. What two changed is not guessed: nothing is done then.\n"
"             Different files of one name have nothing that they were made\n"
"             of: they are merged if they are equal, or one is empty\n"
"  --tool PROGRAM  lets meld, vimdiff, nvimdiff, kdiff3 or another one make\n"
"             the result: it gets BASE OURS THEIRS OUTPUT, or what stands for\n"
"             {base} {ours} {theirs} {output} among its arguments; the same in\n"
"             KIN_BASE (unset: not known), KIN_OURS, KIN_THEIRS, KIN_OUTPUT.\n"
"             What KIN_MERGETOOL names is for --tool=\n"
"  --all      all conflicts at or below a directory, one by one; what cannot\n"
"             be settled so is left, and told, and the exit code is 1\n"
"  --dry-run  only says what would be done\n"
"  --wait     until nobody, a rule or a hook, has left it in conflict;\n"
"             --timeout: at most so long, 60 s\n"
"\n"
"It beats only what it has seen: a version that arrives later from a node\n"
"that did not know of it is a conflict again; one that was written since it\n"
"was looked at is not settled.\n"
"\n"
"What was not taken is not kept, so that `kin undo` cannot bring it back:\n"
"copy it first, if in doubt; a copy is an ordinary file.\n";

enum { OPTION_TAKE = OPTION_FIRST, OPTION_ALL, OPTION_DRY_RUN, OPTION_WAIT,
       OPTION_TIMEOUT, OPTION_MERGE, OPTION_TOOL };

static const struct option options[] = {
	{ "take", required_argument, NULL, OPTION_TAKE },
	{ "merge", no_argument, NULL, OPTION_MERGE },
	{ "tool", required_argument, NULL, OPTION_TOOL },
	{ "all", no_argument, NULL, OPTION_ALL },
	{ "dry-run", no_argument, NULL, OPTION_DRY_RUN },
	{ "wait", no_argument, NULL, OPTION_WAIT },
	{ "timeout", required_argument, NULL, OPTION_TIMEOUT },
	{ NULL, 0, NULL, 0 },
};

#define TIMEOUT_DEFAULT_S 60
/* Eleven days: above it a typing error is likelier. */
#define TIMEOUT_MAX_S 1e6
/* Between two looks. */
#define WAIT_STEP_MS 250

/* ---- one conflict */

/* A place says no size, and newer is what holds already. */
static bool take_makes_sense(const json_t *conflict, const char *take)
{
	return strcmp(json_text(conflict, "kind"), "place") ||
	       (strcmp(take, "newest") && strcmp(take, "largest"));
}

static int merge_in(const struct room *room, const struct resolve_args *args)
{
	autofree char *result = NULL;
	enum merged merged = MERGED_CLEAN;
	const char *p = json_text(room->conflict, "path");
	int r = args->merge ? room_merge(room, &merged, &result) :
			      room_tool(room, args->tool, &result);

	if (r != EXIT_OK)
		return r;
	if (merged == MERGED_MARKED)
		return complain(room->subject->command, EXIT_FAILED, "%s: not "
				"merged: %s; use --take, or --tool", p,
				room->apart ? "these files were made apart, "
					      "and differ" :
					      "the same lines were changed");
	if (interrupted())
		return EXIT_FAILED;
	r = args->dry_run ? EXIT_OK : room_settle(room, result);
	if (r != EXIT_OK)
		return r;
	conflict_print_path(room->subject, room->conflict);
	puts(args->dry_run ? ": would be merged" : ": merged");
	return EXIT_OK;
}

static int settle_by_content(const struct subject *subject,
			     const struct resolve_args *args,
			     const json_t *conflict)
{
	struct room room;
	int r;

	if (!room_fits(conflict))
		return complain(subject->command, EXIT_FAILED, "%s: %s: there "
				"is nothing to merge; use --take",
				json_text(conflict, "path"),
				conflict_sentence(conflict));
	interrupts_catch();
	r = room_open(subject, conflict, &room);
	if (r != EXIT_OK)
		return r;
	r = merge_in(&room, args);
	room_release(&room);
	return r;
}

static int settle(const struct subject *subject,
		  const struct resolve_args *args, const json_t *conflict)
{
	const json_t *version;
	size_t n;
	int r;

	if (!args->take)
		return settle_by_content(subject, args, conflict);
	if (!take_makes_sense(conflict, args->take))
		return complain(subject->command, EXIT_FAILED, "%s: it was "
				"renamed in several places; `kin swap` takes "
				"its other name, --take main this one",
				json_text(conflict, "path"));
	version = conflict_choose(conflict, args->take, &n);
	if (!version && n > 1)
		return complain(subject->command, EXIT_FAILED, "%s: several "
				"versions are of \"%s\"; take one by its name",
				json_text(conflict, "path"), args->take);
	if (!version)
		return complain(subject->command, EXIT_FAILED, "%s: it has no "
				"version \"%s\"; `kin conflicts` lists them",
				json_text(conflict, "path"), args->take);
	r = args->dry_run ? EXIT_OK : conflict_take(subject, conflict,
						    version);
	if (r != EXIT_OK)
		return r;
	conflict_print_path(subject, conflict);
	puts(args->dry_run ? ": would take" : ": took");
	version_print(version);
	return EXIT_OK;
}

/* ---- the file, or all that is below */

static int not_in_conflict(const struct subject *subject,
			   const json_t *conflicts)
{
	if (json_array_size(conflicts))
		return complain(subject->command, EXIT_FAILED, "%s: is not in "
				"conflict, but %zu below it; --all settles "
				"them all", subject->path,
				json_array_size(conflicts));
	return complain(subject->command, EXIT_FAILED, "%s: is not in "
			"conflict", subject->path);
}

/* Content first: as the daemon takes them. */
static const json_t *first_of(const json_t *conflicts,
			      const struct subject *subject)
{
	static const char *const kinds[] = { "content", "name", "place" };
	const json_t *conflict;
	size_t i;

	for (size_t k = 0; k < ARRAY_SIZE(kinds); k++)
		json_array_foreach(conflicts, i, conflict)
			if (conflict_is_of(conflict, subject) &&
			    !strcmp(json_text(conflict, "kind"), kinds[k]))
				return conflict;
	return NULL;
}

static int resolve_one(const struct subject *subject,
		       const struct resolve_args *args)
{
	json_t *conflicts;
	const json_t *conflict;
	int r = conflicts_ask(subject, &conflicts);

	if (r != EXIT_OK)
		return r;
	conflict = first_of(conflicts, subject);
	if (!conflict)
		r = not_in_conflict(subject, conflicts);
	else if (args->take || args->merge || args->tool)
		r = settle(subject, args, conflict);
	else
		r = resolve_ask(subject, conflict);
	json_decref(conflicts);
	return r == EXIT_OK ? output_done(subject->command) : r;
}

static bool same_path(const json_t *a, const json_t *b)
{
	cleanup(buf_release) struct buf path_a = BUF_INIT, path_b = BUF_INIT;

	output_path_of(a, &path_a);
	output_path_of(b, &path_b);
	return slice_equal(buf_slice(&path_a), buf_slice(&path_b));
}

/* What is at one path, as it is after something there was settled; borrowed
 * from the list, NULL: nothing any more. */
static int look_anew(const struct subject *subject, const json_t *conflict,
		     json_t **ret_list, const json_t **ret)
{
	const json_t *now;
	size_t i;
	int r = conflicts_ask(subject, ret_list);

	*ret = NULL;
	if (r != EXIT_OK)
		return r;
	json_array_foreach(*ret_list, i, now)
		if (same_path(now, conflict) &&
		    !strcmp(json_text(now, "kind"),
			    json_text(conflict, "kind")))
			*ret = now;
	return r;
}

static int resolve_listed(const struct subject *subject,
			  const struct resolve_args *args,
			  const json_t *conflict, const json_t *settled)
{
	json_t *list = NULL;
	int r = EXIT_OK;

	if (settled && !args->dry_run && same_path(settled, conflict))
		r = look_anew(subject, conflict, &list, &conflict);
	if (r == EXIT_OK && conflict)
		r = settle(subject, args, conflict);
	json_decref(list);
	return r;
}

static int resolve_all(const struct subject *subject,
		       const struct resolve_args *args)
{
	json_t *conflicts;
	const json_t *conflict, *settled = NULL;
	size_t i, left = 0;
	int r = conflicts_ask(subject, &conflicts);

	if (r != EXIT_OK)
		return r;
	json_array_foreach(conflicts, i, conflict) {
		r = resolve_listed(subject, args, conflict, settled);
		if (r == EXIT_NOT_MOUNTED || interrupted())
			break;
		if (r == EXIT_OK)
			settled = conflict;
		else
			left++;
	}
	if (!json_array_size(conflicts))
		puts("no conflicts");
	json_decref(conflicts);
	if (r == EXIT_NOT_MOUNTED || interrupted())
		return r == EXIT_OK ? EXIT_FAILED : r;
	r = output_done(subject->command);
	return left ? EXIT_FAILED : r;
}

/* Is it still in conflict? A sibling's name goes with the conflict, so that
 * a name which is not there any more is settled. */
static int look_again(const struct subject *subject, bool first,
		      bool *ret_in_conflict)
{
	json_t *answer = NULL, *request = json_pack("{s:s}", "cmd",
						    "conflicts");
	int r;

	subject_put_path(subject, request);
	r = control_ask(subject, request, CONTROL_TIMEOUT_S, &answer);
	*ret_in_conflict = r == EXIT_OK &&
		first_of(json_object_get(answer, "conflicts"), subject);
	if (r != EXIT_OK && !first &&
	    !strcmp(json_text(answer, "error"), "ENOENT"))
		r = EXIT_OK;
	else if (r != EXIT_OK)
		r = control_refused(subject, answer, r);
	json_decref(answer);
	return r;
}

static int wait_settled(const struct subject *subject, double timeout_s)
{
	const struct timespec step = { .tv_nsec = WAIT_STEP_MS * 1000000 };
	double waited_s = 0;
	bool in_conflict;

	for (;;) {
		int r = look_again(subject, waited_s == 0, &in_conflict);

		if (r != EXIT_OK || !in_conflict)
			return r;
		if (waited_s >= timeout_s)
			return complain(subject->command, EXIT_FAILED, "%s: "
					"is still in conflict", subject->path);
		nanosleep(&step, NULL);
		waited_s += WAIT_STEP_MS / 1e3;
	}
}

/* ---- */

static int parse_timeout(struct resolve_args *args, const char *text)
{
	char *end;

	errno = 0;
	args->timeout_s = strtod(text, &end);
	if (end == text || *end || errno ||
	    !(args->timeout_s >= 0 && args->timeout_s <= TIMEOUT_MAX_S))
		return complain("resolve", EXIT_USAGE, "--timeout \"%s\": is "
				"no number of seconds, 0 to %.0f", text,
				TIMEOUT_MAX_S);
	return EXIT_OK;
}

/* Negative: go on; else the exit code. */
static int parse(struct cmdline *line, struct resolve_args *args)
{
	int c, ways;

	while ((c = cmdline_next(line)) >= OPTION_FIRST) {
		switch (c) {
		case OPTION_TAKE:
			args->take = optarg;
			break;
		case OPTION_MERGE:
			args->merge = true;
			break;
		case OPTION_TOOL:
			args->tool = *optarg ? optarg : default_tool();
			if (!args->tool)
				return complain("resolve", EXIT_USAGE,
						"--tool: KIN_MERGETOOL names "
						"no program");
			break;
		case OPTION_ALL:
			args->all = true;
			break;
		case OPTION_DRY_RUN:
			args->dry_run = true;
			break;
		case OPTION_WAIT:
			args->wait = true;
			break;
		case OPTION_TIMEOUT:
			if (parse_timeout(args, optarg) != EXIT_OK)
				return EXIT_USAGE;
			break;
		}
	}
	if (c != CMDLINE_END)
		return cmdline_exit(c);
	if (cmdline_operands(line, 1, 1) != EXIT_OK)
		return EXIT_USAGE;
	ways = !!args->take + args->merge + !!args->tool;
	if (args->wait && (ways || args->all || args->dry_run))
		return complain("resolve", EXIT_USAGE, "--wait settles "
				"nothing; give it alone");
	if (ways > 1)
		return complain("resolve", EXIT_USAGE, "--take, --merge and "
				"--tool: give one of them");
	if (args->wait || (ways && !(args->take && !*args->take)))
		return -1;
	if (args->all || args->dry_run || args->take ||
	    !isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))
		return complain("resolve", EXIT_USAGE, "which version? say "
				"--take main, newest, largest, a sibling's "
				"name or a node's label (`kin conflicts` "
				"lists them), or --merge, or --tool PROGRAM");
	return -1;
}

int cmd_resolve(int argc, char **argv)
{
	struct cmdline line = { argc, argv, help, options };
	struct resolve_args args = { .timeout_s = TIMEOUT_DEFAULT_S };
	struct subject subject;
	int r = parse(&line, &args);

	if (r >= 0)
		return r;
	r = subject_init(&subject, argv[0], argv[optind]);
	if (r != EXIT_OK)
		return r;
	r = args.wait ? wait_settled(&subject, args.timeout_s) :
	    args.all  ? resolve_all(&subject, &args) :
			resolve_one(&subject, &args);
	subject_release(&subject);
	return r;
}
