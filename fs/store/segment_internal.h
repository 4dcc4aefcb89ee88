/* SPDX-License-Identifier: Apache-2.0 */
/* What segment.c and segment_space.c share; nobody else includes this. */
#ifndef KINFS_SEGMENT_INTERNAL_H
#define KINFS_SEGMENT_INTERNAL_H

#include <pthread.h>

#include "fs/store/segment.h"

/* Length of the name of a segment. */
#define SEGMENT_NAME_LEN 8
/* Of unsynced pieces: few writers at once append between two syncs. */
#define SEGMENT_PIECES_MAX 32

struct segment {
	uint32_t number;
	int fd;		   /* -1: the slot is empty */
	unsigned int refs; /* pins; one of them while dirty */
	uint64_t used;	   /* time of last use, in uses */
	uint64_t dirty_bytes;
};

/*
 * Pieces that were appended and that no sync has reached and no record of
 * the log has yet. Neighbours are one. Without the mutex nobody is in
 * between: a piece is put here when it is whole.
 */
struct unsynced {
	struct piece {
		struct data_loc loc;
		uint64_t len;
	} pieces[SEGMENT_PIECES_MAX];
	unsigned int count;
	uint64_t bytes;
	bool many; /* there were more than fit here */
};

struct segments {
	int dirfd;
	uint64_t segment_bytes;
	bool no_sync;

	pthread_mutex_t sync_mutex; /* taken before mutex */
	int failed;		    /* sync_mutex: first error of a sync */
	pthread_mutex_t mutex;	    /* guards all below */
	pthread_cond_t unpinned;
	struct segment slots[SEGMENT_FDS_MAX];
	uint64_t uses;
	uint32_t number; /* of the segment that is appended to */
	uint64_t end;	 /* where the next append goes */
	bool exists;	 /* that segment has a file */
	bool dir_dirty;	 /* a name may not be on the disk */
	uint64_t appended_bytes;
	struct unsynced unsynced, syncing; /* the latter is on its way */
};

void segment_name(uint32_t number, char ret[SEGMENT_NAME_LEN + 1]);
/* Calls visit for each segment in a directory. Stops at its first error. */
must_check int segments_each(int dirfd,
			     int (*visit)(void *arg, int dirfd,
					  uint32_t number),
			     void *arg);
/* segment_unsynced.c. With the mutex. */
void unsynced_add(struct unsynced *, struct data_loc, uint64_t len);
/* The open file of a segment, or NULL. With the mutex. */
struct segment *slot_of(struct segments *, uint32_t number);
/*
 * Goes on to a new segment if len bytes do not fit; SEGMENT_BYTES_ALL never
 * do. With the mutex, which it may let go of.
 */
#define SEGMENT_BYTES_ALL UINT64_MAX
must_check int segments_turn(struct segments *, uint64_t len);

#endif
