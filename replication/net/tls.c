/* SPDX-License-Identifier: Apache-2.0 */
/*
 * OpenSSL's own check of a certificate chain is replaced by ours: the one
 * certificate must hold an Ed25519 key and be signed with it. That the peer
 * has the private key is proved by the handshake itself (CertificateVerify).
 *
 * The socket is reached through a BIO of ours, because OpenSSL's writes
 * without MSG_NOSIGNAL and would raise SIGPIPE.
 */
#include "replication/net/tls.h"

#include <errno.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>

/* Bytes of a peer's certificate; ours have about 250. */
#define CERTIFICATE_BYTES_MAX 4096

#define ALPN_LINK "kinfs/1"
#define ALPN_JOIN "kinfs-join/1"
#define EXPORT_LABEL "EXPORTER-kinfs-join"

/* As TLS wants it: a length byte before each name. */
static const char alpn_link[] = "\x07" ALPN_LINK;
static const char alpn_join[] = "\x0c" ALPN_JOIN;
static const char alpn_all[] = "\x07" ALPN_LINK "\x0c" ALPN_JOIN;

/* ---- the socket */

static int bio_fd(BIO *bio)
{
	return (int)(intptr_t)BIO_get_data(bio);
}

static int bio_write(BIO *bio, const char *data, int len)
{
	ssize_t n = send(bio_fd(bio), data, (size_t)len, MSG_NOSIGNAL);

	BIO_clear_retry_flags(bio);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		BIO_set_retry_write(bio);
	return (int)n;
}

static int bio_read(BIO *bio, char *ret, int len)
{
	ssize_t n = recv(bio_fd(bio), ret, (size_t)len, 0);

	BIO_clear_retry_flags(bio);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		BIO_set_retry_read(bio);
	if (!n)
		BIO_set_flags(bio, BIO_FLAGS_IN_EOF);
	return (int)n;
}

static long bio_ctrl(BIO *bio, int cmd, long num, void *ptr)
{
	(void)num;
	(void)ptr;
	if (cmd == BIO_CTRL_EOF)
		return BIO_test_flags(bio, BIO_FLAGS_IN_EOF) != 0;
	return cmd == BIO_CTRL_FLUSH;
}

static pthread_once_t once = PTHREAD_ONCE_INIT;
static BIO_METHOD *bio_method;

static void bio_setup(void)
{
	bio_method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK,
				  "kinfs socket");
	kin_assert(bio_method && BIO_meth_set_write(bio_method, bio_write) &&
		   BIO_meth_set_read(bio_method, bio_read) &&
		   BIO_meth_set_ctrl(bio_method, bio_ctrl));
}

/* ---- contexts */

static int verify(X509_STORE_CTX *store, void *arg)
{
	X509 *x = X509_STORE_CTX_get0_cert(store);
	EVP_PKEY *key = x ? X509_get0_pubkey(x) : NULL;

	(void)arg;
	if (key && EVP_PKEY_is_a(key, "ED25519") && X509_verify(x, key) == 1)
		return 1;
	X509_STORE_CTX_set_error(store, X509_V_ERR_CERT_REJECTED);
	return 0;
}

