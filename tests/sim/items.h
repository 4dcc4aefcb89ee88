/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The view of one node as a list, for choosing something from it and for
 * comparing before and after.
 */
#ifndef KINFS_SIM_ITEMS_H
#define KINFS_SIM_ITEMS_H

#include "tests/sim/cluster.h"

#define PATH_BYTES 1100

struct item {
	char path[PATH_BYTES];
	struct objid id;
	enum kind kind;
	bool sibling, complete;
	bool hidden; /* by a policy: it has the path of its file, and is no
			entry there */
	uint64_t content; /* its hash, 0 for directories */
};

struct items {
	struct item *list;
	size_t count;
};

enum pick { PICK_FILE = 1, PICK_DIR = 2, PICK_LINK = 4, PICK_SIBLING = 8 };

uint64_t content_hash64(const struct content *);
bool items_take(struct node *, struct items *ret);
void items_release(struct items *);
/* A random one of these kinds (enum pick), or NULL. */
const struct item *items_pick(struct rng *, const struct items *, int what);
const struct item *items_at(const struct items *, const char *path);
/* Is this still shown? Under whatever name; of equal files that claim one
 * name one is shown. */
bool items_show(const struct items *, const struct item *);

#endif
