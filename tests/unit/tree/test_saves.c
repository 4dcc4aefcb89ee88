/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How programs save: by a temporary renamed over the file, by moving the old
 * file aside. What is on record afterwards, what others get of it, what open
 * handles see, and what becomes of changes made elsewhere meanwhile, in both
 * orders of delivery.
 */
#include "tree_support.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <time.h>

#include "fs/tree/tree_internal.h"

#define ROOT TREE_ROOT_INO

/* ---- helpers */

static int move_error(struct fixture *f, const char *from, const char *to)
{
	return tree_rename(f->tree, ROOT, SLICE_STR(from), ROOT,
			   SLICE_STR(to), 0);
}

static void move(struct fixture *f, const char *from, const char *to)
{
	assert_int_equal(move_error(f, from, to), 0);
}

static void rm(struct fixture *f, const char *name)
{
	assert_int_equal(tree_unlink(f->tree, ROOT, SLICE_STR(name)), 0);
}

struct id_arg {
	const char *name;
	struct objid id;
	bool found;
};

static int find_id(void *arg, const struct replica_view_entry *e)
{
	struct id_arg *a = arg;

	if (!e->is_sibling && slice_equal(e->path, SLICE_STR(a->name))) {
		a->id = e->id;
		a->found = true;
	}
	return 0;
}

static struct objid id_of(struct fixture *f, const char *name)
{
	struct id_arg a = { .name = name };

	assert_int_equal(replica_view(f->tree, find_id, &a), 0);
	assert_true(a.found);
	return a.id;
}

static void expect_id(struct fixture *f, const char *name, struct objid id)
{
	assert_true(objid_equal(id_of(f, name), id));
}

/* Rows, dead ones and the root's included. */
static uint64_t rows(struct fixture *f)
{
	struct tree_statfs st;

	tree_statfs(f->tree, &st);
	return st.objects;
}

static void expect_file(struct fixture *f, const char *name, const char *text)
{
	expect_bytes(f, look(f, ROOT, name), text);
}

static uint64_t create_open_in(struct fixture *f, uint64_t dir,
			       const char *name)
{
	struct tree_new n = { .kind = KIND_FILE, .perm = 0644,
			      .user = SLICE_STR("root"),
			      .group = SLICE_STR("root") };
	struct entry e;

	assert_int_equal(tree_create(f->tree, dir, SLICE_STR(name), &n, true,
				     &e), 0);
	return e.attr.ino;
}

static uint64_t create_open(struct fixture *f, const char *name)
{
	return create_open_in(f, ROOT, name);
}

static void put(struct fixture *f, uint64_t ino, uint64_t at,
		const char *text)
{
	assert_int_equal(tree_write(f->tree, ino, at, SLICE_STR(text), false),
			 0);
}

static void later(struct fixture *f, uint64_t ms)
{
	f->now_ns += (int64_t)ms * 1000000;
}

static void commit(struct fixture *f)
{
	assert_int_equal(store_commit(f->store), 0);
}

/* Two nodes that both have `doc` with "old". */
struct pair {
	struct fixture a, b;
	struct objid doc;
	uint64_t ino;	/* at a */
};

static void pair_open(struct pair *p)
{
	fixture_open(&p->a, "alice", true);
	fixture_open(&p->b, "bob", false);
	p->ino = make_file(&p->a, ROOT, "doc", "old");
	p->doc = id_of(&p->a, "doc");
	merge_from(&p->b, &p->a);
	expect_file(&p->b, "doc", "old");
	later(&p->a, 1000);
	p->b.now_ns = p->a.now_ns + 500;
}

static void pair_close(struct pair *p)
{
	check_tree(&p->a);
	check_tree(&p->b);
	fixture_close(&p->a);
	fixture_close(&p->b);
}

static void pair_equal(struct pair *p)
{
	static char na[20][256], nb[20][256];
	size_t n = list(&p->a, ROOT, na, 20);

	assert_int_equal(list(&p->b, ROOT, nb, 20), n);
	for (size_t k = 0; k < n; k++)
		assert_string_equal(na[k], nb[k]);
}

/* Both ways, beginning with what one of them did. */
static void exchange(struct pair *p, bool a_first)
{
	if (a_first)
		merge_from(&p->b, &p->a);
	merge_from(&p->a, &p->b);
	merge_from(&p->b, &p->a);
	pair_equal(p);
}

static void save_by_rename(struct fixture *f, const char *text)
{
	make_file(f, ROOT, ".doc.tmp", text);
	move(f, ".doc.tmp", "doc");
}

/* vim's way; `keep` leaves the backup. */
static void save_by_backup(struct fixture *f, const char *text, bool keep)
{
	move(f, "doc", "doc~");
	make_file(f, ROOT, "doc", text);
	if (!keep)
		rm(f, "doc~");
}

static struct dot main_dot(struct fixture *f, struct objid id)
{
	struct object o;
	struct info i;
	struct dot dot;

	store_lock(f->store);
	assert_int_equal(replica_row_load(f->tree, id, &o), 0);
	store_unlock(f->store);
	assert_int_equal(info_init(&i, &o), 0);
	dot = i.branches[0].top->dot;
	info_release(&i);
	object_release(&o);
	return dot;
}

/* ---- adoption */

static void test_adopted(void **state)
{
	struct pair p;
	struct tree_setattr s = { .set = TREE_SET_MODE, .perm = 0600 };
	struct attr at;
	uint64_t before, ino;

	(void)state;
	pair_open(&p);
	before = rows(&p.b);
	ino = make_file(&p.a, ROOT, ".doc.tmp", "new");
	assert_int_equal(tree_setattr(p.a.tree, ino, &s, &at), 0);
	move(&p.a, ".doc.tmp", "doc");
	/* As programs expect: what stat(2) said of the temporary. */
	assert_int_equal(look(&p.a, ROOT, "doc"), ino);
	assert_int_equal(tree_getattr(p.a.tree, ino, &at), 0);
	assert_int_equal(at.mode & 07777, 0600);
	assert_int_equal(at.nlink, 1);
	assert_int_equal(at.size, 3);
	expect_file(&p.a, "doc", "new");
	assert_int_equal(tree_getattr(p.a.tree, p.ino, &at), -ESTALE);
	/* It is the same file, and nothing else is on record. */
	expect_id(&p.a, "doc", p.doc);
	assert_int_equal(rows(&p.a), before);
	merge_from(&p.b, &p.a);
	expect_file(&p.b, "doc", "new");
	expect_id(&p.b, "doc", p.doc);
	assert_int_equal(rows(&p.b), before);
	assert_int_equal(list(&p.b, ROOT, NULL, 0), 1);
	assert_int_equal(tree_getattr(p.b.tree, look(&p.b, ROOT, "doc"), &at),
			 0);
	assert_int_equal(at.mode & 07777, 0600);
	pair_close(&p);
}

/* What somebody may hold leaves a trace: a peer, or a commit and so a copy
 * of the store. Either way it is the same save. */
