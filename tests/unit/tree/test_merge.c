/* SPDX-License-Identifier: Apache-2.0 */
/* Two nodes that were apart: what each pair of operations becomes, at both. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "tree_support.h"

#define ROOT TREE_ROOT_INO

static struct fixture a, b;

static int setup(void **state)
{
	(void)state;
	fixture_open(&a, "alice", true);
	fixture_open(&b, "bob", false);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	fixture_close(&a);
	fixture_close(&b);
	return 0;
}

struct digest {
	struct buf text;
};

static int digest_entry(void *arg, const struct replica_view_entry *e)
{
	struct digest *d = arg;
	char hex[65];

	hex_encode(e->content.root.b, 32, hex);
	buf_printf(&d->text, "%.*s %d %o %ld %lu %s\n", (int)e->path.len,
		   (const char *)e->path.data, e->kind, e->perm,
		   (long)e->mtime.tv_sec, (unsigned long)e->content.size,
		   e->kind == KIND_DIR ? "" : hex);
	return 0;
}

/* Both take all of the other, twice, and then must agree. */
static void sync(void)
{
	struct digest da = { BUF_INIT }, db = { BUF_INIT };

	for (int k = 0; k < 3; k++) {
		merge_from(&b, &a);
		merge_from(&a, &b);
	}
	check_tree(&a);
	check_tree(&b);
	assert_int_equal(replica_view(a.tree, digest_entry, &da), 0);
	assert_int_equal(replica_view(b.tree, digest_entry, &db), 0);
	buf_put_u8(&da.text, 0);
	buf_put_u8(&db.text, 0);
	assert_string_equal((char *)da.text.data, (char *)db.text.data);
	buf_release(&da.text);
	buf_release(&db.text);
}

static void test_copy(void **state)
{
	(void)state;
	make_file(&a, make_dir(&a, ROOT, "d"), "f", "one");
	sync();
	expect_bytes(&b, look(&b, look(&b, ROOT, "d"), "f"), "one");
}

static void test_edit_edit(void **state)
{
	char name[256];

	(void)state;
	make_file(&a, ROOT, "doc.txt", "base");
	sync();
	write_file(&a, look(&a, ROOT, "doc.txt"), "alice's");
	b.now_ns += 1000000000;
	write_file(&b, look(&b, ROOT, "doc.txt"), "bob's");
	sync();
	assert_int_equal(list(&a, ROOT, NULL, 0), 2);
	expect_bytes(&a, look(&a, ROOT, "doc.txt"), "bob's");
	name_with(&a, ROOT, "(conflict alice 2023", name);
	assert_non_null(strstr(name, ").txt"));
	expect_bytes(&b, look(&b, ROOT, name), "alice's");
	assert_int_equal(tree_conflict_count(a.tree), 1);
	/* a save of main keeps the conflict; names do not flip */
	write_file(&a, look(&a, ROOT, "doc.txt"), "bob's, improved");
	write_file(&b, look(&b, ROOT, name), "alice's, improved");
	sync();
	assert_int_equal(list(&a, ROOT, NULL, 0), 2);
	expect_bytes(&b, look(&b, ROOT, "doc.txt"), "bob's, improved");
	expect_bytes(&b, look(&b, ROOT, name), "alice's, improved");
	assert_int_equal(tree_unlink(b.tree, ROOT, SLICE_STR(name)), 0);
	sync();
	assert_int_equal(list(&a, ROOT, NULL, 0), 1);
	expect_bytes(&a, look(&a, ROOT, "doc.txt"), "bob's, improved");
	assert_int_equal(tree_conflict_count(a.tree), 0);
}

static void make_conflict(const char *file)
{
	make_file(&a, ROOT, file, "base");
	sync();
	write_file(&a, look(&a, ROOT, file), "alice's");
	b.now_ns = a.now_ns + 1000000000;
	write_file(&b, look(&b, ROOT, file), "bob's");
	sync();
}

