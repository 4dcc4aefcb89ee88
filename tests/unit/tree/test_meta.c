/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What META says of the tree: each value damaged, and each missing. The tree
 * does not open, the check says which, and after the repair it opens, shows
 * all that it showed, is sound, and exchanges with others as before; a node
 * that does not know its numbers any more goes on under new ones.
 */
#include "tree_support.h"

#include <errno.h>
#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>

#include "fs/store/format.h"
#include "fs/tree/check.h"
#include "fs/tree/fork.h"
#include "fs/tree/mend.h"
#include "fs/tree/meta.h"

/* ---- damage */

static void fill(struct fixture *a, struct fixture *b)
{
	uint64_t dir;

	fixture_open(a, "anna", true);
	dir = make_dir(a, TREE_ROOT_INO, "dir");
	make_file(a, dir, "one", "one");
	write_file(a, make_file(a, dir, "often", "first"), "second");
	fixture_open(b, "ben", false);
	merge_from(b, a);
	write_file(a, look(a, dir, "one"), "of a");
	dir = look(b, TREE_ROOT_INO, "dir");
	write_file(b, look(b, dir, "one"), "of b");
	make_file(b, dir, "from-b", "b");
	merge_from(a, b);
	make_file(a, look(a, TREE_ROOT_INO, "dir"), "unsent", "mine");
}

static bool raw_has(MDB_txn *txn, MDB_dbi dbi, const char *name)
{
	MDB_val k = { strlen(name), (void *)name }, v;

	return !mdb_get(txn, dbi, &k, &v);
}

/* As the disk would: past the store, so that no check fits. False: there is
 * no such value. */
static bool damage(const char *path, const char *name, bool removed)
{
	MDB_val k = { strlen(name), (void *)name };
	MDB_val v = { 8, "damaged!" };
	char file[100];
	MDB_env *env;
	MDB_txn *txn;
	MDB_dbi dbi;
	bool there;

	snprintf(file, sizeof(file), "%s/db", path);
	assert_int_equal(mdb_env_create(&env), 0);
	assert_int_equal(mdb_env_set_maxdbs(env, TABLE_COUNT), 0);
	assert_int_equal(mdb_env_open(env, file, MDB_NOSUBDIR, 0600), 0);
	assert_int_equal(mdb_txn_begin(env, NULL, 0, &txn), 0);
	assert_int_equal(mdb_dbi_open(txn, table_name(TABLE_META), 0, &dbi),
			 0);
	there = raw_has(txn, dbi, name);
	if (there && removed)
		assert_int_equal(mdb_del(txn, dbi, &k, NULL), 0);
	else if (there)
		assert_int_equal(mdb_put(txn, dbi, &k, &v, 0), 0);
	assert_int_equal(mdb_txn_commit(txn), 0);
	mdb_env_close(env);
	return there;
}

/* ---- the repair, as `kin check --repair` does it */

struct told {
	char names[META_KEYS][20];
	size_t count;
};

static void note_damaged(void *arg, const char *name)
{
	struct told *t = arg;

	assert_true(t->count < META_KEYS);
	snprintf(t->names[t->count++], sizeof(t->names[0]), "%s", name);
}

static int open_mending(struct fixture *f, struct told *told,
			struct tree_mended *mended)
{
	struct store_options so = { .path = f->path, .no_sync = true,
				    .log_bytes = 1 << 20,
				    .map_bytes = 1 << 30,
				    .inspect = !mended };
	struct tree_options to = { .env = &f->env, .mending = true,
				   .volume = { { 7 } },
				   .damaged = note_damaged,
				   .damaged_arg = told, .mended = mended };
	int r;

	*told = (struct told){ .count = 0 };
	assert_int_equal(store_open(&so, NULL, &f->store), 0);
	assert_true(tree_exists(f->store));
	to.store = f->store;
	r = tree_open(&to, &f->tree);
	if (r) {
		store_abandon(f->store);
		f->store = NULL;
	}
	return r;
}

static void note_fault(void *arg, const struct check_fault *f)
{
	snprintf(arg, 200, "%s: %s", table_name((enum store_table)f->table),
		 f->what);
}

