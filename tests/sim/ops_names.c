/* SPDX-License-Identifier: Apache-2.0 */
/* Operations on names. */
#include "tests/sim/op.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void unlink_item(struct op *op, const struct item *i)
{
	struct spot s;

	op_subject(op, i->id);
	op_say(op, "removes", i->path, "");
	op->takes = true;
	if (!spot_find(op->node, i->path, &s)) {
		op_must(op, -ENOENT);
		return;
	}
	op_must(op, tree_unlink(op->node->tree, s.parent, SLICE_STR(s.name)));
	op->gone = i;
	op->removed = i->sibling ? NULL : i;
	op->kept_all = i;
}

static void unlink_one(struct op *op, int what)
{
	const struct item *i = items_pick(&op->ops->rng, &op->before, what);

	if (i)
		unlink_item(op, i);
}

void op_unlink(struct op *op)
{
	unlink_one(op, PICK_FILE | PICK_LINK);
}

void op_unlink_sibling(struct op *op)
{
	unlink_one(op, PICK_SIBLING);
}

static void rmdir_item(struct op *op, const struct item *i)
{
	struct spot s;

	op_subject(op, i->id);
	op_say(op, "removes directory", i->path, "");
	op_expect(op, spot_find(op->node, i->path, &s)
			      ? tree_rmdir(op->node->tree, s.parent,
					   SLICE_STR(s.name))
			      : -ENOENT);
	if (op->r >= 0)
		op->gone = i;
}

void op_rmdir(struct op *op)
{
	const struct item *i = items_pick(&op->ops->rng, &op->before, PICK_DIR);

	if (i)
		rmdir_item(op, i);
}

/* What `rm -r` takes next: the longest path has nothing below it. NULL: the
 * directory is gone. */
static const struct item *next_below(const struct items *v, const char *dir)
{
	const struct item *best = NULL;
	size_t len = strlen(dir);

	for (size_t i = 0; i < v->count; i++) {
		const struct item *x = &v->list[i];

		if (strncmp(x->path, dir, len) ||
		    (x->path[len] && x->path[len] != '/'))
			continue;
		if (!best || strlen(x->path) > strlen(best->path))
			best = x;
	}
	return best;
}

/* Entries that one rm -r removes; more may come up as names become free. */
#define RM_ENTRIES_MAX 60

/* Each entry is an operation of its own, looked at as such. */
void op_rm_tree(struct op *op)
{
	const struct item *dir =
		items_pick(&op->ops->rng, &op->before, PICK_DIR);

	for (int n = 0; dir && n < RM_ENTRIES_MAX; n++) {
		struct op one = {.ops = op->ops, .node = op->node};
		const struct item *i;

		if (!items_take(op->node, &one.before))
			return;
		i = next_below(&one.before, dir->path);
		if (!i) {
			items_release(&one.before);
			return;
		}
		oracle_before(op->ops->oracle, op->node);
		if (i->kind == KIND_DIR)
			rmdir_item(&one, i);
		else
			unlink_item(&one, i);
		op_done(&one);
		if (one.r < 0 || !op->node->running)
			return;
	}
}

enum onto { ONTO_ANY, ONTO_SOMETHING };

static void rename_one(struct op *op, int what, enum onto over)
{
	const struct item *i = items_pick(&op->ops->rng, &op->before, what);
	const struct item *onto = NULL;
	char to[PATH_BYTES];
	struct spot a, b;
	bool written;

	if (!i)
		return;
	if (over == ONTO_SOMETHING)
		onto = items_pick(&op->ops->rng, &op->before,
				  i->kind == KIND_DIR && !i->sibling
					  ? PICK_DIR
					  : PICK_FILE | PICK_SIBLING);
	if (over == ONTO_SOMETHING && !onto)
		return;
	if (onto)
		snprintf(to, sizeof(to), "%s", onto->path);
	else
		new_path(op->ops, &op->before, to);
	/* (unsent writes that become another file's cannot be told) */
	if (op->ops->profile->plain && op_is_written(op, i->path) &&
	    items_at(&op->before, to))
		return;
	op_say(op, "renames", i->path, to);
	op_subject(op, i->id);
	onto = items_at(&op->before, to);
	if (onto)
		op_subject(op, onto->id);
	if (!spot_find(op->node, i->path, &a) || !spot_find(op->node, to, &b)) {
		op->r = -ENOENT;
		return;
	}
	written = op_is_written(op, i->path);
	op_expect(op, tree_rename(op->node->tree, a.parent, SLICE_STR(a.name),
				  b.parent, SLICE_STR(b.name), 0));
	if (op->r < 0 || !strcmp(i->path, to))
		return;
	/* Two names of one file: nothing happens. */
	if (onto && !i->sibling && !onto->sibling &&
	    objid_equal(onto->id, i->id))
		return;
	op->gone = i;
	snprintf(op->shown_path, sizeof(op->shown_path), "%s", to);
	/* (unsent writes go along, and are content when they are cut) */
	if (i->kind != KIND_DIR && !written)
		op->shown_content = i->content;
	/* A sibling over its own main settles; into another place it takes
	 * its content along. */
	if (!onto && !i->sibling)
		op->kept_all = i;
}

void op_rename(struct op *op)
{
	rename_one(op, PICK_FILE | PICK_LINK, ONTO_ANY);
}

void op_rename_dir(struct op *op)
{
	rename_one(op, PICK_DIR,
		   rng_one_in(&op->ops->rng, 6) ? ONTO_SOMETHING : ONTO_ANY);
}

void op_rename_over(struct op *op)
{
	rename_one(op, PICK_FILE, ONTO_SOMETHING);
}

void op_rename_sibling(struct op *op)
{
	rename_one(op, PICK_SIBLING, ONTO_ANY);
}

void op_sibling_over(struct op *op)
{
	rename_one(op, PICK_SIBLING, ONTO_SOMETHING);
}

void op_resolve(struct op *op)
{
	const struct item *i =
		items_pick(&op->ops->rng, &op->before, PICK_SIBLING);
	char take[PATH_BYTES];
	struct spot s;

	if (!i || !spot_find(op->node, i->path, &s))
		return;
	snprintf(take, sizeof(take), "%s",
		 rng_one_in(&op->ops->rng, 2) ? "main" : s.name);
	op_say(op, "resolves", i->path, take);
	op_subject(op, i->id);
	op_expect(op, tree_resolve(op->node->tree, s.parent, SLICE_STR(s.name),
				   SLICE_STR(take)));
	if (op->r >= 0)
		op->gone = i;
}
