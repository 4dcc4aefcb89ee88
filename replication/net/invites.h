/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inviter's table of invitations, in the store's META table. Of a
 * secret it keeps a hash only: that hash is the key of the proof, so who
 * steals this store could use the invitations that are still open, and
 * nobody else can.
 *
 * now_ms is the wall clock, as in all of it. Everything is durable when a
 * function returns.
 */
#ifndef KINFS_NET_INVITES_H
#define KINFS_NET_INVITES_H

#include "fs/store/store.h"
#include "replication/net/join_wire.h"

#define INVITE_LIFE_MS (24ull * 60 * 60 * 1000)
#define INVITE_FAILURES_MAX 5
/* Open at once: a person has a few. */
#define INVITES_OPEN_MAX 64
/* Kept in all, so that an old code is still told from a foreign one. */
#define INVITES_MAX 256

enum invite_state {
	INVITE_OPEN = 1,
	INVITE_USED = 2,
	INVITE_REVOKED = 3,
	INVITE_FAILED = 4,
};

struct invite {
	struct invite_id id;
	enum invite_state state;
	uint8_t failures;
	uint64_t created_ms, expires_ms;
	struct hash key;
	struct device used_by;
};

/* "open", "used", "revoked", "failed" or "expired". */
const char *invite_state_name(const struct invite *, uint64_t now_ms);

/* A new one with a new secret. Errors: -E2BIG too many are open. */
must_check int invites_create(struct store *, uint64_t now_ms,
			      uint8_t ret_secret[INVITE_SECRET_BYTES],
			      struct invite *ret);
/* All that are kept, oldest first; returns how many. */
must_check int64_t invites_list(struct store *,
				struct invite ret[INVITES_MAX]);
/*
 * Ends the open one with this id in hex, or all open ones (NULL); returns
 * how many it ended.
 */
must_check int64_t invites_revoke(struct store *, uint64_t now_ms,
				  const char *id);
/*
 * Judges a request and, if it is good, marks the invitation used by the
 * joiner. Returns 0 or an enum refusal; errors: of the store. The device
 * that used an invitation may present it again: its answer was lost.
 */
must_check int invites_use(struct store *, uint64_t now_ms,
			   const struct join_request *,
			   const struct join_scene *);

#endif
