/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Policies: their text, which one holds where, and those that are view:
 * whatever comes first, the conflict, the policy or the move, all nodes show
 * the same; what is hidden is there, and comes back; a write replaces what
 * was known when it was made, and no more.
 */
#include <errno.h>
#include <stdio.h>

#include "fs/tree/decided.h"
#include "fs/tree/op.h"
#include "fs/tree/policy.h"
#include "nodes_support.h"

static struct fixture *const a = &nodes[0], *const b = &nodes[1],
		       *const c = &nodes[2];

static int set_error(struct fixture *f, uint64_t ino, const char *text)
{
	return tree_setxattr(f->tree, ino, SLICE_STR(XATTR_POLICY),
			     SLICE_STR(text), 0);
}

static enum policy_rule rule_at(struct fixture *f, uint64_t ino)
{
	struct policy_found p;

	assert_int_equal(tree_policy(f->tree, ino, &p), 0);
	return p.policy.rule;
}

static int count_hidden(void *arg, const struct policy_hidden *h)
{
	(void)h;
	++*(size_t *)arg;
	return 0;
}

static size_t hidden(struct fixture *f)
{
	size_t n = 0;

	assert_int_equal(tree_policy_hidden(f->tree, count_hidden, &n), 0);
	return n;
}

static void all_show(const char *file, const char *bytes, size_t hides)
{
	for (int k = 0; k < 3; k++) {
		expect_file(&nodes[k], file, bytes);
		assert_int_equal(hidden(&nodes[k]), hides);
		assert_int_equal(tree_conflict_count(nodes[k].tree), 0);
	}
}

/* ---- all of them */

static int put_set(void *arg, const struct policy_set *p)
{
	buf_printf(arg, "/%.*s %.*s%s\n", (int)p->path.len,
		   (const char *)p->path.data, (int)p->text.len,
		   (const char *)p->text.data,
		   p->understood ? "" : " (not understood)");
	return 0;
}

static int stop(void *arg, const struct policy_set *p)
{
	(void)arg;
	(void)p;
	return -EXDEV;
}

/* As lines, in the order of their bytes: ids have none that a test knows. */
static void expect_sets(struct fixture *f, size_t max, int more,
			const char *text)
{
	cleanup(buf_release) struct buf got = BUF_INIT;
	size_t lines = 0;

	assert_int_equal(tree_policies(f->tree, max, put_set, &got), more);
	buf_put_u8(&got, '\0');
	assert_int_equal(buf_error(&got), 0);
	for (const char *at = text; *at; at = strchr(at, '\n') + 1) {
		char line[200];

		snprintf(line, sizeof(line), "%.*s",
			 (int)(strchr(at, '\n') + 1 - at), at);
		if (!strstr((const char *)got.data, line))
			fail_msg("no %sin:\n%s", line, (char *)got.data);
		lines++;
	}
	for (const char *at = (const char *)got.data; *at; at++)
		lines -= *at == '\n';
	assert_int_equal(lines, 0);
}

/* ---- the text */

