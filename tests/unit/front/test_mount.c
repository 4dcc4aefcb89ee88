/* SPDX-License-Identifier: Apache-2.0 */
/* What programs do with a file system, through a real mount. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cmocka.h>

#include "mount_support.h"

#define MANY_FILES 10000
#define BIG_BYTES ((size_t)5 << 20)

static struct stat stat_of(const char *path)
{
	struct stat st;

	assert_int_equal(lstat(path, &st), 0);
	return st;
}

static void test_mountinfo(void **state)
{
	struct mount *mount = *state;
	/* The kernel writes a backslash as \134. */
	const char *want = " - fuse.kinfs kinfs@/a,b\\134c/control ";
	FILE *file = fopen("/proc/self/mountinfo", "r");
	char line[1024], *rest;
	bool found = false;

	assert_non_null(file);
	while (fgets(line, sizeof(line), file)) {
		if (!strstr(line, mount->mountpoint))
			continue;
		found = true;
		rest = strstr(line, " - ");
		assert_non_null(rest);
		assert_memory_equal(rest, want, strlen(want));
		assert_non_null(strstr(line, "nosuid"));
		assert_non_null(strstr(line, "nodev"));
		assert_non_null(strstr(rest, "default_permissions"));
		assert_null(strstr(rest, "allow_other"));
	}
	fclose(file);
	assert_true(found);
}

static void test_write_and_read(void **state)
{
	struct mount *mount = *state;
	const char *path = mount_path(mount, "hello");
	struct stat st;
	int fd;

	file_write(path, "hello, world\n");
	file_assert(path, "hello, world\n");
	st = stat_of(path);
	assert_int_equal(st.st_size, 13);
	assert_int_equal(st.st_mode, S_IFREG | 0644);
	assert_int_equal(st.st_nlink, 1);
	assert_int_equal(st.st_uid, geteuid());
	file_write(path, "short\n");	/* O_TRUNC */
	file_assert(path, "short\n");

	fd = open(path, O_WRONLY | O_APPEND);
	assert_int_equal(write(fd, "more\n", 5), 5);
	assert_int_equal(write(fd, "yet more\n", 9), 9);
	assert_int_equal(fsync(fd), 0);
	assert_int_equal(close(fd), 0);
	file_assert(path, "short\nmore\nyet more\n");
	assert_int_equal(open(path, O_CREAT | O_EXCL | O_RDWR, 0600), -1);
	assert_int_equal(errno, EEXIST);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(open(path, O_RDONLY), -1);
	assert_int_equal(errno, ENOENT);
}

static void fill(uint8_t *data, size_t len, uint32_t seed)
{
	size_t i;

	for (i = 0; i < len; i++) {
		seed = seed * 1664525u + 1013904223u;
		data[i] = (uint8_t)(seed >> 24);
	}
}

static void test_big_file(void **state)
{
	struct mount *mount = *state;
	const char *path = mount_path(mount, "big");
	uint8_t *want = malloc(BIG_BYTES), *got = malloc(BIG_BYTES);
	int fd, round;

	assert_true(want && got);
	fill(want, BIG_BYTES, 1);
	fd = open(path, O_RDWR | O_CREAT, 0600);
	assert_int_equal(write(fd, want, BIG_BYTES), BIG_BYTES);
	/* Rewrite across chunk borders, unaligned. */
	fill(want + 1000001, 333333, 2);
	assert_int_equal(pwrite(fd, want + 1000001, 333333, 1000001), 333333);
	for (round = 0; round < 2; round++) {
		memset(got, 0, BIG_BYTES);
		assert_int_equal(pread(fd, got, BIG_BYTES, 0), BIG_BYTES);
		assert_memory_equal(got, want, BIG_BYTES);
		posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	}
	assert_int_equal(close(fd), 0);
	mount_restart(mount);
	fd = open(path, O_RDONLY);
	memset(got, 0, BIG_BYTES);
	assert_int_equal(read(fd, got, BIG_BYTES), BIG_BYTES);
	assert_memory_equal(got, want, BIG_BYTES);
	assert_int_equal(close(fd), 0);
	assert_int_equal(unlink(path), 0);
	free(want);
	free(got);
}

