/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each call on each kind of file: what it refuses, what it does, and which
 * times it changes, of the file and of its directory; and that a call which
 * is refused changes none.
 */
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "tests/conform/conform.h"

static int rename_flags(const char *from, const char *to, unsigned int flags)
{
	return renameat2(AT_FDCWD, from, AT_FDCWD, to, flags);
}

/* ---- attributes */

static void chmod_each(void)
{
	struct times before;

	for (enum file_kind k = 0; k < FILE_KINDS; k++) {
		conform_at("%s", kind_name(k));
		if (k == A_SYMLINK)
			continue;
		make_kind("x", k);
		OK(chown("x", USER_A, GROUP_A));
		before = times_of("x");
		tick();
		OK(chmod("x", 0111));
		IS(0111, perm_of("x"));
		CHANGED(OF_CTIME, before, "x");
		OK(symlink("x", "l"));
		OK(chmod("l", 0222));
		IS(0222, perm_of("x"));
		before = times_of("x");
		tick();
		AS(USER_B, GROUP_B)
			ERR(EPERM, chmod("x", 0444));
		IS(0222, perm_of("x"));
		CHANGED(0, before, "x");
		AS(USER_A, GROUP_A)
			OK(chmod("x", 0444));
		IS(0444, perm_of("x"));
		TRUE(is_kind("x", k));
		OK(unlink("l"));
		OK(remove("x"));
	}
}

/* What is no directory: sticky means nothing to who is not root. */
static void chmod_sticky(void)
{
	for (enum file_kind k = 0; k < A_SYMLINK; k++) {
		conform_at("%s", kind_name(k));
		make_kind("x", k);
		OK(chown("x", USER_A, GROUP_A));
		OK(chmod("x", 01644));
		IS(01644, perm_of("x"));
		AS(USER_A, GROUP_A) {
			OK(chmod("x", 0640));
			OK(chmod("x", 01640));
		}
		IS(01640, perm_of("x"));
		/* Not of the group: no set-group-ID bit. */
		AS(USER_A, GROUP_B)
			OK(chmod("x", 02755));
		IS(0755, perm_of("x"));
		AS(USER_A, GROUP_A)
			OK(chmod("x", 06755));
		IS(06755, perm_of("x"));
		OK(remove("x"));
	}
}

static void chown_each(void)
{
	struct times before;

	for (enum file_kind k = 0; k < FILE_KINDS; k++) {
		conform_at("%s", kind_name(k));
		make_kind("x", k);
		before = times_of("x");
		tick();
		OK(lchown("x", USER_A, GROUP_A));
		IS(USER_A, stat_of("x").st_uid);
		IS(GROUP_A, stat_of("x").st_gid);
		CHANGED(OF_CTIME, before, "x");
		before = times_of("x");
		tick();
		AS(USER_B, GROUP_A) {
			ERR(EPERM, lchown("x", USER_B, (gid_t)-1));
			ERR(EPERM, lchown("x", (uid_t)-1, GROUP_A));
			ERR(EPERM, lchown("x", USER_A, GROUP_A));
		}
		AS(USER_A, GROUP_A) {
			ERR(EPERM, lchown("x", USER_B, (gid_t)-1));
			ERR(EPERM, lchown("x", (uid_t)-1, GROUP_B));
		}
		CHANGED(0, before, "x");
		/* To say what it is already is a change to its owner. */
		AS(USER_A, GROUP_A)
			OK(lchown("x", USER_A, GROUP_A));
		CHANGED(OF_CTIME, before, "x");
		before = times_of("x");
		tick();
		OK(fchownat(AT_FDCWD, "x", USER_B, GROUP_B,
			    AT_SYMLINK_NOFOLLOW));
		CHANGED(OF_CTIME, before, "x");
		IS(USER_B, stat_of("x").st_uid);
		OK(remove("x"));
	}
}

