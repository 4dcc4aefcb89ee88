/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of this layer share: directories, keys, a pair of
 * connections that know nothing of volumes. */
#ifndef KINFS_TESTS_NET_SUPPORT_H
#define KINFS_TESTS_NET_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "replication/net/conn.h"

/* An empty directory in memory, mode 0700. */
struct net_dir {
	char path[64];
};
void net_dir_init(struct net_dir *);
void net_dir_release(struct net_dir *);
/* path/name in one of four static buffers. */
const char *net_dir_file(const struct net_dir *, const char *name);

/* A new identity that is kept nowhere. */
void net_identity_init(struct identity *);

/* One end of a pair, and what happened to it. */
struct net_end {
	struct conn_pool pool;
	struct identity identity;
	struct conn *conn;		/* NULL: closed */
	bool ready;
	int frames;
	int coming;			/* calls of coming() */
	struct buf last;		/* the last frame, type and body */
	int error;
	char why[128];
	size_t queued;
	bool close_at_frame;		/* conn_close() in frame() */
};

struct net_pair {
	struct loop loop;
	struct net_end server, client;
};

/* Two ends over a socketpair; the handshake is not made yet. */
void net_pair_init(struct net_pair *);
/* As net_pair_init(), for a server end only: the test is the client. */
int net_pair_init_raw(struct net_pair *);
void net_pair_release(struct net_pair *);
/* Turns the loop until *flag, or fails after 15 s. */
void net_turn_until(struct loop *, const bool *flag);
/* Turns the loop for a while. */
void net_turn_for(struct loop *, uint64_t ms);
/* A frame as it goes over the wire. */
void net_frame(struct buf *, uint8_t type, const void *body, size_t len);

extern const struct conn_ops net_ops;

#endif
