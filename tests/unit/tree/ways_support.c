/* SPDX-License-Identifier: Apache-2.0 */
#include "ways_support.h"

#include <stdio.h>
#include <string.h>

static struct fixture *const a = &nodes[0], *const b = &nodes[1],
		       *const c = &nodes[2];

/* ---- ways to save */

uint64_t ways_new_open(struct fixture *f, uint64_t dir, const char *name)
{
	struct tree_new n = { .kind = KIND_FILE, .perm = 0644,
			      .user = SLICE_STR("root"),
			      .group = SLICE_STR("root") };
	struct entry e;

	assert_int_equal(tree_create(f->tree, dir, SLICE_STR(name), &n, true,
				     &e), 0);
	return e.attr.ino;
}

void ways_put(struct fixture *f, uint64_t ino, const char *text)
{
	assert_int_equal(tree_write(f->tree, ino, 0, SLICE_STR(text), false),
			 0);
}

static void in_place(struct fixture *f, uint64_t dir, const char *name,
		     const char *text)
{
	write_file(f, look(f, dir, name), text);
}

static void by_rename(struct fixture *f, uint64_t dir, const char *name,
		      const char *text)
{
	make_file(f, dir, "tmp", text);
	mv(f, dir, "tmp", dir, name);
}

/* Somebody may hold it: a copy of the store. */
static void by_rename_held(struct fixture *f, uint64_t dir, const char *name,
			   const char *text)
{
	make_file(f, dir, "tmp", text);
	assert_int_equal(store_commit(f->store), 0);
	mv(f, dir, "tmp", dir, name);
}

static void by_rename_open(struct fixture *f, uint64_t dir, const char *name,
			   const char *text)
{
	uint64_t ino = ways_new_open(f, dir, "tmp");

	ways_put(f, ino, text);
	mv(f, dir, "tmp", dir, name);
	assert_int_equal(look(f, dir, name), ino);
	tree_release_file(f->tree, ino, true);
}

static void by_rename_unwritten(struct fixture *f, uint64_t dir,
				const char *name, const char *text)
{
	uint64_t ino = ways_new_open(f, dir, "tmp");

	mv(f, dir, "tmp", dir, name);
	ways_put(f, ino, text);
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
	ino = ways_new_open(f, dir, "doc");
	ways_put(f, ino, text);
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
	by_rename(f, dir, "doc", text);
}

/* MS Office. */
static void by_two_renames(struct fixture *f, uint64_t dir, const char *text)
{
	make_file(f, dir, "new.tmp", text);
	mv(f, dir, "doc", dir, "old.tmp");
	mv(f, dir, "new.tmp", dir, "doc");
	rm(f, dir, "old.tmp");
}

const struct way ways[WAYS] = {
	{ "in place", in_place, NULL, false },
	{ "rename", by_rename, NULL, false },
	{ "rename, held", by_rename_held, NULL, false },
	{ "rename before the close", by_rename_open, NULL, false },
	{ "rename before the write", by_rename_unwritten, NULL, false },
	{ "backup", NULL, by_backup, false },
	{ "backup, close late", NULL, by_backup_late, false },
	{ "backup, kept", NULL, by_backup_kept, true },
	{ "link for the backup", NULL, by_link, true },
	{ "two renames", NULL, by_two_renames, false },
};

void ways_save(const struct way *way, struct fixture *f, uint64_t dir,
		     const char *text)
{
	if (way->save_as)
		way->save_as(f, dir, "doc", text);
	else
		way->save(f, dir, text);
}

/* ---- what is there */

void ways_describe(struct fixture *f, uint64_t dir, bool kept,
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

void ways_expect(struct fixture *f, const char *dir, const struct way *way,
		   const char *want)
{
	cleanup(buf_release) struct buf got = BUF_INIT;

	ways_describe(f, look(f, ROOT, dir), way->kept, &got);
	if (strcmp((char *)got.data, want))
		fail_msg("%s, %s:\n%sand not\n%s", f->label, way->name,
			 (char *)got.data, want);
}

void ways_begin(char dirs[][8])
{
	for (size_t k = 0; k < WAYS; k++) {
		snprintf(dirs[k], 8, "d%zu", k);
		make_file(a, make_dir(a, ROOT, dirs[k]), "doc", "base");
	}
	sync_all();
	for (size_t k = 0; k < WAYS; k++)
		in_place(a, look(a, ROOT, dirs[k]), "doc",
			 "alice's");
	later(b, a);
	for (size_t k = 0; k < WAYS; k++)
		in_place(b, look(b, ROOT, dirs[k]), "doc",
			 "bob's");
	sync_all();
	for (size_t k = 0; k < WAYS; k++)
		ways_expect(c, dirs[k], &ways[0],
		       "doc: bob's\ndoc (conflict alice: alice's\n");
}

struct objid ways_id(struct fixture *f, const char *path)
{
	struct object o;

	row_at(f, path, &o);
	object_release(&o);
	return o.id;
}

/* ---- what others do meanwhile */

void bob_edits_sibling(struct fixture *f, uint64_t dir)
{
	char name[256];

	name_with(f, dir, "(conflict", name);
	write_file(f, look(f, dir, name), "alice's again");
}

void bob_edits_main(struct fixture *f, uint64_t dir)
{
	in_place(f, dir, "doc", "bob's again");
}

void bob_saves_main(struct fixture *f, uint64_t dir)
{
	by_rename(f, dir, "doc", "bob's again");
}

void bob_removes_sibling(struct fixture *f, uint64_t dir)
{
	char name[256];

	name_with(f, dir, "(conflict", name);
	rm(f, dir, name);
}

void bob_takes_sibling(struct fixture *f, uint64_t dir)
{
	char name[256];

	name_with(f, dir, "(conflict", name);
	mv(f, dir, name, dir, "doc");
}

void bob_removes_main(struct fixture *f, uint64_t dir)
{
	rm(f, dir, "doc");
}

void bob_removes_all(struct fixture *f, uint64_t dir)
{
	bob_removes_sibling(f, dir);
	rm(f, dir, "doc");
}

void bob_renames(struct fixture *f, uint64_t dir)
{
	mv(f, dir, "doc", dir, "paper");
}
