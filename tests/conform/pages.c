/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The same bytes by all ways: read and write, mappings, O_DIRECT, splice and
 * sendfile, vectors with flags, ranges. What one way wrote the others read.
 */
#include <linux/falloc.h>
#include <linux/fs.h>
#include <setjmp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "tests/conform/conform.h"

#define PAGE 4096
#define SIZE (64 * PAGE)
/* Random operations of a case; each is checked against memory. */
#define OPERATIONS 3000

static uint8_t *pages(void)
{
	void *p = NULL;

	TRUE(posix_memalign(&p, PAGE, SIZE) == 0);
	return p;
}

static void fill(uint8_t *bytes, size_t len, unsigned int seed)
{
	for (size_t k = 0; k < len; k++)
		bytes[k] = (uint8_t)(seed * 31 + k * 7 + (k >> 8));
}

static void holds(int fd, const uint8_t *bytes, size_t len)
{
	uint8_t *got = pages();

	IS(len, pread(fd, got, len, 0));
	TRUE(!memcmp(got, bytes, len));
	free(got);
}

/* ---- random ways, one after the other */

struct model {
	int fd, direct;
	uint8_t *bytes;		/* SIZE */
	size_t size;
	uint32_t state;
};

static uint32_t draw(struct model *m, uint32_t below)
{
	m->state = m->state * 1664525 + 1013904223;
	return (m->state >> 8) % below;
}

static void grow(struct model *m, size_t to)
{
	if (to > m->size) {
		memset(m->bytes + m->size, 0, to - m->size);
		m->size = to;
	}
}

static void random_write(struct model *m, size_t at, size_t len)
{
	static uint8_t from[SIZE];

	fill(from, len, m->state);
	IS(len, pwrite(m->fd, from, len, (off_t)at));
	grow(m, at);
	memcpy(m->bytes + at, from, len);
	m->size = at + len > m->size ? at + len : m->size;
}

static void random_map(struct model *m, size_t at, size_t len, bool write)
{
	uint8_t *map;

	if (at >= m->size)
		return;
	if (at + len > m->size)
		len = m->size - at;
	map = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, m->fd, 0);
	TRUE(map != MAP_FAILED);
	if (write) {
		fill(map + at, len, m->state);
		fill(m->bytes + at, len, m->state);
		if (draw(m, 2))
			OK(msync(map, SIZE, MS_SYNC));
	} else {
		TRUE(!memcmp(map + at, m->bytes + at, len));
	}
	OK(munmap(map, SIZE));
}

static void random_direct(struct model *m, size_t at, size_t len, bool write)
{
	uint8_t *buffer = pages();
	ssize_t n;

	at -= at % PAGE;
	len += PAGE - len % PAGE;
	if (at + len > SIZE)
		len = SIZE - at;
	if (write) {
		fill(buffer, len, m->state);
		IS(len, pwrite(m->direct, buffer, len, (off_t)at));
		grow(m, at);
		memcpy(m->bytes + at, buffer, len);
		m->size = at + len > m->size ? at + len : m->size;
	} else {
		n = OK(pread(m->direct, buffer, len, (off_t)at));
		IS(at >= m->size ? 0 : m->size - at < len ? m->size - at : len,
		   n);
		TRUE(!memcmp(buffer, m->bytes + at, (size_t)n));
	}
	free(buffer);
}

static void random_allocate(struct model *m, size_t at, size_t len)
{
	switch (draw(m, 4)) {
	case 0:
		OK(fallocate(m->fd, FALLOC_FL_PUNCH_HOLE |
				    FALLOC_FL_KEEP_SIZE, (off_t)at,
			     (off_t)len));
		break;
	case 1:
		OK(fallocate(m->fd, FALLOC_FL_ZERO_RANGE, (off_t)at,
			     (off_t)len));
		grow(m, at + len);
		break;
	case 2:
		OK(fallocate(m->fd, FALLOC_FL_ZERO_RANGE |
				    FALLOC_FL_KEEP_SIZE, (off_t)at,
			     (off_t)len));
		break;
	default:
		OK(fallocate(m->fd, 0, (off_t)at, (off_t)len));
		grow(m, at + len);
		return;
	}
	if (at < m->size)
		memset(m->bytes + at, 0,
		       at + len > m->size ? m->size - at : len);
}

