/* SPDX-License-Identifier: Apache-2.0 */
/*
 * States only go forward:
 *
 *	CONNECTING (dialed) -> HANDSHAKE -> OPEN -> FLUSHING -> LINGER -> DEAD
 *
 * FLUSHING writes the rest of the queue and close_notify. LINGER waits for
 * the peer to close too: closing a socket with unread input would send a
 * reset, and a reset can overtake and destroy the BYE before it.
 */
#include "replication/net/conn.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "fs/base/limits.h"
#include "replication/net/sys.h"

#define FRAME_HEAD_BYTES 4
/* What one SSL_read() is offered; a TLS record holds no more. */
#define READ_BYTES 16384
/* What one connection may read or write before others have their turn. */
#define TURN_BYTES (256 * 1024)
/* What is given to SSL_write() at once. */
#define WRITE_BYTES 65536
/* The core stops streaming far below; a peer that reads nothing is ended. */
#define QUEUE_BYTES_MAX (64 * 1024 * 1024)
/* From conn_close() to the end. */
#define CLOSE_MS 1000
/* Of a socket that is dead without a word: probes, and unanswered data. */
#define KEEPALIVE_IDLE_S 10
#define KEEPALIVE_PROBE_S 5
#define KEEPALIVE_PROBES 3
#define UNANSWERED_MS 25000
/* Unsent bytes the kernel takes: more would delay what is urgent. */
#define UNSENT_BYTES (256 * 1024)

enum conn_state {
	CONN_CONNECTING,
	CONN_HANDSHAKE,
	CONN_OPEN,
	CONN_FLUSHING,
	CONN_LINGER,
	CONN_DEAD,
};

struct conn {
	struct conn_pool *pool;
	const struct conn_ops *ops;
	void *owner;
	enum conn_state state;
	enum tls_purpose purpose;
	struct device device;
	struct loop_watch watch;
	struct loop_timer timer;
	struct loop_job flush, free;
	SSL *ssl;
	bool wants_write;	/* until the socket takes bytes again */
	struct buf in, out;
	size_t out_at;		/* written so far */
	uint32_t frame_max;
	char address[ADDRESS_TEXT_BYTES];
	LIST_ENTRY(conn) entry;
};

static void conn_event(struct loop_watch *, uint32_t events);
static void conn_timer(struct loop_timer *, uint64_t now_ms);
static void conn_flush_job(struct loop_job *);
static void conn_free_job(struct loop_job *);

/* ---- life */

int conn_pool_init(struct conn_pool *p, struct loop *loop,
		   const struct identity *id)
{
	*p = (struct conn_pool){ .loop = loop };
	LIST_INIT(&p->all);
	return tls_new(id, &p->tls);
}

void conn_pool_release(struct conn_pool *p)
{
	struct conn *c;

	if (!p->tls)
		return;
	while ((c = LIST_FIRST(&p->all)))
		conn_drop(c);
	SSL_CTX_free(p->tls);
	p->tls = NULL;
}

/* Gone for everybody, but for the memory, which this turn may still use. */
void conn_drop(struct conn *c)
{
	struct loop *loop = c->pool->loop;
	int fd = c->watch.fd;

	if (c->state == CONN_DEAD)
		return;
	c->state = CONN_DEAD;
	loop_unwatch(loop, &c->watch);
	close(fd);
	loop_timer_set(loop, &c->timer, LOOP_NEVER);
	loop_job_cancel(loop, &c->flush);
	LIST_REMOVE(c, entry);
	c->pool->count--;
	loop_job(loop, &c->free);
}

static void conn_free_job(struct loop_job *job)
{
	struct conn *c = container_of(job, struct conn, free);

	SSL_free(c->ssl);
	buf_release(&c->in);
	buf_release(&c->out);
	free(c);
}

static void conn_fail(struct conn *c, int error, const char *why)
{
	bool tell = c->state < CONN_FLUSHING;

	conn_drop(c);
	if (tell)
		c->ops->closed(c, c->owner, error, why);
}

