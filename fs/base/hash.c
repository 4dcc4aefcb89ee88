/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/base/hash.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <pthread.h>
#include <xxhash.h>

/*
 * EVP_MD_fetch() and EVP_MD_CTX_new() cost more than hashing a small file,
 * so both are kept: the digest for the process, the context for the thread.
 */
static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t context_key;
static EVP_MD *sha256;

static void context_free(void *ctx)
{
	EVP_MD_CTX_free(ctx);
}

static void hash_setup(void)
{
	sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
	kin_assert(sha256);
	kin_assert(!pthread_key_create(&context_key, context_free));
}

static EVP_MD_CTX *hash_context(void)
{
	EVP_MD_CTX *ctx;

	pthread_once(&once, hash_setup);
	ctx = pthread_getspecific(context_key);
	if (!ctx) {
		ctx = EVP_MD_CTX_new();
		kin_assert(ctx && !pthread_setspecific(context_key, ctx));
	}
	return ctx;
}

void hash_slices(const struct slice *parts, size_t count, struct hash *ret)
{
	EVP_MD_CTX *ctx = hash_context();

	kin_assert(EVP_DigestInit_ex2(ctx, sha256, NULL));
	for (size_t i = 0; i < count; i++)
		kin_assert(EVP_DigestUpdate(ctx, parts[i].data, parts[i].len));
	kin_assert(EVP_DigestFinal_ex(ctx, ret->b, NULL));
}

void hash_bytes(const void *data, size_t len, struct hash *ret)
{
	struct slice s = SLICE(data, len);

	hash_slices(&s, 1, ret);
}

void hash_hmac(struct slice key, struct slice data, struct hash *ret)
{
	unsigned int len = sizeof(ret->b);

	kin_assert(HMAC(EVP_sha256(), key.data, (int)key.len, data.data,
			data.len, ret->b, &len));
}

uint64_t checksum64(const void *data, size_t len, uint64_t seed)
{
	return XXH64(data, len, seed);
}
