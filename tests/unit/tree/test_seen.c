/* SPDX-License-Identifier: Apache-2.0 */
/* What was looked at is what is settled, or nothing is: tree_resolve_seen().
 * Of each kind of conflict, beside others of the same file. */
#include <errno.h>

#include "fs/tree/bucket.h"
#include "nodes_support.h"

static struct fixture *const a = &nodes[0], *const b = &nodes[1],
		       *const c = &nodes[2];

struct look {
	enum conflict_kind kind;
	size_t found;
	struct hash token;
};

static int note_token(void *arg, const struct conflict *x)
{
	struct look *l = arg;

	if (x->kind != l->kind)
		return 0;
	l->found++;
	l->token = x->token;
	return 0;
}

/* The token of the only conflict of this kind. */
static struct hash seen(struct fixture *f, enum conflict_kind kind)
{
	struct look l = { .kind = kind };

	assert_int_equal(tree_conflicts(f->tree, ROOT, note_token, &l), 0);
	assert_int_equal(l.found, 1);
	return l.token;
}

static int resolve(struct fixture *f, const char *name, const char *take,
		   struct hash token)
{
	return tree_resolve_seen(f->tree, ROOT, SLICE_STR(name),
				 SLICE_STR(take), &token);
}

static struct sum sum_of_all(struct fixture *f)
{
	struct sum sum;

	store_lock(f->store);
	sum = bucket_root(f->tree);
	store_unlock(f->store);
	return sum;
}

static void expect_untouched(struct fixture *f, const char *name,
			     const char *take, struct hash token)
{
	struct sum before = sum_of_all(f), after;

	assert_int_equal(resolve(f, name, take, token), -ESTALE);
	after = sum_of_all(f);
	assert_true(sum_equal(&before, &after));
}

static void test_content(void)
{
	struct hash old;

	make_conflict("f");
	sync_all();
	old = seen(a, CONFLICT_CONTENT);
	write_name(b, "f", "bob again");
	pass(a, b);
	expect_untouched(a, "f", "main", old);
	assert_int_equal(resolve(a, "f", "main", seen(a, CONFLICT_CONTENT)), 0);
	sync_all();
	expect_file(c, "f", "bob again");
	assert_int_equal(entries(c), 1);
}

/* By any name of the file, wherever its siblings stand. */
static void test_content_of_a_linked_file(void)
{
	struct entry e;
	uint64_t d = make_dir(a, ROOT, "d");

	make_file(a, d, "f", "base");
	sync_all();
	write_file(a, look(a, look(a, ROOT, "d"), "f"), "alice's");
	later(b, a);
	write_file(b, look(b, look(b, ROOT, "d"), "f"), "bob's");
	sync_all();
	assert_int_equal(tree_link(a->tree, look(a, d, "f"), ROOT,
				   SLICE_STR("g"), &e), 0);
	assert_int_equal(resolve(a, "g", "main", seen(a, CONFLICT_CONTENT)), 0);
	sync_all();
	expect_file(c, "g", "bob's");
	assert_int_equal(tree_conflict_count(c->tree), 0);
}

static void make_two(const char *name)
{
	make_file(a, ROOT, name, "alice's");
	later(b, a);
	make_file(b, ROOT, name, "bob's");
	sync_all();
}

static void test_name(void)
{
	char name[256];
	struct hash old;

	sync_all();
	make_file(a, ROOT, "f", "alice's");
	later(b, a);
	make_file(b, ROOT, "f", "bob's");
	pass(a, b);
	pass(b, a);
	old = seen(a, CONFLICT_NAME);
	name_with(b, ROOT, "bob", name);
	write_name(b, name, "bob again");
	pass(a, b);
	expect_untouched(a, "f", "main", old);
	make_file(c, ROOT, "f", "carol's");
	old = seen(a, CONFLICT_NAME);
	pass(a, c);
	expect_untouched(a, "f", "main", old);
	assert_int_equal(resolve(a, "f", "main", seen(a, CONFLICT_NAME)), 0);
	assert_int_equal(entries(a), 1);
}

/* It says the same of the names as before; but what `main` is has changed. */
static void test_contents_came_under_a_name(void)
{
	struct hash old;

	make_two("f");
	write_name(b, "f", "main by bob");
	later(a, b);
	write_name(a, "f", "main by alice");
	old = seen(a, CONFLICT_NAME);
	pass(a, b);
	expect_untouched(a, "f", "main", old);
	old = seen(a, CONFLICT_NAME);
	assert_int_equal(resolve(a, "f", "main", seen(a, CONFLICT_CONTENT)), 0);
	expect_untouched(a, "f", "main", old);
	assert_int_equal(resolve(a, "f", "main", seen(a, CONFLICT_NAME)), 0);
	expect_file(a, "f", "main by alice");
	assert_int_equal(entries(a), 1);
}

