/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The volume and its operations. An operation of the file system is one
 * store operation and draws at most one dot, when it writes its first
 * version; op_end() settles the view, writes the clock and hands over to the
 * intent log. What an operation changed in memory is taken back when it
 * fails.
 */
#include "fs/tree/tree.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/base/hash.h"
#include "fs/base/log.h"
#include "fs/store/headroom.h"
#include "fs/tree/fork.h"
#include "fs/tree/hist.h"
#include "fs/tree/list.h"
#include "fs/tree/meta.h"
#include "fs/tree/roots.h"
#include "fs/tree/saves.h"
#include "fs/tree/xattr_local.h"

/* A remote clock may lead the wall clock by this much, else it is clamped. */
#define HLC_AHEAD_MS (10 * 60 * 1000)
#define HLC_COUNTER_BITS 16
/* Own numbers are reserved in blocks, and this many ahead at least. */
#define NUMBERS_BLOCK 1024
#define NUMBERS_AHEAD 512

/* ---- clocks */

/* When the operation in hand began. */
struct timespec tree_now(struct tree *t)
{
	int64_t ns = t->op_now_ns;

	return (struct timespec){ ns / 1000000000, ns % 1000000000 };
}

static uint64_t wall_hlc(struct tree *t)
{
	int64_t ns = t->env->now_ns(t->env->arg);

	return (uint64_t)MAX_OF(ns / 1000000, (int64_t)0) << HLC_COUNTER_BITS;
}

/* Greater than every one before, and not behind the wall clock. */
uint64_t tree_now_hlc(struct tree *t)
{
	t->hlc = MAX_OF(t->hlc + 1, wall_hlc(t));
	return t->hlc;
}

uint64_t replica_hlc(struct tree *t)
{
	return MAX_OF(t->hlc, wall_hlc(t));
}

void replica_hlc_heard(struct tree *t, uint64_t hlc)
{
	uint64_t limit = wall_hlc(t) +
			 ((uint64_t)HLC_AHEAD_MS << HLC_COUNTER_BITS);

	t->hlc = MAX_OF(t->hlc, MIN_OF(hlc, limit));
}

void op_tick_again(struct tree *t)
{
	uint64_t seq = MAX_OF(know_get(&t->know, t->origin), t->skip_to) + 1;

	/* There is room for the own entry: this cannot fail. */
	kin_assert(!know_set(&t->know, t->origin, seq));
	if (!t->ticked) {
		t->op_first = seq;
		t->op_digest = (struct hash){ { 0 } };
	}
	t->op_dot = (struct dot){ t->origin, seq };
	t->op_hlc = tree_now_hlc(t);
	t->ticked = true;
}

void op_tick(struct tree *t)
{
	if (!t->ticked)
		op_tick_again(t);
}

struct stamp op_stamp(struct tree *t)
{
	return (struct stamp){ t->op_hlc, t->op_dot, 0 };
}

bool op_drew(const struct tree *t, struct dot dot)
{
	return t->ticked && dot.origin == t->origin && dot.seq >= t->op_first;
}

struct version op_version(struct tree *t, uint8_t reg)
{
	return (struct version){ .dot = t->op_dot, .hlc = t->op_hlc,
				 .reg = reg };
}

struct slice tree_label_slice(struct tree *t)
{
	return SLICE_STR(t->label);
}

/* ---- operations */

/* What the operation changed in memory, back to what the store says. */
static void op_restore(struct tree *t)
{
	struct slice v;
	struct reader in;

	if (t->know_changed &&
	    !store_get(t->store, TABLE_META, SLICE_STR("know"), &v)) {
		in = READER(v.data, v.len);
		kin_assert(!know_decode(&in, &t->know));
	}
	if (t->horizon_changed)
		kin_assert(!horizon_load(t));
	if (t->applying_changed)
		kin_assert(!applying_load(t));
	if (t->origin != t->saved.origin)
		t->held_seq = t->saved.seq;
	t->origin = t->saved.origin;
	kin_assert(!know_set(&t->know, t->origin, t->saved.seq));
	if (t->births_changed)
		kin_assert(!chain_load(t));
	t->chain_head = t->saved.chain_head;
	t->chain_begun = t->saved.chain_begun;
	t->ceiling = t->saved.ceiling;
	t->skip_to = t->saved.skip_to;
	t->lseq = t->saved.lseq;
	t->next_ino = t->saved.next_ino;
	t->sum = t->saved.sum;
	t->hist = t->saved.hist;
	if (t->recount)
		t->recount->sum = t->saved.recount;
	t->group_records = store_count(t->store, TABLE_GROUP);
}

