/* SPDX-License-Identifier: Apache-2.0 */
/* Old versions and what was removed, as people see them: history.h. */
#include "nodes_support.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "fs/tree/history.h"

static struct fixture *const a = &nodes[0], *const b = &nodes[1],
		       *const c = &nodes[2];

static const char state_chars[] = "?=SHXrm";

/* As "BYTES:STATE ", newest first. */
static void expect_log(struct fixture *f, const char *path, const char *want)
{
	struct history_file h;
	char is[1024] = "";
	size_t at = 0;

	assert_int_equal(tree_history(f->tree, SLICE_STR(path), &h), 0);
	for (size_t k = 0; k < h.count; k++) {
		const struct history_version *v = &h.list[k];

		assert_int_equal(v->content.depth, 0);
		assert_true(v->here);
		assert_int_equal(strlen(v->id), HISTORY_ID_CHARS);
		assert_int_equal(v->written_ms, v->hlc >> 16);
		assert_int_equal(v->state >= HISTORY_REMOVED, v->ended_ms != 0);
		at += (size_t)snprintf(is + at, sizeof(is) - at, "%.*s:%c ",
				       (int)v->content.size,
				       (const char *)
				       v->content.inline_bytes.data,
				       state_chars[v->state]);
	}
	assert_string_equal(is, want);
	history_file_release(&h);
}

static int log_error(struct fixture *f, const char *path)
{
	struct history_file h;
	int r = tree_history(f->tree, SLICE_STR(path), &h);

	if (!r)
		history_file_release(&h);
	return r;
}

/* The id of the version with these bytes. */
static void id_with(struct fixture *f, const char *path, const char *bytes,
		    char ret[HISTORY_ID_CHARS + 1])
{
	struct history_file h;
	size_t found = 0;

	assert_int_equal(tree_history(f->tree, SLICE_STR(path), &h), 0);
	for (size_t k = 0; k < h.count; k++)
		if (slice_equal(h.list[k].content.inline_bytes,
				SLICE_STR(bytes))) {
			memcpy(ret, h.list[k].id, HISTORY_ID_CHARS + 1);
			found++;
		}
	assert_true(found);
	history_file_release(&h);
}

static int restore(struct fixture *f, const char *path, const char *bytes,
		   const char *to, char *ret)
{
	char id[HISTORY_ID_CHARS + 1];
	struct history_which which;
	struct buf where = BUF_INIT;
	int r;

	id_with(f, path, bytes, id);
	which = (struct history_which){ .id = SLICE_STR(id) };
	r = tree_history_restore(f->tree, SLICE_STR(path), &which,
				 SLICE_STR(to), &where);
	if (!r && ret)
		snprintf(ret, 256, "%.*s", (int)where.len, where.data);
	buf_release(&where);
	check_tree(f);
	return r;
}

struct told {
	char text[2048];
	size_t at;
};

static int tell(void *arg, const struct history_removed *h)
{
	struct told *t = arg;

	t->at += (size_t)snprintf(t->text + t->at, sizeof(t->text) - t->at,
				  "%.*s", (int)h->name.len, h->name.data);
	if (h->kind == KIND_DIR)
		t->at += (size_t)snprintf(t->text + t->at,
					  sizeof(t->text) - t->at, "/%zu",
					  (size_t)h->files);
	if (h->restored.len && !h->error)
		t->at += (size_t)snprintf(t->text + t->at,
					  sizeof(t->text) - t->at, ">%.*s",
					  (int)h->restored.len,
					  h->restored.data);
	if (h->error || h->failed)
		t->at += (size_t)snprintf(t->text + t->at,
					  sizeof(t->text) - t->at, "!%d",
					  h->error);
	t->at += (size_t)snprintf(t->text + t->at, sizeof(t->text) - t->at,
				  ", ");
	return 0;
}

static void expect_removed(struct fixture *f, const char *dir,
			   const char *want)
{
	struct history_wanted all = { .since_ms = 0 };
	struct told t = { .at = 0 };

	assert_int_equal(tree_removed(f->tree, SLICE_STR(dir), &all, tell,
				      &t), 0);
	assert_string_equal(t.text, want);
}

