/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Capabilities: what root may do is several rights, each of which may be
 * missing, or be somebody else's.
 */
#include <linux/capability.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "tests/conform/conform.h"

#define ALL_CAPS UINT64_MAX
#define CAP(n) (UINT64_C(1) << (n))

static void set_caps(uint64_t caps)
{
	struct __user_cap_header_struct header = {
		.version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct now[2], data[2] = { 0 };

	OK(syscall(SYS_capget, &header, now));
	for (int k = 0; k < 2; k++)
		data[k].permitted = data[k].effective =
			(uint32_t)(caps >> 32 * k) & now[k].permitted;
	OK(syscall(SYS_capset, &header, data));
}

/* Root, but for these. In an AS(0, 0). */
static void without(uint64_t caps)
{
	set_caps(ALL_CAPS & ~caps);
}

/* Somebody else, with these. In an AS(0, 0). */
static void become_with(uid_t uid, gid_t gid, uint64_t caps)
{
	OK(prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0));
	OK(setresgid(gid, gid, gid));
	OK(setresuid(uid, uid, uid));
	set_caps(caps);
}

static void root_without_override(void)
{
	make_file("f", 0);
	OK(chown("f", USER_A, GROUP_A));
	make_dir("d", 0);
	OK(chown("d", USER_A, GROUP_A));
	AS(0, 0) {
		without(CAP(CAP_DAC_OVERRIDE) | CAP(CAP_DAC_READ_SEARCH));
		ERR(EACCES, open("f", O_RDONLY));
		ERR(EACCES, open("f", O_WRONLY));
		ERR(EACCES, truncate("f", 0));
		ERR(EACCES, open("d", O_RDONLY));
		ERR(EACCES, open("d/x", O_CREAT | O_WRONLY, 0600));
		ERR(EACCES, access("f", R_OK));
		OK(chmod("f", 0600));
	}
	AS(0, 0) {
		without(CAP(CAP_DAC_OVERRIDE));
		OK(open("f", O_RDONLY));
		OK(open("d", O_RDONLY));
		ERR(EACCES, open("f", O_WRONLY));
		ERR(EACCES, mkdir("d/x", 0700));
	}
}

static void root_without_fowner(void)
{
	const struct timespec t[2] = { { 1, 0 }, { 2, 0 } };

	make_file("f", 0666);
	OK(chown("f", USER_A, GROUP_A));
	make_dir("d", 01777);
	OK(chown("d", USER_B, GROUP_B));
	make_file("d/f", 0666);
	OK(chown("d/f", USER_A, GROUP_A));
	AS(0, 0) {
		without(CAP(CAP_FOWNER));
		ERR(EPERM, chmod("f", 0600));
		ERR(EPERM, utimensat(AT_FDCWD, "f", t, 0));
		OK(utimensat(AT_FDCWD, "f", NULL, 0));
		ERR(EPERM, unlink("d/f"));
		ERR(EPERM, rename("d/f", "d/g"));
		OK(chown("f", USER_A, GROUP_B));
		ERR(EPERM, open("f", O_RDONLY | O_NOATIME));
	}
}

static void root_without_chown(void)
{
	make_file("f", 0666);
	AS(0, 0) {
		without(CAP(CAP_CHOWN));
		ERR(EPERM, chown("f", USER_A, (gid_t)-1));
		ERR(EPERM, chown("f", (uid_t)-1, GROUP_A));
		OK(chown("f", 0, 0));
	}
	/* As the owner of it, and of a group that one is in. */
	AS_WITH(0, 0, 1, ((const gid_t[]){ GROUP_A })) {
		without(CAP(CAP_CHOWN));
		OK(chown("f", (uid_t)-1, GROUP_A));
	}
}