static void random_copy(struct model *m, size_t at, size_t len)
{
	loff_t from = (loff_t)at, to;
	size_t left;

	/* Not onto itself. */
	if (at + 2 * len > SIZE || at + len > m->size)
		return;
	to = (loff_t)(at + len);
	grow(m, at + len);
	for (left = len; left;) {
		ssize_t n = copy_file_range(m->fd, &from, m->fd, &to, left, 0);

		TRUE(n > 0);
		left -= (size_t)n;
	}
	if (at + 2 * len > m->size)
		m->size = at + 2 * len;
	memcpy(m->bytes + at + len, m->bytes + at, len);
}

static void random_step(struct model *m)
{
	size_t at = draw(m, SIZE - 1), len = 1 + draw(m, 3 * PAGE);
	uint8_t *got;
	uint32_t what = draw(m, 10);

	if (at + len > SIZE)
		len = SIZE - at;
	conform_at("operation %u at %zu, %zu bytes, of %zu", what, at, len,
		   m->size);
	switch (what) {
	case 0:
	case 1:
		random_write(m, at, len);
		break;
	case 2:
	case 3:
		random_map(m, at, len, what == 2);
		break;
	case 4:
	case 5:
		random_direct(m, at, len, what == 4);
		break;
	case 6:
		OK(ftruncate(m->fd, (off_t)at));
		grow(m, at);
		m->size = at;
		break;
	case 7:
		random_allocate(m, at, len);
		break;
	case 8:
		random_copy(m, at, len);
		break;
	default:
		got = pages();
		IS(m->size, pread(m->fd, got, SIZE, 0));
		TRUE(!memcmp(got, m->bytes, m->size));
		free(got);
	}
}

static void random_ways(uint32_t seed, int flags)
{
	struct model m = { .state = seed, .bytes = pages() };
	struct stat st;

	m.fd = open_ok("f", O_RDWR | O_CREAT | O_TRUNC | flags, 0644);
	m.direct = open_ok("f", O_RDWR | O_DIRECT, 0);
	for (int k = 0; k < OPERATIONS; k++) {
		random_step(&m);
		OK(fstat(m.fd, &st));
		IS(m.size, st.st_size);
	}
	OK(close(m.direct));
	OK(close(m.fd));
	m.fd = open_ok("f", O_RDONLY, 0);
	holds(m.fd, m.bytes, m.size);
}

static void random_one(void)
{
	random_ways(1, 0);
}

static void random_two(void)
{
	random_ways(20002, 0);
}

/* ---- mappings */

static void map_sees_write(void)
{
	uint8_t *map;
	int fd = open_ok("f", O_RDWR | O_CREAT, 0644);

	OK(ftruncate(fd, 2 * PAGE));
	map = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	TRUE(map != MAP_FAILED);
	IS(0, map[PAGE]);
	IS(3, pwrite(fd, "abc", 3, PAGE));
	TRUE(!memcmp(map + PAGE, "abc", 3));
	memcpy(map, "xyz", 3);
	IS(3, pread(fd, map + 100, 3, 0));
	TRUE(!memcmp(map + 100, "xyz", 3));
	/* A hole under a mapping is one at once. */
	OK(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
		     2 * PAGE));
	IS(0, map[0]);
	IS(0, map[PAGE]);
	map[5] = 5;
	OK(ftruncate(fd, 3));
	OK(ftruncate(fd, PAGE));
	IS(0, map[5]);
	OK(munmap(map, 2 * PAGE));
}

/* What a mapping wrote behind the end is not of the file. */
static void map_beyond_size(void)
{
	uint8_t *map, got[PAGE];
	int fd = open_ok("f", O_RDWR | O_CREAT, 0644);

	IS(3, write(fd, "abc", 3));
	map = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	TRUE(map != MAP_FAILED);
	IS(0, map[3]);
	memset(map, 'x', PAGE);
	OK(msync(map, PAGE, MS_SYNC));
	IS(3, stat_of("f").st_size);
	OK(munmap(map, PAGE));
	OK(close(fd));
	fd = open_ok("f", O_RDWR, 0);
	OK(ftruncate(fd, PAGE));
	IS(PAGE, pread(fd, got, PAGE, 0));
	IS('x', got[2]);
	for (int k = 3; k < PAGE; k++)
		IS(0, got[k]);
}

