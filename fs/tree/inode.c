/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inode numbers and attributes. A number stands for what is shown: an
 * object's main content (or a directory), a sibling of a file by its
 * branch, or a *detached* content: what open handles go on seeing after the
 * name got another content. Handles do not outlive the mount: what is
 * detached has a mark, by which it is found when it was killed.
 *
 * INO, by first byte of the key: 'i' number -> what it is; 's' object and
 * branch -> number of that sibling; 'd' number -> it is detached, and what
 * it has of its own (orphan.c); 'a' number -> access time, and the size on
 * disk (atime.c).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fs/tree/tree_internal.h"

#define DIR_SIZE_BYTES 4096
#define ROOT_PERM_DEFAULT 0755

struct slice ino_key(uint8_t key[9], char what, uint64_t ino)
{
	key[0] = (uint8_t)what;
	put_be64(key + 1, ino);
	return SLICE(key, 9);
}

static struct slice sibling_key(uint8_t key[33], struct objid id,
				struct dot tag)
{
	key[0] = 's';
	memcpy(key + 1, id.b, 16);
	put_be64(key + 17, tag.origin);
	put_be64(key + 25, tag.seq);
	return SLICE(key, 33);
}

void inoref_release(struct inoref *ref)
{
	object_release(&ref->version);
}

int ino_get(struct tree *t, uint64_t ino, struct inoref *ret)
{
	uint8_t key[9];
	struct slice v;
	struct reader in;
	int r;

	*ret = (struct inoref){ 0 };
	r = store_get(t->store, TABLE_INO, ino_key(key, 'i', ino), &v);
	if (r)
		return r == -ENOENT ? -ESTALE : r;
	in = READER(v.data, v.len);
	ret->type = reader_u8(&in);
	reader_copy(&in, ret->id.b, sizeof(ret->id.b));
	if (ret->type == INO_SIBLING) {
		ret->tag.origin = reader_u64(&in);
		ret->tag.seq = reader_u64(&in);
	}
	if (ret->type == INO_DETACHED) {
		struct slice row = reader_bytes(&in, reader_left(&in));

		object_init(&ret->version, ret->id);
		r = object_decode(row, &ret->version);
		if (r == -ENOMEM)
			return r;
		if (r || ret->version.count != 1 ||
		    ret->version.versions[0].reg != REG_CONTENT)
			reader_fail(&in);
	}
	if (reader_done(&in) || ret->type < INO_OBJECT ||
	    ret->type > INO_DETACHED) {
		inoref_release(ret);
		return -EUCLEAN;
	}
	return 0;
}

int ino_put(struct tree *t, uint64_t ino, const struct inoref *ref)
{
	uint8_t key[9];
	struct buf b = BUF_INIT;
	autofree uint8_t *bytes = NULL;
	int r = 0;

	buf_put_u8(&b, (uint8_t)ref->type);
	buf_put(&b, ref->id.b, sizeof(ref->id.b));
	if (ref->type == INO_SIBLING) {
		buf_put_u64(&b, ref->tag.origin);
		buf_put_u64(&b, ref->tag.seq);
	}
	if (ref->type == INO_DETACHED)
		r = object_encode((struct object *)&ref->version, &b);
	bytes = b.data;
	if (!r)
		r = buf_error(&b);
	if (r)
		return r;
	return store_put(t->store, TABLE_INO, ino_key(key, 'i', ino),
			 buf_slice(&b));
}

uint64_t ino_new(struct tree *t)
{
	return t->next_ino++;
}

int ino_put_sibling(struct tree *t, uint64_t ino, struct objid id,
		    struct dot tag)
{
	struct inoref ref = { .type = INO_SIBLING, .id = id, .tag = tag };
	uint8_t key[33], value[8];
	int r;

	put_be64(value, ino);
	r = store_put(t->store, TABLE_INO, sibling_key(key, id, tag),
		      SLICE(value, 8));
	return r ? r : ino_put(t, ino, &ref);
}

