/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows into bytes, which row_decode.c reads: fs/store/FORMAT.md, "Rows". What
 * matters here:
 *
 *  - versions that one operation wrote stand together under its dot and hlc,
 *    and stamps and branches that are the operation's own cost one byte;
 *  - dots name their origin by its place in a table at the head of the row,
 *    since few nodes ever touch one file, and each often;
 *  - a LINK that says what the one of its slot before it says (a keep-stamp
 *    does) says only so.
 *
 * So a fresh file's row is about 200 bytes, and one with a history less than
 * 500: tests/unit/tree/test_row_size.c.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/base/hash.h"
#include "fs/tree/row_codec.h"

/* ---- encoding of values */

struct encoder {
	struct buf *b;
	const struct object *o;
	struct origins origins;
};

static int compare_origins(const void *pa, const void *pb)
{
	uint64_t a = *(const uint64_t *)pa, b = *(const uint64_t *)pb;

	return (a > b) - (a < b);
}

static int origins_add(struct origins *l, uint64_t origin)
{
	/* (neighbours repeat: most are not even added) */
	if (l->count && l->list[l->count - 1] == origin)
		return 0;
	if (l->count == l->alloc) {
		size_t alloc = MAX_OF(l->alloc * 2, (size_t)16);
		uint64_t *p = realloc(l->list, alloc * sizeof(*p));

		if (!p)
			return -ENOMEM;
		l->list = p;
		l->alloc = alloc;
	}
	l->list[l->count++] = origin;
	return 0;
}

static int origins_of_content(struct origins *l,
			      const struct content_value *c)
{
	int r = origins_add(l, c->rank.dot.origin);

	if (!r)
		r = origins_add(l, c->branch.origin);
	for (size_t k = 0; !r && k < c->anc_count; k++)
		r = origins_add(l, c->anc[k].dot.origin);
	for (size_t k = 0; !r && k < c->far_count; k++)
		r = origins_add(l, c->far[k].origin);
	for (size_t k = 0; !r && k < c->seen_count; k++)
		r = origins_add(l, c->seen[k].dot.origin);
	for (size_t k = 0; !r && k < c->leaves_count; k++)
		r = origins_add(l, c->leaves[k].origin);
	return r;
}

static int origins_collect(struct origins *l, const struct object *o)
{
	size_t n = 0;

	for (size_t k = 0; k < o->count; k++) {
		const struct version *v = &o->versions[k];
		int r = origins_add(l, v->dot.origin);

		if (!r && v->reg == REG_LINK)
			r = origins_add(l, v->link.since.dot.origin);
		if (!r && v->reg == REG_TOMB)
			r = origins_add(l, v->tomb.link.since.dot.origin);
		if (!r && v->reg == REG_CONTENT)
			r = origins_of_content(l, &v->content);
		if (r)
			return r;
	}
	if (l->count > 1)
		qsort(l->list, l->count, sizeof(*l->list), compare_origins);
	for (size_t k = 0; k < l->count; k++)
		if (!n || l->list[n - 1] != l->list[k])
			l->list[n++] = l->list[k];
	l->count = n;
	return 0;
}

static void put_place(struct buf *b, const struct place *p)
{
	buf_put(b, p->parent.b, sizeof(p->parent.b));
	buf_put_string(b, p->name);
}

static void put_dot(struct encoder *e, struct dot d)
{
	const uint64_t *at = bsearch(&d.origin, e->origins.list,
				     e->origins.count, sizeof(*at),
				     compare_origins);

	kin_assert(at);
	buf_put_varint(e->b, (uint64_t)(at - e->origins.list));
	buf_put_varint(e->b, d.seq);
}

bool stamp_is_own(const struct stamp *s, const struct version *v)
{
	return s->hlc == v->hlc && dot_equal(s->dot, v->dot) && !s->level;
}

