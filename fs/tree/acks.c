/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading the policy and finding it. It is an ordinary extended attribute
 * of directories, replicated and merged as such; who waits for whom is the
 * caller's matter.
 *
 * META has a key "acks/" and the object's id for each directory that may
 * have a policy: noted when a row with that attribute is stored, taken back
 * when one with its removal is. A hint only, never read for the policy: with
 * none of them, which is the usual case, fsync looks no further.
 */
#include "fs/tree/acks.h"

#include <errno.h>
#include <string.h>

#include "fs/tree/op.h"

static const char hint_prefix[] = "acks/";
#define HINT_BYTES (sizeof(hint_prefix) - 1 + sizeof(struct objid))

/* ---- the value */

/* What stands before the next separator; the rest stays in *text. */
static struct slice cut_off(struct slice *text, char separator)
{
	const uint8_t *at = memchr(text->data, separator, text->len);
	struct slice head = *text;

	if (!at) {
		*text = SLICE(NULL, 0);
		return head;
	}
	head.len = (size_t)(at - text->data);
	*text = SLICE(at + 1, text->len - head.len - 1);
	return head;
}

/* Digits only, at most `max`. */
static bool parse_number(struct slice s, uint32_t max, uint32_t *ret)
{
	uint64_t n = 0;

	for (size_t i = 0; i < s.len; i++) {
		if (s.data[i] < '0' || s.data[i] > '9')
			return false;
		n = n * 10 + (s.data[i] - '0');
		if (n > max)
			return false;
	}
	*ret = (uint32_t)n;
	return s.len > 0;
}

static int parse_who(struct slice who, struct acks *a)
{
	bool digits = who.len > 0;

	for (size_t i = 0; i < who.len; i++)
		digits = digits && who.data[i] >= '0' && who.data[i] <= '9';
	if (digits)
		return parse_number(who, UINT16_MAX, &a->count) ? 0 : -EINVAL;
	while (who.data) {
		struct slice label = cut_off(&who, ',');

		if (a->label_count == ACKS_LABELS_MAX || !label_is_valid(label))
			return -EINVAL;
		memcpy(a->labels[a->label_count++], label.data, label.len);
	}
	return a->label_count ? 0 : -EINVAL;
}

static int parse_option(struct slice option, struct acks *a)
{
	uint32_t seconds;

	if (slice_take_prefix(&option, "timeout=")) {
		if (!parse_number(option, ACKS_TIMEOUT_S_MAX, &seconds))
			return -EINVAL;
		a->timeout_ms = UINT64_C(1000) * seconds;
		return 0;
	}
	if (!slice_take_prefix(&option, "on-timeout="))
		return -EINVAL;
	a->fail = slice_equal(option, SLICE_STR("eio"));
	return a->fail || slice_equal(option, SLICE_STR("ok")) ? 0 : -EINVAL;
}

int acks_parse(struct slice value, struct acks *ret)
{
	struct acks a = { .timeout_ms = 1000 * ACKS_TIMEOUT_S_DEFAULT };
	int r;

	if (!value.len)
		return -EINVAL;
	r = parse_who(cut_off(&value, ';'), &a);
	while (!r && value.data)
		r = parse_option(cut_off(&value, ';'), &a);
	if (!r)
		*ret = a;
	return r;
}

/* ---- finding it */

static struct slice hint_key(struct objid id, uint8_t key[HINT_BYTES])
{
	memcpy(key, hint_prefix, sizeof(hint_prefix) - 1);
	memcpy(key + sizeof(hint_prefix) - 1, id.b, sizeof(id.b));
	return SLICE(key, HINT_BYTES);
}

/* Is it set by some version; *ret_named: or was it once? */
static bool is_set(const struct row *row, bool *ret_named)
{
	bool set = false;

	*ret_named = false;
	for (size_t k = 0; k < row->o.count; k++) {
		const struct version *at = &row->o.versions[k];

		if (at->reg != REG_XATTR ||
		    !slice_equal(at->xattr.name, SLICE_STR(XATTR_ACKS)))
			continue;
		*ret_named = true;
		set = set || !at->xattr.removed;
	}
	return set;
}

int acks_check(struct tree *t, const struct row *row)
{
	uint8_t bytes[HINT_BYTES];
	struct slice v;
	bool named;
	int r = is_set(row, &named) ?
			store_get(t->store, TABLE_META,
				  hint_key(row->o.id, bytes), &v) : 0;

	return r == -ENOENT ? -EUCLEAN : r;
}

int acks_note(struct tree *t, const struct row *row)
{
	uint8_t bytes[HINT_BYTES];
	struct slice key = hint_key(row->o.id, bytes), v;
	bool named, set = is_set(row, &named);
	int r;

	if (!named)
		return 0;
	r = store_get(t->store, TABLE_META, key, &v);
	if (r && r != -ENOENT)
		return r;
	if (set == !r)
		return 0;
	return set ? store_put(t->store, TABLE_META, key, SLICE("", 0)) :
		     store_del(t->store, TABLE_META, key);
}

/* May any directory have a policy? */
static int hints_exist(struct tree *t, bool *ret)
{
	struct slice k, v;
	int r = store_seek(t->store, TABLE_META, SLICE_STR(hint_prefix), &k,
			   &v);

	*ret = !r && k.len == HINT_BYTES &&
	       !memcmp(k.data, hint_prefix, sizeof(hint_prefix) - 1);
	return r == -ENOENT ? 0 : r;
}

int tree_acks(struct tree *t, uint64_t ino, struct acks *ret)
{
	bool some;
	int r;

	store_lock(t->store);
	r = hints_exist(t, &some);
	store_unlock(t->store);
	if (r || !some)
		return r;
	for (size_t depth = 0; depth < TREE_DEPTH_MAX; depth++) {
		cleanup(buf_release) struct buf value = BUF_INIT;
		uint64_t parent;

		r = tree_getxattr(t, ino, SLICE_STR(XATTR_ACKS), &value);
		if (r && r != -ENODATA)
			return r;
		/* (Another node may know more than this one.) */
		if (!r && !acks_parse(buf_slice(&value), ret))
			return ret->count || ret->label_count;
		if (ino == TREE_ROOT_INO)
			return 0;
		r = tree_parent(t, ino, &parent);
		if (r)
			return r == -ESTALE || r == -ENOENT ? 0 : r;
		ino = parent;
	}
	return 0;
}

int tree_cut_file(struct tree *t, uint64_t ino, uint64_t *ret_seq)
{
	int r = data_cut(t, ino);

	if (r)
		return r;
	/* Another thread may be making that version. */
	r = begin_uncut(t, ino);
	if (r)
		return r;
	*ret_seq = know_get(&t->know, t->origin);
	return op_end(t, 0);
}
