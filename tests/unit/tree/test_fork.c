/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One origin with two histories: stores that are stopped, copied, restored,
 * cloned. meet() does what the core does on contact, from what both trees
 * say: it finds where the histories part, has the branch renamed that goes,
 * and merges both ways. Then nothing may be lost, and who knows the same
 * must hold the same.
 */
#include "tree_support.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "fs/tree/fork.h"
#include "fs/tree/repair.h"

#define ROOT TREE_ROOT_INO

/* ---- looking */

static struct know know_of(struct fixture *f)
{
	struct know k = KNOW_INIT;

	store_lock(f->store);
	assert_int_equal(know_copy(&k, replica_know(f->tree)), 0);
	store_unlock(f->store);
	return k;
}

static uint64_t origin_of(struct fixture *f)
{
	return replica_origin(f->tree);
}

static uint64_t knows(struct fixture *f, uint64_t origin)
{
	struct know k = know_of(f);
	uint64_t seq = know_get(&k, origin);

	know_release(&k);
	return seq;
}

static mark_t mark(struct fixture *f, uint64_t origin, uint64_t seq)
{
	mark_t m;

	store_lock(f->store);
	assert_int_equal(chain_get(f->tree, (struct dot){ origin, seq }, &m),
			 0);
	store_unlock(f->store);
	return m;
}

static uint64_t last(struct fixture *f, uint64_t origin, uint64_t seq)
{
	uint64_t n;

	store_lock(f->store);
	assert_int_equal(chain_last(f->tree, (struct dot){ origin, seq }, &n),
			 0);
	store_unlock(f->store);
	return n;
}

static uint64_t next(struct fixture *f, uint64_t origin, uint64_t seq)
{
	uint64_t n;

	store_lock(f->store);
	assert_int_equal(chain_next(f->tree, (struct dot){ origin, seq }, &n),
			 0);
	store_unlock(f->store);
	return n;
}

static uint64_t alias_of(struct fixture *f, size_t at)
{
	const struct birth *b;
	uint64_t alias;
	size_t n;

	store_lock(f->store);
	b = chain_births(f->tree, &n);
	assert_true(at < n);
	alias = b[at].alias;
	store_unlock(f->store);
	return alias;
}

/* ---- contact */

static void rename_branch(struct fixture *f, uint64_t origin, uint64_t n0)
{
	store_lock(f->store);
	assert_int_equal(replica_begin(f->tree), 0);
	assert_int_equal(replica_end(f->tree,
				     replica_fork(f->tree, origin, n0, NULL)), 0);
	store_unlock(f->store);
	check_tree(f);
}

static void new_incarnation(struct fixture *f)
{
	store_lock(f->store);
	assert_int_equal(replica_begin(f->tree), 0);
	assert_int_equal(replica_end(f->tree,
				     replica_reincarnate(f->tree, CAUSE_LOST)),
			 0);
	store_unlock(f->store);
}

/* (an alias has its own name from its first number on) */
static bool on_branch(struct fixture *f, uint64_t o, const struct birth *b)
{
	const struct birth *own;
	bool yes;

	store_lock(f->store);
	own = chain_birth(f->tree, o);
	yes = !own || own->first < b->first;
	store_unlock(f->store);
	return yes;
}

/* The peer has renamed a branch that f is still on. */
static bool follow_alias(struct fixture *f, struct fixture *peer)
{
	struct birth births[64];
	struct know mine = know_of(f);
	size_t n;
	bool found = false;

	store_lock(peer->store);
	const struct birth *b = chain_births(peer->tree, &n);
	assert_true(n <= 64);
	if (n)
		memcpy(births, b, n * sizeof(*b));
	store_unlock(peer->store);
	for (size_t k = 0; !found && k < n; k++) {
		for (size_t i = 0; !found && i < mine.count; i++) {
			uint64_t o = mine.entries[i].origin, root;

			store_lock(f->store);
			root = chain_root(f->tree, o);
			store_unlock(f->store);
			if (o == births[k].alias || root != births[k].root ||
			    !knows(peer, births[k].alias) ||
			    mark(f, o, births[k].first) != births[k].mark ||
			    !on_branch(f, o, &births[k]))
				continue;
			rename_branch(f, o, births[k].first - 1);
			found = true;
		}
	}
	know_release(&mine);
	return found;
}

