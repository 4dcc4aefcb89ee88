/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A small table by hash of the host. Two addresses in one place push each
 * other out: that only costs a line, and the bound for all holds anyway.
 */
#include "replication/net/ratelimit.h"

#include <string.h>

#include "fs/base/hash.h"

bool ratelimit_allow(struct ratelimit *l, const char *address,
		     uint64_t now_ms)
{
	const char *colon = strrchr(address, ':');
	size_t len = colon ? (size_t)(colon - address) : strlen(address);
	uint64_t hash = checksum64(address, len, 0);
	size_t at = hash % RATELIMIT_ADDRESSES;

	if (l->seen[at].hash == hash && now_ms < l->seen[at].until_ms)
		return false;
	if (now_ms >= l->window_ms) {
		l->window_ms = now_ms + RATELIMIT_MS;
		l->lines = 0;
	}
	if (l->lines >= RATELIMIT_LINES)
		return false;
	l->lines++;
	l->seen[at].hash = hash;
	l->seen[at].until_ms = now_ms + RATELIMIT_MS;
	return true;
}
