/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Settling a conflict with bytes of one's own: by a rule (answer), each node
 * with another result, which is the worst that hooks can do; and by a person
 * who merges (merge). What is seen is settled, or nothing is.
 */
#include "tests/sim/op.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fs/tree/variants.h"

/* Tokens are of what is there; so are leaves, and what was found as base. */
static void check_variants(struct op *op, const struct variants *v)
{
	struct variants again;

	if (node_is_sick(op->node))
		return;
	if (tree_variants_of(op->node->tree, v->id, &again) < 0) {
		cluster_fail(op->ops->cluster, "node %d: no variants any more",
			     op->node->index);
		return;
	}
	if (!hash_equal(&v->token, &again.token) || v->count != again.count ||
	    v->base_known != again.base_known)
		cluster_fail(op->ops->cluster,
			     "node %d: variants change by looking",
			     op->node->index);
	variants_release(&again);
}

static int settle(struct op *op, const struct variants *v,
		  const struct text_bytes *t, enum settle_by by)
{
	int fd = memfd_create("answer", MFD_CLOEXEC), r;

	kin_assert(fd >= 0);
	kin_assert(write(fd, t->data, t->len) == (ssize_t)t->len);
	r = tree_settle(op->node->tree, v, fd, by);
	close(fd);
	return r;
}

/* The answer may be hidden under another node's, which nobody sees: then it
 * is no loss. */
static void excuse_answer(struct op *op, struct objid id)
{
	struct oracle *o = op->ops->oracle;
	struct items now = {0};
	uint64_t ino;

	/* (main's name may be another now, if others claim it too) */
	if (items_take(op->node, &now))
		for (size_t i = 0; i < now.count; i++)
			if (objid_equal(now.list[i].id, id) &&
			    !tree_resolve_path(op->node->tree,
					       SLICE_STR(now.list[i].path),
					       &ino))
				oracle_overwritten(o, op->node,
						   oracle_read(o, op->node,
							       ino));
	items_release(&now);
}

/* Main's name, if it is shown; else where it will be. */
static void main_path(const struct variants *v, const struct item *i,
		      char ret[PATH_BYTES])
{
	const char *slash = strrchr(i->path, '/');
	int dir = slash ? (int)(slash + 1 - i->path) : 0;

	ret[0] = '\0';
	for (size_t k = 0; k < v->count; k++)
		if (v->list[k].main && v->list[k].name.len)
			snprintf(ret, PATH_BYTES, "%.*s%.*s", dir, i->path,
				 (int)v->list[k].name.len,
				 (const char *)v->list[k].name.data);
}

static void answer(struct op *op, const char *what, enum settle_by by)
{
	const struct item *i =
		items_pick(&op->ops->rng, &op->before, PICK_SIBLING);
	struct text_bytes t;
	struct content c;
	struct variants v;
	char path[PATH_BYTES];
	int r;

	if (!i)
		return;
	r = tree_variants_of(op->node->tree, i->id, &v);
	op_say(op, what, i->path, "");
	/* (a symlink; one variant beside a main that was removed) */
	if (r < 0) {
		op_expect(op, r);
		return;
	}
	check_variants(op, &v);
	main_path(&v, i, path);
	t = new_bytes(op->ops);
	op_subject(op, i->id);
	op->takes = true;
	r = settle(op, &v, &t, by);
	variants_release(&v);
	op->r = r;
	if (r != -E2BIG && r != -EAGAIN)
		op_must(op, r);
	if (r >= 0) {
		op->gone = i;
		if (by == SETTLE_AUTO)
			excuse_answer(op, i->id);
		if (t.unique && path[0] && t.len <= INLINE_BYTES_MAX) {
			content_inline(SLICE(t.data, t.len), &c);
			snprintf(op->shown_path, PATH_BYTES, "%s", path);
			op->shown_content = content_hash64(&c);
		}
	}
	free(t.data);
}

void op_answer(struct op *op)
{
	answer(op, "answers", SETTLE_AUTO);
}

void op_merge(struct op *op)
{
	answer(op, "merges", SETTLE_PERSON);
}
