/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A row in the store: the versions that are replicated, and before them a
 * local part (FORMAT.md, "Rows"). Storing a row keeps what is derived from
 * it: its place in the change stream (SEQ), its inode number, and its
 * claims (claim.c).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/base/hash.h"
#include "fs/tree/base.h"
#include "fs/tree/contest.h"
#include "fs/tree/hist.h"
#include "fs/tree/ruled.h"

#define LOCAL_FORMAT 1
#define LOCAL_HAS_PRIOR 1
#define LOCAL_ABSENT 2
#define LOCAL_COUNTS 4
#define LOCAL_BORN 8
#define LOCAL_HAS_RULE 16
#define LOCAL_HAS_ATTRS 32

/* ---- local part */

static int local_decode(struct row *row, struct slice value,
			struct slice *ret_rule, struct slice *ret_versions)
{
	struct reader r = READER(value.data, value.len);
	uint8_t flags;
	int e = 0;

	if (reader_u8(&r) != LOCAL_FORMAT)
		reader_fail(&r);
	flags = reader_u8(&r);
	row->lseq = reader_u64(&r);
	row->ino = row->ino_before = reader_u64(&r);
	row->from = reader_u64(&r);
	row->ctime_ns = (int64_t)reader_u64(&r);
	row->pending = reader_varint(&r);
	row->has_prior = flags & LOCAL_HAS_PRIOR;
	row->absent = flags & LOCAL_ABSENT;
	row->born = flags & LOCAL_BORN;
	if (row->has_prior) {
		struct slice prior = reader_string(&r, ROW_BYTES_MAX);

		e = reader_ok(&r);
		if (!e)
			e = object_decode(prior, &row->prior);
	}
	if (flags & LOCAL_HAS_RULE)
		*ret_rule = reader_string(&r, POLICY_BYTES_MAX);
	if (flags & LOCAL_HAS_ATTRS)
		buf_put_slice(&row->attrs,
			      reader_string(&r, XATTRS_BYTES_MAX));
	*ret_versions = reader_bytes(&r, reader_left(&r));
	if (!e)
		e = reader_ok(&r);
	if (!e)
		e = buf_error(&row->attrs);
	return e == -EBADMSG ? -EUCLEAN : e;
}

static void local_encode(struct row *row, bool counts, struct buf *b)
{
	autofree uint8_t *prior_bytes = NULL;

	buf_put_u8(b, LOCAL_FORMAT);
	buf_put_u8(b, (row->has_prior ? LOCAL_HAS_PRIOR : 0) |
			      (row->absent ? LOCAL_ABSENT : 0) |
			      (row->born ? LOCAL_BORN : 0) |
			      (row->o.rule.len ? LOCAL_HAS_RULE : 0) |
			      (row->attrs.len ? LOCAL_HAS_ATTRS : 0) |
			      (counts ? LOCAL_COUNTS : 0));
	buf_put_u64(b, row->lseq);
	buf_put_u64(b, row->ino);
	buf_put_u64(b, row->from);
	buf_put_u64(b, (uint64_t)row->ctime_ns);
	buf_put_varint(b, row->pending);
	if (row->has_prior) {
		struct buf prior = BUF_INIT;

		if (object_encode(&row->prior, &prior))
			b->failed = true;
		prior_bytes = prior.data;
		buf_put_string(b, buf_slice(&prior));
	}
	if (row->o.rule.len)
		buf_put_string(b, row->o.rule);
	if (row->attrs.len)
		buf_put_string(b, buf_slice(&row->attrs));
}

/* ---- loading */

void row_release(struct row *row)
{
	object_release(&row->o);
	object_release(&row->prior);
	remains_release(&row->remains);
	buf_release(&row->attrs);
	free(row->claims);
	row->claims = NULL;
	row->claim_count = 0;
}

int row_of_value(struct slice value, struct objid id, struct row *row)
{
	struct slice versions, rule = SLICE(NULL, 0);
	int r;

	*row = (struct row){ .exists = true };
	object_init(&row->o, id);
	r = local_decode(row, value, &rule, &versions);
	if (!r)
		r = object_decode(versions, &row->o);
	if (!r && rule.len) {
		row->o.rule = object_dup(&row->o, rule);
		r = row->o.rule.data ? 0 : -ENOMEM;
	}
	if (r)
		row_release(row);
	return r == -EBADMSG ? -EUCLEAN : r;
}

int row_read(struct tree *t, struct objid id, struct row *row)
{
	struct slice value;
	int r;

	*row = (struct row){ 0 };
	object_init(&row->o, id);
	r = store_get(t->store, TABLE_OBJ, SLICE(id.b, sizeof(id.b)), &value);
	if (r)
		return r == -ENOENT ? 0 : r;
	return row_of_value(value, id, row);
}

