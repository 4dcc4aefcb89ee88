/* SPDX-License-Identifier: Apache-2.0 */
/* ACLs with names that this system does not know, through a real mount. */
#include <endian.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cmocka.h>

#include "fs/tree/acl.h"
#include "mount_support.h"

#define ENTRIES_MAX 16

struct wire {
	uint32_t version;
	struct {
		uint16_t tag, perm;
		uint32_t id;
	} entries[ENTRIES_MAX];
};

static void get(const char *path, struct wire *ret, size_t count)
{
	assert_int_equal(getxattr(path, ACL_ACCESS_NAME, ret, sizeof(*ret)),
			 4 + 8 * count);
	assert_int_equal(le32toh(ret->version), 2);
}

static void put(const char *path, const struct wire *w, size_t count)
{
	assert_int_equal(setxattr(path, ACL_ACCESS_NAME, w, 4 + 8 * count, 0),
			 0);
}

static void expect_entry(const struct acl *acl, size_t k, uint8_t tag,
			 uint8_t perm, const char *name)
{
	assert_int_equal(acl->entries[k].tag, tag);
	assert_int_equal(acl->entries[k].perm, perm);
	assert_true(slice_equal(acl->entries[k].name, SLICE_STR(name)));
}

static uint64_t ino_of(const char *path)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	return st.st_ino;
}

static void read_tree(struct mount *mount, uint64_t ino, struct buf *names,
		      struct acl *ret)
{
	buf_release(names);
	*names = BUF_INIT;
	assert_int_equal(tree_getacl(mount->tree, ino, ACL_TYPE_ACCESS, names,
				     ret), 0);
}

static void test_unknown_names(void **state)
{
	struct mount *mount = *state;
	const char *path = mount_path(mount, "f");
	cleanup(buf_release) struct buf names = BUF_INIT;
	struct acl acl = { .count = 6, .entries = {
		{ ACL_OWNER, 6, SLICE(NULL, 0) },
		{ ACL_USER, 5, SLICE_STR("nobody knows") },
		{ ACL_USER, 4, SLICE_STR("nor him") },
		{ ACL_OWNERS_GROUP, 0, SLICE(NULL, 0) },
		{ ACL_MASK, 7, SLICE(NULL, 0) },
		{ ACL_OTHERS, 0, SLICE(NULL, 0) },
	} };
	struct wire w;
	uint64_t ino;

	file_write(path, "x");
	ino = ino_of(path);
	assert_int_equal(tree_setacl(mount->tree, ino, ACL_TYPE_ACCESS, &acl,
				     0), 0);
	/* Both are the mount's owner, once, with the least of the two. */
	get(path, &w, 5);
	assert_int_equal(le16toh(w.entries[1].tag), ACL_USER);
	assert_int_equal(le16toh(w.entries[1].perm), 4);
	assert_int_equal(le32toh(w.entries[1].id), geteuid());
	/* A chmod rewrites no name, */
	assert_int_equal(chmod(path, 0610), 0);
	read_tree(mount, ino, &names, &acl);
	assert_int_equal(acl.count, 6);
	expect_entry(&acl, 1, ACL_USER, 5, "nobody knows");
	/* and who writes what he was shown means those names. */
	get(path, &w, 5);
	w.entries[1].perm = htole16(6);
	put(path, &w, 5);
	read_tree(mount, ino, &names, &acl);
	assert_int_equal(acl.count, 6);
	expect_entry(&acl, 1, ACL_USER, 6, "nobody knows");
	expect_entry(&acl, 2, ACL_USER, 6, "nor him");
	/* Without the entry they are gone. */
	memmove(&w.entries[1], &w.entries[2], 3 * sizeof(w.entries[0]));
	put(path, &w, 4);
	read_tree(mount, ino, &names, &acl);
	assert_int_equal(acl.count, 4);
}

static void test_known_names(void **state)
{
	struct mount *mount = *state;
	const char *path = mount_path(mount, "g");
	cleanup(buf_release) struct buf names = BUF_INIT;
	struct wire w = { .version = htole32(2), .entries = {
		{ htole16(ACL_OWNER), htole16(6), UINT32_MAX },
		{ htole16(ACL_USER), htole16(4), htole32(0) },
		{ htole16(ACL_USER), htole16(4), htole32(3987654321U) },
		{ htole16(ACL_OWNERS_GROUP), 0, UINT32_MAX },
		{ htole16(ACL_GROUP), htole16(4), htole32(0) },
		{ htole16(ACL_MASK), htole16(7), UINT32_MAX },
		{ htole16(ACL_OTHERS), 0, UINT32_MAX },
	} }, got;
	char group[PRINCIPAL_BYTES_MAX], user[PRINCIPAL_BYTES_MAX];
	struct acl acl;

	file_write(path, "x");
	put(path, &w, 7);
	read_tree(mount, ino_of(path), &names, &acl);
	expect_entry(&acl, 1, ACL_USER, 4, "#3987654321");
	expect_entry(&acl, 2, ACL_USER, 4, "root");
	assert_true(slice_equal(acl.entries[2].name, idmap_user(0, user)));
	assert_true(slice_equal(acl.entries[4].name, idmap_group(0, group)));
	get(path, &got, 7);
	assert_memory_equal(&got, &w, 4 + 8 * 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_unknown_names),
		cmocka_unit_test(test_known_names),
	};

	umask(022);
	if (!mount_possible())
		return 0;
	return cmocka_run_group_tests(tests, mount_setup, mount_teardown);
}