static void map_private(void)
{
	uint8_t *map, got[4];
	int fd = open_ok("f", O_RDWR | O_CREAT, 0444);

	IS(4, write(fd, "text", 4));
	OK(close(fd));
	fd = open_ok("f", O_RDONLY, 0);
	TRUE(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) ==
		     MAP_FAILED && errno == EACCES);
	map = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	TRUE(map != MAP_FAILED);
	map[0] = 'n';
	IS(4, pread(fd, got, 4, 0));
	IS('t', got[0]);
	OK(munmap(map, PAGE));
}

/* Read into, and written from, a mapping of the same file. */
static void map_of_itself(void)
{
	uint8_t *map, *want = pages();
	int fd = open_ok("f", O_RDWR | O_CREAT, 0644);

	fill(want, SIZE, 3);
	IS(SIZE, write(fd, want, SIZE));
	map = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	TRUE(map != MAP_FAILED);
	IS(PAGE, pwrite(fd, map, PAGE, 10 * PAGE));
	memcpy(want + 10 * PAGE, want, PAGE);
	IS(PAGE, pread(fd, map + 3 * PAGE, PAGE, 5 * PAGE));
	memcpy(want + 3 * PAGE, want + 5 * PAGE, PAGE);
	IS(PAGE, pwrite(fd, map + 100, PAGE, 7 * PAGE + 50));
	memcpy(want + 7 * PAGE + 50, want + 100, PAGE);
	/* Beyond the end, from pages that are not read in yet. */
	OK(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED));
	IS(PAGE, pwrite(fd, map + 20 * PAGE, PAGE, 21 * PAGE));
	memcpy(want + 21 * PAGE, want + 20 * PAGE, PAGE);
	holds(fd, want, SIZE);
	OK(munmap(map, SIZE));
	free(want);
}

static sigjmp_buf faulted;

static void on_fault(int number)
{
	siglongjmp(faulted, number);
}

static void map_truncated(void)
{
	volatile uint8_t *map;
	int fd = open_ok("f", O_RDWR | O_CREAT, 0644), number;

	OK(ftruncate(fd, 4 * PAGE));
	map = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	TRUE(map != MAP_FAILED);
	map[3 * PAGE] = 1;
	OK(ftruncate(fd, PAGE + 1));
	signal(SIGBUS, on_fault);
	map[PAGE] = 1;
	number = sigsetjmp(faulted, 1);
	if (!number)
		map[2 * PAGE] = 1;
	IS(SIGBUS, number);
	OK(ftruncate(fd, 4 * PAGE));
	IS(0, map[3 * PAGE]);
	map[3 * PAGE] = 2;
	OK(msync((void *)map, 4 * PAGE, MS_SYNC));
	IS(1, pread(fd, (uint8_t[1]){ 0 }, 1, 3 * PAGE));
}

static void map_executable(void)
{
	uint8_t *map;
	int fd = open_ok("f", O_RDWR | O_CREAT, 0755);

	/* ret */
	IS(1, write(fd, "\xc3", 1));
	map = mmap(NULL, PAGE, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);
	TRUE(map != MAP_FAILED);
	IS(0xc3, map[0]);
	OK(mprotect(map, PAGE, PROT_READ));
	OK(madvise(map, PAGE, MADV_DONTNEED));
	IS(0xc3, map[0]);
	OK(munmap(map, PAGE));
}

/* ---- O_DIRECT */

