/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files whose contents are read by a policy that hides some of them.
 *
 * Which content is chosen is a fact of the row and of the rule (info.c). The
 * rule stands in the row's local part, for what is derived from the row (its
 * claims, its siblings' numbers, its marks) was derived by it. When an
 * operation or an applied cut is settled, and all directories are in their
 * places, the rule of each row with several contents that it stored is
 * compared with the policy that holds there now; and if a policy changed, or
 * a directory that holds anything has another place, that of all such rows.
 * These are found by the marks 'c', not by a scan. So it does not matter
 * whether the conflict or the policy comes first, or by what way.
 *
 * Where the rule changed, the row is read anew as after a merge: open
 * handles keep what they show, and numbers and marks follow. No version is
 * written; equal rows are read alike on all nodes.
 *
 * (A dead row keeps the rule that it had: nothing of it is shown but to
 * handles that were open before.)
 */
#include "fs/tree/ruled.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/tree/contest.h"
#include "fs/tree/hist.h"

/* ---- the rule of one row */

/* Is anything of it shown at a name, so that it has a mark? 1 or 0. */
static int is_shown(const struct object *o)
{
	struct info i;
	int r = info_init(&i, o);

	if (r)
		return r;
	r = info_live_file(&i);
	info_release(&i);
	return r;
}

/* Those that are view; others hide nothing. */
static struct slice rule_of(const struct policy_found *p)
{
	bool view = p->understood && (p->policy.rule == POLICY_LATEST ||
				      p->policy.rule == POLICY_NODE);

	return view ? SLICE(p->text, p->text_len) : SLICE(NULL, 0);
}

int rule_find(struct tree *t, struct object *o)
{
	struct policy_found found;
	struct slice rule;
	int r;

	if (object_contents(o) < 2) {
		o->rule = SLICE(NULL, 0);
		return 0;
	}
	r = is_shown(o);
	if (r < 0)
		return r;
	if (r) {
		r = policy_of_object(t, o, &found);
		if (r)
			return r;
		rule = rule_of(&found);
	} else {
		rule = o->rule;
	}
	/* (what stands there may be another object's) */
	o->rule = rule.len ? object_dup(o, rule) : rule;
	return o->rule.len && !o->rule.data ? -ENOMEM : 0;
}

int rule_check(struct tree *t, const struct object *o)
{
	struct policy_found found;
	int r;

	if (object_contents(o) < 2)
		return o->rule.len ? -EUCLEAN : 0;
	r = is_shown(o);
	if (r <= 0)
		return r;
	r = policy_of_object(t, o, &found);
	if (!r && !slice_equal(rule_of(&found), o->rule))
		r = -EUCLEAN;
	return r;
}

/* ---- reading rows anew */

int rules_moved(struct tree *t, struct objid dir)
{
	struct claim c;
	struct objid id;
	int r;

	/* (an empty one, as each is when it is made, rules nothing) */
	if (t->work.rules)
		return 0;
	r = claim_seek(t, dir, 0, ROOT_ID, 0, &c, &id);
	if (!r)
		t->work.rules = true;
	return r == -ENOENT ? 0 : r;
}

static void tell_changed(struct tree *t, const struct row *row, uint64_t was)
{
	event_inode(t, was);
	if (row->ino == was)
		return;
	event_inode(t, row->ino);
	for (size_t k = 0; k < row->claim_count; k++)
		event_entry(t, row->claims[k].at.parent,
			    spot_name(&row->claims[k].at));
}

static int rule_settle(struct tree *t, struct objid id)
{
	struct object now;
	struct row row;
	uint64_t ino;
	int r = row_load(t, id, &row);

	if (r)
		return r;
	ino = row.ino;
	now = row.o;
	r = rule_find(t, &now);
	row.o.arena = now.arena;
	if (!r && !slice_equal(now.rule, row.o.rule)) {
		r = row_becomes(t, &row, &now);
		/* (and with it) */
		row.o.arena = now.arena;
		row.o.rule = now.rule;
		row.ctime_ns = t->op_now_ns;
		if (!r)
			r = row_store_view(t, &row);
		if (!r)
			r = hist_settled_reread(t, &row);
		if (!r)
			tell_changed(t, &row, ino);
	}
	row_release(&row);
	return r;
}

static int add_marked(struct tree *t, struct idlist *ids)
{
	struct objid id;
	int r = marks_next(t, 'c', NULL, &id);

	while (!r) {
		r = idlist_add(ids, id);
		if (!r)
			r = marks_next(t, 'c', &id, &id);
	}
	return r == -ENOENT ? 0 : r;
}

int rules_settle(struct tree *t)
{
	struct idlist *ids = &t->work.contents;
	int r = t->work.rules ? add_marked(t, ids) : 0;

	t->work.rules = false;
	for (size_t k = 0; !r && k < ids->count; k++)
		r = rule_settle(t, ids->ids[k]);
	ids->count = 0;
	return r;
}

/* ---- what is hidden */

struct listed {
	struct buf path;
	struct object o;	/* its one CONTENT version */
	uint64_t ino;
	enum kind kind;
	bool here;
};

struct listing {
	struct listed *list;
	size_t count;
};

static void listing_release(struct listing *l)
{
	for (size_t k = 0; k < l->count; k++) {
		buf_release(&l->list[k].path);
		object_release(&l->list[k].o);
	}
	free(l->list);
}

static int list_branch(struct tree *t, const struct row *row,
		       const struct info *i, const struct branch *b,
		       struct listing *l)
{
	struct listed *p = realloc(l->list, (l->count + 1) * sizeof(*p));
	int r;

	if (!p)
		return -ENOMEM;
	l->list = p;
	p += l->count++;
	*p = (struct listed){ .path = BUF_INIT, .ino = row->ino,
			      .kind = i->kind,
			      .here = sibling_is_here(t, row, b) };
	object_init(&p->o, row->o.id);
	r = object_add_copy(&p->o, b->top);
	return r ? r : decided_path(t, row, &p->path);
}

static int list_row(struct tree *t, struct objid id, struct listing *l)
{
	struct row row;
	struct info i;
	int r = row_load(t, id, &row);

	if (r)
		return r;
	r = info_init(&i, &row.o);
	for (size_t k = 0; !r && row.claim_count && k < i.hidden_count; k++) {
		const struct branch *b = &i.branches[i.branch_count + k];

		if (!b->is_void)
			r = list_branch(t, &row, &i, b, l);
	}
	info_release(&i);
	row_release(&row);
	return r;
}

static int list_all(struct tree *t, struct listing *l)
{
	struct objid id;
	int r = marks_next(t, 'c', NULL, &id);

	while (!r) {
		r = list_row(t, id, l);
		if (!r)
			r = marks_next(t, 'c', &id, &id);
	}
	return r == -ENOENT ? 0 : r;
}

int tree_policy_hidden(struct tree *t,
		       int (*fn)(void *arg, const struct policy_hidden *),
		       void *arg)
{
	struct listing l = { 0 };
	int r;

	store_lock(t->store);
	r = list_all(t, &l);
	store_unlock(t->store);
	for (size_t k = 0; !r && k < l.count; k++) {
		const struct version *v = &l.list[k].o.versions[0];
		struct policy_hidden h = { .path = buf_slice(&l.list[k].path),
					   .id = l.list[k].o.id,
					   .kind = l.list[k].kind,
					   .ino = l.list[k].ino,
					   .dot = v->dot,
					   .content = v->content.content,
					   .here = l.list[k].here };

		r = fn(arg, &h);
	}
	listing_release(&l);
	return r;
}
