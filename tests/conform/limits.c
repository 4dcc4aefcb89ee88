/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Limits: of a process, of names, of attributes, of links, of sizes; and
 * mounts on top of directories of ours.
 */
#include <dirent.h>
#include <linux/falloc.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <linux/limits.h>
#include <sys/xattr.h>

#include "tests/conform/conform.h"

/* Names of one file: more than a few hundred. */
#define LINKS 600
#define FILE_LIMIT 10000

static volatile sig_atomic_t signalled;

static void on_signal(int number)
{
	signalled = number;
}

static void set_limit(int resource, rlim_t value)
{
	struct rlimit limit;

	OK(getrlimit(resource, &limit));
	limit.rlim_cur = value;
	OK(setrlimit(resource, &limit));
}

/* ---- RLIMIT_FSIZE */

static void file_size(void)
{
	char bytes[4096] = { 0 };
	int fd = open_ok("f", O_RDWR | O_CREAT, 0644), other;

	make_text("other", "text");
	signal(SIGXFSZ, on_signal);
	set_limit(RLIMIT_FSIZE, FILE_LIMIT);
	IS(4096, pwrite(fd, bytes, 4096, 0));
	IS(0, signalled);
	/* As far as the limit, and then no more. */
	IS(FILE_LIMIT - 8192, pwrite(fd, bytes, 4096, 8192));
	IS(FILE_LIMIT, stat_of("f").st_size);
	IS(0, signalled);
	ERR(EFBIG, pwrite(fd, bytes, 1, FILE_LIMIT));
	IS(SIGXFSZ, signalled);
	signalled = 0;
	ERR(EFBIG, ftruncate(fd, FILE_LIMIT + 1));
	IS(SIGXFSZ, signalled);
	signalled = 0;
	ERR(EFBIG, truncate("f", FILE_LIMIT + 1));
	IS(SIGXFSZ, signalled);
	signalled = 0;
	ERR(EFBIG, fallocate(fd, 0, 0, FILE_LIMIT + 1));
	IS(SIGXFSZ, signalled);
	OK(fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, FILE_LIMIT));
	OK(ftruncate(fd, FILE_LIMIT));
	OK(ftruncate(fd, 5));
	IS(5, stat_of("f").st_size);
	/* Copies count as writes do. */
	other = open_ok("other", O_RDONLY, 0);
	{
		loff_t from = 0, to = FILE_LIMIT;

		signalled = 0;
		ERR(EFBIG, copy_file_range(other, &from, fd, &to, 4, 0));
		IS(SIGXFSZ, signalled);
	}
	/* What is larger already may be read, and be made smaller. */
	set_limit(RLIMIT_FSIZE, 2);
	IS(4, read(other, bytes, 4));
	OK(truncate("other", 3));
	IS(3, stat_of("other").st_size);
}

static void file_size_kills(void)
{
	int status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		int fd = open_ok("f", O_RDWR | O_CREAT, 0644);

		signal(SIGXFSZ, SIG_DFL);
		set_limit(RLIMIT_CORE, 0);
		set_limit(RLIMIT_FSIZE, 10);
		(void)!pwrite(fd, "x", 1, 10);
		_exit(0);
	}
	IS(pid, waitpid(pid, &status, 0));
	TRUE(WIFSIGNALED(status));
	IS(SIGXFSZ, WTERMSIG(status));
	IS(0, stat_of("f").st_size);
}

/* A mapping needs no room for the file to grow. */
static void file_size_mapped(void)
{
	int fd = open_ok("f", O_RDWR | O_CREAT, 0644);
	char *map;

	OK(ftruncate(fd, 8192));
	set_limit(RLIMIT_FSIZE, 100);
	signal(SIGXFSZ, on_signal);
	map = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	TRUE(map != MAP_FAILED);
	map[8000] = 'x';
	OK(msync(map, 8192, MS_SYNC));
	IS(0, signalled);
	OK(munmap(map, 8192));
	IS(1, pread(fd, (char[1]){ 0 }, 1, 8000));
}

/* ---- descriptors */

