/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a conflict was settled is taken back: it is open again, on all nodes,
 * with its contents, their names and their base, however it was settled, and
 * whatever others do at the same time.
 */
#include <errno.h>
#include <stdio.h>

#include "fs/tree/decided.h"
#include "fs/tree/hist.h"
#include "variants_support.h"

static struct fixture *const a = &nodes[0], *const b = &nodes[1],
		       *const c = &nodes[2];

/* ---- what can be taken back */

struct seen {
	size_t count;
	bool asked;
	char id[DECISION_ID_CHARS + 1];
	char chosen[33], lost[33];
};

static int see(void *arg, const struct decision *d)
{
	struct seen *s = arg;

	if (d->kind != DECISION_SETTLED)
		return 0;
	s->count++;
	s->asked = d->asked;
	memcpy(s->id, d->id, sizeof(s->id));
	assert_true(slice_equal(d->path, SLICE_STR("f")));
	snprintf(s->chosen, 33, "%.*s", (int)d->chosen.label.len,
		 (const char *)d->chosen.label.data);
	snprintf(s->lost, 33, "%.*s", (int)d->lost.label.len,
		 (const char *)d->lost.label.data);
	return 0;
}

/* Ends with the first that is none. */
static int no_other(void *arg, const struct decision *d)
{
	(void)arg;
	return d->kind == DECISION_SETTLED ? 0 : -EEXIST;
}

static size_t settled(struct fixture *f, struct seen *ret)
{
	*ret = (struct seen){ 0 };
	assert_int_equal(tree_decided(f->tree, ROOT, see, ret), 0);
	return ret->count;
}

static void expect_none(void)
{
	struct seen s;

	for (int k = 0; k < 3; k++)
		assert_int_equal(settled(&nodes[k], &s), 0);
}

/* The same on all three. */
static void expect_settled(bool asked, struct seen *ret)
{
	for (int k = 0; k < 3; k++) {
		struct seen s;

		assert_int_equal(settled(&nodes[k], &s), 1);
		assert_int_equal(s.asked, asked);
		if (k)
			assert_string_equal(s.id, ret->id);
		*ret = s;
	}
}

static int undo(struct fixture *f)
{
	struct seen s;
	int r;

	assert_int_equal(settled(f, &s), 1);
	r = tree_undo(f->tree, SLICE_STR(s.id));
	check_tree(f);
	if (!r) {
		assert_int_equal(tree_undo(f->tree, SLICE_STR(s.id)),
				 -ENOENT);
		assert_int_equal(settled(f, &s), 0);
	}
	return r;
}

/* ---- conflicts */

/* What is beside main, by the writer's name; once. */
static void expect_sibling(struct fixture *f, const char *who,
			   const char *bytes)
{
	char text[64];

	snprintf(text, sizeof(text), "f (conflict %s ", who);
	expect_like(f, text, bytes);
}

/* One of the contents of the file is this. */
static void expect_variant(struct fixture *f, const char *bytes)
{
	struct variants v;
	size_t found = 0;

	variants_at(f, "f", &v);
	for (size_t k = 0; k < v.count; k++)
		found += slice_equal(v.list[k].content.inline_bytes,
				     SLICE_STR(bytes));
	variants_release(&v);
	assert_int_equal(found, 1);
}

static void expect_open(void)
{
	for (int k = 0; k < 3; k++) {
		expect_file(&nodes[k], "f", "bob's");
		expect_sibling(&nodes[k], "alice", "alice's");
		assert_int_equal(entries(&nodes[k]), 2);
		expect_base(&nodes[k], "f", "base");
	}
}

/* The name of the sibling that has these bytes. */
static void sibling_name(struct fixture *f, const char *bytes, char ret[128])
{
	struct variants v;

	variants_at(f, "f", &v);
	ret[0] = '\0';
	for (size_t k = 0; k < v.count; k++)
		if (!v.list[k].main &&
		    slice_equal(v.list[k].content.inline_bytes,
				SLICE_STR(bytes)))
			snprintf(ret, 128, "%.*s", (int)v.list[k].name.len,
				 (const char *)v.list[k].name.data);
	variants_release(&v);
	assert_true(*ret);
}

