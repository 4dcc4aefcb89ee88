/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/core/core_support.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEX_LINE 32

static EVP_PKEY *test_key(uint8_t n)
{
	uint8_t secret[32];
	EVP_PKEY *key;

	memset(secret, n, sizeof(secret));
	key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, secret,
					   sizeof(secret));
	assert_non_null(key);
	return key;
}

struct device test_device(uint8_t n)
{
	EVP_PKEY *key = test_key(n);
	struct device d;
	size_t len = sizeof(d.b);

	assert_int_equal(EVP_PKEY_get_raw_public_key(key, d.b, &len), 1);
	EVP_PKEY_free(key);
	return d;
}

void test_sign(uint8_t n, struct slice message, uint8_t ret[64])
{
	EVP_PKEY *key = test_key(n);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	size_t len = 64;

	assert_int_equal(EVP_DigestSignInit(ctx, NULL, NULL, NULL, key), 1);
	assert_int_equal(
		EVP_DigestSign(ctx, ret, &len, message.data, message.len), 1);
	EVP_MD_CTX_free(ctx);
	EVP_PKEY_free(key);
}

struct volid test_volume(void)
{
	struct volid v;

	memset(v.b, 0x5a, sizeof(v.b));
	return v;
}

struct member test_member(uint8_t n, const char *label, uint8_t signer)
{
	cleanup(buf_release) struct buf message = BUF_INIT;
	struct member m = {
		.volume = test_volume(),
		.device = test_device(n),
		.signer = test_device(signer),
		.added_ms = 1000 + n,
	};

	snprintf(m.label, sizeof(m.label), "%s", label);
	member_encode_signed(&m, &message);
	test_sign(signer, buf_slice(&message), m.signature);
	return m;
}

struct member_removal test_removal(uint8_t n, uint8_t signer)
{
	cleanup(buf_release) struct buf message = BUF_INIT;
	struct member_removal m = {
		.volume = test_volume(),
		.device = test_device(n),
		.signer = test_device(signer),
		.removed_ms = 2000 + n,
	};

	removal_encode_signed(&m, &message);
	test_sign(signer, buf_slice(&message), m.signature);
	return m;
}

struct know test_know(uint64_t origin, ...)
{
	struct know k = KNOW_INIT;
	va_list ap;

	va_start(ap, origin);
	for (; origin; origin = va_arg(ap, int))
		assert_int_equal(
			know_set(&k, origin, (uint64_t)va_arg(ap, int)), 0);
	va_end(ap);
	return k;
}

struct heads test_heads(struct know *k, uint64_t first)
{
	struct heads h = {.births = calloc(1, sizeof(*h.births)),
			  .birth_count = 1};

	h.births[0] = (struct birth){birth_alias(3, first, 77), 3, first, 77};
	assert_int_equal(know_set(k, h.births[0].alias, first + 10), 0);
	h.marks = calloc(k->count, sizeof(*h.marks));
	for (size_t i = 0; i < k->count; i++)
		h.marks[i] = (mark_t)(0x01010101 * (i + 1));
	return h;
}

void assert_golden(const char *name, struct slice bytes)
{
	cleanup(buf_release) struct buf text = BUF_INIT;
	char path[4096], hex[2 * HEX_LINE + 1], line[2 * HEX_LINE + 3];
	FILE *f;

	for (size_t i = 0; i < bytes.len; i += HEX_LINE) {
		hex_encode(bytes.data + i,
			   MIN_OF(bytes.len - i, (size_t)HEX_LINE), hex);
		buf_printf(&text, "%s\n", hex);
	}
	snprintf(path, sizeof(path), "%s/%s", KINFS_GOLDEN_DIR, name);
	if (getenv("KINFS_GOLDEN_WRITE")) {
		f = fopen(path, "w");
		assert_non_null(f);
		fwrite(text.data, 1, text.len, f);
		fclose(f);
		return;
	}
	f = fopen(path, "r");
	if (!f)
		fail_msg("no golden file %s", path);
	for (size_t at = 0; at < text.len; at += strlen(line)) {
		assert_non_null(fgets(line, sizeof(line), f));
		assert_true(text.len - at >= strlen(line));
		assert_memory_equal(line, text.data + at, strlen(line));
	}
	assert_null(fgets(line, sizeof(line), f));
	fclose(f);
}
