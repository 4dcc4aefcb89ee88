/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The intent log, as recovery finds it. The input is what stands in one or
 * two segments: u8 flags, u64 the lsn of the last commit, then records for a
 * segment, sealed here, so that a fuzzer need not find checksums:
 *
 *	u8 0	varint length of the entries, i8 lsn, i8 lap, i8 mark (each
 *		relative to what an honest writer would put there), entries
 *	u8 1	the other segment from here on
 *	u8 2	varint length, bytes as they are
 *
 * Flag 1: the power was cut; 2: the first byte behind it is one to flip.
 *
 * Checked: an independent reading of FORMAT.md's rule for what is replayed
 * (the "model" below) gives the same records in the same order.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/base/hash.h"
#include "fs/store/format.h"
#include "fs/store/journal.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/node.h"

#define LOG_ID 0x1234567890abcdefu
#define SEGMENTS 2
#define BYTES LOG_SEGMENT_BYTES_MIN

struct layout {
	uint8_t bytes[SEGMENTS][BYTES];
	size_t used[SEGMENTS];
	uint64_t last, lap[SEGMENTS];
	unsigned int at;
};

static void put_record(struct layout *l, struct reader *r)
{
	cleanup(buf_release) struct buf b = BUF_INIT;
	size_t len = reader_varint(r) % BYTES;
	struct log_header h = { .length = 0 };
	struct slice entries;

	h.lsn = l->last + 1 + (uint64_t)(int8_t)reader_u8(r);
	if (!l->used[l->at])
		l->lap[l->at] = h.lsn;
	h.lap = l->lap[l->at] + (uint64_t)(int8_t)reader_u8(r);
	h.mark = h.lsn - 1 + (uint64_t)(int8_t)reader_u8(r);
	entries = reader_bytes(r, MIN_OF(len, reader_left(r)));
	log_record_begin(&b);
	buf_put_slice(&b, entries);
	fuzz_must(buf_error(&b));
	log_record_seal(&b, LOG_ID, &h);
	if (l->used[l->at] + b.len > BYTES)
		return;
	memcpy(l->bytes[l->at] + l->used[l->at], b.data, b.len);
	l->used[l->at] += b.len;
	l->last = h.lsn;
}

static void put_raw(struct layout *l, struct reader *r)
{
	size_t len = reader_varint(r) % BYTES;
	struct slice s;

	len = MIN_OF(len, reader_left(r));
	s = reader_bytes(r, MIN_OF(len, BYTES - l->used[l->at]));
	if (s.len)
		memcpy(l->bytes[l->at] + l->used[l->at], s.data, s.len);
	l->used[l->at] += s.len;
}

/* ---- what happens */

struct replayed {
	struct hash order; /* over the entries, in the order they came */
	uint64_t count, entries;
};

static void note(struct replayed *p, struct slice entries)
{
	struct hash both[2] = { p->order };

	hash_bytes(entries.data, entries.len, &both[1]);
	hash_bytes(both, sizeof(both), &p->order);
	p->count++;
}

/* Entries that decode give the same record when they are written again. */
static void check_entries(struct slice entries)
{
	cleanup(buf_release) struct buf again = BUF_INIT;
	struct reader r = READER(entries.data, entries.len);
	struct slice key, value;

	log_record_begin(&again);
	while (reader_left(&r)) {
		struct log_entry e;

		if (log_entry_decode(&r, &e))
			return;
		if (e.kind == LOG_DATA) {
			uint8_t *at = log_record_data(&again, e.loc,
						      e.value.len);

			fuzz_must(at ? 0 : -ENOMEM);
			memcpy(at, e.value.data, e.value.len);
			continue;
		}
		kin_assert(e.table < TABLE_COUNT && e.key.len &&
			   e.key.len <= STORE_KEY_BYTES_MAX);
		if (e.kind == LOG_DELETE)
			log_record_del(&again, e.table, e.key, &key);
		else
			log_record_put(&again, e.table, e.key, e.value, &key,
				       &value);
	}
	fuzz_must(buf_error(&again));
	kin_assert(slice_equal(SLICE(again.data + LOG_HEADER_BYTES,
				     again.len - LOG_HEADER_BYTES),
			       entries));
}

static int apply(void *arg, struct slice entries)
{
	check_entries(entries);
	note(arg, entries);
	return 0;
}

static int restore(void *arg, struct data_loc loc, struct slice bytes)
{
	(void)arg;
	kin_assert(bytes.len && loc.offset <= INT64_MAX - bytes.len);
	return 0;
}

/* ---- the model: FORMAT.md, "Recovery", steps 2 and 3 */

struct run {
	uint64_t first, last;
	unsigned int segment;
};

static bool valid_at(const struct layout *l, unsigned int s, size_t at,
		     struct log_header *h)
{
	const uint8_t *p = l->bytes[s] + at;

	if (BYTES - at < LOG_HEADER_BYTES || memcmp(p + 8, "KLOG", 4))
		return false;
	h->length = get_le32(p + 12);
	h->lsn = get_le64(p + 16);
	h->lap = get_le64(p + 24);
	h->mark = get_le64(p + 32);
	return h->length >= 40 && h->length <= BYTES - at && h->lap >= 1 &&
	       h->lap <= h->lsn && h->mark < h->lsn &&
	       get_le64(p) == checksum64(p + 8, h->length - 8, LOG_ID);
}

/* Replays (`to` not NULL) what is behind `after` and not behind `until`. */
static struct run run_of(const struct layout *l, unsigned int s,
			 uint64_t after, uint64_t until, uint64_t *mark,
			 struct replayed *to)
{
	struct run run = { .segment = s };
	struct log_header h;

