/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kin-pairs: all histories of one action on each of two nodes, and with
 * --long of two on one and one on the other, and of one on each of three.
 * No chance, but for object ids: every pair of actions.h, in each order of
 * deliveries, directly and through a relay.
 *
 * A case is a directory of its own; a batch of cases shares its nodes and
 * its cuts, which makes them cheap. A batch that fails runs again, case by
 * case, so that a failure has a name that can be asked for by --case.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "fs/base/log.h"
#include "fs/tree/replica.h"
#include "tests/pairs/look.h"

#define NODES_MAX (ACTORS_MAX + 1)

/* What is there at first is no temporary of anybody's any more. */
#define AGE_NS (2 * 60 * 60 * 1000000000ll)

/* Rounds of all with all, until nothing moves. */
#define ROUNDS_MAX 8

#define ACTIONS_TOTAL_MAX 128

enum route { ROUTE_DIRECT, ROUTE_RELAY, ROUTES };
enum order { ORDER_UP, ORDER_DOWN, ORDER_CROSSING, ORDERS };

static const char *const route_names[] = {"direct", "relay"};
static const char *const order_names[] = {"up", "down", "crossing"};

struct batch {
	struct story *stories;
	size_t count;
	int actors;
	enum route route;
	enum order order;
	char dir[280];
	bool trace;
	char failure[900];
	size_t failed; /* the case, or SIZE_MAX: not known which */
	size_t verdicts[VERDICT_COUNT];
};

static void say(struct batch *b, size_t number, const char *what)
{
	if (b->failure[0])
		return;
	b->failed = number;
	snprintf(b->failure, sizeof(b->failure), "%s", what);
}

/* ---- one after the other, by one person */

static void prepare(struct batch *b, struct bare *n)
{
	char dir[CASE_NAME_BYTES];

	for (size_t i = 0; i < b->count; i++) {
		case_name(i, dir);
		if (tree_prepare(n, dir) < 0)
			say(b, i, "the tree cannot be made");
	}
}

static void run_in_order(struct batch *b, int first)
{
	struct look looks[BATCH_MAX];
	char dir[CASE_NAME_BYTES];
	struct bare n, other;

	bare_open(&n, 0, b->dir, 1, true);
	bare_open(&other, 1, b->dir, 1, false);
	prepare(b, &n);
	/* It was sent, or else it could go without a trace. */
	bare_pull(&other, &n);
	bare_close(&other);
	n.now_ns += AGE_NS;
	for (size_t i = 0; i < b->count; i++) {
		struct story *s = &b->stories[i];
		uint64_t meant[MEANT_COUNT], means[MEANT_COUNT];
		bool well;

		case_name(i, dir);
		action_meant(&n, s->action[!first], dir, meant);
		well = action_do(&n, s->action[first], dir,
				 (char)('a' + first)) >= 0;
		action_meant(&n, s->action[!first], dir, means);
		s->possible[first] =
			well && !memcmp(meant, means, sizeof(meant)) &&
			action_do(&n, s->action[!first], dir,
				  (char)('a' + !first)) >= 0;
	}
	looks_take(&n, LOOK_ALL, looks, b->count);
	for (size_t i = 0; i < b->count; i++)
		b->stories[i].in_order[first] = looks[i];
	bare_close(&n);
}

static void stories_release(struct batch *b)
{
	for (size_t i = 0; i < b->count; i++)
		looks_release(b->stories[i].in_order, 2);
}

/* ---- deliveries */

static void round_direct(struct batch *b, struct bare *n)
{
	struct cut_in_hand cuts[ACTORS_MAX][ACTORS_MAX];
	int last = b->actors - 1;

	for (int x = 0; x <= last; x++) {
		for (int y = 0; y <= last; y++) {
			int from = b->order == ORDER_DOWN ? last - x : x;
			int to = b->order == ORDER_DOWN ? last - y : y;

			if (from == to)
				continue;
			if (b->order == ORDER_CROSSING)
				bare_take(&n[from], &n[to], &cuts[from][to]);
			else
				bare_pull(&n[to], &n[from]);
		}
	}
	for (int x = 0; b->order == ORDER_CROSSING && x <= last; x++)
		for (int y = 0; y <= last; y++)
			if (x != y)
				bare_apply(&n[y], &cuts[x][y]);
}

