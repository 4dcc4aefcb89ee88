/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What META said and cannot be read any more, made again.
 *
 * K follows from the marks (chain.h): there is one for each number that it
 * covers, and none above, unless a large cut is being applied; then K is what
 * it was at its last note in the cut table, and rows that say more than that
 * are taken in once more as they come. The clock follows from the rows, as
 * far as anybody has seen it.
 *
 * Who lost his origin, his numbers, or what he knew, does not go on with
 * them: he takes a new origin, as a store that was restored, so that no
 * number is used twice, and everybody takes a full stream from him. Who lost
 * the horizon claims all that he knows: somebody who was away takes a full
 * stream then, too many rather than too few.
 *
 * What only others have, and do not give, is the volume's secret. With others
 * in it the store becomes a volume of its own: nothing in it is lost, and its
 * user may join the others again beside it.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "fs/tree/chain.h"
#include "fs/tree/fork.h"
#include "fs/tree/hist.h"
#include "fs/tree/mend.h"
#include "fs/tree/meta.h"

/* Inode numbers that may have been given out and are nowhere any more. */
#define INOS_SKIPPED (UINT64_C(1) << 32)
#define LABEL_LOST "recovered"

/* ---- what is known */

/* K as the cut table noted it last; nothing if there is no such note. */
static int know_noted(struct tree *t)
{
	struct slice k, v;
	struct reader in;
	int r = store_seek_before(t->store, TABLE_CUT, SLICE("", 0), &k, &v);

	know_clear(&t->know);
	if (r)
		return r == -ENOENT || r == -EUCLEAN ? 0 : r;
	in = READER(v.data, v.len);
	r = know_decode(&in, &t->know);
	if (r)
		know_clear(&t->know);
	return r == -ENOMEM ? r : 0;
}

static int know_anew(struct tree *t, unsigned int damaged)
{
	cleanup(know_release) struct know marks = KNOW_INIT;
	bool applying = t->is_applying || damaged & META_BIT(META_APPLYING);
	/* (by its number, where the clock has that and nobody its name) */
	uint64_t own_seq = know_get(&t->know, 0);
	int r = chain_know(t, &marks);

	if (!r)
		r = know_set(&t->know, 0, 0);
	if (!r && applying && damaged & META_BIT(META_KNOW))
		r = know_noted(t);
	for (size_t k = 0; !r && k < marks.count; k++) {
		const struct dot *d = &marks.entries[k];

		if (know_get(&t->know, d->origin) < d->seq &&
		    (!applying || d->origin == t->origin || d->seq == own_seq))
			r = know_set(&t->know, d->origin, d->seq);
	}
	t->know_changed = true;
	return r;
}

/* ---- what was counted */

static uint64_t last_number(struct tree *t, enum store_table table)
{
	struct slice k, v;

	return store_seek_before(t->store, table, SLICE("", 0), &k, &v) ||
			       k.len != 8 ? 0 : get_be64(k.data);
}

static int note_row(struct tree *t, struct objid id)
{
	struct row row;
	int r = row_read(t, id, &row);

	if (r)
		return r == -EUCLEAN ? 0 : r;
	t->lseq = MAX_OF(t->lseq, row.lseq);
	t->next_ino = MAX_OF(t->next_ino, row.ino);
	for (size_t k = 0; k < row.o.count; k++)
		t->hlc = MAX_OF(t->hlc, row.o.versions[k].hlc);
	row_release(&row);
	return 0;
}

static int clock_anew(struct tree *t)
{
	uint8_t key[STORE_KEY_BYTES_MAX + 1];
	struct slice k, v;
	size_t len = 0;
	bool sound;
	int r;

	t->hlc = 0;
	t->lseq = MAX_OF(last_number(t, TABLE_SEQ), last_number(t, TABLE_CUT));
	t->next_ino = TREE_ROOT_INO;
	if (!store_seek_before(t->store, TABLE_INO, SLICE_STR("j"), &k, &v) &&
	    k.len == 9)
		t->next_ino = get_be64(k.data + 1);
	while (!(r = store_peek(t->store, TABLE_OBJ, SLICE(key, len), &k, &v,
				&sound))) {
		struct objid id;

		memcpy(key, k.data, k.len);
		key[k.len] = 0; /* just behind it */
		len = k.len + 1;
		memcpy(id.b, key, sizeof(id.b));
		r = sound && k.len == sizeof(id.b) ? note_row(t, id) : 0;
		if (r)
			return r;
	}
	t->next_ino += INOS_SKIPPED;
	return r == -ENOENT ? 0 : r;
}

/* (Its totals are counted again with its index.) */
static void history_anew(struct tree *t)
{
	struct slice k, v;

	t->hist = (struct hist_totals){ 0 };
	t->hist_changed = true;
	/* by its time: what ended last */
	if (!store_seek_before(t->store, TABLE_HIST, SLICE_STR("u"), &k, &v) &&
	    k.len > 9 && k.data[0] == 't')
		t->hist.clock = get_be64(k.data + 1);
}

/* ---- what it is */

