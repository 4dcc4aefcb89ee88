/* SPDX-License-Identifier: Apache-2.0 */
/* Data segments: places, ends, reopening, many files, threads, memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "fs/store/segment.h"
#include "scratch_support.h"

/* Syncs of names; nothing has to get to a disk here. */
static unsigned int name_syncs;

int fsync(int fd)
{
	(void)fd;
	name_syncs++;
	return 0;
}

static struct segments *open_segments(const char *path, uint64_t bytes,
				      bool fresh, bool no_sync)
{
	struct segments *s = NULL;

	assert_int_equal(segments_open(open(path, O_RDONLY | O_DIRECTORY),
				       bytes, fresh, no_sync, &s),
			 0);
	return s;
}

static struct data_loc append(struct segments *s, const char *text)
{
	struct data_loc loc;

	assert_int_equal(segments_append(s, SLICE_STR(text), &loc), 0);
	return loc;
}

static void assert_loc(struct data_loc loc, uint32_t segment, uint64_t offset)
{
	assert_int_equal(loc.segment, segment);
	assert_int_equal(loc.offset, offset);
}

static void assert_text(struct segments *s, struct data_loc loc,
			const char *text)
{
	char buf[64];

	assert_int_equal(segments_read(s, loc, buf, strlen(text)), 0);
	assert_memory_equal(buf, text, strlen(text));
}

static void test_places(void **state)
{
	char *path = scratch_make();
	struct segments *s = open_segments(path, 10, false, false);
	struct data_loc loc;
	char buf[16];

	(void)state;
	assert_loc(append(s, "abcd"), 0, 0);
	assert_loc(append(s, "efghij"), 0, 4);
	assert_loc(append(s, "k"), 1, 0);
	assert_loc(append(s, "0123456789"), 2, 0);
	/* Longer than a segment: one of its own. */
	assert_loc(append(s, "0123456789abcdef"), 3, 0);
	assert_loc(append(s, "l"), 4, 0);
	loc = (struct data_loc){0, 2};
	assert_text(s, loc, "cdefghij");
	loc.offset = 3;
	assert_int_equal(segments_read(s, loc, buf, 8), -EUCLEAN);
	loc.offset = UINT64_MAX;
	assert_int_equal(segments_read(s, loc, buf, 1), -EUCLEAN);
	loc.segment = 9;
	assert_int_equal(segments_read(s, loc, buf, 1), -EUCLEAN);
	assert_int_equal(segments_dirty_bytes(s), 38);
	assert_int_equal(segments_appended_bytes(s), 38);
	assert_int_equal(segments_sync(s), 0);
	assert_int_equal(segments_dirty_bytes(s), 0);
	segments_close(s);
	scratch_remove(path);
}

static void test_reopen(void **state)
{
	char *path = scratch_make();
	char *name = scratch_path(path, "00000000");
	struct segments *s = open_segments(path, 100, false, true);
	struct data_loc loc = append(s, "before");

	(void)state;
	segments_close(s);
	/* Bytes that an append left which never returned. */
	assert_int_equal(truncate(name, 20), 0);
	s = open_segments(path, 100, false, true);
	assert_loc(append(s, "after"), 0, 20);
	assert_text(s, loc, "before");
	segments_close(s);
	s = open_segments(path, 100, true, true);
	assert_text(s, loc, "before");
	assert_loc(append(s, "fresh"), 1, 0);
	segments_close(s);
	s = open_segments(path, 5, false, true);
	assert_loc(append(s, "x"), 2, 0);
	segments_close(s);
	free(name);
	scratch_remove(path);
}

/* ---- more segments than slots, from many threads */

#define WORKERS 6
#define WORKER_BLOCKS 400
#define BLOCK_BYTES 128

struct worker {
	struct segments *segments;
	uint64_t rng;
	struct data_loc locs[WORKER_BLOCKS];
	int failed;
};

static void block_fill(uint8_t block[BLOCK_BYTES], unsigned int worker,
		       unsigned int i)
{
	memset(block, (int)(worker * 31 + i), BLOCK_BYTES);
	put_le32(block, i);
}

