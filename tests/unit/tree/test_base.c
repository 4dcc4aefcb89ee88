/* SPDX-License-Identifier: Apache-2.0 */
/* What two versions were made from: base.h. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "fs/tree/base.h"
#include "fs/tree/fork.h"
#include "variants_support.h"

static struct fixture *const a = &nodes[0], *const b = &nodes[1],
		       *const c = &nodes[2];

/* ---- who has acknowledged what */

static void prune_with(struct fixture *f, const struct know *acked)
{
	bool done;

	store_lock(f->store);
	do
		assert_int_equal(replica_base_prune(f->tree, acked, 1, &done),
				 0);
	while (!done);
	store_unlock(f->store);
	check_tree(f);
}

/* All nodes hear what the first `count` of them have. */
static void prune(size_t count)
{
	struct know k = KNOW_INIT;

	assert_int_equal(know_copy(&k, replica_know(nodes[0].tree)), 0);
	for (size_t n = 1; n < count; n++)
		know_meet(&k, replica_know(nodes[n].tree));
	for (size_t n = 0; n < count; n++)
		prune_with(&nodes[n], &k);
	know_release(&k);
}

static uint64_t bases(struct fixture *f)
{
	uint64_t n;

	store_lock(f->store);
	n = store_count(f->store, TABLE_BASE);
	store_unlock(f->store);
	return n;
}

static void expect_bases(struct fixture *f, uint64_t max)
{
	assert_in_range(bases(f), 0, max);
	check_tree(f);
}

static void edit(struct fixture *f, int times)
{
	char bytes[64];

	for (int k = 0; k < times; k++) {
		snprintf(bytes, sizeof(bytes), "%s %d %ld", f->label, k,
			 (long)f->now_ns);
		write_name(f, "f", bytes);
	}
}

/* f with "base", which all have and all know that all have. */
static void begin(void)
{
	make_file(a, ROOT, "f", "base");
	sync_all();
	prune(3);
	for (int k = 0; k < 3; k++)
		expect_bases(&nodes[k], 0);
}

static void expect_base_everywhere(const char *bytes)
{
	for (int k = 0; k < 3; k++)
		expect_base(&nodes[k], "f", bytes);
}

/* ---- the bytes */

static void test_golden(void)
{
	cleanup(buf_release) struct buf golden = BUF_INIT;
	struct entry_name anc[] = { { 7, { 0x1111, 4 }, 99 },
				    { 6, { 0x3333, 1 }, 98 } };
	struct version v = { .dot = { 0x2222, 300 }, .first_origin = 0x1234,
			     .hlc = 0x20000, .reg = REG_CONTENT,
			     .content = { .anc = anc, .anc_count = 2 } };
	struct slice k, is;

	read_golden("base.hex", &golden);
	content_inline(SLICE_STR("hi"), &v.content.content);
	store_lock(a->store);
	assert_int_equal(replica_begin(a->tree), 0);
	assert_int_equal(base_note(a->tree, (struct objid){ { 1 } }, &v), 0);
	assert_int_equal(store_seek(a->store, TABLE_BASE, SLICE(NULL, 0), &k,
				    &is), 0);
	assert_true(slice_equal(k, SLICE(golden.data, 40)));
	assert_true(slice_equal(is, SLICE(golden.data + 40, golden.len - 40)));
	/* (a row that is not there has none: the check says so) */
	assert_int_equal(replica_end(a->tree, 0), 0);
	store_unlock(a->store);
	assert_int_equal(replica_check(a->tree, NULL), -EUCLEAN);
}

/* ---- found */

static void test_edit_and_edit(void)
{
	begin();
	edit(a, 1);
	edit(b, 1);
	/* carol has it live until the very merge that replaces it */
	pass(c, a);
	pass(c, b);
	expect_base(c, "f", "base");
	sync_all();
	expect_base_everywhere("base");
}

static void test_by_relay(void)
{
	begin();
	edit(a, 2);
	edit(b, 3);
	pass(c, a);
	pass(b, c);
	expect_base(b, "f", "base");
	pass(c, b);
	pass(a, c);
	expect_base(a, "f", "base");
}

