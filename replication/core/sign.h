/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checking Ed25519 signatures. What is signed begins with a fixed text for
 * its kind, so that a signature of one kind is never taken for another made
 * by the same key.
 */
#ifndef KINFS_CORE_SIGN_H
#define KINFS_CORE_SIGN_H

#include "fs/base/bytes.h"
#include "fs/base/id.h"

/* Errors: -EBADMSG the signature is wrong, or the key is none. */
must_check int sign_check(const struct device *signer, struct slice message,
			  const uint8_t signature[64]);

#endif
