/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kin-sim [--seeds FROM..TO] [--seed N] [--trace]
 *
 * Each seed is one history: 2-5 nodes in some topology, programs that use
 * the files, links that fall, partitions, nodes that are killed. Then all
 * is mended, the cluster runs until it is quiet, and everything must be
 * equal, complete, and nothing lost. One seed in twenty runs twice, and must
 * go the same way.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fs/base/log.h"
#include "tests/sim/ops.h"

/* Longest time to become quiet, simulated: several PING and retry times. */
#define QUIET_LIMIT_MS (20 * 60 * 1000)
#define QUIET_MS 20000

struct run {
	uint64_t seed;
	bool trace;
	uint64_t hash; /* out: of all that happened */
	uint64_t ops, frames;
	char failure[512];
};

static void look(void *arg, struct node *n, bool local)
{
	struct truth *t = arg;

	if (n->running && !cluster_failed(t->cluster))
		truth_look(t, n, local);
}

static void make_topology(struct cluster *c)
{
	int n = c->node_count;
	uint64_t kind = rng_below(&c->rng, 5);
	static const char *const names[] = {"chain", "ring", "star",
					    "all to all", "random"};

	cluster_say(c, "%d nodes, %s", n, names[kind]);
	for (int i = 1; i < n; i++) {
		switch (kind) {
		case 0:
		case 1:
			cluster_connect(c, i - 1, i);
			break;
		case 2:
			cluster_connect(c, 0, i);
			break;
		case 3:
			for (int k = 0; k < i; k++)
				cluster_connect(c, k, i);
			break;
		default:
			/* A tree, and some more. */
			cluster_connect(c, (int)rng_below(&c->rng, (uint64_t)i),
					i);
			if (rng_one_in(&c->rng, 2))
				cluster_connect(
					c, (int)rng_below(&c->rng, (uint64_t)i),
					i);
		}
	}
	if (kind == 1 && n > 2)
		cluster_connect(c, 0, n - 1);
}

static void make_fault(struct cluster *c, struct ops *o)
{
	int a = (int)rng_below(&c->rng, (uint64_t)c->node_count);
	int b = (int)rng_below(&c->rng, (uint64_t)c->node_count);
	uint64_t kind = rng_below(&c->rng, 10);

	if (kind < 3 && c->nodes[a].running) {
		ops_forget(o, a);
		node_kill(&c->nodes[a], rng_below(&c->rng, 3000));
	} else if (kind < 5 && a != b) {
		cluster_cut(c, a, b);
	} else if (kind < 8 && a != b) {
		cluster_mend(c, a, b);
	} else if (kind == 8) {
		/* A partition: the first so many on one side. */
		for (int i = 0; i < a; i++)
			for (int k = a; k < c->node_count; k++)
				cluster_cut(c, i, k);
	} else {
		/* A link that only stumbles. */
		if (a != b) {
			cluster_cut(c, a, b);
			cluster_mend(c, a, b);
		}
	}
}

static void live(struct cluster *c, struct ops *o)
{
	uint64_t steps = rng_between(&c->rng, 40, 200);
	uint64_t pace = rng_one_in(&c->rng, 3) ? 20 : 300;
	uint64_t calm = rng_one_in(&c->rng, 4) ? 1000 : 12;

	for (uint64_t i = 0; i < steps && !cluster_failed(c); i++) {
		ops_step(o);
		if (rng_one_in(&c->rng, calm))
			make_fault(c, o);
		cluster_run(c, c->now_ms + rng_below(&c->rng, pace));
		if (rng_one_in(&c->rng, 25)) {
			cluster_check_equal(c, false);
			cluster_check_nodes(c);
		}
	}
}

static void heal(struct cluster *c)
{
	for (int a = 0; a < c->node_count; a++) {
		struct node *n = &c->nodes[a];

		if (!n->running)
			n->start_ms = MIN_OF(n->start_ms, c->now_ms + 10);
		for (int b = a + 1; b < c->node_count; b++)
			cluster_mend(c, a, b);
	}
	cluster_say(c, "healed");
}

static void settle(struct cluster *c, struct ops *o, struct truth *t)
{
	uint64_t quiet_since;

	ops_close_all(o);
	heal(c);
	if (!cluster_run_quiet(c, QUIET_MS, QUIET_LIMIT_MS))
		cluster_fail(c, "does not become quiet");
	if (cluster_failed(c))
		return;
	cluster_check_equal(c, true);
	cluster_check_nodes(c);
	ops_check_bytes(o);
	truth_check(t);
	if (!cluster_wait(c, (int)rng_below(&c->rng, (uint64_t)c->node_count),
			  30000))
		cluster_fail(c, "a wait does not end");
	cluster_run(c, c->now_ms + 2000);
	quiet_since = c->last_busy_ms;
	cluster_run(c, c->now_ms + 60000);
	if (c->last_busy_ms != quiet_since)
		cluster_fail(c, "not quiet when idle");
	cluster_check_equal(c, true);
}

