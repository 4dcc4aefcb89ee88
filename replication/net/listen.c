/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where this node listens. What the user asked for is kept, and is an error
 * when it cannot be had again. A port that was chosen here is kept too, so
 * that others find us where we were, but given up when somebody else has it.
 * In a daemon that takes over a mount in use it is no error: the mount goes
 * on, we call the others, and try again until they can call us.
 *
 * Netlink says when an interface gets or loses an address: then the others
 * are told our new addresses, and it is a good moment to call them.
 */
#include <errno.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <netinet/in.h>
#include <unistd.h>

#include "fs/base/log.h"
#include "replication/net/agent_internal.h"
#include "replication/net/sys.h"

#define BACKLOG 64
/* Until accept is tried again when there are no descriptors left. */
#define RETRY_MS 1000
/* Until an address is tried again that cannot be had. */
#define BIND_RETRY_MS 5000

#define EXPLICIT "explicit "
#define AUTOMATIC "auto "

/* ---- choosing and binding */

static int bind_to(const struct address *a, int *ret)
{
	autoclose int fd = socket(a->sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC |
						   SOCK_NONBLOCK, 0);
	int on = 1, off = 0;

	if (fd < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)))
		return -errno;
	if (address_is_ipv6(a) && address_is_any(a) &&
	    setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off)))
		return -errno;
	if (bind(fd, (const struct sockaddr *)&a->sa, a->len) ||
	    listen(fd, BACKLOG))
		return -errno;
	*ret = fd;
	fd = -1;
	return 0;
}

/* What the store remembers; false: nothing that can be used. */
static bool remembered(struct agent *a, char ret[ADDRESS_TEXT_BYTES],
		       bool *ret_automatic)
{
	cleanup(buf_release) struct buf b = BUF_INIT;
	const char *text;

	if (meta_get(a->store, META_LISTEN, &b))
		return false;
	buf_put_u8(&b, 0);
	if (buf_error(&b))
		return false;
	text = (const char *)b.data;
	if (!strncmp(text, AUTOMATIC, strlen(AUTOMATIC)))
		*ret_automatic = true;
	else if (!strncmp(text, EXPLICIT, strlen(EXPLICIT)))
		*ret_automatic = false;
	else
		return false;
	text = strchr(text, ' ') + 1;
	snprintf(ret, ADDRESS_TEXT_BYTES, "%s", text);
	return true;
}

static int remember(struct agent *a, bool automatic)
{
	cleanup(buf_release) struct buf b = BUF_INIT, old = BUF_INIT;

	buf_printf(&b, "%s%s", automatic ? AUTOMATIC : EXPLICIT,
		   a->listener.text);
	if (buf_error(&b))
		return -ENOMEM;
	if (!meta_get(a->store, META_LISTEN, &old) &&
	    slice_equal(buf_slice(&old), buf_slice(&b)))
		return 0;
	return meta_put(a->store, META_LISTEN, buf_slice(&b));
}

struct choice {
	struct address address;
	bool automatic;		/* the port may be another */
};

static int choose(struct agent *a, const char *wanted, struct buf *why,
		  struct choice *ret)
{
	char text[ADDRESS_TEXT_BYTES];
	struct choice old;
	bool have = remembered(a, text, &old.automatic) &&
		    !address_parse(text, ADDRESS_NUMERIC, &old.address);

	if (!wanted) {
		ret->automatic = true;
		if (have)
			*ret = old;
		else
			kin_assert(!address_parse("[::]:0", ADDRESS_NUMERIC,
						  &ret->address));
		return 0;
	}
	if (address_parse(wanted, ADDRESS_RESOLVE, &ret->address)) {
		buf_printf(why, "\"%s\" is not an address to listen on; it is "
			   "ADDR:PORT, as 192.0.2.1:7000 or [::1]:7000",
			   wanted);
		return -EINVAL;
	}
	ret->automatic = !address_port(&ret->address);
	/* Port 0 on the same interface: the one of the last time. */
	if (ret->automatic && have && old.automatic) {
		address_set_port(&ret->address, address_port(&old.address));
		if (memcmp(&ret->address, &old.address, sizeof(old.address)))
			address_set_port(&ret->address, 0);
	}
	return 0;
}

static int bind_choice(struct choice *c, int *ret)
{
	int r = bind_to(&c->address, ret);

	if (!c->automatic || !r)
		return r;
	if (r == -EADDRINUSE || r == -EACCES) {
		address_set_port(&c->address, 0);
		r = bind_to(&c->address, ret);
	}
	/* A kernel without IPv6. */
	if (r && address_is_ipv6(&c->address) && address_is_any(&c->address)) {
		kin_assert(!address_parse("0.0.0.0:0", ADDRESS_NUMERIC,
					  &c->address));
		r = bind_to(&c->address, ret);
	}
	return r;
}

static void explain(const struct address *a, int error, struct buf *why)
{
	char text[ADDRESS_TEXT_BYTES];

	address_format(a, text);
	if (error == -EADDRINUSE)
		buf_printf(why, "%s is in use by another program; stop it, or "
			   "choose another with --listen ADDR:PORT", text);
	else if (error == -EADDRNOTAVAIL)
		buf_printf(why, "%s is no address of this machine; choose one "
			   "with --listen ADDR:PORT", text);
	else
		buf_printf(why, "cannot listen on %s: %s", text,
			   strerror(-error));
}

/* ---- this node's addresses, for others */

