/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Streams out. One cut at a time goes to a peer: all rows changed since the
 * newest point that it covers, in slices, each taken under the store's lock
 * and copied out. The slice that reaches the end of the change stream reads
 * K in the same lock hold: then K says exactly what the rows say, for what
 * changed meanwhile has moved to the end and was sent again.
 *
 * Nothing leaves before it is durable here: core_sync() stands between
 * taking a slice and sending it.
 *
 * Whoever does not know all up to our horizon gets a *full* stream: every
 * row, and with CUT the horizon, so that it can tell what is not there.
 *
 * A cut is begun of our own accord when the peer lacks operations of this
 * node, and on PULL for what we merely pass on, but not while a save is half
 * made (instant.c). It ends when the peer's STATUS says that it knows it.
 */
#include <errno.h>
#include <stdlib.h>

#include "fs/base/hash.h"
#include "replication/core/core_internal.h"

void push_release(struct peer *p)
{
	know_release(&p->push.base);
	know_release(&p->push.told);
	know_release(&p->push.k);
	packer_release(&p->push.packer);
}

/* ---- taking a slice */

struct take {
	struct core *c;
	struct peer *p;
	struct buf records; /* as they stand in REC */
	struct buf hashes;  /* of content that goes along */
	uint64_t content_bytes;
	uint64_t last; /* rows up to this are in */
	uint64_t rows;
};

static int take_hash(void *arg, const struct hash *hash, uint32_t len)
{
	struct take *t = arg;

	buf_put(&t->hashes, hash->b, sizeof(hash->b));
	t->content_bytes += len;
	return 0;
}

/* Small content of versions that are new to the peer. */
static int take_content(struct take *t, const struct replica_row *row)
{
	cleanup(object_release) struct object o;
	int r;

	object_init(&o, row->id);
	r = object_decode(row->row, &o);
	for (size_t i = 0; r == 0 && i < o.count; i++) {
		const struct version *v = &o.versions[i];
		const struct content *content = &v->content.content;
		size_t before = t->hashes.len;

		if (v->reg != REG_CONTENT || !content->depth ||
		    content->size > PUSH_CONTENT_BYTES_MAX ||
		    know_covers(&t->p->push.base, v->dot))
			continue;
		r = content_walk(t->c->store, content, take_hash, t);
		if (r == -ENOENT) {
			/* Not all here yet: the peer will ask somebody. */
			t->hashes.len = before;
			r = 0;
		}
	}
	return r == -EBADMSG ? -EUCLEAN : r;
}

/* 1: the vector covers all of the row, and so all that led to it. */
static int row_is_known(const struct replica_row *row, const struct know *k)
{
	cleanup(object_release) struct object o;
	int r;

	object_init(&o, row->id);
	r = object_decode(row->row, &o);
	if (r < 0)
		return r == -EBADMSG ? -EUCLEAN : r;
	for (size_t i = 0; i < o.count; i++)
		if (!know_covers(k, o.versions[i].dot))
			return 0;
	return 1;
}

static int take_row(void *arg, const struct replica_row *row)
{
	struct take *t = arg;
	struct rec rec = {row->id, row->row};
	int r;

	if (t->records.len + t->content_bytes >= SLICE_BYTES)
		return -ECANCELED;
	t->last = row->lseq;
	/* The peer has it: it is as it sent it. Unless a backup was brought
	 * back there since: then it does not know what it once sent. And what
	 * came from it since this stream began may be in it already, as it
	 * was before. */
	if (row->from == t->p->tag && row->lseq <= t->p->push.echoes) {
		r = row_is_known(row, &t->p->push.base);
		if (r)
			return MIN_OF(r, 0);
	}
	rec_encode(&rec, &t->records);
	t->rows++;
	return take_content(t, row);
}

/* The rows are all: what they are a state of. Returns 1. [locked] */
static int take_end(struct take *t, struct cut *cut)
{
	struct core *c = t->c;
	int r = core_note_cut(c);

	if (r == 0)
		r = know_copy(&cut->k, replica_know(c->tree));
	if (r == 0)
		r = know_copy(&cut->g, replica_horizon(c->tree));
	cut->hlc = replica_hlc(c->tree);
	cut->objects = store_count(c->store, TABLE_OBJ);
	cut->flags = t->p->push.full ? CUT_FULL : 0;
	return r < 0 ? r : 1;
}

