/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Extended attributes: one register for each name (REG_XATTR), read by
 * greatest key. A write replaces all versions of its name; one that lost
 * against a concurrent one stays in the row until then.
 *
 * They are the object's, as mode and owner are: a sibling has none of its
 * own, it shows and takes the file's; of a merged directory the canonical
 * one carries them. Like chmod they do not bring back what was removed.
 *
 * Removing is a write too ("removed"), or it could not win against older
 * values elsewhere. Such traces are of use only while somebody may not have
 * heard of them, so of those that stand alone a few are kept; each further
 * write takes the oldest along.
 *
 * Names that begin with "user.kin." are kinfs's own: what is not known there
 * is refused, so that a misspelt setting is not taken for set. Known is
 * user.kin.acks (acks.h) and user.kin.policy (policy.h), of directories.
 * user.kin.conflict can be read only (conflict_xattr.c).
 *
 * "security." and "trusted." stay on this node: xattr_local.c. What a default
 * ACL is stands among the registers, by its name: acl.h.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/tree/acks.h"
#include "fs/tree/acl.h"
#include "fs/tree/op.h"
#include "fs/tree/policy.h"
#include "fs/tree/saves.h"
#include "fs/tree/variants_internal.h"
#include "fs/tree/xattr_local.h"

/* Traces of removals that are kept, see above. */
#define XATTR_REMOVED_MAX 16

#define PREFIX_USER "user."
#define PREFIX_OWN "user.kin."

static int check_xattr_name(struct slice name)
{
	if (!xattr_name_is_valid(name))
		return name.len > NAME_BYTES_MAX ? -ERANGE : -EINVAL;
	if (!slice_has_prefix(name, PREFIX_USER) && !xattr_is_local(name))
		return -ENOTSUP;
	/* (the prefix alone) */
	return name.data[name.len - 1] == '.' &&
	       !memchr(name.data, '.', name.len - 1) ? -EINVAL : 0;
}

int carrier_load(struct tree *t, uint64_t ino, bool change, struct row *ret)
{
	struct inoref ref;
	int r = ino_get(t, ino, &ref);

	if (r)
		return r;
	inoref_release(&ref);
	r = ref.type == INO_DETACHED ? orphan_read(t, ino, ref.id, ret) : 0;
	if (r)
		return MIN_OF(r, 0);
	ref.id = group_canonical(t, ref.id);
	return change ? row_load(t, ref.id, ret) : row_read(t, ref.id, ret);
}

/* ---- reading */

int tree_getxattr(struct tree *t, uint64_t ino, struct slice name,
		  struct buf *ret)
{
	const struct version *v = NULL;
	struct row row;
	struct info i;
	int r = check_xattr_name(name);

	if (r)
		return r;
	if (xattr_is_local(name))
		return local_getxattr(t, ino, name, ret);
	store_lock(t->store);
	if (slice_equal(name, SLICE_STR(XATTR_CONFLICT))) {
		r = conflict_describe(t, ino, ret);
		store_unlock(t->store);
		return r;
	}
	r = carrier_load(t, ino, false, &row);
	if (r) {
		store_unlock(t->store);
		return r;
	}
	r = info_init(&i, &row.o);
	if (!r)
		v = info_xattr(&i, name);
	if (v)
		buf_put_slice(ret, v->xattr.value);
	info_release(&i);
	row_release(&row);
	store_unlock(t->store);
	if (!r && !v)
		r = -ENODATA;
	return r ? r : buf_error(ret);
}

static int by_name(const void *pa, const void *pb)
{
	const struct version *const *a = pa, *const *b = pb;

	return slice_compare((*a)->xattr.name, (*b)->xattr.name);
}

static void put_name_listed(struct buf *ret, struct slice name)
{
	buf_put_slice(ret, name);
	buf_put_u8(ret, 0);
}

/* (a peer may have sent registers of any name) */
static bool is_listed(struct slice name)
{
	return slice_has_prefix(name, PREFIX_USER) ||
	       slice_equal(name, SLICE_STR(ACL_DEFAULT_NAME));
}

/* conflict: with that one, in its place. */
static int list_names(const struct info *i, bool conflict, struct buf *ret)
{
	struct slice own = SLICE_STR(XATTR_CONFLICT);
	const struct object *o = i->object;
	autofree const struct version **all = NULL;
	size_t n = 0;

	all = calloc(o->count + 1, sizeof(*all));
	if (!all)
		return -ENOMEM;
	if (i->mode && i->mode->mode.acl.len)
		put_name_listed(ret, SLICE_STR(ACL_ACCESS_NAME));
	for (size_t k = 0; k < o->count; k++) {
		const struct version *v = &o->versions[k];

		if (v->reg == REG_XATTR && is_listed(v->xattr.name) &&
		    info_xattr(i, v->xattr.name) == v)
			all[n++] = v;
	}
	if (n > 1)
		qsort(all, n, sizeof(*all), by_name);
	for (size_t k = 0; k < n; k++) {
		if (conflict && slice_compare(own, all[k]->xattr.name) < 0) {
			put_name_listed(ret, own);
			conflict = false;
		}
		put_name_listed(ret, all[k]->xattr.name);
	}
	if (conflict)
		put_name_listed(ret, own);
	return buf_error(ret);
}