static void remove_sibling(struct fixture *f, const char *who)
{
	char text[64];
	struct variants v;

	snprintf(text, sizeof(text), "f (conflict %s ", who);
	variants_at(f, "f", &v);
	for (size_t k = 0; k < v.count; k++) {
		char name[128];

		snprintf(name, sizeof(name), "%.*s",
			 (int)v.list[k].name.len,
			 (const char *)v.list[k].name.data);
		if (!strncmp(name, text, strlen(text)))
			rm(f, ROOT, name);
	}
	variants_release(&v);
}

static void open_conflict(void)
{
	make_conflict("f");
	sync_all();
	expect_open();
	expect_none();
}

/* That somebody took a settlement back holds for all that is shown. */
static void expect_reopened(void)
{
	for (int k = 0; k < 3; k++) {
		struct variants v;

		variants_at(&nodes[k], "f", &v);
		assert_true(v.reopened);
		variants_release(&v);
	}
}

/* ---- ways to settle */

static void test_merged(void)
{
	struct seen s;

	open_conflict();
	assert_int_equal(settle_as(a, "f", "merged", SETTLE_PERSON), 0);
	sync_all();
	assert_int_equal(entries(c), 1);
	expect_settled(true, &s);
	assert_string_equal(s.chosen, "alice");
	assert_string_equal(s.lost, "bob");
	assert_int_equal(undo(b), 0);
	expect_file(b, "f", "bob's");
	sync_all();
	expect_open();
	expect_none();
	/* ... and settled again */
	assert_int_equal(settle_as(c, "f", "at last", SETTLE_PERSON), 0);
	sync_all();
	expect_file(a, "f", "at last");
	assert_int_equal(entries(a), 1);
	expect_settled(true, &s);
}

static void test_sibling_removed(void)
{
	char name[128], now[128];
	struct seen s;

	open_conflict();
	sibling_name(a, "alice's", name);
	rm(b, ROOT, name);
	sync_all();
	expect_file(a, "f", "bob's");
	assert_int_equal(entries(a), 1);
	expect_settled(true, &s);
	assert_string_equal(s.lost, "alice");
	/* (of its time nothing was decided) */
	for (int k = 0; k < 3; k++)
		assert_int_equal(tree_decided(nodes[k].tree, ROOT,
					      no_other, NULL), 0);
	assert_int_equal(undo(a), 0);
	sync_all();
	expect_open();
	expect_reopened();
	sibling_name(c, "alice's", now);
	assert_string_equal(name, now);
	expect_none();
}

static void test_sibling_taken(void)
{
	char name[128];
	struct seen s;

	open_conflict();
	sibling_name(a, "alice's", name);
	mv(a, ROOT, name, ROOT, "f");
	sync_all();
	expect_file(c, "f", "alice's");
	assert_int_equal(entries(c), 1);
	expect_settled(true, &s);
	assert_string_equal(s.lost, "bob");
	assert_int_equal(undo(c), 0);
	sync_all();
	expect_open();
}

/* A hook would do it again, and again: not before somebody has written. */
static void test_by_a_hook(void)
{
	struct variants v;
	struct seen s;

	open_conflict();
	variants_at(a, "f", &v);
	assert_false(v.reopened);
	variants_release(&v);
	assert_int_equal(settle_as(a, "f", "merged", SETTLE_AUTO), 0);
	sync_all();
	expect_settled(false, &s);
	assert_int_equal(undo(a), 0);
	sync_all();
	expect_open();
	expect_reopened();
	write_name(b, "f", "bob's more");
	sync_all();
	variants_at(c, "f", &v);
	assert_false(v.reopened);
	assert_int_equal(v.count, 2);
	variants_release(&v);
	/* (a late answer to the first question covers nothing of this) */
	assert_int_equal(settle_as(c, "f", "both", SETTLE_AUTO), 0);
	sync_all();
	expect_file(a, "f", "both");
}

