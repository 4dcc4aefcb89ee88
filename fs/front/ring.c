/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel's side is Documentation/filesystems/fuse/fuse-io-uring.rst and
 * the end of linux/fuse.h. Why not libfuse's (since 3.18): its threads answer
 * each request before they look at the next one of their processor, so a read
 * that waits for a peer stops all programs there, and what another thread
 * answers is put into the queue while its own thread may submit it half
 * written. It also hides what raw.c needs, and Debian 12 has 3.14.
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
#include <fcntl.h>
#include <linux/fuse.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fs/base/log.h"
#include "fs/base/thread.h"
#include "fs/front/front_internal.h"
#include "fs/front/uring.h"

/* Entries that wait in the kernel. One is enough for a program that waits for
 * each answer; more let the kernel write while another is answered. */
#define RING_SPARE 4
/* Requests of one processor that are not answered: all reads that may wait
 * (waiting.c), and as many others. */
#define RING_ENTRIES_MAX 2048
/* More processors than cpu_set_t can name. */
#define RINGS_MAX CPU_SETSIZE
/* The head of an entry, and then the beginning of a request. */
#define HEAD_BYTES 4096
#define OPERATION_BYTES_MAX 128

#define SWITCH "/sys/module/fuse/parameters/enable_uring"
#define PROCESSORS "/sys/devices/system/cpu/possible"

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
	struct ring_entry *next;		/* in rings->answered */
	struct ring_head *head;
	uint8_t *payload;
	struct iovec parts[2];		/* both, as the kernel is told */
	const void *holder;		/* the thread whose it is, or NULL */
	/* Of the request in it that nobody answered yet; 0: there is none. */
	_Atomic uint64_t unanswered;
};

struct ring {
	struct rings *rings;
	unsigned int processor;
	pthread_mutex_t mutex;		/* for what follows */
	struct uring uring;
	struct ring_entry *entries[RING_ENTRIES_MAX];
	_Atomic size_t count;		/* also looked at without it */
	size_t busy;			/* of them have a request */
};

struct rings {
	int device;
	size_t count;
	struct ring **ring;
	cpu_set_t anywhere;
	/* What other threads have answered, for ours: under the mutex. */
	pthread_mutex_t mutex;
	pthread_cond_t wake;
	struct ring_entry *answered;
	bool stopping;
	pthread_t thread;
	bool started;
};

/* Of this thread: what it received last, and whether it answered that and has
 * not sent it. */
static _Thread_local struct ring_entry *in_hand;
static _Thread_local bool unsent;

/* ---- is there such a thing */

static ssize_t file_read(const char *path, char *ret, size_t room)
{
	autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, ret, room - 1);

	if (n < 0)
		return -errno;
	ret[n] = '\0';
	return n;
}

int rings_check(struct buf *why)
{
	struct uring uring = URING_NONE;
	char text[16];
	int r;

	if (file_read(SWITCH, text, sizeof(text)) < 0) {
		buf_printf(why, "--io-uring: this kernel does not have it for "
				"FUSE (Linux 6.14 does, where it is built "
				"in); leave the option out");
		return -EOPNOTSUPP;
	}
	if (text[0] != 'Y') {
		buf_printf(why, "--io-uring: is switched off for FUSE; as "
				"root `echo Y > " SWITCH "`, or leave the "
				"option out");
		return -EOPNOTSUPP;
	}
	r = uring_open(1, 1, &uring);
	uring_close(&uring);
	if (r == 0)
		return 0;
	buf_printf(why, "--io-uring: the system does not allow io_uring (%s), "
			"see kernel.io_uring_disabled in sysctl(8) and the "
			"settings of the container; or leave the option out",
		   strerror(-r));
	return -EOPNOTSUPP;
}

/* "0-3,8-11": the kernel has a queue for each, also if it is switched off. */
static int count_processors(size_t *ret)
{
	char text[256], *at = text;
	ssize_t n = file_read(PROCESSORS, text, sizeof(text));
	size_t count = 0;

	if (n < 0)
		return (int)n;
	while (*at >= '0' && *at <= '9') {
		unsigned long first = strtoul(at, &at, 10), last = first;

		if (*at == '-')
			last = strtoul(at + 1, &at, 10);
		if (last < first || last >= RINGS_MAX)
			return -E2BIG;
		count += last - first + 1;
		at += *at == ',';
	}
	*ret = count;
	return count ? 0 : -EIO;
}

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
					.queue = (uint16_t)ring->processor };
	struct io_uring_sqe *sqe = uring_next(&ring->uring);

	kin_assert(sqe);	/* (each thread submits what it puts) */
	sqe->opcode = IORING_OP_URING_CMD;
	sqe->fd = ring->rings->device;
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

static void send_answer(struct ring_entry *e)
{
	struct ring *ring = e->ring;
	unsigned int put;
	int r;

	pthread_mutex_lock(&ring->mutex);
	put = put_answer(e);
	pthread_mutex_unlock(&ring->mutex);
	r = uring_enter(&ring->uring, put, false);
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
	if (unsent)
		send_answer(in_hand);
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
	CPU_SET(ring->processor, &set);
	if (CPU_ISSET(ring->processor, &ring->rings->anywhere))
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
	run_on(&ring->rings->anywhere);
}

