/* SPDX-License-Identifier: Apache-2.0 */
/* Whose turn it is, and what is remembered of a conflict. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "replication/net/handler_plan.h"

static struct objid id_of(uint8_t n)
{
	return (struct objid){ .b = { n } };
}

static struct hash token_of(uint8_t n)
{
	return (struct hash){ .b = { n } };
}

static int see(struct plan *p, uint8_t id, uint8_t token, const char *rule,
	       uint64_t now_ms, uint64_t after_ms)
{
	struct plan_entry e = { .id = id_of(id), .ino = id,
				.token = token_of(token),
				.due_ms = now_ms + after_ms };

	snprintf(e.rule, sizeof(e.rule), "%s", rule);
	return plan_see(p, &e);
}

static void look(struct plan *p, uint8_t id, uint8_t token, const char *rule,
		 uint64_t now_ms)
{
	plan_begin(p);
	assert_int_equal(see(p, id, token, rule, now_ms, 0), 0);
	plan_end(p);
}

static struct plan_entry *entry(struct plan *p, uint8_t id)
{
	struct objid o = id_of(id);

	return plan_find(p, &o);
}

static void test_turns_come(void **state)
{
	struct plan p;
	uint64_t next = UINT64_MAX;

	(void)state;
	plan_init(&p);
	plan_begin(&p);
	assert_int_equal(see(&p, 3, 1, "merge", 100, 50), 0);
	assert_int_equal(see(&p, 1, 1, "merge", 100, 20), 0);
	assert_int_equal(see(&p, 2, 1, "merge", 100, 90), 0);
	/* a second name of one file */
	assert_int_equal(see(&p, 2, 1, "merge", 100, 90), 0);
	plan_end(&p);
	assert_int_equal(p.count, 3);
	assert_null(plan_due(&p, 119, &next));
	assert_int_equal(next, 120);
	assert_ptr_equal(plan_due(&p, 170, &next), entry(&p, 1));
	entry(&p, 1)->state = PLAN_RUNNING;
	assert_ptr_equal(plan_due(&p, 170, &next), entry(&p, 3));
	entry(&p, 3)->state = PLAN_LEFT;
	next = UINT64_MAX;
	assert_null(plan_due(&p, 170, &next));
	assert_int_equal(next, 190);
	plan_release(&p);
}

static void test_same_is_remembered(void **state)
{
	struct plan p;

	(void)state;
	plan_init(&p);
	look(&p, 1, 1, "merge", 100);
	entry(&p, 1)->state = PLAN_FAILED;
	strcpy(entry(&p, 1)->reason, "no reason");
	assert_true(plan_knows(&p, entry(&p, 1)));
	look(&p, 1, 1, "merge", 200);
	assert_int_equal(entry(&p, 1)->state, PLAN_FAILED);
	assert_string_equal(entry(&p, 1)->reason, "no reason");
	/* another version of it, or another rule: anew */
	look(&p, 1, 2, "merge", 300);
	assert_int_equal(entry(&p, 1)->state, PLAN_WAITING);
	assert_int_equal(entry(&p, 1)->due_ms, 300);
	assert_string_equal(entry(&p, 1)->reason, "");
	entry(&p, 1)->state = PLAN_LEFT;
	look(&p, 1, 2, "hook:x", 400);
	assert_int_equal(entry(&p, 1)->state, PLAN_WAITING);
	/* settled */
	plan_begin(&p);
	plan_end(&p);
	assert_false(plan_knows(&p, &(struct plan_entry){ .id = id_of(1) }));
	assert_null(entry(&p, 1));
	plan_release(&p);
}

static void test_not_without_bound(void **state)
{
	struct plan p;
	int r = 0;
	uint32_t n = 0;

	(void)state;
	plan_init(&p);
	plan_begin(&p);
	while (!r) {
		struct plan_entry e = {
			.id.b = { (uint8_t)n, (uint8_t)(n >> 8),
				  (uint8_t)(n >> 16) },
			.ino = n, .token = token_of(1), .rule = "merge" };

		r = plan_see(&p, &e);
		n += !r;
	}
	assert_int_equal(r, -E2BIG);
	assert_int_equal(n, PLAN_ENTRIES_MAX);
	plan_end(&p);
	assert_int_equal(p.count, PLAN_ENTRIES_MAX);
	plan_release(&p);
}

/* What another node alone runs never comes, and hurries nobody. */
static void test_never(void **state)
{
	struct plan_entry e = { .id = id_of(1), .token = token_of(1),
				.rule = "hook:x@b", .due_ms = PLAN_NEVER,
				.reason = "b alone runs it" };
	uint64_t next = UINT64_MAX;
	struct plan p;

	(void)state;
	plan_init(&p);
	plan_begin(&p);
	assert_int_equal(plan_see(&p, &e), 0);
	plan_end(&p);
	assert_null(plan_due(&p, UINT64_MAX - 1, &next));
	assert_true(next == UINT64_MAX);
	assert_string_equal(entry(&p, 1)->reason, "b alone runs it");
	plan_release(&p);
}

/* Each has another turn, all agree on them, and conflicts are spread. */
static void test_who_is_first(void **state)
{
	struct device m[5];
	size_t firsts[5] = { 0 };

	(void)state;
	for (size_t i = 0; i < 5; i++)
		memset(m[i].b, (int)i + 1, sizeof(m[i].b));
	for (int c = 0; c < 200; c++) {
		struct hash token = token_of((uint8_t)c);
		unsigned int seen = 0;

		for (size_t i = 0; i < 5; i++) {
			size_t turn = plan_turn(&token, &m[i], m, 5);

			assert_true(turn < 5);
			seen |= 1u << turn;
			firsts[i] += !turn;
		}
		assert_int_equal(seen, 31);
	}
	for (size_t i = 0; i < 5; i++)
		assert_in_range(firsts[i], 15, 75);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_turns_come),
		cmocka_unit_test(test_same_is_remembered),
		cmocka_unit_test(test_not_without_bound),
		cmocka_unit_test(test_never),
		cmocka_unit_test(test_who_is_first),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
