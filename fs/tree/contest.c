/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The losers of a row, and the index of rows that have any.
 *
 *	RENAME		strong LINKs of one slot that name several places
 *	MODE, OWNER, TIMES, XATTR of a name
 *			several values; the one of the greatest key shows
 *	REVIVED		no strong LINK is left: who removed it had not seen
 *			what was written meanwhile. A file shows its TOMB
 *			until the next edit, which has seen that it is there
 *			again; of a directory the weak LINK itself tells
 *	REVERTED	a content hidden under another, info.h
 *	POLICY		a content that the policy hides, info.h
 *
 * TIMES are a decision only where somebody set them: those of a directory
 * follow from what is in it, and those of several contents from these.
 * Nearly all rows have one version of each register, and leave here after
 * one look.
 */
#include "fs/tree/contest.h"

#include <errno.h>
#include <string.h>

/* ---- values */

static bool is_attribute(const struct version *v)
{
	return v->reg == REG_MODE || v->reg == REG_OWNER ||
	       v->reg == REG_TIMES || v->reg == REG_XATTR;
}

static bool same_place(const struct place *a, const struct place *b)
{
	return objid_equal(a->parent, b->parent) &&
	       slice_equal(a->name, b->name);
}

/* Of one register. */
static bool same_value(const struct version *a, const struct version *b)
{
	switch (a->reg) {
	case REG_LINK:
		return same_place(&a->link.at, &b->link.at);
	case REG_CONTENT:
		return content_equal(&a->content.content,
				     &b->content.content);
	case REG_MODE:
		return a->mode.perm == b->mode.perm &&
		       slice_equal(a->mode.acl, b->mode.acl);
	case REG_OWNER:
		return slice_equal(a->owner.user, b->owner.user) &&
		       slice_equal(a->owner.group, b->owner.group);
	case REG_TIMES:
		return a->times.mtime.tv_sec == b->times.mtime.tv_sec &&
		       a->times.mtime.tv_nsec == b->times.mtime.tv_nsec;
	case REG_XATTR:
		return a->xattr.removed == b->xattr.removed &&
		       slice_equal(a->xattr.value, b->xattr.value);
	}
	return true;
}

static bool takes_part(const struct version *v)
{
	return is_attribute(v) ||
	       (v->reg == REG_LINK && !(v->flags & VERSION_WEAK));
}

static enum decision_kind kind_of_register(uint8_t reg)
{
	switch (reg) {
	case REG_LINK:
		return DECISION_RENAME;
	case REG_MODE:
		return DECISION_MODE;
	case REG_OWNER:
		return DECISION_OWNER;
	case REG_TIMES:
		return DECISION_TIMES;
	default:
		return DECISION_XATTR;
	}
}

/* ---- finding */

typedef int contest_fn(void *arg, const struct contest *);

/*
 * v against the others of its register: told of if it lost, and is the
 * greatest of those that have its value.
 */
static int contest_of(const struct info *i, const struct version *v,
		      contest_fn *fn, void *arg)
{
	const struct version *best = v;
	struct contest c = { .kind = kind_of_register(v->reg), .lost = v };

	for (size_t k = 0; k < i->object->count; k++) {
		const struct version *x = &i->object->versions[k];

		if (x == v || x->reg != v->reg || !takes_part(x) ||
		    !version_same_register(x, v))
			continue;
		if (version_key_compare(x, v) > 0 && same_value(x, v))
			return 0;
		if (version_key_compare(x, best) > 0)
			best = x;
	}
	c.chosen = best;
	return same_value(best, v) ? 0 : fn(arg, &c);
}

static int revived_contest(const struct info *i, contest_fn *fn, void *arg)
{
	struct contest c = { .kind = DECISION_REVIVED };

	if (i->strong || !i->link_count)
		return 0;
	c.chosen = i->links[0].link;
	if (i->kind == KIND_DIR)
		return fn(arg, &c);
	c.lost = i->tomb;
	return info_live_file(i) && i->tomb ? fn(arg, &c) : 0;
}

static int reverted_contests(const struct branch *b, contest_fn *fn, void *arg)
{
	int r = 0;

	for (size_t k = 0; !r && !b->is_void && k < b->count; k++) {
		const struct version *v = b->versions[k];
		struct contest c = { DECISION_REVERTED, b->top, v };
		bool again = v->flags & (VERSION_VOID | VERSION_AUTO) ||
			     same_value(v, b->top);

		for (size_t n = 0; !again && n < b->count; n++)
			again = n != k && same_value(b->versions[n], v) &&
				version_key_compare(b->versions[n], v) > 0;
		if (!again)
			r = fn(arg, &c);
	}
	return r;
}

static int policy_contests(const struct info *i, contest_fn *fn, void *arg)
{
	const struct branch *hidden = i->branches + i->branch_count;
	int r = 0;

	for (size_t k = 0; !r && k < i->hidden_count; k++) {
		struct contest c = { DECISION_POLICY, info_chosen(i)->top,
				     hidden[k].top };

		if (!hidden[k].is_void)
			r = fn(arg, &c);
	}
	return r;
}