static void test_truncate_and_holes(void **state)
{
	struct mount *mount = *state;
	const char *path = mount_path(mount, "holes");
	char data[64];
	off_t far = ((off_t)5 << 30) + 7;
	int fd;

	fd = open(path, O_RDWR | O_CREAT, 0600);
	assert_int_equal(pwrite(fd, "start", 5, 0), 5);
	assert_int_equal(pwrite(fd, "end", 3, far), 3);
	assert_int_equal(stat_of(path).st_size, far + 3);
	assert_int_equal(pread(fd, data, sizeof(data), far - 4), 7);
	assert_memory_equal(data, "\0\0\0\0end", 7);
	assert_int_equal(pread(fd, data, 8, 0), 8);
	assert_memory_equal(data, "start\0\0\0", 8);
	assert_int_equal(ftruncate(fd, 3), 0);
	assert_int_equal(stat_of(path).st_size, 3);
	assert_int_equal(ftruncate(fd, 10), 0);
	assert_int_equal(pread(fd, data, sizeof(data), 0), 10);
	assert_memory_equal(data, "sta\0\0\0\0\0\0\0", 10);
	assert_int_equal(close(fd), 0);
	assert_int_equal(truncate(path, 0), 0);
	assert_int_equal(stat_of(path).st_size, 0);
	assert_int_equal(unlink(path), 0);
}

static void test_mmap(void **state)
{
	struct mount *mount = *state;
	const char *path = mount_path(mount, "mapped");
	char data[16];
	char *map;
	int fd;

	fd = open(path, O_RDWR | O_CREAT | O_APPEND, 0600);
	assert_int_equal(ftruncate(fd, 3 * 4096), 0);
	map = mmap(NULL, 3 * 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_true(map != MAP_FAILED);
	memcpy(map + 4096, "by mapping", 10);
	assert_int_equal(msync(map, 3 * 4096, MS_SYNC), 0);
	assert_int_equal(munmap(map, 3 * 4096), 0);
	posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	assert_int_equal(pread(fd, data, 10, 4096), 10);
	assert_memory_equal(data, "by mapping", 10);
	assert_int_equal(stat_of(path).st_size, 3 * 4096);
	assert_int_equal(close(fd), 0);
	assert_int_equal(unlink(path), 0);
}

static void test_unlinked_but_open(void **state)
{
	struct mount *mount = *state;
	const char *path = mount_path(mount, "gone");
	const char *other = mount_path(mount, "other");
	struct stat st;
	char data[32];
	int fd;

	fd = open(path, O_RDWR | O_CREAT, 0600);
	assert_int_equal(write(fd, "still here", 10), 10);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(pread(fd, data, sizeof(data), 0), 10);
	assert_int_equal(pwrite(fd, "STILL", 5, 0), 5);
	posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	assert_int_equal(pread(fd, data, sizeof(data), 0), 10);
	assert_memory_equal(data, "STILL here", 10);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_nlink, 0);
	assert_int_equal(access(path, F_OK), -1);
	/* A new file of the name is another one. */
	file_write(path, "new");
	assert_int_equal(pread(fd, data, sizeof(data), 0), 10);
	assert_int_equal(close(fd), 0);
	/* Replaced by rename while open. */
	fd = open(path, O_RDONLY);
	file_write(other, "other");
	assert_int_equal(rename(other, path), 0);
	assert_int_equal(pread(fd, data, sizeof(data), 0), 3);
	assert_memory_equal(data, "new", 3);
	assert_int_equal(close(fd), 0);
	file_assert(path, "other");
	assert_int_equal(unlink(path), 0);
}

