/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sums over all that a node holds, by which two nodes prove in 40 bytes
 * that they hold the same.
 *
 *	h(O) = HMAC-SHA-256(volume's secret; id | canonical versions)
 *
 * of every object that is not dead; an object belongs to the *leaf* that the
 * last two bytes of its id name. A leaf's sum is the sum of its h modulo
 * 2^256, with their number; leaves with one first byte are a *parent*; all
 * together are the root. Nodes of equal knowledge have equal sums: dead rows
 * do not count, so it does not matter who has purged what.
 *
 * Keyed, because plain sums of hashes can be forged: who does not know the
 * secret cannot make a set of rows that adds up to another's sum. The secret
 * is given to members only, is never shown, and protects nobody from them.
 *
 * The leaves (table BUCKET) and the root (META clock) are kept by the
 * operation that stores a row; parents are added up when asked for. All
 * functions are [locked].
 */
#ifndef KINFS_TREE_BUCKET_H
#define KINFS_TREE_BUCKET_H

#include "fs/tree/know.h"

struct tree;

#define LEAVES (1u << 16)
#define PARENTS 256u
/* Leaves of one parent. */
#define PARENT_LEAVES (LEAVES / PARENTS)
#define SUM_BYTES 40
#define SECRET_BYTES 32

struct sum {
	uint64_t word[4]; /* 256 bits, lowest word first */
	uint64_t count;	  /* objects */
};

bool sum_equal(const struct sum *, const struct sum *);
void sum_add(struct sum *, const struct sum *);
/* SUM_BYTES: the words, then the count, little endian. */
void sum_encode(const struct sum *, struct buf *);
void sum_decode(struct reader *, struct sum *ret);

/* Over everything: costs nothing. */
struct sum bucket_root(struct tree *);
/* Objects that count. [not locked] */
uint64_t bucket_count(struct tree *);
/* All parents: reads every leaf, some ten milliseconds. */
must_check int bucket_parents(struct tree *, struct sum ret[PARENTS]);
must_check int bucket_leaves(struct tree *, uint8_t parent,
			     struct sum ret[PARENT_LEAVES]);
uint16_t leaf_of(struct objid);

/*
 * Objects that count, from the id *at on, in order: calls fn with the first
 * 8 bytes of h of those in the wanted leaves, looking at no more than max
 * objects; *at becomes where to go on. Returns 1 at the end, 0 if there is
 * more, or a negative of fn.
 */
struct leaf_set {
	uint8_t bits[LEAVES / 8];
};
void leaf_set_add(struct leaf_set *, uint16_t leaf);
bool leaf_set_has(const struct leaf_set *, uint16_t leaf);
must_check int bucket_objects(struct tree *, struct objid *at, size_t max,
			      const struct leaf_set *,
			      int (*fn)(void *arg, struct objid, uint64_t h64),
			      void *arg);

/* The volume's secret, for whoever joins. */
void bucket_secret(struct tree *, uint8_t ret[SECRET_BYTES]);

#endif
