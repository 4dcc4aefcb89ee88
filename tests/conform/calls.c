/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls by their arguments: descriptors that are none, or of the wrong kind;
 * addresses that are none; flags that nobody knows; and what newer calls add
 * (openat2, faccessat2, statx, ioctls, leases, watches).
 */
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <linux/openat2.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/xattr.h>

#include "tests/conform/conform.h"

#define NO_FD 999

/* (a variable: compilers warn of what we do on purpose) */
static void *volatile bad_address = (void *)8;
#define BAD_ADDRESS bad_address

static int open_how(int dir, const char *path, uint64_t flags,
		    uint64_t resolve)
{
	struct open_how how = { .flags = flags, .resolve = resolve };

	if (flags & O_CREAT)
		how.mode = 0644;
	return (int)syscall(SYS_openat2, dir, path, &how, sizeof(how));
}

/* ---- addresses and descriptors */

static void bad_addresses(void)
{
	make_file("f", 0644);
	ERR(EFAULT, open(BAD_ADDRESS, O_RDONLY));
	ERR(EFAULT, mkdir(BAD_ADDRESS, 0755));
	ERR(EFAULT, rmdir(BAD_ADDRESS));
	ERR(EFAULT, unlink(BAD_ADDRESS));
	ERR(EFAULT, link("f", BAD_ADDRESS));
	ERR(EFAULT, link(BAD_ADDRESS, "g"));
	ERR(EFAULT, symlink(BAD_ADDRESS, "g"));
	ERR(EFAULT, symlink("f", BAD_ADDRESS));
	ERR(EFAULT, rename("f", BAD_ADDRESS));
	ERR(EFAULT, rename(BAD_ADDRESS, "g"));
	ERR(EFAULT, chmod(BAD_ADDRESS, 0644));
	ERR(EFAULT, chown(BAD_ADDRESS, 1, 1));
	ERR(EFAULT, truncate(BAD_ADDRESS, 0));
	ERR(EFAULT, mkfifo(BAD_ADDRESS, 0644));
	ERR(EFAULT, access(BAD_ADDRESS, F_OK));
	ERR(EFAULT, stat("f", BAD_ADDRESS));
	ERR(EFAULT, statfs("f", BAD_ADDRESS));
	ERR(EFAULT, readlink(BAD_ADDRESS, (char[1]){ 0 }, 1));
	ERR(EFAULT, syscall(SYS_utimensat, AT_FDCWD, "f", BAD_ADDRESS, 0));
	ERR(EFAULT, setxattr("f", "user.a", BAD_ADDRESS, 1, 0));
	ERR(EFAULT, setxattr("f", BAD_ADDRESS, "x", 1, 0));
	OK(setxattr("f", "user.a", "x", 1, 0));
	ERR(EFAULT, getxattr("f", "user.a", BAD_ADDRESS, 1));
	ERR(EFAULT, listxattr("f", BAD_ADDRESS, 64));
	OK(symlink("f", "l"));
	ERR(EFAULT, readlink("l", BAD_ADDRESS, 16));
}

static void bad_buffers(void)
{
	struct iovec bad = { BAD_ADDRESS, 4 }, good = { (char[4]){ 0 }, 4 };
	struct iovec both[2] = { good, bad };
	int fd;

	make_text("f", "some text");
	fd = open_ok("f", O_RDWR, 0);
	ERR(EFAULT, read(fd, BAD_ADDRESS, 4));
	ERR(EFAULT, write(fd, BAD_ADDRESS, 4));
	ERR(EFAULT, pread(fd, BAD_ADDRESS, 4, 0));
	ERR(EFAULT, pwrite(fd, BAD_ADDRESS, 4, 0));
	ERR(EFAULT, readv(fd, &bad, 1));
	ERR(EFAULT, writev(fd, &bad, 1));
	ERR(EFAULT, readv(fd, BAD_ADDRESS, 1));
	ERR(EINVAL, syscall(SYS_readv, fd, &good, -1));
	ERR(EINVAL, syscall(SYS_writev, fd, &good, IOV_MAX + 1));
	IS(0, readv(fd, &good, 0));
	ERR(EINVAL, pread(fd, good.iov_base, 4, -1));
	ERR(EINVAL, pwrite(fd, good.iov_base, 4, -1));
	ERR(EINVAL, preadv(fd, &good, 1, -1));
	ERR(EINVAL, lseek(fd, 0, 77));
	ERR(EINVAL, lseek(fd, -1, SEEK_SET));
	/* As far as the good ones reach. */
	IS(4, readv(fd, both, 2));
	IS(4, lseek(fd, 0, SEEK_CUR));
	IS(9, stat_of("f").st_size);
	ERR(EOPNOTSUPP, preadv2(fd, &good, 1, 0, 1 << 30));
	OK(close(fd));
}

