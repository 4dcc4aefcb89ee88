/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Giving back space: each barrier on its own, each end of a round in the
 * middle, and random files with rounds in slices between all that is done.
 *
 * Roots of these tests: a value of OBJ names a content, one of DIRTY a range
 * of bytes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fs/base/hash.h"
#include "fs/store/store_internal.h"
#include "tests/unit/store/content_support.h"
#include "tests/unit/store/scratch_support.h"
#include "tests/unit/store/store_support.h"

#define MIB (1u << 20)
#define SEGMENT (4u * MIB)
#define CONTENT_VALUE_BYTES 41

/* ---- a disk that cannot punch holes, or is full */

static bool no_punch, no_room;

ssize_t pwrite(int fd, const void *data, size_t len, off_t offset)
{
	if (no_room) {
		errno = ENOSPC;
		return -1;
	}
	return syscall(SYS_pwrite64, fd, data, len, offset);
}

int fallocate(int fd, int mode, off_t offset, off_t len)
{
	if (no_punch) {
		errno = EOPNOTSUPP;
		return -1;
	}
	return (int)syscall(SYS_fallocate, fd, mode, offset, len);
}

/* ---- roots */

static const struct reclaim_options whole = {.now_s = 1};

static int roots_each(enum store_table t, struct slice key, struct slice value,
		      store_root_fn *fn, void *arg)
{
	struct reader r = READER(value.data, value.len);
	struct store_root root = {.content = NULL};
	struct content c = {.depth = 0};

	(void)key;
	if (t == TABLE_DIRTY) {
		root.loc.segment = reader_u32(&r);
		root.loc.offset = reader_u64(&r);
		root.len = reader_u64(&r);
		return reader_done(&r) ? -EUCLEAN : fn(arg, &root);
	}
	c.depth = reader_u8(&r);
	c.size = reader_u64(&r);
	reader_copy(&r, c.root.b, sizeof(c.root.b));
	root.content = &c;
	return reader_done(&r) ? -EUCLEAN : fn(arg, &root);
}

static const struct store_roots roots = {
	.tables = 1u << TABLE_OBJ | 1u << TABLE_DIRTY,
	.each = roots_each,
};

/* ---- a store with files */

struct files {
	char *path;
	struct store_options options;
	struct store *store;
	uint64_t rng;
};

static void files_open(struct files *f)
{
	f->store = store_make(&f->options);
	store_lock(f->store);
	store_set_roots(f->store, &roots);
	store_unlock(f->store);
}

static void files_init(struct files *f)
{
	*f = (struct files){.path = scratch_make(), .rng = 1};
	f->options = options_sim(f->path);
	f->options.segment_bytes = SEGMENT;
	files_open(f);
}

static void files_release(struct files *f)
{
	assert_int_equal(store_close(f->store), 0);
	scratch_remove(f->path);
}

static uint8_t *bytes_of(uint64_t seed, size_t len)
{
	uint8_t *p = malloc(len + 8);
	uint64_t state = seed * 1000003 + 1;

	assert_non_null(p);
	random_fill(&state, p, len);
	return p;
}

/* Appended in pieces, as a program writes it. */
static struct content_build *build(struct store *s, uint64_t seed, size_t len,
				   struct content *ret)
{
	struct content_extent x[64];
	struct content_build *b = NULL;
	struct buf none = BUF_INIT;
	struct content empty;
	uint8_t *bytes = bytes_of(seed, len);
	size_t n = 0;

	for (size_t at = 0; at < len; at += 131072, n++) {
		size_t piece = MIN_OF((size_t)131072, len - at);

		x[n] = (struct content_extent){
			.offset = at, .len = piece, .kind = EXTENT_DATA};
		assert_int_equal(data_append(s, SLICE(bytes + at, piece),
					     &x[n].loc),
				 0);
	}
	content_empty(&empty);
	assert_int_equal(content_build(s, &empty, 0, len, x, n, &none, ret,
				       &b),
			 0);
	free(bytes);
	return b;
}

static struct slice content_value(const struct content *c,
				  uint8_t ret[CONTENT_VALUE_BYTES])
{
	ret[0] = c->depth;
	put_le64(ret + 1, c->size);
	memcpy(ret + 9, c->root.b, sizeof(c->root.b));
	return SLICE(ret, CONTENT_VALUE_BYTES);
}

static void name_content(struct store *s, const char *name,
			 const struct content *c, struct content_build *b)
{
	uint8_t value[CONTENT_VALUE_BYTES];

	store_lock(s);
	assert_int_equal(store_op_begin(s), 0);
	if (b)
		assert_int_equal(content_commit(s, b), 0);
	assert_int_equal(store_put(s, TABLE_OBJ, SLICE_STR(name),
				   content_value(c, value)),
			 0);
	assert_int_equal(store_op_end(s), 0);
	store_unlock(s);
}

