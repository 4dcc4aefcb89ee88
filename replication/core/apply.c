/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Staged cuts: whose they are, which one is applied, which are swept.
 *
 * A small cut is merged in one operation when its CUT comes. A large one,
 * and any that comes while one is in hand, is *complete* then and waits for
 * its turn; from there on it needs no peer, and one that is in the table is
 * found again by a restart. Applying goes in slices, at most one a tick, so
 * that links, PINGs and local operations live on beside it:
 *
 *	0. the header says STAGE_APPLYING, and the tree where it is going to
 *	1. each STAGE_ROW is merged and deleted. (A row that was merged twice
 *	   would bring back what was edited between.) What must be re-stamped
 *	   or revived at the end is noted in the table.
 *	2. of a full stream, what was not in it (full.c); re-stamps, revivals
 *	3. K is joined, and all is forgotten but what is to be swept.
 *
 * Each step is one operation of the store, so a crash loses none and repeats
 * none. In between, rows say more than K: apply_is_busy(). Nothing is
 * streamed out then, and no entry made in the cut table. If what is staged
 * of it is lost to damage, that lasts until another cut brings as much.
 *
 * What is staged and of no use any more is deleted in slices too.
 */
#include <errno.h>

#include "fs/base/log.h"
#include "fs/store/headroom.h"
#include "fs/store/store.h"
#include "replication/core/core_internal.h"

/* A staged cut that nobody goes on with is of no use after a day. */
#define STAGE_IDLE_MS (24ull * 3600 * 1000)
/* After an error that may pass (a full disk) a slice is tried again. */
#define APPLY_RETRY_MS 5000
/* Bytes of all that is staged: at most so much, ... */
#define STAGED_BYTES_MAX (8ull << 30)
/* ... and one part in so many of what is free on the disk. */
#define STAGED_FREE_PART 4

bool apply_is_busy(const struct core *c)
{
	return c->applying != NULL || c->half_applied;
}

/* Does K say all that the rows do? */
static void half_applied_look(struct core *c)
{
	store_lock(c->store);
	c->half_applied = replica_applying(c->tree);
	store_unlock(c->store);
}

/* ---- the list */

struct stage *stage_of(struct core *c, uint64_t tag, enum stage_state state)
{
	struct stage *s = c->stages;

	while (s && (s->tag != tag || s->state != state))
		s = s->next;
	return s;
}

int stage_begin(struct core *c, uint64_t tag, struct stage **ret)
{
	struct stage **last = &c->stages;
	int r = stage_new(c->store, c->next_stage, ret);

	if (r < 0)
		return r;
	c->next_stage++;
	(*ret)->tag = tag;
	while (*last)
		last = &(*last)->next;
	*last = *ret;
	return 0;
}

void stages_drop(struct core *c)
{
	struct stage *s = c->stages;

	while (s) {
		struct stage *next = s->next;

		if (s->state != STAGE_DROPPED)
			stage_drop(c, s);
		s = next;
	}
}

static void stage_unlist(struct core *c, struct stage *s)
{
	struct stage **at = &c->stages;

	while (*at != s)
		at = &(*at)->next;
	*at = s->next;
	stage_free(s);
}

void stage_drop(struct core *c, struct stage *s)
{
	int r;

	kin_assert(s->state != STAGE_APPLYING);
	if (!s->stored) {
		stage_unlist(c, s);
		return;
	}
	r = stage_set_state(s, STAGE_DROPPED);
	if (r < 0) {
		core_fail(c, r, "cannot drop what was staged");
		return;
	}
	core_due(c, c->now_ms);
}

void stage_park(struct core *c, struct stage *s)
{
	/* What is not in the table yet is sent again. */
	s->idle_ms = c->now_ms;
	if (!s->stored || stage_flush(s, c->slice_rows) < 0)
		stage_drop(c, s);
}

int stage_room(struct core *c)
{
	uint64_t limit = c->staged_bytes_max, bytes = 0, free_bytes;
	int r;

	for (const struct stage *s = c->stages; s; s = s->next)
		bytes += s->bytes;
	r = store_free_bytes(c->store, &free_bytes);
	if (r == 0)
		limit = MIN_OF(limit, (free_bytes + bytes) / STAGED_FREE_PART);
	return bytes > limit ? -E2BIG : 0;
}

