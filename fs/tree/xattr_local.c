/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Extended attributes that stay on this node: security.* and trusted.*. They
 * are what this system knows of the file (labels, capabilities, what a
 * program of root's noted), and nothing that another should believe.
 *
 * They stand in the local part of the row, so that they live and go with it:
 *
 *	attrs = (string name, string value)...	ascending by name
 *
 * A file that takes another's place brings its own along. A content that
 * comes from elsewhere ends the capabilities, as a write does.
 */
#include "fs/tree/xattr_local.h"

#include <errno.h>
#include <string.h>

#include "fs/tree/op.h"

#define PREFIX_SECURITY "security."
#define PREFIX_TRUSTED "trusted."
#define CAPABILITY "security.capability"
/* META: some row may have any. A hint, which spares the question otherwise. */

bool xattr_is_local(struct slice name)
{
	return slice_has_prefix(name, PREFIX_SECURITY) ||
	       slice_has_prefix(name, PREFIX_TRUSTED);
}

/* ---- the list of a row */

/* Calls fn for each; stops at its first non-zero. */
static int each(const struct buf *attrs,
		int (*fn)(void *arg, struct slice name, struct slice value),
		void *arg)
{
	struct reader r = READER(attrs->data, attrs->len);
	int e = 0;

	while (!e && reader_left(&r)) {
		struct slice name = reader_string(&r, NAME_BYTES_MAX);
		struct slice value = reader_string(&r, XATTR_BYTES_MAX);

		e = reader_ok(&r) ? -EUCLEAN : fn(arg, name, value);
	}
	return e;
}

struct search {
	struct slice name, value;
	bool found;
};

static int compare_one(void *arg, struct slice name, struct slice value)
{
	struct search *s = arg;

	if (!slice_equal(name, s->name))
		return 0;
	s->value = value;
	s->found = true;
	return 1;
}

static int list_one(void *arg, struct slice name, struct slice value)
{
	(void)value;
	buf_put_slice(arg, name);
	buf_put_u8(arg, 0);
	return 0;
}

int row_local_list(const struct row *row, struct buf *ret)
{
	int r = each(&row->attrs, list_one, ret);

	return r ? r : buf_error(ret);
}

int row_local_get(const struct row *row, struct slice name, struct buf *ret)
{
	struct search s = { .name = name };
	int r = each(&row->attrs, compare_one, &s);

	if (r < 0)
		return r;
	if (!s.found)
		return -ENODATA;
	buf_put_slice(ret, s.value);
	return buf_error(ret);
}

/* The list with one more, one less, or another value. */
struct change {
	struct buf to;
	struct slice name;
	const struct slice *value;
	bool done;
};

static void put_new(struct change *c)
{
	c->done = true;
	if (!c->value)
		return;
	buf_put_string(&c->to, c->name);
	buf_put_string(&c->to, *c->value);
}

static int change_one(void *arg, struct slice name, struct slice value)
{
	struct change *c = arg;
	int order = slice_compare(name, c->name);

	if (order >= 0 && !c->done)
		put_new(c);
	if (!order)
		return 0;
	buf_put_string(&c->to, name);
	buf_put_string(&c->to, value);
	return 0;
}

static int row_local_set(struct row *row, struct slice name,
			 const struct slice *value)
{
	struct change c = { .to = BUF_INIT, .name = name, .value = value };
	int r = each(&row->attrs, change_one, &c);

	if (!r && !c.done)
		put_new(&c);
	if (!r)
		r = buf_error(&c.to);
	if (!r && value && c.to.len > XATTRS_BYTES_MAX)
		r = -ENOSPC;
	if (r) {
		buf_release(&c.to);
		return r;
	}
	buf_release(&row->attrs);
	row->attrs = c.to;
	return 0;
}

int row_local_take(struct row *to, const struct row *from)
{
	struct buf copy = BUF_INIT;
	int r;

	buf_put_slice(&copy, buf_slice(&from->attrs));
	r = buf_error(&copy);
	if (r) {
		buf_release(&copy);
		return r;
	}
	buf_release(&to->attrs);
	to->attrs = copy;
	return 0;
}

int row_content_came(struct row *row)
{
	return row->attrs.len ?
		       row_local_set(row, SLICE_STR(CAPABILITY), NULL) : 0;
}

/* ---- operations */

int local_attrs_load(struct tree *t)
{
	struct slice v;
	int r = store_get(t->store, TABLE_META, SLICE_STR(META_LOCAL), &v);

	/* (a damaged one says so as well) */
	if (r && r != -ENOENT && r != -EUCLEAN)
		return r;
	atomic_store(&t->local_attrs, r != -ENOENT);
	return 0;
}

int local_attrs_check(struct tree *t, const struct row *row)
{
	struct slice v;
	int r = row->attrs.len ? store_get(t->store, TABLE_META,
					   SLICE_STR(META_LOCAL), &v) : 0;

	return r == -ENOENT ? -EUCLEAN : r;
}

int local_attrs_exist(struct tree *t)
{
	struct slice v;
	int r = store_get(t->store, TABLE_META, SLICE_STR(META_LOCAL), &v);

	/* (if the operation fails, the question is asked in vain; what is
	 * stored is not taken from that) */
	atomic_store(&t->local_attrs, true);
	return r != -ENOENT ? r : store_put(t->store, TABLE_META,
					    SLICE_STR(META_LOCAL),
					    SLICE("\1", 1));
}

int local_getxattr(struct tree *t, uint64_t ino, struct slice name,
		   struct buf *ret)
{
	struct row row;
	int r;

	if (!atomic_load(&t->local_attrs))
		return -ENODATA;
	store_lock(t->store);
	r = carrier_load(t, ino, false, &row);
	if (!r) {
		r = row_local_get(&row, name, ret);
		row_release(&row);
	}
	store_unlock(t->store);
	return r;
}

static int write_locked(struct tree *t, uint64_t ino, struct slice name,
			const struct slice *value, uint32_t flags)
{
	cleanup(buf_release) struct buf had = BUF_INIT;
	struct row row;
	int r = carrier_load(t, ino, true, &row), old;

	if (r)
		return r;
	old = row_local_get(&row, name, &had);
	if (old && old != -ENODATA)
		r = old;
	else if (!old && flags & TREE_XATTR_CREATE)
		r = -EEXIST;
	else if (old && (!value || flags & TREE_XATTR_REPLACE))
		r = -ENODATA;
	/* (a joiner's root, before the first cut) */
	else if (!row.exists)
		r = -EOPNOTSUPP;
	if (!r)
		r = local_attrs_exist(t);
	if (!r)
		r = row_local_set(&row, name, value);
	if (!r) {
		row.ctime_ns = MAX_OF(row.ctime_ns, t->op_now_ns);
		r = row_store_local(t, &row);
	}
	row_release(&row);
	return r;
}

int local_writexattr(struct tree *t, uint64_t ino, struct slice name,
		     const struct slice *value, uint32_t flags)
{
	int r;

	if (!value && !atomic_load(&t->local_attrs))
		return -ENODATA;
	if (value)
		room_wait(t);
	r = op_begin(t);
	if (r)
		return r;
	r = write_locked(t, ino, name, value, flags);
	return op_end(t, op_answers(t, r, 0));
}
