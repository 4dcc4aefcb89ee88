/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows. The bytes are in fs/store/FORMAT.md, "Rows"; what matters here:
 * versions that one operation wrote stand together under its dot and hlc,
 * and stamps and branches that are the operation's own cost one byte, so a
 * fresh file's row is about 200 bytes.
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

#define ROW_FORMAT 1
/* In the flags of a CONTENT as encoded: its first origin follows. */
#define ENCODED_RENAMED 8

/* ---- encoding of values */

static void put_place(struct buf *b, const struct place *p)
{
	buf_put(b, p->parent.b, sizeof(p->parent.b));
	buf_put_string(b, p->name);
}

static void put_dot(struct buf *b, struct dot d)
{
	buf_put_u64(b, d.origin);
	buf_put_varint(b, d.seq);
}

/* One byte when the stamp is the version's own. */
static void put_stamp(struct buf *b, const struct stamp *s,
		      const struct version *v)
{
	if (s->hlc == v->hlc && dot_equal(s->dot, v->dot) && !s->level) {
		buf_put_u8(b, 0);
		return;
	}
	buf_put_u8(b, 1);
	buf_put_u64(b, s->hlc);
	put_dot(b, s->dot);
	buf_put_u64(b, (uint64_t)s->level);
}

static void put_time(struct buf *b, struct timespec t)
{
	buf_put_u64(b, (uint64_t)t.tv_sec);
	buf_put_u32(b, (uint32_t)t.tv_nsec);
}

static void put_entries(struct buf *b, const struct entry_name *e, size_t n)
{
	buf_put_varint(b, n);
	for (size_t i = 0; i < n; i++) {
		buf_put_u64(b, e[i].hlc);
		put_dot(b, e[i].dot);
		buf_put_u64(b, e[i].hash64);
	}
}

static void put_content(struct buf *b, const struct version *v)
{
	const struct content_value *c = &v->content;

	if (!(v->flags & VERSION_VOID)) {
		buf_put_u8(b, c->content.depth);
		buf_put_varint(b, c->content.size);
		if (c->content.depth)
			buf_put(b, c->content.root.b, sizeof(c->content.root.b));
		else
			buf_put_slice(b, c->content.inline_bytes);
	}
	put_time(b, c->mtime);
	put_stamp(b, &c->rank, v);
	if (dot_equal(c->branch, v->dot) && c->branch_hlc == v->hlc) {
		buf_put_u8(b, 0);
	} else {
		buf_put_u8(b, 1);
		put_dot(b, c->branch);
		buf_put_u64(b, c->branch_hlc);
	}
	buf_put_string(b, c->label);
	buf_put_string(b, slice_equal(c->author, c->label) ? SLICE(NULL, 0)
							   : c->author);
	put_entries(b, c->anc, c->anc_count);
	put_entries(b, c->seen, c->seen_count);
	buf_put_varint(b, c->leaves_count);
	for (size_t i = 0; i < c->leaves_count; i++)
		put_dot(b, c->leaves[i]);
}

