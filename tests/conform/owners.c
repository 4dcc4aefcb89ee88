/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who may change modes, owners and times, and what becomes of the set-id
 * bits: with a new owner, with a write, with a truncation.
 */
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/time.h>

#include "tests/conform/conform.h"

/* ---- chmod */

static void chmod_basics(void)
{
	int fd;

	make_file("f", 0644);
	OK(chmod("f", 07777));
	IS(07777, perm_of("f"));
	OK(chmod("f", 0));
	IS(0, perm_of("f"));
	fd = open_ok("g", O_CREAT | O_RDWR, 0600);
	OK(fchmod(fd, 0640));
	IS(0640, perm_of("g"));
	OK(close(fd));
	make_dir("d", 0755);
	OK(chmod("d", 03770));
	IS(03770, perm_of("d"));
	TRUE(S_ISDIR(stat_of("d").st_mode));
	OK(symlink("f", "l"));
	OK(chmod("l", 0600));
	IS(0600, perm_of("f"));
	IS(0777, perm_of("l"));
	/* (the C library refuses the mode of a symlink itself) */
	ERR(EOPNOTSUPP, fchmodat(AT_FDCWD, "l", 0600, AT_SYMLINK_NOFOLLOW));
	IS(0777, perm_of("l"));
	ERR(EINVAL, fchmodat(AT_FDCWD, "f", 0600, 1 << 30));
	ERR(ENOENT, chmod("none", 0600));
}

static void chmod_rights(void)
{
	int fd;

	make_file("f", 0666);
	OK(chown("f", USER_A, GROUP_A));
	fd = open_ok("f", O_RDWR, 0);
	AS(USER_B, GROUP_A) {
		ERR(EPERM, chmod("f", 0666));
		ERR(EPERM, fchmod(fd, 0600));
	}
	AS(USER_A, GROUP_B)
		OK(chmod("f", 0600));
	IS(0600, perm_of("f"));
	/* Not of the file's group: no set-group-ID for it. */
	AS(USER_A, GROUP_B)
		OK(chmod("f", 02755));
	IS(0755, perm_of("f"));
	AS(USER_A, GROUP_A)
		OK(chmod("f", 02755));
	IS(02755, perm_of("f"));
	AS(USER_A, GROUP_B)
		OK(chmod("f", 04755));
	IS(04755, perm_of("f"));
	/* Any owner may make his file sticky on Linux. */
	AS(USER_A, GROUP_A)
		OK(chmod("f", 01644));
	IS(01644, perm_of("f"));
}

static void chmod_special(void)
{
	OK(mkfifo("p", 0600));
	OK(chown("p", USER_A, GROUP_A));
	AS(USER_A, GROUP_A)
		OK(chmod("p", 06777));
	IS(06777, perm_of("p"));
	AS(USER_B, GROUP_B)
		ERR(EPERM, chmod("p", 0600));
}

/* ---- chown */

static void chown_basics(void)
{
	int fd;

	make_file("f", 0644);
	OK(chown("f", USER_A, GROUP_A));
	IS(USER_A, stat_of("f").st_uid);
	IS(GROUP_A, stat_of("f").st_gid);
	OK(chown("f", (uid_t)-1, GROUP_B));
	IS(USER_A, stat_of("f").st_uid);
	IS(GROUP_B, stat_of("f").st_gid);
	OK(chown("f", USER_B, (gid_t)-1));
	IS(USER_B, stat_of("f").st_uid);
	OK(chown("f", (uid_t)-1, (gid_t)-1));
	fd = open_ok("f", O_RDONLY, 0);
	OK(fchown(fd, 0, 0));
	IS(0, stat_of("f").st_uid);
	OK(close(fd));
	OK(symlink("f", "l"));
	OK(chown("l", USER_A, GROUP_A));
	IS(USER_A, stat_of("f").st_uid);
	IS(0, stat_of("l").st_uid);
	OK(lchown("l", USER_B, GROUP_B));
	IS(USER_B, stat_of("l").st_uid);
	IS(GROUP_B, stat_of("l").st_gid);
	IS(USER_A, stat_of("f").st_uid);
	ERR(EINVAL, fchownat(AT_FDCWD, "f", 0, 0, 1 << 30));
	OK(fchownat(fd = open_ok(".", O_PATH, 0), "", (uid_t)-1, (gid_t)-1,
		    AT_EMPTY_PATH));
	make_dir("d", 0755);
	OK(chown("d", 4294967294U, 4294967294U));
	IS(4294967294U, stat_of("d").st_uid);
	IS(4294967294U, stat_of("d").st_gid);
}

