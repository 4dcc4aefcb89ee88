/* SPDX-License-Identifier: Apache-2.0 */
/* Bits, and a list of segments in which the one used last is looked at
 * first: neighbouring bytes are the common case. */
#include "fs/store/used.h"

#include <errno.h>
#include <stdlib.h>

#define WORD_BITS 64u

void used_release(struct used_map *m)
{
	for (size_t i = 0; i < m->count; i++)
		free(m->list[i].bits);
	free(m->list);
	*m = (struct used_map){0};
}

static uint64_t blocks_of(uint64_t bytes)
{
	return bytes / USED_BLOCK_BYTES + (bytes % USED_BLOCK_BYTES != 0);
}

int used_add(struct used_map *m, uint32_t number, uint64_t length,
	      uint64_t bytes, uint64_t allocated)
{
	struct used_segment *s;

	if (m->count == m->alloc) {
		size_t alloc = MAX_OF(2 * m->alloc, (size_t)16);
		void *p = reallocarray(m->list, alloc, sizeof(*m->list));

		if (!p)
			return -ENOMEM;
		m->list = p;
		m->alloc = alloc;
	}
	s = &m->list[m->count];
	*s = (struct used_segment){.number = number,
				     .length = length,
				     .bytes = bytes,
				     .allocated = allocated};
	s->bits = calloc(blocks_of(bytes) / WORD_BITS + 1, sizeof(*s->bits));
	if (!s->bits)
		return -ENOMEM;
	m->count++;
	return 0;
}

static int segment_order(const void *pa, const void *pb)
{
	const struct used_segment *a = pa, *b = pb;

	return a->number < b->number ? -1 : a->number > b->number;
}

void used_sort(struct used_map *m)
{
	if (m->count)
		qsort(m->list, m->count, sizeof(*m->list), segment_order);
}

struct used_segment *used_find(struct used_map *m, uint32_t number)
{
	size_t low = 0, high = m->count;

	if (m->last < m->count && m->list[m->last].number == number)
		return &m->list[m->last];
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (m->list[middle].number < number)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == m->count || m->list[low].number != number)
		return NULL;
	m->last = low;
	return &m->list[low];
}

static bool is_inside(const struct used_segment *s, uint64_t offset,
		      uint64_t len)
{
	return len <= s->bytes && offset <= s->bytes - len;
}

bool used_set(struct used_map *m, struct data_loc loc, uint64_t len)
{
	struct used_segment *s = used_find(m, loc.segment);

	if (!s || !is_inside(s, loc.offset, len))
		return false;
	for (uint64_t b = loc.offset / USED_BLOCK_BYTES;
	     b < blocks_of(loc.offset + len); b++)
		s->bits[b / WORD_BITS] |= 1ull << b % WORD_BITS;
	return true;
}

static bool is_marked(const struct used_segment *s, uint64_t block)
{
	return s->bits[block / WORD_BITS] >> block % WORD_BITS & 1;
}

bool used_has(struct used_map *m, struct data_loc loc, uint64_t len)
{
	const struct used_segment *s = used_find(m, loc.segment);

	if (!s || !is_inside(s, loc.offset, len))
		return true;
	for (uint64_t b = loc.offset / USED_BLOCK_BYTES;
	     b < blocks_of(loc.offset + len); b++)
		if (!is_marked(s, b))
			return false;
	return true;
}

uint64_t used_count(const struct used_segment *s)
{
	uint64_t n = 0;

	for (uint64_t i = 0; i <= blocks_of(s->bytes) / WORD_BITS; i++)
		n += (uint64_t)__builtin_popcountll(s->bits[i]);
	return n;
}

bool used_gap(const struct used_segment *s, uint64_t from, uint64_t end,
	       uint64_t *ret_from, uint64_t *ret_to)
{
	uint64_t b = blocks_of(from), n = blocks_of(MIN_OF(end, s->bytes)),
		 first;

	while (b < n && is_marked(s, b))
		b++;
	first = b;
	while (b < n && !is_marked(s, b))
		b++;
	if (first == b)
		return false;
	*ret_from = first * USED_BLOCK_BYTES;
	*ret_to = b * USED_BLOCK_BYTES;
	return true;
}
