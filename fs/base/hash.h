/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hashes: SHA-256 names content and signs; XXH64 only finds damage.
 * OpenSSL does the work; each thread keeps one context for its life.
 */
#ifndef KINFS_BASE_HASH_H
#define KINFS_BASE_HASH_H

#include "fs/base/bytes.h"
#include "fs/base/id.h"

void hash_bytes(const void *data, size_t len, struct hash *ret);
/* Is it the hash of these bytes? */
bool hash_is(const struct hash *, const void *data, size_t len);
/* The hash of the parts one after the other. */
void hash_slices(const struct slice *parts, size_t count, struct hash *ret);
/*
 * Of the first lens[0] bytes, of the first lens[1], and so on; lens ascend.
 * Stops at the first non-zero of fn, and returns it. Errors: -ENOMEM.
 */
must_check int hash_prefixes(const void *data, const uint32_t *lens,
			     size_t count,
			     int (*fn)(void *arg, const struct hash *,
				       size_t len),
			     void *arg);
void hash_hmac(struct slice key, struct slice data, struct hash *ret);

/*
 * HMAC-SHA-256 under one key, many times: the key's two blocks are hashed
 * once. For one thread at a time.
 */
struct mac;
/* NULL when out of memory. */
struct mac *mac_new(struct slice key);
void mac_free(struct mac *);
/* Of the parts one after the other. */
void mac_slices(struct mac *, const struct slice *parts, size_t count,
		struct hash *ret);

uint64_t checksum64(const void *data, size_t len, uint64_t seed);

#endif
