/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Marks are kept in groups of 16: CHAIN, origin and number / 16 -> 16 marks
 * of 4 bytes, in a value that never changes its length. So the put of an
 * operation overwrites 64 bytes in place, fifteen times of sixteen, and a
 * million operations take some 6 MB.
 *
 * Marks above K may stand in the table while a cut is being applied; no
 * reader sees them, since all look no further than K.
 *
 * What goes into an operation's hash is gathered as rows are written, one
 * digest after the other: a running context would have to be copied for an
 * operation that is undone.
 */
#include "fs/tree/chain.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/base/hash.h"
#include "fs/tree/tree_internal.h"

/* Marks in one record, and its bytes. */
#define GROUP_MARKS 16
#define GROUP_BYTES (GROUP_MARKS * sizeof(mark_t))
#define BIRTH_BYTES 28

static const char births_key[] = "births";
static const char branch_text[] = "kinfs branch";

/* ---- records */

static struct slice group_key(uint8_t key[16], uint64_t origin, uint64_t group)
{
	put_be64(key, origin);
	put_be64(key + 8, group);
	return SLICE(key, 16);
}

/* Zeros where there is no record. */
static int group_get(struct tree *t, uint64_t origin, uint64_t group,
		     mark_t ret[GROUP_MARKS])
{
	uint8_t key[16];
	struct slice v;
	int r = store_get(t->store, TABLE_CHAIN, group_key(key, origin, group),
			  &v);

	memset(ret, 0, GROUP_BYTES);
	if (r)
		return r == -ENOENT ? 0 : r;
	if (v.len != GROUP_BYTES)
		return -EUCLEAN;
	for (size_t k = 0; k < GROUP_MARKS; k++)
		ret[k] = get_le32(v.data + 4 * k);
	return 0;
}

static int group_put(struct tree *t, uint64_t origin, uint64_t group,
		     const mark_t marks[GROUP_MARKS])
{
	uint8_t key[16], value[GROUP_BYTES];
	mark_t any = 0;

	for (size_t k = 0; k < GROUP_MARKS; k++) {
		put_le32(value + 4 * k, marks[k]);
		any |= marks[k];
	}
	if (!any)
		return store_del(t->store, TABLE_CHAIN,
				 group_key(key, origin, group));
	return store_put(t->store, TABLE_CHAIN, group_key(key, origin, group),
			 SLICE(value, sizeof(value)));
}

/* ---- reading */

int chain_get(struct tree *t, struct dot d, mark_t *ret)
{
	mark_t marks[GROUP_MARKS];
	int r;

	*ret = 0;
	if (!d.seq || !know_covers(&t->know, d))
		return 0;
	r = group_get(t, d.origin, d.seq / GROUP_MARKS, marks);
	*ret = marks[d.seq % GROUP_MARKS];
	return r;
}

int chain_last(struct tree *t, struct dot d, uint64_t *ret)
{
	uint64_t seq = MIN_OF(d.seq, know_get(&t->know, d.origin));
	mark_t marks[GROUP_MARKS];
	uint8_t key[16];
	struct slice k, v;
	int r;

	*ret = 0;
	for (;;) {
		r = group_get(t, d.origin, seq / GROUP_MARKS, marks);
		if (r)
			return r;
		for (; seq; seq--) {
			if (marks[seq % GROUP_MARKS]) {
				*ret = seq;
				return 0;
			}
			if (seq % GROUP_MARKS == 0)
				break;
		}
		if (!seq)
			return 0;
		r = store_seek_before(t->store, TABLE_CHAIN,
				      group_key(key, d.origin,
						seq / GROUP_MARKS), &k, &v);
		if (r == -ENOENT)
			return 0;
		if (r || k.len != 16)
			return r ? r : -EUCLEAN;
		if (get_be64(k.data) != d.origin)
			return 0;
		seq = get_be64(k.data + 8) * GROUP_MARKS + GROUP_MARKS - 1;
	}
}

int chain_next(struct tree *t, struct dot d, uint64_t *ret)
{
	uint64_t seq = d.seq + 1, end = know_get(&t->know, d.origin);
	mark_t marks[GROUP_MARKS];
	uint8_t key[16];
	struct slice k, v;
	int r;

	*ret = 0;
	while (seq <= end) {
		r = store_seek(t->store, TABLE_CHAIN,
			       group_key(key, d.origin, seq / GROUP_MARKS), &k,
			       &v);
		if (r == -ENOENT)
			return 0;
		if (r || k.len != 16)
			return r ? r : -EUCLEAN;
		if (get_be64(k.data) != d.origin)
			return 0;
		seq = MAX_OF(seq, get_be64(k.data + 8) * GROUP_MARKS);
		r = group_get(t, d.origin, seq / GROUP_MARKS, marks);
		if (r)
			return r;
		do {
			if (seq <= end && marks[seq % GROUP_MARKS]) {
				*ret = seq;
				return 0;
			}
		} while (++seq % GROUP_MARKS);
	}
	return 0;
}