static void test_parse(void **state)
{
	static const struct {
		const char *text;
		enum policy_rule rule; /* 0: not valid */
	} all[] = {
		{ "keep", POLICY_KEEP },
		{ "latest", POLICY_LATEST },
		{ "merge", POLICY_MERGE },
		{ "union", POLICY_UNION },
		{ "node:alice", POLICY_NODE },
		{ "node:alice,bob,c-3.x_Y", POLICY_NODE },
		{ "hook:merge-text", POLICY_HOOK },
		{ "hook:A.b_c-9", POLICY_HOOK },
		{ "hook:a@office", POLICY_HOOK },
		{ "hook:a@", 0 },
		{ "hook:@office", 0 },
		{ "hook:a@b@c", 0 },
		{ "hook:a@b,c", 0 },
		{ "hook:a@abcdefghijklmnopqrstuvwxyz0123456", 0 },
		{ "", 0 },
		{ "Latest", 0 },
		{ "latest ", 0 },
		{ " latest", 0 },
		{ "latest\n", 0 },
		{ "late", 0 },
		{ "keep,latest", 0 },
		{ "node", 0 },
		{ "node:", 0 },
		{ "node:,alice", 0 },
		{ "node:alice,", 0 },
		{ "node:alice,,bob", 0 },
		{ "node:a b", 0 },
		{ "node:abcdefghijklmnopqrstuvwxyz0123456", 0 },
		{ "hook:", 0 },
		{ "hook:.hidden", 0 },
		{ "hook:../x", 0 },
		{ "hook:a/b", 0 },
		{ "hook:a b", 0 },
		{ "hook:a;b", 0 },
	};
	char text[POLICY_BYTES_MAX] = "hook:";
	struct policy p;

	(void)state;
	for (size_t k = 0; k < ARRAY_SIZE(all); k++) {
		p = (struct policy){ .label_count = 77 };
		assert_int_equal(policy_parse(SLICE_STR(all[k].text), &p),
				 all[k].rule ? 0 : -EINVAL);
		assert_int_equal(p.rule, all[k].rule);
		if (!all[k].rule)
			assert_int_equal(p.label_count, 77);
	}
	assert_int_equal(policy_parse(SLICE_STR("node:alice,bob"), &p), 0);
	assert_int_equal(p.label_count, 2);
	assert_string_equal(p.labels[0], "alice");
	assert_string_equal(p.labels[1], "bob");
	assert_int_equal(policy_parse(SLICE_STR("hook:x.y"), &p), 0);
	assert_string_equal(p.hook, "x.y");
	assert_int_equal(policy_parse(SLICE("latest\0", 7), &p), -EINVAL);
	memset(text + 5, 'n', 65);
	assert_int_equal(policy_parse(SLICE(text, 5 + 64), &p), 0);
	assert_int_equal(policy_parse(SLICE(text, 5 + 65), &p), -EINVAL);
	memcpy(text, "node:", 5);
	for (int k = 0; k < 17; k++)
		memcpy(text + 5 + 2 * k, "x,", 2);
	assert_int_equal(policy_parse(SLICE(text, 5 + 2 * 16 - 1), &p), 0);
	assert_int_equal(p.label_count, 16);
	assert_int_equal(policy_parse(SLICE(text, 5 + 2 * 17 - 1), &p),
			 -EINVAL);
}

/* ---- which holds */

static void where_it_holds(void)
{
	uint64_t d = make_dir(a, ROOT, "d"), e = make_dir(a, d, "e");
	uint64_t file = make_file(a, e, "f", "x");
	struct policy_found p;

	assert_int_equal(rule_at(a, file), POLICY_KEEP);
	assert_int_equal(tree_policy(a->tree, file, &p), 0);
	assert_false(p.set);
	set_policy(a, ROOT, "union");
	assert_int_equal(rule_at(a, file), POLICY_UNION);
	assert_int_equal(rule_at(a, ROOT), POLICY_UNION);
	set_policy(a, d, "hook:fold");
	assert_int_equal(rule_at(a, file), POLICY_HOOK);
	assert_int_equal(tree_policy(a->tree, e, &p), 0);
	assert_true(p.set && p.understood && p.dir == d);
	assert_string_equal(p.policy.hook, "fold");
	assert_int_equal(p.text_len, 9);
	assert_memory_equal(p.text, "hook:fold", 9);
	set_policy(a, e, "keep");
	assert_int_equal(rule_at(a, file), POLICY_KEEP);
	expect_sets(a, 3, 0, "/ union\n/d hook:fold\n/d/e keep\n");
	assert_int_equal(tree_policies(a->tree, 3, stop, NULL), -EXDEV);
	assert_int_equal(tree_policies(a->tree, 0, stop, NULL), 1);
	/* Nothing that is no rule, and only directories. */
	assert_int_equal(set_error(a, e, "newest"), -EINVAL);
	assert_int_equal(set_error(a, e, ""), -EINVAL);
	assert_int_equal(set_error(a, file, "latest"), -EINVAL);
	assert_int_equal(tree_policy(a->tree, e, &p), 0);
	assert_int_equal(p.dir, e);
	set_policy(a, e, NULL);
	assert_int_equal(rule_at(a, file), POLICY_HOOK);
	sync_all();
	for (int k = 0; k < 3; k++)
		assert_int_equal(rule_at(&nodes[k],
					 look(&nodes[k], ROOT, "d")),
				 POLICY_HOOK);
	expect_sets(c, 3, 0, "/ union\n/d hook:fold\n");
	mv(b, ROOT, "d", ROOT, "g");
	expect_sets(b, 3, 0, "/ union\n/g hook:fold\n");
	set_policy(b, look(b, ROOT, "g"), NULL);
	set_policy(b, make_dir(b, ROOT, "gone"), "latest");
	expect_sets(b, 3, 0, "/ union\n/gone latest\n");
	assert_int_equal(tree_rmdir(b->tree, ROOT, SLICE_STR("gone")), 0);
	expect_sets(b, 3, 0, "/ union\n");
	sync_all();
	for (int k = 0; k < 3; k++)
		assert_int_equal(rule_at(&nodes[k],
					 look(&nodes[k], ROOT, "g")),
				 POLICY_UNION);
	expect_sets(c, 3, 0, "/ union\n");
	fixture_crash(a);
	assert_int_equal(rule_at(a, look(a, ROOT, "g")), POLICY_UNION);
}