static void open_files(void)
{
	int last = -1, count = 0;

	set_limit(RLIMIT_NOFILE, 40);
	make_file("f", 0644);
	for (;;) {
		int fd = open("f", O_RDONLY);

		if (fd < 0)
			break;
		last = fd;
		count++;
	}
	IS(EMFILE, errno);
	IS(39, last);
	/* Nothing is made by who gets no descriptor. */
	ERR(EMFILE, open("g", O_CREAT | O_WRONLY, 0644));
	ERR(ENOENT, access("g", F_OK));
	TRUE(!opendir(".") && errno == EMFILE);
	TRUE(count > 10);
	OK(close(last));
	OK(open("g", O_CREAT | O_WRONLY, 0644));
}

/* ---- names and attributes */

static void many_links(void)
{
	char name[16];

	make_file("f", 0644);
	make_dir("d", 0755);
	for (int k = 1; k < LINKS; k++) {
		snprintf(name, sizeof(name), k % 2 ? "f%d" : "d/f%d", k);
		conform_at("%s", name);
		OK(link("f", name));
	}
	IS(LINKS, stat_of("f").st_nlink);
	make_text("f7", "text of all");
	IS(11, stat_of("d/f598").st_size);
	OK(chmod("f9", 0600));
	IS(0600, perm_of("d/f10"));
}

static void attribute_limits(void)
{
	static char large[XATTR_SIZE_MAX + 1];
	char name[XATTR_NAME_MAX + 2] = "user.";
	ssize_t n;

	make_file("f", 0644);
	memset(name + 5, 'n', XATTR_NAME_MAX - 5);
	name[XATTR_NAME_MAX] = '\0';
	OK(setxattr("f", name, "x", 1, 0));
	IS(1, getxattr("f", name, NULL, 0));
	IS(XATTR_NAME_MAX + 1, listxattr("f", NULL, 0));
	OK(removexattr("f", name));
	name[XATTR_NAME_MAX] = 'n';
	ERR(ERANGE, setxattr("f", name, "x", 1, 0));
	ERR(ERANGE, removexattr("f", name));
	ERR(E2BIG, setxattr("f", "user.a", large, sizeof(large), 0));
	/* One that fits, or is too much for the file system. */
	if (setxattr("f", "user.a", large, XATTR_SIZE_MAX, 0) < 0) {
		IS(ENOSPC, errno);
		ERR(ENODATA, getxattr("f", "user.a", NULL, 0));
	} else {
		IS(XATTR_SIZE_MAX, getxattr("f", "user.a", NULL, 0));
	}
	OK(setxattr("f", "user.b", large, 1000, 0));
	n = OK(getxattr("f", "user.b", large, sizeof(large)));
	IS(1000, n);
}

/* Attributes stay with the file through all that happens to it. */
static void attributes_stay(void)
{
	make_file("f", 0644);
	OK(setxattr("f", "user.a", "x", 1, 0));
	OK(link("f", "g"));
	IS(1, getxattr("g", "user.a", NULL, 0));
	OK(rename("f", "h"));
	OK(truncate("h", 100));
	make_text("h", "text");
	OK(chmod("h", 0600));
	IS(1, getxattr("h", "user.a", NULL, 0));
	OK(unlink("g"));
	IS(1, getxattr("h", "user.a", NULL, 0));
	make_file("new", 0644);
	IS(0, listxattr("new", NULL, 0));
	OK(unlink("h"));
	make_file("h", 0644);
	ERR(ENODATA, getxattr("h", "user.a", NULL, 0));
}

/* Who replaces a file has its own attributes. */
static void attributes_of_replacement(void)
{
	make_text("f", "old");
	OK(setxattr("f", "user.a", "of the old", 10, 0));
	OK(setxattr("f", "user.both", "of the old", 10, 0));
	make_text("t", "new");
	OK(setxattr("t", "user.both", "new", 3, 0));
	OK(rename("t", "f"));
	ERR(ENODATA, getxattr("f", "user.a", NULL, 0));
	IS(3, getxattr("f", "user.both", NULL, 0));
}

/* ---- mounts */

