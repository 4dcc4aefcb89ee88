/* SPDX-License-Identifier: Apache-2.0 */
/* Who reads requests while others are answered, through a real mount. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "fs/store/store.h"
#include "mount_support.h"

/* What waits at a time: one less than there are workers. */
#define BLOCKED 9
/* Until then somebody must have answered. */
#define PATIENCE_MS 20000
/* An ioctl that nobody knows: answered without the store. */
#define UNKNOWN_IOCTL 0x4b4e

static void nap(void)
{
	struct timespec ms = { .tv_nsec = 1000000 };

	nanosleep(&ms, NULL);
}

struct caller {
	pthread_t thread;
	char path[MOUNT_PATH_MAX];
	int fd;
	_Atomic bool begun, done;
	int error;
};

static void *look_up(void *arg)
{
	struct caller *c = arg;
	struct stat st;

	c->begun = true;
	c->error = lstat(c->path, &st) < 0 ? errno : 0;
	c->done = true;
	return NULL;
}

static void *ask_ioctl(void *arg)
{
	struct caller *c = arg;

	c->begun = true;
	c->error = ioctl(c->fd, UNKNOWN_IOCTL, 0) < 0 ? errno : 0;
	c->done = true;
	return NULL;
}

static void begin(struct caller *c, void *(*fn)(void *))
{
	assert_int_equal(pthread_create(&c->thread, NULL, fn, c), 0);
}

static bool is_done_in_time(struct caller *c)
{
	for (int ms = 0; ms < PATIENCE_MS && !c->done; ms++)
		nap();
	return c->done;
}

/* Answers that wait for something keep nobody from being answered. */
static void test_slow_answers(void **state)
{
	struct mount *mount = *state;
	struct caller blocked[BLOCKED] = { 0 }, other = { 0 };
	const char *path = mount_path(mount, "file");
	bool in_time[BLOCKED], waited = true;
	static int names;	/* (the kernel remembers what is absent) */

	file_write(path, "text");
	other.fd = open(path, O_RDONLY);
	assert_true(other.fd >= 0);
	store_lock(mount->store);
	for (int i = 0; i < BLOCKED; i++) {
		struct caller ask = { .fd = other.fd };

		strcpy(blocked[i].path, mount_path(mount, "absent-%d",
						   names++));
		begin(&blocked[i], look_up);
		while (!blocked[i].begun)
			nap();
		/* (not all look-ups may have come by now; they will) */
		begin(&ask, ask_ioctl);
		in_time[i] = is_done_in_time(&ask);
		if (!in_time[i])
			store_unlock(mount->store);
		pthread_join(ask.thread, NULL);
		assert_true(in_time[i]);
		assert_int_equal(ask.error, ENOTTY);
	}
	for (int i = 0; i < BLOCKED; i++)
		waited &= !blocked[i].done;
	store_unlock(mount->store);
	assert_true(waited);
	for (int i = 0; i < BLOCKED; i++) {
		pthread_join(blocked[i].thread, NULL);
		assert_int_equal(blocked[i].error, ENOENT);
	}
	close(other.fd);
	assert_int_equal(unlink(path), 0);
}

/* The same again and again: whoever was slow is ready for the next. */
static void test_slow_answers_again(void **state)
{
	for (int i = 0; i < 20; i++)
		test_slow_answers(state);
}

#define THREADS 8
#define FILES 150

static void *work(void *arg)
{
	struct caller *c = arg;
	char path[MOUNT_PATH_MAX + 16], data[8];
	int fd;

	for (int i = 0; i < FILES && !c->error; i++) {
		snprintf(path, sizeof(path), "%s-%d", c->path, i);
		fd = open(path, O_RDWR | O_CREAT | O_EXCL, 0600);
		if (fd < 0 || write(fd, "content", 7) != 7 ||
		    (i % 8 == 0 && fsync(fd) < 0) ||
		    posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) ||
		    pread(fd, data, 7, 0) != 7 || memcmp(data, "content", 7))
			c->error = errno ? errno : EIO;
		if (fd >= 0 && close(fd) < 0)
			c->error = errno;
		if (!c->error && unlink(path) < 0)
			c->error = errno;
	}
	return NULL;
}

/* Short and long answers to several threads at a time. */
static void test_many_threads(void **state)
{
	struct mount *mount = *state;
	struct caller callers[THREADS] = { 0 };

	for (int i = 0; i < THREADS; i++) {
		strcpy(callers[i].path, mount_path(mount, "t%d", i));
		begin(&callers[i], work);
	}
	for (int i = 0; i < THREADS; i++) {
		pthread_join(callers[i].thread, NULL);
		assert_int_equal(callers[i].error, 0);
	}
}

/* A mount that nobody has asked for anything ends as well. */
static void test_restart_at_rest(void **state)
{
	struct mount *mount = *state;

	for (int i = 0; i < 3; i++) {
		mount_restart(mount);
		test_many_threads(state);
		mount_restart(mount);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_slow_answers),
		cmocka_unit_test(test_slow_answers_again),
		cmocka_unit_test(test_many_threads),
		cmocka_unit_test(test_restart_at_rest),
	};

	if (!mount_possible())
		return 0;
	return cmocka_run_group_tests(tests, mount_setup, mount_teardown);
}
