/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which log lines that strangers can cause are written: one a minute for an
 * address, and twenty a minute in all. Ports do not count.
 */
#ifndef KINFS_NET_RATELIMIT_H
#define KINFS_NET_RATELIMIT_H

#include <stdbool.h>
#include <stdint.h>

#include "fs/base/macro.h"

#define RATELIMIT_MS 60000
#define RATELIMIT_LINES 20
#define RATELIMIT_ADDRESSES 64

struct ratelimit {
	struct {
		uint64_t hash, until_ms;
	} seen[RATELIMIT_ADDRESSES];
	uint64_t window_ms;
	unsigned int lines;
};

/* May a line about this address ("host:port") be written now? */
must_check bool ratelimit_allow(struct ratelimit *, const char *address,
				uint64_t now_ms);

#endif
