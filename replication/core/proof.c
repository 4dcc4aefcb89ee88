/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Proof of equality. Nodes of equal knowledge must hold the same; whenever a
 * link has come to rest at equal K, each side says the sum over all that it
 * holds (40 bytes), once, and compares what it hears with its own. Different
 * K prove nothing, so a sum travels with the name of the K it belongs to,
 * both read in one hold of the store's lock, and is dropped by whoever has
 * another K by then: both will say so again when they are equal.
 *
 * Equal K and different sums is a bug, here or there, or a damaged store:
 * an alarm, and locate.c finds what differs.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/base/log.h"
#include "replication/core/core_internal.h"

/* Lines about nodes that differ, at most one in this time. */
#define ALARM_LOG_MS (60 * 1000)

void proof_release(struct peer *p)
{
	locate_end(p);
	serve_end(p);
	know_release(&p->proof.sent_k);
	know_release(&p->proof.k);
	free(p->proof.differing);
	p->proof.differing = NULL;
}

int proof_state(struct core *c, const struct know *at, struct know *ret_k,
		struct sum *ret)
{
	const struct know *k;
	int r = 0;

	store_lock(c->store);
	k = replica_know(c->tree);
	if (apply_is_busy(c) || (at && !know_equal(k, at)))
		r = -EAGAIN;
	if (r == 0 && ret_k)
		r = know_copy(ret_k, k);
	if (r == 0)
		*ret = bucket_root(c->tree);
	store_unlock(c->store);
	return r;
}

/* ---- saying it */

static bool proof_is_due(struct core *c, struct peer *p)
{
	struct proof *f = &p->proof;

	if (!know_equal(&c->own.k, &peer_status(c, p)->k)) {
		f->equal = false;
		return false;
	}
	if (f->asked < c->verify_count)
		return true;
	if (f->sent && know_equal(&f->sent_k, &c->own.k))
		return false;
	if (!f->equal) {
		f->equal = true;
		f->due_ms = c->now_ms + PROOF_SETTLE_MS;
	}
	if (c->now_ms >= f->due_ms)
		return true;
	core_due(c, f->due_ms);
	return false;
}

static int proof_say(struct core *c, struct peer *p, bool ask)
{
	struct verify v = {.level = SUMS_ROOT, .ask = ask};
	int r = proof_state(c, &c->own.k, NULL, &v.root);

	/* Changes wait for core_sync(): not equal any more, in a moment. */
	if (r == -EAGAIN)
		return 0;
	if (r == 0)
		r = know_mark(&c->own.k, &v.mark);
	if (r == 0)
		r = know_copy(&p->proof.sent_k, &c->own.k);
	if (r < 0)
		return r;
	p->proof.sent = true;
	if (ask)
		p->proof.asked = c->verify_count;
	frame_begin(&c->frame, FRAME_VERIFY);
	verify_encode(&v, &c->frame);
	peer_send(c, p);
	return 0;
}

void proof_tick(struct core *c, struct peer *p)
{
	int r = 0;

	if (proof_is_due(c, p))
		r = proof_say(c, p, p->proof.asked < c->verify_count);
	if (r == 0)
		r = locate_tick(c, p);
	if (r < 0 && !p->dead)
		core_fail(c, r, "cannot prove that nodes are equal");
}

/* ---- hearing it */

static void proof_alarm(struct core *c, struct peer *p)
{
	const struct proof *f = &p->proof;

	c->counters.divergences++;
	if (c->alarm_log_ms && c->now_ms - c->alarm_log_ms < ALARM_LOG_MS)
		return;
	c->alarm_log_ms = c->now_ms;
	log_error("'%s' and this node know the same changes and do not hold "
		  "the same: %llu objects here, %llu there",
		  peer_label(c, p), (unsigned long long)f->mine.count,
		  (unsigned long long)f->theirs.count);
}

static int proof_heard(struct core *c, struct peer *p, const struct verify *v)
{
	cleanup(know_release) struct know k = KNOW_INIT;
	struct proof *f = &p->proof;
	struct hash mark;
	struct sum mine;
	int r = proof_state(c, NULL, &k, &mine);

	if (r == 0)
		r = know_mark(&k, &mark);
	if (r < 0 || !hash_equal(&mark, &v->mark))
		return r;
	f->mine = mine;
	f->theirs = v->root;
	f->answered = f->asked;
	r = know_copy(&f->k, &k);
	if (r < 0)
		return r;
	if (sum_equal(&mine, &v->root)) {
		f->state = CORE_PROOF_EQUAL;
		c->counters.proofs++;
		locate_end(p);
	} else {
		if (f->state != CORE_PROOF_DIFFERS || !p->locate)
			proof_alarm(c, p);
		f->state = CORE_PROOF_DIFFERS;
		r = locate_begin(c, p);
	}
	/* It asked: say ours, if it is what we tell everybody by now. */
	if (r == 0 && v->ask)
		r = proof_say(c, p, false);
	return r;
}

int proof_verify(struct core *c, struct peer *p, struct reader *r)
{
	struct verify v;
	int e = verify_decode(r, &v);

	if (e < 0)
		return e;
	e = v.level == SUMS_ROOT ? proof_heard(c, p, &v)
				 : serve_asked(c, p, &v);
	return e == -EAGAIN ? 0 : e;
}

/* ---- for `kin verify` and status */

uint64_t core_verify_begin(struct core *c, uint64_t now_ms)
{
	c->now_ms = now_ms;
	c->verifying++;
	return ++c->verify_count;
}

void core_verify_end(struct core *c)
{
	kin_assert(c->verifying > 0);
	c->verifying--;
}

size_t core_proofs(struct core *c, uint64_t verify, struct core_proof *ret,
		   size_t max)
{
	size_t n = 0;

	for (size_t i = 0; i < c->peer_count && n < max; i++) {
		struct peer *p = c->peers[i];
		const struct proof *f = &p->proof;
		struct core_proof *out = &ret[n];

		if (p->dead || p->phase != PEER_READY)
			continue;
		*out = (struct core_proof){
			.device = p->device,
			.state = f->state,
			.fresh = f->answered >= verify,
			.current = know_equal(&f->k, &c->own.k),
			.locating = p->locate != NULL,
			.k = &f->k,
			.mine = f->mine,
			.theirs = f->theirs,
			.differing = f->differing,
			.differing_count = f->differing_count,
			.repaired = f->repaired,
		};
		n++;
	}
	return n;
}