static void test_directories(void **state)
{
	struct mount *mount = *state;
	struct stat st;

	assert_int_equal(mkdir(mount_path(mount, "d"), 0750), 0);
	st = stat_of(mount_path(mount, "d"));
	assert_int_equal(st.st_mode, S_IFDIR | 0750);
	assert_int_equal(st.st_nlink, 2);
	assert_int_equal(mkdir(mount_path(mount, "d"), 0750), -1);
	assert_int_equal(errno, EEXIST);
	assert_int_equal(mkdir(mount_path(mount, "d/e"), 0755), 0);
	assert_int_equal(stat_of(mount_path(mount, "d")).st_nlink, 3);
	file_write(mount_path(mount, "d/e/f"), "f");
	assert_int_equal(rmdir(mount_path(mount, "d")), -1);
	assert_int_equal(errno, ENOTEMPTY);
	assert_int_equal(unlink(mount_path(mount, "d")), -1);
	assert_int_equal(errno, EISDIR);
	assert_int_equal(rmdir(mount_path(mount, "d/e/f")), -1);
	assert_int_equal(errno, ENOTDIR);
	assert_int_equal(rename(mount_path(mount, "d"),
				mount_path(mount, "d/e/g")), -1);
	assert_int_equal(errno, EINVAL);
	assert_int_equal(rename(mount_path(mount, "d/e"),
				mount_path(mount, "moved")), 0);
	file_assert(mount_path(mount, "moved/f"), "f");
	/* Over an empty directory, not over a full one. */
	assert_int_equal(rename(mount_path(mount, "d"),
				mount_path(mount, "moved")), -1);
	assert_int_equal(errno, ENOTEMPTY);
	assert_int_equal(rename(mount_path(mount, "moved"),
				mount_path(mount, "d")), 0);
	file_assert(mount_path(mount, "d/f"), "f");
	assert_int_equal(unlink(mount_path(mount, "d/f")), 0);
	assert_int_equal(rmdir(mount_path(mount, "d")), 0);
}

static void test_hard_links(void **state)
{
	struct mount *mount = *state;
	const char *a = mount_path(mount, "a"), *b = mount_path(mount, "b");
	struct stat st;
	int fd;

	file_write(a, "one");
	assert_int_equal(link(a, b), 0);
	st = stat_of(a);
	assert_int_equal(st.st_nlink, 2);
	assert_int_equal(stat_of(b).st_ino, st.st_ino);
	assert_int_equal(link(a, b), -1);
	assert_int_equal(errno, EEXIST);
	assert_int_equal(mkdir(mount_path(mount, "d"), 0755), 0);
	assert_int_equal(link(mount_path(mount, "d"),
			      mount_path(mount, "e")), -1);
	assert_int_equal(errno, EPERM);
	assert_int_equal(rmdir(mount_path(mount, "d")), 0);
	file_write(b, "two");
	file_assert(a, "two");
	/* POSIX: nothing happens. */
	assert_int_equal(rename(a, b), 0);
	assert_int_equal(stat_of(a).st_nlink, 2);
	/* By a descriptor, while there is a name, and when there is none. */
	fd = open(a, O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(unlink(a), 0);
	assert_int_equal(stat_of(b).st_nlink, 1);
	assert_int_equal(linkat(fd, "", AT_FDCWD, a, AT_EMPTY_PATH), 0);
	assert_int_equal(unlink(a), 0);
	assert_int_equal(unlink(b), 0);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_nlink, 0);
	assert_int_equal(linkat(fd, "", AT_FDCWD, a, AT_EMPTY_PATH), -1);
	assert_int_equal(errno, ENOENT);
	assert_int_equal(write(fd, "more", 4), 4);
	close(fd);
	assert_int_equal(access(a, F_OK), -1);
}

static void test_rename_flags(void **state)
{
	struct mount *mount = *state;
	const char *a = mount_path(mount, "a"), *b = mount_path(mount, "b");

	file_write(a, "a");
	file_write(b, "b");
	assert_int_equal(renameat2(AT_FDCWD, a, AT_FDCWD, b,
				   RENAME_NOREPLACE), -1);
	assert_int_equal(errno, EEXIST);
	assert_int_equal(renameat2(AT_FDCWD, a, AT_FDCWD, b, RENAME_EXCHANGE),
			 0);
	file_assert(a, "b");
	file_assert(b, "a");
	assert_int_equal(mkdir(mount_path(mount, "d"), 0755), 0);
	assert_int_equal(renameat2(AT_FDCWD, a, AT_FDCWD,
				   mount_path(mount, "d"), RENAME_EXCHANGE),
			 0);
	file_assert(mount_path(mount, "d"), "b");
	assert_int_equal(renameat2(AT_FDCWD, a, AT_FDCWD,
				   mount_path(mount, "d"), RENAME_EXCHANGE),
			 0);
	assert_int_equal(rmdir(mount_path(mount, "d")), 0);
	assert_int_equal(renameat2(AT_FDCWD, a, AT_FDCWD,
				   mount_path(mount, "none"),
				   RENAME_EXCHANGE), -1);
	assert_int_equal(errno, ENOENT);
	assert_int_equal(renameat2(AT_FDCWD, a, AT_FDCWD, b, RENAME_WHITEOUT),
			 0);
	file_assert(b, "b");
	assert_int_equal(stat_of(a).st_mode, S_IFCHR);
	assert_int_equal(unlink(a), 0);
	assert_int_equal(renameat2(AT_FDCWD, b, AT_FDCWD,
				   mount_path(mount, "c"), RENAME_NOREPLACE),
			 0);
	assert_int_equal(unlink(mount_path(mount, "c")), 0);
}