static void write_file(struct files *f, const char *name, uint64_t seed,
		       size_t len)
{
	struct store_hold hold = store_hold(f->store);
	struct content c;
	struct content_build *b = build(f->store, seed, len, &c);

	name_content(f->store, name, &c, b);
	content_build_free(b);
	store_hold_end(&hold);
}

static void remove_file(struct files *f, const char *name)
{
	store_lock(f->store);
	assert_int_equal(store_op_begin(f->store), 0);
	assert_int_equal(store_del(f->store, TABLE_OBJ, SLICE_STR(name)), 0);
	assert_int_equal(store_op_end(f->store), 0);
	store_unlock(f->store);
}

static int content_of(struct files *f, const char *name, struct content *ret)
{
	struct slice v;
	int r;

	store_lock(f->store);
	r = store_get(f->store, TABLE_OBJ, SLICE_STR(name), &v);
	if (!r) {
		*ret = (struct content){.depth = v.data[0],
					.size = get_le64(v.data + 1)};
		memcpy(ret->root.b, v.data + 9, sizeof(ret->root.b));
	}
	store_unlock(f->store);
	return r;
}

/* All of it is here, with every hash. */
static void assert_file(struct files *f, const char *name, uint64_t seed,
			size_t len)
{
	struct content_faults faults = {0};
	uint8_t *bytes = bytes_of(seed, len);
	struct content c;
	uint64_t at = 0;

	assert_int_equal(content_of(f, name, &c), 0);
	assert_content(f->store, &c, bytes, len);
	assert_int_equal(content_check(f->store, &c, &at, UINT64_MAX, &faults),
			 0);
	assert_int_equal(faults.missing + faults.damaged, 0);
	free(bytes);
}

static int add_allocated(void *arg, const struct segment_facts *facts)
{
	*(uint64_t *)arg += facts->allocated;
	return 0;
}

static uint64_t allocated(struct files *f)
{
	uint64_t sum = 0;

	assert_int_equal(segments_list(f->store->segments, add_allocated,
				       &sum),
			 0);
	return sum;
}

/* ---- rounds */

static enum reclaim_state state_of(struct files *f)
{
	return f->store->reclaim.round ? f->store->reclaim.round->state
				       : RECLAIM_IDLE;
}

static void go_to(struct files *f, enum reclaim_state state)
{
	if (!reclaim_is_running(f->store))
		assert_int_equal(reclaim_begin(f->store, &whole), 0);
	while (state_of(f) < state)
		assert_int_equal(reclaim_step(f->store), 0);
}

static void finish(struct files *f)
{
	int r;

	if (!reclaim_is_running(f->store))
		assert_int_equal(reclaim_begin(f->store, &whole), 0);
	do
		r = reclaim_step(f->store);
	while (!r);
	assert_int_equal(r, 1);
}

static char *name_of(unsigned int i)
{
	static char name[16];

	snprintf(name, sizeof(name), "file-%04u", i);
	return name;
}

/* ---- what comes back */

static void test_gives_back(void **state)
{
	struct reclaim_facts facts;
	struct files f;
	uint64_t before;

	(void)state;
	files_init(&f);
	finish(&f); /* of nothing */
	for (unsigned int i = 0; i < 40; i++)
		write_file(&f, name_of(i), i, MIB);
	before = allocated(&f);
	assert_true(before > 40 * MIB);
	finish(&f);
	assert_true(allocated(&f) >= before - MIB);
	/* Every other one; and all of some segments. */
	for (unsigned int i = 0; i < 40; i++)
		if (i % 2 || i < 12)
			remove_file(&f, name_of(i));
	finish(&f);
	assert_true(allocated(&f) < 14 * MIB + MIB);
	reclaim_facts(f.store, &facts);
	assert_int_equal(facts.rounds, 3);
	assert_int_equal(facts.last_s, 1);
	assert_int_equal(facts.allocated_bytes, allocated(&f));
	assert_true(facts.live_bytes > 14 * MIB &&
		    facts.live_bytes < 15 * MIB);
	assert_true(facts.freed_bytes > 24 * MIB);
	for (unsigned int i = 12; i < 40; i += 2)
		assert_file(&f, name_of(i), i, MIB);
	/* The facts are there after a restart. */
	assert_int_equal(store_close(f.store), 0);
	files_open(&f);
	reclaim_facts(f.store, &facts);
	assert_int_equal(facts.allocated_bytes, allocated(&f));
	assert_true(facts.live_bytes > 14 * MIB);
	for (unsigned int i = 12; i < 40; i += 2)
		assert_file(&f, name_of(i), i, MIB);
	files_release(&f);
}