/* Neither number given: nothing is set, and yet set-id bits go. */
static void chown_nothing(void)
{
	struct times before;

	make_file("f", 06755);
	OK(chown("f", USER_A, GROUP_A));
	OK(chmod("f", 06755));
	before = times_of("f");
	tick();
	AS(USER_A, GROUP_A)
		OK(chown("f", (uid_t)-1, (gid_t)-1));
	IS(0755, perm_of("f"));
	CHANGED(OF_CTIME, before, "f");
	OK(chmod("f", 06755));
	OK(chown("f", (uid_t)-1, (gid_t)-1));
	IS(0755, perm_of("f"));
	make_dir("d", 06755);
	OK(chown("d", USER_A, GROUP_A));
	AS(USER_A, GROUP_A)
		OK(chown("d", (uid_t)-1, (gid_t)-1));
	IS(06755, perm_of("d"));
}

static void utimens_each(void)
{
	const struct timespec t[] = { { 1000, 1 }, { 2000, 999999999 } };
	struct times before;

	for (enum file_kind k = 0; k < FILE_KINDS; k++) {
		conform_at("%s", kind_name(k));
		make_kind("x", k);
		before = times_of("x");
		tick();
		OK(utimensat(AT_FDCWD, "x", t, AT_SYMLINK_NOFOLLOW));
		IS(1000000000001, times_of("x").atime);
		IS(2000999999999, times_of("x").mtime);
		CHANGED(OF_CTIME | ANY_ATIME, before, "x");
		before = times_of("x");
		tick();
		OK(utimensat(AT_FDCWD, "x", NULL, AT_SYMLINK_NOFOLLOW));
		CHANGED(OF_BOTH | ANY_ATIME, before, "x");
		OK(remove("x"));
	}
}

/* ---- names */

static void create_on_each(void)
{
	struct times x, dir;

	make_file("other", 0644);
	for (enum file_kind k = 0; k < FILE_KINDS; k++) {
		conform_at("%s", kind_name(k));
		make_kind("x", k);
		x = times_of("x");
		dir = times_of(".");
		tick();
		ERR(EEXIST, open("x", O_CREAT | O_EXCL | O_RDWR, 0644));
		ERR(EEXIST, mkdir("x", 0755));
		ERR(EEXIST, mkfifo("x", 0644));
		ERR(EEXIST, mknod("x", S_IFREG | 0644, 0));
		ERR(EEXIST, mknod("x", S_IFCHR | 0644, makedev(1, 3)));
		ERR(EEXIST, symlink("y", "x"));
		ERR(EEXIST, link("other", "x"));
		ERR(EEXIST, rename_flags("other", "x", RENAME_NOREPLACE));
		CHANGED(0, x, "x");
		CHANGED(0, dir, ".");
		TRUE(is_kind("x", k));
		OK(remove("x"));
	}
}

static void make_each(void)
{
	struct times dir;

	for (enum file_kind k = 0; k < FILE_KINDS; k++) {
		conform_at("%s", kind_name(k));
		dir = times_of(".");
		tick();
		make_kind("x", k);
		CHANGED(OF_BOTH, dir, ".");
		TRUE(times_of("x").atime >= dir.mtime);
		TRUE(times_of("x").mtime >= dir.mtime);
		TRUE(times_of("x").ctime >= dir.mtime);
		if (k != A_DIR)
			IS(1, stat_of("x").st_nlink);
		dir = times_of(".");
		tick();
		OK(k == A_DIR ? rmdir("x") : unlink("x"));
		CHANGED(OF_BOTH, dir, ".");
		ERR(ENOENT, access("x", F_OK));
	}
}

static void link_each(void)
{
	struct times x, dir;

	for (enum file_kind k = 0; k < FILE_KINDS; k++) {
		conform_at("%s", kind_name(k));
		make_kind("x", k);
		x = times_of("x");
		dir = times_of(".");
		tick();
		if (k == A_DIR) {
			ERR(EPERM, link("x", "y"));
			CHANGED(0, x, "x");
			CHANGED(0, dir, ".");
			OK(rmdir("x"));
			continue;
		}
		OK(link("x", "y"));
		IS(2, stat_of("x").st_nlink);
		IS(stat_of("x").st_ino, stat_of("y").st_ino);
		TRUE(is_kind("y", k));
		CHANGED(OF_CTIME, x, "x");
		CHANGED(OF_BOTH, dir, ".");
		x = times_of("x");
		tick();
		OK(unlink("x"));
		CHANGED(OF_CTIME, x, "y");
		IS(1, stat_of("y").st_nlink);
		OK(unlink("y"));
	}
}

