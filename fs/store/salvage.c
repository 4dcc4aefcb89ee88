/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Segments are taken in groups: the chunk table is walked once for each
 * group, since all that it names may be more than memory holds.
 */
#include "fs/store/salvage.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/base/hash.h"
#include "fs/store/chunker.h"
#include "fs/store/manifest.h"
#include "fs/store/reclaim_internal.h"
#include "fs/store/segment.h"

/* Segments of a group: 16 GiB, some MiB of spans. */
#define GROUP_SEGMENTS 64u
/* Entries of the table looked at in one hold of the lock. */
#define STEP_ENTRIES 128
/* Hashed at most to find what ends where a gap ends: many lengths may be
 * looked for. */
#define BACKWARD_BYTES (64u << 20)

struct wanted {
	struct hash hash;
	uint32_t len; /* 0: not known */
	bool found;
};

struct span {
	uint32_t segment;
	uint64_t from, to;
};

struct spans {
	struct span *list;
	size_t count, alloc;
};

enum phase { PHASE_BEGIN, PHASE_SPANS, PHASE_GAPS, PHASE_BLOCKS };

struct salvage {
	struct store *store;
	int (*found)(void *arg, const struct hash *, struct slice bytes);
	void *arg;
	struct wanted *wanted;
	size_t count, alloc;
	size_t sorted;		/* by hash; those behind wait for a pass */
	size_t left;		/* of those */
	uint32_t *lengths;	/* of them: ascending, each once */
	size_t length_count;
	bool blocks_wanted;
	struct spans used;	/* of the group, by entries */
	struct spans taken;	/* what was found, in all segments */
	enum phase phase;
	bool finds;		/* something, in this pass */
	uint32_t group;		/* its first segment */
	uint8_t key[STORE_KEY_BYTES_MAX + 1];
	size_t key_len;
	/* What is left of the gap in hand; the next span, and how far those
	 * before it reach. */
	struct span gap;
	size_t next;
	uint32_t segment;
	uint64_t reach;
	uint8_t *bytes;		/* CHUNK_BYTES_MAX */
};

/* ---- what is looked for */

static int wanted_order(const void *pa, const void *pb)
{
	const struct wanted *a = pa, *b = pb;

	return hash_compare(&a->hash, &b->hash);
}

static struct wanted *wanted_find(const struct salvage *v,
				  const struct hash *hash)
{
	struct wanted like = { .hash = *hash };

	return v->sorted ? bsearch(&like, v->wanted, v->sorted, sizeof(like),
				   wanted_order)
			 : NULL;
}

int salvage_want(struct salvage *v, const struct hash *hash, uint32_t len)
{
	kin_assert(len <= CHUNK_BYTES_MAX);
	if (v->count == v->alloc) {
		size_t alloc = v->alloc ? 2 * v->alloc : 64;
		void *p;

		if (v->count >= SALVAGE_WANTED_MAX)
			return 0;
		p = reallocarray(v->wanted, alloc, sizeof(*v->wanted));
		if (!p)
			return -ENOMEM;
		v->wanted = p;
		v->alloc = alloc;
	}
	v->wanted[v->count++] = (struct wanted){ .hash = *hash, .len = len };
	return 0;
}

static int length_order(const void *pa, const void *pb)
{
	uint32_t a = *(const uint32_t *)pa, b = *(const uint32_t *)pb;

	return (a > b) - (a < b);
}

/* Of what is to be found yet. */
static int lengths_note(struct salvage *v)
{
	size_t out = 0;
	void *p = reallocarray(v->lengths, MAX_OF(v->count, (size_t)1),
			       sizeof(*v->lengths));

	if (!p)
		return -ENOMEM;
	v->lengths = p;
	v->length_count = 0;
	v->blocks_wanted = false;
	v->left = 0;
	for (size_t k = 0; k < v->count; k++) {
		const struct wanted *w = &v->wanted[k];

		v->left += !w->found;
		v->blocks_wanted |= !w->found && !w->len;
		if (!w->found && w->len)
			v->lengths[v->length_count++] = w->len;
	}
	if (v->length_count)
		qsort(v->lengths, v->length_count, sizeof(*v->lengths),
		      length_order);
	for (size_t k = 0; k < v->length_count; k++)
		if (!out || v->lengths[out - 1] != v->lengths[k])
			v->lengths[out++] = v->lengths[k];
	v->length_count = out;
	return 0;
}

