/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bytes of frames. Each frame has one encoder and one decoder, side by
 * side, so that a difference shows. A decoder reads all fields with the
 * sticky reader and checks once; lengths are checked against their limits
 * before anything is allocated for them.
 */
#include "replication/core/wire.h"

#include <errno.h>
#include <string.h>

#define FRAME_HEAD_BYTES 4
#define HASH_SHA256 1
#define NAMES_EXACT 0

void frame_begin(struct buf *b, enum frame_type type)
{
	buf_reset(b);
	buf_put_u32(b, 0);
	buf_put_u8(b, (uint8_t)type);
}

int frame_end(struct buf *b)
{
	int r = buf_error(b);

	if (r < 0)
		return r;
	if (b->len - FRAME_HEAD_BYTES > FRAME_BYTES_MAX)
		return -E2BIG;
	buf_patch_u32(b, 0, (uint32_t)(b->len - FRAME_HEAD_BYTES));
	return 0;
}

/* ---- HELLO */

void hello_init(struct hello *h)
{
	*h = (struct hello){
		.proto_min = PROTO_MIN,
		.proto_max = PROTO_MAX,
		.hash = HASH_SHA256,
		.names = NAMES_EXACT,
		.chunk_min = CHUNK_BYTES_MIN,
		.chunk_avg = CHUNK_BYTES_AVG,
		.chunk_max = CHUNK_BYTES_MAX,
		.inline_max = INLINE_BYTES_MAX,
	};
}

void hello_encode(const struct hello *h, struct buf *b)
{
	buf_put_u16(b, h->proto_min);
	buf_put_u16(b, h->proto_max);
	buf_put_u64(b, h->features);
	buf_put(b, h->volume.b, sizeof(h->volume.b));
	buf_put(b, h->device.b, sizeof(h->device.b));
	buf_put_u64(b, h->origin);
	buf_put_u64(b, h->wall_ms);
	buf_put_u8(b, h->hash);
	buf_put_u8(b, h->names);
	buf_put_u32(b, h->chunk_min);
	buf_put_u32(b, h->chunk_avg);
	buf_put_u32(b, h->chunk_max);
	buf_put_u32(b, h->inline_max);
}

int hello_decode(struct reader *r, struct hello *ret)
{
	struct hello h = {0};

	h.proto_min = reader_u16(r);
	h.proto_max = reader_u16(r);
	h.features = reader_u64(r);
	reader_copy(r, h.volume.b, sizeof(h.volume.b));
	reader_copy(r, h.device.b, sizeof(h.device.b));
	h.origin = reader_u64(r);
	h.wall_ms = reader_u64(r);
	h.hash = reader_u8(r);
	h.names = reader_u8(r);
	h.chunk_min = reader_u32(r);
	h.chunk_avg = reader_u32(r);
	h.chunk_max = reader_u32(r);
	h.inline_max = reader_u32(r);
	if (h.proto_min > h.proto_max)
		reader_fail(r);
	if (reader_ok(r) < 0)
		return -EBADMSG;
	*ret = h;
	return 0;
}

int hello_refuse(const struct hello *mine, const struct hello *theirs)
{
	if (theirs->proto_min > mine->proto_max ||
	    theirs->proto_max < mine->proto_min)
		return BYE_VERSION;
	if (!volid_equal(theirs->volume, mine->volume))
		return BYE_VOLUME;
	if (theirs->hash != mine->hash || theirs->names != mine->names ||
	    theirs->chunk_min != mine->chunk_min ||
	    theirs->chunk_avg != mine->chunk_avg ||
	    theirs->chunk_max != mine->chunk_max ||
	    theirs->inline_max != mine->inline_max)
		return BYE_FORMAT;
	if (theirs->origin == mine->origin)
		return BYE_FORK;
	return 0;
}

/* ---- STREAM, RESUME */

void stream_encode(const struct stream *s, struct buf *b)
{
	buf_put_u64(b, s->life);
	buf_put_varint(b, s->after);
}

int stream_decode(struct reader *r, struct stream *ret)
{
	ret->life = reader_u64(r);
	ret->after = reader_varint(r);
	return reader_ok(r);
}

void resume_release(struct resume *r)
{
	know_release(&r->k);
}

void resume_encode(const struct resume *s, struct buf *b)
{
	buf_put_u64(b, s->life);
	buf_put_varint(b, s->position);
	buf_put_u8(b, s->complete);
	if (s->complete)
		know_encode(&s->k, b);
}

int resume_decode(struct reader *r, struct resume *ret)
{
	struct resume s = {.k = KNOW_INIT};
	uint8_t complete;
	int e;

	s.life = reader_u64(r);
	s.position = reader_varint(r);
	complete = reader_u8(r);
	e = reader_ok(r) < 0 || complete > 1 ? -EBADMSG : 0;
	s.complete = complete;
	if (e == 0 && complete)
		e = know_decode(r, &s.k);
	if (e < 0) {
		resume_release(&s);
		return e;
	}
	*ret = s;
	return 0;
}

/* ---- CUT */

void cut_release(struct cut *c)
{
	know_release(&c->k);
	know_release(&c->g);
	heads_release(&c->heads);
}

void cut_encode(const struct cut *c, struct buf *b)
{
	know_encode(&c->k, b);
	buf_put_varint(b, c->rows);
	buf_put_u64(b, c->hlc);
	buf_put_u8(b, c->flags);
	if (c->flags & CUT_FULL) {
		know_encode(&c->g, b);
		buf_put_varint(b, c->objects);
	}
	heads_encode(&c->heads, c->k.count, b);
}

