/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Operations that make and remove names, and attributes. Each is one store
 * operation and one dot. rename.c has the rest of the names' life.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fs/tree/heritage.h"
#include "fs/tree/op.h"
#include "fs/tree/saves.h"

/* ---- looking */

static int entry_of(struct tree *t, const struct shown *s, struct entry *ret)
{
	uint64_t ino;
	int r = shown_ino(t, s, &ino);

	if (!r)
		r = attr_of(t, ino, &ret->attr);
	ret->is_view = s->type == SHOWN_SIBLING || s->type == SHOWN_SUFFIXED;
	return r;
}

int check_name(struct slice name)
{
	if (name.len > NAME_BYTES_MAX)
		return -ENAMETOOLONG;
	return name_is_valid(name) ? 0 : -EINVAL;
}

int tree_lookup(struct tree *t, uint64_t parent, struct slice name,
		struct entry *ret)
{
	struct objid dir;
	struct shown s;
	int r = check_name(name);

	if (r)
		return r;
	store_lock(t->store);
	r = ino_dir(t, parent, &dir);
	if (!r)
		r = view_find(t, dir, name, &s);
	if (!r)
		r = entry_of(t, &s, ret);
	store_unlock(t->store);
	return r;
}

int tree_getattr(struct tree *t, uint64_t ino, struct attr *ret)
{
	int r;

	store_lock(t->store);
	r = attr_of(t, ino, ret);
	store_unlock(t->store);
	return r;
}

int tree_parent(struct tree *t, uint64_t ino, uint64_t *ret)
{
	struct inoref ref;
	struct objid dir;
	int r;

	if (ino == TREE_ROOT_INO) {
		*ret = TREE_ROOT_INO;
		return 0;
	}
	store_lock(t->store);
	r = ino_get(t, ino, &ref);
	if (!r) {
		inoref_release(&ref);
		r = claimed_parent(t, ref.id, &dir);
	}
	if (!r)
		r = dir_ino(t, dir, ret);
	store_unlock(t->store);
	return r;
}

bool tree_has_view_names(struct tree *t, uint64_t ino)
{
	struct objid dir;
	bool yes = false;

	store_lock(t->store);
	if (ino_dir(t, ino, &dir) || view_has_virtuals(t, dir, &yes))
		yes = true; /* what cannot be read is not to be cached */
	store_unlock(t->store);
	return yes;
}

/* ---- directory times */

/* The canonical directory's mtime is now; no KEEP, no revival. */
int touch_dir(struct tree *t, struct objid dir)
{
	struct row row;
	struct info i;
	struct timespec now = tree_now(t), btime;
	int r = row_load(t, group_canonical(t, dir), &row);

	if (r)
		return r;
	if (!row.exists) { /* a joiner's root, before the first cut */
		row_release(&row);
		return 0;
	}
	r = info_init(&i, &row.o);
	if (!r) {
		btime = i.times ? i.times->times.btime : now;
		info_release(&i);
		r = row_set_times(t, &row, now, btime);
	}
	if (!r)
		r = row_store(t, &row, 0);
	row_release(&row);
	return r;
}

/* ---- making */

struct objid new_objid(struct tree *t)
{
	struct objid id;
	uint64_t ms = replica_hlc(t) >> 16;

	for (int k = 5; k >= 0; k--, ms >>= 8)
		id.b[k] = (uint8_t)ms;
	t->env->random(t->env->arg, id.b + 6, sizeof(id.b) - 6);
	return id;
}

/*
 * The slot of a file's first name. Made of random bits, as slots are, but of
 * the object's own: who gives a removed name back to a file that was written
 * meanwhile must give back the same slot, or two such nodes would make two
 * names of one.
 */
uint64_t first_slot(struct objid id)
{
	uint64_t slot = get_le64(id.b + 8);

	return slot ? slot : 1;
}

static int add_metadata(struct tree *t, struct row *row,
			const struct tree_new *n)
{
	struct version v = op_version(t, REG_KIND);
	int r;

	v.kind.kind = (uint8_t)n->kind;
	r = row_add(row, &v);
	v = op_version(t, REG_MODE);
	v.mode.perm = n->perm & 07777;
	v.mode.acl = n->acl;
	if (!r)
		r = row_add(row, &v);
	v = op_version(t, REG_OWNER);
	v.owner.user = n->user;
	v.owner.group = n->group;
	if (!r)
		r = row_add(row, &v);
	v = op_version(t, REG_TIMES);
	v.times.mtime = v.times.btime = tree_now(t);
	return r ? r : row_add(row, &v);
}

