/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The agent's thread: events of the loop go into the core, and what the core
 * asks for goes out through the connections. A turn is: tell the core what
 * happened locally, let it do what is due, call members, look at `wait`s,
 * then write what is queued and sleep until something happens.
 */
#include "replication/net/agent.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/base/log.h"
#include "fs/base/thread.h"
#include "replication/net/agent_internal.h"
#include "replication/net/sys.h"

/* For the peers to get what is queued when the daemon ends. */
#define STOP_MS 1000

/* Between two looks at what local programs changed: each of their writes
 * tells us, and to be woken by each costs them more than the write itself.
 * Less than the core waits for more of it (SETTLE_MS). */
#define CHANGED_PAUSE_MS 5

/* ---- the core's environment */

static void env_send(void *arg, link_id id, struct slice frame)
{
	struct link *l = link_by_id(arg, id);

	if (l)
		conn_send(l->conn, frame);
}

static void env_close(void *arg, link_id id, const char *why)
{
	struct link *l = link_by_id(arg, id);

	if (l)
		link_end_by_core(l, why);
}

static void env_members_changed(void *arg)
{
	struct agent *a = arg;

	a->members_stale = true;
}

static void env_random(void *arg, void *ret, size_t len)
{
	(void)arg;
	sys_random(ret, len);
}

static int env_sign(void *arg, struct slice message, uint8_t ret[64])
{
	struct agent *a = arg;

	return identity_sign(a->identity, message, ret);
}

/* ---- facts and small acts */

size_t agent_peers(struct agent *a)
{
	a->peer_count = core_peers(a->core, a->peers, MEMBERS_MAX);
	return a->peer_count;
}

const struct core_peer_status *agent_peer(struct agent *a,
					  const struct device *device)
{
	for (size_t i = 0; i < a->peer_count; i++)
		if (device_equal(&a->peers[i].device, device))
			return &a->peers[i];
	return NULL;
}

int agent_pause(struct agent *a)
{
	int r;

	if (a->paused)
		return 0;
	r = meta_put(a->store, META_PAUSED, SLICE_STR("1"));
	if (r)
		return r;
	a->paused = true;
	links_close_all(a, BYE_PAUSED, "this node is paused");
	log_info("paused: no exchange with peers");
	return 0;
}

int agent_resume(struct agent *a)
{
	int r;

	if (!a->paused)
		return 0;
	r = meta_delete(a->store, META_PAUSED);
	if (r)
		return r;
	a->paused = false;
	dialer_reset(&a->dialer, sys_now_ms());
	log_info("resumed");
	return 0;
}

/* ---- the thread */

static void tell_core(struct agent *a, uint64_t now_ms)
{
	uint64_t shown = atomic_load(&a->shown);

	if (now_ms >= a->changed_due_ms &&
	    atomic_exchange(&a->changed, false)) {
		a->changed_due_ms = now_ms + CHANGED_PAUSE_MS;
		core_local_change(a->core, now_ms);
		if (a->handlers)
			handlers_poke(a->handlers);
	}
	if (atomic_exchange(&a->wanted, false))
		core_wanted(a->core, now_ms);
	if (shown > a->shown_told) {
		a->shown_told = shown;
		core_shown(a->core, now_ms, shown);
		agent_handlers_shown(a);
	}
}

/* Returns when there is something to do again. */
static uint64_t agent_tick(struct agent *a)
{
	uint64_t now_ms = sys_now_ms(), next_ms;

	tell_core(a, now_ms);
	next_ms = core_tick(a->core, now_ms);
	if (atomic_load(&a->changed))
		next_ms = min_u64(next_ms, a->changed_due_ms);
	if (a->members_stale) {
		a->members_stale = false;
		links_refresh(a, now_ms);
	}
	next_ms = min_u64(next_ms, links_dial(a, now_ms));
	agent_waits_poll(a, now_ms);
	agent_verifies_poll(a, now_ms);
	agent_check_poll(a, now_ms);
	agent_runs_poll(a);
	agent_looks_poll(a);
	agent_shows_poll(a, now_ms);
	next_ms = min_u64(next_ms, agent_hook_tests_poll(a, now_ms));
	next_ms = min_u64(next_ms, agent_handlers_tick(a, now_ms));
	return min_u64(next_ms, acks_poll(a, now_ms));
}

