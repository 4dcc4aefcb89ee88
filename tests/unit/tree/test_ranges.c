/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ranges of files against a model: holes punched, zeroed and looked for,
 * copies between two files and within one, with cuts and crashes between;
 * what a copy costs; and that a content is the same however it was made.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "fs/base/hash.h"
#include "fs/store/store_internal.h"
#include "fs/tree/dirty.h"
#include "fs/tree/history.h"
#include "tree_support.h"

#define ROOT TREE_ROOT_INO
#define FILES 2
#define MODEL_MAX ((size_t)3 << 20)
#define HOLE ((size_t)4096)

static uint64_t draw(uint64_t *seed)
{
	uint64_t z = *seed += 0x9e3779b97f4a7c15u;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

struct model {
	struct fixture f;
	uint64_t seed;
	size_t max;
	uint8_t *got;
	struct file {
		uint64_t ino;
		uint8_t *bytes;
		size_t size;
		int handles;
	} file[FILES];
};

static void model_open(struct model *m, uint64_t seed)
{
	static const size_t sizes[] = { 5000, 20000, 300000, MODEL_MAX };

	*m = (struct model){ .seed = seed, .max = sizes[seed % 4] };
	m->got = malloc(MODEL_MAX);
	fixture_open(&m->f, "alice", true);
	for (int k = 0; k < FILES; k++) {
		m->file[k].bytes = calloc(1, MODEL_MAX);
		m->file[k].ino = make_file(&m->f, ROOT, k ? "b" : "a", "");
	}
}

static void model_close(struct model *m)
{
	for (int k = 0; k < FILES; k++) {
		for (; m->file[k].handles; m->file[k].handles--)
			tree_release_file(m->f.tree, m->file[k].ino, true);
		free(m->file[k].bytes);
	}
	check_tree(&m->f);
	fixture_close(&m->f);
	free(m->got);
}

static void grow(struct file *file, size_t size)
{
	if (size <= file->size)
		return;
	memset(file->bytes + file->size, 0, size - file->size);
	file->size = size;
}

/* Often in whole blocks, as programs do. */
static size_t place(struct model *m, size_t max)
{
	size_t at = draw(&m->seed) % (max + 1);

	return draw(&m->seed) % 2 ? at / HOLE * HOLE : at;
}

static void model_write(struct model *m, struct file *file)
{
	size_t at = place(m, m->max - 1);
	size_t len = 1 + draw(&m->seed) % (m->max - at);

	if (draw(&m->seed) % 2)
		len = 1 + len % 300;
	grow(file, at + len);
	for (size_t k = 0; k < len; k++)
		file->bytes[at + k] = (uint8_t)draw(&m->seed);
	assert_int_equal(tree_write(m->f.tree, file->ino, at,
				    SLICE(file->bytes + at, len), false), 0);
}

static void model_truncate(struct model *m, struct file *file)
{
	struct tree_setattr s = { .set = TREE_SET_SIZE };
	struct attr a;

	s.size = place(m, m->max);
	assert_int_equal(tree_setattr(m->f.tree, file->ino, &s, &a), 0);
	grow(file, s.size);
	file->size = s.size;
}

static void model_allocate(struct model *m, struct file *file)
{
	static const uint32_t kinds[] = {
		TREE_RANGE_PUNCH | TREE_RANGE_KEEP_SIZE, TREE_RANGE_ZERO,
		TREE_RANGE_ZERO | TREE_RANGE_KEEP_SIZE, 0,
		TREE_RANGE_KEEP_SIZE,
	};
	uint32_t flags = kinds[draw(&m->seed) % 5];
	size_t at = place(m, m->max - 1);
	size_t end = at + 1 + place(m, m->max - at - 1);
	struct tree_range range = { at, end - at };

	assert_int_equal(tree_allocate(m->f.tree, file->ino, &range, flags),
			 0);
	if (!(flags & TREE_RANGE_KEEP_SIZE))
		grow(file, end);
	end = MIN_OF(end, file->size);
	if (flags & (TREE_RANGE_PUNCH | TREE_RANGE_ZERO) && at < end)
		memset(file->bytes + at, 0, end - at);
}

static void model_copy(struct model *m)
{
	struct file *from = &m->file[draw(&m->seed) % FILES];
	struct file *to = &m->file[draw(&m->seed) % FILES];
	size_t at = place(m, m->max - 1), where = place(m, m->max - 1);
	size_t len = place(m, m->max - MAX_OF(at, where));
	struct tree_copy c = { from->ino, at, to->ino, where, len };
	uint64_t done = 0;
	int r;

	if (draw(&m->seed) % 8 == 0)
		c.from_offset = c.to_offset = at = where = 0;
	r = tree_copy(m->f.tree, &c, &done);
	len = at < from->size ? MIN_OF(len, from->size - at) : 0;
	if (from == to && len && at < where + len && where < at + len) {
		assert_int_equal(r, -EINVAL);
		return;
	}
	assert_int_equal(r, 0);
	assert_int_equal(done, len);
	if (!len)
		return;
	grow(to, where + len);
	memcpy(to->bytes + where, from->bytes + at, len);
}

static bool is_hole(const struct file *file, size_t at)
{
	size_t end = MIN_OF(at / HOLE * HOLE + HOLE, file->size);

	for (size_t k = at / HOLE * HOLE; k < end; k++)
		if (file->bytes[k])
			return false;
	return true;
}

static void model_seek(struct model *m, struct file *file)
{
	size_t at = draw(&m->seed) % m->max, want = at;
	bool hole = draw(&m->seed) % 2;
	uint64_t got = 0;
	int r = tree_seek(m->f.tree, file->ino, at, hole, &got);

	while (want < file->size && is_hole(file, want) != hole)
		want = MIN_OF((want / HOLE + 1) * HOLE, file->size);
	if (at >= file->size || (want == file->size && !hole)) {
		assert_int_equal(r, -ENXIO);
		return;
	}
	assert_int_equal(r, 0);
	assert_int_equal(got, want);
}

static void model_read(struct model *m, struct file *file)
{
	struct attr a;

	assert_int_equal(tree_read(m->f.tree, file->ino, 0, m->got, MODEL_MAX),
			 file->size);
	assert_memory_equal(m->got, file->bytes, file->size);
	assert_int_equal(tree_getattr(m->f.tree, file->ino, &a), 0);
	assert_int_equal(a.size, file->size);
	assert_true(a.blocks * 512 <= file->size + 4095);
}

static void model_step(struct model *m)
{
	struct file *file = &m->file[draw(&m->seed) % FILES];

	switch (draw(&m->seed) % 16) {
	case 0 ... 2:
		model_write(m, file);
		break;
	case 3:
		model_truncate(m, file);
		break;
	case 4 ... 5:
		model_allocate(m, file);
		break;
	case 6 ... 8:
		model_copy(m);
		break;
	case 9 ... 10:
		model_seek(m, file);
		break;
	case 11:
		if (file->handles < 3 &&
		    !tree_open_file(m->f.tree, file->ino, true))
			file->handles++;
		break;
	case 12 ... 13:
		if (file->handles) {
			tree_release_file(m->f.tree, file->ino, true);
			file->handles--;
		}
		break;
	case 14:
		assert_true(tree_cut_settled(m->f.tree, 0) >= 0);
		model_read(m, file);
		break;
	default:
		if (draw(&m->seed) % 4)
			break;
		fixture_crash(&m->f);
		m->file[0].handles = m->file[1].handles = 0;
		model_read(m, file);
	}
}

static struct content content_at(struct fixture *f, uint64_t ino)
{
	struct target t;
	struct content c;

	store_lock(f->store);
	assert_int_equal(target_load(f->tree, ino, &t), 0);
	assert_non_null(t.content);
	c = t.content->content.content;
	hash_bytes(c.inline_bytes.data, c.inline_bytes.len,
		   c.depth ? &(struct hash){ { 0 } } : &c.root);
	c.inline_bytes = SLICE(NULL, 0);
	target_release(&t);
	store_unlock(f->store);
	return c;
}

/* The content is what writing its bytes at once makes. */
static void expect_canonical(struct model *m, const struct file *file)
{
	struct content want, got = content_at(&m->f, file->ino);
	uint64_t ino = make_file(&m->f, ROOT, "fresh", "");
	struct tree_setattr s = { .set = TREE_SET_SIZE, .size = file->size };
	struct attr a;

	assert_int_equal(tree_open_file(m->f.tree, ino, true), 0);
	if (file->size)
		assert_int_equal(tree_write(m->f.tree, ino, 0,
					    SLICE(file->bytes, file->size),
					    false), 0);
	assert_int_equal(tree_setattr(m->f.tree, ino, &s, &a), 0);
	tree_release_file(m->f.tree, ino, true);
	want = content_at(&m->f, ino);
	assert_true(content_equal(&want, &got));
	assert_int_equal(tree_unlink(m->f.tree, ROOT, SLICE_STR("fresh")), 0);
}

static void test_random_ranges(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 40; seed++) {
		struct model m;

		model_open(&m, seed);
		for (int k = 0; k < 120; k++)
			model_step(&m);
		assert_int_equal(tree_cut_settled(m.f.tree, 0), 0);
		for (int k = 0; k < FILES; k++) {
			model_read(&m, &m.file[k]);
			expect_canonical(&m, &m.file[k]);
		}
		model_close(&m);
	}
}

