/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file that is open and has no name any more, by each way in which the last
 * one can go: what it is stays its own, whatever comes to stand there.
 */
#include <sys/mman.h>
#include <sys/xattr.h>

#include "tests/conform/conform.h"

#define VALUE_BYTES 16

/* ---- ways for "f" to go */

static void by_unlink(void)
{
	OK(unlink("f"));
}

static void by_rename(void)
{
	make_text("other", "other text");
	OK(rename("other", "f"));
}

/* (as who saves a file: fchmod before the rename) */
static void by_save(void)
{
	int fd = open_ok("other", O_CREAT | O_EXCL | O_WRONLY, 0600);

	IS(4, write(fd, "more", 4));
	OK(fchmod(fd, 0604));
	OK(fsync(fd));
	OK(rename("other", "f"));
	OK(close(fd));
}

static void by_rename_of_link(void)
{
	make_text("other", "other text");
	OK(link("other", "more"));
	OK(rename("other", "f"));
}

static void by_rename_of_symlink(void)
{
	OK(symlink("nowhere", "other"));
	OK(rename("other", "f"));
}

static void by_backup(void)
{
	OK(rename("f", "f~"));
	make_text("f", "other text");
	OK(unlink("f~"));
}

static void by_rename_of_backup(void)
{
	OK(rename("f", "f~"));
	make_text("f", "other text");
	OK(rename("f", "f~"));
}

static void by_two_names(void)
{
	OK(link("f", "g"));
	OK(unlink("f"));
	make_text("other", "other text");
	OK(rename("other", "g"));
}

static const struct way {
	const char *name;
	void (*go)(void);
} ways[] = {
	{ "unlink", by_unlink },
	{ "rename", by_rename },
	{ "save", by_save },
	{ "rename of a link", by_rename_of_link },
	{ "rename of a symlink", by_rename_of_symlink },
	{ "backup", by_backup },
	{ "rename over the backup", by_rename_of_backup },
	{ "two names", by_two_names },
};

/* For each way in a directory of its own: `f` is open, and goes. */
static void each_way(void (*check)(int fd))
{
	for (size_t k = 0; k < LEN(ways); k++) {
		char dir[8];
		int fd;

		conform_at("by %s", ways[k].name);
		snprintf(dir, sizeof(dir), "%zu", k);
		make_dir(dir, 0777);
		OK(chdir(dir));
		make_text("f", "text");
		OK(chmod("f", 0640));
		OK(setxattr("f", "user.a", "old", 3, 0));
		fd = open_ok("f", O_RDWR, 0);
		ways[k].go();
		check(fd);
		OK(close(fd));
		OK(chdir(".."));
	}
}

/* ---- what is where, now */

static struct stat stat_open(int fd)
{
	struct stat st;

	OK(fstat(fd, &st));
	return st;
}

static void expect_value(int fd, const char *want)
{
	char got[VALUE_BYTES];

	IS(strlen(want), fgetxattr(fd, "user.a", got, sizeof(got)));
	TRUE(!memcmp(got, want, strlen(want)));
}

/* What took its place, if anything did. */
struct other {
	bool is;
	struct stat st;
};

static struct other other_of(void)
{
	struct other o = { 0 };

	o.is = !lstat("f", &o.st);
	return o;
}

static void expect_other(const struct other *was)
{
	char got[VALUE_BYTES];
	struct stat st;

	if (!was->is)
		return;
	st = stat_of("f");
	IS(was->st.st_ino, st.st_ino);
	IS(was->st.st_mode, st.st_mode);
	IS(was->st.st_uid, st.st_uid);
	IS(was->st.st_size, st.st_size);
	IS(ns_of(was->st.st_mtim), ns_of(st.st_mtim));
	IS(ns_of(was->st.st_ctim), ns_of(st.st_ctim));
	ERR(ENODATA, lgetxattr("f", "trusted.a", got, sizeof(got)));
	if (S_ISREG(st.st_mode))
		ERR(ENODATA, getxattr("f", "user.a", got, sizeof(got)));
}

/* ---- cases */

static void check_shown(int fd)
{
	struct stat st = stat_open(fd);

	IS(S_IFREG | 0640, st.st_mode);
	IS(0, st.st_nlink);
	IS(4, st.st_size);
	expect_value(fd, "old");
}

static void shown(void)
{
	each_way(check_shown);
}

static void check_mode(int fd)
{
	struct other other = other_of();
	struct stat before = stat_open(fd), st;

	tick();
	OK(fchmod(fd, 0711));
	st = stat_open(fd);
	IS(S_IFREG | 0711, st.st_mode);
	TRUE(ns_of(st.st_ctim) > ns_of(before.st_ctim));
	IS(ns_of(before.st_mtim), ns_of(st.st_mtim));
	expect_other(&other);
}

static void mode(void)
{
	each_way(check_mode);
}

static void check_owner(int fd)
{
	struct other other = other_of();
	struct stat st;

	OK(fchmod(fd, 06755));
	OK(fchown(fd, USER_A, GROUP_A));
	st = stat_open(fd);
	IS(USER_A, st.st_uid);
	IS(GROUP_A, st.st_gid);
	IS(S_IFREG | 0755, st.st_mode);
	OK(fsetxattr(fd, "trusted.a", "1", 1, 0));
	OK(fremovexattr(fd, "trusted.a"));
	OK(fsetxattr(fd, "trusted.a", "2", 1, 0));
	expect_other(&other);
}

static void owner(void)
{
	each_way(check_owner);
}

