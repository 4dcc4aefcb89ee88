/* SPDX-License-Identifier: Apache-2.0 */
/* Variants, tokens and settlements: variants.h. Three nodes, in every order
 * of deliveries, and at the end any number of them that answer at once. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "variants_support.h"

static struct fixture *const a = &nodes[0], *const b = &nodes[1],
		       *const c = &nodes[2];

/* ---- what is seen */

static void test_alike_on_all_nodes(void)
{
	struct variants v[3];

	make_conflict("f");
	sync_all();
	for (int k = 0; k < 3; k++)
		variants_at(&nodes[k], "f", &v[k]);
	for (int k = 0; k < 3; k++) {
		assert_int_equal(v[k].count, 2);
		assert_true(hash_equal(&v[k].token, &v[0].token));
		assert_int_equal(v[k].leaves_count, 2);
		assert_true(v[k].base_known);
		for (size_t n = 0; n < 2; n++) {
			const struct variant *x = &v[k].list[n];
			struct slice bytes = x->content.inline_bytes;
			bool bobs = slice_equal(x->label, SLICE_STR("bob"));

			assert_true(dot_equal(x->dot, v[0].list[n].dot));
			assert_true(dot_equal(v[k].leaves[n],
					      v[0].leaves[n]));
			assert_true(x->here && !x->automatic);
			assert_int_equal(x->main, bobs);
			assert_true(slice_equal(bytes, bobs
						? SLICE_STR("bob's")
						: SLICE_STR("alice's")));
			assert_int_equal(slice_equal(x->name, SLICE_STR("f")),
					 bobs);
			assert_true(x->name.len);
			assert_true(x->time.tv_sec > 0);
		}
	}
	for (int k = 0; k < 3; k++)
		variants_release(&v[k]);
}

static void test_by_sibling_and_by_id(void)
{
	char name[256];
	struct variants x, y;

	make_conflict("f");
	sync_all();
	name_with(c, ROOT, "conflict", name);
	variants_at(c, name, &x);
	assert_int_equal(tree_variants_of(c->tree, x.id, &y), 0);
	assert_true(hash_equal(&x.token, &y.token));
	variants_release(&x);
	variants_release(&y);
}

static void test_no_conflict(void)
{
	struct variants v;

	make_file(a, ROOT, "f", "x");
	assert_int_equal(tree_variants(a->tree, look(a, ROOT, "f"), &v),
			 -ENODATA);
	assert_int_equal(tree_variants(a->tree, ROOT, &v), -ENODATA);
	assert_int_equal(tree_variants(a->tree, 4711, &v), -ESTALE);
	assert_int_equal(tree_variants_of(a->tree,
					  (struct objid){ { 9 } }, &v),
			 -ENOENT);
}

/* A void is no variant: there is nothing to merge with one content. */
static void test_voids_are_left_out(void)
{
	struct variants v;

	make_conflict("f");
	later(c, b);
	write_name(c, "f", "carol's");
	sync_all();
	rm(a, ROOT, "f");
	sync_all();
	assert_int_equal(look_error(b, ROOT, "f"), -ENOENT);
	char name[256];
	name_with(b, ROOT, "alice", name);
	variants_at(b, name, &v);
	assert_int_equal(v.count, 2);
	assert_false(v.list[0].main || v.list[1].main);
	variants_release(&v);
	assert_int_equal(settle_as(b, name, "both", SETTLE_PERSON), 0);
	sync_all();
	expect_file(c, "f", "both");
	assert_int_equal(entries(a), 1);
}

static int count_id(void *arg, struct objid id, uint64_t ino)
{
	struct variants v;
	struct fixture *f = arg;

	assert_int_equal(tree_variants_of(f->tree, id, &v), 0);
	variants_release(&v);
	assert_int_equal(tree_variants(f->tree, ino, &v), 0);
	variants_release(&v);
	f->random++;
	return 0;
}

