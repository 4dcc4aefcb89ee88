/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An old content is put in the place of a new one, or what was removed is
 * there again: an ordinary operation that has seen both. What was there
 * goes into the history itself.
 *
 * The kernel did not ask for these changes, so it is told of them as of
 * those that come from other nodes.
 */
#include "fs/tree/history_internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "fs/tree/acl.h"
#include "fs/tree/list.h"
#include "fs/tree/op.h"

/* Names tried until one is free. */
#define NAMES_TRIED_MAX 1000

/* ---- names */

/* "stem (restored).ext", then "stem (restored 2).ext". The stem is cut, at
 * the start of a character, where that would be too long. */
static size_t like_name(struct slice name, int n, uint8_t ret[NAME_BYTES_MAX])
{
	const uint8_t *dot = memrchr(name.data, '.', name.len);
	size_t stem = dot && dot > name.data ? (size_t)(dot - name.data) :
					       name.len;
	size_t ext = name.len - stem, mark;
	char text[32];

	if (n > 1)
		snprintf(text, sizeof(text), " (restored %d)", n);
	else
		snprintf(text, sizeof(text), " (restored)");
	mark = strlen(text);
	if (ext > NAME_BYTES_MAX / 2)
		ext = 0; /* that is no extension */
	if (stem + mark + ext > NAME_BYTES_MAX) {
		stem = NAME_BYTES_MAX - mark - ext;
		while (stem && (name.data[stem] & 0xc0) == 0x80)
			stem--;
	}
	memcpy(ret, name.data, stem);
	memcpy(ret + stem, text, mark);
	memcpy(ret + stem + mark, name.data + name.len - ext, ext);
	return stem + mark + ext;
}

int free_name(struct tree *t, struct objid dir, struct slice name,
	      uint8_t ret[NAME_BYTES_MAX], size_t *ret_len)
{
	struct shown there;

	memcpy(ret, name.data, name.len);
	*ret_len = name.len;
	for (int n = 1; n < NAMES_TRIED_MAX; n++) {
		int r = view_find(t, dir, SLICE(ret, *ret_len), &there);

		if (r == -ENOENT)
			return 0;
		if (r)
			return r;
		*ret_len = like_name(name, n, ret);
	}
	return -EEXIST;
}

/* ---- objects that come back */

static int revive_row(struct tree *t, struct objid id, struct place at)
{
	struct row row;
	struct info i;
	uint64_t slot = SLOT_DIR;
	int r = row_load(t, id, &row);

	if (r)
		return r;
	r = info_init(&i, &row.o);
	if (!r && i.kind == KIND_DIR)
		r = pin_overrides(t, &id, 1);
	if (!r && i.kind != KIND_DIR)
		slot = i.tomb ? i.tomb->tomb.link.slot : first_slot(id);
	if (!r)
		r = row_place(t, &row, &i, slot, at, false, NULL);
	info_release(&i);
	if (!r)
		r = row_store(t, &row, 0);
	row_release(&row);
	return r;
}

/* What borrows from the store, for as long as the row is made. */
struct remade {
	uint8_t bytes[INLINE_BYTES_MAX];
	char user[PRINCIPAL_BYTES_MAX], group[PRINCIPAL_BYTES_MAX];
	struct content content;
	struct timespec mtime;
	struct tree_new new;
};

static struct slice kept(char *to, struct slice s)
{
	memcpy(to, s.data ? (const char *)s.data : "", s.len);
	return SLICE(to, s.len);
}

static int remade_read(struct tree *t, struct objid id, struct remade *m)
{
	struct hist_object o;
	struct hist_entry e;
	int r = hist_object(t, id, &o);

	if (r)
		return r;
	m->new = (struct tree_new){ .kind = o.kind, .perm = o.perm,
				    .user = kept(m->user, o.user),
				    .group = kept(m->group, o.group) };
	m->mtime = tree_now(t);
	content_empty(&m->content);
	if (o.kind == KIND_DIR)
		return 0;
	/* (an empty one is not noted; nor is one that was too large to be, or
	 * not all here, and that is not to be put back as an empty file) */
	if (!o.size)
		return o.main.dot.seq ? 0 : -ENODATA;
	r = hist_get(t, id, &o.main, &e);
	if (r)
		return r == -ENOENT ? -ENODATA : r;
	m->mtime = e.mtime;
	if (e.content.depth) {
		m->content = e.content;
		return content_complete(t, &e.content) ? 0 : -ENODATA;
	}
	memcpy(m->bytes, e.content.inline_bytes.data, e.content.size);
	content_inline(SLICE(m->bytes, e.content.size), &m->content);
	return 0;
}

/* The row is gone: it begins a new life, with its history. */
static int remake_row(struct tree *t, struct objid id, struct place at,
		      struct objid *ret_id)
{
	struct remade m;
	struct row row;
	int r = remade_read(t, id, &m);

	if (!r)
		r = object_make(t, at, &m.new, &m.content, m.mtime, &row);
	if (r)
		return r;
	*ret_id = row.o.id;
	r = row_store(t, &row, 0);
	row_release(&row);
	/* (a directory stays findable until all that was in it is back) */
	return r || m.new.kind == KIND_DIR ? r : hist_move(t, id, *ret_id);
}

int undelete_object(struct tree *t, struct objid id, bool gone,
		    struct place at, struct objid *ret_id)
{
	int r;

	op_tick(t);
	*ret_id = id;
	r = gone ? remake_row(t, id, at, ret_id) : revive_row(t, id, at);
	return r ? r : touch_dir(t, at.parent);
}

/* ---- one version */

struct restore {
	struct found found;
	struct history_file file;
	const struct history_version *version;
};