/* Small pieces keep whole blocks: they are moved together. */
static void test_moves(void **state)
{
	struct reclaim_facts facts;
	struct files f;

	(void)state;
	files_init(&f);
	for (unsigned int i = 0; i < 2000; i++)
		write_file(&f, name_of(i), i, 5000);
	for (unsigned int i = 0; i < 2000; i++)
		if (i % 4)
			remove_file(&f, name_of(i));
	finish(&f);
	reclaim_facts(f.store, &facts);
	assert_true(facts.moved_bytes > 0);
	assert_true(allocated(&f) < 500 * 5100 * 12 / 10 + SEGMENT / 16);
	for (unsigned int i = 0; i < 2000; i += 4)
		assert_file(&f, name_of(i), i, 5000);
	/* What lies well is not moved again. */
	finish(&f);
	reclaim_facts(f.store, &facts);
	assert_int_equal(facts.moved_bytes, 0);
	files_release(&f);
}

static void test_without_holes(void **state)
{
	struct files f;

	(void)state;
	no_punch = true;
	files_init(&f);
	for (unsigned int i = 0; i < 40; i++)
		write_file(&f, name_of(i), i, MIB);
	for (unsigned int i = 0; i < 40; i += 2)
		remove_file(&f, name_of(i));
	finish(&f); /* learns it */
	finish(&f);
	assert_true(allocated(&f) < 20 * MIB * 12 / 10);
	for (unsigned int i = 1; i < 40; i += 2)
		assert_file(&f, name_of(i), i, MIB);
	files_release(&f);
	no_punch = false;
}

/* ---- barriers */

/* Enough others that the walk of the table takes several slices. */
static void crowd(struct files *f)
{
	for (unsigned int i = 0; i < 1000; i++)
		write_file(f, name_of(i), i % 20, 5000);
}

/* (a) What moves from where the walk has not been to where it was. */
static void test_replaced(void **state)
{
	struct content c;
	struct files f;

	(void)state;
	for (int way = 0; way < 2; way++) {
		files_init(&f);
		crowd(&f);
		write_file(&f, "z", 7777, 3 * MIB);
		write_file(&f, "zz", 8888, 3 * MIB);
		assert_int_equal(content_of(&f, "z", &c), 0);
		go_to(&f, RECLAIM_MARKING);
		for (int n = 0; n < 8; n++)
			assert_int_equal(reclaim_step(f.store), 0);
		assert_int_equal(state_of(&f), RECLAIM_MARKING);
		assert_true(f.store->reclaim.round->key[0] == 'f');
		name_content(f.store, "a", &c, NULL);
		if (way) /* deleted, or overwritten */
			remove_file(&f, "z");
		else
			write_file(&f, "z", 5, 5000);
		finish(&f);
		assert_file(&f, "a", 7777, 3 * MIB);
		assert_file(&f, "zz", 8888, 3 * MIB);
		files_release(&f);
	}
}

/* (b) What was dead is found again, while a round marks or sweeps. */
static void test_found_again(void **state)
{
	static const enum reclaim_state states[] = {
		RECLAIM_DRAINING, RECLAIM_MARKING, RECLAIM_SWEEPING};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(states); i++) {
		struct files f;

		files_init(&f);
		crowd(&f);
		write_file(&f, "x", 7777, 3 * MIB);
		remove_file(&f, "x");
		go_to(&f, states[i]);
		write_file(&f, "y", 7777, 3 * MIB);
		finish(&f);
		assert_file(&f, "y", 7777, 3 * MIB);
		finish(&f);
		assert_file(&f, "y", 7777, 3 * MIB);
		files_release(&f);
	}
}

/* A content that is looked at whole, as one that a peer names. */
static int no_hash(void *arg, const struct hash *h)
{
	(void)arg;
	(void)h;
	return 0;
}

static void test_looked_at(void **state)
{
	struct content c;
	struct files f;

	(void)state;
	files_init(&f);
	crowd(&f);
	write_file(&f, "x", 7777, 3 * MIB);
	assert_int_equal(content_of(&f, "x", &c), 0);
	remove_file(&f, "x");
	go_to(&f, RECLAIM_SWEEPING);
	store_lock(f.store);
	assert_int_equal(content_missing(f.store, &c, 1, no_hash, NULL), 0);
	store_unlock(f.store);
	name_content(f.store, "y", &c, NULL);
	finish(&f);
	assert_file(&f, "y", 7777, 3 * MIB);
	files_release(&f);
}

