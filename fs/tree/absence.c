/* SPDX-License-Identifier: Apache-2.0 */
/*
 * After a full stream: what an object that was not in it means. The sender
 * has purged it, or never had it. Its knowledge K tells which: a version that
 * K covers and that the sender does not have was removed there, knowingly;
 * one that K does not cover is news from here. So, of objects that were not
 * mentioned:
 *
 *  - one with a LINK unknown to the sender stays: somebody made, moved or
 *    edited it here. Its other LINKs were removed; all else that the sender
 *    knew of it and forgot is re-stamped, as others forgot it too.
 *  - The directories that it is in stay for it, upwards: with weak LINKs,
 *    re-stamped too, as there is no other trace of where they were. The
 *    same for what an object that *was* mentioned was moved into here, and
 *    for where a directory was removed here that returns for what others
 *    have put into it.
 *  - Of the rest, what has only versions that the sender knew is purged; of
 *    what has others too (attributes alone, a removal of our own) the LINKs
 *    go and the rest is re-stamped: a dead row, which is purged later.
 *
 * In slices. *Keeping* goes along the change stream from the last point that
 * K covers: only rows behind it have news. What is re-stamped moves to the
 * end of the stream; local operations between the slices put what they do
 * there too; so each slice first goes on to the end, and only then *drops*,
 * in order of id. After keeping, a row has versions known to the sender or
 * a LINK unknown to it, never both: nothing else needs to be remembered, and
 * a crash may begin again from the start.
 *
 * What is open, or has unsent writes, is removed and not purged; so are the
 * directories that it would be put back into, should it be written.
 */
#include <errno.h>
#include <string.h>

#include "fs/tree/tree_internal.h"

struct absent {
	struct tree *t;
	struct replica_absence *a;
	struct idlist in_use;
	size_t left;	/* rows that this slice may still look at */
};

static bool is_known(const struct absent *s, const struct version *v)
{
	return know_covers(s->a->theirs, v->dot);
}

/*
 * ... or it may be what the sender knew: the dot of a KIND that is a re-stamp
 * does not say how old the object is. The sender may have purged versions of
 * it that were never here; others know as much as we will, and hold them.
 * They hear that these are gone by a dot of our own. (Of an object that is
 * really new the KIND has its first dot.)
 */
static bool may_be_known(const struct absent *s, const struct version *v)
{
	if (is_known(s, v))
		return true;
	return v->reg == REG_KIND && v->flags & VERSION_RENEWED &&
	       !(v->dot.origin == s->t->origin && v->dot.seq > s->a->own);
}

/* Returns 1 if the object was in the stream, or is the root. */
static int is_mentioned(const struct absent *s, struct objid id)
{
	if (objid_is_root(id))
		return 1;
	return s->a->mentioned(s->a->arg, id);
}

/* ---- one row */

struct about {
	bool news;	/* a LINK unknown to the sender */
	bool linked;	/* any LINK */
	bool buried;	/* a TOMB unknown to it */
	bool known;	/* any version known to it */
};

static struct about about_row(const struct absent *s, const struct row *row)
{
	struct about x = { 0 };

	for (size_t k = 0; k < row->o.count; k++) {
		const struct version *v = &row->o.versions[k];

		if (may_be_known(s, v))
			x.known = true;
		else if (v->reg == REG_LINK)
			x.news = true;
		else if (v->reg == REG_TOMB)
			x.buried = true;
		x.linked |= v->reg == REG_LINK;
	}
	return x;
}

enum links { LINKS_DROP, LINKS_WEAK };

/* The version that is main, where something else is shown until it is here.
 * Dot 0: none. */
static int coming_main(const struct row *row, struct dot *ret)
{
	struct info i;
	int r;

	*ret = (struct dot){ 0, 0 };
	if (!row->has_prior)
		return 0;
	r = info_init(&i, &row->o);
	if (!r && i.branch_count)
		*ret = i.branches[0].top->dot;
	info_release(&i);
	return r;
}

/*
 * A content whose bytes never came here: the sender has dropped them with the
 * object, and nobody may have them any more. What was shown in its place goes
 * on in its place; without, it goes. Returns whether it stays.
 */
static bool bytes_stay(struct absent *s, const struct row *row,
		       struct dot coming, struct version *v)
{
	const struct version *prior = &row->prior.versions[0];

	if (v->flags & VERSION_VOID ||
	    content_complete(s->t, &v->content.content))
		return true;
	if (!dot_equal(v->dot, coming) ||
	    !content_complete(s->t, &prior->content.content))
		return false;
	v->content.content = prior->content.content;
	v->content.mtime = prior->content.mtime;
	v->content.author = prior->content.author;
	return true;
}