static void bad_descriptors(void)
{
	int dir = open_ok(".", O_RDONLY, 0), path, file;
	struct stat st;

	make_file("f", 0644);
	file = open_ok("f", O_RDONLY, 0);
	path = open_ok("f", O_PATH, 0);
	ERR(EBADF, openat(NO_FD, "f", O_RDONLY));
	ERR(EBADF, mkdirat(NO_FD, "d", 0755));
	ERR(EBADF, unlinkat(NO_FD, "f", 0));
	ERR(EBADF, renameat(NO_FD, "f", dir, "g"));
	ERR(EBADF, renameat(dir, "f", NO_FD, "g"));
	ERR(EBADF, linkat(NO_FD, "f", dir, "g", 0));
	ERR(EBADF, symlinkat("f", NO_FD, "g"));
	ERR(EBADF, mkfifoat(NO_FD, "g", 0644));
	ERR(EBADF, fchmodat(NO_FD, "f", 0644, 0));
	ERR(EBADF, fchownat(NO_FD, "f", 1, 1, 0));
	ERR(EBADF, fstatat(NO_FD, "f", &st, 0));
	ERR(EBADF, faccessat(NO_FD, "f", F_OK, 0));
	ERR(EBADF, utimensat(NO_FD, "f", NULL, 0));
	ERR(ENOTDIR, openat(file, "f", O_RDONLY));
	ERR(ENOTDIR, mkdirat(file, "d", 0755));
	ERR(ENOTDIR, unlinkat(file, "f", 0));
	ERR(ENOTDIR, renameat(file, "f", dir, "g"));
	ERR(ENOTDIR, linkat(dir, "f", file, "g", 0));
	ERR(ENOTDIR, symlinkat("f", file, "g"));
	ERR(ENOTDIR, fstatat(file, "f", &st, 0));
	ERR(EBADF, ftruncate(path, 0));
	ERR(EBADF, fchmod(path, 0644));
	ERR(EBADF, fchown(path, 1, 1));
	ERR(EBADF, fsync(path));
	ERR(EBADF, fgetxattr(path, "user.a", NULL, 0));
	ERR(EBADF, read(path, &st, 1));
	OK(fstat(path, &st));
	ERR(EINVAL, ftruncate(file, 0));
	ERR(EINVAL, ftruncate(dir, 0));
	ERR(EISDIR, read(dir, &st, 1));
	ERR(EBADF, write(dir, &st, 1));
	ERR(EINVAL, lseek(dir, 0, 77));
	OK(fsync(dir));
	OK(fdatasync(dir));
	ERR(EBADF, fallocate(file, 0, 0, 1));
	ERR(EBADF, fallocate(dir, 0, 0, 1));
	ERR(EBADF, posix_fadvise(NO_FD, 0, 0, 0) ? (errno = EBADF, -1) : 0);
}