static void socket_tune(int fd)
{
	const struct {
		int level, name, value;
	} options[] = {
		{ IPPROTO_TCP, TCP_NODELAY, 1 },
		{ IPPROTO_TCP, TCP_NOTSENT_LOWAT, UNSENT_BYTES },
		{ IPPROTO_TCP, TCP_USER_TIMEOUT, UNANSWERED_MS },
		{ IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_IDLE_S },
		{ IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_PROBE_S },
		{ IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_PROBES },
		{ SOL_SOCKET, SO_KEEPALIVE, 1 },
	};

	/* None of them is needed for correctness, so none may fail it (and
	 * tests use sockets that are not TCP). */
	for (size_t i = 0; i < ARRAY_SIZE(options); i++)
		if (setsockopt(fd, options[i].level, options[i].name,
			       &options[i].value, sizeof(options[i].value)))
			continue;
}

/* Takes ownership of fd on success only. */
static int conn_new(struct conn_pool *pool, int fd,
		    const struct address *address, const struct conn_ops *ops,
		    void *owner, struct conn **ret)
{
	struct conn *c = calloc(1, sizeof(*c));
	int r;

	if (!c)
		return -ENOMEM;
	*c = (struct conn){
		.pool = pool,
		.ops = ops,
		.owner = owner,
		.watch = { .fd = -1, .fn = conn_event },
		.timer.fn = conn_timer,
		.flush.fn = conn_flush_job,
		.free.fn = conn_free_job,
		.frame_max = CONN_STRANGER_FRAME_MAX,
	};
	buf_init(&c->in);
	buf_init(&c->out);
	if (address)
		address_format(address, c->address);
	socket_tune(fd);
	r = loop_watch(pool->loop, &c->watch, fd, 0);
	if (r) {
		free(c);
		return r;
	}
	LIST_INSERT_HEAD(&pool->all, c, entry);
	pool->count++;
	loop_timer_set(pool->loop, &c->timer, sys_now_ms() + CONN_HANDSHAKE_MS);
	*ret = c;
	return 0;
}

int conn_accept(struct conn_pool *pool, int fd, const struct address *address,
		const struct conn_ops *ops, void *owner, struct conn **ret)
{
	struct conn *c;
	int r = conn_new(pool, fd, address, ops, owner, &c);

	if (r) {
		close(fd);
		return r;
	}
	c->state = CONN_HANDSHAKE;
	r = tls_accept(pool->tls, fd, &c->ssl);
	if (r) {
		conn_drop(c);
		return r;
	}
	loop_watch_events(pool->loop, &c->watch, EPOLLIN);
	*ret = c;
	return 0;
}

