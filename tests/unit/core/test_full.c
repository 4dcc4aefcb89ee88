/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Deletion to the end, on the simulator's cluster: members that lapse and
 * return, full streams and what absence means in them, members that are
 * removed. In one operation's slices of one row, and with kills between them.
 */
#include "tests/unit/core/nodes_support.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "fs/base/log.h"

/* Time heard until a member lapses; quiet times are longer. */
#define LAPSE_MS 3000

/* All to all: 0 is the founder. */
static void open_with(struct cluster *c, int nodes, size_t slice_rows,
		      uint64_t lapse_ms)
{
	struct cluster_options o = nodes_options(nodes, 11);

	o.small_rows = o.slice_rows = slice_rows;
	o.lapse_after_ms = lapse_ms;
	o.purge_settle_ms = 50;
	/* (each costs signatures) */
	o.heartbeat_ms = lapse_ms > LAPSE_MS ? lapse_ms / 60 : 0;
	nodes_open(c, o);
	for (int a = 0; a < nodes; a++)
		for (int b = a + 1; b < nodes; b++)
			cluster_connect(c, a, b);
}

static void open_nodes(struct cluster *c, int nodes, size_t slice_rows)
{
	open_with(c, nodes, slice_rows, LAPSE_MS);
}

static bool is_applying(struct cluster *c)
{
	for (int i = 0; i < c->node_count; i++)
		if (c->nodes[i].running && core_is_applying(c->nodes[i].core))
			return true;
	return false;
}

static void quiet(struct cluster *c)
{
	/* (who applies a cut says nothing meanwhile) */
	do
		assert_true(cluster_run_quiet(c, 4000, 300000));
	while (is_applying(c));
	cluster_check_nodes(c);
	if (cluster_failed(c))
		fail_msg("%s", c->failure);
}

static void assert_equal(struct cluster *c)
{
	quiet(c);
	cluster_check_equal(c, true);
	if (cluster_failed(c))
		fail_msg("%s", c->failure);
}

/* ---- what programs do */

static void change_mode(struct cluster *c, int node, const char *path)
{
	struct tree_setattr s = {.set = TREE_SET_MODE, .perm = 0700};
	struct attr attr;

	assert_int_equal(tree_setattr(c->nodes[node].tree, at(c, node, path),
				      &s, &attr), 0);
	node_poke(&c->nodes[node]);
}

/* ---- facts */

/* Of all rows, dead ones too. */
static uint64_t rows(struct cluster *c, int node)
{
	struct tree_statfs s;

	tree_statfs(c->nodes[node].tree, &s);
	return s.objects;
}

static struct core_peer_status peer(struct cluster *c, int node, int of)
{
	struct core_peer_status all[CLUSTER_NODES_MAX];
	size_t n = core_peers(c->nodes[node].core, all, CLUSTER_NODES_MAX);

	for (size_t i = 0; i < n; i++)
		if (device_equal(&all[i].device, &c->nodes[of].device))
			return all[i];
	fail_msg("no such peer");
	return all[0];
}

static void isolate(struct cluster *c, int node)
{
	for (int i = 0; i < c->node_count; i++)
		if (i != node)
			cluster_cut(c, i, node);
}

static void bring_home(struct cluster *c, int node)
{
	for (int i = 0; i < c->node_count; i++)
		if (i != node)
			cluster_mend(c, i, node);
}

/* The others hear each other until they no longer wait for it. */
static void let_lapse(struct cluster *c, int node)
{
	int by = node ? 0 : 1;

	for (int i = 0; i < 20 && !peer(c, by, node).lapsed; i++) {
		write_file(c, by, "tick", "x");
		cluster_run(c, c->now_ms + LAPSE_MS / 2);
		remove_path(c, by, "tick");
		cluster_run(c, c->now_ms + LAPSE_MS / 2);
	}
	assert_true(peer(c, by, node).lapsed);
	quiet(c);
}

/* ---- who is waited for */

