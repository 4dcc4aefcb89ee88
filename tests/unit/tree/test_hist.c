/* SPDX-License-Identifier: Apache-2.0 */
/* What comes into the local history, and how long it stays: hist.h. */
#include "nodes_support.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "fs/tree/fork.h"
#include "fs/tree/hist.h"

static struct fixture *const a = &nodes[0], *const b = &nodes[1],
		       *const c = &nodes[2];

#define DAY_MS UINT64_C(86400000)

/* ---- what is in it */

static const char why_chars[] = "?rmx";

/* All contents, by object and age, each as "BYTES:WHY "; long ones by their
 * size. */
static void contents(struct fixture *f, char *ret, size_t max)
{
	uint8_t key[STORE_KEY_BYTES_MAX + 1] = { 'v' };
	size_t len = 1, at = 0;
	struct slice k, v;

	ret[0] = '\0';
	store_lock(f->store);
	while (!store_seek(f->store, TABLE_HIST, SLICE(key, len), &k, &v) &&
	       k.data[0] == 'v') {
		struct hist_entry e;

		memcpy(key, k.data, k.len);
		key[k.len] = 0;
		len = k.len + 1;
		assert_int_equal(hist_entry_decode(k, v, &e), 0);
		if (e.content.depth)
			at += (size_t)snprintf(ret + at, max - at, "%zu",
					       (size_t)e.content.size);
		else
			at += (size_t)snprintf(
				ret + at, max - at, "%.*s",
				(int)e.content.size,
				(const char *)e.content.inline_bytes.data);
		at += (size_t)snprintf(ret + at, max - at, ":%c ",
				       why_chars[e.why]);
		assert_true(at < max);
	}
	store_unlock(f->store);
}

static void expect(struct fixture *f, const char *want)
{
	char is[4096];

	contents(f, is, sizeof(is));
	assert_string_equal(is, want);
	check_tree(f);
}

static struct replica_history totals(struct fixture *f)
{
	struct replica_history h;

	store_lock(f->store);
	replica_history(f->tree, &h);
	store_unlock(f->store);
	return h;
}

/* What is gone and was in the directory, as "NAME:KIND ". */
static void expect_gone(struct fixture *f, struct objid dir, const char *want)
{
	char is[1024] = "";
	size_t at = 0;
	struct objid id;
	bool first = true;
	int r;

	store_lock(f->store);
	while (!(r = hist_gone_in(f->tree, dir, first ? NULL : &id, &id))) {
		struct hist_object o;

		first = false;
		assert_int_equal(hist_object(f->tree, id, &o), 0);
		assert_true(o.gone);
		at += (size_t)snprintf(is + at, sizeof(is) - at, "%.*s:%d ",
				       (int)o.name.len,
				       (const char *)o.name.data, o.kind);
	}
	store_unlock(f->store);
	assert_int_equal(r, -ENOENT);
	assert_string_equal(is, want);
	check_tree(f);
}

static struct objid id_at(struct fixture *f, const char *path)
{
	struct object o;
	struct objid id;

	row_at(f, path, &o);
	id = o.id;
	object_release(&o);
	return id;
}

static void limit(struct fixture *f, uint64_t age_ms, uint64_t bytes)
{
	struct replica_history_limits l = { age_ms, bytes };

	store_lock(f->store);
	replica_set_history(f->tree, &l);
	store_unlock(f->store);
}

/* In slices of two. Returns how many went. */
static size_t expire(struct fixture *f)
{
	size_t n, all = 0;

	do {
		store_lock(f->store);
		assert_int_equal(replica_history_expire(f->tree, 2, &n), 0);
		store_unlock(f->store);
		assert_true(n <= 2);
		all += n;
		check_tree(f);
	} while (n == 2);
	return all;
}

/* A wall clock that the history follows. */
static void days_pass(struct fixture *f, uint64_t days)
{
	while (days--) {
		f->now_ns += (int64_t)DAY_MS * 1000000;
		expire(f);
	}
}