int conn_dial(struct conn_pool *pool, const struct address *address,
	      enum tls_purpose purpose, const struct conn_ops *ops,
	      void *owner, struct conn **ret)
{
	int fd = socket(address->sa.ss_family,
			SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	struct conn *c;
	int r;

	if (fd < 0)
		return -errno;
	if (connect(fd, (const struct sockaddr *)&address->sa, address->len) &&
	    errno != EINPROGRESS) {
		r = -errno;
		close(fd);
		return r;
	}
	r = conn_new(pool, fd, address, ops, owner, &c);
	if (r) {
		close(fd);
		return r;
	}
	c->state = CONN_CONNECTING;
	r = tls_dial(pool->tls, fd, purpose, &c->ssl);
	if (r) {
		conn_drop(c);
		return r;
	}
	loop_watch_events(pool->loop, &c->watch, EPOLLOUT);
	*ret = c;
	return 0;
}

/* ---- TLS */

static void conn_rearm(struct conn *c)
{
	/* What still comes while the rest is flushed is not read. */
	uint32_t events = c->state == CONN_FLUSHING ? 0 : EPOLLIN;

	if (c->state == CONN_DEAD)
		return;
	if (c->wants_write)
		events |= EPOLLOUT;
	loop_watch_events(c->pool->loop, &c->watch, events);
}

/*
 * Sorts out what SSL_read() and the like said: 0 to try again later, or
 * the connection has failed.
 */
static int tls_result(struct conn *c, int result)
{
	unsigned long error;
	const char *reason;

	switch (SSL_get_error(c->ssl, result)) {
	case SSL_ERROR_WANT_READ:
		return 0;
	case SSL_ERROR_WANT_WRITE:
		c->wants_write = true;
		return 0;
	case SSL_ERROR_ZERO_RETURN:
		conn_fail(c, -ECONNRESET, "closed by the peer");
		return -ECONNRESET;
	case SSL_ERROR_SYSCALL:
		conn_fail(c, -ECONNRESET, "connection lost");
		return -ECONNRESET;
	}
	error = ERR_peek_last_error();
	if (ERR_GET_REASON(error) == SSL_R_UNEXPECTED_EOF_WHILE_READING) {
		conn_fail(c, -ECONNRESET, "closed by the peer");
		return -ECONNRESET;
	}
	reason = ERR_reason_error_string(error);
	conn_fail(c, -EPROTO, reason ? reason : "TLS failed");
	return -EPROTO;
}

static void conn_handshake(struct conn *c)
{
	int result;

	ERR_clear_error();
	c->wants_write = false;
	result = SSL_do_handshake(c->ssl);
	if (result != 1) {
		tls_result(c, result);
		return;
	}
	if (tls_peer(c->ssl, &c->device) || tls_purpose(c->ssl, &c->purpose)) {
		conn_fail(c, -EPROTO, "not a kinfs peer");
		return;
	}
	c->state = CONN_OPEN;
	c->ops->ready(c, c->owner);
}

/* ---- reading */

/* Gives the owner every whole frame that is here. */
static void conn_parse(struct conn *c)
{
	size_t at = 0;

	while (c->state == CONN_OPEN && c->in.len - at >= FRAME_HEAD_BYTES) {
		uint32_t len = get_le32(c->in.data + at);
		size_t next = at + FRAME_HEAD_BYTES + len;

		if (!len || len > c->frame_max) {
			conn_fail(c, -EBADMSG, "garbled frame");
			return;
		}
		if (c->in.len < next)
			break;
		at += FRAME_HEAD_BYTES;
		c->ops->frame(c, c->owner, SLICE(c->in.data + at, len));
		at = next;
	}
	if (c->state == CONN_OPEN && at) {
		memmove(c->in.data, c->in.data + at, c->in.len - at);
		c->in.len -= at;
	}
}

static void conn_read(struct conn *c)
{
	size_t total = 0;

	/* What SSL holds already raises no event: take that in any case. */
	while (c->state == CONN_OPEN &&
	       (total < TURN_BYTES || SSL_pending(c->ssl))) {
		uint8_t *at = buf_extend(&c->in, READ_BYTES);
		int n;

		if (!at) {
			conn_fail(c, -ENOMEM, "out of memory");
			return;
		}
		ERR_clear_error();
		n = SSL_read(c->ssl, at, READ_BYTES);
		c->in.len -= READ_BYTES - (size_t)MAX_OF(n, 0);
		if (n <= 0) {
			tls_result(c, n);
			return;
		}
		total += (size_t)n;
		conn_parse(c);
		if (c->state == CONN_OPEN && c->in.len && c->ops->coming)
			c->ops->coming(c, c->owner);
	}
}

/* ---- writing */

void conn_send(struct conn *c, struct slice frames)
{
	if (c->state != CONN_OPEN)
		return;
	buf_put_slice(&c->out, frames);
	loop_job(c->pool->loop, &c->flush);
	c->ops->queued(c, c->owner, c->out.len - c->out_at);
}

/* Forgets what was written, when that is worth the move. */
static void out_compact(struct conn *c)
{
	size_t left = c->out.len - c->out_at;

	if (c->out_at < left || (left && c->out_at < WRITE_BYTES))
		return;
	if (left)
		memmove(c->out.data, c->out.data + c->out_at, left);
	c->out.len = left;
	c->out_at = 0;
}

/* Returns the bytes written, or negative when the connection is gone. */
static int64_t conn_write(struct conn *c)
{
	int64_t total = 0;

	while (c->out_at < c->out.len && total < TURN_BYTES) {
		size_t len = MIN_OF(c->out.len - c->out_at, WRITE_BYTES);
		int n;

		ERR_clear_error();
		n = SSL_write(c->ssl, c->out.data + c->out_at, (int)len);
		if (n <= 0) {
			int r = tls_result(c, n);

			return r ? r : total;
		}
		c->out_at += (size_t)n;
		total += n;
	}
	return total;
}

static void conn_linger(struct conn *c)
{
	c->state = CONN_LINGER;
	ERR_clear_error();
	SSL_shutdown(c->ssl); /* one that does not fit is no loss */
	ERR_clear_error();
	shutdown(c->watch.fd, SHUT_WR);
	c->wants_write = false;
	conn_rearm(c);
}

static void conn_flush(struct conn *c)
{
	int64_t n;

	if (buf_error(&c->out)) {
		conn_fail(c, -ENOMEM, "out of memory");
		return;
	}
	if (c->out.len - c->out_at > QUEUE_BYTES_MAX) {
		conn_fail(c, -E2BIG, "the peer takes nothing");
		return;
	}
	c->wants_write = false;
	n = conn_write(c);
	if (n < 0)
		return;
	out_compact(c);
	if (c->out_at < c->out.len && !c->wants_write)
		loop_job(c->pool->loop, &c->flush); /* others first */
	if (c->state == CONN_FLUSHING && c->out_at == c->out.len)
		conn_linger(c);
	else
		conn_rearm(c);
	if (c->state == CONN_OPEN && n > 0)
		c->ops->queued(c, c->owner, c->out.len - c->out_at);
}

static void conn_flush_job(struct loop_job *job)
{
	struct conn *c = container_of(job, struct conn, flush);

	/* Blocked: the event that the socket has room will come. */
	if (!c->wants_write)
		conn_flush(c);
}

/* ---- the end */

void conn_close(struct conn *c)
{
	if (c->state < CONN_OPEN) {
		conn_drop(c);
		return;
	}
	if (c->state != CONN_OPEN)
		return;
	c->state = CONN_FLUSHING;
	conn_rearm(c);
	loop_timer_set(c->pool->loop, &c->timer, sys_now_ms() + CLOSE_MS);
	loop_job(c->pool->loop, &c->flush);
}

/* The peer may go on sending: it is read past TLS and forgotten. */
static void conn_drain(struct conn *c)
{
	uint8_t waste[READ_BYTES];
	ssize_t n = recv(c->watch.fd, waste, sizeof(waste), 0);

	if (!n || (n < 0 && errno != EAGAIN && errno != EINTR))
		conn_drop(c);
}

static void conn_timer(struct loop_timer *t, uint64_t now_ms)
{
	struct conn *c = container_of(t, struct conn, timer);

	(void)now_ms;
	conn_fail(c, -ETIMEDOUT, c->state == CONN_OPEN ? "nothing was said" :
							 "no answer");
}

static void conn_connected(struct conn *c)
{
	socklen_t len = sizeof(int);
	int error = 0;

	if (getsockopt(c->watch.fd, SOL_SOCKET, SO_ERROR, &error, &len))
		error = errno;
	if (error) {
		conn_fail(c, -error, strerror(error));
		return;
	}
	c->state = CONN_HANDSHAKE;
}

static void conn_event(struct loop_watch *w, uint32_t events)
{
	struct conn *c = container_of(w, struct conn, watch);

	if (c->state == CONN_CONNECTING)
		conn_connected(c);
	if (c->state == CONN_HANDSHAKE)
		conn_handshake(c);
	if (c->state == CONN_OPEN || c->state == CONN_FLUSHING) {
		if (events & EPOLLOUT)
			conn_flush(c);
		if (c->state == CONN_OPEN)
			conn_read(c);
		else if (c->state == CONN_FLUSHING &&
			 events & (EPOLLERR | EPOLLHUP))
			conn_drop(c);
	} else if (c->state == CONN_LINGER) {
		conn_drain(c);
	}
	conn_rearm(c);
}

/* ---- facts */

void conn_set_deadline(struct conn *c, uint64_t at_ms)
{
	if (c->state == CONN_OPEN)
		loop_timer_set(c->pool->loop, &c->timer, at_ms);
}

void conn_set_frame_max(struct conn *c, uint32_t bytes)
{
	c->frame_max = bytes;
}

const char *conn_address(const struct conn *c)
{
	return c->address;
}

struct device conn_device(const struct conn *c)
{
	return c->device;
}

enum tls_purpose conn_purpose(const struct conn *c)
{
	return c->purpose;
}

int conn_export(struct conn *c, uint8_t ret[TLS_EXPORT_BYTES])
{
	return tls_export(c->ssl, ret);
}
