/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Changes that did not come through the mount: made in the tree directly,
 * noted as its observer does for changes from other nodes, and then looked
 * at through the mount, whose caches are warm with the old state.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "fs/front/notes.h"
#include "mount_support.h"

static uint64_t ino_of(struct mount *mount, const char *path)
{
	uint64_t ino;

	assert_int_equal(tree_resolve_path(mount->tree, SLICE_STR(path), &ino),
			 0);
	return ino;
}

/* Creates elsewhere; noted, not yet waited for. */
static uint64_t far_create(struct mount *mount, uint64_t parent,
			   const char *name, enum kind kind, const char *text)
{
	struct tree_new what = {
		.kind = kind,
		.perm = kind == KIND_DIR ? 0755 : 0644,
		.user = SLICE_STR("root"),
		.group = SLICE_STR("root"),
		.target = kind == KIND_SYMLINK ? SLICE_STR(text) :
						 SLICE(NULL, 0),
	};
	struct entry entry;

	assert_int_equal(tree_create(mount->tree, parent, SLICE_STR(name),
				     &what, kind == KIND_FILE, &entry), 0);
	if (kind == KIND_FILE) {
		assert_int_equal(tree_write(mount->tree, entry.attr.ino, 0,
					    SLICE_STR(text), false), 0);
		tree_release_file(mount->tree, entry.attr.ino, true);
	}
	front_note_entry(mount->front, parent, SLICE_STR(name));
	return entry.attr.ino;
}

static void far_write(struct mount *mount, uint64_t ino, const char *text)
{
	struct tree_setattr cut = { .set = TREE_SET_SIZE };
	struct attr attr;

	assert_int_equal(tree_open_file(mount->tree, ino, true), 0);
	assert_int_equal(tree_setattr(mount->tree, ino, &cut, &attr), 0);
	assert_int_equal(tree_write(mount->tree, ino, 0, SLICE_STR(text),
				    false), 0);
	tree_release_file(mount->tree, ino, true);
	front_note_inode(mount->front, ino);
}

/* Names in a directory but "." and "..", by readdir. */
static int list(const char *path)
{
	DIR *dir = opendir(path);
	const struct dirent *entry;
	int count = 0;

	assert_non_null(dir);
	while ((entry = readdir(dir)))
		count += strcmp(entry->d_name, ".") &&
			 strcmp(entry->d_name, "..");
	assert_int_equal(closedir(dir), 0);
	return count;
}

static void test_name_appears_and_goes(void **state)
{
	struct mount *mount = *state;
	const char *path = mount_path(mount, "d/new");
	struct stat st;
	uint64_t dir;

	assert_int_equal(mkdir(mount_path(mount, "d"), 0755), 0);
	dir = ino_of(mount, "d");
	/* Warm: an empty listing, and the absent name. */
	assert_int_equal(list(mount_path(mount, "d")), 0);
	assert_int_equal(list(mount_path(mount, "d")), 0);
	assert_int_equal(stat(path, &st), -1);
	far_create(mount, dir, "new", KIND_FILE, "from elsewhere");
	mount_wait_shown(mount);
	assert_int_equal(list(mount_path(mount, "d")), 1);
	assert_int_equal(list(mount_path(mount, "d")), 1);
	file_assert(path, "from elsewhere");
	assert_int_equal(tree_unlink(mount->tree, dir, SLICE_STR("new")), 0);
	front_note_entry(mount->front, dir, SLICE_STR("new"));
	mount_wait_shown(mount);
	assert_int_equal(stat(path, &st), -1);
	assert_int_equal(errno, ENOENT);
	assert_int_equal(list(mount_path(mount, "d")), 0);
	/* A name nobody asked for: only the listing is warm. */
	far_create(mount, dir, "unasked", KIND_FILE, "");
	mount_wait_shown(mount);
	assert_int_equal(list(mount_path(mount, "d")), 1);
	assert_int_equal(unlink(mount_path(mount, "d/unasked")), 0);
	assert_int_equal(rmdir(mount_path(mount, "d")), 0);
}

static void test_content_changes(void **state)
{
	struct mount *mount = *state;
	const char *path = mount_path(mount, "f");
	struct stat st;
	char data[64];
	char *map;
	uint64_t ino;
	int fd;

	file_write(path, "old content, rather long");
	file_assert(path, "old content, rather long");
	ino = ino_of(mount, "f");
	fd = open(path, O_RDONLY);
	map = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
	assert_true(map != MAP_FAILED);
	assert_memory_equal(map, "old", 3);
	far_write(mount, ino, "new");
	mount_wait_shown(mount);
	file_assert(path, "new");
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_size, 3);
	assert_memory_equal(map, "new\0", 4);
	/* It grows under an open file that read to its end. */
	far_write(mount, ino, "new, and longer again than it was");
	mount_wait_shown(mount);
	assert_int_equal(pread(fd, data, sizeof(data), 0), 33);
	assert_memory_equal(data, "new, and longer again than it was", 33);
	assert_int_equal(munmap(map, 4096), 0);
	assert_int_equal(close(fd), 0);
	assert_int_equal(unlink(path), 0);
}

