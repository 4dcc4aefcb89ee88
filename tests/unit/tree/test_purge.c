/* SPDX-License-Identifier: Apache-2.0 */
/* The end of what was removed: which rows go, when, and what they leave. */
#include "tree_support.h"

#include <errno.h>
#include <stdio.h>

#include "fs/tree/decided.h"

#define ROOT TREE_ROOT_INO

/* ---- two or three nodes */

struct nodes {
	struct fixture a, b, c;
};

static void nodes_open(struct nodes *n)
{
	fixture_open(&n->a, "alpha", true);
	fixture_open(&n->b, "beta", false);
	fixture_open(&n->c, "gamma", false);
	merge_from(&n->b, &n->a);
	merge_from(&n->c, &n->a);
}

static void nodes_close(struct nodes *n)
{
	check_tree(&n->a);
	check_tree(&n->b);
	check_tree(&n->c);
	fixture_close(&n->a);
	fixture_close(&n->b);
	fixture_close(&n->c);
}

static void remove_file(struct fixture *f, uint64_t dir, const char *name)
{
	assert_int_equal(tree_unlink(f->tree, dir, SLICE_STR(name)), 0);
}

static void remove_dir(struct fixture *f, uint64_t dir, const char *name)
{
	assert_int_equal(tree_rmdir(f->tree, dir, SLICE_STR(name)), 0);
}

static void move(struct fixture *f, uint64_t from, const char *name,
		 uint64_t to, const char *new_name)
{
	assert_int_equal(tree_rename(f->tree, from, SLICE_STR(name), to,
				     SLICE_STR(new_name), 0), 0);
}

/* A cut table entry, as the core makes before it tells anybody of K. */
static void note_cut(struct fixture *f)
{
	int r;

	store_lock(f->store);
	assert_int_equal(replica_begin(f->tree), 0);
	r = replica_cut_note(f->tree);
	assert_int_equal(replica_end(f->tree, r), 0);
	store_unlock(f->store);
}

static struct know know_of(struct fixture *f)
{
	struct know k = KNOW_INIT;

	store_lock(f->store);
	assert_int_equal(know_copy(&k, replica_know(f->tree)), 0);
	store_unlock(f->store);
	return k;
}

/* One whole pass, with what this has and the other acknowledged. */
static struct replica_purged purge(struct fixture *f, const struct know *acked)
{
	struct know k = know_of(f);
	struct replica_purged all = { 0 }, p;

	know_meet(&k, acked);
	store_lock(f->store);
	do {
		assert_int_equal(replica_purge(f->tree, &k, 3, &p), 0);
		assert_true(p.looked <= 3);
		all.purged += p.purged;
		all.removed += p.removed;
	} while (!p.done);
	store_unlock(f->store);
	know_release(&k);
	check_tree(f);
	return all;
}

static struct replica_purged purge_with(struct fixture *f,
					struct fixture *other)
{
	struct know k = know_of(other);
	struct replica_purged p = purge(f, &k);

	know_release(&k);
	return p;
}

static int find_entry(void *arg, const struct replica_view_entry *e)
{
	struct {
		const char *path;
		struct objid id;
		bool found;
	} *a = arg;

	if (slice_equal(e->path, SLICE_STR(a->path))) {
		a->id = e->id;
		a->found = true;
	}
	return 0;
}

static struct objid id_of(struct fixture *f, const char *path)
{
	struct {
		const char *path;
		struct objid id;
		bool found;
	} a = { .path = path };

	assert_int_equal(replica_view(f->tree, find_entry, &a), 0);
	assert_true(a.found);
	return a.id;
}

static bool has_row(struct fixture *f, struct objid id)
{
	struct slice row;
	int r;

	store_lock(f->store);
	r = replica_row(f->tree, id, &row);
	store_unlock(f->store);
	assert_true(!r || r == -ENOENT);
	return !r;
}

static bool horizon_covers(struct fixture *f, const struct know *k)
{
	bool yes;

	store_lock(f->store);
	yes = know_leq(k, replica_horizon(f->tree));
	store_unlock(f->store);
	return yes;
}

static void expect_dead(struct fixture *f, uint64_t files, uint64_t bytes)
{
	struct replica_dead d;

	assert_int_equal(replica_dead(f->tree, &d), 0);
	assert_int_equal(d.files, files);
	assert_int_equal(d.bytes, bytes);
	assert_false(d.more);
}

