/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sleeps until the store says that a round is due, and drives it. After each
 * step it rests as long as that took, so that it never takes more than half
 * of a processor, or of a disk. It does not run at a lower priority: then it
 * would keep the store's lock from others whenever somebody else is busy.
 *
 * Somebody who waits for room is more in a hurry: rounds do not rest then.
 * What is garbage goes first; only if that is not enough, some history goes,
 * and another round gives its space back; and so on. A portion of history is
 * a part of all of it, so that a few rounds do, but more is given up than was
 * asked for only by as much.
 */
#include "tools/reclaimer.h"

#include <errno.h>
#include <inttypes.h>
#include <time.h>

#include "fs/base/log.h"
#include "fs/base/thread.h"
#include "fs/store/headroom.h"
#include "fs/tree/history.h"
#include "fs/tree/replica.h"

#define NS_PER_MS 1000000ull
#define NS_PER_S 1000000000ull
/* Somebody reads what the round must wait for. */
#define HELD_NS (10 * NS_PER_MS)
/* A hold is a request: if one is that long, something is wrong. */
#define HELD_WARN_MS 60000
/* Between two rounds; and after one that gave nothing back. */
#define PAUSE_NS (2 * NS_PER_S)
#define VAIN_NS (60 * NS_PER_S)
/* Room for more than who waits asks for, or he comes again at once. */
#define ROOM_BYTES (64ull << 20)
/* Less garbage than this is no reason for a round. */
#define ROUND_BYTES (4ull << 20)
/* History that is given up at once: this part of it, and at least so much. */
#define SHED_PART 8
#define SHED_BYTES (64ull << 20)
/* For a purge, which begins 5 s after a removal (PURGE_SETTLE_MS). */
#define PURGE_WAIT_NS (8 * NS_PER_S)
#define PURGE_LOOK_NS (500 * NS_PER_MS)
/* Rounds of one turn: all history is gone long before. */
#define TURN_ROUNDS_MAX 64

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

static void wake(struct reclaimer *r, bool *what)
{
	pthread_mutex_lock(&r->lock);
	*what = true;
	pthread_cond_signal(&r->wake);
	pthread_mutex_unlock(&r->lock);
}

static void reclaimer_due(void *arg)
{
	struct reclaimer *r = arg;

	wake(r, &r->due);
}

static void reclaimer_wanted(void *arg)
{
	struct reclaimer *r = arg;

	wake(r, &r->wanted);
}

/* False: it is to stop. Ends early if somebody waits, and `hurry`. */
static bool rest(struct reclaimer *r, uint64_t ns, bool hurry)
{
	uint64_t end = now_ns() + ns;
	struct timespec until = {
		.tv_sec = (time_t)(end / NS_PER_S),
		.tv_nsec = (long)(end % NS_PER_S),
	};
	bool stop;

	pthread_mutex_lock(&r->lock);
	while (!r->stop && !(hurry && r->wanted) &&
	       pthread_cond_timedwait(&r->wake, &r->lock, &until) != ETIMEDOUT)
		;
	stop = r->stop;
	pthread_mutex_unlock(&r->lock);
	return !stop;
}

/* What is to be done. False: it is to stop. */
static bool wait_until_due(struct reclaimer *r, bool *ret_wanted)
{
	bool stop;

	pthread_mutex_lock(&r->lock);
	while (!r->stop && !r->due && !r->wanted)
		pthread_cond_wait(&r->wake, &r->lock);
	*ret_wanted = r->wanted;
	r->due = r->wanted = false;
	stop = r->stop;
	pthread_mutex_unlock(&r->lock);
	return !stop;
}

static bool is_wanted(struct reclaimer *r)
{
	bool yes;

	pthread_mutex_lock(&r->lock);
	yes = r->wanted;
	pthread_mutex_unlock(&r->lock);
	return yes;
}

static void tell_if_held(struct reclaimer *r, bool *told)
{
	struct reclaim_facts facts;

	reclaim_facts(r->store, &facts);
	if (*told || facts.held_ms < HELD_WARN_MS)
		return;
	*told = true;
	log_warn("'%s': no space can be given back, since something has been "
		 "reading or writing for %" PRIu64 " s",
		 store_path(r->store), facts.held_ms / 1000);
}

/* 1: it was to stop. Else what the last step said. */
static int run_round(struct reclaimer *r, bool hurry)
{
	const struct reclaim_options o = { .now_s = time(NULL) };
	int e = reclaim_begin(r->store, &o);
	bool told = false;

	while (!e || e == -EAGAIN) {
		uint64_t start = now_ns(), pause = 0;

		e = reclaim_step(r->store);
		if (e == 1)
			return 0;
		if (e == -EAGAIN) {
			tell_if_held(r, &told);
			pause = HELD_NS;
		} else if (!hurry && !is_wanted(r)) {
			pause = now_ns() - start;
		}
		if (!rest(r, pause, false)) {
			reclaim_stop(r->store);
			return 1;
		}
	}
	return e;
}