static void test_twenty_edits(void)
{
	begin();
	edit(a, 20);
	edit(b, 20);
	sync_all();
	expect_base_everywhere("base");
}

/* Not even alice knows by then that bob has not seen any of it. */
static void test_twenty_edits_beside_one_who_follows(void)
{
	begin();
	for (int k = 0; k < 20; k++) {
		edit(a, 1);
		pass(c, a);
		pass(a, c);
		prune(3);
	}
	edit(b, 20);
	sync_all();
	expect_base_everywhere("base");
}

static void test_after_restarts(void)
{
	begin();
	edit(a, 3);
	fixture_crash(a);
	edit(a, 7);
	edit(b, 12);
	fixture_crash(b);
	edit(a, 9);
	fixture_crash(c);
	sync_all();
	for (int k = 0; k < 3; k++)
		fixture_crash(&nodes[k]);
	expect_base_everywhere("base");
}

static void test_after_a_settlement(void)
{
	begin();
	edit(a, 2);
	edit(b, 2);
	sync_all();
	assert_int_equal(settle_as(c, "f", "settled", SETTLE_PERSON), 0);
	sync_all();
	edit(a, 6);
	edit(c, 6);
	sync_all();
	expect_base_everywhere("settled");
	/* One of them settles beside an edit of what he settled. */
	assert_int_equal(settle_as(a, "f", "again", SETTLE_AUTO), 0);
	write_name(b, "f", "bob's");
	sync_all();
	assert_true(in_conflict(c, "f"));
	for (int k = 0; k < 3; k++) {
		struct variants v;

		variants_at(&nodes[k], "f", &v);
		assert_true(v.base_known);
		variants_release(&v);
	}
}

static void test_three(void)
{
	begin();
	edit(a, 2);
	edit(b, 7);
	edit(c, 1);
	sync_all();
	expect_base_everywhere("base");
}

/* Two of three have more in common than the third. */
static void test_three_of_which_two_went_on(void)
{
	begin();
	write_name(a, "f", "next");
	pass(b, a);
	edit(a, 1);
	edit(b, 1);
	edit(c, 1);
	pass(a, b);
	expect_base(a, "f", "next");
	sync_all();
	expect_base_everywhere("base");
}

/* A name given to main repeats it, and is no base of its own. */
static void test_beside_what_is_repeated(void)
{
	struct entry e;

	begin();
	edit(a, 1);
	edit(b, 1);
	sync_all();
	assert_int_equal(tree_link(a->tree, look(a, ROOT, "f"), ROOT,
				   SLICE_STR("g"), &e), 0);
	sync_all();
	expect_base_everywhere("base");
	edit(a, 1);
	edit(b, 1);
	sync_all();
	for (int k = 0; k < 3; k++)
		assert_true(in_conflict(&nodes[k], "f"));
}

static int keep_hash(void *arg, const struct hash *h)
{
	*(struct hash *)arg = *h;
	return 0;
}

/* `to` gets the content that it lacks. */
static void fetch(struct fixture *to, struct fixture *from)
{
	struct buf bytes = BUF_INIT;
	struct hash h;
	int64_t n;

	for (;;) {
		store_lock(to->store);
		n = replica_wants(to->tree, 1, keep_hash, &h);
		store_unlock(to->store);
		assert_true(n >= 0);
		if (!n)
			break;
		assert_int_equal(chunk_read(from->store, &h, &bytes), 0);
		assert_int_equal(replica_chunk_received(to->tree, &h,
							buf_slice(&bytes)), 0);
	}
	buf_release(&bytes);
}

