/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two tables: that of the last look, sorted, and that of the look which goes
 * on; what is in both keeps its state.
 */
#include "replication/net/handler_plan.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/base/hash.h"

void plan_init(struct plan *p)
{
	*p = (struct plan){ .list = NULL };
}

void plan_release(struct plan *p)
{
	free(p->list);
	free(p->next);
	plan_init(p);
}

static int by_id(const void *pa, const void *pb)
{
	const struct plan_entry *a = pa, *b = pb;

	return objid_compare(a->id, b->id);
}

struct plan_entry *plan_find(const struct plan *p, const struct objid *id)
{
	struct plan_entry key = { .id = *id };

	return p->count ? bsearch(&key, p->list, p->count, sizeof(key), by_id)
			: NULL;
}

void plan_begin(struct plan *p)
{
	p->next_count = 0;
}

static int make_room(struct plan *p)
{
	size_t room = p->next_room ? 2 * p->next_room : 16;
	void *grown;

	if (p->next_count < p->next_room)
		return 0;
	if (p->next_count == PLAN_ENTRIES_MAX)
		return -E2BIG;
	grown = realloc(p->next, room * sizeof(*p->next));
	if (!grown)
		return -ENOMEM;
	p->next = grown;
	p->next_room = room;
	return 0;
}

static const struct plan_entry *known(const struct plan *p,
				      const struct plan_entry *seen)
{
	const struct plan_entry *old = plan_find(p, &seen->id);

	return old && hash_equal(&old->token, &seen->token) &&
			       !strcmp(old->rule, seen->rule)
		       ? old
		       : NULL;
}

bool plan_knows(const struct plan *p, const struct plan_entry *seen)
{
	return known(p, seen) != NULL;
}

int plan_see(struct plan *p, const struct plan_entry *seen)
{
	const struct plan_entry *old = known(p, seen);
	struct plan_entry *e;
	int r = make_room(p);

	if (r)
		return r;
	e = &p->next[p->next_count++];
	*e = old ? *old : *seen;
	e->ino = seen->ino;
	return 0;
}

void plan_end(struct plan *p)
{
	struct plan_entry *old = p->list;
	size_t n = 0;

	if (p->next_count > 1)
		qsort(p->next, p->next_count, sizeof(*p->next), by_id);
	/* (a file may be seen under each of its names) */
	for (size_t i = 0; i < p->next_count; i++)
		if (!n || by_id(&p->next[n - 1], &p->next[i]))
			p->next[n++] = p->next[i];
	p->list = p->next;
	p->count = n;
	free(old);
	p->next = NULL;
	p->next_count = p->next_room = 0;
}

struct plan_entry *plan_due(const struct plan *p, uint64_t now_ms,
			    uint64_t *next_ms)
{
	struct plan_entry *due = NULL;

	for (size_t i = 0; i < p->count; i++) {
		struct plan_entry *e = &p->list[i];

		if (e->state != PLAN_WAITING)
			continue;
		if (e->due_ms > now_ms)
			*next_ms = MIN_OF(*next_ms, e->due_ms);
		else if (!due || e->due_ms < due->due_ms)
			due = e;
	}
	return due;
}

static void weigh(const struct hash *token, const struct device *d,
		  struct hash *ret)
{
	const struct slice parts[] = { SLICE(token->b, sizeof(token->b)),
				       SLICE(d->b, sizeof(d->b)) };

	hash_slices(parts, 2, ret);
}

size_t plan_turn(const struct hash *token, const struct device *self,
		 const struct device *members, size_t count)
{
	struct hash own, other;
	size_t before = 0;

	weigh(token, self, &own);
	for (size_t i = 0; i < count; i++) {
		weigh(token, &members[i], &other);
		before += memcmp(other.b, own.b, sizeof(own.b)) < 0;
	}
	return before;
}
