/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The check of the history: entries, what is known of their objects, and the
 * index of both (hist.c).
 */
#include <errno.h>
#include <string.h>

#include "fs/tree/check_internal.h"
#include "fs/tree/hist.h"

static struct objid id_at(struct slice s, size_t at)
{
	struct objid id;

	memcpy(id.b, s.data + at, sizeof(id.b));
	return id;
}

static int hist_has(struct check *c, struct slice key)
{
	struct slice v;

	return !store_get(c->tree->store, TABLE_HIST, key, &v);
}

static int check_hist_entry(struct check *c, struct slice key,
			    struct slice value)
{
	uint8_t time[9 + HIST_NAME_BYTES];
	struct hist_object o;
	struct hist_entry e;

	if (hist_entry_decode(key, value, &e)) {
		check_tell(c, CHECK_HISTORY, CHECK_WRONG_VALUE);
		return 0;
	}
	c->id = e.id;
	c->has_id = true;
	c->count.hist_entries++;
	c->count.hist_bytes += hist_cost(&e.content);
	if (!hist_has(c, hist_time_key(time, e.ended, e.id, &e.name)) ||
	    hist_object(c->tree, e.id, &o))
		check_tell(c, CHECK_INDEX, "has an old version that is not "
					   "in the index of history");
	check_add_content(c, &(struct check_content){
		.content = e.content, .part = CHECK_HISTORY, .name = e.name });
	return 0;
}

static uint64_t count_entries(struct check *c, struct objid id)
{
	uint8_t key[1 + HIST_NAME_BYTES + 1] = { 'v' };
	size_t len = 17;
	uint64_t n = 0;
	struct slice k, v;
	bool sound;

	memcpy(key + 1, id.b, 16);
	while (!store_peek(c->tree->store, TABLE_HIST, SLICE(key, len), &k, &v,
			   &sound) &&
	       k.len == 1 + HIST_NAME_BYTES && !memcmp(k.data, key, 17)) {
		n++;
		memcpy(key, k.data, k.len);
		key[k.len] = 0;
		len = k.len + 1;
	}
	return n;
}

static int check_hist_object(struct check *c, struct slice key,
			     struct slice value)
{
	static const struct entry_name none;
	uint8_t index[9 + HIST_NAME_BYTES];
	struct hist_object o;

	if (key.len != 17) {
		check_tell(c, CHECK_ENTRY, CHECK_WRONG_KEY);
		return 0;
	}
	c->id = id_at(key, 1);
	c->has_id = true;
	if (hist_object_decode(c->id, value, &o)) {
		check_tell(c, CHECK_HISTORY, CHECK_WRONG_VALUE);
		return 0;
	}
	c->count.hist_counted += o.entries;
	c->count.hist_gone += o.gone;
	c->count.hist_bytes += o.gone ? HIST_ENTRY_BYTES : 0;
	if (o.entries != count_entries(c, c->id) || (!o.gone && !o.entries))
		check_tell(c, CHECK_INDEX, "has not as many old versions as "
					   "it counts");
	if (o.gone &&
	    (!hist_has(c, hist_time_key(index, o.ended, c->id, &none)) ||
	     !hist_has(c, hist_place_key(index, o.parent, c->id))))
		check_tell(c, CHECK_INDEX, "was removed, and is not in the "
					   "index of that");
	return 0;
}

static int check_hist_time(struct check *c, struct slice key)
{
	static const uint8_t zeros[HIST_NAME_BYTES - 16];
	uint8_t entry[1 + HIST_NAME_BYTES] = { 'v' };
	struct hist_object o;
	struct hist_entry e;
	struct slice k = SLICE(entry, sizeof(entry)), v;
	bool right;

	memcpy(entry + 1, key.data + 9, HIST_NAME_BYTES);
	c->id = id_at(key, 9);
	c->has_id = true;
	c->count.hist_times++;
	if (!memcmp(key.data + 25, zeros, sizeof(zeros)))
		right = !hist_object(c->tree, c->id, &o) && o.gone &&
			o.ended == get_be64(key.data + 1);
	else
		right = !store_get(c->tree->store, TABLE_HIST, k, &v) &&
			!hist_entry_decode(k, v, &e) &&
			e.ended == get_be64(key.data + 1);
	if (!right)
		check_tell(c, CHECK_INDEX, "is in the index of history, and "
					   "not in it");
	return 0;
}

static int check_hist_settled(struct check *c, struct slice key,
			      struct slice value)
{
	struct row row;
	int r;

	if (key.len != 17) {
		check_tell(c, CHECK_ENTRY, CHECK_WRONG_KEY);
		return 0;
	}
	c->id = id_at(key, 1);
	c->has_id = true;
	c->count.hist_settled++;
	c->count.hist_bytes += value.len;
	r = check_load_row(c, c->id, &row);
	if (r <= 0)
		return r;
	r = hist_settled_check(c->tree, &row.o, value);
	if (r == -ENOENT)
		check_tell(c, CHECK_INDEX, "has a settlement that cannot be "
					   "taken back");
	else if (r == -EUCLEAN)
		check_tell(c, CHECK_HISTORY, CHECK_WRONG_VALUE);
	row_release(&row);
	return r == -ENOMEM ? r : 0;
}

int check_hist(struct check *c, struct slice key, struct slice value)
{
	struct hist_object o;

	switch (key.len ? key.data[0] : 0) {
	case 'v':
		return check_hist_entry(c, key, value);
	case 'o':
		return check_hist_object(c, key, value);
	case 's':
		return check_hist_settled(c, key, value);
	case 't':
		if (check_form(c, CHECK_INDEX, key, 9 + HIST_NAME_BYTES, value, 0))
			return check_hist_time(c, key);
		return 0;
	case 'p':
		if (!check_form(c, CHECK_INDEX, key, 33, value, 0))
			return 0;
		c->count.hist_places++;
		if (hist_object(c->tree, id_at(key, 17), &o) || !o.gone ||
		    !objid_equal(o.parent, id_at(key, 1)))
			check_tell_id(c, CHECK_INDEX, id_at(key, 17),
				      "is in the index of what was removed, "
				      "and was not");
		return 0;
	default:
		check_tell(c, CHECK_ENTRY, CHECK_WRONG_KEY);
		return 0;
	}
}
