/* SPDX-License-Identifier: Apache-2.0 */
/* The intent log: bytes, laps, damage. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/base/id.h"
#include "fs/store/format.h"
#include "fs/store/journal.h"
#include "scratch_support.h"

#define LOG_ID 0x1122334455667788u
/* Sixteen records of test_append() fill a segment. */
#define RECORD_BYTES 256
#define SEGMENT_BYTES 4096
#define SEGMENT_RECORDS (SEGMENT_BYTES / RECORD_BYTES)

/* ---- bytes */

static void assert_golden(const char *name, struct slice bytes)
{
	char line[4096], *hex = malloc(2 * bytes.len + 1);
	FILE *f = fopen(KINFS_GOLDEN_DIR "/store-log.txt", "r");
	bool found = false;

	assert_non_null(f);
	hex_encode(bytes.data, bytes.len, hex);
	while (fgets(line, sizeof(line), f)) {
		char *save, *key = strtok_r(line, " \n", &save);
		char *value = strtok_r(NULL, " \n", &save);

		if (!key || strcmp(key, name))
			continue;
		assert_non_null(value);
		assert_string_equal(hex, value);
		found = true;
	}
	assert_true(found);
	fclose(f);
	free(hex);
}

static void golden_record(struct buf *b)
{
	struct slice k, v;

	log_record_begin(b);
	log_record_put(b, TABLE_OBJ, SLICE_STR("key"), SLICE_STR("value"), &k,
		       &v);
	assert_true(slice_equal(k, SLICE_STR("key")));
	assert_true(slice_equal(v, SLICE_STR("value")));
	log_record_del(b, TABLE_DIR, SLICE_STR("gone"), &k);
	assert_true(slice_equal(k, SLICE_STR("gone")));
	log_record_put(b, TABLE_META, SLICE_STR("empty"), SLICE("", 0), &k, &v);
	log_record_seal(b, LOG_ID,
			&(struct log_header){.lsn = 7, .lap = 5, .mark = 3});
}

static void golden_data(struct buf *b)
{
	log_record_begin(b);
	memcpy(log_record_data(b, (struct data_loc){3, 300}, 4), "data", 4);
	memcpy(log_record_data(b, (struct data_loc){UINT32_MAX, 1 << 16}, 1),
	       "x", 1);
	log_record_seal(b, LOG_ID,
			&(struct log_header){.lsn = 9, .lap = 5, .mark = 8});
}

static void test_golden(void **state)
{
	cleanup(buf_release) struct buf b = BUF_INIT;
	struct log_state st = {.id = LOG_ID, .lsn = 42}, back;
	uint8_t value[LOG_STATE_BYTES], format[4];

	(void)state;
	golden_record(&b);
	assert_golden("record", buf_slice(&b));
	log_record_begin(&b);
	log_record_seal(&b, LOG_ID,
			&(struct log_header){.lsn = 8, .lap = 5, .mark = 7});
	assert_golden("mark", buf_slice(&b));
	golden_data(&b);
	assert_golden("data", buf_slice(&b));
	log_state_encode(&st, value);
	assert_golden("meta-log", SLICE(value, sizeof(value)));
	put_le32(format, STORE_FORMAT);
	assert_golden("meta-format", SLICE(format, sizeof(format)));

	assert_int_equal(log_state_decode(SLICE(value, sizeof(value)), &back),
			 0);
	assert_true(back.id == LOG_ID && back.lsn == 42);
	assert_int_equal(
		log_state_decode(SLICE(value, sizeof(value) - 1), &back),
		-EBADMSG);
	for (unsigned int t = 0; t < TABLE_COUNT; t++)
		assert_non_null(table_name(t));
}

