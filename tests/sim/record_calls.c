/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The calls that the recorder listens to. The linker leads a call of x()
 * from another file than x's own to __wrap_x(), and __real_x() is x itself.
 * Each of these does what x does; while a history is recorded it first notes
 * what is asked for, or afterwards what was done.
 */
#include <stdlib.h>
#include <string.h>

#include "fs/base/hash.h"
#include "fs/store/store.h"
#include "fs/tree/saves.h"
#include "fs/tree/variants.h"
#include "replication/core/core_internal.h"
#include "tests/sim/record_internal.h"

/* `ret name(args)`: declares both, and begins the wrapper. */
#define WRAP(ret, name, args)                                                  \
	ret __real_##name args;                                                \
	ret __wrap_##name args;                                                \
	ret __wrap_##name args

static struct node *node_of_tree(const struct tree *t)
{
	struct cluster *c = recorder()->cluster;

	for (int i = 0; c && i < c->node_count; i++)
		if (c->nodes[i].tree == t)
			return &c->nodes[i];
	return NULL;
}

static struct node *node_of_store(const struct store *s)
{
	struct cluster *c = recorder()->cluster;

	for (int i = 0; c && i < c->node_count; i++)
		if (c->nodes[i].store == s && c->nodes[i].tree)
			return &c->nodes[i];
	return NULL;
}

/* ---- what programs ask for */

static void path_of(struct tree *t, uint64_t dir, struct slice name,
		    struct buf *ret)
{
	buf_reset(ret);
	if (tree_path(t, dir, ret) < 0)
		return;
	if (ret->len)
		buf_put_u8(ret, '/');
	buf_put_slice(ret, name);
}

static void to_of(struct tree *t, uint64_t dir, struct slice name,
		  struct record_call *call)
{
	path_of(t, dir, name, &call->to);
	store_lock(t->store);
	if (ino_dir(t, dir, &call->to_dir))
		call->to_dir = ROOT_ID;
	store_unlock(t->store);
}

static bool entry_at(struct tree *t, uint64_t parent, struct slice name,
		     struct shown *ret)
{
	struct objid dir;
	struct row row;
	bool found;

	store_lock(t->store);
	found = !ino_dir(t, parent, &dir) && !view_find(t, dir, name, ret);
	if (found && !row_read(t, ret->id, &row)) {
		recorder()->call.coming |= row.pending != 0;
		row_release(&row);
	}
	store_unlock(t->store);
	return found;
}

/* NULL: nothing is recorded, or this is of a call within another. */
static struct record_call *call_begin(struct tree *t, enum call what)
{
	struct record_call *call = &recorder()->call;
	struct node *n = node_of_tree(t);

	if (!n || call->what)
		return NULL;
	call->what = what;
	call->node = n;
	call->is_there = call->coming = false;
	buf_reset(&call->path);
	buf_reset(&call->to);
	return call;
}

static int call_end(struct record_call *call, int r)
{
	if (call)
		call->what = CALL_NONE;
	return r;
}

WRAP(int, tree_create, (struct tree *t, uint64_t parent, struct slice name,
			const struct tree_new *n, bool open, struct entry *ret))
{
	struct record_call *call = call_begin(t, CALL_CREATE);

	if (call) {
		to_of(t, parent, name, call);
		call->symlink = n->kind == KIND_SYMLINK;
		call->open = open && n->kind == KIND_FILE;
	}
	return call_end(call, __real_tree_create(t, parent, name, n, open,
						 ret));
}

WRAP(int, tree_unlink, (struct tree *t, uint64_t parent, struct slice name))
{
	struct record_call *call = call_begin(t, CALL_UNLINK);

	if (call) {
		path_of(t, parent, name, &call->path);
		entry_at(t, parent, name, &call->entry);
	}
	return call_end(call, __real_tree_unlink(t, parent, name));
}

WRAP(int, tree_rmdir, (struct tree *t, uint64_t parent, struct slice name))
{
	struct record_call *call = call_begin(t, CALL_RMDIR);

	if (call)
		path_of(t, parent, name, &call->path);
	return call_end(call, __real_tree_rmdir(t, parent, name));
}