static bool addresses_update(struct agent *a)
{
	struct address found[ADDRESSES_MAX];
	size_t n = address_reachable(&a->listener.bound, found);
	cleanup(buf_release) struct buf b = BUF_INIT;
	struct buf old;

	for (size_t i = 0; i < n; i++) {
		char text[ADDRESS_TEXT_BYTES];

		address_format(&found[i], text);
		buf_printf(&b, "%s%s", i ? " " : "", text);
	}
	if (buf_error(&b) ||
	    slice_equal(buf_slice(&b), buf_slice(&a->addresses)))
		return false;
	old = a->addresses;
	a->addresses = b;
	b = old;
	return true;
}

static void netlink_event(struct loop_watch *w, uint32_t events)
{
	struct agent *a = container_of(w, struct agent, listener.netlink);
	uint64_t now_ms = sys_now_ms();
	char waste[8192];

	(void)events;
	while (recv(w->fd, waste, sizeof(waste), MSG_DONTWAIT) > 0)
		;
	if (!addresses_update(a))
		return;
	core_set_addresses(a->core, now_ms, buf_slice(&a->addresses));
	dialer_reset(&a->dialer, now_ms);
}

/* Without it all works, but a new address is told at the next start only. */
static void netlink_open(struct agent *a)
{
	struct sockaddr_nl sa = {
		.nl_family = AF_NETLINK,
		.nl_groups = RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR,
	};
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK,
			NETLINK_ROUTE);

	if (fd < 0)
		return;
	if (bind(fd, (struct sockaddr *)&sa, sizeof(sa)) ||
	    loop_watch(&a->loop, &a->listener.netlink, fd, EPOLLIN))
		close(fd);
}

/* ---- accepting */

static void accept_event(struct loop_watch *w, uint32_t events)
{
	struct agent *a = container_of(w, struct agent, listener.watch);
	struct address peer = { .len = sizeof(peer.sa) };
	int fd = accept4(w->fd, (struct sockaddr *)&peer.sa, &peer.len,
			 SOCK_CLOEXEC | SOCK_NONBLOCK);

	(void)events;
	if (fd >= 0) {
		link_accept(a, fd, &peer);
		return;
	}
	if (errno == EMFILE || errno == ENFILE || errno == ENOMEM ||
	    errno == ENOBUFS) {
		log_warn("cannot accept a connection: %s", strerror(errno));
		loop_watch_events(&a->loop, w, 0);
		loop_timer_set(&a->loop, &a->listener.retry,
			       sys_now_ms() + RETRY_MS);
	}
}

static void accept_retry(struct loop_timer *t, uint64_t now_ms)
{
	struct agent *a = container_of(t, struct agent, listener.retry);

	(void)now_ms;
	loop_watch_events(&a->loop, &a->listener.watch, EPOLLIN);
}

/* Takes what was bound. */
static int listen_on(struct agent *a, int fd)
{
	struct listener *l = &a->listener;
	int r;

	l->bound.len = sizeof(l->bound.sa);
	r = getsockname(fd, (struct sockaddr *)&l->bound.sa, &l->bound.len) ?
		    -errno : loop_watch(&a->loop, &l->watch, fd, EPOLLIN);
	if (r) {
		close(fd);
		return r;
	}
	address_format(&l->bound, l->text);
	netlink_open(a);
	addresses_update(a);
	return 0;
}

static void bind_again(struct loop_timer *t, uint64_t now_ms)
{
	struct agent *a = container_of(t, struct agent, listener.bind);
	int fd, r = bind_to(&a->listener.wanted, &fd);

	if (!r)
		r = listen_on(a, fd);
	if (r) {
		loop_timer_set(&a->loop, t, now_ms + BIND_RETRY_MS);
		return;
	}
	log_info("listening on %s again", a->listener.text);
	core_set_addresses(a->core, now_ms, buf_slice(&a->addresses));
}

int listener_open(struct agent *a, const char *wanted, struct buf *why)
{
	struct choice choice = { .automatic = false };
	int r = choose(a, wanted, why, &choice), fd;

	if (r)
		return r;
	r = bind_choice(&choice, &fd);
	if (r)
		explain(&choice.address, r, why);
	if (r && a->taken_over) {
		log_error("%.*s; other nodes cannot call this one until then",
			  (int)why->len, (const char *)why->data);
		buf_reset(why);
		a->listener.wanted = choice.address;
		loop_timer_set(&a->loop, &a->listener.bind,
			       sys_now_ms() + BIND_RETRY_MS);
		return 0;
	}
	if (!r)
		r = listen_on(a, fd);
	return r ? r : remember(a, choice.automatic);
}

static void close_watch(struct agent *a, struct loop_watch *w)
{
	int fd = w->fd;

	loop_unwatch(&a->loop, w);
	if (fd >= 0)
		close(fd);
}

void listener_init(struct agent *a)
{
	a->listener.watch = (struct loop_watch){ .fd = -1,
						 .fn = accept_event };
	a->listener.netlink = (struct loop_watch){ .fd = -1,
						   .fn = netlink_event };
	a->listener.retry.fn = accept_retry;
	a->listener.bind.fn = bind_again;
}

void listener_close(struct agent *a)
{
	loop_timer_set(&a->loop, &a->listener.retry, LOOP_NEVER);
	loop_timer_set(&a->loop, &a->listener.bind, LOOP_NEVER);
	close_watch(a, &a->listener.watch);
	close_watch(a, &a->listener.netlink);
}
