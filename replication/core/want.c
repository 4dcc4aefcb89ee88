/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Content by hash. What is wanted is asked of the tree again and again,
 * oldest object first; here is only what is in flight, and what was asked
 * for in vain. A hash is asked of one peer at a time, first of peers that
 * say they have all content that is known here; who answers NOHAVE is not
 * asked again before its C has grown, or WANT_RETRY_MS have passed; twice
 * that the next time, up to WANT_REST_MS, as long as nothing comes at all:
 * there may be content that nobody has any more.
 *
 * What a reader waits for is *urgent*: it is asked for at once, beyond the
 * usual number in flight, and with a flag that lets the peer send it before
 * all else that it was asked for, also if it was asked for that before. What
 * is urgent and not here is *passed on*: a content that was replaced before
 * it came is wanted by no row any more, so a node between who waits for it and
 * who has it would never ask for it by itself. Nothing of that is remembered
 * beyond the answers: who still waits asks again.
 *
 * Serving: a peer's wants wait in a ring of its own and are answered while
 * little is queued on its link and no records are to be sent, so that
 * content never delays records for longer than QUEUE_CHUNK_BYTES_MAX.
 */
#include <errno.h>
#include <string.h>

#include "fs/base/log.h"
#include "replication/core/core_internal.h"

/* ---- the table */

static struct want *want_find(struct core *c, const struct hash *hash)
{
	for (size_t i = 0; i < c->want_count; i++)
		if (hash_equal(&c->wants[i].hash, hash))
			return &c->wants[i];
	return NULL;
}

static void want_unassign(struct core *c, struct want *w)
{
	if (w->peer)
		w->peer->wants_in_flight--;
	w->peer = NULL;
	c->wants_stale = true;
}

static void want_remove(struct core *c, struct want *w)
{
	want_unassign(c, w);
	*w = c->wants[--c->want_count];
}

static bool want_tried(const struct want *w, const struct peer *p)
{
	return w->tried[p->slot / 64] >> p->slot % 64 & 1;
}

static void want_set_tried(struct want *w, const struct peer *p, bool tried)
{
	uint64_t bit = 1ull << p->slot % 64;

	if (tried)
		w->tried[p->slot / 64] |= bit;
	else
		w->tried[p->slot / 64] &= ~bit;
}

void want_retry(struct core *c, struct peer *p)
{
	for (size_t i = 0; i < c->want_count; i++) {
		if (c->wants[i].peer == p ||
		    (!want_tried(&c->wants[i], p) &&
		     c->wants[i].retry_ms == NEVER))
			continue;
		want_set_tried(&c->wants[i], p, false);
		c->wants[i].retry_ms = NEVER;
		c->wants_stale = true;
	}
}

void want_peer_gone(struct core *c, struct peer *p)
{
	for (size_t i = 0; i < c->want_count; i++) {
		if (c->wants[i].peer == p)
			want_unassign(c, &c->wants[i]);
		/* Its slot will be somebody else's. */
		want_set_tried(&c->wants[i], p, false);
	}
}

/* ---- asking */

/* Marks them, new or not. Those that were urgent before and that nobody had
 * back off as others. */
static void want_add_urgent(struct core *c)
{
	struct hash list[WANT_URGENT_MAX];
	size_t n;

	c->wants_urgent = false;
	store_lock(c->store);
	n = replica_urgent(c->tree, WANT_URGENT_MAX, list);
	store_unlock(c->store);
	for (size_t i = 0; i < n; i++) {
		struct want *w = want_find(c, &list[i]);

		if (!w && c->want_count == WANTS_MAX)
			want_remove(c, &c->wants[c->want_count - 1]);
		if (!w) {
			w = &c->wants[c->want_count++];
			*w = (struct want){.hash = list[i], .retry_ms = NEVER};
		}
		if (!w->urgent && w->peer)
			want_set_tried(w, w->peer, false); /* asked anew */
		/* Now it is passed on: who had it not may get it. */
		if (!w->urgent && w->retry_ms != NEVER) {
			memset(w->tried, 0, sizeof(w->tried));
			w->retry_ms = NEVER;
		}
		w->urgent = true;
		w->hops = 0;
	}
}

static int want_add(void *arg, const struct hash *hash)
{
	struct core *c = arg;

	if (want_find(c, hash) || c->want_count == WANTS_MAX)
		return 0;
	c->wants[c->want_count++] =
		(struct want){.hash = *hash, .retry_ms = NEVER};
	return 0;
}