/* Directories of one name that are shown as one have one policy. */
static void of_merged(void)
{
	struct policy_found p;
	char line[64];

	set_policy(a, make_dir(a, ROOT, "m"), "latest");
	set_policy(b, make_dir(b, ROOT, "m"), "union");
	sync_all();
	assert_int_equal(tree_policy(c->tree, look(c, ROOT, "m"), &p), 0);
	snprintf(line, sizeof(line), "/m %.*s\n", (int)p.text_len,
		 (const char *)p.text);
	for (int k = 0; k < 3; k++)
		expect_sets(&nodes[k], 3, 0, line);
}

/* A newer kinfs may have more words: here it is as keep, and stands. */
static void not_understood(void)
{
	struct slice text = SLICE_STR("majority;of=3");
	uint64_t d;
	struct policy_found p;
	struct inoref ref;

	make_conflict("f");
	set_policy(a, ROOT, "latest");
	sync_all();
	all_show("f", "bob's", 1);
	assert_int_equal(op_begin(a->tree), 0);
	assert_int_equal(ino_get(a->tree, ROOT, &ref), 0);
	assert_int_equal(op_end(a->tree,
				object_setxattr(a->tree, ref.id,
						SLICE_STR(XATTR_POLICY),
						&text)), 0);
	sync_all();
	for (int k = 0; k < 3; k++) {
		assert_int_equal(entries(&nodes[k]), 2);
		assert_int_equal(tree_policy(nodes[k].tree, ROOT, &p), 0);
		assert_true(p.set && !p.understood);
		assert_int_equal(p.policy.rule, POLICY_KEEP);
		assert_int_equal(p.text_len, text.len);
		expect_sets(&nodes[k], 3, 0,
			    "/ majority;of=3 (not understood)\n");
	}
	/* The nearest holds, also when it is not understood. */
	d = make_dir(b, ROOT, "d");
	assert_int_equal(rule_at(b, d), POLICY_KEEP);
}

/* ---- latest */

/* The newest, which is not main by rank. */
static void latest_by_key(void)
{
	char name[256];

	make_conflict("f");
	sync_all();
	later(a, b);
	name_with(a, ROOT, "conflict alice", name);
	write_name(a, name, "alice's second");
	sync_all();
	for (int k = 0; k < 3; k++) {
		expect_file(&nodes[k], "f", "bob's");
		expect_like(&nodes[k], "conflict alice", "alice's second");
	}
	set_policy(c, ROOT, "latest");
	expect_file(c, "f", "alice's second");
	assert_int_equal(entries(c), 1);
	sync_all();
	all_show("f", "alice's second", 1);
	/* And all is as it was when it ends. */
	set_policy(b, ROOT, NULL);
	sync_all();
	for (int k = 0; k < 3; k++) {
		char again[256];

		expect_file(&nodes[k], "f", "bob's");
		expect_like(&nodes[k], "conflict alice", "alice's second");
		name_with(&nodes[k], ROOT, "conflict alice", again);
		assert_string_equal(again, name);
	}
}

static void latest_before(void)
{
	uint64_t d = make_dir(a, ROOT, "d");

	make_file(a, d, "f", "base");
	set_policy(a, d, "latest");
	sync_all();
	write_file(a, look(a, look(a, ROOT, "d"), "f"), "alice's");
	later(b, a);
	write_file(b, look(b, look(b, ROOT, "d"), "f"), "bob's");
	later(c, b);
	write_file(c, look(c, look(c, ROOT, "d"), "f"), "carol's");
	sync_all();
	for (int k = 0; k < 3; k++) {
		uint64_t at = look(&nodes[k], ROOT, "d");

		expect_bytes(&nodes[k], look(&nodes[k], at, "f"), "carol's");
		assert_int_equal(list(&nodes[k], at, NULL, 0), 1);
		assert_int_equal(hidden(&nodes[k]), 2);
		assert_int_equal(tree_conflict_count(nodes[k].tree), 0);
	}
}

