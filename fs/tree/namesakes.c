/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Different files that were made under one name. They have nothing that they
 * were made from; all the same somebody may make one of them: what has the
 * plain name gets the result, as an edit, and the others are removed, in one
 * operation, so that after a crash either all of it was done or nothing.
 *
 * A removed one that somebody edits elsewhere comes back, as always, and so
 * does the first; and two results that were made at the same time are two
 * contents of one file.
 *
 * Only files with one content each: their own conflicts come first, or what
 * is removed with a file would be more than what was read.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/tree/list.h"
#include "fs/tree/op.h"
#include "fs/tree/variants_internal.h"

/* What stands at the place, with how it is shown. */
struct place_names {
	struct spot at;
	struct place_view view;
	struct shownlist virtuals;
};

static void place_names_release(struct place_names *p)
{
	place_view_release(&p->view);
	shownlist_release(&p->virtuals);
}

static int place_names_find(struct tree *t, const struct spot *at,
			    struct place_names *p)
{
	int r = place_view_at(t, at->parent, spot_name(at), &p->view);

	p->at = *at;
	if (!r)
		r = view_virtuals_at(t, at->parent, spot_name(at),
				     &p->virtuals);
	return r;
}

/* Of several: one that is itself shown. */
static bool is_head(const struct place_view *v, size_t k)
{
	return k < v->holder_count && v->files[k].head == k;
}

/* ---- the list */

static struct slice name_of(const struct place_names *p, size_t k)
{
	const struct claimant *f = &p->view.files[k];

	if (!k)
		return spot_name(&p->at);
	for (size_t n = 0; n < p->virtuals.count; n++) {
		const struct shown *s = &p->virtuals.shown[n];

		if (s->type == SHOWN_SUFFIXED && s->slot == f->claim.slot &&
		    objid_equal(s->id, f->id))
			return shown_name(s);
	}
	return SLICE(NULL, 0);
}

/* Keeps what it borrows in the arena of s->row. */
static int copy_out(struct variants *s, struct variant *v)
{
	struct slice *const parts[] = { &v->label, &v->name,
					&v->content.inline_bytes };

	for (size_t k = 0; k < ARRAY_SIZE(parts); k++) {
		if (!parts[k]->len)
			continue;
		*parts[k] = object_dup(&s->row, *parts[k]);
		if (!parts[k]->data)
			return -ENOMEM;
	}
	return 0;
}

static int describe(struct tree *t, const struct place_names *p, size_t k,
		    struct variants *s)
{
	const struct claimant *f = &p->view.files[k];
	struct variant *v = &s->list[s->count++];
	struct row row;
	struct info i;
	int r = row_read(t, f->id, &row);

	if (r)
		return r;
	r = info_init(&i, &row.o);
	if (!r && i.kind != KIND_FILE)
		r = -ENOTSUP;
	if (!r && i.branch_count != 1)
		r = -ENOTUNIQ;
	if (!r) {
		*v = variant_of(t, i.branches[0].top);
		/* (who placed it there, whoever wrote it since) */
		v->label = f->label;
		v->name = name_of(p, k);
		v->main = !k;
		r = copy_out(s, v);
	}
	info_release(&i);
	row_release(&row);
	return r;
}

static int read_all(struct tree *t, const struct place_names *p,
		    struct variants *s)
{
	size_t heads = place_heads(&p->view);
	int r = 0;

	if (heads < 2)
		return -ENODATA;
	if (p->view.dirs.count)
		return -EISDIR;
	s->id = p->view.files[0].id;
	object_init(&s->row, s->id);
	s->dir = p->at.parent;
	s->name = object_dup(&s->row, spot_name(&p->at));
	s->list = object_alloc(&s->row, heads * sizeof(*s->list));
	if (!s->list || !s->name.data)
		return -ENOMEM;
	for (size_t k = 0; !r && k < p->view.holder_count; k++)
		if (is_head(&p->view, k))
			r = describe(t, p, k, s);
	return r ? r : conflict_name_token(t, &p->at, &s->token);
}

static int read_at(struct tree *t, const struct spot *at, struct variants *s)
{
	struct place_names p = { 0 };
	int r = place_names_find(t, at, &p);

	if (!r)
		r = read_all(t, &p, s);
	place_names_release(&p);
	return r;
}

