/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A node whose disk is full: it takes nothing in, says of nothing that it is
 * durable that is not, and goes on by itself when there is room. What it
 * removes its peers hear all the same.
 */
#include "tests/unit/core/nodes_support.h"

#include <errno.h>
#include <stdio.h>

#include "fs/store/store_internal.h"
#include "replication/core/core_internal.h"

#define FILES 20
#define LARGE_BYTES 200000
#define LONG_MS 30000

static void set_full(struct cluster *c, int node, int r)
{
	c->nodes[node].store->space.full = r;
	c->nodes[node].disk.hurt = r; /* (it may refuse links) */
}

/* Does node 0 believe that node 1 has all of its own? */
static bool is_believed(struct cluster *c)
{
	struct core *a = c->nodes[0].core;

	if (!a->peer_count)
		return false;
	return know_get(&peer_status(a, a->peers[0])->k, a->origin) >=
	       know_get(&a->own.k, a->origin);
}

static void test_rows(void **state)
{
	struct cluster c;
	char name[16];
	uint64_t sent;

	(void)state;
	nodes_open(&c, nodes_options(2, 1));
	cluster_connect(&c, 0, 1);
	write_file(&c, 0, "early", "1");
	write_file(&c, 1, "removed", "2");
	nodes_quiet(&c);
	assert_true(is_believed(&c));
	sent = counters_of(&c, 0).cuts_sent;
	set_full(&c, 1, -ENOSPC);
	for (int i = 0; i < FILES; i++) {
		snprintf(name, sizeof(name), "f%d", i);
		write_file(&c, 0, name, "text");
	}
	nodes_pass(&c, LONG_MS);
	assert_false(is_there(&c, 1, "f0"));
	assert_false(is_believed(&c));
	assert_true(shows(&c, 1, "early", "1"));
	remove_path(&c, 1, "removed");
	nodes_pass(&c, LONG_MS);
	assert_false(is_there(&c, 0, "removed"));
	/* Not again and again at once. */
	assert_in_range(counters_of(&c, 0).cuts_sent - sent, 1,
			2 * LONG_MS / REST_MS + 2);
	set_full(&c, 1, 0);
	nodes_quiet(&c);
	assert_true(shows(&c, 1, "f0", "text"));
	assert_true(is_believed(&c));
	nodes_close(&c);
}

/* Files of which content is still to come to node 1. */
static uint64_t debt(struct cluster *c)
{
	struct replica_debt d;

	store_lock(c->nodes[1].store);
	assert_int_equal(replica_debt(c->nodes[1].tree, &d), 0);
	store_unlock(c->nodes[1].store);
	return d.objects;
}

/* Rows have come, and then there is no room for what is in the file. */
static void test_content(void **state)
{
	static char text[LARGE_BYTES + 1];
	struct cluster_options o = nodes_options(2, 2);
	struct cluster c;
	struct rng rng;
	link_id link;

	(void)state;
	rng_init(&rng, 1);
	for (size_t i = 0; i < LARGE_BYTES; i++)
		text[i] = (char)('a' + rng_below(&rng, 26));
	o.bandwidth = 20;
	nodes_open(&c, o);
	cluster_connect(&c, 0, 1);
	cluster_wire(&c, 0, 1)->bandwidth = 20;
	nodes_quiet(&c);
	write_file(&c, 0, "large", text);
	while (!debt(&c))
		nodes_pass(&c, 1);
	set_full(&c, 1, -EDQUOT);
	link = cluster_wire(&c, 0, 1)->link;
	nodes_pass(&c, LONG_MS);
	assert_true(debt(&c) > 0);
	assert_int_equal(c.nodes[0].core->peer_count, 1);
	assert_false(know_leq(&c.nodes[0].core->own.k,
			      &peer_status(c.nodes[0].core,
					   c.nodes[0].core->peers[0])->c));
	assert_int_equal(cluster_wire(&c, 0, 1)->link, link);
	set_full(&c, 1, 0);
	nodes_quiet(&c);
	assert_int_equal(debt(&c), 0);
	assert_int_equal(counters_of(&c, 1).chunks_received > 0, 1);
	nodes_close(&c);
}

/* Not even what it needs for itself has room: it rests, and begins anew. */
static void test_rest(void **state)
{
	struct cluster c;
	link_id link;

	(void)state;
	nodes_open(&c, nodes_options(2, 3));
	cluster_connect(&c, 0, 1);
	nodes_quiet(&c);
	link = cluster_wire(&c, 0, 1)->link;
	c.nodes[1].disk.hurt = true;
	core_fail(c.nodes[1].core, -ENOSPC, "no room, in a test");
	assert_int_equal(c.nodes[1].core->failure, -ENOSPC);
	write_file(&c, 0, "f", "1");
	node_poke(&c.nodes[1]);
	nodes_pass(&c, REST_MS / 2);
	assert_false(is_there(&c, 1, "f"));
	nodes_quiet(&c);
	assert_true(shows(&c, 1, "f", "1"));
	assert_int_not_equal(cluster_wire(&c, 0, 1)->link, link);
	assert_int_equal(c.nodes[1].core->failure, 0);
	c.nodes[1].disk.hurt = false;
	/* Any other error is for ever. */
	c.nodes[1].disk.hurt = true;
	core_fail(c.nodes[1].core, -EIO, "an error, in a test");
	nodes_pass(&c, LONG_MS);
	assert_int_equal(c.nodes[1].core->failure, -EIO);
	nodes_close(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_content),
		cmocka_unit_test(test_rest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
