/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The walk: first the chunk table, so that damaged chunks are known by name,
 * then all others in their order; each entry under the lock, the contents
 * that it names without it, before the next one. Between two steps anything
 * may change: so a fault of a content counts only if its entry still names
 * it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/base/hash.h"
#include "fs/store/segment.h"
#include "fs/tree/check_internal.h"
#include "fs/tree/derived.h"
#include "fs/tree/roots.h"

/* Entries looked at in one hold of the lock, and chunks read in one step. */
#define STEP_ENTRIES 32
#define STEP_CHUNKS 16
/* Content looked at by name in one step, without the lock. */
#define STEP_BYTES (64u << 20)

/* In this order: the chunks, then all tables. */
enum { PHASE_CHUNKS, PHASE_TABLES, PHASE_TOTALS, PHASE_END };

/* ---- faults [locked] */

static struct check_fault *told_add(struct check *c)
{
	size_t alloc = c->told_alloc ? 2 * c->told_alloc : 16;
	void *p;

	if (c->told_count < c->told_alloc)
		return &c->told[c->told_count++];
	p = reallocarray(c->told, alloc, sizeof(*c->told));
	if (p)
		c->told = p;
	if (p)
		p = reallocarray(c->told_keys, alloc, STORE_KEY_BYTES_MAX);
	if (!p) {
		c->error = -ENOMEM;
		return NULL;
	}
	c->told_keys = p;
	c->told_alloc = alloc;
	return &c->told[c->told_count++];
}

static struct check_fault *tell(struct check *c, enum check_part part,
				const char *what)
{
	struct check_fault *f = told_add(c);

	if (!f)
		return NULL;
	*f = (struct check_fault){
		.part = part,
		.table = (int)c->table,
		.what = what,
		.has_id = c->has_id,
		.id = c->id,
		.key = SLICE(NULL, c->entry_len),
	};
	memcpy(c->told_keys + (c->told_count - 1) * STORE_KEY_BYTES_MAX,
	       c->entry, c->entry_len);
	return f;
}

void check_note_number(struct check *c, struct check_numbers *n, uint64_t number)
{
	size_t alloc = n->alloc ? 2 * n->alloc : 16;
	void *p;

	c->result.indexes_wrong = true;
	if ((n->count && n->list[n->count - 1] == number) ||
	    n->count == CHECK_BAD_MAX)
		return;
	if (n->count == n->alloc) {
		p = reallocarray(n->list, alloc, sizeof(*n->list));
		if (!p) {
			c->error = -ENOMEM;
			return;
		}
		n->list = p;
		n->alloc = alloc;
	}
	n->list[n->count++] = number;
}

void check_tell(struct check *c, enum check_part part, const char *what)
{
	struct slice key = SLICE(c->entry, c->entry_len);

	(void)tell(c, part, what);
	c->result.indexes_wrong |= part == CHECK_INDEX ||
				   entry_sort(c->table, key) != ENTRY_OWN;
	/* (of one that has lost an entry nothing is of use) */
	if (c->table == TABLE_STAGE && key.len >= 8)
		check_note_number(c, &c->staged, get_be64(key.data));
}

void check_tell_id(struct check *c, enum check_part part, struct objid id,
		   const char *what)
{
	check_tell(c, part, what);
	if (!c->error) {
		c->told[c->told_count - 1].has_id = true;
		c->told[c->told_count - 1].id = id;
	}
}

/* [not locked] */
static void told_give(struct check *c)
{
	for (size_t k = 0; k < c->told_count; k++) {
		struct check_fault *f = &c->told[k];

		c->result.faults++;
		f->key.data = c->told_keys + k * STORE_KEY_BYTES_MAX;
		if (c->o.fault)
			c->o.fault(c->o.arg, f);
	}
	c->told_count = 0;
}

/* ---- segments */

static int segment_order(const void *pa, const void *pb)
{
	const struct check_segment *a = pa, *b = pb;

	return (a->number > b->number) - (a->number < b->number);
}