static void test_decode(void **state)
{
	cleanup(buf_release) struct buf b = BUF_INIT;
	struct log_header h;
	struct log_entry e;
	struct slice entries;
	struct reader rd;

	(void)state;
	golden_record(&b);
	assert_int_equal(log_record_decode(buf_slice(&b), LOG_ID, &h, &entries),
			 0);
	assert_true(h.lsn == 7 && h.lap == 5 && h.mark == 3 &&
		    h.length == b.len);
	rd = READER(entries.data, entries.len);
	assert_int_equal(log_entry_decode(&rd, &e), 0);
	assert_true(e.table == TABLE_OBJ && e.kind == LOG_PUT);
	assert_true(slice_equal(e.value, SLICE_STR("value")));
	assert_int_equal(log_entry_decode(&rd, &e), 0);
	assert_true(e.table == TABLE_DIR && e.kind == LOG_DELETE);
	assert_true(slice_equal(e.key, SLICE_STR("gone")));
	assert_int_equal(log_entry_decode(&rd, &e), 0);
	assert_true(e.table == TABLE_META && !e.value.len);
	assert_int_equal(reader_left(&rd), 0);
	assert_int_equal(log_entry_decode(&rd, &e), -EBADMSG);

	assert_false(log_entries_are_mark(entries));
	assert_true(log_entries_are_mark(SLICE(NULL, 0)));
	golden_data(&b);
	assert_int_equal(log_record_decode(buf_slice(&b), LOG_ID, &h, &entries),
			 0);
	assert_true(log_entries_are_mark(entries));
	rd = READER(entries.data, entries.len);
	assert_int_equal(log_entry_decode(&rd, &e), 0);
	assert_true(e.kind == LOG_DATA && e.loc.segment == 3 &&
		    e.loc.offset == 300);
	assert_true(slice_equal(e.value, SLICE_STR("data")));
	assert_int_equal(log_entry_decode(&rd, &e), 0);
	assert_true(e.kind == LOG_DATA && e.loc.segment == UINT32_MAX &&
		    e.loc.offset == 1 << 16 && e.value.len == 1);
	assert_int_equal(reader_left(&rd), 0);
	golden_record(&b);

	/* A record that knows the future: invalid. */
	log_record_seal(&b, LOG_ID,
			&(struct log_header){.lsn = 7, .lap = 5, .mark = 7});
	assert_int_equal(log_record_decode(buf_slice(&b), LOG_ID, &h, &entries),
			 -EBADMSG);
	golden_record(&b);

	/* Another store's, cut short, or with any byte changed: invalid. */
	assert_int_equal(
		log_record_decode(buf_slice(&b), LOG_ID + 1, &h, &entries),
		-EBADMSG);
	for (size_t i = 0; i < b.len; i++) {
		assert_int_equal(log_record_decode(SLICE(b.data, i), LOG_ID, &h,
						   &entries),
				 -EBADMSG);
		b.data[i] ^= 0x10;
		assert_int_equal(
			log_record_decode(buf_slice(&b), LOG_ID, &h, &entries),
			-EBADMSG);
		b.data[i] ^= 0x10;
	}
}

static void test_bad_entries(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
	} bad[] = {
		{"\x01", 1},		 /* no lengths */
		{"\x7f\x01\x01kv", 5},	 /* no such table */
		{"\x01\x00\x01v", 4},	 /* empty key */
		{"\x01\x01\x02kv", 5},	 /* value cut short */
		{"\x81\x02k", 3},	 /* key cut short */
		{"\x01\xc1\x02\x00", 4}, /* key of 321 bytes */
		{"\x01\x01\xff\xff\xff\xff\x0fk", 8},
		{"\x40\x01\x01", 3},	       /* no length */
		{"\x40\x01\x01\x00", 4},      /* no data */
		{"\x40\x01\x01\x02k", 5},     /* data cut short */
		{"\xc0\x01\x01\x01k", 5},     /* its deletion */
		{"\x40\x80\x80\x80\x80\x10\x01\x01k", 9}, /* segment 2^32 */
		/* the end is beyond what a file can have */
		{"\x40\x01\xff\xff\xff\xff\xff\xff\xff\xff\x7f\x01k", 13},
	};
	struct log_entry e;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct reader rd = READER(bad[i].bytes, bad[i].len);

		assert_int_equal(log_entry_decode(&rd, &e), -EBADMSG);
	}
}

/* ---- logs in files */

static void test_open(struct journal *j, const char *path, uint64_t id)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY);

	assert_true(fd >= 0);
	assert_int_equal(journal_open(j, fd, SEGMENT_BYTES, id, true), 0);
}

