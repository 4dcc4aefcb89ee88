/* SPDX-License-Identifier: Apache-2.0 */
#include "replication/core/marks.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- at a K */

void heads_release(struct heads *h)
{
	free(h->marks);
	free(h->births);
	*h = (struct heads){.marks = NULL};
}

static int heads_alloc(struct heads *h, size_t marks, size_t births)
{
	*h = (struct heads){.marks = calloc(marks + 1, sizeof(*h->marks)),
			    .births = calloc(births + 1, sizeof(*h->births))};
	if (h->marks && h->births)
		return 0;
	heads_release(h);
	return -ENOMEM;
}

int heads_take(struct tree *t, const struct know *k, struct heads *ret)
{
	const struct birth *births;
	struct heads h;
	size_t count;
	int r;

	births = chain_births(t, &count);
	r = heads_alloc(&h, k->count, count);
	for (size_t i = 0; r == 0 && i < k->count; i++)
		r = chain_get(t, k->entries[i], &h.marks[i]);
	for (size_t i = 0; r == 0 && i < count; i++)
		if (know_get(k, births[i].alias))
			h.births[h.birth_count++] = births[i];
	if (r < 0) {
		heads_release(&h);
		return r;
	}
	heads_release(ret);
	*ret = h;
	return 0;
}

void heads_encode(const struct heads *h, size_t count, struct buf *b)
{
	for (size_t i = 0; i < count; i++)
		buf_put_u32(b, h->marks ? h->marks[i] : 0);
	buf_put_varint(b, h->birth_count);
	for (size_t i = 0; i < h->birth_count; i++) {
		buf_put_u64(b, h->births[i].alias);
		buf_put_u64(b, h->births[i].root);
		buf_put_varint(b, h->births[i].first);
		buf_put_u32(b, h->births[i].mark);
	}
}

int heads_decode(struct reader *r, const struct know *k, struct heads *ret)
{
	uint64_t births;
	struct heads h;
	int e;

	if (reader_left(r) < k->count * sizeof(mark_t))
		return -EBADMSG;
	e = heads_alloc(&h, k->count, k->count);
	if (e < 0)
		return e;
	for (size_t i = 0; i < k->count; i++)
		h.marks[i] = reader_u32(r);
	births = reader_varint(r);
	if (births > k->count)
		reader_fail(r);
	for (uint64_t i = 0; !r->failed && i < births; i++) {
		struct birth *b = &h.births[h.birth_count++];

		b->alias = reader_u64(r);
		b->root = reader_u64(r);
		b->first = reader_varint(r);
		b->mark = reader_u32(r);
		if (!birth_is_valid(b) ||
		    know_get(k, b->alias) < b->first)
			reader_fail(r);
	}
	e = reader_ok(r);
	if (e < 0) {
		heads_release(&h);
		return e;
	}
	heads_release(ret);
	*ret = h;
	return 0;
}

/* ---- runs */

uint64_t run_end(const struct mark_run *m)
{
	return m->after + m->skip + m->count;
}

int run_take(struct tree *t, uint64_t origin, uint64_t after, uint64_t last,
	     struct mark_run *ret)
{
	uint64_t first;
	size_t max;
	int r = chain_next(t, (struct dot){origin, after}, &first);

	ret->origin = origin;
	ret->after = after;
	ret->count = 0;
	ret->skip = 0;
	if (r == 0)
		r = chain_get(t, (struct dot){origin, after}, &ret->before);
	if (r < 0 || !first || first > last)
		return r;
	ret->skip = first - after - 1;
	max = (size_t)MIN_OF(last - first + 1, (uint64_t)RUN_MARKS_MAX);
	r = chain_read(t, origin, first - 1, ret->marks, max);
	while (r == 0 && ret->count < max && ret->marks[ret->count])
		ret->count++;
	return r;
}

void run_encode(const struct mark_run *m, struct buf *b)
{
	buf_put_u64(b, m->origin);
	buf_put_varint(b, m->after);
	buf_put_u32(b, m->before);
	buf_put_varint(b, m->skip);
	buf_put_varint(b, m->count);
	for (size_t i = 0; i < m->count; i++)
		buf_put_u32(b, m->marks[i]);
}

int run_decode(struct reader *r, struct mark_run *ret)
{
	uint64_t count;

	ret->origin = reader_u64(r);
	ret->after = reader_varint(r);
	ret->before = reader_u32(r);
	ret->skip = reader_varint(r);
	count = reader_varint(r);
	if (r->failed || !ret->origin || !count || count > RUN_MARKS_MAX ||
	    !ret->after != !ret->before || ret->after > RUN_END_MAX ||
	    ret->skip > RUN_END_MAX - ret->after ||
	    count > RUN_END_MAX - ret->after - ret->skip) {
		reader_fail(r);
		return -EBADMSG;
	}
	ret->count = (size_t)count;
	for (size_t i = 0; i < ret->count; i++) {
		ret->marks[i] = reader_u32(r);
		if (!ret->marks[i])
			reader_fail(r);
	}
	return reader_ok(r);
}