static void bad_flags(void)
{
	struct stat st;
	int fd;

	make_file("f", 0644);
	fd = open_ok("f", O_RDWR, 0);
	ERR(EINVAL, fstatat(AT_FDCWD, "f", &st, 1 << 30));
	ERR(EINVAL, unlinkat(AT_FDCWD, "f", 1 << 30));
	ERR(EINVAL, linkat(AT_FDCWD, "f", AT_FDCWD, "g", 1 << 30));
	ERR(EINVAL, fchownat(AT_FDCWD, "f", 0, 0, 1 << 30));
	ERR(EINVAL, utimensat(AT_FDCWD, "f", NULL, 1 << 30));
	ERR(EINVAL, faccessat(AT_FDCWD, "f", F_OK, 1 << 30));
	ERR(EINVAL, access("f", 8));
	ERR(EINVAL, setxattr("f", "user.a", "x", 1, 8));
	ERR(EINVAL, setxattr("f", "user.a", "x", 1,
			     XATTR_CREATE | XATTR_REPLACE) < 0 ?
	    (errno = errno == ENODATA ? EINVAL : errno, -1) : 0);
	ERR(EINVAL, renameat2(AT_FDCWD, "f", AT_FDCWD, "g", 8));
	ERR(EINVAL, renameat2(AT_FDCWD, "f", AT_FDCWD, "g",
			      RENAME_EXCHANGE | RENAME_NOREPLACE));
	ERR(EINVAL, syscall(SYS_statx, AT_FDCWD, "f", 0x6000, 0, &st));
	ERR(EINVAL, syscall(SYS_statx, AT_FDCWD, "f", 0, 1U << 31, &st));
	ERR(EINVAL, sync_file_range(fd, 0, 0, 1 << 30));
	ERR(EINVAL, sync_file_range(fd, -1, 0, 0));
	ERR(EINVAL, syscall(SYS_copy_file_range, fd, NULL, fd, NULL, 1, 1));
	ERR(EOPNOTSUPP, fallocate(fd, 1 << 30, 0, 1));
	ERR(EINVAL, fallocate(fd, 0, -1, 1));
	ERR(EINVAL, fallocate(fd, 0, 0, 0));
	ERR(EINVAL, fallocate(fd, 0, 0, -1));
	ERR(EFBIG, fallocate(fd, 0, INT64_MAX, INT64_MAX));
	ERR(EINVAL, fcntl(fd, 4321));
	ERR(ENOTTY, ioctl(fd, 0xdeadbeef));
	IS(EINVAL, posix_fallocate(fd, 0, 0));
	IS(EINVAL, posix_fadvise(fd, 0, 0, 77));
	ERR(EINVAL, open("f", O_TMPFILE | O_RDONLY, 0600));
	OK(close(fd));
}

/* ---- openat2, faccessat2, statx, fchmodat2 */

static void resolve_flags(void)
{
	int dir;

	make_dir("d", 0755);
	make_dir("d/e", 0755);
	make_file("f", 0644);
	make_file("d/f", 0644);
	OK(symlink("f", "d/l"));
	OK(symlink("../f", "d/up"));
	OK(symlink("/", "d/root"));
	dir = open_ok("d", O_PATH, 0);
	OK(open_how(dir, "l", O_RDONLY, 0));
	ERR(ELOOP, open_how(dir, "l", O_RDONLY, RESOLVE_NO_SYMLINKS));
	ERR(EXDEV, open_how(dir, "up", O_RDONLY, RESOLVE_BENEATH));
	ERR(EXDEV, open_how(dir, "root", O_RDONLY, RESOLVE_BENEATH));
	ERR(EXDEV, open_how(dir, "../f", O_RDONLY, RESOLVE_BENEATH));
	OK(open_how(dir, "e/../f", O_RDONLY, RESOLVE_BENEATH));
	OK(open_how(dir, "up", O_RDONLY, RESOLVE_IN_ROOT));
	OK(open_how(dir, "root/f", O_RDONLY, RESOLVE_IN_ROOT));
	OK(open_how(dir, "new", O_RDWR | O_CREAT | O_EXCL, RESOLVE_BENEATH));
	OK(open_how(dir, "e", O_RDONLY, RESOLVE_NO_XDEV));
	ERR(EINVAL, open_how(dir, "e", O_RDONLY, 1 << 20));
	ERR(EINVAL, open_how(dir, "e", O_RDONLY | (1ULL << 40), 0));
}

