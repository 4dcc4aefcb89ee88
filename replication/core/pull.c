/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Streams in. Rows are staged as they come; CUT merges all of them, or
 * none. Our STATUS, sent once the result is durable, is the acknowledgement.
 *
 * A node that made changes pushes them to its links. What a peer only
 * passes on it announces, and we ask for it here, from one peer at a time:
 * what another peer is already bringing is not asked for. Where all that we
 * lack was made by peers that are linked to us, it will come by itself; we
 * ask only when it does not, in PULL_GRACE_MS.
 */
#include <errno.h>

#include "replication/core/core_internal.h"

void pull_release(struct peer *p)
{
	stage_clear(&p->pull.stage);
	unpacker_release(&p->pull.unpacker);
	know_release(&p->pull.target);
}

/* Something of a cut came: it will bring what the peer says it has. */
static int pull_progress(struct core *c, struct peer *p)
{
	p->pull.progress_ms = c->now_ms;
	if (p->pull.active)
		return 0;
	p->pull.active = true;
	return know_copy(&p->pull.target, &peer_status(c, p)->k);
}

int pull_rec(struct core *c, struct peer *p, struct reader *r)
{
	uint64_t raw_len = reader_varint(r);
	struct reader raw;
	struct rec rec;
	int e;

	if (reader_ok(r) < 0 || !raw_len || raw_len > REC_RAW_BYTES_MAX)
		return -EBADMSG;
	e = pull_progress(c, p);
	if (e == 0)
		e = unpacker_get(&p->pull.unpacker,
				 reader_bytes(r, reader_left(r)),
				 (size_t)raw_len, &c->scratch);
	if (e < 0)
		return e;
	raw = READER(c->scratch.data, c->scratch.len);
	while (rec_next(&raw, &rec)) {
		e = stage_put(&p->pull.stage, rec.id, rec.row);
		if (e < 0)
			return e;
		c->counters.rows_received++;
	}
	return reader_done(&raw);
}

static void pull_applied(struct core *c, struct peer *p,
			 const struct merge_result *m)
{
	c->counters.cuts_received++;
	c->counters.changes_received += m->changes;
	c->counters.changes_known += m->rows_known;
	c->wants_stale = true;
	c->may_bring_back = true;
	p->pull.progress_ms = c->now_ms;
	p->pull.failed_ms = 0;
	stage_clear(&p->pull.stage);
	core_sync_in(c, 0);
}

int pull_cut(struct core *c, struct peer *p, struct reader *r)
{
	struct merge_result m;
	struct cut cut;
	int e = cut_decode(r, &cut);

	if (e < 0)
		return e;
	if (cut.rows != p->pull.stage.records || cut.flags)
		e = -EBADMSG;
	if (e == 0)
		e = merge_cut(c->tree, &p->pull.stage, &cut.k, cut.hlc, p->tag,
			      &m);
	if (e == 0) {
		pull_applied(c, p, &m);
		/* What was asked for may come with the next one. */
		if (p->pull.active && know_leq(&p->pull.target, &cut.k))
			p->pull.active = false;
	}
	cut_release(&cut);
	return e;
}

/* ---- asking */

static struct peer *peer_with_origin(struct core *c, uint64_t origin)
{
	for (size_t i = 0; i < c->peer_count; i++) {
		struct peer *p = c->peers[i];

		if (!p->dead && p->phase == PEER_READY && p->origin == origin)
			return p;
	}
	return NULL;
}

/*
 * Is it time to ask for (origin, seq)? A linked origin has its time, again
 * from each progress that it makes.
 */
static bool pull_is_due(struct core *c, uint64_t origin, uint64_t seq)
{
	struct peer *p = peer_with_origin(c, origin);

	if (!p)
		return true;
	if (know_get(&c->own.k, origin) >= p->pull.due_seq) {
		p->pull.due_seq = seq;
		p->pull.due_since_ms = c->now_ms;
	}
	if (c->now_ms >= p->pull.due_since_ms + PULL_GRACE_MS)
		return true;
	core_due(c, p->pull.due_since_ms + PULL_GRACE_MS);
	return false;
}

/* Does the peer have something that nobody is bringing, and is it due? */
static bool pull_wants_of(struct core *c, struct peer *p,
			  const struct know *coming)
{
	const struct know *theirs = &peer_status(c, p)->k;
	bool due = false;

	for (size_t i = 0; i < theirs->count; i++) {
		struct dot d = theirs->entries[i];

		if (d.origin != c->origin && !know_covers(coming, d) &&
		    pull_is_due(c, d.origin, d.seq))
			due = true;
	}
	return due;
}

static int pull_send(struct core *c, struct peer *p)
{
	int r = know_copy(&p->pull.target, &peer_status(c, p)->k);

	if (r < 0)
		return r;
	p->pull.active = true;
	p->pull.progress_ms = c->now_ms;
	frame_begin(&c->frame, FRAME_PULL);
	know_encode(&c->own.k, &c->frame);
	peer_send(c, p);
	return 0;
}

/* What is known here or on its way; forgets streams that stalled. */
static int pull_coming(struct core *c, struct know *ret)
{
	int r = know_copy(ret, &c->own.k);

	for (size_t i = 0; r == 0 && i < c->peer_count; i++) {
		struct peer *p = c->peers[i];
		uint64_t limit = p->pull.progress_ms + PROGRESS_TIMEOUT_MS;

		if (p->dead || !p->pull.active)
			continue;
		if (!p->pull.stage.records &&
		    know_leq(&p->pull.target, &c->own.k)) {
			p->pull.active = false;
			continue;
		}
		if (c->now_ms >= limit) {
			p->pull.active = false;
			p->pull.failed_ms = c->now_ms;
			continue;
		}
		core_due(c, limit);
		r = know_join(ret, &p->pull.target);
	}
	return r;
}

/* The first that has what is due; one that stalled lately only if no other
 * has it. */
static struct peer *pull_choose(struct core *c, const struct know *coming)
{
	struct peer *last_resort = NULL;

	for (size_t i = 0; i < c->peer_count; i++) {
		struct peer *p = c->peers[i];

		if (p->dead || p->phase != PEER_READY || p->pull.active ||
		    !pull_wants_of(c, p, coming))
			continue;
		if (!p->pull.failed_ms ||
		    c->now_ms >= p->pull.failed_ms + PROGRESS_TIMEOUT_MS)
			return p;
		last_resort = p;
	}
	return last_resort;
}

void pull_tick(struct core *c)
{
	cleanup(know_release) struct know coming = KNOW_INIT;
	struct peer *p;
	int r = pull_coming(c, &coming);

	while (r == 0 && (p = pull_choose(c, &coming))) {
		r = pull_send(c, p);
		if (r == 0)
			r = know_join(&coming, &p->pull.target);
	}
	if (r < 0)
		core_fail(c, r, "cannot ask for changes");
}