/* ---- what goes */

/* What is kept until then is counted: contents, also of many in slices. */
static void test_kept_is_counted(void **state)
{
	struct nodes n;
	char name[16];

	(void)state;
	nodes_open(&n);
	for (int i = 0; i < 300; i++) {
		snprintf(name, sizeof(name), "f%d", i);
		make_file(&n.a, ROOT, name, i % 2 ? "four" : "");
	}
	expect_dead(&n.a, 0, 0);
	merge_from(&n.b, &n.a);
	for (int i = 0; i < 300; i++) {
		snprintf(name, sizeof(name), "f%d", i);
		remove_file(&n.a, ROOT, name);
	}
	expect_dead(&n.a, 150, 600);
	note_cut(&n.a);
	merge_from(&n.b, &n.a);
	purge_with(&n.a, &n.b);
	expect_dead(&n.a, 0, 0);
	expect_dead(&n.b, 150, 600);
	nodes_close(&n);
}

static void test_goes_when_acknowledged(void **state)
{
	struct nodes n;
	struct know before, after;
	struct objid id;
	uint64_t ino;
	struct attr attr;

	(void)state;
	nodes_open(&n);
	ino = make_file(&n.a, ROOT, "doc", "text");
	id = id_of(&n.a, "doc");
	merge_from(&n.b, &n.a);
	before = know_of(&n.b);
	remove_file(&n.a, ROOT, "doc");
	note_cut(&n.a);
	after = know_of(&n.a);
	/* What b has acknowledged does not cover the removal. */
	assert_int_equal(purge(&n.a, &before).purged, 0);
	assert_true(has_row(&n.a, id));
	assert_false(horizon_covers(&n.a, &after));
	merge_from(&n.b, &n.a);
	assert_int_equal(purge_with(&n.a, &n.b).purged, 1);
	assert_false(has_row(&n.a, id));
	assert_true(horizon_covers(&n.a, &after));
	assert_int_equal(tree_getattr(n.a.tree, ino, &attr), -ESTALE);
	/* Nothing is left to be done, also after a crash. */
	assert_int_equal(purge_with(&n.a, &n.b).purged, 0);
	fixture_crash(&n.a);
	assert_false(has_row(&n.a, id));
	assert_true(horizon_covers(&n.a, &after));
	know_release(&before);
	know_release(&after);
	nodes_close(&n);
}

/* Without an entry of the cut table nobody can have acknowledged it. */
static void test_stays_without_a_cut(void **state)
{
	struct nodes n;

	(void)state;
	nodes_open(&n);
	make_file(&n.a, ROOT, "doc", "text");
	note_cut(&n.a);
	merge_from(&n.b, &n.a);
	remove_file(&n.a, ROOT, "doc");
	merge_from(&n.b, &n.a);
	assert_int_equal(purge_with(&n.a, &n.b).purged, 0);
	note_cut(&n.a);
	assert_int_equal(purge_with(&n.a, &n.b).purged, 1);
	nodes_close(&n);
}

static void test_many_in_slices(void **state)
{
	struct nodes n;
	uint64_t dir;

	(void)state;
	nodes_open(&n);
	dir = make_dir(&n.a, ROOT, "d");
	for (int i = 0; i < 20; i++) {
		char name[16];

		snprintf(name, sizeof(name), "f%d", i);
		make_file(&n.a, dir, name, name);
	}
	merge_from(&n.b, &n.a);
	for (int i = 0; i < 20; i++) {
		char name[16];

		snprintf(name, sizeof(name), "f%d", i);
		remove_file(&n.a, dir, name);
	}
	remove_dir(&n.a, ROOT, "d");
	note_cut(&n.a);
	merge_from(&n.b, &n.a);
	assert_int_equal(purge_with(&n.a, &n.b).purged, 21);
	assert_int_equal(list(&n.a, ROOT, NULL, 0), 0);
	nodes_close(&n);
}

