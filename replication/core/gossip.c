/* SPDX-License-Identifier: Apache-2.0 */
/*
 * MEMBERS and STATUS: what everybody is to know, passed from link to link.
 * News is forwarded to all links but the one it came from, once, since only
 * a record that was not there and a row of a greater beat are news.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/base/log.h"
#include "replication/core/core_internal.h"

/* Bytes of rows gathered in one STATUS frame; with one more row it still
 * fits. */
#define STATUS_GATHER_BYTES (FRAME_BYTES_MAX - STATUS_ROW_BYTES_MAX - 64)

struct status *status_of(struct core *c, const struct device *device)
{
	for (size_t i = 0; i < c->other_count; i++)
		if (device_equal(&c->others[i]->device, device))
			return c->others[i];
	return NULL;
}

/* ---- frames of rows: a count, which is not known before the end */

struct rows_frame {
	struct buf rows;
	size_t count;
};

static void rows_send(struct core *c, struct rows_frame *f, struct peer *p)
{
	frame_begin(&c->frame, FRAME_STATUS);
	buf_put_varint(&c->frame, f->count);
	buf_put_slice(&c->frame, buf_slice(&f->rows));
	c->frame.failed |= f->rows.failed;
	peer_send(c, p);
}

static void rows_send_to_all(struct core *c, struct rows_frame *f,
			     const struct peer *but)
{
	for (size_t i = 0; f->count && i < c->peer_count; i++) {
		struct peer *p = c->peers[i];

		if (p != but && !p->dead && p->phase != PEER_HELLO)
			rows_send(c, f, p);
	}
}

static void rows_add(struct rows_frame *f, const struct status *s)
{
	buf_put_string(&f->rows, buf_slice(&s->raw));
	f->count++;
}

void gossip_greet(struct core *c, struct peer *p)
{
	struct rows_frame f = {.rows = BUF_INIT};

	frame_begin(&c->frame, FRAME_MEMBERS);
	members_encode(&c->members, 0, &c->frame);
	peer_send(c, p);
	rows_add(&f, &c->own);
	for (size_t i = 0; i < c->other_count; i++) {
		if (!c->others[i]->raw.len)
			continue;
		if (f.rows.len > STATUS_GATHER_BYTES) {
			rows_send(c, &f, p);
			buf_reset(&f.rows);
			f.count = 0;
		}
		rows_add(&f, c->others[i]);
	}
	if (f.count)
		rows_send(c, &f, p);
	buf_release(&f.rows);
}

/* ---- our own row */

static int beat_reserve(struct core *c)
{
	uint8_t value[8];
	int r;

	if (c->own.beat < c->beat_ceiling)
		return 0;
	put_le64(value, c->own.beat + BEAT_BLOCK);
	store_lock(c->store);
	r = store_op_begin(c->store);
	if (r == 0) {
		r = store_put(c->store, TABLE_META, SLICE_STR("core.beat"),
			      SLICE(value, sizeof(value)));
		if (r == 0)
			r = store_op_end(c->store);
		else
			store_op_abort(c->store);
	}
	store_unlock(c->store);
	if (r == 0)
		r = store_sync(c->store);
	if (r == 0)
		c->beat_ceiling = c->own.beat + BEAT_BLOCK;
	return r;
}

void gossip_publish(struct core *c)
{
	struct rows_frame f = {.rows = BUF_INIT};
	int r;

	c->publish = false;
	c->own.beat++;
	r = beat_reserve(c);
	if (r == 0)
		r = status_encode(&c->own);
	if (r < 0) {
		core_fail(c, r, "cannot publish this node's status");
		return;
	}
	rows_add(&f, &c->own);
	rows_send_to_all(c, &f, NULL);
	buf_release(&f.rows);
}

/* ---- members */

void gossip_new_members(struct core *c, size_t from, const struct peer *but)
{
	for (size_t i = 0; i < c->peer_count; i++) {
		struct peer *p = c->peers[i];

		if (p == but || p->dead || p->phase == PEER_HELLO)
			continue;
		frame_begin(&c->frame, FRAME_MEMBERS);
		members_encode(&c->members, from, &c->frame);
		peer_send(c, p);
	}
}

