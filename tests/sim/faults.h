/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What breaks. Each kind of fault is one function; which, and how often, is
 * drawn by the profile (profile.h).
 */
#ifndef KINFS_SIM_FAULTS_H
#define KINFS_SIM_FAULTS_H

#include "tests/sim/ops.h"

struct faults {
	struct cluster *cluster;
	struct ops *ops;
	const struct profile *profile;
	struct rng rng; /* of the fault in hand */
	uint64_t count[FAULT_COUNT];
};

void faults_init(struct faults *, struct cluster *, struct ops *,
		 const struct profile *);
/* One fault: by the number of an action (history.c) always the same. */
void faults_step(struct faults *);
/* All is mended: links, nodes. Who has not joined yet joins now. */
void faults_heal(struct faults *);

#endif
