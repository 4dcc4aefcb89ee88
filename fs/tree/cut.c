/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Content cuts: an inode's unsent writes become a version.
 *
 * When: at the last release of a written inode; 5 s after the last write
 * while it is open, 1 s after the first unsent append; every 10 minutes when
 * it is written without pause, but never before its first close if it was
 * born or emptied by that handle; and on request (tree_cut_settled).
 *
 * How: the inode is marked `cutting`, which makes its writers wait; extents
 * are chunked and hashed without the lock; then one operation writes the
 * version on the branch that the writes were based on. If that branch was
 * replaced meanwhile by somebody who had not seen the writes, the result is
 * a branch of its own, a sibling. What a policy hides goes, as far as it was
 * here when the writes began. If the file was removed elsewhere
 * meanwhile, the edit keeps it: its name returns where it was.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/tree/dirty.h"
#include "fs/tree/op.h"

#define CUT_FORCED_NS (600 * UINT64_C(1000000000))
/* After a cut that failed (disk full) it is tried again. */
#define CUT_RETRY_NS (5 * UINT64_C(1000000000))

void cut_alarm(struct tree *t, uint64_t when_ns)
{
	if (when_ns >= t->cut_next_ns)
		return;
	t->cut_next_ns = when_ns;
	if (t->cut_wake)
		t->cut_wake(t->cut_wake_arg);
}

void tree_on_cut_wake(struct tree *t, void (*fn)(void *arg), void *arg)
{
	store_lock(t->store);
	t->cut_wake = fn;
	t->cut_wake_arg = arg;
	store_unlock(t->store);
}

/* ---- one cut */

struct cut {
	uint64_t ino;
	bool discard;		/* unlinked, and no handle is left */
	struct dot made;	/* of the version that was written, or 0 */
	struct dirty d;
	struct extents extents;
	struct content base, content;
	struct buf bytes;
	struct content_build *build;
};

static void cut_release(struct cut *c)
{
	dirty_release(&c->d);
	extents_release(&c->extents);
	buf_release(&c->bytes);
	content_build_free(c->build);
}

/*
 * 1: go on; 0: nothing to do. What was unlinked here becomes no version, and
 * goes with its last handle; until then nothing is made of it.
 */
static int cut_start(struct tree *t, struct cut *c)
{
	struct inode *i;
	int r = 0;

	store_lock(t->store);
	i = inode_find(t, c->ino);
	if (i && i->dirty && !i->cutting) {
		r = dirty_get(t, c->ino, &c->d);
		c->discard = c->d.unlinked && !i->opens;
		if (!r && !c->d.unlinked)
			r = extents_load(t, c->ino, 0, FILE_BYTES_MAX,
					 SIZE_MAX, &c->extents);
		if (!r && (c->discard || !c->d.unlinked)) {
			i->cutting = true;
			r = 1;
		}
	}
	store_unlock(t->store);
	if (r == 1 && c->d.base.count &&
	    !(c->d.base.versions[0].flags & VERSION_VOID))
		c->base = c->d.base.versions[0].content.content;
	else
		content_empty(&c->base);
	return r;
}

/* [locked] */
static void cut_stop(struct tree *t, struct cut *c, bool done)
{
	struct inode *i = inode_find(t, c->ino);

	if (i) {
		i->cutting = false;
		i->dirty = !done;
		i->born &= !done;
		if (!done)
			i->last_write_ns = t->env->monotonic_ns(t->env->arg) +
					   CUT_RETRY_NS;
		inode_drop(t, i);
	}
	pthread_mutex_lock(&t->cut_mutex);
	t->cuts_ended++;
	pthread_cond_broadcast(&t->cut_cond);
	pthread_mutex_unlock(&t->cut_mutex);
}

static bool same_bytes(const struct version *a, const struct version *b)
{
	if (a->flags & VERSION_VOID || b->flags & VERSION_VOID)
		return false;
	return a->content.content.size == b->content.content.size &&
	       version_entry_name(a).hash64 == version_entry_name(b).hash64;
}

