/* SPDX-License-Identifier: Apache-2.0 */
/*
 * POSIX ACLs: set and read as the attributes that they are to the kernel,
 * checked at every access, inherited, and changed by chmod.
 */
#include <endian.h>
#include <sys/xattr.h>

#include "tests/conform/conform.h"

#define ACCESS "system.posix_acl_access"
#define DEFAULT "system.posix_acl_default"

/* Tags of entries, as Linux numbers them. */
enum { OWNER = 1, USER = 2, OWNERS_GROUP = 4, GROUP = 8, MASK = 16,
       OTHERS = 32 };

struct entry {
	uint16_t tag, perm;
	uint32_t id;
};

#define NO_ID UINT32_MAX
#define ENTRIES_MAX 16

struct acl {
	uint32_t version;
	struct entry entries[ENTRIES_MAX];
};

/* "u::rwx u:65501:r-x g::--- m::rwx o::---" in numbers: 1 7, 2 65501 5... */
static size_t acl_make(struct acl *acl, const struct entry *entries,
		       size_t count)
{
	acl->version = htole32(2);
	for (size_t k = 0; k < count; k++)
		acl->entries[k] = (struct entry){
			htole16(entries[k].tag), htole16(entries[k].perm),
			htole32(entries[k].id) };
	return sizeof(acl->version) + count * sizeof(*entries);
}

static long acl_set(const char *path, const char *name,
		    const struct entry *entries, size_t count)
{
	struct acl acl;
	size_t size = acl_make(&acl, entries, count);

	return setxattr(path, name, &acl, size, 0);
}

#define SET(path, name, entries) acl_set(path, name, entries, LEN(entries))

/* It is exactly this. */
static void acl_is(const char *path, const char *name,
		   const struct entry *entries, size_t count)
{
	struct acl want, got = { 0 };
	size_t size = acl_make(&want, entries, count);

	IS(size, OK(getxattr(path, name, &got, sizeof(got))));
	for (size_t k = 0; k < count; k++) {
		IS(want.entries[k].tag, got.entries[k].tag);
		IS(want.entries[k].perm, got.entries[k].perm);
		IS(want.entries[k].id, got.entries[k].id);
	}
}

#define ACL_IS(path, name, entries) acl_is(path, name, entries, LEN(entries))

static const struct entry for_user_a[] = {
	{ OWNER, 6, NO_ID }, { USER, 6, USER_A }, { OWNERS_GROUP, 0, NO_ID },
	{ MASK, 6, NO_ID }, { OTHERS, 0, NO_ID },
};

static void access_user(void)
{
	make_file("f", 0600);
	ERR(ENODATA, getxattr("f", ACCESS, NULL, 0));
	AS(USER_A, GROUP_A)
		ERR(EACCES, open("f", O_RDONLY));
	OK(SET("f", ACCESS, for_user_a));
	ACL_IS("f", ACCESS, for_user_a);
	IS(0660, perm_of("f"));
	AS(USER_A, GROUP_A) {
		OK(open("f", O_RDWR));
		ERR(EACCES, access("f", X_OK));
		OK(access("f", R_OK | W_OK));
	}
	AS(USER_B, GROUP_A)
		ERR(EACCES, open("f", O_RDONLY));
	OK(removexattr("f", ACCESS));
	ERR(ENODATA, getxattr("f", ACCESS, NULL, 0));
	AS(USER_A, GROUP_A)
		ERR(EACCES, open("f", O_RDONLY));
	/* Removing none is no error. */
	OK(removexattr("f", ACCESS));
}

static void access_groups(void)
{
	const gid_t further[] = { GROUP_B, GROUP_C };
	const struct entry acl[] = {
		{ OWNER, 6, NO_ID }, { OWNERS_GROUP, 0, NO_ID },
		{ GROUP, 4, GROUP_A }, { GROUP, 2, GROUP_B },
		{ MASK, 7, NO_ID }, { OTHERS, 7, NO_ID },
	};

	make_file("f", 0600);
	OK(SET("f", ACCESS, acl));
	AS(USER_A, GROUP_A) {
		OK(open("f", O_RDONLY));
		ERR(EACCES, open("f", O_WRONLY));
	}
	/* Each group by itself: no two together. */
	AS_WITH(USER_A, GROUP_A, 2, further) {
		OK(open("f", O_RDONLY));
		OK(open("f", O_WRONLY));
		ERR(EACCES, open("f", O_RDWR));
	}
	AS(USER_A, GROUP_C)
		OK(open("f", O_RDWR));
	AS(USER_A, 0)
		ERR(EACCES, open("f", O_RDONLY));
}

