/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Times: which call changes which of them, setting them to the nanosecond,
 * and what the file system says of a file's birth.
 */
#include <dirent.h>
#include <linux/falloc.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/xattr.h>
#include <time.h>

#include "tests/conform/conform.h"

/* ---- which call changes what */

static void of_create(void)
{
	struct times dir;

	make_dir("d", 0755);
	dir = times_of("d");
	tick();
	make_file("d/f", 0644);
	CHANGED(OF_BOTH, dir, "d");
	TRUE(times_of("d/f").mtime > dir.mtime);
	dir = times_of("d");
	tick();
	make_dir("d/e", 0755);
	CHANGED(OF_BOTH, dir, "d");
	dir = times_of("d");
	tick();
	OK(symlink("x", "d/l"));
	CHANGED(OF_BOTH, dir, "d");
	dir = times_of("d");
	tick();
	OK(close(open_ok("d/f", O_CREAT | O_WRONLY, 0644)));
	CHANGED(0, dir, "d");
}

static void of_write(void)
{
	struct times f, dir = times_of(".");
	int fd = open_ok("f", O_CREAT | O_RDWR, 0644);

	dir = times_of(".");
	f = times_of("f");
	tick();
	IS(1, write(fd, "x", 1));
	CHANGED(OF_BOTH, f, "f");
	CHANGED(0, dir, ".");
	f = times_of("f");
	tick();
	IS(0, write(fd, "x", 0));
	CHANGED(0, f, "f");
	/* What was written keeps its time when the file is closed. */
	tick();
	OK(close(fd));
	CHANGED(0, f, "f");
}

static void of_truncate(void)
{
	struct times f;
	int fd;

	make_text("f", "text");
	f = times_of("f");
	tick();
	OK(truncate("f", 2));
	CHANGED(OF_BOTH, f, "f");
	fd = open_ok("f", O_RDWR, 0);
	f = times_of("f");
	tick();
	OK(ftruncate(fd, 2));
	CHANGED(OF_BOTH, f, "f");
	OK(close(fd));
	f = times_of("f");
	tick();
	OK(close(open_ok("f", O_WRONLY | O_TRUNC, 0)));
	CHANGED(OF_BOTH, f, "f");
}

static void of_allocate(void)
{
	struct times f;
	int fd = open_ok("f", O_CREAT | O_RDWR, 0644), in;

	IS(4, write(fd, "text", 4));
	f = times_of("f");
	tick();
	OK(fallocate(fd, 0, 0, 100));
	CHANGED(OF_BOTH, f, "f");
	f = times_of("f");
	tick();
	OK(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 2));
	CHANGED(OF_BOTH, f, "f");
	f = times_of("f");
	make_text("g", "more");
	in = open_ok("g", O_RDONLY, 0);
	tick();
	IS(4, copy_file_range(in, NULL, fd, NULL, 4, 0));
	CHANGED(OF_BOTH, f, "f");
	OK(close(in));
	OK(close(fd));
}

/* Room that is there already moves both as well. */
static void of_allocate_room(void)
{
	int fd = open_ok("f", O_CREAT | O_RDWR, 0644);
	struct times f;

	IS(3, OK(write(fd, "abc", 3)));
	f = times_of("f");
	tick();
	OK(fallocate(fd, 0, 0, 2));
	CHANGED(OF_BOTH, f, "f");
	f = times_of("f");
	tick();
	OK(fallocate(fd, FALLOC_FL_KEEP_SIZE, 1, 9000));
	CHANGED(OF_BOTH, f, "f");
	IS(3, stat_of("f").st_size);
}

