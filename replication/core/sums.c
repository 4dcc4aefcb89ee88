/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bytes of VERIFY, and what the bodies of SUMS have in common. The lists
 * of SUMS are read where they are compared (locate.c): they may be long, and
 * are not copied.
 */
#include "replication/core/sums.h"

#include <errno.h>
#include <string.h>

#include "fs/base/hash.h"

#define VERIFY_ASK 1

int know_mark(const struct know *k, struct hash *ret)
{
	cleanup(buf_release) struct buf b = BUF_INIT;
	int r;

	know_encode(k, &b);
	r = buf_error(&b);
	if (r == 0)
		hash_bytes(b.data, b.len, ret);
	return r;
}

void verify_encode(const struct verify *v, struct buf *b)
{
	buf_put(b, v->mark.b, sizeof(v->mark.b));
	buf_put_u8(b, v->level);
	if (v->level == SUMS_ROOT) {
		buf_put_u8(b, v->ask ? VERIFY_ASK : 0);
		sum_encode(&v->root, b);
		return;
	}
	buf_put_varint(b, v->count);
	for (size_t i = 0; i < v->count; i++) {
		if (v->level == SUMS_LEAVES)
			buf_put_u8(b, v->parents[i]);
		else if (v->level == SUMS_OBJECTS)
			buf_put_u16(b, v->leaves[i]);
		else
			buf_put(b, v->ids[i].b, sizeof(v->ids[i].b));
	}
}

static size_t verify_max(uint8_t level)
{
	switch (level) {
	case SUMS_LEAVES:
		return VERIFY_PARENTS_MAX;
	case SUMS_OBJECTS:
		return VERIFY_LEAVES_MAX;
	case SUMS_ROWS:
		return VERIFY_ROWS_MAX;
	}
	return 0;
}

static void verify_decode_list(struct reader *r, struct verify *v)
{
	uint64_t count = reader_varint(r);

	if (count > verify_max(v->level) ||
	    (v->level != SUMS_PARENTS && !count)) {
		reader_fail(r);
		return;
	}
	v->count = (size_t)count;
	for (size_t i = 0; i < v->count; i++) {
		if (v->level == SUMS_LEAVES)
			v->parents[i] = reader_u8(r);
		else if (v->level == SUMS_OBJECTS)
			v->leaves[i] = reader_u16(r);
		else
			reader_copy(r, v->ids[i].b, sizeof(v->ids[i].b));
	}
}

int verify_decode(struct reader *r, struct verify *ret)
{
	memset(ret, 0, sizeof(*ret));
	reader_copy(r, ret->mark.b, sizeof(ret->mark.b));
	ret->level = reader_u8(r);
	if (ret->level == SUMS_ROOT) {
		ret->ask = reader_u8(r) & VERIFY_ASK;
		sum_decode(r, &ret->root);
	} else if (ret->level <= SUMS_ROWS) {
		verify_decode_list(r, ret);
	} else {
		reader_fail(r);
	}
	return reader_ok(r);
}

void sums_encode_head(const struct hash *mark, enum sums_level level,
		      struct buf *b)
{
	buf_put(b, mark->b, sizeof(mark->b));
	buf_put_u8(b, (uint8_t)level);
}

int sums_decode_head(struct reader *r, struct hash *ret_mark,
		     uint8_t *ret_level)
{
	reader_copy(r, ret_mark->b, sizeof(ret_mark->b));
	*ret_level = reader_u8(r);
	if (*ret_level < SUMS_PARENTS || *ret_level > SUMS_ROWS)
		reader_fail(r);
	return reader_ok(r);
}

void sums_encode(const struct sum *s, size_t count, struct buf *b)
{
	for (size_t i = 0; i < count; i++)
		sum_encode(&s[i], b);
}

void sums_decode(struct reader *r, struct sum *ret, size_t count)
{
	for (size_t i = 0; i < count; i++)
		sum_decode(r, &ret[i]);
}