static void direct_alignment(void)
{
	uint8_t *buffer = pages();
	int fd;

	make_file("f", 0644);
	fd = open_ok("f", O_RDWR | O_DIRECT, 0);
	fill(buffer, 8 * PAGE, 1);
	IS(8 * PAGE, write(fd, buffer, 8 * PAGE));
	IS(0, pread(fd, buffer, PAGE, 8 * PAGE));
	IS(PAGE, pread(fd, buffer, 2 * PAGE, 7 * PAGE));
	OK(ftruncate(fd, 100));
	IS(100, pread(fd, buffer, PAGE, 0));
	OK(close(fd));
	/* Pages that were read before are not what direct writes leave. */
	fd = open_ok("f", O_RDWR, 0);
	IS(100, pread(fd, buffer, PAGE, 0));
	{
		int direct = open_ok("f", O_RDWR | O_DIRECT, 0);
		uint8_t *other = pages();

		fill(other, PAGE, 9);
		IS(PAGE, pwrite(direct, other, PAGE, 0));
		holds(fd, other, PAGE);
		/* And what is only in pages is read directly. */
		IS(1, pwrite(fd, "z", 1, 5));
		IS(PAGE, pread(direct, buffer, PAGE, 0));
		IS('z', buffer[5]);
		free(other);
		OK(close(direct));
	}
	free(buffer);
}

static void direct_switched(void)
{
	uint8_t *buffer = pages();
	int fd = open_ok("f", O_RDWR | O_CREAT, 0644);

	fill(buffer, PAGE, 4);
	OK(fcntl(fd, F_SETFL, O_DIRECT));
	IS(PAGE, pwrite(fd, buffer, PAGE, 0));
	OK(fcntl(fd, F_SETFL, 0));
	holds(fd, buffer, PAGE);
	OK(fcntl(fd, F_SETFL, O_APPEND));
	IS(3, pwrite(fd, "abc", 3, 0));
	IS(PAGE + 3, stat_of("f").st_size);
	free(buffer);
}

static void direct_append(void)
{
	uint8_t *buffer = pages();
	int fd = open_ok("f", O_RDWR | O_CREAT | O_APPEND | O_DIRECT, 0644);

	fill(buffer, 2 * PAGE, 4);
	IS(PAGE, write(fd, buffer, PAGE));
	IS(PAGE, pwrite(fd, buffer + PAGE, PAGE, 0));
	IS(2 * PAGE, stat_of("f").st_size);
	OK(close(fd));
	holds(open_ok("f", O_RDONLY, 0), buffer, 2 * PAGE);
	free(buffer);
}

/* ---- from file to file, and through pipes */

static void sendfile_copies(void)
{
	uint8_t *want = pages();
	int in, out, ends[2];
	off_t at = PAGE;

	in = open_ok("in", O_RDWR | O_CREAT, 0644);
	fill(want, SIZE, 8);
	IS(SIZE, write(in, want, SIZE));
	IS(0, lseek(in, 0, SEEK_SET));
	out = open_ok("out", O_RDWR | O_CREAT, 0644);
	for (size_t left = SIZE; left;)
		left -= (size_t)OK(sendfile(out, in, NULL, left));
	holds(out, want, SIZE);
	IS(0, sendfile(out, in, NULL, 10));
	OK(ftruncate(out, 0));
	IS(0, lseek(out, 0, SEEK_SET));
	IS(10, sendfile(out, in, &at, 10));
	IS(PAGE + 10, at);
	holds(out, want + PAGE, 10);
	OK(socketpair(AF_UNIX, SOCK_STREAM, 0, ends));
	at = 0;
	IS(100, sendfile(ends[0], in, &at, 100));
	IS(100, read(ends[1], want + SIZE / 2, 100));
	TRUE(!memcmp(want, want + SIZE / 2, 100));
	ERR(EBADF, sendfile(open_ok("out", O_RDONLY, 0), in, NULL, 10));
	out = open_ok("out", O_RDWR | O_APPEND, 0);
	ERR(EINVAL, sendfile(out, in, &at, 10));
}