/* As if all members had acknowledged everything. */
static void purge(struct fixture *f)
{
	struct know k = KNOW_INIT;
	struct replica_purged p;
	int r;

	store_lock(f->store);
	assert_int_equal(replica_begin(f->tree), 0);
	r = replica_cut_note(f->tree);
	assert_int_equal(replica_end(f->tree, r), 0);
	assert_int_equal(know_copy(&k, replica_know(f->tree)), 0);
	do {
		assert_int_equal(replica_purge(f->tree, &k, 3, &p), 0);
	} while (!p.done || p.purged);
	store_unlock(f->store);
	know_release(&k);
	check_tree(f);
}

static void rm_dir(struct fixture *f, uint64_t dir, const char *name)
{
	assert_int_equal(tree_rmdir(f->tree, dir, SLICE_STR(name)), 0);
}

/* ---- contents that leave */

static void test_saves(void)
{
	make_file(a, ROOT, "f", "one");
	expect(a, ""); /* (what it was born with is empty) */
	write_name(a, "f", "two");
	expect(a, "one:r ");
	write_name(a, "f", "three");
	expect(a, "one:r two:r ");
	/* what is written back is another version, and two left */
	write_name(a, "f", "one");
	expect(a, "one:r two:r three:r ");
	/* the same bytes again: nothing left the file */
	write_name(a, "f", "one");
	expect(a, "one:r two:r three:r ");
	assert_int_equal(totals(a).entries, 3);
	assert_int_equal(totals(a).bytes, 11 + 3 * HIST_ENTRY_BYTES);
}

static void test_merges(void)
{
	make_file(a, ROOT, "f", "one");
	sync_all();
	write_name(a, "f", "two");
	pass(b, a);
	expect(b, "one:m ");
	/* carol takes both at once: she never had the first */
	write_name(b, "f", "three");
	pass(c, b);
	expect(c, "one:m ");
	sync_all();
	expect(a, "one:r two:m ");
	expect(b, "one:m two:r ");
}

static void test_settled(void)
{
	make_conflict("f");
	sync_all();
	rm(b, ROOT, "f"); /* main: a void stands there now */
	sync_all();
	expect_like(a, "conflict", "alice's");
	for (int k = 0; k < 3; k++) {
		char is[256];

		contents(&nodes[k], is, sizeof(is));
		assert_non_null(strstr(is, "bob's:"));
		assert_null(strstr(is, "alice's:"));
	}
}

static void test_save_by_rename(void)
{
	struct objid f;

	make_file(a, ROOT, "f", "one");
	f = id_at(a, "f");
	for (int k = 0; k < 3; k++) {
		char bytes[8];

		snprintf(bytes, sizeof(bytes), "new %d", k);
		make_file(a, ROOT, ".f.tmp", bytes);
		mv(a, ROOT, ".f.tmp", ROOT, "f");
	}
	/* one file all the time, and of the temporaries nothing */
	assert_true(objid_equal(f, id_at(a, "f")));
	expect(a, "one:r new 0:r new 1:r ");
	expect_gone(a, ROOT_ID, "");
}

/* What a temporary was before is history of the file that it becomes, also
 * what only its unsent writes replace. */
static void test_temporary_with_a_past(void)
{
	uint64_t tmp;

	make_file(a, ROOT, "f", "one");
	tmp = make_file(a, ROOT, "tmp", "first draft");
	write_name(a, "tmp", "second draft");
	assert_int_equal(tree_open_file(a->tree, tmp, true), 0);
	assert_int_equal(tree_write(a->tree, tmp, 0, SLICE_STR("a third one!"),
				    false), 0);
	mv(a, ROOT, "tmp", ROOT, "f");
	tree_release_file(a->tree, tmp, true);
	expect_file(a, "f", "a third one!");
	expect(a, "one:r first draft:r second draft:r ");
	expect_gone(a, ROOT_ID, "");
	store_lock(a->store);
	assert_int_equal(store_count(a->store, TABLE_HIST), 3 * 2 + 1);
	store_unlock(a->store);
}

