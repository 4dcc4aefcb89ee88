/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Is this store a copy? A random value, the *cookie*, is renewed each time a
 * store is opened, in META and in a small file elsewhere, together with what
 * a copy of the database cannot keep: its inode number and time of birth. A
 * store that was restored from a backup, or copied to another place or
 * machine, does not fit the file that it finds. (A copy of a whole machine
 * does; that is what marks are for: fs/tree/chain.h.)
 */
#ifndef KINFS_STORE_COOKIE_H
#define KINFS_STORE_COOKIE_H

#include "fs/store/store.h"

#define COOKIE_BYTES 16

/*
 * To be asked after store_open(), before anything is written. False too
 * for a store that never had a cookie. [not locked] Errors: of the system.
 */
must_check int cookie_is_copy(struct store *, const char *file, bool *ret);
/*
 * A new cookie, durable on both sides. Whatever must be done about a copy is
 * durable before this. A crash at any moment makes no copy of the store.
 * [not locked]
 */
must_check int cookie_renew(struct store *, const char *file,
			    const uint8_t fresh[COOKIE_BYTES]);

#endif