/* The kernel appends where it believes the end to be. */
static void test_append_to_what_grew(void **state)
{
	struct mount *mount = *state;
	const char *path = mount_path(mount, "log");
	uint64_t ino;
	int fd;

	file_write(path, "one\n");
	file_assert(path, "one\n");
	ino = ino_of(mount, "log");
	fd = open(path, O_WRONLY | O_APPEND);
	assert_int_equal(tree_write(mount->tree, ino, 4, SLICE_STR("two\n"),
				    false), 0);
	assert_int_equal(write(fd, "three\n", 6), 6);
	assert_int_equal(close(fd), 0);
	mount_wait_shown(mount);
	file_assert(path, "one\ntwo\nthree\n");
	assert_int_equal(unlink(path), 0);
}

static void test_attributes_change(void **state)
{
	struct mount *mount = *state;
	const char *path = mount_path(mount, "f");
	struct tree_setattr set = { .set = TREE_SET_MODE, .perm = 0755 };
	struct stat st;
	struct attr attr;
	uint64_t ino;

	file_write(path, "x");
	ino = ino_of(mount, "f");
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(tree_setattr(mount->tree, ino, &set, &attr), 0);
	/* Unnoticed, it would stay as it was. */
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0644);
	front_note_inode(mount->front, ino);
	mount_wait_shown(mount);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0755);
	assert_int_equal(unlink(path), 0);
}

static void test_file_replaced(void **state)
{
	struct mount *mount = *state;
	const char *path = mount_path(mount, "f");
	struct stat before, after;
	char data[8];
	int fd;

	file_write(path, "first");
	assert_int_equal(stat(path, &before), 0);
	fd = open(path, O_RDONLY);
	far_create(mount, TREE_ROOT_INO, "tmp", KIND_FILE, "second");
	assert_int_equal(tree_rename(mount->tree, TREE_ROOT_INO,
				     SLICE_STR("tmp"), TREE_ROOT_INO,
				     SLICE_STR("f"), 0), 0);
	front_note_entry(mount->front, TREE_ROOT_INO, SLICE_STR("tmp"));
	front_note_entry(mount->front, TREE_ROOT_INO, SLICE_STR("f"));
	mount_wait_shown(mount);
	file_assert(path, "second");
	assert_int_equal(stat(path, &after), 0);
	assert_true(before.st_ino != after.st_ino);
	assert_int_equal(pread(fd, data, sizeof(data), 0), 5);
	assert_memory_equal(data, "first", 5);
	assert_int_equal(close(fd), 0);
	assert_int_equal(unlink(path), 0);
}

static void test_link_target_changes(void **state)
{
	struct mount *mount = *state;
	const char *path = mount_path(mount, "l");
	char target[16];

	assert_int_equal(symlink("here", path), 0);
	assert_int_equal(readlink(path, target, sizeof(target)), 4);
	assert_int_equal(tree_unlink(mount->tree, TREE_ROOT_INO,
				     SLICE_STR("l")), 0);
	far_create(mount, TREE_ROOT_INO, "l", KIND_SYMLINK, "there");
	mount_wait_shown(mount);
	assert_int_equal(readlink(path, target, sizeof(target)), 5);
	assert_memory_equal(target, "there", 5);
	assert_int_equal(unlink(path), 0);
}

/* A working directory survives that its ancestors are moved elsewhere. */
static void test_working_directory_moves(void **state)
{
	struct mount *mount = *state;
	char here[MOUNT_PATH_MAX], home[MOUNT_PATH_MAX];
	struct stat st;

	assert_non_null(getcwd(home, sizeof(home)));
	assert_int_equal(mkdir(mount_path(mount, "a"), 0755), 0);
	assert_int_equal(mkdir(mount_path(mount, "a/b"), 0755), 0);
	assert_int_equal(chdir(mount_path(mount, "a/b")), 0);
	/* A changed name in it does not disturb it. */
	far_create(mount, ino_of(mount, "a"), "other", KIND_FILE, "");
	front_note_entry(mount->front, TREE_ROOT_INO, SLICE_STR("a"));
	front_note_entry(mount->front, ino_of(mount, "a"), SLICE_STR("b"));
	mount_wait_shown(mount);
	assert_non_null(getcwd(here, sizeof(here)));
	assert_string_equal(here, mount_path(mount, "a/b"));
	assert_int_equal(tree_rename(mount->tree, TREE_ROOT_INO,
				     SLICE_STR("a"), TREE_ROOT_INO,
				     SLICE_STR("c"), 0), 0);
	front_note_entry(mount->front, TREE_ROOT_INO, SLICE_STR("a"));
	front_note_entry(mount->front, TREE_ROOT_INO, SLICE_STR("c"));
	mount_wait_shown(mount);
	assert_int_equal(stat(mount_path(mount, "a"), &st), -1);
	assert_int_equal(stat(mount_path(mount, "c/b"), &st), 0);
	assert_int_equal(stat(".", &st), 0);
	assert_non_null(getcwd(here, sizeof(here)));
	assert_string_equal(here, mount_path(mount, "c/b"));
	file_write("written", "here");
	file_assert(mount_path(mount, "c/b/written"), "here");
	assert_int_equal(chdir(home), 0);
	assert_int_equal(unlink(mount_path(mount, "c/b/written")), 0);
	assert_int_equal(unlink(mount_path(mount, "c/other")), 0);
	assert_int_equal(rmdir(mount_path(mount, "c/b")), 0);
	assert_int_equal(rmdir(mount_path(mount, "c")), 0);
}

