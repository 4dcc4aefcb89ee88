/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Time heard, and lapse. A member that is away holds up the purge of all
 * that it has not acknowledged. One that has been silent for long enough
 * stops counting; should it return, a full stream tells it what it missed.
 *
 * How long a silence is cannot be told by a clock on the wall, which jumps,
 * nor by the age of a file system that sleeps most of the year: a node that
 * was shut itself has not failed to hear anybody. So each node keeps a sum of
 * its own: with each frame that it gets from any member it adds the time
 * since the one before, at most an hour. A member lapses when that sum has
 * grown by lapse_after since the last sign of it. A sign is a frame on its
 * own link, a newer STATUS row or HEAD of it by whatever way; and while it is
 * known to have all that this node has, its silence means nothing.
 *
 * The sums are this node's alone. Members need not agree who lapsed: each
 * purges by its own judgement, and the horizon says how far it went.
 */
#include <errno.h>
#include <string.h>

#include "fs/base/log.h"
#include "replication/core/core_internal.h"

static const char heard_key[] = "core.heard";

/* Judging compares vectors: not with every frame. */
#define JUDGE_STEPS 16

/* ---- the store */

int heard_put(struct core *c)
{
	cleanup(buf_release) struct buf b = BUF_INIT;

	buf_put_u64(&b, c->heard_ms);
	buf_put_varint(&b, c->members.count);
	for (size_t i = 0; i < c->members.count; i++) {
		const struct member_entry *e = c->members.list[i];

		buf_put(&b, e->member.device.b, sizeof(struct device));
		buf_put_u64(&b, e->heard_at_ms);
		buf_put_u64(&b, e->heard_beat);
		buf_put_u64(&b, e->heard_hlc);
	}
	if (buf_error(&b) < 0)
		return -ENOMEM;
	return store_put(c->store, TABLE_META, SLICE_STR(heard_key),
			 buf_slice(&b));
}

/* Each hour, and when links fall (remember.c), as they do before a clean end:
 * a machine may never be up for an hour. Not synced: to lose as much only
 * delays a lapse. */
static int heard_save(struct core *c)
{
	int r;

	store_lock(c->store);
	r = store_op_begin(c->store);
	if (r == 0) {
		store_op_makes_room(c->store); /* (it is small) */
		r = heard_put(c);
		if (r == 0)
			r = store_op_end(c->store);
		else
			store_op_abort(c->store);
	}
	store_unlock(c->store);
	c->heard_saved_ms = c->heard_ms;
	return r;
}

static void heard_decode(struct core *c, struct slice value)
{
	struct reader r = READER(value.data, value.len);
	uint64_t count;

	c->heard_ms = reader_u64(&r);
	count = reader_varint(&r);
	for (uint64_t i = 0; i < count && !r.failed; i++) {
		struct member_entry *e;
		struct device device;
		uint64_t at, beat, hlc;

		reader_copy(&r, device.b, sizeof(device.b));
		at = reader_u64(&r);
		beat = reader_u64(&r);
		hlc = reader_u64(&r);
		e = r.failed ? NULL : members_find(&c->members, &device);
		if (!e)
			continue;
		e->heard_at_ms = MIN_OF(at, c->heard_ms);
		e->heard_beat = beat;
		e->heard_hlc = hlc;
	}
}

int heard_load(struct core *c)
{
	struct slice value;
	int r;

	store_lock(c->store);
	r = store_get(c->store, TABLE_META, SLICE_STR(heard_key), &value);
	if (r == 0)
		heard_decode(c, value);
	store_unlock(c->store);
	/* (who lapsed is not kept, but judged at once) */
	c->heard_saved_ms = c->heard_ms;
	return r == -ENOENT ? 0 : r;
}

/* ---- signs */

static void heard_entry(struct core *c, struct member_entry *e)
{
	e->heard_at_ms = c->heard_ms;
	if (!e->lapsed)
		return;
	e->lapsed = false;
	log_info("'%s' is heard of again", e->label);
}

/* (After a restart others pass on old ones, which are news here only.) */
void heard_of_row(struct core *c, const struct device *device, uint64_t beat)
{
	struct member_entry *e = members_find(&c->members, device);

	if (!e || beat <= e->heard_beat)
		return;
	e->heard_beat = beat;
	heard_entry(c, e);
}

void heard_of_head(struct core *c, const struct device *device, uint64_t hlc)
{
	struct member_entry *e = members_find(&c->members, device);

	if (!e || hlc <= e->heard_hlc)
		return;
	e->heard_hlc = hlc;
	heard_entry(c, e);
}

static void heard_pass(struct core *c)
{
	uint64_t passed = c->now_ms - MIN_OF(c->exchanged_ms, c->now_ms);

	c->heard_ms += MIN_OF(passed, (uint64_t)HEARD_STEP_MS);
	c->exchanged_ms = c->now_ms;
}

void heard_exchange(struct core *c, const struct device *from)
{
	struct member_entry *e = members_find(&c->members, from);

	heard_pass(c);
	if (e)
		heard_entry(c, e);
}

/* Is it known to have all that is here? (A node that has just started has
 * not looked what that is: it must not take all for heard.) */
static bool has_all(const struct core *c, const struct status *s)
{
	return s && c->own.k.count && know_leq(&c->own.k, &s->k);
}

void heard_grows(struct core *c)
{
	/* (alone, time does not pass) */
	for (size_t i = 0; i < c->peer_count; i++) {
		if (c->peers[i]->dead || c->peers[i]->phase != PEER_READY)
			continue;
		heard_pass(c);
		break;
	}
	for (size_t i = 0; i < c->members.count; i++) {
		struct member_entry *e = c->members.list[i];

		if (has_all(c, status_of(c, &e->member.device)))
			heard_entry(c, e);
	}
}

bool member_is_active(struct core *c, const struct member_entry *e)
{
	(void)c;
	return !e->lapsed && !e->removed;
}

/* ---- judging */

static void heard_judge(struct core *c, struct member_entry *e)
{
	if (e->removed)
		return;
	if (device_equal(&e->member.device, &c->self) ||
	    has_all(c, status_of(c, &e->member.device))) {
		heard_entry(c, e);
		return;
	}
	if (e->lapsed || c->heard_ms - e->heard_at_ms <= c->lapse_after_ms)
		return;
	e->lapsed = true;
	log_info("nothing was heard of '%s' for long: what is removed no "
		 "longer waits for it", e->label);
	purge_wake(c);
}

void heard_tick(struct core *c)
{
	uint64_t since = c->heard_ms - c->heard_judged_ms;

	if (c->own.k.count && (since > c->lapse_after_ms / JUDGE_STEPS ||
			       since > HEARD_STEP_MS)) {
		c->heard_judged_ms = c->heard_ms;
		for (size_t i = 0; i < c->members.count; i++)
			heard_judge(c, c->members.list[i]);
	}
	if (c->heard_ms - c->heard_saved_ms >= HEARD_SAVE_MS &&
	    heard_save(c) < 0)
		log_warn("cannot remember who was heard of when");
}