static void test_mv_sibling_over_main(void **state)
{
	char name[256];
	uint64_t ino;

	(void)state;
	make_conflict("doc");
	name_with(&a, ROOT, "conflict", name);
	ino = look(&a, ROOT, name);
	assert_int_equal(tree_rename(a.tree, ROOT, SLICE_STR(name), ROOT,
				     SLICE_STR("doc"), 0), 0);
	assert_int_equal(look(&a, ROOT, "doc"), ino);
	sync();
	assert_int_equal(list(&b, ROOT, NULL, 0), 1);
	expect_bytes(&b, look(&b, ROOT, "doc"), "alice's");
}

static void test_mv_sibling_out(void **state)
{
	char name[256];

	(void)state;
	make_conflict("doc");
	name_with(&b, ROOT, "conflict", name);
	assert_int_equal(tree_rename(b.tree, ROOT, SLICE_STR(name), ROOT,
				     SLICE_STR("mine"), 0), 0);
	sync();
	assert_int_equal(list(&a, ROOT, NULL, 0), 2);
	expect_bytes(&a, look(&a, ROOT, "doc"), "bob's");
	expect_bytes(&a, look(&a, ROOT, "mine"), "alice's");
	assert_int_equal(tree_conflict_count(a.tree), 0);
}

static void test_rm_main(void **state)
{
	char name[256];

	(void)state;
	make_conflict("doc");
	name_with(&a, ROOT, "conflict", name);
	assert_int_equal(tree_unlink(a.tree, ROOT, SLICE_STR("doc")), 0);
	assert_int_equal(look_error(&a, ROOT, "doc"), -ENOENT);
	expect_bytes(&a, look(&a, ROOT, name), "alice's");
	sync();
	assert_int_equal(list(&b, ROOT, NULL, 0), 1);
	/* an edit of the sibling stays that sibling */
	write_file(&b, look(&b, ROOT, name), "more");
	expect_bytes(&b, look(&b, ROOT, name), "more");
	assert_int_equal(look_error(&b, ROOT, "doc"), -ENOENT);
	sync();
	assert_int_equal(tree_rename(a.tree, ROOT, SLICE_STR(name), ROOT,
				     SLICE_STR("doc"), 0), 0);
	sync();
	assert_int_equal(list(&b, ROOT, NULL, 0), 1);
	expect_bytes(&b, look(&b, ROOT, "doc"), "more");
	assert_int_equal(tree_unlink(b.tree, ROOT, SLICE_STR("doc")), 0);
	sync();
	assert_int_equal(list(&a, ROOT, NULL, 0), 0);
}

static void test_resolve(void **state)
{
	(void)state;
	make_conflict("doc");
	assert_int_equal(tree_resolve(a.tree, ROOT, SLICE_STR("doc"),
				      SLICE_STR("nobody")), -ENOENT);
	assert_int_equal(tree_resolve(a.tree, ROOT, SLICE_STR("doc"),
				      SLICE_STR("alice")), 0);
	expect_bytes(&a, look(&a, ROOT, "doc"), "alice's");
	sync();
	assert_int_equal(list(&b, ROOT, NULL, 0), 1);
	expect_bytes(&b, look(&b, ROOT, "doc"), "alice's");
	assert_int_equal(tree_resolve(a.tree, ROOT, SLICE_STR("doc"),
				      SLICE_STR("main")), -ENODATA);
}