int row_ino(struct tree *t, struct objid id, uint64_t *ret)
{
	struct slice value;
	struct reader r;
	int e = store_get(t->store, TABLE_OBJ, SLICE(id.b, sizeof(id.b)),
			  &value);

	*ret = 0;
	if (e)
		return e == -ENOENT ? 0 : e;
	r = READER(value.data, value.len);
	if (reader_u8(&r) != LOCAL_FORMAT)
		reader_fail(&r);
	(void)reader_u8(&r);	/* flags */
	(void)reader_u64(&r);	/* lseq */
	*ret = reader_u64(&r);
	return reader_ok(&r) < 0 ? -EUCLEAN : 0;
}

/* (copies: the row's own move when some are added or removed) */
static int note_contents(struct row *row)
{
	size_t n = object_contents(&row->o);

	if (!n)
		return 0;
	row->had = object_alloc(&row->o, n * sizeof(*row->had));
	if (!row->had)
		return -ENOMEM;
	for (size_t k = 0; k < row->o.count; k++)
		if (row->o.versions[k].reg == REG_CONTENT)
			row->had[row->had_count++] = row->o.versions[k];
	return 0;
}

int row_load(struct tree *t, struct objid id, struct row *row)
{
	struct info info;
	int r = row_read(t, id, row);

	if (r || !row->exists)
		return r;
	r = note_contents(row);
	if (!r)
		r = info_init(&info, &row->o);
	if (!r) {
		r = claims_of(t, row, &info, &row->claims, &row->claim_count);
		if (!r)
			r = remains_of(t, row, &info, &row->remains);
		info_release(&info);
	}
	if (r)
		row_release(row);
	return r;
}

int claimed_parent(struct tree *t, struct objid id, struct objid *ret)
{
	struct row row;
	int r = row_load(t, id, &row);

	if (r)
		return r;
	if (row.claim_count)
		*ret = row.claims[0].at.parent;
	else
		r = -ENOENT;
	row_release(&row);
	return r;
}

const struct version *row_shown_content(const struct row *row,
					const struct info *i)
{
	if (row->has_prior)
		return &row->prior.versions[0];
	if (!i->branch_count || i->branches[0].is_void)
		return NULL;
	return i->branches[0].top;
}

const struct branch *row_prior_branch(const struct row *row,
				      const struct info *i)
{
	for (size_t g = 1; row->has_prior && g < i->branch_count; g++)
		for (size_t k = 0; k < i->branches[g].count; k++)
			if (version_same(i->branches[g].versions[k],
					 &row->prior.versions[0]))
				return &i->branches[g];
	return NULL;
}

/* ---- storing */

int versions_of(struct slice value, struct slice *ret, uint64_t *from)
{
	struct reader r = READER(value.data, value.len);
	uint8_t flags;

	(void)reader_u8(&r);
	flags = reader_u8(&r);
	(void)reader_bytes(&r, 16);
	*from = reader_u64(&r);
	(void)reader_bytes(&r, 8);
	(void)reader_varint(&r);
	if (flags & LOCAL_HAS_PRIOR)
		(void)reader_string(&r, ROW_BYTES_MAX);
	if (flags & LOCAL_HAS_RULE)
		(void)reader_string(&r, POLICY_BYTES_MAX);
	if (flags & LOCAL_HAS_ATTRS)
		(void)reader_string(&r, XATTRS_BYTES_MAX);
	*ret = reader_bytes(&r, reader_left(&r));
	return reader_ok(&r) ? -EUCLEAN : 0;
}

int row_contents_each(struct slice value,
		      int (*fn)(void *arg, const struct content *), void *arg)
{
	struct reader r = READER(value.data, value.len);
	struct slice prior = SLICE(NULL, 0), versions;
	uint64_t from;
	uint8_t flags;
	int e = versions_of(value, &versions, &from);

	if (e)
		return e;
	(void)reader_u8(&r);
	flags = reader_u8(&r);
	(void)reader_bytes(&r, 32);
	(void)reader_varint(&r);
	if (flags & LOCAL_HAS_PRIOR)
		prior = reader_string(&r, ROW_BYTES_MAX);
	if (prior.len)
		e = object_contents_each(prior, fn, arg);
	return e ? e : object_contents_each(versions, fn, arg);
}

int row_counts(struct slice value, struct slice *ret_versions, bool *ret)
{
	uint64_t from;

	*ret = value.len > 1 && value.data[1] & LOCAL_COUNTS;
	return versions_of(value, ret_versions, &from);
}

