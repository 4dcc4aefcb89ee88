/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel's side is Documentation/filesystems/fuse/fuse-io-uring.rst and
 * the end of linux/fuse.h. Why not libfuse's (since 3.18): its threads answer
 * each request before they look at the next one of their processor, so a sync
 * stops all programs there; reads that wait for a peer use up its entries,
 * whose number is fixed; and what another thread answers it puts into the
 * queue while its own thread may submit it, half written (fuse_uring.c locks
 * the one and not the other). It also hides what raw.c needs, and Debian 12
 * has 3.14.
 *
 * A ring has entries: each is memory of ours that the kernel writes one
 * request to, and reads its answer from. Those that are not in use wait in
 * the kernel; RING_SPARE do at least whenever somebody waits for a request:
 * as many are made as are wanted for that. So requests may stay unanswered
 * for as long as they like, in any number, and stop nobody.
 *
 * What the kernel writes is a head, what belongs to the operation, and the
 * rest; they are put together before the rest, which is not moved, and then
 * are what read(2) of the device would have given. An answer is written over
 * that.
 *
 * A request is written by the thread that submitted its entry last, as soon
 * as that is neither working nor waiting for a disk. So whoever begins to
 * receive submits some that are new, which the kernel takes first; and only
 * threads submit that live as long as the rings: those that receive, and for
 * all others (that answer a read which waited) one of our own.
 */
#include "fs/front/ring.h"

#include <errno.h>
#include <linux/fuse.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "fs/base/log.h"
#include "fs/front/front_internal.h"
#include "fs/front/uring.h"

/* Entries that wait in the kernel. One is enough for a program that waits for
 * each answer; more let the kernel write while another is answered. */
#define RING_SPARE 4
/* Requests of one processor that are not answered: all reads that may wait
 * (waiting.c), and as many others. */
#define RING_ENTRIES_MAX 2048
/* The head of an entry, and then the beginning of a request. */
#define HEAD_BYTES 4096
#define OPERATION_BYTES_MAX 128

/* struct fuse_uring_req_header, and what it holds. */
struct ring_head {
	union {
		struct fuse_in_header in;
		struct fuse_out_header out;
		uint8_t bytes[128];
	};
	uint8_t operation[OPERATION_BYTES_MAX];
	uint64_t flags;
	uint64_t commit;
	uint32_t payload_bytes;
	uint32_t padding;
	uint64_t reserved;
};
_Static_assert(sizeof(struct ring_head) == 288, "as the kernel has it");

/* enum fuse_uring_cmd */
enum { COMMAND_REGISTER = 1, COMMAND_COMMIT_AND_FETCH = 2 };

/* struct fuse_uring_cmd_req */
struct ring_command {
	uint64_t flags;
	uint64_t commit;
	uint16_t queue;
	uint8_t padding[6];
};
_Static_assert(sizeof(struct ring_command) <= URING_COMMAND_BYTES,
	       "has room behind an entry");

struct ring_entry {
	struct ring *ring;
	struct ring_entry *next;	/* in ring->answered */
	struct ring_head *head;
	uint8_t *payload;
	struct iovec parts[2];		/* both, as the kernel is told */
	const void *holder;		/* the thread whose it is, or NULL */
	/* Of the request in it that nobody answered yet; 0: there is none. */
	_Atomic uint64_t unanswered;
};

struct ring {
	struct ring_options options;
	pthread_mutex_t mutex;		/* for what follows */
	struct uring uring;
	struct ring_entry *entries[RING_ENTRIES_MAX];
	_Atomic size_t count;		/* also looked at without it */
	size_t busy;			/* of them have a request */
	struct ring_entry *answered;	/* for ring_send() */
};

/* Of this thread: what it received last, and whether it answered that and has
 * not sent it. */
static _Thread_local struct ring_entry *in_hand;
static _Thread_local bool unsent;

/* ---- entries */

static struct ring_entry *entry_new(struct ring *ring)
{
	struct ring_entry *e = calloc(1, sizeof(*e));
	uint8_t *memory = MAP_FAILED;

	if (e)	/* (what is not used costs nothing) */
		memory = mmap(NULL, HEAD_BYTES + WRITE_BYTES_MAX,
			      PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
			      -1, 0);
	if (memory == MAP_FAILED) {
		free(e);
		return NULL;
	}
	e->ring = ring;
	e->head = (void *)memory;
	e->payload = memory + HEAD_BYTES;
	e->parts[0] = (struct iovec){ e->head, sizeof(*e->head) };
	e->parts[1] = (struct iovec){ e->payload, WRITE_BYTES_MAX };
	return e;
}

