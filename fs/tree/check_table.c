/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The check of all entries that are no rows: their form, and whether what
 * they are derived from is there.
 */
#include <errno.h>
#include <string.h>

#include "fs/tree/base.h"
#include "fs/tree/check_internal.h"
#include "fs/tree/contest.h"
#include "fs/tree/derived.h"
#include "fs/tree/dirty.h"
#include "fs/tree/ruled.h"

#define WRONG_KEY CHECK_WRONG_KEY
#define WRONG_VALUE CHECK_WRONG_VALUE
#define OF_NOBODY "is of nothing that is here"

static struct objid id_at(struct slice s, size_t at)
{
	struct objid id;

	memcpy(id.b, s.data + at, sizeof(id.b));
	return id;
}

bool check_form(struct check *c, enum check_part part, struct slice key,
		size_t key_len, struct slice value, size_t value_len)
{
	if (key.len != key_len)
		check_tell(c, part, WRONG_KEY);
	else if (value.len != value_len)
		check_tell(c, part, WRONG_VALUE);
	else
		return true;
	return false;
}

int check_load_row(struct check *c, struct objid id, struct row *ret)
{
	int r = row_load(c->tree, id, ret);

	if (r == -EUCLEAN)
		return 0;
	if (r)
		return r;
	if (ret->exists)
		return 1;
	row_release(ret);
	check_tell_id(c, CHECK_INDEX, id, OF_NOBODY);
	return 0;
}

/* ---- the change stream, and what waits */

static int check_seq(struct check *c, struct slice key, struct slice value)
{
	struct row row;
	int r;

	if (!check_form(c, CHECK_INDEX, key, 8, value, 16))
		return 0;
	r = check_load_row(c, id_at(value, 0), &row);
	if (r <= 0)
		return r;
	if (row.lseq != get_be64(key.data))
		check_tell_id(c, CHECK_INDEX, row.o.id,
			      "is in the change stream twice");
	row_release(&row);
	return 0;
}

static int check_pending(struct check *c, struct slice key,
			 struct slice value)
{
	struct row row;
	int r;

	if (!check_form(c, CHECK_INDEX, key, 24, value, 8))
		return 0;
	r = check_load_row(c, id_at(key, 8), &row);
	if (r <= 0)
		return r;
	if (row.pending != get_be64(key.data))
		check_tell_id(c, CHECK_INDEX, row.o.id,
			      "waits for content twice");
	row_release(&row);
	return 0;
}

static int check_cut(struct check *c, struct slice key, struct slice value)
{
	struct know k = KNOW_INIT;
	struct reader in = READER(value.data, value.len);
	int r;

	if (key.len != 8) {
		check_tell(c, CHECK_ENTRY, WRONG_KEY);
		return 0;
	}
	r = know_decode(&in, &k);
	(void)reader_u64(&in);
	if (r == -EBADMSG || r == -E2BIG || (!r && reader_done(&in)))
		check_tell(c, CHECK_ENTRY, WRONG_VALUE);
	know_release(&k);
	return r == -ENOMEM ? r : 0;
}

/* ---- numbers */

/* (one too many goes when it is mounted) */
static int check_detached(struct check *c, struct slice key,
			  struct slice value)
{
	struct row row;
	int r;

	if (!check_form(c, CHECK_INDEX, key, 9, value, value.len) || !value.len)
		return 0;
	r = row_of_value(value, ROOT_ID, &row);
	if (!r)
		row_release(&row);
	if (r == -EUCLEAN)
		check_tell(c, CHECK_INDEX, WRONG_VALUE);
	return r == -ENOMEM ? r : 0;
}

bool check_sibling_number(struct tree *t, struct slice key,
			  struct slice value)
{
	struct inoref ref;
	bool right;

	if (key.len != 33 || value.len != 8 ||
	    ino_get(t, get_be64(value.data), &ref))
		return false;
	right = ref.type == INO_SIBLING &&
		objid_equal(ref.id, id_at(key, 1)) &&
		ref.tag.origin == get_be64(key.data + 17) &&
		ref.tag.seq == get_be64(key.data + 25);
	inoref_release(&ref);
	return right;
}

