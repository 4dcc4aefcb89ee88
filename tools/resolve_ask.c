/* SPDX-License-Identifier: Apache-2.0 */
/*
 * On a terminal: what there is, how it differs, and a question. Files may
 * hold anything, also what moves a cursor: lines are shown as names are.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/child.h"
#include "tools/output.h"
#include "tools/resolve.h"

/* Lines of one comparison; the rest is for --tool. */
#define SHOWN_LINES_MAX 60

struct asking {
	const struct subject *subject;
	const json_t *conflict;
	struct room room;	/* if there are bytes to merge */
	bool has_room;
};

/* ---- showing */

static bool is_shown(const char *path)
{
	enum text_kind kind;

	return !text_kind(path, &kind) && kind != TEXT_DATA &&
	       kind != TEXT_LARGE;
}

static void print_difference(const struct room *room, const char *from,
			     const char *from_label, const struct copy *to)
{
	autofree char *output = room_path(room, "difference");
	const char *argv[] = { "diff", "-u", "--label", from_label, "--label",
			       to->label, from, to->path, NULL };
	struct child child = { .argv = argv, .output = output,
			       .quiet = true };

	if (!output || !is_shown(from) || !is_shown(to->path))
		return;
	if (child_run(&child) != 1)
		return;
	output_file(output, SHOWN_LINES_MAX);
}

/* What each has changed; without a base what differs from the first. */
static void print_differences(const struct room *room)
{
	enum text_kind kind;

	for (size_t i = 0; i < room->count; i++) {
		if (text_kind(room->copies[i].path, &kind))
			continue;
		printf("\n  %zu  of %s: %s\n", i + 1, room->copies[i].label,
		       text_kind_name(kind));
		if (room->base)
			print_difference(room, room->base, "before",
					 &room->copies[i]);
		else if (i)
			print_difference(room, room->copies[0].path,
					 room->copies[0].label,
					 &room->copies[i]);
	}
	if (room->apart)
		puts("\n  (these files were made apart)");
	else if (!room->base)
		puts(room->base_known ?
		     "\n  (what they were made from is not here any more)" :
		     "\n  (what they were made from is not known)");
}

static void print_all(const struct asking *a)
{
	const json_t *v;

	conflict_print_path(a->subject, a->conflict);
	printf(": %s\n", conflict_sentence(a->conflict));
	for (size_t n = 1; (v = conflict_version(a->conflict, n)); n++) {
		printf("%3zu", n);
		version_print(v);
	}
}

/* ---- asking */

/* Negative: no answer. The first letter, and the number. */
static int ask(const char *question, long *ret_number)
{
	char line[64], *end;

	fputs(question, stdout);
	fflush(stdout);
	if (!fgets(line, sizeof(line), stdin) || interrupted())
		return -1;
	*ret_number = strtol(line, &end, 10);
	return end != line ? '#' : line[0];
}

static int put_result(const struct asking *a, const char *result)
{
	int r = room_settle(&a->room, result);

	if (r == EXIT_OK)
		puts("settled");
	return r;
}

static int ask_marked(const struct asking *a, const char *result)
{
	long number;
	int r;

	puts(a->room.apart ? "they were made apart; what differs is marked" :
			     "both changed the same lines");
	for (;;) {
		if (ask("edit the merged text? [y/n] ", &number) != 'y')
			return EXIT_FAILED;
		r = edit(&a->room, result);
		if (r != EXIT_OK)
			return r;
		if (!has_marks(result))
			return put_result(a, result);
		puts("there are marks left: <<<<<<<, |||||||, >>>>>>>");
	}
}

static int ask_merge(const struct asking *a)
{
	autofree char *result = NULL;
	enum merged merged;
	long number;
	int r = room_merge(&a->room, &merged, &result);

	if (r != EXIT_OK)
		return r;
	if (merged == MERGED_MARKED)
		return ask_marked(a, result);
	puts("merged:");
	output_file(result, SHOWN_LINES_MAX);
	if (ask("take it? [y/n] ", &number) != 'y')
		return EXIT_FAILED;
	return put_result(a, result);
}

static int ask_tool(const struct asking *a)
{
	const char *tool = default_tool();
	autofree char *result = NULL;
	int r;

	if (!tool)
		return complain(a->subject->command, EXIT_FAILED,
				"KIN_MERGETOOL names no program; see `kin "
				"resolve --help`");
	r = room_tool(&a->room, tool, &result);
	return r == EXIT_OK ? put_result(a, result) : r;
}

static int ask_all(const struct asking *a)
{
	const char *question = a->has_room ?
		"\nNUMBER takes that version, m merges, t runs the merge "
		"tool, d shows again, q leaves it: " :
		"\nNUMBER takes that one, q leaves it: ";

	for (;;) {
		const json_t *version;
		long number;
		int c = ask(question, &number), r = EXIT_FAILED;

		if (c < 0 || c == 'q')
			break;
		if (c == '#') {
			version = number > 0 ? conflict_version(a->conflict,
						     (size_t)number) : NULL;
			r = version ? conflict_take(a->subject, a->conflict,
						    version) : EXIT_FAILED;
			if (version && r == EXIT_OK)
				puts("settled");
		} else if (a->has_room && c == 'm') {
			r = ask_merge(a);
		} else if (a->has_room && c == 't') {
			r = ask_tool(a);
		} else if (c == 'd') {
			print_all(a);
			if (a->has_room)
				print_differences(&a->room);
		}
		if (r == EXIT_OK)
			return EXIT_OK;
		if (interrupted())
			break;
	}
	puts("left as it is");
	return EXIT_FAILED;
}

int resolve_ask(const struct subject *subject, const json_t *conflict)
{
	struct asking a = { .subject = subject, .conflict = conflict };
	int r;

	interrupts_catch();
	if (room_fits(conflict)) {
		r = room_open(subject, conflict, &a.room);
		if (r != EXIT_OK)
			return r;
		a.has_room = true;
	}
	print_all(&a);
	if (a.has_room)
		print_differences(&a.room);
	r = ask_all(&a);
	if (a.has_room)
		room_release(&a.room);
	return r;
}
