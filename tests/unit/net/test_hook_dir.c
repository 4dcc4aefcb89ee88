/* SPDX-License-Identifier: Apache-2.0 */
/* Which executables of a folder may be hooks; rooms, without a hook. */
#include "tests/unit/net/hook_support.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/base/log.h"

static const char script[] = "#!/bin/sh\n";

static const struct hook_way way = { .name = "way" };

static int setup(void **state)
{
	static struct hook_test t;

	hook_test_init(&t, &way);
	hook_test_write(&t, "hook", 0755, script, sizeof(script) - 1);
	*state = &t;
	return 0;
}

static int teardown(void **state)
{
	hook_test_release(*state);
	return 0;
}

/* The path of something in the folder. */
static const char *in_folder(const struct hook_test *t, const char *name)
{
	static char path[4][300];
	static unsigned int next;
	char *at = path[next++ % 4];

	snprintf(at, sizeof(path[0]), "%s/%s", t->folder, name);
	return at;
}

/* What is said is not "" and holds `says`. */
static void assert_open(const struct hook_test *t, const char *name,
			int expected, const char *says)
{
	cleanup(buf_release) struct buf why = BUF_INIT;
	cleanup(hook_close) struct hook h = HOOK_INIT;
	int r = hook_open(t->folder, name, &why, &h);

	buf_put_u8(&why, '\0');
	if (r != expected || !strstr((char *)why.data, says))
		fail_msg("%s: %d, \"%s\"", name, r, (char *)why.data);
	assert_int_equal(r < 0, h.fd < 0);
	if (!expected)
		assert_string_equal((char *)why.data, "");
}

static void test_names(void **state)
{
	static const char *const bad[] = { "", ".", "..", ".hook", "a/b",
		"/bin/sh", "../hook", "a b", "a\n", "hook~", "a*", "$(id)",
		"\xc3\xa4", "a:b", "a\\b", "a'b",
		"12345678901234567890123456789012"
		"345678901234567890123456789012345" };
	static const char *const good[] = { "a", "-rf", "_", "A-Z_0.9",
		"a..b", "12345678901234567890123456789012"
		"34567890123456789012345678901234" };

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_false(hook_name_valid(SLICE_STR(bad[i])));
		assert_open(*state, bad[i], -EINVAL, "refused: a hook is");
	}
	assert_false(hook_name_valid(SLICE("a\0b", 3)));
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		assert_true(hook_name_valid(SLICE_STR(good[i])));
		assert_open(*state, good[i], -ENOENT, "No such file");
		hook_test_write(*state, good[i], 0755, "x", 1);
		assert_open(*state, good[i], 0, "");
	}
}

static void test_opened(void **state)
{
	cleanup(buf_release) struct buf why = BUF_INIT;
	cleanup(hook_close) struct hook h = HOOK_INIT;
	struct hook_test *t = *state;
	char twisted[200], link[200];
	struct stat st;

	/* The way to the folder may be by a link; the path is without. */
	snprintf(link, sizeof(link), "%s/link", t->top);
	assert_int_equal(symlink("hooks", link), 0);
	snprintf(twisted, sizeof(twisted), "%s/../hooks/./../link//",
		 t->folder);
	assert_int_equal(hook_open(twisted, "hook", &why, &h), 0);
	assert_string_equal(h.path, in_folder(t, "hook"));
	assert_string_equal(h.name, "hook");
	assert_true(h.script);
	assert_int_equal(fstat(h.fd, &st), 0);
	assert_true(st.st_dev == h.dev && st.st_ino == h.ino);
	assert_true(fcntl(h.fd, F_GETFD) & FD_CLOEXEC);
	hook_close(&h);
	hook_test_write(t, "elf", 0555, "\177ELF", 4);
	assert_int_equal(hook_open(t->folder, "elf", &why, &h), 0);
	assert_false(h.script);
	hook_close(&h);
	hook_test_write(t, "empty", 0711, "", 0);
	assert_int_equal(hook_open(t->folder, "empty", &why, &h), 0);
	assert_false(h.script);
}