static void test_adopted_with_trace(void **state)
{
	(void)state;
	for (int sent = 0; sent < 2; sent++) {
		struct pair p;
		uint64_t before;

		pair_open(&p);
		before = rows(&p.a);
		make_file(&p.a, ROOT, ".doc.tmp", "new");
		if (sent)
			merge_from(&p.b, &p.a);
		else
			commit(&p.a);
		move(&p.a, ".doc.tmp", "doc");
		expect_file(&p.a, "doc", "new");
		expect_id(&p.a, "doc", p.doc);
		assert_int_equal(rows(&p.a), before + 1);
		merge_from(&p.b, &p.a);
		expect_file(&p.b, "doc", "new");
		expect_id(&p.b, "doc", p.doc);
		assert_int_equal(rows(&p.b), before + 1);
		assert_int_equal(list(&p.b, ROOT, NULL, 0), 1);
		pair_close(&p);
	}
}

/* A save that changes nothing is no new version, and a wish to keep it: it
 * survives a removal that had not seen it. */
static void test_adopted_the_same(void **state)
{
	(void)state;
	for (int sent = 0; sent < 2; sent++) {
		struct dot before;
		struct pair p;

		pair_open(&p);
		save_by_rename(&p.a, "same");
		exchange(&p, true);
		before = main_dot(&p.a, p.doc);
		make_file(&p.a, ROOT, "tmp", "same");
		if (sent)
			merge_from(&p.b, &p.a);
		move(&p.a, "tmp", "doc");
		expect_id(&p.a, "doc", p.doc);
		assert_true(dot_equal(main_dot(&p.a, p.doc), before));
		rm(&p.b, "doc");
		exchange(&p, false);
		expect_file(&p.a, "doc", "same");
		expect_file(&p.b, "doc", "same");
		pair_close(&p);
	}
}

/* A crash in between: the store opened again holds what it holds. */
static void test_adopted_after_restart(void **state)
{
	struct pair p;

	(void)state;
	pair_open(&p);
	make_file(&p.a, ROOT, ".doc.tmp", "new");
	fixture_crash(&p.a);
	move(&p.a, ".doc.tmp", "doc");
	expect_id(&p.a, "doc", p.doc);
	assert_int_equal(rows(&p.a), rows(&p.b) + 1);
	fixture_crash(&p.a);
	expect_file(&p.a, "doc", "new");
	exchange(&p, true);
	expect_file(&p.b, "doc", "new");
	pair_close(&p);
}

/* Rules 11 and 4: a save by rename is a write of the file. */
static void test_adoption_against_edit(void **state)
{
	(void)state;
	for (int first = 0; first < 2; first++) {
		struct pair p;
		char name[256];

		pair_open(&p);
		save_by_rename(&p.a, "by alice");
		p.b.now_ns = p.a.now_ns;
		write_file(&p.b, look(&p.b, ROOT, "doc"), "by bob");
		exchange(&p, first);
		expect_id(&p.a, "doc", p.doc);
		expect_file(&p.a, "doc", "by bob"); /* the later one */
		assert_int_equal(list(&p.a, ROOT, NULL, 0), 2);
		name_with(&p.a, ROOT, "conflict alice", name);
		expect_file(&p.a, name, "by alice");
		pair_close(&p);
	}
}

/* Rules 11 and 6, 20, 13, 19: the rest holds beside it. */
static void test_adoption_against_names_and_attributes(void **state)
{
	(void)state;
	for (int first = 0; first < 2; first++) {
		struct tree_setattr s = { .set = TREE_SET_MODE,
					  .perm = 0640 };
		struct attr at;
		struct pair p;

		pair_open(&p);
		assert_int_equal(tree_setattr(p.b.tree,
					      look(&p.b, ROOT, "doc"), &s,
					      &at), 0);
		save_by_rename(&p.a, "new");
		exchange(&p, first);
		expect_file(&p.b, "doc", "new");
		assert_int_equal(tree_getattr(p.a.tree,
					      look(&p.a, ROOT, "doc"), &at),
				 0);
		assert_int_equal(at.mode & 07777, 0640);
		move(&p.b, "doc", "paper");
		save_by_rename(&p.a, "newer");
		exchange(&p, first);
		assert_int_equal(list(&p.a, ROOT, NULL, 0), 1);
		expect_file(&p.a, "paper", "newer");
		expect_id(&p.a, "paper", p.doc);
		/* An edit survives a removal that had not seen it. */
		move(&p.a, "paper", "doc");
		exchange(&p, true);
		rm(&p.b, "doc");
		save_by_rename(&p.a, "newest");
		exchange(&p, first);
		expect_file(&p.b, "doc", "newest");
		expect_id(&p.b, "doc", p.doc);
		pair_close(&p);
	}
}

/* Rule 12. */
static void test_two_adoptions(void **state)
{
	(void)state;
	for (int first = 0; first < 2; first++) {
		struct pair p;

		pair_open(&p);
		save_by_rename(&p.a, "by alice");
		p.b.now_ns = p.a.now_ns;
		save_by_rename(&p.b, "by bob");
		exchange(&p, first);
		expect_id(&p.a, "doc", p.doc);
		expect_file(&p.a, "doc", "by bob");
		assert_int_equal(list(&p.a, ROOT, NULL, 0), 2);
		save_by_rename(&p.a, "same");
		save_by_rename(&p.b, "same");
		pair_close(&p);
	}
}

/* Two files that claim one name: whichever is renamed over the other, the
 * name that was asked for shows it, and the other name is gone. */
static void test_rename_over_contestant(void **state)
{
	(void)state;
	for (int way = 0; way < 2; way++) {
		struct pair p;
		char name[256];

		pair_open(&p);
		make_file(&p.a, ROOT, "new", "by alice");
		make_file(&p.b, ROOT, "new", "by bob");
		merge_from(&p.a, &p.b);
		name_with(&p.a, ROOT, "(conflict", name);
		move(&p.a, way ? name : "new", way ? "new" : name);
		assert_int_equal(list(&p.a, ROOT, NULL, 0), 2);
		if (!way)
			assert_int_equal(look_error(&p.a, ROOT, "new"),
					 -ENOENT);
		expect_file(&p.a, way ? "new" : name,
			    way ? "by bob" : "by alice");
		exchange(&p, true);
		pair_close(&p);
	}
}

/* Rule 12: not adopted (a file of its own) against adopted. */
static void test_move_over_against_adoption(void **state)
{
	(void)state;
	for (int first = 0; first < 2; first++) {
		struct pair p;

		pair_open(&p);
		make_file(&p.b, ROOT, "other", "other");
		exchange(&p, true);
		later(&p.b, 2 * 3600 * 1000);
		p.a.now_ns = p.b.now_ns;
		move(&p.b, "other", "doc");
		save_by_rename(&p.a, "saved");
		exchange(&p, first);
		/* doc was saved by somebody who had not seen it go. */
		assert_int_equal(list(&p.a, ROOT, NULL, 0), 2);
		expect_file(&p.a, "doc", "other");
		pair_close(&p);
	}
}

