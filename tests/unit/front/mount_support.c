/* SPDX-License-Identifier: Apache-2.0 */
/* See mount_support.h. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "fs/front/rings.h"
#include "fs/store/store.h"
#include "mount_support.h"

/* Waiting for the notifier longer than this fails the test. */
#define SHOWN_TIMEOUT_S 60
/* Paths of mount_path() that are good at a time. */
#define PATHS 16

static int64_t env_now_ns(void *arg)
{
	struct timespec now;

	(void)arg;
	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static uint64_t env_monotonic_ns(void *arg)
{
	struct timespec now;

	(void)arg;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void env_random(void *arg, void *ret, size_t len)
{
	(void)arg;
	assert_int_equal(getrandom(ret, len, 0), len);
}

static const struct tree_env env = {
	.now_ns = env_now_ns,
	.monotonic_ns = env_monotonic_ns,
	.random = env_random,
	.uid_of = idmap_uid,
	.gid_of = idmap_gid,
};

static bool with_rings(void)
{
	return getenv("KINFS_TEST_IO_URING");
}

bool mount_possible(void)
{
	cleanup(buf_release) struct buf why = BUF_INIT;
	int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);

	if (fd < 0) {
		printf("no mount here: /dev/fuse: %s\n", strerror(errno));
		return false;
	}
	close(fd);
	if (with_rings() && rings_check(&why) < 0) {
		printf("no such mount here: %.*s\n", (int)why.len,
		       (char *)why.data);
		return false;
	}
	return true;
}

static void shown(void *arg, uint64_t lseq)
{
	struct mount *mount = arg;

	pthread_mutex_lock(&mount->mutex);
	mount->shown = lseq;
	pthread_cond_broadcast(&mount->shown_wake);
	while (mount->hold)
		pthread_cond_wait(&mount->shown_wake, &mount->mutex);
	pthread_mutex_unlock(&mount->mutex);
}

static void *run(void *arg)
{
	struct mount *mount = arg;

	mount->run_result = front_run(mount->front);
	return NULL;
}

static void observe_inode(void *arg, uint64_t ino)
{
	front_note_inode(arg, ino);
}

static void observe_entry(void *arg, uint64_t parent, struct slice name)
{
	front_note_entry(arg, parent, name);
}

static void start(struct mount *mount)
{
	char store[128], user[PRINCIPAL_BYTES_MAX], group[PRINCIPAL_BYTES_MAX];
	struct store_options store_options = {
		.path = store,
		.threads = true,
		.map_bytes = (uint64_t)1 << 30,
	};
	struct tree_options tree_options = {
		.env = &env,
		.volume = { { 1 } },
		.root_perm = 0755,
		.label = SLICE_STR("alice"),
	};
	struct front_options front_options = {
		.mountpoint = mount->mountpoint,
		.source = "kinfs@/a,b\\c/control",
		.shown = shown,
		.shown_arg = mount,
		.io_uring = with_rings(),
		.awake_device = mount->awake,
	};
	struct tree_observer observer = {
		.inode = observe_inode,
		.entry = observe_entry,
	};
	struct buf why = BUF_INIT;
	int r;

	snprintf(store, sizeof(store), "%s/store", mount->dir);
	assert_int_equal(store_open(&store_options, &why, &mount->store), 0);
	tree_options.store = mount->store;
	tree_options.user = idmap_user(geteuid(), user);
	tree_options.group = idmap_group(getegid(), group);
	assert_int_equal(tree_open(&tree_options, &mount->tree), 0);
	front_options.tree = mount->tree;
	r = front_open(&front_options, &why, &mount->front);
	if (r < 0)
		printf("front_open: %.*s\n", (int)why.len, (char *)why.data);
	assert_int_equal(r, 0);
	buf_release(&why);
	observer.arg = mount->front;
	tree_observe(mount->tree, &observer);
	assert_int_equal(pthread_create(&mount->thread, NULL, run, mount), 0);
}

/* After the loop was asked to end. */
static void finish(struct mount *mount)
{
	struct tree_observer none = { 0 };

	tree_observe(mount->tree, &none);
	pthread_join(mount->thread, NULL);
	assert_int_equal(mount->run_result, 0);
	front_close(mount->front);
	tree_close(mount->tree);
	assert_int_equal(store_close(mount->store), 0);
}

static void stop(struct mount *mount)
{
	front_exit(mount->front);
	finish(mount);
}

int mount_setup(void **state)
{
	struct mount *mount = calloc(1, sizeof(*mount));

	assert_non_null(mount);
	pthread_mutex_init(&mount->mutex, NULL);
	pthread_cond_init(&mount->shown_wake, NULL);
	snprintf(mount->dir, sizeof(mount->dir), "/dev/shm/kinfs-front-XXXXXX");
	assert_non_null(mkdtemp(mount->dir));
	snprintf(mount->mountpoint, sizeof(mount->mountpoint), "%s/mnt",
		 mount->dir);
	assert_int_equal(mkdir(mount->mountpoint, 0755), 0);
	snprintf(mount->awake, sizeof(mount->awake), "%s/awake", mount->dir);
	assert_int_equal(mknod(mount->awake, S_IFREG | 0600, 0), 0);
	start(mount);
	*state = mount;
	return 0;
}

int mount_teardown(void **state)
{
	struct mount *mount = *state;
	char command[128];

	stop(mount);
	/* Only the empty mountpoint and the store are left. */
	assert_int_equal(rmdir(mount->mountpoint), 0);
	snprintf(command, sizeof(command), "rm -rf '%s'", mount->dir);
	assert_int_equal(system(command), 0);
	pthread_cond_destroy(&mount->shown_wake);
	pthread_mutex_destroy(&mount->mutex);
	free(mount);
	return 0;
}

void mount_restart(struct mount *mount)
{
	stop(mount);
	start(mount);
}

void mount_restart_after_end(struct mount *mount)
{
	finish(mount);
	start(mount);
}

const char *mount_path(struct mount *mount, const char *fmt, ...)
{
	static char paths[PATHS][MOUNT_PATH_MAX];
	static unsigned int turn;
	char *path = paths[turn++ % ARRAY_SIZE(paths)];
	int len = snprintf(path, MOUNT_PATH_MAX, "%s/", mount->mountpoint);
	va_list args;

	va_start(args, fmt);
	vsnprintf(path + len, MOUNT_PATH_MAX - (size_t)len, fmt, args);
	va_end(args);
	return path;
}

void mount_wait_shown(struct mount *mount)
{
	struct timespec deadline;
	uint64_t want;
	int r = 0;

	pthread_mutex_lock(&mount->mutex);
	want = mount->shown + 1;
	pthread_mutex_unlock(&mount->mutex);
	front_note_applied(mount->front, want);
	clock_gettime(CLOCK_REALTIME, &deadline);
	deadline.tv_sec += SHOWN_TIMEOUT_S;
	pthread_mutex_lock(&mount->mutex);
	while (mount->shown < want && r == 0)
		r = pthread_cond_timedwait(&mount->shown_wake, &mount->mutex,
					   &deadline);
	pthread_mutex_unlock(&mount->mutex);
	assert_int_equal(r, 0);
}

void mount_hold(struct mount *mount, bool hold)
{
	pthread_mutex_lock(&mount->mutex);
	mount->hold = hold;
	pthread_cond_broadcast(&mount->shown_wake);
	pthread_mutex_unlock(&mount->mutex);
	if (hold)
		mount_wait_shown(mount);	/* it is in shown() now */
}

void file_write(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	assert_int_equal(close(fd), 0);
}

void file_assert(const char *path, const char *text)
{
	char data[4096];
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(read(fd, data, sizeof(data)), strlen(text));
	assert_memory_equal(data, text, strlen(text));
	assert_int_equal(close(fd), 0);
}
