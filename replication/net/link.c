/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections and who they are with. TLS says which key the other side has;
 * here that key is judged: a member's connection becomes a link of the core,
 * a stranger may say one JOIN on a connection made for it, everything else
 * is closed with a sentence in BYE.
 *
 * Two members may call each other at the same moment. Both sides then keep
 * the call of the one with the smaller key, so exactly one survives. An old
 * link is worth less than a new call, though: whoever calls believes the old
 * one to be dead, and knows better than we do.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fs/base/log.h"
#include "replication/net/agent_internal.h"
#include "replication/net/sys.h"

/* Calls so close to each other were made without knowing of each other. */
#define CROSSING_MS 5000
/* A link that came up may last so long before the same node may replace it. */
#define TURN_MS 2000
/* For a stranger, from the first byte to JOIN. */
#define JOIN_WAIT_MS 10000

static const struct conn_ops link_ops;

/* ---- life */

static struct link *link_new(struct agent *a)
{
	struct link *l = calloc(1, sizeof(*l));

	if (!l)
		return NULL;
	l->agent = a;
	LIST_INSERT_HEAD(&a->links, l, entry);
	return l;
}

static uint32_t chance(void)
{
	uint32_t n;

	sys_random(&n, sizeof(n));
	return n;
}

static const char *label_of(struct link *l)
{
	const struct core_peer_status *p = agent_peer(l->agent, &l->device);

	return p ? p->label : "?";
}

/* The dialer learns how it went, and the link is forgotten. */
static void link_forget(struct link *l)
{
	struct agent *a = l->agent;
	uint64_t now_ms = sys_now_ms();
	struct dial_peer *p = l->peer;

	if (p && p->call == l)
		p->call = NULL;
	if (l->up_ms)
		p = dialer_find(&a->dialer, &l->device);
	if (p && l->up_ms && now_ms - l->up_ms >= LINK_GOOD_MS)
		dial_lost(p, now_ms, chance());
	else if (p)
		dial_failed(p, now_ms, chance());
	LIST_REMOVE(l, entry);
	free(l);
}

struct link *link_by_id(struct agent *a, link_id id)
{
	struct link *l;

	LIST_FOREACH (l, &a->links, entry)
		if (l->id == id)
			return l;
	return NULL;
}

struct link *link_to(struct agent *a, const struct device *device)
{
	struct link *l;

	LIST_FOREACH (l, &a->links, entry)
		if (l->id && device_equal(&l->device, device))
			return l;
	return NULL;
}

void link_log_stranger(struct link *l, const char *what)
{
	const char *address = conn_address(l->conn);

	if (ratelimit_allow(&l->agent->log_limit, address, sys_now_ms()))
		log_warn("\"%s\": %s", address, what);
}

static void say_bye(struct link *l, uint16_t code, const char *text)
{
	cleanup(buf_release) struct buf b = BUF_INIT;
	struct bye bye = { .code = code };

	strncpy(bye.text, text, sizeof(bye.text) - 1);
	frame_begin(&b, FRAME_BYE);
	bye_encode(&bye, &b);
	if (!frame_end(&b))
		conn_send(l->conn, buf_slice(&b));
}

static void link_is_down(struct link *l, link_id id)
{
	l->agent->watched.stale = true;
	core_link_down(l->agent->core, sys_now_ms(), id);
}

void link_close(struct link *l, uint16_t bye_code, const char *text)
{
	link_id id = l->id;

	say_bye(l, bye_code, text);
	conn_close(l->conn);
	l->id = 0;
	if (id)
		link_is_down(l, id);
	link_forget(l);
}

void link_finish(struct link *l)
{
	conn_close(l->conn);
	link_forget(l);
}

void links_close_all(struct agent *a, uint16_t bye_code, const char *text)
{
	while (!LIST_EMPTY(&a->links))
		link_close(LIST_FIRST(&a->links), bye_code, text);
}

void link_end_by_core(struct link *l, const char *why)
{
	log_info("link to \"%s\" ends: %s", label_of(l), why);
	l->id = 0;
	link_finish(l);
}

