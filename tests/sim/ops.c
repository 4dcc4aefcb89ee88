/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each operation takes a picture of the view before and after. What it was
 * about (the *subjects*, by object) must have changed as meant; every other
 * content that was shown must still be shown, under whatever name: losing a
 * contest for a name may move it, nothing may hide it.
 */
#include "tests/sim/ops.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/base/hash.h"

#define PATH_BYTES 1100

/* ---- the view, as a list */

struct item {
	char path[PATH_BYTES];
	struct objid id;
	enum kind kind;
	bool sibling, complete;
	uint64_t content;	/* its hash, 0 for directories */
};

struct items {
	struct item *list;
	size_t count;
};

static uint64_t content_hash64(const struct content *c)
{
	struct version v = { .reg = REG_CONTENT, .content.content = *c };

	return version_entry_name(&v).hash64;
}

static int items_add(void *arg, const struct replica_view_entry *e)
{
	struct items *v = arg;
	struct item *i;

	if (!(v->count & (v->count - 1))) {
		v->list = realloc(v->list, (v->count ? 2 * v->count : 1) *
						   sizeof(*v->list));
		kin_assert(v->list);
	}
	if (e->path.len >= PATH_BYTES)
		return 0;
	i = &v->list[v->count++];
	*i = (struct item){
		.id = e->id,
		.kind = e->kind,
		.sibling = e->is_sibling,
		.complete = e->complete,
		.content = e->kind == KIND_DIR ? 0 :
			   content_hash64(&e->content),
	};
	memcpy(i->path, e->path.data, e->path.len);
	return 0;
}

static void items_release(struct items *v)
{
	free(v->list);
}

static bool items_take(struct ops *o, struct node *n, struct items *ret)
{
	int r = replica_view(n->tree, items_add, ret);

	if (r < 0)
		cluster_fail(o->cluster, "node %d: view: %d", n->index, r);
	return r >= 0;
}

enum pick { PICK_FILE = 1, PICK_DIR = 2, PICK_LINK = 4, PICK_SIBLING = 8 };

static bool item_is(const struct item *i, int what)
{
	if (i->sibling)
		return what & PICK_SIBLING;
	return what & (i->kind == KIND_FILE ? PICK_FILE :
		       i->kind == KIND_DIR ? PICK_DIR : PICK_LINK);
}

static const struct item *items_pick(struct ops *o, const struct items *v,
				     int what)
{
	const struct item *best = NULL;
	uint64_t seen = 0;

	for (size_t i = 0; i < v->count; i++)
		if (item_is(&v->list[i], what) &&
		    rng_one_in(&o->rng, ++seen))
			best = &v->list[i];
	return best;
}

static const struct item *items_at(const struct items *v, const char *path)
{
	for (size_t i = 0; i < v->count; i++)
		if (!strcmp(v->list[i].path, path))
			return &v->list[i];
	return NULL;
}

/* ---- places and bytes */

struct spot {
	uint64_t parent;
	char path[PATH_BYTES];
	const char *name;	/* in path */
};

static bool spot_find(struct node *n, const char *path, struct spot *ret)
{
	const char *slash = strrchr(path, '/');
	size_t dir = slash ? (size_t)(slash - path) : 0;

	snprintf(ret->path, sizeof(ret->path), "%s", path);
	ret->name = slash ? ret->path + dir + 1 : ret->path;
	return tree_resolve_path(n->tree, SLICE(path, dir),
				 &ret->parent) == 0;
}

/* A name out of few, in a random directory: contests are what is wanted. */
static void new_path(struct ops *o, const struct items *v, char *ret)
{
	static const char *const names[] = { "a", "b", "c", "d", "a.txt",
					     "b.tar.gz", ".x" };
	uint64_t few = o->profile == PROFILE_CONFLICTS ? 2 : ARRAY_SIZE(names);
	const struct item *dir = rng_one_in(&o->rng, 3) ? NULL :
				 items_pick(o, v, PICK_DIR);
	const char *name = names[rng_below(&o->rng, few)];

	if (dir && strlen(dir->path) > 60)
		dir = NULL;
	snprintf(ret, PATH_BYTES, "%s%s%s", dir ? dir->path : "",
		 dir ? "/" : "", name);
}