/*
 * The branch that the writes replace, or NULL. A base that is hidden under
 * another content by now (it was shown when the file was opened, or while
 * that one is not here yet) does not make the writer one who saw that one.
 */
static const struct branch *cut_branch(const struct info *i,
				       const struct cut *c)
{
	const struct version *base;

	if (!c->d.base.count) /* it had no content: born here */
		return NULL;
	base = &c->d.base.versions[0];
	for (size_t g = 0; g < i->branch_count; g++)
		for (size_t k = 0; k < i->branches[g].count; k++)
			if (version_same(i->branches[g].versions[k], base))
				return same_bytes(base, i->branches[g].top)
					       ? &i->branches[g]
					       : NULL;
	for (size_t g = 0; g < i->branch_count; g++)
		if (same_bytes(base, i->branches[g].top))
			return &i->branches[g];
	return NULL;
}

/* Removed elsewhere while it was written here: the edit keeps the name. */
static int return_name(struct tree *t, struct row *row,
		       const struct version *tomb)
{
	struct version v;
	int r;

	op_tick(t);
	r = link_returned(t, tomb, &v);
	return r ? r : row_add(row, &v);
}

bool branch_has_content(const struct branch *b, const struct content *c)
{
	return b && !b->is_void &&
	       content_has_same_bytes(&b->top->content.content, c);
}

/* Does the version of this dot stand under the file's name now? */
static bool is_main_of(const struct row *row, struct dot dot)
{
	struct info i;
	bool yes;

	if (info_init(&i, &row->o))
		return true;
	yes = i.branch_count && dot_equal(i.branches[0].top->dot, dot);
	info_release(&i);
	return yes;
}

static int cut_write(struct tree *t, struct cut *c, struct row *row,
		     struct info *i)
{
	const struct branch *b = cut_branch(i, c);
	struct content_write w = { .content = &c->content,
				   .mtime = c->d.mtime, .keep = true,
				   .known = &c->d.known };
	/* (writing versions moves what the info points to) */
	struct version back = { .dot = { 0 } };
	struct timespec btime = i->times ? i->times->times.btime : c->d.mtime;
	bool nameless = !i->shown_count;
	bool main = !i->branch_count || b == &i->branches[0];
	int r = 0;

	if (nameless && !i->tomb)
		return -EUCLEAN;
	if (nameless)
		back = *i->tomb; /* (what it borrows stays in the arena) */
	/* (while another is on its way the name shows these writes) */
	w.leads = row->has_prior && row->ino == c->ino;
	if (!branch_has_content(b, &c->content) || nameless) {
		r = branch_write(t, row, i, w.leads && !main ? NULL : b,
				 c->d.base.count ? &c->d.base.versions[0]
						 : NULL, &w);
		c->made = t->op_dot;
		main = !r && is_main_of(row, c->made);
	}
	/* (the file's mtime is main's; a sibling has its own) */
	if (!r && main)
		r = row_set_times(t, row, c->d.mtime, btime);
	if (!r && nameless)
		r = return_name(t, row, &back);
	return !r && nameless ? revive_up(t, back.tomb.link.at.parent) : r;
}

/* A detached number goes on as what was just written to it, or is given up
 * when no handle is left. */
static int cut_reattach(struct tree *t, struct cut *c, const struct row *row)
{
	const struct inode *open = inode_find(t, c->ino);
	struct inoref ref;
	int r;

	if (!open || !open->opens)
		return ino_forget_detached(t, c->ino);
	r = ino_get(t, c->ino, &ref);
	if (r)
		return r == -ESTALE ? 0 : r;
	for (size_t k = 0; !r && ref.type == INO_DETACHED &&
			   k < row->o.count; k++) {
		const struct version *v = &row->o.versions[k];

		if (v->reg == REG_CONTENT && dot_equal(v->dot, c->made)) {
			r = ino_detach(t, c->ino, row->o.id, v);
			break;
		}
	}
	inoref_release(&ref);
	return r;
}

/*
 * To make the version only those chunks of the base are needed that change.
 * If others replaced the base before it was here, no row names the rest, and
 * nobody asks for it but for this version. (Most bases are in a row that is
 * complete, and a large one is not walked through at each save.)
 */
