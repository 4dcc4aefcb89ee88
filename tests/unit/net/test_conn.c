/* SPDX-License-Identifier: Apache-2.0 */
/* Framed TLS: what arrives, what is refused, and how it ends. */
#include "tests/unit/net/net_support.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fs/base/limits.h"
#include "replication/net/sys.h"

static void connect_pair(struct net_pair *p)
{
	net_pair_init(p);
	net_turn_until(&p->loop, &p->client.ready);
	net_turn_until(&p->loop, &p->server.ready);
}

static void turn_until_closed(struct net_pair *p, struct net_end *e)
{
	uint64_t until_ms = sys_now_ms() + 15000;

	while (e->conn) {
		assert_true(sys_now_ms() < until_ms);
		loop_turn(&p->loop, sys_now_ms() + 20);
	}
}

static void turn_until_frames(struct net_pair *p, struct net_end *e, int n)
{
	uint64_t until_ms = sys_now_ms() + 15000;

	while (e->frames < n) {
		assert_true(sys_now_ms() < until_ms);
		loop_turn(&p->loop, sys_now_ms() + 20);
	}
}

static void test_keys_and_export(void **state)
{
	uint8_t a[TLS_EXPORT_BYTES], b[TLS_EXPORT_BYTES];
	struct device device;
	struct net_pair p;

	(void)state;
	connect_pair(&p);
	device = conn_device(p.client.conn);
	assert_true(device_equal(&device, &p.server.identity.device));
	device = conn_device(p.server.conn);
	assert_true(device_equal(&device, &p.client.identity.device));
	assert_int_equal(conn_purpose(p.server.conn), TLS_LINK);
	assert_int_equal(conn_export(p.client.conn, a), 0);
	assert_int_equal(conn_export(p.server.conn, b), 0);
	assert_memory_equal(a, b, sizeof(a));
	net_pair_release(&p);
}

static void test_frames(void **state)
{
	cleanup(buf_release) struct buf b = BUF_INIT;
	struct net_pair p;

	(void)state;
	connect_pair(&p);
	for (int i = 0; i < 1000; i++)
		net_frame(&b, (uint8_t)i, "hello", 5);
	conn_send(p.client.conn, buf_slice(&b));
	assert_int_equal(p.client.queued, b.len);
	turn_until_frames(&p, &p.server, 1000);
	assert_int_equal(p.server.last.data[0], (uint8_t)999);
	assert_int_equal(p.server.last.len, 6);
	assert_int_equal(p.client.queued, 0);
	net_pair_release(&p);
}

/* The largest frame, many times, both ways at once. */
static void test_large_frames(void **state)
{
	cleanup(buf_release) struct buf b = BUF_INIT;
	uint8_t *body = calloc(1, FRAME_BYTES_MAX);
	struct net_pair p;

	(void)state;
	connect_pair(&p);
	conn_set_frame_max(p.server.conn, FRAME_BYTES_MAX);
	conn_set_frame_max(p.client.conn, FRAME_BYTES_MAX);
	for (size_t i = 0; i < FRAME_BYTES_MAX; i++)
		body[i] = (uint8_t)(i * 7 + i / 251);
	net_frame(&b, 9, body, FRAME_BYTES_MAX - 1);
	for (int i = 0; i < 8; i++) {
		conn_send(p.client.conn, buf_slice(&b));
		conn_send(p.server.conn, buf_slice(&b));
	}
	turn_until_frames(&p, &p.server, 8);
	turn_until_frames(&p, &p.client, 8);
	assert_int_equal(p.server.last.len, FRAME_BYTES_MAX);
	assert_memory_equal(p.server.last.data + 1, body, FRAME_BYTES_MAX - 1);
	assert_memory_equal(p.client.last.data + 1, body, FRAME_BYTES_MAX - 1);
	free(body);
	net_pair_release(&p);
}

static void expect_garbled(uint32_t len, uint32_t frame_max)
{
	cleanup(buf_release) struct buf b = BUF_INIT;
	struct net_pair p;

	connect_pair(&p);
	conn_set_frame_max(p.server.conn, frame_max);
	buf_put_u32(&b, len);
	buf_put_u8(&b, 1);
	conn_send(p.client.conn, buf_slice(&b));
	turn_until_closed(&p, &p.server);
	assert_int_equal(p.server.error, -EBADMSG);
	assert_int_equal(p.server.frames, 0);
	turn_until_closed(&p, &p.client);
	assert_int_equal(p.client.error, -ECONNRESET);
	net_pair_release(&p);
}

