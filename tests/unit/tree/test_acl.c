/* SPDX-License-Identifier: Apache-2.0 */
/* ACLs: their bytes, what is inherited, and what nodes make of each other's
 * changes. */
#include <errno.h>
#include <stdio.h>

#include "fs/tree/acl.h"
#include "fs/tree/info.h"
#include "nodes_support.h"

static struct fixture *const a = &nodes[0], *const b = &nodes[1];

/* "u::6 u:bob:7 g::0 g:dev:5 m::7 o::4" */
static void parse(const char *text, struct acl *ret)
{
	ret->count = 0;
	while (*text) {
		struct acl_entry *e = &ret->entries[ret->count++];
		bool named = text[2] != ':';
		size_t len = strcspn(text + 2, ":");

		e->tag = *text == 'u' ? named ? ACL_USER : ACL_OWNER :
			 *text == 'g' ? named ? ACL_GROUP : ACL_OWNERS_GROUP :
			 *text == 'm' ? ACL_MASK : ACL_OTHERS;
		e->name = SLICE(text + 2, len);
		e->perm = (uint8_t)(text[len + 3] - '0');
		text += len + 4;
		text += strspn(text, " ");
	}
}

static void print(const struct acl *acl, char *ret)
{
	*ret = '\0';
	for (size_t k = 0; k < acl->count; k++) {
		const struct acl_entry *e = &acl->entries[k];

		ret += sprintf(ret, "%s%c:%.*s:%d", k ? " " : "",
			       e->tag & (ACL_OWNER | ACL_USER) ? 'u' :
			       e->tag == ACL_MASK ? 'm' :
			       e->tag == ACL_OTHERS ? 'o' : 'g',
			       (int)e->name.len, (const char *)e->name.data,
			       e->perm);
	}
}

static int set_acl(struct fixture *f, const char *name, enum acl_type type,
		   const char *text)
{
	struct acl acl;

	parse(text, &acl);
	return tree_setacl(f->tree, look(f, ROOT, name), type, &acl, 0);
}

/* text NULL: none. */
static void expect_acl(struct fixture *f, uint64_t ino, enum acl_type type,
		       const char *text)
{
	cleanup(buf_release) struct buf names = BUF_INIT;
	char got[4096];
	struct acl acl;
	int r = tree_getacl(f->tree, ino, type, &names, &acl);

	assert_int_equal(r, text ? 0 : -ENODATA);
	if (!text)
		return;
	print(&acl, got);
	assert_string_equal(got, text);
}

static uint32_t perm_of(struct fixture *f, uint64_t ino)
{
	struct attr attr;

	assert_int_equal(tree_getattr(f->tree, ino, &attr), 0);
	return attr.mode & 07777;
}

static void set_perm(struct fixture *f, const char *name, uint32_t perm)
{
	struct tree_setattr s = { .set = TREE_SET_MODE, .perm = perm };
	struct attr attr;

	assert_int_equal(tree_setattr(f->tree, look(f, ROOT, name), &s,
				      &attr), 0);
	assert_int_equal(attr.mode & 07777, perm);
}

/* ---- values */

#define FULL "u::6 u:al:7 u:bob:4 g::0 g:dev:5 m::7 o::4"

static void test_bytes(void)
{
	cleanup(buf_release) struct buf bytes = BUF_INIT;
	struct acl acl, back;
	uint32_t perm = 04000;
	char got[256];
	int r;

	parse("o::4 g:dev:5 u:bob:4 m::7 u::6 g::0 u:al:7", &acl);
	assert_int_equal(acl_check(&acl), 0);
	assert_int_equal(acl_encode_access(&acl, &perm, &bytes), 0);
	assert_int_equal(perm, 04674);
	assert_true(acl_access_is_valid(buf_slice(&bytes)));
	assert_int_equal(acl_decode_access(buf_slice(&bytes), perm, &back), 0);
	print(&back, got);
	assert_string_equal(got, FULL);
	assert_int_equal(acl_plain_perm(perm, buf_slice(&bytes)), 04604);
	/* Each part of it, and whatever stands in the place of a byte. */
	for (size_t n = 1; n < bytes.len; n++)
		if (acl_access_is_valid(SLICE(bytes.data, n)))
			/* (an end between two entries) */
			assert_true(n == 1 || n == 6 || n == 12);
	for (size_t n = 0; n < bytes.len; n++)
		for (unsigned int x = 1; x < 256; x++) {
			bytes.data[n] ^= (uint8_t)x;
			r = acl_decode_access(buf_slice(&bytes), perm, &back);
			assert_true(!r || r == -EBADMSG);
			bytes.data[n] ^= (uint8_t)x;
		}
	bytes.data[0] = 8;
	assert_false(acl_access_is_valid(buf_slice(&bytes)));
	assert_int_equal(acl_decode_default(SLICE("\7\5\10", 3), &back),
			 -EBADMSG);
	assert_int_equal(acl_decode_default(SLICE("\7\5\10\4", 4), &back), 0);
	print(&back, got);
	assert_string_equal(got, "u::7 g::5 o::4");
}

