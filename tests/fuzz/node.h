/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What drivers stand on: scratch directories, and nodes (store, tree, core)
 * without a network, whose time and chance are numbers: made twice, they
 * are the same, byte by byte.
 */
#ifndef KINFS_TESTS_FUZZ_NODE_H
#define KINFS_TESTS_FUZZ_NODE_H

#include "fs/tree/replica.h"
#include "replication/core/core.h"
#include "tests/sim/rng.h"

/* A fresh directory, in memory if the machine has a place for that; all go
 * when the program ends well. A program has few of them, and of paths. */
const char *fuzz_dir(const char *name);
const char *fuzz_path(const char *dir, const char *name);
/* Removes what is in it. */
void fuzz_dir_clear(const char *dir);

#define FUZZ_LINK 1
/* Any time will do, but not the machine's. */
#define FUZZ_EPOCH_NS 1763683200000000000

struct fuzz_node {
	const char *dir;
	int index;
	struct rng rng;
	uint64_t now_ms; /* since it began */
	struct tree_env env;
	struct store *store;
	struct tree *tree;
	struct core *core;
	/* Frames that it sent, to be taken by whoever plays the link. */
	struct buf out;
	bool closed; /* it closed the link */
};

struct fuzz_node_options {
	const char *dir;
	int index;		/* 0: makes the volume */
	const uint8_t *secret;	/* of the one that is joined */
	bool few_rows;		/* of a cut in memory: 2 */
	bool has_mount;
};

/* The key of a node, as its index says. */
struct device fuzz_device(int index);
struct volid fuzz_volume(void);
/* Time and chance; then a tree in n->store, which is to be there. */
void fuzz_node_init(struct fuzz_node *, int index, const char *dir);
must_check int fuzz_node_tree(struct fuzz_node *, const uint8_t *secret);
/* All of it, and a store, but for the core. */
void fuzz_node_open(struct fuzz_node *, const struct fuzz_node_options *);
must_check int fuzz_node_core(struct fuzz_node *,
			      const struct fuzz_node_options *);
void fuzz_node_close(struct fuzz_node *);

must_check int fuzz_store_try_open(const char *dir, struct store **ret);
struct store *fuzz_store_open(const char *dir);
/* Each entry of each table, but for what only the store itself writes. */
void fuzz_store_dump(struct store *, struct buf *ret);

/* ---- what people do; the file is made if it is missing */
void fuzz_write(struct fuzz_node *, const char *path, const char *text);
/* So many bytes that are not to be compressed. */
void fuzz_write_long(struct fuzz_node *, const char *path, size_t len);
void fuzz_mkdir(struct fuzz_node *, const char *path);
void fuzz_remove(struct fuzz_node *, const char *path);
void fuzz_move(struct fuzz_node *, const char *from, const char *to);
uint64_t fuzz_ino(struct fuzz_node *, const char *path);

#endif
