/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One history: a cluster, programs and faults, all drawn from one seed; then
 * all is mended, the cluster runs until it is quiet, and everything must be
 * equal, complete, and nothing lost.
 *
 * What happens is a list of numbered *actions*: step n has operation 2n and
 * perhaps fault 2n + 1. Each action draws from numbers of its own, so that
 * leaving one out leaves the others what they are: a failing history can be
 * made small.
 */
#ifndef KINFS_SIM_HISTORY_H
#define KINFS_SIM_HISTORY_H

#include "tests/sim/profile.h"

#include <stdbool.h>
#include <stdio.h>

#define HISTORY_STEPS_MAX 200
#define HISTORY_ACTIONS_MAX (2 * HISTORY_STEPS_MAX)

struct history_options {
	uint64_t seed;
	const struct profile *profile; /* NULL: by seed */
	bool trace;
	FILE *record; /* what happens is written there (record.h), or NULL */
	const char *dir; /* for the stores; made and removed */
	bool skip[HISTORY_ACTIONS_MAX];
};

struct history_result {
	uint64_t hash; /* of all that happened */
	uint64_t ops, frames, faults;
	bool did[HISTORY_ACTIONS_MAX]; /* actions that there were */
	char failure[512];	       /* empty: none */
};

void history_run(const struct history_options *, struct history_result *);

#endif
