/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Identifiers. Each is a struct of its own, so that the compiler tells them
 * apart; all are plain values.
 */
#ifndef KINFS_BASE_ID_H
#define KINFS_BASE_ID_H

#include <stdbool.h>
#include <stdint.h>

#include "fs/base/bytes.h"
#include "fs/base/macro.h"

/*
 * An object: 48 bits of milliseconds of its creation, big endian, then 80
 * random bits. Compared as bytes, and only for equality and as a last
 * tie-break. The root directory is all zeros.
 */
struct objid {
	uint8_t b[16];
};

/* SHA-256. */
struct hash {
	uint8_t b[32];
};

/* A volume: 128 random bits. */
struct volid {
	uint8_t b[16];
};

/* A device: the Ed25519 public key of a node. */
struct device {
	uint8_t b[32];
};

/*
 * One operation: origin is the random number of one life of a store (an
 * incarnation), seq counts its operations from 1. All versions that an
 * operation writes share its dot. {0, 0} is "none".
 */
struct dot {
	uint64_t origin;
	uint64_t seq;
};

#define ROOT_ID ((struct objid){ { 0 } })

bool objid_equal(struct objid a, struct objid b);
int objid_compare(struct objid a, struct objid b);
bool objid_is_root(struct objid);
bool hash_equal(const struct hash *a, const struct hash *b);
int hash_compare(const struct hash *a, const struct hash *b);
bool volid_equal(struct volid a, struct volid b);
bool device_equal(const struct device *a, const struct device *b);
int device_compare(const struct device *a, const struct device *b);
bool dot_equal(struct dot a, struct dot b);
/* By origin, then seq. */
int dot_compare(struct dot a, struct dot b);
bool dot_is_none(struct dot);

/* Lower-case hex with a NUL; ret has 2 * len + 1 bytes. */
void hex_encode(const void *data, size_t len, char *ret);
/* Errors: -EINVAL unless text is exactly 2 * len hex digits. */
must_check int hex_decode(const char *text, void *ret, size_t len);
/*
 * RFC 4648 base32 in lower case without padding; ret has (len * 8 + 4) / 5
 * + 1 bytes. Decoding takes either case and gives the number of bytes.
 * Errors: -EINVAL for other characters, -E2BIG past max bytes.
 */
void base32_encode(const void *data, size_t len, char *ret);
must_check int base32_decode(const char *text, void *ret, size_t max);

#endif