static void undelete(struct fixture *f, const char *dir, const char *name,
		     const char *want)
{
	struct history_wanted w = { .name = SLICE_STR(name) };
	struct told t = { .at = 0 };

	assert_int_equal(tree_undelete(f->tree, SLICE_STR(dir), &w, tell, &t),
			 0);
	assert_string_equal(t.text, want);
	check_tree(f);
}

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
	do
		assert_int_equal(replica_purge(f->tree, &k, 3, &p), 0);
	while (!p.done || p.purged);
	store_unlock(f->store);
	know_release(&k);
	check_tree(f);
}

static void rm_dir(struct fixture *f, uint64_t dir, const char *name)
{
	assert_int_equal(tree_rmdir(f->tree, dir, SLICE_STR(name)), 0);
}

static void pass_time(struct fixture *f, int seconds)
{
	f->now_ns += seconds * INT64_C(1000000000);
}

/* ---- log */

static void test_log(void)
{
	char sibling[256];

	make_file(a, ROOT, "f", "one");
	write_name(a, "f", "two");
	sync_all();
	expect_log(a, "f", "two:= one:r ");
	expect_log(b, "f", "two:= ");
	write_name(b, "f", "three");
	sync_all();
	expect_log(a, "f", "three:= two:m one:r ");
	expect_log(b, "f", "three:= two:r ");
	expect_log(c, "f", "three:= two:m ");
	assert_int_equal(log_error(a, "g"), -ENOENT);
	assert_int_equal(log_error(a, "f/g"), -ENOTDIR);
	assert_int_equal(log_error(a, ""), -EISDIR);
	/* in conflict: of main and of a sibling the same */
	write_name(a, "f", "alice's");
	later(b, a);
	write_name(b, "f", "bob's");
	sync_all();
	name_with(c, ROOT, "conflict", sibling);
	expect_log(c, "f", "bob's:= alice's:S three:m two:m ");
	expect_log(c, sibling, "bob's:= alice's:S three:m two:m ");
}

static void test_log_of_removed(void)
{
	uint64_t d = make_dir(a, ROOT, "d");

	make_file(a, d, "f", "one");
	write_file(a, look(a, d, "f"), "two");
	sync_all();
	rm(a, d, "f");
	expect_log(a, "d/f", "two:X one:r ");
	rm_dir(a, ROOT, "d");
	expect_log(a, "d/f", "two:X one:r ");
	purge(a);
	expect_log(a, "d/f", "two:X one:r ");
	/* another of that name is another file */
	d = make_dir(a, ROOT, "d");
	assert_int_equal(log_error(a, "d/f"), -ENOENT);
	make_file(a, d, "f", "other");
	expect_log(a, "d/f", "other:= ");
	/* ... but where it was it is told of, too */
	rm(a, d, "f");
	make_file(a, d, "f", "third");
	expect_log(a, "d/f", "third:= other:X ");
	assert_int_equal(restore(a, "d/f", "other", "", NULL), 0);
	expect_log(a, "d/f", "other:= third:r other:X ");
}