static void test_each_conflict(void)
{
	uint64_t before;

	make_conflict("f");
	sync_all();
	make_conflict("g");
	make_file(a, ROOT, "name", "one");
	make_file(b, ROOT, "name", "two");
	sync_all();
	before = c->random;
	assert_int_equal(tree_each_conflict(c->tree, count_id, c), 0);
	assert_int_equal(c->random - before, 2);
	assert_int_equal(settle_as(c, "f", "x", SETTLE_AUTO), 0);
	before = c->random;
	assert_int_equal(tree_each_conflict(c->tree, count_id, c), 0);
	assert_int_equal(c->random - before, 1);
}

/* ---- settling */

static void test_person_settles(void)
{
	struct attr at;

	make_conflict("f");
	sync_all();
	later(c, b);
	assert_int_equal(settle_as(c, "f", "both", SETTLE_PERSON), 0);
	assert_int_equal(tree_getattr(c->tree, look(c, ROOT, "f"), &at), 0);
	assert_true(at.mtime.tv_sec >= (c->now_ns - 1000000000) / 1000000000);
	sync_all();
	for (int k = 0; k < 3; k++) {
		expect_file(&nodes[k], "f", "both");
		assert_int_equal(entries(&nodes[k]), 1);
	}
}

static void test_stale_token_does_nothing(void)
{
	int fd = fd_with(SLICE_STR("late"));
	struct variants v;

	make_conflict("f");
	sync_all();
	variants_at(a, "f", &v);
	write_name(a, "f", "newer");
	for (int by = SETTLE_PERSON; by <= SETTLE_AUTO; by++) {
		struct object was, is;

		row_at(a, "f", &was);
		assert_int_equal(tree_settle(a->tree, &v, fd,
					     (enum settle_by)by), -ESTALE);
		row_at(a, "f", &is);
		assert_int_equal(is.count, was.count);
		for (size_t k = 0; k < is.count; k++)
			assert_true(version_same(&is.versions[k],
						 &was.versions[k]));
		object_release(&was);
		object_release(&is);
	}
	expect_file(a, "f", "newer");
	variants_release(&v);
	/* Removed meanwhile. */
	variants_at(b, "f", &v);
	pass(b, a);
	assert_int_equal(tree_settle(b->tree, &v, fd, SETTLE_AUTO), -ESTALE);
	variants_release(&v);
	close(fd);
	sync_all();
	assert_int_equal(entries(c), 2);
}

static void test_settled_twice_by_one_token(void)
{
	int fd = fd_with(SLICE_STR("x"));
	struct variants v;

	make_conflict("f");
	sync_all();
	variants_at(a, "f", &v);
	assert_int_equal(tree_settle(a->tree, &v, fd, SETTLE_AUTO), 0);
	assert_int_equal(tree_settle(a->tree, &v, fd, SETTLE_AUTO), -ESTALE);
	variants_release(&v);
	close(fd);
}

static void expect_large(struct fixture *f, const uint8_t *bytes, size_t len)
{
	uint64_t ino = look(f, ROOT, "f");
	uint8_t *is = malloc(len + 1);
	struct attr at;

	assert_non_null(is);
	assert_int_equal(tree_getattr(f->tree, ino, &at), 0);
	assert_int_equal(at.size, len);
	assert_int_equal(tree_read(f->tree, ino, 0, is, len + 1), len);
	assert_memory_equal(is, bytes, len);
	free(is);
}

/* Of every size: inline, one piece, several, with holes; and empty. */
static void test_sizes(void)
{
	static const size_t sizes[] = { 0, 1, 4096, 4097, 262144, 262145,
					3 << 20 };
	uint8_t *bytes = malloc(3 << 20);
	uint64_t x = 1;

	assert_non_null(bytes);
	for (size_t k = 0; k < 3 << 20; k++) {
		x = x * 6364136223846793005u + 1442695040888963407u;
		bytes[k] = k >= 600000 && k < 2000000 ? 0 : (uint8_t)(x >> 56);
	}
	make_conflict("f");
	sync_all();
	for (size_t k = 0; k < ARRAY_SIZE(sizes); k++) {
		int fd = fd_with(SLICE(bytes, sizes[k]));
		struct variants v;

		variants_at(a, "f", &v);
		/* (where fd stands is no matter) */
		assert_int_equal(tree_settle(a->tree, &v, fd,
					     k & 1 ? SETTLE_AUTO
						   : SETTLE_PERSON), 0);
		variants_release(&v);
		close(fd);
		expect_large(a, bytes, sizes[k]);
		check_tree(a);
		/* in conflict again */
		pass(c, a);
		later(b, a);
		write_name(b, "f", "other");
		pass(a, b);
		assert_true(in_conflict(a, "f"));
		assert_int_equal(settle_as(a, "f", "now", SETTLE_PERSON), 0);
		pass(b, a);
		write_name(b, "f", "one");
		later(a, b);
		write_name(a, "f", "two");
		pass(a, b);
	}
	free(bytes);
}