static void run_once(struct run *run, const char *dir)
{
	struct cluster_options o = {
		.seed = run->seed, .dir = dir, .trace = run->trace};
	struct cluster *c = malloc(sizeof(*c));
	struct truth truth;
	struct ops ops;
	struct rng rng;

	kin_assert(c);
	rng_init(&rng, run->seed);
	o.nodes = rng_one_in(&rng, 3) ? 2 : (int)rng_between(&rng, 3, 5);
	o.mounts = rng_one_in(&rng, 2);
	o.delay_max = rng_one_in(&rng, 3) ? 300 : 20;
	o.bandwidth = rng_one_in(&rng, 3) ? 20 : 5000;
	truth_init(&truth, c);
	if (cluster_open(c, &o)) {
		c->on_change = look;
		c->on_change_arg = &truth;
		ops_init(&ops, c, &truth, run->seed);
		for (int i = 0; i < c->node_count; i++) {
			c->nodes[i].skew_ms =
				rng_one_in(&rng, 4)
					? (int64_t)rng_below(&rng, 600000) -
						  300000
					: 0;
			look(&truth, &c->nodes[i], true);
		}
		make_topology(c);
		live(c, &ops);
		if (!cluster_failed(c))
			settle(c, &ops, &truth);
		run->ops = ops.done;
	}
	run->hash = c->trace_hash;
	run->frames = c->frames;
	memcpy(run->failure, c->failure, sizeof(run->failure));
	truth_release(&truth);
	cluster_close(c);
	free(c);
}

static bool run_seed(uint64_t seed, bool trace, const char *dir)
{
	struct run first = {.seed = seed, .trace = trace};

	run_once(&first, dir);
	if (!first.failure[0] && seed % 20 == 0) {
		struct run second = {.seed = seed};

		run_once(&second, dir);
		if (second.hash != first.hash)
			snprintf(first.failure, sizeof(first.failure),
				 "two runs of it differ");
	}
	if (trace)
		printf("%llu operations, %llu frames\n",
		       (unsigned long long)first.ops,
		       (unsigned long long)first.frames);
	if (!first.failure[0])
		return true;
	printf("FAIL seed %llu: %s\n     kin-sim --seed %llu --trace\n",
	       (unsigned long long)seed, first.failure,
	       (unsigned long long)seed);
	fflush(stdout);
	return false;
}

static void usage(void)
{
	fputs("usage: kin-sim [--seeds FROM..TO] [--seed N] [--trace]\n",
	      stderr);
	exit(2);
}

static uint64_t number(const char *text, char **end)
{
	uint64_t n;

	errno = 0;
	n = strtoull(text, end, 10);
	if (errno || *end == text || text[0] == '-')
		usage();
	return n;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"seeds", required_argument, NULL, 's'},
		{"seed", required_argument, NULL, 'n'},
		{"trace", no_argument, NULL, 't'},
		{NULL, 0, NULL, 0},
	};
	uint64_t from = 1, to = 100, failed = 0, count = 0;
	bool trace = false;
	char dir[300], *end;
	const char *base = getenv("TMPDIR");
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 's':
			from = number(optarg, &end);
			if (strncmp(end, "..", 2))
				usage();
			to = number(end + 2, &end);
			if (*end || to < from)
				usage();
			break;
		case 'n':
			from = to = number(optarg, &end);
			if (*end)
				usage();
			break;
		case 't':
			trace = true;
			break;
		default:
			usage();
		}
	}
	if (optind < argc)
		usage();
	if (access("/dev/shm", W_OK) == 0)
		base = "/dev/shm";
	snprintf(dir, sizeof(dir), "%s/kin-sim-%d", base ? base : "/tmp",
		 (int)getpid());
	/* Its logs of lost links are no news here. */
	log_set_level(LOG_LEVEL_ERROR);
	for (uint64_t seed = from; seed <= to; seed++, count++)
		failed += !run_seed(seed, trace, dir);
	printf("seeds=%llu failed=%llu\n", (unsigned long long)count,
	       (unsigned long long)failed);
	return failed ? 1 : 0;
}