static void test_check(void)
{
	static const char *const bad[] = {
		"g::0 o::0", "u::7 o::0", "u::7 g::0", "u::7 u::7 g::0 o::0",
		"u::7 g::0 o::0 u:al:7", "u::7 g::0 o::0 m::7 u:al:7 u:al:6",
		"u::8 g::0 o::0",
	};
	struct acl acl;

	for (size_t k = 0; k < ARRAY_SIZE(bad); k++) {
		parse(bad[k], &acl);
		assert_int_equal(acl_check(&acl), -EINVAL);
	}
	parse("u::7 g::0 o::0 m::7", &acl);
	assert_int_equal(acl_check(&acl), 0);
	assert_false(acl_is_mode(&acl));
}

/* ---- one node */

static void test_mode_and_acl(void)
{
	uint64_t ino = make_file(a, ROOT, "f", "f");

	expect_acl(a, ino, ACL_TYPE_ACCESS, NULL);
	assert_int_equal(set_acl(a, "f", ACL_TYPE_ACCESS, FULL), 0);
	expect_acl(a, ino, ACL_TYPE_ACCESS, FULL);
	assert_int_equal(perm_of(a, ino), 0674);
	set_perm(a, "f", 0640);
	expect_acl(a, ino, ACL_TYPE_ACCESS,
		   "u::6 u:al:7 u:bob:4 g::0 g:dev:5 m::4 o::0");
	fixture_crash(a);
	ino = look(a, ROOT, "f");
	expect_acl(a, ino, ACL_TYPE_ACCESS,
		   "u::6 u:al:7 u:bob:4 g::0 g:dev:5 m::4 o::0");
	assert_int_equal(set_acl(a, "f", ACL_TYPE_ACCESS, "u::7 g::5 o::1"),
			 0);
	expect_acl(a, ino, ACL_TYPE_ACCESS, NULL);
	assert_int_equal(perm_of(a, ino), 0751);
	assert_int_equal(set_acl(a, "f", ACL_TYPE_DEFAULT, FULL), -EACCES);
	assert_int_equal(set_acl(a, "f", ACL_TYPE_DEFAULT, ""), 0);
	check_tree(a);
}

static uint64_t create(struct fixture *f, uint64_t dir, const char *name,
		       enum kind kind, uint32_t perm)
{
	struct tree_new n = { .kind = kind, .perm = perm, .umask = 077,
			      .user = SLICE_STR("al"),
			      .group = SLICE_STR("al"),
			      .target = SLICE_STR("to") };
	struct entry e;

	assert_int_equal(tree_create(f->tree, dir, SLICE_STR(name), &n, false,
				     &e), 0);
	return e.attr.ino;
}

static void test_inherited(void)
{
	uint64_t dir = make_dir(a, ROOT, "d"), ino;

	assert_int_equal(perm_of(a, create(a, dir, "before", KIND_FILE, 0666)),
			 0600);
	assert_int_equal(set_acl(a, "d", ACL_TYPE_DEFAULT,
				 "u::7 u:al:6 g::5 m::7 o::1"), 0);
	ino = create(a, dir, "f", KIND_FILE, 0666);
	expect_acl(a, ino, ACL_TYPE_ACCESS, "u::6 u:al:6 g::5 m::6 o::0");
	expect_acl(a, ino, ACL_TYPE_DEFAULT, NULL);
	assert_int_equal(perm_of(a, ino), 0660);
	ino = create(a, dir, "e", KIND_DIR, 0755);
	expect_acl(a, ino, ACL_TYPE_ACCESS, "u::7 u:al:6 g::5 m::5 o::1");
	expect_acl(a, ino, ACL_TYPE_DEFAULT, "u::7 u:al:6 g::5 m::7 o::1");
	assert_int_equal(perm_of(a, create(a, dir, "l", KIND_SYMLINK, 0777)),
			 0777);
	assert_int_equal(set_acl(a, "d", ACL_TYPE_DEFAULT, ""), 0);
	assert_int_equal(set_acl(a, "d", ACL_TYPE_DEFAULT, ""), 0);
	expect_acl(a, dir, ACL_TYPE_DEFAULT, NULL);
	/* What it was given at birth stays. */
	expect_acl(a, ino, ACL_TYPE_DEFAULT, "u::7 u:al:6 g::5 m::7 o::1");
	check_tree(a);
}

