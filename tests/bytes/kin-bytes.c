/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kin-bytes DIRECTORY [SEED [OPERATIONS]]: random operations on the bytes of
 * two files in a directory of any file system, compared after each with what
 * memory says they are.
 *
 * Done are writes, appends, writes through mappings, truncations, all forms
 * of fallocate(), copies between the two and within one, syncs, closing and
 * opening again, and dropping the kernel's pages; looked at by read(),
 * through mappings, past the page cache, and by SEEK_HOLE and SEEK_DATA. What
 * is searched for are mistakes between a file system and the kernel's pages
 * of it: bytes that come back, that are not seen, or that are not written.
 *
 * One seed does the same on every file system. Exit status: 0, or 1 with the
 * operation, what was done to the place before, and where the bytes differ.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILES 2
#define PAGE ((size_t)4096)
/* Some chunks; a run in which everything is small finds other things. */
#define SIZE_MAX_LARGE ((size_t)2 << 20)
#define SIZE_MAX_SMALL ((size_t)20000)
#define OPERATIONS_DEFAULT 10000
/* Operations told of after a failure. */
#define RECENT 24
#define LINE_MAX 120

struct file {
	const char *name;
	int fd;
	uint8_t *bytes;		/* what it has to be; beyond its size zeros */
	size_t size;
};

struct run {
	uint64_t seed, op;
	size_t max;
	struct file file[FILES];
	uint8_t *buffer;	/* aligned, max bytes and a page */
	char recent[RECENT][LINE_MAX];
};

