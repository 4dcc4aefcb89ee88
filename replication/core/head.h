/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A head: "at this moment of my clock I had made so many operations", signed
 * by the node that says it. Sent every ten seconds by a node that is linked
 * to anybody, and passed on like STATUS rows, it is what staleness can be
 * told by: who knows all operations up to the head's number was complete as
 * of its moment; nobody can say so for a later one. PROTOCOL.md, "Heads".
 */
#ifndef KINFS_CORE_HEAD_H
#define KINFS_CORE_HEAD_H

#include "fs/base/bytes.h"
#include "fs/base/id.h"

struct head {
	struct device device;
	uint64_t origin, seq;	/* its last operation, 0: none yet */
	uint64_t hlc;
	uint8_t signature[64];
};

/* The bytes that are signed, then the whole record. */
void head_encode_signed(const struct head *, struct volid, struct buf *);
void head_encode(const struct head *, struct buf *);
/* Errors: -EBADMSG. */
must_check int head_decode(struct reader *, struct head *ret);
/* Is it signed by head->device? Errors: -EBADMSG, -ENOMEM. */
must_check int head_verify(const struct head *, struct volid);

#endif
