/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The chunk table: from the hash of a chunk or block to where its bytes lie.
 * Key: the hash. Value: u32 segment, u64 offset, u32 length, u32 check (0:
 * stores of before have none).
 *
 * What this table says is checked like anything else on disk; whether the
 * bytes are right only all of them tell. For reads of files the check does,
 * as in file systems that keep a sum with each pointer (ZFS, Btrfs): SHA-256
 * is slower than many a disk. A wrong check makes no damage: the hash has the
 * last word.
 *
 * Even so each read would cost a check, of up to 256 KiB for 4 KiB. So a
 * small table without locks remembers what was found sound by this process:
 * by hash and place, in as many slots as a file has that is read from start
 * to end. A disk that goes bad while a chunk is in there is noticed a while
 * later.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/base/hash.h"
#include "fs/base/log.h"
#include "fs/store/content.h"
#include "fs/store/store_internal.h"

#define CHUNK_VALUE_BYTES 20

static struct slice chunk_key(const struct hash *hash)
{
	return SLICE(hash->b, sizeof(hash->b));
}

static uint32_t check_of(const void *bytes, size_t len)
{
	return (uint32_t)checksum64(bytes, len, 0);
}

struct chunk_place chunk_place(struct data_loc loc, struct slice bytes)
{
	return (struct chunk_place){
		.loc = loc,
		.len = (uint32_t)bytes.len,
		.check = check_of(bytes.data, bytes.len),
	};
}

int chunk_decode(struct slice value, struct chunk_place *ret)
{
	struct reader r = READER(value.data, value.len);
	struct chunk_place p;

	p.loc.segment = reader_u32(&r);
	p.loc.offset = reader_u64(&r);
	p.len = reader_u32(&r);
	p.check = reader_u32(&r);
	if (reader_done(&r) < 0 || p.len < 1 || p.len > CHUNK_BYTES_MAX)
		return -EIO;
	*ret = p;
	return 0;
}

int chunk_find(struct store *s, const struct hash *hash,
	       struct chunk_place *ret)
{
	struct slice value;
	int e = store_get(s, TABLE_CHUNK, chunk_key(hash), &value);

	if (e < 0)
		return e == -ENOENT ? e : -EIO;
	e = chunk_decode(value, ret);
	if (!e)
		reclaim_touch(s, ret->loc, ret->len);
	return e;
}

bool chunk_exists(struct store *s, const struct hash *hash)
{
	struct chunk_place p;
	struct slice value;

	if (store_get(s, TABLE_CHUNK, chunk_key(hash), &value))
		return false;
	if (!chunk_decode(value, &p))
		reclaim_touch(s, p.loc, p.len);
	return true;
}

int chunk_put(struct store *s, const struct hash *hash,
	      const struct chunk_place *p)
{
	uint8_t value[CHUNK_VALUE_BYTES];

	kin_assert(p->len >= 1 && p->len <= CHUNK_BYTES_MAX);
	put_le32(value, p->loc.segment);
	put_le64(value + 4, p->loc.offset);
	put_le32(value + 12, p->len);
	put_le32(value + 16, p->check);
	return store_put(s, TABLE_CHUNK, chunk_key(hash),
			 SLICE(value, sizeof(value)));
}

int chunk_add(struct store *s, const struct hash *hash,
	      const struct chunk_place *p)
{
	if (chunk_exists(s, hash))
		return 0;
	reclaim_touch(s, p->loc, p->len);
	s->op.chunk_bytes += p->len;
	return chunk_put(s, hash, p);
}

int chunk_read(struct store *s, const struct hash *hash, struct buf *ret)
{
	cleanup(store_hold_end) struct store_hold hold = store_hold(s);
	struct chunk_place p;
	int r;

	store_lock(s);
	r = chunk_find(s, hash, &p);
	store_unlock(s);
	if (r < 0)
		return r;
	buf_reset(ret);
	if (!buf_extend(ret, p.len))
		return -ENOMEM;
	r = data_read(s, p.loc, ret->data, p.len);
	if (r < 0)
		return -EIO;
	return hash_is(hash, ret->data, p.len) ? 0 : -EIO;
}

/* ---- what is known to be sound */

static uint64_t verified_name(const struct hash *hash, struct data_loc loc)
{
	uint64_t place = (uint64_t)loc.segment << 40 ^ loc.offset;

	/* (0 is an empty slot) */
	return (get_le64(hash->b) ^ place * 0x9e3779b97f4a7c15) | 1;
}

static uint64_t *verified_slot(struct store *s, uint64_t name)
{
	return &s->verified[(name >> 1) % VERIFIED_SLOTS];
}

static void tell_damage(struct store *s, struct data_loc loc)
{
	if (__atomic_exchange_n(&s->damage_told, 1, __ATOMIC_RELAXED))
		return;
	log_warn("store '%s': bytes in segment %08x are damaged: reading "
		 "them fails; `kin check --data` says what they are of",
		 s->path, (unsigned int)loc.segment);
}

/* All of it, checked. */
static int read_checked(struct store *s, const struct hash *hash,
			const struct chunk_place *p, uint8_t *ret)
{
	bool sound = !data_read(s, p->loc, ret, p->len) &&
		     ((p->check && check_of(ret, p->len) == p->check) ||
		      hash_is(hash, ret, p->len));

	if (!sound)
		tell_damage(s, p->loc);
	return sound ? 0 : -EIO;
}

int chunk_read_at(struct store *s, const struct hash *hash,
		  const struct chunk_place *p, uint64_t skip, void *ret,
		  size_t len)
{
	uint64_t name = verified_name(hash, p->loc);
	uint64_t *slot = verified_slot(s, name);
	struct data_loc loc = {p->loc.segment, p->loc.offset + skip};
	autofree uint8_t *bytes = NULL;
	int r;

	kin_assert(skip <= p->len && len <= p->len - skip);
	if (__atomic_load_n(slot, __ATOMIC_RELAXED) == name)
		return data_read(s, loc, ret, len) ? -EIO : 0;
	if (len < p->len) {
		bytes = malloc(p->len);
		if (!bytes)
			return -ENOMEM;
	}
	r = read_checked(s, hash, p, bytes ? bytes : ret);
	if (r)
		return r;
	if (bytes)
		memcpy(ret, bytes + skip, len);
	__atomic_store_n(slot, name, __ATOMIC_RELAXED);
	return 0;
}
