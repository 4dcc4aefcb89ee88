/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rows of a cut on its way in: kept in memory until CUT comes, checked
 * as they come, the last record of each object wins.
 */
#ifndef KINFS_CORE_STAGE_H
#define KINFS_CORE_STAGE_H

#include "fs/tree/object.h"

/*
 * Bytes of rows of one staged cut, with bookkeeping: bounds the daemon's
 * memory; about half a million rows.
 */
#define STAGE_BYTES_MAX (256u * 1024 * 1024)

struct stage_row {
	struct objid id;
	uint32_t len;
	uint8_t *row;
};

struct stage {
	struct stage_row *rows;
	size_t count, alloc;
	uint32_t *index;   /* hash of id -> row number + 1; 0: free */
	size_t index_size; /* a power of two */
	uint64_t bytes;
	uint64_t records; /* as they came, repeated ones included */
};

void stage_clear(struct stage *);
/*
 * Adds a record, after checking that it is a well-formed row.
 * Errors: -EBADMSG, -E2BIG over STAGE_BYTES_MAX, -ENOMEM.
 */
must_check int stage_put(struct stage *, struct objid, struct slice row);

#endif
