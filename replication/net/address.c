/* SPDX-License-Identifier: Apache-2.0 */
#include "replication/net/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Splits "host:port" at its last colon; "[v6]:port" loses its brackets. */
static int split(const char *text, char host[256], char port[8])
{
	const char *colon = strrchr(text, ':');
	size_t len = colon ? (size_t)(colon - text) : 0;

	if (!len || strlen(colon + 1) > 5 ||
	    colon[1 + strspn(colon + 1, "0123456789")] || !colon[1])
		return -EINVAL;
	if (*text == '[') {
		if (len < 3 || text[len - 1] != ']')
			return -EINVAL;
		text++;
		len -= 2;
	} else if (memchr(text, ':', len)) {
		return -EINVAL; /* IPv6 without brackets is ambiguous */
	}
	if (len >= 256)
		return -EINVAL;
	memcpy(host, text, len);
	host[len] = '\0';
	strcpy(port, colon + 1);
	return 0;
}

int address_parse(const char *text, enum address_names names,
		  struct address *ret)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM,
				  .ai_flags = AI_NUMERICSERV };
	struct addrinfo *found;
	char host[256], port[8];
	int r = split(text, host, port);

	if (r)
		return r;
	if (strtoul(port, NULL, 10) > UINT16_MAX)
		return -EINVAL;
	if (names == ADDRESS_NUMERIC)
		hints.ai_flags |= AI_NUMERICHOST;
	if (getaddrinfo(host, port, &hints, &found))
		return -EINVAL;
	*ret = (struct address){ .len = found->ai_addrlen };
	memcpy(&ret->sa, found->ai_addr, found->ai_addrlen);
	freeaddrinfo(found);
	return 0;
}

bool address_is_ipv6(const struct address *a)
{
	return a->sa.ss_family == AF_INET6;
}

static struct in6_addr *v6(const struct address *a)
{
	return &((struct sockaddr_in6 *)(void *)&a->sa)->sin6_addr;
}

static struct in_addr *v4(const struct address *a)
{
	return &((struct sockaddr_in *)(void *)&a->sa)->sin_addr;
}

uint16_t address_port(const struct address *a)
{
	if (address_is_ipv6(a))
		return ntohs(((const struct sockaddr_in6 *)&a->sa)->sin6_port);
	return ntohs(((const struct sockaddr_in *)&a->sa)->sin_port);
}

void address_set_port(struct address *a, uint16_t port)
{
	if (address_is_ipv6(a))
		((struct sockaddr_in6 *)&a->sa)->sin6_port = htons(port);
	else
		((struct sockaddr_in *)&a->sa)->sin_port = htons(port);
}

void address_format(const struct address *a, char ret[ADDRESS_TEXT_BYTES])
{
	char host[48];

	/* A dual-stack socket calls IPv4 peers ::ffff:192.0.2.1. */
	if (address_is_ipv6(a) && !IN6_IS_ADDR_V4MAPPED(v6(a))) {
		inet_ntop(AF_INET6, v6(a), host, sizeof(host));
		snprintf(ret, ADDRESS_TEXT_BYTES, "[%s]:%u", host,
			 address_port(a));
		return;
	}
	inet_ntop(AF_INET,
		  address_is_ipv6(a) ? (void *)&v6(a)->s6_addr[12]
				     : (void *)v4(a), host, sizeof(host));
	snprintf(ret, ADDRESS_TEXT_BYTES, "%s:%u", host, address_port(a));
}

bool address_is_any(const struct address *a)
{
	return address_is_ipv6(a) ? IN6_IS_ADDR_UNSPECIFIED(v6(a))
				  : v4(a)->s_addr == htonl(INADDR_ANY);
}

/* Can a machine elsewhere use it? Link-local ones need a scope. */
static bool is_useful(const struct address *a)
{
	if (address_is_ipv6(a))
		return !IN6_IS_ADDR_LOOPBACK(v6(a)) &&
		       !IN6_IS_ADDR_LINKLOCAL(v6(a)) &&
		       !IN6_IS_ADDR_MULTICAST(v6(a));
	return ntohl(v4(a)->s_addr) >> 24 != 127 &&
	       ntohl(v4(a)->s_addr) >> 16 != 0xa9fe;
}

/* Addresses of one family of the interfaces that are up. */
static size_t interfaces(sa_family_t family, const struct ifaddrs *all,
			 struct address *ret, size_t max)
{
	size_t n = 0;

	for (; all && n < max; all = all->ifa_next) {
		struct address a = { .len = family == AF_INET6 ?
			sizeof(struct sockaddr_in6) :
			sizeof(struct sockaddr_in) };

		if (!all->ifa_addr || all->ifa_addr->sa_family != family ||
		    (all->ifa_flags & (IFF_UP | IFF_RUNNING)) !=
			    (IFF_UP | IFF_RUNNING))
			continue;
		memcpy(&a.sa, all->ifa_addr, a.len);
		if (is_useful(&a))
			ret[n++] = a;
	}
	return n;
}

size_t address_reachable(const struct address *bound,
			 struct address ret[ADDRESSES_MAX])
{
	struct address found[2][ADDRESSES_MAX];
	size_t count[2] = { 0, 0 }, n = 0;
	struct ifaddrs *all;

	if (!address_is_any(bound)) {
		ret[0] = *bound;
		return 1;
	}
	if (!getifaddrs(&all)) {
		count[0] = interfaces(AF_INET, all, found[0], ADDRESSES_MAX);
		if (address_is_ipv6(bound))
			count[1] = interfaces(AF_INET6, all, found[1],
					      ADDRESSES_MAX);
		freeifaddrs(all);
	}
	for (size_t i = 0; i < ADDRESSES_MAX; i++)
		for (int f = 0; f < 2; f++)
			if (i < count[f] && n < ADDRESSES_MAX - 1)
				ret[n++] = found[f][i];
	kin_assert(!address_parse("127.0.0.1:0", ADDRESS_NUMERIC, &ret[n++]));
	for (size_t i = 0; i < n; i++)
		address_set_port(&ret[i], address_port(bound));
	return n;
}

bool address_next(struct slice *list, char ret[ADDRESS_TEXT_BYTES])
{
	while (list->len) {
		const uint8_t *end = memchr(list->data, ' ', list->len);
		size_t len = end ? (size_t)(end - list->data) : list->len;
		size_t skip = end ? len + 1 : len;

		if (len && len < ADDRESS_TEXT_BYTES &&
		    !memchr(list->data, 0, len)) {
			memcpy(ret, list->data, len);
			ret[len] = '\0';
			list->data += skip;
			list->len -= skip;
			return true;
		}
		list->data += skip;
		list->len -= skip;
	}
	return false;
}