/* Of two that were not tried: who has all content, then who is idler. */
static struct peer *want_choose(struct core *c, const struct want *w,
				bool *ret_tried_all)
{
	struct peer *best = NULL;
	bool best_complete = false;

	*ret_tried_all = true;
	for (size_t i = 0; i < c->peer_count; i++) {
		struct peer *p = c->peers[i];
		bool complete;

		if (p->dead || p->phase != PEER_READY || want_tried(w, p))
			continue;
		*ret_tried_all = false;
		if (p->wants_in_flight >=
		    WANTS_IN_FLIGHT_MAX + (w->urgent ? WANT_URGENT_MAX : 0))
			continue;
		complete = know_leq(&c->own.k, &peer_status(c, p)->c);
		if (!best || complete > best_complete ||
		    (complete == best_complete &&
		     p->wants_in_flight < best->wants_in_flight)) {
			best = p;
			best_complete = complete;
		}
	}
	return best;
}

/* When to ask for what nobody had again. A round is over when its time is;
 * what is in vain meanwhile waits for the same moment. */
static uint64_t want_retry_at(struct core *c, const struct want *w)
{
	if (w->urgent)
		return c->now_ms + WANT_RETRY_MS;
	if (c->now_ms >= c->wants_vain_ms) {
		uint64_t pause = (uint64_t)WANT_RETRY_MS << c->wants_vain;

		c->wants_vain_ms = c->now_ms + MIN_OF(pause, WANT_REST_MS);
		c->wants_vain += pause < WANT_REST_MS;
	}
	return c->wants_vain_ms;
}

static void want_assign(struct core *c)
{
	for (size_t i = 0; i < c->want_count; i++) {
		struct want *w = &c->wants[i];
		bool tried_all;

		if (w->peer || w->retry_ms != NEVER)
			continue;
		w->peer = want_choose(c, w, &tried_all);
		if (w->peer) {
			if (!w->peer->wants_in_flight++)
				w->peer->wants_progress_ms = c->now_ms;
		} else if (tried_all) {
			w->retry_ms = want_retry_at(c, w);
		}
	}
}

static void want_send(struct core *c, struct peer *p, struct hash_list *list,
		      uint8_t flags)
{
	if (!list->count)
		return;
	frame_begin(&c->frame, FRAME_WANT);
	hash_list_encode(list, &c->frame);
	buf_put_u8(&c->frame, flags);
	peer_send(c, p);
	list->count = 0;
}

static bool want_is_new(const struct want *w, const struct peer *p)
{
	return w->peer == p && !want_tried(w, p);
}

/* In which order it is asked for: what somebody here waits for, somebody a
 * hop away, and so on; last what nobody waits for. */
#define WANT_RANKS (WANT_HOPS_MAX + 2)

static size_t want_rank(const struct want *w)
{
	return w->urgent ? w->hops : WANT_RANKS - 1;
}

static uint8_t rank_flags(size_t rank)
{
	return rank == WANT_RANKS - 1
		       ? 0
		       : (uint8_t)(WANT_URGENT | rank << WANT_HOPS_SHIFT);
}

/* Those assigned to it and not yet asked for: sorted by rank, in the order
 * of the table. Each rank is a frame, or several. */
static void want_send_new(struct core *c, struct peer *p)
{
	struct hash_list list = {.count = 0};
	uint16_t order[WANTS_MAX];
	size_t ends[WANT_RANKS] = {0}, starts[WANT_RANKS], n = 0;

	for (size_t i = 0; i < c->want_count; i++)
		if (want_is_new(&c->wants[i], p))
			ends[want_rank(&c->wants[i])]++;
	for (size_t rank = 0; rank < WANT_RANKS; rank++) {
		starts[rank] = n;
		n = ends[rank] += n;
	}
	if (!n)
		return;
	for (size_t i = 0; i < c->want_count; i++)
		if (want_is_new(&c->wants[i], p))
			order[starts[want_rank(&c->wants[i])]++] = (uint16_t)i;
	for (size_t k = 0, rank = 0; rank < WANT_RANKS; rank++) {
		for (; k < ends[rank]; k++) {
			struct want *w = &c->wants[order[k]];

			/* Asked once; what it answers decides about a second
			 * time. */
			want_set_tried(w, p, true);
			list.hash[list.count++] = w->hash;
			if (list.count == WANT_HASHES_MAX)
				want_send(c, p, &list, rank_flags(rank));
		}
		want_send(c, p, &list, rank_flags(rank));
	}
}