/* Without a word: the other side has another link, or is ourselves. */
static void link_drop(struct link *l)
{
	link_id id = l->id;

	conn_drop(l->conn);
	l->id = 0;
	if (id)
		link_is_down(l, id);
	link_forget(l);
}

/* ---- judging */

static bool is_wanted(struct agent *a, const struct device *device)
{
	const struct core_peer_status *p = agent_peer(a, device);

	if (!a->only_peers)
		return true;
	for (char **label = a->only_peers; p && *label; label++)
		if (!strcmp(*label, p->label))
			return true;
	return false;
}

/* Does the new connection take the place of the old link? */
static bool supersedes(const struct link *l, const struct link *old)
{
	const struct device *self = &l->agent->identity->device;
	bool self_is_smaller = device_compare(self, &l->device) < 0;
	uint64_t age_ms = sys_now_ms() - old->up_ms;

	/* They called again: the old one is dead, or two have one key. Then
	 * each has its turn: who always comes at once would never let the
	 * other say anything. */
	if (l->dialed == old->dialed)
		return !l->dialed && age_ms >= TURN_MS;
	if (age_ms > CROSSING_MS)
		return !l->dialed;
	return l->dialed == self_is_smaller;
}

static void link_up(struct link *l)
{
	struct agent *a = l->agent;
	struct link *old = link_to(a, &l->device);
	uint64_t now_ms = sys_now_ms();
	link_id id;
	int r;

	if (old && !supersedes(l, old)) {
		link_drop(l);
		return;
	}
	if (old)
		link_drop(old);
	conn_set_deadline(l->conn, LOOP_NEVER);
	conn_set_frame_max(l->conn, FRAME_BYTES_MAX);
	if (!++a->last_link)
		++a->last_link;
	l->id = id = a->last_link;
	l->up_ms = now_ms;
	a->watched.stale = true;
	log_info("linked to \"%s\" at %s", label_of(l), conn_address(l->conn));
	r = core_link_up(a->core, now_ms, id, &l->device);
	/* The core may have ended it already: then it is no more. */
	if (!r || link_by_id(a, id) != l)
		return;
	log_errno(r, "link to \"%s\"", label_of(l));
	l->id = 0;
	link_drop(l);
}

static void judge_member(struct link *l)
{
	struct agent *a = l->agent;

	if (core_is_removed(a->core, &l->device)) {
		link_log_stranger(l, "was removed from this volume");
		link_close(l, BYE_REMOVED, "removed from the volume");
	} else if (!core_is_member(a->core, &l->device)) {
		link_log_stranger(l, "is not a member of this volume");
		link_close(l, BYE_NOT_MEMBER, "not a member of this volume");
	} else if (!is_wanted(a, &l->device)) {
		link_close(l, BYE_NOT_WANTED,
			   "this node exchanges with chosen members only");
	} else {
		link_up(l);
	}
}

static void judge_dialed(struct link *l)
{
	struct agent *a = l->agent;

	/* An address is often somebody else's by now; no cause for alarm. */
	if (!device_equal(&l->device, &l->peer->device)) {
		log_debug("\"%s\" has another key than expected", l->target);
		link_drop(l);
		return;
	}
	if (core_is_member(a->core, &l->device))
		link_up(l);
	else
		link_drop(l);
}

static void on_ready(struct conn *c, void *owner)
{
	struct link *l = owner;
	struct agent *a = l->agent;

	l->device = conn_device(c);
	if (device_equal(&l->device, &a->identity->device)) {
		if (l->dialed)
			dialer_note_self(&a->dialer, l->target);
		link_drop(l);
	} else if (a->paused) {
		link_close(l, BYE_PAUSED, "this node is paused");
	} else if (l->dialed) {
		judge_dialed(l);
	} else if (conn_purpose(c) == TLS_JOIN) {
		conn_set_deadline(c, sys_now_ms() + JOIN_WAIT_MS);
	} else {
		judge_member(l);
	}
}

static void on_frame(struct conn *c, void *owner, struct slice frame)
{
	struct link *l = owner;

	(void)c;
	if (l->id) {
		/* It may end the link: nothing of `l` after it. */
		core_receive(l->agent->core, sys_now_ms(), l->id, frame);
		return;
	}
	agent_admit(l, frame);
}