int ino_of_sibling(struct tree *t, struct objid id, struct dot tag,
		   uint64_t *ret)
{
	uint8_t key[33];
	struct slice v;
	int r = store_get(t->store, TABLE_INO, sibling_key(key, id, tag), &v);

	if (!r && v.len != 8)
		return -EUCLEAN;
	if (!r) {
		*ret = get_be64(v.data);
		return 0;
	}
	if (r != -ENOENT)
		return r;
	if (!store_in_op(t->store))
		return -EUCLEAN; /* given out when the row was stored */
	*ret = ino_new(t);
	return ino_put_sibling(t, *ret, id, tag);
}

int ino_forget_sibling(struct tree *t, struct objid id, struct dot tag)
{
	uint8_t key[33];

	return store_del(t->store, TABLE_INO, sibling_key(key, id, tag));
}

int ino_forget(struct tree *t, uint64_t ino)
{
	uint8_t key[9];
	int r = atime_forget(t, ino);

	return r ? r : store_del(t->store, TABLE_INO, ino_key(key, 'i', ino));
}

int ino_forget_detached(struct tree *t, uint64_t ino)
{
	uint8_t key[9];
	struct inoref ref;
	int r = ino_get(t, ino, &ref);

	if (r)
		return r == -ESTALE ? 0 : r;
	inoref_release(&ref);
	if (ref.type != INO_DETACHED)
		return 0;
	r = store_del(t->store, TABLE_INO, ino_key(key, 'd', ino));
	return r ? r : ino_forget(t, ino);
}

/* The first at `ino` or above. -ENOENT. */
static int kept_next(struct tree *t, uint64_t ino, uint64_t *ret)
{
	uint8_t key[9];
	struct slice k, v;
	int r = store_seek(t->store, TABLE_INO, ino_key(key, 'd', ino), &k, &v);

	if (!r && k.data[0] != 'd')
		r = -ENOENT;
	if (!r && k.len != sizeof(key))
		r = -EUCLEAN;
	if (!r)
		*ret = get_be64(k.data + 1);
	return r;
}

/* Of unsent writes it is what they are based on. */
static int kept_forget(struct tree *t, uint64_t ino)
{
	const struct inode *i = inode_find(t, ino);
	uint8_t key[9];
	int r;

	if (i && i->dirty)
		return 0;
	r = op_begin_locked(t);
	if (r)
		return r;
	store_op_makes_room(t->store);
	r = ino_forget_detached(t, ino);
	if (!r)
		r = store_del(t->store, TABLE_INO, ino_key(key, 'd', ino));
	return op_end_locked(t, r);
}

int ino_forget_kept(struct tree *t)
{
	uint64_t ino = 0;
	int r = kept_next(t, ino, &ino);

	while (!r) {
		r = kept_forget(t, ino);
		if (!r)
			r = kept_next(t, ino + 1, &ino);
	}
	/* (-EROFS: the store is only looked at) */
	return r == -ENOENT || r == -EROFS ? 0 : r;
}

int ino_dir(struct tree *t, uint64_t ino, struct objid *ret)
{
	struct inoref ref;
	struct row row;
	struct info i;
	int r = ino_get(t, ino, &ref);

	if (r)
		return r;
	*ret = ref.id;
	inoref_release(&ref);
	if (objid_is_root(ref.id))
		return 0;
	if (ref.type != INO_OBJECT)
		return -ENOTDIR;
	r = row_read(t, ref.id, &row);
	if (r)
		return r;
	r = info_init(&i, &row.o);
	if (!r && !row.exists)
		r = -ESTALE;
	if (!r && i.kind != KIND_DIR)
		r = -ENOTDIR;
	if (!r && !i.link_count)
		r = -ENOENT; /* removed, and still somebody's cwd */
	info_release(&i);
	row_release(&row);
	if (!r)
		*ret = group_canonical(t, *ret);
	return r;
}

/*
 * Numbers only grow, so the smallest of a group is the one that this node
 * showed first: a live directory never changes its number.
 */