/* The sums follow: what the row held until now goes, `now` comes. */
static int row_count(struct tree *t, struct objid id, struct slice now,
		     bool counts)
{
	struct sum gone = { 0 }, come = { 0 };
	struct slice value, old;
	bool counted = false;
	int r = store_get(t->store, TABLE_OBJ, SLICE(id.b, sizeof(id.b)),
			  &value);

	if (r == -ENOENT)
		r = 0;
	else if (!r)
		r = row_counts(value, &old, &counted);
	if (r || (counted && counts && slice_equal(old, now)))
		return r;
	if (counted)
		gone = bucket_row(t, id, old);
	if (counts)
		come = bucket_row(t, id, now);
	return bucket_row_changed(t, id, gone, come);
}

int row_to_value(struct row *row, bool counts, struct buf *ret,
		 size_t *ret_local)
{
	local_encode(row, counts, ret);
	*ret_local = ret->len;
	return object_encode(&row->o, ret);
}

static int row_write(struct tree *t, struct row *row, bool counts)
{
	struct buf b = BUF_INIT;
	autofree uint8_t *bytes = NULL;
	size_t local;
	int r = row_to_value(row, counts, &b, &local);

	bytes = b.data;
	if (!r)
		r = row_count(t, row->o.id, SLICE(b.data + local,
						  b.len - local), counts);
	if (!r && t->ticked)
		chain_row(t, row->o.id, SLICE(b.data + local, b.len - local));
	if (r)
		return r;
	return store_put(t->store, TABLE_OBJ,
			 SLICE(row->o.id.b, sizeof(row->o.id.b)),
			 buf_slice(&b));
}

/* The change stream: the object once, at its newest place. */
static int row_sequence(struct tree *t, struct row *row, bool gone)
{
	uint8_t key[8];
	int r = 0;

	if (row->exists && row->lseq) {
		put_be64(key, row->lseq);
		r = store_del(t->store, TABLE_SEQ, SLICE(key, 8));
	}
	if (r || gone)
		return r;
	row->lseq = ++t->lseq;
	put_be64(key, row->lseq);
	return store_put(t->store, TABLE_SEQ, SLICE(key, 8),
			 SLICE(row->o.id.b, sizeof(row->o.id.b)));
}

static int row_number(struct tree *t, struct row *row)
{
	struct inoref ref = { .type = INO_OBJECT, .id = row->o.id };

	if (row->ino)
		return 0;
	row->ino = objid_is_root(row->o.id) ? TREE_ROOT_INO : ino_new(t);
	return ino_put(t, row->ino, &ref);
}

/* Numbers for the siblings that are shown, so that reading needs no write;
 * those of siblings that went are given up by settle(). */
static int number_siblings(struct tree *t, const struct row *row,
			   const struct info *i)
{
	uint64_t ino;
	int r = 0;

	for (size_t k = 1; !r && k < i->branch_count; k++)
		if (!i->branches[k].is_void)
			r = ino_of_sibling(t, row->o.id, i->branches[k].tag,
					   &ino);
	return r;
}

/* Indexes that follow from the versions; `now` becomes row's. */
static bool main_is_here(struct tree *t, const struct info *i)
{
	return !i->branch_count || i->branches[0].is_void ||
	       content_complete(t, &i->branches[0].top->content.content);
}

/* Is main what this operation wrote? What it only asserted again, because a
 * sibling was removed, may be a content that nobody has looked at yet. */
static bool main_is_written(const struct tree *t, const struct info *i)
{
	const struct version *v = i->branch_count ? i->branches[0].top : NULL;

	return v && dot_equal(v->dot, t->op_dot) &&
	       !(v->flags & VERSION_AGAIN);
}

/* Its bytes cannot all be read yet. Stored, not read from the chunks again:
 * one may come between two changes of the row. */
static bool row_is_absent(struct tree *t, const struct row *row,
			  const struct info *i)
{
	return row->pending && !row->has_prior && !main_is_here(t, i);
}

static int row_index(struct tree *t, struct row *row, const struct info *i)
{
	struct claim *now;
	struct spot at;
	size_t n;
	int r;

	if (row->has_prior && main_is_here(t, i) &&
	    (t->remote || main_is_written(t, i)))
		row->has_prior = false;
	row->absent = row_is_absent(t, row, i);
	r = claims_of(t, row, i, &now, &n);
	if (r)
		return r;
	if (i->kind == KIND_DIR && (!claims_same_place(row, now, n) ||
				    override_get(t, row->o.id, &at) == 0 ||
				    dir_in_cycle(t, row->o.id)))
		r = work_dir(t, row->o.id);
	if (!r && row->claim_count && !n)
		r = idlist_add(&t->work.died, row->o.id);
	if (!r && n)
		r = idlist_add(&t->work.live, row->o.id);
	if (r) {
		free(now);
		return r;
	}
	r = claims_update(t, row, now, n);
	return r ? r : remains_update(t, row, i);
}

