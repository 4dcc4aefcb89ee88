/* SPDX-License-Identifier: Apache-2.0 */
/* The merge of one object, and the staging of rows. */
#include "tests/unit/core/core_support.h"

#include <errno.h>
#include <string.h>

#include "replication/core/merge.h"

/* A MODE version: (origin, seq). The merge looks at nothing else. */
static void put(struct object *o, uint64_t origin, uint64_t seq)
{
	struct version v = {
		.dot = {origin, seq},
		.hlc = seq,
		.reg = REG_MODE,
		.mode.perm = 0644,
	};

	assert_non_null(object_add(o, &v));
}

static bool has(const struct object *o, uint64_t origin, uint64_t seq)
{
	for (size_t i = 0; i < o->count; i++)
		if (dot_equal(o->versions[i].dot, (struct dot){origin, seq}))
			return true;
	return false;
}

struct fixture {
	struct object mine, theirs, merged;
	struct know my_k, their_k;
	bool same;
	int changed;
};

static void begin(struct fixture *f)
{
	struct objid id = {{1}};

	memset(f, 0, sizeof(*f));
	object_init(&f->mine, id);
	object_init(&f->theirs, id);
	object_init(&f->merged, id);
}

static void run(struct fixture *f)
{
	f->changed = merge_object(&f->mine, &f->theirs, &f->my_k, &f->their_k,
				  &f->merged, &f->same);
	assert_true(f->changed >= 0);
}

static void end(struct fixture *f)
{
	object_release(&f->mine);
	object_release(&f->theirs);
	object_release(&f->merged);
	know_release(&f->my_k);
	know_release(&f->their_k);
}

static void test_new_row(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f);
	put(&f.theirs, 2, 1);
	f.their_k = test_know(2, 1, 0);
	run(&f);
	assert_true(f.changed == 1 && f.same && has(&f.merged, 2, 1));
	end(&f);
}

static void test_echo_changes_nothing(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f);
	put(&f.mine, 1, 1);
	put(&f.theirs, 1, 1);
	f.my_k = test_know(1, 5, 0);
	f.their_k = test_know(1, 1, 0);
	run(&f);
	assert_true(f.changed == 0 && f.same);
	end(&f);
}

static void test_replaced_there(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f);
	put(&f.mine, 1, 1);
	put(&f.theirs, 2, 1);
	f.my_k = test_know(1, 1, 0);
	f.their_k = test_know(1, 1, 2, 1, 0);
	run(&f);
	assert_true(f.changed == 1 && f.same);
	assert_true(has(&f.merged, 2, 1) && !has(&f.merged, 1, 1));
	end(&f);
}

static void test_replaced_here(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f);
	put(&f.mine, 2, 1);
	put(&f.theirs, 1, 1);
	f.my_k = test_know(1, 1, 2, 1, 0);
	f.their_k = test_know(1, 1, 0);
	run(&f);
	assert_true(f.changed == 0 && !f.same);
	assert_true(f.merged.count == 1 && has(&f.merged, 2, 1));
	end(&f);
}

static void test_concurrent_keeps_both(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f);
	put(&f.mine, 1, 2);
	put(&f.theirs, 2, 2);
	f.my_k = test_know(1, 2, 2, 1, 0);
	f.their_k = test_know(1, 1, 2, 2, 0);
	run(&f);
	assert_true(f.changed == 1 && !f.same && f.merged.count == 2);
	end(&f);
}

/* Known to one side and not held there: removed, knowingly. */
static void test_removed(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f);
	put(&f.mine, 1, 1);
	put(&f.mine, 1, 2);
	put(&f.theirs, 1, 2);
	f.my_k = test_know(1, 2, 0);
	f.their_k = test_know(1, 2, 0);
	run(&f);
	assert_true(f.changed == 1 && f.same && f.merged.count == 1);
	end(&f);
	/* To nothing at all. */
	begin(&f);
	put(&f.mine, 1, 1);
	f.my_k = test_know(1, 1, 0);
	f.their_k = test_know(1, 1, 0);
	run(&f);
	assert_true(f.changed == 1 && f.same && !f.merged.count);
	end(&f);
}

