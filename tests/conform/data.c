/* SPDX-License-Identifier: Apache-2.0 */
/*
 * File data: room and holes, sizes, copies, appends, mappings, and the edges
 * of reading and writing.
 */
#include <linux/falloc.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include "tests/conform/conform.h"

#define PAGE 4096
#define MIB (1 << 20)
#define TIB (INT64_C(1) << 40)

/* ---- helpers */

/* len bytes that are not zero, at offset. */
static void fill(int fd, off_t offset, size_t len, char letter)
{
	char *bytes = malloc(len);

	TRUE(bytes);
	memset(bytes, letter, len);
	IS(len, pwrite(fd, bytes, len, offset));
	free(bytes);
}

/* All of [offset, offset + len) is this letter. */
static void expect_fill(int fd, off_t offset, size_t len, char letter)
{
	char *bytes = malloc(len);

	TRUE(bytes);
	IS(len, pread(fd, bytes, len, offset));
	for (size_t k = 0; k < len; k++)
		if (bytes[k] != letter)
			IS(letter, bytes[k]);
	free(bytes);
}

static off_t size_of(int fd)
{
	struct stat st;

	OK(fstat(fd, &st));
	return st.st_size;
}

static long long blocks_of(int fd)
{
	struct stat st;

	OK(fstat(fd, &st));
	return st.st_blocks;
}

/* Waits for a child that must have ended well. */
static void reap(pid_t pid)
{
	int status;

	OK(waitpid(pid, &status, 0));
	IS(0, status);
}

/* ---- fallocate */

static void fallocate_plain(void)
{
	int fd = open_ok("f", O_CREAT | O_RDWR, 0644);

	OK(fallocate(fd, 0, 0, 10000));
	IS(10000, size_of(fd));
	expect_fill(fd, 0, 10000, 0);
	fill(fd, 0, 10000, 'a');
	OK(fallocate(fd, 0, 5000, 15000));
	IS(20000, size_of(fd));
	expect_fill(fd, 0, 10000, 'a');
	expect_fill(fd, 10000, 10000, 0);
	OK(fallocate(fd, 0, 0, 100));
	IS(20000, size_of(fd));
	OK(close(fd));
	IS(20000, stat_of("f").st_size);
}

static void fallocate_keep_size(void)
{
	int fd = open_ok("f", O_CREAT | O_RDWR, 0644);

	fill(fd, 0, 5000, 'a');
	OK(fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, MIB));
	IS(5000, size_of(fd));
	expect_fill(fd, 0, 5000, 'a');
	OK(close(fd));
	IS(5000, stat_of("f").st_size);
}

static void fallocate_punch(void)
{
	int fd = open_ok("f", O_CREAT | O_RDWR, 0644);
	const int mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;

	fill(fd, 0, MIB, 'a');
	OK(close(fd));
	fd = open_ok("f", O_RDWR, 0);
	OK(fallocate(fd, mode, 1000, 100000));
	expect_fill(fd, 0, 1000, 'a');
	expect_fill(fd, 1000, 100000, 0);
	expect_fill(fd, 101000, MIB - 101000, 'a');
	/* Across the end, and behind it. */
	OK(fallocate(fd, mode, MIB - 10, MIB));
	OK(fallocate(fd, mode, 3 * MIB, MIB));
	IS(MIB, size_of(fd));
	expect_fill(fd, MIB - 10, 10, 0);
	OK(close(fd));
	fd = open_ok("f", O_RDONLY, 0);
	expect_fill(fd, 0, 1000, 'a');
	expect_fill(fd, 1000, 100000, 0);
	expect_fill(fd, 101000, MIB - 101000 - 10, 'a');
	expect_fill(fd, MIB - 10, 10, 0);
	OK(close(fd));
}

/* What was dropped does not come back when the file grows again. */
static void fallocate_punch_then_grow(void)
{
	int fd = open_ok("f", O_CREAT | O_RDWR, 0644);

	fill(fd, 0, 3 * PAGE, 'a');
	OK(ftruncate(fd, PAGE + 100));
	OK(ftruncate(fd, 3 * PAGE));
	expect_fill(fd, 0, PAGE + 100, 'a');
	expect_fill(fd, PAGE + 100, 2 * PAGE - 100, 0);
	OK(close(fd));
}