/* Appends a record of RECORD_BYTES that says its number. */
static int test_append(struct journal *j, uint64_t number)
{
	cleanup(buf_release) struct buf b = BUF_INIT;
	uint8_t value[RECORD_BYTES - LOG_HEADER_BYTES - 5] = {0};
	struct slice k, v;

	put_le64(value, number);
	log_record_begin(&b);
	log_record_put(&b, TABLE_OBJ, SLICE_STR("k"),
		       SLICE(value, sizeof(value)), &k, &v);
	assert_int_equal(b.len, RECORD_BYTES);
	return journal_append(j, &b);
}

static void test_append_some(struct journal *j, uint64_t from, uint64_t to)
{
	for (; from <= to; from++)
		assert_int_equal(test_append(j, from), 0);
}

struct expect {
	uint64_t next; /* number that the next record must have */
};

static int expect_apply(void *arg, struct slice entries)
{
	struct expect *x = arg;
	struct reader rd = READER(entries.data, entries.len);
	struct log_entry e;

	assert_int_equal(log_entry_decode(&rd, &e), 0);
	assert_int_equal(get_le64(e.value.data), x->next);
	x->next++;
	return 0;
}

static struct log_scan assert_reaches(const char *path, enum log_reach reach,
				      uint64_t first, uint64_t last)
{
	struct expect x = {first};
	struct log_scan scan;
	struct journal j;

	test_open(&j, path, LOG_ID);
	assert_int_equal(
		journal_replay(&j, first - 1, reach, expect_apply, &x, &scan),
		0);
	assert_int_equal(x.next, last + 1);
	assert_int_equal(scan.applied, last + 1 - first);
	assert_int_equal(scan.last_lsn, last);
	journal_release(&j);
	return scan;
}

/* The records first..last, and no others, are replayed after first - 1. */
static struct log_scan assert_replays(const char *path, uint64_t first,
				      uint64_t last)
{
	return assert_reaches(path, LOG_ALL, first, last);
}

static void damage(const char *path, const char *segment, off_t at)
{
	char *name = scratch_path(path, segment);
	int fd = open(name, O_RDWR);
	uint8_t b;

	assert_int_equal(pread(fd, &b, 1, at), 1);
	b ^= 1;
	assert_int_equal(pwrite(fd, &b, 1, at), 1);
	close(fd);
	free(name);
}

static void test_laps(void **state)
{
	char *path = scratch_make();
	uint64_t last = 2 * SEGMENT_RECORDS;
	struct log_scan scan;
	struct expect x = {1};
	struct journal j;

	(void)state;
	test_open(&j, path, LOG_ID);
	assert_int_equal(journal_start(&j, 0), 0);
	test_append_some(&j, 1, last);
	assert_int_equal(j.count, 2);
	assert_true(journal_is_short(&j));
	assert_replays(path, 1, last);
	journal_committed(&j, SEGMENT_RECORDS);
	assert_false(journal_is_short(&j));
	/*
	 * Five records over segment 0: what follows them is a valid record
	 * of the first lap, at the right place, and is not taken.
	 */
	test_append_some(&j, last + 1, last + 5);
	assert_int_equal(j.count, 2);
	assert_int_equal(j.current->number, 0);
	assert_replays(path, SEGMENT_RECORDS + 1, last + 5);
	assert_replays(path, last + 1, last + 5);
	scan = assert_replays(path, last + 6, last + 5);
	assert_int_equal(scan.max_lsn, last + 5);
	journal_release(&j);

	test_open(&j, path, LOG_ID + 1);
	assert_int_equal(
		journal_replay(&j, 0, LOG_ALL, expect_apply, &x, &scan), 0);
	assert_int_equal(scan.applied, 0);
	assert_int_equal(scan.max_lsn, 0);
	journal_release(&j);
	scratch_remove(path);
}