WRAP(int, tree_rename, (struct tree *t, uint64_t parent, struct slice name,
			uint64_t new_parent, struct slice new_name,
			uint32_t flags))
{
	struct record_call *call =
		call_begin(t, flags & TREE_RENAME_EXCHANGE ? CALL_EXCHANGE
							   : CALL_RENAME);

	if (call) {
		path_of(t, parent, name, &call->path);
		to_of(t, new_parent, new_name, call);
		entry_at(t, parent, name, &call->entry);
		call->is_there =
			entry_at(t, new_parent, new_name, &call->there);
	}
	return call_end(call, __real_tree_rename(t, parent, name, new_parent,
						 new_name, flags));
}

WRAP(int, tree_link, (struct tree *t, uint64_t ino, uint64_t parent,
		      struct slice name, struct entry *ret))
{
	struct record_call *call = call_begin(t, CALL_LINK);

	if (call) {
		(void)!tree_path(t, ino, &call->path);
		to_of(t, parent, name, call);
	}
	return call_end(call, __real_tree_link(t, ino, parent, name, ret));
}

WRAP(int, tree_setattr, (struct tree *t, uint64_t ino,
			 const struct tree_setattr *s, struct attr *ret))
{
	struct record_call *call = call_begin(t, CALL_SETATTR);

	if (call) {
		(void)!tree_path(t, ino, &call->path);
		call->set = s->set;
	}
	return call_end(call, __real_tree_setattr(t, ino, s, ret));
}

WRAP(int, tree_resolve, (struct tree *t, uint64_t parent, struct slice name,
			 struct slice take))
{
	struct record_call *call = call_begin(t, CALL_RESOLVE);

	if (call) {
		call->take_main = slice_equal(take, SLICE_STR("main"));
		path_of(t, parent, call->take_main ? name : take, &call->path);
		entry_at(t, parent, name, &call->entry);
	}
	return call_end(call, __real_tree_resolve(t, parent, name, take));
}

WRAP(int, tree_settle, (struct tree *t, const struct variants *v, int fd,
			enum settle_by by))
{
	struct record_call *call = call_begin(t, CALL_SETTLE);

	if (call) {
		call->object = v->id;
		call->by_person = by == SETTLE_PERSON;
		for (size_t i = 0; i < v->count; i++)
			call->coming |= !v->list[i].here;
	}
	return call_end(call, __real_tree_settle(t, v, fd, by));
}

WRAP(int, tree_undo, (struct tree *t, struct slice id))
{
	struct record_call *call = call_begin(t, CALL_UNDO);

	return call_end(call, __real_tree_undo(t, id));
}

/* ---- what an operation does */

WRAP(int, store_op_begin, (struct store *s))
{
	struct node *n = node_of_store(s);

	if (n) {
		struct record_op *op = &record_node(n)->op;

		op->rows.count = op->gone.count = op->restamp_count = 0;
		op->reads = op->commits = op->begins = op->ends = false;
	}
	return __real_store_op_begin(s);
}

WRAP(int, store_op_end, (struct store *s))
{
	struct node *n = node_of_store(s);
	int r = __real_store_op_end(s);

	if (n && r == 0)
		record_op_ended(n);
	if (n)
		record_node(n)->op.commits = false;
	return r;
}

WRAP(int, dirty_get, (struct tree *t, uint64_t ino, struct dirty *ret))
{
	struct node *n = node_of_tree(t);
	int r = __real_dirty_get(t, ino, ret);

	/* (those of the cut; behind them, of other inodes of the file) */
	if (n && r == 0 && !record_node(n)->op.reads) {
		struct record_op *op = &record_node(n)->op;

		op->reads = true;
		op->written = ret->id;
		op->base = (struct dot){0};
		if (ret->base.count) {
			op->base = ret->base.versions[0].dot;
			content_name(&ret->base.versions[0].content.content,
				     op->base_hash);
		}
	}
	return r;
}

WRAP(int, content_commit, (struct store *s, struct content_build *b))
{
	struct node *n = node_of_store(s);

	if (n)
		record_node(n)->op.commits = true;
	return __real_content_commit(s, b);
}

static void note_gone(struct tree *t, struct objid id)
{
	struct node *n = node_of_tree(t);

	if (n)
		kin_assert(!idlist_add(&record_node(n)->op.gone, id));
}

WRAP(int, row_erase, (struct tree *t, struct row *row))
{
	note_gone(t, row->o.id);
	return __real_row_erase(t, row);
}

WRAP(int, row_delete, (struct tree *t, struct row *row))
{
	note_gone(t, row->o.id);
	return __real_row_delete(t, row);
}

