/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random operations of programs on one node, through tree.h only, each
 * checked for what it must and must not have done there and then.
 */
#ifndef KINFS_SIM_OPS_H
#define KINFS_SIM_OPS_H

#include "tests/sim/truth.h"

#define HANDLES_MAX 3

struct handle {
	bool open;
	uint64_t ino;
};

enum profile {
	PROFILE_PLAIN,
	PROFILE_DIRS,
	PROFILE_CONFLICTS,
	PROFILE_DELETES,
	PROFILE_COUNT
};

struct ops {
	struct cluster *cluster;
	struct truth *truth;
	struct rng rng;
	enum profile profile;
	struct handle handles[CLUSTER_NODES_MAX][HANDLES_MAX];
	uint64_t token; /* makes contents unique */
	uint64_t done, refused;
};

void ops_init(struct ops *, struct cluster *, struct truth *, uint64_t seed);
/* One operation on a random running node. */
void ops_step(struct ops *);
/* The node was killed: its programs are gone too. */
void ops_forget(struct ops *, int node);
/* All handles are closed. */
void ops_close_all(struct ops *);
/* Reads every file of the nodes and compares. All must be equal. */
void ops_check_bytes(struct ops *);

#endif