/* One byte when the stamp is the version's own. */
static void put_stamp(struct encoder *e, const struct stamp *s,
		      const struct version *v)
{
	uint64_t level = (uint64_t)s->level;

	if (stamp_is_own(s, v)) {
		buf_put_u8(e->b, 0);
		return;
	}
	buf_put_u8(e->b, 1);
	buf_put_u64(e->b, s->hlc);
	put_dot(e, s->dot);
	/* Small ones of either sign are short. */
	buf_put_varint(e->b, s->level < 0 ? ~(level << 1) : level << 1);
}

static void put_time(struct buf *b, struct timespec t)
{
	buf_put_u64(b, (uint64_t)t.tv_sec);
	buf_put_u32(b, (uint32_t)t.tv_nsec);
}

static void put_entries(struct encoder *e, const struct entry_name *list,
			size_t n)
{
	buf_put_varint(e->b, n);
	for (size_t i = 0; i < n; i++) {
		buf_put_u64(e->b, list[i].hlc);
		put_dot(e, list[i].dot);
		buf_put_u64(e->b, list[i].hash64);
	}
}

static void put_content(struct encoder *e, const struct version *v)
{
	const struct content_value *c = &v->content;
	struct buf *b = e->b;

	if (!(v->flags & VERSION_VOID))
		content_put(b, &c->content);
	put_time(b, c->mtime);
	put_stamp(e, &c->rank, v);
	if (dot_equal(c->branch, v->dot) && c->branch_hlc == v->hlc) {
		buf_put_u8(b, 0);
	} else {
		buf_put_u8(b, 1);
		put_dot(e, c->branch);
		buf_put_u64(b, c->branch_hlc);
	}
	buf_put_string(b, c->label);
	buf_put_string(b, slice_equal(c->author, c->label) ? SLICE(NULL, 0)
							   : c->author);
	put_entries(e, c->anc, c->anc_count);
	put_entries(e, c->seen, c->seen_count);
	buf_put_varint(b, c->leaves_count);
	for (size_t i = 0; i < c->leaves_count; i++)
		put_dot(e, c->leaves[i]);
	for (size_t i = 0; i < c->far_count; i++)
		put_dot(e, c->far[i]);
}

static bool place_same(const struct place *a, const struct place *b)
{
	return objid_equal(a->parent, b->parent) &&
	       slice_equal(a->name, b->name);
}

const struct link_value *link_before(const struct object *o, size_t n,
				     uint64_t slot)
{
	while (n-- > 0) {
		const struct version *v = &o->versions[n];

		if (v->reg == REG_LINK && v->link.slot == slot)
			return &v->link;
	}
	return NULL;
}

bool link_same(const struct link_value *a, const struct link_value *b)
{
	if (!place_same(&a->at, &b->at) ||
	    stamp_compare(&a->since, &b->since) ||
	    !slice_equal(a->label, b->label) ||
	    a->prev_count != b->prev_count)
		return false;
	for (int i = 0; i < a->prev_count; i++)
		if (!place_same(&a->prev[i], &b->prev[i]))
			return false;
	return true;
}

static void put_link_rest(struct encoder *e, const struct version *v,
			  const struct link_value *l)
{
	put_place(e->b, &l->at);
	put_stamp(e, &l->since, v);
	buf_put_string(e->b, l->label);
	buf_put_u8(e->b, l->prev_count);
	for (int i = 0; i < l->prev_count; i++)
		put_place(e->b, &l->prev[i]);
}

static void put_link(struct encoder *e, const struct version *v)
{
	const struct link_value *l = &v->link, *before;

	before = link_before(e->o, (size_t)(v - e->o->versions), l->slot);
	buf_put_u64(e->b, l->slot);
	if (before && link_same(before, l)) {
		buf_put_u8(e->b, 1);
		return;
	}
	buf_put_u8(e->b, 0);
	put_link_rest(e, v, l);
}

static void put_tomb(struct encoder *e, const struct version *v)
{
	buf_put_u64(e->b, v->tomb.link.slot);
	put_link_rest(e, v, &v->tomb.link);
	buf_put_varint(e->b, v->hlc - v->tomb.run);
}

