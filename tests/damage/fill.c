/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What programs and other members have to do so that each table has each
 * sort of entry. In this order: what all know, what others made of it
 * apart, what only this node has; at last, a large cut is half applied and
 * another one comes.
 */
#include "tests/damage/damage.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fs/tree/acks.h"
#include "fs/tree/policy.h"
#include "fs/tree/tree_internal.h"
#include "replication/net/invites.h"
#include "replication/net/meta.h"
#include "tests/sim/backup.h"
#include "tests/unit/core/nodes_support.h"

#define GONE 2
#define LARGE 150000
#define MANY 24

static void quiet(struct cluster *c)
{
	assert_true(cluster_run_quiet(c, 4000, 240000));
	nodes_check(c);
}

static void fill_bytes(char *bytes, size_t len, unsigned int seed)
{
	for (size_t k = 0; k < len; k++)
		bytes[k] = (char)('a' + (k * k + k / 7 * seed) % 23);
	bytes[len] = '\0';
}

static const char *large(unsigned int seed)
{
	static char bytes[LARGE + 1];

	fill_bytes(bytes, LARGE, seed);
	return bytes;
}

static void set_xattr(struct cluster *c, const char *path, const char *name,
		      const char *value)
{
	assert_int_equal(tree_setxattr(c->nodes[VICTIM].tree,
				       at(c, VICTIM, path), SLICE_STR(name),
				       SLICE_STR(value), 0), 0);
}

static void set(struct cluster *c, int node, const char *path,
		const struct tree_setattr *s)
{
	struct attr a;

	assert_int_equal(tree_setattr(c->nodes[node].tree, at(c, node, path),
				      s, &a), 0);
	node_poke(&c->nodes[node]);
}

static void set_mode(struct cluster *c, int node, const char *path,
		     uint32_t perm)
{
	set(c, node, path, &(struct tree_setattr){ .set = TREE_SET_MODE,
						   .perm = perm });
}

static void make_odd(struct cluster *c)
{
	struct tree_new n = { .kind = KIND_SYMLINK,
			      .perm = 0777,
			      .user = SLICE_STR("u"),
			      .group = SLICE_STR("g"),
			      .target = SLICE_STR("dir/one") };
	struct tree *t = c->nodes[VICTIM].tree;
	struct entry e;

	assert_int_equal(tree_create(t, ROOT, SLICE_STR("link"), &n, false,
				     &e), 0);
	n.kind = KIND_FIFO;
	n.target = SLICE(NULL, 0);
	assert_int_equal(tree_create(t, ROOT, SLICE_STR("fifo"), &n, false,
				     &e), 0);
	assert_int_equal(tree_link(t, at(c, VICTIM, "dir/one"),
				   at(c, VICTIM, "dir/sub"),
				   SLICE_STR("also"), &e), 0);
}

/* ---- what all have */

static void fill_common(struct cluster *c)
{
	static const char *const dirs[] = { "dir", "dir/sub", "x", "y",
					    "gone", "gone/in", "ruled",
					    "asked", "later" };
	static const char *const files[] = {
		"dir/one", "dir/two", "dir/three", "dir/mode", "dir/settled",
		"dir/often", "dir/moved", "gone/edited", "gone/in/deep",
		"ruled/a", "ruled/b", "dir/open", "dir/unsent", "dir/purged"
	};

	for (size_t k = 0; k < ARRAY_SIZE(dirs); k++)
		make_dir(c, VICTIM, dirs[k]);
	for (size_t k = 0; k < ARRAY_SIZE(files); k++)
		write_file(c, VICTIM, files[k], files[k]);
	make_odd(c);
	write_file(c, VICTIM, "dir/large", large(3));
	write_file(c, VICTIM, "dir/copied", large(5));
	set_xattr(c, "dir/one", "user.colour", "blue");
	set_xattr(c, "dir/two", "security.local", "stays here");
	set_xattr(c, "ruled", XATTR_POLICY, "latest");
	set_xattr(c, "asked", XATTR_ACKS, "1;timeout=1");
	quiet(c);
	write_file(c, VICTIM, "dir/often", large(7));
	write_file(c, VICTIM, "dir/often", "again");
	remove_path(c, VICTIM, "dir/purged");
	quiet(c);
	/* (what all know is purged) */
	nodes_pass(c, 30000);
}

/* One whose backup is brought back: its branch gets another name. Then it is
 * removed. */
