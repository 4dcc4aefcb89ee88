/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Saves of a file in conflict. However a program saves it, it is a write of
 * main as any: the siblings stay, and the conflict stays and is settled by
 * the file's name. So each way of saving is compared with a write in place,
 * by itself and beside what others do at the same time, in several orders of
 * delivery.
 */
#include "nodes_support.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static struct fixture *const a = &nodes[0], *const b = &nodes[1],
		       *const c = &nodes[2];

/* ---- ways to save */

static uint64_t new_open(struct fixture *f, uint64_t dir, const char *name)
{
	struct tree_new n = { .kind = KIND_FILE, .perm = 0644,
			      .user = SLICE_STR("root"),
			      .group = SLICE_STR("root") };
	struct entry e;

	assert_int_equal(tree_create(f->tree, dir, SLICE_STR(name), &n, true,
				     &e), 0);
	return e.attr.ino;
}

static void put(struct fixture *f, uint64_t ino, const char *text)
{
	assert_int_equal(tree_write(f->tree, ino, 0, SLICE_STR(text), false),
			 0);
}

static void in_place(struct fixture *f, uint64_t dir, const char *text)
{
	write_file(f, look(f, dir, "doc"), text);
}

static void by_rename(struct fixture *f, uint64_t dir, const char *text)
{
	make_file(f, dir, "tmp", text);
	mv(f, dir, "tmp", dir, "doc");
}

/* Somebody may hold it: a copy of the store. */
static void by_rename_held(struct fixture *f, uint64_t dir, const char *text)
{
	make_file(f, dir, "tmp", text);
	assert_int_equal(store_commit(f->store), 0);
	mv(f, dir, "tmp", dir, "doc");
}

static void by_rename_open(struct fixture *f, uint64_t dir, const char *text)
{
	uint64_t ino = new_open(f, dir, "tmp");

	put(f, ino, text);
	mv(f, dir, "tmp", dir, "doc");
	assert_int_equal(look(f, dir, "doc"), ino);
	tree_release_file(f->tree, ino, true);
}

static void by_rename_unwritten(struct fixture *f, uint64_t dir,
				const char *text)
{
	uint64_t ino = new_open(f, dir, "tmp");

	mv(f, dir, "tmp", dir, "doc");
	put(f, ino, text);
	tree_release_file(f->tree, ino, true);
}

/* vim. */
static void by_backup(struct fixture *f, uint64_t dir, const char *text)
{
	mv(f, dir, "doc", dir, "doc~");
	make_file(f, dir, "doc", text);
	rm(f, dir, "doc~");
}

static void by_backup_late(struct fixture *f, uint64_t dir, const char *text)
{
	uint64_t ino;

	mv(f, dir, "doc", dir, "doc~");
	ino = new_open(f, dir, "doc");
	put(f, ino, text);
	rm(f, dir, "doc~");
	tree_release_file(f->tree, ino, true);
}

/* emacs. */
static void by_backup_kept(struct fixture *f, uint64_t dir, const char *text)
{
	mv(f, dir, "doc", dir, "doc~");
	make_file(f, dir, "doc", text);
}

static void by_link(struct fixture *f, uint64_t dir, const char *text)
{
	assert_int_equal(tree_link(f->tree, look(f, dir, "doc"), dir,
				   SLICE_STR("doc~"), &(struct entry){ 0 }),
			 0);
	by_rename(f, dir, text);
}

/* MS Office. */
static void by_two_renames(struct fixture *f, uint64_t dir, const char *text)
{
	make_file(f, dir, "new.tmp", text);
	mv(f, dir, "doc", dir, "old.tmp");
	mv(f, dir, "new.tmp", dir, "doc");
	rm(f, dir, "old.tmp");
}

