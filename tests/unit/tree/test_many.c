/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files with more siblings than are shown; and directories with very many
 * conflicts. What is asked of one file, or once
 * of each, costs no more for each where there are four times as many.
 * (Measured in seconds of the processor, so that a busy machine is not seen;
 * what was quadratic took 16 times as long, or 64.)
 */
#include <stdio.h>
#include <time.h>

#include "variants_support.h"

static struct fixture *const a = &nodes[0], *const b = &nodes[1];

#define FEW 80
#define MANY (4 * FEW)
/* Times as long as for FEW: 4, and what noise there may be. */
#define FACTOR_MAX 11

static double cpu_s(void)
{
	struct timespec t;

	assert_int_equal(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t), 0);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* A directory in which `count` files are in conflict. */
static void conflicts_in(const char *dir, int count)
{
	uint64_t at = make_dir(a, ROOT, dir);
	char name[32];

	for (int k = 0; k < count; k++) {
		snprintf(name, sizeof(name), "f%d", k);
		make_file(a, at, name, name);
	}
	sync_all();
	for (int n = 0; n < 2; n++)
		for (int k = 0; k < count; k++) {
			struct fixture *f = &nodes[n];

			snprintf(name, sizeof(name), "f%d", k);
			write_file(f, look(f, look(f, ROOT, dir), name),
				   f->label);
		}
	sync_all();
}

static int path_of(void *arg, struct objid id, uint64_t ino)
{
	cleanup(buf_release) struct buf path = BUF_INIT;
	uint64_t found;

	(void)id;
	assert_int_equal(tree_path(a->tree, ino, &path), 0);
	assert_int_equal(tree_resolve_path(a->tree, buf_slice(&path),
					   &found), 0);
	assert_int_equal(found, ino);
	++*(int *)arg;
	return 0;
}

static double paths_s(int count)
{
	double begin = cpu_s();
	int n = 0;

	assert_int_equal(tree_each_conflict(a->tree, path_of, &n), 0);
	assert_int_equal(n, count);
	return cpu_s() - begin;
}

static int count_entry(void *arg, const struct tree_dirent *d)
{
	(void)d;
	++*(int *)arg;
	return 0;
}

static double list_s(const char *dir, int count)
{
	double begin = cpu_s();

	for (int k = 0; k < 20; k++) {
		int n = 0;

		assert_int_equal(tree_readdir(a->tree, look(a, ROOT, dir), 0,
					      count_entry, &n), 0);
		assert_int_equal(n, 2 * count);
	}
	return cpu_s() - begin;
}

static void test_cost(void)
{
	static bool done;
	double few_paths, few_list, many_paths, many_list;
	uint64_t at;

	/* (the order of deliveries is nothing to it) */
	if (done)
		return;
	done = true;
	conflicts_in("few", FEW);
	few_paths = paths_s(FEW);
	few_list = list_s("few", FEW);
	at = look(a, ROOT, "few");
	for (int k = 0; k < FEW; k++) {
		char name[32];

		snprintf(name, sizeof(name), "f%d", k);
		assert_int_equal(tree_resolve(a->tree, at, SLICE_STR(name),
					      SLICE_STR("main")), 0);
	}
	sync_all();
	conflicts_in("many", MANY);
	many_paths = paths_s(MANY);
	many_list = list_s("many", MANY);
	print_message("paths %.4f s, %.4f s; lists %.4f s, %.4f s\n",
		      few_paths, many_paths, few_list, many_list);
	assert_true(many_paths < FACTOR_MAX * few_paths);
	assert_true(many_list < FACTOR_MAX * few_list);
}

/* ---- one file with more siblings than are shown */

#define BRANCHES (SIBLINGS_SHOWN_MAX + 8)

/* Each written by somebody who had the file open as it was then. */
static void make_branches(void)
{
	uint64_t ino[BRANCHES];
	char text[32];

	make_file(a, ROOT, "f", "begin");
	sync_all();
	for (int k = 0; k < BRANCHES; k++) {
		ino[k] = look(b, ROOT, "f");
		assert_int_equal(tree_open_file(b->tree, ino[k], true), 0);
		snprintf(text, sizeof(text), "of alice %d", k);
		write_name(a, "f", text);
		pass(b, a);
	}
	for (int k = 0; k < BRANCHES; k++) {
		snprintf(text, sizeof(text), "of bob %d", k);
		assert_int_equal(tree_write(b->tree, ino[k], 0,
					    SLICE_STR(text), false), 0);
		tree_release_file(b->tree, ino[k], true);
	}
	sync_all();
}

static int look_for(void *arg, const struct conflict *c)
{
	*(struct hash *)arg = c->token;
	assert_int_equal(c->count, SIBLINGS_SHOWN_MAX + 1);
	return 0;
}

/* What nobody was shown nobody settles: of all that there is the rest shows
 * then. */
static void test_more_than_shown(void)
{
	const size_t rest = BRANCHES - SIBLINGS_SHOWN_MAX;
	struct hash token;

	make_branches();
	assert_int_equal(entries(a), 1 + SIBLINGS_SHOWN_MAX);
	assert_int_equal(tree_conflicts(a->tree, ROOT, look_for, &token), 0);
	assert_int_equal(tree_resolve_seen(a->tree, ROOT, SLICE_STR("f"),
					   SLICE_STR("main"), &token), 0);
	check_tree(a);
	assert_int_equal(entries(a), 1 + rest);
	sync_all();
	assert_int_equal(entries(b), 1 + rest);
	assert_int_equal(tree_resolve(b->tree, ROOT, SLICE_STR("f"),
				      SLICE_STR("main")), 0);
	sync_all();
	assert_int_equal(entries(a), 1);
}

int main(void)
{
	static const struct scenario all[] = { SCENARIO(test_cost),
					       SCENARIO(test_more_than_shown) };

	return scenarios_run(all, ARRAY_SIZE(all));
}
