/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ways in which programs save a file, the first of them in place: whatever
 * others do meanwhile, the same must come of each.
 */
#ifndef WAYS_SUPPORT_H
#define WAYS_SUPPORT_H

#include "nodes_support.h"

#define WAYS 10
/* The first so many are of any name. */
#define RENAMES_OVER 5

/* One of both: of any name, or of doc. */
struct way {
	const char *name;
	void (*save_as)(struct fixture *, uint64_t dir, const char *name,
			const char *text);
	void (*save)(struct fixture *, uint64_t dir, const char *text);
	bool kept;		/* doc~ has what doc had */
};
extern const struct way ways[WAYS];

/* Saves doc. */
void ways_save(const struct way *, struct fixture *, uint64_t dir,
	       const char *text);
/* A new file, open; and a write at its begin. */
uint64_t ways_new_open(struct fixture *, uint64_t dir, const char *name);
void ways_put(struct fixture *, uint64_t ino, const char *text);

/* A directory for each way, with a doc of "base" that alice and bob write,
 * apart; bob's is main. */
void ways_begin(char dirs[][8]);
/* What is in a directory: a line for each file, siblings without their tags.
 * kept: not doc~. */
void ways_describe(struct fixture *, uint64_t dir, bool kept,
		   struct buf *ret);
void ways_expect(struct fixture *, const char *dir, const struct way *,
		 const char *want);
struct objid ways_id(struct fixture *, const char *path);

/* What others do to doc meanwhile. */
void bob_edits_sibling(struct fixture *, uint64_t dir);
void bob_edits_main(struct fixture *, uint64_t dir);
void bob_saves_main(struct fixture *, uint64_t dir);
void bob_removes_sibling(struct fixture *, uint64_t dir);
void bob_takes_sibling(struct fixture *, uint64_t dir);
void bob_removes_main(struct fixture *, uint64_t dir);
void bob_removes_all(struct fixture *, uint64_t dir);
void bob_renames(struct fixture *, uint64_t dir);

#endif
