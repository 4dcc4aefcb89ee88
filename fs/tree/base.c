/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bases: contents that left a row (FORMAT.md, "Bases").
 *
 * Two versions in conflict name their ancestors; the newest that both name
 * is what they were made from. It was replaced, here or elsewhere, before
 * they met, so it is noted whenever a content leaves a row: by a local write
 * (branch.c) and by a merge (replica.c), also by the very merge that brings
 * the conflict, when the base was still live here.
 *
 * Only what some live version names can ever be found again: what two
 * versions have in common is named by the one that is here already. So with
 * each new version what is no longer named goes, and an object that is
 * edited has a handful of entries, however long its history. All of them go
 * once every member that counts has the row as it is (replica_base_prune):
 * what anybody makes from then on is made of that.
 *
 * A version names its four newest ancestors (branch.c). Someone who is away
 * makes more than that, so two older ones may stand behind them, `far`: the
 * newest that somebody else may have, and the newest that all have. Of a
 * base it matters only that others had it too. (By dots alone, which keeps
 * rows short: what they name is remembered with the rest.) They say nothing
 * else: what is
 * hidden under what goes by the newest ones, which have no gap.
 */
#include "fs/tree/base.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/tree/replica.h"

#define BASE_FORMAT 1
#define META_ACKED "acked"
/* object id, hlc, origin, seq: of one object the oldest first. */
#define KEY_BYTES 40
/* Ancestors of a version that are remembered with it. */
#define LINE_MAX ANCESTORS_RESTAMPED_MAX

/* ---- one entry */

struct base {
	struct entry_name name;
	struct content content;
	const struct entry_name *line;	/* its ancestors */
	size_t line_count;
};

static struct slice base_key(uint8_t key[KEY_BYTES], struct objid id,
			     const struct entry_name *e)
{
	memcpy(key, id.b, 16);
	put_be64(key + 16, e->hlc);
	put_be64(key + 24, e->dot.origin);
	put_be64(key + 32, e->dot.seq);
	return SLICE(key, KEY_BYTES);
}

static void put_line(struct buf *b, const struct entry_name *list, size_t n)
{
	for (size_t k = 0; k < n; k++) {
		buf_put_u64(b, list[k].hlc);
		buf_put_u64(b, list[k].dot.origin);
		buf_put_u64(b, list[k].dot.seq);
		buf_put_u64(b, list[k].hash64);
	}
}

int base_note(struct tree *t, struct objid id, const struct version *v)
{
	const struct content_value *c = &v->content;
	struct entry_name name = version_entry_name(v);
	cleanup(buf_release) struct buf b = BUF_INIT;
	uint8_t key[KEY_BYTES];
	int r;

	if (v->flags & VERSION_VOID)
		return 0;
	buf_put_u8(&b, BASE_FORMAT);
	buf_put_u64(&b, name.hash64);
	content_put(&b, &c->content);
	buf_put_varint(&b, c->anc_count);
	put_line(&b, c->anc, c->anc_count);
	r = buf_error(&b);
	return r ? r : store_put(t->store, TABLE_BASE,
				 base_key(key, id, &name), buf_slice(&b));
}

/* What it borrows goes into the object's arena. */
static int base_decode(struct slice k, struct slice v, struct object *o,
		       struct base *ret)
{
	struct reader in = READER(v.data, v.len);
	struct content *c = &ret->content;
	struct entry_name *line;
	struct slice bytes;

