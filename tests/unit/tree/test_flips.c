/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One bit of a store flips: in each page of its tables, in its data, in its
 * log. Each time the check finds it, or everything is as it was. In no case
 * is anything shown, or given to a peer, that was not there; and nobody
 * crashes. Each flip is tried in a child of its own, which sees it alone.
 *
 * Which bits, changes from day to day (KINFS_TURN: a day's number). With
 * KINFS_ALL_BITS in the environment: all bits of all bytes (hours).
 */
#include "tree_support.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "fs/base/hash.h"
#include "fs/base/log.h"
#include "fs/store/pages.h"
#include "fs/tree/check.h"

#define PAGE 4096
/* Where a page of LMDB's says what it is (branch 1, leaf 2, overflow 4, meta
 * 8), and of how many pages that is true, if it is overflow. */
#define PAGE_FLAGS_AT 10
#define PAGE_COUNT_AT 12
#define PAGE_OVERFLOW 4
#define PAGE_KINDS 15
#define FILES_MAX 100
#define ROWS_MAX 200
#define FILE_BYTES 120000
/* Tried in one child. */
#define BATCH 64

/* How a try ended, as a child says it. */
enum outcome {
	FOUND = 10,	/* the check, or the opening, said so */
	HARMLESS,	/* all is as it was */
	UNSEEN,		/* something is missing, and nobody said so */
	WRONG_BYTES,	/* a file has bytes that it never had */
	WRONG_ROW,	/* a peer would get what never was */
	WRONG_NAME,	/* a name is shown that never was */
};

struct reference {
	struct {
		char path[200];
		uint64_t sum;	/* of its bytes */
	} files[FILES_MAX];
	size_t file_count;
	struct {
		struct objid id;
		uint64_t sum;
	} rows[ROWS_MAX];
	size_t row_count;
};

static struct reference sound;
static int64_t now_ns(void *arg) { (void)arg; return 1700000000000000000; }
static uint64_t monotonic(void *arg) { (void)arg; return 1; }
static void draw(void *arg, void *ret, size_t len)
{
	(void)arg;
	memset(ret, 7, len);
}
static const struct tree_env env = { NULL, now_ns, monotonic, draw, NULL,
				     NULL };

/* ---- what is shown, and given */

/* The sum of a file's bytes; or an error. */
static int read_sum(struct tree *t, const char *path, uint64_t *ret)
{
	static uint8_t bytes[FILE_BYTES];
	uint64_t ino, at = 0;
	int64_t n = 0;
	int r = tree_resolve_path(t, SLICE_STR(path), &ino);

	if (r)
		return r;
	*ret = 1;
	do {
		/* (as a program reads: piece by piece) */
		n = tree_read(t, ino, at, bytes, 5000);
		if (n > 0)
			*ret = checksum64(bytes, (size_t)n, *ret);
		at += n > 0 ? (uint64_t)n : 0;
	} while (n > 0);
	return (int)n;
}

static int note_file(void *arg, const struct replica_view_entry *e)
{
	struct tree *t = arg;
	size_t n = sound.file_count;

	if (e->kind != KIND_FILE)
		return 0;
	assert_true(n < FILES_MAX);
	snprintf(sound.files[n].path, sizeof(sound.files[n].path), "%.*s",
		 (int)e->path.len, (const char *)e->path.data);
	sound.file_count++;
	(void)t;
	return 0;
}

static int note_row(void *arg, struct objid id, struct slice row)
{
	(void)arg;
	assert_true(sound.row_count < ROWS_MAX);
	sound.rows[sound.row_count].id = id;
	sound.rows[sound.row_count++].sum =
		checksum64(row.data, row.len, 3);
	return 0;
}

static int judge_row(void *arg, struct objid id, struct slice row)
{
	size_t *rows = arg;

	++*rows;
	for (size_t k = 0; k < sound.row_count; k++)
		if (objid_equal(sound.rows[k].id, id))
			return checksum64(row.data, row.len, 3) ==
					       sound.rows[k].sum ?
				       0 : -EILSEQ;
	return -EILSEQ;
}

static int judge_name(void *arg, const struct replica_view_entry *e)
{
	(void)arg;
	if (e->kind != KIND_FILE)
		return 0;
	for (size_t k = 0; k < sound.file_count; k++)
		if (slice_equal(SLICE_STR(sound.files[k].path), e->path))
			return 0;
	return -EILSEQ;
}

/* ---- one try */

static void note_page(void *arg, const struct pages_fault *f)
{
	(void)f;
	*(bool *)arg = true;
}

static bool pages_are_sound(const char *path)
{
	struct pages_result found;
	bool faults = false;
	struct pages_ops ops = { .fault = note_page, .arg = &faults };
	char file[100];
	int fd, r;

	snprintf(file, sizeof(file), "%s/db", path);
	fd = open(file, O_RDONLY);
	r = pages_walk(fd, -1, &ops, &found);
	close(fd);
	return !r && !faults;
}

/* 1: it finds something. */
static int check_finds(struct tree *t, bool data)
{
	struct check_options o = { .data = data, .still = true };
	struct check *c;
	int r = check_begin(t, &o, &c);

	while (!r)
		r = check_step(c);
	if (r == 1)
		r = check_result(c)->faults != 0;
	check_end(c);
	return r;
}

static enum outcome judge(struct tree *t, bool found)
{
	bool whole = true;
	size_t rows = 0;
	int r;

	for (size_t k = 0; k < sound.file_count; k++) {
		uint64_t sum;

		r = read_sum(t, sound.files[k].path, &sum);
		if (!r && sum != sound.files[k].sum)
			return WRONG_BYTES;
		whole &= !r;
	}
	r = replica_view(t, judge_name, NULL);
	if (r == -EILSEQ)
		return WRONG_NAME;
	whole &= !r;
	r = replica_rows(t, judge_row, &rows);
	if (r == -EILSEQ)
		return WRONG_ROW;
	whole &= !r && rows == sound.row_count;
	if (found)
		return FOUND;
	return whole ? HARMLESS : UNSEEN;
}

static enum outcome try_it(const char *path)
{
	struct store_options so = { .path = path, .no_sync = true,
				    .log_bytes = 1 << 20,
				    .map_bytes = 1 << 30, .inspect = true };
	struct tree_options to = { .env = &env };
	enum outcome outcome;
	struct store *s;
	struct tree *t;

	if (!pages_are_sound(path))
		return FOUND;
	if (store_open(&so, NULL, &s))
		return FOUND;
	to.store = s;
	if (!tree_exists(s) || tree_open(&to, &t)) {
		store_abandon(s);
		return FOUND;
	}
	/* The log ends where it is damaged: what is there is what was before
	 * the operations that are lost. */
	if (store_log_lost(s)) {
		tree_close(t);
		store_abandon(s);
		return FOUND;
	}
	/* (at first, as nobody has looked at anything before) */
	outcome = judge(t, true);
	if (outcome == FOUND)
		outcome = judge(t, check_finds(t, true) != 0);
	tree_close(t);
	store_abandon(s);
	return outcome;
}

/* ---- files and places */

struct target {
	char file[120];
	uint8_t *map;
	size_t len;
	uint64_t found, harmless;
};

static void target_open(struct target *x, const char *path, const char *name)
{
	struct stat st;
	int fd;

	*x = (struct target){ .found = 0 };
	snprintf(x->file, sizeof(x->file), "%s/%s", path, name);
	fd = open(x->file, O_RDWR);
	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	x->len = (size_t)st.st_size;
	x->map = mmap(NULL, x->len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_true(x->map != MAP_FAILED);
	close(fd);
}

static void try_batch(struct target *x, const char *path, const size_t *at,
		      const uint8_t *bits, size_t count)
{
	uint8_t *said = mmap(NULL, BATCH, PROT_READ | PROT_WRITE,
			     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int status;
	pid_t pid;

	assert_true(said != MAP_FAILED);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		log_set_level(LOG_LEVEL_ERROR);
		for (size_t k = 0; k < count; k++) {
			x->map[at[k]] ^= bits[k];
			said[k] = (uint8_t)try_it(path);
			x->map[at[k]] ^= bits[k];
		}
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	for (size_t k = 0; k < count; k++) {
		if (said[k] != FOUND && said[k] != HARMLESS)
			print_error("%s, byte %zu, bits %02x: %d\n", x->file,
				    at[k], bits[k], said[k]);
		assert_true(said[k] == FOUND || said[k] == HARMLESS);
		x->found += said[k] == FOUND;
		x->harmless += said[k] == HARMLESS;
	}
	assert_true(WIFEXITED(status) && !WEXITSTATUS(status));
	munmap(said, BATCH);
}

static size_t turn(void)
{
	const char *day = getenv("KINFS_TURN");

	return day ? strtoul(day, NULL, 10) : (size_t)time(NULL) / 86400;
}

/* Of each page its first bytes and some others; else each `step`th byte. */
static bool is_tried(size_t at, size_t step, bool pages)
{
	if (getenv("KINFS_ALL_BITS"))
		return true;
	if (pages && at % PAGE < 24)
		return at % 4 == (at / PAGE + turn()) % 4;
	return (at + turn() * 37) % step == 0;
}

/* Is there a page of each kind? */
static void expect_kinds(const struct target *x)
{
	unsigned int kinds = 0;

	for (size_t at = 0; at < x->len; at += PAGE) {
		unsigned int kind = x->map[at + PAGE_FLAGS_AT];

		kinds |= kind;
		if (kind & PAGE_OVERFLOW)
			at += PAGE * (get_le32(x->map + at + PAGE_COUNT_AT) -
				      1);
	}
	assert_int_equal(kinds & PAGE_KINDS, PAGE_KINDS);
}

static void try_file(const char *path, const char *name, size_t step,
		     bool pages)
{
	size_t at[BATCH], count = 0;
	uint8_t bits[BATCH];
	struct target x;
	bool all = getenv("KINFS_ALL_BITS");

	target_open(&x, path, name);
	if (pages)
		expect_kinds(&x);
	for (size_t k = 0; k < x.len; k++) {
		if (!is_tried(k, step, pages))
			continue;
		for (unsigned int bit = 0; bit < 8; bit++) {
			if (!all && bit != (k / step + k + turn()) % 8)
				continue;
			at[count] = k;
			bits[count++] = (uint8_t)(1 << bit);
			if (count == BATCH) {
				try_batch(&x, path, at, bits, count);
				count = 0;
			}
		}
	}
	try_batch(&x, path, at, bits, count);
	print_message("%s, KINFS_TURN=%zu: %llu found, %llu harmless\n", name,
		      turn(), (unsigned long long)x.found,
		      (unsigned long long)x.harmless);
	munmap(x.map, x.len);
}

/* ---- the store */

static void make_content(char *bytes, size_t len, unsigned int seed)
{
	for (size_t k = 0; k < len; k++)
		bytes[k] = (char)('a' + (k * k + k / 7 * seed) % 23);
	bytes[len] = 0;
}

/* Files small and large, a conflict, merged directories, history. */
static void fill(struct fixture *a)
{
	static char large[FILE_BYTES + 1];
	struct fixture b;
	uint64_t dir;
	char name[20];

	fixture_open(a, "anna", true);
	dir = make_dir(a, TREE_ROOT_INO, "dir");
	for (int k = 0; k < 30; k++) {
		snprintf(name, sizeof(name), "file%d", k);
		make_file(a, dir, name, name);
	}
	make_content(large, 3500, 2);
	make_file(a, dir, "inline", large);
	make_content(large, 90000, 3);
	make_file(a, dir, "large", large);
	make_content(large, 7000, 5);
	write_file(a, make_file(a, dir, "often", "first"), large);
	fixture_open(&b, "ben", false);
	merge_from(&b, a);
	write_file(a, look(a, dir, "file1"), "of a");
	write_file(&b, look(&b, look(&b, TREE_ROOT_INO, "dir"), "file1"),
		   "of b");
	make_dir(a, TREE_ROOT_INO, "both");
	make_dir(&b, TREE_ROOT_INO, "both");
	make_file(&b, look(&b, TREE_ROOT_INO, "both"), "in-b", "y");
	assert_int_equal(tree_unlink(a->tree, dir, SLICE_STR("file2")), 0);
	merge_from(a, &b);
	fixture_close(&b);
}

/* What the store shows, read by one who only looks. */
static void remember(const char *path)
{
	struct store_options so = { .path = path, .no_sync = true,
				    .log_bytes = 1 << 20,
				    .map_bytes = 1 << 30, .inspect = true };
	struct tree_options to = { .env = &env };
	struct store *s;
	struct tree *t;

	sound = (struct reference){ .file_count = 0 };
	assert_int_equal(store_open(&so, NULL, &s), 0);
	to.store = s;
	assert_int_equal(tree_open(&to, &t), 0);
	assert_int_equal(replica_view(t, note_file, t), 0);
	for (size_t k = 0; k < sound.file_count; k++)
		assert_int_equal(read_sum(t, sound.files[k].path,
					  &sound.files[k].sum), 0);
	assert_int_equal(replica_rows(t, note_row, NULL), 0);
	assert_true(sound.file_count > 32 && sound.row_count > 35);
	tree_close(t);
	store_abandon(s);
	assert_int_equal(try_it(path), HARMLESS);
}

static void test_tables(void **state)
{
	struct fixture a;

	(void)state;
	fill(&a);
	fixture_stop(&a);
	remember(a.path);
	try_file(a.path, "db", 401, true);
	fixture_resume(&a);
	fixture_close(&a);
}

static void test_data(void **state)
{
	struct fixture a;

	(void)state;
	fill(&a);
	fixture_stop(&a);
	remember(a.path);
	try_file(a.path, "seg/00000000", 601, false);
	fixture_resume(&a);
	fixture_close(&a);
}

/* Killed after a sync: the tables have nothing of it, the log has all. */
static void test_log(void **state)
{
	struct fixture a;
	struct stat st;
	char log[120];

	(void)state;
	fill(&a);
	assert_int_equal(store_sync(a.store), 0);
	snprintf(log, sizeof(log), "%s/log/0", a.path);
	tree_close(a.tree);
	store_abandon(a.store);
	assert_int_equal(stat(log, &st), 0);
	remember(a.path);
	try_file(a.path, "log/0", (size_t)st.st_size / 250 + 1, false);
	fixture_resume(&a);
	fixture_close(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tables),
		cmocka_unit_test(test_data),
		cmocka_unit_test(test_log),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