/* The label that this node's latest link has. */
static int label_find(struct tree *t, char ret[LABEL_BYTES_MAX + 1])
{
	uint8_t key[sizeof(struct objid) + 1];
	struct slice k, v;
	uint64_t hlc = 0;
	size_t len = 0;
	int r;

	strcpy(ret, LABEL_LOST);
	while (!(r = store_seek(t->store, TABLE_OBJ, SLICE(key, len), &k,
				&v))) {
		struct object o;
		struct objid id;

		if (k.len != sizeof(id.b))
			return -EUCLEAN;
		memcpy(key, k.data, k.len);
		key[k.len] = 0; /* just behind it */
		len = sizeof(key);
		memcpy(id.b, key, sizeof(id.b));
		r = replica_row_load(t, id, &o);
		for (size_t n = 0; !r && n < o.count; n++) {
			const struct version *at = &o.versions[n];

			if (at->reg != REG_LINK || at->hlc < hlc ||
			    at->dot.origin != t->origin ||
			    !label_is_valid(at->link.label))
				continue;
			hlc = at->hlc;
			snprintf(ret, LABEL_BYTES_MAX + 1, "%.*s",
				 (int)at->link.label.len,
				 (const char *)at->link.label.data);
		}
		object_release(&o);
	}
	return 0;
}

static int label_anew(struct tree *t, struct slice label)
{
	if (label_is_valid(label))
		snprintf(t->label, sizeof(t->label), "%.*s", (int)label.len,
			 (const char *)label.data);
	else if (label_find(t, t->label))
		strcpy(t->label, LABEL_LOST);
	return meta_set(t, "label", SLICE_STR(t->label));
}

/* Entries of a table whose keys begin so go. */
static int entries_go(struct tree *t, enum store_table table,
		      const char *prefix)
{
	uint8_t key[STORE_KEY_BYTES_MAX];
	struct slice k, v;
	bool sound;
	int r;

	while (!(r = store_peek(t->store, table, SLICE_STR(prefix), &k, &v,
				&sound)) &&
	       slice_has_prefix(k, prefix)) {
		memcpy(key, k.data, k.len);
		r = mend_put_aside(t, table, SLICE(key, k.len), v);
		if (r)
			return r;
	}
	return r == -ENOENT ? 0 : r;
}

/* Of its own: who was in it knows another secret, or another volume. */
static int volume_leave(struct tree *t)
{
	static const char *const of_others[] = { "core.", "dial/", "invite/" };
	int r = entries_go(t, TABLE_MEMBER, "");

	for (size_t k = 0; !r && k < ARRAY_SIZE(of_others); k++)
		r = entries_go(t, TABLE_META, of_others[k]);
	t->env->random(t->env->arg, t->volume.b, sizeof(t->volume.b));
	return r;
}

static int volume_anew(struct tree *t, unsigned int damaged,
		       const struct tree_options *o)
{
	uint8_t secret[SECRET_BYTES];
	static const struct volid none;
	bool alone = store_count(t->store, TABLE_MEMBER) <= 1;
	bool named = !(damaged & META_BIT(META_VOLUME));
	int r = 0;

	if (!named && !volid_equal(o->volume, none)) {
		t->volume = o->volume;
		named = true;
	}
	if (!named || (!alone && damaged & META_BIT(META_SECRET))) {
		o->mended->own_volume = true;
		r = volume_leave(t);
	}
	if (!r && damaged & META_BIT(META_SECRET)) {
		t->env->random(t->env->arg, secret, sizeof(secret));
		r = secret_set(t, secret);
		if (!r)
			r = meta_set(t, "secret", SLICE(secret,
							sizeof(secret)));
	}
	return r ? r : meta_set(t, "volume", SLICE(t->volume.b,
						   sizeof(t->volume.b)));
}

/* ---- all */

static int applying_anew(struct tree *t)
{
	cleanup(know_release) struct know k = KNOW_INIT;
	int r = chain_know(t, &k);

	/* (all that any row may have) */
	if (!r)
		r = know_join(&k, &t->know);
	t->is_applying = false;
	return r ? r : replica_applying_begin(t, &k);
}

static int drop(struct tree *t, enum meta_key key)
{
	return store_del(t->store, TABLE_META, SLICE_STR(meta_name(key)));
}

static int mend(struct tree *t, unsigned int damaged,
		const struct tree_options *o)
{
	const unsigned int identity = META_BIT(META_ORIGIN) |
				      META_BIT(META_CLOCK) |
				      META_BIT(META_KNOW);
	int r = meta_set(t, META_MEND, SLICE("\1", 1));

	if (!r && damaged & META_BIT(META_LABEL))
		r = label_anew(t, o->label);
	if (!r && damaged & identity)
		r = know_anew(t, damaged);
	if (!r && damaged & META_BIT(META_CLOCK))
		r = clock_anew(t);
	if (!r && damaged & (META_BIT(META_VOLUME) | META_BIT(META_SECRET)))
		r = volume_anew(t, damaged, o);
	if (!r && damaged & META_BIT(META_APPLYING))
		r = applying_anew(t);
	if (!r && damaged & META_BIT(META_BIRTHS))
		r = chain_births_anew(t);
	if (!r && damaged & META_BIT(META_ACKED))
		r = drop(t, META_ACKED);
	if (!r && damaged & META_BIT(META_INCARNATION))
		r = drop(t, META_INCARNATION);
	if (!r && damaged & META_BIT(META_HISTORY))
		history_anew(t);
	if (!r && damaged & identity) {
		o->mended->incarnation = true;
		r = replica_reincarnate(t, CAUSE_MENDED);
	}
	if (!r && damaged & META_BIT(META_HORIZON))
		r = replica_horizon_join(t, &t->know);
	return r;
}

int meta_mend(struct tree *t, unsigned int damaged,
	      const struct tree_options *o)
{
	int r = op_begin_locked(t);

	return r ? r : op_end_locked(t, mend(t, damaged, o));
}