static bool split_one(struct fixture *a, struct fixture *b, uint64_t o)
{
	uint64_t m = MIN_OF(knows(a, o), knows(b, o)), n0 = 0;
	struct fork_branch in_a, in_b;

	if (!m || mark(a, o, m) == mark(b, o, m))
		return false;
	for (uint64_t n = 1; n <= m; n++)
		if (mark(a, o, n) && mark(a, o, n) == mark(b, o, n))
			n0 = n;
	in_a.first = next(a, o, n0);
	in_b.first = next(b, o, n0);
	assert_true(in_a.first && in_b.first);
	in_a.mark = mark(a, o, in_a.first);
	in_b.mark = mark(b, o, in_b.first);
	assert_true(fork_goes(&in_a, &in_b) != fork_goes(&in_b, &in_a));
	rename_branch(fork_goes(&in_a, &in_b) ? a : b, o, n0);
	return true;
}

/* One has lost what the other was told. */
static bool lost_numbers(struct fixture *f, struct fixture *peer)
{
	if (knows(peer, origin_of(f)) <= knows(f, origin_of(f)))
		return false;
	new_incarnation(f);
	return true;
}

static bool resolve_one(struct fixture *a, struct fixture *b)
{
	struct know k = know_of(a);
	bool found = follow_alias(a, b) || follow_alias(b, a);

	for (size_t i = 0; !found && i < k.count; i++)
		found = split_one(a, b, k.entries[i].origin);
	know_release(&k);
	return found || lost_numbers(a, b) || lost_numbers(b, a);
}

static void expect_same(struct fixture *a, struct fixture *b);

static void meet(struct fixture *a, struct fixture *b)
{
	int rounds = 0;

	while (resolve_one(a, b))
		assert_true(++rounds < 100);
	merge_from(a, b);
	merge_from(b, a);
	check_tree(a);
	check_tree(b);
	expect_same(a, b);
}

/* ---- equal rows, where equal is known */

static int add_row(void *arg, struct objid id, struct slice row)
{
	buf_put(arg, id.b, sizeof(id.b));
	buf_put_slice(arg, row);
	return 0;
}

static int add_line(void *arg, const struct replica_view_entry *e)
{
	buf_put_string(arg, e->path);
	buf_put_slice(arg, e->content.inline_bytes);
	return 0;
}

static void expect_same(struct fixture *a, struct fixture *b)
{
	struct buf x = BUF_INIT, y = BUF_INIT;
	struct know k = know_of(a), l = know_of(b);

	assert_true(know_equal(&k, &l));
	assert_int_equal(replica_rows(a->tree, add_row, &x), 0);
	assert_int_equal(replica_rows(b->tree, add_row, &y), 0);
	assert_int_equal(replica_view(a->tree, add_line, &x), 0);
	assert_int_equal(replica_view(b->tree, add_line, &y), 0);
	assert_true(slice_equal(buf_slice(&x), buf_slice(&y)));
	buf_release(&x);
	buf_release(&y);
	know_release(&k);
	know_release(&l);
}

/* Somewhere, as main or sibling, in the directory. */
static bool shows(struct fixture *f, const char *bytes)
{
	static char names[100][256];
	size_t n = list(f, ROOT, names, 100);

	for (size_t k = 0; k < n; k++) {
		char got[100];
		uint64_t ino = look(f, ROOT, names[k]);
		int64_t len = tree_read(f->tree, ino, 0, got, sizeof(got));

		if (len == (int64_t)strlen(bytes) &&
		    !memcmp(got, bytes, (size_t)len))
			return true;
	}
	return false;
}

static void move(struct fixture *f, const char *from, const char *to)
{
	assert_int_equal(tree_rename(f->tree, ROOT, SLICE_STR(from), ROOT,
				     SLICE_STR(to), 0), 0);
}

static void open_pair(struct fixture *a, struct fixture *b)
{
	fixture_open(a, "alpha", true);
	fixture_open(b, "beta", false);
	merge_from(b, a);
}

/* ---- marks */

static void test_marks(void **state)
{
	struct fixture a, b;
	uint64_t o, n;
	(void)state;

	open_pair(&a, &b);
	o = origin_of(&a);
	make_file(&a, ROOT, "f", "one");
	for (int k = 0; k < 40; k++)
		write_file(&a, look(&a, ROOT, "f"), k & 1 ? "two" : "three");
	n = knows(&a, o);
	assert_true(n > 40);
	for (uint64_t k = 1; k <= n; k++) {
		assert_int_not_equal(mark(&a, o, k), 0);
		assert_int_equal(last(&a, o, k), k);
		assert_int_equal(next(&a, o, k - 1), k);
	}
	assert_int_equal(mark(&a, o, 0), 0);
	assert_int_equal(mark(&a, o, n + 1), 0);
	assert_int_equal(last(&a, o, n + 99), n);
	assert_int_equal(next(&a, o, n), 0);
	merge_from(&b, &a);
	for (uint64_t k = 1; k <= n; k++)
		assert_int_equal(mark(&a, o, k), mark(&b, o, k));
	fixture_close(&a);
	fixture_close(&b);
}

