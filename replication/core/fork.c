/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One origin, two histories: found by marks, undone by renaming.
 *
 * Where it shows. A peer's STATUS row has the mark at each entry of its K;
 * who knows as much of an origin or more compares it with its own. And each
 * cut is checked before anything of it is applied (fork_cut.c); rows of
 * relayed STATUS are only hints.
 *
 * What then happens. The link goes on for nothing but the search: each side
 * by itself asks for the other's marks at a handful of numbers of its own,
 * again and again, until it has the last number in which both agree, and the
 * other's first one above it. Both then say the same of which branch goes.
 * Who is on that renames it, in one operation, and drops all links; the
 * other waits for that. New links begin from what each side knows then.
 *
 * A node that meets an alias whose first number it holds under the name of
 * before does the same at once. A node whose peers know more of it than it
 * does itself, or one that meets itself, takes a new incarnation.
 */
#include "fs/tree/fork.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/base/log.h"
#include "replication/core/core_internal.h"

/* The search, or the peer's renaming, takes so long at most. */
#define FORK_PATIENCE_MS 60000

/* ---- by the marks of a STATUS row */

/* Is this node on the branch that became the alias, under an older name? */
int fork_holds_branch(struct tree *t, const struct birth *b,
		      uint64_t *ret_origin)
{
	const struct know *k = replica_know(t);
	int r = 0;

	*ret_origin = 0;
	for (size_t i = 0; r == 0 && !*ret_origin && i < k->count; i++) {
		uint64_t origin = k->entries[i].origin;
		const struct birth *own = chain_birth(t, origin);
		mark_t mark;

		if (chain_root(t, origin) != b->root || origin == b->alias ||
		    (own && own->first >= b->first))
			continue;
		r = chain_get(t, (struct dot){origin, b->first}, &mark);
		if (r == 0 && mark == b->mark)
			*ret_origin = origin;
	}
	return r;
}

/* The first origin in which the two histories differ, as far as this node
 * can tell; 0: none. [locked] */
static int find_difference(struct tree *t, const struct know *theirs,
			   const struct heads *heads, uint64_t *ret)
{
	const struct know *k = replica_know(t);
	int r = 0;

	*ret = 0;
	for (size_t i = 0; r == 0 && !*ret && i < theirs->count; i++) {
		struct dot d = theirs->entries[i];
		mark_t mark;

		if (!know_covers(k, d) || !heads->marks || !heads->marks[i])
			continue;
		r = chain_get(t, d, &mark);
		if (r == 0 && !marks_agree(mark, heads->marks[i]))
			*ret = d.origin;
	}
	return r;
}

static int find_alias(struct tree *t, const struct heads *heads,
		      const struct birth **ret, uint64_t *ret_origin)
{
	int r = 0;

	*ret = NULL;
	for (size_t i = 0; r == 0 && !*ret && i < heads->birth_count; i++) {
		r = fork_holds_branch(t, &heads->births[i], ret_origin);
		if (r == 0 && *ret_origin)
			*ret = &heads->births[i];
	}
	return r;
}

/* ---- what this node does about it */

static void rename_entry(struct know *k, uint64_t origin, uint64_t above,
			 uint64_t alias)
{
	uint64_t seq = know_get(k, origin);

	if (seq <= above)
		return;
	/* (one that does not fit is a wait that times out) */
	if (know_get(k, alias) < seq && know_set(k, alias, seq) < 0)
		return;
	(void)!know_set(k, origin, above);
}

/* What was said and heard is of another frame of names: all begins anew. */
static void reframe(struct core *c, const char *why)
{
	/* (before the links, which remember rows as they fall) */
	while (c->other_count) {
		struct status *s = c->others[--c->other_count];

		status_release(s);
		free(s);
	}
	for (size_t i = 0; i < c->peer_count; i++)
		peer_fail(c, c->peers[i], BYE_FORK, why);
	stages_drop(c);
	c->origin = c->own.origin = replica_origin(c->tree);
	know_clear(&c->own.k);
	know_clear(&c->own.c);
	know_clear(&c->own.v);
	know_clear(&c->own.g);
	know_clear(&c->noted_k);
	c->noted_lseq = 0;
	c->showing = false;
	c->urgent_seq = 0;
	c->wants_stale = true;
	while (c->own.answer_count)
		status_drop_answer(&c->own, &c->own.answers[0].asker);
	core_new_life(c);
	c->counters.forks++;
	core_sync(c);
}

/* In one operation: the branch, or (origin 0) a new incarnation. */
static int fork_do(struct core *c, enum tree_cause cause, uint64_t origin,
		   uint64_t above, uint64_t *ret_alias)
{
	int r;

	store_lock(c->store);
	r = replica_begin(c->tree);
	if (r == 0) {
		r = origin ? replica_fork(c->tree, origin, above, ret_alias)
			   : replica_reincarnate(c->tree, cause);
		for (size_t i = 0; r == 0 && i < c->members.count; i++)
			r = remember_forget(c,
					    &c->members.list[i]->member.device);
		r = replica_end(c->tree, r);
	}
	store_unlock(c->store);
	return r;
}

