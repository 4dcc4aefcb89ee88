/* SPDX-License-Identifier: Apache-2.0 */
/* The code as text: what it holds, and which slips are found. */
#include "tests/unit/net/net_support.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/base/hash.h"
#include "replication/net/invite.h"

/* The code of the golden file: every byte tells where it should be. */
static struct invite_code golden_code(void)
{
	struct invite_code c = { .address_count = 2 };

	for (size_t i = 0; i < sizeof(c.volume.b); i++)
		c.volume.b[i] = (uint8_t)(0x10 + i);
	for (size_t i = 0; i < sizeof(c.key_hash.b); i++)
		c.key_hash.b[i] = (uint8_t)(0x40 + i);
	for (size_t i = 0; i < sizeof(c.secret); i++)
		c.secret[i] = (uint8_t)(0x80 + i);
	strcpy(c.addresses[0], "192.0.2.1:7000");
	strcpy(c.addresses[1], "[2001:db8::1]:7000");
	return c;
}

static void encode(const struct invite_code *c, struct buf *ret)
{
	assert_int_equal(invite_encode(c, ret), 0);
	buf_put_u8(ret, 0);
	assert_int_equal(buf_error(ret), 0);
}

static void assert_same(const struct invite_code *a,
			const struct invite_code *b)
{
	assert_memory_equal(a->volume.b, b->volume.b, sizeof(a->volume.b));
	assert_memory_equal(a->key_hash.b, b->key_hash.b,
			    sizeof(a->key_hash.b));
	assert_memory_equal(a->secret, b->secret, sizeof(a->secret));
	assert_int_equal(a->address_count, b->address_count);
	for (size_t i = 0; i < a->address_count; i++)
		assert_string_equal(a->addresses[i], b->addresses[i]);
}

static void test_round_trip(void **state)
{
	struct invite_code c = golden_code(), back;
	cleanup(buf_release) struct buf b = BUF_INIT;

	(void)state;
	for (c.address_count = 0; c.address_count <= INVITE_ADDRESSES_MAX;
	     c.address_count++) {
		if (c.address_count)
			snprintf(c.addresses[c.address_count - 1], 64,
				 "10.0.0.%zu:65535", c.address_count);
		encode(&c, &b);
		assert_int_equal(invite_decode((char *)b.data, &back), 0);
		assert_same(&c, &back);
	}
	assert_int_equal(invite_encode(&c, &b), -E2BIG);
}

static void test_golden(void **state)
{
	struct invite_code c = golden_code(), back;
	cleanup(buf_release) struct buf b = BUF_INIT;
	char golden[2048] = "";
	FILE *f = fopen(KINFS_GOLDEN_DIR "/invite-code.txt", "r");

	(void)state;
	assert_non_null(f);
	assert_non_null(fgets(golden, sizeof(golden), f));
	fclose(f);
	golden[strcspn(golden, "\n")] = '\0';
	encode(&c, &b);
	assert_string_equal((char *)b.data, golden);
	assert_int_equal(invite_decode(golden, &back), 0);
	assert_same(&c, &back);
}

static void test_case_and_space(void **state)
{
	struct invite_code c = golden_code(), back;
	cleanup(buf_release) struct buf b = BUF_INIT, folded = BUF_INIT;

	(void)state;
	encode(&c, &b);
	buf_printf(&folded, " \n");
	for (size_t i = 0; i + 1 < b.len; i++) {
		buf_put_u8(&folded, (uint8_t)toupper(b.data[i]));
		if (i % 40 == 39)
			buf_printf(&folded, "\r\n ");
	}
	buf_put_u8(&folded, '\n');
	buf_put_u8(&folded, 0);
	assert_int_equal(invite_decode((char *)folded.data, &back), 0);
	assert_same(&c, &back);
}

/* Every single wrong, missing or doubled character is told. */
static void test_mistyped(void **state)
{
	struct invite_code c = golden_code(), back;
	cleanup(buf_release) struct buf b = BUF_INIT;
	char text[2048];
	size_t len;

	(void)state;
	encode(&c, &b);
	len = b.len - 1;
	for (size_t i = 0; i < len; i++) {
		memcpy(text, b.data, len + 1);
		text[i] = text[i] == 'x' ? 'y' : 'x';
		assert_int_equal(invite_decode(text, &back), -EBADMSG);
		memmove(text + i, b.data + i + 1, len - i);
		assert_int_equal(invite_decode(text, &back), -EBADMSG);
		memcpy(text, b.data, i + 1);
		memcpy(text + i + 1, b.data + i, len - i + 1);
		assert_int_equal(invite_decode(text, &back), -EBADMSG);
		memcpy(text, b.data, len + 1);
		text[i] = '\0';
		assert_int_equal(invite_decode(text, &back), -EBADMSG);
	}
	assert_int_equal(invite_decode("", &back), -EBADMSG);
	assert_int_equal(invite_decode("kin", &back), -EBADMSG);
	assert_int_equal(invite_decode("kin!!", &back), -EBADMSG);
	memset(text, 'a', sizeof(text) - 1);
	memcpy(text, "kin", 3);
	text[sizeof(text) - 1] = '\0';
	assert_int_equal(invite_decode(text, &back), -EBADMSG);
}

/* Bytes with a right checksum that are not what they should be. */
static void decode_bytes(const uint8_t *bytes, size_t len, int expected)
{
	struct invite_code back;
	uint8_t all[600];
	char text[1024] = "kin";
	struct hash h;

	memcpy(all, bytes, len);
	hash_bytes(all, len, &h);
	memcpy(all + len, h.b, 4);
	base32_encode(all, len + 4, text + 3);
	assert_int_equal(invite_decode(text, &back), expected);
}

static void test_newer_and_garbled(void **state)
{
	uint8_t bytes[200] = { 2 };

	(void)state;
	decode_bytes(bytes, sizeof(bytes), -EPROTONOSUPPORT);
	bytes[0] = 1;
	decode_bytes(bytes, 66, 0);		/* no addresses */
	decode_bytes(bytes, 65, -EBADMSG);	/* cut off */
	decode_bytes(bytes, 67, -EBADMSG);	/* something behind it */
	bytes[65] = 5;				/* too many addresses */
	decode_bytes(bytes, 66 + 5, -EBADMSG);
	bytes[65] = 1;
	bytes[66] = 64;				/* too long an address */
	decode_bytes(bytes, 66 + 65, -EBADMSG);
	bytes[66] = 63;
	decode_bytes(bytes, 66 + 64, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_golden),
		cmocka_unit_test(test_case_and_space),
		cmocka_unit_test(test_mistyped),
		cmocka_unit_test(test_newer_and_garbled),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
