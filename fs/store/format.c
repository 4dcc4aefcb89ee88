/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The codec of log records and of the store's own META values.
 *
 * A record stands at its final place in one buffer while it is built: the
 * header's bytes are left open at first and filled in by sealing, so that
 * one pwrite takes it to the log and nothing is copied. The checksum is the
 * first field and covers all that follows it, in one run.
 */
#include "fs/store/format.h"

#include <errno.h>
#include <string.h>

#include "fs/base/hash.h"

/* Bit of an entry's tag that says delete; the others are the table. */
#define TAG_DELETE 0x80
/* The whole tag of bytes of a data segment. */
#define TAG_DATA 0x40

const char *table_name(enum store_table t)
{
	static const char *const names[TABLE_COUNT] = {
		[TABLE_META] = "meta",	     [TABLE_OBJ] = "obj",
		[TABLE_SEQ] = "seq",	     [TABLE_CUT] = "cut",
		[TABLE_DIR] = "dir",	     [TABLE_INO] = "ino",
		[TABLE_CHUNK] = "chunk",     [TABLE_DIRTY] = "dirty",
		[TABLE_HIST] = "hist",	     [TABLE_STAGE] = "stage",
		[TABLE_MEMBER] = "member",   [TABLE_BUCKET] = "bucket",
		[TABLE_MARK] = "mark",	     [TABLE_GROUP] = "group",
		[TABLE_PENDING] = "pending", [TABLE_DEAD] = "dead",
		[TABLE_CHAIN] = "chain",     [TABLE_BASE] = "base",
		[TABLE_SUBDIRS] = "subdirs",
	};

	kin_assert(t < TABLE_COUNT);
	return names[t];
}

void value_seal(enum store_table t, struct slice key, struct slice value,
		uint8_t ret[VALUE_CHECK_BYTES])
{
	uint64_t seed = checksum64(key.data, key.len, (uint64_t)t + 1);

	put_le32(ret, (uint32_t)checksum64(value.data, value.len, seed));
}

int value_open(enum store_table t, struct slice key, struct slice stored,
	       struct slice *ret)
{
	uint8_t check[VALUE_CHECK_BYTES];
	struct slice value = stored;

	if (stored.len < VALUE_CHECK_BYTES)
		return -EUCLEAN;
	value.len -= VALUE_CHECK_BYTES;
	value_seal(t, key, value, check);
	if (memcmp(stored.data + value.len, check, sizeof(check)))
		return -EUCLEAN;
	*ret = value;
	return 0;
}

void log_state_encode(const struct log_state *st, uint8_t *ret)
{
	put_le64(ret, st->id);
	put_le64(ret + 8, st->lsn);
}

int log_state_decode(struct slice s, struct log_state *ret)
{
	struct reader r = READER(s.data, s.len);
	struct log_state st = {0};

	st.id = reader_u64(&r);
	st.lsn = reader_u64(&r);
	if (reader_done(&r))
		return -EBADMSG;
	*ret = st;
	return 0;
}

void log_record_begin(struct buf *b)
{
	uint8_t *at;

	buf_reset(b);
	at = buf_extend(b, LOG_HEADER_BYTES);
	if (at)
		memset(at, 0, LOG_HEADER_BYTES);
}

void log_record_put(struct buf *b, enum store_table t, struct slice key,
		    struct slice value, struct slice *ret_key,
		    struct slice *ret_value)
{
	buf_put_u8(b, (uint8_t)t);
	buf_put_varint(b, key.len);
	buf_put_varint(b, value.len);
	buf_put_slice(b, key);
	buf_put_slice(b, value);
	if (b->failed)
		return;
	*ret_value = SLICE(b->data + b->len - value.len, value.len);
	*ret_key = SLICE(ret_value->data - key.len, key.len);
}

void log_record_del(struct buf *b, enum store_table t, struct slice key,
		    struct slice *ret_key)
{
	buf_put_u8(b, (uint8_t)t | TAG_DELETE);
	buf_put_varint(b, key.len);
	buf_put_slice(b, key);
	if (b->failed)
		return;
	*ret_key = SLICE(b->data + b->len - key.len, key.len);
}

