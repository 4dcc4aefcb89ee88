/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows. The bytes are in fs/store/FORMAT.md, "Rows"; what matters here:
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
 *
 * Every value is taken apart by a bounded reader of its own, so that a
 * malformed value cannot run into the next, and every limit is checked here
 * and nowhere else: what object_decode() gave may be trusted.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/base/hash.h"
#include "fs/tree/object.h"

#define ROW_FORMAT 2
/* In the flags of a CONTENT as encoded: its first origin follows. */
#define ENCODED_RENAMED 8

/* The origins that a row names, ascending. */
struct origins {
	uint64_t *list;
	size_t count, alloc;
	bool *used;		/* decoding: each must be */
};

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

static bool stamp_is_own(const struct stamp *s, const struct version *v)
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

	if (!(v->flags & VERSION_VOID)) {
		buf_put_u8(b, c->content.depth);
		buf_put_varint(b, c->content.size);
		if (c->content.depth)
			buf_put(b, c->content.root.b, sizeof(c->content.root.b));
		else
			buf_put_slice(b, c->content.inline_bytes);
	}
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

/* The last LINK of the slot among the first n versions, or NULL. */
static const struct link_value *link_before(const struct object *o, size_t n,
					    uint64_t slot)
{
	while (n-- > 0) {
		const struct version *v = &o->versions[n];

		if (v->reg == REG_LINK && v->link.slot == slot)
			return &v->link;
	}
	return NULL;
}

static bool link_same(const struct link_value *a, const struct link_value *b)
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
	case REG_POLICY:
		buf_put_slice(b, v->policy);
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

/* ---- decoding of values */

struct decoder {
	struct object *o;
	struct origins origins;
};

static struct dot get_dot(struct decoder *d, struct reader *r)
{
	uint64_t at = reader_varint(r);
	struct dot dot = { .seq = reader_varint(r) };

	if (at >= d->origins.count || !dot.seq) {
		reader_fail(r);
		return dot;
	}
	d->origins.used[at] = true;
	dot.origin = d->origins.list[at];
	return dot;
}

static struct place get_place(struct reader *r)
{
	struct place p;

	reader_copy(r, p.parent.b, sizeof(p.parent.b));
	p.name = reader_string(r, NAME_BYTES_MAX);
	if (!name_is_valid(p.name))
		reader_fail(r);
	return p;
}

static struct stamp get_stamp(struct decoder *d, struct reader *r,
			      const struct version *v)
{
	struct stamp s = { v->hlc, v->dot, 0 };
	uint8_t form = reader_u8(r);
	uint64_t level;

	if (form > 1)
		reader_fail(r);
	if (form != 1)
		return s;
	s.hlc = reader_u64(r);
	s.dot = get_dot(d, r);
	level = reader_varint(r);
	s.level = (int64_t)(level & 1 ? ~(level >> 1) : level >> 1);
	if (stamp_is_own(&s, v))
		reader_fail(r); /* has a shorter form */
	return s;
}

static struct timespec get_time(struct reader *r)
{
	struct timespec t;

	t.tv_sec = (time_t)reader_u64(r);
	t.tv_nsec = (long)reader_u32(r);
	if (t.tv_nsec > 999999999)
		reader_fail(r);
	return t;
}

static struct entry_name *get_entries(struct decoder *d, struct reader *r,
				      size_t max, size_t *ret_count)
{
	uint64_t n = reader_varint(r);
	struct entry_name *e;

	*ret_count = 0;
	if (n > max)
		reader_fail(r);
	if (!n || r->failed)
		return NULL;
	e = object_alloc(d->o, n * sizeof(*e));
	for (uint64_t i = 0; e && i < n; i++) {
		e[i].hlc = reader_u64(r);
		e[i].dot = get_dot(d, r);
		e[i].hash64 = reader_u64(r);
	}
	*ret_count = e ? (size_t)n : 0;
	return e;
}

static void get_content_body(struct reader *r, struct content *c)
{
	c->depth = reader_u8(r);
	c->size = reader_varint(r);
	if (c->depth > MANIFEST_DEPTH_MAX || c->size > FILE_BYTES_MAX ||
	    (!c->depth && c->size > INLINE_BYTES_MAX) ||
	    (c->depth && c->size <= INLINE_BYTES_MAX)) {
		reader_fail(r);
		return;
	}
	if (c->depth)
		reader_copy(r, c->root.b, sizeof(c->root.b));
	else
		c->inline_bytes = reader_bytes(r, (size_t)c->size);
}

static struct slice get_label(struct reader *r)
{
	struct slice s = reader_string(r, LABEL_BYTES_MAX);

