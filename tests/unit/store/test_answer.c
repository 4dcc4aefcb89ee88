/* SPDX-License-Identifier: Apache-2.0 */
/* What requests came to is known after a crash if, and only if, what they did
 * is there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/store/store.h"
#include "scratch_support.h"
#include "store_support.h"

#define MOUNT UINT64_C(0x0123456789abcdef)

static int setup(void **state)
{
	*state = scratch_make();
	return 0;
}

static int teardown(void **state)
{
	scratch_remove(*state);
	return 0;
}

static int answered(struct store *s, unsigned int slot, uint64_t request,
		    const char *value, bool ends)
{
	struct store_answer a = { MOUNT, request, request * 10 };
	int r = 0;

	store_lock(s);
	assert_int_equal(store_op_begin(s), 0);
	if (value)
		assert_int_equal(store_put(s, TABLE_OBJ, SLICE_STR("key"),
					   SLICE_STR(value)), 0);
	store_op_answers(s, slot, &a);
	if (ends)
		r = store_op_end(s);
	else
		store_op_abort(s);
	store_unlock(s);
	return r;
}

/* 0: none. */
static void expect_answer(struct store *s, unsigned int slot,
			  uint64_t request)
{
	struct store_answer a;

	store_lock(s);
	if (!request) {
		assert_int_equal(store_answer(s, slot, &a), -ENOENT);
	} else {
		assert_int_equal(store_answer(s, slot, &a), 0);
		assert_int_equal(a.mount, MOUNT);
		assert_int_equal(a.request, request);
		assert_int_equal(a.result, request * 10);
	}
	store_unlock(s);
}

static void test_slots(void **state)
{
	struct store_options o = options_sim(*state);
	struct store *s = store_make(&o);

	expect_answer(s, 0, 0);
	assert_int_equal(answered(s, 0, 4, "a", true), 0);
	assert_int_equal(answered(s, STORE_ANSWERS - 1, 6, "b", true), 0);
	expect_answer(s, 0, 4);
	expect_answer(s, 1, 0);
	expect_answer(s, STORE_ANSWERS - 1, 6);
	/* (the last of a slot only) */
	assert_int_equal(answered(s, 0, 8, "c", true), 0);
	expect_answer(s, 0, 8);
	assert_int_equal(store_commit(s), 0);
	expect_answer(s, 0, 8);
	assert_int_equal(answered(s, 0, 10, "d", true), 0);
	assert_int_equal(store_close(s), 0);
	s = store_make(&o);
	expect_answer(s, 0, 10);
	expect_answer(s, STORE_ANSWERS - 1, 6);
	assert_int_equal(store_close(s), 0);
}

static void test_crash(void **state)
{
	struct store_options o = options_sim(*state);
	struct store *s = store_make(&o);

	assert_int_equal(answered(s, 0, 4, "a", true), 0);
	assert_int_equal(store_commit(s), 0);
	assert_int_equal(answered(s, 1, 6, "b", true), 0);
	store_abandon(s);
	s = store_make(&o);
	assert_holds(s, "key", "b");
	expect_answer(s, 0, 4);
	expect_answer(s, 1, 6);
	/* Again, with what the recovery committed. */
	store_abandon(s);
	s = store_make(&o);
	expect_answer(s, 1, 6);
	store_abandon(s);
}

/* What was undone, or changed nothing, has no answer, and takes none away. */
static void test_undone(void **state)
{
	struct store_options o = options_sim(*state);
	struct store *s = store_make(&o);

	assert_int_equal(answered(s, 0, 4, "a", false), 0);
	expect_answer(s, 0, 0);
	assert_int_equal(answered(s, 0, 6, "a", true), 0);
	assert_int_equal(answered(s, 0, 8, "b", false), 0);
	expect_answer(s, 0, 6);
	assert_int_equal(answered(s, 0, 10, NULL, true), 0);
	expect_answer(s, 0, 6);
	/* An operation without a request takes none away. */
	put_one(s, "other", "x");
	expect_answer(s, 0, 6);
	store_abandon(s);
	s = store_make(&o);
	assert_holds(s, "key", "a");
	expect_answer(s, 0, 6);
	store_abandon(s);
}

/* Larger than the log: made durable by closing its group. */
static void test_too_large(void **state)
{
	struct store_options o = options_sim(*state);
	char *large = malloc(4 * SMALL_LOG + 1);
	struct store *s;

	assert_non_null(large);
	memset(large, 'x', 4 * SMALL_LOG);
	large[4 * SMALL_LOG] = '\0';
	o.log_bytes = SMALL_LOG;
	s = store_make(&o);
	assert_int_equal(answered(s, 3, 4, large, true), 0);
	store_abandon(s);
	s = store_make(&o);
	assert_holds(s, "key", large);
	expect_answer(s, 3, 4);
	store_abandon(s);
	free(large);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_slots, setup, teardown),
		cmocka_unit_test_setup_teardown(test_crash, setup, teardown),
		cmocka_unit_test_setup_teardown(test_undone, setup, teardown),
		cmocka_unit_test_setup_teardown(test_too_large, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