static void test_absent_member_holds(void **state)
{
	struct cluster c;
	uint64_t before;

	(void)state;
	open_nodes(&c, 3, 0);
	write_file(&c, 0, "doc", "text");
	quiet(&c);
	before = rows(&c, 0);
	isolate(&c, 2);
	remove_path(&c, 0, "doc");
	cluster_run(&c, c.now_ms + LAPSE_MS / 3);
	/* 1 has acknowledged it, 2 has not. */
	assert_int_equal(rows(&c, 0), before);
	assert_int_equal(rows(&c, 1), before);
	assert_false(peer(&c, 0, 2).lapsed);
	bring_home(&c, 2);
	assert_equal(&c);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(rows(&c, i), before - 1);
		assert_int_equal(counters_of(&c, i).rows_purged, 1);
		assert_int_equal(counters_of(&c, i).fulls_received, 0);
	}
	nodes_close(&c);
}

/*
 * All have acknowledged the removal, but not all that they knew then is
 * here: 2 edited the file before it heard of it.
 */
static void test_two_phases(void **state)
{
	struct cluster c;

	(void)state;
	open_nodes(&c, 3, 0);
	cluster_disconnect(&c, 0, 2);
	write_file(&c, 0, "doc", "text");
	quiet(&c);
	/* What 2 writes reaches nobody; what it acknowledges does not either,
	 * until both come at once. */
	cluster_deafen(&c, 2, 1);
	write_file(&c, 2, "doc", "edited");
	remove_path(&c, 0, "doc");
	cluster_run(&c, c.now_ms + 1000);
	cluster_mend(&c, 1, 2);
	assert_equal(&c);
	for (int i = 0; i < 3; i++)
		assert_true(shows(&c, i, "doc", "edited"));
	nodes_close(&c);
}

/*
 * The same at the very instant: 0 has heard that 2 acknowledged its removal,
 * and that 2 has something more. It must not purge before it has that.
 */
static void test_waits_for_what_they_knew(void **state)
{
	struct cluster c;
	uint64_t limit;

	(void)state;
	open_nodes(&c, 3, 0);
	cluster_disconnect(&c, 0, 2);
	write_file(&c, 0, "doc", "text");
	write_file(&c, 0, "other", "text");
	quiet(&c);
	cluster_cut(&c, 1, 2);
	write_file(&c, 2, "doc", "edited");
	remove_path(&c, 0, "doc");
	remove_path(&c, 0, "other");
	cluster_run(&c, c.now_ms + 500);
	cluster_mend(&c, 1, 2);
	limit = c.now_ms + 5000;
	while (peer(&c, 0, 2).behind.changes || !peer(&c, 0, 2).ahead.changes) {
		assert_true(c.now_ms < limit);
		cluster_run(&c, c.now_ms + 1);
	}
	cluster_cut(&c, 0, 1);
	cluster_run(&c, c.now_ms + 1000);
	assert_int_equal(counters_of(&c, 0).rows_purged, 0);
	cluster_mend(&c, 0, 1);
	assert_equal(&c);
	assert_int_equal(counters_of(&c, 0).rows_purged, 1);
	for (int i = 0; i < 3; i++)
		assert_true(shows(&c, i, "doc", "edited"));
	nodes_close(&c);
}

/* What was heard is remembered, to the hour: who restarts each few hours
 * does not begin to wait again. */
static void heard_through_restarts(bool chain)
{
	const uint64_t hour = 3600 * 1000;
	struct cluster c;
	uint64_t waited = 0, before;

	open_with(&c, 3, 0, 10 * hour);
	if (chain)
		cluster_disconnect(&c, 0, 2);
	write_file(&c, 0, "doc", "text");
	quiet(&c);
	before = rows(&c, 0);
	isolate(&c, 2);
	remove_path(&c, 0, "doc");
	while (!peer(&c, 0, 2).lapsed) {
		/* (an hour counts as one at most: there must be talk) */
		for (int k = 0; k < 10; k++) {
			write_file(&c, 1, "tick", "x");
			cluster_run(&c, c.now_ms + hour / 8);
			remove_path(&c, 1, "tick");
			cluster_run(&c, c.now_ms + hour / 8);
		}
		waited += 10 * hour / 4;
		assert_true(waited < 30 * hour);
		node_kill(&c.nodes[0], 10);
		cluster_run(&c, c.now_ms + 1000);
	}
	/* Not before its time; and of each life an hour at most is lost. */
	assert_in_range(waited, 10 * hour, 20 * hour);
	quiet(&c);
	assert_int_equal(rows(&c, 0), before - 1);
	bring_home(&c, 2);
	assert_equal(&c);
	nodes_close(&c);
}

