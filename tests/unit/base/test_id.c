/* SPDX-License-Identifier: Apache-2.0 */
/* Identifiers and their texts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "fs/base/id.h"

static void test_compare(void **state)
{
	struct objid a = ROOT_ID, b = ROOT_ID;
	struct dot d = {1, 2}, e = {1, 3}, f = {2, 1}, none = {0, 0};

	(void)state;
	assert_true(objid_is_root(a));
	b.b[15] = 1;
	assert_false(objid_is_root(b));
	assert_false(objid_equal(a, b));
	assert_true(objid_compare(a, b) < 0);
	a.b[0] = 0x80; /* bytes are compared without sign */
	assert_true(objid_compare(a, b) > 0);

	assert_true(dot_equal(d, d));
	assert_false(dot_equal(d, e));
	assert_true(dot_compare(d, e) < 0);
	assert_true(dot_compare(f, e) > 0);
	assert_int_equal(dot_compare(f, f), 0);
	assert_true(dot_is_none(none));
	assert_false(dot_is_none(d));
}

static void test_hex(void **state)
{
	static const uint8_t bytes[] = {0x00, 0x7f, 0xa5, 0xff};
	uint8_t back[4];
	char text[9];

	(void)state;
	hex_encode(bytes, sizeof(bytes), text);
	assert_string_equal(text, "007fa5ff");
	assert_int_equal(hex_decode("007FA5fF", back, 4), 0);
	assert_memory_equal(back, bytes, 4);
	assert_int_equal(hex_decode("007fa5f", back, 4), -EINVAL);
	assert_int_equal(hex_decode("007fa5ff0", back, 4), -EINVAL);
	assert_int_equal(hex_decode("007fa5fg", back, 4), -EINVAL);
}

/* The vectors of RFC 4648, without padding. */
static void test_base32(void **state)
{
	static const struct {
		const char *plain, *text;
	} cases[] = {
		{"", ""},
		{"f", "my"},
		{"fo", "mzxq"},
		{"foo", "mzxw6"},
		{"foob", "mzxw6yq"},
		{"fooba", "mzxw6ytb"},
		{"foobar", "mzxw6ytboi"},
	};
	static const char *const bad[] = {"m", "mz0q", "mzx", "mz=", "mz"};
	char text[32], back[32];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		size_t len = strlen(cases[i].plain);

		base32_encode(cases[i].plain, len, text);
		assert_string_equal(text, cases[i].text);
		assert_int_equal(base32_decode(text, back, sizeof(back)), len);
		assert_memory_equal(back, cases[i].plain, len);
	}
	assert_int_equal(base32_decode("MZXW6", back, 3), 3);
	assert_int_equal(base32_decode("mzxw6", back, 2), -E2BIG);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(base32_decode(bad[i], back, sizeof(back)),
				 -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_compare),
		cmocka_unit_test(test_hex),
		cmocka_unit_test(test_base32),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
