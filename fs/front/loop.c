/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The loop. Requests come from the device, and from the rings of the
 * processors if the mount has them (rings.h): each is a source. One worker
 * reads a source; those who read none are spare. The reader also
 * answers what it read, and goes on reading: most answers take a few
 * microseconds, and to wake somebody else takes longer (libfuse's loop has
 * all idle threads wait in read(2), and the kernel wakes them in turn, each
 * with cold caches). Somebody else has to read
 *  - while the reader answers what may take long, like a sync or a large
 *    read, if several threads ask: one that asks alone asks for nothing else
 *    meanwhile;
 *  - when an answer takes long that was not expected to: the watcher looks
 *    every WATCH_MS whether the reader gets on, as long as there are
 *    requests. So no answer may wait for another request for ever. (It also
 *    keeps the processors awake then: awake.h.)
 * A worker that has answered, and finds that another reads, is spare.
 * Nor may the answers that take long leave a source without a reader: there
 * is one for each beside the WORKERS_MAX.
 *
 * Why not libfuse's own loop: nothing but a request or an unmount ends it.
 * A mount that is in use can only be unmounted lazily, which wakes nobody,
 * so the loop would go on until the last file is closed. Here
 * front_loop_end() wakes the thread in front_loop_run(), which interrupts the
 * workers that sleep in read() by a signal, again and again until each has
 * seen that it is to end. (A thread that is cancelled in read() may have read
 * a request, which then nobody answers.)
 *
 * Nor its fuse_session_receive_buf(): the kernel fails a request with EIO if
 * its reader is killed while it has to wait for a page of the buffer, though
 * another process could have answered it. So the buffers are ours, and have
 * all their pages from the beginning.
 */
#include <errno.h>
#include <linux/fuse.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "fs/base/log.h"
#include "fs/base/thread.h"
#include "fs/front/front_internal.h"

/* What the kernel asks for: the largest write, and a page for what it says
 * of it. */
#define REQUEST_BYTES_MAX (WRITE_BYTES_MAX + 4096)
/* Between two signals to those who still read. */
#define WAKE_MS 1
#define WAKE_SIGNAL SIGUSR2
/* Between two looks at the reader: after one to two of them, an answer that
 * was expected to be short has another reader beside it. */
#define WATCH_MS 1
/* Reads and writes of so much are not short. */
#define LARGE_BYTES 65536
/* Several ask, if one of so many requests came from another thread. */
#define SEVERAL_REQUESTS 64

static void *worker_main(void *arg);

void front_loop_init(struct loop *loop, const char *awake_device)
{
	pthread_mutex_init(&loop->mutex, NULL);
	cond_init_monotonic(&loop->wake);
	cond_init_monotonic(&loop->turn);
	cond_init_monotonic(&loop->watch);
	loop->sources = NULL;
	loop->workers = NULL;
	loop->source_count = loop->max = 0;
	loop->count = loop->spare = loop->gone = 0;
	loop->watching = true;
	loop->ended = false;
	loop->error = 0;
	awake_open(awake_device, &loop->awake);
}

void front_loop_release(struct loop *loop)
{
	awake_close(&loop->awake);
	pthread_cond_destroy(&loop->watch);
	pthread_cond_destroy(&loop->turn);
	pthread_cond_destroy(&loop->wake);
	pthread_mutex_destroy(&loop->mutex);
}

/* Where rings are, next to nothing comes from the device. */
static int request_new(const struct front *front, void **ret)
{
	int pages = front->rings ? 0 : MAP_POPULATE;
	void *mem = mmap(NULL, REQUEST_BYTES_MAX, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | pages, -1, 0);

	if (mem == MAP_FAILED)
		return -errno;
	*ret = mem;
	return 0;
}

static void request_free(void *mem)
{
	munmap(mem, REQUEST_BYTES_MAX);
}

/* ---- who reads */

/* Under the mutex. */
static int worker_start(struct front *front)
{
	struct worker *worker = &front->loop.workers[front->loop.count];
	int r;

	worker->front = front;
	worker->slot = (unsigned int)front->loop.count;
	worker->steps = 0;
	r = request_new(front, &worker->memory);
	if (r)
		return r;
	r = thread_start(&worker->thread, worker_main, worker);
	if (r) {
		request_free(worker->memory);
		return r;
	}
	front->loop.count++;
	return 0;
}