/* Says what came of it; false: it is to stop. */
static bool round_done(struct reclaimer *r, bool hurry, uint64_t *ret_freed)
{
	struct reclaim_facts facts;
	int e = run_round(r, hurry);

	*ret_freed = 0;
	if (e == 1)
		return false;
	reclaim_facts(r->store, &facts);
	if (e)
		log_errno(e, "'%s': no space was given back",
			  store_path(r->store));
	else
		log_debug("'%s': %" PRIu64 " bytes given back",
			  store_path(r->store), facts.freed_bytes);
	*ret_freed = e ? 0 : facts.freed_bytes;
	return true;
}

/* ---- room */

/* Gives up the oldest of the history, by a portion. Returns its bytes. */
static uint64_t shed(struct reclaimer *r)
{
	struct replica_history h;
	uint64_t portion, bytes = 0, some = 1;
	int e = 0;

	store_lock(r->store);
	replica_history(r->tree, &h);
	store_unlock(r->store);
	portion = MAX_OF(h.bytes / SHED_PART, (uint64_t)SHED_BYTES);
	while (!e && some && bytes < portion) {
		some = 0;
		e = tree_shed_history(r->tree, portion - bytes, &some);
		bytes += some;
	}
	if (e)
		log_errno(e, "'%s': old history cannot be given up",
			  store_path(r->store));
	return bytes;
}

/* What was removed takes room until it is purged, which is a matter of
 * seconds if all members know of it. False: nothing is to come of that. */
static bool await_purge(struct reclaimer *r, uint64_t end_ns)
{
	struct replica_dead d;

	return now_ns() < end_ns && !replica_dead(r->tree, &d) && d.bytes &&
	       rest(r, PURGE_LOOK_NS, false);
}

/* False: it is to stop. */
static bool make_room(struct reclaimer *r)
{
	uint64_t freed, given_up = 0, purge_end = now_ns() + PURGE_WAIT_NS;
	bool room = false;

	for (int n = 0; n < TURN_ROUNDS_MAX; n++) {
		room = store_has_room(r->store, ROOM_BYTES);
		if (room)
			break;
		if (reclaim_garbage(r->store) < ROUND_BYTES) {
			uint64_t bytes = shed(r);

			given_up += bytes;
			if (!bytes) {
				if (await_purge(r, purge_end))
					continue;
				break;
			}
		}
		if (!round_done(r, true, &freed))
			return false;
		/* (the estimate was wrong: history, next time) */
		if (!freed) {
			freed = shed(r);
			given_up += freed;
		}
		if (!freed && !await_purge(r, purge_end))
			break;
	}
	if (given_up)
		log_warn("'%s': the disk is full: old history of %" PRIu64
			 " MiB was given up", store_path(r->store),
			 given_up >> 20);
	store_room_made(r->store, !room && !store_has_room(r->store, 0));
	return true;
}

/* ---- the thread */

static void *reclaimer_run(void *arg)
{
	struct reclaimer *r = arg;
	uint64_t freed;
	bool wanted;

	while (wait_until_due(r, &wanted)) {
		if (wanted) {
			if (!make_room(r))
				break;
			continue;
		}
		if (!round_done(r, false, &freed) ||
		    !rest(r, freed ? PAUSE_NS : VAIN_NS, true))
			break;
	}
	return NULL;
}

int reclaimer_start(struct reclaimer *r, struct store *store,
		    struct tree *tree)
{
	int e;

	*r = (struct reclaimer){ .store = store, .tree = tree };
	pthread_mutex_init(&r->lock, NULL);
	cond_init_monotonic(&r->wake);
	e = thread_start(&r->thread, reclaimer_run, r);
	if (e)
		return e;
	r->started = true;
	reclaim_on_due(store, reclaimer_due, r);
	store_room_maker(store, reclaimer_wanted, r);
	return 0;
}

void reclaimer_stop(struct reclaimer *r)
{
	if (!r->started)
		return;
	store_room_maker(r->store, NULL, NULL);
	reclaim_on_due(r->store, NULL, NULL);
	pthread_mutex_lock(&r->lock);
	r->stop = true;
	pthread_cond_signal(&r->wake);
	pthread_mutex_unlock(&r->lock);
	pthread_join(r->thread, NULL);
	pthread_cond_destroy(&r->wake);
	pthread_mutex_destroy(&r->lock);
	r->started = false;
}
