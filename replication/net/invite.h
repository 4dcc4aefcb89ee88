/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Invitations: a one-time code that lets one new device into the volume.
 *
 * The code carries version, volume id, the inviter's addresses, SHA-256 of
 * its public key, a 128-bit random secret and a checksum, in base32. The
 * joiner connects by TLS 1.3, compares the inviter's key with the code, and
 * proves the secret by HMAC-SHA-256 over the TLS exporter value and both
 * public keys: the secret itself is never sent, and the proof is useless to
 * a relay. The inviter keeps only a hash of the secret, marks the code used
 * durably *before* it signs the member record, accepts it once, for 24
 * hours; five failures end it. Bytes: PROTOCOL.md, "Joining".
 */
#ifndef KINFS_NET_INVITE_H
#define KINFS_NET_INVITE_H

#include "fs/tree/bucket.h"
#include "fs/tree/tree.h"
#include "replication/net/identity.h"

#define INVITE_ADDRESSES_MAX 4
#define INVITE_SECRET_BYTES 16

struct invite_code {
	struct volid volume;
	struct hash key_hash;		/* of the inviter's public key */
	uint8_t secret[INVITE_SECRET_BYTES];
	char addresses[INVITE_ADDRESSES_MAX][64];	/* "host:port" */
	size_t address_count;
};

/* One line of base32; `ret` NUL-terminated. */
must_check int invite_encode(const struct invite_code *, struct buf *ret);
/* Errors: -EBADMSG mistyped (checksum), -EPROTONOSUPPORT a newer code. */
must_check int invite_decode(const char *text, struct invite_code *ret);

/* What a joiner gets. */
struct join_result {
	struct volid volume;
	struct device inviter;
	char label[LABEL_BYTES_MAX + 1];	/* given to this node */
	uint8_t secret[SECRET_BYTES];	/* the volume's, for tree_open() */
	struct buf members;	/* for core_adopt_members() */
	struct buf addresses;	/* of the inviter, "host:port ..." */
};

/*
 * Connects to the inviter and joins; blocks, 30 s at most. `why` receives
 * a sentence for the user. Errors: -EHOSTUNREACH nobody answers at any
 * address, -EKEYREJECTED the answering node has another key than the code
 * says, -EKEYREVOKED used or revoked, -EKEYEXPIRED, -ENOKEY not known
 * there (foreign or mistyped), -EPROTONOSUPPORT, -ETIMEDOUT, -EPROTO.
 */
must_check int invite_join(const struct invite_code *,
			   const struct identity *, const char *label,
			   struct buf *why, struct join_result *ret);
void join_result_release(struct join_result *);
/*
 * Writes down where the inviter listens, so that the agent that is started
 * next calls it: to be done once the tree is open, beside
 * core_adopt_members(). Errors: of the store.
 */
must_check int join_result_remember(struct tree *, const struct join_result *);

#endif