/* The group of the directory is taken by name, known here or not. */
static void test_group_by_name(void)
{
	struct tree_setattr s = { .set = TREE_SET_MODE | TREE_SET_GROUP,
				  .perm = 02775,
				  .group = SLICE_STR("nobody knows") };
	uint64_t dir = make_dir(a, ROOT, "d");
	struct object o;
	struct attr attr;
	struct info i;

	assert_int_equal(tree_setattr(a->tree, dir, &s, &attr), 0);
	create(a, dir, "f", KIND_FILE, 0666);
	row_at(a, "d/f", &o);
	assert_int_equal(info_init(&i, &o), 0);
	assert_true(slice_equal(i.owner->owner.group, s.group));
	assert_true(slice_equal(i.owner->owner.user, SLICE_STR("al")));
	info_release(&i);
	object_release(&o);
	assert_int_equal(perm_of(a, create(a, dir, "e", KIND_DIR, 0777)),
			 02700);
	assert_int_equal(perm_of(a, create(a, dir, "x", KIND_FILE, 0777)),
			 0700);
}

/* ---- several nodes */

static void test_travels(void)
{
	make_file(a, ROOT, "f", "f");
	make_dir(a, ROOT, "d");
	assert_int_equal(set_acl(a, "f", ACL_TYPE_ACCESS, FULL), 0);
	assert_int_equal(set_acl(a, "d", ACL_TYPE_DEFAULT, FULL), 0);
	sync_all();
	expect_acl(b, look(b, ROOT, "f"), ACL_TYPE_ACCESS, FULL);
	expect_acl(b, look(b, ROOT, "d"), ACL_TYPE_DEFAULT, FULL);
	/* A chmod there leaves the names alone. */
	set_perm(b, "f", 0600);
	sync_all();
	expect_acl(a, look(a, ROOT, "f"), ACL_TYPE_ACCESS,
		   "u::6 u:al:7 u:bob:4 g::0 g:dev:5 m::0 o::0");
}

/* One of the two as a whole: nobody chose 0666 for al. */
static void test_chmod_against_acl(void)
{
	make_file(a, ROOT, "f", "f");
	sync_all();
	assert_int_equal(set_acl(a, "f", ACL_TYPE_ACCESS,
				 "u::6 u:al:6 g::0 m::6 o::0"), 0);
	later(b, a);
	set_perm(b, "f", 0666);
	sync_all();
	expect_acl(a, look(a, ROOT, "f"), ACL_TYPE_ACCESS, NULL);
	assert_int_equal(perm_of(a, look(a, ROOT, "f")), 0666);
	/* The other way round. */
	set_perm(b, "f", 0600);
	sync_all();
	set_perm(b, "f", 0666);
	later(a, b);
	assert_int_equal(set_acl(a, "f", ACL_TYPE_ACCESS,
				 "u::6 u:al:6 g::0 m::4 o::0"), 0);
	sync_all();
	expect_acl(b, look(b, ROOT, "f"), ACL_TYPE_ACCESS,
		   "u::6 u:al:6 g::0 m::4 o::0");
	assert_int_equal(perm_of(b, look(b, ROOT, "f")), 0640);
}

/* Two files of one name and one mode, of which one allows somebody more,
 * are two. */
static void test_twins_differ(void)
{
	sync_all();
	make_file(a, ROOT, "f", "same");
	make_file(b, ROOT, "f", "same");
	set_perm(a, "f", 0660);
	assert_int_equal(set_acl(b, "f", ACL_TYPE_ACCESS,
				 "u::6 u:al:6 g::0 m::6 o::0"), 0);
	sync_all();
	assert_int_equal(entries(a), 2);
}

/* A save by rename-over takes the temporary's, as it does the mode. */
static void test_saved_over(void)
{
	make_file(a, ROOT, "f", "old");
	sync_all();
	assert_int_equal(set_acl(a, "f", ACL_TYPE_ACCESS, FULL), 0);
	make_file(a, ROOT, "temp", "new");
	set_perm(a, "temp", 0600);
	mv(a, ROOT, "temp", ROOT, "f");
	expect_acl(a, look(a, ROOT, "f"), ACL_TYPE_ACCESS, NULL);
	assert_int_equal(perm_of(a, look(a, ROOT, "f")), 0600);
	sync_all();
	expect_acl(b, look(b, ROOT, "f"), ACL_TYPE_ACCESS, NULL);
}

static const struct scenario scenarios[] = {
	SCENARIO(test_bytes),
	SCENARIO(test_check),
	SCENARIO(test_mode_and_acl),
	SCENARIO(test_inherited),
	SCENARIO(test_group_by_name),
	SCENARIO(test_travels),
	SCENARIO(test_chmod_against_acl),
	SCENARIO(test_twins_differ),
	SCENARIO(test_saved_over),
};

int main(void)
{
	return scenarios_run(scenarios, ARRAY_SIZE(scenarios));
}
