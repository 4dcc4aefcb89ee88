/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cut table, from which streams begin, when it is full: it is thinned
 * from its old end, again and again. A peer is never sent less than what it
 * lacks, and not much more.
 */
#include "tree_support.h"

#include <stdlib.h>

#define ROOT TREE_ROOT_INO
/* More than it has room for (replica.c), twice over. */
#define CUTS 34000
#define KEPT_MAX 15000
/* It is thinned eight times then: the oldest are so far apart. */
#define SPACING_MAX 260
/* Some peer has each of these. */
#define EVERY 97

struct stop {
	struct know k;
	uint64_t lseq;
};

static void one_cut(struct fixture *f, uint64_t ino, struct stop *ret)
{
	struct tree_setattr s = { .set = TREE_SET_MTIME };
	struct attr at;
	int r;

	s.mtime.tv_sec = ++f->now_ns % TIME_SECONDS_MAX;
	assert_int_equal(tree_setattr(f->tree, ino, &s, &at), 0);
	store_lock(f->store);
	assert_int_equal(replica_begin(f->tree), 0);
	r = replica_cut_note(f->tree);
	assert_int_equal(replica_end(f->tree, r), 0);
	if (ret) {
		*ret = (struct stop){ .k = KNOW_INIT };
		assert_int_equal(know_copy(&ret->k, replica_know(f->tree)), 0);
		ret->lseq = replica_lseq(f->tree);
	}
	store_unlock(f->store);
}

static uint64_t start_for(struct fixture *f, const struct know *k)
{
	uint64_t lseq = UINT64_MAX;

	store_lock(f->store);
	assert_int_equal(replica_cut_start(f->tree, k, &lseq), 0);
	store_unlock(f->store);
	return lseq;
}

static void test_thinned(void **state)
{
	struct stop *stops = calloc(CUTS / EVERY + 1, sizeof(*stops));
	struct know none = KNOW_INIT;
	struct fixture f;
	uint64_t ino, kept;
	size_t n = 0;

	(void)state;
	fixture_open(&f, "alice", true);
	ino = make_file(&f, ROOT, "doc", "text");
	for (int k = 0; k < CUTS; k++)
		one_cut(&f, ino, k % EVERY ? NULL : &stops[n++]);
	store_lock(f.store);
	kept = store_count(f.store, TABLE_CUT);
	store_unlock(f.store);
	assert_in_range(kept, KEPT_MAX / 2, KEPT_MAX);
	assert_int_equal(start_for(&f, &none), 0);
	for (size_t k = 0; k < n; k++) {
		uint64_t at = start_for(&f, &stops[k].k);

		/* Nothing is left out ... */
		assert_true(at <= stops[k].lseq);
		/* ... the newest are all there, of the others some. */
		if (k + 5000 / EVERY > n)
			assert_int_equal(at, stops[k].lseq);
		else
			assert_true(stops[k].lseq - at < SPACING_MAX);
		know_release(&stops[k].k);
	}
	fixture_close(&f);
	free(stops);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_thinned),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