static void test_place(void)
{
	struct hash old;

	make_file(a, ROOT, "f", "x");
	sync_all();
	mv(a, ROOT, "f", ROOT, "one");
	later(b, a);
	mv(b, ROOT, "f", ROOT, "two");
	sync_all();
	old = seen(a, CONFLICT_PLACE);
	later(c, b);
	mv(c, ROOT, "two", ROOT, "three");
	later(b, c);
	mv(b, ROOT, "two", ROOT, "four");
	pass(a, b);
	pass(a, c);
	expect_untouched(a, "four", "main", old);
	assert_int_equal(resolve(a, "four", "three",
				 seen(a, CONFLICT_PLACE)), 0);
	sync_all();
	expect_file(c, "three", "x");
	assert_int_equal(tree_conflict_count(c->tree), 0);
}

/* A place that was looked at is not that of contents that came. */
static void test_contents_came_at_a_place(void)
{
	struct hash old;

	make_file(a, ROOT, "f", "x");
	sync_all();
	mv(a, ROOT, "f", ROOT, "one");
	later(b, a);
	mv(b, ROOT, "f", ROOT, "two");
	sync_all();
	old = seen(a, CONFLICT_PLACE);
	write_name(c, "two", "by carol");
	later(a, c);
	write_name(a, "two", "by alice");
	pass(a, c);
	expect_untouched(a, "two", "main", old);
	assert_int_equal(entries(a), 2);
}

static void test_settled_meanwhile(void)
{
	struct hash old;

	make_conflict("f");
	sync_all();
	old = seen(a, CONFLICT_CONTENT);
	assert_int_equal(tree_resolve(b->tree, ROOT, SLICE_STR("f"),
				      SLICE_STR("main")), 0);
	pass(a, b);
	expect_untouched(a, "f", "main", old);
}

/* Nobody has looked at what is not yet a version. */
static void test_unsent_writes(void)
{
	char name[256];
	uint64_t ino;

	make_two("f");
	name_with(a, ROOT, "bob", name);
	ino = look(a, ROOT, name);
	assert_int_equal(tree_open_file(a->tree, ino, true), 0);
	assert_int_equal(tree_write(a->tree, ino, 0, SLICE_STR("BOB"), false),
			 0);
	assert_int_equal(resolve(a, "f", "main", seen(a, CONFLICT_NAME)),
			 -EBUSY);
	tree_release_file(a->tree, ino, true);
	expect_file(a, name, "BOB's");
	assert_int_equal(resolve(a, "f", "main", seen(a, CONFLICT_NAME)), 0);
	assert_int_equal(entries(a), 1);
}

/* Each said that another one holds: neither is removed by the other's word. */
static void test_two_take_different_files(void)
{
	char name[256];

	make_two("f");
	name_with(b, ROOT, "bob", name);
	assert_int_equal(resolve(a, "f", "main", seen(a, CONFLICT_NAME)), 0);
	assert_int_equal(resolve(b, "f", name, seen(b, CONFLICT_NAME)), 0);
	expect_file(b, "f", "bob's");
	sync_all();
	assert_int_equal(entries(c), 2);
	expect_like(c, "bob", "bob's");
	expect_file(c, "f", "alice's");
	assert_int_equal(tree_conflict_count(c->tree), 1);
}

/* What was taken stays, even where somebody else removes it. */
static void test_taken_beside_rm(void)
{
	make_two("f");
	assert_int_equal(resolve(a, "f", "main", seen(a, CONFLICT_NAME)), 0);
	rm(b, ROOT, "f");
	sync_all();
	expect_file(c, "f", "alice's");
	assert_int_equal(entries(c), 1);
}

int main(void)
{
	static const struct scenario list[] = {
		SCENARIO(test_content),
		SCENARIO(test_content_of_a_linked_file),
		SCENARIO(test_name),
		SCENARIO(test_contents_came_under_a_name),
		SCENARIO(test_place),
		SCENARIO(test_contents_came_at_a_place),
		SCENARIO(test_settled_meanwhile),
		SCENARIO(test_unsent_writes),
		SCENARIO(test_two_take_different_files),
		SCENARIO(test_taken_beside_rm),
	};

	return scenarios_run(list, ARRAY_SIZE(list));
}
