/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Room on the disk: a reserve file that is given up so that a group can
 * still be committed on a full disk, and the question whether there is room
 * for new data. All functions may be called from any thread.
 */
#ifndef KINFS_STORE_SPACE_H
#define KINFS_STORE_SPACE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "fs/base/macro.h"

/* Of the reserve: a few groups of 10,000 operations. */
#define SPACE_RESERVE_BYTES (32u << 20)
/* With less than this free, no data is taken in. */
#define SPACE_LOW_BYTES (64u << 20)

struct space {
	int dirfd; /* borrowed */
	bool off;  /* no_sync: no reserve, no questions */
	pthread_mutex_t mutex;
	int full; /* atomic: the reserve is given up; with this error */
	bool kept_full; /* mutex: it stays so, whatever the disk says */
	bool low;  /* mutex: what the last look at the disk said */
	uint64_t looked_ms, looked_bytes; /* mutex: when, appended since */
	uint64_t tried_ms;		  /* mutex: last try to refill */
};

void space_open(struct space *, int dirfd, bool off);
void space_release(struct space *);
/* Errors: -ENOSPC, -EDQUOT no room for len more bytes of data. */
must_check int space_check(struct space *, uint64_t len);
/*
 * The reserve is in use: take in nothing that grows the store. 0, or what to
 * refuse it with: -ENOSPC, -EDQUOT.
 */
int space_is_full(const struct space *);
/* There is no room for the reserve, or there was none for data when the disk
 * was looked at last. */
bool space_is_short(struct space *);
/* The error may mean that the disk is full. */
bool space_is_cause(const struct space *, int r);
/* Frees the reserve, for this error. False if it was free already. */
bool space_give_up(struct space *, int r);
/* The next look is a new one: room was made. */
void space_look(struct space *);
/* It is full until it is said not to be any more (0): no commit fits. */
void space_keep_full(struct space *, int r);
/* If the reserve is given up and there is room: makes it again. */
void space_refill(struct space *);

#endif
