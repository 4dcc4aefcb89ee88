/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The check of a row: is all that is derived from it where it belongs? The
 * other way round, whether each entry of an index is of a row, is asked in
 * check_table.c. Rules that hold of the view as a whole, which follow from
 * these, are in replica_check() (dump.c), for tests only.
 */
#include <errno.h>
#include <string.h>

#include "fs/tree/base.h"
#include "fs/tree/check_internal.h"
#include "fs/tree/contest.h"
#include "fs/tree/ruled.h"
#include "fs/tree/xattr_local.h"

static void check_stream(struct check *c, const struct row *row)
{
	uint8_t key[24];
	struct slice v;

	put_be64(key, row->lseq);
	if (store_get(c->tree->store, TABLE_SEQ, SLICE(key, 8), &v) ||
	    !slice_equal(v, SLICE(c->id.b, 16)))
		check_tell(c, CHECK_INDEX,
			   "is not in the change stream where it says");
	if (!row->pending)
		return;
	c->result.pending++;
	put_be64(key, row->pending);
	memcpy(key + 8, c->id.b, 16);
	if (store_get(c->tree->store, TABLE_PENDING, SLICE(key, 24), &v))
		check_tell(c, CHECK_INDEX,
			   "waits for content, and is not among those");
}

static void check_number(struct check *c, const struct row *row,
			 const struct info *i)
{
	struct inoref ref = { 0 };
	uint64_t ino;
	bool right = !ino_get(c->tree, row->ino, &ref) &&
		     objid_equal(ref.id, c->id) && ref.type == INO_OBJECT;

	inoref_release(&ref);
	if (!right)
		check_tell(c, CHECK_INDEX, "has an inode number that is not "
					   "its");
	for (size_t k = 1; k < i->branch_count; k++)
		if (!i->branches[k].is_void &&
		    ino_of_sibling(c->tree, c->id, i->branches[k].tag, &ino)) {
			check_tell(c, CHECK_INDEX,
				   "has a version without an inode number");
			return;
		}
}

static void check_claims(struct check *c, const struct row *row)
{
	for (size_t k = 0; k < row->claim_count; k++) {
		const struct claim *want = &row->claims[k];
		struct claim have;
		struct objid id;

		if (!claim_seek(c->tree, want->at.parent, want->at.hash, c->id,
				want->slot, &have, &id) &&
		    objid_equal(id, c->id) && have.slot == want->slot &&
		    have.flags == want->flags &&
		    slice_equal(spot_name(&have.at), spot_name(&want->at)))
			continue;
		check_tell(c, CHECK_INDEX, "has a name that is not in the "
					   "index of names");
	}
	c->count.claims += row->claim_count;
}

/* Between slices of a cut a parent may be dead, or not here yet. A directory
 * that lives by what is in it has none when there is nothing. */
static int check_parents(struct check *c, const struct row *row,
			 const struct info *info)
{
	bool live = true;
	int r = 0;

	if (info->kind == KIND_DIR && !info->strong)
		r = dir_is_live(c->tree, row->o.id, &live);
	if (r == -EUCLEAN)
		r = 0; /* (that is told of what is damaged) */
	if (r || !live || c->tree->is_applying)
		return r;
	for (size_t k = 0; k < row->claim_count; k++) {
		struct objid parent = row->claims[k].at.parent;
		bool here = objid_is_root(parent);
		struct row dir;
		struct info i;

		if (here)
			continue;
		r = row_read(c->tree, parent, &dir);
		if (r == -EUCLEAN)
			continue; /* (that is told of the directory) */
		if (r)
			return r;
		r = info_init(&i, &dir.o);
		if (r) {
			row_release(&dir);
			return r;
		}
		here = i.kind == KIND_DIR && i.link_count;
		info_release(&i);
		row_release(&dir);
		if (!here)
			check_tell(c, CHECK_ROW,
				   "is in a directory that is not here");
	}
	return 0;
}

