/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How many bytes a plain file's row has in the store: 300 when it was just
 * made, 500 after any history, once nothing is contested. The name has 16
 * bytes. Contents have 36, which stand in the row: what a content of up to
 * 4 GiB in chunks takes there, whose root hash has 32.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "fs/store/store.h"
#include "fs/tree/info.h"
#include "nodes_support.h"

#define NAME "sixteen-bytes.md"
#define FRESH_MAX 300
#define LATER_MAX 500
#define BYTES 36

static struct fixture *const a = &nodes[0], *const b = &nodes[1],
		      *const c = &nodes[2];

static size_t bytes_of(struct fixture *f, struct objid id)
{
	struct slice v;

	store_lock(f->store);
	assert_int_equal(store_get(f->store, TABLE_OBJ, SLICE(id.b, 16), &v),
			 0);
	store_unlock(f->store);
	return v.len;
}

/*
 * Each register has one value (LINK with a keep-stamp of the same); the file
 * has one name and one content. What lost against a concurrent write
 * stays in the row until the next write of that register.
 */
static bool nothing_contested(const struct object *o)
{
	struct info i;
	size_t links[2] = { 0, 0 };
	bool yes = true;

	assert_int_equal(info_init(&i, o), 0);
	if (i.branch_count != 1 || i.branches[0].count != 1 ||
	    i.shown_count != 1 || i.link_count != 1)
		yes = false;
	for (size_t k = 0; k < o->count; k++)
		for (size_t n = 0; n < k; n++)
			if (o->versions[k].reg != REG_LINK &&
			    version_same_register(&o->versions[k],
						  &o->versions[n]))
				yes = false;
	for (size_t k = 0; yes && k < o->count; k++) {
		const struct version *v = &o->versions[k];

		if (v->reg != REG_LINK)
			continue;
		links[v->flags & VERSION_WEAK ? 1 : 0]++;
		if (links[0] > 1 || links[1] > 1 ||
		    stamp_compare(&v->link.since,
				  &i.links[0].link->link.since))
			yes = false;
	}
	info_release(&i);
	return yes;
}

/* The size, or 0 if something is contested. */
static size_t check_size(struct fixture *f, const char *name, size_t max)
{
	struct object o;
	size_t n = 0;

	row_at(f, name, &o);
	if (nothing_contested(&o)) {
		n = bytes_of(f, o.id);
		assert_in_range(n, 1, max);
	}
	object_release(&o);
	return n;
}

static void chown_to(struct fixture *f, const char *name, const char *user,
		     const char *group)
{
	struct tree_setattr s = { .set = TREE_SET_USER | TREE_SET_GROUP,
				  .user = SLICE_STR(user),
				  .group = SLICE_STR(group) };
	struct attr at;

	assert_int_equal(tree_setattr(f->tree, look(f, ROOT, name), &s, &at),
			 0);
}

static void chmod_to(struct fixture *f, const char *name, uint32_t perm)
{
	struct tree_setattr s = { .set = TREE_SET_MODE, .perm = perm };
	struct attr at;

	assert_int_equal(tree_setattr(f->tree, look(f, ROOT, name), &s, &at),
			 0);
}

static void touch(struct fixture *f, const char *name)
{
	struct tree_setattr s = { .set = TREE_SET_MTIME,
				  .mtime = { 1234567890, 987654321 } };
	struct attr at;

	assert_int_equal(tree_setattr(f->tree, look(f, ROOT, name), &s, &at),
			 0);
}

static void write_new(struct fixture *f, const char *name)
{
	static uint64_t token;
	char text[BYTES + 1];

	snprintf(text, sizeof(text), "%*lu", BYTES, (unsigned long)++token);
	write_name(f, name, text);
}

/* Sequence numbers of nodes that are not new: three bytes each. */
static void grow_numbers(void)
{
	for (int k = 0; k < 3; k++) {
		struct fixture *f = &nodes[k];
		struct dot dot = { 0, 0 };
		uint64_t hlc;

		store_lock(f->store);
		assert_int_equal(replica_begin(f->tree), 0);
		while (dot.seq < 20000)
			assert_int_equal(replica_tick(f->tree, &dot, &hlc), 0);
		assert_int_equal(replica_end(f->tree, 0), 0);
		store_unlock(f->store);
	}
}

static void test_fresh(void)
{
	struct tree_new n = { .kind = KIND_FILE, .perm = 0644,
			      .user = SLICE_STR("catherine"),
			      .group = SLICE_STR("developers") };
	struct entry e;

	make_file(a, ROOT, NAME, "");
	assert_in_range(check_size(a, NAME, FRESH_MAX), 1, 200);
	assert_int_equal(tree_create(a->tree, ROOT, SLICE_STR("as-long-as-16.md"),
				     &n, false, &e), 0);
	write_new(a, "as-long-as-16.md");
	assert_true(check_size(a, "as-long-as-16.md", FRESH_MAX));
	sync_all();
	(void)check_size(c, NAME, FRESH_MAX);
	(void)check_size(c, "as-long-as-16.md", FRESH_MAX);
}

