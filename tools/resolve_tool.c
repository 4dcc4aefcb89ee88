/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A program that merges: one that is known by its name gets the arguments it
 * wants, any other what it is told to get:
 *
 *	--tool 'prog -x {ours} {base} {theirs} -o {output}'
 *
 * or, without such words, BASE OURS THEIRS OUTPUT. Its words are split at
 * blanks, and that is all: no shell looks at them, and the copies have plain
 * names, whatever the file is called.
 *
 * The output is there before, with what is ours. A program has merged when
 * it says so by its exit code, and the output was written.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools/child.h"
#include "tools/output.h"
#include "tools/resolve.h"

/* Words of a command line. */
#define WORDS_MAX 64

struct files {
	const char *base, *ours, *theirs, *output;
};

#define WORDS_BLANK " \t"
/* (an argument of vim's has blanks) */
#define WORDS_KNOWN "\t"

/* The output is where the cursor is: below the others, or between them. */
#define VIM_LAYOUT "-c\t4wincmd w\t-c\twincmd J\t"
#define VIM_LAYOUT_WITHOUT "-c\t2wincmd w\t"

static const struct {
	const char *name;
	const char *line;	/* with a base */
	const char *line_without;
} known[] = {
	{ "meld", "meld\t--output\t{output}\t{ours}\t{base}\t{theirs}",
	  "meld\t{ours}\t{output}\t{theirs}" },
	{ "vimdiff", "vimdiff\t-f\t" VIM_LAYOUT
		     "{ours}\t{base}\t{theirs}\t{output}",
	  "vimdiff\t-f\t" VIM_LAYOUT_WITHOUT "{ours}\t{output}\t{theirs}" },
	{ "nvimdiff", "nvim\t-d\t" VIM_LAYOUT
		      "{ours}\t{base}\t{theirs}\t{output}",
	  "nvim\t-d\t" VIM_LAYOUT_WITHOUT "{ours}\t{output}\t{theirs}" },
	{ "kdiff3", "kdiff3\t--auto\t-o\t{output}\t{base}\t{ours}\t{theirs}",
	  "kdiff3\t-o\t{output}\t{ours}\t{theirs}" },
};

const char *default_tool(void)
{
	const char *tool = getenv("KIN_MERGETOOL");

	return tool && *tool ? tool : NULL;
}

/* With what its words are separated by. */
static const char *line_of(const char *tool, bool has_base,
			   const char **ret_between)
{
	*ret_between = WORDS_KNOWN;
	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (!strcmp(known[i].name, tool))
			return has_base ? known[i].line :
					  known[i].line_without;
	*ret_between = WORDS_BLANK;
	return tool;
}

static const char *file_of(const char *word, const struct files *f)
{
	return !strcmp(word, "{base}")	 ? f->base :
	       !strcmp(word, "{ours}")	 ? f->ours :
	       !strcmp(word, "{theirs}") ? f->theirs :
	       !strcmp(word, "{output}") ? f->output : NULL;
}

/* Splits the line in place. Returns the number of words, or -E2BIG. */
static int make_argv(char *line, const char *between, const struct files *f,
		     const char *argv[WORDS_MAX + 5])
{
	bool placed = false;
	char *word, *rest = line;
	int n = 0;

	while ((word = strtok_r(rest, between, &rest))) {
		const char *file = file_of(word, f);

		if (n == WORDS_MAX)
			return -E2BIG;
		placed |= file != NULL;
		argv[n++] = file ? file : word;
	}
	if (n && !placed) {
		argv[n++] = f->base;
		argv[n++] = f->ours;
		argv[n++] = f->theirs;
		argv[n++] = f->output;
	}
	argv[n] = NULL;
	return n;
}

static void set_environment(const struct room *room, const struct files *f)
{
	cleanup(buf_release) struct buf path = BUF_INIT;

	buf_printf(&path, "%s/", room->subject->mountpoint);
	output_path_of(room->conflict, &path);
	buf_put_u8(&path, 0);
	setenv("KIN_OURS", f->ours, 1);
	setenv("KIN_THEIRS", f->theirs, 1);
	setenv("KIN_OUTPUT", f->output, 1);
	if (!buf_error(&path))
		setenv("KIN_PATH", (char *)path.data, 1);
	if (room->base)
		setenv("KIN_BASE", f->base, 1);
	else
		unsetenv("KIN_BASE");
}