static void test_many_entries(void **state)
{
	struct mount *mount = *state;
	char *seen = calloc(MANY_FILES, 1);
	const struct dirent *entry;
	int i, fd, count, round, n;
	DIR *dir;

	assert_non_null(seen);
	assert_int_equal(mkdir(mount_path(mount, "many"), 0755), 0);
	for (i = 0; i < MANY_FILES; i++) {
		fd = open(mount_path(mount, "many/file-%d", i),
			  O_WRONLY | O_CREAT | O_EXCL, 0644);
		assert_true(fd >= 0);
		assert_int_equal(close(fd), 0);
	}
	for (round = 0; round < 3; round++) {	/* the last ones are cached */
		memset(seen, 0, MANY_FILES);
		count = 0;
		dir = opendir(mount_path(mount, "many"));
		assert_non_null(dir);
		while ((entry = readdir(dir))) {
			count++;
			if (entry->d_name[0] == '.')
				continue;
			n = atoi(entry->d_name + 5);
			assert_true(n >= 0 && n < MANY_FILES);
			assert_int_equal(seen[n]++, 0);
			assert_int_equal(entry->d_type, DT_REG);
		}
		assert_int_equal(closedir(dir), 0);
		assert_int_equal(count, MANY_FILES + 2);
	}
	/* Removing while listing, as rm -r does. */
	dir = opendir(mount_path(mount, "many"));
	while ((entry = readdir(dir)))
		if (entry->d_name[0] != '.')
			assert_int_equal(unlinkat(dirfd(dir), entry->d_name,
						  0), 0);
	assert_int_equal(closedir(dir), 0);
	assert_int_equal(rmdir(mount_path(mount, "many")), 0);
	free(seen);
}

static void test_seekdir(void **state)
{
	struct mount *mount = *state;
	char first[256];
	long place;
	DIR *dir;
	int i;

	assert_int_equal(mkdir(mount_path(mount, "seek"), 0755), 0);
	for (i = 0; i < 500; i++)
		file_write(mount_path(mount, "seek/%d", i), "");
	dir = opendir(mount_path(mount, "seek"));
	for (i = 0; i < 250; i++)
		assert_non_null(readdir(dir));
	place = telldir(dir);
	snprintf(first, sizeof(first), "%s", readdir(dir)->d_name);
	while (readdir(dir))
		;
	seekdir(dir, place);
	assert_string_equal(readdir(dir)->d_name, first);
	rewinddir(dir);
	assert_string_equal(readdir(dir)->d_name, ".");
	assert_string_equal(readdir(dir)->d_name, "..");
	closedir(dir);
	for (i = 0; i < 500; i++)
		assert_int_equal(unlink(mount_path(mount, "seek/%d", i)), 0);
	assert_int_equal(rmdir(mount_path(mount, "seek")), 0);
}

static void test_symlink(void **state)
{
	struct mount *mount = *state;
	const char *path = mount_path(mount, "link");
	char target[64];
	int round;

	assert_int_equal(symlink("some/where else", path), 0);
	for (round = 0; round < 2; round++) {
		assert_int_equal(readlink(path, target, sizeof(target)), 15);
		assert_memory_equal(target, "some/where else", 15);
	}
	assert_true(S_ISLNK(stat_of(path).st_mode));
	assert_int_equal(stat_of(path).st_size, 15);
	assert_int_equal(unlink(path), 0);
}

