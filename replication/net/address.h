/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Network addresses as text: "192.0.2.1:7000" or "[2001:db8::1]:7000",
 * numbers only. Lists of them are separated by spaces.
 */
#ifndef KINFS_NET_ADDRESS_H
#define KINFS_NET_ADDRESS_H

#include <sys/socket.h>

#include "fs/base/bytes.h"

/* Bytes of one address as text, with its NUL: 45 + brackets + port. */
#define ADDRESS_TEXT_BYTES 64
/* Addresses of one node that are told to others. */
#define ADDRESSES_MAX 4

struct address {
	struct sockaddr_storage sa;
	socklen_t len;
};

enum address_names {
	ADDRESS_NUMERIC,
	ADDRESS_RESOLVE,	/* host names too; may block */
};

/* Errors: -EINVAL. */
must_check int address_parse(const char *text, enum address_names,
			     struct address *ret);
void address_format(const struct address *, char ret[ADDRESS_TEXT_BYTES]);
uint16_t address_port(const struct address *);
void address_set_port(struct address *, uint16_t);
/* Bound to all interfaces? */
bool address_is_any(const struct address *);
bool address_is_ipv6(const struct address *);

/*
 * Where others may reach a socket bound to this address: itself, or
 * addresses of the interfaces that are up: at most three, IPv4 and IPv6 in
 * turn, not link-local, and loopback last, for nodes on one machine.
 */
size_t address_reachable(const struct address *bound,
			 struct address ret[ADDRESSES_MAX]);

/*
 * Takes the next address off a list; skips what is too long. False at the
 * end.
 */
bool address_next(struct slice *list, char ret[ADDRESS_TEXT_BYTES]);

#endif