/* (c) Who looked before the round began is waited for. */
static void test_built_before(void **state)
{
	struct store_hold hold;
	struct content_build *b;
	struct content c;
	struct files f;

	(void)state;
	files_init(&f);
	crowd(&f);
	write_file(&f, "x", 7777, 3 * MIB);
	remove_file(&f, "x");
	hold = store_hold(f.store);
	b = build(f.store, 7777, 3 * MIB, &c);
	store_hold_end(&hold);
	/* (the build holds by itself) */
	go_to(&f, RECLAIM_DRAINING);
	for (int n = 0; n < 10; n++)
		assert_int_equal(reclaim_step(f.store), -EAGAIN);
	name_content(f.store, "y", &c, b);
	content_build_free(b);
	finish(&f);
	assert_file(&f, "y", 7777, 3 * MIB);
	files_release(&f);
}

/* The same of bytes that are named by place, or as a chunk that no root
 * names yet. */
static void test_appended_before(void **state)
{
	uint8_t value[20], *bytes = bytes_of(3, 100000), *back;
	struct hash hash;
	struct buf chunk = BUF_INIT;
	struct files f;

	(void)state;
	hash_bytes(bytes, 100000, &hash);
	back = malloc(100000);
	for (int as_chunk = 0; as_chunk < 2; as_chunk++) {
		struct store_hold hold;
		struct chunk_place place;
		struct data_loc loc;

		files_init(&f);
		hold = store_hold(f.store);
		assert_int_equal(data_append(f.store, SLICE(bytes, 100000),
					     &loc),
				 0);
		place = chunk_place(loc, SLICE(bytes, 100000));
		go_to(&f, RECLAIM_DRAINING);
		assert_int_equal(reclaim_step(f.store), -EAGAIN);
		put_le32(value, loc.segment);
		put_le64(value + 4, loc.offset);
		put_le64(value + 12, 100000);
		store_lock(f.store);
		assert_int_equal(store_op_begin(f.store), 0);
		if (as_chunk)
			assert_int_equal(chunk_add(f.store, &hash, &place), 0);
		else
			assert_int_equal(store_put(f.store, TABLE_DIRTY,
						   SLICE_STR("d"),
						   SLICE(value, 20)),
					 0);
		assert_int_equal(store_op_end(f.store), 0);
		store_unlock(f.store);
		store_hold_end(&hold);
		finish(&f);
		if (as_chunk)
			assert_int_equal(chunk_read(f.store, &hash, &chunk),
					 0);
		assert_int_equal(data_read(f.store, loc, back, 100000), 0);
		assert_memory_equal(bytes, back, 100000);
		files_release(&f);
	}
	buf_release(&chunk);
	free(back);
	free(bytes);
}

/* Bytes named by place stay while they are, and are not moved. */
static void test_raw(void **state)
{
	uint8_t value[20], *bytes = bytes_of(3, 100000), *back;
	struct data_loc loc;
	struct files f;

	(void)state;
	back = malloc(100000);
	for (int replaced = 0; replaced < 2; replaced++) {
		files_init(&f);
		crowd(&f);
		assert_int_equal(data_append(f.store, SLICE(bytes, 100000),
					     &loc),
				 0);
		put_le32(value, loc.segment);
		put_le64(value + 4, loc.offset);
		put_le64(value + 12, 100000);
		store_lock(f.store);
		assert_int_equal(store_op_begin(f.store), 0);
		assert_int_equal(store_put(f.store, TABLE_DIRTY,
					   SLICE_STR("d"), SLICE(value, 20)),
				 0);
		assert_int_equal(store_op_end(f.store), 0);
		store_unlock(f.store);
		write_file(&f, "y", 8888, 5000);
		for (unsigned int i = 0; i < 1000; i++)
			if (i % 20)
				remove_file(&f, name_of(i));
		/* (OBJ is walked before DIRTY) */
		go_to(&f, RECLAIM_MARKING);
		if (replaced) {
			store_lock(f.store);
			assert_int_equal(store_op_begin(f.store), 0);
			assert_int_equal(store_del(f.store, TABLE_DIRTY,
						   SLICE_STR("d")),
					 0);
			assert_int_equal(store_put(f.store, TABLE_DIRTY,
						   SLICE_STR("0"),
						   SLICE(value, 20)),
					 0);
			assert_int_equal(store_op_end(f.store), 0);
			store_unlock(f.store);
		}
		finish(&f);
		assert_int_equal(data_read(f.store, loc, back, 100000), 0);
		assert_memory_equal(bytes, back, 100000);
		assert_file(&f, name_of(0), 0, 5000);
		assert_file(&f, "y", 8888, 5000);
		files_release(&f);
	}
	free(back);
	free(bytes);
}