static void round_relay(struct batch *b, struct bare *n)
{
	struct bare *relay = &n[b->actors];
	int last = b->actors - 1;

	for (int x = 0; x <= last; x++) {
		int from = b->order == ORDER_DOWN ? last - x : x;

		bare_pull(relay, &n[from]);
		for (int to = 0; b->order != ORDER_CROSSING && to <= last; to++)
			if (to != from)
				bare_pull(&n[to], relay);
	}
	for (int to = 0; to <= last; to++)
		bare_pull(&n[to], relay);
}

/* All with all, until it is quiet. */
static void deliver(struct batch *b, struct bare *n, int nodes)
{
	uint64_t lseq[NODES_MAX] = {0};

	for (int k = 0; k < ROUNDS_MAX; k++) {
		bool moved = false;

		if (b->route == ROUTE_RELAY)
			round_relay(b, n);
		else
			round_direct(b, n);
		for (int i = 0; i < nodes; i++) {
			uint64_t now = bare_lseq(&n[i]);

			moved |= now != lseq[i];
			lseq[i] = now;
		}
		if (!moved)
			return;
	}
	say(b, SIZE_MAX, "it does not become quiet");
}

/* ---- a batch */

static void act(struct batch *b, struct bare *n)
{
	char dir[CASE_NAME_BYTES];
	int64_t now_ns = 0;

	for (int k = 0; k < ACTIONS_MAX; k++) {
		for (size_t i = 0; i < b->count; i++) {
			struct story *s = &b->stories[i];
			int r;

			if (k >= s->count)
				continue;
			case_name(i, dir);
			r = action_do(&n[s->actor[k]], s->action[k], dir,
				      (char)('a' + k));
			/* (the second on one node may be impossible) */
			if (r < 0 && !(k && s->actor[k] == s->actor[k - 1]))
				say(b, i, strerrorname_np(-r));
		}
		/* Whoever comes later is later. */
		for (int i = 0; i < b->actors; i++)
			now_ns = MAX_OF(now_ns, n[i].now_ns);
		for (int i = 0; i < b->actors; i++)
			n[i].now_ns = now_ns + 1000000000;
	}
}

static void check_equal(struct batch *b, struct bare *n, int nodes,
			struct look *final)
{
	struct look other[BATCH_MAX];

	for (int i = 0; i < nodes; i++) {
		cleanup(buf_release) struct buf text = BUF_INIT;

		if (replica_check(n[i].tree, &text) < 0 ||
		    (i && !bare_equal(&n[0], &n[i], &text))) {
			buf_put_u8(&text, 0);
			say(b, SIZE_MAX, (char *)text.data);
		}
		if (!i)
			continue;
		looks_take(&n[i], LOOK_QUICK, other, b->count);
		for (size_t k = 0; k < b->count; k++)
			if (!look_same_names(&final[k], &other[k]))
				say(b, k, "nodes show different things");
		looks_release(other, b->count);
	}
}

static void print_case(const char *what, const struct look *l)
{
	printf("  %s\n", what);
	look_print(l);
}