static const struct way {
	const char *name;
	void (*save)(struct fixture *, uint64_t dir, const char *text);
	bool kept;		/* doc~ has what doc had */
} ways[] = {
	{ "in place", in_place, false },
	{ "rename", by_rename, false },
	{ "rename, held", by_rename_held, false },
	{ "rename before the close", by_rename_open, false },
	{ "rename before the write", by_rename_unwritten, false },
	{ "backup", by_backup, false },
	{ "backup, close late", by_backup_late, false },
	{ "backup, kept", by_backup_kept, true },
	{ "link for the backup", by_link, true },
	{ "two renames", by_two_renames, false },
};
#define WAYS (sizeof(ways) / sizeof(*ways))

/* ---- what is there */

/* Of a sibling without its tag. */
static void describe(struct fixture *f, uint64_t dir, bool kept,
		     struct buf *ret)
{
	static char names[20][256];
	size_t n = list(f, dir, names, 20);
	uint8_t bytes[100];

	for (size_t k = 0; k < n; k++) {
		char *suffix = strstr(names[k], " (conflict ");
		int64_t len = tree_read(f->tree, look(f, dir, names[k]), 0,
					bytes, sizeof(bytes));

		assert_true(len >= 0);
		if (kept && !strcmp(names[k], "doc~"))
			continue;
		if (suffix)
			*strchr(suffix + strlen(" (conflict "), ' ') = '\0';
		buf_printf(ret, "%s: %.*s\n", names[k], (int)len,
			   (char *)bytes);
	}
	buf_put_u8(ret, '\0');
	assert_int_equal(buf_error(ret), 0);
}

static void expect(struct fixture *f, const char *dir, const struct way *way,
		   const char *want)
{
	cleanup(buf_release) struct buf got = BUF_INIT;

	describe(f, look(f, ROOT, dir), way->kept, &got);
	if (strcmp((char *)got.data, want))
		fail_msg("%s, %s:\n%sand not\n%s", f->label, way->name,
			 (char *)got.data, want);
}

/* A directory for each way, with a doc of "base" that alice and bob write,
 * apart; bob's is main. */
static void conflicts_begin(char dirs[][8])
{
	for (size_t k = 0; k < WAYS; k++) {
		snprintf(dirs[k], 8, "d%zu", k);
		make_file(a, make_dir(a, ROOT, dirs[k]), "doc", "base");
	}
	sync_all();
	for (size_t k = 0; k < WAYS; k++)
		in_place(a, look(a, ROOT, dirs[k]), "alice's");
	later(b, a);
	for (size_t k = 0; k < WAYS; k++)
		in_place(b, look(b, ROOT, dirs[k]), "bob's");
	sync_all();
	for (size_t k = 0; k < WAYS; k++)
		expect(c, dirs[k], &ways[0],
		       "doc: bob's\ndoc (conflict alice: alice's\n");
}

static struct objid id_of(struct fixture *f, const char *path)
{
	struct object o;

	row_at(f, path, &o);
	object_release(&o);
	return o.id;
}

static int take_conflict(void *arg, const struct conflict *x)
{
	struct buf *out = arg;

	buf_printf(out, "%.*s%s", (int)x->path.len, (const char *)x->path.data,
		   x->main_removed ? " and removed" : "");
	for (size_t k = 0; k < x->count; k++)
		buf_printf(out, " %.*s", (int)x->versions[k].label.len,
			   (const char *)x->versions[k].label.data);
	buf_printf(out, "\n");
	return 0;
}

/* What `kin conflicts` says of it. */
static void expect_conflict(struct fixture *f, const char *dir,
			    const char *want)
{
	cleanup(buf_release) struct buf got = BUF_INIT;

	assert_int_equal(tree_conflicts(f->tree, look(f, ROOT, dir),
					take_conflict, &got), 0);
	buf_put_u8(&got, '\0');
	assert_string_equal((char *)got.data, want);
}

/* ---- a save by itself */

/* It is the same file, its sibling has the same name, and the conflict is
 * settled by the file's name. */
