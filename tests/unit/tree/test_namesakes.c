/* SPDX-License-Identifier: Apache-2.0 */
/* Different files that were made under one name, and one that is made of
 * them: tree_namesakes(). Three nodes, in every order of deliveries. */
#include <errno.h>
#include <unistd.h>

#include "variants_support.h"

static struct fixture *const a = &nodes[0], *const b = &nodes[1],
		       *const c = &nodes[2];

static void make_two(void)
{
	make_file(a, ROOT, "f", "alice's");
	later(b, a);
	make_file(b, ROOT, "f", "bob's");
	sync_all();
}

static void namesakes_at(struct fixture *f, struct variants *ret)
{
	assert_int_equal(tree_namesakes(f->tree, ROOT, SLICE_STR("f"), ret),
			 0);
}

static int settle_seen(struct fixture *f, const struct variants *v,
		       const char *bytes)
{
	int fd = fd_with(SLICE_STR(bytes));
	int r = tree_settle_namesakes(f->tree, v, fd);

	close(fd);
	return r;
}

static int merge_as(struct fixture *f, const char *bytes)
{
	struct variants v;
	int r;

	namesakes_at(f, &v);
	r = settle_seen(f, &v, bytes);
	variants_release(&v);
	return r;
}

static void expect_one(const char *bytes)
{
	sync_all();
	for (int k = 0; k < 3; k++) {
		expect_file(&nodes[k], "f", bytes);
		assert_int_equal(entries(&nodes[k]), 1);
		assert_int_equal(tree_conflict_count(nodes[k].tree), 0);
	}
}

static void ln_to(struct fixture *f, const char *name, const char *to)
{
	struct entry e;

	assert_int_equal(tree_link(f->tree, look(f, ROOT, name), ROOT,
				   SLICE_STR(to), &e), 0);
}

/* ---- what is seen */

static void test_alike_on_all_nodes(void)
{
	struct variants v[3];
	char name[256];

	make_two();
	for (int k = 0; k < 3; k++) {
		name_with(&nodes[k], ROOT, "bob", name);
		/* By either name. */
		assert_int_equal(tree_namesakes(nodes[k].tree, ROOT,
						SLICE_STR(name), &v[k]), 0);
		assert_int_equal(v[k].count, 2);
		assert_true(hash_equal(&v[k].token, &v[0].token));
		for (size_t n = 0; n < 2; n++) {
			const struct variant *x = &v[k].list[n];

			assert_true(x->main == !n && x->here);
			assert_true(slice_equal(x->label, n ?
						SLICE_STR("bob") :
						SLICE_STR("alice")));
			assert_true(slice_equal(x->name, n ? SLICE_STR(name) :
							 SLICE_STR("f")));
			assert_true(slice_equal(x->content.inline_bytes, n ?
						SLICE_STR("bob's") :
						SLICE_STR("alice's")));
		}
	}
	for (int k = 0; k < 3; k++)
		variants_release(&v[k]);
}

static void expect_refused(const char *name, int error)
{
	struct variants v;

	assert_int_equal(tree_namesakes(c->tree, ROOT, SLICE_STR(name), &v),
			 error);
}

static void test_refused(void)
{
	struct tree_new link = { .kind = KIND_SYMLINK, .perm = 0777,
				 .target = SLICE_STR("x") };
	struct entry e;

	make_file(a, ROOT, "alone", "x");
	make_file(a, ROOT, "f", "alice's");
	make_file(a, ROOT, "d", "alice's");
	make_file(a, ROOT, "l", "alice's");
	make_file(a, ROOT, "g", "base");
	sync_all();
	expect_refused("alone", -ENODATA);
	expect_refused("none", -ENOENT);
	expect_refused("", -EINVAL);
	rm(a, ROOT, "d");
	rm(a, ROOT, "l");
	sync_all();
	make_file(a, ROOT, "d", "alice's");
	make_file(a, ROOT, "l", "alice's");
	later(b, a);
	make_dir(b, ROOT, "d");
	assert_int_equal(tree_create(b->tree, ROOT, SLICE_STR("l"), &link,
				     false, &e), 0);
	sync_all();
	expect_refused("d", -EISDIR);
	expect_refused("l", -ENOTSUP);
	/* Several contents of one file are not several files. */
	write_name(a, "g", "alice's");
	later(b, a);
	write_name(b, "g", "bob's");
	sync_all();
	expect_refused("g", -ENODATA);
}

static void test_refused_if_one_is_in_conflict(void)
{
	struct variants v;

	make_two();
	namesakes_at(a, &v);
	write_name(a, "f", "alice again");
	later(b, a);
	write_name(b, "f", "bob there");
	sync_all();
	expect_refused("f", -ENOTUNIQ);
	assert_int_equal(settle_seen(a, &v, "both"), -ESTALE);
	variants_release(&v);
	assert_int_equal(settle_as(c, "f", "of both", SETTLE_PERSON), 0);
	assert_int_equal(merge_as(c, "both"), 0);
	expect_one("both");
}

