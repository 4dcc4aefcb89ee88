/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names that are view: of files that lost their names, and of siblings. They
 * are found by the marks (MARK) of places that show any, and made from what
 * stands there; so each node makes the same, and nothing of them is stored.
 *
 * A directory may have thousands of conflicts. So what is asked of one file
 * looks at its own place (view_virtuals_at), and a list of all costs what
 * there is to list: whether a name is taken is told by a table of hashes.
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
		    !sibling_is_shown(t, &row, &i, b))
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

/* The names given until now, by their hashes: open addressing. */
struct names_given {
	const struct shownlist *list;
	size_t *slots;		/* index in the list and 1; 0: free */
	size_t mask;
};

static int names_given_init(struct names_given *g, size_t count)
{
	size_t slots = 8;

	while (slots < 2 * count)
		slots *= 2;
	g->slots = calloc(slots, sizeof(*g->slots));
	g->mask = slots - 1;
	return g->slots ? 0 : -ENOMEM;
}

/* Where the name is, or would be. */
static size_t *names_given_slot(const struct names_given *g,
				struct slice name)
{
	size_t at = (size_t)name_hash(name) & g->mask;

	while (g->slots[at] &&
	       !slice_equal(shown_name(&g->list->shown[g->slots[at] - 1]),
			    name))
		at = (at + 1) & g->mask;
	return &g->slots[at];
}

/* A real name wins; the virtual one lengthens its tag. */
static int virtual_name(struct tree *t, struct virtual *v,
			const struct idlist *members,
			const struct names_given *given)
{
	bool taken = true;
	int r = 0;

	for (size_t n = CONFLICT_TAG_MIN; !r && taken && n <= CONFLICT_TAG_MAX;
	     n++) {
		v->shown.name_len = (uint8_t)conflict_name(
			spot_name(&v->shown.link),
			SLICE(v->label, v->label_len), v->hlc, &v->tag_hash,
			n, v->shown.name);
		r = name_is_plain(t, members, shown_name(&v->shown), &taken);
		taken |= *names_given_slot(given, shown_name(&v->shown)) != 0;
	}
	return r;
}

static int virtuals_name(struct tree *t, struct virtuals *l,
			 const struct idlist *members,
			 struct names_given *given, struct shownlist *ret)
{
	int r = 0;

	if (l->count > 1)
		qsort(l->v, l->count, sizeof(*l->v), virtual_order);
	for (size_t k = 0; !r && k < l->count; k++) {
		struct virtual *v = &l->v[k];
		size_t *slot;

		r = virtual_name(t, v, members, given);
		if (!r)
			r = shownlist_add(ret, &v->shown);
		if (r)
			break;
		slot = names_given_slot(given, shown_name(&v->shown));
		if (!*slot)
			*slot = ret->count;
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
	struct names_given given = { .list = ret };
	int r = group_members(t, dir, &members);

	if (!r && name)
		r = virtuals_place(t, &losers, &siblings, &members, *name);
	for (size_t k = 0; !r && !name && k < members.count; k++)
		r = virtuals_collect(t, &members, members.ids[k], &losers,
				     &siblings);
	if (!r)
		r = names_given_init(&given, losers.count + siblings.count);
	if (!r)
		r = virtuals_name(t, &losers, &members, &given, ret);
	if (!r)
		r = virtuals_name(t, &siblings, &members, &given, ret);
	free(given.slots);
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