/* ---- what it costs */

static uint64_t appended(struct fixture *f)
{
	struct store_stats stats;

	store_stats(f->store, &stats);
	return stats.data_bytes;
}

static uint8_t *random_bytes(size_t len, uint64_t seed)
{
	uint8_t *bytes = malloc(len);

	for (size_t k = 0; k < len; k++)
		bytes[k] = (uint8_t)draw(&seed);
	return bytes;
}

static uint64_t make_large(struct fixture *f, const char *name,
			   const uint8_t *bytes, size_t len)
{
	uint64_t ino = make_file(f, ROOT, name, "");

	assert_int_equal(tree_open_file(f->tree, ino, true), 0);
	assert_int_equal(tree_write(f->tree, ino, 0, SLICE(bytes, len), false),
			 0);
	tree_release_file(f->tree, ino, true);
	return ino;
}

static void copy_whole(struct fixture *f, uint64_t from, uint64_t to,
		       uint64_t where, uint64_t len)
{
	struct tree_copy c = { from, 0, to, where, len };
	uint64_t done;

	while (c.len) {
		assert_int_equal(tree_copy(f->tree, &c, &done), 0);
		assert_true(done);
		c.from_offset += done;
		c.to_offset += done;
		c.len -= done;
	}
}

/* A copy of a version stores nothing, and is the same content. */
static void test_copy_shares(void **state)
{
	size_t len = (size_t)20 << 20;
	uint8_t *bytes = random_bytes(len, 7), *got = malloc(len);
	uint64_t from, to, then;
	struct content x, y;
	struct fixture f;

	(void)state;
	fixture_open(&f, "alice", true);
	from = make_large(&f, "from", bytes, len);
	to = make_file(&f, ROOT, "to", "");
	then = appended(&f);
	assert_int_equal(tree_open_file(f.tree, to, true), 0);
	copy_whole(&f, from, to, 0, len);
	assert_int_equal(tree_read(f.tree, to, 0, got, len), len);
	assert_memory_equal(got, bytes, len);
	assert_int_equal(appended(&f), then);
	tree_release_file(f.tree, to, true);
	assert_int_equal(appended(&f), then);
	x = content_at(&f, from);
	y = content_at(&f, to);
	assert_true(content_equal(&x, &y));
	/* What it was copied from may go. */
	assert_int_equal(tree_unlink(f.tree, ROOT, SLICE_STR("from")), 0);
	assert_int_equal(tree_read(f.tree, to, 0, got, len), len);
	assert_memory_equal(got, bytes, len);
	check_tree(&f);
	fixture_close(&f);
	free(bytes);
	free(got);
}

