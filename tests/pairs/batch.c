/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A batch: its nodes are made, and the tree of each case at the first of
 * them; all hear of it. With open conflicts each then writes, and all hear
 * of that. Then everybody does his part, not knowing of the others; then
 * cuts go about, by the route and in the order of the batch, until nothing
 * moves. The nodes are to be equal then, and the judges look at each case.
 *
 * Actions of one number are done in all cases before those of the next, and
 * clocks are set on between them: who comes later is later.
 */
#include "tests/pairs/batch.h"

#include <stdio.h>
#include <string.h>

#include "fs/tree/replica.h"

#define NODES_MAX (ACTORS_MAX + 1)

/* What is there at first is no temporary of anybody's any more. */
#define AGE_NS (2 * 60 * 60 * 1000000000ll)

/* Rounds of all with all, until nothing moves. */
#define ROUNDS_MAX 8

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

/* Each writes what all have, and then hears of the others. */
static void open_conflicts(struct batch *b, struct bare *n)
{
	char dir[CASE_NAME_BYTES];

	for (size_t i = 0; i < b->count; i++) {
		case_name(i, dir);
		if (tree_prepare_conflicts(&n[0], dir) < 0)
			say(b, i, "no conflict can be prepared");
	}
	for (int a = 1; a < b->actors; a++)
		bare_pull(&n[a], &n[0]);
	for (int a = 0; a < b->actors; a++) {
		n[a].now_ns = n[0].now_ns + (a + 1) * AGE_NS;
		for (size_t i = 0; i < b->count; i++) {
			case_name(i, dir);
			if (tree_write_conflicts(&n[a], dir,
						 (char)('a' + a)) < 0)
				say(b, i, "no conflict can be made");
		}
	}
	for (int round = 0; round < 2; round++)
		for (int a = 1; a < b->actors; a++) {
			bare_pull(&n[0], &n[a]);
			bare_pull(&n[a], &n[0]);
		}
	n[0].now_ns = n[b->actors - 1].now_ns;
}

void batch_run_in_order(struct batch *b, int first)
{
	struct look looks[BATCH_MAX];
	char dir[CASE_NAME_BYTES];
	struct bare nodes[2], *n = &nodes[0];

	for (int i = 0; i < 2; i++)
		bare_open(&nodes[i], i, b->dir, 1, i == 0);
	prepare(b, n);
	/* It was sent, or else it could go without a trace. */
	bare_pull(&nodes[1], n);
	if (b->open)
		open_conflicts(b, nodes);
	bare_close(&nodes[1]);
	n->now_ns += AGE_NS;
	for (size_t i = 0; i < b->count; i++) {
		struct story *s = &b->stories[i];
		uint64_t meant[MEANT_COUNT], means[MEANT_COUNT];
		bool well;

		case_name(i, dir);
		action_meant(n, s->action[!first], dir, meant);
		well = action_do(n, s->action[first], dir,
				 (char)('a' + first)) >= 0;
		action_meant(n, s->action[!first], dir, means);
		s->possible[first] =
			well && !memcmp(meant, means, sizeof(meant)) &&
			action_do(n, s->action[!first], dir,
				  (char)('a' + !first)) >= 0;
	}
	looks_take(n, LOOK_ALL, looks, b->count);
	for (size_t i = 0; i < b->count; i++)
		b->stories[i].in_order[first] = looks[i];
	bare_close(n);
}

void batch_release(struct batch *b)
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

void batch_run(struct batch *b)
{
	static struct look before[BATCH_MAX], final[BATCH_MAX];
	static struct look after[ACTORS_MAX * BATCH_MAX];
	int nodes = b->actors + (b->route == ROUTE_RELAY);
	struct bare n[NODES_MAX];

	for (int i = 0; i < nodes; i++)
		bare_open(&n[i], i, b->dir, 1, i == 0);
	prepare(b, &n[0]);
	deliver(b, n, nodes);
	if (b->open) {
		open_conflicts(b, n);
		deliver(b, n, nodes);
	}
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
