/* SPDX-License-Identifier: Apache-2.0 */
/*
 * OpenSSL does base64; the two letters that a shell or a URL would take
 * amiss, and the padding, are exchanged before and after. First the
 * checksum is compared: if it is wrong nothing else is believed.
 */
#include "replication/net/token.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "fs/base/hash.h"

#define TOKEN_PREFIX "kt"
#define TOKEN_VERSION 1
#define TOKEN_CHECK_BYTES 4
/* Version, volume, an empty vector, checksum. */
#define TOKEN_BYTES_MIN (1 + sizeof(struct volid) + 1 + TOKEN_CHECK_BYTES)

static void check_of(struct slice bytes, uint8_t ret[TOKEN_CHECK_BYTES])
{
	struct hash h;

	hash_bytes(bytes.data, bytes.len, &h);
	memcpy(ret, h.b, TOKEN_CHECK_BYTES);
}

int token_encode(struct volid volume, const struct know *k, struct buf *ret)
{
	cleanup(buf_release) struct buf raw = BUF_INIT;
	uint8_t check[TOKEN_CHECK_BYTES], *at;
	size_t len;

	buf_put_u8(&raw, TOKEN_VERSION);
	buf_put(&raw, volume.b, sizeof(volume.b));
	know_encode(k, &raw);
	if (buf_error(&raw))
		return -ENOMEM;
	check_of(buf_slice(&raw), check);
	buf_put(&raw, check, sizeof(check));
	buf_put(ret, TOKEN_PREFIX, strlen(TOKEN_PREFIX));
	/* One more for the end of the text that OpenSSL writes. */
	at = buf_extend(ret, (raw.len + 2) / 3 * 4 + 1);
	if (buf_error(&raw) || !at)
		return -ENOMEM;
	len = (size_t)EVP_EncodeBlock(at, raw.data, (int)raw.len);
	while (len && at[len - 1] == '=')
		len--;
	for (size_t i = 0; i < len; i++)
		at[i] = at[i] == '+' ? '-' : at[i] == '/' ? '_' : at[i];
	ret->len = (size_t)(at - ret->data) + len;
	return 0;
}

/* The bytes of base64url text; NULL if it is none. To be freed. */
static uint8_t *token_bytes(struct slice text, size_t *ret_len)
{
	size_t padded = (text.len + 3) / 4 * 4;
	autofree uint8_t *plain = malloc(MAX_OF(padded, (size_t)1));
	uint8_t *bytes = malloc(padded / 4 * 3 + 1);

	if (!plain || !bytes || text.len % 4 == 1) {
		free(bytes);
		return NULL;
	}
	memset(plain, '=', padded);
	for (size_t i = 0; i < text.len; i++) {
		uint8_t c = text.data[i];

		/* Their stand-ins, and padding, are not for readers. */
		if (c == '+' || c == '/' || c == '=')
			c = 0;
		plain[i] = c == '-' ? '+' : c == '_' ? '/' : c;
	}
	if (EVP_DecodeBlock(bytes, plain, (int)padded) < 0) {
		free(bytes);
		return NULL;
	}
	*ret_len = text.len * 3 / 4;
	return bytes;
}

static int token_read(struct slice bytes, struct volid volume,
		      struct know *ret)
{
	struct slice body = SLICE(bytes.data, bytes.len - TOKEN_CHECK_BYTES);
	struct reader r = READER(body.data, body.len);
	uint8_t check[TOKEN_CHECK_BYTES];
	struct volid theirs;
	int e;

	check_of(body, check);
	if (memcmp(check, body.data + body.len, sizeof(check)))
		return -EBADMSG;
	if (reader_u8(&r) != TOKEN_VERSION)
		return -EPROTONOSUPPORT;
	reader_copy(&r, theirs.b, sizeof(theirs.b));
	e = know_decode(&r, ret);
	if (!e)
		e = reader_done(&r);
	if (e)
		return e == -ENOMEM ? e : -EBADMSG;
	return memcmp(theirs.b, volume.b, sizeof(volume.b)) ? -EXDEV : 0;
}

int token_decode(struct slice text, struct volid volume, struct know *ret)
{
	size_t prefix = strlen(TOKEN_PREFIX), len;
	autofree uint8_t *bytes = NULL;

	if (text.len < prefix || text.len > TOKEN_TEXT_BYTES_MAX ||
	    memcmp(text.data, TOKEN_PREFIX, prefix))
		return -EBADMSG;
	bytes = token_bytes(SLICE(text.data + prefix, text.len - prefix),
			    &len);
	if (!bytes || len < TOKEN_BYTES_MIN)
		return -EBADMSG;
	return token_read(SLICE(bytes, len), volume, ret);
}