static int tell_inode(struct tree *t, const struct row *row)
{
	if (row->ino)
		event_inode(t, row->ino);
	return 0;
}

static int write_over(struct tree *t, struct objid id, const struct dot *tag,
		      const struct content *content)
{
	struct content_write w = { .content = content, .keep = true,
				   .mtime = tree_now(t) };
	struct timespec btime = w.mtime;
	const struct branch *b;
	struct row row;
	struct info i;
	int r = row_load(t, id, &row);

	if (r)
		return r;
	r = info_init(&i, &row.o);
	if (!r)
		r = remove_twins_of(t, &row, &i);
	b = r ? NULL : tag ? info_branch(&i, *tag) : &i.branches[0];
	if (!r && (!b || !i.branch_count))
		r = -ENOENT;
	/* (not seen: not to be replaced) */
	if (!r && row.has_prior && b == &i.branches[0])
		r = -EAGAIN;
	if (!r && i.times)
		btime = i.times->times.btime;
	if (!r && branch_has_content(b, content)) {
		tag = NULL; /* it is what is there */
	} else if (!r) {
		bool main = b == &i.branches[0];

		r = main ? data_detach(t, &row, row_shown_content(&row, &i)) :
			   sibling_detach(t, id, b);
		if (!r)
			r = branch_write(t, &row, &i, b, NULL, &w);
		if (!r && main)
			r = row_set_times(t, &row, w.mtime, btime);
		if (!r)
			r = row_store(t, &row, 0);
	}
	info_release(&i);
	if (!r)
		r = tell_inode(t, &row);
	row_release(&row);
	return r;
}

static int restore_here(struct tree *t, struct restore *s,
			struct buf *ret_path)
{
	const struct found *f = &s->found;
	struct slice name = SLICE(f->name, f->name_len);
	bool sibling = f->shown.type == SHOWN_SIBLING;
	struct objid id = f->id;
	struct shown there;
	bool live = objid_is_root(f->parent);
	int r = 0;

	if (f->as != FOUND_SHOWN) {
		if (!live)
			r = dir_is_live(t, f->parent, &live);
		if (!r && !live)
			return -ENOTDIR;
		if (!r)
			r = view_find(t, f->parent, name, &there);
		if (r != -ENOENT)
			return r ? r : -EEXIST;
		r = undelete_object(t, f->id, f->as == FOUND_GONE,
				    (struct place){ f->parent, name }, &id);
	}
	if (!r)
		r = write_over(t, id, f->as == FOUND_SHOWN && sibling ?
				      &f->shown.tag : NULL,
			       &s->version->content);
	return r ? r : path_join(t, f->parent, name, ret_path);
}

/* As its owner and mode were, if that is still known. */
static int new_like(struct tree *t, const struct restore *s,
		    struct remade *m)
{
	struct row row;
	struct info i;
	int r = row_read(t, s->found.id, &row);

	m->new = (struct tree_new){ .kind = s->file.kind, .perm = 0600 };
	if (r)
		return r;
	r = info_init(&i, &row.o);
	if (!r && i.mode)
		m->new.perm = acl_plain_perm(i.mode->mode.perm,
					     i.mode->mode.acl);
	if (!r && i.owner) {
		m->new.user = kept(m->user, i.owner->owner.user);
		m->new.group = kept(m->group, i.owner->owner.group);
	}
	info_release(&i);
	if (!r && s->found.as == FOUND_GONE)
		r = remade_read(t, s->found.id, m);
	row_release(&row);
	return r == -ENODATA ? 0 : r;
}

static int restore_to(struct tree *t, struct restore *s, struct slice to,
		      struct buf *ret_path)
{
	const uint8_t *slash = memrchr(to.data, '/', to.len);
	struct slice dir = SLICE(to.data, slash ? slash - to.data : 0);
	struct slice name = slash ? SLICE(slash + 1, to.len - dir.len - 1) : to;
	struct objid parent;
	struct shown there;
	struct remade m;
	struct row row;
	int r = check_name(name);

	if (!r)
		r = history_dir(t, dir, &parent);
	if (r)
		return r == -ENOENT ? -ENOTDIR : r;
	r = view_find(t, parent, name, &there);
	if (r != -ENOENT)
		return r ? r : -EEXIST;
	r = new_like(t, s, &m);
	if (!r)
		r = object_make(t, (struct place){ parent, name }, &m.new,
				&s->version->content, tree_now(t), &row);
	if (r)
		return r;
	r = row_store(t, &row, 0);
	row_release(&row);
	if (!r)
		r = touch_dir(t, parent);
	return r ? r : path_join(t, parent, name, ret_path);
}

static int restore_locked(struct tree *t, struct slice path,
			  const struct history_which *which, struct slice to,
			  struct restore *s, struct buf *ret_path)
{
	int r = history_find(t, path, &s->found);

	if (!r && s->found.kind == KIND_DIR)
		r = -EISDIR;
	if (!r)
		r = history_read(t, &s->found, &s->file);
	if (!r)
		r = history_choose(&s->file, which, &s->version);
	if (!r && !s->version->here)
		r = -ENODATA;
	if (r)
		return r;
	return to.len ? restore_to(t, s, to, ret_path) :
			restore_here(t, s, ret_path);
}

int tree_history_restore(struct tree *t, struct slice path,
			 const struct history_which *which, struct slice to,
			 struct buf *ret_path)
{
	struct restore s = { 0 };
	int r;

	store_lock(t->store);
	r = replica_begin(t);
	if (!r) {
		r = restore_locked(t, path, which, to, &s, ret_path);
		r = replica_end(t, r);
	}
	store_unlock(t->store);
	history_file_release(&s.file);
	return r;
}
