/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Renaming a branch. A version (o, n) with n above n0 becomes (x, n): same
 * register, value, hlc and flags. What names *other* versions stays as it
 * was written: rank, branch, since, ancestors, seen. Those name a CONTENT by
 * (hlc, dot, hash) of its first days for ever, so a renamed CONTENT carries
 * its first origin, else what was seen would be unknown again, and what was
 * reverted would come back.
 *
 * Why renaming, and not writing again under new dots: only this is the same
 * at every node. If one node wrote (o, n) again as its own, another that
 * holds (o, n) too would not know that both are one version; and if it only
 * lowered K of o, its own later dots would go on claiming that it knows what
 * they were made from. By renaming, what a node knew and removed stays known
 * (K[x] := K[o]), and what it did not know it gets from either branch.
 *
 * The way is over all rows: there is no index by origin, for something that
 * happens when somebody brings back a backup.
 */
#include "fs/tree/fork.h"

#include <errno.h>
#include <string.h>

#include "fs/tree/dirty.h"
#include "fs/tree/saves.h"

/* Keys of table INO that begin with this are numbers. */
#define INO_NUMBER 'i'

bool fork_goes(const struct fork_branch *it, const struct fork_branch *other)
{
	if (it->mark != other->mark)
		return it->mark < other->mark;
	return it->first < other->first;
}

struct fork {
	uint64_t origin, above, root;
	uint64_t alias;
};

/* ---- versions */

static bool rename_versions(const struct fork *f, struct object *o)
{
	bool any = false;

	for (size_t k = 0; k < o->count; k++) {
		struct version *v = &o->versions[k];

		if (v->dot.origin != f->origin || v->dot.seq <= f->above)
			continue;
		if (v->reg == REG_CONTENT)
			v->first_origin = version_first_dot(v).origin;
		v->dot.origin = f->alias;
		any = true;
	}
	return any;
}

/* Do the bytes hold the origin anywhere? Spares decoding nearly all. */
static bool may_name(const struct fork *f, struct slice bytes)
{
	uint8_t origin[8];

	put_le64(origin, f->origin);
	return memmem(bytes.data, bytes.len, origin, sizeof(origin)) != NULL;
}

/* What is shown while the content is still to come. */
static int rename_prior(struct tree *t, const struct fork *f, struct objid id)
{
	struct row row;
	int r = row_load(t, id, &row);

	if (!r && row.has_prior && rename_versions(f, &row.prior))
		r = row_store_local(t, &row);
	row_release(&row);
	return r;
}

static int rename_row(struct tree *t, const struct fork *f, struct objid id)
{
	struct object o;
	int r = rename_prior(t, f, id);

	if (r)
		return r;
	r = replica_row_load(t, id, &o);
	if (!r && rename_versions(f, &o))
		r = replica_row_store(t, &o, 0);
	object_release(&o);
	return r;
}

/* ---- all that holds versions: a table, walked by key */

struct walk {
	struct tree *tree;
	const struct fork *fork;
	uint8_t key[STORE_KEY_BYTES_MAX + 1];
	size_t key_len;
};

static int walk_row(struct walk *w, struct slice value)
{
	struct objid id;

	if (w->key_len != sizeof(id.b))
		return -EUCLEAN;
	if (!may_name(w->fork, value))
		return 0;
	memcpy(id.b, w->key, sizeof(id.b));
	return rename_row(w->tree, w->fork, id);
}

/* An encoded object behind `head` bytes of a value. */
static int rename_value(struct walk *w, enum store_table table,
			struct slice value, size_t head)
{
	struct buf b = BUF_INIT;
	struct object o;
	int r;

	if (value.len < head)
		return -EUCLEAN;
	object_init(&o, ROOT_ID);
	r = object_decode(SLICE(value.data + head, value.len - head), &o);
	if (!r && rename_versions(w->fork, &o)) {
		buf_put(&b, value.data, head);
		r = object_encode(&o, &b);
		if (!r)
			r = store_put(w->tree->store, table,
				      SLICE(w->key, w->key_len),
				      buf_slice(&b));
	}
	buf_release(&b);
	object_release(&o);
	return r == -EBADMSG ? -EUCLEAN : r;
}

