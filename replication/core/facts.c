/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Facts for status, and the member set as callers see it: who is in, how a
 * device is let in, and how a joiner takes up the set.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "replication/core/core_internal.h"

/* Rows looked at to tell how many bytes a peer lacks: bounds `status`. */
#define LAG_ROWS_MAX 100000
/* Incarnations kept free for those that are members, who may need one to go
 * on: nobody is let in any more. */
#define ORIGINS_SPARE 64

/* Of rows and contents not sent yet; what it was sent and still waits for
 * is its own to tell. */
static uint64_t bytes_behind(struct core *c, const struct know *theirs)
{
	uint64_t after, bytes = 0;
	int r;

	if (know_leq(&c->own.k, theirs))
		return 0;
	store_lock(c->store);
	r = replica_cut_start(c->tree, theirs, &after);
	store_unlock(c->store);
	if (!r)
		r = replica_bytes_after(c->tree, after, theirs, LAG_ROWS_MAX,
					&bytes);
	return r ? 0 : bytes;
}

/* Since when the oldest change that it lacks has been here. */
static uint64_t time_behind(struct core *c, const struct know *theirs)
{
	uint64_t since_ms, now_ms;
	int r;

	store_lock(c->store);
	now_ms = replica_hlc(c->tree) >> 16;
	r = replica_cut_since(c->tree, theirs, &since_ms);
	store_unlock(c->store);
	return r || since_ms > now_ms ? 0 : now_ms - since_ms;
}

static void peer_facts(struct core *c, struct member_entry *e,
		       struct core_peer_status *ret)
{
	struct peer *p = peer_of(c, &e->member.device);
	struct status *s = status_of(c, &e->member.device);
	struct know none = KNOW_INIT;
	const struct know *theirs = s ? &s->k : &none;

	*ret = (struct core_peer_status){
		.device = e->member.device,
		.connected = p && p->phase == PEER_READY,
		.last_heard_ms = p ? p->heard_ms : e->heard_ms,
		.behind = {.changes = know_lag(&c->own.k, theirs)},
		.ahead = {.changes = know_lag(theirs, &c->own.k)},
	};
	ret->behind.bytes = bytes_behind(c, theirs) + (s ? s->debt_bytes : 0);
	if (ret->behind.changes)
		ret->behind_ms = time_behind(c, theirs);
	ret->stale_known = heartbeat_stale(c, &e->member.device,
					   &ret->stale_ms);
	ret->skew_known = e->skew_known;
	ret->skew_ms = e->skew_ms;
	/* What it has all of, and we have not. */
	if (s && !know_leq(&s->c, &c->own.c))
		ret->ahead.bytes = c->own.debt_bytes;
	ret->lapsed = e->lapsed && !e->removed;
	ret->removed = e->removed;
	memcpy(ret->label, e->label, sizeof(ret->label));
	if (e->removed)
		return;
	memcpy(ret->addresses, e->addresses, sizeof(ret->addresses));
}

static int compare_label(const void *a, const void *b)
{
	const struct core_peer_status *x = a, *y = b;
	int r = strcmp(x->label, y->label);

	return r ? r : device_compare(&x->device, &y->device);
}

size_t core_peers(struct core *c, struct core_peer_status *ret, size_t max)
{
	size_t count = 0;

	for (size_t i = 0; i < c->members.count && count < max; i++) {
		struct member_entry *e = c->members.list[i];

		if (!device_equal(&e->member.device, &c->self))
			peer_facts(c, e, &ret[count++]);
	}
	qsort(ret, count, sizeof(*ret), compare_label);
	return count;
}

void core_counters(struct core *c, struct core_counters *ret)
{
	*ret = c->counters;
}

bool core_author(struct core *c, uint64_t origin, struct slice label,
		 struct device *ret)
{
	*ret = c->self;
	if (origin == c->origin)
		return true;
	for (size_t i = 0; i < c->other_count; i++) {
		*ret = c->others[i]->device;
		if (c->others[i]->origin == origin)
			return true;
	}
	for (size_t i = 0; i < c->members.count; i++) {
		const struct member_entry *e = c->members.list[i];

		*ret = e->member.device;
		if (slice_equal(SLICE_STR(e->label), label))
			return true;
	}
	return false;
}

bool core_is_member(struct core *c, const struct device *device)
{
	return members_has(&c->members, device);
}

bool core_is_removed(struct core *c, const struct device *device)
{
	const struct member_entry *e = members_find(&c->members, device);

	return e && e->removed;
}

/* ---- letting in */

static int core_sign_member(struct core *c, struct member *m)
{
	cleanup(buf_release) struct buf message = BUF_INIT;
	int r;

	store_lock(c->store);
	m->added_ms = replica_hlc(c->tree) >> 16;
	store_unlock(c->store);
	member_encode_signed(m, &message);
	r = buf_error(&message);
	if (r < 0)
		return r;
	return c->env.sign(c->env.arg, buf_slice(&message), m->signature);
}

int core_admit(struct core *c, uint64_t now_ms, const struct device *device,
	       struct slice label, char ret_label[LABEL_BYTES_MAX + 1],
	       struct buf *ret_records)
{
	struct member m = {
		.volume = c->members.volume,
		.device = *device,
		.signer = c->self,
	};
	struct member_entry *e = members_find(&c->members, device);
	size_t before = c->members.count;
	int r = 0;

	c->now_ms = now_ms;
	if (!label_is_valid(label))
		return -EINVAL;
	/* Its key is refused for ever; nor is one let in by somebody who is
	 * out, or into a volume without room for what it will write. */
	if (core_is_removed(c, device) ||
	    core_is_removed(c, &c->self))
		return -EACCES;
	if (c->own.k.count + ORIGINS_SPARE > ORIGINS_MAX)
		return -E2BIG;
	if (!e) {
		members_free_label(&c->members, label, m.label);
		r = core_sign_member(c, &m);
		if (r == 0)
			r = members_adopt(&c->members, &m);
		if (r < 0)
			return r;
		e = members_find(&c->members, device);
		r = members_save(c->store, &c->members, before, before + 1);
		if (r == 0)
			r = store_sync(c->store);
		if (r < 0) {
			free(c->members.list[--c->members.count]);
			return r;
		}
		gossip_new_members(c, before, NULL);
		members_changed(c);
	}
	members_encode(&c->members, 0, ret_records);
	r = buf_error(ret_records);
	if (r == 0)
		memcpy(ret_label, e->label, sizeof(e->label));
	return r;
}

/* ---- being let in */

static int adopt_one(void *arg, const struct member *record)
{
	struct members *m = arg;
	int r = m->count ? members_adopt(m, record)
			 : members_adopt_first(m, record);

	return r == -E2BIG ? -EBADMSG : r;
}

static int adopt_removal(void *arg, const struct member_removal *record)
{
	return MIN_OF(members_remove(arg, record), 0);
}

int core_adopt_members(struct tree *tree, struct slice records,
		       const struct device *self, const struct device *inviter)
{
	struct members m = {.volume = tree_volume(tree)};
	struct reader r = READER(records.data, records.len);
	int e = members_decode(&r, adopt_one, &m);

	if (e == 0)
		e = removals_decode(&r, adopt_removal, &m);
	if (e == 0)
		e = reader_done(&r);
	if (e == 0 && (!members_has(&m, self) || !members_has(&m, inviter)))
		e = -EBADMSG;
	if (e == 0)
		e = members_save(tree_store(tree), &m, 0, m.count);
	if (e == 0)
		e = store_sync(tree_store(tree));
	members_release(&m);
	return e;
}