/* ---- answers */

/* It is for the caller to answer, if it is that request. */
static bool entry_claim(struct ring_entry *e, uint64_t number)
{
	return atomic_compare_exchange_strong(&e->unanswered, &number, 0);
}

static struct ring_entry *rings_claim(struct rings *rings, uint64_t number)
{
	for (size_t k = 0; k < rings->count; k++) {
		struct ring *ring = rings->ring[k];
		size_t count = ring->count;

		for (size_t i = 0; i < count; i++)
			if (entry_claim(ring->entries[i], number))
				return ring->entries[i];
	}
	return NULL;
}

static void entry_answer(struct ring_entry *e, const struct iovec *iov, int count)
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

bool rings_answer(struct rings *rings, const struct iovec *iov, int count)
{
	const struct fuse_out_header *out = iov[0].iov_base;
	struct ring_entry *e = in_hand;
	bool mine;

	if (!out->unique)	/* a notification */
		return false;
	mine = e && entry_claim(e, out->unique);
	if (!mine)
		e = rings_claim(rings, out->unique);
	if (!e)
		return false;
	entry_answer(e, iov, count);
	if (mine) {
		unsent = true;
		return true;
	}
	pthread_mutex_lock(&rings->mutex);
	e->next = rings->answered;
	rings->answered = e;
	pthread_cond_signal(&rings->wake);
	pthread_mutex_unlock(&rings->mutex);
	return true;
}

/* The thread that sends what those answered who do not receive. */
static void *sender_main(void *arg)
{
	struct rings *rings = arg;

	pthread_mutex_lock(&rings->mutex);
	for (;;) {
		struct ring_entry *e = rings->answered;

		if (!e && rings->stopping)
			break;
		if (!e) {
			pthread_cond_wait(&rings->wake, &rings->mutex);
			continue;
		}
		rings->answered = e->next;
		pthread_mutex_unlock(&rings->mutex);
		send_answer(e);
		pthread_mutex_lock(&rings->mutex);
	}
	pthread_mutex_unlock(&rings->mutex);
	return NULL;
}

/* ---- all of them */

static int ring_new(struct rings *rings, unsigned int submissions,
		    struct ring **ret)
{
	struct ring *ring = calloc(1, sizeof(*ring));
	int r;

	if (!ring)
		return -ENOMEM;
	r = uring_open(submissions, RING_ENTRIES_MAX, &ring->uring);
	if (r < 0) {
		free(ring);
		return r;
	}
	pthread_mutex_init(&ring->mutex, NULL);
	ring->rings = rings;
	ring->processor = (unsigned int)rings->count;
	*ret = ring;
	return 0;
}

static void ring_free(struct ring *ring)
{
	uring_close(&ring->uring);
	for (size_t k = 0; k < ring->count; k++)
		entry_free(ring->entries[k]);
	pthread_mutex_destroy(&ring->mutex);
	free(ring);
}

int rings_new(int device, unsigned int threads, struct rings **ret)
{
	struct rings *rings = calloc(1, sizeof(*rings));
	size_t count = 0;
	int r;

	if (!rings)
		return -ENOMEM;
	rings->device = device;
	pthread_mutex_init(&rings->mutex, NULL);
	cond_init_monotonic(&rings->wake);
	if (sched_getaffinity(0, sizeof(rings->anywhere), &rings->anywhere) < 0)
		CPU_ZERO(&rings->anywhere);
	r = count_processors(&count);
	rings->ring = r < 0 ? NULL : calloc(count, sizeof(*rings->ring));
	if (r == 0 && !rings->ring)
		r = -ENOMEM;
	while (r == 0 && rings->count < count) {
		/* An answer of each thread, and of ours. */
		r = ring_new(rings, threads + (unsigned int)count + 1 +
			     RING_SPARE, &rings->ring[rings->count]);
		rings->count += r == 0;
	}
	if (r == 0)
		r = thread_start(&rings->thread, sender_main, rings);
	rings->started = r == 0;
	if (r < 0)
		rings_free(rings);
	else
		*ret = rings;
	return r;
}

void rings_free(struct rings *rings)
{
	if (!rings)
		return;
	pthread_mutex_lock(&rings->mutex);
	rings->stopping = true;
	pthread_cond_signal(&rings->wake);
	pthread_mutex_unlock(&rings->mutex);
	if (rings->started)
		pthread_join(rings->thread, NULL);
	for (size_t k = 0; k < rings->count; k++)
		ring_free(rings->ring[k]);
	free(rings->ring);
	pthread_cond_destroy(&rings->wake);
	pthread_mutex_destroy(&rings->mutex);
	free(rings);
}

size_t rings_count(const struct rings *rings)
{
	return rings->count;
}

struct ring *rings_get(struct rings *rings, size_t k)
{
	return rings->ring[k];
}