/* Whoever it is given to: also to who has it, and to nobody. */
static void of_chown(void)
{
	struct times f;

	make_text("f", "text");
	make_dir("d", 0755);
	OK(symlink("f", "l"));
	f = times_of("f");
	tick();
	OK(chown("f", (uid_t)-1, (gid_t)-1));
	CHANGED(OF_CTIME, f, "f");
	f = times_of("d");
	tick();
	OK(chown("d", (uid_t)-1, (gid_t)-1));
	CHANGED(OF_CTIME, f, "d");
	f = times_of("l");
	tick();
	OK(lchown("l", (uid_t)-1, (gid_t)-1));
	CHANGED(OF_CTIME, f, "l");
	f = times_of("f");
	tick();
	OK(chown("f", geteuid(), getegid()));
	CHANGED(OF_CTIME, f, "f");
}

static void of_mmap(void)
{
	int fd = open_ok("f", O_CREAT | O_RDWR, 0644);
	struct times f;
	char *map;

	OK(ftruncate(fd, 4096));
	map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	TRUE(map != MAP_FAILED);
	f = times_of("f");
	tick();
	map[0] = 'x';
	OK(msync(map, 4096, MS_SYNC));
	/* (FUSE does not tell a fault from a read) */
	CHANGED(OF_BOTH | ANY_ATIME, f, "f");
	OK(munmap(map, 4096));
	OK(close(fd));
}

static void of_chmod(void)
{
	struct times f;

	make_file("f", 0644);
	f = times_of("f");
	tick();
	OK(chmod("f", 0600));
	CHANGED(OF_CTIME, f, "f");
	f = times_of("f");
	tick();
	OK(chown("f", getuid(), getgid()));
	CHANGED(OF_CTIME, f, "f");
	make_dir("d", 0755);
	f = times_of("d");
	tick();
	OK(chmod("d", 0700));
	CHANGED(OF_CTIME, f, "d");
}

static void of_link(void)
{
	struct times f, from, to;

	make_dir("a", 0755);
	make_dir("b", 0755);
	make_file("a/f", 0644);
	f = times_of("a/f");
	from = times_of("a");
	to = times_of("b");
	tick();
	OK(link("a/f", "b/g"));
	CHANGED(OF_CTIME, f, "a/f");
	CHANGED(0, from, "a");
	CHANGED(OF_BOTH, to, "b");
	f = times_of("a/f");
	to = times_of("b");
	tick();
	OK(unlink("b/g"));
	CHANGED(OF_CTIME, f, "a/f");
	CHANGED(OF_BOTH, to, "b");
}

static void of_unlink_open(void)
{
	struct stat before, after;
	int fd = open_ok("f", O_CREAT | O_RDWR, 0644);

	OK(fstat(fd, &before));
	tick();
	OK(unlink("f"));
	OK(fstat(fd, &after));
	TRUE(ns_of(after.st_ctim) > ns_of(before.st_ctim));
	IS(ns_of(before.st_mtim), ns_of(after.st_mtim));
	OK(close(fd));
}

static void of_rename(void)
{
	struct times f, from, to;

	make_dir("a", 0755);
	make_dir("b", 0755);
	make_file("a/f", 0644);
	f = times_of("a/f");
	from = times_of("a");
	to = times_of("b");
	tick();
	OK(rename("a/f", "b/g"));
	CHANGED(OF_CTIME, f, "b/g");
	CHANGED(OF_BOTH, from, "a");
	CHANGED(OF_BOTH, to, "b");
}

static void of_rmdir(void)
{
	struct times dir;

	make_dir("d", 0755);
	make_dir("d/e", 0755);
	dir = times_of("d");
	tick();
	OK(rmdir("d/e"));
	CHANGED(OF_BOTH, dir, "d");
}

static void of_xattr(void)
{
	struct times f;

	make_file("f", 0644);
	f = times_of("f");
	tick();
	OK(setxattr("f", "user.x", "y", 1, 0));
	CHANGED(OF_CTIME, f, "f");
	f = times_of("f");
	tick();
	OK(removexattr("f", "user.x"));
	CHANGED(OF_CTIME, f, "f");
}