/* Any two nodes that swap their rows end with the same set. */
static void test_symmetric(void **state)
{
	uint64_t x = 42;

	(void)state;
	for (int round = 0; round < 2000; round++) {
		struct fixture f, g;

		begin(&f);
		for (uint64_t o = 1; o <= 3; o++) {
			uint64_t ka, kb;

			x = x * 6364136223846793005u + 1442695040888963407u;
			ka = x >> 40 & 3;
			kb = x >> 42 & 3;
			assert_int_equal(know_set(&f.my_k, o, ka), 0);
			assert_int_equal(know_set(&f.their_k, o, kb), 0);
			for (uint64_t s = 1; s <= 3; s++) {
				if (s <= ka && x >> (20 + s) & 1)
					put(&f.mine, o, s);
				if (s <= kb && x >> (30 + s) & 1)
					put(&f.theirs, o, s);
			}
		}
		begin(&g);
		for (size_t i = 0; i < f.theirs.count; i++)
			object_add(&g.mine, &f.theirs.versions[i]);
		for (size_t i = 0; i < f.mine.count; i++)
			object_add(&g.theirs, &f.mine.versions[i]);
		assert_int_equal(know_copy(&g.my_k, &f.their_k), 0);
		assert_int_equal(know_copy(&g.their_k, &f.my_k), 0);
		run(&f);
		run(&g);
		assert_int_equal(f.merged.count, g.merged.count);
		for (size_t i = 0; i < f.merged.count; i++)
			assert_true(object_find(&g.merged,
						&f.merged.versions[i]) >= 0);
		end(&f);
		end(&g);
	}
}

/* ---- staging */

static void make_row(struct objid id, uint64_t seq, uint8_t kind, uint64_t slot,
		     struct buf *ret)
{
	struct version k = {
		.dot = {1, seq}, .reg = REG_KIND, .kind.kind = kind};
	struct version l = {
		.dot = {1, seq},
		.reg = REG_LINK,
		.link = {.slot = slot,
			 .at.name = SLICE("a", 1),
			 .since.dot = {1, seq}},
	};
	struct object o;

	object_init(&o, id);
	assert_non_null(object_add(&o, &k));
	assert_non_null(object_add(&o, &l));
	buf_reset(ret);
	assert_int_equal(object_encode(&o, ret), 0);
	object_release(&o);
}

static void test_stage(void **state)
{
	cleanup(buf_release) struct buf row = BUF_INIT;
	struct objid id = {{0}};
	struct stage *s;

	(void)state;
	assert_int_equal(stage_new(NULL, 1, &s), 0);
	for (int i = 1; i <= 1000; i++) {
		id.b[0] = (uint8_t)(i % 250 + 1);
		id.b[1] = (uint8_t)(i % 3);
		make_row(id, (uint64_t)i, KIND_FILE, 77, &row);
		assert_int_equal(stage_put(s, id, buf_slice(&row)), 0);
	}
	assert_int_equal(s->count, 750);
	/* The last record of an object wins. */
	assert_int_equal(s->rows[0].id.b[0], 2);
	assert_int_equal(s->rows[0].id.b[1], 1);
	make_row(s->rows[0].id, 751, KIND_FILE, 77, &row);
	assert_memory_equal(s->rows[0].row, row.data, row.len);
	assert_int_equal(know_get(&s->dots, 1), 1000);
	stage_free(s);
}

static void test_stage_refuses(void **state)
{
	cleanup(buf_release) struct buf row = BUF_INIT;
	struct objid id = {{7}};
	struct stage *s;

	(void)state;
	assert_int_equal(stage_new(NULL, 1, &s), 0);
	make_row(id, 1, KIND_FILE, SLOT_DIR, &row);
	assert_int_equal(stage_put(s, id, buf_slice(&row)), -EBADMSG);
	make_row(id, 1, KIND_DIR, 5, &row);
	assert_int_equal(stage_put(s, id, buf_slice(&row)), -EBADMSG);
	make_row(ROOT_ID, 1, KIND_DIR, SLOT_DIR, &row);
	assert_int_equal(stage_put(s, ROOT_ID, buf_slice(&row)), -EBADMSG);
	make_row(id, 1, KIND_DIR, SLOT_DIR, &row);
	assert_int_equal(stage_put(s, id, buf_slice(&row)), 0);
	for (size_t len = 0; len < row.len; len++)
		assert_true(stage_put(s, id, SLICE(row.data, len)) < 0);
	assert_int_equal(s->count, 1);
	stage_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_new_row),
		cmocka_unit_test(test_echo_changes_nothing),
		cmocka_unit_test(test_replaced_there),
		cmocka_unit_test(test_replaced_here),
		cmocka_unit_test(test_concurrent_keeps_both),
		cmocka_unit_test(test_removed),
		cmocka_unit_test(test_symmetric),
		cmocka_unit_test(test_stage),
		cmocka_unit_test(test_stage_refuses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