/* Deleted, revived, deleted again: the last change counts. */
static void test_last_change_counts(void **state)
{
	struct nodes n;
	struct know first;
	struct objid id;

	(void)state;
	nodes_open(&n);
	make_file(&n.a, ROOT, "doc", "text");
	id = id_of(&n.a, "doc");
	merge_from(&n.b, &n.a);
	write_file(&n.b, look(&n.b, ROOT, "doc"), "edited");
	remove_file(&n.a, ROOT, "doc");
	note_cut(&n.a);
	first = know_of(&n.a);
	merge_from(&n.a, &n.b); /* it is back */
	assert_int_equal(purge(&n.a, &first).purged, 0);
	remove_file(&n.a, ROOT, "doc");
	note_cut(&n.a);
	/* The first death is acknowledged, the second is not. */
	assert_int_equal(purge(&n.a, &first).purged, 0);
	assert_true(has_row(&n.a, id));
	merge_from(&n.b, &n.a);
	assert_int_equal(purge_with(&n.a, &n.b).purged, 1);
	know_release(&first);
	nodes_close(&n);
}

/* ---- what is held */

/* A rename that lost still names its directory as parent. */
static void test_named_by_a_loser(void **state)
{
	struct nodes n;
	uint64_t one, two;
	struct objid id;
	bool lost_one;

	(void)state;
	nodes_open(&n);
	make_dir(&n.a, ROOT, "one");
	make_dir(&n.a, ROOT, "two");
	make_file(&n.a, ROOT, "f", "text");
	merge_from(&n.b, &n.a);
	one = look(&n.a, ROOT, "one");
	two = look(&n.b, ROOT, "two");
	move(&n.a, ROOT, "f", one, "f");
	move(&n.b, ROOT, "f", two, "f");
	merge_from(&n.a, &n.b);
	lost_one = look_error(&n.a, look(&n.a, ROOT, "one"), "f") == -ENOENT;
	id = id_of(&n.a, lost_one ? "one" : "two");
	remove_dir(&n.a, ROOT, lost_one ? "one" : "two");
	note_cut(&n.a);
	merge_from(&n.b, &n.a);
	assert_int_equal(purge_with(&n.a, &n.b).purged, 0);
	assert_true(has_row(&n.a, id));
	/* The next move ends the conflict, and with it the name. */
	move(&n.a, look(&n.a, ROOT, lost_one ? "two" : "one"), "f", ROOT, "f");
	note_cut(&n.a);
	merge_from(&n.b, &n.a);
	assert_int_equal(purge_with(&n.a, &n.b).purged, 1);
	assert_false(has_row(&n.a, id));
	nodes_close(&n);
}

/* What is open can be written, and then lives again: in its directory. */
static void test_open_file_holds(void **state)
{
	struct nodes n;
	uint64_t dir, ino;
	struct objid file, parent;

	(void)state;
	nodes_open(&n);
	dir = make_dir(&n.a, ROOT, "d");
	ino = make_file(&n.a, dir, "f", "text");
	file = id_of(&n.a, "d/f");
	parent = id_of(&n.a, "d");
	merge_from(&n.b, &n.a);
	assert_int_equal(tree_open_file(n.a.tree, ino, false), 0);
	remove_file(&n.b, look(&n.b, ROOT, "d"), "f");
	remove_dir(&n.b, ROOT, "d");
	merge_from(&n.a, &n.b);
	note_cut(&n.a);
	assert_int_equal(purge_with(&n.a, &n.b).purged, 0);
	assert_true(has_row(&n.a, file));
	assert_true(has_row(&n.a, parent));
	tree_release_file(n.a.tree, ino, false);
	assert_int_equal(purge_with(&n.a, &n.b).purged, 2);
	nodes_close(&n);
}