/* A new object in a row of its own, not yet stored. */
int object_make(struct tree *t, struct place at, const struct tree_new *n,
		const struct content *content, struct timespec mtime,
		struct row *ret)
{
	struct info none = { 0 };
	struct content_write w = { .content = content, .mtime = mtime };
	int r = row_load(t, new_objid(t), ret);

	if (r)
		return r;
	op_tick(t);
	r = add_metadata(t, ret, n);
	if (!r)
		r = row_place(t, ret, NULL,
			      n->kind == KIND_DIR ? SLOT_DIR :
						    first_slot(ret->o.id),
			      at, false, NULL);
	if (!r && n->kind != KIND_DIR)
		r = branch_write(t, ret, &none, NULL, NULL, &w);
	if (r)
		row_release(ret);
	return r;
}

int create_locked(struct tree *t, uint64_t parent, struct slice name,
		  const struct tree_new *wanted, struct entry *ret,
		  uint64_t *ret_ino)
{
	cleanup(heritage_release) struct heritage h = { 0 };
	struct tree_new own = *wanted, *n = &own;
	uint8_t device[DEVICE_CONTENT_BYTES];
	struct content content;
	struct objid dir;
	struct shown there;
	struct row row;
	int r = ino_dir(t, parent, &dir);

	if (!r)
		r = view_find(t, dir, name, &there);
	if (!r)
		return -EEXIST;
	if (r != -ENOENT || (r = ino_dir(t, parent, &dir)))
		return r;
	device_content(n->rdev, device);
	if (n->kind == KIND_SYMLINK)
		content_inline(n->target, &content);
	else if (kind_is_device(n->kind))
		content_inline(SLICE(device, sizeof(device)), &content);
	else
		content_empty(&content);
	r = heritage_of(t, dir, &h, n);
	if (!r)
		r = object_make(t, (struct place){ dir, name }, n, &content,
				tree_now(t), &row);
	if (r)
		return r;
	r = heritage_add(t, &row, &h);
	if (!r)
		r = row_store(t, &row, 0);
	*ret_ino = row.ino;
	if (!r && n->kind == KIND_FILE) {
		unsettled_born(t, row.o.id, row.ino);
		left_taken(t, dir, name, row.o.id);
	}
	row_release(&row);
	if (!r)
		r = touch_dir(t, dir);
	if (!r)
		r = attr_of(t, *ret_ino, &ret->attr);
	ret->is_view = false;
	return r;
}

int tree_create(struct tree *t, uint64_t parent, struct slice name,
		const struct tree_new *n, bool open, struct entry *ret)
{
	struct inode *i = NULL;
	uint64_t ino = 0;
	int r = check_name(name);

	if (r)
		return r;
	if (n->kind == KIND_SYMLINK && n->target.len > SYMLINK_BYTES_MAX)
		return -ENAMETOOLONG;
	if (n->kind == KIND_SYMLINK && !n->target.len)
		return -ENOENT;
	room_wait(t);
	r = op_begin(t);
	if (r)
		return r;
	r = create_locked(t, parent, name, n, ret, &ino);
	if (!r && open) {
		i = inode_get(t, ino);
		if (i) {
			i->opens++;
			i->writers++;
			i->fresh = i->born = true;
		} else {
			r = -ENOMEM;
		}
	}
	r = op_end(t, op_answers(t, r, ino));
	if (r && i) {
		store_lock(t->store);
		i->opens--;
		i->writers--;
		inode_drop(t, i);
		store_unlock(t->store);
	}
	return r;
}

/* ---- removing */

static int unlink_locked(struct tree *t, uint64_t parent, struct slice name)
{
	struct objid dir;
	struct shown s;
	int r = ino_dir(t, parent, &dir);

	if (!r)
		r = view_find(t, dir, name, &s);
	if (r)
		return r;
	if (s.type == SHOWN_DIR)
		return -EISDIR;
	store_op_makes_room(t->store);
	r = alias_note(t, dir, &s);
	if (!r)
		r = backup_fold(t, &s);
	if (!r)
		r = entry_remove(t, &s);
	return r < 0 ? r : touch_dir(t, dir);
}

int tree_unlink(struct tree *t, uint64_t parent, struct slice name)
{
	int r = check_name(name);

	if (r)
		return r;
	r = begin_adopting(t, backup_number(t, parent, name));
	if (r)
		return r;
	r = op_end_locked(t, op_answers(t, unlink_locked(t, parent, name), 0));
	saves_ended(t, r);
	store_unlock(t->store);
	return r;
}