/* The conflict at one node, the policy at another. */
static void latest_beside(void)
{
	make_file(a, ROOT, "f", "base");
	sync_all();
	write_name(a, "f", "alice's");
	later(b, a);
	write_name(b, "f", "bob's");
	set_policy(c, ROOT, "latest");
	sync_all();
	all_show("f", "bob's", 1);
	fixture_crash(c);
	check_tree(c);
	expect_file(c, "f", "bob's");
	assert_int_equal(hidden(c), 1);
}

static void write_replaces_all(void)
{
	make_conflict("f");
	set_policy(c, ROOT, "latest");
	sync_all();
	all_show("f", "bob's", 1);
	write_name(c, "f", "carol's");
	assert_int_equal(hidden(c), 0);
	sync_all();
	all_show("f", "carol's", 0);
	set_policy(a, ROOT, NULL);
	sync_all();
	for (int k = 0; k < 3; k++) {
		assert_int_equal(entries(&nodes[k]), 1);
		expect_file(&nodes[k], "f", "carol's");
	}
}

/* An editor's save, by a temporary file. */
static void save_replaces_all(void)
{
	make_conflict("f");
	set_policy(a, ROOT, "latest");
	sync_all();
	make_file(c, ROOT, "f.tmp", "carol's");
	mv(c, ROOT, "f.tmp", ROOT, "f");
	check_tree(c);
	assert_int_equal(hidden(c), 0);
	sync_all();
	all_show("f", "carol's", 0);
	for (int k = 0; k < 3; k++)
		assert_int_equal(entries(&nodes[k]), 1);
}

/* Removed is removed: nothing that was hidden pops up. */
static void removal(void)
{
	make_conflict("f");
	set_policy(c, ROOT, "latest");
	sync_all();
	rm(a, ROOT, "f");
	assert_int_equal(entries(a), 0);
	sync_all();
	for (int k = 0; k < 3; k++)
		assert_int_equal(entries(&nodes[k]), 0);
	set_policy(b, ROOT, NULL);
	sync_all();
	for (int k = 0; k < 3; k++)
		assert_int_equal(entries(&nodes[k]), 0);
}

/* A main that was removed before stays so. */
static void removed_main(void)
{
	make_file(a, ROOT, "f", "base");
	sync_all();
	write_name(a, "f", "alice's");
	later(b, a);
	write_name(b, "f", "bob's");
	later(c, b);
	write_name(c, "f", "carol's");
	sync_all();
	rm(a, ROOT, "f");
	sync_all();
	for (int k = 0; k < 3; k++)
		assert_int_equal(entries(&nodes[k]), 2);
	set_policy(a, ROOT, "latest");
	sync_all();
	for (int k = 0; k < 3; k++) {
		assert_int_equal(entries(&nodes[k]), 1);
		expect_like(&nodes[k], "conflict bob", "bob's");
		assert_int_equal(look_error(&nodes[k], ROOT, "f"), -ENOENT);
		assert_int_equal(hidden(&nodes[k]), 1);
	}
	/* Its last name goes by removing what is shown. */
	{
		char name[256];

		name_with(c, ROOT, "conflict bob", name);
		rm(c, ROOT, name);
	}
	sync_all();
	for (int k = 0; k < 3; k++)
		assert_int_equal(entries(&nodes[k]), 0);
}

/* ---- the mtime is that of the content */

static int64_t mtime_of(struct fixture *f, const char *file)
{
	struct attr at;

	assert_int_equal(tree_getattr(f->tree, look(f, ROOT, file), &at), 0);
	return at.mtime.tv_sec;
}

static void mtime_follows(void)
{
	int64_t alice;

	make_file(a, ROOT, "f", "base");
	sync_all();
	a->now_ns += 5000000000;
	write_name(a, "f", "alice's");
	alice = mtime_of(a, "f");
	later(b, a);
	write_name(b, "f", "bob's");
	assert_int_not_equal(mtime_of(b, "f"), alice);
	set_policy(c, ROOT, "node:alice");
	sync_all();
	for (int k = 0; k < 3; k++)
		assert_int_equal(mtime_of(&nodes[k], "f"), alice);
}

/* ---- node */

static void node_first(void)
{
	make_file(a, ROOT, "f", "base");
	sync_all();
	write_name(a, "f", "alice's");
	later(b, a);
	write_name(b, "f", "bob's");
	later(c, b);
	write_name(c, "f", "carol's");
	set_policy(c, ROOT, "node:alice,bob");
	sync_all();
	all_show("f", "alice's", 2);
	set_policy(b, ROOT, "node:nobody,bob,alice");
	sync_all();
	all_show("f", "bob's", 2);
	/* None of them wrote it: as keep. */
	set_policy(a, ROOT, "node:nobody");
	sync_all();
	for (int k = 0; k < 3; k++) {
		assert_int_equal(entries(&nodes[k]), 3);
		assert_int_equal(hidden(&nodes[k]), 0);
		assert_int_equal(tree_conflict_count(nodes[k].tree), 1);
	}
	set_policy(a, ROOT, "node:carol");
	sync_all();
	all_show("f", "carol's", 2);
	write_name(a, "f", "all of it");
	sync_all();
	all_show("f", "all of it", 0);
}