/* An operation that fails leaves none. */
static void test_marks_undone(void **state)
{
	struct fixture a;
	struct dot dot;
	uint64_t n, hlc;
	(void)state;

	fixture_open(&a, "alpha", true);
	n = knows(&a, origin_of(&a));
	store_lock(a.store);
	assert_int_equal(replica_begin(a.tree), 0);
	assert_int_equal(replica_tick(a.tree, &dot, &hlc), 0);
	assert_int_equal(replica_end(a.tree, -EIO), -EIO);
	store_unlock(a.store);
	assert_int_equal(knows(&a, origin_of(&a)), n);
	assert_int_equal(mark(&a, origin_of(&a), n + 1), 0);
	make_file(&a, ROOT, "f", "x");
	assert_int_not_equal(mark(&a, origin_of(&a), n + 1), 0);
	fixture_close(&a);
}

/* A crash skips what was reserved, a clean end does not. */
static void test_numbers_reserved(void **state)
{
	struct fixture a, b;
	uint64_t o, n, m;
	(void)state;

	open_pair(&a, &b);
	o = origin_of(&a);
	make_file(&a, ROOT, "f", "x");
	n = knows(&a, o);
	fixture_stop(&a);
	fixture_resume(&a);
	make_dir(&a, ROOT, "d");
	assert_int_equal(knows(&a, o), n + 1);
	fixture_crash(&a);
	assert_int_equal(knows(&a, o), n + 1);
	make_dir(&a, ROOT, "e");
	m = knows(&a, o);
	assert_true(m > n + 1 + 500 && m < n + 1 + 3000);
	assert_int_equal(next(&a, o, n + 1), m);
	assert_int_equal(last(&a, o, m - 1), n + 1);
	assert_int_equal(mark(&a, o, m - 1), 0);
	/* Twice without a number in between: no further. */
	fixture_crash(&a);
	fixture_crash(&a);
	make_dir(&a, ROOT, "g");
	assert_true(knows(&a, o) < m + 3000);
	merge_from(&b, &a);
	assert_int_equal(next(&b, o, n + 1), m);
	expect_same(&a, &b);
	fixture_close(&a);
	fixture_close(&b);
}

/* Two copies that do the very same things are two branches all the same. */
static void test_copies_differ(void **state)
{
	struct fixture a, c;
	char backup[64];
	uint64_t o, n;
	(void)state;

	fixture_open(&a, "alpha", true);
	make_dir(&a, ROOT, "d");
	fixture_stop(&a);
	fixture_backup(&a, backup);
	fixture_resume(&a);
	fixture_clone(&c, "gamma", backup, false);
	c.now_ns = a.now_ns;
	o = origin_of(&a);
	n = knows(&a, o);
	assert_int_equal(origin_of(&c), o);
	move(&a, "d", "e");
	move(&c, "d", "e");
	assert_int_equal(mark(&a, o, n), mark(&c, o, n));
	assert_int_not_equal(mark(&a, o, n + 1), mark(&c, o, n + 1));
	backup_remove(backup);
	fixture_close(&a);
	fixture_close(&c);
}

/* ---- histories */

static void test_restored_backup(void **state)
{
	struct fixture a, b;
	char backup[64];
	uint64_t o;
	(void)state;

	open_pair(&a, &b);
	o = origin_of(&a);
	make_file(&a, ROOT, "doc", "base");
	meet(&a, &b);
	fixture_stop(&a);
	fixture_backup(&a, backup);
	fixture_resume(&a);
	write_file(&a, look(&a, ROOT, "doc"), "before the loss");
	make_file(&a, ROOT, "new", "told to b");
	meet(&a, &b);
	fixture_stop(&a);
	fixture_restore(&a, backup);
	write_file(&a, look(&a, ROOT, "doc"), "after the loss");
	make_file(&a, ROOT, "other", "of the restored");
	assert_int_equal(origin_of(&a), o);
	meet(&a, &b);
	assert_true(shows(&b, "before the loss"));
	assert_true(shows(&b, "after the loss"));
	assert_true(shows(&b, "told to b"));
	assert_true(shows(&b, "of the restored"));
	/* And it goes on as any two do. */
	write_file(&b, look(&b, ROOT, "new"), "later");
	write_file(&a, look(&a, ROOT, "other"), "later too");
	meet(&a, &b);
	assert_true(shows(&a, "later") && shows(&a, "later too"));
	assert_false(shows(&a, "told to b"));
	backup_remove(backup);
	fixture_close(&a);
	fixture_close(&b);
}