/* One within the file, elsewhere: only what the ends cut off is stored. */
static void test_copy_within(void **state)
{
	size_t len = (size_t)8 << 20;
	uint8_t *bytes = random_bytes(len, 8), *got = malloc(len);
	struct fixture f;
	uint64_t ino, then;

	(void)state;
	fixture_open(&f, "alice", true);
	ino = make_large(&f, "f", bytes, len);
	then = appended(&f);
	assert_int_equal(tree_open_file(f.tree, ino, true), 0);
	copy_whole(&f, ino, ino, len + 12345, len);
	tree_release_file(f.tree, ino, true);
	assert_true(appended(&f) - then < 1u << 20);
	assert_int_equal(tree_read(f.tree, ino, len + 12345, got, len), len);
	assert_memory_equal(got, bytes, len);
	check_tree(&f);
	fixture_close(&f);
	free(bytes);
	free(got);
}

/* What is not a version yet: its place in the segment is shared. */
static void test_copy_of_unsent(void **state)
{
	size_t len = (size_t)4 << 20;
	uint8_t *bytes = random_bytes(len, 9), *got = malloc(len);
	struct fixture f;
	uint64_t from, to, then;

	(void)state;
	fixture_open(&f, "alice", true);
	from = make_file(&f, ROOT, "from", "");
	to = make_file(&f, ROOT, "to", "");
	assert_int_equal(tree_open_file(f.tree, from, true), 0);
	assert_int_equal(tree_open_file(f.tree, to, true), 0);
	assert_int_equal(tree_write(f.tree, from, 0, SLICE(bytes, len), false),
			 0);
	then = appended(&f);
	copy_whole(&f, from, to, 0, len);
	assert_int_equal(appended(&f), then);
	fixture_crash(&f);
	then = appended(&f);
	assert_int_equal(tree_read(f.tree, to, 0, got, len), len);
	assert_memory_equal(got, bytes, len);
	assert_int_equal(tree_cut_settled(f.tree, 0), 0);
	/* (a block of the manifest is all that is new) */
	assert_true(appended(&f) - then < 64u << 10);
	check_tree(&f);
	fixture_close(&f);
	free(bytes);
	free(got);
}