static int gossip_adopt(void *arg, const struct member *m)
{
	struct core *c = arg;
	int r = members_adopt(&c->members, m);

	/* One that we cannot check is not taken, and not passed on. */
	return r == -EBADMSG || r == -E2BIG ? 0 : r;
}

/* Who went while this was read: their links close at the end. */
static int gossip_adopt_removal(void *arg, const struct member_removal *m)
{
	struct core *c = arg;
	int r = members_remove(&c->members, m);

	if (r > 0)
		c->removal_news = true;
	return r == -EBADMSG ? 0 : MIN_OF(r, 0);
}

/* To all links but one; and those to whom it concerns close. */
int gossip_removals(struct core *c, const struct peer *but)
{
	int r = members_save(c->store, &c->members, 0, c->members.count);

	c->removal_news = false;
	if (r == 0)
		r = store_sync(c->store);
	if (r < 0)
		return r;
	gossip_new_members(c, c->members.count, but);
	for (size_t i = 0; i < c->peer_count; i++)
		if (!members_has(&c->members, &c->peers[i]->device))
			peer_fail(c, c->peers[i], BYE_REMOVED,
				  "removed from the volume");
	if (core_is_removed(c, &c->self))
		log_warn("this node was removed from the volume: it exchanges "
			 "nothing any more");
	for (size_t i = 0;
	     i < c->peer_count && core_is_removed(c, &c->self); i++)
		peer_fail(c, c->peers[i], BYE_REMOVED,
			  "this node was removed from the volume");
	waits_forget_removed(c);
	purge_wake(c);
	members_changed(c);
	return 0;
}

int gossip_members(struct core *c, struct peer *p, struct reader *r)
{
	size_t before = c->members.count;
	int e = members_decode(r, gossip_adopt, c);

	if (e == 0)
		e = removals_decode(r, gossip_adopt_removal, c);
	if (c->members.count > before) {
		int k = members_save(c->store, &c->members, before,
				     c->members.count);

		if (k < 0)
			return k;
		log_info("%zu new member%s", c->members.count - before,
			 c->members.count - before > 1 ? "s" : "");
		gossip_new_members(c, before, p);
		members_changed(c);
	}
	if (c->removal_news) {
		int k = gossip_removals(c, p);

		if (k < 0)
			return k;
	}
	return e;
}

/* ---- rows of others */

static int addresses_heard(struct core *c, const struct status *s)
{
	struct member_entry *e = members_find(&c->members, &s->device);
	size_t at = 0;
	int r;

	if (!e || !strcmp(e->addresses, s->addresses))
		return 0;
	memcpy(e->addresses, s->addresses, sizeof(e->addresses));
	while (c->members.list[at] != e)
		at++;
	r = members_save(c->store, &c->members, at, at + 1);
	if (r == 0)
		members_changed(c);
	return r;
}

int gossip_adopt_status(struct core *c, struct status *s)
{
	struct status *at = status_of(c, &s->device);

	if (!at) {
		struct status **p =
			realloc(c->others, (c->other_count + 1) * sizeof(*p));

		if (!p)
			return -ENOMEM;
		c->others = p;
		at = calloc(1, sizeof(*at));
		if (!at)
			return -ENOMEM;
		c->others[c->other_count++] = at;
	} else {
		status_release(at);
	}
	*at = *s;
	status_init(s, &at->device);
	return 0;
}

/* Somebody passes on a row of ours that is not ours of now. */
static void own_row_heard(struct core *c, const struct status *s)
{
	if (s->beat < c->own.beat ||
	    (s->beat == c->own.beat && s->origin == c->origin &&
	     slice_equal(buf_slice(&s->raw), buf_slice(&c->own.raw))))
		return;
	/* What this incarnation never said, another copy of it did: of a
	 * store from before a backup came back, or of one that runs now. */
	if (s->origin == c->origin) {
		c->own.beat = s->beat;
		c->copied = CAUSE_TWIN;
		core_due(c, c->now_ms);
		return;
	}
	/* Old ones of ours are outbid, as many as there are. One that comes
	 * back each time is of somebody who lives: two that outbid each other
	 * would never end. */
	if (c->now_ms >= c->twin_ms + TWIN_WINDOW_MS)
		c->twin_outbids = 0;
	if (!c->twin_outbids)
		c->twin_ms = c->now_ms;
	if (++c->twin_outbids > TWIN_OUTBIDS_MAX) {
		if (!c->twin_said)
			log_warn("another node uses this node's key: is a "
				 "copy of this machine, or of its store, in "
				 "use? Nothing is lost by it; make a node of "
				 "its own of one of them");
		c->twin_said = true;
		c->counters.twins++;
		return;
	}
	c->own.beat = s->beat;
	c->publish = true;
}