int cut_decode(struct reader *r, struct cut *ret)
{
	struct cut c = {.k = KNOW_INIT, .g = KNOW_INIT};
	int e = know_decode(r, &c.k);

	if (e == 0) {
		c.rows = reader_varint(r);
		c.hlc = reader_u64(r);
		c.flags = reader_u8(r);
		e = reader_ok(r);
	}
	if (e == 0 && c.flags & CUT_FULL) {
		e = know_decode(r, &c.g);
		c.objects = reader_varint(r);
	}
	if (e == 0)
		e = heads_decode(r, &c.k, &c.heads);
	if (e < 0) {
		cut_release(&c);
		return e;
	}
	*ret = c;
	return 0;
}

/* ---- ASK, TELL */

void ask_encode(const struct ask *a, struct buf *b)
{
	buf_put_u64(b, a->origin);
	buf_put_varint(b, a->after);
	buf_put_varint(b, a->count);
	for (size_t i = 0; i < a->count; i++)
		buf_put_varint(b, a->numbers[i]);
}

int ask_decode(struct reader *r, struct ask *ret)
{
	uint64_t count;

	ret->origin = reader_u64(r);
	ret->after = reader_varint(r);
	count = reader_varint(r);
	if (count > ASK_NUMBERS_MAX || !ret->origin)
		return -EBADMSG;
	ret->count = (size_t)count;
	for (size_t i = 0; i < ret->count; i++)
		ret->numbers[i] = reader_varint(r);
	return reader_ok(r);
}

void tell_encode(const struct tell *t, struct buf *b)
{
	buf_put_u64(b, t->origin);
	buf_put_varint(b, t->after);
	buf_put_varint(b, t->next);
	buf_put_u32(b, t->next_mark);
	buf_put_varint(b, t->count);
	for (size_t i = 0; i < t->count; i++)
		buf_put_u32(b, t->marks[i]);
}

int tell_decode(struct reader *r, struct tell *ret)
{
	uint64_t count;

	ret->origin = reader_u64(r);
	ret->after = reader_varint(r);
	ret->next = reader_varint(r);
	ret->next_mark = reader_u32(r);
	count = reader_varint(r);
	if (count > ASK_NUMBERS_MAX || !ret->next != !ret->next_mark)
		return -EBADMSG;
	ret->count = (size_t)count;
	for (size_t i = 0; i < ret->count; i++)
		ret->marks[i] = reader_u32(r);
	return reader_ok(r);
}

/* ---- WANT, NOHAVE */

void hash_list_encode(const struct hash_list *l, struct buf *b)
{
	buf_put_varint(b, l->count);
	for (size_t i = 0; i < l->count; i++)
		buf_put(b, l->hash[i].b, sizeof(l->hash[i].b));
}

int hash_list_decode(struct reader *r, struct hash_list *ret)
{
	uint64_t count = reader_varint(r);

	if (count > WANT_HASHES_MAX)
		return -EBADMSG;
	ret->count = (size_t)count;
	for (size_t i = 0; i < ret->count; i++)
		reader_copy(r, ret->hash[i].b, sizeof(ret->hash[i].b));
	return reader_ok(r);
}

/* ---- CHUNK */

void chunk_frame_encode(const struct chunk_frame *c, struct buf *b)
{
	buf_put(b, c->hash.b, sizeof(c->hash.b));
	buf_put_u8(b, c->flags);
	buf_put_u32(b, c->len);
	buf_put_slice(b, c->bytes);
}

int chunk_frame_decode(struct reader *r, struct chunk_frame *ret)
{
	struct chunk_frame c = {0};

	reader_copy(r, c.hash.b, sizeof(c.hash.b));
	c.flags = reader_u8(r);
	c.len = reader_u32(r);
	c.bytes = reader_bytes(r, reader_left(r));
	if (reader_ok(r) < 0 || !c.len || c.len > CHUNK_BYTES_MAX ||
	    (c.flags & ~CHUNK_ZSTD) ||
	    (!(c.flags & CHUNK_ZSTD) && c.bytes.len != c.len))
		return -EBADMSG;
	*ret = c;
	return 0;
}

/* ---- BYE */

void bye_encode(const struct bye *b, struct buf *out)
{
	buf_put_u16(out, b->code);
	buf_put_string(out, SLICE(b->text, strlen(b->text)));
}

int bye_decode(struct reader *r, struct bye *ret)
{
	struct bye b = {.code = reader_u16(r)};
	struct slice text = reader_string(r, BYE_TEXT_MAX);

	if (reader_ok(r) < 0)
		return -EBADMSG;
	/* It ends up in our log: nothing but printable ASCII. */
	for (size_t i = 0; i < text.len; i++)
		b.text[i] = text.data[i] >= ' ' && text.data[i] < 0x7f
				    ? (char)text.data[i]
				    : '?';
	*ret = b;
	return 0;
}

/* ---- records */

void rec_encode(const struct rec *rec, struct buf *b)
{
	buf_put(b, rec->id.b, sizeof(rec->id.b));
	buf_put_string(b, rec->row);
}

bool rec_next(struct reader *r, struct rec *ret)
{
	if (reader_ok(r) < 0 || !reader_left(r))
		return false;
	reader_copy(r, ret->id.b, sizeof(ret->id.b));
	ret->row = reader_string(r, ROW_BYTES_MAX);
	return reader_ok(r) == 0;
}
