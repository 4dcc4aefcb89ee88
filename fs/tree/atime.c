/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Access times: local to this node, never part of a version. Beside them
 * stands how many bytes of a content are on the disk (stored.c).
 *
 * One that a program sets (touch -a, cp -p, tar) is stored: INO, 'a' and the
 * number. One that follows from reading is only remembered, in as many
 * places as there are slots: relatime, as mounts have it by default, so that
 * it is looked at once for each handle, and changes when the file was not
 * read since it changed, or not for a day. What is neither was not read
 * since it was made, as far as anybody can tell.
 */
#include <errno.h>

#include "fs/tree/op.h"

#define RELATIME_SECONDS 86400
/* In the place of a time's nanoseconds: there is none. */
#define NO_TIME_NS UINT32_MAX

static struct atime *atime_slot(struct tree *t, uint64_t ino)
{
	return &t->atimes[ino % ATIME_SLOTS];
}

int atime_decode(struct slice value, struct atime *ret)
{
	struct reader in = READER(value.data, value.len);
	uint32_t ns;

	ret->time.tv_sec = (time_t)reader_u64(&in);
	ret->time.tv_nsec = ns = reader_u32(&in);
	ret->known = ns != NO_TIME_NS;
	ret->root = ret->bytes = 0;
	if (!ret->known || reader_left(&in)) {
		ret->root = reader_u64(&in);
		ret->bytes = reader_u64(&in);
	}
	if (ret->known && ns >= 1000000000)
		reader_fail(&in);
	return reader_done(&in) ? -EUCLEAN : 0;
}

int atime_load(struct tree *t, uint64_t ino, struct atime *ret)
{
	struct atime *a = atime_slot(t, ino);
	uint8_t key[9];
	struct slice v;
	int r = 0;

	if (a->ino != ino) {
		*a = (struct atime){ 0 };
		r = store_get(t->store, TABLE_INO, ino_key(key, 'a', ino), &v);
		if (!r)
			r = atime_decode(v, a);
		if (r && r != -ENOENT)
			return r;
		a->ino = ino;
	}
	*ret = *a;
	return 0;
}

int atime_store(struct tree *t, const struct atime *a)
{
	uint8_t key[9], value[28];

	if (!a->known && !a->root)
		return atime_forget(t, a->ino);
	/* (read again when it is asked for: the operation may fail) */
	atime_slot(t, a->ino)->ino = 0;
	put_le64(value, (uint64_t)a->time.tv_sec);
	put_le32(value + 8, a->known ? (uint32_t)a->time.tv_nsec : NO_TIME_NS);
	put_le64(value + 12, a->root);
	put_le64(value + 20, a->bytes);
	return store_put(t->store, TABLE_INO, ino_key(key, 'a', a->ino),
			 SLICE(value, a->root ? 28u : 12u));
}

int atime_set(struct tree *t, uint64_t ino, struct timespec time)
{
	struct atime a;
	int r = atime_load(t, ino, &a);

	a.time = time;
	a.known = true;
	return r ? r : atime_store(t, &a);
}

int atime_forget(struct tree *t, uint64_t ino)
{
	uint8_t key[9];

	atime_slot(t, ino)->ino = 0;
	return store_del(t->store, TABLE_INO, ino_key(key, 'a', ino));
}

static bool is_later(struct timespec a, struct timespec b)
{
	return a.tv_sec != b.tv_sec ? a.tv_sec > b.tv_sec
				    : a.tv_nsec > b.tv_nsec;
}

void tree_accessed(struct tree *t, uint64_t ino)
{
	struct timespec now;
	struct atime *slot = atime_slot(t, ino);
	struct inode *i;
	struct attr a;
	int64_t ns;

	store_lock(t->store);
	i = inode_find(t, ino);
	if ((!i || !i->accessed) && !attr_of(t, ino, &a)) {
		ns = t->env->now_ns(t->env->arg);
		now = (struct timespec){ ns / 1000000000, ns % 1000000000 };
		if (!is_later(a.atime, a.mtime) || !is_later(a.atime, a.ctime) ||
		    now.tv_sec - a.atime.tv_sec >= RELATIME_SECONDS) {
			slot->time = now;
			slot->known = true;
		}
		if (i)
			i->accessed = true;
	}
	store_unlock(t->store);
}