static bool cut_borrows(const struct cut *c, const struct row *row)
{
	return c->d.kept && c->base.depth &&
	       object_find(&row->o, &c->d.base.versions[0]) < 0;
}

/*
 * The version may be main from now on though it was written by a number that
 * the name had before: others replaced the base of that, and this is newer.
 * Then it is another content that the name shows, as if it had come from
 * elsewhere; who has the name's number open goes on with what that showed.
 * Else the name would go on to show the unsent writes of that number, and
 * who removes or replaces the file would take a main that he never saw.
 */
static int cut_leads(struct tree *t, const struct cut *c, struct row *row,
		     const struct version *shown)
{
	struct info now;
	int r;

	if (row->ino == c->ino || !c->made.seq)
		return 0;
	r = info_init(&now, &row->o);
	if (!r && now.branch_count &&
	    dot_equal(now.branches[0].top->dot, c->made))
		r = data_changed(t, row, shown, now.branches[0].top);
	info_release(&now);
	return r;
}

static int cut_row(struct tree *t, struct cut *c)
{
	const struct version *shown;
	struct version was;
	struct row row;
	struct info i;
	uint64_t ino;
	int r = row_load(t, c->d.id, &row);

	if (r)
		return r;
	ino = row.ino;
	row.borrows = cut_borrows(c, &row);
	r = info_init(&i, &row.o);
	if (!r)
		r = remove_twins_of(t, &row, &i);
	shown = r ? NULL : row_shown_content(&row, &i);
	if (shown) /* (what it borrows stays in the arena) */
		was = *shown;
	if (!r)
		r = cut_write(t, c, &row, &i);
	if (!r)
		r = cut_leads(t, c, &row, shown ? &was : NULL);
	if (!r)
		r = content_commit(t->store, c->build);
	if (!r)
		r = stored_keep(t, c->ino, &c->d, &c->content);
	if (!r)
		r = cut_reattach(t, c, &row);
	/* (stat must not change because a version is made) */
	if (!r)
		r = row_store_at(t, &row, 0,
				 MAX_OF(c->d.ctime_ns, row.ctime_ns));
	if (!r && row.ino != ino)
		event_inode(t, ino);
	for (size_t k = 0; !r && row.ino != ino && k < row.claim_count; k++)
		r = work_spot(t, &row.claims[k].at);
	info_release(&i);
	row_release(&row);
	return r;
}

static int cut_commit(struct tree *t, struct cut *c)
{
	const struct inode *open = inode_find(t, c->ino);
	struct dirty now;
	int r;

	/* What may have changed meanwhile: the mtime, and the name (by mv of
	 * a sibling even the object). */
	r = dirty_get(t, c->ino, &now);
	if (r)
		return r;
	c->d.id = now.id;
	c->d.mtime = now.mtime;
	c->d.ctime_ns = now.ctime_ns;
	c->d.unlinked = now.unlinked;
	/* (a fork may have given it another dot) */
	object_release(&c->d.base);
	object_release(&c->d.known);
	c->d.base = now.base;
	c->d.known = now.known;
	object_init(&now.base, now.id);
	object_init(&now.known, now.id);
	dirty_release(&now);
	if (!c->d.unlinked)
		r = cut_row(t, c);
	else if (open && open->opens)
		r = -EAGAIN;
	else
		r = ino_forget_detached(t, c->ino);
	return r ? r : dirty_drop(t, c->ino);
}

/* Something that it is made of is not here. [locked] */
static void wait_for_parts(struct tree *t, const struct cut *c)
{
	(void)!pending_wait(t, &c->base, 0, c->d.kept);
	for (size_t k = 0; k < c->extents.count; k++)
		if (c->extents.list[k].kind == EXTENT_CHUNK)
			(void)pending_wait_chunk(t, &c->extents.list[k].hash);
}