/* A keep-stamp holds a directory that is empty again: by an event, then. */
static void test_weak_only_directory(void **state)
{
	struct nodes n;
	struct objid dir;
	struct replica_purged p;

	(void)state;
	nodes_open(&n);
	make_file(&n.a, make_dir(&n.a, ROOT, "d"), "f", "text");
	dir = id_of(&n.a, "d");
	merge_from(&n.b, &n.a);
	remove_file(&n.a, look(&n.a, ROOT, "d"), "f");
	remove_dir(&n.a, ROOT, "d");
	write_file(&n.b, look(&n.b, look(&n.b, ROOT, "d"), "f"), "edited");
	merge_from(&n.a, &n.b);
	expect_bytes(&n.a, look(&n.a, look(&n.a, ROOT, "d"), "f"), "edited");
	merge_from(&n.b, &n.a);
	/* It is not empty: nothing happens. */
	note_cut(&n.a);
	p = purge_with(&n.a, &n.b);
	assert_int_equal(p.purged + p.removed, 0);
	remove_file(&n.b, look(&n.b, ROOT, "d"), "f");
	merge_from(&n.a, &n.b);
	note_cut(&n.a);
	p = purge_with(&n.a, &n.b);
	assert_int_equal(p.purged, 1); /* the file */
	assert_int_equal(p.removed, 1);
	assert_true(has_row(&n.a, dir));
	/* The event is news; once it is acknowledged the row goes. */
	note_cut(&n.a);
	assert_int_equal(purge_with(&n.a, &n.b).purged, 0);
	merge_from(&n.b, &n.a);
	assert_int_equal(purge_with(&n.a, &n.b).purged, 1);
	assert_false(has_row(&n.a, dir));
	note_cut(&n.b);
	assert_int_equal(purge_with(&n.b, &n.a).purged, 2);
	assert_false(has_row(&n.b, dir));
	nodes_close(&n);
}

/* ---- rm -r against a move */

static void make_tree(struct nodes *n)
{
	uint64_t d = make_dir(&n->a, ROOT, "d");
	uint64_t sub = make_dir(&n->a, d, "sub");

	make_file(&n->a, d, "f", "one");
	make_file(&n->a, sub, "g", "two");
	merge_from(&n->b, &n->a);
	merge_from(&n->c, &n->a);
}

static void remove_tree(struct fixture *f)
{
	uint64_t d = look(f, ROOT, "d"), sub = look(f, d, "sub");

	remove_file(f, d, "f");
	remove_file(f, sub, "g");
	remove_dir(f, d, "sub");
	remove_dir(f, ROOT, "d");
}

/* In slices of two; with a crash in between. Returns the events. */
static size_t bring_back(struct fixture *f)
{
	size_t all = 0, count;
	int r;

	do {
		store_lock(f->store);
		r = replica_bring_back(f->tree, 2, &count);
		store_unlock(f->store);
		assert_true(r >= 0);
		all += count;
		fixture_crash(f);
	} while (r);
	check_tree(f);
	return all;
}

static void test_moved_tree_comes_back(void **state)
{
	struct nodes n;
	uint64_t e;

	(void)state;
	nodes_open(&n);
	make_tree(&n);
	remove_tree(&n.a);
	move(&n.b, ROOT, "d", ROOT, "e");
	/* A relay that has both brings nothing back. */
	merge_from(&n.c, &n.a);
	merge_from(&n.c, &n.b);
	assert_int_equal(bring_back(&n.c), 0);
	assert_int_equal(list(&n.c, look(&n.c, ROOT, "e"), NULL, 0), 0);
	merge_from(&n.a, &n.c);
	assert_int_equal(bring_back(&n.a), 3);
	e = look(&n.a, ROOT, "e");
	expect_bytes(&n.a, look(&n.a, e, "f"), "one");
	expect_bytes(&n.a, look(&n.a, look(&n.a, e, "sub"), "g"), "two");
	merge_from(&n.b, &n.a);
	merge_from(&n.c, &n.a);
	expect_bytes(&n.c, look(&n.c, look(&n.c, ROOT, "e"), "f"), "one");
	assert_int_equal(bring_back(&n.b), 0);
	assert_int_equal(bring_back(&n.a), 0);
	nodes_close(&n);
}

/* The same if it came back before that for a new file in it, in either order:
 * a revival is nobody's wish to place it. */