static void *agent_run(void *arg)
{
	struct agent *a = arg;
	uint64_t until_ms;

	while (!atomic_load(&a->stopping))
		loop_turn(&a->loop, agent_tick(a));
	until_ms = sys_now_ms() + STOP_MS;
	agent_waits_release(a);
	agent_verifies_release(a);
	agent_check_release(a);
	agent_runs_release(a);
	agent_hook_tests_release(a);
	agent_looks_release(a);
	agent_shows_release(a);
	control_flush(a->control);
	a->paused = true; /* nobody new */
	links_close_all(a, BYE_CLOSING, "this node stops");
	while (a->pool.count && sys_now_ms() < until_ms)
		loop_turn(&a->loop, until_ms);
	return NULL;
}

static int start_threads(struct agent *a)
{
	int r = settle_start(&a->settle, a->tree, &a->loop);

	return r ? r : thread_start(&a->thread, agent_run, a);
}

/* ---- life */

static void agent_free(struct agent *a)
{
	agent_handlers_stop(a);
	settle_stop(&a->settle);
	control_close(a->control);
	while (!LIST_EMPTY(&a->links)) {
		struct link *l = LIST_FIRST(&a->links);

		LIST_REMOVE(l, entry);
		free(l);
	}
	conn_pool_release(&a->pool);
	if (a->loop.epoll >= 0)
		listener_close(a);
	core_free(a->core);
	loop_release(&a->loop);
	dialer_release(&a->dialer);
	buf_release(&a->addresses);
	free(a->peers);
	for (char **label = a->only_peers; label && *label; label++)
		free(*label);
	acks_release(a);
	free(a->only_peers);
	free(a->control_path);
	free(a->mountpoint);
	free(a->hooks_folder);
	free(a);
}

static int copy_labels(struct agent *a, const char *const *labels)
{
	size_t n = 0;

	if (!labels)
		return 0;
	while (labels[n])
		n++;
	a->only_peers = calloc(n + 1, sizeof(*a->only_peers));
	for (size_t i = 0; a->only_peers && i < n; i++) {
		a->only_peers[i] = strdup(labels[i]);
		if (!a->only_peers[i])
			return -ENOMEM;
	}
	return a->only_peers ? 0 : -ENOMEM;
}

static int agent_new(const struct agent_options *o, struct agent **ret)
{
	struct agent *a = calloc(1, sizeof(*a));

	if (!a)
		return -ENOMEM;
	a->tree = o->tree;
	a->store = tree_store(o->tree);
	a->identity = o->identity;
	a->has_mount = o->has_mount;
	a->stop = o->stop;
	a->leave = o->leave;
	a->stop_arg = o->stop_arg;
	a->supervisor = o->supervisor;
	a->taken_over = o->taken_over;
	a->loop.epoll = -1;
	LIST_INIT(&a->links);
	LIST_INIT(&a->waits);
	LIST_INIT(&a->verifies);
	LIST_INIT(&a->shows);
	LIST_INIT(&a->runs);
	LIST_INIT(&a->hook_tests);
	LIST_INIT(&a->looks);
	acks_init(a);
	listener_init(a);
	dialer_init(&a->dialer);
	buf_init(&a->addresses);
	a->control_path = strdup(o->control_path);
	a->mountpoint = strdup(o->mountpoint ? o->mountpoint : "");
	a->hooks_folder = o->hooks_folder ? strdup(o->hooks_folder) : NULL;
	a->peers = calloc(MEMBERS_MAX, sizeof(*a->peers));
	if (!a->control_path || !a->mountpoint || !a->peers ||
	    (o->hooks_folder && !a->hooks_folder) ||
	    copy_labels(a, o->only_peers)) {
		agent_free(a);
		return -ENOMEM;
	}
	*ret = a;
	return 0;
}