int op_begin_locked(struct tree *t)
{
	int r = store_op_begin(t->store);

	if (r)
		return r;
	t->saved.origin = t->origin;
	t->saved.seq = know_get(&t->know, t->origin);
	/* A group was committed (or this is the first operation since the
	 * store was opened): what ended before may be in it. */
	if (t->held_group != store_group(t->store)) {
		t->held_group = store_group(t->store);
		t->held_seq = t->saved.seq;
	}
	t->saved.chain_head = t->chain_head;
	t->saved.chain_begun = t->chain_begun;
	t->saved.ceiling = t->ceiling;
	t->saved.skip_to = t->skip_to;
	t->saved.lseq = t->lseq;
	t->saved.next_ino = t->next_ino;
	t->saved.sum = t->sum;
	t->saved.hist = t->hist;
	if (t->recount)
		t->saved.recount = t->recount->sum;
	t->op_now_ns = t->env->now_ns(t->env->arg);
	t->op_removed = 0;
	t->ticked = false;
	t->remote = false;
	t->know_changed = t->horizon_changed = t->births_changed = false;
	t->applying_changed = t->hist_changed = false;
	work_clear(t);
	return 0;
}

/*
 * Numbers are reserved before they are used, by the operations before: so
 * no number is ever told to anyone while only a lost write knows of it.
 */
static void reserve_numbers(struct tree *t)
{
	uint64_t need = know_get(&t->know, t->origin) + NUMBERS_AHEAD;

	if (t->ceiling < need)
		t->ceiling = (need / NUMBERS_BLOCK + 1) * NUMBERS_BLOCK;
}

static int op_finish(struct tree *t)
{
	int r = settle(t);

	if (!r && t->ticked) {
		reserve_numbers(t);
		r = chain_end_op(t);
	}
	if (!r && t->know_changed)
		r = meta_set_know(t);
	if (!r && t->hist_changed)
		r = hist_save(t);
	if (!r)
		r = meta_set_clock(t);
	return r;
}

int op_end_locked(struct tree *t, int r)
{
	if (!r)
		r = op_finish(t);
	if (!r)
		r = store_op_end(t->store);
	else
		store_op_abort(t->store);
	if (r)
		op_restore(t);
	else if (t->ticked && t->observer.changed)
		t->observer.changed(t->observer.arg);
	if (!r && t->op_removed)
		orphan_hold(t);
	work_clear(t);
	return r;
}

void room_wait(struct tree *t)
{
	(void)!store_room(t->store, 0);
}

int op_begin(struct tree *t)
{
	int r;

	store_lock(t->store);
	r = op_begin_locked(t);
	if (r)
		store_unlock(t->store);
	return r;
}

int op_end(struct tree *t, int r)
{
	r = op_end_locked(t, r);
	store_unlock(t->store);
	return r;
}

int tree_sync(struct tree *t)
{
	return store_sync(t->store);
}

/* ---- volumes */

bool tree_exists(struct store *s)
{
	bool yes;

	store_lock(s);
	yes = meta_exists(s);
	store_unlock(s);
	return yes;
}

static int root_create(struct tree *t, const struct tree_options *o)
{
	struct row row;
	struct version v;
	int r = row_load(t, ROOT_ID, &row);

	if (r)
		return r;
	op_tick(t);
	v = op_version(t, REG_KIND);
	v.kind.kind = KIND_DIR;
	r = row_add(&row, &v);
	v = op_version(t, REG_MODE);
	v.mode.perm = o->root_perm & 07777;
	if (!r)
		r = row_add(&row, &v);
	v = op_version(t, REG_OWNER);
	v.owner.user = o->user;
	v.owner.group = o->group;
	if (!r)
		r = row_add(&row, &v);
	v = op_version(t, REG_TIMES);
	v.times.mtime = v.times.btime = tree_now(t);
	if (!r)
		r = row_add(&row, &v);
	if (!r)
		r = row_store(t, &row, 0);
	row_release(&row);
	return r;
}

static int volume_create(struct tree *t, const struct tree_options *o)
{
	struct inoref root = { .type = INO_OBJECT, .id = ROOT_ID };
	uint8_t origin[8], secret[SECRET_BYTES];
	int r;

	if (!label_is_valid(o->label))
		return -EINVAL;
	t->volume = o->volume;
	memcpy(t->label, o->label.data, o->label.len);
	do
		t->env->random(t->env->arg, &t->origin, sizeof(t->origin));
	while (!t->origin);
	t->next_ino = TREE_ROOT_INO + 1;
	put_le64(origin, t->origin);
	if (o->secret)
		memcpy(secret, o->secret, sizeof(secret));
	else
		t->env->random(t->env->arg, secret, sizeof(secret));
	r = secret_set(t, secret);
	if (!r)
		r = op_begin(t);
	if (r)
		return r;
	t->know_changed = true;
	r = meta_set(t, "volume", SLICE(o->volume.b, sizeof(o->volume.b)));
	if (!r)
		r = meta_set(t, "label", o->label);
	if (!r)
		r = meta_set(t, "origin", SLICE(origin, sizeof(origin)));
	if (!r)
		r = meta_set(t, "secret", SLICE(secret, sizeof(secret)));
	if (!r)
		r = ino_put(t, TREE_ROOT_INO, &root);
	/* A joiner's root comes with its first cut. */
	if (!r && o->user.len)
		r = root_create(t, o);
	r = op_end(t, r);
	return r ? r : store_sync(t->store);
}

