/* SPDX-License-Identifier: Apache-2.0 */
#include "nodes_support.h"

#include <stdlib.h>

#define ORDERS 4

struct fixture nodes[3];
static struct fixture *const a = &nodes[0], *const b = &nodes[1],
		       *const c = &nodes[2];
static int order;

/* ---- all take all */

static int digest_entry(void *arg, const struct replica_view_entry *e)
{
	char hex[65];

	hex_encode(e->content.root.b, 32, hex);
	buf_printf(arg, "%.*s %d %o %ld %lu %s\n", (int)e->path.len,
		   (const char *)e->path.data, e->kind, e->perm,
		   (long)e->mtime.tv_sec, (unsigned long)e->content.size,
		   e->kind == KIND_DIR ? "" : hex);
	return 0;
}

void expect_same(struct fixture *x, struct fixture *y)
{
	struct buf dx = BUF_INIT, dy = BUF_INIT;

	assert_int_equal(replica_view(x->tree, digest_entry, &dx), 0);
	assert_int_equal(replica_view(y->tree, digest_entry, &dy), 0);
	buf_put_u8(&dx, 0);
	buf_put_u8(&dy, 0);
	assert_string_equal((char *)dx.data, (char *)dy.data);
	buf_release(&dx);
	buf_release(&dy);
}

void pass(struct fixture *to, struct fixture *from)
{
	merge_from(to, from);
	check_tree(to);
}

void sync_all(void)
{
	static const int ways[ORDERS][4] = {
		{ 0, 1, 1, 2 }, { 2, 1, 0, 2 }, { 1, 0, 2, 0 }, { 0, 2, 2, 1 },
	};
	const int *w = ways[order];
	struct fixture fresh;

	for (int k = 0; k < 3; k++) {
		pass(&nodes[w[1]], &nodes[w[0]]);
		pass(&nodes[w[3]], &nodes[w[2]]);
		pass(&nodes[w[0]], &nodes[w[1]]);
		pass(&nodes[w[2]], &nodes[w[3]]);
	}
	for (int k = 0; k < 3; k++)
		pass(&nodes[(k + 1) % 3], &nodes[k]);
	pass(&nodes[1], &nodes[0]);
	expect_same(a, b);
	expect_same(a, c);
	fixture_open(&fresh, "fresh", false);
	pass(&fresh, a);
	expect_same(a, &fresh);
	fixture_close(&fresh);
}

void later(struct fixture *f, const struct fixture *than)
{
	f->now_ns = than->now_ns + 2000000000;
}

void mv(struct fixture *f, uint64_t dir, const char *name, uint64_t to,
	       const char *new)
{
	assert_int_equal(tree_rename(f->tree, dir, SLICE_STR(name), to,
				     SLICE_STR(new), 0), 0);
}

void rm(struct fixture *f, uint64_t dir, const char *name)
{
	assert_int_equal(tree_unlink(f->tree, dir, SLICE_STR(name)), 0);
}

void write_name(struct fixture *f, const char *name, const char *bytes)
{
	write_file(f, look(f, ROOT, name), bytes);
}

void expect_file(struct fixture *f, const char *name,
			const char *bytes)
{
	expect_bytes(f, look(f, ROOT, name), bytes);
}

/* Entries of the root. */
size_t entries(struct fixture *f)
{
	return list(f, ROOT, NULL, 0);
}

/* Does some entry of the root that contains `text` hold these bytes? */
void expect_like(struct fixture *f, const char *text,
			const char *bytes)
{
	char name[256];

	name_with(f, ROOT, text, name);
	expect_file(f, name, bytes);
}

/* alice's and bob's edits, as both see them; main is bob's. */
void make_conflict(const char *file)
{
	make_file(a, ROOT, file, "base");
	sync_all();
	write_name(a, file, "alice's");
	later(b, a);
	write_name(b, file, "bob's");
}

struct sought {
	const char *path;
	struct objid id;
	bool found;
};

static int seek_path(void *arg, const struct replica_view_entry *e)
{
	struct sought *s = arg;

	if (slice_equal(e->path, SLICE_STR(s->path))) {
		s->id = e->id;
		s->found = true;
	}
	return 0;
}

void row_at(struct fixture *f, const char *path, struct object *ret)
{
	struct sought s = { .path = path };

	assert_int_equal(replica_view(f->tree, seek_path, &s), 0);
	assert_true(s.found);
	store_lock(f->store);
	assert_int_equal(replica_row_load(f->tree, s.id, ret), 0);
	store_unlock(f->store);
}

/* ---- running each in every order */

static void run_scenario(void **state)
{
	const struct scenario *s = *state;

	for (order = 0; order < ORDERS; order++) {
		fixture_open(a, "alice", true);
		fixture_open(b, "bob", false);
		fixture_open(c, "carol", false);
		s->run();
		for (int k = 0; k < 3; k++)
			fixture_close(&nodes[k]);
	}
}

int scenarios_run(const struct scenario *list, size_t count)
{
	struct CMUnitTest *tests = calloc(count, sizeof(*tests));
	int r;

	assert_non_null(tests);
	for (size_t k = 0; k < count; k++)
		tests[k] = (struct CMUnitTest){
			.name = list[k].name, .test_func = run_scenario,
			.initial_state = (void *)&list[k] };
	r = _cmocka_run_group_tests("scenarios", tests, count, NULL, NULL);
	free(tests);
	return r;
}
