/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The notifier: one thread that tells the kernel what changed without its
 * doing. The tree's observer calls come with the store lock held, so they
 * only add to a set of notes; this thread takes the whole set, holds no
 * lock, and works through it.
 *
 * Why a thread of its own: an invalidation waits in the kernel for requests
 * on the same inode (page locks, the directory's lock). Made by a request
 * handler, or under a lock that a handler wants, it waits for itself, and
 * the process cannot even be killed.
 *
 * Names first, then inodes. What a lookup or a listing in flight may still
 * put into the kernel's caches has then been put there before it is
 * dropped: the invalidation of a name takes the directory's lock, which
 * lookup, create and readdir hold, so it is a barrier.
 *
 *  - A name that now is a file, symlink: it is dropped (inval_entry).
 *  - A name that now is a directory or nothing: it may have been a directory
 *    in use. Dropping that would break getcwd() below it, so it is only
 *    expired: the next use asks us. Kernels before 6.2 cannot, there it is
 *    dropped, and is whole again when its path is next walked.
 *  - An inode: attributes and pages, for a directory its listing, for a
 *    symlink its target. If the kernel does not know it, it may be about to,
 *    by a lookup in flight in its directory: barrier there, and once more.
 *
 * What is written to the kernel is written by a process of its own, which may
 * wait there when the daemon is killed: teller.h.
 *
 * Ending: while the notifier is inside the kernel, requests must still be
 * answered, or it never returns. So the loop is ended by this thread, as its
 * last act.
 */
#include <errno.h>
#include <sys/stat.h>

#include "fs/base/log.h"
#include "fs/base/thread.h"
#include "fs/front/front_internal.h"

/* A name that no lookup uses: its invalidation is a barrier only. */
#define BARRIER_NAME "."

static int expire(struct front *front, uint64_t parent, struct slice name)
{
	if (!atomic_load(&front->can_expire))
		return teller_drop_name(&front->teller, parent, name);
	return teller_expire_name(&front->teller, parent, name);
}

/* Is it now something that cannot be a working directory? */
static bool is_leaf_now(struct front *front, uint64_t parent,
			struct slice name)
{
	struct entry entry;

	return tree_lookup(front->tree, parent, name, &entry) == 0 &&
	       !S_ISDIR(entry.attr.mode);
}

void notify_name(struct front *front, uint64_t parent, struct slice name)
{
	/* Most changed names are unknown to the kernel: -ENOENT, and the
	 * tree need not be asked. */
	if (expire(front, parent, name) == 0 &&
	    is_leaf_now(front, parent, name))
		(void)teller_drop_name(&front->teller, parent, name);
}

/*
 * Attributes and pages. Pages that a read waits for are locked in the
 * kernel, and dropping them would wait as well; but the content of an open
 * inode never changes, so there it is enough to drop the attributes. (A read
 * that begins to wait in between is given up: waiting.c.)
 */
static int drop_inode(struct front *front, uint64_t ino)
{
	int r;

	if (waiting_has(front, ino))
		return teller_drop_inode(&front->teller, ino, -1);
	atomic_store(&front->dropping, ino);
	r = teller_drop_inode(&front->teller, ino, 0);
	atomic_store(&front->dropping, 0);
	return r;
}

void notify_inode(struct front *front, uint64_t ino)
{
	uint64_t parent;

	if (drop_inode(front, ino) != -ENOENT)
		return;
	if (tree_parent(front->tree, ino, &parent) < 0)
		return;
	(void)expire(front, parent, SLICE_STR(BARRIER_NAME));
	(void)drop_inode(front, ino);
}

static void show(struct front *front, const struct notes *notes)
{
	const struct note *note;

	if (notes->everything) {
		log_info("the kernel is to forget all that it has cached");
		notify_everything(front);
		tainted_told(&front->tainted);
	}
	for (note = notes->table; note; note = note->hh.next) {
		if (atomic_load(&front->stopping))
			return;
		if (note->name.len)
			notify_name(front, note->ino, note->name);
	}
	for (note = notes->table; note; note = note->hh.next) {
		if (atomic_load(&front->stopping))
			return;
		if (!note->name.len)
			notify_inode(front, note->ino);
	}
	if (notes->has_applied && front->shown &&
	    !atomic_load(&front->stopping))
		front->shown(front->shown_arg, notes->applied);
}

/* Waits for notes; returns false when it is time to stop. */
static bool take(struct front *front, struct notes *ret)
{
	bool stopping;

	pthread_mutex_lock(&front->notify_mutex);
	while (notes_is_empty(&front->notes) && !front->stopping)
		pthread_cond_wait(&front->notify_wake, &front->notify_mutex);
	stopping = front->stopping;
	*ret = notes_take(&front->notes);
	pthread_mutex_unlock(&front->notify_mutex);
	return !stopping;
}

static void *notifier_main(void *arg)
{
	struct front *front = arg;
	struct notes notes;

	while (take(front, &notes)) {
		show(front, &notes);
		notes_release(&notes);
	}
	notes_release(&notes);
	front_loop_end(&front->loop, 0);
	return NULL;
}

int notifier_start(struct front *front)
{
	int r = teller_start(&front->teller, fuse_session_fd(front->session));

	if (r)
		return r;
	r = thread_start(&front->notifier, notifier_main, front);
	if (r) {
		teller_stop(&front->teller);
		return r;
	}
	front->notifier_started = true;
	return 0;
}

void notifier_ask_stop(struct front *front)
{
	pthread_mutex_lock(&front->notify_mutex);
	front->stopping = true;
	pthread_cond_signal(&front->notify_wake);
	pthread_mutex_unlock(&front->notify_mutex);
}

void notifier_join(struct front *front)
{
	if (!front->notifier_started)
		return;
	pthread_join(front->notifier, NULL);
	teller_stop(&front->teller);
	front->notifier_started = false;
}

/* Wakes the notifier when the set was empty before. */
static void noted(struct front *front, bool was_empty)
{
	if (was_empty)
		pthread_cond_signal(&front->notify_wake);
}

void front_note_inode(struct front *front, uint64_t ino)
{
	bool was_empty;

	atomic_fetch_add(&front->note_count, 1);
	pthread_mutex_lock(&front->notify_mutex);
	was_empty = notes_is_empty(&front->notes);
	notes_add_inode(&front->notes, ino);
	noted(front, was_empty);
	pthread_mutex_unlock(&front->notify_mutex);
}

void front_note_entry(struct front *front, uint64_t parent, struct slice name)
{
	bool was_empty;

	atomic_fetch_add(&front->note_count, 1);
	pthread_mutex_lock(&front->notify_mutex);
	was_empty = notes_is_empty(&front->notes);
	notes_add_entry(&front->notes, parent, name);
	noted(front, was_empty);
	pthread_mutex_unlock(&front->notify_mutex);
}

void front_note_applied(struct front *front, uint64_t lseq)
{
	bool was_empty;

	pthread_mutex_lock(&front->notify_mutex);
	was_empty = notes_is_empty(&front->notes);
	notes_add_applied(&front->notes, lseq);
	noted(front, was_empty);
	pthread_mutex_unlock(&front->notify_mutex);
}