static void test_garbled(void **state)
{
	(void)state;
	expect_garbled(0, FRAME_BYTES_MAX);
	expect_garbled(FRAME_BYTES_MAX + 1, FRAME_BYTES_MAX);
	expect_garbled(UINT32_MAX, FRAME_BYTES_MAX);
	expect_garbled(CONN_STRANGER_FRAME_MAX + 1, CONN_STRANGER_FRAME_MAX);
}

/* Half a frame, then the end: no frame, no hang. */
static void test_truncated(void **state)
{
	cleanup(buf_release) struct buf b = BUF_INIT;
	struct net_pair p;

	(void)state;
	connect_pair(&p);
	buf_put_u32(&b, 100);
	buf_put(&b, "half", 4);
	conn_send(p.client.conn, buf_slice(&b));
	net_turn_for(&p.loop, 50);
	conn_drop(p.client.conn);
	p.client.conn = NULL;
	turn_until_closed(&p, &p.server);
	assert_int_equal(p.server.error, -ECONNRESET);
	assert_int_equal(p.server.frames, 0);
	net_pair_release(&p);
}

/* The owner hears of a frame that comes slowly, a byte at a time; and of a
 * whole one as a frame only. */
static void test_slow_frame(void **state)
{
	cleanup(buf_release) struct buf b = BUF_INIT;
	uint64_t until_ms = sys_now_ms() + 15000;
	struct net_pair p;

	(void)state;
	connect_pair(&p);
	net_frame(&b, 1, "whole", 5);
	conn_send(p.client.conn, buf_slice(&b));
	turn_until_frames(&p, &p.server, 1);
	assert_int_equal(p.server.coming, 0);
	for (size_t i = 0; i < b.len; i++) {
		conn_send(p.client.conn, SLICE(b.data + i, 1));
		while (p.server.coming + (p.server.frames - 1) <= (int)i) {
			assert_true(sys_now_ms() < until_ms);
			loop_turn(&p.loop, sys_now_ms() + 20);
		}
	}
	assert_int_equal(p.server.coming, (int)b.len - 1);
	assert_int_equal(p.server.frames, 2);
	net_pair_release(&p);
}

/* What was queued before conn_close() arrives, also while the other side
 * is sending, and the socket ends. */
static void test_close_flushes(void **state)
{
	cleanup(buf_release) struct buf b = BUF_INIT;
	struct net_pair p;

	(void)state;
	connect_pair(&p);
	for (int i = 0; i < 300; i++)
		net_frame(&b, (uint8_t)i, "bye", 3);
	conn_send(p.client.conn, buf_slice(&b));
	conn_send(p.server.conn, buf_slice(&b));
	conn_close(p.client.conn);
	p.client.conn = NULL;
	turn_until_closed(&p, &p.server);
	assert_int_equal(p.server.frames, 300);
	assert_int_equal(p.server.error, -ECONNRESET);
	net_turn_for(&p.loop, 50);
	assert_int_equal(p.client.pool.count, 0);
	net_pair_release(&p);
}

/* The owner ends it while it is being given frames. */
static void test_close_in_frame(void **state)
{
	cleanup(buf_release) struct buf b = BUF_INIT;
	struct net_pair p;

	(void)state;
	connect_pair(&p);
	p.server.close_at_frame = true;
	for (int i = 0; i < 10; i++)
		net_frame(&b, 1, "x", 1);
	conn_send(p.client.conn, buf_slice(&b));
	turn_until_closed(&p, &p.client);
	assert_int_equal(p.server.frames, 1);
	net_pair_release(&p);
}

/* A peer that reads nothing cannot make the queue grow without end. */
static void test_queue_is_bounded(void **state)
{
	cleanup(buf_release) struct buf b = BUF_INIT;
	static uint8_t body[FRAME_BYTES_MAX - 1];
	struct net_pair p;

	(void)state;
	connect_pair(&p);
	net_frame(&b, 1, body, sizeof(body));
	for (int i = 0; i < 80; i++)
		conn_send(p.client.conn, buf_slice(&b));
	turn_until_closed(&p, &p.client);
	assert_int_equal(p.client.error, -E2BIG);
	net_pair_release(&p);
}

static void test_deadline(void **state)
{
	struct net_pair p;

	(void)state;
	connect_pair(&p);
	conn_set_deadline(p.server.conn, sys_now_ms() + 30);
	turn_until_closed(&p, &p.server);
	assert_int_equal(p.server.error, -ETIMEDOUT);
	net_pair_release(&p);
}

/* ---- peers that are not kinfs */

static void raw_send(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL),
			 strlen(text));
}

static void test_not_tls(void **state)
{
	struct net_pair p;
	int fd;

	(void)state;
	fd = net_pair_init_raw(&p);
	raw_send(fd, "GET / HTTP/1.1\r\nHost: example\r\n\r\n");
	turn_until_closed(&p, &p.server);
	assert_int_equal(p.server.error, -EPROTO);
	assert_false(p.server.ready);
	close(fd);
	net_pair_release(&p);
}