/* Ids are the same everywhere, and prefixes of them do; so do times. */
static void test_choose(void)
{
	char id[HISTORY_ID_CHARS + 1], other[HISTORY_ID_CHARS + 1];
	const struct history_version *v;
	struct history_which w;
	struct history_file h;
	uint64_t between;

	make_file(a, ROOT, "f", "one");
	sync_all();
	id_with(a, "f", "one", id);
	pass_time(a, 10);
	between = (uint64_t)(a->now_ns / 1000000);
	pass_time(a, 10);
	write_name(a, "f", "two");
	sync_all();
	id_with(b, "f", "one", other);
	assert_string_equal(id, other);
	assert_int_equal(tree_history(b->tree, SLICE_STR("f"), &h), 0);
	for (size_t n = 4; n <= HISTORY_ID_CHARS; n++) {
		w = (struct history_which){ .id = SLICE(id, n) };
		assert_int_equal(history_choose(&h, &w, &v), 0);
		assert_string_equal(v->id, id);
	}
	w = (struct history_which){ .id = SLICE_STR("nothing") };
	assert_int_equal(history_choose(&h, &w, &v), -ESRCH);
	w = (struct history_which){ .at_ms = between };
	assert_int_equal(history_choose(&h, &w, &v), 0);
	assert_string_equal(v->id, id);
	w.at_ms = UINT64_MAX;
	assert_int_equal(history_choose(&h, &w, &v), 0);
	assert_int_equal(v->state, HISTORY_MAIN);
	w.at_ms = 1;
	assert_int_equal(history_choose(&h, &w, &v), -ESRCH);
	/* two that begin alike are not one */
	memcpy(h.list[0].id, h.list[1].id, 4);
	w = (struct history_which){ .id = SLICE(id, 4) };
	assert_int_equal(history_choose(&h, &w, &v), -ENOTUNIQ);
	history_file_release(&h);
}

/* ---- restore */

static void test_restore(void)
{
	char where[256];

	make_file(a, ROOT, "f", "one");
	write_name(a, "f", "two");
	assert_int_equal(restore(a, "f", "one", "", where), 0);
	assert_string_equal(where, "f");
	expect_file(a, "f", "one");
	expect_log(a, "f", "one:= two:r one:r ");
	sync_all();
	expect_file(b, "f", "one");
	/* what is there already is no new version */
	assert_int_equal(restore(b, "f", "one", "", NULL), 0);
	expect_log(b, "f", "one:= ");
}

static void test_restore_sibling(void)
{
	char name[256], where[256];

	make_conflict("f");
	sync_all();
	name_with(a, ROOT, "conflict", name);
	assert_int_equal(restore(a, name, "base", "", where), 0);
	assert_string_equal(where, name);
	expect_file(a, "f", "bob's");
	expect_file(a, name, "base");
	sync_all();
}

static void test_restore_elsewhere(void)
{
	make_file(a, ROOT, "f", "one");
	make_dir(a, ROOT, "d");
	write_name(a, "f", "two");
	assert_int_equal(restore(a, "f", "one", "d/g", NULL), 0);
	expect_bytes(a, look(a, look(a, ROOT, "d"), "g"), "one");
	expect_file(a, "f", "two");
	assert_int_equal(restore(a, "f", "one", "d/g", NULL), -EEXIST);
	assert_int_equal(restore(a, "f", "one", "x/g", NULL), -ENOTDIR);
	rm(a, ROOT, "f");
	assert_int_equal(restore(a, "f", "one", "f2", NULL), 0);
	expect_file(a, "f2", "one");
	sync_all();
	expect_file(c, "f2", "one");
}

static void restore_removed(bool gone)
{
	make_file(a, ROOT, "f", "one");
	sync_all();
	write_name(a, "f", "two");
	sync_all();
	rm(a, ROOT, "f");
	if (gone)
		purge(a);
	make_file(a, ROOT, "g", "");
	assert_int_equal(restore(a, "f", "one", "", NULL), 0);
	expect_file(a, "f", "one");
	expect_removed(a, "", "");
	expect_log(a, "f", gone ? "one:= two:X one:r " :
				  "one:= two:r one:r ");
	rm(a, ROOT, "f");
	mv(a, ROOT, "g", ROOT, "f");
	if (!gone)
		assert_int_equal(restore(a, "f", "", "", NULL), 0);
}

static void test_restore_dead(void)
{
	restore_removed(false);
	sync_all();
}

static void test_restore_gone(void)
{
	restore_removed(true);
}

/* ---- undelete */

static void make_tree(void)
{
	uint64_t d = make_dir(a, ROOT, "d"), e = make_dir(a, d, "e");

	make_file(a, d, "old", "removed long before");
	make_file(a, d, "f", "one");
	make_file(a, e, "g", "two");
	make_file(a, e, "empty", "");
	make_dir(a, e, "nothing");
	sync_all();
	rm(a, d, "old");
	pass_time(a, 3600);
	sync_all();
}