static void empty_paths(void)
{
	int fd, dir = open_ok(".", O_RDONLY, 0);
	struct stat st;

	make_text("f", "text");
	fd = open_ok("f", O_PATH, 0);
	OK(fstatat(fd, "", &st, AT_EMPTY_PATH));
	IS(4, st.st_size);
	ERR(ENOENT, fstatat(fd, "", &st, 0));
	OK(fstatat(dir, "", &st, AT_EMPTY_PATH));
	TRUE(S_ISDIR(st.st_mode));
	OK(fchownat(fd, "", (uid_t)-1, (gid_t)-1, AT_EMPTY_PATH));
	OK(linkat(fd, "", AT_FDCWD, "g", AT_EMPTY_PATH));
	IS(2, stat_of("g").st_nlink);
	OK(faccessat(fd, "", R_OK, AT_EMPTY_PATH));
	ERR(ENOENT, linkat(fd, "", AT_FDCWD, "h", 0));
	OK(symlink("f", "l"));
	fd = open_ok("l", O_PATH | O_NOFOLLOW, 0);
	IS(1, readlinkat(fd, "", (char[8]){ 0 }, 8));
	OK(fstatat(fd, "", &st, AT_EMPTY_PATH));
	TRUE(S_ISLNK(st.st_mode));
}

static void statx_fields(void)
{
	struct statx x;
	struct stat st;

	make_text("f", "text");
	OK(link("f", "g"));
	OK(statx(AT_FDCWD, "f", 0, STATX_ALL, &x));
	OK(stat("f", &st));
	TRUE((x.stx_mask & STATX_BASIC_STATS) == STATX_BASIC_STATS);
	TRUE(x.stx_mask & STATX_BTIME);
	IS(st.st_ino, x.stx_ino);
	IS(st.st_mode, x.stx_mode);
	IS(2, x.stx_nlink);
	IS(4, x.stx_size);
	IS(st.st_uid, x.stx_uid);
	IS(st.st_blocks, x.stx_blocks);
	IS(st.st_blksize, x.stx_blksize);
	IS(ns_of(st.st_mtim),
	   x.stx_mtime.tv_sec * 1000000000 + x.stx_mtime.tv_nsec);
	IS(ns_of(st.st_ctim),
	   x.stx_ctime.tv_sec * 1000000000 + x.stx_ctime.tv_nsec);
	TRUE(x.stx_btime.tv_sec && x.stx_btime.tv_sec <= st.st_mtim.tv_sec);
	/* Also when asked not to ask, or to ask anew. */
	OK(statx(AT_FDCWD, "f", AT_STATX_DONT_SYNC, STATX_ALL, &x));
	IS(4, x.stx_size);
	OK(statx(AT_FDCWD, "f", AT_STATX_FORCE_SYNC, STATX_ALL, &x));
	IS(4, x.stx_size);
	OK(statx(AT_FDCWD, "f", 0, STATX_SIZE, &x));
	TRUE(x.stx_mask & STATX_SIZE);
	OK(statx(AT_FDCWD, "f", 0, STATX_MNT_ID, &x));
	TRUE(x.stx_mask & STATX_MNT_ID);
}

/* ---- ioctls, leases, watches */

static void ioctls(void)
{
	int fd, value = 0;

	make_text("f", "some text");
	fd = open_ok("f", O_RDWR, 0);
	OK(ioctl(fd, FIONREAD, &value));
	IS(9, value);
	IS(4, lseek(fd, 4, SEEK_SET));
	OK(ioctl(fd, FIONREAD, &value));
	IS(5, value);
	OK(ioctl(fd, FIGETBSZ, &value));
	IS(stat_of("f").st_blksize, value);
	OK(ioctl(fd, FIOCLEX));
	OK(ioctl(fd, FIONCLEX));
	value = 1;
	OK(ioctl(fd, FIONBIO, &value));
	ERR(EFAULT, ioctl(fd, FIONREAD, BAD_ADDRESS));
	ERR(ENOTTY, ioctl(fd, 0x5401, &value));
}