static uint64_t draw(struct run *r)
{
	uint64_t z = r->seed += 0x9e3779b97f4a7c15u;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

/* In whole pages half of the time; 0..max. */
static size_t place(struct run *r, size_t max)
{
	size_t at = draw(r) % (max + 1);

	return draw(r) % 2 ? at / PAGE * PAGE : at;
}

static void note(struct run *r, const struct file *f, const char *what,
		 size_t at, size_t len)
{
	snprintf(r->recent[r->op % RECENT], LINE_MAX,
		 "%8llu %s %-14s at %zu, length %zu (size %zu)",
		 (unsigned long long)r->op, f->name, what, at, len, f->size);
}

static void fail(struct run *r, const struct file *f, const char *why,
		 size_t at)
{
	printf("FAIL in operation %llu, file %s: %s at %zu (%s)\n",
	       (unsigned long long)r->op, f->name, why, at, strerror(errno));
	for (uint64_t k = 1; k <= RECENT; k++)
		if (r->recent[(r->op + k) % RECENT][0])
			printf("%s\n", r->recent[(r->op + k) % RECENT]);
	exit(1);
}

static void check(struct run *r, const struct file *f, bool ok,
		  const char *call)
{
	if (!ok)
		fail(r, f, call, 0);
}

static void compare(struct run *r, const struct file *f, const char *how,
		    const uint8_t *got, size_t at, size_t len)
{
	for (size_t k = 0; k < len; k++)
		if (got[k] != f->bytes[at + k]) {
			errno = 0;
			fail(r, f, how, at + k);
		}
}

static void grow(struct file *f, size_t size)
{
	if (size > f->size)
		f->size = size;
}

/* ---- what is done */

static void random_bytes(struct run *r, uint8_t *ret, size_t len)
{
	for (size_t k = 0; k < len; k++)
		ret[k] = (uint8_t)(draw(r) | 1);
}

static void do_write(struct run *r, struct file *f)
{
	bool append = draw(r) % 4 == 0;
	size_t at = append ? f->size : place(r, r->max - 1);
	size_t len = 1 + place(r, r->max - at - (at < r->max)), done = 0;

	if (at >= r->max)
		return;
	if (draw(r) % 2)
		len = 1 + len % 5000;
	if (len > r->max - at)
		len = r->max - at;
	note(r, f, append ? "append" : "write", at, len);
	random_bytes(r, f->bytes + at, len);
	if (append) {
		int fd = open(f->name, O_WRONLY | O_APPEND);

		check(r, f, fd >= 0, "open");
		check(r, f, write(fd, f->bytes + at, len) == (ssize_t)len,
		      "write");
		close(fd);
		done = len;
	}
	if (done < len)
		check(r, f, pwrite(f->fd, f->bytes + at, len, (off_t)at) ==
				    (ssize_t)len, "pwrite");
	grow(f, at + len);
}

static void do_map_write(struct run *r, struct file *f)
{
	size_t at, len, from;
	uint8_t *map;

	if (!f->size)
		return;
	at = place(r, f->size - 1);
	len = 1 + draw(r) % (f->size - at);
	from = at / PAGE * PAGE;
	note(r, f, "map write", at, len);
	map = mmap(NULL, at + len - from, PROT_READ | PROT_WRITE, MAP_SHARED,
		   f->fd, (off_t)from);
	check(r, f, map != MAP_FAILED, "mmap");
	random_bytes(r, f->bytes + at, len);
	memcpy(map + (at - from), f->bytes + at, len);
	if (draw(r) % 2)
		check(r, f, !msync(map, at + len - from, MS_SYNC), "msync");
	munmap(map, at + len - from);
}

static void do_truncate(struct run *r, struct file *f)
{
	size_t size = draw(r) % 8 ? place(r, r->max) : 0;

	note(r, f, "truncate", size, 0);
	check(r, f, !(draw(r) % 2 ? ftruncate(f->fd, (off_t)size)
				  : truncate(f->name, (off_t)size)),
	      "truncate");
	if (size < f->size)
		memset(f->bytes + size, 0, f->size - size);
	f->size = size;
}

static void do_allocate(struct run *r, struct file *f)
{
	static const int modes[] = {
		FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
		FALLOC_FL_ZERO_RANGE,
		FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, 0,
		FALLOC_FL_KEEP_SIZE,
	};
	static const char *const names[] = { "punch", "zero", "zero, keep",
					     "room", "room, keep" };
	size_t kind = draw(r) % 5, at = place(r, r->max - 1);
	size_t end = at + 1 + place(r, r->max - at - 1);

	note(r, f, names[kind], at, end - at);
	check(r, f, !fallocate(f->fd, modes[kind], (off_t)at,
			       (off_t)(end - at)), "fallocate");
	if (!(modes[kind] & FALLOC_FL_KEEP_SIZE))
		grow(f, end);
	if (kind < 3 && at < f->size)
		memset(f->bytes + at, 0,
		       (end < f->size ? end : f->size) - at);
}

static void do_copy(struct run *r, struct file *to)
{
	struct file *from = &r->file[draw(r) % FILES];
	size_t at, len, where = place(r, r->max - 1), done = 0;
	off_t in, out;

	if (!from->size)
		return;
	at = place(r, from->size - 1);
	len = 1 + draw(r) % (from->size - at);
	if (len > r->max - where)
		len = r->max - where;
	if (from == to && at < where + len && where < at + len)
		return;
	note(r, to, from == to ? "copy within" : "copy", at, len);
	note(r, to, from == to ? "copied to" : "copied across", where, len);
	in = (off_t)at;
	out = (off_t)where;
	while (done < len) {
		ssize_t n = copy_file_range(from->fd, &in, to->fd, &out,
					    len - done, 0);

		check(r, to, n > 0, "copy_file_range");
		done += (size_t)n;
	}
	memmove(to->bytes + where, from->bytes + at, len);
	grow(to, where + len);
}

static void do_reopen(struct run *r, struct file *f)
{
	note(r, f, "reopen", 0, 0);
	check(r, f, !close(f->fd), "close");
	f->fd = open(f->name, O_RDWR | (draw(r) % 4 ? 0 : O_SYNC));
	check(r, f, f->fd >= 0, "open");
}

static void do_sync(struct run *r, struct file *f)
{
	note(r, f, "sync", 0, 0);
	check(r, f, !(draw(r) % 2 ? fsync(f->fd) : fdatasync(f->fd)),
	      "fsync");
	/* Its pages are clean now, and may go. */
	posix_fadvise(f->fd, 0, 0, POSIX_FADV_DONTNEED);
}

/* ---- how it is looked at */

static void look_read(struct run *r, struct file *f)
{
	size_t at = place(r, r->max), len = 1 + draw(r) % r->max;
	size_t want = at < f->size ? f->size - at : 0;

	if (want > len)
		want = len;
	note(r, f, "read", at, len);
	check(r, f, pread(f->fd, r->buffer, len, (off_t)at) == (ssize_t)want,
	      "pread");
	compare(r, f, "read", r->buffer, at, want);
}

static void look_direct(struct run *r, struct file *f)
{
	int fd = open(f->name, O_RDONLY | O_DIRECT);
	size_t want = f->size;

	if (fd < 0)
		return;
	note(r, f, "direct read", 0, want);
	check(r, f, pread(fd, r->buffer, (r->max + PAGE) / PAGE * PAGE, 0) ==
			    (ssize_t)want, "pread");
	compare(r, f, "direct read", r->buffer, 0, want);
	close(fd);
}

static void look_map(struct run *r, struct file *f)
{
	size_t whole = (f->size + PAGE - 1) / PAGE * PAGE;
	uint8_t *map;

	if (!f->size)
		return;
	note(r, f, "map read", 0, f->size);
	map = mmap(NULL, f->size, PROT_READ, MAP_SHARED, f->fd, 0);
	check(r, f, map != MAP_FAILED, "mmap");
	/* Behind the end of the file, too, there are zeros. */
	memcpy(r->buffer, map, whole);
	munmap(map, f->size);
	compare(r, f, "map read", r->buffer, 0,
		whole < r->max ? whole : f->size);
}

/* No byte but zeros is in what is called a hole. */
static void look_holes(struct run *r, struct file *f)
{
	size_t at = 0;

	note(r, f, "holes", 0, 0);
	check(r, f, !fsync(f->fd), "fsync");
	while (at < f->size) {
		off_t data = lseek(f->fd, (off_t)at, SEEK_DATA), end;

		if (data < 0)
			check(r, f, errno == ENXIO, "SEEK_DATA");
		end = data < 0 ? (off_t)f->size : data;
		check(r, f, end >= (off_t)at && end <= (off_t)f->size,
		      "SEEK_DATA");
		memset(r->buffer, 0, (size_t)end - at);
		compare(r, f, "hole", r->buffer, at, (size_t)end - at);
		if (data < 0)
			break;
		end = lseek(f->fd, data, SEEK_HOLE);
		check(r, f, end > data && end <= (off_t)f->size, "SEEK_HOLE");
		at = (size_t)end;
	}
}

static void look_size(struct run *r, struct file *f)
{
	struct stat st;

	check(r, f, !fstat(f->fd, &st), "fstat");
	if ((size_t)st.st_size != f->size)
		fail(r, f, "wrong size", (size_t)st.st_size);
	/* (room that was asked for may count) */
	if ((size_t)st.st_blocks * 512 > 4 * r->max)
		fail(r, f, "too many blocks", (size_t)st.st_blocks);
}

/* ---- */

static void step(struct run *r)
{
	struct file *f = &r->file[draw(r) % FILES];

	switch (draw(r) % 16) {
	case 0 ... 2:
		do_write(r, f);
		break;
	case 3 ... 4:
		do_map_write(r, f);
		break;
	case 5:
		do_truncate(r, f);
		break;
	case 6 ... 7:
		do_allocate(r, f);
		break;
	case 8 ... 9:
		do_copy(r, f);
		break;
	case 10:
		do_reopen(r, f);
		break;
	case 11:
		do_sync(r, f);
		break;
	case 12:
		look_map(r, f);
		break;
	case 13:
		look_direct(r, f);
		break;
	case 14:
		look_holes(r, f);
		break;
	default:
		look_read(r, f);
	}
	look_size(r, f);
}

int main(int argc, char **argv)
{
	uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
	uint64_t operations = argc > 3 ? strtoull(argv[3], NULL, 10)
				       : OPERATIONS_DEFAULT;
	struct run *run = calloc(1, sizeof(*run));

	if (!run)
		return 2;
	run->seed = seed;
	if (argc < 2 || chdir(argv[1])) {
		fprintf(stderr, "usage: %s DIRECTORY [SEED [OPERATIONS]]\n",
			argv[0]);
		return 2;
	}
	run->max = seed % 2 ? SIZE_MAX_LARGE : SIZE_MAX_SMALL;
	if (posix_memalign((void **)&run->buffer, PAGE, run->max + 2 * PAGE))
		return 2;
	for (int k = 0; k < FILES; k++) {
		struct file *f = &run->file[k];

		f->name = k ? "bytes.b" : "bytes.a";
		f->bytes = calloc(1, run->max + PAGE);
		f->fd = open(f->name, O_RDWR | O_CREAT | O_TRUNC, 0600);
		if (!f->bytes || f->fd < 0) {
			perror(f->name);
			return 2;
		}
	}
	for (; run->op < operations; run->op++)
		step(run);
	for (int k = 0; k < FILES; k++) {
		look_map(run, &run->file[k]);
		look_direct(run, &run->file[k]);
		close(run->file[k].fd);
		unlink(run->file[k].name);
	}
	for (int k = 0; k < FILES; k++)
		free(run->file[k].bytes);
	free(run->buffer);
	free(run);
	printf("ok seed %llu, %llu operations\n", (unsigned long long)seed,
	       (unsigned long long)operations);
	return 0;
}
