/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The instant of a cut. A cut is the state at one instant, and leaves out
 * nothing that its K covers: an object left out would stay as it was for
 * ever, elsewhere. So a half-made save is not withheld, but the cut is:
 * while the tree has something unsettled (a file just born, a name just
 * left), at most a second after the first change. Then most temporaries of
 * editors never leave the machine, for they are gone before the cut.
 *
 * What asks for knowledge (`kin wait`) is not kept waiting: changes up to
 * its instant are urgent.
 */
#include "replication/core/core_internal.h"

/* From the first change to its cut, whatever is unsettled. */
#define INSTANT_MAX_MS 1000

void instant_changed(struct core *c)
{
	if (c->first_change_ms == NEVER)
		c->first_change_ms = c->now_ms;
	c->change_due_ms = MIN_OF(c->change_due_ms, c->now_ms + SETTLE_MS);
}

bool instant_is_early(struct core *c)
{
	uint64_t ns, limit_ms, until_ms;

	if (c->first_change_ms == NEVER)
		return false;
	limit_ms = c->first_change_ms + INSTANT_MAX_MS;
	if (c->now_ms >= limit_ms)
		return false;
	store_lock(c->store);
	ns = replica_unsettled_ns(c->tree);
	store_unlock(c->store);
	if (!ns)
		return false;
	until_ms = ns / 1000000 >= INSTANT_MAX_MS
			   ? limit_ms
			   : c->now_ms + (ns + 999999) / 1000000;
	core_due(c, MIN_OF(until_ms, limit_ms));
	return true;
}

void instant_tick(struct core *c)
{
	if (c->now_ms < c->change_due_ms) {
		core_due(c, c->change_due_ms);
		return;
	}
	if (instant_is_early(c))
		return;
	c->change_due_ms = c->first_change_ms = NEVER;
	core_sync(c);
}

void instant_now(struct core *c)
{
	c->change_due_ms = c->first_change_ms = NEVER;
	core_sync(c);
	c->urgent_seq = know_get(&c->own.k, c->origin);
}
