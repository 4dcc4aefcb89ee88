/* SPDX-License-Identifier: Apache-2.0 */
/* The bytes of a head. */
#include "replication/core/head.h"

#include <errno.h>

#include "replication/core/sign.h"

#define HEAD_VERSION 1
static const char head_context[] = "kinfs head";

static void head_encode_fields(const struct head *h, struct buf *b)
{
	buf_put_u8(b, HEAD_VERSION);
	buf_put(b, h->device.b, sizeof(h->device.b));
	buf_put_u64(b, h->origin);
	buf_put_varint(b, h->seq);
	buf_put_u64(b, h->hlc);
}

void head_encode_signed(const struct head *h, struct volid volume,
			struct buf *b)
{
	buf_put(b, head_context, sizeof(head_context));
	buf_put(b, volume.b, sizeof(volume.b));
	head_encode_fields(h, b);
}

void head_encode(const struct head *h, struct buf *b)
{
	head_encode_fields(h, b);
	buf_put(b, h->signature, sizeof(h->signature));
}

int head_decode(struct reader *r, struct head *ret)
{
	struct head h;

	if (reader_u8(r) != HEAD_VERSION)
		reader_fail(r);
	reader_copy(r, h.device.b, sizeof(h.device.b));
	h.origin = reader_u64(r);
	h.seq = reader_varint(r);
	h.hlc = reader_u64(r);
	reader_copy(r, h.signature, sizeof(h.signature));
	if (reader_ok(r) < 0 || !h.origin)
		return -EBADMSG;
	*ret = h;
	return 0;
}

int head_verify(const struct head *h, struct volid volume)
{
	cleanup(buf_release) struct buf b = BUF_INIT;

	head_encode_signed(h, volume, &b);
	if (buf_error(&b) < 0)
		return -ENOMEM;
	return sign_check(&h->device, buf_slice(&b), h->signature);
}
