/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The frames of a connection for joining (ALPN kinfs-join/1), and the proof
 * in them. Pure; PROTOCOL.md, "Joining", has the bytes.
 */
#ifndef KINFS_NET_JOIN_WIRE_H
#define KINFS_NET_JOIN_WIRE_H

#include "fs/base/id.h"
#include "fs/base/limits.h"
#include "replication/net/invite.h"
#include "replication/net/tls.h"

#define JOIN_VERSION 1
/* Names an invitation to its inviter: the first bytes of SHA-256(secret). */
#define INVITE_ID_BYTES 4
/* Bytes of the sentence in REFUSED. */
#define JOIN_TEXT_MAX 200
/* Bytes of "host:port host:port ..." of the inviter. */
#define JOIN_ADDRESSES_BYTES_MAX 255

enum join_frame {
	FRAME_JOIN = 64,
	FRAME_JOINED = 65,
	FRAME_REFUSED = 66,
};

enum refusal {
	REFUSED_UNKNOWN = 1,
	REFUSED_USED = 2,
	REFUSED_EXPIRED = 3,
	REFUSED_REVOKED = 4,
	REFUSED_FAILURES = 5,
	REFUSED_VOLUME = 6,
	REFUSED_VERSION = 7,
	REFUSED_LOCAL = 8,	/* the inviter cannot now; try again */
	REFUSED_REMOVED = 9,	/* this key was removed from the volume */
	REFUSED_FULL = 10,	/* no room for another member */
};

struct invite_id {
	uint8_t b[INVITE_ID_BYTES];
};

struct join_request {
	uint8_t version;
	struct invite_id id;
	struct volid volume;
	struct hash proof;
	char label[LABEL_BYTES_MAX + 1];	/* wanted */
};

/* What the proof is about. */
struct join_scene {
	uint8_t exported[TLS_EXPORT_BYTES];
	struct device inviter, joiner;
};

void invite_id_of(const uint8_t secret[INVITE_SECRET_BYTES],
		  struct invite_id *ret);
/* The key of the proof, which is what the inviter keeps of the secret. */
void invite_key_of(const uint8_t secret[INVITE_SECRET_BYTES],
		   struct hash *ret);
void join_prove(const struct hash *key, const struct join_scene *,
		struct hash *ret);
/* In time that does not depend on the bytes. */
bool join_proof_is(const struct hash *key, const struct join_scene *,
		   const struct hash *proof);

/* Whole frames, replacing the buffer's bytes. Errors: -ENOMEM, -E2BIG. */
must_check int join_encode(const struct join_request *, struct buf *ret);
must_check int joined_encode(const struct join_result *, struct buf *ret);
must_check int refused_encode(enum refusal, const char *text,
			      struct buf *ret);

/* Bodies, behind the type. Errors: -EBADMSG, -ENOMEM. A request of another
 * version has its version only. */
must_check int join_decode(struct reader *, struct join_request *ret);
/* ret was zeroed by the caller, who releases it also after an error. */
must_check int joined_decode(struct reader *, struct join_result *ret);
must_check int refused_decode(struct reader *, uint16_t *ret_code,
			      char ret_text[JOIN_TEXT_MAX + 1]);

#endif