static void put_value(struct encoder *e, const struct version *v)
{
	struct buf *b = e->b;

	switch (v->reg) {
	case REG_KIND:
		buf_put_u8(b, v->kind.kind);
		break;
	case REG_LINK:
		put_link(e, v);
		break;
	case REG_CONTENT:
		put_content(e, v);
		break;
	case REG_MODE:
		buf_put_varint(b, v->mode.perm);
		buf_put_string(b, v->mode.acl);
		break;
	case REG_OWNER:
		buf_put_string(b, v->owner.user);
		buf_put_string(b, v->owner.group);
		break;
	case REG_TIMES:
		put_time(b, v->times.mtime);
		put_time(b, v->times.btime);
		break;
	case REG_TOMB:
		put_tomb(e, v);
		break;
	case REG_XATTR:
		buf_put_string(b, v->xattr.name);
		buf_put_u8(b, v->xattr.removed);
		buf_put_slice(b, v->xattr.value);
		break;
	case REG_HOME:
		buf_put(b, v->home.device.b, sizeof(v->home.device.b));
		buf_put_varint(b, v->home.epoch);
		buf_put_u8(b, v->home.mode);
		break;
	default:
		buf_put_slice(b, v->opaque);
	}
}

static size_t varint_len(uint64_t v)
{
	size_t n = 1;

	for (; v >= 0x80; v >>= 7)
		n++;
	return n;
}

/* The value behind its length: the length's room is made afterwards. */
static void put_version(struct encoder *e, const struct version *v)
{
	struct buf *b = e->b;
	size_t at, len, n;

	buf_put_u8(b, v->reg);
	buf_put_u8(b, v->flags | (v->first_origin ? ENCODED_RENAMED : 0));
	if (v->first_origin)
		buf_put_u64(b, v->first_origin);
	at = b->len;
	put_value(e, v);
	if (b->failed)
		return;
	len = b->len - at;
	n = varint_len(len);
	if (!buf_extend(b, n))
		return;
	memmove(b->data + at + n, b->data + at, len);
	for (size_t i = 0; i < n; i++, len >>= 7)
		b->data[at + i] = (uint8_t)((len & 0x7f) |
					    (i + 1 < n ? 0x80 : 0));
}

static bool same_op(const struct version *a, const struct version *b)
{
	return dot_equal(a->dot, b->dot) && a->hlc == b->hlc;
}

static void put_row(struct encoder *e)
{
	const struct object *o = e->o;
	size_t groups = 0;

	for (size_t i = 0; i < o->count; i++)
		if (!i || !same_op(&o->versions[i - 1], &o->versions[i]))
			groups++;
	buf_put_u8(e->b, ROW_FORMAT);
	buf_put_varint(e->b, e->origins.count);
	for (size_t i = 0; i < e->origins.count; i++)
		buf_put_u64(e->b, e->origins.list[i]);
	buf_put_varint(e->b, groups);
	for (size_t i = 0, n; i < o->count; i += n) {
		const struct version *v = &o->versions[i];

		n = 1;
		while (i + n < o->count && same_op(v, v + n))
			n++;
		put_dot(e, v->dot);
		buf_put_u64(e->b, v->hlc);
		buf_put_varint(e->b, n);
		for (size_t k = 0; k < n; k++)
			put_version(e, v + k);
	}
}

int object_encode(struct object *o, struct buf *ret)
{
	struct encoder e = { .b = ret, .o = o };
	size_t start = ret->len;
	int r;

	if (o->count > ROW_VERSIONS_MAX)
		return -E2BIG;
	if (o->count > 1)
		qsort(o->versions, o->count, sizeof(*o->versions),
		      version_order);
	r = origins_collect(&e.origins, o);
	if (!r)
		put_row(&e);
	free(e.origins.list);
	if (!r && ret->len - start > ROW_BYTES_MAX)
		r = -E2BIG;
	return r ? r : buf_error(ret);
}
