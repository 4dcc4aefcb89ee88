/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One link. Both sides send HELLO; whose HELLO fits is greeted with MEMBERS
 * and STATUS; whose own STATUS row came is ready for streams. There is no
 * other state to set up, so nothing is negotiated after a restart.
 *
 * A link fails as a whole: BYE, close, and the next one starts from what
 * each side knows. A failed peer stays in the array, marked dead, until no
 * caller can hold a pointer to it.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/base/log.h"
#include "replication/core/core_internal.h"

struct peer *peer_find(struct core *c, link_id link)
{
	for (size_t i = 0; i < c->peer_count; i++)
		if (!c->peers[i]->dead && c->peers[i]->link == link)
			return c->peers[i];
	return NULL;
}

struct peer *peer_by_tag(struct core *c, uint64_t tag)
{
	for (size_t i = 0; i < c->peer_count; i++)
		if (!c->peers[i]->dead && c->peers[i]->tag == tag)
			return c->peers[i];
	return NULL;
}

struct peer *peer_of(struct core *c, const struct device *device)
{
	for (size_t i = 0; i < c->peer_count; i++)
		if (!c->peers[i]->dead &&
		    device_equal(&c->peers[i]->device, device))
			return c->peers[i];
	return NULL;
}

struct status *peer_status(struct core *c, struct peer *p)
{
	return status_of(c, &p->device);
}

const char *peer_label(struct core *c, const struct peer *p)
{
	struct member_entry *e = members_find(&c->members, &p->device);

	return e ? e->label : "?";
}

/* ---- sending and failing */

void peer_send(struct core *c, struct peer *p)
{
	int r = frame_end(&c->frame);

	if (p->dead)
		return;
	if (r < 0) {
		core_fail(c, r, "cannot encode a frame");
		return;
	}
	p->queued += c->frame.len;
	p->sent_ms = c->now_ms;
	c->counters.bytes_sent += c->frame.len;
	c->env.send(c->env.arg, p->link, buf_slice(&c->frame));
}

/* Nobody may use it any more but to free it. */
static void peer_gone(struct core *c, struct peer *p)
{
	struct member_entry *e = members_find(&c->members, &p->device);

	p->dead = true;
	pull_end(c, p);
	want_peer_gone(c, p);
	if (e)
		e->heard_ms = p->heard_ms;
	if (!c->failure && remember_save(c) < 0)
		log_warn("cannot remember what peers have");
}

static void peer_close(struct core *c, struct peer *p, const char *why)
{
	peer_gone(c, p);
	c->env.close(c->env.arg, p->link, why);
}

/* What a peer can make happen again and again is logged now and then. */
static bool fault_may_log(struct core *c)
{
	if (c->fault_log_ms && c->now_ms - c->fault_log_ms < FAULT_LOG_MS)
		return false;
	c->fault_log_ms = c->now_ms;
	return true;
}

void peer_fail(struct core *c, struct peer *p, enum bye_code code,
	       const char *why)
{
	struct bye bye = {.code = (uint16_t)code};

	if (p->dead)
		return;
	if (fault_may_log(c))
		log_warn("closing the link to '%s': %s", peer_label(c, p), why);
	snprintf(bye.text, sizeof(bye.text), "%s", why);
	frame_begin(&c->frame, FRAME_BYE);
	bye_encode(&bye, &c->frame);
	if (!c->frame.failed)
		peer_send(c, p);
	peer_close(c, p, why);
}

void peer_fail_errno(struct core *c, struct peer *p, int r, const char *what)
{
	char text[BYE_TEXT_MAX + 1];

	if (r == -EBADMSG || r == -EPROTO) {
		snprintf(text, sizeof(text), "bad %s", what);
		peer_fail(c, p, BYE_PROTOCOL, text);
		return;
	}
	if (r == -ENOTUNIQ) {
		peer_fail(c, p, BYE_FORK, "a history with two branches");
		return;
	}
	if (r == -E2BIG) {
		snprintf(text, sizeof(text), "%s over its limit", what);
		peer_fail(c, p, BYE_LOCAL, text);
		return;
	}
	snprintf(text, sizeof(text), "cannot take %s: %s", what,
		 strerrordesc_np(-r));
	peer_fail(c, p, BYE_LOCAL, text);
	/* (without room it would be sent again, in vain, at once) */
	if (r == -ENOMEM || store_failure(c->store) < 0 || core_passes(c, r))
		core_fail(c, r, what);
}

/* ---- up and down */

static unsigned int peer_free_slot(const struct core *c)
{
	for (unsigned int slot = 0;; slot++) {
		bool used = false;

		for (size_t i = 0; i < c->peer_count; i++)
			used |= c->peers[i]->slot == slot;
		if (!used)
			return slot;
	}
}