struct text_bytes {
	uint8_t *data;
	size_t len;
	bool unique;
};

static struct text_bytes new_bytes(struct ops *o)
{
	struct text_bytes t = { .unique = !rng_one_in(&o->rng, 6) };
	uint64_t x = rng_below(&o->rng, 100);

	t.len = x < 70 ? rng_between(&o->rng, 0, 100) :
		x < 88 ? rng_between(&o->rng, 100, 6000) :
		x < 98 ? rng_between(&o->rng, 6000, 70000) :
			 rng_between(&o->rng, 70000, 300000);
	if (!t.unique)
		t.len = 5;
	t.data = malloc(t.len + 32);
	kin_assert(t.data);
	if (!t.unique) {
		snprintf((char *)t.data, 32, "same%d",
			 (int)rng_below(&o->rng, 4));
		return t;
	}
	rng_fill(&o->rng, t.data, t.len);
	/* Half of a large one repeats: there is something to share. */
	if (t.len > 20000 && rng_one_in(&o->rng, 2))
		memset(t.data + 100, 'z', t.len / 2);
	snprintf((char *)t.data, 32, "<%llu>",
		 (unsigned long long)++o->token);
	t.len = MAX_OF(t.len, strlen((char *)t.data));
	return t;
}

static const struct slice user = { (const uint8_t *)"user", 4 };

static struct tree_new new_of(enum kind kind)
{
	return (struct tree_new){ .kind = kind,
				  .perm = kind == KIND_DIR ? 0755 : 0644,
				  .user = user, .group = user };
}

/* ---- the operation in hand */

struct op {
	struct ops *ops;
	struct node *node;
	struct items before;
	const char *what;
	/* Contents of these objects may change as the operation says. */
	struct objid subject[2];
	size_t subject_count;
	int r;
	/* What must be shown (with: so) or not shown after it. */
	const struct item *gone;
	const struct item *kept_main;	/* main of an edited sibling */
	const struct item *kept_all;	/* all but this of its object stay */
	char shown_path[PATH_BYTES];
	uint64_t shown_content;
};

static void op_subject(struct op *op, struct objid id)
{
	op->subject[op->subject_count++] = id;
}

static void op_say(struct op *op, const char *what, const char *path,
		   const char *more)
{
	op->what = what;
	cluster_say(op->ops->cluster, "node %d %s '%s'%s%s",
		    op->node->index, what, path, more[0] ? " -> " : "",
		    more);
}

static bool op_is_subject(const struct op *op, struct objid id)
{
	for (size_t i = 0; i < op->subject_count; i++)
		if (objid_equal(op->subject[i], id))
			return true;
	return false;
}

/* Under whatever name; of equal files that claim one name one is shown. */
static bool shows(const struct items *v, const struct item *x)
{
	for (size_t i = 0; i < v->count; i++)
		if (v->list[i].kind == x->kind &&
		    v->list[i].content == x->content)
			return true;
	return false;
}

static void op_check_shown(struct op *op, const struct items *after)
{
	struct cluster *c = op->ops->cluster;
	const struct item *x;

	if (op->gone && (x = items_at(after, op->gone->path)) &&
	    objid_equal(x->id, op->gone->id) &&
	    x->content == op->gone->content && x->sibling == op->gone->sibling)
		cluster_fail(c, "no effect: node %d %s '%s'", op->node->index,
			     op->what, op->gone->path);
	if (!op->shown_path[0])
		return;
	x = items_at(after, op->shown_path);
	/* A name that lost its contest is view: it may change. */
	if (!x && strstr(op->shown_path, " (conflict ") && op->shown_content)
		for (size_t i = 0; !x && i < after->count; i++)
			if (op_is_subject(op, after->list[i].id) &&
			    after->list[i].content == op->shown_content)
				x = &after->list[i];
	if (!x || (op->shown_content && x->content != op->shown_content))
		cluster_fail(c, "no effect: node %d %s, '%s' %s",
			     op->node->index, op->what, op->shown_path,
			     x ? "shows another content" : "is not there");
}