static void *worker_main(void *arg)
{
	struct worker *w = arg;

	for (unsigned int i = 0; i < WORKER_BLOCKS; i++) {
		uint8_t block[BLOCK_BYTES], back[BLOCK_BYTES];
		unsigned int old = scratch_random(&w->rng, i + 1);

		block_fill(block, 0, i);
		w->failed |= segments_append(
			w->segments, SLICE(block, sizeof(block)), &w->locs[i]);
		block_fill(block, 0, old);
		w->failed |= segments_read(w->segments, w->locs[old], back,
					   sizeof(back));
		w->failed |= memcmp(block, back, sizeof(back));
		if (!scratch_random(&w->rng, 40))
			w->failed |= segments_sync(w->segments);
	}
	return NULL;
}

static void test_many(void **state)
{
	char *path = scratch_make();
	struct segments *s =
		open_segments(path, 10 * BLOCK_BYTES, false, false);
	static struct worker workers[WORKERS];
	pthread_t threads[WORKERS];

	(void)state;
	for (unsigned int i = 0; i < WORKERS; i++) {
		workers[i] = (struct worker){.segments = s, .rng = i + 1};
		assert_int_equal(pthread_create(&threads[i], NULL, worker_main,
						&workers[i]),
				 0);
	}
	for (unsigned int i = 0; i < WORKERS; i++) {
		pthread_join(threads[i], NULL);
		assert_int_equal(workers[i].failed, 0);
	}
	assert_int_equal(segments_sync(s), 0);
	assert_int_equal(segments_dirty_bytes(s), 0);
	assert_int_equal(segments_appended_bytes(s),
			 WORKERS * WORKER_BLOCKS * BLOCK_BYTES);
	segments_close(s);
	scratch_remove(path);
}

/* Of a file that was there, who made it may have been killed before the sync
 * of its name. */
static void test_name_of_a_killed_one(void **state)
{
	char *path = scratch_make();
	struct segments *s = open_segments(path, 1000, false, false);

	(void)state;
	append(s, "abcd");
	segments_close(s);
	name_syncs = 0;
	s = open_segments(path, 1000, false, false);
	assert_loc(append(s, "efgh"), 0, 4);
	assert_int_equal(segments_sync(s), 0);
	assert_int_equal(name_syncs, 1);
	/* Once is enough. */
	append(s, "ijkl");
	assert_int_equal(segments_sync(s), 0);
	assert_int_equal(name_syncs, 1);
	segments_close(s);
	scratch_remove(path);
}

/* Pages of a segment that are in memory. */
static size_t pages_resident(const char *path, size_t bytes)
{
	char *name = scratch_path(path, "00000000");
	size_t count = bytes / (size_t)sysconf(_SC_PAGESIZE), n = 0;
	unsigned char *in = malloc(count);
	int fd = open(name, O_RDONLY);
	void *at = mmap(NULL, bytes, PROT_READ, MAP_SHARED, fd, 0);

	assert_ptr_not_equal(at, MAP_FAILED);
	assert_int_equal(mincore(at, bytes, in), 0);
	for (size_t i = 0; i < count; i++)
		n += in[i] & 1;
	munmap(at, bytes);
	close(fd);
	free(in);
	free(name);
	return n;
}

/* Can this kernel, and the file system here, write past memory? */
static bool once_works(const char *path)
{
	char *name = scratch_path(path, "probe");
	int fd = open(name, O_RDWR | O_CREAT, 0600);
	struct iovec v = {name, 1};
	bool works = pwritev2(fd, &v, 1, 0, 0x80 /* RWF_DONTCACHE */) == 1;
	struct utsname u;

	assert_int_equal(uname(&u), 0);
	works &= strverscmp(u.release, "6.16") >= 0;
	close(fd);
	unlink(name);
	free(name);
	return works;
}

#define ONCE_BYTES ((size_t)2 << 20)

/* What is appended once is what is read, and leaves memory when it is on the
 * disk; what is appended as usual stays. */
