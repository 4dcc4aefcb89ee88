/* SPDX-License-Identifier: Apache-2.0 */
/* A tree on a store in a directory of its own, with a clock and a PRNG of
 * the test's. */
#ifndef TREE_SUPPORT_H
#define TREE_SUPPORT_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <string.h>
#include <cmocka.h>

#include "fs/tree/replica.h"
#include "fs/tree/tree.h"

struct fixture {
	char path[64];
	struct store *store;
	struct tree *tree;
	struct tree_env env;
	int64_t now_ns;
	uint64_t random;
	const char *label;
	bool goes_on;		/* handles outlive a crash: tree.h */
};

void fixture_open(struct fixture *, const char *label, bool found);
/* As kill -9, then open again. */
void fixture_crash(struct fixture *);
/* Ends it cleanly, without removing anything; and opens it again. */
void fixture_stop(struct fixture *);
void fixture_resume(struct fixture *);
/* A copy of its directory, to be removed. It may run. */
void fixture_backup(struct fixture *, char ret[64]);
/* Puts the copy in the place of the store, which is stopped. */
void fixture_restore(struct fixture *, const char *backup);
/* Another machine that was given a copy; `is_copy` as tree_open() wants. */
void fixture_clone(struct fixture *, const char *label, const char *backup,
		   bool is_copy);
void backup_remove(const char *backup);
void fixture_close(struct fixture *);

/* All fail the test on an error. */
uint64_t make_file(struct fixture *, uint64_t dir, const char *name,
		   const char *bytes);
uint64_t make_dir(struct fixture *, uint64_t dir, const char *name);
void write_file(struct fixture *, uint64_t ino, const char *bytes);
uint64_t look(struct fixture *, uint64_t dir, const char *name);
int look_error(struct fixture *, uint64_t dir, const char *name);
void expect_bytes(struct fixture *, uint64_t ino, const char *bytes);
/* text NULL: none of its own. */
void set_policy(struct fixture *, uint64_t dir, const char *text);
/* Number of entries, and their names in `ret` (may be NULL), sorted. */
size_t list(struct fixture *, uint64_t dir, char ret[][256], size_t max);
void check_tree(struct fixture *);
/* Appends the bytes of a golden file of hexadecimal digits. */
void read_golden(const char *name, struct buf *ret);
/* Merges all that `from` has into `to`, as one cut. */
void merge_from(struct fixture *to, struct fixture *from);
/* The name in dir that contains text; fails unless there is exactly one. */
void name_with(struct fixture *, uint64_t dir, const char *text,
	       char ret[256]);

#endif