/* The newest of that node, when it wrote several. */
static void newest_of_node(void)
{
	char name[256];

	make_conflict("f");
	sync_all();
	later(a, b);
	/* alice goes on with bob's; her own older one stays a sibling. */
	write_name(a, "f", "alice's of bob's");
	sync_all();
	for (int k = 0; k < 3; k++)
		assert_int_equal(entries(&nodes[k]), 2);
	set_policy(b, ROOT, "node:alice");
	sync_all();
	all_show("f", "alice's of bob's", 1);
	set_policy(b, ROOT, NULL);
	name_with(b, ROOT, "conflict alice", name);
	later(b, a);
	write_name(b, name, "bob's of alice's");
	sync_all();
	set_policy(c, ROOT, "node:bob");
	sync_all();
	all_show("f", "bob's of alice's", 1);
}

/* ---- moves */

static void move_of_file(void)
{
	uint64_t d = make_dir(a, ROOT, "d");

	set_policy(a, d, "latest");
	make_conflict("f");
	sync_all();
	for (int k = 0; k < 3; k++)
		assert_int_equal(entries(&nodes[k]), 3);
	mv(c, ROOT, "f", look(c, ROOT, "d"), "f");
	check_tree(c);
	assert_int_equal(hidden(c), 1);
	sync_all();
	for (int k = 0; k < 3; k++) {
		assert_int_equal(entries(&nodes[k]), 1);
		assert_int_equal(list(&nodes[k], look(&nodes[k], ROOT, "d"),
				      NULL, 0), 1);
		assert_int_equal(hidden(&nodes[k]), 1);
	}
	mv(b, look(b, ROOT, "d"), "f", ROOT, "g");
	assert_int_equal(entries(b), 3);
	sync_all();
	for (int k = 0; k < 3; k++) {
		assert_int_equal(entries(&nodes[k]), 3);
		assert_int_equal(hidden(&nodes[k]), 0);
	}
}

/* What the policy shows of it goes with it, though it is not main of all. */
static void move_of_chosen(void)
{
	uint64_t d = make_dir(a, ROOT, "d"), to;

	make_file(a, d, "f", "base");
	sync_all();
	write_file(a, look(a, d, "f"), "alice's");
	later(b, a);
	write_file(b, look(b, look(b, ROOT, "d"), "f"), "bob's");
	sync_all();
	set_policy(c, look(c, ROOT, "d"), "node:alice");
	sync_all();
	to = look(a, look(a, ROOT, "d"), "f");
	expect_bytes(a, to, "alice's");
	mv(a, look(a, ROOT, "d"), "f", ROOT, "f");
	sync_all();
	for (int k = 0; k < 3; k++) {
		expect_file(&nodes[k], "f", "alice's");
		expect_like(&nodes[k], "f (conflict bob ", "bob's");
		assert_int_equal(hidden(&nodes[k]), 0);
	}
}

/* One dir moves into what another node gives a policy. */
static void move_of_directory(void)
{
	uint64_t d = make_dir(a, ROOT, "d"), e = make_dir(a, d, "e");

	make_dir(a, ROOT, "p");
	make_file(a, e, "f", "base");
	sync_all();
	write_file(a, look(a, e, "f"), "alice's");
	later(b, a);
	e = look(b, look(b, ROOT, "d"), "e");
	write_file(b, look(b, e, "f"), "bob's");
	sync_all();
	mv(a, ROOT, "d", look(a, ROOT, "p"), "d");
	set_policy(b, look(b, ROOT, "p"), "latest");
	sync_all();
	for (int k = 0; k < 3; k++) {
		uint64_t p = look(&nodes[k], ROOT, "p");

		e = look(&nodes[k], look(&nodes[k], p, "d"), "e");
		assert_int_equal(list(&nodes[k], e, NULL, 0), 1);
		expect_bytes(&nodes[k], look(&nodes[k], e, "f"), "bob's");
		assert_int_equal(hidden(&nodes[k]), 1);
	}
	mv(c, look(c, ROOT, "p"), "d", ROOT, "d");
	sync_all();
	for (int k = 0; k < 3; k++)
		assert_int_equal(hidden(&nodes[k]), 0);
}

