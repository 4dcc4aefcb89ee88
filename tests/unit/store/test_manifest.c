/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fs/base/hash.h"
#include "fs/store/chunker.h"
#include "fs/store/content.h"
#include "fs/store/manifest.h"
#include "tests/unit/store/content_support.h"

/* Keeps the last block, counts all, and checks each. */
struct sink {
	struct buf last;
	uint64_t blocks, longest;
};

static uint64_t block_span(struct slice block)
{
	struct manifest_iter it;
	struct manifest_entry e;
	uint64_t span = 0;

	manifest_iter_init(&it, block);
	while (manifest_next(&it, &e))
		span += e.len;
	return span;
}

static int sink_put(void *arg, const struct hash *hash, struct slice block)
{
	struct sink *s = arg;
	struct hash found;
	uint8_t level = block.data[1];

	hash_bytes(block.data, block.len, &found);
	assert_true(hash_equal(&found, hash));
	assert_int_equal(manifest_check(block, level, block_span(block)), 0);
	assert_int_equal(manifest_check(block, level, block_span(block) + 1),
			 -EBADMSG);
	assert_int_equal(manifest_check(block, level + 1, block_span(block)),
			 -EBADMSG);
	buf_reset(&s->last);
	buf_put_slice(&s->last, block);
	s->blocks++;
	s->longest = MAX_OF(s->longest, (uint64_t)block.len);
	return 0;
}

static void add(struct manifest_builder *b, uint64_t len, const void *hash)
{
	struct manifest_entry e = { .len = len, .hole = !hash };

	if (hash)
		memcpy(e.hash.b, hash, sizeof(e.hash.b));
	assert_int_equal(manifest_builder_add(b, &e), 0);
}

static void test_golden_block(void **state)
{
	struct sink sink = { 0 };
	struct manifest_builder b;
	FILE *f = golden_open("content-manifest.hex");
	struct buf text = BUF_INIT;
	char line[80], *hex;
	struct hash root;
	uint8_t depth;
	size_t len;
	uint8_t *data = golden_input(&len);

	(void)state;
	manifest_builder_init(&b, sink_put, &sink);
	for (size_t at = 0; at < len;) {
		size_t n = chunker_cut(data + at, len - at);
		struct hash hash;

		hash_bytes(data + at, n, &hash);
		add(&b, n, bytes_are_zero(data + at, n) ? NULL : hash.b);
		at += n;
	}
	assert_int_equal(manifest_builder_finish(&b, &depth, &root), 0);
	assert_int_equal(depth, 1);
	assert_int_equal(sink.blocks, 1);
	while (fscanf(f, "%79s", line) == 1)
		buf_put(&text, line, strlen(line));
	buf_put_u8(&text, 0);
	hex = malloc(2 * sink.last.len + 1);
	hex_encode(sink.last.data, sink.last.len, hex);
	assert_string_equal(hex, (char *)text.data);
	free(hex);
	free(data);
	fclose(f);
	buf_release(&text);
	buf_release(&sink.last);
	manifest_builder_release(&b);
}

static void add_golden_entry(struct manifest_builder *b, uint64_t i)
{
	uint8_t word[8];
	struct hash hash;

	put_le64(word, i);
	hash_bytes(word, sizeof(word), &hash);
	if (i % 10 == 7 || i % 10 == 8)
		add(b, CHUNK_BYTES_MAX * (1 + i % 3), NULL);
	else
		add(b, 16384 + i % 1000, hash.b);
}

