/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is decided without asking: listed alike on all nodes, with what won
 * and what lost, and taken back on any of them, after which all are equal.
 */
#include <errno.h>
#include <stdio.h>

#include "fs/tree/decided.h"
#include "nodes_support.h"

static struct fixture *const a = &nodes[0], *const b = &nodes[1],
		       *const c = &nodes[2];

/* ---- the list */

struct seen {
	size_t count;
	enum decision_kind kind;
	char id[DECISION_ID_CHARS + 1];
	char path[64], chosen[64], lost[64];
	char chosen_label[33], lost_label[33];
	bool is_dir, lost_none;
	struct dot lost_dot;
	int64_t lost_time;
};

static void put(char ret[64], struct slice s)
{
	snprintf(ret, 64, "%.*s", (int)s.len, (const char *)s.data);
}

static int see(void *arg, const struct decision *d)
{
	struct seen *s = arg;

	s->count++;
	s->kind = d->kind;
	s->is_dir = d->is_dir;
	memcpy(s->id, d->id, sizeof(s->id));
	put(s->path, d->path);
	put(s->chosen, d->chosen.value);
	put(s->lost, d->lost.value);
	snprintf(s->chosen_label, 33, "%.*s", (int)d->chosen.label.len,
		 (const char *)d->chosen.label.data);
	snprintf(s->lost_label, 33, "%.*s", (int)d->lost.label.len,
		 (const char *)d->lost.label.data);
	s->lost_none = d->lost.none;
	s->lost_dot = d->lost.dot;
	s->lost_time = d->lost.time.tv_sec;
	return 0;
}

/* The last one of all at or below a path; how many there are. */
static size_t decided(struct fixture *f, uint64_t ino, struct seen *ret)
{
	*ret = (struct seen){ 0 };
	assert_int_equal(tree_decided(f->tree, ino, see, ret), 0);
	return ret->count;
}

static void expect_none(void)
{
	struct seen s;

	for (int k = 0; k < 3; k++)
		assert_int_equal(decided(&nodes[k], ROOT, &s), 0);
}

/* Exactly one, the same on all three nodes. */
static void expect_one(enum decision_kind kind, const char *path,
		       struct seen *ret)
{
	for (int k = 0; k < 3; k++) {
		struct seen s;

		assert_int_equal(decided(&nodes[k], ROOT, &s), 1);
		assert_int_equal(s.kind, kind);
		assert_string_equal(s.path, path);
		assert_int_equal(strlen(s.id), DECISION_ID_CHARS);
		if (k) {
			assert_string_equal(s.id, ret->id);
			assert_string_equal(s.chosen, ret->chosen);
			assert_string_equal(s.lost, ret->lost);
		}
		*ret = s;
	}
}

static int undo(struct fixture *f, const char *id)
{
	int r = tree_undo(f->tree, SLICE_STR(id));

	check_tree(f);
	return r;
}

/* Undone at one node; all agree, and there is nothing more to undo. */
static void undo_everywhere(struct fixture *at, const struct seen *s)
{
	assert_int_equal(undo(at, s->id), 0);
	assert_int_equal(undo(at, s->id), -ENOENT);
	sync_all();
	expect_none();
	for (int k = 0; k < 3; k++)
		assert_int_equal(undo(&nodes[k], s->id), -ENOENT);
}

/* ---- attributes */

static void set_mode(struct fixture *f, uint64_t ino, uint32_t perm)
{
	struct tree_setattr s = { .set = TREE_SET_MODE, .perm = perm };
	struct attr at;

	assert_int_equal(tree_setattr(f->tree, ino, &s, &at), 0);
}

static uint32_t mode_at(struct fixture *f, const char *name)
{
	struct attr at;

	assert_int_equal(tree_getattr(f->tree, look(f, ROOT, name), &at), 0);
	return at.mode & 07777;
}

static void test_mode(void)
{
	struct seen s;

	make_file(a, ROOT, "f", "text");
	sync_all();
	expect_none();
	set_mode(a, look(a, ROOT, "f"), 0600);
	later(b, a);
	set_mode(b, look(b, ROOT, "f"), 0755);
	later(c, a);
	set_mode(c, look(c, ROOT, "f"), 0600);
	sync_all();
	expect_one(DECISION_MODE, "f", &s);
	assert_string_equal(s.chosen, mode_at(a, "f") == 0755 ? "0755"
							      : "0600");
	assert_string_equal(s.lost, mode_at(a, "f") == 0755 ? "0600"
							    : "0755");
	undo_everywhere(c, &s);
	for (int k = 0; k < 3; k++)
		assert_int_equal(mode_at(&nodes[k], "f"),
				 !strcmp(s.lost, "0755") ? 0755 : 0600);
	expect_file(b, "f", "text");
}

