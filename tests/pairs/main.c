/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kin-pairs: all histories of one action on each of two nodes, and with
 * --long of two on one and one on the other, and of one on each of three.
 * No chance, but for object ids: every pair of actions.h, in each order of
 * deliveries, directly and through a relay.
 *
 * With --open a case begins with all sorts of conflicts, and one side at
 * least does something about them: they are settled here while somebody
 * edits a sibling there, and so on; with --long, too, at each of three.
 *
 * A batch that fails runs again, case by case, so that a failure has a name
 * that can be asked for by --case.
 *
 * How long it takes, of one core of 2020 or so: all pairs 53,000 cases and a
 * minute; --open 60,000, six minutes; --long 220,000, a quarter of an hour;
 * --long --open 730,000, seventy minutes; --all 17 million, about 16 hours.
 * --part 3/100 runs the third of a hundred shares, of any of these: so a run
 * can be divided, and gone on with.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "fs/base/log.h"
#include "tests/pairs/batch.h"

#define ACTIONS_TOTAL_MAX 160

/* Cases of a batch where each is large: what is checked is quadratic. */
#define BATCH_OPEN 48

static const char *const route_names[] = {"direct", "relay"};
static const char *const order_names[] = {"up", "down", "crossing"};

/* ---- all of them */

struct campaign {
	char dir[260];
	int only_route, only_order; /* -1: all */
	bool trace;
	uint64_t cases, failed, verdicts[VERDICT_COUNT];
	uint64_t failures_max;
	time_t until; /* 0: no end */
	/* Of the batches of --long only each parts-th is run. */
	uint64_t batch, part, parts;
	bool cut_short;
};

static void print_action(const struct action *a)
{
	printf("%s %s%s%s%s", action_name(a->kind), a->at, a->to ? " " : "",
	       a->to ? a->to : "", a->same ? " (same bytes)" : "");
}

static void say_failure(struct campaign *c, const struct batch *b,
			const struct story *s)
{
	c->failed++;
	printf("FAIL %s, %s: ", route_names[b->route], order_names[b->order]);
	for (int k = 0; k < s->count; k++) {
		printf("%s%c: ", k ? " || " : "", 'A' + s->actor[k]);
		print_action(s->action[k]);
	}
	printf(": %s\n     kin-pairs --case ", b->failure);
	for (int k = 0; k < s->count; k++)
		printf("%s%d:%zu", k ? "," : "", s->actor[k],
		       (size_t)(s->action[k] - actions));
	printf("%s --route %s --order %s --trace\n", s->open ? " --open" : "", route_names[b->route],
	       order_names[b->order]);
	fflush(stdout);
}

/* Each for itself. */
static void run_apart(struct campaign *c, const struct batch *together)
{
	uint64_t failed = c->failed;

	for (size_t i = 0; i < together->count; i++) {
		struct batch one = *together;

		one.stories = &together->stories[i];
		one.count = 1;
		one.failure[0] = '\0';
		batch_run(&one);
		if (one.failure[0])
			say_failure(c, &one, one.stories);
		if (c->failed >= c->failures_max)
			break;
	}
	if (c->failed > failed)
		return;
	printf("(only beside the others of its batch)\n");
	say_failure(c, together,
		    &together->stories[together->failed < together->count
					       ? together->failed
					       : 0]);
}

static void run_batch(struct campaign *c, struct story *stories, size_t count,
		      int actors)
{
	struct batch b = {.stories = stories,
			  .count = count,
			  .actors = actors,
			  .open = count && stories[0].open,
			  .trace = c->trace};

	snprintf(b.dir, sizeof(b.dir), "%s", c->dir);
	if (count && stories[0].count == 2)
		for (int first = 0; first < 2; first++)
			batch_run_in_order(&b, first);
	for (int v = 0; v < ROUTES * ORDERS; v++) {
		b.route = (enum route)(v / ORDERS);
		b.order = (enum order)(v % ORDERS);
		if ((c->only_route >= 0 && c->only_route != (int)b.route) ||
		    (c->only_order >= 0 && c->only_order != (int)b.order) ||
		    c->failed >= c->failures_max)
			continue;
		b.failure[0] = '\0';
		batch_run(&b);
		c->cases += count;
		if (b.failure[0] && count > 1)
			run_apart(c, &b);
		else if (b.failure[0])
			say_failure(c, &b, stories);
	}
	for (int k = 0; k < VERDICT_COUNT; k++)
		c->verdicts[k] += b.verdicts[k];
	batch_release(&b);
}