static void op_check_others(struct op *op, const struct items *after)
{
	for (size_t i = 0; i < op->before.count; i++) {
		const struct item *x = &op->before.list[i];
		bool sibling_of = op->kept_all &&
				  objid_equal(x->id, op->kept_all->id) &&
				  x != op->kept_all;

		if (op_is_subject(op, x->id) && !sibling_of)
			continue;
		/* A merged directory is shown by its members' smallest. */
		if (x->kind == KIND_DIR && items_at(after, x->path))
			continue;
		/* Weak directories go with the last thing in them, and a
		 * directory that was renamed has another path. */
		if (x->kind == KIND_DIR)
			continue;
		if (!shows(after, x))
			cluster_fail(op->ops->cluster, "node %d %s: '%s' is "
				     "hidden by it", op->node->index,
				     op->what, x->path);
	}
}

/* For a trace: what the operation did to the view and to its subjects. */
static void op_print(struct op *op, const struct items *after)
{
	for (size_t i = 0; i < op->before.count; i++)
		printf("  - %s %016llx\n", op->before.list[i].path,
		       (unsigned long long)op->before.list[i].content);
	for (size_t i = 0; i < after->count; i++)
		printf("  + %s %016llx\n", after->list[i].path,
		       (unsigned long long)after->list[i].content);
	for (size_t i = 0; i < op->subject_count; i++)
		truth_print(op->node, op->subject[i]);
}

static void op_end(struct op *op)
{
	struct ops *o = op->ops;
	struct items after = { 0 };

	node_poke(op->node);
	for (size_t i = 0; i < op->subject_count; i++)
		truth_erased(o->truth, op->node, op->subject[i]);
	if (op->r < 0) {
		o->refused++;
		cluster_say(o->cluster, "  refused: %s",
			    strerrorname_np(-op->r));
	} else {
		o->done++;
	}
	if (items_take(o, op->node, &after)) {
		if (op->r >= 0)
			op_check_shown(op, &after);
		op_check_others(op, &after);
	}
	if (cluster_failed(o->cluster) && o->cluster->options.trace)
		op_print(op, &after);
	items_release(&after);
	items_release(&op->before);
}

/* Errors that a program may get by rights, for what it asked. */
static void op_expect(struct op *op, int r)
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
	cluster_fail(op->ops->cluster, "node %d %s: error %d",
		     op->node->index, op->what, r);
}

/* This must work: the name is shown. */
static void op_must(struct op *op, int r)
{
	op->r = r;
	if (r < 0)
		cluster_fail(op->ops->cluster, "node %d %s fails: %s",
			     op->node->index, op->what, strerrorname_np(-r));
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

static struct handle *handle_pick(struct op *op)
{
	struct handle *h = op->ops->handles[op->node->index];
	int i = (int)rng_below(&op->ops->rng, HANDLES_MAX);

	return h[i].open ? &h[i] : NULL;
}

static void handle_close(struct node *n, struct handle *h)
{
	tree_release_file(n->tree, h->ino, true);
	h->open = false;
	n->writers--;
}

void ops_forget(struct ops *o, int node)
{
	memset(o->handles[node], 0, sizeof(o->handles[node]));
	o->cluster->nodes[node].writers = 0;
}

void ops_close_all(struct ops *o)
{
	for (int i = 0; i < o->cluster->node_count; i++) {
		struct node *n = &o->cluster->nodes[i];

		for (int k = 0; n->running && k < HANDLES_MAX; k++)
			if (o->handles[i][k].open)
				handle_close(n, &o->handles[i][k]);
		node_poke(n);
	}
}

/* Some handles stay open: what is written is sent when they close, or by
 * time. Returns whether there is a version of it now. */
static bool op_close(struct op *op, uint64_t ino)
{
	struct handle *h = op->ops->handles[op->node->index];
	bool last = true;

	for (int i = 0; i < HANDLES_MAX; i++)
		if (h[i].open && h[i].ino == ino)
			last = false;
	h = handle_free(op);
	if (h && rng_one_in(&op->ops->rng, 8)) {
		*h = (struct handle){ true, ino };
		op->node->writers++;
		return false;
	}
	tree_release_file(op->node->tree, ino, true);
	return last;
}

/* ---- operations on files */

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
	if (n != (int64_t)t->len || memcmp(back, t->data, t->len))
		cluster_fail(op->ops->cluster, "node %d reads back other "
			     "bytes than it wrote (%lld of %zu)",
			     op->node->index, (long long)n, t->len);
	free(back);
	return 0;
}