static void fallocate_zero_range(void)
{
	int fd = open_ok("f", O_CREAT | O_RDWR, 0644);

	fill(fd, 0, 50000, 'a');
	OK(fallocate(fd, FALLOC_FL_ZERO_RANGE, 10, 1000));
	expect_fill(fd, 0, 10, 'a');
	expect_fill(fd, 10, 1000, 0);
	expect_fill(fd, 1010, 50000 - 1010, 'a');
	OK(fallocate(fd, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, 49000,
		     10000));
	IS(50000, size_of(fd));
	expect_fill(fd, 49000, 1000, 0);
	OK(fallocate(fd, FALLOC_FL_ZERO_RANGE, 48000, 10000));
	IS(58000, size_of(fd));
	expect_fill(fd, 48000, 10000, 0);
	OK(close(fd));
}

static void fallocate_errors(void)
{
	int fd = open_ok("f", O_CREAT | O_RDWR, 0644);
	int ro = open_ok("f", O_RDONLY, 0), fds[2];

	ERR(EINVAL, fallocate(fd, 0, 0, 0));
	ERR(EINVAL, fallocate(fd, 0, -1, 1));
	ERR(EINVAL, fallocate(fd, 0, 0, -1));
	ERR(EFBIG, fallocate(fd, 0, INT64_MAX, 1));
	ERR(EBADF, fallocate(ro, 0, 0, 1));
	ERR(EBADF, fallocate(-1, 0, 0, 1));
	ERR(EOPNOTSUPP, fallocate(fd, FALLOC_FL_PUNCH_HOLE, 0, 1));
	ERR(EOPNOTSUPP, fallocate(fd, FALLOC_FL_KEEP_SIZE |
				      FALLOC_FL_PUNCH_HOLE |
				      FALLOC_FL_ZERO_RANGE, 0, 1));
	OK(pipe(fds));
	ERR(ESPIPE, fallocate(fds[1], 0, 0, 1));
	OK(close(fd));
	OK(close(ro));
}

static void fallocate_limit(void)
{
	struct rlimit limit = { 10000, 10000 };
	int fd = open_ok("f", O_CREAT | O_RDWR, 0644);

	signal(SIGXFSZ, SIG_IGN);
	OK(setrlimit(RLIMIT_FSIZE, &limit));
	ERR(EFBIG, fallocate(fd, 0, 0, 20000));
	ERR(EFBIG, ftruncate(fd, 20000));
	ERR(EFBIG, pwrite(fd, "x", 1, 10000));
	IS(1, pwrite(fd, "xyz", 3, 9999));
	OK(close(fd));
}

/* ---- holes */

static void seek_all_data(void)
{
	int fd = open_ok("f", O_CREAT | O_RDWR, 0644);

	fill(fd, 0, 100000, 'a');
	for (int turn = 0; turn < 2; turn++) {
		IS(0, lseek(fd, 0, SEEK_DATA));
		IS(12345, lseek(fd, 12345, SEEK_DATA));
		IS(100000, lseek(fd, 0, SEEK_HOLE));
		IS(100000, lseek(fd, 99999, SEEK_HOLE));
		ERR(ENXIO, lseek(fd, 100000, SEEK_DATA));
		ERR(ENXIO, lseek(fd, 100000, SEEK_HOLE));
		ERR(ENXIO, lseek(fd, 100001, SEEK_HOLE));
		ERR(ENXIO, lseek(fd, -1, SEEK_DATA));
		ERR(ENXIO, lseek(fd, -1, SEEK_HOLE));
		OK(close(fd));
		fd = open_ok("f", O_RDWR, 0);
	}
	OK(close(fd));
}

static void seek_empty(void)
{
	int fd = open_ok("f", O_CREAT | O_RDWR, 0644);

	ERR(ENXIO, lseek(fd, 0, SEEK_DATA));
	ERR(ENXIO, lseek(fd, 0, SEEK_HOLE));
	OK(ftruncate(fd, MIB));
	ERR(ENXIO, lseek(fd, 0, SEEK_DATA));
	IS(0, lseek(fd, 0, SEEK_HOLE));
	IS(MIB - 1, lseek(fd, MIB - 1, SEEK_HOLE));
	ERR(ENXIO, lseek(fd, MIB, SEEK_HOLE));
	OK(close(fd));
}

/* Data at 64 KiB and at 1 MiB, holes between. */
static void check_sparse(int fd)
{
	IS(65536, lseek(fd, 0, SEEK_DATA));
	IS(65536, lseek(fd, 65536, SEEK_DATA));
	IS(65540, lseek(fd, 65540, SEEK_DATA));
	IS(0, lseek(fd, 0, SEEK_HOLE));
	IS(100, lseek(fd, 100, SEEK_HOLE));
	IS(65536 + 2 * PAGE, lseek(fd, 65536, SEEK_HOLE));
	IS(MIB, lseek(fd, 65536 + 2 * PAGE, SEEK_DATA));
	IS(MIB + PAGE, lseek(fd, MIB, SEEK_HOLE));
	ERR(ENXIO, lseek(fd, MIB + PAGE, SEEK_DATA));
	IS(MIB + 2 * PAGE, lseek(fd, MIB + 2 * PAGE, SEEK_HOLE));
}

