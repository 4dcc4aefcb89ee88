/* SPDX-License-Identifier: Apache-2.0 */
/* What the files behind history.h share. [locked] */
#ifndef KINFS_TREE_HISTORY_INTERNAL_H
#define KINFS_TREE_HISTORY_INTERNAL_H

#include "fs/tree/hist.h"
#include "fs/tree/history.h"

/* Something that was removed: a dead row, or what history knows of a row that
 * is gone. */
struct removed {
	struct objid id;
	bool gone;
	uint8_t kind;
	uint64_t hlc, run_hlc;	/* of the removal; 0: not known */
	uint64_t removed_ms;
	uint64_t bytes;
	struct slice name;	/* borrowed for the call */
};

/* Calls fn for what was removed in a directory, shown or removed itself;
 * stops at and returns the first non-zero. */
must_check int removed_each(struct tree *, struct objid dir,
			    int (*fn)(void *arg, const struct removed *),
			    void *arg);
/* Is a removed before b? */
bool removed_before(const struct removed *a, const struct removed *b);

enum found_as { FOUND_SHOWN, FOUND_DEAD, FOUND_GONE };

struct found {
	enum found_as as;
	struct objid id;
	uint8_t kind;
	struct shown shown;	/* SHOWN; not of the root */
	uint64_t removed_ms;
	struct objid parent;	/* of its name */
	uint8_t name[NAME_BYTES_MAX];
	size_t name_len;
};

must_check int history_find(struct tree *, struct slice path,
			    struct found *ret);
must_check int history_read(struct tree *, const struct found *,
			    struct history_file *ret);

/* The directory that is shown at a path. -ENOENT, -ENOTDIR. */
must_check int history_dir(struct tree *, struct slice path,
			   struct objid *ret);

/* ---- putting back, in an operation */
/* A name that nothing has in the directory: this one, or one like it. */
must_check int free_name(struct tree *, struct objid dir, struct slice name,
			 uint8_t ret[NAME_BYTES_MAX], size_t *ret_len);
/*
 * The object is there again, at a place that is free. ret_id: under this id
 * (another, if its row was gone).
 */
must_check int undelete_object(struct tree *, struct objid id, bool gone,
			       struct place at, struct objid *ret_id);

#endif
