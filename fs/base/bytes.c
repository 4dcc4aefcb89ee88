/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/base/bytes.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool slice_equal(struct slice a, struct slice b)
{
	return a.len == b.len && (!a.len || !memcmp(a.data, b.data, a.len));
}

bool slice_has_prefix(struct slice s, const char *prefix)
{
	size_t len = strlen(prefix);

	return s.len >= len && !memcmp(s.data, prefix, len);
}

bool slice_take_prefix(struct slice *s, const char *prefix)
{
	size_t len = strlen(prefix);

	if (!slice_has_prefix(*s, prefix))
		return false;
	*s = SLICE(s->data + len, s->len - len);
	return true;
}

int slice_compare(struct slice a, struct slice b)
{
	size_t n = MIN_OF(a.len, b.len);
	int r = n ? memcmp(a.data, b.data, n) : 0;

	if (r)
		return r;
	return (a.len > b.len) - (a.len < b.len);
}

void reader_fail(struct reader *r)
{
	r->failed = true;
	r->at = r->end;
}

size_t reader_left(const struct reader *r)
{
	return (size_t)(r->end - r->at);
}

struct slice reader_bytes(struct reader *r, size_t len)
{
	struct slice s;

	if (r->failed || reader_left(r) < len) {
		reader_fail(r);
		return SLICE(NULL, 0);
	}
	s = SLICE(r->at, len);
	r->at += len;
	return s;
}

void reader_copy(struct reader *r, void *ret, size_t len)
{
	struct slice s = reader_bytes(r, len);

	if (!len)
		return;
	if (s.data)
		memcpy(ret, s.data, len);
	else
		memset(ret, 0, len);
}

static uint64_t reader_le(struct reader *r, size_t len)
{
	struct slice s = reader_bytes(r, len);
	uint64_t v = 0;

	for (size_t i = s.len; i-- > 0;)
		v = v << 8 | s.data[i];
	return v;
}

uint8_t reader_u8(struct reader *r)
{
	return (uint8_t)reader_le(r, 1);
}

uint16_t reader_u16(struct reader *r)
{
	return (uint16_t)reader_le(r, 2);
}

uint32_t reader_u32(struct reader *r)
{
	return (uint32_t)reader_le(r, 4);
}

uint64_t reader_u64(struct reader *r)
{
	return reader_le(r, 8);
}

uint64_t reader_varint(struct reader *r)
{
	uint64_t v = 0;

	for (unsigned int shift = 0; shift < 70; shift += 7) {
		uint8_t b = reader_u8(r);

		if (r->failed)
			return 0;
		if (shift == 63 && b > 1)
			break;
		v |= (uint64_t)(b & 0x7f) << shift;
		if (b & 0x80)
			continue;
		if (shift && !b)
			break; /* not the shortest form */
		return v;
	}
	reader_fail(r);
	return 0;
}

struct slice reader_string(struct reader *r, size_t max)
{
	uint64_t len = reader_varint(r);

	if (len > max) {
		reader_fail(r);
		return SLICE(NULL, 0);
	}
	return reader_bytes(r, (size_t)len);
}

int reader_ok(const struct reader *r)
{
	return r->failed ? -EBADMSG : 0;
}

int reader_done(const struct reader *r)
{
	return r->failed || r->at != r->end ? -EBADMSG : 0;
}

void buf_init(struct buf *b)
{
	*b = BUF_INIT;
}

void buf_release(struct buf *b)
{
	free(b->data);
	*b = BUF_INIT;
}

void buf_reset(struct buf *b)
{
	b->len = 0;
	b->failed = false;
}

