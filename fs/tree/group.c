/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Merged directories: directories with the same effective parent group and
 * name are shown as one, under the smallest id, the canonical one. Groups of
 * one, which nearly all are, have no record; so where nothing was ever
 * merged all of this costs nothing.
 *
 * GROUP holds, by first byte of the key: 'm' member -> canonical, 'c'
 * canonical and member -> nothing, 'o' directory -> place where it is shown
 * because its own LINK closes a cycle (settle.c), 'y' directory of a cycle.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/tree/tree_internal.h"

struct objid group_canonical(struct tree *t, struct objid dir)
{
	uint8_t key[17] = { 'm' };
	struct slice v;
	struct objid id;

	if (!t->group_records)
		return dir;
	memcpy(key + 1, dir.b, 16);
	if (store_get(t->store, TABLE_GROUP, SLICE(key, sizeof(key)), &v) ||
	    v.len != 16)
		return dir;
	memcpy(id.b, v.data, 16);
	return id;
}

int group_members(struct tree *t, struct objid dir, struct idlist *ret)
{
	struct objid canonical = group_canonical(t, dir);
	uint8_t key[34] = { 'c' };
	size_t len = 33;
	struct slice k, v;
	int r;

	ret->count = 0;
	memcpy(key + 1, canonical.b, 16);
	while (t->group_records) {
		struct objid id;

		r = store_seek(t->store, TABLE_GROUP, SLICE(key, len), &k, &v);
		if (r == -ENOENT || (!r && (k.len != 33 ||
					    memcmp(k.data, key, 17))))
			break;
		if (r)
			return r;
		memcpy(id.b, k.data + 17, 16);
		r = idlist_add(ret, id);
		if (r)
			return r;
		memcpy(key, k.data, k.len);
		key[33] = 0; /* just behind it */
		len = 34;
	}
	return ret->count ? 0 : idlist_add(ret, dir);
}

static int group_record(struct tree *t, struct objid canonical,
			struct objid member, bool put)
{
	uint8_t m[17] = { 'm' }, c[33] = { 'c' };
	int r;

	memcpy(m + 1, member.b, 16);
	memcpy(c + 1, canonical.b, 16);
	memcpy(c + 17, member.b, 16);
	if (put) {
		r = store_put(t->store, TABLE_GROUP, SLICE(m, sizeof(m)),
			      SLICE(canonical.b, 16));
		if (!r)
			r = store_put(t->store, TABLE_GROUP,
				      SLICE(c, sizeof(c)), SLICE("", 0));
	} else {
		r = store_del(t->store, TABLE_GROUP, SLICE(m, sizeof(m)));
		if (!r)
			r = store_del(t->store, TABLE_GROUP,
				      SLICE(c, sizeof(c)));
	}
	t->group_records = store_count(t->store, TABLE_GROUP);
	t->work.rules = true;
	return r;
}

int group_set(struct tree *t, const struct idlist *members)
{
	struct objid canonical = members->ids[0];
	int r = 0;

	for (size_t i = 1; i < members->count; i++)
		if (objid_compare(members->ids[i], canonical) < 0)
			canonical = members->ids[i];
	for (size_t i = 0; !r && i < members->count; i++)
		r = group_record(t, canonical, members->ids[i], true);
	return r;
}

int group_clear(struct tree *t, struct objid dir, struct idlist *ret_members)
{
	struct objid canonical = group_canonical(t, dir);
	int r;

	ret_members->count = 0;
	if (!t->group_records)
		return 0;
	r = group_members(t, dir, ret_members);
	if (r)
		return r;
	if (ret_members->count < 2) {
		ret_members->count = 0;
		return 0;
	}
	for (size_t i = 0; !r && i < ret_members->count; i++)
		r = group_record(t, canonical, ret_members->ids[i], false);
	return r;
}

/* ---- liveness */

/*
 * Looks below `dir` for anything live, into directories that are weak only
 * (others are live themselves). Without recursion: `todo` is the stack.
 */
int dir_has_live_child(struct tree *t, struct objid dir, bool *ret)
{
	struct idlist todo = { 0 };
	int r = idlist_add(&todo, dir);

	*ret = false;
	while (!r && todo.count && !*ret) {
		struct objid d = todo.ids[--todo.count], id;
		struct claim c;

		r = claim_seek(t, d, 0, ROOT_ID, 0, &c, &id);
		while (!r) {
			if ((c.flags & CLAIM_KIND) != KIND_DIR ||
			    !(c.flags & CLAIM_WEAK)) {
				*ret = true;
				break;
			}
			r = idlist_add(&todo, id);
			if (!r)
				r = claim_next(t, &c, &id);
		}
		if (r == -ENOENT)
			r = 0;
	}
	idlist_release(&todo);
	return r;
}

int dir_is_live(struct tree *t, struct objid dir, bool *ret)
{
	struct row row;
	int r = row_load(t, dir, &row);

	*ret = false;
	if (r)
		return r;
	if (row.claim_count && !(row.claims[0].flags & CLAIM_WEAK))
		*ret = true;
	else if (row.claim_count)
		r = dir_has_live_child(t, dir, ret);
	row_release(&row);
	return r;
}
