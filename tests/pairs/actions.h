/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What people do, each in all ways that the small tree of a case has room
 * for:
 *
 *	d/ f g	  d/s/ x    d/z/ (empty)    e/ h l (another name of d/f)
 *
 * New names are `n` and `m`, in any of the directories and beside them.
 *
 * In a case with open conflicts each who takes part has done this before, not
 * knowing of the others; all know it now:
 *
 *	written d/f and d/g, made a file d/t, and a directory d/w with a file
 *	of his own name; moved d/p into d/q (a), or that into d/p (b); written
 *	a file called d/u and e/u (a), or removed both names (b)
 *
 * "d/g*a" is what has d/g's name and a suffix, and was written by `a`.
 */
#ifndef KINFS_PAIRS_ACTIONS_H
#define KINFS_PAIRS_ACTIONS_H

#include "tests/pairs/bare.h"

enum action_kind {
	ACT_CREATE,
	ACT_SYMLINK,
	ACT_MKDIR,
	ACT_WRITE,
	ACT_TRUNCATE,
	ACT_CHMOD,
	ACT_CHOWN,
	ACT_UTIMENS,
	ACT_XATTR_SET,
	ACT_XATTR_REMOVE,
	ACT_RENAME,	/* within a directory, to a free name */
	ACT_MOVE,	/* into another */
	ACT_OVER,	/* over another file, or an empty directory */
	ACT_SAVE,	/* a temporary, renamed over the file */
	ACT_EXCHANGE,
	ACT_UNLINK,
	ACT_RMDIR,
	ACT_REMOVE_ALL, /* rm -r */
	ACT_LINK,
	ACT_RESOLVE, /* kin resolve, in favour of main */
	ACT_KINDS,
};

struct action {
	enum action_kind kind;
	/* What it is about; of those that make something the new name. */
	const char *at;
	const char *to; /* or NULL */
	bool same;	/* writes the same bytes whoever does it */
	bool few;	/* one of the few of which triples are made */
	bool open;	/* where conflicts are open, one side does this */
};

extern const struct action actions[];
extern const size_t action_count;

const char *action_name(enum action_kind);
/* The path of what it does away with, or NULL. */
const char *action_removes(const struct action *);

/* Bytes of a text, the longest that anything writes here. */
#define TEXT_BYTES_MAX 80

/*
 * What is done in the directory of a case. `who` makes the bytes that are
 * written its own. Returns as the system call that said no.
 */
must_check int action_do(struct bare *, const struct action *,
			 const char *dir, char who);
/*
 * Numbers of what it is about: `at`, `to` and their directories, 0 for what
 * is not there. As long as they are the same, so is what it means.
 */
#define MEANT_COUNT 4
void action_meant(struct bare *, const struct action *, const char *dir,
		  uint64_t ret[MEANT_COUNT]);
/* Makes the tree above. */
must_check int tree_prepare(struct bare *, const char *dir);
/* What more they begin with, and then one side of the conflicts. */
must_check int tree_prepare_conflicts(struct bare *, const char *dir);
must_check int tree_write_conflicts(struct bare *, const char *dir, char who);
/* What is written so. */
#define CONFLICT_TEXT "%c in %s"

/* In the names of what lost a contest. */
#define CONFLICT_MARK " (conflict "

#endif