static void seek_sparse(void)
{
	int fd = open_ok("f", O_CREAT | O_RDWR, 0644);

	fill(fd, 65536, 2 * PAGE, 'a');
	fill(fd, MIB, PAGE, 'b');
	OK(ftruncate(fd, MIB + 100 * PAGE));
	OK(fsync(fd));
	check_sparse(fd);
	OK(close(fd));
	fd = open_ok("f", O_RDONLY, 0);
	check_sparse(fd);
	OK(close(fd));
}

static void seek_punched(void)
{
	int fd = open_ok("f", O_CREAT | O_RDWR, 0644);

	fill(fd, 0, 100 * PAGE, 'a');
	OK(fsync(fd));
	OK(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
		     10 * PAGE, 5 * PAGE));
	for (int turn = 0; turn < 2; turn++) {
		IS(10 * PAGE, lseek(fd, 0, SEEK_HOLE));
		IS(12 * PAGE, lseek(fd, 12 * PAGE, SEEK_HOLE));
		IS(15 * PAGE, lseek(fd, 10 * PAGE, SEEK_DATA));
		IS(100 * PAGE, lseek(fd, 15 * PAGE, SEEK_HOLE));
		OK(close(fd));
		fd = open_ok("f", O_RDWR, 0);
	}
	OK(close(fd));
}

static void seek_plain(void)
{
	int fd = open_ok("f", O_CREAT | O_RDWR, 0644), fds[2];

	fill(fd, 0, 100, 'a');
	IS(100, lseek(fd, 0, SEEK_END));
	IS(150, lseek(fd, 50, SEEK_END));
	IS(150, lseek(fd, 0, SEEK_CUR));
	ERR(EINVAL, lseek(fd, -1, SEEK_SET));
	ERR(EINVAL, lseek(fd, -200, SEEK_CUR));
	ERR(EINVAL, lseek(fd, 0, 99));
	IS(150, lseek(fd, 0, SEEK_CUR));
	OK(pipe(fds));
	ERR(ESPIPE, lseek(fds[0], 0, SEEK_SET));
	OK(close(fd));
	ERR(EBADF, lseek(fd, 0, SEEK_SET));
}

/* ---- sizes */

static void truncate_both_ways(void)
{
	int fd = open_ok("f", O_CREAT | O_RDWR, 0644);

	fill(fd, 0, 10000, 'a');
	OK(ftruncate(fd, 3000));
	OK(ftruncate(fd, 20000));
	expect_fill(fd, 0, 3000, 'a');
	expect_fill(fd, 3000, 17000, 0);
	OK(close(fd));
	OK(truncate("f", 100));
	OK(truncate("f", 5000));
	fd = open_ok("f", O_RDONLY, 0);
	IS(5000, size_of(fd));
	expect_fill(fd, 0, 100, 'a');
	expect_fill(fd, 100, 4900, 0);
	OK(close(fd));
}

static void truncate_errors(void)
{
	int fd;

	make_text("f", "text");
	make_dir("d", 0755);
	ERR(ENOENT, truncate("none", 0));
	ERR(EISDIR, truncate("d", 0));
	ERR(ENOTDIR, truncate("f/x", 0));
	ERR(EINVAL, truncate("f", -1));
	ERR(ENAMETOOLONG, truncate(name_of(256, 'n'), 0));
	fd = open_ok("f", O_RDONLY, 0);
	ERR(EINVAL, ftruncate(fd, 0));
	OK(close(fd));
	ERR(EBADF, ftruncate(fd, 0));
	fd = open_ok("d", O_RDONLY | O_DIRECTORY, 0);
	ERR(EINVAL, ftruncate(fd, 0));
	OK(close(fd));
	fd = open_ok("f", O_RDWR, 0);
	ERR(EINVAL, ftruncate(fd, -1));
	IS(4, size_of(fd));
	OK(close(fd));
}

static void truncate_no_write_permission(void)
{
	make_text("f", "text");
	OK(chmod("f", 0444));
	AS(USER_A, GROUP_A)
		ERR(EACCES, truncate("f", 0));
	IS(4, stat_of("f").st_size);
}

