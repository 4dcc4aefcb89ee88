/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A token: what a node knew at some moment, as one word that a person or a
 * script carries to another node (or keeps). `kin wait --token` there ends
 * when that node shows all of it: read-your-writes and monotonic reads
 * across machines (the session guarantees of Bayou, Terry et al. 1994).
 *
 * Text: "kt" and base64url without padding of
 *
 *	u8 1 | 16 bytes volume | knowledge vector | 4 bytes checksum
 *
 * The checksum is the beginning of SHA-256 of all before it: it tells a
 * mistyped token from one of another volume. A token is no secret, and
 * gives no right to anything.
 */
#ifndef KINFS_NET_TOKEN_H
#define KINFS_NET_TOKEN_H

#include "fs/tree/know.h"

/* A vector of 4096 origins and the longest numbers, as base64. */
#define TOKEN_TEXT_BYTES_MAX (100 * 1024)

/* Appends the text. Errors: -ENOMEM. */
must_check int token_encode(struct volid, const struct know *,
			    struct buf *ret);
/*
 * Replaces *ret. Errors: -EBADMSG mistyped or cut short, -EPROTONOSUPPORT
 * of a newer kinfs, -EXDEV of another volume, -ENOMEM.
 */
must_check int token_decode(struct slice text, struct volid,
			    struct know *ret);

#endif
