/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/core/nodes_support.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct tree_new new_file = {.kind = KIND_FILE,
					 .perm = 0644,
					 .user = {(const uint8_t *)"u", 1},
					 .group = {(const uint8_t *)"g", 1}};

/* ---- clusters */

const char *nodes_dir(void)
{
	static char dir[64];
	static int count;

	snprintf(dir, sizeof(dir), "%s/kin-test-%d-%d",
		 access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp",
		 (int)getpid(), ++count);
	return dir;
}

struct cluster_options nodes_options(int nodes, uint64_t seed)
{
	return (struct cluster_options){
		.seed = seed,
		.nodes = nodes,
		.delay_max = 10,
		.bandwidth = 10000,
		.trace = getenv("KIN_TEST_TRACE"),
	};
}

void nodes_open(struct cluster *c, struct cluster_options o)
{
	o.dir = nodes_dir();
	if (!cluster_open(c, &o))
		fail_msg("%s", c->failure);
}

void nodes_close(struct cluster *c)
{
	char failure[sizeof(c->failure)];

	snprintf(failure, sizeof(failure), "%s", c->failure);
	cluster_close(c);
	if (failure[0])
		fail_msg("%s", failure);
}

void nodes_check(struct cluster *c)
{
	if (cluster_failed(c))
		fail_msg("%s", c->failure);
}

void nodes_quiet(struct cluster *c)
{
	assert_true(cluster_run_quiet(c, 5000, 240000));
	cluster_check_equal(c, true);
	cluster_check_nodes(c);
	nodes_check(c);
}

void nodes_pass(struct cluster *c, uint64_t ms)
{
	cluster_run(c, c->now_ms + ms);
	nodes_check(c);
}

void nodes_apart(struct cluster *c)
{
	cluster_cut(c, 0, 1);
}

void nodes_together(struct cluster *c)
{
	cluster_mend(c, 0, 1);
}

/* ---- what programs do */

uint64_t at(struct cluster *c, int node, const char *path)
{
	uint64_t ino = ROOT;

	if (*path)
		assert_int_equal(tree_resolve_path(c->nodes[node].tree,
						   SLICE_STR(path), &ino), 0);
	return ino;
}

bool is_there(struct cluster *c, int node, const char *path)
{
	uint64_t ino;

	return !tree_resolve_path(c->nodes[node].tree, SLICE_STR(path), &ino);
}

uint64_t parent_of(struct cluster *c, int node, const char *path,
		   const char **ret_name)
{
	const char *slash = strrchr(path, '/');
	uint64_t ino = ROOT;

	*ret_name = slash ? slash + 1 : path;
	if (slash)
		assert_int_equal(tree_resolve_path(c->nodes[node].tree,
						   SLICE(path, slash - path),
						   &ino),
				 0);
	return ino;
}

static uint64_t make(struct cluster *c, int node, const char *path,
		     enum kind kind, bool opened)
{
	struct tree_new new = new_file;
	struct entry e;
	const char *name;
	uint64_t dir = parent_of(c, node, path, &name);

	new.kind = kind;
	assert_int_equal(tree_create(c->nodes[node].tree, dir, SLICE_STR(name),
				     &new, opened, &e), 0);
	node_poke(&c->nodes[node]);
	return e.attr.ino;
}

void make_dir(struct cluster *c, int node, const char *path)
{
	(void)make(c, node, path, KIND_DIR, false);
}

uint64_t make_open(struct cluster *c, int node, const char *path)
{
	return make(c, node, path, KIND_FILE, true);
}

void put(struct cluster *c, int node, uint64_t ino, const char *text)
{
	assert_int_equal(tree_write(c->nodes[node].tree, ino, 0,
				    SLICE_STR(text), false), 0);
	node_poke(&c->nodes[node]);
}

void done(struct cluster *c, int node, uint64_t ino)
{
	tree_release_file(c->nodes[node].tree, ino, true);
	node_poke(&c->nodes[node]);
}

void write_file(struct cluster *c, int node, const char *path,
		const char *text)
{
	struct tree *t = c->nodes[node].tree;
	struct tree_setattr cut = {.set = TREE_SET_SIZE};
	struct attr attr;
	uint64_t ino;

	if (is_there(c, node, path)) {
		ino = at(c, node, path);
		assert_int_equal(tree_open_file(t, ino, true), 0);
		assert_int_equal(tree_setattr(t, ino, &cut, &attr), 0);
	} else {
		ino = make_open(c, node, path);
	}
	put(c, node, ino, text);
	done(c, node, ino);
}

void move(struct cluster *c, int node, const char *from, const char *to)
{
	const char *name, *new;
	uint64_t dir = parent_of(c, node, from, &name);
	uint64_t into = parent_of(c, node, to, &new);

	assert_int_equal(tree_rename(c->nodes[node].tree, dir, SLICE_STR(name),
				     into, SLICE_STR(new), 0), 0);
	node_poke(&c->nodes[node]);
}

void remove_path(struct cluster *c, int node, const char *path)
{
	struct tree *t = c->nodes[node].tree;
	const char *name;
	uint64_t dir = parent_of(c, node, path, &name);
	int r = tree_unlink(t, dir, SLICE_STR(name));

	if (r == -EISDIR)
		r = tree_rmdir(t, dir, SLICE_STR(name));
	assert_int_equal(r, 0);
	node_poke(&c->nodes[node]);
}

/* ---- what is there */

bool shows(struct cluster *c, int node, const char *path, const char *text)
{
	char bytes[256];
	int64_t n;

	if (!is_there(c, node, path))
		return false;
	n = tree_read(c->nodes[node].tree, at(c, node, path), 0, bytes,
		      sizeof(bytes));
	return n >= 0 && slice_equal(SLICE(bytes, n), SLICE_STR(text));
}

struct search {
	const char *path;
	struct objid id;
	bool found;
};

static int search_entry(void *arg, const struct replica_view_entry *e)
{
	struct search *s = arg;

	if (!e->is_sibling && slice_equal(e->path, SLICE_STR(s->path))) {
		s->id = e->id;
		s->found = true;
	}
	return 0;
}

struct objid object_at(struct cluster *c, int node, const char *path)
{
	struct search s = {.path = path};

	assert_int_equal(replica_view(c->nodes[node].tree, search_entry, &s),
			 0);
	if (!s.found)
		fail_msg("node %d shows no '%s'", node, path);
	return s.id;
}

struct core_counters counters_of(struct cluster *c, int node)
{
	struct core_counters n;

	core_counters(c->nodes[node].core, &n);
	return n;
}