static void test_create_create(void **state)
{
	char name[256];

	(void)state;
	make_file(&a, ROOT, "same", "equal");
	make_file(&b, ROOT, "same", "equal");
	make_file(&a, ROOT, "diff", "alice's");
	b.now_ns = a.now_ns + 1000000000;
	make_file(&b, ROOT, "diff", "bob's");
	sync();
	assert_int_equal(list(&a, ROOT, NULL, 0), 3);
	expect_bytes(&a, look(&a, ROOT, "diff"), "alice's"); /* the oldest */
	name_with(&b, ROOT, "diff (conflict bob", name);
	expect_bytes(&b, look(&b, ROOT, name), "bob's");
	assert_int_equal(tree_conflict_count(b.tree), 1);
	/* one entry: removing it removes both twins */
	assert_int_equal(tree_unlink(b.tree, ROOT, SLICE_STR("same")), 0);
	assert_int_equal(look_error(&b, ROOT, "same"), -ENOENT);
	assert_int_equal(tree_resolve(b.tree, ROOT, SLICE_STR("diff"),
				      SLICE_STR("bob")), 0);
	sync();
	assert_int_equal(list(&a, ROOT, NULL, 0), 1);
	expect_bytes(&a, look(&a, ROOT, "diff"), "bob's");
}

/* rm -r lists first and removes then: the suffixed name, which becomes the
 * plain one meanwhile, must still be found. */
static void test_listed_names_stay_found(void **state)
{
	char name[256];

	(void)state;
	make_file(&a, ROOT, "n", "alice's");
	b.now_ns = a.now_ns + 1000000000;
	make_file(&b, ROOT, "n", "bob's");
	sync();
	name_with(&a, ROOT, "conflict", name);
	assert_int_equal(tree_unlink(a.tree, ROOT, SLICE_STR("n")), 0);
	assert_int_equal(list(&a, ROOT, NULL, 0), 1);
	expect_bytes(&a, look(&a, ROOT, "n"), "bob's");
	assert_int_equal(tree_unlink(a.tree, ROOT, SLICE_STR(name)), 0);
	assert_int_equal(list(&a, ROOT, NULL, 0), 0);
	assert_int_equal(look_error(&a, ROOT, name), -ENOENT);
	sync();
}

static void test_write_to_twins(void **state)
{
	struct tree_setattr s = { .set = TREE_SET_MODE, .perm = 0600 };
	struct attr at;

	(void)state;
	make_file(&a, ROOT, "w", "equal");
	make_file(&a, ROOT, "m", "equal");
	make_file(&b, ROOT, "w", "equal");
	make_file(&b, ROOT, "m", "equal");
	sync();
	write_file(&b, look(&b, ROOT, "w"), "edited");
	assert_int_equal(tree_setattr(b.tree, look(&b, ROOT, "m"), &s, &at),
			 0);
	assert_int_equal(list(&b, ROOT, NULL, 0), 2);
	sync();
	assert_int_equal(list(&a, ROOT, NULL, 0), 2);
	expect_bytes(&a, look(&a, ROOT, "w"), "edited");
	assert_int_equal(tree_conflict_count(a.tree), 0);
}

static void test_edit_delete(void **state)
{
	(void)state;
	make_file(&a, ROOT, "f", "base");
	sync();
	write_file(&a, look(&a, ROOT, "f"), "edited");
	assert_int_equal(tree_unlink(b.tree, ROOT, SLICE_STR("f")), 0);
	sync();
	expect_bytes(&b, look(&b, ROOT, "f"), "edited");
	assert_int_equal(tree_conflict_count(b.tree), 0);
	/* and attributes alone do not bring it back */
	assert_int_equal(tree_unlink(b.tree, ROOT, SLICE_STR("f")), 0);
	struct tree_setattr s = { .set = TREE_SET_MODE, .perm = 0600 };
	struct attr at;
	assert_int_equal(tree_setattr(a.tree, look(&a, ROOT, "f"), &s, &at),
			 0);
	sync();
	assert_int_equal(list(&a, ROOT, NULL, 0), 0);
}