static void test_directory_goes(void **state)
{
	struct mount *mount = *state;
	struct stat st;

	assert_int_equal(mkdir(mount_path(mount, "d"), 0755), 0);
	file_write(mount_path(mount, "d/f"), "x");
	assert_int_equal(tree_unlink(mount->tree, ino_of(mount, "d"),
				     SLICE_STR("f")), 0);
	front_note_entry(mount->front, ino_of(mount, "d"), SLICE_STR("f"));
	assert_int_equal(tree_rmdir(mount->tree, TREE_ROOT_INO,
				    SLICE_STR("d")), 0);
	front_note_entry(mount->front, TREE_ROOT_INO, SLICE_STR("d"));
	mount_wait_shown(mount);
	assert_int_equal(stat(mount_path(mount, "d/f"), &st), -1);
	assert_int_equal(errno, ENOENT);
	assert_int_equal(stat(mount_path(mount, "d"), &st), -1);
	assert_int_equal(list(mount->mountpoint), 0);
	/* And may be made anew. */
	assert_int_equal(mkdir(mount_path(mount, "d"), 0755), 0);
	assert_int_equal(list(mount_path(mount, "d")), 0);
	assert_int_equal(rmdir(mount_path(mount, "d")), 0);
}

/* More notes than fit: everything is shown all the same. */
static void test_overflow(void **state)
{
	struct mount *mount = *state;
	struct tree_setattr set = { .set = TREE_SET_MODE, .perm = 0711 };
	struct stat st;
	struct attr attr;
	uint64_t dir, i;

	assert_int_equal(mkdir(mount_path(mount, "d"), 0755), 0);
	assert_int_equal(mkdir(mount_path(mount, "d/e"), 0755), 0);
	file_write(mount_path(mount, "d/e/gone"), "x");
	file_write(mount_path(mount, "d/e/stays"), "x");
	file_assert(mount_path(mount, "d/e/stays"), "x");
	assert_int_equal(stat(mount_path(mount, "d/e/new"), &st), -1);
	assert_int_equal(list(mount_path(mount, "d/e")), 2);
	dir = ino_of(mount, "d/e");
	mount_hold(mount, true);
	for (i = 0; i <= NOTES_MAX; i++)
		front_note_inode(mount->front, 1000000000 + i);
	assert_int_equal(tree_unlink(mount->tree, dir, SLICE_STR("gone")), 0);
	front_note_entry(mount->front, dir, SLICE_STR("gone"));
	far_create(mount, dir, "new", KIND_FILE, "new");
	far_write(mount, ino_of(mount, "d/e/stays"), "changed");
	assert_int_equal(tree_setattr(mount->tree, dir, &set, &attr), 0);
	front_note_inode(mount->front, dir);
	mount_hold(mount, false);
	mount_wait_shown(mount);
	assert_int_equal(stat(mount_path(mount, "d/e/gone"), &st), -1);
	file_assert(mount_path(mount, "d/e/new"), "new");
	file_assert(mount_path(mount, "d/e/stays"), "changed");
	assert_int_equal(stat(mount_path(mount, "d/e"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0711);
	assert_int_equal(list(mount_path(mount, "d/e")), 2);
	assert_int_equal(unlink(mount_path(mount, "d/e/new")), 0);
	assert_int_equal(unlink(mount_path(mount, "d/e/stays")), 0);
	assert_int_equal(rmdir(mount_path(mount, "d/e")), 0);
	assert_int_equal(rmdir(mount_path(mount, "d")), 0);
}

struct hammer {
	struct mount *mount;
	_Atomic bool stop;
};

/* Looks, lists and reads all the time. */
static void *hammer_main(void *arg)
{
	struct hammer *hammer = arg;
	char path[MOUNT_PATH_MAX], data[64];
	struct stat st;
	int fd;

	snprintf(path, sizeof(path), "%s/h/f", hammer->mount->mountpoint);
	while (!hammer->stop) {
		(void)stat(path, &st);
		fd = open(path, O_RDONLY);
		if (fd >= 0) {
			(void)!read(fd, data, sizeof(data));
			close(fd);
		}
		path[strlen(path) - 2] = '\0';
		(void)list(path);
		strcat(path, "/f");
	}
	return NULL;
}

/* After each change was shown, the old state is never seen again. */
static void test_under_load(void **state)
{
	struct mount *mount = *state;
	struct hammer hammer = { .mount = mount };
	pthread_t threads[3];
	char text[32];
	uint64_t dir, ino;
	size_t i;
	int round;

	assert_int_equal(mkdir(mount_path(mount, "h"), 0755), 0);
	dir = ino_of(mount, "h");
	for (i = 0; i < ARRAY_SIZE(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, hammer_main,
						&hammer), 0);
	for (round = 0; round < 300; round++) {
		snprintf(text, sizeof(text), "round %d", round);
		ino = far_create(mount, dir, "f", KIND_FILE, text);
		mount_wait_shown(mount);
		file_assert(mount_path(mount, "h/f"), text);
		assert_int_equal(list(mount_path(mount, "h")), 1);
		snprintf(text, sizeof(text), "and changed %d", round * round);
		far_write(mount, ino, text);
		mount_wait_shown(mount);
		file_assert(mount_path(mount, "h/f"), text);
		assert_int_equal(tree_unlink(mount->tree, dir,
					     SLICE_STR("f")), 0);
		front_note_entry(mount->front, dir, SLICE_STR("f"));
		mount_wait_shown(mount);
		assert_int_equal(access(mount_path(mount, "h/f"), F_OK), -1);
		assert_int_equal(list(mount_path(mount, "h")), 0);
	}
	hammer.stop = true;
	for (i = 0; i < ARRAY_SIZE(threads); i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(rmdir(mount_path(mount, "h")), 0);
}

/* The end comes at once, with a file open and a working directory inside. */
static void test_exit_while_in_use(void **state)
{
	struct mount *mount = *state;
	int fd;

	file_write(mount_path(mount, "busy"), "x");
	fd = open(mount_path(mount, "busy"), O_RDWR);
	assert_true(fd >= 0);
	mount_restart(mount);
	assert_int_equal(write(fd, "y", 1), -1);
	close(fd);
	file_assert(mount_path(mount, "busy"), "x");
	assert_int_equal(unlink(mount_path(mount, "busy")), 0);
}

/* Unmounted by somebody else: front_run() ends by itself. */
static void test_unmount_from_outside(void **state)
{
	struct mount *mount = *state;
	char command[MOUNT_PATH_MAX];

	snprintf(command, sizeof(command), "fusermount3 -u '%s'",
		 mount->mountpoint);
	assert_int_equal(system(command), 0);
	mount_restart_after_end(mount);
}

static void test_open_errors(void **state)
{
	struct mount *mount = *state;
	char file[MOUNT_PATH_MAX];
	struct front_options options = {
		.tree = mount->tree,
		.source = "kinfs@test",
	};
	struct buf why = BUF_INIT;
	struct front *front;

	options.mountpoint = mount->mountpoint;
	assert_int_equal(front_open(&options, &why, &front), -EBUSY);
	assert_true(why.len > 0);
	buf_reset(&why);
	options.mountpoint = "/nonexistent/kinfs";
	assert_int_equal(front_open(&options, &why, &front), -ENOENT);
	assert_true(why.len > 0);
	buf_reset(&why);
	snprintf(file, sizeof(file), "%s/file", mount->dir);
	file_write(file, "");
	options.mountpoint = file;
	assert_int_equal(front_open(&options, &why, &front), -ENOTDIR);
	assert_true(why.len > 0);
	buf_release(&why);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_name_appears_and_goes),
		cmocka_unit_test(test_content_changes),
		cmocka_unit_test(test_append_to_what_grew),
		cmocka_unit_test(test_attributes_change),
		cmocka_unit_test(test_file_replaced),
		cmocka_unit_test(test_link_target_changes),
		cmocka_unit_test(test_working_directory_moves),
		cmocka_unit_test(test_directory_goes),
		cmocka_unit_test(test_overflow),
		cmocka_unit_test(test_under_load),
		cmocka_unit_test(test_exit_while_in_use),
		cmocka_unit_test(test_unmount_from_outside),
		cmocka_unit_test(test_open_errors),
	};

	if (!mount_possible())
		return 0;
	return cmocka_run_group_tests(tests, mount_setup, mount_teardown);
}
