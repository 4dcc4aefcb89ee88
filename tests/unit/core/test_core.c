/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Directed tests of the core, on the simulator's cluster: how often a change
 * is sent, in each topology; content of each size; restarts; `wait`; what a
 * peer at fault gets. The random ones are kin-sim's.
 */
#include "tests/unit/core/nodes_support.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fs/tree/variants.h"
#include "replication/core/wire.h"

/* ---- files, as programs see them */

static void fill_file(struct cluster *c, int node, const char *name,
		       size_t size, uint8_t fill)
{
	struct tree *t = c->nodes[node].tree;
	struct tree_new new = {.kind = KIND_FILE,
			       .perm = 0644,
			       .user = SLICE_STR("u"),
			       .group = SLICE_STR("g")};
	uint8_t *bytes = malloc(size + 1);
	struct tree_setattr cut = {.set = TREE_SET_SIZE};
	struct entry e;
	struct attr attr;
	struct rng rng;
	int r = tree_lookup(t, TREE_ROOT_INO, SLICE_STR(name), &e);

	/* Neither to be compressed nor equal to another. */
	rng_init(&rng, fill);
	rng_fill(&rng, bytes, size);
	if (r == -ENOENT) {
		r = tree_create(t, TREE_ROOT_INO, SLICE_STR(name), &new, true,
				&e);
	} else if (r == 0) {
		r = tree_open_file(t, e.attr.ino, true);
		if (r == 0)
			r = tree_setattr(t, e.attr.ino, &cut, &attr);
	}
	assert_int_equal(r, 0);
	assert_int_equal(
		tree_write(t, e.attr.ino, 0, SLICE(bytes, size), false), 0);
	tree_release_file(t, e.attr.ino, true);
	free(bytes);
	node_poke(&c->nodes[node]);
}

static int64_t file_size(struct cluster *c, int node, const char *name)
{
	struct entry e;
	int r = tree_lookup(c->nodes[node].tree, TREE_ROOT_INO, SLICE_STR(name),
			    &e);

	return r < 0 ? r : (int64_t)e.attr.size;
}

static struct core_counters counters(struct cluster *c)
{
	struct core_counters sum = {0};

	for (int i = 0; i < c->node_count; i++) {
		struct core_counters n;

		core_counters(c->nodes[i].core, &n);
		sum.cuts_sent += n.cuts_sent;
		sum.rows_sent += n.rows_sent;
		sum.rows_received += n.rows_received;
		sum.changes_received += n.changes_received;
		sum.changes_known += n.changes_known;
		sum.chunks_sent += n.chunks_sent;
		sum.chunks_received += n.chunks_received;
	}
	return sum;
}

/* One file of a few bytes: its row and its directory's. */
static void assert_one_change_costs(struct cluster *c, int node,
				    uint64_t transfers)
{
	struct core_counters before, after;

	nodes_quiet(c);
	before = counters(c);
	fill_file(c, node, "one", 10, 1);
	nodes_quiet(c);
	after = counters(c);
	for (int i = 0; i < c->node_count; i++)
		assert_int_equal(file_size(c, i, "one"), 10);
	assert_int_equal(after.cuts_sent - before.cuts_sent, transfers);
	assert_int_equal(after.rows_sent - before.rows_sent, 2 * transfers);
	assert_int_equal(after.changes_known - before.changes_known, 0);
}

static void test_pair(void **state)
{
	struct cluster c;

	(void)state;
	nodes_open(&c, nodes_options(2, 1));
	cluster_connect(&c, 0, 1);
	assert_one_change_costs(&c, 0, 1);
	nodes_close(&c);
}

static void test_chain(void **state)
{
	struct cluster c;

	(void)state;
	nodes_open(&c, nodes_options(3, 1));
	cluster_connect(&c, 0, 1);
	cluster_connect(&c, 1, 2);
	assert_one_change_costs(&c, 0, 2);
	nodes_close(&c);
}

static void test_ring(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 10; seed++) {
		struct cluster c;

		nodes_open(&c, nodes_options(4, seed));
		for (int i = 0; i < 4; i++)
			cluster_connect(&c, i, (i + 1) % 4);
		assert_one_change_costs(&c, (int)seed % 4, 3);
		nodes_close(&c);
	}
}

