/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kin-power-small: the program as it ships, but for the size of the store's
 * data segments: so a session goes from one to the next every moment. Its
 * call of store_open() comes by here (ld --wrap). What it wrote is recovered
 * by the shipped program.
 */
#include "fs/store/store.h"

/* Some writes of the rig fill it, and its largest does not fit in. */
#define SMALL_SEGMENT_BYTES (256u << 10)

int __wrap_store_open(const struct store_options *, struct buf *why,
		      struct store **ret);
int __real_store_open(const struct store_options *, struct buf *why,
		      struct store **ret);

int __wrap_store_open(const struct store_options *o, struct buf *why,
		      struct store **ret)
{
	struct store_options small = *o;

	small.segment_bytes = SMALL_SEGMENT_BYTES;
	return __real_store_open(&small, why, ret);
}
