/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What others said of themselves, and when they were heard of, over a restart: without it a node that
 * starts while a peer is away could not tell what that peer still lacks.
 * Rows are kept in META ("core.status/" and the device) when a link falls,
 * which is when they matter; a row of an older beat is never harmful, only
 * behind. Nothing is decided by them: a peer that returns says it anew.
 */
#include <errno.h>
#include <string.h>

#include "replication/core/core_internal.h"

static const char prefix[] = "core.status/";

/* A row that has grown beyond this is not worth a copy. */
#define REMEMBERED_BYTES_MAX 65536

static struct slice remember_key(const struct device *device,
				 uint8_t key[sizeof(prefix) + 32])
{
	memcpy(key, prefix, sizeof(prefix) - 1);
	memcpy(key + sizeof(prefix) - 1, device->b, sizeof(device->b));
	return SLICE(key, sizeof(prefix) - 1 + sizeof(device->b));
}

static int remember_put(struct core *c)
{
	uint8_t key[sizeof(prefix) + 32];
	int r = 0;

	for (size_t i = 0; r == 0 && i < c->other_count; i++) {
		struct status *s = c->others[i];

		if (s->saved_beat == s->beat ||
		    s->raw.len > REMEMBERED_BYTES_MAX)
			continue;
		r = store_put(c->store, TABLE_META,
			      remember_key(&s->device, key),
			      buf_slice(&s->raw));
	}
	return r;
}

int remember_forget(struct core *c, const struct device *device)
{
	uint8_t key[sizeof(prefix) + 32];

	return store_del(c->store, TABLE_META, remember_key(device, key));
}

int remember_save(struct core *c)
{
	int r;

	store_lock(c->store);
	r = store_op_begin(c->store);
	if (r == 0) {
		store_op_makes_room(c->store); /* (it is small) */
		r = remember_put(c);
		if (r == 0)
			r = heard_put(c);
		if (r == 0)
			r = store_op_end(c->store);
		else
			store_op_abort(c->store);
	}
	store_unlock(c->store);
	for (size_t i = 0; r == 0 && i < c->other_count; i++)
		c->others[i]->saved_beat = c->others[i]->beat;
	return r;
}

/* What cannot be read is forgotten: it will be heard again. */
int remember_load(struct core *c)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < c->members.count; i++) {
		const struct device *device =
			&c->members.list[i]->member.device;
		uint8_t key[sizeof(prefix) + 32];
		struct status s;
		struct slice raw;

		if (device_equal(device, &c->self))
			continue;
		store_lock(c->store);
		status_init(&s, device);
		r = store_get(c->store, TABLE_META,
			      remember_key(device, key), &raw);
		if (r == 0)
			r = status_decode(raw, &s);
		store_unlock(c->store);
		if (r == 0 && device_equal(&s.device, device)) {
			s.saved_beat = s.beat;
			r = gossip_adopt_status(c, &s);
		} else if (r == -ENOENT || r == -EBADMSG || r == -E2BIG) {
			r = 0;
		}
		status_release(&s);
	}
	return r;
}