/* ---- settling */

static void test_one_file(void)
{
	struct object was, is;

	make_two();
	row_at(c, "f", &was);
	assert_int_equal(merge_as(c, "both"), 0);
	row_at(c, "f", &is);
	assert_true(objid_equal(was.id, is.id));
	object_release(&was);
	object_release(&is);
	expect_one("both");
	assert_int_equal(tree_namesakes(c->tree, ROOT, SLICE_STR("f"),
					&(struct variants){ 0 }), -ENODATA);
}

/* Then these two would be one entry, and go as one. */
static void test_result_is_what_one_has(void)
{
	make_two();
	assert_int_equal(merge_as(a, "bob's"), 0);
	expect_one("bob's");
}

static void test_result_is_what_main_has(void)
{
	make_two();
	assert_int_equal(merge_as(b, "alice's"), 0);
	expect_one("alice's");
}

static void test_large_result(void)
{
	static uint8_t bytes[300000];
	struct variants v;
	struct attr at;
	int fd;

	for (size_t k = 0; k < sizeof(bytes); k++)
		bytes[k] = (uint8_t)(k * k >> 7);
	make_two();
	namesakes_at(a, &v);
	fd = fd_with(SLICE(bytes, sizeof(bytes)));
	assert_int_equal(tree_settle_namesakes(a->tree, &v, fd), 0);
	close(fd);
	variants_release(&v);
	assert_int_equal(tree_getattr(a->tree, look(a, ROOT, "f"), &at), 0);
	assert_int_equal(at.size, sizeof(bytes));
	assert_int_equal(entries(a), 1);
	check_tree(a);
}

static void test_after_a_crash(void)
{
	make_two();
	assert_int_equal(merge_as(a, "both"), 0);
	fixture_crash(a);
	expect_one("both");
}

/* Equal files that two made are one entry; all of it is written. */
static void test_twins(void)
{
	sync_all();
	make_file(a, ROOT, "f", "same");
	later(c, a);
	make_file(c, ROOT, "f", "same");
	later(b, c);
	make_file(b, ROOT, "f", "bob's");
	sync_all();
	assert_int_equal(entries(b), 2);
	assert_int_equal(merge_as(b, "both"), 0);
	expect_one("both");
}

static void test_three_files(void)
{
	sync_all();
	make_file(a, ROOT, "f", "1");
	later(b, a);
	make_file(b, ROOT, "f", "2");
	later(c, b);
	make_file(c, ROOT, "f", "3");
	sync_all();
	assert_int_equal(entries(b), 3);
	assert_int_equal(merge_as(b, "123"), 0);
	expect_one("123");
}

static void test_in_merged_directories(void)
{
	struct variants v;
	uint64_t d;

	sync_all();
	make_file(a, make_dir(a, ROOT, "d"), "f", "alice's");
	later(b, a);
	make_file(b, make_dir(b, ROOT, "d"), "f", "bob's");
	sync_all();
	d = look(c, ROOT, "d");
	assert_int_equal(tree_namesakes(c->tree, d, SLICE_STR("f"), &v), 0);
	assert_int_equal(settle_seen(c, &v, "both"), 0);
	variants_release(&v);
	sync_all();
	d = look(a, ROOT, "d");
	assert_int_equal(list(a, d, NULL, 0), 1);
	expect_bytes(a, look(a, d, "f"), "both");
}

/* Other names of a removed one stay, with what it held. */
static void test_other_names(void)
{
	char name[256];

	make_two();
	name_with(a, ROOT, "bob", name);
	ln_to(a, name, "other");
	ln_to(a, "f", "same");
	assert_int_equal(merge_as(a, "both"), 0);
	sync_all();
	assert_int_equal(entries(c), 3);
	expect_file(c, "f", "both");
	expect_file(c, "same", "both");
	expect_file(c, "other", "bob's");
}

/* ---- what came between */

static void test_stale(void)
{
	struct variants v;
	char name[256];

	make_two();
	name_with(a, ROOT, "bob", name);
	namesakes_at(a, &v);
	write_name(a, name, "newer");
	assert_int_equal(settle_seen(a, &v, "late"), -ESTALE);
	variants_release(&v);
	namesakes_at(a, &v);
	write_name(a, "f", "newer, too");
	assert_int_equal(settle_seen(a, &v, "late"), -ESTALE);
	variants_release(&v);
	namesakes_at(a, &v);
	mv(a, ROOT, name, ROOT, "elsewhere");
	assert_int_equal(settle_seen(a, &v, "late"), -ESTALE);
	variants_release(&v);
	expect_file(a, "f", "newer, too");
	expect_file(a, "elsewhere", "newer");
}

static void test_settled_twice_by_one_token(void)
{
	struct variants v;

	make_two();
	namesakes_at(a, &v);
	assert_int_equal(settle_seen(a, &v, "both"), 0);
	assert_int_equal(settle_seen(a, &v, "late"), -ESTALE);
	variants_release(&v);
	expect_one("both");
}

