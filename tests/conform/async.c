/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls that are handed in and collected later: the kernel's own AIO
 * (io_submit) and io_uring, which also opens, renames and removes. The system
 * calls themselves, since no library for them need be there.
 */
#include <linux/aio_abi.h>
#include <linux/io_uring.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "tests/conform/conform.h"

#define BLOCK 4096
#define BYTES (16 * BLOCK)

/* Memory as O_DIRECT wants it. */
static uint8_t *blocks(void)
{
	uint8_t *p = mmap(NULL, BYTES, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	TRUE(p != MAP_FAILED);
	return p;
}

static void fill(uint8_t *p, size_t n, unsigned int seed)
{
	for (size_t k = 0; k < n; k++)
		p[k] = (uint8_t)(k * 7 + k / 251 + seed);
}

/* ---- io_submit */

static aio_context_t aio_begin(void)
{
	aio_context_t context = 0;

	if (syscall(SYS_io_setup, 64, &context) < 0)
		conform_skip("the kernel has no io_setup");
	return context;
}

static struct iocb control(int op, int fd, void *bytes, size_t n, off_t at)
{
	return (struct iocb){ .aio_lio_opcode = (uint16_t)op,
			      .aio_fildes = (uint32_t)fd,
			      .aio_buf = (uintptr_t)bytes,
			      .aio_nbytes = n,
			      .aio_offset = at };
}

/* What came of one; -1 and errno as of a call, also where it is refused. */
static long one_aio(aio_context_t context, struct iocb c)
{
	struct iocb *list[1] = { &c };
	struct io_event event;

	if (syscall(SYS_io_submit, context, 1, list) < 0)
		return -1;
	IS(1, syscall(SYS_io_getevents, context, 1, 1, &event, NULL));
	if (event.res >= 0)
		return (long)event.res;
	errno = (int)-event.res;
	return -1;
}

static void aio_each(int flags)
{
	aio_context_t context = aio_begin();
	uint8_t *out = blocks(), *in = blocks();
	int fd = open_ok("f", O_RDWR | O_CREAT | flags, 0644);

	fill(out, BYTES, 1);
	IS(BYTES, one_aio(context, control(IOCB_CMD_PWRITE, fd, out, BYTES,
					   0)));
	IS(BLOCK, one_aio(context, control(IOCB_CMD_PWRITE, fd, out, BLOCK,
					   BYTES + BLOCK)));
	IS(BYTES + 2 * BLOCK, stat_of("f").st_size);
	IS(BYTES, one_aio(context, control(IOCB_CMD_PREAD, fd, in, BYTES, 0)));
	TRUE(!memcmp(in, out, BYTES));
	IS(2 * BLOCK, one_aio(context, control(IOCB_CMD_PREAD, fd, in, BYTES,
					       BYTES)));
	for (size_t k = 0; k < BLOCK; k++)
		IS(0, in[k]);
	TRUE(!memcmp(in + BLOCK, out, BLOCK));
	IS(0, one_aio(context, control(IOCB_CMD_PREAD, fd, in, BLOCK,
				       2 * BYTES)));
	IS(0, one_aio(context, control(IOCB_CMD_FSYNC, fd, NULL, 0, 0)));
	IS(0, one_aio(context, control(IOCB_CMD_FDSYNC, fd, NULL, 0, 0)));
	OK(close(fd));
	OK(unlink("f"));
	OK(syscall(SYS_io_destroy, context));
}

static void aio_works(void)
{
	aio_each(0);
	aio_each(O_DIRECT);
}

/* Many at once, of one file and in no order. */
static void aio_many(void)
{
	aio_context_t context = aio_begin();
	uint8_t *out = blocks(), *in = blocks();
	int fd = open_ok("f", O_RDWR | O_CREAT | O_DIRECT, 0644);
	struct iocb all[16], *list[16];
	struct io_event events[16];

	fill(out, BYTES, 2);
	for (int k = 0; k < 16; k++) {
		size_t at = (size_t)(k * 5 % 16) * BLOCK;

		all[k] = control(IOCB_CMD_PWRITE, fd, out + at, BLOCK,
				 (off_t)at);
		list[k] = &all[k];
	}
	IS(16, syscall(SYS_io_submit, context, 16, list));
	IS(16, syscall(SYS_io_getevents, context, 16, 16, events, NULL));
	for (int k = 0; k < 16; k++) {
		IS(BLOCK, events[k].res);
		all[k].aio_lio_opcode = IOCB_CMD_PREAD;
		all[k].aio_buf += (uintptr_t)in - (uintptr_t)out;
	}
	IS(16, syscall(SYS_io_submit, context, 16, list));
	IS(16, syscall(SYS_io_getevents, context, 16, 16, events, NULL));
	TRUE(!memcmp(in, out, BYTES));
	IS(BYTES, stat_of("f").st_size);
}

static void aio_flags(void)
{
	aio_context_t context = aio_begin();
	struct iocb c;
	int fd;

	make_text("f", "text");
	fd = open_ok("f", O_RDWR, 0);
	c = control(IOCB_CMD_PWRITE, fd, (char[]){ "more" }, 4, 0);
	c.aio_rw_flags = RWF_APPEND | RWF_DSYNC;
	IS(4, one_aio(context, c));
	IS(8, stat_of("f").st_size);
	c.aio_offset = -1;
	c.aio_rw_flags = 0;
	ERR(EINVAL, one_aio(context, c));
	c.aio_offset = 0;
	c.aio_buf = 8;
	c.aio_lio_opcode = IOCB_CMD_PREAD;
	ERR(EFAULT, one_aio(context, c));
	c.aio_lio_opcode = 77;
	ERR(EINVAL, one_aio(context, c));
	c = control(IOCB_CMD_PWRITE, open_ok("f", O_RDONLY, 0), &c, 1, 0);
	ERR(EBADF, one_aio(context, c));
}

/* ---- io_uring */

struct ring {
	int fd;
	struct io_uring_params p;
	uint8_t *sq, *cq;
	struct io_uring_sqe *entries;
};

static uint8_t *map_ring(const struct ring *r, size_t bytes, off_t at)
{
	uint8_t *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			  MAP_SHARED | MAP_POPULATE, r->fd, at);

	TRUE(p != MAP_FAILED);
	return p;
}