/* What cannot be read yet can be part of no result. */
static void test_not_all_here(void)
{
	struct tree_setattr cut = { .set = TREE_SET_SIZE };
	uint8_t *bytes = calloc(300000, 1);
	struct variants v;
	struct attr at;
	uint64_t ino;
	size_t away = 0;

	assert_non_null(bytes);
	for (size_t k = 0; k < 300000; k++)
		bytes[k] = (uint8_t)(k * k >> 3);
	make_file(a, ROOT, "f", "base");
	sync_all();
	write_name(a, "f", "alice's");
	later(b, a);
	ino = look(b, ROOT, "f");
	assert_int_equal(tree_open_file(b->tree, ino, true), 0);
	assert_int_equal(tree_setattr(b->tree, ino, &cut, &at), 0);
	assert_int_equal(tree_write(b->tree, ino, 0, SLICE(bytes, 300000),
				    false), 0);
	tree_release_file(b->tree, ino, true);
	pass(c, a);
	pass(c, b);
	variants_at(c, "f", &v);
	assert_int_equal(v.count, 2);
	for (size_t k = 0; k < 2; k++)
		away += !v.list[k].here;
	assert_int_equal(away, 1);
	variants_release(&v);
	assert_int_equal(settle_as(c, "f", "x", SETTLE_AUTO), -EAGAIN);
	assert_int_equal(settle_as(c, "f", "x", SETTLE_PERSON), -EAGAIN);
	expect_file(c, "f", "alice's");
	pass(b, a);
	assert_int_equal(settle_as(b, "f", "x", SETTLE_AUTO), 0);
	expect_file(b, "f", "x");
	free(bytes);
}

/* Who has it open reads on. */
static void test_open_handles(void)
{
	uint64_t main, sibling;
	char name[256];

	make_conflict("f");
	sync_all();
	name_with(c, ROOT, "conflict", name);
	main = look(c, ROOT, "f");
	sibling = look(c, ROOT, name);
	assert_int_equal(tree_open_file(c->tree, main, false), 0);
	assert_int_equal(tree_open_file(c->tree, sibling, true), 0);
	assert_int_equal(settle_as(c, "f", "settled", SETTLE_AUTO), 0);
	expect_bytes(c, main, "bob's");
	expect_bytes(c, sibling, "alice's");
	expect_file(c, "f", "settled");
	check_tree(c);
	/* What is written to what was replaced is one more variant, and as
	 * the latest it has the name. */
	assert_int_equal(tree_write(c->tree, sibling, 0, SLICE_STR("more"),
				    false), 0);
	tree_release_file(c->tree, sibling, true);
	tree_release_file(c->tree, main, false);
	check_tree(c);
	assert_true(in_conflict(c, "f"));
	expect_file(c, "f", "moree's");
	expect_like(c, "conflict", "settled");
}

/* A log that grows: whoever follows it sees what was added. */
static void test_follow_a_log(void)
{
	uint64_t main;

	make_conflict("f");
	sync_all();
	main = look(c, ROOT, "f");
	assert_int_equal(tree_open_file(c->tree, main, false), 0);
	assert_int_equal(settle_as(c, "f", "bob's and alice's", SETTLE_AUTO),
			 0);
	expect_bytes(c, main, "bob's and alice's");
	assert_int_equal(look(c, ROOT, "f"), main);
	tree_release_file(c->tree, main, false);
}

/* ---- beside what others do */