static void of_failures(void)
{
	struct times f, dir;

	make_text("f", "text");
	make_dir("d", 0755);
	make_file("d/x", 0644);
	f = times_of("f");
	dir = times_of(".");
	tick();
	ERR(EEXIST, mkdir("f", 0755));
	ERR(ENOTDIR, rmdir("f"));
	ERR(ENOTEMPTY, rmdir("d"));
	ERR(EINVAL, truncate("f", -1));
	ERR(EEXIST, link("f", "d"));
	ERR(ENOENT, unlink("none"));
	ERR(ENODATA, removexattr("f", "user.none"));
	CHANGED(0, f, "f");
	CHANGED(0, dir, ".");
}

/* ---- setting them */

static void set_both(void)
{
	struct timespec t[2] = { { 1000000000, 123456789 },
				 { 1100000000, 987654321 } };
	struct times before;
	struct stat st;
	int fd;

	make_file("f", 0644);
	before = times_of("f");
	tick();
	OK(utimensat(AT_FDCWD, "f", t, 0));
	st = stat_of("f");
	IS(ns_of(t[0]), ns_of(st.st_atim));
	IS(ns_of(t[1]), ns_of(st.st_mtim));
	TRUE(ns_of(st.st_ctim) > before.ctime);
	t[0].tv_sec++;
	t[1].tv_sec--;
	fd = open_ok("f", O_RDWR, 0);
	OK(futimens(fd, t));
	OK(fstat(fd, &st));
	IS(ns_of(t[0]), ns_of(st.st_atim));
	IS(ns_of(t[1]), ns_of(st.st_mtim));
	OK(close(fd));
	st = stat_of("f");
	IS(ns_of(t[0]), ns_of(st.st_atim));
	IS(ns_of(t[1]), ns_of(st.st_mtim));
}

/* What is written and then given a time has that time afterwards, as cp -p
 * and tar want it. */
static void set_after_write(void)
{
	struct timespec t[2] = { { 1000000000, 1 }, { 1100000000, 2 } };
	int fd = open_ok("f", O_CREAT | O_RDWR, 0644);
	struct stat st;

	IS(4, write(fd, "text", 4));
	OK(futimens(fd, t));
	tick();
	OK(close(fd));
	st = stat_of("f");
	IS(ns_of(t[0]), ns_of(st.st_atim));
	IS(ns_of(t[1]), ns_of(st.st_mtim));
}

static void set_range(void)
{
	static const int64_t seconds[] = {
		-2147483648, -1, 0, 2147483647, 2147483648, 4294967296,
		15032385535,
	};

	make_file("f", 0644);
	make_dir("d", 0755);
	for (size_t k = 0; k < sizeof(seconds) / sizeof(*seconds); k++) {
		struct timespec t[2] = { { seconds[k], 7 },
					 { seconds[k], 999999999 } };
		/* (ext4's first and last second have no nanoseconds) */
		bool edge = seconds[k] == -2147483648 ||
			    seconds[k] == 15032385535;
		struct stat st;

		OK(utimensat(AT_FDCWD, "f", t, 0));
		st = stat_of("f");
		IS(seconds[k], st.st_mtim.tv_sec);
		TRUE(edge || st.st_mtim.tv_nsec == 999999999);
		IS(seconds[k], st.st_atim.tv_sec);
		TRUE(edge || st.st_atim.tv_nsec == 7);
		OK(utimensat(AT_FDCWD, "d", t, 0));
		st = stat_of("d");
		IS(seconds[k], st.st_mtim.tv_sec);
		IS(seconds[k], st.st_atim.tv_sec);
	}
}