static int check_ino(struct check *c, struct slice key, struct slice value)
{
	struct inoref ref;
	int r;

	if (key.len == 9 && key.data[0] == 'i') {
		r = ino_get(c->tree, get_be64(key.data + 1), &ref);
		if (r == -EUCLEAN || r == -ESTALE) {
			check_tell(c, CHECK_INDEX, WRONG_VALUE);
			return 0;
		}
		if (r)
			return r;
		c->id = ref.id;
		c->has_id = true;
		if (ref.type == INO_DETACHED)
			check_add_content(c, &(struct check_content){
				.content = ref.version.versions[0]
						   .content.content,
				.part = CHECK_OPEN,
				.may_miss = true });
		inoref_release(&ref);
		return 0;
	}
	if (key.len == 9 && key.data[0] == 'a') {
		struct atime own;

		r = ino_get(c->tree, get_be64(key.data + 1), &ref);
		if (!r)
			inoref_release(&ref);
		if (r == -ESTALE || atime_decode(value, &own))
			check_tell(c, CHECK_INDEX, WRONG_VALUE);
		return 0;
	}
	if (key.len && key.data[0] == 'd')
		return check_detached(c, key, value);
	if (key.len ? key.data[0] != 's' : true) {
		check_tell(c, CHECK_INDEX, WRONG_KEY);
		return 0;
	}
	if (!check_form(c, CHECK_INDEX, key, 33, value, 8))
		return 0;
	if (!check_sibling_number(c->tree, key, value))
		check_tell_id(c, CHECK_INDEX, id_at(key, 1),
			      "has a version without an inode number");
	return 0;
}

/* ---- unsent writes */

static int give_raw(void *arg, const struct store_root *root)
{
	struct check *c = arg;

	if (root->chunk) {
		check_chunk(c, root->chunk);
		return 0;
	}
	if (root->content) {
		check_add_content(c, &(struct check_content){
			.content = *root->content, .part = CHECK_UNSENT,
			.may_miss = true });
	} else if (!check_has_bytes(c, root->loc, root->len)) {
		check_note_number(c, &c->unsent, get_be64(c->entry));
		check_tell(c, CHECK_UNSENT,
			   "names bytes behind the end of a segment");
	}
	return 0;
}

/* Has the header counted what there is? */
static int check_written(struct check *c, struct slice key,
			 struct slice value, const struct dirty *d)
{
	uint64_t ino = get_be64(key.data), offset = get_be64(key.data + 8);
	struct content_extent e;
	int r;

	if (c->unsent_ino != ino)
		c->unsent_bytes = 0;
	c->unsent_ino = ino;
	/* (the header is the last) */
	if (offset == DIRTY_OFFSET_HEADER)
		return c->o.still && c->unsent_bytes != d->written ? -EUCLEAN
								    : 0;
	if (offset >= DIRTY_OFFSET_KNOWN)
		return 0;
	r = extent_decode(value, offset, &e);
	if (!r && e.kind != EXTENT_ZERO)
		c->unsent_bytes += e.len;
	return r;
}

static int check_dirty(struct check *c, struct slice key, struct slice value)
{
	struct inoref ref;
	struct dirty d;
	uint64_t ino;
	int r;

	ino = get_be64(key.data);
	if (!ino_get(c->tree, ino, &ref)) {
		c->id = ref.id;
		c->has_id = true;
		inoref_release(&ref);
	}
	r = dirty_get(c->tree, ino, &d);
	if (r == -ENOENT)
		r = -EUCLEAN;
	if (!r) {
		r = check_written(c, key, value, &d);
		dirty_release(&d);
	}
	if (!r)
		r = dirty_roots_each(key, value, give_raw, c);
	if (r == -EUCLEAN || r == -EBADMSG) {
		check_note_number(c, &c->unsent, ino);
		check_tell(c, CHECK_UNSENT, "has unsent writes that cannot be "
					    "read");
		r = 0;
	}
	return r;
}

/* ---- bases, the dead, marks, sums */

static int give_base(void *arg, const struct store_root *root)
{
	struct check *c = arg;
	struct slice key = SLICE(c->entry, c->entry_len);

	check_add_content(c, &(struct check_content){
		.content = *root->content,
		.part = CHECK_BASE,
		.may_miss = true, /* what is replaced may never have come */
		.name = { .hlc = get_be64(key.data + 16),
			  .dot = { get_be64(key.data + 24),
				   get_be64(key.data + 32) },
			  .hash64 = get_le64(root->content->root.b) } });
	return 0;
}

