/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rename with its flags, hard links, and handles that name a file without a
 * name.
 */
#include <sys/mount.h>

#include "tests/conform/conform.h"

/* Room for any file system's handle. */
#define HANDLE_BYTES 128
/* Links of one file: as many as make any count of few bytes overflow. */
#define MANY_LINKS 300

static int rename_flags(const char *from, const char *to, unsigned int flags)
{
	return renameat2(AT_FDCWD, from, AT_FDCWD, to, flags);
}

/* ---- rename */

static void rename_basics(void)
{
	struct stat st;

	make_text("f", "text");
	st = stat_of("f");
	OK(rename("f", "g"));
	ERR(ENOENT, access("f", F_OK));
	IS(st.st_ino, stat_of("g").st_ino);
	make_text("h", "other text");
	OK(rename("g", "h"));
	IS(st.st_ino, stat_of("h").st_ino);
	IS(4, stat_of("h").st_size);
	IS(1, stat_of("h").st_nlink);
	OK(rename("h", "h"));
	OK(symlink("h", "l"));
	OK(rename("l", "m"));
	TRUE(S_ISLNK(stat_of("m").st_mode));
	OK(rename("h", "m"));
	TRUE(S_ISREG(stat_of("m").st_mode));
}

static void rename_replaced_open(void)
{
	char text[8];
	struct stat st;
	int fd;

	make_text("old", "old");
	make_text("new", "new!");
	fd = open_ok("old", O_RDWR, 0);
	OK(rename("new", "old"));
	OK(fstat(fd, &st));
	IS(0, st.st_nlink);
	IS(3, read(fd, text, sizeof(text)));
	TRUE(!memcmp(text, "old", 3));
	IS(4, stat_of("old").st_size);
	OK(close(fd));
}

static void rename_kinds(void)
{
	make_file("f", 0644);
	make_dir("d", 0755);
	make_dir("e", 0755);
	make_dir("full", 0755);
	make_file("full/f", 0644);
	ERR(EISDIR, rename("f", "d"));
	ERR(ENOTDIR, rename("d", "f"));
	ERR(ENOTEMPTY, rename("d", "full"));
	OK(rename("d", "e"));
	OK(rename("full", "e"));
	OK(access("e/f", F_OK));
	ERR(ENOTDIR, rename("e", "f"));
	OK(symlink("e", "l"));
	ERR(ENOTDIR, rename("e", "l"));
	OK(rename("f", "l"));
}

static void rename_into_itself(void)
{
	make_dir("d", 0755);
	make_dir("d/e", 0755);
	make_dir("d/e/f", 0755);
	ERR(EINVAL, rename("d", "d/x"));
	ERR(EINVAL, rename("d", "d/e/f/x"));
	ERR(ENOTEMPTY, rename("d/e", "d"));
	ERR(ENOTEMPTY, rename("d/e/f", "d"));
	ERR(EBUSY, rename(".", "x"));
	ERR(EBUSY, rename("d", "."));
	ERR(EBUSY, rename("d/..", "x"));
	ERR(EBUSY, rename("d", "d/.."));
	OK(rename("d/e/f", "f"));
	OK(rename("d", "f/d"));
	OK(access("f/d/e", F_OK));
}

static void rename_parent(void)
{
	struct stat st;

	make_dir("a", 0755);
	make_dir("b", 0755);
	make_dir("a/d", 0755);
	OK(rename("a/d", "b/d"));
	st = stat_of("b");
	IS(st.st_ino, stat_of("b/d/..").st_ino);
	OK(chdir("b/d"));
	OK(rename("../../b", "../../c"));
	IS(st.st_ino, stat_of("..").st_ino);
	OK(access("../../c/d", F_OK));
}

