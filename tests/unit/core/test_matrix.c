/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every pair of operations that two nodes do at once. A row of the table is
 * a directory: how it begins, what node 0 and node 1 do there while they are
 * apart, and what all nodes show in the end, written down by hand from the
 * rule that the row names. All rows run together in one cluster, once for
 * each way of delivery and for either clock being ahead:
 *
 *	0 and 1 are linked only by a relay (2), which hears of 0, or of 1,
 *	first; or directly; or the relay has heard of one before they link
 *
 * with a node (3) behind the relay. The rules, as numbered below:
 *
 *	n	no contact: both hold
 *	1	one name, two files: the older placement keeps it; equal ones
 *		are one entry (twins)
 *	2	one name, two directories: merged
 *	3	a directory keeps its name beside a file
 *	4	two contents: siblings, the later one is main
 *	5	an edit survives a removal
 *	6, 7	mode and owner; an extended attribute: the later one
 *	8	one name moved to two places: the later one
 *	9	moves that would close a cycle: the later one does not take place
 *	10	a move survives a removal
 *	11, 12	a save by rename is a new content; two placements on one name
 *	13	what is moved over another, and that one, live on as edited
 *	14	an exchange is two moves
 *	15	a removed directory returns with what others put into it
 *	16	a moved directory survives its removal
 *	18	slots of one file are independent
 *	19	attributes alone bring nothing back
 *	20	different registers: both hold
 *	21	removed twice is removed
 *
 * Rule 17 (a tree that is removed while it is moved) has its row at the end.
 */
#include "tests/unit/core/nodes_support.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/core/matrix_cells.h"

#define CELLS (sizeof(cells) / sizeof(*cells))
#define NODES 4
#define AHEAD_MS 60000

static const char *const operations[] = {
	"CR", "MK", "WR", "AT", "XA", "RN", "MV", "RO", "EX", "UL", "RD", "LN",
};

/* ---- doing */

static void cell_dir(size_t n, char ret[32])
{
	snprintf(ret, 32, "%03zu-%s", n, cells[n].pair);
}

struct at {
	struct tree *tree;
	size_t cell;
	const char *command;
};

static void must(const struct at *at, int r)
{
	if (r)
		fail_msg("%s (%s): '%s': %s", cells[at->cell].pair,
			 cells[at->cell].rule, at->command, strerror(-r));
}

/* Splits a path in the cell's directory. */
static uint64_t dir_of(const struct at *at, const char *path,
			  const char **ret_name)
{
	char full[128], dir[32];
	const char *slash = strrchr(path, '/');
	uint64_t ino;

	cell_dir(at->cell, dir);
	snprintf(full, sizeof(full), "%s/%.*s", dir,
		 slash ? (int)(slash - path) : 0, path);
	must(at, tree_resolve_path(at->tree, SLICE_STR(full), &ino));
	*ret_name = slash ? slash + 1 : path;
	return ino;
}

static uint64_t ino_of(const struct at *at, const char *path)
{
	const char *name;
	uint64_t dir = dir_of(at, path, &name);
	struct entry e;

	must(at, tree_lookup(at->tree, dir, SLICE_STR(name), &e));
	return e.attr.ino;
}

static const struct tree_new new_file = { .kind = KIND_FILE, .perm = 0644,
					  .user = { (uint8_t *)"u", 1 },
					  .group = { (uint8_t *)"g", 1 } };
static const struct tree_new new_dir = { .kind = KIND_DIR, .perm = 0755,
					 .user = { (uint8_t *)"u", 1 },
					 .group = { (uint8_t *)"g", 1 } };

static void write_text(const struct at *at, const char *path,
		       const char *text, bool create)
{
	struct tree_setattr empty = { .set = TREE_SET_SIZE };
	const char *name;
	uint64_t dir = dir_of(at, path, &name), ino;
	struct entry e;
	struct attr a;

	if (create) {
		must(at, tree_create(at->tree, dir, SLICE_STR(name),
				     &new_file, true, &e));
		ino = e.attr.ino;
	} else {
		ino = ino_of(at, path);
		must(at, tree_open_file(at->tree, ino, true));
		must(at, tree_setattr(at->tree, ino, &empty, &a));
	}
	must(at, tree_write(at->tree, ino, 0, SLICE_STR(text), false));
	tree_release_file(at->tree, ino, true);
}

static void two_names(const struct at *at, const char *what, const char *a,
		      const char *b)
{
	const char *from, *to;
	uint64_t d1 = dir_of(at, a, &from), d2 = dir_of(at, b, &to);
	struct entry e;

	if (!strcmp(what, "ln"))
		must(at, tree_link(at->tree, ino_of(at, a), d2,
				   SLICE_STR(to), &e));
	else
		must(at, tree_rename(at->tree, d1, SLICE_STR(from), d2,
				     SLICE_STR(to),
				     *what == 'x' ? TREE_RENAME_EXCHANGE : 0));
}