static void rm_tree(void)
{
	uint64_t d = look(a, ROOT, "d"), e = look(a, d, "e");

	rm_dir(a, e, "nothing");
	rm(a, e, "empty");
	rm(a, e, "g");
	rm_dir(a, d, "e");
	rm(a, d, "f");
	rm_dir(a, ROOT, "d");
}

static void expect_tree(struct fixture *f, const char *name)
{
	uint64_t d = look(f, ROOT, name), e = look(f, d, "e");

	expect_bytes(f, look(f, d, "f"), "one");
	expect_bytes(f, look(f, e, "g"), "two");
	expect_bytes(f, look(f, e, "empty"), "");
	assert_int_equal(list(f, look(f, e, "nothing"), NULL, 0), 0);
	assert_int_equal(list(f, d, NULL, 0), 2);
}

static void test_tree(void)
{
	make_tree();
	rm_tree();
	expect_removed(a, "", "d/3, ");
	undelete(a, "", "d", "d/3>d, ");
	expect_tree(a, "d");
	expect_removed(a, "", "");
	expect_removed(a, "d", "old, ");
	sync_all();
	expect_tree(b, "d");
	expect_same(a, b);
	undelete(b, "d", "", "old>old, ");
	sync_all();
}

static void test_tree_gone(void)
{
	make_tree();
	rm_tree();
	pass(b, a);
	pass(c, a);
	purge(a);
	purge(b);
	expect_removed(b, "", "d/3, ");
	undelete(b, "", "d", "d/3>d, ");
	expect_tree(b, "d");
	expect_removed(b, "", "");
	pass(a, b);
	expect_tree(a, "d");
	/* it can go and come again */
	rm_tree();
	undelete(a, "", "d", "d/3>d, ");
	expect_tree(a, "d");
}

static void test_names_taken(void)
{
	make_file(a, ROOT, "f.txt", "one");
	rm(a, ROOT, "f.txt");
	make_file(a, ROOT, "f.txt", "two");
	rm(a, ROOT, "f.txt");
	make_file(a, ROOT, "f.txt", "three");
	expect_removed(a, "", "f.txt, f.txt, ");
	undelete(a, "", "f.txt", "f.txt>f (restored).txt, ");
	expect_file(a, "f (restored).txt", "two");
	undelete(a, "", "", "f.txt>f (restored 2).txt, ");
	expect_file(a, "f (restored 2).txt", "one");
	expect_file(a, "f.txt", "three");
	undelete(a, "", "", "");
}

static void test_long_name(void)
{
	char name[256], want[600];

	/* 2 bytes a character, and none of them is cut */
	for (int k = 0; k < 127; k++)
		memcpy(name + 2 * k, "\xc3\xa4", 2);
	name[254] = '\0';
	make_file(a, ROOT, name, "one");
	rm(a, ROOT, name);
	make_file(a, ROOT, name, "two");
	/* (244 bytes and the mark) */
	snprintf(want, sizeof(want), "%s>%.244s (restored), ", name, name);
	undelete(a, "", name, want);
}

static void test_since(void)
{
	struct history_wanted w = { .since_ms = 0 };
	struct told t = { .at = 0 };

	make_file(a, ROOT, "f", "one");
	make_file(a, ROOT, "g", "two");
	rm(a, ROOT, "f");
	pass_time(a, 60);
	w.since_ms = (uint64_t)(a->now_ns / 1000000);
	rm(a, ROOT, "g");
	assert_int_equal(tree_undelete(a->tree, SLICE_STR(""), &w, tell, &t),
			 0);
	assert_string_equal(t.text, "g>g, ");
	expect_file(a, "g", "two");
	assert_int_equal(look_error(a, ROOT, "f"), -ENOENT);
}

static void test_no_directory(void)
{
	struct history_wanted w = { .since_ms = 0 };
	struct told t = { .at = 0 };

	make_file(a, ROOT, "f", "one");
	assert_int_equal(tree_undelete(a->tree, SLICE_STR("f"), &w, tell, &t),
			 -ENOTDIR);
	assert_int_equal(tree_removed(a->tree, SLICE_STR("d"), &w, tell, &t),
			 -ENOENT);
}

