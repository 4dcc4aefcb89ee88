/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/net/net_support.h"

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fs/base/log.h"
#include "replication/net/sys.h"

#define PATIENCE_MS 15000

/* ---- directories and keys */

void net_dir_init(struct net_dir *d)
{
	strcpy(d->path, access("/dev/shm", W_OK) ? "/tmp/kin-net-XXXXXX" :
						   "/dev/shm/kin-net-XXXXXX");
	assert_non_null(mkdtemp(d->path));
}

static int remove_one(const char *path, const struct stat *st, int type,
		      struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

void net_dir_release(struct net_dir *d)
{
	assert_int_equal(nftw(d->path, remove_one, 16, FTW_DEPTH | FTW_PHYS),
			 0);
}

const char *net_dir_file(const struct net_dir *d, const char *name)
{
	static char buffers[4][256];
	static unsigned int next;
	char *at = buffers[next++ % 4];

	snprintf(at, sizeof(buffers[0]), "%s/%s", d->path, name);
	return at;
}

void net_identity_init(struct identity *id)
{
	cleanup(buf_release) struct buf why = BUF_INIT;
	struct net_dir dir;

	net_dir_init(&dir);
	assert_int_equal(identity_open(dir.path, &why, id), 0);
	net_dir_release(&dir);
}

/* ---- a pair */

static void on_ready(struct conn *c, void *owner)
{
	struct net_end *e = owner;

	e->ready = true;
	conn_set_deadline(c, LOOP_NEVER);
}

static void on_frame(struct conn *c, void *owner, struct slice frame)
{
	struct net_end *e = owner;

	e->frames++;
	buf_reset(&e->last);
	buf_put_slice(&e->last, frame);
	if (e->close_at_frame) {
		conn_close(c);
		e->conn = NULL;
	}
}

static void on_coming(struct conn *c, void *owner)
{
	struct net_end *e = owner;

	(void)c;
	e->coming++;
}

static void on_queued(struct conn *c, void *owner, size_t bytes)
{
	struct net_end *e = owner;

	(void)c;
	e->queued = bytes;
}

static void on_closed(struct conn *c, void *owner, int error, const char *why)
{
	struct net_end *e = owner;

	assert_ptr_equal(c, e->conn);
	e->conn = NULL;
	e->error = error;
	snprintf(e->why, sizeof(e->why), "%s", why);
}

const struct conn_ops net_ops = { on_ready, on_frame, on_coming, on_queued,
				  on_closed };

static void end_init(struct net_end *e, struct loop *loop)
{
	memset(e, 0, sizeof(*e));
	buf_init(&e->last);
	net_identity_init(&e->identity);
	assert_int_equal(conn_pool_init(&e->pool, loop, &e->identity), 0);
}

static void end_release(struct net_end *e)
{
	conn_pool_release(&e->pool);
	identity_close(&e->identity);
	buf_release(&e->last);
}

static void sockets(int fd[2], int flags)
{
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC |
						     flags, 0, fd), 0);
}

int net_pair_init_raw(struct net_pair *p)
{
	int fd[2];

	assert_int_equal(loop_init(&p->loop), 0);
	end_init(&p->server, &p->loop);
	end_init(&p->client, &p->loop);
	sockets(fd, SOCK_NONBLOCK);
	assert_int_equal(conn_accept(&p->server.pool, fd[0], NULL, &net_ops,
				     &p->server, &p->server.conn), 0);
	return fd[1];
}

/* conn_dial() wants an address, so this one goes over loopback. */
void net_pair_init(struct net_pair *p)
{
	struct address a;
	int listener, fd;

	assert_int_equal(loop_init(&p->loop), 0);
	end_init(&p->server, &p->loop);
	end_init(&p->client, &p->loop);
	assert_int_equal(address_parse("127.0.0.1:0", ADDRESS_NUMERIC, &a), 0);
	listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(listener, (struct sockaddr *)&a.sa, a.len), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&a.sa,
				     &a.len), 0);
	assert_int_equal(conn_dial(&p->client.pool, &a, TLS_LINK, &net_ops,
				   &p->client, &p->client.conn), 0);
	fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	assert_true(fd >= 0);
	close(listener);
	assert_int_equal(conn_accept(&p->server.pool, fd, &a, &net_ops,
				     &p->server, &p->server.conn), 0);
}

void net_pair_release(struct net_pair *p)
{
	end_release(&p->server);
	end_release(&p->client);
	loop_release(&p->loop);
}

void net_turn_until(struct loop *loop, const bool *flag)
{
	uint64_t until_ms = sys_now_ms() + PATIENCE_MS;

	while (!*flag) {
		assert_true(sys_now_ms() < until_ms);
		loop_turn(loop, sys_now_ms() + 20);
	}
}

void net_turn_for(struct loop *loop, uint64_t ms)
{
	uint64_t until_ms = sys_now_ms() + ms;

	while (sys_now_ms() < until_ms)
		loop_turn(loop, until_ms);
}

void net_frame(struct buf *b, uint8_t type, const void *body, size_t len)
{
	buf_put_u32(b, (uint32_t)(len + 1));
	buf_put_u8(b, type);
	buf_put(b, body, len);
}