static uint64_t look_at_all(struct fixture *f, bool mend)
{
	char last[200] = "";
	struct check_options o = { .data = true, .still = true,
				   .fault = note_fault, .arg = last };
	struct mend_result mended = { 0 };
	struct check *c;
	uint64_t faults;
	int r;

	assert_int_equal(check_begin(f->tree, &o, &c), 0);
	while (!(r = check_step(c)))
		;
	assert_int_equal(r, 1);
	faults = check_result(c)->faults;
	if (mend && faults) {
		assert_int_equal(mend_contents(c, NULL, &mended), 0);
		assert_true(check_result(c)->indexes_wrong);
		assert_int_equal(mend_rows(c, &mended), 0);
	}
	check_end(c);
	if (faults && !mend)
		print_error("%s\n", last);
	return faults;
}

static void repair(struct fixture *f, const char *name,
		   struct tree_mended *mended)
{
	struct told told;

	/* Who only looks is told, and changes nothing. */
	assert_int_equal(open_mending(f, &told, NULL), -EUCLEAN);
	assert_int_equal(told.count, 1);
	assert_string_equal(told.names[0], name);
	assert_int_equal(open_mending(f, &told, mended), 0);
	assert_int_equal(told.count, 1);
	look_at_all(f, true);
	assert_int_equal(look_at_all(f, false), 0);
	fixture_stop(f);
}

/* ---- before and after */

static int add_to(void *arg, const struct replica_view_entry *e)
{
	struct buf *b = arg;

	buf_printf(b, "%.*s %d\n", (int)e->path.len,
		   (const char *)e->path.data, e->kind);
	return 0;
}

static void view(struct fixture *f, struct buf *ret)
{
	buf_reset(ret);
	assert_int_equal(replica_view(f->tree, add_to, ret), 0);
}

static bool is_identity(const char *name)
{
	return !strcmp(name, "origin") || !strcmp(name, "clock") ||
	       !strcmp(name, "know");
}

static void expect_mended(struct fixture *a, struct fixture *b,
			  const char *name, const struct tree_mended *mended,
			  uint64_t origin, const struct buf *before)
{
	cleanup(buf_release) struct buf now = BUF_INIT, there = BUF_INIT;
	struct tree_incarnation i;

	view(a, &now);
	assert_true(slice_equal(buf_slice(before), buf_slice(&now)));
	expect_bytes(a, look(a, look(a, TREE_ROOT_INO, "dir"), "unsent"),
		     "mine");
	check_tree(a);
	assert_int_equal(mended->incarnation, is_identity(name));
	assert_int_equal(a->tree->origin != origin, is_identity(name));
	assert_false(mended->own_volume);
	assert_int_equal(tree_incarnation(a->tree, &i), 0);
	assert_int_equal(i.cause, is_identity(name) ? CAUSE_MENDED
						    : CAUSE_NONE);
	assert_string_equal(a->tree->label, "anna");
	/* Both ways, with something new on both sides. */
	make_file(a, TREE_ROOT_INO, "after-a", "a");
	make_file(b, TREE_ROOT_INO, "after-b", "b");
	merge_from(b, a);
	merge_from(a, b);
	merge_from(b, a);
	view(a, &now);
	view(b, &there);
	assert_true(slice_equal(buf_slice(&there), buf_slice(&now)));
	(void)look(b, TREE_ROOT_INO, "after-a");
	(void)look(b, look(b, TREE_ROOT_INO, "dir"), "unsent");
	fixture_crash(a);
	view(a, &now);
	assert_true(slice_equal(buf_slice(&there), buf_slice(&now)));
}

static void one_value(const char *name, bool removed)
{
	cleanup(buf_release) struct buf before = BUF_INIT;
	struct tree_mended mended = { 0 };
	struct fixture a, b;
	uint64_t origin;

	fill(&a, &b);
	view(&a, &before);
	origin = a.tree->origin;
	fixture_stop(&a);
	if (damage(a.path, name, removed)) {
		repair(&a, name, &mended);
		fixture_resume(&a);
		expect_mended(&a, &b, name, &mended, origin, &before);
	}
	fixture_close(&a);
	fixture_close(&b);
}

static void test_each(void **state)
{
	static const char *const always[] = { "volume", "label", "origin",
					      "know", "clock" };
	static const char *const others[] = { "history" };

	(void)state;
	for (size_t k = 0; k < 2 * ARRAY_SIZE(always); k++)
		one_value(always[k / 2], k % 2);
	for (size_t k = 0; k < ARRAY_SIZE(others); k++)
		one_value(others[k], false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
