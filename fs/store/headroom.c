/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who waits counts the maker's turns: one that ends after he woke it has
 * seen that he is there. A turn that was in vain is remembered for a while,
 * so that on a disk that is full of something else nobody waits each time.
 */
#include "fs/store/headroom.h"

#include <errno.h>
#include <time.h>

#include "fs/base/thread.h"
#include "fs/store/io.h"
#include "fs/store/store_internal.h"

void headroom_init(struct headroom *m)
{
	*m = (struct headroom){.turns = 0};
	pthread_mutex_init(&m->mutex, NULL);
	cond_init_monotonic(&m->made);
}

void headroom_release(struct headroom *m)
{
	pthread_cond_destroy(&m->made);
	pthread_mutex_destroy(&m->mutex);
}

static int room_check(struct store *s, uint64_t bytes)
{
	int r = store_failure(s) ? -EROFS : space_is_full(&s->space);

	if (r == -EROFS || (!r && !bytes))
		return r;
	return space_check(&s->space, bytes);
}

/* Is it worth waiting? With the mutex. */
static bool maker_helps(const struct headroom *m, uint64_t now)
{
	return m->wake && (!m->vain_ms || now - m->vain_ms >= ROOM_VAIN_MS);
}

/* One turn of the maker. False: there is none, or it is too late. */
static bool maker_wait(struct headroom *m, uint64_t end_ms)
{
	struct timespec end = {
		.tv_sec = (time_t)(end_ms / 1000),
		.tv_nsec = (long)(end_ms % 1000) * 1000000,
	};
	uint64_t turns = m->turns;
	int e = 0;

	if (m->waiters >= ROOM_WAITERS_MAX)
		return false;
	m->waiters++;
	while (!e && m->turns == turns && m->wake)
		e = pthread_cond_timedwait(&m->made, &m->mutex, &end);
	m->waiters--;
	return m->turns != turns;
}

int store_room_now(struct store *s, uint64_t bytes)
{
	struct headroom *m = &s->headroom;
	int r = room_check(s, bytes);

	if (r != -ENOSPC && r != -EDQUOT)
		return r;
	pthread_mutex_lock(&m->mutex);
	if (maker_helps(m, io_now_ms()))
		m->wake(m->arg);
	pthread_mutex_unlock(&m->mutex);
	return r;
}

int store_room(struct store *s, uint64_t bytes)
{
	uint64_t end_ms = 0;
	struct headroom *m = &s->headroom;
	int r;

	while ((r = room_check(s, bytes)) == -ENOSPC || r == -EDQUOT) {
		uint64_t now = io_now_ms();
		bool again;

		end_ms = end_ms ? end_ms : now + ROOM_WAIT_MS;
		pthread_mutex_lock(&m->mutex);
		again = now < end_ms && maker_helps(m, now);
		if (again) {
			m->wake(m->arg);
			again = maker_wait(m, end_ms);
		}
		pthread_mutex_unlock(&m->mutex);
		if (!again)
			break;
	}
	return r;
}

void store_room_maker(struct store *s, void (*wake)(void *arg), void *arg)
{
	struct headroom *m = &s->headroom;

	pthread_mutex_lock(&m->mutex);
	m->wake = wake;
	m->arg = arg;
	pthread_cond_broadcast(&m->made);
	pthread_mutex_unlock(&m->mutex);
}

void store_room_made(struct store *s, bool in_vain)
{
	struct headroom *m = &s->headroom;

	space_look(&s->space);
	pthread_mutex_lock(&m->mutex);
	m->turns++;
	m->vain_ms = in_vain ? io_now_ms() : 0;
	pthread_cond_broadcast(&m->made);
	pthread_mutex_unlock(&m->mutex);
}

bool store_has_room(struct store *s, uint64_t bytes)
{
	space_look(&s->space);
	return !space_check(&s->space, bytes);
}
