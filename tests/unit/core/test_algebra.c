/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The merge alone, as algebra: of states (K and all rows) that nodes really
 * were in, it is commutative, associative and idempotent, and a cut, which
 * leaves out what the taker is known to have, brings as much as the whole
 * state would.
 *
 * States come from random work on real trees: a few nodes, actions that
 * contend for few names, cuts that are taken, and applied at once, later or
 * never. Every now and then the state of a node is copied; triples are drawn
 * from these copies, so one node's past and present are among them.
 *
 *	KINFS_ALGEBRA_SEEDS=17..17 core_test_algebra	runs one seed
 */
#include "tests/unit/core/core_support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fs/tree/replica.h"
#include "replication/core/merge.h"
#include "tests/pairs/actions.h"

#define NODES 3
#define STEPS 60
#define STATES 12
#define TRIPLES 40
#define CASE "c"

static unsigned long long seed_now;

static void check(bool holds, const char *law)
{
	if (!holds)
		fail_msg("%s: replay with KINFS_ALGEBRA_SEEDS=%llu..%llu", law,
			 seed_now, seed_now);
}

/* ---- states */

struct state_row {
	struct objid id;
	struct buf bytes;
};

struct state {
	struct know k;
	struct state_row *rows; /* in order of id; none is empty */
	size_t count;
};

static void state_release(struct state *s)
{
	for (size_t i = 0; i < s->count; i++)
		buf_release(&s->rows[i].bytes);
	free(s->rows);
	know_release(&s->k);
	*s = (struct state){.k = KNOW_INIT};
}

static struct buf *state_add(struct state *s, struct objid id)
{
	s->rows = realloc(s->rows, (s->count + 1) * sizeof(*s->rows));
	assert_non_null(s->rows);
	s->rows[s->count] = (struct state_row){.id = id, .bytes = BUF_INIT};
	return &s->rows[s->count++].bytes;
}

static int copy_row(void *arg, const struct replica_row *row)
{
	buf_put_slice(state_add(arg, row->id), row->row);
	return 0;
}

static int by_id(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct objid));
}

static void state_copy(struct bare *n, struct state *ret)
{
	*ret = (struct state){.k = KNOW_INIT};
	store_lock(n->store);
	assert_int_equal(know_copy(&ret->k, replica_know(n->tree)), 0);
	/* (the dead ones too) */
	assert_true(replica_rows_look(n->tree, 0, SIZE_MAX / 2, copy_row,
				      ret) >= 0);
	store_unlock(n->store);
	qsort(ret->rows, ret->count, sizeof(*ret->rows), by_id);
}

static bool state_equal(const struct state *x, const struct state *y)
{
	if (x->count != y->count || !know_equal(&x->k, &y->k))
		return false;
	for (size_t i = 0; i < x->count; i++)
		if (!objid_equal(x->rows[i].id, y->rows[i].id) ||
		    !slice_equal(buf_slice(&x->rows[i].bytes),
				 buf_slice(&y->rows[i].bytes)))
			return false;
	return true;
}

static void merge_one(const struct state *x, const struct state *y,
		      const struct state_row *mine,
		      const struct state_row *theirs, struct state *ret)
{
	struct objid id = mine ? mine->id : theirs->id;
	struct object a, b, merged;
	bool same;

	object_init(&a, id);
	object_init(&b, id);
	object_init(&merged, id);
	if (mine)
		assert_int_equal(object_decode(buf_slice(&mine->bytes), &a), 0);
	if (theirs)
		assert_int_equal(object_decode(buf_slice(&theirs->bytes), &b),
				 0);
	assert_true(merge_object(&a, &b, &x->k, &y->k, &merged, &same) >= 0);
	if (merged.count)
		assert_int_equal(object_encode(&merged, state_add(ret, id)), 0);
	object_release(&a);
	object_release(&b);
	object_release(&merged);
}

/*
 * y into x. cut: y's rows are only those of a cut, and what is not among
 * them stays.
 */
static struct state merge(const struct state *x, const struct state *y,
			  bool cut)
{
	struct state ret = {.k = KNOW_INIT};
	size_t i = 0, k = 0;

	while (i < x->count || k < y->count) {
		const struct state_row *a = i < x->count ? &x->rows[i] : NULL;
		const struct state_row *b = k < y->count ? &y->rows[k] : NULL;
		int order = !a ? 1 : !b ? -1 : by_id(a, b);

		i += order <= 0;
		k += order >= 0;
		if (order < 0 && cut)
			buf_put_slice(state_add(&ret, a->id),
				      buf_slice(&a->bytes));
		else
			merge_one(x, y, order <= 0 ? a : NULL,
				  order >= 0 ? b : NULL, &ret);
	}
	assert_int_equal(know_copy(&ret.k, &x->k), 0);
	assert_int_equal(know_join(&ret.k, &y->k), 0);
	return ret;
}

/* ---- laws */

static void expect_same(struct state a, struct state b, const char *law)
{
	check(state_equal(&a, &b), law);
	state_release(&a);
	state_release(&b);
}

static void check_laws(const struct state *x, const struct state *y,
		       const struct state *z)
{
	struct state xy = merge(x, y, false), yx = merge(y, x, false);
	struct state yz = merge(y, z, false);
	struct state again = merge(x, x, false);

	check(state_equal(&xy, &yx), "not commutative");
	check(state_equal(&again, x), "not idempotent");
	state_release(&again);
	again = merge(&xy, y, false);
	check(state_equal(&again, &xy), "an echo changes something");
	expect_same(merge(&xy, z, false), merge(x, &yz, false),
		    "not associative");
	state_release(&again);
	state_release(&xy);
	state_release(&yx);
	state_release(&yz);
}