/* Stalled peers lose what was asked of them; waiting ends by and by. */
static void want_expire(struct core *c)
{
	for (size_t i = 0; i < c->peer_count; i++) {
		struct peer *p = c->peers[i];
		uint64_t limit = p->wants_progress_ms + PROGRESS_TIMEOUT_MS;

		if (p->dead || !p->wants_in_flight)
			continue;
		if (c->now_ms < limit) {
			core_due(c, limit);
			continue;
		}
		for (size_t k = 0; k < c->want_count; k++)
			if (c->wants[k].peer == p)
				want_unassign(c, &c->wants[k]);
	}
	for (size_t i = c->want_count; i-- > 0;) {
		struct want *w = &c->wants[i];

		if (w->retry_ms == NEVER)
			continue;
		/* Perhaps it is not wanted any more: look again. */
		if (c->now_ms >= w->retry_ms)
			want_remove(c, w);
		else
			core_due(c, w->retry_ms);
	}
}

/* How many more may be asked for; 0 while more than half is in flight:
 * looking for what is wanted is not done for each chunk. */
static size_t want_room(const struct core *c)
{
	size_t room = 0, links = 0;

	for (size_t i = 0; i < c->peer_count; i++) {
		const struct peer *p = c->peers[i];

		if (p->dead || p->phase != PEER_READY)
			continue;
		links++;
		room += WANTS_IN_FLIGHT_MAX -
			MIN_OF(p->wants_in_flight, WANTS_IN_FLIGHT_MAX);
	}
	return room >= links * WANTS_IN_FLIGHT_MAX / 2 ? room : 0;
}

/* Gives each to a peer, and asks. */
static void want_ask(struct core *c)
{
	want_assign(c);
	for (size_t i = 0; i < c->peer_count; i++)
		if (!c->peers[i]->dead)
			want_send_new(c, c->peers[i]);
}

/* Readers wait only while there is somebody to wait for. */
static void want_tell_reachable(struct core *c)
{
	bool reachable = false;

	for (size_t i = 0; !reachable && i < c->peer_count; i++)
		reachable = !c->peers[i]->dead &&
			    c->peers[i]->phase == PEER_READY;
	if (reachable == c->told_reachable)
		return;
	c->told_reachable = reachable;
	store_lock(c->store);
	replica_set_reachable(c->tree, reachable);
	store_unlock(c->store);
}

void want_tick(struct core *c)
{
	size_t room;
	int64_t r;

	want_tell_reachable(c);
	want_expire(c);
	if (c->now_ms < c->wants_rest_ms) {
		core_due(c, c->wants_rest_ms);
		return;
	}
	if (c->wants_urgent || c->wants_onward) {
		c->wants_onward = false;
		if (c->wants_urgent)
			want_add_urgent(c);
		want_ask(c);
	}
	room = want_room(c);
	if (!c->wants_stale || !room)
		return;
	c->wants_stale = false;
	store_lock(c->store);
	r = replica_wants(c->tree,
			  MIN_OF(c->want_count + room, (size_t)WANTS_MAX),
			  want_add, c);
	store_unlock(c->store);
	if (r < 0) {
		core_fail(c, (int)r, "cannot tell what content is missing");
		return;
	}
	want_ask(c);
	/* What was just put off is looked at in time. */
	want_expire(c);
}

void core_wanted(struct core *c, uint64_t now_ms)
{
	c->now_ms = now_ms;
	c->wants_urgent = true;
	c->wants_stale = true;
}

/* ---- answers */

static int want_unpack(struct core *c, const struct chunk_frame *f,
		       struct slice *ret)
{
	int r;

	*ret = f->bytes;
	if (!(f->flags & CHUNK_ZSTD))
		return 0;
	r = unpack_one(&c->chunk_unpacker, f->bytes, f->len, &c->scratch);
	*ret = buf_slice(&c->scratch);
	return r;
}

/* There is no room for it. It is asked for again, and so is all else, when
 * some may have been made. */
static void want_put_off(struct core *c, const struct hash *hash)
{
	struct want *w = want_find(c, hash);

	if (!c->wants_rest_ms)
		log_warn("there is no room for content that peers send");
	c->wants_rest_ms = c->now_ms + WANT_RETRY_MS;
	if (w)
		want_remove(c, w);
}

