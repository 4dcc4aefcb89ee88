/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rounds: their states, their barriers, and when one is due.
 *
 * The order of the opening is all. First the segments are sealed: who takes
 * a place behind that lies behind the candidates. Then, in one hold of the
 * lock, the barriers are raised and the epoch turns. So whoever entered the
 * old epoch may have appended to a candidate, or looked something up without
 * leaving a mark, and is waited for; whoever enters the new one cannot have.
 * The walk of the tables begins only then.
 *
 * The barriers see every change of the tables but those of a replay, which
 * makes the same tables again, and of an undo, which brings back what was
 * handed to barrier (a) a moment before.
 *
 * Who changes tables while a round marks pays for it by a look at the old
 * value, without allocation; what he hands over waits on a stack of bounded
 * size. Where that is full the round is given up: garbage stays a while.
 *
 * When a round is due is a guess (the tables say what they name, not what of
 * it is the same), and only costs time when it is wrong.
 */
#include "fs/store/reclaim.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/base/log.h"
#include "fs/store/io.h"
#include "fs/store/store_internal.h"

#define META_RECLAIM "reclaim"
#define RECORD_FORMAT 1
#define RECORD_BYTES 33

/* ---- what lies in the segments */

/* What the disk says, and from when on appended bytes are to be added. */
struct measure {
	uint64_t bytes, then;
	uint32_t end;
	uint64_t below_end; /* of bytes: of segments below that */
};

static int measure_one(void *arg, const struct segment_facts *f)
{
	struct measure *m = arg;

	m->bytes += f->allocated;
	if (f->number < m->end)
		m->below_end += f->allocated;
	return 0;
}

static int measure(struct store *s, uint32_t end, struct measure *ret)
{
	*ret = (struct measure){.end = end};
	ret->then = segments_appended_bytes(s->segments);
	return segments_list(s->segments, measure_one, ret);
}

static uint64_t allocated_now(struct store *s)
{
	return s->reclaim.facts.allocated_bytes +
	       segments_appended_bytes(s->segments) - s->reclaim.appended_then;
}

/* ---- the record of the last round */

static void record_load(struct store *s)
{
	struct reclaim_facts *f = &s->reclaim.facts;
	struct slice v;
	struct reader in;

	if (store_get(s, TABLE_META, SLICE_STR(META_RECLAIM), &v))
		return;
	in = READER(v.data, v.len);
	if (reader_u8(&in) != RECORD_FORMAT)
		reader_fail(&in);
	f->last_s = (int64_t)reader_u64(&in);
	f->live_bytes = reader_u64(&in);
	f->freed_bytes = reader_u64(&in);
	f->moved_bytes = reader_u64(&in);
	/* (it is a hint: without it a round is due sooner) */
	if (reader_done(&in))
		f->last_s = f->live_bytes = f->freed_bytes = f->moved_bytes =
			0;
}

static int record_store(struct store *s)
{
	const struct reclaim_facts *f = &s->reclaim.facts;
	uint8_t v[RECORD_BYTES] = {RECORD_FORMAT};
	int r = store_op_begin(s);

	if (r)
		return r;
	put_le64(v + 1, (uint64_t)f->last_s);
	put_le64(v + 9, f->live_bytes);
	put_le64(v + 17, f->freed_bytes);
	put_le64(v + 25, f->moved_bytes);
	r = store_put(s, TABLE_META, SLICE_STR(META_RECLAIM),
		      SLICE(v, sizeof(v)));
	if (r)
		store_op_abort(s);
	return r ? r : store_op_end(s);
}

void store_set_roots(struct store *s, const struct store_roots *roots)
{
	struct reclaim_state_of_store *st = &s->reclaim;
	struct measure m;
	int r;

	store_assert_locked(s);
	st->roots = *roots;
	r = measure(s, 0, &m);
	if (r)
		log_errno(r, "the segments of '%s' cannot be measured",
			  s->path);
	st->facts.allocated_bytes = m.bytes;
	st->appended_then = m.then;
	record_load(s);
}

