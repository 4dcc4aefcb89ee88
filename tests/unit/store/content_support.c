/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/store/content_support.h"

#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "fs/base/hash.h"
#include "fs/store/chunker.h"

uint64_t random_next(uint64_t *state)
{
	uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

uint64_t random_below(uint64_t *state, uint64_t max)
{
	return random_next(state) % max;
}

void random_fill(uint64_t *state, uint8_t *ret, size_t len)
{
	for (size_t i = 0; i < len; i += 8) {
		uint8_t word[8];

		put_le64(word, random_next(state));
		memcpy(ret + i, word, MIN_OF(len - i, (size_t)8));
	}
}

uint8_t *golden_input(size_t *ret_len)
{
	size_t first = 3 << 20, zeros = 900000, last = 1 << 20;
	uint8_t *data = calloc(1, first + zeros + last);
	uint64_t seed = 1;

	kin_assert(data);
	random_fill(&seed, data, first);
	seed = 2;
	random_fill(&seed, data + first + zeros, last);
	*ret_len = first + zeros + last;
	return data;
}

FILE *golden_open(const char *name)
{
	char path[4096];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", KINFS_GOLDEN_DIR, name);
	f = fopen(path, "r");
	kin_assert(f);
	return f;
}

size_t short_chunk(uint64_t *state, uint64_t lucky, uint8_t *ret)
{
	const size_t max = CHUNK_BYTES_MIN + 512;
	bool want = lucky && !random_below(state, lucky);
	struct hash hash;
	size_t len;

	random_fill(state, ret, CHUNK_BYTES_MIN);
	do {
		random_fill(state, ret + CHUNK_BYTES_MIN,
			    max - CHUNK_BYTES_MIN);
		len = chunker_cut(ret, max);
	} while (len == max);
	/* The bytes before CHUNK_BYTES_MIN do not move the cut. */
	for (uint64_t i = 0; want; i++) {
		put_le64(ret, i);
		hash_bytes(ret, len, &hash);
		want = hash.b[0] != 0;
	}
	return len;
}

void test_store_open(struct test_store *t)
{
	test_store_open_small(t, 0);
}

void test_store_open_small(struct test_store *t, uint64_t segment_bytes)
{
	struct store_options options = {
		.path = t->path,
		.segment_bytes = segment_bytes,
		.no_sync = true,
		.log_bytes = 65536,
		.map_bytes = 1 << 30,
	};
	struct buf why = BUF_INIT;

	strcpy(t->path, "/dev/shm/kinfs-content-XXXXXX");
	assert_non_null(mkdtemp(t->path));
	if (store_open(&options, &why, &t->store) < 0)
		fail_msg("store: %.*s", (int)why.len, (char *)why.data);
	buf_release(&why);
}

static int remove_one(const char *path, const struct stat *st, int type,
		      struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

void test_store_close(struct test_store *t)
{
	assert_int_equal(store_close(t->store), 0);
	nftw(t->path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

uint64_t test_store_bytes(struct store *s)
{
	struct store_stats stats;

	store_stats(s, &stats);
	return stats.data_bytes;
}

void build_and_commit(struct store *s, const struct content *base,
		      uint64_t kept, uint64_t size,
		      const struct content_extent *extents, size_t count,
		      struct buf *ret_bytes, struct content *ret)
{
	struct content_build *build = NULL;

	assert_int_equal(content_build(s, base, kept, size, extents, count,
				       ret_bytes, ret, &build), 0);
	store_lock(s);
	assert_int_equal(store_op_begin(s), 0);
	assert_int_equal(content_commit(s, build), 0);
	assert_int_equal(store_op_end(s), 0);
	store_unlock(s);
	content_build_free(build);
}

void assert_content(struct store *s, const struct content *c,
		    const uint8_t *bytes, uint64_t size)
{
	uint8_t *read = malloc(size + 1);

	assert_int_equal(c->size, size);
	assert_int_equal(content_read(s, c, 0, read, size + 1), size);
	assert_int_equal(memcmp(read, bytes, size), 0);
	free(read);
}