/* As far as ext4 goes, which is 16 TiB. */
static void sparse_to_15_tib(void)
{
	int fd = open_ok("f", O_CREAT | O_RDWR, 0644);

	OK(ftruncate(fd, 15 * TIB));
	IS(15 * TIB, size_of(fd));
	fill(fd, 14 * TIB, 3, 'z');
	expect_fill(fd, 14 * TIB, 3, 'z');
	expect_fill(fd, 7 * TIB, PAGE, 0);
	IS(14 * TIB, lseek(fd, 0, SEEK_DATA));
	TRUE(blocks_of(fd) < 2000);
	OK(close(fd));
	fd = open_ok("f", O_RDWR, 0);
	IS(15 * TIB, size_of(fd));
	expect_fill(fd, 14 * TIB, 3, 'z');
	TRUE(blocks_of(fd) < 2000);
	OK(close(fd));
}

static void size_limit(void)
{
	int fd = open_ok("f", O_CREAT | O_RDWR, 0644);

	ERR(EINVAL, pwrite(fd, "x", 1, INT64_MAX));
	ERR(EINVAL, pwrite(fd, "x", 1, -1));
	ERR(EINVAL, pread(fd, &(char){ 0 }, 1, -1));
	IS(0, size_of(fd));
	OK(close(fd));
}

static void blocks_mean_something(void)
{
	int fd = open_ok("f", O_CREAT | O_RDWR, 0644);

	IS(0, blocks_of(fd));
	OK(ftruncate(fd, 16 * MIB));
	IS(0, blocks_of(fd));
	fill(fd, 0, MIB, 'a');
	OK(fsync(fd));
	TRUE(blocks_of(fd) >= 2048 && blocks_of(fd) < 2600);
	OK(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
		     MIB / 2));
	TRUE(blocks_of(fd) >= 1024 && blocks_of(fd) < 1600);
	OK(close(fd));
	TRUE(stat_of("f").st_blocks >= 1024 && stat_of("f").st_blocks < 1600);
	OK(truncate("f", 0));
	IS(0, stat_of("f").st_blocks);
}

static void statfs_facts(void)
{
	struct statvfs st;

	OK(statvfs(".", &st));
	TRUE(st.f_bsize && st.f_frsize);
	TRUE(st.f_blocks >= st.f_bfree && st.f_bfree >= st.f_bavail);
	TRUE(st.f_bavail > 0);
	IS(255, st.f_namemax);
	ERR(ENOENT, statvfs("none", &st));
}

/* ---- copies */

static void copy_range_whole(void)
{
	int in = open_ok("f", O_CREAT | O_RDWR, 0644);
	int out = open_ok("g", O_CREAT | O_RDWR, 0644);
	off_t from = 0, to = 0;

	fill(in, 0, 500000, 'a');
	fill(in, 500000, 500000, 'b');
	/* What is not closed yet, too. */
	while (from < 1000000)
		TRUE(copy_file_range(in, &from, out, &to, 1000000 - from, 0) >
		     0);
	IS(1000000, to);
	IS(0, copy_file_range(in, &from, out, &to, 100, 0));
	IS(1000000, size_of(out));
	expect_fill(out, 0, 500000, 'a');
	expect_fill(out, 500000, 500000, 'b');
	OK(close(in));
	OK(close(out));
	in = open_ok("g", O_RDONLY, 0);
	out = open_ok("h", O_CREAT | O_RDWR, 0644);
	fill(out, 0, 1000, 'x');
	from = 123;
	to = 700;
	IS(600000, copy_file_range(in, &from, out, &to, 600000, 0));
	expect_fill(out, 0, 700, 'x');
	expect_fill(out, 700, 500000 - 123, 'a');
	expect_fill(out, 700 + 500000 - 123, 100123, 'b');
	IS(600700, size_of(out));
	OK(close(out));
	out = open_ok("h", O_RDONLY, 0);
	expect_fill(out, 700, 500000 - 123, 'a');
	expect_fill(out, 700 + 500000 - 123, 100123, 'b');
	OK(close(in));
	OK(close(out));
}

static void copy_range_offsets(void)
{
	int in = open_ok("f", O_CREAT | O_RDWR, 0644);
	int out = open_ok("g", O_CREAT | O_RDWR, 0644);

	fill(in, 0, 5000, 'a');
	IS(1000, lseek(in, 1000, SEEK_SET));
	IS(4000, copy_file_range(in, NULL, out, NULL, 10000, 0));
	IS(5000, lseek(in, 0, SEEK_CUR));
	IS(4000, lseek(out, 0, SEEK_CUR));
	IS(0, copy_file_range(in, NULL, out, NULL, 10000, 0));
	IS(4000, size_of(out));
	OK(close(in));
	OK(close(out));
}

