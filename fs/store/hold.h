/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who uses what the tables named a moment ago: holds, counted by epoch. Who
 * gives back space begins a new epoch and waits until nobody is left of the
 * ones before. A hold is a short thing: a request, a copy, a cut. All
 * functions may be called from any thread, with the store's lock or without.
 */
#ifndef KINFS_STORE_HOLD_H
#define KINFS_STORE_HOLD_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct holds {
	pthread_mutex_t mutex; /* guards the rest */
	uint64_t epoch;
	/* Of this epoch, and of all before it; index: epoch & 1. */
	uint64_t count[2];
};

void holds_init(struct holds *);
void holds_release(struct holds *);
/* Returns what holds_leave() wants. */
unsigned int holds_enter(struct holds *);
void holds_leave(struct holds *, unsigned int epoch);
/* Is nobody left but of this epoch? */
bool holds_drained(struct holds *);
/* Begins the next epoch. False, and nothing happened: some are left of the
 * one before this. */
bool holds_turn(struct holds *);

#endif