static void test_star(void **state)
{
	struct cluster c;

	(void)state;
	nodes_open(&c, nodes_options(5, 1));
	for (int i = 1; i < 5; i++)
		cluster_connect(&c, 0, i);
	assert_one_change_costs(&c, 1, 4);
	nodes_close(&c);
}

static void test_all_to_all(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 10; seed++) {
		struct cluster c;

		nodes_open(&c, nodes_options(4, seed));
		for (int i = 0; i < 4; i++)
			for (int k = i + 1; k < 4; k++)
				cluster_connect(&c, i, k);
		assert_one_change_costs(&c, (int)seed % 4, 3);
		nodes_close(&c);
	}
}

/* ---- content */

static void assert_same_bytes(struct cluster *c, int a, int b, const char *name)
{
	struct entry x, y;
	uint8_t *p, *q;

	assert_int_equal(tree_lookup(c->nodes[a].tree, TREE_ROOT_INO,
				     SLICE_STR(name), &x),
			 0);
	assert_int_equal(tree_lookup(c->nodes[b].tree, TREE_ROOT_INO,
				     SLICE_STR(name), &y),
			 0);
	assert_int_equal(x.attr.size, y.attr.size);
	p = malloc(x.attr.size + 1);
	q = malloc(x.attr.size + 1);
	assert_int_equal(
		tree_read(c->nodes[a].tree, x.attr.ino, 0, p, x.attr.size),
		x.attr.size);
	assert_int_equal(
		tree_read(c->nodes[b].tree, y.attr.ino, 0, q, x.attr.size),
		x.attr.size);
	assert_memory_equal(p, q, x.attr.size);
	free(p);
	free(q);
}

static void test_content_of_all_sizes(void **state)
{
	static const size_t sizes[] = {0,     1,     4096,   4097,    20000,
				       65536, 65537, 300000, 3000000, 40000000};
	struct cluster c;
	char name[32];

	(void)state;
	nodes_open(&c, nodes_options(3, 7));
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		snprintf(name, sizeof(name), "size-%zu", sizes[i]);
		fill_file(&c, 0, name, sizes[i], (uint8_t)i);
	}
	cluster_connect(&c, 0, 1);
	cluster_connect(&c, 1, 2);
	nodes_quiet(&c);
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		snprintf(name, sizeof(name), "size-%zu", sizes[i]);
		assert_same_bytes(&c, 0, 1, name);
		assert_same_bytes(&c, 0, 2, name);
	}
	nodes_close(&c);
}

static int count_hash(void *arg, const struct hash *h)
{
	(void)arg;
	(void)h;
	return 0;
}

/* Chunks that are known of and not here. */
static int64_t count_missing(struct cluster *c, int node)
{
	struct tree *t = c->nodes[node].tree;
	struct replica_debt debt;
	int64_t n;

	store_lock(c->nodes[node].store);
	n = replica_wants(t, 2000, count_hash, NULL);
	assert_int_equal(replica_debt(t, &debt), 0);
	assert_int_equal(debt.objects > 0, n > 0);
	store_unlock(c->nodes[node].store);
	return n;
}

/* A name appears with its size before its content, and what a reader waits
 * for comes before what does not. */
static void test_readers_come_first(void **state)
{
	struct cluster c;
	struct entry e;
	char got[100];
	int64_t r, missing;

	(void)state;
	nodes_open(&c, nodes_options(2, 3));
	c.wires[0][1].bandwidth = 1000;
	fill_file(&c, 0, "large", 12000000, 1);
	cluster_connect(&c, 0, 1);
	while (tree_lookup(c.nodes[1].tree, TREE_ROOT_INO, SLICE_STR("large"),
			   &e) == -ENOENT)
		cluster_run(&c, c.now_ms + 1);
	assert_int_equal(e.attr.size, 12000000);
	/* The manifest, and then 64 chunks that are on their way. */
	cluster_run(&c, c.now_ms + 1000);
	assert_int_equal(tree_read(c.nodes[1].tree, e.attr.ino, 11999900, got,
				   sizeof(got)),
			 -EAGAIN);
	core_wanted(c.nodes[1].core, c.now_ms);
	c.nodes[1].tick_ms = c.now_ms;
	missing = count_missing(&c, 1);
	assert_true(missing > 80);
	do {
		cluster_run(&c, c.now_ms + 10);
		r = tree_read(c.nodes[1].tree, e.attr.ino, 11999900, got,
			      sizeof(got));
	} while (r == -EAGAIN);
	assert_int_equal(r, 100);
	/* No more came first than what was queued on the link already. */
	assert_true(missing - count_missing(&c, 1) < 30);
	nodes_quiet(&c);
	assert_same_bytes(&c, 0, 1, "large");
	nodes_close(&c);
}