static int choose_alpn(SSL *ssl, const uint8_t **ret, uint8_t *ret_len,
		       const uint8_t *offered, unsigned int len, void *arg)
{
	uint8_t *chosen;

	(void)ssl;
	(void)arg;
	if (SSL_select_next_proto(&chosen, ret_len, (const uint8_t *)alpn_all,
				  sizeof(alpn_all) - 1, offered, len) !=
	    OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_ALERT_FATAL;
	*ret = chosen;
	return SSL_TLSEXT_ERR_OK;
}

int tls_new(const struct identity *id, SSL_CTX **ret)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_method());

	if (!ctx)
		return -ENOMEM;
	SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET | SSL_OP_NO_COMPRESSION |
					 SSL_OP_NO_RENEGOTIATION);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE |
				      SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
				      SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER |
				SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	SSL_CTX_set_cert_verify_callback(ctx, verify, NULL);
	SSL_CTX_set_max_cert_list(ctx, CERTIFICATE_BYTES_MAX);
	SSL_CTX_set_alpn_select_cb(ctx, choose_alpn, NULL);
	if (!SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION) ||
	    !SSL_CTX_set_max_proto_version(ctx, TLS1_3_VERSION) ||
	    !SSL_CTX_set_num_tickets(ctx, 0) ||
	    !SSL_CTX_set1_sigalgs_list(ctx, "ed25519") ||
	    !SSL_CTX_set1_client_sigalgs_list(ctx, "ed25519") ||
	    !SSL_CTX_set1_groups_list(ctx, "X25519") ||
	    SSL_CTX_use_certificate(ctx, id->certificate) != 1 ||
	    SSL_CTX_use_PrivateKey(ctx, id->key) != 1) {
		SSL_CTX_free(ctx);
		return -EIO;
	}
	*ret = ctx;
	return 0;
}

/* ---- sessions */

static int session_new(SSL_CTX *ctx, int fd, SSL **ret)
{
	SSL *ssl = SSL_new(ctx);
	BIO *bio;

	pthread_once(&once, bio_setup);
	bio = BIO_new(bio_method);
	if (!ssl || !bio) {
		SSL_free(ssl);
		BIO_free(bio);
		return -ENOMEM;
	}
	BIO_set_data(bio, (void *)(intptr_t)fd);
	BIO_set_init(bio, 1);
	SSL_set_bio(ssl, bio, bio);
	*ret = ssl;
	return 0;
}

int tls_accept(SSL_CTX *ctx, int fd, SSL **ret)
{
	int r = session_new(ctx, fd, ret);

	if (!r)
		SSL_set_accept_state(*ret);
	return r;
}

int tls_dial(SSL_CTX *ctx, int fd, enum tls_purpose purpose, SSL **ret)
{
	const char *alpn = purpose == TLS_JOIN ? alpn_join : alpn_link;
	SSL *ssl;
	int r = session_new(ctx, fd, &ssl);

	if (r)
		return r;
	/* Zero is success, here alone. */
	if (SSL_set_alpn_protos(ssl, (const uint8_t *)alpn,
				(unsigned int)strlen(alpn))) {
		SSL_free(ssl);
		return -ENOMEM;
	}
	SSL_set_connect_state(ssl);
	*ret = ssl;
	return 0;
}

int tls_peer(const SSL *ssl, struct device *ret)
{
	X509 *x = SSL_get0_peer_certificate(ssl);
	EVP_PKEY *key = x ? X509_get0_pubkey(x) : NULL;
	size_t len = sizeof(ret->b);

	if (!key || !EVP_PKEY_is_a(key, "ED25519") ||
	    !EVP_PKEY_get_raw_public_key(key, ret->b, &len))
		return -EPROTO;
	return 0;
}

int tls_purpose(const SSL *ssl, enum tls_purpose *ret)
{
	const uint8_t *name;
	unsigned int len;

	SSL_get0_alpn_selected(ssl, &name, &len);
	if (slice_equal(SLICE(name, len), SLICE_STR(ALPN_LINK)))
		*ret = TLS_LINK;
	else if (slice_equal(SLICE(name, len), SLICE_STR(ALPN_JOIN)))
		*ret = TLS_JOIN;
	else
		return -EPROTO;
	return 0;
}

int tls_export(SSL *ssl, uint8_t ret[TLS_EXPORT_BYTES])
{
	return SSL_export_keying_material(ssl, ret, TLS_EXPORT_BYTES,
					  EXPORT_LABEL,
					  sizeof(EXPORT_LABEL) - 1, NULL, 0,
					  0) == 1 ? 0 : -EIO;
}
