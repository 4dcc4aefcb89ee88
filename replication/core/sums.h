/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The frames by which two nodes compare what they hold: VERIFY says or
 * asks, SUMS answers. PROTOCOL.md, "Proof of equality". Pure: bytes in,
 * values out, and back.
 *
 * Decoders' errors: -EBADMSG.
 */
#ifndef KINFS_CORE_SUMS_H
#define KINFS_CORE_SUMS_H

#include "fs/tree/bucket.h"
#include "replication/core/wire.h"

enum sums_level {
	SUMS_ROOT = 0,	  /* VERIFY only: says its own */
	SUMS_PARENTS = 1, /* the 256 of all */
	SUMS_LEAVES = 2,  /* those of some parents */
	SUMS_OBJECTS = 3, /* ids and hashes in some leaves */
	SUMS_ROWS = 4,	  /* some rows */
};

/* Parents asked for at once: an answer of 160 KiB. */
#define VERIFY_PARENTS_MAX 16
/* Leaves asked for at once. */
#define VERIFY_LEAVES_MAX 64
/* Rows asked for at once, and so repaired in one go. */
#define VERIFY_ROWS_MAX 64
/* Objects in one answer, 24 bytes each: less than a frame. */
#define SUMS_OBJECTS_MAX 32768

struct verify {
	struct hash mark; /* of the sender's K: know_mark() */
	uint8_t level;
	/* SUMS_ROOT */
	bool ask; /* wants to hear the receiver's too */
	struct sum root;
	/* what is asked for */
	size_t count;
	union {
		uint8_t parents[VERIFY_PARENTS_MAX];
		uint16_t leaves[VERIFY_LEAVES_MAX];
		struct objid ids[VERIFY_ROWS_MAX];
	};
};

/* Names a knowledge vector: SHA-256 of its bytes. Errors: -ENOMEM. */
must_check int know_mark(const struct know *, struct hash *ret);

void verify_encode(const struct verify *, struct buf *);
must_check int verify_decode(struct reader *, struct verify *ret);

/* Begin a SUMS frame's body; what follows is put by its level's own rule. */
void sums_encode_head(const struct hash *mark, enum sums_level, struct buf *);
must_check int sums_decode_head(struct reader *, struct hash *ret_mark,
				uint8_t *ret_level);
/* SUMS_PARENTS, and each parent of SUMS_LEAVES: so many sums. */
void sums_encode(const struct sum *, size_t count, struct buf *);
void sums_decode(struct reader *, struct sum *ret, size_t count);

#endif
