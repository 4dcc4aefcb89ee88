/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where two nodes of equal knowledge differ, in three round trips: the 256
 * parents' sums; the leaves' sums of parents that differ; ids and hashes of
 * the objects in leaves that differ. What is larger than the bounds is left
 * for the next time: after each repair the sums are compared again.
 *
 * All of it is at one K. When either side goes on meanwhile, the search ends
 * and begins again when both are equal again.
 *
 * Of two nodes the one of the lower origin repairs: it gets the other's rows
 * and makes the union (fs/tree/repair.h), under one hold of the lock with
 * the check that K is still the one that the rows are of. The other node,
 * too, looks where they differ while somebody runs `kin verify` on it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/base/log.h"
#include "fs/tree/repair.h"
#include "replication/core/core_internal.h"

/* Without an answer: the other side went on, or its list is too long. */
#define LOCATE_TIMEOUT_MS (2 * 60 * 1000)
/* Objects of both sides in the leaves that are asked for at once. */
#define LOCATE_OBJECTS_MAX 16384
/* Rounds of repair in a minute; more of it is a storm, and only told. */
#define REPAIRS_A_MINUTE_MAX 4
#define MINUTE_MS (60 * 1000)
/* Bytes of each row in the log. */
#define ROW_LOG_BYTES 512

struct listed {
	struct objid id;
	uint64_t h64;
};

struct entries {
	struct listed *list;
	size_t count, alloc;
};

struct locate {
	struct know k;
	struct hash mark;
	enum sums_level phase; /* what was asked for last */
	uint64_t since_ms;
	struct verify asked;
	struct leaf_set leaves;
	struct objid at; /* our own side of the objects */
	bool scanned, heard;
	struct entries mine, theirs;
};

void locate_end(struct peer *p)
{
	if (!p->locate)
		return;
	know_release(&p->locate->k);
	free(p->locate->mine.list);
	free(p->locate->theirs.list);
	free(p->locate);
	p->locate = NULL;
}

bool locate_is_busy(const struct core *c)
{
	for (size_t i = 0; i < c->peer_count; i++)
		if (c->peers[i]->locate)
			return true;
	return false;
}

/* Asks what l->asked says. */
static void locate_ask(struct core *c, struct peer *p, enum sums_level level)
{
	struct locate *l = p->locate;

	l->phase = level;
	l->since_ms = c->now_ms;
	l->asked.level = (uint8_t)level;
	l->asked.mark = l->mark;
	frame_begin(&c->frame, FRAME_VERIFY);
	verify_encode(&l->asked, &c->frame);
	peer_send(c, p);
	c->counters.verify_rounds++;
}

static bool we_repair(const struct core *c, const struct peer *p)
{
	return c->origin < p->origin;
}

int locate_begin(struct core *c, struct peer *p)
{
	struct locate *l = p->locate;
	int r;

	if (l && know_equal(&l->k, &p->proof.k))
		return 0;
	locate_end(p);
	if (!we_repair(c, p) && !c->verifying)
		return 0;
	l = calloc(1, sizeof(*l));
	if (!l)
		return -ENOMEM;
	p->locate = l;
	p->proof.differing_count = 0;
	p->proof.repaired = false;
	r = know_copy(&l->k, &p->proof.k);
	if (r == 0)
		r = know_mark(&l->k, &l->mark);
	if (r == 0)
		locate_ask(c, p, SUMS_PARENTS);
	return r;
}

/* ---- first answer: parents */

static int locate_parents(struct core *c, struct peer *p, struct reader *in)
{
	struct locate *l = p->locate;
	autofree struct sum *sums = calloc(2 * PARENTS, sizeof(*sums));
	struct sum *mine = sums, *theirs = sums ? sums + PARENTS : NULL;
	int r;

	if (!sums)
		return -ENOMEM;
	sums_decode(in, theirs, PARENTS);
	r = reader_ok(in);
	if (r == 0)
		r = proof_lock(c, &l->k);
	if (r < 0)
		return r;
	r = bucket_parents(c->tree, mine);
	store_unlock(c->store);
	l->asked.count = 0;
	for (size_t i = 0; i < PARENTS; i++)
		if (!sum_equal(&mine[i], &theirs[i]) &&
		    l->asked.count < VERIFY_PARENTS_MAX)
			l->asked.parents[l->asked.count++] = (uint8_t)i;
	if (r == 0 && l->asked.count)
		locate_ask(c, p, SUMS_LEAVES);
	else if (r == 0)
		r = -EAGAIN;
	return r;
}