static void op_create(struct op *op)
{
	struct tree_new new = new_of(KIND_FILE);
	struct text_bytes t = new_bytes(op->ops);
	struct entry e;
	struct spot s;

	new_path(op->ops, &op->before, op->shown_path);
	op_say(op, "creates", op->shown_path, "");
	op_expect(op, spot_find(op->node, op->shown_path, &s) ?
		      tree_create(op->node->tree, s.parent, SLICE_STR(s.name),
				  &new, true, &e) : -ENOENT);
	if (op->r >= 0) {
		op_must(op, write_bytes(op, e.attr.ino, &t));
		op_close(op, e.attr.ino);
	}
	free(t.data);
}

static void op_symlink(struct op *op)
{
	struct tree_new new = new_of(KIND_SYMLINK);
	struct text_bytes t = new_bytes(op->ops);
	struct entry e;
	struct spot s;

	new_path(op->ops, &op->before, op->shown_path);
	op_say(op, "links", op->shown_path, "");
	new.target = SLICE(t.data, MIN_OF(MAX_OF(t.len, (size_t)1),
					  (size_t)40));
	for (size_t i = 0; i < new.target.len; i++)
		t.data[i] = (uint8_t)('a' + t.data[i] % 26);
	op_expect(op, spot_find(op->node, op->shown_path, &s) ?
		      tree_create(op->node->tree, s.parent, SLICE_STR(s.name),
				  &new, false, &e) : -ENOENT);
	free(t.data);
}

static void op_mkdir(struct op *op)
{
	struct tree_new new = new_of(KIND_DIR);
	struct entry e;
	struct spot s;

	new_path(op->ops, &op->before, op->shown_path);
	op_say(op, "makes directory", op->shown_path, "");
	op_expect(op, spot_find(op->node, op->shown_path, &s) ?
		      tree_create(op->node->tree, s.parent, SLICE_STR(s.name),
				  &new, false, &e) : -ENOENT);
}

static bool op_open(struct op *op, const struct item *i, uint64_t *ret_ino)
{
	op_must(op, tree_resolve_path(op->node->tree, SLICE_STR(i->path),
				      ret_ino));
	if (op->r >= 0)
		op_must(op, tree_open_file(op->node->tree, *ret_ino, true));
	return op->r >= 0;
}

/* A save: the file is emptied and written anew. */
static void op_save(struct op *op, int what)
{
	const struct item *i = items_pick(op->ops, &op->before, what);
	struct tree_setattr empty = { .set = TREE_SET_SIZE };
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
		op_must(op, write_bytes(op, ino, &t));
		/* (Where main is still on its way, this ends as a sibling.) */
		if (op_close(op, ino) && t.len <= INLINE_BYTES_MAX &&
		    i->complete) {
			content_inline(SLICE(t.data, t.len), &c);
			snprintf(op->shown_path, PATH_BYTES, "%s", i->path);
			op->shown_content = content_hash64(&c);
		}
		/* Equal contents are one: nothing to say then. */
		op->kept_all = t.unique ? i : NULL;
		if (!t.unique)
			op->shown_path[0] = '\0';
	}
	free(t.data);
}

/* Somewhere in the middle, or at the end. */
static void op_patch(struct op *op)
{
	const struct item *i = items_pick(op->ops, &op->before,
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
		op_must(op, tree_write(op->node->tree, ino, at,
				       SLICE(t.data, MIN_OF(t.len,
							    (size_t)3000)),
				       append));
		op_close(op, ino);
		op->kept_all = t.unique ? i : NULL;
	}
	free(t.data);
}