/* Rule 13: a temporary that was sent, adopted, and edited elsewhere stays
 * under its own name. */
static void test_adopted_and_edited_elsewhere(void **state)
{
	(void)state;
	for (int first = 0; first < 2; first++) {
		struct pair p;

		pair_open(&p);
		make_file(&p.a, ROOT, ".doc.tmp", "new");
		exchange(&p, true);
		write_file(&p.b, look(&p.b, ROOT, ".doc.tmp"), "edited");
		move(&p.a, ".doc.tmp", "doc");
		exchange(&p, first);
		expect_file(&p.b, "doc", "new");
		expect_id(&p.b, "doc", p.doc);
		expect_file(&p.a, ".doc.tmp", "edited");
		assert_int_equal(list(&p.a, ROOT, NULL, 0), 2);
		assert_int_not_equal(look(&p.a, ROOT, ".doc.tmp"),
				     look(&p.a, ROOT, "doc"));
		/* ... renamed or unlinked elsewhere, it is gone (8, 10). */
		pair_close(&p);
	}
}

/* What is no save: an old file, one that was made elsewhere. Moved as any. */
static void test_not_adopted(void **state)
{
	struct objid id;
	struct pair p;

	(void)state;
	pair_open(&p);
	make_file(&p.a, ROOT, "old", "an old file");
	id = id_of(&p.a, "old");
	exchange(&p, true);
	later(&p.a, 3601 * 1000);
	p.b.now_ns = p.a.now_ns;
	move(&p.a, "old", "doc");
	expect_id(&p.a, "doc", id);
	make_file(&p.b, ROOT, "bobs", "bob's");
	exchange(&p, true);
	id = id_of(&p.a, "bobs");
	move(&p.a, "bobs", "doc");
	expect_id(&p.a, "doc", id);
	exchange(&p, true);
	pair_close(&p);
}

/* The target is one entry of several equal files: the save is of all. */
static void test_twins_of_target(void **state)
{
	struct fixture f, g;

	(void)state;
	fixture_open(&f, "alice", true);
	fixture_open(&g, "bob", false);
	merge_from(&g, &f);
	make_file(&f, ROOT, "doc", "twin");
	make_file(&g, ROOT, "doc", "twin");
	merge_from(&g, &f);
	merge_from(&f, &g);
	assert_int_equal(list(&f, ROOT, NULL, 0), 1);
	save_by_rename(&f, "new");
	assert_int_equal(list(&f, ROOT, NULL, 0), 1);
	expect_file(&f, "doc", "new");
	merge_from(&g, &f);
	assert_int_equal(list(&g, ROOT, NULL, 0), 1);
	expect_file(&g, "doc", "new");
	check_tree(&f);
	check_tree(&g);
	fixture_close(&f);
	fixture_close(&g);
}

/*
 * bob has an empty file of the name, a save of alice's goes over another that
 * has two names. Until the writer closes it, what she moved there is empty on
 * record, too; all the same it is no twin of bob's, whose file stays,
 * whatever she does with hers.
 */
static void empty_beside_save(bool remove)
{
	struct fixture f, g;
	char name[256];
	uint64_t ino;

	fixture_open(&f, "alice", true);
	fixture_open(&g, "bob", false);
	merge_from(&g, &f);
	make_file(&f, ROOT, "doc", "old");
	assert_int_equal(tree_link(f.tree, look(&f, ROOT, "doc"), ROOT,
				   SLICE_STR("other"), &(struct entry){ 0 }),
			 0);
	later(&g, 1000);
	make_file(&g, ROOT, "doc", "");
	merge_from(&f, &g);
	name_with(&f, ROOT, "conflict", name);
	ino = create_open(&f, "tmp");
	put(&f, ino, 0, "new");
	move(&f, "tmp", "doc");
	assert_int_equal(tree_setattr(f.tree, look(&f, ROOT, "doc"),
				      &(struct tree_setattr){
					      .set = TREE_SET_MTIME },
				      &(struct attr){ 0 }), 0);
	if (remove)
		rm(&f, "doc");
	tree_release_file(f.tree, ino, true);
	check_tree(&f);
	if (remove) {
		expect_file(&f, "doc", "");
	} else {
		expect_file(&f, "doc", "new");
		name_with(&f, ROOT, "conflict", name);
		expect_file(&f, name, "");
	}
	expect_file(&f, "other", "old");
	fixture_close(&f);
	fixture_close(&g);
}

static void test_empty_beside_save(void **state)
{
	(void)state;
	empty_beside_save(false);
	empty_beside_save(true);
}

/* An empty file of the name comes while a new one is written. */
static void empty_beside_new(bool crash)
{
	struct fixture f, g;
	uint64_t ino;

	fixture_open(&f, "alice", true);
	fixture_open(&g, "bob", false);
	merge_from(&g, &f);
	make_file(&g, ROOT, "doc", "");
	ino = create_open(&f, "doc");
	put(&f, ino, 0, "new");
	merge_from(&f, &g);
	assert_int_equal(list(&f, ROOT, NULL, 0), 2);
	if (crash) {
		commit(&f);
		fixture_crash(&f);
		assert_int_equal(list(&f, ROOT, NULL, 0), 2);
		assert_true(tree_cut_due(f.tree));
	} else {
		tree_release_file(f.tree, ino, true);
	}
	assert_int_equal(list(&f, ROOT, NULL, 0), 2);
	check_tree(&f);
	/* Once it was closed, an empty one is a twin as any. */
	make_file(&f, ROOT, "other", "");
	make_file(&g, ROOT, "other", "");
	merge_from(&f, &g);
	assert_int_equal(list(&f, ROOT, NULL, 0), 3);
	write_file(&f, look(&f, ROOT, "other"), "text");
	assert_int_equal(list(&f, ROOT, NULL, 0), 3);
	fixture_close(&f);
	fixture_close(&g);
}

static void test_empty_beside_new(void **state)
{
	(void)state;
	empty_beside_new(false);
	empty_beside_new(true);
}

static void set_xattr(struct fixture *f, const char *file, const char *name,
		      const char *value)
{
	assert_int_equal(tree_setxattr(f->tree, look(f, ROOT, file),
				       SLICE_STR(name), SLICE_STR(value), 0),
			 0);
}

static void expect_xattr(struct fixture *f, const char *file,
			 const char *name, const char *value)
{
	struct buf b = BUF_INIT;

	assert_int_equal(tree_getxattr(f->tree, look(f, ROOT, file),
				       SLICE_STR(name), &b),
			 value ? 0 : -ENODATA);
	if (value)
		assert_true(slice_equal(buf_slice(&b), SLICE_STR(value)));
	buf_release(&b);
}

/* A save brings its own extended attributes, and those of what was there
 * go, as they do where it is another file. */