/* What came since the last pass counts from here on. */
static int wanted_note(struct salvage *v)
{
	size_t out = 0;

	if (v->count)
		qsort(v->wanted, v->count, sizeof(*v->wanted), wanted_order);
	for (size_t k = 0; k < v->count; k++) {
		struct wanted *w = &v->wanted[k];

		if (!out || !hash_equal(&v->wanted[out - 1].hash, &w->hash)) {
			v->wanted[out++] = *w;
			continue;
		}
		v->wanted[out - 1].found |= w->found;
		if (!v->wanted[out - 1].len)
			v->wanted[out - 1].len = w->len;
	}
	v->count = v->sorted = out;
	return lengths_note(v);
}

/* ---- ranges */

static int span_add(struct spans *s, struct data_loc loc, uint64_t len)
{
	if (s->count == s->alloc) {
		size_t alloc = s->alloc ? 2 * s->alloc : 256;
		void *p = reallocarray(s->list, alloc, sizeof(*s->list));

		if (!p)
			return -ENOMEM;
		s->list = p;
		s->alloc = alloc;
	}
	s->list[s->count++] = (struct span){ loc.segment, loc.offset,
					     loc.offset + len };
	return 0;
}

static int span_order(const void *pa, const void *pb)
{
	const struct span *a = pa, *b = pb;

	if (a->segment != b->segment)
		return a->segment < b->segment ? -1 : 1;
	return (a->from > b->from) - (a->from < b->from);
}

static bool in_group(const struct salvage *v, uint32_t segment)
{
	return segment >= v->group && segment - v->group < GROUP_SEGMENTS;
}

/* The ends of the files are spans without bytes. */
static int note_end(void *arg, const struct segment_facts *f)
{
	struct salvage *v = arg;

	return in_group(v, f->number) ?
		       span_add(&v->used,
				(struct data_loc){ f->number, f->bytes }, 0) :
		       0;
}

static int spans_end(struct salvage *v)
{
	int r = store_segments(v->store, note_end, v);

	for (size_t k = 0; !r && k < v->taken.count; k++) {
		const struct span *s = &v->taken.list[k];

		if (in_group(v, s->segment))
			r = span_add(&v->used,
				     (struct data_loc){ s->segment, s->from },
				     s->to - s->from);
	}
	if (r)
		return r;
	if (v->used.count)
		qsort(v->used.list, v->used.count, sizeof(*v->used.list),
		      span_order);
	v->phase = PHASE_GAPS;
	v->next = 0;
	v->segment = v->group;
	v->reach = 0;
	return 0;
}

static int step_spans(struct salvage *v)
{
	int r = 0;

	store_lock(v->store);
	for (int n = 0; !r && n < STEP_ENTRIES; n++) {
		struct slice k, value;
		struct chunk_place p;
		bool sound;

		r = store_peek(v->store, TABLE_CHUNK, SLICE(v->key, v->key_len),
			       &k, &value, &sound);
		if (r)
			break;
		if (k.len > STORE_KEY_BYTES_MAX) {
			r = -EUCLEAN;
			break;
		}
		memcpy(v->key, k.data, k.len);
		v->key[k.len] = 0; /* just behind it */
		v->key_len = k.len + 1;
		if (sound && !chunk_decode(value, &p) &&
		    in_group(v, p.loc.segment))
			r = span_add(&v->used, p.loc, p.len);
	}
	store_unlock(v->store);
	return r == -ENOENT ? spans_end(v) : r;
}

/* ---- trying */

