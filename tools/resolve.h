/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parts of `kin resolve` that look into files:
 *
 *	resolve_room.c	private copies of the versions, and giving a result
 *	resolve_merge.c	merging lines, by git merge-file or diff3
 *	resolve_tool.c	a program that merges, and an editor
 *	resolve_ask.c	showing and asking on a terminal
 */
#ifndef KINFS_TOOLS_RESOLVE_H
#define KINFS_TOOLS_RESOLVE_H

#include "tools/conflicts.h"

/* Bytes of a text that is merged by lines, or shown. */
#define TEXT_FILE_BYTES_MAX (1024 * 1024)

struct resolve_args {
	const char *take;	/* a word, or NULL */
	const char *tool;	/* a program, or NULL */
	bool merge;
	bool all, dry_run, wait;
	double timeout_s;
};

/* ---- resolve_room.c */

struct copy {
	char *path;		/* of the copy */
	const char *label;	/* who wrote it; borrowed from the answer */
	uint64_t size;
	bool main;
	const json_t *version;	/* of the answer */
};

/* All versions of one file, or all files of one name, at one instant, in a
 * directory of our own. */
struct room {
	const struct subject *subject;
	const json_t *conflict;	/* borrowed */
	char *dir;
	json_t *answer;
	struct copy *copies;	/* as conflict_version() numbers them */
	size_t count;
	bool apart;		/* different files, of one name */
	bool base_known;
	char *base;		/* its copy; NULL: none is here */
	char *extension;	/* of the file's name, with the dot, or "" */
};

/* A private directory, for the command's name, outside of all volumes; the
 * caller removes it, frees its path, closes it. Complains. Returns an
 * exit_code. */
int room_dir_make(const struct subject *, char **ret, int *ret_fd);
/* Complains. Returns an exit_code; the room is released then. */
int room_open(const struct subject *, const json_t *conflict,
	      struct room *ret);
/* Has the conflict bytes that may be merged? */
bool room_fits(const json_t *conflict);
/* An empty file of the room, for who wants a base where none is. NULL: none
 * can be made. To be freed. */
char *room_no_base(const struct room *);
/* Removes all copies. */
void room_release(struct room *);
/* A path in the room, to be freed. */
char *room_path(const struct room *, const char *name);
/* Puts this file of the room in place of all versions, if they are still
 * what they were. Complains. Returns an exit_code. */
int room_settle(const struct room *, const char *result);
/* Errors: of the system. */
must_check int file_copy(const char *from, const char *to);

/* ---- resolve_merge.c */

enum text_kind { TEXT_EMPTY, TEXT_LF, TEXT_CRLF, TEXT_MIXED, TEXT_DATA,
		 TEXT_LARGE };

/* Errors: of the system. */
must_check int text_kind(const char *path, enum text_kind *ret);
const char *text_kind_name(enum text_kind);

enum merged { MERGED_CLEAN, MERGED_MARKED };

/*
 * Merges all versions into the file "result" of the room: by lines, from
 * what all were made of. With MERGED_MARKED the places that two changed are
 * marked in it. Files that were made apart have nothing in common before:
 * unless they are equal, or empty, what differs is marked. Complains about
 * what cannot be merged so. Returns an exit_code.
 */
int room_merge(const struct room *, enum merged *ret, char **ret_result);
/* Do marks of such places stand in the file? */
bool has_marks(const char *path);

/* ---- resolve_tool.c */

/* Lets the program make the result of each version with main in turn.
 * Complains. Returns an exit_code. */
int room_tool(const struct room *, const char *tool, char **ret_result);
/* $VISUAL, $EDITOR or vi. Complains. Returns an exit_code. */
int edit(const struct room *, const char *path);
/* What --tool is when it is not given: $KIN_MERGETOOL, or NULL. */
const char *default_tool(void);

/* ---- resolve_ask.c */

/* Shows what there is, asks, and does it. Returns an exit_code. */
int resolve_ask(const struct subject *, const json_t *conflict);

#endif
