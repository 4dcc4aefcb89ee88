/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Restored backups, on the simulator's cluster: what two nodes tell each
 * other when one origin has two histories. The trees alone are tested in
 * tests/unit/tree/test_fork.c, random histories by kin-sim.
 */
#include "tests/unit/core/nodes_support.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "fs/base/log.h"
#include "tests/sim/backup.h"

static void open_with(struct cluster *c, int nodes, int late, uint64_t seed,
		      size_t small_rows)
{
	struct cluster_options o = nodes_options(nodes, seed);

	o.late = late;
	o.small_rows = o.slice_rows = small_rows;
	nodes_open(c, o);
}

static void open_cluster(struct cluster *c, int nodes, uint64_t seed,
			 size_t small_rows)
{
	open_with(c, nodes, 0, seed, small_rows);
}

static void open_cluster_late(struct cluster *c, int nodes, int late,
			      uint64_t seed)
{
	open_with(c, nodes, late, seed, 0);
}

struct search_text {
	const char *text;
	bool found;
};

static int find_text(void *arg, const struct replica_view_entry *e)
{
	struct search_text *s = arg;

	if (e->kind == KIND_FILE &&
	    slice_equal(e->content.inline_bytes, SLICE_STR(s->text)))
		s->found = true;
	return 0;
}

static bool has_text(struct cluster *c, int node, const char *text)
{
	struct search_text s = {text, false};

	assert_int_equal(replica_view(c->nodes[node].tree, find_text, &s), 0);
	return s.found;
}

static void assert_all_show(struct cluster *c, const char *text)
{
	for (int i = 0; i < c->node_count; i++)
		if (!has_text(c, i, text))
			fail_msg("node %d does not show '%s'", i, text);
}

static uint64_t forks(struct cluster *c)
{
	struct core_counters n;
	uint64_t sum = 0;

	for (int i = 0; i < c->node_count; i++) {
		if (!c->nodes[i].running)
			continue;
		core_counters(c->nodes[i].core, &n);
		sum += n.forks;
	}
	return sum;
}

static uint64_t origin(struct cluster *c, int node)
{
	return replica_origin(c->nodes[node].tree);
}

/* Down, copied, and up again. */
static void back_up(struct cluster *c, int node)
{
	node_stop(&c->nodes[node], 1);
	node_back_up(&c->nodes[node]);
	cluster_run(c, c->now_ms + 10);
	assert_true(c->nodes[node].running);
}

static void bring_back(struct cluster *c, int node)
{
	node_kill(&c->nodes[node], 1);
	node_bring_back(&c->nodes[node]);
	cluster_run(c, c->now_ms + 2);
	assert_true(c->nodes[node].running);
}

/* ---- histories */

/* It wrote since the backup, and writes after it, before anybody can say
 * that this was known already. */
static void restored_backup(size_t small_rows, int rows)
{
	struct cluster c;
	char name[20];

	open_cluster(&c, 3, 1, small_rows);
	cluster_connect(&c, 0, 1);
	cluster_connect(&c, 1, 2);
	write_file(&c, 0, "doc", "base");
	nodes_quiet(&c);
	back_up(&c, 0);
	write_file(&c, 0, "doc", "before");
	for (int i = 0; i < rows; i++) {
		snprintf(name, sizeof(name), "before %d", i);
		write_file(&c, 0, name, name);
	}
	nodes_quiet(&c);
	assert_int_equal(forks(&c), 0);
	cluster_cut(&c, 0, 1);
	bring_back(&c, 0);
	write_file(&c, 0, "doc", "after");
	for (int i = 0; i < rows + 2; i++) {
		snprintf(name, sizeof(name), "after %d", i);
		write_file(&c, 0, name, name);
	}
	cluster_run(&c, c.now_ms + 1000);
	cluster_mend(&c, 0, 1);
	nodes_quiet(&c);
	assert_all_show(&c, "before");
	assert_all_show(&c, "after");
	for (int i = 0; i < rows; i++) {
		snprintf(name, sizeof(name), "before %d", i);
		assert_all_show(&c, name);
		snprintf(name, sizeof(name), "after %d", i);
		assert_all_show(&c, name);
	}
	assert_true(forks(&c) > 0);
	/* And it goes on. */
	write_file(&c, 0, "later", "of the restored");
	write_file(&c, 2, "later too", "of another");
	nodes_quiet(&c);
	assert_all_show(&c, "of the restored");
	assert_all_show(&c, "of another");
	nodes_close(&c);
}