static int walk_base(struct walk *w, struct slice value)
{
	uint64_t offset = w->key_len == 16 ? get_be64(w->key + 8) : 0;

	if ((offset != DIRTY_OFFSET_BASE && offset != DIRTY_OFFSET_KNOWN) ||
	    !may_name(w->fork, value))
		return 0;
	return rename_value(w, TABLE_DIRTY, value, 0);
}

static int walk_ino(struct walk *w, struct slice value)
{
	if (w->key[0] != INO_NUMBER || !value.len ||
	    value.data[0] != INO_DETACHED || !may_name(w->fork, value))
		return 0;
	return rename_value(w, TABLE_INO, value, 1 + sizeof(struct objid));
}

static int walk_table(struct tree *t, const struct fork *f,
		      enum store_table table,
		      int (*fn)(struct walk *, struct slice value))
{
	struct walk w = { .tree = t, .fork = f };
	size_t from = 0;
	int r;

	for (;;) {
		struct slice k, v;

		r = store_seek(t->store, table, SLICE(w.key, from), &k, &v);
		if (r)
			return r == -ENOENT ? 0 : r;
		kin_assert(k.len <= STORE_KEY_BYTES_MAX);
		memcpy(w.key, k.data, k.len);
		w.key_len = k.len;
		r = fn(&w, v);
		if (r)
			return r;
		/* the next one: this key and a zero byte */
		w.key[w.key_len] = 0;
		from = w.key_len + 1;
	}
}

/* ---- knowledge */

static int know_rename(struct know *k, const struct fork *f)
{
	uint64_t seq = know_get(k, f->origin);
	int r = 0;

	if (seq <= f->above)
		return 0;
	if (know_get(k, f->alias) < seq)
		r = know_set(k, f->alias, seq);
	return r ? r : know_set(k, f->origin, f->above);
}

/* Every entry: they say what rows were sent under other names. */
static int cuts_clear(struct tree *t)
{
	struct slice k, v;
	uint8_t key[8];
	bool sound;
	int r;

	while (!(r = store_peek(t->store, TABLE_CUT, SLICE("", 0), &k, &v,
				&sound))) {
		if (k.len != 8)
			return -EUCLEAN;
		memcpy(key, k.data, 8);
		r = store_del(t->store, TABLE_CUT, SLICE(key, 8));
		if (r)
			return r;
	}
	return r == -ENOENT ? 0 : r;
}

/*
 * Everybody is to take a full stream from here: an empty operation of our
 * own, which the horizon says one must know.
 */
static int demand_full(struct tree *t)
{
	struct know own = { &t->op_dot, 1, 1 };
	int r = cuts_clear(t);

	if (r)
		return r;
	op_tick_again(t);
	return replica_horizon_join(t, &own);
}

#define META_INCARNATION "incarnation"
#define INCARNATION_BYTES (1 + 8 + 4)

/* [locked] */
static int incarnation_get(struct tree *t, struct tree_incarnation *ret)
{
	struct slice v;
	struct reader in;
	int r = store_get(t->store, TABLE_META, SLICE_STR(META_INCARNATION),
			  &v);

	*ret = (struct tree_incarnation){ 0 };
	if (r)
		return r == -ENOENT ? 0 : r;
	in = READER(v.data, v.len);
	ret->cause = (enum tree_cause)reader_u8(&in);
	ret->time = (int64_t)reader_u64(&in);
	ret->count = reader_u32(&in);
	return reader_done(&in) ? -EUCLEAN : 0;
}

int incarnation_check(struct tree *t)
{
	struct tree_incarnation i;

	return incarnation_get(t, &i);
}