static void rename_each(void)
{
	struct times x, a, b;
	ino_t ino;

	make_dir("a", 0755);
	make_dir("b", 0755);
	for (enum file_kind k = 0; k < FILE_KINDS; k++) {
		conform_at("%s", kind_name(k));
		make_kind("a/x", k);
		ino = stat_of("a/x").st_ino;
		x = times_of("a/x");
		a = times_of("a");
		b = times_of("b");
		tick();
		OK(rename("a/x", "b/y"));
		CHANGED(OF_CTIME, x, "b/y");
		CHANGED(OF_BOTH, a, "a");
		CHANGED(OF_BOTH, b, "b");
		IS(ino, stat_of("b/y").st_ino);
		TRUE(is_kind("b/y", k));
		OK(remove("b/y"));
	}
}

/* All kinds over all kinds. */
static void rename_over_each(void)
{
	for (enum file_kind from = 0; from < FILE_KINDS; from++)
		for (enum file_kind to = 0; to < FILE_KINDS; to++) {
			struct times x, y, dir;

			conform_at("%s over %s", kind_name(from),
				   kind_name(to));
			make_kind("x", from);
			make_kind("y", to);
			x = times_of("x");
			y = times_of("y");
			dir = times_of(".");
			usleep(2000);
			if (from == A_DIR && to != A_DIR) {
				ERR(ENOTDIR, rename("x", "y"));
			} else if (to == A_DIR && from != A_DIR) {
				ERR(EISDIR, rename("x", "y"));
			} else {
				OK(rename("x", "y"));
				TRUE(is_kind("y", from));
				OK(remove("y"));
				ERR(ENOENT, access("x", F_OK));
				continue;
			}
			CHANGED(0, x, "x");
			CHANGED(0, y, "y");
			CHANGED(0, dir, ".");
			OK(remove("x"));
			OK(remove("y"));
		}
}

static void exchange_each(void)
{
	for (enum file_kind from = 0; from < FILE_KINDS; from++)
		for (enum file_kind to = 0; to < FILE_KINDS; to++) {
			ino_t x, y;

			conform_at("%s and %s", kind_name(from),
				   kind_name(to));
			make_kind("x", from);
			make_kind("y", to);
			x = stat_of("x").st_ino;
			y = stat_of("y").st_ino;
			OK(rename_flags("x", "y", RENAME_EXCHANGE));
			IS(x, stat_of("y").st_ino);
			IS(y, stat_of("x").st_ino);
			TRUE(is_kind("y", from));
			TRUE(is_kind("x", to));
			OK(remove("x"));
			OK(remove("y"));
		}
}

/* What was replaced lost a name, and changed. */
static void replaced_changes(void)
{
	struct times was;
	struct stat st;
	int fd;

	make_text("x", "x");
	make_text("y", "y");
	OK(link("y", "z"));
	was = times_of("z");
	fd = open_ok("z", O_RDONLY, 0);
	tick();
	OK(rename("x", "y"));
	CHANGED(OF_CTIME, was, "z");
	IS(1, stat_of("z").st_nlink);
	OK(unlink("z"));
	OK(fstat(fd, &st));
	IS(0, st.st_nlink);
	OK(close(fd));
	make_dir("d", 0755);
	make_dir("e", 0755);
	fd = open_ok("e", O_RDONLY | O_DIRECTORY, 0);
	OK(rename("d", "e"));
	OK(fstat(fd, &st));
	IS(0, st.st_nlink);
	OK(close(fd));
}

/* ---- what a kind has not */