/* The place that is contested, if what is shown there stands at one. */
static int place_of(struct tree *t, uint64_t parent, struct slice name,
		    struct spot *ret)
{
	struct objid dir;
	struct shown s;
	int r = ino_dir(t, parent, &dir);

	if (!r)
		r = view_find(t, dir, name, &s);
	if (r)
		return r;
	*ret = spot_at(dir, s.type == SHOWN_DIR ? name : spot_name(&s.link));
	return 0;
}

int tree_namesakes(struct tree *t, uint64_t parent, struct slice name,
		   struct variants *ret)
{
	struct spot at;
	int r = check_name(name);

	if (r)
		return r;
	*ret = (struct variants){ .hold = store_hold(t->store) };
	store_lock(t->store);
	r = place_of(t, parent, name, &at);
	if (!r)
		r = read_at(t, &at, ret);
	store_unlock(t->store);
	if (r)
		variants_release(ret);
	return r;
}

/* ---- settling */

/* Nobody has looked at what is no version yet; at all that is one, he has. */
static int check_all(struct tree *t, const struct variants *s,
		     const struct place_view *v)
{
	for (size_t k = 0; k < s->count; k++)
		if (!s->list[k].here)
			return -EAGAIN;
	return claimants_unsent(t, v);
}

static int remove_others(struct tree *t, const struct place_view *v)
{
	int r = 0;

	for (size_t k = 1; !r && k < v->holder_count; k++) {
		const struct claimant *f = &v->files[k];
		struct shown s = { .type = SHOWN_FILE, .id = f->id,
				   .slot = f->claim.slot, .kind = f->kind,
				   .link = f->claim.at };

		if (is_head(v, k))
			r = entry_remove(t, &s);
	}
	return r;
}

static int write_main(struct tree *t, struct objid id,
		      const struct content *content)
{
	struct content_write w = { .content = content, .keep = true,
				   .mtime = tree_now(t) };
	struct timespec btime = w.mtime;
	struct version new = { .reg = REG_CONTENT,
			       .content = { .content = *content } };
	struct row row;
	struct info i;
	int r = row_load(t, id, &row);

	if (r)
		return r;
	r = info_init(&i, &row.o);
	if (!r)
		r = remove_twins_of(t, &row, &i);
	if (!r && i.times)
		btime = i.times->times.btime;
	if (!r)
		r = data_changed(t, &row, row_shown_content(&row, &i), &new);
	/* (over what a policy hides of it, as a save) */
	w.known = &row.o;
	if (!r)
		r = branch_write(t, &row, &i, &i.branches[0], NULL, &w);
	info_release(&i);
	if (!r)
		r = row_set_times(t, &row, w.mtime, btime);
	if (!r)
		r = row_store(t, &row, 0);
	/* (nobody did this through the kernel) */
	if (!r)
		event_inode(t, row.ino);
	row_release(&row);
	return r;
}

static int settle_fresh(struct tree *t, const struct place_names *p,
			const struct variants *seen, const struct result *x)
{
	struct variants now = { 0 };
	int r = read_all(t, p, &now);

	/* Whatever it is now, it is not what was looked at. */
	if (r == -ENODATA || r == -EISDIR || r == -ENOTUNIQ ||
	    (!r && !hash_equal(&now.token, &seen->token)))
		r = -ESTALE;
	if (!r)
		r = check_all(t, &now, &p->view);
	if (!r)
		r = result_commit(t, x);
	/* First: the result may be what one of them holds, and these two
	 * would be one entry then. */
	if (!r)
		r = remove_others(t, &p->view);
	if (!r)
		r = write_main(t, now.id, &x->content);
	variants_release(&now);
	return r ? r : touch_dir(t, p->at.parent);
}

static int settle_locked(struct tree *t, const struct variants *seen,
			 const struct result *x)
{
	const struct spot at = spot_at(group_canonical(t, seen->dir),
				       seen->name);
	struct place_names p = { 0 };
	int r = place_names_find(t, &at, &p);

	if (!r)
		r = settle_fresh(t, &p, seen, x);
	place_names_release(&p);
	return r;
}

int tree_settle_namesakes(struct tree *t, const struct variants *s, int fd)
{
	cleanup(store_hold_end) struct store_hold hold = store_hold(t->store);
	struct result x = RESULT_INIT;
	int r = result_read(t, fd, &x);

	if (!r)
		r = op_begin(t);
	if (!r)
		r = op_end(t, settle_locked(t, s, &x));
	result_release(&x);
	return r;
}