struct gather {
	struct campaign *campaign;
	struct story stories[BATCH_MAX];
	size_t count;
	int actors;
};

static void gather_run(struct gather *g)
{
	struct campaign *c = g->campaign;

	if (!g->count)
		return;
	if (c->batch++ % c->parts != c->part)
		;
	else if (c->until && time(NULL) > c->until)
		c->cut_short = true;
	else if (c->failed < c->failures_max)
		run_batch(c, g->stories, g->count, g->actors);
	g->count = 0;
}

static void gather_add(struct gather *g, const struct story *s, int actors)
{
	if (g->count == (s->open ? BATCH_OPEN : BATCH_MAX) || (g->count && g->actors != actors))
		gather_run(g);
	g->actors = actors;
	g->stories[g->count++] = *s;
}

static void run_pairs(struct campaign *c)
{
	struct gather g = {.campaign = c};

	for (size_t i = 0; i < action_count; i++)
		for (size_t k = 0; k < action_count; k++) {
			struct story s = {
				.action = {&actions[i], &actions[k]},
				.actor = {0, 1},
				.count = 2,
			};

			if (!actions[i].open && !actions[k].open)
				gather_add(&g, &s, 2);
		}
	gather_run(&g);
}

/* With open conflicts: one side does something about them. */
static void run_open_pairs(struct campaign *c)
{
	struct gather g = {.campaign = c};

	for (size_t i = 0; i < action_count; i++)
		for (size_t k = 0; k < action_count; k++) {
			struct story s = {
				.action = {&actions[i], &actions[k]},
				.actor = {0, 1},
				.count = 2,
				.open = true,
			};

			if (actions[i].open || actions[k].open)
				gather_add(&g, &s, 2);
		}
	gather_run(&g);
}

/* Three branches, and each does something about them. */
static void run_open_triples(struct campaign *c)
{
	struct gather g = {.campaign = c};
	size_t list[ACTIONS_TOTAL_MAX], n = 0;

	for (size_t i = 0; i < action_count; i++)
		if (actions[i].open || actions[i].few)
			list[n++] = i;
	for (size_t x = 0; x < n * n * n; x++) {
		const struct action *a = &actions[list[x / n / n]];
		const struct action *b = &actions[list[x / n % n]];
		struct story s = {
			.action = {a, b, &actions[list[x % n]]},
			.actor = {0, 1, 2},
			.count = 3,
			.open = true,
		};

		if (a->open && b->open)
			gather_add(&g, &s, 3);
	}
	gather_run(&g);
}

/* Of the few, or of all. */
static void run_triples(struct campaign *c, bool all)
{
	static const int who[3][3] = {{0, 0, 1}, {0, 1, 1}, {0, 1, 2}};
	size_t list[ACTIONS_TOTAL_MAX], n = 0;

	for (size_t i = 0; i < action_count; i++)
		if ((all || actions[i].few) && !actions[i].open)
			list[n++] = i;
	for (size_t w = 0; w < 3; w++) {
		struct gather g = {.campaign = c};

		for (size_t x = 0; x < n * n * n; x++) {
			struct story s = {
				.action = {&actions[list[x / n / n]],
					   &actions[list[x / n % n]],
					   &actions[list[x % n]]},
				.actor = {who[w][0], who[w][1], who[w][2]},
				.count = 3,
			};

			gather_add(&g, &s, who[w][2] + 1);
		}
		gather_run(&g);
	}
}

/* ---- the command */