/* Set to one value twice: nothing lost. */
static void test_equal_values(void)
{
	make_file(a, ROOT, "f", "text");
	sync_all();
	set_mode(a, look(a, ROOT, "f"), 0600);
	set_mode(b, look(b, ROOT, "f"), 0600);
	sync_all();
	expect_none();
}

/* Who goes on from what was decided has agreed. */
static void test_mode_set_again(void)
{
	struct seen s;

	make_dir(a, ROOT, "d");
	sync_all();
	set_mode(a, look(a, ROOT, "d"), 0700);
	later(b, a);
	set_mode(b, look(b, ROOT, "d"), 0755);
	sync_all();
	expect_one(DECISION_MODE, "d", &s);
	assert_true(s.is_dir);
	set_mode(c, look(c, ROOT, "d"), 0711);
	sync_all();
	expect_none();
	assert_int_equal(undo(a, s.id), -ENOENT);
	assert_int_equal(mode_at(a, "d"), 0711);
}

static void test_owner_and_times(void)
{
	struct tree_setattr ann = { .set = TREE_SET_USER | TREE_SET_GROUP,
				    .user = SLICE_STR("ann"),
				    .group = SLICE_STR("staff") };
	struct tree_setattr ben = ann, time = { .set = TREE_SET_MTIME };
	struct attr at;
	struct seen s;

	ben.user = SLICE_STR("ben");
	make_file(a, ROOT, "f", "text");
	sync_all();
	assert_int_equal(tree_setattr(a->tree, look(a, ROOT, "f"), &ann, &at),
			 0);
	later(b, a);
	assert_int_equal(tree_setattr(b->tree, look(b, ROOT, "f"), &ben, &at),
			 0);
	sync_all();
	expect_one(DECISION_OWNER, "f", &s);
	assert_string_equal(s.chosen, "ben:staff");
	assert_string_equal(s.lost, "ann:staff");
	undo_everywhere(b, &s);

	time.mtime.tv_sec = 86400;
	assert_int_equal(tree_setattr(a->tree, look(a, ROOT, "f"), &time,
				      &at), 0);
	later(b, a);
	time.mtime.tv_sec = 2 * 86400;
	assert_int_equal(tree_setattr(b->tree, look(b, ROOT, "f"), &time,
				      &at), 0);
	sync_all();
	expect_one(DECISION_TIMES, "f", &s);
	assert_string_equal(s.lost, "1970-01-02 00:00:00.000000000 UTC");
	undo_everywhere(c, &s);
	assert_int_equal(tree_getattr(b->tree, look(b, ROOT, "f"), &at), 0);
	assert_int_equal(at.mtime.tv_sec, 86400);
}

static void set_xattr(struct fixture *f, const char *value)
{
	if (value)
		assert_int_equal(tree_setxattr(f->tree, look(f, ROOT, "f"),
					       SLICE_STR("user.tag"),
					       SLICE_STR(value), 0), 0);
	else
		assert_int_equal(tree_removexattr(f->tree, look(f, ROOT, "f"),
						  SLICE_STR("user.tag")), 0);
}

static void expect_xattr(struct fixture *f, const char *value)
{
	struct buf got = BUF_INIT;

	assert_int_equal(tree_getxattr(f->tree, look(f, ROOT, "f"),
				       SLICE_STR("user.tag"), &got),
			 value ? 0 : -ENODATA);
	if (value)
		assert_true(slice_equal(buf_slice(&got), SLICE_STR(value)));
	buf_release(&got);
}

static void test_xattr(void)
{
	struct seen s;

	make_file(a, ROOT, "f", "text");
	set_xattr(a, "first");
	sync_all();
	set_xattr(a, NULL);
	later(b, a);
	set_xattr(b, "second");
	sync_all();
	expect_one(DECISION_XATTR, "f", &s);
	assert_string_equal(s.chosen, "second");
	assert_true(s.lost_none);
	undo_everywhere(a, &s);
	expect_xattr(c, NULL);

	set_xattr(a, "third");
	later(b, a);
	set_xattr(b, "fourth");
	sync_all();
	expect_one(DECISION_XATTR, "f", &s);
	assert_string_equal(s.lost, "third");
	undo_everywhere(b, &s);
	expect_xattr(c, "third");
}

