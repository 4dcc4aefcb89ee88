/* SPDX-License-Identifier: Apache-2.0 */
/* Compression: streams over many frames, single pieces, bombs. */
#include "tests/unit/core/core_support.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "replication/core/pack.h"
#include "replication/core/wire.h"

static void test_stream(void **state)
{
	struct packer p = {NULL};
	struct unpacker u = {NULL};
	cleanup(buf_release) struct buf packed = BUF_INIT, back = BUF_INIT;
	char text[200];
	size_t first = 0, last = 0;

	(void)state;
	for (int i = 0; i < 300; i++) {
		int len = snprintf(text, sizeof(text),
				   "row %d of a table whose rows look much "
				   "the same but for the number %d",
				   i, i * 7);

		buf_reset(&packed);
		assert_int_equal(packer_put(&p, SLICE(text, len), &packed), 0);
		assert_int_equal(unpacker_get(&u, buf_slice(&packed),
					      (size_t)len, &back),
				 0);
		assert_int_equal(back.len, len);
		assert_memory_equal(back.data, text, len);
		first = first ? first : packed.len;
		last = packed.len;
	}
	assert_true(last * 2 < first);
	packer_release(&p);
	unpacker_release(&u);
}

static void test_largest_row(void **state)
{
	struct packer p = {NULL};
	struct unpacker u = {NULL};
	cleanup(buf_release) struct buf packed = BUF_INIT, back = BUF_INIT;
	uint8_t *raw = malloc(REC_RAW_BYTES_MAX);
	uint64_t x = 1;

	(void)state;
	/* Not to be compressed: it must fit a frame all the same. */
	for (size_t i = 0; i < REC_RAW_BYTES_MAX; i++) {
		x = x * 6364136223846793005u + 1442695040888963407u;
		raw[i] = (uint8_t)(x >> 56);
	}
	for (int i = 0; i < 3; i++) {
		frame_begin(&packed, FRAME_REC);
		buf_put_varint(&packed, REC_RAW_BYTES_MAX);
		assert_int_equal(
			packer_put(&p, SLICE(raw, REC_RAW_BYTES_MAX), &packed),
			0);
		assert_int_equal(frame_end(&packed), 0);
		assert_int_equal(
			unpacker_get(&u, SLICE(packed.data + 8, packed.len - 8),
				     REC_RAW_BYTES_MAX, &back),
			0);
		assert_memory_equal(back.data, raw, REC_RAW_BYTES_MAX);
	}
	free(raw);
	packer_release(&p);
	unpacker_release(&u);
}

static void test_bombs(void **state)
{
	struct packer p = {NULL};
	struct unpacker u = {NULL};
	cleanup(buf_release) struct buf packed = BUF_INIT, back = BUF_INIT;
	uint8_t *zeros = calloc(1, 4 << 20);

	(void)state;
	assert_int_equal(packer_put(&p, SLICE(zeros, 4 << 20), &packed), 0);
	assert_true(packed.len < 4096);
	/* 4 MiB where 1000 bytes were declared. */
	assert_int_equal(unpacker_get(&u, buf_slice(&packed), 1000, &back),
			 -EBADMSG);
	unpacker_release(&u);
	/* Less than declared. */
	assert_int_equal(
		unpacker_get(&u, buf_slice(&packed), (4 << 20) + 1, &back),
		-EBADMSG);
	unpacker_release(&u);
	assert_int_equal(unpacker_get(&u, SLICE("not zstd", 8), 100, &back),
			 -EBADMSG);
	unpacker_release(&u);
	free(zeros);
	packer_release(&p);
}

static void test_pieces(void **state)
{
	struct packer p = {NULL};
	struct unpacker u = {NULL};
	cleanup(buf_release) struct buf packed = BUF_INIT, back = BUF_INIT;
	uint8_t zeros[5000] = {0};
	int64_t n;

	(void)state;
	buf_put(&packed, "head", 4);
	n = pack_one(&p, SLICE(zeros, sizeof(zeros)), &packed);
	assert_true(n > 0 && n < 100);
	assert_int_equal(packed.len, 4 + n);
	assert_int_equal(
		unpack_one(&u, SLICE(packed.data + 4, n), sizeof(zeros), &back),
		0);
	assert_memory_equal(back.data, zeros, sizeof(zeros));
	assert_int_equal(unpack_one(&u, SLICE(packed.data + 4, n), 4999, &back),
			 -EBADMSG);
	assert_int_equal(unpack_one(&u, SLICE(packed.data + 4, n), 5001, &back),
			 -EBADMSG);
	/* Too short to get smaller: nothing is appended. */
	buf_reset(&packed);
	assert_int_equal(pack_one(&p, SLICE("abc", 3), &packed), 0);
	assert_int_equal(packed.len, 0);
	packer_release(&p);
	unpacker_release(&u);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_stream),
		cmocka_unit_test(test_largest_row),
		cmocka_unit_test(test_bombs),
		cmocka_unit_test(test_pieces),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