static void fill_branch(struct cluster *c)
{
	struct core_member m;

	node_stop(&c->nodes[GONE], 1);
	node_back_up(&c->nodes[GONE]);
	nodes_pass(c, 10);
	write_file(c, GONE, "dir/branch-a", "before");
	quiet(c);
	for (int n = 0; n < 2; n++)
		cluster_cut(c, n, GONE);
	node_kill(&c->nodes[GONE], 1);
	node_bring_back(&c->nodes[GONE]);
	nodes_pass(c, 2);
	write_file(c, GONE, "dir/branch-b", "after");
	nodes_pass(c, 1000);
	for (int n = 0; n < 2; n++)
		cluster_mend(c, n, GONE);
	quiet(c);
	assert_true(is_there(c, VICTIM, "dir/branch-b"));
	assert_int_equal(core_remove(c->nodes[VICTIM].core, c->now_ms, "node2",
				     &m), 0);
	node_poke(&c->nodes[VICTIM]);
	quiet(c);
	node_stop(&c->nodes[GONE], UINT64_C(1) << 40);
}

/* ---- what was done apart */

static void both_write(struct cluster *c, const char *path)
{
	write_file(c, VICTIM, path, "of the victim");
	nodes_pass(c, 50);
	write_file(c, PEER, path, "of the peer");
	nodes_pass(c, 50);
}

static void settle_one(struct cluster *c)
{
	struct tree *t = c->nodes[VICTIM].tree;

	assert_int_equal(tree_resolve(t, at(c, VICTIM, "dir"),
				      SLICE_STR("settled"),
				      SLICE_STR("main")), 0);
	node_poke(&c->nodes[VICTIM]);
}

static void fill_apart(struct cluster *c)
{
	nodes_apart(c);
	both_write(c, "dir/three");
	both_write(c, "dir/settled");
	both_write(c, "dir/same");
	both_write(c, "ruled/a");
	both_write(c, "dir/two");
	make_dir(c, VICTIM, "both");
	write_file(c, VICTIM, "both/of-victim", "v");
	make_dir(c, PEER, "both");
	write_file(c, PEER, "both/of-peer", "p");
	set_mode(c, VICTIM, "dir/mode", 0600);
	set_mode(c, PEER, "dir/mode", 0755);
	move(c, VICTIM, "x", "y/x");
	nodes_pass(c, 50);
	move(c, PEER, "y", "x/y");
	move(c, VICTIM, "dir/moved", "dir/here");
	nodes_pass(c, 50);
	move(c, PEER, "dir/moved", "dir/there");
	/* (removed here, and moved or edited there) */
	remove_path(c, VICTIM, "gone/in/deep");
	remove_path(c, VICTIM, "gone/in");
	remove_path(c, VICTIM, "gone/edited");
	remove_path(c, VICTIM, "gone");
	write_file(c, PEER, "gone/edited", "edited there");
	move(c, PEER, "gone/in", "in");
	/* (what is replaced is in the history, and a base) */
	write_file(c, VICTIM, "dir/two", large(11));
	nodes_together(c);
	nodes_pass(c, 5000);
	quiet(c);
	settle_one(c);
	quiet(c);
}

/* ---- what only this node has */

static void note_removed(void *arg, uint64_t ino)
{
	(void)arg;
	(void)ino;
}

static void fill_unsent(struct cluster *c)
{
	struct tree *t = c->nodes[VICTIM].tree;
	uint64_t ino = at(c, VICTIM, "dir/unsent"), done;
	struct tree_copy copy = { at(c, VICTIM, "dir/copied"), 1000, ino,
				  200000, 90000 };

	assert_int_equal(tree_open_file(t, ino, true), 0);
	assert_int_equal(tree_write(t, ino, 3, SLICE_STR("unsent"), false), 0);
	assert_int_equal(tree_write(t, ino, 10000, SLICE_STR(large(13)),
				    false), 0);
	assert_int_equal(tree_copy(t, &copy, &done), 0);
	assert_int_equal(tree_write(t, ino, 400000, SLICE_STR("end"), false),
			 0);
	/* (in a directory with a policy: what that hides is noted) */
	ino = at(c, VICTIM, "ruled/a");
	assert_int_equal(tree_open_file(t, ino, true), 0);
	assert_int_equal(tree_write(t, ino, 1, SLICE_STR("new"), false), 0);
	ino = make_open(c, VICTIM, "dir/new");
	put(c, VICTIM, ino, "of a new file");
	/* (and of one without a name) */
	ino = make_open(c, VICTIM, "dir/nameless");
	put(c, VICTIM, ino, large(17));
	remove_path(c, VICTIM, "dir/nameless");
}

