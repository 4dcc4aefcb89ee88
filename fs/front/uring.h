/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The two queues that a process and the kernel share (io_uring(7)), with
 * entries of 128 bytes to submit. As many threads as there are may use one,
 * if a lock of theirs is held where it is said; nobody waits with it held.
 */
#ifndef KINFS_FRONT_URING_H
#define KINFS_FRONT_URING_H

#include <linux/io_uring.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fs/base/macro.h"

/* Its part for the command begins at sqe->cmd. */
#define URING_SQE_BYTES 128
#define URING_COMMAND_BYTES 80

struct uring {
	int fd;
	uint8_t *queues, *sqes;
	size_t queues_bytes, sqes_bytes;
	struct io_uring_params params;
};
#define URING_NONE ((struct uring){ .fd = -1 })

/* Room for so many that are to be submitted, or are completed, at a time.
 * Errors: of io_uring_setup(2) and mmap(2). */
must_check int uring_open(unsigned int submissions, unsigned int completions,
			  struct uring *ret);
/* (URING_NONE is left so) */
void uring_close(struct uring *);

/* Under the lock: the next entry, all zero; NULL: there is no room. */
struct io_uring_sqe *uring_next(struct uring *);
/* Under the lock: what uring_next() gave is ready to be submitted. */
void uring_publish(struct uring *);
/* Under the lock: takes what was completed first, if anything was. */
bool uring_take(struct uring *, struct io_uring_cqe *ret);

/*
 * Submits so many of those that are published, and, asked to, waits until
 * something is completed. Returns when they are submitted, also if a signal
 * ended the wait. Errors: -EINTR (nothing was to be submitted), others of
 * io_uring_enter(2).
 */
must_check int uring_enter(struct uring *, unsigned int submit, bool wait);

#endif
