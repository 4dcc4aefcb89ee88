/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Marks of operations on the wire (fs/tree/chain.h says what they are): the
 * marks at a knowledge vector, by which a node says which history it knows,
 * and runs of marks, which go with a cut. PROTOCOL.md, "Marks".
 *
 * Decoders' errors: -EBADMSG, -E2BIG, -ENOMEM.
 */
#ifndef KINFS_CORE_MARKS_H
#define KINFS_CORE_MARKS_H

#include "fs/tree/chain.h"
#include "fs/tree/know.h"

/* Numbers of operations in runs end here: far above all that there will be,
 * and sums of them do not begin anew at 0. */
#define RUN_END_MAX ((uint64_t)INT64_MAX)
/* Marks of one run: 16 KiB, so that a frame of runs stays small. */
#define RUN_MARKS_MAX 4096

/* The marks at the entries of a K, in order, and how its aliases came. */
struct heads {
	mark_t *marks; /* NULL: not told */
	struct birth *births;
	size_t birth_count;
};

void heads_release(struct heads *);
/* Of this K, which the tree covers. [store locked] */
must_check int heads_take(struct tree *, const struct know *,
			  struct heads *ret);
void heads_encode(const struct heads *, size_t count, struct buf *);
must_check int heads_decode(struct reader *, const struct know *,
			    struct heads *ret);

/*
 * The operations of one origin behind `after`, which is one itself or 0:
 * `skip` numbers without any, then `count` numbers without a gap.
 */
struct mark_run {
	uint64_t origin, after, skip;
	mark_t before; /* mark of `after` */
	size_t count;
	mark_t marks[RUN_MARKS_MAX];
};

uint64_t run_end(const struct mark_run *);
/* Of what K covers; count is 0 when there are no more up to `last`.
 * [store locked] */
must_check int run_take(struct tree *, uint64_t origin, uint64_t after,
			uint64_t last, struct mark_run *ret);
void run_encode(const struct mark_run *, struct buf *);
must_check int run_decode(struct reader *, struct mark_run *ret);

#endif
