/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pages of LMDB's file, looked at without LMDB: it trusts them, and a
 * wrong number in one of them may crash whoever reads it, or make it give a
 * page away that is in use. This walks from the root to every page, and
 * believes nothing.
 *
 * What holds of a sound file: the newer of the two roots at its start is of
 * the newest commit; each page behind them is in exactly one tree, or among
 * the free ones, exactly once; pages, entries and depths are as
 * many as said; each key is greater than the one before it and lies where a
 * search for it arrives.
 */
#ifndef KINFS_STORE_PAGES_H
#define KINFS_STORE_PAGES_H

#include "fs/base/bytes.h"
#include "fs/store/store.h"

/* No value of ours is as large: a row is at most 1 MiB. */
#define PAGES_VALUE_BYTES_MAX (4u << 20)

/* "pages", "root", "free pages", or a table's name; what is wrong there. */
struct pages_fault {
	uint64_t page;
	const char *table;
	const char *what;
};

struct pages_ops {
	/* May be NULL. */
	void (*fault)(void *arg, const struct pages_fault *);
	/*
	 * Each entry of a table in pages that can be read, as it is stored,
	 * also in a file that has faults elsewhere; may be NULL. A negative
	 * ends the walk, which returns it.
	 */
	int (*entry)(void *arg, enum store_table, struct slice key,
		     struct slice stored);
	void *arg;
};

struct pages_result {
	uint64_t faults;
	uint64_t pages;  /* in trees */
	uint64_t number; /* of the commit that was looked at */
};

/*
 * Walks the file. An empty one is sound. `root` is 0 or 1 where a reader of
 * LMDB's holds the state of that root, and somebody may write meanwhile; -1:
 * nobody has it open, the newer one is taken, and both must be sound.
 * Errors: -EIO the roots cannot be read, -ENOMEM, of entry(). Faults are no
 * error.
 */
must_check int pages_walk(int fd, int root, const struct pages_ops *,
			  struct pages_result *ret);

#endif