/* A second copy of what is there sends no content. */
static void test_known_content_is_not_sent(void **state)
{
	struct core_counters before, after;
	struct cluster c;

	(void)state;
	nodes_open(&c, nodes_options(2, 7));
	cluster_connect(&c, 0, 1);
	fill_file(&c, 0, "big", 2000000, 3);
	nodes_quiet(&c);
	before = counters(&c);
	fill_file(&c, 0, "copy", 2000000, 3);
	nodes_quiet(&c);
	after = counters(&c);
	assert_int_equal(before.chunks_sent, after.chunks_sent);
	assert_same_bytes(&c, 0, 1, "copy");
	nodes_close(&c);
}

/* ---- away and back */

static void test_catch_up(void **state)
{
	struct core_counters before, after;
	struct cluster c;
	char name[32];

	(void)state;
	nodes_open(&c, nodes_options(2, 9));
	cluster_connect(&c, 0, 1);
	for (int i = 0; i < 1000; i++) {
		snprintf(name, sizeof(name), "old-%d", i);
		fill_file(&c, 0, name, 20, (uint8_t)i);
	}
	nodes_quiet(&c);
	cluster_cut(&c, 0, 1);
	for (int i = 0; i < 20; i++) {
		snprintf(name, sizeof(name), "new-%d", i);
		fill_file(&c, 0, name, 20, (uint8_t)i);
	}
	cluster_run(&c, c.now_ms + 60000);
	before = counters(&c);
	cluster_mend(&c, 0, 1);
	nodes_quiet(&c);
	after = counters(&c);
	assert_int_equal(file_size(&c, 1, "new-19"), 20);
	/* From where it stood: not the old ones again. */
	assert_true(after.rows_sent - before.rows_sent <= 21);
	nodes_close(&c);
}

static void test_kill_and_restart(void **state)
{
	struct cluster c;

	(void)state;
	nodes_open(&c, nodes_options(3, 9));
	cluster_connect(&c, 0, 1);
	cluster_connect(&c, 1, 2);
	fill_file(&c, 0, "a", 500000, 1);
	cluster_run(&c, c.now_ms + 300);
	node_kill(&c.nodes[1], 1000);
	fill_file(&c, 2, "b", 5000, 2);
	node_kill(&c.nodes[2], 10);
	nodes_quiet(&c);
	assert_same_bytes(&c, 0, 2, "a");
	assert_same_bytes(&c, 0, 2, "b");
	nodes_close(&c);
}

/* ---- kin wait */

/* ---- saves: what leaves the machine */

static uint64_t objects(struct cluster *c, int node)
{
	struct tree_statfs st;

	tree_statfs(c->nodes[node].tree, &st);
	return st.objects;
}

/* A step of a save every so many ms. */
static void save(struct cluster *c, bool by_backup, uint64_t step_ms)
{
	uint64_t ino = make_open(c, 0, "lock");

	done(c, 0, ino);
	nodes_pass(c, step_ms);
	remove_path(c, 0, "lock");
	if (by_backup)
		move(c, 0, "doc", "doc~");
	ino = make_open(c, 0, by_backup ? "doc" : ".doc.tmp");
	nodes_pass(c, step_ms);
	put(c, 0, ino, "a new content");
	nodes_pass(c, step_ms);
	done(c, 0, ino);
	nodes_pass(c, step_ms);
	if (by_backup)
		remove_path(c, 0, "doc~");
	else
		move(c, 0, ".doc.tmp", "doc");
}

/* Neither a temporary nor a backup nor a lock is ever received: the rows of
 * the file and of its directory are. */
