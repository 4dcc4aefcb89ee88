/* SPDX-License-Identifier: Apache-2.0 */
/*
 * FIFOs, sockets and device nodes: made, shown, renamed, and doing what they
 * are for.
 */
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <sys/un.h>

#include "tests/conform/conform.h"

static void fifo_works(void)
{
	char text[4];
	int in, out;

	OK(mkfifo("p", 0666));
	TRUE(S_ISFIFO(stat_of("p").st_mode));
	IS(0644, perm_of("p"));
	IS(0, stat_of("p").st_size);
	ERR(EEXIST, mkfifo("p", 0644));
	ERR(ENXIO, open("p", O_WRONLY | O_NONBLOCK));
	in = open_ok("p", O_RDONLY | O_NONBLOCK, 0);
	out = open_ok("p", O_WRONLY | O_NONBLOCK, 0);
	IS(4, write(out, "text", 4));
	IS(4, read(in, text, 4));
	TRUE(!memcmp(text, "text", 4));
	ERR(ESPIPE, lseek(in, 0, SEEK_SET));
	ERR(EINVAL, ftruncate(out, 0));
	OK(close(out));
	IS(0, read(in, text, 4));
	OK(close(in));
	ERR(EINVAL, truncate("p", 0));
	ERR(ENOTDIR, open("p", O_RDONLY | O_DIRECTORY | O_NONBLOCK));
	ERR(ENOTDIR, access("p/x", F_OK));
}

static void fifo_attributes(void)
{
	struct stat st;

	OK(mkfifo("p", 0600));
	st = stat_of("p");
	OK(chmod("p", 0640));
	IS(0640, perm_of("p"));
	OK(link("p", "q"));
	IS(2, stat_of("p").st_nlink);
	OK(rename("p", "r"));
	IS(st.st_ino, stat_of("r").st_ino);
	TRUE(S_ISFIFO(stat_of("r").st_mode));
	make_file("f", 0644);
	OK(rename("r", "f"));
	TRUE(S_ISFIFO(stat_of("f").st_mode));
	make_file("g", 0644);
	OK(rename("g", "f"));
	TRUE(S_ISREG(stat_of("f").st_mode));
	OK(unlink("q"));
	ERR(ENOENT, access("q", F_OK));
}

/* It goes on without a name. */
static void fifo_unlinked(void)
{
	struct stat st;
	char text[4];
	int fd;

	OK(mkfifo("p", 0640));
	fd = open_ok("p", O_RDWR | O_NONBLOCK, 0);
	OK(unlink("p"));
	OK(fstat(fd, &st));
	TRUE(S_ISFIFO(st.st_mode));
	IS(0, st.st_nlink);
	IS(4, write(fd, "text", 4));
	IS(4, read(fd, text, 4));
	OK(fchmod(fd, 0600));
	OK(fstat(fd, &st));
	IS(0600, st.st_mode & 07777);
	OK(close(fd));
	/* Nor does what takes its place matter. */
	OK(mkfifo("p", 0640));
	fd = open_ok("p", O_RDWR | O_NONBLOCK, 0);
	make_file("f", 0644);
	OK(rename("f", "p"));
	OK(fstat(fd, &st));
	IS(0, st.st_nlink);
	IS(4, write(fd, "text", 4));
	OK(close(fd));
}

/* mknod() of types that it knows, and does not. */
static void mknod_types(void)
{
	OK(mknod("f", S_IFREG | 0644, 0));
	TRUE(S_ISREG(stat_of("f").st_mode));
	OK(mknod("g", 0644, 0));
	TRUE(S_ISREG(stat_of("g").st_mode));
	OK(mknod("p", S_IFIFO | 0644, 0));
	TRUE(S_ISFIFO(stat_of("p").st_mode));
	OK(mknod("s", S_IFSOCK | 0644, 0));
	TRUE(S_ISSOCK(stat_of("s").st_mode));
	ERR(EPERM, mknod("d", S_IFDIR | 0755, 0));
	ERR(EINVAL, mknod("l", S_IFLNK | 0777, 0));
	ERR(EINVAL, mknod("x", S_IFMT | 0644, 0));
	ERR(EEXIST, mknod("p", S_IFIFO | 0644, 0));
	ERR(ENXIO, open("s", O_RDONLY));
}

