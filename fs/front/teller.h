/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who writes to the device what the kernel is told of: a process of its own.
 *
 * To drop a name or pages the kernel waits for locks that it holds while it
 * waits for our answers, and nothing ends that wait: not even kill -9. If it
 * were a thread of the daemon that waited there when the daemon is killed,
 * the daemon would not be dead as long as it waits; so nobody would take its
 * place, nobody would answer, and it would wait for ever. A process that
 * serves nothing may wait until the next daemon has answered.
 *
 * It has the device and a socket, and nothing else; when the daemon is gone,
 * or closes the socket, it ends. One thread calls.
 */
#ifndef KINFS_FRONT_TELLER_H
#define KINFS_FRONT_TELLER_H

#include <sys/types.h>

#include "fs/base/bytes.h"

struct teller {
	int socket;		/* -1: there is none */
	int device;
	pid_t pid;
};

/* The device is borrowed, until teller_stop(). */
must_check int teller_start(struct teller *ret, int device);
void teller_stop(struct teller *);

/* Errors: as the kernel says; -ENOENT: it does not know of that. */
int teller_drop_name(struct teller *, uint64_t parent, struct slice name);
/* ... which stays, and is asked for at its next use. */
int teller_expire_name(struct teller *, uint64_t parent, struct slice name);
/* Attributes, and the pages from an offset on; none if it is negative. */
int teller_drop_inode(struct teller *, uint64_t ino, int64_t offset);

#endif