static int check_base(struct check *c, struct slice key, struct slice value)
{
	uint64_t entries = 0;
	struct row row;
	int r;

	r = check_load_row(c, c->id, &row);
	if (r > 0)
		row_release(&row);
	if (r < 0)
		return r;
	r = base_check(c->tree, c->id, &entries);
	if (!r)
		r = roots_of(TABLE_BASE, key, value, give_base, c);
	if (r == -EUCLEAN) {
		check_tell(c, CHECK_BASE, WRONG_VALUE);
		r = 0;
	}
	return r;
}

static int check_dead(struct check *c, struct slice key, struct slice value)
{
	struct row row;
	struct objid id;
	int r;

	switch (key.len ? key.data[0] : 0) {
	case 'd':
	case 'w':
		if (!check_form(c, CHECK_INDEX, key, 9, value, 16))
			return 0;
		id = id_at(value, 0);
		break;
	case 'l':
	case 't':
		if (!check_form(c, CHECK_INDEX, key, 33, value, 0))
			return 0;
		id = id_at(key, 17);
		break;
	case 'q':
		c->count.remains++;
		(void)check_form(c, CHECK_ENTRY, key, 17, value, 32);
		return 0;
	case 'u':
		c->count.remains++;
		(void)check_form(c, CHECK_ENTRY, key, 17, value, 0);
		return 0;
	default:
		check_tell(c, CHECK_INDEX, WRONG_KEY);
		return 0;
	}
	r = check_load_row(c, id, &row);
	if (r <= 0)
		return r;
	if (key.len == 9 && row.lseq != get_be64(key.data + 1))
		check_tell_id(c, CHECK_INDEX, id,
			      "is in the index of the dead twice");
	row_release(&row);
	return 0;
}

static int check_chain(struct check *c, struct slice key, struct slice value)
{
	static const uint8_t zeros[64];

	if (check_form(c, CHECK_ENTRY, key, 16, value, sizeof(zeros)) &&
	    !memcmp(value.data, zeros, sizeof(zeros)))
		check_tell(c, CHECK_ENTRY, WRONG_VALUE);
	return 0;
}

static int check_bucket(struct check *c, struct slice key, struct slice value)
{
	struct reader in = READER(value.data, value.len);
	struct sum sum;

	if (!check_form(c, CHECK_INDEX, key, 2, value, SUM_BYTES))
		return 0;
	sum_decode(&in, &sum);
	/* (all rows were looked at: OBJ comes before this) */
	if (!sum.count ||
	    (c->leaves && !c->result.rows_damaged &&
	     !sum_equal(&sum, &c->leaves[key.data[0] << 8 | key.data[1]])))
		check_tell(c, CHECK_INDEX, "is not the sum of its rows");
	return 0;
}

/* ---- what others keep */

static int check_stage(struct check *c, struct slice key, struct slice value)
{
	static const char of_rows[] = "rps";
	struct object o;
	int r;

	if (key.len < 9) {
		check_tell(c, CHECK_ENTRY, WRONG_KEY);
		return 0;
	}
	if (key.data[8] == 'h')
		c->staged_number = get_be64(key.data);
	else if (c->staged_number != get_be64(key.data))
		check_tell(c, CHECK_ENTRY, "is of no staged cut");
	if (!strchr(of_rows, key.data[8]))
		return 0;
	if (key.len != 25) {
		check_tell(c, CHECK_ENTRY, WRONG_KEY);
		return 0;
	}
	object_init(&o, id_at(key, 9));
	r = object_decode(value, &o);
	object_release(&o);
	if (r == -EBADMSG) {
		check_tell_id(c, CHECK_ENTRY, id_at(key, 9),
			      "on its way in " WRONG_VALUE);
		r = 0;
	}
	return r;
}

static int check_meta(struct check *c, struct slice key, struct slice value)
{
	struct slice id = key;
	bool policy = true;
	struct row row;
	struct info i;
	int r;

	(void)value;
	if (slice_equal(key, SLICE_STR(META_MEND)))
		check_tell(c, CHECK_INDEX, "says that a repair was broken off");
	if (slice_take_prefix(&id, "acks/"))
		policy = false;
	else if (!slice_take_prefix(&id, "policy/"))
		return 0;
	if (id.len != sizeof(struct objid)) {
		check_tell(c, CHECK_INDEX, WRONG_KEY);
		return 0;
	}
	r = check_load_row(c, id_at(id, 0), &row);
	if (r <= 0)
		return r;
	if (!policy) {
		row_release(&row);
		return 0;
	}
	r = info_init(&i, &row.o);
	if (!r) {
		if (policy_check(c->tree, &i))
			check_tell_id(c, CHECK_INDEX, row.o.id,
				      "has a policy that is not in the index");
		info_release(&i);
	}
	row_release(&row);
	return r;
}

