/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whom to call, where and when: the members' addresses and how the calls to
 * them went. It makes no call by itself (link.c does) and has no clock.
 *
 * A peer's addresses are tried one after the other; when all have failed,
 * the next round waits: 0.2 s, doubled up to 30 s, with jitter so that two
 * nodes do not call each other at the same moment again and again.
 */
#ifndef KINFS_NET_DIAL_H
#define KINFS_NET_DIAL_H

#include <sys/queue.h>

#include "fs/base/id.h"
#include "replication/net/address.h"

#define DIAL_DELAY_MS_MIN 200
#define DIAL_DELAY_MS_MAX 30000
/* Bytes of a list of addresses. */
#define DIAL_LIST_BYTES_MAX 255
/* Addresses of one peer that are tried. */
#define DIAL_ADDRESSES_MAX 8
/* Addresses known to lead back to this node. */
#define DIAL_SELF_MAX 8

struct dial_peer {
	struct device device;
	char list[DIAL_LIST_BYTES_MAX + 1];	/* as it was told */
	char addresses[DIAL_ADDRESSES_MAX][ADDRESS_TEXT_BYTES];
	size_t count, next;
	unsigned int rounds;	/* failed, one after the other */
	uint64_t at_ms;		/* no call before this */
	void *call;		/* the one that goes on, or NULL */
	LIST_ENTRY(dial_peer) entry;
};

struct dialer {
	LIST_HEAD(, dial_peer) peers;
	char self[DIAL_SELF_MAX][ADDRESS_TEXT_BYTES];
	size_t self_next;
};

void dialer_init(struct dialer *);
void dialer_release(struct dialer *);
struct dial_peer *dialer_find(struct dialer *, const struct device *);
/*
 * Takes note of where a peer listens. A peer with new addresses is called
 * at once. Errors: -ENOMEM.
 */
must_check int dialer_set(struct dialer *, const struct device *,
			  struct slice list, uint64_t now_ms);
/* All may be called at once: this node is elsewhere now, or was resumed. */
void dialer_reset(struct dialer *, uint64_t now_ms);
/* This address is our own; it is not called again until dialer_reset(). */
void dialer_note_self(struct dialer *, const char *address);

/* The next address to call, or NULL: the peer has none. */
const char *dial_next(struct dialer *, struct dial_peer *);
/* The call failed, or the link that came of it did not last. `chance` is a
 * random number. */
void dial_failed(struct dial_peer *, uint64_t now_ms, uint32_t chance);
/* A link that was good is lost: call again soon. */
void dial_lost(struct dial_peer *, uint64_t now_ms, uint32_t chance);

#endif
