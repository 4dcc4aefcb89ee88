/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a check of a store found (fs/tree/check.h), as `kin check` prints it:
 * with paths, also of what cannot be read any more.
 */
#ifndef KINFS_NET_CHECK_LIST_H
#define KINFS_NET_CHECK_LIST_H

#include <jansson.h>

#include "fs/store/pages.h"
#include "fs/tree/check.h"

/* Faults that are listed; more are only counted. */
#define CHECK_LIST_MAX 1000

struct check_list {
	struct check_fault *faults;	/* their keys are in `keys` */
	struct buf keys;
	size_t *key_at;
	size_t count;
	uint64_t total;
	int error;
};

void check_list_init(struct check_list *);
void check_list_release(struct check_list *);
/* For struct check_options; arg: the list. */
void check_list_add(void *list, const struct check_fault *);
/* Is all that was found such as other members are asked for (mend.h)? */
bool check_list_is_fetched(const struct check_list *);
/* For struct pages_ops. */
void check_list_page(void *list, const struct pages_fault *);
/* Where no tree can be opened: {fault_count, faults}. */
json_t *check_list_only_json(const struct check_list *);
/* Entries that the core keeps in the tree's tables; as foreign(). */
int check_list_foreign(enum store_table, struct slice key,
		       struct slice value);
/*
 * {entries, objects, chunks, bytes, pending, fault_count, faults: [{kind,
 * what, table, path or path_hex, id, version, missing, damaged, key, name}]}.
 * [not locked]
 */
json_t *check_list_json(const struct check_list *, struct tree *,
			const struct check_result *);

#endif