static void test_heard_through_restarts(void **state)
{
	(void)state;
	heard_through_restarts(false);
}

/* Nor does who hears of the absent one from another only: after each start
 * its last STATUS comes from there, and is no sign of life. */
static void test_heard_of_through_restarts(void **state)
{
	(void)state;
	heard_through_restarts(true);
}

/* ---- lapse and return */

static void fill(struct cluster *c)
{
	make_dir(c, 0, "keep");
	write_file(c, 0, "keep/same", "same");
	make_dir(c, 0, "gone");
	make_dir(c, 0, "gone/sub");
	write_file(c, 0, "gone/dead", "dead");
	write_file(c, 0, "gone/sub/edited", "old");
	write_file(c, 0, "gone/touched", "old");
	write_file(c, 0, "moved", "moved");
	write_file(c, 0, "removed", "removed");
	make_dir(c, 0, "other");
	write_file(c, 0, "other/inside", "inside");
	quiet(c);
}

static void remove_elsewhere(struct cluster *c)
{
	remove_path(c, 0, "gone/dead");
	remove_path(c, 0, "gone/touched");
	remove_path(c, 0, "gone/sub/edited");
	remove_path(c, 0, "gone/sub");
	remove_path(c, 0, "gone");
	remove_path(c, 0, "removed");
	remove_path(c, 0, "other/inside");
	remove_path(c, 0, "other");
}

/* What it did while it was away. */
static void work_alone(struct cluster *c, int node)
{
	write_file(c, node, "gone/sub/edited", "new");
	change_mode(c, node, "gone/touched");
	write_file(c, node, "gone/created", "created");
	move(c, node, "moved", "other/moved");
}

static void expect_home(struct cluster *c, int nodes)
{
	for (int i = 0; i < nodes; i++) {
		assert_true(shows(c, i, "keep/same", "same"));
		/* What was done to it stays, in its directories. */
		assert_true(shows(c, i, "gone/sub/edited", "new"));
		assert_true(shows(c, i, "gone/created", "created"));
		assert_true(shows(c, i, "other/moved", "moved"));
		/* What was removed does not come back: not by attributes. */
		assert_false(is_there(c, i, "gone/dead"));
		assert_false(is_there(c, i, "gone/touched"));
		assert_false(is_there(c, i, "removed"));
		assert_false(is_there(c, i, "other/inside"));
		assert_false(is_there(c, i, "moved"));
	}
}

/* A name that was removed is not written again: what an edit keeps is weak,
 * so that a removal that has seen it holds. */
static bool only_weak(struct cluster *c, int node, const char *path)
{
	cleanup(object_release) struct object row;
	struct objid id = object_at(c, node, path);
	bool weak = true;

	store_lock(c->nodes[node].store);
	assert_int_equal(replica_row_load(c->nodes[node].tree, id, &row), 0);
	store_unlock(c->nodes[node].store);
	for (size_t i = 0; i < row.count; i++)
		weak &= row.versions[i].reg != REG_LINK ||
			row.versions[i].flags & VERSION_WEAK;
	return weak;
}