static void test_file_modes(void **state)
{
	struct hook_test *t = *state;

	hook_test_write(t, "a", 0775, script, sizeof(script));
	assert_open(t, "a", -EPERM, "refused: mode: ");
	assert_open(t, "a", -EPERM, "is writable by its group (mode 0775); "
		    "`chmod go-w '");
	hook_test_write(t, "a", 0757, script, sizeof(script));
	assert_open(t, "a", -EPERM, "is writable by others (mode 0757)");
	hook_test_write(t, "a", 0644, script, sizeof(script));
	assert_open(t, "a", -EPERM, "is not executable; `chmod +x");
	hook_test_write(t, "a", 0700, script, sizeof(script));
	assert_open(t, "a", 0, "");
	hook_test_write(t, "a", 0300, script, sizeof(script));
	if (geteuid())
		assert_open(t, "a", -EPERM, "is not readable; `chmod u+r");
}

static void test_no_files(void **state)
{
	struct hook_test *t = *state;

	assert_open(t, "none", -ENOENT, "No such file");
	assert_int_equal(symlink("hook", in_folder(t, "inside")), 0);
	assert_open(t, "inside", -EPERM, "is a symbolic link");
	assert_int_equal(symlink("/bin/sh", in_folder(t, "outside")), 0);
	assert_open(t, "outside", -EPERM, "is a symbolic link");
	assert_int_equal(symlink("none", in_folder(t, "nowhere")), 0);
	assert_open(t, "nowhere", -EPERM, "is a symbolic link");
	assert_int_equal(mkdir(in_folder(t, "dir"), 0755), 0);
	assert_open(t, "dir", -EPERM, "is not a regular file");
	/* It is not waited for. */
	assert_int_equal(mkfifo(in_folder(t, "fifo"), 0755), 0);
	assert_open(t, "fifo", -EPERM, "is not a regular file");
}

static void test_folder(void **state)
{
	struct hook_test *t = *state;

	assert_int_equal(chmod(t->folder, 0775), 0);
	assert_open(t, "hook", -EPERM, "hooks is writable by its group");
	assert_int_equal(chmod(t->folder, 0757), 0);
	assert_open(t, "hook", -EPERM, "hooks is writable by others");
	/* A file in a sticky one can be put there by anybody. */
	assert_int_equal(chmod(t->folder, 01777), 0);
	assert_open(t, "hook", -EPERM, "hooks is writable by others");
	assert_int_equal(chmod(t->folder, 0755), 0);
	/* A directory above it: who may write there could exchange it. */
	assert_int_equal(chmod(t->top, 0777), 0);
	assert_open(t, "hook", -EPERM, "is writable by others (mode 0777)");
	assert_int_equal(chmod(t->top, 01777), 0);
	assert_open(t, "hook", 0, "");
	assert_int_equal(chmod(t->top, 0700), 0);
	assert_open(t, "hook", 0, "");
	strcat(t->folder, "x");
	assert_open(t, "hook", -ENOENT, "No such file");
	t->folder[strlen(t->folder) - 1] = '\0';
}

/* By a daemon, whose umask leaves nothing to others: whoever a hook runs as
 * is to come to it. What was there stays as it was. */
