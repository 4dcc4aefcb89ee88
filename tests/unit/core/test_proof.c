/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Proof of equality on the simulator's cluster: said once and then silence;
 * a divergence that was planted behind the core's back is found in three
 * round trips and repaired by union, whatever was lost and on which side,
 * and nothing that either side held is gone. And the frames.
 */
#include "tests/unit/core/nodes_support.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "fs/base/log.h"
#include "replication/core/sums.h"
#include "tests/sim/plant.h"

static void go_quiet(struct cluster *c)
{
	assert_true(cluster_run_quiet(c, 5000, 120000));
	if (cluster_failed(c))
		fail_msg("%s", c->failure);
}

static struct core_counters counters(struct cluster *c)
{
	struct core_counters sum = {0};

	for (int i = 0; i < c->node_count; i++) {
		struct core_counters n = {0};

		if (c->nodes[i].running)
			n = counters_of(c, i);
		sum.proofs += n.proofs;
		sum.divergences += n.divergences;
		sum.verify_rounds += n.verify_rounds;
		sum.repaired += n.repaired;
	}
	return sum;
}

static void assert_equal(struct cluster *c)
{
	cluster_check_equal(c, true);
	cluster_check_nodes(c);
	if (cluster_failed(c))
		fail_msg("%s", c->failure);
}

/* ---- the quiet case */

static void test_said_once(void **state)
{
	struct core_proof proof;
	struct core_counters n;
	struct cluster c;
	uint64_t frames;

	(void)state;
	nodes_open(&c, nodes_options(2, 1));
	cluster_connect(&c, 0, 1);
	write_file(&c, 0, "a", "1");
	go_quiet(&c);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(
			core_proofs(c.nodes[i].core, 0, &proof, 1), 1);
		assert_int_equal(proof.state, CORE_PROOF_EQUAL);
		assert_true(proof.current);
		assert_true(sum_equal(&proof.mine, &proof.theirs));
		assert_int_equal(proof.mine.count, 2);
	}
	n = counters(&c);
	assert_int_equal(n.divergences, 0);
	assert_true(n.proofs >= 2);
	/* Idle: nothing but PING and PONG, no comparison again. */
	frames = c.last_busy_ms;
	cluster_run(&c, c.now_ms + 600000);
	assert_int_equal(c.last_busy_ms, frames);
	assert_int_equal(counters(&c).proofs, n.proofs);
	/* A change: once on each side. */
	write_file(&c, 1, "b", "2");
	go_quiet(&c);
	assert_int_equal(counters(&c).proofs, n.proofs + 2);
	nodes_close(&c);
}

/* Peers that differ in knowledge say nothing. */
static void test_not_while_behind(void **state)
{
	struct core_proof proof;
	struct cluster c;
	uint64_t proofs;

	(void)state;
	nodes_open(&c, nodes_options(2, 1));
	cluster_connect(&c, 0, 1);
	go_quiet(&c);
	proofs = counters(&c).proofs;
	cluster_cut(&c, 0, 1);
	write_file(&c, 0, "a", "1");
	cluster_run(&c, c.now_ms + 1000);
	/* (it may not know yet that the link is dead) */
	if (core_proofs(c.nodes[0].core, 0, &proof, 1))
		assert_false(proof.current);
	assert_int_equal(counters(&c).proofs, proofs);
	cluster_mend(&c, 0, 1);
	go_quiet(&c);
	assert_int_equal(core_proofs(c.nodes[0].core, 0, &proof, 1), 1);
	assert_int_equal(proof.state, CORE_PROOF_EQUAL);
	assert_int_equal(counters(&c).divergences, 0);
	nodes_close(&c);
}

/* ---- divergences */

static int damage(struct cluster *c, int node, struct objid id,
		  enum plant kind)
{
	c->damaged = true;
	return plant(c->nodes[node].tree, id, kind);
}


/* Which of the first two nodes repairs: that of the lower origin. */
static int repairer(struct cluster *c)
{
	return replica_origin(c->nodes[0].tree) <
			       replica_origin(c->nodes[1].tree)
		       ? 0
		       : 1;
}

static void ask(struct cluster *c, int node)
{
	core_verify_begin(c->nodes[node].core, c->now_ms);
	node_poke(&c->nodes[node]);
	go_quiet(c);
	core_verify_end(c->nodes[node].core);
}