static void copy_range_same_file(void)
{
	int fd = open_ok("f", O_CREAT | O_RDWR, 0644);
	off_t from = 0, to = 100000;

	fill(fd, 0, 100000, 'a');
	IS(100000, copy_file_range(fd, &from, fd, &to, 100000, 0));
	expect_fill(fd, 0, 200000, 'a');
	from = 0;
	to = 50;
	ERR(EINVAL, copy_file_range(fd, &from, fd, &to, 100, 0));
	from = 50;
	to = 0;
	ERR(EINVAL, copy_file_range(fd, &from, fd, &to, 100, 0));
	from = to = 10;
	ERR(EINVAL, copy_file_range(fd, &from, fd, &to, 1, 0));
	OK(close(fd));
}

static void copy_range_errors(void)
{
	int in = open_ok("f", O_CREAT | O_RDWR, 0644), ro, append, dir, fds[2];
	int out = open_ok("g", O_CREAT | O_RDWR, 0644);

	fill(in, 0, 100, 'a');
	ERR(EINVAL, copy_file_range(in, NULL, out, NULL, 10, 1));
	ro = open_ok("g", O_RDONLY, 0);
	ERR(EBADF, copy_file_range(in, NULL, ro, NULL, 10, 0));
	append = open_ok("g", O_WRONLY | O_APPEND, 0);
	ERR(EBADF, copy_file_range(in, NULL, append, NULL, 10, 0));
	ERR(EBADF, copy_file_range(append, NULL, out, NULL, 10, 0));
	make_dir("d", 0755);
	dir = open_ok("d", O_RDONLY, 0);
	ERR(EISDIR, copy_file_range(dir, NULL, out, NULL, 10, 0));
	OK(pipe(fds));
	ERR(EINVAL, copy_file_range(fds[0], NULL, out, NULL, 10, 0));
	IS(0, copy_file_range(in, NULL, out, NULL, 0, 0));
	IS(0, size_of(out));
	OK(close(in));
	OK(close(out));
}

/* ---- appends */

#define APPENDERS 4
#define LINES 500

static void append_processes(void)
{
	char line[32];
	int seen[APPENDERS] = { 0 };
	FILE *file;

	OK(close(open_ok("log", O_CREAT | O_WRONLY, 0644)));
	for (int k = 0; k < APPENDERS; k++) {
		int fd;

		if (OK(fork()))
			continue;
		fd = open_ok("log", O_WRONLY | O_APPEND, 0);
		for (int n = 0; n < LINES; n++) {
			int len = snprintf(line, sizeof(line), "%d %06d\n", k,
					   n);

			IS(len, write(fd, line, (size_t)len));
		}
		_exit(0);
	}
	for (int k = 0; k < APPENDERS; k++)
		reap(-1);
	file = fopen("log", "r");
	TRUE(file);
	/* Each one's lines, whole and in its order. */
	while (fgets(line, sizeof(line), file)) {
		int who, number;

		IS(2, sscanf(line, "%d %d", &who, &number));
		TRUE(who >= 0 && who < APPENDERS);
		IS(seen[who], number);
		seen[who]++;
	}
	for (int k = 0; k < APPENDERS; k++)
		IS(LINES, seen[k]);
	fclose(file);
}

static void append_position(void)
{
	int fd, other;

	make_text("f", "12345");
	fd = open_ok("f", O_RDWR | O_APPEND, 0);
	other = open_ok("f", O_RDWR, 0);
	IS(0, lseek(fd, 0, SEEK_SET));
	IS(1, write(fd, "6", 1));
	IS(6, lseek(fd, 0, SEEK_CUR));
	IS(3, pwrite(other, "XYZ", 3, 10));
	IS(1, write(fd, "!", 1));
	IS(14, size_of(fd));
	/* As Linux does it, whatever POSIX says of pwrite(). */
	IS(1, pwrite(fd, "?", 1, 0));
	IS(15, size_of(fd));
	OK(close(fd));
	OK(close(other));
}

/* ---- reading and writing */

