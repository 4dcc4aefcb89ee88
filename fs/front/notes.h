/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the kernel has still to be told: a set of changed names and inodes,
 * in the order in which they were first noted, each once. A plain value
 * without lock or thread; the notifier guards one with its mutex.
 *
 * It is bounded. When it is full, or memory is, it forgets what it holds and
 * remembers only that everything known has to be shown again.
 */
#ifndef KINFS_FRONT_NOTES_H
#define KINFS_FRONT_NOTES_H

/* Out of memory is an overflow, not an exit. */
#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "fs/base/bytes.h"

/* Names and inodes in one set: at most about 25 MB with the longest names,
 * and more than a cut of a usual size changes. */
#define NOTES_MAX 65536

struct note {
	UT_hash_handle hh;
	uint64_t ino;		/* of the parent, when there is a name */
	struct slice name;	/* with a NUL behind; empty: the inode */
	uint8_t key[];
};

struct notes {
	struct note *table;	/* walk it by hh.next */
	bool everything;	/* overflowed: table is empty */
	bool has_applied;
	uint64_t applied;	/* newest number among the notes */
};

#define NOTES_INIT ((struct notes){ NULL, false, false, 0 })

void notes_add_inode(struct notes *, uint64_t ino);
/* Notes the parent too: its attributes and its listing change. */
void notes_add_entry(struct notes *, uint64_t parent, struct slice name);
/* Everything up to this number has been noted. */
void notes_add_applied(struct notes *, uint64_t lseq);
bool notes_is_empty(const struct notes *);
/* Moves all notes out; *from is empty afterwards. */
struct notes notes_take(struct notes *from);
void notes_release(struct notes *);

#endif