static void test_conflict_stays(void)
{
	static char dirs[WAYS][8];

	conflicts_begin(dirs);
	for (size_t k = 0; k < WAYS; k++) {
		char before[256], after[256], path[100], want[120];
		uint64_t dir = look(c, ROOT, dirs[k]);
		struct objid id;

		snprintf(path, sizeof(path), "%s/doc", dirs[k]);
		snprintf(want, sizeof(want), "%s/doc bob alice\n",
			 dirs[k]);
		name_with(c, dir, "(conflict", before);
		expect_conflict(c, dirs[k], want);
		id = id_of(c, path);
		later(c, b);
		ways[k].save(c, dir, "carol's");
		check_tree(c);
		name_with(c, dir, "(conflict", after);
		assert_string_equal(before, after);
		expect(c, dirs[k], &ways[k],
		       "doc: carol's\ndoc (conflict alice: alice's\n");
		assert_true(objid_equal(id_of(c, path), id));
		snprintf(want, sizeof(want), "%s/doc carol alice\n",
			 dirs[k]);
		expect_conflict(c, dirs[k], want);
		if (ways[k].kept)
			expect_bytes(c, look(c, dir, "doc~"), "bob's");
	}
	sync_all();
	for (size_t k = 0; k < WAYS; k++)
		expect(a, dirs[k], &ways[k],
		       "doc: carol's\ndoc (conflict alice: alice's\n");
	for (size_t k = 0; k < WAYS; k++) {
		uint64_t dir = look(a, ROOT, dirs[k]);
		char name[256];

		name_with(a, dir, "(conflict", name);
		rm(a, dir, name);
		expect(a, dirs[k], &ways[k], "doc: carol's\n");
		expect_conflict(a, dirs[k], "");
	}
	sync_all();
	for (size_t k = 0; k < WAYS; k++)
		expect(b, dirs[k], &ways[k], "doc: carol's\n");
}

/* With the bytes of main, and with those of the sibling: that ends it. */
static void test_bytes_that_are_there(void)
{
	static char dirs[WAYS][8];

	conflicts_begin(dirs);
	for (size_t k = 0; k < WAYS; k++) {
		ways[k].save(c, look(c, ROOT, dirs[k]), "bob's");
		check_tree(c);
		expect(c, dirs[k], &ways[k],
		       "doc: bob's\ndoc (conflict alice: alice's\n");
	}
	sync_all();
	for (size_t k = 0; k < WAYS; k++) {
		if (ways[k].kept)
			rm(c, look(c, ROOT, dirs[k]), "doc~");
		ways[k].save(c, look(c, ROOT, dirs[k]), "alice's");
		check_tree(c);
		expect(c, dirs[k], &ways[k], "doc: alice's\n");
		expect_conflict(c, dirs[k], "");
	}
	sync_all();
	for (size_t k = 0; k < WAYS; k++)
		expect(a, dirs[k], &ways[k], "doc: alice's\n");
}

/* ---- beside what others do */

static void edits_sibling(struct fixture *f, uint64_t dir)
{
	char name[256];

	name_with(f, dir, "(conflict", name);
	write_file(f, look(f, dir, name), "alice's again");
}

static void edits_main(struct fixture *f, uint64_t dir)
{
	in_place(f, dir, "bob's again");
}

static void saves_main(struct fixture *f, uint64_t dir)
{
	by_rename(f, dir, "bob's again");
}

static void removes_sibling(struct fixture *f, uint64_t dir)
{
	char name[256];

	name_with(f, dir, "(conflict", name);
	rm(f, dir, name);
}

static void takes_sibling(struct fixture *f, uint64_t dir)
{
	char name[256];

	name_with(f, dir, "(conflict", name);
	mv(f, dir, name, dir, "doc");
}

static void removes_main(struct fixture *f, uint64_t dir)
{
	rm(f, dir, "doc");
}