int chain_read(struct tree *t, uint64_t origin, uint64_t after, mark_t *ret,
	       size_t count)
{
	uint64_t end = know_get(&t->know, origin);
	mark_t marks[GROUP_MARKS];
	int r = 0;

	for (size_t k = 0; !r && k < count; k++) {
		uint64_t seq = after + 1 + k;

		if (!k || seq % GROUP_MARKS == 0)
			r = group_get(t, origin, seq / GROUP_MARKS, marks);
		ret[k] = seq <= end ? marks[seq % GROUP_MARKS] : 0;
	}
	return r;
}

int chain_know(struct tree *t, struct know *ret)
{
	uint8_t key[STORE_KEY_BYTES_MAX + 1];
	struct slice k, v;
	size_t len = 0;
	bool sound;
	int r;

	while (!(r = store_peek(t->store, TABLE_CHAIN, SLICE(key, len), &k, &v,
				&sound))) {
		memcpy(key, k.data, k.len);
		key[k.len] = 0; /* just behind it */
		len = k.len + 1;
		if (!sound || k.len != 16 || v.len != GROUP_BYTES)
			continue;
		for (uint64_t n = 0; !r && n < GROUP_MARKS; n++)
			if (get_le32(v.data + 4 * n))
				r = know_set(ret, get_be64(key),
					     get_be64(key + 8) * GROUP_MARKS +
						     n);
		if (r)
			return r;
	}
	return r == -ENOENT ? 0 : r;
}

/* ---- writing */

int chain_write(struct tree *t, uint64_t origin, uint64_t after,
		const mark_t *list, size_t count)
{
	mark_t marks[GROUP_MARKS];
	size_t k = 0;
	int r = 0;

	while (!r && k < count) {
		uint64_t group = (after + 1 + k) / GROUP_MARKS;

		r = group_get(t, origin, group, marks);
		if (r)
			return r;
		do
			marks[(after + 1 + k) % GROUP_MARKS] = list[k];
		while (++k < count && (after + 1 + k) / GROUP_MARKS == group);
		r = group_put(t, origin, group, marks);
	}
	return r;
}

/* Marks above `above` go from one origin to another (0: away). */
int chain_move(struct tree *t, uint64_t from, uint64_t above, uint64_t to)
{
	uint64_t group = above / GROUP_MARKS;

	for (;;) {
		mark_t marks[GROUP_MARKS], there[GROUP_MARKS];
		struct slice k, v;
		uint8_t key[16];
		int r = store_seek(t->store, TABLE_CHAIN,
				   group_key(key, from, group), &k, &v);

		if (r == -ENOENT)
			return 0;
		if (r || k.len != 16)
			return r ? r : -EUCLEAN;
		if (get_be64(k.data) != from)
			return 0;
		group = get_be64(k.data + 8);
		r = group_get(t, from, group, marks);
		if (!r && to)
			r = group_get(t, to, group, there);
		for (uint64_t n = 0; n < GROUP_MARKS; n++) {
			if (group * GROUP_MARKS + n <= above)
				continue;
			if (marks[n])
				there[n] = marks[n];
			marks[n] = 0;
		}
		if (!r && to)
			r = group_put(t, to, group, there);
		if (!r)
			r = group_put(t, from, group, marks);
		if (r)
			return r;
		group++;
	}
}

int chain_lose(struct tree *t, struct slice key)
{
	uint64_t origin = get_be64(key.data), group = get_be64(key.data + 8);
	uint64_t end = know_get(&t->know, origin);
	mark_t marks[GROUP_MARKS];

	if (t->is_applying)
		end = MAX_OF(end, know_get(&t->applying, origin));
	for (uint64_t n = 0; n < GROUP_MARKS; n++) {
		uint64_t seq = group * GROUP_MARKS + n;

		marks[n] = seq && seq <= end ? MARK_LOST : 0;
	}
	return group_put(t, origin, group, marks);
}

int chain_check_heads(struct tree *t, bool lose)
{
	int r = 0;

	for (size_t k = 0; !r && k < t->know.count; k++) {
		struct dot d = t->know.entries[k];
		uint8_t key[16];
		mark_t mark;

		r = chain_get(t, d, &mark);
		if (r || mark)
			continue;
		r = lose ? chain_lose(t, group_key(key, d.origin,
						   d.seq / GROUP_MARKS)) :
			   -EUCLEAN;
	}
	return r;
}

/* ---- the operation in hand */

void chain_row(struct tree *t, struct objid id, struct slice versions)
{
	struct slice parts[] = { SLICE(t->op_digest.b, sizeof(t->op_digest.b)),
				 SLICE(id.b, sizeof(id.b)), versions };

	hash_slices(parts, ARRAY_SIZE(parts), &t->op_digest);
}

static void chain_step(struct tree *t, uint64_t seq)
{
	uint8_t fields[24], random[16];
	struct slice parts[] = {
		SLICE(t->chain_head.b, sizeof(t->chain_head.b)),
		SLICE(fields, sizeof(fields)),
		SLICE(t->op_digest.b, sizeof(t->op_digest.b)),
		SLICE(random, t->chain_begun ? 0 : sizeof(random)),
	};

	put_le64(fields, t->origin);
	put_le64(fields + 8, seq);
	put_le64(fields + 16, t->hlc);
	if (!t->chain_begun)
		t->env->random(t->env->arg, random, sizeof(random));
	t->chain_begun = true;
	hash_slices(parts, ARRAY_SIZE(parts), &t->chain_head);
}