/* Two directories of one name: the policy of the canonical one holds for
 * both; and no more when they part. */
static void merged_directories(void)
{
	uint64_t at;

	set_policy(a, make_dir(a, ROOT, "d"), "latest");
	later(b, a);
	make_file(b, make_dir(b, ROOT, "d"), "f", "base");
	pass(c, b);
	write_file(b, look(b, look(b, ROOT, "d"), "f"), "bob's");
	later(c, b);
	write_file(c, look(c, look(c, ROOT, "d"), "f"), "carol's");
	sync_all();
	for (int k = 0; k < 3; k++) {
		at = look(&nodes[k], ROOT, "d");
		expect_bytes(&nodes[k], look(&nodes[k], at, "f"), "carol's");
		assert_int_equal(list(&nodes[k], at, NULL, 0), 1);
		assert_int_equal(hidden(&nodes[k]), 1);
	}
}

/* A directory that would lie in itself is where it was, and so is what holds
 * for it. */
static void cycles(void)
{
	uint64_t x = make_dir(a, ROOT, "x"), y = make_dir(a, ROOT, "y");

	make_file(a, y, "f", "base");
	set_policy(a, x, "latest");
	sync_all();
	write_file(a, look(a, y, "f"), "alice's");
	later(b, a);
	write_file(b, look(b, look(b, ROOT, "y"), "f"), "bob's");
	sync_all();
	mv(a, ROOT, "y", look(a, ROOT, "x"), "y");
	later(b, a);
	mv(b, ROOT, "x", look(b, ROOT, "y"), "x");
	assert_int_equal(hidden(a), 1);
	assert_int_equal(hidden(b), 0);
	sync_all();
	/* The later move gives way: y lies in x. */
	for (int k = 0; k < 3; k++)
		assert_int_equal(hidden(&nodes[k]), 1);
	mv(c, look(c, ROOT, "x"), "y", ROOT, "y");
	sync_all();
	for (int k = 0; k < 3; k++)
		assert_int_equal(hidden(&nodes[k]), 0);
}

/* Two names in two directories: that of the smallest slot says. */
static void two_names(void)
{
	uint64_t d = make_dir(a, ROOT, "d"), file;
	struct object row;
	struct info i;
	struct entry e;
	bool first_in_d;

	file = make_file(a, ROOT, "f", "base");
	assert_int_equal(tree_link(a->tree, file, d, SLICE_STR("g"), &e), 0);
	sync_all();
	row_at(a, "f", &row);
	assert_int_equal(info_init(&i, &row), 0);
	assert_int_equal(i.shown_count, 2);
	first_in_d = i.links[0].link->link.at.name.data[0] == 'g';
	info_release(&i);
	object_release(&row);
	write_name(a, "f", "alice's");
	later(b, a);
	write_name(b, "f", "bob's");
	sync_all();
	set_policy(c, first_in_d ? look(c, ROOT, "d") : ROOT, "latest");
	set_policy(c, first_in_d ? ROOT : look(c, ROOT, "d"), "keep");
	sync_all();
	for (int k = 0; k < 3; k++) {
		expect_file(&nodes[k], "f", "bob's");
		assert_int_equal(hidden(&nodes[k]), 1);
		assert_int_equal(rule_at(&nodes[k],
					 look(&nodes[k], ROOT, "f")),
				 POLICY_LATEST);
	}
	/* Without that name, the other's holds. */
	if (first_in_d)
		rm(b, look(b, ROOT, "d"), "g");
	else
		rm(b, ROOT, "f");
	sync_all();
	for (int k = 0; k < 3; k++)
		assert_int_equal(hidden(&nodes[k]), 0);
}

/* ---- open handles */

static void open_write(struct fixture *f, uint64_t ino, const char *bytes)
{
	assert_int_equal(tree_open_file(f->tree, ino, true), 0);
	assert_int_equal(tree_write(f->tree, ino, 0, SLICE_STR(bytes), false),
			 0);
}

static void shut(struct fixture *f, uint64_t ino)
{
	tree_release_file(f->tree, ino, true);
	check_tree(f);
}

/*
 * carol writes to what alice made while alice's hides nothing; then comes
 * what bob wrote before, older than alice's, so hidden: nobody at carol's
 * could know of it, and it is not replaced.
 */