static int segment_note(void *arg, const struct segment_facts *f)
{
	struct check *c = arg;
	size_t alloc = c->segment_alloc ? 2 * c->segment_alloc : 64;
	void *p;

	if (c->segment_count == c->segment_alloc) {
		p = reallocarray(c->segments, alloc, sizeof(*c->segments));
		if (!p)
			return -ENOMEM;
		c->segments = p;
		c->segment_alloc = alloc;
	}
	c->segments[c->segment_count++] =
		(struct check_segment){ f->number, f->bytes };
	return 0;
}

static int segments_note(struct check *c)
{
	int r;

	c->segment_count = 0;
	r = store_segments(c->tree->store, segment_note, c);
	if (c->segment_count)
		qsort(c->segments, c->segment_count, sizeof(*c->segments),
		      segment_order);
	return r;
}

static bool segment_has(const struct check *c, struct data_loc loc,
			uint64_t len)
{
	struct check_segment like = { .number = loc.segment };
	const struct check_segment *s =
		c->segment_count ? bsearch(&like, c->segments,
					   c->segment_count, sizeof(like),
					   segment_order) : NULL;

	return s && loc.offset <= s->bytes && len <= s->bytes - loc.offset;
}

bool check_has_bytes(struct check *c, struct data_loc loc, uint64_t len)
{
	if (segment_has(c, loc, len))
		return true;
	/* (it may have grown since they were noted) */
	if (!c->o.still && segments_note(c))
		return false;
	return segment_has(c, loc, len);
}

/* ---- damaged chunks */

static struct hash *bad_slot(const struct check *c, const struct hash *h)
{
	static const struct hash none;
	size_t at = (size_t)get_le64(h->b);

	for (;; at++) {
		struct hash *slot = &c->bad[at % (2 * CHECK_BAD_MAX)];

		if (hash_equal(slot, h) || hash_equal(slot, &none))
			return slot;
	}
}

/* needed: it goes, whoever names it. */
static int bad_add(struct check *c, const struct hash *h, bool needed)
{
	c->result.chunks_damaged++;
	if (!c->bad)
		c->bad = calloc(2 * CHECK_BAD_MAX, sizeof(*c->bad));
	if (!c->bad_needed)
		c->bad_needed = calloc(2 * CHECK_BAD_MAX, 1);
	if (!c->bad || !c->bad_needed)
		return -ENOMEM;
	if (c->bad_count++ >= CHECK_BAD_MAX)
		return 0;
	*bad_slot(c, h) = *h;
	c->bad_needed[bad_slot(c, h) - c->bad] = needed;
	return 0;
}

/* What is shown, or unsent, is fetched again; what only history names is
 * left. */
static bool judge_chunk(void *arg, const struct hash *h, bool block)
{
	struct check *c = arg;
	struct hash *slot;

	if (block && !(c->bad && hash_equal(bad_slot(c, h), h)))
		c->error = bad_add(c, h, false);
	if (!c->bad)
		return false;
	slot = bad_slot(c, h);
	if (!hash_equal(slot, h))
		return false;
	if (c->table == TABLE_OBJ || c->table == TABLE_INO ||
	    c->table == TABLE_DIRTY)
		c->bad_needed[slot - c->bad] = true;
	return true;
}

static void note_lost(void *arg, const struct hash *h, uint32_t len)
{
	struct check *c = arg;
	size_t alloc = c->lost_alloc ? 2 * c->lost_alloc : 16;
	void *p;

	if (c->lost_count == CHECK_BAD_MAX)
		return;
	if (c->lost_count == c->lost_alloc) {
		p = reallocarray(c->lost, alloc, sizeof(*c->lost));
		if (!p) {
			c->error = -ENOMEM;
			return;
		}
		c->lost = p;
		c->lost_alloc = alloc;
	}
	c->lost[c->lost_count++] = (struct check_lost){ *h, len };
}