static void test_unsent_edit_survives_delete(void **state)
{
	uint64_t ino;

	(void)state;
	make_file(&a, make_dir(&a, ROOT, "d"), "f", "base");
	sync();
	ino = look(&b, look(&b, ROOT, "d"), "f");
	assert_int_equal(tree_open_file(b.tree, ino, true), 0);
	assert_int_equal(tree_write(b.tree, ino, 4, SLICE_STR("+"), false), 0);
	assert_int_equal(tree_unlink(a.tree, look(&a, ROOT, "d"),
				     SLICE_STR("f")), 0);
	assert_int_equal(tree_rmdir(a.tree, ROOT, SLICE_STR("d")), 0);
	merge_from(&b, &a);
	tree_release_file(b.tree, ino, true);
	sync();
	expect_bytes(&a, look(&a, look(&a, ROOT, "d"), "f"), "base+");
}

static void test_open_handle_keeps_its_branch(void **state)
{
	uint64_t ino;
	char name[256];

	(void)state;
	make_file(&a, ROOT, "f", "base");
	sync();
	ino = look(&b, ROOT, "f");
	assert_int_equal(tree_open_file(b.tree, ino, true), 0);
	write_file(&a, look(&a, ROOT, "f"), "alice's");
	merge_from(&b, &a);
	/* the handle sees what it had, the name what came */
	expect_bytes(&b, ino, "base");
	assert_int_not_equal(look(&b, ROOT, "f"), ino);
	expect_bytes(&b, look(&b, ROOT, "f"), "alice's");
	b.now_ns = a.now_ns;
	assert_int_equal(tree_write(b.tree, ino, 0, SLICE_STR("BOB!"), false),
			 0);
	expect_bytes(&b, ino, "BOB!");
	tree_release_file(b.tree, ino, true);
	sync();
	assert_int_equal(list(&a, ROOT, NULL, 0), 2);
	name_with(&a, ROOT, "conflict", name);
}

/* What the handle was opened on is hidden under another content by now: the
 * writer did not see that one, and must not replace it. */
static void test_hidden_base_replaces_nothing_else(void **state)
{
	char name[256];
	uint64_t ino;

	(void)state;
	make_file(&a, ROOT, "f", "base");
	sync();
	write_file(&b, look(&b, ROOT, "f"), "tmp");
	write_file(&b, look(&b, ROOT, "f"), "base"); /* undone again */
	ino = look(&b, ROOT, "f");
	assert_int_equal(tree_open_file(b.tree, ino, true), 0);
	write_file(&a, look(&a, ROOT, "f"), "alice's");
	merge_from(&b, &a);
	expect_bytes(&b, look(&b, ROOT, "f"), "alice's");
	assert_int_equal(list(&b, ROOT, NULL, 0), 1); /* no conflict */
	assert_int_equal(tree_write(b.tree, ino, 0, SLICE_STR("BOB!"), false),
			 0);
	tree_release_file(b.tree, ino, true);
	sync();
	assert_int_equal(list(&a, ROOT, NULL, 0), 2);
	name_with(&a, ROOT, "conflict", name);
}

/* A late save over what was replaced does not take main in an open conflict. */
static void test_late_save_keeps_main(void **state)
{
	char name[256];
	uint64_t ino;

	(void)state;
	make_conflict("doc");
	ino = look(&b, ROOT, "doc");
	assert_int_equal(tree_open_file(b.tree, ino, true), 0);
	write_file(&a, look(&a, ROOT, "doc"), "new main");
	merge_from(&b, &a);
	b.now_ns += 3600000000000;
	assert_int_equal(tree_write(b.tree, ino, 0, SLICE_STR("late"), false),
			 0);
	tree_release_file(b.tree, ino, true);
	sync();
	expect_bytes(&a, look(&a, ROOT, "doc"), "new main");
	assert_int_equal(list(&a, ROOT, NULL, 0), 3);
	name_with(&b, ROOT, "conflict alice", name);
	expect_bytes(&b, look(&b, ROOT, name), "alice's");
}

static void test_rename_edit(void **state)
{
	(void)state;
	make_file(&a, ROOT, "f", "base");
	sync();
	write_file(&a, look(&a, ROOT, "f"), "edited");
	assert_int_equal(tree_rename(b.tree, ROOT, SLICE_STR("f"), ROOT,
				     SLICE_STR("g"), 0), 0);
	sync();
	assert_int_equal(list(&a, ROOT, NULL, 0), 1);
	expect_bytes(&a, look(&a, ROOT, "g"), "edited");
}

