/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cases that share their nodes and their cuts, which makes them cheap; each
 * is a directory of its own.
 */
#ifndef KINFS_PAIRS_BATCH_H
#define KINFS_PAIRS_BATCH_H

#include "tests/pairs/look.h"

enum route { ROUTE_DIRECT, ROUTE_RELAY, ROUTES };
enum order { ORDER_UP, ORDER_DOWN, ORDER_CROSSING, ORDERS };

struct batch {
	struct story *stories;
	size_t count;
	int actors;
	enum route route;
	enum order order;
	bool open; /* with conflicts */
	char dir[280];
	bool trace;
	char failure[900];
	size_t failed; /* the case, or SIZE_MAX: not known which */
	size_t verdicts[VERDICT_COUNT];
};

/* What one person would see who does both, in either order. Of pairs. */
void batch_run_in_order(struct batch *, int first);
/* By this route, in this order; b->failure says what is wrong. */
void batch_run(struct batch *);
void batch_release(struct batch *);

#endif