uint8_t *log_record_data(struct buf *b, struct data_loc loc, size_t len)
{
	buf_put_u8(b, TAG_DATA);
	buf_put_varint(b, loc.segment);
	buf_put_varint(b, loc.offset);
	buf_put_varint(b, len);
	return buf_extend(b, len);
}

bool log_entries_are_mark(struct slice entries)
{
	return !entries.len || entries.data[0] == TAG_DATA;
}

void log_record_seal(struct buf *b, uint64_t id, const struct log_header *h)
{
	uint8_t *p = b->data;

	kin_assert(!b->failed && b->len >= LOG_HEADER_BYTES &&
		   b->len <= UINT32_MAX);
	memcpy(p + LOG_MAGIC_AT, LOG_MAGIC, LOG_MAGIC_BYTES);
	put_le32(p + 12, (uint32_t)b->len);
	put_le64(p + 16, h->lsn);
	put_le64(p + 24, h->lap);
	put_le64(p + 32, h->mark);
	put_le64(p, checksum64(p + 8, b->len - 8, id));
}

int log_header_decode(struct slice at, struct log_header *ret)
{
	struct reader r = READER(at.data, at.len);
	struct slice magic;
	struct log_header h;

	(void)reader_u64(&r); /* the checksum */
	magic = reader_bytes(&r, LOG_MAGIC_BYTES);
	h.length = reader_u32(&r);
	h.lsn = reader_u64(&r);
	h.lap = reader_u64(&r);
	h.mark = reader_u64(&r);
	if (reader_ok(&r) || memcmp(magic.data, LOG_MAGIC, LOG_MAGIC_BYTES) ||
	    h.length < LOG_HEADER_BYTES || h.length > at.len || !h.lap ||
	    h.lsn < h.lap || h.lsn <= h.mark)
		return -EBADMSG;
	*ret = h;
	return 0;
}

int log_record_decode(struct slice at, uint64_t id, struct log_header *ret,
		      struct slice *ret_entries)
{
	struct log_header h;
	int r = log_header_decode(at, &h);

	if (r)
		return r;
	if (get_le64(at.data) != checksum64(at.data + 8, h.length - 8, id))
		return -EBADMSG;
	*ret = h;
	*ret_entries =
		SLICE(at.data + LOG_HEADER_BYTES, h.length - LOG_HEADER_BYTES);
	return 0;
}

static void data_entry_decode(struct reader *r, struct log_entry *e)
{
	uint64_t segment = reader_varint(r), len;

	e->kind = LOG_DATA;
	e->loc.offset = reader_varint(r);
	len = reader_varint(r);
	if (segment > UINT32_MAX || !len || len > reader_left(r) ||
	    e->loc.offset > INT64_MAX - len)
		reader_fail(r);
	e->loc.segment = (uint32_t)segment;
	e->value = reader_bytes(r, (size_t)len);
}

static void table_entry_decode(struct reader *r, uint8_t tag,
			       struct log_entry *e)
{
	uint64_t key_len, value_len = 0;

	e->kind = tag & TAG_DELETE ? LOG_DELETE : LOG_PUT;
	tag &= (uint8_t)~TAG_DELETE;
	key_len = reader_varint(r);
	if (e->kind == LOG_PUT)
		value_len = reader_varint(r);
	if (tag >= TABLE_COUNT || !key_len || key_len > STORE_KEY_BYTES_MAX ||
	    value_len > reader_left(r))
		reader_fail(r);
	e->table = tag;
	e->key = reader_bytes(r, (size_t)key_len);
	e->value = reader_bytes(r, (size_t)value_len);
}

int log_entry_decode(struct reader *r, struct log_entry *ret)
{
	struct log_entry e = {0};
	uint8_t tag = reader_u8(r);

	if (tag == TAG_DATA)
		data_entry_decode(r, &e);
	else
		table_entry_decode(r, tag, &e);
	if (reader_ok(r))
		return -EBADMSG;
	*ret = e;
	return 0;
}