static void test_rename_rename(void **state)
{
	(void)state;
	make_file(&a, ROOT, "f", "base");
	sync();
	assert_int_equal(tree_rename(a.tree, ROOT, SLICE_STR("f"), ROOT,
				     SLICE_STR("g"), 0), 0);
	b.now_ns = a.now_ns + 1000000000;
	assert_int_equal(tree_rename(b.tree, ROOT, SLICE_STR("f"), ROOT,
				     SLICE_STR("h"), 0), 0);
	sync();
	assert_int_equal(list(&a, ROOT, NULL, 0), 1);
	expect_bytes(&a, look(&a, ROOT, "h"), "base");
	assert_int_equal(tree_conflict_count(a.tree), 1);
	assert_int_equal(tree_resolve(a.tree, ROOT, SLICE_STR("h"),
				      SLICE_STR("g")), 0);
	sync();
	assert_int_equal(tree_conflict_count(b.tree), 0);
	expect_bytes(&b, look(&b, ROOT, "g"), "base");
}

static void test_mkdir_mkdir(void **state)
{
	uint64_t d;

	(void)state;
	d = make_dir(&a, ROOT, "d");
	make_file(&a, make_dir(&a, d, "sub"), "fa", "1");
	make_file(&a, d, "x", "alice");
	d = make_dir(&b, ROOT, "d");
	make_file(&b, make_dir(&b, d, "sub"), "fb", "2");
	make_file(&b, d, "x", "bob");
	sync();
	assert_int_equal(list(&a, ROOT, NULL, 0), 1);
	d = look(&a, ROOT, "d");
	assert_int_equal(list(&a, d, NULL, 0), 3); /* sub, x, x (conflict) */
	assert_int_equal(list(&a, look(&a, d, "sub"), NULL, 0), 2);
	expect_bytes(&a, look(&a, look(&a, d, "sub"), "fb"), "2");
	/* a merged directory is removed and moved as one */
	assert_int_equal(tree_rename(a.tree, ROOT, SLICE_STR("d"), ROOT,
				     SLICE_STR("e"), 0), 0);
	sync();
	d = look(&b, ROOT, "e");
	assert_int_equal(list(&b, d, NULL, 0), 3);
	assert_int_equal(tree_rmdir(b.tree, ROOT, SLICE_STR("e")), -ENOTEMPTY);
	assert_int_equal(tree_unlink(b.tree, look(&b, d, "sub"),
				     SLICE_STR("fa")), 0);
	assert_int_equal(tree_unlink(b.tree, look(&b, d, "sub"),
				     SLICE_STR("fb")), 0);
	assert_int_equal(tree_rmdir(b.tree, d, SLICE_STR("sub")), 0);
	sync();
	assert_int_equal(list(&a, look(&a, ROOT, "e"), NULL, 0), 2);
}

static void test_dir_and_file(void **state)
{
	char name[256];

	(void)state;
	make_file(&a, ROOT, "n", "file");
	make_file(&b, make_dir(&b, ROOT, "n"), "in", "x");
	sync();
	assert_int_equal(list(&a, ROOT, NULL, 0), 2);
	expect_bytes(&a, look(&a, look(&a, ROOT, "n"), "in"), "x");
	name_with(&a, ROOT, "conflict alice", name);
	expect_bytes(&b, look(&b, ROOT, name), "file");
}

