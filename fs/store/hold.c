/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two counters are enough, because an epoch begins only when the one before
 * the present one has nobody left: its counter is free again then.
 */
#include "fs/store/hold.h"

#include "fs/base/macro.h"

void holds_init(struct holds *h)
{
	*h = (struct holds){.epoch = 0};
	pthread_mutex_init(&h->mutex, NULL);
}

void holds_release(struct holds *h)
{
	pthread_mutex_destroy(&h->mutex);
}

unsigned int holds_enter(struct holds *h)
{
	unsigned int epoch;

	pthread_mutex_lock(&h->mutex);
	epoch = h->epoch & 1;
	h->count[epoch]++;
	pthread_mutex_unlock(&h->mutex);
	return epoch;
}

void holds_leave(struct holds *h, unsigned int epoch)
{
	pthread_mutex_lock(&h->mutex);
	kin_assert(h->count[epoch]);
	h->count[epoch]--;
	pthread_mutex_unlock(&h->mutex);
}

bool holds_drained(struct holds *h)
{
	bool yes;

	pthread_mutex_lock(&h->mutex);
	yes = !h->count[(h->epoch & 1) ^ 1];
	pthread_mutex_unlock(&h->mutex);
	return yes;
}

bool holds_turn(struct holds *h)
{
	bool yes;

	pthread_mutex_lock(&h->mutex);
	yes = !h->count[(h->epoch & 1) ^ 1];
	h->epoch += yes;
	pthread_mutex_unlock(&h->mutex);
	return yes;
}
