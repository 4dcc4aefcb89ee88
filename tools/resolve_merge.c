/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Merging texts by lines, three ways: `git merge-file`, else `diff3 -m`. With
 * more than two versions the result of two is merged with the next.
 *
 * Refused is what would end in a file that nobody meant: data, very long
 * files, and lines that end in CR LF here and in LF there, which differ in
 * every line.
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

/* ---- what kind of file it is */

static enum text_kind kind_of(const char *bytes, size_t len)
{
	size_t lf = 0, crlf = 0;

	if (!len)
		return TEXT_EMPTY;
	if (memchr(bytes, 0, len))
		return TEXT_DATA;
	for (size_t i = 0; i < len; i++)
		if (bytes[i] == '\n') {
			lf++;
			crlf += i && bytes[i - 1] == '\r';
		} else if (bytes[i] == '\r' &&
			   (i + 1 == len || bytes[i + 1] != '\n')) {
			return TEXT_MIXED; /* a CR by itself */
		}
	return !crlf ? TEXT_LF : crlf == lf ? TEXT_CRLF : TEXT_MIXED;
}

int text_kind(const char *path, enum text_kind *ret)
{
	autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);
	autofree char *bytes = malloc(TEXT_FILE_BYTES_MAX + 1);
	size_t len = 0;
	ssize_t n;

	if (fd < 0)
		return -errno;
	if (!bytes)
		return -ENOMEM;
	while (len <= TEXT_FILE_BYTES_MAX &&
	       (n = read(fd, bytes + len, TEXT_FILE_BYTES_MAX + 1 - len)) > 0)
		len += (size_t)n;
	if (len > TEXT_FILE_BYTES_MAX)
		*ret = memchr(bytes, 0, len) ? TEXT_DATA : TEXT_LARGE;
	else if (n < 0)
		return -errno;
	else
		*ret = kind_of(bytes, len);
	return 0;
}

const char *text_kind_name(enum text_kind kind)
{
	switch (kind) {
	case TEXT_EMPTY:
		return "empty";
	case TEXT_LF:
		return "text";
	case TEXT_CRLF:
		return "text with CR LF";
	case TEXT_MIXED:
		return "text with CR LF in part";
	case TEXT_DATA:
		return "data";
	case TEXT_LARGE:
		return "a long text";
	}
	return "data";
}

static int refuse(const struct room *room, const char *why)
{
	cleanup(buf_release) struct buf path = BUF_INIT;

	output_path_of(room->conflict, &path);
	return complain(room->subject->command, EXIT_FAILED,
			"%.*s: not merged: %s", (int)path.len,
			(const char *)path.data, why);
}

static int check_kinds(const struct room *room)
{
	enum text_kind kind, seen = TEXT_EMPTY;

	for (size_t i = 0; i < room->count + !!room->base; i++) {
		int r = text_kind(i < room->count ? room->copies[i].path :
						    room->base, &kind);

		if (r)
			return refuse(room, strerror(-r));
		if (kind == TEXT_DATA)
			return refuse(room, "it is no text; use --take, or "
				      "--tool");
		if (kind == TEXT_LARGE)
			return refuse(room, "it is longer than 1 MiB; use "
				      "--take, or --tool");
		if (kind == TEXT_EMPTY)
			continue;
		if (kind == TEXT_MIXED || (seen != TEXT_EMPTY && kind != seen))
			return refuse(room, "some lines end in CR LF, others "
				      "do not; use --take, or --tool");
		seen = kind;
	}
	return EXIT_OK;
}

/* ---- merging two */

/* 0 clean, 1 marked; -ENOENT: there is no such program; others. */
static int merge_two(const struct room *room, const char *base,
		     const char *ours, const struct copy *theirs,
		     const char *result)
{
	const char *our_label = room->copies[0].label;

	const char *git[] = { "git", "merge-file", "-p", "-L", our_label,
			      "-L", "before", "-L", theirs->label, ours,
			      base, theirs->path, NULL };
	/* (without -E it marks what both changed alike, too) */
	const char *diff3[] = { "diff3", "-m", "-E", "-L", our_label, "-L",
				"before", "-L", theirs->label, ours,
				base, theirs->path, NULL };
	struct child child = { .argv = git, .dir = room->dir,
			       .output = result, .quiet = true };
	int r = child_run(&child);

	/* The number of marked places, at most 127; more is trouble. */
	if (r >= 0 && r <= 127)
		return r ? 1 : 0;
	child.argv = diff3;
	r = child_run(&child);
	return r == 0 || r == 1 ? r : r < 0 ? r : -EIO;
}

int room_merge(const struct room *room, enum merged *ret, char **ret_result)
{
	const char *last = room->copies[0].path;
	autofree char *result = NULL, *none = room->apart ?
						      room_no_base(room) :
						      NULL;
	enum merged merged = MERGED_CLEAN;
	int r;

	if (!room->base && !none)
		return refuse(room, room->base_known ?
			      "what it was made from is not here any more; "
			      "use --take, or --tool" :
			      "what it was made from is not known; use --take, "
			      "or --tool");
	r = check_kinds(room);
	if (r != EXIT_OK)
		return r;
	for (size_t i = 1; i < room->count; i++) {
		char name[48], *next;

		/* A marked text is no version to merge with another. */
		if (merged == MERGED_MARKED)
			return refuse(room, "several versions changed the "
				      "same lines; use --take, or --tool");
		snprintf(name, sizeof(name), "result-%zu%s", i,
			 room->extension);
		next = room_path(room, name);
		r = next ? merge_two(room, none ? none : room->base, last,
				     &room->copies[i], next) : -ENOMEM;
		free(result);
		last = result = next;
		if (r == -ENOENT)
			return refuse(room, "neither git nor diff3 is "
				      "installed");
		if (r < 0)
			return refuse(room, strerror(-r));
		merged = r ? MERGED_MARKED : MERGED_CLEAN;
	}
	*ret = merged;
	*ret_result = steal(&result);
	return EXIT_OK;
}

bool has_marks(const char *path)
{
	FILE *in = fopen(path, "re");
	autofree char *line = NULL;
	size_t alloc = 0;
	bool found = false;

	if (!in)
		return false;
	while (!found && getline(&line, &alloc, in) > 0)
		found = !strncmp(line, "<<<<<<< ", 8) ||
			!strncmp(line, ">>>>>>> ", 8) ||
			!strncmp(line, "||||||| ", 8);
	fclose(in);
	return found;
}
