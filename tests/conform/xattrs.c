/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Extended attributes: of users, trusted.*, security.*; who sees and sets
 * them, and each error. ACLs, which are some too: acls.c.
 */
#include <linux/capability.h>
#include <sys/xattr.h>

#include "tests/conform/conform.h"

static long set(const char *path, const char *name, const char *value)
{
	return setxattr(path, name, value, strlen(value), 0);
}

/* It has the value; NULL: it has none of that name. */
static void has(const char *path, const char *name, const char *value)
{
	char got[256];
	ssize_t n;

	if (!value) {
		ERR(ENODATA, lgetxattr(path, name, got, sizeof(got)));
		return;
	}
	n = OK(lgetxattr(path, name, got, sizeof(got)));
	IS(strlen(value), n);
	TRUE(!memcmp(got, value, (size_t)n));
}

/* Is it in the list? */
static void user_basics(void)
{
	int fd;

	make_file("f", 0644);
	has("f", "user.a", NULL);
	OK(set("f", "user.a", "one"));
	has("f", "user.a", "one");
	OK(set("f", "user.a", "other"));
	has("f", "user.a", "other");
	OK(set("f", "user.empty", ""));
	has("f", "user.empty", "");
	TRUE(is_listed("f", "user.a") && is_listed("f", "user.empty"));
	OK(removexattr("f", "user.a"));
	has("f", "user.a", NULL);
	TRUE(!is_listed("f", "user.a"));
	ERR(ENODATA, removexattr("f", "user.a"));
	fd = open_ok("f", O_RDONLY, 0);
	OK(fsetxattr(fd, "user.fd", "x", 1, 0));
	OK(unlink("f"));
	IS(1, fgetxattr(fd, "user.fd", (char[4]){ 0 }, 4));
	OK(close(fd));
	make_dir("d", 0755);
	OK(set("d", "user.a", "of a directory"));
	has("d", "user.a", "of a directory");
	OK(rename("d", "e"));
	has("e", "user.a", "of a directory");
}

static void user_flags(void)
{
	make_file("f", 0644);
	ERR(ENODATA, setxattr("f", "user.a", "x", 1, XATTR_REPLACE));
	OK(setxattr("f", "user.a", "x", 1, XATTR_CREATE));
	ERR(EEXIST, setxattr("f", "user.a", "y", 1, XATTR_CREATE));
	OK(setxattr("f", "user.a", "z", 1, XATTR_REPLACE));
	has("f", "user.a", "z");
	ERR(EINVAL, setxattr("f", "user.a", "x", 1, 4));
}

static void user_errors(void)
{
	static char large[65537];
	char name[300] = "user.";

	make_file("f", 0644);
	memset(name + 5, 'n', 250);
	OK(setxattr("f", name, "x", 1, 0));
	name[255] = 'n';
	ERR(ERANGE, setxattr("f", name, "x", 1, 0));
	ERR(ERANGE, getxattr("f", name, NULL, 0));
	ERR(ERANGE, setxattr("f", "", "x", 1, 0));
	ERR(EINVAL, set("f", "user.", "x"));
	ERR(EOPNOTSUPP, set("f", "nothing.a", "x"));
	ERR(EOPNOTSUPP, set("f", "name", "x"));
	ERR(EOPNOTSUPP, set("f", "system.a", "x"));
	ERR(EOPNOTSUPP, getxattr("f", "nothing.a", NULL, 0));
	ERR(EOPNOTSUPP, getxattr("f", "system.a", NULL, 0));
	ERR(E2BIG, setxattr("f", "user.a", large, sizeof(large), 0));
	ERR(ENOENT, set("none", "user.a", "x"));
	ERR(ENOENT, getxattr("none", "user.a", NULL, 0));
	ERR(ENOENT, listxattr("none", NULL, 0));
}

static void user_sizes(void)
{
	static char large[3000];
	char got[16];

	make_file("f", 0644);
	IS(0, listxattr("f", NULL, 0));
	OK(set("f", "user.a", "12345"));
	IS(5, getxattr("f", "user.a", NULL, 0));
	ERR(ERANGE, getxattr("f", "user.a", got, 4));
	IS(5, getxattr("f", "user.a", got, 5));
	IS(7, listxattr("f", NULL, 0));
	ERR(ERANGE, listxattr("f", got, 6));
	IS(7, listxattr("f", got, 7));
	memset(large, 'l', sizeof(large));
	OK(setxattr("f", "user.large", large, sizeof(large), 0));
	IS(sizeof(large), getxattr("f", "user.large", NULL, 0));
	OK(set("f", "user.large", "small"));
	has("f", "user.large", "small");
}

/* Neither symlinks nor special files have attributes of users. */
static void user_kinds(void)
{
	make_file("f", 0644);
	OK(set("f", "user.a", "x"));
	OK(symlink("f", "l"));
	ERR(EPERM, lsetxattr("l", "user.a", "x", 1, 0));
	ERR(ENODATA, lgetxattr("l", "user.a", NULL, 0));
	ERR(EPERM, lremovexattr("l", "user.a"));
	IS(1, getxattr("l", "user.a", NULL, 0));
	OK(mkfifo("p", 0666));
	ERR(EPERM, set("p", "user.a", "x"));
	ERR(ENODATA, getxattr("p", "user.a", NULL, 0));
	ERR(EPERM, removexattr("p", "user.a"));
}

