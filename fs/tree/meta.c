/* SPDX-License-Identifier: Apache-2.0 */
/* A table of keys, and how each is read. */
#include "fs/tree/meta.h"

#include <errno.h>
#include <string.h>

#include "fs/tree/base.h"
#include "fs/tree/chain.h"
#include "fs/tree/fork.h"
#include "fs/tree/hist.h"
#include "fs/tree/xattr_local.h"

int meta_set(struct tree *t, const char *name, struct slice value)
{
	return store_put(t->store, TABLE_META, SLICE_STR(name), value);
}

int meta_set_clock(struct tree *t)
{
	uint8_t value[32 + SUM_BYTES + 8 + sizeof(struct hash)];

	put_le64(value, know_get(&t->know, t->origin));
	put_le64(value + 8, t->hlc);
	put_le64(value + 16, t->lseq);
	put_le64(value + 24, t->next_ino);
	for (size_t k = 0; k < 4; k++)
		put_le64(value + 32 + 8 * k, t->sum.word[k]);
	put_le64(value + 64, t->sum.count);
	put_le64(value + 72, t->ceiling);
	memcpy(value + 80, t->chain_head.b, sizeof(t->chain_head.b));
	return meta_set(t, "clock", SLICE(value, sizeof(value)));
}

int meta_set_know(struct tree *t)
{
	struct buf b = BUF_INIT;
	autofree uint8_t *bytes = NULL;

	know_encode(&t->know, &b);
	bytes = b.data;
	if (b.failed)
		return -ENOMEM;
	return meta_set(t, "know", buf_slice(&b));
}

/* ---- reading, each by its rule */

/* One that each volume has, of that many bytes; 0: of any. */
static int meta_get(struct tree *t, enum meta_key key, size_t len,
		    struct slice *ret)
{
	int r = store_get(t->store, TABLE_META, SLICE_STR(meta_name(key)),
			  ret);

	if (r == -ENOENT || (!r && len && ret->len != len))
		return -EUCLEAN;
	return r;
}

static int volume_load(struct tree *t)
{
	struct slice v;
	int r = meta_get(t, META_VOLUME, sizeof(t->volume.b), &v);

	if (!r)
		memcpy(t->volume.b, v.data, v.len);
	return r;
}

static int label_load(struct tree *t)
{
	struct slice v;
	int r = meta_get(t, META_LABEL, 0, &v);

	if (!r && !label_is_valid(v))
		r = -EUCLEAN;
	if (r)
		return r;
	memcpy(t->label, v.data, v.len);
	t->label[v.len] = '\0';
	return 0;
}

static int origin_load(struct tree *t)
{
	struct slice v;
	int r = meta_get(t, META_ORIGIN, 8, &v);

	if (!r)
		t->origin = get_le64(v.data);
	return !r && !t->origin ? -EUCLEAN : r;
}

static int secret_load(struct tree *t)
{
	struct slice v;
	int r = meta_get(t, META_SECRET, SECRET_BYTES, &v);

	return r ? r : secret_set(t, v.data);
}

static int know_load(struct tree *t)
{
	struct slice v;
	struct reader in;
	int r = meta_get(t, META_KNOW, 0, &v);

	if (r)
		return r;
	in = READER(v.data, v.len);
	return know_decode(&in, &t->know) || reader_done(&in) ? -EUCLEAN : 0;
}

static int clock_load(struct tree *t)
{
	struct slice v;
	struct reader in;
	uint64_t seq;
	int r = meta_get(t, META_CLOCK, 0, &v);

	if (r)
		return r;
	in = READER(v.data, v.len);
	seq = reader_u64(&in);
	t->hlc = reader_u64(&in);
	t->lseq = reader_u64(&in);
	t->next_ino = reader_u64(&in);
	sum_decode(&in, &t->sum);
	t->ceiling = reader_u64(&in);
	reader_copy(&in, t->chain_head.b, sizeof(t->chain_head.b));
	if (reader_done(&in))
		return -EUCLEAN;
	t->sent_seq = seq; /* for all that is known */
	/* Not given back: the last run did not end by tree_stop(). */
	t->skip_to = t->ceiling;
	return know_set(&t->know, t->origin, seq);
}

static const struct {
	const char *name;
	int (*load)(struct tree *);
	bool always;	/* each volume has it */
} keys[META_KEYS] = {
	[META_VOLUME] = { "volume", volume_load, true },
	[META_LABEL] = { "label", label_load, true },
	[META_ORIGIN] = { "origin", origin_load, true },
	[META_SECRET] = { "secret", secret_load, true },
	[META_KNOW] = { "know", know_load, true },
	[META_CLOCK] = { "clock", clock_load, true },
	[META_ACKED] = { "acked", base_load, false },
	[META_HISTORY] = { "history", hist_load, false },
	[META_APPLYING] = { "applying", applying_load, false },
	[META_BIRTHS] = { "births", chain_load, false },
	[META_HORIZON] = { "horizon", horizon_load, false },
	[META_INCARNATION] = { "incarnation", incarnation_check, false },
};

const char *meta_name(enum meta_key key)
{
	return keys[key].name;
}

bool meta_exists(struct store *s)
{
	bool any = false;

	for (enum meta_key k = 0; !any && k < META_KEYS; k++) {
		struct slice v;

		any = keys[k].always &&
		      store_get(s, TABLE_META, SLICE_STR(keys[k].name), &v) !=
			      -ENOENT;
	}
	return any;
}

int meta_load(struct tree *t, unsigned int *ret_damaged)
{
	if (ret_damaged)
		*ret_damaged = 0;
	for (enum meta_key k = 0; k < META_KEYS; k++) {
		int r = keys[k].load(t);

		if (r != -EUCLEAN || !ret_damaged) {
			if (r)
				return r;
			continue;
		}
		*ret_damaged |= META_BIT(k);
	}
	return local_attrs_load(t);
}