static void test_xattrs(void **state)
{
	struct pair p;

	(void)state;
	pair_open(&p);
	set_xattr(&p.a, "doc", "user.tag", "of the old");
	set_xattr(&p.a, "doc", "user.both", "old");
	make_file(&p.a, ROOT, ".doc.tmp", "new");
	set_xattr(&p.a, ".doc.tmp", "user.both", "new");
	set_xattr(&p.a, ".doc.tmp", "user.more", "more");
	move(&p.a, ".doc.tmp", "doc");
	exchange(&p, true);
	expect_xattr(&p.b, "doc", "user.tag", NULL);
	expect_xattr(&p.b, "doc", "user.both", "new");
	expect_xattr(&p.b, "doc", "user.more", "more");
	save_by_backup(&p.a, "newer", true);
	exchange(&p, true);
	expect_xattr(&p.b, "doc", "user.both", NULL);
	expect_xattr(&p.b, "doc~", "user.more", "more");
	expect_xattr(&p.b, "doc~", "user.both", "new");
	pair_close(&p);
}

/* ---- handles and unsent writes */

/* Renamed before its close: the handle writes to the file now named so, and
 * no half of it is a version. */
static void test_renamed_while_written(void **state)
{
	struct pair p;
	struct attr at;
	uint64_t ino, lseq;

	(void)state;
	pair_open(&p);
	ino = create_open(&p.a, ".doc.tmp");
	put(&p.a, ino, 0, "half");
	move(&p.a, ".doc.tmp", "doc");
	assert_int_equal(look(&p.a, ROOT, "doc"), ino);
	expect_file(&p.a, "doc", "half");
	assert_int_equal(tree_getattr(p.a.tree, ino, &at), 0);
	assert_int_equal(at.size, 4);
	merge_from(&p.b, &p.a);
	expect_file(&p.b, "doc", "old");
	assert_int_equal(rows(&p.b), rows(&p.a));
	put(&p.a, ino, 4, " and half");
	expect_file(&p.a, "doc", "half and half");
	lseq = replica_lseq(p.a.tree);
	tree_release_file(p.a.tree, ino, true);
	assert_int_equal(replica_lseq(p.a.tree), lseq + 1);
	merge_from(&p.b, &p.a);
	expect_file(&p.b, "doc", "half and half");
	expect_id(&p.b, "doc", p.doc);
	pair_close(&p);
}

/* The same with nothing written yet: others never see it empty. */
static void test_renamed_before_written(void **state)
{
	struct pair p;
	uint64_t ino;

	(void)state;
	pair_open(&p);
	ino = create_open(&p.a, ".doc.tmp");
	move(&p.a, ".doc.tmp", "doc");
	expect_file(&p.a, "doc", "");
	merge_from(&p.b, &p.a);
	expect_file(&p.b, "doc", "old");
	put(&p.a, ino, 0, "new");
	tree_release_file(p.a.tree, ino, true);
	merge_from(&p.b, &p.a);
	expect_file(&p.b, "doc", "new");
	/* ... and if nothing comes, it is empty. */
	ino = create_open(&p.a, ".doc.tmp");
	move(&p.a, ".doc.tmp", "doc");
	tree_release_file(p.a.tree, ino, true);
	merge_from(&p.b, &p.a);
	expect_file(&p.b, "doc", "");
	expect_id(&p.b, "doc", p.doc);
	pair_close(&p);
}

/* What was not written has its time, as any file that is renamed. */
static void test_time_of_renamed_before_written(void **state)
{
	struct tree_setattr s = { .set = TREE_SET_MTIME,
				  .mtime = { .tv_sec = 1000, .tv_nsec = 7 } };
	struct attr a;
	struct pair p;
	uint64_t ino;

	(void)state;
	pair_open(&p);
	ino = create_open(&p.a, ".doc.tmp");
	assert_int_equal(tree_setattr(p.a.tree, ino, &s, &a), 0);
	later(&p.a, 1000);
	move(&p.a, ".doc.tmp", "doc");
	assert_int_equal(tree_getattr(p.a.tree, ino, &a), 0);
	assert_int_equal(a.mtime.tv_sec, 1000);
	assert_int_equal(a.mtime.tv_nsec, 7);
	tree_release_file(p.a.tree, ino, true);
	merge_from(&p.b, &p.a);
	assert_int_equal(tree_getattr(p.b.tree, look(&p.b, ROOT, "doc"), &a),
			 0);
	assert_int_equal(a.mtime.tv_sec, 1000);
	assert_int_equal(a.mtime.tv_nsec, 7);
	pair_close(&p);
}

/* It had a version already, and unsent writes on top of that: they are not
 * mixed with what the target held. */
static void test_renamed_with_a_version(void **state)
{
	struct pair p;
	uint64_t ino;

	(void)state;
	pair_open(&p);
	ino = create_open(&p.a, ".doc.tmp");
	put(&p.a, ino, 0, "0123456789");
	later(&p.a, 6000);
	tree_cut_due(p.a.tree);
	put(&p.a, ino, 2, "xx");
	move(&p.a, ".doc.tmp", "doc");
	expect_file(&p.a, "doc", "01xx456789");
	put(&p.a, ino, 4, "yy");
	tree_release_file(p.a.tree, ino, true);
	expect_file(&p.a, "doc", "01xxyy6789");
	expect_id(&p.a, "doc", p.doc);
	merge_from(&p.b, &p.a);
	expect_file(&p.b, "doc", "01xxyy6789");
	pair_close(&p);
}

/* Unsent writes outlive a crash, as the file that they are now. */
static void test_crash_after_rename(void **state)
{
	struct pair p;
	uint64_t ino;

	(void)state;
	pair_open(&p);
	ino = create_open(&p.a, ".doc.tmp");
	put(&p.a, ino, 0, "unsent");
	move(&p.a, ".doc.tmp", "doc");
	fixture_crash(&p.a);
	expect_file(&p.a, "doc", "unsent");
	tree_cut_due(p.a.tree);
	expect_file(&p.a, "doc", "unsent");
	expect_id(&p.a, "doc", p.doc);
	exchange(&p, true);
	expect_file(&p.b, "doc", "unsent");
	pair_close(&p);
}

struct closer {
	struct fixture *f;
	uint64_t ino;
};

static int64_t wall_still(void *arg)
{
	const struct fixture *f = arg;

	return f->now_ns;
}

static uint64_t monotonic_still(void *arg)
{
	const struct fixture *f = arg;

	return (uint64_t)f->now_ns;
}

static void *close_late(void *arg)
{
	struct closer *c = arg;

	tree_release_file(c->f->tree, c->ino, true);
	return NULL;
}

/* The close is on its way, and a version being made, while the file is
 * renamed: as with the kernel, which does not wait for it. */
