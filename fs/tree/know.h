/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A knowledge vector: for each origin the number up to which *everything*
 * of it is known (merged here, or superseded by something merged here).
 * It is the causal context of a node's whole state: a version whose dot is
 * covered and that is not live here was removed or replaced, knowingly.
 *
 * Entries are sorted by origin and have seq > 0. Encoding: varint count,
 * then per entry the origin (u64) and seq (varint).
 */
#ifndef KINFS_TREE_KNOW_H
#define KINFS_TREE_KNOW_H

#include "fs/base/id.h"
#include "fs/base/limits.h"

struct know {
	struct dot *entries;
	size_t count, alloc;
};

#define KNOW_INIT ((struct know){ NULL, 0, 0 })

void know_release(struct know *);
void know_clear(struct know *);
uint64_t know_get(const struct know *, uint64_t origin);
/* Raises or lowers one entry. Errors: -ENOMEM, -E2BIG over ORIGINS_MAX. */
must_check int know_set(struct know *, uint64_t origin, uint64_t seq);
must_check int know_copy(struct know *ret, const struct know *from);
/* into := max of both, entry by entry. Errors: as know_set. */
must_check int know_join(struct know *into, const struct know *from);
/* into := min of both, entry by entry: what both know. */
void know_meet(struct know *into, const struct know *with);
bool know_covers(const struct know *, struct dot);
/* Is everything in a also in b? */
bool know_leq(const struct know *a, const struct know *b);
bool know_equal(const struct know *a, const struct know *b);
/* Operations in a that b lacks: the lag of b behind a, in changes. */
uint64_t know_lag(const struct know *a, const struct know *b);
void know_encode(const struct know *, struct buf *);
/* Replaces ret. Errors: -EBADMSG, -ENOMEM, -E2BIG. */
must_check int know_decode(struct reader *, struct know *ret);

#endif