static void test_auto_beside_edit(void)
{
	make_conflict("f");
	sync_all();
	assert_int_equal(settle_as(a, "f", "merged", SETTLE_AUTO), 0);
	later(b, a);
	write_name(b, "f", "bob's again");
	sync_all();
	for (int k = 0; k < 3; k++)
		assert_true(in_conflict(&nodes[k], "f"));
	expect_base(c, "f", "bob's");
	assert_int_equal(settle_as(c, "f", "merged again", SETTLE_AUTO), 0);
	sync_all();
	expect_file(a, "f", "merged again");
	assert_int_equal(entries(a), 1);
}

static void test_auto_beside_person(void)
{
	make_conflict("f");
	sync_all();
	assert_int_equal(settle_as(a, "f", "by rule", SETTLE_AUTO), 0);
	later(b, a);
	assert_int_equal(settle_as(b, "f", "by hand", SETTLE_PERSON), 0);
	sync_all();
	/* Nobody's answer is dropped unseen. */
	assert_true(in_conflict(c, "f"));
	assert_int_equal(settle_as(c, "f", "both", SETTLE_AUTO), 0);
	sync_all();
	assert_int_equal(entries(b), 1);
}

static void test_auto_beside_rename(void)
{
	make_conflict("f");
	sync_all();
	assert_int_equal(settle_as(a, "f", "merged", SETTLE_AUTO), 0);
	mv(b, ROOT, "f", ROOT, "g");
	sync_all();
	assert_int_equal(entries(c), 1);
	expect_file(c, "g", "merged");
	assert_false(in_conflict(c, "g"));
}

/* It keeps nothing: who removes it all means it. */
static void test_auto_beside_rm(void)
{
	char name[256];

	make_conflict("f");
	sync_all();
	assert_int_equal(settle_as(a, "f", "merged", SETTLE_AUTO), 0);
	name_with(b, ROOT, "conflict", name);
	rm(b, ROOT, "f");
	rm(b, ROOT, name);
	sync_all();
	assert_int_equal(entries(c), 0);
}

static void test_person_beside_rm(void)
{
	char name[256];

	make_conflict("f");
	sync_all();
	assert_int_equal(settle_as(a, "f", "merged", SETTLE_PERSON), 0);
	name_with(b, ROOT, "conflict", name);
	rm(b, ROOT, "f");
	rm(b, ROOT, name);
	sync_all();
	assert_int_equal(entries(c), 1);
	expect_file(c, "f", "merged");
}

static void test_auto_beside_rm_of_sibling(void)
{
	char name[256];

	make_conflict("f");
	sync_all();
	assert_int_equal(settle_as(a, "f", "merged", SETTLE_AUTO), 0);
	name_with(b, ROOT, "conflict", name);
	later(b, a);
	rm(b, ROOT, name);
	sync_all();
	/* Main once more is no edit of it: the answer goes on. */
	assert_int_equal(entries(c), 1);
	expect_file(c, "f", "merged");
}

/* ---- answers to answers */

static void test_equal_answers(void)
{
	make_conflict("f");
	sync_all();
	for (int k = 0; k < 3; k++)
		assert_int_equal(settle_as(&nodes[k], "f", "same",
					   SETTLE_AUTO), 0);
	sync_all();
	for (int k = 0; k < 3; k++) {
		expect_file(&nodes[k], "f", "same");
		assert_false(in_conflict(&nodes[k], "f"));
	}
}

static void test_different_answers(void)
{
	static const char *const answers[] = { "one", "two", "three" };

	make_conflict("f");
	sync_all();
	for (int k = 0; k < 3; k++)
		assert_int_equal(settle_as(&nodes[k], "f", answers[k],
					   SETTLE_AUTO), 0);
	sync_all();
	assert_false(in_conflict(a, "f"));
	assert_int_equal(entries(a), 1);
}

/* The removal of a sibling repeats main: as a leaf, that is main itself. */
static void test_leaves_of_what_is_repeated(void)
{
	struct variants before, after;
	char name[256];

	make_conflict("f");
	later(c, b);
	write_name(c, "f", "carol's");
	sync_all();
	variants_at(a, "f", &before);
	name_with(a, ROOT, "alice", name);
	rm(a, ROOT, name);
	variants_at(a, "f", &after);
	assert_int_equal(before.leaves_count, 3);
	assert_int_equal(after.leaves_count, 2);
	for (size_t k = 0; k < 2; k++) {
		bool found = false;

		for (size_t n = 0; n < 3; n++)
			found |= dot_equal(after.leaves[k], before.leaves[n]);
		assert_true(found);
	}
	variants_release(&before);
	variants_release(&after);
}