static void test_fork_renames_nothing(void)
{
	uint64_t origin, n0;

	make_file(a, ROOT, "f", "one");
	sync_all();
	origin = replica_origin(a->tree);
	n0 = know_get(replica_know(a->tree), origin);
	write_name(a, "f", "two");
	write_name(a, "f", "three");
	expect(a, "one:r two:r ");
	store_lock(a->store);
	assert_int_equal(replica_begin(a->tree), 0);
	assert_int_equal(replica_end(a->tree, replica_fork(a->tree, origin, n0,
							   NULL)), 0);
	store_unlock(a->store);
	assert_true(replica_origin(a->tree) != origin);
	expect(a, "one:r two:r ");
	write_name(a, "f", "four");
	expect(a, "one:r two:r three:r ");
	sync_all();
}

/* ---- objects that go */

static void test_removed(void)
{
	struct tree_new link = { .kind = KIND_SYMLINK, .perm = 0777,
				 .user = SLICE_STR("root"),
				 .group = SLICE_STR("root"),
				 .target = SLICE_STR("to") };
	struct objid d;
	struct entry e;
	uint64_t dir;

	dir = make_dir(a, ROOT, "d");
	d = id_at(a, "d");
	make_file(a, dir, "f", "one");
	make_file(a, dir, "empty", "");
	assert_int_equal(tree_create(a->tree, dir, SLICE_STR("l"), &link,
				     false, &e), 0);
	sync_all();
	rm(a, dir, "f");
	rm(a, dir, "empty");
	rm(a, dir, "l");
	rm_dir(a, ROOT, "d");
	pass(b, a);
	/* (a dead row has them still) */
	expect(a, "");
	expect_gone(a, ROOT_ID, "");
	purge(a);
	expect(a, "one:x to:x ");
	expect_gone(a, ROOT_ID, "d:2 ");
	expect_gone(a, d, "f:1 empty:1 l:3 ");
	assert_int_equal(totals(a).gone, 4);
	purge(b);
	expect(b, "one:x to:x ");
	expect_gone(b, d, "f:1 empty:1 l:3 ");
}

static void test_removed_at_once(void)
{
	/* Nobody ever heard of it: it goes without a trace, but for this. */
	make_file(a, ROOT, "f", "one");
	rm(a, ROOT, "f");
	expect(a, "one:x ");
	expect_gone(a, ROOT_ID, "f:1 ");
}

static void test_returns(void)
{
	struct object o;
	int r;

	make_file(a, ROOT, "f", "one");
	sync_all();
	rm(a, ROOT, "f");
	purge(a);
	expect_gone(a, ROOT_ID, "f:1 ");
	/* one that was away gives it back as it was */
	row_at(b, "f", &o);
	store_lock(a->store);
	assert_int_equal(replica_begin(a->tree), 0);
	r = replica_row_store(a->tree, &o, 0);
	assert_int_equal(replica_end(a->tree, r), 0);
	store_unlock(a->store);
	object_release(&o);
	expect_file(a, "f", "one");
	expect_gone(a, ROOT_ID, "");
	expect(a, "one:x ");
}

/* ---- how long */

static void test_age(void)
{
	limit(a, 30 * DAY_MS, UINT64_MAX);
	make_file(a, ROOT, "f", "one");
	write_name(a, "f", "two");
	days_pass(a, 20);
	write_name(a, "f", "three");
	make_file(a, ROOT, "g", "gone");
	rm(a, ROOT, "g");
	days_pass(a, 9);
	expect(a, "one:r two:r gone:x ");
	days_pass(a, 2);
	expect(a, "two:r gone:x ");
	expect_gone(a, ROOT_ID, "g:1 ");
	days_pass(a, 20);
	expect(a, "");
	expect_gone(a, ROOT_ID, "");
	assert_int_equal(totals(a).bytes, 0);
	store_lock(a->store);
	assert_int_equal(store_count(a->store, TABLE_HIST), 0);
	store_unlock(a->store);
}