static void test_renamed_while_closed(void **state)
{
	static char bytes[300000];
	struct pair p;

	(void)state;
	pair_open(&p);
	p.a.env.now_ns = wall_still; /* no race on the fixture's clock */
	p.a.env.monotonic_ns = monotonic_still;
	for (int k = 0; k < 60; k++) {
		struct closer c = { .f = &p.a };
		struct timespec nap = { .tv_nsec = k * 50000 };
		pthread_t thread;

		c.ino = create_open(&p.a, ".doc.tmp");
		memset(bytes, 'a' + k % 26, sizeof(bytes) - 1);
		put(&p.a, c.ino, 0, bytes);
		assert_int_equal(pthread_create(&thread, NULL, close_late, &c),
				 0);
		nanosleep(&nap, NULL);
		move(&p.a, ".doc.tmp", "doc");
		assert_int_equal(pthread_join(thread, NULL), 0);
		expect_id(&p.a, "doc", p.doc);
		assert_int_equal(look(&p.a, ROOT, "doc"), c.ino);
		expect_file(&p.a, "doc", bytes);
		assert_int_equal(tree_cut_settled(p.a.tree, 0), 0);
		assert_int_equal(rows(&p.a), rows(&p.b));
	}
	pair_close(&p);
}

/* An edit from elsewhere arrives between the rename and the close. */
static void test_edit_before_close(void **state)
{
	struct pair p;
	char name[256];
	uint64_t ino;

	(void)state;
	pair_open(&p);
	ino = create_open(&p.a, ".doc.tmp");
	put(&p.a, ino, 0, "by alice");
	write_file(&p.b, look(&p.b, ROOT, "doc"), "by bob");
	move(&p.a, ".doc.tmp", "doc");
	merge_from(&p.a, &p.b);
	expect_bytes(&p.a, ino, "by alice");
	put(&p.a, ino, 8, "!");
	tree_release_file(p.a.tree, ino, true);
	exchange(&p, true);
	assert_int_equal(list(&p.a, ROOT, NULL, 0), 2);
	name_with(&p.a, ROOT, "conflict bob", name);
	expect_file(&p.a, name, "by bob");
	expect_file(&p.a, "doc", "by alice!");
	expect_id(&p.a, "doc", p.doc);
	pair_close(&p);
}

/* Readers and writers of the old file keep it; it has no name. */
static void test_handles_of_the_target(void **state)
{
	struct pair p;
	struct attr at;

	(void)state;
	pair_open(&p);
	assert_int_equal(tree_open_file(p.a.tree, p.ino, false), 0);
	assert_int_equal(tree_open_file(p.a.tree, p.ino, true), 0);
	save_by_rename(&p.a, "new");
	expect_bytes(&p.a, p.ino, "old");
	put(&p.a, p.ino, 3, "er");
	expect_bytes(&p.a, p.ino, "older");
	expect_file(&p.a, "doc", "new");
	assert_int_equal(tree_getattr(p.a.tree, p.ino, &at), 0);
	assert_int_equal(at.nlink, 0);
	later(&p.a, 60000);
	tree_cut_due(p.a.tree);
	tree_release_file(p.a.tree, p.ino, true);
	expect_bytes(&p.a, p.ino, "older");
	tree_release_file(p.a.tree, p.ino, false);
	assert_int_equal(tree_getattr(p.a.tree, p.ino, &at), -ESTALE);
	assert_int_equal(tree_cut_settled(p.a.tree, 0), 0);
	expect_file(&p.a, "doc", "new");
	exchange(&p, true);
	assert_int_equal(list(&p.b, ROOT, NULL, 0), 1);
	expect_file(&p.b, "doc", "new");
	pair_close(&p);
}

/* ---- backups */

static void test_backup_unlinked(void **state)
{
	struct pair p;
	uint64_t before, old = 0;

	(void)state;
	pair_open(&p);
	before = rows(&p.b);
	for (int k = 0; k < 3; k++) {
		save_by_backup(&p.a, k % 2 ? "odd" : "even", false);
		expect_id(&p.a, "doc", p.doc);
		assert_int_equal(list(&p.a, ROOT, NULL, 0), 1);
		expect_file(&p.a, "doc", k % 2 ? "odd" : "even");
		assert_int_not_equal(look(&p.a, ROOT, "doc"), old);
		old = look(&p.a, ROOT, "doc");
		assert_int_equal(rows(&p.a), before);
		merge_from(&p.b, &p.a);
		expect_file(&p.b, "doc", k % 2 ? "odd" : "even");
		expect_id(&p.b, "doc", p.doc);
		assert_int_equal(rows(&p.b), before);
	}
	pair_close(&p);
}

/* The close comes after the unlink: closes are told when the kernel likes. */
static void test_backup_unlinked_before_close(void **state)
{
	struct pair p;
	uint64_t before, ino;

	(void)state;
	pair_open(&p);
	before = rows(&p.b);
	move(&p.a, "doc", "doc~");
	ino = create_open(&p.a, "doc");
	put(&p.a, ino, 0, "new");
	rm(&p.a, "doc~");
	assert_int_equal(look(&p.a, ROOT, "doc"), ino);
	expect_file(&p.a, "doc", "new");
	put(&p.a, ino, 3, "er");
	tree_release_file(p.a.tree, ino, true);
	expect_file(&p.a, "doc", "newer");
	expect_id(&p.a, "doc", p.doc);
	assert_int_equal(rows(&p.a), before);
	merge_from(&p.b, &p.a);
	expect_file(&p.b, "doc", "newer");
	expect_id(&p.b, "doc", p.doc);
	assert_int_equal(rows(&p.b), before);
	pair_close(&p);
}

/*
 * The save goes on in a merged directory, and the one of those merged that
 * the file was made in is removed elsewhere meanwhile: the name that returns
 * is in what is left of it.
 */
static void test_backup_in_merged_directory(void **state)
{
	struct fixture f, g, h;
	uint64_t dir, ino;

	(void)state;
	for (int kept = 0; kept < 2; kept++) {
		fixture_open(&f, "alice", true);
		fixture_open(&g, "bob", false);
		fixture_open(&h, "carol", false);
		merge_from(&g, &f);
		/* (the older one stands for both) */
		make_file(&g, make_dir(&g, ROOT, "d"), "bob's", "text");
		later(&f, 1000);
		dir = make_dir(&f, ROOT, "d");
		merge_from(&h, &f);
		make_file(&f, dir, "doc", "old");
		merge_from(&f, &g);
		dir = look(&f, ROOT, "d");
		assert_int_equal(list(&f, dir, NULL, 0), 2);
		assert_int_equal(tree_rename(f.tree, dir, SLICE_STR("doc"),
					     dir, SLICE_STR("doc~"), 0), 0);
		ino = create_open_in(&f, dir, "doc");
		put(&f, ino, 0, "new");
		assert_int_equal(tree_rmdir(h.tree, ROOT, SLICE_STR("d")), 0);
		merge_from(&f, &h);
		dir = look(&f, ROOT, "d");
		if (!kept)
			assert_int_equal(tree_unlink(f.tree, dir,
						     SLICE_STR("doc~")), 0);
		tree_release_file(f.tree, ino, true);
		expect_bytes(&f, look(&f, dir, "doc"), "new");
		assert_int_equal(list(&f, dir, NULL, 0), 2 + (size_t)kept);
		check_tree(&f);
		fixture_close(&f);
		fixture_close(&g);
		fixture_close(&h);
	}
}