int want_chunk(struct core *c, struct peer *p, struct reader *r)
{
	struct chunk_frame f;
	struct slice bytes;
	struct want *w;
	int e = chunk_frame_decode(r, &f);

	if (e == 0)
		e = want_unpack(c, &f, &bytes);
	if (e == 0)
		e = replica_chunk_received(c->tree, &f.hash, bytes);
	if (core_passes(c, e)) {
		want_put_off(c, &f.hash);
		return 0;
	}
	if (e < 0)
		return e;
	c->counters.chunks_received++;
	c->wants_rest_ms = 0;
	c->wants_vain = 0;
	w = want_find(c, &f.hash);
	if (w) {
		want_remove(c, w);
		c->wants_filled = true;
	}
	p->wants_progress_ms = c->now_ms;
	if (p->pull.active)
		p->pull.progress_ms = c->now_ms;
	c->content_arrived = true;
	core_sync_in(c, CONTENT_SETTLE_MS);
	return 0;
}

int want_nohave(struct core *c, struct peer *p, struct reader *r)
{
	struct hash_list list;
	int e = hash_list_decode(r, &list);

	for (size_t i = 0; e == 0 && i < list.count; i++) {
		struct want *w = want_find(c, &list.hash[i]);

		if (w && w->peer == p)
			want_unassign(c, w);
		p->wants_progress_ms = c->now_ms;
	}
	return e;
}

/* ---- serving */

static struct hash *asked_at(struct peer *p, size_t i)
{
	return &p->asked[(p->asked_first + i) % ASKED_MAX];
}

/* Takes it out if it is there, and puts it before all others. */
static void asked_first(struct peer *p, const struct hash *hash)
{
	size_t i = 0;

	while (i < p->asked_count && !hash_equal(asked_at(p, i), hash))
		i++;
	if (i == p->asked_count) {
		p->asked_first = (p->asked_first + ASKED_MAX - 1) % ASKED_MAX;
		p->asked_count++;
		i = 0;
	}
	for (; i > 0; i--)
		*asked_at(p, i) = *asked_at(p, i - 1);
	*asked_at(p, 0) = *hash;
}

/* Others are asked for what is not here; not who asks. */
static void want_pass_on(struct core *c, struct peer *p,
			 const struct hash *hash, uint8_t hops)
{
	size_t onward = 0;
	struct want *w;
	bool here;

	store_lock(c->store);
	here = chunk_exists(c->store, hash);
	store_unlock(c->store);
	for (size_t i = 0; i < c->want_count; i++)
		onward += c->wants[i].hops > 0;
	if (here || want_find(c, hash) || onward >= WANT_ONWARD_MAX ||
	    c->want_count == WANTS_MAX)
		return;
	w = &c->wants[c->want_count++];
	*w = (struct want){.hash = *hash,
			   .retry_ms = NEVER,
			   .urgent = true,
			   .hops = hops};
	want_set_tried(w, p, true);
	c->wants_onward = true;
	core_due(c, c->now_ms);
}

int want_asked(struct core *c, struct peer *p, struct reader *r)
{
	struct hash_list list;
	int e = hash_list_decode(r, &list);
	uint8_t flags = e == 0 && reader_left(r) ? reader_u8(r) : 0;
	uint8_t hops = flags >> WANT_HOPS_SHIFT;

	if (flags & WANT_URGENT && hops < WANT_HOPS_MAX)
		for (size_t i = 0; e == 0 && i < list.count; i++)
			want_pass_on(c, p, &list.hash[i], (uint8_t)(hops + 1));
	if (e == 0 && p->asked_count + list.count > ASKED_MAX)
		e = -EPROTO;
	if (e == 0 && flags & WANT_URGENT)
		for (size_t i = list.count; i-- > 0;)
			asked_first(p, &list.hash[i]);
	else if (e == 0)
		for (size_t i = 0; i < list.count; i++)
			*asked_at(p, p->asked_count++) = list.hash[i];
	return e;
}

void want_serve(struct core *c, struct peer *p)
{
	bool rows_first = p->push.state == PUSH_ROWS && !apply_is_busy(c);

	while (p->asked_count && !p->dead && !rows_first &&
	       p->queued < QUEUE_CHUNK_BYTES_MAX) {
		struct hash_list none = {.count = 1};
		int r = push_chunk(c, p, &p->asked[p->asked_first]);

		none.hash[0] = p->asked[p->asked_first];
		p->asked_first = (p->asked_first + 1) % ASKED_MAX;
		p->asked_count--;
		if (r < 0) {
			core_fail(c, r, "cannot read content to be sent");
			return;
		}
		if (r == 0) {
			frame_begin(&c->frame, FRAME_NOHAVE);
			hash_list_encode(&none, &c->frame);
			peer_send(c, p);
		}
	}
}