	*ret = (struct base){ 0 };
	if (k.len != KEY_BYTES || reader_u8(&in) != BASE_FORMAT)
		return -EUCLEAN;
	ret->name.hlc = get_be64(k.data + 16);
	ret->name.dot.origin = get_be64(k.data + 24);
	ret->name.dot.seq = get_be64(k.data + 32);
	ret->name.hash64 = reader_u64(&in);
	content_get(&in, c);
	if (reader_ok(&in))
		return -EUCLEAN;
	if (!c->depth) {
		bytes = object_dup(o, c->inline_bytes);
		if (!bytes.data)
			return -ENOMEM;
		content_inline(bytes, c);
	}
	ret->line_count = (size_t)reader_varint(&in);
	if (ret->line_count > LINE_MAX)
		return -EUCLEAN;
	line = object_alloc(o, (ret->line_count + 1) * sizeof(*line));
	if (!line)
		return -ENOMEM;
	for (size_t n = 0; n < ret->line_count; n++) {
		line[n].hlc = reader_u64(&in);
		line[n].dot.origin = reader_u64(&in);
		line[n].dot.seq = reader_u64(&in);
		line[n].hash64 = reader_u64(&in);
	}
	ret->line = line;
	return reader_done(&in) ? -EUCLEAN : 0;
}

/* The first entry behind `key` (of len bytes) of this object. -ENOENT. */
static int base_seek(struct tree *t, struct objid id, const uint8_t *key,
		     size_t len, struct slice *k, struct slice *v)
{
	int r = store_seek(t->store, TABLE_BASE, SLICE(key, len), k, v);

	if (r)
		return r;
	if (k->len != KEY_BYTES)
		return -EUCLEAN;
	return memcmp(k->data, id.b, 16) ? -ENOENT : 0;
}

/* Of one object, oldest first. Its memory is the object's. */
static int bases_load(struct tree *t, struct object *o, struct base **ret,
		      size_t *ret_count)
{
	uint8_t key[KEY_BYTES + 1];
	size_t len = 16, n = 0;
	struct base *list = object_alloc(o, BASES_MAX * sizeof(*list));

	if (!list)
		return -ENOMEM;
	memcpy(key, o->id.b, 16);
	for (;;) {
		struct slice k, v;
		int r = base_seek(t, o->id, key, len, &k, &v);

		if (r == -ENOENT)
			break;
		if (!r && n == BASES_MAX)
			r = -EUCLEAN;
		if (!r)
			r = base_decode(k, v, o, &list[n]);
		if (r)
			return r;
		n++;
		memcpy(key, k.data, KEY_BYTES);
		key[KEY_BYTES] = 0;
		len = KEY_BYTES + 1;
	}
	*ret = list;
	*ret_count = n;
	return 0;
}

/* ---- which of them stay */

static bool names(const struct version *v, const struct entry_name *e)
{
	for (size_t k = 0; k < v->content.far_count; k++)
		if (dot_equal(v->content.far[k], e->dot))
			return true;
	return entry_names_have(v->content.anc, v->content.anc_count, e);
}

static bool is_named(const struct object *o, const struct entry_name *e)
{
	for (size_t k = 0; k < o->count; k++)
		if (o->versions[k].reg == REG_CONTENT &&
		    names(&o->versions[k], e))
			return true;
	return false;
}

/* The keys of an object's entries, of which some may go. */
struct keys {
	uint8_t (*list)[KEY_BYTES];
	size_t count, alloc;
};

static int keys_add(struct keys *l, struct slice key)
{
	if (l->count == l->alloc) {
		size_t alloc = MAX_OF(l->alloc * 2, (size_t)BASES_MAX);
		void *p = reallocarray(l->list, alloc, KEY_BYTES);

		if (!p)
			return -ENOMEM;
		l->list = p;
		l->alloc = alloc;
	}
	memcpy(l->list[l->count++], key.data, KEY_BYTES);
	return 0;
}

