/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The intent log.
 *
 * Segments are files of one length, filled with zeros once, so that a later
 * write changes neither length nor extents and fdatasync has only the data
 * to flush. A *lap* is one filling of one segment, from its start. All
 * records of a lap carry its name, which is the lsn of its first record, and
 * their lsn rises by one from record to record; so the valid records of a
 * segment are the longest run from its start with these properties, and what
 * an earlier lap left behind the run cannot be taken for a part of it.
 *
 * A segment is free for a new lap when a durable commit contains all its
 * records. So every record that matters after a crash is there, and every
 * record of an earlier lap has an lsn that the tables contain already.
 *
 * The kernel writes records back when it likes, also before the data that
 * they name. So each record carries the *mark*: up to which lsn the data was
 * known to be on disk when it was written. A mark is true wherever and
 * whenever it is found; after a power cut the greatest one bounds the
 * replay. Records behind it are dropped even if they name no data, because
 * they may build on others that do.
 *
 * Little data is not synced where it lies, which would cost a file system a
 * commit of its own journal as the file has grown, but copied into the
 * record of the mark, so that one sync of the log makes both durable. After
 * a power cut it is put in its place before anything is replayed.
 */
#include "fs/store/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fs/base/log.h"
#include "fs/store/format.h"
#include "fs/store/io.h"

/* Bytes of one write while a segment is filled with zeros. */
#define FILL_BYTES (1u << 20)
/*
 * Bytes of checksums computed at most while a segment is searched for
 * records behind a hole, in lengths of the segment: contents of users may
 * look like headers.
 */
#define SEARCH_SEGMENTS_MAX 4

void journal_init(struct journal *j)
{
	*j = (struct journal){.dirfd = -1};
}

static void segment_name(unsigned int number, char ret[16])
{
	snprintf(ret, 16, "%u", number);
}

