/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Life of the core, its tick, and the one place where this node's knowledge
 * becomes what others may hear of: core_sync(). K, C, and what is to be
 * shown are read under one lock; then the store is synced; then they go into
 * this node's STATUS row. So the row, and K in a CUT, never claim what a
 * power cut could take back.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/base/log.h"
#include "fs/tree/derived.h"
#include "replication/core/core_internal.h"

void core_due(struct core *c, uint64_t when_ms)
{
	c->due_ms = MIN_OF(c->due_ms, when_ms);
}

bool core_passes(const struct core *c, int r)
{
	return (r == -ENOSPC || r == -EDQUOT) && !store_failure(c->store);
}

void core_fail(struct core *c, int r, const char *what)
{
	if (c->failure)
		return;
	c->failure = r;
	if (core_passes(c, r)) {
		c->rest_until_ms = c->now_ms + REST_MS;
		core_due(c, c->rest_until_ms);
		if (!c->rested)
			log_errno(r, "replication rests until there is room: "
				  "%s", what);
		c->rested = true;
	} else {
		log_errno(r, "replication stops: %s", what);
	}
	for (size_t i = 0; i < c->peer_count; i++)
		peer_fail(c, c->peers[i], BYE_LOCAL, "the store failed");
}

/* ---- knowledge that is durable */

int core_note_cut(struct core *c)
{
	const struct know *k = replica_know(c->tree);
	uint64_t lseq = replica_lseq(c->tree);
	int r;

	/* The rows are on their way to another K. */
	if (apply_is_busy(c))
		return 0;
	if (lseq == c->noted_lseq && know_equal(k, &c->noted_k))
		return 0;
	r = replica_begin(c->tree);
	if (r < 0)
		return r;
	/* (else no peer could hear of what was removed) */
	store_op_makes_room(c->store);
	r = replica_end(c->tree, replica_cut_note(c->tree));
	if (r < 0)
		return r;
	c->noted_lseq = lseq;
	return know_copy(&c->noted_k, k);
}

void core_show(struct core *c)
{
	int r = 0;

	if (c->showing && c->shown_lseq >= c->showing_lseq) {
		c->showing = false;
		if (!know_leq(&c->showing_c, &c->own.v)) {
			r = know_join(&c->own.v, &c->showing_c);
			c->publish = true;
		}
	}
	if (r == 0 && !c->showing && !know_leq(&c->own.c, &c->own.v)) {
		r = know_copy(&c->showing_c, &c->own.c);
		c->showing = true;
		c->showing_lseq = c->has_mount ? c->applied_lseq : 0;
		if (r == 0 && c->shown_lseq >= c->showing_lseq)
			core_show(c);
	}
	if (r < 0)
		core_fail(c, r, "cannot note what is shown");
}

struct snapshot {
	struct know k, c, g;
	struct heads heads; /* at k, if k is news */
	uint64_t lseq, applied, hlc;
	struct replica_debt debt;
};

static int snapshot_take(struct core *c, struct snapshot *ret)
{
	int r;

	store_lock(c->store);
	r = core_note_cut(c);
	if (r == 0)
		r = know_copy(&ret->k, replica_know(c->tree));
	if (r == 0 && !know_leq(&ret->k, &c->own.k))
		r = heads_take(c->tree, &ret->k, &ret->heads);
	if (r == 0)
		r = replica_know_complete(c->tree, &ret->c);
	if (r == 0)
		r = know_copy(&ret->g, replica_horizon(c->tree));
	if (r == 0)
		r = replica_debt(c->tree, &ret->debt);
	ret->lseq = replica_lseq(c->tree);
	ret->hlc = replica_hlc(c->tree);
	ret->applied = replica_applied(c->tree);
	store_unlock(c->store);
	return r;
}

static int snapshot_adopt(struct core *c, struct snapshot *s)
{
	int r = 0;

	if (!know_leq(&s->k, &c->own.k)) {
		heard_grows(c);
		r = know_copy(&c->own.k, &s->k);
		heads_release(&c->own.heads);
		c->own.heads = s->heads;
		s->heads = (struct heads){.marks = NULL};
		c->publish = true;
		core_due(c, c->now_ms); /* peers may lack it */
		purge_wake(c);
	}
	if (r == 0 && !know_leq(&s->g, &c->own.g)) {
		r = know_copy(&c->own.g, &s->g);
		c->publish = true;
	}
	/* C only grows: a newer version that is not here yet does not take
	 * away that the older one was. */
	if (r == 0 && !know_leq(&s->c, &c->own.c)) {
		r = know_join(&c->own.c, &s->c);
		c->publish = true;
	}
	if (!!s->debt.objects != !!c->own.debt_objects)
		c->publish = true;
	c->own.debt_objects = s->debt.objects;
	c->own.debt_bytes = s->debt.bytes;
	c->synced_lseq = s->lseq;
	c->synced_hlc = s->hlc;
	c->applied_lseq = s->applied;
	return r;
}