static struct ring ring_begin(void)
{
	struct ring r = { 0 };

	r.fd = (int)syscall(SYS_io_uring_setup, 8, &r.p);
	if (r.fd < 0)
		conform_skip("the kernel allows no io_uring");
	r.sq = map_ring(&r, r.p.sq_off.array + r.p.sq_entries * 4,
			IORING_OFF_SQ_RING);
	r.cq = map_ring(&r, r.p.cq_off.cqes + r.p.cq_entries *
				    sizeof(struct io_uring_cqe),
			IORING_OFF_CQ_RING);
	r.entries = (void *)map_ring(&r, r.p.sq_entries * sizeof(*r.entries),
				     IORING_OFF_SQES);
	return r;
}

static _Atomic uint32_t *word(uint8_t *ring, uint32_t at)
{
	return (_Atomic uint32_t *)(ring + at);
}

/* As a call: its result, or -1 and errno. */
static long one(struct ring *r, struct io_uring_sqe entry)
{
	uint32_t mask = *word(r->sq, r->p.sq_off.ring_mask);
	uint32_t tail = *word(r->sq, r->p.sq_off.tail);
	uint32_t head = *word(r->cq, r->p.cq_off.head);
	const struct io_uring_cqe *done;
	int result;

	r->entries[tail & mask] = entry;
	*word(r->sq, r->p.sq_off.array + 4 * (tail & mask)) = tail & mask;
	atomic_store(word(r->sq, r->p.sq_off.tail), tail + 1);
	IS(1, syscall(SYS_io_uring_enter, r->fd, 1, 1, IORING_ENTER_GETEVENTS,
		      NULL, 0));
	TRUE(atomic_load(word(r->cq, r->p.cq_off.tail)) == head + 1);
	mask = *word(r->cq, r->p.cq_off.ring_mask);
	done = (const void *)(r->cq + r->p.cq_off.cqes +
			      (head & mask) * sizeof(*done));
	result = done->res;
	atomic_store(word(r->cq, r->p.cq_off.head), head + 1);
	if (result >= 0)
		return result;
	errno = -result;
	return -1;
}