static void test_large_content(void)
{
	uint8_t *bytes = malloc(300000);
	int fd;
	struct variants v;

	assert_non_null(bytes);
	for (size_t k = 0; k < 300000; k++)
		bytes[k] = (uint8_t)(k * k >> 3);
	fd = fd_with(SLICE(bytes, 300000));
	begin();
	edit(a, 1);
	edit(b, 1);
	pass(a, b);
	variants_at(a, "f", &v);
	assert_int_equal(tree_settle(a->tree, &v, fd, SETTLE_PERSON), 0);
	variants_release(&v);
	pass(b, a);
	pass(c, a);
	fetch(c, a);
	edit(a, 1);
	edit(c, 1);
	pass(a, c);
	variants_at(a, "f", &v);
	assert_true(v.base_known && v.base.here);
	assert_int_equal(v.base.content.size, 300000);
	variants_release(&v);
	/* Its bytes never came to bob: he knows which they were. */
	pass(b, a);
	variants_at(b, "f", &v);
	assert_int_equal(v.base.content.size, 300000);
	assert_true(v.base_known);
	assert_false(v.base.here);
	variants_release(&v);
	close(fd);
	free(bytes);
}

/* ---- not found */

static void test_criss_cross(void)
{
	begin();
	edit(a, 1);
	edit(b, 1);
	sync_all();
	assert_int_equal(settle_as(a, "f", "one way", SETTLE_PERSON), 0);
	assert_int_equal(settle_as(b, "f", "the other", SETTLE_PERSON), 0);
	sync_all();
	expect_base_everywhere(NULL);
}

/* carol was away for so long that she does not count any more. */
static void test_one_who_lapsed(void)
{
	begin();
	edit(a, 1);
	pass(b, a);
	edit(b, 1);
	pass(a, b);
	prune(3);
	assert_true(bases(a) > 0);
	prune(2);
	assert_int_equal(bases(a), 0);
	assert_int_equal(bases(b), 0);
	edit(c, 1);
	pass(c, a);
	expect_base(c, "f", "base");
	pass(a, c);
	expect_base(a, "f", NULL);
}

/* ---- what is kept, and for how long */

static void test_goes_when_all_have_it(void)
{
	begin();
	for (int k = 0; k < 12; k++) {
		edit(&nodes[k % 3], 3);
		sync_all();
		for (int n = 0; n < 3; n++)
			expect_bases(&nodes[n], ANCESTORS_ALONE + FAR_MAX);
		assert_true(bases(a) > 0);
		if (k % 4 == 3)
			prune(3);
	}
	for (int n = 0; n < 3; n++)
		expect_bases(&nodes[n], 0);
}

static void test_stays_while_in_conflict(void)
{
	begin();
	edit(a, 1);
	edit(b, 1);
	sync_all();
	prune(3);
	expect_base_everywhere("base");
	assert_int_equal(settle_as(b, "f", "settled", SETTLE_AUTO), 0);
	sync_all();
	prune(3);
	for (int n = 0; n < 3; n++)
		expect_bases(&nodes[n], 0);
}

/* Of a conflict of many the oldest stays, and the newest. */
static void test_many_variants(void)
{
	begin();
	for (int k = 0; k < 12; k++) {
		for (int n = 0; n < 3; n++)
			edit(&nodes[n], 2);
		sync_all();
		for (int n = 0; n < 3; n++)
			expect_bases(&nodes[n], BASES_MAX);
	}
	assert_true(in_conflict(a, "f"));
}

static void test_alone(void)
{
	replica_set_alone(a->tree, true);
	make_file(a, ROOT, "f", "base");
	edit(a, 10);
	expect_bases(a, 0);
	replica_set_alone(a->tree, false);
	edit(a, 10);
	expect_bases(a, ANCESTORS_ALONE + FAR_MAX);
	assert_true(bases(a) > 0);
	rm(a, ROOT, "f");
	sync_all();
}

static void test_purged_with_its_row(void)
{
	struct replica_purged p;
	struct know k = KNOW_INIT;

	begin();
	edit(a, 3);
	edit(b, 3);
	sync_all();
	assert_true(bases(a) > 0);
	assert_int_equal(tree_resolve(a->tree, ROOT, SLICE_STR("f"),
				      SLICE_STR("main")), 0);
	rm(a, ROOT, "f");
	assert_true(bases(a) > 0);
	sync_all();
	store_lock(a->store);
	assert_int_equal(replica_begin(a->tree), 0);
	assert_int_equal(replica_end(a->tree, replica_cut_note(a->tree)), 0);
	assert_int_equal(know_copy(&k, replica_know(a->tree)), 0);
	do
		assert_int_equal(replica_purge(a->tree, &k, 10, &p), 0);
	while (!p.done);
	store_unlock(a->store);
	know_release(&k);
	expect_bases(a, 0);
}

