/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one-time code as text: PROTOCOL.md, "The code". People read it out,
 * mail it and paste it, so case and white space do not matter, and a
 * checksum tells a slip from a code that is no longer good. The checksum is
 * no protection: the inviter's key and the secret are.
 */
#include <ctype.h>
#include <errno.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

#include "fs/base/hash.h"
#include "replication/net/invite.h"

#define CODE_PREFIX "kin"
#define CODE_VERSION 1
#define CHECKSUM_BYTES 4
/* Version, volume, key, secret, addresses, checksum: about 330. */
#define CODE_BYTES_MAX 512
/* Characters, white space included: a code folded by a mail program. */
#define CODE_TEXT_MAX 4096

static void checksum(const uint8_t *data, size_t len,
		     uint8_t ret[CHECKSUM_BYTES])
{
	struct hash h;

	hash_bytes(data, len, &h);
	memcpy(ret, h.b, CHECKSUM_BYTES);
}

int invite_encode(const struct invite_code *c, struct buf *ret)
{
	cleanup(buf_release) struct buf b = BUF_INIT;
	uint8_t sum[CHECKSUM_BYTES];
	uint8_t *text;
	int r;

	if (c->address_count > INVITE_ADDRESSES_MAX)
		return -E2BIG;
	buf_put_u8(&b, CODE_VERSION);
	buf_put(&b, c->volume.b, sizeof(c->volume.b));
	buf_put(&b, c->key_hash.b, sizeof(c->key_hash.b));
	buf_put(&b, c->secret, sizeof(c->secret));
	buf_put_u8(&b, (uint8_t)c->address_count);
	for (size_t i = 0; i < c->address_count; i++)
		buf_put_string(&b, SLICE_STR(c->addresses[i]));
	r = buf_error(&b);
	if (r)
		return r;
	checksum(b.data, b.len, sum);
	buf_put(&b, sum, sizeof(sum));
	buf_reset(ret);
	buf_put(ret, CODE_PREFIX, strlen(CODE_PREFIX));
	text = buf_extend(ret, (b.len * 8 + 4) / 5 + 1);
	if (text && !buf_error(&b)) {
		base32_encode(b.data, b.len, (char *)text);
		ret->len--; /* the NUL is behind the text, not of it */
	}
	if (b.data)
		OPENSSL_cleanse(b.data, b.len);
	r = buf_error(&b);
	return r ? r : buf_error(ret);
}

/* Without white space, in lower case, without the prefix. */
static int normalise(const char *text, char ret[CODE_TEXT_MAX])
{
	size_t n = 0, prefix = strlen(CODE_PREFIX);

	for (; *text; text++) {
		if (isspace((unsigned char)*text))
			continue;
		if (n == CODE_TEXT_MAX - 1)
			return -EBADMSG;
		ret[n++] = (char)tolower((unsigned char)*text);
	}
	ret[n] = '\0';
	if (strncmp(ret, CODE_PREFIX, prefix))
		return -EBADMSG;
	memmove(ret, ret + prefix, n - prefix + 1);
	return 0;
}

static int read_body(struct reader *r, struct invite_code *ret)
{
	size_t count;

	reader_u8(r); /* the version, seen already */
	reader_copy(r, ret->volume.b, sizeof(ret->volume.b));
	reader_copy(r, ret->key_hash.b, sizeof(ret->key_hash.b));
	reader_copy(r, ret->secret, sizeof(ret->secret));
	count = reader_u8(r);
	if (count > INVITE_ADDRESSES_MAX)
		return -EBADMSG;
	for (size_t i = 0; i < count; i++) {
		struct slice s = reader_string(r,
					       sizeof(ret->addresses[i]) - 1);

		if (s.len)
			memcpy(ret->addresses[i], s.data, s.len);
		ret->addresses[i][s.len] = '\0';
	}
	ret->address_count = count;
	return reader_done(r);
}

int invite_decode(const char *text, struct invite_code *ret)
{
	struct invite_code c = { 0 };
	uint8_t bytes[CODE_BYTES_MAX], sum[CHECKSUM_BYTES];
	char plain[CODE_TEXT_MAX];
	struct reader reader;
	int len, r;

	r = normalise(text, plain);
	len = r ? r : base32_decode(plain, bytes, sizeof(bytes));
	if (len <= CHECKSUM_BYTES) {
		r = -EBADMSG;
		goto out;
	}
	len -= CHECKSUM_BYTES;
	checksum(bytes, (size_t)len, sum);
	/* A slip in the version byte is a slip, not a newer code. */
	if (memcmp(sum, bytes + len, sizeof(sum))) {
		r = -EBADMSG;
		goto out;
	}
	if (bytes[0] != CODE_VERSION) {
		r = -EPROTONOSUPPORT;
		goto out;
	}
	reader = READER(bytes, (size_t)len);
	r = read_body(&reader, &c);
	if (!r)
		*ret = c;
out:
	OPENSSL_cleanse(plain, sizeof(plain));
	OPENSSL_cleanse(bytes, sizeof(bytes));
	OPENSSL_cleanse(&c, sizeof(c));
	return r;
}