void core_sync(struct core *c)
{
	struct snapshot s = {.k = KNOW_INIT, .c = KNOW_INIT, .g = KNOW_INIT};
	int r;

	if (c->failure)
		return;
	c->sync_due_ms = NEVER;
	r = snapshot_take(c, &s);
	if (r == 0 && (s.lseq != c->synced_lseq || c->content_arrived ||
		       !know_equal(&s.k, &c->own.k) ||
		       !know_leq(&s.g, &c->own.g)))
		r = store_sync(c->store);
	c->content_arrived = c->wants_filled = false;
	if (r == 0)
		r = snapshot_adopt(c, &s);
	know_release(&s.k);
	know_release(&s.c);
	know_release(&s.g);
	heads_release(&s.heads);
	if (r < 0)
		core_fail(c, r, "cannot make changes durable");
	else
		core_show(c);
}

void core_sync_in(struct core *c, uint64_t delay_ms)
{
	c->sync_due_ms = MIN_OF(c->sync_due_ms, c->now_ms + delay_ms);
}

/* ---- events */

void core_local_change(struct core *c, uint64_t now_ms)
{
	c->now_ms = now_ms;
	instant_changed(c);
}

void core_shown(struct core *c, uint64_t now_ms, uint64_t lseq)
{
	c->now_ms = now_ms;
	c->shown_lseq = MAX_OF(c->shown_lseq, lseq);
	core_show(c);
}

void core_set_addresses(struct core *c, uint64_t now_ms, struct slice text)
{
	c->now_ms = now_ms;
	if (!addresses_are_valid(text))
		text = SLICE(NULL, 0);
	if (slice_equal(text, SLICE_STR(c->own.addresses)))
		return;
	snprintf(c->own.addresses, sizeof(c->own.addresses), "%.*s",
		 (int)text.len, (const char *)text.data);
	c->publish = true;
}

bool core_is_applying(const struct core *c)
{
	return apply_is_busy(c);
}

/*
 * A full disk is no failure: all links were closed, nothing that was not
 * durable was told, and after a while all begins anew.
 */
static void rest_tick(struct core *c)
{
	if (!c->rest_until_ms)
		return;
	if (c->now_ms < c->rest_until_ms) {
		core_due(c, c->rest_until_ms);
		return;
	}
	c->rest_until_ms = 0;
	c->failure = 0;
	c->publish = true;
	core_sync(c);
	if (c->failure)
		return;
	c->rested = false;
	log_info("replication goes on");
}

uint64_t core_tick(struct core *c, uint64_t now_ms)
{
	bool applied = false;

	c->now_ms = now_ms;
	c->due_ms = NEVER;
	rest_tick(c);
	peers_tick(c);
	/* One kind of bulk work a tick. */
	if (!c->failure && !wait_tick(c))
		applied = apply_tick(c);
	if (!c->failure)
		instant_tick(c);
	if (!c->failure && now_ms >= c->sync_due_ms)
		core_sync(c);
	if (!c->failure)
		fork_tick_own(c);
	for (size_t i = 0; !c->failure && i < c->peer_count; i++) {
		struct peer *p = c->peers[i];

		if (!p->dead)
			fork_tick(c, p);
		if (p->dead || p->phase != PEER_READY)
			continue;
		push_tick(c, p);
		want_serve(c, p);
		if (!p->dead)
			proof_tick(c, p);
	}
	if (!c->failure)
		want_tick(c);
	/* All that was wanted is here: tell it now. */
	if (!c->failure && c->wants_filled && !c->want_count)
		core_sync(c);
	if (!c->failure)
		heard_tick(c);
	if (!c->failure && !applied)
		purge_tick(c);
	if (!c->failure && !applied)
		expire_tick(c);
	if (!c->failure && c->publish)
		gossip_publish(c);
	/* A peer that is asked has heard what is known here. */
	if (!c->failure)
		pull_tick(c);
	if (!c->failure)
		heartbeat_tick(c);
	peers_reap(c);
	/* (After a failure nothing is ever due again but the peers' ends.) */
	if (!c->failure)
		core_due(c, c->sync_due_ms);
	return MAX_OF(c->due_ms, now_ms);
}

/* ---- life */

void core_new_life(struct core *c)
{
	c->env.random(c->env.arg, &c->life, sizeof(c->life));
	c->life &= ~(uint64_t)STREAM_FULL;
}

