/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When more changed at once than the notes can hold, what changed is not
 * known any more, and the kernel is made to ask again about everything:
 *
 *  1. Every name at once is made to be looked up again, by a new *epoch* of
 *     the mount (kernels from 6.16). Older kernels: each directory in the
 *     root is dropped, and with it all names below. What is left there are
 *     names that went from the root itself and were known; they are seen
 *     until they are used.
 *  2. The tree is walked, and each name and inode in it is told of.
 *
 * This is work in proportion to the tree, and rare: a caller that waits for
 * shown() before it applies the next cut never comes here.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "fs/base/log.h"
#include "fs/front/front_internal.h"

/* FUSE_NOTIFY_INC_EPOCH of protocol 7.44; libfuse 3.14 has no call for it. */
#define NOTIFY_INC_EPOCH 8
/* Names taken out of the tree at a time: the lock is held meanwhile. */
#define BATCH_NAMES 64

struct batch {
	struct {
		char name[NAME_BYTES_MAX + 1];
		size_t len;
		uint64_t ino;
		bool is_dir;
	} entries[BATCH_NAMES];
	size_t count;
	uint64_t cookie;
};

static int batch_add(void *arg, const struct tree_dirent *dirent)
{
	struct batch *batch = arg;

	if (batch->count == BATCH_NAMES)
		return 1;
	kin_assert(dirent->name.len <= NAME_BYTES_MAX);
	memcpy(batch->entries[batch->count].name, dirent->name.data,
	       dirent->name.len);
	batch->entries[batch->count].name[dirent->name.len] = '\0';
	batch->entries[batch->count].len = dirent->name.len;
	batch->entries[batch->count].ino = dirent->ino;
	batch->entries[batch->count].is_dir = S_ISDIR(dirent->type);
	batch->count++;
	batch->cookie = dirent->cookie;
	return 0;
}

/* A directory still to be walked. */
struct level {
	uint64_t ino;
	struct level *next;
};

static int push(struct level **stack, uint64_t ino)
{
	struct level *level = malloc(sizeof(*level));

	if (!level)
		return -ENOMEM;
	level->ino = ino;
	level->next = *stack;
	*stack = level;
	return 0;
}

static uint64_t pop(struct level **stack)
{
	struct level *top = *stack;
	uint64_t ino = top->ino;

	*stack = top->next;
	free(top);
	return ino;
}

static int show_batch(struct front *front, uint64_t dir, bool drop,
		      const struct batch *batch, struct level **stack)
{
	size_t i;
	int r;

	for (i = 0; i < batch->count; i++) {
		struct slice name = SLICE(batch->entries[i].name,
					  batch->entries[i].len);

		if (drop && batch->entries[i].is_dir)
			(void)teller_drop_name(&front->teller, dir, name);
		notify_name(front, dir, name);
		if (!batch->entries[i].is_dir) {
			notify_inode(front, batch->entries[i].ino);
			continue;
		}
		r = push(stack, batch->entries[i].ino);
		if (r < 0)
			return r;
	}
	return 0;
}

static int show_dir(struct front *front, uint64_t dir, bool drop,
		    struct batch *batch, struct level **stack)
{
	int r;

	batch->cookie = 0;
	do {
		batch->count = 0;
		r = tree_readdir(front->tree, dir, batch->cookie, batch_add,
				 batch);
		if (r < 0)
			break;	/* it went: its parent's note says so */
		r = show_batch(front, dir, drop, batch, stack);
		if (r < 0)
			return r;
	} while (batch->count == BATCH_NAMES &&
		 !atomic_load(&front->stopping));
	notify_inode(front, dir);
	return 0;
}

void notify_everything(struct front *front)
{
	bool drop = raw_notify(front, NOTIFY_INC_EPOCH) < 0;
	autofree struct batch *batch = malloc(sizeof(*batch));
	struct level *stack = NULL;
	int r;

	r = batch ? push(&stack, FUSE_ROOT_ID) : -ENOMEM;
	while (r == 0 && stack && !atomic_load(&front->stopping)) {
		uint64_t dir = pop(&stack);

		r = show_dir(front, dir, drop && dir == FUSE_ROOT_ID, batch,
			     &stack);
	}
	while (stack)
		(void)pop(&stack);
	if (r < 0)
		log_errno(r, "cannot show all changes");
}
