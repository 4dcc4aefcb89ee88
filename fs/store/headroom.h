/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Room for who needs it: on a disk that is nearly full, something may be
 * given up that nobody has asked for (old history) before somebody is told
 * that there is no room. The store knows nothing of that: who does so, the
 * *maker*, says it here and is called when somebody waits.
 *
 * Waiting happens before an operation, without the store's lock, and never
 * while the caller holds (store_hold()): giving back space waits for those.
 * All functions may be called from any thread.
 */
#ifndef KINFS_STORE_HEADROOM_H
#define KINFS_STORE_HEADROOM_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "fs/store/store.h"

/* Longest that somebody waits for room. Programs bear that of a disk. */
#define ROOM_WAIT_MS 30000
/* After room was looked for in vain, nobody waits for so long. */
#define ROOM_VAIN_MS 10000
/* Who waits is a request that keeps a thread from others. More are refused
 * at once. */
#define ROOM_WAITERS_MAX 6

struct headroom {
	pthread_mutex_t mutex; /* guards the rest; taken last */
	pthread_cond_t made;
	void (*wake)(void *arg); /* NULL: there is no maker */
	void *arg;
	unsigned int waiters;
	uint64_t turns;	  /* of the maker, ended */
	uint64_t vain_ms; /* when the last one ended, if in vain; 0: not */
};

void headroom_init(struct headroom *);
void headroom_release(struct headroom *);

/* ---- who needs room */
/*
 * Waits until there may be room for so many bytes of data, and for whatever
 * an operation writes besides. Does nothing but look if there is. Errors:
 * -ENOSPC, -EDQUOT there is none; -EROFS the store has failed.
 */
must_check int store_room(struct store *, uint64_t bytes);
/* The same, without waiting: the maker is only woken. */
must_check int store_room_now(struct store *, uint64_t bytes);

/* ---- the maker */
/* `wake` may only wake a thread. NULL: there is none any more, and nobody
 * waits for it. */
void store_room_maker(struct store *, void (*wake)(void *arg), void *arg);
/* It has done what it can, and those who wait look again. */
void store_room_made(struct store *, bool in_vain);
/* Is there room for so many bytes more than is needed to go on? */
bool store_has_room(struct store *, uint64_t bytes);

#endif
