/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a path to an object, through what is shown and what was removed.
 *
 * What was removed in a directory is found by index: of dead rows by DEAD
 * 't' (grave.c), of rows that are gone by HIST 'p' (hist.c).
 */
#include "fs/tree/history_internal.h"

#include <errno.h>
#include <string.h>

/* ---- what was removed in a directory */

struct seeker {
	struct tree *t;
	int (*fn)(void *arg, const struct removed *);
	void *arg;
};

/* (0: it is none: its names are others, or nothing is left of it) */
static int give_dead(struct seeker *s, struct objid id)
{
	struct removed d = { .id = id };
	const struct branch *b;
	struct row row;
	struct info i;
	bool live = false;
	int r = row_read(s->t, id, &row);

	if (r)
		return r;
	r = info_init(&i, &row.o);
	if (r) {
		row_release(&row);
		return r;
	}
	b = info_first_real(&i);
	/* (a directory that only keep-stamps hold, and nothing in it) */
	if (i.kind == KIND_DIR && i.link_count)
		r = dir_is_live(s->t, id, &live);
	if (!r && !live && i.tomb && (i.kind == KIND_DIR || b)) {
		d.kind = i.kind;
		d.hlc = i.tomb->hlc;
		d.run_hlc = i.tomb->tomb.run;
		d.removed_ms = d.hlc >> 16;
		d.bytes = b ? b->top->content.content.size : 0;
		d.name = i.tomb->tomb.link.at.name;
		r = s->fn(s->arg, &d);
	}
	info_release(&i);
	row_release(&row);
	return r;
}

static int each_dead(struct seeker *s, struct objid dir)
{
	struct objid id = ROOT_ID;
	bool more = true;

	while (more) {
		uint8_t from[32];
		struct slice k, v;
		int r;

		memcpy(from, dir.b, 16);
		memcpy(from + 16, id.b, 16);
		r = dead_seek(s->t, 't', SLICE(from, sizeof(from)), &k, &v);
		if (r == -ENOENT || (!r && (k.len != 33 ||
					    memcmp(k.data + 1, dir.b, 16))))
			return 0;
		if (r)
			return r;
		memcpy(id.b, k.data + 17, 16);
		r = give_dead(s, id);
		if (r)
			return r;
		more = objid_next(&id);
	}
	return 0;
}

static int each_gone(struct seeker *s, struct objid dir)
{
	struct objid id;
	bool any = false;
	int r;

	while (!(r = hist_gone_in(s->t, dir, any ? &id : NULL, &id))) {
		uint8_t name[NAME_BYTES_MAX];
		struct removed d = { .gone = true };
		struct hist_object o;

		any = true;
		r = hist_object(s->t, id, &o);
		if (r)
			return r == -ENOENT ? -EUCLEAN : r;
		memcpy(name, o.name.data, o.name.len);
		d.id = id;
		d.kind = o.kind;
		d.hlc = o.removed_hlc;
		d.run_hlc = o.run_hlc;
		d.removed_ms = o.removed_ms;
		d.name = SLICE(name, o.name.len);
		d.bytes = o.size;
		r = s->fn(s->arg, &d);
		if (r)
			return r;
	}
	return r == -ENOENT ? 0 : r;
}

int removed_each(struct tree *t, struct objid dir,
		 int (*fn)(void *arg, const struct removed *), void *arg)
{
	struct seeker s = { t, fn, arg };
	struct idlist members = { 0 };
	int r = group_members(t, dir, &members);

	for (size_t k = 0; !r && k < members.count; k++) {
		r = each_dead(&s, members.ids[k]);
		if (!r)
			r = each_gone(&s, members.ids[k]);
	}
	idlist_release(&members);
	return r;
}

bool removed_before(const struct removed *a, const struct removed *b)
{
	if (a->removed_ms != b->removed_ms)
		return a->removed_ms < b->removed_ms;
	return a->hlc != b->hlc ? a->hlc < b->hlc :
				  objid_compare(a->id, b->id) < 0;
}

/* ---- paths */

struct by_name {
	struct slice name;
	bool found;
	struct removed newest;	/* without its name */
};

static int keep_newest(void *arg, const struct removed *d)
{
	struct by_name *b = arg;

	if (!slice_equal(d->name, b->name) ||
	    (b->found && removed_before(d, &b->newest)))
		return 0;
	b->found = true;
	b->newest = *d;
	return 0;
}

static int find_removed(struct tree *t, struct objid dir, struct slice name,
			struct found *f)
{
	struct by_name b = { .name = name };
	int r = removed_each(t, dir, keep_newest, &b);

	if (r || !b.found)
		return r ? r : -ENOENT;
	f->as = b.newest.gone ? FOUND_GONE : FOUND_DEAD;
	f->id = b.newest.id;
	f->kind = b.newest.kind;
	f->removed_ms = b.newest.removed_ms;
	return 0;
}

/* The entry of that name in f, a directory, becomes f. */
static int find_child(struct tree *t, struct slice name, struct found *f)
{
	struct objid dir = f->id;
	int r = -ENOENT;

	if (f->kind != KIND_DIR)
		return -ENOTDIR;
	if (name.len > NAME_BYTES_MAX)
		return -ENAMETOOLONG;
	if (f->as == FOUND_SHOWN)
		r = view_find(t, dir, name, &f->shown);
	if (!r) {
		f->id = f->shown.id;
		f->kind = f->shown.type == SHOWN_DIR ? KIND_DIR :
						       f->shown.kind;
	} else if (r == -ENOENT) {
		r = find_removed(t, dir, name, f);
	}
	if (r)
		return r;
	f->parent = dir;
	f->name_len = name.len;
	memcpy(f->name, name.data, name.len);
	return 0;
}

int history_find(struct tree *t, struct slice path, struct found *f)
{
	*f = (struct found){ .as = FOUND_SHOWN, .id = ROOT_ID,
			     .kind = KIND_DIR };
	while (path.len) {
		const uint8_t *slash = memchr(path.data, '/', path.len);
		size_t len = slash ? (size_t)(slash - path.data) : path.len;
		int r = len ? find_child(t, SLICE(path.data, len), f) : 0;

		if (r)
			return r;
		len += slash != NULL;
		path = SLICE(path.data + len, path.len - len);
	}
	return 0;
}

int history_dir(struct tree *t, struct slice path, struct objid *ret)
{
	struct found f;
	int r = history_find(t, path, &f);

	if (r)
		return r;
	if (f.as != FOUND_SHOWN)
		return -ENOENT;
	*ret = f.id;
	return f.kind == KIND_DIR ? 0 : -ENOTDIR;
}
