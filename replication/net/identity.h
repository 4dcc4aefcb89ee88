/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A node's key: Ed25519, made once, kept in the store directory as
 * `device.key` (PEM, mode 0600). Its self-signed certificate is made anew
 * in memory at each start.
 */
#ifndef KINFS_NET_IDENTITY_H
#define KINFS_NET_IDENTITY_H

#include <openssl/types.h>

#include "fs/base/bytes.h"
#include "fs/base/id.h"
#include "fs/base/macro.h"

struct identity {
	EVP_PKEY *key;
	X509 *certificate;
	struct device device;	/* the public key */
};

/* Loads, or creates when missing. Errors: -EPERM the file is open to
 * others or somebody else's, -EBADMSG not a key. */
must_check int identity_open(const char *store_dir, struct buf *why,
			     struct identity *ret);
/* Only the public key, and nothing is created. Errors: -ENOENT there is none,
 * as above. */
must_check int identity_device(const char *store_dir, struct buf *why,
			       struct device *ret);
void identity_close(struct identity *);
must_check int identity_sign(const struct identity *, struct slice message,
			     uint8_t ret[64]);

#endif