/* The backup is kept: it is the new object, and the old one is doc. Nobody
 * sees a number or a byte change. */
static void test_backup_kept(void **state)
{
	struct pair p;
	struct attr at;
	uint64_t doc;

	(void)state;
	pair_open(&p);
	move(&p.a, "doc", "doc~");
	doc = create_open(&p.a, "doc");
	put(&p.a, doc, 0, "new");
	assert_int_equal(tree_open_file(p.a.tree, p.ino, false), 0);
	tree_release_file(p.a.tree, doc, true);
	expect_id(&p.a, "doc", p.doc);
	assert_int_equal(look(&p.a, ROOT, "doc"), doc);
	assert_int_equal(look(&p.a, ROOT, "doc~"), p.ino);
	expect_bytes(&p.a, p.ino, "old");
	assert_int_equal(tree_getattr(p.a.tree, p.ino, &at), 0);
	assert_int_equal(at.nlink, 1);
	expect_file(&p.a, "doc", "new");
	tree_release_file(p.a.tree, p.ino, false);
	expect_file(&p.a, "doc~", "old");
	merge_from(&p.b, &p.a);
	pair_equal(&p);
	expect_id(&p.b, "doc", p.doc);
	expect_file(&p.b, "doc", "new");
	expect_file(&p.b, "doc~", "old");
	fixture_crash(&p.a);
	expect_file(&p.a, "doc~", "old");
	/* Both are ordinary files from then on. */
	write_file(&p.a, look(&p.a, ROOT, "doc~"), "older");
	write_file(&p.b, look(&p.b, ROOT, "doc"), "newer");
	exchange(&p, true);
	expect_file(&p.a, "doc", "newer");
	expect_file(&p.b, "doc~", "older");
	assert_int_equal(list(&p.a, ROOT, NULL, 0), 2);
	pair_close(&p);
}

/* The old one is being written when the new one is complete, so it stays the
 * backup. A save of the new one does not make them change later, when others
 * have edited them as what they are. */
static void test_backup_while_written(void **state)
{
	(void)state;
	for (int how = 0; how < 2; how++) {
		struct objid doc;
		struct pair p;
		uint64_t ino;

		pair_open(&p);
		assert_int_equal(tree_open_file(p.a.tree, p.ino, true), 0);
		move(&p.a, "doc", "doc~");
		make_file(&p.a, ROOT, "doc", "new");
		doc = id_of(&p.a, "doc");
		assert_false(objid_equal(doc, p.doc));
		tree_release_file(p.a.tree, p.ino, true);
		later(&p.a, 1000);
		if (how) {
			write_file(&p.a, look(&p.a, ROOT, "doc"), "newer");
		} else {
			ino = create_open(&p.a, ".doc.tmp");
			put(&p.a, ino, 0, "newer");
			move(&p.a, ".doc.tmp", "doc");
			tree_release_file(p.a.tree, ino, true);
		}
		expect_id(&p.a, "doc", doc);
		expect_id(&p.a, "doc~", p.doc);
		expect_file(&p.a, "doc", "newer");
		expect_file(&p.a, "doc~", "old");
		pair_close(&p);
	}
}

/* A temporary moved into the place that the old one left. */
static void test_backup_and_move(void **state)
{
	(void)state;
	for (int keep = 0; keep < 2; keep++) {
		struct pair p;
		uint64_t new;

		pair_open(&p);
		new = make_file(&p.a, ROOT, "A1B2.tmp", "new");
		move(&p.a, "doc", "C3D4.tmp");
		move(&p.a, "A1B2.tmp", "doc");
		assert_int_equal(look(&p.a, ROOT, "doc"), new);
		if (!keep)
			rm(&p.a, "C3D4.tmp");
		expect_id(&p.a, "doc", p.doc);
		expect_file(&p.a, "doc", "new");
		merge_from(&p.b, &p.a);
		pair_equal(&p);
		expect_file(&p.b, "doc", "new");
		assert_int_equal(rows(&p.b), 2 + keep);
		if (keep)
			expect_file(&p.b, "C3D4.tmp", "old");
		pair_close(&p);
	}
}

static void hard_link(struct fixture *f, const char *from, const char *to)
{
	struct entry e;

	assert_int_equal(tree_link(f->tree, look(f, ROOT, from), ROOT,
				   SLICE_STR(to), &e), 0);
}

/* A second name for the backup, then a temporary over the first, which is
 * still open. Each name keeps its bytes and number. */
static void test_backup_by_link(void **state)
{
	(void)state;
	for (int how = 0; how < 4; how++) {
		bool unlinks = how & 1, sent = how & 2;
		struct pair p;
		struct attr at;
		uint64_t new;

		pair_open(&p);
		new = create_open(&p.a, ".doc.tmp");
		put(&p.a, new, 0, "new");
		set_xattr(&p.a, "doc", "user.old", "1");
		set_xattr(&p.a, ".doc.tmp", "user.new", "2");
		hard_link(&p.a, "doc", "doc~");
		assert_int_equal(tree_open_file(p.a.tree, p.ino, true), 0);
		if (sent)
			merge_from(&p.b, &p.a);
		move(&p.a, ".doc.tmp", "doc");
		put(&p.a, new, 3, "er");
		assert_int_equal(look(&p.a, ROOT, "doc"), new);
		assert_int_equal(look(&p.a, ROOT, "doc~"), p.ino);
		/* Each has what it had. */
		expect_xattr(&p.a, "doc", "user.old", NULL);
		expect_xattr(&p.a, "doc", "user.new", "2");
		expect_xattr(&p.a, "doc~", "user.old", "1");
		expect_xattr(&p.a, "doc~", "user.new", NULL);
		for (int k = 0; k < 2; k++) {
			assert_int_equal(tree_getattr(p.a.tree,
						      k ? new : p.ino, &at),
					 0);
			assert_int_equal(at.nlink, 1);
		}
		if (unlinks)
			rm(&p.a, "doc~");
		tree_release_file(p.a.tree, new, true);
		expect_file(&p.a, "doc", "newer");
		expect_bytes(&p.a, p.ino, "old");
		/* A handle of the old file writes to the backup. */
		put(&p.a, p.ino, 0, "OLD");
		tree_release_file(p.a.tree, p.ino, true);
		expect_id(&p.a, "doc", p.doc);
		exchange(&p, true);
		expect_id(&p.b, "doc", p.doc);
		expect_file(&p.b, "doc", "newer");
		assert_int_equal(list(&p.b, ROOT, NULL, 0), unlinks ? 1 : 2);
		if (!unlinks)
			expect_file(&p.b, "doc~", "OLD");
		fixture_crash(&p.a);
		expect_file(&p.a, "doc", "newer");
		pair_close(&p);
	}
}