static void lapse_and_return(size_t slice_rows, int kills)
{
	struct cluster c;

	open_nodes(&c, 3, slice_rows);
	fill(&c);
	isolate(&c, 2);
	work_alone(&c, 2);
	remove_elsewhere(&c);
	let_lapse(&c, 2);
	assert_true(counters_of(&c, 0).rows_purged >= 8);
	bring_home(&c, 2);
	for (int k = 0; k < kills; k++) {
		uint64_t limit = c.now_ms + 60000;

		while (!core_is_applying(c.nodes[2].core) && c.now_ms < limit)
			cluster_run(&c, c.now_ms + 1);
		cluster_run(&c, c.now_ms + (uint64_t)k * 37);
		node_kill(&c.nodes[2], 10);
		cluster_run(&c, c.now_ms + 20);
	}
	assert_equal(&c);
	expect_home(&c, 3);
	assert_true(only_weak(&c, 0, "gone/sub/edited"));
	assert_true(only_weak(&c, 0, "gone/sub"));
	assert_true(only_weak(&c, 0, "gone"));
	assert_true(only_weak(&c, 0, "other"));
	if (!kills)
		assert_int_equal(counters_of(&c, 2).fulls_received, 1);
	assert_int_equal(counters_of(&c, 0).fulls_received, 0);
	assert_false(peer(&c, 0, 2).lapsed);
	/* Nobody is below anybody's horizon any more. */
	write_file(&c, 2, "keep/same", "after");
	assert_equal(&c);
	assert_true(shows(&c, 0, "keep/same", "after"));
	assert_int_equal(counters_of(&c, 0).fulls_received, 0);
	nodes_close(&c);
}

static void test_lapse_and_return(void **state)
{
	(void)state;
	lapse_and_return(0, 0);
	lapse_and_return(1, 0);
	lapse_and_return(2, 0);
}

static void test_killed_while_applying(void **state)
{
	(void)state;
	for (int kills = 1; kills <= 12; kills++)
		lapse_and_return(1, kills);
}

/* Half of a full stream is staged when the link falls; then something of that
 * half is removed, and purged, as nobody waits for who is away so long. */
static void test_purged_since_it_was_staged(void **state)
{
	char text[3000];
	uint64_t limit, had;
	struct cluster c;
	struct rng rng;

	(void)state;
	rng_init(&rng, 1);
	open_nodes(&c, 3, 1);
	write_file(&c, 0, "victim", "alive");
	for (int i = 0; i < 30; i++) {
		char name[16];

		for (size_t k = 0; k < sizeof(text) - 1; k++)
			text[k] = (char)('!' + rng_below(&rng, 90));
		text[sizeof(text) - 1] = '\0';
		snprintf(name, sizeof(name), "file%d", i);
		write_file(&c, 0, name, text);
	}
	quiet(&c);
	isolate(&c, 2);
	remove_path(&c, 0, "file0");
	let_lapse(&c, 2);
	cluster_mend(&c, 0, 2);
	limit = c.now_ms + 20000;
	while (!cluster_wire(&c, 0, 2)->up) {
		assert_true(c.now_ms < limit);
		cluster_run(&c, c.now_ms + 1);
	}
	cluster_lose_after(&c, 0, 2, 40000);
	had = counters_of(&c, 2).rows_received;
	while (counters_of(&c, 2).rows_received < had + 10) {
		assert_true(c.now_ms < limit);
		cluster_run(&c, c.now_ms + 1);
	}
	cluster_cut(&c, 0, 2);
	cluster_run(&c, c.now_ms + 100);
	assert_int_equal(counters_of(&c, 2).fulls_received, 0);
	remove_path(&c, 0, "victim");
	let_lapse(&c, 2);
	assert_true(counters_of(&c, 0).rows_purged >= 2);
	cluster_mend(&c, 0, 2);
	assert_equal(&c);
	assert_int_equal(counters_of(&c, 2).fulls_received, 1);
	for (int i = 0; i < 3; i++)
		assert_false(is_there(&c, i, "victim"));
	assert_int_equal(counters_of(&c, 0).divergences, 0);
	nodes_close(&c);
}

/* One that did nothing: it only forgets. */
static void test_return_with_nothing(void **state)
{
	struct cluster c;

	(void)state;
	open_nodes(&c, 3, 0);
	fill(&c);
	isolate(&c, 2);
	remove_elsewhere(&c);
	let_lapse(&c, 2);
	bring_home(&c, 2);
	assert_equal(&c);
	assert_false(is_there(&c, 2, "gone"));
	assert_false(is_there(&c, 2, "other"));
	assert_true(shows(&c, 2, "keep/same", "same"));
	assert_int_equal(rows(&c, 2), rows(&c, 0));
	nodes_close(&c);
}