/* ---- when */

/* What is in use, as far as can be told without a walk. */
static int64_t live_now(const struct store *s)
{
	const struct reclaim_state_of_store *st = &s->reclaim;
	int64_t live = (int64_t)st->facts.live_bytes + st->named.raw +
		       MIN_OF(st->named.content, (int64_t)st->chunk_bytes);

	return MAX_OF(live, (int64_t)0);
}

uint64_t reclaim_garbage(struct store *s)
{
	int64_t garbage;

	store_lock(s);
	garbage = (int64_t)allocated_now(s) - live_now(s) - s->reclaim.left;
	store_unlock(s);
	return garbage > 0 ? (uint64_t)garbage : 0;
}

static bool is_due(struct store *s)
{
	const struct reclaim_state_of_store *st = &s->reclaim;
	int64_t live, garbage;

	if (!st->roots.each || st->round)
		return false;
	live = live_now(s);
	garbage = (int64_t)allocated_now(s) - live;
	/* (what the last round could not get will not come now) */
	if (garbage <= st->left + RECLAIM_STEP_BYTES)
		return false;
	return garbage > live / 10 + RECLAIM_SLACK_BYTES ||
	       space_is_short(&s->space);
}

bool reclaim_is_due(struct store *s)
{
	bool yes;

	store_lock(s);
	yes = is_due(s);
	store_unlock(s);
	return yes;
}

static void tell_if_due(struct store *s)
{
	if (s->reclaim.told || !s->reclaim.on_due || !is_due(s))
		return;
	s->reclaim.told = true;
	s->reclaim.on_due(s->reclaim.on_due_arg);
}

void reclaim_on_due(struct store *s, void (*fn)(void *arg), void *arg)
{
	store_lock(s);
	s->reclaim.on_due = fn;
	s->reclaim.on_due_arg = arg;
	s->reclaim.told = false;
	tell_if_due(s);
	store_unlock(s);
}

void reclaim_op_ended(struct store *s)
{
	struct reclaim_state_of_store *st = &s->reclaim;

	st->named.content += s->op.named.content;
	st->named.raw += s->op.named.raw;
	st->chunk_bytes += s->op.chunk_bytes;
	tell_if_due(s);
}

/* ---- barriers */

struct change {
	struct store *store;
	struct reclaim *round; /* what was named stays in use; or NULL */
	struct named *named;
	int sign;
};

static int change_root(void *arg, const struct store_root *root)
{
	struct change *c = arg;
	struct reclaim *g = c->round;

	/* (to look for it is to mark it; its bytes count as a content's) */
	if (root->chunk) {
		if (g)
			(void)chunk_exists(c->store, root->chunk);
		return 0;
	}
	if (root->content) {
		c->named->content += c->sign * (int64_t)root->content->size;
		if (g)
			reclaim_grey(g, root->content);
		return 0;
	}
	c->named->raw += c->sign * (int64_t)root->len;
	if (g)
		reclaim_mark_raw(g, root->loc, root->len);
	return 0;
}

void reclaim_changes(struct store *s, enum store_table t, struct slice key,
		     struct slice old, struct slice now)
{
	const struct store_roots *roots = &s->reclaim.roots;
	struct reclaim *g = s->reclaim.round;
	struct change c = {.store = s, .named = &s->op.named, .sign = -1};

	if (!(roots->tables >> t & 1))
		return;
	c.round = g && g->greying ? g : NULL;
	if (old.len && roots->each(t, key, old, change_root, &c) && c.round)
		g->error = -EUCLEAN; /* who knows what it named */
	c.round = NULL;
	c.sign = 1;
	if (now.len)
		(void)!roots->each(t, key, now, change_root, &c);
}

void reclaim_unknown(struct store *s, enum store_table t)
{
	struct reclaim *g = s->reclaim.round;

	if (g && g->greying && s->reclaim.roots.tables >> t & 1)
		g->error = -EUCLEAN;
}

