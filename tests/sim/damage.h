/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KINFS_SIM_DAMAGE_H
#define KINFS_SIM_DAMAGE_H

#include "tests/sim/cluster.h"

/*
 * In a quiet cluster of equal nodes: plants a divergence in one of them,
 * has the nodes compare, and checks that they become equal again, that what
 * was shown is shown, and that somebody noticed.
 */
void cluster_damage(struct cluster *);

#endif