static int check_own(struct check *c, struct slice key, struct slice value)
{
	switch (c->table) {
	case TABLE_META:
		return check_meta(c, key, value);
	case TABLE_SEQ:
		return check_seq(c, key, value);
	case TABLE_CUT:
		return check_cut(c, key, value);
	case TABLE_DIR:
		return check_dir(c, key, value);
	case TABLE_INO:
		return check_ino(c, key, value);
	case TABLE_DIRTY:
		return check_dirty(c, key, value);
	case TABLE_HIST:
		return check_hist(c, key, value);
	case TABLE_STAGE:
		return check_stage(c, key, value);
	case TABLE_BUCKET:
		return check_bucket(c, key, value);
	case TABLE_MARK:
		return check_mark(c, key, value);
	case TABLE_GROUP:
		return check_group(c, key, value);
	case TABLE_SUBDIRS:
		return check_subdirs(c, key, value);
	case TABLE_PENDING:
		return check_pending(c, key, value);
	case TABLE_DEAD:
		return check_dead(c, key, value);
	case TABLE_CHAIN:
		return check_chain(c, key, value);
	case TABLE_BASE:
		return check_base(c, key, value);
	case TABLE_OBJ:		/* check_row() */
	case TABLE_CHUNK:	/* look_at_chunk() */
	case TABLE_MEMBER:	/* struct check_options.foreign */
	case TABLE_COUNT:
		break;
	}
	return 0;
}

int check_entry(struct check *c, struct slice key, struct slice value)
{
	int r = check_own(c, key, value);

	if (!r && c->o.foreign && c->o.foreign(c->table, key, value) < 0)
		check_tell(c, CHECK_ENTRY, WRONG_VALUE);
	return r;
}

int check_damaged(struct check *c, struct slice key)
{
	enum check_part part = CHECK_ENTRY;
	struct inoref ref;

	if (entry_sort(c->table, key) == ENTRY_DERIVED ||
	    c->table == TABLE_INO)
		part = CHECK_INDEX;
	else if (c->table == TABLE_HIST && key.len >= 17)
		part = CHECK_HISTORY;
	else if (c->table == TABLE_BASE)
		part = CHECK_BASE;
	else if (c->table == TABLE_DIRTY)
		part = CHECK_UNSENT;
	if (part == CHECK_HISTORY) {
		c->id = id_at(key, 1);
		c->has_id = true;
	} else if (part == CHECK_UNSENT) {
		check_note_number(c, &c->unsent, get_be64(key.data));
		if (!ino_get(c->tree, get_be64(key.data), &ref)) {
			c->id = ref.id;
			c->has_id = true;
			inoref_release(&ref);
		}
	}
	check_tell(c, part, "cannot be read");
	return 0;
}

/* ---- totals */

static void expect(struct check *c, enum store_table t, uint64_t count,
		   const char *what)
{
	if (store_count(c->tree->store, t) == count)
		return;
	c->table = t;
	check_tell(c, CHECK_INDEX, what);
}

int check_totals(struct check *c)
{
	const struct check_count *n = &c->count;
	const struct hist_totals *h = &c->tree->hist;
	uint64_t marks = 0, leaves = 0;
	int r = marks_count(c->tree, &marks);

	if (r && r != -EUCLEAN)
		return r;
	for (size_t k = 0; k < LEAVES; k++)
		leaves += c->leaves[k].count != 0;
	if (!c->result.rows_damaged) {
		expect(c, TABLE_SEQ, n->rows, "has entries of no row");
		expect(c, TABLE_DIR, n->claims, "has entries of no row");
		expect(c, TABLE_DEAD, n->remains, "has entries of no row");
		expect(c, TABLE_BUCKET, leaves, "has sums of no row");
		c->table = TABLE_MARK;
		if (marks != n->marks)
			check_tell(c, CHECK_INDEX, "has entries of no row");
	}
	c->table = TABLE_CHAIN;
	if (chain_check_heads(c->tree, false))
		check_tell(c, CHECK_ENTRY, "lacks the mark of a last "
					   "operation");
	c->table = TABLE_HIST;
	if (n->hist_entries != h->entries || n->hist_gone != h->gone ||
	    n->hist_settled != h->settled ||
	    n->hist_bytes != h->bytes)
		check_tell(c, CHECK_INDEX, "is not what META counts");
	return 0;
}