static void entry_free(struct ring_entry *e)
{
	munmap(e->head, HEAD_BYTES + WRITE_BYTES_MAX);
	free(e);
}

/* Under the mutex of its ring. */
static void entry_put(struct ring_entry *e, uint32_t operation, uint64_t commit)
{
	struct ring *ring = e->ring;
	struct ring_command command = { .commit = commit,
					.queue = (uint16_t)ring->options.processor };
	struct io_uring_sqe *sqe = uring_next(&ring->uring);

	kin_assert(sqe);	/* (each thread submits what it put) */
	sqe->opcode = IORING_OP_URING_CMD;
	sqe->fd = ring->options.device;
	sqe->cmd_op = operation;
	sqe->user_data = (uintptr_t)e;
	if (operation == COMMAND_REGISTER) {
		sqe->addr = (uintptr_t)e->parts;
		sqe->len = ARRAY_SIZE(e->parts);
	}
	memcpy(sqe->cmd, &command, sizeof(command));
	e->holder = &in_hand;
	uring_publish(&ring->uring);
}

/* Under the mutex; returns how many are to be submitted. */
static unsigned int put_answer(struct ring_entry *e)
{
	e->ring->busy--;
	entry_put(e, COMMAND_COMMIT_AND_FETCH, e->head->commit);
	return 1;
}

/* Under the mutex: new ones, up to RING_SPARE with those there are; returns
 * how many are to be submitted. */
static unsigned int put_spare(struct ring *ring, size_t have)
{
	unsigned int put = 0;

	for (; have < RING_SPARE && ring->count < RING_ENTRIES_MAX; have++) {
		struct ring_entry *e = entry_new(ring);

		if (!e)
			break;
		ring->entries[ring->count] = e;
		ring->count++;
		entry_put(e, COMMAND_REGISTER, 0);
		put++;
	}
	return put;
}

static void submit_answer(struct ring *ring, unsigned int put)
{
	int r = uring_enter(&ring->uring, put, false);

	if (r < 0)
		log_errno(r, "cannot answer a request");
}

/* ---- requests */

/* Puts it together. */
static int request_of(const struct ring_entry *e, struct fuse_buf *ret)
{
	const struct ring_head *head = e->head;
	size_t all = head->in.len, rest = head->payload_bytes, operation;
	uint8_t *at;

	if (rest > WRITE_BYTES_MAX || all < sizeof(head->in) + rest ||
	    all - sizeof(head->in) - rest > sizeof(head->operation))
		return -EPROTO;
	operation = all - sizeof(head->in) - rest;
	at = e->payload - sizeof(head->in) - operation;
	memcpy(at, &head->in, sizeof(head->in));
	memcpy(at + sizeof(head->in), head->operation, operation);
	*ret = (struct fuse_buf){ .mem = at, .size = all };
	return (int)all;
}

/* Under the mutex. */
static bool take(struct ring *ring, struct io_uring_cqe *ret)
{
	struct ring_entry *e;

	if (!uring_take(&ring->uring, ret))
		return false;
	e = (void *)(uintptr_t)ret->user_data;
	e->holder = NULL;
	ring->busy++;
	return true;
}

static int received(const struct io_uring_cqe *done, struct fuse_buf *ret)
{
	struct ring_entry *e = (void *)(uintptr_t)done->user_data;

	/* Unmounted: the device says that. */
	if (done->res == -ENOTCONN || done->res == -ECONNABORTED ||
	    done->res == -ECANCELED)
		return -EINTR;
	if (done->res < 0)
		return log_errno(done->res, "the kernel does not take an entry "
				 "of its io_uring");
	in_hand = e;
	atomic_store(&e->unanswered, e->head->in.unique);
	return request_of(e, ret);
}

int ring_receive(struct ring *ring, struct fuse_buf *ret)
{
	struct io_uring_cqe done;
	unsigned int put = 0;
	bool got;
	int r;

	pthread_mutex_lock(&ring->mutex);
	if (unsent) {
		kin_assert(in_hand->ring == ring);
		put = put_answer(in_hand);
	}
	put += put_spare(ring, ring->count - ring->busy);
	got = !put && take(ring, &done);
	pthread_mutex_unlock(&ring->mutex);
	in_hand = NULL;
	unsent = false;
	if (!got) {
		r = uring_enter(&ring->uring, put, true);
		if (r < 0)
			return r;
		pthread_mutex_lock(&ring->mutex);
		got = take(ring, &done);
		pthread_mutex_unlock(&ring->mutex);
	}
	return got ? received(&done, ret) : -EINTR;
}