static void rmdir_each(void)
{
	for (enum file_kind k = 0; k < FILE_KINDS; k++) {
		struct times x, dir;

		conform_at("%s", kind_name(k));
		make_kind("x", k);
		x = times_of("x");
		dir = times_of(".");
		usleep(2000);
		if (k == A_DIR)
			ERR(EISDIR, unlink("x"));
		else
			ERR(ENOTDIR, rmdir("x"));
		CHANGED(0, x, "x");
		CHANGED(0, dir, ".");
		OK(remove("x"));
	}
}

static void truncate_each(void)
{
	const int errors[FILE_KINDS] = {
		[A_DIR] = EISDIR, [A_FIFO] = EINVAL, [A_SOCKET] = EINVAL,
		[A_CHAR] = EINVAL, [A_BLOCK] = EINVAL, [A_SYMLINK] = ENOENT,
	};

	for (enum file_kind k = 0; k < FILE_KINDS; k++) {
		conform_at("%s", kind_name(k));
		make_kind("x", k);
		if (errors[k])
			ERR(errors[k], truncate("x", 0));
		else
			OK(truncate("x", 0));
		OK(remove("x"));
	}
}

static void readlink_each(void)
{
	char text[16];

	for (enum file_kind k = 0; k < FILE_KINDS; k++) {
		conform_at("%s", kind_name(k));
		make_kind("x", k);
		if (k == A_SYMLINK)
			IS(7, readlink("x", text, sizeof(text)));
		else
			ERR(EINVAL, readlink("x", text, sizeof(text)));
		OK(remove("x"));
	}
}

/* A path through what is no directory, in every call. */
static void path_through_each(void)
{
	const struct timespec t[2] = { { 1, 1 }, { 2, 2 } };
	struct stat st;
	char text[8];

	make_file("other", 0644);
	for (enum file_kind k = 0; k < FILE_KINDS; k++) {
		int error = k == A_SYMLINK || k == A_DIR ? ENOENT : ENOTDIR;

		conform_at("%s", kind_name(k));
		make_kind("x", k);
		ERR(error, open("x/y", O_RDONLY));
		ERR(error, chmod("x/y", 0644));
		ERR(error, chown("x/y", 1, 1));
		ERR(error, lchown("x/y", 1, 1));
		ERR(error, truncate("x/y", 0));
		ERR(error, unlink("x/y"));
		ERR(error, rmdir("x/y"));
		ERR(error, rename("x/y", "z"));
		ERR(error, link("x/y", "z"));
		ERR(error, lstat("x/y", &st));
		ERR(error, access("x/y", F_OK));
		ERR(error, readlink("x/y", text, sizeof(text)));
		ERR(error, utimensat(AT_FDCWD, "x/y", t, 0));
		ERR(error, getxattr("x/y", "user.a", NULL, 0));
		ERR(error, setxattr("x/y", "user.a", "a", 1, 0));
		ERR(error, listxattr("x/y", NULL, 0));
		ERR(error, removexattr("x/y", "user.a"));
		ERR(error, chdir("x/y"));
		if (k != A_DIR) {
			ERR(error, open("x/y", O_CREAT | O_RDWR, 0644));
			ERR(error, mkdir("x/y", 0755));
			ERR(error, mkfifo("x/y", 0644));
			ERR(error, symlink("z", "x/y"));
			ERR(error, link("other", "x/y"));
			ERR(error, rename("other", "x/y"));
			ERR(error, chdir("x"));
			ERR(error, open("x", O_RDONLY | O_DIRECTORY));
		}
		OK(remove("x"));
	}
}

