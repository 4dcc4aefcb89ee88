/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kin-damage: a store in which each table has something of all that
 * fs/store/FORMAT.md says of it, and each entry of it damaged in turn.
 */
#ifndef KINFS_TESTS_DAMAGE_H
#define KINFS_TESTS_DAMAGE_H

#include "fs/store/store.h"
#include "tests/sim/cluster.h"

/* ---- fill.c: the store */
#define VICTIM 0
#define PEER 1
/* Node 0 has a store with all there is, node 1 all that it ever told of;
 * both are stopped, and backed up. */
void fill(struct cluster *);

/* ---- entries.c: what is in it, below the store's checks */
struct raw_entry {
	enum store_table table;
	uint8_t key[STORE_KEY_BYTES_MAX];
	size_t key_len, value_len;
};

enum damage {
	DAMAGE_FLIP,	/* a bit of the value */
	DAMAGE_CUT,	/* half of the value */
	DAMAGE_EMPTY,	/* no value */
	DAMAGE_REMOVED,	/* no entry */
	DAMAGE_KEY,	/* its key is a byte longer */
	DAMAGE_KINDS,
};

/* To be freed. */
size_t raw_entries(const char *store, struct raw_entry **ret);
void raw_damage(const char *store, const struct raw_entry *, enum damage);

/* ---- look.c: what is shown */
struct sight_line {
	char *path;
	struct objid id;
	uint64_t ino;
	bool dir;
	bool has_local;	/* attributes that stay on the node */
	int error;	/* of reading it */
	uint64_t sum;	/* of all that programs see of it */
};

struct sight {
	struct sight_line *list;
	size_t count;
	struct replica_history history;
};

void sight_take(struct tree *, struct sight *ret);
void sight_release(struct sight *);
/* The one at that path, or NULL. */
struct sight_line *sight_find(const struct sight *, const char *path);

#endif