static void test_folder_made(void **state)
{
	const struct hook_test *t = *state;
	const char *old = in_folder(t, "old");
	const char *made = in_folder(t, "old/new/hooks");
	mode_t before = umask(077);
	struct stat st;

	assert_int_equal(mkdir(old, 0711), 0);
	assert_int_equal(hook_folder_make(made), 0);
	assert_int_equal(hook_folder_make(made), 0);
	umask(before);
	assert_int_equal(stat(made, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0755);
	assert_int_equal(stat(in_folder(t, "old/new"), &st), 0);
	assert_int_equal(st.st_mode & 0777, 0755);
	assert_int_equal(stat(old, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
	assert_int_equal(rmdir(made), 0);
	assert_int_equal(rmdir(in_folder(t, "old/new")), 0);
	assert_int_equal(rmdir(old), 0);
}

static void test_owners(void **state)
{
	struct hook_test *t = *state;

	if (geteuid())
		skip();
	assert_int_equal(chown(in_folder(t, "hook"), OTHER_ID, 0), 0);
	assert_open(t, "hook", -EPERM, "refused: owner: ");
	assert_open(t, "hook", -EPERM, "belongs to uid 65534");
	assert_int_equal(chown(in_folder(t, "hook"), 0, OTHER_ID), 0);
	assert_open(t, "hook", 0, "");
	assert_int_equal(chown(t->folder, OTHER_ID, 0), 0);
	assert_open(t, "hook", -EPERM, "hooks belongs to uid 65534");
	assert_int_equal(chown(t->folder, 0, 0), 0);
	assert_int_equal(chown(t->top, OTHER_ID, 0), 0);
	assert_open(t, "hook", -EPERM, "belongs to uid 65534");
	/* One who is not root trusts itself and root. */
	assert_int_equal(seteuid(OTHER_ID), 0);
	assert_open(t, "hook", 0, "");
	assert_int_equal(seteuid(0), 0);
	assert_int_equal(chown(t->top, 0, 0), 0);
}

static int collect(void *arg, const char *name, const char *why)
{
	struct buf *b = arg;

	buf_printf(b, "%s%s\n", name, why ? strncmp(why, "refused:", 8) ?
		   " ?" : " -" : "");
	return strcmp(name, "stop") ? 0 : -EINTR;
}

static void test_deterministic(void **state)
{
	static const struct {
		const char *text;
		bool says;
	} all[] = {
		{ "#!/bin/sh\n# kinfs: deterministic\nexit 1\n", true },
		{ "#!/bin/sh\n\n#  kinfs: deterministic \r\n", true },
		{ "#!/bin/sh\n#\n# a: b\n\n  #\tkinfs: deterministic", true },
		{ "#!/bin/sh\nexit 1\n# kinfs: deterministic\n", false },
		{ "#!/bin/sh\n# kinfs: deterministic?\n", false },
		{ "#!/bin/sh\n# not kinfs: deterministic\n", false },
		{ "#!/bin/sh\nkinfs: deterministic\n", false },
		{ "#!/bin/sh\n", false },
	};
	cleanup(buf_release) struct buf why = BUF_INIT;

	for (size_t k = 0; k < ARRAY_SIZE(all); k++) {
		struct hook_test *t = *state;
		struct hook h = HOOK_INIT;

		hook_test_write(t, "hook", 0755, all[k].text,
				strlen(all[k].text));
		assert_int_equal(hook_open(t->folder, "hook", &why, &h), 0);
		assert_int_equal(hook_is_deterministic(&h), all[k].says);
		hook_close(&h);
	}
	assert_false(hook_text_is_deterministic(SLICE(NULL, 0)));
}

static void test_list(void **state)
{
	cleanup(buf_release) struct buf why = BUF_INIT, text = BUF_INIT;
	struct hook_test *t = *state;

	hook_test_write(t, "b", 0644, script, sizeof(script));
	hook_test_write(t, "hook~", 0755, script, sizeof(script));
	hook_test_write(t, ".hidden", 0755, script, sizeof(script));
	hook_test_write(t, "Z", 0755, script, sizeof(script));
	hook_test_write(t, "a", 0777, script, sizeof(script));
	assert_int_equal(symlink("none", in_folder(t, "link")), 0);
	assert_int_equal(hook_list(t->folder, &why, collect, &text), 0);
	assert_text(&text, "Z\na -\nb -\nhook\nhook~ -\nlink -\n");
	buf_reset(&text);
	hook_test_write(t, "stop", 0755, script, sizeof(script));
	hook_test_write(t, "zz", 0755, script, sizeof(script));
	assert_int_equal(hook_list(t->folder, &why, collect, &text), -EINTR);
	assert_text(&text, "Z\na -\nb -\nhook\nhook~ -\nlink -\nstop\n");
	assert_int_equal(why.len, 0);
	assert_int_equal(chmod(t->folder, 0777), 0);
	assert_int_equal(hook_list(t->folder, &why, collect, &text), -EPERM);
	assert_true(why.len);
	buf_reset(&why);
	assert_int_equal(hook_list("/nonexistent", &why, collect, &text),
			 -ENOENT);
	assert_true(why.len);
	assert_int_equal(chmod(t->folder, 0755), 0);
	for (int i = 0; i < HOOKS_MAX; i++) {
		char name[20];

		snprintf(name, sizeof(name), "n%d", i);
		hook_test_write(t, name, 0755, "", 0);
	}
	assert_int_equal(hook_list(t->folder, &why, collect, &text), -E2BIG);
}

/* ---- rooms */

static void put(int fd, const char *text)
{
	assert_int_equal(write(fd, text, strlen(text)),
			 (ssize_t)strlen(text));
	close(fd);
}

static const char *in_room(const struct hook_room *room, const char *name)
{
	static char path[300];

	snprintf(path, sizeof(path), "%s/%s", room->path, name);
	return path;
}

static void test_room(void **state)
{
	struct hook_room room, other;
	struct hook_test *t = *state;
	char path[300], label[LABEL_BYTES_MAX + 2];
	struct stat st;
	int fd;

	assert_int_equal(hook_room_make(t->rooms, geteuid(), getegid(),
					&room), 0);
	assert_int_equal(hook_room_make(t->rooms, geteuid(), getegid(),
					&other), 0);
	assert_string_not_equal(room.path, other.path);
	assert_int_equal(stat(room.path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	hook_room_remove(&other);
	hook_room_remove(&other);
	for (int i = 1; i <= HOOK_VARIANTS_MAX; i++) {
		assert_int_equal(hook_room_variant(&room, SLICE_STR("same"),
						   &fd), 0);
		put(fd, "x");
		snprintf(path, sizeof(path), "%s/variants/%d-same", room.path,
			 i);
		assert_int_equal(stat(path, &st), 0);
		assert_int_equal(st.st_mode & 07777, 0600);
	}
	assert_int_equal(hook_room_variant(&room, SLICE_STR("same"), &fd),
			 -E2BIG);
	room.variants = 0;
	memset(label, 'a', sizeof(label));
	assert_int_equal(hook_room_variant(&room, SLICE(label,
				LABEL_BYTES_MAX + 1), &fd), -EINVAL);
	assert_int_equal(hook_room_variant(&room, SLICE_STR("../x"), &fd),
			 -EINVAL);
	assert_int_equal(hook_room_variant(&room, SLICE("a\0b", 3), &fd),
			 -EINVAL);
	assert_int_equal(hook_room_variant(&room, SLICE(NULL, 0), &fd), 0);
	put(fd, "x");
	assert_int_equal(room.variants, 1);
	/* Its user may have put a link there by now: it leads nowhere. */
	snprintf(path, sizeof(path), "%s/variants", room.path);
	assert_int_equal(renameat(room.fd, "variants", room.fd, "old"), 0);
	assert_int_equal(symlink(t->folder, path), 0);
	assert_int_equal(hook_room_variant(&room, SLICE_STR("a"), &fd), 0);
	put(fd, "x");
	assert_int_equal(stat(in_folder(t, "2-a"), &st), -1);
	assert_int_equal(symlink(in_folder(t, "new"),
				 in_room(&room, "base")), 0);
	assert_int_equal(hook_room_base(&room, &fd), -EEXIST);
	assert_int_equal(stat(in_folder(t, "new"), &st), -1);
	assert_int_equal(unlink(in_room(&room, "base")), 0);
	assert_int_equal(hook_room_base(&room, &fd), 0);
	put(fd, "x");
	assert_int_equal(hook_room_base(&room, &fd), -EEXIST);
	strcpy(path, room.path);
	hook_room_remove(&room);
	assert_int_equal(stat(path, &st), -1);
}

static void assert_output(const struct hook_room *room, int expected,
			  const char *says)
{
	cleanup(buf_release) struct buf why = BUF_INIT;
	autoclose int fd = -1;
	uint64_t size;

	assert_int_equal(hook_room_output(room, 1000, &why, &fd, &size),
			 expected);
	buf_put_u8(&why, '\0');
	assert_non_null(strstr((char *)why.data, says));
	if (!expected)
		assert_int_equal(size, 1000);
	else
		assert_int_equal(fd, -1);
}

static void test_output(void **state)
{
	struct hook_test *t = *state;
	struct hook_room room;
	char path[300];
	int fd;

	assert_int_equal(hook_room_make(t->rooms, geteuid(), getegid(),
					&room), 0);
	snprintf(path, sizeof(path), "%s/output", room.path);
	assert_output(&room, -ENOENT, "it made no output");
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(ftruncate(fd, 1000), 0);
	assert_output(&room, 0, "");
	assert_int_equal(ftruncate(fd, 1001), 0);
	assert_output(&room, -EFBIG, "has more than 1000 bytes");
	close(fd);
	if (!geteuid()) {
		assert_int_equal(truncate(path, 0), 0);
		assert_int_equal(chown(path, OTHER_ID, OTHER_ID), 0);
		assert_output(&room, -EPERM, "belongs to uid 65534");
		unlink(path);
		assert_int_equal(mknod(path, S_IFCHR | 0600, 0), 0);
		assert_output(&room, -EINVAL, "is a device");
	}
	unlink(path);
	assert_int_equal(symlink("base", path), 0);
	assert_output(&room, -EINVAL, "is a symbolic link");
	hook_room_remove(&room);
}

static void test_sweep(void **state)
{
	struct hook_test *t = *state;
	struct hook_room rooms[3];
	struct stat st;
	char keep[200];
	int fd;

	/* Nothing to clean. */
	assert_int_equal(hook_rooms_sweep(t->rooms), 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(hook_room_make(t->rooms, geteuid(),
						getegid(), &rooms[i]), 0);
	assert_int_equal(hook_room_variant(&rooms[0], SLICE_STR("a"), &fd),
			 0);
	put(fd, "x");
	snprintf(keep, sizeof(keep), "%s/other", t->rooms);
	assert_int_equal(mkdir(keep, 0700), 0);
	snprintf(keep, sizeof(keep), "%s/hook-link", t->rooms);
	assert_int_equal(symlink(t->folder, keep), 0);
	assert_int_equal(hook_rooms_sweep(t->rooms), 0);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(stat(rooms[i].path, &st), -1);
		close(rooms[i].fd);
		close(rooms[i].variants_fd);
		close(rooms[i].parent);
		free(rooms[i].path);
	}
	assert_int_equal(lstat(keep, &st), -1);
	assert_int_equal(stat(in_folder(t, "hook"), &st), 0);
	snprintf(keep, sizeof(keep), "%s/other", t->rooms);
	assert_int_equal(rmdir(keep), 0);
	/* A place that is not ours alone. */
	assert_int_equal(chmod(t->rooms, 0777), 0);
	assert_int_equal(hook_rooms_sweep(t->rooms), -EPERM);
	assert_int_equal(hook_room_make(t->rooms, geteuid(), getegid(),
					&rooms[0]), -EPERM);
	assert_int_equal(rmdir(t->rooms), 0);
	assert_int_equal(symlink(t->folder, t->rooms), 0);
	assert_int_equal(hook_rooms_sweep(t->rooms), -ENOTDIR);
	assert_int_equal(unlink(t->rooms), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_names, setup, teardown),
		cmocka_unit_test_setup_teardown(test_opened, setup, teardown),
		cmocka_unit_test_setup_teardown(test_file_modes, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_no_files, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_folder, setup, teardown),
		cmocka_unit_test_setup_teardown(test_folder_made, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_owners, setup, teardown),
		cmocka_unit_test_setup_teardown(test_deterministic, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_list, setup, teardown),
		cmocka_unit_test_setup_teardown(test_room, setup, teardown),
		cmocka_unit_test_setup_teardown(test_output, setup, teardown),
		cmocka_unit_test_setup_teardown(test_sweep, setup, teardown),
	};

	umask(022);
	log_set_level(LOG_LEVEL_OFF);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