/* A write by a handle that was opened on what is replaced by now. */
static void test_old_handle(void)
{
	uint64_t ino;

	begin();
	ino = look(a, ROOT, "f");
	assert_int_equal(tree_open_file(a->tree, ino, true), 0);
	assert_int_equal(tree_write(a->tree, ino, 0, SLICE_STR("BA"), false),
			 0);
	edit(b, 3);
	sync_all();
	prune(3);
	assert_int_equal(bases(a), 0);
	tree_release_file(a->tree, ino, true);
	assert_true(in_conflict(a, "f"));
	expect_base(a, "f", "base");
	check_tree(a);
}

/* A sibling becomes a file of its own while it is written: the write is made
 * from what that file began with. */
static void test_sibling_moved_while_written(void)
{
	char sibling[NAME_BYTES_MAX + 1];
	uint64_t ino;

	make_conflict("f");
	sync_all();
	name_with(a, ROOT, "conflict", sibling);
	ino = look(a, ROOT, sibling);
	assert_int_equal(tree_open_file(a->tree, ino, true), 0);
	assert_int_equal(tree_write(a->tree, ino, 0, SLICE_STR("ALI"), false),
			 0);
	mv(a, ROOT, sibling, ROOT, "g");
	sync_all();
	write_name(b, "g", "bob's, too");
	sync_all();
	tree_release_file(a->tree, ino, true);
	assert_true(in_conflict(a, "g"));
	expect_base(a, "g", "alice's");
	check_tree(a);
}

/* One origin with two histories: what is named keeps its name. */
static void test_fork(void)
{
	struct fixture twin;
	char backup[64];
	uint64_t origin, n0;

	begin();
	fixture_backup(a, backup);
	fixture_clone(&twin, "twin", backup, false);
	backup_remove(backup);
	origin = replica_origin(a->tree);
	n0 = know_get(replica_know(a->tree), origin);
	write_name(a, "f", "one");
	write_name(a, "f", "one more");
	write_name(&twin, "f", "two");
	write_name(&twin, "f", "two more");
	write_name(&twin, "f", "two and more");
	store_lock(a->store);
	assert_int_equal(replica_begin(a->tree), 0);
	assert_int_equal(replica_end(a->tree, replica_fork(a->tree, origin, n0,
							   NULL)), 0);
	store_unlock(a->store);
	check_tree(a);
	pass(a, &twin);
	expect_base(a, "f", "base");
	pass(&twin, a);
	expect_base(&twin, "f", "base");
	fixture_close(&twin);
	sync_all();
	expect_base_everywhere("base");
}

int main(void)
{
	static const struct scenario list[] = {
		SCENARIO(test_golden),
		SCENARIO(test_edit_and_edit),
		SCENARIO(test_by_relay),
		SCENARIO(test_twenty_edits),
		SCENARIO(test_twenty_edits_beside_one_who_follows),
		SCENARIO(test_after_restarts),
		SCENARIO(test_after_a_settlement),
		SCENARIO(test_three),
		SCENARIO(test_three_of_which_two_went_on),
		SCENARIO(test_beside_what_is_repeated),
		SCENARIO(test_large_content),
		SCENARIO(test_criss_cross),
		SCENARIO(test_one_who_lapsed),
		SCENARIO(test_goes_when_all_have_it),
		SCENARIO(test_stays_while_in_conflict),
		SCENARIO(test_many_variants),
		SCENARIO(test_alone),
		SCENARIO(test_purged_with_its_row),
		SCENARIO(test_old_handle),
		SCENARIO(test_sibling_moved_while_written),
		SCENARIO(test_fork),
	};

	return scenarios_run(list, ARRAY_SIZE(list));
}