static void on_coming(struct conn *c, void *owner)
{
	struct link *l = owner;

	(void)c;
	if (l->id)
		core_link_coming(l->agent->core, sys_now_ms(), l->id);
}

static void on_queued(struct conn *c, void *owner, size_t bytes)
{
	struct link *l = owner;

	(void)c;
	if (!l->id)
		return;
	core_link_queued(l->agent->core, l->id, bytes);
	/* The core may go on with what it held back: a tick before sleep. */
	loop_poke(&l->agent->loop);
}

static void on_closed(struct conn *c, void *owner, int error, const char *why)
{
	struct link *l = owner;
	link_id id = l->id;

	(void)c;
	if (id) {
		log_info("link to \"%s\" is down: %s", label_of(l), why);
		l->id = 0;
		link_is_down(l, id);
	} else if (!l->dialed && error != -ECONNRESET) {
		link_log_stranger(l, why);
	}
	link_forget(l);
}

static const struct conn_ops link_ops = { on_ready, on_frame, on_coming,
					  on_queued, on_closed };

/* ---- accepting and calling */

static size_t strangers(struct agent *a)
{
	struct link *l;
	size_t n = 0;

	LIST_FOREACH (l, &a->links, entry)
		n += !l->dialed && !l->id;
	return n;
}

void link_accept(struct agent *a, int fd, const struct address *address)
{
	bool full = strangers(a) >= STRANGERS_MAX;
	struct link *l = a->paused || full ? NULL : link_new(a);

	if (!l) {
		close(fd);
		return;
	}
	if (conn_accept(&a->pool, fd, address, &link_ops, l, &l->conn)) {
		LIST_REMOVE(l, entry);
		free(l);
	}
}

static void dial(struct agent *a, struct dial_peer *p, const char *target,
		 uint64_t now_ms)
{
	struct address address;
	struct link *l = link_new(a);

	if (!l || address_parse(target, ADDRESS_NUMERIC, &address) ||
	    conn_dial(&a->pool, &address, TLS_LINK, &link_ops, l, &l->conn)) {
		if (l) {
			LIST_REMOVE(l, entry);
			free(l);
		}
		dial_failed(p, now_ms, chance());
		return;
	}
	strncpy(l->target, target, sizeof(l->target) - 1);
	l->dialed = true;
	l->peer = p;
	p->call = l;
}

uint64_t links_dial(struct agent *a, uint64_t now_ms)
{
	uint64_t next_ms = LOOP_NEVER;
	struct dial_peer *p;

	if (a->paused)
		return LOOP_NEVER;
	LIST_FOREACH (p, &a->dialer.peers, entry) {
		const char *target;

		if (p->call || link_to(a, &p->device) ||
		    !is_wanted(a, &p->device))
			continue;
		target = dial_next(&a->dialer, p);
		if (!target)
			continue;
		if (p->at_ms <= now_ms)
			dial(a, p, target, now_ms);
		if (!p->call)
			next_ms = MIN_OF(next_ms, p->at_ms);
	}
	return next_ms;
}

/* What its invitation said of a member that has not told it itself. */
static void addresses_of_invitation(struct agent *a,
				    const struct device *device,
				    struct buf *ret)
{
	char key[sizeof(META_DIAL) + 2 * sizeof(device->b)] = META_DIAL;

	hex_encode(device->b, sizeof(device->b), key + strlen(META_DIAL));
	if (meta_get(a->store, key, ret))
		buf_reset(ret);
}

void links_refresh(struct agent *a, uint64_t now_ms)
{
	cleanup(buf_release) struct buf b = BUF_INIT;
	size_t n = agent_peers(a);

	for (size_t i = 0; i < n; i++) {
		const struct core_peer_status *p = &a->peers[i];
		struct slice list = SLICE_STR(p->addresses);

		if (!list.len) {
			addresses_of_invitation(a, &p->device, &b);
			list = buf_slice(&b);
		}
		if (dialer_set(&a->dialer, &p->device, list, now_ms))
			log_errno(-ENOMEM, "addresses of \"%s\"", p->label);
	}
}