int tree_listxattr(struct tree *t, uint64_t ino, struct buf *ret)
{
	struct row row;
	struct info i;
	int r;

	store_lock(t->store);
	r = carrier_load(t, ino, false, &row);
	if (!r) {
		r = info_init(&i, &row.o);
		if (!r)
			r = row_local_list(&row, ret);
		if (!r)
			r = list_names(&i, conflict_is_shown(t, ino), ret);
		info_release(&i);
		row_release(&row);
	}
	store_unlock(t->store);
	return r;
}

/* ---- writing */

static void drop_name(struct row *row, struct slice name)
{
	for (size_t k = row->o.count; k-- > 0;) {
		const struct version *v = &row->o.versions[k];

		if (v->reg == REG_XATTR && slice_equal(v->xattr.name, name))
			object_remove(&row->o, k);
	}
}

/* The oldest trace of a removal that stands alone, if there are too many. */
static int oldest_trace(const struct object *o)
{
	size_t n = 0;
	int oldest = -1;

	for (size_t k = 0; k < o->count; k++) {
		const struct version *v = &o->versions[k];
		bool alone = v->reg == REG_XATTR && v->xattr.removed;

		for (size_t x = 0; alone && x < o->count; x++)
			alone = x == k ||
				!version_same_register(&o->versions[x], v);
		if (!alone)
			continue;
		n++;
		if (oldest < 0 ||
		    version_key_compare(v, &o->versions[oldest]) < 0)
			oldest = (int)k;
	}
	return n > XATTR_REMOVED_MAX ? oldest : -1;
}

/* -ENOSPC if it has more than it may. */
static int check_room(const struct object *o)
{
	size_t n = 0, bytes = 0;

	for (size_t k = 0; k < o->count; k++) {
		const struct version *v = &o->versions[k];

		if (v->reg != REG_XATTR)
			continue;
		n++;
		bytes += v->xattr.name.len + v->xattr.value.len;
	}
	return n > XATTRS_MAX || bytes > XATTRS_BYTES_MAX ? -ENOSPC : 0;
}

/* value: NULL removes. */
static int change_name(struct tree *t, struct row *row, struct slice name,
		       const struct slice *value)
{
	struct version v;
	int r, trace;

	op_tick(t);
	v = op_version(t, REG_XATTR);
	v.xattr.name = name;
	v.xattr.removed = !value;
	if (value)
		v.xattr.value = *value;
	drop_name(row, name);
	r = row_add(row, &v);
	while (!r && (trace = oldest_trace(&row->o)) >= 0)
		object_remove(&row->o, (size_t)trace);
	return r;
}

int row_put_xattr(struct tree *t, struct row *row, struct slice name,
		  const struct slice *value)
{
	int r = change_name(t, row, name, value);

	if (!r && value)
		r = check_room(&row->o);
	return r ? r : row_store(t, row, 0);
}

/* value: NULL removes. */
static int write_name(struct tree *t, struct row *row, struct info *i,
		      struct slice name, const struct slice *value,
		      uint32_t flags)
{
	bool exists = info_xattr(i, name);
	int r = 0;

	if (i->kind == KIND_SYMLINK)
		return -EPERM;
	if (value && i->kind != KIND_DIR && slice_has_prefix(name, PREFIX_OWN))
		return -EINVAL;
	if (exists && flags & TREE_XATTR_CREATE)
		return -EEXIST;
	if (!exists && (!value || flags & TREE_XATTR_REPLACE))
		return -ENODATA;
	if (i->kind == KIND_FILE)
		r = remove_twins_of(t, row, i);
	return r ? r : row_put_xattr(t, row, name, value);
}

int object_setxattr(struct tree *t, struct objid id, struct slice name,
		    const struct slice *value)
{
	struct row row;
	struct info i;
	int r = row_load(t, group_canonical(t, id), &row);

	if (r)
		return r;
	r = info_init(&i, &row.o);
	if (!r)
		r = remove_twins_of(t, &row, &i);
	info_release(&i);
	if (!r)
		r = row_put_xattr(t, &row, name, value);
	row_release(&row);
	return r;
}

/* ---- handing over (adopt.c) */