static void leases(void)
{
	int fd;

	make_file("f", 0644);
	fd = open_ok("f", O_RDONLY, 0);
	IS(F_UNLCK, OK(fcntl(fd, F_GETLEASE)));
	OK(fcntl(fd, F_SETLEASE, F_RDLCK));
	IS(F_RDLCK, OK(fcntl(fd, F_GETLEASE)));
	OK(fcntl(fd, F_SETLEASE, F_UNLCK));
	IS(F_UNLCK, OK(fcntl(fd, F_GETLEASE)));
	ERR(EINVAL, fcntl(fd, F_SETLEASE, 77));
	OK(close(fd));
	fd = open_ok("f", O_RDWR, 0);
	ERR(EAGAIN, fcntl(fd, F_SETLEASE, F_RDLCK));
	OK(fcntl(fd, F_SETLEASE, F_WRLCK));
	OK(close(fd));
}

static volatile sig_atomic_t lease_broken;

static void on_lease(int number)
{
	(void)number;
	lease_broken = 1;
}

static void lease_breaks(void)
{
	int fd;

	make_file("f", 0644);
	signal(SIGIO, on_lease);
	fd = open_ok("f", O_RDONLY, 0);
	OK(fcntl(fd, F_SETLEASE, F_RDLCK));
	ERR(EAGAIN, open("f", O_WRONLY | O_NONBLOCK));
	TRUE(lease_broken);
	OK(fcntl(fd, F_SETLEASE, F_UNLCK));
	OK(open("f", O_WRONLY | O_NONBLOCK));
}

static uint32_t next_event(int fd, char *ret_name)
{
	union {
		struct inotify_event event;
		char bytes[4096];
	} u;
	static char rest[4096];
	static size_t at, have;
	size_t len;

	if (at == have) {
		have = (size_t)OK(read(fd, rest, sizeof(rest)));
		at = 0;
	}
	memcpy(&u, rest + at, sizeof(u.event));
	len = sizeof(u.event) + u.event.len;
	memcpy(&u, rest + at, len);
	at += len;
	strcpy(ret_name, u.event.len ? u.event.name : "");
	return u.event.mask;
}

/* What programs do here they hear of, in order, once. */
static void inotify_tells(void)
{
	const struct {
		uint32_t mask;
		const char *name;
	} expected[] = {
		{ IN_CREATE, "f" }, { IN_MODIFY, "f" },
		{ IN_CLOSE_WRITE, "f" }, { IN_ATTRIB, "f" },
		{ IN_MODIFY, "f" }, { IN_CREATE, "g" },
		{ IN_MOVED_FROM, "f" }, { IN_MOVED_TO, "h" },
		{ IN_CREATE | IN_ISDIR, "d" }, { IN_CREATE, "l" },
		{ IN_DELETE, "g" }, { IN_DELETE | IN_ISDIR, "d" },
	};
	const uint32_t all = IN_CREATE | IN_MODIFY | IN_CLOSE_WRITE |
			     IN_ATTRIB | IN_MOVE | IN_DELETE;
	int fd = (int)OK(inotify_init1(IN_NONBLOCK)), f;
	char name[NAME_MAX + 1];

	OK(inotify_add_watch(fd, ".", all));
	f = open_ok("f", O_CREAT | O_WRONLY, 0644);
	IS(1, write(f, "x", 1));
	OK(close(f));
	OK(chmod("f", 0600));
	OK(truncate("f", 7));
	OK(link("f", "g"));
	OK(rename("f", "h"));
	OK(mkdir("d", 0755));
	OK(symlink("h", "l"));
	OK(unlink("g"));
	OK(rmdir("d"));
	for (size_t k = 0; k < LEN(expected); k++) {
		uint32_t mask;

		/* (a link counts as a change of the file's attributes) */
		do {
			mask = next_event(fd, name);
		} while (mask == IN_ATTRIB && expected[k].mask != IN_ATTRIB);
		conform_at("event %zu, of '%s'", k, name);
		IS(expected[k].mask, mask);
		IS(0, strcmp(expected[k].name, name));
	}
}