/* What was moved away there into a directory that is purged, and removed there,
 * and comes back for something new in it, finds the directory. */
static void returns_into_purged(size_t slice_rows)
{
	struct cluster c;

	open_nodes(&c, 3, slice_rows);
	make_dir(&c, 0, "d");
	make_dir(&c, 0, "d/e");
	make_dir(&c, 0, "x");
	quiet(&c);
	isolate(&c, 2);
	remove_path(&c, 0, "d/e");
	remove_path(&c, 0, "d");
	move(&c, 2, "x", "d/e/x");
	remove_path(&c, 2, "d/e/x");
	let_lapse(&c, 2);
	assert_true(counters_of(&c, 0).rows_purged >= 2);
	write_file(&c, 0, "x/f", "text");
	quiet(&c);
	bring_home(&c, 2);
	assert_equal(&c);
	assert_int_equal(counters_of(&c, 2).fulls_received, 1);
	for (int i = 0; i < 3; i++)
		assert_true(shows(&c, i, "d/e/x/f", "text"));
	nodes_close(&c);
}

static void test_returns_into_purged(void **state)
{
	(void)state;
	returns_into_purged(0);
	returns_into_purged(1);
}

/* It returns to one that has not purged: no full stream, and that one hands
 * its work to those that have. */
/*
 * 2 has heard of a content, whose bytes did not come; what it shows meanwhile
 * gets another name there. The others remove the file, and purge it, for 2
 * lapses. Nobody has the bytes any more: it comes back as 2 showed it.
 */
static void test_renamed_without_its_bytes(void **state)
{
	const struct replica_history_limits none = {0};
	struct replica_debt debt = {0};
	static char text[400001];
	struct cluster c;

	(void)state;
	open_nodes(&c, 3, 64);
	for (int i = 0; i < 3; i++)
		replica_set_history(c.nodes[i].tree, &none);
	for (size_t i = 0; i < sizeof(text) - 1; i++)
		text[i] = (char)('a' + (i * i / 7 + i / 1000) % 26);
	write_file(&c, 0, "f", "old");
	quiet(&c);
	write_file(&c, 0, "f", text);
	for (int i = 0; i < 5000 && !debt.objects; i++) {
		cluster_run(&c, c.now_ms + 1);
		store_lock(c.nodes[2].store);
		assert_int_equal(replica_debt(c.nodes[2].tree, &debt), 0);
		store_unlock(c.nodes[2].store);
	}
	assert_int_equal(debt.objects, 1);
	isolate(&c, 2);
	assert_true(shows(&c, 2, "f", "old"));
	move(&c, 2, "f", "g");
	remove_path(&c, 0, "f");
	let_lapse(&c, 2);
	cluster_give_back(&c);
	bring_home(&c, 2);
	assert_equal(&c);
	for (int i = 0; i < 3; i++) {
		assert_true(shows(&c, i, "g", "old"));
		assert_false(is_there(&c, i, "f"));
	}
	nodes_close(&c);
}

static void test_revived_row_meets_purged(void **state)
{
	struct cluster c;

	(void)state;
	open_nodes(&c, 3, 0);
	fill(&c);
	/* 1 hears of the removals, and then of nothing more. */
	isolate(&c, 2);
	work_alone(&c, 2);
	remove_elsewhere(&c);
	cluster_run(&c, c.now_ms + 500);
	isolate(&c, 1);
	assert_int_equal(counters_of(&c, 1).rows_purged, 0);
	cluster_mend(&c, 1, 2);
	quiet(&c);
	expect_home(&c, 0);
	assert_int_equal(counters_of(&c, 2).fulls_received, 0);
	bring_home(&c, 1);
	bring_home(&c, 2);
	assert_equal(&c);
	expect_home(&c, 3);
	nodes_close(&c);
}