/* ---- names */

static void test_rename(void)
{
	struct seen s;

	make_file(a, ROOT, "f", "text");
	sync_all();
	mv(a, ROOT, "f", ROOT, "one");
	later(b, a);
	mv(b, ROOT, "f", ROOT, "two");
	sync_all();
	expect_one(DECISION_RENAME, "two", &s);
	assert_string_equal(s.chosen, "two");
	assert_string_equal(s.lost, "one");
	assert_string_equal(s.chosen_label, "bob");
	assert_string_equal(s.lost_label, "alice");
	undo_everywhere(c, &s);
	expect_file(a, "one", "text");
	assert_int_equal(entries(b), 1);
}

static void test_swap(void)
{
	struct seen s;
	uint64_t d;

	d = make_dir(a, ROOT, "d");
	make_file(a, d, "in", "text");
	sync_all();
	assert_int_equal(tree_swap(a->tree, ROOT, SLICE_STR("d")), -ENODATA);
	assert_int_equal(tree_swap(a->tree, ROOT, SLICE_STR("x")), -ENOENT);
	mv(a, ROOT, "d", ROOT, "one");
	later(b, a);
	mv(b, ROOT, "d", ROOT, "two");
	sync_all();
	assert_int_equal(tree_swap(b->tree, ROOT, SLICE_STR("two")), 0);
	check_tree(b);
	/* the other name is no longer anywhere */
	assert_int_equal(tree_swap(b->tree, ROOT, SLICE_STR("one")),
			 -ENODATA);
	sync_all();
	expect_none();
	expect_bytes(c, look(c, look(c, ROOT, "one"), "in"), "text");
	assert_int_equal(entries(a), 1);

	mv(a, ROOT, "one", ROOT, "1");
	later(b, a);
	mv(b, ROOT, "one", ROOT, "2");
	later(c, b);
	mv(c, ROOT, "one", ROOT, "3");
	sync_all();
	assert_int_equal(decided(a, ROOT, &s), 2);
	assert_int_equal(tree_swap(a->tree, ROOT, SLICE_STR("3")),
			 -ENOTUNIQ);
	assert_int_equal(undo(a, s.id), 0);
	sync_all();
	expect_none();
	look(b, ROOT, s.lost);
}

/* What stands at the other name stays there. */
static void test_other_name_taken(void)
{
	struct seen s;

	make_file(a, ROOT, "f", "text");
	sync_all();
	mv(a, ROOT, "f", ROOT, "one");
	later(b, a);
	mv(b, ROOT, "f", ROOT, "two");
	sync_all();
	make_file(c, ROOT, "one", "another");
	sync_all();
	expect_one(DECISION_RENAME, "two", &s);
	assert_int_equal(undo(a, s.id), -EEXIST);
	assert_int_equal(tree_swap(a->tree, ROOT, SLICE_STR("two")), -EEXIST);
	sync_all();
	expect_file(b, "one", "another");
	expect_file(b, "two", "text");
}

static void test_other_directory_gone(void)
{
	uint64_t d;
	struct seen s;

	d = make_dir(a, ROOT, "d");
	make_file(a, ROOT, "f", "text");
	sync_all();
	mv(a, ROOT, "f", d, "f");
	later(b, a);
	mv(b, ROOT, "f", ROOT, "two");
	sync_all();
	expect_one(DECISION_RENAME, "two", &s);
	assert_string_equal(s.lost, "d/f");
	assert_int_equal(tree_rmdir(c->tree, ROOT, SLICE_STR("d")), 0);
	sync_all();
	assert_int_equal(undo(a, s.id), -ENOENT);
	sync_all();
	expect_file(b, "two", "text");
}

/* The other place came to lie in the directory itself. */
static void test_other_place_within(void)
{
	uint64_t in;
	struct seen s;

	make_dir(a, ROOT, "d");
	in = make_dir(a, ROOT, "e");
	sync_all();
	mv(a, ROOT, "d", in, "d");
	later(b, a);
	mv(b, ROOT, "d", ROOT, "two");
	sync_all();
	mv(c, ROOT, "e", look(c, ROOT, "two"), "e");
	sync_all();
	expect_one(DECISION_RENAME, "two", &s);
	assert_int_equal(undo(a, s.id), -EINVAL);
	sync_all();
	look(b, look(b, ROOT, "two"), "e");
}

