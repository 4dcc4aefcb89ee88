/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A row in the store: the versions that are replicated, and before them a
 * local part (FORMAT.md, "Rows"). Storing a row keeps what is derived from
 * it: its place in the change stream (SEQ), its inode number, and its
 * *claims*, the entries of DIR: one for each name under which the object may
 * be shown. Who wins a name is not stored: place.c reads it from the claims.
 *
 * Claims are compared with those stored before, so that an operation that
 * leaves an object's names and kind alone (a write, a chmod, a directory's
 * new mtime) touches neither DIR nor the view.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/base/hash.h"
#include "fs/tree/base.h"
#include "fs/tree/contest.h"
#include "fs/tree/tree_internal.h"

#define LOCAL_FORMAT 1
#define LOCAL_HAS_PRIOR 1
#define LOCAL_ABSENT 2
#define LOCAL_COUNTS 4
#define LOCAL_BORN 8
/* Cookies below this are for "." and "..", see tree_readdir(). */
#define NAME_HASH_MIN 16
#define DIR_KEY_BYTES 48

uint64_t name_hash(struct slice name)
{
	uint64_t h = checksum64(name.data, name.len, 0) >> 1;

	return MAX_OF(h, (uint64_t)NAME_HASH_MIN);
}

struct slice spot_name(const struct spot *s)
{
	return SLICE(s->name, s->name_len);
}

struct spot spot_at(struct objid parent, struct slice name)
{
	struct spot s = { .parent = parent, .hash = name_hash(name) };

	s.name_len = (uint8_t)name.len;
	memcpy(s.name, name.data, name.len);
	return s;
}

/* ---- local part */

static int local_decode(struct row *row, struct slice value,
			struct slice *ret_versions)
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
	*ret_versions = reader_bytes(&r, reader_left(&r));
	if (!e)
		e = reader_ok(&r);
	return e == -EBADMSG ? -EUCLEAN : e;
}

