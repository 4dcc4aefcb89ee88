/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Marks of operations: how two nodes find out that one origin has two
 * histories (a restored backup, a copied store, lost numbers).
 *
 * When an operation with a dot ends, its origin computes
 *
 *	chain[n] = SHA-256(chain[before n] | origin | n | hlc | rows written)
 *
 * with 16 random bytes for the first operation of each run of a store, so
 * that two copies of one store never go on alike. The *mark* of n is a
 * number of 32 bits of it; 0 means that there is no operation n (numbers
 * may be skipped after a crash). Every node keeps the mark of every number
 * that its K covers, for ever: 4 bytes an operation. A mark depends on all
 * before it, so if two nodes have one mark at a number, they agree on
 * everything up to it; and where they first differ is found exactly, at any
 * depth, by halving.
 *
 * After a fork the branch that goes is renamed (fork.c) to an *alias*, an
 * origin whose number follows from (root, first, mark): the origin that made
 * it, the branch's first number, and that number's mark. So every node gives
 * it the same name by itself. An alias goes on with the numbers it had; its
 * first number is greater than 1, as a rule.
 *
 * 32 bits: that two histories have equal marks at a number where they were
 * first compared happens once in four thousand million forks.
 */
#ifndef KINFS_TREE_CHAIN_H
#define KINFS_TREE_CHAIN_H

#include <stdbool.h>

#include "fs/base/id.h"

struct know;
struct tree;

/* Of one operation; 0: none. */
typedef uint32_t mark_t;
/* It was damaged on this node, or on whom it came from. */
#define MARK_LOST UINT32_MAX

/* Are they of one history, as far as they say? */
static inline bool marks_agree(mark_t a, mark_t b)
{
	return a == b || a == MARK_LOST || b == MARK_LOST;
}

/* What an alias is made of. */
struct birth {
	uint64_t alias;
	uint64_t root;		/* origin under which it was written */
	uint64_t first;		/* number of the branch's first operation */
	mark_t mark;		/* of that */
};

/* The alias that these three give. */
uint64_t birth_alias(uint64_t root, uint64_t first, mark_t mark);
/* Does the alias follow from the rest, and is the rest possible? */
bool birth_is_valid(const struct birth *);

/* ---- [locked] */
/* Mark of the operation; 0: none that K covers. */
must_check int chain_get(struct tree *, struct dot, mark_t *ret);
/* Greatest number <= d.seq that has a mark and that K covers; 0: none. */
must_check int chain_last(struct tree *, struct dot, uint64_t *ret);
/* Smallest number > d.seq that has a mark and that K covers; 0: none. */
must_check int chain_next(struct tree *, struct dot, uint64_t *ret);
/* Marks of after+1 ... after+count, zeros where there is none. */
must_check int chain_read(struct tree *, uint64_t origin, uint64_t after,
			  mark_t *ret, size_t count);
/*
 * In an operation that will raise K to cover them, or has: stores marks of
 * after+1 ... after+count.
 */
must_check int chain_write(struct tree *, uint64_t origin, uint64_t after,
			   const mark_t *, size_t count);

/* The greatest number of each origin that has a mark: K, but for what is being
 * applied. Damaged records count as none. */
must_check int chain_know(struct tree *, struct know *ret);

/* A record that is damaged: what it had, up to K, counts as lost. In an
 * operation. */
must_check int chain_lose(struct tree *, struct slice key);
/* Has the last operation of each origin in K a mark? If not, and with `lose`,
 * it counts as lost (in an operation). Errors: -EUCLEAN. */
must_check int chain_check_heads(struct tree *, bool lose);

/* The birth of an alias, or NULL. Borrowed until the lock is released. */
const struct birth *chain_birth(struct tree *, uint64_t alias);
/* All that are known, by alias. */
const struct birth *chain_births(struct tree *, size_t *ret_count);
/* Notes one; known ones are ignored. In an operation. Errors: -EPROTO it
 * is not valid, -E2BIG, -ENOMEM. */
must_check int chain_birth_add(struct tree *, const struct birth *);
/* For what META lost: those that follow from the marks. In an operation. */
must_check int chain_births_anew(struct tree *);
/* The origin itself, or the root of the alias. */
uint64_t chain_root(struct tree *, uint64_t origin);

#endif