static int mend_is_over(struct tree *t)
{
	struct slice v;
	int r = store_get(t->store, TABLE_META, SLICE_STR(META_MEND), &v);

	if (r == -ENOENT)
		return 0;
	return r ? r
		 : log_errno(-EUCLEAN, "store '%s': a repair was broken off: "
			     "run `kin check --repair` again",
			     store_path(t->store));
}

/* What is damaged is told; and mended, if the store may be changed. */
static int meta_load_mending(struct tree *t, const struct tree_options *o)
{
	unsigned int damaged;
	int r = meta_load(t, &damaged);

	for (enum meta_key k = 0; !r && k < META_KEYS; k++)
		if (damaged & META_BIT(k))
			o->damaged(o->damaged_arg, meta_name(k));
	if (r || !damaged)
		return r;
	return o->mended ? meta_mend(t, damaged, o) : -EUCLEAN;
}

int tree_open(const struct tree_options *o, struct tree **ret)
{
	struct tree *t = calloc(1, sizeof(*t));
	int r;

	if (!t)
		return -ENOMEM;
	t->store = o->store;
	t->env = o->env;
	t->cut_next_ns = UINT64_MAX;
	t->hist_limits = (struct replica_history_limits){ UINT64_MAX,
							  UINT64_MAX };
	pthread_mutex_init(&t->cut_mutex, NULL);
	pthread_cond_init(&t->cut_cond, NULL);
	store_lock(t->store);
	store_set_roots(t->store, &tree_roots);
	store_unlock(t->store);
	if (tree_exists(o->store)) {
		store_lock(t->store);
		r = o->mending ? meta_load_mending(t, o) : mend_is_over(t);
		if (!r && !o->mending)
			r = meta_load(t, NULL);
		t->group_records = store_count(t->store, TABLE_GROUP);
		if (!r)
			r = dirty_load_all(t);
		if (!r && o->is_copy)
			r = copy_reincarnate(t);
		if (!r && !o->goes_on && !o->mending)
			r = ino_forget_kept(t);
		store_unlock(t->store);
	} else {
		r = volume_create(t, o);
	}
	if (r) {
		tree_close(t);
		return r;
	}
	*ret = t;
	return 0;
}

int tree_stop(struct tree *t)
{
	int r = op_begin(t);

	if (r)
		return r;
	t->ceiling = MAX_OF(know_get(&t->know, t->origin), t->skip_to);
	return op_end(t, 0);
}

void tree_close(struct tree *t)
{
	struct inode *i, *next;

	if (!t)
		return;
	HASH_ITER(hh, t->inodes, i, next) {
		HASH_DEL(t->inodes, i);
		free(i);
	}
	listing_forget(t);
	pending_release(t);
	lefts_release(t);
	free(t->work.spots.spots);
	idlist_release(&t->work.dirs);
	idlist_release(&t->work.died);
	idlist_release(&t->work.live);
	idlist_release(&t->work.contents);
	free(t->work.views.spots);
	know_release(&t->know);
	free(t->births);
	mac_free(t->mac);
	know_release(&t->horizon);
	know_release(&t->base_acked);
	know_release(&t->base_walk);
	know_release(&t->applying);
	pthread_cond_destroy(&t->cut_cond);
	pthread_mutex_destroy(&t->cut_mutex);
	free(t);
}

void tree_observe(struct tree *t, const struct tree_observer *o)
{
	store_lock(t->store);
	t->observer = *o;
	store_unlock(t->store);
}

struct store *tree_store(struct tree *t)
{
	return t->store;
}

struct volid tree_volume(struct tree *t)
{
	return t->volume;
}

void tree_label(struct tree *t, char ret[LABEL_BYTES_MAX + 1])
{
	store_lock(t->store);
	memcpy(ret, t->label, sizeof(t->label));
	store_unlock(t->store);
}

void tree_statfs(struct tree *t, struct tree_statfs *ret)
{
	store_lock(t->store);
	ret->objects = store_count(t->store, TABLE_OBJ);
	store_unlock(t->store);
}

/* ---- events */

void event_inode(struct tree *t, uint64_t ino)
{
	if (t->observer.inode)
		t->observer.inode(t->observer.arg, ino);
}

/* The kernel may know a merged directory by any of its members' numbers. */
void event_entry(struct tree *t, struct objid dir, struct slice name)
{
	struct idlist members = { 0 };

	if (!t->observer.entry || group_members(t, dir, &members))
		return;
	for (size_t k = 0; k < members.count; k++) {
		struct row row;
		uint64_t ino = TREE_ROOT_INO;

		if (!objid_is_root(members.ids[k])) {
			if (row_load(t, members.ids[k], &row))
				continue;
			ino = row.ino;
			row_release(&row);
		}
		if (ino)
			t->observer.entry(t->observer.arg, ino, name);
	}
	idlist_release(&members);
}
