/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sweeping, moving, and giving back, after all was marked.
 *
 * An entry of the chunk table is looked at and deleted in one hold of the
 * lock, so nobody finds it in between. An entry that nothing names stays if
 * its neighbours keep all of its blocks: it does no harm, its bytes are good.
 *
 * Which segments are emptied: those of which less than a quarter is alive;
 * and, the emptiest first, as many as it takes until what they hold exceeds
 * what is alive by no more than a tenth and the slack: many small pieces
 * keep whole blocks each, and on a disk that cannot punch holes a segment is
 * all or nothing. Never one that unsent writes name by place. In order of
 * place, so that what lay together does so again.
 *
 * What is moved is hashed first; what is damaged stays where it is.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/base/hash.h"
#include "fs/base/log.h"
#include "fs/store/store_internal.h"

/* Deleted in one hold of the lock. */
#define SWEEP_DELETES 64
/* Moved in one step: a hundred MB/s at most, where a step is 10 ms. */
#define MOVE_BYTES (1u << 20)
#define MOVE_ENTRIES 64
/* Slack: this part of a segment (16 MiB). */
#define SLACK_OF_SEGMENT 16
/* Ranges given back in one step. */
#define STEP_PUNCHES 16

/* ---- walking the chunk table [locked] */

static int chunk_next(struct store *s, struct reclaim *g, struct hash *ret_hash,
		      struct chunk_place *ret)
{
	struct slice k, v;
	int r;

	for (;;) {
		r = store_seek(s, TABLE_CHUNK, SLICE(g->key, g->key_len), &k,
			       &v);
		if (r)
			return r;
		reclaim_key_after(g, k);
		/* (what is no entry is for who checks the store) */
		if (k.len != sizeof(ret_hash->b) ||
		    chunk_decode(v, ret))
			continue;
		memcpy(ret_hash->b, k.data, k.len);
		return 0;
	}
}

/* ---- sweeping */

static int delete_all(struct store *s, const struct hash *list, size_t count)
{
	int r = store_op_begin(s);

	if (r)
		return r;
	for (size_t i = 0; !r && i < count; i++)
		r = store_del(s, TABLE_CHUNK,
			      SLICE(list[i].b, sizeof(list[i].b)));
	if (r)
		store_op_abort(s);
	return r ? r : store_op_end(s);
}

static void count_live(struct reclaim *g, struct data_loc loc, uint32_t len)
{
	struct used_segment *m = used_find(&g->used, loc.segment);

	if (m) {
		m->live_bytes += len;
		m->entries++;
	} else {
		g->new_live += len;
	}
}

static int sweep_locked(struct store *s, struct reclaim *g)
{
	struct hash dead[SWEEP_DELETES];
	size_t count = 0;
	int r = 0;

	for (unsigned int n = 0; n < g->slice && count < SWEEP_DELETES; n++) {
		struct chunk_place p;

		r = chunk_next(s, g, &dead[count], &p);
		if (r)
			break;
		if (used_has(&g->used, p.loc, p.len))
			count_live(g, p.loc, p.len);
		else
			count++;
	}
	if (r && r != -ENOENT)
		return r;
	if (count) {
		int e = delete_all(s, dead, count);

		if (e)
			return e;
	}
	return r == -ENOENT;
}

int reclaim_sweep(struct store *s, struct reclaim *g)
{
	int r;

	store_lock(s);
	r = sweep_locked(s, g);
	store_unlock(s);
	return r;
}

/* ---- which segments to empty */

/* On the disk, once what is dead in it was given back. */
static uint64_t held_bytes(const struct reclaim *g,
			   const struct used_segment *m)
{
	uint64_t used;

	if (g->no_punch)
		return m->allocated;
	used = used_count(m) * USED_BLOCK_BYTES;
	return MIN_OF(m->allocated, used);
}

struct choice {
	struct used_segment *segment;
	uint64_t held;
};

/* The emptiest first. */
static int choice_order(const void *pa, const void *pb)
{
	const struct choice *a = pa, *b = pb;
	double x = (double)a->segment->live_bytes / (double)a->held;
	double y = (double)b->segment->live_bytes / (double)b->held;

	if (x != y)
		return x < y ? -1 : 1;
	return a->segment->number < b->segment->number ? -1 : 1;
}