/* Has a slot two places? (A file may have very many slots of one.) */
static bool links_differ(const struct info *i)
{
	size_t versions = 0, slots = 0;

	for (size_t k = 0; k < i->object->count; k++)
		versions += i->object->versions[k].reg == REG_LINK &&
			    takes_part(&i->object->versions[k]);
	for (size_t k = 0; k < i->link_count; k++)
		slots += i->links[k].strong;
	return versions != slots;
}

int row_contests(const struct info *i, contest_fn *fn, void *arg)
{
	const struct object *o = i->object;
	bool times = i->branch_count == 1 && !i->hidden_count &&
		     i->branches[0].count == 1;
	bool links = links_differ(i);
	int r;

	if (!info_is_live(i))
		return 0;
	r = revived_contest(i, fn, arg);
	for (size_t k = 0; !r && k < o->count; k++) {
		const struct version *v = &o->versions[k];

		if (takes_part(v) && (v->reg != REG_TIMES || times) &&
		    (v->reg != REG_LINK || links))
			r = contest_of(i, v, fn, arg);
	}
	for (size_t k = 0; !r && k < i->branch_count; k++)
		if (i->branches[k].count > 1)
			r = reverted_contests(&i->branches[k], fn, arg);
	return r ? r : policy_contests(i, fn, arg);
}

struct dot contest_lost_dot(const struct contest *c)
{
	/* (not every node had the same contents beside it) */
	if (c->kind == DECISION_SETTLED)
		return c->chosen->dot;
	return c->lost ? c->lost->dot : c->chosen->link.since.dot;
}

/* ---- marks */

/* Bits of what a row is marked for. */
enum { MARKED_PLACE = 1, MARKED_DECIDED = 2, MARKED_CONTENTS = 4 };

static const char mark_of[] = { 'p', 'd', 'c' };

static int note_mark(void *arg, const struct contest *c)
{
	unsigned *want = arg;

	*want |= c->kind == DECISION_RENAME ? MARKED_PLACE : MARKED_DECIDED;
	return 0;
}

static int marks_wanted(const struct info *i, unsigned *ret)
{
	*ret = 0;
	if (!i || !i->kind)
		return 0;
	if (info_live_file(i) && object_contents(i->object) > 1)
		*ret = MARKED_CONTENTS;
	return row_contests(i, note_mark, ret);
}

static struct slice mark_key(uint8_t key[17], char what, struct objid id)
{
	key[0] = (uint8_t)what;
	memcpy(key + 1, id.b, 16);
	return SLICE(key, 17);
}

int marks_update(struct tree *t, struct objid id, const struct info *i)
{
	unsigned want;
	int r = marks_wanted(i, &want);

	for (unsigned k = 0; !r && k < ARRAY_SIZE(mark_of); k++) {
		uint8_t key[17];
		struct slice at = mark_key(key, mark_of[k], id), v;
		int have;

		if (!(want & 1u << k) && !store_count(t->store, TABLE_MARK))
			continue;
		have = store_get(t->store, TABLE_MARK, at, &v);
		if (have && have != -ENOENT)
			return have;
		if (want & 1u << k && have)
			r = store_put(t->store, TABLE_MARK, at, SLICE("", 0));
		else if (!(want & 1u << k) && !have)
			r = store_del(t->store, TABLE_MARK, at);
	}
	return r;
}

int marks_check(struct tree *t, struct objid id, const struct info *i,
		uint64_t *marks)
{
	unsigned want;
	int r = marks_wanted(i, &want);

	for (unsigned k = 0; !r && k < ARRAY_SIZE(mark_of); k++) {
		uint8_t key[17];
		struct slice v;

		if (!(want & 1u << k))
			continue;
		++*marks;
		if (store_get(t->store, TABLE_MARK,
			      mark_key(key, mark_of[k], id), &v))
			r = -EUCLEAN;
	}
	return r;
}

int marks_next(struct tree *t, char what, const struct objid *after,
	       struct objid *ret)
{
	uint8_t key[18] = { (uint8_t)what };
	size_t len = 1;
	struct slice k, v;
	int r;

	if (after) {
		memcpy(key + 1, after->b, 16);
		len = sizeof(key); /* just behind it */
	}
	r = store_seek(t->store, TABLE_MARK, SLICE(key, len), &k, &v);
	if (!r && k.data[0] != (uint8_t)what)
		r = -ENOENT;
	if (!r && k.len != 17)
		r = -EUCLEAN;
	if (!r)
		memcpy(ret->b, k.data + 1, 16);
	return r;
}

int marks_count(struct tree *t, uint64_t *ret)
{
	int r = 0;

	*ret = 0;
	for (unsigned k = 0; !r && k < ARRAY_SIZE(mark_of); k++) {
		struct objid id;

		r = marks_next(t, mark_of[k], NULL, &id);
		while (!r) {
			++*ret;
			r = marks_next(t, mark_of[k], &id, &id);
		}
		if (r == -ENOENT)
			r = 0;
	}
	return r;
}