/* Two names for good: one of them is replaced, as rename(2) says. */
static void test_no_backup_by_link(void **state)
{
	(void)state;
	for (int how = 0; how < 4; how++) {
		struct pair p;
		uint64_t ino;

		pair_open(&p);
		hard_link(how == 1 ? &p.b : &p.a, "doc", "other");
		exchange(&p, true);
		if (how == 0)
			later(&p.a, 11000);
		if (how == 2)
			hard_link(&p.a, "doc", "third");
		ino = look(&p.a, ROOT, "doc");
		if (how == 3) { /* it has unsent writes */
			assert_int_equal(tree_open_file(p.a.tree, ino, true),
					 0);
			put(&p.a, ino, 3, "er");
		}
		save_by_rename(&p.a, "new");
		expect_file(&p.a, "doc", "new");
		expect_file(&p.a, "other", how == 3 ? "older" : "old");
		expect_id(&p.a, "other", p.doc);
		if (how == 3) {
			tree_release_file(p.a.tree, ino, true);
			expect_file(&p.a, "other", "older");
		}
		exchange(&p, true);
		expect_id(&p.b, "other", p.doc);
		pair_close(&p);
	}
}

/* A file is no temporary of a younger one: moved over its backup, it comes
 * back with the next save, however often. */
static void test_backup_over_backup(void **state)
{
	static const char *const texts[] = { "old", "1st", "2nd", "3rd" };

	(void)state;
	for (int old = 0; old < 2; old++) {
		struct pair p;

		pair_open(&p);
		if (old)
			later(&p.a, 2 * 3600 * 1000);
		for (int k = 1; k < 4; k++) {
			uint64_t ino = look(&p.a, ROOT, "doc");

			save_by_backup(&p.a, texts[k], true);
			expect_id(&p.a, "doc", p.doc);
			expect_file(&p.a, "doc", texts[k]);
			expect_file(&p.a, "doc~", texts[k - 1]);
			assert_int_equal(look(&p.a, ROOT, "doc~"), ino);
			exchange(&p, true);
			assert_int_equal(list(&p.b, ROOT, NULL, 0), 2);
		}
		pair_close(&p);
	}
}

/* Somebody else edits, renames, or removes the file meanwhile: it is a
 * write of the file for all of them (4, 20, 5). */
static void test_backup_against_others(void **state)
{
	(void)state;
	for (int k = 0; k < 4; k++) {
		bool keep = k & 1, first = k & 2;
		struct pair p;
		char name[256];

		pair_open(&p);
		save_by_backup(&p.a, "by alice", keep);
		p.b.now_ns = p.a.now_ns;
		write_file(&p.b, look(&p.b, ROOT, "doc"), "by bob");
		exchange(&p, first);
		expect_id(&p.a, "doc", p.doc);
		expect_file(&p.a, "doc", "by bob");
		name_with(&p.a, ROOT, "conflict alice", name);
		expect_file(&p.a, name, "by alice");
		assert_int_equal(list(&p.a, ROOT, NULL, 0), 2 + keep);
		pair_close(&p);

		pair_open(&p);
		move(&p.b, "doc", "paper");
		save_by_backup(&p.a, "by alice", keep);
		exchange(&p, first);
		expect_id(&p.a, "paper", p.doc);
		expect_file(&p.a, "paper", "by alice");
		assert_int_equal(list(&p.a, ROOT, NULL, 0), 1 + keep);
		pair_close(&p);

		pair_open(&p);
		rm(&p.b, "doc");
		save_by_backup(&p.a, "by alice", keep);
		exchange(&p, first);
		expect_id(&p.a, "doc", p.doc);
		expect_file(&p.a, "doc", "by alice");
		assert_int_equal(list(&p.a, ROOT, NULL, 0), 1 + keep);
		pair_close(&p);
	}
}

/* Others heard of the first half of it: the name returns all the same. */
static void test_backup_heard_of(void **state)
{
	(void)state;
	for (int when = 0; when < 3; when++) {
		struct pair p;
		uint64_t ino;

		pair_open(&p);
		move(&p.a, "doc", "doc~");
		if (when == 0)
			merge_from(&p.b, &p.a);
		ino = create_open(&p.a, "doc");
		if (when == 1)
			merge_from(&p.b, &p.a);
		put(&p.a, ino, 0, "new");
		tree_release_file(p.a.tree, ino, true);
		if (when == 2) {
			merge_from(&p.b, &p.a);
			expect_file(&p.b, "doc~", "old");
		}
		rm(&p.a, "doc~");
		exchange(&p, true);
		expect_id(&p.b, "doc", p.doc);
		expect_file(&p.b, "doc", "new");
		assert_int_equal(list(&p.b, ROOT, NULL, 0), 1);
		pair_close(&p);
	}
}

/* What is no save: too late, the old file is written on, another name, the
 * file was changed elsewhere meanwhile. All stay what they are. */
static void test_no_backup(void **state)
{
	struct objid id;
	struct pair p;

	(void)state;
	pair_open(&p);
	move(&p.a, "doc", "doc.1");
	later(&p.a, 11000);
	make_file(&p.a, ROOT, "doc", "a new one");
	expect_id(&p.a, "doc.1", p.doc);
	expect_file(&p.a, "doc.1", "old");
	rm(&p.a, "doc.1");
	assert_int_equal(list(&p.a, ROOT, NULL, 0), 1);
	/* A log that is rotated: its writer goes on. */
	id = id_of(&p.a, "doc");
	assert_int_equal(tree_open_file(p.a.tree, look(&p.a, ROOT, "doc"),
					true), 0);
	p.ino = look(&p.a, ROOT, "doc");
	move(&p.a, "doc", "doc.1");
	make_file(&p.a, ROOT, "doc", "log");
	put(&p.a, p.ino, 9, "!");
	tree_release_file(p.a.tree, p.ino, true);
	expect_id(&p.a, "doc.1", id);
	expect_file(&p.a, "doc.1", "a new one!");
	expect_file(&p.a, "doc", "log");
	/* Moved on: its name is another's for good. */
	id = id_of(&p.a, "doc");
	move(&p.a, "doc", "x");
	move(&p.a, "x", "y");
	make_file(&p.a, ROOT, "doc", "third");
	expect_id(&p.a, "y", id);
	rm(&p.a, "y");
	expect_file(&p.a, "doc", "third");
	/* ... and of two that left a name, the last one gets it back. */
	id = id_of(&p.a, "doc");
	move(&p.a, "doc", "doc~");
	expect_file(&p.a, "doc~", "third");
	make_file(&p.a, ROOT, "doc", "fourth");
	rm(&p.a, "doc~");
	expect_id(&p.a, "doc", id);
	expect_file(&p.a, "doc", "fourth");
	exchange(&p, true);
	/* Edited elsewhere, and that came before the end of the save. */
	write_file(&p.b, look(&p.b, ROOT, "doc"), "by bob");
	id = id_of(&p.a, "doc");
	move(&p.a, "doc", "doc~");
	p.ino = create_open(&p.a, "doc");
	put(&p.a, p.ino, 0, "by alice");
	merge_from(&p.a, &p.b);
	tree_release_file(p.a.tree, p.ino, true);
	expect_id(&p.a, "doc~", id);
	expect_file(&p.a, "doc~", "by bob");
	expect_file(&p.a, "doc", "by alice");
	exchange(&p, true);
	pair_close(&p);
}

