/* SPDX-License-Identifier: Apache-2.0 */
/* OpenSSL does it; a failure of any kind is a wrong signature. */
#include "replication/core/sign.h"

#include <errno.h>
#include <openssl/evp.h>

int sign_check(const struct device *signer, struct slice message,
	       const uint8_t signature[64])
{
	EVP_PKEY *key = EVP_PKEY_new_raw_public_key(
		EVP_PKEY_ED25519, NULL, signer->b, sizeof(signer->b));
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	int r = -EBADMSG;

	if (key && ctx &&
	    EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, key) == 1 &&
	    EVP_DigestVerify(ctx, signature, 64, message.data, message.len) ==
		    1)
		r = 0;
	EVP_MD_CTX_free(ctx);
	EVP_PKEY_free(key);
	return r;
}
