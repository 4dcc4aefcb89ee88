/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Three nodes that were apart, and take each other's changes in several
 * orders. Whatever the order, all end with one tree; so does a node that
 * takes everything at once, which shows that what each derived step by step
 * is what the rows say.
 */
#ifndef NODES_SUPPORT_H
#define NODES_SUPPORT_H

#include "tree_support.h"

#define ROOT TREE_ROOT_INO

/* alice, bob and carol. Only alice has a root from the start. */
extern struct fixture nodes[3];

struct scenario {
	const char *name;
	void (*run)(void);
};
#define SCENARIO(f) { #f, f }
/* Runs each on fresh nodes, in every order of deliveries: for main(). */
int scenarios_run(const struct scenario *, size_t count);

/* `to` takes all that `from` has. */
void pass(struct fixture *to, struct fixture *from);
/* All take all, and are equal then. */
void sync_all(void);
void expect_same(struct fixture *x, struct fixture *y);
/* Its clock is ahead of the other's from now on. */
void later(struct fixture *, const struct fixture *than);

void mv(struct fixture *, uint64_t dir, const char *name, uint64_t to,
	const char *new);
void rm(struct fixture *, uint64_t dir, const char *name);
void write_name(struct fixture *, const char *name, const char *bytes);
void expect_file(struct fixture *, const char *name, const char *bytes);
/* Entries of the root. */
size_t entries(struct fixture *);
/* One entry of the root has `text` in its name; it holds these bytes. */
void expect_like(struct fixture *, const char *text, const char *bytes);
/* The row of what is shown at a path. To be released. */
void row_at(struct fixture *, const char *path, struct object *ret);
/* alice's and bob's edits of a file with "base"; main will be bob's. */
void make_conflict(const char *file);

#endif
