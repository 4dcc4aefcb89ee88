/* SPDX-License-Identifier: Apache-2.0 */
/* STATUS rows: golden bytes, round trips, refusals, the size limit. */
#include "tests/unit/core/core_support.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "replication/core/status.h"

static void test_fill(struct status *s)
{
	struct device d = test_device(1), asker = test_device(2);
	struct know k = test_know(3, 7, 0);

	status_init(s, &d);
	s->origin = 0x1122334455667788;
	s->beat = 1763700000001;
	s->k = test_know(3, 9, 4, 1, 0);
	s->heads = test_heads(&s->k, 5);
	s->c = test_know(3, 8, 4, 1, 0);
	s->v = test_know(3, 9, 4, 1, 0);
	s->g = test_know(4, 1, 0);
	s->debt_objects = 2;
	s->debt_bytes = 70000;
	strcpy(s->addresses, "10.0.0.1:4000 [fe80::1]:4000");
	s->ask = 1763700000000;
	assert_int_equal(status_set_answer(s, &asker, 55, &k), 0);
	assert_int_equal(status_encode(s), 0);
	know_release(&k);
}

static void test_round_trip(void **state)
{
	struct device none = {{0}}, asker = test_device(2);
	struct status s, back;
	const struct status_answer *a;

	(void)state;
	test_fill(&s);
	assert_golden("wire-status-row.hex", buf_slice(&s.raw));
	status_init(&back, &none);
	assert_int_equal(status_decode(buf_slice(&s.raw), &back), 0);
	assert_true(device_equal(&back.device, &s.device));
	assert_true(back.origin == s.origin && back.beat == s.beat);
	assert_true(know_equal(&back.k, &s.k) && know_equal(&back.c, &s.c) &&
		    know_equal(&back.v, &s.v));
	assert_true(know_equal(&back.g, &s.g));
	assert_memory_equal(back.heads.marks, s.heads.marks,
			    s.k.count * sizeof(mark_t));
	assert_int_equal(back.heads.birth_count, 1);
	assert_int_equal(back.heads.births[0].alias,
			 s.heads.births[0].alias);
	assert_string_equal(back.addresses, s.addresses);
	assert_true(back.ask == s.ask && back.debt_bytes == 70000);
	a = status_answer_to(&back, &asker);
	assert_non_null(a);
	assert_int_equal(a->nonce, 55);
	assert_int_equal(know_get(&a->k, 3), 7);
	status_drop_answer(&back, &asker);
	assert_null(status_answer_to(&back, &asker));
	status_release(&back);
	status_release(&s);
}

/* What a newer kinfs adds is kept as it came. */
static void test_unknown_tail(void **state)
{
	struct device none = {{0}};
	struct status s, back;

	(void)state;
	test_fill(&s);
	buf_put(&s.raw, "more", 4);
	status_init(&back, &none);
	assert_int_equal(status_decode(buf_slice(&s.raw), &back), 0);
	assert_true(slice_equal(buf_slice(&back.raw), buf_slice(&s.raw)));
	status_release(&back);
	status_release(&s);
}

static void test_refused(void **state)
{
	struct device none = {{0}};
	struct status s, back;

	(void)state;
	test_fill(&s);
	for (size_t len = 0; len < s.raw.len; len++) {
		status_init(&back, &none);
		assert_true(status_decode(SLICE(s.raw.data, len), &back) < 0);
		status_release(&back);
	}
	/* Complete without being known. */
	know_release(&s.c);
	s.c = test_know(3, 10, 0);
	assert_int_equal(status_encode(&s), 0);
	status_init(&back, &none);
	assert_int_equal(status_decode(buf_slice(&s.raw), &back), -EBADMSG);
	status_release(&back);
	/* A terminal sequence as an address. */
	know_release(&s.c);
	strcpy(s.addresses, "\x1b[2J");
	assert_int_equal(status_encode(&s), 0);
	status_init(&back, &none);
	assert_int_equal(status_decode(buf_slice(&s.raw), &back), -EBADMSG);
	status_release(&back);
	status_release(&s);
}

/* Every origin is an alias. */
static struct heads largest_heads(const struct know *k)
{
	struct heads h = {.marks = calloc(k->count, sizeof(*h.marks)),
			  .births = calloc(k->count, sizeof(*h.births)),
			  .birth_count = k->count};

	for (uint64_t i = 1; i <= k->count; i++)
		h.births[i - 1] = (struct birth){birth_alias(1, i, 1), 1, i, 1};
	return h;
}

/* Full vectors everywhere still make a row that is accepted. */
static void test_largest(void **state)
{
	struct device none = {{0}};
	struct know full = KNOW_INIT;
	struct status s, back;

	(void)state;
	for (uint64_t i = 1; i <= ORIGINS_MAX; i++)
		assert_int_equal(know_set(&full, birth_alias(1, i, 1),
					  UINT64_MAX), 0);
	test_fill(&s);
	assert_int_equal(know_copy(&s.k, &full), 0);
	heads_release(&s.heads);
	s.heads = largest_heads(&full);
	assert_int_equal(know_copy(&s.c, &full), 0);
	assert_int_equal(know_copy(&s.v, &full), 0);
	assert_int_equal(know_copy(&s.g, &full), 0);
	assert_int_equal(know_set(&s.v, full.entries[0].origin, 1), 0);
	assert_int_equal(know_set(&s.c, full.entries[0].origin, 2), 0);
	for (unsigned int i = 1; i < MEMBERS_MAX; i++) {
		struct device d = {{(uint8_t)i, 1}};

		assert_int_equal(status_set_answer(&s, &d, i + 1, &full), 0);
	}
	assert_int_equal(status_encode(&s), 0);
	assert_true(s.raw.len <= STATUS_ROW_BYTES_MAX);
	status_init(&back, &none);
	assert_int_equal(status_decode(buf_slice(&s.raw), &back), 0);
	assert_true(back.answer_count >= 1);
	status_release(&back);
	status_release(&s);
	know_release(&full);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_unknown_tail),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_largest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