static void chown_rights(void)
{
	const gid_t further[] = { GROUP_B };

	make_file("f", 0666);
	OK(chown("f", USER_A, GROUP_A));
	AS(USER_A, GROUP_A) {
		ERR(EPERM, chown("f", USER_B, (gid_t)-1));
		ERR(EPERM, chown("f", (uid_t)-1, GROUP_B));
		ERR(EPERM, chown("f", 0, 0));
		/* What it is already may be said. */
		OK(chown("f", USER_A, GROUP_A));
		OK(chown("f", (uid_t)-1, (gid_t)-1));
	}
	AS_WITH(USER_A, GROUP_A, 1, further) {
		OK(chown("f", USER_A, GROUP_B));
		ERR(EPERM, chown("f", USER_A, GROUP_C));
	}
	IS(GROUP_B, stat_of("f").st_gid);
	AS(USER_B, GROUP_B) {
		ERR(EPERM, chown("f", USER_B, GROUP_B));
		ERR(EPERM, chown("f", (uid_t)-1, GROUP_B));
		ERR(EPERM, lchown("f", USER_A, GROUP_B));
	}
}

static void chown_clears_set_id(void)
{
	const gid_t further[] = { GROUP_B };

	make_file("f", 06755);
	OK(chown("f", USER_A, GROUP_A));
	IS(0755, perm_of("f"));
	OK(chmod("f", 06755));
	AS_WITH(USER_A, GROUP_A, 1, further)
		OK(chown("f", (uid_t)-1, GROUP_B));
	IS(0755, perm_of("f"));
	OK(chmod("f", 06755));
	AS(USER_A, GROUP_B)
		OK(chown("f", (uid_t)-1, GROUP_B));
	IS(0755, perm_of("f"));
	/* Without execution by the group it is a lock's mark, not a right:
	 * that stays for who is of the group. */
	OK(chmod("f", 02644));
	AS(USER_A, GROUP_B)
		OK(chown("f", USER_A, GROUP_B));
	IS(02644, perm_of("f"));
	/* Given to nobody, by others and by the owner. */
	OK(chmod("f", 06777));
	AS(USER_B, GROUP_B)
		ERR(EPERM, chown("f", (uid_t)-1, (gid_t)-1));
	IS(06777, perm_of("f"));
	AS(USER_A, GROUP_A)
		OK(chown("f", (uid_t)-1, (gid_t)-1));
	IS(0777, perm_of("f"));
	/* Directories keep theirs. */
	make_dir("d", 06755);
	OK(chown("d", USER_A, GROUP_A));
	IS(06755, perm_of("d"));
}

/* ---- set-id bits when data changes */

static void write_clears_set_id(void)
{
	int fd;

	make_file("f", 06777);
	OK(chown("f", USER_A, GROUP_A));
	OK(chmod("f", 06777));
	AS(USER_B, GROUP_B) {
		fd = open_ok("f", O_WRONLY, 0);
		IS(1, write(fd, "x", 1));
	}
	IS(0777, perm_of("f"));
	OK(chmod("f", 06777));
	/* The owner's own write, too. */
	AS(USER_A, GROUP_A) {
		fd = open_ok("f", O_WRONLY, 0);
		IS(1, pwrite(fd, "x", 1, 0));
	}
	IS(0777, perm_of("f"));
	/* root's does not. */
	OK(chmod("f", 06777));
	fd = open_ok("f", O_WRONLY, 0);
	IS(1, write(fd, "x", 1));
	IS(06777, perm_of("f"));
	OK(close(fd));
	/* Who only opened it has changed nothing. */
	AS(USER_B, GROUP_B)
		OK(close(open_ok("f", O_RDWR, 0)));
	IS(06777, perm_of("f"));
}

