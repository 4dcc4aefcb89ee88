/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads of content that is not here yet. A file is shown with its size as
 * soon as its row came; its bytes may follow much later. A read of bytes that
 * are missing is taken out of the worker's hands: the request is kept in a
 * list, and answered by a thread of its own when its content came. So any
 * number of programs may wait, and no worker does.
 *
 * Nobody waits for ever: a read is given up (EIO, and counted for status)
 * when no peer has been linked for a while, when nothing has come at all for
 * longer, when it holds up the notifier (which drops pages that the kernel
 * has locked for it), or at the end. A signal ends it with EINTR.
 */
#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "fs/base/log.h"
#include "fs/base/thread.h"
#include "fs/front/front_internal.h"

/* Requests that wait at once; each is some 100 bytes here. */
#define WAITING_MAX 1024
/* Looked at without a cause, since a peer may go unheard. */
#define WAITING_LOOK_MS 500
/* So many are not looked at again for each chunk that comes. */
#define WAITING_MANY 16
#define WAITING_PAUSE_MS 10
/* Without a linked peer; nets come and go. */
#define WAITING_ALONE_MS 5000
/* With one, and nothing came: not even other content. */
#define WAITING_STALLED_MS 60000
/* While the notifier waits for it. */
#define WAITING_NOTIFIER_MS 3000

struct waiting_read {
	struct waiting_read *next;
	struct waiting *waiting;
	fuse_req_t req;
	fuse_ino_t ino;
	size_t size;
	off_t offset;
	uint64_t since_ms;	/* or when anything came last */
	uint64_t alone_ms;	/* since when no peer is linked, or 0 */
	atomic_bool interrupted;
};

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

void waiting_init(struct waiting *w)
{
	*w = (struct waiting){ .first = NULL };
	pthread_mutex_init(&w->mutex, NULL);
	cond_init_monotonic(&w->wake);
}

void waiting_release(struct waiting *w)
{
	pthread_cond_destroy(&w->wake);
	pthread_mutex_destroy(&w->mutex);
}

static void waiting_poke(struct waiting *w, bool arrived)
{
	pthread_mutex_lock(&w->mutex);
	w->poked = true;
	w->arrived |= arrived;
	pthread_cond_signal(&w->wake);
	pthread_mutex_unlock(&w->mutex);
}

/* libfuse calls this with a lock of the request held. */
static void waiting_interrupt(fuse_req_t req, void *arg)
{
	struct waiting_read *read = arg;

	(void)req;
	atomic_store(&read->interrupted, true);
	waiting_poke(read->waiting, false);
}

static void read_answer(struct waiting_read *read, const char *data, int64_t r)
{
	fuse_req_interrupt_func(read->req, NULL, NULL);
	if (r < 0)
		fuse_reply_err(read->req, (int)-r);
	else
		fuse_reply_buf(read->req, data, (size_t)r);
	free(read);
}

/* ---- giving up */

static bool read_is_hopeless(struct front *front, struct waiting_read *read,
			     bool arrived)
{
	uint64_t now = now_ms(), since = read->since_ms;

	if (arrived)
		read->since_ms = now;
	if (tree_is_reachable(front->tree))
		read->alone_ms = 0;
	else if (!read->alone_ms)
		read->alone_ms = now;
	if (read->alone_ms && now >= read->alone_ms + WAITING_ALONE_MS)
		return true;
	if (atomic_load(&front->dropping) == read->ino &&
	    now >= since + WAITING_NOTIFIER_MS)
		return true;
	return now >= since + WAITING_STALLED_MS;
}

/* Returns true if it was answered. */
static bool read_try(struct front *front, struct waiting_read *read,
		     bool arrived, bool stopping)
{
	autofree char *data = NULL;
	int64_t r;

	if (atomic_load(&read->interrupted)) {
		read_answer(read, NULL, -EINTR);
		return true;
	}
	data = malloc(read->size);
	r = data ? tree_read(front->tree, read->ino, (uint64_t)read->offset,
			     data, read->size) : -ENOMEM;
	if (r == -EAGAIN && !stopping &&
	    !read_is_hopeless(front, read, arrived))
		return false;
	if (r == -EAGAIN && stopping && reply_left(front, read->req)) {
		free(read);
		return true;
	}
	if (r == -EAGAIN) {
		tree_read_failed(front->tree);
		r = -EIO;
	}
	read_answer(read, data, r);
	return true;
}

