/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names that were shown a moment ago. When the holder of a contested name
 * is removed, the next claimant takes the plain name, and the suffixed one
 * under which a program has just listed it is gone: `rm -r` would stumble
 * over it. So the suffixed names of a place are remembered for a while when
 * one of its entries goes, and still found by look-up, if the object
 * still is in that directory. In memory only, of this node only, never
 * listed.
 */
#include <errno.h>
#include <string.h>

#include "fs/tree/tree_internal.h"

/* Long enough for rm -r of a large directory listed before. */
#define ALIAS_NS (30 * UINT64_C(1000000000))

int alias_note(struct tree *t, struct objid dir, const struct shown *going)
{
	struct shownlist names = { 0 };
	struct slice at = going->type == SHOWN_DIR ? shown_name(going)
						   : spot_name(&going->link);
	uint64_t now = t->env->monotonic_ns(t->env->arg);
	int r = 0;

	if (store_count(t->store, TABLE_MARK))
		r = view_virtuals_at(t, dir, at, &names);
	for (size_t k = 0; !r && k < names.count; k++) {
		struct alias *a;

		if (names.shown[k].type != SHOWN_SUFFIXED)
			continue;
		a = &t->aliases[t->alias_next++ % ALIASES_MAX];
		a->dir = dir;
		a->shown = names.shown[k];
		a->until_ns = now + ALIAS_NS;
	}
	shownlist_release(&names);
	return r;
}

/* -ENOENT: no such name, or what it named is elsewhere now. */
int alias_find(struct tree *t, struct objid dir, struct slice name,
	       struct shown *ret)
{
	uint64_t now;

	if (!t->alias_next)
		return -ENOENT;
	now = t->env->monotonic_ns(t->env->arg);
	for (size_t k = 0; k < ALIASES_MAX; k++) {
		const struct alias *a = &t->aliases[k];
		struct idlist members = { 0 };
		int r;

		if (a->until_ns < now || !objid_equal(a->dir, dir) ||
		    !slice_equal(shown_name(&a->shown), name))
			continue;
		r = group_members(t, dir, &members);
		if (!r)
			r = view_find_plain(t, &members,
					    spot_name(&a->shown.link), ret);
		idlist_release(&members);
		if (r || (objid_equal(ret->id, a->shown.id) &&
			  ret->slot == a->shown.slot)) {
			if (!r)
				*ret = a->shown;
			return r;
		}
	}
	return -ENOENT;
}
