/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What other threads tell the handlers' thread, and ask: by fields that the
 * mutex guards.
 */
#include <stdlib.h>
#include <string.h>

#include "replication/net/handlers_internal.h"

void handlers_wake(struct handlers *h)
{
	h->woken = true;
	pthread_cond_signal(&h->cond);
}

/* Under the mutex. Who was poked before sleeps no longer than until the look
 * that is due: each write of a program pokes, and woke the thread. */
static void poke(struct handlers *h)
{
	if (h->poked)
		return;
	h->poked = true;
	handlers_wake(h);
}

void handlers_poke(struct handlers *h)
{
	pthread_mutex_lock(&h->mutex);
	poke(h);
	pthread_mutex_unlock(&h->mutex);
}

void handlers_applied(struct handlers *h)
{
	pthread_mutex_lock(&h->mutex);
	if (!h->applied)
		handlers_wake(h);
	h->applied = true;
	poke(h);
	pthread_mutex_unlock(&h->mutex);
}

void handlers_opened(struct handlers *h, const struct objid *id)
{
	pthread_mutex_lock(&h->mutex);
	if (h->opened_count < EVENTS_MAX) {
		h->opened[h->opened_count++] = *id;
		poke(h);
	}
	pthread_mutex_unlock(&h->mutex);
}

void handlers_members(struct handlers *h, const struct device *list,
		      size_t count)
{
	struct device *copy = calloc(count + 1, sizeof(*copy));

	if (!copy)
		return; /* the order as it was does as well */
	memcpy(copy, list, count * sizeof(*list));
	pthread_mutex_lock(&h->mutex);
	free(h->members);
	h->members = copy;
	h->member_count = count;
	pthread_mutex_unlock(&h->mutex);
}

static void add_event(struct handlers *h, const struct event *e)
{
	pthread_mutex_lock(&h->mutex);
	if (h->event_count == EVENTS_MAX) {
		h->event_first = (h->event_first + 1) % EVENTS_MAX;
		h->event_count--;
	}
	h->events[(h->event_first + h->event_count++) % EVENTS_MAX] = *e;
	handlers_wake(h);
	pthread_mutex_unlock(&h->mutex);
}

static void put_label(struct event *e, struct slice label)
{
	size_t n = MIN_OF(label.len, sizeof(e->label) - 1);

	memcpy(e->label, label.data, n);
	e->label[n] = '\0';
}

void handlers_peer(struct handlers *h, struct slice label, bool connected)
{
	struct event e = { .event = HANDLER_PEER, .connected = connected };

	put_label(&e, label);
	add_event(h, &e);
}

void handlers_lag(struct handlers *h, struct slice label, uint64_t changes,
		  uint64_t seconds)
{
	struct event e = { .event = HANDLER_LAG, .changes = changes,
			   .seconds = seconds };

	put_label(&e, label);
	add_event(h, &e);
}

bool handlers_state(struct handlers *h, const struct objid *id,
		    struct plan_entry *ret)
{
	const struct plan_entry *e;

	pthread_mutex_lock(&h->mutex);
	e = plan_find(&h->plan, id);
	if (e)
		*ret = *e;
	pthread_mutex_unlock(&h->mutex);
	return e != NULL;
}

int handlers_conf(struct handlers *h, struct buf *why,
		  struct handler_conf *ret)
{
	handlers_poke(h);
	return handler_conf_read(h->conf_path, why, ret);
}

uint32_t handlers_lag_seconds(struct handlers *h)
{
	uint32_t n;

	pthread_mutex_lock(&h->mutex);
	n = h->lag_seconds;
	pthread_mutex_unlock(&h->mutex);
	return n;
}