static void test_rmdir_create(void **state)
{
	uint64_t d;

	(void)state;
	d = make_dir(&a, make_dir(&a, ROOT, "top"), "d");
	make_file(&a, d, "old", "1");
	sync();
	make_file(&b, look(&b, look(&b, ROOT, "top"), "d"), "new", "2");
	assert_int_equal(tree_unlink(a.tree, d, SLICE_STR("old")), 0);
	assert_int_equal(tree_rmdir(a.tree, look(&a, ROOT, "top"),
				    SLICE_STR("d")), 0);
	assert_int_equal(tree_rmdir(a.tree, ROOT, SLICE_STR("top")), 0);
	sync();
	d = look(&a, look(&a, ROOT, "top"), "d");
	assert_int_equal(list(&a, d, NULL, 0), 1);
	expect_bytes(&a, look(&a, d, "new"), "2");
	/* revived directories go when they are empty again */
	assert_int_equal(tree_unlink(a.tree, d, SLICE_STR("new")), 0);
	sync();
	assert_int_equal(list(&b, ROOT, NULL, 0), 0);
}

static void test_move_cycle(void **state)
{
	uint64_t x, y;

	(void)state;
	x = make_dir(&a, ROOT, "x");
	y = make_dir(&a, ROOT, "y");
	make_file(&a, x, "fx", "1");
	make_file(&a, y, "fy", "2");
	sync();
	assert_int_equal(tree_rename(a.tree, ROOT, SLICE_STR("x"), y,
				     SLICE_STR("x"), 0), 0);
	b.now_ns = a.now_ns + 1000000000;
	assert_int_equal(tree_rename(b.tree, ROOT, SLICE_STR("y"),
				     look(&b, ROOT, "x"), SLICE_STR("y"), 0),
			 0);
	sync();
	/* the earlier move holds, the later mover's directory returns */
	y = look(&b, ROOT, "y");
	x = look(&b, y, "x");
	expect_bytes(&b, look(&b, x, "fx"), "1");
	assert_int_equal(look_error(&b, ROOT, "x"), -ENOENT);
	/* a later operation on a directory pins what was seen */
	make_dir(&b, ROOT, "z");
	assert_int_equal(tree_rename(b.tree, ROOT, SLICE_STR("y"),
				     look(&b, ROOT, "z"), SLICE_STR("y2"), 0),
			 0);
	sync();
	y = look(&a, look(&a, ROOT, "z"), "y2");
	expect_bytes(&a, look(&a, look(&a, y, "x"), "fx"), "1");
}

static void test_long_name_sibling(void **state)
{
	char file[256], name[256];

	(void)state;
	memset(file, 'x', 255);
	file[255] = '\0';
	memcpy(file + 100, "\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4", 8);
	memcpy(file + 251, ".txt", 4);
	make_conflict(file);
	name_with(&a, ROOT, "conflict", name);
	assert_true(strlen(name) <= 255);
	assert_string_equal(name + strlen(name) - 5, ").txt");
	expect_bytes(&b, look(&b, ROOT, name), "alice's");
}

static void test_real_file_with_sibling_name(void **state)
{
	char name[256];

	(void)state;
	make_conflict("doc");
	name_with(&a, ROOT, "conflict", name);
	/* a node that does not see the conflict makes that very name */
	assert_int_equal(tree_unlink(a.tree, ROOT, SLICE_STR(name)), 0);
	make_file(&a, ROOT, name, "real");
	sync();
	expect_bytes(&b, look(&b, ROOT, name), "real");
	assert_int_equal(list(&b, ROOT, NULL, 0), 2);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_copy), T(test_edit_edit), T(test_mv_sibling_over_main),
		T(test_mv_sibling_out), T(test_rm_main), T(test_resolve),
		T(test_create_create), T(test_write_to_twins),
		T(test_listed_names_stay_found),
		T(test_edit_delete),
		T(test_unsent_edit_survives_delete),
		T(test_open_handle_keeps_its_branch),
		T(test_hidden_base_replaces_nothing_else),
		T(test_late_save_keeps_main), T(test_rename_edit),
		T(test_rename_rename), T(test_mkdir_mkdir),
		T(test_dir_and_file), T(test_rmdir_create),
		T(test_move_cycle), T(test_long_name_sibling),
		T(test_real_file_with_sibling_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