static void inotify_of_itself(void)
{
	int fd = (int)OK(inotify_init1(IN_NONBLOCK));
	char name[NAME_MAX + 1];
	bool deleted = false, ignored = false;

	make_file("f", 0644);
	OK(inotify_add_watch(fd, "f", IN_DELETE_SELF | IN_MOVE_SELF));
	OK(rename("f", "g"));
	IS(IN_MOVE_SELF, next_event(fd, name));
	OK(unlink("g"));
	for (int k = 0; k < 2; k++) {
		uint32_t mask = next_event(fd, name);

		deleted |= mask == IN_DELETE_SELF;
		ignored |= mask == IN_IGNORED;
	}
	TRUE(deleted && ignored);
}

/* ---- the file system as a whole */

/* A file is always ready: to ask for it is an error. */
static void epoll_of_file(void)
{
	struct epoll_event event = { .events = EPOLLIN };
	int epoll = (int)OK(epoll_create1(EPOLL_CLOEXEC));

	make_file("f", 0644);
	ERR(EPERM, epoll_ctl(epoll, EPOLL_CTL_ADD, open_ok("f", O_RDONLY, 0),
			     &event));
}

static void statfs_alike(void)
{
	struct statfs a, b;
	struct statvfs v;
	int fd;

	make_file("f", 0644);
	fd = open_ok("f", O_RDONLY, 0);
	OK(statfs("f", &a));
	OK(fstatfs(fd, &b));
	IS(a.f_type, b.f_type);
	IS(a.f_bsize, b.f_bsize);
	IS(255, a.f_namelen);
	TRUE(a.f_blocks > 0 && a.f_bfree <= a.f_blocks);
	TRUE(a.f_bavail <= a.f_bfree);
	TRUE(a.f_files >= a.f_ffree);
	OK(statvfs("f", &v));
	IS(255, v.f_namemax);
	TRUE(v.f_frsize > 0);
	IS(255, pathconf("f", _PC_NAME_MAX));
	IS(4096, pathconf("f", _PC_PATH_MAX));
	TRUE(pathconf("f", _PC_LINK_MAX) >= 127);
	IS(1, pathconf("f", _PC_NO_TRUNC));
	IS(1, pathconf("f", _PC_CHOWN_RESTRICTED));
	ERR(ENOENT, statfs("none", &a));
	ERR(ENOTDIR, statfs("f/x", &a));
}

static void sync_calls(void)
{
	int fd, dir = open_ok(".", O_RDONLY, 0);

	fd = open_ok("f", O_CREAT | O_RDWR, 0644);
	IS(4, write(fd, "text", 4));
	OK(fsync(fd));
	OK(fdatasync(fd));
	OK(syncfs(fd));
	OK(syncfs(dir));
	OK(fsync(dir));
	sync();
	ERR(EBADF, fsync(NO_FD));
	ERR(EBADF, syncfs(NO_FD));
	OK(close(fd));
	fd = open_ok("f", O_RDONLY, 0);
	OK(fsync(fd));
	OK(close(fd));
	for (int k = 0; k < 2; k++) {
		fd = open_ok("f", O_RDWR | (k ? O_SYNC : O_DSYNC), 0);
		IS(4, write(fd, "more", 4));
		OK(close(fd));
	}
	OK(mkfifo("p", 0600));
	fd = open_ok("p", O_RDWR, 0);
	ERR(EINVAL, fsync(fd));
}

/* ---- the working directory, and directories that are gone */