mark_t chain_mark(const struct hash *h)
{
	mark_t m = get_le32(h->b);

	return m ? m : 1;
}

int chain_end_op(struct tree *t)
{
	uint64_t last = know_get(&t->know, t->origin);
	int r = 0;

	/* (the first number may lie behind a gap) */
	for (uint64_t seq = t->op_first; !r && t->ticked && seq <= last;
	     seq++) {
		mark_t m;

		chain_step(t, seq);
		m = chain_mark(&t->chain_head);
		r = chain_write(t, t->origin, seq - 1, &m, 1);
	}
	return r;
}

/* ---- aliases */

uint64_t birth_alias(uint64_t root, uint64_t first, mark_t mark)
{
	uint8_t fields[20];
	struct slice parts[] = { SLICE_STR(branch_text),
				 SLICE(fields, sizeof(fields)) };
	struct hash h;

	put_le64(fields, root);
	put_le64(fields + 8, first);
	put_le32(fields + 16, mark);
	hash_slices(parts, ARRAY_SIZE(parts), &h);
	return MAX_OF(get_le64(h.b), (uint64_t)1);
}

bool birth_is_valid(const struct birth *b)
{
	return b->root && b->first && b->mark && b->alias != b->root &&
	       b->alias == birth_alias(b->root, b->first, b->mark);
}

const struct birth *chain_births(struct tree *t, size_t *ret_count)
{
	*ret_count = t->birth_count;
	return t->births;
}

const struct birth *chain_birth(struct tree *t, uint64_t alias)
{
	for (size_t k = 0; k < t->birth_count; k++)
		if (t->births[k].alias == alias)
			return &t->births[k];
	return NULL;
}

uint64_t chain_root(struct tree *t, uint64_t origin)
{
	const struct birth *b = chain_birth(t, origin);

	return b ? b->root : origin;
}

static int births_insert(struct tree *t, const struct birth *b)
{
	struct birth *p;
	size_t at = 0;

	if (t->birth_count == ORIGINS_MAX)
		return -E2BIG;
	p = realloc(t->births, (t->birth_count + 1) * sizeof(*p));
	if (!p)
		return -ENOMEM;
	t->births = p;
	while (at < t->birth_count && p[at].alias < b->alias)
		at++;
	memmove(p + at + 1, p + at, (t->birth_count - at) * sizeof(*p));
	p[at] = *b;
	t->birth_count++;
	return 0;
}

int chain_birth_add(struct tree *t, const struct birth *b)
{
	struct buf out = BUF_INIT;
	autofree uint8_t *bytes = NULL;
	int r;

	if (chain_birth(t, b->alias))
		return 0;
	if (!birth_is_valid(b))
		return -EPROTO;
	t->births_changed = true;
	r = births_insert(t, b);
	if (r)
		return r;
	for (size_t k = 0; k < t->birth_count; k++) {
		buf_put_u64(&out, t->births[k].alias);
		buf_put_u64(&out, t->births[k].root);
		buf_put_u64(&out, t->births[k].first);
		buf_put_u32(&out, t->births[k].mark);
	}
	bytes = out.data;
	r = buf_error(&out);
	return r ? r : store_put(t->store, TABLE_META, SLICE_STR(births_key),
				 buf_slice(&out));
}

/* Whose branch is it, if it is one: of an origin that has a number here. */
static int birth_find(struct tree *t, uint64_t alias)
{
	struct birth b = { .alias = alias };
	int r = chain_next(t, (struct dot){ alias, 0 }, &b.first);

	if (!r && b.first)
		r = chain_get(t, (struct dot){ alias, b.first }, &b.mark);
	for (size_t k = 0; !r && b.first && k < t->know.count; k++) {
		b.root = t->know.entries[k].origin;
		if (birth_is_valid(&b))
			return chain_birth_add(t, &b);
	}
	return r;
}

int chain_births_anew(struct tree *t)
{
	int r = store_del(t->store, TABLE_META, SLICE_STR(births_key));

	t->births_changed = true;
	t->birth_count = 0;
	for (size_t k = 0; !r && k < t->know.count; k++)
		r = birth_find(t, t->know.entries[k].origin);
	return r;
}

/* As the store says. */
int chain_load(struct tree *t)
{
	struct slice v;
	struct reader in;
	int r = store_get(t->store, TABLE_META, SLICE_STR(births_key), &v);

	t->birth_count = 0;
	if (r)
		return r == -ENOENT ? 0 : r;
	if (v.len % BIRTH_BYTES)
		return -EUCLEAN;
	in = READER(v.data, v.len);
	while (!r && reader_left(&in)) {
		struct birth b;

		b.alias = reader_u64(&in);
		b.root = reader_u64(&in);
		b.first = reader_u64(&in);
		b.mark = reader_u32(&in);
		r = birth_is_valid(&b) ? births_insert(t, &b) : -EUCLEAN;
	}
	return r;
}
