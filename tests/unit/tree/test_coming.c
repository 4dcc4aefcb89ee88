/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file of which several contents are on their way: alice's edit, which is
 * main, and dora's, a sibling. bob shows what he had until main is all here;
 * neither of the two waits for the other.
 */
#include "tests/unit/tree/tree_support.h"

#include <errno.h>
#include <sys/stat.h>

#include "fs/base/hash.h"
#include "fs/store/content.h"

#define ROOT TREE_ROOT_INO
#define HASHES_MAX 64

static void fill(char *bytes, char c, size_t len)
{
	memset(bytes, c, len - 1);
	bytes[len - 1] = '\0';
}

struct hashes {
	struct hash list[HASHES_MAX];
	size_t count;
};

static int add_hash(void *arg, const struct hash *h)
{
	struct hashes *l = arg;

	assert_true(l->count < HASHES_MAX);
	l->list[l->count++] = *h;
	return 0;
}

static bool give_one(struct fixture *to, struct fixture *from,
		     const struct hash *h)
{
	struct buf b = BUF_INIT;
	bool has;

	store_lock(from->store);
	has = chunk_exists(from->store, h);
	store_unlock(from->store);
	if (has) {
		assert_int_equal(chunk_read(from->store, h, &b), 0);
		assert_int_equal(replica_chunk_received(to->tree, h,
							buf_slice(&b)), 0);
	}
	buf_release(&b);
	return has;
}

/* All that `to` wants and `from` has; the rest is still wanted. */
static void give(struct fixture *to, struct fixture *from)
{
	bool some = true;

	while (some) {
		struct hashes l = { .count = 0 };

		store_lock(to->store);
		assert_true(replica_wants(to->tree, HASHES_MAX, add_hash,
					  &l) >= 0);
		store_unlock(to->store);
		some = false;
		for (size_t k = 0; k < l.count; k++)
			some |= give_one(to, from, &l.list[k]);
	}
}

/* What the kernel is told. */
struct told {
	int entries, inodes;
};

static void told_entry(void *arg, uint64_t parent, struct slice name)
{
	(void)parent;
	(void)name;
	((struct told *)arg)->entries++;
}

static void told_inode(void *arg, uint64_t ino)
{
	(void)ino;
	((struct told *)arg)->inodes++;
}

struct coming {
	struct fixture a, b, d;
	struct told told;
	char one[20000], two[20000], three[20000];
};

/* Both edits are known to bob, and nothing of either is here. */
static void coming_open(struct coming *c)
{
	struct tree_observer o = { .arg = &c->told, .entry = told_entry,
				   .inode = told_inode };

	fill(c->one, '1', sizeof(c->one));
	fill(c->two, '2', sizeof(c->two));
	fill(c->three, '3', sizeof(c->three));
	fixture_open(&c->a, "alice", true);
	fixture_open(&c->b, "bob", false);
	fixture_open(&c->d, "dora", false);
	make_file(&c->a, ROOT, "f", c->one);
	merge_from(&c->b, &c->a);
	give(&c->b, &c->a);
	merge_from(&c->d, &c->a);
	give(&c->d, &c->a);
	write_file(&c->d, look(&c->d, ROOT, "f"), c->three);
	c->a.now_ns = c->d.now_ns + 1000000000;
	write_file(&c->a, look(&c->a, ROOT, "f"), c->two);
	merge_from(&c->b, &c->a);
	merge_from(&c->b, &c->d);
	expect_bytes(&c->b, look(&c->b, ROOT, "f"), c->one);
	assert_int_equal(list(&c->b, ROOT, NULL, 0), 1);
	tree_observe(c->b.tree, &o);
	c->told = (struct told){ 0 };
}

static void coming_close(struct coming *c)
{
	tree_observe(c->b.tree, &(struct tree_observer){ .arg = NULL });
	check_tree(&c->b);
	fixture_close(&c->a);
	fixture_close(&c->b);
	fixture_close(&c->d);
}

static void expect_both(struct coming *c)
{
	char name[256];

	assert_int_equal(list(&c->b, ROOT, NULL, 0), 2);
	expect_bytes(&c->b, look(&c->b, ROOT, "f"), c->two);
	name_with(&c->b, ROOT, "conflict dora", name);
	expect_bytes(&c->b, look(&c->b, ROOT, name), c->three);
}

/* The sibling may never come: who has it is away. */
static void test_main_comes_first(void **state)
{
	struct coming c;
	uint64_t ino;

	(void)state;
	coming_open(&c);
	ino = look(&c.b, ROOT, "f");
	assert_int_equal(tree_open_file(c.b.tree, ino, false), 0);
	give(&c.b, &c.a);
	expect_bytes(&c.b, look(&c.b, ROOT, "f"), c.two);
	assert_int_equal(list(&c.b, ROOT, NULL, 0), 1);
	assert_true(c.told.entries > 0);
	/* Who reads the other goes on with it. */
	expect_bytes(&c.b, ino, c.one);
	tree_release_file(c.b.tree, ino, false);
	c.told = (struct told){ 0 };
	give(&c.b, &c.d);
	expect_both(&c);
	assert_true(c.told.entries > 0);
	coming_close(&c);
}

/* The kernel may know that there was no such name. */
static void test_sibling_comes_first(void **state)
{
	struct coming c;
	char name[256];

	(void)state;
	coming_open(&c);
	give(&c.b, &c.d);
	expect_bytes(&c.b, look(&c.b, ROOT, "f"), c.one);
	assert_int_equal(list(&c.b, ROOT, NULL, 0), 2);
	name_with(&c.b, ROOT, "conflict dora", name);
	expect_bytes(&c.b, look(&c.b, ROOT, name), c.three);
	assert_true(c.told.entries > 0);
	give(&c.b, &c.a);
	expect_both(&c);
	coming_close(&c);
}