static void damage_and_repair(int nodes, int at, enum plant kind)
{
	struct core_counters n, before;
	struct cluster c;
	char name[16];
	int who;

	nodes_open(&c, nodes_options(nodes, 10 + (uint64_t)kind));
	for (int i = 1; i < nodes; i++)
		cluster_connect(&c, i - 1, i);
	for (int i = 0; i < 30; i++) {
		snprintf(name, sizeof(name), "f%d", i);
		write_file(&c, i % nodes, name, name);
	}
	go_quiet(&c);
	write_file(&c, 0, "f7", "newer");
	go_quiet(&c);
	assert_equal(&c);
	before = counters(&c);
	/* at 0: on who repairs, 1: on the other. */
	who = nodes > 2 ? at : at ^ repairer(&c);
	assert_int_equal(damage(&c, who, object_at(&c, who, "f7"), kind),
			 0);
	cluster_check_nodes(&c); /* nothing that one node sees alone */
	assert_false(shows(&c, who, "f7", "newer") &&
		     kind != PLANT_VERSION_LOST);

	ask(&c, nodes > 2); /* one that is linked to all */
	n = counters(&c);
	assert_true(n.divergences > before.divergences);
	assert_true(n.repaired > before.repaired);
	if (nodes == 2) {
		assert_int_equal(n.repaired, before.repaired + 1);
		assert_int_equal(counters_of(&c, !repairer(&c)).repaired, 0);
	}
	assert_equal(&c);
	for (int i = 0; i < nodes; i++) {
		assert_true(shows(&c, i, "f7", "newer"));
		assert_true(shows(&c, i, "f8", "f8"));
		assert_int_equal(tree_conflict_count(c.nodes[i].tree), 0);
	}
	/* And it is quiet again. */
	ask(&c, nodes > 2);
	assert_int_equal(counters(&c).divergences, n.divergences);
	nodes_close(&c);
}

static void test_lost_rows(void **state)
{
	(void)state;
	for (int at = 0; at < 2; at++)
		for (int kind = 0; kind < PLANT_KINDS; kind++)
			damage_and_repair(2, at, (enum plant)kind);
}

static void test_in_a_chain(void **state)
{
	(void)state;
	for (int at = 0; at < 3; at++)
		for (int kind = 0; kind < PLANT_KINDS; kind++)
			damage_and_repair(3, at, (enum plant)kind);
}

/* Three questions, then the rows: and only by who repairs. */
static void test_three_round_trips(void **state)
{
	struct core_counters before, after;
	struct core_proof proof;
	struct cluster c;
	struct objid id;
	char name[16];
	int who;

	(void)state;
	nodes_open(&c, nodes_options(2, 5));
	cluster_connect(&c, 0, 1);
	for (int i = 0; i < 3000; i++) {
		snprintf(name, sizeof(name), "f%d", i);
		write_file(&c, 0, name, name);
	}
	go_quiet(&c);
	who = repairer(&c);
	before = counters_of(&c, who);
	id = object_at(&c, !who, "f1234");
	assert_int_equal(damage(&c, !who, id, PLANT_NAMES_LOST), 0);
	ask(&c, who);
	after = counters_of(&c, who);
	assert_int_equal(after.divergences - before.divergences, 1);
	assert_int_equal(after.verify_rounds - before.verify_rounds, 3 + 1);
	assert_int_equal(after.repaired - before.repaired, 1);
	assert_int_equal(core_proofs(c.nodes[who].core, 0, &proof, 1), 1);
	assert_int_equal(proof.state, CORE_PROOF_EQUAL);
	assert_true(proof.current && proof.fresh && proof.repaired);
	assert_int_equal(proof.differing_count, 1);
	assert_true(objid_equal(proof.differing[0], id));
	assert_true(shows(&c, 0, "f1234", "f1234"));
	assert_true(shows(&c, 1, "f1234", "f1234"));
	assert_equal(&c);
	nodes_close(&c);
}