static void set_mode(const struct at *at, const char *mode, const char *path)
{
	struct tree_setattr s = { .set = TREE_SET_MODE,
				  .perm = (uint32_t)strtoul(mode, NULL, 8) };
	struct attr a;

	must(at, tree_setattr(at->tree, ino_of(at, path), &s, &a));
}

static void do_command(const struct at *at)
{
	char what[8], a[32] = "", b[32] = "", c[32] = "";
	const char *name;
	struct entry e;
	uint64_t dir;

	assert_true(sscanf(at->command, "%7s %31s %31s %31s", what, a, b,
			   c) >= 2);
	dir = strcmp(what, "chmod") ? dir_of(at, a, &name) : 0;
	if (!strcmp(what, "c") || !strcmp(what, "w"))
		write_text(at, a, b, *what == 'c');
	else if (!strcmp(what, "mkdir"))
		must(at, tree_create(at->tree, dir, SLICE_STR(name), &new_dir,
				     false, &e));
	else if (!strcmp(what, "rmdir"))
		must(at, tree_rmdir(at->tree, dir, SLICE_STR(name)));
	else if (!strcmp(what, "rm"))
		must(at, tree_unlink(at->tree, dir, SLICE_STR(name)));
	else if (!strcmp(what, "chmod"))
		set_mode(at, a, b);
	else if (!strcmp(what, "xa"))
		must(at, tree_setxattr(at->tree, ino_of(at, a), SLICE_STR(b),
				       SLICE_STR(c), 0));
	else
		two_names(at, what, a, b);
}

static void do_script(struct cluster *c, int node, size_t cell,
		      const char *script)
{
	char text[256], *next = text;

	snprintf(text, sizeof(text), "%s", script);
	for (char *one; (one = strsep(&next, ";"));) {
		struct at at = { .cell = cell };
		int by = node;

		while (*one == ' ')
			one++;
		if (!*one)
			continue;
		if (*one == '@') {
			by = one[1] - '0';
			one += 3;
		}
		at.tree = c->nodes[by].tree;
		at.command = one;
		do_command(&at);
		node_poke(&c->nodes[by]);
		/* What is made first has the smaller id: of two that come to
		 * a third one's name, it keeps that. */
		if (node == 2)
			cluster_run(c, c->now_ms + 2);
	}
}

/* ---- looking */

struct look {
	struct tree *tree;
	size_t cell;
	struct buf text;
};

static void put_xattrs(struct look *l, uint64_t ino)
{
	struct buf names = BUF_INIT;
	bool any = false;

	assert_int_equal(tree_listxattr(l->tree, ino, &names), 0);
	for (size_t k = 0; k < names.len;) {
		const char *name = (const char *)names.data + k;
		struct buf value = BUF_INIT;

		k += strlen(name) + 1;
		/* (nobody set this: a sibling is shown) */
		if (!strcmp(name, "user.kin.conflict"))
			continue;
		assert_int_equal(tree_getxattr(l->tree, ino, SLICE_STR(name),
					       &value), 0);
		buf_printf(&l->text, "%s%s=%.*s", any ? "," : "{", name,
			   (int)value.len, (const char *)value.data);
		buf_release(&value);
		any = true;
	}
	if (any)
		buf_put_u8(&l->text, '}');
	buf_release(&names);
}

/* "x (conflict node1 2026-11-20 k3fq)" as "x(1)". */
static void put_name(struct look *l, const char *name)
{
	const char *at = strstr(name, " (conflict node");

	if (at)
		buf_printf(&l->text, "%.*s(%c)", (int)(at - name), name,
			   at[strlen(" (conflict node")]);
	else
		buf_printf(&l->text, "%s", name);
}

static int look_entry(void *arg, const struct replica_view_entry *e)
{
	struct look *l = arg;
	char path[300], dir[32], bytes[64];
	struct attr a;
	uint64_t ino;
	int64_t n;

	cell_dir(l->cell, dir);
	snprintf(path, sizeof(path), "%.*s", (int)e->path.len,
		 (const char *)e->path.data);
	if (strncmp(path, dir, strlen(dir)) || path[strlen(dir)] != '/')
		return 0;
	assert_int_equal(tree_resolve_path(l->tree, SLICE_STR(path), &ino), 0);
	assert_int_equal(tree_getattr(l->tree, ino, &a), 0);
	if (l->text.len)
		buf_put_u8(&l->text, ' ');
	put_name(l, path + strlen(dir) + 1);
	if ((a.mode & 07777) != (e->kind == KIND_DIR ? 0755 : 0644))
		buf_printf(&l->text, ":%o", a.mode & 07777);
	put_xattrs(l, ino);
	if (e->kind != KIND_DIR && a.nlink != 1)
		buf_printf(&l->text, "#%u", a.nlink);
	if (e->kind == KIND_DIR) {
		buf_put_u8(&l->text, '/');
		return 0;
	}
	n = tree_read(l->tree, ino, 0, bytes, sizeof(bytes));
	assert_true(n >= 0);
	buf_printf(&l->text, "=%.*s", (int)n, bytes);
	return 0;
}

