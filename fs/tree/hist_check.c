/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Is the table HIST what hist.h says? For replica_check(), which the
 * simulator calls all the time: it looks at every record.
 */
#include "fs/tree/hist.h"

#include <errno.h>
#include <string.h>

struct hist_sums {
	uint64_t entries, gone, bytes, times, places, counted, settled;
};

static int check_settled(struct tree *t, struct objid id, struct slice v)
{
	struct row row;
	int r = row_read(t, id, &row);

	if (r)
		return r;
	r = hist_settled_check(t, &row.o, v);
	row_release(&row);
	return r;
}

static int check_record(struct tree *t, struct slice k, struct slice v,
			struct hist_sums *s)
{
	static const struct entry_name none;
	struct hist_object o;
	struct hist_entry e;
	struct objid id;
	uint8_t key[9 + HIST_NAME_BYTES];
	struct slice x;
	int r = 0;

	switch (k.data[0]) {
	case 't':
		s->times++;
		break;
	case 'p':
		s->places++;
		break;
	case 'v':
		r = hist_entry_decode(k, v, &e);
		if (!r)
			r = store_get(t->store, TABLE_HIST,
				      hist_time_key(key, e.ended, e.id, &e.name),
				      &x);
		if (!r)
			r = hist_object(t, e.id, &o);
		s->entries++;
		s->bytes += hist_cost(&e.content);
		break;
	case 'o':
		if (k.len != 17)
			return -EUCLEAN;
		memcpy(id.b, k.data + 1, 16);
		r = hist_object_decode(id, v, &o);
		s->counted += o.entries;
		s->gone += o.gone;
		s->bytes += o.gone ? HIST_ENTRY_BYTES : 0;
		if (!r && !o.gone && !o.entries)
			r = -EUCLEAN;
		if (!r && o.gone)
			r = store_get(t->store, TABLE_HIST,
				      hist_time_key(key, o.ended, id, &none), &x);
		if (!r && o.gone)
			r = store_get(t->store, TABLE_HIST,
				      hist_place_key(key, o.parent, id), &x);
		break;
	case 's':
		if (k.len != 17)
			return -EUCLEAN;
		memcpy(id.b, k.data + 1, 16);
		r = check_settled(t, id, v);
		s->settled++;
		s->bytes += v.len;
		break;
	default:
		r = -EUCLEAN;
	}
	return r == -ENOENT ? -EUCLEAN : r;
}

int hist_check(struct tree *t, const char **why)
{
	uint8_t key[STORE_KEY_BYTES_MAX + 1];
	struct hist_sums s = { 0 };
	size_t len = 1;
	struct slice k, v;
	int r;

	*why = "a record of the history is damaged, or not in its index";
	key[0] = 0;
	while (!(r = store_seek(t->store, TABLE_HIST, SLICE(key, len), &k,
				&v))) {
		memcpy(key, k.data, k.len);
		key[k.len] = 0;
		len = k.len + 1;
		r = check_record(t, SLICE(key, k.len), v, &s);
		if (r)
			return r;
	}
	if (r != -ENOENT)
		return r;
	*why = "the totals of the history are not what is in it";
	if (s.entries != t->hist.entries || s.gone != t->hist.gone ||
	    s.bytes != t->hist.bytes || s.counted != s.entries ||
	    s.times != s.entries + s.gone || s.places != s.gone ||
	    s.settled != t->hist.settled)
		return -EUCLEAN;
	return 0;
}