/* K of one that is complete; *ret is initialised by this. */
static int stage_cut(const struct stage *s, struct cut *ret)
{
	struct reader r = READER(s->cut.data, s->cut.len);
	int e;

	*ret = (struct cut){.k = KNOW_INIT, .g = KNOW_INIT};
	e = cut_decode(&r, ret);
	return e == -EBADMSG ? -EUCLEAN : e;
}

int stages_coming(struct core *c, struct know *k)
{
	int r = 0;

	for (struct stage *s = c->stages; r == 0 && s; s = s->next) {
		struct cut cut;

		if (s->state != STAGE_COMPLETE && s->state != STAGE_APPLYING)
			continue;
		r = stage_cut(s, &cut);
		if (r == 0)
			r = know_join(k, &cut.k);
		cut_release(&cut);
	}
	return r;
}

/* ---- slices */

struct slices {
	struct core *core;
	struct stage *stage;
	struct cut cut;
	struct merge merge;
	struct buf row;	  /* a copy: the store moves what it lent */
	size_t left;	  /* entries that this operation may still do */
	uint64_t bytes;
	bool done;
};

/* Takes the first entry of a kind out of the table. Returns 1, or 0 when
 * there is none, or when this operation has done enough. */
static int slices_take(struct slices *s, enum stage_kind kind,
		       struct objid *ret)
{
	struct slice value;
	int r;

	if (!s->left || s->bytes >= STAGE_SLICE_BYTES) {
		s->left = 0;
		return 0;
	}
	r = stage_seek(s->stage, kind, NULL, ret, &value);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	buf_reset(&s->row);
	buf_put_slice(&s->row, value);
	r = buf_error(&s->row);
	if (r == 0)
		r = stage_entry_del(s->stage, kind, *ret);
	s->left--;
	s->bytes += s->row.len;
	return r < 0 ? r : 1;
}

/* Above K nobody reads them yet. */
static int slices_marks(struct slices *s)
{
	struct objid id;
	int r;

	while ((r = slices_take(s, STAGE_MARKS, &id)) > 0) {
		struct reader in = READER(s->row.data, s->row.len);
		struct mark_run run;

		r = run_decode(&in, &run);
		if (r == 0)
			r = fork_write_run(s->core->tree, &run);
		if (r < 0)
			break;
	}
	return r;
}

static int slices_rows(struct slices *s)
{
	struct objid id;
	int r;

	while ((r = slices_take(s, STAGE_ROW, &id)) > 0) {
		r = merge_row(&s->merge, id, buf_slice(&s->row));
		if (r > 0)
			r = stage_entry_put(s->stage, STAGE_RESTAMP, id,
					    buf_slice(&s->row));
		if (r == 0 && s->cut.flags & CUT_FULL)
			r = full_note(s->stage, &s->merge, id,
				      buf_slice(&s->row));
		if (r < 0)
			break;
	}
	return r;
}

static int slices_restamps(struct slices *s)
{
	struct objid id;
	int r;

	while ((r = slices_take(s, STAGE_RESTAMP, &id)) > 0) {
		r = merge_restamp(&s->merge, id, buf_slice(&s->row));
		if (r < 0)
			break;
	}
	return r;
}

static int slices_revivals(struct slices *s)
{
	struct objid dir;
	int r;

	while ((r = slices_take(s, STAGE_REVIVE, &dir)) > 0) {
		r = replica_revive(s->core->tree, dir);
		if (r < 0)
			break;
	}
	return r;
}

static int note_revival(void *arg, struct objid dir)
{
	struct slices *s = arg;

	return stage_entry_put(s->stage, STAGE_REVIVE, dir, SLICE(NULL, 0));
}

static int slices_finish(struct slices *s)
{
	int r = replica_finish(s->core->tree);

	if (r == 0)
		r = fork_write_births(s->core->tree, &s->cut.heads);
	if (r == 0)
		r = replica_applying_end(s->core->tree, &s->cut.k);
	if (r == 0 && s->cut.flags & CUT_FULL)
		r = replica_horizon_join(s->core->tree, &s->cut.g);
	replica_hlc_heard(s->core->tree, s->cut.hlc);
	s->done = r == 0;
	return r == 0 ? stage_put_header(s->stage, STAGE_DROPPED) : r;
}