static void mask_limits(void)
{
	const struct entry masked[] = {
		{ OWNER, 6, NO_ID }, { USER, 6, USER_A },
		{ OWNERS_GROUP, 0, NO_ID }, { MASK, 4, NO_ID },
		{ OTHERS, 0, NO_ID },
	};

	make_file("f", 0600);
	OK(SET("f", ACCESS, for_user_a));
	/* chmod changes the mask, and leaves the rest. */
	OK(chmod("f", 0640));
	ACL_IS("f", ACCESS, masked);
	AS(USER_A, GROUP_A) {
		OK(open("f", O_RDONLY));
		ERR(EACCES, open("f", O_WRONLY));
	}
	OK(chmod("f", 0600));
	AS(USER_A, GROUP_A)
		ERR(EACCES, open("f", O_RDONLY));
	OK(chmod("f", 0660));
	ACL_IS("f", ACCESS, for_user_a);
	AS(USER_A, GROUP_A)
		OK(open("f", O_RDWR));
}

/* One that says what a mode can say is a mode. */
static void minimal(void)
{
	const struct entry acl[] = {
		{ OWNER, 7, NO_ID }, { OWNERS_GROUP, 5, NO_ID },
		{ OTHERS, 4, NO_ID },
	};

	make_file("f", 0600);
	OK(SET("f", ACCESS, for_user_a));
	OK(SET("f", ACCESS, acl));
	ERR(ENODATA, getxattr("f", ACCESS, NULL, 0));
	IS(0754, perm_of("f"));
}

static void listed(void)
{
	char names[256];

	make_dir("d", 0755);
	IS(0, listxattr("d", names, sizeof(names)));
	OK(SET("d", ACCESS, for_user_a));
	IS(strlen(ACCESS) + 1, listxattr("d", names, sizeof(names)));
	IS(0, strcmp(names, ACCESS));
	OK(SET("d", DEFAULT, for_user_a));
	IS(strlen(ACCESS) + strlen(DEFAULT) + 2,
	   listxattr("d", names, sizeof(names)));
	OK(removexattr("d", ACCESS));
	OK(removexattr("d", DEFAULT));
	IS(0, listxattr("d", names, sizeof(names)));
}

static void errors(void)
{
	const struct entry no_mask[] = {
		{ OWNER, 6, NO_ID }, { USER, 6, USER_A },
		{ OWNERS_GROUP, 0, NO_ID }, { OTHERS, 0, NO_ID },
	}, no_owner[] = {
		{ OWNERS_GROUP, 0, NO_ID }, { OTHERS, 0, NO_ID },
	}, bad_tag[] = {
		{ OWNER, 6, NO_ID }, { OWNERS_GROUP, 0, NO_ID },
		{ OTHERS, 0, NO_ID }, { 64, 0, NO_ID },
	};

	make_file("f", 0600);
	ERR(EINVAL, SET("f", ACCESS, no_mask));
	ERR(EINVAL, SET("f", ACCESS, no_owner));
	ERR(EINVAL, SET("f", ACCESS, bad_tag));
	ERR(EINVAL, setxattr("f", ACCESS, "\2\0\0\0x", 5, 0));
	ERR(EOPNOTSUPP, setxattr("f", ACCESS, "\3\0\0\0", 4, 0));
	ERR(ENODATA, getxattr("f", ACCESS, NULL, 0));
	/* Files have no default one; but to have none may be said. */
	ERR(EACCES, SET("f", DEFAULT, for_user_a));
	ERR(ENODATA, getxattr("f", DEFAULT, NULL, 0));
	OK(removexattr("f", DEFAULT));
	OK(symlink("f", "l"));
	ERR(EOPNOTSUPP, lgetxattr("l", ACCESS, NULL, 0));
	ERR(EOPNOTSUPP, lsetxattr("l", ACCESS, "\2\0\0\0", 4, 0));
	OK(SET("f", ACCESS, for_user_a));
	ERR(ERANGE, getxattr("f", ACCESS, (char[8]){ 0 }, 8));
}

static void rights(void)
{
	make_file("f", 0666);
	OK(chown("f", USER_A, GROUP_A));
	AS(USER_B, GROUP_A) {
		ERR(EPERM, SET("f", ACCESS, for_user_a));
		ERR(EPERM, removexattr("f", ACCESS));
	}
	AS(USER_A, GROUP_A)
		OK(SET("f", ACCESS, for_user_a));
	AS(USER_B, GROUP_B)
		IS(4 + 8 * LEN(for_user_a), getxattr("f", ACCESS, NULL, 0));
	/* Who is not of the group loses the set-group-ID bit. */
	OK(chmod("f", 02660));
	AS(USER_A, GROUP_B)
		OK(SET("f", ACCESS, for_user_a));
	IS(0660, perm_of("f"));
	OK(chmod("f", 02660));
	AS(USER_A, GROUP_A)
		OK(SET("f", ACCESS, for_user_a));
	IS(02660, perm_of("f"));
}

/* ---- default ACLs */

static const struct entry inherited[] = {
	{ OWNER, 7, NO_ID }, { USER, 7, USER_A }, { OWNERS_GROUP, 5, NO_ID },
	{ GROUP, 7, GROUP_B }, { MASK, 7, NO_ID }, { OTHERS, 1, NO_ID },
};