#define ENTRY(op, ...) \
	((struct io_uring_sqe){ .opcode = IORING_OP_##op, __VA_ARGS__ })
#define TEXT(text) .addr = (uintptr_t)(text)

/* In the way that the kernel chooses, and by its workers. */
static void ring_bytes(int flags)
{
	uint8_t *out = blocks(), *in = blocks();
	struct ring r = ring_begin();
	int fd = open_ok("f", O_RDWR | O_CREAT | flags, 0644);

	for (int k = 0; k < 2; k++) {
		uint8_t how = k ? IOSQE_ASYNC : 0;
		struct io_uring_sqe e = ENTRY(WRITE, .fd = fd, .flags = how,
					      TEXT(out), .len = BYTES);

		fill(out, BYTES, 3 + (unsigned int)k);
		IS(BYTES, one(&r, e));
		e.opcode = IORING_OP_READ;
		e.addr = (uintptr_t)in;
		IS(BYTES, one(&r, e));
		TRUE(!memcmp(in, out, BYTES));
		e.off = BYTES;
		IS(0, one(&r, e));
	}
	IS(0, one(&r, ENTRY(FSYNC, .fd = fd)));
	IS(0, one(&r, ENTRY(FSYNC, .fd = fd,
			    .fsync_flags = IORING_FSYNC_DATASYNC)));
	OK(close(fd));
	OK(unlink("f"));
}

static void uring_bytes(void)
{
	ring_bytes(0);
	ring_bytes(O_DIRECT);
}

static void uring_ranges(void)
{
	struct ring r = ring_begin();
	int fd;

	make_text("f", "text");
	fd = open_ok("f", O_RDWR, 0);
	IS(0, one(&r, ENTRY(FALLOCATE, .fd = fd, .addr = BYTES)));
	IS(BYTES, stat_of("f").st_size);
	IS(0, one(&r, ENTRY(FALLOCATE, .fd = fd, .addr = BYTES,
			    .len = FALLOC_FL_PUNCH_HOLE |
				   FALLOC_FL_KEEP_SIZE)));
	IS(0, lseek(fd, 0, SEEK_HOLE));
	IS(0, one(&r, ENTRY(FADVISE, .fd = fd, .len = 100,
			    .fadvise_advice = POSIX_FADV_DONTNEED)));
	IS(0, one(&r, ENTRY(SYNC_FILE_RANGE, .fd = fd, .len = 100,
			    .sync_range_flags = SYNC_FILE_RANGE_WRITE)));
	/* At the position of the descriptor. */
	IS(4, one(&r, ENTRY(WRITE, .fd = fd, .off = UINT64_MAX,
			    TEXT("more"), .len = 4)));
	IS(4, lseek(fd, 0, SEEK_CUR));
	ERR(EBADF, one(&r, ENTRY(READ, .fd = 999, .len = 1)));
	ERR(EFAULT, one(&r, ENTRY(READ, .fd = fd, .addr = 8, .len = 10)));
}

static void uring_names(void)
{
	struct ring r = ring_begin();
	struct statx st;
	int fd;

	fd = (int)OK(one(&r, ENTRY(OPENAT, .fd = AT_FDCWD, TEXT("f"),
				   .len = 0640,
				   .open_flags = O_RDWR | O_CREAT | O_EXCL)));
	IS(0640, perm_of("f"));
	ERR(EEXIST, one(&r, ENTRY(OPENAT, .fd = AT_FDCWD, TEXT("f"),
				  .open_flags = O_CREAT | O_EXCL)));
	IS(0, one(&r, ENTRY(STATX, .fd = AT_FDCWD, TEXT("f"),
			    .len = STATX_BASIC_STATS,
			    .off = (uintptr_t)&st)));
	IS(stat_of("f").st_ino, st.stx_ino);
	IS(0, one(&r, ENTRY(CLOSE, .fd = fd)));
	IS(0, one(&r, ENTRY(MKDIRAT, .fd = AT_FDCWD, TEXT("d"), .len = 0750)));
	IS(0750, perm_of("d"));
	IS(0, one(&r, ENTRY(RENAMEAT, .fd = AT_FDCWD, TEXT("f"),
			    .len = (uint32_t)AT_FDCWD,
			    .off = (uintptr_t) "d/g")));
	ERR(ENOENT, access("f", F_OK));
	IS(0, one(&r, ENTRY(LINKAT, .fd = AT_FDCWD, TEXT("d/g"),
			    .len = (uint32_t)AT_FDCWD,
			    .off = (uintptr_t) "h")));
	IS(2, stat_of("h").st_nlink);
	IS(0, one(&r, ENTRY(SYMLINKAT, .fd = AT_FDCWD, TEXT("h"),
			    .off = (uintptr_t) "l")));
	TRUE(is_kind("l", A_SYMLINK));
	ERR(ENOTEMPTY, one(&r, ENTRY(UNLINKAT, .fd = AT_FDCWD, TEXT("d"),
				     .unlink_flags = AT_REMOVEDIR)));
	IS(0, one(&r, ENTRY(UNLINKAT, .fd = AT_FDCWD, TEXT("d/g"))));
	IS(0, one(&r, ENTRY(UNLINKAT, .fd = AT_FDCWD, TEXT("d"),
			    .unlink_flags = AT_REMOVEDIR)));
	ERR(ENOENT, one(&r, ENTRY(UNLINKAT, .fd = AT_FDCWD, TEXT("d"))));
	IS(1, stat_of("h").st_nlink);
}

const struct conform_case async_cases[] = {
	{ "aio_works", aio_works, 0 },
	{ "aio_many", aio_many, 0 },
	{ "aio_flags", aio_flags, 0 },
	{ "uring_bytes", uring_bytes, 0 },
	{ "uring_ranges", uring_ranges, 0 },
	{ "uring_names", uring_names, 0 },
	{ NULL, NULL, 0 },
};
