/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is not settled: changes that look like the first half of a save. A
 * cut is the state at one instant, and leaves nothing out; what can be
 * chosen is the instant. A regular file born here a moment ago, or still
 * open for its first write, may be a temporary that will be adopted and
 * erased; a name that was left a moment ago may get its file back. The core
 * asks for how long to wait, and waits at most so long as it likes.
 *
 * A short list in memory, oldest first, so that the answer costs nothing
 * that grows. What does not fit counts as settled: a machine that makes
 * hundreds of files a second is not saving one.
 */
#include <string.h>

#include "fs/tree/saves.h"

/* Editors are done in a few ms, with a sync of the disk in between. */
#define UNSETTLED_NS (200 * UINT64_C(1000000))

static void unsettled_remove(struct tree *t, size_t k)
{
	t->unsettled_count--;
	memmove(&t->unsettled[k], &t->unsettled[k + 1],
		(t->unsettled_count - k) * sizeof(*t->unsettled));
}

static void unsettled_add(struct tree *t, struct objid id, uint64_t ino)
{
	uint64_t now = t->env->monotonic_ns(t->env->arg);

	unsettled_drop(t, id);
	if (t->unsettled_count == UNSETTLED_MAX)
		unsettled_remove(t, 0);
	t->unsettled[t->unsettled_count++] = (struct unsettled){
		.id = id, .ino = ino, .until_ns = now + UNSETTLED_NS };
}

void unsettled_born(struct tree *t, struct objid id, uint64_t ino)
{
	unsettled_add(t, id, ino);
}

void unsettled_left(struct tree *t, struct objid id)
{
	unsettled_add(t, id, 0);
}

void unsettled_drop(struct tree *t, struct objid id)
{
	for (size_t k = 0; k < t->unsettled_count; k++)
		if (objid_equal(t->unsettled[k].id, id)) {
			unsettled_remove(t, k);
			return;
		}
}

static bool is_in_first_write(struct tree *t, uint64_t ino)
{
	const struct inode *i = ino ? inode_find(t, ino) : NULL;

	return i && i->fresh && i->writers;
}

uint64_t replica_unsettled_ns(struct tree *t)
{
	uint64_t now = t->env->monotonic_ns(t->env->arg), wait = 0;

	for (size_t k = t->unsettled_count; k-- > 0;) {
		const struct unsettled *u = &t->unsettled[k];

		if (is_in_first_write(t, u->ino))
			return UINT64_MAX;
		if (u->until_ns <= now)
			unsettled_remove(t, k);
		else
			wait = MAX_OF(wait, u->until_ns - now);
	}
	return wait;
}