/* Trees made by another program; count 0: only the 512 rule makes blocks. */
static void test_golden_trees(void **state)
{
	FILE *f = golden_open("content-trees.txt");
	uint64_t count, want_depth, want_blocks;
	char want[80], hex[80];
	uint8_t ones[32];
	int trees = 0;

	(void)state;
	memset(ones, 1, sizeof(ones));
	while (fscanf(f, "%" SCNu64 " %" SCNu64 " %" SCNu64 " %79s", &count,
		      &want_depth, &want_blocks, want) == 4) {
		struct sink sink = { 0 };
		struct manifest_builder b;
		struct hash root;
		uint8_t depth;

		manifest_builder_init(&b, sink_put, &sink);
		for (uint64_t i = 0; i < count; i++)
			add_golden_entry(&b, i);
		for (int i = 0; !count && i < 5000; i++)
			add(&b, i % 2 ? CHUNK_BYTES_MAX : 100000,
			    i % 2 ? NULL : ones);
		assert_int_equal(manifest_builder_finish(&b, &depth, &root),
				 0);
		hex_encode(root.b, sizeof(root.b), hex);
		assert_string_equal(hex, want);
		assert_int_equal(depth, want_depth);
		assert_int_equal(sink.blocks, want_blocks);
		assert_in_range(sink.longest, 1, MANIFEST_BYTES_MAX);
		buf_release(&sink.last);
		manifest_builder_release(&b);
		trees++;
	}
	assert_int_equal(trees, 7);
	fclose(f);
}

/* Every hash ends a block: levels still converge, and block size is 2. */
static void test_unlucky_hashes(void **state)
{
	struct sink sink = { 0 };
	struct manifest_builder b;
	struct manifest_entry e = { .len = 1 << 20 };
	struct hash root;
	uint8_t depth;
	int r = 0;

	(void)state;
	manifest_builder_init(&b, sink_put, &sink);
	for (int i = 0; i < 100; i++)
		add(&b, 20000, e.hash.b);
	assert_int_equal(manifest_builder_finish(&b, &depth, &root), 0);
	assert_in_range(depth, 2, 3);
	manifest_builder_release(&b);

	/* Blocks of the top level, until it would need another above. */
	manifest_builder_init(&b, sink_put, &sink);
	for (int i = 0; i < 5 && r >= 0; i++)
		r = manifest_builder_add_block(&b, MANIFEST_DEPTH_MAX, &e);
	assert_int_equal(r, -EFBIG);
	manifest_builder_release(&b);
	buf_release(&sink.last);
}

struct forged {
	struct buf block;
	uint64_t span;
};

static void forge(struct forged *f, uint8_t level, uint64_t count)
{
	buf_reset(&f->block);
	f->span = 0;
	buf_put_u8(&f->block, 1);
	buf_put_u8(&f->block, level);
	buf_put_varint(&f->block, count);
}

static void forge_entry(struct forged *f, int kind, uint64_t len, int first)
{
	uint8_t hash[32] = { (uint8_t)first };

	if (kind >= 0)
		buf_put_u8(&f->block, (uint8_t)kind);
	buf_put_varint(&f->block, len);
	if (kind <= 0)
		buf_put(&f->block, hash, sizeof(hash));
	f->span += len;
}

static int forged_check(struct forged *f, uint8_t level)
{
	return manifest_check(buf_slice(&f->block), level, f->span);
}

