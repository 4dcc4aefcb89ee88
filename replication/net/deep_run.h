/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The deep check (fs/tree/deep.h) on a thread of its own, since it reads all
 * that is stored. All functions are the network thread's.
 */
#ifndef KINFS_NET_DEEP_RUN_H
#define KINFS_NET_DEEP_RUN_H

#include "fs/tree/deep.h"
#include "replication/net/loop.h"

struct deep_run;

/* Errors: -EBUSY there is one already, of the system. */
must_check int deep_run_start(struct tree *, struct loop *,
			      struct deep_run **ret);
/* Objects and bytes looked at so far. */
void deep_run_progress(const struct deep_run *, uint64_t *ret_objects,
		       uint64_t *ret_bytes);
/* 1 when it is done, 0 not yet, or its error. The loop is woken then. */
must_check int deep_run_done(const struct deep_run *);
/* When it is done. */
const struct deep_result *deep_run_result(const struct deep_run *);
/* Stops it if it still runs. NULL is fine. */
void deep_run_free(struct deep_run *);

#endif