/* ---- the thread */

/* Waits for a cause to look, and takes the list. */
static struct waiting_read *waiting_take(struct waiting *w, bool *ret_arrived,
					 bool *ret_stopping)
{
	struct timespec until = monotonic_in_ms(WAITING_LOOK_MS);
	struct waiting_read *list;

	pthread_mutex_lock(&w->mutex);
	w->looking = false;
	while (!w->poked && !w->stopping) {
		if (!w->first)
			pthread_cond_wait(&w->wake, &w->mutex);
		else if (pthread_cond_timedwait(&w->wake, &w->mutex, &until))
			break;
	}
	*ret_arrived = w->arrived;
	*ret_stopping = w->stopping;
	w->poked = w->arrived = false;
	w->looking = true;
	list = steal(&w->first);
	pthread_mutex_unlock(&w->mutex);
	return list;
}

static void waiting_put(struct waiting *w, struct waiting_read *read)
{
	pthread_mutex_lock(&w->mutex);
	read->next = w->first;
	w->first = read;
	pthread_mutex_unlock(&w->mutex);
}

static void waiting_done(struct waiting *w)
{
	pthread_mutex_lock(&w->mutex);
	w->count--;
	pthread_mutex_unlock(&w->mutex);
}

static void *waiting_main(void *arg)
{
	struct front *front = arg;
	struct timespec pause = { .tv_nsec = WAITING_PAUSE_MS * 1000000L };
	bool arrived, stopping = false;

	while (!stopping) {
		struct waiting_read *read, *next;
		size_t left = 0;

		read = waiting_take(&front->waiting, &arrived, &stopping);
		for (; read; read = next) {
			next = read->next;
			if (read_try(front, read, arrived, stopping)) {
				waiting_done(&front->waiting);
			} else {
				waiting_put(&front->waiting, read);
				left++;
			}
		}
		if (left > WAITING_MANY)
			nanosleep(&pause, NULL);
	}
	return NULL;
}

/* Under the mutex. */
static int waiting_start(struct front *front)
{
	struct waiting *w = &front->waiting;
	int r;

	if (w->started)
		return 0;
	r = thread_start(&w->thread, waiting_main, front);
	w->started = !r;
	return r;
}

void waiting_add(struct front *front, fuse_req_t req, fuse_ino_t ino,
		 size_t size, off_t offset)
{
	struct waiting *w = &front->waiting;
	struct waiting_read *read = calloc(1, sizeof(*read));
	int r = read ? 0 : -ENOMEM;

	if (read) {
		*read = (struct waiting_read){ .waiting = w, .req = req,
					       .ino = ino, .size = size,
					       .offset = offset,
					       .since_ms = now_ms() };
		/* (it may be called at once, and takes the mutex) */
		fuse_req_interrupt_func(req, waiting_interrupt, read);
		pthread_mutex_lock(&w->mutex);
		if (w->stopping || w->count >= WAITING_MAX)
			r = -EIO;
		else
			r = waiting_start(front);
		if (!r) {
			w->count++;
			read->next = w->first;
			w->first = read;
			/* What it waits for may have come already. */
			w->poked = true;
			pthread_cond_signal(&w->wake);
		}
		pthread_mutex_unlock(&w->mutex);
	}
	if (!r)
		return;
	fuse_req_interrupt_func(req, NULL, NULL);
	if (!reply_left(front, req))
		fuse_reply_err(req, -r);
	free(read);
}

bool waiting_has(struct front *front, fuse_ino_t ino)
{
	struct waiting *w = &front->waiting;
	bool yes;

	pthread_mutex_lock(&w->mutex);
	/* While they are looked at, any may be of that inode. */
	yes = w->looking && w->count;
	for (const struct waiting_read *k = w->first; !yes && k; k = k->next)
		yes = k->ino == ino;
	pthread_mutex_unlock(&w->mutex);
	return yes;
}

void waiting_stop(struct front *front)
{
	struct waiting *w = &front->waiting;

	pthread_mutex_lock(&w->mutex);
	w->stopping = true;
	pthread_cond_signal(&w->wake);
	pthread_mutex_unlock(&w->mutex);
	if (!w->started)
		return;
	pthread_join(w->thread, NULL);
	w->started = false;
}

void front_note_content(struct front *front)
{
	waiting_poke(&front->waiting, true);
}