	for (size_t at = 0; valid_at(l, s, at, &h); at += h.length) {
		if (!at && h.lap != h.lsn)
			break;
		if (at && (h.lap != run.first || h.lsn != run.last + 1))
			break;
		if (!at)
			run.first = h.lsn;
		run.last = h.lsn;
		*mark = MAX_OF(*mark, h.mark);
		/* (one that is empty, or begins with data, is a mark) */
		if (to && h.lsn > after && h.lsn <= until && h.length > 40 &&
		    l->bytes[s][at + 40] != 0x40)
			note(to, SLICE(l->bytes[s] + at + 40, h.length - 40));
	}
	return run;
}

static void model(const struct layout *l, uint64_t after, bool all,
		  struct replayed *ret)
{
	struct run runs[SEGMENTS];
	uint64_t mark = 0;

	for (unsigned int s = 0; s < SEGMENTS; s++)
		runs[s] = run_of(l, s, 0, 0, &mark, NULL);
	for (unsigned int n = 0; n < SEGMENTS; n++) {
		struct run *next = NULL;

		for (unsigned int s = 0; s < SEGMENTS; s++)
			if (runs[s].last > after &&
			    (!next || runs[s].first < next->first))
				next = &runs[s];
		if (!next || next->first > after + 1)
			return;
		run_of(l, next->segment, after, all ? UINT64_MAX : mark,
		       &mark, ret);
		after = next->last;
		next->last = 0;
	}
}

static bool runs_overlap(const struct layout *l)
{
	uint64_t mark = 0;
	struct run a = run_of(l, 0, 0, 0, &mark, NULL);
	struct run b = run_of(l, 1, 0, 0, &mark, NULL);

	return a.last && b.last && a.first <= b.last && b.first <= a.last;
}

/* ---- */

static int open_segments(const struct layout *l, const char *dir)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	kin_assert(fd >= 0);
	for (unsigned int s = 0; s < SEGMENTS; s++) {
		char name[2] = { (char)('0' + s), 0 };
		autoclose int file = openat(fd, name,
					    O_WRONLY | O_CREAT | O_TRUNC, 0600);

		kin_assert(file >= 0);
		kin_assert(write(file, l->bytes[s], BYTES) == BYTES);
	}
	return fd;
}

void fuzz_log(struct slice in)
{
	static const char *dir;
	autofree struct layout *l = calloc(1, sizeof(*l));
	struct reader r = READER(in.data, in.len);
	struct replayed got = { .count = 0 }, want = { .count = 0 };
	uint8_t flags = reader_u8(&r);
	uint64_t after = reader_u64(&r);
	struct log_scan scan;
	struct journal j;
	uint16_t flip;

	if (!dir)
		dir = fuzz_dir("log");
	fuzz_must(l ? 0 : -ENOMEM);
	l->last = after;
	flip = flags & 2 ? reader_u16(&r) : 0;
	while (reader_left(&r)) {
		switch (reader_u8(&r) % 3) {
		case 0:
			put_record(l, &r);
			break;
		case 1:
			l->at = !l->at;
			break;
		case 2:
			put_raw(l, &r);
			break;
		}
	}
	if (flags & 2)
		l->bytes[flip / 8 % SEGMENTS][flip / 16 % BYTES] ^=
			(uint8_t)(1 << flip % 8);
	fuzz_must(journal_open(&j, open_segments(l, dir), BYTES, LOG_ID, true));
	fuzz_must(journal_replay(&j, after, flags & 1 ? LOG_MARKED : LOG_ALL,
				 apply, &got, &scan));
	/* (a record that begins with data may have something else behind it) */
	kin_assert(!journal_restore(&j, after, restore, NULL) ||
		   journal_restore(&j, after, restore, NULL) == -EUCLEAN);
	journal_release(&j);
	kin_assert(scan.applied == got.count);
	kin_assert(scan.last_lsn >= after && scan.max_lsn >= scan.last_lsn);
	/* (No writer makes runs that overlap: which of them is taken then is
	 * not said.) */
	if (runs_overlap(l))
		return;
	model(l, after, !(flags & 1), &want);
	kin_assert(got.count == want.count &&
		   hash_equal(&got.order, &want.order));
}

/* ---- seeds */

void fuzz_log_seeds(void (*put)(const char *, struct slice))
{
	for (uint8_t kind = 0; kind < 4; kind++) {
		cleanup(buf_release) struct buf b = BUF_INIT;
		char name[] = "records-0";

		name[8] = (char)('0' + kind);
		buf_put_u8(&b, kind & 1);
		buf_put_u64(&b, kind < 2 ? 0 : 3);
		for (int i = 0; i < 6; i++) {
			cleanup(buf_release) struct buf e = BUF_INIT;
			struct slice k, v;

			log_record_begin(&e);
			if (i == 4) { /* a mark, with data */
				struct data_loc to = { 2, 70 };

				memcpy(log_record_data(&e, to, 4), "data", 4);
			} else {
				log_record_put(&e, TABLE_OBJ, SLICE_STR("key"),
					       SLICE("value", (size_t)i), &k,
					       &v);
				log_record_del(&e, TABLE_DIR, SLICE_STR("k"),
					       &k);
			}
			if (i == 3 && kind & 2)
				buf_put_u8(&b, 1);
			buf_put_u8(&b, 0);
			buf_put_varint(&b, e.len - LOG_HEADER_BYTES);
			buf_put(&b, "\0\0", 3);
			buf_put(&b, e.data + LOG_HEADER_BYTES,
				e.len - LOG_HEADER_BYTES);
		}
		put(name, buf_slice(&b));
	}
}