static void test_torn(void **state)
{
	char *path = scratch_make();
	char *name = scratch_path(path, "0");
	struct log_scan scan;
	struct journal j;

	(void)state;
	test_open(&j, path, LOG_ID);
	assert_int_equal(journal_start(&j, 0), 0);
	test_append_some(&j, 1, 5);
	journal_release(&j);
	for (off_t n = 5 * RECORD_BYTES - 1; n >= 0; n -= 13) {
		assert_int_equal(truncate(name, n), 0);
		scan = assert_replays(path, 1, (uint64_t)(n / RECORD_BYTES));
		assert_int_equal(scan.max_lsn, scan.last_lsn);
	}
	free(name);
	scratch_remove(path);
}

/* What lies behind a hole is not applied, but its numbers are used up. */
static void test_holes(void **state)
{
	char *path = scratch_make();
	uint64_t last = 3 * SEGMENT_RECORDS;
	struct log_scan scan;
	struct journal j;

	(void)state;
	test_open(&j, path, LOG_ID);
	assert_int_equal(journal_start(&j, 0), 0);
	test_append_some(&j, 1, last);
	journal_release(&j);
	/* The last record but two of the last segment. */
	damage(path, "2", SEGMENT_BYTES - 2 * RECORD_BYTES - 1);
	scan = assert_replays(path, 1, last - 3);
	assert_int_equal(scan.max_lsn, last);
	/* The first of the second. */
	damage(path, "1", 40);
	scan = assert_replays(path, 1, SEGMENT_RECORDS);
	assert_int_equal(scan.max_lsn, last);
	/* From there it goes on, and what was dropped never comes back. */
	test_open(&j, path, LOG_ID);
	assert_int_equal(journal_start(&j, last), 0);
	test_append_some(&j, last + 1, last + 3);
	journal_release(&j);
	scan = assert_replays(path, last + 1, last + 3);
	assert_int_equal(scan.max_lsn, last + 3);
	scratch_remove(path);
}

/* A replay that reaches to the greatest mark, wherever that is. */
static void test_marks(void **state)
{
	cleanup(buf_release) struct buf b = BUF_INIT;
	char *path = scratch_make();
	uint64_t last = 2 * SEGMENT_RECORDS + 5;
	struct log_scan scan;
	struct journal j;

	(void)state;
	test_open(&j, path, LOG_ID);
	assert_int_equal(journal_start(&j, 0), 0);
	test_append_some(&j, 1, 4);
	scan = assert_reaches(path, LOG_MARKED, 1, 0);
	assert_int_equal(scan.dropped, 4);
	assert_int_equal(scan.max_lsn, 4);
	/* Each record carries the mark; a smaller one changes nothing. */
	journal_mark(&j, 3);
	journal_mark(&j, 2);
	assert_reaches(path, LOG_MARKED, 1, 0);
	test_append_some(&j, 5, last);
	scan = assert_reaches(path, LOG_MARKED, 1, 3);
	assert_int_equal(scan.dropped, last - 3);
	assert_int_equal(scan.max_lsn, last);
	scan = assert_replays(path, 1, last);
	assert_int_equal(scan.dropped, 0);
	/* A record that is nothing but a mark is no operation. */
	journal_mark(&j, last - 1);
	log_record_begin(&b);
	assert_int_equal(journal_append(&j, &b), 0);
	scan = assert_reaches(path, LOG_MARKED, 1, last - 1);
	assert_int_equal(scan.dropped, 1);
	assert_int_equal(scan.max_lsn, last + 1);
	/* What a commit contains is marked by it. */
	journal_committed(&j, last + 1);
	test_append_some(&j, last + 2, last + 2);
	scan = assert_reaches(path, LOG_MARKED, last + 2, last + 1);
	assert_int_equal(scan.dropped, 1);
	/* Torn, it leaves the mark before; behind a hole it is true. */
	damage(path, "2", 6 * RECORD_BYTES - 1 + LOG_HEADER_BYTES);
	assert_reaches(path, LOG_MARKED, 1, last - 1);
	damage(path, "2", 5 * RECORD_BYTES + 3);
	scan = assert_reaches(path, LOG_MARKED, 1, 3);
	assert_int_equal(scan.max_lsn, last);
	damage(path, "2", 5 * RECORD_BYTES + 3);
	damage(path, "1", 40);
	scan = assert_reaches(path, LOG_MARKED, 1, SEGMENT_RECORDS);
	assert_int_equal(scan.dropped, 0);
	journal_release(&j);
	scratch_remove(path);
}