/* Under the mutex: sources that nobody reads. */
static size_t count_unread(const struct loop *loop, struct source **ret_one)
{
	size_t count = 0;

	for (size_t k = 0; k < loop->source_count; k++) {
		if (atomic_load(&loop->sources[k].reader))
			continue;
		*ret_one = &loop->sources[k];
		count++;
	}
	return count;
}

/* Under the mutex: one source more is unread. (If all are busy, its reader is
 * the one that is ready first.) */
static int find_reader(struct front *front)
{
	struct loop *loop = &front->loop;
	struct source *unread;

	if (loop->spare >= count_unread(loop, &unread))
		pthread_cond_signal(&loop->turn);
	else if (loop->count < loop->max && !loop->ended)
		return worker_start(front);
	return 0;
}

/* Under the mutex: somebody else is to read. */
static void pass_on(struct front *front, struct source *source)
{
	int r;

	atomic_store(&source->reader, NULL);
	r = find_reader(front);
	if (r < 0)
		log_errno(r, "cannot start another worker");
}

/* Waits until nobody reads somewhere, and is the reader then; false: it is
 * the end. */
static bool take_turn(struct worker *worker)
{
	struct loop *loop = &worker->front->loop;
	struct source *source = NULL;
	bool go_on;

	pthread_mutex_lock(&loop->mutex);
	loop->spare++;
	while (!loop->ended && !count_unread(loop, &source))
		pthread_cond_wait(&loop->turn, &loop->mutex);
	loop->spare--;
	go_on = !loop->ended;
	if (go_on) {
		worker->source = source;
		atomic_store(&source->reader, worker);
	}
	pthread_mutex_unlock(&loop->mutex);
	return go_on;
}

static bool is_reader(const struct worker *worker)
{
	return atomic_load(&worker->source->reader) == worker;
}

void front_loop_add_rings(struct front *front)
{
	struct loop *loop = &front->loop;
	size_t count = rings_count(front->rings);
	int r = 0;

	pthread_mutex_lock(&loop->mutex);
	for (size_t k = 0; k < count && r == 0; k++) {
		loop->sources[loop->source_count++].ring =
			rings_get(front->rings, k);
		r = find_reader(front);
	}
	pthread_mutex_unlock(&loop->mutex);
	if (r < 0)	/* (the kernel waits for all of them) */
		front_loop_end(loop, r);
}

/* ---- the watcher */

/* Under the mutex; false: it is the end. */
static bool watch_wait(struct loop *loop)
{
	struct timespec at = monotonic_in_ms(WATCH_MS);

	while (!loop->ended && pthread_cond_timedwait(&loop->watch,
						      &loop->mutex, &at) == 0)
		;
	return !loop->ended;
}

static struct watched watch_look(struct source *source)
{
	struct watched now = { .reader = atomic_load(&source->reader) };

	if (now.reader)
		now.steps = atomic_load(&now.reader->steps);
	return now;
}

/* Does its reader wait, as it did when it was looked at last? */
static bool is_quiet(struct source *source)
{
	struct watched now = watch_look(source);

	return now.reader && now.steps % 2 == 0 &&
	       now.reader == source->seen.reader &&
	       now.steps == source->seen.steps;
}

static bool all_quiet(struct loop *loop)
{
	for (size_t k = 0; k < loop->source_count; k++)
		if (!is_quiet(&loop->sources[k]))
			return false;
	return true;
}

/* Under the mutex: has another read what the reader is too long about.
 * Returns whether it waits. */
static bool watch_source(struct front *front, struct source *source)
{
	struct watched before = source->seen;
	bool quiet = is_quiet(source);

	source->seen = watch_look(source);
	if (source->seen.reader && source->seen.steps % 2 &&
	    source->seen.reader == before.reader &&
	    source->seen.steps == before.steps)
		pass_on(front, source);
	return quiet;
}

/* Under the mutex: requests since it was looked last. */
static uint32_t watch_count(struct loop *loop)
{
	uint32_t count = 0;

	for (size_t k = 0; k < loop->source_count; k++)
		count += atomic_exchange(&loop->sources[k].requests, 0);
	return count;
}

/* Under the mutex: until something is asked for again; false: the end. */
static bool watch_rest(struct loop *loop)
{
	/* Who begins to answer says so first, and then looks at this. */
	atomic_store(&loop->watching, false);
	while (!loop->ended && all_quiet(loop))
		pthread_cond_wait(&loop->watch, &loop->mutex);
	atomic_store(&loop->watching, true);
	return !loop->ended;
}