static void cwd_removed(void)
{
	struct stat st;

	make_dir("d", 0755);
	OK(chdir("d"));
	OK(rmdir("../d"));
	ERR(ENOENT, open("f", O_CREAT | O_RDWR, 0644));
	ERR(ENOENT, mkdir("e", 0755));
	ERR(ENOENT, mkfifo("e", 0755));
	ERR(ENOENT, symlink("x", "e"));
	ERR(ENOENT, link("../x", "e"));
	ERR(ENOENT, open("f", O_RDONLY));
	ERR(EINVAL, rmdir("."));
	OK(stat(".", &st));
	IS(0, st.st_nlink);
	OK(open(".", O_RDONLY));
	OK(chmod(".", 0700));
	/* Up is where it was. */
	OK(stat("..", &st));
	OK(chdir(".."));
	ERR(ENOENT, access("d", F_OK));
}

static void cwd_moved(void)
{
	char *cwd;

	make_dir("a", 0755);
	make_dir("b", 0755);
	make_dir("a/c", 0755);
	OK(chdir("a/c"));
	OK(rename("../../a/c", "../../b/e"));
	make_file("f", 0644);
	cwd = getcwd(NULL, 0);
	TRUE(cwd && strlen(cwd) > 4);
	IS(0, strcmp(cwd + strlen(cwd) - 4, "/b/e"));
	OK(access("../e/f", F_OK));
	OK(rename("../../b", "../../g"));
	cwd = getcwd(NULL, 0);
	TRUE(cwd && strlen(cwd) > 4);
	IS(0, strcmp(cwd + strlen(cwd) - 4, "/g/e"));
	ERR(ENOTEMPTY, rmdir("../../g"));
	ERR(EINVAL, rename("../../g", "x"));
}

static void rename_corners(void)
{
	int fd;

	make_text("f", "text");
	OK(link("f", "g"));
	/* Two names of one file: nothing happens, also when it is open. */
	fd = open_ok("f", O_RDWR, 0);
	OK(rename("f", "g"));
	IS(2, stat_of("f").st_nlink);
	OK(rename("g", "g"));
	OK(close(fd));
	ERR(EEXIST, renameat2(AT_FDCWD, "f", AT_FDCWD, "g",
			      RENAME_NOREPLACE));
	make_dir("d", 0755);
	OK(rename("d", "d"));
	OK(rename("d/", "d/"));
	OK(rename("d", "d/"));
	OK(rename("d/", "e"));
	ERR(ENOTDIR, rename("f/", "h"));
	ERR(ENOTDIR, rename("f", "h/"));
	ERR(ENOTDIR, rename("e", "f"));
	OK(rename("e", "h/"));
	ERR(ENOENT, rename("", "x"));
	ERR(ENOENT, rename("f", ""));
	/* Over what is open, and over a directory that is. */
	make_dir("i", 0755);
	fd = open_ok("i", O_RDONLY | O_DIRECTORY, 0);
	OK(rename("h", "i"));
	ERR(ENOENT, openat(fd, "x", O_CREAT | O_RDWR, 0644));
	ERR(ENOENT, mkdirat(fd, "x", 0755));
	OK(close(fd));
}

const struct conform_case calls_cases[] = {
	{ "bad_addresses", bad_addresses, 0 },
	{ "bad_buffers", bad_buffers, 0 },
	{ "bad_descriptors", bad_descriptors, 0 },
	{ "bad_flags", bad_flags, 0 },
	{ "resolve_flags", resolve_flags, 0 },
	{ "empty_paths", empty_paths, NEEDS_ROOT },
	{ "statx_fields", statx_fields, 0 },
	{ "ioctls", ioctls, 0 },
	{ "leases", leases, 0 },
	{ "lease_breaks", lease_breaks, 0 },
	{ "inotify_tells", inotify_tells, 0 },
	{ "inotify_of_itself", inotify_of_itself, 0 },
	{ "epoll_of_file", epoll_of_file, 0 },
	{ "statfs_alike", statfs_alike, 0 },
	{ "sync_calls", sync_calls, 0 },
	{ "cwd_removed", cwd_removed, 0 },
	{ "cwd_moved", cwd_moved, 0 },
	{ "rename_corners", rename_corners, 0 },
	{ NULL, NULL, 0 },
};