void check_chunk(struct check *c, const struct hash *h)
{
	bool here = chunk_exists(c->tree->store, h);
	bool sound = !judge_chunk(c, h, false);
	struct check_fault *f;

	if (here && sound)
		return;
	note_lost(c, h, 0);
	c->lost_sure = c->lost_count;
	f = tell(c, CHECK_UNSENT, here ? "has damaged content" :
					 "lacks content");
	if (f) {
		f->damaged = here;
		f->missing = !here;
	}
}

/* ---- the walk */

static void key_set(struct check *c, struct slice key)
{
	memcpy(c->key, key.data, key.len);
	c->key[key.len] = 0; /* just behind it */
	c->key_len = key.len + 1;
	memcpy(c->entry, key.data, key.len);
	c->entry_len = key.len;
}

static void next_phase(struct check *c)
{
	c->key_len = 0;
	c->table = c->phase < PHASE_TABLES ? TABLE_META : c->table + 1;
	/* (that one comes first) */
	if (c->table == TABLE_CHUNK && c->phase == PHASE_TABLES)
		c->table++;
	c->phase = c->table < TABLE_COUNT ? PHASE_TABLES : PHASE_TOTALS;
}

/* The next entry, which is in hand then. -ENOENT at the end. */
static int next_entry(struct check *c, struct slice *ret_key,
		      struct slice *ret_value, bool *ret_sound)
{
	int r = store_peek(c->tree->store, c->table, SLICE(c->key, c->key_len),
			   ret_key, ret_value, ret_sound);

	if (r)
		return r;
	if (!ret_key->len || ret_key->len > STORE_KEY_BYTES_MAX)
		return -EUCLEAN; /* (LMDB and the pages would be wrong) */
	key_set(c, *ret_key);
	c->has_id = false;
	c->content_count = c->content_next = 0;
	c->content_at = 0;
	c->result.entries++;
	return 0;
}

/* 1: its bytes are to be read. [locked] */
static int look_at_chunk(struct check *c, struct hash *ret)
{
	struct slice key, value;
	struct chunk_place p;
	bool sound;
	int r = next_entry(c, &key, &value, &sound);

	if (r)
		return r;
	c->result.chunks++;
	if (entry_sort(c->table, key) == ENTRY_ODD) {
		check_tell(c, CHECK_ENTRY, CHECK_WRONG_KEY);
		return 0;
	}
	memcpy(ret->b, key.data, sizeof(ret->b));
	if (!sound || chunk_find(c->tree->store, ret, &p)) {
		check_tell(c, CHECK_ENTRY, "cannot be read");
		return bad_add(c, ret, true);
	}
	if (!check_has_bytes(c, p.loc, p.len)) {
		check_tell(c, CHECK_ENTRY, "lies behind the end of a segment");
		return bad_add(c, ret, false);
	}
	return c->o.data ? 1 : 0;
}

static int step_chunks(struct check *c)
{
	cleanup(buf_release) struct buf bytes = BUF_INIT;
	struct store *s = c->tree->store;
	int r = 0;

	for (int n = 0; r >= 0 && n < STEP_CHUNKS; n++) {
		struct hash h;

		store_lock(s);
		r = look_at_chunk(c, &h);
		if (r == -ENOENT)
			next_phase(c);
		store_unlock(s);
		if (r != 1)
			continue;
		r = chunk_read(s, &h, &bytes);
		c->result.bytes += bytes.len;
		if (r == -EIO) {
			check_tell(c, CHECK_ENTRY,
				   "is not what its hash says");
			r = bad_add(c, &h, false);
		} else if (r == -ENOENT) {
			r = 0; /* given back meanwhile */
		}
	}
	return r == -ENOENT ? 0 : MIN_OF(r, 0);
}

int check_unreadable(struct check *c)
{
	c->result.rows_damaged++;
	if (!c->has_id || c->unreadable.count >= CHECK_BAD_MAX)
		return 0;
	return idlist_add(&c->unreadable, c->id);
}