static void removes_all(struct fixture *f, uint64_t dir)
{
	removes_sibling(f, dir);
	rm(f, dir, "doc");
}

static void renames(struct fixture *f, uint64_t dir)
{
	mv(f, dir, "doc", dir, "paper");
}

/* carol saves while bob does that: the same comes of it as of a write in
 * place, the first of the ways. */
static void beside(void (*act)(struct fixture *, uint64_t), const char *want)
{
	static char dirs[WAYS][8];

	conflicts_begin(dirs);
	for (size_t k = 0; k < WAYS; k++)
		act(b, look(b, ROOT, dirs[k]));
	later(c, b);
	for (size_t k = 0; k < WAYS; k++)
		ways[k].save(c, look(c, ROOT, dirs[k]), "carol's");
	sync_all();
	for (size_t k = 0; k < WAYS; k++)
		expect(a, dirs[k], &ways[k], want);
}

static void test_beside_edit_of_sibling(void)
{
	beside(edits_sibling,
	       "doc: carol's\ndoc (conflict alice: alice's again\n");
}

static void test_beside_edit_of_main(void)
{
	beside(edits_main, "doc: carol's\n"
			   "doc (conflict alice: alice's\n"
			   "doc (conflict bob: bob's again\n");
}

static void test_beside_save_of_main(void)
{
	beside(saves_main, "doc: carol's\n"
			   "doc (conflict alice: alice's\n"
			   "doc (conflict bob: bob's again\n");
}

static void test_beside_rm_of_sibling(void)
{
	beside(removes_sibling, "doc: carol's\n");
}

static void test_beside_mv_of_sibling(void)
{
	beside(takes_sibling,
	       "doc: carol's\ndoc (conflict bob: alice's\n");
}

static void test_beside_rm_of_main(void)
{
	beside(removes_main,
	       "doc: carol's\ndoc (conflict alice: alice's\n");
}

static void test_beside_rm_of_all(void)
{
	beside(removes_all, "doc: carol's\n");
}

static void test_beside_rename(void)
{
	beside(renames, "paper: carol's\npaper (conflict alice: alice's\n");
}

/* ---- policies */

/* What is saved is what the policy shows, and what it hides goes with that,
 * as with a write in place: without the policy no conflict is left. A backup
 * that is kept is the file that it was, with what is hidden in it. */
static void test_under_policy(void)
{
	static char dirs[WAYS][8];

	for (size_t k = 0; k < WAYS; k++) {
		snprintf(dirs[k], 8, "d%zu", k);
		make_file(a, make_dir(a, ROOT, dirs[k]), "doc", "base");
	}
	set_policy(a, ROOT, "latest");
	sync_all();
	for (size_t k = 0; k < WAYS; k++)
		in_place(a, look(a, ROOT, dirs[k]), "alice's");
	later(b, a);
	for (size_t k = 0; k < WAYS; k++)
		in_place(b, look(b, ROOT, dirs[k]), "bob's");
	sync_all();
	for (size_t k = 0; k < WAYS; k++)
		expect(c, dirs[k], &ways[0], "doc: bob's\n");
	later(c, b);
	for (size_t k = 0; k < WAYS; k++) {
		uint64_t dir = look(c, ROOT, dirs[k]);

		ways[k].save(c, dir, "carol's");
		check_tree(c);
		expect(c, dirs[k], &ways[k], "doc: carol's\n");
		if (ways[k].kept)
			expect_bytes(c, look(c, dir, "doc~"), "bob's");
	}
	sync_all();
	set_policy(a, ROOT, NULL);
	sync_all();
	for (size_t k = 0; k < WAYS; k++)
		expect(b, dirs[k], &ways[k],
		       ways[k].kept ? "doc: carol's\n"
				      "doc~ (conflict alice: alice's\n"
				    : "doc: carol's\n");
}

/* ---- open handles */