/* ---- what gives back space finds copies that are no version yet */

static void reclaim_all(struct fixture *f)
{
	struct reclaim_options o = { .now_s = 1 };
	int r;

	assert_int_equal(reclaim_begin(f->store, &o), 0);
	while (!(r = reclaim_step(f->store)))
		;
	assert_int_equal(r, 1);
}

static void test_copy_outlives_its_source(void **state)
{
	size_t len = (size_t)4 << 20;
	uint8_t *bytes = random_bytes(len, 10), *got = malloc(len);
	struct fixture f;
	uint64_t from, to, shed = 1;

	(void)state;
	fixture_open(&f, "alice", true);
	from = make_large(&f, "from", bytes, len);
	to = make_file(&f, ROOT, "to", "");
	assert_int_equal(tree_open_file(f.tree, to, true), 0);
	copy_whole(&f, from, to, 0, len);
	assert_int_equal(tree_unlink(f.tree, ROOT, SLICE_STR("from")), 0);
	while (shed)
		assert_int_equal(tree_shed_history(f.tree, 1, &shed), 0);
	reclaim_all(&f);
	reclaim_all(&f);
	assert_int_equal(tree_read(f.tree, to, 0, got, len), len);
	assert_memory_equal(got, bytes, len);
	tree_release_file(f.tree, to, true);
	assert_int_equal(tree_read(f.tree, to, 0, got, len), len);
	assert_memory_equal(got, bytes, len);
	check_tree(&f);
	fixture_close(&f);
	free(bytes);
	free(got);
}

/* ---- size on disk */

static uint64_t blocks_at(struct fixture *f, uint64_t ino)
{
	struct attr a;

	assert_int_equal(tree_getattr(f->tree, ino, &a), 0);
	return a.blocks;
}