/* [locked] */
static int look_at_entry(struct check *c)
{
	struct slice key, value;
	bool sound;
	int r = next_entry(c, &key, &value, &sound);

	if (r)
		return r;
	if ((c->table == TABLE_OBJ || c->table == TABLE_BASE) &&
	    entry_sort(c->table, key) != ENTRY_ODD) {
		memcpy(c->id.b, key.data, sizeof(c->id.b));
		c->has_id = true;
	}
	if (c->table == TABLE_OBJ && c->has_id) {
		c->result.objects++;
		if (!sound) {
			check_tell(c, CHECK_ROW, "cannot be read");
			return check_unreadable(c);
		}
		r = check_row(c, value);
		c->recount.at = c->id;
		if (!objid_next(&c->recount.at))
			memset(c->recount.at.b, 0xff, sizeof(c->id.b));
		return r;
	}
	if (entry_sort(c->table, key) == ENTRY_ODD) {
		check_tell(c, CHECK_ENTRY, CHECK_WRONG_KEY);
		return 0;
	}
	if (!sound)
		return check_damaged(c, key);
	return check_entry(c, key, value);
}

static int step_entries(struct check *c)
{
	struct store *s = c->tree->store;
	int r = 0;

	store_lock(s);
	for (int n = 0; !r && n < STEP_ENTRIES && !c->content_count; n++)
		r = look_at_entry(c);
	if (r == -ENOENT) {
		r = 0;
		if (c->table == TABLE_OBJ) /* all rows are behind */
			memset(c->recount.at.b, 0xff, sizeof(c->id.b));
		next_phase(c);
	}
	store_unlock(s);
	return r;
}

/* ---- contents [not locked] */

void check_add_content(struct check *c, const struct check_content *content)
{
	size_t alloc = c->content_alloc ? 2 * c->content_alloc : 8;
	void *p;

	if (!content->content.depth)
		return;
	if (c->content_count == c->content_alloc) {
		p = reallocarray(c->contents, alloc, sizeof(*c->contents));
		if (!p) {
			c->error = -ENOMEM;
			return;
		}
		c->contents = p;
		c->content_alloc = alloc;
	}
	c->contents[c->content_count++] = *content;
}

static int is_this(void *arg, const struct store_root *root)
{
	return root->content && content_equal(root->content, arg);
}

/* Does the entry still name it? [locked] */
static bool is_named(const struct check *c, const struct content *content)
{
	struct slice key = SLICE(c->entry, c->entry_len), value;

	if (store_get(c->tree->store, c->table, key, &value))
		return false;
	return roots_of(c->table, key, value, is_this, (void *)content) == 1;
}

static bool is_pending(const struct check *c)
{
	struct row row;
	bool yes;

	if (c->table != TABLE_OBJ || row_read(c->tree, c->id, &row))
		return false;
	yes = row.pending;
	row_release(&row);
	return yes;
}

static void version_id(const struct check *c, const struct entry_name *e,
		       char ret[11])
{
	uint8_t bytes[16 + 4 * 8];
	struct hash hash;

	ret[0] = '\0';
	if (!e->dot.seq)
		return;
	memcpy(bytes, c->tree->volume.b, 16);
	put_le64(bytes + 16, e->hlc);
	put_le64(bytes + 24, e->dot.origin);
	put_le64(bytes + 32, e->dot.seq);
	put_le64(bytes + 40, e->hash64);
	hash_bytes(bytes, sizeof(bytes), &hash);
	hex_encode(hash.b, 5, ret);
}

static int ids_add(struct check *c, struct objid id)
{
	struct idlist *l = &c->incomplete;

	if (l->count && objid_equal(l->ids[l->count - 1], id))
		return 0;
	return l->count < CHECK_BAD_MAX ? idlist_add(l, id) : 0;
}