static void unknown_is_kept(void)
{
	uint64_t ino;

	make_file(a, ROOT, "f", "base");
	set_policy(a, ROOT, "latest");
	sync_all();
	write_name(b, "f", "bob's");
	later(a, b);
	write_name(a, "f", "alice's");
	pass(c, a);
	later(c, a);
	ino = look(c, ROOT, "f");
	open_write(c, ino, "carol's");
	pass(c, b);
	assert_int_equal(hidden(c), 1);
	shut(c, ino);
	expect_file(c, "f", "carol's");
	assert_int_equal(hidden(c), 1);
	sync_all();
	all_show("f", "carol's", 1);
	set_policy(a, ROOT, NULL);
	sync_all();
	for (int k = 0; k < 3; k++)
		expect_like(&nodes[k], "conflict bob", "bob's");
}

/* What was hidden when it was written goes; what came since does not. */
static void known_goes(void)
{
	uint64_t ino;

	make_file(a, ROOT, "f", "base");
	set_policy(a, ROOT, "latest");
	sync_all();
	write_name(b, "f", "bob's");
	later(a, b);
	write_name(a, "f", "alice's");
	write_name(c, "f", "carol's");
	pass(a, c);
	assert_int_equal(hidden(a), 1);
	ino = look(a, ROOT, "f");
	open_write(a, ino, "alice again");
	pass(a, b);
	assert_int_equal(hidden(a), 2);
	/* ... nor is it forgotten what was known. */
	tree_release_file(a->tree, ino, true);
	check_tree(a);
	assert_int_equal(hidden(a), 1);
	sync_all();
	all_show("f", "alice again", 1);
	set_policy(a, ROOT, NULL);
	sync_all();
	for (int k = 0; k < 3; k++) {
		assert_int_equal(entries(&nodes[k]), 2);
		expect_like(&nodes[k], "conflict bob", "bob's");
	}
}

/* The same over a crash: the cut is made when the store is opened again. */
static void known_after_crash(void)
{
	make_conflict("f");
	set_policy(a, ROOT, "latest");
	sync_all();
	open_write(c, look(c, ROOT, "f"), "carol's");
	assert_int_equal(tree_sync(c->tree), 0);
	fixture_crash(c);
	assert_int_equal(tree_cut_settled(c->tree, 0), 0);
	check_tree(c);
	expect_file(c, "f", "carol's");
	assert_int_equal(hidden(c), 0);
}

/* A newer content takes the name while a handle writes to the older one. */
static void handle_goes_on(void)
{
	uint64_t ino;

	make_file(a, ROOT, "f", "base");
	set_policy(a, ROOT, "latest");
	sync_all();
	write_name(a, "f", "alice's");
	ino = look(a, ROOT, "f");
	later(b, a);
	write_name(b, "f", "bob's");
	assert_int_equal(tree_open_file(a->tree, ino, true), 0);
	pass(a, b);
	expect_file(a, "f", "bob's");
	expect_bytes(a, ino, "alice's");
	assert_int_not_equal(look(a, ROOT, "f"), ino);
	later(a, b);
	assert_int_equal(tree_write(a->tree, ino, 0, SLICE_STR("ALICE"),
				    false), 0);
	shut(a, ino);
	/* It replaced what it was made from; bob's was not seen there. */
	expect_file(a, "f", "ALICE's");
	sync_all();
	all_show("f", "ALICE's", 1);
	set_policy(a, ROOT, NULL);
	sync_all();
	for (int k = 0; k < 3; k++)
		assert_int_equal(entries(&nodes[k]), 2);
}

/* The policy takes the name from under a handle. */
static void handle_and_policy(void)
{
	char name[256];
	uint64_t ino, sibling;

	make_conflict("f");
	sync_all();
	ino = look(c, ROOT, "f");
	name_with(c, ROOT, "conflict alice", name);
	sibling = look(c, ROOT, name);
	assert_int_equal(tree_open_file(c->tree, ino, false), 0);
	open_write(c, sibling, "ALICE");
	set_policy(c, ROOT, "node:alice");
	expect_bytes(c, ino, "bob's");
	expect_file(c, "f", "alice's");
	assert_int_not_equal(look(c, ROOT, "f"), ino);
	tree_release_file(c->tree, ino, false);
	shut(c, sibling);
	/* alice's was the base, and is replaced; carol is nobody here. */
	assert_int_equal(entries(c), 2);
	assert_int_equal(hidden(c), 0);
	sync_all();
	for (int k = 0; k < 3; k++) {
		assert_int_equal(entries(&nodes[k]), 2);
		expect_file(&nodes[k], "f", "ALICE's");
		expect_like(&nodes[k], "conflict bob", "bob's");
	}
}