static void local_encode(struct row *row, bool counts, struct buf *b)
{
	autofree uint8_t *prior_bytes = NULL;

	buf_put_u8(b, LOCAL_FORMAT);
	buf_put_u8(b, (row->has_prior ? LOCAL_HAS_PRIOR : 0) |
			      (row->absent ? LOCAL_ABSENT : 0) |
			      (row->born ? LOCAL_BORN : 0) |
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
}

/* ---- loading */

void row_release(struct row *row)
{
	object_release(&row->o);
	object_release(&row->prior);
	remains_release(&row->remains);
	free(row->claims);
	row->claims = NULL;
	row->claim_count = 0;
}

int row_read(struct tree *t, struct objid id, struct row *row)
{
	struct slice value, versions;
	int r;

	*row = (struct row){ 0 };
	object_init(&row->o, id);
	r = store_get(t->store, TABLE_OBJ, SLICE(id.b, sizeof(id.b)), &value);
	if (r == -ENOENT)
		return 0;
	if (r)
		return r;
	row->exists = true;
	r = local_decode(row, value, &versions);
	if (!r)
		r = object_decode(versions, &row->o);
	if (r)
		row_release(row);
	return r == -EBADMSG ? -EUCLEAN : r;
}

int row_load(struct tree *t, struct objid id, struct row *row)
{
	struct info info;
	int r = row_read(t, id, row);

	if (r || !row->exists)
		return r;
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

/* ---- claims */

int dir_place(struct tree *t, const struct info *i, struct objid id,
	      struct spot *ret)
{
	int r = override_get(t, id, ret);

	if (r != -ENOENT)
		return r;
	*ret = spot_at(i->links[0].link->link.at.parent,
		       i->links[0].link->link.at.name);
	return 0;
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

static uint8_t file_claim_flags(const struct info *i, size_t k)
{
	uint8_t flags = i->kind;
	size_t siblings = i->real_count - (i->branches[0].is_void ? 0 : 1);

	if (!i->links[k].strong)
		flags |= CLAIM_WEAK;
	if (info_holds_name(i))
		flags |= CLAIM_HOLDS;
	if (!k && siblings)
		flags |= CLAIM_SIBLINGS;
	return flags;
}

int claims_of(struct tree *t, const struct row *row, const struct info *i,
	      struct claim **ret, size_t *ret_count)
{
	size_t n = 0;
	struct claim *c;
	int r = 0;

	*ret = NULL;
	*ret_count = 0;
	if (i->kind == KIND_DIR)
		n = i->link_count ? 1 : 0;
	else if (info_live_file(i))
		n = i->shown_count;
	if (!n)
		return 0;
	c = calloc(n, sizeof(*c));
	if (!c)
		return -ENOMEM;
	for (size_t k = 0; !r && k < n; k++) {
		const struct version *v = i->links[k].link;

		c[k].slot = i->links[k].slot;
		if (i->kind == KIND_DIR) {
			c[k].flags = KIND_DIR | (i->strong ? 0 : CLAIM_WEAK);
			r = dir_place(t, i, row->o.id, &c[k].at);
		} else {
			c[k].flags = file_claim_flags(i, k);
			c[k].at = spot_at(v->link.at.parent, v->link.at.name);
		}
	}
	if (r) {
		free(c);
		return r;
	}
	*ret = c;
	*ret_count = n;
	return 0;
}

static void dir_key(uint8_t key[DIR_KEY_BYTES], struct objid parent,
		    uint64_t hash, struct objid id, uint64_t slot)
{
	memcpy(key, parent.b, 16);
	put_be64(key + 16, hash);
	memcpy(key + 24, id.b, 16);
	put_be64(key + 40, slot);
}

int claim_seek(struct tree *t, struct objid parent, uint64_t hash,
	       struct objid id, uint64_t slot, struct claim *ret,
	       struct objid *ret_id)
{
	uint8_t key[DIR_KEY_BYTES];
	struct slice k, v;
	int r;

	dir_key(key, parent, hash, id, slot);
	r = store_seek(t->store, TABLE_DIR, SLICE(key, sizeof(key)), &k, &v);
	if (r)
		return r;
	if (k.len != sizeof(key) || v.len < 2 || v.len > 1 + NAME_BYTES_MAX)
		return -EUCLEAN;
	if (memcmp(k.data, parent.b, 16))
		return -ENOENT;
	ret->at.parent = parent;
	ret->at.hash = get_be64(k.data + 16);
	ret->at.name_len = (uint8_t)(v.len - 1);
	memcpy(ret->at.name, v.data + 1, v.len - 1);
	ret->flags = v.data[0];
	ret->slot = get_be64(k.data + 40);
	memcpy(ret_id->b, k.data + 24, 16);
	return 0;
}

int claim_next(struct tree *t, struct claim *c, struct objid *id)
{
	uint8_t key[DIR_KEY_BYTES];

	/* One more than the key, as a number of 48 bytes. */
	dir_key(key, c->at.parent, c->at.hash, *id, c->slot);
	for (size_t k = sizeof(key); k-- > 16;) {
		struct objid from;

		if (!++key[k])
			continue;
		memcpy(from.b, key + 24, sizeof(from.b));
		return claim_seek(t, c->at.parent, get_be64(key + 16), from,
				  get_be64(key + 40), c, id);
	}
	return -ENOENT;
}

static int claim_write(struct tree *t, struct objid id, const struct claim *c,
		       bool put)
{
	uint8_t key[DIR_KEY_BYTES], value[1 + NAME_BYTES_MAX];

	dir_key(key, c->at.parent, c->at.hash, id, c->slot);
	if (!put)
		return store_del(t->store, TABLE_DIR, SLICE(key, sizeof(key)));
	value[0] = c->flags;
	memcpy(value + 1, c->at.name, c->at.name_len);
	return store_put(t->store, TABLE_DIR, SLICE(key, sizeof(key)),
			 SLICE(value, 1 + (size_t)c->at.name_len));
}

static bool spot_equal(const struct spot *a, const struct spot *b)
{
	return objid_equal(a->parent, b->parent) &&
	       slice_equal(spot_name(a), spot_name(b));
}

static bool claims_have(const struct claim *list, size_t n,
			const struct claim *c)
{
	for (size_t k = 0; k < n; k++)
		if (list[k].slot == c->slot && list[k].flags == c->flags &&
		    spot_equal(&list[k].at, &c->at))
			return true;
	return false;
}

/* A directory that loses a claim leaves its group: settle() makes it anew. */
static int claim_remove(struct tree *t, const struct row *row,
			const struct claim *c)
{
	int r = claim_write(t, row->o.id, c, false);

	if (!r)
		r = work_spot(t, &c->at);
	if (!r && (c->flags & CLAIM_KIND) == KIND_DIR) {
		struct idlist members = { 0 };

		r = group_clear(t, row->o.id, &members);
		for (size_t k = 0; !r && k < members.count; k++) {
			r = work_dir(t, members.ids[k]);
			/* Their names were merged too. */
			if (!r)
				r = work_children(t, members.ids[k]);
		}
		idlist_release(&members);
	}
	return r;
}

/*
 * Does another object claim the place? Whether two files are twins depends
 * on content and mode, which claims do not tell.
 */
static int place_is_shared(struct tree *t, const struct spot *s, bool *ret)
{
	struct idlist members = { 0 };
	size_t n = 0;
	int r = group_members(t, s->parent, &members);

	for (size_t k = 0; !r && n < 2 && k < members.count; k++) {
		struct claim c;
		struct objid id;

		r = claim_seek(t, members.ids[k], s->hash, ROOT_ID, 0, &c,
			       &id);
		while (!r && n < 2 && c.at.hash == s->hash) {
			n++;
			r = claim_next(t, &c, &id);
		}
		if (r == -ENOENT)
			r = 0;
	}
	idlist_release(&members);
	*ret = n > 1;
	return r;
}

/*
 * A merged directory goes by the number of the member that was here first.
 * If that is removed and others stay, so does the number, with the next of
 * them: programs are in it.
 */
static int pass_number(struct tree *t, struct row *gone)
{
	struct inoref ref = { .type = INO_OBJECT };
	struct row heir = { 0 }, row;
	struct idlist members = { 0 };
	int r = group_members(t, gone->o.id, &members);

	for (size_t k = 0; !r && k < members.count; k++) {
		if (objid_equal(members.ids[k], gone->o.id))
			continue;
		r = row_load(t, members.ids[k], &row);
		if (r)
			break;
		if (row.ino && row.claim_count &&
		    (!heir.ino || row.ino < heir.ino)) {
			if (heir.ino)
				row_release(&heir);
			heir = row;
		} else {
			row_release(&row);
		}
	}
	idlist_release(&members);
	if (!r && gone->ino && gone->ino < heir.ino) {
		uint64_t ino = heir.ino;

		ref.id = heir.o.id;
		r = ino_put(t, gone->ino, &ref);
		ref.id = gone->o.id;
		if (!r)
			r = ino_put(t, ino, &ref);
		heir.ino = gone->ino;
		gone->ino = ino;
		if (!r)
			r = row_store_local(t, &heir);
	}
	if (heir.ino)
		row_release(&heir);
	return r;
}

static int claims_update(struct tree *t, struct row *row, struct claim *now,
			 size_t n)
{
	int r = 0;

	if (!n && row->claim_count && t->group_records &&
	    (row->claims[0].flags & CLAIM_KIND) == KIND_DIR)
		r = pass_number(t, row);
	for (size_t k = 0; !r && k < row->claim_count; k++)
		if (!claims_have(now, n, &row->claims[k]))
			r = claim_remove(t, row, &row->claims[k]);
	for (size_t k = 0; !r && k < n; k++) {
		bool moved = !claims_have(row->claims, row->claim_count,
					  &now[k]);

		if (moved)
			r = claim_write(t, row->o.id, &now[k], true);
		else if ((now[k].flags & CLAIM_KIND) != KIND_DIR)
			r = place_is_shared(t, &now[k].at, &moved);
		if (!r && moved)
			r = work_spot(t, &now[k].at);
	}
	free(row->claims);
	row->claims = now;
	row->claim_count = n;
	return r;
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
	*ret = reader_bytes(&r, reader_left(&r));
	return reader_ok(&r) ? -EUCLEAN : 0;
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

static int row_write(struct tree *t, struct row *row, bool counts)
{
	struct buf b = BUF_INIT;
	autofree uint8_t *bytes = NULL;
	size_t local;
	int r;

	local_encode(row, counts, &b);
	local = b.len;
	r = object_encode(&row->o, &b);
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

static bool link_winner_same(const struct row *row, const struct claim *now,
			     size_t n)
{
	return row->claim_count == n &&
	       (!n || spot_equal(&row->claims[0].at, &now[0].at));
}

/* Indexes that follow from the versions; `now` becomes row's. */
static bool main_is_here(struct tree *t, const struct info *i)
{
	return !i->branch_count || i->branches[0].is_void ||
	       content_complete(t, &i->branches[0].top->content.content);
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

	/* (or main is what this operation wrote) */
	if (row->has_prior && main_is_here(t, i) &&
	    (t->remote || dot_equal(i->branches[0].top->dot, t->op_dot)))
		row->has_prior = false;
	row->absent = row_is_absent(t, row, i);
	r = claims_of(t, row, i, &now, &n);
	if (r)
		return r;
	if (i->kind == KIND_DIR && (!link_winner_same(row, now, n) ||
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
	int r = row_sequence(t, row, true);

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

	if (!row->o.count)
		return row_delete(t, row);
	row->from = from;
	row->born = !t->remote && (row->born || !row->exists);
	row->ctime_ns = ctime_ns;
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
	if (!r)
		r = row_index(t, row, &info);
	if (!r && info.branch_count > 1)
		r = number_siblings(t, row, &info);
	if (!r)
		r = marks_update(t, row->o.id, &info);
	if (!r && info.kind == KIND_DIR)
		r = acks_note(t, row);
	live = info_is_live(&info);
	info_release(&info);
	tell_number(t, row);
	if (!r)
		r = row_write(t, row, live);
	row->exists = true;
	return r;
}

int row_store_local(struct tree *t, struct row *row)
{
	struct info info;
	bool live;
	int r = info_init(&info, &row->o);

	if (r)
		return r;
	r = row_index(t, row, &info);
	live = info_is_live(&info);
	info_release(&info);
	tell_number(t, row);
	return r ? r : row_write(t, row, live);
}

/* ---- small lists */

void idlist_release(struct idlist *l)
{
	free(l->ids);
	*l = (struct idlist){ 0 };
}

int idlist_add(struct idlist *l, struct objid id)
{
	if (l->count == l->alloc) {
		size_t alloc = MAX_OF(l->alloc * 2, (size_t)4);
		struct objid *p = realloc(l->ids, alloc * sizeof(*p));

		if (!p)
			return -ENOMEM;
		l->ids = p;
		l->alloc = alloc;
	}
	l->ids[l->count++] = id;
	return 0;
}

bool idlist_has(const struct idlist *l, struct objid id)
{
	for (size_t k = 0; k < l->count; k++)
		if (objid_equal(l->ids[k], id))
			return true;
	return false;
}
