/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The member set as this node has it: records in the order in which they
 * were adopted (a signer before whom it signed), kept in TABLE_MEMBER with
 * the addresses last heard of. The set only grows; who was removed stays in
 * it, with the record that says so.
 */
#ifndef KINFS_CORE_MEMBERS_H
#define KINFS_CORE_MEMBERS_H

#include "fs/store/store.h"
#include "replication/core/member.h"

/* Bytes of the list of addresses of one member: "host:port host:port". */
#define ADDRESSES_BYTES_MAX 255

struct member_entry {
	struct member member;
	/* As shown: the label, or label-2 ... where an older member has it. */
	char label[LABEL_BYTES_MAX + 1];
	char addresses[ADDRESSES_BYTES_MAX + 1];
	uint64_t heard_ms; /* when its last link fell; 0: none did */
	/* Time heard (heard.c) at its last sign of life; and the newest of
	 * its rows and heartbeats, so that no old one is taken for a sign. */
	uint64_t heard_at_ms, heard_beat, heard_hlc;
	bool lapsed;
	int64_t skew_ms;   /* its clock less ours, at its last HELLO */
	bool skew_known;
	bool removed;
	struct member_removal removal; /* if so */
};

struct members {
	struct volid volume;
	struct member_entry *list[MEMBERS_MAX];
	size_t count;
};

void members_release(struct members *);
struct member_entry *members_find(struct members *, const struct device *);
/* Is the text fit for a list of addresses? */
bool addresses_are_valid(struct slice);

/* An entry of the table: is it what it must be? -EUCLEAN. */
must_check int members_check(struct slice key, struct slice value);
/* Reads the table. [store locked] Errors: -EUCLEAN, -ENOMEM, store's. */
must_check int members_load(struct members *, struct store *);
/* The volume that the records are of, by those that can be read. [locked]
 * Errors: -ENOENT. */
must_check int members_volume(struct store *, struct volid *ret);
/* Puts the entries from..to-1 into the table, in one operation; nothing is
 * synced. [store not locked] Errors: store's. */
must_check int members_save(struct store *, const struct members *, size_t from,
			    size_t to);

/*
 * Takes up a record whose signature is right and whose signer is in the
 * set. Returns 1 if it is new, 0 if it was there. Errors: -EBADMSG another
 * volume, an unknown signer, a wrong signature; -E2BIG, -ENOMEM.
 */
must_check int members_adopt(struct members *, const struct member *);
/* As members_adopt() for a record that signs itself: the first of a set. */
must_check int members_adopt_first(struct members *, const struct member *);

/*
 * Takes up a removal of a device in the set whose signature is right and
 * whose signer is in the set, removed or not: else what a set holds would
 * depend on who was heard of first. Returns 1 if it is news, 0 if the device
 * was removed already. Errors: as members_adopt().
 */
must_check int members_remove(struct members *, const struct member_removal *);
/* In the set, and not removed. */
bool members_has(struct members *, const struct device *);

/* The body of a MEMBERS frame: entries from `from` on, all removals. */
void members_encode(const struct members *, size_t from, struct buf *);
/* Calls fn for each record of the body; stops at its first negative. */
must_check int members_decode(struct reader *,
			      int (*fn)(void *arg, const struct member *),
			      void *arg);
/* The same for the removals, which stand behind the records. */
must_check int removals_decode(struct reader *,
			       int (*fn)(void *arg, const struct member_removal *),
			       void *arg);
/* A label that no member shows: as it is, or with -2, -3 ... */
void members_free_label(const struct members *, struct slice wanted,
			char ret[LABEL_BYTES_MAX + 1]);

#endif
