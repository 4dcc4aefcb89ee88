/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The disk of a node: its store's directory, on which power cuts, kills at
 * any write, full disks and errors are played. The store is the shipping
 * one; what it calls to write and to sync is replaced in this program
 * (disk_calls.c).
 *
 * A power cut may take every write that no sync of its file followed, or
 * only some of its sectors; and what was written at the end of a file. A
 * *freeze* is a kill in the middle of something: the process goes on for the
 * caller's sake, but nothing that it writes from then on will have been
 * written, once the node was abandoned.
 */
#ifndef KINFS_SIM_DISK_H
#define KINFS_SIM_DISK_H

#include <stdbool.h>
#include <sys/stat.h>

#include "tests/sim/rng.h"

enum disk_state {
	DISK_WELL,
	DISK_FULL,   /* nothing may grow */
	DISK_BROKEN, /* now and then an error */
};

struct disk_file;
struct disk_write;

struct disk {
	bool used; /* what is written is noted: slower */
	char dir[256];
	size_t dir_len;
	struct rng rng;
	enum disk_state state;
	bool hurt;	    /* an error was given, or room refused */
	uint64_t freeze_in; /* writes and syncs from now; 0: not armed */
	bool frozen;
	struct disk_file *files;
	size_t file_count;
	struct disk_write *writes; /* oldest first */
	size_t write_count;
};

void disk_init(struct disk *, const char *dir, uint64_t seed);
void disk_release(struct disk *);
/* After so many more writes and syncs. 0: not at all. */
void disk_freeze_in(struct disk *, uint64_t writes);
/* Nobody has the files open. Takes back what was written while frozen. */
void disk_thaw(struct disk *);
/* Nobody has the files open. */
void disk_cut_power(struct disk *);
/* Other files stand there now, and are on the disk. */
void disk_replaced(struct disk *);
/* What CLOCK_MONOTONIC shows to everybody. */
void disk_clock(uint64_t ms);

/* ---- for disk_calls.c */
/* The disk that an open file is on, or NULL: not ours, nothing to note. */
struct disk *disk_of_fd(int fd, struct disk_file **ret_file, struct stat *st);
/* Before bytes are written, or the length is set (len 0, to offset). May
 * refuse: negative errno. `data` is looked at for O_DSYNC only. */
int disk_before_write(struct disk *, struct disk_file *, int fd,
		      const struct stat *, const void *data, uint64_t offset,
		      uint64_t len);
int disk_before_sync(struct disk *);
/* Before a file is removed. False: it is not, in truth. */
bool disk_before_remove(const char *path);
void disk_synced(struct disk *, struct disk_file *);
/* Names in the directory are on the disk. */
void disk_synced_dir(const char *path);
bool disk_path_full(const char *path);
uint64_t disk_now_ms(void);

#endif