static void rename_noreplace(void)
{
	make_text("f", "f");
	make_text("g", "gg");
	make_dir("d", 0755);
	OK(symlink("nowhere", "l"));
	ERR(EEXIST, rename_flags("f", "g", RENAME_NOREPLACE));
	ERR(EEXIST, rename_flags("f", "d", RENAME_NOREPLACE));
	ERR(EEXIST, rename_flags("f", "l", RENAME_NOREPLACE));
	ERR(EEXIST, rename_flags("f", "f", RENAME_NOREPLACE));
	ERR(EEXIST, rename_flags("d", "f", RENAME_NOREPLACE));
	ERR(ENOENT, rename_flags("x", "y", RENAME_NOREPLACE));
	OK(rename_flags("f", "h", RENAME_NOREPLACE));
	OK(rename_flags("d", "e", RENAME_NOREPLACE));
	IS(2, stat_of("g").st_size);
	ERR(EINVAL, rename_flags("g", "i",
				 RENAME_NOREPLACE | RENAME_EXCHANGE));
	ERR(EINVAL, rename_flags("g", "i", 1U << 30));
}

static void rename_exchange(void)
{
	make_text("f", "f");
	make_text("g", "gg");
	make_dir("d", 0755);
	make_file("d/x", 0644);
	make_dir("e", 0755);
	OK(symlink("nowhere", "l"));
	ERR(ENOENT, rename_flags("f", "h", RENAME_EXCHANGE));
	ERR(ENOENT, rename_flags("h", "f", RENAME_EXCHANGE));
	OK(rename_flags("f", "g", RENAME_EXCHANGE));
	IS(2, stat_of("f").st_size);
	IS(1, stat_of("g").st_size);
	OK(rename_flags("f", "d", RENAME_EXCHANGE));
	OK(access("f/x", F_OK));
	IS(2, stat_of("d").st_size);
	OK(rename_flags("f", "e", RENAME_EXCHANGE));
	OK(access("e/x", F_OK));
	OK(rename_flags("e", "l", RENAME_EXCHANGE));
	TRUE(S_ISLNK(stat_of("e").st_mode));
	OK(access("l/x", F_OK));
	OK(rename_flags("g", "g", RENAME_EXCHANGE));
	make_dir("l/sub", 0755);
	ERR(EINVAL, rename_flags("l", "l/sub", RENAME_EXCHANGE));
	ERR(EINVAL, rename_flags("l/sub", "l", RENAME_EXCHANGE));
}

/* The counts of both parents are right, for who counts subdirectories. */
static void rename_exchange_across(void)
{
	make_dir("a", 0755);
	make_dir("b", 0755);
	make_dir("a/d", 0755);
	make_text("b/f", "text");
	OK(rename_flags("a/d", "b/f", RENAME_EXCHANGE));
	IS(4, stat_of("a/d").st_size);
	TRUE(S_ISDIR(stat_of("b/f").st_mode));
	IS(stat_of("b").st_ino, stat_of("b/f/..").st_ino);
	OK(rmdir("b/f"));
	OK(rmdir("b"));
}

/* ---- link */

static void link_basics(void)
{
	struct stat st;

	make_text("f", "text");
	make_dir("d", 0755);
	OK(link("f", "d/g"));
	st = stat_of("f");
	IS(2, st.st_nlink);
	IS(st.st_ino, stat_of("d/g").st_ino);
	make_text("d/g", "more text");
	IS(9, stat_of("f").st_size);
	OK(chmod("d/g", 0600));
	IS(0600, perm_of("f"));
	ERR(EEXIST, link("f", "d/g"));
	ERR(EEXIST, link("f", "f"));
	ERR(EEXIST, link("f", "d"));
	ERR(EPERM, link("d", "e"));
	ERR(ENOENT, link("x", "y"));
	OK(unlink("f"));
	IS(1, stat_of("d/g").st_nlink);
	OK(link("d/g", "f"));
	IS(2, stat_of("f").st_nlink);
}

static void link_symlink(void)
{
	make_file("f", 0644);
	OK(symlink("f", "l"));
	/* link() does not follow, linkat() does when told to. */
	OK(link("l", "m"));
	TRUE(S_ISLNK(stat_of("m").st_mode));
	IS(2, stat_of("l").st_nlink);
	IS(1, stat_of("f").st_nlink);
	OK(linkat(AT_FDCWD, "l", AT_FDCWD, "g", AT_SYMLINK_FOLLOW));
	IS(2, stat_of("f").st_nlink);
	ERR(EINVAL, linkat(AT_FDCWD, "f", AT_FDCWD, "h", 1 << 30));
}