static void set_omit(void)
{
	struct timespec t[2] = { { 1000000000, 1 }, { 1100000000, 2 } };
	struct timespec omit[2] = { { 0, UTIME_OMIT }, { 0, UTIME_OMIT } };
	struct times before;

	make_file("f", 0644);
	OK(utimensat(AT_FDCWD, "f", t, 0));
	before = times_of("f");
	tick();
	OK(utimensat(AT_FDCWD, "f", omit, 0));
	CHANGED(0, before, "f");
	/* One alone. */
	omit[0] = (struct timespec){ 1200000000, 3 };
	OK(utimensat(AT_FDCWD, "f", omit, 0));
	IS(ns_of(omit[0]), times_of("f").atime);
	IS(ns_of(t[1]), times_of("f").mtime);
	TRUE(times_of("f").ctime > before.ctime);
	omit[0].tv_nsec = UTIME_OMIT;
	omit[1] = (struct timespec){ 1300000000, 4 };
	OK(utimensat(AT_FDCWD, "f", omit, 0));
	IS(1200000000, times_of("f").atime / 1000000000);
	IS(ns_of(omit[1]), times_of("f").mtime);
}

static void set_now(void)
{
	struct timespec now[2] = { { 0, UTIME_NOW }, { 0, UTIME_NOW } };
	struct timespec t[2] = { { 1000000000, 1 }, { 1100000000, 2 } };
	int64_t start;
	struct times f;

	make_file("f", 0644);
	start = times_of("f").mtime;
	OK(utimensat(AT_FDCWD, "f", t, 0));
	tick();
	OK(utimensat(AT_FDCWD, "f", now, 0));
	TRUE(times_of("f").mtime > start);
	TRUE(times_of("f").atime > start);
	OK(utimensat(AT_FDCWD, "f", t, 0));
	OK(utimensat(AT_FDCWD, "f", NULL, 0));
	f = times_of("f");
	TRUE(f.mtime > start);
	/* It is one time. */
	IS(f.mtime, f.atime);
	IS(f.mtime, f.ctime);
	tick();
	now[1].tv_nsec = UTIME_OMIT;
	OK(utimensat(AT_FDCWD, "f", now, 0));
	IS(f.mtime, times_of("f").mtime);
	TRUE(times_of("f").atime > f.mtime);
	IS(times_of("f").ctime, times_of("f").atime);
}

static void set_of_symlink(void)
{
	struct timespec t[2] = { { 1000000000, 1 }, { 1100000000, 2 } };
	struct stat st;

	make_file("f", 0644);
	OK(symlink("f", "l"));
	OK(utimensat(AT_FDCWD, "l", t, AT_SYMLINK_NOFOLLOW));
	st = stat_of("l");
	IS(ns_of(t[0]), ns_of(st.st_atim));
	IS(ns_of(t[1]), ns_of(st.st_mtim));
	TRUE(times_of("f").mtime != ns_of(t[1]));
}

static void set_errors(void)
{
	struct timespec bad[2] = { { 0, 1000000000 }, { 0, 0 } };
	struct timespec negative[2] = { { 0, 0 }, { 0, -5 } };

	make_file("f", 0644);
	ERR(EINVAL, utimensat(AT_FDCWD, "f", bad, 0));
	ERR(EINVAL, utimensat(AT_FDCWD, "f", negative, 0));
	ERR(EINVAL, utimensat(AT_FDCWD, "f", NULL, 0x8000));
	ERR(ENOENT, utimensat(AT_FDCWD, "none", NULL, 0));
	ERR(ENOTDIR, utimensat(AT_FDCWD, "f/x", NULL, 0));
}

static void set_permissions(void)
{
	struct timespec t[2] = { { 1, 1 }, { 2, 2 } };
	struct timespec now[2] = { { 0, UTIME_NOW }, { 0, UTIME_NOW } };
	struct timespec half[2] = { { 0, UTIME_NOW }, { 0, UTIME_OMIT } };
	struct timespec omit[2] = { { 0, UTIME_OMIT }, { 0, UTIME_OMIT } };

	make_file("f", 0644);
	make_file("w", 0666);
	AS(USER_A, GROUP_A) {
		ERR(EPERM, utimensat(AT_FDCWD, "f", t, 0));
		ERR(EACCES, utimensat(AT_FDCWD, "f", NULL, 0));
		ERR(EACCES, utimensat(AT_FDCWD, "f", now, 0));
		OK(utimensat(AT_FDCWD, "f", omit, 0));
		ERR(EPERM, utimensat(AT_FDCWD, "w", t, 0));
		ERR(EPERM, utimensat(AT_FDCWD, "w", half, 0));
		OK(utimensat(AT_FDCWD, "w", NULL, 0));
		OK(utimensat(AT_FDCWD, "w", now, 0));
	}
}

