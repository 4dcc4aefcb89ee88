/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Content that no row wants any more, and somebody still needs: he wrote into
 * a file before it was here, and meanwhile it was replaced. Nodes between him
 * and who has it pass his want on.
 */
#include "tests/unit/core/nodes_support.h"

#include <stdio.h>

#include "fs/base/log.h"

#define NODES 4
#define LARGE_BYTES 100000
#define LIMIT_MS 60000

static uint8_t large[LARGE_BYTES];

static void open_chain(struct cluster *c)
{
	struct cluster_options o = nodes_options(NODES, 7);

	o.bandwidth = 20; /* a large file takes five seconds */
	nodes_open(c, o);
	for (int i = 1; i < NODES; i++) {
		cluster_connect(c, i - 1, i);
		cluster_wire(c, i - 1, i)->bandwidth = 20;
	}
	assert_true(cluster_run_quiet(c, 3000, LIMIT_MS));
}

static uint64_t create(struct cluster *c, struct slice bytes)
{
	struct tree_new new = {.kind = KIND_FILE,
			       .perm = 0644,
			       .user = SLICE_STR("u"),
			       .group = SLICE_STR("g")};
	struct tree *t = c->nodes[0].tree;
	struct entry e;

	assert_int_equal(tree_create(t, TREE_ROOT_INO, SLICE_STR("f"), &new,
				     true, &e), 0);
	assert_int_equal(tree_write(t, e.attr.ino, 0, bytes, false), 0);
	tree_release_file(t, e.attr.ino, true);
	node_poke(&c->nodes[0]);
	return e.attr.ino;
}

/* Waits for the name, not for what is in it. */
static uint64_t name_comes(struct cluster *c, int node)
{
	uint64_t limit = c->now_ms + LIMIT_MS, ino;

	while (tree_resolve_path(c->nodes[node].tree, SLICE_STR("f"), &ino)) {
		assert_true(c->now_ms < limit);
		cluster_run(c, c->now_ms + 1);
	}
	return ino;
}

static int count_entry(void *arg, const struct replica_view_entry *e)
{
	if (e->complete && e->content.size == LARGE_BYTES)
		++*(int *)arg;
	return 0;
}

/* Nothing is to come any more. */
static bool tree_is_here(struct cluster *c, int node)
{
	struct replica_debt debt;

	store_lock(c->nodes[node].store);
	assert_int_equal(replica_debt(c->nodes[node].tree, &debt), 0);
	store_unlock(c->nodes[node].store);
	return !debt.objects;
}

static void test_passed_on(void **state)
{
	struct tree_setattr empty = {.set = TREE_SET_SIZE};
	struct cluster c;
	struct tree *last;
	struct rng rng;
	struct attr attr;
	uint64_t ino, far;

	(void)state;
	rng_init(&rng, 1);
	rng_fill(&rng, large, sizeof(large));
	open_chain(&c);
	ino = create(&c, SLICE(large, sizeof(large)));
	far = name_comes(&c, NODES - 1);
	last = c.nodes[NODES - 1].tree;
	assert_int_equal(tree_open_file(last, far, true), 0);
	assert_int_equal(tree_write(last, far, 500, SLICE_STR("here"), false),
			 0);
	/* Nobody in between has it, or will want it. */
	cluster_cut(&c, 0, 1);
	assert_int_equal(tree_setattr(c.nodes[0].tree, ino, &empty, &attr), 0);
	node_poke(&c.nodes[0]);
	cluster_mend(&c, 0, 1);
	for (attr.size = 1; attr.size;) {
		cluster_run(&c, c.now_ms + 100);
		assert_int_equal(tree_getattr(c.nodes[1].tree,
					      name_comes(&c, 1), &attr), 0);
	}
	cluster_run(&c, c.now_ms + 1000);
	tree_release_file(last, far, true);
	node_poke(&c.nodes[NODES - 1]);
	assert_int_equal(tree_cut_settled(last, 0), 1);
	for (uint64_t limit = c.now_ms + 10 * LIMIT_MS;
	     tree_cut_settled(last, 0);) {
		assert_true(c.now_ms < limit);
		cluster_run(&c, c.now_ms + 100);
	}
	node_poke(&c.nodes[NODES - 1]);
	assert_true(cluster_run_quiet(&c, 20000, 10 * LIMIT_MS));
	cluster_check_equal(&c, true);
	for (int i = 0; i < NODES; i++) {
		int found = 0;

		assert_int_equal(replica_view(c.nodes[i].tree, count_entry,
					      &found), 0);
		assert_int_equal(found, 1);
	}
	nodes_close(&c);
}

/*
 * A line on which a chunk takes longer than a link may be silent, and longer
 * than what was asked for may take: it comes, once.
 */
static void test_slow_line(void **state)
{
	struct cluster_options o = nodes_options(2, 7);
	struct core_counters sent, received;
	struct cluster c;
	struct rng rng;
	link_id link;
	int found = 0;

	(void)state;
	rng_init(&rng, 1);
	rng_fill(&rng, large, sizeof(large));
	o.bandwidth = 1; /* a large file takes a hundred seconds */
	nodes_open(&c, o);
	cluster_connect(&c, 0, 1);
	assert_true(cluster_run_quiet(&c, 3000, LIMIT_MS));
	link = cluster_wire(&c, 0, 1)->link;
	create(&c, SLICE(large, sizeof(large)));
	name_comes(&c, 1);
	assert_true(cluster_run_quiet(&c, 20000, 10 * LIMIT_MS));
	cluster_check_equal(&c, true);
	assert_int_equal(replica_view(c.nodes[1].tree, count_entry, &found),
			 0);
	assert_int_equal(found, 1);
	assert_true(tree_is_here(&c, 1));
	assert_int_equal(cluster_wire(&c, 0, 1)->link, link);
	sent = counters_of(&c, 0);
	received = counters_of(&c, 1);
	assert_true(received.chunks_received > 1);
	assert_int_equal(sent.chunks_sent, received.chunks_received);
	assert_true(sent.bytes_sent < LARGE_BYTES + 20000);
	nodes_close(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_passed_on),
		cmocka_unit_test(test_slow_line),
	};

	log_set_level(LOG_LEVEL_OFF);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