	if (s.len && !label_is_valid(s))
		reader_fail(r);
	return s;
}

/* Ascending: a set is no larger than it says. */
static void get_leaves(struct decoder *d, struct reader *r,
		       struct content_value *c)
{
	uint64_t n = reader_varint(r);

	if (n > LEAVES_MAX)
		reader_fail(r);
	if (!n || r->failed)
		return;
	c->leaves = object_alloc(d->o, n * sizeof(*c->leaves));
	for (uint64_t i = 0; c->leaves && i < n; i++) {
		c->leaves[i] = get_dot(d, r);
		if (i && dot_compare(c->leaves[i - 1], c->leaves[i]) >= 0)
			reader_fail(r);
	}
	c->leaves_count = c->leaves ? (size_t)n : 0;
}

static void get_content(struct decoder *d, struct reader *r,
			struct version *v)
{
	struct content_value *c = &v->content;
	uint8_t form;

	if (!(v->flags & VERSION_VOID))
		get_content_body(r, &c->content);
	c->mtime = get_time(r);
	c->rank = get_stamp(d, r, v);
	form = reader_u8(r);
	c->branch = v->dot;
	c->branch_hlc = v->hlc;
	if (form == 1) {
		c->branch = get_dot(d, r);
		c->branch_hlc = reader_u64(r);
		if (dot_equal(c->branch, v->dot) && c->branch_hlc == v->hlc)
			reader_fail(r); /* has a shorter form */
	} else if (form) {
		reader_fail(r);
	}
	c->label = get_label(r);
	c->author = get_label(r);
	if (!c->author.len)
		c->author = c->label;
	c->anc = get_entries(d, r, ANCESTORS_RESTAMPED_MAX, &c->anc_count);
	c->seen = get_entries(d, r, SEEN_MAX, &c->seen_count);
	get_leaves(d, r, c);
	if (!reader_left(r) || r->failed)
		return;
	c->far = object_alloc(d->o, FAR_MAX * sizeof(*c->far));
	while (c->far && reader_left(r) && c->far_count < FAR_MAX)
		c->far[c->far_count++] = get_dot(d, r);
}

static void get_link_rest(struct decoder *d, struct reader *r,
			  const struct version *v, struct link_value *l)
{
	l->at = get_place(r);
	l->since = get_stamp(d, r, v);
	l->label = get_label(r);
	l->prev_count = reader_u8(r);
	if (l->prev_count > LINK_PREV_MAX)
		reader_fail(r);
	for (int i = 0; !r->failed && i < l->prev_count; i++)
		l->prev[i] = get_place(r);
}

static void get_link(struct decoder *d, struct reader *r, struct version *v)
{
	struct link_value *l = &v->link;
	const struct link_value *before;
	uint8_t same;

	l->slot = reader_u64(r);
	same = reader_u8(r);
	before = link_before(d->o, d->o->count, l->slot);
	if (same > 1 || (same && !before)) {
		reader_fail(r);
	} else if (same) {
		*l = *before;
		return;
	}
	get_link_rest(d, r, v, l);
	if (!r->failed && before && link_same(before, l))
		reader_fail(r); /* has a shorter form */
}

static void get_tomb(struct decoder *d, struct reader *r, struct version *v)
{
	uint64_t ago;

	v->tomb.link.slot = reader_u64(r);
	get_link_rest(d, r, v, &v->tomb.link);
	ago = reader_varint(r);
	if (ago > v->hlc)
		reader_fail(r);
	v->tomb.run = v->hlc - ago;
}

static void get_xattr(struct reader *r, struct version *v)
{
	uint8_t removed;

	v->xattr.name = reader_string(r, NAME_BYTES_MAX);
	removed = reader_u8(r);
	v->xattr.removed = removed;
	v->xattr.value = reader_bytes(r, reader_left(r));
	if (removed > 1 || (removed && v->xattr.value.len) ||
	    v->xattr.value.len > XATTR_BYTES_MAX ||
	    !xattr_name_is_valid(v->xattr.name))
		reader_fail(r);
}

