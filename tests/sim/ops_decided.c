/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Taking back what was decided without asking; the other of two names; and
 * the policies by which some of it is decided.
 */
#include "tests/sim/op.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fs/tree/decided.h"
#include "fs/tree/policy.h"

/* One of the list by chance, or one that is looked for. */
struct choice {
	struct rng *rng;
	uint64_t seen;
	const char *id; /* NULL: any */
	bool settled;	/* of these only */
	bool found, is_dir;
	char found_id[DECISION_ID_CHARS + 1];
	enum decision_kind kind;
	char path[PATH_BYTES], lost[PATH_BYTES];
};

static void copy(char ret[PATH_BYTES], struct slice s)
{
	snprintf(ret, PATH_BYTES, "%.*s", (int)s.len, (const char *)s.data);
}

static int look(void *arg, const struct decision *d)
{
	struct choice *p = arg;

	if (p->settled && d->kind != DECISION_SETTLED)
		return 0;
	if (p->id ? strcmp(d->id, p->id) != 0
		  : !rng_one_in(p->rng, ++p->seen))
		return 0;
	p->found = true;
	p->is_dir = d->is_dir;
	p->kind = d->kind;
	memcpy(p->found_id, d->id, sizeof(p->found_id));
	copy(p->path, d->path);
	copy(p->lost, d->lost.value);
	return 0;
}

static bool find(struct op *op, const char *id, struct choice *ret)
{
	int r;

	/* (the recorder has no words for the others) */
	*ret = (struct choice){.rng = &op->ops->rng, .id = id,
			       .settled = op->ops->profile->plain};
	r = tree_decided(op->node->tree, TREE_ROOT_INO, look, ret);
	if (r < 0 && !node_is_sick(op->node))
		cluster_fail(op->ops->cluster, "node %d: decisions: %d",
			     op->node->index, r);
	return r == 0 && ret->found;
}

/* Beside what every operation may meet. */
static void expect(struct op *op, int r)
{
	if (r == -EBUSY || r == -ENOTUNIQ || r == -EAGAIN)
		op->r = r;
	else
		op_expect(op, r);
}

/* All that is at the path, also by other claims, may change. */
static void about(struct op *op, const struct choice *p)
{
	const struct item *i = items_at(&op->before, p->path);

	if (i)
		op_subject(op, i->id);
	op->takes = true;
}

/* Lists change as they should: what was taken back is off it. */
static void check_off(struct op *op, const char *id)
{
	struct choice again;

	if (op->r >= 0 && !node_is_sick(op->node) && find(op, id, &again))
		cluster_fail(op->ops->cluster,
			     "node %d %s '%s': it is still on the list",
			     op->node->index, op->what, op->about[0]);
}

/* Where the directory is that had this path before. */
static bool path_now(struct op *op, const char *path, char ret[PATH_BYTES])
{
	const struct item *dir = items_at(&op->before, path);
	struct items now = {0};
	bool found = false;

	if (dir && items_take(op->node, &now))
		for (size_t i = 0; !found && i < now.count; i++) {
			found = objid_equal(now.list[i].id, dir->id);
			if (found)
				snprintf(ret, PATH_BYTES, "%s",
					 now.list[i].path);
		}
	items_release(&now);
	return found;
}

/*
 * Where it must be now. A directory of a cycle was to go into one that lies
 * in itself; what was in the way has left it first, and that one with it: so
 * the place has another path. It is still in that very directory.
 */
static void expect_undone(struct op *op, const struct choice *p)
{
	char dir[PATH_BYTES], now[PATH_BYTES];
	size_t len = strlen(p->path);
	const char *name = strrchr(p->lost, '/');

	snprintf(op->shown_path, PATH_BYTES, "%s", p->lost);
	if (p->kind != DECISION_CYCLE)
		return;
	op->gone = items_at(&op->before, p->path);
	if (strncmp(p->lost, p->path, len) || p->lost[len] != '/')
		return;
	snprintf(dir, sizeof(dir), "%.*s", (int)(name - p->lost), p->lost);
	if (path_now(op, dir, now) &&
	    snprintf(op->shown_path, PATH_BYTES, "%s%s", now, name) >=
		    PATH_BYTES)
		op->shown_path[0] = '\0';
}

static bool shows_sibling(const struct op *op, const char *path)
{
	const struct item *i = items_at(&op->before, path);

	return i && i->sibling;
}

/* The mode is the one that lost. */
static void check_mode(struct op *op, const struct choice *p)
{
	struct attr a;
	uint64_t ino;

	if (tree_resolve_path(op->node->tree, SLICE_STR(p->path), &ino) ||
	    tree_getattr(op->node->tree, ino, &a))
		return;
	if (!S_ISLNK(a.mode) && (a.mode & 07777) != strtoul(p->lost, NULL, 8))
		cluster_fail(op->ops->cluster, "no effect: node %d undoes "
			     "'%s', its mode is %o, not %s", op->node->index,
			     p->path, a.mode & 07777, p->lost);
}