static void test_restored_backup(void **state)
{
	(void)state;
	restored_backup(0, 0);
	restored_backup(0, 3);
	restored_backup(0, 40);
}

static void test_restored_in_slices(void **state)
{
	(void)state;
	restored_backup(2, 10);
}

/* It wrote nothing since: it goes on as somebody new, and has all of it. */
static void test_lost_numbers(void **state)
{
	struct cluster c;
	uint64_t old;

	(void)state;
	open_cluster(&c, 2, 2, 0);
	cluster_connect(&c, 0, 1);
	write_file(&c, 0, "doc", "base");
	nodes_quiet(&c);
	back_up(&c, 0);
	old = origin(&c, 0);
	write_file(&c, 0, "doc", "told");
	nodes_quiet(&c);
	bring_back(&c, 0);
	assert_true(origin(&c, 0) == old);
	nodes_quiet(&c);
	assert_true(origin(&c, 0) != old);
	assert_all_show(&c, "told");
	write_file(&c, 0, "doc", "again");
	nodes_quiet(&c);
	assert_all_show(&c, "again");
	assert_false(has_text(&c, 1, "told"));
	nodes_close(&c);
}

/* Found by nodes that are not the restored one: each is on a branch. */
static void test_found_by_others(void **state)
{
	struct cluster c;

	(void)state;
	open_cluster(&c, 3, 3, 0);
	cluster_connect(&c, 0, 1);
	cluster_connect(&c, 0, 2);
	cluster_connect(&c, 1, 2);
	write_file(&c, 0, "doc", "base");
	nodes_quiet(&c);
	back_up(&c, 0);
	cluster_cut(&c, 0, 2);
	cluster_cut(&c, 1, 2);
	write_file(&c, 0, "doc", "first");
	cluster_run(&c, c.now_ms + 5000);
	cluster_cut(&c, 0, 1);
	bring_back(&c, 0);
	write_file(&c, 0, "doc", "second");
	cluster_mend(&c, 0, 2);
	cluster_run(&c, c.now_ms + 5000);
	assert_true(has_text(&c, 1, "first") && has_text(&c, 2, "second"));
	/* Now the one who caused it is away. */
	node_kill(&c.nodes[0], 60000);
	cluster_mend(&c, 1, 2);
	cluster_run(&c, c.now_ms + 20000);
	assert_true(has_text(&c, 1, "second") && has_text(&c, 2, "first"));
	cluster_mend(&c, 0, 1);
	cluster_run(&c, c.now_ms + 60000);
	nodes_quiet(&c);
	assert_all_show(&c, "first");
	assert_all_show(&c, "second");
	nodes_close(&c);
}

/* The same backup comes back again and again. */
static void test_again_and_again(void **state)
{
	struct cluster c;
	char text[20];

	(void)state;
	open_cluster(&c, 3, 4, 0);
	cluster_connect(&c, 0, 1);
	cluster_connect(&c, 1, 2);
	cluster_connect(&c, 0, 2);
	write_file(&c, 0, "doc", "base");
	nodes_quiet(&c);
	back_up(&c, 0);
	for (int i = 0; i < 5; i++) {
		/* each time it meets another one first */
		cluster_cut(&c, 0, 1 + i % 2);
		snprintf(text, sizeof(text), "time %d", i);
		write_file(&c, 0, text, text);
		if (i % 2)
			nodes_quiet(&c);
		cluster_run(&c, c.now_ms + 3000);
		bring_back(&c, 0);
		cluster_mend(&c, 0, 1 + i % 2);
	}
	write_file(&c, 0, "doc", "the end");
	nodes_quiet(&c);
	for (int i = 0; i < 5; i++) {
		snprintf(text, sizeof(text), "time %d", i);
		assert_all_show(&c, text);
	}
	assert_all_show(&c, "the end");
	nodes_close(&c);
}