/* What a hook had made, and then another of more, is there by a person. */
static void test_of_a_hook(void)
{
	make_conflict("f");
	later(c, b);
	write_name(c, "f", "carol's");
	pass(a, b);
	pass(c, b);
	assert_int_equal(settle_as(a, "f", "of two", SETTLE_AUTO), 0);
	later(c, a);
	assert_int_equal(settle_as(c, "f", "of two others", SETTLE_AUTO), 0);
	sync_all();
	assert_int_equal(entries(b), 2);
	expect_file(b, "f", "of two others");
	assert_int_equal(settle_as(b, "f", "of two others", SETTLE_AUTO), 0);
	sync_all();
	assert_int_equal(entries(a), 1);
	assert_int_equal(undo(a), 0);
	assert_int_equal(entries(a), 2);
	sync_all();
	for (int k = 0; k < 3; k++) {
		expect_file(&nodes[k], "f", "of two others");
		expect_variant(&nodes[k], "of two");
	}
}

/* Of three, one was removed: that one comes again. */
static void test_one_of_three(void)
{
	struct seen s;

	make_conflict("f");
	later(c, b);
	write_name(c, "f", "carol's");
	sync_all();
	expect_file(a, "f", "carol's");
	assert_int_equal(entries(a), 3);
	remove_sibling(a, "alice");
	sync_all();
	assert_int_equal(entries(b), 2);
	expect_settled(true, &s);
	assert_int_equal(undo(b), 0);
	sync_all();
	expect_file(c, "f", "carol's");
	expect_sibling(c, "alice", "alice's");
	expect_sibling(c, "bob", "bob's");
	assert_int_equal(entries(c), 3);
	expect_reopened();
}

/* One goes, and another is a file of its own: that is one settlement. */
static void test_sibling_over_another(void)
{
	char from[128], to[128];
	struct seen s;

	make_conflict("f");
	later(c, b);
	write_name(c, "f", "carol's");
	sync_all();
	sibling_name(a, "alice's", from);
	sibling_name(a, "bob's", to);
	mv(a, ROOT, from, ROOT, to);
	sync_all();
	expect_file(b, to, "alice's");
	assert_int_equal(entries(b), 2);
	expect_settled(true, &s);
	assert_int_equal(undo(a), 0);
	sync_all();
	for (int k = 0; k < 3; k++) {
		expect_file(&nodes[k], "f", "carol's");
		expect_file(&nodes[k], to, "alice's");
		expect_variant(&nodes[k], "alice's");
		expect_variant(&nodes[k], "bob's");
		assert_int_equal(entries(&nodes[k]), 4);
	}
	expect_reopened();
}

/* Somebody had made the same of that name, before: one entry, which the other
 * of the two shows. What the settlement made goes. */
static void test_twin_of_an_older_one(void)
{
	struct seen s;
	char name[256];

	pass(b, a);
	make_file(a, ROOT, "f", "merged");
	later(b, a);
	make_file(b, ROOT, "f", "base");
	sync_all();
	name_with(a, ROOT, "conflict", name);
	write_name(a, name, "alice's");
	later(b, a);
	write_name(b, name, "bob's");
	sync_all();
	assert_int_equal(settle_as(a, name, "merged", SETTLE_PERSON), 0);
	sync_all();
	assert_int_equal(entries(b), 1);
	expect_settled(true, &s);
	assert_int_equal(undo(b), 0);
	sync_all();
	for (int k = 0; k < 3; k++) {
		expect_file(&nodes[k], "f", "bob's");
		expect_sibling(&nodes[k], "alice", "alice's");
		assert_int_equal(entries(&nodes[k]), 2);
	}
}

/* The same, and a third file has the name, older than the one and younger
 * than the other: the twin goes, and with it its claim to the name. */