#define MANY 4

static void gossip(struct fixture *n, int count, uint64_t *random, int steps)
{
	while (steps--) {
		int x, y;

		*random = *random * 6364136223846793005u + 99991;
		x = (int)((*random >> 33) % (uint64_t)count);
		y = (int)((*random >> 45) % (uint64_t)count);
		if (x != y)
			pass(&n[x], &n[y]);
	}
}

static void gossip_all(struct fixture *n, int count, uint64_t *random)
{
	gossip(n, count, random, 2 * count);
	for (int k = 0; k < count; k++)
		pass(&n[(k + 1) % count], &n[k]);
	for (int k = 0; k < count; k++)
		pass(&n[(k + 1) % count], &n[k]);
	for (int k = 1; k < count; k++)
		expect_same(&n[0], &n[k]);
}

/* Everybody who sees a conflict answers, each in his own way. */
static bool answer_all(struct fixture *n, int count, int round)
{
	bool any = false;

	for (int k = 0; k < count; k++) {
		char bytes[64];

		if (look_error(&n[k], ROOT, "f") || !in_conflict(&n[k], "f"))
			continue;
		any = true;
		snprintf(bytes, sizeof(bytes), "%s in round %d", n[k].label,
			 round);
		assert_int_equal(settle_as(&n[k], "f", bytes, SETTLE_AUTO), 0);
	}
	return any;
}

/* Whatever each saw when it first answered: one version in two rounds. */
static void answers_end(int count, uint64_t seed)
{
	static const char *const labels[MANY] = { "n0", "n1", "n2", "n3" };
	struct fixture n[MANY];
	uint64_t random = seed;
	int round = 0;

	for (int k = 0; k < count; k++)
		fixture_open(&n[k], labels[k], !k);
	make_file(&n[0], ROOT, "f", "base");
	gossip_all(n, count, &random);
	for (int k = 0; k < count; k++) {
		n[k].now_ns += (int64_t)(random >> 40 & 0xfff) * 1000000;
		write_name(&n[k], "f", labels[k]);
		gossip(n, count, &random, k & 1);
	}
	gossip(n, count, &random, (int)(seed % 7));
	while (answer_all(n, count, round)) {
		assert_in_range(++round, 1, 2);
		gossip_all(n, count, &random);
	}
	/* (those that saw nothing did not answer in the first one) */
	for (int k = 0; k < count; k++) {
		assert_int_equal(entries(&n[k]), 1);
		fixture_close(&n[k]);
	}
}

static void test_answers_end(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 60; seed++)
		answers_end(3 + (int)(seed & 1), seed);
}

int main(void)
{
	static const struct scenario list[] = {
		SCENARIO(test_alike_on_all_nodes),
		SCENARIO(test_by_sibling_and_by_id),
		SCENARIO(test_no_conflict),
		SCENARIO(test_voids_are_left_out),
		SCENARIO(test_each_conflict),
		SCENARIO(test_person_settles),
		SCENARIO(test_stale_token_does_nothing),
		SCENARIO(test_settled_twice_by_one_token),
		SCENARIO(test_sizes),
		SCENARIO(test_not_all_here),
		SCENARIO(test_open_handles),
		SCENARIO(test_follow_a_log),
		SCENARIO(test_auto_beside_edit),
		SCENARIO(test_auto_beside_person),
		SCENARIO(test_auto_beside_rename),
		SCENARIO(test_auto_beside_rm),
		SCENARIO(test_person_beside_rm),
		SCENARIO(test_auto_beside_rm_of_sibling),
		SCENARIO(test_equal_answers),
		SCENARIO(test_different_answers),
		SCENARIO(test_leaves_of_what_is_repeated),
	};
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_answers_end),
	};

	return scenarios_run(list, ARRAY_SIZE(list)) |
	       cmocka_run_group_tests(tests, NULL, NULL);
}