/* Or as old. Of two incarnations with one beat everybody takes one. */
static bool row_is_older(const struct status *s, const struct status *than)
{
	return s->beat < than->beat ||
	       (s->beat == than->beat && s->origin <= than->origin);
}

static void row_send_back(struct core *c, struct peer *p,
			  const struct status *s)
{
	struct rows_frame f = {.rows = BUF_INIT};

	if (!s->raw.len)
		return;
	rows_add(&f, s);
	rows_send(c, &f, p);
	buf_release(&f.rows);
}

/* Returns 1 for news. */
static int row_heard(struct core *c, struct peer *p, struct status *s)
{
	struct status *old = status_of(c, &s->device);
	bool is_peer = device_equal(&s->device, &p->device);
	struct peer *linked = peer_of(c, &s->device);
	/* (Rows of an older beat come of a store that is older.) */
	bool first = is_peer && p->phase == PEER_STATUS;
	bool more_content = true;
	int r;

	if (device_equal(&s->device, &c->self)) {
		own_row_heard(c, s);
		return 0;
	}
	if (!members_has(&c->members, &s->device))
		return 0;
	r = fork_check_own(c, s);
	if (r < 0)
		return r;
	if (first) {
		p->phase = PEER_READY;
		c->wants_stale = true;
		heartbeat_greet(c, p);
	}
	/* Of two that have one key the one that is linked counts. If others
	 * believe an older one, it must outbid that. */
	if (!is_peer && linked && linked->phase >= PEER_READY &&
	    linked->origin != s->origin) {
		if (!old || row_is_older(old, s))
			row_send_back(c, linked, s);
		return 0;
	}
	p->check_due |= is_peer;
	if (old && row_is_older(s, old) && !first &&
	    !(is_peer && old->origin != s->origin)) {
		/* (In the end that gets where it is outbid.) */
		if (old->origin != s->origin)
			row_send_back(c, p, old);
		return 0;
	}
	if (old)
		more_content = !know_leq(&s->c, &old->c);
	if (!old || !know_leq(&s->k, &old->k))
		purge_wake(c);
	heard_of_row(c, &s->device, s->beat);
	r = gossip_adopt_status(c, s);
	if (r < 0)
		return r;
	if (is_peer && (more_content || first))
		want_retry(c, p);
	return 1;
}

int gossip_status(struct core *c, struct peer *p, struct reader *r)
{
	struct rows_frame news = {.rows = BUF_INIT};
	uint64_t count = reader_varint(r);
	int e = reader_ok(r) == 0 && count <= MEMBERS_MAX ? 0 : -EBADMSG;

	for (uint64_t i = 0; e == 0 && i < count && !p->dead; i++) {
		struct slice raw = reader_string(r, STATUS_ROW_BYTES_MAX);
		struct status s, *row;
		struct device device;

		status_init(&s, &(struct device){{0}});
		e = reader_ok(r) == 0 ? status_decode(raw, &s) : -EBADMSG;
		device = s.device;
		if (e == 0)
			e = row_heard(c, p, &s);
		status_release(&s);
		/* (this may be the end of all links) */
		if (e >= 0 && p->check_due && p->phase == PEER_READY &&
		    peer_status(c, p)) {
			int k = fork_check(c, p);

			if (k < 0 || p->dead)
				e = k;
		}
		if (e <= 0)
			continue;
		row = status_of(c, &device);
		rows_add(&news, row);
		wait_heard(c, row);
		e = addresses_heard(c, row);
	}
	if (news.count)
		rows_send_to_all(c, &news, p);
	buf_release(&news.rows);
	return e;
}