static int fork_rename(struct core *c, uint64_t origin, uint64_t above)
{
	uint64_t alias = 0;
	int r = fork_do(c, CAUSE_BRANCH, origin, above, &alias);

	if (r < 0)
		return r;
	log_warn("a node has two histories (a backup that was brought back, "
		 "or a copied store): what it wrote on one of them, after its "
		 "change %llu, is another node's from now on",
		 (unsigned long long)above);
	for (size_t i = 0; i < WAITS_MAX; i++)
		if (c->waits[i].id)
			rename_entry(&c->waits[i].target, origin, above,
				     alias);
	reframe(c, "a history with two branches was put in order");
	return 0;
}

int fork_reincarnate(struct core *c, enum tree_cause cause)
{
	static const char *const why[] = {
		[CAUSE_LOST] = "peers know changes of it that it has lost (a "
			       "backup was brought back, or a disk lied)",
		[CAUSE_TWIN] = "another copy of its store is in use, or was",
	};
	int r = fork_do(c, cause, 0, 0, NULL);

	if (r < 0)
		return r;
	c->copied = CAUSE_NONE;
	log_warn("this node goes on as a new incarnation: %s",
		 why[cause]);
	reframe(c, "this node goes on as a new incarnation");
	return 0;
}

/* ---- the search */

static void search_begin(struct core *c, struct peer *p, uint64_t origin)
{
	p->phase = PEER_FORKED;
	p->search = (struct search){.origin = origin,
				    .until_ms = c->now_ms + FORK_PATIENCE_MS};
	core_due(c, p->search.until_ms);
}

static int search_bounds(struct core *c, struct peer *p)
{
	const struct birth *own = chain_birth(c->tree, p->search.origin);
	uint64_t theirs = know_get(&peer_status(c, p)->k, p->search.origin);

	p->search.same = own ? own->first - 1 : 0;
	p->search.other = know_get(replica_know(c->tree), p->search.origin);
	p->search.other = MIN_OF(p->search.other, theirs) + 1;
	p->search.bounded = true;
	return 0;
}

/* Numbers of our own between those that are the same and those that are not,
 * spread over them. [locked] */
static int search_probe(struct core *c, struct search *s, struct ask *ret)
{
	uint64_t span = s->other - s->same;
	int r = 0;

	ret->origin = s->origin;
	ret->after = s->same;
	ret->count = 0;
	for (uint64_t i = 1; r == 0 && i <= ASK_NUMBERS_MAX; i++) {
		/* (no product that overflows: numbers have 63 bits) */
		uint64_t n = s->same + span / (ASK_NUMBERS_MAX + 1) * i +
			     span % (ASK_NUMBERS_MAX + 1) * i /
				     (ASK_NUMBERS_MAX + 1);

		/* The last probe finds the last number there is. */
		if (i == ASK_NUMBERS_MAX)
			n = s->other - 1;
		r = chain_last(c->tree, (struct dot){s->origin, n}, &n);
		if (r == 0 && n > s->same &&
		    (!ret->count || ret->numbers[ret->count - 1] < n))
			ret->numbers[ret->count++] = n;
	}
	return r;
}

static int search_ask(struct core *c, struct peer *p)
{
	struct ask ask;
	int r = 0;

	store_lock(c->store);
	if (!p->search.bounded)
		r = search_bounds(c, p);
	if (r == 0)
		r = search_probe(c, &p->search, &ask);
	store_unlock(c->store);
	if (r < 0)
		return r;
	p->search.asked = ask;
	frame_begin(&c->frame, FRAME_ASK);
	ask_encode(&ask, &c->frame);
	peer_send(c, p);
	return 0;
}

/* Where they part is known. */
static int search_decide(struct core *c, struct peer *p, const struct tell *t)
{
	struct fork_branch mine, theirs = {t->next, t->next_mark};
	uint64_t origin = p->search.origin, above = p->search.same;
	int r;

	store_lock(c->store);
	r = chain_next(c->tree, (struct dot){origin, above}, &mine.first);
	if (r == 0)
		r = chain_get(c->tree, (struct dot){origin, mine.first},
			      &mine.mark);
	store_unlock(c->store);
	if (r < 0)
		return r;
	/* Something changed since: look again from the start. (While rows are
	 * half way to another K nothing can be renamed.) */
	if (apply_is_busy(c) || !mine.first || !theirs.first ||
	    (mine.first == theirs.first && mine.mark == theirs.mark)) {
		peer_fail(c, p, BYE_FORK, "histories are compared again");
		return 0;
	}
	if (fork_goes(&mine, &theirs))
		return fork_rename(c, origin, above);
	/* The peer renames, and drops the link. */
	p->search.waits = true;
	return 0;
}