static void op_truncate(struct op *op)
{
	const struct item *i = items_pick(op->ops, &op->before,
					  PICK_FILE | PICK_SIBLING);
	struct tree_setattr set = { .set = TREE_SET_SIZE };
	struct attr attr;
	uint64_t ino;

	if (!i)
		return;
	op_subject(op, i->id);
	set.size = rng_below(&op->ops->rng, rng_one_in(&op->ops->rng, 5) ?
						    100000 : 200);
	op_say(op, "truncates", i->path, "");
	op_must(op, tree_resolve_path(op->node->tree, SLICE_STR(i->path),
				      &ino));
	if (op->r >= 0)
		op_must(op, tree_setattr(op->node->tree, ino, &set, &attr));
}

static void op_handle(struct op *op)
{
	struct handle *h = handle_pick(op);
	struct text_bytes t;
	int r;

	if (!h)
		return;
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
	for (size_t i = 0; i < op->before.count; i++)
		op->before.list[i].kind = KIND_DIR;
	free(t.data);
}

/* ---- operations on names */

static void op_unlink(struct op *op, int what)
{
	const struct item *i = items_pick(op->ops, &op->before, what);
	struct spot s;

	if (!i)
		return;
	op_subject(op, i->id);
	op_say(op, "removes", i->path, "");
	if (!spot_find(op->node, i->path, &s)) {
		op_must(op, -ENOENT);
		return;
	}
	op_must(op, tree_unlink(op->node->tree, s.parent,
				SLICE_STR(s.name)));
	op->gone = i;
	op->kept_all = i;
}

static void op_rmdir(struct op *op)
{
	const struct item *i = items_pick(op->ops, &op->before, PICK_DIR);
	struct spot s;

	if (!i)
		return;
	op_subject(op, i->id);
	op_say(op, "removes directory", i->path, "");
	op_expect(op, spot_find(op->node, i->path, &s) ?
		      tree_rmdir(op->node->tree, s.parent,
				 SLICE_STR(s.name)) : -ENOENT);
	if (op->r >= 0)
		op->gone = i;
}

static void op_rename(struct op *op, int what, bool over)
{
	const struct item *i = items_pick(op->ops, &op->before, what);
	const struct item *onto = NULL;
	char to[PATH_BYTES];
	struct spot a, b;

	if (!i)
		return;
	if (over)
		onto = items_pick(op->ops, &op->before,
				  i->kind == KIND_DIR && !i->sibling ?
				  PICK_DIR : PICK_FILE | PICK_SIBLING);
	if (over && !onto)
		return;
	if (onto)
		snprintf(to, sizeof(to), "%s", onto->path);
	else
		new_path(op->ops, &op->before, to);
	op_say(op, "renames", i->path, to);
	op_subject(op, i->id);
	onto = items_at(&op->before, to);
	if (onto)
		op_subject(op, onto->id);
	if (!spot_find(op->node, i->path, &a) ||
	    !spot_find(op->node, to, &b)) {
		op->r = -ENOENT;
		return;
	}
	op_expect(op, tree_rename(op->node->tree, a.parent, SLICE_STR(a.name),
				  b.parent, SLICE_STR(b.name), 0));
	if (op->r < 0 || !strcmp(i->path, to))
		return;
	op->gone = i;
	snprintf(op->shown_path, sizeof(op->shown_path), "%s", to);
	if (i->kind != KIND_DIR)
		op->shown_content = i->content;
	/* A sibling over its own main settles; into another place it takes
	 * its content along. */
	if (!onto && !i->sibling)
		op->kept_all = i;
}

static void op_resolve(struct op *op)
{
	const struct item *i = items_pick(op->ops, &op->before,
					  PICK_SIBLING);
	char take[PATH_BYTES];
	struct spot s;

	if (!i || !spot_find(op->node, i->path, &s))
		return;
	snprintf(take, sizeof(take), "%s",
		 rng_one_in(&op->ops->rng, 2) ? "main" : s.name);
	op_say(op, "resolves", i->path, take);
	op_subject(op, i->id);
	op_expect(op, tree_resolve(op->node->tree, s.parent,
				   SLICE_STR(s.name), SLICE_STR(take)));
	if (op->r >= 0)
		op->gone = i;
}