static void test_twin_beside_a_third(void)
{
	char name[256];

	pass(b, a);
	pass(c, a);
	make_file(a, ROOT, "f", "merged");
	later(c, a);
	make_file(c, ROOT, "f", "third");
	later(b, c);
	make_file(b, ROOT, "f", "base");
	sync_all();
	name_with(a, ROOT, "conflict bob", name);
	write_name(a, name, "alice's");
	later(b, a);
	write_name(b, name, "bob's");
	sync_all();
	assert_int_equal(settle_as(a, name, "merged", SETTLE_PERSON), 0);
	sync_all();
	for (int k = 0; k < 3; k++) {
		expect_file(&nodes[k], "f", "merged");
		expect_like(&nodes[k], "conflict carol", "third");
		assert_int_equal(entries(&nodes[k]), 2);
	}
	assert_int_equal(undo(b), 0);
	sync_all();
	for (int k = 0; k < 3; k++) {
		expect_file(&nodes[k], "f", "third");
		expect_like(&nodes[k], "conflict bob", "bob's");
		expect_like(&nodes[k], "conflict alice", "alice's");
		assert_int_equal(entries(&nodes[k]), 3);
	}
}

/* A slow clock makes nothing less than what comes beside it. */
static void test_slow_clock(void)
{
	char name[128];

	c->now_ns -= (int64_t)3600 * 1000000000;
	open_conflict();
	sibling_name(a, "alice's", name);
	rm(a, ROOT, name);
	sync_all();
	assert_int_equal(undo(c), 0);
	sync_all();
	expect_open();
}

/* Two were written from one main: the name of one is made of its dot. */
static void test_two_of_one_branch(void)
{
	char name[128];

	open_conflict();
	write_name(a, "f", "bob's, by alice");
	later(b, a);
	write_name(b, "f", "bob's, by bob");
	sync_all();
	assert_int_equal(entries(a), 3);
	sibling_name(a, "bob's, by alice", name);
	rm(a, ROOT, name);
	sync_all();
	assert_int_equal(undo(b), 0);
	sync_all();
	for (int k = 0; k < 3; k++) {
		expect_file(&nodes[k], "f", "bob's, by bob");
		expect_file(&nodes[k], name, "bob's, by alice");
	}
}

/* What was hidden was shown to nobody. */
static void test_hidden(void)
{
	char name[128];

	make_conflict("f");
	write_name(c, "f", "carol's");
	write_name(c, "f", "base");
	sync_all();
	assert_int_equal(entries(a), 2);
	sibling_name(a, "alice's", name);
	rm(a, ROOT, name);
	sync_all();
	assert_int_equal(undo(b), 0);
	sync_all();
	for (int k = 0; k < 3; k++) {
		expect_file(&nodes[k], "f", "bob's");
		expect_sibling(&nodes[k], "alice", "alice's");
		assert_int_equal(entries(&nodes[k]), 2);
	}
}

/* Another is main, though nothing was written: what would be put back was
 * beside another content than people see now. */
static void test_another_policy(void)
{
	struct seen s;

	make_conflict("f");
	later(c, b);
	write_name(c, "f", "carol's");
	sync_all();
	assert_int_equal(entries(a), 3);
	remove_sibling(a, "alice");
	sync_all();
	expect_settled(true, &s);
	set_policy(b, ROOT, "node:bob");
	sync_all();
	expect_file(a, "f", "bob's");
	expect_none();
	assert_int_equal(tree_undo(a->tree, SLICE_STR(s.id)), -ENOENT);
	set_policy(b, ROOT, "keep");
	sync_all();
	expect_file(a, "f", "carol's");
	expect_sibling(a, "bob", "bob's");
	expect_none();
}

/* ---- at the same time */

static void test_while_edited(void)
{
	open_conflict();
	assert_int_equal(settle_as(a, "f", "merged", SETTLE_PERSON), 0);
	sync_all();
	write_name(a, "f", "merged and more");
	later(b, a);
	assert_int_equal(undo(b), 0);
	sync_all();
	for (int k = 0; k < 3; k++) {
		struct variants v;

		variants_at(&nodes[k], "f", &v);
		assert_int_equal(v.count, 3);
		variants_release(&v);
		expect_variant(&nodes[k], "merged and more");
		expect_variant(&nodes[k], "bob's");
		expect_variant(&nodes[k], "alice's");
	}
	expect_none();
}