/* Who looked up where something lies reads it there to the end, though it
 * was moved. */
static void test_reader(void **state)
{
	uint8_t *bytes = bytes_of(7777, 5000), back[5000];
	struct store_hold hold;
	struct chunk_place then, now;
	struct hash hash;
	struct files f;

	(void)state;
	hash_bytes(bytes, 5000, &hash);
	files_init(&f);
	crowd(&f);
	write_file(&f, "x", 7777, 5000);
	for (unsigned int i = 0; i < 1000; i++)
		remove_file(&f, name_of(i));
	go_to(&f, RECLAIM_MARKING);
	hold = store_hold(f.store);
	store_lock(f.store);
	assert_int_equal(chunk_find(f.store, &hash, &then), 0);
	store_unlock(f.store);
	go_to(&f, RECLAIM_SETTLING);
	for (int n = 0; n < 10; n++)
		assert_int_equal(reclaim_step(f.store), -EAGAIN);
	store_lock(f.store);
	assert_int_equal(chunk_find(f.store, &hash, &now), 0);
	store_unlock(f.store);
	assert_int_not_equal(then.loc.segment, now.loc.segment);
	assert_int_equal(now.len, then.len);
	assert_int_equal(now.check, then.check);
	assert_int_not_equal(now.check, 0);
	assert_int_equal(data_read(f.store, then.loc, back, 5000), 0);
	assert_memory_equal(bytes, back, 5000);
	store_hold_end(&hold);
	finish(&f);
	/* It is gone there. */
	assert_true(data_read(f.store, then.loc, back, 5000) ||
		    memcmp(bytes, back, 5000));
	assert_file(&f, "x", 7777, 5000);
	free(bytes);
	files_release(&f);
}

/* ---- a round that cannot go on */

static void damage(struct files *f, const struct hash *hash)
{
	char name[32], *path;
	struct chunk_place p;
	uint8_t byte;
	int fd;

	store_lock(f->store);
	assert_int_equal(chunk_find(f->store, hash, &p), 0);
	store_unlock(f->store);
	snprintf(name, sizeof(name), "seg/%08x", p.loc.segment);
	path = scratch_path(f->path, name);
	fd = open(path, O_RDWR);
	assert_true(fd >= 0);
	assert_int_equal(pread(fd, &byte, 1, (off_t)p.loc.offset), 1);
	byte ^= 1;
	assert_int_equal(pwrite(fd, &byte, 1, (off_t)p.loc.offset), 1);
	close(fd);
	free(path);
}

/* What is below a damaged block is not known: nothing goes. */
static void test_damaged(void **state)
{
	struct reclaim_facts facts;
	struct content c;
	struct files f;
	uint64_t before;
	int r;

	(void)state;
	files_init(&f);
	write_file(&f, "x", 7777, 3 * MIB);
	write_file(&f, "y", 8888, 3 * MIB);
	remove_file(&f, "y");
	assert_int_equal(content_of(&f, "x", &c), 0);
	damage(&f, &c.root);
	before = allocated(&f);
	assert_int_equal(reclaim_begin(f.store, &whole), 0);
	while (!(r = reclaim_step(f.store)))
		;
	assert_int_equal(r, -EIO);
	assert_false(reclaim_is_running(f.store));
	reclaim_facts(f.store, &facts);
	assert_int_equal(facts.error, -EIO);
	assert_int_equal(allocated(&f), before);
	/* Mended, and all is well. */
	damage(&f, &c.root);
	finish(&f);
	reclaim_facts(f.store, &facts);
	assert_int_equal(facts.error, 0);
	assert_true(allocated(&f) < before - 2 * MIB);
	assert_file(&f, "x", 7777, 3 * MIB);
	files_release(&f);
}

/* What cannot be moved stays where it is, as it is. */
static void test_damaged_chunk(void **state)
{
	uint8_t *bytes = bytes_of(7777, 5000);
	struct reclaim_facts facts;
	struct hash hash;
	struct files f;

	(void)state;
	hash_bytes(bytes, 5000, &hash);
	free(bytes);
	files_init(&f);
	write_file(&f, "a", 1, 3 * MIB);
	write_file(&f, "x", 7777, 5000);
	write_file(&f, "y", 8888, 5000);
	remove_file(&f, "a");
	damage(&f, &hash);
	finish(&f);
	reclaim_facts(f.store, &facts);
	assert_true(facts.moved_bytes > 5000 && facts.moved_bytes < 10000);
	assert_true(allocated(&f) < MIB);
	assert_file(&f, "y", 8888, 5000);
	damage(&f, &hash);
	assert_file(&f, "x", 7777, 5000);
	files_release(&f);
}