int fork_told(struct core *c, struct peer *p, struct reader *r)
{
	struct search *s = &p->search;
	struct tell tell;
	mark_t mark;
	int e = tell_decode(r, &tell);

	if (e == 0 && (p->phase != PEER_FORKED || s->waits ||
		       tell.origin != s->origin ||
		       tell.after != s->asked.after ||
		       tell.count != s->asked.count))
		e = -EPROTO;
	if (e < 0)
		return e;
	if (!tell.count)
		return search_decide(c, p, &tell);
	store_lock(c->store);
	for (size_t i = 0; e == 0 && i < tell.count; i++) {
		uint64_t n = s->asked.numbers[i];

		e = chain_get(c->tree, (struct dot){s->origin, n}, &mark);
		if (e < 0)
			break;
		if (mark && mark == tell.marks[i])
			s->same = MAX_OF(s->same, n);
		else
			s->other = MIN_OF(s->other, n);
	}
	store_unlock(c->store);
	/* (marks that are equal above a different one: damaged, or a lie) */
	if (e == 0 && s->same >= s->other)
		e = -EPROTO;
	return e < 0 ? e : search_ask(c, p);
}

int fork_asked(struct core *c, struct peer *p, struct reader *r)
{
	struct tell tell;
	struct ask ask;
	int e = ask_decode(r, &ask);

	if (e < 0)
		return e;
	tell = (struct tell){.origin = ask.origin,
			     .after = ask.after,
			     .count = ask.count};
	store_lock(c->store);
	e = chain_next(c->tree, (struct dot){ask.origin, ask.after},
		       &tell.next);
	if (e == 0)
		e = chain_get(c->tree, (struct dot){ask.origin, tell.next},
			      &tell.next_mark);
	for (size_t i = 0; e == 0 && i < ask.count; i++)
		e = chain_get(c->tree,
			      (struct dot){ask.origin, ask.numbers[i]},
			      &tell.marks[i]);
	store_unlock(c->store);
	if (e < 0)
		return e;
	frame_begin(&c->frame, FRAME_TELL);
	tell_encode(&tell, &c->frame);
	peer_send(c, p);
	/* It has found a difference that does not show from here. */
	if (p->phase == PEER_FORKED || apply_is_busy(c))
		return 0;
	search_begin(c, p, ask.origin);
	return search_ask(c, p);
}

/* ---- a peer's row */

/* Rows half way to another K cannot be renamed: later. */
int fork_check(struct core *c, struct peer *p)
{
	const struct status *s = peer_status(c, p);
	const struct birth *alias;
	uint64_t origin = 0, own;
	int r;

	p->check_due = false;
	if (apply_is_busy(c)) {
		p->check_due = true;
		return 0;
	}
	store_lock(c->store);
	own = know_get(replica_know(c->tree), c->origin);
	r = find_alias(c->tree, &s->heads, &alias, &origin);
	if (r == 0 && !alias)
		r = find_difference(c->tree, &s->k, &s->heads, &origin);
	store_unlock(c->store);
	if (r < 0)
		return r;
	if (alias)
		return fork_rename(c, origin, alias->first - 1);
	if (origin) {
		search_begin(c, p, origin);
		return search_ask(c, p);
	}
	if (know_get(&s->k, c->origin) > own)
		return fork_reincarnate(c, CAUSE_LOST);
	return 0;
}

/* (Nobody may take for an acknowledgement what is one of another history.) */
int fork_check_own(struct core *c, const struct status *s)
{
	mark_t mark = 0, theirs;
	size_t i = 0;
	int r = 0;

	while (i < s->k.count && s->k.entries[i].origin != c->origin)
		i++;
	if (i == s->k.count)
		return 0;
	theirs = s->heads.marks ? s->heads.marks[i] : 0;
	store_lock(c->store);
	if (!know_covers(replica_know(c->tree), s->k.entries[i]))
		c->copied = CAUSE_LOST;
	else if (theirs)
		r = chain_get(c->tree, s->k.entries[i], &mark);
	if (r == 0 && mark && !marks_agree(mark, theirs))
		c->copied = CAUSE_TWIN;
	store_unlock(c->store);
	if (c->copied)
		core_due(c, c->now_ms);
	return r;
}

int fork_covers(struct core *c, struct status *s)
{
	uint64_t origin = 0;
	int r = 0;

	if (!know_leq(&s->k, &c->own.k))
		return 0;
	if (s->is_ours)
		return 1;
	store_lock(c->store);
	r = find_difference(c->tree, &s->k, &s->heads, &origin);
	store_unlock(c->store);
	s->is_ours = r == 0 && !origin;
	return r < 0 ? r : s->is_ours;
}

void fork_tick_own(struct core *c)
{
	int r;

	if (!c->copied || apply_is_busy(c))
		return;
	r = fork_reincarnate(c, c->copied);
	if (r < 0)
		core_fail(c, r, "cannot begin a new incarnation");
}

void fork_tick(struct core *c, struct peer *p)
{
	int r = 0;

	if (p->phase == PEER_FORKED) {
		if (c->now_ms >= p->search.until_ms)
			peer_fail(c, p, BYE_FORK,
				  "two histories, and no agreement");
		else
			core_due(c, p->search.until_ms);
	} else if (p->phase == PEER_READY && p->check_due &&
		   !apply_is_busy(c)) {
		r = fork_check(c, p);
	}
	if (r < 0 && !p->dead)
		core_fail(c, r, "cannot compare histories");
}
