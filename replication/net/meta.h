/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Small values of the agent in the store's META table. Every call takes the
 * store's lock by itself; what changes something is durable on return.
 *
 *	paused		present: no exchange with peers
 *	listen		"explicit ADDR:PORT" or "auto ADDR:PORT"
 *	lapse		u32 days of time heard after which a member lapses
 *	keep		u32 days | u32 percent of the disk, or 0: | u64 bytes;
 *			of history
 *	dial/HEX	device -> "host:port ...", from its invitation
 *	invite/HEX	invitations: PROTOCOL.md, "Joining"
 */
#ifndef KINFS_NET_META_H
#define KINFS_NET_META_H

#include "fs/store/store.h"

#define META_PAUSED "paused"
#define META_LISTEN "listen"
#define META_DIAL "dial/"
#define META_LAPSE "lapse"
#define META_KEEP "keep"

/* Replaces ret's bytes. Errors: -ENOENT, of the store. */
must_check int meta_get(struct store *, const char *key, struct buf *ret);
must_check int meta_put(struct store *, const char *key, struct slice value);
must_check int meta_delete(struct store *, const char *key);
/*
 * Calls fn for each key with the prefix, in order, with the lock held, until
 * it returns non-zero, and returns that.
 */
must_check int meta_each(struct store *, const char *prefix,
			 int (*fn)(void *arg, struct slice key,
				   struct slice value), void *arg);

#endif
