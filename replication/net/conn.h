/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A framed TLS connection over a non-blocking socket: bytes of whole frames
 * go in and come out, neither side ever waits.
 *
 * Frames are queued and written before the loop sleeps, many in one TLS
 * record. Input is bounded by frame_max: a longer or empty frame is garbled
 * and ends the connection.
 *
 * All functions belong to the loop's thread.
 */
#ifndef KINFS_NET_CONN_H
#define KINFS_NET_CONN_H

#include "replication/net/address.h"
#include "replication/net/loop.h"
#include "replication/net/tls.h"

/* From connect(2) to the end of the handshake. */
#define CONN_HANDSHAKE_MS 10000
/* Bytes of a frame from somebody who is not known to be a member. */
#define CONN_STRANGER_FRAME_MAX 1024

struct conn;

/*
 * The owner hears of its connection by these. A function may drop or close
 * the connection, which then is not to be used any more.
 */
struct conn_ops {
	/* The handshake is done: key, purpose and export can be asked. */
	void (*ready)(struct conn *, void *owner);
	/* Type and body, borrowed for the call. */
	void (*frame)(struct conn *, void *owner, struct slice frame);
	/* Bytes came, and the last frame is not whole yet. NULL: all the
	 * same to it. */
	void (*coming)(struct conn *, void *owner);
	/* The queue is shorter or longer now. */
	void (*queued)(struct conn *, void *owner, size_t bytes);
	/*
	 * It ended by itself; `conn` is gone after this call. -ECONNRESET the
	 * peer closed, -EBADMSG garbled, -EPROTO TLS failed, -ETIMEDOUT,
	 * -E2BIG too much queued, or of connect(2). `why` is for logs.
	 */
	void (*closed)(struct conn *, void *owner, int error,
		       const char *why);
};

/* All connections of one loop and one identity. */
struct conn_pool {
	struct loop *loop;
	SSL_CTX *tls;
	LIST_HEAD(, conn) all;
	size_t count;
};

must_check int conn_pool_init(struct conn_pool *, struct loop *,
			      const struct identity *);
/* Drops every connection. */
void conn_pool_release(struct conn_pool *);

/* Takes ownership of the socket, also on failure. */
must_check int conn_accept(struct conn_pool *, int fd, const struct address *,
			   const struct conn_ops *, void *owner,
			   struct conn **ret);
must_check int conn_dial(struct conn_pool *, const struct address *,
			 enum tls_purpose, const struct conn_ops *,
			 void *owner, struct conn **ret);

/* Queues whole frames, with their lengths. */
void conn_send(struct conn *, struct slice frames);
/* Sends what is queued, for a second at most, then ends; the owner hears
 * nothing more of it. */
void conn_close(struct conn *);
/* Ends now, without a word to either side. */
void conn_drop(struct conn *);

/* The connection ends with -ETIMEDOUT then; LOOP_NEVER: no time-out. */
void conn_set_deadline(struct conn *, uint64_t at_ms);
void conn_set_frame_max(struct conn *, uint32_t bytes);
/* Of the peer, for logs. */
const char *conn_address(const struct conn *);
/* From `ready` on. */
struct device conn_device(const struct conn *);
enum tls_purpose conn_purpose(const struct conn *);
must_check int conn_export(struct conn *, uint8_t ret[TLS_EXPORT_BYTES]);

#endif