static void test_clock_that_jumps(void)
{
	const int64_t now = a->now_ns;

	limit(a, 30 * DAY_MS, UINT64_MAX);
	make_file(a, ROOT, "f", "one");
	write_name(a, "f", "two");
	/* 70 years ahead and back, four times: four weeks */
	for (int k = 0; k < 4; k++) {
		a->now_ns += (int64_t)(70 * 365 * DAY_MS) * 1000000;
		expire(a);
		a->now_ns = now;
		expire(a);
	}
	expect(a, "one:r ");
	days_pass(a, 3);
	expect(a, "");
}

static void test_bytes(void)
{
	limit(a, 30 * DAY_MS, 4 * (HIST_ENTRY_BYTES + 10));
	make_file(a, ROOT, "f", "version 0");
	for (int k = 1; k < 9; k++) {
		char bytes[16];

		snprintf(bytes, sizeof(bytes), "version %d", k);
		write_name(a, "f", bytes);
	}
	assert_int_equal(totals(a).entries, 8);
	assert_int_equal(expire(a), 4);
	expect(a, "version 4:r version 5:r version 6:r version 7:r ");
	assert_int_equal(expire(a), 0);
	/* more than half of what may be is not for it */
	limit(a, 30 * DAY_MS, 16);
	write_name(a, "f", "a longer content");
	write_name(a, "f", "short");
	assert_int_equal(totals(a).entries, 4);
}

static void test_off(void)
{
	limit(a, 0, UINT64_MAX);
	make_file(a, ROOT, "f", "one");
	write_name(a, "f", "two");
	rm(a, ROOT, "f");
	expect(a, "");
	expect_gone(a, ROOT_ID, "");
	/* and what was kept before goes */
	limit(a, DAY_MS, UINT64_MAX);
	make_file(a, ROOT, "f", "one");
	write_name(a, "f", "two");
	expect(a, "one:r ");
	limit(a, 0, UINT64_MAX);
	expire(a);
	expect(a, "");
}

static void test_one_file_often(void)
{
	struct entry_name last = { 0 };
	struct hist_entry e;
	size_t n = 0, first = 0, whole = 0;
	struct objid id;
	int numbers[HIST_OBJECT_MAX] = { 0 };

	make_file(a, ROOT, "f", "0");
	id = id_at(a, "f");
	for (int k = 1; k <= 2000; k++) {
		char bytes[16];

		snprintf(bytes, sizeof(bytes), "%d", k);
		write_name(a, "f", bytes);
		assert_true(totals(a).entries < HIST_OBJECT_MAX);
	}
	check_tree(a);
	store_lock(a->store);
	while (!hist_next(a->tree, id, n ? &last : NULL, &e)) {
		char text[16] = "";

		last = e.name;
		memcpy(text, e.content.inline_bytes.data, e.content.size);
		numbers[n++] = atoi(text);
	}
	store_unlock(a->store);
	assert_true(n >= HIST_OBJECT_THINNED);
	/* the first, the newest, and between them less and less */
	while (numbers[first] == (int)first)
		first++;
	while (whole < n && numbers[n - 1 - whole] == 1999 - (int)whole)
		whole++;
	assert_in_range(first, 16, 64);
	assert_in_range(whole, HIST_OBJECT_THINNED / 2, 200);
	assert_true(numbers[n - whole - 1] - numbers[n - whole - 2] <
		    numbers[first + 1] - numbers[first - 1]);
}

/* ---- crashes, and what is undone */

static void test_crashes(void)
{
	make_file(a, ROOT, "f", "one");
	write_name(a, "f", "two");
	make_file(a, ROOT, "g", "gone");
	rm(a, ROOT, "g");
	fixture_crash(a);
	expect(a, "one:r gone:x ");
	write_name(a, "f", "three");
	fixture_stop(a);
	fixture_resume(a);
	expect(a, "one:r two:r gone:x ");
	assert_int_equal(totals(a).entries, 3);
}