/* What was removed and purged since the backup stays away. */
static void test_removed_stays_removed(void **state)
{
	struct cluster c;

	(void)state;
	open_cluster(&c, 2, 5, 0);
	cluster_connect(&c, 0, 1);
	write_file(&c, 0, "old", "to be removed");
	write_file(&c, 0, "kept", "kept");
	nodes_quiet(&c);
	back_up(&c, 0);
	nodes_quiet(&c);
	assert_int_equal(tree_unlink(c.nodes[1].tree, TREE_ROOT_INO,
				     SLICE_STR("old")),
			 0);
	node_poke(&c.nodes[1]);
	nodes_quiet(&c);
	cluster_run(&c, c.now_ms + 60000); /* purged */
	cluster_cut(&c, 0, 1);
	bring_back(&c, 0);
	assert_true(has_text(&c, 0, "to be removed"));
	write_file(&c, 0, "new", "after");
	cluster_mend(&c, 0, 1);
	nodes_quiet(&c);
	assert_false(has_text(&c, 0, "to be removed"));
	assert_false(has_text(&c, 1, "to be removed"));
	assert_all_show(&c, "kept");
	assert_all_show(&c, "after");
	nodes_close(&c);
}

/* A new member is set up with a copy of another one's store, and both have
 * the origin of that: they meet each other, or somebody between them. */
static void copied_for_another(bool meet)
{
	struct cluster c;

	open_cluster_late(&c, 3, 1, 6);
	cluster_connect(&c, 0, 1);
	write_file(&c, 0, "doc", "base");
	nodes_quiet(&c);
	node_join_by_copy(&c.nodes[2], &c.nodes[0]);
	assert_true(origin(&c, 2) == origin(&c, 0));
	write_file(&c, 0, "doc", "of the first");
	write_file(&c, 2, "doc", "of the copy");
	write_file(&c, 2, "new", "only there");
	cluster_connect(&c, meet ? 0 : 1, 2);
	nodes_quiet(&c);
	assert_true(origin(&c, 2) != origin(&c, 0));
	assert_all_show(&c, "of the first");
	assert_all_show(&c, "of the copy");
	assert_all_show(&c, "only there");
	nodes_close(&c);
}

static void test_copied_for_another(void **state)
{
	(void)state;
	copied_for_another(true);
	copied_for_another(false);
}

static void talk_to(struct cluster *c, int node)
{
	cluster_disconnect(c, 1, node ? 0 : 2);
	/* until all have heard of it */
	cluster_run(c, c->now_ms + 4000);
	cluster_connect(c, 1, node);
	cluster_run(c, c->now_ms + 20000);
}

/*
 * A snapshot of a machine runs beside it: one key, one origin, two nodes. A
 * third one talks to one of them at a time.
 */
static void test_two_of_one_key(void **state)
{
	struct core_counters n;
	struct cluster c;
	char text[20];

	(void)state;
	open_cluster_late(&c, 3, 1, 7);
	cluster_connect(&c, 0, 1);
	write_file(&c, 0, "doc", "base");
	nodes_quiet(&c);
	node_duplicate(&c.nodes[2], &c.nodes[0]);
	for (int i = 0; i < 6; i++) {
		int one = i % 2 ? 2 : 0;

		snprintf(text, sizeof(text), "turn %d", i);
		write_file(&c, one, text, text);
		snprintf(text, sizeof(text), "beside %d", i);
		write_file(&c, one ? 0 : 2, "doc", text);
		talk_to(&c, one);
		snprintf(text, sizeof(text), "turn %d", i);
		assert_true(has_text(&c, 1, text));
	}
	assert_true(origin(&c, 0) != origin(&c, 2));
	core_counters(c.nodes[0].core, &n);
	assert_in_range(n.forks, 0, 2);
	for (int i = 0; i < 2; i++) {
		talk_to(&c, 0);
		talk_to(&c, 2);
	}
	nodes_quiet(&c);
	for (int i = 0; i < 6; i++) {
		snprintf(text, sizeof(text), "turn %d", i);
		assert_all_show(&c, text);
	}
	assert_all_show(&c, "beside 4");
	assert_all_show(&c, "beside 5");
	nodes_close(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_restored_backup),
		cmocka_unit_test(test_restored_in_slices),
		cmocka_unit_test(test_lost_numbers),
		cmocka_unit_test(test_found_by_others),
		cmocka_unit_test(test_again_and_again),
		cmocka_unit_test(test_removed_stays_removed),
		cmocka_unit_test(test_copied_for_another),
		cmocka_unit_test(test_two_of_one_key),
	};

	log_set_level(LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
