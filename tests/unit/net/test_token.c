/* SPDX-License-Identifier: Apache-2.0 */
/* The token as text: what it holds, and which slips are found. */
#include "tests/unit/net/net_support.h"

#include <errno.h>
#include <string.h>

#include "replication/net/token.h"

static const struct volid volume = {{1, 2, 3, 4, 5, 6, 7, 8,
				     9, 10, 11, 12, 13, 14, 15, 16}};

static void fill(struct know *k, size_t origins)
{
	for (size_t i = 0; i < origins; i++)
		assert_int_equal(know_set(k, 0x1111 * (i + 1),
					  i + (1ull << (i % 60))), 0);
}

static void test_round_trip(void **state)
{
	(void)state;
	for (size_t n = 0; n < 100; n++) {
		cleanup(know_release) struct know k = KNOW_INIT;
		cleanup(know_release) struct know back = KNOW_INIT;
		cleanup(buf_release) struct buf b = BUF_INIT;

		fill(&k, n);
		assert_int_equal(token_encode(volume, &k, &b), 0);
		for (size_t i = 0; i < b.len; i++)
			assert_non_null(memchr("ABCDEFGHIJKLMNOPQRSTUVWXYZ"
					       "abcdefghijklmnopqrstuvwxyz"
					       "0123456789-_", b.data[i], 64));
		assert_int_equal(token_decode(buf_slice(&b), volume, &back),
				 0);
		assert_true(know_equal(&k, &back));
	}
}

static void test_golden(void **state)
{
	cleanup(know_release) struct know k = KNOW_INIT;
	cleanup(buf_release) struct buf b = BUF_INIT;

	(void)state;
	assert_int_equal(know_set(&k, 0x1122334455667788, 300), 0);
	assert_int_equal(token_encode(volume, &k, &b), 0);
	buf_put_u8(&b, 0);
	assert_string_equal((char *)b.data,
			    "ktAQECAwQFBgcICQoLDA0ODxABiHdmVUQzIhGsAvHp-7I");
}

static void test_slips(void **state)
{
	cleanup(know_release) struct know k = KNOW_INIT, back = KNOW_INIT;
	cleanup(buf_release) struct buf b = BUF_INIT;
	struct volid other = volume;

	(void)state;
	fill(&k, 4);
	assert_int_equal(token_encode(volume, &k, &b), 0);
	other.b[0] ^= 1;
	assert_int_equal(token_decode(buf_slice(&b), other, &back), -EXDEV);
	for (size_t i = 0; i < b.len; i++) {
		uint8_t was = b.data[i];

		/* Cut short; another letter (but for the last one, whose low
		 * bits are padding); no letter at all. */
		assert_int_equal(token_decode(SLICE(b.data, i), volume, &back),
				 -EBADMSG);
		b.data[i] = was == 'Q' ? 'R' : 'Q';
		if (i + 1 < b.len)
			assert_int_equal(token_decode(buf_slice(&b), volume,
						      &back), -EBADMSG);
		b.data[i] = '=';
		assert_int_equal(token_decode(buf_slice(&b), volume, &back),
				 -EBADMSG);
		b.data[i] = was;
	}
	buf_put_u8(&b, 'A');
	assert_int_equal(token_decode(buf_slice(&b), volume, &back), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_golden),
		cmocka_unit_test(test_slips),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
