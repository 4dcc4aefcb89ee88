/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When what was removed may go for good. The tree finds and takes the rows
 * (replica_purge); here is what it needs to be told: what every active
 * member has acknowledged. Two phases: all of them have the row as it is,
 * and this node has all that any of them had when it said so. In one phase
 * a member's concurrent edit, made before it heard of the removal, could be
 * still on its way to us when nothing is left to be edited.
 *
 * Acknowledgements are the K of STATUS rows, of absent members the last one
 * heard. Of a member that was never heard nothing is known: it holds up
 * everything, until it lapses.
 */
#include <errno.h>

#include "fs/base/log.h"
#include "replication/core/core_internal.h"

/* May x give to y? */
static bool may_give(const struct status *x, const struct status *y)
{
	return know_leq(&y->g, &x->k) ||
	       (!know_leq(&x->g, &y->k) &&
		device_compare(&x->device, &y->device) < 0);
}

bool peer_may_give(struct core *c, struct peer *p)
{
	return may_give(peer_status(c, p), &c->own);
}

bool peer_may_take(struct core *c, struct peer *p)
{
	return may_give(&c->own, peer_status(c, p));
}

void purge_wake(struct core *c)
{
	if (c->purge_due_ms == NEVER)
		c->purge_due_ms = c->now_ms + c->purge_settle_ms;
}

void members_tell_tree(struct core *c)
{
	bool alone = true;

	for (size_t i = 0; alone && i < c->members.count; i++) {
		const struct device *d = &c->members.list[i]->member.device;

		alone = device_equal(d, &c->self) ||
			!members_has(&c->members, d);
	}
	store_lock(c->store);
	replica_set_alone(c->tree, alone);
	store_unlock(c->store);
}

void members_changed(struct core *c)
{
	members_tell_tree(c);
	c->env.members_changed(c->env.arg);
}

/* The meet of what all know. Returns 1 if the second phase is reached. */
static int purge_acked(struct core *c, struct know *ret)
{
	int r = know_copy(ret, &c->own.k);

	for (size_t i = 0; r == 0 && i < c->members.count; i++) {
		struct member_entry *e = c->members.list[i];
		struct status *s;

		if (device_equal(&e->member.device, &c->self) ||
		    !member_is_active(c, e))
			continue;
		s = status_of(c, &e->member.device);
		r = s ? fork_covers(c, s) : 0;
		if (r <= 0)
			return r;
		know_meet(ret, &s->k);
		r = 0;
	}
	return r < 0 ? r : 1;
}

static int purge_slice(struct core *c, struct replica_purged *ret)
{
	cleanup(know_release) struct know acked = KNOW_INIT;
	bool bases = true;
	int r = purge_acked(c, &acked);

	*ret = (struct replica_purged){.done = true};
	if (r <= 0)
		return r;
	store_lock(c->store);
	r = replica_purge(c->tree, &acked, PURGE_ROWS, ret);
	if (r == 0)
		r = replica_base_prune(c->tree, &acked, PURGE_ROWS, &bases);
	ret->done &= bases;
	store_unlock(c->store);
	return r;
}

/* A full disk passes: later, then. */
static void purge_later(struct core *c, int r, const char *what)
{
	if (r == -ENOMEM || r == -EUCLEAN || store_failure(c->store) < 0) {
		core_fail(c, r, what);
		return;
	}
	log_errno(r, "%s, trying again", what);
	c->purge_retry_ms = c->purge_due_ms = c->now_ms + PURGE_RETRY_MS;
	core_due(c, c->purge_due_ms);
}

static void bring_back(struct core *c)
{
	bool locating = locate_is_busy(c);
	size_t count, lost = 0;
	int r;

	store_lock(c->store);
	r = replica_bring_back(c->tree, BRING_BACK_ROWS, &count);
	if (r == 0 && !locating)
		r = replica_find_lost(c->tree, BRING_BACK_ROWS, &lost);
	store_unlock(c->store);
	if (r < 0) {
		purge_later(c, r, "cannot bring back what was removed");
		return;
	}
	c->may_bring_back = r || locating;
	if (r)
		core_due(c, c->now_ms);
	if (count)
		log_info("%zu removed here came back, with a directory that "
			 "was moved elsewhere", count);
	c->counters.lost += lost;
	if (lost)
		log_warn("%zu entries of a directory that no node knows came "
			 "to the root", lost);
}

void purge_tick(struct core *c)
{
	struct replica_purged p;
	int r;

	if (apply_is_busy(c))
		return; /* its end wakes us */
	if (c->may_bring_back && c->now_ms >= c->purge_retry_ms)
		bring_back(c);
	if (c->failure || c->now_ms < c->purge_due_ms) {
		core_due(c, c->purge_due_ms);
		return;
	}
	r = purge_slice(c, &p);
	if (r < 0) {
		purge_later(c, r, "cannot purge what was removed");
		return;
	}
	c->counters.rows_purged += p.purged;
	if (p.purged)
		core_sync_in(c, c->purge_settle_ms);
	/* What went may have held back something else; files are closed. */
	c->purged |= p.purged || p.removed || p.in_use;
	if (!p.done) {
		c->purge_due_ms = c->now_ms + PURGE_PAUSE_MS;
	} else {
		c->purge_due_ms =
			c->purged ? c->now_ms + c->purge_settle_ms : NEVER;
		c->purged = false;
	}
	core_due(c, c->purge_due_ms);
}