static void test_unsent_writes(void)
{
	char name[256];
	uint64_t ino;

	make_two();
	name_with(a, ROOT, "bob", name);
	ino = look(a, ROOT, name);
	assert_int_equal(tree_open_file(a->tree, ino, true), 0);
	assert_int_equal(tree_write(a->tree, ino, 0, SLICE_STR("BOB"), false),
			 0);
	assert_int_equal(merge_as(a, "both"), -EBUSY);
	tree_release_file(a->tree, ino, true);
	expect_file(a, name, "BOB's");
	assert_int_equal(merge_as(a, "both"), 0);
	expect_one("both");
}

/* Who reads goes on with what he has. */
static void test_open_to_read(void)
{
	uint64_t ino, other;
	char name[256];

	make_two();
	name_with(a, ROOT, "bob", name);
	ino = look(a, ROOT, "f");
	other = look(a, ROOT, name);
	assert_int_equal(tree_open_file(a->tree, ino, false), 0);
	assert_int_equal(tree_open_file(a->tree, other, false), 0);
	assert_int_equal(merge_as(a, "both"), 0);
	expect_bytes(a, ino, "alice's");
	expect_bytes(a, other, "bob's");
	tree_release_file(a->tree, ino, false);
	tree_release_file(a->tree, other, false);
	expect_one("both");
}

/* ---- beside others */

static void test_beside_rm_of_main(void)
{
	make_two();
	assert_int_equal(merge_as(a, "both"), 0);
	rm(b, ROOT, "f");
	sync_all();
	expect_file(c, "f", "both");
	assert_int_equal(entries(c), 1);
}

static void test_beside_rm_of_the_other(void)
{
	char name[256];

	make_two();
	assert_int_equal(merge_as(a, "both"), 0);
	name_with(b, ROOT, "bob", name);
	rm(b, ROOT, name);
	expect_one("both");
}

/* What is written to one that goes was not read by who merged. */
static void test_beside_an_edit_of_the_other(void)
{
	char name[256];

	make_two();
	assert_int_equal(merge_as(a, "both"), 0);
	name_with(b, ROOT, "bob", name);
	write_name(b, name, "bob again");
	sync_all();
	assert_int_equal(entries(c), 2);
	expect_file(c, "f", "both");
	expect_like(c, "bob", "bob again");
}

static void test_beside_an_edit_of_main(void)
{
	make_two();
	assert_int_equal(merge_as(a, "both"), 0);
	later(b, a);
	write_name(b, "f", "newer");
	sync_all();
	assert_int_equal(entries(c), 2);
	expect_file(c, "f", "newer");
	expect_like(c, "alice", "both");
}

static void test_beside_who_takes_the_other(void)
{
	char name[256];

	make_two();
	assert_int_equal(merge_as(a, "both"), 0);
	name_with(b, ROOT, "bob", name);
	assert_int_equal(tree_resolve(b->tree, ROOT, SLICE_STR("f"),
				      SLICE_STR(name)), 0);
	sync_all();
	assert_int_equal(entries(c), 2);
	expect_like(c, "bob", "bob's");
}

static void test_two_results(void)
{
	make_two();
	assert_int_equal(merge_as(a, "one"), 0);
	later(b, a);
	assert_int_equal(merge_as(b, "two"), 0);
	sync_all();
	assert_int_equal(entries(c), 2);
	expect_file(c, "f", "two");
	expect_like(c, "alice", "one");
	assert_true(in_conflict(c, "f"));
}

static void test_two_equal_results(void)
{
	make_two();
	assert_int_equal(merge_as(a, "both"), 0);
	assert_int_equal(merge_as(b, "both"), 0);
	expect_one("both");
}

int main(void)
{
	static const struct scenario list[] = {
		SCENARIO(test_alike_on_all_nodes),
		SCENARIO(test_refused),
		SCENARIO(test_refused_if_one_is_in_conflict),
		SCENARIO(test_one_file),
		SCENARIO(test_result_is_what_one_has),
		SCENARIO(test_result_is_what_main_has),
		SCENARIO(test_large_result),
		SCENARIO(test_after_a_crash),
		SCENARIO(test_twins),
		SCENARIO(test_three_files),
		SCENARIO(test_in_merged_directories),
		SCENARIO(test_other_names),
		SCENARIO(test_stale),
		SCENARIO(test_settled_twice_by_one_token),
		SCENARIO(test_unsent_writes),
		SCENARIO(test_open_to_read),
		SCENARIO(test_beside_rm_of_main),
		SCENARIO(test_beside_rm_of_the_other),
		SCENARIO(test_beside_an_edit_of_the_other),
		SCENARIO(test_beside_an_edit_of_main),
		SCENARIO(test_beside_who_takes_the_other),
		SCENARIO(test_two_results),
		SCENARIO(test_two_equal_results),
	};

	return scenarios_run(list, ARRAY_SIZE(list));
}
