/* SPDX-License-Identifier: Apache-2.0 */
/* Hashes, against published vectors. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <string.h>

#include "fs/base/hash.h"

static void assert_hash(const struct hash *h, const char *hex)
{
	char text[65];

	hex_encode(h->b, sizeof(h->b), text);
	assert_string_equal(text, hex);
}

/* FIPS 180-2. */
static void test_sha256(void **state)
{
	struct slice parts[] = {SLICE_STR("a"), SLICE(NULL, 0),
				SLICE_STR("bc")};
	struct hash h;

	(void)state;
	hash_bytes("", 0, &h);
	assert_hash(&h, "e3b0c44298fc1c149afbf4c8996fb924"
			"27ae41e4649b934ca495991b7852b855");
	hash_bytes("abc", 3, &h);
	assert_hash(&h, "ba7816bf8f01cfea414140de5dae2223"
			"b00361a396177a9cb410ff61f20015ad");
	hash_slices(parts, ARRAY_SIZE(parts), &h);
	assert_hash(&h, "ba7816bf8f01cfea414140de5dae2223"
			"b00361a396177a9cb410ff61f20015ad");
}

/* RFC 4231, case 2. */
static void test_hmac(void **state)
{
	struct hash h;

	(void)state;
	hash_hmac(SLICE_STR("Jefe"), SLICE_STR("what do ya want for nothing?"),
		  &h);
	assert_hash(&h, "5bdcc146bf60754e6a042426089575c7"
			"5a003f089d2739839dec58b964ec3843");
}

/* Cases 1, 2 and 3 of RFC 4231, and as hash_hmac() does it. */
static void test_mac(void **state)
{
	uint8_t key[20], data[50];
	struct slice parts[] = {SLICE_STR("what do ya "),
				SLICE_STR("want for nothing?")};
	struct mac *m;
	struct hash h, once;

	(void)state;
	memset(key, 0x0b, sizeof(key));
	m = mac_new(SLICE(key, sizeof(key)));
	parts[0] = SLICE_STR("Hi There");
	mac_slices(m, parts, 1, &h);
	assert_hash(&h, "b0344c61d8db38535ca8afceaf0bf12b"
			"881dc200c9833da726e9376c2e32cff7");
	mac_free(m);
	m = mac_new(SLICE_STR("Jefe"));
	parts[0] = SLICE_STR("what do ya ");
	for (int i = 0; i < 3; i++) {
		mac_slices(m, parts, 2, &h);
		assert_hash(&h, "5bdcc146bf60754e6a042426089575c7"
				"5a003f089d2739839dec58b964ec3843");
	}
	mac_free(m);
	memset(key, 0xaa, sizeof(key));
	memset(data, 0xdd, sizeof(data));
	parts[0] = SLICE(data, sizeof(data));
	m = mac_new(SLICE(key, sizeof(key)));
	mac_slices(m, parts, 1, &h);
	assert_hash(&h, "773ea91e36800e46854db8ebd09181a7"
			"2959098b3ef8c122d9635514ced565fe");
	hash_hmac(SLICE(key, sizeof(key)), parts[0], &once);
	assert_true(hash_equal(&h, &once));
	mac_free(m);
}

/* The xxHash specification. */
static void test_checksum(void **state)
{
	(void)state;
	assert_true(checksum64("", 0, 0) == 0xef46db3751d8e999);
	assert_true(checksum64("abc", 3, 0) == 0x44bc2cf5ad770999);
	assert_true(checksum64("abc", 3, 1) != checksum64("abc", 3, 0));
}

static void *hash_many(void *arg)
{
	struct hash *h = arg;

	for (int i = 0; i < 1000; i++)
		hash_bytes("abc", 3, h);
	return NULL;
}

static void test_threads(void **state)
{
	pthread_t threads[4];
	struct hash h[4];

	(void)state;
	for (int i = 0; i < 4; i++)
		assert_int_equal(
			pthread_create(&threads[i], NULL, hash_many, &h[i]), 0);
	for (int i = 0; i < 4; i++) {
		pthread_join(threads[i], NULL);
		assert_true(hash_equal(&h[i], &h[0]));
		assert_int_equal(hash_compare(&h[i], &h[0]), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sha256),
		cmocka_unit_test(test_hmac),
		cmocka_unit_test(test_mac),
		cmocka_unit_test(test_checksum),
		cmocka_unit_test(test_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
