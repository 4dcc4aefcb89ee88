/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the tree's tables name: rows (with what is shown meanwhile), bases,
 * history, rows on their way in, contents that open handles keep, and unsent
 * writes.
 *
 * Values are taken apart as far as it takes to find this, without memory of
 * their own: it is done for each value that is replaced.
 */
#include "fs/tree/roots.h"

#include <errno.h>

#include "fs/tree/base.h"
#include "fs/tree/dirty.h"
#include "fs/tree/hist.h"

/* Kinds of entries of STAGE with a row: FORMAT.md, "Staged cuts". */
#define STAGE_KIND_AT 8
#define STAGE_KINDS_OF_ROWS "rps"
/* Of what a detached number shows: type, object id, versions. */
#define DETACHED_VERSIONS_AT 17

struct give {
	store_root_fn *fn;
	void *arg;
};

static int give_content(void *arg, const struct content *c)
{
	const struct give *g = arg;

	return g->fn(g->arg, &(struct store_root){ .content = c });
}

static int roots_of_row(struct slice value, store_root_fn *fn, void *arg)
{
	return row_contents_each(value, give_content,
				 &(struct give){ fn, arg });
}

int roots_of_versions(struct slice versions, store_root_fn *fn, void *arg)
{
	return object_contents_each(versions, give_content,
				    &(struct give){ fn, arg });
}

static int roots_of_base(struct slice value, store_root_fn *fn, void *arg)
{
	return base_contents_each(value, give_content,
				  &(struct give){ fn, arg });
}

static int roots_of_hist(struct slice key, struct slice value,
			 store_root_fn *fn, void *arg)
{
	struct content c;
	int r = hist_content(key, value, &c);

	if (r <= 0 || !c.depth)
		return MIN_OF(r, 0);
	return fn(arg, &(struct store_root){ .content = &c });
}

static int roots_of_stage(struct slice key, struct slice value,
			  store_root_fn *fn, void *arg)
{
	if (key.len <= STAGE_KIND_AT)
		return -EUCLEAN;
	for (const char *k = STAGE_KINDS_OF_ROWS; *k; k++)
		if (key.data[STAGE_KIND_AT] == (uint8_t)*k)
			return roots_of_versions(value, fn, arg);
	return 0;
}

static int roots_of_ino(struct slice key, struct slice value,
			store_root_fn *fn, void *arg)
{
	if (!key.len || key.data[0] != 'i')
		return 0;
	if (!value.len)
		return -EUCLEAN;
	if (value.data[0] != INO_DETACHED)
		return 0;
	if (value.len < DETACHED_VERSIONS_AT)
		return -EUCLEAN;
	return roots_of_versions(SLICE(value.data + DETACHED_VERSIONS_AT,
				       value.len - DETACHED_VERSIONS_AT),
				 fn, arg);
}

int roots_of(enum store_table table, struct slice key, struct slice value,
	     store_root_fn *fn, void *arg)
{
	int r = 0;

	switch (table) {
	case TABLE_OBJ:
		r = roots_of_row(value, fn, arg);
		break;
	case TABLE_BASE:
		r = roots_of_base(value, fn, arg);
		break;
	case TABLE_HIST:
		r = roots_of_hist(key, value, fn, arg);
		break;
	case TABLE_STAGE:
		r = roots_of_stage(key, value, fn, arg);
		break;
	case TABLE_INO:
		r = roots_of_ino(key, value, fn, arg);
		break;
	case TABLE_DIRTY:
		r = dirty_roots_each(key, value, fn, arg);
		break;
	default:
		break;
	}
	return r == -EBADMSG ? -EUCLEAN : r;
}

const struct store_roots tree_roots = {
	.tables = 1u << TABLE_OBJ | 1u << TABLE_BASE | 1u << TABLE_HIST |
		  1u << TABLE_STAGE | 1u << TABLE_INO | 1u << TABLE_DIRTY,
	.each = roots_of,
};