static int incarnation_note(struct tree *t, enum tree_cause cause)
{
	cleanup(buf_release) struct buf b = BUF_INIT;
	struct tree_incarnation i;
	int r = incarnation_get(t, &i);

	if (r)
		return r;
	buf_put_u8(&b, (uint8_t)cause);
	buf_put_u64(&b, (uint64_t)(t->env->now_ns(t->env->arg) / 1000000000));
	buf_put_u32(&b, i.count + 1);
	r = buf_error(&b);
	return r ? r : store_put(t->store, TABLE_META,
				 SLICE_STR(META_INCARNATION), buf_slice(&b));
}

int tree_incarnation(struct tree *t, struct tree_incarnation *ret)
{
	int r;

	store_lock(t->store);
	r = incarnation_get(t, ret);
	store_unlock(t->store);
	return r;
}

int replica_reincarnate(struct tree *t, enum tree_cause cause)
{
	uint8_t value[8];
	uint64_t origin;
	int r;

	do
		t->env->random(t->env->arg, &origin, sizeof(origin));
	while (!origin || know_get(&t->know, origin));
	t->know_changed = true;
	/* (makes room for the own entry, or says that there is none) */
	r = know_set(&t->know, origin, 1);
	if (r)
		return r;
	r = know_set(&t->know, origin, 0);
	if (r)
		return r;
	t->origin = origin;
	t->skip_to = t->ceiling = 0;
	t->held_seq = t->sent_seq = 0;
	lefts_release(t);
	t->chain_head = (struct hash){ { 0 } };
	t->chain_begun = false;
	/* Of this operation nothing may have been drawn before. */
	kin_assert(!t->ticked);
	put_le64(value, origin);
	r = store_put(t->store, TABLE_META, SLICE_STR("origin"),
		      SLICE(value, sizeof(value)));
	if (!r)
		r = incarnation_note(t, cause);
	return r ? r : demand_full(t);
}

int copy_reincarnate(struct tree *t)
{
	int r = op_begin_locked(t);

	if (r)
		return r;
	return op_end_locked(t, replica_reincarnate(t, CAUSE_COPY));
}

/* ---- the branch */

static int fork_begin(struct tree *t, uint64_t origin, uint64_t n0,
		      struct fork *f)
{
	struct birth b = { .root = chain_root(t, origin) };
	int r = chain_next(t, (struct dot){ origin, n0 }, &b.first);

	if (r)
		return r;
	if (!b.first)
		return -ENOENT;
	r = chain_get(t, (struct dot){ origin, b.first }, &b.mark);
	if (r)
		return r;
	b.alias = birth_alias(b.root, b.first, b.mark);
	/* Its own first number: it has that name already. */
	if (b.alias == origin)
		return -ENOENT;
	*f = (struct fork){ .origin = origin, .root = b.root,
			    .alias = b.alias };
	/* Numbers that were skipped here may be used on the other branch. */
	r = chain_last(t, (struct dot){ origin, n0 }, &f->above);
	return r ? r : chain_birth_add(t, &b);
}

int replica_fork(struct tree *t, uint64_t origin, uint64_t n0,
		 uint64_t *ret_alias)
{
	struct fork f;
	int r = fork_begin(t, origin, n0, &f);

	/* Names shown a moment ago may be told by versions that go. */
	memset(t->aliases, 0, sizeof(t->aliases));
	lefts_release(t);
	if (!r)
		r = walk_table(t, &f, TABLE_OBJ, walk_row);
	if (!r)
		r = walk_table(t, &f, TABLE_DIRTY, walk_base);
	if (!r)
		r = walk_table(t, &f, TABLE_INO, walk_ino);
	if (!r)
		r = chain_move(t, origin, f.above, f.alias);
	if (r)
		return r;
	t->know_changed = true;
	r = know_rename(&t->know, &f);
	if (r)
		return r;
	/* (stored with the dot that goes into it next) */
	t->horizon_changed = true;
	r = know_rename(&t->horizon, &f);
	if (r)
		return r;
	if (ret_alias)
		*ret_alias = f.alias;
	return origin == t->origin ? replica_reincarnate(t, CAUSE_BRANCH)
				   : demand_full(t);
}
