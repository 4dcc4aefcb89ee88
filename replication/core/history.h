/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a cut brings of the history of origins: marks of operations, and how
 * aliases came to be. Written in the operation that merges. [locked]
 */
#ifndef KINFS_CORE_HISTORY_H
#define KINFS_CORE_HISTORY_H

#include "replication/core/marks.h"

/* What of the run is above K here. */
must_check int fork_write_run(struct tree *, const struct mark_run *);
must_check int fork_write_births(struct tree *, const struct heads *);

#endif