/*
 * Takes the next slice; at the end of the stream K too. Returns 1 at the
 * end. [takes the lock]
 */
static int push_take(struct take *t, struct cut *cut)
{
	struct core *c = t->c;
	int r;

	store_lock(c->store);
	r = replica_rows_after(c->tree, t->last, c->slice_rows, take_row, t);
	if (r >= 0 && (size_t)r < c->slice_rows) {
		r = take_end(t, cut);
	} else if (r >= 0 || r == -ECANCELED) {
		r = 0;
	}
	store_unlock(c->store);
	if (r >= 0 && (buf_error(&t->records) < 0 || buf_error(&t->hashes) < 0))
		r = -ENOMEM;
	return r;
}

/* ---- sending it */

int push_chunk(struct core *c, struct peer *p, const struct hash *hash)
{
	struct chunk_frame f = {.hash = *hash};
	cleanup(buf_release) struct buf packed = BUF_INIT;
	int64_t n;
	int r = chunk_read(c->store, hash, &c->scratch);

	if (r == -ENOENT || r == -EIO)
		return 0; /* (damaged is as good as not here) */
	if (r < 0)
		return r;
	n = pack_one(&c->chunk_packer, buf_slice(&c->scratch), &packed);
	if (n < 0)
		return (int)n;
	f.flags = n ? CHUNK_ZSTD : 0;
	f.len = (uint32_t)c->scratch.len;
	f.bytes = n ? buf_slice(&packed) : buf_slice(&c->scratch);
	frame_begin(&c->frame, FRAME_CHUNK);
	chunk_frame_encode(&f, &c->frame);
	peer_send(c, p);
	c->counters.chunks_sent++;
	return 1;
}

static int push_send_content(struct core *c, struct peer *p,
			     const struct buf *hashes)
{
	struct reader r = READER(hashes->data, hashes->len);

	while (reader_left(&r) && !p->dead) {
		struct hash hash;
		int e;

		reader_copy(&r, hash.b, sizeof(hash.b));
		e = push_chunk(c, p, &hash);
		if (e < 0)
			return e;
	}
	return 0;
}

static int push_send_rec(struct core *c, struct peer *p, struct slice raw,
			 uint64_t position)
{
	int r;

	frame_begin(&c->frame, FRAME_REC);
	buf_put_varint(&c->frame, position);
	buf_put_varint(&c->frame, raw.len);
	r = packer_put(&p->push.packer, raw, &c->frame);
	if (r < 0)
		return r;
	peer_send(c, p);
	return 0;
}

/*
 * Records are gathered while they are small; one is never split. Only the
 * last frame of a slice says how far the peer has all rows then.
 */
static int push_send_records(struct core *c, struct peer *p,
			     const struct buf *records, uint64_t position)
{
	struct reader r = READER(records->data, records->len);
	const uint8_t *start = r.at, *end = r.at;
	struct rec rec;

	while (!p->dead && rec_next(&r, &rec)) {
		if (end > start && r.at - start > REC_GATHER_BYTES) {
			int e = push_send_rec(c, p, SLICE(start, end - start),
					      p->push.after);

			if (e < 0)
				return e;
			start = end;
		}
		end = r.at;
	}
	if (end == start)
		return 0;
	return push_send_rec(c, p, SLICE(start, end - start), position);
}

/* Marks of the operations that the peer lacks. [takes the lock] */
static int push_take_runs(struct core *c, struct peer *p, const struct know *k,
			  size_t *at, struct mark_run *run)
{
	int r = 0;

	store_lock(c->store);
	for (; *at < k->count; ++*at) {
		struct dot d = k->entries[*at];
		uint64_t after = know_get(&p->push.base, d.origin);

		if (run->origin == d.origin)
			after = run_end(run);
		else if (after < d.seq)
			/* (one that is not here: it will see that) */
			r = chain_last(c->tree, (struct dot){d.origin, after},
				       &after);
		if (r == 0 && after < d.seq)
			r = run_take(c->tree, d.origin, after, d.seq, run);
		if (r < 0 || (after < d.seq && run->count))
			break;
	}
	store_unlock(c->store);
	return r;
}

