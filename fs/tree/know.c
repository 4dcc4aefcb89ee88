/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/tree/know.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void know_release(struct know *k)
{
	free(k->entries);
	*k = KNOW_INIT;
}

void know_clear(struct know *k)
{
	k->count = 0;
}

/* Index of the first entry whose origin is not less. */
static size_t know_seek(const struct know *k, uint64_t origin)
{
	size_t lo = 0, hi = k->count;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (k->entries[mid].origin < origin)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

uint64_t know_get(const struct know *k, uint64_t origin)
{
	size_t i = know_seek(k, origin);

	if (i < k->count && k->entries[i].origin == origin)
		return k->entries[i].seq;
	return 0;
}

static int know_reserve(struct know *k, size_t count)
{
	struct dot *entries;
	size_t alloc;

	if (count > ORIGINS_MAX)
		return -E2BIG;
	if (count <= k->alloc)
		return 0;
	alloc = MAX_OF(count, k->alloc * 2);
	entries = realloc(k->entries, alloc * sizeof(*entries));
	if (!entries)
		return -ENOMEM;
	k->entries = entries;
	k->alloc = alloc;
	return 0;
}

int know_set(struct know *k, uint64_t origin, uint64_t seq)
{
	size_t i = know_seek(k, origin);
	bool found = i < k->count && k->entries[i].origin == origin;
	int r;

	if (found && seq) {
		k->entries[i].seq = seq;
		return 0;
	}
	if (found) {
		memmove(k->entries + i, k->entries + i + 1,
			(k->count - i - 1) * sizeof(*k->entries));
		k->count--;
		return 0;
	}
	if (!seq)
		return 0;
	r = know_reserve(k, k->count + 1);
	if (r)
		return r;
	memmove(k->entries + i + 1, k->entries + i,
		(k->count - i) * sizeof(*k->entries));
	k->entries[i] = (struct dot){ origin, seq };
	k->count++;
	return 0;
}

int know_copy(struct know *ret, const struct know *from)
{
	int r = know_reserve(ret, from->count);

	if (r)
		return r;
	if (from->count)
		memcpy(ret->entries, from->entries,
		       from->count * sizeof(*from->entries));
	ret->count = from->count;
	return 0;
}

int know_join(struct know *into, const struct know *from)
{
	for (size_t i = 0; i < from->count; i++) {
		const struct dot *d = &from->entries[i];
		int r;

		if (know_get(into, d->origin) >= d->seq)
			continue;
		r = know_set(into, d->origin, d->seq);
		if (r)
			return r;
	}
	return 0;
}

void know_meet(struct know *into, const struct know *with)
{
	size_t kept = 0;

	for (size_t i = 0; i < into->count; i++) {
		struct dot d = into->entries[i];

		d.seq = MIN_OF(d.seq, know_get(with, d.origin));
		if (d.seq)
			into->entries[kept++] = d;
	}
	into->count = kept;
}

bool know_covers(const struct know *k, struct dot d)
{
	return know_get(k, d.origin) >= d.seq;
}

bool know_leq(const struct know *a, const struct know *b)
{
	for (size_t i = 0; i < a->count; i++)
		if (!know_covers(b, a->entries[i]))
			return false;
	return true;
}

bool know_equal(const struct know *a, const struct know *b)
{
	return know_leq(a, b) && know_leq(b, a);
}

uint64_t know_lag(const struct know *a, const struct know *b)
{
	uint64_t lag = 0;

	for (size_t i = 0; i < a->count; i++) {
		uint64_t has = know_get(b, a->entries[i].origin);

		if (has < a->entries[i].seq)
			lag += a->entries[i].seq - has;
	}
	return lag;
}

void know_encode(const struct know *k, struct buf *b)
{
	buf_put_varint(b, k->count);
	for (size_t i = 0; i < k->count; i++) {
		buf_put_u64(b, k->entries[i].origin);
		buf_put_varint(b, k->entries[i].seq);
	}
}

int know_decode(struct reader *r, struct know *ret)
{
	uint64_t count = reader_varint(r);
	int e;

	know_clear(ret);
	if (count > ORIGINS_MAX)
		return -E2BIG;
	for (uint64_t i = 0; i < count; i++) {
		uint64_t origin = reader_u64(r);
		uint64_t seq = reader_varint(r);

		if (r->failed || !seq || !origin ||
		    (ret->count &&
		     ret->entries[ret->count - 1].origin >= origin)) {
			reader_fail(r);
			return -EBADMSG;
		}
		e = know_set(ret, origin, seq);
		if (e)
			return e;
	}
	return reader_ok(r);
}