static void read_write_edges(void)
{
	char bytes[16];
	void *volatile nowhere = (void *)8;
	int fd = open_ok("f", O_CREAT | O_RDWR, 0644), dir;

	IS(0, read(fd, bytes, sizeof(bytes)));
	IS(0, write(fd, bytes, 0));
	IS(0, pwrite(fd, bytes, 0, 1000));
	IS(0, size_of(fd));
	IS(5, pwrite(fd, "hello", 5, 3));
	IS(8, size_of(fd));
	IS(8, pread(fd, bytes, sizeof(bytes), 0));
	TRUE(!memcmp(bytes, "\0\0\0hello", 8));
	IS(1, pread(fd, bytes, sizeof(bytes), 7));
	IS(0, pread(fd, bytes, sizeof(bytes), 8));
	IS(0, pread(fd, bytes, sizeof(bytes), 1000000));
	IS(0, lseek(fd, 0, SEEK_CUR));
	ERR(EFAULT, read(fd, nowhere, 5));
	ERR(EFAULT, write(fd, nowhere, 5));
	OK(close(fd));
	ERR(EBADF, read(fd, bytes, 1));
	fd = open_ok("f", O_RDONLY, 0);
	ERR(EBADF, write(fd, "x", 1));
	OK(close(fd));
	fd = open_ok("f", O_WRONLY, 0);
	ERR(EBADF, read(fd, bytes, 1));
	OK(close(fd));
	make_dir("d", 0755);
	dir = open_ok("d", O_RDONLY, 0);
	ERR(EISDIR, read(dir, bytes, 1));
	OK(close(dir));
}

static void vectors(void)
{
	char a[3], b[4];
	struct iovec out[3] = { { "abc", 3 }, { "", 0 }, { "defg", 4 } };
	struct iovec in[2] = { { a, 3 }, { b, 4 } };
	volatile size_t much = SIZE_MAX;
	volatile int none = -1;
	struct iovec bad[1] = { { a, much } };
	int fd = open_ok("f", O_CREAT | O_RDWR, 0644);

	IS(7, writev(fd, out, 3));
	IS(7, pwritev(fd, out, 3, 5));
	IS(12, size_of(fd));
	IS(7, preadv(fd, in, 2, 5));
	TRUE(!memcmp(a, "abc", 3) && !memcmp(b, "defg", 4));
	IS(0, lseek(fd, 0, SEEK_SET));
	IS(7, readv(fd, in, 2));
	TRUE(!memcmp(a, "abc", 3) && !memcmp(b, "deab", 4));
	ERR(EINVAL, readv(fd, in, none));
	ERR(EINVAL, writev(fd, bad, 1));
	IS(2, preadv(fd, in, 2, 10));
	IS(0, preadv(fd, in, 2, 12));
	OK(close(fd));
}

static void unlinked_data(void)
{
	int fd = open_ok("f", O_CREAT | O_RDWR, 0644);

	fill(fd, 0, 100000, 'a');
	OK(unlink("f"));
	fill(fd, 100000, 100000, 'b');
	OK(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
		     PAGE));
	expect_fill(fd, 0, PAGE, 0);
	expect_fill(fd, PAGE, 100000 - PAGE, 'a');
	expect_fill(fd, 100000, 100000, 'b');
	IS(200000, size_of(fd));
	OK(fsync(fd));
	OK(close(fd));
}

static void syncs(void)
{
	int fd = open_ok("f", O_CREAT | O_RDWR, 0644), dir, fds[2];

	fill(fd, 0, 10000, 'a');
	OK(fsync(fd));
	OK(fdatasync(fd));
	OK(sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WAIT_BEFORE |
					     SYNC_FILE_RANGE_WRITE |
					     SYNC_FILE_RANGE_WAIT_AFTER));
	OK(syncfs(fd));
	OK(close(fd));
	ERR(EBADF, fsync(fd));
	fd = open_ok("f", O_RDONLY, 0);
	OK(fsync(fd));
	OK(close(fd));
	dir = open_ok(".", O_RDONLY | O_DIRECTORY, 0);
	OK(fsync(dir));
	OK(fdatasync(dir));
	OK(close(dir));
	OK(pipe(fds));
	ERR(EINVAL, fsync(fds[0]));
}

static void direct_io(void)
{
	char *bytes;
	int fd = open("f", O_CREAT | O_RDWR | O_DIRECT, 0644), plain;

	if (fd < 0 && errno == EINVAL)
		conform_skip("no O_DIRECT here");
	OK(fd);
	TRUE(!posix_memalign((void **)&bytes, PAGE, 4 * PAGE));
	memset(bytes, 'a', 4 * PAGE);
	IS(4 * PAGE, pwrite(fd, bytes, 4 * PAGE, 0));
	memset(bytes, 0, 4 * PAGE);
	IS(4 * PAGE, pread(fd, bytes, 4 * PAGE, 0));
	TRUE(bytes[0] == 'a' && bytes[4 * PAGE - 1] == 'a');
	IS(0, pread(fd, bytes, PAGE, 4 * PAGE));
	/* Both ways see what the other wrote. */
	plain = open_ok("f", O_RDWR, 0);
	expect_fill(plain, 0, 4 * PAGE, 'a');
	fill(plain, PAGE, PAGE, 'b');
	IS(4 * PAGE, pread(fd, bytes, 4 * PAGE, 0));
	TRUE(bytes[0] == 'a' && bytes[PAGE] == 'b');
	memset(bytes, 'c', PAGE);
	IS(PAGE, pwrite(fd, bytes, PAGE, 2 * PAGE));
	expect_fill(plain, 2 * PAGE, PAGE, 'c');
	free(bytes);
	OK(close(fd));
	OK(close(plain));
}