/* ---- without a trace */

/*
 * What goes without a trace is an operation all the same, where no row tells
 * of it: a member that has not even the root yet. Else what others are told
 * of it could be durable there, and that it went not.
 */
static void test_no_trace_but_a_number(void **state)
{
	struct fixture f;
	uint64_t before, after;

	(void)state;
	fixture_open(&f, "bob", false);
	make_file(&f, ROOT, "probe", "text");
	store_lock(f.store);
	before = know_get(replica_know(f.tree), replica_origin(f.tree));
	store_unlock(f.store);
	rm(&f, "probe");
	assert_int_equal(rows(&f), 0);
	store_lock(f.store);
	after = know_get(replica_know(f.tree), replica_origin(f.tree));
	store_unlock(f.store);
	assert_int_equal(after, before + 1);
	fixture_close(&f);
}

static void test_unlinked_without_trace(void **state)
{
	struct pair p;
	struct attr at;
	uint64_t before, ino;

	(void)state;
	pair_open(&p);
	before = rows(&p.a);
	ino = make_file(&p.a, ROOT, "4913", "");
	rm(&p.a, "4913");
	assert_int_equal(rows(&p.a), before);
	assert_int_equal(tree_getattr(p.a.tree, ino, &at), -ESTALE);
	/* Open, it lives as POSIX says. */
	ino = create_open(&p.a, "open");
	rm(&p.a, "open");
	put(&p.a, ino, 0, "bytes");
	expect_bytes(&p.a, ino, "bytes");
	tree_release_file(p.a.tree, ino, true);
	assert_int_equal(rows(&p.a), before + 1);
	/* Held by a commit, or a peer: a trace. */
	make_file(&p.a, ROOT, "committed", "");
	commit(&p.a);
	rm(&p.a, "committed");
	assert_int_equal(rows(&p.a), before + 2);
	make_file(&p.a, ROOT, "sent", "");
	merge_from(&p.b, &p.a);
	rm(&p.a, "sent");
	assert_int_equal(rows(&p.a), before + 3);
	merge_from(&p.b, &p.a);
	assert_int_equal(list(&p.b, ROOT, NULL, 0), 1);
	pair_close(&p);
}

/* ---- the instant of a cut */

static uint64_t unsettled_ms(struct fixture *f)
{
	uint64_t ns;

	store_lock(f->store);
	ns = replica_unsettled_ns(f->tree);
	store_unlock(f->store);
	return ns == UINT64_MAX ? ns : (ns + 999999) / 1000000;
}

static void test_unsettled(void **state)
{
	struct fixture f;
	uint64_t ino;

	(void)state;
	fixture_open(&f, "alice", true);
	assert_int_equal(unsettled_ms(&f), 0);
	make_dir(&f, ROOT, "dir");
	assert_int_equal(unsettled_ms(&f), 0);
	make_file(&f, ROOT, "doc", "old");
	assert_in_range(unsettled_ms(&f), 150, 200);
	later(&f, 200);
	assert_int_equal(unsettled_ms(&f), 0);
	/* An edit in place, a removal. */
	write_file(&f, look(&f, ROOT, "doc"), "older");
	assert_int_equal(unsettled_ms(&f), 0);
	/* Saves settle what they began. */
	ino = create_open(&f, "tmp");
	put(&f, ino, 0, "new");
	assert_int_equal(unsettled_ms(&f), UINT64_MAX);
	later(&f, 5000);
	assert_int_equal(unsettled_ms(&f), UINT64_MAX);
	tree_release_file(f.tree, ino, true);
	assert_int_equal(unsettled_ms(&f), 0);
	save_by_rename(&f, "new");
	assert_int_equal(unsettled_ms(&f), 0);
	move(&f, "doc", "doc~");
	assert_in_range(unsettled_ms(&f), 150, 200);
	make_file(&f, ROOT, "doc", "newer");
	assert_in_range(unsettled_ms(&f), 150, 200);
	rm(&f, "doc~");
	assert_int_equal(unsettled_ms(&f), 0);
	make_file(&f, ROOT, "lock", "");
	rm(&f, "lock");
	assert_int_equal(unsettled_ms(&f), 0);
	/* More than are looked at: nothing breaks, and all settles. */
	for (int k = 0; k < 3 * UNSETTLED_MAX; k++) {
		char name[16];

		snprintf(name, sizeof(name), "f%d", k);
		make_file(&f, ROOT, name, "x");
	}
	assert_int_not_equal(unsettled_ms(&f), 0);
	later(&f, 200);
	assert_int_equal(unsettled_ms(&f), 0);
	check_tree(&f);
	fixture_close(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_adopted),
		cmocka_unit_test(test_adopted_with_trace),
		cmocka_unit_test(test_adopted_the_same),
		cmocka_unit_test(test_adopted_after_restart),
		cmocka_unit_test(test_adoption_against_edit),
		cmocka_unit_test(test_adoption_against_names_and_attributes),
		cmocka_unit_test(test_two_adoptions),
		cmocka_unit_test(test_rename_over_contestant),
		cmocka_unit_test(test_move_over_against_adoption),
		cmocka_unit_test(test_adopted_and_edited_elsewhere),
		cmocka_unit_test(test_not_adopted),
		cmocka_unit_test(test_twins_of_target),
		cmocka_unit_test(test_empty_beside_save),
		cmocka_unit_test(test_empty_beside_new),
		cmocka_unit_test(test_xattrs),
		cmocka_unit_test(test_renamed_while_written),
		cmocka_unit_test(test_renamed_before_written),
		cmocka_unit_test(test_time_of_renamed_before_written),
		cmocka_unit_test(test_renamed_with_a_version),
		cmocka_unit_test(test_crash_after_rename),
		cmocka_unit_test(test_renamed_while_closed),
		cmocka_unit_test(test_edit_before_close),
		cmocka_unit_test(test_handles_of_the_target),
		cmocka_unit_test(test_backup_unlinked),
		cmocka_unit_test(test_backup_unlinked_before_close),
		cmocka_unit_test(test_backup_in_merged_directory),
		cmocka_unit_test(test_backup_kept),
		cmocka_unit_test(test_backup_while_written),
		cmocka_unit_test(test_backup_and_move),
		cmocka_unit_test(test_backup_by_link),
		cmocka_unit_test(test_no_backup_by_link),
		cmocka_unit_test(test_backup_over_backup),
		cmocka_unit_test(test_backup_against_others),
		cmocka_unit_test(test_backup_heard_of),
		cmocka_unit_test(test_no_backup),
		cmocka_unit_test(test_no_trace_but_a_number),
		cmocka_unit_test(test_unlinked_without_trace),
		cmocka_unit_test(test_unsettled),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
