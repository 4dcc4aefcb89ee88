/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The view of one directory: which object is shown under which name. A pure
 * function of the claims of the directory's members and the rows of those
 * that share a name; nothing of it is stored but marks (MARK) of the places
 * where a name is contested or a file has siblings, so that names which are
 * view can be found without reading the whole directory.
 *
 * At one place (group of directories, name):
 *  - directories are one merged directory, and keep the plain name;
 *  - else of the files the most senior keeps it: strong before weak, then
 *    the oldest `since`, then the smallest (id, slot);
 *  - twins of it (same kind, content and mode, one content and one name
 *    each, and none that a policy hides), and another slot of the same file,
 *    are the same entry; the others get a conflict suffix. (Here only: what
 *    is written for the first time is no twin of what is empty, though its
 *    row still is);
 *  - a file whose main is void holds no name;
 *  - siblings stand beside the smallest shown slot of their file.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/base/hash.h"
#include "fs/tree/tree_internal.h"

/* ---- one place */

size_t place_head(const struct place_view *p, struct objid id, uint64_t slot)
{
	for (size_t k = 0; k < p->holder_count; k++)
		if (objid_equal(p->files[k].id, id) &&
		    p->files[k].claim.slot == slot)
			return p->files[k].head;
	return SIZE_MAX;
}

void place_view_release(struct place_view *p)
{
	idlist_release(&p->dirs);
	free(p->files);
	*p = (struct place_view){ 0 };
}

size_t place_heads(const struct place_view *p)
{
	size_t n = p->dirs.count ? 1 : 0;

	for (size_t k = 0; k < p->holder_count; k++)
		n += p->files[k].head == k;
	return n;
}

static int place_add_file(struct place_view *p, struct objid id,
			  const struct claim *c)
{
	struct claimant *f;

	f = realloc(p->files, (p->file_count + 1) * sizeof(*f));
	if (!f)
		return -ENOMEM;
	p->files = f;
	f += p->file_count++;
	*f = (struct claimant){ .id = id, .claim = *c };
	f->weak = c->flags & CLAIM_WEAK;
	f->kind = c->flags & CLAIM_KIND;
	return 0;
}

static int place_collect(struct tree *t, struct objid member,
			 struct slice name, struct place_view *p)
{
	uint64_t hash = name_hash(name);
	struct claim c;
	struct objid id;
	int r = claim_seek(t, member, hash, ROOT_ID, 0, &c, &id);

	while (!r && c.at.hash == hash) {
		bool live = true;

		if (!slice_equal(spot_name(&c.at), name)) {
			r = claim_next(t, &c, &id);
			continue;
		}
		if ((c.flags & CLAIM_KIND) == KIND_DIR) {
			if (c.flags & CLAIM_WEAK)
				r = dir_has_live_child(t, id, &live);
			if (!r && live)
				r = idlist_add(&p->dirs, id);
		} else {
			r = place_add_file(p, id, &c);
		}
		if (!r)
			r = claim_next(t, &c, &id);
	}
	return r == -ENOENT ? 0 : r;
}

bool sibling_is_here(struct tree *t, const struct row *row,
		     const struct branch *b)
{
	return !b->is_void &&
	       (!row->pending ||
		content_complete(t, &b->top->content.content));
}

bool sibling_is_shown(struct tree *t, const struct row *row,
		      const struct info *i, const struct branch *b)
{
	return sibling_is_here(t, row, b) && b != row_prior_branch(row, i);
}

/* What orders claimants and makes twins: only read when there are several. */
static int claimant_read(struct tree *t, struct claimant *f)
{
	struct row row;
	struct info i;
	int r = row_load(t, f->id, &row);

	if (r)
		return r;
	r = info_init(&i, &row.o);
	if (r) {
		row_release(&row);
		return r;
	}
	for (size_t k = 0; k < i.shown_count; k++)
		if (i.links[k].slot == f->claim.slot) {
			const struct link_value *l = &i.links[k].link->link;

			f->since = l->since;
			memcpy(f->label_bytes, l->label.data, l->label.len);
			f->label.len = l->label.len;
		}
	f->single = i.branch_count == 1 && !i.hidden_count &&
		    i.shown_count == 1 && i.mode &&
		    !inode_is_unborn(t, row.ino);
	f->perm = i.mode ? i.mode->mode.perm : 0;
	f->acl = i.mode ? name_hash(i.mode->mode.acl) : 0;
	if (i.branch_count) {
		const struct content_value *c = &i.branches[0].top->content;

		f->content = c->content;
		if (!f->content.depth)
			content_inline(c->content.inline_bytes, &f->content);
		f->content.inline_bytes = SLICE(NULL, 0);
	}
	info_release(&i);
	row_release(&row);
	return 0;
}

static bool claim_holds(const struct claimant *f)
{
	return f->claim.flags & CLAIM_HOLDS;
}

static int claimant_order(const void *pa, const void *pb)
{
	const struct claimant *a = pa, *b = pb;
	int r = (int)claim_holds(b) - (int)claim_holds(a);

	if (!r)
		r = (int)a->weak - (int)b->weak;
	if (!r)
		r = stamp_compare(&a->since, &b->since);
	if (!r)
		r = objid_compare(a->id, b->id);
	if (!r)
		r = (a->claim.slot > b->claim.slot) -
		    (a->claim.slot < b->claim.slot);
	return r;
}

/* (or two slots of one file: the same link, made at two nodes) */
static bool is_twin(const struct claimant *a, const struct claimant *b)
{
	if (objid_equal(a->id, b->id))
		return true;
	return a->single && b->single && a->kind == b->kind &&
	       a->perm == b->perm && a->acl == b->acl &&
	       a->content.size == b->content.size &&
	       a->content.depth == b->content.depth &&
	       hash_equal(&a->content.root, &b->content.root);
}