int row_delete(struct tree *t, struct row *row)
{
	int r = hist_row_goes(t, row);

	if (!r)
		r = row_sequence(t, row, true);
	/* (a directory that was shown elsewhere because of a cycle) */
	if (!r && row->claim_count &&
	    (row->claims[0].flags & CLAIM_KIND) == KIND_DIR)
		r = work_dir(t, row->o.id);
	if (!r)
		r = claims_update(t, row, NULL, 0);
	if (!r)
		r = row_count(t, row->o.id, SLICE(NULL, 0), false);
	if (!r && t->ticked)
		chain_row(t, row->o.id, SLICE(NULL, 0));
	if (!r)
		r = remains_update(t, row, NULL);
	if (!r)
		r = marks_update(t, row->o.id, NULL);
	if (!r)
		r = base_forget(t, row->o.id);
	if (!r)
		r = policy_note(t, row->o.id, NULL);
	if (!r)
		r = store_del(t->store, TABLE_OBJ,
			      SLICE(row->o.id.b, sizeof(row->o.id.b)));
	return r;
}

/* The kernel knows of a new number at the name it asked about; other names
 * of the file are another inode now too. */
static void tell_number(struct tree *t, const struct row *row)
{
	if (!row->ino_before || row->ino == row->ino_before)
		return;
	for (size_t k = 0; row->claim_count > 1 && k < row->claim_count; k++)
		event_entry(t, row->claims[k].at.parent,
			    spot_name(&row->claims[k].at));
}

/* By what rule several contents are read is found when all is in its place:
 * ruled.c. */
static int contents_note(struct tree *t, struct row *row)
{
	if (object_contents(&row->o) > 1)
		return idlist_add(&t->work.contents, row->o.id);
	row->o.rule = SLICE(NULL, 0);
	return 0;
}

/* What follows from the row's versions, in other tables. */
static int row_derive(struct tree *t, struct row *row, const struct info *i)
{
	int r = row_index(t, row, i);

	if (!r && i->branch_count > 1)
		r = number_siblings(t, row, i);
	if (!r)
		r = marks_update(t, row->o.id, i);
	if (!r && i->kind == KIND_DIR)
		r = acks_note(t, row);
	if (!r && (i->kind == KIND_DIR || objid_is_root(row->o.id)))
		r = policy_note(t, row->o.id, i);
	return r;
}

int row_store(struct tree *t, struct row *row, uint64_t from)
{
	return row_store_at(t, row, from, t->op_now_ns);
}

int row_store_at(struct tree *t, struct row *row, uint64_t from,
		 int64_t ctime_ns)
{
	struct info info;
	bool live;
	int r;

	if (row->orphan)
		return orphan_store(t, row, ctime_ns);
	if (!row->o.count)
		return row_delete(t, row);
	r = hist_row_changes(t, row);
	if (!r && !row->exists && t->remote)
		r = hist_row_returns(t, row->o.id);
	if (r)
		return r;
	row->from = from;
	row->born = !t->remote && (row->born || !row->exists);
	row->ctime_ns = ctime_ns;
	r = contents_note(t, row);
	if (!r)
		r = row_sequence(t, row, false);
	if (!r)
		r = row_number(t, row);
	if (!r)
		r = pending_check(t, row);
	if (r)
		return r;
	r = info_init(&info, &row->o);
	if (r)
		return r;
	if (!row->claim_count && info_live_file(&info))
		r = data_returns(t, row);
	if (!r && !t->remote && row->had_count > 1)
		r = siblings_renamed(t, row, &info);
	if (!r)
		r = row_derive(t, row, &info);
	live = info_is_live(&info);
	info_release(&info);
	tell_number(t, row);
	if (!r)
		r = row_write(t, row, live);
	row->exists = true;
	return r;
}

int row_index_anew(struct tree *t, struct row *row)
{
	struct info info;
	bool live;
	int r = contents_note(t, row);

	if (!r)
		r = info_init(&info, &row->o);
	if (r)
		return r;
	r = row_derive(t, row, &info);
	live = info_is_live(&info);
	info_release(&info);
	return r ? r : row_write(t, row, live);
}

int row_store_local(struct tree *t, struct row *row)
{
	struct info info;
	bool live;
	int r;

	if (row->orphan)
		return orphan_store(t, row, row->ctime_ns);
	r = info_init(&info, &row->o);
	if (r)
		return r;
	r = row_index(t, row, &info);
	live = info_is_live(&info);
	info_release(&info);
	tell_number(t, row);
	return r ? r : row_write(t, row, live);
}

int row_store_view(struct tree *t, struct row *row)
{
	struct info info;
	int r = info_init(&info, &row->o);

	if (r)
		return r;
	if (info.branch_count > 1)
		r = number_siblings(t, row, &info);
	if (!r)
		r = marks_update(t, row->o.id, &info);
	info_release(&info);
	return r ? r : row_store_local(t, row);
}