static void test_undone(void)
{
	struct replica_history before;
	struct hist_entry e = { .id = { { 9 } }, .name = { .hlc = 5,
							   .dot = { 1, 2 } },
				.why = HIST_REPLACED };

	make_file(a, ROOT, "f", "one");
	write_name(a, "f", "two");
	before = totals(a);
	content_inline(SLICE_STR("x"), &e.content);
	store_lock(a->store);
	assert_int_equal(replica_begin(a->tree), 0);
	assert_int_equal(hist_put(a->tree, &e), 0);
	assert_int_equal(replica_end(a->tree, -EIO), -EIO);
	store_unlock(a->store);
	assert_int_equal(totals(a).bytes, before.bytes);
	expect(a, "one:r ");
	/* the same twice counts once, and ends later */
	store_lock(a->store);
	assert_int_equal(replica_begin(a->tree), 0);
	assert_int_equal(hist_put(a->tree, &e), 0);
	e.ended = 77;
	assert_int_equal(hist_put(a->tree, &e), 0);
	assert_int_equal(replica_end(a->tree, 0), 0);
	store_unlock(a->store);
	assert_int_equal(totals(a).entries, 2);
	check_tree(a);
}

/* The check sees what it is there to see. */
static void damage(uint8_t sort)
{
	uint8_t key[STORE_KEY_BYTES_MAX];
	struct slice k, v;
	size_t len;

	store_lock(a->store);
	assert_int_equal(store_op_begin(a->store), 0);
	assert_int_equal(store_seek(a->store, TABLE_HIST, SLICE(&sort, 1), &k,
				    &v), 0);
	assert_int_equal(k.data[0], sort);
	len = k.len;
	memcpy(key, k.data, len);
	assert_int_equal(store_del(a->store, TABLE_HIST, SLICE(key, len)), 0);
	assert_int_equal(store_op_end(a->store), 0);
	store_unlock(a->store);
	assert_int_equal(replica_check(a->tree, NULL), -EUCLEAN);
}

static void make_some(void)
{
	make_file(a, ROOT, "f", "one");
	write_name(a, "f", "two");
	make_file(a, ROOT, "g", "gone");
	rm(a, ROOT, "g");
	check_tree(a);
}

static void test_damaged_entry(void)
{
	make_some();
	damage('v');
}

static void test_damaged_object(void)
{
	make_some();
	damage('o');
}

static void test_damaged_time(void)
{
	make_some();
	damage('t');
}

static void test_damaged_place(void)
{
	make_some();
	damage('p');
}

/* ---- the bytes */

static void test_golden(void)
{
	cleanup(buf_release) struct buf golden = BUF_INIT;
	uint8_t is[1024];
	size_t at = 0, len = 0;
	uint8_t key[STORE_KEY_BYTES_MAX + 1];
	struct hist_entry e = {
		.id = { { 1 } },
		.name = { .hlc = 0x20000, .dot = { 0x1234, 300 },
			  .hash64 = 0x77 },
		.why = HIST_MERGED, .automatic = true, .ended = 0x55,
		.ended_ms = 0x18c, .mtime = { 7, 8 },
		.author = SLICE_STR("bob") };
	struct hist_object none = { .id = { { 1 } }, .entries = 1 };
	struct hist_object o = {
		.id = { { 1 } }, .entries = 1, .gone = true, .ended = 0x56,
		.removed_ms = 0x18d, .removed_hlc = 0x30001,
		.run_hlc = 0x30000, .kind = KIND_FILE, .perm = 0644,
		.main = { 0x20000, { 0x1234, 300 }, 0x77 }, .size = 300,
		.parent = { { 2 } }, .name = SLICE_STR("f"),
		.user = SLICE_STR("u"), .group = SLICE_STR("g"),
		.label = SLICE_STR("alice") };
	struct slice k, v;

	read_golden("hist.hex", &golden);
	content_inline(SLICE_STR("hi"), &e.content);
	store_lock(a->store);
	assert_int_equal(replica_begin(a->tree), 0);
	assert_int_equal(hist_put(a->tree, &e), 0);
	assert_int_equal(hist_object_put(a->tree, &none, &o), 0);
	while (!store_seek(a->store, TABLE_HIST, SLICE(key, len), &k, &v)) {
		memcpy(key, k.data, k.len);
		key[k.len] = 0;
		len = k.len + 1;
		memcpy(is + at, k.data, k.len);
		at += k.len;
		memcpy(is + at, v.data ?: key, v.len);
		at += v.len;
	}
	assert_int_equal(replica_end(a->tree, 0), 0);
	store_unlock(a->store);
	assert_int_equal(at, golden.len);
	assert_memory_equal(is, golden.data, golden.len);
	check_tree(a);
}