/* The same, where main had been asserted again. */
static void test_repeated_while_edited(void)
{
	make_conflict("f");
	later(c, b);
	write_name(c, "f", "carol's");
	sync_all();
	remove_sibling(a, "alice");
	sync_all();
	assert_int_equal(settle_as(a, "f", "merged", SETTLE_PERSON), 0);
	sync_all();
	write_name(a, "f", "merged and more");
	assert_int_equal(undo(b), 0);
	sync_all();
	for (int k = 0; k < 3; k++) {
		expect_variant(&nodes[k], "merged and more");
		expect_variant(&nodes[k], "carol's");
		expect_variant(&nodes[k], "bob's");
	}
}

/* What comes has seen main, by whatever it is made again. */
static void test_beside_another_settlement(void)
{
	char name[128];

	open_conflict();
	write_name(b, "f", "bob's more");
	sync_all();
	sibling_name(a, "alice's", name);
	write_name(a, name, "alice's more");
	sync_all();
	assert_int_equal(settle_as(a, "f", "once", SETTLE_AUTO), 0);
	later(c, a);
	assert_int_equal(settle_as(c, "f", "twice", SETTLE_AUTO), 0);
	assert_int_equal(undo(a), 0);
	sync_all();
	expect_file(b, "f", "twice");
	sibling_name(b, "bob's more", name);
	rm(b, ROOT, name);
	sync_all();
	assert_int_equal(undo(b), 0);
	expect_file(b, "f", "twice");
	expect_variant(b, "bob's more");
	sync_all();
	for (int k = 0; k < 3; k++)
		expect_variant(&nodes[k], "bob's more");
}

static void test_sibling_back_while_edited(void)
{
	char name[128];

	open_conflict();
	sibling_name(a, "alice's", name);
	rm(a, ROOT, name);
	sync_all();
	write_name(c, "f", "bob's and more");
	assert_int_equal(undo(b), 0);
	sync_all();
	for (int k = 0; k < 3; k++) {
		expect_file(&nodes[k], "f", "bob's and more");
		expect_sibling(&nodes[k], "alice", "alice's");
		assert_int_equal(entries(&nodes[k]), 2);
	}
}

static void test_twice_at_once(void)
{
	open_conflict();
	assert_int_equal(settle_as(a, "f", "merged", SETTLE_PERSON), 0);
	sync_all();
	assert_int_equal(undo(a), 0);
	later(b, a);
	assert_int_equal(undo(b), 0);
	sync_all();
	expect_open();
	expect_none();
}

static void test_against_a_removal(void)
{
	open_conflict();
	assert_int_equal(settle_as(a, "f", "merged", SETTLE_PERSON), 0);
	sync_all();
	rm(a, ROOT, "f");
	assert_int_equal(undo(b), 0);
	sync_all();
	expect_open();
}

/* Written beside it since: that stays, and main is main. */
static void test_beside_another(void)
{
	open_conflict();
	assert_int_equal(settle_as(a, "f", "merged", SETTLE_PERSON), 0);
	/* (over bob's, not knowing what became of it) */
	write_name(c, "f", "carol's");
	pass(b, a);
	pass(b, c);
	assert_int_equal(undo(b), 0);
	sync_all();
	for (int k = 0; k < 3; k++) {
		expect_variant(&nodes[k], "carol's");
		expect_variant(&nodes[k], "alice's");
		expect_variant(&nodes[k], "bob's");
	}
}

/* ---- when there is nothing to take back */

static void test_written_since(void)
{
	struct seen s;

	open_conflict();
	assert_int_equal(settle_as(a, "f", "merged", SETTLE_PERSON), 0);
	sync_all();
	expect_settled(true, &s);
	write_name(b, "f", "merged and more");
	sync_all();
	expect_none();
	assert_int_equal(tree_undo(a->tree, SLICE_STR(s.id)), -ENOENT);
	expect_file(c, "f", "merged and more");
}

static void test_removed_since(void)
{
	struct seen s;

	open_conflict();
	assert_int_equal(settle_as(a, "f", "merged", SETTLE_PERSON), 0);
	sync_all();
	rm(b, ROOT, "f");
	sync_all();
	expect_none();
	assert_int_equal(settled(a, &s), 0);
	check_tree(a);
}