static int push_send_marks(struct core *c, struct peer *p,
			   const struct know *k)
{
	cleanup(buf_release) struct buf runs = BUF_INIT;
	struct mark_run run = {.origin = 0};
	size_t at = 0;
	int r = 0;

	while (r == 0 && !p->dead) {
		r = push_take_runs(c, p, k, &at, &run);
		if (r == 0 && at < k->count)
			run_encode(&run, &runs);
		if (r == 0)
			r = buf_error(&runs);
		if (r == 0 && runs.len &&
		    (at == k->count || runs.len > REC_GATHER_BYTES)) {
			frame_begin(&c->frame, FRAME_MARKS);
			buf_put_slice(&c->frame, buf_slice(&runs));
			peer_send(c, p);
			buf_reset(&runs);
		}
		if (at == k->count)
			break;
	}
	return r;
}

static int push_cut_heads(struct core *c, struct cut *cut)
{
	int r;

	store_lock(c->store);
	r = heads_take(c->tree, &cut->k, &cut->heads);
	store_unlock(c->store);
	return r;
}

static void push_send_cut(struct core *c, struct peer *p, struct cut *cut)
{
	uint64_t own = know_get(&cut->k, c->origin);
	uint64_t base = know_get(&p->push.base, c->origin);

	c->counters.cuts_sent++;
	c->counters.changes_forwarded += know_lag(&cut->k, &p->push.base) -
					 (own > base ? own - base : 0);
	cut->rows = p->push.rows;
	frame_begin(&c->frame, FRAME_CUT);
	cut_encode(cut, &c->frame);
	peer_send(c, p);
	know_release(&p->push.k);
	p->push.k = cut->k;
	cut->k = KNOW_INIT;
	p->push.state = PUSH_ACK;
}

/*
 * Rows went meanwhile that this stream should have told of: by a full stream
 * that was applied here, or, where the peer lapsed in the middle of its own
 * full stream, by a purge. It may have been sent them while they lived. What
 * the peer knew to be dead is not meant.
 */
static bool push_is_void(struct core *c, struct peer *p, const struct cut *cut)
{
	return !know_leq(&cut->g, p->push.full ? &p->push.told
					       : &peer_status(c, p)->k);
}

/* Takes a slice, makes it durable, sends it. */
static int push_slice(struct core *c, struct peer *p)
{
	struct take t = {.c = c, .p = p, .last = p->push.after};
	struct cut cut = {.k = KNOW_INIT, .g = KNOW_INIT};
	int ended = push_take(&t, &cut), r = ended < 0 ? ended : 0;

	if (r == 0 && (t.last > c->synced_lseq ||
		       (ended && !know_leq(&cut.k, &c->own.k))))
		core_sync(c);
	if (r == 0 && !c->failure)
		r = push_send_content(c, p, &t.hashes);
	if (r == 0 && !c->failure)
		r = push_send_records(c, p, &t.records, t.last);
	if (r == 0 && !c->failure && !p->dead) {
		p->push.after = t.last;
		p->push.rows += t.rows;
		c->counters.rows_sent += t.rows;
		if (ended)
			r = push_cut_heads(c, &cut);
		if (ended && r == 0 && push_is_void(c, p, &cut))
			peer_fail(c, p, BYE_BEHIND, "what was purged here "
						    "calls for a full stream");
		if (ended && r == 0 && !p->dead)
			r = push_send_marks(c, p, &cut.k);
		if (ended && r == 0 && !p->dead)
			push_send_cut(c, p, &cut);
	}
	cut_release(&cut);
	buf_release(&t.records);
	buf_release(&t.hashes);
	return r;
}

/* ---- when */

int push_asked(struct core *c, struct peer *p, struct reader *r)
{
	cleanup(know_release) struct know k = KNOW_INIT;
	int e = know_decode(r, &k);

	(void)c;
	if (e < 0)
		return e;
	/* (what it knows it has said before, in its row) */
	p->push.pulled = true;
	return 0;
}