static void test_saves_send_the_file_only(void **state)
{
	(void)state;
	for (int by_backup = 0; by_backup < 2; by_backup++) {
		struct cluster c;
		struct core_counters before, after;

		nodes_open(&c, nodes_options(2, 21));
		cluster_connect(&c, 0, 1);
		fill_file(&c, 0, "doc", 10, 1);
		nodes_quiet(&c);
		before = counters(&c);
		save(&c, by_backup, 40);
		nodes_quiet(&c);
		after = counters(&c);
		assert_int_equal(after.rows_received - before.rows_received, 2);
		assert_int_equal(after.cuts_sent - before.cuts_sent, 1);
		assert_int_equal(file_size(&c, 1, "doc"), 13);
		assert_int_equal(objects(&c, 0), 2);
		assert_int_equal(objects(&c, 1), 2);
		/* A slow one is told of before its end, and ends well. */
		save(&c, by_backup, 700);
		nodes_quiet(&c);
		assert_int_equal(file_size(&c, 1, "doc"), 13);
		assert_int_equal(file_size(&c, 1, ".doc.tmp"), -ENOENT);
		assert_int_equal(file_size(&c, 1, "doc~"), -ENOENT);
		nodes_close(&c);
	}
}

/* How long until the other node shows a size. */
static uint64_t arrival_ms(struct cluster *c, const char *name, int64_t size)
{
	uint64_t from = c->now_ms;

	while (c->now_ms < from + 60000 && file_size(c, 1, name) != size)
		nodes_pass(c, 1);
	return c->now_ms - from;
}

/* As `kin token` does. */
static void instant_now_by_token(struct cluster *c, int node)
{
	cleanup(know_release) struct know k = KNOW_INIT;

	assert_int_equal(core_knowledge(c->nodes[node].core, c->now_ms, &k),
			 0);
}

static void test_instant_of_a_cut(void **state)
{
	struct cluster c;
	uint64_t ino;

	(void)state;
	nodes_open(&c, nodes_options(2, 22));
	cluster_connect(&c, 0, 1);
	/* A new file: when it is sure to be one. */
	fill_file(&c, 0, "doc", 10, 1);
	assert_in_range(arrival_ms(&c, "doc", 10), 200, 300);
	nodes_quiet(&c);
	/* An edit in place waits for nothing, nor does the end of a save. */
	fill_file(&c, 0, "doc", 20, 2);
	assert_in_range(arrival_ms(&c, "doc", 20), 10, 60);
	nodes_quiet(&c);
	fill_file(&c, 0, ".tmp", 30, 3);
	move(&c, 0, ".tmp", "doc");
	assert_in_range(arrival_ms(&c, "doc", 30), 10, 60);
	nodes_quiet(&c);
	/* Beside a file that is written for long: a second, no more. */
	ino = make_open(&c, 0, "long");
	put(&c, 0, ino, "and");
	nodes_pass(&c, 100);
	fill_file(&c, 0, "doc", 40, 4);
	assert_in_range(arrival_ms(&c, "doc", 40), 800, 1000);
	nodes_pass(&c, 300);
	fill_file(&c, 0, "doc", 50, 5);
	assert_in_range(arrival_ms(&c, "doc", 50), 900, 1100);
	/* But who waits gets it at once. */
	fill_file(&c, 0, "doc", 60, 6);
	assert_true(cluster_wait(&c, 0, 400));
	assert_int_equal(file_size(&c, 1, "doc"), 60);
	fill_file(&c, 0, "doc", 70, 7);
	assert_true(cluster_wait(&c, 1, 700));
	assert_int_equal(file_size(&c, 1, "doc"), 70);
	/* ... whatever is begun after that. */
	fill_file(&c, 0, "doc", 80, 8);
	instant_now_by_token(&c, 0);
	make_open(&c, 0, "another");
	assert_in_range(arrival_ms(&c, "doc", 80), 5, 100);
	done(&c, 0, ino);
	nodes_quiet(&c);
	nodes_close(&c);
}