/* A volume without members was just created: this device is the first. */
static int core_found(struct core *c)
{
	cleanup(buf_release) struct buf message = BUF_INIT;
	struct member m = {
		.volume = c->members.volume,
		.device = c->self,
		.signer = c->self,
	};
	int r;

	tree_label(c->tree, m.label);
	store_lock(c->store);
	m.added_ms = replica_hlc(c->tree) >> 16;
	store_unlock(c->store);
	member_encode_signed(&m, &message);
	r = buf_error(&message);
	if (r == 0)
		r = c->env.sign(c->env.arg, buf_slice(&message), m.signature);
	if (r == 0)
		r = members_adopt_first(&c->members, &m);
	if (r < 0)
		return r;
	r = members_save(c->store, &c->members, 0, 1);
	return r < 0 ? r : store_sync(c->store);
}

/* Was the own record put aside? Then others give it back. */
static int self_is_lost(struct core *c)
{
	struct slice value;
	int r;

	store_lock(c->store);
	r = store_get(c->store, TABLE_META, SLICE_STR(META_MEMBERS_LOST),
		      &value);
	store_unlock(c->store);
	return r == -ENOENT ? log_errno(-EUCLEAN, "the store has no member "
					"record of this node's key") : r;
}

static int core_load(struct core *c)
{
	struct slice value;
	uint64_t ceiling = 0;
	int r;

	store_lock(c->store);
	r = members_load(&c->members, c->store);
	if (r == 0)
		r = store_get(c->store, TABLE_META, SLICE_STR("core.beat"),
			      &value);
	if (r == 0 && value.len == 8)
		ceiling = get_le64(value.data);
	else if (r == 0)
		r = -EUCLEAN;
	if (r == -ENOENT)
		r = 0;
	/* Greater than any beat of this node before, whatever the clock. */
	c->own.beat = MAX_OF(ceiling, replica_hlc(c->tree) >> 16);
	store_unlock(c->store);
	if (r == 0 && !c->members.count)
		r = core_found(c);
	if (r == 0 && !members_find(&c->members, &c->self))
		r = self_is_lost(c);
	if (r == 0)
		members_tell_tree(c);
	if (r == 0)
		r = apply_load(c);
	if (r == 0)
		r = remember_load(c);
	return r == 0 ? heard_load(c) : r;
}

int core_new(const struct core_options *o, uint64_t now_ms, struct core **ret)
{
	struct core *c = calloc(1, sizeof(*c));
	int r;

	if (!c)
		return -ENOMEM;
	c->tree = o->tree;
	c->store = tree_store(o->tree);
	c->env = o->env;
	c->self = o->device;
	c->has_mount = o->has_mount;
	c->heartbeat_ms = o->heartbeat_ms;
	c->now_ms = now_ms;
	c->sync_due_ms = c->first_change_ms = c->change_due_ms = NEVER;
	c->purge_settle_ms = o->purge_settle_ms ? o->purge_settle_ms
						: PURGE_SETTLE_MS;
	c->purge_due_ms = now_ms + c->purge_settle_ms;
	c->may_bring_back = true;
	c->exchanged_ms = now_ms;
	c->lapse_after_ms = o->lapse_after_ms ? o->lapse_after_ms
					      : CORE_LAPSE_AFTER_MS;
	c->origin = replica_origin(o->tree);
	c->members.volume = tree_volume(o->tree);
	c->wants_stale = true;
	c->small_rows = o->small_rows ? o->small_rows : STAGE_SMALL_ROWS;
	c->slice_rows = o->slice_rows ? o->slice_rows : STAGE_SLICE_ROWS;
	c->staged_bytes_max = o->staged_bytes_max;
	core_new_life(c);
	status_init(&c->own, &o->device);
	c->own.origin = c->origin;
	core_set_addresses(c, now_ms, o->addresses);
	c->wants = calloc(WANTS_MAX, sizeof(*c->wants));
	r = c->wants ? core_load(c) : -ENOMEM;
	if (r == 0) {
		core_sync(c);
		gossip_publish(c);
		r = c->failure;
	}
	if (r < 0) {
		core_free(c);
		return r;
	}
	*ret = c;
	return 0;
}

void core_free(struct core *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < c->peer_count; i++)
		c->peers[i]->dead = true;
	peers_reap(c);
	free(c->peers);
	for (size_t i = 0; i < c->other_count; i++) {
		status_release(c->others[i]);
		free(c->others[i]);
	}
	free(c->others);
	status_release(&c->own);
	members_release(&c->members);
	know_release(&c->noted_k);
	know_release(&c->showing_c);
	waits_release(c);
	apply_release(c);
	free(c->wants);
	free(c->pulses);
	packer_release(&c->chunk_packer);
	unpacker_release(&c->chunk_unpacker);
	buf_release(&c->frame);
	buf_release(&c->scratch);
	free(c);
}