/* What it did comes to 0, where the row is purged, in a cut as it is made: by
 * 1, which has the file open still, and its row. */
static void test_revived_in_a_small_cut(void **state)
{
	struct cluster c;
	uint64_t ino;

	(void)state;
	open_nodes(&c, 3, 0);
	fill(&c);
	ino = at(&c, 1, "gone/sub/edited");
	assert_int_equal(tree_open_file(c.nodes[1].tree, ino, false), 0);
	isolate(&c, 2);
	work_alone(&c, 2);
	remove_elsewhere(&c);
	let_lapse(&c, 2);
	assert_true(rows(&c, 1) > rows(&c, 0));
	cluster_mend(&c, 1, 2);
	cluster_run(&c, c.now_ms + 3000);
	assert_true(shows(&c, 0, "gone/sub/edited", "new"));
	assert_int_equal(counters_of(&c, 0).fulls_received, 0);
	assert_int_equal(counters_of(&c, 2).fulls_received, 1);
	tree_release_file(c.nodes[1].tree, ino, false);
	bring_home(&c, 2);
	assert_equal(&c);
	expect_home(&c, 3);
	nodes_close(&c);
}

/* Local work goes on while a full stream is applied, row by row. */
static void test_work_between_slices(void **state)
{
	struct cluster c;
	uint64_t limit;
	int done = 0;

	(void)state;
	open_nodes(&c, 3, 1);
	fill(&c);
	isolate(&c, 2);
	remove_elsewhere(&c);
	let_lapse(&c, 2);
	bring_home(&c, 2);
	limit = c.now_ms + 60000;
	while (!core_is_applying(c.nodes[2].core) && c.now_ms < limit)
		cluster_run(&c, c.now_ms + 1);
	assert_true(core_is_applying(c.nodes[2].core));
	assert_true(is_there(&c, 2, "gone/sub/edited"));
	while (core_is_applying(c.nodes[2].core) && c.now_ms < limit) {
		bool below = is_there(&c, 2, "gone/sub") && done % 5 == 0;
		char path[32];

		snprintf(path, sizeof(path), "%s/n%d",
			 below ? "gone/sub" : "keep", done++);
		write_file(&c, 2, path, "between");
		cluster_run(&c, c.now_ms + 20);
	}
	assert_true(done > 5);
	assert_equal(&c);
	/* All of it is somewhere, in directories that are. */
	for (int k = 0; k < done; k++) {
		char a[32], b[32];

		snprintf(a, sizeof(a), "gone/sub/n%d", k);
		snprintf(b, sizeof(b), "keep/n%d", k);
		assert_true(shows(&c, 0, a, "between") ||
			    shows(&c, 0, b, "between"));
	}
	assert_true(shows(&c, 0, "gone/sub/n0", "between"));
	assert_false(is_there(&c, 0, "gone/sub/edited"));
	assert_false(is_there(&c, 0, "gone/dead"));
	nodes_close(&c);
}

/* Unsent writes of an open file survive, with the directories above it. */
static void test_open_through_a_full_stream(void **state)
{
	struct cluster c;
	uint64_t ino;
	struct tree *t;

	(void)state;
	open_nodes(&c, 3, 2);
	fill(&c);
	isolate(&c, 2);
	remove_elsewhere(&c);
	let_lapse(&c, 2);
	t = c.nodes[2].tree;
	ino = at(&c, 2, "gone/sub/edited");
	assert_int_equal(tree_open_file(t, ino, true), 0);
	bring_home(&c, 2);
	while (!core_is_applying(c.nodes[2].core))
		cluster_run(&c, c.now_ms + 1);
	assert_int_equal(tree_write(t, ino, 0, SLICE_STR("new"), false), 0);
	while (core_is_applying(c.nodes[2].core))
		cluster_run(&c, c.now_ms + 1);
	assert_false(is_there(&c, 2, "gone"));
	tree_release_file(t, ino, true);
	node_poke(&c.nodes[2]);
	assert_equal(&c);
	for (int i = 0; i < 3; i++) {
		assert_true(shows(&c, i, "gone/sub/edited", "new"));
		assert_false(is_there(&c, i, "gone/dead"));
	}
	nodes_close(&c);
}