/* What a block names, and is not here either. */
static int want_below(struct salvage *v, struct slice block)
{
	struct manifest_iter iter;
	struct manifest_entry e;
	int r = 0;

	manifest_iter_init(&iter, block);
	while (!r && manifest_next(&iter, &e)) {
		bool here;

		if (e.hole || wanted_find(v, &e.hash))
			continue;
		store_lock(v->store);
		here = chunk_exists(v->store, &e.hash);
		store_unlock(v->store);
		if (!here)
			r = salvage_want(v, &e.hash,
					 iter.level == 1 ? (uint32_t)e.len : 0);
	}
	return r;
}

/* 1: they are what is looked for, and were given. */
static int try_bytes(struct salvage *v, const struct hash *hash,
		     struct data_loc loc, struct slice bytes)
{
	struct wanted *w = wanted_find(v, hash);
	int r;

	if (!w || w->found)
		return 0;
	r = v->found(v->arg, hash, bytes);
	if (!r)
		r = span_add(&v->taken, loc, bytes.len);
	if (r)
		return r;
	w->found = true;
	v->left--;
	v->finds = true;
	/* (the list may move) */
	if (!w->len && manifest_block_bytes(bytes) == bytes.len)
		r = want_below(v, bytes);
	return r ? r : 1;
}

static int try_length(struct salvage *v, struct data_loc loc,
		      struct slice bytes)
{
	struct hash hash;

	if (!bytes.len)
		return 0;
	hash_bytes(bytes.data, bytes.len, &hash);
	return try_bytes(v, &hash, loc, bytes);
}

/* Errors of bytes that the disk does not give, or no more: there is nothing. */
static bool has_bytes(struct salvage *v, struct data_loc loc, size_t len)
{
	return !data_read(v->store, loc, v->bytes, len);
}

struct prefix {
	struct salvage *salvage;
	struct data_loc loc;
	size_t found;
};

static int try_prefix(void *arg, const struct hash *hash, size_t len)
{
	struct prefix *p = arg;
	int r = try_bytes(p->salvage, hash, p->loc,
			  SLICE(p->salvage->bytes, len));

	if (r > 0)
		p->found = len;
	return r;
}

/* What begins where the gap does: its length, 0 if it is nothing. */
static int64_t try_start(struct salvage *v)
{
	uint64_t len = v->gap.to - v->gap.from;
	size_t n = (size_t)MIN_OF(len, (uint64_t)CHUNK_BYTES_MAX), known = 0;
	struct prefix p = { v, { v->gap.segment, v->gap.from }, 0 };
	size_t others[] = { 0, 0, n == len ? n : 0 };
	int r;

	if (!n || !has_bytes(v, p.loc, n))
		return 0;
	while (known < v->length_count && v->lengths[known] <= n)
		known++;
	r = hash_prefixes(v->bytes, v->lengths, known, try_prefix, &p);
	if (r)
		return r < 0 ? r : (int64_t)p.found;
	others[0] = manifest_block_bytes(SLICE(v->bytes, n));
	others[1] = chunker_cut(v->bytes, n);
	for (size_t k = 0; k < ARRAY_SIZE(others); k++) {
		r = try_length(v, p.loc, SLICE(v->bytes, others[k]));
		if (r)
			return r < 0 ? r : (int64_t)others[k];
	}
	return 0;
}

/* What ends where the gap does. */
static int64_t try_end(struct salvage *v)
{
	uint64_t hashed = 0;

	for (size_t k = 0; k < v->length_count && hashed < BACKWARD_BYTES;
	     k++) {
		uint32_t len = v->lengths[k];
		struct data_loc loc = { v->gap.segment, v->gap.to - len };
		int r;

		if (len > v->gap.to - v->gap.from)
			break;
		hashed += len;
		if (!has_bytes(v, loc, len))
			continue;
		r = try_length(v, loc, SLICE(v->bytes, len));
		if (r)
			return r < 0 ? r : (int64_t)len;
	}
	return 0;
}

/* ---- the passes */

/* The next one is in hand. False: the group has no more. */
static bool next_gap(struct salvage *v)
{
	while (v->next < v->used.count) {
		const struct span *s = &v->used.list[v->next++];

		if (s->segment != v->segment) {
			v->segment = s->segment;
			v->reach = 0;
		}
		v->gap = (struct span){ s->segment, v->reach, s->from };
		v->reach = MAX_OF(v->reach, s->to);
		if (v->gap.from < v->gap.to)
			return true;
	}
	return false;
}