static void truncate_clears_set_id(void)
{
	make_file("f", 06777);
	OK(chown("f", USER_A, GROUP_A));
	OK(chmod("f", 06777));
	AS(USER_B, GROUP_B)
		OK(truncate("f", 5));
	IS(0777, perm_of("f"));
	OK(chmod("f", 06777));
	AS(USER_B, GROUP_B)
		OK(close(open_ok("f", O_WRONLY | O_TRUNC, 0)));
	IS(0777, perm_of("f"));
	OK(chmod("f", 06777));
	AS(USER_B, GROUP_B)
		OK(ftruncate(open_ok("f", O_RDWR, 0), 3));
	IS(0777, perm_of("f"));
	OK(chmod("f", 06777));
	OK(truncate("f", 1));
	IS(06777, perm_of("f"));
}

/* ---- times */

static int touch(const char *path, long atime_ns, long mtime_ns)
{
	const struct timespec times[] = { { 1000, atime_ns },
					  { 2000, mtime_ns } };

	return utimensat(AT_FDCWD, path, times, 0);
}

static void utimens_rights(void)
{
	make_file("f", 0664);
	OK(chown("f", USER_A, GROUP_B));
	AS(USER_A, GROUP_A) {
		OK(touch("f", 1, 2));
		OK(utimensat(AT_FDCWD, "f", NULL, 0));
	}
	/* Who may write it may set it to now, and to nothing else. */
	AS(USER_B, GROUP_B) {
		OK(utimensat(AT_FDCWD, "f", NULL, 0));
		OK(touch("f", UTIME_NOW, UTIME_NOW));
		ERR(EPERM, touch("f", 1, 2));
		ERR(EPERM, touch("f", UTIME_NOW, 2));
		ERR(EPERM, touch("f", UTIME_OMIT, UTIME_NOW));
		OK(touch("f", UTIME_OMIT, UTIME_OMIT));
	}
	AS(USER_B, GROUP_A) {
		ERR(EACCES, utimensat(AT_FDCWD, "f", NULL, 0));
		ERR(EACCES, touch("f", UTIME_NOW, UTIME_NOW));
		ERR(EPERM, touch("f", 1, 2));
		OK(touch("f", UTIME_OMIT, UTIME_OMIT));
	}
	ERR(EINVAL, touch("f", -1, 2));
	ERR(EINVAL, touch("f", 1, 1000000000));
	ERR(ENOENT, touch("none", 1, 2));
	OK(touch("f", 1, 2));
	IS(2000, stat_of("f").st_mtim.tv_sec);
	IS(2, stat_of("f").st_mtim.tv_nsec);
}

static void utimens_symlink(void)
{
	const struct timespec times[] = { { 1000, 1 }, { 2000, 2 } };
	struct stat st;

	make_file("f", 0644);
	st = stat_of("f");
	OK(symlink("f", "l"));
	OK(utimensat(AT_FDCWD, "l", times, AT_SYMLINK_NOFOLLOW));
	IS(2000, stat_of("l").st_mtim.tv_sec);
	IS(st.st_mtim.tv_sec, stat_of("f").st_mtim.tv_sec);
	OK(utimensat(AT_FDCWD, "l", times, 0));
	IS(2000, stat_of("f").st_mtim.tv_sec);
	OK(mkfifo("p", 0644));
	OK(utimensat(AT_FDCWD, "p", times, 0));
	IS(2000, stat_of("p").st_mtim.tv_sec);
}

const struct conform_case owners_cases[] = {
	{ "chmod_basics", chmod_basics, 0 },
	{ "chmod_rights", chmod_rights, NEEDS_ROOT },
	{ "chmod_special", chmod_special, NEEDS_ROOT },
	{ "chown_basics", chown_basics, NEEDS_ROOT },
	{ "chown_rights", chown_rights, NEEDS_ROOT },
	{ "chown_clears_set_id", chown_clears_set_id, NEEDS_ROOT },
	{ "write_clears_set_id", write_clears_set_id, NEEDS_ROOT },
	{ "truncate_clears_set_id", truncate_clears_set_id, NEEDS_ROOT },
	{ "utimens_rights", utimens_rights, NEEDS_ROOT },
	{ "utimens_symlink", utimens_symlink, 0 },
	{ NULL, NULL, 0 },
};
