/* SPDX-License-Identifier: Apache-2.0 */
/* Operations on names. */
#include "tests/sim/op.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void unlink_one(struct op *op, int what)
{
	const struct item *i = items_pick(&op->ops->rng, &op->before, what);
	struct spot s;

	if (!i)
		return;
	op_subject(op, i->id);
	op_say(op, "removes", i->path, "");
	op->takes = true;
	if (!spot_find(op->node, i->path, &s)) {
		op_must(op, -ENOENT);
		return;
	}
	op_must(op, tree_unlink(op->node->tree, s.parent, SLICE_STR(s.name)));
	op->gone = i;
	op->kept_all = i;
}

void op_unlink(struct op *op)
{
	unlink_one(op, PICK_FILE | PICK_LINK);
}

void op_unlink_sibling(struct op *op)
{
	unlink_one(op, PICK_SIBLING);
}

void op_rmdir(struct op *op)
{
	const struct item *i = items_pick(&op->ops->rng, &op->before, PICK_DIR);
	struct spot s;

	if (!i)
		return;
	op_subject(op, i->id);
	op_say(op, "removes directory", i->path, "");
	op_expect(op, spot_find(op->node, i->path, &s)
			      ? tree_rmdir(op->node->tree, s.parent,
					   SLICE_STR(s.name))
			      : -ENOENT);
	if (op->r >= 0)
		op->gone = i;
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