static void test_wait(void **state)
{
	struct core_wait_missing missing[4];
	struct cluster c;
	int id;

	(void)state;
	nodes_open(&c, nodes_options(3, 5));
	cluster_connect(&c, 0, 1);
	cluster_connect(&c, 1, 2);
	nodes_quiet(&c);
	fill_file(&c, 2, "far", 200000, 1);
	/* What any has when it hears of it, through others too. */
	assert_true(cluster_wait(&c, 0, 10000));
	assert_int_equal(file_size(&c, 0, "far"), 200000);
	assert_int_equal(file_size(&c, 1, "far"), 200000);

	cluster_cut(&c, 1, 2);
	assert_false(cluster_wait(&c, 0, 5000));
	id = core_wait_begin(c.nodes[0].core, c.now_ms,
			     &(struct core_wait_options){.kind = CORE_WAIT_ALL});
	c.nodes[0].tick_ms = c.now_ms;
	cluster_run(&c, c.now_ms + 1000);
	assert_int_equal(core_wait_state(c.nodes[0].core, id),
			 CORE_WAIT_PENDING);
	assert_int_equal(core_wait_missing(c.nodes[0].core, id, missing, 4), 1);
	assert_string_equal(missing[0].label, "node2");
	assert_false(missing[0].answered);
	core_wait_end(c.nodes[0].core, id);
	/* Linked ones only. */
	id = core_wait_begin(c.nodes[0].core, c.now_ms,
			     &(struct core_wait_options){.kind = CORE_WAIT_LINKED});
	c.nodes[0].tick_ms = c.now_ms;
	cluster_run(&c, c.now_ms + 1000);
	assert_int_equal(core_wait_state(c.nodes[0].core, id), CORE_WAIT_DONE);
	core_wait_end(c.nodes[0].core, id);
	nodes_close(&c);
}

/* Begins a wait of node 0, and lets it go on for a second. */
static int begin_wait(struct cluster *c, struct core_wait_options o)
{
	int id = core_wait_begin(c->nodes[0].core, c->now_ms, &o);

	assert_true(id > 0);
	c->nodes[0].tick_ms = c->now_ms;
	cluster_run(c, c->now_ms + 1000);
	return id;
}

static void assert_wait(struct cluster *c, int id, enum core_wait_state state)
{
	assert_int_equal(core_wait_state(c->nodes[0].core, id), state);
	core_wait_end(c->nodes[0].core, id);
}

/* What node 2 knew, told to node 0 by other means than the network. */
static void test_wait_for_token(void **state)
{
	cleanup(know_release) struct know token = KNOW_INIT;
	struct core_wait_options o = {CORE_WAIT_TOKEN, .token = &token};
	struct core_wait_missing missing[4];
	struct cluster c;
	int id;

	(void)state;
	nodes_open(&c, nodes_options(3, 6));
	cluster_connect(&c, 0, 1);
	cluster_connect(&c, 1, 2);
	nodes_quiet(&c);
	cluster_cut(&c, 0, 1);
	fill_file(&c, 2, "far", 200000, 1);
	assert_int_equal(core_knowledge(c.nodes[2].core, c.now_ms, &token), 0);
	cluster_run(&c, c.now_ms + 5000);
	id = begin_wait(&c, o);
	assert_int_equal(core_wait_missing(c.nodes[0].core, id, missing, 4), 1);
	assert_true(missing[0].self && missing[0].changes > 0);
	assert_wait(&c, id, CORE_WAIT_PENDING);
	/* Through a node that the writer is not linked to any more. */
	cluster_cut(&c, 1, 2);
	cluster_mend(&c, 0, 1);
	id = core_wait_begin(c.nodes[0].core, c.now_ms, &o);
	cluster_run(&c, c.now_ms + 10000);
	assert_wait(&c, id, CORE_WAIT_DONE);
	assert_int_equal(file_size(&c, 0, "far"), 200000);
	/* And the other way round nothing is missing from the start. */
	id = core_wait_begin(c.nodes[2].core, c.now_ms, &o);
	assert_int_equal(core_wait_state(c.nodes[2].core, id), CORE_WAIT_DONE);
	core_wait_end(c.nodes[2].core, id);
	nodes_close(&c);
}

static void test_wait_for_fresh(void **state)
{
	struct core_wait_missing missing[4];
	struct cluster c;
	int id;

	(void)state;
	nodes_open(&c, nodes_options(3, 7));
	cluster_connect(&c, 0, 1);
	cluster_connect(&c, 0, 2);
	nodes_quiet(&c);
	cluster_cut(&c, 0, 2);
	fill_file(&c, 1, "one", 10, 1);
	/* One is enough; two are not there; of more than all it is all. */
	id = begin_wait(&c, (struct core_wait_options){CORE_WAIT_FRESH,
						       .fresh = 1});
	assert_wait(&c, id, CORE_WAIT_DONE);
	assert_int_equal(file_size(&c, 0, "one"), 10);
	id = begin_wait(&c, (struct core_wait_options){CORE_WAIT_FRESH,
						       .fresh = 7});
	assert_int_equal(core_wait_missing(c.nodes[0].core, id, missing, 4), 1);
	assert_string_equal(missing[0].label, "node2");
	assert_int_equal(core_wait_state(c.nodes[0].core, id),
			 CORE_WAIT_PENDING);
	fill_file(&c, 2, "two", 20, 1);
	cluster_mend(&c, 0, 2);
	cluster_run(&c, c.now_ms + 10000);
	assert_wait(&c, id, CORE_WAIT_DONE);
	assert_int_equal(file_size(&c, 0, "two"), 20);
	nodes_close(&c);
}

