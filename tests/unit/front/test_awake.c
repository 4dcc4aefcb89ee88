/* SPDX-License-Identifier: Apache-2.0 */
/* When processors are kept awake, and when no more: what is written to a file
 * in the place of the device, alone and by a mount. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "fs/front/awake.h"
#include "mount_support.h"

#define ANY_US 2000000000
#define SAID_MAX 4096
/* Until then it must have been given up. */
#define PATIENCE_MS 20000

struct said {
	int32_t us[SAID_MAX];
	size_t count;
};

static void read_said(const char *path, struct said *ret)
{
	int fd = open(path, O_RDONLY);
	ssize_t n;

	assert_true(fd >= 0);
	n = read(fd, ret->us, sizeof(ret->us));
	assert_true(n >= 0 && n % sizeof(ret->us[0]) == 0);
	ret->count = (size_t)n / sizeof(ret->us[0]);
	close(fd);
}

/* By turns quick and as they like. */
static void assert_turns(const struct said *said)
{
	for (size_t k = 0; k < said->count; k++) {
		if (k % 2)
			assert_int_equal(said->us[k], ANY_US);
		else
			assert_in_range(said->us[k], 0, 2);
	}
}

static int looks_until_rest(struct awake *awake)
{
	int looks = 1;

	while (awake_look(awake, 3))
		assert_true(++looks < 1000);
	return looks;
}

static void test_while_dense(void **state)
{
	char path[] = "/dev/shm/kinfs-awake-XXXXXX";
	struct said said;
	struct awake awake;
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	close(fd);
	awake_open(path, &awake);
	for (int k = 0; k < 100; k++)
		assert_false(awake_look(&awake, 3));
	read_said(path, &said);
	assert_int_equal(said.count, 0);
	for (int k = 0; k < 100; k++)
		assert_true(awake_look(&awake, 4 + (uint32_t)k));
	read_said(path, &said);
	assert_int_equal(said.count, 1);	/* once for all of them */
	assert_int_equal(looks_until_rest(&awake), 20);
	for (int k = 0; k < 100; k++)
		assert_false(awake_look(&awake, 0));
	assert_true(awake_look(&awake, 4));
	awake_close(&awake);	/* the device forgets it then */
	read_said(path, &said);
	assert_int_equal(said.count, 3);
	assert_turns(&said);
	unlink(path);
}

static void test_not_allowed(void **state)
{
	static const char *const devices[] = { NULL, "/nowhere/device",
					       "/dev/full" };
	struct awake awake;

	(void)state;
	for (size_t k = 0; k < ARRAY_SIZE(devices); k++) {
		awake_open(devices[k], &awake);
		for (int look = 0; look < 100; look++)
			assert_false(awake_look(&awake, 1000));
		assert_int_equal(awake.fd, -1);
		awake_close(&awake);
	}
}

static void test_mount(void **state)
{
	struct mount *mount = *state;
	struct timespec ms = { .tv_nsec = 1000000 };
	struct said said = { 0 };

	for (int k = 0; !said.count; k++) {
		file_write(mount_path(mount, "f%d", k), "x");
		read_said(mount->awake, &said);
		assert_true(k < 100000);
	}
	for (int k = 0; said.count % 2 && k < PATIENCE_MS; k++) {
		nanosleep(&ms, NULL);
		read_said(mount->awake, &said);
	}
	assert_true(said.count && said.count % 2 == 0);
	assert_turns(&said);
}

int main(void)
{
	const struct CMUnitTest alone[] = {
		cmocka_unit_test(test_while_dense),
		cmocka_unit_test(test_not_allowed),
	};
	const struct CMUnitTest mounted[] = {
		cmocka_unit_test(test_mount),
	};
	int r = cmocka_run_group_tests(alone, NULL, NULL);

	if (!r && mount_possible())
		r = cmocka_run_group_tests(mounted, mount_setup,
					   mount_teardown);
	return r;
}
