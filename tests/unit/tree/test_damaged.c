/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Entries of the index that are whole, and cannot be: each was found by a
 * fuzzer, or beside one. They are refused, and nothing else is.
 */
#include <errno.h>

#include "fs/tree/tree_internal.h"
#include "tree_support.h"

#define ROOT TREE_ROOT_INO
/* Where a row's local part has its inode number: FORMAT.md, "Rows". */
#define INODE_AT 10

static struct fixture f;

static int set_up(void **state)
{
	(void)state;
	fixture_open(&f, "alice", true);
	make_file(&f, ROOT, "f", "text");
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	fixture_close(&f);
	return 0;
}

/* The first entry of the table whose key begins so. */
static struct slice first_of(enum store_table table, struct slice prefix,
			     uint8_t key[STORE_KEY_BYTES_MAX],
			     struct slice *ret_value)
{
	struct slice k;

	assert_int_equal(store_seek(f.store, table, prefix, &k, ret_value), 0);
	assert_true(k.len >= prefix.len &&
		    !memcmp(k.data, prefix.data, prefix.len));
	memcpy(key, k.data, k.len);
	return SLICE(key, k.len);
}

static int count(void *arg, const struct tree_dirent *e)
{
	(void)e;
	++*(size_t *)arg;
	return 0;
}

static void test_name(void **state)
{
	const struct objid root = ROOT_ID;
	uint8_t key[STORE_KEY_BYTES_MAX], entry[4] = { 0, 'a', '/', 'b' };
	size_t n = 0;
	struct slice k, v;

	(void)state;
	store_lock(f.store);
	assert_int_equal(replica_begin(f.tree), 0);
	k = first_of(TABLE_DIR, SLICE(root.b, sizeof(root.b)), key, &v);
	entry[0] = v.data[0];
	assert_int_equal(store_put(f.store, TABLE_DIR, k,
				   SLICE(entry, sizeof(entry))), 0);
	assert_int_equal(replica_end(f.tree, 0), 0);
	store_unlock(f.store);
	assert_int_equal(tree_readdir(f.tree, ROOT, 0, count, &n), -EUCLEAN);
	assert_int_equal(n, 0);
}

static void test_inode_number(void **state)
{
	uint8_t key[STORE_KEY_BYTES_MAX], row[ROW_BYTES_MAX];
	struct slice k, v;

	(void)state;
	store_lock(f.store);
	assert_int_equal(replica_begin(f.tree), 0);
	k = first_of(TABLE_OBJ, SLICE("", 0), key, &v);
	/* (the root's is the first) */
	key[k.len] = 0;
	assert_int_equal(store_seek(f.store, TABLE_OBJ, SLICE(key, k.len + 1),
				    &k, &v), 0);
	memcpy(key, k.data, k.len);
	memcpy(row, v.data, v.len);
	memset(row + INODE_AT, 0, 8);
	assert_int_equal(store_put(f.store, TABLE_OBJ, SLICE(key, k.len),
				   SLICE(row, v.len)), 0);
	assert_int_equal(replica_end(f.tree, 0), 0);
	store_unlock(f.store);
	assert_int_equal(look_error(&f, ROOT, "f"), -EUCLEAN);
}

static void test_long_mark(void **state)
{
	uint8_t key[25] = { 'n' }, name[300];
	const struct objid root = ROOT_ID;

	(void)state;
	memcpy(key + 1, root.b, sizeof(root.b));
	memset(name, 'x', sizeof(name));
	store_lock(f.store);
	assert_int_equal(replica_begin(f.tree), 0);
	assert_int_equal(store_put(f.store, TABLE_MARK,
				   SLICE(key, sizeof(key)),
				   SLICE(name, sizeof(name))), 0);
	assert_int_equal(work_children(f.tree, root), -EUCLEAN);
	assert_int_equal(replica_end(f.tree, -EUCLEAN), -EUCLEAN);
	store_unlock(f.store);
	expect_bytes(&f, look(&f, ROOT, "f"), "text");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_name, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_inode_number, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_long_mark, set_up,
						tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
