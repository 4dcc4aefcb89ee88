/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Claims: the entries of DIR, one for each name under which an object may be
 * shown. Who wins a name is not stored: place.c reads it from the claims.
 *
 * Claims are compared with those stored before, so that an operation that
 * leaves an object's names and kind alone (a write, a chmod, a directory's
 * new mtime) touches neither DIR nor the view.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/base/hash.h"
#include "fs/tree/ruled.h"

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
	/* (the kernel takes no other, and closes the whole directory) */
	if (!name_is_valid(spot_name(&ret->at)) ||
	    !(ret->flags & CLAIM_KIND))
		return -EUCLEAN;
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

/* (once, however often it is written) */
static int count_dir(struct tree *t, struct slice key, struct objid parent,
		     bool put)
{
	struct slice v;
	int r = store_get(t->store, TABLE_DIR, key, &v);

	if (r && r != -ENOENT)
		return r;
	return put == !r ? 0 : subdirs_change(t, parent, put);
}

static int claim_write(struct tree *t, struct objid id, const struct claim *c,
		       bool put)
{
	uint8_t key[DIR_KEY_BYTES], value[1 + NAME_BYTES_MAX];
	int r;

	dir_key(key, c->at.parent, c->at.hash, id, c->slot);
	if ((c->flags & CLAIM_KIND) == KIND_DIR) {
		r = count_dir(t, SLICE(key, sizeof(key)), c->at.parent, put);
		if (r)
			return r;
	}
	if (!put)
		return store_del(t->store, TABLE_DIR, SLICE(key, sizeof(key)));
	value[0] = c->flags;
	memcpy(value + 1, c->at.name, c->at.name_len);
	return store_put(t->store, TABLE_DIR, SLICE(key, sizeof(key)),
			 SLICE(value, 1 + (size_t)c->at.name_len));
}

bool spot_equal(const struct spot *a, const struct spot *b)
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

bool claims_same_place(const struct row *row, const struct claim *now,
		       size_t n)
{
	return row->claim_count == n &&
	       (!n || spot_equal(&row->claims[0].at, &now[0].at));
}

int claims_update(struct tree *t, struct row *row, struct claim *now,
		  size_t n)
{
	bool dir_moved = (n || row->claim_count) &&
			 ((n ? now : row->claims)[0].flags & CLAIM_KIND) ==
				 KIND_DIR &&
			 !claims_same_place(row, now, n);
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
	return !r && dir_moved ? rules_moved(t, row->o.id) : r;
}