static uint64_t last_own(struct tree *t)
{
	return know_get(replica_know(t), replica_origin(t));
}

/* Was this one opened again by what came after `seq`? */
static bool is_open(struct op *op, struct objid id, uint64_t seq)
{
	struct tree *t = op->node->tree;
	struct object row;
	bool opened = false;

	object_init(&row, id);
	store_lock(op->node->store);
	op_must(op, replica_row_load(t, id, &row));
	store_unlock(op->node->store);
	for (size_t k = 0; k < row.count; k++)
		opened |= row.versions[k].flags & VERSION_REOPENED &&
			  row.versions[k].dot.origin == replica_origin(t) &&
			  row.versions[k].dot.seq > seq;
	opened = opened && object_contents(&row) > 1;
	object_release(&row);
	return opened;
}

/* Of a file there are several contents again, shown or hidden by a policy. It
 * need not be the one that the path showed: that may have been a twin. */
static void check_open(struct op *op, const struct choice *p, uint64_t seq)
{
	struct items now = {0};
	bool found = false;

	if (!items_take(op->node, &now))
		return;
	for (size_t k = 0; op->r >= 0 && !found && k < now.count; k++)
		found = is_open(op, now.list[k].id, seq);
	if (op->r >= 0 && !found)
		cluster_fail(op->ops->cluster, "no effect: node %d undoes how "
			     "'%s' was settled, and it has one content",
			     op->node->index, p->path);
	items_release(&now);
}

void op_undo(struct op *op)
{
	struct choice p;
	uint64_t seq;

	if (!find(op, NULL, &p))
		return;
	seq = last_own(op->node->tree);
	op_say(op, p.kind == DECISION_SETTLED ? "reopens" : "undoes", p.path,
	       p.kind == DECISION_RENAME || p.kind == DECISION_CYCLE ? p.lost
								      : "");
	about(op, &p);
	expect(op, tree_undo(op->node->tree, SLICE_STR(p.found_id)));
	check_off(op, p.found_id);
	if (op->r >= 0 && p.kind == DECISION_MODE && !p.is_dir)
		check_mode(op, &p);
	if (op->r >= 0 && p.kind == DECISION_SETTLED)
		check_open(op, &p, seq);
	/* (Of a file whose main was removed only a sibling shows.) */
	if (op->r >= 0 && op->about[1][0] && !shows_sibling(op, p.path))
		expect_undone(op, &p);
}

void op_swap(struct op *op)
{
	struct choice p;
	struct spot s;

	if (!find(op, NULL, &p) || p.kind != DECISION_RENAME ||
	    !spot_find(op->node, p.path, &s))
		return;
	op_say(op, "swaps", p.path, p.lost);
	about(op, &p);
	expect(op,
	       tree_swap(op->node->tree, s.parent, SLICE_STR(s.name)));
	check_off(op, p.found_id);
	if (op->r >= 0 && op->about[1][0] && !shows_sibling(op, p.path))
		snprintf(op->shown_path, sizeof(op->shown_path), "%s", p.lost);
}

/* For a directory, or for all; what is in it shows at once by that. */
void op_policy(struct op *op)
{
	static const char *const rules[] = {
		"latest",     "latest",		   "keep",  "node:node0",
		"node:node1", "node:node2,node0",  "merge", "hook:nothing",
	};
	const char *rule = rules[rng_below(&op->ops->rng, ARRAY_SIZE(rules))];
	const struct item *i = rng_one_in(&op->ops->rng, 3)
				       ? NULL
				       : items_pick(&op->ops->rng, &op->before,
						    PICK_DIR);
	bool set = rng_below(&op->ops->rng, 4) > 0;
	struct tree *t = op->node->tree;
	struct policy_found found;
	uint64_t ino = TREE_ROOT_INO;
	int r = 0;

	op_say(op, set ? "sets the policy of" : "ends the policy of",
	       i ? i->path : "", set ? rule : "");
	op->about[1][0] = '\0'; /* (no path) */
	op->rereads = true;
	if (i) {
		op_subject(op, i->id);
		r = tree_resolve_path(t, SLICE_STR(i->path), &ino);
	}
	if (r == 0)
		r = set ? tree_setxattr(t, ino, SLICE_STR(XATTR_POLICY),
					SLICE_STR(rule), 0)
			: tree_removexattr(t, ino, SLICE_STR(XATTR_POLICY));
	op_expect(op, r);
	if (op->r < 0 || !set)
		return;
	r = tree_policy(t, ino, &found);
	if (r < 0 || !slice_equal(SLICE(found.text, found.text_len),
				  SLICE_STR(rule)))
		cluster_fail(op->ops->cluster, "node %d sets the policy of "
			     "'%s': it has another", op->node->index,
			     op->about[0]);
}
