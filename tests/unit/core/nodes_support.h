/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Clusters for directed tests, with the simulator's nodes and network, and
 * what programs do on them. Everything fails the test where it fails.
 */
#ifndef KINFS_TESTS_NODES_SUPPORT_H
#define KINFS_TESTS_NODES_SUPPORT_H

#include "tests/sim/cluster.h"
#include "tests/unit/core/core_support.h"

#define ROOT TREE_ROOT_INO

/* A directory of its own, in memory where there is room for that: its name,
 * until the next call. */
const char *nodes_dir(void);
/* A quick network, and no fault; nodes_open() gives it a directory.
 * KIN_TEST_TRACE in the environment prints what happens. */
struct cluster_options nodes_options(int nodes, uint64_t seed);
void nodes_open(struct cluster *, struct cluster_options);
void nodes_close(struct cluster *);
/* Did a check fail, or a node? */
void nodes_check(struct cluster *);
/* Until nothing happens; then all are equal, and each is in order. */
void nodes_quiet(struct cluster *);
/* Time goes on. */
void nodes_pass(struct cluster *, uint64_t ms);
/* 0 and 1 hear nothing of each other; and do again. */
void nodes_apart(struct cluster *);
void nodes_together(struct cluster *);

/* ---- what programs do; paths are below the root */
uint64_t at(struct cluster *, int node, const char *path);
bool is_there(struct cluster *, int node, const char *path);
/* The directory of a path, and its last name. */
uint64_t parent_of(struct cluster *, int node, const char *path,
		   const char **ret_name);
void make_dir(struct cluster *, int node, const char *path);
/* Writes it anew, or makes it: one open, one write, one close. */
void write_file(struct cluster *, int node, const char *path,
		const char *text);
/* A new file that stays open: its number. */
uint64_t make_open(struct cluster *, int node, const char *path);
void put(struct cluster *, int node, uint64_t ino, const char *text);
void done(struct cluster *, int node, uint64_t ino);
void move(struct cluster *, int node, const char *from, const char *to);
/* A file, or an empty directory. */
void remove_path(struct cluster *, int node, const char *path);

/* ---- what is there */
/* The file is there and holds this. */
bool shows(struct cluster *, int node, const char *path, const char *text);
/* What is shown at a path; none: the test fails. */
struct objid object_at(struct cluster *, int node, const char *path);
/* All that it did so far. */
struct core_counters counters_of(struct cluster *, int node);

#endif