bool xattrs_fit(const struct object *a, const struct object *b)
{
	size_t n = 0, bytes = 0;

	for (int x = 0; x < 2; x++) {
		const struct object *o = x ? b : a;

		for (size_t k = 0; k < o->count; k++) {
			const struct version *v = &o->versions[k];

			if (v->reg != REG_XATTR)
				continue;
			n++;
			bytes += v->xattr.name.len + v->xattr.value.len;
		}
	}
	return n <= XATTRS_MAX && bytes <= XATTRS_BYTES_MAX;
}

/* The first of `from` that `to` has not, or with another value. */
static const struct version *xattr_differs(const struct row *to,
					   const struct info *from, int *ret)
{
	const struct version *found = NULL;
	struct info i;

	*ret = info_init(&i, &to->o);
	for (size_t k = 0; !*ret && !found && k < from->object->count; k++) {
		const struct version *v = &from->object->versions[k], *own;

		if (v->reg != REG_XATTR ||
		    info_xattr(from, v->xattr.name) != v)
			continue;
		own = info_xattr(&i, v->xattr.name);
		if (!own || !slice_equal(own->xattr.value, v->xattr.value))
			found = v;
	}
	info_release(&i);
	return found;
}

int xattrs_hand_over(struct tree *t, struct row *to, const struct info *from)
{
	const struct version *v;
	int r;

	while ((v = xattr_differs(to, from, &r)) && !r) {
		struct version own;

		op_tick(t);
		own = op_version(t, REG_XATTR);
		own.xattr = v->xattr;
		drop_name(to, v->xattr.name);
		r = row_add(to, &own);
		if (r)
			break;
	}
	return r;
}

/* The name of the first of `row` that `from` has not at all. */
static bool xattr_beyond(const struct row *row, const struct info *i,
			 const struct info *from, struct slice *ret)
{
	for (size_t k = 0; k < row->o.count; k++) {
		const struct version *v = &row->o.versions[k];

		if (v->reg == REG_XATTR &&
		    info_xattr(i, v->xattr.name) == v &&
		    !info_xattr(from, v->xattr.name)) {
			*ret = v->xattr.name;
			return true;
		}
	}
	return false;
}

int xattrs_drop_beyond(struct tree *t, struct row *row,
		       const struct info *from)
{
	bool again = true;
	int r = 0;

	while (!r && again) {
		struct slice name;
		struct info i;

		r = info_init(&i, &row->o);
		again = !r && xattr_beyond(row, &i, from, &name);
		if (again)
			r = change_name(t, row, name, NULL);
		info_release(&i);
	}
	return r;
}

static int write_locked(struct tree *t, uint64_t ino, struct slice name,
			const struct slice *value, uint32_t flags)
{
	struct row row;
	struct info i;
	int r = carrier_load(t, ino, true, &row);

	if (r)
		return r;
	r = info_init(&i, &row.o);
	if (!r)
		r = write_name(t, &row, &i, name, value, flags);
	info_release(&i);
	row_release(&row);
	return r;
}

/* A setting of kinfs: is it one, of the right form? */
static int check_own(struct slice name, struct slice value)
{
	struct policy policy;
	struct acks acks;

	if (slice_equal(name, SLICE_STR(XATTR_POLICY)))
		return policy_parse(value, &policy);
	/* (as to a file system that has no such attribute: who copies a file
	 * with its attributes goes on) */
	if (slice_equal(name, SLICE_STR(XATTR_CONFLICT)))
		return -ENOTSUP;
	if (!slice_equal(name, SLICE_STR(XATTR_ACKS)))
		return -EINVAL;
	return acks_parse(value, &acks);
}

int tree_setxattr(struct tree *t, uint64_t ino, struct slice name,
		  struct slice value, uint32_t flags)
{
	const uint32_t both = TREE_XATTR_CREATE | TREE_XATTR_REPLACE;
	int r = check_xattr_name(name);

	if (!r && flags & ~both)
		r = -EINVAL;
	if (!r && slice_has_prefix(name, PREFIX_OWN))
		r = check_own(name, value);
	if (!r && value.len > XATTR_BYTES_MAX)
		r = -E2BIG;
	if (r)
		return r;
	if (xattr_is_local(name))
		return local_writexattr(t, ino, name, &value, flags);
	room_wait(t);
	r = op_begin(t);
	if (r)
		return r;
	r = write_locked(t, ino, name, &value, flags);
	return op_end(t, op_answers(t, r, 0));
}

int tree_removexattr(struct tree *t, uint64_t ino, struct slice name)
{
	int r = check_xattr_name(name);

	if (!r && slice_equal(name, SLICE_STR(XATTR_CONFLICT)))
		r = -ENOTSUP;
	if (r)
		return r;
	if (xattr_is_local(name))
		return local_writexattr(t, ino, name, NULL, 0);
	r = op_begin(t);
	if (r)
		return r;
	r = write_locked(t, ino, name, NULL, 0);
	return op_end(t, op_answers(t, r, 0));
}
