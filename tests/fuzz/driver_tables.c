/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Values in the tables, of all tables at once. The input is entries as a log
 * record holds them (FORMAT.md): they are put into an empty store, and then
 * everything that reads tables is asked: the tree is opened and walked, all
 * that it lists is listed, what it knows of is changed, a core is started on
 * it and given time, space is given back, and it is opened once more.
 *
 * A store whose tables contradict each other need not work: any error will
 * do. It must not take memory that is not its own, nor end the process, nor
 * go on for ever.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/store/format.h"
#include "fs/store/reclaim.h"
#include "fs/tree/acks.h"
#include "fs/tree/decided.h"
#include "fs/tree/deep.h"
#include "fs/tree/history.h"
#include "fs/tree/policy.h"
#include "fs/tree/tree_internal.h"
#include "fs/tree/variants.h"
#include "replication/net/invites.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/node.h"

/* Steps of anything that goes on by itself, and things touched. */
#define STEPS_MAX 200
#define TOUCHED_MAX 24

/* What an operation said is not looked at, here. */
static void any(int r)
{
	(void)r;
}

static int fill(struct store *s, struct slice entries)
{
	struct reader r = READER(entries.data, entries.len);
	int e;

	store_lock(s);
	e = store_op_begin(s);
	while (!e && reader_left(&r)) {
		struct log_entry entry;

		e = log_entry_decode(&r, &entry);
		if (e)
			break;
		if (entry.kind == LOG_DATA)
			continue;
		/* (a store that cannot be opened shows nothing) */
		if (entry.table == TABLE_META &&
		    (slice_equal(entry.key, SLICE_STR(META_FORMAT)) ||
		     slice_equal(entry.key, SLICE_STR(META_LOG)) ||
		     slice_equal(entry.key, SLICE_STR(META_BOOT))))
			continue;
		e = entry.kind == LOG_DELETE
			    ? store_del(s, entry.table, entry.key)
			    : store_put(s, entry.table, entry.key,
					entry.value);
	}
	if (e)
		store_op_abort(s);
	else
		e = store_op_end(s);
	store_unlock(s);
	return e;
}

/* ---- what is shown */

struct touched {
	struct tree *tree;
	char *paths[TOUCHED_MAX];
	struct objid ids[TOUCHED_MAX];
	size_t count;
};

static int note_entry(void *arg, const struct replica_view_entry *e)
{
	struct touched *t = arg;

	kin_assert(e->kind >= KIND_FILE && e->kind <= KIND_LAST);
	if (t->count == TOUCHED_MAX)
		return 1;
	t->ids[t->count] = e->id;
	t->paths[t->count++] = strndup((const char *)e->path.data,
				       e->path.len);
	return 0;
}

static int note_conflict(void *arg, const struct conflict *c)
{
	(void)arg;
	return c->count > 1000;
}

static int note_decision(void *arg, const struct decision *d)
{
	(void)arg;
	return !d->id[0];
}

static int note_removed(void *arg, const struct history_removed *h)
{
	(void)arg;
	return !h->name.len;
}

static int note_policy(void *arg, const struct policy_set *p)
{
	(void)arg;
	return !p->text.data;
}

static int note_hidden(void *arg, const struct policy_hidden *p)
{
	(void)arg;
	return !p->kind;
}

static int note_dirent(void *arg, const struct tree_dirent *d)
{
	struct entry e;

	kin_assert(name_is_valid(d->name) && d->ino);
	any(tree_entry_locked(arg, d, &e));
	return 0;
}

static int note_row(void *arg, struct objid id, struct slice row)
{
	(void)arg;
	(void)id;
	return !row.len;
}

static void look(struct tree *t)
{
	const struct history_wanted all = { .since_ms = 0 };
	struct tree_incarnation inc;
	cleanup(buf_release) struct buf why = BUF_INIT;

	any(replica_check(t, &why));
	any(replica_rows(t, note_row, NULL));
	any(tree_readdir(t, TREE_ROOT_INO, 0, note_dirent, t));
	any(tree_conflicts(t, TREE_ROOT_INO, note_conflict, NULL));
	any(tree_decided(t, TREE_ROOT_INO, note_decision, NULL));
	any(tree_removed(t, SLICE("", 0), &all, note_removed, NULL));
	any(tree_policies(t, 1000, note_policy, NULL));
	any(tree_policy_hidden(t, note_hidden, NULL));
	any(tree_incarnation(t, &inc));
	(void)tree_conflict_count(t);
}

static void look_at(struct tree *t, const char *path)
{
	cleanup(buf_release) struct buf text = BUF_INIT;
	struct history_file history;
	struct policy_found policy;
	struct variants variants;
	struct acks acks;
	struct attr attr;
	uint64_t ino, parent;
	char bytes[64];

	if (tree_resolve_path(t, SLICE_STR(path), &ino))
		return;
	any(tree_getattr(t, ino, &attr));
	any(tree_parent(t, ino, &parent));
	any(tree_path(t, ino, &text));
	any(tree_readdir(t, ino, 0, note_dirent, t));
	any(tree_readlink(t, ino, &text));
	any(tree_listxattr(t, ino, &text));
	any(tree_getxattr(t, ino, SLICE_STR("user.kin.conflict"), &text));
	any(tree_policy(t, ino, &policy));
	any(tree_acks(t, ino, &acks));
	if (!tree_variants(t, ino, &variants))
		variants_release(&variants);
	if (!tree_history(t, SLICE_STR(path), &history))
		history_file_release(&history);
	if (tree_open_file(t, ino, false))
		return;
	any((int)tree_read(t, ino, 0, bytes, sizeof(bytes)));
	any((int)tree_read(t, ino, 5000, bytes, sizeof(bytes)));
	tree_release_file(t, ino, false);
}

