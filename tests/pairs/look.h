/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a node shows of each case, and what must be shown at the end. Knows
 * nothing of versions, registers and knowledge: only what people saw before
 * they did something, what they saw after it, and what is there at the end.
 */
#ifndef KINFS_PAIRS_LOOK_H
#define KINFS_PAIRS_LOOK_H

#include "tests/pairs/actions.h"

#define ACTORS_MAX 3
#define ACTIONS_MAX 3

/* Cases of one batch, which share their nodes: directories of one volume. */
#define BATCH_MAX 256
#define CASE_NAME_BYTES 8

enum field { FIELD_MODE, FIELD_OWNER, FIELD_TIMES, FIELD_XATTR, FIELDS };

struct shown {
	char path[160]; /* in the case; what a suffix says is left out */
	uint64_t whole; /* of the path with all that a suffix says */
	struct objid id;
	bool is_dir, is_sibling;
	char text[TEXT_BYTES_MAX];
	char meta[96]; /* mode, owner, attributes; times that were set */
	uint32_t links;
	/* Each of them as a number, which is the same if the value is. */
	uint64_t fields[FIELDS];
};

struct look {
	struct shown *list; /* in order of path */
	size_t count;
};

/* One of them for each case of the batch; quick: without meta, links and
 * fields. */
enum look_depth { LOOK_QUICK, LOOK_ALL };
void looks_take(struct bare *, enum look_depth, struct look *ret, size_t cases);
void looks_release(struct look *, size_t cases);
bool look_equal(const struct look *, const struct look *);
/* At two nodes: each name to the letter, but no meta. */
bool look_same_names(const struct look *, const struct look *);
void look_print(const struct look *);

/* Who does what, not knowing of the others. */
struct story {
	const struct action *action[ACTIONS_MAX];
	int actor[ACTIONS_MAX];
	int count;
	bool open; /* conflicts are, before */
	/* Done one after the other by one person, in both orders: what that
	 * shows, if it can be done. Of pairs only. */
	bool possible[2];
	struct look in_order[2];
	/* What the merge is held against. */
	enum verdict {
		VERDICT_NONE,   /* nothing is lost, nothing comes back */
		VERDICT_ORDER,  /* it is as one order of them, or the other */
		VERDICT_EXACT,  /* it is exactly this */
		VERDICT_COUNT,
	} verdict;
};

void case_name(size_t number, char ret[CASE_NAME_BYTES]);
/*
 * before: what all saw; after: what each actor saw then; final. Returns NULL,
 * or what is wrong, in a static buffer.
 */
const char *story_judge(struct story *, const struct look *before,
			const struct look after[], int actors,
			const struct look *final);

/*
 * What holds whoever did what: names stand where somebody put them, once;
 * what conflicts is named so, and nothing else; attributes are somebody's.
 */
const char *story_judge_form(const struct story *, const struct look *before,
			     const struct look after[], int actors,
			     const struct look *final);

/* ---- for judges */
const char *judge_wrong(const char *what, const struct shown *);
/* Is it what an action says? */
bool shown_is_of(const struct shown *, const char *at);
bool path_is_below(const char *path, const char *dir);
const struct shown *look_text(const struct look *, const char *text);
const struct shown *look_path(const struct look *, const char *path);
/* One of its names. */
const struct shown *look_id(const struct look *, struct objid);
/* The directory that it stands in; NULL: that of the case. */
const struct shown *look_parent(const struct look *, const struct shown *);
const char *path_base(const char *path);

#endif