static void socket_works(void)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX, .sun_path = "s" };
	int server = (int)OK(socket(AF_UNIX, SOCK_STREAM, 0)), client, peer;
	char text[4];

	OK(bind(server, (struct sockaddr *)&at, sizeof(at)));
	TRUE(S_ISSOCK(stat_of("s").st_mode));
	OK(listen(server, 1));
	client = (int)OK(socket(AF_UNIX, SOCK_STREAM, 0));
	ERR(EADDRINUSE, bind(client, (struct sockaddr *)&at, sizeof(at)));
	OK(connect(client, (struct sockaddr *)&at, sizeof(at)));
	peer = (int)OK(accept(server, NULL, NULL));
	IS(4, write(client, "text", 4));
	IS(4, read(peer, text, 4));
	ERR(ENXIO, open("s", O_RDWR));
	OK(rename("s", "t"));
	strcpy(at.sun_path, "t");
	client = (int)OK(socket(AF_UNIX, SOCK_STREAM, 0));
	OK(connect(client, (struct sockaddr *)&at, sizeof(at)));
	OK(unlink("t"));
}

static void devices_are_shown(void)
{
	OK(mknod("c", S_IFCHR | 0660, makedev(5, 7)));
	OK(mknod("b", S_IFBLK | 0600, makedev(259, 70000)));
	TRUE(S_ISCHR(stat_of("c").st_mode));
	IS(0640, perm_of("c"));
	IS(makedev(5, 7), stat_of("c").st_rdev);
	TRUE(S_ISBLK(stat_of("b").st_mode));
	IS(makedev(259, 70000), stat_of("b").st_rdev);
	IS(0, stat_of("b").st_size);
	OK(link("c", "c2"));
	IS(2, stat_of("c").st_nlink);
	OK(rename("c", "d"));
	IS(makedev(5, 7), stat_of("d").st_rdev);
	ERR(EEXIST, mknod("d", S_IFCHR | 0660, makedev(5, 7)));
	OK(chown("d", USER_A, GROUP_A));
	OK(unlink("d"));
	OK(unlink("b"));
}

static void devices_need_rights(void)
{
	AS(USER_A, GROUP_A) {
		ERR(EPERM, mknod("c", S_IFCHR | 0660, makedev(1, 3)));
		ERR(EPERM, mknod("b", S_IFBLK | 0660, makedev(7, 0)));
		OK(mknod("p", S_IFIFO | 0644, 0));
		OK(mknod("s", S_IFSOCK | 0644, 0));
	}
	IS(USER_A, stat_of("p").st_uid);
	IS(GROUP_A, stat_of("s").st_gid);
}

/* Where devices may be used, this is the null device. */
static void device_works(void)
{
	char byte;
	int fd;

	OK(mknod("null", S_IFCHR | 0666, makedev(1, 3)));
	fd = open("null", O_RDWR);
	if (fd < 0 && errno == EACCES)
		conform_skip("the mount is nodev");
	OK(fd);
	IS(1, write(fd, "x", 1));
	IS(0, read(fd, &byte, 1));
	IS(0, stat_of("null").st_size);
	OK(close(fd));
}

const struct conform_case special_cases[] = {
	{ "fifo_works", fifo_works, 0 },
	{ "fifo_attributes", fifo_attributes, 0 },
	{ "fifo_unlinked", fifo_unlinked, 0 },
	{ "mknod_types", mknod_types, 0 },
	{ "socket_works", socket_works, 0 },
	{ "devices_are_shown", devices_are_shown, NEEDS_ROOT },
	{ "devices_need_rights", devices_need_rights, NEEDS_ROOT },
	{ "device_works", device_works, NEEDS_ROOT },
	{ NULL, NULL, 0 },
};