uint8_t *buf_extend(struct buf *b, size_t len)
{
	uint8_t *at;

	if (b->failed)
		return NULL;
	if (len > SIZE_MAX / 4 - b->len) {
		b->failed = true;
		return NULL;
	}
	if (b->len + len > b->alloc) {
		size_t alloc = MAX_OF(b->alloc + b->alloc / 2, b->len + len);
		uint8_t *data = realloc(b->data, MAX_OF(alloc, (size_t)64));

		if (!data) {
			b->failed = true;
			return NULL;
		}
		b->data = data;
		b->alloc = MAX_OF(alloc, (size_t)64);
	}
	at = b->data + b->len;
	b->len += len;
	return at;
}

void buf_put(struct buf *b, const void *data, size_t len)
{
	uint8_t *at = buf_extend(b, len);

	if (at && len)
		memcpy(at, data, len);
}

void buf_put_slice(struct buf *b, struct slice s)
{
	buf_put(b, s.data, s.len);
}

static void buf_put_le(struct buf *b, uint64_t v, size_t len)
{
	uint8_t *at = buf_extend(b, len);

	for (size_t i = 0; at && i < len; i++, v >>= 8)
		at[i] = (uint8_t)v;
}

void buf_put_u8(struct buf *b, uint8_t v)
{
	buf_put_le(b, v, 1);
}

void buf_put_u16(struct buf *b, uint16_t v)
{
	buf_put_le(b, v, 2);
}

void buf_put_u32(struct buf *b, uint32_t v)
{
	buf_put_le(b, v, 4);
}

void buf_put_u64(struct buf *b, uint64_t v)
{
	buf_put_le(b, v, 8);
}

void buf_put_varint(struct buf *b, uint64_t v)
{
	uint8_t tmp[10];
	size_t n = 0;

	while (v >= 0x80) {
		tmp[n++] = (uint8_t)(v | 0x80);
		v >>= 7;
	}
	tmp[n++] = (uint8_t)v;
	buf_put(b, tmp, n);
}

void buf_put_string(struct buf *b, struct slice s)
{
	buf_put_varint(b, s.len);
	buf_put_slice(b, s);
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list ap;
	int n;
	uint8_t *at;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0 || !(at = buf_extend(b, (size_t)n + 1))) {
		b->failed = true;
		return;
	}
	va_start(ap, fmt);
	vsnprintf((char *)at, (size_t)n + 1, fmt, ap);
	va_end(ap);
	b->len--; /* the NUL stays behind the end */
}

void buf_patch_u32(struct buf *b, size_t at, uint32_t v)
{
	if (b->failed)
		return;
	kin_assert(at + 4 <= b->len);
	put_le32(b->data + at, v);
}

struct slice buf_slice(const struct buf *b)
{
	return SLICE(b->data, b->len);
}

int buf_error(const struct buf *b)
{
	return b->failed ? -ENOMEM : 0;
}

void put_be64(uint8_t *ret, uint64_t v)
{
	for (int i = 7; i >= 0; i--, v >>= 8)
		ret[i] = (uint8_t)v;
}

uint64_t get_be64(const uint8_t *p)
{
	uint64_t v = 0;

	for (int i = 0; i < 8; i++)
		v = v << 8 | p[i];
	return v;
}

void put_be32(uint8_t *ret, uint32_t v)
{
	for (int i = 3; i >= 0; i--, v >>= 8)
		ret[i] = (uint8_t)v;
}

uint32_t get_be32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 |
	       (uint32_t)p[2] << 8 | p[3];
}

void put_le32(uint8_t *ret, uint32_t v)
{
	for (int i = 0; i < 4; i++, v >>= 8)
		ret[i] = (uint8_t)v;
}

uint32_t get_le32(const uint8_t *p)
{
	return (uint32_t)p[3] << 24 | (uint32_t)p[2] << 16 |
	       (uint32_t)p[1] << 8 | p[0];
}

void put_le64(uint8_t *ret, uint64_t v)
{
	for (int i = 0; i < 8; i++, v >>= 8)
		ret[i] = (uint8_t)v;
}

uint64_t get_le64(const uint8_t *p)
{
	return (uint64_t)get_le32(p + 4) << 32 | get_le32(p);
}
