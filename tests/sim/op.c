/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each operation takes a picture of the view before and after. What it was
 * about (the *subjects*, by object) must have changed as meant; every other
 * content that was shown must still be shown, under whatever name: losing a
 * contest for a name may move it, nothing may hide it.
 */
#include "tests/sim/op.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool spot_find(struct node *n, const char *path, struct spot *ret)
{
	const char *slash = strrchr(path, '/');
	size_t dir = slash ? (size_t)(slash - path) : 0;

	snprintf(ret->path, sizeof(ret->path), "%s", path);
	ret->name = slash ? ret->path + dir + 1 : ret->path;
	return tree_resolve_path(n->tree, SLICE(path, dir), &ret->parent) == 0;
}

/* A name out of few, in a random directory: contests are what is wanted. */
void new_path(struct ops *o, const struct items *v, char *ret)
{
	static const char *const names[] = {"a",     "b",	 "c", "d",
					    "a.txt", "b.tar.gz", ".x"};
	uint64_t few = o->profile->names ? o->profile->names
					 : ARRAY_SIZE(names);
	const struct item *dir = rng_one_in(&o->rng, 3)
					 ? NULL
					 : items_pick(&o->rng, v, PICK_DIR);
	const char *name = names[rng_below(&o->rng, few)];

	if (dir && strlen(dir->path) > 60)
		dir = NULL;
	snprintf(ret, PATH_BYTES, "%s%s%s", dir ? dir->path : "",
		 dir ? "/" : "", name);
}

struct text_bytes new_bytes(struct ops *o)
{
	uint64_t same = o->profile->same ? o->profile->same : 6;
	struct text_bytes t = {.unique = !rng_one_in(&o->rng, same)};
	uint64_t x = rng_below(&o->rng, 100);

	t.len = x < 70	 ? rng_between(&o->rng, 0, 100)
		: x < 88 ? rng_between(&o->rng, 100, 6000)
		: x < 98 ? rng_between(&o->rng, 6000, 70000)
			 : rng_between(&o->rng, 70000, 300000);
	/* (contents that come by themselves cannot be told) */
	if (o->profile->plain)
		t.len %= PLAIN_BYTES;
	if (o->profile->large && x < 88)
		t.len = t.len * 37 % 20000 + INLINE_BYTES_MAX + 1;
	if (!t.unique)
		t.len = o->profile->large ? 30000 : 5;
	t.data = malloc(t.len + 32);
	kin_assert(t.data);
	if (!t.unique) {
		int which = (int)rng_below(&o->rng, 4);

		memset(t.data, 'a' + which, t.len);
		snprintf((char *)t.data, 32, "same%d", which);
		return t;
	}
	rng_fill(&o->rng, t.data, t.len);
	/* Half of a large one repeats: there is something to share. */
	if (t.len > 20000 && rng_one_in(&o->rng, 2))
		memset(t.data + 100, 'z', t.len / 2);
	snprintf((char *)t.data, 32, "<%llu>", (unsigned long long)++o->token);
	t.len = MAX_OF(t.len, strlen((char *)t.data));
	return t;
}

const struct slice sim_user = {(const uint8_t *)"user", 4};

struct tree_new new_of(enum kind kind)
{
	return (struct tree_new){.kind = kind,
				 .perm = kind == KIND_DIR ? 0755 : 0644,
				 .user = sim_user,
				 .group = sim_user};
}

/* ---- before and after */

void op_subject(struct op *op, struct objid id)
{
	op->subject[op->subject_count++] = id;
}

void op_say(struct op *op, const char *what, const char *path, const char *more)
{
	op->what = what;
	snprintf(op->about[0], PATH_BYTES, "%s", path);
	snprintf(op->about[1], PATH_BYTES, "%s", more);
	cluster_say(op->ops->cluster, "node %d %s '%s'%s%s", op->node->index,
		    what, path, more[0] ? " -> " : "", more);
}

static bool op_is_subject(const struct op *op, struct objid id)
{
	for (size_t i = 0; i < op->subject_count; i++)
		if (objid_equal(op->subject[i], id))
			return true;
	return false;
}

/*
 * Items show versions. Writes that were not sent yet, for the rest of the
 * file was on its way, are read nevertheless, and may become a version with
 * the operation: then it has its effect if what is read moved along.
 */