/* The versions known to the sender go on under new dots, or go. */
static int renew(struct absent *s, struct row *row, enum links links)
{
	size_t count = row->o.count;
	bool has_kind = false;
	struct dot coming;
	int e = coming_main(row, &coming);

	if (e)
		return e;

	/* (what is re-stamped is put behind, and unknown then) */
	for (size_t k = 0; k < count;) {
		struct version v = row->o.versions[k];
		int r = 0;

		if (!may_be_known(s, &v)) {
			k++;
			continue;
		}
		object_remove(&row->o, k);
		count--;
		if (v.reg == REG_LINK && links == LINKS_DROP)
			continue;
		/* (of those that others wrote again at the same time, which
		 * all say the same, one goes on) */
		if (v.reg == REG_KIND && has_kind)
			continue;
		has_kind |= v.reg == REG_KIND;
		if (v.reg == REG_LINK)
			v.flags |= VERSION_WEAK;
		/* (the trail names what it was) */
		if (v.reg == REG_CONTENT)
			r = restamp_trail(&row->o, &v);
		if (!r && v.reg == REG_CONTENT &&
		    !bytes_stay(s, row, coming, &v))
			continue;
		version_renew(s->t, &v);
		if (!r && !object_add(&row->o, &v))
			r = -ENOMEM;
		if (r)
			return r;
	}
	return row_store(s->t, row, 0);
}

/* ---- keeping */

static int add_parents(const struct row *row, struct idlist *todo)
{
	bool named = false;
	int r = 0;

	for (size_t k = 0; !r && k < row->o.count; k++)
		if (row->o.versions[k].reg == REG_LINK) {
			named = true;
			r = idlist_add(todo,
				       row->o.versions[k].link.at.parent);
		}
	/* A dead one will be revived where it was. */
	for (size_t k = 0; !named && !r && k < row->o.count; k++)
		if (row->o.versions[k].reg == REG_TOMB)
			r = idlist_add(todo, row->o.versions[k].tomb.link.at.parent);
	return r;
}

/* met: those that were in the stream. They stay as they are, but what is dead
 * here will be revived where it was. */
static int keep_parent(struct absent *s, struct objid id, struct idlist *todo,
		       struct idlist *met)
{
	struct about x;
	struct row row;
	int mentioned = is_mentioned(s, id), r;

	if (mentioned < 0 || objid_is_root(id) || idlist_has(met, id))
		return MIN_OF(mentioned, 0);
	r = row_load(s->t, id, &row);
	if (r)
		return r;
	x = about_row(s, &row);
	if (mentioned) {
		r = idlist_add(met, id);
		if (!r && !x.linked)
			r = add_parents(&row, todo);
	} else if (row.exists && x.known) {
		r = renew(s, &row, x.news ? LINKS_DROP : LINKS_WEAK);
		s->a->kept += !r;
		if (!r)
			r = add_parents(&row, todo);
	}
	row_release(&row);
	return r;
}

static int keep_row(struct absent *s, struct objid id)
{
	struct idlist todo = { 0 }, met = { 0 };
	struct about x;
	struct row row;
	bool returns = false;
	int mentioned, r = row_load(s->t, id, &row);

	if (r)
		return r;
	x = about_row(s, &row);
	mentioned = x.news ? is_mentioned(s, id) : 1;
	if (mentioned < 0)
		r = mentioned;
	/* Removed here, and others have put something into it: it will be
	 * revived where it was. */
	if (!r && x.buried && !x.linked)
		r = dir_is_named(s->t, id, &returns);
	if (!mentioned && x.known) {
		r = renew(s, &row, LINKS_DROP);
		s->a->kept += !r;
	}
	if (!r && (x.news || returns))
		r = add_parents(&row, &todo);
	row_release(&row);
	while (!r && todo.count) {
		struct objid parent = todo.ids[--todo.count];

		r = keep_parent(s, parent, &todo, &met);
	}
	idlist_release(&todo);
	idlist_release(&met);
	return r;
}

/* Returns 1 when all of the change stream was looked at. */
static int keep_some(struct absent *s)
{
	while (s->left) {
		struct slice k, v;
		struct objid id;
		uint8_t key[8];
		int r;

		put_be64(key, s->a->lseq + 1);
		r = store_seek(s->t->store, TABLE_SEQ, SLICE(key, 8), &k, &v);
		if (r == -ENOENT)
			return 1;
		if (!r && (k.len != 8 || v.len != 16))
			r = -EUCLEAN;
		if (r)
			return r;
		s->a->lseq = get_be64(k.data);
		memcpy(id.b, v.data, 16);
		r = keep_row(s, id);
		if (r)
			return r;
		/* (what came since the last slice is on top: else much local
		 * work would keep this from ever ending) */
		s->left -= s->a->lseq <= s->a->end;
	}
	return 0;
}