int data_cut(struct tree *t, uint64_t ino)
{
	cleanup(store_hold_end) struct store_hold hold = store_hold(t->store);
	struct cut c = { .ino = ino, .bytes = BUF_INIT };
	int r = cut_start(t, &c);

	if (r == 1) {
		r = c.discard ? 0 :
		    content_build(t->store, &c.base, c.d.kept, c.d.size,
				  c.extents.list, c.extents.count, &c.bytes,
				  &c.content, &c.build);
		/* One hold of the lock: nobody may find the inode dirty and
		 * its header gone. */
		store_lock(t->store);
		/* Written before all of the base was here. Nobody else wants
		 * it, if another content has taken its place since. */
		if (r == -ENOENT)
			wait_for_parts(t, &c);
		if (!r)
			r = op_begin_locked(t);
		/* (the writes were taken in, or it is a truncation) */
		if (!r)
			store_op_makes_room(t->store);
		if (!r)
			r = op_end_locked(t, cut_commit(t, &c));
		cut_stop(t, &c, !r);
		store_unlock(t->store);
	}
	cut_release(&c);
	return r;
}

/* ---- which are due */

static uint64_t cut_due_ns(const struct inode *i)
{
	uint64_t due = i->last_write_ns + CUT_IDLE_NS;

	if (!i->writers)
		return i->last_write_ns;
	if (i->appended)
		due = MIN_OF(due, i->first_write_ns + CUT_APPEND_NS);
	if (!i->fresh)
		due = MIN_OF(due, i->first_write_ns + CUT_FORCED_NS);
	return due;
}

/* Numbers of the inodes that are dirty; those not due by `now` set *next. */
static size_t cut_list(struct tree *t, uint64_t now, bool settled,
		       uint64_t idle_ns, uint64_t **ret, uint64_t *next)
{
	size_t n = 0;
	struct inode *i, *tmp;

	*ret = malloc((HASH_COUNT(t->inodes) + 1) * sizeof(**ret));
	*next = UINT64_MAX;
	if (!*ret)
		return 0;
	HASH_ITER(hh, t->inodes, i, tmp) {
		uint64_t due = settled ? i->last_write_ns + idle_ns
				       : cut_due_ns(i);

		if (!i->dirty || i->cutting)
			continue;
		if (due <= now)
			(*ret)[n++] = i->ino;
		else
			*next = MIN_OF(*next, due);
	}
	return n;
}

uint64_t tree_cut_due(struct tree *t)
{
	autofree uint64_t *list = NULL;
	uint64_t now = t->env->monotonic_ns(t->env->arg), next;
	size_t n;

	store_lock(t->store);
	t->cut_next_ns = UINT64_MAX;
	n = cut_list(t, now, false, 0, &list, &next);
	store_unlock(t->store);
	for (size_t k = 0; k < n; k++)
		if (data_cut(t, list[k]))
			next = MIN_OF(next, now + CUT_RETRY_NS);
	/* (an alarm may have been set meanwhile) */
	store_lock(t->store);
	t->cut_next_ns = next = MIN_OF(next, t->cut_next_ns);
	store_unlock(t->store);
	return next;
}

bool tree_is_cutting(struct tree *t)
{
	struct inode *i, *tmp;
	bool yes = false;

	store_lock(t->store);
	HASH_ITER(hh, t->inodes, i, tmp)
		yes |= i->cutting;
	store_unlock(t->store);
	return yes;
}

int tree_cut_settled(struct tree *t, uint64_t idle_ms)
{
	autofree uint64_t *list = NULL;
	uint64_t now = t->env->monotonic_ns(t->env->arg), next;
	struct inode *i, *tmp;
	size_t n;
	int left = 0;

	store_lock(t->store);
	n = cut_list(t, now, true, idle_ms * 1000000, &list, &next);
	store_unlock(t->store);
	for (size_t k = 0; k < n; k++)
		(void)!data_cut(t, list[k]);
	store_lock(t->store);
	HASH_ITER(hh, t->inodes, i, tmp) {
		struct dirty d;

		if (!i->dirty)
			continue;
		if (i->cutting || dirty_get(t, i->ino, &d)) {
			left++;
			continue;
		}
		left += !d.unlinked;
		dirty_release(&d);
	}
	store_unlock(t->store);
	return left;
}
