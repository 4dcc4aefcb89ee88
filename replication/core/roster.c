/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The members as people see them, and how one is put out. A removal is a
 * signed record that spreads as member records do and wins over them for
 * ever: the key is refused, nothing waits for that member any more, and what
 * it wrote stays valid, by whomever it is passed on. It cannot be asked to
 * agree, for it may be lost or stolen; what it never sent to anybody is gone.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/base/log.h"
#include "replication/core/core_internal.h"

static void member_facts(struct core *c, struct member_entry *e,
			 struct core_member *ret)
{
	struct status *s = status_of(c, &e->member.device);
	uint64_t kept;

	*ret = (struct core_member){
		.device = e->member.device,
		.self = device_equal(&e->member.device, &c->self),
		.lapsed = e->lapsed && !e->removed,
		.removed = e->removed,
		.added_ms = e->member.added_ms,
		.removed_ms = e->removed ? e->removal.removed_ms : 0,
	};
	memcpy(ret->label, e->label, sizeof(ret->label));
	if (ret->self)
		s = &c->own;
	if (!s)
		return;
	/* What it told of, and what of that somebody else has. */
	ret->last_change = know_get(&s->k, s->origin);
	kept = know_get(&c->own.k, s->origin);
	for (size_t i = 0; i < c->other_count; i++) {
		const struct status *o = c->others[i];
		uint64_t seq = know_get(&o->k, s->origin);

		if (o != s && members_has(&c->members, &o->device))
			kept = MAX_OF(kept, seq);
	}
	ret->last_change_kept = kept;
	ret->last_change = MAX_OF(ret->last_change, kept);
}

static int compare_member(const void *a, const void *b)
{
	const struct core_member *x = a, *y = b;
	int r = strcmp(x->label, y->label);

	return r ? r : device_compare(&x->device, &y->device);
}

size_t core_members(struct core *c, struct core_member *ret, size_t max)
{
	size_t count = 0;

	for (size_t i = 0; i < c->members.count && count < max; i++)
		member_facts(c, c->members.list[i], &ret[count++]);
	qsort(ret, count, sizeof(*ret), compare_member);
	return count;
}

static struct member_entry *member_by_label(struct core *c, const char *label)
{
	for (size_t i = 0; i < c->members.count; i++)
		if (!strcmp(c->members.list[i]->label, label))
			return c->members.list[i];
	return NULL;
}

static int removal_sign(struct core *c, struct member_removal *m)
{
	cleanup(buf_release) struct buf message = BUF_INIT;
	int r;

	store_lock(c->store);
	m->removed_ms = replica_hlc(c->tree) >> 16;
	store_unlock(c->store);
	removal_encode_signed(m, &message);
	r = buf_error(&message);
	if (r < 0)
		return r;
	return c->env.sign(c->env.arg, buf_slice(&message), m->signature);
}

int core_remove(struct core *c, uint64_t now_ms, const char *label,
		struct core_member *ret)
{
	struct member_entry *e = member_by_label(c, label);
	struct member_removal m = {.volume = c->members.volume, .signer = c->self};
	int r;

	c->now_ms = now_ms;
	if (c->failure)
		return c->failure;
	if (!e)
		return -ENOENT;
	if (device_equal(&e->member.device, &c->self))
		return -EINVAL;
	if (!members_has(&c->members, &c->self))
		return -EACCES;
	if (!e->removed) {
		m.device = e->member.device;
		r = removal_sign(c, &m);
		if (r == 0)
			r = members_remove(&c->members, &m);
		if (r < 0)
			return r;
		log_info("'%s' is removed from the volume", e->label);
		r = gossip_removals(c, NULL);
		if (r < 0) {
			core_fail(c, r, "cannot store a removal");
			return r;
		}
	}
	member_facts(c, e, ret);
	return 0;
}