/* What was not kept does not come back as something else. */
static void test_not_kept(void)
{
	struct replica_history_limits l = { UINT64_MAX, 20 };

	make_file(a, ROOT, "f", "more than half of what may be");
	make_file(a, ROOT, "g", "something");
	write_name(a, "g", "more than half of what may be");
	make_file(a, ROOT, "h", "something");
	write_name(a, "h", "");
	sync_all();
	store_lock(a->store);
	replica_set_history(a->tree, &l);
	store_unlock(a->store);
	rm(a, ROOT, "f");
	rm(a, ROOT, "g");
	rm(a, ROOT, "h");
	purge(a);
	undelete(a, "", "f", "f!-61, ");
	undelete(a, "", "g", "g!-61, ");
	undelete(a, "", "h", "h>h, ");
	expect_file(a, "h", "");
	expect_removed(a, "", "g, f, ");
	assert_int_equal(look_error(a, ROOT, "f"), -ENOENT);
}

/* Many, in more than one operation. */
static void test_many(void)
{
	uint64_t d = make_dir(a, ROOT, "many");
	char name[16];

	for (int k = 0; k < 300; k++) {
		snprintf(name, sizeof(name), "%d", k);
		make_file(a, d, name, name);
	}
	sync_all();
	for (int k = 0; k < 300; k++) {
		snprintf(name, sizeof(name), "%d", k);
		rm(a, d, name);
	}
	rm_dir(a, ROOT, "many");
	purge(a);
	undelete(a, "", "many", "many/300>many, ");
	d = look(a, ROOT, "many");
	assert_int_equal(list(a, d, NULL, 0), 300);
	for (int k = 0; k < 300; k++) {
		snprintf(name, sizeof(name), "%d", k);
		expect_bytes(a, look(a, d, name), name);
	}
}

static int tell_and_purge(void *arg, const struct history_removed *h)
{
	purge(a);
	return tell(arg, h);
}

/* What was listed as dead rows is purged while it is put back. */
static void test_purged_meanwhile(void)
{
	struct history_wanted all = { .since_ms = 0 };
	struct told t = { .at = 0 };

	for (int k = 0; k < 3; k++) {
		char name[8];
		uint64_t d;

		snprintf(name, sizeof(name), "d%d", k);
		d = make_dir(a, ROOT, name);
		make_file(a, d, "f", name);
		make_file(a, ROOT, name + 1, "x");
		rm(a, ROOT, name + 1);
		rm(a, d, "f");
		rm_dir(a, ROOT, name);
	}
	assert_int_equal(tree_undelete(a->tree, SLICE_STR(""), &all,
				       tell_and_purge, &t), 0);
	assert_string_equal(t.text, "d2/1>d2, 2>2, d1/1>d1, 1>1, d0/1>d0, "
				    "0>0, ");
	for (int k = 0; k < 3; k++) {
		char name[8];

		snprintf(name, sizeof(name), "d%d", k);
		expect_bytes(a, look(a, look(a, ROOT, name), "f"), name);
		expect_bytes(a, look(a, ROOT, name + 1), "x");
	}
	check_tree(a);
}

int main(void)
{
	static const struct scenario list[] = {
		SCENARIO(test_log),
		SCENARIO(test_log_of_removed),
		SCENARIO(test_choose),
		SCENARIO(test_restore),
		SCENARIO(test_restore_sibling),
		SCENARIO(test_restore_elsewhere),
		SCENARIO(test_restore_dead),
		SCENARIO(test_restore_gone),
		SCENARIO(test_tree),
		SCENARIO(test_tree_gone),
		SCENARIO(test_names_taken),
		SCENARIO(test_long_name),
		SCENARIO(test_since),
		SCENARIO(test_no_directory),
		SCENARIO(test_not_kept),
		SCENARIO(test_many),
		SCENARIO(test_purged_meanwhile),
	};

	return scenarios_run(list, ARRAY_SIZE(list));
}