/* ---- reading: relatime, as mounts have it by default */

static void read_all(const char *path)
{
	char bytes[16];
	int fd = open_ok(path, O_RDONLY, 0);

	OK(read(fd, bytes, sizeof(bytes)));
	OK(close(fd));
}

static void atime_of_new(void)
{
	struct times f;

	make_text("f", "text");
	f = times_of("f");
	TRUE(f.atime > 0 && f.atime <= f.ctime);
	/* Also if it is written later, and then takes another's name. */
	tick();
	make_text("g", "text");
	f = times_of("g");
	tick();
	make_text("g", "more text");
	IS(f.atime, times_of("g").atime);
	OK(rename("g", "f"));
	IS(f.atime, times_of("f").atime);
}

/* Not read since long: it is. */
static void atime_of_read(void)
{
	struct timespec old[2] = { { 1000000000, 0 }, { 1000000000, 0 } };
	struct timespec later[2] = { { 0, UTIME_NOW }, { 0, UTIME_OMIT } };
	struct times f;
	int fd = open_ok("f", O_CREAT | O_RDWR, 0644);

	IS(4, write(fd, "text", 4));
	OK(fsync(fd));
	OK(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED));
	OK(close(fd));
	OK(utimensat(AT_FDCWD, "f", old, 0));
	f = times_of("f");
	tick();
	read_all("f");
	TRUE(times_of("f").atime > f.atime);
	IS(f.mtime, times_of("f").mtime);
	IS(f.ctime, times_of("f").ctime);
	/* Read since it changed, and not long ago: it stays. */
	OK(utimensat(AT_FDCWD, "f", later, 0));
	tick();
	OK(utimensat(AT_FDCWD, "f", later, 0));
	f = times_of("f");
	TRUE(f.atime >= f.mtime);
}

static void noatime(void)
{
	struct timespec old[2] = { { 1000000000, 0 }, { 1000000000, 0 } };
	char bytes[16];
	int fd;

	make_text("f", "text");
	OK(utimensat(AT_FDCWD, "f", old, 0));
	fd = open_ok("f", O_RDONLY | O_NOATIME, 0);
	OK(read(fd, bytes, sizeof(bytes)));
	OK(close(fd));
	IS(ns_of(old[0]), times_of("f").atime);
}

/* ---- birth */

static void birth(void)
{
	struct timespec old[2] = { { 1000000000, 0 }, { 1000000000, 0 } };
	struct statx st, later;

	make_text("f", "text");
	OK(statx(AT_FDCWD, "f", 0, STATX_ALL, &st));
	TRUE(st.stx_mask & STATX_BTIME);
	TRUE(st.stx_btime.tv_sec > 1600000000);
	tick();
	make_text("f", "other");
	OK(utimensat(AT_FDCWD, "f", old, 0));
	OK(statx(AT_FDCWD, "f", AT_STATX_FORCE_SYNC, STATX_ALL, &later));
	TRUE(later.stx_mask & STATX_BTIME);
	IS(st.stx_btime.tv_sec, later.stx_btime.tv_sec);
	IS(st.stx_btime.tv_nsec, later.stx_btime.tv_nsec);
	IS(1000000000, later.stx_mtime.tv_sec);
	make_dir("d", 0755);
	OK(statx(AT_FDCWD, "d", 0, STATX_BTIME, &st));
	TRUE(st.stx_mask & STATX_BTIME);
}