/* ---- what lost is listed, and can be had */

struct decisions {
	size_t count;
	char id[DECISION_ID_CHARS + 1];
	char path[64], chosen[64], lost[64];
};

static int see(void *arg, const struct decision *d)
{
	struct decisions *s = arg;

	if (d->kind != DECISION_POLICY)
		return 0;
	s->count++;
	memcpy(s->id, d->id, sizeof(s->id));
	snprintf(s->path, 64, "%.*s", (int)d->path.len,
		 (const char *)d->path.data);
	snprintf(s->chosen, 64, "%.*s: %.*s", (int)d->chosen.label.len,
		 (const char *)d->chosen.label.data, (int)d->chosen.value.len,
		 (const char *)d->chosen.value.data);
	snprintf(s->lost, 64, "%.*s: %.*s", (int)d->lost.label.len,
		 (const char *)d->lost.label.data, (int)d->lost.value.len,
		 (const char *)d->lost.value.data);
	return 0;
}

static void expect_decisions(size_t n, struct decisions *ret)
{
	for (int k = 0; k < 3; k++) {
		struct decisions s = { 0 };

		assert_int_equal(tree_decided(nodes[k].tree, ROOT, see, &s),
				 0);
		assert_int_equal(s.count, n);
		if (k)
			assert_string_equal(s.id, ret->id);
		*ret = s;
	}
}

static void listed_and_undone(void)
{
	struct decisions s;

	make_conflict("f");
	sync_all();
	expect_decisions(0, &s);
	set_policy(a, ROOT, "latest");
	sync_all();
	expect_decisions(1, &s);
	assert_string_equal(s.path, "f");
	assert_string_equal(s.chosen, "bob: latest");
	assert_string_equal(s.lost, "alice: ");
	assert_int_equal(tree_undo(c->tree, SLICE_STR(s.id)), 0);
	check_tree(c);
	sync_all();
	all_show("f", "alice's", 0);
	expect_decisions(0, &s);
	set_policy(a, ROOT, NULL);
	sync_all();
	for (int k = 0; k < 3; k++)
		assert_int_equal(entries(&nodes[k]), 1);
}

/* A file with something hidden is no twin of one that shows the same. */
static void no_twin(void)
{
	set_policy(a, ROOT, "latest");
	make_file(a, ROOT, "g", "bob's");
	make_conflict("f");
	sync_all();
	make_dir(a, ROOT, "d");
	mv(a, ROOT, "g", look(a, ROOT, "d"), "f");
	sync_all();
	mv(b, ROOT, "f", look(b, ROOT, "d"), "x");
	mv(c, look(c, ROOT, "d"), "f", look(c, ROOT, "d"), "x");
	sync_all();
	for (int k = 0; k < 3; k++) {
		assert_int_equal(list(&nodes[k], look(&nodes[k], ROOT, "d"),
				      NULL, 0), 2);
		assert_int_equal(hidden(&nodes[k]), 1);
	}
}

/* What is set at two nodes: the later one, for all that is below. */
static void set_twice(void)
{
	make_conflict("f");
	set_policy(a, ROOT, "latest");
	later(b, a);
	set_policy(b, ROOT, "node:alice");
	sync_all();
	all_show("f", "alice's", 1);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),
	};
	static const struct scenario scenarios[] = {
		SCENARIO(where_it_holds),
		SCENARIO(not_understood),
		SCENARIO(of_merged),
		SCENARIO(latest_by_key),
		SCENARIO(latest_before),
		SCENARIO(latest_beside),
		SCENARIO(write_replaces_all),
		SCENARIO(save_replaces_all),
		SCENARIO(removal),
		SCENARIO(removed_main),
		SCENARIO(mtime_follows),
		SCENARIO(node_first),
		SCENARIO(newest_of_node),
		SCENARIO(move_of_file),
		SCENARIO(move_of_chosen),
		SCENARIO(move_of_directory),
		SCENARIO(merged_directories),
		SCENARIO(cycles),
		SCENARIO(two_names),
		SCENARIO(unknown_is_kept),
		SCENARIO(known_goes),
		SCENARIO(known_after_crash),
		SCENARIO(handle_goes_on),
		SCENARIO(handle_and_policy),
		SCENARIO(listed_and_undone),
		SCENARIO(no_twin),
		SCENARIO(set_twice),
	};
	int r = cmocka_run_group_tests(tests, NULL, NULL);

	return r ? r : scenarios_run(scenarios, ARRAY_SIZE(scenarios));
}
