/* SPDX-License-Identifier: Apache-2.0 */
/*
 * By system call: liburing would be one dependency more, and its calls hide
 * which of them may be made by several threads at a time.
 *
 * Each thread submits as many as it published, so it does not matter whose
 * they are that the kernel takes.
 */
#include "fs/front/uring.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static uint32_t *word(const struct uring *u, uint32_t offset)
{
	return (uint32_t *)(void *)(u->queues + offset);
}

/* (a child would keep it, and all that waits in it, after our end) */
static int map(int fd, uint64_t offset, size_t bytes, uint8_t **ret)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_POPULATE, fd, (off_t)offset);

	if (p == MAP_FAILED)
		return -errno;
	*ret = p;
	return madvise(p, bytes, MADV_DONTFORK) < 0 ? -errno : 0;
}

static int map_queues(struct uring *u)
{
	const struct io_uring_params *p = &u->params;
	int r;

	/* (both queues in one: Linux 5.4) */
	if (!(p->features & IORING_FEAT_SINGLE_MMAP))
		return -EOPNOTSUPP;
	u->sqes_bytes = (size_t)p->sq_entries * URING_SQE_BYTES;
	u->queues_bytes = MAX_OF(
		p->sq_off.array + p->sq_entries * sizeof(uint32_t),
		p->cq_off.cqes + p->cq_entries * sizeof(struct io_uring_cqe));
	r = map(u->fd, IORING_OFF_SQ_RING, u->queues_bytes, &u->queues);
	if (r == 0)
		r = map(u->fd, IORING_OFF_SQES, u->sqes_bytes, &u->sqes);
	if (r < 0)
		return r;
	for (uint32_t k = 0; k < p->sq_entries; k++)
		word(u, p->sq_off.array)[k] = k;
	return 0;
}

int uring_open(unsigned int submissions, unsigned int completions,
	       struct uring *ret)
{
	struct uring u = URING_NONE;
	int r;

	u.params.flags = IORING_SETUP_SQE128 | IORING_SETUP_CQSIZE;
	u.params.cq_entries = completions;
	u.fd = (int)syscall(SYS_io_uring_setup, submissions, &u.params);
	r = u.fd < 0 ? -errno : map_queues(&u);
	if (r < 0)
		uring_close(&u);
	else
		*ret = u;
	return r;
}

void uring_close(struct uring *u)
{
	if (u->queues)
		munmap(u->queues, u->queues_bytes);
	if (u->sqes)
		munmap(u->sqes, u->sqes_bytes);
	if (u->fd >= 0)
		close(u->fd);
	*u = URING_NONE;
}

struct io_uring_sqe *uring_next(struct uring *u)
{
	const struct io_sqring_offsets *at = &u->params.sq_off;
	uint32_t head = __atomic_load_n(word(u, at->head), __ATOMIC_ACQUIRE);
	uint32_t tail = *word(u, at->tail);
	struct io_uring_sqe *sqe;

	if (tail - head == u->params.sq_entries)
		return NULL;
	sqe = (void *)(u->sqes + (size_t)(tail & *word(u, at->ring_mask)) *
				 URING_SQE_BYTES);
	memset((void *)sqe, 0, URING_SQE_BYTES);
	return sqe;
}

void uring_publish(struct uring *u)
{
	uint32_t *tail = word(u, u->params.sq_off.tail);

	__atomic_store_n(tail, *tail + 1, __ATOMIC_RELEASE);
}

bool uring_take(struct uring *u, struct io_uring_cqe *ret)
{
	const struct io_cqring_offsets *at = &u->params.cq_off;
	const struct io_uring_cqe *all = (void *)(u->queues + at->cqes);
	uint32_t *head = word(u, at->head);

	if (*head == __atomic_load_n(word(u, at->tail), __ATOMIC_ACQUIRE))
		return false;
	*ret = all[*head & *word(u, at->ring_mask)];
	__atomic_store_n(head, *head + 1, __ATOMIC_RELEASE);
	return true;
}

int uring_enter(struct uring *u, unsigned int submit, bool wait)
{
	int r;

	/* (short of memory it submits fewer, and does not wait then) */
	do {
		long n = syscall(SYS_io_uring_enter, u->fd, submit,
				 wait ? 1 : 0,
				 wait ? IORING_ENTER_GETEVENTS : 0, NULL, 0);

		r = n < 0 ? -errno : 0;
		submit -= n < 0 ? 0 : (unsigned int)n;
	} while (submit && (!r || r == -EAGAIN || r == -EINTR));
	return r;
}
