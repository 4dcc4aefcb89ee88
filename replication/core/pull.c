/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Streams in. STREAM begins a cut, or goes on with one that was staged here
 * when the link fell; its rows are staged as they come; with CUT it is
 * complete, and apply.c does the rest. A bad row, or a K that does not cover
 * all rows, drops the whole cut and the link. Our STATUS, sent once the
 * result is durable, is the acknowledgement.
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
	unpacker_release(&p->pull.unpacker);
	know_release(&p->pull.target);
}

void pull_end(struct core *c, struct peer *p)
{
	struct stage *s = steal(&p->pull.stage);

	if (s)
		stage_park(c, s);
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

/* What is staged is kept, and gone on with once there is room. */
static int pull_no_room(struct core *c, struct peer *p)
{
	peer_fail(c, p, BYE_LOCAL,
		  "no room on the disk to stage what it sends");
	return 0;
}

/* ---- STREAM, RESUME */

/* K of the newest cut of this peer that came whole, and is not merged. */
static int resume_complete(struct stage *s, struct resume *ret)
{
	struct reader r = READER(s->cut.data, s->cut.len);

	ret->complete = true;
	return know_decode(&r, &ret->k);
}

int pull_send_resume(struct core *c, struct peer *p)
{
	cleanup(resume_release) struct resume resume = {.k = KNOW_INIT};
	struct stage *whole = stage_of(c, p->tag, STAGE_COMPLETE);
	struct stage *open = stage_of(c, p->tag, STAGE_OPEN);
	int r = 0;

	if (!whole)
		whole = stage_of(c, p->tag, STAGE_APPLYING);
	if (!whole && (!open || !open->stored))
		return 0;
	if (whole) {
		r = resume_complete(whole, &resume);
	} else {
		resume.life = open->life;
		resume.position = open->position;
	}
	if (r < 0)
		return r;
	frame_begin(&c->frame, FRAME_RESUME);
	resume_encode(&resume, &c->frame);
	peer_send(c, p);
	return 0;
}

static int pull_begin(struct core *c, struct peer *p, const struct stream *t)
{
	struct stage *old = stage_of(c, p->tag, STAGE_COMPLETE);
	int r;

	/* It sends anew what is in that one, since we do not know it yet. */
	if (old)
		stage_drop(c, old);
	r = stage_begin(c, p->tag, &p->pull.stage);
	if (r < 0)
		return r;
	p->pull.stage->life = t->life;
	p->pull.stage->position = t->after;
	return 0;
}

int pull_stream(struct core *c, struct peer *p, struct reader *r)
{
	struct stage *old = stage_of(c, p->tag, STAGE_OPEN);
	struct stream t;
	int e = stream_decode(r, &t);

	if (e == 0 && p->pull.stage)
		e = -EPROTO;
	if (e == 0)
		e = pull_progress(c, p);
	if (e < 0)
		return e;
	if (stage_room(c) < 0)
		return pull_no_room(c, p);
	p->pull.records = 0;
	if (old && old->life == t.life && old->position == t.after) {
		old->idle_ms = 0;
		p->pull.stage = old;
		/* (the link, or this node, may have ended in its end) */
		return stage_reopen(old);
	}
	if (old)
		stage_drop(c, old);
	return pull_begin(c, p, &t);
}

/* ---- REC */

static int pull_records(struct core *c, struct peer *p, struct reader *raw)
{
	struct rec rec;

	while (rec_next(raw, &rec)) {
		int e = stage_put(p->pull.stage, rec.id, rec.row);

		if (e < 0)
			return e;
		p->pull.records++;
		c->counters.rows_received++;
	}
	return reader_done(raw);
}

/* Too much for memory? What is in the table already stays there. */
static bool pull_must_flush(const struct core *c, const struct stage *s)
{
	if (s->stored)
		return s->count >= c->slice_rows ||
		       s->memory_bytes >= STAGE_SLICE_BYTES;
	return s->count > c->small_rows || s->memory_bytes > STAGE_SMALL_BYTES;
}

static int pull_unpack(struct core *c, struct peer *p, struct reader *r)
{
	uint64_t position = reader_varint(r), raw_len = reader_varint(r);
	struct reader raw;
	int e;

	if (reader_ok(r) < 0 || !raw_len || raw_len > REC_RAW_BYTES_MAX ||
	    position < p->pull.stage->position)
		return -EBADMSG;
	e = unpacker_get(&p->pull.unpacker, reader_bytes(r, reader_left(r)),
			 (size_t)raw_len, &c->scratch);
	if (e < 0)
		return e;
	raw = READER(c->scratch.data, c->scratch.len);
	e = pull_records(c, p, &raw);
	if (e == 0)
		p->pull.stage->position = position;
	return e;
}

/* Nothing of a cut that is wrong anywhere may be merged. */
static int pull_reject(struct core *c, struct peer *p, int e)
{
	struct stage *s = steal(&p->pull.stage);

	if (s)
		stage_drop(c, s);
	return e;
}

int pull_rec(struct core *c, struct peer *p, struct reader *r)
{
	int e = p->pull.stage ? pull_progress(c, p) : -EPROTO;

	if (e == 0)
		e = pull_unpack(c, p, r);
	if (e < 0)
		return pull_reject(c, p, e);
	if (!pull_must_flush(c, p->pull.stage))
		return 0;
	e = stage_room(c);
	if (e < 0)
		return pull_no_room(c, p);
	return stage_flush(p->pull.stage, c->slice_rows);
}

/* ---- MARKS */

int pull_marks(struct core *c, struct peer *p, struct reader *r)
{
	struct stage *s = p->pull.stage;
	const uint8_t *start = r->at;
	size_t len = reader_left(r);
	struct mark_run run;
	int e = s ? pull_progress(c, p) : -EPROTO;

	while (e == 0 && reader_left(r))
		e = run_decode(r, &run);
	if (e == 0 && s->runs.len + len > MARKS_BYTES_MAX)
		e = -E2BIG;
	if (e < 0)
		return pull_reject(c, p, e);
	buf_put(&s->runs, start, len);
	return buf_error(&s->runs);
}

/* ---- CUT */

/* Errors: -EPROTO a version that the sender cannot know, or a horizon beyond
 * what it knows; -ENOTUNIQ knowledge of this node's own future. */
static int pull_check(struct core *c, struct peer *p, const struct cut *cut)
{
	bool full = cut->flags & CUT_FULL;
	uint64_t own;

	if (cut->rows != p->pull.records || cut->flags & ~CUT_FULL ||
	    full != (p->pull.stage->life & STREAM_FULL))
		return -EBADMSG;
	store_lock(c->store);
	own = know_get(replica_know(c->tree), c->origin);
	store_unlock(c->store);
	if (know_get(&cut->k, c->origin) > own)
		return -ENOTUNIQ;
	if (!know_leq(&p->pull.stage->dots, &cut->k) ||
	    !know_leq(&cut->g, &cut->k))
		return -EPROTO;
	return 0;
}

bool cut_is_behind(struct core *c, const struct cut *cut)
{
	bool behind;

	store_lock(c->store);
	behind = !know_leq(replica_horizon(c->tree), &cut->k) &&
		 !(cut->flags & CUT_FULL &&
		   !know_leq(&cut->g, replica_know(c->tree)));
	store_unlock(c->store);
	return behind;
}

void pull_refuse(struct core *c, uint64_t tag)
{
	for (size_t i = 0; i < c->peer_count; i++)
		if (c->peers[i]->tag == tag)
			peer_fail(c, c->peers[i], BYE_BEHIND,
				  "it has to take a full stream first");
}

/* From here on it needs no peer. */
static int pull_complete(struct core *c, struct peer *p, const struct cut *cut,
			 struct slice body)
{
	struct stage *s = p->pull.stage;
	int r;

	buf_put_slice(&s->cut, body);
	r = buf_error(&s->cut);
	/* What a full one mentions must be found again at its end; marks of
	 * very many operations are not for one transaction. */
	if (r == 0 && (s->stored || cut->flags & CUT_FULL ||
		       s->runs.len > STAGE_SMALL_BYTES)) {
		r = stage_flush(s, c->slice_rows);
		/* The absence of what was left out would remove it here. */
		if (r == 0 && cut->flags & CUT_FULL &&
		    s->objects < cut->objects)
			r = -EPROTO;
		if (r == 0)
			r = stage_flush_runs(s);
		if (r == 0)
			r = stage_set_state(s, STAGE_COMPLETE);
	}
	if (r < 0)
		return r;
	s->state = STAGE_COMPLETE;
	p->pull.stage = NULL;
	core_due(c, c->now_ms);
	/* Others were first? */
	if (apply_is_busy(c) || c->apply_retry_ms)
		return 0;
	for (struct stage *o = c->stages; o != s; o = o->next)
		if (o->state == STAGE_COMPLETE)
			return 0;
	if (s->stored)
		return 0; /* the tick begins */
	r = apply_next(c, s);
	if (r < 0)
		stage_drop(c, s);
	return r;
}

int pull_cut(struct core *c, struct peer *p, struct reader *r)
{
	struct slice body = SLICE(r->at, reader_left(r));
	struct cut cut = {.k = KNOW_INIT, .g = KNOW_INIT};
	int e = p->pull.stage ? cut_decode(r, &cut) : -EPROTO;

	if (e == 0)
		e = pull_check(c, p, &cut);
	if (e == 0 && cut_is_behind(c, &cut)) {
		/* We purged what it does not know to be dead. */
		stage_drop(c, steal(&p->pull.stage));
		pull_refuse(c, p->tag);
		cut_release(&cut);
		return 0;
	}
	if (e == 0)
		e = pull_complete(c, p, &cut, body);
	if (e == 0) {
		p->pull.progress_ms = c->now_ms;
		p->pull.failed_ms = 0;
		/* What was asked for may come with the next one. What the
		 * peer pushed is over: what it only passes on, and has
		 * heard of since it began, it will not bring unasked. */
		if (!p->pull.pulled || know_leq(&p->pull.target, &cut.k))
			p->pull.active = p->pull.pulled = false;
	}
	cut_release(&cut);
	return e < 0 ? pull_reject(c, p, e) : 0;
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
	p->pull.active = p->pull.pulled = true;
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

	if (r == 0)
		r = stages_coming(c, ret);
	for (size_t i = 0; r == 0 && i < c->peer_count; i++) {
		struct peer *p = c->peers[i];
		uint64_t limit = p->pull.progress_ms + PROGRESS_TIMEOUT_MS;

		if (p->dead || !p->pull.active)
			continue;
		if (!p->pull.stage &&
		    know_leq(&p->pull.target, &c->own.k)) {
			p->pull.active = p->pull.pulled = false;
			continue;
		}
		if (c->now_ms >= limit) {
			p->pull.active = p->pull.pulled = false;
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
		    !peer_may_give(c, p) || !pull_wants_of(c, p, coming))
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