static void splice_copies(void)
{
	uint8_t *want = pages();
	int in, out, pipes[2], more[2];
	loff_t from = 0, to = 0;

	in = open_ok("in", O_RDWR | O_CREAT, 0644);
	fill(want, SIZE, 9);
	IS(SIZE, write(in, want, SIZE));
	out = open_ok("out", O_RDWR | O_CREAT, 0644);
	OK(pipe(pipes));
	OK(pipe(more));
	while (from < SIZE) {
		ssize_t n = OK(splice(in, &from, pipes[1], NULL, 5 * PAGE + 7,
				      SPLICE_F_MOVE));

		/* (the pages may still be shared with the first file) */
		while (n > 0)
			n -= OK(splice(pipes[0], NULL, out, &to, (size_t)n,
				       SPLICE_F_MOVE));
	}
	holds(out, want, SIZE);
	/* Changing one changes the other not. */
	IS(4, pwrite(in, "----", 4, 0));
	holds(out, want, SIZE);
	from = 0;
	IS(4, splice(in, &from, pipes[1], NULL, 4, 0));
	IS(4, tee(pipes[0], more[1], 4, 0));
	IS(4, read(more[0], want, 4));
	TRUE(!memcmp(want, "----", 4));
	ERR(ESPIPE, splice(in, NULL, pipes[1], &from, 4, 0));
	ERR(EINVAL, splice(in, NULL, out, NULL, 4, 0));
	IS(4, splice(pipes[0], NULL, out, NULL, 4, 0));
	{
		struct iovec v = { want, 100 };

		fill(want, 100, 77);
		IS(100, vmsplice(pipes[1], &v, 1, 0));
		to = SIZE;
		IS(100, splice(pipes[0], NULL, out, &to, 100, 0));
		IS(SIZE + 100, stat_of("out").st_size);
	}
}

static void vector_flags(void)
{
	struct iovec v = { (char[]){ "text" }, 4 };
	char got[16];
	struct iovec in = { got, sizeof(got) };
	int fd = open_ok("f", O_RDWR | O_CREAT, 0644);
	ssize_t n;

	IS(4, pwritev2(fd, &v, 1, 0, RWF_DSYNC));
	IS(4, pwritev2(fd, &v, 1, 0, RWF_SYNC));
	IS(4, pwritev2(fd, &v, 1, 0, RWF_APPEND));
	IS(8, stat_of("f").st_size);
	IS(4, pwritev2(fd, &v, 1, -1, 0));
	IS(4, lseek(fd, 0, SEEK_CUR));
	IS(8, preadv2(fd, &in, 1, 0, RWF_HIPRI));
	/* From what is in memory, or not at all. */
	n = preadv2(fd, &in, 1, 0, RWF_NOWAIT);
	TRUE(n == 8 || (n < 0 && (errno == EAGAIN || errno == EOPNOTSUPP)));
	IS(0, preadv2(fd, &in, 1, 8, 0));
	OK(close(fd));
}

/* ---- ranges */

static void ranges_refused(void)
{
	int fd;

	make_file("f", 0644);
	fd = open_ok("f", O_RDWR, 0);
	OK(ftruncate(fd, SIZE));
	/* Ranges that ext4 refuses, too. */
	ERR(EINVAL, fallocate(fd, FALLOC_FL_COLLAPSE_RANGE, 10, 10) < 0 ?
	    (errno = errno == EOPNOTSUPP ? EINVAL : errno, -1) : 0);
	ERR(EOPNOTSUPP, fallocate(fd, FALLOC_FL_PUNCH_HOLE, 0, PAGE));
	ERR(EOPNOTSUPP, fallocate(fd, FALLOC_FL_PUNCH_HOLE |
				  FALLOC_FL_ZERO_RANGE |
				  FALLOC_FL_KEEP_SIZE, 0, PAGE));
	ERR(EINVAL, fallocate(fd, FALLOC_FL_COLLAPSE_RANGE |
			      FALLOC_FL_KEEP_SIZE, 0, PAGE) < 0 ?
	    (errno = errno == EOPNOTSUPP ? EINVAL : errno, -1) : 0);
	OK(close(fd));
	fd = open_ok(".", O_RDONLY, 0);
	ERR(EBADF, fallocate(fd, 0, 0, PAGE));
	OK(mkfifo("p", 0644));
	fd = open_ok("p", O_RDWR, 0);
	ERR(ESPIPE, fallocate(fd, 0, 0, PAGE));
	ERR(ESPIPE, lseek(fd, 0, SEEK_DATA));
}

static void collapse_range(void)
{
	uint8_t *want = pages();
	int fd = open_ok("f", O_RDWR | O_CREAT, 0644);

	fill(want, SIZE, 5);
	IS(SIZE, write(fd, want, SIZE));
	OK(fallocate(fd, FALLOC_FL_COLLAPSE_RANGE, 4 * PAGE, 8 * PAGE));
	memmove(want + 4 * PAGE, want + 12 * PAGE, SIZE - 12 * PAGE);
	IS(SIZE - 8 * PAGE, stat_of("f").st_size);
	holds(fd, want, SIZE - 8 * PAGE);
	ERR(EINVAL, fallocate(fd, FALLOC_FL_COLLAPSE_RANGE, 0, SIZE));
}