static void root_without_fsetid(void)
{
	int fd;

	make_file("f", 06777);
	OK(chown("f", USER_A, GROUP_A));
	OK(chmod("f", 06777));
	AS(0, 0) {
		without(CAP(CAP_FSETID));
		fd = open_ok("f", O_WRONLY, 0);
		IS(1, write(fd, "x", 1));
		IS(0777, perm_of("f"));
		OK(chmod("f", 04777));
		IS(04777, perm_of("f"));
		OK(truncate("f", 0));
		IS(0777, perm_of("f"));
		OK(chmod("f", 02777));
		IS(0777, perm_of("f"));
		OK(chmod("f", 06777));
		IS(04777, perm_of("f"));
		OK(close(open_ok("f", O_WRONLY | O_TRUNC, 0)));
		IS(0777, perm_of("f"));
	}
	OK(chmod("f", 06777));
	AS(0, 0) {
		become_with(USER_B, GROUP_B, CAP(CAP_FSETID));
		fd = open_ok("f", O_WRONLY | O_TRUNC, 0);
		IS(06777, perm_of("f"));
		IS(1, write(fd, "x", 1));
		IS(06777, perm_of("f"));
		OK(ftruncate(fd, 0));
		IS(06777, perm_of("f"));
	}
}

static void user_with_rights(void)
{
	make_file("f", 0600);
	make_dir("d", 0700);
	AS(0, 0) {
		become_with(USER_A, GROUP_A, CAP(CAP_DAC_OVERRIDE));
		OK(open("f", O_RDWR));
		OK(mkdir("d/x", 0700));
		IS(USER_A, stat_of("d/x").st_uid);
		ERR(EPERM, chmod("f", 0644));
		ERR(EPERM, chown("f", USER_A, GROUP_A));
	}
	AS(0, 0) {
		become_with(USER_A, GROUP_A, CAP(CAP_FOWNER));
		OK(chmod("f", 0640));
		ERR(EACCES, open("f", O_RDONLY));
	}
	AS(0, 0) {
		become_with(USER_A, GROUP_A, CAP(CAP_CHOWN));
		OK(chown("f", USER_B, GROUP_B));
	}
	AS(0, 0) {
		become_with(USER_A, GROUP_A, CAP(CAP_DAC_READ_SEARCH));
		OK(open("f", O_RDONLY));
		OK(open("d", O_RDONLY));
		ERR(EACCES, open("f", O_WRONLY));
	}
	AS(0, 0) {
		become_with(USER_A, GROUP_A, CAP(CAP_MKNOD));
		OK(mknod("c", S_IFCHR | 0600, makedev(1, 3)));
		IS(USER_A, stat_of("c").st_uid);
	}
	AS(0, 0) {
		without(CAP(CAP_MKNOD));
		ERR(EPERM, mknod("b", S_IFBLK | 0600, makedev(1, 3)));
		ERR(EPERM, mknod("b", S_IFCHR | 0600, makedev(1, 3)));
		OK(mknod("b", S_IFIFO | 0600, 0));
	}
}

/* The file system's own user is what counts. */
static void fsuid(void)
{
	make_file("f", 0600);
	OK(chmod(".", 0777));
	AS(0, 0) {
		setfsgid(GROUP_A);
		setfsuid(USER_A);
		ERR(EACCES, open("f", O_RDONLY));
		OK(close(open_ok("g", O_CREAT | O_WRONLY, 0600)));
		OK(mkdir("d", 0700));
		IS(USER_A, stat_of("g").st_uid);
		IS(GROUP_A, stat_of("g").st_gid);
		IS(USER_A, stat_of("d").st_uid);
		/* access() asks for the real user. */
		OK(access("f", R_OK));
		ERR(EACCES, faccessat(AT_FDCWD, "f", R_OK, AT_EACCESS));
	}
}

