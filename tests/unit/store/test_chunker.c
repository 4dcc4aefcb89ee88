/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "fs/base/hash.h"
#include "fs/base/limits.h"
#include "fs/store/chunker.h"
#include "tests/unit/store/content_support.h"

/* The rule word for word, to compare the fast loop with. */
static size_t slow_cut(const uint8_t *data, size_t len)
{
	uint64_t h = 0;

	for (size_t i = CHUNK_BYTES_MIN; i < len; i++) {
		h = 2 * h + chunker_gear[data[i]];
		if (i + 1 == CHUNK_BYTES_MAX ||
		    h < UINT64_C(1) << (i < CHUNK_BYTES_AVG ? 46 : 50))
			return i + 1;
	}
	return len;
}

static void test_gear_follows_rule(void **state)
{
	(void)state;
	for (int i = 0; i < 256; i++) {
		uint8_t text[11] = "kinfs gear";
		struct hash hash;

		text[10] = (uint8_t)i;
		hash_bytes(text, sizeof(text), &hash);
		assert_true(chunker_gear[i] == get_le64(hash.b));
	}
}

static void test_zeros_are_never_cut(void **state)
{
	uint8_t *data = calloc(1, CHUNK_BYTES_MAX + 100);
	uint64_t seed = 5, h = 0;

	(void)state;
	for (int n = 1; n <= 65; n++) {
		h = 2 * h + chunker_gear[0];
		assert_true(h >= UINT64_C(1) << 50);
	}
	assert_int_equal(chunker_cut(data, CHUNK_BYTES_MAX + 100),
			 CHUNK_BYTES_MAX);
	for (size_t len = 1; len <= CHUNK_BYTES_MAX; len += 1 + len / 7)
		assert_int_equal(chunker_cut(data, len), len);
	/* Nor within zeros that follow data, once they fill the window. */
	random_fill(&seed, data, CHUNK_BYTES_MIN + 1000);
	assert_in_range(chunker_cut(data, CHUNK_BYTES_MAX),
			CHUNK_BYTES_MAX, CHUNK_BYTES_MAX);
	free(data);
}

static void test_same_as_rule(void **state)
{
	size_t max = CHUNK_BYTES_MAX + 5000;
	uint8_t *data = malloc(max);
	uint64_t seed = 7;

	(void)state;
	for (int round = 0; round < 150; round++) {
		size_t len = 1 + random_below(&seed, max);
		/* Few different bytes: long chunks, cuts at odd places. */
		uint8_t mask = round % 3 ? 0xff : 0x11;

		random_fill(&seed, data, len);
		for (size_t i = 0; i < len; i++)
			data[i] &= mask;
		assert_int_equal(chunker_cut(data, len),
				 slow_cut(data, len));
	}
	for (size_t len = CHUNK_BYTES_MIN - 2; len < CHUNK_BYTES_MIN + 9; len++)
		assert_int_equal(chunker_cut(data, len),
				 slow_cut(data, len));
	free(data);
}

/* What follows a chunk has no influence on where it ends. */
static void test_depends_on_own_bytes(void **state)
{
	uint8_t *data = malloc(CHUNK_BYTES_MAX);
	uint64_t seed = 9;

	(void)state;
	for (int round = 0; round < 50; round++) {
		size_t cut;

		random_fill(&seed, data, CHUNK_BYTES_MAX);
		cut = chunker_cut(data, CHUNK_BYTES_MAX);
		assert_int_equal(chunker_cut(data, cut), cut);
		random_fill(&seed, data + cut, CHUNK_BYTES_MAX - cut);
		assert_int_equal(chunker_cut(data, CHUNK_BYTES_MAX), cut);
		assert_int_equal(chunker_cut(data, cut - 1), cut - 1);
	}
	free(data);
}

static void test_lengths_and_speed(void **state)
{
	size_t len = 32 << 20, count = 0;
	uint8_t *data = malloc(len);
	uint64_t seed = 11;
	struct timespec a, b;
	double seconds;

	(void)state;
	random_fill(&seed, data, len);
	clock_gettime(CLOCK_MONOTONIC, &a);
	for (size_t at = 0; at < len; count++)
		at += chunker_cut(data + at, len - at);
	clock_gettime(CLOCK_MONOTONIC, &b);
	assert_in_range(len / count, 60000, 90000);
	seconds = (double)(b.tv_sec - a.tv_sec) +
		  1e-9 * (double)(b.tv_nsec - a.tv_nsec);
	print_message("%zu bytes a chunk, %.2f GB/s\n", len / count,
		      (double)len / seconds / 1e9);
	free(data);
}

static void test_golden(void **state)
{
	FILE *f = golden_open("content-chunks.txt");
	uint64_t offset, want;
	char name[80], hex[80];
	struct hash hash;
	size_t len, at = 0;
	uint8_t *data = golden_input(&len);

	(void)state;
	while (fscanf(f, "%" SCNu64 " %" SCNu64 " %79s", &offset, &want,
		      name) == 3) {
		assert_true(at < len);
		assert_int_equal(offset, at);
		assert_int_equal(chunker_cut(data + at, len - at), want);
		hash_bytes(data + at, want, &hash);
		hex_encode(hash.b, sizeof(hash.b), hex);
		assert_string_equal(bytes_are_zero(data + at, want) ? "hole" :
								      hex,
				    name);
		at += want;
	}
	assert_int_equal(at, len);
	free(data);
	fclose(f);
}

static void test_bytes_are_zero(void **state)
{
	uint8_t data[100];

	(void)state;
	memset(data, 0, sizeof(data));
	for (size_t len = 0; len <= sizeof(data); len++) {
		assert_true(bytes_are_zero(data, len));
		for (size_t i = 0; i < len; i++) {
			data[i] = 1;
			assert_false(bytes_are_zero(data, len));
			data[i] = 0;
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_gear_follows_rule),
		cmocka_unit_test(test_zeros_are_never_cut),
		cmocka_unit_test(test_same_as_rule),
		cmocka_unit_test(test_depends_on_own_bytes),
		cmocka_unit_test(test_lengths_and_speed),
		cmocka_unit_test(test_golden),
		cmocka_unit_test(test_bytes_are_zero),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