/* Deletes what `o` (NULL: nothing) does not name; the others stay in `l`. */
static int drop_unnamed(struct tree *t, struct objid id,
			const struct object *o, struct keys *l)
{
	uint8_t key[KEY_BYTES + 1];
	size_t len = 16;
	int r = 0;

	memcpy(key, id.b, 16);
	while (!r) {
		struct entry_name e;
		struct slice k, v;

		r = base_seek(t, id, key, len, &k, &v);
		if (r)
			return r == -ENOENT ? 0 : r;
		if (v.len < 9)
			return -EUCLEAN;
		memcpy(key, k.data, KEY_BYTES);
		key[KEY_BYTES] = 0;
		len = KEY_BYTES + 1;
		e.hlc = get_be64(key + 16);
		e.dot.origin = get_be64(key + 24);
		e.dot.seq = get_be64(key + 32);
		e.hash64 = get_le64(v.data + 1);
		if (o && is_named(o, &e))
			r = keys_add(l, SLICE(key, KEY_BYTES));
		else
			r = store_del(t->store, TABLE_BASE,
				      SLICE(key, KEY_BYTES));
	}
	return r;
}

int base_trim(struct tree *t, const struct object *o)
{
	struct keys l = { 0 };
	int r;

	if (!store_count(t->store, TABLE_BASE))
		return 0;
	r = drop_unnamed(t, o->id, o, &l);
	/* (list[0] is the oldest: the one that is most likely all's) */
	for (size_t k = 1; !r && k + BASES_MAX < l.count + 1; k++)
		r = store_del(t->store, TABLE_BASE,
			      SLICE(l.list[k], KEY_BYTES));
	free(l.list);
	return r;
}

int base_forget(struct tree *t, struct objid id)
{
	if (!store_count(t->store, TABLE_BASE))
		return 0;
	return drop_unnamed(t, id, NULL, NULL);
}

int base_merged(struct tree *t, const struct object *before,
		const struct object *after)
{
	bool any = false;
	int r = 0;

	for (size_t k = 0; !r && k < before->count; k++) {
		const struct version *v = &before->versions[k];

		if (v->reg != REG_CONTENT || object_find(after, v) >= 0)
			continue;
		any = true;
		r = base_note(t, after->id, v);
	}
	return r || !any ? r : base_trim(t, after);
}

size_t base_choose_far(struct tree *t, const struct dot *list, size_t count,
		       struct dot ret[FAR_MAX])
{
	size_t sent = 0, all = 0, n = 0;

	if (!count || t->alone)
		return 0;
	while (sent < count && list[sent].origin == t->origin &&
	       list[sent].seq > t->sent_seq)
		sent++;
	while (all < count && !know_covers(&t->base_acked, list[all]))
		all++;
	if (all == count)
		all--; /* nobody said: the oldest, then */
	if (sent < all)
		ret[n++] = list[sent];
	if (!n || !dot_equal(ret[0], list[all]))
		ret[n++] = list[all];
	return n;
}

/* ---- the common ancestor */

struct lines {
	struct object *o;
	struct base *bases;
	size_t base_count;
};

static bool is_in_line(const struct version *v, const struct entry_name *e)
{
	struct entry_name own = version_entry_name(v);

	return !entry_name_compare(&own, e) || names(v, e);
}

static bool is_common(const struct info *i, const struct entry_name *e)
{
	for (size_t k = 0; k < i->branch_count; k++)
		if (!i->branches[k].is_void &&
		    !is_in_line(i->branches[k].top, e))
			return false;
	return true;
}

/* A dot alone, as another names it, or as it is remembered. */
static bool name_of_dot(const struct lines *l, const struct info *i,
			struct dot dot, struct entry_name *ret)
{
	for (size_t k = 0; k < l->base_count; k++) {
		*ret = l->bases[k].name;
		if (dot_equal(ret->dot, dot))
			return true;
	}
	for (size_t g = 0; g < i->branch_count; g++) {
		const struct version *v = i->branches[g].top;

		*ret = version_entry_name(v);
		for (size_t k = 0; !dot_equal(ret->dot, dot) &&
				   k < v->content.anc_count; k++)
			*ret = v->content.anc[k];
		if (dot_equal(ret->dot, dot))
			return true;
	}
	return false;
}

/* What all name, in ret (room for a line). */
static size_t common_ancestors(const struct lines *l, const struct info *i,
			       struct entry_name ret[LINE_MAX + 1])
{
	const struct content_value *c;
	const struct branch *b = info_first_real(i);
	struct entry_name all[LINE_MAX + 1];
	size_t n = 0, out = 0;