static bool op_moved_what_is_read(struct op *op)
{
	const struct sights *before = &op->ops->oracle->before;
	uint64_t ino, hash = 0;

	for (size_t i = 0; i < before->count; i++)
		if (!strcmp(before->list[i].path, op->about[0]))
			hash = before->list[i].hash;
	return !strcmp(op->what, "renames") && hash &&
	       !tree_resolve_path(op->node->tree, SLICE_STR(op->shown_path),
				  &ino) &&
	       oracle_read(op->ops->oracle, op->node, ino) == hash;
}

/* A name of it that only a keep-stamp held, and that was not shown, beside
 * those of which the last was removed: NULL if there is none. */
static const struct item *name_that_shows_up(const struct op *op,
					     const struct items *after)
{
	for (size_t i = 0; op->removed && i < after->count; i++) {
		const struct item *x = &after->list[i];

		if (!x->sibling && !x->hidden &&
		    objid_equal(x->id, op->removed->id) &&
		    !strstr(x->path, " (conflict ") &&
		    !items_at(&op->before, x->path))
			return x;
	}
	return NULL;
}

/* A policy may let something else show, of what is still there. */
static bool is_hidden(const struct items *after, uint64_t content)
{
	for (size_t i = 0; i < after->count; i++)
		if (after->list[i].hidden && after->list[i].content == content)
			return true;
	return false;
}

static void op_check_shown(struct op *op, const struct items *after)
{
	struct cluster *c = op->ops->cluster;
	const struct item *x;

	x = name_that_shows_up(op, after);
	if (x)
		cluster_fail(c, "node %d %s '%s': its name '%s' shows up",
			     op->node->index, op->what, op->removed->path,
			     x->path);
	if (op->gone && (x = items_at(after, op->gone->path)) &&
	    objid_equal(x->id, op->gone->id) &&
	    x->content == op->gone->content && x->sibling == op->gone->sibling)
		cluster_fail(c, "no effect: node %d %s '%s'", op->node->index,
			     op->what, op->gone->path);
	/* Saving a sibling never changes who is main. */
	if (op->kept_main && !is_hidden(after, op->kept_main->content) &&
	    (!(x = items_at(after, op->kept_main->path)) ||
	     x->content != op->kept_main->content))
		cluster_fail(c, "main flipped: node %d %s a sibling of '%s'",
			     op->node->index, op->what, op->kept_main->path);
	if (!op->shown_path[0])
		return;
	if (op->shown_content && is_hidden(after, op->shown_content))
		return;
	x = items_at(after, op->shown_path);
	/* A name that lost its contest is view: it may change, and go, when
	 * the file became equal to the one that has the plain name. */
	if (!x && strstr(op->shown_path, " (conflict "))
		for (size_t i = 0; !x && i < after->count; i++)
			if (op->shown_content
				    ? after->list[i].content ==
					      op->shown_content
				    : op_is_subject(op, after->list[i].id))
				x = &after->list[i];
	if (x && op->shown_content && x->content != op->shown_content &&
	    op_moved_what_is_read(op))
		return;
	if (!x || (op->shown_content && x->content != op->shown_content))
		cluster_fail(c, "no effect: node %d %s, '%s' %s",
			     op->node->index, op->what, op->shown_path,
			     x ? "shows another content" : "is not there");
}

/* Of the object that the operation was about, does it leave this alone? What
 * is written is written under all its names. */
static bool op_keeps(const struct op *op, const struct item *x)
{
	const struct item *k = op->kept_all;

	if (!k || !objid_equal(x->id, k->id) || x == k || x->hidden)
		return false;
	return op->gone || x->sibling != k->sibling ||
	       x->content != k->content;
}

/* What is shown until a newer content is here goes with any other that a
 * policy chooses; it may have been replaced long since. */
static bool op_is_passing(const struct op *op, const struct item *x,
			  const struct items *after)
{
	/* (and a sibling shows when all of it is here) */
	if (!x->complete && (x->hidden || op->rereads))
		return true;
	for (size_t i = 0; !x->complete && i < after->count; i++)
		if (after->list[i].hidden &&
		    objid_equal(after->list[i].id, x->id))
			return true;
	return false;
}

/*
 * While a large cut is applied in slices a name may be here whose directory
 * is not: who removes the other name has removed one of two, and the file
 * shows again, with all that is beside it, when the cut is whole.
 */