/* All registers by operations of their own, on three nodes. */
static void test_longest(void)
{
	struct entry e;
	size_t n;

	grow_numbers();
	make_file(a, ROOT, "first-name-of-it", "");
	sync_all();
	for (int k = 0; k < 20; k++) {
		write_new(&nodes[k % 3], "first-name-of-it");
		sync_all();
	}
	mv(b, ROOT, "first-name-of-it", ROOT, "another-name-ok.");
	sync_all();
	mv(c, ROOT, "another-name-ok.", ROOT, NAME);
	sync_all();
	write_new(b, NAME);
	sync_all();
	chmod_to(c, NAME, 0600);
	chown_to(a, NAME, "catherine", "developers");
	touch(b, NAME);
	sync_all();
	/* a name that came and went leaves its trace until the next edit */
	assert_int_equal(tree_link(a->tree, look(a, ROOT, NAME), ROOT,
				   SLICE_STR("linked-16-bytes."), &e), 0);
	rm(a, ROOT, "linked-16-bytes.");
	sync_all();
	n = check_size(c, NAME, LATER_MAX);
	print_message("longest row: %zu bytes\n", n);
	/* (the test would miss a register that is not there at all) */
	assert_true(n > 400);
}

static void test_conflict_settled(void)
{
	size_t checked = 0;

	make_file(a, ROOT, NAME, "base");
	sync_all();
	for (int k = 0; k < 6; k++) {
		for (int n = 0; n < 3; n++) {
			later(&nodes[n], &nodes[(n + 2) % 3]);
			write_new(&nodes[n], NAME);
			write_new(&nodes[n], NAME);
		}
		sync_all();
		assert_int_equal(tree_resolve(nodes[k % 3].tree, ROOT,
					      SLICE_STR(NAME),
					      SLICE_STR("main")), 0);
		sync_all();
		checked += check_size(a, NAME, LATER_MAX) > 0;
	}
	assert_true(checked);
}

/* ---- any history */

static uint64_t seed;

static uint64_t draw(uint64_t n)
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return (seed >> 33) % n;
}

/* (what is not there any more, or is a sibling, may refuse) */
static void step(struct fixture *f, const char *name)
{
	struct entry e;
	uint64_t ino;
	int r = 0;

	if (look_error(f, ROOT, name))
		return;
	ino = look(f, ROOT, name);
	switch (draw(9)) {
	case 0:
	case 1:
		write_new(f, name);
		break;
	case 2:
		chmod_to(f, name, draw(2) ? 0600 : 0644);
		break;
	case 3:
		chown_to(f, name, "catherine", draw(2) ? "users" : "root");
		break;
	case 4:
		touch(f, name);
		break;
	case 5:
		r = tree_link(f->tree, ino, ROOT, SLICE_STR("linked-16-bytes."),
			      &e);
		break;
	case 6:
		r = tree_unlink(f->tree, ROOT, SLICE_STR("linked-16-bytes."));
		break;
	case 7:
		r = tree_rename(f->tree, ROOT, SLICE_STR(name), ROOT,
				SLICE_STR("another-name-ok."), 0);
		if (!r)
			mv(f, ROOT, "another-name-ok.", ROOT, name);
		break;
	default:
		r = tree_unlink(f->tree, ROOT, SLICE_STR(name));
		break;
	}
	assert_true(!r || r == -EEXIST || r == -ENOENT);
}

static void settle_all(struct fixture *f)
{
	static char names[100][256];
	size_t n = list(f, ROOT, names, 100);

	for (size_t k = 0; k < n; k++) {
		if (look_error(f, ROOT, names[k]))
			continue;
		if (strcmp(names[k], NAME)) {
			rm(f, ROOT, names[k]);
			continue;
		}
		(void)!tree_resolve(f->tree, ROOT, SLICE_STR(NAME),
				    SLICE_STR("main"));
	}
}

static void test_any_history(void)
{
	size_t checked = 0;

	for (int round = 0; round < 60; round++) {
		if (look_error(a, ROOT, NAME)) {
			make_file(a, ROOT, NAME, "again");
			sync_all();
		}
		for (uint64_t k = draw(12); k > 0; k--) {
			struct fixture *f = &nodes[draw(3)];

			step(f, NAME);
			if (!draw(3))
				pass(&nodes[draw(3)], f);
		}
		sync_all();
		settle_all(&nodes[draw(3)]);
		sync_all();
		if (!look_error(b, ROOT, NAME))
			checked += check_size(b, NAME, LATER_MAX) > 0;
	}
	assert_true(checked > 10);
}

static const struct scenario scenarios[] = {
	SCENARIO(test_fresh),
	SCENARIO(test_longest),
	SCENARIO(test_conflict_settled),
	SCENARIO(test_any_history),
};

int main(void)
{
	return scenarios_run(scenarios,
			     sizeof(scenarios) / sizeof(*scenarios));
}