static int place_order(struct tree *t, struct place_view *p)
{
	int r = 0;

	if (p->file_count + p->dirs.count > 1) {
		for (size_t k = 0; !r && k < p->file_count; k++)
			r = claimant_read(t, &p->files[k]);
		if (r)
			return r;
		if (p->file_count)
			qsort(p->files, p->file_count, sizeof(*p->files),
			      claimant_order);
	}
	for (size_t k = 0; k < p->file_count; k++) {
		struct claimant *f = &p->files[k];

		f->label.data = (uint8_t *)f->label_bytes;
		f->head = k;
		if (!claim_holds(f))
			continue;
		p->holder_count++;
		for (size_t h = 0; h < k && f->head == k; h++)
			if (p->files[h].head == h && is_twin(&p->files[h], f))
				f->head = h;
	}
	return 0;
}

int place_view(struct tree *t, const struct idlist *members,
	       struct slice name, struct place_view *ret)
{
	int r = 0;

	*ret = (struct place_view){ 0 };
	for (size_t k = 0; !r && k < members->count; k++)
		r = place_collect(t, members->ids[k], name, ret);
	if (!r)
		r = place_order(t, ret);
	if (r)
		place_view_release(ret);
	return r;
}

int place_view_at(struct tree *t, struct objid dir, struct slice name,
		  struct place_view *ret)
{
	struct idlist members = { 0 };
	int r = group_members(t, dir, &members);

	*ret = (struct place_view){ 0 };
	if (!r)
		r = place_view(t, &members, name, ret);
	idlist_release(&members);
	return r;
}

void shown_file(const struct claimant *f, enum shown_type type,
		struct slice name, struct shown *ret)
{
	*ret = (struct shown){ .type = type, .id = f->id,
			       .slot = f->claim.slot, .kind = f->kind,
			       .link = f->claim.at };
	memcpy(ret->name, name.data, name.len);
	ret->name_len = (uint8_t)name.len;
}

/* The plain name: a directory, or the most senior file. */
static bool place_plain(struct tree *t, const struct place_view *p,
			struct slice name, struct shown *ret)
{
	if (p->dirs.count) {
		struct objid id = group_canonical(t, p->dirs.ids[0]);

		*ret = (struct shown){ .type = SHOWN_DIR, .id = id,
				       .kind = KIND_DIR };
		memcpy(ret->name, name.data, name.len);
		ret->name_len = (uint8_t)name.len;
		return true;
	}
	if (!p->holder_count)
		return false;
	shown_file(&p->files[0], SHOWN_FILE, name, ret);
	return true;
}

/* ---- questions about a directory */

int view_find_plain(struct tree *t, const struct idlist *members,
		    struct slice name, struct shown *ret)
{
	struct place_view p;
	int r = place_view(t, members, name, &p);

	if (r)
		return r;
	r = place_plain(t, &p, name, ret) ? 0 : -ENOENT;
	place_view_release(&p);
	return r;
}

static int virtuals_find(const struct shownlist *l, struct slice name,
			 struct shown *ret)
{
	for (size_t k = 0; k < l->count; k++) {
		if (!slice_equal(shown_name(&l->shown[k]), name))
			continue;
		*ret = l->shown[k];
		return 0;
	}
	return -ENOENT;
}

/* First where the name itself says that it belongs: a directory may have
 * thousands of conflicts, and each is looked up. */
static int view_find_virtual(struct tree *t, struct objid dir,
			     struct slice name, struct shown *ret)
{
	struct shownlist virtuals = { 0 };
	uint8_t plain[NAME_BYTES_MAX];
	size_t len;
	int r = -ENOENT;

	if (!conflict_name_guess(name, plain, &len))
		return -ENOENT;
	if (store_count(t->store, TABLE_MARK)) {
		r = view_virtuals_at(t, dir, SLICE(plain, len), &virtuals);
		if (!r)
			r = virtuals_find(&virtuals, name, ret);
		if (r == -ENOENT)
			r = view_virtuals(t, dir, &virtuals);
		if (!r)
			r = virtuals_find(&virtuals, name, ret);
		shownlist_release(&virtuals);
	}
	return r == -ENOENT ? alias_find(t, dir, name, ret) : r;
}

int view_find(struct tree *t, struct objid dir, struct slice name,
	      struct shown *ret)
{
	struct idlist members = { 0 };
	int r = group_members(t, dir, &members);

	if (!r)
		r = view_find_plain(t, &members, name, ret);
	idlist_release(&members);
	return r == -ENOENT ? view_find_virtual(t, dir, name, ret) : r;
}

/* Anything with a claim counts. */
int view_is_empty(struct tree *t, struct objid dir, bool *ret)
{
	struct idlist members = { 0 };
	int r = group_members(t, dir, &members);

	*ret = true;
	for (size_t k = 0; !r && *ret && k < members.count; k++) {
		bool live;

		r = dir_has_live_child(t, members.ids[k], &live);
		if (!r && live)
			*ret = false;
	}
	idlist_release(&members);
	return r;
}

int shown_ino(struct tree *t, const struct shown *s, uint64_t *ret)
{
	int r;

	if (s->type == SHOWN_DIR)
		r = dir_ino(t, s->id, ret);
	else if (s->type == SHOWN_SIBLING)
		r = ino_of_sibling(t, s->id, s->tag, ret);
	else
		r = row_ino(t, s->id, ret);
	/* What is shown has a row, and that a number. */
	return !r && !*ret ? -EUCLEAN : r;
}