static void usage(void)
{
	fputs("usage: kin-pairs [--open] [--failures N] [--seconds S]\n"
	      "       kin-pairs --long|--all [--open] [--part I/N] [...]\n"
	      "       kin-pairs [--open] --case NODE:ACTION,NODE:ACTION[,...] "
	      "[--trace]\n"
	      "       [--route direct|relay] [--order up|down|crossing]\n",
	      stderr);
	exit(2);
}

static int find_word(const char *word, const char *const *words, int count)
{
	for (int i = 0; i < count; i++)
		if (!strcmp(word, words[i]))
			return i;
	usage();
	return -1;
}

static struct story parse_case(const char *text, int *ret_actors)
{
	struct story s = {.count = 0};
	int used = 0;

	*ret_actors = 2;
	for (;; text++) {
		unsigned node, action;

		if (s.count == ACTIONS_MAX ||
		    sscanf(text, "%u:%u%n", &node, &action, &used) != 2 ||
		    node >= ACTORS_MAX || action >= action_count)
			usage();
		s.actor[s.count] = (int)node;
		s.action[s.count++] = &actions[action];
		*ret_actors = MAX_OF(*ret_actors, (int)node + 1);
		text += used;
		if (!*text)
			break;
		if (*text != ',')
			usage();
	}
	return s;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"long", no_argument, NULL, 'l'},
		{"all", no_argument, NULL, 'a'},
		{"open", no_argument, NULL, 'O'},
		{"part", required_argument, NULL, 'p'},
		{"seconds", required_argument, NULL, 's'},
		{"failures", required_argument, NULL, 'f'},
		{"case", required_argument, NULL, 'c'},
		{"route", required_argument, NULL, 'r'},
		{"order", required_argument, NULL, 'o'},
		{"trace", no_argument, NULL, 't'},
		{NULL, 0, NULL, 0},
	};
	struct campaign c = {
		.only_route = -1, .only_order = -1, .failures_max = 10,
		.parts = 1};
	const char *one = NULL, *base = getenv("TMPDIR");
	bool triples = false, all = false, open = false;
	unsigned part, parts;
	int opt;

	while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (opt == 'l')
			triples = true;
		else if (opt == 'a')
			triples = all = true;
		else if (opt == 'O')
			open = true;
		else if (opt == 'p' &&
			 sscanf(optarg, "%u/%u", &part, &parts) == 2 && part &&
			 part <= parts)
			c.part = part - 1, c.parts = parts;
		else if (opt == 's')
			c.until = time(NULL) + atol(optarg);
		else if (opt == 'f')
			c.failures_max = strtoull(optarg, NULL, 10);
		else if (opt == 'c')
			one = optarg;
		else if (opt == 'r')
			c.only_route = find_word(optarg, route_names, ROUTES);
		else if (opt == 'o')
			c.only_order = find_word(optarg, order_names, ORDERS);
		else if (opt == 't')
			c.trace = true;
		else
			usage();
	}
	if (optind < argc)
		usage();
	log_set_level(LOG_LEVEL_ERROR);
	if (access("/dev/shm", W_OK) == 0)
		base = "/dev/shm";
	snprintf(c.dir, sizeof(c.dir), "%s/kin-pairs-XXXXXX",
		 base ? base : "/tmp");
	if (!mkdtemp(c.dir)) {
		perror("kin-pairs");
		return 2;
	}
	if (one) {
		int actors;
		struct story s = parse_case(one, &actors);

		s.open = open;
		run_batch(&c, &s, 1, actors);
	} else if (triples) {
		if (!open || all)
			run_triples(&c, all);
		if (open || all)
			run_open_triples(&c);
	} else if (open) {
		run_open_pairs(&c);
	} else {
		run_pairs(&c);
	}
	rmdir(c.dir);
	printf("cases=%llu exact=%llu in-order=%llu neither=%llu failed=%llu%s\n",
	       (unsigned long long)c.cases,
	       (unsigned long long)c.verdicts[VERDICT_EXACT],
	       (unsigned long long)c.verdicts[VERDICT_ORDER],
	       (unsigned long long)c.verdicts[VERDICT_NONE],
	       (unsigned long long)c.failed,
	       c.cut_short ? " (out of time)" : "");
	return c.failed != 0;
}