/*
 * Two halves that have both given up the other: each has purged what the
 * other does not know to be removed, in directories that it works in.
 */
static void two_halves(size_t slice_rows)
{
	static const char *const dirs[] = {"x", "y"};
	struct cluster c;

	open_nodes(&c, 4, slice_rows);
	for (int k = 0; k < 2; k++) {
		const char *other = dirs[!k];
		char path[16];

		make_dir(&c, 0, dirs[k]);
		snprintf(path, sizeof(path), "%s/deep", dirs[k]);
		make_dir(&c, 0, path);
		snprintf(path, sizeof(path), "%s/deep/old", dirs[k]);
		write_file(&c, 0, path, "old");
		write_file(&c, 0, k ? "b" : "a", other);
	}
	quiet(&c);
	for (int a = 0; a < 2; a++)
		for (int b = 2; b < 4; b++)
			cluster_cut(&c, a, b);
	/* Half k removes directory k, and works in the other. */
	for (int k = 0; k < 2; k++) {
		int node = 2 * k;
		char path[16];

		snprintf(path, sizeof(path), "%s/deep/old", dirs[k]);
		remove_path(&c, node, path);
		snprintf(path, sizeof(path), "%s/deep", dirs[k]);
		remove_path(&c, node, path);
		remove_path(&c, node, dirs[k]);
		snprintf(path, sizeof(path), "%s/deep/moved", dirs[!k]);
		move(&c, node, k ? "b" : "a", path);
		snprintf(path, sizeof(path), "%s/deep/made", dirs[!k]);
		write_file(&c, node, path, "made");
	}
	for (int i = 0; i < 30 && !(peer(&c, 0, 2).lapsed &&
				    peer(&c, 2, 0).lapsed); i++) {
		write_file(&c, 1, "tick", "x");
		write_file(&c, 3, "tack", "x");
		cluster_run(&c, c.now_ms + LAPSE_MS / 2);
		remove_path(&c, 1, "tick");
		remove_path(&c, 3, "tack");
		cluster_run(&c, c.now_ms + LAPSE_MS / 2);
	}
	quiet(&c);
	assert_true(counters_of(&c, 0).rows_purged >= 3);
	assert_true(counters_of(&c, 2).rows_purged >= 3);
	for (int a = 0; a < 2; a++)
		for (int b = 2; b < 4; b++)
			cluster_mend(&c, a, b);
	assert_equal(&c);
	for (int i = 0; i < 4; i++) {
		assert_true(shows(&c, i, "x/deep/moved", "x"));
		assert_true(shows(&c, i, "y/deep/moved", "y"));
		assert_true(shows(&c, i, "x/deep/made", "made"));
		assert_true(shows(&c, i, "y/deep/made", "made"));
		assert_false(is_there(&c, i, "x/deep/old"));
		assert_false(is_there(&c, i, "y/deep/old"));
	}
	nodes_close(&c);
}

static void test_two_halves(void **state)
{
	(void)state;
	two_halves(0);
	two_halves(1);
}

/* ---- members that are removed */

static void remove_member(struct cluster *c, int by, int node)
{
	struct core_member m;

	assert_int_equal(core_remove(c->nodes[by].core, c->now_ms,
				     c->nodes[node].label, &m), 0);
	assert_true(m.removed);
	node_poke(&c->nodes[by]);
}

