/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Saves of editors: a temporary renamed over the file, and the file moved
 * aside, written anew and unlinked. However it is done, what others know as
 * the file is the file afterwards: the same object, where nothing stands in
 * the way. Sometimes time passes between the steps, and anything may arrive
 * or leave meanwhile.
 */
#include "tests/sim/op.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct save {
	const struct item *file;
	struct spot at;
	char aside[PATH_BYTES]; /* its name is in the same directory */
	const char *aside_name;
	struct text_bytes bytes;
	bool slow;   /* time passes between the steps */
	bool simple; /* it must stay the same object */
	bool strays; /* the path leads to another directory meanwhile */
	uint64_t ino;
};

static void save_step(struct op *op, struct save *s)
{
	struct cluster *c = op->ops->cluster;

	op_step(op);
	if (!s->slow)
		return;
	node_poke(op->node);
	cluster_run(c, c->now_ms + rng_between(&op->ops->rng, 0, 300));
	oracle_meanwhile(op->ops->oracle, op->node);
}

/* It has one name, which shows main, and all of it is here; there may be
 * siblings, and contents that a policy hides. */
static bool is_simple(struct op *op, const struct item *x)
{
	struct replica_debt debt;
	struct object row;
	struct info i = {0};
	int r;

	object_init(&row, x->id);
	store_lock(op->node->store);
	r = replica_debt(op->node->tree, &debt);
	if (r == 0)
		r = replica_row_load(op->node->tree, x->id, &row);
	store_unlock(op->node->store);
	if (r == 0)
		r = info_init(&i, &row);
	r = r == 0 && !debt.objects && x->complete && i.link_count == 1 &&
	    info_holds_name(&i);
	info_release(&i);
	object_release(&row);
	return r;
}

static bool save_begin(struct op *op, struct save *s)
{
	const struct item *i =
		items_pick(&op->ops->rng, &op->before, PICK_FILE);

	*s = (struct save){.file = i};
	if (!i || strstr(i->path, " (conflict ") ||
	    !spot_find(op->node, i->path, &s->at))
		return false;
	s->bytes = new_bytes(op->ops);
	s->slow = rng_one_in(&op->ops->rng, 3);
	s->simple = !s->slow && is_simple(op, i);
	snprintf(s->aside, sizeof(s->aside), "%.*s.%llu~",
		 (int)(sizeof(s->aside) - 32), i->path,
		 (unsigned long long)++op->ops->token);
	s->aside_name = s->aside + (s->at.name - s->at.path);
	op_subject(op, i->id);
	op->takes = true;
	/* (its directory may be moved meanwhile) */
	op_must(op, tree_resolve_path(op->node->tree, SLICE_STR(i->path),
				      &op->about_ino));
	return true;
}

/* Of a file in conflict it may be a sibling that is saved. (Told by the bytes:
 * histories of other saves stay what they were.) */
static void save_sibling(struct op *op, struct save *s)
{
	for (size_t i = 0; i < op->before.count; i++) {
		const struct item *x = &op->before.list[i];
		struct spot at;

		if (!x->sibling || x->hidden || !x->complete ||
		    !objid_equal(x->id, s->file->id) ||
		    !spot_find(op->node, x->path, &at))
			continue;
		s->file = x;
		spot_find(op->node, x->path, &s->at);
		return;
	}
}

static int save_write(struct op *op, struct save *s, const char *name)
{
	struct tree_new new = new_of(KIND_FILE);
	struct entry e;
	int r = tree_create(op->node->tree, s->at.parent, SLICE_STR(name), &new,
			    true, &e);

	if (r < 0)
		return r;
	s->ino = e.attr.ino;
	save_step(op, s);
	op_must(op, tree_write(op->node->tree, s->ino, 0,
			       SLICE(s->bytes.data, s->bytes.len), false));
	save_step(op, s);
	return 0;
}

static void save_close(struct op *op, struct save *s)
{
	tree_release_file(op->node->tree, s->ino, true);
	save_step(op, s);
}

/* Its directory may have been moved meanwhile, and what is shown there now
 * may be another file. */
static void save_where(struct op *op, const struct save *s)
{
	cleanup(buf_release) struct buf dir = BUF_INIT;

	if (tree_path(op->node->tree, s->at.parent, &dir) < 0)
		return;
	snprintf(op->about_now, sizeof(op->about_now), "%.*s%s%s",
		 (int)dir.len, (const char *)dir.data, dir.len ? "/" : "",
		 s->at.name);
}

static int save_rename(struct op *op, struct save *s, const char *from,
		       const char *to)
{
	int r;

	save_where(op, s);
	r = tree_rename(op->node->tree, s->at.parent, SLICE_STR(from),
			    s->at.parent, SLICE_STR(to), 0);

	save_step(op, s);
	return r;
}

/*
 * The file had been made where another had left its name a moment ago (mv
 * doc old), and was not closed yet. Its save shows which of the two people
 * know as doc: they change places, and nothing is seen of that.
 */
static bool is_backup_now(struct op *op, const struct items *now,
			  const struct save *s, const struct item *x)
{
	for (size_t i = 0; i < op->before.count; i++) {
		const struct item *was = &op->before.list[i];
		const struct item *is = items_at(now, was->path);

		if (objid_equal(was->id, x->id) && is &&
		    objid_equal(is->id, s->file->id) &&
		    is->content == was->content)
			return true;
	}
	return false;
}

/* By a policy for the node that wrote it the sibling that was saved shows at
 * the plain name, and what was there is hidden. */