static struct core_peer_status peer_status_of(struct cluster *c, int node,
					      const char *label)
{
	struct core_peer_status peers[4];
	size_t n = core_peers(c->nodes[node].core, peers, 4);

	for (size_t i = 0; i < n; i++)
		if (!strcmp(peers[i].label, label))
			return peers[i];
	fail_msg("node %d has no peer %s", node, label);
	return peers[0];
}

/* Heads of the last tell through the one between how stale the first is. */
static void test_staleness(void **state)
{
	struct cluster_options o = {.seed = 8,
				    .nodes = 3,
				    .delay_max = 5,
				    .bandwidth = 1000,
				    .heartbeat_ms = 10000};
	struct core_peer_status p;
	struct cluster c;

	(void)state;
	nodes_open(&c, o);
	cluster_connect(&c, 0, 1);
	p = peer_status_of(&c, 0, "node1");
	assert_false(p.stale_known);
	assert_false(p.skew_known);
	c.nodes[1].skew_ms = 5000;
	cluster_connect(&c, 1, 2);
	cluster_run(&c, c.now_ms + 30000);
	p = peer_status_of(&c, 0, "node2");
	assert_true(p.stale_known && p.stale_ms < 10100);
	assert_false(p.skew_known); /* not linked to it */
	p = peer_status_of(&c, 0, "node1");
	assert_true(p.stale_known && p.stale_ms < 10100);
	assert_true(p.skew_known && p.skew_ms > 4000 && p.skew_ms < 6000);

	/* Cut off: it grows with the clock, and what the others lack, too. */
	cluster_cut(&c, 0, 1);
	fill_file(&c, 2, "far", 1000, 1);
	fill_file(&c, 0, "near", 1000, 1);
	cluster_run(&c, c.now_ms + 60000);
	p = peer_status_of(&c, 0, "node2");
	assert_true(p.stale_ms > 59000 && p.stale_ms < 71000);
	assert_true(p.behind.changes && p.behind_ms > 59000 &&
		    p.behind_ms < 61000);
	cluster_mend(&c, 0, 1);
	cluster_run(&c, c.now_ms + 30000);
	p = peer_status_of(&c, 0, "node2");
	assert_true(p.stale_ms < 10100);
	assert_true(!p.behind.changes && !p.behind_ms);
	nodes_close(&c);
}

static void test_wait_for_mounts(void **state)
{
	struct cluster_options o = {.seed = 3,
				    .nodes = 2,
				    .delay_max = 5,
				    .bandwidth = 1000,
				    .mounts = true};
	struct cluster c;
	int id;

	(void)state;
	nodes_open(&c, o);
	cluster_connect(&c, 0, 1);
	cluster_run(&c, c.now_ms + 2000);
	c.nodes[1].show_ms = c.now_ms + 3000; /* its notifier is slow */
	fill_file(&c, 0, "x", 10, 1);
	id = core_wait_begin(c.nodes[0].core, c.now_ms,
			     &(struct core_wait_options){.kind = CORE_WAIT_ALL});
	c.nodes[0].tick_ms = c.now_ms;
	cluster_run(&c, c.now_ms + 2500);
	assert_int_equal(file_size(&c, 1, "x"), 10);
	assert_int_equal(core_wait_state(c.nodes[0].core, id),
			 CORE_WAIT_PENDING);
	cluster_run(&c, c.now_ms + 1000);
	assert_int_equal(core_wait_state(c.nodes[0].core, id), CORE_WAIT_DONE);
	core_wait_end(c.nodes[0].core, id);
	nodes_close(&c);
}

/* ---- members */

