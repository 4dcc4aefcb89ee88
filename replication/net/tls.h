/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS as kinfs uses it: 1.3 only, both sides with an Ed25519 key in a
 * self-signed certificate, no sessions, no names, no dates, no CA. A
 * handshake proves which key the peer has; what that key may do is for the
 * caller to judge.
 *
 * What a connection is for is said by ALPN: a link between members, or a
 * newcomer's request to join.
 */
#ifndef KINFS_NET_TLS_H
#define KINFS_NET_TLS_H

#include <openssl/ssl.h>

#include "replication/net/identity.h"

enum tls_purpose { TLS_LINK, TLS_JOIN };

/* Bytes of the exporter value that binds a proof to one connection. */
#define TLS_EXPORT_BYTES 32

/* For connections of either side; the identity is borrowed. */
must_check int tls_new(const struct identity *, SSL_CTX **ret);
/* A session over a connected, non-blocking socket, which is borrowed. */
must_check int tls_accept(SSL_CTX *, int fd, SSL **ret);
must_check int tls_dial(SSL_CTX *, int fd, enum tls_purpose, SSL **ret);

/* After the handshake. */
must_check int tls_peer(const SSL *, struct device *ret);
must_check int tls_purpose(const SSL *, enum tls_purpose *ret);
/* Errors: -EIO. */
must_check int tls_export(SSL *, uint8_t ret[TLS_EXPORT_BYTES]);

#endif
