/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the agent tells the handlers: that there may be a conflict, that
 * changes came from elsewhere, who takes turns, who came and went, who lacks
 * changes for long. On the network thread.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "replication/net/agent_internal.h"

/* Between two looks at who lacks what. */
#define LAG_LOOK_MS 5000

struct watched_peer {
	struct device device;
	bool connected;
	bool lag_told;		/* until it lacks nothing again */
};

int agent_handlers_start(struct agent *a, const struct agent_options *o,
			 struct buf *why)
{
	const struct volid volume = tree_volume(a->tree);
	char text[2 * sizeof(volume.b) + 1];
	struct handlers_options ho = {
		.tree = a->tree,
		.self = a->identity->device,
		.folder = a->hooks_folder,
		.store = store_path(a->store),
		.volume = text,
		.mountpoint = a->mountpoint,
		.uid = o->hook_uid,
		.gid = o->hook_gid,
	};

	if (!a->hooks_folder)
		return 0;
	hex_encode(volume.b, sizeof(volume.b), text);
	a->watched.list = calloc(MEMBERS_MAX, sizeof(*a->watched.list));
	if (!a->watched.list)
		return -ENOMEM;
	a->watched.stale = true;
	return handlers_start(&ho, why, &a->handlers);
}

void agent_handlers_stop(struct agent *a)
{
	handlers_stop(a->handlers);
	a->handlers = NULL;
	free(a->watched.list);
	a->watched.list = NULL;
}

/* ---- changes */

/* Some were shown. */
void agent_handlers_shown(struct agent *a)
{
	struct core_counters n;

	if (!a->handlers)
		return;
	core_counters(a->core, &n);
	if (n.rows_by_people != a->watched.rows_by_people)
		handlers_applied(a->handlers);
	else
		handlers_poke(a->handlers);
	a->watched.rows_by_people = n.rows_by_people;
}

void agent_opened(struct agent *a, const struct objid *id)
{
	if (a->handlers)
		handlers_opened(a->handlers, id);
}

/* ---- members */

static struct watched_peer *watched(struct agent *a, const struct device *d)
{
	struct watched_peer *w;

	for (size_t i = 0; i < a->watched.count; i++)
		if (device_equal(&a->watched.list[i].device, d))
			return &a->watched.list[i];
	if (a->watched.count == MEMBERS_MAX)
		return NULL;
	w = &a->watched.list[a->watched.count++];
	*w = (struct watched_peer){ .device = *d };
	return w;
}

/* Those that are away for good have no turn. */
static void tell_members(struct agent *a, size_t count)
{
	struct device *list = calloc(count + 1, sizeof(*list));
	size_t n = 0;

	if (!list)
		return; /* next time */
	list[n++] = a->identity->device;
	for (size_t i = 0; i < count; i++)
		if (!a->peers[i].lapsed && !a->peers[i].removed)
			list[n++] = a->peers[i].device;
	handlers_members(a->handlers, list, n);
	free(list);
}

static void tell_lag(struct agent *a, struct watched_peer *w,
		     const struct core_peer_status *p)
{
	uint32_t limit_s = handlers_lag_seconds(a->handlers);

	if (!p->behind.changes) {
		w->lag_told = false;
	} else if (limit_s && !w->lag_told && !p->removed &&
		   p->behind_ms >= UINT64_C(1000) * limit_s) {
		w->lag_told = true;
		handlers_lag(a->handlers, SLICE_STR(p->label),
			     p->behind.changes, p->behind_ms / 1000);
	}
}

uint64_t agent_handlers_tick(struct agent *a, uint64_t now_ms)
{
	bool lag = now_ms >= a->watched.lag_ms;
	size_t count;

	if (!a->handlers || (!a->watched.stale && !lag))
		return a->handlers ? a->watched.lag_ms : UINT64_MAX;
	count = agent_peers(a);
	tell_members(a, count);
	a->watched.stale = false;
	for (size_t i = 0; i < count; i++) {
		const struct core_peer_status *p = &a->peers[i];
		struct watched_peer *w = watched(a, &p->device);

		if (!w)
			continue;
		if (w->connected != p->connected) {
			w->connected = p->connected;
			handlers_peer(a->handlers, SLICE_STR(p->label),
				      p->connected);
		}
		if (lag)
			tell_lag(a, w, p);
	}
	if (lag)
		a->watched.lag_ms = now_ms + LAG_LOOK_MS;
	return a->watched.lag_ms;
}