static void statx_facts(void)
{
	struct statx x;
	struct stat st;

	make_text("f", "text");
	st = stat_of("f");
	OK(statx(AT_FDCWD, "f", 0, STATX_BASIC_STATS, &x));
	IS(STATX_BASIC_STATS, x.stx_mask & STATX_BASIC_STATS);
	IS(st.st_ino, x.stx_ino);
	IS(st.st_size, x.stx_size);
	IS(st.st_mode, x.stx_mode);
	IS(st.st_nlink, x.stx_nlink);
	IS(st.st_blocks, x.stx_blocks);
	IS(ns_of(st.st_mtim), (int64_t)x.stx_mtime.tv_sec * 1000000000 +
				      x.stx_mtime.tv_nsec);
	ERR(EINVAL, statx(AT_FDCWD, "f", 0x40000000, STATX_SIZE, &x));
	ERR(ENOENT, statx(AT_FDCWD, "none", 0, STATX_SIZE, &x));
	ERR(ENOENT, statx(AT_FDCWD, "", 0, STATX_SIZE, &x));
}

/* What is known of it is asked for anew. */
static void ask_anew(const char *path)
{
	struct statx x;

	OK(statx(AT_FDCWD, path, AT_STATX_FORCE_SYNC, STATX_BASIC_STATS, &x));
}

/* Files that are known by their names change nothing of each other. */
static void of_backup(void)
{
	struct times f, backup;
	int fd;

	make_text("f", "old");
	sync();
	usleep(1200000);
	OK(rename("f", "f~"));
	backup = times_of("f~");
	tick();
	fd = open_ok("f", O_CREAT | O_WRONLY, 0644);
	IS(3, write(fd, "new", 3));
	f = times_of("f");
	tick();
	OK(close(fd));
	/* (what is done about a close may come later) */
	for (int k = 0; k < 10; k++)
		tick();
	ask_anew("f");
	CHANGED(0, f, "f");
	ask_anew("f~");
	CHANGED(0, backup, "f~");
	OK(unlink("f~"));
	ask_anew("f");
	CHANGED(0, f, "f");
	make_file("g", 0644);
	OK(rename("g", "g~"));
	fd = open_ok("g", O_CREAT | O_WRONLY, 0644);
	f = times_of("g");
	tick();
	OK(unlink("g~"));
	OK(close(fd));
	tick();
	ask_anew("g");
	CHANGED(0, f, "g");
}

const struct conform_case times_cases[] = {
	{ "of_create", of_create, 0 },
	{ "of_write", of_write, 0 },
	{ "of_truncate", of_truncate, 0 },
	{ "of_allocate", of_allocate, 0 },
	{ "of_allocate_room", of_allocate_room, 0 },
	{ "of_chown", of_chown, 0 },
	{ "of_mmap", of_mmap, 0 },
	{ "of_chmod", of_chmod, 0 },
	{ "of_link", of_link, 0 },
	{ "of_unlink_open", of_unlink_open, 0 },
	{ "of_rename", of_rename, 0 },
	{ "of_backup", of_backup, 0 },
	{ "of_rmdir", of_rmdir, 0 },
	{ "of_xattr", of_xattr, 0 },
	{ "of_failures", of_failures, 0 },
	{ "set_both", set_both, 0 },
	{ "set_after_write", set_after_write, 0 },
	{ "set_range", set_range, 0 },
	{ "set_omit", set_omit, 0 },
	{ "set_now", set_now, 0 },
	{ "set_of_symlink", set_of_symlink, 0 },
	{ "set_errors", set_errors, 0 },
	{ "set_permissions", set_permissions, NEEDS_ROOT },
	{ "atime_of_new", atime_of_new, 0 },
	{ "atime_of_read", atime_of_read, 0 },
	{ "noatime", noatime, 0 },
	{ "birth", birth, 0 },
	{ "statx_facts", statx_facts, 0 },
	{ NULL, NULL, 0 },
};
