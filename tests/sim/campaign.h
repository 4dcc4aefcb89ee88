/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Many seeds: in processes of their own, so that one that dies is one
 * failure, as fast as the given number of them goes, and with a file that
 * says where to go on.
 */
#ifndef KINFS_SIM_CAMPAIGN_H
#define KINFS_SIM_CAMPAIGN_H

#include "tests/sim/history.h"

/* Seconds, for one seed: a hundred times what the longest takes with
 * sanitizers on a busy machine. It hangs, then. */
#define PATIENCE_S 300

struct campaign_options {
	uint64_t from, to;	       /* seeds, both included */
	const struct profile *profile; /* NULL: by seed */
	int jobs;		       /* processes at once */
	uint64_t seconds;	       /* then no more seeds; 0: no limit */
	const char *state;	       /* file, or NULL */
	uint64_t failures_max;	       /* then no more seeds; 0: no limit */
	uint64_t patience_s;	       /* a seed that takes longer has failed */
	const char *dir;	       /* for stores; each process adds to it */
};

/* Runs one seed, perhaps twice, and prints its failure. True: it is well. */
bool campaign_seed(const struct history_options *);
/* Prints failures and a last line. Returns the number of failures, or a
 * negative errno. */
int64_t campaign_run(const struct campaign_options *);

#endif
