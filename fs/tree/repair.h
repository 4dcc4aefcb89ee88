/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Repair of a divergence: two nodes of equal knowledge hold different sets
 * of versions of one object. The merge must not be used for it: a version
 * that one side does not hold although it knows it counts as removed, so
 * both sides would drop it. Repair is *union*: every version that either
 * side holds stays, and those that only one side holds are written again
 * under new dots, so that they are news to everybody, and spread.
 *
 * LINKs too are written again (a merge never does that): a file whose row
 * was lost would stay dead otherwise. So an object may come back that was
 * removed, or a content as a sibling that was settled; nothing is lost.
 */
#ifndef KINFS_TREE_REPAIR_H
#define KINFS_TREE_REPAIR_H

#include "fs/tree/object.h"

struct tree;

/*
 * Makes the union with `theirs` in an operation of its own. Returns how many
 * versions were written again. [locked, no operation] Errors: -EUCLEAN the
 * two cannot be of one object, or ours cannot be read; -E2BIG the union is
 * larger than a row may be; of the store.
 */
must_check int replica_union(struct tree *, const struct object *theirs);

#endif