/* ---- operations on attributes */

static void op_attributes(struct op *op)
{
	const struct item *i = items_pick(op->ops, &op->before,
					  PICK_FILE | PICK_DIR | PICK_LINK |
					  PICK_SIBLING);
	struct tree_setattr set = { 0 };
	struct attr attr;
	uint64_t ino;

	if (!i)
		return;
	set.perm = (uint32_t)rng_below(&op->ops->rng, 01000);
	set.mtime.tv_sec = (time_t)rng_below(&op->ops->rng, 2000000000);
	set.mtime.tv_nsec = (long)rng_below(&op->ops->rng, 1000000000);
	set.user = set.group = user;
	set.set = rng_one_in(&op->ops->rng, 2) ? TREE_SET_MODE :
		  rng_one_in(&op->ops->rng, 2) ? TREE_SET_MTIME :
		  TREE_SET_USER | TREE_SET_MODE;
	op_say(op, "sets attributes of", i->path, "");
	op_must(op, tree_resolve_path(op->node->tree, SLICE_STR(i->path),
				      &ino));
	if (op->r >= 0)
		op_must(op, tree_setattr(op->node->tree, ino, &set, &attr));
	/* (A sibling shows the time of its content, and so does what is
	 * shown while main is still on its way.) */
	if (op->r >= 0 && set.set == TREE_SET_MTIME && !i->sibling &&
	    i->complete &&
	    (attr.mtime.tv_sec != set.mtime.tv_sec ||
	     attr.mtime.tv_nsec != set.mtime.tv_nsec))
		cluster_fail(op->ops->cluster, "mtime of '%s' is not what "
			     "was set", i->path);
	if (op->r >= 0 && set.set & TREE_SET_MODE && i->kind != KIND_SYMLINK &&
	    (attr.mode & 07777) != set.perm)
		cluster_fail(op->ops->cluster, "mode of '%s' is not what "
			     "was set", i->path);
}

static void op_settle(struct op *op)
{
	op_say(op, "cuts", "what is settled", "");
	op_must(op, tree_cut_settled(op->node->tree, 0));
	for (size_t i = 0; i < op->before.count; i++)
		op->before.list[i].kind = KIND_DIR;
}

/* ---- choosing */

enum op_kind {
	OP_CREATE, OP_MKDIR, OP_SYMLINK, OP_SAVE, OP_SAVE_SIBLING, OP_PATCH,
	OP_TRUNCATE, OP_UNLINK, OP_UNLINK_SIBLING, OP_RMDIR, OP_RENAME,
	OP_RENAME_DIR, OP_RENAME_OVER, OP_RENAME_SIBLING, OP_SIBLING_OVER,
	OP_RESOLVE, OP_ATTRIBUTES, OP_HANDLE, OP_SETTLE, OP_KINDS,
};

static const uint8_t weights[PROFILE_COUNT][OP_KINDS] = {
	[PROFILE_PLAIN] = { 16, 8, 3, 16, 6, 6, 3, 7, 4, 4, 8, 5, 4, 3, 3, 3,
			    5, 8, 1 },
	[PROFILE_DIRS] = { 6, 18, 1, 6, 2, 2, 1, 5, 2, 9, 6, 28, 3, 1, 1, 1,
			   3, 3, 1 },
	[PROFILE_CONFLICTS] = { 6, 3, 1, 30, 12, 8, 3, 5, 7, 2, 6, 2, 5, 5, 5,
				6, 3, 8, 1 },
	[PROFILE_DELETES] = { 14, 12, 2, 14, 3, 4, 2, 22, 4, 16, 6, 6, 4, 2,
			      2, 2, 3, 4, 1 },
};

