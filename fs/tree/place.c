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
 *    each), and another slot of the same file, are the same entry; the
 *    others get a conflict suffix. (Here only: what is written for the
 *    first time is no twin of what is empty, though its row still is);
 *  - a file whose main is void holds no name;
 *  - siblings stand beside the smallest shown slot of their file.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/base/hash.h"
#include "fs/tree/tree_internal.h"

struct slice shown_name(const struct shown *s)
{
	return SLICE(s->name, s->name_len);
}

void shownlist_release(struct shownlist *l)
{
	free(l->shown);
	*l = (struct shownlist){ 0 };
}

static int shownlist_add(struct shownlist *l, const struct shown *s)
{
	if (l->count == l->alloc) {
		size_t alloc = MAX_OF(l->alloc * 2, (size_t)4);
		struct shown *p = realloc(l->shown, alloc * sizeof(*p));

		if (!p)
			return -ENOMEM;
		l->shown = p;
		l->alloc = alloc;
	}
	l->shown[l->count++] = *s;
	return 0;
}

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

/* A sibling is shown when all of it is here. */
bool sibling_is_here(struct tree *t, const struct row *row,
		     const struct branch *b)
{
	return !b->is_void &&
	       (!row->pending ||
		content_complete(t, &b->top->content.content));
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
		    i.shown_count == 1 && i.branches[0].count == 1 && i.mode &&
		    !inode_is_unborn(t, row.ino);
	f->perm = i.mode ? i.mode->mode.perm : 0;
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
	       a->perm == b->perm && a->content.size == b->content.size &&
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

static void shown_file(const struct claimant *f, enum shown_type type,
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

/* ---- names that are view */

int view_has_virtuals(struct tree *t, struct objid dir, bool *ret)
{
	struct idlist members = { 0 };
	struct slice k, v;
	int r;

	*ret = false;
	if (!store_count(t->store, TABLE_MARK))
		return 0;
	r = group_members(t, dir, &members);
	for (size_t i = 0; !r && !*ret && i < members.count; i++) {
		uint8_t key[17] = { 'n' };

		memcpy(key + 1, members.ids[i].b, 16);
		r = store_seek(t->store, TABLE_MARK, SLICE(key, sizeof(key)),
			       &k, &v);
		if (!r)
			*ret = k.len == 25 && !memcmp(k.data, key, 17);
		else if (r == -ENOENT)
			r = 0;
	}
	idlist_release(&members);
	return r;
}

/* Something to be named: a file that lost its name, or a sibling. */
struct virtual {
	struct shown shown;
	struct hash tag_hash;
	uint64_t hlc;
	uint8_t label[LABEL_BYTES_MAX];
	uint8_t label_len;
};

struct virtuals {
	struct virtual *v;
	size_t count, alloc;
};

static struct virtual *virtuals_add(struct virtuals *l)
{
	if (l->count == l->alloc) {
		size_t alloc = MAX_OF(l->alloc * 2, (size_t)4);
		struct virtual *p = realloc(l->v, alloc * sizeof(*p));

		if (!p)
			return NULL;
		l->v = p;
		l->alloc = alloc;
	}
	l->v[l->count] = (struct virtual){ 0 };
	return &l->v[l->count++];
}

static void virtual_label(struct virtual *v, struct slice label)
{
	if (!label.len)
		label = SLICE_STR("node");
	memcpy(v->label, label.data, label.len);
	v->label_len = (uint8_t)label.len;
}

/* 'S': a slot that lost its name; 'B': a branch of contents. */
static void virtual_tag(struct tree *t, struct virtual *v, char what,
			uint64_t a, uint64_t b)
{
	uint8_t bytes[16 + 1 + 16 + 16];

	memcpy(bytes, t->volume.b, 16);
	bytes[16] = (uint8_t)what;
	memcpy(bytes + 17, v->shown.id.b, 16);
	put_le64(bytes + 33, a);
	put_le64(bytes + 41, b);
	hash_bytes(bytes, sizeof(bytes), &v->tag_hash);
}

static int virtuals_losers(struct tree *t, struct virtuals *l,
			   const struct place_view *p)
{
	for (size_t k = p->dirs.count ? 0 : 1; k < p->holder_count; k++) {
		const struct claimant *f = &p->files[k];
		struct virtual *v;

		if (f->head != k)
			continue;
		v = virtuals_add(l);
		if (!v)
			return -ENOMEM;
		shown_file(f, SHOWN_SUFFIXED, SLICE("", 0), &v->shown);
		v->hlc = f->since.hlc;
		virtual_label(v, SLICE(f->label_bytes, f->label.len));
		virtual_tag(t, v, 'S', f->claim.slot, 0);
	}
	return 0;
}

static int virtuals_siblings_of(struct tree *t, struct virtuals *l,
				const struct claimant *f)
{
	size_t shown = 0;
	struct row row;
	struct info i;
	int r = row_load(t, f->id, &row);

	if (r)
		return r;
	r = info_init(&i, &row.o);
	for (size_t k = 1; !r && k < i.branch_count; k++) {
		const struct branch *b = &i.branches[k];
		struct virtual *v;

		if (shown == SIBLINGS_SHOWN_MAX ||
		    !sibling_is_here(t, &row, b))
			continue;
		v = virtuals_add(l);
		if (!v) {
			r = -ENOMEM;
			break;
		}
		shown++;
		shown_file(f, SHOWN_SIBLING, SLICE("", 0), &v->shown);
		v->shown.tag = b->tag;
		v->hlc = b->tag_hlc;
		virtual_label(v, b->label);
		virtual_tag(t, v, 'B', b->tag.origin, b->tag.seq);
	}
	info_release(&i);
	row_release(&row);
	return r;
}

static int virtuals_place(struct tree *t, struct virtuals *losers,
			  struct virtuals *siblings,
			  const struct idlist *members, struct slice name)
{
	struct place_view p;
	int r = place_view(t, members, name, &p);

	if (r)
		return r;
	r = virtuals_losers(t, losers, &p);
	for (size_t k = 0; !r && k < p.file_count; k++)
		if (p.files[k].claim.flags & CLAIM_SIBLINGS)
			r = virtuals_siblings_of(t, siblings, &p.files[k]);
	place_view_release(&p);
	return r;
}

static int virtual_order(const void *pa, const void *pb)
{
	const struct shown *a = &((const struct virtual *)pa)->shown;
	const struct shown *b = &((const struct virtual *)pb)->shown;
	int r = objid_compare(a->id, b->id);

	if (!r)
		r = (a->slot > b->slot) - (a->slot < b->slot);
	return r ? r : dot_compare(a->tag, b->tag);
}

static int name_is_plain(struct tree *t, const struct idlist *members,
			 struct slice name, bool *ret)
{
	struct place_view p;
	int r = place_view(t, members, name, &p);

	if (!r)
		*ret = p.dirs.count || p.holder_count;
	place_view_release(&p);
	return r;
}

/* A real name wins; the virtual one lengthens its tag. */
static int virtuals_name(struct tree *t, struct virtuals *l,
			 const struct idlist *members, struct shownlist *ret)
{
	int r = 0;

	if (l->count > 1)
		qsort(l->v, l->count, sizeof(*l->v), virtual_order);
	for (size_t k = 0; !r && k < l->count; k++) {
		struct virtual *v = &l->v[k];
		bool taken = true;

		for (size_t n = CONFLICT_TAG_MIN;
		     !r && taken && n <= CONFLICT_TAG_MAX; n++) {
			struct slice name;

			v->shown.name_len = (uint8_t)conflict_name(
				spot_name(&v->shown.link),
				SLICE(v->label, v->label_len), v->hlc,
				&v->tag_hash, n, v->shown.name);
			name = shown_name(&v->shown);
			r = name_is_plain(t, members, name, &taken);
			for (size_t q = 0; !taken && q < ret->count; q++)
				taken = slice_equal(
					shown_name(&ret->shown[q]), name);
		}
		if (!r)
			r = shownlist_add(ret, &v->shown);
	}
	return r;
}

static int virtuals_collect(struct tree *t, const struct idlist *members,
			    struct objid member, struct virtuals *losers,
			    struct virtuals *siblings)
{
	uint8_t key[25] = { 'n' };
	int r;

	memcpy(key + 1, member.b, 16);
	for (;;) {
		struct slice k, v;
		uint8_t name[NAME_BYTES_MAX];
		size_t len;

		r = store_seek(t->store, TABLE_MARK, SLICE(key, sizeof(key)),
			       &k, &v);
		if (r || k.len != sizeof(key) || memcmp(k.data, key, 17))
			break;
		if (!v.len || v.len > sizeof(name))
			return -EUCLEAN;
		memcpy(key, k.data, sizeof(key));
		len = v.len;
		memcpy(name, v.data, len);
		r = virtuals_place(t, losers, siblings, members,
				   SLICE(name, len));
		if (r)
			break;
		put_be64(key + 17, get_be64(key + 17) + 1);
	}
	return r == -ENOENT ? 0 : r;
}

/* Of one place, or (NULL) of all. */
static int virtuals_list(struct tree *t, struct objid dir,
			 const struct slice *name, struct shownlist *ret)
{
	struct idlist members = { 0 };
	struct virtuals losers = { 0 }, siblings = { 0 };
	int r = group_members(t, dir, &members);

	if (!r && name)
		r = virtuals_place(t, &losers, &siblings, &members, *name);
	for (size_t k = 0; !r && !name && k < members.count; k++)
		r = virtuals_collect(t, &members, members.ids[k], &losers,
				     &siblings);
	if (!r)
		r = virtuals_name(t, &losers, &members, ret);
	if (!r)
		r = virtuals_name(t, &siblings, &members, ret);
	free(losers.v);
	free(siblings.v);
	idlist_release(&members);
	return r;
}

int view_virtuals(struct tree *t, struct objid dir, struct shownlist *ret)
{
	ret->count = 0;
	if (!store_count(t->store, TABLE_MARK))
		return 0;
	return virtuals_list(t, dir, NULL, ret);
}

int view_virtuals_at(struct tree *t, struct objid dir, struct slice name,
		     struct shownlist *ret)
{
	ret->count = 0;
	return virtuals_list(t, dir, &name, ret);
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
	struct row row;
	int r;

	if (s->type == SHOWN_DIR)
		return dir_ino(t, s->id, ret);
	if (s->type == SHOWN_SIBLING)
		return ino_of_sibling(t, s->id, s->tag, ret);
	r = row_read(t, s->id, &row);
	if (r)
		return r;
	*ret = row.ino;
	row_release(&row);
	return 0;
}