static void test_attributes(void **state)
{
	struct mount *mount = *state;
	const char *path = mount_path(mount, "attr");
	struct timespec times[2] = { { 5, 6 }, { 1234567890, 123456789 } };
	struct stat st;

	file_write(path, "x");
	assert_int_equal(chmod(path, 0604), 0);
	assert_int_equal(stat_of(path).st_mode, S_IFREG | 0604);
	assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
	st = stat_of(path);
	assert_int_equal(st.st_mtim.tv_sec, 1234567890);
	assert_int_equal(st.st_mtim.tv_nsec, 123456789);
	times[1].tv_nsec = UTIME_OMIT;	/* atime alone: nothing to do */
	assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
	assert_int_equal(stat_of(path).st_mtim.tv_nsec, 123456789);
	times[1].tv_sec = -5;		/* before 1970 */
	times[1].tv_nsec = 7;
	assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
	st = stat_of(path);
	assert_int_equal(st.st_mtim.tv_sec, -5);
	assert_int_equal(st.st_mtim.tv_nsec, 7);
	assert_int_equal(utimensat(AT_FDCWD, path, NULL, 0), 0);
	assert_true(stat_of(path).st_mtim.tv_sec > 1234567890);
	if (geteuid() == 0) {
		assert_int_equal(chown(path, 1, 2), 0);
		st = stat_of(path);
		assert_int_equal(st.st_uid, 1);
		assert_int_equal(st.st_gid, 2);
		assert_int_equal(chown(path, 3999999999u, (gid_t)-1), 0);
		st = stat_of(path);
		assert_int_equal(st.st_uid, 3999999999u);
		assert_int_equal(st.st_gid, 2);
	}
	assert_int_equal(unlink(path), 0);
}

static void test_set_group_id(void **state)
{
	struct mount *mount = *state;
	struct stat st;

	if (geteuid() != 0)
		skip();
	assert_int_equal(mkdir(mount_path(mount, "sgid"), 0755), 0);
	assert_int_equal(chown(mount_path(mount, "sgid"), 0, 2), 0);
	assert_int_equal(chmod(mount_path(mount, "sgid"), 02775), 0);
	assert_int_equal(mkdir(mount_path(mount, "sgid/d"), 0755), 0);
	st = stat_of(mount_path(mount, "sgid/d"));
	assert_int_equal(st.st_gid, 2);
	assert_int_equal(st.st_mode, S_IFDIR | 02755);
	file_write(mount_path(mount, "sgid/f"), "");
	st = stat_of(mount_path(mount, "sgid/f"));
	assert_int_equal(st.st_gid, 2);
	assert_int_equal(st.st_mode, S_IFREG | 0644);
	assert_int_equal(unlink(mount_path(mount, "sgid/f")), 0);
	assert_int_equal(rmdir(mount_path(mount, "sgid/d")), 0);
	assert_int_equal(rmdir(mount_path(mount, "sgid")), 0);
}

static void test_statfs(void **state)
{
	struct mount *mount = *state;
	struct statvfs st, store;

	assert_int_equal(statvfs(mount->mountpoint, &st), 0);
	assert_int_equal(statvfs(mount->dir, &store), 0);
	assert_int_equal(st.f_namemax, 255);
	assert_int_equal(st.f_blocks * st.f_frsize,
			 store.f_blocks * store.f_frsize);
	assert_true(st.f_bavail > 0);
	assert_true(st.f_files >= st.f_ffree);
}

static void test_bad_names(void **state)
{
	struct mount *mount = *state;
	char name[301];
	struct stat st;

	memset(name, 'n', sizeof(name));
	name[255] = '\0';
	file_write(mount_path(mount, "%s", name), "longest");
	assert_int_equal(unlink(mount_path(mount, "%s", name)), 0);
	name[255] = 'n';
	name[256] = '\0';
	assert_int_equal(stat(mount_path(mount, "%s", name), &st), -1);
	assert_int_equal(errno, ENAMETOOLONG);
	assert_int_equal(mkdir(mount_path(mount, "%s", name), 0755), -1);
	assert_int_equal(errno, ENAMETOOLONG);
}