/* A rename, a mode, are no edit. */
static void test_renamed_since(void)
{
	open_conflict();
	assert_int_equal(settle_as(a, "f", "merged", SETTLE_PERSON), 0);
	sync_all();
	mv(b, ROOT, "f", ROOT, "g");
	mv(b, ROOT, "g", ROOT, "f");
	sync_all();
	assert_int_equal(undo(c), 0);
	sync_all();
	for (int k = 0; k < 3; k++) {
		expect_file(&nodes[k], "f", "bob's");
		expect_sibling(&nodes[k], "alice", "alice's");
	}
}

/* Who heard of the conflict and of its end at once never showed it. */
static void test_never_seen(void)
{
	struct seen s;

	make_conflict("f");
	pass(a, b);
	assert_int_equal(settle_as(a, "f", "merged", SETTLE_PERSON), 0);
	pass(c, a);
	assert_int_equal(settled(a, &s), 1);
	assert_int_equal(settled(c, &s), 0);
	assert_int_equal(undo(a), 0);
	sync_all();
	expect_open();
}

/* Nor who hears of it together with what was made of it since. */
static void test_heard_with_an_edit(void)
{
	struct seen s;
	char name[128];

	open_conflict();
	sibling_name(a, "alice's", name);
	rm(a, ROOT, name);
	write_name(a, "f", "bob's and more");
	pass(b, a);
	assert_int_equal(settled(b, &s), 0);
	sync_all();
	expect_none();
}

static int expire_all(struct fixture *f)
{
	struct replica_history_limits none = { 0 };
	size_t n;
	int r;

	replica_set_history(f->tree, &none);
	do {
		store_lock(f->store);
		r = replica_history_expire(f->tree, 16, &n);
		store_unlock(f->store);
	} while (!r && n);
	check_tree(f);
	return r;
}

static void test_history_gone(void)
{
	struct seen s;

	open_conflict();
	assert_int_equal(settle_as(a, "f", "merged", SETTLE_PERSON), 0);
	sync_all();
	assert_int_equal(settled(b, &s), 1);
	assert_int_equal(expire_all(b), 0);
	assert_int_equal(settled(b, &s), 0);
	assert_int_equal(tree_undo(b->tree, SLICE_STR(s.id)), -ENOENT);
	/* ... at that node */
	assert_int_equal(undo(c), 0);
	sync_all();
	expect_open();
	/* ... which notes no more of them */
	assert_int_equal(settle_as(b, "f", "again", SETTLE_PERSON), 0);
	assert_int_equal(settled(b, &s), 0);
	sync_all();
	assert_int_equal(settled(a, &s), 1);
}

int main(void)
{
	static const struct scenario all[] = {
		SCENARIO(test_merged),
		SCENARIO(test_sibling_removed),
		SCENARIO(test_sibling_taken),
		SCENARIO(test_by_a_hook),
		SCENARIO(test_of_a_hook),
		SCENARIO(test_one_of_three),
		SCENARIO(test_sibling_over_another),
		SCENARIO(test_twin_of_an_older_one),
		SCENARIO(test_twin_beside_a_third),
		SCENARIO(test_slow_clock),
		SCENARIO(test_two_of_one_branch),
		SCENARIO(test_hidden),
		SCENARIO(test_another_policy),
		SCENARIO(test_while_edited),
		SCENARIO(test_repeated_while_edited),
		SCENARIO(test_beside_another_settlement),
		SCENARIO(test_sibling_back_while_edited),
		SCENARIO(test_twice_at_once),
		SCENARIO(test_against_a_removal),
		SCENARIO(test_beside_another),
		SCENARIO(test_written_since),
		SCENARIO(test_removed_since),
		SCENARIO(test_renamed_since),
		SCENARIO(test_never_seen),
		SCENARIO(test_heard_with_an_edit),
		SCENARIO(test_history_gone),
	};

	return scenarios_run(all, ARRAY_SIZE(all));
}