/* Nothing was written since, but peers know more. */
static void test_lost_numbers(void **state)
{
	struct fixture a, b;
	char backup[64];
	uint64_t o;
	(void)state;

	open_pair(&a, &b);
	o = origin_of(&a);
	fixture_stop(&a);
	fixture_backup(&a, backup);
	fixture_resume(&a);
	make_file(&a, ROOT, "f", "lost and found");
	meet(&a, &b);
	fixture_stop(&a);
	fixture_restore(&a, backup);
	meet(&a, &b);
	assert_int_not_equal(origin_of(&a), o);
	assert_int_equal(knows(&a, o), knows(&b, o));
	assert_true(shows(&a, "lost and found"));
	write_file(&a, look(&a, ROOT, "f"), "again");
	meet(&a, &b);
	assert_true(shows(&b, "again"));
	backup_remove(backup);
	fixture_close(&a);
	fixture_close(&b);
}

/* Lost by a disk that lied: the numbers above the ceiling say so, although
 * no number is used twice. */
static void test_lost_behind_a_gap(void **state)
{
	struct fixture a, b;
	char backup[64];
	uint64_t o;
	(void)state;

	open_pair(&a, &b);
	o = origin_of(&a);
	make_file(&a, ROOT, "f", "kept");
	assert_int_equal(store_commit(a.store), 0);
	tree_close(a.tree);
	store_abandon(a.store);
	a.store = NULL;
	fixture_backup(&a, backup);
	fixture_resume(&a);
	make_file(&a, ROOT, "g", "told, and lost");
	meet(&a, &b);
	fixture_stop(&a);
	fixture_restore(&a, backup);
	make_file(&a, ROOT, "h", "after the loss");
	/* (the backup was of a store that had crashed, as had that one) */
	assert_int_equal(knows(&a, o), knows(&b, o));
	meet(&a, &b);
	assert_true(shows(&a, "told, and lost"));
	assert_true(shows(&b, "after the loss"));
	backup_remove(backup);
	fixture_close(&a);
	fixture_close(&b);
}

/* A machine is set up from another's store, without saying so. */
static void test_clone(void **state)
{
	struct fixture a, b, c;
	char backup[64];
	(void)state;

	open_pair(&a, &b);
	make_file(&a, ROOT, "doc", "base");
	meet(&a, &b);
	fixture_stop(&a);
	fixture_backup(&a, backup);
	fixture_resume(&a);
	fixture_clone(&c, "gamma", backup, false);
	write_file(&a, look(&a, ROOT, "doc"), "of a");
	write_file(&c, look(&c, ROOT, "doc"), "of c");
	make_file(&c, ROOT, "mine", "only c");
	meet(&c, &b);
	meet(&a, &b);
	meet(&b, &c);
	meet(&a, &c);
	expect_same(&a, &b);
	assert_true(shows(&a, "of a") && shows(&a, "of c") &&
		    shows(&a, "only c"));
	assert_int_not_equal(origin_of(&a), origin_of(&c));
	backup_remove(backup);
	fixture_close(&a);
	fixture_close(&b);
	fixture_close(&c);
}

/*
 * A copy of a store in use begins above the numbers that were reserved. So
 * its branch leaves out some that the other one uses, and who follows its new
 * name must not claim these.
 */
static bool branch_behind_a_gap(int turn)
{
	struct fixture a, b, c;
	char backup[64], text[20];
	uint64_t o;
	bool renamed;

	open_pair(&a, &b);
	o = origin_of(&a);
	make_file(&a, ROOT, "doc", "base");
	meet(&a, &b);
	fixture_backup(&a, backup);
	fixture_clone(&c, "gamma", backup, false);
	for (int i = 0; i < 3; i++) {
		snprintf(text, sizeof(text), "a %d %d", turn, i);
		make_file(&a, ROOT, text, text);
		snprintf(text, sizeof(text), "c %d %d", turn, i);
		make_file(&c, ROOT, text, text);
	}
	assert_true(knows(&c, o) > knows(&a, o) + 100);
	meet(&c, &b);
	meet(&a, &b);
	renamed = origin_of(&a) == o;
	meet(&b, &c);
	meet(&c, &a);
	meet(&b, &a);
	expect_same(&b, &c);
	for (int i = 0; i < 3; i++) {
		snprintf(text, sizeof(text), "a %d %d", turn, i);
		assert_true(shows(&a, text) && shows(&b, text) &&
			    shows(&c, text));
		snprintf(text, sizeof(text), "c %d %d", turn, i);
		assert_true(shows(&a, text) && shows(&b, text) &&
			    shows(&c, text));
	}
	backup_remove(backup);
	fixture_close(&a);
	fixture_close(&b);
	fixture_close(&c);
	return renamed;
}

