/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Members of a volume: a replicated set of records, each signed by a member
 * that was there before it; the first signs its own. PROTOCOL.md, "Members",
 * has the bytes.
 */
#ifndef KINFS_CORE_MEMBER_H
#define KINFS_CORE_MEMBER_H

#include "fs/base/bytes.h"
#include "fs/base/id.h"
#include "fs/base/limits.h"

/* Members of one volume: bounds gossip; laptops of people, not servers. */
#define MEMBERS_MAX 256

struct member {
	struct volid volume;
	struct device device;
	char label[LABEL_BYTES_MAX + 1];
	uint64_t added_ms;	/* wall clock of the signer */
	struct device signer;
	uint8_t signature[64];
};

/*
 * That a device is no member any more, said by one that is or was. It wins
 * over the device's record for ever: a machine that is to come back joins
 * with a new key.
 */
struct member_removal {
	struct volid volume;
	struct device device;
	uint64_t removed_ms; /* wall clock of the signer */
	struct device signer;
	uint8_t signature[64];
};

void removal_encode_signed(const struct member_removal *, struct buf *);
void removal_encode(const struct member_removal *, struct buf *);
must_check int removal_decode(struct reader *, struct member_removal *ret);
must_check int removal_verify(const struct member_removal *);

/* The bytes that are signed, then the whole record. */
void member_encode_signed(const struct member *, struct buf *);
void member_encode(const struct member *, struct buf *);
/* Errors: -EBADMSG. */
must_check int member_decode(struct reader *, struct member *ret);
/* Is the signature right for member->signer? Errors: -EBADMSG. */
must_check int member_verify(const struct member *);

#endif
