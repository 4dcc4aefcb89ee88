/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A store, all that was done to it, and power cuts played on its files. The
 * test fails where a call fails.
 */
#ifndef KINFS_TESTS_HISTORY_SUPPORT_H
#define KINFS_TESTS_HISTORY_SUPPORT_H

#include "fs/store/journal.h"
#include "fs/store/store.h"

/* Keys that operations put, at random. */
#define HISTORY_KEYS 12
#define HISTORY_OPS_MAX 1200
#define HISTORY_DATA_BYTES_MAX 3000

struct op {
	uint32_t key, nonce, len;
	struct data_loc loc;
};

struct image {
	uint8_t *bytes;
	size_t len;
};

struct history {
	char *path;
	struct store_options options;
	struct store *store;
	char boot[16];
	unsigned int boots;
	uint64_t rng;
	uint32_t nonce;
	/* Operation n is ops[n - 1]; it puts a key, and "last" = n. */
	struct op ops[HISTORY_OPS_MAX];
	uint32_t count;
	uint32_t synced; /* by store_sync(); a commit may contain more */
	uint32_t data_synced; /* of these the data is where it belongs */
	struct image logs[LOG_SEGMENTS_MAX]; /* as last synced */
};

/* Only what is told to syncs: no_sync is off, and groups are large. */
void history_init(struct history *, uint64_t seed);
/* Removes all; the store is closed. */
void history_release(struct history *);
/* Opens, and expects the state after operation n: what is behind is gone. */
void history_open(struct history *, uint32_t n);
/* One operation more; len 0: it names no data. */
void history_op(struct history *, uint32_t key, uint32_t len);
void history_op_any(struct history *);
void history_sync(struct history *);
/* The store has the state after operation n, with all its data. */
void history_compare(const struct history *, struct store *, uint32_t n);
/* Path of a log segment, to be freed. */
char *history_log(const struct history *, unsigned int i);

enum loss { LOSS_NONE, LOSS_SOME, LOSS_ALL };

/* Takes away data of the operations behind n, in the store at this path: zeros,
 * or the file ends before it, or is not there. */
void history_cut_data(struct history *, const char *path, uint32_t n,
		      enum loss);
/*
 * Cuts the power of the open store: loses data that no sync or commit has
 * reached where it lies (a copy in the log is another matter), and sectors of the log as they were not yet at the last sync.
 * The next opening is of another boot. Returns the last operation that must
 * be left, and none behind it may.
 */
uint32_t history_cut(struct history *, enum loss data, enum loss log);

#endif