static void test_branch_behind_a_gap(void **state)
{
	int count = 0;

	(void)state;
	/* Which branch goes is by chance; each must, sometimes. */
	for (int turn = 0; turn < 8; turn++)
		count += branch_behind_a_gap(turn);
	assert_in_range(count, 1, 7);
}

/* The same with a cookie, which noticed. No branch has to go. */
static void test_clone_noticed(void **state)
{
	struct fixture a, b, c;
	char backup[64];
	uint64_t o;
	(void)state;

	open_pair(&a, &b);
	o = origin_of(&a);
	make_file(&a, ROOT, "doc", "base");
	fixture_stop(&a);
	fixture_backup(&a, backup);
	fixture_resume(&a);
	fixture_clone(&c, "gamma", backup, true);
	assert_int_not_equal(origin_of(&c), o);
	write_file(&a, look(&a, ROOT, "doc"), "of a");
	write_file(&c, look(&c, ROOT, "doc"), "of c");
	assert_int_not_equal(mark(&c, origin_of(&c), 1), 0);
	meet(&a, &b);
	meet(&b, &c);
	meet(&a, &b);
	assert_int_equal(origin_of(&a), o);
	assert_true(shows(&a, "of a") && shows(&a, "of c"));
	backup_remove(backup);
	fixture_close(&a);
	fixture_close(&b);
	fixture_close(&c);
}

/* Two restores of one backup, and a restore of what was restored: branches
 * of branches, met in each order. */
static void fork_of_fork(int order)
{
	static const int orders[][6] = {
		{ 0, 1, 2, 3, 0, 1 }, { 3, 2, 1, 0, 3, 2 },
		{ 1, 3, 0, 2, 1, 3 }, { 2, 0, 3, 1, 2, 0 },
	};
	struct fixture f[5]; /* f[4] is whom all meet */
	char first[64], second[64];
	(void)order;

	fixture_open(&f[0], "alpha", true);
	fixture_open(&f[4], "beta", false);
	make_file(&f[0], ROOT, "doc", "base");
	meet(&f[0], &f[4]);
	fixture_stop(&f[0]);
	fixture_backup(&f[0], first);
	fixture_resume(&f[0]);
	write_file(&f[0], look(&f[0], ROOT, "doc"), "line 0");
	fixture_clone(&f[1], "one", first, false);
	make_file(&f[1], ROOT, "one", "of one");
	write_file(&f[1], look(&f[1], ROOT, "doc"), "line 1");
	fixture_stop(&f[1]);
	fixture_backup(&f[1], second);
	fixture_resume(&f[1]);
	write_file(&f[1], look(&f[1], ROOT, "doc"), "line 1, goes on");
	fixture_clone(&f[2], "two", second, false);
	write_file(&f[2], look(&f[2], ROOT, "doc"), "line 2");
	make_file(&f[2], ROOT, "two", "of two");
	fixture_clone(&f[3], "three", first, false);
	write_file(&f[3], look(&f[3], ROOT, "doc"), "line 3");
	for (int k = 0; k < 6; k++)
		meet(&f[orders[order][k]], &f[4]);
	for (int k = 0; k < 4; k++)
		for (int i = k + 1; i < 5; i++)
			meet(&f[k], &f[i]);
	for (int k = 0; k < 4; k++)
		meet(&f[k], &f[4]);
	for (int k = 0; k < 4; k++)
		meet(&f[k], &f[4]);
	for (int k = 0; k < 4; k++)
		expect_same(&f[k], &f[4]);
	assert_true(shows(&f[4], "line 0"));
	assert_true(shows(&f[4], "line 1, goes on"));
	assert_true(shows(&f[4], "line 2"));
	assert_true(shows(&f[4], "line 3"));
	assert_true(shows(&f[4], "of one"));
	assert_true(shows(&f[4], "of two"));
	assert_false(shows(&f[4], "base"));
	backup_remove(first);
	backup_remove(second);
	for (int k = 0; k < 5; k++)
		fixture_close(&f[k]);
}

static void test_fork_of_fork(void **state)
{
	(void)state;
	for (int order = 0; order < 4; order++)
		fork_of_fork(order);
}

/*
 * A moves d, x and y take it; A is restored, moves d again, z takes that; x
 * moves d, r takes it; x meets z; x gives to y. If whoever notices wrote its
 * branch again under own dots, y would keep A's first move although r,
 * knowing the same, does not have it.
 */
