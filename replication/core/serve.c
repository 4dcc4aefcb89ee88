/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers to VERIFY: sums, lists of objects and rows as they are at the K
 * that the asker names, or nothing. Whoever asks about another K than ours
 * hears nothing: it will see by our STATUS row that we went on.
 *
 * Work is bounded: one sweep over the sums at a time, one list of objects
 * for each peer, which is gathered by going through all ids, a slice a tick.
 */
#include <errno.h>
#include <stdlib.h>

#include "replication/core/core_internal.h"

/* A sweep over all sums takes some ten milliseconds: so often at most. */
#define PARENTS_PAUSE_MS 100

/* The lists of objects that a peer asked for last. */
struct serve {
	struct know k;
	struct hash mark;
	struct leaf_set leaves;
	struct objid at;
	struct buf entries;
	size_t count;
};

void serve_end(struct peer *p)
{
	if (!p->serve)
		return;
	know_release(&p->serve->k);
	buf_release(&p->serve->entries);
	free(p->serve);
	p->serve = NULL;
}

int proof_lock(struct core *c, const struct know *k)
{
	store_lock(c->store);
	if (!apply_is_busy(c) && know_equal(replica_know(c->tree), k))
		return 0;
	store_unlock(c->store);
	return -EAGAIN;
}

static void serve_send(struct core *c, struct peer *p, const struct hash *mark,
		       enum sums_level level, const struct buf *body)
{
	frame_begin(&c->frame, FRAME_SUMS);
	sums_encode_head(mark, level, &c->frame);
	buf_put_slice(&c->frame, buf_slice(body));
	c->frame.failed |= body->failed;
	peer_send(c, p);
}

/* ---- sums */

static int serve_parents(struct core *c, struct peer *p, const struct know *k,
			 struct buf *body)
{
	struct sum *parents;
	int r;

	if (p->swept_ms && c->now_ms < p->swept_ms + PARENTS_PAUSE_MS)
		return -EAGAIN;
	p->swept_ms = c->now_ms;
	parents = calloc(PARENTS, sizeof(*parents));
	if (!parents)
		return -ENOMEM;
	r = proof_lock(c, k);
	if (r == 0) {
		r = bucket_parents(c->tree, parents);
		store_unlock(c->store);
	}
	if (r == 0)
		sums_encode(parents, PARENTS, body);
	free(parents);
	return r;
}

static int serve_leaves(struct core *c, const struct verify *v,
			const struct know *k, struct buf *body)
{
	struct sum leaves[PARENT_LEAVES];
	int r = proof_lock(c, k);

	if (r < 0)
		return r;
	buf_put_varint(body, v->count);
	for (size_t i = 0; r == 0 && i < v->count; i++) {
		r = bucket_leaves(c->tree, v->parents[i], leaves);
		buf_put_u8(body, v->parents[i]);
		sums_encode(leaves, PARENT_LEAVES, body);
	}
	store_unlock(c->store);
	return r;
}

/* ---- rows */

static int serve_rows(struct core *c, const struct verify *v,
		      const struct know *k, struct buf *body)
{
	cleanup(buf_release) struct buf rows = BUF_INIT;
	size_t n = 0;
	int r = proof_lock(c, k);

	if (r < 0)
		return r;
	for (; n < v->count; n++) {
		struct rec rec = {v->ids[n], SLICE(NULL, 0)};

		r = replica_row(c->tree, rec.id, &rec.row);
		if (r < 0 && r != -ENOENT)
			break;
		r = 0;
		/* The others are for another time. */
		if (rows.len + rec.row.len > ROW_BYTES_MAX)
			break;
		rec_encode(&rec, &rows);
	}
	store_unlock(c->store);
	buf_put_varint(body, n);
	buf_put_slice(body, buf_slice(&rows));
	body->failed |= rows.failed;
	return r;
}

/* ---- objects */

static int serve_begin(struct peer *p, const struct verify *v,
		       const struct know *k)
{
	struct serve *s;

	serve_end(p);
	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	p->serve = s;
	s->mark = v->mark;
	for (size_t i = 0; i < v->count; i++)
		leaf_set_add(&s->leaves, v->leaves[i]);
	return know_copy(&s->k, k);
}

static int serve_object(void *arg, struct objid id, uint64_t h64)
{
	struct serve *s = arg;

	if (s->count == SUMS_OBJECTS_MAX)
		return -E2BIG;
	buf_put(&s->entries, id.b, sizeof(id.b));
	buf_put_u64(&s->entries, h64);
	s->count++;
	return 0;
}

int serve_tick(struct core *c, struct peer *p)
{
	cleanup(buf_release) struct buf body = BUF_INIT;
	struct serve *s = p->serve;
	int r;

	if (!s)
		return 0;
	r = proof_lock(c, &s->k);
	if (r == 0) {
		r = bucket_objects(c->tree, &s->at, PROOF_SLICE_OBJECTS,
				   &s->leaves, serve_object, s);
		store_unlock(c->store);
	}
	if (r == 0) {
		core_due(c, c->now_ms);
		return 0;
	}
	if (r > 0) {
		buf_put_varint(&body, s->count);
		buf_put_slice(&body, buf_slice(&s->entries));
		body.failed |= s->entries.failed;
		serve_send(c, p, &s->mark, SUMS_OBJECTS, &body);
	}
	serve_end(p);
	return r > 0 || r == -EAGAIN || r == -E2BIG ? 0 : r;
}

int serve_asked(struct core *c, struct peer *p, const struct verify *v)
{
	cleanup(know_release) struct know k = KNOW_INIT;
	cleanup(buf_release) struct buf body = BUF_INIT;
	struct hash mark;
	struct sum root;
	int r = proof_state(c, NULL, &k, &root);

	if (r == 0)
		r = know_mark(&k, &mark);
	if (r < 0 || !hash_equal(&mark, &v->mark))
		return r;
	switch (v->level) {
	case SUMS_PARENTS:
		r = serve_parents(c, p, &k, &body);
		break;
	case SUMS_LEAVES:
		r = serve_leaves(c, v, &k, &body);
		break;
	case SUMS_OBJECTS:
		return serve_begin(p, v, &k);
	default:
		r = serve_rows(c, v, &k, &body);
	}
	if (r == 0)
		serve_send(c, p, &mark, (enum sums_level)v->level, &body);
	return r == -EAGAIN ? 0 : r;
}