/*
 * Who has main open keeps it, without a name, as of any file that was renamed
 * over; who has the sibling open writes the sibling; the handle of the
 * temporary goes on with main.
 */
static void test_handles(void)
{
	uint64_t old, new, sibling;
	struct attr at;
	char name[256];

	make_conflict("doc");
	sync_all();
	name_with(c, ROOT, "(conflict alice", name);
	old = look(c, ROOT, "doc");
	sibling = look(c, ROOT, name);
	assert_int_equal(tree_open_file(c->tree, old, true), 0);
	assert_int_equal(tree_open_file(c->tree, sibling, true), 0);
	new = new_open(c, ROOT, "tmp");
	put(c, new, "carol's");
	mv(c, ROOT, "tmp", ROOT, "doc");
	assert_int_equal(look(c, ROOT, "doc"), new);
	assert_int_equal(look(c, ROOT, name), sibling);
	expect_bytes(c, old, "bob's");
	assert_int_equal(tree_getattr(c->tree, old, &at), 0);
	assert_int_equal(at.nlink, 0);
	put(c, old, "BOB");
	put(c, sibling, "ALICE");
	put(c, new, "CAROL");
	expect_bytes(c, old, "BOB's");
	tree_release_file(c->tree, old, true);
	tree_release_file(c->tree, sibling, true);
	tree_release_file(c->tree, new, true);
	assert_int_equal(tree_getattr(c->tree, old, &at), -ESTALE);
	sync_all();
	assert_int_equal(entries(b), 2);
	expect_file(b, "doc", "CAROL's");
	expect_file(b, name, "ALICE's");
}

/* The edit that makes it a conflict comes between the rename and the close:
 * what is saved is what was shown then. */
static void test_conflict_before_close(void)
{
	uint64_t ino;

	make_file(a, ROOT, "doc", "base");
	sync_all();
	ino = new_open(c, ROOT, "tmp");
	put(c, ino, "carol's");
	mv(c, ROOT, "tmp", ROOT, "doc");
	write_name(a, "doc", "alice's");
	later(b, a);
	write_name(b, "doc", "bob's");
	pass(c, a);
	pass(c, b);
	tree_release_file(c->tree, ino, true);
	check_tree(c);
	sync_all();
	assert_int_equal(entries(a), 3);
	expect_file(a, "doc", "bob's");
	expect_like(a, "(conflict alice", "alice's");
	expect_like(a, "(conflict carol", "carol's");
}

/* ---- what is no save */

static void test_no_save(void)
{
	char name[256];

	make_conflict("doc");
	sync_all();
	/* Main was removed: nothing is there to be saved. */
	rm(c, ROOT, "doc");
	by_rename(c, ROOT, "carol's");
	name_with(c, ROOT, "(conflict alice", name);
	expect_file(c, name, "alice's");
	sync_all();
	assert_int_equal(entries(a), 2);
	expect_file(a, "doc", "carol's");
	expect_file(a, name, "alice's");
	rm(a, ROOT, "doc");
	sync_all();
	assert_int_equal(entries(c), 1);
	expect_file(c, name, "alice's");
}

static const struct scenario scenarios[] = {
	SCENARIO(test_conflict_stays),
	SCENARIO(test_bytes_that_are_there),
	SCENARIO(test_beside_edit_of_sibling),
	SCENARIO(test_beside_edit_of_main),
	SCENARIO(test_beside_save_of_main),
	SCENARIO(test_beside_rm_of_sibling),
	SCENARIO(test_beside_mv_of_sibling),
	SCENARIO(test_beside_rm_of_main),
	SCENARIO(test_beside_rm_of_all),
	SCENARIO(test_beside_rename),
	SCENARIO(test_under_policy),
	SCENARIO(test_handles),
	SCENARIO(test_conflict_before_close),
	SCENARIO(test_no_save),
};

int main(void)
{
	return scenarios_run(scenarios,
			     sizeof(scenarios) / sizeof(*scenarios));
}
