/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The loop: workers that each read a request, answer it, and read the next.
 * There is one, and another is started whenever all are busy, up to a bound;
 * a worker lives until the end. (Starting few matters: the kernel wakes
 * sleeping readers in turn, and a warm thread answers faster.)
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

static void *worker_main(void *arg);

void front_loop_init(struct loop *loop)
{
	pthread_mutex_init(&loop->mutex, NULL);
	cond_init_monotonic(&loop->wake);
	loop->count = loop->idle = loop->gone = 0;
	loop->ended = false;
	loop->error = 0;
}

void front_loop_release(struct loop *loop)
{
	pthread_cond_destroy(&loop->wake);
	pthread_mutex_destroy(&loop->mutex);
}

static int request_new(struct fuse_buf *ret)
{
	void *mem = mmap(NULL, REQUEST_BYTES_MAX, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	if (mem == MAP_FAILED)
		return -errno;
	*ret = (struct fuse_buf){ .mem = mem };
	return 0;
}

static void request_free(struct fuse_buf *b)
{
	munmap(b->mem, REQUEST_BYTES_MAX);
}

/* Under the mutex. */
static int worker_start(struct front *front)
{
	struct worker *worker = &front->loop.workers[front->loop.count];
	int r;

	worker->front = front;
	worker->slot = (unsigned int)front->loop.count;
	r = request_new(&worker->request);
	if (r)
		return r;
	r = thread_start(&worker->thread, worker_main, worker);
	if (r) {
		request_free(&worker->request);
		return r;
	}
	front->loop.count++;
	front->loop.idle++;
	return 0;
}

/* A worker has a request: sees to it that somebody waits for the next. */
static void worker_busy(struct front *front)
{
	struct loop *loop = &front->loop;

	pthread_mutex_lock(&loop->mutex);
	loop->idle--;
	if (loop->idle == 0 && loop->count < WORKERS_MAX && !loop->ended) {
		int r = worker_start(front);

		if (r < 0)
			log_errno(r, "cannot start another worker");
	}
	pthread_mutex_unlock(&loop->mutex);
}

static void worker_idle(struct front *front)
{
	pthread_mutex_lock(&front->loop.mutex);
	front->loop.idle++;
	pthread_mutex_unlock(&front->loop.mutex);
}

/* The next request: its bytes, 0 at the end. -EINTR: look whether to go on. */
static int receive(struct worker *worker)
{
	struct fuse_session *session = worker->front->session;
	struct fuse_buf *request = &worker->request;
	ssize_t n;

	do {
		n = read(fuse_session_fd(session), request->mem,
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
	request->size = (size_t)n;
	return (int)n;
}

static void worker_gone(struct loop *loop)
{
	pthread_mutex_lock(&loop->mutex);
	loop->gone++;
	pthread_cond_signal(&loop->wake);
	pthread_mutex_unlock(&loop->mutex);
}

static void *worker_main(void *arg)
{
	struct worker *worker = arg;
	struct front *front = worker->front;
	sigset_t wake;
	int r = 0;

	sigemptyset(&wake);
	sigaddset(&wake, WAKE_SIGNAL);
	pthread_sigmask(SIG_UNBLOCK, &wake, NULL);
	/* libfuse also ends a session with a kernel that is too old. */
	while (!fuse_session_exited(front->session) &&
	       !atomic_load(&front->loop.ended)) {
		atomic_store(&worker->reading, true);
		r = receive(worker);
		atomic_store(&worker->reading, false);
		if (r == -EINTR || r == -EAGAIN) {
			r = 0;
			continue;
		}
		if (r <= 0)
			break;	/* 0: unmounted */
		worker_busy(front);
		if (!request_begin(worker) &&
		    !front_raw(front, &worker->request))
			fuse_session_process_buf(front->session,
						 &worker->request);
		request_end();
		worker_idle(front);
	}
	worker_gone(&front->loop);
	front_loop_end(&front->loop, MIN_OF(r, 0));
	return NULL;
}

void front_loop_end(struct loop *loop, int error)
{
	pthread_mutex_lock(&loop->mutex);
	if (!loop->ended)
		loop->error = error;
	loop->ended = true;
	pthread_cond_signal(&loop->wake);
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
		struct timespec next;

		for (size_t i = 0; i < loop->count; i++)
			if (atomic_load(&loop->workers[i].reading))
				pthread_kill(loop->workers[i].thread,
					     WAKE_SIGNAL);
		clock_gettime(CLOCK_MONOTONIC, &next);
		next.tv_nsec += WAKE_MS * 1000000L;
		if (next.tv_nsec >= 1000000000L) {
			next.tv_nsec -= 1000000000L;
			next.tv_sec++;
		}
		pthread_cond_timedwait(&loop->wake, &loop->mutex, &next);
	}
}

int front_loop_run(struct front *front)
{
	struct sigaction wake = { .sa_handler = interrupt }; /* no restart */
	struct loop *loop = &front->loop;
	size_t i;
	int r;

	sigaction(WAKE_SIGNAL, &wake, NULL);
	pthread_mutex_lock(&loop->mutex);
	r = loop->ended ? 0 : worker_start(front);
	while (r == 0 && !loop->ended)
		pthread_cond_wait(&loop->wake, &loop->mutex);
	loop->ended = true;	/* the workers are fixed from here on */
	loop_drain(loop);
	pthread_mutex_unlock(&loop->mutex);
	for (i = 0; i < loop->count; i++) {
		pthread_join(loop->workers[i].thread, NULL);
		request_free(&loop->workers[i].request);
	}
	loop->count = 0;
	return r < 0 ? r : loop->error;
}
