/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a mount must not forget when its process does: memory that a
 * supervisor holds (a memfd, shared by all processes of the mount), so that
 * it is there after kill -9, at any instruction.
 *
 *  - The kernel's first request (INIT), and what was asked for in answer:
 *    the next process plays it to libfuse again, and both agree with the
 *    kernel on the same terms, whatever its own version would ask for.
 *  - Which inodes are open, how often, and how often for writing: the tree
 *    keeps for open handles what others replace or remove. A process that
 *    is killed between an open and its note is asked again (the kernel
 *    resends what was not answered), so what is noted is never less than what
 *    is open; it may be one more, which keeps a content until the unmount.
 *
 * Layout (native byte order; it never leaves the machine's memory):
 * struct handover_head, then tables of open inodes, each twice as large as
 * the one before; the head says which one counts. A slot is two words: the
 * inode number, and its counts; written in that order when it is taken, one
 * word at a time after that. Collisions go to the next slot (linear probing);
 * a slot is never given to another inode: a table that is full of closed ones
 * is written anew, as a larger one is.
 *
 * All calls from any thread of the one process that serves the mount.
 */
#ifndef KINFS_FRONT_HANDOVER_H
#define KINFS_FRONT_HANDOVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fs/base/bytes.h"

struct handover;

/* For the supervisor: the memory, as a descriptor (CLOEXEC), or -errno.
 * `mount` is random: requests of this mount are told from those of others. */
must_check int handover_create(uint64_t mount);

/* Maps it. Errors: -EPROTONOSUPPORT of another version of kinfs, -EUCLEAN,
 * others of the system. The descriptor is the caller's still. */
must_check int handover_open(int fd, struct handover **ret);
void handover_close(struct handover *);

uint64_t handover_mount(const struct handover *);
/* Times that a process took the mount over before this one. */
uint32_t handover_turns(const struct handover *);
/* One more. */
void handover_take(struct handover *);

/* The kernel's INIT request; empty: there was none yet. Borrowed. */
struct slice handover_init(const struct handover *);
/* What was asked for (fuse_conn_info.want) when it was answered. */
uint32_t handover_want(const struct handover *);
/* Noted once, before it is answered. */
void handover_note_init(struct handover *, struct slice request,
			uint32_t want);

/* Does the kernel give requests that were not answered to the next process?
 * Else they wait for ever when this one is killed. */
bool handover_can_resend(const struct handover *);
/* As if it could not. */
void handover_deny_resend(struct handover *);

/* An open file more, noted before the reply; and one less, after the tree
 * was told. (Where memory is short, that is logged, and it counts as closed
 * when the process is replaced.) */
void handover_opened(struct handover *, uint64_t ino, bool write);
void handover_closed(struct handover *, uint64_t ino, bool write);
/*
 * The last request of a slot to close a file, noted just before
 * handover_closed(); and was this one noted in any slot? Then it is not to be
 * done again.
 */
#define HANDOVER_SLOTS 64
void handover_note_close(struct handover *, unsigned int slot,
			 uint64_t request);
bool handover_knows_close(const struct handover *, uint64_t request);
/* Calls fn for each open inode. Returns its first error. */
must_check int handover_each(struct handover *,
			     int (*fn)(void *arg, uint64_t ino,
				       uint32_t opens, uint32_t writers),
			     void *arg);

#endif
