/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which bytes of some data segments are in use: one bit for USED_BLOCK_BYTES. The
 * caller serialises all calls.
 */
#ifndef KINFS_STORE_USED_H
#define KINFS_STORE_USED_H

#include "fs/store/store.h"

/* A block of the host's file system: what can be given back at once. A bit
 * for each of them is 32 MiB of memory for 1 TiB of data. */
#define USED_BLOCK_BYTES 4096u

struct used_segment {
	uint32_t number;
	uint64_t length;    /* of the file when it was added */
	uint64_t bytes;	    /* that have bits: as many, or more */
	uint64_t allocated; /* bytes that it takes on the disk */
	uint64_t *bits;
	/* What the one who marks wants to remember. */
	uint64_t entries, live_bytes, raw_bytes;
	bool raw;	/* bytes in it are named by no hash */
	bool chosen;	/* all that is alive in it is to be moved */
	bool kept;	/* ... but could not be */
};

struct used_map {
	struct used_segment *list; /* by number */
	size_t count, alloc;
	size_t last; /* that was looked for */
};

void used_release(struct used_map *);
/* Segments may be added in any order until used_sort(). Errors: -ENOMEM. */
must_check int used_add(struct used_map *, uint32_t number, uint64_t length,
			 uint64_t bytes, uint64_t allocated);
void used_sort(struct used_map *);
/* NULL: not among them. */
struct used_segment *used_find(struct used_map *, uint32_t number);
/*
 * Marks all blocks that the range touches. False: it is in none of the
 * segments, or not wholly inside.
 */
bool used_set(struct used_map *, struct data_loc, uint64_t len);
/* All blocks that the range touches are marked, or it is outside. */
bool used_has(struct used_map *, struct data_loc, uint64_t len);
/* Blocks that are marked. */
uint64_t used_count(const struct used_segment *);
/* The first run of blocks that are not marked, from a byte on, up to `end`:
 * in whole blocks, the last one may be behind the end. */
bool used_gap(const struct used_segment *, uint64_t from, uint64_t end,
	       uint64_t *ret_from, uint64_t *ret_to);

#endif
