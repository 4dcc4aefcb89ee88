/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What comes compressed: u8 how, u32 how long it says it is, and bytes; or
 * (how is odd) bytes that are packed here first, and must come out again.
 * Whatever the bytes are, no more room is taken than the length that was
 * said and checked before.
 */
#include <errno.h>

#include "replication/core/pack.h"
#include "replication/core/wire.h"
#include "tests/fuzz/fuzz.h"

static void unpack(struct slice packed, size_t len, bool stream)
{
	cleanup(unpacker_release) struct unpacker u = { NULL };
	cleanup(buf_release) struct buf raw = BUF_INIT;

	for (int turn = 0; turn < 2; turn++) {
		int e = stream ? unpacker_get(&u, packed, len, &raw)
			       : unpack_one(&u, packed, len, &raw);

		kin_assert(e == 0 || e == -EBADMSG);
		kin_assert(e || raw.len == len);
		kin_assert(raw.alloc <= 2 * (len + 64));
		if (e)
			break;
	}
}

/* In pieces, as frames of one link; each comes out as it went in. */
static void pack_stream(struct slice raw)
{
	cleanup(packer_release) struct packer p = { NULL };
	cleanup(unpacker_release) struct unpacker u = { NULL };
	struct reader r = READER(raw.data, raw.len);

	while (reader_left(&r)) {
		cleanup(buf_release) struct buf packed = BUF_INIT;
		cleanup(buf_release) struct buf again = BUF_INIT;
		size_t want = 1 + (size_t)reader_u8(&r) * 16;
		struct slice piece;

		piece = reader_bytes(&r, MIN_OF(want, reader_left(&r)));
		if (!piece.len)
			break;
		fuzz_must(packer_put(&p, piece, &packed));
		fuzz_must(unpacker_get(&u, buf_slice(&packed), piece.len,
				       &again));
		kin_assert(slice_equal(buf_slice(&again), piece));
	}
}

static void pack_whole(struct slice raw)
{
	cleanup(packer_release) struct packer p = { NULL };
	cleanup(unpacker_release) struct unpacker u = { NULL };
	cleanup(buf_release) struct buf packed = BUF_INIT, again = BUF_INIT;
	int64_t n = raw.len ? pack_one(&p, raw, &packed) : 0;

	kin_assert(n >= 0);
	if (!n)
		return;
	kin_assert((size_t)n == packed.len && packed.len < raw.len);
	fuzz_must(unpack_one(&u, buf_slice(&packed), raw.len, &again));
	kin_assert(slice_equal(buf_slice(&again), raw));
}

void fuzz_pack(struct slice in)
{
	struct reader r = READER(in.data, in.len);
	uint8_t how = reader_u8(&r) & 3;
	uint32_t len = reader_u32(&r);
	struct slice bytes = reader_bytes(&r, reader_left(&r));

	if (r.failed)
		return;
	if (how == 1)
		pack_stream(bytes);
	else if (how == 3)
		pack_whole(bytes);
	else
		unpack(bytes, len % REC_RAW_BYTES_MAX + 1, how == 0);
}
