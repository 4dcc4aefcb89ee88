/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An object in memory: an array of versions, and an arena for what they
 * point to. Versions move when one is added; what they point to does not.
 * row_encode.c and row_decode.c have the bytes.
 */
#include "fs/tree/object.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/base/hash.h"

/* ---- memory */

struct arena {
	struct arena *next;
	size_t used, size;
	uint8_t bytes[];
};

#define ARENA_BYTES 1024

void object_init(struct object *o, struct objid id)
{
	*o = (struct object){ .id = id };
}

void object_release(struct object *o)
{
	while (o->arena) {
		struct arena *next = o->arena->next;

		free(o->arena);
		o->arena = next;
	}
	free(o->versions);
	object_init(o, o->id);
}

void *object_alloc(struct object *o, size_t bytes)
{
	struct arena *a = o->arena;
	size_t need = (bytes + 15) & ~(size_t)15;

	if (!a || a->size - a->used < need) {
		size_t size = MAX_OF(need, (size_t)ARENA_BYTES);

		a = malloc(sizeof(*a) + size + 15);
		if (!a)
			return NULL;
		a->next = o->arena;
		a->size = size;
		a->used = 0;
		o->arena = a;
	}
	a->used += need;
	return (void *)(((uintptr_t)a->bytes + 15) / 16 * 16 + a->used - need);
}

struct slice object_dup(struct object *o, struct slice s)
{
	uint8_t *p = object_alloc(o, s.len);

	if (!p)
		return SLICE(NULL, 0);
	if (s.len)
		memcpy(p, s.data, s.len);
	return SLICE(p, s.len);
}

static bool hash_is_set(const struct hash *h)
{
	static const struct hash none;

	return !hash_equal(h, &none);
}

/*
 * Equal contents are found by hash; one version alone needs none, two need
 * theirs, wherever they come from.
 */
static void hash_inline_contents(struct object *o)
{
	size_t contents = 0;

	for (size_t i = 0; i < o->count; i++)
		contents += o->versions[i].reg == REG_CONTENT;
	for (size_t i = 0; contents > 1 && i < o->count; i++) {
		struct content *c = &o->versions[i].content.content;

		if (o->versions[i].reg == REG_CONTENT && !c->depth &&
		    !hash_is_set(&c->root))
			hash_bytes(c->inline_bytes.data, c->inline_bytes.len,
				   &c->root);
	}
}

struct version *object_add(struct object *o, const struct version *v)
{
	if (o->count == o->alloc) {
		size_t alloc = MAX_OF(o->alloc * 2, (size_t)8);
		struct version *p = realloc(o->versions, alloc * sizeof(*p));

		if (!p)
			return NULL;
		o->versions = p;
		o->alloc = alloc;
	}
	o->versions[o->count++] = *v;
	if (v->reg == REG_CONTENT)
		hash_inline_contents(o);
	return &o->versions[o->count - 1];
}

void object_remove(struct object *o, size_t index)
{
	memmove(o->versions + index, o->versions + index + 1,
		(o->count - index - 1) * sizeof(*o->versions));
	o->count--;
}

/* ---- order and identity */

static uint64_t version_slot(const struct version *v)
{
	return v->reg == REG_LINK ? v->link.slot : 0;
}

static struct slice version_name(const struct version *v)
{
	return v->reg == REG_XATTR ? v->xattr.name : SLICE(NULL, 0);
}

static int compare_u64(uint64_t a, uint64_t b)
{
	return (a > b) - (a < b);
}

bool version_same_register(const struct version *a, const struct version *b)
{
	return a->reg == b->reg && version_slot(a) == version_slot(b) &&
	       slice_equal(version_name(a), version_name(b));
}

bool version_same(const struct version *a, const struct version *b)
{
	if (!dot_equal(a->dot, b->dot) || !version_same_register(a, b))
		return false;
	return a->reg < REG_FIRST_OPAQUE || slice_equal(a->opaque, b->opaque);
}

bool object_has(const struct object *o, uint8_t reg)
{
	for (size_t k = 0; k < o->count; k++)
		if (o->versions[k].reg == reg)
			return true;
	return false;
}

uint8_t object_kind(const struct object *o)
{
	for (size_t k = 0; k < o->count; k++)
		if (o->versions[k].reg == REG_KIND)
			return o->versions[k].kind.kind;
	return 0;
}

size_t object_contents(const struct object *o)
{
	size_t n = 0;

	for (size_t k = 0; k < o->count; k++)
		n += o->versions[k].reg == REG_CONTENT;
	return n;
}

int object_find(const struct object *o, const struct version *like)
{
	for (size_t i = 0; i < o->count; i++)
		if (version_same(&o->versions[i], like))
			return (int)i;
	return -1;
}

int version_key_compare(const struct version *a, const struct version *b)
{
	if (a->hlc != b->hlc)
		return compare_u64(a->hlc, b->hlc);
	return dot_compare(a->dot, b->dot);
}

int stamp_compare(const struct stamp *a, const struct stamp *b)
{
	int r;

	if (a->hlc != b->hlc)
		return compare_u64(a->hlc, b->hlc);
	r = dot_compare(a->dot, b->dot);
	if (r)
		return r;
	return (a->level > b->level) - (a->level < b->level);
}