static void judge_content(struct check *c, const struct check_content *content)
{
	struct check_fault *f;

	if (content->may_miss)
		c->found.missing = 0;
	if (!c->found.missing && !c->found.damaged)
		return;
	store_lock(c->tree->store);
	if (is_named(c, &content->content) &&
	    (c->found.damaged || !is_pending(c))) {
		f = tell(c, content->part, c->found.damaged ?
			 "has damaged content" : "lacks content");
		c->lost_sure = c->lost_count;
		if (f) {
			f->missing = c->found.missing;
			f->damaged = c->found.damaged;
			version_id(c, &content->name, f->version);
		}
		if (c->table == TABLE_OBJ && !c->error)
			c->error = ids_add(c, c->id);
	}
	store_unlock(c->tree->store);
}

static int step_content(struct check *c)
{
	const struct check_content *content = &c->contents[c->content_next];
	const struct content_judge judge = { judge_chunk, note_lost, c };
	struct store *s = c->tree->store;
	int r;

	if (!c->content_at)
		c->found = (struct content_faults){ 0 };
	if (c->bad_count > CHECK_BAD_MAX)
		r = content_check(s, &content->content, &c->content_at,
				  STEP_BYTES / 16, &c->found);
	else
		r = content_check_names(s, &content->content, &c->content_at,
					STEP_BYTES, &judge, &c->found);
	if (r || c->content_at < content->content.size)
		return r;
	judge_content(c, content);
	c->lost_count = c->lost_sure;
	c->content_at = 0;
	if (++c->content_next == c->content_count)
		c->content_count = c->content_next = 0;
	return 0;
}

/* ---- */

static int step_totals(struct check *c)
{
	int r = 0;

	store_lock(c->tree->store);
	c->table = TABLE_META;
	c->has_id = false;
	c->entry_len = 0;
	if (!c->result.rows_damaged &&
	    !sum_equal(&c->recount.sum, &c->tree->sum))
		check_tell(c, CHECK_INDEX,
			   "the rows do not add up to the sum of all");
	if (c->o.still)
		r = check_totals(c);
	c->phase = PHASE_END;
	store_unlock(c->tree->store);
	return r;
}

int check_step(struct check *c)
{
	int r;

	if (c->phase == PHASE_END)
		return 1;
	if (c->content_count)
		r = step_content(c);
	else if (c->phase == PHASE_CHUNKS)
		r = step_chunks(c);
	else if (c->phase == PHASE_TABLES)
		r = step_entries(c);
	else
		r = step_totals(c);
	if (!r)
		r = c->error;
	told_give(c);
	return r ? r : c->phase == PHASE_END;
}

int check_begin(struct tree *t, const struct check_options *o,
		struct check **ret)
{
	struct check *c = calloc(1, sizeof(*c));
	int r = 0;

	if (!c)
		return -ENOMEM;
	c->tree = t;
	c->o = *o;
	c->table = TABLE_CHUNK;
	if (o->still)
		c->leaves = calloc(LEAVES, sizeof(*c->leaves));
	if (o->still && !c->leaves)
		r = -ENOMEM;
	store_lock(t->store);
	if (!r && t->recount)
		r = -EBUSY;
	else if (!r)
		t->recount = &c->recount;
	for (unsigned int n = 0; n < TABLE_COUNT; n++)
		c->result.total += store_count(t->store, n);
	store_unlock(t->store);
	if (r) {
		free(c->leaves);
		free(c);
		return r;
	}
	r = segments_note(c);
	if (r)
		check_end(c);
	else
		*ret = c;
	return r;
}

const struct check_result *check_result(const struct check *c)
{
	return &c->result;
}

void check_end(struct check *c)
{
	if (!c)
		return;
	store_lock(c->tree->store);
	c->tree->recount = NULL;
	store_unlock(c->tree->store);
	free(c->leaves);
	free(c->bad);
	free(c->bad_needed);
	free(c->lost);
	idlist_release(&c->incomplete);
	idlist_release(&c->unreadable);
	free(c->unsent.list);
	free(c->staged.list);
	free(c->segments);
	free(c->contents);
	free(c->told);
	free(c->told_keys);
	free(c);
}