static void peer_hello(struct core *c, struct peer *p)
{
	struct hello h;

	hello_init(&h);
	h.volume = c->members.volume;
	h.device = c->self;
	h.origin = c->origin;
	store_lock(c->store);
	h.wall_ms = replica_hlc(c->tree) >> 16;
	store_unlock(c->store);
	frame_begin(&c->frame, FRAME_HELLO);
	hello_encode(&h, &c->frame);
	peer_send(c, p);
}

int core_link_up(struct core *c, uint64_t now_ms, link_id link,
		 const struct device *device)
{
	struct peer **peers, *p;

	c->now_ms = now_ms;
	if (c->failure)
		return c->failure;
	if (!members_has(&c->members, device) ||
	    core_is_removed(c, &c->self) ||
	    device_equal(device, &c->self))
		return -EACCES;
	if (peer_of(c, device) || peer_find(c, link))
		return -EALREADY;
	peers_reap(c);
	peers = realloc(c->peers, (c->peer_count + 1) * sizeof(*peers));
	if (!peers)
		return -ENOMEM;
	c->peers = peers;
	p = calloc(1, sizeof(*p));
	if (!p)
		return -ENOMEM;
	p->link = link;
	p->device = *device;
	p->tag = get_le64(device->b);
	if (!p->tag)
		p->tag = 1;
	p->slot = peer_free_slot(c);
	p->heard_ms = now_ms;
	c->peers[c->peer_count++] = p;
	peer_hello(c, p);
	return 0;
}

void core_link_down(struct core *c, uint64_t now_ms, link_id link)
{
	struct peer *p = peer_find(c, link);

	c->now_ms = now_ms;
	if (!p)
		return;
	peer_gone(c, p);
	peers_reap(c);
}

void core_link_queued(struct core *c, link_id link, size_t bytes)
{
	struct peer *p = peer_find(c, link);

	if (p)
		p->queued = bytes;
}

static void peer_free(struct peer *p)
{
	push_release(p);
	pull_release(p);
	proof_release(p);
	free(p);
}

void peers_reap(struct core *c)
{
	size_t kept = 0;

	for (size_t i = 0; i < c->peer_count; i++) {
		if (c->peers[i]->dead)
			peer_free(c->peers[i]);
		else
			c->peers[kept++] = c->peers[i];
	}
	c->peer_count = kept;
}

/* ---- frames */

static int peer_got_hello(struct core *c, struct peer *p, struct reader *r)
{
	struct hello theirs, mine;
	struct member_entry *e2;
	int64_t skew_ms;
	int e;

	if (p->phase != PEER_HELLO)
		return -EPROTO;
	e = hello_decode(r, &theirs);
	if (e < 0)
		return e;
	hello_init(&mine);
	mine.volume = c->members.volume;
	mine.origin = c->origin;
	e = hello_refuse(&mine, &theirs);
	if (!e && !device_equal(&theirs.device, &p->device))
		e = BYE_DEVICE;
	/* One of the two must give way; both would, if one had no link. */
	if (e == BYE_FORK && !apply_is_busy(c) &&
	    device_compare(&c->self, &p->device) < 0)
		return fork_reincarnate(c, CAUSE_TWIN);
	if (e) {
		static const char *const why[] = {
			[BYE_VERSION] = "no common protocol version: "
					"upgrade the older kinfs",
			[BYE_VOLUME] = "it serves another volume",
			[BYE_DEVICE] = "its hello names another key",
			[BYE_FORMAT] = "other hash or chunk constants",
			[BYE_FORK] = "its store is a copy of this one",
		};

		peer_fail(c, p, (enum bye_code)e, why[e]);
		return 0;
	}
	store_lock(c->store);
	mine.wall_ms = replica_hlc(c->tree) >> 16;
	store_unlock(c->store);
	skew_ms = (int64_t)(theirs.wall_ms - mine.wall_ms);
	if (skew_ms > SKEW_WARN_MS || skew_ms < -SKEW_WARN_MS)
		log_warn("the clock of '%s' is %lld minutes off",
			 peer_label(c, p), (long long)skew_ms / 60000);
	e2 = members_find(&c->members, &p->device);
	if (e2) {
		e2->skew_ms = skew_ms;
		e2->skew_known = true;
	}
	p->origin = theirs.origin;
	p->phase = PEER_STATUS;
	/* First: it is to be known when our status lets streams begin. */
	e = pull_send_resume(c, p);
	if (e == 0)
		gossip_greet(c, p);
	return e;
}

static int peer_got_bye(struct core *c, struct peer *p, struct reader *r)
{
	struct bye bye;
	int e = bye_decode(r, &bye);

	if (e < 0)
		return e;
	if (bye.code != BYE_CLOSING && fault_may_log(c))
		log_warn("'%s' closes the link: %s", peer_label(c, p),
			 bye.text);
	peer_close(c, p, bye.text);
	return 0;
}