static void test_no_room(void **state)
{
	struct reclaim_facts facts;
	struct files f;

	(void)state;
	files_init(&f);
	write_file(&f, "a", 1, 3 * MIB);
	write_file(&f, "x", 7777, 5000);
	write_file(&f, "y", 8888, 5000);
	remove_file(&f, "a");
	go_to(&f, RECLAIM_MOVING);
	no_room = true;
	assert_int_equal(reclaim_step(f.store), 0);
	assert_int_equal(state_of(&f), RECLAIM_COMMITTING);
	no_room = false;
	finish(&f);
	reclaim_facts(f.store, &facts);
	assert_int_equal(facts.moved_bytes, 0);
	assert_true(allocated(&f) < MIB);
	assert_file(&f, "x", 7777, 5000);
	assert_file(&f, "y", 8888, 5000);
	files_release(&f);
}

/* A content that says another size than its root, by a row that never was
 * right, hurts nobody. */
static void test_wrong_size(void **state)
{
	struct content c;
	struct files f;

	(void)state;
	files_init(&f);
	write_file(&f, "x", 7777, 3 * MIB);
	assert_int_equal(content_of(&f, "x", &c), 0);
	c.size++;
	name_content(f.store, "a", &c, NULL);
	finish(&f);
	assert_file(&f, "x", 7777, 3 * MIB);
	files_release(&f);
}

/* More is replaced than a round can follow: it gives up, and loses nothing. */
static void test_overflow(void **state)
{
	struct content c = {.depth = 1, .size = 5000};
	struct files f;
	int r;

	(void)state;
	files_init(&f);
	f.store->group_max_ops = 1000000;
	crowd(&f);
	go_to(&f, RECLAIM_MARKING);
	for (unsigned int i = 0; i <= GREY_MAX + 1; i++) {
		put_le32(c.root.b, i + 1);
		name_content(f.store, "z", &c, NULL);
	}
	do
		r = reclaim_step(f.store);
	while (!r);
	assert_int_equal(r, -EOVERFLOW);
	remove_file(&f, "z");
	finish(&f);
	for (unsigned int i = 0; i < 1000; i++)
		assert_file(&f, name_of(i), i % 20, 5000);
	files_release(&f);
}

/* ---- when */

static void count_call(void *arg)
{
	++*(int *)arg;
}

static void test_due(void **state)
{
	struct files f;
	int calls = 0;

	(void)state;
	files_init(&f);
	reclaim_on_due(f.store, count_call, &calls);
	/* What is new is alive. */
	for (unsigned int i = 0; i < 60; i++)
		write_file(&f, name_of(i), i, 2 * MIB);
	assert_false(reclaim_is_due(f.store));
	assert_int_equal(calls, 0);
	/* What goes is not. */
	for (unsigned int i = 0; i < 40; i++)
		remove_file(&f, name_of(i));
	assert_true(reclaim_is_due(f.store));
	assert_int_equal(calls, 1);
	finish(&f);
	assert_false(reclaim_is_due(f.store));
	assert_int_equal(calls, 1);
	/* What is the same lies there twice. */
	for (unsigned int i = 0; i < 40; i++)
		write_file(&f, name_of(i), 40 + i % 20, 2 * MIB);
	assert_true(reclaim_is_due(f.store));
	assert_int_equal(calls, 2);
	finish(&f);
	assert_false(reclaim_is_due(f.store));
	assert_true(allocated(&f) < 42 * MIB);
	/* What is replaced, too. */
	for (unsigned int i = 0; i < 40; i++)
		write_file(&f, name_of(i), 100 + i, 2 * MIB);
	for (unsigned int i = 0; i < 40; i++)
		write_file(&f, name_of(i), 200 + i, 2 * MIB);
	assert_true(reclaim_is_due(f.store));
	for (unsigned int i = 0; i < 60; i++)
		assert_file(&f, name_of(i), i < 40 ? 200 + i : i, 2 * MIB);
	/* On a full disk a little is enough, but not what cannot be had. */
	finish(&f);
	for (unsigned int i = 0; i < 6; i++)
		write_file(&f, name_of(i), 300 + i, 2 * MIB);
	assert_false(reclaim_is_due(f.store));
	f.store->space.low = true;
	assert_true(reclaim_is_due(f.store));
	finish(&f);
	assert_false(reclaim_is_due(f.store));
	f.store->reclaim.left += 4 * MIB;
	f.store->reclaim.facts.allocated_bytes += 11 * MIB;
	assert_false(reclaim_is_due(f.store));
	f.store->reclaim.facts.allocated_bytes += 2 * MIB;
	assert_true(reclaim_is_due(f.store));
	files_release(&f);
}

