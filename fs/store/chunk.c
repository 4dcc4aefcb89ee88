/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The chunk table: from the hash of a chunk or block to where its bytes lie.
 * Key: the hash. Value: u32 segment, u64 offset, u32 length, u32 references
 * (0: nothing counts them yet).
 *
 * What this table says is checked like anything else on disk; whether the
 * bytes are right only a hash of all of them tells. Reads of files would
 * cost a hash each, of up to 256 KiB for 4 KiB. So a small table without
 * locks remembers what was found sound by this process: by hash and place,
 * in as many slots as a file has that is read from start to end. A disk
 * that goes bad while a chunk is in there is noticed a while later.
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

int chunk_decode(struct slice value, struct data_loc *ret_loc,
		 uint32_t *ret_len)
{
	struct reader r = READER(value.data, value.len);
	struct data_loc loc;
	uint32_t len;

	loc.segment = reader_u32(&r);
	loc.offset = reader_u64(&r);
	len = reader_u32(&r);
	reader_u32(&r);
	if (reader_done(&r) < 0 || len < 1 || len > CHUNK_BYTES_MAX)
		return -EIO;
	*ret_loc = loc;
	*ret_len = len;
	return 0;
}

int chunk_find(struct store *s, const struct hash *hash,
	       struct data_loc *ret_loc, uint32_t *ret_len)
{
	struct slice value;
	int e = store_get(s, TABLE_CHUNK, chunk_key(hash), &value);

	if (e < 0)
		return e == -ENOENT ? e : -EIO;
	e = chunk_decode(value, ret_loc, ret_len);
	if (!e)
		reclaim_touch(s, *ret_loc, *ret_len);
	return e;
}

bool chunk_exists(struct store *s, const struct hash *hash)
{
	struct data_loc loc;
	struct slice value;
	uint32_t len;

	if (store_get(s, TABLE_CHUNK, chunk_key(hash), &value))
		return false;
	if (!chunk_decode(value, &loc, &len))
		reclaim_touch(s, loc, len);
	return true;
}

int chunk_put(struct store *s, const struct hash *hash, struct data_loc loc,
	      uint32_t len)
{
	uint8_t value[CHUNK_VALUE_BYTES];

	kin_assert(len >= 1 && len <= CHUNK_BYTES_MAX);
	put_le32(value, loc.segment);
	put_le64(value + 4, loc.offset);
	put_le32(value + 12, len);
	put_le32(value + 16, 0);
	return store_put(s, TABLE_CHUNK, chunk_key(hash),
			 SLICE(value, sizeof(value)));
}

int chunk_add(struct store *s, const struct hash *hash, struct data_loc loc,
	      uint32_t len)
{
	if (chunk_exists(s, hash))
		return 0;
	reclaim_touch(s, loc, len);
	s->op.chunk_bytes += len;
	return chunk_put(s, hash, loc, len);
}

int chunk_read(struct store *s, const struct hash *hash, struct buf *ret)
{
	cleanup(store_hold_end) struct store_hold hold = store_hold(s);
	struct data_loc loc;
	struct hash found;
	uint32_t len;
	int r;

	store_lock(s);
	r = chunk_find(s, hash, &loc, &len);
	store_unlock(s);
	if (r < 0)
		return r;
	buf_reset(ret);
	if (!buf_extend(ret, len))
		return -ENOMEM;
	r = data_read(s, loc, ret->data, len);
	if (r < 0)
		return -EIO;
	hash_bytes(ret->data, len, &found);
	return hash_equal(&found, hash) ? 0 : -EIO;
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

int chunk_read_at(struct store *s, const struct hash *hash,
		  struct data_loc loc, uint32_t chunk_len, uint64_t skip,
		  void *ret, size_t len)
{
	uint64_t name = verified_name(hash, loc);
	uint64_t *slot = verified_slot(s, name);
	autofree uint8_t *bytes = NULL;
	struct hash found;

	kin_assert(skip <= chunk_len && len <= chunk_len - skip);
	if (__atomic_load_n(slot, __ATOMIC_RELAXED) == name) {
		loc.offset += skip;
		return data_read(s, loc, ret, len) ? -EIO : 0;
	}
	bytes = malloc(chunk_len);
	if (!bytes)
		return -ENOMEM;
	if (data_read(s, loc, bytes, chunk_len)) {
		tell_damage(s, loc);
		return -EIO;
	}
	hash_bytes(bytes, chunk_len, &found);
	if (!hash_equal(&found, hash)) {
		tell_damage(s, loc);
		return -EIO;
	}
	memcpy(ret, bytes + skip, len);
	__atomic_store_n(slot, name, __ATOMIC_RELAXED);
	return 0;
}