static void test_members_travel(void **state)
{
	struct core_peer_status peers[5];
	struct cluster c;

	(void)state;
	/* Node 0 let all in, one after the other: the first knew only 0. */
	nodes_open(&c, nodes_options(4, 2));
	for (int i = 0; i < 3; i++)
		cluster_connect(&c, i, i + 1);
	nodes_quiet(&c);
	for (int i = 0; i < 4; i++) {
		assert_int_equal(core_peers(c.nodes[i].core, peers, 5), 3);
		for (int k = 0; k < 3; k++) {
			assert_int_equal(peers[k].behind.changes, 0);
			assert_int_equal(peers[k].ahead.changes, 0);
		}
	}
	assert_int_equal(core_link_up(c.nodes[0].core, c.now_ms, 99,
				      &(struct device){{1}}),
			 -EACCES);
	assert_int_equal(
		core_link_up(c.nodes[0].core, c.now_ms, 99, &c.nodes[1].device),
		-EALREADY);
	nodes_close(&c);
}

/* ---- peers at fault */

struct fault {
	struct cluster c;
	bool closed;
};

static void fault_open(struct fault *f)
{
	memset(f, 0, sizeof(*f));
	nodes_open(&f->c, nodes_options(2, 4));
	f->c.options.bad_frames = true;
	cluster_connect(&f->c, 0, 1);
	cluster_run(&f->c, f->c.now_ms + 2000);
	assert_true(f->c.wires[0][1].up);
}

/* Node 1 gets a frame that node 0 never sent. */
static bool inject(struct fault *f, const struct buf *frame)
{
	struct wire *w = &f->c.wires[0][1];

	core_receive(f->c.nodes[1].core, f->c.now_ms, w->link,
		     SLICE(frame->data + 4, frame->len - 4));
	f->c.nodes[1].tick_ms = core_tick(f->c.nodes[1].core, f->c.now_ms);
	return w->closing;
}

static void assert_refused(const struct buf *frame)
{
	struct fault f;

	fault_open(&f);
	assert_true(inject(&f, frame));
	fill_file(&f.c, 0, "after", 10, 1);
	nodes_quiet(&f.c); /* a new link, and all goes on */
	assert_int_equal(file_size(&f.c, 1, "after"), 10);
	nodes_close(&f.c);
}

static void assert_rec_refused(uint64_t position, uint64_t raw_len)
{
	cleanup(buf_release) struct buf b = BUF_INIT;
	struct stream stream = {.life = 3, .after = 1};
	struct fault f;

	fault_open(&f);
	frame_begin(&b, FRAME_STREAM);
	stream_encode(&stream, &b);
	assert_int_equal(frame_end(&b), 0);
	assert_false(inject(&f, &b));
	frame_begin(&b, FRAME_REC);
	buf_put_varint(&b, position);
	buf_put_varint(&b, raw_len);
	buf_put(&b, "xxxx", 4);
	assert_int_equal(frame_end(&b), 0);
	assert_true(inject(&f, &b));
	fill_file(&f.c, 0, "after", 10, 1);
	nodes_quiet(&f.c);
	assert_int_equal(file_size(&f.c, 1, "after"), 10);
	nodes_close(&f.c);
}

static void test_faults(void **state)
{
	cleanup(buf_release) struct buf b = BUF_INIT;
	struct cut cut = {.k = test_know(77, 1, 0), .rows = 5};
	struct hello hello;

	(void)state;
	frame_begin(&b, (enum frame_type)99);
	assert_int_equal(frame_end(&b), 0);
	assert_refused(&b);

	frame_begin(&b, FRAME_HELLO); /* a second one */
	hello_init(&hello);
	hello_encode(&hello, &b);
	assert_int_equal(frame_end(&b), 0);
	assert_refused(&b);

	frame_begin(&b, FRAME_CUT); /* rows that never came */
	cut_encode(&cut, &b);
	assert_int_equal(frame_end(&b), 0);
	assert_refused(&b);
	cut_release(&cut);

	frame_begin(&b, FRAME_REC); /* without a STREAM */
	buf_put_varint(&b, 1);
	buf_put_varint(&b, 100);
	buf_put(&b, "xxxx", 4);
	assert_int_equal(frame_end(&b), 0);
	assert_refused(&b);

	frame_begin(&b, FRAME_RESUME); /* too late */
	resume_encode(&(struct resume){.life = 1}, &b);
	assert_int_equal(frame_end(&b), 0);
	assert_refused(&b);

	assert_rec_refused(1, REC_RAW_BYTES_MAX + 1);
	assert_rec_refused(1, 100);
	assert_rec_refused(0, 4); /* back in the stream */

	frame_begin(&b, FRAME_CHUNK); /* not what the hash names */
	chunk_frame_encode(
		&(struct chunk_frame){.len = 4, .bytes = SLICE("abcd", 4)}, &b);
	assert_int_equal(frame_end(&b), 0);
	assert_refused(&b);

	frame_begin(&b, FRAME_STATUS);
	buf_put_varint(&b, 1);
	buf_put_string(&b, SLICE("short", 5));
	assert_int_equal(frame_end(&b), 0);
	assert_refused(&b);
}