void ring_finish(void)
{
	struct ring *ring;
	unsigned int put;

	if (unsent) {
		ring = in_hand->ring;
		pthread_mutex_lock(&ring->mutex);
		put = put_answer(in_hand);
		pthread_mutex_unlock(&ring->mutex);
		submit_answer(ring, put);
	}
	in_hand = NULL;
	unsent = false;
}

static void run_on(const cpu_set_t *set)
{
	/* (switched off, or not ours: it runs elsewhere) */
	if (sched_setaffinity(0, sizeof(*set), set) < 0)
		log_debug("a thread cannot choose its processor");
}

static unsigned int count_held(const struct ring *ring)
{
	unsigned int count = 0;

	for (size_t k = 0; k < ring->count; k++)
		count += ring->entries[k]->holder == &in_hand;
	return count;
}

int ring_join(struct ring *ring)
{
	cpu_set_t set;
	unsigned int put;

	CPU_ZERO(&set);
	CPU_SET(ring->options.processor, &set);
	if (CPU_ISSET(ring->options.processor, &ring->options.anywhere))
		run_on(&set);
	pthread_mutex_lock(&ring->mutex);
	put = put_spare(ring, count_held(ring));
	pthread_mutex_unlock(&ring->mutex);
	if (!ring->count)
		return -ENOMEM;
	return put ? uring_enter(&ring->uring, put, false) : 0;
}

void ring_part(const struct ring *ring)
{
	run_on(&ring->options.anywhere);
}

/* ---- answers */

/* It is for the caller to answer, if it is that request. */
static bool entry_claim(struct ring_entry *e, uint64_t number)
{
	return atomic_compare_exchange_strong(&e->unanswered, &number, 0);
}

static void entry_answer(struct ring_entry *e, const struct iovec *iov,
			 int count)
{
	struct ring_head *head = e->head;
	size_t len = 0;

	head->out = *(const struct fuse_out_header *)iov[0].iov_base;
	for (int k = 1; k < count; k++) {
		/* (the kernel asked for no more than it has room for) */
		kin_assert(iov[k].iov_len <= WRITE_BYTES_MAX - len);
		memmove(e->payload + len, iov[k].iov_base, iov[k].iov_len);
		len += iov[k].iov_len;
	}
	head->payload_bytes = (uint32_t)len;
}

static uint64_t number_of(const struct iovec *iov)
{
	return ((const struct fuse_out_header *)iov[0].iov_base)->unique;
}

bool ring_answer_own(const struct iovec *iov, int count)
{
	if (!in_hand || !entry_claim(in_hand, number_of(iov)))
		return false;
	entry_answer(in_hand, iov, count);
	unsent = true;
	return true;
}

bool ring_answer(struct ring *ring, const struct iovec *iov, int count)
{
	uint64_t number = number_of(iov);
	struct ring_entry *e = NULL;
	size_t entries = ring->count;

	for (size_t k = 0; k < entries && !e; k++)
		if (entry_claim(ring->entries[k], number))
			e = ring->entries[k];
	if (!e)
		return false;
	entry_answer(e, iov, count);
	pthread_mutex_lock(&ring->mutex);
	e->next = ring->answered;
	ring->answered = e;
	pthread_mutex_unlock(&ring->mutex);
	return true;
}

void ring_send(struct ring *ring)
{
	unsigned int put;

	do {	/* (there may be more than have room) */
		struct ring_entry *e;

		put = 0;
		pthread_mutex_lock(&ring->mutex);
		e = ring->answered;
		if (e) {
			ring->answered = e->next;
			put = put_answer(e);
		}
		pthread_mutex_unlock(&ring->mutex);
		if (put)
			submit_answer(ring, put);
	} while (put);
}

/* ---- all of it */

int ring_new(const struct ring_options *options, struct ring **ret)
{
	struct ring *ring = calloc(1, sizeof(*ring));
	int r;

	if (!ring)
		return -ENOMEM;
	ring->options = *options;
	/* Each submits an answer and new entries at a time. */
	r = uring_open(options->threads * (1 + RING_SPARE), RING_ENTRIES_MAX,
		       &ring->uring);
	if (r < 0) {
		free(ring);
		return r;
	}
	pthread_mutex_init(&ring->mutex, NULL);
	*ret = ring;
	return 0;
}

void ring_free(struct ring *ring)
{
	uring_close(&ring->uring);
	for (size_t k = 0; k < ring->count; k++)
		entry_free(ring->entries[k]);
	pthread_mutex_destroy(&ring->mutex);
	free(ring);
}