/* ---- crashes */

/* Killed, or without power, after so many steps. */
static void crash_after(unsigned int steps, bool power, bool *ret_ended)
{
	struct files f;
	int r = 0;

	files_init(&f);
	f.options.no_sync = false;
	f.options.boot_id = "one";
	assert_int_equal(store_close(f.store), 0);
	files_open(&f);
	for (unsigned int i = 0; i < 60; i++)
		write_file(&f, name_of(i), i, i % 3 ? 30000 : MIB / 2);
	for (unsigned int i = 0; i < 60; i++)
		if (i % 4 == 1 || i < 20)
			remove_file(&f, name_of(i));
	assert_int_equal(store_sync(f.store), 0);
	assert_int_equal(reclaim_begin(f.store, &whole), 0);
	for (unsigned int i = 0; !r && i < steps; i++)
		r = reclaim_step(f.store);
	*ret_ended = r == 1;
	store_abandon(f.store);
	f.options.boot_id = power ? "two" : "one";
	files_open(&f);
	for (int again = 0; again < 2; again++) {
		for (unsigned int i = 20; i < 60; i++)
			if (i % 4 != 1)
				assert_file(&f, name_of(i), i,
					    i % 3 ? 30000 : MIB / 2);
		if (again)
			break;
		/* What was dead is not found again as it was. */
		for (unsigned int i = 0; i < 20; i++) {
			write_file(&f, name_of(i), i, i % 3 ? 30000 : MIB / 2);
			assert_file(&f, name_of(i), i,
				    i % 3 ? 30000 : MIB / 2);
			remove_file(&f, name_of(i));
		}
		finish(&f);
		assert_true(allocated(&f) < 8 * MIB);
	}
	files_release(&f);
}

static void test_crashes(void **state)
{
	bool ended = false;

	(void)state;
	for (unsigned int steps = 1; !ended; steps++) {
		crash_after(steps, false, &ended);
		crash_after(steps, true, &ended);
	}
}

/* ---- random files */

#define FILES 40
#define SEEDS 60

struct model {
	struct files f;
	struct {
		bool exists;
		uint64_t seed;
		size_t len;
	} file[FILES];
};

static size_t random_len(uint64_t seed)
{
	uint64_t state = seed;

	return INLINE_BYTES_MAX + 1 +
	       random_below(&state, random_below(&state, 3) ? 20000 : 900000);
}

static void random_action(struct model *m)
{
	struct files *f = &m->f;
	unsigned int i = (unsigned int)random_below(&f->rng, FILES);
	unsigned int k = (unsigned int)random_below(&f->rng, FILES);
	struct content c;

	switch (random_below(&f->rng, 6)) {
	case 0:
		remove_file(f, name_of(i));
		m->file[i].exists = false;
		break;
	case 1: /* renamed */
		if (i == k || !m->file[i].exists)
			break;
		assert_int_equal(content_of(f, name_of(i), &c), 0);
		name_content(f->store, name_of(k), &c, NULL);
		remove_file(f, name_of(i));
		m->file[k] = m->file[i];
		m->file[i].exists = false;
		break;
	default: /* often one that was there before */
		m->file[i].exists = true;
		m->file[i].seed = random_below(&f->rng, SEEDS);
		m->file[i].len = random_len(m->file[i].seed);
		write_file(f, name_of(i), m->file[i].seed, m->file[i].len);
	}
}

static void assert_files(struct model *m)
{
	struct content c;

	for (unsigned int i = 0; i < FILES; i++) {
		if (m->file[i].exists)
			assert_file(&m->f, name_of(i), m->file[i].seed,
				    m->file[i].len);
		else
			assert_int_equal(content_of(&m->f, name_of(i), &c),
					 -ENOENT);
	}
}

static void random_run(uint64_t seed)
{
	struct model *m = calloc(1, sizeof(*m));
	struct reclaim_facts facts;
	struct files *f = &m->f;

	files_init(f);
	f->rng = seed;
	for (int n = 0; n < 400; n++) {
		random_action(m);
		if (!reclaim_is_running(f->store) &&
		    !random_below(&f->rng, 10))
			assert_int_equal(reclaim_begin(f->store, &whole), 0);
		for (uint64_t k = random_below(&f->rng, 4); k; k--)
			assert_true(reclaim_step(f->store) >= 0);
		if (!random_below(&f->rng, 100)) {
			store_abandon(f->store);
			files_open(f);
			assert_files(m);
		}
	}
	assert_files(m);
	reclaim_stop(f->store);
	finish(f);
	assert_files(m);
	reclaim_facts(f->store, &facts);
	assert_true(allocated(f) <= facts.live_bytes * 12 / 10 + SEGMENT / 8);
	files_release(f);
	free(m);
}