	c = &b->top->content;
	all[n++] = version_entry_name(b->top);
	for (size_t k = 0; k < c->anc_count; k++)
		all[n++] = c->anc[k];
	for (size_t k = 0; k < n; k++)
		if (is_common(i, &all[k]))
			ret[out++] = all[k];
	/* (what stands far back is older than all of these) */
	for (size_t k = 0; !out && k < c->far_count; k++)
		if (name_of_dot(l, i, c->far[k], ret) && is_common(i, ret))
			out = 1;
	return out;
}

/* A version with this name; or else with this content, which is the same one
 * again. */
static bool find_version(const struct lines *l, const struct entry_name *e,
			 struct base *ret)
{
	bool found = false;

	for (size_t k = 0; k < l->base_count; k++) {
		const struct base *b = &l->bases[k];

		if (!entry_name_compare(&b->name, e)) {
			*ret = *b;
			return true;
		}
		if (b->name.hash64 == e->hash64 && !found) {
			*ret = *b;
			found = true;
		}
	}
	for (size_t k = 0; !found && k < l->o->count; k++) {
		const struct version *v = &l->o->versions[k];
		const struct content_value *c = &v->content;

		if (v->reg != REG_CONTENT || v->flags & VERSION_VOID ||
		    version_entry_name(v).hash64 != e->hash64)
			continue;
		*ret = (struct base){ .name = version_entry_name(v),
				      .content = c->content };
		ret->line = c->anc;
		ret->line_count = c->anc_count;
		found = true;
	}
	return found;
}

/* Is e one of what b was made from? What is older than all that b names may
 * be: then it is taken for one. */
static bool is_behind(const struct entry_name *e, const struct base *b)
{
	const struct entry_name *oldest = NULL;

	for (size_t k = 0; k < b->line_count; k++)
		if (!oldest || entry_name_compare(&b->line[k], oldest) < 0)
			oldest = &b->line[k];
	return oldest && (entry_names_have(b->line, b->line_count, e) ||
			  entry_name_compare(e, oldest) < 0);
}

static int newest_common(const struct lines *l, const struct info *i,
			 struct base *ret)
{
	struct entry_name all[LINE_MAX + 1];
	size_t n = common_ancestors(l, i, all), best = 0;

	for (size_t k = 1; k < n; k++)
		if (entry_name_compare(&all[k], &all[best]) > 0)
			best = k;
	if (!n || !all[best].hash64 || !find_version(l, &all[best], ret))
		return -ENOENT;
	for (size_t k = 0; k < n; k++)
		if (all[k].hash64 != all[best].hash64 &&
		    !is_behind(&all[k], ret))
			return -ENOENT;
	ret->name = all[best];
	return 0;
}

int base_of_branches(struct tree *t, struct object *o, const struct info *i,
		     struct content *ret, struct dot *ret_dot)
{
	struct lines l = { .o = o };
	struct base b = { .line_count = 0 };
	int r;

	if (i->real_count < 2)
		return -ENOENT;
	r = bases_load(t, o, &l.bases, &l.base_count);
	if (!r)
		r = newest_common(&l, i, &b);
	if (r)
		return r;
	*ret = b.content;
	*ret_dot = b.name.dot;
	return 0;
}

/* ---- what all have */

/* The object's entries go if all have the row as it is. */
static int prune_one(struct tree *t, struct objid id)
{
	struct row row;
	struct info i;
	bool keep;
	int r = row_read(t, id, &row);

	if (r)
		return r;
	r = info_init(&i, &row.o);
	keep = r || i.branch_count + i.hidden_count > 1;
	for (size_t k = 0; !keep && k < row.o.count; k++)
		keep = row.o.versions[k].reg == REG_CONTENT &&
		       !know_covers(&t->base_walk, row.o.versions[k].dot);
	info_release(&i);
	row_release(&row);
	return r || keep ? r : base_forget(t, id);
}