/* ---- what is changed */

static void change(struct tree *t, const char *path, size_t how)
{
	const char *slash = strrchr(path, '/');
	struct slice name = SLICE_STR(slash ? slash + 1 : path);
	struct slice dir = SLICE(path, slash ? slash - path : 0);
	struct tree_setattr set = { .set = TREE_SET_SIZE, .size = 4 };
	uint64_t ino, parent;
	struct attr attr;

	if (tree_resolve_path(t, dir, &parent) ||
	    tree_resolve_path(t, SLICE_STR(path), &ino))
		return;
	switch (how % 6) {
	case 0:
		any(tree_unlink(t, parent, name));
		any(tree_rmdir(t, parent, name));
		break;
	case 1:
		any(tree_rename(t, parent, name, TREE_ROOT_INO,
				SLICE_STR("moved"), 0));
		break;
	case 2:
		if (tree_open_file(t, ino, true))
			break;
		any(tree_setattr(t, ino, &set, &attr));
		any(tree_write(t, ino, 2, SLICE_STR("written"), false));
		tree_release_file(t, ino, true);
		break;
	case 3:
		any(tree_setxattr(t, ino, SLICE_STR("user.kin.policy"),
				  SLICE_STR("latest"), 0));
		any(tree_setxattr(t, ino, SLICE_STR("user.x"), name, 0));
		break;
	case 4:
		any(tree_resolve(t, parent, name, SLICE_STR("main")));
		any(tree_swap(t, parent, name));
		break;
	case 5:
		set.set = TREE_SET_MODE;
		any(tree_setattr(t, ino, &set, &attr));
		break;
	}
}

static void replica(struct fuzz_node *n)
{
	struct tree *t = n->tree;
	struct replica_purged purged = { .done = false };
	struct replica_graves graves;
	struct replica_debt debt;
	struct know k = KNOW_INIT;
	size_t count = 0;
	bool done = false;
	uint64_t lseq;

	store_lock(n->store);
	any(know_copy(&k, replica_know(t)));
	any(replica_cut_start(t, &k, &lseq));
	any(replica_cut_since(t, &k, &lseq));
	any(replica_debt(t, &debt));
	any(replica_graves(t, &graves));
	for (int i = 0; i < STEPS_MAX && !purged.done; i++)
		if (replica_purge(t, &k, 16, &purged))
			break;
	for (int i = 0; i < STEPS_MAX && !done; i++)
		if (replica_base_prune(t, &k, 16, &done))
			break;
	for (int i = 0; i < STEPS_MAX; i++)
		if (replica_bring_back(t, 16, &count) <= 0)
			break;
	any(replica_history_expire(t, 4, &count));
	store_unlock(n->store);
	any((int)replica_bytes_after(t, 0, &k, 1000, &lseq));
	know_release(&k);
}

static void steps(struct fuzz_node *n)
{
	static const struct reclaim_options options = { .now_s = 1 };
	const struct history_wanted all = { .since_ms = 0 };
	struct deep *deep;

	if (!deep_begin(n->tree, &deep)) {
		for (int i = 0; i < STEPS_MAX && !deep_step(deep); i++)
			;
		deep_end(deep);
	}
	any(tree_undelete(n->tree, SLICE("", 0), &all, note_removed, NULL));
	any(tree_cut_settled(n->tree, 0));
	if (!reclaim_begin(n->store, &options)) {
		for (int i = 0; i < STEPS_MAX && !reclaim_step(n->store); i++)
			;
		reclaim_stop(n->store);
	}
}

static void core(struct fuzz_node *n)
{
	struct fuzz_node_options o = { .few_rows = true };
	struct device peer = fuzz_device(1);

	if (fuzz_node_core(n, &o))
		return;
	for (int i = 0; i < 3; i++) {
		if (!i && !core_link_up(n->core, n->now_ms, FUZZ_LINK, &peer))
			core_local_change(n->core, n->now_ms);
		n->now_ms += 30000;
		for (int k = 0; k < STEPS_MAX; k++)
			if (core_tick(n->core, n->now_ms) > n->now_ms)
				break;
	}
	core_free(steal(&n->core));
}

/* All of it, on a store with something in it. */
static void live(struct fuzz_node *n, bool changes)
{
	static const struct replica_history_limits few = { 1000, 1000 };
	struct touched touched = { .tree = n->tree };

	look(n->tree);
	any(replica_view(n->tree, note_entry, &touched));
	for (size_t i = 0; i < touched.count; i++) {
		cleanup(buf_release) struct buf path = BUF_INIT;

		any(tree_path_of(n->tree, touched.ids[i], &path));
		look_at(n->tree, touched.paths[i]);
	}
	for (size_t i = 0; i < touched.count; i++) {
		if (changes)
			change(n->tree, touched.paths[i], i);
		free(touched.paths[i]);
	}
	if (!changes)
		return;
	store_lock(n->store);
	replica_set_history(n->tree, &few);
	store_unlock(n->store);
	steps(n);
	core(n);
	replica(n);
}

void fuzz_tables(struct slice in)
{
	static struct invite invites[INVITES_MAX];
	static const char *dir;
	struct fuzz_node n;

	if (!dir)
		dir = fuzz_dir("tables");
	fuzz_node_init(&n, 0, dir);
	n.store = fuzz_store_open(dir);
	if (!fill(n.store, in)) {
		any((int)invites_list(n.store, invites));
		for (int turn = 0; turn < 2; turn++) {
			if (fuzz_node_tree(&n, NULL))
				break;
			live(&n, !turn);
			tree_close(steal(&n.tree));
		}
	}
	store_abandon(n.store);
	buf_release(&n.out);
	fuzz_dir_clear(dir);
}
