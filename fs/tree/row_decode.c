/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows out of bytes (row_encode.c says what they are like). Every value is
 * taken apart by a bounded reader of its own, so that a malformed value
 * cannot run into the next, and every limit is checked here and nowhere else:
 * what object_decode() gave may be trusted.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/base/hash.h"
#include "fs/tree/acl.h"
#include "fs/tree/row_codec.h"

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
		content_get(r, &c->content);
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
		if (v->kind.kind < KIND_FILE || v->kind.kind > KIND_LAST)
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
		if (v->mode.acl.len && !acl_access_is_valid(v->mode.acl))
			reader_fail(r);
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
	case REG_HOME:
		reader_copy(r, v->home.device.b, sizeof(v->home.device.b));
		v->home.epoch = reader_varint(r);
		v->home.mode = reader_u8(r);
		if (v->home.mode < HOME_STRICT || v->home.mode > HOME_SOFT)
			reader_fail(r);
		break;
	default:
		v->opaque = reader_bytes(r, reader_left(r));
		if (v->reg < REG_FIRST_OPAQUE)
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

/* ---- contents only */

static int contents_of_group(struct reader *r,
			     int (*fn)(void *arg, const struct content *),
			     void *arg)
{
	uint64_t n;
	int e = 0;

	(void)reader_varint(r);
	(void)reader_varint(r);
	(void)reader_u64(r);
	n = reader_varint(r);
	if (n > ROW_VERSIONS_MAX)
		reader_fail(r);
	for (uint64_t i = 0; !e && !r->failed && i < n; i++) {
		struct content c = { 0 };
		uint8_t reg = reader_u8(r), flags = reader_u8(r);
		struct slice value;
		struct reader in;

		if (reg == REG_CONTENT && flags & ENCODED_RENAMED)
			(void)reader_u64(r);
		value = reader_string(r, ROW_BYTES_MAX);
		if (reg != REG_CONTENT || flags & VERSION_VOID)
			continue;
		in = READER(value.data, value.len);
		content_get(&in, &c);
		if (reader_ok(&in))
			reader_fail(r);
		else if (c.depth)
			e = fn(arg, &c);
	}
	return e;
}

int object_contents_each(struct slice row,
			 int (*fn)(void *arg, const struct content *),
			 void *arg)
{
	struct reader r = READER(row.data, row.len);
	uint64_t n, groups;
	int e = 0;

	if (reader_u8(&r) != ROW_FORMAT)
		reader_fail(&r);
	n = reader_varint(&r);
	if (n > reader_left(&r) / sizeof(uint64_t))
		reader_fail(&r);
	else
		(void)reader_bytes(&r, (size_t)n * sizeof(uint64_t));
	groups = reader_varint(&r);
	if (groups > ROW_VERSIONS_MAX)
		reader_fail(&r);
	for (uint64_t i = 0; !e && !r.failed && i < groups; i++)
		e = contents_of_group(&r, fn, arg);
	return e ? e : reader_done(&r);
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