static void test_blocks(void **state)
{
	size_t len = (size_t)1 << 20;
	uint8_t *bytes = random_bytes(len, 11);
	struct tree_setattr s = { .set = TREE_SET_SIZE,
				  .size = UINT64_C(64) << 40 };
	struct tree_range range = { 0, (uint64_t)256 << 10 };
	struct fixture f;
	struct attr a;
	uint64_t ino;

	(void)state;
	fixture_open(&f, "alice", true);
	ino = make_file(&f, ROOT, "f", "");
	assert_int_equal(blocks_at(&f, ino), 0);
	assert_int_equal(tree_open_file(f.tree, ino, true), 0);
	assert_int_equal(tree_setattr(f.tree, ino, &s, &a), 0);
	assert_int_equal(blocks_at(&f, ino), 0);
	assert_int_equal(tree_write(f.tree, ino, 0, SLICE(bytes, len), false),
			 0);
	assert_int_equal(blocks_at(&f, ino), len / 512);
	/* (the chunks at its end may have some zeros) */
	assert_int_equal(tree_cut_settled(f.tree, 0), 0);
	assert_in_range(blocks_at(&f, ino), len / 512,
			(len + CHUNK_BYTES_MAX) / 512);
	assert_int_equal(tree_write(f.tree, ino, 0, SLICE(bytes, len), false),
			 0);
	assert_in_range(blocks_at(&f, ino), len / 512,
			(len + CHUNK_BYTES_MAX) / 512);
	assert_int_equal(tree_allocate(f.tree, ino, &range,
				       TREE_RANGE_PUNCH |
				       TREE_RANGE_KEEP_SIZE), 0);
	assert_in_range(blocks_at(&f, ino), len / 512 - 512,
			(len + CHUNK_BYTES_MAX) / 512 - 512);
	tree_release_file(f.tree, ino, true);
	assert_in_range(blocks_at(&f, ino), len / 512 - 512,
			len / 512 + 256);
	check_tree(&f);
	fixture_close(&f);
	free(bytes);
}

static void expect_blocks(struct fixture *f, uint64_t ino, uint64_t count)
{
	assert_int_equal(blocks_at(f, ino), count * 8);
	assert_int_equal(tree_cut_settled(f->tree, 0), 0);
	assert_int_equal(blocks_at(f, ino), count * 8);
	fixture_stop(f);
	fixture_resume(f);
	assert_int_equal(blocks_at(f, ino), count * 8);
}

static void write_once(struct fixture *f, uint64_t ino, uint64_t offset,
		       size_t len, char byte)
{
	char bytes[65536];

	memset(bytes, byte, len);
	assert_int_equal(tree_open_file(f->tree, ino, true), 0);
	assert_int_equal(tree_write(f->tree, ino, offset, SLICE(bytes, len),
				    false), 0);
	tree_release_file(f->tree, ino, true);
}

/* Holes of single blocks, and zeros that were written, are what they were
 * when a version is made. */
static void test_blocks_stay(void **state)
{
	struct tree_setattr s = {
		.set = TREE_SET_ATIME, .atime = { 1000000000, 7 } };
	struct fixture f;
	struct attr a;
	uint64_t ino;

	(void)state;
	fixture_open(&f, "alice", true);
	ino = make_file(&f, ROOT, "f", "x");
	for (uint64_t k = 1; k < 10; k++)
		write_once(&f, ino, k * 8192, 4096, 'x');
	assert_int_equal(tree_setattr(f.tree, ino, &s, &a), 0);
	expect_blocks(&f, ino, 10);
	assert_int_equal(tree_getattr(f.tree, ino, &a), 0);
	assert_int_equal(a.atime.tv_sec, 1000000000);
	assert_int_equal(a.atime.tv_nsec, 7);
	/* More at its end. */
	write_once(&f, ino, 20 * 4096, 4096, 'x');
	expect_blocks(&f, ino, 11);
	/* Zeros. */
	ino = make_file(&f, ROOT, "zeros", "");
	write_once(&f, ino, 0, 65536, 0);
	expect_blocks(&f, ino, 16);
	write_once(&f, ino, 4096, 4096, 0);
	expect_blocks(&f, ino, 16);
	ino = make_file(&f, ROOT, "small", "");
	write_once(&f, ino, 0, 100, 0);
	expect_blocks(&f, ino, 1);
	check_tree(&f);
	fixture_close(&f);
}