/* Fills in what may be emptied; returns by how much too much is held. */
static int64_t choices_list(const struct reclaim *g, uint64_t slack,
			    struct choice *list, size_t *ret_count)
{
	const struct used_map *m = &g->used;
	uint64_t held = 0, live = 0;
	size_t n = 0;

	for (size_t i = 0; i < m->count; i++) {
		struct choice c = {&m->list[i], held_bytes(g, &m->list[i])};

		held += c.held;
		live += c.segment->live_bytes;
		if (c.segment->entries && !c.segment->raw && c.held)
			list[n++] = c;
	}
	*ret_count = n;
	return (int64_t)held - (int64_t)(live + live / 10 + slack);
}

int reclaim_choose(struct store *s, struct reclaim *g)
{
	autofree struct choice *list = calloc(g->used.count + 1,
					      sizeof(*list));
	uint64_t entries = 0;
	size_t n;
	int64_t over;

	if (!list)
		return -ENOMEM;
	over = choices_list(g, segments_bytes(s->segments) / SLACK_OF_SEGMENT,
			    list, &n);
	qsort(list, n, sizeof(*list), choice_order);
	for (size_t i = 0; i < n; i++) {
		struct used_segment *m = list[i].segment;
		int64_t gain = (int64_t)list[i].held - (int64_t)m->live_bytes;
		bool empty = m->live_bytes < m->length / 4;

		if ((over <= 0 || gain * 5 < (int64_t)list[i].held) && !empty)
			continue;
		if (entries + m->entries > MOVES_MAX)
			continue;
		m->chosen = true;
		entries += m->entries;
		over -= gain;
	}
	if (!entries)
		return 0;
	g->moves = calloc(entries, sizeof(*g->moves));
	return g->moves ? 1 : -ENOMEM;
}

/* ---- moving */

static int move_order(const void *pa, const void *pb)
{
	const struct move *m = pa, *n = pb;
	const struct data_loc *a = &m->from.loc, *b = &n->from.loc;

	if (a->segment != b->segment)
		return a->segment < b->segment ? -1 : 1;
	return a->offset < b->offset ? -1 : a->offset > b->offset;
}

static int collect_locked(struct store *s, struct reclaim *g, size_t max)
{
	for (unsigned int n = 0; n < g->slice; n++) {
		const struct used_segment *seg;
		struct move m;
		int r = chunk_next(s, g, &m.hash, &m.from);

		if (r)
			return r == -ENOENT ? 1 : r;
		seg = used_find(&g->used, m.from.loc.segment);
		if (!seg || !seg->chosen)
			continue;
		/* (nobody can name bytes of it anew: they are not raw) */
		if (g->move_count == max)
			return -EUCLEAN;
		g->moves[g->move_count++] = m;
	}
	return 0;
}

int reclaim_collect(struct store *s, struct reclaim *g)
{
	size_t max = 0;
	int r;

	for (size_t i = 0; i < g->used.count; i++)
		if (g->used.list[i].chosen)
			max += g->used.list[i].entries;
	store_lock(s);
	r = collect_locked(s, g, max);
	store_unlock(s);
	if (r == 1)
		qsort(g->moves, g->move_count, sizeof(*g->moves), move_order);
	return r;
}

static void keep_segment(struct reclaim *g, const struct move *m)
{
	struct used_segment *seg = used_find(&g->used, m->from.loc.segment);

	kin_assert(seg);
	seg->kept = true;
}

/* To the end; *ret: where. 0: it stays where it is. */
static int copy_one(struct store *s, struct reclaim *g, const struct move *m,
		    struct chunk_place *ret)
{
	struct data_loc to;
	int r;

	buf_reset(&g->block);
	if (!buf_extend(&g->block, m->from.len))
		return -ENOMEM;
	r = data_read(s, m->from.loc, g->block.data, m->from.len);
	if (!r && !hash_is(&m->hash, g->block.data, m->from.len))
		r = -EIO;
	if (r) {
		log_errno(r, "a chunk in segment %08x is damaged",
			  (unsigned int)m->from.loc.segment);
		keep_segment(g, m);
		return 0;
	}
	r = data_append(s, buf_slice(&g->block), &to);
	if (r)
		return r;
	*ret = chunk_place(to, buf_slice(&g->block));
	return 1;
}

