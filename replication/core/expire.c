/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The local history is kept within its bounds (fs/tree/hist.h): a look from
 * time to time, and slices one after another while there is too much. It has
 * no need to wake anybody for it: heartbeats do.
 */
#include <errno.h>

#include "fs/base/log.h"
#include "replication/core/core_internal.h"

#define EXPIRE_EVERY_MS 5000
/* Between slices: others want the store, too. */
#define EXPIRE_PAUSE_MS 20
/* Entries of a slice: some three table entries each, and a few ms. */
#define EXPIRE_ENTRIES 256

void expire_tick(struct core *c)
{
	size_t n;
	int r;

	if (c->now_ms < c->expire_due_ms)
		return;
	store_lock(c->store);
	r = replica_history_expire(c->tree, EXPIRE_ENTRIES, &n);
	store_unlock(c->store);
	if (r < 0) {
		/* (as the purge: a full disk passes) */
		if (r == -ENOMEM || r == -EUCLEAN ||
		    store_failure(c->store) < 0)
			core_fail(c, r, "cannot let old history go");
		else
			log_errno(r, "cannot let old history go, trying "
				     "again");
		n = 0;
	}
	c->expire_due_ms = c->now_ms + EXPIRE_EVERY_MS;
	if (n == EXPIRE_ENTRIES) {
		c->expire_due_ms = c->now_ms + EXPIRE_PAUSE_MS;
		core_due(c, c->expire_due_ms);
	}
}