static void test_xattrs(void **state)
{
	struct mount *mount = *state;
	const char *path = mount_path(mount, "attributes");
	char data[64];

	file_write(path, "x");
	assert_int_equal(listxattr(path, data, sizeof(data)), 0);
	assert_int_equal(getxattr(path, "user.x", data, sizeof(data)), -1);
	assert_int_equal(errno, ENODATA);
	assert_int_equal(setxattr(path, "user.x", "y", 1, XATTR_REPLACE), -1);
	assert_int_equal(errno, ENODATA);
	assert_int_equal(setxattr(path, "user.x", "y\0z", 3, XATTR_CREATE),
			 0);
	assert_int_equal(setxattr(path, "user.x", "y", 1, XATTR_CREATE), -1);
	assert_int_equal(errno, EEXIST);
	assert_int_equal(setxattr(path, "user.empty", "", 0, 0), 0);
	assert_int_equal(getxattr(path, "user.x", NULL, 0), 3);
	assert_int_equal(getxattr(path, "user.x", data, 2), -1);
	assert_int_equal(errno, ERANGE);
	assert_int_equal(getxattr(path, "user.x", data, 3), 3);
	assert_memory_equal(data, "y\0z", 3);
	assert_int_equal(getxattr(path, "user.empty", data, 3), 0);
	assert_int_equal(listxattr(path, NULL, 0), 18);
	assert_int_equal(listxattr(path, data, 17), -1);
	assert_int_equal(errno, ERANGE);
	assert_int_equal(listxattr(path, data, sizeof(data)), 18);
	assert_memory_equal(data, "user.empty\0user.x", 18);
	assert_int_equal(removexattr(path, "user.x"), 0);
	assert_int_equal(removexattr(path, "user.x"), -1);
	assert_int_equal(errno, ENODATA);
	assert_int_equal(setxattr(path, "user.kin.unknown", "y", 1, 0), -1);
	assert_int_equal(errno, EINVAL);
	assert_int_equal(unlink(path), 0);
}

static void test_what_is_not_there(void **state)
{
	struct mount *mount = *state;
	const char *path = mount_path(mount, "plain");
	char data[8];
	int fd;

	file_write(path, "x");
	assert_int_equal(setxattr(path, "system.x", "y", 1, 0), -1);
	assert_int_equal(errno, ENOTSUP);
	assert_int_equal(getxattr(path, "system.posix_acl_access", data,
				  sizeof(data)), -1);
	assert_int_equal(errno, ENODATA);
	fd = open(path, O_RDWR);
	assert_int_equal(fallocate(fd, FALLOC_FL_COLLAPSE_RANGE, 0, 4096), -1);
	assert_int_equal(errno, ENOTSUP);
	assert_int_equal(posix_fallocate(fd, 0, 100), 0);
	assert_int_equal(stat_of(path).st_size, 100);
	assert_int_equal(lseek(fd, 0, SEEK_HOLE), 100);
	assert_int_equal(close(fd), 0);
	assert_int_equal(unlink(path), 0);
}

static void test_open_without_write(void **state)
{
	struct mount *mount = *state;
	const char *path = mount_path(mount, "ro");
	int fd;

	fd = open(path, O_RDONLY | O_CREAT, 0644);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "x", 1), -1);
	assert_int_equal(close(fd), 0);
	file_write(path, "content");
	fd = open(path, O_RDONLY | O_TRUNC);
	assert_true(fd >= 0);
	assert_int_equal(close(fd), 0);
	assert_int_equal(stat_of(path).st_size, 0);
	assert_int_equal(unlink(path), 0);
}

/* As far as a request may go, where we may say so. */
static void test_read_ahead(void **state)
{
	struct mount *mount = *state;
	char path[64], number[16] = "";
	struct stat st;
	int fd;

	assert_int_equal(stat(mount->mountpoint, &st), 0);
	snprintf(path, sizeof(path), "/sys/class/bdi/%u:%u/read_ahead_kb",
		 major(st.st_dev), minor(st.st_dev));
	fd = open(path, O_RDWR);
	if (fd < 0)
		skip();
	assert_true(read(fd, number, sizeof(number) - 1) > 0);
	assert_int_equal(atoi(number), 1024);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mountinfo),
		cmocka_unit_test(test_write_and_read),
		cmocka_unit_test(test_big_file),
		cmocka_unit_test(test_truncate_and_holes),
		cmocka_unit_test(test_mmap),
		cmocka_unit_test(test_unlinked_but_open),
		cmocka_unit_test(test_directories),
		cmocka_unit_test(test_hard_links),
		cmocka_unit_test(test_rename_flags),
		cmocka_unit_test(test_many_entries),
		cmocka_unit_test(test_seekdir),
		cmocka_unit_test(test_symlink),
		cmocka_unit_test(test_attributes),
		cmocka_unit_test(test_set_group_id),
		cmocka_unit_test(test_statfs),
		cmocka_unit_test(test_bad_names),
		cmocka_unit_test(test_xattrs),
		cmocka_unit_test(test_what_is_not_there),
		cmocka_unit_test(test_open_without_write),
		cmocka_unit_test(test_read_ahead),
	};

	umask(022);
	if (!mount_possible())
		return 0;
	return cmocka_run_group_tests(tests, mount_setup, mount_teardown);
}