int entry_name_compare(const struct entry_name *a, const struct entry_name *b)
{
	int r;

	if (a->hlc != b->hlc)
		return compare_u64(a->hlc, b->hlc);
	r = dot_compare(a->dot, b->dot);
	return r ? r : compare_u64(a->hash64, b->hash64);
}

bool entry_names_have(const struct entry_name *list, size_t n,
		      const struct entry_name *e)
{
	for (size_t k = 0; k < n; k++)
		if (!entry_name_compare(&list[k], e))
			return true;
	return false;
}

struct dot version_first_dot(const struct version *v)
{
	return (struct dot){ v->first_origin ? v->first_origin : v->dot.origin,
			     v->dot.seq };
}

struct entry_name version_entry_name(const struct version *v)
{
	struct entry_name e = { .hlc = v->hlc, .dot = version_first_dot(v) };
	const struct content *c = &v->content.content;
	struct hash h = c->root;

	if (v->flags & VERSION_VOID)
		return e; /* hash64 0 is void's */
	if (!c->depth)
		hash_bytes(c->inline_bytes.data, c->inline_bytes.len, &h);
	e.hash64 = MAX_OF(get_le64(h.b), (uint64_t)1);
	return e;
}

int version_order(const void *pa, const void *pb)
{
	const struct version *a = pa, *b = pb;
	int r = dot_compare(a->dot, b->dot);

	if (!r)
		r = compare_u64(a->hlc, b->hlc);
	if (!r)
		r = (int)a->reg - (int)b->reg;
	if (!r)
		r = compare_u64(version_slot(a), version_slot(b));
	if (!r)
		r = slice_compare(version_name(a), version_name(b));
	if (!r && a->reg >= REG_FIRST_OPAQUE)
		r = slice_compare(a->opaque, b->opaque);
	return r;
}

/* ---- names */

bool name_is_valid(struct slice n)
{
	if (!n.len || n.len > NAME_BYTES_MAX)
		return false;
	if (memchr(n.data, '/', n.len) || memchr(n.data, '\0', n.len))
		return false;
	return !(n.data[0] == '.' &&
		 (n.len == 1 || (n.len == 2 && n.data[1] == '.')));
}

bool label_is_valid(struct slice l)
{
	if (!l.len || l.len > LABEL_BYTES_MAX)
		return false;
	for (size_t i = 0; i < l.len; i++) {
		uint8_t c = l.data[i];

		if (!(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'z') &&
		    !(c >= 'A' && c <= 'Z') && c != '.' && c != '_' &&
		    c != '-')
			return false;
	}
	return true;
}

bool xattr_name_is_valid(struct slice n)
{
	return n.len && n.len <= NAME_BYTES_MAX &&
	       !memchr(n.data, '\0', n.len);
}

/* ---- copies */

static struct entry_name *dup_entries(struct object *o,
				      const struct entry_name *e, size_t n)
{
	return (struct entry_name *)object_dup(
		o, SLICE(e, n * sizeof(*e))).data;
}

static struct dot *dup_dots(struct object *o, const struct dot *list, size_t n)
{
	return (struct dot *)object_dup(o, SLICE(list, n * sizeof(*list)))
		.data;
}

static void dup_link(struct object *o, struct link_value *l)
{
	l->at.name = object_dup(o, l->at.name);
	l->label = object_dup(o, l->label);
	for (int i = 0; i < l->prev_count; i++)
		l->prev[i].name = object_dup(o, l->prev[i].name);
}

int object_add_copy(struct object *o, const struct version *from)
{
	struct version v = *from;

	switch (v.reg) {
	case REG_LINK:
		dup_link(o, &v.link);
		break;
	case REG_CONTENT:
		v.content.content.inline_bytes =
			object_dup(o, v.content.content.inline_bytes);
		v.content.label = object_dup(o, v.content.label);
		v.content.author = object_dup(o, v.content.author);
		v.content.anc = dup_entries(o, v.content.anc,
					    v.content.anc_count);
		v.content.far = dup_dots(o, v.content.far,
					 v.content.far_count);
		v.content.seen = dup_entries(o, v.content.seen,
					     v.content.seen_count);
		v.content.leaves = dup_dots(o, v.content.leaves,
					    v.content.leaves_count);
		break;
	case REG_MODE:
		v.mode.acl = object_dup(o, v.mode.acl);
		break;
	case REG_OWNER:
		v.owner.user = object_dup(o, v.owner.user);
		v.owner.group = object_dup(o, v.owner.group);
		break;
	case REG_TOMB:
		dup_link(o, &v.tomb.link);
		break;
	case REG_XATTR:
		v.xattr.name = object_dup(o, v.xattr.name);
		v.xattr.value = object_dup(o, v.xattr.value);
		break;
	case REG_KIND:
	case REG_TIMES:
	case REG_HOME:
		break;
	default:
		v.opaque = object_dup(o, v.opaque);
	}
	return object_add(o, &v) ? 0 : -ENOMEM;
}
