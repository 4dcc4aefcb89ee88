/* SPDX-License-Identifier: Apache-2.0 */
/* Operations on what files hold, and on attributes. */
#include "tests/sim/op.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int write_bytes(struct op *op, uint64_t ino, struct text_bytes *t)
{
	uint8_t *back;
	int64_t n;
	int r = tree_write(op->node->tree, ino, 0, SLICE(t->data, t->len),
			   false);

	if (r < 0)
		return r;
	back = malloc(t->len + 1);
	kin_assert(back);
	n = tree_read(op->node->tree, ino, 0, back, t->len);
	/* (The store failed in this very write.) */
	if (n < 0 && node_is_sick(op->node)) {
		free(back);
		return (int)n;
	}
	if (n != (int64_t)t->len || memcmp(back, t->data, t->len))
		cluster_fail(op->ops->cluster,
			     "node %d reads back other "
			     "bytes than it wrote (%lld of %zu)",
			     op->node->index, (long long)n, t->len);
	free(back);
	return 0;
}

void op_create(struct op *op)
{
	struct tree_new new = new_of(KIND_FILE);
	struct text_bytes t = new_bytes(op->ops);
	struct entry e;
	struct spot s;

	new_path(op->ops, &op->before, op->shown_path);
	op_say(op, "creates", op->shown_path, "");
	op_expect(op, spot_find(op->node, op->shown_path, &s)
			      ? tree_create(op->node->tree, s.parent,
					    SLICE_STR(s.name), &new, true, &e)
			      : -ENOENT);
	if (op->r >= 0) {
		op_step(op);
		op_must(op, write_bytes(op, e.attr.ino, &t));
		op_close(op, e.attr.ino);
	}
	free(t.data);
}

void op_symlink(struct op *op)
{
	struct tree_new new = new_of(KIND_SYMLINK);
	struct text_bytes t = new_bytes(op->ops);
	struct entry e;
	struct spot s;

	new_path(op->ops, &op->before, op->shown_path);
	op_say(op, "links", op->shown_path, "");
	new.target =
		SLICE(t.data, MIN_OF(MAX_OF(t.len, (size_t)1), (size_t)40));
	for (size_t i = 0; i < new.target.len; i++)
		t.data[i] = (uint8_t)('a' + t.data[i] % 26);
	op_expect(op, spot_find(op->node, op->shown_path, &s)
			      ? tree_create(op->node->tree, s.parent,
					    SLICE_STR(s.name), &new, false, &e)
			      : -ENOENT);
	free(t.data);
}

void op_mkdir(struct op *op)
{
	struct tree_new new = new_of(KIND_DIR);
	struct entry e;
	struct spot s;

	new_path(op->ops, &op->before, op->shown_path);
	op_say(op, "makes directory", op->shown_path, "");
	op_expect(op, spot_find(op->node, op->shown_path, &s)
			      ? tree_create(op->node->tree, s.parent,
					    SLICE_STR(s.name), &new, false, &e)
			      : -ENOENT);
}

static bool op_open(struct op *op, const struct item *i, uint64_t *ret_ino)
{
	op_must(op,
		tree_resolve_path(op->node->tree, SLICE_STR(i->path), ret_ino));
	if (op->r >= 0)
		op_must(op, tree_open_file(op->node->tree, *ret_ino, true));
	op->takes = true;
	return op->r >= 0;
}

/* A save: the file is emptied and written anew. */
static void save(struct op *op, int what)
{
	const struct item *i = items_pick(&op->ops->rng, &op->before, what);
	struct tree_setattr empty = {.set = TREE_SET_SIZE};
	struct text_bytes t;
	struct attr attr;
	uint64_t ino;
	struct content c;

	if (!i)
		return;
	t = new_bytes(op->ops);
	op_subject(op, i->id);
	op_say(op, "saves", i->path, "");
	if (op_open(op, i, &ino)) {
		op_must(op, tree_setattr(op->node->tree, ino, &empty, &attr));
		op_step(op);
		op_must(op, write_bytes(op, ino, &t));
		/* (Where main is still on its way, this ends as a sibling.) */
		if (op_close(op, ino) && t.len <= INLINE_BYTES_MAX &&
		    i->complete) {
			content_inline(SLICE(t.data, t.len), &c);
			snprintf(op->shown_path, PATH_BYTES, "%s", i->path);
			op->shown_content = content_hash64(&c);
		}
		/* Equal contents are one, and main is the one. */
		if (t.unique)
			op_keep_others(op, i);
		else if (i->sibling)
			op->shown_path[0] = '\0';
	}
	free(t.data);
}

void op_save(struct op *op)
{
	save(op, PICK_FILE);
}

void op_save_sibling(struct op *op)
{
	save(op, PICK_SIBLING);
}