/* The rule of backups (backup.c) has no operation in the model: a recorded
 * history is played without it. */
WRAP(int, left_note, (struct tree *t, struct left *l))
{
	return node_of_tree(t) ? 0 : __real_left_note(t, l);
}

WRAP(int, backup_of_link, (struct tree *t, const struct shown *temp,
			   const struct shown *target))
{
	return node_of_tree(t) ? 0 : __real_backup_of_link(t, temp, target);
}

/* ---- cuts */

static void cut_name(struct slice body, char ret[20])
{
	snprintf(ret, 20, "%016llx",
		 (unsigned long long)checksum64(body.data, body.len, 0));
}

WRAP(void, cut_encode, (const struct cut *cut, struct buf *b))
{
	struct cluster *c = recorder()->cluster;
	size_t from = b->len;
	char name[20];

	__real_cut_encode(cut, b);
	cut_name(SLICE(b->data + from, b->len - from), name);
	for (int i = 0; c && i < c->node_count; i++)
		if (c->nodes[i].core && b == &c->nodes[i].core->frame)
			record_cut(&c->nodes[i], name);
}

WRAP(int, merge_cut, (struct tree *t, struct stage *stage,
		      const struct cut *cut, uint64_t from,
		      struct merge_result *ret))
{
	struct node *n = node_of_tree(t);
	int r;

	if (!n)
		return __real_merge_cut(t, stage, cut, from, ret);
	cut_name(buf_slice(&stage->cut), record_node(n)->small);
	r = __real_merge_cut(t, stage, cut, from, ret);
	record_node(n)->small[0] = 0;
	return r;
}

WRAP(int, stage_put_header, (struct stage *stage, enum stage_state state))
{
	struct node *n = node_of_store(stage->store);

	if (n && state == STAGE_APPLYING) {
		struct reader r = READER(stage->cut.data, stage->cut.len);
		struct cut cut;

		cut_name(buf_slice(&stage->cut), record_node(n)->large);
		if (cut_decode(&r, &cut) == 0) {
			if (cut.flags & CUT_FULL)
				record_stop("a full stream");
			cut_release(&cut);
		}
	}
	return __real_stage_put_header(stage, state);
}

WRAP(int, merge_row, (struct merge *m, struct objid id, struct slice row))
{
	struct node *n = node_of_tree(m->tree);

	if (n)
		kin_assert(!idlist_add(&record_node(n)->op.rows, id));
	return __real_merge_row(m, id, row);
}

WRAP(int, replica_applying_begin, (struct tree *t, const struct know *k))
{
	struct node *n = node_of_tree(t);

	if (n)
		record_node(n)->op.begins = true;
	return __real_replica_applying_begin(t, k);
}

WRAP(int, replica_applying_end, (struct tree *t, const struct know *k))
{
	struct node *n = node_of_tree(t);

	if (n)
		record_node(n)->op.ends = true;
	return __real_replica_applying_end(t, k);
}

WRAP(int, replica_restamp, (struct tree *t, struct objid id,
			    const struct version *v))
{
	struct node *n = node_of_tree(t);
	struct record_restamp x = {.id = id, .of = v->dot, .reg = v->reg};
	struct record_op *op;
	int r;

	if (v->reg == REG_LINK)
		x.slot = v->link.slot;
	r = __real_replica_restamp(t, id, v);
	if (!n || r < 0)
		return r;
	x.dot = t->op_dot;
	op = &record_node(n)->op;
	op->restamps = realloc(op->restamps,
			       (op->restamp_count + 1) * sizeof(x));
	kin_assert(op->restamps);
	op->restamps[op->restamp_count++] = x;
	return r;
}

WRAP(int, replica_purge, (struct tree *t, const struct know *acked, size_t max,
			  struct replica_purged *ret))
{
	struct node *n = node_of_tree(t);
	int r;

	if (n)
		record_node(n)->doing = DOING_PURGE;
	r = __real_replica_purge(t, acked, max, ret);
	if (n)
		record_node(n)->doing = DOING_NOTHING;
	return r;
}

WRAP(int, replica_bring_back, (struct tree *t, size_t max, size_t *ret))
{
	struct node *n = node_of_tree(t);
	int r;

	if (n)
		record_node(n)->doing = DOING_RETURN;
	r = __real_replica_bring_back(t, max, ret);
	if (n)
		record_node(n)->doing = DOING_NOTHING;
	return r;
}