static void fill_own(struct cluster *c)
{
	struct node *n = &c->nodes[VICTIM];
	struct tree_observer o = n->tree->observer;
	static const struct tree_request request = { 1, 77, 3 };
	uint8_t secret[INVITE_SECRET_BYTES];
	struct invite invite;

	o.removed = note_removed;
	tree_observe(n->tree, &o);
	/* (open while the peer writes it, and while it is removed) */
	assert_int_equal(tree_open_file(n->tree, at(c, VICTIM, "dir/open"),
					false), 0);
	write_file(c, PEER, "dir/open", large(19));
	quiet(c);
	write_file(c, VICTIM, "later/a", "a");
	assert_int_equal(tree_open_file(n->tree, at(c, VICTIM, "later/a"),
					false), 0);
	remove_path(c, VICTIM, "later/a");
	set(c, VICTIM, "dir/one", &(struct tree_setattr){
			.set = TREE_SET_ATIME, .atime = { 5, 6 } });
	tree_request(&request);
	make_dir(c, VICTIM, "made-by-request");
	tree_request(NULL);
	assert_int_equal(meta_put(n->store, META_KEEP,
				  SLICE("\1\0\0\0\0\0\0\0\0\0\0\0\1\0\0\0",
					16)), 0);
	assert_int_equal(meta_put(n->store, META_LAPSE, SLICE("\5\0\0\0", 4)),
			 0);
	assert_int_equal(meta_put(n->store, "cookie",
				  SLICE("of the last mount", 16)), 0);
	assert_int_equal(meta_put(n->store, META_LISTEN,
				  SLICE_STR("auto 127.0.0.1:7000")), 0);
	assert_int_equal(invites_create(n->store, 1000, secret, &invite), 0);
	cluster_give_back(c);
	nodes_check(c);
	quiet(c);
}

/* ---- what is on its way */

static bool is_applying(struct cluster *c)
{
	return core_is_applying(c->nodes[VICTIM].core);
}

static uint64_t count_of(struct cluster *c, enum store_table t)
{
	uint64_t n;

	store_lock(c->nodes[VICTIM].store);
	n = store_count(c->nodes[VICTIM].store, t);
	store_unlock(c->nodes[VICTIM].store);
	return n;
}

static void fill_coming(struct cluster *c)
{
	char path[20];

	cluster_wire(c, VICTIM, PEER)->bandwidth = 40;
	write_file(c, PEER, "later/large", large(23));
	write_file(c, PEER, "dir/three", large(29));
	for (int k = 0; k < 4000 && !count_of(c, TABLE_PENDING); k++)
		nodes_pass(c, 1);
	assert_true(count_of(c, TABLE_PENDING));
	nodes_apart(c);
	nodes_pass(c, 100);
	for (int k = 0; k < MANY; k++) {
		snprintf(path, sizeof(path), "later/f%d", k);
		write_file(c, PEER, path, path);
	}
	fill_unsent(c);
	write_file(c, VICTIM, "dir/own", "nobody was told");
	write_file(c, VICTIM, "dir/own-large", large(31));
	nodes_together(c);
	for (int k = 0; k < 20000 && !is_applying(c); k++)
		nodes_pass(c, 1);
	assert_true(is_applying(c));
	nodes_apart(c);
}

void fill(struct cluster *c)
{
	struct cluster_options o = nodes_options(3, 5);

	o.delay_max = 2;
	o.small_rows = 5;
	o.slice_rows = 3;
	/* (longer than equality must have lasted: proof.c) */
	o.purge_settle_ms = 1000;
	o.heartbeat_ms = 10000;
	nodes_open(c, o);
	for (int a = 0; a < 3; a++)
		for (int b = a + 1; b < 3; b++)
			cluster_connect(c, a, b);
	fill_common(c);
	fill_branch(c);
	fill_apart(c);
	fill_own(c);
	fill_coming(c);
	for (int k = 0; k < 2; k++) {
		node_stop(&c->nodes[k], UINT64_C(1) << 40);
		node_back_up(&c->nodes[k]);
	}
	nodes_check(c);
}