static void *watcher_main(void *arg)
{
	struct front *front = arg;
	struct loop *loop = &front->loop;
	bool go_on = true, quiet;

	pthread_mutex_lock(&loop->mutex);
	while (go_on) {
		quiet = !awake_look(&loop->awake, watch_count(loop));
		for (size_t k = 0; k < loop->source_count; k++)
			quiet &= watch_source(front, &loop->sources[k]);
		go_on = quiet ? watch_rest(loop) : watch_wait(loop);
	}
	pthread_mutex_unlock(&loop->mutex);
	return NULL;
}

/* ---- a request */

static bool is_large(const struct fuse_in_header *in, size_t size)
{
	const struct fuse_read_in *read = (const void *)(in + 1);

	if (in->opcode == FUSE_READ && size >= sizeof(*in) + sizeof(*read))
		return read->size >= LARGE_BYTES;
	return in->opcode == FUSE_WRITE && size >= LARGE_BYTES;
}

/* Do several threads ask for something at a time? */
static bool several_ask(struct source *source, uint32_t pid)
{
	uint32_t several = atomic_load(&source->several);

	/* (nobody waits for an answer to what the kernel asks by itself) */
	if (pid && pid != atomic_load(&source->last_pid)) {
		atomic_store(&source->last_pid, pid);
		several = SEVERAL_REQUESTS;
	} else if (several) {
		several--;
	}
	atomic_store(&source->several, several);
	return several;
}

/* May it wait for a disk? */
static bool is_long(const struct worker *worker)
{
	const struct fuse_buf *request = &worker->request;
	const struct fuse_in_header *in = request->mem;
	bool several;

	if (request->size < sizeof(*in))
		return false;
	several = several_ask(worker->source, in->pid);
	switch (in->opcode) {
	case FUSE_READ:
		return several || is_large(in, request->size);
	case FUSE_WRITE:
		return is_large(in, request->size);
	case FUSE_FSYNC:
	case FUSE_FSYNCDIR:
		return several;
	case FUSE_FALLOCATE:
	case FUSE_COPY_FILE_RANGE:
		return true;
	default: /* (what follows a RELEASE finds the version it makes) */
		return false;
	}
}

static void answer_one(struct worker *worker)
{
	struct front *front = worker->front;

	if (!request_begin(worker) && !front_raw(front, &worker->request))
		fuse_session_process_buf(front->session, &worker->request);
	request_end();
}

static void answer_short(struct worker *worker)
{
	struct loop *loop = &worker->front->loop;

	atomic_fetch_add(&worker->steps, 1);
	if (!atomic_load(&loop->watching)) {
		pthread_mutex_lock(&loop->mutex);
		pthread_cond_signal(&loop->watch);
		pthread_mutex_unlock(&loop->mutex);
	}
	answer_one(worker);
	atomic_fetch_add(&worker->steps, 1);
}

static void answer_long(struct worker *worker)
{
	struct loop *loop = &worker->front->loop;

	pthread_mutex_lock(&loop->mutex);
	if (is_reader(worker))
		pass_on(worker->front, worker->source);
	pthread_mutex_unlock(&loop->mutex);
	if (worker->source->ring)
		ring_part(worker->source->ring);
	answer_one(worker);
}

static int receive_from_device(struct worker *worker)
{
	struct fuse_session *session = worker->front->session;
	ssize_t n;

	do {
		n = read(fuse_session_fd(session), worker->memory,
			 REQUEST_BYTES_MAX);
		/* (who asked was interrupted before it was read) */
	} while (n < 0 && errno == ENOENT);
	if (n < 0 && errno == ENODEV) {
		fuse_session_exit(session);
		return 0;
	}
	if (n < 0)
		return -errno;
	if ((size_t)n < sizeof(struct fuse_in_header))
		return -EIO;
	worker->request = (struct fuse_buf){ .mem = worker->memory,
					     .size = (size_t)n };
	return (int)n;
}

/* The next request: its bytes, 0 at the end. -EINTR: look whether to go on. */
static int receive(struct worker *worker)
{
	if (worker->source->ring)
		return ring_receive(worker->source->ring, &worker->request);
	return receive_from_device(worker);
}

static void worker_gone(struct loop *loop)
{
	pthread_mutex_lock(&loop->mutex);
	loop->gone++;
	pthread_cond_signal(&loop->wake);
	pthread_mutex_unlock(&loop->mutex);
}