static void check_known(struct check *c, const struct row *row)
{
	struct tree *t = c->tree;

	for (size_t k = 0; k < row->o.count; k++) {
		struct dot d = row->o.versions[k].dot;

		if (know_covers(&t->know, d) ||
		    (t->is_applying && know_covers(&t->applying, d)))
			continue;
		check_tell(c, CHECK_ROW, "has a version that is not known");
		return;
	}
}

static void check_sum(struct check *c, struct slice value,
		      const struct info *i)
{
	struct slice versions;
	struct sum sum;
	bool counts;

	if (row_counts(value, &versions, &counts))
		return;
	if (counts != info_is_live(i))
		check_tell(c, CHECK_INDEX,
			   "does not count in the sums as it should");
	if (!counts)
		return;
	sum = bucket_row(c->tree, c->id, versions);
	sum_add(&c->recount.sum, &sum);
	if (c->leaves)
		sum_add(&c->leaves[leaf_of(c->id)], &sum);
}

/* ---- contents */

static enum check_part part_of(const struct row *row, const struct info *i,
			       const struct version *v)
{
	if (i->branch_count && i->branches[0].top == v)
		return CHECK_MAIN;
	for (size_t k = 1; k < i->branch_count; k++)
		if (i->branches[k].top == v)
			return CHECK_SIBLING;
	(void)row;
	return CHECK_HIDDEN;
}

static void add_contents(struct check *c, const struct row *row,
			 const struct info *i)
{
	for (size_t k = 0; k < row->o.count; k++) {
		const struct version *v = &row->o.versions[k];
		struct check_content content = { .may_miss = row->pending };

		if (v->reg != REG_CONTENT || !v->content.content.depth)
			continue;
		content.content = v->content.content;
		content.part = part_of(row, i, v);
		content.name = version_entry_name(v);
		check_add_content(c, &content);
	}
	if (row->has_prior) {
		const struct version *v = &row->prior.versions[0];

		check_add_content(c, &(struct check_content){
			.content = v->content.content,
			.part = CHECK_BEFORE,
			.name = version_entry_name(v) });
	}
}

/* ---- */

static int check_loaded(struct check *c, struct row *row, const struct info *i,
			struct slice value)
{
	struct tree *t = c->tree;

	check_sum(c, value, i);
	check_stream(c, row);
	check_number(c, row, i);
	check_known(c, row);
	check_claims(c, row);
	if (remains_check(t, row, &c->count.remains))
		check_tell(c, CHECK_INDEX, "is not in the index of the dead "
					   "as it should");
	if (marks_check(t, c->id, i, &c->count.marks))
		check_tell(c, CHECK_INDEX,
			   "has something that lost, and is not marked");
	if (!t->is_applying && rule_check(t, &row->o))
		check_tell(c, CHECK_INDEX,
			   "is not read by the policy that holds");
	if (policy_check(t, i))
		check_tell(c, CHECK_INDEX,
			   "has a policy that is not in the index");
	if (acks_check(t, row))
		check_tell(c, CHECK_INDEX,
			   "waits for others, and is not in the index");
	if (local_attrs_check(t, row))
		check_tell(c, CHECK_INDEX,
			   "has attributes, and META says that nothing has");
	if (i->link_count && !i->kind && !t->is_applying)
		check_tell(c, CHECK_ROW, "has a name and is of no kind");
	add_contents(c, row, i);
	return check_parents(c, row, i);
}

int check_row(struct check *c, struct slice value)
{
	struct row row;
	struct info i;
	int r;

	c->count.rows++;
	r = row_read(c->tree, c->id, &row);
	if (r == -EUCLEAN) {
		check_tell(c, CHECK_ROW, "is nothing that can be");
		return check_unreadable(c);
	}
	if (r)
		return r;
	row_release(&row);
	r = row_load(c->tree, c->id, &row);
	if (r == -EUCLEAN) {
		check_tell(c, CHECK_INDEX, "has a place that cannot be read");
		return 0;
	}
	if (r)
		return r;
	r = info_init(&i, &row.o);
	if (!r) {
		r = check_loaded(c, &row, &i, value);
		info_release(&i);
	}
	row_release(&row);
	return r == -EUCLEAN ? 0 : r;
}
