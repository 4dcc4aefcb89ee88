/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Chunks and blocks whose entry of the chunk table is lost: their bytes are
 * looked for in the data segments, where no entry names any. They have no
 * header, so a place is tried: what has a right hash is found.
 *
 * The ranges that entries name leave *gaps*. What is lost begins, as a rule,
 * where one begins, or ends where one ends: contents lie one behind the other
 * as they were written. Where it begins, its length is one that is looked for,
 * or where the chunker would cut, or that of the gap. A block says itself how
 * long it is, and begins with its version and a level, so it is found wherever
 * it is. What stands in a block that was found is looked for as well, if it is
 * not here: it is known with its length then. All gaps are tried again until
 * nothing is found any more.
 *
 * So not found is a chunk with garbage on both sides that was not given
 * back.
 *
 * Beside normal work: each step holds the store's lock for a moment at most.
 * One thread at a time.
 */
#ifndef KINFS_STORE_SALVAGE_H
#define KINFS_STORE_SALVAGE_H

#include "fs/store/content.h"

/* More is not looked for: 12 MiB of memory. */
#define SALVAGE_WANTED_MAX (1u << 18)

struct salvage;

/*
 * found: the bytes of one that was looked for; they are to be put somewhere
 * else, since nothing keeps them where they were. Its error ends the search.
 * [not locked] Errors: -ENOMEM.
 */
must_check int salvage_new(struct store *,
			   int (*found)(void *arg, const struct hash *,
					struct slice bytes),
			   void *arg, struct salvage **ret);
void salvage_free(struct salvage *);
/* Looks for this too. len: bytes, 0: not known, or a block. Errors: -ENOMEM. */
must_check int salvage_want(struct salvage *, const struct hash *,
			    uint32_t len);
/* Goes on: some milliseconds, as a rule. 1: it is over, or nothing is left to
 * be found. Errors: found()'s, -EIO, -EUCLEAN, -ENOMEM. [not locked] */
must_check int salvage_step(struct salvage *);

#endif