static bool op_is_arriving(struct node *n, struct objid id,
			   const struct items *after)
{
	struct object row;
	bool has_name = false;
	int r;

	for (size_t i = 0; i < after->count; i++)
		if (objid_equal(after->list[i].id, id))
			return false;
	if (!core_is_applying(n->core))
		return false;
	store_lock(n->store);
	r = replica_row_load(n->tree, id, &row);
	store_unlock(n->store);
	for (size_t i = 0; !r && i < row.count; i++)
		has_name |= row.versions[i].reg == REG_LINK;
	object_release(&row);
	return has_name;
}

static void op_check_others(struct op *op, const struct items *after)
{
	for (size_t i = 0; i < op->before.count; i++) {
		const struct item *x = &op->before.list[i];

		if (op_is_subject(op, x->id) && !op_keeps(op, x))
			continue;
		/* A merged directory is shown by its members' smallest. */
		if (x->kind == KIND_DIR && items_at(after, x->path))
			continue;
		/* Weak directories go with the last thing in them, and a
		 * directory that was renamed has another path. */
		if (x->kind == KIND_DIR)
			continue;
		/* (unsent writes may be another object's now) */
		if (!items_show(after, x) && !op_is_written(op, x->path) &&
		    !op_is_passing(op, x, after) &&
		    !op_is_arriving(op->node, x->id, after)) {
			cluster_fail(op->ops->cluster,
				     "node %d %s: '%s' is hidden by it",
				     op->node->index, op->what, x->path);
			op_subject(op, x->id); /* (to be printed) */
		}
	}
}

static void print_items(const char *sign, const struct items *list)
{
	for (size_t i = 0; i < list->count; i++)
		printf("  %s %s %016llx%s%s\n", sign, list->list[i].path,
		       (unsigned long long)list->list[i].content,
		       list->list[i].hidden ? " (hidden)" : "",
		       list->list[i].complete ? "" : " (not all here)");
}

/* For a trace: what the operation did to the view and to its subjects. */
static void op_print(struct op *op, const struct items *after)
{
	print_items("-", &op->before);
	print_items("+", after);
	for (size_t i = 0; i < op->subject_count; i++)
		truth_print(op->node, op->subject[i]);
}

/* What is shown no more may be gone without a trace. */
static void op_note_erased(struct op *op, const struct items *after)
{
	for (size_t i = 0; i < op->before.count; i++) {
		const struct item *x = &op->before.list[i];
		bool shown = false;

		for (size_t k = 0; k < after->count && !shown; k++)
			shown = objid_equal(after->list[k].id, x->id);
		if (!shown)
			truth_erased(op->ops->truth, op->node, x->id);
	}
}

static bool is_written(void *arg, uint64_t ino)
{
	const struct op *op = arg;
	const struct handle *h = op->ops->handles[op->node->index];

	for (int i = 0; i < HANDLES_MAX; i++)
		if (h[i].open && h[i].ino == ino)
			return true;
	return false;
}

void op_step(struct op *op)
{
	if (!op->node->disk.frozen)
		truth_look(op->ops->truth, op->node, true);
}

void op_done(struct op *op)
{
	struct ops *o = op->ops;
	struct items after = {0};
	struct oracle_op about = {
		.node = op->node,
		.path = op->about[0][0] ? op->about[0] : NULL,
		.to = op->about[1][0] ? op->about[1] : NULL,
		.now = op->about_now[0] ? op->about_now : NULL,
		.ino = op->about_ino,
		.saw = op->saw,
		.takes = op->takes && op->r >= 0,
		.is_open = is_written,
		.arg = op,
	};

	/* Killed in the middle: it is done, or it is not. */
	if (op->node->disk.frozen)
		oracle_interrupted(o->oracle, &about);
	if (node_reap(op->node)) {
		op->node->interrupted = true;
		items_release(&op->before);
		return;
	}
	node_poke(op->node);
	if (op->r < 0) {
		o->refused++;
		cluster_say(o->cluster, "  refused: %s",
			    strerrorname_np(-op->r));
	} else {
		o->done++;
	}
	oracle_after(o->oracle, &about);
	if (items_take(op->node, &after)) {
		op_note_erased(op, &after);
		/* (and twins, which were not shown) */
		if (!op->node->disk.frozen)
			truth_find_erased(op->ops->truth, op->node);
		/* (A close cannot tell that its version has to wait.) */
		if (op->r >= 0 && !node_is_sick(op->node))
			op_check_shown(op, &after);
		op_check_others(op, &after);
	}
	if (cluster_failed(o->cluster) && o->cluster->options.trace)
		op_print(op, &after);
	items_release(&after);
	items_release(&op->before);
}