/* ---- cycles */

static void test_cycle(void)
{
	uint64_t x, y;
	struct seen s;

	x = make_dir(a, ROOT, "x");
	y = make_dir(a, ROOT, "y");
	make_file(a, x, "in-x", "x");
	make_file(a, y, "in-y", "y");
	sync_all();
	mv(a, ROOT, "y", look(a, ROOT, "x"), "y");
	later(b, a);
	mv(b, ROOT, "x", look(b, ROOT, "y"), "x");
	sync_all();
	expect_one(DECISION_CYCLE, "x", &s);
	assert_string_equal(s.chosen, "x");
	assert_string_equal(s.lost, "x/y/x");
	assert_string_equal(s.lost_label, "bob");
	undo_everywhere(c, &s);
	/* as if only bob had moved anything */
	y = look(b, ROOT, "y");
	x = look(b, y, "x");
	expect_bytes(b, look(b, y, "in-y"), "y");
	expect_bytes(b, look(b, x, "in-x"), "x");
	assert_int_equal(entries(b), 1);
}

static void test_cycle_of_three(void)
{
	struct seen s;

	make_dir(a, ROOT, "x");
	make_dir(a, ROOT, "y");
	make_dir(a, ROOT, "z");
	sync_all();
	mv(a, ROOT, "x", look(a, ROOT, "y"), "x");
	later(b, a);
	mv(b, ROOT, "y", look(b, ROOT, "z"), "y");
	later(c, b);
	mv(c, ROOT, "z", look(c, ROOT, "x"), "z");
	sync_all();
	expect_one(DECISION_CYCLE, "z", &s);
	undo_everywhere(a, &s);
	/* carol's move holds now, and alice's; bob's, which lay in the way,
	 * is taken back */
	look(b, look(b, look(b, ROOT, "y"), "x"), "z");
	assert_int_equal(entries(b), 1);
}

/* ---- removals that lost */

static void test_edit_beats_removal(void)
{
	struct seen s;

	make_file(a, ROOT, "f", "base");
	sync_all();
	rm(a, ROOT, "f");
	write_name(b, "f", "edited");
	sync_all();
	expect_one(DECISION_REVIVED, "f", &s);
	assert_false(s.is_dir);
	assert_string_equal(s.chosen_label, "bob");
	assert_true(s.lost_dot.origin == replica_origin(a->tree));
	expect_file(c, "f", "edited");
	undo_everywhere(c, &s);
	assert_int_equal(entries(a), 0);
	assert_int_equal(entries(b), 0);
}

/* Who edits it once more has seen that it is there again. */
static void test_revived_and_edited(void)
{
	struct seen s;

	make_file(a, ROOT, "f", "base");
	sync_all();
	rm(a, ROOT, "f");
	write_name(b, "f", "edited");
	sync_all();
	expect_one(DECISION_REVIVED, "f", &s);
	write_name(c, "f", "and again");
	sync_all();
	expect_none();
	assert_int_equal(undo(a, s.id), -ENOENT);
	expect_file(a, "f", "and again");
}

static void test_revived_with_siblings(void)
{
	struct seen s;

	make_conflict("f");
	rm(c, ROOT, "f");
	sync_all();
	expect_one(DECISION_REVIVED, "f", &s);
	assert_int_equal(undo(a, s.id), -EBUSY);
	assert_int_equal(entries(a), 2);
}

static void test_directory_revived(void)
{
	struct seen s;

	make_dir(a, ROOT, "d");
	sync_all();
	assert_int_equal(tree_rmdir(a->tree, ROOT, SLICE_STR("d")), 0);
	make_file(b, look(b, ROOT, "d"), "new", "text");
	sync_all();
	expect_one(DECISION_REVIVED, "d", &s);
	assert_true(s.is_dir);
	assert_true(s.lost_dot.origin == replica_origin(a->tree));
	assert_int_equal(undo(b, s.id), -ENOTEMPTY);
	rm(c, look(c, ROOT, "d"), "new");
	sync_all();
	expect_none();
	assert_int_equal(entries(a), 0);
}

/* ---- contents */