/* A next change, of anything, shows it without being asked. */
static void test_found_by_itself(void **state)
{
	struct cluster c;

	(void)state;
	nodes_open(&c, nodes_options(2, 6));
	cluster_connect(&c, 0, 1);
	write_file(&c, 0, "x", "text");
	go_quiet(&c);
	assert_int_equal(damage(&c, 1, object_at(&c, 1, "x"),
			       PLANT_ROW_LOST),
			 0);
	write_file(&c, 1, "y", "other");
	go_quiet(&c);
	assert_int_equal(counters(&c).repaired, 1);
	assert_true(shows(&c, 1, "x", "text"));
	assert_equal(&c);
	nodes_close(&c);
}

/* What is dead on both sides does not count, however it differs: nothing of
 * it is shown, and purges may come at any time. */
static void test_dead_rows(void **state)
{
	struct cluster c;
	struct objid x, y;

	(void)state;
	nodes_open(&c, nodes_options(3, 7));
	cluster_connect(&c, 0, 1);
	cluster_connect(&c, 0, 2);
	write_file(&c, 0, "x", "text");
	write_file(&c, 0, "y", "text");
	go_quiet(&c);
	/* A member that is away: what is dead stays. */
	node_kill(&c.nodes[2], 3600000);
	x = object_at(&c, 0, "x");
	y = object_at(&c, 0, "y");
	assert_int_equal(tree_unlink(c.nodes[0].tree, TREE_ROOT_INO,
				     SLICE_STR("x")),
			 0);
	node_poke(&c.nodes[0]);
	go_quiet(&c);
	assert_int_equal(damage(&c, 1, x, PLANT_VERSION_LOST), 0);
	assert_int_equal(damage(&c, 0, y, PLANT_NAMES_LOST), 0);
	assert_int_equal(damage(&c, 1, y, PLANT_CONTENT_LOST), 0);
	ask(&c, 0);
	assert_int_equal(counters(&c).divergences, 0);
	assert_false(shows(&c, 0, "y", "text"));
	assert_equal(&c);
	/* Dead here, live there: that is a difference. */
	write_file(&c, 0, "z", "text");
	go_quiet(&c);
	x = object_at(&c, 0, "z");
	assert_int_equal(damage(&c, 0, x, PLANT_CONTENT_LOST), 0);
	ask(&c, 1);
	assert_int_equal(counters(&c).repaired, 1);
	assert_true(shows(&c, 0, "z", "text"));
	assert_equal(&c);
	nodes_close(&c);
}

/* More than one round takes, and more rounds than a minute allows. */
static void test_many(void **state)
{
	struct core_counters n;
	struct cluster c;
	char name[16];

	(void)state;
	nodes_open(&c, nodes_options(2, 8));
	cluster_connect(&c, 0, 1);
	for (int i = 0; i < 500; i++) {
		snprintf(name, sizeof(name), "f%d", i);
		write_file(&c, 0, name, name);
	}
	go_quiet(&c);
	for (int i = 0; i < 500; i++) {
		snprintf(name, sizeof(name), "f%d", i);
		assert_int_equal(damage(&c, 1, object_at(&c, 1, name),
				       PLANT_ROW_LOST),
				 0);
	}
	core_verify_begin(c.nodes[0].core, c.now_ms);
	core_verify_end(c.nodes[0].core);
	node_poke(&c.nodes[0]);
	cluster_run(&c, c.now_ms + 20000);
	n = counters(&c);
	/* The guard: four rounds, and it is only told. */
	assert_true(n.repaired > 0 && n.repaired <= 4 * VERIFY_ROWS_MAX);
	/* Each minute some more, with each question. */
	for (int i = 0; i < 10; i++) {
		cluster_run(&c, c.now_ms + 61000);
		ask(&c, i % 2);
	}
	assert_int_equal(counters(&c).repaired, 500);
	for (int i = 0; i < 500; i++) {
		snprintf(name, sizeof(name), "f%d", i);
		assert_true(shows(&c, 1, name, name));
	}
	assert_equal(&c);
	nodes_close(&c);
}

/* Changes that go on while it is searched: nothing is repaired that is only
 * behind. */