static void test_moved_tree_though_revived(void **state)
{
	(void)state;
	for (int moved_first = 0; moved_first < 2; moved_first++) {
		struct fixture *first, *second;
		struct nodes n;
		uint64_t e;

		nodes_open(&n);
		make_tree(&n);
		remove_tree(&n.a);
		move(&n.b, ROOT, "d", ROOT, "e");
		make_file(&n.c, look(&n.c, ROOT, "d"), "new", "three");
		first = moved_first ? &n.b : &n.c;
		second = moved_first ? &n.c : &n.b;
		merge_from(&n.a, first);
		bring_back(&n.a);
		merge_from(&n.a, second);
		bring_back(&n.a);
		e = look(&n.a, ROOT, "e");
		expect_bytes(&n.a, look(&n.a, e, "new"), "three");
		expect_bytes(&n.a, look(&n.a, e, "f"), "one");
		expect_bytes(&n.a, look(&n.a, look(&n.a, e, "sub"), "g"),
			     "two");
		assert_int_equal(list(&n.a, ROOT, NULL, 0), 1);
		merge_from(&n.b, &n.a);
		merge_from(&n.c, &n.b);
		merge_from(&n.a, &n.c);
		assert_int_equal(bring_back(&n.a), 0);
		assert_int_equal(bring_back(&n.b), 0);
		assert_int_equal(bring_back(&n.c), 0);
		nodes_close(&n);
	}
}

/* And if only a directory in it came back before that. */
static void test_moved_tree_though_part_revived(void **state)
{
	(void)state;
	for (int moved_first = 0; moved_first < 2; moved_first++) {
		struct nodes n;
		uint64_t e;

		nodes_open(&n);
		make_tree(&n);
		remove_tree(&n.a);
		move(&n.b, ROOT, "d", ROOT, "e");
		make_file(&n.c, look(&n.c, look(&n.c, ROOT, "d"), "sub"),
			  "new", "three");
		merge_from(&n.a, moved_first ? &n.b : &n.c);
		bring_back(&n.a);
		merge_from(&n.a, moved_first ? &n.c : &n.b);
		bring_back(&n.a);
		e = look(&n.a, ROOT, "e");
		expect_bytes(&n.a, look(&n.a, e, "f"), "one");
		e = look(&n.a, e, "sub");
		expect_bytes(&n.a, look(&n.a, e, "new"), "three");
		expect_bytes(&n.a, look(&n.a, e, "g"), "two");
		merge_from(&n.b, &n.a);
		merge_from(&n.c, &n.b);
		merge_from(&n.a, &n.c);
		assert_int_equal(bring_back(&n.a), 0);
		assert_int_equal(bring_back(&n.b), 0);
		assert_int_equal(bring_back(&n.c), 0);
		nodes_close(&n);
	}
}

/* Who had seen the removal and moves it all the same takes it as it is. */
static void test_moved_by_who_knew(void **state)
{
	struct nodes n;

	(void)state;
	nodes_open(&n);
	make_tree(&n);
	remove_tree(&n.a);
	make_file(&n.c, look(&n.c, ROOT, "d"), "new", "three");
	merge_from(&n.c, &n.a);
	move(&n.c, ROOT, "d", ROOT, "e");
	merge_from(&n.a, &n.c);
	assert_int_equal(bring_back(&n.a), 0);
	assert_int_equal(list(&n.a, look(&n.a, ROOT, "e"), NULL, 0), 1);
	nodes_close(&n);
}

/* What was deleted on its own, long before, was meant to be. */
static void test_old_removal_stays(void **state)
{
	struct nodes n;

	(void)state;
	nodes_open(&n);
	make_tree(&n);
	make_file(&n.a, look(&n.a, ROOT, "d"), "old", "three");
	merge_from(&n.b, &n.a);
	remove_file(&n.a, look(&n.a, ROOT, "d"), "old");
	n.a.now_ns += 4 * 1000000000ll;
	remove_tree(&n.a);
	move(&n.b, ROOT, "d", ROOT, "e");
	merge_from(&n.a, &n.b);
	assert_int_equal(bring_back(&n.a), 3);
	assert_int_equal(look_error(&n.a, look(&n.a, ROOT, "e"), "old"),
			 -ENOENT);
	nodes_close(&n);
}

/* Back already for what somebody wrote in it, and then somebody moved it. */
static void test_moved_after_it_was_revived(void **state)
{
	struct nodes n;
	uint64_t d;

	(void)state;
	nodes_open(&n);
	make_tree(&n);
	remove_tree(&n.a);
	write_file(&n.c, look(&n.c, look(&n.c, ROOT, "d"), "f"), "edited");
	merge_from(&n.a, &n.c);
	d = look(&n.a, ROOT, "d");
	expect_bytes(&n.a, look(&n.a, d, "f"), "edited");
	assert_int_equal(look_error(&n.a, d, "sub"), -ENOENT);
	assert_int_equal(bring_back(&n.a), 0);
	move(&n.b, ROOT, "d", ROOT, "e");
	merge_from(&n.a, &n.b);
	assert_int_equal(bring_back(&n.a), 2);
	d = look(&n.a, ROOT, "e");
	expect_bytes(&n.a, look(&n.a, d, "f"), "edited");
	expect_bytes(&n.a, look(&n.a, look(&n.a, d, "sub"), "g"), "two");
	nodes_close(&n);
}