static void user_rights(void)
{
	make_file("f", 0644);
	OK(set("f", "user.a", "x"));
	AS(USER_A, GROUP_A) {
		has("f", "user.a", "x");
		ERR(EACCES, set("f", "user.a", "y"));
		ERR(EACCES, removexattr("f", "user.a"));
	}
	OK(chmod("f", 0622));
	AS(USER_A, GROUP_A) {
		ERR(EACCES, getxattr("f", "user.a", NULL, 0));
		OK(set("f", "user.a", "y"));
		OK(listxattr("f", NULL, 0));
	}
	has("f", "user.a", "y");
	/* A sticky directory's are its owner's. */
	make_dir("d", 01777);
	AS(USER_A, GROUP_A)
		ERR(EPERM, set("d", "user.a", "x"));
	OK(set("d", "user.a", "x"));
}

static void trusted(void)
{
	make_file("f", 0666);
	OK(symlink("f", "l"));
	OK(mkfifo("p", 0666));
	OK(set("f", "trusted.a", "root's"));
	has("f", "trusted.a", "root's");
	TRUE(is_listed("f", "trusted.a"));
	OK(lsetxattr("l", "trusted.a", "link", 4, 0));
	has("l", "trusted.a", "link");
	OK(set("p", "trusted.a", "pipe"));
	ERR(EEXIST, setxattr("f", "trusted.a", "x", 1, XATTR_CREATE));
	ERR(ENODATA, setxattr("f", "trusted.b", "x", 1, XATTR_REPLACE));
	ERR(EINVAL, set("f", "trusted.", "x"));
	AS(USER_A, GROUP_A) {
		ERR(EPERM, set("f", "trusted.a", "x"));
		ERR(EPERM, set("f", "trusted.b", "x"));
		ERR(ENODATA, getxattr("f", "trusted.a", NULL, 0));
		ERR(EPERM, removexattr("f", "trusted.a"));
		TRUE(!is_listed("f", "trusted.a"));
	}
	OK(rename("f", "g"));
	has("g", "trusted.a", "root's");
	OK(removexattr("g", "trusted.a"));
	ERR(ENODATA, removexattr("g", "trusted.a"));
	has("g", "trusted.a", NULL);
}

static void security(void)
{
	make_file("f", 0666);
	has("f", "security.kinfs", NULL);
	OK(set("f", "security.kinfs", "x"));
	has("f", "security.kinfs", "x");
	TRUE(is_listed("f", "security.kinfs"));
	AS(USER_A, GROUP_A) {
		ERR(EPERM, set("f", "security.kinfs", "y"));
		has("f", "security.kinfs", "x");
	}
	OK(removexattr("f", "security.kinfs"));
	ERR(ENODATA, removexattr("f", "security.kinfs"));
}

/* A capability of a file goes with the first write into it. */
static void capability(void)
{
	const struct vfs_cap_data cap = {
		.magic_etc = VFS_CAP_REVISION_2 | VFS_CAP_FLAGS_EFFECTIVE,
		.data[0] = { .permitted = 1 << CAP_NET_RAW },
	};
	const char *name = "security.capability";
	int fd;

	make_file("f", 0777);
	OK(setxattr("f", name, &cap, sizeof(cap), 0));
	IS(sizeof(cap), getxattr("f", name, NULL, 0));
	fd = open_ok("f", O_WRONLY, 0);
	IS(1, write(fd, "x", 1));
	ERR(ENODATA, getxattr("f", name, NULL, 0));
	OK(setxattr("f", name, &cap, sizeof(cap), 0));
	OK(chown("f", USER_A, (gid_t)-1));
	ERR(ENODATA, getxattr("f", name, NULL, 0));
	OK(setxattr("f", name, &cap, sizeof(cap), 0));
	OK(ftruncate(fd, 0));
	ERR(ENODATA, getxattr("f", name, NULL, 0));
	OK(close(fd));
	ERR(EINVAL, set("f", name, "no such thing"));
	/* What takes its place has its own. */
	OK(setxattr("f", name, &cap, sizeof(cap), 0));
	make_file("g", 0777);
	OK(rename("g", "f"));
	ERR(ENODATA, getxattr("f", name, NULL, 0));
}

/* A file that is moved aside keeps its own, whatever takes its name. */
static void moved_aside(void)
{
	make_text("f", "old");
	OK(set("f", "user.a", "old"));
	OK(set("f", "trusted.a", "old"));
	sync();
	usleep(1200000);
	OK(rename("f", "f~"));
	make_text("f", "new");
	OK(set("f", "trusted.b", "new"));
	usleep(50000);
	has("f", "user.a", NULL);
	has("f", "trusted.a", NULL);
	has("f", "trusted.b", "new");
	has("f~", "user.a", "old");
	has("f~", "trusted.a", "old");
	has("f~", "trusted.b", NULL);
	OK(unlink("f~"));
	has("f", "trusted.b", "new");
	has("f", "user.a", NULL);
}

const struct conform_case xattrs_cases[] = {
	{ "user_basics", user_basics, 0 },
	{ "user_flags", user_flags, 0 },
	{ "user_errors", user_errors, 0 },
	{ "user_sizes", user_sizes, 0 },
	{ "user_kinds", user_kinds, 0 },
	{ "user_rights", user_rights, NEEDS_ROOT },
	{ "trusted", trusted, NEEDS_ROOT },
	{ "moved_aside", moved_aside, NEEDS_ROOT },
	{ "security", security, NEEDS_ROOT },
	{ "capability", capability, NEEDS_ROOT },
	{ NULL, NULL, 0 },
};