/* As much of the steps, in their order, as one operation may do. */
static int slices_do(struct slices *s)
{
	int r = slices_marks(s);

	if (r == 0 && s->left)
		r = slices_rows(s);

	if (r == 0 && s->left && s->cut.flags & CUT_FULL)
		r = full_end(s->core, s->stage, &s->cut.k, &s->left);
	if (r == 0 && s->left)
		r = slices_restamps(s);
	/* Those of earlier operations: those of this one are noted below. */
	if (r == 0 && s->left)
		r = slices_revivals(s);
	if (r == 0 && s->left)
		return slices_finish(s);
	return r < 0 ? r : replica_defer(s->core->tree, note_revival, s);
}

/* [locked] */
static int slices_op(struct slices *s)
{
	int r = merge_init(&s->merge, s->core->tree, &s->cut.k, s->stage->tag);

	s->merge.halves = s->cut.flags & CUT_FULL &&
		!know_leq(replica_horizon(s->core->tree), &s->cut.k);
	if (r == 0)
		r = replica_begin(s->core->tree);
	return r < 0 ? r : replica_end(s->core->tree, slices_do(s));
}

/* ---- one step a tick */

static void apply_done(struct core *c, struct stage *s)
{
	c->counters.cuts_received++;
	c->wants_stale = true;
	c->may_bring_back = true;
	c->applying = NULL;
	half_applied_look(c);
	s->state = STAGE_DROPPED;
	core_sync_in(c, 0);
}

static int apply_slice(struct core *c, struct stage *stage)
{
	struct slices s = {
		.core = c,
		.stage = stage,
		.row = BUF_INIT,
		.merge.mine = KNOW_INIT,
		.left = c->slice_rows,
	};
	int r = stage_cut(stage, &s.cut);

	if (r == 0) {
		store_lock(c->store);
		r = slices_op(&s);
		store_unlock(c->store);
	}
	if (r < 0)
		full_undone(c);
	if (r == 0) {
		c->counters.changes_known += s.merge.rows_known;
		c->counters.rows_by_people += s.merge.rows_by_people;
		c->wants_stale = true;
	}
	if (r == 0 && s.done) {
		c->counters.changes_received +=
			know_lag(&s.cut.k, &s.merge.mine);
		if (s.cut.flags & CUT_FULL)
			full_done(c);
		apply_done(c, stage);
	}
	cut_release(&s.cut);
	merge_release(&s.merge);
	buf_release(&s.row);
	return r == -EBADMSG ? -EUCLEAN : r;
}

/* It goes into the table, if it is not there: then it is durable that it is
 * being applied, before the first of its rows is. */
static int apply_large(struct core *c, struct stage *s, const struct cut *cut)
{
	int r;

	store_lock(c->store);
	r = replica_begin(c->tree);
	if (r == 0) {
		r = replica_applying_begin(c->tree, &cut->k);
		if (r == 0)
			r = stage_put_header(s, STAGE_APPLYING);
		r = replica_end(c->tree, r);
	}
	store_unlock(c->store);
	if (r == 0) {
		s->state = STAGE_APPLYING;
		c->applying = s;
	}
	return r;
}

static int apply_small(struct core *c, struct stage *s, const struct cut *cut)
{
	struct merge_result m;
	int r = merge_cut(c->tree, s, cut, s->tag, &m);

	if (r < 0)
		return r;
	half_applied_look(c);
	c->counters.cuts_received++;
	c->counters.changes_received += m.changes;
	c->counters.changes_known += m.rows_known;
	c->counters.rows_by_people += m.rows_by_people;
	c->wants_stale = true;
	c->may_bring_back = true;
	stage_drop(c, s);
	core_sync_in(c, 0);
	return 0;
}

