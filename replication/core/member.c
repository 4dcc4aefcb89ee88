/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One member record: its bytes and its signature. What is signed begins
 * with a fixed text, so that a signature made here can never be taken for
 * one of another kind made by the same key.
 */
#include "replication/core/member.h"

#include <errno.h>
#include <string.h>

#include "fs/tree/object.h"
#include "replication/core/sign.h"

#define MEMBER_VERSION 1
static const char member_context[] = "kinfs member record";
#define REMOVAL_VERSION 1
static const char removal_context[] = "kinfs removal record";

static void member_encode_fields(const struct member *m, struct buf *b)
{
	buf_put_u8(b, MEMBER_VERSION);
	buf_put(b, m->volume.b, sizeof(m->volume.b));
	buf_put(b, m->device.b, sizeof(m->device.b));
	buf_put_string(b, SLICE_STR(m->label));
	buf_put_u64(b, m->added_ms);
	buf_put(b, m->signer.b, sizeof(m->signer.b));
}

void member_encode_signed(const struct member *m, struct buf *b)
{
	buf_put(b, member_context, sizeof(member_context));
	member_encode_fields(m, b);
}

void member_encode(const struct member *m, struct buf *b)
{
	member_encode_fields(m, b);
	buf_put(b, m->signature, sizeof(m->signature));
}

int member_decode(struct reader *r, struct member *ret)
{
	struct member m = {0};
	struct slice label;

	if (reader_u8(r) != MEMBER_VERSION)
		reader_fail(r);
	reader_copy(r, m.volume.b, sizeof(m.volume.b));
	reader_copy(r, m.device.b, sizeof(m.device.b));
	label = reader_string(r, LABEL_BYTES_MAX);
	m.added_ms = reader_u64(r);
	reader_copy(r, m.signer.b, sizeof(m.signer.b));
	reader_copy(r, m.signature, sizeof(m.signature));
	if (reader_ok(r) < 0 || !label_is_valid(label))
		return -EBADMSG;
	memcpy(m.label, label.data, label.len);
	*ret = m;
	return 0;
}

int member_verify(const struct member *m)
{
	cleanup(buf_release) struct buf b = BUF_INIT;

	member_encode_signed(m, &b);
	if (buf_error(&b) < 0)
		return -ENOMEM;
	return sign_check(&m->signer, buf_slice(&b), m->signature);
}

/* ---- removals */

static void removal_encode_fields(const struct member_removal *m, struct buf *b)
{
	buf_put_u8(b, REMOVAL_VERSION);
	buf_put(b, m->volume.b, sizeof(m->volume.b));
	buf_put(b, m->device.b, sizeof(m->device.b));
	buf_put_u64(b, m->removed_ms);
	buf_put(b, m->signer.b, sizeof(m->signer.b));
}

void removal_encode_signed(const struct member_removal *m, struct buf *b)
{
	buf_put(b, removal_context, sizeof(removal_context));
	removal_encode_fields(m, b);
}

void removal_encode(const struct member_removal *m, struct buf *b)
{
	removal_encode_fields(m, b);
	buf_put(b, m->signature, sizeof(m->signature));
}

int removal_decode(struct reader *r, struct member_removal *ret)
{
	struct member_removal m = {0};

	if (reader_u8(r) != REMOVAL_VERSION)
		reader_fail(r);
	reader_copy(r, m.volume.b, sizeof(m.volume.b));
	reader_copy(r, m.device.b, sizeof(m.device.b));
	m.removed_ms = reader_u64(r);
	reader_copy(r, m.signer.b, sizeof(m.signer.b));
	reader_copy(r, m.signature, sizeof(m.signature));
	if (reader_ok(r) < 0)
		return -EBADMSG;
	*ret = m;
	return 0;
}

int removal_verify(const struct member_removal *m)
{
	cleanup(buf_release) struct buf b = BUF_INIT;

	removal_encode_signed(m, &b);
	if (buf_error(&b) < 0)
		return -ENOMEM;
	return sign_check(&m->signer, buf_slice(&b), m->signature);
}