static void mounted_over(void)
{
	own_mounts();
	make_dir("d", 0755);
	make_dir("e", 0755);
	make_file("d/f", 0644);
	OK(mount("none", "d", "tmpfs", 0, NULL));
	ERR(ENOENT, access("d/f", F_OK));
	ERR(EBUSY, rmdir("d"));
	ERR(EBUSY, rename("d", "g"));
	ERR(EBUSY, rename("e", "d"));
	make_file("h", 0644);
	ERR(EXDEV, rename("h", "d/h"));
	ERR(EXDEV, link("h", "d/h"));
	OK(umount("d"));
	OK(access("d/f", F_OK));
	/* Bound to another place, it is another mount. */
	OK(mount("d", "e", NULL, MS_BIND, NULL));
	OK(access("e/f", F_OK));
	ERR(EXDEV, rename("d/f", "e/g"));
	ERR(EXDEV, link("d/f", "e/g"));
	make_text("e/n", "text");
	IS(4, stat_of("d/n").st_size);
	OK(umount("e"));
	/* A file over a file. */
	OK(mount("h", "d/f", NULL, MS_BIND, NULL));
	ERR(EBUSY, unlink("d/f"));
	ERR(EBUSY, rename("h", "d/f"));
	OK(umount("d/f"));
}

static void mount_flags(void)
{
	int fd;

	own_mounts();
	make_dir("d", 0755);
	make_text("d/f", "#!/bin/sh\nexit 0\n");
	OK(chmod("d/f", 0755));
	OK(mount("d", "d", NULL, MS_BIND, NULL));
	OK(mount("none", "d", NULL, MS_BIND | MS_REMOUNT | MS_NOEXEC |
		 MS_NOATIME, NULL));
	ERR(EACCES, execl("d/f", "f", NULL));
	fd = open_ok("d/f", O_RDONLY, 0);
	TRUE(mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0) ==
		     MAP_FAILED && errno == EPERM);
	OK(close(fd));
	OK(mount("none", "d", NULL, MS_BIND | MS_REMOUNT | MS_RDONLY, NULL));
	ERR(EROFS, open("d/f", O_WRONLY));
	ERR(EROFS, setxattr("d/f", "user.a", "x", 1, 0));
	ERR(EROFS, removexattr("d/f", "user.a"));
	ERR(EROFS, open("d", O_TMPFILE | O_RDWR, 0600));
	ERR(EROFS, mknod("d/n", S_IFREG | 0644, 0));
	OK(open("d/f", O_RDONLY));
	OK(umount2("d", MNT_DETACH));
}

/* Another file system on top that keeps whiteouts and attributes here. */
static void overlay(void)
{
	own_mounts();
	for (const char *const *d = (const char *const[]){
		     "lower", "upper", "work", "all", NULL }; *d; d++)
		make_dir(*d, 0755);
	make_text("lower/f", "lower");
	make_text("lower/g", "lower too");
	make_dir("lower/d", 0755);
	make_text("lower/d/x", "deep");
	if (mount("overlay", "all", "overlay", 0,
		  "lowerdir=lower,upperdir=upper,workdir=work,xino=off") < 0) {
		if (errno == ENODEV || errno == EPERM)
			conform_skip("there is no overlay file system");
		OK(-1);
	}
	make_text("all/f", "changed");
	IS(7, stat_of("upper/f").st_size);
	IS(5, stat_of("lower/f").st_size);
	OK(unlink("all/g"));
	ERR(ENOENT, access("all/g", F_OK));
	TRUE(S_ISCHR(stat_of("upper/g").st_mode));
	OK(unlink("all/d/x"));
	OK(rmdir("all/d"));
	OK(mkdir("all/d", 0755));
	ERR(ENOENT, access("all/d/x", F_OK));
	OK(rename("all/f", "all/h"));
	ERR(ENOENT, access("all/f", F_OK));
	IS(7, stat_of("all/h").st_size);
	OK(umount("all"));
}

/* ---- O_TMPFILE */