/* Exit code, or negative errno. */
static int run_line(const struct room *room, const char *tool,
		    const struct files *f)
{
	const char *argv[WORDS_MAX + 5], *between;
	autofree char *line = strdup(line_of(tool, room->base, &between));
	struct child child = { .argv = argv };
	int n = line ? make_argv(line, between, f, argv) : -ENOMEM;

	if (n <= 0)
		return n ? n : -EINVAL;
	set_environment(room, f);
	/* What is printed so far is above what it prints. */
	fflush(stdout);
	return child_run(&child);
}

static bool was_written(const struct stat *before, const char *path)
{
	struct stat now;

	return !lstat(path, &now) && S_ISREG(now.st_mode) &&
	       (now.st_ino != before->st_ino ||
		now.st_size != before->st_size ||
		now.st_mtim.tv_sec != before->st_mtim.tv_sec ||
		now.st_mtim.tv_nsec != before->st_mtim.tv_nsec);
}

static int tool_two(const struct room *room, const char *tool,
		    const struct files *f)
{
	/* Long ago: any write is seen. */
	const struct timespec past[2] = { { 0, 0 }, { 0, 0 } };
	struct stat before;
	int r = file_copy(f->ours, f->output);

	if (!r && (utimensat(AT_FDCWD, f->output, past, 0) ||
		   stat(f->output, &before)))
		r = -errno;
	if (!r)
		r = run_line(room, tool, f);
	if (r < 0)
		return complain(room->subject->command, EXIT_FAILED, "%s: %s",
				tool, r == -ENOENT ? "no such program" :
						     strerror(-r));
	if (r)
		return complain(room->subject->command, EXIT_FAILED, "%s: "
				"ended with %d; nothing was changed", tool, r);
	if (!was_written(&before, f->output))
		return complain(room->subject->command, EXIT_FAILED, "%s: has "
				"not written the result; nothing was changed",
				tool);
	return EXIT_OK;
}

int room_tool(const struct room *room, const char *tool, char **ret_result)
{
	autofree char *result = NULL, *none = room->base ? NULL :
							   room_no_base(room);
	const char *last = room->copies[0].path;
	int r = EXIT_OK;

	for (size_t i = 1; r == EXIT_OK && i < room->count; i++) {
		char name[48], *next;

		snprintf(name, sizeof(name), "result-%zu%s", i,
			 room->extension);
		next = room_path(room, name);
		if (!next || (!room->base && !none)) {
			free(next);
			return complain(room->subject->command, EXIT_FAILED,
					"out of memory");
		}
		r = tool_two(room, tool, &(struct files){
			room->base ? room->base : none, last,
			room->copies[i].path, next });
		free(result);
		last = result = next;
	}
	if (r == EXIT_OK)
		*ret_result = steal(&result);
	return r;
}

int edit(const struct room *room, const char *path)
{
	const char *editor = getenv("VISUAL"), *argv[WORDS_MAX + 5];
	struct child child = { .argv = argv };
	autofree char *line = NULL;
	int n, r;

	if (!editor || !*editor)
		editor = getenv("EDITOR");
	if (!editor || !*editor)
		editor = "vi";
	line = strdup(editor);
	/* (an editor is given words of its own, but no places for files) */
	n = line ? make_argv(line, WORDS_BLANK,
			     &(struct files){ .base = NULL }, argv) : 0;
	if (n <= 0)
		return complain(room->subject->command, EXIT_FAILED,
				"%s: cannot be run", editor);
	/* make_argv() put four that are NULL behind. */
	argv[n - 4] = path;
	argv[n - 3] = NULL;
	fflush(stdout);
	r = child_run(&child);
	if (r)
		return complain(room->subject->command, EXIT_FAILED, "%s: %s",
				editor, r < 0 ? strerror(-r) : "failed");
	return EXIT_OK;
}