static void test_renamed_not_rewritten(void **state)
{
	struct fixture a, x, y, z, r;
	char backup[64];
	(void)state;

	fixture_open(&a, "alpha", true);
	fixture_open(&x, "x", false);
	fixture_open(&y, "y", false);
	fixture_open(&z, "z", false);
	fixture_open(&r, "r", false);
	make_dir(&a, ROOT, "d");
	fixture_stop(&a);
	fixture_backup(&a, backup);
	fixture_resume(&a);
	move(&a, "d", "first");
	merge_from(&x, &a);
	merge_from(&y, &a);
	fixture_stop(&a);
	fixture_restore(&a, backup);
	move(&a, "d", "second");
	merge_from(&z, &a);
	move(&x, "first", "third");
	merge_from(&r, &x);
	meet(&x, &z);
	meet(&x, &y);
	meet(&x, &r);
	meet(&r, &y);
	meet(&a, &z);
	meet(&a, &x);
	meet(&y, &a);
	meet(&r, &a);
	meet(&z, &a);
	meet(&x, &a);
	meet(&y, &a);
	meet(&r, &a);
	expect_same(&r, &y);
	expect_same(&r, &z);
	expect_same(&r, &x);
	assert_int_equal(list(&r, ROOT, NULL, 0), 1);
	backup_remove(backup);
	fixture_close(&a);
	fixture_close(&x);
	fixture_close(&y);
	fixture_close(&z);
	fixture_close(&r);
}

/* ---- what else names a version */

/* A fork in which f is on the branch that goes, whichever that is. */
static void rename_mine(struct fixture *f, uint64_t above)
{
	rename_branch(f, origin_of(f), above);
}

/* Writes that are under way are based on a version that gets another name:
 * they replace it, and make no sibling. */
static void test_unsent_writes(void **state)
{
	struct fixture a;
	uint64_t n, ino;
	(void)state;

	fixture_open(&a, "alpha", true);
	n = knows(&a, origin_of(&a));
	ino = make_file(&a, ROOT, "f", "base");
	assert_int_equal(tree_open_file(a.tree, ino, true), 0);
	assert_int_equal(tree_write(a.tree, ino, 0, SLICE_STR("BASE"), false),
			 0);
	rename_mine(&a, n);
	tree_release_file(a.tree, ino, true);
	assert_int_equal(list(&a, ROOT, NULL, 0), 1);
	expect_bytes(&a, look(&a, ROOT, "f"), "BASE");
	assert_int_equal(look(&a, ROOT, "f"), ino);
	check_tree(&a);
	fixture_close(&a);
}

/* So does what a policy hid under it then: it was known, and goes too. */
static void test_unsent_writes_know_hidden(void **state)
{
	struct fixture a, b;
	uint64_t n, ino;
	(void)state;

	open_pair(&a, &b);
	set_policy(&a, ROOT, "latest");
	make_file(&a, ROOT, "f", "base");
	meet(&a, &b);
	n = knows(&a, origin_of(&a));
	write_file(&a, look(&a, ROOT, "f"), "older");
	b.now_ns = MAX_OF(a.now_ns, b.now_ns) + 1000000000;
	write_file(&b, look(&b, ROOT, "f"), "newer");
	meet(&a, &b);
	ino = look(&a, ROOT, "f");
	expect_bytes(&a, ino, "newer");
	assert_int_equal(tree_open_file(a.tree, ino, true), 0);
	assert_int_equal(tree_write(a.tree, ino, 0, SLICE_STR("NEWER"), false),
			 0);
	/* "older" gets another name */
	rename_mine(&a, n);
	check_tree(&a);
	tree_release_file(a.tree, ino, true);
	set_policy(&a, ROOT, NULL);
	assert_int_equal(list(&a, ROOT, NULL, 0), 1);
	expect_bytes(&a, look(&a, ROOT, "f"), "NEWER");
	check_tree(&a);
	meet(&a, &b);
	assert_int_equal(list(&b, ROOT, NULL, 0), 1);
	fixture_close(&a);
	fixture_close(&b);
}

/* What open handles keep, after the name got another content. */
static void test_detached(void **state)
{
	struct fixture a, b;
	uint64_t n, ino;
	(void)state;

	open_pair(&a, &b);
	n = knows(&a, origin_of(&a));
	ino = make_file(&a, ROOT, "f", "mine");
	meet(&a, &b);
	assert_int_equal(tree_open_file(a.tree, ino, true), 0);
	write_file(&b, look(&b, ROOT, "f"), "theirs");
	meet(&a, &b);
	rename_mine(&a, n);
	expect_bytes(&a, ino, "mine");
	assert_int_equal(tree_write(a.tree, ino, 0, SLICE_STR("MINE"), false),
			 0);
	tree_release_file(a.tree, ino, true);
	assert_true(shows(&a, "MINE") && shows(&a, "theirs"));
	check_tree(&a);
	fixture_close(&a);
	fixture_close(&b);
}