int dir_ino(struct tree *t, struct objid dir, uint64_t *ret)
{
	struct idlist members = { 0 };
	int r = group_members(t, dir, &members);

	*ret = 0;
	if (objid_is_root(dir))
		*ret = TREE_ROOT_INO;
	for (size_t k = 0; !r && !objid_is_root(dir) && k < members.count;
	     k++) {
		uint64_t ino;

		r = row_ino(t, members.ids[k], &ino);
		if (!r && ino && (!*ret || ino < *ret))
			*ret = ino;
	}
	idlist_release(&members);
	if (!r && !*ret)
		r = -ENOENT;
	return r;
}

/* ---- open and dirty inodes */

struct inode *inode_find(struct tree *t, uint64_t ino)
{
	struct inode *i;

	HASH_FIND(hh, t->inodes, &ino, sizeof(ino), i);
	return i;
}

struct inode *inode_get(struct tree *t, uint64_t ino)
{
	struct inode *i = inode_find(t, ino);

	if (i)
		return i;
	i = calloc(1, sizeof(*i));
	if (!i)
		return NULL;
	i->ino = ino;
	HASH_ADD(hh, t->inodes, ino, sizeof(ino), i);
	return i;
}

bool inode_is_unborn(const struct tree *t, uint64_t ino)
{
	const struct inode *i = inode_find((struct tree *)t, ino);

	return i && i->born && i->dirty;
}

void inode_drop(struct tree *t, struct inode *i)
{
	if (i->opens || i->dirty || i->cutting)
		return;
	HASH_DEL(t->inodes, i);
	free(i);
}

/* ---- what is at a number */

static const struct version *content_of_ref(const struct row *row,
					    const struct info *i,
					    const struct inoref *ref)
{
	const struct branch *b;

	switch (ref->type) {
	case INO_OBJECT:
		return row_shown_content(row, i);
	case INO_SIBLING:
		b = info_branch(i, ref->tag);
		return b ? b->top : NULL;
	default:
		return &ref->version.versions[0];
	}
}

void target_release(struct target *t)
{
	info_release(&t->info);
	row_release(&t->row);
	inoref_release(&t->ref);
}

int target_load(struct tree *t, uint64_t ino, struct target *ret)
{
	int r;

	*ret = (struct target){ 0 };
	r = ino_get(t, ino, &ret->ref);
	if (r)
		return r;
	r = ret->ref.type == INO_DETACHED ?
		    orphan_read(t, ino, ret->ref.id, &ret->row) : 0;
	if (!r)
		r = row_read(t, ret->ref.id, &ret->row);
	if (r >= 0)
		r = info_init(&ret->info, &ret->row.o);
	if (!r) {
		ret->content = content_of_ref(&ret->row, &ret->info,
					      &ret->ref);
		ret->is_main = ret->ref.type == INO_OBJECT;
		if (ret->ref.type == INO_SIBLING && !ret->content)
			r = -ESTALE;
		if (!ret->row.exists && !objid_is_root(ret->ref.id) &&
		    ret->ref.type != INO_DETACHED)
			r = -ESTALE;
	}
	if (r)
		target_release(ret);
	return r;
}

static int place_order(const void *pa, const void *pb)
{
	const struct place *a = pa, *b = pb;
	int r = objid_compare(a->parent, b->parent);

	return r ? r : slice_compare(a->name, b->name);
}

/* Two slots at one place, as when two nodes make the same link, are one
 * name: removing that removes both. */
static int names_count(struct tree *t, const struct info *i, uint32_t *ret)
{
	autofree struct place *places = NULL;
	uint32_t n = 1;

	if (i->shown_count < 2) {
		*ret = (uint32_t)i->shown_count;
		return 0;
	}
	places = calloc(i->shown_count, sizeof(*places));
	if (!places)
		return -ENOMEM;
	for (size_t k = 0; k < i->shown_count; k++) {
		places[k] = i->links[k].link->link.at;
		places[k].parent = group_canonical(t, places[k].parent);
	}
	qsort(places, i->shown_count, sizeof(*places), place_order);
	for (size_t k = 1; k < i->shown_count; k++)
		n += place_order(&places[k - 1], &places[k]) != 0;
	*ret = n;
	return 0;
}

