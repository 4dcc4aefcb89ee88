/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests by way of io_uring (Linux 6.14): one ring for each processor,
 * with the requests of those who run there. Whoever asks is answered by a
 * thread on his own processor, which costs a third of waking another one,
 * and each answer is given with the system call that waits for the next
 * request.
 *
 * A request that came so looks like one of the device to all who see it, and
 * is answered as if by a write to the device: rings_answer(). What the kernel
 * asks without waiting for an answer, its first request, and all
 * notifications go by the device as ever.
 */
#ifndef KINFS_FRONT_RING_H
#define KINFS_FRONT_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/uio.h>

#include "fs/base/bytes.h"

struct fuse_buf;
struct ring;
struct rings;

/* Does this kernel have it, and are we let? Errors: -EOPNOTSUPP, and `why` is
 * a sentence that says what to do. */
must_check int rings_check(struct buf *why);
/* For a device that is not asked anything yet, which is borrowed; with so many
 * threads beside one for each ring. Errors: of the system. */
must_check int rings_new(int device, unsigned int threads, struct rings **ret);
/* No thread uses them any more. Whatever is asked then is never answered. */
void rings_free(struct rings *);
size_t rings_count(const struct rings *);
struct ring *rings_get(struct rings *, size_t);
/*
 * Takes an answer, which begins with its head; false: it is none to a request
 * of these rings. Any thread; one that is in ring_receive() at times sends
 * its answer then, or in ring_finish().
 */
bool rings_answer(struct rings *, const struct iovec *, int count);

/*
 * The next request, for who joined: its bytes, which stay until it is
 * answered. -EINTR: there is none yet. Other errors: the ring is of no use.
 * Threads that call this live as long as the mount does: the kernel gives
 * requests to them.
 */
must_check int ring_receive(struct ring *, struct fuse_buf *ret);
/* Sends what this thread answered last, if it was not sent yet. */
void ring_finish(void);
/* This thread is to receive: it runs on the ring's processor, if it may.
 * Errors: as above. / It runs where any may. */
must_check int ring_join(struct ring *);
void ring_part(const struct ring *);

#endif