/* ---- files without a name */

static void tmpfile_unnamed(void)
{
	int fd = open(".", O_TMPFILE | O_RDWR, 0600);
	struct stat st;

	OK(fd);
	OK(fstat(fd, &st));
	IS(0, st.st_nlink);
	TRUE(S_ISREG(st.st_mode));
	IS(0600, st.st_mode & 07777);
	fill(fd, 0, 100000, 'a');
	expect_fill(fd, 0, 100000, 'a');
	IS(100000, size_of(fd));
	OK(close(fd));
}

static void tmpfile_linked(void)
{
	char path[64];
	int fd = open(".", O_TMPFILE | O_RDWR, 0640);

	OK(fd);
	fill(fd, 0, 100000, 'a');
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	OK(linkat(AT_FDCWD, path, AT_FDCWD, "f", AT_SYMLINK_FOLLOW));
	IS(1, stat_of("f").st_nlink);
	IS(0640, perm_of("f"));
	fill(fd, 100000, 10, 'b');
	OK(close(fd));
	IS(100010, stat_of("f").st_size);
	fd = open_ok("f", O_RDONLY, 0);
	expect_fill(fd, 0, 100000, 'a');
	expect_fill(fd, 100000, 10, 'b');
	OK(close(fd));
}

static void tmpfile_excl(void)
{
	char path[64];
	int fd = open(".", O_TMPFILE | O_EXCL | O_RDWR, 0600);

	OK(fd);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	ERR(ENOENT, linkat(AT_FDCWD, path, AT_FDCWD, "f", AT_SYMLINK_FOLLOW));
	OK(close(fd));
}

/* ---- mappings */

static void mmap_shared(void)
{
	int fd = open_ok("f", O_CREAT | O_RDWR, 0644);
	char *map;

	OK(ftruncate(fd, 10 * PAGE));
	map = mmap(NULL, 10 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	TRUE(map != MAP_FAILED);
	memset(map + 100, 'm', 5 * PAGE);
	OK(msync(map, 10 * PAGE, MS_SYNC));
	expect_fill(fd, 100, 5 * PAGE, 'm');
	expect_fill(fd, 0, 100, 0);
	/* A write is seen in the mapping at once. */
	fill(fd, 0, 100, 'w');
	TRUE(map[0] == 'w' && map[99] == 'w' && map[100] == 'm');
	map[9 * PAGE] = 'e';
	OK(munmap(map, 10 * PAGE));
	OK(close(fd));
	fd = open_ok("f", O_RDONLY, 0);
	expect_fill(fd, 0, 100, 'w');
	expect_fill(fd, 100, 5 * PAGE, 'm');
	expect_fill(fd, 9 * PAGE, 1, 'e');
	OK(close(fd));
}

static void mmap_two_processes(void)
{
	int fd = open_ok("f", O_CREAT | O_RDWR, 0644);
	volatile char *map;
	pid_t pid;

	OK(ftruncate(fd, PAGE));
	map = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	TRUE(map != MAP_FAILED);
	pid = (pid_t)OK(fork());
	if (!pid) {
		int own = open_ok("f", O_RDWR, 0);
		char *mine = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
				  MAP_SHARED, own, 0);

		TRUE(mine != MAP_FAILED);
		mine[7] = 'c';
		_exit(0);
	}
	reap(pid);
	TRUE(map[7] == 'c');
	OK(close(fd));
	map[8] = 'd';
	OK(munmap((void *)map, PAGE));
	fd = open_ok("f", O_RDONLY, 0);
	expect_fill(fd, 7, 1, 'c');
	expect_fill(fd, 8, 1, 'd');
	OK(close(fd));
}

