/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Access times: local to this node, never part of a version.
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

static struct atime *atime_slot(struct tree *t, uint64_t ino)
{
	return &t->atimes[ino % ATIME_SLOTS];
}

int atime_decode(struct slice value, struct timespec *ret)
{
	struct reader in = READER(value.data, value.len);

	ret->tv_sec = (time_t)reader_u64(&in);
	ret->tv_nsec = (long)reader_u32(&in);
	if (ret->tv_nsec >= 1000000000)
		reader_fail(&in);
	return reader_done(&in) ? -EUCLEAN : 0;
}

int atime_get(struct tree *t, uint64_t ino, struct timespec *ret)
{
	struct atime *a = atime_slot(t, ino);
	uint8_t key[9];
	struct slice v;
	int r;

	if (a->ino != ino) {
		*a = (struct atime){ .ino = ino };
		r = store_get(t->store, TABLE_INO, ino_key(key, 'a', ino), &v);
		if (!r)
			r = atime_decode(v, &a->time);
		if (r && r != -ENOENT) {
			a->ino = 0;
			return r;
		}
		a->known = !r;
	}
	if (!a->known)
		return 0;
	*ret = a->time;
	return 1;
}

int atime_set(struct tree *t, uint64_t ino, struct timespec time)
{
	uint8_t key[9], value[12];

	/* (read again when it is asked for: the operation may fail) */
	atime_slot(t, ino)->ino = 0;
	put_le64(value, (uint64_t)time.tv_sec);
	put_le32(value + 8, (uint32_t)time.tv_nsec);
	return store_put(t->store, TABLE_INO, ino_key(key, 'a', ino),
			 SLICE(value, sizeof(value)));
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
	struct inode *i;
	struct attr a;
	int64_t ns;

	store_lock(t->store);
	i = inode_find(t, ino);
	if ((!i || !i->accessed) && !attr_of(t, ino, &a)) {
		ns = t->env->now_ns(t->env->arg);
		now = (struct timespec){ ns / 1000000000, ns % 1000000000 };
		if (!is_later(a.atime, a.mtime) || !is_later(a.atime, a.ctime) ||
		    now.tv_sec - a.atime.tv_sec >= RELATIME_SECONDS)
			*atime_slot(t, ino) =
				(struct atime){ ino, now, true };
		if (i)
			i->accessed = true;
	}
	store_unlock(t->store);
}
