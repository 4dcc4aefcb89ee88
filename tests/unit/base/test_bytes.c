/* SPDX-License-Identifier: Apache-2.0 */
/* Readers, buffers, integers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "fs/base/bytes.h"

static void test_slices(void **state)
{
	(void)state;
	assert_true(slice_equal(SLICE_STR(""), SLICE(NULL, 0)));
	assert_true(slice_equal(SLICE_STR("ab"), SLICE_STR("ab")));
	assert_false(slice_equal(SLICE_STR("ab"), SLICE_STR("abc")));
	assert_true(slice_compare(SLICE_STR("ab"), SLICE_STR("abc")) < 0);
	assert_true(slice_compare(SLICE_STR("b"), SLICE_STR("abc")) > 0);
	assert_true(slice_compare(SLICE_STR("\xff"), SLICE_STR("a")) > 0);
	assert_int_equal(slice_compare(SLICE(NULL, 0), SLICE_STR("")), 0);
}

static void test_round_trip(void **state)
{
	cleanup(buf_release) struct buf b = BUF_INIT;
	struct reader r;
	char copy[3];

	(void)state;
	buf_put_u8(&b, 0xab);
	buf_put_u16(&b, 0x1234);
	buf_put_u32(&b, 0xdeadbeef);
	buf_put_u64(&b, 0x0123456789abcdef);
	buf_put(&b, "xyz", 3);
	buf_put_string(&b, SLICE_STR("name"));
	buf_printf(&b, "%d-%s", 7, "seven");
	assert_int_equal(buf_error(&b), 0);
	/* Little endian. */
	assert_memory_equal(b.data, "\xab\x34\x12\xef\xbe\xad\xde\xef", 8);
	buf_patch_u32(&b, 3, 1);

	r = READER(b.data, b.len);
	assert_int_equal(reader_u8(&r), 0xab);
	assert_int_equal(reader_u16(&r), 0x1234);
	assert_int_equal(reader_u32(&r), 1);
	assert_true(reader_u64(&r) == 0x0123456789abcdef);
	reader_copy(&r, copy, 3);
	assert_memory_equal(copy, "xyz", 3);
	assert_true(slice_equal(reader_string(&r, 4), SLICE_STR("name")));
	assert_int_equal(reader_left(&r), 7);
	assert_int_equal(reader_ok(&r), 0);
	assert_int_equal(reader_done(&r), -EBADMSG);
	assert_true(slice_equal(reader_bytes(&r, 7), SLICE_STR("7-seven")));
	assert_int_equal(reader_done(&r), 0);
}

static void test_sticky(void **state)
{
	struct reader r = READER("\x01\x02\x03", 3);
	uint8_t copy[2] = {9, 9};

	(void)state;
	assert_int_equal(reader_u16(&r), 0x0201);
	assert_int_equal(reader_u16(&r), 0); /* one byte is left */
	assert_int_equal(reader_u8(&r), 0);
	reader_copy(&r, copy, 2);
	assert_true(!copy[0] && !copy[1]);
	assert_null(reader_bytes(&r, 0).data);
	assert_int_equal(reader_left(&r), 0);
	assert_int_equal(reader_ok(&r), -EBADMSG);
	assert_int_equal(reader_done(&r), -EBADMSG);

	r = READER("\x05"
		   "abcde",
		   6);
	assert_null(reader_string(&r, 4).data);
	assert_int_equal(reader_ok(&r), -EBADMSG);
}

static void test_varints(void **state)
{
	static const uint64_t values[] = {
		0,
		1,
		127,
		128,
		300,
		16383,
		16384,
		UINT32_MAX,
		(uint64_t)1 << 62,
		UINT64_MAX - 1,
		UINT64_MAX,
	};
	static const struct {
		const char *bytes;
		size_t len;
	} bad[] = {
		{"\x80\x00", 2}, /* not the shortest form */
		{"\xff\x80\x00", 3},
		{"\x80", 1}, /* cut short */
		{"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 10},
		{"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x81\x00", 11},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
		cleanup(buf_release) struct buf b = BUF_INIT;
		struct reader r;

		buf_put_varint(&b, values[i]);
		r = READER(b.data, b.len);
		assert_true(reader_varint(&r) == values[i]);
		assert_int_equal(reader_done(&r), 0);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct reader r = READER(bad[i].bytes, bad[i].len);

		assert_int_equal(reader_varint(&r), 0);
		assert_int_equal(reader_ok(&r), -EBADMSG);
	}
}

static void test_buf(void **state)
{
	struct buf b = BUF_INIT;
	uint8_t *data;

	(void)state;
	for (int i = 0; i < 1000; i++)
		buf_put_u32(&b, (uint32_t)i);
	assert_int_equal(b.len, 4000);
	for (uint32_t i = 0; i < 1000; i++)
		assert_int_equal(get_le32(b.data + 4 * i), i);
	data = b.data;
	buf_reset(&b);
	assert_int_equal(b.len, 0);
	buf_put_u8(&b, 1);
	assert_ptr_equal(b.data, data);

	/* An impossible length fails, and stays failed until reset. */
	assert_null(buf_extend(&b, SIZE_MAX / 2));
	assert_int_equal(buf_error(&b), -ENOMEM);
	buf_put_u8(&b, 2);
	assert_int_equal(b.len, 1);
	buf_reset(&b);
	assert_int_equal(buf_error(&b), 0);
	buf_release(&b);
	assert_null(b.data);
}

static void test_fixed(void **state)
{
	uint8_t b[8];

	(void)state;
	put_be64(b, 0x0102030405060708);
	assert_memory_equal(b, "\1\2\3\4\5\6\7\10", 8);
	assert_true(get_be64(b) == 0x0102030405060708);
	put_be32(b, 0x01020304);
	assert_memory_equal(b, "\1\2\3\4", 4);
	assert_int_equal(get_be32(b), 0x01020304);
	put_le64(b, 0x0102030405060708);
	assert_memory_equal(b, "\10\7\6\5\4\3\2\1", 8);
	assert_true(get_le64(b) == 0x0102030405060708);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_slices),
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_sticky),
		cmocka_unit_test(test_varints),
		cmocka_unit_test(test_buf),
		cmocka_unit_test(test_fixed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