static int prune_objects(struct tree *t, size_t max, bool *ret_done)
{
	int r = 0;

	*ret_done = false;
	while (!r && max--) {
		struct slice k, v;
		struct objid id;

		r = store_seek(t->store, TABLE_BASE,
			       SLICE(t->base_next.b, sizeof(t->base_next.b)),
			       &k, &v);
		if (r == -ENOENT) {
			*ret_done = true;
			return 0;
		}
		if (!r && k.len != KEY_BYTES)
			r = -EUCLEAN;
		if (r)
			break;
		memcpy(id.b, k.data, sizeof(id.b));
		t->base_next = id;
		if (!objid_next(&t->base_next)) {
			*ret_done = true;
			return prune_one(t, id);
		}
		r = prune_one(t, id);
	}
	return r;
}

/* (what all had is to be known after a restart, too: base_choose_far) */
static int prune_slice(struct tree *t, size_t max, bool *ret_done)
{
	cleanup(buf_release) struct buf b = BUF_INIT;
	int r = prune_objects(t, max, ret_done);

	if (r || !*ret_done)
		return r;
	know_encode(&t->base_walk, &b);
	r = buf_error(&b);
	return r ? r : store_put(t->store, TABLE_META, SLICE_STR(META_ACKED),
				 buf_slice(&b));
}

int base_load(struct tree *t)
{
	struct slice v;
	struct reader in;
	int r = store_get(t->store, TABLE_META, SLICE_STR(META_ACKED), &v);

	know_clear(&t->base_acked);
	if (r)
		return r == -ENOENT ? 0 : r;
	in = READER(v.data, v.len);
	r = know_decode(&in, &t->base_acked);
	if (!r)
		r = reader_done(&in);
	return r == -EBADMSG || r == -E2BIG ? -EUCLEAN : r;
}

int replica_base_prune(struct tree *t, const struct know *acked, size_t max,
		       bool *ret_done)
{
	bool begins = objid_is_root(t->base_next);
	int r = 0;

	*ret_done = true;
	if (begins) {
		/* The same as the last time: nothing that stayed may go. */
		if (know_leq(acked, &t->base_acked) &&
		    know_leq(&t->base_acked, acked))
			return 0;
		r = know_copy(&t->base_walk, acked);
	}
	if (!r && (!begins || store_count(t->store, TABLE_BASE))) {
		r = replica_begin(t);
		if (!r)
			store_op_makes_room(t->store);
		if (!r)
			r = replica_end(t, prune_slice(t, max, ret_done));
	}
	if (r || !*ret_done)
		return r;
	t->base_next = ROOT_ID;
	return know_copy(&t->base_acked, &t->base_walk);
}

void replica_set_alone(struct tree *t, bool alone)
{
	t->alone = alone;
}

/* ---- what it names */

int base_contents_each(struct slice value,
		       int (*fn)(void *arg, const struct content *), void *arg)
{
	struct reader in = READER(value.data, value.len);
	struct content c;

	if (reader_u8(&in) != BASE_FORMAT)
		return -EUCLEAN;
	(void)reader_u64(&in);
	content_get(&in, &c);
	if (reader_ok(&in))
		return -EUCLEAN;
	return c.depth ? fn(arg, &c) : 0;
}

/* ---- checks */

int base_check(struct tree *t, struct objid id, uint64_t *entries)
{
	cleanup(object_release) struct object o;
	struct base *list;
	size_t n = 0;
	int r;

	object_init(&o, id);
	r = bases_load(t, &o, &list, &n);
	for (size_t k = 0; !r && k < n; k++) {
		const struct content *c = &list[k].content;

		if (!list[k].name.dot.seq || !list[k].name.hash64 ||
		    (c->depth && get_le64(c->root.b) != list[k].name.hash64))
			r = -EUCLEAN;
	}
	*entries += n;
	return r;
}
