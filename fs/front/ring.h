/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ring of one processor (rings.h says what for).
 */
#ifndef KINFS_FRONT_RING_H
#define KINFS_FRONT_RING_H

#include <sched.h>
#include <stdbool.h>
#include <sys/uio.h>

#include "fs/base/macro.h"

struct fuse_buf;
struct ring;

struct ring_options {
	int device;			/* borrowed */
	unsigned int processor;
	unsigned int threads;		/* that use it, at most */
	cpu_set_t anywhere;		/* where the process may run */
};

/* Errors: of uring_open(), -ENOMEM. */
must_check int ring_new(const struct ring_options *, struct ring **ret);
/* No thread uses it any more. */
void ring_free(struct ring *);

/*
 * This thread is to receive: it runs on the ring's processor, if it may. It
 * has to live as long as the mount does: the kernel gives requests to it.
 * Errors: the ring is of no use.
 */
must_check int ring_join(struct ring *);
/* It runs anywhere, again. */
void ring_part(const struct ring *);
/* The next request, for who joined: its bytes, which stay until it is
 * answered. -EINTR: there is none yet. Other errors as above. */
must_check int ring_receive(struct ring *, struct fuse_buf *ret);
/* Sends what this thread answered last, if ring_receive() did not. */
void ring_finish(void);

/* Takes an answer, if it is to what this thread received last; it is sent by
 * ring_receive() or ring_finish(). */
bool ring_answer_own(const struct iovec *, int count);
/* Takes an answer from any thread, if it is to a request of this ring. */
bool ring_answer(struct ring *, const struct iovec *, int count);
/* Sends what ring_answer() took. For a thread that lives as long. */
void ring_send(struct ring *);

#endif