int journal_open(struct journal *j, int dirfd, uint32_t bytes, uint64_t id,
		 bool no_sync)
{
	journal_init(j);
	j->dirfd = dirfd;
	j->bytes = bytes;
	j->id = id;
	j->no_sync = no_sync;
	if (bytes < LOG_SEGMENT_BYTES_MIN || bytes > LOG_SEGMENT_BYTES_MAX)
		return -EINVAL;
	for (unsigned int i = 0; i < LOG_SEGMENTS_MAX; i++) {
		char name[16];
		int fd;

		segment_name(i, name);
		fd = openat(dirfd, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
		if (fd < 0 && errno == ENOENT)
			continue;
		if (fd < 0)
			return -errno;
		j->segments[j->count++] =
			(struct log_segment){.number = i, .fd = fd};
	}
	return 0;
}

void journal_release(struct journal *j)
{
	for (unsigned int i = 0; i < j->count; i++)
		close(j->segments[i].fd);
	if (j->dirfd >= 0)
		close(j->dirfd);
	journal_init(j);
}

/* ---- replay */

/* The valid records of one segment: a run of lsn from its start. */
struct log_run {
	struct log_segment *segment;
	uint64_t first, last; /* 0: there is none */
	uint64_t mark;	      /* the greatest */
};

static int segment_load(const struct log_segment *seg, struct buf *ret)
{
	uint64_t size;
	uint8_t *at;
	int r = io_size(seg->fd, &size);

	if (r)
		return r;
	if (size > LOG_SEGMENT_BYTES_MAX)
		return log_errno(-EUCLEAN, "log segment '%u' is too long",
				 seg->number);
	buf_reset(ret);
	if (!size)
		return 0;
	at = buf_extend(ret, (size_t)size);
	if (!at)
		return -ENOMEM;
	return io_read_at(seg->fd, at, (size_t)size, 0);
}

/*
 * Greatest lsn of a valid record at or behind `at`, where the run ended, or
 * 0 if none is greater than `after`.
 */
static uint64_t search_behind(const struct journal *j, struct slice bytes,
			      size_t at, uint64_t after)
{
	uint64_t budget = (uint64_t)bytes.len * SEARCH_SEGMENTS_MAX;
	uint64_t found = 0;

	while (bytes.len - at >= LOG_HEADER_BYTES) {
		struct log_header h;
		struct slice rest, entries;
		const uint8_t *magic = memmem(bytes.data + at + LOG_MAGIC_AT,
					      bytes.len - at - LOG_MAGIC_AT,
					      LOG_MAGIC, LOG_MAGIC_BYTES);

		if (!magic)
			break;
		at = (size_t)(magic - bytes.data) - LOG_MAGIC_AT;
		rest = SLICE(bytes.data + at, bytes.len - at);
		if (!log_header_decode(rest, &h) && h.lsn > after &&
		    h.lsn > found) {
			if (h.length > budget)
				break;
			budget -= h.length;
			if (!log_record_decode(rest, j->id, &h, &entries)) {
				found = h.lsn;
				at += h.length;
				continue;
			}
		}
		at++;
	}
	return found;
}

/* What a replay does with the records of the runs, one run after another. */
struct log_walk {
	uint64_t after; /* up to here they were walked, or are not wanted */
	uint64_t until; /* behind this they are dropped */
	bool marks;	/* of all records those without an operation */
	int (*apply)(void *arg, struct slice entries);
	void *arg;
	uint64_t applied, dropped; /* operations */
};

static int walk_record(struct log_walk *w, uint64_t lsn, struct slice entries)
{
	if (w->marks)
		return log_entries_are_mark(entries) ? w->apply(w->arg, entries)
						     : 0;
	if (log_entries_are_mark(entries))
		return 0;
	if (lsn > w->until) {
		w->dropped++;
		return 0;
	}
	w->applied++;
	return w->apply(w->arg, entries);
}

/*
 * Finds the run at the start of the bytes and, if a walk is given, takes
 * its records behind w->after.
 */
static int run_walk(const struct journal *j, struct slice bytes,
		    struct log_walk *w, struct log_run *ret, size_t *ret_end)
{
	size_t at = 0;

	ret->first = ret->last = ret->mark = 0;
	for (;;) {
		struct log_header h;
		struct slice entries;
		int r;

		if (log_record_decode(SLICE(bytes.data + at, bytes.len - at),
				      j->id, &h, &entries))
			break;
		if (at ? h.lap != ret->first || h.lsn != ret->last + 1
		       : h.lap != h.lsn)
			break;
		if (!at)
			ret->first = h.lsn;
		ret->last = h.lsn;
		ret->mark = MAX_OF(ret->mark, h.mark);
		at += h.length;
		if (!w || h.lsn <= w->after)
			continue;
		r = walk_record(w, h.lsn, entries);
		if (r)
			return r;
	}
	*ret_end = at;
	return 0;
}

static int run_compare(const void *a, const void *b)
{
	const struct log_run *x = a, *y = b;

	return (x->first > y->first) - (x->first < y->first);
}

/* Finds the run of each segment, in order, and the greatest valid lsn. */
static int runs_find(struct journal *j, uint64_t after, struct buf *bytes,
		     struct log_run *runs, uint64_t *ret_max)
{
	uint64_t max = after;

	for (unsigned int i = 0; i < j->count; i++) {
		size_t end;
		int r = segment_load(&j->segments[i], bytes);

		if (!r)
			r = run_walk(j, buf_slice(bytes), NULL, &runs[i], &end);
		if (r)
			return r;
		runs[i].segment = &j->segments[i];
		max = MAX_OF(max, runs[i].last);
		max = MAX_OF(max, search_behind(j, buf_slice(bytes), end,
						MAX_OF(after, runs[i].last)));
	}
	qsort(runs, j->count, sizeof(*runs), run_compare);
	*ret_max = max;
	return 0;
}

static uint64_t runs_mark(const struct log_run *runs, unsigned int count)
{
	uint64_t mark = 0;

	for (unsigned int i = 0; i < count; i++)
		mark = MAX_OF(mark, runs[i].mark);
	return mark;
}

int journal_replay(struct journal *j, uint64_t after, enum log_reach reach,
		   int (*apply)(void *arg, struct slice entries), void *arg,
		   struct log_scan *ret)
{
	struct log_run runs[LOG_SEGMENTS_MAX] = {0};
	struct log_walk w = {.after = after, .apply = apply, .arg = arg};
	cleanup(buf_release) struct buf bytes = BUF_INIT;
	uint64_t max = after;
	int r = runs_find(j, after, &bytes, runs, &max);

	w.until = reach == LOG_ALL ? UINT64_MAX : runs_mark(runs, j->count);
	for (unsigned int i = 0; !r && i < j->count; i++) {
		struct log_run run;
		size_t end;

		if (runs[i].last <= w.after)
			continue;
		if (runs[i].first > w.after + 1)
			break;
		r = segment_load(runs[i].segment, &bytes);
		if (!r)
			r = run_walk(j, buf_slice(&bytes), &w, &run, &end);
		w.after = runs[i].last;
	}
	if (r)
		return r;
	if (max > w.after)
		log_warn("the log has a hole after record %" PRIu64
			 ": later records up to %" PRIu64 " are dropped",
			 w.after, max);
	ret->applied = w.applied;
	ret->dropped = w.dropped;
	ret->last_lsn = MAX_OF(after, MIN_OF(w.after, w.until));
	ret->max_lsn = max;
	return 0;
}

/* ---- data */

struct restore {
	int (*fn)(void *arg, struct data_loc, struct slice bytes);
	void *arg;
};

static int restore_apply(void *arg, struct slice entries)
{
	const struct restore *to = arg;
	struct reader rd = READER(entries.data, entries.len);

	while (reader_left(&rd)) {
		struct log_entry e;
		int r = log_entry_decode(&rd, &e);

		if (r || e.kind != LOG_DATA)
			return -EUCLEAN;
		r = to->fn(to->arg, e.loc, e.value);
		if (r)
			return r;
	}
	return 0;
}

int journal_restore(struct journal *j, uint64_t after,
		    int (*restore)(void *arg, struct data_loc,
				   struct slice bytes),
		    void *arg)
{
	struct restore to = {restore, arg};
	struct log_walk w = {
		.after = after, .marks = true, .apply = restore_apply,
		.arg = &to,
	};
	cleanup(buf_release) struct buf bytes = BUF_INIT;
	int r = 0;

	for (unsigned int i = 0; !r && i < j->count; i++) {
		struct log_run run;
		size_t end;

		r = segment_load(&j->segments[i], &bytes);
		if (!r)
			r = run_walk(j, buf_slice(&bytes), &w, &run, &end);
	}
	return r;
}

/* ---- appending */

/* Gives a segment its full length, in blocks that were really written. */
static int segment_fill(const struct journal *j, int fd)
{
	autofree uint8_t *zeros = NULL;
	uint64_t size;
	int r = io_size(fd, &size);

	if (r)
		return r;
	if (size > j->bytes)
		return ftruncate(fd, j->bytes) < 0 ? -errno : 0;
	if (j->no_sync || size == j->bytes)
		return 0;
	zeros = calloc(1, FILL_BYTES);
	if (!zeros)
		return -ENOMEM;
	while (size < j->bytes) {
		size_t n = (size_t)MIN_OF(FILL_BYTES, j->bytes - size);

		r = io_write_at(fd, zeros, n, size);
		if (r)
			return r;
		size += n;
	}
	return io_datasync(fd);
}

static int segment_create(struct journal *j)
{
	unsigned int number = 0;
	char name[16];
	int fd, r;

	for (unsigned int i = 0; i < j->count; i++) {
		if (j->segments[i].number != number)
			continue;
		number++;
		i = UINT_MAX; /* look at all again */
	}
	segment_name(number, name);
	fd = openat(j->dirfd, name,
		    O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	r = segment_fill(j, fd);
	if (!r && !j->no_sync)
		r = io_sync(j->dirfd);
	if (r) {
		unlinkat(j->dirfd, name, 0);
		close(fd);
		return r;
	}
	j->segments[j->count++] =
		(struct log_segment){.number = number, .fd = fd};
	return 0;
}

int journal_start(struct journal *j, uint64_t lsn)
{
	int r;

	for (unsigned int i = 0; i < j->count; i++) {
		r = segment_fill(j, j->segments[i].fd);
		if (r)
			return r;
	}
	while (!j->no_sync && j->count < LOG_SEGMENTS_MIN) {
		r = segment_create(j);
		if (r)
			return r;
	}
	j->last_lsn = j->committed_lsn = j->mark = lsn;
	j->current = NULL;
	return 0;
}

static bool segment_is_free(const struct journal *j,
			    const struct log_segment *seg)
{
	return seg->last_lsn <= j->committed_lsn;
}

/* The free segment that was written longest ago. */
static struct log_segment *segment_oldest_free(struct journal *j)
{
	struct log_segment *best = NULL;

	for (unsigned int i = 0; i < j->count; i++) {
		struct log_segment *seg = &j->segments[i];

		if (segment_is_free(j, seg) &&
		    (!best || seg->last_lsn < best->last_lsn))
			best = seg;
	}
	return best;
}

bool journal_is_short(const struct journal *j)
{
	for (unsigned int i = 0; i < j->count; i++) {
		if (&j->segments[i] != j->current &&
		    segment_is_free(j, &j->segments[i]))
			return false;
	}
	return j->count >= LOG_SEGMENTS_MIN;
}

/* Makes a free segment the current one. Errors: -EAGAIN there is none. */
static int segment_next(struct journal *j)
{
	struct log_segment *seg = segment_oldest_free(j);

	if (!seg && j->count < LOG_SEGMENTS_MAX) {
		/* No room for one more is no error: a commit frees some. */
		int r = segment_create(j);

		if (r && r != -ENOSPC && r != -EDQUOT)
			return r;
		seg = segment_oldest_free(j);
	}
	if (!seg)
		return -EAGAIN;
	seg->used = 0;
	j->current = seg;
	return 0;
}

static int record_append(struct journal *j, struct buf *record, uint64_t mark)
{
	struct log_header h = {.lsn = j->last_lsn + 1, .mark = mark};
	struct log_segment *seg;
	int r;

	if (record->len > j->bytes)
		return -EFBIG;
	if (!j->current || j->current->used + record->len > j->bytes) {
		r = segment_next(j);
		if (r)
			return r;
	}
	seg = j->current;
	h.lap = seg->used ? seg->first_lsn : h.lsn;
	log_record_seal(record, j->id, &h);
	r = io_write_at(seg->fd, record->data, record->len, seg->used);
	if (r) {
		/* It may be there all the same: make it invalid if we can. */
		static const uint8_t zeros[LOG_HEADER_BYTES];

		if (io_write_at(seg->fd, zeros, sizeof(zeros), seg->used))
			log_warn("a failed log record cannot be erased");
		return r;
	}
	if (!seg->used)
		seg->first_lsn = h.lsn;
	seg->used += record->len;
	seg->last_lsn = j->last_lsn = h.lsn;
	seg->dirty = true;
	return 0;
}

int journal_append(struct journal *j, struct buf *record)
{
	return record_append(j, record, j->mark);
}

int journal_append_mark(struct journal *j, struct buf *record, uint64_t lsn)
{
	kin_assert(lsn <= j->last_lsn);
	return record_append(j, record, MAX_OF(j->mark, lsn));
}

void journal_mark(struct journal *j, uint64_t lsn)
{
	kin_assert(lsn <= j->last_lsn);
	j->mark = MAX_OF(j->mark, lsn);
}

void journal_committed(struct journal *j, uint64_t lsn)
{
	kin_assert(lsn >= j->committed_lsn);
	journal_mark(j, lsn);
	j->committed_lsn = lsn;
}

/* ---- syncing */

void journal_sync_begin(struct journal *j, struct log_sync *ret)
{
	ret->count = 0;
	for (unsigned int i = 0; i < j->count; i++) {
		struct log_segment *seg = &j->segments[i];

		if (!seg->dirty)
			continue;
		seg->dirty = false;
		if (!j->no_sync && !segment_is_free(j, seg))
			ret->fds[ret->count++] = seg->fd;
	}
}

int log_sync_run(const struct log_sync *s)
{
	for (unsigned int i = 0; i < s->count; i++) {
		int r = io_datasync(s->fds[i]);

		if (r)
			return r;
	}
	return 0;
}
