/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who has what this node did: STATUS rows say it, of members that are linked
 * and of those that others speak of. C counts, not K: an acknowledgement is
 * of the bytes, too.
 */
#include <string.h>

#include "replication/core/core_internal.h"

static bool has(struct core *c, const struct device *device, uint64_t seq)
{
	const struct status *s = status_of(c, device);

	return s && know_get(&s->c, c->origin) >= seq;
}

static bool label_has(struct core *c, const char *label, uint64_t seq)
{
	for (size_t i = 0; i < c->members.count; i++) {
		const struct member_entry *e = c->members.list[i];

		if (!device_equal(&e->member.device, &c->self) &&
		    !strcmp(e->label, label) &&
		    has(c, &e->member.device, seq))
			return true;
	}
	return false;
}

bool core_acked(struct core *c, uint64_t seq, const struct acks *acks)
{
	uint32_t count = 0;

	for (size_t i = 0; i < acks->label_count; i++)
		if (!label_has(c, acks->labels[i], seq))
			return false;
	for (size_t i = 0; i < c->other_count; i++)
		count += has(c, &c->others[i]->device, seq);
	return count >= acks->count;
}

void core_hurry(struct core *c, uint64_t now_ms)
{
	c->now_ms = now_ms;
	instant_now(c);
}