/* ---- second: leaves */

/* Takes the leaves of one parent that differ, as far as there is room. */
static void locate_choose(struct verify *ask, uint64_t *objects,
			  uint8_t parent, const struct sum *mine,
			  const struct sum *theirs)
{
	for (size_t i = 0; i < PARENT_LEAVES; i++) {
		uint64_t n;

		if (sum_equal(&mine[i], &theirs[i]))
			continue;
		n = MAX_OF(mine[i].count, theirs[i].count);
		/* One that is larger than all room is tried alone. */
		if (ask->count == VERIFY_LEAVES_MAX ||
		    (ask->count && (n > LOCATE_OBJECTS_MAX ||
				    *objects + n > LOCATE_OBJECTS_MAX)))
			continue;
		*objects += n;
		ask->leaves[ask->count++] =
			(uint16_t)(parent * PARENT_LEAVES + i);
	}
}

static int locate_leaves(struct core *c, struct peer *p, struct reader *in)
{
	struct locate *l = p->locate;
	struct verify next = {.count = 0};
	uint64_t count = reader_varint(in), objects = 0;
	int r = reader_ok(in);

	if (r == 0 && count != l->asked.count)
		r = -EBADMSG;
	if (r == 0)
		r = proof_lock(c, &l->k);
	if (r < 0)
		return r;
	for (size_t i = 0; r == 0 && i < l->asked.count; i++) {
		struct sum mine[PARENT_LEAVES], theirs[PARENT_LEAVES];

		if (reader_u8(in) != l->asked.parents[i])
			reader_fail(in);
		sums_decode(in, theirs, PARENT_LEAVES);
		r = reader_ok(in);
		if (r == 0)
			r = bucket_leaves(c->tree, l->asked.parents[i], mine);
		if (r == 0)
			locate_choose(&next, &objects, l->asked.parents[i],
				      mine, theirs);
	}
	store_unlock(c->store);
	if (r == 0 && !next.count)
		r = -EAGAIN;
	if (r < 0)
		return r;
	l->asked = next;
	for (size_t i = 0; i < next.count; i++)
		leaf_set_add(&l->leaves, next.leaves[i]);
	locate_ask(c, p, SUMS_OBJECTS);
	return 0;
}

/* ---- third: objects, theirs and ours */

static int entries_add(struct entries *e, struct objid id, uint64_t h64)
{
	if (e->count == SUMS_OBJECTS_MAX)
		return -E2BIG;
	if (e->count == e->alloc) {
		size_t alloc = MAX_OF(e->alloc * 2, (size_t)64);
		struct listed *list = realloc(e->list, alloc * sizeof(*list));

		if (!list)
			return -ENOMEM;
		e->list = list;
		e->alloc = alloc;
	}
	e->list[e->count++] = (struct listed){id, h64};
	return 0;
}

static int locate_own_object(void *arg, struct objid id, uint64_t h64)
{
	return entries_add(arg, id, h64);
}

static void differing_add(struct peer *p, struct objid id)
{
	struct proof *f = &p->proof;

	if (f->differing_count < VERIFY_ROWS_MAX)
		f->differing[f->differing_count++] = id;
}

/* Both lists are in order of id. */
static void entries_compare(struct peer *p, const struct entries *a,
			    const struct entries *b)
{
	size_t i = 0, k = 0;

	while (i < a->count || k < b->count) {
		int order = i == a->count   ? 1
			    : k == b->count ? -1
					    : objid_compare(a->list[i].id,
							    b->list[k].id);

		if (order < 0)
			differing_add(p, a->list[i].id);
		else if (order > 0)
			differing_add(p, b->list[k].id);
		else if (a->list[i].h64 != b->list[k].h64)
			differing_add(p, a->list[i].id);
		i += order <= 0;
		k += order >= 0;
	}
}