/*
 * b undoes what a branch wrote, while it was on b's screen beside another
 * content. Under the branch's new name it is still what b saw: what b wrote
 * does not count as reverted.
 */
static void test_seen_stays_seen(void **state)
{
	struct fixture a, b;
	uint64_t n;
	(void)state;

	open_pair(&a, &b);
	make_file(&a, ROOT, "f", "base");
	meet(&a, &b);
	n = knows(&a, origin_of(&a));
	write_file(&a, look(&a, ROOT, "f"), "of a");
	write_file(&b, look(&b, ROOT, "f"), "of b");
	merge_from(&b, &a);
	assert_true(shows(&b, "of a") && shows(&b, "of b"));
	/* back to what both were made from, "of a" being shown beside */
	for (int k = 0; k < 2; k++) {
		static char names[10][256];
		size_t count = list(&b, ROOT, names, 10);

		for (size_t i = 0; i < count; i++) {
			uint64_t ino = look(&b, ROOT, names[i]);
			char got[8];

			if (tree_read(b.tree, ino, 0, got, 8) == 4 &&
			    !memcmp(got, "of b", 4)) {
				write_file(&b, ino, "base");
				break;
			}
		}
	}
	assert_true(shows(&b, "base") && shows(&b, "of a"));
	rename_branch(&b, origin_of(&a), n);
	assert_true(shows(&b, "base") && shows(&b, "of a"));
	rename_mine(&a, n);
	meet(&a, &b);
	assert_true(shows(&a, "base") && shows(&a, "of a"));
	fixture_close(&a);
	fixture_close(&b);
}

static int only_file(void *arg, const struct replica_view_entry *e)
{
	if (e->kind == KIND_FILE)
		*(struct objid *)arg = e->id;
	return 0;
}

/*
 * A renamed content that is written again, for whatever reason: by its new
 * dot, with the name of its first days among its ancestors.
 */
static void test_renamed_and_restamped(void **state)
{
	struct fixture a, b;
	struct object o;
	struct objid id;
	uint64_t n, own;
	size_t found = 0;
	(void)state;

	open_pair(&a, &b);
	make_file(&a, ROOT, "f", "base");
	meet(&a, &b);
	n = knows(&a, origin_of(&a));
	write_file(&a, look(&a, ROOT, "f"), "of a");
	merge_from(&b, &a);
	rename_branch(&b, origin_of(&a), n);
	own = origin_of(&b);
	assert_int_equal(replica_view(b.tree, only_file, &id), 0);
	store_lock(b.store);
	assert_int_equal(replica_row_load(b.tree, id, &o), 0);
	/* The other side of a divergence has lost it. */
	for (size_t k = o.count; k-- > 0;) {
		if (o.versions[k].reg != REG_CONTENT)
			continue;
		assert_true(o.versions[k].first_origin == origin_of(&a));
		object_remove(&o, k);
	}
	assert_int_equal(replica_union(b.tree, &o), 1);
	object_release(&o);
	assert_int_equal(replica_row_load(b.tree, id, &o), 0);
	store_unlock(b.store);
	for (size_t k = 0; k < o.count; k++) {
		const struct version *v = &o.versions[k];

		if (v->reg != REG_CONTENT)
			continue;
		found++;
		assert_true(v->dot.origin == own);
		assert_true(version_first_dot(v).origin == own);
		assert_true(v->content.anc_count > 0);
		assert_true(v->content.anc[0].dot.origin == origin_of(&a));
		assert_true(v->content.anc[0].dot.seq > n);
	}
	assert_int_equal(found, 1);
	object_release(&o);
	assert_true(shows(&b, "of a"));
	check_tree(&b);
	fixture_close(&a);
	fixture_close(&b);
}