static int attr_of_file(struct tree *t, const struct target *f,
			struct attr *a)
{
	const struct info *i = &f->info;
	int r = names_count(t, i, &a->nlink);

	a->mode = kind_type(i->kind);
	if (f->ref.type == INO_DETACHED || !i->real_count)
		a->nlink = 0;
	if (i->kind == KIND_SYMLINK)
		a->mode |= 0777;
	else
		a->mode |= i->mode ? i->mode->mode.perm : 0600;
	if (f->content) {
		const struct content *c = &f->content->content.content;

		if (kind_is_device(i->kind))
			a->rdev = device_number(c);
		else
			a->size = c->size;
		if (f->ref.type == INO_OBJECT && !f->row.has_prior &&
		    i->times && !i->times_of_hidden)
			a->mtime = i->times->times.mtime;
		else
			a->mtime = f->content->content.mtime;
	}
	return r;
}

static int attr_of_dir(struct tree *t, const struct target *d, struct attr *a)
{
	const struct info *i = &d->info;
	bool root = objid_is_root(d->ref.id);
	uint32_t dirs = 0;
	int r = 0;

	a->mode = S_IFDIR | (i->mode ? i->mode->mode.perm : ROOT_PERM_DEFAULT);
	if (root || i->link_count) {
		/* (by its row: what it was read for may be a member) */
		r = subdirs_count(t, d->row.o.id, &dirs);
		a->nlink = 2 + MIN_OF(dirs, (uint32_t)INT32_MAX);
	}
	a->size = DIR_SIZE_BYTES;
	if (i->times)
		a->mtime = i->times->times.mtime;
	return r;
}

int attr_of(struct tree *t, uint64_t ino, struct attr *ret)
{
	struct target f;
	struct inode *open;
	struct atime own;
	uint64_t bytes = 0;
	int64_t ctime_ns;
	int r = target_load(t, ino, &f);

	if (r)
		return r;
	/* Attributes of a merged directory are its canonical one's. */
	if (f.info.kind == KIND_DIR && t->group_records) {
		struct objid canonical = group_canonical(t, f.ref.id);

		if (!objid_equal(canonical, f.ref.id)) {
			info_release(&f.info);
			row_release(&f.row);
			r = row_read(t, canonical, &f.row);
			if (!r)
				r = info_init(&f.info, &f.row.o);
			if (r) {
				target_release(&f);
				return r;
			}
		}
	}
	*ret = (struct attr){ .ino = ino };
	if (f.info.kind == KIND_DIR || objid_is_root(f.ref.id))
		r = attr_of_dir(t, &f, ret);
	else
		r = attr_of_file(t, &f, ret);
	open = inode_find(t, ino);
	if (!r && ret->size && f.content && !(open && open->dirty))
		r = stored_bytes(t, ino, &f.content->content.content, &bytes);
	ret->atime = ret->mtime;
	if (f.info.times)
		ret->atime = ret->btime = f.info.times->times.btime;
	ctime_ns = f.row.ctime_ns;
	if (f.info.owner && t->env->uid_of)
		ret->uid = t->env->uid_of(t->env->arg,
					  f.info.owner->owner.user);
	if (f.info.owner && t->env->gid_of)
		ret->gid = t->env->gid_of(t->env->arg,
					  f.info.owner->owner.group);
	target_release(&f);
	if (r)
		return r;
	if (open && open->dirty) {
		struct dirty d;

		r = dirty_get(t, ino, &d);
		if (r)
			return r;
		ret->size = d.size;
		ret->mtime = d.mtime;
		ctime_ns = MAX_OF(ctime_ns, d.ctime_ns);
		r = MIN_OF(stored_dirty(t, ino, &d, &bytes), 0);
		dirty_release(&d);
	}
	ret->ctime.tv_sec = ctime_ns / 1000000000;
	ret->ctime.tv_nsec = ctime_ns % 1000000000;
	if (!r)
		r = atime_load(t, ino, &own);
	if (!r && own.known)
		ret->atime = own.time;
	ret->blocks = blocks_of(S_ISREG(ret->mode) ? bytes : ret->size);
	return r;
}