/* Removes every member of the group, each with a TOMB. */
int dir_remove(struct tree *t, struct objid dir)
{
	struct idlist members = { 0 };
	bool empty;
	int r = view_is_empty(t, dir, &empty);

	if (!r && !empty)
		return -ENOTEMPTY;
	if (!r)
		r = pin_overrides(t, &dir, 1);
	if (!r)
		r = dir_ino(t, dir, &t->op_removed);
	if (!r)
		r = group_members(t, dir, &members);
	for (size_t k = 0; !r && k < members.count; k++) {
		struct row row;
		struct info i;

		r = row_load(t, members.ids[k], &row);
		if (r)
			break;
		r = info_init(&i, &row.o);
		if (!r)
			r = row_unlink_slot(t, &row, &i, SLOT_DIR);
		info_release(&i);
		if (!r)
			r = row_store(t, &row, 0);
		row_release(&row);
	}
	idlist_release(&members);
	return r;
}

static int rmdir_locked(struct tree *t, uint64_t parent, struct slice name)
{
	struct objid dir;
	struct shown s;
	int r = ino_dir(t, parent, &dir);

	if (!r)
		r = view_find(t, dir, name, &s);
	if (r)
		return r;
	if (s.type != SHOWN_DIR)
		return -ENOTDIR;
	store_op_makes_room(t->store);
	r = alias_note(t, dir, &s);
	if (!r)
		r = dir_remove(t, s.id);
	return r ? r : touch_dir(t, dir);
}

int tree_rmdir(struct tree *t, uint64_t parent, struct slice name)
{
	int r = check_name(name);

	if (r)
		return r;
	r = op_begin(t);
	return r ? r : op_end(t, op_answers(t, rmdir_locked(t, parent, name),
					    0));
}

/* ---- attributes */

int row_set_mode(struct tree *t, struct row *row, uint32_t perm,
		 struct slice acl)
{
	struct version v;

	op_tick(t);
	v = op_version(t, REG_MODE);
	v.mode.perm = perm & 07777;
	v.mode.acl = acl;
	row_drop(row, REG_MODE, 0);
	return row_add(row, &v);
}

/* Whom a program means by a name: the one who has it already, if both are
 * shown as one number. */
static struct slice meant(const struct tree *t, const struct tree_setattr *s,
			  uint32_t (*number_of)(void *, struct slice),
			  struct slice was, struct slice now)
{
	void *arg = t->env->arg;

	if (s->set & TREE_SET_AS_SHOWN && number_of && was.len &&
	    number_of(arg, was) == number_of(arg, now))
		return was;
	return now;
}

static int set_owner(struct tree *t, struct row *row, const struct info *i,
		     const struct tree_setattr *s)
{
	struct version v;

	op_tick(t);
	v = op_version(t, REG_OWNER);
	if (i->owner)
		v.owner = i->owner->owner;
	if (s->set & TREE_SET_USER)
		v.owner.user = meant(t, s, t->env->uid_of, v.owner.user,
				     s->user);
	if (s->set & TREE_SET_GROUP)
		v.owner.group = meant(t, s, t->env->gid_of, v.owner.group,
				      s->group);
	row_drop(row, REG_OWNER, 0);
	return row_add(row, &v);
}

static int row_setattr(struct tree *t, struct row *row,
		       const struct tree_setattr *s)
{
	struct timespec btime = s->mtime;
	struct slice acl = s->acl;
	struct info i;
	int r = info_init(&i, &row->o);

	if (!r && i.times)
		btime = i.times->times.btime;
	if (!r && i.kind != KIND_DIR)
		r = remove_twins_of(t, row, &i);
	/* (in the arena: it stays where it is) */
	if (!r && !(s->set & TREE_SET_ACL) && i.mode)
		acl = i.mode->mode.acl;
	/* (owner first: what the info points to moves with each write) */
	if (!r && s->set & (TREE_SET_USER | TREE_SET_GROUP))
		r = set_owner(t, row, &i, s);
	info_release(&i);
	if (!r && s->set & TREE_SET_MODE)
		r = row_set_mode(t, row, s->perm, acl);
	if (!r && s->set & TREE_SET_MTIME)
		r = row_set_times(t, row, s->mtime, btime);
	return r ? r : row_store(t, row, 0);
}

int object_setattr(struct tree *t, struct objid id,
		   const struct tree_setattr *s)
{
	struct row row;
	int r = row_load(t, group_canonical(t, id), &row);

	if (r)
		return r;
	r = row_setattr(t, &row, s);
	row_release(&row);
	return r;
}

/* A sibling has an mtime of its own, in its content. Returns 1 if the inode
 * is none (any more), and the file's is meant. */
static int sibling_set_mtime(struct tree *t, const struct inoref *ref,
			     struct timespec mtime)
{
	struct content_write w = { .mtime = mtime };
	const struct branch *b;
	struct row row;
	struct info i;
	int r = row_load(t, ref->id, &row);