static void test_removed_member(void **state)
{
	struct cluster c;
	struct core_member m;
	uint64_t before;

	(void)state;
	open_nodes(&c, 4, 0);
	/* 3 is linked to 2 only, and what it writes is passed on. */
	cluster_disconnect(&c, 0, 3);
	cluster_disconnect(&c, 1, 3);
	write_file(&c, 3, "shared", "shared");
	write_file(&c, 0, "doc", "text");
	quiet(&c);
	isolate(&c, 2);
	cluster_mend(&c, 2, 3);
	cluster_run(&c, c.now_ms + 2000);
	write_file(&c, 3, "late", "late");
	cluster_run(&c, c.now_ms + 1000);
	assert_true(shows(&c, 2, "late", "late"));
	/* 0 removes 3 without having its last work; 2 has it. */
	remove_member(&c, 0, 3);
	assert_int_equal(core_remove(c.nodes[0].core, c.now_ms, "node0", &m),
			 -EINVAL);
	assert_int_equal(core_remove(c.nodes[0].core, c.now_ms, "none", &m),
			 -ENOENT);
	assert_true(core_is_removed(c.nodes[0].core, &c.nodes[3].device));
	bring_home(&c, 2);
	cluster_run(&c, c.now_ms + 2000);
	assert_true(core_is_removed(c.nodes[2].core, &c.nodes[3].device));
	assert_true(shows(&c, 0, "late", "late"));
	assert_true(shows(&c, 1, "late", "late"));
	/* Its later work goes nowhere, and nobody waits for it. */
	write_file(&c, 3, "lost", "lost");
	before = rows(&c, 0);
	remove_path(&c, 1, "doc");
	quiet(&c);
	assert_int_equal(rows(&c, 0), before - 1);
	assert_false(is_there(&c, 2, "lost"));
	assert_true(cluster_wait(&c, 0, 10000));
	assert_true(peer(&c, 1, 3).removed);
	assert_false(peer(&c, 1, 3).connected);
	assert_int_equal(core_link_up(c.nodes[1].core, c.now_ms, 9999,
				      &c.nodes[3].device), -EACCES);
	/* It is remembered. */
	node_kill(&c.nodes[2], 10);
	cluster_run(&c, c.now_ms + 1000);
	assert_true(core_is_removed(c.nodes[2].core, &c.nodes[3].device));
	/* 3 heard of it itself, by 2. */
	assert_true(core_is_removed(c.nodes[3].core, &c.nodes[3].device));
	node_kill(&c.nodes[3], 1000000000);
	assert_equal(&c);
	nodes_close(&c);
}

/* A key that was removed is not let in again. */
static void test_removed_key(void **state)
{
	cleanup(buf_release) struct buf records = BUF_INIT;
	char label[LABEL_BYTES_MAX + 1];
	struct cluster c;

	(void)state;
	open_nodes(&c, 3, 0);
	quiet(&c);
	remove_member(&c, 0, 2);
	assert_int_equal(core_admit(c.nodes[0].core, c.now_ms,
				    &c.nodes[2].device, SLICE_STR("again"),
				    label, &records), -EACCES);
	/* Both remove each other, apart: both are out. */
	cluster_cut(&c, 0, 1);
	remove_member(&c, 0, 1);
	remove_member(&c, 1, 0);
	cluster_mend(&c, 0, 1);
	cluster_run(&c, c.now_ms + 3000);
	write_file(&c, 0, "x", "x");
	cluster_run(&c, c.now_ms + 3000);
	assert_false(is_there(&c, 1, "x"));
	nodes_close(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_absent_member_holds),
		cmocka_unit_test(test_two_phases),
		cmocka_unit_test(test_waits_for_what_they_knew),
		cmocka_unit_test(test_heard_through_restarts),
		cmocka_unit_test(test_heard_of_through_restarts),
		cmocka_unit_test(test_lapse_and_return),
		cmocka_unit_test(test_killed_while_applying),
		cmocka_unit_test(test_purged_since_it_was_staged),
		cmocka_unit_test(test_return_with_nothing),
		cmocka_unit_test(test_returns_into_purged),
		cmocka_unit_test(test_renamed_without_its_bytes),
		cmocka_unit_test(test_revived_row_meets_purged),
		cmocka_unit_test(test_revived_in_a_small_cut),
		cmocka_unit_test(test_work_between_slices),
		cmocka_unit_test(test_open_through_a_full_stream),
		cmocka_unit_test(test_two_halves),
		cmocka_unit_test(test_removed_member),
		cmocka_unit_test(test_removed_key),
	};

	log_set_level(LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