/* Undone as a whole when the operation fails. */
static void test_rename_undone(void **state)
{
	struct fixture a;
	struct buf before = BUF_INIT, after = BUF_INIT;
	struct know k, l;
	uint64_t o, n;
	size_t births;
	mark_t m;
	(void)state;

	fixture_open(&a, "alpha", true);
	o = origin_of(&a);
	n = knows(&a, o);
	make_file(&a, ROOT, "f", "x");
	k = know_of(&a);
	m = mark(&a, o, n + 1);
	assert_int_equal(replica_rows(a.tree, add_row, &before), 0);
	store_lock(a.store);
	assert_int_equal(replica_begin(a.tree), 0);
	assert_int_equal(replica_fork(a.tree, o, n, NULL), 0);
	assert_int_not_equal(replica_origin(a.tree), o);
	assert_int_equal(replica_end(a.tree, -EIO), -EIO);
	(void)chain_births(a.tree, &births);
	store_unlock(a.store);
	assert_int_equal(births, 0);
	assert_int_equal(origin_of(&a), o);
	assert_int_equal(mark(&a, o, n + 1), m);
	l = know_of(&a);
	assert_true(know_equal(&k, &l));
	assert_int_equal(replica_rows(a.tree, add_row, &after), 0);
	assert_true(slice_equal(buf_slice(&before), buf_slice(&after)));
	check_tree(&a);
	/* And done it survives a crash. */
	rename_mine(&a, n);
	know_release(&l);
	l = know_of(&a);
	assert_int_equal(mark(&a, alias_of(&a, 0), n + 1), m);
	assert_int_equal(mark(&a, o, n + 1), 0);
	assert_int_not_equal(mark(&a, o, n), 0);
	fixture_crash(&a);
	know_release(&k);
	k = know_of(&a);
	assert_true(know_equal(&k, &l));
	assert_int_equal(knows(&a, o), n);
	store_lock(a.store);
	(void)chain_births(a.tree, &births);
	store_unlock(a.store);
	assert_int_equal(births, 1);
	check_tree(&a);
	expect_bytes(&a, look(&a, ROOT, "f"), "x");
	buf_release(&before);
	buf_release(&after);
	know_release(&k);
	know_release(&l);
	fixture_close(&a);
}

/* A branch of a branch has one name, whether or not the part below it was
 * renamed before. */
static void test_one_name(void **state)
{
	struct fixture a, b;
	char backup[64];
	uint64_t o, n, m;
	(void)state;

	fixture_open(&a, "alpha", true);
	o = origin_of(&a);
	n = knows(&a, o);
	make_file(&a, ROOT, "lower", "1");
	m = knows(&a, o);
	make_file(&a, ROOT, "upper", "2");
	fixture_stop(&a);
	fixture_backup(&a, backup);
	fixture_resume(&a);
	fixture_clone(&b, "beta", backup, false);
	rename_branch(&a, o, m);
	rename_branch(&b, o, n);
	rename_branch(&b, alias_of(&b, 0), m);
	assert_true(alias_of(&a, 0) == alias_of(&b, 0) ||
		    alias_of(&a, 0) == alias_of(&b, 1));
	/* The lower part follows. */
	assert_true(follow_alias(&a, &b));
	assert_false(resolve_one(&a, &b));
	meet(&a, &b);
	backup_remove(backup);
	fixture_close(&a);
	fixture_close(&b);
}

/* Of any branches exactly one of two goes, and there is no ring of them. */
static void test_order_of_branches(void **state)
{
	static const struct fork_branch b[] = {
		{ 5, 7 }, { 5, 8 }, { 9, 7 }, { 1024, 1 }, { 6, UINT32_MAX },
	};
	(void)state;

	for (size_t x = 0; x < ARRAY_SIZE(b); x++)
		for (size_t y = 0; y < ARRAY_SIZE(b); y++) {
			assert_int_equal(fork_goes(&b[x], &b[y]) +
						 fork_goes(&b[y], &b[x]),
					 x != y);
			for (size_t z = 0; z < ARRAY_SIZE(b); z++)
				if (fork_goes(&b[x], &b[y]) &&
				    fork_goes(&b[y], &b[z]))
					assert_true(fork_goes(&b[x], &b[z]));
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_marks),
		cmocka_unit_test(test_marks_undone),
		cmocka_unit_test(test_numbers_reserved),
		cmocka_unit_test(test_copies_differ),
		cmocka_unit_test(test_restored_backup),
		cmocka_unit_test(test_lost_numbers),
		cmocka_unit_test(test_lost_behind_a_gap),
		cmocka_unit_test(test_clone),
		cmocka_unit_test(test_branch_behind_a_gap),
		cmocka_unit_test(test_clone_noticed),
		cmocka_unit_test(test_fork_of_fork),
		cmocka_unit_test(test_renamed_not_rewritten),
		cmocka_unit_test(test_unsent_writes),
		cmocka_unit_test(test_unsent_writes_know_hidden),
		cmocka_unit_test(test_detached),
		cmocka_unit_test(test_seen_stays_seen),
		cmocka_unit_test(test_renamed_and_restamped),
		cmocka_unit_test(test_rename_undone),
		cmocka_unit_test(test_one_name),
		cmocka_unit_test(test_order_of_branches),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
