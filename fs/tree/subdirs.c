/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How many directories stand in a directory, for its link count: 2, and one
 * for the ".." of each, as programs expect who walk trees. Counted with the
 * claims, one record a directory that has any, since nobody can afford to
 * look through a million names for it.
 *
 * What is counted is claims, not what is shown: where directories were merged
 * or wait to be removed everywhere there may be fewer. Too many costs whoever
 * relies on it a look; too few would hide a directory from him.
 */
#include <errno.h>

#include "fs/tree/check_internal.h"

#define COUNT_BYTES 4
/* Names looked through for the check of one count, with the lock held. */
#define CHECK_NAMES_MAX 4096

static int count_get(struct tree *t, struct objid dir, uint32_t *ret)
{
	struct slice v;
	int r = store_get(t->store, TABLE_SUBDIRS,
			  SLICE(dir.b, sizeof(dir.b)), &v);

	*ret = 0;
	if (r)
		return r == -ENOENT ? 0 : r;
	if (v.len != COUNT_BYTES)
		return -EUCLEAN;
	*ret = get_le32(v.data);
	return 0;
}

int subdirs_change(struct tree *t, struct objid dir, bool more)
{
	struct slice key = SLICE(dir.b, sizeof(dir.b));
	uint8_t value[COUNT_BYTES];
	uint32_t n;
	int r = count_get(t, dir, &n);

	if (r || (!more && !n))
		return r;
	n += more ? 1 : UINT32_MAX;
	if (!n)
		return store_del(t->store, TABLE_SUBDIRS, key);
	put_le32(value, n);
	return store_put(t->store, TABLE_SUBDIRS, key,
			 SLICE(value, sizeof(value)));
}

int subdirs_count(struct tree *t, struct objid dir, uint32_t *ret)
{
	struct idlist members = { 0 };
	int r = 0;

	if (!t->group_records)
		return count_get(t, dir, ret);
	*ret = 0;
	r = group_members(t, dir, &members);
	for (size_t k = 0; !r && k < members.count; k++) {
		uint32_t n;

		r = count_get(t, members.ids[k], &n);
		*ret += n;
	}
	idlist_release(&members);
	return r;
}

/* ---- check */

int check_subdirs(struct check *c, struct slice key, struct slice value)
{
	uint32_t dirs = 0, names = 0;
	struct objid parent, id;
	struct claim claim;
	int r;

	if (!check_form(c, CHECK_INDEX, key, sizeof(parent.b), value,
			COUNT_BYTES))
		return 0;
	memcpy(parent.b, key.data, sizeof(parent.b));
	r = claim_seek(c->tree, parent, 0, ROOT_ID, 0, &claim, &id);
	for (; !r && names < CHECK_NAMES_MAX; names++) {
		dirs += (claim.flags & CLAIM_KIND) == KIND_DIR;
		r = claim_next(c->tree, &claim, &id);
	}
	if (r == -ENOENT && dirs != get_le32(value.data))
		check_tell(c, CHECK_INDEX,
			   "has another number of directories");
	/* (damaged names are told of where they are) */
	return r == -ENOENT || r == -EUCLEAN ? 0 : MIN_OF(r, 0);
}