static void test_busy(void **state)
{
	struct cluster c;
	char name[16];

	(void)state;
	nodes_open(&c, nodes_options(2, 9));
	cluster_connect(&c, 0, 1);
	write_file(&c, 0, "x", "text");
	go_quiet(&c);
	assert_int_equal(damage(&c, 0, object_at(&c, 0, "x"),
			       PLANT_ROW_LOST),
			 0);
	for (int i = 0; i < 400; i++) {
		snprintf(name, sizeof(name), "f%d", i % 50);
		write_file(&c, i % 2, name, name);
		core_verify_begin(c.nodes[i % 2].core, c.now_ms);
		core_verify_end(c.nodes[i % 2].core);
		node_poke(&c.nodes[i % 2]);
		cluster_run(&c, c.now_ms + (uint64_t)(i * 7 % 60));
	}
	go_quiet(&c);
	assert_int_equal(counters(&c).repaired, 1);
	assert_true(shows(&c, 0, "x", "text"));
	assert_equal(&c);
	nodes_close(&c);
}

/* ---- frames */

static void assert_verify(struct verify *v, const char *golden)
{
	cleanup(buf_release) struct buf b = BUF_INIT, again = BUF_INIT;
	struct reader r;
	struct verify back;

	memset(v->mark.b, 0x4b, sizeof(v->mark.b));
	frame_begin(&b, FRAME_VERIFY);
	verify_encode(v, &b);
	assert_int_equal(frame_end(&b), 0);
	assert_golden(golden, buf_slice(&b));
	r = READER(b.data + 5, b.len - 5);
	assert_int_equal(verify_decode(&r, &back), 0);
	frame_begin(&again, FRAME_VERIFY);
	verify_encode(&back, &again);
	assert_int_equal(frame_end(&again), 0);
	assert_true(slice_equal(buf_slice(&b), buf_slice(&again)));
	for (size_t len = 0; len < b.len - 5; len++) {
		r = READER(b.data + 5, len);
		assert_int_equal(verify_decode(&r, &back), -EBADMSG);
	}
}

static void test_frames(void **state)
{
	struct verify v = {.level = SUMS_ROOT,
			   .ask = true,
			   .root = {{1, 2, 3, 4}, 1000000}};
	cleanup(know_release) struct know k = test_know(7, 3, 9, 4, 0);
	struct hash a, b;

	(void)state;
	assert_verify(&v, "wire-verify-root.hex");
	v = (struct verify){.level = SUMS_PARENTS};
	assert_verify(&v, "wire-verify-parents.hex");
	v = (struct verify){
		.level = SUMS_LEAVES, .count = 2, .parents = {3, 255}};
	assert_verify(&v, "wire-verify-leaves.hex");
	v = (struct verify){
		.level = SUMS_OBJECTS, .count = 2, .leaves = {3, 65535}};
	assert_verify(&v, "wire-verify-objects.hex");
	v = (struct verify){
		.level = SUMS_ROWS, .count = 1, .ids = {{{1, 2, 3}}}};
	assert_verify(&v, "wire-verify-rows.hex");
	assert_int_equal(know_mark(&k, &a), 0);
	assert_int_equal(know_set(&k, 9, 5), 0);
	assert_int_equal(know_mark(&k, &b), 0);
	assert_false(hash_equal(&a, &b));
}

static void test_frames_over_limits(void **state)
{
	static const struct {
		uint8_t level, count;
	} bad[] = {{SUMS_LEAVES, 0},
		   {SUMS_LEAVES, VERIFY_PARENTS_MAX + 1},
		   {SUMS_OBJECTS, VERIFY_LEAVES_MAX + 1},
		   {SUMS_ROWS, VERIFY_ROWS_MAX + 1},
		   {SUMS_ROWS + 1, 1}};
	uint8_t bytes[2048] = {0};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct reader r = READER(bytes, sizeof(bytes));
		struct verify v;

		bytes[32] = bad[i].level;
		bytes[33] = bad[i].count;
		assert_int_equal(verify_decode(&r, &v), -EBADMSG);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_said_once),
		cmocka_unit_test(test_not_while_behind),
		cmocka_unit_test(test_lost_rows),
		cmocka_unit_test(test_in_a_chain),
		cmocka_unit_test(test_three_round_trips),
		cmocka_unit_test(test_found_by_itself),
		cmocka_unit_test(test_dead_rows),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_busy),
		cmocka_unit_test(test_frames),
		cmocka_unit_test(test_frames_over_limits),
	};

	log_set_level(LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