/* Removed by somebody who knew of the move: nothing comes back. */
static void test_removal_after_the_move(void **state)
{
	struct nodes n;

	(void)state;
	nodes_open(&n);
	make_tree(&n);
	move(&n.b, ROOT, "d", ROOT, "e");
	move(&n.b, ROOT, "e", ROOT, "d");
	merge_from(&n.a, &n.b);
	remove_tree(&n.a);
	merge_from(&n.b, &n.a);
	merge_from(&n.a, &n.b);
	assert_int_equal(bring_back(&n.a), 0);
	assert_int_equal(list(&n.a, ROOT, NULL, 0), 0);
	assert_int_equal(list(&n.b, ROOT, NULL, 0), 0);
	nodes_close(&n);
}

/* ---- knowledge has room for so many origins, and says so */

static void test_too_many_origins(void **state)
{
	struct nodes n;
	struct know k = KNOW_INIT, before;
	int r;

	(void)state;
	nodes_open(&n);
	for (uint64_t o = 1; o <= ORIGINS_MAX; o++)
		assert_int_equal(know_set(&k, o, 1), 0);
	before = know_of(&n.a);
	store_lock(n.a.store);
	assert_int_equal(replica_begin(n.a.tree), 0);
	r = replica_know_join(n.a.tree, &k);
	assert_int_equal(r, -E2BIG);
	assert_int_equal(replica_end(n.a.tree, r), -E2BIG);
	assert_true(know_equal(replica_know(n.a.tree), &before));
	store_unlock(n.a.store);
	make_file(&n.a, ROOT, "still", "works");
	fixture_crash(&n.a);
	expect_bytes(&n.a, look(&n.a, ROOT, "still"), "works");
	/* A node without an operation of its own keeps room for one. */
	know_clear(&k);
	for (uint64_t o = 1; o <= ORIGINS_MAX - 1; o++)
		assert_int_equal(know_set(&k, o, 1), 0);
	store_lock(n.c.store);
	assert_int_equal(replica_begin(n.c.tree), 0);
	r = replica_know_join(n.c.tree, &k);
	assert_int_equal(r, -E2BIG);
	assert_int_equal(replica_end(n.c.tree, r), -E2BIG);
	store_unlock(n.c.store);
	make_file(&n.c, ROOT, "first", "works");
	know_release(&k);
	know_release(&before);
	nodes_close(&n);
}

/* ---- what is named again */

static bool readopt(struct fixture *f, struct objid id, struct fixture *from)
{
	struct buf copy = BUF_INIT;
	struct slice row;
	int r, e;

	store_lock(from->store);
	assert_int_equal(replica_row(from->tree, id, &row), 0);
	buf_put_slice(&copy, row);
	store_unlock(from->store);
	store_lock(f->store);
	assert_int_equal(replica_begin(f->tree), 0);
	r = replica_readopt(f->tree, id, buf_slice(&copy));
	assert_true(r >= 0);
	e = replica_finish(f->tree);
	assert_int_equal(replica_end(f->tree, e), 0);
	store_unlock(f->store);
	buf_release(&copy);
	return r;
}

static uint32_t perm_at(struct fixture *f, const char *name)
{
	struct attr at;

	assert_int_equal(tree_getattr(f->tree, look(f, ROOT, name), &at), 0);
	return at.mode & 07777;
}

static int count_any(void *arg, const struct decision *d)
{
	(void)d;
	++*(int *)arg;
	return 0;
}

static int decisions(struct fixture *f)
{
	int n = 0;

	assert_int_equal(tree_decided(f->tree, ROOT, count_any, &n), 0);
	return n;
}

/*
 * A directory that two nodes have purged comes back to both, from a third
 * that still has it, for what is new in it. Each writes the same values under
 * dots of its own: that is one directory, and nothing of it was decided. Of
 * several values that the third has, what it shows comes back.
 */
