/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The end of a full stream, behind its last row and before K is joined: what
 * the objects mean that were not in it, which is the tree's to say
 * (fs/tree/absence.c), and directories that are to come back.
 *
 * Those there are only where two halves of a volume have given each other
 * up: each has purged what the other does not know to be removed, and then
 * something of the sender's may stand in a directory that is gone here. The
 * rows of such are kept in the table, and looked through until none of them
 * is named any more.
 *
 * Where it goes on is kept in memory: a restart begins this again, and finds
 * done what was done.
 */
#include <errno.h>

#include "fs/base/log.h"
#include "fs/store/store.h"
#include "replication/core/core_internal.h"

/* Removed by a full stream: worth a warning above so many objects, ... */
#define ABSENCE_LOUD_OBJECTS 1000
/* ... or above one in so many. */
#define ABSENCE_LOUD_PART 20

int full_note(struct stage *stage, const struct merge *m, struct objid id,
	      struct slice row)
{
	int r = stage_entry_put(stage, STAGE_MENTIONED, id, SLICE(NULL, 0));

	if (r < 0 || !m->gone || !m->halves)
		return r;
	return stage_entry_put(stage, STAGE_GONE, id, row);
}

static int was_mentioned(void *arg, struct objid id)
{
	struct slice value;
	int r = stage_get(arg, STAGE_MENTIONED, id, &value);

	return r == -ENOENT ? 0 : r < 0 ? r : 1;
}

/* False: there is none behind it. */
static bool objid_step(struct objid *id)
{
	for (size_t k = sizeof(id->b); k-- > 0;)
		if (++id->b[k])
			return true;
	return false;
}

static int gone_next(struct core *c, struct stage *stage, struct objid *ret_id,
		     struct slice *ret_row)
{
	if (c->full.gone_last)
		return -ENOENT;
	return stage_seek(stage, STAGE_GONE, &c->full.gone_from, ret_id,
			  ret_row);
}

/* The table moves what it lent: a copy. Returns 1 if it came back. */
static int gone_readopt(struct core *c, struct objid id, struct slice row)
{
	cleanup(buf_release) struct buf copy = BUF_INIT;

	buf_put_slice(&copy, row);
	if (buf_error(&copy) < 0)
		return -ENOMEM;
	return replica_readopt(c->tree, id, buf_slice(&copy));
}

/* Again and again, since each brings its own parent's name. Returns 1 at the
 * end. */
static int full_gone(struct core *c, struct stage *stage, size_t *left)
{
	while (*left) {
		struct slice row;
		struct objid id;
		int r = gone_next(c, stage, &id, &row);

		if (r == -ENOENT && !c->full.gone_found)
			return 1;
		if (r == -ENOENT) {
			c->full.gone_from = ROOT_ID;
			c->full.gone_found = c->full.gone_last = false;
			continue;
		}
		if (r == 0)
			r = gone_readopt(c, id, row);
		if (r < 0)
			return r;
		c->full.gone_found |= r;
		c->full.gone_from = id;
		c->full.gone_last = !objid_step(&c->full.gone_from);
		--*left;
	}
	return 0;
}

int full_end(struct core *c, struct stage *stage, const struct know *k,
	     size_t *left)
{
	struct replica_absence *a = &c->full.absence;
	size_t looked;
	int r = 0;

	a->theirs = k;
	a->mentioned = was_mentioned;
	a->arg = stage;
	if (!c->full.begun) {
		r = replica_absence_begin(c->tree, a);
		c->full.gone_from = ROOT_ID;
		c->full.gone_found = c->full.gone_last = false;
	}
	if (r < 0)
		return r;
	c->full.begun = true;
	r = replica_absence(c->tree, a, *left, &looked);
	*left -= looked;
	if (r == 1)
		r = full_gone(c, stage, left);
	if (r == 0)
		*left = 0; /* more the next time */
	return MIN_OF(r, 0);
}

void full_undone(struct core *c)
{
	c->full.begun = false;
}

void full_done(struct core *c)
{
	uint64_t purged = c->full.absence.purged, objects;

	c->counters.fulls_received++;
	store_lock(c->store);
	objects = store_count(c->store, TABLE_OBJ) + purged;
	store_unlock(c->store);
	log_info("caught up by a full stream: %llu objects were removed "
		 "elsewhere meanwhile, %llu stay for what was done to them "
		 "here", (unsigned long long)purged,
		 (unsigned long long)c->full.absence.kept);
	/* Loudly, where it is much: it was shown here, and is gone. */
	if (purged > ABSENCE_LOUD_OBJECTS ||
	    purged > objects / ABSENCE_LOUD_PART)
		log_warn("%llu of %llu objects are gone, which others removed "
			 "while this node was away", (unsigned long long)purged,
			 (unsigned long long)objects);
	c->full.absence = (struct replica_absence){.theirs = NULL};
	c->full.begun = false;
	purge_wake(c);
}
