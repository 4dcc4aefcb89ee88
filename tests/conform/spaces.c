/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who is set apart: users with numbers of their own (user namespaces), and
 * whose files may not be long, however they come to be so.
 */
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "tests/conform/conform.h"

/* ---- user namespaces */

static void write_text(const char *path, const char *text)
{
	int fd = open_ok(path, O_WRONLY, 0);

	IS(strlen(text), write(fd, text, strlen(text)));
	OK(close(fd));
}

/* Who is USER_A is root there, and nobody else is anybody. */
static void own_users(void)
{
	char map[32];

	OK(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0));
	if (unshare(CLONE_NEWUSER) < 0)
		conform_skip("there may be no namespace of users");
	write_text("/proc/self/setgroups", "deny");
	snprintf(map, sizeof(map), "0 %d 1", USER_A);
	write_text("/proc/self/uid_map", map);
	snprintf(map, sizeof(map), "0 %d 1", GROUP_A);
	write_text("/proc/self/gid_map", map);
}

static void make_owned(const char *path, mode_t perm)
{
	make_file(path, perm);
	OK(chown(path, USER_A, GROUP_A));
	OK(chmod(path, perm));
}

static void user_namespace(void)
{
	make_owned("f", 0644);
	make_file("of_root", 0644);
	make_dir("closed", 0555);
	make_file("closed/f", 0644);
	AS(USER_A, GROUP_A) {
		own_users();
		IS(0, stat_of("f").st_uid);
		IS(0, stat_of("f").st_gid);
		TRUE(stat_of("of_root").st_uid != 0);
		make_file("made", 0640);
		IS(0, stat_of("made").st_uid);
		ERR(EINVAL, chown("f", 5, 5));
		OK(chown("f", 0, 0));
		OK(chmod("f", 06755));
		IS(06755, perm_of("f"));
		/* Root of nothing but his own. */
		ERR(EACCES, open("of_root", O_WRONLY));
		ERR(EPERM, chmod("of_root", 0666));
		ERR(EPERM, chown("of_root", 0, 0));
		ERR(EACCES, unlink("closed/f"));
		ERR(EPERM, mknod("null", S_IFCHR | 0666, makedev(1, 3)));
		OK(mknod("white", S_IFCHR, 0));
	}
	IS(USER_A, stat_of("made").st_uid);
	IS(GROUP_A, stat_of("made").st_gid);
	IS(USER_A, stat_of("white").st_uid);
	IS(06755, perm_of("f"));
}

/* His rights in it do not keep set-id bits, not even his own. */
static void user_namespace_writes(void)
{
	make_owned("mine", 06755);
	make_file("other", 0777);
	OK(chmod("other", 06777));
	AS(USER_A, GROUP_A) {
		int fd;

		own_users();
		fd = open_ok("other", O_WRONLY, 0);
		IS(1, write(fd, "x", 1));
		OK(close(fd));
		fd = open_ok("mine", O_WRONLY, 0);
		IS(1, write(fd, "x", 1));
		OK(close(fd));
	}
	IS(0777, perm_of("other"));
	IS(0755, perm_of("mine"));
}

static void user_namespace_attributes(void)
{
	static const uint8_t caps[20] = { 1, 0, 0, 2, 1 };
	uint8_t got[64];

	make_owned("f", 0755);
	AS(USER_A, GROUP_A) {
		own_users();
		OK(setxattr("f", "user.a", "1", 1, 0));
		ERR(EPERM, setxattr("f", "trusted.a", "1", 1, 0));
		/* Of this namespace: to it they look as if of any. */
		OK(setxattr("f", "security.capability", caps, sizeof(caps),
			    0));
		IS(sizeof(caps), getxattr("f", "security.capability", got,
					  sizeof(got)));
		TRUE(!memcmp(got, caps, sizeof(caps)));
	}
	IS(1, getxattr("f", "user.a", got, sizeof(got)));
	/* ... and here they say of whose. */
	IS(sizeof(caps) + 4, getxattr("f", "security.capability", got,
				      sizeof(got)));
	IS(3, got[3]);
}

/* ---- a limit of sizes */

#define LIMIT 10000

static void limit_sizes(void)
{
	struct rlimit limit = { LIMIT, LIMIT };

	signal(SIGXFSZ, SIG_IGN);
	OK(setrlimit(RLIMIT_FSIZE, &limit));
}

static void size_limit_of_copies(void)
{
	static const char bytes[LIMIT];
	loff_t from = 0, to = LIMIT - 500;
	int in = open_ok("in", O_RDWR | O_CREAT, 0644);
	int out = open_ok("out", O_RDWR | O_CREAT, 0644);

	limit_sizes();
	IS(LIMIT, write(in, bytes, LIMIT));
	IS(500, copy_file_range(in, &from, out, &to, 5000, 0));
	IS(LIMIT, to);
	ERR(EFBIG, copy_file_range(in, &from, out, &to, 1, 0));
	IS(LIMIT - 10, lseek(out, LIMIT - 10, SEEK_SET));
	from = 0;
	IS(10, sendfile(out, in, &from, 100));
	ERR(EFBIG, sendfile(out, in, &from, 100));
	IS(LIMIT, stat_of("out").st_size);
}

static void size_limit_of_room(void)
{
	int fd = open_ok("f", O_RDWR | O_CREAT, 0644);

	limit_sizes();
	ERR(EFBIG, fallocate(fd, 0, 0, 2 * LIMIT));
	ERR(EFBIG, fallocate(fd, FALLOC_FL_ZERO_RANGE, 0, 2 * LIMIT));
	OK(fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 2 * LIMIT));
	OK(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
		     2 * LIMIT));
	ERR(EFBIG, truncate("f", LIMIT + 1));
	OK(truncate("f", LIMIT));
	IS(LIMIT, stat_of("f").st_size);
}

/* ---- advice about mappings that changes files */

static void map_advice(void)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	int fd = open_ok("f", O_RDWR | O_CREAT, 0644);
	char *map, got;

	OK(ftruncate(fd, (off_t)(4 * page)));
	map = mmap(NULL, 4 * page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	TRUE(map != MAP_FAILED);
	memset(map, 'x', 4 * page);
	/* Which punches a hole. */
	OK(madvise(map + page, page, MADV_REMOVE));
	IS('x', map[page - 1]);
	IS(0, map[page]);
	IS('x', map[2 * page]);
	IS(1, pread(fd, &got, 1, (off_t)page));
	IS(0, got);
	IS(4 * page, stat_of("f").st_size);
	map[0] = 'y';
	OK(madvise(map, 4 * page, MADV_DONTNEED));
	IS('y', map[0]);
	IS(1, pread(fd, &got, 1, 0));
	IS('y', got);
	OK(munmap(map, 4 * page));
	map = mmap(NULL, page, PROT_READ, MAP_SHARED,
		   open_ok("f", O_RDONLY, 0), 0);
	TRUE(map != MAP_FAILED);
	ERR(EACCES, madvise(map, page, MADV_REMOVE));
}

const struct conform_case spaces_cases[] = {
	{ "user_namespace", user_namespace, NEEDS_ROOT },
	{ "user_namespace_writes", user_namespace_writes, NEEDS_ROOT },
	{ "user_namespace_attributes", user_namespace_attributes, NEEDS_ROOT },
	{ "size_limit_of_copies", size_limit_of_copies, 0 },
	{ "size_limit_of_room", size_limit_of_room, 0 },
	{ "map_advice", map_advice, 0 },
	{ NULL, NULL, 0 },
};