/* A full stream has a life of its own for each horizon: what was staged of
 * one must not be gone on with when rows of it have been purged since.
 * [locked] */
static int push_begin_full(struct core *c, struct peer *p, uint64_t *ret_life)
{
	const struct know *g = replica_horizon(c->tree);
	cleanup(buf_release) struct buf bytes = BUF_INIT;
	int r = know_copy(&p->push.told, &p->push.base);

	if (r == 0)
		r = know_join(&p->push.told, g);
	know_encode(g, &bytes);
	if (r == 0)
		r = buf_error(&bytes);
	*ret_life = checksum64(bytes.data, bytes.len, c->life) | STREAM_FULL;
	return r;
}

static int push_begin(struct core *c, struct peer *p)
{
	struct stream stream = {.life = c->life};
	int r = know_copy(&p->push.base, &peer_status(c, p)->k);

	if (r < 0)
		return r;
	p->push.after = 0;
	store_lock(c->store);
	p->push.full = !know_leq(replica_horizon(c->tree), &p->push.base);
	if (p->push.full)
		r = push_begin_full(c, p, &stream.life);
	else
		r = replica_cut_start(c->tree, &p->push.base, &p->push.after);
	p->push.echoes = p->push.full ? 0 : replica_lseq(c->tree);
	store_unlock(c->store);
	if (r < 0)
		return r;
	/* What it staged then was all that changed since something that it
	 * knew, and it knows no less now. */
	stream.after = p->push.after;
	if (p->push.resume_life == stream.life) {
		stream.after = MAX_OF(stream.after, p->push.resume_position);
		p->push.echoes = 0;
	}
	p->push.after = stream.after;
	p->push.resume_position = 0;
	p->push.rows = 0;
	p->push.pulled = false;
	p->push.state = PUSH_ROWS;
	frame_begin(&c->frame, FRAME_STREAM);
	stream_encode(&stream, &c->frame);
	peer_send(c, p);
	return 0;
}

int push_resume(struct core *c, struct peer *p, struct reader *r)
{
	cleanup(resume_release) struct resume s = {.k = KNOW_INIT};
	int e = resume_decode(r, &s);

	(void)c;
	/* Once, and before the first stream. */
	if (e == 0 && p->phase != PEER_STATUS)
		e = -EPROTO;
	if (e < 0)
		return e;
	if (s.complete) {
		/* It has a whole cut, and will know it without our help. */
		know_release(&p->push.k);
		p->push.k = s.k;
		s.k = KNOW_INIT;
		p->push.state = PUSH_ACK;
	} else {
		/* (whether it is still ours, push_begin() sees) */
		p->push.resume_life = s.life;
		p->push.resume_position = s.position;
	}
	return 0;
}

/* A full stream is asked for, of one peer: not all push it. */
static bool push_is_due(struct core *c, struct peer *p,
			const struct know *theirs)
{
	if (p->push.pulled)
		return true;
	return know_leq(&c->own.g, theirs) &&
	       know_get(&c->own.k, c->origin) > know_get(theirs, c->origin);
}

void push_tick(struct core *c, struct peer *p)
{
	const struct know *theirs = &peer_status(c, p)->k;
	int r = 0;

	if (p->push.state == PUSH_ACK && know_leq(&p->push.k, theirs))
		p->push.state = PUSH_IDLE;
	if (p->push.pulled && know_leq(&c->own.k, theirs))
		p->push.pulled = false;
	/* Rows and K do not belong together now. */
	if (apply_is_busy(c))
		return;
	if (p->push.state == PUSH_IDLE &&
	    peer_may_take(c, p) && push_is_due(c, p, theirs) &&
	    (know_get(theirs, c->origin) < c->urgent_seq ||
	     !instant_is_early(c)))
		r = push_begin(c, p);
	if (r == 0 && p->push.state == PUSH_ROWS &&
	    p->queued < QUEUE_BYTES_MAX) {
		r = push_slice(c, p);
		if (p->push.state == PUSH_ROWS && p->queued < QUEUE_BYTES_MAX)
			core_due(c, c->now_ms);
	}
	if (r < 0)
		core_fail(c, r, "cannot read what is to be sent");
}
