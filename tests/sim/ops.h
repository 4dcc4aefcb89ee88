/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random operations of programs on one node, through tree.h only, each
 * checked for what it must and must not have done there and then.
 */
#ifndef KINFS_SIM_OPS_H
#define KINFS_SIM_OPS_H

#include "tests/sim/oracle.h"
#include "tests/sim/profile.h"
#include "tests/sim/truth.h"

#define HANDLES_MAX 3

struct handle {
	bool open;
	uint64_t ino;
};

struct ops {
	struct cluster *cluster;
	struct truth *truth;
	struct oracle *oracle;
	const struct profile *profile;
	struct rng rng; /* of the operation in hand */
	struct handle handles[CLUSTER_NODES_MAX][HANDLES_MAX];
	uint64_t token; /* makes contents unique */
	uint64_t done, refused;
};

void ops_init(struct ops *, struct cluster *, struct truth *, struct oracle *,
	      const struct profile *);
/* One operation on a random running node. */
void ops_step(struct ops *);
/* The node was killed: its programs are gone too. */
void ops_forget(struct ops *, int node);
/* All handles are closed. */
void ops_close_all(struct ops *);

#endif