static size_t check_cell(struct cluster *c, size_t cell, bool zero_late,
			 const char *way)
{
	const struct cell *x = &cells[cell];
	const char *want = zero_late && x->ends_zero_late ? x->ends_zero_late
							  : x->ends;
	size_t wrong = 0;

	for (int n = 0; n < NODES; n++) {
		struct look l = { c->nodes[n].tree, cell, BUF_INIT };

		assert_int_equal(replica_view(l.tree, look_entry, &l), 0);
		buf_put_u8(&l.text, 0);
		if (strcmp((char *)l.text.data, want)) {
			print_error("%s (%s), %s, node %d ahead: node %d has\n"
				    "\t%s\nwanted\n\t%s\n", x->pair, x->rule,
				    way, zero_late ? 0 : 1, n,
				    (char *)l.text.data, want);
			wrong++;
		}
		buf_release(&l.text);
	}
	return wrong;
}

/* ---- delivering */

static void go_quiet(struct cluster *c)
{
	assert_true(cluster_run_quiet(c, 5000, 600000));
	cluster_check_nodes(c);
	if (cluster_failed(c))
		fail_msg("%s", c->failure);
}

struct delivery {
	const char *way;
	int wires[3][2];	/* in this order; {0, 0}: none */
};

static const struct delivery deliveries[] = {
	{ "by a relay, 0 first", { { 0, 2 }, { 1, 2 } } },
	{ "by a relay, 1 first", { { 1, 2 }, { 0, 2 } } },
	{ "directly", { { 0, 1 }, { 0, 2 }, { 1, 2 } } },
	{ "directly, the relay had 0", { { 0, 2 }, { 0, 1 }, { 1, 2 } } },
	{ "directly, the relay had 1", { { 1, 2 }, { 0, 1 } } },
};

static void open_nodes(struct cluster *c)
{
	nodes_open(c, nodes_options(NODES, 7));
	/* (all, until each member knows of the others) */
	for (int a = 0; a < NODES; a++)
		for (int b = a + 1; b < NODES; b++)
			cluster_connect(c, a, b);
	go_quiet(c);
	cluster_disconnect(c, 0, 3);
	cluster_disconnect(c, 1, 3);
}

static void part(struct cluster *c)
{
	cluster_cut(c, 0, 1);
	cluster_cut(c, 0, 2);
	cluster_cut(c, 1, 2);
	go_quiet(c);
}

static void deliver(struct cluster *c, const struct delivery *d)
{
	for (size_t k = 0; k < 3; k++) {
		if (d->wires[k][0] == d->wires[k][1])
			continue;
		cluster_mend(c, d->wires[k][0], d->wires[k][1]);
		go_quiet(c);
	}
}

static void run_all(const struct delivery *d, bool zero_late)
{
	struct cluster c;
	size_t wrong = 0;

	open_nodes(&c);
	for (size_t k = 0; k < CELLS; k++) {
		char dir[32];
		struct entry e;

		cell_dir(k, dir);
		assert_int_equal(tree_create(c.nodes[2].tree, TREE_ROOT_INO,
					     SLICE_STR(dir), &new_dir, false,
					     &e), 0);
		node_poke(&c.nodes[2]);
	}
	go_quiet(&c);
	for (size_t k = 0; k < CELLS; k++)
		do_script(&c, 2, k, cells[k].begin);
	go_quiet(&c);
	cluster_check_equal(&c, true);
	part(&c);
	c.nodes[zero_late ? 0 : 1].skew_ms = AHEAD_MS;
	for (size_t k = 0; k < CELLS; k++)
		do_script(&c, 0, k, cells[k].zero);
	for (size_t k = 0; k < CELLS; k++)
		do_script(&c, 1, k, cells[k].one);
	go_quiet(&c);
	deliver(&c, d);
	cluster_check_equal(&c, true);
	for (size_t k = 0; k < CELLS; k++)
		wrong += check_cell(&c, k, zero_late, d->way);
	if (cluster_failed(&c))
		fail_msg("%s", c.failure);
	cluster_close(&c);
	assert_int_equal(wrong, 0);
}

static void test_delivery(void **state)
{
	run_all(*state, false);
	run_all(*state, true);
}

/* The table has all pairs, in the order of the operations. */
static void test_table_is_whole(void **state)
{
	size_t at = 0, count = sizeof(operations) / sizeof(*operations);

	(void)state;
	for (size_t a = 0; a < count; a++)
		for (size_t b = a; b < count; b++) {
			char pair[8];

			snprintf(pair, sizeof(pair), "%s-%s", operations[a],
				 operations[b]);
			assert_true(at < CELLS);
			assert_string_equal(cells[at].pair, pair);
			while (at < CELLS && !strcmp(cells[at].pair, pair))
				at++;
		}
	assert_int_equal(at, CELLS);
}

#define DELIVERY(n) \
	{ "test_delivery_" #n, test_delivery, NULL, NULL, \
	  (void *)&deliveries[n] }

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table_is_whole),
		DELIVERY(0), DELIVERY(1), DELIVERY(2), DELIVERY(3),
		DELIVERY(4),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