static void judge(struct batch *b, struct look *before, struct look *after,
		  struct look *final)
{
	for (size_t i = 0; i < b->count; i++) {
		struct look seen[ACTORS_MAX];
		const char *r;

		for (int a = 0; a < b->actors; a++)
			seen[a] = after[(size_t)a * BATCH_MAX + i];
		r = story_judge(&b->stories[i], &before[i], seen, b->actors,
				&final[i]);
		b->verdicts[b->stories[i].verdict]++;
		if (b->trace) {
			print_case("before", &before[i]);
			for (int a = 0; a < b->actors; a++)
				print_case("after, at a node", &seen[a]);
			for (int k = 0; k < 2; k++)
				if (b->stories[i].possible[k])
					print_case("in order",
						   &b->stories[i].in_order[k]);
			print_case("at the end", &final[i]);
		}
		if (r)
			say(b, i, r);
	}
}

static void run_variant(struct batch *b)
{
	static struct look before[BATCH_MAX], final[BATCH_MAX];
	static struct look after[ACTORS_MAX * BATCH_MAX];
	int nodes = b->actors + (b->route == ROUTE_RELAY);
	struct bare n[NODES_MAX];

	for (int i = 0; i < nodes; i++)
		bare_open(&n[i], i, b->dir, 1, i == 0);
	prepare(b, &n[0]);
	deliver(b, n, nodes);
	looks_take(&n[0], LOOK_ALL, before, b->count);
	for (int i = nodes - 1; i >= 0; i--)
		n[i].now_ns = n[0].now_ns + AGE_NS;
	act(b, n);
	for (int i = 0; i < b->actors; i++)
		looks_take(&n[i], LOOK_ALL, after + i * BATCH_MAX, b->count);
	deliver(b, n, nodes);
	looks_take(&n[0], LOOK_ALL, final, b->count);
	check_equal(b, n, nodes, final);
	judge(b, before, after, final);
	looks_release(before, b->count);
	looks_release(final, b->count);
	for (int i = 0; i < b->actors; i++)
		looks_release(after + i * BATCH_MAX, b->count);
	for (int i = 0; i < nodes; i++)
		bare_close(&n[i]);
}

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
	printf(" --route %s --order %s --trace\n", route_names[b->route],
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
		run_variant(&one);
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
			  .trace = c->trace};

	snprintf(b.dir, sizeof(b.dir), "%s", c->dir);
	if (count && stories[0].count == 2)
		for (int first = 0; first < 2; first++)
			run_in_order(&b, first);
	for (int v = 0; v < ROUTES * ORDERS; v++) {
		b.route = (enum route)(v / ORDERS);
		b.order = (enum order)(v % ORDERS);
		if ((c->only_route >= 0 && c->only_route != (int)b.route) ||
		    (c->only_order >= 0 && c->only_order != (int)b.order) ||
		    c->failed >= c->failures_max)
			continue;
		b.failure[0] = '\0';
		run_variant(&b);
		c->cases += count;
		if (b.failure[0] && count > 1)
			run_apart(c, &b);
		else if (b.failure[0])
			say_failure(c, &b, stories);
	}
	for (int k = 0; k < VERDICT_COUNT; k++)
		c->verdicts[k] += b.verdicts[k];
	stories_release(&b);
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
	if (g->count == BATCH_MAX || (g->count && g->actors != actors))
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

			gather_add(&g, &s, 2);
		}
	gather_run(&g);
}

/* Of the few, or of all. */
static void run_triples(struct campaign *c, bool all)
{
	static const int who[3][3] = {{0, 0, 1}, {0, 1, 1}, {0, 1, 2}};
	size_t list[ACTIONS_TOTAL_MAX], n = 0;

	for (size_t i = 0; i < action_count; i++)
		if (all || actions[i].few)
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
	fputs("usage: kin-pairs [--failures N] [--seconds S]\n"
	      "       kin-pairs --long|--all [--part I/N] [...]\n"
	      "       kin-pairs --case NODE:ACTION,NODE:ACTION[,...] "
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
	bool triples = false, all = false;
	unsigned part, parts;
	int opt;

	while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (opt == 'l')
			triples = true;
		else if (opt == 'a')
			triples = all = true;
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

		run_batch(&c, &s, 1, actors);
	} else if (triples) {
		run_triples(&c, all);
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
