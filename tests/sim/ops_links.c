/* SPDX-License-Identifier: Apache-2.0 */
/* Hard links, exchanges, extended attributes. */
#include "tests/sim/op.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void op_link(struct op *op)
{
	const struct item *i = items_pick(&op->ops->rng, &op->before,
					  PICK_FILE | PICK_LINK);
	char to[PATH_BYTES];
	struct entry e;
	struct spot s;
	uint64_t ino;
	int r;

	if (!i)
		return;
	new_path(op->ops, &op->before, to);
	op_say(op, "links", i->path, to);
	op_subject(op, i->id);
	r = tree_resolve_path(op->node->tree, SLICE_STR(i->path), &ino);
	if (r == 0)
		r = spot_find(op->node, to, &s)
			    ? tree_link(op->node->tree, ino, s.parent,
					SLICE_STR(s.name), &e)
			    : -ENOENT;
	op_expect(op, r);
	if (op->r < 0)
		return;
	snprintf(op->shown_path, sizeof(op->shown_path), "%s", to);
	op->shown_content = i->content;
	op->kept_all = i;
}

void op_exchange(struct op *op)
{
	const int any = PICK_FILE | PICK_LINK | PICK_DIR;
	const struct item *i = items_pick(&op->ops->rng, &op->before, any);
	const struct item *with = items_pick(&op->ops->rng, &op->before, any);
	struct spot a, b;

	if (!i || !with || i == with)
		return;
	op_say(op, "exchanges", i->path, with->path);
	op_subject(op, i->id);
	op_subject(op, with->id);
	op_expect(op, spot_find(op->node, i->path, &a) &&
				      spot_find(op->node, with->path, &b)
			      ? tree_rename(op->node->tree, a.parent,
					    SLICE_STR(a.name), b.parent,
					    SLICE_STR(b.name),
					    TREE_RENAME_EXCHANGE)
			      : -ENOENT);
	/* Two names of one file: nothing happens. */
	if (op->r < 0 || objid_equal(i->id, with->id))
		return;
	op->gone = i;
	snprintf(op->shown_path, sizeof(op->shown_path), "%s", with->path);
	op->shown_content = i->content;
}

/* Sets or removes one of few; what was set is read back. */
void op_xattr(struct op *op)
{
	static const char *const names[] = {"user.a", "user.b", "user.c"};
	const struct item *i =
		items_pick(&op->ops->rng, &op->before,
			   PICK_FILE | PICK_DIR | PICK_SIBLING);
	const char *name = names[rng_below(&op->ops->rng, ARRAY_SIZE(names))];
	bool set = rng_below(&op->ops->rng, 4) > 0;
	char value[24];
	cleanup(buf_release) struct buf got = BUF_INIT;
	struct tree *t = op->node->tree;
	uint64_t ino;
	int r;

	if (!i)
		return;
	snprintf(value, sizeof(value), "%llu",
		 (unsigned long long)++op->ops->token);
	op_say(op, set ? "sets attribute of" : "drops attribute of", i->path,
	       name);
	op_subject(op, i->id);
	r = tree_resolve_path(t, SLICE_STR(i->path), &ino);
	if (r == 0)
		r = set ? tree_setxattr(t, ino, SLICE_STR(name),
					SLICE_STR(value), 0)
			: tree_removexattr(t, ino, SLICE_STR(name));
	op_expect(op, r);
	if (op->r < 0)
		return;
	r = tree_getxattr(t, ino, SLICE_STR(name), &got);
	if (set ? r < 0 || !slice_equal(buf_slice(&got), SLICE_STR(value))
		: r != -ENODATA)
		cluster_fail(op->ops->cluster, "node %d %s '%s': it has "
			     "another value", op->node->index, op->what,
			     i->path);
}
