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
#ifndef KINFS_FRONT_RINGS_H
#define KINFS_FRONT_RINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/uio.h>

#include "fs/base/bytes.h"

struct ring;
struct rings;

/* Does this kernel have it, and are we let? Errors: -EOPNOTSUPP, and `why` is
 * a sentence that says what to do. */
must_check int rings_check(struct buf *why);
/* For a device that is not asked anything yet, which is borrowed; with so many
 * threads that receive beside one for each ring. Errors: of the system. */
must_check int rings_new(int device, unsigned int threads, struct rings **ret);
/* No thread uses them any more. Whatever is asked then is never answered. */
void rings_free(struct rings *);
size_t rings_count(const struct rings *);
struct ring *rings_get(struct rings *, size_t);
/* Takes an answer, which begins with its head, from any thread; false: it is
 * none to a request of these rings. */
bool rings_answer(struct rings *, const struct iovec *, int count);

#endif