void reclaim_touch(struct store *s, struct data_loc loc, uint32_t len)
{
	struct reclaim *g = s->reclaim.round;

	if (g && g->touching)
		(void)used_set(&g->used, loc, len);
}

/* ---- a round */

static void round_free(struct reclaim *g)
{
	if (!g)
		return;
	used_release(&g->used);
	buf_release(&g->block);
	free(g->moves);
	free(g->grey);
	free(g->seen);
	free(g);
}

void reclaim_release(struct store *s)
{
	round_free(steal(&s->reclaim.round));
}

int reclaim_begin(struct store *s, const struct reclaim_options *o)
{
	struct reclaim *g;

	if (!s->reclaim.roots.each)
		return -EOPNOTSUPP;
	g = calloc(1, sizeof(*g));
	if (g)
		g->seen = calloc(SEEN_SLOTS, sizeof(*g->seen));
	if (!g || !g->seen) {
		round_free(g);
		return -ENOMEM;
	}
	g->state = RECLAIM_OPENING;
	g->now_s = o->now_s;
	g->slice = o->slice ? MIN_OF(o->slice, SLICE_MAX) : SLICE_MAX;
	store_lock(s);
	if (s->reclaim.round) {
		store_unlock(s);
		round_free(g);
		return -EALREADY;
	}
	g->no_punch = s->reclaim.no_punch;
	s->reclaim.round = g;
	store_unlock(s);
	return 0;
}

bool reclaim_is_running(struct store *s)
{
	bool yes;

	store_lock(s);
	yes = s->reclaim.round;
	store_unlock(s);
	return yes;
}

static void round_end(struct store *s, int error)
{
	struct reclaim *g;

	store_lock(s);
	g = steal(&s->reclaim.round);
	s->reclaim.facts.error = error;
	s->reclaim.told = false;
	store_unlock(s);
	round_free(g);
}

void reclaim_stop(struct store *s)
{
	if (reclaim_is_running(s))
		round_end(s, 0);
}

struct candidates {
	struct reclaim *round;
	uint64_t segment_bytes;
};

static int candidate_add(void *arg, const struct segment_facts *f)
{
	struct candidates *c = arg;

	/* (somebody may still write at a place that he took before) */
	return f->number >= c->round->end ?
		       0 :
		       used_add(&c->round->used, f->number,
				 f->bytes, MAX_OF(f->bytes, c->segment_bytes),
				 f->allocated);
}

static int round_open(struct store *s, struct reclaim *g)
{
	struct candidates c = {.round = g};
	int r;

	if (!holds_drained(&s->holds))
		return -EAGAIN;
	r = segments_seal(s->segments, &g->end);
	if (r)
		return r;
	c.segment_bytes = segments_bytes(s->segments);
	r = segments_list(s->segments, candidate_add, &c);
	if (r)
		return r;
	used_sort(&g->used);
	store_lock(s);
	g->touching = g->greying = true;
	/* (only rounds turn it) */
	kin_assert(holds_turn(&s->holds));
	store_unlock(s);
	g->state = RECLAIM_DRAINING;
	return 0;
}

static int round_drain(struct store *s, struct reclaim *g)
{
	if (!holds_drained(&s->holds))
		return -EAGAIN;
	g->state = RECLAIM_MARKING;
	reclaim_key_first(g);
	return 0;
}

static int round_mark(struct store *s, struct reclaim *g)
{
	int r = reclaim_mark(s, g);

	if (r == 1) {
		reclaim_key_first(g);
		g->state = RECLAIM_SWEEPING;
		r = 0;
	}
	return r;
}

static int round_sweep(struct store *s, struct reclaim *g)
{
	int r = reclaim_sweep(s, g);

	if (r != 1)
		return r;
	store_lock(s);
	g->touching = false;
	store_unlock(s);
	r = reclaim_choose(s, g);
	reclaim_key_first(g);
	g->state = r == 1 ? RECLAIM_COLLECTING : RECLAIM_COMMITTING;
	return MIN_OF(r, 0);
}