struct first {
	uint32_t from, number;
	bool any;
};

static int note_first(void *arg, const struct segment_facts *f)
{
	struct first *first = arg;

	if (f->number < first->from || (first->any &&
					f->number > first->number))
		return 0;
	first->number = f->number;
	first->any = true;
	return 0;
}

/* From the first segment on that has at least this number; 1: there is none. */
static int group_begin(struct salvage *v, uint32_t from)
{
	struct first first = { .from = from };
	int r = store_segments(v->store, note_first, &first);

	if (r || !first.any)
		return r ? r : 1;
	v->phase = PHASE_SPANS;
	v->group = first.number;
	v->key_len = 0;
	v->used.count = 0;
	return 0;
}

static int pass_begin(struct salvage *v)
{
	int r = wanted_note(v);

	v->finds = false;
	return r ? r : group_begin(v, 0);
}

/* 1: it was the last pass. */
static int group_end(struct salvage *v)
{
	int r = v->group > UINT32_MAX - GROUP_SEGMENTS ?
			1 : group_begin(v, v->group + GROUP_SEGMENTS);

	if (r <= 0)
		return r;
	return v->finds || v->count > v->sorted ? pass_begin(v) : 1;
}

static int step_gap(struct salvage *v)
{
	int64_t n;

	if (!next_gap(v))
		return group_end(v);
	while ((n = try_start(v)) > 0)
		v->gap.from += (uint64_t)n;
	if (n < 0)
		return (int)n;
	while ((n = try_end(v)) > 0)
		v->gap.to -= (uint64_t)n;
	if (!n && v->blocks_wanted)
		v->phase = PHASE_BLOCKS;
	return (int)n;
}

static int try_blocks(struct salvage *v, size_t len)
{
	const uint8_t *end = v->bytes + len, *at = v->bytes;
	int r = 0;

	while (r >= 0 && (at = memchr(at, MANIFEST_VERSION,
				      (size_t)(end - at)))) {
		struct data_loc loc = { v->gap.segment,
					v->gap.from +
						(uint64_t)(at - v->bytes) };
		size_t left = (size_t)(end - at);

		r = try_length(v, loc,
			       SLICE(at, manifest_block_bytes(SLICE(at,
								    left))));
		at++;
	}
	return MIN_OF(r, 0);
}

/* Some of what is left of the gap. */
static int step_blocks(struct salvage *v)
{
	size_t len = (size_t)MIN_OF(v->gap.to - v->gap.from,
				    (uint64_t)CHUNK_BYTES_MAX);
	int r = 0;

	if (len && has_bytes(v, (struct data_loc){ v->gap.segment,
						   v->gap.from }, len))
		r = try_blocks(v, len);
	if (len < CHUNK_BYTES_MAX)
		v->phase = PHASE_GAPS;
	else /* (one that does not end there is looked at again) */
		v->gap.from += len - MANIFEST_BYTES_MAX;
	return r;
}

int salvage_step(struct salvage *v)
{
	if (v->phase == PHASE_BEGIN)
		return pass_begin(v);
	if (!v->left && v->count == v->sorted)
		return 1;
	if (v->phase == PHASE_SPANS)
		return step_spans(v);
	return v->phase == PHASE_GAPS ? step_gap(v) : step_blocks(v);
}

int salvage_new(struct store *s,
		int (*found)(void *arg, const struct hash *,
			     struct slice bytes),
		void *arg, struct salvage **ret)
{
	struct salvage *v = calloc(1, sizeof(*v));

	if (v)
		v->bytes = malloc(CHUNK_BYTES_MAX);
	if (!v || !v->bytes) {
		free(v);
		return -ENOMEM;
	}
	v->store = s;
	v->found = found;
	v->arg = arg;
	*ret = v;
	return 0;
}

void salvage_free(struct salvage *v)
{
	if (!v)
		return;
	free(v->wanted);
	free(v->lengths);
	free(v->used.list);
	free(v->taken.list);
	free(v->bytes);
	free(v);
}