/* As asked, and remembered; else as remembered; else 0. */
static int read_lapse(struct agent *a, unsigned int days)
{
	cleanup(buf_release) struct buf b = BUF_INIT;
	uint8_t value[4];
	int r = 0;

	if (days) {
		put_le32(value, days);
		r = meta_put(a->store, META_LAPSE, SLICE(value, 4));
	} else {
		r = meta_get(a->store, META_LAPSE, &b);
		if (!r)
			days = b.len == 4 ? get_le32(b.data) : 0;
		else if (r == -ENOENT)
			r = 0;
	}
	a->lapse_after_ms = days * 24ull * 60 * 60 * 1000;
	return r;
}

static int open_core(struct agent *a)
{
	struct core_options co = {
		.tree = a->tree,
		.env = {
			.arg = a,
			.send = env_send,
			.close = env_close,
			.members_changed = env_members_changed,
			.random = env_random,
			.sign = env_sign,
		},
		.device = a->identity->device,
		.addresses = buf_slice(&a->addresses),
		.has_mount = a->has_mount,
		.heartbeat_ms = CORE_HEARTBEAT_MS,
		.lapse_after_ms = a->lapse_after_ms,
	};

	a->members_stale = true;
	return core_new(&co, sys_now_ms(), &a->core);
}

static int read_paused(struct agent *a)
{
	cleanup(buf_release) struct buf b = BUF_INIT;
	int r = meta_get(a->store, META_PAUSED, &b);

	a->paused = !r;
	return r == -ENOENT ? 0 : r;
}

static int agent_open(struct agent *a, const struct agent_options *o,
		      struct buf *why)
{
	int r = loop_init(&a->loop);

	if (!r)
		r = read_paused(a);
	if (!r)
		r = read_lapse(a, o->lapse_days);
	if (!r)
		r = agent_keep(a, &o->keep);
	if (!r)
		r = conn_pool_init(&a->pool, &a->loop, a->identity);
	if (!r)
		r = listener_open(a, o->listen, why);
	if (!r)
		r = open_core(a);
	if (!r)
		r = control_open(&a->loop, a->control_path,
				 &agent_control_ops, a, why, &a->control);
	if (!r)
		r = agent_handlers_start(a, o, why);
	return r ? r : start_threads(a);
}

int agent_start(const struct agent_options *o, struct buf *why,
		struct agent **ret)
{
	struct agent *a;
	int r = agent_new(o, &a);

	if (r)
		return r;
	r = agent_open(a, o, why);
	if (r) {
		if (!why->len)
			buf_printf(why, "cannot start the exchange with "
				   "peers: %s", strerror(-r));
		agent_free(a);
		return r;
	}
	if (*a->listener.text)
		log_info("listening on %s%s", a->listener.text,
			 a->paused ? ", paused" : "");
	*ret = a;
	return 0;
}

void agent_stop(struct agent *a)
{
	if (!a)
		return;
	atomic_store(&a->stopping, true);
	loop_wake(&a->loop);
	pthread_join(a->thread, NULL);
	agent_free(a);
}

/* ---- from other threads */

void agent_changed(struct agent *a)
{
	if (!atomic_exchange(&a->changed, true))
		loop_wake(&a->loop);
}

void agent_wanted(struct agent *a)
{
	if (!atomic_exchange(&a->wanted, true))
		loop_wake(&a->loop);
}

void agent_shown(struct agent *a, uint64_t lseq)
{
	uint64_t old = atomic_load(&a->shown);

	while (old < lseq &&
	       !atomic_compare_exchange_weak(&a->shown, &old, lseq))
		;
	if (old < lseq)
		loop_wake(&a->loop);
}