static void test_readopted_at_two(void **state)
{
	struct tree_setattr s = { .set = TREE_SET_MODE, .perm = 0700 };
	struct nodes n;
	struct objid id;
	struct attr at;
	uint64_t dir;

	(void)state;
	nodes_open(&n);
	make_dir(&n.a, ROOT, "d");
	id = id_of(&n.a, "d");
	merge_from(&n.b, &n.a);
	merge_from(&n.c, &n.a);
	/* Two modes at once; c shows the later one. */
	assert_int_equal(tree_setattr(n.a.tree, look(&n.a, ROOT, "d"), &s,
				      &at), 0);
	s.perm = 0750;
	n.c.now_ns = n.a.now_ns + 1000000000;
	dir = look(&n.c, ROOT, "d");
	assert_int_equal(tree_setattr(n.c.tree, dir, &s, &at), 0);
	merge_from(&n.c, &n.a);
	merge_from(&n.b, &n.c);
	merge_from(&n.a, &n.b);
	assert_int_equal(perm_at(&n.c, "d"), 0750);
	remove_dir(&n.a, ROOT, "d");
	note_cut(&n.a);
	merge_from(&n.b, &n.a);
	note_cut(&n.b);
	/* (c has lapsed) */
	assert_int_equal(purge_with(&n.a, &n.b).purged, 1);
	assert_int_equal(purge_with(&n.b, &n.a).purged, 1);
	/* Nothing names it: it stays away. */
	assert_false(readopt(&n.a, id, &n.c));
	assert_false(has_row(&n.a, id));
	make_file(&n.c, dir, "new", "text");
	merge_from(&n.a, &n.c);
	merge_from(&n.b, &n.c);
	assert_true(readopt(&n.a, id, &n.c));
	assert_true(readopt(&n.b, id, &n.c));
	/* (once) */
	assert_false(readopt(&n.a, id, &n.c));
	for (int k = 0; k < 2; k++) {
		merge_from(&n.a, &n.b);
		merge_from(&n.b, &n.a);
		merge_from(&n.c, &n.a);
	}
	for (int k = 0; k < 3; k++) {
		struct fixture *f = k == 0 ? &n.a : k == 1 ? &n.b : &n.c;

		assert_int_equal(list(f, ROOT, NULL, 0), 1);
		expect_bytes(f, look(f, look(f, ROOT, "d"), "new"), "text");
		assert_int_equal(perm_at(f, "d"), 0750);
		assert_int_equal(tree_conflict_count(f->tree), 0);
	}
	assert_int_equal(decisions(&n.a), decisions(&n.b));
	/* A later value replaces both. */
	s.perm = 0711;
	assert_int_equal(tree_setattr(n.b.tree, look(&n.b, ROOT, "d"), &s,
				      &at), 0);
	merge_from(&n.a, &n.b);
	assert_int_equal(perm_at(&n.a, "d"), 0711);
	/* Nobody placed it: empty, it is not shown. */
	remove_file(&n.a, look(&n.a, ROOT, "d"), "new");
	assert_int_equal(look_error(&n.a, ROOT, "d"), -ENOENT);
	merge_from(&n.b, &n.a);
	assert_int_equal(list(&n.b, ROOT, NULL, 0), 0);
	nodes_close(&n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kept_is_counted),
		cmocka_unit_test(test_goes_when_acknowledged),
		cmocka_unit_test(test_stays_without_a_cut),
		cmocka_unit_test(test_many_in_slices),
		cmocka_unit_test(test_last_change_counts),
		cmocka_unit_test(test_named_by_a_loser),
		cmocka_unit_test(test_open_file_holds),
		cmocka_unit_test(test_weak_only_directory),
		cmocka_unit_test(test_moved_tree_comes_back),
		cmocka_unit_test(test_moved_tree_though_revived),
		cmocka_unit_test(test_moved_tree_though_part_revived),
		cmocka_unit_test(test_moved_by_who_knew),
		cmocka_unit_test(test_old_removal_stays),
		cmocka_unit_test(test_moved_after_it_was_revived),
		cmocka_unit_test(test_removal_after_the_move),
		cmocka_unit_test(test_too_many_origins),
		cmocka_unit_test(test_readopted_at_two),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