static bool is_chosen_now(const struct op *op, const struct items *now,
			  const struct save *s)
{
	const struct item *main = op->kept_main;
	bool hides = false;

	for (size_t i = 0; main && i < now->count; i++)
		hides |= now->list[i].hidden &&
			 objid_equal(now->list[i].id, main->id) &&
			 now->list[i].content == main->content;
	return hides && s->file->sibling;
}

static void save_end(struct op *op, struct save *s)
{
	struct content c;
	struct items now = {0};
	const struct item *x;

	node_poke(op->node);
	/* What was made may be gone without a trace. */
	if (!op->node->disk.frozen)
		truth_find_erased(op->ops->truth, op->node);
	for (size_t i = 0; s->slow && i < op->before.count; i++)
		op->before.list[i].kind = KIND_DIR;
	/* (Where main is still on its way, this ends as a sibling.) */
	if (op->r >= 0 && !s->slow && !s->strays && s->file->complete &&
	    s->bytes.len <= INLINE_BYTES_MAX) {
		content_inline(SLICE(s->bytes.data, s->bytes.len), &c);
		snprintf(op->shown_path, PATH_BYTES, "%s", s->at.path);
		op->shown_content = content_hash64(&c);
	}
	if (op->r >= 0 && s->simple && !node_is_sick(op->node) &&
	    items_take(op->node, &now)) {
		x = items_at(&now, s->at.path);
		if (x ? !objid_equal(x->id, s->file->id) &&
				!is_backup_now(op, &now, s, x)
		      : !is_chosen_now(op, &now, s))
			cluster_fail(op->ops->cluster,
				     "node %d %s '%s': it is another file",
				     op->node->index, op->what, s->at.path);
		if (items_at(&now, s->aside))
			cluster_fail(op->ops->cluster,
				     "node %d %s '%s': its temporary stays",
				     op->node->index, op->what, s->at.path);
	}
	items_release(&now);
	free(s->bytes.data);
}

/* The backup is a second name of the file; then the first gets another. Not
 * drawn by itself: histories of other saves stay what they were. */
static void link_aside(struct op *op, struct save *s)
{
	struct items now = {0};
	char name[PATH_BYTES];
	struct entry e;
	uint64_t ino;

	snprintf(name, sizeof(name), "%s2", s->aside_name);
	op_must(op, tree_resolve_path(op->node->tree, SLICE_STR(s->at.path),
				      &ino));
	if (op->r >= 0)
		op_must(op, tree_link(op->node->tree, ino, s->at.parent,
				      SLICE_STR(name), &e));
	save_step(op, s);
	/* What a policy hides (now that main was asserted here, too) stays
	 * with the older of the names, and so does the file. */
	if (items_take(op->node, &now))
		for (size_t i = 0; i < now.count; i++)
			if (now.list[i].hidden &&
			    objid_equal(now.list[i].id, s->file->id))
				s->simple = false;
	items_release(&now);
}

void op_save_by_rename(struct op *op)
{
	/* Closes are told late, by the kernel. */
	bool late = rng_one_in(&op->ops->rng, 4) && !op->ops->profile->plain;
	struct save s;

	if (!save_begin(op, &s))
		return;
	if (s.simple && s.bytes.len % 3 == 0)
		save_sibling(op, &s);
	op_say(op, s.slow ? "saves slowly by rename" : "saves by rename",
	       s.at.path, s.aside);
	op_expect(op, save_write(op, &s, s.aside_name));
	if (op->r >= 0 && !late)
		save_close(op, &s);
	if (op->r >= 0 && s.simple && !s.file->sibling &&
	    !op->node->writers && !op->ops->profile->plain &&
	    s.bytes.len % 4 == 1)
		link_aside(op, &s);
	if (op->r >= 0)
		op_expect(op, save_rename(op, &s, s.aside_name, s.at.name));
	if (s.ino && late)
		save_close(op, &s);
	if (op->r >= 0 && s.simple && s.bytes.unique)
		op_keep_others(op, s.file);
	/* Equal contents are one, and main is the one. */
	s.simple &= s.bytes.unique || !s.file->sibling;
	save_end(op, &s);
	if (s.file->sibling && !s.bytes.unique)
		op->shown_path[0] = '\0';
}

void op_save_by_backup(struct op *op)
{
	bool late = rng_one_in(&op->ops->rng, 4);
	bool kept = rng_one_in(&op->ops->rng, 4);
	struct spot now;
	struct save s;

	if (!save_begin(op, &s))
		return;
	op_say(op,
	       s.slow ? kept ? "saves slowly with a backup"
			     : "saves slowly by a backup"
	       : kept ? "saves with a backup"
		      : "saves by a backup",
	       s.at.path, s.aside);
	op_expect(op, save_rename(op, &s, s.at.name, s.aside_name));
	/* (a directory that was merged, and lost its last entry so, is
	 * another one now) */
	s.strays = !spot_find(op->node, s.at.path, &now) ||
		   now.parent != s.at.parent;
	s.simple &= !s.strays;
	/* (the next claimant of the name may have it now) */
	if (op->r >= 0)
		op_expect(op, save_write(op, &s, s.at.name));
	if (op->r >= 0 && !late)
		save_close(op, &s);
	if (op->r >= 0 && !kept) {
		op_expect(op,
			  tree_unlink(op->node->tree, s.at.parent,
				      SLICE_STR(s.aside_name)));
		save_step(op, &s);
	}
	if (s.ino && late)
		save_close(op, &s);
	if (kept)
		s.simple = false;
	save_end(op, &s);
}