/* ---- work */

struct work {
	struct rng rng;
	struct bare nodes[NODES];
	/* Taken, and not applied yet. */
	struct cut_in_hand late;
	int late_to; /* -1: none */
	struct state states[STATES];
	size_t count;
};

static int pick(struct work *w)
{
	return (int)rng_below(&w->rng, NODES);
}

static void cut_rows(const struct cut_in_hand *cut, struct state *ret)
{
	*ret = (struct state){.k = KNOW_INIT};
	assert_int_equal(know_copy(&ret->k, &cut->cut.k), 0);
	for (size_t i = 0; i < cut->stage->count; i++)
		buf_put(state_add(ret, cut->stage->rows[i].id),
			cut->stage->rows[i].row, cut->stage->rows[i].len);
	if (ret->count)
		qsort(ret->rows, ret->count, sizeof(*ret->rows), by_id);
}

/* A cut brings what the whole state would. */
static void check_cut(struct work *w, int from, int to)
{
	struct state x, y, part;
	struct cut_in_hand cut;

	state_copy(&w->nodes[to], &x);
	state_copy(&w->nodes[from], &y);
	bare_take(&w->nodes[from], &w->nodes[to], &cut);
	cut_rows(&cut, &part);
	expect_same(merge(&x, &y, false), merge(&x, &part, true),
		    "a cut is not as good as all of it");
	state_release(&x);
	state_release(&y);
	state_release(&part);
	bare_apply(&w->nodes[to], &cut);
}

static void drop_late(struct work *w)
{
	bare_drop(&w->late);
	w->late_to = -1;
}

static void step_late(struct work *w, int from, int to)
{
	if (w->late_to < 0) {
		bare_take(&w->nodes[from], &w->nodes[to], &w->late);
		w->late_to = to;
	} else if (rng_one_in(&w->rng, 4)) {
		drop_late(w); /* lost */
	} else {
		bare_apply(&w->nodes[w->late_to], &w->late);
		w->late_to = -1;
	}
}

static void step(struct work *w)
{
	struct bare *n = &w->nodes[pick(w)];
	uint64_t x = rng_below(&w->rng, 10);
	int from = pick(w), to = pick(w), r;

	n->now_ns += (int64_t)rng_below(&w->rng, 3000) * 1000000;
	if (x < 8) {
		/* (many are impossible by now; that is no matter) */
		r = action_do(n, &actions[rng_below(&w->rng, action_count)],
			      CASE, (char)('a' + pick(w)));
		(void)r;
	} else if (from != to && rng_one_in(&w->rng, 2)) {
		check_cut(w, from, to);
	} else if (from != to) {
		step_late(w, from, to);
	}
	if (w->count < STATES && rng_one_in(&w->rng, 4))
		state_copy(&w->nodes[pick(w)], &w->states[w->count++]);
}

static void work_open(struct work *w, const char *dir)
{
	w->late_to = -1;
	rng_init(&w->rng, seed_now);
	for (int i = 0; i < NODES; i++)
		bare_open(&w->nodes[i], i, dir, seed_now, i == 0);
	assert_int_equal(tree_prepare(&w->nodes[0], CASE), 0);
	for (int i = 1; i < NODES; i++)
		bare_pull(&w->nodes[i], &w->nodes[0]);
}

static size_t work_run(struct work *w)
{
	size_t differ = 0;

	for (int i = 0; i < STEPS; i++)
		step(w);
	for (int i = 0; i < NODES && w->count < STATES; i++)
		state_copy(&w->nodes[i], &w->states[w->count++]);
	for (int i = 0; i < TRIPLES; i++) {
		const struct state *s[3];

		for (int k = 0; k < 3; k++)
			s[k] = &w->states[rng_below(&w->rng, w->count)];
		check_laws(s[0], s[1], s[2]);
		differ += !know_leq(&s[0]->k, &s[1]->k) &&
			  !know_leq(&s[1]->k, &s[0]->k);
	}
	return differ;
}

static void work_close(struct work *w)
{
	if (w->late_to >= 0)
		drop_late(w);
	for (size_t i = 0; i < w->count; i++)
		state_release(&w->states[i]);
	for (int i = 0; i < NODES; i++)
		bare_close(&w->nodes[i]);
}

static void test_laws(void **state)
{
	const char *seeds = getenv("KINFS_ALGEBRA_SEEDS");
	unsigned long long from = 1, to = 150;
	size_t differ = 0;
	char dir[64];

	(void)state;
	if (seeds && sscanf(seeds, "%llu..%llu", &from, &to) != 2)
		fail_msg("KINFS_ALGEBRA_SEEDS=FROM..TO");
	snprintf(dir, sizeof(dir), "%s/kinfs-algebra-XXXXXX",
		 access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm");
	assert_non_null(mkdtemp(dir));
	for (seed_now = from; seed_now <= to; seed_now++) {
		static struct work w;

		memset(&w, 0, sizeof(w));
		work_open(&w, dir);
		differ += work_run(&w);
		work_close(&w);
	}
	assert_int_equal(rmdir(dir), 0);
	print_message("%llu seeds, %zu pairs of states with news for both\n",
		      to - from + 1, differ);
	/* Else nothing was tried. */
	if (!seeds)
		assert_true(differ > 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_laws),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