/* The link count of a directory is that of its subdirectories. */
static void dir_links(void)
{
	IS(2, stat_of(".").st_nlink);
	make_dir("a", 0755);
	make_dir("b", 0755);
	make_file("f", 0644);
	IS(4, stat_of(".").st_nlink);
	make_dir("a/c", 0755);
	IS(3, stat_of("a").st_nlink);
	OK(rename("a/c", "b/c"));
	IS(2, stat_of("a").st_nlink);
	IS(3, stat_of("b").st_nlink);
	OK(rename_flags("b/c", "f", RENAME_EXCHANGE));
	IS(5, stat_of(".").st_nlink);
	IS(2, stat_of("b").st_nlink);
	OK(rename("f", "a"));
	IS(4, stat_of(".").st_nlink);
	OK(unlink("b/c"));
	OK(rmdir("b"));
	OK(rmdir("a"));
	IS(2, stat_of(".").st_nlink);
}

/* A whiteout takes the place of what moves away. */
static void rename_whiteout(void)
{
	struct times dir;

	make_text("f", "text");
	make_text("g", "other text");
	dir = times_of(".");
	tick();
	OK(rename_flags("f", "h", RENAME_WHITEOUT));
	TRUE(S_ISCHR(stat_of("f").st_mode));
	IS(0, stat_of("f").st_rdev);
	IS(1, stat_of("f").st_nlink);
	IS(4, stat_of("h").st_size);
	CHANGED(OF_BOTH, dir, ".");
	OK(rename_flags("h", "g", RENAME_WHITEOUT));
	IS(4, stat_of("g").st_size);
	TRUE(S_ISCHR(stat_of("h").st_mode));
	ERR(EEXIST, rename_flags("g", "h", RENAME_WHITEOUT |
				 RENAME_NOREPLACE));
	ERR(EINVAL, rename_flags("g", "h", RENAME_WHITEOUT |
				 RENAME_EXCHANGE));
	OK(rename_flags("g", "i", RENAME_WHITEOUT | RENAME_NOREPLACE));
	make_dir("d", 0755);
	make_file("d/x", 0644);
	make_dir("e", 0755);
	OK(rename_flags("d", "e/d", RENAME_WHITEOUT));
	TRUE(S_ISCHR(stat_of("d").st_mode));
	OK(access("e/d/x", F_OK));
	OK(rename_flags("e/d/x", "e/d/x", RENAME_WHITEOUT));
	ERR(ENOENT, rename_flags("none", "x", RENAME_WHITEOUT));
	OK(unlink("d"));
	OK(unlink("f"));
}

/* Anybody may make one: it is no device. */
static void whiteout_of_users(void)
{
	AS(USER_A, GROUP_A) {
		make_text("f", "text");
		OK(rename_flags("f", "g", RENAME_WHITEOUT));
		IS(USER_A, stat_of("f").st_uid);
		OK(mknod("w", S_IFCHR, 0));
		OK(unlink("w"));
		OK(unlink("f"));
	}
}

const struct conform_case kinds_cases[] = {
	{ "chmod_each", chmod_each, NEEDS_ROOT },
	{ "chmod_sticky", chmod_sticky, NEEDS_ROOT },
	{ "chown_each", chown_each, NEEDS_ROOT },
	{ "chown_nothing", chown_nothing, NEEDS_ROOT },
	{ "utimens_each", utimens_each, NEEDS_ROOT },
	{ "create_on_each", create_on_each, NEEDS_ROOT },
	{ "make_each", make_each, NEEDS_ROOT },
	{ "link_each", link_each, NEEDS_ROOT },
	{ "rename_each", rename_each, NEEDS_ROOT },
	{ "rename_over_each", rename_over_each, NEEDS_ROOT },
	{ "exchange_each", exchange_each, NEEDS_ROOT },
	{ "replaced_changes", replaced_changes, 0 },
	{ "rmdir_each", rmdir_each, NEEDS_ROOT },
	{ "truncate_each", truncate_each, NEEDS_ROOT },
	{ "readlink_each", readlink_each, NEEDS_ROOT },
	{ "path_through_each", path_through_each, NEEDS_ROOT },
	{ "dir_links", dir_links, 0 },
	{ "rename_whiteout", rename_whiteout, 0 },
	{ "whiteout_of_users", whiteout_of_users, NEEDS_ROOT },
	{ NULL, NULL, 0 },
};