/* The entries of what was copied, if they are as they were. */
static int rename_all(struct store *s, struct reclaim *g,
		      const struct move *const *list,
		      const struct chunk_place *to, size_t count)
{
	int r = store_op_begin(s);

	for (size_t i = 0; !r && i < count; i++) {
		const struct data_loc *from = &list[i]->from.loc;
		struct chunk_place p;
		int e = chunk_find(s, &list[i]->hash, &p);

		if (e == -ENOENT || (!e && (p.loc.segment != from->segment ||
					    p.loc.offset != from->offset)))
			continue;
		r = e ? e : chunk_put(s, &list[i]->hash, &to[i]);
		g->moved += to[i].len;
	}
	if (r && store_in_op(s))
		store_op_abort(s);
	return r ? r : store_op_end(s);
}

static int move_some(struct store *s, struct reclaim *g)
{
	const struct move *list[MOVE_ENTRIES];
	struct chunk_place to[MOVE_ENTRIES];
	size_t count = 0, bytes = 0;
	int r = 0;

	while (g->move_at < g->move_count && count < MOVE_ENTRIES &&
	       bytes < MOVE_BYTES) {
		const struct move *m = &g->moves[g->move_at++];

		r = copy_one(s, g, m, &to[count]);
		if (r < 0)
			break;
		bytes += m->from.len;
		list[count] = m;
		count += r;
	}
	if (r >= 0 && count) {
		store_lock(s);
		r = rename_all(s, g, list, to, count);
		store_unlock(s);
	}
	if (r < 0)
		for (size_t i = 0; i < count; i++)
			keep_segment(g, list[i]);
	return MIN_OF(r, 0);
}

int reclaim_move(struct store *s, struct reclaim *g)
{
	cleanup(store_hold_end) struct store_hold hold = store_hold(s);
	int r = move_some(s, g);

	/* Without room for copies what is dead must go all the more. */
	if (r == -ENOSPC || r == -EDQUOT) {
		if (g->move_at)
			g->move_at--;
		while (g->move_at < g->move_count)
			keep_segment(g, &g->moves[g->move_at++]);
		r = 0;
	}
	return r ? r : g->move_at == g->move_count;
}

/* ---- giving back */

static bool is_empty(const struct used_segment *m)
{
	return (m->chosen && !m->kept) || !used_count(m);
}

/* 1: something was given back; 0: there is nothing more in this segment. */
static int punch_next(struct store *s, struct reclaim *g,
		      const struct used_segment *m, bool whole)
{
	uint64_t from = g->punch_at, to = m->bytes;
	int r;

	if (g->no_punch || from >= m->bytes)
		return 0;
	if (!whole && !used_gap(m, from, m->bytes, &from, &to))
		return 0;
	g->punch_at = to;
	r = segments_punch(s->segments, m->number, from, to);
	if (r == -EOPNOTSUPP) {
		store_lock(s);
		s->reclaim.no_punch = g->no_punch = true;
		store_unlock(s);
		r = 0;
	}
	return r == -ENOENT ? 0 : r < 0 ? r : 1;
}

static int punch_segment(struct store *s, struct reclaim *g,
			 const struct used_segment *m)
{
	bool whole = is_empty(m);
	int r;

	if (whole && !g->punch_at) {
		r = segments_remove(s->segments, m->number);
		if (!r || r == -ENOENT)
			return 0;
		if (r != -EBUSY)
			return r;
	}
	return punch_next(s, g, m, whole);
}

int reclaim_punch(struct store *s, struct reclaim *g)
{
	for (int n = 0; n < STEP_PUNCHES; n++) {
		int r;

		if (g->punch_segment == g->used.count)
			return 1;
		r = punch_segment(s, g, &g->used.list[g->punch_segment]);
		if (r < 0)
			return r;
		if (r == 0) {
			g->punch_segment++;
			g->punch_at = 0;
		}
	}
	return 0;
}