/* More pieces than are looked at in one go. */
static void test_many_pieces(void **state)
{
	const uint64_t step = 12288, count = 1500;
	struct tree_copy c = { .len = UINT64_C(1) << 40 };
	uint8_t byte[2] = { 1, 1 };
	struct fixture f;
	uint64_t at, done = 0;

	(void)state;
	fixture_open(&f, "alice", true);
	c.from = make_file(&f, ROOT, "f", "");
	c.to = make_file(&f, ROOT, "g", "");
	assert_int_equal(tree_open_file(f.tree, c.from, true), 0);
	for (uint64_t k = 1; k <= count; k++)
		assert_int_equal(tree_write(f.tree, c.from, k * step,
					    SLICE(byte, 1), false), 0);
	for (uint64_t k = 1; k < count; k++) {
		assert_int_equal(tree_seek(f.tree, c.from, (k - 1) * step + 1 +
					   (k > 1) * 4096, false, &at), 0);
		assert_int_equal(at, k * step);
		assert_int_equal(tree_seek(f.tree, c.from, at, true, &at), 0);
		assert_int_equal(at, k * step + 4096);
	}
	assert_int_equal(tree_seek(f.tree, c.from, count * step, true, &at),
			 0);
	assert_int_equal(at, count * step + 1);
	assert_int_equal(tree_seek(f.tree, c.from, at, true, &at), -ENXIO);
	/* A block of more pieces than that. */
	for (uint64_t k = 0; k < 4096; k += 3)
		assert_int_equal(tree_write(f.tree, c.from, k,
					    SLICE(byte, 1), false), 0);
	assert_int_equal(tree_seek(f.tree, c.from, 5, false, &at), 0);
	assert_int_equal(at, 5);
	assert_int_equal(tree_seek(f.tree, c.from, 0, true, &at), 0);
	assert_int_equal(at, 4096);
	do {
		c.from_offset = c.to_offset += done;
		assert_int_equal(tree_copy(f.tree, &c, &done), 0);
	} while (done);
	assert_int_equal(c.to_offset, count * step + 1);
	for (uint64_t k = 1; k <= count; k++) {
		assert_int_equal(tree_read(f.tree, c.to, k * step - 1, byte,
					   2), 2);
		assert_int_equal(byte[0], 0);
		assert_int_equal(byte[1], 1);
	}
	tree_release_file(f.tree, c.from, true);
	check_tree(&f);
	fixture_close(&f);
}

static void test_errors(void **state)
{
	struct tree_range range = { 0, 0 }, one = { 0, 1 };
	struct tree_range far = { INT64_MAX, 1 };
	struct fixture f;
	uint64_t ino, dir, at;

	(void)state;
	fixture_open(&f, "alice", true);
	ino = make_file(&f, ROOT, "f", "abc");
	dir = make_dir(&f, ROOT, "d");
	assert_int_equal(tree_allocate(f.tree, ino, &range, 0), -EINVAL);
	assert_int_equal(tree_allocate(f.tree, ino, &far, 0), -EFBIG);
	assert_int_equal(tree_allocate(f.tree, ino, &one, TREE_RANGE_PUNCH),
			 -EOPNOTSUPP);
	assert_int_equal(tree_allocate(f.tree, dir, &one, 0), -EISDIR);
	assert_int_equal(tree_seek(f.tree, ino, 3, true, &at), -ENXIO);
	assert_int_equal(tree_seek(f.tree, ino, 2, true, &at), 0);
	assert_int_equal(at, 3);
	assert_int_equal(tree_seek(f.tree, ino, 2, false, &at), 0);
	assert_int_equal(at, 2);
	check_tree(&f);
	fixture_close(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random_ranges),
		cmocka_unit_test(test_copy_shares),
		cmocka_unit_test(test_copy_within),
		cmocka_unit_test(test_copy_of_unsent),
		cmocka_unit_test(test_copy_outlives_its_source),
		cmocka_unit_test(test_blocks),
		cmocka_unit_test(test_blocks_stay),
		cmocka_unit_test(test_many_pieces),
		cmocka_unit_test(test_errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