/* ---- dropping */

/* Dead, where it cannot be purged. */
static int kill_row(struct absent *s, struct row *row)
{
	struct info i;
	int r = info_init(&i, &row->o);

	if (r)
		return r;
	if (i.link_count)
		r = row_unlink_slot(s->t, row, &i, i.links[0].slot);
	info_release(&i);
	for (size_t k = row->o.count; k-- > 0;)
		if (row->o.versions[k].reg == REG_LINK)
			object_remove(&row->o, k);
	return r ? r : renew(s, row, LINKS_DROP);
}

static int drop_row(struct absent *s, struct objid id)
{
	bool live, only_known = true;
	struct row row;
	int r = row_load(s->t, id, &row);

	if (r)
		return r;
	live = row.claim_count;
	for (size_t k = 0; k < row.o.count; k++)
		only_known &= is_known(s, &row.o.versions[k]);
	if (about_row(s, &row).known) {
		if (!only_known)
			r = kill_row(s, &row);
		else if (idlist_has(&s->in_use, id))
			r = kill_row(s, &row);
		else
			r = row_purge(s->t, &row);
		s->a->purged += !r && live;
	}
	row_release(&row);
	return r;
}

/* Returns 1 when all rows were looked at. */
static int drop_some(struct absent *s)
{
	while (s->left) {
		uint8_t key[17];
		struct slice k, v;
		int r;

		memcpy(key, s->a->id.b, 16);
		key[16] = 0; /* just behind it */
		r = store_seek(s->t->store, TABLE_OBJ, SLICE(key, 17), &k, &v);
		if (r == -ENOENT)
			return 1;
		if (!r && k.len != 16)
			r = -EUCLEAN;
		if (r)
			return r;
		memcpy(s->a->id.b, k.data, 16);
		r = is_mentioned(s, s->a->id);
		if (!r)
			r = drop_row(s, s->a->id);
		if (r < 0)
			return r;
		s->left--;
	}
	return 0;
}

/* ---- what is gone here, and named again */

/* A register that the row has not, of several values the one that is shown;
 * or a LINK: under a new dot. */
static int readopt_version(struct tree *t, struct row *row,
			   const struct object *theirs,
			   const struct version *old)
{
	struct version v = *old;

	for (size_t k = 0; v.reg != REG_LINK && k < row->o.count; k++)
		if (version_same_register(&row->o.versions[k], &v))
			return 0;
	for (size_t k = 0; v.reg != REG_LINK && k < theirs->count; k++)
		if (version_same_register(&theirs->versions[k], &v) &&
		    version_key_compare(&theirs->versions[k], &v) > 0)
			return 0;
	if (v.reg == REG_LINK)
		v.flags |= VERSION_WEAK;
	version_renew(t, &v);
	v.first_origin = 0;
	return object_add(&row->o, &v) ? 0 : -ENOMEM;
}

static int readopt_row(struct tree *t, struct row *row,
		       const struct object *theirs)
{
	int r = 0;

	if (object_has(&row->o, REG_LINK) ||
	    !object_has(theirs, REG_LINK))
		return 0;
	for (size_t k = 0; !r && k < theirs->count; k++)
		if (theirs->versions[k].reg != REG_CONTENT)
			r = readopt_version(t, row, theirs,
					    &theirs->versions[k]);
	if (!r)
		r = row_store(t, row, 0);
	return r ? r : 1;
}

int replica_readopt(struct tree *t, struct objid id, struct slice bytes)
{
	struct object theirs;
	struct row row;
	bool named;
	int r = dir_is_named(t, id, &named);

	if (r || !named)
		return r;
	object_init(&theirs, id);
	r = object_decode(bytes, &theirs);
	if (!r)
		r = row_load(t, id, &row);
	if (!r) {
		r = readopt_row(t, &row, &theirs);
		row_release(&row);
	}
	object_release(&theirs);
	return r == -EBADMSG ? -EUCLEAN : r;
}

/* ---- slices */

int replica_absence_begin(struct tree *t, struct replica_absence *a)
{
	a->id = ROOT_ID; /* the least, and always mentioned */
	a->kept = a->purged = 0;
	a->end = t->lseq;
	a->own = know_get(&t->know, t->origin);
	return replica_cut_start(t, a->theirs, &a->lseq);
}

int replica_absence(struct tree *t, struct replica_absence *a, size_t max,
		    size_t *ret_looked)
{
	struct absent s = { .t = t, .a = a, .left = max };
	int r = objects_in_use(t, &s.in_use);

	if (!r)
		r = keep_some(&s);
	if (r == 1)
		r = drop_some(&s);
	idlist_release(&s.in_use);
	*ret_looked = max - s.left;
	a->end = t->lseq;
	return r;
}