	if (r)
		return r;
	r = info_init(&i, &row.o);
	b = r ? NULL : info_branch(&i, ref->tag);
	if (!r && !b)
		r = -ESTALE;
	if (!r && b == &i.branches[0])
		r = 1;
	if (!r) {
		w.content = &b->top->content.content;
		r = branch_write(t, &row, &i, b, NULL, &w);
		if (!r)
			r = row_store(t, &row, 0);
	}
	info_release(&i);
	row_release(&row);
	return r;
}

/* Of what is shown at the number, which may not be the file's main. */
static int set_own_mtime(struct tree *t, uint64_t ino, struct inoref *ref,
			 struct tree_setattr *s)
{
	int r = dirty_set_mtime(t, ino, s->mtime), sibling = 0;

	if (r < 0 || ref->type == INO_OBJECT)
		return MIN_OF(r, 0);
	if (ref->type == INO_DETACHED) {
		ref->version.versions[0].content.mtime = s->mtime;
		sibling = ino_put(t, ino, ref);
	} else if (!r) {
		sibling = sibling_set_mtime(t, ref, s->mtime);
	}
	if (sibling < 1)
		s->set &= ~(uint32_t)TREE_SET_MTIME;
	return MIN_OF(sibling, 0);
}

/* What is no version is told by ctime alone. */
static int row_set_ctime(struct tree *t, struct row *row)
{
	row->ctime_ns = t->op_now_ns;
	return row->exists ? row_store_local(t, row) : 0;
}

static int set_carried(struct tree *t, uint64_t ino,
		       const struct tree_setattr *s)
{
	struct row row;
	int r = carrier_load(t, ino, true, &row);

	if (r)
		return r;
	r = s->set ? row_setattr(t, &row, s) : row_set_ctime(t, &row);
	row_release(&row);
	return r;
}

static bool is_settable(struct timespec time)
{
	return time.tv_sec >= TIME_SECONDS_MIN &&
	       time.tv_sec <= TIME_SECONDS_MAX;
}

static void set_now(struct tree *t, struct timespec *time)
{
	if (time->tv_nsec == UTIME_NOW)
		*time = tree_now(t);
}

static int setattr_locked(struct tree *t, uint64_t ino,
			  const struct tree_setattr *s)
{
	struct tree_setattr of_row = *s;
	struct inoref ref;
	bool local; /* what has no version of its own */
	int r = ino_get(t, ino, &ref);

	if (r)
		return r;
	set_now(t, &of_row.mtime);
	set_now(t, &of_row.atime);
	of_row.set &= ~(uint32_t)(TREE_SET_SIZE | TREE_SET_ATIME);
	if (s->set & TREE_SET_SIZE)
		r = data_truncate(t, ino, s->size);
	if (!r && s->set & TREE_SET_MTIME)
		r = set_own_mtime(t, ino, &ref, &of_row);
	if (!r && s->set & TREE_SET_ATIME)
		r = atime_set(t, ino, of_row.atime);
	local = !(s->set & ~(uint32_t)TREE_SET_ATIME) ||
		(ref.type == INO_DETACHED && s->set & TREE_SET_MTIME);
	if (!r && (of_row.set || local))
		r = set_carried(t, ino, &of_row);
	inoref_release(&ref);
	return r;
}

/* Returns true if the truncation is to be made a version at once: without a
 * handle, as by truncate(2), nobody will release it. [locked] */
static bool truncated(struct tree *t, uint64_t ino, uint64_t size, int r)
{
	struct inode *i;

	inode_wrote(t, ino, false, r);
	i = r ? NULL : inode_find(t, ino);
	if (!i)
		return false;
	if (!size && i->writers)
		i->fresh = true;
	return !i->writers;
}

int tree_setattr(struct tree *t, uint64_t ino, const struct tree_setattr *s,
		 struct attr *ret)
{
	bool cut = false;
	int r;

	if (s->user.len > PRINCIPAL_BYTES_MAX ||
	    s->group.len > PRINCIPAL_BYTES_MAX)
		return -EINVAL;
	if ((s->set & TREE_SET_MTIME && !is_settable(s->mtime)) ||
	    (s->set & TREE_SET_ATIME && !is_settable(s->atime)))
		return -EINVAL;
	r = s->set & TREE_SET_SIZE ? begin_uncut(t, ino) : op_begin(t);
	if (r)
		return r;
	r = op_end_locked(t, op_answers(t, setattr_locked(t, ino, s), 0));
	if (s->set & TREE_SET_SIZE)
		cut = truncated(t, ino, s->size, r);
	if (!r)
		r = attr_of(t, ino, ret);
	store_unlock(t->store);
	if (cut && data_cut(t, ino)) {
		store_lock(t->store);
		cut_alarm(t, 0);
		store_unlock(t->store);
	}
	return r;
}