static void test_limits(void **state)
{
	cleanup(buf_release) struct buf b = BUF_INIT;
	char *path = scratch_make();
	uint64_t last = LOG_SEGMENTS_MAX * SEGMENT_RECORDS;
	struct log_sync sync;
	struct journal j;

	(void)state;
	test_open(&j, path, LOG_ID);
	assert_int_equal(journal_start(&j, 0), 0);
	log_record_begin(&b);
	assert_non_null(buf_extend(&b, SEGMENT_BYTES));
	assert_int_equal(journal_append(&j, &b), -EFBIG);
	test_append_some(&j, 1, last);
	assert_int_equal(j.count, LOG_SEGMENTS_MAX);
	assert_int_equal(test_append(&j, last + 1), -EAGAIN);
	journal_sync_begin(&j, &sync);
	assert_int_equal(sync.count, 0); /* this log is never synced */
	assert_int_equal(log_sync_run(&sync), 0);
	journal_committed(&j, last);
	test_append_some(&j, last + 1, last + 1);
	journal_release(&j);
	assert_replays(path, last + 1, last + 1);
	scratch_remove(path);
}

/* With sync: the files have their length, and blocks, from the start. */
static void test_fill(void **state)
{
	char *path = scratch_make();
	struct log_sync sync;
	struct journal j;

	(void)state;
	assert_int_equal(journal_open(&j, open(path, O_RDONLY), SEGMENT_BYTES,
				      LOG_ID, false),
			 0);
	assert_int_equal(journal_start(&j, 0), 0);
	assert_int_equal(j.count, LOG_SEGMENTS_MIN);
	for (unsigned int i = 0; i < j.count; i++) {
		struct stat st;

		assert_int_equal(fstat(j.segments[i].fd, &st), 0);
		assert_int_equal(st.st_size, SEGMENT_BYTES);
		assert_true(st.st_blocks * 512 >= SEGMENT_BYTES);
	}
	test_append_some(&j, 1, 3);
	journal_sync_begin(&j, &sync);
	assert_int_equal(sync.count, 1);
	assert_int_equal(log_sync_run(&sync), 0);
	journal_sync_begin(&j, &sync);
	assert_int_equal(sync.count, 0);
	journal_release(&j);
	assert_replays(path, 1, 3);
	scratch_remove(path);
}

/* Any bytes may stand in the files. */
static void test_noise(void **state)
{
	char *path = scratch_make();
	char *name = scratch_path(path, "0");
	cleanup(buf_release) struct buf b = BUF_INIT;
	uint64_t rng = 1;

	(void)state;
	golden_record(&b);
	for (int run = 0; run < 300; run++) {
		uint8_t bytes[SEGMENT_BYTES];
		struct log_scan scan;
		struct expect x = {0};
		struct journal j;
		int fd = open(name, O_RDWR | O_CREAT | O_TRUNC, 0600);
		size_t at = 0;

		/* Headers everywhere, cut and changed at random. */
		while (at < sizeof(bytes)) {
			size_t n = 1 + scratch_random(&rng, 40);

			n = MIN_OF(sizeof(bytes) - at, n);
			memcpy(bytes + at, b.data, n);
			bytes[at] ^= (uint8_t)scratch_random(&rng, 2);
			at += n;
		}
		assert_int_equal(write(fd, bytes, sizeof(bytes)),
				 sizeof(bytes));
		close(fd);
		test_open(&j, path, LOG_ID);
		assert_int_equal(
			journal_replay(&j, 0, LOG_ALL, expect_apply, &x, &scan),
			0);
		assert_int_equal(scan.applied, 0);
		journal_release(&j);
	}
	free(name);
	scratch_remove(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_golden),
		cmocka_unit_test(test_decode),
		cmocka_unit_test(test_bad_entries),
		cmocka_unit_test(test_laps),
		cmocka_unit_test(test_torn),
		cmocka_unit_test(test_holes),
		cmocka_unit_test(test_marks),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_fill),
		cmocka_unit_test(test_noise),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