static void test_reverted(void)
{
	struct seen s;

	make_file(a, ROOT, "f", "base");
	sync_all();
	write_name(a, "f", "alice's");
	write_name(a, "f", "base");
	later(b, a);
	write_name(b, "f", "bob's");
	sync_all();
	expect_one(DECISION_REVERTED, "f", &s);
	assert_string_equal(s.lost_label, "alice");
	assert_string_equal(s.chosen_label, "bob");
	expect_file(c, "f", "bob's");
	undo_everywhere(c, &s);
	for (int k = 0; k < 3; k++) {
		expect_file(&nodes[k], "f", "base");
		assert_int_equal(entries(&nodes[k]), 1);
	}
}

/* ---- the list itself */

static void test_below_a_path(void)
{
	uint64_t d, e;
	struct seen s;

	d = make_dir(a, ROOT, "d");
	e = make_dir(a, ROOT, "de");
	make_file(a, d, "f", "text");
	make_file(a, e, "g", "text");
	sync_all();
	for (int k = 0; k < 2; k++) {
		struct fixture *f = &nodes[k];

		later(f, a);
		set_mode(f, look(f, look(f, ROOT, "d"), "f"), 0600 + 4 * k);
		set_mode(f, look(f, look(f, ROOT, "de"), "g"), 0600 + 4 * k);
	}
	sync_all();
	assert_int_equal(decided(a, ROOT, &s), 2);
	assert_int_equal(decided(a, d, &s), 1);
	assert_string_equal(s.path, "d/f");
	assert_int_equal(decided(a, look(a, e, "g"), &s), 1);
	assert_string_equal(s.path, "de/g");
	/* a restart has it from the store */
	fixture_crash(a);
	assert_int_equal(decided(a, ROOT, &s), 2);
	/* what is gone is not listed */
	rm(b, look(b, ROOT, "d"), "f");
	sync_all();
	assert_int_equal(decided(a, ROOT, &s), 1);
	assert_string_equal(s.path, "de/g");
}

/* One undoes it, another goes on: what both wrote is a decision again. */
static void test_undo_against_another_write(void)
{
	struct seen s, again;

	make_file(a, ROOT, "f", "text");
	sync_all();
	set_mode(a, look(a, ROOT, "f"), 0600);
	later(b, a);
	set_mode(b, look(b, ROOT, "f"), 0644);
	sync_all();
	expect_one(DECISION_MODE, "f", &s);
	assert_int_equal(undo(a, s.id), 0);
	later(b, a);
	set_mode(b, look(b, ROOT, "f"), 0640);
	sync_all();
	expect_one(DECISION_MODE, "f", &again);
	assert_string_not_equal(again.id, s.id);
	assert_string_equal(again.lost, "0600");
	undo_everywhere(b, &again);
	assert_int_equal(mode_at(a, "f"), 0600);
}

/* Undone on two nodes at once: equal values, nothing is left to decide. */
static void test_undo_twice_at_once(void)
{
	struct seen s;

	make_file(a, ROOT, "f", "text");
	sync_all();
	mv(a, ROOT, "f", ROOT, "one");
	later(b, a);
	mv(b, ROOT, "f", ROOT, "two");
	sync_all();
	expect_one(DECISION_RENAME, "two", &s);
	assert_int_equal(undo(a, s.id), 0);
	assert_int_equal(undo(b, s.id), 0);
	sync_all();
	expect_none();
	expect_file(c, "one", "text");
	assert_int_equal(entries(c), 1);
}

int main(void)
{
	static const struct scenario all[] = {
		SCENARIO(test_mode),
		SCENARIO(test_equal_values),
		SCENARIO(test_mode_set_again),
		SCENARIO(test_owner_and_times),
		SCENARIO(test_xattr),
		SCENARIO(test_rename),
		SCENARIO(test_swap),
		SCENARIO(test_other_name_taken),
		SCENARIO(test_other_directory_gone),
		SCENARIO(test_other_place_within),
		SCENARIO(test_cycle),
		SCENARIO(test_cycle_of_three),
		SCENARIO(test_edit_beats_removal),
		SCENARIO(test_revived_and_edited),
		SCENARIO(test_revived_with_siblings),
		SCENARIO(test_directory_revived),
		SCENARIO(test_reverted),
		SCENARIO(test_below_a_path),
		SCENARIO(test_undo_against_another_write),
		SCENARIO(test_undo_twice_at_once),
	};

	return scenarios_run(all, ARRAY_SIZE(all));
}