static void mmap_beyond_end(void)
{
	int fd = open_ok("f", O_CREAT | O_RDWR, 0644), status;
	volatile char *map;
	pid_t pid;

	fill(fd, 0, 100, 'a');
	map = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	TRUE(map != MAP_FAILED);
	IS(0, map[100]);
	IS(0, map[PAGE - 1]);
	pid = (pid_t)OK(fork());
	if (!pid) {
		struct rlimit none = { 0, 0 };

		setrlimit(RLIMIT_CORE, &none);
		_exit(map[PAGE]);
	}
	OK(waitpid(pid, &status, 0));
	TRUE(WIFSIGNALED(status));
	IS(SIGBUS, WTERMSIG(status));
	/* It grows, and then shrinks, under the mapping. */
	OK(ftruncate(fd, 2 * PAGE));
	IS(0, map[PAGE]);
	map[PAGE] = 'x';
	OK(ftruncate(fd, 50));
	pid = (pid_t)OK(fork());
	if (!pid) {
		struct rlimit none = { 0, 0 };

		setrlimit(RLIMIT_CORE, &none);
		_exit(map[PAGE]);
	}
	OK(waitpid(pid, &status, 0));
	TRUE(WIFSIGNALED(status));
	OK(ftruncate(fd, 2 * PAGE));
	IS(0, map[PAGE]);
	IS(0, map[60]);
	OK(munmap((void *)map, 2 * PAGE));
	OK(close(fd));
}

static void mmap_errors(void)
{
	int fd, dir;

	make_text("f", "text");
	make_dir("d", 0755);
	fd = open_ok("f", O_RDONLY, 0);
	ERR(EACCES, (long)mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED,
			       fd, 0));
	ERR(EINVAL, (long)mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 1));
	TRUE(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0) !=
	     MAP_FAILED);
	OK(close(fd));
	ERR(EBADF, (long)mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0));
	fd = open_ok("f", O_WRONLY, 0);
	ERR(EACCES, (long)mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0));
	OK(close(fd));
	dir = open_ok("d", O_RDONLY, 0);
	ERR(ENODEV, (long)mmap(NULL, PAGE, PROT_READ, MAP_SHARED, dir, 0));
	OK(close(dir));
}

/* A mapping keeps the file when its name and descriptor are gone. */
static void mmap_unlinked(void)
{
	int fd = open_ok("f", O_CREAT | O_RDWR, 0644);
	char *map;

	fill(fd, 0, 2 * PAGE, 'a');
	map = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	TRUE(map != MAP_FAILED);
	OK(close(fd));
	OK(unlink("f"));
	TRUE(map[PAGE] == 'a');
	map[0] = 'b';
	OK(msync(map, 2 * PAGE, MS_SYNC));
	OK(munmap(map, 2 * PAGE));
}

const struct conform_case data_cases[] = {
	{ "fallocate_plain", fallocate_plain, 0 },
	{ "fallocate_keep_size", fallocate_keep_size, 0 },
	{ "fallocate_punch", fallocate_punch, 0 },
	{ "fallocate_punch_then_grow", fallocate_punch_then_grow, 0 },
	{ "fallocate_zero_range", fallocate_zero_range, 0 },
	{ "fallocate_errors", fallocate_errors, 0 },
	{ "fallocate_limit", fallocate_limit, 0 },
	{ "seek_all_data", seek_all_data, 0 },
	{ "seek_empty", seek_empty, 0 },
	{ "seek_sparse", seek_sparse, 0 },
	{ "seek_punched", seek_punched, 0 },
	{ "seek_plain", seek_plain, 0 },
	{ "truncate_both_ways", truncate_both_ways, 0 },
	{ "truncate_errors", truncate_errors, 0 },
	{ "truncate_no_write_permission", truncate_no_write_permission,
	  NEEDS_ROOT },
	{ "sparse_to_15_tib", sparse_to_15_tib, 0 },
	{ "size_limit", size_limit, 0 },
	{ "blocks_mean_something", blocks_mean_something, 0 },
	{ "statfs_facts", statfs_facts, 0 },
	{ "copy_range_whole", copy_range_whole, 0 },
	{ "copy_range_offsets", copy_range_offsets, 0 },
	{ "copy_range_same_file", copy_range_same_file, 0 },
	{ "copy_range_errors", copy_range_errors, 0 },
	{ "append_processes", append_processes, 0 },
	{ "append_position", append_position, 0 },
	{ "read_write_edges", read_write_edges, 0 },
	{ "vectors", vectors, 0 },
	{ "unlinked_data", unlinked_data, 0 },
	{ "syncs", syncs, 0 },
	{ "direct_io", direct_io, 0 },
	{ "tmpfile_unnamed", tmpfile_unnamed, 0 },
	{ "tmpfile_linked", tmpfile_linked, 0 },
	{ "tmpfile_excl", tmpfile_excl, 0 },
	{ "mmap_shared", mmap_shared, 0 },
	{ "mmap_two_processes", mmap_two_processes, 0 },
	{ "mmap_beyond_end", mmap_beyond_end, 0 },
	{ "mmap_errors", mmap_errors, 0 },
	{ "mmap_unlinked", mmap_unlinked, 0 },
	{ NULL, NULL, 0 },
};
