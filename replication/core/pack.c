/* SPDX-License-Identifier: Apache-2.0 */
/*
 * zstd behind four calls. A stream that comes in is bounded twice: the
 * window by PACK_WINDOW_LOG, the output by the length that its frame
 * declares, which the caller has compared with the limit.
 */
#include "replication/core/pack.h"

#include <errno.h>
#include <zstd.h>

void packer_release(struct packer *p)
{
	ZSTD_freeCCtx(p->context);
	p->context = NULL;
}

void unpacker_release(struct unpacker *u)
{
	ZSTD_freeDCtx(u->context);
	u->context = NULL;
}

static ZSTD_CCtx *packer_context(struct packer *p)
{
	ZSTD_CCtx *ctx = p->context;

	if (ctx)
		return ctx;
	ctx = ZSTD_createCCtx();
	if (!ctx)
		return NULL;
	if (ZSTD_isError(ZSTD_CCtx_setParameter(ctx, ZSTD_c_compressionLevel,
						PACK_LEVEL)) ||
	    ZSTD_isError(ZSTD_CCtx_setParameter(ctx, ZSTD_c_windowLog,
						PACK_WINDOW_LOG))) {
		ZSTD_freeCCtx(ctx);
		return NULL;
	}
	p->context = ctx;
	return ctx;
}

static ZSTD_DCtx *unpacker_context(struct unpacker *u)
{
	ZSTD_DCtx *ctx = u->context;

	if (ctx)
		return ctx;
	ctx = ZSTD_createDCtx();
	if (!ctx)
		return NULL;
	if (ZSTD_isError(ZSTD_DCtx_setParameter(ctx, ZSTD_d_windowLogMax,
						PACK_WINDOW_LOG))) {
		ZSTD_freeDCtx(ctx);
		return NULL;
	}
	u->context = ctx;
	return ctx;
}

int packer_put(struct packer *p, struct slice raw, struct buf *b)
{
	ZSTD_CCtx *ctx = packer_context(p);
	ZSTD_inBuffer in = {raw.data, raw.len, 0};
	size_t left;

	if (!ctx)
		return -ENOMEM;
	do {
		size_t room = ZSTD_compressBound(raw.len - in.pos) + 64;
		size_t start = b->len;
		uint8_t *at = buf_extend(b, room);
		ZSTD_outBuffer out = {at, room, 0};

		if (!at)
			return -ENOMEM;
		left = ZSTD_compressStream2(ctx, &out, &in, ZSTD_e_flush);
		if (ZSTD_isError(left))
			return -ENOMEM;
		b->len = start + out.pos;
	} while (left);
	return 0;
}

int unpacker_get(struct unpacker *u, struct slice packed, size_t raw_len,
		 struct buf *ret)
{
	ZSTD_DCtx *ctx = unpacker_context(u);
	ZSTD_inBuffer in = {packed.data, packed.len, 0};
	/* Room for one byte too many, so that too many are seen. */
	ZSTD_outBuffer out = {NULL, raw_len + 1, 0};

	buf_reset(ret);
	out.dst = buf_extend(ret, raw_len + 1);
	if (!ctx || !out.dst)
		return -ENOMEM;
	while (in.pos < in.size) {
		size_t in_before = in.pos, out_before = out.pos;
		size_t n = ZSTD_decompressStream(ctx, &out, &in);

		if (ZSTD_isError(n))
			return -EBADMSG;
		if (in.pos == in_before && out.pos == out_before)
			return -EBADMSG;
	}
	ret->len = raw_len;
	return out.pos == raw_len ? 0 : -EBADMSG;
}

int64_t pack_one(struct packer *p, struct slice raw, struct buf *b)
{
	ZSTD_CCtx *ctx = packer_context(p);
	size_t room = ZSTD_compressBound(raw.len), start = b->len, n;
	uint8_t *at = buf_extend(b, room);

	if (!ctx || !at)
		return -ENOMEM;
	n = ZSTD_compress2(ctx, at, room, raw.data, raw.len);
	if (ZSTD_isError(n)) {
		b->len = start;
		return -ENOMEM;
	}
	if (n >= raw.len) {
		b->len = start;
		return 0;
	}
	b->len = start + n;
	return (int64_t)n;
}

int unpack_one(struct unpacker *u, struct slice packed, size_t raw_len,
	       struct buf *ret)
{
	ZSTD_DCtx *ctx = unpacker_context(u);
	uint8_t *at;
	size_t n;

	buf_reset(ret);
	at = buf_extend(ret, raw_len);
	if (!ctx || !at)
		return -ENOMEM;
	n = ZSTD_decompressDCtx(ctx, at, raw_len, packed.data, packed.len);
	return ZSTD_isError(n) || n != raw_len ? -EBADMSG : 0;
}