static bool repair_allowed(struct core *c)
{
	if (c->now_ms >= c->repair_minute_ms + MINUTE_MS) {
		c->repair_minute_ms = c->now_ms;
		c->repair_count = 0;
	}
	return c->repair_count < REPAIRS_A_MINUTE_MAX;
}

/* It is known where: repair, or only say so. */
static int locate_found(struct core *c, struct peer *p)
{
	struct locate *l = p->locate;
	struct proof *f = &p->proof;

	if (!f->differing)
		f->differing =
			calloc(VERIFY_ROWS_MAX, sizeof(*f->differing));
	if (!f->differing)
		return -ENOMEM;
	f->differing_count = 0;
	entries_compare(p, &l->mine, &l->theirs);
	if (!f->differing_count) {
		log_error("the sums of '%s' and this node differ, and no "
			  "object does: `kin verify --deep` counts them again",
			  peer_label(c, p));
		return -EAGAIN;
	}
	if (!we_repair(c, p))
		return -EAGAIN;
	if (!repair_allowed(c)) {
		log_error("%zu objects differ from '%s': not repaired, there "
			  "was too much of it in the last minute",
			  f->differing_count, peer_label(c, p));
		return -EAGAIN;
	}
	l->asked.count = f->differing_count;
	memcpy(l->asked.ids, f->differing,
	       f->differing_count * sizeof(*f->differing));
	locate_ask(c, p, SUMS_ROWS);
	return 0;
}

static int locate_objects(struct core *c, struct peer *p, struct reader *in)
{
	struct locate *l = p->locate;
	uint64_t count = reader_varint(in);
	int r = reader_ok(in);

	if (r == 0 && (l->heard || count > SUMS_OBJECTS_MAX))
		r = -EBADMSG;
	for (uint64_t i = 0; r == 0 && i < count; i++) {
		struct objid id;
		uint64_t h64;

		reader_copy(in, id.b, sizeof(id.b));
		h64 = reader_u64(in);
		r = reader_ok(in);
		if (r == 0 &&
		    (!leaf_set_has(&l->leaves, leaf_of(id)) ||
		     (i && objid_compare(l->theirs.list[i - 1].id, id) >= 0)))
			r = -EBADMSG;
		if (r == 0)
			r = entries_add(&l->theirs, id, h64);
	}
	l->heard = r == 0;
	core_due(c, c->now_ms);
	return r;
}

/* ---- repair */

/* For diagnosis, without the bytes of files. */
static void log_row(struct core *c, struct peer *p, const char *where,
		    struct object *o)
{
	static const uint8_t blank[INLINE_BYTES_MAX];
	cleanup(buf_release) struct buf b = BUF_INIT;
	char id[2 * sizeof(o->id.b) + 1], hex[2 * ROW_LOG_BYTES + 1];
	size_t shown;

	for (size_t i = 0; i < o->count; i++) {
		struct content *content = &o->versions[i].content.content;

		if (o->versions[i].reg == REG_CONTENT && !content->depth)
			content->inline_bytes = SLICE(
				blank,
				MIN_OF(content->size, sizeof(blank)));
	}
	if (object_encode(o, &b) < 0)
		return;
	shown = MIN_OF(b.len, (size_t)ROW_LOG_BYTES);
	hex_encode(o->id.b, sizeof(o->id.b), id);
	hex_encode(b.data, shown, hex);
	log_warn("object %s differs from '%s': %s %zu bytes, %s%s", id,
		 peer_label(c, p), where, b.len, hex,
		 shown < b.len ? "..." : "");
}

static void log_both(struct core *c, struct peer *p, struct object *theirs)
{
	cleanup(object_release) struct object mine, copy;
	int r = replica_row_load(c->tree, theirs->id, &mine);

	object_init(&copy, theirs->id);
	for (size_t i = 0; r == 0 && i < theirs->count; i++)
		r = object_add_copy(&copy, &theirs->versions[i]);
	if (r == 0) {
		log_row(c, p, "here", &mine);
		log_row(c, p, "there", &copy);
	}
}

