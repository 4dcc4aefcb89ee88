/* SPDX-License-Identifier: Apache-2.0 */
/* Names and numbers of users and groups. root is on every system. */
#include <grp.h>
#include <pwd.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "fs/base/limits.h"
#include "fs/front/front.h"

static void assert_slice(struct slice slice, const char *text)
{
	assert_int_equal(slice.len, strlen(text));
	assert_memory_equal(slice.data, text, slice.len);
}

static void test_root(void **state)
{
	char name[PRINCIPAL_BYTES_MAX];
	const struct group *group = getgrgid(0);
	int round;

	(void)state;
	assert_non_null(group);
	for (round = 0; round < 2; round++) {	/* asked, then recalled */
		assert_slice(idmap_user(0, name), "root");
		assert_slice(idmap_group(0, name), group->gr_name);
		assert_int_equal(idmap_uid(NULL, SLICE_STR("root")), 0);
		assert_int_equal(idmap_gid(NULL, SLICE_STR(group->gr_name)),
				 0);
	}
}

/* A number that nobody has, if there is one among a few. */
static uint32_t unused_uid(void)
{
	uint32_t uid;

	for (uid = 3987654321u; uid < 3987654321u + 16; uid++)
		if (!getpwuid(uid) && !getgrgid(uid))
			return uid;
	return 0;
}

static void test_number_without_a_name(void **state)
{
	uint32_t uid = unused_uid();
	char name[PRINCIPAL_BYTES_MAX], want[16];

	(void)state;
	if (!uid)
		skip();
	snprintf(want, sizeof(want), "#%u", uid);
	assert_slice(idmap_user(uid, name), want);
	assert_slice(idmap_user(uid, name), want);
	assert_slice(idmap_group(uid, name), want);
	assert_int_equal(idmap_uid(NULL, SLICE_STR(want)), uid);
	assert_int_equal(idmap_gid(NULL, SLICE_STR(want)), uid);
}

static void test_unknown_names(void **state)
{
	static const char *const names[] = {
		"no such user, ever", "", "#", "#x", "#12x", "#-1",
		"#4294967295", "#4294967296", "#99999999999999999999999999",
	};
	char longest[PRINCIPAL_BYTES_MAX + 2];
	size_t i;

	(void)state;
	assert_int_equal(idmap_uid(NULL, SLICE_STR(names[0])), geteuid());
	assert_int_equal(idmap_gid(NULL, SLICE_STR(names[0])), getegid());
	idmap_set_default(4711, 4712);
	for (i = 0; i < ARRAY_SIZE(names); i++) {
		assert_int_equal(idmap_uid(NULL, SLICE_STR(names[i])), 4711);
		assert_int_equal(idmap_gid(NULL, SLICE_STR(names[i])), 4712);
	}
	assert_int_equal(idmap_uid(NULL, SLICE("root\0x", 6)), 4711);
	memset(longest, 'u', sizeof(longest));
	assert_int_equal(idmap_uid(NULL, SLICE(longest, PRINCIPAL_BYTES_MAX)),
			 4711);
	assert_int_equal(idmap_uid(NULL, SLICE(longest, sizeof(longest))),
			 4711);
}

/* A number that was written elsewhere, where nobody had it, is not the one
 * who has it here. */
static void test_somebody_elses_number(void **state)
{
	char name[16];
	size_t len;

	(void)state;
	idmap_set_default(4711, 4712);
	assert_int_equal(idmap_uid(NULL, SLICE_STR("#0")), 4711);
	assert_int_equal(idmap_gid(NULL, SLICE_STR("#0")), 4712);
	assert_false(idmap_user_is_known(SLICE_STR("#0")));
	assert_false(idmap_group_is_known(SLICE_STR("no such group, ever")));
	assert_true(idmap_user_is_known(SLICE_STR("root")));
	len = (size_t)snprintf(name, sizeof(name), "#%u", unused_uid());
	if (unused_uid())
		assert_int_equal(unused_uid(),
				 idmap_uid(NULL, SLICE(name, len)));
	/* One number is written in one way only. */
	assert_int_equal(idmap_uid(NULL, SLICE_STR("#03987654321")), 4711);
}

/* More questions than are kept: answers stay right. */
static void test_many(void **state)
{
	char name[PRINCIPAL_BYTES_MAX], want[16];
	uint32_t base = 3900000000u, i;

	(void)state;
	for (i = 0; i < 5000; i++) {
		snprintf(want, sizeof(want), "#%u", base + i);
		if (getpwuid(base + i))
			continue;
		assert_slice(idmap_user(base + i, name), want);
	}
	assert_slice(idmap_user(0, name), "root");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_root),
		cmocka_unit_test(test_number_without_a_name),
		cmocka_unit_test(test_unknown_names),
		cmocka_unit_test(test_somebody_elses_number),
		cmocka_unit_test(test_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