static void check_times(int fd)
{
	static const struct timespec set[] = { { 1000, 1 }, { 2000, 2 } };
	struct other other = other_of();
	struct stat before = stat_open(fd), st;

	tick();
	OK(futimens(fd, set));
	st = stat_open(fd);
	IS(ns_of(set[0]), ns_of(st.st_atim));
	IS(ns_of(set[1]), ns_of(st.st_mtim));
	TRUE(ns_of(st.st_ctim) > ns_of(before.st_ctim));
	OK(fchmod(fd, 0600));
	IS(ns_of(set[1]), ns_of(stat_open(fd).st_mtim));
	tick();
	IS(4, pwrite(fd, "more", 4, 4));
	TRUE(ns_of(stat_open(fd).st_mtim) > ns_of(before.st_mtim));
	expect_other(&other);
}

static void times(void)
{
	each_way(check_times);
}

static void check_attributes(int fd)
{
	struct other other = other_of();
	char names[64];

	OK(fsetxattr(fd, "user.a", "new", 3, XATTR_REPLACE));
	expect_value(fd, "new");
	OK(fsetxattr(fd, "user.b", "more", 4, XATTR_CREATE));
	IS(14, flistxattr(fd, names, sizeof(names)));
	OK(fremovexattr(fd, "user.b"));
	ERR(ENODATA, fremovexattr(fd, "user.b"));
	ERR(EEXIST, fsetxattr(fd, "user.a", "x", 1, XATTR_CREATE));
	expect_other(&other);
}

static void attributes(void)
{
	each_way(check_attributes);
}

static void check_bytes(int fd)
{
	struct other other = other_of();
	char text[8] = "", *map;

	IS(4, pwrite(fd, "byte", 4, 4));
	IS(8, pread(fd, text, sizeof(text), 0));
	TRUE(!memcmp(text, "textbyte", 8));
	OK(ftruncate(fd, 4096));
	map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	TRUE(map != MAP_FAILED);
	map[100] = 'x';
	OK(msync(map, 4096, MS_SYNC));
	OK(munmap(map, 4096));
	IS(1, pread(fd, text, 1, 100));
	IS('x', text[0]);
	OK(ftruncate(fd, 2));
	OK(fsync(fd));
	IS(2, stat_open(fd).st_size);
	expect_other(&other);
}

static void bytes(void)
{
	each_way(check_bytes);
}

static void check_opened_again(int fd)
{
	struct other other = other_of();
	char path[32], text[8];
	int again;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	OK(fchmod(fd, 0600));
	again = open_ok(path, O_RDWR | O_APPEND, 0);
	IS(3, write(again, "end", 3));
	IS(7, stat_open(fd).st_size);
	OK(fchmod(again, 0660));
	IS(S_IFREG | 0660, stat_open(fd).st_mode);
	OK(close(again));
	IS(7, pread(fd, text, sizeof(text), 0));
	OK(truncate(path, 1));
	OK(chmod(path, 0606));
	OK(setxattr(path, "user.a", "path", 4, 0));
	expect_value(fd, "path");
	IS(S_IFREG | 0606, stat_open(fd).st_mode);
	IS(1, stat_open(fd).st_size);
	expect_other(&other);
}

static void opened_again(void)
{
	each_way(check_opened_again);
}

/* Nobody tells the file system of such a handle. */
static void path_only_by(void (*way)(void))
{
	char path[32], text[8];
	int fd, again;

	make_text("f", "text");
	fd = open_ok("f", O_PATH, 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	way();
	IS(0, stat_open(fd).st_nlink);
	OK(chmod(path, 0606));
	again = open_ok(path, O_RDONLY, 0);
	IS(4, read(again, text, sizeof(text)));
	TRUE(!memcmp(text, "text", 4));
	IS(S_IFREG | 0606, stat_open(again).st_mode);
	OK(close(again));
	IS(4, stat_open(fd).st_size);
	OK(close(fd));
}

static void path_of_symlink(void)
{
	char text[8];
	int fd;

	OK(symlink("target", "l"));
	fd = open_ok("l", O_PATH | O_NOFOLLOW, 0);
	OK(unlink("l"));
	IS(0, stat_open(fd).st_nlink);
	IS(6, readlinkat(fd, "", text, sizeof(text)));
	TRUE(!memcmp(text, "target", 6));
	OK(close(fd));
}

static void path_only(void)
{
	path_of_symlink();
	path_only_by(by_unlink);
	path_only_by(by_save);
	IS(S_IFREG | 0604, stat_of("f").st_mode);
}

static void check_not_linked(int fd)
{
	struct other other = other_of();
	char path[32];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	ERR(ENOENT, linkat(AT_FDCWD, path, AT_FDCWD, "again",
			   AT_SYMLINK_FOLLOW));
	ERR(ENOENT, linkat(fd, "", AT_FDCWD, "again", AT_EMPTY_PATH));
	expect_other(&other);
}

static void not_linked(void)
{
	each_way(check_not_linked);
}

static void check_set_id(int fd)
{
	struct other other = other_of();

	OK(fchmod(fd, 06777));
	AS(USER_A, GROUP_A)
		IS(1, pwrite(fd, "x", 1, 0));
	IS(S_IFREG | 0777, stat_open(fd).st_mode);
	expect_other(&other);
}

static void set_id(void)
{
	each_way(check_set_id);
}

const struct conform_case orphans_cases[] = {
	{ "shown", shown, 0 },
	{ "mode", mode, 0 },
	{ "owner", owner, NEEDS_ROOT },
	{ "times", times, 0 },
	{ "attributes", attributes, 0 },
	{ "bytes", bytes, 0 },
	{ "opened_again", opened_again, 0 },
	{ "path_only", path_only, 0 },
	{ "not_linked", not_linked, 0 },
	{ "set_id", set_id, NEEDS_ROOT },
	{ NULL, NULL, 0 },
};