/* One row of theirs at the K that we have too. [locked] */
static int repair_one(struct core *c, struct peer *p, const struct rec *rec)
{
	cleanup(object_release) struct object theirs;
	int r = 0;

	object_init(&theirs, rec->id);
	if (rec->row.len)
		r = object_decode(rec->row, &theirs);
	for (size_t i = 0; r == 0 && i < theirs.count; i++)
		if (!know_covers(&p->locate->k, theirs.versions[i].dot))
			r = -EBADMSG;
	if (r < 0)
		return r;
	log_both(c, p, &theirs);
	r = replica_union(c->tree, &theirs);
	if (r == -EUCLEAN || r == -E2BIG) {
		log_errno(r, "an object that differs cannot be repaired");
		return 0;
	}
	if (r > 0)
		c->counters.repaired++;
	return MIN_OF(r, 0);
}

static int locate_rows(struct core *c, struct peer *p, struct reader *in)
{
	struct locate *l = p->locate;
	uint64_t before = c->counters.repaired, count = reader_varint(in);
	int r = reader_ok(in);

	if (r == 0 && count > l->asked.count)
		r = -EBADMSG;
	if (r == 0)
		r = proof_lock(c, &l->k);
	if (r < 0)
		return r;
	/* (our own repairs raise K: the lock is held over all of them) */
	for (uint64_t i = 0; r == 0 && i < count; i++) {
		struct rec rec;

		if (!rec_next(in, &rec) ||
		    !objid_equal(rec.id, l->asked.ids[i]))
			r = -EBADMSG;
		else
			r = repair_one(c, p, &rec);
	}
	store_unlock(c->store);
	c->repair_count++;
	c->wants_stale = true;
	c->may_bring_back = true;
	core_sync_in(c, 0);
	if (c->counters.repaired > before) {
		p->proof.repaired = true;
		log_warn("%llu objects that differed from '%s' hold now what "
			 "either side had",
			 (unsigned long long)(c->counters.repaired - before),
			 peer_label(c, p));
	}
	return r < 0 ? r : -EAGAIN;
}

/* ---- */

int locate_answer(struct core *c, struct peer *p, struct reader *in)
{
	struct locate *l = p->locate;
	struct hash mark;
	uint8_t level;
	int r = sums_decode_head(in, &mark, &level);

	/* (an answer to a search that ended is no fault) */
	if (r < 0 || !l || level != l->phase || !hash_equal(&mark, &l->mark))
		return r;
	l->since_ms = c->now_ms;
	if (level == SUMS_PARENTS)
		r = locate_parents(c, p, in);
	else if (level == SUMS_LEAVES)
		r = locate_leaves(c, p, in);
	else if (level == SUMS_OBJECTS)
		r = locate_objects(c, p, in);
	else
		r = locate_rows(c, p, in);
	if (r < 0)
		locate_end(p);
	return r == -EAGAIN ? 0 : r;
}

/* A slice of our own objects. */
static int locate_scan(struct core *c, struct locate *l)
{
	int r = proof_lock(c, &l->k);

	if (r < 0)
		return r;
	r = bucket_objects(c->tree, &l->at, PROOF_SLICE_OBJECTS, &l->leaves,
			   locate_own_object, &l->mine);
	store_unlock(c->store);
	l->scanned = r > 0;
	return MIN_OF(r, 0);
}

int locate_tick(struct core *c, struct peer *p)
{
	struct locate *l = p->locate;
	int r = serve_tick(c, p);

	if (r < 0 || !l)
		return r;
	if (!know_leq(&c->own.k, &l->k) ||
	    !know_leq(&peer_status(c, p)->k, &l->k) ||
	    c->now_ms >= l->since_ms + LOCATE_TIMEOUT_MS) {
		locate_end(p);
		return 0;
	}
	core_due(c, l->since_ms + LOCATE_TIMEOUT_MS);
	if (l->phase != SUMS_OBJECTS)
		return 0;
	if (!l->scanned) {
		r = locate_scan(c, l);
		core_due(c, c->now_ms);
	} else if (l->heard) {
		r = locate_found(c, p);
	}
	if (r < 0)
		locate_end(p);
	return r == -EAGAIN || r == -E2BIG ? 0 : r;
}
