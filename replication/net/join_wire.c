/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Why the proof is over the TLS exporter: its value is known to the two ends
 * of one TLS connection only. Who sits between joiner and inviter has two
 * connections with two values, so a proof passed on is worth nothing.
 */
#include "replication/net/join_wire.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <string.h>

#include "fs/base/hash.h"
#include "replication/core/wire.h"

#define KEY_CONTEXT "kinfs invite"
#define PROOF_CONTEXT "kinfs join 1"

void invite_id_of(const uint8_t secret[INVITE_SECRET_BYTES],
		  struct invite_id *ret)
{
	struct hash h;

	hash_bytes(secret, INVITE_SECRET_BYTES, &h);
	memcpy(ret->b, h.b, sizeof(ret->b));
}

void invite_key_of(const uint8_t secret[INVITE_SECRET_BYTES],
		   struct hash *ret)
{
	struct slice parts[] = { SLICE_STR(KEY_CONTEXT),
				 SLICE(secret, INVITE_SECRET_BYTES) };

	hash_slices(parts, ARRAY_SIZE(parts), ret);
}

void join_prove(const struct hash *key, const struct join_scene *scene,
		struct hash *ret)
{
	uint8_t data[sizeof(PROOF_CONTEXT) - 1 + TLS_EXPORT_BYTES +
		     2 * sizeof(struct device)];
	uint8_t *at = data;

	at = (uint8_t *)mempcpy(at, PROOF_CONTEXT, sizeof(PROOF_CONTEXT) - 1);
	at = mempcpy(at, scene->exported, sizeof(scene->exported));
	at = mempcpy(at, scene->inviter.b, sizeof(scene->inviter.b));
	mempcpy(at, scene->joiner.b, sizeof(scene->joiner.b));
	hash_hmac(SLICE(key->b, sizeof(key->b)), SLICE(data, sizeof(data)),
		  ret);
}

bool join_proof_is(const struct hash *key, const struct join_scene *scene,
		   const struct hash *proof)
{
	struct hash right;

	join_prove(key, scene, &right);
	return !CRYPTO_memcmp(right.b, proof->b, sizeof(right.b));
}

int join_encode(const struct join_request *j, struct buf *ret)
{
	frame_begin(ret, (enum frame_type)FRAME_JOIN);
	buf_put_u8(ret, j->version);
	buf_put(ret, j->id.b, sizeof(j->id.b));
	buf_put(ret, j->volume.b, sizeof(j->volume.b));
	buf_put(ret, j->proof.b, sizeof(j->proof.b));
	buf_put_string(ret, SLICE_STR(j->label));
	return frame_end(ret);
}

int joined_encode(const struct join_result *j, struct buf *ret)
{
	frame_begin(ret, (enum frame_type)FRAME_JOINED);
	buf_put(ret, j->volume.b, sizeof(j->volume.b));
	buf_put_string(ret, SLICE_STR(j->label));
	buf_put_string(ret, buf_slice(&j->addresses));
	buf_put_string(ret, buf_slice(&j->members));
	buf_put(ret, j->secret, sizeof(j->secret));
	return frame_end(ret);
}

int refused_encode(enum refusal code, const char *text, struct buf *ret)
{
	frame_begin(ret, (enum frame_type)FRAME_REFUSED);
	buf_put_u16(ret, (uint16_t)code);
	buf_put_string(ret, SLICE(text, strnlen(text, JOIN_TEXT_MAX)));
	return frame_end(ret);
}

static void read_label(struct reader *r, char ret[LABEL_BYTES_MAX + 1])
{
	struct slice s = reader_string(r, LABEL_BYTES_MAX);

	if (s.len)
		memcpy(ret, s.data, s.len);
	ret[s.len] = '\0';
	if (!label_is_valid(SLICE_STR(ret)))
		reader_fail(r);
}

int join_decode(struct reader *r, struct join_request *ret)
{
	struct join_request j = { .version = reader_u8(r) };
	int e;

	if (j.version == JOIN_VERSION) {
		reader_copy(r, j.id.b, sizeof(j.id.b));
		reader_copy(r, j.volume.b, sizeof(j.volume.b));
		reader_copy(r, j.proof.b, sizeof(j.proof.b));
		read_label(r, j.label);
	}
	e = reader_ok(r);
	if (!e)
		*ret = j;
	return e;
}

int joined_decode(struct reader *r, struct join_result *ret)
{
	int e;

	reader_copy(r, ret->volume.b, sizeof(ret->volume.b));
	read_label(r, ret->label);
	buf_put_slice(&ret->addresses,
		      reader_string(r, JOIN_ADDRESSES_BYTES_MAX));
	buf_put_slice(&ret->members, reader_string(r, FRAME_BYTES_MAX));
	reader_copy(r, ret->secret, sizeof(ret->secret));
	e = reader_ok(r);
	if (!e)
		e = buf_error(&ret->addresses);
	return e ? e : buf_error(&ret->members);
}

/* The text comes from elsewhere and goes to a terminal. */
int refused_decode(struct reader *r, uint16_t *ret_code,
		   char ret_text[JOIN_TEXT_MAX + 1])
{
	uint16_t code = reader_u16(r);
	struct slice s = reader_string(r, JOIN_TEXT_MAX);
	int e = reader_ok(r);

	if (e)
		return e;
	for (size_t i = 0; i < s.len; i++)
		ret_text[i] = s.data[i] >= ' ' && s.data[i] < 127 ?
				      (char)s.data[i] : '?';
	ret_text[s.len] = '\0';
	*ret_code = code;
	return 0;
}