static void inherit_file(void)
{
	const struct entry want[] = {
		{ OWNER, 6, NO_ID }, { USER, 7, USER_A },
		{ OWNERS_GROUP, 5, NO_ID }, { GROUP, 7, GROUP_B },
		{ MASK, 6, NO_ID }, { OTHERS, 0, NO_ID },
	};
	char path[64];
	int fd;

	make_dir("d", 0755);
	OK(SET("d", DEFAULT, inherited));
	IS(0755, perm_of("d"));
	/* The umask does not count. */
	umask(077);
	OK(close(open_ok("d/f", O_CREAT | O_WRONLY, 0666)));
	ACL_IS("d/f", ACCESS, want);
	IS(0660, perm_of("d/f"));
	ERR(ENODATA, getxattr("d/f", DEFAULT, NULL, 0));
	OK(mkfifo("d/p", 0666));
	ACL_IS("d/p", ACCESS, want);
	OK(mknod("d/n", S_IFREG | 0666, 0));
	ACL_IS("d/n", ACCESS, want);
	OK(symlink("f", "d/l"));
	IS(0777, perm_of("d/l"));
	fd = open("d", O_TMPFILE | O_WRONLY, 0666);
	if (fd >= 0) {
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		OK(linkat(AT_FDCWD, path, AT_FDCWD, "d/t", AT_SYMLINK_FOLLOW));
		ACL_IS("d/t", ACCESS, want);
	}
	AS(USER_A, GROUP_A) {
		OK(open("d/f", O_RDWR));
		ERR(EACCES, access("d/f", X_OK));
	}
	/* A link and a file that comes from elsewhere keep what they have. */
	make_file("g", 0644);
	OK(rename("g", "d/g"));
	ERR(ENODATA, getxattr("d/g", ACCESS, NULL, 0));
	IS(0644, perm_of("d/g"));
}

static void inherit_directory(void)
{
	const struct entry want[] = {
		{ OWNER, 7, NO_ID }, { USER, 7, USER_A },
		{ OWNERS_GROUP, 5, NO_ID }, { GROUP, 7, GROUP_B },
		{ MASK, 5, NO_ID }, { OTHERS, 1, NO_ID },
	};

	make_dir("d", 0755);
	OK(SET("d", DEFAULT, inherited));
	umask(077);
	OK(mkdir("d/e", 0755));
	ACL_IS("d/e", DEFAULT, inherited);
	ACL_IS("d/e", ACCESS, want);
	IS(0751, perm_of("d/e"));
	OK(mkdir("d/e/f", 0755));
	ACL_IS("d/e/f", DEFAULT, inherited);
	OK(removexattr("d/e", DEFAULT));
	OK(mkdir("d/e/g", 0755));
	ERR(ENODATA, getxattr("d/e/g", DEFAULT, NULL, 0));
	IS(0700, perm_of("d/e/g"));
	AS(USER_A, GROUP_A)
		ERR(EACCES, mkdir("d/e/f/x", 0755));
	OK(chmod("d/e", 0771));
	AS(USER_A, GROUP_A)
		OK(mkdir("d/e/x", 0755));
}

/* A default ACL that says no more than a mode stands for the umask. */
static void inherit_minimal(void)
{
	const struct entry acl[] = {
		{ OWNER, 7, NO_ID }, { OWNERS_GROUP, 5, NO_ID },
		{ OTHERS, 4, NO_ID },
	};

	make_dir("d", 0755);
	OK(SET("d", DEFAULT, acl));
	umask(0777);
	OK(close(open_ok("d/f", O_CREAT | O_WRONLY, 0666)));
	IS(0644, perm_of("d/f"));
	ERR(ENODATA, getxattr("d/f", ACCESS, NULL, 0));
	OK(mkdir("d/e", 0777));
	IS(0754, perm_of("d/e"));
	ACL_IS("d/e", DEFAULT, acl);
	OK(removexattr("d", DEFAULT));
	OK(close(open_ok("d/g", O_CREAT | O_WRONLY, 0666)));
	IS(0, perm_of("d/g"));
}

/* Removing what is not there is no error, and no change. */
static void remove_none(void)
{
	struct timespec before;

	make_dir("d", 0750);
	make_file("f", 0640);
	before = stat_of("f").st_ctim;
	usleep(12000);
	OK(removexattr("f", ACCESS));
	IS(before.tv_nsec, stat_of("f").st_ctim.tv_nsec);
	IS(0640, perm_of("f"));
	OK(removexattr("f", DEFAULT));
	OK(removexattr("d", ACCESS));
	OK(removexattr("d", DEFAULT));
	IS(0750, perm_of("d"));
}

const struct conform_case acls_cases[] = {
	{ "access_user", access_user, NEEDS_ROOT },
	{ "access_groups", access_groups, NEEDS_ROOT },
	{ "mask_limits", mask_limits, NEEDS_ROOT },
	{ "minimal", minimal, 0 },
	{ "listed", listed, 0 },
	{ "errors", errors, 0 },
	{ "rights", rights, NEEDS_ROOT },
	{ "inherit_file", inherit_file, NEEDS_ROOT },
	{ "inherit_directory", inherit_directory, NEEDS_ROOT },
	{ "inherit_minimal", inherit_minimal, 0 },
	{ "remove_none", remove_none, 0 },
	{ NULL, NULL, 0 },
};