static void link_many(void)
{
	char name[16];
	int fd;

	make_file("f", 0644);
	for (int k = 0; k < MANY_LINKS; k++) {
		snprintf(name, sizeof(name), "f%d", k);
		OK(link("f", name));
	}
	IS(MANY_LINKS + 1, stat_of("f").st_nlink);
	fd = open_ok("f", O_RDWR, 0);
	for (int k = 0; k < MANY_LINKS; k++) {
		snprintf(name, sizeof(name), "f%d", k);
		OK(unlink(name));
	}
	IS(1, stat_of("f").st_nlink);
	OK(close(fd));
}

/* Between two names of one file nothing happens. */
static void link_rename(void)
{
	make_file("f", 0644);
	OK(link("f", "g"));
	OK(rename("f", "g"));
	IS(2, stat_of("f").st_nlink);
	IS(2, stat_of("g").st_nlink);
	make_file("h", 0644);
	OK(rename("h", "g"));
	IS(1, stat_of("f").st_nlink);
	OK(link("f", "i"));
	OK(rename_flags("f", "i", RENAME_EXCHANGE));
	IS(2, stat_of("i").st_nlink);
}

static void link_open(void)
{
	char path[64];
	struct stat st;
	int fd;

	make_text("f", "text");
	fd = open_ok("f", O_RDWR, 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	OK(linkat(AT_FDCWD, path, AT_FDCWD, "g", AT_SYMLINK_FOLLOW));
	OK(unlink("f"));
	OK(fstat(fd, &st));
	IS(1, st.st_nlink);
	OK(unlink("g"));
	/* It had names, and lost them: none comes back. */
	ERR(ENOENT, linkat(AT_FDCWD, path, AT_FDCWD, "h",
			   AT_SYMLINK_FOLLOW));
	OK(close(fd));
}

/* ---- handles */

struct handle {
	struct file_handle h;
	unsigned char room[HANDLE_BYTES];
};

static struct handle handle_of(const char *path)
{
	struct handle handle = { .h.handle_bytes = HANDLE_BYTES };
	int mount_id;

	OK(name_to_handle_at(AT_FDCWD, path, &handle.h, &mount_id, 0));
	return handle;
}

static void handle_opens(void)
{
	struct handle f, d;
	int top = open_ok(".", O_RDONLY, 0), fd;
	struct stat st;

	make_text("f", "text");
	make_dir("d", 0755);
	f = handle_of("f");
	d = handle_of("d");
	OK(rename("f", "d/g"));
	fd = (int)OK(open_by_handle_at(top, &f.h, O_RDONLY));
	OK(fstat(fd, &st));
	IS(stat_of("d/g").st_ino, st.st_ino);
	OK(close(fd));
	fd = (int)OK(open_by_handle_at(top, &d.h, O_RDONLY | O_DIRECTORY));
	OK(faccessat(fd, "g", F_OK, 0));
	OK(close(fd));
	OK(unlink("d/g"));
	/* (FUSE is told by and by that it was closed) */
	for (int tries = 0; tries < 500; tries++) {
		fd = open_by_handle_at(top, &f.h, O_RDONLY);
		if (fd < 0)
			break;
		OK(close(fd));
		tick();
	}
	ERR(ESTALE, open_by_handle_at(top, &f.h, O_RDONLY));
}

/* At once, whatever is to be done about them yet. (They were never open.) */
static void handles_of_removed(void)
{
	int top = open_ok(".", O_RDONLY, 0);

	for (int k = 0; k < 300; k++) {
		struct handle f;

		OK(mknod("f", S_IFREG | 0644, 0));
		f = handle_of("f");
		OK(unlink("f"));
		ERR(ESTALE, open_by_handle_at(top, &f.h, O_RDONLY));
	}
}

static void handle_errors(void)
{
	int top = open_ok(".", O_RDONLY, 0), mount_id;
	struct handle f, small = { .h.handle_bytes = 0 };

	make_text("f", "text");
	OK(symlink("f", "l"));
	OK(mkfifo("p", 0600));
	f = handle_of("f");
	ERR(EOVERFLOW, name_to_handle_at(AT_FDCWD, "f", &small.h, &mount_id,
					 0));
	IS(f.h.handle_bytes, small.h.handle_bytes);
	ERR(ENOENT, name_to_handle_at(AT_FDCWD, "none", &f.h, &mount_id, 0));
	ERR(EINVAL, name_to_handle_at(AT_FDCWD, "f", &f.h, &mount_id,
				      1 << 30));
	ERR(EBADF, open_by_handle_at(999, &f.h, O_RDONLY));
	AS(USER_A, GROUP_A)
		ERR(EPERM, open_by_handle_at(top, &f.h, O_RDONLY));
	f.h.handle_bytes = 0;
	ERR(EINVAL, open_by_handle_at(top, &f.h, O_RDONLY));
	f = handle_of("f");
	memset(f.h.f_handle, 0xee, f.h.handle_bytes);
	ERR(ESTALE, open_by_handle_at(top, &f.h, O_RDONLY));
	/* What a handle names may be a link, or nothing to be read. */
	f = handle_of("l");
	ERR(ELOOP, open_by_handle_at(top, &f.h, O_RDONLY));
	OK(open_by_handle_at(top, &f.h, O_PATH));
	f = handle_of("p");
	OK(open_by_handle_at(top, &f.h, O_RDONLY | O_NONBLOCK));
	f = handle_of("f");
	ERR(ENOTDIR, open_by_handle_at(top, &f.h, O_RDONLY | O_DIRECTORY));
	/* It leads to the file, whatever its names are. */
	OK(link("f", "g"));
	OK(unlink("f"));
	OK(open_by_handle_at(top, &f.h, O_RDWR));
}

/* When the kernel has forgotten what it knew. */
static void handle_uncached(void)
{
	struct handle f, d;
	int top = open_ok(".", O_RDONLY, 0), fd, drop;
	struct stat st;

	make_dir("d", 0755);
	make_dir("d/e", 0755);
	make_text("d/e/f", "text");
	f = handle_of("d/e/f");
	d = handle_of("d/e");
	sync();
	drop = open("/proc/sys/vm/drop_caches", O_WRONLY);
	if (drop < 0 || write(drop, "2", 1) != 1)
		conform_skip("the kernel's caches may not be dropped");
	OK(close(drop));
	fd = (int)OK(open_by_handle_at(top, &f.h, O_RDONLY));
	OK(fstat(fd, &st));
	IS(4, st.st_size);
	OK(close(fd));
	fd = (int)OK(open_by_handle_at(top, &d.h, O_RDONLY));
	OK(fstatat(fd, "../e/f", &st, 0));
	OK(close(fd));
}

const struct conform_case links_cases[] = {
	{ "rename_basics", rename_basics, 0 },
	{ "rename_replaced_open", rename_replaced_open, 0 },
	{ "rename_kinds", rename_kinds, 0 },
	{ "rename_into_itself", rename_into_itself, 0 },
	{ "rename_parent", rename_parent, 0 },
	{ "rename_noreplace", rename_noreplace, 0 },
	{ "rename_exchange", rename_exchange, 0 },
	{ "rename_exchange_across", rename_exchange_across, 0 },
	{ "link_basics", link_basics, 0 },
	{ "link_symlink", link_symlink, 0 },
	{ "link_many", link_many, 0 },
	{ "link_rename", link_rename, 0 },
	{ "link_open", link_open, NEEDS_ROOT },
	{ "handle_opens", handle_opens, NEEDS_ROOT },
	{ "handles_of_removed", handles_of_removed, NEEDS_ROOT },
	{ "handle_errors", handle_errors, NEEDS_ROOT },
	{ "handle_uncached", handle_uncached, NEEDS_ROOT },
	{ NULL, NULL, 0 },
};