/* Until another reads (true), or there is no more to read (false). */
static bool read_requests(struct worker *worker, int *ret_error)
{
	struct front *front = worker->front;
	int r = 0;

	if (worker->source->ring)
		r = ring_join(worker->source->ring);
	if (r < 0) {
		*ret_error = r;
		return false;
	}
	do {
		/* libfuse also ends a session with a kernel that is too old. */
		if (fuse_session_exited(front->session) ||
		    atomic_load(&front->loop.ended))
			return false;
		atomic_store(&worker->reading, true);
		r = receive(worker);
		atomic_store(&worker->reading, false);
		if (r == -EINTR || r == -EAGAIN)
			continue;
		if (r <= 0) {	/* 0: unmounted */
			*ret_error = r;
			return false;
		}
		atomic_fetch_add(&worker->source->requests, 1);
		if (is_long(worker))
			answer_long(worker);
		else
			answer_short(worker);
	} while (is_reader(worker));
	return true;
}

static void *worker_main(void *arg)
{
	struct worker *worker = arg;
	sigset_t wake;
	int r = 0;

	sigemptyset(&wake);
	sigaddset(&wake, WAKE_SIGNAL);
	pthread_sigmask(SIG_UNBLOCK, &wake, NULL);
	while (take_turn(worker)) {
		bool more = read_requests(worker, &r);

		ring_finish();
		if (!more)
			break;
	}
	worker_gone(&worker->front->loop);
	front_loop_end(&worker->front->loop, r);
	return NULL;
}

void front_loop_end(struct loop *loop, int error)
{
	pthread_mutex_lock(&loop->mutex);
	if (!loop->ended)
		loop->error = error;
	loop->ended = true;
	pthread_cond_signal(&loop->wake);
	pthread_cond_broadcast(&loop->turn);
	pthread_cond_signal(&loop->watch);
	pthread_mutex_unlock(&loop->mutex);
}

static void interrupt(int signal)
{
	(void)signal;
}

/* Under the mutex: until no worker is left. What they have read is answered. */
static void loop_drain(struct loop *loop)
{
	while (loop->gone < loop->count) {
		struct timespec next = monotonic_in_ms(WAKE_MS);

		for (size_t i = 0; i < loop->count; i++)
			if (atomic_load(&loop->workers[i].reading))
				pthread_kill(loop->workers[i].thread,
					     WAKE_SIGNAL);
		pthread_cond_timedwait(&loop->wake, &loop->mutex, &next);
	}
}

/* Under the mutex. */
static int loop_begin(struct front *front)
{
	struct loop *loop = &front->loop;
	size_t rings = front->rings ? rings_count(front->rings) : 0;

	loop->max = WORKERS_MAX + rings;
	loop->workers = calloc(loop->max, sizeof(*loop->workers));
	loop->sources = calloc(1 + rings, sizeof(*loop->sources));
	if (!loop->workers || !loop->sources)
		return -ENOMEM;
	loop->source_count = 1;
	return thread_start(&loop->watcher, watcher_main, front);
}

/* The workers and the watcher are done. */
static void loop_free(struct loop *loop)
{
	for (size_t k = 0; k < loop->count; k++) {
		pthread_join(loop->workers[k].thread, NULL);
		request_free(loop->workers[k].memory);
	}
	loop->count = loop->source_count = 0;
	free(steal(&loop->workers));
	free(steal(&loop->sources));
}

int front_loop_run(struct front *front)
{
	struct sigaction wake = { .sa_handler = interrupt }; /* no restart */
	struct loop *loop = &front->loop;
	int r;

	sigaction(WAKE_SIGNAL, &wake, NULL);
	pthread_mutex_lock(&loop->mutex);
	r = loop_begin(front);
	if (r < 0) {
		pthread_mutex_unlock(&loop->mutex);
		loop_free(loop);
		return r;
	}
	r = loop->ended ? 0 : worker_start(front);
	while (r == 0 && !loop->ended)
		pthread_cond_wait(&loop->wake, &loop->mutex);
	loop->ended = true;	/* the workers are fixed from here on */
	pthread_cond_broadcast(&loop->turn);
	pthread_cond_signal(&loop->watch);
	loop_drain(loop);
	pthread_mutex_unlock(&loop->mutex);
	pthread_join(loop->watcher, NULL);
	loop_free(loop);
	return r < 0 ? r : loop->error;
}
