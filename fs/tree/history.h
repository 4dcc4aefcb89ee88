/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a file was before, and what was removed: looking at this node's
 * history (hist.h) together with what is still in the rows, and putting
 * something of it back, as an ordinary operation that replicates.
 *
 * Paths are relative to the root. A path may lead through what was removed:
 * where nothing of a name is shown, what was removed there last is meant.
 *
 * None is [locked].
 */
#ifndef KINFS_TREE_HISTORY_H
#define KINFS_TREE_HISTORY_H

#include "fs/tree/tree.h"

/* Digits of a version's id, without a NUL. */
#define HISTORY_ID_CHARS 10

enum history_state {
	HISTORY_MAIN = 1,	/* what is shown */
	HISTORY_SIBLING,	/* what is shown beside it */
	HISTORY_HIDDEN,		/* lost by a rule or a policy: kin undo */
	HISTORY_REMOVED,	/* went with the file */
	HISTORY_REPLACED,	/* by an operation here */
	HISTORY_MERGED,		/* by what came from elsewhere */
};

struct history_version {
	char id[HISTORY_ID_CHARS + 1]; /* equal on all nodes */
	enum history_state state;
	struct dot first;	/* these three name it for ever */
	uint64_t hlc, hash64;
	uint64_t written_ms;	/* by its author's clock */
	uint64_t ended_ms;	/* REMOVED, REPLACED, MERGED: by this node's;
				 * 0: not known */
	struct timespec mtime;
	struct slice author;	/* label */
	struct slice name;	/* SIBLING: as it is shown */
	struct content content;
	bool automatic;		/* made by a policy or a hook */
	bool here;		/* all of its bytes are */
};

struct history_file {
	struct objid id;
	enum kind kind;
	bool removed;
	uint64_t removed_ms;
	struct history_version *list;	/* newest first */
	size_t count;
	/* internal: what the others borrow from */
	struct object arena;
};

/*
 * The versions of the file at the path, be it main, a sibling or removed; and
 * of those that had its name there before it, and were removed.
 * Errors: -ENOENT nothing is known of it, -EISDIR.
 */
must_check int tree_history(struct tree *, struct slice path,
			    struct history_file *ret);
void history_file_release(struct history_file *);

/* Which version: one whose id begins so; or (no id) the newest that was
 * written at at_ms or before. */
struct history_which {
	struct slice id;
	uint64_t at_ms;
};
/* Errors: -ESRCH there is none, -ENOTUNIQ several ids begin so. */
must_check int history_choose(const struct history_file *,
			      const struct history_which *,
			      const struct history_version **ret);

/*
 * The file at `path` becomes what that version was: a new version of it,
 * over what is shown; of a file that was removed, which comes back where it
 * was; or (`to` not empty) of a new file there. ret_path: where.
 * Errors: as tree_history(), history_choose(); -ENODATA its bytes are not all
 * here, -EAGAIN another content is on its way there, -EEXIST `to`, or where
 * it was, is taken, -ENOTDIR the directory of that is not there.
 */
must_check int tree_history_restore(struct tree *, struct slice path,
				    const struct history_which *,
				    struct slice to, struct buf *ret_path);

/*
 * The oldest of all history goes, by so many bytes or until there is none, as
 * much as one operation may take; ret_bytes: so much, 0 if there was none. For
 * a full disk. Errors: of the store.
 */
must_check int tree_shed_history(struct tree *, uint64_t bytes,
				 uint64_t *ret_bytes);

/* ---- what was removed */
struct history_removed {
	struct slice name;	/* in the directory */
	enum kind kind;
	uint64_t removed_ms;
	uint64_t files;		/* in it, of a directory; else 1 */
	uint64_t bytes;
	struct slice restored;	/* tree_undelete: its name now */
	int error;		/* ... or why it is not back */
	uint64_t failed;	/* ... and how much in it is not */
};

struct history_wanted {
	struct slice name;	/* empty: all */
	uint64_t since_ms;	/* removed then or later */
};

/*
 * What was removed in a directory, newest first; a directory with all that
 * was removed with it. fn runs without the lock, until it returns non-zero,
 * which is returned. Errors: -ENOENT, -ENOTDIR.
 */
must_check int tree_removed(struct tree *, struct slice dir,
			    const struct history_wanted *,
			    int (*fn)(void *arg,
				      const struct history_removed *),
			    void *arg);
/*
 * Puts it back: under its name, or, where that is taken, another. Of several
 * of one name the last that was removed. Errors: as tree_removed(), and of
 * the store, when what fn was told of is back and the rest is not.
 */
must_check int tree_undelete(struct tree *, struct slice dir,
			     const struct history_wanted *,
			     int (*fn)(void *arg,
				       const struct history_removed *),
			     void *arg);

#endif