/* What is written here, too, need not come: nobody may have it. */
static void test_written_here_meanwhile(void **state)
{
	struct hashes l = { .count = 0 };
	struct coming c;

	(void)state;
	coming_open(&c);
	store_lock(c.b.store);
	assert_int_equal(replica_wants(c.b.tree, HASHES_MAX, add_hash, &l),
			 2);
	store_unlock(c.b.store);
	make_file(&c.b, ROOT, "the same", c.two);
	l.count = 0;
	store_lock(c.b.store);
	assert_int_equal(replica_wants(c.b.tree, HASHES_MAX, add_hash, &l),
			 1);
	store_unlock(c.b.store);
	expect_bytes(&c.b, look(&c.b, ROOT, "f"), c.two);
	coming_close(&c);
}

/*
 * All of main's next content is here, for it was written here, too, and
 * nobody has looked yet: who removes the sibling has not seen it, and the
 * file shows what it showed. It is main that was asserted, so nothing is in
 * conflict when that is looked at.
 */
static void test_remove_sibling_as_main_comes(void **state)
{
	struct coming c;
	char name[256];

	(void)state;
	coming_open(&c);
	give(&c.b, &c.d);
	make_file(&c.b, ROOT, "the same", c.two);
	name_with(&c.b, ROOT, "conflict dora", name);
	assert_int_equal(tree_unlink(c.b.tree, ROOT, SLICE_STR(name)), 0);
	expect_bytes(&c.b, look(&c.b, ROOT, "f"), c.one);
	assert_int_equal(list(&c.b, ROOT, NULL, 0), 2);
	check_tree(&c.b);
	c.told = (struct told){ 0 };
	give(&c.b, &c.a);
	expect_bytes(&c.b, look(&c.b, ROOT, "f"), c.two);
	assert_true(c.told.inodes > 0);
	assert_int_equal(list(&c.b, ROOT, NULL, 0), 2);
	merge_from(&c.a, &c.b);
	expect_bytes(&c.a, look(&c.a, ROOT, "f"), c.two);
	assert_int_equal(list(&c.a, ROOT, NULL, 0), 2);
	coming_close(&c);
}

/* Two contents of one branch: the second has a name by its own dot, until
 * the first is gone, and again when somebody writes it who has not seen that.
 * A handle on it goes on with what it has; the name is the new content's. */
static void test_sibling_gets_a_name_back(void **state)
{
	struct fixture a, b, d;
	char name[256];
	uint64_t ino;

	(void)state;
	fixture_open(&a, "alice", true);
	fixture_open(&b, "bob", false);
	fixture_open(&d, "dora", false);
	make_file(&a, ROOT, "f", "base");
	merge_from(&b, &a);
	write_file(&b, look(&b, ROOT, "f"), "bob's");
	a.now_ns = b.now_ns + 1000000000;
	write_file(&a, look(&a, ROOT, "f"), "alice's");
	merge_from(&a, &b);
	merge_from(&b, &a);
	merge_from(&d, &a);
	name_with(&d, ROOT, "conflict bob", name);
	d.now_ns = a.now_ns;
	write_file(&d, look(&d, ROOT, name), "dora's");
	b.now_ns = d.now_ns + 1000000000;
	write_file(&b, look(&b, ROOT, name), "bob's next");
	merge_from(&d, &b);
	merge_from(&a, &d);
	assert_int_equal(list(&a, ROOT, NULL, 0), 3);

	name_with(&a, ROOT, "conflict dora", name);
	ino = look(&a, ROOT, name);
	expect_bytes(&a, ino, "dora's");
	assert_int_equal(tree_open_file(a.tree, ino, true), 0);
	assert_int_equal(tree_write(a.tree, ino, 0, SLICE_STR("unsent"),
				    false), 0);
	name_with(&a, ROOT, "conflict bob", name);
	assert_int_equal(tree_unlink(a.tree, ROOT, SLICE_STR(name)), 0);
	assert_int_equal(list(&a, ROOT, NULL, 0), 2);
	expect_bytes(&a, ino, "unsent");
	name_with(&d, ROOT, "conflict dora", name);
	write_file(&d, look(&d, ROOT, name), "dora's next");
	merge_from(&a, &d);
	name_with(&a, ROOT, "conflict dora", name);
	expect_bytes(&a, look(&a, ROOT, name), "dora's next");
	expect_bytes(&a, ino, "unsent");
	assert_int_equal(tree_unlink(a.tree, ROOT, SLICE_STR(name)), 0);
	/* (no conflict is open, so the latest is main) */
	tree_release_file(a.tree, ino, true);
	assert_int_equal(list(&a, ROOT, NULL, 0), 2);
	expect_bytes(&a, look(&a, ROOT, "f"), "unsent");
	name_with(&a, ROOT, "conflict", name);
	expect_bytes(&a, look(&a, ROOT, name), "alice's");
	check_tree(&a);
	fixture_close(&a);
	fixture_close(&b);
	fixture_close(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_main_comes_first),
		cmocka_unit_test(test_sibling_comes_first),
		cmocka_unit_test(test_written_here_meanwhile),
		cmocka_unit_test(test_remove_sibling_as_main_comes),
		cmocka_unit_test(test_sibling_gets_a_name_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