static int peer_got_ping(struct core *c, struct peer *p, struct reader *r)
{
	uint64_t echo = reader_u64(r);

	if (reader_ok(r) < 0)
		return -EBADMSG;
	frame_begin(&c->frame, FRAME_PONG);
	buf_put_u64(&c->frame, echo);
	peer_send(c, p);
	return 0;
}

static int peer_dispatch(struct core *c, struct peer *p, uint8_t type,
			 struct reader *r)
{
	if (type == FRAME_BYE)
		return peer_got_bye(c, p, r);
	if (type == FRAME_HELLO)
		return peer_got_hello(c, p, r);
	if (p->phase == PEER_HELLO)
		return -EPROTO;
	switch (type) {
	case FRAME_MEMBERS:
		return gossip_members(c, p, r);
	case FRAME_STATUS:
		return gossip_status(c, p, r);
	case FRAME_PING:
		return peer_got_ping(c, p, r);
	case FRAME_PONG:
		return 0;
	case FRAME_RESUME:
		return push_resume(c, p, r);
	}
	/* What follows needs the peer's row. */
	if (p->phase == PEER_STATUS)
		return -EPROTO;
	switch (type) {
	case FRAME_ASK:
		return fork_asked(c, p, r);
	case FRAME_TELL:
		return fork_told(c, p, r);
	case FRAME_HEAD:
		return heartbeat_frame(c, p, r);
	}
	/* It may not have seen the difference, and go on for a while. */
	if (p->phase == PEER_FORKED)
		return 0;
	switch (type) {
	case FRAME_PULL:
		return push_asked(c, p, r);
	case FRAME_STREAM:
		return pull_stream(c, p, r);
	case FRAME_REC:
		return pull_rec(c, p, r);
	case FRAME_MARKS:
		return pull_marks(c, p, r);
	case FRAME_CUT:
		return pull_cut(c, p, r);
	case FRAME_WANT:
		return want_asked(c, p, r);
	case FRAME_CHUNK:
		return want_chunk(c, p, r);
	case FRAME_NOHAVE:
		return want_nohave(c, p, r);
	case FRAME_VERIFY:
		return proof_verify(c, p, r);
	case FRAME_SUMS:
		return locate_answer(c, p, r);
	}
	return -EPROTO;
}

static const char *frame_name(uint8_t type)
{
	static const char *const names[] = {
		"frame", "HELLO", "MEMBERS", "STATUS", "PULL", "REC", "CUT",
		"WANT",	 "CHUNK", "NOHAVE",  "PING",   "PONG", "BYE",
		"VERIFY", "SUMS",
		"STREAM", "RESUME",
	};

	return type < ARRAY_SIZE(names) ? names[type] : "frame";
}

void core_receive(struct core *c, uint64_t now_ms, link_id link,
		  struct slice frame)
{
	struct peer *p = peer_find(c, link);
	struct reader r = READER(frame.data, frame.len);
	uint8_t type;
	int e;

	c->now_ms = now_ms;
	if (!p)
		return;
	p->heard_ms = now_ms;
	heard_exchange(c, &p->device);
	c->counters.bytes_received += frame.len + 4;
	type = reader_u8(&r);
	e = frame.len > FRAME_BYTES_MAX ? -E2BIG
					: peer_dispatch(c, p, type, &r);
	if (e < 0)
		peer_fail_errno(c, p, e, frame_name(type));
}

/* ---- liveness */

/* A chunk may take longer on its way than a link may be silent. */
void core_link_coming(struct core *c, uint64_t now_ms, link_id link)
{
	struct peer *p = peer_find(c, link);

	c->now_ms = now_ms;
	if (!p)
		return;
	p->heard_ms = now_ms;
	p->wants_progress_ms = now_ms;
	p->pull.progress_ms = now_ms;
}

void peers_tick(struct core *c)
{
	for (size_t i = 0; i < c->peer_count; i++) {
		struct peer *p = c->peers[i];

		if (p->dead)
			continue;
		if (c->now_ms >= p->heard_ms + DEAD_MS) {
			peer_fail(c, p, BYE_TIMEOUT, "nothing heard");
			continue;
		}
		if (p->phase != PEER_HELLO &&
		    c->now_ms >= p->sent_ms + PING_MS) {
			frame_begin(&c->frame, FRAME_PING);
			buf_put_u64(&c->frame, c->now_ms);
			peer_send(c, p);
		}
		core_due(c, p->heard_ms + DEAD_MS);
		if (p->phase != PEER_HELLO)
			core_due(c, p->sent_ms + PING_MS);
	}
}
