/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pages of the tables' file. The input is u8 which file (a small one, or
 * one whose tables are trees of some depth), then changes of it: u8 how, u24
 * where, u8 what; how is 0 for one byte, 1 for a bit, 2 for a number of two
 * bytes to which what is added, 3 for a page that becomes a copy of another.
 *
 * The walk over the pages must bear anything. And where it finds nothing
 * wrong, LMDB is let loose on the file: all is read, and something written,
 * and nothing may crash; for that is what it is for.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/store/pages.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/node.h"

#define PAGE 4096u
#define FILES 2
#define CHANGES_MAX 64

static struct slice files[FILES];
static const char *dir;

static void put(struct store *s, enum store_table t, uint64_t n, size_t len)
{
	static const uint8_t zeros[20000];
	uint8_t key[8];

	put_be64(key, n);
	fuzz_must(store_put(s, t, SLICE(key, 8), SLICE(zeros, len)));
}

static struct slice read_db(void)
{
	autoclose int fd = open(fuzz_path(dir, "db"), O_RDONLY | O_CLOEXEC);
	struct stat st;
	uint8_t *bytes;

	kin_assert(fd >= 0 && !fstat(fd, &st));
	bytes = malloc((size_t)st.st_size);
	fuzz_must(bytes ? 0 : -ENOMEM);
	kin_assert(read(fd, bytes, (size_t)st.st_size) == st.st_size);
	return SLICE(bytes, (size_t)st.st_size);
}

/* With pages of each kind: branches, leaves, overflows, free ones. */
static struct slice make(bool deep)
{
	struct store *s = fuzz_store_open(dir);
	uint64_t rows = deep ? 3000 : 5;
	struct slice ret;

	for (int turn = 0; turn < 3; turn++) {
		store_lock(s);
		fuzz_must(store_op_begin(s));
		for (uint64_t i = 0; i < rows; i++)
			put(s, TABLE_OBJ, i, 20 + i % 50);
		put(s, TABLE_META, 1, deep ? 20000 : 3000);
		for (uint64_t i = 0; turn == 1 && i < rows / 2; i++)
			put(s, TABLE_SEQ, i, 16);
		fuzz_must(store_op_end(s));
		store_unlock(s);
		fuzz_must(store_commit(s));
	}
	fuzz_must(store_close(s));
	ret = read_db();
	fuzz_dir_clear(dir);
	return ret;
}

static void change(uint8_t *bytes, size_t len, struct reader *r)
{
	size_t how = reader_u8(r) & 3, at = reader_u16(r), from;
	uint8_t what;

	at |= (size_t)reader_u8(r) << 16;
	what = reader_u8(r);
	at %= len - 1;
	if (r->failed)
		return;
	switch (how) {
	case 0:
		bytes[at] = what;
		break;
	case 1:
		bytes[at] ^= (uint8_t)(1u << (what & 7));
		break;
	case 2:
		bytes[at] = (uint8_t)(bytes[at] + what);
		bytes[at + 1] = (uint8_t)(bytes[at + 1] + (what >> 6));
		break;
	case 3:
		at = at / PAGE * PAGE;
		from = what % (len / PAGE) * PAGE;
		memmove(bytes + at, bytes + from, PAGE);
		break;
	}
}

static int read_entry(void *arg, enum store_table t, struct slice key,
		      struct slice stored)
{
	uint8_t *sum = arg;

	kin_assert(t < TABLE_COUNT && key.len);
	for (size_t i = 0; i < stored.len; i++)
		*sum ^= stored.data[i];
	return 0;
}

static void read_all(struct store *s)
{
	uint8_t at[STORE_KEY_BYTES_MAX + 1];
	struct slice key, value;

	for (enum store_table t = 0; t < TABLE_COUNT; t++) {
		size_t len = 0;

		(void)store_count(s, t);
		while (!store_seek(s, t, SLICE(at, len), &key, &value)) {
			if (key.len > STORE_KEY_BYTES_MAX)
				break;
			memcpy(at, key.data, key.len);
			at[key.len] = 0;
			len = key.len + 1;
		}
	}
}

static int write_some(struct store *s)
{
	static const uint8_t key[8] = { 0x77 };
	int r = 0;

	for (uint8_t i = 0; !r && i < 40; i++) {
		uint8_t k[8] = { i };

		r = store_op_begin(s);
		if (r)
			break;
		r = store_put(s, TABLE_OBJ, SLICE(k, 8), SLICE(k, 8));
		if (!r)
			r = store_put(s, TABLE_DIR, SLICE(key, 8), SLICE(k, 8));
		if (!r)
			r = store_del(s, TABLE_SEQ, SLICE(k, 8));
		if (r)
			store_op_abort(s);
		else
			r = store_op_end(s);
	}
	return r;
}

/* Any error will do; only no crash. */
static void let_loose(void)
{
	for (int turn = 0; turn < 2; turn++) {
		struct store *s;
		int r = fuzz_store_try_open(dir, &s);

		if (r)
			return;
		store_lock(s);
		read_all(s);
		r = write_some(s);
		store_unlock(s);
		if (!r)
			r = store_commit(s);
		(void)store_close(s);
		if (r)
			return;
	}
}

void fuzz_pages(struct slice in)
{
	struct reader r = READER(in.data, in.len);
	const struct slice *file = &files[reader_u8(&r) % FILES];
	struct pages_result result;
	autofree uint8_t *bytes = NULL;
	autoclose int fd = -1;
	uint8_t sum = 0;
	const struct pages_ops ops = { .entry = read_entry, .arg = &sum };
	static const char *path;
	int e;

	if (!dir) {
		dir = fuzz_dir("pages");
		for (size_t i = 0; i < FILES; i++)
			files[i] = make(i);
		path = fuzz_path(dir, "db");
	}
	bytes = malloc(file->len);
	fuzz_must(bytes ? 0 : -ENOMEM);
	memcpy(bytes, file->data, file->len);
	for (int i = 0; i < CHANGES_MAX && reader_left(&r); i++)
		change(bytes, file->len, &r);
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	kin_assert(fd >= 0 &&
		   write(fd, bytes, file->len) == (ssize_t)file->len);
	e = pages_walk(fd, -1, &ops, &result);
	kin_assert(!e || e == -EIO);
	if (in.len <= 1)
		kin_assert(!e && !result.faults && result.pages);
	if (!e && !result.faults)
		let_loose();
	fuzz_dir_clear(dir);
}

void fuzz_pages_seeds(void (*seed)(const char *, struct slice))
{
	static const uint8_t small[] = { 0 }, deep[] = { 1 },
			     some[] = { 1, 0, 18, 48, 0, 9,  1, 2,
					64, 1, 3,  2, 10, 96, 0, 1,
					3, 0, 80, 0, 4 };

	seed("small", SLICE(small, sizeof(small)));
	seed("deep", SLICE(deep, sizeof(deep)));
	seed("some", SLICE(some, sizeof(some)));
}