static void insert_range(void)
{
	uint8_t *want = pages();
	int fd = open_ok("f", O_RDWR | O_CREAT, 0644);

	fill(want, SIZE / 2, 5);
	IS(SIZE / 2, write(fd, want, SIZE / 2));
	OK(fallocate(fd, FALLOC_FL_INSERT_RANGE, 4 * PAGE, 8 * PAGE));
	memmove(want + 12 * PAGE, want + 4 * PAGE, SIZE / 2 - 4 * PAGE);
	memset(want + 4 * PAGE, 0, 8 * PAGE);
	IS(SIZE / 2 + 8 * PAGE, stat_of("f").st_size);
	holds(fd, want, SIZE / 2 + 8 * PAGE);
	ERR(EINVAL, fallocate(fd, FALLOC_FL_INSERT_RANGE, SIZE, PAGE));
}

/* Chunks of two files are shared, or that is said to be impossible. */
static void clone_file(void)
{
	int in, out;

	make_text("in", "some text");
	in = open_ok("in", O_RDONLY, 0);
	out = open_ok("out", O_RDWR | O_CREAT, 0644);
	ERR(EOPNOTSUPP, ioctl(out, FICLONE, in));
	IS(0, stat_of("out").st_size);
}

/* Where the bytes of files are nobody asks of a mount: no map is given. */
static void advice(void)
{
	int fd;

	make_text("f", "some text");
	fd = open_ok("f", O_RDWR, 0);
	for (int k = POSIX_FADV_NORMAL; k <= POSIX_FADV_NOREUSE; k++)
		IS(0, posix_fadvise(fd, 0, 0, k));
	OK(readahead(fd, 0, 100));
	OK(sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE |
			   SYNC_FILE_RANGE_WAIT_BEFORE |
			   SYNC_FILE_RANGE_WAIT_AFTER));
	ERR(EBADF, readahead(open_ok("f", O_WRONLY, 0), 0, 100));
}

/* Appends of two descriptors, and by position, which Linux appends too. */
static void append_mixed(void)
{
	int a = open_ok("f", O_RDWR | O_CREAT | O_APPEND, 0644);
	int b = open_ok("f", O_RDWR, 0);
	char got[16] = { 0 };

	IS(3, write(a, "abc", 3));
	IS(2, pwrite(b, "xy", 2, 5));
	IS(1, write(a, "d", 1));
	IS(1, pwrite(a, "e", 1, 0));
	OK(ftruncate(b, 8));
	IS(1, write(a, "f", 1));
	IS(9, pread(b, got, sizeof(got), 0));
	TRUE(!memcmp(got, "abc\0\0xydf", 9));
	OK(fcntl(a, F_SETFL, 0));
	IS(1, pwrite(a, "A", 1, 0));
	IS(9, stat_of("f").st_size);
}

const struct conform_case pages_cases[] = {
	{ "random_one", random_one, 0 },
	{ "random_two", random_two, 0 },
	{ "map_sees_write", map_sees_write, 0 },
	{ "map_beyond_size", map_beyond_size, 0 },
	{ "map_private", map_private, 0 },
	{ "map_of_itself", map_of_itself, 0 },
	{ "map_truncated", map_truncated, 0 },
	{ "map_executable", map_executable, 0 },
	{ "direct_alignment", direct_alignment, 0 },
	{ "direct_switched", direct_switched, 0 },
	{ "direct_append", direct_append, 0 },
	{ "sendfile_copies", sendfile_copies, 0 },
	{ "splice_copies", splice_copies, 0 },
	{ "vector_flags", vector_flags, 0 },
	{ "ranges_refused", ranges_refused, 0 },
	{ "collapse_range", collapse_range, 0 },
	{ "insert_range", insert_range, 0 },
	{ "clone_file", clone_file, 0 },
	{ "advice", advice, 0 },
	{ "append_mixed", append_mixed, 0 },
	{ NULL, NULL, 0 },
};
