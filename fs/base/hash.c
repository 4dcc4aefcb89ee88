/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/base/hash.h"

#include <errno.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
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

bool hash_is(const struct hash *hash, const void *data, size_t len)
{
	struct hash found;

	hash_bytes(data, len, &found);
	return hash_equal(&found, hash);
}

int hash_prefixes(const void *data, const uint32_t *lens, size_t count,
		  int (*fn)(void *arg, const struct hash *, size_t len),
		  void *arg)
{
	EVP_MD_CTX *end = hash_context(), *so_far = EVP_MD_CTX_new();
	size_t done = 0;
	int r = 0;

	if (!so_far)
		return -ENOMEM;
	kin_assert(EVP_DigestInit_ex2(so_far, sha256, NULL));
	for (size_t k = 0; !r && k < count; k++) {
		struct hash hash;

		kin_assert(EVP_DigestUpdate(so_far,
					    (const uint8_t *)data + done,
					    lens[k] - done) &&
			   EVP_MD_CTX_copy_ex(end, so_far) &&
			   EVP_DigestFinal_ex(end, hash.b, NULL));
		done = lens[k];
		r = fn(arg, &hash, done);
	}
	EVP_MD_CTX_free(so_far);
	return r;
}

void hash_hmac(struct slice key, struct slice data, struct hash *ret)
{
	unsigned int len = sizeof(ret->b);

	kin_assert(HMAC(EVP_sha256(), key.data, (int)key.len, data.data,
			data.len, ret->b, &len));
}

/* ---- HMAC under one key (RFC 2104) */

#define BLOCK_BYTES 64
#define INNER_PAD 0x36
#define OUTER_PAD 0x5c

struct mac {
	EVP_MD_CTX *inner, *outer; /* one block in: the key and a pad */
	EVP_MD_CTX *work;
};

static EVP_MD_CTX *mac_state(struct slice key, uint8_t pad)
{
	uint8_t block[BLOCK_BYTES] = {0};
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();

	if (!ctx)
		return NULL;
	memcpy(block, key.data, key.len);
	for (size_t i = 0; i < sizeof(block); i++)
		block[i] ^= pad;
	kin_assert(EVP_DigestInit_ex2(ctx, sha256, NULL));
	kin_assert(EVP_DigestUpdate(ctx, block, sizeof(block)));
	OPENSSL_cleanse(block, sizeof(block));
	return ctx;
}

struct mac *mac_new(struct slice key)
{
	struct mac *m = calloc(1, sizeof(*m));

	kin_assert(key.len <= BLOCK_BYTES);
	pthread_once(&once, hash_setup);
	if (!m)
		return NULL;
	m->inner = mac_state(key, INNER_PAD);
	m->outer = mac_state(key, OUTER_PAD);
	m->work = EVP_MD_CTX_new();
	if (m->inner && m->outer && m->work)
		return m;
	mac_free(m);
	return NULL;
}

void mac_free(struct mac *m)
{
	if (!m)
		return;
	EVP_MD_CTX_free(m->inner);
	EVP_MD_CTX_free(m->outer);
	EVP_MD_CTX_free(m->work);
	free(m);
}

void mac_slices(struct mac *m, const struct slice *parts, size_t count,
		struct hash *ret)
{
	kin_assert(EVP_MD_CTX_copy_ex(m->work, m->inner));
	for (size_t i = 0; i < count; i++)
		kin_assert(EVP_DigestUpdate(m->work, parts[i].data,
					    parts[i].len));
	kin_assert(EVP_DigestFinal_ex(m->work, ret->b, NULL));
	kin_assert(EVP_MD_CTX_copy_ex(m->work, m->outer));
	kin_assert(EVP_DigestUpdate(m->work, ret->b, sizeof(ret->b)));
	kin_assert(EVP_DigestFinal_ex(m->work, ret->b, NULL));
}

uint64_t checksum64(const void *data, size_t len, uint64_t seed)
{
	return XXH64(data, len, seed);
}