/* trusted.* is theirs who have CAP_SYS_ADMIN. */
static void trusted_attributes(void)
{
	make_file("f", 0666);
	OK(setxattr("f", "trusted.a", "x", 1, 0));
	OK(setxattr("f", "user.a", "x", 1, 0));
	TRUE(is_listed("f", "trusted.a"));
	AS(0, 0) {
		without(CAP(CAP_SYS_ADMIN));
		TRUE(!is_listed("f", "trusted.a"));
		TRUE(is_listed("f", "user.a"));
		IS(7, listxattr("f", NULL, 0));
		ERR(ENODATA, getxattr("f", "trusted.a", NULL, 0));
		ERR(EPERM, setxattr("f", "trusted.a", "y", 1, 0));
		ERR(EPERM, removexattr("f", "trusted.a"));
	}
	AS(0, 0) {
		become_with(USER_A, GROUP_A, CAP(CAP_SYS_ADMIN));
		TRUE(is_listed("f", "trusted.a"));
		IS(1, getxattr("f", "trusted.a", NULL, 0));
		OK(setxattr("f", "trusted.a", "yy", 2, 0));
	}
	IS(2, getxattr("f", "trusted.a", NULL, 0));
	AS(USER_A, GROUP_A)
		TRUE(!is_listed("f", "trusted.a"));
}

static void security_attributes(void)
{
	make_file("f", 0666);
	AS(0, 0) {
		without(CAP(CAP_SYS_ADMIN));
		ERR(EPERM, setxattr("f", "security.kinfs", "y", 1, 0));
	}
	AS(0, 0) {
		without(CAP(CAP_SETFCAP));
		ERR(EPERM, setxattr("f", "security.capability",
				    "\0\0\0\2\1\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
				    20, 0));
		OK(setxattr("f", "security.kinfs", "y", 1, 0));
	}
}

/* What root's uid may, without any capability: what any user may. */
static void root_without_any(void)
{
	make_file("f", 0640);
	make_file("g", 0666);
	OK(chown("g", USER_A, GROUP_A));
	AS(0, 0) {
		set_caps(0);
		OK(open("f", O_RDWR));
		OK(chmod("f", 0600));
		OK(truncate("f", 7));
		ERR(EPERM, chmod("g", 0600));
		ERR(EPERM, chown("g", 0, 0));
		OK(truncate("g", 7));
		ERR(EPERM, mknod("c", S_IFCHR | 0600, makedev(1, 3)));
		ERR(EPERM, chroot("."));
	}
}

/* An ACL set by who has not CAP_FSETID, and is not of the group. */
static void acl_clears_set_group_id(void)
{
	static const uint8_t acl[] = {
		2, 0, 0, 0, 1, 0, 7, 0, 255, 255, 255, 255,
		2, 0, 7, 0, 0xdd, 0xff, 0, 0, 4, 0, 5, 0, 255, 255, 255, 255,
		16, 0, 7, 0, 255, 255, 255, 255, 32, 0, 5, 0, 255, 255, 255,
		255 };

	make_file("f", 0755);
	OK(chown("f", 0, GROUP_A));
	OK(chmod("f", 02755));
	OK(setxattr("f", "system.posix_acl_access", acl, sizeof(acl), 0));
	IS(02775, perm_of("f"));
	OK(chmod("f", 02755));
	AS(0, 0) {
		without(CAP(CAP_FSETID));
		OK(setxattr("f", "system.posix_acl_access", acl, sizeof(acl),
			    0));
	}
	IS(0775, perm_of("f"));
}

const struct conform_case caps_cases[] = {
	{ "root_without_override", root_without_override, NEEDS_ROOT },
	{ "root_without_fowner", root_without_fowner, NEEDS_ROOT },
	{ "root_without_chown", root_without_chown, NEEDS_ROOT },
	{ "root_without_fsetid", root_without_fsetid, NEEDS_ROOT },
	{ "root_without_any", root_without_any, NEEDS_ROOT },
	{ "user_with_rights", user_with_rights, NEEDS_ROOT },
	{ "fsuid", fsuid, NEEDS_ROOT },
	{ "trusted_attributes", trusted_attributes, NEEDS_ROOT },
	{ "security_attributes", security_attributes, NEEDS_ROOT },
	{ "acl_clears_set_group_id", acl_clears_set_group_id, NEEDS_ROOT },
	{ NULL, NULL, 0 },
};
