/* SPDX-License-Identifier: Apache-2.0 */
/* What a mount remembers of its files and its terms, whoever maps it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <unistd.h>

#include "fs/front/handover.h"

#define MANY 5000

static int fd;

static struct handover *map(void)
{
	struct handover *h;

	assert_int_equal(handover_open(fd, &h), 0);
	return h;
}

static int setup(void **state)
{
	(void)state;
	fd = handover_create(77);
	return fd < 0;
}

static int teardown(void **state)
{
	(void)state;
	return close(fd);
}

struct seen {
	uint64_t count, inos, opens, writers;
};

static int see(void *arg, uint64_t ino, uint32_t opens, uint32_t writers)
{
	struct seen *s = arg;

	s->count++;
	s->inos += ino;
	s->opens += opens;
	s->writers += writers;
	return 0;
}

static void expect(struct handover *h, struct seen want)
{
	struct seen s = { 0 };

	assert_int_equal(handover_each(h, see, &s), 0);
	assert_memory_equal(&s, &want, sizeof(s));
}

static void test_terms(void **state)
{
	uint8_t request[104] = { 104 };
	struct handover *h = map();

	(void)state;
	assert_int_equal(handover_mount(h), 77);
	assert_int_equal(handover_turns(h), 0);
	assert_int_equal(handover_init(h).len, 0);
	assert_false(handover_can_resend(h));
	/* (bit 30 of the first flags: there are second ones; bit 7 of those) */
	request[55] = 0x40;
	request[56] = 0x80;
	handover_note_init(h, SLICE(request, sizeof(request)), 5);
	handover_take(h);
	/* Once: a later process plays it again. */
	handover_note_init(h, SLICE(request, 50), 6);
	handover_close(h);
	h = map();
	assert_int_equal(handover_turns(h), 1);
	assert_int_equal(handover_want(h), 5);
	assert_int_equal(handover_init(h).len, sizeof(request));
	assert_memory_equal(handover_init(h).data, request, sizeof(request));
	assert_true(handover_can_resend(h));
	handover_close(h);
}

static void test_opens(void **state)
{
	struct handover *h = map();

	(void)state;
	handover_opened(h, 9, false);
	handover_opened(h, 9, true);
	handover_opened(h, 11, true);
	expect(h, (struct seen){ 2, 20, 3, 2 });
	handover_close(h);
	h = map();
	expect(h, (struct seen){ 2, 20, 3, 2 });
	handover_closed(h, 9, true);
	handover_closed(h, 11, true);
	expect(h, (struct seen){ 1, 9, 1, 0 });
	/* More than were open: of an answer that was lost. */
	handover_closed(h, 9, true);
	handover_closed(h, 11, false);
	handover_closed(h, 1000, false);
	expect(h, (struct seen){ 1, 9, 1, 0 });
	handover_closed(h, 9, false);
	expect(h, (struct seen){ 0 });
	handover_close(h);
}

static void test_closes(void **state)
{
	struct handover *h = map();

	(void)state;
	assert_false(handover_knows_close(h, 8));
	handover_note_close(h, 3, 8);
	handover_note_close(h, 4, 10);
	handover_close(h);
	h = map();
	assert_true(handover_knows_close(h, 8));
	assert_true(handover_knows_close(h, 10));
	handover_note_close(h, 3, 12);
	assert_false(handover_knows_close(h, 8));
	handover_close(h);
}

/* It grows, and does not when others come in place of those that go. */
static void test_many(void **state)
{
	struct handover *h = map();
	off_t size;

	(void)state;
	for (uint64_t k = 1; k <= MANY; k++)
		handover_opened(h, k << 20, k % 2);
	expect(h, (struct seen){ MANY,
				 (uint64_t)MANY * (MANY + 1) / 2 << 20,
				 MANY, MANY / 2 });
	handover_close(h);
	h = map();
	for (uint64_t k = 1; k <= MANY; k++)
		handover_closed(h, k << 20, k % 2);
	expect(h, (struct seen){ 0 });
	size = lseek(fd, 0, SEEK_END);
	for (uint64_t k = 1; k <= 100 * MANY; k++) {
		handover_opened(h, k, false);
		handover_closed(h, k, false);
	}
	handover_opened(h, 5, true);
	expect(h, (struct seen){ 1, 5, 1, 1 });
	assert_true(lseek(fd, 0, SEEK_END) <= size);
	handover_close(h);
}

static void test_damaged(void **state)
{
	struct handover *h;
	uint32_t version = 99;
	uint64_t table = UINT64_C(5) << 32 | 26;

	(void)state;
	assert_int_equal(pwrite(fd, &table, 8, 32), 8);
	assert_int_equal(handover_open(fd, &h), -EUCLEAN);
	assert_int_equal(pwrite(fd, &version, 4, 8), 4);
	assert_int_equal(handover_open(fd, &h), -EPROTONOSUPPORT);
	assert_int_equal(pwrite(fd, "x", 1, 0), 1);
	assert_int_equal(handover_open(fd, &h), -EUCLEAN);
	assert_int_equal(ftruncate(fd, 100), 0);
	assert_int_equal(handover_open(fd, &h), -EUCLEAN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_terms, setup, teardown),
		cmocka_unit_test_setup_teardown(test_opens, setup, teardown),
		cmocka_unit_test_setup_teardown(test_closes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_many, setup, teardown),
		cmocka_unit_test_setup_teardown(test_damaged, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
