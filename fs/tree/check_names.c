/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The check of the index of names, and of what is kept for places where
 * several want one name.
 */
#include <errno.h>
#include <string.h>

#include "fs/tree/check_internal.h"

static struct objid id_at(struct slice s, size_t at)
{
	struct objid id;

	memcpy(id.b, s.data + at, sizeof(id.b));
	return id;
}

static bool row_claims(const struct row *row, struct slice key,
		       struct slice value)
{
	for (size_t k = 0; k < row->claim_count; k++) {
		const struct claim *w = &row->claims[k];

		if (objid_equal(w->at.parent, id_at(key, 0)) &&
		    w->at.hash == get_be64(key.data + 16) &&
		    w->slot == get_be64(key.data + 40) &&
		    w->flags == value.data[0] &&
		    slice_equal(spot_name(&w->at),
				SLICE(value.data + 1, value.len - 1)))
			return true;
	}
	return false;
}

/* Is the place marked if names that are view stand there? (It may also be
 * where two are twins now: an empty file that was open for its first write,
 * and is closed without one, becomes the other's twin, and nothing of that is
 * stored.) Are directories of one name merged? */
static int check_place(struct check *c, struct objid parent,
		       struct slice name)
{
	struct idlist members = { 0 };
	struct place_view p = { 0 };
	uint8_t key[25] = { 'n' };
	struct slice v;
	int r = group_members(c->tree, parent, &members);

	if (!r)
		r = place_view(c->tree, &members, name, &p);
	if (r) {
		idlist_release(&members);
		return r;
	}
	memcpy(key + 1, members.ids[0].b, 16);
	put_be64(key + 17, name_hash(name));
	r = store_get(c->tree->store, TABLE_MARK, SLICE(key, sizeof(key)),
		      &v);
	if (place_has_virtuals(&p) ? r != 0 : !r && p.holder_count < 2)
		check_tell(c, CHECK_INDEX,
			   "has a name that is not marked as it should");
	for (size_t k = 0; k < p.dirs.count; k++)
		if (!objid_equal(group_canonical(c->tree, p.dirs.ids[k]),
				 group_canonical(c->tree, p.dirs.ids[0])))
			check_tell_id(c, CHECK_INDEX, p.dirs.ids[k],
				      "is not merged with its namesake");
	place_view_release(&p);
	idlist_release(&members);
	return 0;
}

int check_dir(struct check *c, struct slice key, struct slice value)
{
	struct slice name = SLICE(value.data + 1, value.len - 1), v;
	struct row row;
	int r;

	if (key.len != 48 || value.len < 2 ||
	    value.len > 1 + NAME_BYTES_MAX) {
		check_tell(c, CHECK_INDEX,
			   key.len != 48 ? CHECK_WRONG_KEY : CHECK_WRONG_VALUE);
		return 0;
	}
	c->id = id_at(key, 24);
	c->has_id = true;
	r = check_load_row(c, c->id, &row);
	if (r <= 0)
		return r;
	if ((value.data[0] & CLAIM_KIND) == KIND_DIR &&
	    store_get(c->tree->store, TABLE_SUBDIRS, SLICE(key.data, 16), &v))
		check_tell(c, CHECK_INDEX,
			   "is not counted among the directories");
	if (!row_claims(&row, key, value))
		check_tell(c, CHECK_INDEX,
			   "stands under a name that is not its");
	row_release(&row);
	r = check_place(c, id_at(key, 0), name);
	return r == -EUCLEAN ? 0 : r;
}

int check_mark(struct check *c, struct slice key, struct slice value)
{
	static const char sorts[] = "pdc";
	struct row row;
	int r;

	if (key.len == 25 && key.data[0] == 'n') {
		if (!value.len || value.len > NAME_BYTES_MAX ||
		    name_hash(value) != get_be64(key.data + 17)) {
			check_tell(c, CHECK_INDEX, CHECK_WRONG_VALUE);
			return 0;
		}
		r = check_place(c, id_at(key, 1), value);
		return r == -EUCLEAN ? 0 : r;
	}
	if (!check_form(c, CHECK_INDEX, key, 17, value, 0))
		return 0;
	if (!key.data[0] || !strchr(sorts, key.data[0])) {
		check_tell(c, CHECK_INDEX, CHECK_WRONG_KEY);
		return 0;
	}
	r = check_load_row(c, id_at(key, 1), &row);
	if (r > 0)
		row_release(&row);
	return MIN_OF(r, 0);
}

int check_group(struct check *c, struct slice key, struct slice value)
{
	uint8_t other[33] = { 0 };
	struct slice v;
	bool right;

	switch (key.len ? key.data[0] : 0) {
	case 'm':
		if (!check_form(c, CHECK_INDEX, key, 17, value, 16))
			return 0;
		other[0] = 'c';
		memcpy(other + 1, value.data, 16);
		memcpy(other + 17, key.data + 1, 16);
		right = !store_get(c->tree->store, TABLE_GROUP,
				   SLICE(other, 33), &v);
		break;
	case 'c':
		if (!check_form(c, CHECK_INDEX, key, 33, value, 0))
			return 0;
		other[0] = 'm';
		memcpy(other + 1, key.data + 17, 16);
		right = !store_get(c->tree->store, TABLE_GROUP,
				   SLICE(other, 17), &v) &&
			slice_equal(v, SLICE(key.data + 1, 16));
		break;
	case 'o':
		right = key.len == 17 && value.len > 16 &&
			value.len <= 16 + NAME_BYTES_MAX;
		break;
	case 'y':
		right = key.len == 17 && !value.len;
		break;
	default:
		right = false;
	}
	if (!right)
		check_tell(c, CHECK_INDEX, "of merged directories " CHECK_WRONG_VALUE);
	return 0;
}
