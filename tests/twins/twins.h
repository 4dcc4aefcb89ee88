/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_TWINS_TWINS_H
#define TESTS_TWINS_TWINS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#define SIDES 2
/* Files that are open at once. */
#define FDS 8
#define PATHS 2
/* Longer than what any call takes, which is tried as well. */
#define PATH_BYTES 4400
/* Of a file: some chunks would only make it slower, kin-bytes has them. */
#define SIZE_MAX_BYTES 65536
/* Entries of the trees, and their depth: what is more is removed. */
#define ENTRIES_MAX 300
#define DEPTH_MAX 24
/* Operations told of after a failure. */
#define RECENT 20
#define LINE_BYTES 400

/* What an operation is given; both sides get the same. */
struct args {
	char path[PATHS][PATH_BYTES];
	unsigned int fd[2];
	unsigned int flags;	/* the operation's own choice among these */
	mode_t mode;
	uid_t uid;
	gid_t gid;
	off_t at, to;
	size_t len;
	const char *name;	/* of an extended attribute */
	uint8_t value[128];	/* ... its value */
	size_t value_len;
	struct timespec times[2];
};

/* One of the two directories that are to be alike. */
struct side {
	const char *given;
	int root;
	int fd[FDS];		/* -1: none */
	uint8_t *out;		/* what an operation read, SIZE_MAX_BYTES */
	size_t out_len;
};

struct twins {
	struct side side[SIDES];
	uint64_t seed, op;
	unsigned int who;	/* 0: as who runs this */
	bool root;		/* who runs this may be anybody */
	bool fine;		/* two changes in turn have two times */
	bool trace;		/* prints all that is done */
	struct timespec begin;
	uint8_t *bytes;		/* random ones, to be written */
	uint64_t succeeded;
	char recent[RECENT][LINE_BYTES];
};

/* A call by its name: the result, or a negative errno. */
struct call {
	const char *name;
	unsigned int weight;
	long (*run)(const struct twins *, struct side *, const struct args *);
	const char *uses;	/* p, q: paths; f, g: files; for messages */
};

extern const struct call calls[];
extern const size_t calls_count;

/* Prints what was done and what differs, and ends the program. */
_Noreturn void twins_fail(const struct twins *t, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* ---- look.c: what is to be the same */

/* What an operation may have changed, as seen before it. */
struct before {
	struct stat place[SIDES][2 * PATHS + 2];
	bool is[SIDES][2 * PATHS + 2];
};

/* Closes what one of the file systems has lost, by its nature. */
void look_lost(struct twins *t);
void look_before(const struct twins *t, const struct args *a,
		 struct before *ret);
/* ... and behind it: the same objects, changed in the same ways. */
void look_behind(const struct twins *t, const struct args *a,
		 const struct before *before);
/* All of both trees. Returns the number of entries. */
size_t look_whole(const struct twins *t);

#endif