static void test_refuses(void **state)
{
	struct forged f = { BUF_INIT, 0 };

	(void)state;
	forge(&f, 1, 3);
	forge_entry(&f, 0, CHUNK_BYTES_MAX, 1);
	forge_entry(&f, 1, INT64_MAX / 2, 0);
	forge_entry(&f, 0, 1, 0); /* a last entry may be a boundary */
	assert_int_equal(forged_check(&f, 1), 0);
	f.block.data[0] = 2;
	assert_int_equal(forged_check(&f, 1), -EBADMSG);
	f.block.data[0] = 1;
	buf_put_u8(&f.block, 0);
	assert_int_equal(forged_check(&f, 1), -EBADMSG);

	forge(&f, 1, 0);
	assert_int_equal(forged_check(&f, 1), -EBADMSG);
	forge(&f, 1, 1);
	forge_entry(&f, 0, 0, 1);
	assert_int_equal(forged_check(&f, 1), -EBADMSG);
	forge(&f, 1, 1);
	forge_entry(&f, 0, CHUNK_BYTES_MAX + 1, 1);
	assert_int_equal(forged_check(&f, 1), -EBADMSG);
	forge(&f, 1, 2);
	forge_entry(&f, 1, CHUNK_BYTES_MAX, 0);
	forge_entry(&f, 1, CHUNK_BYTES_MAX, 0);
	assert_int_equal(forged_check(&f, 1), -EBADMSG);
	forge(&f, 1, 2);
	forge_entry(&f, 0, 20000, 0); /* would have ended the block */
	forge_entry(&f, 0, 20000, 1);
	assert_int_equal(forged_check(&f, 1), -EBADMSG);
	forge(&f, 1, 2);
	forge_entry(&f, 1, INT64_MAX, 0);
	forge_entry(&f, 0, CHUNK_BYTES_MAX, 1);
	assert_int_equal(forged_check(&f, 1), -EBADMSG);
	forge(&f, 1, 1);
	forge_entry(&f, 2, 20000, 0);
	assert_int_equal(forged_check(&f, 1), -EBADMSG);

	forge(&f, 2, 3);
	forge_entry(&f, -1, UINT64_C(1) << 40, 0);
	forge_entry(&f, -1, 1, 7);
	forge_entry(&f, -1, 1, 7);
	assert_int_equal(forged_check(&f, 2), 0);
	assert_int_equal(forged_check(&f, 3), -EBADMSG);
	forge(&f, 2, 3);
	forge_entry(&f, -1, 1, 7);
	forge_entry(&f, -1, 1, 0);
	forge_entry(&f, -1, 1, 7);
	assert_int_equal(forged_check(&f, 2), -EBADMSG);
	/* Two that overflow to a small sum. */
	forge(&f, 2, 2);
	forge_entry(&f, -1, UINT64_MAX, 7);
	forge_entry(&f, -1, 2, 7);
	assert_int_equal(forged_check(&f, 2), -EBADMSG);
	for (int level = 0; level < 256; level++) {
		forge(&f, (uint8_t)level, 1);
		forge_entry(&f, level == 1 ? 0 : -1, 1, 7);
		assert_int_equal(forged_check(&f, (uint8_t)level),
				 level >= 1 && level <= MANIFEST_DEPTH_MAX ?
					 0 : -EBADMSG);
	}
	forge(&f, 1, 513);
	for (int i = 0; i < 513; i++)
		forge_entry(&f, 0, 20000, 1);
	assert_int_equal(forged_check(&f, 1), -EBADMSG);
	buf_release(&f.block);
}

/* Whatever is accepted can be read, and adds up. */
static void test_mutations(void **state)
{
	struct forged f = { BUF_INIT, 0 };
	uint64_t seed = 13;
	int accepted = 0;

	(void)state;
	for (int round = 0; round < 100000; round++) {
		uint8_t level = 1 + (uint8_t)random_below(&seed, 5);
		uint64_t count = 1 + random_below(&seed, 6);
		uint8_t *copy;
		size_t len;

		forge(&f, level, count);
		for (uint64_t i = 0; i < count; i++)
			forge_entry(&f, level > 1 ? -1 : (int)(i % 2),
				    1 + random_below(&seed, CHUNK_BYTES_MAX),
				    1 + (int)random_below(&seed, 255));
		for (uint64_t n = random_below(&seed, 3); n; n--)
			f.block.data[random_below(&seed, f.block.len)] ^=
				(uint8_t)(1 << random_below(&seed, 8));
		len = f.block.len;
		if (!random_below(&seed, 4))
			len = random_below(&seed, len + 1);
		/* Of its exact size, for the address sanitizer. */
		copy = malloc(len + !len);
		memcpy(copy, f.block.data, len);
		if (!manifest_check(SLICE(copy, len), level, f.span)) {
			assert_int_equal(block_span(SLICE(copy, len)), f.span);
			accepted++;
		}
		free(copy);
	}
	assert_in_range(accepted, 20000, 90000);
	for (int round = 0; round < 20000; round++) {
		size_t len = random_below(&seed, 200);
		uint8_t *noise = malloc(len + 3);

		random_fill(&seed, noise, len + 3);
		noise[0] = 1;
		noise[1] = (uint8_t)random_below(&seed, 7);
		assert_int_equal(manifest_check(SLICE(noise, len + 3),
						noise[1], INT64_MAX),
				 -EBADMSG);
		free(noise);
	}
	buf_release(&f.block);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_golden_block),
		cmocka_unit_test(test_golden_trees),
		cmocka_unit_test(test_unlucky_hashes),
		cmocka_unit_test(test_refuses),
		cmocka_unit_test(test_mutations),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