static void tmpfile_rights(void)
{
	struct stat st;
	char path[64];
	int fd;

	make_dir("d", 0755);
	AS(USER_A, GROUP_A)
		ERR(EACCES, open("d", O_TMPFILE | O_RDWR, 0600));
	umask(027);
	fd = open_ok("d", O_TMPFILE | O_RDWR, 0666);
	OK(fstat(fd, &st));
	IS(0640, st.st_mode & 07777);
	IS(0, st.st_nlink);
	ERR(EINVAL, open("d", O_TMPFILE | O_RDONLY, 0600));
	ERR(ENOENT, open("none", O_TMPFILE | O_RDWR, 0600));
	make_file("f", 0644);
	ERR(ENOTDIR, open("f", O_TMPFILE | O_RDWR, 0600));
	OK(fsetxattr(fd, "user.a", "x", 1, 0));
	OK(fchown(fd, USER_A, GROUP_A));
	IS(4, write(fd, "text", 4));
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	OK(linkat(AT_FDCWD, path, AT_FDCWD, "d/t", AT_SYMLINK_FOLLOW));
	IS(USER_A, stat_of("d/t").st_uid);
	IS(1, getxattr("d/t", "user.a", NULL, 0));
	IS(4, stat_of("d/t").st_size);
	/* Its name goes, and with it what it was. */
	OK(unlink("d/t"));
	OK(fstat(fd, &st));
	IS(0, st.st_nlink);
	/* None is left behind. */
	OK(rmdir("d"));
}

/* ---- set-id bits, and what ranges do to them */

static void set_id_ranges(void)
{
	loff_t from = 0, to = 0;
	int fd, in;

	make_text("in", "text");
	in = open_ok("in", O_RDONLY, 0);
	make_text("f", "some text");
	OK(chown("f", USER_A, GROUP_A));
	for (int k = 0; k < 5; k++) {
		conform_at("way %d", k);
		OK(chmod("f", 06777));
		AS(USER_B, GROUP_B) {
			fd = open_ok("f", O_RDWR, 0);
			switch (k) {
			case 0:
				OK(fallocate(fd, 0, 0, 100));
				break;
			case 1:
				OK(fallocate(fd, FALLOC_FL_PUNCH_HOLE |
					     FALLOC_FL_KEEP_SIZE, 0, 4));
				break;
			case 2:
				OK(fallocate(fd, FALLOC_FL_ZERO_RANGE, 0, 4));
				break;
			case 3:
				IS(4, copy_file_range(in, &from, fd, &to, 4,
						      0));
				break;
			case 4:
				IS(1, pwrite(fd, "x", 1, 0));
				break;
			}
		}
		IS(0777, perm_of("f"));
	}
	/* Without execution by the group the bit is no right: it stays for
	 * who is of the group. */
	OK(chmod("f", 06767));
	AS(USER_B, GROUP_A) {
		fd = open_ok("f", O_RDWR, 0);
		IS(1, pwrite(fd, "x", 1, 0));
	}
	IS(02767, perm_of("f"));
	AS(USER_B, GROUP_B) {
		fd = open_ok("f", O_RDWR, 0);
		IS(1, pwrite(fd, "x", 1, 0));
	}
	IS(0767, perm_of("f"));
}

const struct conform_case limits_cases[] = {
	{ "file_size", file_size, 0 },
	{ "file_size_kills", file_size_kills, 0 },
	{ "file_size_mapped", file_size_mapped, 0 },
	{ "open_files", open_files, 0 },
	{ "many_links", many_links, 0 },
	{ "attribute_limits", attribute_limits, 0 },
	{ "attributes_stay", attributes_stay, 0 },
	{ "attributes_of_replacement", attributes_of_replacement, 0 },
	{ "mounted_over", mounted_over, NEEDS_MOUNT },
	{ "mount_flags", mount_flags, NEEDS_MOUNT },
	{ "overlay", overlay, NEEDS_MOUNT },
	{ "tmpfile_rights", tmpfile_rights, NEEDS_ROOT },
	{ "set_id_ranges", set_id_ranges, NEEDS_ROOT },
	{ NULL, NULL, 0 },
};