static int round_commit(struct store *s, struct reclaim *g)
{
	int r = store_commit(s);

	if (r)
		return r;
	kin_assert(holds_turn(&s->holds));
	g->state = RECLAIM_SETTLING;
	return 0;
}

static uint64_t round_live(const struct reclaim *g)
{
	uint64_t live = g->new_live;

	for (size_t i = 0; i < g->used.count; i++)
		live += g->used.list[i].live_bytes +
			g->used.list[i].raw_bytes;
	return live;
}

/* What its candidates take less of the disk than before. */
static uint64_t round_freed(const struct reclaim *g, uint64_t now)
{
	uint64_t was = 0;

	for (size_t i = 0; i < g->used.count; i++)
		was += g->used.list[i].allocated;
	return was > now ? was - now : 0;
}

static int round_finish(struct store *s, struct reclaim *g)
{
	struct reclaim_state_of_store *st = &s->reclaim;
	struct measure m;
	int r = measure(s, g->end, &m);

	if (r)
		return r;
	store_lock(s);
	st->facts.allocated_bytes = m.bytes;
	st->appended_then = m.then;
	st->facts.live_bytes = round_live(g);
	st->facts.freed_bytes = round_freed(g, m.below_end);
	st->facts.moved_bytes = g->moved;
	st->facts.last_s = g->now_s;
	st->left = (int64_t)m.bytes - (int64_t)st->facts.live_bytes;
	st->facts.rounds++;
	st->named = (struct named){0};
	st->chunk_bytes = 0;
	r = record_store(s);
	store_unlock(s);
	return r ? r : 1;
}

static int round_step(struct store *s, struct reclaim *g)
{
	int r = store_failure(s);

	if (r)
		return r;
	switch (g->state) {
	case RECLAIM_OPENING:
		return round_open(s, g);
	case RECLAIM_DRAINING:
		return round_drain(s, g);
	case RECLAIM_MARKING:
		return round_mark(s, g);
	case RECLAIM_SWEEPING:
		return round_sweep(s, g);
	case RECLAIM_COLLECTING:
		r = reclaim_collect(s, g);
		break;
	case RECLAIM_MOVING:
		r = reclaim_move(s, g);
		break;
	case RECLAIM_COMMITTING:
		return round_commit(s, g);
	case RECLAIM_SETTLING:
		if (!holds_drained(&s->holds))
			return -EAGAIN;
		g->state = RECLAIM_PUNCHING;
		return 0;
	case RECLAIM_PUNCHING:
		r = reclaim_punch(s, g);
		break;
	case RECLAIM_ENDING:
		return round_finish(s, g);
	case RECLAIM_IDLE:
		kin_assert(!"a round without a state");
	}
	if (r != 1)
		return r;
	g->state++;
	return 0;
}

int reclaim_step(struct store *s)
{
	struct reclaim *g;
	int r;

	store_lock(s);
	g = s->reclaim.round;
	store_unlock(s);
	if (!g)
		return 1;
	r = round_step(s, g);
	if (r != -EAGAIN)
		__atomic_store_n(&g->held_ms, 0, __ATOMIC_RELAXED);
	else if (!g->held_ms)
		__atomic_store_n(&g->held_ms, io_now_ms(), __ATOMIC_RELAXED);
	if (r && r != -EAGAIN)
		round_end(s, MIN_OF(r, 0));
	return r;
}

void reclaim_facts(struct store *s, struct reclaim_facts *ret)
{
	store_lock(s);
	*ret = s->reclaim.facts;
	ret->allocated_bytes = allocated_now(s);
	ret->running = s->reclaim.round;
	if (s->reclaim.round) {
		uint64_t since = __atomic_load_n(&s->reclaim.round->held_ms,
						 __ATOMIC_RELAXED);

		ret->held_ms = since ? io_now_ms() - since : 0;
	}
	store_unlock(s);
}