/* Somewhere in the middle, or at the end. */
void op_patch(struct op *op)
{
	const struct item *i = items_pick(&op->ops->rng, &op->before,
					  PICK_FILE | PICK_SIBLING);
	struct text_bytes t;
	struct attr attr;
	uint64_t ino, at = 0;
	bool append = rng_one_in(&op->ops->rng, 3);

	if (!i)
		return;
	t = new_bytes(op->ops);
	op_subject(op, i->id);
	op_say(op, append ? "appends to" : "patches", i->path, "");
	if (op_open(op, i, &ino)) {
		op_must(op, tree_getattr(op->node->tree, ino, &attr));
		if (attr.size)
			at = rng_below(&op->ops->rng, attr.size + 10);
		if (op->ops->profile->plain && attr.size > PLAIN_FILE_BYTES) {
			append = false;
			at = 0;
		}
		op_must(op,
			tree_write(op->node->tree, ino, at,
				   SLICE(t.data, MIN_OF(t.len, (size_t)3000)),
				   append));
		op_close(op, ino);
		if (t.unique)
			op_keep_others(op, i);
	}
	free(t.data);
}

void op_truncate(struct op *op)
{
	const struct item *i = items_pick(&op->ops->rng, &op->before,
					  PICK_FILE | PICK_SIBLING);
	struct tree_setattr set = {.set = TREE_SET_SIZE};
	struct attr attr;
	uint64_t ino;

	if (!i)
		return;
	op_subject(op, i->id);
	set.size = rng_below(&op->ops->rng,
			     rng_one_in(&op->ops->rng, 5) ? 100000 : 200);
	if (op->ops->profile->plain)
		set.size %= PLAIN_BYTES;
	op_say(op, "truncates", i->path, "");
	op->takes = true;
	op_must(op,
		tree_resolve_path(op->node->tree, SLICE_STR(i->path), &ino));
	if (op->r >= 0)
		op_must(op, tree_setattr(op->node->tree, ino, &set, &attr));
}

void op_handle(struct op *op)
{
	struct handle *h = handle_pick(op);
	struct text_bytes t;
	int r;

	if (!h)
		return;
	op->about_ino = h->ino;
	op->saw = oracle_read(op->ops->oracle, op->node, h->ino);
	if (rng_one_in(&op->ops->rng, 2)) {
		op_say(op, "closes", "a handle", "");
		handle_close(op->node, h);
		/* It shows what it shows: by others' saves meanwhile, too. */
		for (size_t i = 0; i < op->before.count; i++)
			op->before.list[i].kind = KIND_DIR;
		return;
	}
	op_say(op, "writes to", "a handle", "");
	t = new_bytes(op->ops);
	r = write_bytes(op, h->ino, &t);
	/* Unlinked meanwhile, and its number forgotten, is no error. */
	if (r != -ESTALE && r != -ENOENT)
		op_must(op, r);
	if (!r)
		oracle_overwritten(op->ops->oracle, op->node, op->saw);
	for (size_t i = 0; i < op->before.count; i++)
		op->before.list[i].kind = KIND_DIR;
	free(t.data);
}

/* ---- operations on attributes */

void op_attributes(struct op *op)
{
	const struct item *i =
		items_pick(&op->ops->rng, &op->before,
			   PICK_FILE | PICK_DIR | PICK_LINK | PICK_SIBLING);
	struct tree_setattr set = {0};
	struct attr attr;
	uint64_t ino;

	if (!i)
		return;
	set.perm = (uint32_t)rng_below(&op->ops->rng, 01000);
	set.mtime.tv_sec = (time_t)rng_below(&op->ops->rng, 2000000000);
	set.mtime.tv_nsec = (long)rng_below(&op->ops->rng, 1000000000);
	set.user = set.group = sim_user;
	set.set = rng_one_in(&op->ops->rng, 2) ? TREE_SET_MODE
		  : rng_one_in(&op->ops->rng, 2)
			  ? TREE_SET_MTIME
			  : TREE_SET_USER | TREE_SET_MODE;
	op_say(op, "sets attributes of", i->path, "");
	op_must(op,
		tree_resolve_path(op->node->tree, SLICE_STR(i->path), &ino));
	if (op->r >= 0)
		op_must(op, tree_setattr(op->node->tree, ino, &set, &attr));
	/* (A sibling shows the time of its content, and so does what is
	 * shown while main is still on its way.) */
	if (op->r >= 0 && set.set == TREE_SET_MTIME && !i->sibling &&
	    i->complete &&
	    (attr.mtime.tv_sec != set.mtime.tv_sec ||
	     attr.mtime.tv_nsec != set.mtime.tv_nsec))
		cluster_fail(op->ops->cluster,
			     "mtime of '%s' is not what "
			     "was set",
			     i->path);
	if (op->r >= 0 && set.set & TREE_SET_MODE && i->kind != KIND_SYMLINK &&
	    (attr.mode & 07777) != set.perm)
		cluster_fail(op->ops->cluster,
			     "mode of '%s' is not what "
			     "was set",
			     i->path);
}

/* fsync: what the node has now stays. */
void op_sync(struct op *op)
{
	op_say(op, "syncs", "", "");
	op_must(op, tree_sync(op->node->tree));
	if (op->r >= 0 && !op->node->disk.frozen) {
		node_note_durable(op->node);
		oracle_synced(op->ops->oracle, op->node);
	}
}

void op_settle(struct op *op)
{
	op_say(op, "cuts", "what is settled", "");
	op_must(op, tree_cut_settled(op->node->tree, 0));
	for (size_t i = 0; i < op->before.count; i++)
		op->before.list[i].kind = KIND_DIR;
}