static void op_run(struct op *op, enum op_kind kind)
{
	switch (kind) {
	case OP_CREATE:
		return op_create(op);
	case OP_MKDIR:
		return op_mkdir(op);
	case OP_SYMLINK:
		return op_symlink(op);
	case OP_SAVE:
		return op_save(op, PICK_FILE);
	case OP_SAVE_SIBLING:
		return op_save(op, PICK_SIBLING);
	case OP_PATCH:
		return op_patch(op);
	case OP_TRUNCATE:
		return op_truncate(op);
	case OP_UNLINK:
		return op_unlink(op, PICK_FILE | PICK_LINK);
	case OP_UNLINK_SIBLING:
		return op_unlink(op, PICK_SIBLING);
	case OP_RMDIR:
		return op_rmdir(op);
	case OP_RENAME:
		return op_rename(op, PICK_FILE | PICK_LINK, false);
	case OP_RENAME_DIR:
		return op_rename(op, PICK_DIR, rng_one_in(&op->ops->rng, 6));
	case OP_RENAME_OVER:
		return op_rename(op, PICK_FILE, true);
	case OP_RENAME_SIBLING:
		return op_rename(op, PICK_SIBLING, false);
	case OP_SIBLING_OVER:
		return op_rename(op, PICK_SIBLING, true);
	case OP_RESOLVE:
		return op_resolve(op);
	case OP_ATTRIBUTES:
		return op_attributes(op);
	case OP_HANDLE:
		return op_handle(op);
	case OP_SETTLE:
		return op_settle(op);
	case OP_KINDS:
		return;
	}
}

void ops_init(struct ops *o, struct cluster *c, struct truth *t,
	      uint64_t seed)
{
	*o = (struct ops){ .cluster = c, .truth = t };
	rng_init(&o->rng, seed * 16 + 15);
	o->profile = (enum profile)rng_below(&o->rng, PROFILE_COUNT);
}

void ops_step(struct ops *o)
{
	int at = (int)rng_below(&o->rng, (uint64_t)o->cluster->node_count);
	struct op op = { .ops = o, .node = &o->cluster->nodes[at] };
	unsigned int sum = 0, x;
	int kind = 0;

	if (!op.node->running || !items_take(o, op.node, &op.before))
		return;
	for (int i = 0; i < OP_KINDS; i++)
		sum += weights[o->profile][i];
	x = (unsigned int)rng_below(&o->rng, sum);
	while (x >= weights[o->profile][kind])
		x -= weights[o->profile][kind++];
	op_run(&op, (enum op_kind)kind);
	if (op.what)
		op_end(&op);
	else
		items_release(&op.before);
}

/* ---- the end */

static void check_file(struct ops *o, const struct item *i, uint64_t *hash)
{
	for (int k = 0; k < o->cluster->node_count; k++) {
		struct node *n = &o->cluster->nodes[k];
		struct attr a;
		uint8_t *bytes;
		uint64_t ino, h;
		int64_t len;
		int r = tree_resolve_path(n->tree, SLICE_STR(i->path), &ino);

		if (r == 0)
			r = tree_getattr(n->tree, ino, &a);
		if (r < 0) {
			cluster_fail(o->cluster, "node %d cannot look at "
				     "'%s': %d", k, i->path, r);
			return;
		}
		bytes = malloc(a.size + 1);
		kin_assert(bytes);
		len = tree_read(n->tree, ino, 0, bytes, a.size);
		h = checksum64(bytes, a.size, 1);
		free(bytes);
		if (len != (int64_t)a.size)
			cluster_fail(o->cluster, "node %d reads %lld of "
				     "'%s'", k, (long long)len, i->path);
		else if (k && h != *hash)
			cluster_fail(o->cluster, "node %d reads other bytes "
				     "of '%s'", k, i->path);
		*hash = h;
	}
}

void ops_check_bytes(struct ops *o)
{
	struct items v = { 0 };
	uint64_t hash = 0;

	if (!items_take(o, &o->cluster->nodes[0], &v))
		return;
	for (size_t i = 0; i < v.count; i++)
		if (v.list[i].kind == KIND_FILE && !cluster_failed(o->cluster))
			check_file(o, &v.list[i], &hash);
	items_release(&v);
}