static void add_content(struct object *o, uint64_t seq, const char *bytes)
{
	struct version v = { .reg = REG_CONTENT, .hlc = 0x20000,
			     .dot = { 0x1234, seq } };

	content_inline(SLICE_STR(bytes), &v.content.content);
	v.content.rank = (struct stamp){ 0x20000, v.dot, 0 };
	v.content.branch = v.dot;
	v.content.branch_hlc = v.hlc;
	v.content.label = v.content.author = SLICE_STR("bob");
	assert_non_null(object_add(o, &v));
}

static void test_golden_settled(void)
{
	struct entry_name after = { 0x30000, { 0x1234, 303 }, 0x78 };
	const struct objid id = { { 1 } };
	struct hist_settled s;
	struct object before;
	cleanup(buf_release) struct buf golden = BUF_INIT;
	uint8_t key[17] = { 's', 1 };
	struct slice v;

	read_golden("hist-settled.hex", &golden);
	object_init(&before, id);
	add_content(&before, 301, "hi");
	add_content(&before, 302, "ho");
	store_lock(a->store);
	assert_int_equal(replica_begin(a->tree), 0);
	assert_int_equal(hist_settled_put(a->tree, &before, &after), 0);
	assert_int_equal(store_get(a->store, TABLE_HIST,
				   SLICE(key, sizeof(key)), &v), 0);
	assert_int_equal(v.len, golden.len);
	assert_memory_equal(v.data, golden.data, golden.len);
	assert_int_equal(hist_settled_get(a->tree, id, &s), 0);
	assert_int_equal(s.before.count, 2);
	assert_int_equal(entry_name_compare(&s.after, &after), 0);
	hist_settled_release(&s);
	for (size_t k = 0; k < golden.len; k++) {
		assert_int_equal(hist_settled_decode(id,
						     SLICE(golden.data, k),
						     &s), -EUCLEAN);
		hist_settled_release(&s);
	}
	assert_int_equal(hist_settled_del(a->tree, id), 0);
	assert_int_equal(replica_end(a->tree, 0), 0);
	store_unlock(a->store);
	object_release(&before);
	check_tree(a);
}

int main(void)
{
	static const struct scenario list[] = {
		SCENARIO(test_saves),
		SCENARIO(test_merges),
		SCENARIO(test_settled),
		SCENARIO(test_save_by_rename),
		SCENARIO(test_temporary_with_a_past),
		SCENARIO(test_fork_renames_nothing),
		SCENARIO(test_removed),
		SCENARIO(test_removed_at_once),
		SCENARIO(test_returns),
		SCENARIO(test_age),
		SCENARIO(test_clock_that_jumps),
		SCENARIO(test_bytes),
		SCENARIO(test_off),
		SCENARIO(test_one_file_often),
		SCENARIO(test_crashes),
		SCENARIO(test_undone),
		SCENARIO(test_damaged_entry),
		SCENARIO(test_damaged_object),
		SCENARIO(test_damaged_time),
		SCENARIO(test_damaged_place),
		SCENARIO(test_golden),
		SCENARIO(test_golden_settled),
	};

	return scenarios_run(list, ARRAY_SIZE(list));
}