/* A node whose disk is full or failing says so. */
static bool is_refusal(const struct op *op, int r)
{
	return node_is_sick(op->node) &&
	       (r == -ENOSPC || r == -EIO || r == -EROFS);
}

/* Errors that a program may get by rights, for what it asked. */
void op_expect(struct op *op, int r)
{
	op->r = r;
	if (r >= 0)
		return;
	switch (-r) {
	case ENOENT:
	case EEXIST:
	case ENOTEMPTY:
	case ENOTDIR:
	case EISDIR:
	case EINVAL:
	case ESTALE:
	case ENODATA:
	case ENOTSUP:
		return;
	}
	if (is_refusal(op, r))
		return;
	cluster_fail(op->ops->cluster, "node %d %s: error %d", op->node->index,
		     op->what, r);
}

/* This must work: the name is shown. */
void op_must(struct op *op, int r)
{
	op->r = r;
	if (r < 0 && !is_refusal(op, r))
		cluster_fail(op->ops->cluster, "node %d %s fails: %s",
			     op->node->index, op->what, strerrorname_np(-r));
}

void op_keep_others(struct op *op, const struct item *i)
{
	op->kept_all = i;
	for (size_t k = 0; i->sibling && k < op->before.count; k++) {
		const struct item *x = &op->before.list[k];

		if (objid_equal(x->id, i->id) && !x->sibling && !x->hidden &&
		    x->complete)
			op->kept_main = x;
	}
}

/* ---- handles */

static struct handle *handle_free(struct op *op)
{
	struct handle *h = op->ops->handles[op->node->index];

	for (int i = 0; i < HANDLES_MAX; i++)
		if (!h[i].open)
			return &h[i];
	return NULL;
}

struct handle *handle_pick(struct op *op)
{
	struct handle *h = op->ops->handles[op->node->index];
	int i = (int)rng_below(&op->ops->rng, HANDLES_MAX);

	return h[i].open ? &h[i] : NULL;
}

void handle_close(struct node *n, struct handle *h)
{
	tree_release_file(n->tree, h->ino, true);
	h->open = false;
	n->writers--;
}

bool op_is_written(struct op *op, const char *path)
{
	const struct handle *h = op->ops->handles[op->node->index];
	uint64_t ino;

	if (tree_resolve_path(op->node->tree, SLICE_STR(path), &ino) < 0)
		return false;
	for (int i = 0; i < HANDLES_MAX; i++)
		if (h[i].open && h[i].ino == ino)
			return true;
	/* (closed, and no version yet: its disk is failing) */
	return oracle_is_unsent(op->node, ino);
}

void ops_forget(struct ops *o, int node)
{
	memset(o->handles[node], 0, sizeof(o->handles[node]));
	o->cluster->nodes[node].writers = 0;
}

/* Each close is an operation: what one of them made, the next may take. */
void ops_close_all(struct ops *o)
{
	for (int i = 0; i < o->cluster->node_count; i++) {
		struct node *n = &o->cluster->nodes[i];

		for (int k = 0; n->running && k < HANDLES_MAX; k++) {
			if (!o->handles[i][k].open)
				continue;
			handle_close(n, &o->handles[i][k]);
			if (!n->disk.frozen)
				truth_look(o->truth, n, true);
		}
		node_poke(n);
	}
}

/* Some handles stay open: what is written is sent when they close, or by
 * time. Returns whether there is a version of it now. */
bool op_close(struct op *op, uint64_t ino)
{
	struct handle *h = op->ops->handles[op->node->index];
	bool last = true;

	for (int i = 0; i < HANDLES_MAX; i++)
		if (h[i].open && h[i].ino == ino)
			last = false;
	h = handle_free(op);
	if (h && rng_one_in(&op->ops->rng, 8)) {
		*h = (struct handle){true, ino};
		op->node->writers++;
		return false;
	}
	tree_release_file(op->node->tree, ino, true);
	return last;
}