static void test_random(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 12; seed++)
		random_run(seed);
}

/* ---- threads */

#define WORKERS 3
#define WORKER_FILES 12
#define SHARED 8

struct worker {
	struct files *f;
	unsigned int number, wrong;
	uint64_t rng;
	pthread_t thread;
	struct {
		uint64_t seed;
		size_t len;
	} file[WORKER_FILES];
};

/* As assert_file(), which is for the main thread only. */
static bool file_is(struct files *f, const char *name, uint64_t seed,
		    size_t len)
{
	struct store_hold hold = store_hold(f->store);
	uint8_t *bytes = bytes_of(seed, len), *got = malloc(len + 1);
	struct content c;
	bool yes = !content_of(f, name, &c) && c.size == len &&
		   content_read(f->store, &c, 0, got, len + 1) ==
			   (int64_t)len &&
		   !memcmp(bytes, got, len);

	store_hold_end(&hold);
	free(got);
	free(bytes);
	return yes;
}

/* A few contents only: most are here already, or were a moment ago. */
static void worker_turn(struct worker *w)
{
	unsigned int i = (unsigned int)random_below(&w->rng, WORKER_FILES);
	unsigned int k = (unsigned int)random_below(&w->rng, SHARED);
	char name[32];

	snprintf(name, sizeof(name), "w%u-%u", w->number, i);
	if (w->file[i].len && random_below(&w->rng, 2)) {
		w->wrong += !file_is(w->f, name, w->file[i].seed,
				     w->file[i].len);
		remove_file(w->f, name);
		w->file[i].len = 0;
	} else {
		w->file[i].seed = random_below(&w->rng, 20);
		w->file[i].len = random_len(w->file[i].seed);
		write_file(w->f, name, w->file[i].seed, w->file[i].len);
	}
	snprintf(name, sizeof(name), "shared-%u", k);
	w->wrong += !file_is(w->f, name, 1000 + k, 5000 + k * 30000);
}

static void *worker_main(void *arg)
{
	struct worker *w = arg;

	for (int n = 0; n < 250; n++)
		worker_turn(w);
	return NULL;
}

static void test_threads(void **state)
{
	struct worker *w = calloc(WORKERS, sizeof(*w));
	struct reclaim_facts facts;
	struct files f;
	char name[32];
	bool stop = false;
	int r;

	(void)state;
	files_init(&f);
	assert_int_equal(store_close(f.store), 0);
	f.options.threads = true;
	f.options.segment_bytes = MIB;
	files_open(&f);
	for (unsigned int k = 0; k < SHARED; k++) {
		snprintf(name, sizeof(name), "shared-%u", k);
		write_file(&f, name, 1000 + k, 5000 + k * 30000);
	}
	for (unsigned int k = 0; k < WORKERS; k++) {
		w[k].f = &f;
		w[k].number = w[k].rng = k;
		assert_int_equal(pthread_create(&w[k].thread, NULL,
						worker_main, &w[k]),
				 0);
	}
	for (unsigned int k = 0; !stop;) {
		if (!reclaim_is_running(f.store))
			assert_int_equal(reclaim_begin(f.store, &whole), 0);
		r = reclaim_step(f.store);
		assert_true(r >= 0 || r == -EAGAIN);
		if (r == -EAGAIN)
			usleep(100);
		/* (until all workers are done) */
		while (r == 1 && k < WORKERS &&
		       !pthread_tryjoin_np(w[k].thread, NULL))
			k++;
		stop = k == WORKERS;
	}
	for (unsigned int k = 0; k < WORKERS; k++)
		assert_int_equal(w[k].wrong, 0);
	reclaim_facts(f.store, &facts);
	assert_true(facts.rounds > 3);
	free(w);
	files_release(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_gives_back),
		cmocka_unit_test(test_moves),
		cmocka_unit_test(test_without_holes),
		cmocka_unit_test(test_replaced),
		cmocka_unit_test(test_found_again),
		cmocka_unit_test(test_looked_at),
		cmocka_unit_test(test_built_before),
		cmocka_unit_test(test_appended_before),
		cmocka_unit_test(test_raw),
		cmocka_unit_test(test_reader),
		cmocka_unit_test(test_damaged),
		cmocka_unit_test(test_damaged_chunk),
		cmocka_unit_test(test_no_room),
		cmocka_unit_test(test_wrong_size),
		cmocka_unit_test(test_overflow),
		cmocka_unit_test(test_due),
		cmocka_unit_test(test_crashes),
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