static void put_value(struct buf *b, const struct version *v)
{
	switch (v->reg) {
	case REG_KIND:
		buf_put_u8(b, v->kind.kind);
		break;
	case REG_LINK:
		buf_put_u64(b, v->link.slot);
		put_place(b, &v->link.at);
		put_stamp(b, &v->link.since, v);
		buf_put_string(b, v->link.label);
		buf_put_u8(b, v->link.prev_count);
		for (int i = 0; i < v->link.prev_count; i++)
			put_place(b, &v->link.prev[i]);
		break;
	case REG_CONTENT:
		put_content(b, v);
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
		put_place(b, &v->tomb);
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
static void put_version(struct buf *b, const struct version *v)
{
	size_t at, len, n;

	buf_put_u8(b, v->reg);
	buf_put_u8(b, v->flags | (v->first_origin ? ENCODED_RENAMED : 0));
	if (v->first_origin)
		buf_put_u64(b, v->first_origin);
	at = b->len;
	put_value(b, v);
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

int object_encode(struct object *o, struct buf *ret)
{
	size_t start = ret->len, groups = 0;

	if (o->count > 1)
		qsort(o->versions, o->count, sizeof(*o->versions),
		      version_order);
	for (size_t i = 0; i < o->count; i++)
		if (!i || !same_op(&o->versions[i - 1], &o->versions[i]))
			groups++;
	buf_put_u8(ret, ROW_FORMAT);
	buf_put_varint(ret, groups);
	for (size_t i = 0, n; i < o->count; i += n) {
		const struct version *v = &o->versions[i];

		n = 1;
		while (i + n < o->count && same_op(v, v + n))
			n++;
		put_dot(ret, v->dot);
		buf_put_u64(ret, v->hlc);
		buf_put_varint(ret, n);
		for (size_t k = 0; k < n; k++)
			put_version(ret, v + k);
	}
	if (ret->len - start > ROW_BYTES_MAX || o->count > ROW_VERSIONS_MAX)
		return -E2BIG;
	return buf_error(ret);
}

/* ---- decoding of values */

static struct dot get_dot(struct reader *r)
{
	struct dot d;

	d.origin = reader_u64(r);
	d.seq = reader_varint(r);
	if (!d.origin || !d.seq)
		reader_fail(r);
	return d;
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

static struct stamp get_stamp(struct reader *r, const struct version *v)
{
	struct stamp s = { v->hlc, v->dot, 0 };
	uint8_t form = reader_u8(r);

	if (form > 1)
		reader_fail(r);
	if (form != 1)
		return s;
	s.hlc = reader_u64(r);
	s.dot = get_dot(r);
	s.level = (int64_t)reader_u64(r);
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

static struct entry_name *get_entries(struct reader *r, struct object *o,
				      size_t max, size_t *ret_count)
{
	uint64_t n = reader_varint(r);
	struct entry_name *e;

	*ret_count = 0;
	if (n > max)
		reader_fail(r);
	if (!n || r->failed)
		return NULL;
	e = object_alloc(o, n * sizeof(*e));
	for (uint64_t i = 0; e && i < n; i++) {
		e[i].hlc = reader_u64(r);
		e[i].dot = get_dot(r);
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

static void get_content(struct reader *r, struct object *o, struct version *v)
{
	struct content_value *c = &v->content;
	uint8_t form;
	uint64_t n;

	if (!(v->flags & VERSION_VOID))
		get_content_body(r, &c->content);
	c->mtime = get_time(r);
	c->rank = get_stamp(r, v);
	form = reader_u8(r);
	c->branch = v->dot;
	c->branch_hlc = v->hlc;
	if (form == 1) {
		c->branch = get_dot(r);
		c->branch_hlc = reader_u64(r);
	} else if (form) {
		reader_fail(r);
	}
	c->label = get_label(r);
	c->author = get_label(r);
	if (!c->author.len)
		c->author = c->label;
	c->anc = get_entries(r, o, ANCESTORS_MAX, &c->anc_count);
	c->seen = get_entries(r, o, SEEN_MAX, &c->seen_count);
	n = reader_varint(r);
	if (n > LEAVES_MAX)
		reader_fail(r);
	if (!n || r->failed)
		return;
	c->leaves = object_alloc(o, n * sizeof(*c->leaves));
	for (uint64_t i = 0; c->leaves && i < n; i++)
		c->leaves[i] = get_dot(r);
	c->leaves_count = c->leaves ? (size_t)n : 0;
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

static void get_value(struct reader *r, struct object *o, struct version *v)
{
	switch (v->reg) {
	case REG_KIND:
		v->kind.kind = reader_u8(r);
		if (v->kind.kind < KIND_FILE || v->kind.kind > KIND_SYMLINK)
			reader_fail(r);
		break;
	case REG_LINK:
		v->link.slot = reader_u64(r);
		v->link.at = get_place(r);
		v->link.since = get_stamp(r, v);
		v->link.label = get_label(r);
		v->link.prev_count = reader_u8(r);
		if (v->link.prev_count > LINK_PREV_MAX)
			reader_fail(r);
		for (int i = 0; !r->failed && i < v->link.prev_count; i++)
			v->link.prev[i] = get_place(r);
		break;
	case REG_CONTENT:
		get_content(r, o, v);
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
		v->tomb = get_place(r);
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

static int decode_group(struct reader *r, struct object *o)
{
	struct version head = { .dot = get_dot(r) };
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
		get_value(&in, o, &v);
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

int object_decode(struct slice row, struct object *ret)
{
	struct slice own;
	struct reader in;
	uint64_t groups;
	int r = 0;

	object_release(ret);
	if (row.len > ROW_BYTES_MAX)
		return -EBADMSG;
	own = object_dup(ret, row);
	if (!own.data)
		return -ENOMEM;
	in = READER(own.data, own.len);
	if (reader_u8(&in) != ROW_FORMAT)
		reader_fail(&in);
	groups = reader_varint(&in);
	if (groups > ROW_VERSIONS_MAX)
		reader_fail(&in);
	for (uint64_t i = 0; !r && i < groups; i++)
		r = decode_group(&in, ret);
	if (!r)
		r = reader_done(&in);
	if (r)
		object_release(ret);
	return r;
}