static void get_value(struct decoder *d, struct reader *r, struct version *v)
{
	switch (v->reg) {
	case REG_KIND:
		v->kind.kind = reader_u8(r);
		if (v->kind.kind < KIND_FILE || v->kind.kind > KIND_SYMLINK)
			reader_fail(r);
		break;
	case REG_LINK:
		get_link(d, r, v);
		break;
	case REG_CONTENT:
		get_content(d, r, v);
		break;
	case REG_MODE:
		v->mode.perm = (uint32_t)reader_varint(r);
		if (v->mode.perm > 07777)
			reader_fail(r);
		v->mode.acl = reader_string(r, ROW_BYTES_MAX);
		break;
	case REG_OWNER:
		v->owner.user = reader_string(r, PRINCIPAL_BYTES_MAX);
		v->owner.group = reader_string(r, PRINCIPAL_BYTES_MAX);
		break;
	case REG_TIMES:
		v->times.mtime = get_time(r);
		v->times.btime = get_time(r);
		break;
	case REG_TOMB:
		get_tomb(d, r, v);
		break;
	case REG_XATTR:
		get_xattr(r, v);
		break;
	case REG_POLICY:
		v->policy = reader_bytes(r, reader_left(r));
		if (v->policy.len > POLICY_BYTES_MAX)
			reader_fail(r);
		break;
	case REG_HOME:
		reader_copy(r, v->home.device.b, sizeof(v->home.device.b));
		v->home.epoch = reader_varint(r);
		v->home.mode = reader_u8(r);
		if (v->home.mode < HOME_STRICT || v->home.mode > HOME_SOFT)
			reader_fail(r);
		break;
	default:
		v->opaque = reader_bytes(r, reader_left(r));
		if (!v->reg)
			reader_fail(r);
	}
}

static void get_first_origin(struct reader *r, struct version *v)
{
	v->flags &= (uint8_t)~ENCODED_RENAMED;
	v->first_origin = reader_u64(r);
	if (!v->first_origin || v->first_origin == v->dot.origin)
		reader_fail(r);
}

static int decode_group(struct decoder *d, struct reader *r)
{
	struct object *o = d->o;
	struct version head = { .dot = get_dot(d, r) };
	uint64_t n;

	head.hlc = reader_u64(r);
	n = reader_varint(r);
	if (!n || n > ROW_VERSIONS_MAX - o->count)
		reader_fail(r);
	for (uint64_t i = 0; !r->failed && i < n; i++) {
		struct version v = head;
		struct slice value;
		struct reader in;

		v.reg = reader_u8(r);
		v.flags = reader_u8(r);
		if (v.reg == REG_CONTENT && v.flags & ENCODED_RENAMED)
			get_first_origin(r, &v);
		value = reader_string(r, ROW_BYTES_MAX);
		if (r->failed)
			break;
		in = READER(value.data, value.len);
		get_value(d, &in, &v);
		if (reader_done(&in)) {
			reader_fail(r);
			break;
		}
		if (o->count &&
		    version_order(&o->versions[o->count - 1], &v) >= 0) {
			reader_fail(r); /* not canonical, or twice */
			break;
		}
		if (!object_add(o, &v))
			return -ENOMEM;
	}
	return reader_ok(r);
}

static int decode_origins(struct decoder *d, struct reader *r)
{
	struct origins *l = &d->origins;
	uint64_t n = reader_varint(r);

	if (n > reader_left(r) / sizeof(*l->list))
		reader_fail(r);
	if (r->failed || !n)
		return 0;
	l->list = object_alloc(d->o, n * sizeof(*l->list));
	l->used = object_alloc(d->o, n * sizeof(*l->used));
	if (!l->list || !l->used)
		return -ENOMEM;
	memset(l->used, 0, n * sizeof(*l->used));
	for (l->count = 0; l->count < n; l->count++) {
		l->list[l->count] = reader_u64(r);
		if (l->list[l->count] <=
		    (l->count ? l->list[l->count - 1] : 0))
			reader_fail(r);
	}
	return 0;
}

static int decode_row(struct decoder *d, struct reader *r)
{
	uint64_t groups;
	int e;

	if (reader_u8(r) != ROW_FORMAT)
		reader_fail(r);
	e = decode_origins(d, r);
	groups = reader_varint(r);
	if (groups > ROW_VERSIONS_MAX)
		reader_fail(r);
	for (uint64_t i = 0; !e && i < groups; i++)
		e = decode_group(d, r);
	for (size_t i = 0; !e && i < d->origins.count; i++)
		if (!d->origins.used[i])
			reader_fail(r); /* named by nothing */
	return e ? e : reader_done(r);
}

int object_decode(struct slice row, struct object *ret)
{
	struct decoder d = { .o = ret };
	struct slice own;
	struct reader in;
	int r;

	object_release(ret);
	if (row.len > ROW_BYTES_MAX)
		return -EBADMSG;
	own = object_dup(ret, row);
	if (!own.data)
		return -ENOMEM;
	in = READER(own.data, own.len);
	r = decode_row(&d, &in);
	if (r)
		object_release(ret);
	return r;
}