static void test_once(void **state)
{
	char *path = scratch_make();
	struct segments *s = open_segments(path, 4 * ONCE_BYTES, false, false);
	uint8_t *bytes = malloc(ONCE_BYTES), *found = malloc(ONCE_BYTES);
	size_t pages = ONCE_BYTES / (size_t)sysconf(_SC_PAGESIZE);
	bool works = once_works(path);
	uint64_t seed = 7;
	struct data_loc loc[2];

	(void)state;
	for (size_t i = 0; i < ONCE_BYTES; i++)
		bytes[i] = (uint8_t)scratch_random(&seed, 256);
	assert_int_equal(segments_append_once(s, SLICE(bytes, ONCE_BYTES),
					      &loc[0]), 0);
	assert_loc(loc[0], 0, 0);
	assert_int_equal(segments_dirty_bytes(s), ONCE_BYTES);
	assert_int_equal(segments_sync(s), 0);
	/* (what is done with a page behind its writing may take a moment) */
	for (int n = 0; n < 500 && works && pages_resident(path, ONCE_BYTES);
	     n++)
		usleep(10000);
	if (works)
		assert_int_equal(pages_resident(path, ONCE_BYTES), 0);
	else
		print_message("not here: RWF_DONTCACHE\n");
	assert_int_equal(segments_append(s, SLICE(bytes, ONCE_BYTES), &loc[1]),
			 0);
	assert_int_equal(segments_sync(s), 0);
	assert_int_equal(pages_resident(path, 2 * ONCE_BYTES),
			 works ? pages : 2 * pages);
	for (size_t k = 0; k < ARRAY_SIZE(loc); k++) {
		assert_int_equal(segments_read(s, loc[k], found, ONCE_BYTES),
				 0);
		assert_memory_equal(found, bytes, ONCE_BYTES);
	}
	/* (a memory file system has nowhere else to put them) */
	assert_int_equal(pages_resident(path, 2 * ONCE_BYTES), 2 * pages);
	segments_were_read(s, loc[0], 2 * ONCE_BYTES);
	if (works)
		assert_int_equal(pages_resident(path, 2 * ONCE_BYTES), 0);
	assert_int_equal(segments_read(s, loc[1], found, ONCE_BYTES), 0);
	assert_memory_equal(found, bytes, ONCE_BYTES);
	segments_close(s);
	free(found);
	free(bytes);
	scratch_remove(path);
}

#define PIECES 400
#define PIECE_MAX 70001

/* Two appends mostly meet within a page: none takes bytes of another with it
 * when it leaves memory. */
static void test_once_and_again(void **state)
{
	char *path = scratch_make();
	struct segments *s = open_segments(path, 4 << 20, false, false);
	uint8_t *bytes = malloc(PIECE_MAX), *found = malloc(PIECE_MAX);
	struct data_loc locs[PIECES];
	uint64_t seed = 3;

	(void)state;
	for (int k = 0; k < PIECES; k++) {
		bool once = k % 3 != 2;
		struct slice piece = SLICE(bytes, once ? PIECE_MAX : 101);

		memset(bytes, k, PIECE_MAX);
		assert_int_equal(once ? segments_append_once(s, piece,
							     &locs[k]) :
					segments_append(s, piece, &locs[k]),
				 0);
		if (!scratch_random(&seed, 20))
			assert_int_equal(segments_sync(s), 0);
	}
	assert_int_equal(segments_sync(s), 0);
	for (uint32_t n = 0; n <= locs[PIECES - 1].segment; n++)
		segments_were_read(s, (struct data_loc){n, 0}, 8 << 20);
	for (int k = 0; k < PIECES; k++) {
		size_t len = k % 3 != 2 ? PIECE_MAX : 101;

		memset(bytes, k, PIECE_MAX);
		assert_int_equal(segments_read(s, locs[k], found, len), 0);
		assert_memory_equal(found, bytes, len);
	}
	segments_close(s);
	free(found);
	free(bytes);
	scratch_remove(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_places),
		cmocka_unit_test(test_name_of_a_killed_one),
		cmocka_unit_test(test_reopen),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_once),
		cmocka_unit_test(test_once_and_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