struct other_client {
	int version;		/* 0: any */
	const char *key_type;	/* NULL: no certificate */
	bool foreign_signature;
	const char *alpn;	/* with its length byte; NULL: none */
};

static X509 *other_certificate(EVP_PKEY *key, EVP_PKEY *signer)
{
	X509 *x = X509_new();

	ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
	X509_gmtime_adj(X509_getm_notBefore(x), 0);
	X509_gmtime_adj(X509_getm_notAfter(x), 3600);
	X509_set_pubkey(x, key);
	assert_true(X509_sign(x, signer, EVP_PKEY_is_a(signer, "ED25519") ?
						 NULL : EVP_sha256()) > 0);
	return x;
}

static SSL_CTX *other_context(const struct other_client *o)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_method());
	EVP_PKEY *key, *signer;
	X509 *x;

	if (o->version)
		SSL_CTX_set_max_proto_version(ctx, o->version);
	if (!o->key_type)
		return ctx;
	key = !strcmp(o->key_type, "EC") ?
		      EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256") :
		      EVP_PKEY_Q_keygen(NULL, NULL, o->key_type);
	signer = o->foreign_signature ?
			 EVP_PKEY_Q_keygen(NULL, NULL, "ED25519") : key;
	x = other_certificate(key, signer);
	assert_int_equal(SSL_CTX_use_certificate(ctx, x), 1);
	assert_int_equal(SSL_CTX_use_PrivateKey(ctx, key), 1);
	X509_free(x);
	if (signer != key)
		EVP_PKEY_free(signer);
	EVP_PKEY_free(key);
	return ctx;
}

/* Shakes hands by hand, until the server accepts or refuses. */
static void shake(const struct other_client *o, struct net_pair *p)
{
	SSL_CTX *ctx = other_context(o);
	SSL *ssl = SSL_new(ctx);
	uint64_t until_ms = sys_now_ms() + 15000;
	int fd = net_pair_init_raw(p);

	SSL_set_fd(ssl, fd);
	if (o->alpn)
		SSL_set_alpn_protos(ssl, (const uint8_t *)o->alpn,
				    (unsigned int)strlen(o->alpn));
	while (p->server.conn && !p->server.ready) {
		assert_true(sys_now_ms() < until_ms);
		ERR_clear_error();
		SSL_connect(ssl);
		loop_turn(&p->loop, sys_now_ms() + 5);
	}
	SSL_free(ssl);
	SSL_CTX_free(ctx);
	close(fd);
}

#define ALPN "\x07kinfs/1"

static void test_strangers(void **state)
{
	static const struct other_client good = { 0, "ED25519", false, ALPN };
	static const struct other_client bad[] = {
		{ TLS1_2_VERSION, "ED25519", false, ALPN },
		{ 0, NULL, false, ALPN },
		{ 0, "EC", false, ALPN },
		{ 0, "ED25519", true, ALPN },
		{ 0, "ED25519", false, NULL },
		{ 0, "ED25519", false, "\x02h2" },
	};
	struct net_pair p;

	(void)state;
	shake(&good, &p);
	assert_true(p.server.ready);
	net_pair_release(&p);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		shake(&bad[i], &p);
		assert_false(p.server.ready);
		assert_int_equal(p.server.error, -EPROTO);
		net_pair_release(&p);
	}
}

static void test_refused_address(void **state)
{
	struct net_pair p;
	struct address a;
	int fd;

	(void)state;
	fd = net_pair_init_raw(&p);
	/* Port 1 of loopback: nobody is there. */
	assert_int_equal(address_parse("127.0.0.1:1", ADDRESS_NUMERIC, &a), 0);
	assert_int_equal(conn_dial(&p.client.pool, &a, TLS_LINK, &net_ops,
				   &p.client, &p.client.conn), 0);
	turn_until_closed(&p, &p.client);
	assert_int_equal(p.client.error, -ECONNREFUSED);
	close(fd);
	net_pair_release(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_keys_and_export),
		cmocka_unit_test(test_frames),
		cmocka_unit_test(test_large_frames),
		cmocka_unit_test(test_garbled),
		cmocka_unit_test(test_truncated),
		cmocka_unit_test(test_slow_frame),
		cmocka_unit_test(test_close_flushes),
		cmocka_unit_test(test_close_in_frame),
		cmocka_unit_test(test_queue_is_bounded),
		cmocka_unit_test(test_deadline),
		cmocka_unit_test(test_not_tls),
		cmocka_unit_test(test_strangers),
		cmocka_unit_test(test_refused_address),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
