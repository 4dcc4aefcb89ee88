/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bounded readers and growing buffers: the only way in which bytes from a
 * disk, a peer or a socket are taken apart or put together.
 *
 * All integers are little endian. A varint is LEB128: seven bits a byte,
 * lowest first, at most ten bytes, shortest form only.
 *
 * A reader has a sticky error: after a read past the end, or of a malformed
 * varint, every later read gives zeros, and reader_done() says -EBADMSG. So
 * a decoder reads all fields and checks once. A buffer has one too: when
 * memory runs out, later puts do nothing and buf_error() says -ENOMEM.
 */
#ifndef KINFS_BASE_BYTES_H
#define KINFS_BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fs/base/macro.h"

/* Bytes that somebody else owns. */
struct slice {
	const uint8_t *data;
	size_t len;
};

#define SLICE(p, n) ((struct slice){ (const uint8_t *)(p), (n) })
#define SLICE_STR(s) SLICE((s), strlen(s))

bool slice_equal(struct slice a, struct slice b);
bool slice_has_prefix(struct slice, const char *prefix);
/* Does it begin with that? Then the rest of it remains. */
bool slice_take_prefix(struct slice *, const char *prefix);
/* memcmp order, a prefix before what it is a prefix of. */
int slice_compare(struct slice a, struct slice b);

struct reader {
	const uint8_t *at, *end;
	bool failed;
};

#define READER(p, n) \
	((struct reader){ (const uint8_t *)(p), \
			  (const uint8_t *)(p) + (n), false })

uint8_t reader_u8(struct reader *);
uint16_t reader_u16(struct reader *);
uint32_t reader_u32(struct reader *);
uint64_t reader_u64(struct reader *);
uint64_t reader_varint(struct reader *);
/* Copies len bytes, or zeros after an error. */
void reader_copy(struct reader *, void *ret, size_t len);
/* Borrows len bytes of the input; { NULL, 0 } after an error. */
struct slice reader_bytes(struct reader *, size_t len);
/* Borrows a string of varint length, at most max bytes, else it fails. */
struct slice reader_string(struct reader *, size_t max);
size_t reader_left(const struct reader *);
void reader_fail(struct reader *);
/* Errors: -EBADMSG if anything failed. */
must_check int reader_ok(const struct reader *);
/* Errors: -EBADMSG if anything failed or bytes are left over. */
must_check int reader_done(const struct reader *);

struct buf {
	uint8_t *data;
	size_t len, alloc;
	bool failed;
};

#define BUF_INIT ((struct buf){ NULL, 0, 0, false })

void buf_init(struct buf *);
void buf_release(struct buf *);
/* Empties the buffer and its error, and keeps its memory. */
void buf_reset(struct buf *);
/* Makes room for len more bytes and returns where they go, else NULL. */
uint8_t *buf_extend(struct buf *, size_t len);
void buf_put(struct buf *, const void *data, size_t len);
void buf_put_slice(struct buf *, struct slice);
void buf_put_u8(struct buf *, uint8_t);
void buf_put_u16(struct buf *, uint16_t);
void buf_put_u32(struct buf *, uint32_t);
void buf_put_u64(struct buf *, uint64_t);
void buf_put_varint(struct buf *, uint64_t);
/* A varint length and the bytes. */
void buf_put_string(struct buf *, struct slice);
void buf_printf(struct buf *, const char *fmt, ...) printf_like(2, 3);
/* Overwrites four bytes put earlier. */
void buf_patch_u32(struct buf *, size_t at, uint32_t);
struct slice buf_slice(const struct buf *);
/* Errors: -ENOMEM if any put failed. */
must_check int buf_error(const struct buf *);

/* Big endian, for keys whose order as bytes is their order as numbers. */
void put_be64(uint8_t *ret, uint64_t);
uint64_t get_be64(const uint8_t *);
void put_be32(uint8_t *ret, uint32_t);
uint32_t get_be32(const uint8_t *);
void put_le32(uint8_t *ret, uint32_t);
uint32_t get_le32(const uint8_t *);
void put_le64(uint8_t *ret, uint64_t);
uint64_t get_le64(const uint8_t *);

#endif