/* Random bytes of every type: closed or ignored, never worse. */
static void test_garbage(void **state)
{
	cleanup(buf_release) struct buf b = BUF_INIT;
	struct fault f;
	struct rng rng;

	(void)state;
	rng_init(&rng, 5);
	fault_open(&f);
	for (int i = 0; i < 3000; i++) {
		uint8_t bytes[300];
		size_t len = rng_below(&rng, sizeof(bytes));

		rng_fill(&rng, bytes, len);
		/* Short numbers reach deeper. */
		for (size_t k = 0; k < len; k += 1 + rng_below(&rng, 9))
			bytes[k] &= 3;
		frame_begin(&b, (enum frame_type)rng_between(&rng, 1, 14));
		buf_put(&b, bytes, len);
		assert_int_equal(frame_end(&b), 0);
		inject(&f, &b);
		if (rng_one_in(&rng, 3))
			cluster_run(&f.c, f.c.now_ms + 700);
	}
	fill_file(&f.c, 0, "after", 10, 1);
	nodes_quiet(&f.c);
	assert_int_equal(file_size(&f.c, 1, "after"), 10);
	nodes_close(&f.c);
}

/* What a policy or a hook made is told apart, so that it fires nothing. */
static void test_by_people(void **state)
{
	struct variants v;
	struct cluster c;
	uint64_t before;
	int fd = memfd_create("settled", MFD_CLOEXEC);

	(void)state;
	assert_int_equal(write(fd, "both", 4), 4);
	nodes_open(&c, nodes_options(2, 11));
	cluster_connect(&c, 0, 1);
	write_file(&c, 0, "f", "base");
	nodes_quiet(&c);
	assert_true(counters_of(&c, 1).rows_by_people > 0);
	nodes_apart(&c);
	write_file(&c, 0, "f", "of 0");
	write_file(&c, 1, "f", "of 1");
	nodes_pass(&c, 5000);
	nodes_together(&c);
	nodes_quiet(&c);
	before = counters_of(&c, 1).rows_by_people;
	assert_int_equal(tree_variants(c.nodes[0].tree, at(&c, 0, "f"), &v),
			 0);
	assert_int_equal(tree_settle(c.nodes[0].tree, &v, fd, SETTLE_AUTO), 0);
	variants_release(&v);
	node_poke(&c.nodes[0]);
	nodes_quiet(&c);
	assert_true(shows(&c, 1, "f", "both"));
	assert_int_equal(counters_of(&c, 1).rows_by_people, before);
	write_file(&c, 0, "f", "edited");
	nodes_quiet(&c);
	assert_true(counters_of(&c, 1).rows_by_people > before);
	nodes_close(&c);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pair),
		cmocka_unit_test(test_chain),
		cmocka_unit_test(test_ring),
		cmocka_unit_test(test_star),
		cmocka_unit_test(test_all_to_all),
		cmocka_unit_test(test_content_of_all_sizes),
		cmocka_unit_test(test_readers_come_first),
		cmocka_unit_test(test_known_content_is_not_sent),
		cmocka_unit_test(test_catch_up),
		cmocka_unit_test(test_kill_and_restart),
		cmocka_unit_test(test_saves_send_the_file_only),
		cmocka_unit_test(test_instant_of_a_cut),
		cmocka_unit_test(test_wait),
		cmocka_unit_test(test_wait_for_token),
		cmocka_unit_test(test_wait_for_fresh),
		cmocka_unit_test(test_staleness),
		cmocka_unit_test(test_wait_for_mounts),
		cmocka_unit_test(test_members_travel),
		cmocka_unit_test(test_faults),
		cmocka_unit_test(test_garbage),
		cmocka_unit_test(test_by_people),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
