/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses as text, whom to call when, and which log lines are written. */
#include "tests/unit/net/net_support.h"

#include <errno.h>
#include <string.h>

#include "replication/net/dial.h"
#include "replication/net/ratelimit.h"

static void test_addresses(void **state)
{
	static const char *const good[] = { "192.0.2.1:7000", "[::1]:0",
					    "[2001:db8::1]:65535",
					    "0.0.0.0:1" };
	static const char *const bad[] = { "", ":", ":1", "192.0.2.1",
		"192.0.2.1:", "192.0.2.1:x", "192.0.2.1:65536",
		"192.0.2.1:-1", "::1:5", "[::1]", "[]:1", "[::1:5",
		"localhost:1", "1.2.3.4:123456", "[1.2.3.4]extra:1" };
	char text[ADDRESS_TEXT_BYTES];
	struct address a;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		assert_int_equal(address_parse(good[i], ADDRESS_NUMERIC, &a),
				 0);
		address_format(&a, text);
		assert_string_equal(text, good[i]);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(address_parse(bad[i], ADDRESS_NUMERIC, &a),
				 -EINVAL);
	assert_int_equal(address_parse("[::ffff:192.0.2.1]:5", ADDRESS_NUMERIC,
				       &a), 0);
	address_format(&a, text);
	assert_string_equal(text, "192.0.2.1:5");
}

static void test_reachable(void **state)
{
	struct address a, found[ADDRESSES_MAX];
	char text[ADDRESS_TEXT_BYTES];
	size_t n;

	(void)state;
	assert_int_equal(address_parse("192.0.2.1:7000", ADDRESS_NUMERIC, &a),
			 0);
	assert_int_equal(address_reachable(&a, found), 1);
	address_format(&found[0], text);
	assert_string_equal(text, "192.0.2.1:7000");
	assert_int_equal(address_parse("[::]:7000", ADDRESS_NUMERIC, &a), 0);
	n = address_reachable(&a, found);
	assert_in_range(n, 1, ADDRESSES_MAX);
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(address_port(&found[i]), 7000);
		address_format(&found[i], text);
		assert_int_equal(!strcmp(text, "127.0.0.1:7000"), i == n - 1);
	}
}

static void test_list(void **state)
{
	struct slice list = SLICE_STR("  a:1 b:2  "
		"0123456789012345678901234567890123456789012345678901234567890"
		"123456789 c:3");
	char text[ADDRESS_TEXT_BYTES];

	(void)state;
	assert_true(address_next(&list, text));
	assert_string_equal(text, "a:1");
	assert_true(address_next(&list, text));
	assert_string_equal(text, "b:2");
	assert_true(address_next(&list, text));
	assert_string_equal(text, "c:3");
	assert_false(address_next(&list, text));
}

static void test_rounds(void **state)
{
	struct device device = { { 1 } };
	struct dial_peer *p;
	struct dialer d;
	uint64_t now_ms = 1000, last_ms = 0;

	(void)state;
	dialer_init(&d);
	assert_int_equal(dialer_set(&d, &device, SLICE_STR("a:1 b:2"), now_ms),
			 0);
	p = dialer_find(&d, &device);
	assert_int_equal(p->at_ms, now_ms);
	for (int round = 0; round < 20; round++) {
		uint64_t delay_ms;

		assert_string_equal(dial_next(&d, p), "a:1");
		dial_failed(p, now_ms, 0xffffffff);
		assert_int_equal(p->at_ms, now_ms); /* the next one at once */
		assert_string_equal(dial_next(&d, p), "b:2");
		dial_failed(p, now_ms, (uint32_t)round * 7919);
		delay_ms = p->at_ms - now_ms;
		assert_in_range(delay_ms, DIAL_DELAY_MS_MIN / 2,
				DIAL_DELAY_MS_MAX);
		if (round < 7) /* doubled: the half is the last whole */
			assert_true(delay_ms >= last_ms / 2);
		if (round > 8)
			assert_true(delay_ms >= DIAL_DELAY_MS_MAX / 2);
		last_ms = delay_ms;
		now_ms = p->at_ms;
	}
	/* The same list changes nothing, another one starts afresh. */
	assert_int_equal(dialer_set(&d, &device, SLICE_STR("a:1 b:2"), 5), 0);
	assert_int_equal(p->at_ms, now_ms);
	assert_int_equal(dialer_set(&d, &device, SLICE_STR("c:3"), now_ms + 1),
			 0);
	assert_int_equal(p->at_ms, now_ms + 1);
	assert_string_equal(dial_next(&d, p), "c:3");
	dial_failed(p, now_ms, 0);
	assert_int_equal(p->at_ms, now_ms + DIAL_DELAY_MS_MIN / 2);
	dialer_release(&d);
}

static void test_self(void **state)
{
	struct device device = { { 1 } };
	struct dial_peer *p;
	struct dialer d;

	(void)state;
	dialer_init(&d);
	assert_int_equal(dialer_set(&d, &device, SLICE_STR("a:1 b:2"), 0), 0);
	p = dialer_find(&d, &device);
	dialer_note_self(&d, "a:1");
	assert_string_equal(dial_next(&d, p), "b:2");
	dialer_note_self(&d, "b:2");
	assert_null(dial_next(&d, p));
	dialer_reset(&d, 0);
	assert_string_equal(dial_next(&d, p), "a:1");
	assert_int_equal(dialer_set(&d, &device, SLICE_STR(""), 0), 0);
	assert_null(dial_next(&d, p));
	dialer_release(&d);
}

static void test_ratelimit(void **state)
{
	struct ratelimit l = { .lines = 0 };
	char address[64];
	int allowed = 0;

	(void)state;
	assert_true(ratelimit_allow(&l, "192.0.2.1:1000", 1));
	assert_false(ratelimit_allow(&l, "192.0.2.1:1001", 2));
	assert_true(ratelimit_allow(&l, "192.0.2.2:1000", 3));
	assert_true(ratelimit_allow(&l, "192.0.2.1:1", 1 + RATELIMIT_MS));
	memset(&l, 0, sizeof(l));
	for (int i = 0; i < 1000; i++) {
		snprintf(address, sizeof(address), "[2001:db8::%x]:1", i);
		allowed += ratelimit_allow(&l, address, 1);
	}
	assert_int_equal(allowed, RATELIMIT_LINES);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_reachable),
		cmocka_unit_test(test_list),
		cmocka_unit_test(test_rounds),
		cmocka_unit_test(test_self),
		cmocka_unit_test(test_ratelimit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