int apply_next(struct core *c, struct stage *s)
{
	struct cut cut;
	int r = stage_cut(s, &cut);

	kin_assert(s->state == STAGE_COMPLETE && !c->applying);
	/* Another that came first has raised our horizon. */
	if (r == 0 && cut_is_behind(c, &cut)) {
		cut_release(&cut);
		pull_refuse(c, s->tag);
		stage_drop(c, s);
		return 0;
	}
	if (r == 0)
		r = fork_check_cut(c, s, &cut);
	if (r == 0)
		r = s->stored ? apply_large(c, s, &cut)
			      : apply_small(c, s, &cut);
	cut_release(&cut);
	return r;
}

/* Everybody who may go on with it has had time to. */
static bool stage_is_old(const struct core *c, const struct stage *s)
{
	return s->state == STAGE_OPEN && s->idle_ms &&
	       c->now_ms >= s->idle_ms + STAGE_IDLE_MS;
}

/* Deletes a slice of what is of no use any more. */
static int apply_sweep(struct core *c)
{
	struct stage *s = c->stages;
	int r;

	while (s && s->state != STAGE_DROPPED) {
		struct stage *next = s->next;

		if (stage_is_old(c, s))
			stage_drop(c, s);
		s = next;
	}
	if (!s)
		return 0;
	store_lock(c->store);
	r = store_op_begin(c->store);
	if (r == 0) {
		r = stage_sweep(s, c->slice_rows);
		if (r < 0) {
			store_op_abort(c->store);
		} else {
			int e = store_op_end(c->store);

			r = e < 0 ? e : r;
		}
	}
	store_unlock(c->store);
	if (r >= 0 && (size_t)r < c->slice_rows)
		stage_unlist(c, s);
	core_due(c, c->now_ms);
	return MIN_OF(r, 0);
}

/* Returns 1 if there may be more to do. */
static int apply_step(struct core *c)
{
	struct stage *s = c->stages;
	int r;

	if (c->applying) {
		r = apply_slice(c, c->applying);
		return r < 0 ? r : 1;
	}
	while (s && s->state != STAGE_COMPLETE)
		s = s->next;
	if (!s)
		return apply_sweep(c);
	r = apply_next(c, s);
	if (r == -ENOTUNIQ || r == -EPROTO) {
		struct peer *p = peer_by_tag(c, s->tag);

		if (p)
			peer_fail_errno(c, p, r, "CUT");
		stage_drop(c, s);
		return 1;
	}
	return r < 0 ? r : 1;
}

bool apply_tick(struct core *c)
{
	int r;

	if (!c->stages)
		return false;
	if (c->now_ms < c->apply_retry_ms) {
		core_due(c, c->apply_retry_ms);
		return false;
	}
	c->apply_retry_ms = 0;
	r = apply_step(c);
	if (r > 0)
		core_due(c, c->now_ms);
	if (r >= 0) {
		c->apply_told = false;
		return r;
	}
	if (r == -ENOMEM || r == -EUCLEAN || store_failure(c->store) < 0) {
		core_fail(c, r, "cannot apply what a peer sent");
		return false;
	}
	if (!c->apply_told)
		log_errno(r, "cannot apply what a peer sent, trying again "
			  "from time to time");
	c->apply_told = true;
	if (core_passes(c, r))
		(void)!store_room_now(c->store, 0);
	c->apply_retry_ms = c->now_ms + APPLY_RETRY_MS;
	core_due(c, c->apply_retry_ms);
	return false;
}

/* ---- life */

int apply_load(struct core *c)
{
	int r = stages_load(c->store, &c->stages);

	c->next_stage = 1;
	if (!c->staged_bytes_max)
		c->staged_bytes_max = STAGED_BYTES_MAX;
	for (struct stage *s = c->stages; s; s = s->next) {
		c->next_stage = s->number + 1;
		s->idle_ms = MAX_OF(c->now_ms, (uint64_t)1);
		if (s->state == STAGE_APPLYING)
			c->applying = s;
	}
	half_applied_look(c);
	/* (The other way round: what was staged was damaged, and is gone.) */
	return r == 0 && c->applying && !c->half_applied ? -EUCLEAN : r;
}

void apply_release(struct core *c)
{
	while (c->stages)
		stage_unlist(c, c->stages);
}
